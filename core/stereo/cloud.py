"""Disparity as things in space: coloured points, and a surface torn where depth jumps.

Every pixel with a disparity becomes a point on its own ray. Two kinds of pixels spoil the view
and are left out: unknown ones, and flying ones. These lie between a thing and what is behind it,
where a matcher smoothed over the jump; in space they hang in the air as a veil around every edge.

Points keep the left camera's axes, x right, y down, z ahead, and the rig's unit. Files are in
metres. glTF wants y up and z towards the viewer, so a .glb is turned, and stands upright.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.geometry import to_linear
from core.images import as_rgb
from core.stereo.types import StereoResult
from core.types import METRES, InputError, Rig

if TYPE_CHECKING:
    from trimesh.parent import Geometry

JUMP_PX, JUMP = 1.0, 0.03  # neighbours farther apart in disparity, px and share, are two things
FAR = 10.0  # medians of depth; what is farther is cut unless asked for
GLTF_AXES = np.array([1, -1, -1])


@dataclass(frozen=True)
class Cloud:
    """points (N, 3) float32 in `unit`, in the left camera's axes; colours (N, 3) uint8 RGB;
    normals (N, 3) float32 towards the camera, of length 1, or None."""

    points: np.ndarray
    colours: np.ndarray
    unit: str = "m"
    normals: np.ndarray | None = None

    def metres(self) -> np.ndarray:
        """The points in metres: (N, 3) float32."""
        return (self.points * METRES[self.unit]).astype(np.float32)


@dataclass(frozen=True)
class Mesh:
    """A cloud whose points are joined: faces (M, 3) int32 are places in the cloud, anticlockwise
    as seen from the camera."""

    cloud: Cloud
    faces: np.ndarray


def point_cloud(
    disparity: StereoResult | np.ndarray,
    rig: Rig,
    image: Any,
    *,
    step: int = 1,
    nearest: float = 0.0,
    farthest: float | None = None,
    clean: bool = True,
    normals: bool = False,
) -> Cloud:
    """The pixels of disparity (H, W) px in space, coloured by image, whatever `as_rgb` takes.

    Every step-th pixel of every step-th row is taken. nearest and farthest cut the depth, in
    rig.unit; without farthest that is ten times the median, since a few pixels with a disparity
    near 0 would lie kilometres away. clean leaves out flying pixels.
    Raises InputError if the sizes differ or no pixel is left.
    """
    grid, kept, colours, _ = _grid(disparity, rig, image, step, nearest, farthest, clean)
    directions = _normals(grid)[kept] if normals else None
    return Cloud(grid[kept].astype(np.float32), colours[kept], rig.unit, directions)


def mesh(
    disparity: StereoResult | np.ndarray,
    rig: Rig,
    image: Any,
    *,
    step: int = 1,
    nearest: float = 0.0,
    farthest: float | None = None,
) -> Mesh:
    """The same as a surface: neighbouring pixels joined by triangles, but not across jumps."""
    grid, kept, colours, d = _grid(disparity, rig, image, step, nearest, farthest, True)
    number = np.full(kept.shape, -1)
    number[kept] = np.arange(kept.sum())
    corners = np.s_[:-1, :-1], np.s_[1:, :-1], np.s_[:-1, 1:], np.s_[1:, 1:]
    n, at = [number[c] for c in corners], [d[c] for c in corners]
    faces = []
    for triangle in ((0, 1, 2), (2, 1, 3)):
        whole = np.all([n[k] >= 0 for k in triangle], axis=0)
        three = np.stack([at[k] for k in triangle])
        low, high = three.min(0), three.max(0)
        with np.errstate(invalid="ignore"):
            whole &= high - low <= step * _jump(low)
        faces.append(np.stack([n[k][whole] for k in triangle], axis=1))
    joined = np.concatenate(faces).astype(np.int32)
    return Mesh(Cloud(grid[kept].astype(np.float32), colours[kept], rig.unit), joined)


def step_for(shape: tuple[int, ...], most: int = 150_000) -> int:
    """The least step with which a map of this shape (H, W) gives at most `most` points."""
    step = 1
    while -(-shape[0] // step) * -(-shape[1] // step) > most:
        step += 1
    return step


def _grid(
    disparity: StereoResult | np.ndarray, rig: Rig, image: Any, step: int,
    nearest: float, farthest: float | None, clean: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Points (h, w, 3) in rig.unit, which of them are kept, colours, and d + doffs in px."""
    from core.stereo.geometry import triangulate

    image = as_rgb(image)
    known = disparity.disparity if isinstance(disparity, StereoResult) else np.asarray(disparity)
    if known.ndim != 2 or image.shape != (*known.shape, 3):
        sizes = ["×".join(map(str, a.shape[1::-1])) for a in (known, image)]
        raise InputError(
            f"The disparity map is {sizes[0]} px, the picture {sizes[1]} px. Give the left picture "
            "that the disparities belong to."
        )
    if step < 1:
        raise InputError(f"Every {step}th pixel makes no cloud. Choose a step of 1 or more.")
    full = known.astype(np.float64) + rig.doffs_px
    flying = _flying(full) if clean else np.zeros(full.shape, bool)
    every = np.s_[step // 2 :: step] if min(full.shape) > step // 2 else np.s_[::step]
    d, flying, colours = full[every, every], flying[every, every], image[every, every]
    rows, columns = np.arange(full.shape[0])[every], np.arange(full.shape[1])[every]
    left = np.stack(np.meshgrid(columns + 0.5, rows + 0.5), -1).reshape(-1, 2)
    shift = np.stack([d.ravel() - rig.doffs_px, np.zeros(d.size)], -1)
    points = triangulate(left, left - shift, rig).reshape(*d.shape, 3)
    z = points[..., 2]
    with np.errstate(invalid="ignore"):
        kept = np.isfinite(points).all(-1) & (z > nearest) & ~flying
    if kept.any():
        kept &= z <= (FAR * np.median(z[kept]) if farthest is None else farthest)
    if not kept.any():
        raise InputError(
            "No pixel has a depth that can be shown. Check the rig and the range of disparities."
        )
    return points, kept, colours, d


def _jump(d: np.ndarray) -> np.ndarray:
    """How much disparity may change from pixel to pixel on one surface, px."""
    return np.maximum(JUMP_PX, JUMP * d)


def _flying(d: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels that jump both ways, up from one neighbour and on to the opposite one.

    On a surface the steps are small, at a clean edge only one is large; a wire, nearer than both
    sides, isn't between them.
    """
    found = np.zeros(d.shape, bool)
    with np.errstate(invalid="ignore"):
        for values, out in ((d, found), (d.T, found.T)):
            step = np.diff(values, axis=1)
            big = np.abs(step) > _jump(np.minimum(values[:, 1:], values[:, :-1]))
            same_way = step[:, 1:] * step[:, :-1] > 0
            out[:, 1:-1] |= big[:, 1:] & big[:, :-1] & same_way
    return found


def _normals(points: np.ndarray) -> np.ndarray:
    """Unit normals (h, w, 3) float32 of a grid of points; towards the camera where unknown."""
    ahead = -points / np.linalg.norm(points, axis=-1, keepdims=True)
    if min(points.shape[:2]) < 2:
        return ahead.astype(np.float32)
    with np.errstate(invalid="ignore", divide="ignore"):
        down, right = np.gradient(points, axis=(0, 1))
        n = np.cross(down, right)
        n /= np.linalg.norm(n, axis=-1, keepdims=True)
    return np.where(np.isfinite(n).all(-1, keepdims=True), n, ahead).astype(np.float32)


# ---------------------------------------------------------------- files


def write_ply(cloud: Cloud, path: str | Path) -> Path:
    """A binary .ply in metres, in the camera's axes: x right, y down, z ahead."""
    path = Path(path)
    names = ["x", "y", "z"]
    values = [cloud.metres()]
    if cloud.normals is not None:
        names += ["nx", "ny", "nz"]
        values.append(cloud.normals)
    fields = [(name, "<f4") for name in names]
    rows = np.zeros(len(cloud.points), [*fields, *((c, "u1") for c in ("red", "green", "blue"))])
    for name, column in zip(names, np.hstack(values).T, strict=True):
        rows[name] = column
    for name, column in zip(("red", "green", "blue"), cloud.colours.T, strict=True):
        rows[name] = column
    head = ["ply", "format binary_little_endian 1.0"]
    head += ["comment metres; the left camera's axes: x right, y down, z ahead"]
    head += [f"element vertex {len(rows)}", *(f"property float {name}" for name in names)]
    head += ["property uchar red", "property uchar green", "property uchar blue", "end_header", ""]
    path.write_bytes("\n".join(head).encode() + rows.tobytes())
    return path


def write_glb(cloud: Cloud, path: str | Path) -> Path:
    """The points as .glb, in metres, y up and the camera looking along −z, as glTF has it."""
    import trimesh

    vertices = cloud.metres() * GLTF_AXES
    return _export(trimesh.PointCloud(vertices, to_linear(cloud.colours)), path)


def write_mesh_glb(mesh: Mesh, path: str | Path) -> Path:
    """The surface as .glb, in metres and glTF's axes."""
    import trimesh

    vertices = mesh.cloud.metres() * GLTF_AXES
    made = trimesh.Trimesh(
        vertices,
        mesh.faces,
        vertex_colors=to_linear(mesh.cloud.colours),
        process=False,
        validate=False,
    )
    return _export(made, path)


def _export(geometry: Geometry, path: str | Path) -> Path:
    import trimesh
    from trimesh.exchange.gltf import export_glb

    def unlit(tree: dict) -> None:
        """A photo's colours have their light in them already: viewers must add none."""
        tree["materials"] = [{"extensions": {"KHR_materials_unlit": {}}, "doubleSided": True}]
        tree["extensionsUsed"] = ["KHR_materials_unlit"]
        for made in tree["meshes"]:
            for primitive in made["primitives"]:
                primitive["material"] = 0

    path = Path(path)
    path.write_bytes(export_glb(trimesh.Scene([geometry]), tree_postprocessor=unlit))
    return path
