"""Scores by hand, truth files there and back, and files that mean no good."""

import io
import math
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.stereo.truth import (
    SCORE_HELP,
    depth_score,
    load_truth,
    score,
    write_pfm,
    write_png16,
)
from core.stereo.types import Truth
from core.types import InputError, Rig

nan, inf = np.nan, np.inf


def test_scores_by_hand() -> None:
    truth = np.array([[10, 10, 10, 10, 10, 100, nan]], np.float32)
    found = np.array([[10.5, 11, 12.5, 15, nan, 104, 3]], np.float32)  # off by .5 1 2.5 5 ? 4
    scores = score(found, truth)
    assert scores["bad_0.5"] == pytest.approx(5 / 6)  # exactly 0.5 isn't more than 0.5
    assert scores["bad_1"] == pytest.approx(4 / 6)
    assert scores["bad_2"] == pytest.approx(4 / 6)
    assert scores["bad_4"] == pytest.approx(2 / 6)  # 5, and the one without an answer
    assert scores["valid_bad_0.5"] == pytest.approx(4 / 5)
    assert scores["valid_bad_2"] == pytest.approx(3 / 5)
    assert scores["valid_bad_4"] == pytest.approx(1 / 5)
    assert scores["epe"] == pytest.approx((0.5 + 1 + 2.5 + 5 + 4) / 5)
    assert scores["d1"] == pytest.approx(2 / 6)  # 4 of 100 is under 5 %
    assert scores["density"] == pytest.approx(6 / 7)  # answers where no truth is known count
    assert not {"occ_bad_2", "nonocc_bad_2"} & set(scores)


def test_occluded_pixels_are_scored_apart() -> None:
    truth = np.full((2, 3), 8, np.float32)
    found = np.array([[8, 8, 20], [8, 20, 20]], np.float32)
    hidden = np.array([[0, 0, 1], [0, 1, 0]], bool)
    scores = score(found, Truth(truth, hidden))
    assert scores["occ_bad_2"] == 1
    assert scores["nonocc_bad_2"] == pytest.approx(1 / 4)
    assert score(found, truth, ~hidden)["occ_bad_2"] == pytest.approx(1 / 4)
    assert scores.keys() <= SCORE_HELP.keys()


def test_what_can_not_be_told_is_nan() -> None:
    blank = np.full((3, 2), nan, np.float32)
    scores = score(blank, np.ones((3, 2), np.float32))
    assert scores["bad_4"] == scores["d1"] == 1 and scores["density"] == 0
    assert math.isnan(scores["epe"]) and math.isnan(scores["valid_bad_1"])
    assert math.isnan(score(np.ones((3, 2)), blank)["bad_1"])
    assert score(np.full((3, 2), inf), np.ones((3, 2)))["density"] == 0


def test_depth_scores_by_hand() -> None:
    rig = Rig(100, 2, 0, 0, doffs_px=10, unit="cm")  # z = 200 / (d + 10) cm
    truth = np.array([[0, 10, 0, nan, 10]], np.float32)  # 20, 10, 20, ?, 10
    found = np.array([[0, 0, 6, 5, nan]], np.float32)  # 20, 20, 12.5
    scores = depth_score(found, truth, rig)
    assert scores["abs_rel"] == pytest.approx((0 + 1 + 7.5 / 20) / 3)
    assert scores["rmse"] == pytest.approx(math.sqrt((100 + 7.5**2) / 3))
    assert scores["delta_1"] == pytest.approx(1 / 3)
    assert depth_score(found, Truth(truth), rig) == scores
    assert math.isnan(depth_score(np.full((1, 5), nan), truth, rig)["rmse"])


def test_every_score_says_what_it_means() -> None:
    rig, d = Rig(100, 1, 0, 0), np.ones((2, 2), np.float32)
    keys = score(d, Truth(d, d > 2)).keys() | depth_score(d, d, rig).keys()
    assert keys == SCORE_HELP.keys()
    for title, meaning, unit in SCORE_HELP.values():
        assert title and meaning.endswith(".") and unit in ("", "px")


def test_sizes_must_agree() -> None:
    for judge in (score, lambda d, t: depth_score(d, t, Rig(100, 1, 0, 0))):
        with pytest.raises(InputError, match=r"truth is 4×3 px, the disparity map 3×4 px"):
            judge(np.ones((4, 3)), np.ones((3, 4)))
    with pytest.raises(InputError, match="occlusion mask"):
        score(np.ones((4, 3)), np.ones((4, 3)), np.ones((3, 4), bool))


# ---------------------------------------------------------------- files there and back


def disparities(height: int = 7, width: int = 13) -> np.ndarray:
    rng = np.random.default_rng(3)
    d = rng.uniform(0.1, width, (height, width)).astype(np.float32)
    d[rng.random(d.shape) < 0.2] = nan
    d[0, 0] = nan
    return d


