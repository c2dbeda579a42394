"""The same scenes for other tools: exact meshes, and Gaussians that lie on the surfaces.

A renderer that knows a sphere by its formula needs no triangles; a 3-D viewer does. Every vertex
lies exactly on its surface (only the flat triangles between them cut corners), and every Gaussian
is a thin disc in the surface it was sampled from. Colours are albedo, so no light is baked in.
Axes stay the world's: metres, z up.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from core.scenes.types import Scene, Thing
from core.scenes.world import bounding_radius, half_size, pack, quat_to_matrix, waves_of
from core.types import InputError

if TYPE_CHECKING:
    import trimesh

SH_DC = 0.28209479177387814  # 1 / (2·√π), the constant spherical harmonic


def to_mesh(scene: Scene, detail: int = 64) -> trimesh.Trimesh:
    """One mesh of all things, with sRGB uint8 colours (V, 4) at its vertices.

    detail: segments around a round thing, and cells along each side of a textured flat one, 8 to
    512. Solids are watertight and wound outwards; planes and height fields are open sheets that
    face up. An endless plane is cut off 1.5 times as far away as the rest of the scene reaches.
    """
    import trimesh

    if not 8 <= detail <= 512:
        raise InputError(f"A mesh of detail {detail} isn't made. Choose from 8 to 512.")
    points, faces, colours = [np.zeros((0, 3))], [np.zeros((0, 3), int)], [np.zeros((0, 3))]
    start = 0
    for k, thing in enumerate(_finite(scene)):
        own, triangles = _surface(thing, detail)
        points.append(_placed(thing, own) + thing.position)
        faces.append(triangles + start)
        colours.append(_colours(scene, k, own, _normals(thing, own)))
        start += len(own)
    rgb = (np.concatenate(colours) * 255 + 0.5).astype(np.uint8)
    alpha = np.full((len(rgb), 1), 255, np.uint8)
    return trimesh.Trimesh(
        np.concatenate(points), np.concatenate(faces),
        vertex_colors=np.concatenate([rgb, alpha], 1), process=False,
    )  # fmt: skip


def to_splats(scene: Scene, n: int = 20000, seed: int = 0) -> dict[str, np.ndarray]:
    """n Gaussians on the surfaces, spread evenly by area, as a 3DGS file holds them.

    means (n, 3) metres; log_scales (n, 3), the third axis, along the normal, the thin one; quats
    (n, 4) w x y z that turn z to the outward normal; opacity_logits (n,); sh (n, 1, 3), with
    sRGB colour = 0.5 + SH_DC·sh. All float32. Endless planes get at most half of the Gaussians, in
    larger discs, or there would be none left for the things on them. (Kerbl et al. 2023)
    """
    if n < 1:
        raise InputError(f"{n} Gaussians show nothing. Ask for at least one.")
    if not scene.things:
        raise InputError("An empty scene has no surface to put Gaussians on. Add a thing.")
    things = _finite(scene)
    areas = np.array([_area(thing) for thing in things])
    shares = _shares(areas, np.array([min(t.size[:2]) == 0 for t in scene.things]), n)
    rng = np.random.default_rng(seed)
    parts: dict[str, list[np.ndarray]] = {
        name: [] for name in ("means", "log_scales", "quats", "opacity_logits", "sh")
    }
    for k, (thing, share) in enumerate(zip(things, shares, strict=True)):
        own = _sampled(thing, int(share), rng)
        normals = _normals(thing, own)
        # discs whose spacing is 1.5 sigma close up; wider than the thing, they would stick out
        sigma = min(math.sqrt(areas[k] / max(share, 1)) / 1.5, _thinnest(thing))
        parts["means"].append(_placed(thing, own) + thing.position)
        parts["log_scales"].append(np.tile(np.log([sigma, sigma, sigma / 20]), (len(own), 1)))
        parts["quats"].append(_z_to(_placed(thing, normals)))
        parts["opacity_logits"].append(np.full(len(own), math.log(0.95 / 0.05)))
        parts["sh"].append(((_colours(scene, k, own, normals) - 0.5) / SH_DC)[:, None])
    return {name: np.concatenate(part).astype(np.float32) for name, part in parts.items()}


# ---------------------------------------------------------------- both


def _finite(scene: Scene) -> list[Thing]:
    """The things, with endless planes cut off."""
    bounded = [t for t in scene.things if t.shape != "plane" or min(t.size[:2]) > 0]
    made = []
    for thing in scene.things:
        if thing.shape != "plane" or min(thing.size[:2]) > 0:
            made.append(thing)
            continue
        far = [math.dist(t.position, thing.position) + bounding_radius(t) for t in bounded]
        side = 3 * max([*far, 1.0])
        made.append(replace(thing, size=(thing.size[0] or side, thing.size[1] or side, 0.0)))
    return made


def _placed(thing: Thing, vectors: np.ndarray) -> np.ndarray:
    """Vectors (N, 3) in the thing's own axes, turned into the world's."""
    return vectors @ np.reshape(quat_to_matrix(thing.rotation), (3, 3)).T


def _normals(thing: Thing, own: np.ndarray) -> np.ndarray:
    """Outward unit normals (N, 3) in the thing's axes, at its surface points own (N, 3)."""
    import torch

    from core.scenes.shapes import CODES, normal

    p = torch.from_numpy(np.ascontiguousarray(own.T))
    half = torch.tensor(half_size(thing), dtype=p.dtype)[:, None].expand(3, len(own))
    waves = torch.from_numpy(waves_of(thing.name))[:, :, None].expand(-1, -1, len(own))
    return normal(CODES[thing.shape], p, half, waves).T.numpy()


