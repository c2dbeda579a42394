"""The matching engine against answers that are known: warps, hand-made descriptors, cameras."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.images import digest, load
from core.matching import (
    Candidates,
    Features,
    GeometrySettings,
    MatchResult,
    MatchSettings,
    epipolar_error_px,
    errors_px,
    estimate,
    match,
    pose_error_deg,
    select,
    transfer_error_px,
)
from core.matching.neighbours import candidates, deciding_ratio, keep
from core.matching.pairs import PairSettings
from core.matching.run import NEAR_LINE, compare, run, scored
from core.matching.truth import load_truth
from core.matching.types import CHECKS, USES, Pair, Truth
from core.metrics import auc, corner_error_px, psnr
from core.recipe import Recipe
from core.types import InputError
from demos.matching_panels import headline, lines_for

ROOT = Path(__file__).parents[1]
GRAF = ROOT / "../shared/data/matching/graf"
SHIFT = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # OpenCV's pixel centres to ours
MILD = np.array([[0.93, -0.21, 41.3], [0.17, 1.04, -23.7], [2e-4, 1e-4, 1.0]])


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """RGB uint8 with detail at every scale: smooth noise of many sizes, and hard-edged blobs."""
    import cv2

    rng = np.random.default_rng(seed)
    total = np.zeros((height, width))
    for cell in (3, 7, 15, 33, 71):
        grid = rng.normal(size=(height // cell + 3, width // cell + 3))
        big = cv2.resize(grid, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC)
        smooth = big[cell : cell + height, cell : cell + width]
        total += smooth + 0.8 * np.sign(smooth) * (cell > 7)
    grey = 128 + 45 * total / total.std()
    tint = cv2.GaussianBlur(rng.normal(0, 40, (height, width, 3)), (0, 0), 9) * 4
    return np.clip(grey[..., None] + tint, 0, 255).astype(np.uint8)


def warped(image: np.ndarray, H: np.ndarray) -> np.ndarray:
    """The picture under H (our pixel centres), each pixel the mean of 3×3 samples."""
    import cv2

    height, width = image.shape[:2]
    fine = np.diag([3.0, 3.0, 1.0]) @ H  # to a picture three times as large
    H_cv = np.linalg.inv(SHIFT) @ fine @ SHIFT
    big = cv2.warpPerspective(image, H_cv, (3 * width, 3 * height), flags=cv2.INTER_CUBIC)
    return cv2.resize(big, (width, height), interpolation=cv2.INTER_AREA)


def made_result(points0: np.ndarray, points1: np.ndarray, size=(640, 480)) -> MatchResult:
    """A result whose matches are the given points, one to one, all kept."""
    n = len(points0)
    one, nan = np.ones(n, np.float32), np.full(n, np.nan, np.float32)
    f0, f1 = (Features(p.astype(np.float32), one, nan, one) for p in (points0, points1))
    index = np.arange(n, dtype=np.int32)
    found = Candidates(
        np.column_stack([index, index]), one, nan, np.full(n, -1, np.int32), one > 0, nan
    )
    settings, geometry = MatchSettings(), GeometrySettings()
    return MatchResult(
        f0, f1, found, kept=one > 0, scores=one, inliers=one > 0, model=None, size0=size,
        size1=size, settings=settings, geometry=geometry, seconds={},
        recipe=Recipe("matching", "", (settings, geometry)),
    )  # fmt: skip


def two_views(n: int = 200, noise: float = 0.0, wrong: int = 0):
    """K, R, t and the pixels of random points in a box seen by two cameras."""
    rng = np.random.default_rng(3)
    world = rng.uniform([-2, -1.5, 4], [2, 1.5, 8], (n, 3))
    a, b = np.radians([8, -5])
    Ry = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    Rx = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    R, t = Ry @ Rx, np.array([-0.8, 0.1, 0.2])
    K = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])

    def seen(X):
        x = X @ K.T
        return x[:, :2] / x[:, 2:]

    p0, p1 = seen(world), seen(world @ R.T + t)
    p1 = p1 + rng.normal(0, noise, p1.shape) if noise else p1
    if wrong:
        p1[:wrong] = rng.uniform([0, 0], [640, 480], (wrong, 2))
    return K, R, t, p0, p1


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return texture(243, 331)


@pytest.fixture(scope="module")
def sift_result(picture) -> MatchResult:
    return match(picture, warped(picture, MILD))


# ---------------------------------------------------------------- known homographies


@pytest.mark.parametrize(
    "method, limit_px",
    [("sift", 0.2), ("orb", 0.9), ("sift-flann", 0.2), ("orb-flann", 0.9), ("affine-sift", 0.3)],
)
def test_known_homography_is_recovered(picture, method, limit_px):
    settings = MatchSettings(method=method, max_keypoints=512)
    result = match(picture, warped(picture, MILD), settings)
    assert corner_error_px(result.model, MILD, result.size0) < limit_px
    assert result.inliers.sum() > 50
    assert result.keypoints0.dtype == np.float32 and result.matches.dtype == np.int32
    assert result.scores.min() >= 0 and result.scores.max() <= 1


def test_template_finds_a_shift(picture):
    H = np.array([[1, 0, 17.0], [0, 1, -11.0], [0, 0, 1]])
    result = match(picture, warped(picture, H), MatchSettings(method="template"))
    assert corner_error_px(result.model, H, result.size0) < 0.15
    assert np.isnan(result.features0.angle_deg).all()
    assert len(result.features1) == 2 * len(result.features0)


@pytest.mark.parametrize("method", ["sift", "orb", "affine-sift"])
def test_twice_the_size_has_no_shift(picture, method):
    """Our pixel centres: doubling the picture doubles every coordinate, with nothing added.

    ORB's points scatter by more than a pixel, so its shift shows only over many of them.
    """
    import cv2

    if method == "affine-sift":
        picture = picture[:151, :173]
    double = cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    result = match(picture, double, MatchSettings(method=method, max_keypoints=2000))
    offset = np.median((result.points1 - 2 * result.points0)[result.inliers], axis=0)
    assert np.abs(offset).max() < 0.15


def test_reduced_pictures_report_full_coordinates(picture):
    double = np.repeat(np.repeat(picture, 2, axis=0), 2, axis=1)
    result = match(picture, double, MatchSettings(max_side_px=352))
    assert corner_error_px(result.model, np.diag([2.0, 2, 1]), result.size0) < 0.5
    assert result.size1 == (662, 486)
    assert any("Picture 1 (662×486 px) was reduced" in n for n in result.notes)


def test_angles_turn_with_the_picture(picture):
    """A quarter turn counter-clockwise lowers every clockwise angle by 90 degrees."""
    result = match(picture, np.ascontiguousarray(np.rot90(picture)))
    i, j = result.matches[result.inliers].T
    change = (result.features1.angle_deg[j] - result.features0.angle_deg[i] + 90) % 360
    assert np.median(np.minimum(change, 360 - change)) < 2


@pytest.mark.skipif(not GRAF.is_dir(), reason="../shared/data/matching/graf is not here")
def test_graf_to_its_second_view():
    truth = SHIFT @ np.loadtxt(GRAF / "H1to2p") @ np.linalg.inv(SHIFT)
    result = match(load(GRAF / "img1.png"), load(GRAF / "img2.png"))
    assert corner_error_px(result.model, truth, result.size0) < 2


# ---------------------------------------------------------------- neighbours


def points(*rows) -> Features:
    descriptors = np.array(rows, np.float32)
    n = len(descriptors)
    one = np.ones(n, np.float32)
    xy = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
    return Features(xy, one, one, one, descriptors)


def test_ratio_and_cross_check_by_hand():
    """Picture 1 has descriptors at (0,0), (4,0), (0,6).

    (1,0) is 1 from the first and 3 from the second: ratio 1/3. (3,0) is 1 from the second and 3
    from the first: 1/3. (0,3.5) is 2.5 from the third and 3.5 from the first: 0.714. (1.5,0) is
    1.5 from the first, 2.5 from the second: 0.6, but the first is nearer to (1,0).
    """
    c = candidates(
        points((1, 0), (3, 0), (0, 3.5), (1.5, 0)), points((0, 0), (4, 0), (0, 6)), MatchSettings()
    )
    assert c.pairs.tolist() == [[0, 0], [1, 1], [2, 2], [3, 0]]
    assert c.second.tolist() == [1, 0, 0, 1]
    np.testing.assert_allclose(c.distance, [1, 1, 2.5, 1.5], rtol=1e-6)
    np.testing.assert_allclose(c.ratio, [1 / 3, 1 / 3, 5 / 7, 0.6], rtol=1e-6)
    assert c.mutual.tolist() == [True, True, True, False]
    # Back: (0,0) is 1 and 1.5 away; (4,0) 1 and 2.5; (0,6) 2.5 and √(1.5² + 6²).
    np.testing.assert_allclose(
        c.back_ratio, [1 / 1.5, 1 / 2.5, 2.5 / np.hypot(1, 6), 1 / 1.5], rtol=1e-6
    )

    def kept(**settings):
        return keep(c, MatchSettings(**settings)).tolist()

    assert kept(ratio=0.7) == [True, True, False, False]
    assert kept(ratio=0.7, cross_check=False) == [True, True, False, True]
    assert kept(ratio=1.0) == [True, True, True, False]
    assert kept(ratio=1.0, cross_check=False) == [True] * 4
    assert kept(ratio=0.5, mutual_check=True) == [False, True, False, False]


def test_what_the_ratio_test_looks_at_by_hand():
    """The same four: forward 1/3, 1/3, 5/7, 0.6, back 1/1.5, 0.4, 2.5/√37, 1/1.5."""
    there = points((1, 0), (3, 0), (0, 3.5), (1.5, 0))
    c = candidates(there, points((0, 0), (4, 0), (0, 6)), MatchSettings())
    one, both = (deciding_ratio(c, MatchSettings(mutual_check=on)) for on in (False, True))
    np.testing.assert_allclose(one, [1 / 3, 1 / 3, 5 / 7, 0.6], rtol=1e-6)
    np.testing.assert_allclose(both, [2 / 3, 0.4, 5 / 7, 2 / 3], rtol=1e-6)
    lone = candidates(points((1, 0)), points((0, 0)), MatchSettings())
    assert np.isnan(deciding_ratio(lone, MatchSettings(mutual_check=True))).all()
    twice = candidates(points((1, 1)), points((1, 1), (1, 1)), MatchSettings())
    assert deciding_ratio(twice, MatchSettings()).tolist() == [1]


def test_a_lone_descriptor_has_no_runner_up_and_passes():
    c = candidates(points((1, 0), (5, 0)), points((0, 0)), MatchSettings())
    assert np.isnan(c.second_distance).all() and c.second.tolist() == [-1, -1]
    assert keep(c, MatchSettings()).tolist() == [True, False]  # the second isn't mutual


def test_two_perfect_matches_are_ambiguous():
    """Distance 0 twice: the ratio is 0/0, and nothing tells the two apart."""
    c = candidates(points((1, 1), (9, 9)), points((1, 1), (1, 1), (9, 9)), MatchSettings())
    assert keep(c, MatchSettings(cross_check=False)).tolist() == [False, True]


@pytest.mark.parametrize("kind", ["float", "bits"])
def test_brute_force_equals_opencv(kind):
    import cv2

    rng = np.random.default_rng(0)
    if kind == "float":
        a, b = rng.random((157, 128), np.float32), rng.random((203, 128), np.float32)
        matcher, settings = cv2.BFMatcher(cv2.NORM_L2), MatchSettings()
    else:
        a, b = (rng.integers(0, 256, (n, 32)).astype(np.uint8) for n in (157, 203))
        matcher, settings = cv2.BFMatcher(cv2.NORM_HAMMING), MatchSettings(method="orb")
    f0, f1 = points(*a), points(*b)
    f0, f1 = dataclasses.replace(f0, descriptors=a), dataclasses.replace(f1, descriptors=b)
    c = candidates(f0, f1, settings)
    expected = matcher.knnMatch(a, b, 2)
    assert c.pairs[:, 1].tolist() == [m.trainIdx for m, _ in expected]
    np.testing.assert_allclose(c.distance, [m.distance for m, _ in expected], rtol=1e-5)
    np.testing.assert_allclose(c.second_distance, [m.distance for _, m in expected], rtol=1e-5)
    back = {(m.trainIdx, m.queryIdx) for m in matcher.match(b, a)}
    assert c.mutual.tolist() == [tuple(p) in back for p in c.pairs.tolist()]


@pytest.mark.parametrize("method", ["sift", "affine-sift"])
def test_chunks_change_nothing(method):
    rng = np.random.default_rng(1)
    a, b = points(*rng.random((101, 16))), points(*rng.random((67, 16)))
    whole = candidates(a, b, MatchSettings(method=method))
    for chunk in (1, 67 * 7, 67 * 100):
        parts = candidates(a, b, MatchSettings(method=method), chunk=chunk)
        for name in ("pairs", "distance", "second_distance", "second", "mutual", "back_ratio"):
            np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-5)


def test_flann_agrees_mostly_with_brute_force(picture):
    other = warped(picture, MILD)
    for method in ("sift", "orb"):
        exact = match(picture, other, MatchSettings(method=method))
        approximate = match(picture, other, MatchSettings(method=method + "-flann"))
        same = set(map(tuple, exact.matches)) & set(map(tuple, approximate.matches))
        assert len(same) > 0.8 * len(exact.matches)


# ---------------------------------------------------------------- errors, by hand


def test_transfer_error():
    H = np.diag([2.0, 2.0, 1.0])
    error = transfer_error_px(H, np.array([[1.0, 2], [3, 4]]), np.array([[2.0, 4], [9, 12]]))
    np.testing.assert_allclose(error, [0, 5])  # (6, 8) to (9, 12)
    horizon = np.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 0]])
    assert transfer_error_px(horizon, np.array([[0.0, 1]]), np.zeros((1, 2)))[0] == np.inf


def test_epipolar_error():
    """F of a pure sideways shift: x1ᵀ F x0 = y0 − y1, so lines are rows. Doubled rows tell sides."""
    F = np.array([[0.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    p0, p1 = np.array([[10.0, 20]]), np.array([[77.0, 23]])
    assert epipolar_error_px(F, p0, p1)[0] == pytest.approx(3)
    assert epipolar_error_px(F, p0, p1, symmetric=True)[0] == pytest.approx(3)
    F2 = np.array([[0.0, 0, 0], [0, 0, -1], [0, 2, 0]])  # y1 = 2 y0
    assert epipolar_error_px(F2, p0, p1)[0] == pytest.approx(17)  # 40 − 23
    assert epipolar_error_px(F2, p1, p0)[0] == pytest.approx(26)  # 46 − 20
    assert epipolar_error_px(F2, p0, p1, symmetric=True)[0] == pytest.approx(17)
    # From x1 back: the line in picture 0 is y0 = 11.5, 8.5 away.


def test_points_of_known_cameras_lie_on_their_lines():
    K, R, t, p0, p1 = two_views()
    cross = np.array([[0, -t[2], t[1]], [t[2], 0, -t[0]], [-t[1], t[0], 0]])
    F = np.linalg.inv(K).T @ cross @ R @ np.linalg.inv(K)
    assert epipolar_error_px(F, p0, p1, symmetric=True).max() < 1e-9
    assert epipolar_error_px(F, p0, p1 + np.array([0, 5]), symmetric=True).min() > 1


def test_pose_error():
    c, s = np.cos(np.radians(10)), np.sin(np.radians(10))
    R = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    rotation, direction = pose_error_deg(R, np.array([0, 3, 0]), np.eye(3), np.array([1, 0, 0]))
    assert rotation == pytest.approx(10) and direction == pytest.approx(90)
    ahead = np.array([0, 0, 1.0])
    assert pose_error_deg(np.diag([1, -1, -1]), ahead, np.eye(3), 2 * ahead) == (180, 0)
    assert np.isnan(pose_error_deg(R, np.zeros(3), R, np.ones(3))[1])


def test_auc():
    # One error of 2: recall climbs from (0, 0) to (2, 1), then stays 1: (1 + 2) / 4 up to 4.
    assert auc([2], [4]) == [pytest.approx(0.75)]
    assert auc([0, 0], [1, 5]) == [pytest.approx(1), pytest.approx(1)]
    assert auc([np.inf, 20], [10]) == [0]
    # Errors 1 and 3 and a failure, up to 4: ½·1·⅓ + ½(⅓+⅔)·2 + ⅔·1 = 11/6.
    assert auc([3, np.nan, 1], [4]) == [pytest.approx(11 / 24)]
    assert np.isnan(auc([], [3])).all()


def test_corner_error_and_psnr():
    shift = np.array([[1, 0, 3], [0, 1, 4], [0, 0, 1.0]])
    assert corner_error_px(shift, np.eye(3), (7, 5)) == pytest.approx(5)
    assert corner_error_px(None, np.eye(3), (7, 5)) == np.inf
    a = np.zeros((3, 5, 3), np.uint8)
    assert psnr(a, a) == np.inf
    assert psnr(a, a + 255) == 0
    assert psnr(np.zeros((2, 2)), np.full((2, 2), 0.1)) == pytest.approx(20)


# ---------------------------------------------------------------- estimation


@pytest.mark.parametrize("estimator", ["magsac", "ransac", "lmeds"])
@pytest.mark.parametrize("geometry", ["homography", "affine", "fundamental", "essential"])
def test_every_geometry_by_every_estimator(geometry, estimator):
    if geometry in ("homography", "affine"):
        truth = MILD if geometry == "homography" else np.vstack([MILD[:2], [0, 0, 1]])
        p0 = np.random.default_rng(0).uniform([0, 0], [640, 480], (200, 2))
        q = np.column_stack([p0, np.ones(200)]) @ truth.T
        p1 = q[:, :2] / q[:, 2:]
        p1[:60] = np.random.default_rng(1).uniform([0, 0], [640, 480], (60, 2))
    else:
        _, R, t, p0, p1 = two_views(noise=0.3, wrong=60)
    result = made_result(p0, p1)
    found = estimate(result, GeometrySettings(geometry=geometry, estimator=estimator, focal_px=500))
    assert found.model is not None and found.model.shape == (3, 3)
    assert found.inliers[60:].mean() > 0.9 and found.inliers[:60].mean() < 0.2
    if geometry in ("homography", "affine"):
        assert corner_error_px(found.model, truth, (640, 480)) < 0.05
    if geometry == "affine":
        assert found.model[2].tolist() == [0, 0, 1]
    if geometry == "essential":
        assert found.R is not None and found.t is not None
        assert np.linalg.norm(found.t) == pytest.approx(1)
        rotation, direction = pose_error_deg(found.R, found.t, R, t)
        assert rotation < 1 and direction < (3 if estimator == "magsac" else 8)
    np.testing.assert_array_equal(found.inliers, errors_px(found) <= 3.0)


def test_essential_from_exact_points_and_given_cameras():
    K, R, t, p0, p1 = two_views()
    found = estimate(made_result(p0, p1), GeometrySettings(geometry="essential"), K0=K, K1=K)
    assert found.R is not None and found.t is not None
    assert max(pose_error_deg(found.R, found.t, R, t)) < 0.1
    assert errors_px(found).max() < 0.5
    again = estimate(found, GeometrySettings(geometry="essential"))  # the cameras stay known
    np.testing.assert_array_equal(again.inliers, found.inliers)


def test_essential_needs_a_focal_length():
    _, _, _, p0, p1 = two_views()
    with pytest.raises(InputError, match=r"Focal length|focal length"):
        estimate(made_result(p0, p1), GeometrySettings(geometry="essential"))


def test_none_verifies_nothing_and_says_so(sift_result):
    found = estimate(sift_result, GeometrySettings(geometry="none"))
    assert found.model is None and found.inliers.all()
    assert any("none was asked for" in n for n in found.notes)


def test_estimating_again_touches_no_match(sift_result):
    found = estimate(sift_result, GeometrySettings(geometry="affine", threshold_px=1.0))
    assert found.candidates is sift_result.candidates and found.kept is sift_result.kept
    assert found.geometry.threshold_px == 1.0 and found.geometry in found.recipe.settings
    again = estimate(found, sift_result.geometry)
    np.testing.assert_array_equal(again.model, sift_result.model)
    assert again.notes == sift_result.notes


def test_selecting_again_equals_matching_anew(picture, sift_result):
    strict = MatchSettings(ratio=0.6, cross_check=False)
    chosen = select(sift_result, strict)
    anew = match(picture, warped(picture, MILD), strict)
    np.testing.assert_array_equal(chosen.matches, anew.matches)
    np.testing.assert_array_equal(chosen.inliers, anew.inliers)
    assert chosen.candidates is sift_result.candidates
    assert chosen.recipe.link() == anew.recipe.link() and "ratio=0.6" in chosen.recipe.link()


def test_same_seed_same_answer(picture):
    other = warped(picture, MILD)
    for method in ("sift", "sift-flann"):
        a, b = (match(picture, other, MatchSettings(method=method, seed=5)) for _ in range(2))
        np.testing.assert_array_equal(a.matches, b.matches)
        np.testing.assert_array_equal(a.model, b.model)


def test_too_few_matches():
    p = np.array([[10.0, 10], [200, 50], [30, 300]])
    found = estimate(made_result(p, p + 5))
    assert found.model is None and not found.inliers.any()
    assert any("3 matches left" in n and "at least 4" in n for n in found.notes)
    assert estimate(made_result(p[:0], p[:0])).model is None


@pytest.mark.parametrize("geometry", ["homography", "affine", "fundamental", "essential"])
def test_points_on_one_line(geometry):
    p = np.column_stack([np.linspace(5, 600, 60), np.linspace(7, 400, 60)])
    settings = GeometrySettings(geometry=geometry, focal_px=500)
    found = estimate(made_result(p, p + 3), settings)
    assert found.model is None and not found.inliers.any()
    assert any("one line" in n for n in found.notes)


def test_one_place_many_times():
    p = np.full((20, 2), 33.0)
    assert estimate(made_result(p, p)).model is None


def test_random_matches_give_no_confident_model():
    rng = np.random.default_rng(0)
    p0, p1 = rng.uniform(0, 480, (2, 40, 2))
    found = estimate(made_result(p0, p1))
    assert any(n.startswith("Verification") for n in found.notes)


def test_flat_scene_makes_epipolar_geometry_uncertain(sift_result):
    found = estimate(sift_result, GeometrySettings(geometry="fundamental"))
    assert any("flat or the camera only turned" in n for n in found.notes)


# ---------------------------------------------------------------- rotate and retry


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_rotate_retry_maps_back(picture, turns):
    """Patches don't turn, so template matching needs the retry; the model is exact."""
    other = np.ascontiguousarray(np.rot90(picture, turns))
    width, height = picture.shape[1], picture.shape[0]
    truth = {  # from the picture to its turned copy, in half-pixel coordinates
        1: [[0, 1, 0], [-1, 0, width], [0, 0, 1]],
        2: [[-1, 0, width], [0, -1, height], [0, 0, 1]],
        3: [[0, -1, height], [1, 0, 0], [0, 0, 1]],
    }[turns]
    settings = MatchSettings(method="template", max_keypoints=24, rotate_retry=True)
    result = match(picture, other, settings)
    assert corner_error_px(result.model, np.array(truth, float), result.size0) < 0.1
    assert result.size1 == (other.shape[1], other.shape[0])
    assert f"{360 - 90 * turns} degrees" in result.notes[0]


