"""Inside a depth map: what one pixel compared, what its row looked like, and what P1 and P2 did."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from core import draw
from core.stereo.geometry import depth, depth_error
from core.stereo.methods import Volumes
from core.stereo.pictures import colour_map
from core.stereo.types import Pair
from core.types import InputError

STRIP_PX, STRIP_SCALE = (121, 21), 5  # shown around a pixel, and how much it is enlarged


@dataclass(frozen=True)
class Curve:
    """What one pixel of the left picture costs at every disparity.

    disparities (D,) px; raw and aggregated (D,) float, before and after smoothing, each scaled to
    [0, 1] over the curve, inf where the partner lies outside; winner and runner_up px: the best
    of the aggregated curve, and the best that isn't its neighbour; margin in [0, 1]: how much
    more the runner-up costs, as a share of the whole curve's range. x, y and all disparities are
    px of the working size.
    """

    x: int
    y: int
    disparities: np.ndarray
    raw: np.ndarray
    aggregated: np.ndarray
    winner: float
    runner_up: float
    margin: float


def curve(volumes: Volumes, x: float, y: float) -> Curve:
    """The cost curve of the pixel at (x, y) px of the full picture. Raises InputError outside."""
    height, width, _ = volumes.raw.shape
    column, row = int(np.floor(x * volumes.scale)), int(np.floor(y * volumes.scale))
    if not (0 <= column < width and 0 <= row < height):
        raise InputError("That place is outside the left picture. Click on the picture.")
    inside = _inside(volumes)[column]
    raw, aggregated = (
        _unit(volume[row, column].astype(np.float64), inside)
        for volume in (volumes.raw, volumes.aggregated)
    )
    best = int(np.argmin(aggregated))
    others = aggregated.copy()
    others[max(0, best - 1) : best + 2] = np.inf
    second = int(np.argmin(others))
    known = np.isfinite(others[second])
    return Curve(
        x=column,
        y=row,
        disparities=volumes.disparities,
        raw=raw,
        aggregated=aggregated,
        winner=float(volumes.disparities[best]),
        runner_up=float(volumes.disparities[second]) if known else float("nan"),
        margin=float(others[second] - aggregated[best]) if known else float("nan"),
    )


def _inside(volumes: Volumes) -> np.ndarray:
    """(W, D) bool: does the partner of column x at each disparity lie in the right picture?"""
    width = volumes.raw.shape[1]
    partner = np.arange(width)[:, None] - volumes.disparities
    return (partner >= 0) & (partner < width)


def _unit(cost: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Cost scaled to [0, 1] over what lies inside the right picture; inf elsewhere."""
    some = cost[inside] if inside.any() else cost
    low, high = some.min(), some.max()
    return np.where(inside, (cost - low) / max(high - low, 1e-9), np.inf)


def rows(pair: Pair, volumes: Volumes, place: Curve) -> list[tuple[np.ndarray, str]]:
    """What lies around the pixel in its row, and around its partner, enlarged alike: the pixel
    left; right the winner in blue and the runner-up in orange."""
    left, right = (_at(eye, volumes) for eye in (pair.left, pair.right))
    marks = [(place.x - place.winner, draw.BLUE)]
    if np.isfinite(place.runner_up):
        marks.append((place.x - place.runner_up, draw.ORANGE))
    return [
        (_strip(left, place.y, place.x, [(place.x, draw.BLUE)]), "Left picture: the pixel"),
        (_strip(right, place.y, place.x - place.winner, marks),
         "Right picture, the same row: winner in blue, runner-up in orange"),
    ]  # fmt: skip


def _at(image: np.ndarray, volumes: Volumes) -> np.ndarray:
    """The picture at the volumes' working size."""
    import cv2

    height, width = volumes.raw.shape[:2]
    if image.shape[:2] == (height, width):
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _strip(
    image: np.ndarray, y: int, middle: float, marks: list[tuple[float, draw.Colour]]
) -> np.ndarray:
    """STRIP_PX of the picture around column `middle` and row y, enlarged; columns are marked above
    and below the row. What lies outside is white."""
    wide, tall = STRIP_PX[0] // 2, STRIP_PX[1] // 2
    first = round(middle) - wide
    padded = np.pad(image, ((tall, tall), (0, 0), (0, 0)), mode="edge")
    padded = np.pad(padded, ((0, 0), (wide + 1, wide + 1), (0, 0)), constant_values=255)
    start = int(np.clip(first + wide + 1, 0, padded.shape[1] - STRIP_PX[0]))
    seen = padded[y : y + STRIP_PX[1], start : start + STRIP_PX[0]]
    big = seen.repeat(STRIP_SCALE, 0).repeat(STRIP_SCALE, 1)
    for x, colour in reversed(marks):
        column = round(x) + wide + 1 - start
        if 0 <= column < STRIP_PX[0]:
            across = slice(column * STRIP_SCALE, (column + 1) * STRIP_SCALE)
            big[: (tall - 1) * STRIP_SCALE, across] = colour
            big[(tall + 2) * STRIP_SCALE :, across] = colour
    return big


