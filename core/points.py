"""Files that hold points and nothing else: .xyz, .pcd and .las.

An .xyz is lines of numbers. The Point Cloud Library's .pcd is a few lines of text that name
columns, then the table: as text, as bytes, or as bytes packed by LZF, column after column, with
their sizes in front. Colours are three bytes hidden in the bits of a float, blue first. open3d reads
it too, but a header that lies makes it reserve what the header says, and a crash in it takes the
whole server along; so it is read here. A .las needs laspy.
"""

from __future__ import annotations

import importlib.util
import io
import struct
import warnings

import numpy as np

from core.types import InputError, Unavailable

KINDS = {("F", 4): "<f4", ("F", 8): "<f8", ("I", 1): "i1", ("I", 2): "<i2", ("I", 4): "<i4",
         ("I", 8): "<i8", ("U", 1): "u1", ("U", 2): "<u2", ("U", 4): "<u4", ("U", 8): "<u8"}  # fmt: skip
LINE, LINES = 4096, 50
GROWTH = 100  # the most that LZF can do is 264 bytes out of 3


def read_pcd(data: bytes, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Points (P, 3) float64, some may be NaN, and colours (P, 3) uint8 or None.

    Raises InputError if the file is damaged, cut off, or claims more than it holds.
    """
    broken = InputError(f"{name} isn't a .pcd, or its header is damaged. Export it again.")
    head, end = _header(data, broken)
    try:
        names, n = head["FIELDS"], int(head["POINTS"][0])
        repeats = [int(c) for c in head.get("COUNT", ["1"] * len(names))]
        kinds = [KINDS[t, int(s)] for t, s in zip(head["TYPE"], head["SIZE"], strict=True)]
        if any(c < 1 or c > 4096 for c in repeats) or len(set(names)) < len(names) or n < 0:
            raise broken
        row = np.dtype([(f, k, (c,)) for f, k, c in zip(names, kinds, repeats, strict=True)])
        form = head["DATA"][0]
    except (KeyError, ValueError, IndexError):
        raise broken from None
    if not n or not {"x", "y", "z"} <= set(names):
        raise InputError(f"{name} holds no points. Choose a file with at least one.")
    cut = InputError(f"{name} promises {n:,} points and is cut off. Download or export it again.")
    held = len(data) - end
    if form == "ascii":
        if 2 * n > held + 1:
            raise cut
        table = _text(data[end:], row, n, cut)
    elif form == "binary":
        if n * row.itemsize > held:
            raise cut
        table = np.frombuffer(data, row, n, end)
    elif form == "binary_compressed":
        if held < 8 or n * row.itemsize > GROWTH * held:
            raise cut
        packed, whole = struct.unpack_from("<2I", data, end)
        if packed > held - 8 or whole != n * row.itemsize:
            raise cut
        table = _columns(_unlzf(data[end + 8 : end + 8 + packed], whole, cut), row, n)
    else:
        raise broken
    with np.errstate(invalid="ignore"):  # NaN is how these files say "no point"
        points = np.column_stack([table[axis][:, 0].astype(np.float64) for axis in "xyz"])
    return points, _colours(table)


def _header(data: bytes, broken: InputError) -> tuple[dict[str, list[str]], int]:
    file = io.BytesIO(data)
    head: dict[str, list[str]] = {}
    for _ in range(LINES):
        words = file.readline(LINE).decode("ascii", "replace").split()
        if words and not words[0].startswith("#"):
            head[words[0].upper()] = words[1:]
        if "DATA" in head:
            return head, file.tell()
    raise broken


def _text(data: bytes, row: np.dtype, n: int, cut: InputError) -> np.ndarray:
    lines = io.StringIO(data.decode("ascii", "replace"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of empty lines
            numbers = np.loadtxt(lines, max_rows=n, ndmin=2, comments=None)
    except ValueError:
        raise cut from None
    table = np.zeros(len(numbers), row)
    widths = [row[f].shape[0] for f in row.names or ()]
    if len(numbers) < n or numbers.shape[1] != sum(widths):
        raise cut
    parts = np.split(numbers, np.cumsum(widths)[:-1], axis=1)
    with np.errstate(invalid="ignore", over="ignore"):
        for field, part in zip(row.names or (), parts, strict=True):
            table[field] = part
    return table


def _columns(flat: bytes, row: np.dtype, n: int) -> np.ndarray:
    table, at = np.empty(n, row), 0
    for field in row.names or ():
        base, shape = row[field].subdtype or (row[field], (1,))
        table[field] = np.frombuffer(flat, base, n * shape[0], at).reshape(n, -1)
        at += n * row[field].itemsize
    return table


def _colours(table: np.ndarray) -> np.ndarray | None:
    names = table.dtype.names or ()
    field = next((f for f in ("rgb", "rgba") if f in names), None)
    if field is None or table[field].dtype.itemsize != 4:
        return None
    bits = np.ascontiguousarray(table[field][:, :1])
    if table.dtype[field].base.kind == "f":
        bits = bits.astype("<f4")
    bgra = bits.view(np.uint8).reshape(len(table), 4)
    return bgra[:, 2::-1].copy()


def _unlzf(data: bytes, size: int, cut: InputError) -> bytes:
    """LZF: a byte below 32 copies so many literal bytes, plus one; others say how far back and how
    many bytes to repeat (liblzf's format)."""
    out = bytearray()
    at, end = 0, len(data)
    try:
        while at < end and len(out) <= size:
            control = data[at]
            at += 1
            if control < 32:
                out += data[at : at + control + 1]
                at += control + 1
                continue
            length = control >> 5
            if length == 7:
                length += data[at]
                at += 1
            start = len(out) - ((control & 31) << 8) - data[at] - 1
            at += 1
            length += 2
            if start < 0:
                raise cut
            piece = out[start : start + length]
            while len(piece) < length:  # it repeats what it is just writing
                piece += piece[: length - len(piece)]
            out += piece
    except IndexError:
        raise cut from None
    if len(out) != size:
        raise cut
    return bytes(out)


# ---------------------------------------------------------------- .xyz and .las


def read_xyz(data: bytes, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Lines of x y z, and red green blue (0 to 255) if there are three more; the two arrays of
    `read_pcd`. InputError if there are no such lines."""
    lines = io.StringIO(data.decode("ascii", "replace").replace(",", " "))
    first = lines.readline()
    if len(first.split()) >= 3:  # no count of points, as some begin with
        lines.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = np.loadtxt(lines, comments=["#", "//"], ndmin=2)
    except ValueError:
        raise InputError(
            f"{name} has lines that aren't x y z, or x y z red green blue. Export it again."
        ) from None
    if not len(table) or table.shape[1] < 3:
        raise InputError(f"{name} has no lines of x y z. Choose a file with points.")
    colours = table[:, 3:6]
    if colours.shape[1] < 3 or not ((colours >= 0) & (colours <= 255)).all():
        return table[:, :3], None  # normals, or nothing
    return table[:, :3], np.rint(colours).astype(np.uint8)


def read_las(data: bytes, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """What surveyors write; the two arrays of `read_pcd`. Unavailable without laspy, InputError if
    it is damaged."""
    needs("laspy", ".las")
    import laspy  # type: ignore[import-not-found]

    try:
        (count,) = struct.unpack_from("<I", data, 107)
        (record,) = struct.unpack_from("<H", data, 105)
        if count * record > len(data):
            raise ValueError
        las = laspy.read(io.BytesIO(data))
        points = np.column_stack([las.x, las.y, las.z]).astype(np.float64)
        if "red" not in las.point_format.dimension_names:
            return points, None
        wide = np.column_stack([las.red, las.green, las.blue]).astype(np.float64)
    except Exception:  # a parser raises nearly anything: the file is what is wrong
        raise InputError(f"{name} is no .las, or damaged. Export it again.") from None
    return points, np.rint(wide * (255 / 65535 if wide.max() > 255 else 1)).astype(np.uint8)


def needs(package: str, kind: str) -> None:
    """Unavailable if the package that reads files of this kind isn't installed."""
    if importlib.util.find_spec(package) is None:
        raise Unavailable(
            f"Reading {kind} needs the package {package}, which isn't installed. "
            "Export it as .glb, .ply or .obj instead."
        )


POINT_READERS = {".pcd": read_pcd, ".xyz": read_xyz, ".las": read_las}
