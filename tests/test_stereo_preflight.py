"""The check before matching: every fault is named with its cause, good pairs pass, fixes mend."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import lru_cache

import numpy as np
import pytest

from core.stereo.exposure import equalised, exposure
from core.stereo.findings import extent, fitting_range
from core.stereo.pairs import SHAPES, SourceSettings, make_pair
from core.stereo.preflight import preflight
from core.stereo.prepare import PrepareSettings, fixed, prepare
from core.stereo.rows import fit_rows
from core.stereo.sparse import all_matches, sparse_matches
from core.stereo.types import StereoSettings
from core.types import InputError, Rig
from tests.bench.preflight import NAMED, Case, faults, judged, mends, moved

WORLDS = "gallery", "thin", "random"  # rich, repetitive and nearly bare


@lru_cache
def case(name: str) -> Case:
    from core.scenes import random_scene, scene, stereo_pair

    world = random_scene(77) if name == "random" else scene(name)
    pair = stereo_pair(world, {"gallery": 0.25, "thin": 0.12, "random": 0.12}[name], (320, 240))
    return Case(name, pair.left, pair.right, pair.disparity_px)


def blobs(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth random texture, RGB uint8."""
    import cv2

    rough = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)


def shifted(d: int = 12, height: int = 200, width: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """A flat scene at disparity d."""
    both = blobs(height, width + 100)
    return both[:, 50 : width + 50].copy(), both[:, 50 + d : width + 50 + d].copy()


# ---------------------------------------------------------------- naming and mending


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("how", ["good", *NAMED])
def test_every_fault_is_named_and_its_fix_mends_it(name: str, how: str):
    for seed in (0, 1):
        left, right, settings, check = judged(case(name), how, seed, 0.01)
        key = NAMED.get(how)
        assert faults(check) == ([key] if key else [])
        assert check.ok == (how == "good")
        if key and key != "same":
            assert mends(left, right, settings, check, key)[0]


def test_what_is_measured_is_true():
    left, right = shifted(12)
    check = preflight(left, right)
    assert check.ok and check.matches > 50 and check.points_left.shape == (check.matches, 2)
    assert check.vertical_px == pytest.approx(0, abs=0.05)
    assert (check.low_px, check.high_px) == pytest.approx((12, 12), abs=0.4)
    assert (check.rotation_deg, check.scale) == (0, 1)
    assert check.exposure.gain == pytest.approx(np.ones(3), abs=0.02)

    turned = preflight(left, moved(right, -1.0, 0.0))  # OpenCV's angles are counter-clockwise
    assert turned.rotation_deg == pytest.approx(1.0, abs=0.05)
    assert turned.vertical_px == pytest.approx(np.median(
        np.sin(np.radians(1)) * (turned.points_right[:, 0] - 150)), abs=0.3)  # fmt: skip
    assert "1.0° clockwise" in turned.findings[0].says

    lower = preflight(left, moved(right, 0.0, 3.0))
    assert lower.vertical_px == pytest.approx(3.0, abs=0.1)
    assert "3.0 px lower" in lower.findings[0].says


def test_a_scaled_picture_is_scaled_and_a_shift_is_none_of_its_causes():
    import cv2

    left, right = shifted(12)
    larger = cv2.warpAffine(right, cv2.getRotationMatrix2D((149.5, 99.5), 0, 1.03), (300, 200))
    check = preflight(left, larger)
    assert faults(check) == ["scaled"] and check.scale == pytest.approx(1.03, abs=0.002)


def test_cameras_that_look_towards_each_other_are_not_rectified_rather_than_rotated():
    import cv2

    left, right = case("thin").left, case("thin").right
    height, width = left.shape[:2]
    K = np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1.0]])
    turn = K @ cv2.Rodrigues(np.radians([0.0, 5.0, 0.0]))[0] @ np.linalg.inv(K)
    right = cv2.warpPerspective(right, turn, (width, height), borderMode=cv2.BORDER_REFLECT)
    wide = StereoSettings(min_disparity_px=-96, max_disparity_px=64)
    assert "not_rectified" in faults(preflight(left, right, wide))
    mended = prepare(left, right, PrepareSettings(rectify=True))
    assert not {"not_rectified", "rotated", "scaled"} & {
        *faults(preflight(mended.left, mended.right, wide))
    }


