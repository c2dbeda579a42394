"""Calibration: drawn boards seen by known cameras, OpenCV called by hand, and real pictures."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from core import images
from core.stereo.board import Board, detect
from core.stereo.calibrate import calibrate
from core.stereo.geometry import triangulate
from core.stereo.rectify import rectify
from core.stereo.turn import mapped
from core.stereo.types import Calibration
from core.types import InputError

CHESSBOARD = Path(__file__).parents[1] / "../shared/data/stereo/chessboard"
HALF = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])  # from OpenCV's principal point to ours
TRUE = Calibration(
    K0=np.array([[520.1, 0, 330.3], [0, 515.7, 240.9], [0, 0, 1]]),
    K1=np.array([[505.3, 0, 310.7], [0, 507.2, 250.1], [0, 0, 1]]),
    distortion0=np.zeros(5),
    distortion1=np.zeros(5),
    R=cv2.Rodrigues(np.array([0.03, -0.05, 0.02]))[0],
    t=np.array([-60.0, 1.0, 2.0]),
    size=(641, 479),
    unit="mm",
)


def photographed(board, K, R, t, size, background=150):
    """A drawn chessboard as a camera at (R, t) to it sees it, four times oversampled."""
    s = 32  # px of the drawing for one square; one white square around
    height, width = board.rows + 3, board.columns + 3
    rows, columns = np.mgrid[:height, :width]
    dark = (rows + columns) % 2 == 0
    dark[[0, -1]] = dark[:, [0, -1]] = False
    drawing = np.kron(np.where(dark, 20, 235), np.ones((s, s))).astype(np.uint8)
    # the drawing's pixel (in OpenCV's count) to the board: corner (0, 0) is 2 squares in
    unit = board.square / s
    to_board = np.array(
        [[unit, 0, (0.5 - 2 * s) * unit], [0, unit, (0.5 - 2 * s) * unit], [0, 0, 1]]
    )
    large = np.array([[4, 0, -0.5], [0, 4, -0.5], [0, 0, 1]])  # ours to OpenCV's, four times
    H = large @ K @ np.column_stack([R[:, 0], R[:, 1], t]) @ to_board
    view = cv2.warpPerspective(
        drawing, H, (4 * size[0], 4 * size[1]), flags=cv2.INTER_LINEAR, borderValue=background
    )
    grey = cv2.resize(view, size, interpolation=cv2.INTER_AREA)
    return np.repeat(grey[..., None], 3, axis=2)


def photographed_pairs(board, n=8, seed=0):
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(n):
        R = cv2.Rodrigues(rng.uniform(-0.5, 0.5, 3))[0]
        middle = np.array([board.columns - 1, board.rows - 1, 0]) / 2 * board.square
        t = (
            np.array([rng.uniform(-40, 80), rng.uniform(-30, 30), rng.uniform(420, 560)])
            - R @ middle
        )
        left = photographed(board, TRUE.K0, R, t, TRUE.size)
        right = photographed(board, TRUE.K1, TRUE.R @ R, TRUE.R @ t + TRUE.t, TRUE.size)
        pairs.append((left, right))
    return pairs


@pytest.fixture(scope="module")
def boards():
    return photographed_pairs(Board())


def test_known_cameras_come_back(boards):
    told = []
    found = calibrate(boards, progress=lambda f, /, desc="": told.append(f))
    assert found.rejected == {} and found.notes == ()
    c = found.calibration
    for K, true in ((c.K0, TRUE.K0), (c.K1, TRUE.K1)):
        assert K[0, 0] == pytest.approx(true[0, 0], rel=0.01)
        assert K[1, 1] == pytest.approx(true[1, 1], rel=0.01)
        assert np.abs(K[:2, 2] - true[:2, 2]).max() < 4
    assert np.linalg.norm(c.t) == pytest.approx(np.linalg.norm(TRUE.t), rel=0.01)
    assert np.linalg.norm(cv2.Rodrigues(c.R @ TRUE.R.T)[0]) < np.radians(0.5)
    assert c.rms_px < 0.2 and c.size == TRUE.size and c.unit == "mm"
    assert (found.pair_rms_px < 0.3).all() and len(found.pictures) == len(boards)
    assert told == sorted(told) and told[-1] == 1 and len(told) >= len(boards)


def test_corners_lie_where_they_are(boards):
    """Half-pixel conventions included: a shift of 0.5 px would show."""
    K, board = np.array([[600, 0, 200.5], [0, 600, 150.5], [0, 0, 1.0]]), Board(5, 4, 10)
    R, t = cv2.Rodrigues(np.array([0.2, -0.3, 0.05]))[0], np.array([-20.0, -12, 130])
    seen = photographed(board, K, R, t, (400, 300))
    places = np.array([(x * 10.0, y * 10.0, 0) for y in range(4) for x in range(5)])
    true = (places @ R.T + t) @ K.T
    true = true[:, :2] / true[:, 2:]
    corners = detect((seen, seen), board)
    assert corners.left is not None and corners.right is not None
    best = min(corners.left, corners.left[::-1], key=lambda xy: np.abs(xy - true).max())
    assert np.abs(best - true).max() < 0.1 and np.abs((best - true).mean(0)).max() < 0.03
    assert np.array_equal(corners.left, corners.right)


def test_agrees_with_opencv_by_hand(boards):
    found = calibrate(boards)
    place = np.zeros((54, 3), np.float32)
    place[:, :2] = np.mgrid[:9, :6].T.reshape(-1, 2) * 25
    sides = [
        [(getattr(c, side) - 0.5)[:, None].astype(np.float32) for c in found.corners]
        for side in ("left", "right")
    ]
    places = [place] * len(boards)
    flags = cv2.CALIB_FIX_K3
    start = [cv2.calibrateCamera(places, s, TRUE.size, None, None, flags=flags)[1:3] for s in sides]
    rms, K0, _, K1, _, R, T, *_ = cv2.stereoCalibrate(
        places, sides[0], sides[1], *start[0], *start[1], TRUE.size,
        flags=flags | cv2.CALIB_USE_INTRINSIC_GUESS, criteria=(3, 100, 1e-7),
    )  # fmt: skip
    c = found.calibration
    assert c.rms_px == pytest.approx(rms, rel=1e-3)
    assert np.allclose(c.K0 - HALF, K0, rtol=1e-3) and np.allclose(c.K1 - HALF, K1, rtol=1e-3)
    assert np.allclose(c.R, R, atol=1e-4) and np.allclose(c.t, T.ravel(), atol=0.05)


def test_pairs_that_spoil_it_are_left_out(boards):
    blank = np.full_like(boards[0][0], 90)
    pairs = [*boards, (blank, boards[0][1]), (boards[1][0], boards[2][1]), (blank[:99], blank)]
    found = calibrate(pairs)
    assert set(found.rejected) == {8, 9, 10}
    assert "left picture" in found.rejected[8] and "miss by" in found.rejected[9]
    assert "641×479" in found.rejected[10]
    assert np.isnan(found.pair_rms_px[8:]).all() and found.calibration.rms_px < 0.2
    assert found.corners[8].left is None and found.corners[8].right is not None


@pytest.mark.parametrize(
    "change, word",
    [
        (lambda b: [], "there are 0"),
        (lambda b: b[:2], "there are 2"),
        (lambda b: [b[0]] * 4, "same angle"),
        (lambda b: [(left, left) for left, _ in b], "same pictures"),
        (lambda b: [(left[:200], right[:200]) for left, right in b], "whole board"),
        (lambda b: [5, 6, 7], "isn't two pictures"),
        (lambda b: [(None, None)] * 3, "missing"),
        (lambda b: [(left[:3, :3], right[:3, :3]) for left, right in b], "whole board"),
    ],
)
def test_what_calibration_refuses(boards, change, word):
    with pytest.raises(InputError, match=word):
        calibrate(change(boards))


def test_squares_counted_for_corners(boards):
    with pytest.raises(InputError, match="With 9×6 it is found"):
        calibrate(boards[:3], Board(10, 7))


@pytest.mark.skipif(not CHESSBOARD.exists(), reason="the shared pictures aren't here")
def test_real_boards_end_under_half_a_pixel():
    lefts = sorted(CHESSBOARD.glob("left*.jpg"))
    pairs = [
        (images.load(p), images.load(p.with_name(p.name.replace("left", "right")))) for p in lefts
    ]
    found = calibrate(pairs)
    assert found.rejected == {} and found.calibration.rms_px < 0.5
    c, (first, *_) = found.calibration, found.corners
    done = rectify(*pairs[0], c)
    straight = []
    for xy, K, d, H in (
        (first.left, c.K0, c.distortion0, done.H0),
        (first.right, c.K1, c.distortion1, done.H1),
    ):
        assert xy is not None
        straight.append(mapped(H @ K, cv2.undistortPoints(xy[:, None], K, d)[:, 0]))
    off = np.abs(straight[0] - straight[1])[:, 1]
    assert np.median(off) < 0.5 < done.vertical_before_px
    assert done.rig
    points = triangulate(straight[0], straight[1], done.rig)
    square = np.linalg.norm(np.diff(points.reshape(6, 9, 3), axis=1), axis=-1)
    assert np.median(square) == pytest.approx(25, rel=0.02), "the board's squares are 25 mm"


def test_what_calibrate_gives_is_a_rig(boards):
    found, (left, right) = calibrate(boards), boards[0]
    done, same = rectify(left, right, found), rectify(left, right, found.calibration)
    assert done.rig is not None and done.rig == same.rig
    xy0, xy1 = found.corners[0].left, found.corners[0].right
    assert xy0 is not None and xy1 is not None
    by_hand = triangulate(xy0, xy1, found.calibration)
    assert np.array_equal(triangulate(xy0, xy1, found), by_hand)
    for call in (lambda rig: rectify(left, right, rig), lambda rig: triangulate(xy0, xy1, rig)):
        with pytest.raises(InputError, match="A dict is no rig"):
            call({"focal_px": 500})
