"""From disparity to space and back.

The left camera sees a point (x, y, z) at u_l = f x/z + c_x, the right one, b further right, at
u_r = f (x − b)/z + c_x. Subtract: d = u_l − u_r = f b/z. So

    z = f b/d      x = b (u_l − c_x)/d      y = b f_x (v_l − c_y)/(f_y d)

with x to the right, y down and z ahead of the left camera, all in the unit of b. Where the right
principal point lies doffs further right than the left one, d + doffs stands for d (Scharstein et
al., GCPR 2014). Take the derivative of z and there is stereo's law: an error δd in disparity is
an error z²/(f b) δd in depth. Twice as far is four times as uncertain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.stereo.calibrate import Calibrated, known_rig
from core.stereo.types import Calibration
from core.types import InputError, Rig


def triangulate(
    pixels_left: np.ndarray, pixels_right: np.ndarray, rig: Rig | Calibration | Calibrated
) -> np.ndarray:
    """The points (N, 3) float64 seen at pixels_left and pixels_right, both (N, 2), in rig.unit.

    They lie in the left camera's axes: x right, y down, z ahead. With a `Rig` the pictures are
    rectified and the row in the right one isn't used: disparity 0 is z = inf (x and y are ±inf,
    NaN on the axis). With a `Calibration`, or what `calibrate` gave, the pixels are those of the
    raw pictures; each is freed of its distortion and both rays meet by DLT (Hartley and Zisserman,
    section 12.2). A point that would lie behind the camera is NaN, and so is one of unknown pixels.
    Raises InputError if the lists don't fit, or `rig` isn't one.
    """
    left, right = _points(pixels_left, "left"), _points(pixels_right, "right")
    if left.shape != right.shape:
        raise InputError(
            f"There are {len(left)} points in the left picture and {len(right)} in the right one. "
            "Give each point its partner."
        )
    rig = known_rig(rig)
    if isinstance(rig, Calibration):
        return _triangulate_raw(left, right, rig)
    d = left[:, 0] - right[:, 0] + rig.doffs_px
    d = np.where(d >= 0, d, np.nan)
    return _in_space(left, d, rig)


def _in_space(left: np.ndarray, d: np.ndarray, rig: Rig) -> np.ndarray:
    """Points (N, 3) of left pixels (N, 2) whose disparity, doffs included, is d (N,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        x = rig.baseline * (left[:, 0] - rig.cx) / d
        y = rig.baseline * rig.focal_px * (left[:, 1] - rig.cy) / (rig.focal_y_px * d)
        z = rig.focal_px * rig.baseline / d
    return np.column_stack([x, y, z])


def _triangulate_raw(left: np.ndarray, right: np.ndarray, rig: Calibration) -> np.ndarray:
    import cv2

    points = np.full((len(left), 3), np.nan)
    known = np.isfinite(left).all(1) & np.isfinite(right).all(1)
    if not known.any():
        return points
    # K and pixels both count centres at half numbers, so they fit without OpenCV's half pixel
    exact = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-14)
    ray0, ray1 = (
        cv2.undistortPoints(pixels[known, None], K, distortion, criteria=exact)[:, 0]
        for pixels, K, distortion in (
            (left, rig.K0, rig.distortion0),
            (right, rig.K1, rig.distortion1),
        )
    )
    first = np.eye(3, 4)
    second = np.column_stack([rig.R, np.ravel(rig.t)])
    homogeneous = cv2.triangulatePoints(first, second, ray0.T, ray1.T)
    with np.errstate(divide="ignore", invalid="ignore"):
        met = (homogeneous[:3] / homogeneous[3]).T
    met[~(met[:, 2] > 0)] = np.nan
    points[known] = met
    return points


def depth(disparity: np.ndarray, rig: Rig) -> np.ndarray:
    """z = f b/(d + doffs): (H, W) float32 in rig.unit from disparity (H, W) px.

    NaN where the disparity is unknown or d + doffs isn't above 0.
    """
    d = _map(disparity, "disparity map") + rig.doffs_px
    with np.errstate(invalid="ignore", over="ignore"):
        z = rig.focal_px * rig.baseline / np.where(d > 0, d, np.nan)
        return z.astype(np.float32)


