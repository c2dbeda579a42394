"""Depth and normals as pictures.

Everything is done in inverse depth, 1/z: what one picture tells of depth is that, up to scale and
shift; what stereo measures is that, times a constant; and a plane's is linear in the pixel, so that
neighbours can be averaged and slopes taken without bending it. Depth itself has neither grace.
"""

from __future__ import annotations

import math

import numpy as np

from core.types import InputError

FOV_DEG = 55.0  # horizontal field of view assumed where no camera is known: a phone's, or 35 mm
FARTHEST = 10.0  # times the nearest, where inverse depth is known only up to a shift


def near_of(depth: np.ndarray, shape: tuple[int, ...], inverse: bool) -> np.ndarray:
    """Inverse depth (H, W) float32 of this shape, unknown filled from the nearest known pixel."""
    import cv2
    from scipy.ndimage import distance_transform_edt

    depth = np.asarray(depth)
    if depth.ndim != 2 or depth.dtype.kind not in "fiu" or min(depth.shape) < 1:
        raise InputError(f"A depth map is numbers (H, W); this one is {depth.dtype} {depth.shape}.")
    (height, width), (rows, columns) = shape, depth.shape
    if abs(math.log(columns / rows * height / width)) > 0.02 + 1 / min(height, width, *depth.shape):
        raise InputError(
            f"The depth map is {columns}×{rows} px and the picture {width}×{height} px: they are "
            "not of the same view. Hand over the depth of this picture."
        )
    values = depth.astype(np.float32)
    with np.errstate(divide="ignore"):
        near = values if inverse else np.where(values > 0, 1 / values, np.nan)
    known = np.isfinite(near)
    if not known.any():
        raise InputError("The depth map knows no depth anywhere. Choose another one.")
    where = distance_transform_edt(~known, return_distances=False, return_indices=True)
    near = near[tuple(where)].astype(np.float32)  # pyright: ignore[reportArgumentType]
    if near.shape == shape:
        return near
    how = cv2.INTER_AREA if columns > width else cv2.INTER_LINEAR
    return cv2.resize(near, (width, height), interpolation=how)


def with_shift(near: np.ndarray) -> np.ndarray:
    """Inverse depth known up to scale and shift, shifted so that the farthest is FARTHEST times as
    far as the nearest: a guess, without which there is no shape."""
    low, high = np.percentile(near, (0.5, 99.5))
    return np.maximum(near - low, 0) / max(high - low, 1e-9) + 1 / (FARTHEST - 1)


def depth_map(near: np.ndarray) -> np.ndarray:
    """(H, W) uint8 of inverse depth: near is bright, the farthest 5 %, as `core.scenes.control.maps`
    has it; one pixel in two hundred at either end may be cut off, so that no outlier sets it."""
    low, high = np.percentile(near, (0.5, 99.5))
    share = np.clip((near - low) / max(high - low, 1e-9), 0, 1)
    return (255 * (0.05 + 0.95 * share) + 0.5).astype(np.uint8)


def normal_map(near: np.ndarray, fov_deg: float = FOV_DEG) -> np.ndarray:
    """Normals (H, W, 3) uint8 of inverse depth (H, W): red right, green up, blue to the camera.

    A plane m·X = 1 is seen along the ray r = (x, y, 1) at inverse depth m·r: linear in x and y.
    So its slopes are m's first two parts, what is left is the third, and −m points to the camera:
    exact for planes, with no point computed. Smoothed by 2 px at 512, which leaves planes alone.
    """
    from scipy.ndimage import gaussian_filter

    height, width = near.shape
    focal = width / 2 / math.tan(math.radians(fov_deg) / 2)
    sigma = max(1.0, 2 * max(height, width) / 512)
    pad = math.ceil(3 * sigma)
    # mirrored in value, too, so that a slope goes on beyond the border
    wide = np.pad(near.astype(np.float64), pad, mode="reflect", reflect_type="odd")
    wide = gaussian_filter(wide, sigma, truncate=3.0, mode="nearest")
    inner = slice(pad, -pad)
    down, across = (np.gradient(wide, axis=axis)[inner, inner] * focal for axis in (0, 1))
    x = (np.arange(width) + 0.5 - width / 2) / focal
    y = (np.arange(height)[:, None] + 0.5 - height / 2) / focal
    m = np.stack([across, down, wide[inner, inner] - x * across - y * down], -1)
    m /= np.maximum(np.linalg.norm(m, axis=-1, keepdims=True), 1e-12)
    m *= np.where(m[..., 2:] < 0, -1, 1)  # only beside jumps: what is seen faces the camera
    return np.clip(m * (-1, 1, 1) * 127.5 + 128, 0, 255).astype(np.uint8)
