"""The same splats drawn otherwise: fewer waves, fewer splats, smaller ones, no sorting, other files.

Each answer is a picture from one viewpoint and what it costs. Where the scene is known exactly it is
scored against that; elsewhere against the whole picture, since a file brings no truth with it.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.metrics import psnr
from core.splats.cleaning import importance
from core.splats.loading import load, save
from core.splats.render import render
from core.splats.run import COVERED, Viewed
from core.splats.types import COEFFICIENTS, RenderSettings, Splats
from core.types import Compared, InputError, Progress, silent

METHODS = {
    "whole": "As it is",
    "degree0": "One colour each",
    "degree1": "Colour degree 1",
    "tenth": "The most important tenth",
    "small": "Size × 0.3",
    "unsorted": "Not sorted",
    "ply": "Through .ply",
    "compressed.ply": "Through compressed .ply",
    "splat": "Through .splat",
    "spz": "Through .spz",
}
FILES = ("ply", "compressed.ply", "splat", "spz")
COMPARE_HELP = {
    "psnr": (
        "PSNR where covered",
        "Where the splats as they are stop half the light: against the exact picture, or theirs.",
        "dB",
    ),
    "loss": ("PSNR to the whole", "How far it is from the splats as they are.", "dB"),
    "splats": ("Splats", "How many are drawn.", ""),
    "bytes": ("Bytes a splat", "In that file; in a 3DGS .ply for the others.", "B"),
}


@dataclass(frozen=True)
class Drawn:
    """One way of drawing: the splats, how, and bytes of each in a file."""

    splats: Splats
    settings: RenderSettings
    bytes_each: float


def compare(
    found: Viewed, methods: Sequence[str], settings: RenderSettings = RenderSettings(),
    *, progress: Progress = silent,
) -> Iterator[Compared]:  # fmt: skip
    """Each method's picture and scores, as COMPARE_HELP names them. InputError for unknown ones."""
    whole, began = found.view, time.perf_counter()
    target = whole.rgb if found.truth is None else found.truth
    covered = whole.opacity >= COVERED  # the same for all, or who draws less is asked less
    for k, method in enumerate(methods):
        if method not in METHODS:
            raise InputError(
                f"There is no way {method!r} to draw. Choose from: {', '.join(METHODS)}."
            )
        progress(k / len(methods), desc=METHODS[method])
        drawn = _drawn(method, found.opened.splats, settings)
        shown = render(drawn.splats, found.camera, drawn.settings)
        scores = {
            "psnr": psnr(shown.rgb[covered], target[covered]) if covered.any() else math.nan,
            "loss": psnr(shown.rgb, whole.rgb),
            "splats": float(len(drawn.splats)),
            "bytes": drawn.bytes_each,
        }
        seconds = time.perf_counter() - began
        yield Compared(k + 1, len(methods), seconds, METHODS[method], shown.rgb, scores)


def _drawn(method: str, splats: Splats, settings: RenderSettings) -> Drawn:
    each = 4.0 * (14 + 3 * splats.sh.shape[1])  # x y z, three normals, opacity, scales, quaternion
    if method in FILES:
        with tempfile.TemporaryDirectory() as folder:
            path = save(Path(folder) / f"file.{method}", splats)
            back = load(path)
            assert isinstance(back, Splats)
            return Drawn(back, settings, path.stat().st_size / len(splats))
    if method == "tenth":
        best = np.argsort(-importance(splats), kind="stable")[: -(-len(splats) // 10)]
        return Drawn(splats.some(np.sort(best)), settings, each)
    changed: dict[str, dict] = {
        "degree0": {"sh_degree": 0},
        "degree1": {"sh_degree": 1},
        "small": {"scale": max(0.3 * settings.scale, 0.01)},
        "unsorted": {"sort": False},
    }
    made = replace(settings, **changed.get(method, {}))
    kept = min(made.sh_degree, splats.degree)
    return Drawn(splats, made, each - 12.0 * (splats.sh.shape[1] - COEFFICIENTS[kept]))
