"""The methods of the stereo tab that need no weights: windows, OpenCV's paths, and our own.

`find` is the one door. It reduces a large pair, runs the method, and brings the answer back to
the pair's own pixels. Our own methods are costs (cost) → paths (paths) → one answer per pixel
(planes, refine); `solve` does all but the first for any cost volume.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from core.images import as_rgb, fit
from core.runtime import stage
from core.stereo import cost, opencv, paths, planes, refine
from core.stereo.types import StereoSettings
from core.types import InputError, Progress, silent

P1, P2 = 80.0, 550.0  # of our own methods, in the volume's scale


@dataclass(frozen=True)
class Found:
    """disparity (H, W) float32 px, filled if settings.fill, NaN unknown; matched (H, W) float32:
    before filling; occluded (H, W) bool: where the left–right check failed; confidence (H, W)
    float32 in [0, 1]; stages in seconds; notes are sentences for people."""

    disparity: np.ndarray
    matched: np.ndarray
    occluded: np.ndarray
    confidence: np.ndarray
    stages: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Volumes:
    """raw, aggregated (H, W, D): what each disparity costs before and after neighbours are asked;
    disparities (D,) int px. scale is the size of these pixels: 0.5 if the pair was halved."""

    raw: np.ndarray
    aggregated: np.ndarray
    disparities: np.ndarray
    note: str = ""
    scale: float = 1.0


def find(
    left: np.ndarray,
    right: np.ndarray,
    settings: StereoSettings = StereoSettings(),
    progress: Progress = silent,
) -> Found:
    """The disparity of every pixel by settings.method, of a rectified pair (H, W, 3) uint8.

    Pairs larger than max_side_px are reduced, and the answer is brought back to their own size
    and pixels. Raises InputError for pictures of different sizes, an empty range, or a search
    that would need more than 2 GB.
    """
    left, right = as_rgb(left, "The left picture"), as_rgb(right, "The right picture")
    small = _working(left, right, settings)
    method = {"block": _block, "sgbm": _opencv}.get(settings.method, _by_costs)
    found = method(*small[:3], progress)
    progress(1.0, desc="done")
    return found if small[0] is left else _enlarged(found, left.shape[:2], small[3])


def solve(
    volume: np.ndarray,
    left: np.ndarray,
    settings: StereoSettings,
    progress: Progress = silent,
) -> Found:
    """Paths and everything after them for a cost volume (H, W, D), 0 to core.stereo.cost.FULL.

    left (H, W, 3) uint8 is the picture that the volume belongs to. The steps' seconds are in
    Found.stages: 'paths', 'check', 'planes', 'refine'.
    """
    first, last = settings.min_disparity_px, settings.max_disparity_px
    clock = _Clock()
    total = paths.aggregate(
        volume, left, P1 * settings.small_step, P2 * settings.big_step,
        progress=stage(progress, 0.0, 0.5),
    )  # fmt: skip
    clock("paths")
    progress(0.5, desc="checking from the right")
    disparity, index = refine.winner(total, first)
    confidence = refine.margin(total, index)
    right = refine.right_winner(total, first)
    del total
    occluded = refine.failed_check(disparity, right, settings.check_px)
    right_known = ~refine.failed_check(right[:, ::-1], disparity[:, ::-1], 1.0)[:, ::-1]
    matched = np.where(occluded | _unsure(confidence, settings), np.nan, disparity)
    matched = refine.without_specks(matched)
    known = np.isfinite(matched)
    clock("check")
    flat = planes.surfaces(
        left, planes.Matches(matched, right, right_known, first, last), stage(progress, 0.6, 0.8)
    )
    clock("planes")
    progress(0.8, desc="refining")
    answer = _merged(matched, flat, left, first, last)
    if not settings.fill:
        answer = np.where(known, answer, np.nan).astype(np.float32)
    clock("refine")
    return Found(answer, matched, occluded, _where(known, confidence), clock.stages)


def _merged(
    matched: np.ndarray, flat: np.ndarray, left: np.ndarray, first: int, last: int
) -> np.ndarray:
    """The plane where nothing was matched or the match agrees with it; else the match, since real
    surfaces bend. Then borders are straightened. Without planes: background."""
    import cv2

    known = np.isfinite(matched)
    if not np.isfinite(flat).all():
        flat = refine.fill_background(np.where(np.isfinite(flat), flat, matched))
        if not np.isfinite(flat).all():
            return matched
    flat = np.clip(flat, first, last)
    smooth = cv2.medianBlur(np.where(known, matched, flat).astype(np.float32), 5)
    bent = known & (np.abs(smooth - flat) > 0.5)
    answer = refine.median(np.where(bent, smooth, flat).astype(np.float32), 3)
    weight = np.ones(answer.shape, np.float32)
    return refine.weighted_median(answer, left, refine.edges(answer), weight)


def method_volumes(
    left: np.ndarray, right: np.ndarray, settings: StereoSettings = StereoSettings()
) -> Volumes:
    """The volumes behind the method's answer, for looking inside; at the working size."""
    left, right = as_rgb(left, "The left picture"), as_rgb(right, "The right picture")
    left, right, settings, scale = _working(left, right, settings)
    note = ""
    raw = cost.volume(left, right, settings)
    if settings.method == "block":
        aggregated = cost.windowed(left, right, settings)
        if settings.window_cost == "bm":
            note = "OpenCV shows no costs; these are ours, of the same gradients and windows."
        if settings.window_cost == "zncc":
            note = "Before: correlation in 3×3 px; after: in the whole window."
    else:
        if settings.method == "sgbm":
            note = "OpenCV shows no costs; these are ours, of the same kind (Birchfield–Tomasi)."
            raw = _rounded(cost.windowed(left, right, settings))
        aggregated = paths.aggregate(raw, left, P1 * settings.small_step, P2 * settings.big_step)
    disparities = np.arange(settings.min_disparity_px, settings.max_disparity_px)
    return Volumes(raw, aggregated, disparities, note, scale)


