"""Niantic's .spz: the same numbers side by side, so that what is alike lies together.

All positions first, then all opacities, colours, scales, rotations and the rest of the colour, each
in as few bits as the eye allows, then squeezed (Niantic 2024, github.com/nianticlabs/spz). Versions
differ in two ways. Rotations were x y z in a byte each, w following from the length (1, 2), and are
the smallest three in 10 bits since (3, 4). The whole was one gzip stream (1 to 3), and is one zstd
stream for each kind of number since, with a table of their sizes in front (4).

Axes are x right, y up, z back (RUB): a 3DGS .ply turned by half a turn about x. Positions flip
y and z, quaternions flip their y and z, and a wave of colour that is odd in y and z together changes
its sign.
"""

from __future__ import annotations

import gzip
import math
import struct
from pathlib import Path

import numpy as np

from core.splats.packing import (
    HALF,
    believable,
    from_smallest_three,
    gunzipped,
    logits,
    read_bytes,
    rounded,
    smallest_three,
    unzstd,
)
from core.splats.types import COEFFICIENTS, Splats
from core.types import InputError

MAGIC = b"NGSP"
HEADER = struct.Struct("<4sIIBBBB")  # magic, version, splats, degree, bits, flags, streams
COLOUR = 0.15  # a byte's step is 1/(0.15·255) of f_dc: room for colours beyond black and white
LOWEST_LOG, PER_LOG = -10, 16
BITS, FINE = 12, 14  # after the point, usually; and those of the scene's own extent, at least
SH_STEPS = (8, 16, 16)  # of 256, by degree: coarse ones pack well, and gloss is soft
# signs of the 16 waves when y and z flip: −1 for y, z, xy, xz, … in the order of 3DGS
TURNED = np.array([1, -1, -1, 1, -1, 1, 1, -1, 1, -1, 1, -1, -1, 1, -1, 1], np.float32)


def load_spz(path: str | Path) -> Splats:
    """The splats of an .spz, versions 1 to 4, turned to 3DGS axes; degrees above 3 are left out.

    Raises InputError if it is damaged, cut off, or would unpack to more than it can mean.
    """
    data, name = read_bytes(path), Path(path).name
    packed = data[:2] == b"\x1f\x8b"
    head = gunzipped(data, HEADER.size, name) if packed else data[: HEADER.size]
    if len(head) < HEADER.size or head[:4] != MAGIC:
        raise InputError(f"{name} isn't an .spz, or its header is damaged. Export it again.")
    _, version, n, degree, bits, _, streams = HEADER.unpack(head)
    if not (1 <= version <= 4 and degree <= 4 and bits <= 30) or (packed and version == 4):
        raise InputError(
            f"{name} is an .spz of version {version}, colour degree {degree}; versions 1 to 4 and "
            "degrees up to 4 can be read. Export it again."
        )
    if not n:
        raise InputError(f"{name} holds no splats. Choose a file with at least one.")
    k = (degree + 1) ** 2 - 1
    sizes = [n * (6 if version == 1 else 9), n, 3 * n, 3 * n, n * (4 if version > 2 else 3)]
    sizes += [3 * k * n] * (k > 0)
    whole = believable(HEADER.size + sum(sizes), len(data), name)
    if version == 4:
        parts = _streams(data, sizes, streams, name)
    else:
        flat = gunzipped(data, whole, name) if packed else data[:whole]
        if len(flat) < whole:
            raise InputError(
                f"{name} promises {n:,} splats and is cut off. Download or export it again."
            )
        parts = np.split(np.frombuffer(flat, np.uint8), HEADER.size + np.cumsum([0, *sizes]))[1:]
    places, shares, tints, sizes_, turns = parts[:5]

    sh = np.empty((n, 1 + k, 3), np.float32)
    sh[:, 0] = (tints.reshape(n, 3) / np.float32(255) - 0.5) / COLOUR
    if k:
        sh[:, 1:] = (parts[5].reshape(n, k, 3) - np.float32(128)) / 128
    sh = sh[:, :16] * TURNED[: 1 + k, None]
    means = _positions(places.reshape(n, 3, -1), bits) * (1, -1, -1)
    quats = _rotations(turns.reshape(n, -1)) * (1, 1, -1, -1)
    log_scales = sizes_.reshape(n, 3) / np.float32(PER_LOG) + LOWEST_LOG
    return Splats(means, log_scales, quats, logits(shares / 255), sh)


