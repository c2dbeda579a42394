"""The file that web viewers read: .splat, 32 bytes a splat and nothing else.

Three floats for the mean, three for the scales (as lengths, not logarithms), four bytes of red,
green, blue and opacity, four bytes of the quaternion w x y z, where 128 is 0. There is no header,
so a reader can begin to draw before the file has arrived; and no room for more than one colour, so
gloss is lost. Writers put large, opaque splats first (antimatter15/splat); here the order is kept.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.splats.harmonics import Y0
from core.splats.packing import logits, read_bytes, rounded
from core.splats.types import Splats
from core.types import InputError

ROW = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)])
SMALLEST_M, LARGEST_M = 1e-30, 1e30  # a length of 0 has no logarithm


def load_splat(path: str | Path) -> Splats:
    """The splats of a .splat, colour degree 0. InputError if it is cut off or holds NaN."""
    data, name = read_bytes(path), Path(path).name
    if not data or len(data) % ROW.itemsize:
        raise InputError(
            f"{name} has {len(data):,} bytes; a .splat has {ROW.itemsize} for each splat. It is "
            "cut off or something else: download or export it again."
        )
    table = np.frombuffer(data, ROW)
    scales = table["scale"]
    if not (scales >= 0).all():
        raise InputError(
            f"{name} has splats of negative or unknown size, so it isn't a .splat. "
            "Choose another file."
        )
    quats = (table["quat"].astype(np.float32) - 128) / 128
    quats[~quats.any(1)] = (1, 0, 0, 0)  # too short for a byte: no writer means it
    rgba = table["rgba"] / np.float32(255)
    return Splats(
        table["mean"], np.log(scales.clip(SMALLEST_M, LARGEST_M)), quats, logits(rgba[:, 3]),
        ((rgba[:, None, :3] - 0.5) / Y0),
    )  # fmt: skip


def save_splat(path: str | Path, splats: Splats) -> Path:
    """Colour degree 0, within [0, 1] and to 1/255 as the opacity; rotations to 1/128 of each of
    their four numbers; means and scales as they are."""
    path = Path(path)
    table = np.empty(len(splats), ROW)
    table["mean"] = splats.means
    table["scale"] = splats.scales_m.clip(SMALLEST_M, LARGEST_M)
    table["rgba"][:, :3] = rounded(255 * (0.5 + Y0 * splats.sh[:, 0]), 255)
    table["rgba"][:, 3] = rounded(255 * splats.opacities, 255)
    table["quat"] = rounded(128 * splats.unit_quats + 128, 255)
    path.write_bytes(table.tobytes())
    return path
