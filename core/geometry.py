"""Points and surfaces from files, with a colour at each point, and back into files.

Two things are enough to draw what scanners and modellers make: a cloud is points with colours, and
a mesh is a cloud whose points are joined to triangles. A texture is baked to its corners: each gets
the colour that the picture has there. Formats are read by trimesh, but for those of points alone
(`core/points.py`).

Which way is up no format says, but glTF. The others have habits: y for what modellers draw, z for
what is measured or printed. Coordinates stay as they are; `up` goes along.
"""

from __future__ import annotations

import io
import json
import struct
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from core.points import POINT_READERS, needs
from core.types import InputError

MESHES = (".ply", ".obj", ".stl", ".off", ".glb", ".gltf", ".3mf", ".dae")
CLOUDS = (".ply", ".pcd", ".xyz", ".las")
Y_UP = (".obj", ".off", ".glb", ".gltf", ".dae")
WRITTEN = (".ply", ".glb", ".obj", ".stl")
GREY = (180, 180, 180)
GROWTH, SMALL = 64, 1 << 24  # bytes out of a byte in, and bytes that any file may become
FINEST = 60_000  # triangles that a texture may cut a thing into


@dataclass(frozen=True)
class Cloud:
    """points (P, 3) float32, finite, P ≥ 1; colours (P, 3) uint8 sRGB; up (3,): upright.

    Raises InputError for anything else.
    """

    points: np.ndarray
    colours: np.ndarray
    up: tuple[float, float, float] = (0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        if np.ndim(self.points) != 2 or self.points.shape[1] != 3 or not len(self.points):
            raise InputError("There isn't a single point in it. Give at least one.")
        if np.shape(self.colours) != self.points.shape or self.colours.dtype != np.uint8:
            raise InputError(f"{len(self.points):,} points need as many colours, 3 bytes each.")
        with np.errstate(over="ignore"):
            object.__setattr__(self, "points", np.ascontiguousarray(self.points, np.float32))
        if not np.isfinite(self.points).all():
            raise InputError("Some points are NaN or infinite. Remove them.")

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True, kw_only=True)
class Mesh(Cloud):
    """A cloud whose points are joined: faces (F, 3) int32, F ≥ 1, places of their corners,
    anticlockwise as seen from outside."""

    faces: np.ndarray

    def __post_init__(self) -> None:
        super().__post_init__()
        if np.ndim(self.faces) != 2 or self.faces.shape[1] != 3 or not len(self.faces):
            raise InputError("There isn't a single triangle in it. Give at least one.")
        if self.faces.min() < 0 or self.faces.max() >= len(self.points):
            raise InputError("Some triangles have corners that don't exist. Export it again.")
        object.__setattr__(self, "faces", np.ascontiguousarray(self.faces, np.int32))


