"""Mending a pair before it is matched: the right order, the same rows, the same brightness.

Each step is one that a person would do by hand, and each changes pictures only, never their size.
The order matters: a swapped pair must be put in order before rows are judged, and brightness is
compared where both pictures show the same place.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace

import numpy as np

from core.images import as_rgb
from core.stereo.exposure import equalised, exposure
from core.stereo.findings import Finding, fitting_range
from core.stereo.pairs import check_sizes
from core.stereo.preflight import Preflight
from core.stereo.sparse import sparse_matches
from core.stereo.types import Calibration, StereoSettings
from core.types import Rig, Settings, setting


@dataclass(frozen=True)
class PrepareSettings(Settings):
    """What is done to a pair before it is matched."""

    swap: bool = setting(False, "Swap", "The left picture becomes the right one.")
    rectify: bool = setting(
        False, "Rectify",
        "Turn both pictures until partners lie in one row; guessed from matches unless a "
        "calibration is given.",
    )  # fmt: skip
    equalise: bool = setting(
        False, "Equalise", "Bring the right picture to the left one's brightness, by channel."
    )


@dataclass(frozen=True)
class Prepared:
    """left, right (H, W, 3) uint8, ready to be matched. rig is that of a calibrated
    rectification, else None. valid (H, W) bool: where the left one shows anything, None if
    everywhere. notes are plain sentences about what was done; swapped: left was the right one."""

    left: np.ndarray
    right: np.ndarray
    rig: Rig | None = None
    valid: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    swapped: bool = False


def prepare(
    left: np.ndarray,
    right: np.ndarray,
    settings: PrepareSettings = PrepareSettings(),
    calibration: Calibration | None = None,
) -> Prepared:
    """Do to a pair (RGB uint8, one size) what `settings` ask for; with a calibration it is always
    rectified by it.

    Raises InputError if the sizes differ, or the pair can't be rectified.
    """
    left, right = as_rgb(left, "The left picture"), as_rgb(right, "The right picture")
    check_sizes(left, right)
    rig, valid, notes = None, None, []
    if settings.swap:
        left, right = right, left
        notes.append("The pictures were swapped.")
    if settings.rectify or calibration is not None:
        from core.stereo.rectify import rectify

        done = rectify(left, right, calibration)
        left, right, rig, valid = done.left, done.right, done.rig, done.valid0
        by = "the matches; its scale is unknown" if calibration is None else "the calibration"
        notes.append(
            f"The pair was rectified by {by}. Matches were {done.vertical_before_px:.2f} px off "
            f"their rows, now {done.vertical_px:.2f} px."
        )
    if settings.equalise:
        light = exposure(left, right, *sparse_matches(left, right))
        right = equalised(right, light)
        gain = ", ".join(f"{g:.2f}" for g in light.gain)
        offset = ", ".join(f"{o:+.1f}" for o in light.offset)
        notes.append(
            f"The right picture's red, green and blue were multiplied by {gain} and shifted by "
            f"{offset} grey levels."
            if np.isfinite(light.differ)
            else "Too few places could be compared, so the exposure stayed as it was."
        )
    return Prepared(left, right, rig, valid, tuple(notes), settings.swap)


def fixed(
    finding: Finding, settings: PrepareSettings, stereo: StereoSettings, check: Preflight
) -> tuple[PrepareSettings, StereoSettings]:
    """The settings that mend what `finding` names, in the pair that `check` looked at."""
    if finding.fix == "swap":
        return replace(settings, swap=not settings.swap), stereo
    if finding.fix == "rectify":
        return replace(settings, rectify=True), stereo
    if finding.fix == "equalise":
        return replace(settings, equalise=True), stereo
    if finding.fix == "range" and np.isfinite(check.low_px):
        low, high = fitting_range(check.low_px, check.high_px)
        return settings, replace(
            stereo,
            min_disparity_px=_bounded(low, "min_disparity_px"),
            max_disparity_px=_bounded(high, "max_disparity_px"),
        )
    return settings, stereo


def _bounded(value: int, name: str) -> int:
    """The value within what the setting allows."""
    (about,) = (f.metadata for f in dataclasses.fields(StereoSettings) if f.name == name)
    return int(min(max(value, about["minimum"]), about["maximum"]))