def _rounded(volume: np.ndarray) -> np.ndarray:
    return np.rint(volume.transpose(0, 2, 1)).astype(np.int16).transpose(0, 2, 1)


# ---------------------------------------------------------------- the methods


def _by_costs(
    left: np.ndarray, right: np.ndarray, settings: StereoSettings, progress: Progress
) -> Found:
    clock = _Clock()
    progress(0.0, desc="comparing pixels")
    volume = cost.volume(left, right, settings)
    clock("cost")
    found = solve(volume, left, settings, stage(progress, 0.2, 1.0))
    return dataclasses.replace(found, stages=clock.stages | dict(found.stages))


def _block(
    left: np.ndarray, right: np.ndarray, settings: StereoSettings, progress: Progress
) -> Found:
    if settings.window_cost == "bm":
        return _opencv(left, right, settings, progress)
    clock = _Clock()
    progress(0.0, desc="comparing windows")
    volume = cost.windowed(left, right, settings)
    clock("cost")
    progress(0.7, desc="choosing")
    disparity, index = refine.winner(volume, settings.min_disparity_px)
    right_disparity = refine.right_winner(volume, settings.min_disparity_px)
    confidence = refine.margin(volume, index)
    clock("choose")
    return _finished(disparity, right_disparity, confidence, settings, clock)


def _opencv(
    left: np.ndarray, right: np.ndarray, settings: StereoSettings, progress: Progress
) -> Found:
    """Without costs there is no rival to compare with: confident is what both sides agree on."""
    clock = _Clock()
    found = opencv.both_sides(left, right, settings, progress)
    clock("match")
    apart = refine.disagreement_px(found.left, found.right)
    confidence = np.clip(1 - apart / (settings.check_px + 0.5), 0, 1)
    unsettled = dataclasses.replace(settings, uniqueness=0)  # OpenCV has seen to it
    done = _finished(found.left, found.right, confidence, unsettled, clock)
    return dataclasses.replace(done, notes=found.notes)


def _finished(
    disparity: np.ndarray,
    other: np.ndarray,
    confidence: np.ndarray,
    settings: StereoSettings,
    clock: _Clock,
) -> Found:
    """Check, and fill with a median if asked: how the plain methods end."""
    occluded = refine.failed_check(disparity, other, settings.check_px)
    matched = np.where(occluded | _unsure(confidence, settings), np.nan, disparity)
    matched = matched.astype(np.float32)
    answer = refine.median(refine.fill_background(matched)) if settings.fill else matched
    clock("fill")
    return Found(answer, matched, occluded, _where(np.isfinite(matched), confidence), clock.stages)


def _where(known: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    return np.where(known, confidence, 0).astype(np.float32)


def _unsure(confidence: np.ndarray, settings: StereoSettings) -> np.ndarray:
    return confidence < settings.uniqueness / 100


class _Clock:
    """Seconds by step: each call ends a step and names it."""

    def __init__(self) -> None:
        self.stages: dict[str, float] = {}
        self._last = time.perf_counter()

    def __call__(self, step: str) -> None:
        now = time.perf_counter()
        self.stages[step] = self.stages.get(step, 0.0) + now - self._last
        self._last = now


# ---------------------------------------------------------------- sizes


def _working(
    left: np.ndarray, right: np.ndarray, settings: StereoSettings
) -> tuple[np.ndarray, np.ndarray, StereoSettings, float]:
    """The pair at its working size, the search range in those pixels, and their scale in x."""
    if left.shape != right.shape:
        raise InputError(
            f"The left picture is {left.shape[1]}×{left.shape[0]} px, the right one "
            f"{right.shape[1]}×{right.shape[0]} px. Give two pictures of one size."
        )
    cost.check_range(settings)  # before it is scaled, which widens an empty one
    small, factors = fit(left, settings.max_side_px)
    if small is not left:
        right = fit(right, settings.max_side_px)[0]
        low = int(np.floor(settings.min_disparity_px * factors[0]))
        high = max(int(np.ceil(settings.max_disparity_px * factors[0])), low + 8, 8)
        settings = dataclasses.replace(settings, min_disparity_px=low, max_disparity_px=high)
    cost.check_memory(small.shape[0], small.shape[1], settings)
    return small, right, settings, float(factors[0])


def _enlarged(found: Found, shape: tuple[int, int], scale: float) -> Found:
    """The answer at the pair's own size and in its own pixels. Between two surfaces it doesn't
    blend: there the nearest pixel's disparity stays."""
    import cv2

    size = shape[1], shape[0]

    def nearest(layer: np.ndarray) -> np.ndarray:
        return cv2.resize(layer, size, interpolation=cv2.INTER_NEAREST_EXACT)

    def grown(disparity: np.ndarray) -> np.ndarray:
        sharp = nearest(disparity)
        smooth = cv2.resize(disparity, size, interpolation=cv2.INTER_LINEAR)
        with np.errstate(invalid="ignore"):
            one_surface = np.abs(smooth - sharp) < 1
        return (np.where(one_surface, smooth, sharp) / scale).astype(np.float32)

    return dataclasses.replace(
        found,
        disparity=grown(found.disparity),
        matched=grown(found.matched),
        occluded=nearest(found.occluded.astype(np.uint8)) > 0,
        confidence=nearest(found.confidence),
    )