def load_geometry(path: str | Path, kind: str = "") -> Cloud | Mesh:
    """The points of a file, and its triangles if it has any. Points that aren't finite are left
    out, with their triangles; without colours they are grey. kind: '.glb', if the name's ending
    says something else.

    Raises InputError if it is damaged or of an unknown ending, Unavailable for .las without laspy.
    """
    path = Path(path)
    kind = kind or path.suffix.lower()
    up = (0.0, 1.0, 0.0) if kind in Y_UP else (0.0, 0.0, 1.0)
    if kind not in MESHES + CLOUDS:
        raise InputError(
            f"{path.name} is of no kind that can be read. Points and surfaces: "
            f"{' '.join(dict.fromkeys(MESHES + CLOUDS))}."
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.name} can't be read ({error.strerror}). Choose a file.") from None
    broken = InputError(f"{path.name} is empty or damaged. Download or export it again.")
    if not data:
        raise broken
    if kind in POINT_READERS:
        return _made(*POINT_READERS[kind](data, path.name), None, up)
    _check(data, kind, path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parts = list(_parts(data, kind, path))
    except InputError:
        raise
    except Exception:  # parsers of eight formats raise nearly anything: the file is what is wrong
        raise broken from None
    if not parts:
        raise broken
    firsts = np.cumsum([0, *(len(points) for points, _, _ in parts)])
    faces = [f + first for (_, _, f), first in zip(parts, firsts[:-1], strict=True) if len(f)]
    points, colours = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    return _made(points, colours, np.concatenate(faces) if faces else None, up)


def _made(
    points: np.ndarray, colours: np.ndarray | None, faces: np.ndarray | None, up: Any
) -> Cloud | Mesh:
    """Cloud or Mesh of points (P, 3), some of which may be no points."""
    with np.errstate(over="ignore", invalid="ignore"):
        points = points.astype(np.float32)
    colours = np.tile(np.array(GREY, np.uint8), (len(points), 1)) if colours is None else colours
    finite = np.asarray(np.isfinite(points).all(1))
    if faces is not None and len(faces):
        if faces.min() < 0 or faces.max() >= len(points):
            raise InputError("Some triangles have corners that don't exist. Export it again.")
        faces = faces[finite[faces].all(1)]
        faces = (np.cumsum(finite) - 1)[faces]
    points, colours = points[finite], colours[finite]
    if faces is None or not len(faces):
        return Cloud(points, colours, up)
    return Mesh(points, colours, up, faces=faces)


# ---------------------------------------------------------------- before a parser sees it


def _check(data: bytes, kind: str, path: Path) -> None:
    """InputError if the file claims more than its bytes can hold, before anything is reserved."""
    most = GROWTH * len(data) + SMALL
    too_much = InputError(
        f"{path.name} claims more than its {len(data):,} bytes can hold. Export it again."
    )
    if kind == ".ply":
        from core.splats.ply import read_header

        header = read_header(io.BytesIO(data), path.name)
        if sum(e.rows for e in header.elements if e.columns or e.rows) > len(data) - header.end:
            raise too_much
    elif kind in (".glb", ".gltf"):
        if _gltf_bytes(data, kind, path.name) > most:
            raise too_much
    elif kind == ".3mf":
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                parts = archive.infolist()
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
            raise InputError(f"{path.name} is a damaged zip. Export it again.") from None
        usual = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        if sum(p.file_size for p in parts) > most or any(
            p.compress_type not in usual for p in parts
        ):
            raise too_much
    elif kind == ".dae" and (b"<!ENTITY" in data or b"\0" in data[:64]):
        raise InputError(f"{path.name} defines words of its own, as attackers do. Export it again.")


def _gltf_bytes(data: bytes, kind: str, name: str) -> int:
    """How many bytes a glTF's tables claim, each as often as the scene shows it at most."""
    broken = InputError(f"{name} isn't a glTF file, or is damaged. Export it again.")
    try:
        if kind == ".glb":
            magic, _, _, length, _ = struct.unpack_from("<4s4I", data)
            if magic != b"glTF" or length > len(data) - 20:
                raise broken
            tree = json.loads(data[20 : 20 + length])
        else:
            tree = json.loads(data)
        per = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
        counts = [int(a["count"]) * per[a["type"]] * 4 for a in tree.get("accessors", [])]
        if any(count < 0 for count in counts):
            raise broken
        meshes = [
            sum(
                counts[p["attributes"]["POSITION"]] + (counts[p["indices"]] if "indices" in p else 0)
                for p in mesh["primitives"] if "POSITION" in p.get("attributes", {})
            )
            for mesh in tree.get("meshes", [])
        ]  # fmt: skip
        shown = sum(meshes[node["mesh"]] for node in tree.get("nodes", []) if "mesh" in node)
        return sum(counts) + shown
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, struct.error,
            RecursionError, OverflowError):  # fmt: skip
        raise broken from None


# ---------------------------------------------------------------- what trimesh gives


