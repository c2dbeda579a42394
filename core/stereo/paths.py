"""Semi-global matching: smoothness along straight paths through the picture.

A pixel's own cost is ambiguous; what its neighbours think helps. The best disparities of the whole
picture, with a price P1 for a step of one pixel between neighbours and P2 for any larger jump,
can't be found exactly in reasonable time, but along one straight line they can (by dynamic
programming). So every pixel is reached along lines from 4 or 8 sides, and the path costs are
summed (Hirschmüller 2008). A jump is cheaper where the picture has an edge, since that is where
things end.

All lines of one direction advance together, a row (or column) at a time: the three directions
that come from above are one sweep over the rows.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from core.types import Progress, silent

DIRECTIONS = {
    4: ((1, 0), (-1, 0), (0, 1), (0, -1)),
    8: ((1, 0), (-1, 0), (0, 1), (1, 1), (-1, 1), (0, -1), (1, -1), (-1, -1)),
}  # (dx, dy) in which a path runs

HIGHEST = 3000  # of P1 and P2: eight path costs with the volume's own 1000 fit in int16
_EDGE = 10.0  # a difference of brightness that halves P2
_PAD = 16000  # the cost of disparities outside the volume
_BAND = 128  # rows that are turned at a time


def aggregate(
    volume: np.ndarray,
    guide: np.ndarray,
    p1: float,
    p2: float,
    *,
    directions: int = 8,
    progress: Progress = silent,
) -> np.ndarray:
    """(H, W, D) int16: the path costs of all directions (4 or 8), summed.

    volume (H, W, D) costs up to core.stereo.cost.FULL; guide (H, W) or (H, W, 3) uint8 is the
    picture whose edges make jumps cheaper; p1 and p2 in the volume's scale, 0 to HIGHEST.
    """
    every = DIRECTIONS[directions]
    down, up = (tuple(d for d in every if d[1] == dy) for dy in (1, -1))
    rows = np.ascontiguousarray(volume.transpose(0, 2, 1), np.int16)  # (H, D, W)
    total, other = np.zeros_like(rows), np.zeros_like(rows)

    def across(first: int) -> None:
        """The two horizontal directions, in a band of rows, turned by a quarter."""
        band = slice(first, first + _BAND)
        columns, turned = _flipped(rows[band]), np.swapaxes(guide[band], 0, 1)
        sums = np.zeros_like(columns)
        for dy in (1, -1):
            _sweep(columns, turned, p1, p2, ((0, dy),), sums)
        total[band] += _flipped(sums)

    with ThreadPoolExecutor(2) as pool:  # numpy lets go of Python's lock, so two sweeps run at once
        job = pool.submit(_sweep, rows, guide, p1, p2, up, other)
        _sweep(rows, guide, p1, p2, down, total, progress)
        job.result()
        total += other
        del other
        list(pool.map(across, range(0, len(rows), _BAND)))
    progress(1.0, desc="following paths")
    return total.transpose(0, 2, 1)


def path(
    volume: np.ndarray, guide: np.ndarray, p1: float, p2: float, direction: tuple[int, int]
) -> np.ndarray:
    """(H, W, D) int16: the path costs of one direction (dx, dy), each −1, 0 or 1.

    L(p, d) = C(p, d) + min(L(q, d), L(q, d ± 1) + P1, min L(q) + P2) − min L(q), q = p − direction.
    """
    dx, dy = direction
    if dy == 0:
        turned = path(volume.transpose(1, 0, 2), np.swapaxes(guide, 0, 1), p1, p2, (dy, dx))
        return turned.transpose(1, 0, 2)
    rows = np.ascontiguousarray(volume.transpose(0, 2, 1), np.int16)
    total = np.zeros_like(rows)
    _sweep(rows, guide, p1, p2, (direction,), total)
    return total.transpose(0, 2, 1)


def _flipped(stack: np.ndarray) -> np.ndarray:
    """(A, D, B) → (B, D, A), contiguous."""
    import cv2

    out = np.empty(stack.shape[::-1], stack.dtype)
    for k in range(stack.shape[1]):
        out[:, k] = cv2.transpose(np.ascontiguousarray(stack[:, k])).reshape(out[:, k].shape)
    return out


def jump_price(guide: np.ndarray, p1: float, p2: float, direction: tuple[int, int]) -> np.ndarray:
    """(H, W) int16: P2 for arriving at each pixel along `direction`, lower across edges of the
    picture but never below P1."""
    dx, dy = direction
    picture = np.atleast_3d(guide).astype(np.float32)
    height, width = picture.shape[:2]
    before = np.pad(picture, ((1, 1), (1, 1), (0, 0)), mode="edge")
    before = before[1 - dy : 1 - dy + height, 1 - dx : 1 - dx + width]
    edge = np.abs(picture - before).mean(-1)
    price = np.maximum(p2 / (1 + edge / _EDGE), p1)
    return np.clip(price, 0, HIGHEST).astype(np.int16)


def _sweep(
    rows: np.ndarray,
    guide: np.ndarray,
    p1: float,
    p2: float,
    directions: tuple[tuple[int, int], ...],
    total: np.ndarray,
    progress: Progress = silent,
) -> None:
    """Add to total (H, D, W) the path costs of directions that all run down, or all up.

    before holds, for each direction, the path costs of the row before, with one disparity more
    at both ends (too dear to come from) and one pixel more (where a path begins, at no cost).
    """
    height, count, width = rows.shape
    upward = directions[0][1] < 0
    small = np.int16(np.clip(round(p1), 0, HIGHEST))
    prices = np.stack([jump_price(guide, p1, p2, d) for d in directions], 1)[:, :, None]
    before = np.zeros((len(directions), count + 2, width + 2), np.int16)
    before[:, (0, -1)] = _PAD
    least = np.zeros((len(directions), 1, width + 2), np.int16)
    after = np.empty((len(directions), count, width), np.int16)
    spare = np.empty_like(after)
    shifts = [slice(1 - dx, 1 - dx + width) for dx, _ in directions]
    for step, y in enumerate(range(height - 1, -1, -1) if upward else range(height)):
        for i, shift in enumerate(shifts):
            last = before[i, :, shift]
            low = least[i, :, shift]
            cost, free = after[i], spare[i]
            np.minimum(last[:-2], last[2:], out=cost)
            cost += small
            np.minimum(cost, last[1:-1], out=cost)
            np.minimum(cost, low + prices[y, i], out=cost)
            cost -= low
            np.add(cost, rows[y], out=free)
        before[:, 1:-1, 1:-1] = spare
        np.min(spare, axis=1, out=least[:, 0, 1:-1])
        for one in spare:
            total[y] += one
        if step % 32 == 0:
            progress(step / height, desc="following paths")