def test_rotate_retry_with_orb(picture):
    other = np.ascontiguousarray(np.rot90(picture, 2))
    result = match(picture, other, MatchSettings(method="orb", rotate_retry=True))
    truth = np.array([[-1, 0, 331], [0, -1, 243], [0, 0, 1.0]])
    assert corner_error_px(result.model, truth, result.size0) < 0.5
    i, j = result.matches[result.inliers].T
    change = (result.features1.angle_deg[j] - result.features0.angle_deg[i]) % 360
    assert np.median(np.abs(change - 180)) < 3


# ---------------------------------------------------------------- a truth of one's own

PHOTOS, FEW = PairSettings("photos"), MatchSettings(max_keypoints=300)
CAMERAS = "500 0 160 0 500 120 0 0 1 " * 2 + "1 0 0 0 1 0 0 0 1 1 0 0"  # moved sideways: rows


def test_compare_holds_each_method_against_the_given_truth(picture):
    text = " ".join(map(str, (np.linalg.inv(SHIFT) @ MILD @ SHIFT).ravel()))
    given = PHOTOS, ("sift", "orb"), FEW, GeometrySettings(), picture, warped(picture, MILD)
    known, unknown = (list(compare(*given, truth)) for truth in (text, ""))
    assert all(c.scores["precision"] > 0.8 and c.scores["corner_error_px"] < 2 for c in known)
    assert all(np.isnan(c.scores["precision"]) for c in unknown)


