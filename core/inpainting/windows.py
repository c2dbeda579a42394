"""Where in a large picture the work is: around each hole, and nowhere else.

A hole is filled from what is near it, so that a photo of 12 megapixels costs no more than the part
that holds the hole. Holes so far apart that no one's surroundings hold another are filled one after
another.
"""

from __future__ import annotations

import numpy as np

MARGIN_PX = 192  # at least so much of the picture around a hole is looked at
GRID_PX = 128  # windows begin at its multiples: levels halved up to 7 times are then one grid

Window = tuple[slice, slice]


def box(mask: np.ndarray) -> Window:
    """Rows and columns of the smallest rectangle around the True pixels of mask (H, W) bool."""
    found = []
    for axis in (1, 0):
        line = np.flatnonzero(mask.any(axis))
        found.append(slice(int(line[0]), int(line[-1]) + 1))
    return found[0], found[1]


def window(of: Window, shape: tuple[int, ...]) -> Window:
    """A box with as much again on every side, at least MARGIN_PX, inside a picture (H, W)."""
    margin = max(MARGIN_PX, *(side.stop - side.start for side in of))
    found = [
        slice(max(0, side.start - margin) // GRID_PX * GRID_PX, min(size, side.stop + margin))
        for side, size in zip(of, shape, strict=False)
    ]
    return found[0], found[1]


def pieces(mask: np.ndarray) -> list[np.ndarray]:
    """The mask (H, W) bool in parts of its own size, from top to bottom, that together are the
    mask. No part's window holds a pixel of another."""
    import cv2

    tall, wide = (-(-size // GRID_PX) for size in mask.shape)
    cells = np.zeros((tall, wide), np.uint8)
    y, x = np.nonzero(mask)
    cells[y // GRID_PX, x // GRID_PX] = 1
    count, label = cv2.connectedComponents(cells)
    of = label[y // GRID_PX, x // GRID_PX]
    found = []
    for k in range(1, count):
        ys, xs = y[of == k], x[of == k]
        found.append((slice(ys.min(), ys.max() + 1), slice(xs.min(), xs.max() + 1)))
    parts = []
    for one in _apart(found, mask.shape):
        part = np.zeros_like(mask)
        part[one] = mask[one]
        parts.append(part)
    return parts


def _apart(boxes: list[Window], shape: tuple[int, ...]) -> list[Window]:
    """Boxes joined until none reaches into another's window."""
    left, done = list(boxes), []
    while left:
        one = left.pop(0)
        near = [
            two for two in left + done
            if _meet(window(one, shape), two) or _meet(one, window(two, shape))
        ]  # fmt: skip
        if near:
            left = [_union([one, *near]), *(k for k in left if k not in near)]
            done = [k for k in done if k not in near]
        else:
            done.append(one)
    return sorted(done, key=lambda of: (of[0].start, of[1].start))


def _meet(a: Window, b: Window) -> bool:
    return all(p.start < q.stop and q.start < p.stop for p, q in zip(a, b, strict=True))


def _union(boxes: list[Window]) -> Window:
    sides = [
        slice(min(b[axis].start for b in boxes), max(b[axis].stop for b in boxes))
        for axis in (0, 1)
    ]
    return sides[0], sides[1]
