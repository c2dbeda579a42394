"""Is this a stereo pair? A look at both pictures before an hour is lost on the wrong settings.

A dense method answers every pair, also two pictures in the wrong order or half a degree askew,
and its answer then is nonsense without a word. A few sure matches, found anywhere in the other
picture, tell what is wrong, and each fault leaves its own mark: swapped pictures shift things to
the wrong side, a turned one makes rows drift apart from left to right, a short search range ends
before the nearest matches. The cause is named, not what follows from it; where matches are too
few to be sure, nothing is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from core.images import as_rgb
from core.stereo.exposure import Exposure, exposure
from core.stereo.pairs import check_sizes
from core.stereo.rows import Rows, fit_rows
from core.stereo.sparse import all_matches, alone_in_row, stillness_px, two_views
from core.stereo.types import StereoSettings
from core.types import Rig

LEAST = 7  # matches in agreement; fewer may agree by chance
SHARE = 0.3  # of all matches that must agree
ROWS_PX = 1.0  # RMS offset of rows over the picture that spoils a dense match
TURNED_DEG, SCALED = 0.2, 0.004
UNRULY = 1.5, 8  # so many times the matches that obey rows, and so many more, obey two views only
STILL_PX = 0.6  # nothing moves more: no parallax
BACK_PX = 1.0  # less may be a slip of the match
BACKWARD = 0.8  # share of the matches that go the wrong way in a swapped pair
OUTSIDE = 0.03  # share of the matches outside the range that makes it wrong
TOO_LONG = 4  # times the range that would do
DIFFER = 5.0, 0.15  # grey levels, and share of the level, by which exposures must differ
FOCALS = 0.2, 20.0  # plausible focal lengths in picture widths
BASELINES_M = 0.0005, 30.0


@dataclass(frozen=True)
class Finding:
    """key names the fault, says is one line that tells it with its measure and what the fix does,
    fix is what would mend it: swap, rectify, equalise, range, or "" for nothing. A hint costs time only: the result isn't wrong."""

    key: str
    says: str
    fix: str = ""
    hint: bool = False


@dataclass(frozen=True)
class Preflight:
    """What the check found, and what it measured; NaN where it could not.

    matches: how many were judged by, at points_left and points_right (N, 2) px. vertical_px and
    vertical_spread_px: median and spread of y_right − y_left. rotation_deg (clockwise) and scale:
    of the right picture against the left one. exposure: how brightness compares. low_px, high_px: between these lie the matches' disparities.
    """

    findings: tuple[Finding, ...]
    matches: int
    points_left: np.ndarray
    points_right: np.ndarray
    vertical_px: float
    vertical_spread_px: float
    rotation_deg: float
    scale: float
    exposure: Exposure
    low_px: float
    high_px: float

    @property
    def ok(self) -> bool:
        """Nothing was found but hints."""
        return all(finding.hint for finding in self.findings)


def preflight(
    left: np.ndarray,
    right: np.ndarray,
    settings: StereoSettings = StereoSettings(),
    rig: Rig | None = None,
) -> Preflight:
    """Check a pair (RGB uint8, one size) against what `settings` and `rig` say of it.

    Raises InputError if the sizes differ.
    """
    left, right = as_rgb(left, "The left picture"), as_rgb(right, "The right picture")
    check_sizes(left, right)
    height, width = left.shape[:2]
    unit_px = max(1.0, max(width, height) / 1000)  # matches are found at 1000 px
    points0, points1 = all_matches(left, right)
    seen = two_views(points0, points1, unit_px)
    rows = fit_rows(points0, points1, (width, height), unit_px)
    unruly = seen.sum() > UNRULY[0] * rows.agree.sum() + UNRULY[1]
    agree = seen if unruly else rows.agree
    enough = agree.sum() >= max(LEAST, SHARE * len(agree))
    if not enough:
        agree = np.zeros(len(agree), bool)
    points0, points1 = points0[agree], points1[agree]
    offsets = _disparities(points0, points1, rows, (width, height))
    told = offsets[alone_in_row(left, right, points0, points1)]
    low, high = extent(told)
    light = exposure(left, right, points0, points1)
    v = points1[:, 1] - points0[:, 1]

    findings: list[Finding | None] = [_same(left, right)]
    if findings == [None] and not enough:
        findings = [_few(len(agree))]
    elif findings == [None]:
        size = width, height
        findings = [_unruly(points0, points1) if unruly else _rows(rows, size, unit_px)]
        findings.append(
            _swapped(told, settings, rig, unit_px) or _range(told, low, high, settings, unit_px)
        )
        findings.append(_exposure(light))
    if rig is not None:
        known = told if enough and not any(findings) else told[:0]
        findings.append(_rig(rig, width, height, known))
    return Preflight(
        findings=tuple(finding for finding in findings if finding is not None),
        matches=len(points0),
        points_left=points0,
        points_right=points1,
        vertical_px=float(np.median(v)) if enough else math.nan,
        vertical_spread_px=_spread(v) if enough else math.nan,
        rotation_deg=rows.rotation_deg if enough and not unruly else math.nan,
        scale=rows.scale if enough and not unruly else math.nan,
        exposure=light,
        low_px=low,
        high_px=high,
    )


