"""LaMa: a hole filled in one look, by a net that sees the whole picture from its first layer on.

Suvorov et al. 2022, "Resolution-robust large mask inpainting with Fourier convolutions": half of
each layer works on the picture's spectrum, where every number depends on every pixel. So repeated
patterns go on through wide holes. It is a regression: of several possible fillings it paints one
mean, which blurs in very wide holes.

The weights are an ONNX file of a fixed size; OpenCV runs it, without any other package.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from core.inpainting.repaint import Frame
from core.inpainting.types import InpaintSettings, InpaintStep
from core.models import ModelSpec, pool
from core.runtime import stage
from core.types import Progress, Unavailable, silent

SIDE_PX = 512  # the file's only size
INSTEAD = "The patch method works without it"

MODELS = {
    "lama": ModelSpec(
        key="lama",
        title="LaMa",
        source="Carve/LaMa-ONNX",
        revision="main",  # a branch: the commit could not be verified offline
        licence="Apache-2.0",
        download_mb=208,
        memory_gb=1.0,
        needs=("cv2",),
        note="512 px; no words. Very wide holes come out smooth.",
        files=("lama_fp32.onnx",),
    )
}


def fill(
    image: np.ndarray,
    mask: np.ndarray,
    settings: InpaintSettings = InpaintSettings(method="lama"),
    progress: Progress = silent,
) -> Iterator[InpaintStep]:
    """Fill mask (H, W) bool of image (H, W, 3) uint8, in one step. Works on the part around the
    hole, in 512×512 px. Raises Unavailable if the weights aren't here or can't be read."""
    began = time.perf_counter()
    progress(0.0, desc="loading LaMa")
    net = pool().get(MODELS["lama"], _opened, stage(progress, 0.0, 0.5), instead=INSTEAD)
    progress(0.5, desc="filling")
    part = Frame.around(mask, SIDE_PX, SIDE_PX).part
    frame = Frame(part, SIDE_PX, SIDE_PX)
    hole = frame.cut(mask).astype(np.float32)
    seen = frame.cut(image, mask).astype(np.float32) / 255
    net.setInput(np.ascontiguousarray(seen.transpose(2, 0, 1))[None], "image")
    net.setInput(hole[None, None], "mask")
    made = net.forward()[0].transpose(1, 2, 0)  # (512, 512, 3) in 0 to 255
    filled = np.clip(np.rint(made), 0, 255).astype(np.uint8)
    progress(1.0, desc="filled")
    yield InpaintStep(1, 1, time.perf_counter() - began, frame.put(image, filled))


def _opened(folder: Path) -> Any:
    import cv2

    file = next(folder.rglob("*.onnx"))
    try:
        return cv2.dnn.readNetFromONNX(str(file))
    except cv2.error as error:
        raise Unavailable(
            f"{file} can't be read as ONNX: it may be cut or damaged. Fetch it again. {INSTEAD}."
        ) from error
