"""Rectification: of rendered pairs with known cameras, of made-up matches, and of hopeless pairs."""

import dataclasses

import cv2
import numpy as np
import pytest

from core import cameras
from core.scenes import RenderSettings, render_clip, scene, start_camera, stereo_pair
from core.scenes.truth import correspondence
from core.stereo.geometry import triangulate
from core.stereo.rectify import pictures, rectify
from core.stereo.turn import mapped
from core.stereo.types import Calibration
from core.types import Camera, InputError

HALF = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])  # from OpenCV's principal point to ours


def turned_pair(name="gallery", degrees=(1.5, -2.0, 3.0), size=(321, 241)):
    """left, right of a scene, the right camera 0.15 m away and turned; and true matches."""
    left = start_camera(scene(name), *size)
    c2w = cameras.moved(left, right_m=0.15).c2w
    c2w[:3, :3] = c2w[:3, :3] @ cv2.Rodrigues(np.radians(degrees))[0]
    right = Camera(left.K, c2w, *size)
    views = render_clip([scene(name)], [left, right], RenderSettings())
    flow, hidden = correspondence(scene(name), left, right)
    rows, columns = np.nonzero(~hidden & np.isfinite(flow[..., 0]))
    points = np.column_stack([columns, rows]) + 0.5
    return views[0].rgb, views[1].rgb, points, points + flow[rows, columns], left, right


def test_rectified_without_a_calibration():
    left, right, points0, points1, *_ = turned_pair()
    done = rectify(left, right)
    rows = mapped(done.H0, points0) - mapped(done.H1, points1)
    before = np.median(np.abs(points0 - points1)[:, 1])
    after = np.median(np.abs(rows[:, 1]))
    assert before > 5 and after < 0.7, (before, after)
    assert done.vertical_px < 0.7 and done.vertical_before_px == pytest.approx(before, rel=0.3)
    assert done.rig is None and done.left.shape == left.shape
    assert min(done.valid0.mean(), done.valid1.mean()) > 0.8
    assert np.median(rows[:, 0]) > 0, "near things still lie further left in the right picture"
    for H in (done.H0, done.H1):  # upright, and of about the same size
        corner = mapped(H, np.array([[160.0, 120], [161, 120], [160, 121]]))
        axes = np.diff(corner[[0, 1]], axis=0)[0], np.diff(corner[[0, 2]], axis=0)[0]
        assert np.allclose(axes, np.eye(2), atol=0.12)


def test_a_rotated_and_shifted_picture_is_put_back():
    pair = stereo_pair(scene("gallery"), 0.15, (321, 241))
    by = cv2.getRotationMatrix2D((160, 120), 2.0, 1.0)
    by[1, 2] += 7
    crooked = cv2.warpAffine(pair.right, by, (321, 241), borderMode=cv2.BORDER_REFLECT)
    done = rectify(pair.left, crooked)
    rows, columns = np.nonzero(np.isfinite(pair.disparity_px) & ~pair.occluded)
    left = np.column_stack([columns, rows]) + 0.5
    right = left - np.column_stack([pair.disparity_px[rows, columns], np.zeros(len(rows))])
    moved = (right - 0.5) @ by[:, :2].T + by[:, 2] + 0.5
    off = mapped(done.H0, left) - mapped(done.H1, moved)
    assert np.median(np.abs(left - moved)[:, 1]) > 6
    assert np.median(np.abs(off[:, 1])) < 0.7 and done.vertical_px < 0.7
    # order: what had the larger disparity still has
    true = pair.disparity_px[rows, columns]
    assert np.corrcoef(true, off[:, 0])[0, 1] > 0.9


def made_up(seed=0, t=(0.3, 0.0, 0.0), turn=0.03, outliers=0.2, size=(640, 480)):
    """Matches of random points, a few of them wrong, and the same without noise."""
    rng = np.random.default_rng(seed)
    points = rng.uniform((0, 0), size, (400, 2))
    K = np.array([[700, 0, size[0] / 2], [0, 700, size[1] / 2], [0, 0, 1.0]])
    ahead = np.column_stack([points, np.ones(400)]) @ np.linalg.inv(K).T
    space = ahead * rng.uniform(3, 12, (400, 1)) - t
    other = space @ cv2.Rodrigues(rng.normal(0, turn, 3))[0].T @ K.T
    other = other[:, :2] / other[:, 2:]
    noisy = points + rng.normal(0, 0.3, points.shape), other + rng.normal(0, 0.3, points.shape)
    wrong = rng.random(400) < outliers
    noisy[1][wrong] = rng.uniform((0, 0), size, (wrong.sum(), 2))
    return noisy, points, other


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("t", [(0.3, 0, 0), (0.3, 0.05, 0.1), (-0.3, 0, 0)])
def test_guess_from_matches(seed, t):
    blank = np.zeros((480, 640, 3), np.uint8)
    matches, points0, points1 = made_up(seed, t)
    done = rectify(blank, blank, matches=matches)
    off = mapped(done.H0, points0) - mapped(done.H1, points1)
    assert np.median(np.abs(off[:, 1])) < 0.3 and np.percentile(np.abs(off[:, 1]), 95) < 1
    assert np.sign(np.median(off[:, 0])) == np.sign(t[0]), "a swapped pair stays a swapped pair"


@pytest.mark.parametrize(
    "t, word", [((0, 0, 0.3), "ahead"), ((0, 0.3, 0), "up or down"), ((0, -0.3, 0), "up or down")]
)
def test_cameras_that_moved_otherwise(t, word):
    blank = np.zeros((480, 640, 3), np.uint8)
    with pytest.raises(InputError, match=word):
        rectify(blank, blank, matches=made_up(1, t, turn=0.0)[0])


