"""How two unknown cameras must be turned for partners to lie in one row, guessed from matches.

Two cameras of some focal length are turned, on paper, until matched points have equal rows
(Fusiello and Irsara, Machine Vision and Applications 2011). Many pairs of homographies align rows;
this pair belongs to turned cameras, so pictures stay upright and hardly sheared.
"""

from __future__ import annotations

import math

import numpy as np

from core.types import InputError

LEAST = 12  # matches below which a guess is no better than chance
# How far from an ordinary pair of cameras the guess may go, one sigma each: the left camera's
# turn about y and z, the right one's about x, y and z (radians), the logarithms of focal length
# over picture side and of right over left focal length, the right picture's shift in its height.
SIGMAS = np.array([0.05, 0.05, 0.05, 0.05, 0.1, 0.3, 0.03, 0.05])
FOCAL = 1.1  # times the longer side: an ordinary lens


def guess(
    points0: np.ndarray, points1: np.ndarray, width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """The homographies of the two turned cameras that bring the points to equal rows.

    Least squares over eight numbers, drawn towards an ordinary pair by SIGMAS.
    """
    plane = _on_a_plane(points0, points1)
    numbers = np.zeros(8)
    numbers[4] = -_roll(points0[plane], points1[plane]) / SIGMAS[4]
    numbers = _fit(numbers, points0[plane], points1[plane], width, height)
    numbers = _fit(numbers, points0, points1, width, height)
    H0, H1 = _turned(numbers * SIGMAS, width, height)
    # each picture's middle stays in its column, and both together in their row
    (at0,), (at1,) = (mapped(H, np.array([[width / 2, height / 2]])) for H in (H0, H1))
    right = width / 2 - at0[0], width / 2 - at1[0]
    down = height / 2 - (at0[1] + at1[1]) / 2
    # the turned cameras alone give far things disparity 0 and near ones more; if the middles'
    # shift takes some below 0, give it back, one half to each picture
    turned = mapped(H0, points0)[:, 0] - mapped(H1, points1)[:, 0]
    least = np.percentile(turned, 1) + right[0] - right[1]
    back = max(0.0, -least) / 2 if np.median(turned) > 0 else 0.0
    return shift(right[0] + back, down) @ H0, shift(right[1] - back, down) @ H1


def _fit(
    start: np.ndarray, points0: np.ndarray, points1: np.ndarray, width: int, height: int
) -> np.ndarray:
    """The eight numbers, in sigmas, that bring the points to equal rows, searched from `start`."""
    from scipy.optimize import least_squares

    def cost(numbers: np.ndarray) -> np.ndarray:
        H0, H1 = _turned(numbers * SIGMAS, width, height)
        rows = mapped(H0, points0)[:, 1] - mapped(H1, points1)[:, 1]
        # Cauchy's loss: what lies off by many pixels is a wrong match and hardly pulls
        return np.concatenate([np.sign(rows) * np.sqrt(np.log1p(rows**2)), numbers])

    return least_squares(cost, start, x_scale="jac", max_nfev=200).x


def _on_a_plane(points0: np.ndarray, points1: np.ndarray) -> np.ndarray:
    """(N,) bool: the matches of one homography, the safest ones to begin with; all if too few.

    On a flat or far scene a fundamental matrix is hardly determined and agrees with wrong matches;
    a homography isn't fooled.
    """
    import cv2

    _, inliers = cv2.findHomography(points0, points1, cv2.USAC_MAGSAC, 3.0)
    plane = np.zeros(len(points0), bool) if inliers is None else inliers.ravel() > 0
    return plane if plane.sum() >= max(LEAST, len(points0) / 2) else np.ones(len(points0), bool)


def _turned(v: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """The homographies of two cameras turned by v (8,), whose entries SIGMAS explains."""
    focal = FOCAL * max(width, height) * math.exp(v[5])
    new = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    zoom = math.exp(v[6])
    right = np.array(
        [[focal * zoom, 0, width / 2], [0, focal * zoom, height * (0.5 + v[7])], [0, 0, 1]]
    )
    H0 = new @ _rotation(0.0, v[0], v[1]) @ np.linalg.inv(new)
    return H0, new @ _rotation(v[2], v[3], v[4]) @ np.linalg.inv(right)


def _rotation(x: float, y: float, z: float) -> np.ndarray:
    import cv2

    return cv2.Rodrigues(np.array([x, y, z]))[0]


def _roll(points0: np.ndarray, points1: np.ndarray) -> float:
    """By how much (radians) the right picture's points are turned against the left one's."""
    a = points0 - points0.mean(0)
    b = points1 - points1.mean(0)
    return float(np.arctan2((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum(), (a * b).sum()))


def shift(x: float, y: float) -> np.ndarray:
    """The homography (3, 3) that moves by x and y px."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def mapped(H: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N, 2) points through a homography; those on or behind its horizon go very far away."""
    w = points @ H[2, :2] + H[2, 2]
    return (points @ H[:2, :2].T + H[:2, 2]) / np.maximum(w, 1e-9)[:, None]


def check(
    H0: np.ndarray,
    H1: np.ndarray,
    points0: np.ndarray,
    points1: np.ndarray,
    off: np.ndarray,
    width: int,
    height: int,
) -> None:
    """InputError if the rectified pictures would be of no use.

    off (N,): the rows between partners, in units of how finely matches are known (1 px, or more
    in large pictures).
    """
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
    # tried on made-up pairs: moved sideways it stays below 1, ahead it is over 1.4
    bad = bool(np.percentile(off, 70) > 1.2)
    for H in (H0, H1):
        corners = mapped(H, frame)
        ratios = np.linalg.norm(np.roll(corners, -1, 0) - corners, axis=1) / np.tile(frame[2], 2)
        a, b = mapped(H, frame.mean(0) + np.array([[-1, 0], [1, 0]]))
        turned_deg = abs(math.degrees(math.atan2(b[1] - a[1], b[0] - a[0])))
        bad |= bool(ratios.min() < 0.5 or ratios.max() > 2 or turned_deg > 45)
    if bad:
        x, y = np.median(np.abs(points1 - points0), axis=0)
        how = "up or down" if y > x else "ahead, or the scene moved"
        raise InputError(
            "No sane turn brings partners to equal rows: it seems that the camera moved "
            f"{how}. Give two pictures taken side by side at the same moment."
        )