def test_cameras_alone_say_near_the_line_and_not_right(picture):
    moved = np.roll(picture, 12, axis=1)
    found = run(PHOTOS, FEW, GeometrySettings("fundamental"), picture, moved, CAMERAS)
    assert found.scores["precision"] > 0.9
    assert found.result.notes.count(NEAR_LINE) == 1
    assert "lie on their true epipolar lines</b> within 3 px" in headline(found)
    assert "are right" not in headline(found)
    again = scored(found.pair, found.result)
    assert again.result.notes.count(NEAR_LINE) == 1
    flat = scored(dataclasses.replace(found.pair, truth=Truth(np.eye(3))), found.result)
    assert NEAR_LINE not in flat.result.notes and "are right" in headline(flat)


def test_a_truth_that_knows_no_match_gives_no_share(picture, sift_result):
    mirrored = Truth(np.array([[-1, 0, 331], [0, 1, 0], [0, 0, 1]]))
    found = scored(Pair(picture, picture, mirrored), sift_result)
    assert np.isnan(found.scores["precision"]) and "nan" not in headline(found)


def test_a_file_with_a_mirroring_homography_is_refused():
    for text in ("-1 0 300 0 1 0 0 0 1", "1 0 0 0 -1 200 0 0 -1e-3", "0 1 0 1 0 0 0 0 2"):
        with pytest.raises(InputError, match=r"mirrors the picture.*Check its nine numbers"):
            load_truth(text)
    for text in ("0 -1 300 1 0 0 0 0 1", "-1 0 300 0 -1 200 0 0 1", "-1 0 0 0 -1 0 1e-3 0 -1"):
        assert load_truth(text).homography is not None  # turned, or of the other sign