# ---------------------------------------------------------------- what the matches tell


def extent(disparities: np.ndarray) -> tuple[float, float]:
    """Between which disparities the matches lie, without the outermost 2 % (at least one match)
    of each side, which may be wrong; NaN if there are none."""
    if len(disparities) < LEAST:
        return math.nan, math.nan
    ordered = np.sort(disparities)
    k = max(1, round(0.02 * len(ordered)))
    return float(ordered[k]), float(ordered[-1 - k])


def fitting_range(low_px: float, high_px: float) -> tuple[int, int]:
    """A search range in multiples of 8 px that holds these disparities with room for what has no
    matches: a seventh more on the near side, and everything to infinity on the far one."""
    room = max(4.0, (high_px - low_px) / 7)
    least = min(0.0, 8 * math.floor((low_px - room) / 8)) if low_px < 0.5 else 0.0
    if low_px - 2 * room > 48:  # a wall close by, and surely nothing behind it
        least = 8.0 * math.floor((low_px - 2 * room) / 8)
    most = max(16.0, least + 16, 8 * math.ceil((high_px + room) / 8))
    return int(least), int(most)


def _disparities(
    points0: np.ndarray, points1: np.ndarray, rows: Rows, size: tuple[int, int]
) -> np.ndarray:
    """(N,) x_left − x_right, had the right picture not been turned and scaled."""
    turn = math.radians(rows.rotation_deg)
    x, y = (points1.astype(float) - np.array(size) / 2).T
    x = (math.cos(turn) * x + math.sin(turn) * y) / rows.scale
    return points0[:, 0] - size[0] / 2 - x


def _spread(values: np.ndarray) -> float:
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


# ---------------------------------------------------------------- findings


def _few(matches: int) -> Finding:
    return Finding(
        "few",
        f"Only {matches} places could be matched for sure: too few to judge order, rows and range. "
        "Look at the result with care.",
    )


def _same(left: np.ndarray, right: np.ndarray) -> Finding | None:
    moved = 0.0 if np.array_equal(left, right) else stillness_px(left, right)
    if not moved < STILL_PX:
        return None
    alike = "are the same, pixel for pixel" if moved == 0 else f"differ by only {moved:.1f} px"
    return Finding(
        "same",
        f"The pictures {alike}. Without a shift there is no depth; give two views from different "
        "places.",
    )


def _rows(rows: Rows, size: tuple[int, int], unit_px: float) -> Finding | None:
    """Rotated, scaled, or rows off for another reason."""
    width, height = size
    turned, scaled = math.tan(math.radians(rows.rotation_deg)), rows.scale - 1
    by_turn, by_scale = (abs(turned) * width / 12**0.5, abs(scaled) * height / 12**0.5)
    off = math.sqrt(rows.shift_px**2 + by_turn**2 + by_scale**2)
    if off < ROWS_PX * unit_px:
        return None
    fix = "Rectifying brings partners to one row."
    if abs(rows.rotation_deg) > TURNED_DEG and by_turn > by_scale:
        way = "clockwise" if turned > 0 else "counter-clockwise"
        return Finding(
            "rotated",
            f"The right picture is turned by {abs(rows.rotation_deg):.1f}° {way} against the left "
            f"one. {fix}",
            "rectify",
        )
    if abs(scaled) > SCALED and by_scale > 0.3 * abs(rows.shift_px):
        return Finding(
            "scaled",
            f"The right picture shows things {abs(scaled):.1%} "
            f"{'larger' if scaled > 0 else 'smaller'} than the left one. {fix}",
            "rectify",
        )
    return _not_rectified(rows.median_px, rows.spread_px)


def _not_rectified(median_px: float, spread_px: float) -> Finding:
    way = "lower" if median_px > 0 else "higher"
    return Finding(
        "not_rectified",
        f"Matches lie {abs(median_px):.1f} px {way} in the right picture (spread "
        f"{spread_px:.1f} px): the pair isn't rectified. Rectifying brings partners to one row.",
        "rectify",
    )


