"""GaussianSplats3D's .ksplat: splats in buckets, as floats, half floats, or bytes for the gloss.

A header of 4096 bytes, one of 1024 for each section, then the sections: which buckets are not full,
where each bucket's middle lies, and the splats. At level 0 all numbers are floats. At 1 and 2 a
position is three 16-bit steps from its bucket's middle, scales and rotations are half floats; the
rest of the colour is half floats at 1, bytes within a range at 2. Red, green, blue and opacity are
bytes always (mkkellogg/GaussianSplats3D, SplatBuffer).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.splats.harmonics import Y0
from core.splats.packing import logits, read_bytes
from core.splats.types import COEFFICIENTS, Splats
from core.types import InputError

HEADER, SECTION = 4096, 1024
HALF_RANGE = 32767  # steps on each side of a bucket's middle, if the section doesn't say
SH_RANGE = (-1.5, 1.5)
SMALLEST, LARGEST = 1e-30, 1e30


@dataclass(frozen=True)
class Section:
    """What a section's header says; room is for how many splats there is space."""

    splats: int
    room: int
    bucket: int
    buckets: int
    side_m: float
    bucket_bytes: int
    steps: int
    full: int
    partial: int
    degree: int

    @property
    def tables(self) -> int:
        """Bytes before the splats."""
        return 4 * self.partial + self.bucket_bytes * self.buckets

    @property
    def waves(self) -> int:
        """Numbers of colour beyond the first of each channel, all channels."""
        return 3 * (COEFFICIENTS[self.degree] - 1)


def load_ksplat(path: str | Path) -> Splats:
    """The splats of a .ksplat, colour degree as its richest section's.

    Raises InputError if it is damaged, cut off, or holds NaN.
    """
    data, name = read_bytes(path), Path(path).name
    if not is_ksplat(data[:HEADER]):
        raise InputError(f"{name} isn't a .ksplat of version 0.1 or later. Export it again.")
    (count,) = struct.unpack_from("<I", data, 4)
    (level,) = struct.unpack_from("<H", data, 20)
    low, high = struct.unpack_from("<2f", data, 36)
    span = (low or SH_RANGE[0], high or SH_RANGE[1])
    at = HEADER + SECTION * count
    if level > 2 or at > len(data):
        raise InputError(f"{name} has a header that its size contradicts. Export it again.")
    parts = []
    for k in range(count):
        section = _section(data, HEADER + SECTION * k)
        row = _row(level, section.waves)
        end = at + section.tables + row.itemsize * section.room
        if end > len(data) or section.splats > section.room:
            raise InputError(
                f"{name} promises {section.splats:,} splats in its section {k + 1} and is cut off. "
                "Download or export it again."
            )
        if section.splats:
            parts.append(_read(data, at, section, row, level, span, name))
        at = end
    if not parts:
        raise InputError(f"{name} holds no splats. Choose a file with at least one.")
    means, log_scales, quats, opacity = (np.concatenate([p[k] for p in parts]) for k in range(4))
    sh = np.zeros((len(means), max(p[4].shape[1] for p in parts), 3), np.float32)
    first = 0
    for *_, own in parts:
        sh[first : first + len(own), : own.shape[1]] = own
        first += len(own)
    return Splats(means, log_scales, quats, opacity, sh)


def is_ksplat(head: bytes) -> bool:
    """Whether a file that begins so (4096 bytes) may be one: it has no magic, only a version."""
    return len(head) == HEADER and head[0] == 0 and 1 <= head[1] <= 99


def _section(data: bytes, at: int) -> Section:
    splats, room, bucket, buckets, side, bucket_bytes = struct.unpack_from("<4IfH", data, at)
    steps, _, full, partial, degree = struct.unpack_from("<4IH", data, at + 24)
    if degree > 3:
        raise InputError(f"Colour of degree {degree} isn't known; 0 to 3 are. Export it again.")
    return Section(splats, room, bucket, buckets, side, bucket_bytes, steps or HALF_RANGE, full,
                   partial, degree)  # fmt: skip


def _row(level: int, waves: int) -> np.dtype:
    place, number, wave = (("<f4", "<f4", "<f4"), ("<u2", "<f2", "<f2"), ("<u2", "<f2", "u1"))[
        level
    ]
    return np.dtype([("mean", place, 3), ("scale", number, 3), ("quat", number, 4),
                     ("rgba", "u1", 4), ("wave", wave, (waves,))])  # fmt: skip


def _read(
    data: bytes, at: int, section: Section, row: np.dtype, level: int,
    span: tuple[float, float], name: str,
) -> tuple[np.ndarray, ...]:  # fmt: skip
    """Means, log scales, quaternions, opacity logits and sh of a section's splats."""
    n = section.splats
    table = np.frombuffer(data, row, n, at + section.tables)
    means = table["mean"].astype(np.float32)
    if level:
        middles = _middles(data, at, section, name)
        with np.errstate(over="ignore", invalid="ignore"):  # Splats says which one is broken
            means = (means - section.steps) * np.float32(section.side_m / 2 / section.steps)
            means = means + middles
    with np.errstate(invalid="ignore"):
        log_scales = np.log(table["scale"].astype(np.float32).clip(SMALLEST, LARGEST))
    waves = table["wave"].astype(np.float32)
    if level == 2:
        waves = span[0] + waves * ((span[1] - span[0]) / 255)
    sh = np.empty((n, COEFFICIENTS[section.degree], 3), np.float32)
    rgba = table["rgba"] / np.float32(255)
    sh[:, 0] = (rgba[:, :3] - 0.5) / Y0
    for k in range(1, section.degree + 1):  # a degree's red, then its green, then its blue
        first, last = COEFFICIENTS[k - 1], COEFFICIENTS[k]
        own = waves[:, 3 * (first - 1) : 3 * (last - 1)]
        sh[:, first:last] = own.reshape(n, 3, last - first).transpose(0, 2, 1)
    return means, log_scales, table["quat"].astype(np.float32), logits(rgba[:, 3]), sh


def _middles(data: bytes, at: int, section: Section, name: str) -> np.ndarray:
    """(N, 3) the middle of each splat's bucket. Full buckets first; of the others, how many splats
    each holds stands before all."""
    held = np.frombuffer(data, "<u4", section.partial, at).astype(np.int64)
    full = min(section.full, -(-section.splats // max(section.bucket, 1)))  # no more than are used
    counts = np.concatenate([np.full(full, section.bucket, np.int64), held.clip(0, section.splats)])
    edges = np.concatenate([[0], np.cumsum(counts)])
    if section.bucket_bytes < 12 or edges[-1] < section.splats or len(counts) > section.buckets:
        raise InputError(f"{name} has buckets that don't hold its splats. Export it again.")
    own = np.searchsorted(edges[1:], np.arange(section.splats), side="right")
    raw = np.frombuffer(
        data, np.uint8, section.bucket_bytes * section.buckets, at + 4 * section.partial
    )
    middles = raw.reshape(section.buckets, -1)[:, :12].copy().view("<f4")
    return middles[own]
