"""Which descriptor is invariant to what: change a picture step by step and watch matching fail.

A descriptor is invariant to a change if it does not notice it. SIFT measures every patch along
its own strongest gradient and at its own scale, so turning or enlarging the picture changes
nothing. ORB turns its binary tests by the patch's moments. Template matching compares patches as
they lie: it has no idea of rotation, and its curve falls as soon as the picture turns.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from core import images
from core.matching.pairs import PairSettings, warp
from core.matching.truth import score
from core.matching.types import METHODS, GeometrySettings, MatchSettings
from core.types import InputError, Progress, Settings, Snapshot, setting, silent

SWEEPS = {
    "rotate": "Rotate",
    "scale": "Scale",
    "blur": "Blur",
    "noise": "Noise",
    "brighten": "Brighten",
}
FIELDS = {
    "rotate": "rotate_deg", "scale": "scale", "blur": "blur_px", "noise": "noise",
    "brighten": "brightness",
}  # fmt: skip
UNCHANGED = {"rotate": 0.0, "scale": 1.0, "blur": 0.0, "noise": 0.0, "brighten": 0.0}
UNITS = {"rotate": "°", "scale": "×", "blur": " px", "noise": "", "brighten": ""}
MAX_SIDE_PX = 480  # a sweep matches dozens of pairs
FLAT = 0.8  # a curve that keeps this share of its best value is flat


@dataclass(frozen=True)
class SweepSettings(Settings):
    """What is changed, and in how many steps."""

    sweep: str = setting("rotate", "Sweep", "What changes from step to step.", choices=SWEEPS)
    sweep_steps: int = setting(
        13, "Steps", "Pictures per method.", minimum=2, maximum=73, step=1, advanced=True
    )


@dataclass(frozen=True)
class SweepSnapshot(Snapshot):
    """One method on one step: amount in the sweep's own unit, scores as in truth.SCORE_HELP.

    A method that found nothing has zeros and an infinite corner error.
    """

    sweep: str
    method: str
    amount: float
    precision: float
    recall: float
    mma_3: float
    corner_error_px: float
    matches: int


def amounts(settings: SweepSettings) -> np.ndarray:
    """The steps of a sweep: degrees, factor, px, sigma or brightness.

    A rotation always passes 45° and 90°, where a square patch differs most and least; a scaling
    goes by equal factors.
    """
    n = settings.sweep_steps
    if settings.sweep == "rotate":
        return np.union1d(np.linspace(0, 360, n), (45.0, 90.0))
    if settings.sweep == "scale":
        return np.geomspace(0.25, 4, n)
    low, high = {"blur": (0, 8), "noise": (0, 0.4), "brighten": (-0.6, 0.6)}[settings.sweep]
    return np.linspace(low, high, n)


def stress(
    image: np.ndarray,
    settings: SweepSettings | None = None,
    methods: Sequence[str] = ("sift", "orb", "template"),
    match_settings: MatchSettings | None = None,
    geometry: GeometrySettings | None = None,
    *,
    progress: Progress = silent,
) -> Iterator[SweepSnapshot]:
    """Matches a picture with its changed self, step by step, by each method in turn.

    image (H, W, 3) uint8, reduced to MAX_SIDE_PX. One snapshot per step and method, the methods
    of a step together, so that their curves grow side by side. The geometry is always a
    homography: the corner error needs one. Raises InputError for no or unknown methods.
    """
    from core.matching import match

    unknown = [m for m in methods if m not in METHODS]
    if unknown or not methods:
        raise InputError(
            f"A sweep needs methods; {', '.join(unknown) or 'none'} can't be swept. "
            f"Choose from: {', '.join(METHODS)}."
        )
    small, _ = images.fit(images.as_rgb(image), MAX_SIDE_PX)
    settings, match_settings = settings or SweepSettings(), match_settings or MatchSettings()
    geometry = dataclasses.replace(geometry or GeometrySettings(), geometry="homography")
    steps, began = amounts(settings), time.perf_counter()
    total = len(steps) * len(methods)
    for i, amount in enumerate(steps):
        pair = warp(small, PairSettings(**{FIELDS[settings.sweep]: float(amount)}))  # type: ignore[arg-type]
        assert pair.truth is not None
        for j, method in enumerate(methods):
            step = i * len(methods) + j + 1
            progress((step - 1) / total, desc=f"{METHODS[method]} at {_amount(settings, amount)}")
            found = {"precision": 0.0, "recall": 0.0, "mma_3": 0.0, "corner_error_px": np.inf}
            matches = 0
            try:
                chosen = dataclasses.replace(match_settings, method=method)
                result = match(pair.image0, pair.image1, chosen, geometry)
            except InputError:  # nothing to match at this step: zeros are its score
                result = None
            if result is not None:
                scores = score(result, pair.truth)
                found |= {k: scores[k] for k in found if not np.isnan(scores[k])}
                matches = len(result.matches)
            yield SweepSnapshot(
                step=step, total=total, seconds=time.perf_counter() - began,
                sweep=settings.sweep, method=method, amount=float(amount), matches=matches,
                **found,
            )  # fmt: skip
    progress(1.0, desc="done")


def verdict(snapshots: Iterable[SweepSnapshot]) -> dict[str, str]:
    """A sentence for each method: is its precision flat, or where does it fall, by the figures."""
    of_method: dict[str, list[SweepSnapshot]] = {}
    for snapshot in snapshots:
        of_method.setdefault(snapshot.method, []).append(snapshot)
    return {method: _sentence(curve) for method, curve in of_method.items()}


def _sentence(curve: list[SweepSnapshot]) -> str:
    curve = sorted(curve, key=lambda s: s.amount)
    name, kind = METHODS[curve[0].method], curve[0].sweep
    at = np.array([s.amount for s in curve])
    value = np.array([s.precision for s in curve])
    said = [_amount(curve[0], a) for a in at]
    best, worst = value.max(), int(value.argmin())
    fewest = min(s.matches for s in curve)
    least = f"It has at least {fewest} matches." if fewest else "At some steps it has no match."
    if best == 0:
        return f"{name} finds no right match at any step."
    if value[worst] >= FLAT * best:
        return (
            f"{name} is flat: its precision stays between {value[worst]:.2f} and {best:.2f} "
            f"from {said[0]} to {said[-1]}. {least}"
        )
    # Away from the unchanged picture, on either side, the first step that lost too much.
    start = int(np.abs(at - UNCHANGED[kind]).argmin())
    low = value < FLAT * best
    falls = {i for i in (_first(low, start, -1), _first(low, start, +1)) if i is not None}
    where = " and ".join(f"{said[i]} ({value[i]:.2f})" for i in sorted(falls))
    lowest = "" if worst in falls else f" and is lowest at {said[worst]} ({value[worst]:.2f})"
    return (
        f"{name} falls: its precision is {value[start]:.2f} at {said[start]}, drops at {where}"
        f"{lowest}. {least}"
    )


def _first(low: np.ndarray, start: int, direction: int) -> int | None:
    i = start
    while 0 <= i < len(low):
        if low[i]:
            return i
        i += direction
    return None


def _amount(of: SweepSettings | SweepSnapshot, amount: float) -> str:
    return f"{amount:.3g}{UNITS[of.sweep]}"
