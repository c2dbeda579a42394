"""Depth from one picture, by a network that learned what far things look like.

Depth Anything V2 (Yang et al., 2024) is a DINOv2 backbone and a head that says for each pixel how
near it is. A larger network taught it, on photographs, what that one had learned from rendered
scenes. Which of two things is nearer it often knows where stereo is blind: on a bare wall, beside
an edge, in a single old photograph. How far either is it can't know: the answer is inverse depth
up to a scale and a shift. core.stereo.relative fits these two to stereo, and compares.

    made = mono(left)
    aligned = align(made.inverse_depth, result.disparity, ~result.occluded)
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core import runtime
from core.images import as_rgb, digest
from core.models import SAFE, ModelSpec, pool
from core.recipe import Recipe
from core.types import InputError, Progress, silent

MODELS: dict[str, ModelSpec] = {
    "depth-anything": ModelSpec(
        key="depth-anything",
        title="Depth Anything V2 small",
        source="depth-anything/Depth-Anything-V2-Small-hf",
        revision="5426e4f0f36572d16453bbda7a8389317b1bef99",
        licence="Apache-2.0",
        download_mb=99,
        memory_gb=1.5,
        needs=("torch", "transformers"),
        note="One picture: near and far, but no metres until stereo gives scale and shift.",
    ),
}

INSTEAD = "Stereo, and the rule that lower is nearer, work without it"
LONGEST = 3  # times the shorter side that a picture is given; beyond, memory grows too fast


@dataclass(frozen=True)
class MonoResult:
    """inverse_depth (H, W) float32 of the picture's own size, larger is nearer, in no unit: only
    up to scale and shift. seconds from picture to map, without loading the model."""

    inverse_depth: np.ndarray
    seconds: float
    recipe: Recipe


def mono(
    image: np.ndarray, *, key: str = "depth-anything", progress: Progress = silent
) -> MonoResult:
    """Inverse depth of one picture (H, W, 3) uint8 by the pretrained model MODELS[key].

    The picture is seen with its shorter side at the length the model was trained for (518 px) and
    its own proportions; the map is brought back to the picture's pixels.
    Raises InputError for a picture that can't be used, Unavailable if the model isn't here.
    Depth Anything V2: Yang et al., NeurIPS 2024.
    """
    if key not in MODELS:
        raise InputError(f"There is no model {key!r}. Choose one of: {', '.join(MODELS)}.")
    image, spec = as_rgb(image), MODELS[key]
    progress(0.0, desc=f"loading {spec.title}")
    processor, model = pool().get(spec, _build, runtime.stage(progress, 0.0, 0.5), instead=INSTEAD)
    progress(0.5, desc=f"looking with {spec.title}")
    began = time.perf_counter()
    found = _look(image, processor, model)
    seconds = time.perf_counter() - began
    progress(1.0, desc="seen")
    program = (
        "import numpy as np\n\n"
        "from core.images import load\n"
        "from core.stereo.mono import mono\n\n"
        f'result = mono(load("image.png"), key="{key}")\n'
        'np.save("inverse_depth.npy", result.inverse_depth)'
    )
    recipe = Recipe("stereo", program, (), {"image": digest(image)}, spec.id)
    return MonoResult(found, seconds, recipe)


def working_size(width: int, height: int, side_px: int, multiple: int) -> tuple[int, int]:
    """(width, height) that the network sees: the shorter side is side_px, the longer in proportion
    but at most LONGEST times that; both whole multiples of `multiple`, its patch."""
    scale = min(side_px / min(width, height), LONGEST * side_px / max(width, height))
    across, down = (max(1, round(side * scale / multiple)) * multiple for side in (width, height))
    return across, down


def _build(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation

    # backend="pil": the other backend needs torchvision
    processor = AutoImageProcessor.from_pretrained(
        folder, backend="pil", trust_remote_code=False, local_files_only=True
    )
    model = AutoModelForDepthEstimation.from_pretrained(folder, **SAFE)
    return processor, model.to(runtime.device()).eval()


def _look(image: np.ndarray, processor: Any, model: Any) -> np.ndarray:
    import torch
    from PIL import Image

    height, width = image.shape[:2]
    side, patch = processor.size["height"], int(model.config.patch_size)
    across, down = working_size(width, height, side, patch)
    # The size is ours: the processor's own rule gives a long thin picture no height at all.
    inputs = processor(
        [Image.fromarray(image)], size={"height": down, "width": across},
        keep_aspect_ratio=False, return_tensors="pt",
    )  # fmt: skip
    with torch.inference_mode():
        seen = model(inputs["pixel_values"].to(runtime.device())).predicted_depth[None].float()
        full = torch.nn.functional.interpolate(
            seen, (height, width), mode="bilinear", align_corners=False, antialias=True
        )
    return full[0, 0].cpu().numpy()
