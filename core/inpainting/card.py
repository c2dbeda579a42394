"""The shipped filler's folder: weights as float16 safetensors, and its card.

`python -m core.inpainting.card` writes assets/models/tiny-fill from what the recipe made, measures
what it wrote on pictures that were never trained on, and says so in the card.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np

from core.images import load
from core.inpainting import levels
from core.inpainting.learned import SKIP, WEIGHTS, WIDTHS, answers, opened
from core.inpainting.masks import strokes
from core.inpainting.train import FOLDER, PLAN, SAMPLES
from core.inpainting.world import CROPS, HELD_OUT, KINDS, picture
from core.metrics import psnr
from core.training import Plan

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "assets" / "models" / "tiny-fill"
PICTURES = 50  # of each kind are measured
PHOTO_PX = 512


def write(made: Path, out: Path = SHIPPED, plan: Plan = PLAN) -> dict[str, Any]:
    """The folder of the model, from the checkpoint in `made`; gives how training went."""
    import torch
    from safetensors.torch import save_file

    held = torch.load(made / "fill.pt", map_location="cpu", weights_only=True)
    net = levels.net(WIDTHS, SKIP)
    net.load_state_dict(held["nets"]["fill"])
    out.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in net.half().state_dict().items()}, out / WEIGHTS)
    told = held["losses"]
    history = {
        "steps": held["steps"], "batch": plan.batch, "rate": plan.rate,
        "hours": round(held["seconds"] / 3600, 2), "device": held["device"],
        "losses": [round(float(np.mean(told[k : k + 4])), 4) for k in range(0, len(told), 4)],
    }  # fmt: skip
    (out / "training.json").write_text(json.dumps(history, indent=1), encoding="utf-8")
    return history


def measured(
    folder: Path = SHIPPED, count: int = PICTURES, photos: Path | None = None
) -> dict[str, dict[str, float]]:
    """Mean PSNR in the hole in dB, by kind of picture and by method; of photos, if a folder is given,
    the middle at 512²."""
    import cv2

    numbers = range(HELD_OUT, HELD_OUT + count)
    holes = {kind: [(picture(n, kind), n) for n in numbers] for kind in KINDS}
    if photos is not None:
        paths = [p for p in sorted(photos.iterdir()) if not p.stem.endswith("_mask")]
        holes["photo"] = [(_middle(load(path)), seed) for path in paths for seed in range(3)]
    net, found = opened(folder), {}
    for kind, held in holes.items():
        rows = []
        for truth, seed in held:
            mask = strokes(truth.shape[0], truth.shape[1], seed)
            membrane, ours = answers(net, truth, mask)
            telea = cv2.inpaint(truth, mask.astype(np.uint8), 3, cv2.INPAINT_TELEA)
            rows.append([psnr(made[mask], truth[mask]) for made in (telea, membrane, ours)])
        found[kind] = dict(zip(("telea", "membrane", "tiny-fill"), np.mean(rows, 0), strict=True))
    return found


def _middle(photo: np.ndarray) -> np.ndarray:
    import cv2

    side = min(photo.shape[:2])
    top, left = ((length - side) // 2 for length in photo.shape[:2])
    square = photo[top : top + side, left : left + side]
    return cv2.resize(square, (PHOTO_PX, PHOTO_PX), interpolation=cv2.INTER_AREA)


def card(found: dict[str, dict[str, float]], learned: dict[str, Any]) -> str:
    """The model card, in Markdown."""
    names = {
        "leaves": "dead leaves", "scene": "rendered scenes", "painted": "painted surfaces",
        "photo": "photographs",
    }  # fmt: skip
    rows = "".join(
        f"| {names[kind]} | {row['telea']:.2f} | {row['membrane']:.2f} | {row['tiny-fill']:.2f} |\n"
        for kind, row in found.items()
    )
    return f"""# tiny-fill

A net that fills holes in pictures: it is given a picture whose hole a membrane has filled, and adds
what the membrane lacks. `core.inpainting.levels.net` is its shape, `core.inpainting.learned` runs it.

It was trained on {SAMPLES:,} holes in {SAMPLES // CROPS:,} pictures that this project drew or rendered
(`core/inpainting/world.py`: shapes that cover each other, rendered scenes, painted surfaces) and on no
photograph. It gives the mean of what could be there: wide holes come out soft. Its licence is that of
the project.

## Measured

PSNR in the hole in dB, 8 to 17 % of each picture hidden under strokes: {PICTURES} pictures of each drawn
or rendered kind, 256², with numbers that were never trained on; photographs at {PHOTO_PX}², three holes each.

| | Telea | membrane | tiny-fill |
|---|---|---|---|
{rows}
## Made

`python -m core.inpainting.train`, then `python -m core.inpainting.card --photos FOLDER`. Seeds are the
numbers of the steps and samples. {learned["steps"]:,} steps of {learned["batch"]} holes, highest rate
{learned["rate"]:g}, {learned["hours"]:.1f} h on {learned["device"]} ({platform.machine()}); loss
{learned["losses"][0]:.4f} → {learned["losses"][-1]:.4f} (`training.json`).
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Write and measure the shipped filler.")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="what the recipe made")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--photos", type=Path, help="photographs to measure it on, too")
    given = parser.parse_args()
    learned = write(given.folder.expanduser(), given.out)
    found = measured(given.out, photos=given.photos)
    (given.out / "measured.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    (given.out / "README.md").write_text(card(found, learned), encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
