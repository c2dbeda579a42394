"""Stereo methods against answers that are known: shifts, loops written out, two planes."""

from __future__ import annotations

import numpy as np
import pytest

from core.runtime import Stopped
from core.stereo import cost, paths, planes, refine
from core.stereo.methods import Found, find, method_volumes, solve
from core.stereo.types import METHODS, MODES, WINDOW_COSTS, StereoSettings
from core.types import InputError

OURS = [m for m in METHODS if m in ("refined", "sgbm", "block")]
WAYS = [dict(method=m) for m in OURS] + [
    dict(method="block", window_cost=c, window_px=7) for c in WINDOW_COSTS if c != "bm"
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
    assert np.abs(inner - shift).max() < 0.35
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
    assert np.abs(found.disparity[:, :20] - 20).mean() < 0.5
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
    assert np.mean(np.abs(found.disparity - 9) < 0.5) > 0.97


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


# ---------------------------------------------------------------- costs


def test_windows_of_sad_equal_the_sum_written_out():
    left, right = texture(17, 23, 1), texture(17, 23, 2)
    settings = StereoSettings(method="block", window_cost="sad", window_px=5, max_disparity_px=8)
    volume = cost.windowed(left, right, settings)
    for y, x, d in ((8, 12, 0), (5, 14, 7), (11, 18, 3)):
        one = left[y - 2 : y + 3, x - 2 : x + 3].astype(float)
        two = right[y - 2 : y + 3, x - 2 - d : x + 3 - d].astype(float)
        assert volume[y, x, d] == pytest.approx(np.abs(one - two).mean() / 255 * 1000, abs=1.0)


def test_zncc_is_the_correlation_of_the_windows():
    left, right = texture(17, 23, 1), texture(17, 23, 2)
    settings = StereoSettings(method="block", window_cost="zncc", window_px=7, max_disparity_px=8)
    volume = cost.windowed(left, right, settings)
    a, b = cost.grey(left).astype(float), cost.grey(right).astype(float)
    one, two = a[5:12, 9:16], b[5:12, 5:12]
    correlation = np.corrcoef(one.ravel(), two.ravel())[0, 1]
    assert volume[8, 12, 4] == pytest.approx(500 * (1 - correlation), abs=0.5)


def test_census_counts_neighbours_whose_order_differs():
    left, right = texture(19, 27, 1), texture(19, 27, 2)
    settings = StereoSettings(method="block", window_cost="census", max_disparity_px=8)
    a, b = cost.grey(left).astype(int), cost.grey(right).astype(int)
    one, two = a[6:13, 9:18] < a[9, 13], b[6:13, 6:15] < b[9, 10]
    count = int((one != two).sum())
    assert cost.volume(left, right, settings)[9, 13, 3] == int(np.float32(1000 / 62) * count)


@pytest.mark.parametrize("kind", cost.KINDS)
def test_volumes_have_their_scale_and_say_where_there_is_no_partner(kind):
    left, right = texture(15, 31, 1), texture(15, 31, 2)
    settings = StereoSettings(min_disparity_px=-4, max_disparity_px=12)
    volume = cost.volume(left, right, settings, kind)
    assert volume.shape == (15, 31, 16) and volume.dtype == np.int16
    assert volume.min() >= 0 and volume.max() <= cost.FULL
    assert (volume[:, :5, 4 + 5] == cost.NOWHERE).all()  # x < d
    assert (volume[:, -4:, 0] == cost.NOWHERE).all()  # x − d ≥ width
    same = cost.volume(left, left, settings, kind)
    assert (same[..., 4] == 0).all() or kind == "zncc"


def test_the_right_volume_is_the_left_one_along_diagonals():
    left, right = texture(9, 21, 1), texture(9, 21, 2)
    settings = StereoSettings(min_disparity_px=-3, max_disparity_px=8)
    volume = cost.volume(left, right, settings, "census")
    turned = cost.right_volume(volume, settings)
    for x, d in ((0, 0), (5, 7), (10, -3), (13, 7)):
        assert (turned[:, x, d + 3] == volume[:, x + d, d + 3]).all()
    assert (turned[:, 20, 4] == cost.NOWHERE).all()
    assert (refine.right_winner(volume, -3)[:, 3:13] == turned.argmin(2)[:, 3:13] - 3).all()


# ---------------------------------------------------------------- paths


def written_out(volume, price, p1, direction):
    """One path, pixel by pixel, as Hirschmüller's equation 13 says."""
    dx, dy = direction
    height, width, count = volume.shape
    out = volume.astype(np.int64).copy()
    for y in range(height) if dy >= 0 else range(height - 1, -1, -1):
        for x in range(width) if dx >= 0 else range(width - 1, -1, -1):
            if not (0 <= y - dy < height and 0 <= x - dx < width):
                continue
            last = out[y - dy, x - dx]
            for d in range(count):
                ways = [last[d], last.min() + price[y, x]]
                ways += [last[e] + p1 for e in (d - 1, d + 1) if 0 <= e < count]
                out[y, x, d] = volume[y, x, d] + min(ways) - last.min()
    return out


@pytest.mark.parametrize("direction", paths.DIRECTIONS[8])
def test_a_path_equals_the_loop(direction):
    rng = np.random.default_rng(4)
    volume = rng.integers(0, 1000, (6, 7, 5)).astype(np.int16)
    guide = rng.integers(0, 256, (6, 7, 3)).astype(np.uint8)
    price = paths.jump_price(guide, 40, 300, direction).astype(int)
    assert price.min() >= 40 and price.max() <= 300 and len(np.unique(price)) > 5
    found = paths.path(volume, guide, 40, 300, direction)
    assert (found == written_out(volume, price, 40, direction)).all()


@pytest.mark.parametrize("directions", [4, 8])
def test_aggregation_is_the_sum_of_its_paths(directions):
    rng = np.random.default_rng(5)
    volume = rng.integers(0, 1000, (9, 5, 6)).astype(np.int16)
    guide = rng.integers(0, 256, (9, 5)).astype(np.uint8)
    total = paths.aggregate(volume, guide, 50, 400, directions=directions)
    parts = [paths.path(volume, guide, 50, 400, d) for d in paths.DIRECTIONS[directions]]
    assert (total == sum(p.astype(int) for p in parts)).all()


def test_without_prices_every_path_is_the_raw_cost():
    volume = np.random.default_rng(6).integers(0, 1000, (5, 8, 7)).astype(np.int16)
    guide = np.zeros((5, 8, 3), np.uint8)
    assert (paths.path(volume, guide, 0, 0, (1, 0)) == volume).all()
    assert (paths.aggregate(volume, guide, 0, 0) == 8 * volume).all()


def test_the_highest_prices_do_not_overflow():
    volume = np.full((12, 12, 9), cost.FULL, np.int16)
    volume[..., 4] = 0
    guide = np.zeros((12, 12), np.uint8)
    total = paths.aggregate(volume, guide, paths.HIGHEST, paths.HIGHEST)
    assert total.min() == 0 and total.max() <= 8 * (cost.FULL + paths.HIGHEST)


# ---------------------------------------------------------------- check and fill


def test_the_check_masks_exactly_what_is_hidden():
    left, _, disparity, other = two_planes()
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
    assert ("OpenCV" in volumes.note) == (way in (dict(method="sgbm"), dict(method="block")))


def test_any_cost_volume_can_be_solved():
    """A volume that knows the answer gives it back: the way that a learned cost takes."""
    left, _, truth, _ = two_planes()
    settings = StereoSettings(max_disparity_px=24)
    volume = np.full((*truth.shape, 24), cost.FULL, np.int16)
    np.put_along_axis(volume, truth.astype(int)[..., None], 0, 2)
    found = solve(volume, left, settings)
    assert np.mean(np.abs(found.disparity - truth) < 0.5) > 0.97
