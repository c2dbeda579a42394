"""Is this a stereo pair? A look at both pictures before an hour is lost on the wrong settings.

A dense method answers every pair, also two pictures in the wrong order or half a degree askew,
and its answer then is nonsense without a word. A few sure matches, found anywhere in the other
picture, tell what is wrong, and each fault leaves its own mark: swapped pictures shift things to
the wrong side, a turned one makes rows drift apart from left to right, a short search range ends
before the nearest matches (`findings` has them all). The cause is named, not what follows from it;
where matches are too few to be sure, nothing is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from core.images import as_rgb
from core.stereo.exposure import Exposure, exposure
from core.stereo.findings import (
    LEAST,
    Finding,
    exposed_differently,
    extent,
    few,
    implausible_rig,
    rows_off,
    same,
    swapped,
    unruly_rows,
    wrong_range,
)
from core.stereo.pairs import check_sizes
from core.stereo.rows import Rows, fit_rows, spread
from core.stereo.sparse import all_matches, allied, alone_in_row, two_views
from core.stereo.types import StereoSettings
from core.types import Rig

SHARE = 0.3  # of all matches that must agree
UNRULY = 1.5, 8  # so many times the matches that obey rows, and so many more, obey two views only


@dataclass(frozen=True)
class Preflight:
    """What the check found, and what it measured; NaN where it could not.

    matches: how many were judged by, at points_left and points_right (N, 2) px. vertical_px and
    vertical_spread_px: median and spread of y_right − y_left. rotation_deg (clockwise) and scale:
    of the right picture against the left one. exposure: how brightness compares. low_px, high_px:
    between these lie the matches' disparities.
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
    count = int(agree.sum())
    enough = count >= max(LEAST, SHARE * len(agree))
    if not enough:
        agree = np.zeros(len(agree), bool)
    points0, points1 = points0[agree], points1[agree]
    offsets = _disparities(points0, points1, rows, (width, height))
    alone = alone_in_row(left, right, points0, points1)
    told = offsets[alone][allied(points0[alone], points1[alone], width)]
    low, high = extent(told)
    light = exposure(left, right, points0, points1)
    v = points1[:, 1] - points0[:, 1]

    findings: list[Finding | None] = [same(left, right)]
    if findings == [None] and not enough:
        findings = [few(count)]
    elif findings == [None]:
        size = width, height
        findings = [unruly_rows(points0, points1) if unruly else rows_off(rows, size, unit_px)]
        findings.append(
            swapped(told, settings, rig, unit_px) or wrong_range(told, low, high, settings, unit_px)
        )
        findings.append(exposed_differently(light))
    if rig is not None:
        known = told if enough and not any(findings) else told[:0]
        findings.append(implausible_rig(rig, width, height, known))
    return Preflight(
        findings=tuple(finding for finding in findings if finding is not None),
        matches=len(points0),
        points_left=points0,
        points_right=points1,
        vertical_px=float(np.median(v)) if enough else math.nan,
        vertical_spread_px=spread(v) if enough else math.nan,
        rotation_deg=rows.rotation_deg if enough and not unruly else math.nan,
        scale=rows.scale if enough and not unruly else math.nan,
        exposure=light,
        low_px=low,
        high_px=high,
    )


def _disparities(
    points0: np.ndarray, points1: np.ndarray, rows: Rows, size: tuple[int, int]
) -> np.ndarray:
    """(N,) x_left − x_right, had the right picture not been turned and scaled."""
    turn = math.radians(rows.rotation_deg)
    x, y = (points1.astype(float) - np.array(size) / 2).T
    x = (math.cos(turn) * x + math.sin(turn) * y) / rows.scale
    return points0[:, 0] - size[0] / 2 - x