@pytest.mark.parametrize("big_endian", [False, True])
def test_pfm_comes_back_exactly(tmp_path: Path, big_endian: bool) -> None:
    d = disparities()
    path = write_pfm(d, tmp_path / "d.pfm", big_endian=big_endian)
    np.testing.assert_array_equal(load_truth(path).disparity, d)
    head = path.read_bytes()[:20]
    assert head.startswith(b"Pf\n13 7\n1\n" if big_endian else b"Pf\n13 7\n-1\n")


def test_pfm_as_others_write_it(tmp_path: Path) -> None:
    """The bottom row comes first; the scale's size is no factor; inf is unknown."""
    path = tmp_path / "d.pfm"
    path.write_bytes(b"Pf\n2 2\n-0.003922\n" + np.array([1, 2, 3, inf], "<f4").tobytes())
    np.testing.assert_array_equal(load_truth(path).disparity, [[3, nan], [1, 2]])
    path.write_bytes(b"Pf 2 2\r\n1.0\r\n" + np.array([1, 2, 1, 0.5], ">f4").tobytes())
    np.testing.assert_array_equal(load_truth(path).disparity, [[1, 0.5], [1, 2]])


def test_kitti_png_comes_back_exactly(tmp_path: Path) -> None:
    steps = np.arange(1, 65536, 13, dtype=np.float32)[:5040].reshape(12, 420)
    d = steps / 256
    d[3, 5] = nan
    path = write_png16(d, tmp_path / "d.png")
    np.testing.assert_array_equal(load_truth(path, scale=4).disparity, d)
    with Image.open(path) as image:
        raw = np.asarray(image)
    assert raw.dtype == np.uint16 and raw[0, 0] == 1 and raw[3, 5] == 0


def test_what_kitti_png_can_not_hold_is_unknown(tmp_path: Path) -> None:
    d = np.array([[0.001, -1, 256, inf, 255.99, 0, 1]], np.float32)
    back = load_truth(write_png16(d, tmp_path / "d.png")).disparity
    np.testing.assert_allclose(back, [[1 / 256, nan, nan, nan, 255.99, 1 / 256, 1]], atol=1 / 512)


