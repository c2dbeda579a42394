"""What can be wrong with a pair, each with its own mark in a few sure matches, and in plain words.

Swapped pictures shift things to the wrong side, a turned one makes rows drift apart from left to
right, a larger one from top to bottom, a short search range ends before the nearest matches. The
thresholds leave room for what good pairs do: half a pixel here, a highlight there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from core.stereo.exposure import Exposure
from core.stereo.rows import Rows, spread
from core.stereo.sparse import stillness_px
from core.stereo.types import StereoSettings
from core.types import Rig

LEAST = 7  # matches in agreement; fewer may agree by chance
ROWS_PX = 0.75  # RMS offset of rows at the matches that spoils a dense match
TURNED_DEG, SCALED = 0.2, 0.004
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
    """key names the fault; says is one line that tells it with its measure and what the fix does;
    fix is what would mend it: swap, rectify, equalise, range, or "" for nothing. A hint is worth a
    look, but nothing that is surely wrong."""

    key: str
    says: str
    fix: str = ""
    hint: bool = False


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


# ---------------------------------------------------------------- the kinds


def few(matches: int) -> Finding:
    return Finding(
        "few",
        f"{f'Only {matches}' if matches else 'No'} matches agree with each other, too few to judge "
        "order, rows and range. If the result is poor, see that both pictures show one scene with "
        "texture, upright.",
        hint=True,
    )


def same(left: np.ndarray, right: np.ndarray) -> Finding | None:
    moved = 0.0 if np.array_equal(left, right) else stillness_px(left, right)
    if not moved < STILL_PX:
        return None
    alike = "are the same, pixel for pixel" if moved == 0 else f"differ by only {moved:.1f} px"
    return Finding(
        "same",
        f"The pictures {alike}. Without a shift there is no depth; give two views from different "
        "places.",
    )


def rows_off(rows: Rows, size: tuple[int, int], unit_px: float) -> Finding | None:
    """Rotated, scaled, or rows off for another reason."""
    width, height = size
    turned, scaled = math.tan(math.radians(rows.rotation_deg)), rows.scale - 1
    by_turn, by_scale = (abs(turned) * width / 12**0.5, abs(scaled) * height / 12**0.5)
    by_keystone = abs(rows.keystone_px) / 3  # RMS over the picture, as are the others
    if rows.off_px < ROWS_PX * unit_px:
        return None
    fix = "Rectifying brings partners to one row."
    if by_keystone > max(by_turn, by_scale, abs(rows.shift_px)):
        return Finding(
            "not_rectified",
            f"Matches lie {abs(rows.keystone_px):.1f} px too high or low in the picture's corners, "
            f"as when cameras look towards each other. {fix}",
            "rectify",
        )
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


def unruly_rows(points0: np.ndarray, points1: np.ndarray) -> Finding:
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
    return _not_rectified(float(np.median(v)), spread(v))


def swapped(
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


def wrong_range(
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


def exposed_differently(light: Exposure) -> Finding | None:
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


def implausible_rig(rig: Rig, width: int, height: int, disparities: np.ndarray) -> Finding | None:
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