def _streams(data: bytes, sizes: list[int], streams: int, name: str) -> list[np.ndarray]:
    """Version 4: at the byte that a word after the header names, how many bytes each stream has
    packed and unpacked; then the streams. More of them are extensions, left out."""
    (table,) = struct.unpack_from("<I", data.ljust(32, b"\0"), HEADER.size)
    at = table + 16 * streams
    if streams < len(sizes) or at > len(data):
        raise InputError(f"{name} has no whole table of its streams. Export it again.")
    parts = []
    for k, size in enumerate(sizes):
        packed, unpacked = struct.unpack_from("<QQ", data, table + 16 * k)
        if unpacked != size or packed > len(data) - at:
            raise InputError(
                f"{name} is cut off or contradicts itself: its stream {k + 1} doesn't fit. "
                "Download or export it again."
            )
        parts.append(np.frombuffer(unzstd(data[at : at + packed], size, name), np.uint8))
        at += packed
    return parts


def _positions(places: np.ndarray, bits: int) -> np.ndarray:
    """(N, 3, 3) bytes of 24-bit whole numbers, or (N, 3, 2) of half floats, as metres."""
    if places.shape[2] == 2:
        return places.view("<f2")[:, :, 0].astype(np.float32)
    wide = np.zeros((*places.shape[:2], 4), np.uint8)
    wide[:, :, 1:] = places
    return (wide.view("<i4")[:, :, 0] >> 8) / np.float32(1 << bits)  # the shift keeps the sign


def _rotations(turns: np.ndarray) -> np.ndarray:
    """(N, 3) or (N, 4) bytes as quaternions w x y z (N, 4)."""
    if turns.shape[1] == 3:
        xyz = turns / np.float32(127.5) - 1
        return np.column_stack([np.sqrt(np.clip(1 - np.square(xyz).sum(1), 0, None)), xyz])
    word = turns.view("<u4")[:, 0]
    three = []
    for shift in (20, 10, 0):  # nine bits of size under one of sign
        part = word >> shift
        three.append((part & 511) * np.where(part & 512, -HALF, HALF) / 511)
    return np.roll(from_smallest_three(word >> 30, np.stack(three, 1)), 1, 1)  # x y z w in the file


def save_spz(path: str | Path, splats: Splats) -> Path:
    """An .spz of version 3, gzipped.

    Positions to 2⁻¹³ m (finer for small scenes, coarser beyond 2 km), scales to 3 % from 0.05 mm to
    380 m, opacity to 1/510, f_dc within ±3.3 to 0.013, other colour within ±1 to 0.03 (degree 1)
    and 0.06, rotations to 0.1°. Raises InputError beyond 4,000 km.
    """
    path, n = Path(path), len(splats)
    bits = position_bits(splats.means)
    places = np.rint(splats.means * np.float64(1 << bits) * (1, -1, -1)).astype("<i4")
    k = splats.sh.shape[1]
    waves = splats.sh * TURNED[:k, None]
    steps = np.repeat(SH_STEPS, (3, 5, 7))[: k - 1, None]
    rest = rounded((128 * waves[:, 1:] + 128) / steps, 255) * steps
    largest, three = smallest_three(np.roll(splats.unit_quats * (1, 1, -1, -1), -1, 1))
    sizes = rounded(np.abs(three) * 511 / HALF, 511) | (three < 0).astype(np.uint32) << 9
    words = largest.astype(np.uint32) << 30 | sizes[:, 0] << 20 | sizes[:, 1] << 10 | sizes[:, 2]
    parts = [
        places.view(np.uint8).reshape(n, 3, 4)[:, :, :3],
        rounded(255 * splats.opacities, 255),
        rounded(255 * (0.5 + COLOUR * waves[:, 0]), 255),
        rounded(PER_LOG * (splats.log_scales - LOWEST_LOG), 255),
        words.astype("<u4").view(np.uint8),
        rest.clip(0, 255),
    ]
    head = HEADER.pack(MAGIC, 3, n, COEFFICIENTS.index(k), bits, 0, 0)
    flat = head + b"".join(part.astype(np.uint8).tobytes() for part in parts)
    path.write_bytes(gzip.compress(flat, 4, mtime=0))
    return path


def position_bits(means: np.ndarray) -> int:
    """How many of the 24 bits stand after the point."""
    whole = math.ceil(math.log2(max(float(np.abs(means).max()), 2.0**-30)))
    if whole > 22:
        raise InputError(
            "The scene reaches out beyond 4,000 km, which .spz can't hold. Crop it, or save a .ply."
        )
    return min(22 - whole, max(BITS, FINE - whole), 24)
