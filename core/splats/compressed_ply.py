"""PlayCanvas' compressed .ply: splats in groups of 256 neighbours, each measured in its own box.

A number's first digits say where in the scene it is, its last ones where among its neighbours. So
splats are sorted along a curve that keeps neighbours together (Morton order), cut into groups, and
each group gets a box: the least and the greatest position, log scale and colour. Inside, 11, 10 and
11 bits are enough for x, y, z; a rotation is its smallest three in 10 bits each; red, green, blue
and opacity have a byte. The rest of the colour, if kept, is one byte a number for −4 to 4
(developer.playcanvas.com, SuperSplat's export). 16 bytes a splat, 61 with colour degree 3.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from core.splats.harmonics import Y0
from core.splats.packing import (
    HALF,
    from_smallest_three,
    logits,
    rounded,
    smallest_three,
)
from core.splats.ply import RESTS, Header, read_header, table_of
from core.splats.types import Splats
from core.types import InputError

GROUP = 256
BOX = tuple(f"{end}_{what}{a}" for what in ("", "scale_") for end in ("min", "max") for a in "xyz")
TINTS = tuple(
    f"{end}_{c}" for end in ("min", "max") for c in "rgb"
)  # older files have none: 0 to 1
PACKED = ("packed_position", "packed_rotation", "packed_scale", "packed_color")
LARGEST_LOG = 20.0
SH_RANGE = 8.0  # −4 to 4
BITS = ((21, 11), (11, 10), (0, 11))  # shift and width of x, y, z in a word


def is_compressed(header: Header) -> bool:
    """Whether a .ply's header is of this kind."""
    return [e.name for e in header.elements[:2]] == ["chunk", "vertex"]


def load_compressed_ply(path: str | Path) -> Splats:
    """The splats of a compressed .ply, in the file's order.

    Raises InputError if it isn't one, is cut off, or holds NaN.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            boxes, words, rest = _tables(file, path.name)
    except OSError as error:
        raise InputError(f"{path.name} can't be read ({error.strerror}). Choose a file.") from None
    n, group = len(words), np.arange(len(words)) // GROUP

    def between(names: tuple[str, ...], at: np.ndarray) -> np.ndarray:
        low, high = (np.stack([boxes[c] for c in names[k : k + 3]], 1)[group] for k in (0, 3))
        return low + at * (high - low)

    names = boxes.dtype.names or ()
    rgba = words["packed_color"][:, None] >> np.array([24, 16, 8, 0], np.uint32) & 255
    shares = rgba / np.float32(255)
    tints = between(TINTS, shares[:, :3]) if set(TINTS) <= set(names) else shares[:, :3]
    sh = np.empty((n, 1 + rest.shape[1] // 3, 3), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # Splats says which one is broken
        sh[:, 0] = (tints - 0.5) / Y0
        sh[:, 1:] = _waves(rest).reshape(n, 3, -1).transpose(0, 2, 1)
        turns = words["packed_rotation"]
        three = turns[:, None] >> np.array([20, 10, 0], np.uint32) & 1023
        quats = from_smallest_three(turns >> 30, (three / np.float32(1023) - 0.5) * 2 * HALF)
        means = between(BOX[:6], _unpacked(words["packed_position"]))
        log_scales = between(BOX[6:], _unpacked(words["packed_scale"]))
    return Splats(means, log_scales, quats, logits(shares[:, 3]), sh)


def _waves(rest: np.ndarray) -> np.ndarray:
    """Bytes as colour numbers: middles of 256 steps, but the first and the last are the ends."""
    steps = ((np.arange(256) + 0.5) / 256).astype(np.float32)
    steps[[0, 255]] = 0, 1
    return ((steps - 0.5) * SH_RANGE)[rest]


def _tables(file: BinaryIO, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The boxes (C,), the words (N,), both structured, and the rest of the colour (N, R) uint8."""
    header = read_header(file, name)
    elements = header.elements
    if not is_compressed(header) or header.form != "binary_little_endian":
        raise InputError(f"{name} isn't a compressed .ply of splats. Choose another file.")
    boxes, words = (table_of(file, header, e, name) for e in elements[:2])
    missing = set(BOX) - set(boxes.dtype.names or ())
    missing |= set(PACKED) - set(words.dtype.names or ())
    if missing or any(words.dtype[c] != np.dtype("<u4") for c in PACKED):
        raise InputError(f"{name} lacks columns that a compressed .ply has. Export it again.")
    if not len(words):
        raise InputError(f"{name} holds no splats. Choose a file with at least one.")
    if len(boxes) * GROUP < len(words):
        raise InputError(
            f"{name} has {len(boxes):,} groups of {GROUP} for {len(words):,} splats: too few. "
            "Export it again."
        )
    rest = np.zeros((len(words), 0), np.uint8)
    if len(elements) > 2 and elements[2].name == "sh":
        rows = table_of(file, header, elements[2], name)
        kinds = {rows.dtype[c] for c in rows.dtype.names or ()}
        columns = len(rows.dtype.names or ())
        if len(rows) != len(words) or columns not in RESTS or kinds != {np.dtype("u1")}:
            raise InputError(f"{name} has colour that doesn't fit its splats. Export it again.")
        rest = rows.view(np.uint8).reshape(len(rows), columns)
    return boxes, words, rest


