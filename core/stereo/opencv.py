"""OpenCV's two matchers, StereoBM and StereoSGBM, asked about both pictures.

OpenCV looks for partners inside the picture only, and leaves a margin as wide as the search
unknown; with that much border around both pictures nothing is lost. The right picture's disparities
come from the same matcher and the mirrored pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from core.stereo.cost import grey
from core.stereo.types import StereoSettings
from core.types import Progress, silent

LEAST_WINDOW, LARGEST_WINDOW = 5, 11  # of BM; of SGBM, whose 16 bits overflow beyond


@dataclass(frozen=True)
class BothSides:
    """left, right (H, W) float32: each picture's disparities in px, NaN unknown."""

    left: np.ndarray
    right: np.ndarray
    notes: tuple[str, ...]


def both_sides(
    left: np.ndarray, right: np.ndarray, settings: StereoSettings, progress: Progress = silent
) -> BothSides:
    """The disparities of left, right (H, W, 3) uint8 by SGBM if that is the method, else by BM."""
    sgbm = settings.method == "sgbm"
    engine, note = _sgbm(settings) if sgbm else _bm(settings)
    rows = 0 if sgbm else engine.getBlockSize()  # BM leaves a margin above and below too
    if not sgbm:
        left, right = grey(left), grey(right)
    progress(0.0, desc="matching")
    one = _run(engine, left, right, settings, rows)
    progress(0.5, desc="matching from the right")
    turned = [np.ascontiguousarray(p[:, ::-1]) for p in (right, left)]
    other = _run(engine, turned[0], turned[1], settings, rows)[:, ::-1]
    return BothSides(one, other, (note,) if note else ())


def _run(
    engine: Any, one: np.ndarray, two: np.ndarray, settings: StereoSettings, rows: int
) -> np.ndarray:
    import cv2

    columns = max(abs(settings.min_disparity_px), settings.max_disparity_px) + 16
    wide = (
        cv2.copyMakeBorder(p, rows, rows, columns, columns, cv2.BORDER_REPLICATE)
        for p in (one, two)
    )
    whole = engine.compute(*wide)[rows : rows + len(one), columns:-columns]
    disparity = whole.astype(np.float32) / 16
    first, last = settings.min_disparity_px, settings.max_disparity_px - 0.5
    return np.where((disparity < first) | (disparity > last), np.nan, disparity)


def _count(settings: StereoSettings) -> int:
    """How many disparities: OpenCV wants a multiple of 16."""
    return -(-(settings.max_disparity_px - settings.min_disparity_px) // 16) * 16


def _bm(settings: StereoSettings) -> tuple[Any, str]:
    import cv2

    side = max(settings.window_px, LEAST_WINDOW)
    engine = cv2.StereoBM.create(_count(settings), side)
    engine.setMinDisparity(settings.min_disparity_px)
    engine.setUniquenessRatio(settings.uniqueness)
    return engine, _other_window(side, settings)


def _sgbm(settings: StereoSettings) -> tuple[Any, str]:
    import cv2

    modes = {
        "sgbm": cv2.STEREO_SGBM_MODE_SGBM,
        "hh": cv2.STEREO_SGBM_MODE_HH,
        "3way": cv2.STEREO_SGBM_MODE_SGBM_3WAY,
        "hh4": cv2.STEREO_SGBM_MODE_HH4,
    }
    side = min(settings.window_px, LARGEST_WINDOW)
    area = 3 * side**2  # in 3 channels; OpenCV's own advice is 8 and 32 times this
    small = min(round(8 * area * settings.small_step), 15_999)
    engine = cv2.StereoSGBM.create(
        minDisparity=settings.min_disparity_px,
        numDisparities=_count(settings),
        blockSize=side,
        P1=small,
        P2=min(max(round(32 * area * settings.big_step), small + 1), 16_000),
        disp12MaxDiff=-1,  # the check is ours: OpenCV doesn't tell what failed it
        uniquenessRatio=settings.uniqueness,
        mode=modes[settings.mode],
    )
    return engine, _other_window(side, settings)


def _other_window(side: int, settings: StereoSettings) -> str:
    if side == settings.window_px:
        return ""
    return f"OpenCV's method can't use a window of {settings.window_px} px here; {side} px it was."