def test_pictures_that_cannot_be_rectified():
    blank, noise = np.zeros((60, 90, 3), np.uint8), np.random.default_rng(0)
    other = noise.integers(0, 256, (60, 90, 3)).astype(np.uint8)
    with pytest.raises(InputError, match="more texture"):
        rectify(blank, blank)
    with pytest.raises(InputError, match="size"):
        rectify(blank, np.zeros((61, 90, 3), np.uint8))
    with pytest.raises(InputError, match=r"texture|turn"):
        rectify(other, noise.integers(0, 256, (60, 90, 3)).astype(np.uint8))
    with pytest.raises(InputError, match="one length"):
        rectify(blank, blank, matches=(np.zeros((3, 2)), np.zeros((4, 2))))
    nowhere = np.full((40, 2), np.nan)
    with pytest.raises(InputError, match="texture"):
        rectify(blank, blank, matches=(nowhere, nowhere))


def test_rectified_with_a_calibration():
    left, right, points0, points1, camera0, camera1 = turned_pair()
    pose = np.linalg.inv(camera1.c2w) @ camera0.c2w
    nothing = np.zeros(5)
    raw = Calibration(
        camera0.K, camera1.K, nothing, nothing, pose[:3, :3], pose[:3, 3], (321, 241), "m"
    )
    done = rectify(left, right, raw)
    off = mapped(done.H0, points0) - mapped(done.H1, points1)
    assert np.abs(off[:, 1]).max() < 1e-3 and done.vertical_px < 0.5 < done.vertical_before_px
    assert done.rig and done.rig.unit == "m" and done.rig.baseline == pytest.approx(0.15)
    assert done.valid0.mean() > 0.99, "crop 1 leaves no black"
    # the new rig measures what the old cameras saw, turned into its axes
    seen = triangulate(mapped(done.H0, points0), mapped(done.H1, points1), done.rig)
    raw_points = triangulate(points0, points1, raw)
    assert np.allclose(np.linalg.norm(seen, axis=1), np.linalg.norm(raw_points, axis=1), rtol=1e-5)
    # the same with OpenCV's own calls
    R0, _, P0, P1, *_ = cv2.stereoRectify(
        raw.K0 - HALF, nothing, raw.K1 - HALF, nothing, (321, 241), raw.R, raw.t[:, None], alpha=0
    )
    assert np.allclose((P0[:, :3] + HALF) @ R0 @ np.linalg.inv(raw.K0), done.H0)
    assert done.rig.focal_px == pytest.approx(P0[0, 0])
    assert done.rig.baseline == pytest.approx(-P1[0, 3] / P1[0, 0])
    # the pictures agree with the matrices: partners look alike
    x, y = np.rint(mapped(done.H0, points0[::50]) - 0.5).astype(int).T
    inside = (x > 2) & (y > 2) & (x < 318) & (y < 238)
    was = left[tuple((points0[::50] - 0.5).astype(int).T[::-1])].astype(int)
    now = done.left[y.clip(0, 240), x.clip(0, 320)].astype(int)
    assert np.median(np.abs(was - now)[inside]) < 12
    small = rectify(cv2.resize(left, (160, 120)), cv2.resize(right, (160, 120)), raw)
    assert small.rig and small.rig.focal_px == pytest.approx(done.rig.focal_px / 2, rel=0.02)


def test_calibrations_that_do_not_fit():
    blank = np.zeros((479, 641, 3), np.uint8)
    K, none = np.array([[520, 0, 320.5], [0, 520, 240.5], [0, 0, 1.0]]), np.zeros(5)
    raw = Calibration(K, K, none, none, np.eye(3), np.array([-60.0, 1, 2]), (641, 479), "mm")
    with pytest.raises(InputError, match="another shape"):
        rectify(blank[:, :300], blank[:, :300], raw)
    with pytest.raises(InputError, match="Swap"):
        rectify(blank, blank, dataclasses.replace(raw, t=-raw.t))
    with pytest.raises(InputError, match="above"):
        rectify(blank, blank, dataclasses.replace(raw, t=np.array([1.0, -60, 0])))
    with pytest.raises(InputError, match="hardly anything"):
        rectify(blank, blank, dataclasses.replace(raw, distortion0=np.full(5, 5.0)))


def test_a_rectified_pair_stays_as_it_is():
    pair = stereo_pair(scene("gallery"), 0.15, (201, 151))
    done = rectify(pair.left, pair.right, pair.rig)
    assert np.array_equal(done.left, pair.left) and np.array_equal(done.right, pair.right)
    assert done.rig is pair.rig and not done.done and done.vertical_px < 0.5
    shown = pictures(pair.left, pair.right, done)
    assert [title.split(":")[0] for title, _ in shown] == ["Raw", "Overlap"]
    assert shown[0][1].shape == (151, 201 * 2 + 8, 3) and shown[1][1].shape == (151, 201, 3)
    assert all(picture.dtype == np.uint8 for _, picture in shown)


@pytest.mark.parametrize("seed", [27, 28, 44])
def test_points_on_a_line_are_no_bug(seed):
    """OpenCV's MAGSAC meets some of them with a failed assertion."""
    blank = np.zeros((480, 640, 3), np.uint8)
    rng = np.random.default_rng(seed)
    lines = [np.column_stack([rng.integers(0, 9, 20), np.full(20, y)]) for y in (3, 5)]
    with pytest.raises(InputError, match="texture"):
        rectify(blank, blank, matches=(lines[0], lines[1]))
