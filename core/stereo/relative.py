"""Relative depth: what one picture can't know, and how it is compared with stereo all the same.

A picture alone never says how large its world is. A doll's house, photographed from as close as it
is small, looks like the house: depth is known up to a scale. Networks that learned from cameras
nobody measured don't know the zero of their inverse depth either: a second number, the shift. So
their answer r becomes disparity by two numbers,

    d ≈ scale · r + shift,

fitted to the stereo result (`align`), and only then may the two be compared. Judged without any
fit, both maps are first freed of scale and shift: t = median(d), s = mean |d − t|,
d̂ = (d − t)/s, and the error is mean |d̂ − d̂*| (Ranftl et al., 2022).

Three maps can be put through this: a network's (core.stereo.mono), the truth itself, stretched
(`ambiguity`), and the oldest rule of drawing, that what stands lower in the picture is nearer
(`row_prior`). On flat ground that rule is exact: 1/z grows linearly from the horizon down.

    aligned = align(row_prior(disparity.shape), disparity)
    scores(aligned.disparity, truth.disparity, rig)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.stereo.geometry import depth as depth_of
from core.stereo.truth import SCORE_HELP as TRUTH_HELP
from core.types import InputError, Rig

SCORE_HELP: dict[str, tuple[str, str, str]] = {
    "affine_invariant": ("Affine-invariant error", "Freed of scale and shift; 0 is best.", ""),
    **{key: TRUTH_HELP[key] for key in ("abs_rel", "rmse", "delta_1")},
    "placed": ("With depth", "Share of the known pixels that get a depth short of infinity.", ""),
}

LEAST_PIXELS = 10  # two would do for two numbers; a robust fit wants company
FIT_PIXELS = 100_000  # for the first, slow fit
ROUNDS = 60
OUTLIER = 2.5  # of the typical deviation


@dataclass(frozen=True)
class Aligned:
    """disparity (H, W) float32 = scale · inverse depth + shift, in px, wherever that is known.

    used (H, W) bool: the pixels the last fit rests on. residual_px: the median of |disparity −
    the disparity it was fitted to| over all pixels that both maps have, outliers included.
    """

    scale: float
    shift: float
    disparity: np.ndarray
    used: np.ndarray
    residual_px: float


def align(
    inverse_depth: np.ndarray, disparity: np.ndarray, mask: np.ndarray | None = None
) -> Aligned:
    """The scale and shift that bring inverse_depth (H, W) closest to disparity (H, W) px.

    NaN is unknown; mask (H, W) bool is True where a pixel may be used. Three steps: least squares;
    from there the least sum of absolute deviations, by reweighting (each pixel weighs 1/|residual|,
    so that outliers lose their pull; the sum is convex, so any start leads there); then least
    squares over the pixels within OUTLIER standard deviations, as the median deviation tells them.
    It bears many outliers anywhere, fewer if they are all at the nearest pixels.
    Raises InputError for maps of different sizes, too few common pixels, or a flat inverse depth.
    """
    r, d = _map(inverse_depth, "inverse depth"), _map(disparity, "disparity")
    _check_same(r, d)
    if mask is not None:
        _check_same(np.asarray(mask), d)
    common = np.isfinite(r) & np.isfinite(d)
    if mask is not None:
        common &= np.asarray(mask, bool)
    x, y = r[common], d[common]
    if len(x) < LEAST_PIXELS:
        raise InputError(
            f"Only {len(x)} pixels are known in both maps; scale and shift need "
            f"{LEAST_PIXELS}. Take a pair of which more can be matched."
        )
    middle, spread = float(np.median(x)), float(np.ptp(x))
    if spread <= 1e-6 * float(np.abs(x).max()):
        raise InputError(
            "The inverse depth is the same everywhere, so no scale can be fitted. "
            "Take a picture in which something is nearer than something else."
        )
    x = (x - middle) / spread  # numbers near 1 keep the sums exact
    some = np.linspace(0, len(x) - 1, min(len(x), FIT_PIXELS)).astype(int)
    slope, offset = _least_deviations(x[some], y[some])
    away = np.abs(y - slope * x - offset)
    limit = max(OUTLIER * 1.4826 * float(np.median(away)), 1e-6 * float(np.ptp(y)))
    near = away <= limit
    slope, offset = _line(x[near], y[near], np.ones(int(near.sum())), (slope, offset))
    residual = float(np.median(np.abs(y - slope * x - offset)))
    used = np.zeros(d.shape, bool)
    used[common] = near
    scale = slope / spread
    shift = offset - scale * middle
    return Aligned(scale, shift, (scale * r + shift).astype(np.float32), used, residual)


def _least_deviations(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope and offset that make the sum of |y − slope x − offset| least."""
    weight = np.ones(len(x))
    line = _line(x, y, weight, (0.0, float(np.median(y))))
    smallest = 1e-7 * float(np.ptp(y)) or 1.0
    for _ in range(ROUNDS):
        weight = 1 / np.maximum(np.abs(y - line[0] * x - line[1]), smallest)
        before, line = line, _line(x, y, weight, line)
        if abs(line[0] - before[0]) + abs(line[1] - before[1]) <= smallest:
            break
    return line


