"""How fast a deep image prior fills holes: `python -m tests.bench.inpainting_prior [FOLDER]`.

Each photo at 256² with 8 to 17 % hidden under random strokes. Printed is the PSNR in the hole of
OpenCV's Telea and of the prior after 30 s and 150 s. Asked for, in the mean: Telea's within 30 s, and
0.7 dB over it within 150 s, on 2 cores. --cpu counts one thread's processor time instead, two seconds
of it for each: for a machine that has other work.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from core.images import load
from core.inpainting.deep_prior import fit
from core.inpainting.types import InpaintSettings
from core.metrics import psnr
from tests.bench.inpainting_patch import PHOTOS, photographs, square, strokes

SIDE_PX = 256
SECONDS, OVER_DB = (30.0, 150.0), (0.0, 0.7)


def curve(
    photo: np.ndarray, mask: np.ndarray, clock: Callable[[], float], limit_s: float
) -> list[tuple[float, float, int]]:
    """(seconds, PSNR in the hole, iteration) at each step until the time is up."""
    settings = InpaintSettings(method="deep-prior", iterations=20_000)
    found, began = [], clock()
    for step in fit(photo, mask, settings):
        seconds = clock() - began
        if seconds > limit_s:
            break
        found.append((seconds, psnr(step.image[mask], photo[mask]), step.step))
    return found


def main() -> None:
    import cv2
    import torch

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photos", nargs="?", type=Path, default=PHOTOS)
    parser.add_argument("--cpu", action="store_true", help="reckon in processor time of one thread")
    given = parser.parse_args()
    clock: Callable[[], float] = time.perf_counter
    if given.cpu:
        torch.set_num_threads(1)

        def clock() -> float:
            return time.process_time() / 2

    print(f"load {os.getloadavg()[0]:.1f}, {torch.get_num_threads()} threads")
    rows = []
    for k, path in enumerate(photographs(given.photos)):
        photo, mask = square(load(path), SIDE_PX), strokes(SIDE_PX, k)
        telea = cv2.inpaint(photo, mask.astype(np.uint8), 3, cv2.INPAINT_TELEA)
        found = curve(photo, mask, clock, SECONDS[1])
        at = [[row for row in found if row[0] <= s][-1] for s in SECONDS]
        best = max(found, key=lambda row: row[1])
        rows.append([psnr(telea[mask], photo[mask]), *(db for _, db, _ in at)])
        print(
            f"{path.stem[:14]:14} Telea {rows[-1][0]:.2f} dB; "
            + "; ".join(
                f"{s:.0f} s {db:.2f} (iteration {n})"
                for s, (_, db, n) in zip(SECONDS, at, strict=True)
            )
            + f"; best {best[1]:.2f} at {best[0]:.0f} s",
            flush=True,
        )
    telea, *ours = np.mean(rows, 0)
    for seconds, asked, db in zip(SECONDS, OVER_DB, ours, strict=True):
        print(
            f"{'met   ' if db - telea >= asked else 'MISSED'}  {seconds:.0f} s: {db - telea:+.2f} dB "
            f"against Telea's {telea:.2f} (asked {asked:+.1f})"
        )


if __name__ == "__main__":
    main()