def _unruly(points0: np.ndarray, points1: np.ndarray) -> Finding:
    """Two views of one scene whose rows have little to do with each other."""
    a, b = (points - points.mean(0) for points in (points0, points1))
    turned = math.degrees(math.atan2((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum(), (a * b).sum()))
    if abs(turned) > 10:
        return Finding(
            "rotated",
            f"The right picture is turned by about {abs(turned):.0f}° against the left one. "
            "Rectifying turns it back, if it isn't too much.",
            "rectify",
        )
    v = points1[:, 1] - points0[:, 1]
    return _not_rectified(float(np.median(v)), _spread(v))


def _swapped(
    disparities: np.ndarray, settings: StereoSettings, rig: Rig | None, unit_px: float
) -> Finding | None:
    """Things lie further right in the right picture. A range that holds such disparities says that
    they are meant."""
    if len(disparities) < LEAST:
        return None
    farthest = 0.0 if rig is None else -rig.doffs_px
    backward = float((disparities < farthest - BACK_PX * unit_px).mean())
    if backward < BACKWARD or settings.min_disparity_px <= extent(disparities)[0]:
        return None
    return Finding(
        "swapped",
        f"{backward:.0%} of the matches lie further right in the right picture; in a stereo pair "
        "they lie further left. The pictures seem to be swapped: swapping puts them in order.",
        "swap",
    )


def _range(
    disparities: np.ndarray, low: float, high: float, settings: StereoSettings, unit_px: float
) -> Finding | None:
    """The search range misses matches, or is far too long."""
    if math.isnan(low):
        return None
    start, end = settings.min_disparity_px, settings.max_disparity_px
    outside = (disparities < start - unit_px) | (disparities > end + unit_px)
    fitting = fitting_range(low, high)
    has = f"The matches' disparities lie between {low:.0f} and {high:.0f} px"
    fix = f"Setting it to {fitting[0]} to {fitting[1]} px"
    if outside.mean() > OUTSIDE and (low < start - unit_px or high > end + unit_px):
        return Finding(
            "range",
            f"{has}, but only {start} to {end} px are searched: {outside.mean():.0%} of them can't "
            f"be found. {fix} holds them.",
            "range",
        )
    if end - start > TOO_LONG * (fitting[1] - fitting[0]):
        return Finding(
            "range",
            f"{has}, a small part of the {start} to {end} px that are searched. {fix} is faster "
            "and leaves less to confuse.",
            "range",
            hint=True,
        )
    return None


def _exposure(light: Exposure) -> Finding | None:
    brighter = max(light.level_left, light.level_right)
    least = max(DIFFER[0], DIFFER[1] * brighter)
    if not light.differ > least or light.rest > 0.5 * light.differ:
        return None
    measure = f"grey {light.level_left:.0f} in the left picture is {light.level_right:.0f}"
    return Finding(
        "exposure",
        f"The pictures are exposed differently: {measure} in the right one. Equalising brings the "
        "right picture to the left one's level.",
        "equalise",
    )


def _rig(rig: Rig, width: int, height: int, disparities: np.ndarray) -> Finding | None:
    """The first thing about the rig that can't be, with these pictures."""
    why = ""
    widths = rig.focal_px / width
    if not FOCALS[0] <= widths <= FOCALS[1]:
        view = 2 * math.degrees(math.atan(0.5 / widths))
        why = (
            f"The focal length of {rig.focal_px:g} px is {widths:.3g} times the picture's width, a "
            f"view of {view:.3g}°. It is in pixels of this picture, not in millimetres"
        )
    elif not (0 <= rig.cx <= width and 0 <= rig.cy <= height):
        why = (
            f"The principal point ({rig.cx:.0f}, {rig.cy:.0f}) lies outside the picture of "
            f"{width}×{height} px. The rig seems to be that of another size: scale it"
        )
    elif not BASELINES_M[0] <= rig.baseline_m <= BASELINES_M[1]:
        why = (
            f"The baseline of {rig.baseline:g} {rig.unit} is hardly that of a stereo pair. Check "
            "its unit"
        )
    elif len(disparities):
        low, high = extent(disparities + rig.doffs_px)
        if high > rig.focal_px:
            why = (
                f"With this rig the nearest matches are {rig.focal_px / high:.2g} baselines away, "
                "nearer than cameras can see together. Check focal length and offset"
            )
        elif np.mean(disparities + rig.doffs_px < -1) > 0.2 or low < -8:
            why = (
                "With this rig some matches lie beyond infinity: their disparity and the rig's "
                f"offset of {rig.doffs_px:g} px add up to {low:.0f} px. Check the offset"
            )
    return Finding("rig", why + ".") if why else None
