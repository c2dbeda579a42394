"""Control maps that need a network: what each pixel shows, and how people stand.

UPerNet (Xiao et al. 2018) on ConvNeXt (Liu et al. 2022) names each pixel with one of the 150
classes of ADE20K. ViTPose (Xu et al. 2022) finds 17 joints in a box around a person; the boxes come
from RT-DETR (Zhao et al. 2024), and where that isn't there, the whole picture is one box. Nothing
here is needed: a rendered scene knows its segments exactly, and a map can be drawn by hand.
"""

from __future__ import annotations

import colorsys
from pathlib import Path
from typing import Any

import numpy as np

from core import runtime
from core.models import SAFE, ModelSpec, pool
from core.scenes.control import segmentation
from core.stereo.mono import working_size
from core.types import Progress, Unavailable, silent

MODELS: dict[str, ModelSpec] = {
    "upernet": ModelSpec(
        key="upernet",
        title="UPerNet on ConvNeXt tiny",
        source="openmmlab/upernet-convnext-tiny",
        revision="876ffc56b819a829448f7e81e9f8606deef6fb65",
        licence="MIT",
        download_mb=241,
        memory_gb=2.0,
        needs=("torch", "transformers"),
        note="The 150 classes of ADE20K, rooms and streets; anything else becomes one of them.",
    ),
    "vitpose": ModelSpec(
        key="vitpose",
        title="ViTPose base",
        source="usyd-community/vitpose-base-simple",
        revision="main",  # a branch: the commit of its newest weights could not be verified offline
        licence="Apache-2.0",
        download_mb=344,
        memory_gb=1.5,
        needs=("torch", "transformers", "scipy"),
        note="People only, 17 joints each: no hands and no faces.",
    ),
    "rt-detr": ModelSpec(
        key="rt-detr",
        title="RT-DETR",
        source="PekingU/rtdetr_r50vd_coco_o365",
        revision="main",  # a branch: the commit of its newest version could not be verified offline
        licence="Apache-2.0",
        download_mb=172,
        memory_gb=1.5,
        needs=("torch", "transformers"),
        note="Finds the people that ViTPose looks at.",
    ),
}

INSTEAD = "Edges, depth from the Stereo tab, rendered scenes and maps of your own work without it"
SIDE_PX, MULTIPLE = 512, 32  # the shorter side UPerNet was trained at; what ConvNeXt divides by
SURE = 0.3  # below this confidence a joint or a person isn't drawn
PERSON = 0  # COCO's first class

# OpenPose's 18 joints as places in COCO's 17; the second, the neck, is between the shoulders
JOINTS = (0, -1, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12),
    (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip


def classes(image: np.ndarray, progress: Progress = silent) -> tuple[np.ndarray, dict[int, str]]:
    """What each pixel of a picture (H, W, 3) uint8 shows: (H, W) int32, and the classes' names.

    Raises Unavailable if UPerNet isn't here.
    """
    import torch
    from PIL import Image

    processor, model = pool().get(MODELS["upernet"], _build_segmenter, progress, instead=INSTEAD)
    height, width = image.shape[:2]
    across, down = working_size(width, height, SIDE_PX, MULTIPLE)
    size = {"height": down, "width": across}
    pixels = processor([Image.fromarray(image)], size=size, return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        scores = model(pixels.to(runtime.device())).logits  # (1, classes, down, across)
        scores = torch.nn.functional.interpolate(
            scores.float(), (height, width), mode="bilinear", align_corners=False
        )
    found = scores[0].argmax(0).to(torch.int32).cpu().numpy()
    return found, {int(k): str(name) for k, name in model.config.id2label.items()}


def segments(image: np.ndarray, progress: Progress = silent) -> tuple[np.ndarray, str]:
    """A picture's segmentation map (H, W, 3) uint8 in colours of our own, and a sentence."""
    found, names = classes(image, progress)
    present, count = np.unique(found, return_counts=True)
    largest = present[np.argsort(-count, kind="stable")]
    place = np.zeros(found.max() + 1, np.int32)
    place[largest] = np.arange(1, len(largest) + 1)  # the largest classes get the clearest colours
    seen = ", ".join(names.get(int(k), str(k)) for k in largest[:6])
    note = f"UPerNet sees: {seen}. The colours are ours, not the palette of ADE20K."
    return segmentation(place[found]), note


def pose(image: np.ndarray, progress: Progress = silent) -> tuple[np.ndarray, str]:
    """People of a picture as stick figures (H, W, 3) uint8 on black, and a sentence.

    Raises Unavailable if ViTPose isn't here.
    """
    part = runtime.stage(progress, 0.0, 0.5)
    processor, model = pool().get(MODELS["vitpose"], _build_pose, part, instead=INSTEAD)
    try:
        boxes = people(image, runtime.stage(progress, 0.5, 1.0))
        note = f"ViTPose in {len(boxes)} box(es) that RT-DETR found."
        if not len(boxes):
            note = "RT-DETR found nobody in this picture."
    except Unavailable:
        boxes = np.array([[0, 0, image.shape[1], image.shape[0]]], np.float32)
        note = "No person detector is here: the whole picture was taken for one person."
    joints = _joints(image, boxes, processor, model)
    return sticks(joints, image.shape[0], image.shape[1]), note


def people(image: np.ndarray, progress: Progress = silent) -> np.ndarray:
    """(N, 4) float32: boxes x, y, width, height around the people RT-DETR sees. Raises
    Unavailable."""
    import torch
    from PIL import Image

    spec = MODELS["rt-detr"]
    processor, model = pool().get(spec, _build_detector, progress, instead=INSTEAD)
    pixels = processor([Image.fromarray(image)], return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        output = model(pixels.to(runtime.device()))
    (found,) = processor.post_process_object_detection(
        output, threshold=SURE, target_sizes=[image.shape[:2]]
    )
    corners = found["boxes"][found["labels"] == PERSON].float().cpu().numpy().reshape(-1, 4)
    return np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]])


