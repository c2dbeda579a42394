"""What every file format of posed photos says: a name, a pose and a lens for each picture."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from core.types import InputError

MAX_FRAMES = 5000
TURN = np.diag([1.0, -1.0, -1.0, 1.0])  # OpenGL's camera axes (y up, z back) to OpenCV's


@dataclass(frozen=True)
class Frame:
    """One picture: its name; c2w (4, 4), OpenCV axes; K (3, 3) in pixels, or a focal length alone
    where the file says nothing of size (then see fov_deg); lens: k1, k2, p1, p2, k3 of OpenCV's
    model; width, height as the file says, 0 if it doesn't; held: is it for testing?"""

    name: str
    c2w: np.ndarray
    K: np.ndarray | None
    lens: tuple[float, ...] = (0.0,) * 5
    width: int = 0
    height: int = 0
    fov_deg: float = 0.0
    held: bool = False


@dataclass(frozen=True)
class Capture:
    """Frames; points (P, 3) of the scene, perhaps none; box (2, 3) if the file says where the scene
    is; ranges (N, 2) of depths, LLFF's; root: the folder the names are relative to."""

    frames: tuple[Frame, ...]
    points: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    box: np.ndarray | None = None
    ranges: np.ndarray | None = None
    root: str = ""


def pinhole(fx: float, fy: float, cx: float, cy: float, width: int, height: int) -> np.ndarray:
    """K (3, 3); InputError if it is no camera."""
    if not all(map(math.isfinite, (fx, fy, cx, cy))) or min(fx, fy) <= 0:
        raise InputError(
            f"A focal length of {fx:g}, {fy:g} px at centre {cx:g}, {cy:g} is no camera. "
            "Correct the cameras file."
        )
    if not (0 < width < 100_000 and 0 < height < 100_000):
        raise InputError(
            f"A camera of {width}×{height} px is impossible. Correct the cameras file."
        )
    if not (0 < cx < width and 0 < cy < height):
        raise InputError(
            f"The camera's centre ({cx:g}, {cy:g}) lies outside its {width}×{height} px. The "
            "intrinsics belong to another picture size: correct the cameras file."
        )
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])


def rigid(matrix: object, name: str) -> np.ndarray:
    """The pose (4, 4) of a 3×4 or 4×4 matrix, its rotation made exact. InputError if it isn't one."""
    try:
        m = np.asarray(matrix, np.float64)
    except (TypeError, ValueError, OverflowError):
        m = np.zeros(0)
    if m.shape not in ((3, 4), (4, 4)):
        raise InputError(f"The pose of {name} is not a 4×4 matrix. Correct the cameras file.")
    if not np.isfinite(m).all():
        raise InputError(f"The pose of {name} holds NaN or infinity. Leave the picture out.")
    length = np.linalg.norm(m[:3, :3], axis=0)
    if length.min() < 1e-9 or np.ptp(length) > 0.05 * length.max():
        raise InputError(f"The pose of {name} can't be inverted. Leave the picture out.")
    u, s, vt = np.linalg.svd(m[:3, :3] / length)
    if s.min() < 0.9 or np.linalg.det(u @ vt) < 0:
        raise InputError(f"The pose of {name} is no rotation. Leave the picture out.")
    out = np.eye(4)
    exact = np.abs(s - 1).max() < 1e-9 and np.abs(length - 1).max() < 1e-9
    out[:3, :3] = m[:3, :3] if exact else u @ vt
    out[:3, 3] = m[:3, 3]
    return out