def _colours(scene: Scene, k: int, own: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """sRGB (N, 3) in [0, 1] of the albedo at points of thing k (IEC 61966-2-1)."""
    import torch

    from core.scenes.surface import albedo

    world = pack([replace(scene, things=(scene.things[k],))])
    p, n = (torch.from_numpy(np.ascontiguousarray(v.T)).float() for v in (own, normals))
    seen = albedo(world, torch.zeros(len(own), dtype=torch.long), p, n, None)
    linear = np.clip(seen.T.double().numpy(), 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


# ---------------------------------------------------------------- triangles


def _surface(thing: Thing, detail: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and triangles (F, 3) in the thing's own axes."""
    x, y, z = half_size(thing)
    cells = 1 if thing.material.texture == "plain" else detail
    if thing.shape == "box":
        return _box((x, y, z), cells)
    if thing.shape in ("plane", "heightfield"):
        sheet = thing.shape == "plane"
        cells = 3 * cells if sheet else 2 * detail  # a floor is large, hills are all curves
        at, triangles = _grid(cells, cells)
        points = np.concatenate([(2 * at / cells - 1) * (x, y), np.zeros((len(at), 1))], 1)
        if not sheet:
            points[:, 2] = _height(thing, points)[0]
        return points, triangles
    if thing.shape == "torus":
        angle = 2 * np.pi * np.arange(detail // 2) / (detail // 2)
        outline = np.stack([x - z + z * np.cos(angle), z * np.sin(angle)], 1)
        return _turned(outline, detail, closed=True)
    if thing.shape == "sphere":
        angle = np.linspace(-np.pi / 2, np.pi / 2, detail // 2 + 1)
        outline = x * np.stack([np.cos(angle), np.sin(angle)], 1)
    else:  # a straight outline, cut finely enough for the texture
        corners = [(0, -z), (x, -z), (0, z)] if thing.shape == "cone" else \
            [(0, -z), (x, -z), (x, z), (0, z)]  # fmt: skip
        steps = np.linspace(0, 1, cells, endpoint=False)[:, None]
        parts = [np.add(a, steps * np.subtract(b, a)) for a, b in pairwise(corners)]
        outline = np.concatenate([*parts, [corners[-1]]])
    return _turned(outline, detail, closed=False)


def _grid(nx: int, ny: int, wrap: tuple[bool, bool] = (False, False)) -> tuple:
    """Whole-number places (P, 2) of a grid of nx·ny cells, and its triangles, right-handed.

    Along a wrapped axis the last cell ends at the first place.
    """
    px, py = nx + (not wrap[0]), ny + (not wrap[1])
    at = np.stack(np.meshgrid(np.arange(px), np.arange(py), indexing="ij"), -1).reshape(-1, 2)
    i, j = (v.ravel() for v in np.meshgrid(np.arange(nx), np.arange(ny), indexing="ij"))
    right, up = (i + 1) % px, (j + 1) % py
    a, b, c, d = i * py + j, right * py + j, right * py + up, i * py + up
    return at, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def _box(half: tuple[float, float, float], cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Six grids whose common places are one vertex each, found by their whole numbers."""
    at, triangles = _grid(cells, cells)
    places, faces = [], []
    for axis in range(3):
        for side in (0, cells):
            place = np.full((len(at), 3), side)
            place[:, (axis + 1) % 3], place[:, (axis + 2) % 3] = at.T
            faces.append((triangles if side else triangles[:, ::-1]) + len(at) * len(places))
            places.append(place)
    unique, index = np.unique(np.concatenate(places), axis=0, return_inverse=True)
    return (2 * unique / cells - 1) * half, index.reshape(-1)[np.concatenate(faces)]


def _turned(outline: np.ndarray, around: int, closed: bool) -> tuple[np.ndarray, np.ndarray]:
    """The solid of revolution of an outline (P, 2) of radius and z, which runs upwards outside.

    An open outline starts and ends on the axis: each of these ends is one vertex.
    """
    rows = outline if closed else outline[1:-1]
    _, faces = _grid(around, len(rows) - (not closed), (True, closed))
    turn = 2 * np.pi * np.arange(around)[:, None] / around
    points = np.stack([rows[:, 0] * np.cos(turn), rows[:, 0] * np.sin(turn),
                       np.broadcast_to(rows[:, 1], (around, len(rows)))], -1).reshape(-1, 3)  # fmt: skip
    if closed:
        return points, faces
    first = np.arange(around) * len(rows)
    following = np.roll(first, -1)
    bottom, top = np.full(around, len(points)), np.full(around, len(points) + 1)
    last = len(rows) - 1
    fans = [np.stack([bottom, following, first], 1),
            np.stack([top, first + last, following + last], 1)]  # fmt: skip
    ends = [(0, 0, outline[0, 1]), (0, 0, outline[-1, 1])]
    return np.concatenate([points, ends]), np.concatenate([faces, *fans])


# ---------------------------------------------------------------- samples


def _area(thing: Thing) -> float:
    """Surface in square metres; a height field's by a fine sum."""
    x, y, z = half_size(thing)
    if thing.shape == "heightfield":
        u = (np.arange(200) + 0.5) / 100 - 1
        at = np.stack(np.meshgrid(u * x, u * y), -1).reshape(-1, 2)
        return 4 * x * y * float(_height(thing, at)[1].mean())
    return {
        "sphere": 4 * np.pi * x * x,
        "box": 8 * (x * y + y * z + z * x),
        "cylinder": 2 * np.pi * x * (x + 2 * z),
        "cone": np.pi * x * (x + math.hypot(x, 2 * z)),
        "torus": 4 * np.pi**2 * (x - z) * z,
        "plane": 4 * x * y,
    }[thing.shape]


def _shares(areas: np.ndarray, endless: np.ndarray, n: int) -> np.ndarray:
    """How many of n Gaussians each thing gets: by area, rounded so that they sum to n."""
    weights = areas / areas.sum()
    if endless.any() and not endless.all() and weights[endless].sum() > 0.5:
        weights = np.where(
            endless, weights / weights[endless].sum(), weights / weights[~endless].sum()
        )
        weights /= 2
    exact = weights * n
    whole = np.floor(exact).astype(int)
    whole[np.argsort(whole - exact)[: n - whole.sum()]] += 1
    return whole


def _sampled(thing: Thing, n: int, rng: np.random.Generator) -> np.ndarray:
    """n points (n, 3) spread evenly over a thing's surface, in its own axes.

    u, v follow a sequence that fills the square without clumps (Roberts 2018), and so does every
    stretch of it: w, which picks the face, rises along it. Where a map from u, v to the surface
    stretches the square, points are kept by the stretch.
    """
    start, steps = rng.random(2), 1.324717957244746 ** -np.arange(1.0, 3.0)
    kept, made = [np.zeros((0, 3))], 0
    while sum(map(len, kept)) < n:
        u, v = ((start + np.arange(made, made + n)[:, None] * steps) % 1).T
        points, stretch = _mapped(thing, u, v, (np.arange(n) + 0.5) / n)
        kept.append(points[rng.random(n) < stretch])
        made += n
    return np.concatenate(kept)[:n]


def _mapped(
    thing: Thing, u: np.ndarray, v: np.ndarray, w: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Surface points (N, 3) of u, v, w (N,) in [0, 1], and the share of each to keep (N,)."""
    x, y, z = half_size(thing)
    keep = np.ones(len(u))
    cos, sin = np.cos(2 * np.pi * u), np.sin(2 * np.pi * u)
    if thing.shape in ("plane", "heightfield"):
        points = np.stack([(2 * u - 1) * x, (2 * v - 1) * y, 0 * u], 1)
        if thing.shape == "heightfield":
            points[:, 2], steep = _height(thing, points)
            keep = steep / steep.max()
        return points, keep
    if thing.shape == "box":
        area = np.cumsum(np.repeat([y * z, z * x, x * y], 2))
        face = np.searchsorted(area[:5] / area[5], w, side="right")  # x−, x+, y−, y+, z−, z+
        axis = face // 2
        points = (2 * np.stack([u, v, np.where(axis == 0, u, v)], 1) - 1) * (x, y, z)
        points[np.arange(len(u)), axis] = (2 * (face % 2) - 1) * np.array([x, y, z])[axis]
        return points, keep
    if thing.shape == "torus":
        radius = x - z + z * np.cos(2 * np.pi * v)
        return np.stack([radius * cos, radius * sin, z * np.sin(2 * np.pi * v)], 1), radius / x
    if thing.shape == "sphere":
        rho, high = 2 * x * np.sqrt(v * (1 - v)), (2 * v - 1) * x
    elif thing.shape == "cylinder":
        cap, wide = w < x / (x + 2 * z), x * np.sqrt(v)
        rho = np.where(cap, wide, x)
        high = np.where(cap, np.where(w < x / (x + 2 * z) / 2, -z, z), (2 * v - 1) * z)
    else:
        rho = x * np.sqrt(v)
        high = np.where(w < x / (x + math.hypot(x, 2 * z)), -z, z * (1 - 2 * np.sqrt(v)))
    return np.stack([rho * cos, rho * sin, high], 1), keep


def _height(thing: Thing, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Height (N,) of a field at places (N, 2 or more), and its surface per ground area (N,)."""
    import torch

    from core.scenes.shapes import height

    x, y = (torch.from_numpy(np.ascontiguousarray(at[:, k])) for k in (0, 1))
    half = torch.tensor(half_size(thing), dtype=torch.float64)[:, None]
    waves = torch.from_numpy(waves_of(thing.name))[:, :, None]
    z, slope_x, slope_y = height(x, y, half, waves)
    return z.numpy(), (1 + slope_x**2 + slope_y**2).sqrt().numpy()


def _thinnest(thing: Thing) -> float:
    """The smallest half extent: a disc this wide doesn't stick out much."""
    x, y, z = half_size(thing)
    return min(x, y) if thing.shape in ("plane", "heightfield", "sphere") else min(x, y, z)


def _z_to(normals: np.ndarray) -> np.ndarray:
    """Unit quaternions (N, 4) w x y z that turn z to unit normals (N, 3) the shortest way."""
    x, y, z = normals.T
    quats = np.stack([1 + z, -y, x, 0 * x], 1)
    quats[z < -1 + 1e-9] = (0, 1, 0, 0)  # straight down: any half turn about a level axis
    return quats / np.linalg.norm(quats, axis=1, keepdims=True)
