"""What a model shows: one picture laid over the other, a panorama, an epipolar line.

A homography says where every pixel of picture 0 belongs in picture 1, so the two become one
picture. Where they overlap, each counts by its distance to its own border: the seam has no edge
(feathering; Szeliski, Image Alignment and Stitching, 2006, sec. 6.2). A fundamental matrix says
less: a point of one picture lies somewhere on a line of the other.
"""

from __future__ import annotations

import numpy as np

from core.matching.truth import project
from core.types import InputError

MAX_PANORAMA_PX = 3000  # longer panoramas are reduced to this
MAX_GROWTH = 8  # times the longest side of either picture: beyond, the homography is wrong
PAPER = 255  # where neither picture reaches


def panorama(image0: np.ndarray, image1: np.ndarray, model: np.ndarray | None) -> np.ndarray:
    """Both pictures in the frame of picture 1, RGB uint8, white where neither reaches.

    model (3, 3) takes picture 0 to picture 1. Raises InputError if there is none, or if it sends
    picture 0 behind the camera or to an absurd size.
    """
    H = _usable(model)
    size0, size1 = image0.shape[1::-1], image1.shape[1::-1]
    corners0 = _box(size0)
    w = np.column_stack([corners0, np.ones(4)]) @ H[2]
    found = np.vstack([project(H, corners0), _box(size1)])
    if (w * np.sign(w[0]) <= 1e-9).any() or not np.isfinite(found).all():
        raise InputError("The homography sends part of picture 0 behind the camera, so there is "
                         "no flat panorama. Overlay the pictures instead.")  # fmt: skip
    low, high = np.floor(found.min(axis=0) + 1e-6), np.ceil(found.max(axis=0) - 1e-6)
    extent = high - low
    if extent.max() > MAX_GROWTH * max(*size0, *size1):
        raise InputError(f"The panorama would be {extent[0]:.0f}×{extent[1]:.0f} px: the "
                         "homography is wrong or the views are too far apart. Check the matches "
                         "first.")  # fmt: skip
    factor = min(1.0, MAX_PANORAMA_PX / extent.max())
    place = np.diag([factor, factor, 1.0]) @ np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1]])
    size = int(max(1, np.ceil(extent[0] * factor))), int(max(1, np.ceil(extent[1] * factor)))

    total = np.zeros((size[1], size[0], 3), np.float32)
    weight = np.zeros((size[1], size[0], 1), np.float32)
    for image, matrix in ((image0, place @ H), (image1, place)):
        share = _warp(_feather(image.shape[:2]), matrix, size)[..., None]
        total += share * _warp(image, matrix, size, replicate=True)
        weight += share
    blended = total / np.maximum(weight, 1e-6)
    return np.where(weight > 1e-6, blended + 0.5, PAPER).astype(np.uint8)


def overlay(
    image0: np.ndarray, image1: np.ndarray, model: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Picture 0 moved onto picture 1, and picture 1: the same size, for a slider or a flicker.

    White where picture 0 does not reach. Raises InputError if there is no model.
    """
    H = _usable(model)
    size = image1.shape[1], image1.shape[0]
    reach = _warp(np.ones(image0.shape[:2], np.float32), H, size)[..., None]
    moved = reach * _warp(image0, H, size, replicate=True) + (1 - reach) * PAPER
    return (moved + 0.5).astype(np.uint8), image1


def epipolar_line(
    F: np.ndarray, xy: tuple[float, float], size: tuple[int, int], from_view: int = 0
) -> np.ndarray | None:
    """Where the other picture, of `size` (width, height), may show the point xy of `from_view`.

    F (3, 3) obeys x1ᵀ F x0 = 0 in pixels. Returns the line's two ends (2, 2) float64 px, clipped
    to the picture, left end first; None where it misses the picture or xy is the epipole.
    """
    a, b, c = (F if from_view == 0 else F.T) @ np.array([xy[0], xy[1], 1.0])
    length = np.hypot(a, b)
    if not np.isfinite(length) or length < 1e-12 * np.abs(F).max():
        return None
    # The line in parametric form, start + s · along, cut by the four borders (Liang and Barsky).
    start, along = -c * np.array([a, b]) / length**2, np.array([b, -a]) / length
    nearest, farthest = -np.inf, np.inf
    for axis in (0, 1):
        if abs(along[axis]) < 1e-12:
            if not 0 <= start[axis] <= size[axis]:
                return None
            continue
        ends = sorted((border - start[axis]) / along[axis] for border in (0, size[axis]))
        nearest, farthest = max(nearest, ends[0]), min(farthest, ends[1])
    if nearest >= farthest:
        return None
    ends = np.array([start + nearest * along, start + farthest * along])
    return ends[np.lexsort((ends[:, 1], ends[:, 0]))]


def _usable(model: np.ndarray | None) -> np.ndarray:
    if model is None:
        raise InputError("There is no homography to lay the pictures over each other with. "
                         "Choose homography or affine, and a pair with enough matches.")  # fmt: skip
    H = np.asarray(model, np.float64)
    if not np.isfinite(H).all() or abs(np.linalg.det(H)) < 1e-12 * np.abs(H).max() ** 3:
        raise InputError("This homography squeezes the picture to a line. Check the matches, or "
                         "try another estimator.")  # fmt: skip
    return H


def _warp(
    image: np.ndarray, H: np.ndarray, size: tuple[int, int], replicate: bool = False
) -> np.ndarray:
    """float32 picture of `size`. replicate lets border pixels count whole; a mask cuts them."""
    import cv2

    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    matrix = np.linalg.inv(half) @ H @ half  # OpenCV counts from the first pixel's centre
    border = cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT
    return cv2.warpPerspective(
        image.astype(np.float32), matrix, size, flags=cv2.INTER_LINEAR, borderMode=border
    )


def _feather(shape: tuple[int, int]) -> np.ndarray:
    """(H, W) float32: distance of each pixel centre to the nearest border, 1 in the middle."""
    across, down = (np.minimum(np.arange(n) + 0.5, n - np.arange(n) - 0.5) for n in shape[::-1])
    distance = np.minimum(across[None], down[:, None])
    return (distance / distance.max()).astype(np.float32)


def _box(size: tuple[int, ...]) -> np.ndarray:
    width, height = size
    return np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
