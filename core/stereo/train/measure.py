"""How good the learned cost is, on pairs that no training saw, beside the hand-made ones.

Single pixels first (the cheapest disparity wins, nobody asks the neighbours: the cost alone), then
the whole way with paths, check and filling. Real pairs are measured where the folder with them
lies beside the project; they are no part of it and of no training.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.stereo import cost, learned, methods, refine
from core.stereo.train import textures, world
from core.stereo.train.world import Sample
from core.stereo.types import StereoSettings

if TYPE_CHECKING:
    from torch import Tensor

REAL = Path(__file__).parents[4] / "shared" / "data" / "stereo"
HELD_OUT = 40  # rendered scenes 0 to 39 are for measuring, the rest for training
SEED = 90_000  # far from the seeds that training takes


def made(count: int, size: tuple[int, int] = (400, 300)) -> list[Sample]:
    """Made-up pairs of seeds and textures that training doesn't use."""
    rng = np.random.default_rng((SEED, 1))
    grounds = [textures.texture(rng) for _ in range(100)]
    return [world.pair((SEED, k), grounds, size, 60.0) for k in range(count)]


def rendered(count: int) -> list[Sample]:
    """Rendered scenes that training doesn't use, through imperfect cameras."""
    pairs = []
    for seed in range(min(count, HELD_OUT)):
        whole = world.rendered(seed)
        seen = world.cameras(
            whole.left.astype(np.float32), whole.right.astype(np.float32),
            np.random.default_rng((SEED, seed)),
        )  # fmt: skip
        left, right = (world.as_bytes(picture) for picture in seen)
        pairs.append(Sample(left, right, whole.disparity, whole.visible))
    return pairs


def bad(found: np.ndarray, truth: np.ndarray, limit_px: float, where: np.ndarray | None = None):
    """Share in % of pixels with truth that are off by more, or unknown."""
    known = np.isfinite(truth) if where is None else where & np.isfinite(truth)
    with np.errstate(invalid="ignore"):
        return 100 * float((~(np.abs(found - truth) <= limit_px))[known].mean())


def alone(pairs: list[Sample], weights: Mapping[str, Tensor]) -> dict[str, float]:
    """Mean bad-1 in % of visible pixels, each pixel for itself, of census, refined and learned."""
    settings = StereoSettings(max_disparity_px=64)
    sums: dict[str, float] = {}
    for pair in pairs:
        volumes = {
            kind: cost.volume(pair.left, pair.right, settings, kind)
            for kind in ("census", "refined")
        }
        volumes["learned"] = learned.volume_by(weights, pair.left, pair.right, settings)
        for name, volume in volumes.items():
            found, _ = refine.winner(volume, 0)
            off = bad(found, pair.disparity, 1.0, pair.visible)
            sums[name] = sums.get(name, 0.0) + off / len(pairs)
    return sums


def whole(pairs: list[Sample], weights: Mapping[str, Tensor]) -> dict[str, float]:
    """Mean bad-2 in % of all pixels with truth, of the methods from pair to disparity, and the
    mean seconds of the learned one."""
    settings = StereoSettings(max_disparity_px=64)
    sums: dict[str, float] = {}
    for pair in pairs:
        answers = {
            name: methods.find(
                pair.left, pair.right, StereoSettings(name, max_disparity_px=64)
            ).disparity
            for name in ("sgbm", "refined")
        }
        began = time.perf_counter()
        volume = learned.volume_by(weights, pair.left, pair.right, settings)
        answers["learned"] = methods.solve(volume, pair.left, settings).disparity
        took = time.perf_counter() - began
        values = {name: bad(found, pair.disparity, 2.0) for name, found in answers.items()}
        for name, value in (values | {"seconds": took}).items():
            sums[name] = sums.get(name, 0.0) + value / len(pairs)
    return sums


def real() -> dict[str, Sample]:
    """The real pairs by name, empty where their folder isn't there."""
    from core.images import load

    pairs = {}
    for folder in sorted(REAL.iterdir()) if REAL.is_dir() else []:
        truth = folder / "disp_left.npy"
        if truth.is_file():
            left, right = (load(folder / f"{side}.png") for side in ("left", "right"))
            disparity = np.load(truth)
            pairs[folder.name] = Sample(left, right, disparity, np.isfinite(disparity))
    return pairs
