"""The browser parts' Python side: what is packed for a page, and what is made of its answers."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from core.cameras import orbit
from core.inpainting import masks
from core.types import InputError
from demos.widgets.depth_view import UNKNOWN, encode
from demos.widgets.mask_editor import MaskEditor
from demos.widgets.orbit_view import camera_of
from demos.widgets.splat_view import mask_of, pack_geometry

START = {
    "azimuth_deg": -70.0, "elevation_deg": 20.0, "radius": 4.0,
    "target": [0.3, -0.2, 0.1], "up": [0.0, 0.0, 1.0], "fov_deg": 50.0,
}  # fmt: skip


# ---------------------------------------------------------------- depth view


def test_encoded_values_come_back():
    values = np.array([[1.5, np.nan, -3.25], [np.inf, 7.0, 2.125]])
    made = encode(values)
    codes = np.frombuffer(base64.b64decode(made["data"]), "<u2").reshape(2, 3)
    assert (made["width"], made["height"], made["inverse"]) == (3, 2, False)
    assert np.array_equal(codes == UNKNOWN, ~np.isfinite(values))
    back = made["offset"] + made["scale"] * codes
    known = np.isfinite(values)
    assert np.abs(back - values)[known].max() <= 0.5 * 10.25 / 65534 + 1e-12


@pytest.mark.parametrize("values", [np.full((3, 2), np.nan), np.full((2, 5), 4.5)])
def test_maps_without_a_range_can_be_encoded(values):
    made = encode(values)
    assert made["scale"] > 0 and np.isfinite([made["scale"], made["offset"]]).all()


def test_far_outliers_do_not_make_near_depths_coarse():
    z = np.linspace(0.5, 10, 10_000).reshape(100, 100)
    z[3, 4] = 2e6  # a disparity near 0
    made = encode(z)
    codes = np.frombuffer(base64.b64decode(made["data"]), "<u2").reshape(100, 100)
    back = 1 / (made["offset"] + made["scale"] * codes)
    assert made["inverse"]
    assert np.abs(back - z)[z < 11].max() < 0.002


@pytest.mark.parametrize("values", [np.zeros(5), np.zeros((0, 4)), np.zeros((2, 2, 3))])
def test_what_is_no_map_is_not_encoded(values):
    with pytest.raises(ValueError):
        encode(values)


# ---------------------------------------------------------------- orbit view


def test_camera_of_by_hand():
    level = START | {"azimuth_deg": 0.0, "elevation_deg": 0.0, "target": [1, 2, 3], "radius": 2}
    np.testing.assert_allclose(camera_of(level, 5, 3).c2w[:3, 3], [3, 2, 3])
    np.testing.assert_allclose(
        camera_of(level | {"azimuth_deg": 90}, 5, 3).c2w[:3, 3], [1, 4, 3], atol=1e-12
    )
    # Seen from above +y, which is up, counter-clockwise leads from +x to −z.
    y_up = level | {"azimuth_deg": 90, "up": [0, 1, 0]}
    np.testing.assert_allclose(camera_of(y_up, 5, 3).c2w[:3, 3], [1, 2, 1], atol=1e-12)
    # Up along x: azimuth begins at +y.
    x_up = level | {"up": [1, 0, 0]}
    np.testing.assert_allclose(camera_of(x_up, 5, 3).c2w[:3, 3], [1, 4, 3], atol=1e-12)
    same = orbit(START["target"], 4.0, 1, 20.0, (9, 7), 50.0, start_deg=-70.0)[0]
    np.testing.assert_allclose(camera_of(START, 9, 7).c2w, same.c2w, atol=1e-12)


@pytest.mark.parametrize(
    "wrong",
    [{"radius": 0}, {"up": [0, 0, 0]}, {"azimuth_deg": float("nan")}, {"target": [1, 2]},
     {"fov_deg": None}],
)  # fmt: skip
def test_an_orbit_that_is_none_is_refused(wrong):
    with pytest.raises(InputError, match="Reset view"):
        camera_of(START | wrong, 5, 3)


# ---------------------------------------------------------------- splat view, mask editor


def test_geometry_is_packed_as_said_or_refused():
    data = pack_geometry(np.array([[1.0, 2, 3]]), None, np.zeros((0, 3)))
    assert data[:4] == b"SLGM"
    assert np.frombuffer(data[4:16], "<u4").tolist() == [1, 1, 0]
    assert np.frombuffer(data[16:28], "<f4").tolist() == [1, 2, 3]
    assert list(data[28:]) == [200, 200, 200, 255]
    point = np.zeros((1, 3))
    for points, colours, faces in (
        (np.zeros((0, 3)), None, None), (np.array([[np.nan, 0, 0]]), None, None),
        (point, np.zeros((2, 3)), None), (point, None, np.array([[0, 0, 1]])),
    ):  # fmt: skip
        with pytest.raises(InputError):
            pack_geometry(points, colours, faces)
    assert mask_of(np.array([1, 0, 0, 0, 0, 0, 0, 0, 0, 1])) == "AQI="  # bytes 1 and 2


def test_masks_of_twelve_megapixels_stay_small_and_nonsense_is_refused():
    image = np.zeros((3000, 4000, 3), np.uint8)
    for kind in ("strokes", "box", "scratches", "text"):
        mask = masks.preset(kind, image.shape)
        value = MaskEditor.value_of(image, mask, url="/picture")
        assert value is not None and len(value["mask"]) < 200_000, kind
        back = MaskEditor.mask_of(value)
        assert back is not None and (back == mask).all()
    assert MaskEditor.mask_of(MaskEditor.value_of(image, np.zeros((3000, 4000), bool), "/")) is None
    assert MaskEditor.value_of(None) is None and MaskEditor.mask_of(None) is None
    with pytest.raises(ValueError, match="picture"):
        MaskEditor.value_of(image, np.ones((4000, 3000), bool))
    value = MaskEditor.value_of(np.zeros((5, 7, 3), np.uint8), np.ones((5, 7), bool))
    assert value is not None and value["image"].startswith("data:image/png")
    for wrong in ({"size": [8, 7]}, {"size": [10**9, 10**9]}, {"size": None}, {"mask": "x"}):
        with pytest.raises(InputError):
            MaskEditor.mask_of(value | wrong)