def _joints(image: np.ndarray, boxes: np.ndarray, processor: Any, model: Any) -> np.ndarray:
    """(N, 18, 2) float32 px: OpenPose's joints of each person, NaN where not seen."""
    import torch
    from PIL import Image

    if not len(boxes):
        return np.zeros((0, len(JOINTS), 2), np.float32)
    around = [boxes.tolist()]
    pixels = processor([Image.fromarray(image)], boxes=around, return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        output = model(pixels.to(runtime.device()))
    found = processor.post_process_pose_estimation(output, boxes=around)[0]
    coco = np.stack([np.asarray(person["keypoints"], np.float32) for person in found])
    sure = np.stack([np.asarray(person["scores"], np.float32) for person in found])
    coco[sure < SURE] = np.nan
    joints = coco[:, JOINTS]
    joints[:, 1] = (coco[:, 5] + coco[:, 6]) / 2
    return joints


def sticks(joints: np.ndarray, height: int, width: int) -> np.ndarray:
    """Joints (N, 18, 2) px as stick figures (height, width, 3) uint8: limbs at 60 % brightness,
    joints at full, hues 20° apart in OpenPose's order. A limb with an unseen end isn't drawn."""
    import cv2

    drawn = np.zeros((height, width, 3), np.uint8)
    thick = max(1, round(max(height, width) / 512 * 4))
    hues = [colorsys.hsv_to_rgb(k / len(JOINTS), 1, 1) for k in range(len(JOINTS))]
    for person in joints:
        seen = np.isfinite(person).all(1)
        at = np.floor(np.where(seen[:, None], person, 0)).astype(int).tolist()
        for (a, b), hue in zip(LIMBS, hues, strict=False):
            if seen[a] and seen[b]:
                cv2.line(drawn, at[a], at[b], [153 * c for c in hue], 2 * thick, cv2.LINE_AA)
        for k, hue in enumerate(hues):
            if seen[k]:
                cv2.circle(drawn, at[k], thick, [255 * c for c in hue], -1, cv2.LINE_AA)
    return drawn


def _build_segmenter(folder: Path) -> tuple[Any, Any]:
    from transformers import UperNetForSemanticSegmentation

    return _built(folder, UperNetForSemanticSegmentation)


def _build_pose(folder: Path) -> tuple[Any, Any]:
    from transformers import VitPoseForPoseEstimation

    return _built(folder, VitPoseForPoseEstimation)


def _build_detector(folder: Path) -> tuple[Any, Any]:
    from transformers import RTDetrForObjectDetection

    return _built(folder, RTDetrForObjectDetection)


def _built(folder: Path, kind: Any) -> tuple[Any, Any]:
    from transformers import AutoImageProcessor

    # backend="pil": the other backend needs torchvision
    processor = AutoImageProcessor.from_pretrained(
        folder, backend="pil", trust_remote_code=False, local_files_only=True
    )
    return processor, kind.from_pretrained(folder, **SAFE).to(runtime.device()).eval()
