"""Matchers that learned what to look for, run through pretrained networks.

Three ways to match without hand-made descriptors:

EfficientLoFTR (Wang et al., CVPR 2024) detects nothing. Each 8×8 px cell of one picture looks at
    every cell of the other through attention; a cell pair that prefers each other is a match,
    then refined to a pixel and below. It matches walls where a detector finds no corner.
LightGlue (Lindenberger et al., ICCV 2023) gets SuperPoint's keypoints and lets them argue: rounds
    of attention within and between the pictures, until each point has its partner or none.
DINOv2 (Oquab et al., 2023) never learned to match. Its features of 14×14 px patches say what
    a patch shows, so that the ear of one dog finds the ear of another: meaning, not position.

The networks see both pictures at one small size. A point's place there is carried back to
the full picture by `to_full`, exact to the half pixel.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from core import runtime
from core.matching.loftr import coarse_pairs, fine_offsets
from core.matching.types import Candidates, Features, MatchSettings
from core.models import SAFE, ModelSpec, pool
from core.types import Progress, silent

# ETH-CVG/lightglue_disk is left out: its DISK detector needs remote code and kornia.
MODELS: dict[str, ModelSpec] = {
    "efficientloftr": ModelSpec(
        key="efficientloftr",
        title="EfficientLoFTR",
        source="zju-community/efficientloftr",
        revision="face1a79050ffa3e9da28720d1cf93aaf2e8f421",
        licence="Apache-2.0",
        download_mb=64,
        memory_gb=2.0,
        needs=("torch", "transformers"),
        note="Not made for pictures turned by more than about 45°: use Rotate and retry.",
    ),
    "lightglue-superpoint": ModelSpec(
        key="lightglue-superpoint",
        title="LightGlue + SuperPoint",
        source="ETH-CVG/lightglue_superpoint",
        revision="main",  # a branch: no commit of this repository could be verified offline
        licence="non-commercial (SuperPoint weights)",
        download_mb=55,
        memory_gb=1.5,
        needs=("torch", "transformers"),
        note="Not for commercial use: SuperPoint's weights are for research only.",
    ),
    "dinov2": ModelSpec(
        key="dinov2",
        title="DINOv2 small",
        source="facebook/dinov2-small",
        revision="ed25f3a31f01632728cabb09d1542f84ab7b0056",
        licence="Apache-2.0",
        download_mb=88,
        memory_gb=1.0,
        needs=("torch", "transformers"),
        note="Matches meaning, to a patch of 14 px: too coarse for measuring geometry.",
    ),
}

INSTEAD = "SIFT works without it"
DINO_SIDE_PX = 518  # the side DINOv2 was trained at in its last phase: 37 patches of 14 px

Found = tuple[Features, Features, Candidates]


def learned_match(
    image0: np.ndarray,
    image1: np.ndarray,
    settings: MatchSettings,
    progress: Progress = silent,
) -> tuple[Features, Features, Candidates, dict[str, float], str]:
    """Match two pictures (RGB uint8) by the pretrained model `settings.method` names.

    Returns both pictures' features, the candidates with distance 1 - confidence (DINOv2:
    1 - cosine), seconds per stage, and the model's id. Raises Unavailable if the model isn't here.
    """
    spec = MODELS[settings.method]
    build, find = _METHODS[settings.method]
    began = time.perf_counter()
    progress(0.0, desc=f"loading {spec.title}")
    loading = runtime.stage(progress, 0.0, 0.5)
    processor, model = pool().get(spec, build, loading, instead=INSTEAD)
    loaded = time.perf_counter()
    progress(0.5, desc=f"matching with {spec.title}")

    import torch

    with torch.inference_mode():
        found = find(image0, image1, settings, processor, model)
    progress(1.0, desc="matched")
    seconds = {"load": loaded - began, "match": time.perf_counter() - loaded}
    return *found, seconds, spec.id


# ---------------------------------------------------------------- sizes and places


def working_size(
    size0: tuple[int, int], size1: tuple[int, int], area_px: float, multiple: int, max_side_px: int
) -> tuple[int, int]:
    """One (width, height) for both pictures: the given area, the mean of their aspect ratios.

    The matchers' own default stretches every picture to 640×480, which squeezes portraits; the
    same number of pixels in the right shape costs nothing. Both sides are multiples of `multiple`.
    """
    aspect = np.sqrt(size0[0] / size0[1] * size1[0] / size1[1])
    aspect = float(np.clip(aspect, 0.25, 4.0))
    width, height = np.sqrt(area_px * aspect), np.sqrt(area_px / aspect)
    shrink = min(1.0, max_side_px / max(width, height))
    sides = [max(1, round(side * shrink / multiple)) * multiple for side in (width, height)]
    return sides[0], sides[1]


def to_full(xy: Any, work: tuple[int, int], full: tuple[int, int]) -> np.ndarray:
    """Places (N, 2) in the network's picture as float32 px in the full one.

    The networks count from the centre of the first pixel, we from its corner: half a pixel of
    *their* picture is added before scaling. work and full are (width, height).
    """
    xy = np.asarray(xy, np.float64).reshape(-1, 2)
    return ((xy + 0.5) * (np.array(full) / np.array(work))).astype(np.float32)


def _size(image: np.ndarray) -> tuple[int, int]:
    return image.shape[1], image.shape[0]


def _features(
    xy: np.ndarray, side_px: float, work: tuple[int, int], full: tuple[int, int],
    response: np.ndarray, descriptors: np.ndarray | None = None,
) -> Features:  # fmt: skip
    """Features whose size is the cell or patch of `side_px` that they speak for."""
    n, scale = len(xy), np.sqrt(full[0] * full[1] / (work[0] * work[1]))
    size_px = np.full(n, side_px * scale, np.float32)
    angle_deg = np.full(n, np.nan, np.float32)  # no method here tells one
    return Features(xy, size_px, angle_deg, response.astype(np.float32), descriptors)


def _confident(pairs: np.ndarray, confidence: np.ndarray) -> Candidates:
    """Candidates from a network that gives each pair a confidence and no runner-up."""
    n = len(pairs)
    unknown = np.full(n, np.nan, np.float32)
    return Candidates(
        pairs=pairs.astype(np.int32),
        distance=(1 - confidence).astype(np.float32),
        second_distance=unknown,
        second=np.full(n, -1, np.int32),
        mutual=np.ones(n, bool),
        back_ratio=unknown.copy(),
    )


def _processor(folder: Path) -> Any:
    from transformers import AutoImageProcessor

    # backend="pil": the other backend needs torchvision, and this one is the reference
    return AutoImageProcessor.from_pretrained(
        folder, backend="pil", trust_remote_code=False, local_files_only=True
    )


def _pixels(processor: Any, images: list[np.ndarray], size: tuple[int, int], **more: Any) -> Any:
    """The network's input on its device, resized by the model's own processor."""
    from PIL import Image

    size_hw = {"height": size[1], "width": size[0]}
    pictures = [Image.fromarray(image) for image in images]
    inputs = processor(pictures, size=size_hw, return_tensors="pt", **more)
    return inputs["pixel_values"].to(runtime.device())


def _build_matcher(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForKeypointMatching

    model = AutoModelForKeypointMatching.from_pretrained(folder, **SAFE)
    return _processor(folder), model.to(runtime.device()).eval()


def _build_backbone(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder, **SAFE)
    return _processor(folder), model.to(runtime.device()).eval()


# ---------------------------------------------------------------- EfficientLoFTR


def _efficientloftr(
    image0: np.ndarray, image1: np.ndarray, settings: MatchSettings, processor: Any, model: Any
) -> Found:
    config = model.config
    area = processor.size["height"] * processor.size["width"]
    work = working_size(_size(image0), _size(image1), area, 32, settings.max_side_px)
    pixels = _pixels(processor, [image0, image1], work)  # (1, 2, 3, H, W)

    coarse, *residual = model.efficientloftr(pixels).feature_maps  # (1, 2, C, H/8, W/8), ...
    _, _, channels, rows, columns = coarse.shape
    flat = coarse[0].flatten(2).transpose(1, 2)  # (2, cells, C)
    cells0, cells1, confidence = coarse_pairs(
        flat[0], flat[1], (rows, columns), config.coarse_matching_temperature,
        config.coarse_matching_threshold, config.coarse_matching_border_removal,
    )  # fmt: skip
    strongest = confidence.argsort(descending=True, stable=True)[: settings.max_keypoints]
    cells0, cells1, confidence = cells0[strongest], cells1[strongest], confidence[strongest]

    windows0, windows1 = model.refinement_layer(coarse / channels**0.5, residual)
    offset0, offset1 = fine_offsets(
        windows0[0, cells0], windows1[0, cells1],
        config.fine_matching_slice_dim, config.fine_matching_regress_temperature,
    )  # fmt: skip
    cell_px = work[0] / columns
    confidence = confidence.cpu().numpy()
    found = []
    for image, cells, offset in ((image0, cells0, offset0), (image1, cells1, offset1)):
        corner = np.stack([cells.cpu() % columns, cells.cpu() // columns], 1) * cell_px
        xy = to_full(corner + offset.cpu().numpy(), work, _size(image))
        found.append(_features(xy, cell_px, work, _size(image), confidence))
    index = np.arange(len(confidence))
    return found[0], found[1], _confident(np.stack([index, index], 1), confidence)


# ---------------------------------------------------------------- LightGlue


def _lightglue(
    image0: np.ndarray, image1: np.ndarray, settings: MatchSettings, processor: Any, model: Any
) -> Found:
    area = processor.size["height"] * processor.size["width"]
    work = working_size(_size(image0), _size(image1), area, 8, settings.max_side_px)
    pixels = _pixels(processor, [image0, image1], work)  # (1, 2, 3, H, W)
    detector = model.keypoint_detector
    detector.keypoint_decoder.max_keypoints = settings.max_keypoints
    detections: list[Any] = []
    hook = detector.register_forward_hook(lambda *call: detections.append(call[-1]))
    try:
        output = model(pixels)
    finally:
        hook.remove()
    # SuperPoint's own scores and descriptors don't come out of LightGlue: the hook saw them pass.
    detected = detections[0]
    found = []
    for i, image in enumerate((image0, image1)):
        real = detected.mask[i].bool()  # the shorter list is padded to the longer
        xy = detected.keypoints[i][real].cpu().numpy() * np.array(work)
        score = detected.scores[i][real].cpu().numpy()
        descriptors = detected.descriptors[i][real].cpu().numpy()
        xy = to_full(xy, work, _size(image))
        found.append(_features(xy, 8.0, work, _size(image), score, descriptors))
    # Not `post_process_keypoint_matching`: it rounds down to whole pixels of the full picture.
    n0, n1 = len(found[0]), len(found[1])
    partner = output.matches.reshape(2, -1)[0, :n0].cpu().numpy()
    confidence = output.matching_scores.reshape(2, -1)[0, :n0].cpu().numpy()
    matched = (partner >= 0) & (partner < n1) & np.isfinite(confidence)
    pairs = np.stack([np.nonzero(matched)[0], partner[matched]], 1)
    return found[0], found[1], _confident(pairs, confidence[matched])


# ---------------------------------------------------------------- DINOv2


def _dinov2(
    image0: np.ndarray, image1: np.ndarray, settings: MatchSettings, processor: Any, model: Any
) -> Found:
    patch = int(model.config.patch_size)
    grids, features, vectors = [], [], []
    for image in (image0, image1):
        full = _size(image)
        side = min(DINO_SIDE_PX, settings.max_side_px)
        work = working_size(full, full, side**2 * min(full) / max(full), patch, side)
        pixels = _pixels(processor, [image], work, do_center_crop=False)
        tokens = model(pixels).last_hidden_state[0, 1:]  # (patches, C); the first is the picture's
        vector = tokens / tokens.norm(dim=1, keepdim=True)
        columns, rows = work[0] // patch, work[1] // patch
        grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2)
        xy = to_full((grid + 0.5) * patch - 0.5, work, full)
        strength = tokens.norm(dim=1).cpu().numpy()
        descriptors = vector.cpu().numpy()
        features.append(_features(xy, patch, work, full, strength, descriptors))
        grids.append(grid)
        vectors.append(vector)
    cosine = (vectors[0] @ vectors[1].T).cpu().numpy()
    return features[0], features[1], nearest_patches(cosine, grids[0], grids[1])


def nearest_patches(cosine: np.ndarray, grid0: np.ndarray, grid1: np.ndarray) -> Candidates:
    """Each patch's nearest in the other picture, by the cosine (N, M) of their features.

    grid0 (N, 2) and grid1 (M, 2) are the patches' column and row. Neighbouring patches see nearly
    the same thing, so the runner-up is the best patch that does not touch the best one.
    """
    best1, second1, distance, second_distance = _two_best(cosine, grid1)
    best0, _, back, back_second = _two_best(cosine.T, grid0)
    index = np.arange(len(grid0))
    with np.errstate(divide="ignore", invalid="ignore"):
        back_ratio = np.where(back_second > 0, back / back_second, np.nan)
    return Candidates(
        pairs=np.stack([index, best1], 1).astype(np.int32),
        distance=distance,
        second_distance=second_distance,
        second=second1,
        mutual=best0[best1] == index,
        back_ratio=back_ratio[best1].astype(np.float32),
    )


def _two_best(cosine: np.ndarray, grid: np.ndarray) -> tuple[np.ndarray, ...]:
    """Per row: number of the best column and of the best not touching it, and both distances."""
    best = cosine.argmax(1)
    touching = np.abs(grid[best][:, None] - grid[None]).max(2) <= 1  # (N, M)
    rest = np.where(touching, -np.inf, cosine)
    second = rest.argmax(1)
    index = np.arange(len(cosine))
    runner_up = rest[index, second]
    alone = np.isinf(runner_up)
    distance = np.maximum(1 - cosine[index, best], 0).astype(np.float32)
    second_distance = np.where(alone, np.nan, np.maximum(1 - runner_up, 0)).astype(np.float32)
    return best, np.where(alone, -1, second).astype(np.int32), distance, second_distance


_METHODS: dict[str, tuple[Callable[[Path], Any], Callable[..., Found]]] = {
    "efficientloftr": (_build_matcher, _efficientloftr),
    "lightglue-superpoint": (_build_matcher, _lightglue),
    "dinov2": (_build_backbone, _dinov2),
}
