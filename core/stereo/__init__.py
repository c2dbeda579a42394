"""Stereo depth: two views, one baseline, and how far every pixel is.

A point at depth z stands f·b/z pixels further left in the right picture than in the left one:
that shift, the disparity, is found for each pixel by comparing small neighbourhoods along a row,
and depth follows by division. What the right camera can't see has no partner; a good method says
so, and fills it from the background.

    result = disparity(left, right, StereoSettings(method="refined", max_disparity_px=64))
    depth(result.disparity, rig)
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from core.images import as_rgb, digest
from core.recipe import Recipe
from core.runtime import stage
from core.stereo.board import Board
from core.stereo.calibrate import calibrate
from core.stereo.cloud import point_cloud
from core.stereo.geometry import depth, triangulate
from core.stereo.methods import Found, find
from core.stereo.mono import MODELS
from core.stereo.pairs import check_sizes
from core.stereo.preflight import preflight
from core.stereo.rectify import rectify
from core.stereo.relative import align
from core.stereo.truth import score
from core.stereo.types import Calibration, Pair, StereoResult, StereoSettings, Truth
from core.types import InputError, Progress, Rig, silent

__all__ = [
    "MODELS", "Board", "Calibration", "Pair", "Rig", "StereoResult", "StereoSettings", "Truth",
    "calibrate", "depth", "disparity", "point_cloud", "preflight", "rectify", "score",
    "triangulate",
]  # fmt: skip

PROGRAM = """import numpy as np

from core.images import load
from core.stereo import StereoSettings, disparity

result = disparity(load("left.png"), load("right.png"), {StereoSettings})
print(f"{np.isfinite(result.disparity).mean():.1%} of the pixels have a disparity")
np.savez("stereo.npz", disparity=result.disparity, confidence=result.confidence)
"""


def disparity(
    left: Any,
    right: Any,
    settings: StereoSettings = StereoSettings(),
    *,
    progress: Progress = silent,
) -> StereoResult:
    """The disparity of every pixel of the left picture of a rectified pair.

    left, right: anything `core.images.as_rgb` takes, of one size. Raises InputError for pictures
    that differ in size or are too large for the search and for a window without a middle,
    Unavailable for a pretrained model that isn't here.
    """
    left, right = as_rgb(left, "The left picture"), as_rgb(right, "The right picture")
    check_sizes(left, right)
    if settings.method in ("block", "sgbm") and settings.window_px % 2 == 0:
        raise InputError(
            f"A window of {settings.window_px} px has no middle pixel. Choose an odd width."
        )
    inputs = {"left": digest(left), "right": digest(right)}
    notes, model = [], ""
    if inputs["left"] == inputs["right"]:
        notes.append("Both pictures are the same, so nothing is shifted. Give the other view.")
    width = left.shape[1]
    if settings.max_disparity_px >= width:
        notes.append(
            f"The search goes to {settings.max_disparity_px} px in a picture {width} px wide. "
            "Lower the largest disparity."
        )
    start = time.perf_counter()
    if settings.method == "mono":
        found, model, said = _aligned(left, right, settings, progress)
        notes.append(said)
    else:
        found = find(left, right, settings, progress)
    return StereoResult(
        disparity=found.disparity,
        confidence=found.confidence,
        seconds=time.perf_counter() - start,
        matched=found.matched,
        occluded=found.occluded,
        settings=settings,
        recipe=Recipe("stereo", PROGRAM, (settings,), inputs, model),
        stages=found.stages,
        notes=(*notes, *found.notes),
    )


def _aligned(
    left: np.ndarray, right: np.ndarray, settings: StereoSettings, progress: Progress
) -> tuple[Found, str, str]:
    """Depth from the left picture alone, given scale and shift by the refined method: what was
    found, the model's id, and a sentence about the fit."""
    from core.stereo.mono import mono  # not above: a name of this package can't be a module's too

    alone = mono(left, progress=stage(progress, 0.0, 0.5))
    guide = find(left, right, replace(settings, method="refined"), stage(progress, 0.5, 1.0))
    fitted = align(alone.inverse_depth, guide.disparity, ~guide.occluded)
    found = replace(
        guide,
        disparity=fitted.disparity,
        matched=fitted.disparity,
        occluded=np.zeros_like(guide.occluded),
        confidence=fitted.used.astype(np.float32),
        stages={"one picture": alone.seconds, **guide.stages},
    )
    said = (
        f"Seen in the left picture alone, then fitted to stereo: disparity = {fitted.scale:.3g} · "
        f"inverse depth + {fitted.shift:.3g} px."
    )
    return found, alone.recipe.model, said
