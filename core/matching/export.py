"""Matches as files: arrays (.npz), tables (.csv), JSON, and text that COLMAP imports."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

from core.matching.inspect import DECISIONS, decisions
from core.matching.types import Features, MatchResult


def arrays(result: MatchResult) -> dict[str, np.ndarray]:
    """The result's arrays by name; `model` is NaN where there is none."""
    model = np.full((3, 3), np.nan) if result.model is None else result.model
    return {
        "keypoints0": result.keypoints0,
        "keypoints1": result.keypoints1,
        "matches": result.matches,
        "scores": result.scores,
        "inliers": result.inliers,
        "model": model,
    }


def write(result: MatchResult, folder: Path) -> list[Path]:
    """Write every data file into `folder`; returns their paths.

    matching.npz, matches.csv, matching.json, image0.png.txt and image1.png.txt (keypoints for
    COLMAP's feature_importer), matches.txt (for its matches_importer, --match_type raw).
    """
    npz = folder / "matching.npz"
    np.savez_compressed(npz, allow_pickle=False, **arrays(result))
    table = _write_csv(result, folder / "matches.csv")
    summary = folder / "matching.json"
    summary.write_text(json.dumps(_summary(result), indent=1) + "\n")
    texts = [
        _write_colmap_keypoints(result.features0, folder / "image0.png.txt"),
        _write_colmap_keypoints(result.features1, folder / "image1.png.txt"),
    ]
    pairs = folder / "matches.txt"
    lines = ["image0.png image1.png", *(f"{i} {j}" for i, j in result.matches)]
    pairs.write_text("\n".join(lines) + "\n\n")
    return [npz, table, summary, *texts, pairs]


def _write_csv(result: MatchResult, path: Path) -> Path:
    c, state = result.candidates, decisions(result)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["x0", "y0", "x1", "y1", "distance", "second_distance", "decision"])
        for n, (i, j) in enumerate(c.pairs):
            xy = (*result.keypoints0[i], *result.keypoints1[j])
            numbers = (*xy, c.distance[n], c.second_distance[n])
            writer.writerow([*(f"{v:.6g}" for v in numbers), DECISIONS[state[n]]])
    return path


def _summary(result: MatchResult) -> dict:
    return {
        "counts": {
            "keypoints0": len(result.keypoints0),
            "keypoints1": len(result.keypoints1),
            "candidates": len(result.candidates.pairs),
            "matches": len(result.matches),
            "inliers": int(result.inliers.sum()),
        },
        "geometry": result.geometry.geometry,
        "model": None if result.model is None else result.model.tolist(),
        "R": None if result.R is None else result.R.tolist(),
        "t": None if result.t is None else result.t.tolist(),
        "seconds": dict(result.seconds),
        "notes": list(result.notes),
        "recipe": json.loads(result.recipe.to_json()),
    }


def _write_colmap_keypoints(features: Features, path: Path) -> Path:
    """`N 128`, then x y scale orientation and 128 bytes a line.

    COLMAP's pixel convention is ours. Its importer wants 128 numbers: SIFT's own are written as
    bytes (times 512, as is usual); other descriptors as zeros, since the matches come along.
    """
    n = len(features)
    rows = np.zeros((n, 128), int)
    d = features.descriptors
    if d is not None and d.shape[1:] == (128,) and d.dtype.kind == "f":
        unit = d / np.maximum(np.linalg.norm(d, axis=1, keepdims=True), 1e-12)
        rows = np.clip(np.rint(unit * 512), 0, 255).astype(int)
    turn = np.deg2rad(np.nan_to_num(features.angle_deg))
    with path.open("w") as file:
        file.write(f"{n} 128\n")
        for xy, size, angle, row in zip(features.xy, features.size_px, turn, rows, strict=True):
            head = f"{xy[0]:.4f} {xy[1]:.4f} {size / 2:.4f} {angle:.6f} "
            file.write(head + " ".join(map(str, row)) + "\n")
    return path
