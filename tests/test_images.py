"""Whatever comes in, RGB uint8 goes on; what can't is refused in a plain sentence."""

import numpy as np
import pytest
from PIL import Image

from core import images
from core.types import InputError

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (7, 11, 3), np.uint8)


def test_rgb_passes_untouched():
    assert np.array_equal(images.as_rgb(RGB), RGB)


def test_grey_is_repeated_and_one_channel_dropped():
    grey = RGB[..., 0]
    for given in (grey, grey[..., None]):
        assert np.array_equal(images.as_rgb(given), np.repeat(grey[..., None], 3, 2))


def test_transparency_lies_on_white():
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0] = (200, 100, 0, 255)
    rgba[0, 1] = (0, 0, 0, 128)
    out = images.as_rgb(rgba)
    assert out[0, 0].tolist() == [200, 100, 0]
    assert out[1, 1].tolist() == [255, 255, 255]
    assert out[0, 1, 0] == round(255 * (1 - 128 / 255))


def test_sixteen_bits_scale_to_eight():
    deep = RGB[..., 0].astype(np.uint16) * 257
    assert np.array_equal(images.as_rgb(deep)[..., 0], RGB[..., 0])


def test_floats_in_unit_range_scale_to_255():
    assert np.array_equal(images.as_rgb(RGB / 255.0), RGB)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I;16"])
def test_every_file_mode_opens(mode, tmp_path):
    path = tmp_path / ("a.tiff" if mode in ("CMYK", "I;16") else "a.png")
    if mode == "I;16":
        image = Image.fromarray(RGB[..., 0].astype(np.uint16) * 257)
    else:
        image = Image.fromarray(RGB).convert(mode)
    image.save(path)
    out = images.load(path)
    assert out.shape == RGB.shape and out.dtype == np.uint8


def test_a_photo_on_its_side_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # the camera was held on its right side
    Image.fromarray(RGB).save(tmp_path / "side.png", exif=exif)
    assert np.array_equal(images.load(tmp_path / "side.png"), np.rot90(RGB, -1))


def test_fit_gives_the_exact_way_back():
    small, factors = images.fit(np.zeros((501, 1003, 3), np.uint8), 300)
    assert max(small.shape[:2]) == 300
    corner = np.array([small.shape[1], small.shape[0]]) / factors
    assert np.allclose(corner, (1003, 501))
    same, one = images.fit(RGB, 300)
    assert same is RGB and np.array_equal(one, (1, 1))


@pytest.mark.parametrize(
    "bad",
    [None, "text", 7, np.zeros((0, 5, 3), np.uint8), np.zeros((4, 4, 2), np.uint8),
     np.zeros(9, np.uint8), np.zeros((2, 3, 4, 3), np.uint8), np.full((3, 3), np.nan),
     np.full((3, 3, 3), -5), np.array([["a"]]), np.zeros((3, 3, 3), complex)],
    ids=str,
)  # fmt: skip
def test_what_is_no_picture_is_refused(bad):
    with pytest.raises(InputError):
        images.as_rgb(bad)


def test_broken_files_are_refused(tmp_path):
    for name, data in {"empty.png": b"", "text.jpg": b"hello", "cut.png": None}.items():
        path = tmp_path / name
        if data is None:
            Image.fromarray(np.tile(RGB, (20, 20, 1))).save(path)
            data = path.read_bytes()[:300]
        path.write_bytes(data)
        with pytest.raises(InputError, match="PNG or JPEG"):
            images.load(path)
    with pytest.raises(InputError, match="no file"):
        images.load(tmp_path / "gone.png")


def test_digest_tells_shape_type_and_bytes_apart():
    a = np.zeros((2, 3), np.uint8)
    digests = {images.digest(x) for x in (a, a.reshape(3, 2), a.astype(np.int8), a + 1)}
    assert len(digests) == 4
    assert images.digest(a) == images.digest(np.asfortranarray(a))


def test_16_bits_are_seen_in_either_order_of_bytes():
    dark = np.array([[0, 128, 255], [200, 3, 90]])  # of 65,535: all but black
    for order in ("<u2", ">u2"):
        assert images.as_rgb(dark.astype(order)).max() == 1
