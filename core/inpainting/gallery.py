"""Objects taken out of photos, before above after: a figure for the README.

    python -m core.inpainting.gallery --photos FOLDER out.jpg

The folder holds photos, and beside each NAME.png a NAME_mask.png, white where the object stands.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.images import load
from core.inpainting.masks import read_mask
from core.inpainting.run import inpaint
from core.inpainting.types import InpaintSettings
from core.types import InputError

WORK_PX, SHOWN_PX, GAP_PX = 512, 360, 8  # a photo's side as filled, as shown; between two
MOST_BYTES = 400_000


def pairs(folder: Path, side_px: int = WORK_PX) -> list[tuple[np.ndarray, np.ndarray]]:
    """Photo and mask, (side, side, 3) uint8 and (side, side) bool, from the middle of each photo in
    the folder that has a mask. Raises InputError if none has."""
    found = []
    for path in sorted(folder.iterdir()):
        given = path.with_name(path.stem + "_mask.png")
        if given.exists():
            photo = load(path)
            mask = read_mask(str(given), photo.shape[1::-1])
            white = np.where(mask, 255, 0).astype(np.uint8)
            found.append((_middle(photo, side_px), _middle(white, side_px) > 127))
    if not found:
        raise InputError(f"No photo in {folder} has a mask: beside NAME.png put NAME_mask.png.")
    return found


def _middle(picture: np.ndarray, side_px: int) -> np.ndarray:
    import cv2

    side = min(picture.shape[:2])
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    cut = picture[top : top + side, left : left + side]
    return cv2.resize(cut, (side_px, side_px), interpolation=cv2.INTER_AREA)


def sheet(columns: Sequence[Sequence[np.ndarray]], side_px: int = SHOWN_PX) -> np.ndarray:
    """RGB uint8: pictures (S, S, 3) from top to bottom in each column, on white."""
    high, wide = (n * (side_px + GAP_PX) - GAP_PX for n in (len(columns[0]), len(columns)))
    full = np.full((high, wide, 3), 255, np.uint8)
    for k, column in enumerate(columns):
        for n, picture in enumerate(column):
            y, x = (i * (side_px + GAP_PX) for i in (n, k))
            full[y : y + side_px, x : x + side_px] = _middle(picture, side_px)
    return full


def write(folder: Path, out: Path, settings: InpaintSettings = InpaintSettings()) -> int:
    """The sheet of the folder's photos as a JPEG at most MOST_BYTES large; gives its bytes."""
    from io import BytesIO

    from PIL import Image

    filled = [(photo, inpaint(photo, mask, settings).image) for photo, mask in pairs(folder)]
    made, data = Image.fromarray(sheet(filled)), b""
    for quality in range(90, 30, -5):
        into = BytesIO()
        made.save(into, "JPEG", quality=quality, optimize=True)
        data = into.getvalue()
        if len(data) <= MOST_BYTES:
            break
    out.write_bytes(data)
    return len(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    print(f"{given.out}: {write(given.photos, given.out):,} bytes")


if __name__ == "__main__":
    main()