def test_a_place_without_a_geometry_says_which_is_missing(sift_result):
    pair = Pair(np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9, 3), np.uint8))
    none = estimate(sift_result, GeometrySettings("none"))
    lost = dataclasses.replace(sift_result, model=None)
    for result, words in ((none, r"asked for.*Choose one"), (lost, r"found.*Try more matches")):
        with pytest.raises(InputError, match=words):
            lines_for(scored(pair, result), 0, (3, 3))


# ---------------------------------------------------------------- what each method reads

OTHER = {"max_keypoints": 24, "ratio": 0.6, "cross_check": False, "mutual_check": True,
         "root_sift": False}  # fmt: skip


@pytest.mark.parametrize("method", ["sift", "orb", "sift-flann", "orb-flann", "template"])
def test_a_method_reads_the_settings_it_is_said_to(picture, method):
    """In noisy pictures, and half of one twice in the other: so every check decides something."""
    noise, half = np.random.default_rng(0), picture[:150, :95]
    twice, once = (
        np.clip(part + noise.normal(0, 15, part.shape), 0, 255).astype(np.uint8)
        for part in (np.hstack([half, half]), picture[:150, :190])
    )
    plain = MatchSettings(method=method, max_keypoints=64, ratio=0.85)
    first = match(twice, once, plain)
    for name in ("max_keypoints", *CHECKS, "root_sift"):
        changed = match(twice, once, dataclasses.replace(plain, **{name: OTHER[name]}))
        same = all(
            np.array_equal(getattr(changed, what), getattr(first, what))
            for what in ("matches", "scores")
        )
        assert same == (name not in USES[method]), name