@pytest.mark.parametrize("gain, offset", [(0.5, 0), (0.7, 80), (1.0, 40), (1.6, 0)])
def test_exposure_is_measured_and_undone(gain: float, offset: float):
    left, right = shifted(12)
    left, right = (80 + 0.3 * left).astype(np.uint8), (80 + 0.3 * right).astype(np.uint8)
    other = np.clip(right * gain + offset + 0.5, 0, 255).astype(np.uint8)
    check = preflight(left, other)
    assert faults(check) == ["exposure"]
    assert check.exposure.gain == pytest.approx(np.full(3, 1 / gain), rel=0.06)
    mended = prepare(left, other, PrepareSettings(equalise=True)).right
    seen = other < 255
    assert np.abs(mended.astype(int) - right)[seen].mean() < 2


def test_one_channel_alone_can_be_too_bright():
    left, right = shifted(12)
    cast = np.clip(right * [1.0, 1.0, 0.4], 0, 255).astype(np.uint8)
    light = exposure(left, cast, *sparse_matches(left, cast))
    assert light.gain == pytest.approx([1, 1, 2.5], rel=0.05)
    assert np.abs(equalised(cast, light).astype(int) - right).mean() < 3


# ---------------------------------------------------------------- range


def test_the_range_fix_holds_the_matches_within_the_settings_bounds():
    rng = np.random.default_rng(0)
    least, most = (
        next(f for f in fields(StereoSettings) if f.name == name).metadata
        for name in ("min_disparity_px", "max_disparity_px")
    )
    check = preflight(*shifted(30), StereoSettings(max_disparity_px=16))
    (finding,) = check.findings
    assert finding.fix == "range"
    for _ in range(100):
        low = rng.uniform(-200, 400)
        high = low + rng.uniform(0, 100)
        known = replace(check, low_px=low, high_px=high)
        _, new = fixed(finding, PrepareSettings(), StereoSettings(), known)
        assert new.min_disparity_px <= low and min(high, 512) <= new.max_disparity_px
        assert new.max_disparity_px % 8 == 0 and new.min_disparity_px % 8 == 0
        assert new.min_disparity_px >= least["minimum"] and new.max_disparity_px <= most["maximum"]
        assert new.max_disparity_px - new.min_disparity_px >= 16


def test_a_far_too_long_range_is_a_hint_and_no_fault():
    check = preflight(*shifted(10), StereoSettings(max_disparity_px=256))
    assert [(f.key, f.fix, f.hint) for f in check.findings] == [("range", "range", True)]
    assert check.ok
    _, new = fixed(check.findings[0], PrepareSettings(), StereoSettings(), check)
    assert not preflight(*shifted(10), new).findings


def test_negative_disparities_are_fine_once_the_range_holds_them():
    left, right = shifted(12)
    assert faults(preflight(right, left)) == ["swapped"]
    assert not faults(preflight(right, left, StereoSettings(min_disparity_px=-32)))


def test_extent_leaves_out_the_outermost():
    values = np.array([-300, *np.linspace(10, 20, 98), 400.0])
    assert extent(values) == pytest.approx((10, 20), abs=0.3)
    assert np.isnan(extent(np.zeros(3))).all()
    assert fitting_range(10, 20) == (0, 24) and fitting_range(-5, 20) == (-16, 24)


# ---------------------------------------------------------------- rig


@pytest.mark.parametrize(
    "rig, word",
    [
        (Rig(300, 0.1, 150, 100), ""),
        (Rig(3.6, 0.1, 150, 100), "millimetres"),
        (Rig(30_000, 0.1, 150, 100), "focal length"),
        (Rig(300, 193.0, 150, 100), "unit"),
        (Rig(300, 193.0, 150, 100, unit="mm"), ""),
        (Rig(1200, 0.1, 700, 400), "another size"),
        (Rig(300, 0.1, 150, 100, doffs_px=-40), "infinity"),
        (Rig(300, 0.1, 150, 100, doffs_px=400), "baselines"),
    ],
)
def test_an_implausible_rig_is_told(rig: Rig, word: str):
    check = preflight(*shifted(12), rig=rig)
    assert faults(check) == (["rig"] if word else [])
    assert word in "".join(f.says for f in check.findings)


# ---------------------------------------------------------------- robustness


@pytest.mark.parametrize("shape", SHAPES)
def test_random_dots_raise_no_alarm(shape: str):
    for noise in (0.0, 0.3):
        pair = make_pair(SourceSettings(source="dots", dots_shape=shape, dots_noise=noise))
        assert preflight(pair.left, pair.right).ok


