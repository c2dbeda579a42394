"""Costs and paths of stereo against sums and loops written out."""

from __future__ import annotations

import numpy as np
import pytest

from core.stereo import cost, paths, refine
from core.stereo.types import StereoSettings
from tests.test_stereo_methods import texture

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


def test_the_right_picture_is_served_by_the_same_volume_along_its_diagonals():
    left, right = texture(9, 21, 1), texture(9, 21, 2)
    settings = StereoSettings(min_disparity_px=-3, max_disparity_px=8)
    volume = cost.volume(left, right, settings, "census")
    found = refine.right_winner(volume, -3)
    for x in range(3, 13):  # where all partners x + d lie inside
        seen = np.stack([volume[:, x + d, d + 3] for d in range(-3, 8)], -1)
        assert (found[:, x] == seen.argmin(-1) - 3).all()


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
