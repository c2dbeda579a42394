"""A measured pair as files that other programs open."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from core.figures import write_png
from core.stereo.cloud import point_cloud, step_for, write_glb, write_ply
from core.stereo.dots import anaglyph, autostereogram
from core.stereo.geometry import depth
from core.stereo.rigfile import write_rig
from core.stereo.truth import write_pfm, write_png16
from core.stereo.types import Pair, StereoResult
from core.types import InputError, Rig

WHAT = {
    "disparity.png": "16 bits, px × 256, 0 unknown, as KITTI has it",
    "disparity.npy": "float32 px, NaN unknown",
    "disparity.pfm": "float32 px, inf unknown",
    "matched.npy": "float32 px before anything was filled, NaN where nothing was found",
    "confidence.npy": "float32, 0 to 1",
    "confidence.png": "8 bits, confidence × 255",
    "occluded.png": "8 bits, 255 where the left–right check failed",
    "anaglyph.png": "for red–cyan glasses, red on the left eye",
    "autostereogram.png": "the disparities as one picture of dots",
    "cloud.ply": "metres; x right, y down, z ahead of the left camera",
    "cloud.glb": "metres; x right, y up, z backwards",
    "rig.json": "the rig of the rectified pair; the centre of the first pixel is at 0.5",
}
DEPTH = "float32 along the viewing direction, in {}, NaN unknown"


def write(result: StereoResult, pair: Pair, folder: Path) -> list[Path]:
    """Write every data file into `folder`; returns their paths.

    stereo.json says what each holds. Depth, cloud and rig only come where the pair has a rig,
    the cloud only where something has a depth.
    """
    d = result.disparity
    paths = [write_png16(d, folder / "disparity.png"), write_pfm(d, folder / "disparity.pfm")]
    arrays = {"disparity": d, "matched": result.matched, "confidence": result.confidence}
    if pair.rig is not None:
        arrays[f"depth_{pair.rig.unit}"] = depth(d, pair.rig)
    for name, array in arrays.items():
        paths.append(folder / f"{name}.npy")
        np.save(paths[-1], array, allow_pickle=False)
    sure = np.clip(np.nan_to_num(result.confidence), 0, 1)
    pictures = {
        "confidence": np.rint(255 * sure).astype(np.uint8),
        "occluded": result.occluded.astype(np.uint8) * 255,
        "anaglyph": anaglyph(pair.left, pair.right, shift_px=middle_px(d)),
        "autostereogram": autostereogram(d),
    }
    paths += [write_png(picture, folder / f"{name}.png") for name, picture in pictures.items()]
    if pair.rig is not None:
        paths += [
            write_rig(pair.rig, folder / "rig.json"),
            *_clouds(result, pair, pair.rig, folder),
        ]
    paths.append(folder / "stereo.json")
    paths[-1].write_text(
        json.dumps(_summary(result, pair, paths[:-1]), indent=1) + "\n", encoding="utf-8"
    )
    return paths


def middle_px(disparity: np.ndarray) -> int:
    """The typical disparity in whole px, at most a quarter of the width."""
    known = disparity[np.isfinite(disparity)]
    quarter = disparity.shape[1] // 4
    return int(np.clip(np.rint(np.median(known)), -quarter, quarter)) if known.size else 0


def _clouds(result: StereoResult, pair: Pair, rig: Rig, folder: Path) -> list[Path]:
    try:
        cloud = point_cloud(result, rig, pair.left)
        small = point_cloud(result, rig, pair.left, step=step_for(result.disparity.shape))
    except InputError:  # nothing has a depth; the other files are no worse for it
        return []
    return [write_ply(cloud, folder / "cloud.ply"), write_glb(small, folder / "cloud.glb")]


def _summary(result: StereoResult, pair: Pair, paths: list[Path]) -> dict:
    height, width = result.disparity.shape
    known = np.isfinite(result.disparity)
    unit = None if pair.rig is None else pair.rig.unit
    return {
        "title": pair.title,
        "size_px": [width, height],
        "density": float(known.mean()),
        "matched": float(np.isfinite(result.matched).mean()),
        "unit": unit,
        "seconds": result.seconds,
        "stages": dict(result.stages),
        "notes": list(result.notes),
        "files": {path.name: WHAT.get(path.name, DEPTH.format(unit)) for path in paths},
        "recipe": json.loads(result.recipe.to_json()),
    }
