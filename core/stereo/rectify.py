"""Rectification: turn both pictures until partners lie in one row.

Depth needs both cameras to look the same way, square to the line between them. Turning a camera
about its centre moves every pixel by a homography that knows nothing of depth, so it can be done
afterwards. With a calibration the turn is known (Bouguet's method in OpenCV's `stereoRectify`);
without one, `turn` guesses it from matched points. What stays unknown then is scale: disparity
orders things by nearness, but no formula makes metres of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from core import draw
from core.images import as_rgb
from core.stereo.calibrate import Calibrated, known_rig
from core.stereo.rigfile import scaled
from core.stereo.turn import LEAST, check, guess, mapped, shift
from core.stereo.types import Calibration
from core.types import InputError, Progress, Rig, silent

Matches = tuple[np.ndarray, np.ndarray]

EDGE = -0.5, 0.5  # a picture's first and last pixel reach this far beyond their centres


@dataclass(frozen=True)
class Rectified:
    """left, right (H, W, 3) uint8, rectified; black where there is nothing to show.

    valid0, valid1 (H, W) bool: where there is. H0, H1 (3, 3): from raw pixels, lens distortion
    taken off, to rectified ones. rig is that of the rectified pictures, None if uncalibrated.
    vertical_before_px and vertical_px: the median vertical offset of matches, without sign, before
    and after; NaN if there were too few to tell. points0, points1 (N, 2) px: these matches in the
    raw pictures. done is False if nothing had to be changed.
    """

    left: np.ndarray
    right: np.ndarray
    rig: Rig | None
    H0: np.ndarray
    H1: np.ndarray
    valid0: np.ndarray
    valid1: np.ndarray
    vertical_before_px: float
    vertical_px: float
    points0: np.ndarray
    points1: np.ndarray
    done: bool = True


def rectify(
    left: np.ndarray,
    right: np.ndarray,
    rig: Rig | Calibration | Calibrated | None = None,
    *,
    crop: float = 1.0,
    matches: Matches | None = None,
    progress: Progress = silent,
) -> Rectified:
    """Both pictures (RGB uint8, one size) with partners in the same rows.

    With a `Calibration`, or what `calibrate` gave, distortion is taken off too and the new rig
    comes in its unit; crop 1 shows only pixels that both lenses saw, 0 keeps every pixel within
    black borders. If the pictures are a resized version of the calibration's, it is scaled. With a
    `Rig` the pictures are rectified already and come back as they are. With None it is guessed from
    matches, (N, 2) px in each picture, or from `sparse_matches` if none are given.
    Raises InputError if the sizes differ, `rig` isn't one or doesn't fit, or no sane guess is found.
    """
    rig = None if rig is None else known_rig(rig)
    left, right = as_rgb(left, "The left picture"), as_rgb(right, "The right picture")
    if left.shape != right.shape:
        sizes = (f"{p.shape[1]}×{p.shape[0]}" for p in (left, right))
        raise InputError(
            f"The pictures differ in size ({' and '.join(sizes)} px). Give two of the same size."
        )
    from core.stereo.sparse import sparse_matches

    progress(0.0, desc="matching")
    pair = _given(sparse_matches(left, right) if matches is None else matches)
    fine_px = max(1.0, max(left.shape) / 1000)  # in large pictures keypoints are found less finely
    progress(0.6, desc="rectifying")
    if isinstance(rig, Rig):
        everywhere = np.ones(left.shape[:2], bool)
        offset = _vertical_px(*pair, _agreeing(*pair, fine_px))
        done = Rectified(
            left=left,
            right=right,
            rig=rig,
            H0=np.eye(3),
            H1=np.eye(3),
            valid0=everywhere,
            valid1=everywhere,
            vertical_before_px=offset,
            vertical_px=offset,
            points0=pair[0],
            points1=pair[1],
            done=False,
        )
    elif isinstance(rig, Calibration):
        done = _calibrated(left, right, rig, crop, *pair, fine_px)
    else:
        done = _uncalibrated(left, right, *pair, fine_px)
    progress(1.0, desc="rectified")
    return done


# ---------------------------------------------------------------- matches


def _given(matches: Matches) -> Matches:
    points0, points1 = (np.asarray(points, np.float64) for points in matches)
    if points0.shape != points1.shape or points0.ndim != 2 or points0.shape[1] != 2:
        raise InputError(
            f"Matches are two lists of points of one length, not {points0.shape} and "
            f"{points1.shape}. Match the pictures again."
        )
    known = np.isfinite(points0).all(1) & np.isfinite(points1).all(1)
    return points0[known], points1[known]


def _agreeing(points0: np.ndarray, points1: np.ndarray, fine_px: float) -> np.ndarray:
    """(N,) bool: the matches that agree with one fundamental matrix."""
    import cv2

    if len(points0) < 8:
        return np.zeros(len(points0), bool)
    try:
        _, inliers = cv2.findFundamentalMat(
            points0, points1, cv2.USAC_MAGSAC, ransacReprojThreshold=fine_px, confidence=0.9999,
            maxIters=10_000,
        )  # fmt: skip
    except cv2.error:  # points on a line, which OpenCV meets with a failed assertion
        inliers = None
    return np.zeros(len(points0), bool) if inliers is None else inliers.ravel() > 0


def _vertical_px(points0: np.ndarray, points1: np.ndarray, agree: np.ndarray) -> float:
    if agree.sum() < 8:
        return math.nan
    return float(np.median(np.abs(points0[:, 1] - points1[:, 1])[agree]))


# ---------------------------------------------------------------- calibrated


def _calibrated(
    left: np.ndarray,
    right: np.ndarray,
    calibration: Calibration,
    crop: float,
    points0: np.ndarray,
    points1: np.ndarray,
    fine_px: float,
) -> Rectified:
    import cv2

    height, width = left.shape[:2]
    calibration = _fitted(calibration, width, height)
    half = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])  # OpenCV's first pixel centre is 0
    cameras = (calibration.K0, calibration.distortion0), (calibration.K1, calibration.distortion1)
    try:
        R0, R1, P0, P1, *_ = cv2.stereoRectify(
            calibration.K0 - half, calibration.distortion0,
            calibration.K1 - half, calibration.distortion1,
            (width, height), calibration.R, calibration.t.reshape(3, 1),
            # infinity gets disparity 0, so no doffs has to be carried along
            flags=cv2.CALIB_ZERO_DISPARITY, alpha=1.0 - min(max(crop, 0.0), 1.0),
        )  # fmt: skip
    except cv2.error:
        raise InputError("The calibration describes no pair of cameras. Calibrate again.") from None
    if abs(P1[1, 3]) > abs(P1[0, 3]):
        raise InputError(
            "By the calibration, one camera stands above the other. Turn the pictures by 90° and "
            "calibrate with those."
        )
    if not P1[0, 3] < 0:
        raise InputError(
            "By the calibration, the right camera stands to the left of the left one. Swap the "
            "pictures, and calibrate with them swapped."
        )
    K = P0[:, :3]
    pictures, valid, homographies, seen = [], [], [], []
    for picture, (own, distortion), R, points in zip(
        (left, right), cameras, (R0, R1), (points0, points1), strict=True
    ):
        map_x, map_y = cv2.initUndistortRectifyMap(
            own - half, distortion, R, K, (width, height), cv2.CV_32FC1
        )
        pictures.append(cv2.remap(picture, map_x, map_y, cv2.INTER_LINEAR))
        valid.append(_inside(map_x, map_y, width, height))
        homographies.append((K + half) @ R @ np.linalg.inv(own))
        if len(points):
            points = cv2.undistortPoints(points[:, None], own, distortion, R=R, P=K + half)[:, 0]
        seen.append(points)
    zoom = K[0, 0] / calibration.K0[0, 0]
    if min(mask.mean() for mask in valid) < 0.05 or not 0.25 < zoom < 4:
        raise InputError(
            "With this calibration hardly anything of the pictures is left. It belongs to other "
            "cameras or other pictures: calibrate again."
        )
    own, baseline = K + half, -P1[0, 3] / P1[0, 0]
    rig = Rig(
        float(own[0, 0]), float(baseline), float(own[0, 2]), float(own[1, 2]),
        float(P1[0, 2] - P0[0, 2]), calibration.unit, float(own[1, 1]),
    )  # fmt: skip
    agree = _agreeing(seen[0], seen[1], fine_px)
    return Rectified(
        left=pictures[0],
        right=pictures[1],
        rig=rig,
        H0=homographies[0],
        H1=homographies[1],
        valid0=valid[0],
        valid1=valid[1],
        vertical_before_px=_vertical_px(points0, points1, agree),
        vertical_px=_vertical_px(seen[0], seen[1], agree),
        points0=points0,
        points1=points1,
    )


def _fitted(calibration: Calibration, width: int, height: int) -> Calibration:
    """The calibration for pictures of this size."""
    if not all(calibration.size) or calibration.size == (width, height):
        return calibration
    fx, fy = width / calibration.size[0], height / calibration.size[1]
    if abs(fx / fy - 1) > 0.01:
        raise InputError(
            f"The calibration is for {calibration.size[0]}×{calibration.size[1]} px, the pictures "
            f"have {width}×{height} px: another shape. Give the pictures it was made for."
        )
    return scaled(calibration, (fx, fy))


def _inside(x: np.ndarray, y: np.ndarray, width: int, height: int) -> np.ndarray:
    """(H, W) bool: which places, in OpenCV's pixels, lie in a picture of this size."""
    before, after = EDGE
    return (x >= before) & (y >= before) & (x <= width - 1 + after) & (y <= height - 1 + after)