def disparity_of(depth: np.ndarray, rig: Rig) -> np.ndarray:
    """d = f b/z − doffs: (H, W) float32 px from depth (H, W) in rig.unit; NaN where z isn't above
    0 or unknown. The way back from `depth`."""
    z = _map(depth, "depth map")
    with np.errstate(invalid="ignore", over="ignore"):
        d = rig.focal_px * rig.baseline / np.where(z > 0, z, np.nan) - rig.doffs_px
        return d.astype(np.float32)


def depth_error(
    depth: float | np.ndarray, rig: Rig, disparity_error_px: float | np.ndarray
) -> np.ndarray:
    """δz = z²/(f b) δd, in rig.unit, of depths (any shape) in rig.unit.

    To first order: right while δd is small beside d.
    """
    z = np.asarray(depth, np.float64)
    return z**2 / (rig.focal_px * rig.baseline) * np.asarray(disparity_error_px, np.float64)


# ---------------------------------------------------------------- the ruler


@dataclass(frozen=True)
class Ruler:
    """What lies between two pixels: point0, point1 (3,) and their distance in `unit`.

    error is how far off the distance may be, one standard deviation, in `unit`.
    """

    point0: np.ndarray
    point1: np.ndarray
    distance: float
    unit: str
    error: float


def distance(point0: np.ndarray, point1: np.ndarray) -> np.ndarray:
    """The distance between points (..., 3), in their unit."""
    difference = np.asarray(point1, np.float64) - np.asarray(point0, np.float64)
    return np.linalg.norm(difference, axis=-1)


def measure(
    disparity: np.ndarray,
    rig: Rig,
    xy0: tuple[float, float],
    xy1: tuple[float, float],
    *,
    disparity_error_px: float = 0.5,
) -> Ruler:
    """The distance in space between pixels xy0 and xy1 of the left picture, in rig.unit.

    Each end takes the median disparity of the 3×3 pixels around it. A point moves along its own
    ray when its disparity is wrong, by P/d for each pixel of error, so the distance is wrong by
    the part of that which lies along the ruler; both ends' shares add in squares.
    Raises InputError where there is no disparity.
    """
    known = _map(disparity, "disparity map") + rig.doffs_px
    xy = np.array([_pixel(known, xy0), _pixel(known, xy1)])
    d = np.array([_median_around(known, end) for end in xy])
    points = _in_space(xy, d, rig)
    length = float(distance(points[0], points[1]))
    along = (points[1] - points[0]) / length if length > 0 else np.zeros(3)
    shares = points @ along / d * disparity_error_px
    return Ruler(points[0], points[1], length, rig.unit, float(np.hypot(*shares)))


def _pixel(disparity: np.ndarray, xy: tuple[float, float]) -> tuple[float, float]:
    height, width = disparity.shape
    try:
        x, y = float(xy[0]), float(xy[1])
    except (TypeError, ValueError, IndexError):
        raise InputError("The ruler needs two points. Click two in the picture.") from None
    if not (0 <= x <= width and 0 <= y <= height):
        raise InputError(
            f"The point ({x:g}, {y:g}) lies outside the picture of {width}×{height} px. "
            "Click inside it."
        )
    return x, y


def _median_around(disparity: np.ndarray, xy: np.ndarray) -> float:
    """The median of the 3×3 pixels around xy. It is always one of them: a mean of the middle two
    would lie between a thing and what is behind it, where nothing is."""
    height, width = disparity.shape
    column, row = min(int(xy[0]), width - 1), min(int(xy[1]), height - 1)
    window = disparity[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
    values = np.sort(window[window > 0])
    if 2 * len(values) < window.size:
        raise InputError(
            f"At ({xy[0]:.0f}, {xy[1]:.0f}) no depth is known. Click elsewhere, or turn on Fill."
        )
    return float(values[len(values) // 2])


# ---------------------------------------------------------------- at the door


def _points(pixels: np.ndarray, side: str) -> np.ndarray:
    try:
        array = np.asarray(pixels, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"The {side} points aren't numbers. Give x and y of each.") from None
    if array.ndim != 2 or array.shape[1] != 2:
        raise InputError(
            f"The {side} points have shape {array.shape}. Give x and y of each: (N, 2)."
        )
    return np.where(np.isfinite(array), array, np.nan)


def _map(values: np.ndarray, name: str) -> np.ndarray:
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"The {name} doesn't hold numbers. Choose another file.") from None
    if array.ndim != 2 or not array.size:
        raise InputError(
            f"The {name} has shape {array.shape}. Give one number for each pixel: (H, W)."
        )
    return np.where(np.isfinite(array), array, np.nan)