# ---------------------------------------------------------------- at the door

OFFLINE = ["sift", "orb", "sift-flann", "orb-flann", "affine-sift", "template"]


@pytest.mark.parametrize("method", OFFLINE)
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (9, 13), (120, 90)])
def test_flat_and_tiny_pictures(picture, method, shape):
    flat = np.full((*shape, 3), 90, np.uint8)
    for pair in ((flat, picture), (flat, flat)):
        with pytest.raises(InputError, match="Picture 0"):
            match(*pair, MatchSettings(method=method, max_keypoints=64))


def test_flat_second_picture_is_named(picture):
    with pytest.raises(InputError, match="Picture 1 has no keypoints"):
        match(picture, np.zeros((100, 100, 3), np.uint8))


def test_grey_deep_and_transparent_pictures(picture):
    from PIL import Image

    other = warped(picture, MILD)
    grey = picture.mean(axis=2).astype(np.uint8)
    forms = [
        grey,
        grey.astype(np.uint16) * 257,
        np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)]),
        Image.fromarray(picture).convert("CMYK"),
        picture.astype(np.float32) / 255,
    ]
    for form in forms:
        result = match(form, other)
        assert corner_error_px(result.model, MILD, result.size0) < 0.5
    with pytest.raises(InputError, match="Picture 1 is missing"):
        match(picture, None)  # type: ignore[arg-type]


