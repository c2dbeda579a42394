"""Stereo methods against answers that are known: shifts, loops written out, two planes."""

from __future__ import annotations

import numpy as np
import pytest

from core.runtime import Stopped
from core.stereo import cost, planes, refine
from core.stereo.methods import Found, find, method_volumes, solve
from core.stereo.types import METHODS, MODES, WINDOW_COSTS, StereoSettings
from core.types import InputError

OURS = [m for m in METHODS if m in ("refined", "sgbm", "block")]
WAYS = [{"method": m} for m in OURS] + [
    {"method": "block", "window_cost": c, "window_px": 7} for c in WINDOW_COSTS if c != "bm"
]


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """RGB uint8 with detail of several sizes."""
    import cv2

    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cell in (1, 2, 5, 13):
        grid = rng.normal(size=(height // cell + 3, width // cell + 3, 3))
        total += cv2.resize(grid, None, fx=cell, fy=cell)[:height, :width]  # type: ignore
    return np.clip(128 + 30 * total, 0, 255).astype(np.uint8)


def shifted(shift_px: float, height: int = 61, width: int = 131) -> tuple[np.ndarray, np.ndarray]:
    """A pair whose every pixel has this disparity (in eighths): both cut from one fine picture."""
    import cv2

    fine, margin = 8, 64
    wide = texture(height, width + 2 * margin, seed=3)
    big = cv2.resize(wide, None, fx=fine, fy=1, interpolation=cv2.INTER_CUBIC)

    def cut(start_px: float) -> np.ndarray:
        first = round(fine * start_px)
        part = big[:, first : first + fine * width].reshape(height, width, fine, 3)
        return np.round(part.mean(2)).astype(np.uint8)

    return cut(margin), cut(margin + shift_px)


def two_planes() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """left, right, disparity, right disparity: a rectangle at 14 px before a wall at 4 px."""
    height, width, far, near = 70, 150, 4, 14
    wall, front = texture(height, width + 40, 1), texture(height, width + 40, 2)
    left, right = wall[:, 20 : 20 + width].copy(), wall[:, 20 + far : 20 + far + width].copy()
    disparity = np.full((height, width), far, np.float32)
    other = disparity.copy()
    rows, columns = slice(15, 55), slice(60, 110)
    moved = slice(columns.start - near, columns.stop - near)
    left[rows, columns] = front[rows, columns]
    right[rows, moved] = front[rows, columns]
    disparity[rows, columns] = near
    other[rows, moved] = near
    return left, right, disparity, other


# ---------------------------------------------------------------- known shifts


@pytest.mark.parametrize("way", WAYS, ids=lambda w: "-".join(map(str, w.values())))
@pytest.mark.parametrize("shift", [0, 7, 7.5])
def test_a_known_shift_is_found(way, shift):
    left, right = shifted(shift)
    found = find(left, right, StereoSettings(max_disparity_px=16, **way))
    inner = found.disparity[8:-8, 24:-8]
    assert np.abs(inner - shift).max() < 0.4
    assert abs(float(inner.mean()) - shift) < 0.1


@pytest.mark.parametrize("method", OURS)
def test_a_negative_disparity_is_found(method):
    left, right = shifted(-5)
    settings = StereoSettings(method=method, min_disparity_px=-16, max_disparity_px=16)
    found = find(left, right, settings)
    assert np.abs(found.disparity[8:-8, 8:-24] + 5).max() < 0.35


@pytest.mark.parametrize("method", OURS)
def test_the_left_margin_is_filled(method):
    left, right = shifted(20)
    found = find(left, right, StereoSettings(method=method, max_disparity_px=32))
    assert np.isfinite(found.disparity).all()
    assert np.abs(found.disparity[:, :20] - 20).mean() < 1
    assert found.occluded[:, :19].mean() > 0.9
    assert not np.isfinite(found.matched[found.occluded]).any()


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_opencv_works(mode):
    left, right = shifted(6)
    found = find(left, right, StereoSettings(method="sgbm", mode=mode, max_disparity_px=16))
    assert np.abs(found.disparity[8:-8, 24:-8] - 6).max() < 0.35


def test_exposure_does_not_matter_to_refined():
    left, right = shifted(9)
    darker = (right * 0.6 + 20).astype(np.uint8)
    found = find(left, darker, StereoSettings(max_disparity_px=16))
    assert np.mean(np.abs(found.disparity - 9) < 0.5) > 0.95


def test_a_slanted_plane_is_found_without_steps():
    """Disparity grows from 4 to 14 px down the picture; the answer stays within half a pixel."""
    import cv2

    height, width = 121, 161
    picture = texture(height, width + 60, 5)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    truth = 4 + 10 * rows / height
    left = picture[:, 20 : 20 + width]
    right = cv2.remap(picture, columns + 20 + truth, rows, cv2.INTER_CUBIC)
    found = find(left, right, StereoSettings(max_disparity_px=24))
    assert np.mean(np.abs(found.disparity - truth) < 0.5) > 0.95


# ---------------------------------------------------------------- check and fill


def test_the_check_masks_exactly_what_is_hidden():
    _, _, disparity, other = two_planes()
    hidden = refine.failed_check(disparity, other, 1.0)
    expected = np.zeros(hidden.shape, bool)
    expected[15:55, 50:60] = True  # 14 − 4 columns before the rectangle
    expected[:, :4] = True  # outside the right picture
    assert (hidden == expected).all()


@pytest.mark.parametrize("method", OURS)
def test_hidden_places_take_the_background(method):
    left, right, truth, _ = two_planes()
    found = find(left, right, StereoSettings(method=method, max_disparity_px=24))
    assert found.occluded[20:50, 52:58].mean() > 0.8
    assert np.mean(np.abs(found.disparity - truth)[20:50, 51:57] < 1) > 0.8
    assert np.mean(np.abs(found.disparity - truth) < 1) > 0.93
    bare = find(left, right, StereoSettings(method=method, max_disparity_px=24, fill=False))
    assert np.isnan(bare.disparity[20:50, 52:58]).mean() > 0.8
    assert (np.isnan(bare.disparity) == np.isnan(bare.matched)).all()


def test_fill_takes_the_smaller_neighbour_of_the_row():
    nan = np.nan
    rows = np.array([[nan, 3, nan, nan, 9, nan], [nan] * 6, [5, nan, 4, nan, nan, nan]], np.float32)
    filled = refine.fill_background(rows)
    assert filled[0].tolist() == [3, 3, 3, 3, 9, 9]
    assert filled[2].tolist() == [5, 4, 4, 4, 4, 4]
    assert filled[1].tolist() in (filled[0].tolist(), filled[2].tolist())
    assert np.isnan(refine.fill_background(np.full((2, 3), nan, np.float32))).all()


def test_the_weighted_median_follows_colour():
    """A border drawn two pixels off returns to where the colours change."""
    left = np.zeros((30, 40, 3), np.uint8)
    left[:, 20:] = 200
    truth = np.where(np.arange(40) < 20, 5, 15) * np.ones((30, 1), np.float32)
    off = np.roll(truth, 2, 1).astype(np.float32)
    off[:, :2] = 5
    weight = np.ones(off.shape, np.float32)
    mended = refine.weighted_median(off, left, refine.edges(off), weight)
    assert (off != truth).sum() == 60 and (mended == truth).all()


def test_specks_vanish_and_regions_stay():
    disparity = np.full((40, 50), 8, np.float32)
    disparity[10:13, 10:13] = 20
    disparity[20:35, 20:40] = 30
    kept = refine.without_specks(disparity)
    assert np.isnan(kept[10:13, 10:13]).all() and np.isnan(kept).sum() == 9


def test_planes_continue_where_nothing_was_matched():
    left = texture(80, 110, 7) // 8 + 100
    rows, columns = np.mgrid[0:80, 0:110]
    truth = (10 + 0.1 * columns + 0.05 * rows).astype(np.float32)
    matched = truth.copy()
    matched[25:50, 40:70] = np.nan
    found = planes.Matches(matched, np.zeros(truth.shape), np.zeros(truth.shape, bool), 0, 64)
    assert np.abs(planes.surfaces(left, found) - truth).max() < 0.5
    nothing = planes.Matches(matched * np.nan, found.right, found.right_known, 0, 64)
    assert np.isnan(planes.surfaces(left, nothing)).all()


# ---------------------------------------------------------------- awkward pictures


@pytest.mark.parametrize("way", WAYS, ids=lambda w: "-".join(map(str, w.values())))
@pytest.mark.parametrize("size", [(1, 1), (3, 40), (40, 3), (7, 9), (33, 57)])
def test_odd_and_tiny_pictures(way, size):
    left, right = texture(*size, seed=1), texture(*size, seed=2)
    found = find(left, right, StereoSettings(max_disparity_px=8, **way))
    check_result(found, size)


@pytest.mark.parametrize("way", WAYS, ids=lambda w: "-".join(map(str, w.values())))
def test_flat_and_grey_pictures(way):
    settings = StereoSettings(max_disparity_px=16, **way)
    flat = np.full((40, 60, 3), 90, np.uint8)
    check_result(find(flat, flat, settings), (40, 60))
    left, right = (p[..., 0] for p in shifted(6))
    found = find(left, right, settings)
    assert np.abs(found.disparity[8:-8, 24:-8] - 6).max() < 0.35


def check_result(found: Found, size: tuple[int, int]) -> None:
    assert found.disparity.shape == found.matched.shape == found.confidence.shape == size
    assert found.disparity.dtype == found.matched.dtype == found.confidence.dtype == np.float32
    assert found.occluded.shape == size and found.occluded.dtype == bool
    assert found.confidence.min() >= 0 and found.confidence.max() <= 1
    assert not np.isinf(found.disparity).any()
    assert found.stages and all(v >= 0 for v in found.stages.values())


def test_large_pairs_are_reduced_and_the_answer_is_brought_back():
    left, right = shifted(12, 90, 200)
    found = find(left, right, StereoSettings(max_disparity_px=24, max_side_px=96))
    check_result(found, (90, 200))
    assert np.median(np.abs(found.disparity - 12)) < 0.5


def test_the_same_pair_gives_the_same_answer():
    left, right, _, _ = two_planes()
    one, two = (find(left, right, StereoSettings(max_disparity_px=24)) for _ in range(2))
    assert np.array_equal(one.disparity, two.disparity, equal_nan=True)
    assert np.array_equal(one.confidence, two.confidence)


def test_what_cannot_be_done_is_said():
    left = texture(20, 30)
    with pytest.raises(InputError, match="one size"):
        find(left, texture(20, 31))
    with pytest.raises(InputError, match="Raise the largest"):
        find(left, left, StereoSettings(min_disparity_px=40, max_disparity_px=40))
    with pytest.raises(InputError, match="Lower the working size"):
        cost.check_memory(4000, 4000, StereoSettings(max_disparity_px=256))


def test_progress_can_stop_it():
    left, right = shifted(4)

    def stop(fraction: float, /, desc: str = "") -> None:
        if fraction > 0.3:
            raise Stopped

    with pytest.raises(Stopped):
        find(left, right, StereoSettings(max_disparity_px=16), stop)


# ---------------------------------------------------------------- looking inside


@pytest.mark.parametrize("way", WAYS, ids=lambda w: "-".join(map(str, w.values())))
def test_the_volumes_explain_the_answer(way):
    left, right = shifted(6)
    settings = StereoSettings(max_disparity_px=16, **way)
    volumes = method_volumes(left, right, settings)
    assert volumes.raw.shape == volumes.aggregated.shape == (61, 131, 16)
    assert volumes.disparities.tolist() == list(range(16)) and volumes.scale == 1.0
    inner = volumes.aggregated[8:-8, 24:-8].argmin(2)
    assert np.mean(inner == 6) > 0.99
    assert ("OpenCV" in volumes.note) == (way in ({"method": "sgbm"}, {"method": "block"}))


def test_any_cost_volume_can_be_solved():
    """A volume that knows the answer gives it back."""
    left, _, truth, _ = two_planes()
    settings = StereoSettings(max_disparity_px=24)
    volume = np.full((*truth.shape, 24), cost.FULL, np.int16)
    np.put_along_axis(volume, truth.astype(int)[..., None], 0, 2)
    found = solve(volume, left, settings)
    assert np.mean(np.abs(found.disparity - truth) < 0.5) > 0.95


def test_windows_that_opencv_cannot_use_are_replaced_and_said():
    left, right = shifted(6)
    for method, side in (("block", 1), ("sgbm", 31)):
        settings = StereoSettings(method=method, max_disparity_px=16, window_px=side)
        found = find(left, right, settings)
        assert np.abs(found.disparity[8:-8, 24:-8] - 6).max() < 0.4
        assert len(found.notes) == 1 and f"{side} px" in found.notes[0]


def test_an_empty_range_is_said_of_large_pairs_too():
    left, right = shifted(12, 90, 200)
    for least in (40, 90):
        with pytest.raises(InputError, match="isn't above the least"):
            find(left, right, StereoSettings(min_disparity_px=least, max_disparity_px=40,
                                             max_side_px=96))  # fmt: skip
