"""Triangulation, depth and the ruler: a measured table, hand-made points, OpenCV's own answers."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.scenes import scene, stereo_pair
from core.stereo import oak
from core.stereo.geometry import (
    depth,
    depth_error,
    disparity_of,
    distance,
    measure,
    triangulate,
)
from core.stereo.types import Calibration
from core.types import InputError, Rig

MOTORCYCLE = Path(__file__).parents[1] / "../shared/data/stereo/Motorcycle"
RIG = Rig(focal_px=500.0, baseline=0.2, cx=160.5, cy=120.25, focal_y_px=510.0)

# An OAK-D Lite, 7.5 cm between its cameras, before a flat board with marks: u v of the left and
# the right picture, then z x y in cm as measured. y is positive downwards, like v.
OAK = Rig(focal_px=452.9, baseline=7.5, cx=298.85, cy=245.52, unit="cm")
GOLDEN = np.array([
    [138, 219, 102, 219,  94.36, -33.51, -5.53],
    [264, 216, 234, 217, 113.23,  -8.72, -7.38],
    [137, 320, 101, 321,  94.36, -33.72, 15.52],
    [263, 303, 233, 302, 113.23,  -8.97, 14.37],
    [307, 211, 280, 211, 125.81,   2.26, -9.59],
    [367, 212, 339, 212, 121.32,  18.25, -8.98],
    [305, 298, 278, 298, 125.81,   1.71, 14.58],
    [365, 299, 338, 299, 125.81,  18.37, 14.86],
    [466, 225, 415, 225,  66.61,  24.58, -3.02],
    [581, 225, 530, 226,  66.61,  41.49, -3.02],
    [464, 387, 413, 388,  66.61,  24.29, 20.81],
    [579, 388, 528, 390,  66.61,  41.20, 20.95],
])  # fmt: skip
# Between which rows a ruler lay, what it said in cm, and how far off stereo was, in percent.
RULED = [
    (1, 2, 31.2, 0.05), (1, 3, 21.3, 1.21), (5, 6, 16.7, 0.47),
    (5, 7, 24.0, 0.72), (9, 10, 16.7, 1.27), (9, 11, 24.0, 0.73),
]  # fmt: skip


# ---------------------------------------------------------------- the table


def test_golden_table():
    points = triangulate(GOLDEN[:, :2], GOLDEN[:, 2:4], OAK)
    assert points.dtype == np.float64
    assert np.abs(points - GOLDEN[:, [5, 6, 4]]).max() < 0.02
    down = GOLDEN[:, 1] > OAK.cy
    assert ((points[:, 1] > 0) == down).all(), "below the middle is positive y"


@pytest.mark.parametrize("a, b, ruler_cm, percent", RULED)
def test_golden_distances(a, b, ruler_cm, percent):
    points = triangulate(GOLDEN[:, :2], GOLDEN[:, 2:4], OAK)
    found = float(distance(points[a - 1], points[b - 1]))
    assert abs(found - ruler_cm) / ruler_cm * 100 == pytest.approx(percent, abs=0.011)


def test_the_page_shows_the_golden_table():
    found = oak.measured()
    assert np.array_equal(oak.MARKS, GOLDEN[:, :4]) and oak.RIG == OAK
    assert np.abs(found.points - GOLDEN[:, [5, 6, 4]]).max() < 0.02
    for a, b, ruler_cm, percent in RULED:
        length, ruler = found.lengths[a, b]
        assert ruler == ruler_cm
        assert abs(length - ruler) / ruler * 100 == pytest.approx(percent, abs=0.011)


# ---------------------------------------------------------------- rectified rigs


@pytest.mark.parametrize("doffs", [0.0, 31.086, -7.5])
def test_points_made_by_hand_come_back(doffs):
    rig = replace(RIG, doffs_px=doffs, unit="in")
    rng = np.random.default_rng(3)
    points = rng.uniform((-2, -1, 1), (2, 1, 9), (57, 3))
    x, y, z = points.T
    left = np.column_stack([500 * x / z + 160.5, 510 * y / z + 120.25])
    right = np.column_stack([500 * (x - 0.2) / z + 160.5 + doffs, left[:, 1]])
    assert np.allclose(triangulate(left, right, rig), points, rtol=1e-9)


def test_what_is_infinitely_far_or_behind():
    left = [[200.0, 50.0], [160.5, 50.0], [200.0, 50.0], [200.0, np.nan], [np.inf, 1.0]]
    right = [[200.0, 50.0], [160.5, 50.0], [201.0, 50.0], [190.0, 50.0], [1.0, 1.0]]
    points = triangulate(np.array(left), np.array(right), RIG)
    assert points[0].tolist() == [np.inf, -np.inf, np.inf]
    assert np.isnan(points[1, 0]) and points[1, 2] == np.inf, "on the axis, x = 0 · ∞"
    assert np.isnan(points[2]).all(), "a negative disparity lies behind the camera"
    assert np.isnan(points[3, 1]) and np.isnan(points[4]).all()


def test_depth_and_back():
    disparity = np.array([[10, 0.5, 0, -3, np.nan, np.inf, -31]], np.float32)
    rig = replace(RIG, doffs_px=3.0)
    z = depth(disparity, rig)
    assert z.dtype == np.float32 and z.shape == (1, 7)
    assert np.allclose(z[0, :3], [100 / 13, 100 / 3.5, 100 / 3], rtol=1e-6)
    assert np.isnan(z[0, 3:]).all()
    back = disparity_of(z, rig)
    assert back.dtype == np.float32
    assert np.allclose(back[0, :3], disparity[0, :3], atol=1e-5) and np.isnan(back[0, 3:]).all()
    assert np.isnan(disparity_of(np.array([[0.0, -1, np.nan]]), rig)).all()


def test_depth_of_a_rendered_scene_is_its_own():
    pair = stereo_pair(scene("tabletop"), 0.12, (97, 61))
    z = depth(pair.disparity_px, pair.rig)
    known = np.isfinite(pair.depth_m)
    assert (np.isfinite(z) == known).all()
    assert np.allclose(z[known], pair.depth_m[known], rtol=1e-5)


def test_error_grows_with_the_square_of_depth():
    assert depth_error(2.0, RIG, 0.5) == pytest.approx(2.0**2 / (500 * 0.2) * 0.5)
    assert depth_error(4.0, RIG, 0.5) == pytest.approx(4 * depth_error(2.0, RIG, 0.5))
    # a small error in disparity does to depth what the law says
    d = np.array([[40.0]])
    change = depth(d, RIG) - depth(d + 0.01, RIG)
    assert change[0, 0] == pytest.approx(depth_error(depth(d, RIG), RIG, 0.01)[0, 0], rel=1e-3)


@pytest.mark.skipif(not MOTORCYCLE.exists(), reason="the shared pictures aren't here")
def test_motorcycle_depth():
    meta = json.loads((MOTORCYCLE / "meta.json").read_text())
    disparity = np.load(MOTORCYCLE / "disp_left.npy")
    rig = Rig(
        meta["focal_px"], meta["baseline_mm"], meta["cx"] + 0.5, meta["cy"] + 0.5, meta["doffs"],
        "mm",
    )  # fmt: skip
    z, known = depth(disparity, rig), np.isfinite(disparity)
    truth = 994.978 * 193.001 / (disparity[known].astype(np.float64) + 31.086)
    assert known.mean() > 0.9
    assert np.abs(z[known] / truth - 1).max() < 1e-3
    assert np.percentile(z[known], [1, 99]) == pytest.approx([2150, 5000], rel=0.2)  # a garage


def test_doffs_of_a_made_up_middlebury_rig():
    rig = Rig(994.978, 193.001, 311.693, 255.377, 31.086, "mm")
    z = np.random.default_rng(0).uniform(2000, 6000, (13, 7))
    disparity = (994.978 * 193.001 / z - 31.086).astype(np.float32)
    assert np.abs(depth(disparity, rig) / z - 1).max() < 1e-5
    assert np.allclose(disparity_of(z, rig), disparity)


# ---------------------------------------------------------------- cameras that aren't rectified


def calibration(distortion=True):
    turn = cv2.Rodrigues(np.array([0.03, -0.05, 0.02]))[0]
    d = np.array([-0.25, 0.08, 1e-3, -5e-4, 0.01]) if distortion else np.zeros(5)
    K0 = np.array([[520, 0, 330.5], [0, 515, 240.5], [0, 0, 1.0]])
    K1 = np.array([[505, 0, 310.5], [0, 507, 250.5], [0, 0, 1.0]])
    return Calibration(K0, K1, d, 0.8 * d, turn, np.array([-60.0, 2.0, 1.5]), (640, 480), "mm")


def seen(points, rig):
    """Both cameras' pixels, in our coordinates, by OpenCV's own projection."""
    half = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    first, second = (np.zeros(3), np.zeros(3)), (cv2.Rodrigues(rig.R)[0], rig.t)
    return [
        cv2.projectPoints(points, *pose, K - half, d)[0][:, 0] + 0.5
        for pose, K, d in ((first, rig.K0, rig.distortion0), (second, rig.K1, rig.distortion1))
    ]


@pytest.mark.parametrize("distortion", [False, True])
def test_triangulation_agrees_with_opencv(distortion):
    rig = calibration(distortion)
    points = np.random.default_rng(1).uniform((-300, -200, 600), (300, 200, 1500), (41, 3))
    left, right = seen(points, rig)
    assert np.allclose(triangulate(left, right, rig), points, rtol=1e-6)

    noisy = left + np.random.default_rng(2).normal(0, 0.5, left.shape)
    half = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    stop = (3, 200, 1e-15)
    rays = [
        cv2.undistortPoints(xy[:, None] - 0.5, K - half, d, criteria=stop)[:, 0].T
        for xy, K, d in ((noisy, rig.K0, rig.distortion0), (right, rig.K1, rig.distortion1))
    ]
    theirs = cv2.triangulatePoints(np.eye(3, 4), np.column_stack([rig.R, rig.t]), *rays)
    theirs = (theirs[:3] / theirs[3]).T
    error = np.linalg.norm(triangulate(noisy, right, rig) - theirs, axis=1)
    assert (error / np.linalg.norm(theirs, axis=1)).max() < 1e-6


def test_a_rig_is_a_calibration_without_turns():
    K0 = np.array([[500, 0, 160.5], [0, 510, 120.25], [0, 0, 1.0]])
    K1 = K0 + np.array([[0, 0, 4.0], [0, 0, 0], [0, 0, 0]])
    raw = Calibration(
        K0, K1, np.zeros(5), np.zeros(5), np.eye(3), np.array([-0.2, 0, 0]), (320, 240)
    )
    rig = replace(RIG, doffs_px=4.0)
    left = np.array([[30.0, 40], [200, 100], [310, 239]])
    right = left - [[20.0, 0], [3, 0], [-2, 0]]
    assert np.allclose(triangulate(left, right, raw), triangulate(left, right, rig), rtol=1e-9)


def test_calibrated_points_that_are_nowhere():
    rig = calibration(distortion=False)
    left, right = seen(np.array([[10.0, 20, 900], [10, 20, 900]]), rig)
    right[1] = np.nan
    points = triangulate(left, right, rig)
    assert np.isfinite(points[0]).all() and np.isnan(points[1]).all()
    behind = triangulate(left[:1], left[:1] + np.array([[250.0, 0]]), rig)
    assert np.isnan(behind).all()
    assert triangulate(np.zeros((0, 2)), np.zeros((0, 2)), rig).shape == (0, 3)
    assert triangulate(np.zeros((0, 2)), np.zeros((0, 2)), RIG).shape == (0, 3)


# ---------------------------------------------------------------- the ruler


def test_ruler_on_a_rendered_scene():
    pair = stereo_pair(scene("tabletop"), 0.12, (160, 121))
    centres = pixel_centres_of(pair)
    ends = [(35.5, 100.5), (120.5, 90.5)]
    ruler = measure(pair.disparity_px, pair.rig, *ends)
    truth = [centres[int(y), int(x)] for x, y in ends]
    assert ruler.unit == "m"
    assert np.allclose(ruler.point0, truth[0], atol=0.02 * truth[0][2])
    assert ruler.distance == pytest.approx(float(distance(*truth)), rel=0.03)
    assert 0 < ruler.error < 0.2 * ruler.distance


def pixel_centres_of(pair):
    """The point (H, W, 3) of every pixel, from the scene's depth alone."""
    height, width = pair.depth_m.shape
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    ahead = [(x - pair.rig.cx) / pair.rig.focal_px, (y - pair.rig.cy) / pair.rig.focal_px]
    return np.stack([*ahead, np.ones_like(x)], -1) * pair.depth_m[..., None]


