"""How one picture lies against the other, told from matches: shifted, turned or scaled.

In a rectified pair a point and its partner have equal rows. What is left of a difference,
v = y_right − y_left, tells its cause: a shift is the same everywhere, a turned picture has v grow
from left to right, a scaled one from top to bottom, and cameras that look towards each other pull
the corners apart. So v = a + b·x + c·y + k·x·y is fitted, whatever the depths are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

TOLERANCE_PX = 1.5  # a match this close to the fitted rows agrees with them
TRIES = 400
FEWEST = 6  # matches to which the numbers are fitted
STEEPEST = 0.4  # of b and c; beyond it lie wrong matches only
SURE = 4.0  # standard errors from 0
LEAST_NOISE_PX = 0.15  # of a match; a handful that agree better do so by chance


@dataclass(frozen=True)
class Rows:
    """What the fit tells; a number that isn't surely different from none is none.

    agree (N,) bool: matches that obey the fitted rows. shift_px at the picture's middle, down is
    positive; rotation_deg of the right picture against the left one, clockwise is positive; scale
    of the right picture over the left one; keystone_px at the lower right corner; off_px is the
    RMS of all that over the matches. median_px and spread_px of v over the matches that agree:
    median, and 1.48 × the median distance from it.
    """

    agree: np.ndarray
    shift_px: float
    rotation_deg: float
    scale: float
    keystone_px: float
    off_px: float
    median_px: float
    spread_px: float


def fit_rows(
    points_left: np.ndarray, points_right: np.ndarray, size: tuple[int, int], unit_px: float = 1.0
) -> Rows:
    """The rows that most matches, (N, 2) px each, agree on. size is (width, height) px; all
    tolerances are in units of unit_px, which is above 1 for pictures matched at reduced size."""
    middle = (points_left.astype(float) + points_right) / 2 - np.array(size) / 2
    v = (points_right[:, 1].astype(float) - points_left[:, 1]) / unit_px
    x, y = middle.T / unit_px
    corner = size[0] * size[1] / 4 / unit_px**2
    design = np.column_stack([np.ones(len(v)), x, y, x * y / corner])  # (N, 4)
    numbers = np.append(_consensus(design[:, :3], v), 0.0)
    numbers = _refined(design, v, numbers)
    agree = np.abs(v - design @ numbers) < TOLERANCE_PX
    told = _told(design[agree], v[agree])
    a, b, c, k = told
    kept = v[agree]
    return Rows(
        agree=agree,
        shift_px=a * unit_px,
        rotation_deg=math.degrees(math.atan2(b, 1 + c)),
        scale=math.hypot(1 + c, b),
        keystone_px=k * unit_px,
        off_px=math.sqrt(np.mean((design[agree] @ told) ** 2)) * unit_px if len(kept) else 0.0,
        median_px=float(np.median(kept)) * unit_px if len(kept) else math.nan,
        spread_px=spread(kept) * unit_px,
    )


def _consensus(design: np.ndarray, v: np.ndarray) -> np.ndarray:
    """(3,): the plane that the most matches lie near, of many through three of them (RANSAC).

    Equal rows are the first one tried, and only a clear majority beats them.
    """
    best = np.zeros(3)
    if len(v) < 3:
        return best
    samples = np.random.default_rng(0).integers(0, len(v), (TRIES, 3))
    corners = design[samples]  # (T, 3, 3)
    thin = 1e-3 * np.abs(design[:, 1:]).max() ** 2  # twice the area of three points on a line
    samples = samples[np.abs(np.linalg.det(corners)) > thin]
    planes = np.linalg.solve(design[samples], v[samples, None])[..., 0]  # (T, 3)
    planes = planes[np.abs(planes[:, 1:]).max(1) < STEEPEST]
    if not len(planes):
        return best
    support = _support(v - planes @ design.T)
    k = int(support.argmax())
    return planes[k] if support[k] > 1.1 * _support(v) + 1 else best


def _support(errors: np.ndarray) -> np.ndarray:
    return np.maximum(0, 1 - (errors / TOLERANCE_PX) ** 2).sum(-1)


def _refined(design: np.ndarray, v: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The numbers (4,) by least squares over the matches near what they say, again and again."""
    for _ in range(8):
        near = np.abs(v - design @ numbers) < TOLERANCE_PX
        if near.sum() < FEWEST:
            return numbers
        numbers = np.linalg.lstsq(design[near], v[near], rcond=None)[0]
    return numbers


def _told(design: np.ndarray, v: np.ndarray) -> np.ndarray:
    """(4,): the numbers that are surely not 0; the others are dropped, the least sure one
    first, because a shift seen at one side of the picture only could be a rotation as well."""
    kept, told = [0, 1, 2, 3], np.zeros(4)
    while kept and len(v) > len(kept) + 2:
        some = design[:, kept]
        numbers = np.linalg.lstsq(some, v, rcond=None)[0]
        noise = max(LEAST_NOISE_PX, float(np.std(v - some @ numbers)))
        errors = noise * np.sqrt(np.diag(np.linalg.pinv(some.T @ some)))
        sure = np.abs(numbers) / np.maximum(errors, 1e-12)
        if sure.min() > SURE:
            told[kept] = numbers
            break
        del kept[int(sure.argmin())]
    return told


def spread(values: np.ndarray) -> float:
    """1.48 × the median distance from the median: sigma, were it not for outliers. NaN of none."""
    if not len(values):
        return math.nan
    return float(1.4826 * np.median(np.abs(values - np.median(values))))
