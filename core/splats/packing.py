"""How small files make numbers small, and how much they may grow again.

A trained splat is 59 to 236 bytes of floats. Nobody sees most of their digits: an opacity fits a
byte, and a rotation fits three numbers, for the fourth follows from its length of 1. Leave out the
largest of the four, turned positive (q and −q are the same rotation): the other three lie within
±1/√2, and an error in them is never blown up, as it would be in a square root near 0.

What a file says about its own size is a claim, and so is what its compression promises. Nothing is
reserved for a claim that the file's real size doesn't make believable.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from core.types import InputError

SURE = 1e-6  # an opacity of 0 or 1 has no finite logit: so near to it they are taken
GROWTH, SMALL = 64, 1 << 24  # bytes out of one byte in, and bytes that any file may become
WINDOW = 1 << 23  # bytes back that zstd may look, as its own encoders do for streams
HALF = np.sqrt(0.5)


def read_bytes(path: str | Path) -> bytes:
    """The whole file. InputError if there is none."""
    path = Path(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.name} can't be read ({error.strerror}). Choose a file.") from None


def believable(size: int, held: int, name: str) -> int:
    """`size` bytes, unless a file of `held` bytes can't mean it: then InputError."""
    if size > GROWTH * held + SMALL:
        raise InputError(
            f"{name} has {held:,} bytes and would unpack to {size:,}: no scene packs so well. "
            "Export it again."
        )
    return size


def gunzipped(data: bytes, size: int, name: str) -> bytes:
    """At most the first `size` bytes of what is packed in `data`; fewer if there are no more.

    Raises InputError if the stream is broken or cut off before that.
    """
    unpacker = zlib.decompressobj(wbits=31)
    try:
        out = unpacker.decompress(data, size)
        unpacker.decompress(unpacker.unconsumed_tail, 1 << 16)  # to the checksum, if it is near
    except zlib.error:
        raise broken(name) from None
    if not unpacker.eof and (len(out) < size or not unpacker.unconsumed_tail):
        raise InputError(f"{name} is cut off. Download or export it again.")
    return out


def unzstd(data: bytes, size: int, name: str) -> bytes:
    """The `size` bytes that are packed in `data` by zstd; InputError if it isn't just these."""
    import zstandard

    unpacker = zstandard.ZstdDecompressor(max_window_size=max(WINDOW, size))
    try:
        with unpacker.stream_reader(data) as stream:
            out = stream.read(size + 1)
    except zstandard.ZstdError:
        raise broken(name) from None
    if len(out) != size:
        raise InputError(f"{name} is cut off or damaged. Download or export it again.")
    return out


def broken(name: str) -> InputError:
    return InputError(f"{name} is damaged: it can't be unpacked. Download or export it again.")


def logits(share: np.ndarray) -> np.ndarray:
    """Opacities in [0, 1] as float32 logits; 0 and 1 become ±13.8."""
    p = np.clip(share, SURE, 1 - SURE).astype(np.float64)
    return np.log(p / (1 - p)).astype(np.float32)


def rounded(values: np.ndarray, most: int) -> np.ndarray:
    """To the nearest whole number in [0, most], as uint32."""
    return np.rint(values).clip(0, most).astype(np.uint32)


def smallest_three(quats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of the four is the largest (N,), and the other three (N, 3) in order, within ±1/√2.

    quats (N, 4) of length 1, in any order of the four.
    """
    rows = np.arange(len(quats))
    largest = np.abs(quats).argmax(1)
    turned = quats * np.where(quats[rows, largest] < 0, -1, 1)[:, None]
    return largest, turned[rows[:, None], OTHERS[largest]]


def from_smallest_three(largest: np.ndarray, three: np.ndarray) -> np.ndarray:
    """The way back: (N, 4) float32 of length 1, or longer if the three say more than is possible."""
    quats = np.empty((len(largest), 4), np.float32)
    rows = np.arange(len(largest))
    quats[rows[:, None], OTHERS[largest]] = three
    quats[rows, largest] = np.sqrt(np.clip(1 - np.square(three).sum(1), 0, None))
    return quats


OTHERS = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