def test_ruler_takes_a_median_that_is_there():
    disparity = np.full((9, 11), 50.0, np.float32)
    disparity[:, 6:] = 10  # an edge: nothing has 30
    disparity[4, 4] = 400  # one wrong pixel
    ruler = measure(disparity, RIG, (4.5, 4.5), (6.5, 4.5))
    assert ruler.point0[2] == pytest.approx(100 / 50) and ruler.point1[2] == pytest.approx(100 / 10)
    corner = measure(disparity, RIG, (0, 0), (11, 9))
    assert corner.point0[2] == pytest.approx(2) and corner.point1[2] == pytest.approx(10)


def test_ruler_error_is_what_errors_in_disparity_do():
    rng = np.random.default_rng(5)
    disparity = np.full((40, 60), 30.0)
    disparity[:, 30:] = 22.0
    ends = (8.5, 9.5), (52.5, 31.5)
    ruler = measure(disparity, RIG, *ends, disparity_error_px=0.2)
    tried = []
    for _ in range(2000):
        off = np.where(np.arange(60) < 30, *rng.normal(0, 0.2, 2))
        tried.append(measure(disparity + off, RIG, *ends).distance)
    assert np.std(tried) == pytest.approx(ruler.error, rel=0.08)
    assert measure(disparity, RIG, ends[0], ends[0]).distance == 0


