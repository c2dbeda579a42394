"""Look inside: what the page shows of SIFT, RANSAC and search is what they do."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core.matching import descriptor, ransac, scale_space, search_trees
from core.types import InputError

cv2 = pytest.importorskip("cv2")


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    from skimage import data

    return data.astronaut()


@pytest.fixture(scope="module")
def space(photo):
    return scale_space.scale_space(photo)


def is_picture(image: np.ndarray) -> bool:
    return image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and len(image) > 0


# ---------------------------------------------------------------- scale space


def opencv_sift(photo):
    """OpenCV's SIFT. Its default enlarges the picture off by a quarter pixel; this one doesn't."""
    return cv2.SIFT_create(enable_precise_upscale=True)


def test_our_extrema_are_opencvs(photo, space):
    found = opencv_sift(photo).detect(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY))
    xy = np.array([k.pt for k in found]) + 0.5
    sigma = np.array([k.size for k in found]) / 2
    away = np.linalg.norm(space.extrema[:, None, :2] - xy, axis=2)
    away[np.abs(np.log2(space.extrema[:, 2:3] / sigma)) > 0.25] = np.inf
    nearest = away.min(axis=1)
    assert len(nearest) > 200
    assert (nearest < 2).mean() > 0.9  # measured 0.97
    assert np.median(nearest) < 0.1  # measured 0.03 px: the half-pixel convention holds


def test_a_blob_is_found_where_and_as_large_as_it_is():
    # a Gaussian blob of spread s gives its strongest DoG answer at sigma = s (Lindeberg 1998);
    # a DoG between sigma and k sigma answers best at s / sqrt(k)
    s, x0, y0 = 5.0, 40.3, 33.8
    y, x = np.mgrid[:71, :83] + 0.5
    dark = 200 - 150 * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * s**2))
    found = scale_space.scale_space(np.rint(dark).astype(np.uint8)).extrema
    best = found[np.argmax(np.abs(found[:, 3]))]
    assert best[:2] == pytest.approx([x0, y0], abs=0.1)
    assert best[2] == pytest.approx(s / 2 ** (1 / 6), rel=0.03)
    assert best[3] > 0  # a dark blob: blurring makes its middle brighter


def test_edges_and_faint_blobs_are_rejected(photo):
    edge = np.zeros((64, 64), np.uint8)
    edge[:, 32:] = 255
    assert len(scale_space.scale_space(edge).extrema) == 0
    assert len(scale_space.scale_space(np.full((64, 64, 3), 90, np.uint8)).extrema) == 0
    few = len(scale_space.scale_space(photo, contrast=0.06).extrema)
    many = len(scale_space.scale_space(photo, edge=1e6).extrema)
    assert few < len(scale_space.scale_space(photo).extrema) < many


def test_levels_and_sizes(photo):
    space = scale_space.scale_space(photo[:101, :67], octaves=5)
    assert [g.shape for g in space.gaussians] == [(6, 101, 67), (6, 51, 34), (6, 26, 17)]
    assert space.sigmas[0, 0] == pytest.approx(1.6)
    assert space.sigmas[2, 3] == pytest.approx(12.8)  # three octaves up
    # what an octave starts from is what the one before has three levels up, every second pixel
    np.testing.assert_array_equal(space.gaussians[1][0], space.gaussians[0][3][::2, ::2])
    for kind in ("gaussian", "dog"):
        shown = scale_space.picture(space, 1, 2, kind)
        assert is_picture(shown)
        assert shown.shape == (101 * 11, 67 * 11, 3)  # a whole multiple, 700 px or more


def test_scale_space_says_what_is_wrong(space):
    with pytest.raises(InputError, match="16 px"):
        scale_space.scale_space(np.zeros((1, 1, 3), np.uint8))
    with pytest.raises(InputError, match="no level 9"):
        scale_space.picture(space, 0, 9)
    with pytest.raises(InputError, match="gaussian or dog"):
        scale_space.picture(space, 0, 0, "laplacian")


# ---------------------------------------------------------------- descriptor


def test_descriptor_is_opencvs(photo):
    sift = opencv_sift(photo)
    found, theirs = sift.detectAndCompute(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), None)
    # OpenCV counts directions anticlockwise
    order = np.arange(128).reshape(4, 4, 8)[..., -np.arange(8) % 8].ravel()
    agreement = []
    for i in np.random.default_rng(0).permutation(len(found))[:120]:
        k = found[i]
        ours = descriptor.describe(photo, np.array(k.pt) + 0.5, k.size, k.angle).vector
        agreement.append(np.corrcoef(ours, theirs[i][order])[0, 1])
    assert np.median(agreement) > 0.98  # measured 0.996
    assert np.mean(np.array(agreement) > 0.9) > 0.9


def ramp(angle_deg: float) -> np.ndarray:
    """A picture that grows brighter towards angle_deg, clockwise from +x."""
    y, x = np.mgrid[:120, :120] - 59.5
    a = np.deg2rad(angle_deg)
    return np.clip(128 + 1.4 * (x * np.cos(a) + y * np.sin(a)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("angle", [0.0, 90.0, 225.0])
def test_a_ramp_fills_one_direction(angle):
    d = descriptor.describe(ramp(angle), np.array([60.0, 60.0]), 12.0)
    share = d.histogram.sum(axis=(0, 1)) / d.histogram.sum()
    assert share[round(angle / 45)] > 0.97
    # seen from a keypoint that points up the ramp, brighter is always to the right
    turned = descriptor.describe(ramp(angle), np.array([60.0, 60.0]), 12.0, angle)
    assert turned.histogram[..., 0].sum() / turned.histogram.sum() > 0.97


def test_what_each_step_buys(photo):
    xy, size = np.array([300.5, 210.25]), 14.0
    d = descriptor.describe(photo, xy, size, 30.0)
    assert np.linalg.norm(d.vector) == pytest.approx(1, abs=1e-5)
    # turned by 90° clockwise, (x, y) goes to (H - y, x)
    turned = np.ascontiguousarray(np.rot90(photo, -1))
    moved = np.array([photo.shape[0] - xy[1], xy[0]])
    same = descriptor.describe(turned, moved, size, 120.0)
    np.testing.assert_allclose(same.vector, d.vector, atol=1e-4)
    # less contrast, more light
    faded = (photo * 0.5 + 60).astype(np.uint8)
    assert np.linalg.norm(descriptor.describe(faded, xy, size, 30.0).vector - d.vector) < 0.03
    # and not to just anything
    other = descriptor.describe(photo, np.array([150.0, 400.0]), size, 30.0)
    assert np.linalg.norm(other.vector - d.vector) > 0.5
    root = descriptor.describe(photo, xy, size, 30.0, root=True)
    np.testing.assert_allclose(root.vector**2, d.vector / d.vector.sum(), atol=1e-6)


def test_descriptor_at_the_edge_and_of_nothing(photo):
    corner = descriptor.describe(photo, np.array([0.5, 0.5]), 60.0, np.nan)
    assert np.isfinite(corner.vector).all()
    flat = descriptor.describe(np.full((9, 7, 3), 80, np.uint8), np.array([3.0, 4.0]), 5.0)
    assert not flat.vector.any()
    assert is_picture(descriptor.picture(flat))
    with pytest.raises(InputError, match="Choose one inside"):
        descriptor.describe(photo, np.array([-3.0, 4.0]), 5.0)


def test_descriptor_pictures(photo):
    d0 = descriptor.describe(photo, np.array([300.0, 210.0]), 14.0)
    d1 = descriptor.describe(photo, np.array([150.0, 400.0]), 14.0)
    shown = descriptor.picture(d0, size=433)
    assert is_picture(shown)
    assert shown.shape == (433, 433, 3)
    assert (descriptor.picture(d1, size=433) != shown).any()
    assert descriptor.compare_picture(d0, d1).shape == (720, 860, 3)


# ---------------------------------------------------------------- RANSAC

H = np.array([[0.9, 0.15, 30.0], [-0.1, 1.1, -12.0], [2e-4, -1e-4, 1.0]])


def half_wrong(count=200, seed=1):
    random = np.random.default_rng(seed)
    points0 = random.uniform(0, [640, 480], (count, 2))
    points1 = ransac.project(H, points0) + random.normal(0, 0.5, (count, 2))
    right = np.arange(count) < count // 2
    points1[~right] = random.uniform(0, [640, 480], (count - count // 2, 2))
    return points0, points1, right


def test_four_points_by_hand():
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    moved = 2 * square + (3, 5)
    np.testing.assert_allclose(
        ransac.homography(square, moved), [[2, 0, 3], [0, 2, 5], [0, 0, 1]], atol=1e-9
    )
    # onto a trapezium: x' = x / (1 + y/2), y' = y / (1 + y/2) takes (1, 1) to (2/3, 2/3)
    bent = np.array([[0, 0], [1, 0], [2 / 3, 2 / 3], [0, 2 / 3]])
    np.testing.assert_allclose(
        ransac.homography(square, bent), [[1, 0, 0], [0, 1, 0], [0, 0.5, 1]], atol=1e-9
    )


def test_many_exact_points_give_the_homography_back():
    points0 = np.random.default_rng(0).uniform(0, 4000, (50, 2))
    found = ransac.homography(points0, ransac.project(H, points0))
    np.testing.assert_allclose(found, H, rtol=1e-6, atol=1e-8)


def test_the_bound_by_hand():
    # log(0.01) / log(1 - 0.5⁴) = 71.36
    assert ransac.bound(0.5, 4, 0.99) == 72
    assert ransac.bound(1.0, 4, 0.99) == 1
    assert ransac.bound(0.0, 4, 0.99) == math.inf
    shares, iterations = ransac.bound_curve(4, 0.99)
    assert shares.shape == iterations.shape == (100,)
    assert iterations[49] == 72
    assert (np.diff(iterations) <= 0).all()


def test_half_wrong_matches_are_told_apart():
    points0, points1, right = half_wrong()
    run = list(ransac.steps(points0, points1, seed=3))
    last = run[-1]
    assert last.best_inliers[right].mean() > 0.9
    assert last.best_inliers[~right].mean() < 0.05
    refit = ransac.homography(points0[last.best_inliers], points1[last.best_inliers])
    corners = np.array([[0, 0], [640, 0], [640, 480], [0, 480]], float)
    away = np.linalg.norm(ransac.project(refit, corners) - ransac.project(H, corners), axis=1)
    assert away.mean() < 1.0


def test_the_steps_tell_the_truth():
    points0, points1, _ = half_wrong()
    best = 0
    run = list(ransac.steps(points0, points1, confidence=0.99, seed=5))
    for number, step in enumerate(run, 1):
        assert step.step == number
        assert len(set(step.sample.tolist())) == 4
        assert step.votes == step.inliers.sum()
        assert step.improved == (step.votes > best)
        best = max(best, step.votes)
        assert step.best_votes == best == step.best_inliers.sum()
        if step.model is not None:
            np.testing.assert_allclose(
                ransac.project(step.model, points0[step.sample]), points1[step.sample], atol=1e-3
            )
    assert run[-1].needed == ransac.bound(best / len(points0), 4, 0.99)
    assert run[-1].step == run[-1].total == run[-1].needed < 500
    again = list(ransac.steps(points0, points1, confidence=0.99, seed=5))
    assert [s.votes for s in again] == [s.votes for s in run]


def test_points_on_a_line_give_no_model():
    line = np.column_stack([np.arange(10.0), 2 * np.arange(10.0)])
    run = list(ransac.steps(line, line, max_iterations=7))
    assert len(run) == 7
    assert all(s.model is None and s.votes == 0 and s.needed == math.inf for s in run)
    with pytest.raises(InputError, match="there are 3"):
        ransac.steps(line[:3], line[:3])
    with pytest.raises(InputError, match="one length"):
        ransac.steps(line, line[:5])


def test_ransac_picture(photo):
    points0, points1, _ = half_wrong()
    run = list(ransac.steps(points0, points1))
    small = photo[:201, :333]
    shown = ransac.picture(photo, small, points0, points1, run[-1])
    assert is_picture(shown)
    assert shown.shape == (480, 480 + 8 + round(333 * 480 / 201), 3)
    line = np.column_stack([np.arange(10.0), np.arange(10.0)])
    nothing = next(iter(ransac.steps(line, line)))
    assert is_picture(ransac.picture(photo, small, line, line, nothing))


# ---------------------------------------------------------------- search


def test_a_box_is_four_look_ups():
    image = np.random.default_rng(0).integers(0, 255, (13, 17))
    integral = search_trees.integral_image(image)
    assert search_trees.box_sum(integral, 3, 2, 11, 9) == image[2:9, 3:11].sum()
    assert search_trees.box_sum(integral, 0, 0, 17, 13) == image.sum()
    assert search_trees.box_sum(integral, 5, 5, 5, 9) == 0


@pytest.mark.parametrize("size", [9, 15])
def test_boxes_stand_for_gaussians(photo, size):
    boxes, true = search_trees.surf_response(photo, size)
    assert boxes.shape == true.shape == photo.shape[:2]
    assert np.corrcoef(boxes.ravel(), true.ravel())[0, 1] > 0.9  # measured 0.95 and 0.93
    with pytest.raises(InputError, match="9, 15, 21"):
        search_trees.surf_response(photo, size + 1)
    assert is_picture(search_trees.surf_picture(photo[:31, :43], size))


def test_surf_answers_to_blobs_and_not_to_edges():
    y, x = np.mgrid[:61, :61]
    blob = (255 * np.exp(-((x - 30) ** 2 + (y - 30) ** 2) / 18.0)).astype(np.uint8)
    edge = np.where(x < 30, 0, 255).astype(np.uint8)
    boxes, _ = search_trees.surf_response(blob, 15)
    assert np.unravel_index(boxes.argmax(), boxes.shape) == (30, 30)
    assert search_trees.surf_response(edge, 15)[0].max() < 0.01 * boxes.max()


def test_hamming_by_hand():
    a = np.array([0b10110000, 0b00000001], np.uint8)
    b = np.array([0b00110010, 0b11111110], np.uint8)
    assert search_trees.hamming(a, b) == 2 + 8
    assert search_trees.hamming(np.stack([a, b]), a).tolist() == [0, 10]
    random = np.random.default_rng(0)
    long0, long1 = random.integers(0, 256, (2, 32), dtype=np.uint8)
    shown = search_trees.hamming_picture(long0, long1)
    assert is_picture(shown)
    # count the orange bars in the lowest strip
    orange = np.all(shown[-20] == (213, 94, 0), axis=1)
    bars = np.sum(np.diff(orange.astype(int)) == 1)
    assert bars == search_trees.hamming(long0, long1)


def test_kd_tree():
    random = np.random.default_rng(0)
    points, queries = random.normal(size=(500, 2)), random.normal(size=(60, 2))
    splits = search_trees.kd_tree_2d(points, 4)
    assert len(splits) == 15
    leaves = search_trees.leaf_of(splits, points)
    counts = np.bincount(leaves, minlength=16)
    assert counts.min() >= 31  # 500 / 16, halved fairly
    assert counts.max() <= 32
    for point, leaf in zip(points, leaves, strict=True):
        low, high = search_trees.leaf_box(splits, int(leaf))
        assert (point >= low).all()
        assert (point <= high).all()
    true = np.argmin(np.linalg.norm(queries[:, None] - points, axis=2), axis=1)
    shares = []
    for searched in (1, 3, 16):
        found = [search_trees.kd_search(points, splits, q, searched) for q in queries]
        shares.append(np.mean(np.array(found) == true))
    assert shares[0] < 1  # one leaf isn't enough
    assert shares[0] <= shares[1]
    assert shares[2] == 1  # all of them are


def test_kd_picture_and_few_points():
    random = np.random.default_rng(0)
    rows = random.normal(size=(300, 32)).astype(np.float32)
    assert search_trees.kd_picture(rows, rows[7]).shape == (560, 720, 3)
    assert is_picture(search_trees.kd_picture(rows[:2], rows[1]))
    assert is_picture(search_trees.kd_picture(np.ones((5, 8), np.float32), np.ones(8)))
    same = search_trees.kd_tree_2d(np.zeros((9, 2)), 5)  # nothing to halve
    assert len(same) == 7
    assert search_trees.kd_search(np.zeros((9, 2)), same, np.zeros(2)) >= 0
    with pytest.raises(InputError, match="two descriptors"):
        search_trees.kd_tree_2d(np.zeros((1, 2)))


def test_near_descriptors_meet_in_a_bucket():
    random = np.random.default_rng(0)
    rows = random.integers(0, 256, (1000, 32), dtype=np.uint8)
    flips = np.packbits(random.random((1000, 256)) < 0.05, axis=1)
    near = rows ^ flips
    keys, near_keys = (search_trees.lsh_keys(r, 12, seed=4) for r in (rows, near))
    meet = np.mean(keys == near_keys)
    assert meet == pytest.approx(0.95**12, abs=0.06)  # 0.54
    assert np.mean(keys == np.roll(near_keys, 1)) < 0.02  # strangers: 2⁻¹²
    counts = search_trees.lsh_buckets(rows, 12, seed=4)
    assert counts.sum() == 1000
    assert (np.diff(counts) <= 0).all()
    assert is_picture(search_trees.lsh_picture(counts))
    with pytest.raises(InputError, match="63 bits"):
        search_trees.lsh_keys(rows, 63)
