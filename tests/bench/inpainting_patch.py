"""How well holes are patched: `python -m tests.bench.inpainting_patch [FOLDER] [--save FOLDER]`.

Each photo, 512² from its middle, with 8 to 17 % of its pixels hidden under random strokes. Then
what stands under the photo's own `_mask` file is removed. Beside OpenCV's Telea: PSNR in the hole;
gradient energy there, divided by the truth's; steps across the hole's edge, divided by those beside
it. The last is 1 where no seam shows.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

from core.images import load
from core.inpainting import masks
from core.inpainting.patch import PatchSettings, fill
from core.inpainting.scoring import energy, seam
from core.metrics import psnr

PHOTOS = Path(__file__).parents[3] / "shared/data/photos"
SIDE_PX = 512
SECONDS, ENERGY, SEAM = 3.0, (0.8, 1.2), 1.3


def strokes(side_px: int, seed: int) -> np.ndarray:
    """(side, side) bool: curved strokes that hide 8 to 17 % of a square."""
    return masks.strokes(side_px, side_px, seed)


def photographs(folder: Path) -> list[Path]:
    """The photos in a folder, without the masks beside them."""
    named = sorted(p for p in folder.iterdir() if p.suffix in (".png", ".jpg", ".JPG"))
    return [p for p in named if not p.stem.endswith("_mask")]


def square(photo: np.ndarray, side_px: int) -> np.ndarray:
    import cv2

    side = min(photo.shape[:2])
    top, left = ((length - side) // 2 for length in photo.shape[:2])
    photo = photo[top : top + side, left : left + side]
    if side == side_px:
        return photo
    return cv2.resize(photo, (side_px, side_px), interpolation=cv2.INTER_AREA)


def main() -> None:
    import cv2
    from PIL import Image

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photos", nargs="?", type=Path, default=PHOTOS)
    parser.add_argument("--save", type=Path, help="a folder for the filled pictures")
    parser.add_argument("--seeds", type=int, default=1, help="strokes for each photo")
    parser.add_argument("--patch", type=int, default=PatchSettings().patch_px)
    given = parser.parse_args()
    settings = PatchSettings(patch_px=given.patch)
    small = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    list(fill(small, strokes(64, 0)))  # imports are not what is timed
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    if given.save:
        given.save.mkdir(parents=True, exist_ok=True)
    for path in photographs(given.photos):
        photo = square(load(path), SIDE_PX)
        for seed in range(given.seeds):
            mask = strokes(SIDE_PX, seed)
            began, cpu = time.perf_counter(), time.process_time()
            *_, last = fill(photo, mask, settings)
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
            telea = cv2.inpaint(photo, mask.astype(np.uint8), 3, cv2.INPAINT_TELEA)
            ratio, edge = energy(last.image, mask) / energy(photo, mask), seam(last.image, mask)
            met = seconds <= SECONDS and ENERGY[0] <= ratio <= ENERGY[1] and edge <= SEAM
            print(
                f"{'met   ' if met else 'MISSED'}  {path.stem[:14]:14} {mask.mean():.1%} hidden: "
                f"{seconds:.2f} s ({cpu:.2f} CPU s); gradient energy {ratio:.2f} "
                f"(Telea {energy(telea, mask) / energy(photo, mask):.2f}); seam {edge:.2f} "
                f"(truth {seam(photo, mask):.2f}, Telea {seam(telea, mask):.2f}); "
                f"PSNR {psnr(last.image[mask], photo[mask]):.2f} dB "
                f"(Telea {psnr(telea[mask], photo[mask]):.2f})",
                flush=True,
            )
            if given.save:
                Image.fromarray(last.image).save(given.save / f"{path.stem}_strokes{seed}.png")
        own = path.with_name(path.stem + "_mask.png")
        if own.exists():
            mask = square(load(own), SIDE_PX)[..., 0] > 127
            began = time.perf_counter()
            *_, last = fill(photo, mask, settings)
            print(
                f"        {path.stem[:14]:14} object, {mask.mean():.1%}: "
                f"{time.perf_counter() - began:.2f} s, seam {seam(last.image, mask):.2f}"
            )
            if given.save:
                Image.fromarray(last.image).save(given.save / f"{path.stem}_removed.png")


if __name__ == "__main__":
    main()
