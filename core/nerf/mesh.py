"""A surface out of fog: marching cubes on a field's density.

Density has no surface in it, so one has to be chosen: all points of one density, the level. Where a
ray meets a thing head on, density climbs from nothing to much within a few cells, and the light is
half stopped a little way in, at a density that says what "much" is in this field: its median over
many rays. But outlines are drawn by rays that graze. At depth d in a ball of radius R these run on
for 2√(2 R d), ten to twenty times d where d is a few hundredths of R; so they are half stopped at
a tenth of that density. There, at the foot of the climb, the pictures have the surface.

Two things would spoil the mesh. What no camera sees is anything at all, for nothing trained it:
outside all pictures it is left out; behind the surfaces it is taken as solid, or every thing
would have a second, inner skin. And crumbs of fog in the air pass the level too: small pieces are
dropped. (Lorensen & Cline 1987)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from core.cameras import project, rays
from core.geometry import Mesh
from core.nerf import march
from core.nerf.outputs import looks, part, some_cameras, up_of
from core.nerf.types import Seen, Views
from core.nerf.volume import weights
from core.types import Camera, InputError, Progress, silent

if TYPE_CHECKING:
    from core.nerf.fields import Field

GRAZE = 0.1  # the level, as a share of the density at which rays head on are half stopped
SLAB = 2**18  # points asked at a time
LOOK_PX = 150_000  # of all depth maps, which say what is hidden
STEPS = 256  # along a ray, where the level is looked for
BEYOND = 0.3  # of the box's longest side: an endless field's surface goes on so far around it
HALVINGS = 6  # of two cells, while vertices settle
CRUMB = 0.01  # pieces with a smaller share of the largest one's faces are dropped
NOTHING = (
    "The field is nowhere dense enough for a surface. Train it for longer, or lower the level."
)


def to_mesh(
    field: Field,
    views: Views | None = None,
    *,
    resolution: int = 192,
    level: float | None = None,
    progress: Progress = silent,
) -> Mesh:
    """The field's surface in its box, with the colours it shows from outside; if it has no end
    there, also somewhat beyond the box, which then holds only where most is seen.

    resolution: cells along the box's longest side, 16 to 512; memory grows with its cube, some ten
    bytes a cell. level: density per unit of length, found by itself as said above. With views,
    only what their training cameras see. Raises InputError when nothing is dense.
    """
    if not 16 <= resolution <= 512:
        raise InputError(f"A grid of {resolution} cells a side is out of range. Choose 16 to 512.")
    low, high = field.bounds
    if field.unbounded:
        beyond = BEYOND * (high - low).max()
        low, high = low - beyond, high + beyond
    cell = float((high - low).max()) / resolution
    sides = [low[k] + cell * np.arange(int((high - low)[k] / cell) + 1) for k in range(3)]
    if level is None:
        level = GRAZE * dense_level(field, views)
    if not (np.isfinite(level) and level > 0):
        raise InputError(f"A density of {level:g} is no level. Give a number above 0.")
    seen = list(looks(field, views, LOOK_PX, part(progress, 0, 0.5))) if views else []
    cameras = tuple(camera for camera, _ in seen)
    sigma = np.zeros([len(side) for side in sides], np.float32)
    known = np.ones(sigma.shape, bool)
    thick = max(1, SLAB // (sigma.shape[1] * sigma.shape[2]))
    for start in range(0, len(sigma), thick):
        progress(0.5 + 0.4 * start / len(sigma), desc="asking for densities")
        slab = np.s_[start : start + thick]
        points = np.stack(np.meshgrid(sides[0][slab], *sides[1:], indexing="ij"), -1)
        flat = points.reshape(-1, 3)
        dense = _densities(field, flat)
        if seen:
            free, hidden = _seen(flat, seen, cell)
            dense[hidden] = np.maximum(dense[hidden], 2 * level)
            known[slab] = (free | hidden).reshape(points.shape[:3])
        sigma[slab] = dense.reshape(points.shape[:3])
    vertices, faces = _marched(sigma, known, level)
    vertices, faces = _without_crumbs(vertices, faces)
    points = (low + cell * vertices).astype(np.float32)
    progress(0.9, desc="asking for colours")
    points = _settled(field, points, _normals(points, faces), cell, level)
    normals = _normals(points, faces)
    colours = _colours(field, points, normals, cell, cameras)
    return Mesh(points, colours, up_of(views) if views else (0.0, 0.0, 1.0), faces=faces)


def dense_level(field: Field, views: Views | None = None, rays_n: int = 2048) -> float:
    """The median density at which rays' light is half stopped: of pixels of the training views,
    or, without views, of rays that cross the box along its axes. InputError if none is stopped."""
    rng = np.random.default_rng(0)
    low, high = field.bounds
    if views:
        cameras = some_cameras(views)
        each = -(-rays_n // len(cameras))
        pairs = [rays(c, rng.random((each, 2)) * (c.width, c.height)) for c in cameras]
        origins, along = (np.concatenate(part) for part in zip(*pairs, strict=True))
    else:
        origins = low + rng.random((rays_n, 3)) * (high - low)
        side, forth = rng.integers(0, 3, rays_n), rng.choice((-1.0, 1.0), rays_n)
        along = np.zeros((rays_n, 3))
        along[np.arange(rays_n), side] = forth
        origins[np.arange(rays_n), side] = np.where(forth > 0, low[side], high[side])
    with np.errstate(divide="ignore", invalid="ignore"):
        gates = np.stack([(low - origins) / along, (high - origins) / along])
    enter = np.nanmax(gates.min(0), axis=1).clip(min=0)
    leave = np.nanmin(gates.max(0), axis=1)
    crosses = leave > enter + 1e-9
    found = [
        _half_stopped(field, *(a[crosses][k : k + 512] for a in (origins, along, enter, leave)))
        for k in range(0, int(crosses.sum()), 512)
    ]
    stopped = np.concatenate([np.zeros(0), *found])
    if not len(stopped):
        raise InputError(NOTHING)
    return float(np.median(stopped))


def _half_stopped(
    field: Field, origins: np.ndarray, along: np.ndarray, enter: np.ndarray, leave: np.ndarray
) -> np.ndarray:
    """Densities where the light of rays (R, 3), from enter to leave, falls below a half: of those
    (≤ R,) that are stopped so far."""
    import torch

    step = (leave - enter) / STEPS
    t = enter[:, None] + (np.arange(STEPS) + 0.5) * step[:, None]
    points = origins[:, None] + t[..., None] * along[:, None]
    sigma = torch.from_numpy(_densities(field, points.reshape(-1, 3))).view(t.shape)
    w, reach, _ = weights(sigma, torch.from_numpy(step.astype(np.float32))[:, None])
    left = reach - w  # what goes on behind each step
    stopped = left[:, -1] < 0.5
    first = (left < 0.5).float().argmax(1)
    return sigma.gather(1, first[:, None])[:, 0][stopped].numpy()


def _densities(field: Field, points: np.ndarray) -> np.ndarray:
    """σ (N,) float32 at points (N, 3), 0 where the field holds nothing."""
    import torch

    found = np.zeros(len(points), np.float32)
    with torch.no_grad():
        for k in range(0, len(points), SLAB):
            x = torch.from_numpy(points[k : k + SLAB].astype(np.float32)).to(field.device)
            asked = march.may_hold(field, x).nonzero()[:, 0]
            if len(asked):
                dense = field.density(x[asked])[0]
                found[k + asked.cpu().numpy()] = dense.cpu().numpy()
    return found


def _seen(
    points: np.ndarray, seen: list[tuple[Camera, Seen]], cell: float
) -> tuple[np.ndarray, np.ndarray]:
    """(N,) bool each: points that some camera sees in front of what stops its light, and points
    that are in pictures but always behind it, by half a cell."""
    open_ones = np.arange(len(points))
    free, shown = np.zeros(len(points), bool), np.zeros(len(points), bool)
    for camera, view in seen:
        assert view.depth_m is not None
        xy, z = project(camera, points[open_ones])
        with np.errstate(invalid="ignore"):
            inside = (z > 0) & ((xy >= 0) & (xy < (camera.width, camera.height))).all(1)
        column, row = xy[inside].astype(int).T
        depth = view.depth_m[row, column]
        before = ~(z[inside] > depth + cell / 2)  # no depth: the camera looks through
        shown[open_ones[inside]] = True
        free[open_ones[inside][before]] = True
        open_ones = open_ones[~free[open_ones]]
    return free, shown & ~free


def _marched(sigma: np.ndarray, known: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) in cells and faces (F, 3) of the surface σ = level, where it is known."""
    from scipy.ndimage import binary_erosion
    from skimage.measure import marching_cubes

    inner = cast(np.ndarray, binary_erosion(known, np.ones((3, 3, 3)), border_value=True))
    if not (sigma[inner] > level).any() or not (sigma[inner] < level).any():
        raise InputError(NOTHING)
    # above twice the level all is solid: interpolation then looks at the climb, not at the peak
    vertices, faces, _, _ = marching_cubes(np.minimum(sigma, 2 * level), level, mask=inner)
    if not len(faces):
        raise InputError(NOTHING)
    return vertices, faces[:, ::-1].astype(np.int32)


