"""Which thing a ray meets first, and whether anything stands between a point and the light.

Both begin with the same cheap question: which (thing, ray) pairs can meet at all? A thing's
bounding ball answers it for every pair; only the pairs that remain are solved, all of one shape
in one go, whatever scene or picture they belong to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.scenes.shapes import CODES, dot, intersect, normal
from core.scenes.world import World

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Rays:
    """o, d (3, N): origins and unit directions; frame (N,), never falling, which of the world's
    scenes each is in (None: all in the only one)."""

    o: Tensor
    d: Tensor
    frame: Tensor | None = None

    def __getitem__(self, index: Tensor) -> Rays:
        """The rays of these numbers (M,), which rise."""
        frame = None if self.frame is None else self.frame[index]
        return Rays(self.o.index_select(1, index), self.d.index_select(1, index), frame)


@dataclass(frozen=True)
class Hits:
    """t (N,) distance, inf where nothing; slot (N,) int64, the thing's place in its scene, -1 where
    nothing; thing (N,) its column in the world's tables (any valid one where nothing)."""

    t: Tensor
    slot: Tensor
    thing: Tensor


def _pairs(world: World, rays: Rays, t_max: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """(slot, ray, thing), each (P,): every pair whose ray comes through the thing's ball."""
    import torch

    balls = world.shapes[9:17].view(8, world.B, world.K)
    can = torch.empty((world.K, rays.o.shape[1]), dtype=torch.bool, device=rays.o.device)
    for start, end, frame in _runs(world, rays):
        o, d = rays.o[:, start:end], rays.d[:, start:end]
        for k in range(world.K):  # one thing after the other stays in the cache
            ball = balls[:, frame, k].view(8, -1)
            gap = ball[:3] - o
            along = dot(gap, d)
            hit = (dot(gap, gap) - along * along <= ball[7]) & (along > -ball[6])
            can[k, start:end] = hit if t_max is None else hit & (along - ball[6] < t_max[start:end])
    if rays.o.device.type == "cpu":
        flat = can.view(-1).nonzero()[:, 0]  # twice as fast as nonzero of a matrix
        slot = torch.div(flat, can.shape[1], rounding_mode="floor")
        ray = flat - slot * can.shape[1]
    else:
        slot, ray = can.nonzero().unbind(1)
    thing = slot if rays.frame is None else rays.frame[ray] * world.K + slot
    return slot, ray, thing


def _runs(world: World, rays: Rays) -> list[tuple[int, int, int | Tensor]]:
    """(start, end, scene): stretches of rays in one scene. On a GPU one stretch with the scene of
    each ray: looking it up costs less there than another round."""
    import torch

    n = rays.o.shape[1]
    if rays.frame is None:
        return [(0, n, 0)]
    if rays.o.device.type != "cpu":
        return [(0, n, rays.frame)]
    edges = torch.searchsorted(rays.frame, torch.arange(world.B + 1, device=rays.frame.device))
    bounds = edges.tolist()
    return [(bounds[b], bounds[b + 1], b) for b in range(world.B) if bounds[b] < bounds[b + 1]]


def _distances(world: World, rays: Rays, ray: Tensor, thing: Tensor) -> Tensor:
    """t (P,) of each pair, inf where the ray misses."""
    import torch

    t = torch.full(ray.shape, math.inf, dtype=rays.o.dtype, device=rays.o.device)
    kind = world.shapes[17][thing] if len(world.codes) > 1 else None
    for code in world.codes:
        if kind is None:
            chosen, its_ray, its_thing = slice(None), ray, thing
        else:
            chosen = (kind == code).nonzero()[:, 0]
            its_ray, its_thing = ray[chosen], thing[chosen]
        if not len(its_ray):
            continue
        table = world.shapes.index_select(1, its_thing)
        o = _into(table, rays.o.index_select(1, its_ray) - table[9:12])
        d = _into(table, rays.d.index_select(1, its_ray))
        t[chosen] = intersect(code, o, d, table[12:15], _waves(world, code, its_thing))
    return t


def _waves(world: World, code: int, thing: Tensor) -> Tensor:
    """(4, WAVES, P) of height fields, or (4, WAVES, 1) where all pairs have the same."""
    if code != CODES["heightfield"]:
        return world.waves[:, :, :1]
    if len(world.fields) == 1:
        return world.waves[:, :, world.fields[0], None]
    return world.waves[:, :, thing]


def _into(table: Tensor, v: Tensor) -> Tensor:
    """World vectors (3, P) in the things' own axes: the transposed rotation."""
    return _rows(table[0], table[3], table[6], table[1], table[4], table[7],
                 table[2], table[5], table[8], v)  # fmt: skip


def _out(table: Tensor, v: Tensor) -> Tensor:
    """Vectors (3, P) in the things' own axes, in the world's."""
    return _rows(table[0], table[1], table[2], table[3], table[4], table[5],
                 table[6], table[7], table[8], v)  # fmt: skip


def _rows(a, b, c, d, e, f, g, h, i, v: Tensor) -> Tensor:
    import torch

    x, y, z = v
    return torch.stack([a * x + b * y + c * z, d * x + e * y + f * z, g * x + h * y + i * z])


def nearest(world: World, rays: Rays) -> Hits:
    """The first thing on each ray. Of two at the same distance, the first in the scene wins."""
    import torch

    slot, ray, thing = _pairs(world, rays)
    n = rays.o.shape[1]
    every = torch.full((world.K, n), math.inf, dtype=rays.o.dtype, device=rays.o.device)
    every[slot, ray] = _distances(world, rays, ray, thing)
    t = every[0].clone()
    first = torch.where(t < math.inf, 0, -1)
    for k in range(1, world.K):
        closer = every[k] < t
        first.masked_fill_(closer, k)
        t = torch.minimum(t, every[k])
    inside = first.clamp(min=0)
    return Hits(t, first, inside if rays.frame is None else rays.frame * world.K + inside)


def blocked(world: World, rays: Rays, t_max: Tensor) -> Tensor:
    """(N,) bool: does anything lie on the ray nearer than t_max (N,)?"""
    import torch

    _, ray, thing = _pairs(world, rays, t_max)
    t = _distances(world, rays, ray, thing)
    dark = torch.zeros(rays.o.shape[1], dtype=torch.bool, device=rays.o.device)
    dark[ray[t < t_max[ray]]] = True
    return dark


def to_local(world: World, thing: Tensor, points: Tensor) -> Tensor:
    """World points (3, N) in the axes of the things (N,) they belong to."""
    table = world.shapes[:12].index_select(1, thing)
    return _into(table, points - table[9:12])


def from_local(world: World, thing: Tensor, points: Tensor) -> Tensor:
    """Points (3, N) in the things' own axes, in the world's: undoes `to_local`."""
    table = world.shapes[:12].index_select(1, thing)
    return _out(table, points) + table[9:12]


def surface_normals(world: World, thing: Tensor, local: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """Unit normals (3, N) in the things' axes and in the world's, where local (3, N) was hit.

    They face the side that the ray (directions d (3, N)) came from.
    """
    import torch

    own = torch.empty_like(local)
    table = world.shapes.index_select(1, thing)
    for code in world.codes:
        if len(world.codes) == 1:
            own = normal(code, local, table[12:15], _waves(world, code, thing))
            break
        chosen = (table[17] == code).nonzero()[:, 0]
        if len(chosen):
            waves = _waves(world, code, thing[chosen])
            own[:, chosen] = normal(code, local[:, chosen], table[12:15, chosen], waves)
    turned = _out(table, own)
    return own, torch.where(dot(turned, d) > 0, -turned, turned)
