"""The file that 3DGS writes: a .ply whose vertices are splats.

A .ply is a few lines of text that say which columns a table has, then the table. 3DGS
(Kerbl et al. 2023) put its 62 numbers there: x y z, a normal nobody uses, the mean colour
f_dc_0..2, the other 3·15 colour numbers f_rest_0..44, the opacity as a logit, three log scales, a
quaternion w x y z. f_rest has all of red first, then green, then blue; `Splats.sh` has the three
channels side by side. A smaller colour degree leaves columns out: 24, 9 or none are left.

What a header says is a claim. Nothing is reserved for it before the file's own size has
confirmed it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from core.splats.types import COEFFICIENTS, Splats
from core.types import InputError

KINDS = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
    "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "="}
MOST_ROWS = 10**15  # more is no number of anything
LINE, LINES = 1024, 1000  # bytes and lines of a header; longer is no header
MEANS, DC = ("x", "y", "z"), ("f_dc_0", "f_dc_1", "f_dc_2")
SCALES, QUATS = ("scale_0", "scale_1", "scale_2"), ("rot_0", "rot_1", "rot_2", "rot_3")
RESTS = tuple(3 * (k - 1) for k in COEFFICIENTS)


@dataclass(frozen=True)
class Element:
    """One table of a .ply: name, rows as claimed, and columns as (name, type); a column whose
    type is None is a list, of another length in each row."""

    name: str
    rows: int
    columns: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True)
class Header:
    """form: 'ascii', 'binary_little_endian' or 'binary_big_endian'; elements in the file's order;
    the first table begins at byte `end`."""

    form: str
    elements: tuple[Element, ...]
    end: int


def read_header(file: BinaryIO, name: str) -> Header:
    """The header of a .ply, read from the file's start; `name` is for the error's sentence."""
    broken = InputError(f"{name} isn't a .ply file, or its header is damaged. Export it again.")
    form, elements = "", []
    file.seek(0)
    if file.readline(LINE).strip() != b"ply":
        raise broken
    try:
        for _ in range(LINES):
            match file.readline(LINE).decode("ascii", "replace").split():
                case ["format", order, _] if order in ORDERS:
                    form = order
                case ["element", kind, rows]:
                    elements.append((kind, int(rows), []))
                case ["property", "list", _, _, column]:
                    elements[-1][2].append((column, None))
                case ["property", kind, column]:
                    elements[-1][2].append((column, KINDS[kind]))
                case ["end_header"]:
                    break
                case ["comment" | "obj_info", *_]:
                    pass
                case _:
                    raise broken
        else:
            raise broken
    except (ValueError, KeyError, IndexError):
        raise broken from None
    if not form or not all(0 <= rows <= MOST_ROWS for _, rows, _ in elements):
        raise broken
    return Header(form, tuple(Element(k, r, tuple(c)) for k, r, c in elements), file.tell())


def load_ply(path: str | Path) -> Splats:
    """The splats of a 3DGS .ply, binary or text, colour degree 0 to 3; other columns are left out.

    Raises InputError if there is no such file, if it isn't one of splats, is cut off, or holds
    NaN. Memory is at most a few times the file's size.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            table = _vertices(file, path.name)
    except OSError as error:
        raise InputError(f"{path.name} can't be read ({error.strerror}). Choose a file.") from None
    names = table.dtype.names or ()
    rest = sum(name.startswith("f_rest_") for name in names)
    columns = tuple(f"f_rest_{k}" for k in range(rest))
    missing = [c for c in (*MEANS, *DC, *columns, "opacity", *SCALES, *QUATS) if c not in names]
    if missing:
        raise InputError(
            f"{path.name} is a .ply without {', '.join(missing[:4])}{' …' * (len(missing) > 4)}: "
            "a point cloud or a mesh, not 3DGS splats. Choose a file of splats."
        )
    if rest not in RESTS:
        raise InputError(
            f"{path.name} has {rest} columns f_rest; colour of degree 0 to 3 has 0, 9, 24 or 45. "
            "Export it again."
        )

    def taken(columns: tuple[str, ...]) -> np.ndarray:
        with np.errstate(over="ignore"):  # of a double; Splats says so
            return np.stack([table[c].astype(np.float32) for c in columns], 1)

    sh = taken(DC)[:, None]
    if rest:
        own = taken(columns).reshape(len(table), 3, -1)  # channel, wave
        sh = np.concatenate([sh, own.transpose(0, 2, 1)], 1)
    return Splats(taken(MEANS), taken(SCALES), taken(QUATS), taken(("opacity",))[:, 0], sh)