def _line(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, otherwise: tuple[float, float]
) -> tuple[float, float]:
    """Slope and offset by weighted least squares; `otherwise` if all x are one."""
    total = weight.sum()
    mx, my = weight @ x / total, weight @ y / total
    variance = weight @ (x - mx) ** 2
    if variance <= 1e-12 * total:
        return otherwise
    slope = float(weight @ ((x - mx) * (y - my)) / variance)
    return slope, float(my - slope * mx)


# ---------------------------------------------------------------- how good is it?


def affine_invariant_error(d: np.ndarray, truth: np.ndarray) -> float:
    """mean |d̂ − d̂*| over the pixels known in both: d̂ = (d − t)/s, t = median(d), s = mean |d − t|.

    d and truth are inverse depths or disparities of one shape, in any scale (above 0) and with any
    shift: neither changes the error. Ranftl et al., TPAMI 2022.
    Raises InputError if they share no pixel or one is flat.
    """
    d, truth = np.asarray(d, np.float64), np.asarray(truth, np.float64)
    _check_same(d, truth)
    known = np.isfinite(d) & np.isfinite(truth)
    if not known.any():
        raise InputError("No pixel is known in both maps. Take a pair with a known truth.")
    return float(np.abs(_freed(d[known]) - _freed(truth[known])).mean())


def _freed(d: np.ndarray) -> np.ndarray:
    away = d - np.median(d)
    s = np.abs(away).mean()
    if s <= 1e-9 * np.abs(d).max():
        raise InputError("One map is the same everywhere. Take a picture that has some depth.")
    return away / s


