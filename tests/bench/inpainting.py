"""A photo of 12 megapixels: `python -m tests.bench.inpainting`.

Each method, in a process of its own, fills two holes far apart in a picture of 4000×3000 px. Asked
are the same answer as on the part around a hole alone, no change outside, and under 2 GB at the
most, with Python and all packages.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

import numpy as np

from core.inpainting import InpaintSettings, inpaint
from core.inpainting.windows import box, pieces, window

WIDTH, HEIGHT = 4000, 3000
MOST_GB = 2.0


def photo() -> np.ndarray:
    """A rough texture with a slope of light, made a strip at a time to need little memory."""
    import cv2

    rng = np.random.default_rng(0)
    picture = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    slope = np.linspace(-50, 50, WIDTH)[None, :, None]
    for top in range(0, HEIGHT, 500):
        rough = cv2.GaussianBlur(rng.normal(128, 90, (500, WIDTH, 3)), (0, 0), 1.2)
        picture[top : top + 500] = np.clip(rough + slope, 0, 255)
    return picture


def one(method: str) -> None:
    image, mask = photo(), np.zeros((HEIGHT, WIDTH), bool)
    mask[1400:1700, 2900:3300] = True
    mask[120:180, 200:260] = True
    began = time.perf_counter()
    result = inpaint(image, mask, InpaintSettings(method=method))
    seconds = time.perf_counter() - began
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # before the crops
    same = True
    for piece in pieces(mask):
        part = window(box(piece), piece.shape)
        alone = inpaint(image[part], mask[part], InpaintSettings(method=method)).image
        same &= bool((alone == result.image[part]).all())
    met = same and result.changed_outside == 0 and peak_gb < MOST_GB
    print(
        f"{'met   ' if met else 'MISSED'}  {method:14} {mask.sum():,} px of 12 MP: {seconds:.1f} s; "
        f"{peak_gb:.2f} GB at the most; {'same' if same else 'ANOTHER answer'} on the crop; "
        f"{result.changed_outside} px changed outside; {len(result.steps)} steps kept",
        flush=True,
    )


def main() -> None:
    if len(sys.argv) > 1:
        one(sys.argv[1])
        return
    for method in ("telea", "navier-stokes", "biharmonic", "patch", "learned"):
        subprocess.run([sys.executable, "-m", "tests.bench.inpainting", method], check=True)


if __name__ == "__main__":
    main()