@pytest.mark.parametrize("kind", ["<f4", ">f8", "f2", "u1", "<i8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_of_any_number(tmp_path: Path, kind: str, order: str) -> None:
    values = np.arange(21).reshape(3, 7) % 5
    d = np.array(values, np.dtype(kind), order="F" if order == "F" else "C")
    np.save(tmp_path / "d.npy", d)
    back = load_truth(tmp_path / "d.npy")
    assert back.disparity.dtype == np.float32 and back.occluded is None
    np.testing.assert_array_equal(back.disparity, values)


def test_npy_with_one_channel_and_unknowns(tmp_path: Path) -> None:
    for shape in ((1, 2, 3), (2, 3, 1)):
        np.save(tmp_path / "d.npy", np.array([1, nan, inf, -inf, 1e300, 2.0]).reshape(shape))
        back = load_truth(tmp_path / "d.npy").disparity
        np.testing.assert_array_equal(back, [[1, nan, nan], [nan, nan, 2]])


def test_middlebury_png_needs_its_scale(tmp_path: Path) -> None:
    values = np.array([[0, 4, 8], [6, 1, 12]], np.uint8)
    for path in (tmp_path / "d.png", tmp_path / "d.pgm"):
        Image.fromarray(values).save(path)
        with pytest.raises(InputError, match=r"8-bit picture\. Give its scale"):
            load_truth(path)
        np.testing.assert_array_equal(
            load_truth(path, scale=4).disparity, [[nan, 1, 2], [1.5, 0.25, 3]]
        )
    for scale in (-4, nan, inf):
        with pytest.raises(InputError, match="scale"):
            load_truth(tmp_path / "d.png", scale=scale)
    Image.fromarray(values).convert("RGB").save(tmp_path / "grey.png")  # grey, saved as colour
    assert load_truth(tmp_path / "grey.png", scale=4).disparity[1, 2] == 3


def test_the_content_tells_the_kind(tmp_path: Path) -> None:
    d = disparities()
    write_pfm(d, tmp_path / "d.png")
    np.testing.assert_array_equal(load_truth(tmp_path / "d.png").disparity, d)


# ---------------------------------------------------------------- files that mean no good


def npy(array: np.ndarray, **how) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **how)
    return file.getvalue()


def npy_head(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def png(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that claims a size its few bytes of data don't fill."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = zlib.crc32(name + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + name + data + check

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([16, 0, 0, 0, 0])
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


FLOATS = np.ones(12, "<f4").tobytes()
RAMP = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
NOISE = np.random.default_rng(0).integers(0, 256, (90, 90)).astype(np.uint8)
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "empty"),
    "text": (lambda: b"disparity 3 px\n" * 90, "no disparities that can be read"),
    "jpeg": (lambda: b"\xff\xd8\xff\xe0" + bytes(99), "no disparities that can be read"),
    "zeros": (lambda: bytes(5000), "no disparities that can be read"),
    "pfm cut": (lambda: b"Pf\n4 3\n-1\n" + FLOATS[:-1], "holds less data"),
    "pfm cut in head": (lambda: b"Pf\n4 ", "width, height or scale"),
    "pfm with more": (lambda: b"Pf\n4 3\n-1\n" + FLOATS + b"more", "holds more data"),
    "pfm huge": (lambda: b"Pf\n999999999 999999999\n-1\n" + FLOATS, "megapixels"),
    "pfm long": (lambda: b"Pf\n" + b"9" * 4000 + b" 3\n-1\n", "width, height or scale"),
    "pfm no size": (lambda: b"Pf\n0 3\n-1\n", "empty"),
    "pfm below 0": (lambda: b"Pf\n-4 3\n-1\n" + FLOATS, "width, height or scale"),
    "pfm scale 0": (lambda: b"Pf\n4 3\n0\n" + FLOATS, "width, height or scale"),
    "pfm scale ee": (lambda: b"Pf\n4 3\ne-e\n" + FLOATS, "width, height or scale"),
    "pfm scale 1e999": (lambda: b"Pf\n4 3\n1e999\n" + FLOATS, "width, height or scale"),
    "pfm colour": (lambda: b"PF\n2 2\n-1\n" + FLOATS, "colour"),
    "pfm all inf": (lambda: b"Pf\n2 1\n-1\n" + np.full(2, inf, "<f4").tobytes(), "no pixel"),
    "npy nan": (lambda: npy(np.full((5, 4), nan)), "knows no pixel"),
    "npy objects": (lambda: npy(np.array([[{}, 1]]), allow_pickle=True), "pickled objects"),
    "npy text": (lambda: npy(np.array([["a", "b"]])), "text or records"),
    "npy records": (lambda: npy(np.zeros((2, 2), "f4,i2")), "text or records"),
    "npy complex": (lambda: npy(np.ones((2, 2)) * 1j), "complex numbers"),
    "npy bool": (lambda: npy(np.ones((2, 2), bool)), "yes or no"),
    "npy flat": (lambda: npy(np.ones(12)), "1 axes"),
    "npy colour": (lambda: npy(np.ones((4, 5, 3))), "3 axes"),
    "npy empty": (lambda: npy(np.ones((0, 5))), "empty"),
    "npy cut": (lambda: npy(np.ones((4, 5)))[:-8], "holds less data"),
    "npy huge": (
        lambda: npy_head("{'descr': '<f8', 'fortran_order': False, 'shape': (9**9**2, 4)}\n"),
        "header can't be read",
    ),
    "npy large": (
        lambda: npy_head("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999, 99)}\n"),
        "megapixels",
    ),
    "npy below 0": (
        lambda: npy_head("{'descr': '<f8', 'fortran_order': False, 'shape': (-4, -4)}\n"),
        "empty",
    ),
    "npy nested": (lambda: npy_head("(" * 60000), "header can't be read"),
    "npy code": (lambda: npy_head("__import__('os').getcwd()\n"), "header can't be read"),
    "npy version": (lambda: b"\x93NUMPY\x09\x00" + bytes(99), "header can't be read"),
    "npz": (lambda: b"PK\x03\x04" + bytes(99), "archive"),
    "png cut": (lambda: png(NOISE)[:4000], "damaged"),
    "png colour": (lambda: png(RAMP), "colour picture"),
    "png black": (lambda: png(np.zeros((4, 5), np.uint16)), "knows no pixel"),
    "png claims": (lambda: png_of_size(3900, 4000), "damaged"),
    "png huge": (lambda: png_of_size(60000, 60000), "megapixels"),
    "depth, not disparity": (lambda: npy(np.full((4, 5), 1530.0)), "can't be disparities"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_file_gets_a_sentence(tmp_path: Path, case: str) -> None:
    make, cause = HOSTILE[case]
    path = tmp_path / "truth"
    path.write_bytes(make())
    start = time.perf_counter()
    with pytest.raises(InputError, match=cause) as error:
        load_truth(path, "The truth file", 4)
    assert time.perf_counter() - start < 10
    sentence = str(error.value)
    assert sentence.startswith("The truth file") and sentence.endswith(".")
    assert str(tmp_path) not in sentence and len(sentence) < 300


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file gone"):
        load_truth(tmp_path / "gone.pfm")
    with pytest.raises(InputError, match="is a folder"):
        load_truth(tmp_path)
