"""Warps and examples: the truth they carry is the truth."""

import dataclasses

import numpy as np
import pytest

from core.matching import stitch
from core.matching.examples import EXAMPLES, make
from core.matching.pairs import MAX_SIDE_PX, PairSettings, homography, make_pair, warp
from core.matching.stress import SweepSettings
from core.matching.truth import transfer
from core.matching.types import GeometrySettings, MatchSettings
from core.recipe import Recipe, from_link
from core.types import InputError


def picture(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(width: int, height: int) -> np.ndarray:
    """A picture whose values are known between its pixels: x and y ramps and a slow wave."""
    y, x = np.mgrid[:height, :width] + 0.5
    return formula(x, y, width, height).round().astype(np.uint8)


def formula(x: np.ndarray, y: np.ndarray, width: int, height: int) -> np.ndarray:
    wave = 128 + 60 * np.sin(x / 17) * np.cos(y / 13)
    return np.stack([30 + 200 * x / width, 30 + 200 * y / height, wave], axis=-1)


def test_nothing_set_changes_nothing() -> None:
    for size in ((7, 5), (1, 1), (101, 3)):
        image = picture(*size)
        pair = warp(image, PairSettings())
        assert pair.truth is not None
        np.testing.assert_array_equal(pair.truth.homography, np.eye(3))
        np.testing.assert_array_equal(pair.image1, image)


def test_quarter_turns_are_exact() -> None:
    image = picture(7, 4)
    # Clockwise as seen: np.rot90 turns the other way.
    for angle, turns in ((90, -1), (180, 2), (270, 1), (360, 0)):
        pair = warp(image, PairSettings(rotate_deg=angle))
        np.testing.assert_array_equal(pair.image1, np.rot90(image, turns))
    # The centre of the first pixel goes to the last pixel of the first row: (4 - 0.5, 0.5).
    H = homography(PairSettings(rotate_deg=90), (7, 4))
    np.testing.assert_allclose(H @ (0.5, 0.5, 1), (3.5, 0.5, 1), atol=1e-12)


def test_scale_is_about_pixel_borders() -> None:
    H = homography(PairSettings(scale=2.0), (6, 4))
    np.testing.assert_allclose(H, np.diag([2.0, 2.0, 1.0]), atol=1e-12)
    pair = warp(picture(9, 6), PairSettings(scale=0.5))
    assert pair.image1.shape == (3, 5, 3)  # 4.5 px wide: rounded up


def test_dragged_corners_land_where_they_were_dragged() -> None:
    moves = (0.1, 0.2, -0.1, 0.0, 0.05, -0.25, 0.0, 0.1)
    H = homography(PairSettings(corners=moves), (200, 80))
    corners = np.array([(0, 0), (200, 0), (200, 80), (0, 80)])
    landed = stitch.project(H, corners)
    asked = corners + np.reshape(moves, (4, 2)) * (200, 80)
    shift = landed - asked
    np.testing.assert_allclose(shift, np.tile(shift[0], (4, 1)), atol=1e-9)
    np.testing.assert_allclose(landed.min(axis=0), 0, atol=1e-9)


@pytest.mark.parametrize(
    "settings",
    [
        PairSettings(rotate_deg=33.0),
        PairSettings(scale=1.7, rotate_deg=200.0),
        PairSettings(scale=0.3),
        PairSettings(perspective=0.6, rotate_deg=10.0),
        PairSettings(corners=(0.2, 0.1, -0.1, 0.2, 0.1, 0.0, 0.0, -0.2), perspective=0.3),
    ],
)
@pytest.mark.parametrize("size", [(160, 121), (63, 200)])
def test_the_warped_picture_shows_what_the_homography_says(
    settings: PairSettings, size: tuple[int, int]
) -> None:
    width, height = size
    pair = warp(smooth(width, height), settings)
    assert pair.truth is not None and pair.truth.homography is not None
    h1, w1 = pair.image1.shape[:2]
    y, x = np.mgrid[:h1, :w1] + 0.5
    back = stitch.project(np.linalg.inv(pair.truth.homography), np.column_stack([x.flat, y.flat]))
    margin = 4 if settings.scale >= 1 else 8
    inside = ((back > margin) & (back < np.array(size) - margin)).all(axis=1)
    assert inside.sum() > 100
    expected = formula(back[inside, 0], back[inside, 1], width, height)
    error = np.abs(pair.image1.reshape(-1, 3)[inside] - expected)
    # A shift of half a pixel would show as 60/17/2 = 1.8 grey values in the wave.
    assert np.median(error) < 0.6 and error.mean() < 0.8


def test_the_whole_picture_stays_in_sight() -> None:
    for settings in (
        PairSettings(rotate_deg=45.0),
        PairSettings(perspective=1.0, rotate_deg=300.0),
        PairSettings(corners=(-0.5, -0.4, 0, 0, 0, 0, 0, 0)),
    ):
        pair = warp(picture(90, 61), settings)
        assert pair.truth is not None
        landed = transfer(pair.truth, np.array([(0, 0), (90, 0), (90, 61), (0, 61)]))
        assert (landed >= -1e-6).all()
        assert (landed <= np.array(pair.image1.shape[1::-1]) + 1e-6).all()


def test_a_canvas_is_capped_and_keeps_its_scale() -> None:
    pair = warp(picture(900, 300), PairSettings(scale=4.0))
    assert pair.image1.shape == (1200, MAX_SIDE_PX, 3)
    assert pair.truth is not None and pair.truth.homography is not None
    np.testing.assert_allclose(pair.truth.homography, [[4, 0, -800], [0, 4, 0], [0, 0, 1]])


def test_a_huge_photo_is_reduced_first() -> None:
    pair = warp(np.zeros((10, 5000, 3), np.uint8), PairSettings(rotate_deg=90))
    assert pair.image0.shape == (4, MAX_SIDE_PX, 3)
    assert pair.image1.shape == (MAX_SIDE_PX, 4, 3)


@pytest.mark.parametrize(
    ("corners", "word"),
    [
        ((1, 0, -1, 0, 0, 0, 0, 0), "cross"),  # top corners swapped: a bow tie
        ((0.7, 0.7, 0, 0, 0, 0, 0, 0), "bend"),  # top left past the diagonal: concave
        ((0.5, 0.5, 0, 0, 0, 0, 0, 0), "line"),  # on the diagonal: three corners on a line
        ((1, 0, -1, 0, -1, 0, 1, 0), "mirrored"),
        ((0, 0, -1, 0, -1, -1, 0, -1), "line"),  # all in one point
    ],
)
def test_impossible_corners_are_told_in_words(corners: tuple[float, ...], word: str) -> None:
    with pytest.raises(InputError, match=word):
        homography(PairSettings(corners=corners), (64, 48))


def test_light_and_noise_by_hand() -> None:
    image = np.full((40, 50, 3), 128, np.uint8)
    plain = 128 / 255
    bright = warp(image, PairSettings(brightness=0.2, contrast=2.0)).image1
    assert np.abs(bright / 255 - ((plain - 0.5) * 2 + 0.5 + 0.2)).max() <= 0.5001 / 255
    noisy = warp(image, PairSettings(noise=0.1, pair_seed=3)).image1
    assert abs(noisy.std() / 255 - 0.1) < 0.004
    np.testing.assert_array_equal(noisy, warp(image, PairSettings(noise=0.1, pair_seed=3)).image1)
    assert (noisy != warp(image, PairSettings(noise=0.1, pair_seed=4)).image1).any()
    step = np.zeros((41, 60, 3), np.uint8)
    step[:, 30:] = 255
    blurred = warp(step, PairSettings(blur_px=2.0)).image1[20, :, 0] / 255
    # A step blurred by sigma has slope 1 / (sigma √2π) in its middle, here between 29 and 30.
    assert abs((blurred[30] - blurred[29]) - 1 / (2 * np.sqrt(2 * np.pi))) < 0.01


def test_settings_of_a_tab_share_one_link() -> None:
    kinds = (PairSettings, MatchSettings, GeometrySettings, SweepSettings)
    names = [f.name for kind in kinds for f in dataclasses.fields(kind)]
    assert len(names) == len(set(names))
    given = PairSettings(source="warp", corners=(0.1, 0, 0, 0, 0, 0, 0, -0.25), rotate_deg=30)
    link = Recipe("matching", "{PairSettings}", (given,)).link()
    assert from_link(link, [PairSettings]) == (given,)
    assert homography(PairSettings(corners=()), (3, 3)).tolist() == np.eye(3).tolist()
    for wrong in ({"corners": (1.0,)}, {"scale": 0.1}, {"rotate_deg": -1}, {"example": "none"}):
        with pytest.raises(InputError):
            PairSettings(**wrong)  # type: ignore[arg-type]


def test_make_pair_dispatches() -> None:
    a, b = picture(20, 10), picture(11, 31)
    pair = make_pair(PairSettings(source="photos"), a, b)
    assert pair.image0.shape == a.shape and pair.image1.shape == b.shape and pair.truth is None
    with pytest.raises(InputError, match="Picture 1"):
        make_pair(PairSettings(source="photos"), a)
    own = make_pair(PairSettings(source="warp", rotate_deg=180), a)
    np.testing.assert_array_equal(own.image1, a[::-1, ::-1])
    assert make_pair(PairSettings(source="warp", scale=0.5)).image1.shape == (256, 256, 3)
    assert make_pair().title == make("photo").title


@pytest.mark.parametrize("key", EXAMPLES)
def test_examples_agree_with_their_truth(key: str) -> None:
    """Where the truth says a point of picture 0 lies in picture 1, the picture looks the same."""
    pair = make(key)
    assert pair.truth is not None
    again = make.__wrapped__(key)  # anew, not the kept one
    np.testing.assert_array_equal(pair.image0, again.image0)
    np.testing.assert_array_equal(pair.image1, again.image1)
    h0, w0 = pair.image0.shape[:2]
    y, x = np.mgrid[8 : h0 - 8 : 5, 8 : w0 - 8 : 5].reshape(2, -1) + 0.5
    points = np.column_stack([x, y])
    there = transfer(pair.truth, points)
    with np.errstate(invalid="ignore"):
        seen = ((there > 2) & (there < np.array(pair.image1.shape[1::-1]) - 2)).all(axis=1)
    assert seen.mean() > 0.15
    at0 = np.floor(points[seen]).astype(int).T
    at1 = np.floor(there[seen]).astype(int).T
    blur = (lambda i: i) if key == "photo" else _blurred
    colours0, colours1 = (
        blur(image)[at[1], at[0]].astype(float)
        for image, at in ((pair.image0, at0), (pair.image1, at1))
    )
    alike = np.corrcoef(colours0.ravel(), colours1.ravel())[0, 1]
    moved = np.corrcoef(colours0.ravel(), np.roll(colours1, 7, axis=0).ravel())[0, 1]
    assert alike > 0.85 and alike > moved + 0.2


def _blurred(image: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.GaussianBlur(image, (0, 0), 1.0)


def test_unknown_example() -> None:
    with pytest.raises(InputError, match="street"):
        make("castle")