def _parts(
    data: bytes, kind: str, path: Path
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Points, colours and faces of each thing in a file, in the scene's coordinates."""
    import trimesh
    from trimesh.resolvers import FilePathResolver

    if kind in (".3mf", ".dae"):
        needs("lxml" if kind == ".3mf" else "collada", kind)
    scene = trimesh.load_scene(
        io.BytesIO(data), file_type=kind[1:], process=False, maintain_order=True,
        resolver=FilePathResolver(str(path.resolve())),
    )  # fmt: skip
    most = GROWTH * len(data) + SMALL
    held = 0
    for node in scene.graph.nodes_geometry:
        matrix, name = scene.graph[node]
        thing = scene.geometry[name]
        if not isinstance(thing, trimesh.Trimesh | trimesh.PointCloud):
            continue  # lines
        if kind == ".stl":
            thing.merge_vertices()  # every triangle has its own corners there
        faces = np.asarray(getattr(thing, "faces", np.zeros((0, 3), int)))
        held += 15 * len(thing.vertices) + 12 * len(faces)
        if held > most:
            raise InputError(f"{path.name} repeats its parts more often than can be shown.")
        if not len(thing.vertices):
            continue
        points, colours, faces = _coloured(np.asarray(thing.vertices), faces, thing, kind, most)
        yield points @ matrix[:3, :3].T + matrix[:3, 3], colours, faces


def _coloured(
    points: np.ndarray, faces: np.ndarray, thing: Any, kind: str, most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, colours (P, 3) uint8 sRGB, and faces: more of each where a texture needs them."""
    from trimesh.visual.color import to_rgba

    linear = kind in (".glb", ".gltf")  # as amounts of light, but for pictures
    if hasattr(thing, "colors"):  # a PointCloud
        found = np.asarray(thing.colors)
    elif thing.visual.kind == "texture":
        material = thing.visual.material
        picture = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
        absent = kind == ".obj" and picture is not None and picture.size == (2, 2)
        if absent:  # trimesh's stand-in for a material whose file isn't here
            found = np.zeros((0, 4))
        elif picture is not None and thing.visual.uv is not None:
            if 4 * picture.width * picture.height > most:
                raise InputError("A texture has more pixels than its bytes can mean.")
            pixels = np.asarray(picture.convert("RGB"))
            points, uv, faces = _cut(points, np.asarray(thing.visual.uv), faces, pixels.shape[:2])
            return points, _baked(pixels, uv), faces
        elif "color" in thing.visual.vertex_attributes:  # a glTF's own, beside its material
            found = to_rgba(thing.visual.vertex_attributes["color"])
        else:
            found = np.tile(np.asarray(material.main_color), (len(points), 1))
    elif thing.visual.kind in ("vertex", "face"):
        found = np.asarray(thing.visual.vertex_colors)
    else:
        found = np.zeros((0, 4))
    if found.shape[0] != len(points) or found.shape[1] < 3:
        return points, np.tile(np.array(GREY, np.uint8), (len(points), 1)), faces
    found = found[:, :3].astype(np.uint8)
    return points, to_srgb(found) if linear else found, faces


def _cut(
    points: np.ndarray, uv: np.ndarray, faces: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut triangles in four until FINEST of them carry the picture, or they are as small as its
    pixels: a box with a picture on it has only eight corners."""
    from trimesh.remesh import subdivide

    texels = np.array([size[1], size[0]])
    while len(faces) and 4 * len(faces) <= FINEST:
        corners = np.nan_to_num(uv, posinf=0.0, neginf=0.0)[faces] * texels
        if np.median(np.linalg.norm(corners - np.roll(corners, 1, 1), axis=2)) < 2:
            break
        cut: Any = subdivide(points, faces, vertex_attributes={"uv": uv})
        points, faces, uv = cut[0], cut[1], cut[2]["uv"]
    return points, uv, faces


def _baked(picture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """The picture's colours (H, W, 3) at uv (P, 2): (0, 0) is its lower left corner, and beyond its
    edges it begins again."""
    height, width = picture.shape[:2]
    whole = np.nan_to_num(uv, nan=0.0, posinf=0.0, neginf=0.0) % 1
    x = (whole[:, 0] * width).astype(int).clip(0, width - 1)
    y = ((1 - whole[:, 1]) * height).astype(int).clip(0, height - 1)
    return picture[y, x]


# ---------------------------------------------------------------- writing


def save_geometry(path: str | Path, thing: Cloud | Mesh) -> Path:
    """A cloud or a mesh as .ply, .glb or .obj, a mesh as .stl (without colours), by the ending.

    Coordinates stay as they are, but in .glb, whose up is y. Raises InputError for another ending.
    """
    import trimesh
    from trimesh.exchange.gltf import export_glb

    path = Path(path)
    kind = path.suffix.lower()
    if kind not in WRITTEN:
        raise InputError(f"It can't be written as {path.suffix!r}. Choose {', '.join(WRITTEN)}.")
    faces = thing.faces if isinstance(thing, Mesh) else None
    if faces is None and kind == ".stl":
        raise InputError(
            "An .stl holds triangles, and these are points. Choose .ply, .glb or .obj."
        )
    if faces is None and kind == ".obj":
        table = np.column_stack([thing.points, thing.colours / 255])
        with path.open("w", encoding="ascii") as file:
            np.savetxt(file, table, "v %.9g %.9g %.9g %.4g %.4g %.4g")
        return path
    points, colours = thing.points, thing.colours
    if kind == ".glb":
        points, colours = points @ upright(thing.up).T, to_linear(colours)
    rgba = np.column_stack([colours, np.full(len(colours), 255, np.uint8)])
    if faces is None:
        made = trimesh.PointCloud(points, rgba)
    else:
        made = trimesh.Trimesh(points, faces, vertex_colors=rgba, process=False, validate=False)
    if kind == ".glb":
        data = export_glb(trimesh.Scene([made]), tree_postprocessor=_unlit)
    else:
        data = made.export(file_type=kind[1:])
    data = cast(str | bytes, data)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def _unlit(tree: dict) -> None:
    """Tell viewers to draw vertex colours as they are, from both sides: their light is in them."""
    tree["materials"] = [{"extensions": {"KHR_materials_unlit": {}}, "doubleSided": True}]
    tree["extensionsUsed"] = ["KHR_materials_unlit"]
    for made in tree["meshes"]:
        for primitive in made["primitives"]:
            primitive["material"] = 0


def upright(up: tuple[float, float, float]) -> np.ndarray:
    """The rotation (3, 3) that takes `up` to y. From z, what was ahead (y) comes to lie at −z."""
    from scipy.spatial.transform import Rotation

    if np.allclose(np.asarray(up) / np.linalg.norm(up), (0, 1, 0)):
        return np.eye(3)
    to_z = Rotation.align_vectors([[0, 0, 1]], [up])[0]
    return np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]) @ to_z.as_matrix()


def to_linear(colours: np.ndarray) -> np.ndarray:
    """sRGB uint8 as linear uint8: glTF's vertex colours are amounts of light."""
    c = np.arange(256) / 255
    light = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return np.rint(255 * light).astype(np.uint8)[colours]


def to_srgb(light: np.ndarray) -> np.ndarray:
    """The way back: linear uint8 as sRGB uint8."""
    c = np.arange(256) / 255
    seen = np.where(c <= 0.0031308, 12.92 * c, 1.055 * c ** (1 / 2.4) - 0.055)
    return np.rint(255 * seen).astype(np.uint8)[light]