# ---------------------------------------------------------------- guessed


def _uncalibrated(
    left: np.ndarray,
    right: np.ndarray,
    points0: np.ndarray,
    points1: np.ndarray,
    fine_px: float,
) -> Rectified:
    import cv2

    height, width = left.shape[:2]
    agree = _agreeing(points0, points1, fine_px)
    kept0, kept1 = points0[agree], points1[agree]
    if len(kept0) < LEAST or agree.mean() < 0.25:
        raise InputError(
            f"Only {len(kept0)} of {len(points0)} matches agree on how the cameras stood, too few "
            "to rectify by. Give two pictures of one scene with more texture, or a calibration."
        )
    H0, H1 = guess(kept0, kept1, width, height)
    off = np.abs(mapped(H0, kept0)[:, 1] - mapped(H1, kept1)[:, 1])
    check(H0, H1, kept0, kept1, off / fine_px, width, height)
    pictures, valid = [], []
    to_ours = shift(0.5, 0.5)  # OpenCV's first pixel centre is 0
    for picture, H in ((left, H0), (right, H1)):
        H_cv = np.linalg.inv(to_ours) @ H @ to_ours
        pictures.append(cv2.warpPerspective(picture, H_cv, (width, height)))
        ones = np.ones((height, width), np.uint8)
        mask = cv2.warpPerspective(ones, H_cv, (width, height), flags=cv2.INTER_NEAREST)
        valid.append(mask.astype(bool))
    return Rectified(
        left=pictures[0],
        right=pictures[1],
        rig=None,
        H0=H0,
        H1=H1,
        valid0=valid[0],
        valid1=valid[1],
        vertical_before_px=_vertical_px(points0, points1, agree),
        vertical_px=float(np.median(off)),
        points0=points0,
        points1=points1,
    )


