"""Which splats matter, and which are dirt.

A fit leaves dirt behind: splats too faint to see, a few huge ones that stand in for haze, and
floaters, specks in empty space that explain one photo's exposure and spoil every other view. None
is wrong by itself, and each rule here is a suspicion: it looks at one trait, says which splats
have it, and can be seen and undone before it is believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from core.splats.project import LARGEST_LOG
from core.splats.statistics import core_bounds
from core.splats.types import Splats
from core.types import InputError, Settings, setting

ROUND = 1.6075  # the exponent of Thomsen's mean, which has an ellipsoid's surface to 1.1 %
APART = 2.0  # own sizes: large splats of a background are far apart, but they touch
JITTER = 1e-7  # of the scene: a search tree doesn't end where thousands of means are equal
CROPS = {"none": "Nothing", "box": "Outside a box", "sphere": "Outside a sphere"}
RULES = {
    "faint": "too faint",
    "large": "too large",
    "floaters": "floaters",
    "far": "far away",
    "crop": "outside the crop",
}


@dataclass(frozen=True)
class CleanSettings(Settings):
    """What counts as dirt. 0 switches a rule off."""

    faintest: float = setting(
        0.02, "Opacity at least", "Fainter ones are removed. A byte shows nothing below 0.004.",
        minimum=0.0, maximum=1.0, step=0.01,
    )  # fmt: skip
    largest: float = setting(
        0.0, "Size at most", "Of the scene's diagonal; skies and haze are large. 0: any size.",
        minimum=0.0, maximum=100.0, step=0.5, unit="%",
    )  # fmt: skip
    floaters: float = setting(
        5.0, "Loneliness at most",
        "How far off neighbours may be: median + this × its usual deviation. 0: any distance.",
        minimum=0.0, maximum=50.0, step=0.5,
    )  # fmt: skip
    neighbours: int = setting(
        8, "Neighbours", "So many next ones are looked at, so a speck of a few is a floater, too.",
        minimum=1, maximum=32, step=1, advanced=True,
    )  # fmt: skip
    far: float = setting(
        0.0, "Farthest", "From the middle, in scene diagonals. 0: any distance.",
        minimum=0.0, maximum=20.0, step=0.25, advanced=True,
    )  # fmt: skip
    crop: str = setting("none", "Cut away", "By the middle of each splat.", choices=CROPS,
                        shown=False)  # fmt: skip
    crop_low: tuple[float, float, float] = setting(
        (-1.0, -1.0, -1.0), "Box from", "Its least x, y and z.", unit="m", shown=False
    )
    crop_high: tuple[float, float, float] = setting(
        (1.0, 1.0, 1.0), "Box to", "Its greatest x, y and z.", unit="m", shown=False
    )
    crop_centre: tuple[float, float, float] = setting(
        (0.0, 0.0, 0.0), "Sphere's centre", "Its x, y and z.", unit="m", shown=False
    )
    crop_radius_m: float = setting(
        1.0, "Sphere's radius", "From its centre.", minimum=0.0, maximum=1e9, unit="m", shown=False
    )


@dataclass(frozen=True)
class Cleaned:
    """kept (N,) bool, of those given; splats: those kept; rules: by name in RULES, which splats
    (N,) bool that rule removes; a splat may be removed by several."""

    kept: np.ndarray
    splats: Splats
    rules: Mapping[str, np.ndarray]

    @property
    def reasons(self) -> dict[str, int]:
        """How many splats each rule removes, by its words: {'too faint': 120, …}."""
        return {RULES[name]: int(mask.sum()) for name, mask in self.rules.items()}


def clean(splats: Splats, settings: CleanSettings = CleanSettings()) -> Cleaned:
    """The splats without dirt. Raises InputError if nothing is left."""
    found = dirt(splats, settings)
    kept = ~np.any(list(found.values()), axis=0)
    if not kept.any():
        most = max(found, key=lambda name: int(found[name].sum()))
        raise InputError(
            f"These rules leave nothing of {len(splats):,} splats: {int(found[most].sum()):,} are "
            f"{RULES[most]}. Loosen that rule."
        )
    return Cleaned(kept, splats if kept.all() else splats.some(kept), found)


def dirt(splats: Splats, settings: CleanSettings = CleanSettings()) -> dict[str, np.ndarray]:
    """By name in RULES, which splats (N,) bool that rule removes; rules look at all splats, so none
    depends on another. Floaters of 500,000 take seconds, the others none.

    A floater is farther from its neighbours than usual, in any case twice as far (in a regular grid
    nothing deviates), and doesn't reach them with two of its σ.
    """
    low, high = core_bounds(splats.means)
    size = float(np.linalg.norm(high - low))
    means = splats.means.astype(np.float64)
    none = np.zeros(len(splats), bool)
    found: dict[str, np.ndarray] = dict.fromkeys(RULES, none)
    if settings.faintest:
        found["faint"] = splats.opacities < settings.faintest
    if settings.largest and size:
        limit = np.log(settings.largest / 100 * size)
        found["large"] = (splats.log_scales > limit).any(1)
    if settings.floaters and size:
        lonely = loneliness(splats, settings.neighbours)
        usual = float(np.median(lonely))
        more = settings.floaters * float(np.median(abs(lonely - usual)))
        unusual = lonely > usual + max(more, usual)
        found["floaters"] = unusual & (lonely > APART * splats.scales_m.max(1))
    if settings.far and size:
        middle = np.median(means, axis=0)
        away = np.linalg.norm(means - middle, axis=1)
        found["far"] = away > settings.far * size
    if settings.crop == "box":
        ends = np.array(settings.crop_low), np.array(settings.crop_high)
        found["crop"] = np.any((means < ends[0]) | (means > ends[1]), axis=1)
    if settings.crop == "sphere":
        away = np.linalg.norm(means - settings.crop_centre, axis=1)
        found["crop"] = away > settings.crop_radius_m
    return found


def loneliness(splats: Splats, neighbours: int) -> np.ndarray:
    """(N,) float64 metres: the mean distance to so many nearest other splats, or to all if there
    are fewer; 0 for a single one."""
    from scipy.spatial import cKDTree  # type: ignore[attr-defined]

    k = min(neighbours, len(splats) - 1)
    if not k:
        return np.zeros(1)
    low, high = core_bounds(splats.means)
    jitter = JITTER * float(np.linalg.norm(high - low))
    noise = np.random.default_rng(0).uniform(-jitter, jitter, splats.means.shape)
    points = splats.means.astype(np.float64) + noise
    tree = cKDTree(points)
    order = tree.indices  # neighbours asked one after another are in the cache: a third of the time
    found = np.empty(len(points))
    found[order] = tree.query(points[order], k=k + 1, workers=-1)[0][:, 1:].mean(1)
    return found


# ---------------------------------------------------------------- what matters


def importance(splats: Splats) -> np.ndarray:
    """(N,) float64 m²: opacity × the 1σ ellipsoid's shadow, its mean over all directions.

    That is the light a splat stops, seen from anywhere with nothing in front. The mean shadow of a
    convex body is a quarter of its surface (Cauchy), and the surface is Thomsen's approximation.
    """
    a, b, c = splats.log_scales.clip(max=LARGEST_LOG).T
    pairs = [np.exp(ROUND * pair.astype(np.float64)) for pair in (a + b, b + c, c + a)]
    return np.pi * splats.opacities * (sum(pairs) / 3) ** (1 / ROUND)


def ranks(splats: Splats) -> np.ndarray:
    """(N,) int64: 0 for the most important splat, 1 for the next; equals as they come."""
    order = np.argsort(-importance(splats), kind="stable")
    found = np.empty_like(order)
    found[order] = np.arange(len(order))
    return found
