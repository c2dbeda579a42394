"""Relative depth: scale and shift come back, the errors are those worked out by hand, and scenes
that differ only in scale and shift can't be told apart.
"""

from __future__ import annotations

import numpy as np
import pytest

from core.stereo.relative import (
    SCORE_HELP,
    affine_invariant_error,
    align,
    ambiguity,
    depth_metrics,
    ground,
    row_prior,
    scores,
)
from core.types import InputError, Rig

RIG = Rig(focal_px=300, baseline=0.2, cx=160, cy=120)


def _relief(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Some inverse depth in (0, 1): hills, and pixels of every value."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(0, 5, width), np.linspace(0, 3, height))
    return 0.5 + 0.2 * np.sin(x) * np.cos(y) + 0.2 * rng.random((height, width))


# ---------------------------------------------------------------- scale and shift


@pytest.mark.parametrize("shape", [(37, 61), (1, 11), (5, 2), (401, 333)])
@pytest.mark.parametrize(("scale", "shift"), [(40.0, 3.0), (0.002, -7.0), (-5.0, 900.0)])
def test_alignment_recovers_scale_and_shift(
    shape: tuple[int, int], scale: float, shift: float
) -> None:
    inverse = _relief(*shape)
    found = align(inverse, scale * inverse + shift)
    assert found.scale == pytest.approx(scale, rel=1e-9)
    assert found.shift == pytest.approx(shift, rel=1e-9)
    assert found.used.all() and found.used.shape == shape
    assert found.residual_px == pytest.approx(0, abs=1e-9)
    assert found.disparity.dtype == np.float32
    np.testing.assert_allclose(found.disparity, scale * inverse + shift, rtol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_a_fifth_of_outliers_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    inverse = _relief(71, 93, seed)
    wrong = rng.random(inverse.shape) < 0.2
    given = np.where(wrong, rng.uniform(40, 120, inverse.shape), 30 * inverse + 5)
    found = align(inverse, given)
    assert found.scale == pytest.approx(30, rel=1e-8)
    assert found.shift == pytest.approx(5, rel=1e-8)
    np.testing.assert_array_equal(found.used, ~wrong)
    plain = np.polyfit(inverse.ravel(), given.ravel(), 1)
    assert abs(plain[1] - 5) > 3, "plain least squares is pulled away"


def test_outliers_at_the_nearest_pixels_are_left_out() -> None:
    """A thing nearer than the search range: stereo answers with something far, all over it."""
    inverse = _relief(71, 93)
    near = inverse > np.quantile(inverse, 0.9)
    found = align(inverse, np.where(near, 0.0, 30 * inverse + 5))
    assert (found.scale, found.shift) == pytest.approx((30, 5), rel=1e-8)
    np.testing.assert_array_equal(found.used, ~near)


def test_a_large_wall_does_not_hide_the_scale() -> None:
    """Four fifths at one depth fix no slope: the rest must."""
    rng = np.random.default_rng(1)
    inverse = _relief(80, 100)
    inverse[:64] = 0.5 + rng.normal(0, 1e-3, (64, 100))
    found = align(inverse, 30 * inverse + 5 + rng.normal(0, 0.2, inverse.shape))
    assert (found.scale, found.shift) == pytest.approx((30, 5), rel=0.01)


def test_noise_averages_out() -> None:
    rng = np.random.default_rng(2)
    inverse = _relief(200, 301)
    found = align(inverse, 30 * inverse + 5 + rng.normal(0, 0.5, inverse.shape))
    # 60,000 pixels with deviation 0.5: the line is known to some thousandths
    np.testing.assert_allclose(found.disparity, 30 * inverse + 5, atol=0.02)
    assert found.residual_px == pytest.approx(0.6745 * 0.5, rel=0.02)


def test_unknown_and_masked_pixels_are_not_asked() -> None:
    inverse = _relief(41, 53)
    given = 30 * inverse + 5
    mask = np.ones(given.shape, bool)
    given[:30], mask[:20] = 1000.0, False  # three quarters wrong, but not asked:
    given[20:30] = np.nan
    inverse[35:37], inverse[38] = np.nan, np.inf
    found = align(inverse, given, mask)
    assert (found.scale, found.shift) == pytest.approx((30, 5), rel=1e-9)
    assert not found.used[:30].any() and not found.used[35:37].any()
    assert found.used[39].all()
    assert np.isnan(found.disparity[35:37]).all() and np.isnan(found.disparity[38]).all()
    assert np.isfinite(found.disparity[:30]).all(), "the map answers where stereo doesn't"


@pytest.mark.parametrize(
    ("inverse", "disparity", "mask", "words"),
    [
        (_relief(3, 3), _relief(3, 3), None, "Only 9 pixels"),
        (_relief(9, 9), np.full((9, 9), np.nan), None, "Only 0 pixels"),
        (_relief(9, 9), _relief(9, 9), np.zeros((9, 9), bool), "Only 0 pixels"),
        (np.full((9, 9), 0.3), _relief(9, 9), None, "same everywhere"),
        (np.zeros((9, 9)), _relief(9, 9), None, "same everywhere"),
        (_relief(9, 9), _relief(9, 8), None, "(9, 9)"),
        (_relief(9, 9), _relief(9, 9), np.ones((8, 9), bool), "(8, 9)"),
        (_relief(9, 9)[0], _relief(9, 9)[0], None, "(9,)"),
    ],
)
def test_what_cannot_be_aligned_is_told(
    inverse: np.ndarray, disparity: np.ndarray, mask: np.ndarray | None, words: str
) -> None:
    with pytest.raises(InputError) as error:
        align(inverse, disparity, mask)
    assert words in str(error.value) and str(error.value).endswith(".")


def test_a_wall_of_one_disparity_has_scale_zero() -> None:
    found = align(row_prior((20, 31)), np.full((20, 31), 12.0))
    assert found.scale == pytest.approx(0, abs=1e-9)
    assert found.shift == pytest.approx(12)


# ---------------------------------------------------------------- errors


def test_affine_invariant_error_by_hand() -> None:
    # median 3, mean deviation 11/5; median 2, mean deviation 6/5
    d, truth = np.array([1.0, 2, 3, 4, 10]), np.array([0.0, 1, 2, 3, 4])
    assert affine_invariant_error(d, truth) == pytest.approx(20 / 33)
    d = np.append(d, [np.nan, 7])  # unknown in one of them: not counted
    truth = np.append(truth, [9, np.nan])
    assert affine_invariant_error(d, truth) == pytest.approx(20 / 33)


@pytest.mark.parametrize(("scale", "shift"), [(7.0, 0.0), (0.01, -3.0), (1.0, 1000.0)])
def test_affine_invariant_error_forgets_scale_and_shift(scale: float, shift: float) -> None:
    d, truth = _relief(31, 47, 1), _relief(31, 47, 2)
    error = affine_invariant_error(d, truth)
    assert error > 0.1
    assert affine_invariant_error(scale * d + shift, truth) == pytest.approx(error, rel=1e-9)
    assert affine_invariant_error(d, scale * truth + shift) == pytest.approx(error, rel=1e-9)
    assert affine_invariant_error(scale * d + shift, d) == pytest.approx(0, abs=1e-9)
    assert affine_invariant_error(-d, truth) != pytest.approx(error, rel=0.1), "near is not far"


@pytest.mark.parametrize("d", [np.full((4, 5), 2.0), np.full((4, 5), np.nan), _relief(5, 4)])
def test_affine_invariant_error_refuses(d: np.ndarray) -> None:
    with pytest.raises(InputError):
        affine_invariant_error(d, _relief(4, 5))


def test_depth_metrics_by_hand() -> None:
    truth = np.array([[1.0, 2.0, 4.0, np.nan], [5.0, 8.0, 2.0, 0.0]])
    depth = np.array([[1.2, 1.0, 4.0, 3.0], [np.nan, 8.0, -1.0, 3.0]])
    found = depth_metrics(depth, truth)
    # counted are 1.2 for 1, 1 for 2, 4 for 4, 8 for 8; 6 pixels have a truth
    assert found["abs_rel"] == pytest.approx((0.2 + 0.5) / 4)
    assert found["rmse"] == pytest.approx(np.sqrt((0.04 + 1) / 4))
    assert found["delta_1"] == pytest.approx(3 / 4)
    assert found["placed"] == pytest.approx(4 / 6)
    none = depth_metrics(np.full((2, 4), np.inf), truth)
    assert none["placed"] == 0 and np.isnan([none["abs_rel"], none["rmse"], none["delta_1"]]).all()
    with pytest.raises(InputError):
        depth_metrics(depth, np.zeros((2, 4)))


def test_scores_of_the_truth_are_perfect() -> None:
    disparity = 5 + 30 * _relief(33, 47)
    found = scores(disparity, disparity, RIG)
    assert set(found) == set(SCORE_HELP)
    best = {"affine_invariant": 0, "abs_rel": 0, "rmse": 0, "delta_1": 1, "placed": 1}
    assert found == pytest.approx(best)
    assert set(scores(disparity, disparity)) == {"affine_invariant"}, "no rig, no depth"


# ---------------------------------------------------------------- relative and metric


def test_other_scenes_share_the_error_zero() -> None:
    depth = 1 / _relief(37, 53)
    larger = ambiguity(depth, scale=0.5)  # half the inverse depth is twice the depth
    np.testing.assert_allclose(larger.depth, 2 * depth, rtol=1e-6)
    assert larger.error == pytest.approx(0, abs=1e-9) and larger.beyond == 0
    assert larger.metrics["abs_rel"] == pytest.approx(1) and larger.metrics["delta_1"] == 0

    squeezed = ambiguity(depth, shift=2.0)
    assert squeezed.error == pytest.approx(0, abs=1e-9)
    ratio = depth / squeezed.depth
    assert (ratio > 1).all() and ratio.max() / ratio.min() > 1.3, "shift is no scale"
    order = np.argsort(depth.ravel())
    assert (np.diff(squeezed.depth.ravel()[order]) >= 0).all(), "what is farther stays farther"


def test_shift_is_in_units_of_the_spread_and_reaches_infinity() -> None:
    inverse = np.array([[1.0, 2.0, 3.0, 4.0, 5.0]])  # median 3, mean deviation 6/5
    made = ambiguity(1 / inverse, scale=2.0, shift=-1.0)
    other = 2 * (inverse - 1.2)
    np.testing.assert_allclose(made.depth[:, 1:], 1 / other[:, 1:], rtol=1e-6)
    assert np.isnan(made.depth[0, 0]) and made.beyond == pytest.approx(1 / 5)
    assert made.metrics["placed"] == pytest.approx(4 / 5)
    assert made.error == pytest.approx(0, abs=1e-12)


def test_ambiguity_keeps_unknown_unknown_and_nothing_is_the_same_scene() -> None:
    depth = 1 / _relief(20, 31)
    depth[3:7] = np.nan
    same = ambiguity(depth)
    np.testing.assert_allclose(same.depth, depth, rtol=1e-6)
    assert same.beyond == 0 and same.metrics["delta_1"] == 1


@pytest.mark.parametrize(("scale", "shift"), [(0, 0), (-1, 0), (np.nan, 0), (1, np.inf)])
def test_ambiguity_refuses(scale: float, shift: float) -> None:
    with pytest.raises(InputError):
        ambiguity(1 / _relief(9, 9), scale, shift)
    for depth in (np.full((9, 9), 2.0), np.full((9, 9), np.nan), np.zeros((9, 9))):
        with pytest.raises(InputError):
            ambiguity(depth)


# ---------------------------------------------------------------- lower is nearer


@pytest.mark.parametrize("doffs_px", [0.0, 9.5])
@pytest.mark.parametrize("tilt_deg", [0.0, 17.0, -8.0])
def test_on_flat_ground_the_row_says_it_all(doffs_px: float, tilt_deg: float) -> None:
    """A camera 160 cm above a plane: depth, horizon, tilt and height come back."""
    rig = Rig(300, 20, 160, 60.5, doffs_px=doffs_px, unit="cm", focal_y_px=280)
    tilt = np.radians(tilt_deg)
    rows = np.arange(161) + 0.5
    inverse = (np.cos(tilt) * (rows - rig.cy) / 280 + np.sin(tilt)) / 160
    seen = inverse > 0
    disparity = np.where(seen, 300 * 20 * inverse - doffs_px, np.nan)
    disparity = np.repeat(disparity[:, None], 95, 1)
    found = align(row_prior(disparity.shape), disparity)
    np.testing.assert_allclose(found.disparity[seen], disparity[seen], atol=1e-4)
    plane = ground(found, rig)
    assert plane.horizon_px == pytest.approx(60.5 - 280 * np.tan(tilt), abs=1e-4)
    assert plane.tilt_deg == pytest.approx(tilt_deg, abs=1e-5)
    assert plane.camera_height == pytest.approx(160, rel=1e-6)
    best = scores(found.disparity, disparity, rig)
    assert best["abs_rel"] < 1e-4 and best["affine_invariant"] < 1e-4


def test_row_prior_knows_only_rows() -> None:
    prior = row_prior((4, 3))
    np.testing.assert_allclose(prior[:, 0], [0.125, 0.375, 0.625, 0.875])
    assert prior.shape == (4, 3) and prior.dtype == np.float32
    assert (prior == prior[:, :1]).all()


def test_a_ceiling_is_no_ground() -> None:
    prior = row_prior((30, 40))
    with pytest.raises(InputError, match="lower isn't nearer"):
        ground(align(prior, 9 - 5 * prior), RIG)


def test_the_rule_finds_the_table_of_a_rendered_scene() -> None:
    """Things stand on the table and fill a third of the picture; the fit leaves them out."""
    from core.scenes import scene, stereo_pair

    made = scene("tabletop")
    pair = stereo_pair(made, size=(123, 91))
    truth = pair.disparity_px
    found = align(row_prior(truth.shape), truth, ~pair.occluded)
    plane = ground(found, pair.rig)
    away = np.asarray(made.target) - made.eye
    tilt_deg = np.degrees(np.arcsin(-away[2] / np.linalg.norm(away)))
    assert plane.camera_height == pytest.approx(made.eye[2], rel=1e-4)
    assert plane.tilt_deg == pytest.approx(tilt_deg, abs=0.01)
    share = found.used[np.isfinite(truth)].mean()
    assert 0.4 < share < 0.8
    rule = affine_invariant_error(found.disparity, truth)
    assert 0.1 < rule < 0.8, "not nothing, not the truth"
