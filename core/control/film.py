"""The steps of a result as pictures: decoded from the kept latents when somebody looks."""

from __future__ import annotations

import numpy as np

from core.control.painting import decoded
from core.control.types import ControlResult, Film
from core.diffusion import load

OVER = 0.35  # how strongly the map shows through

Strip = tuple[str, list[tuple[int, np.ndarray]]]


def film(result: ControlResult, frames: int = 10) -> list[Strip]:
    """Of the first picture: rows of (title, [(step, (H, W, 3) uint8)]): x₀ over the map, x₀ with
    control, x₀ without; at most so many frames, evenly spread, the last step among them."""
    pipeline = load(result.settings.source, tuple(hint.kind for hint in result.hints))
    map = result.hints[0].map

    def strip(of: Film) -> list[tuple[int, np.ndarray]]:
        count = len(of.x0)
        chosen = np.unique(np.linspace(0, count - 1, min(frames, count)).round().astype(int))
        pictures = decoded(pipeline, of.x0[chosen, 0].astype(np.float32))
        return [(int(k) + 1, picture) for k, picture in zip(chosen, pictures, strict=True)]

    own = strip(result.film)
    over = [(k, _over(picture, map)) for k, picture in own]
    rows: list[Strip] = [("Over the map", over), ("With control", own)]
    if result.baseline_film is not None:
        rows.append(("Without", strip(result.baseline_film)))
    return rows


def _over(picture: np.ndarray, map: np.ndarray) -> np.ndarray:
    return ((1 - OVER) * picture + OVER * map).round().astype(np.uint8)
