"""What the browser gets of a scene: the numbers it draws, ready for the graphics card.

A file keeps splats as an optimiser wants them; the page wants to draw. So scales and opacities are
handed over as what they mean, quaternions with length 1, and colour, two thirds of all bytes, in
half precision, which is finer than a picture's byte. Each splat also brings its rank: the viewer
draws the first so many while the camera moves, and builds the scene up in that order.

Little-endian. 4 bytes "SLSP", uint32 version (1), N, K; then blocks, each from a multiple of 4:
means float32 (N, 3) m, scales float32 (N, 3) m, quats float32 (N, 4) w x y z, opacity float32 (N,),
sh float16 (N, K, 3), rank uint32 (N,), 0 for the most important one.
"""

from __future__ import annotations

import struct

import numpy as np

from core.splats.cleaning import importance, ranks
from core.splats.project import LARGEST_LOG
from core.splats.types import Splats
from core.types import InputError

MAGIC, VERSION = b"SLSP", 1
HEADER = struct.Struct("<4s3I")
LARGEST_HALF = 65504.0  # beyond it a half is infinite


def pack(splats: Splats, limit: int) -> bytes:
    """The bytes of all splats, or of the `limit` most important ones if there are more.

    In the splats' own order: the browser's k-th splat is the `sent(splats, limit)[k]`-th of these.
    Raises InputError if limit is below 1.
    """
    if (which := sent(splats, limit)).size < len(splats):
        splats = splats.some(which)
    n, coefficients = splats.sh.shape[:2]
    blocks = (
        HEADER.pack(MAGIC, VERSION, n, coefficients),
        splats.means.astype("<f4").data,
        np.exp(splats.log_scales.clip(max=LARGEST_LOG)).astype("<f4").data,
        splats.unit_quats.astype("<f4").data,
        splats.opacities.astype("<f4").data,
        splats.sh.clip(-LARGEST_HALF, LARGEST_HALF).astype("<f2").data,
        b"\0" * (-2 * splats.sh.size % 4),
        ranks(splats).astype("<u4").data,
    )
    return b"".join(blocks)


def sent(splats: Splats, limit: int) -> np.ndarray:
    """(M,) int64, ascending: the places of the splats that `pack` sends; the others are left out."""
    if limit < 1:
        raise InputError(f"A limit of {limit:,} splats leaves none to show. Allow at least one.")
    if len(splats) <= limit:
        return np.arange(len(splats))
    return np.sort(np.argsort(-importance(splats), kind="stable")[:limit])