def row_slices(volumes: Volumes, y: int) -> list[tuple[np.ndarray, str]]:
    """One row of the cost volume before and after aggregation: column x, disparity upwards, cheap
    is dark; the winner of each column is marked."""
    return [
        (_slice(volumes, volume[y]), caption)
        for volume, caption in (
            (volumes.raw, "Before aggregation: each pixel for itself"),
            (volumes.aggregated, "After: neighbours pay for disagreeing"),
        )
    ]


def _slice(volumes: Volumes, costs: np.ndarray) -> np.ndarray:
    """(D·k, W, 3) uint8 of the costs (W, D) of a row."""
    columns, count = np.arange(len(costs)), costs.shape[1]
    inside = _inside(volumes)
    known = np.where(inside, costs.astype(np.float32), np.nan)
    tall = max(1, round(160 / count))
    picture = colour_map(known.T[::-1], *_range(known), "magma")
    best = np.where(inside, costs.astype(np.float64), np.inf).argmin(1)
    picture[count - 1 - best, columns] = draw.BLUE
    return picture.repeat(tall, 0)


def disparity_slice(volumes: Volumes, disparity_px: int, *, aggregated: bool) -> np.ndarray:
    """(H, W, 3) uint8: what this one disparity costs at every pixel; cheap is dark.

    Raises InputError for a disparity that wasn't searched.
    """
    index = int(disparity_px) - int(volumes.disparities[0])
    if not 0 <= index < len(volumes.disparities):
        raise InputError(
            f"{disparity_px} px was not searched. Choose {volumes.disparities[0]} to "
            f"{volumes.disparities[-1]}."
        )
    volume = volumes.aggregated if aggregated else volumes.raw
    costs = volume[..., index].astype(np.float32)
    costs[:, ~_inside(volumes)[:, index]] = np.nan
    return colour_map(costs, *_range(costs), "magma")


def _range(costs: np.ndarray) -> tuple[float, float]:
    known = costs[np.isfinite(costs)]
    if not len(known):
        return 0.0, 1.0
    low, high = np.percentile(known, (1, 99))
    return float(low), float(max(high, low + 1e-6))


def paths(
    volumes: Volumes, picture: np.ndarray, y: int, p1: float, p2: float
) -> list[tuple[np.ndarray, str]]:
    """A row swept from left to right and back with these prices of a step and a jump: the cost
    of the best path that ends at each pixel and disparity. picture (H, W, 3) uint8, the left one;
    y px of the working size."""
    both = _along_row(volumes, picture, y, p1, p2)
    return [
        (_slice(volumes, volumes.raw[y]), "Before: each pixel for itself"),
        (_slice(volumes, both), f"Both paths along the row, P1 {p1:g}, P2 {p2:g}"),
    ]


def path_winner(volumes: Volumes, picture: np.ndarray, y: int, p1: float, p2: float) -> np.ndarray:
    """(W,) int: the cheapest disparity of each pixel of the row by both paths along it, px."""
    both = _along_row(volumes, picture, y, p1, p2)
    return volumes.disparities[np.where(_inside(volumes), both, np.inf).argmin(1)]


def _along_row(volumes: Volumes, picture: np.ndarray, y: int, p1: float, p2: float) -> np.ndarray:
    """(W, D) float32: costs of the paths from the left and from the right, summed."""
    from core.stereo.paths import path

    guide, raw = _at(picture, volumes)[y : y + 1], volumes.raw[y : y + 1]
    there, back = (path(raw, guide, p1, p2, d)[0].astype(np.float32) for d in ((1, 0), (-1, 0)))
    return there + back


def errors_by_depth(
    disparity: np.ndarray, pair: Pair, bins: int = 12
) -> tuple[list[tuple[float, float]], list[tuple[float, float]], float]:
    """How depth error grows: measured (z, median |δz|) in bins of true depth, the formula's
    z²/(f·b)·δd at the same z, and the δd (px) used: the median disparity error.

    Raises InputError where truth or rig is unknown.
    """
    if pair.truth is None or pair.rig is None:
        raise InputError("Truth or rig of this pair is unknown. Pick an example to see its errors.")
    true, found = (depth(d, pair.rig) for d in (pair.truth.disparity, disparity))
    seen = np.isfinite(true) & np.isfinite(found)
    if not seen.any():
        raise InputError("No pixel has both truth and an answer. Choose another pair or method.")
    step = float(np.median(np.abs(disparity - pair.truth.disparity)[seen]))
    z, off = true[seen], np.abs(found - true)[seen]
    edges = np.quantile(z, np.linspace(0, 1, bins + 1))
    measured = []
    for low, high in itertools.pairwise(edges):
        inside = (z >= low) & (z <= high)
        if inside.any():
            measured.append((float(np.median(z[inside])), float(np.median(off[inside]))))
    told = [(at, float(depth_error(at, pair.rig, step))) for at, _ in measured]
    return measured, told, step