def test_same_picture_twice(picture):
    result = match(picture, picture)
    assert corner_error_px(result.model, np.eye(3), result.size0) < 0.01
    assert any("the same" in n for n in result.notes)
    assert result.recipe.inputs["image0"] == digest(picture) == result.recipe.inputs["image1"]


def test_very_different_sizes_are_noted(picture):
    import cv2

    result = match(picture, cv2.resize(picture, (64, 48), interpolation=cv2.INTER_AREA))
    assert any("factor of 5.2" in n for n in result.notes)


@pytest.mark.parametrize("method", ["affine-sift", "template", "sift"])
def test_progress_can_stop_the_work(picture, method):
    class Stopped(Exception):
        pass

    seen = []

    def stop(fraction, /, desc=""):
        seen.append(fraction)
        if fraction > 0.3:
            raise Stopped

    with pytest.raises(Stopped):
        match(picture, picture, MatchSettings(method=method, max_keypoints=64), progress=stop)
    assert seen == sorted(seen) and seen[-1] < 0.9


def test_the_recipe_computes_the_same(tmp_path, picture):
    from PIL import Image

    other = warped(picture, MILD)
    result = match(picture, other, MatchSettings(method="orb", ratio=0.75))
    for name, image in (("image0", picture), ("image1", other)):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    (tmp_path / "again.py").write_text(result.recipe.code(), encoding="utf-8")
    subprocess.run(
        [sys.executable, "again.py"], cwd=tmp_path, check=True, env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
    )  # fmt: skip
    with np.load(tmp_path / "matching.npz") as saved:
        np.testing.assert_array_equal(saved["matches"], result.matches)
        assert result.model is not None
        np.testing.assert_allclose(saved["model"], result.model)