def _vertices(file: BinaryIO, name: str) -> np.ndarray:
    """The first table, which must be the vertices': (N,) of a structured type."""
    header = read_header(file, name)
    if not header.elements or header.elements[0].name != "vertex":
        raise InputError(
            f"{name} doesn't begin with its splats, so it isn't a plain 3DGS .ply. "
            "Export it as that, uncompressed."
        )
    vertex = header.elements[0]
    if not vertex.rows:
        raise InputError(f"{name} holds no splats. Choose a file with at least one.")
    return table_of(file, header, vertex, name)


def table_of(file: BinaryIO, header: Header, element: Element, name: str) -> np.ndarray:
    """The table that begins where `file` stands: (rows,) of a structured type, float64 if it is
    text. InputError if it has lists, or more rows than the file can hold."""
    labels = [label for label, _ in element.columns]
    kinds = [kind for _, kind in element.columns if kind]
    if len(kinds) < len(labels) or len(set(labels)) < len(labels) or not labels:
        raise InputError(f"{name} has lists or doubled columns for splats. Export it again.")
    text = header.form == "ascii"
    row = np.dtype([(c, ORDERS[header.form] + k) for c, k in zip(labels, kinds, strict=True)])
    size = os.fstat(file.fileno()).st_size - file.tell()
    whole = size // (2 * len(labels) if text else row.itemsize)  # "0 " is the shortest number
    what = "splats" if element.name == "vertex" else f"rows of {element.name}"
    short = InputError(
        f"{name} promises {element.rows:,} {what} and is cut off: there is room for "
        f"{min(whole, element.rows - 1):,}. Download or export it again."
    )
    if element.rows > whole + text:  # a text may end without its last blank
        raise short
    if not text:
        return np.fromfile(file, row, element.rows)
    try:
        numbers = np.loadtxt(file, comments=None, max_rows=element.rows, ndmin=2)
        table = np.empty(len(numbers), [(label, "f8") for label in labels])
        for label, column in zip(labels, numbers.T, strict=True):
            table[label] = column
    except ValueError:
        raise InputError(f"{name} has lines that aren't its columns. Export it again.") from None
    if len(table) < element.rows:
        raise short
    return table


def save_ply(path: str | Path, splats: Splats) -> Path:
    """A binary 3DGS .ply; `load_ply` gives the same numbers back, bit for bit."""
    path, n = Path(path), len(splats)
    rest = splats.sh[:, 1:].transpose(0, 2, 1).reshape(n, -1)
    names = [*MEANS, "nx", "ny", "nz", *DC, *(f"f_rest_{k}" for k in range(rest.shape[1])),
             "opacity", *SCALES, *QUATS]  # fmt: skip
    head = ["ply", "format binary_little_endian 1.0", f"element vertex {n}"]
    head += [f"property float {name}" for name in names]
    table = np.concatenate(
        [splats.means, np.zeros((n, 3), np.float32), splats.sh[:, 0], rest,
         splats.opacity_logits[:, None], splats.log_scales, splats.quats], 1,
    )  # fmt: skip
    with path.open("wb") as file:
        file.write("\n".join([*head, "end_header", ""]).encode())
        file.write(table.astype("<f4").data)
    return path