@pytest.mark.parametrize(
    "xy, word",
    [
        ((1.5, 1.5), "elsewhere"),
        ((-1, 3), "outside"),
        ((11.5, 3), "outside"),
        ((np.nan, 3), "outside"),
        (None, "two points"),
        (("a", 3), "two points"),
    ],
)
def test_ruler_says_why_not(xy, word):
    disparity = np.full((9, 11), 20.0, np.float32)
    disparity[:4, :4] = np.nan
    with pytest.raises(InputError, match=word):
        measure(disparity, RIG, (8.5, 5.5), xy)


# ---------------------------------------------------------------- what doesn't fit


@pytest.mark.parametrize(
    "left, right, word",
    [
        (np.zeros((3, 2)), np.zeros((4, 2)), "3 points in the left"),
        (np.zeros((3, 3)), np.zeros((3, 3)), "shape"),
        (np.zeros(2), np.zeros(2), "shape"),
        ([["a", "b"]], [[1, 2]], "numbers"),
        (None, [[1, 2]], "shape|numbers"),
        ([[1, 2], [3]], [[1, 2]], "numbers"),
    ],
)
@pytest.mark.parametrize("rig", [RIG, calibration()])
def test_points_that_do_not_fit(left, right, word, rig):
    with pytest.raises(InputError, match=word):
        triangulate(left, right, rig)


@pytest.mark.parametrize("bad", [np.zeros(5), np.zeros((2, 3, 3)), np.zeros((0, 4)), "x", None])
def test_maps_that_are_none(bad):
    for call in (depth, disparity_of):
        with pytest.raises(InputError):
            call(bad, RIG)
