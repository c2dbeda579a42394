"""A small net that has seen many holes fills another: tiny-fill.

A membrane fills the hole, and the net adds what a membrane lacks, as in `deep_prior`. But here it was
trained beforehand, on holes in pictures that were drawn or rendered by this project (`world`, `leaves`):

    min over θ of  E over pictures x and holes m of  √ mean over m of (filled + f_θ(filled, m) − x)²

So it goes on with edges, lines and gratings, where a membrane levels them. It gives one answer, the
mean of all that could be there: what can't be told from the surroundings stays a blur.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from core import runtime
from core.inpainting import levels
from core.inpainting.membrane import bounded
from core.inpainting.types import InpaintSettings, InpaintStep
from core.models import ModelSpec, pool
from core.runtime import stage
from core.types import Progress, silent

WIDTHS, SKIP = (24, 48, 64, 96, 96), 24  # channels of the levels, and of the connections across
WEIGHTS = "model.safetensors"
INSTEAD = "The patch method works without it"

MODELS = {
    "tiny-fill": ModelSpec(
        key="tiny-fill",
        title="tiny-fill",
        source="assets/models/tiny-fill",  # from this repository's root
        revision="",
        licence="of this project",
        download_mb=2,
        memory_gb=0.5,
        needs=("torch", "safetensors"),
        note="Trained here on drawn and rendered pictures alone. Wide holes come out soft.",
    )
}


def fill(
    image: np.ndarray,
    mask: np.ndarray,
    settings: InpaintSettings = InpaintSettings(method="learned"),
    progress: Progress = silent,
) -> Iterator[InpaintStep]:
    """Fill mask (H, W) bool of image (H, W, 3) uint8 in the two steps of `answers`. Raises
    Unavailable if the weights aren't here, InputError for a hole too wide for a membrane."""
    began = time.perf_counter()
    bounded(mask)
    progress(0.0, desc="loading tiny-fill")
    net = pool().get(MODELS["tiny-fill"], opened, stage(progress, 0.0, 0.2), instead=INSTEAD)
    progress(0.2, desc="a membrane")
    for k, picture in enumerate(answers(net, image, mask), 1):
        yield InpaintStep(k, 2, time.perf_counter() - began, picture)
        progress(0.2 + 0.4 * k, desc="adding what it lacks" if k == 1 else "filled")


def answers(net: Any, image: np.ndarray, mask: np.ndarray) -> Iterator[np.ndarray]:
    """image (H, W, 3) uint8 with a membrane in its mask (H, W) bool; then with what the net adds to
    that, the mean of its answers to the picture and to its mirrors."""
    import torch

    skin = levels.filled(image.astype(np.float32) / 255, mask)
    rgb, hidden = levels.padded(skin, len(WIDTHS)), levels.padded(mask, len(WIDTHS), 1.0)
    yield levels.to_bytes(rgb, image.shape)
    with torch.inference_mode():
        seen = levels.seen(rgb, hidden).to(next(net.parameters()).device)
        mirrors = [net(seen.flip(axes)).flip(axes) for axes in ((), (3,), (2,), (2, 3))]
        made = rgb + torch.stack(mirrors).mean(0).cpu() * hidden
    yield levels.to_bytes(made, image.shape)


def opened(folder: Path) -> Any:
    """The net whose weights lie in the folder."""
    from safetensors.torch import load_file

    net = levels.net(WIDTHS, SKIP)
    net.load_state_dict(load_file(folder / WEIGHTS))
    return net.eval().to(runtime.device())
