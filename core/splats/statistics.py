"""What a heap of splats is like, and which of them are like that.

One number says little about a million of splats; a histogram says it at a glance: a fit that went
well has most opacities near 1, sizes over two or three powers of ten, and few needles. Strays are
the rule, not the exception, and one of them a kilometre off would press all others into a single
bar. So the bars span the middle 98 % and half as much again; the outer two also hold whatever
lies beyond, and to choose an outer bar chooses the strays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from core.splats.project import LARGEST_LOG
from core.splats.types import Splats
from core.types import InputError

BARS = 48
CORE = (1.0, 99.0)  # percentiles: what lies between is the core of the scene
WIDER = 0.5  # of the core's width: so much further the bars reach on each side
SNAP = 1e-6  # of a bar: an edge that went through text and a logarithm is still that edge


class Quantity(NamedTuple):
    """A title, a unit, and whether equal ratios, not differences, are equally far apart."""

    title: str
    unit: str
    log: bool = False


QUANTITIES = {
    "opacity": Quantity("Opacity", ""),
    "size": Quantity("Size (largest scale)", "m", log=True),
    "anisotropy": Quantity("Largest / smallest scale", "×", log=True),
    "x": Quantity("Position x", "m"),
    "y": Quantity("Position y", "m"),
    "z": Quantity("Position z", "m"),
}


@dataclass(frozen=True)
class Histogram:
    """How often which values occur. edges (BARS + 1,) float64, ascending, in the quantity's unit,
    equally far apart in logarithms if quantity.log; counts (BARS,) int64, which sum to all splats;
    the outer bars hold what lies beyond, too. median: half of the splats are below."""

    quantity: Quantity
    edges: np.ndarray
    counts: np.ndarray
    median: float


@dataclass(frozen=True)
class Statistics:
    """low, high (3,) metres: the box around all means; core_low, core_high: the middle 98 % on each
    axis; degree of colour; bytes_each in a 3DGS .ply; a histogram of each of QUANTITIES, by name."""

    count: int
    low: np.ndarray
    high: np.ndarray
    core_low: np.ndarray
    core_high: np.ndarray
    degree: int
    bytes_each: int
    histograms: Mapping[str, Histogram]


def statistics(splats: Splats) -> Statistics:
    """Count, bounds and histograms."""
    core_low, core_high = core_bounds(splats.means)
    return Statistics(
        len(splats), splats.means.min(0), splats.means.max(0), core_low, core_high, splats.degree,
        4 * (14 + 3 * splats.sh.shape[1]),  # x y z, a normal, opacity, three scales, a quaternion
        {name: _histogram(splats, name) for name in QUANTITIES},
    )  # fmt: skip


def inside(splats: Splats, quantity: str, low: float, high: float) -> np.ndarray:
    """(N,) bool: those with low ≤ value < high, in the quantity's unit.

    A range that begins or ends with the histogram has no limit there. So edges of two bars choose
    as many as the bars between them count. Raises InputError for an unknown quantity.
    """
    along = _along(splats, quantity)
    first, width = _scale(along, quantity)
    bar = (along - first) / width
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.array([low, high], np.float64)
        ends = ((np.log10(ends) if QUANTITIES[quantity].log else ends) - first) / width
    ends = np.where(abs(ends - ends.round()) < SNAP, ends.round(), ends)
    if np.isnan(ends).any() or ends[0] > ends[1]:
        raise InputError(f"There is nothing from {low:g} to {high:g}. Give a range that ascends.")
    return ((bar >= ends[0]) | (ends[0] <= 0)) & ((bar < ends[1]) | (ends[1] >= BARS))


def core_bounds(means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The box (3,), (3,) float64 that holds the middle 98 % of means (N, 3) on each axis."""
    low, high = np.percentile(means.astype(np.float64), CORE, axis=0)
    return low, high


def _along(splats: Splats, quantity: str) -> np.ndarray:
    """(N,) float64: the values, or their decimal logarithms where bars are spaced by ratio."""
    if quantity not in QUANTITIES:
        known = ", ".join(QUANTITIES)
        raise InputError(f"There is no quantity {quantity!r}. Choose one of: {known}.")
    if quantity == "opacity":
        return splats.opacities.astype(np.float64)
    if quantity in ("x", "y", "z"):
        return splats.means[:, "xyz".index(quantity)].astype(np.float64)
    # axis by axis: over a short last axis NumPy's minimum takes fifty times as long
    a, b, c = splats.log_scales.clip(-LARGEST_LOG, LARGEST_LOG).astype(np.float64).T / np.log(10)
    largest = np.maximum(np.maximum(a, b), c)
    return largest if quantity == "size" else largest - np.minimum(np.minimum(a, b), c)


def _scale(along: np.ndarray, quantity: str) -> tuple[float, float]:
    """Where the first bar begins, and how wide each is."""
    if quantity == "opacity":
        return 0.0, 1 / BARS
    low, high = np.percentile(along, CORE)
    more = WIDER * (high - low)
    low, high = max(low - more, along.min()), min(high + more, along.max())
    if high - low <= 1e-6 * abs(low):  # all the same: one bar, in the middle
        low, high = low - max(0.5, abs(low)), high + max(0.5, abs(low))
    return float(low), float(high - low) / BARS


def _histogram(splats: Splats, name: str) -> Histogram:
    along = _along(splats, name)
    first, width = _scale(along, name)
    bar = ((along - first) / width).clip(0, BARS - 1).astype(np.int64)
    edges = first + width * np.arange(BARS + 1)
    median = float(np.median(along))
    if QUANTITIES[name].log:
        edges, median = 10.0**edges, 10.0**median
    return Histogram(QUANTITIES[name], edges, np.bincount(bar, minlength=BARS), median)