def _without_crumbs(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pieces with at least CRUMB of the largest one's faces, and the vertices they use."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = np.concatenate([faces[:, :2], faces[:, 1:]])
    n = len(vertices)
    joined = coo_array((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), (n, n))
    piece = np.asarray(connected_components(joined, directed=False)[1])[faces[:, 0]]
    size = np.bincount(piece)
    faces = faces[size[piece] >= CRUMB * size.max()]
    used, renumbered = np.unique(faces, return_inverse=True)
    return vertices[used], renumbered.reshape(faces.shape).astype(np.int32)


def _settled(
    field: Field, points: np.ndarray, normals: np.ndarray, cell: float, level: float
) -> np.ndarray:
    """Vertices moved along their normals, by a cell at most, to where σ is the level: between
    grid points density is no straight line. One that finds no such place stays."""
    low, high = np.full(len(points), -cell), np.full(len(points), cell)
    outer, inner = (_densities(field, points + t[:, None] * normals) for t in (high, low))
    crosses = (outer < level) & (inner >= level)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        dense = _densities(field, points + middle[:, None] * normals) >= level
        low, high = np.where(dense, middle, low), np.where(dense, high, middle)
    shift = np.where(crosses, (low + high) / 2, 0.0)
    return (points + shift[:, None] * normals).astype(np.float32)


def _normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) float32 of length 1: outward, means of the faces around, by their area."""
    a, b, c = (points[faces[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    normals = np.zeros_like(points)
    for k in range(3):
        np.add.at(normals, faces[:, k], across)
    return normals / np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-20)


def _colours(
    field: Field, points: np.ndarray, normals: np.ndarray, cell: float, cameras: tuple[Camera, ...]
) -> np.ndarray:
    """(V, 3) uint8: what a short ray straight onto each vertex sees, from a cell before it to
    three behind; in the tone that the camera gets which faces it best, for no other is learned."""
    import torch

    t = torch.linspace(-1, 3, 9)[:, None] * cell
    eyes = np.array([camera.c2w[:3, 3] for camera in cameras])
    found = []
    with torch.no_grad():
        for k in range(0, len(points), SLAB // 16):
            p, n = points[k : k + SLAB // 16], normals[k : k + SLAB // 16]
            gaze = -n
            if len(eyes):
                to = p[:, None] - eyes
                to /= np.linalg.norm(to, axis=2, keepdims=True)
                best = (to * -n[:, None]).sum(2).argmax(1)
                gaze = to[np.arange(len(p)), best]
            p, n, gaze = (torch.from_numpy(a.astype(np.float32)) for a in (p, n, gaze))
            x = (p[:, None] - t * n[:, None]).reshape(-1, 3).to(field.device)
            sigma, carried = field.density(x)
            w = weights(sigma.view(len(p), len(t)), torch.tensor(cell / 2))[0] + 1e-9
            colour = field.colour(carried, gaze.to(field.device).repeat_interleave(len(t), 0))
            seen = (w[..., None] * colour.view(len(p), len(t), 3)).sum(1) / w.sum(1, keepdim=True)
            found.append((seen * 255).round().cpu().numpy().astype(np.uint8))
    return np.concatenate(found)
