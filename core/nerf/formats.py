"""Transforms files and LLFF: the two ways in which NeRF papers write cameras down.

`transforms*.json` (Blender, instant-ngp, nerfstudio) holds camera-to-world matrices with OpenGL's
axes: y up, z backwards. LLFF's `poses_bounds.npy` holds them with axes down, right, backwards, and
the nearest and furthest depth of each picture. The world stays as it is; only the camera's own axes
are turned to OpenCV's.
"""

from __future__ import annotations

import io
import json
import math
from pathlib import PurePosixPath

import numpy as np

from core.nerf.archive import Source
from core.nerf.capture import MAX_FRAMES, TURN, Capture, Frame, pinhole, rigid
from core.types import InputError


def transforms(source: Source, files: list[str]) -> Capture:
    """The cameras of transforms*.json; those of ..._test (else ..._val) are held out."""
    by_split = {_split(f): f for f in files}
    if "train" in by_split:
        held = "test" if "test" in by_split else "val"
        chosen = [by_split[s] for s in ("train", held) if s in by_split]
    else:
        chosen = [by_split.get("", files[0])]
    frames: list[Frame] = []
    points, box = np.zeros((0, 3)), None
    for file in chosen:
        root = str(PurePosixPath(file).parent)
        told = _json(source, file)
        rows = told.get("frames")
        if not isinstance(rows, list) or not rows:
            raise InputError(f"{file} lists no frames. Export the cameras again.")
        if len(rows) > MAX_FRAMES:
            raise InputError(f"{file} lists {len(rows)} frames, more than {MAX_FRAMES}. Use fewer.")
        listed = told.get("test_filenames") or []
        if not isinstance(listed, list):
            raise InputError(f"{file}'s test_filenames is no list of names. Correct the file.")
        held_names = {str(n) for n in listed}
        for row in rows:
            frames.append(_frame(told, row, file, _split(file) in ("test", "val"), held_names))
        box = _box(told.get("aabb")) if box is None else box
        ply = told.get("ply_file_path")
        if isinstance(ply, str) and (name := source.find(ply, root)):
            points = ply_points(source.read(name), name)
    if held_names and not any(f.held for f in frames):
        raise InputError(f"{chosen[-1]}'s test_filenames name no frame of it. Correct the file.")
    return Capture(tuple(frames), points, box, root=str(PurePosixPath(chosen[0]).parent))


def _split(file: str) -> str:
    """'train', 'test', 'val' or ''."""
    stem = PurePosixPath(file).stem
    return next((s for s in ("train", "test", "val") if stem.endswith("_" + s)), "")


def _json(source: Source, file: str) -> dict:
    try:
        told = json.loads(source.read(file))
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} isn't JSON, or is cut off. Export the cameras again.") from error
    if not isinstance(told, dict):
        raise InputError(f"{file} isn't a transforms file. Export the cameras again.")
    return told


def _frame(told: dict, row: object, file: str, held: bool, held_names: set[str]) -> Frame:
    if not isinstance(row, dict) or not isinstance(row.get("file_path"), str):
        raise InputError(f"A frame of {file} has no file_path. Export the cameras again.")
    name = row["file_path"]
    model = str(row.get("camera_model", told.get("camera_model", "OPENCV"))).upper()
    if "FISHEYE" in model or "EQUIRECT" in model or row.get("is_fisheye", told.get("is_fisheye")):
        raise InputError(
            f"{name} was taken by a {model.lower()} lens, which isn't known here. Undistort the "
            "pictures first."
        )

    def number(key: str, default: float = 0.0) -> float:
        value = row.get(key, told.get(key, default))
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{key} of {name} in {file} isn't a number. Correct it.")
        if not abs(value) <= 1e9:  # NaN too, and whole numbers that no float can hold
            raise InputError(f"{key} of {name} in {file} isn't a finite number. Correct it.")
        return float(value)

    lens = tuple(number(k) for k in ("k1", "k2", "p1", "p2", "k3"))
    c2w = rigid(rigid(row.get("transform_matrix"), name) @ TURN, name)
    width, height, fx = int(number("w")), int(number("h")), number("fl_x")
    fov_deg = math.degrees(number("camera_angle_x"))
    if not fx and not 0 < fov_deg < 179:
        raise InputError(f"{file} gives {name} no focal length. Add fl_x or camera_angle_x.")
    K = None
    if width and height:
        fx = fx or width / 2 / math.tan(math.radians(fov_deg) / 2)
        fy, cx, cy = number("fl_y", fx), number("cx", width / 2), number("cy", height / 2)
        K = pinhole(fx, fy, cx, cy, width, height)
    elif fx:  # no size is told: the centre tells it, or the picture does
        cx, cy = number("cx"), number("cy")
        K = np.array([[fx, 0, cx], [0, number("fl_y", fx), cy], [0, 0, 1.0]])
        if min(fx, K[1, 1]) <= 0:
            raise InputError(f"{name} has a focal length below 0 in {file}. Correct it.")
    held = held or name in held_names
    return Frame(name, c2w, K, lens, width, height, fov_deg, held)


