"""COLMAP's own files: cameras, images and points3D, as text or binary.

COLMAP writes world-to-camera poses (a quaternion w x y z and a translation), OpenCV axes, and has
the centre of the first pixel at (0.5, 0.5), as Sightline does. Formats: colmap.github.io/format.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np

from core.nerf.archive import Source
from core.nerf.capture import MAX_FRAMES, Capture, Frame, pinhole, rigid
from core.types import InputError

# id: name, number of parameters; those whose lens we know how to undo
LENSES = {0: ("SIMPLE_PINHOLE", 3), 1: ("PINHOLE", 4), 2: ("SIMPLE_RADIAL", 4), 3: ("RADIAL", 5),
          4: ("OPENCV", 8)}  # fmt: skip
MAX_POINTS = 200_000  # enough to know where the scene is; reading millions in Python takes seconds


def colmap(source: Source) -> Capture:
    """The cameras and points of the COLMAP model in `source`; of several, the largest."""
    found = []
    for end in ("bin", "txt"):
        for name in source.names:
            if PurePosixPath(name).name == f"images.{end}":
                found.append((len(source.read(name)), name, end))
    _, name, end = max(found)
    folder = PurePosixPath(name).parent
    tables = {}
    for table in ("cameras", "images", "points3D"):
        file = str(folder / f"{table}.{end}")
        if file not in source.names and table == "cameras":
            raise InputError(f"COLMAP's cameras.{end} is missing beside {name}. Add it.")
        tables[table] = source.read(file) if file in source.names else b""
    try:
        read = (_cameras_bin, _images_bin, _points_bin)
        if end == "txt":
            read = (_cameras_txt, _images_txt, _points_txt)
        cameras = dict(read[0](tables["cameras"]))
        posed = list(read[1](tables["images"]))
        points = np.array(list(read[2](tables["points3D"])) or np.zeros((0, 3)), np.float64)
    except InputError:
        raise
    except Exception as error:  # cut off, or not COLMAP's: struct, decode, value and key errors
        raise InputError(
            f"COLMAP's files in {folder} are damaged or cut off. Export the model again."
        ) from error
    frames = []
    for picture, q, t, camera_id in sorted(posed, key=lambda row: row[0]):
        if camera_id not in cameras:
            raise InputError(f"{picture} has no camera in COLMAP's cameras.{end}. Export again.")
        K, lens, width, height = cameras[camera_id]
        frames.append(Frame(picture, _c2w(picture, q, t), K, lens, width, height))
    return Capture(tuple(frames), points, root=str(folder))


def _c2w(name: str, q: np.ndarray, t: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(q))
    if not (np.isfinite(q).all() and np.isfinite(t).all() and length > 1e-9):
        raise InputError(f"The pose of {name} isn't finite numbers. Leave the picture out.")
    from scipy.spatial.transform import Rotation

    w2c = np.eye(4)
    w2c[:3, :3] = Rotation.from_quat(np.roll(q, -1)).as_matrix()
    w2c[:3, 3] = t
    return rigid(np.linalg.inv(w2c), name)


def _intrinsics(model: str, width: int, height: int, p: list[float]):
    """K, distortion (k1, k2, p1, p2, k3), and the size, from a model's parameters."""
    if model not in [name for name, _ in LENSES.values()]:
        raise InputError(
            f"COLMAP's camera model {model} is unknown here. Undistort with COLMAP first, or use "
            f"one of {', '.join(name for name, _ in LENSES.values())}."
        )
    one = model in ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL")
    (fx, fy), (cx, cy, *lens) = (p[0], p[0] if one else p[1]), p[1 if one else 2 :]
    return pinhole(fx, fy, cx, cy, width, height), _five(lens), width, height


def _five(lens: list[float]) -> tuple[float, ...]:
    return tuple([*lens, 0.0, 0.0, 0.0, 0.0, 0.0][:5])


# ---------------------------------------------------------------- text


def _lines(data: bytes) -> list[str]:
    return [line for line in data.decode("utf-8").splitlines() if not line.startswith("#")]


def _cameras_txt(data: bytes) -> Iterator:
    for line in _lines(data):
        if words := line.split():
            given = [float(w) for w in words[4:]]
            sizes = dict(LENSES.values())
            if len(given) < sizes.get(words[1], 0):
                raise ValueError("too few parameters")
            yield int(words[0]), _intrinsics(words[1], int(words[2]), int(words[3]), given)


def _images_txt(data: bytes) -> Iterator:
    lines = _lines(data)
    while lines and not lines[0].strip():
        lines.pop(0)
    for line in lines[::2]:  # every second line lists what the picture sees, and may be empty
        if words := line.split(maxsplit=9):
            q, t = np.array(words[1:5], np.float64), np.array(words[5:8], np.float64)
            yield words[9].strip(), q, t, int(words[8])


def _points_txt(data: bytes) -> Iterator:
    for line in _lines(data)[:MAX_POINTS]:
        if words := line.split(maxsplit=4):
            yield [float(w) for w in words[1:4]]


# ---------------------------------------------------------------- binary


def _count(data: bytes, smallest: int, most: int) -> int:
    """How many entries follow. A damaged file claims more than its bytes can hold."""
    (n,) = struct.unpack_from("<Q", data)
    if n * smallest > len(data) or n > most:
        raise ValueError(f"{n} entries in {len(data)} bytes")
    return n


def _cameras_bin(data: bytes) -> Iterator:
    at = 8
    for _ in range(_count(data, 48, MAX_FRAMES)):
        key, model, width, height = struct.unpack_from("<iiQQ", data, at)
        name, size = LENSES.get(model, (f"number {model}", 0))
        given = list(struct.unpack_from(f"<{size}d", data, at + 24))
        at += 24 + 8 * size
        yield key, _intrinsics(name, width, height, given)


def _images_bin(data: bytes) -> Iterator:
    at = 8
    for _ in range(_count(data, 73, MAX_FRAMES)):
        values = struct.unpack_from("<i7di", data, at)
        stop = data.index(b"\0", at + 64)
        (seen,) = struct.unpack_from("<Q", data, stop + 1)
        name = data[at + 64 : stop].decode("utf-8")
        at = stop + 9 + 24 * seen
        if at > len(data):
            raise ValueError("cut off")
        yield name, np.array(values[1:5]), np.array(values[5:8]), values[8]


def _points_bin(data: bytes) -> Iterator:
    if not data:
        return
    at = 8
    for _ in range(min(_count(data, 51, 2**40), MAX_POINTS)):
        yield struct.unpack_from("<3d", data, at + 8)
        (track,) = struct.unpack_from("<Q", data, at + 43)
        at += 51 + 8 * track