def test_a_checkerboard_that_repeats_raises_no_alarm():
    board = np.kron(np.indices((20, 30)).sum(0) % 2, np.ones((12, 12))).astype(np.uint8) * 255
    board = np.dstack([board] * 3)
    assert preflight(board, np.roll(board, -5, axis=1)).ok


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 300), (17, 23), (64, 48)])
def test_tiny_flat_and_black_pictures_are_too_little_to_judge(size: tuple[int, int]):
    rng = np.random.default_rng(3)
    black, grey = np.zeros((*size, 3), np.uint8), np.full((*size, 3), 90, np.uint8)
    noise = rng.integers(0, 256, (*size, 3), np.uint8)
    for left, right in ((black, grey), (black, noise), (noise, grey)):
        check = preflight(left, right)
        assert [f.key for f in check.findings] == ["few"] and check.ok
        assert np.isnan([check.low_px, check.vertical_px, check.rotation_deg]).all()
        made = prepare(left, right, PrepareSettings(swap=True, equalise=True))
        assert np.array_equal(made.left, right) and np.array_equal(made.right, left)
        with pytest.raises(InputError):
            prepare(left, right, PrepareSettings(rectify=True))
    assert [f.key for f in preflight(black, black).findings] == ["same"]


@pytest.mark.parametrize("call", [preflight, prepare])
def test_sizes_that_differ_are_told_with_what_to_do(call):
    picture = blobs(80, 120)
    with pytest.raises(InputError, match=r"120×80 px, the right one 80×120 px.*Turn one"):
        call(picture, np.rot90(picture).copy())
    with pytest.raises(InputError, match=r"120×80 px, the right one 119×80 px.*Crop"):
        call(picture, picture[:, 1:])


# ---------------------------------------------------------------- the parts


def test_sparse_matches_lie_where_they_should_in_pixels_of_the_full_picture():
    left, right = shifted(12, 240, 360)
    points_left, points_right = sparse_matches(left, right)
    assert points_left.dtype == points_right.dtype == np.float32 and len(points_left) > 100
    assert np.median(points_left - points_right, axis=0) == pytest.approx([12, 0], abs=0.02)
    small_left, small_right = sparse_matches(left, right, max_side_px=180)
    assert np.median(small_left - small_right, axis=0) == pytest.approx([12, 0], abs=0.1)
    assert small_left.max() > 250


def test_corners_are_followed_where_keypoints_are_few():
    """Bright boxes on a plain ground: their corners are all there is."""
    import cv2

    left = np.full((240, 320, 3), 60, np.uint8)
    right = left.copy()
    for x, y, d in ((40, 40, 6), (120, 150, 20), (220, 60, 14), (250, 180, 26)):
        for eye, at in ((left, x), (right, x - d)):
            cv2.rectangle(eye, (at, y), (at + 34, y + 30), (190, 160, 90), -1)
    soft = [cv2.GaussianBlur(eye, (0, 0), 1.0) for eye in (left, right)]
    points_left, points_right = all_matches(*soft)
    moves = points_left - points_right
    assert len(moves) >= 14
    assert np.mean(np.abs(moves[:, 1]) < 0.5) > 0.9
    told = [np.abs(moves[:, 0] - d).min() for d in (6, 14, 20, 26)]
    assert max(told) < 0.5


def test_rows_are_fitted_among_wrong_matches():
    rng = np.random.default_rng(5)
    left = rng.uniform((0, 0), (480, 360), (120, 2))
    right = left - np.column_stack([rng.uniform(5, 50, 120), np.zeros(120)])
    turn = np.radians(0.8)
    turned = (right - (240, 180)) @ np.array([[np.cos(turn), np.sin(turn)],
                                              [-np.sin(turn), np.cos(turn)]])  # fmt: skip
    right = turned + np.array([240, 180]) + rng.normal(0, 0.2, (120, 2))
    right[:50] = rng.uniform((0, 0), (480, 360), (50, 2))
    rows = fit_rows(left, right, (480, 360))
    assert rows.rotation_deg == pytest.approx(0.8, abs=0.05)
    assert rows.agree[50:].mean() > 0.97 and rows.agree[:50].mean() < 0.1
    nothing = fit_rows(left[:0], right[:0], (480, 360))
    assert not nothing.agree.size and np.isnan(nothing.median_px)


def test_settings_of_one_tab_have_different_names():
    names = [f.name for kind in (PrepareSettings, StereoSettings) for f in fields(kind)]
    assert len(names) == len(set(names))


def test_swapping_twice_gives_the_pictures_back():
    left, right = shifted(12)
    check = preflight(right, left)
    (finding,) = check.findings
    for before in (False, True):
        after, _ = fixed(finding, PrepareSettings(swap=before), StereoSettings(), check)
        assert after.swap is not before