def _box(told: object) -> np.ndarray | None:
    """An axis-aligned box, if it is one. A bare aabb_scale says how far instant-ngp looked, not
    where the scene is, so it isn't used."""
    try:
        box = np.asarray(told, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    fine = box.shape == (2, 3) and np.isfinite(box).all() and (box[0] < box[1]).all()
    return box if fine else None


def llff(source: Source, file: str) -> Capture:
    """The cameras and depths of poses_bounds.npy, for the pictures beside it in name order."""
    try:
        rows = np.load(io.BytesIO(source.read(file)), allow_pickle=False)
        rows = np.asarray(rows, np.float64)
    except InputError:
        raise
    except Exception as error:  # numpy raises several kinds for what isn't its own
        raise InputError(f"{file} isn't a NumPy file, or is cut off. Export it again.") from error
    if rows.ndim != 2 or rows.shape[1] != 17 or not 0 < len(rows) <= MAX_FRAMES:
        raise InputError(
            f"{file} has shape {rows.shape}; LLFF's is (pictures, 17). Export it again."
        )
    if not np.isfinite(rows[:, -2:]).all() or not (rows[:, -2] > 0).all():
        raise InputError(f"{file} holds depths that aren't above 0. Export it again.")
    folders: dict[str, list[str]] = {}
    for name in source.pictures():
        folders.setdefault(str(PurePosixPath(name).parent), []).append(name)
    fitting = [f for f, names in folders.items() if len(names) == len(rows)]
    if not fitting:
        most = max(map(len, folders.values()), default=0)
        raise InputError(
            f"{file} has {len(rows)} poses, but there are {most} pictures. Give one for each pose."
        )
    exact = [f for f in fitting if PurePosixPath(f).name == "images"]
    names = sorted(folders[(exact or fitting)[0]])
    frames = []
    for name, row in zip(names, rows, strict=True):
        m = row[:15].reshape(3, 5)
        c2w = rigid(np.column_stack([m[:, 1], m[:, 0], -m[:, 2], m[:, 3]]), name)
        if not np.isfinite(m[:, 4]).all() or m[:2, 4].min() < 1 or m[:2, 4].max() > 1e5:
            raise InputError(f"{file} gives {name} an impossible size. Export it again.")
        height, width, f = int(m[0, 4]), int(m[1, 4]), float(m[2, 4])
        K = pinhole(f, f, width / 2, height / 2, width, height)
        frames.append(Frame(name, c2w, K, width=width, height=height))
    return Capture(tuple(frames), ranges=rows[:, -2:])


def ply_points(data: bytes, name: str) -> np.ndarray:
    """(P, 3) float64: x, y, z of a point cloud, binary little-endian or text."""
    kinds = {"float": "f4", "float32": "f4", "double": "f8", "float64": "f8", "uchar": "u1",
             "uint8": "u1", "char": "i1", "int8": "i1", "short": "i2", "ushort": "u2",
             "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4"}  # fmt: skip
    try:
        end = data.index(b"end_header\n") + 11
        lines = [line.split() for line in data[:end].decode("ascii").splitlines()]
        at = next(i for i, w in enumerate(lines) if w[:1] == ["element"])
        if lines[at][1] != "vertex":
            raise ValueError("the first element isn't a vertex")
        columns = []
        for words in lines[at + 1 :]:
            if words[0] != "property":
                break
            columns.append((words[2], "<" + kinds[words[1]]))
        n = int(lines[at][2])
        if lines[1][1] == "ascii":
            table = np.loadtxt(io.BytesIO(data[end:]), max_rows=n, ndmin=2)
            order = [c for c, _ in columns]
            return table[:, [order.index(a) for a in "xyz"]]
        table = np.frombuffer(data, np.dtype(columns), n, end)
        return np.stack([table[a] for a in "xyz"], 1).astype(np.float64)
    except Exception as error:  # cut off, other bytes, other columns
        raise InputError(f"{name} isn't a point cloud, or is cut off. Leave it out.") from error
