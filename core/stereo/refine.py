"""From costs to a disparity for every pixel: what is found, what is hidden, what is filled in.

The cheapest disparity wins, and a parabola through it and its neighbours says where between whole
pixels the minimum lies. Then the right picture is asked too: a pixel that it answers differently
is hidden there, or was a mistake. Hidden places belong to what lies behind, so they take the
smaller of the disparities beside them. Where two surfaces meet, the windows that were compared
saw both, so borders come out ragged; a median of neighbours of the same colour straightens them.
"""

from __future__ import annotations

import numpy as np

_ALIKE = 12.0  # a difference in Lab, summed over its three numbers, that weighs e times less


def winner(volume: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
    """The cheapest disparity (H, W) float32 px, to a fraction of a pixel, and its index (H, W).

    volume (H, W, D), index 0 is disparity `first`.
    """
    rows = volume.transpose(0, 2, 1)
    count = rows.shape[1]
    best = rows[:, 0].copy()
    index = np.zeros(best.shape, np.int32)
    for k in range(1, count):
        better = rows[:, k] < best
        np.copyto(index, k, where=better)
        np.minimum(best, rows[:, k], out=best)
    inner = (index > 0) & (index < count - 1)
    low, high = (
        np.take_along_axis(rows, np.clip(index + s, 0, count - 1)[:, None], 1)[:, 0].astype(
            np.float32
        )
        - best
        for s in (-1, 1)
    )
    steep = np.maximum(np.maximum(low, high), 1e-6)
    offset = np.where(inner, (low - high) / (2 * steep), 0)
    return (index + first + offset).astype(np.float32), index


def right_winner(volume: np.ndarray, first: int) -> np.ndarray:
    """The right picture's cheapest disparity (H, W) int32, from the left one's volume: the right
    pixel x at disparity d is the left pixel x + d."""
    rows = volume.transpose(0, 2, 1)
    height, count, width = rows.shape
    best = np.full(
        (height, width), np.iinfo(np.int32).max, rows.dtype if rows.dtype.kind == "f" else np.int32
    )
    found = np.full((height, width), first, np.int32)
    for k in range(count):
        d = first + k
        here, there = (
            slice(max(0, d), min(width, width + d)),
            slice(max(0, -d), min(width, width - d)),
        )
        if here.start >= here.stop:
            continue
        cost = rows[:, k, here]
        better = cost < best[:, there]
        np.copyto(found[:, there], d, where=better)
        np.copyto(best[:, there], cost, where=better)
    return found


def margin(volume: np.ndarray, index: np.ndarray) -> np.ndarray:
    """(H, W) float32 in [0, 1]: how much dearer than the winner the best rival is that isn't its
    neighbour, as a share of the rival's cost."""
    rows = volume.transpose(0, 2, 1)
    best = np.take_along_axis(rows, index[:, None], 1)[:, 0].astype(np.float32)
    rival = np.full(best.shape, np.inf, np.float32)
    for k in range(rows.shape[1]):
        away = np.abs(index - k) > 1
        np.minimum(rival, np.where(away, rows[:, k], np.inf), out=rival)
    known = np.isfinite(rival)
    rival = np.where(known, rival, best)
    return ((rival - best) / np.maximum(np.abs(rival), 1e-6)).clip(0, 1).astype(np.float32)


def disagreement_px(disparity: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(H, W) float32: how far each pixel's disparity is from its partner's in the right picture;
    inf where either is unknown (NaN) or the partner lies outside. right (H, W) px."""
    width = disparity.shape[1]
    partner = np.arange(width) - np.nan_to_num(np.round(disparity), nan=1e6)
    column = np.clip(partner, 0, width - 1).astype(np.intp)
    apart = np.abs(disparity - np.take_along_axis(right, column, 1))
    known = (partner >= 0) & (partner < width) & np.isfinite(apart)
    return np.where(known, apart, np.inf).astype(np.float32)


def failed_check(disparity: np.ndarray, right: np.ndarray, limit_px: float) -> np.ndarray:
    """(H, W) bool: both sides disagree by more than limit_px, and half a pixel for rounding: what
    is hidden in the right picture, or outside it, or mistaken."""
    return disagreement_px(disparity, right) > limit_px + 0.5


def fill_background(disparity: np.ndarray) -> np.ndarray:
    """Each unknown pixel takes the smaller of the two nearest known disparities in its row; rows
    without any take the row above or below. All unknown stays unknown."""
    known = np.isfinite(disparity)
    height, width = disparity.shape
    columns = np.arange(width)
    before = np.maximum.accumulate(np.where(known, columns, -1), 1)
    after = np.minimum.accumulate(np.where(known, columns, width)[:, ::-1], 1)[:, ::-1]
    left = np.take_along_axis(disparity, np.maximum(before, 0), 1)
    right = np.take_along_axis(disparity, np.minimum(after, width - 1), 1)
    left[before < 0], right[after == width] = np.nan, np.nan
    filled = np.where(known, disparity, np.fmin(left, right))
    some = known.any(1)
    if some.any() and not some.all():
        rows = np.flatnonzero(some)
        nearest = rows[np.abs(np.arange(height)[:, None] - rows).argmin(1)]
        filled = filled[nearest]
    return filled.astype(np.float32)


def median(disparity: np.ndarray, side: int = 5) -> np.ndarray:
    """Median in a square of side 3 or 5 px; unknown pixels stay unknown and don't count."""
    import cv2

    known = np.isfinite(disparity)
    if not known.any():
        return disparity
    whole = disparity if known.all() else fill_background(disparity)
    return np.where(known, cv2.medianBlur(np.ascontiguousarray(whole), side), np.nan).astype(
        np.float32
    )


def without_specks(disparity: np.ndarray, smallest: int = 60, step_px: float = 1.0) -> np.ndarray:
    """Small islands (fewer than `smallest` pixels, more than step_px from all around) become NaN."""
    import cv2

    whole = np.nan_to_num(disparity * 16, nan=-32000).clip(-32000, 32000).astype(np.int16)
    cv2.filterSpeckles(whole, -32000, smallest, round(16 * step_px))
    return np.where(whole == -32000, np.nan, disparity).astype(np.float32)


def edges(disparity: np.ndarray, step_px: float = 1.5, reach_px: int = 4) -> np.ndarray:
    """(H, W) bool: pixels within reach_px of a jump larger than step_px."""
    import cv2

    jump = np.zeros(disparity.shape, np.uint8)
    across = np.abs(np.diff(disparity, axis=1)) > step_px
    down = np.abs(np.diff(disparity, axis=0)) > step_px
    jump[:, 1:] |= across
    jump[:, :-1] |= across
    jump[1:] |= down
    jump[:-1] |= down
    return cv2.dilate(jump, np.ones((2 * reach_px + 1,) * 2, np.uint8)) > 0


def weighted_median(
    disparity: np.ndarray,
    left: np.ndarray,
    where: np.ndarray,
    weight: np.ndarray,
    *,
    reach: int = 4,
    stride: int = 2,
) -> np.ndarray:
    """At the pixels `where` (H, W) bool, the median of the neighbours, each as heavy as it is near
    and alike in colour; elsewhere the disparity as it is.

    Neighbours are every `stride`-th pixel, `reach` of them to each side; left (H, W, 3) uint8;
    weight (H, W) float32 is each pixel's own. The disparity must be known everywhere.
    After Ma et al. 2013.
    """
    import cv2

    border = reach * stride

    def padded(layer: np.ndarray, value: float | None = None) -> np.ndarray:
        kind = cv2.BORDER_REPLICATE if value is None else cv2.BORDER_CONSTANT
        return cv2.copyMakeBorder(layer, border, border, border, border, kind, value=value or 0)

    lab = cv2.cvtColor(left.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    values = padded(np.ascontiguousarray(disparity)).ravel()
    colours = padded(lab).reshape(-1, 3)
    weights = padded(weight.astype(np.float32), 0.0).ravel()  # nothing lies outside
    steps = np.arange(-reach, reach + 1) * stride
    dy, dx = (a.ravel() for a in np.meshgrid(steps, steps, indexing="ij"))
    wide = disparity.shape[1] + 2 * border
    near = np.exp(-(dy**2 + dx**2) / (2 * (1.0 * border) ** 2)).astype(np.float32)
    out = disparity.copy()
    ys, xs = np.nonzero(where)
    for start in range(0, len(ys), 20000):  # so many at a time: 81 neighbours each
        y, x = ys[start : start + 20000], xs[start : start + 20000]
        middle = (y + border) * wide + x + border
        around = middle[:, None] + (dy * wide + dx)
        apart = np.zeros(around.shape, np.float32)
        for c in range(3):
            apart += np.abs(colours[around, c] - colours[middle, c][:, None])
        heavy = np.exp(-apart / _ALIKE) * near * weights[around]
        found = values[around]
        order = np.argsort(found, 1)
        found = np.take_along_axis(found, order, 1)
        total = np.cumsum(np.take_along_axis(heavy, order, 1), 1)
        half = (total < total[:, -1:] / 2).sum(1)
        out[y, x] = found[np.arange(len(y)), np.minimum(half, found.shape[1] - 1)]
    return out
