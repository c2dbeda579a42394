"""What tiny-fill learns from: holes in pictures that were drawn or rendered here, and no photo.

A sample is a square of a picture: what is there (`truth`), what is hidden, and the hidden part filled
by a membrane. Pictures with numbers from HELD_OUT on are never trained on.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np

from core.inpainting import levels, masks
from core.inpainting.leaves import leaves
from core.scenes import painted, random_scene, render, start_camera

PICTURE_PX, SIDE_PX = 256, 128
CROPS = 8  # samples of one picture
HELD_OUT = 10_000_000
LEAST, MOST = 0.05, 0.4  # hidden share of a sample
KINDS = ("leaves", "scene", "painted")
SHARES = (0.6, 0.2, 0.2)
PAINTED = ("brick_house", "plaster_house", "ground", "window_wall", "kiosk", "poster")


@lru_cache(maxsize=1)
def picture(number: int, kind: str = "") -> np.ndarray:
    """(256, 256, 3) uint8: the picture of this number, of one of KINDS; without it by chance."""
    rng = np.random.default_rng((number, 41))
    kind = kind or str(rng.choice(KINDS, p=SHARES))
    if kind == "leaves":
        return leaves(rng, PICTURE_PX)
    if kind == "scene":
        made = random_scene(number)
        return render(made, start_camera(made, PICTURE_PX, PICTURE_PX)).rgb
    draw: Any = painted.KINDS[str(rng.choice(PAINTED))]
    return _part(draw(rng), rng)


def _part(surface: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A square of a painted surface, turned a little, at some scale, in other colours."""
    import cv2

    height, width = surface.shape[:2]
    scale = rng.uniform(0.4, 1.0) * min(height, width) / PICTURE_PX / 1.3
    around = rng.uniform(0.4, 0.6, 2) * (width, height)
    turn = cv2.getRotationMatrix2D((0, 0), rng.normal(0, 8), scale)
    turn[:, 2] = around - turn[:, :2] @ (PICTURE_PX / 2, PICTURE_PX / 2)
    made = cv2.warpAffine(
        surface, turn, (PICTURE_PX, PICTURE_PX), flags=cv2.INTER_AREA | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )  # fmt: skip
    made = 128 + (made[..., rng.permutation(3)] - 128.0) * rng.uniform(0.5, 1.1)
    return np.clip(made + rng.normal(0, 15, 3), 0, 255).astype(np.uint8)


def hole(rng: np.random.Generator) -> np.ndarray:
    """(SIDE_PX, SIDE_PX) bool: a part of the strokes in a picture of 256² or 512²."""
    while True:
        side = int(rng.choice((256, 512)))
        drawn = masks.strokes(side, side, int(rng.integers(2**31)))
        y, x = rng.integers(0, side - SIDE_PX, 2)
        part = drawn[y : y + SIDE_PX, x : x + SIDE_PX]
        if LEAST < part.mean() < MOST:
            return part


def samples(seeds: Iterable[int]) -> dict[str, np.ndarray]:
    """truth and filled (N, SIDE_PX, SIDE_PX, 3) uint8 and hidden (N, SIDE_PX, SIDE_PX) bool."""
    found: dict[str, list[np.ndarray]] = {"truth": [], "filled": [], "hidden": []}
    for seed in seeds:
        rng = np.random.default_rng((seed, 43))
        y, x = rng.integers(0, PICTURE_PX - SIDE_PX, 2)
        truth = picture(seed // CROPS)[y : y + SIDE_PX, x : x + SIDE_PX]
        hidden = hole(rng)
        made = levels.filled(truth.astype(np.float32), hidden)
        found["truth"].append(truth)
        found["filled"].append(made.round().clip(0, 255).astype(np.uint8))
        found["hidden"].append(hidden)
    return {name: np.stack(arrays) for name, arrays in found.items()}
