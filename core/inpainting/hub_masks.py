"""Masks that need a network: a click, or words.

Segment Anything (Kirillov et al. 2023) cuts out what a point lies on. CLIPSeg (Lüddecke and Ecker
2022) marks what words name. Neither is needed: a mask can be drawn, or found by colour.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from core import runtime
from core.images import as_rgb
from core.models import SAFE, ModelSpec, pool
from core.types import InputError, Progress, silent

MODELS: dict[str, ModelSpec] = {
    "sam": ModelSpec(
        key="sam",
        title="Segment Anything, ViT-B",
        source="facebook/sam-vit-base",
        revision="70c1a07f894ebb5b307fd9eaaee97b9dfc16068f",
        licence="Apache-2.0",
        download_mb=375,
        memory_gb=3.0,
        needs=("torch", "transformers"),
        note="Cuts out what a click lies on; it has no names for things.",
    ),
    "clipseg": ModelSpec(
        key="clipseg",
        title="CLIPSeg",
        source="CIDAS/clipseg-rd64-refined",
        revision="999e0328d9e10b484360c477313983f9afdd7050",
        licence="Apache-2.0",
        download_mb=605,
        memory_gb=2.0,
        needs=("torch", "transformers"),
        note="Marks what words name, at 352×352: soft edges, nothing thin.",
    ),
}

INSTEAD = "Brush, lasso, colour range and GrabCut work without it"


def click(image: np.ndarray, x: float, y: float, progress: Progress = silent) -> np.ndarray:
    """(H, W) bool: what the point x, y px of a picture (H, W, 3) uint8 lies on.

    Of the part, the thing and the group that Segment Anything offers, the one that it is surest of.
    Raises InputError for a point outside or on nothing, Unavailable if the model isn't here.
    """
    import torch
    from PIL import Image

    image = as_rgb(image)
    height, width = image.shape[:2]
    if not (0 <= x <= width and 0 <= y <= height):
        raise InputError(f"The point {x:g}, {y:g} lies outside the picture. Click in it.")
    processor, model = pool().get(MODELS["sam"], _build_sam, progress, instead=INSTEAD)
    given = processor(Image.fromarray(image), input_points=[[[[x, y]]]], return_tensors="pt")
    sizes = given.pop("original_sizes"), given.pop("reshaped_input_sizes")
    with torch.inference_mode():
        seen = model(**given.to(runtime.device()))
    (masks,) = processor.post_process_masks(seen.pred_masks.float().cpu(), *sizes)
    mask = masks[0, int(seen.iou_scores[0, 0].argmax())].numpy()
    if not mask.any():
        raise InputError("There is nothing to cut out at this point. Click elsewhere, or paint.")
    return mask


def by_words(
    image: np.ndarray, words: str, threshold: float = 0.5, progress: Progress = silent
) -> np.ndarray:
    """(H, W) bool: where CLIPSeg is surer than threshold (0 to 1) that a picture (H, W, 3) uint8
    shows these words. Raises InputError for no words or words it finds nowhere, Unavailable if the
    model isn't here."""
    import torch
    from PIL import Image

    image = as_rgb(image)
    if not words.strip():
        raise InputError("There are no words to look for. Write what is to go, such as “a dog”.")
    progress_to = runtime.stage(progress, 0.0, 0.9)
    look, read, model = pool().get(MODELS["clipseg"], _build_clipseg, progress_to, instead=INSTEAD)
    pixels = look([Image.fromarray(image)], return_tensors="pt")["pixel_values"]
    said = read([words.strip()], truncation=True, return_tensors="pt")
    place = runtime.device()
    with torch.inference_mode():
        seen = model(pixel_values=pixels.to(place), **said.to(place)).logits.float()
        seen = seen.reshape(1, 1, *seen.shape[-2:])
        sure = torch.nn.functional.interpolate(
            seen.sigmoid(), image.shape[:2], mode="bilinear", align_corners=False
        )
    mask = (sure[0, 0] > threshold).cpu().numpy()
    if not mask.any():
        raise InputError(f"CLIPSeg finds no “{words.strip()}” here. Try other words, or paint.")
    return mask


def _build_sam(folder: Path) -> tuple[Any, Any]:
    from transformers import SamModel, SamProcessor

    return SamProcessor(_look(folder)), _built(SamModel, folder)


def _build_clipseg(folder: Path) -> tuple[Any, Any, Any]:
    from transformers import CLIPSegForImageSegmentation, CLIPTokenizer

    read = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    return _look(folder), read, _built(CLIPSegForImageSegmentation, folder)


def _look(folder: Path) -> Any:
    from transformers import AutoImageProcessor

    # backend="pil": the other backend needs torchvision
    return AutoImageProcessor.from_pretrained(
        folder, backend="pil", trust_remote_code=False, local_files_only=True
    )


def _built(kind: Any, folder: Path) -> Any:
    return kind.from_pretrained(folder, **SAFE).to(runtime.device()).eval()
