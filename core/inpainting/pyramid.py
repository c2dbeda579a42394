"""From small to large: a hole that is wide in the photo is some pixels wide when seen from afar. Not
from too far: a bench's slats and a fence must still be seen there, for what is begun without them
won't continue them later.

Each level halves the one before. A pixel of a coarse level is hidden if any of the four pixels
under it is, so that no hidden colour ever leaks into what counts as known.

Averaging four pixels turns grass and asphalt into the same grey. So two channels beside the colour
say how busy the finest picture is around each pixel, across and down, and go through the levels
with it (Newson et al. 2014, "Video inpainting of complex scenes", section 3.3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.types import InputError

# The coarsest level's hole is at most about twice as thick: of strokes, and of holes whose middle is
# more than WIDE_PX from their edge.
THIN_PX, WIDE_THIN_PX, WIDE_PX = 4.0, 20.0, 32.0
FEW = 0.1  # but whole known patches stand on at least this share of it
_BUSY = 2.0  # how much the texture channels weigh against colour


@dataclass(frozen=True)
class Level:
    """channels (H, W, 5) float32: RGB in 0 to 255, busyness across and down; 0 in the hole.
    hole (H, W) bool."""

    channels: np.ndarray
    hole: np.ndarray


def levels(image: np.ndarray, hole: np.ndarray, patch_px: int, most: int) -> list[Level]:
    """The picture first, then each half as large as the one before; at most `most` of them.

    image (H, W, 3) uint8; hole (H, W) bool. Stops where the hole is thin and the picture small, or
    where a further level would have too few whole patches of known pixels.
    """
    colour, holes = image.astype(np.float32), [hole]
    thin_px = WIDE_THIN_PX if _thick_px(hole) > WIDE_PX else THIN_PX
    while len(holes) < most and _thick_px(holes[-1]) > thin_px:
        smaller = np.asarray(_blocks(holes[-1]).any((1, 3)))
        if min(smaller.shape) < 3 * patch_px or sources(smaller, patch_px).mean() < FEW:
            break
        holes.append(smaller)
    busy = _busyness(colour, hole, 2 ** (len(holes) - 1))
    channels = np.where(hole[..., None], 0, np.dstack([colour, busy])).astype(np.float32)
    made = [Level(channels, hole)]
    for smaller in holes[1:]:
        channels = _blocks(channels).mean((1, 3))
        channels[smaller] = 0
        made.append(Level(channels, smaller))
    return made


def sources(hole: np.ndarray, patch_px: int) -> np.ndarray:
    """(H, W) bool: middles of patches that lie whole in the picture and outside the hole."""
    return _inside(hole.shape, patch_px) & ~grown(hole, patch_px)


def targets(hole: np.ndarray, patch_px: int) -> np.ndarray:
    """(H, W) bool: middles of patches that lie whole in the picture and touch the hole."""
    return _inside(hole.shape, patch_px) & grown(hole, patch_px)


def grown(hole: np.ndarray, width_px: int) -> np.ndarray:
    """The hole grown by half an odd width on every side."""
    import cv2

    return cv2.dilate(hole.astype(np.uint8), np.ones((width_px, width_px), np.uint8)) > 0


def patch_that_fits(hole: np.ndarray, patch_px: int) -> int:
    """The largest odd size up to `patch_px` of which the picture outside the hole has patches:
    between the letters of a text there may be none of 9 px, but of 5. Raises InputError if there
    are none of 3."""
    for size in range(patch_px, 2, -2):
        if sources(hole, size).any():
            return size
    raise InputError(
        "Nothing to copy from: no patch of 3×3 px lies outside the mask. "
        "Make the mask smaller, or take a larger picture."
    )


def _inside(shape: tuple[int, ...], patch_px: int) -> np.ndarray:
    inside, r = np.zeros(shape, bool), patch_px // 2
    inside[r : shape[0] - r, r : shape[1] - r] = True
    return inside


def _thick_px(hole: np.ndarray) -> float:
    """How far the hole's innermost pixel is from its edge."""
    import cv2

    edged = np.pad(hole, 1, mode="edge").astype(np.uint8)
    return float(cv2.distanceTransform(edged, cv2.DIST_L2, 3).max())


def _blocks(array: np.ndarray) -> np.ndarray:
    """(H, W, …) as (⌈H/2⌉, 2, ⌈W/2⌉, 2, …), the last row and column repeated where needed."""
    odd = [(0, n % 2) for n in array.shape[:2]] + [(0, 0)] * (array.ndim - 2)
    array = np.pad(array, odd, mode="edge")
    height, width = array.shape[:2]
    return array.reshape(height // 2, 2, width // 2, 2, *array.shape[2:])


def _busyness(colour: np.ndarray, hole: np.ndarray, around_px: int) -> np.ndarray:
    """(H, W, 2): mean size of the known steps of brightness across and down, around each pixel."""
    import cv2

    grey = colour.mean(2)
    width = 2 * around_px + 1
    found = []
    for axis in (1, 0):
        step = np.abs(np.diff(grey, axis=axis, append=np.take(grey, [-1], axis)))
        known = ~(hole | np.roll(hole, -1, axis))
        share = cv2.blur(known.astype(np.float32), (width, width))
        found.append(cv2.blur(step * known, (width, width)) / np.maximum(share, 1e-3))
    return _BUSY * np.dstack(found)