def depth_metrics(depth: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """abs_rel, rmse, delta_1 and placed of depth (H, W) against truth (H, W), both in one unit.

    Align first. The first three are taken over the pixels that have both depths (above 0), NaN if
    none has; placed is their share of the pixels that have a truth. Eigen et al., NIPS 2014.
    Raises InputError if no pixel has a truth.
    """
    z, true = _map(depth, "depth"), _map(truth, "true depth")
    _check_same(z, true)
    asked = true > 0
    if not asked.any():
        raise InputError("No pixel has a true depth. Take a pair with a known truth.")
    both = asked & (z > 0)
    if not both.any():
        return dict.fromkeys(("abs_rel", "rmse", "delta_1"), float("nan")) | {"placed": 0.0}
    z, true = z[both], true[both]
    return {
        "abs_rel": float(np.mean(np.abs(z - true) / true)),
        "rmse": float(np.sqrt(np.mean((z - true) ** 2))),
        "delta_1": float(np.mean(np.maximum(z / true, true / z) < 1.25)),
        "placed": float(both.sum() / asked.sum()),
    }


def scores(disparity: np.ndarray, truth: np.ndarray, rig: Rig | None = None) -> dict[str, float]:
    """The scores of SCORE_HELP for an aligned disparity (H, W) px against the true one; those of
    depth only with a rig."""
    found = {"affine_invariant": affine_invariant_error(disparity, truth)}
    if rig is not None:
        found |= depth_metrics(depth_of(disparity, rig), depth_of(truth, rig))
    return found


# ---------------------------------------------------------------- what one picture can't tell


@dataclass(frozen=True)
class Ambiguity:
    """A scene that is the same to the affine-invariant error, and isn't the same.

    depth (H, W) float32 in the unit of the depth it was made of, NaN unknown or beyond infinity;
    beyond: the share of known pixels there. error is the affine-invariant one, 0 but for rounding;
    metrics are those of `depth_metrics` against the first depth, with nothing aligned.
    """

    depth: np.ndarray
    error: float
    beyond: float
    metrics: dict[str, float]


def ambiguity(depth: np.ndarray, scale: float = 1.0, shift: float = 0.0) -> Ambiguity:
    """The same scene under another scale and shift of inverse depth: 1/z′ = scale (1/z + shift·s).

    depth (H, W) in any unit; scale above 0; shift in units of s, the spread mean |1/z − median|
    of the inverse depths. Scale makes everything larger or smaller; shift bends the space: it
    squeezes what is far, or throws it beyond infinity.
    Raises InputError for a scale that isn't above 0 or a depth that is flat or unknown.
    """
    if not (np.isfinite(scale) and scale > 0 and np.isfinite(shift)):
        raise InputError(
            f"Scale {scale:g} with shift {shift:g} makes no scene. Give a scale above 0 and a "
            "finite shift."
        )
    z = _map(depth, "depth")
    inverse = 1 / np.where(z > 0, z, np.nan)
    known = np.isfinite(inverse)
    if not known.any():
        raise InputError("No pixel has a depth. Take a scene with a known one.")
    values = inverse[known]
    s = float(np.abs(values - np.median(values)).mean())
    other = scale * (inverse + shift * s)
    ahead = known & (other > 0)
    made = np.full(z.shape, np.nan, np.float32)
    made[ahead] = 1 / other[ahead]
    error = affine_invariant_error(other, inverse)
    beyond = 1 - float(ahead.sum() / known.sum())
    return Ambiguity(made, error, beyond, depth_metrics(made, z))


def row_prior(shape: tuple[int, int]) -> np.ndarray:
    """Inverse depth (H, W) float32 that knows nothing but the row: 0 at the top edge, 1 at the
    bottom one. What stands lower is nearer: the least that a method must beat."""
    height, width = shape
    rows = (np.arange(height, dtype=np.float32) + 0.5) / height
    return np.repeat(rows[:, None], width, 1)


@dataclass(frozen=True)
class Ground:
    """A plane below the camera. horizon_px: the row, from the top edge, where its depth is infinite;
    tilt_deg: how far the camera looks down; camera_height: above the plane, in the rig's unit."""

    horizon_px: float
    tilt_deg: float
    camera_height: float


def ground(prior: Aligned, rig: Rig) -> Ground:
    """The plane that an aligned `row_prior` stands for.

    A camera h above a plane, tilted down by θ, sees at row v a depth with
    h/z = cos θ (v − c_y)/f_y + sin θ: linear in the row, so that the two fitted numbers give θ
    (from the row where it is 0) and h. A camera that leans sideways isn't covered.
    Raises InputError if lower isn't nearer in this picture.
    """
    if not prior.scale > 0:
        raise InputError("In this picture lower isn't nearer: it shows no ground. Take another.")
    rows = prior.disparity.shape[0]
    horizon = -(prior.shift + rig.doffs_px) / prior.scale * rows
    tilt = np.arctan((rig.cy - horizon) / rig.focal_y_px)
    height = rig.focal_px * rig.baseline * rows * np.cos(tilt) / (rig.focal_y_px * prior.scale)
    return Ground(float(horizon), float(np.degrees(tilt)), float(height))


def _map(values: np.ndarray, name: str) -> np.ndarray:
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or not array.size:
        raise InputError(f"The {name} has shape {array.shape}. Give one number a pixel: (H, W).")
    return np.where(np.isfinite(array), array, np.nan)


def _check_same(a: np.ndarray, b: np.ndarray) -> None:
    if a.shape != b.shape:
        raise InputError(
            f"One map is {a.shape}, the other {b.shape}. Compute both from the same picture."
        )
