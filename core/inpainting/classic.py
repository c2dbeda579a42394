"""Filling by smoothness alone: three rules from before there was anything to learn from.

Telea 2004 ("An image inpainting technique based on the fast marching method") goes inwards from the
hole's edge, ring by ring; each pixel becomes a weighted mean of the known ones around it, carried
on along their gradients. Navier–Stokes (Bertalmio et al. 2001) continues lines of equal brightness
into the hole, as a fluid's vorticity is carried by its flow. The biharmonic filling (Damelin and
Hoang 2018) is the surface that bends least while it meets the known pixels: ∇⁴u = 0.

All three draw scratches and thin strokes away, and none has a texture to offer: a wide hole becomes
a blur.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.inpainting.types import InpaintSettings, check
from core.inpainting.windows import box, window
from core.types import InputError

# Unknowns of one hole that biharmonic solves for at once: 90,000 take 2.3 s and 0.5 GB on one core,
# 200,000 7.5 s and 1.0 GB, 360,000 18 s and 1.9 GB
MOST_PX = 150_000


def smooth(image: np.ndarray, mask: np.ndarray, settings: InpaintSettings) -> np.ndarray:
    """The picture (H, W, 3) uint8 with its mask (H, W) bool filled by settings.method: 'telea',
    'navier-stokes' (both look settings.radius_px around a pixel) or 'biharmonic'. Raises InputError
    for a mask that doesn't fit (see types.check), or a hole too large for biharmonic."""
    check(image, mask)
    part = window(box(mask), mask.shape)
    filled = image.copy()
    near, hole = image[part].copy(), mask[part]
    near[hole], _ = nearest(near, hole)  # at a picture's edge OpenCV looks at what is hidden
    if settings.method == "biharmonic":
        made = _biharmonic(near, hole)
    else:
        made = _marched(near, hole, settings)
    filled[part][hole] = made[hole]
    return filled


def nearest(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each hidden pixel, in reading order, the colour (n, 3) of the known one that is nearest,
    and how far it is (n,) px."""
    from scipy.ndimage import distance_transform_edt

    found: Any = distance_transform_edt(mask, return_indices=True)
    away, (y, x) = found
    return image[y[mask], x[mask]], away[mask]


def _marched(image: np.ndarray, mask: np.ndarray, settings: InpaintSettings) -> np.ndarray:
    import cv2

    rule = cv2.INPAINT_TELEA if settings.method == "telea" else cv2.INPAINT_NS
    return cv2.inpaint(image, mask.astype(np.uint8), settings.radius_px, rule)


def _biharmonic(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    import cv2
    from skimage.restoration import inpaint_biharmonic

    joined = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8))  # as far as ∇⁴ reaches
    _, label = cv2.connectedComponents(joined)
    largest = int(np.bincount(label[mask]).max())
    if largest > MOST_PX:
        raise InputError(
            f"The hole has {largest:,} pixels in one piece; biharmonic solves for all of them at "
            f"once, and beyond {MOST_PX:,} that takes minutes and gigabytes. Choose another method, "
            "or paint a smaller hole."
        )
    made = inpaint_biharmonic(image, mask, split_into_regions=True, channel_axis=-1)
    return np.rint(made * 255).astype(np.uint8)