# ---------------------------------------------------------------- to look at

ROWS = 12  # lines across the pictures


def pictures(left: np.ndarray, right: np.ndarray, done: Rectified) -> list[tuple[str, np.ndarray]]:
    """Three pictures with titles: the raw pair with lines across both, the rectified pair with
    the same lines, and the rectified pair laid over each other, left red, right cyan."""

    def title(name: str, offset_px: float) -> str:
        return name if math.isnan(offset_px) else f"{name}: rows {offset_px:.2f} px apart"

    shown = [(title("Raw", done.vertical_before_px), _lined(left, right))]
    if done.done:
        shown.append((title("Rectified", done.vertical_px), _lined(done.left, done.right)))
    grey = [picture @ np.array([0.299, 0.587, 0.114]) for picture in (done.left, done.right)]
    over = np.stack([grey[0], grey[1], grey[1]], -1).round().astype(np.uint8)
    return [*shown, ("Overlap: left red, right cyan", over)]


def _lined(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    both = draw.side_by_side(left, right)
    thick = max(1, both.shape[0] // 400)
    for k, row in enumerate(np.linspace(0, both.shape[0], ROWS + 2)[1:-1].astype(int)):
        both[row : row + thick] = draw.ORANGE if k % 2 else draw.BLUE
    return both