def _unpacked(words: np.ndarray) -> np.ndarray:
    """(N, 3) float32 in [0, 1] of words (N,)."""
    parts = [(words >> shift & (1 << bits) - 1) / np.float32((1 << bits) - 1)
             for shift, bits in BITS]  # fmt: skip
    return np.stack(parts, 1)


def save_compressed_ply(path: str | Path, splats: Splats) -> Path:
    """A compressed .ply. The splats are sorted along a Morton curve, so they come back in another
    order (`morton_order`).

    Positions, log scales and colours are exact to half a step of their group's box: 1/4094 of it in
    x and z, 1/2046 in y, 1/510 for colours; opacity to 1/510, rotations to 0.1°; log scales beyond
    ±20 and other colour beyond ±4 are cut, and that colour is exact to 1/64.
    """
    path, n = Path(path), len(splats)
    order = morton_order(splats.means)
    ordered = splats.some(order)
    boxes, places = _boxed(ordered.means, [(1 << bits) - 1 for _, bits in BITS])
    logs = ordered.log_scales.clip(-LARGEST_LOG, LARGEST_LOG)
    scale_boxes, scales = _boxed(logs, [(1 << bits) - 1 for _, bits in BITS])
    tint_boxes, tints = _boxed(0.5 + Y0 * ordered.sh[:, 0], [255] * 3)
    largest, three = smallest_three(ordered.unit_quats)
    turns = rounded((three / HALF * 0.5 + 0.5) * 1023, 1023)
    words = np.stack(
        [
            _joined(places, 21, 11, 0),
            largest.astype(np.uint32) << 30 | _joined(turns, 20, 10, 0),
            _joined(scales, 21, 11, 0),
            _joined(tints, 24, 16, 8) | rounded(255 * ordered.opacities, 255),
        ],
        1,
    )
    rest = ordered.sh[:, 1:].transpose(0, 2, 1).reshape(n, -1)
    rest = np.floor((rest / SH_RANGE + 0.5) * 256).clip(0, 255).astype(np.uint8)

    head = ["ply", "format binary_little_endian 1.0", f"element chunk {len(boxes)}"]
    head += [f"property float {c}" for c in (*BOX, *TINTS)]
    head += [f"element vertex {n}"] + [f"property uint {c}" for c in PACKED]
    if rest.shape[1]:
        head += [f"element sh {n}"]
        head += [f"property uchar f_rest_{k}" for k in range(rest.shape[1])]
    with path.open("wb") as file:
        file.write("\n".join([*head, "end_header", ""]).encode())
        file.write(np.concatenate([boxes, scale_boxes, tint_boxes], 1).astype("<f4").tobytes())
        file.write(words.astype("<u4").tobytes())
        file.write(rest.tobytes())
    return path


def morton_order(means: np.ndarray) -> np.ndarray:
    """(N,) the splats' places along a curve through the scene: the bits of x, y and z interleaved,
    ten of each, ties as they come."""
    low = means.min(0).astype(np.float64)
    span = np.maximum(means.max(0) - low, 1e-30)
    code = np.zeros(len(means), np.uint32)
    for axis, at in enumerate(rounded((means - low) / span * 1023, 1023).T):
        for bit in range(10):
            code |= (at >> np.uint32(bit) & np.uint32(1)) << np.uint32(3 * bit + axis)
    return np.argsort(code, kind="stable")


def _boxed(values: np.ndarray, most: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Each group's least and greatest (C, 6) float32, and values (N, 3) as steps between them."""
    n = len(values)
    filled = np.concatenate([values, values[-1:].repeat(-n % GROUP, 0)])
    groups = filled.reshape(-1, GROUP, 3)
    low, high = groups.min(1), groups.max(1)
    span = high.astype(np.float64) - low
    steps = (groups - low.astype(np.float64)[:, None]) / np.where(span > 0, span, 1)[:, None]
    places = np.rint(steps * most).astype(np.uint32).reshape(-1, 3)[:n]
    return np.concatenate([low, high], 1).astype(np.float32), places


def _joined(parts: np.ndarray, *shifts: int) -> np.ndarray:
    a, b, c = parts.T
    return a << np.uint32(shifts[0]) | b << np.uint32(shifts[1]) | c << np.uint32(shifts[2])
