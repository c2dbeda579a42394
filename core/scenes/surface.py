"""Textures: the colour of a surface at a point, computed from the point alone.

A solid texture is a function of the thing's own x, y, z, so a turned or moved thing keeps its
grain, and nothing has to be wrapped around a ball. `width` is how much surface one ray stands for:
a pattern finer than that fades into its mean instead of breaking into moiré (without a
width: the exact colour at the point).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from core.scenes.shapes import CODES, dot
from core.scenes.types import TEXTURES
from core.scenes.world import World

if TYPE_CHECKING:
    from torch import Tensor

NOISE = 32  # period of the noise lattice


def albedo(
    world: World, thing: Tensor, local: Tensor, own_normal: Tensor, width: Tensor | None
) -> Tensor:
    """Linear albedo (3, N) of points local (3, N) float32 on things (N,).

    own_normal (3, N) in the thing's axes; width (N,) metres of surface per ray, or None for the exact colour.
    """
    looks = world.looks.index_select(1, thing)
    offset = looks[11]
    result = looks[:3]
    if world.textures != ("plain",):
        result = _textured(world, thing, looks, local, own_normal, width)
    if world.has_rough and width is not None:
        result = result * (1 + looks[12] * grains(local + offset, width))
    return result


def _textured(
    world: World, thing: Tensor, looks: Tensor, local: Tensor, own_normal: Tensor,
    width: Tensor | None,
) -> Tensor:  # fmt: skip
    import torch

    colour, colour2, scale, offset = looks[:3], looks[3:6], looks[6], looks[11]
    result = colour.clone()
    for texture in world.textures:
        if texture == "plain":
            continue
        chosen = (looks[9] == TEXTURES.index(texture)).nonzero()[:, 0]
        if not len(chosen):
            continue
        p, n, s = local[:, chosen], own_normal[:, chosen], scale[chosen]
        w = None if width is None else width[chosen] / s
        a, b = colour[:, chosen], colour2[:, chosen]
        if texture == "image":
            seen = None if width is None else width[chosen]
            result[:, chosen] = _picture(world, thing[chosen], p, n, looks[10, chosen], seen)
            continue
        mix = PATTERNS[texture](p / s + offset[chosen], p / s, n, w)
        result[:, chosen] = torch.lerp(a, b, mix)
    return result


def _soft_edge(distance: Tensor, width: Tensor | None) -> Tensor:
    """0 to 1 across distance 0, over `width`."""

    if width is None:
        return (distance > 0).to(distance.dtype)
    return (distance / width.clamp(min=1e-4) + 0.5).clamp(0, 1)


def _fade(value: Tensor, mean: float, width: Tensor | None) -> Tensor:
    """Towards its mean where a ray stands for more than about a whole feature."""
    if width is None:
        return value
    return mean + (value - mean) * (1.6 - width).clamp(0, 1)


def _square(x: Tensor, width: Tensor | None) -> Tensor:
    """A square wave of period 2: 1 where floor(x) is odd."""
    import torch

    odd = 0.5 - torch.abs(torch.remainder(x - 0.5, 2) - 1)  # distance to the nearest edge
    return _fade(_soft_edge(odd, width), 0.5, width)


def _checker(p: Tensor, q: Tensor, n: Tensor, width: Tensor | None) -> Tensor:
    """Cubes of one scale, odd and even. Off the lattice by a hair, so a face on it has one parity.

    Along axis k a ray's patch reaches only width·sqrt(1 − n_k²): a flat face doesn't cross the
    lattice along its own normal. With the whole width, a floor at z = 0 would lie in the soft edge
    between two layers of cubes, and both of its colours would be halfway to the other.
    """
    result = None
    for axis in range(3):
        reach = None if width is None else width * (1 - n[axis] * n[axis]).clamp(min=0).sqrt()
        wave = _square(q[axis] + 1e-3, reach)
        result = wave if result is None else result + wave - 2 * result * wave
    return result  # type: ignore[return-value]


def _stripes(p: Tensor, q: Tensor, n: Tensor, width: Tensor | None) -> Tensor:
    """Bands along x, of one scale; on a wall of a box that faces ±x, along y."""
    import torch

    sideways = n[0].abs() > 0.9
    return _square(torch.where(sideways, q[1], q[0]) + 1e-3, width)


def _wood(p: Tensor, q: Tensor, n: Tensor, width: Tensor | None) -> Tensor:
    """Rings around an axis that runs nearly along x, bent by noise, with fine fibres."""
    import torch

    bend = noise(p * _column((0.11, 0.45, 0.45), p)) * 1.6
    radius = ((p[1] * 0.8 + 0.07 * p[0]) ** 2 + (p[2] * 0.8 + 1.7) ** 2).sqrt() + bend
    ring = radius - radius.floor()
    band = torch.where(ring < 0.8, ring / 0.8, (1 - ring) / 0.2)  # slow growth, sharp winter line
    fibre = noise(p * _column((0.6, 9.0, 9.0), p)) - 0.5
    return _fade((0.12 + 0.7 * band * band + 0.35 * fibre).clamp(0, 1), 0.4, width)


def _marble(p: Tensor, q: Tensor, n: Tensor, width: Tensor | None) -> Tensor:
    """Thin veins: the zero lines of a wave that noise has folded."""
    fold = cloud(p) * 5.0
    wave = (p[0] * 1.3 + p[1] * 0.7 + p[2] * 1.0 + fold).sin().abs()
    vein = (1 - wave) ** 7
    return _fade((vein * 0.9 + 0.45 * (cloud(p * 1.7) - 0.3)).clamp(0, 1), 0.3, width)


def _noise(p: Tensor, q: Tensor, n: Tensor, width: Tensor | None) -> Tensor:
    return _fade(((cloud(p * 1.5) - 0.5) * 1.5 + 0.5).clamp(0, 1), 0.5, width)


def _bricks(p: Tensor, q: Tensor, n: Tensor, width: Tensor | None) -> Tensor:
    """Courses one scale high, two long, shifted by half; colour2 is the mortar."""
    import torch

    u, v = _flat(q, n)
    course = torch.floor(v)
    along = u / 2 + 0.5 * torch.remainder(course, 2)
    edge_u = (0.5 - (along - along.floor() - 0.5).abs()) * 2
    edge_v = 0.5 - (v - course - 0.5).abs()
    mortar = _soft_edge(0.055 - torch.minimum(edge_u, edge_v), width)
    brick = torch.stack([torch.floor(along) * 3.7 + 0.31, course * 5.3 + 0.17, v * 0])
    shade = 0.3 * noise(brick * 7.1) + 0.2 * noise(p * 6)
    return _fade(torch.maximum(mortar, shade * (1 - mortar)), 0.3, width)


PATTERNS = {
    "checker": _checker, "stripes": _stripes, "wood": _wood, "marble": _marble,
    "noise": _noise, "bricks": _bricks,
}  # fmt: skip


def _column(values: tuple[float, float, float], like: Tensor) -> Tensor:
    import torch

    return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None]


def _flat(p: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
    """Two coordinates on the face that n points out of: right and up, seen from outside."""
    import torch

    a = n.abs()
    on_x = (a[0] > a[1]) & (a[0] >= a[2])
    on_z = (a[2] > a[0]) & (a[2] > a[1])
    u = torch.where(on_x, p[1] * n[0].sign(), torch.where(on_z, p[0], -p[0] * n[1].sign()))
    return u, torch.where(on_z, p[1], p[2])


def _picture(
    world: World, thing: Tensor, p: Tensor, n: Tensor, which: Tensor, width: Tensor | None
) -> Tensor:
    """A picture stretched over each face of a box or plane; once around anything round."""
    import torch
    from torch.nn.functional import grid_sample

    half = world.shapes[12:15, thing].to(p.dtype)
    half = torch.where(half.isinf(), 1.0, half)  # an endless plane: tiles of 2 m
    shape = world.shapes[17, thing]
    flat = (shape == CODES["box"]) | (shape == CODES["plane"]) | (shape == CODES["heightfield"])
    u, v = _flat(p / half.clamp(min=1e-9), n)
    u, v = (torch.remainder(c + 1, 2) - 1 for c in (u, v))
    around = torch.atan2(p[1], p[0]) / math.pi
    upright = torch.where(
        shape == CODES["sphere"],
        torch.asin((p[2] / half[2]).clamp(-1, 1)) / (math.pi / 2),
        (p[2] / half[2]).clamp(-1, 1),
    )
    u, v = torch.where(flat, u, around), torch.where(flat, v, upright)
    result = torch.empty_like(p)
    for index, levels in enumerate(world.pictures):
        chosen = (which == index).nonzero()[:, 0]
        if not len(chosen):
            continue
        level = torch.zeros(len(chosen), dtype=torch.long, device=p.device)
        if width is not None:  # texels under one ray, along the picture's longer side
            texels = max(levels[0].shape[2:]) / (2 * half[:, chosen].amax(0).clamp(min=1e-9))
            level = torch.log2((width[chosen] * texels).clamp(min=1)).round().long()
            level = level.clamp(max=len(levels) - 1)
        for k in range(int(level.max()) + 1):
            here = chosen[level == k]
            if len(here):
                grid = torch.stack([u[here], -v[here]], -1)[None, None]
                seen = grid_sample(levels[k], grid, padding_mode="border", align_corners=False)
                result[:, here] = seen[0, :, 0]
    return result


# ---------------------------------------------------------------- noise


@lru_cache(maxsize=8)
def _lattice(device: str, octaves: int) -> Tensor:
    """(1, 1, S, S, S) float32 random values in [0, 1] that repeat every NOISE cells."""
    import torch

    rng = np.random.default_rng(7)
    values = rng.random((NOISE, NOISE, NOISE))
    if octaves > 1:  # smaller copies added on a lattice four times as fine: clouds in one look-up
        fine = NOISE * 2
        at = np.arange(fine) / fine * NOISE
        total = np.zeros((fine, fine, fine))
        weight = 0.0
        for octave in range(octaves):
            period = 8 * 2**octave
            part = rng.random((period, period, period))
            place = at * period / NOISE
            low = np.floor(place).astype(int) % period
            t = place - np.floor(place)
            t = t * t * (3 - 2 * t)
            for axis in range(3):
                shape = [1, 1, 1]
                shape[axis] = fine
                blend = t.reshape(shape)
                part = (
                    part.take(low, axis) * (1 - blend) + part.take((low + 1) % period, axis) * blend
                )
            total += part * 0.5**octave
            weight += 0.5**octave
        values = (total / weight - 0.5) * 1.9 + 0.5
    values = np.pad(values, ((0, 1),) * 3, mode="wrap")
    return torch.from_numpy(values.astype(np.float32)).to(device)[None, None]


def noise(p: Tensor) -> Tensor:
    """Value noise (N,) in [0, 1] at p (3, N): random values at whole numbers, smooth between."""
    cell = p.floor()
    t = p - cell
    return _look_up(_lattice(str(p.device), 1), cell + t * t * (3 - 2 * t))


def cloud(p: Tensor) -> Tensor:
    """Four octaves of noise (N,) about 0.5 at p (3, N); the largest features are 4 wide."""
    return _look_up(_lattice(str(p.device), 4), p)


def grains(p: Tensor, width: Tensor) -> Tensor:
    """Noise (N,) about 0, most of it in [−1, 1], whose finest grains are some pixels wide however
    far p (3, N) is; width (N,) metres of surface per ray.

    Three sizes lie over each other, in ratios that no common period has, and each size passes
    into its double as the distance grows.
    """
    import torch

    level = torch.log2(3 * width.clamp(min=1e-6))
    fine, total = level.floor(), 0.0
    for ratio in (1.0, 2.7, 7.3):
        small = noise(p / (ratio * torch.exp2(fine)))
        large = noise(p / (ratio * torch.exp2(fine + 1)) + 11.3)
        total = total + torch.lerp(small, large, level - fine) - 0.5
    return 1.2 * total  # type: ignore[return-value]


def _look_up(volume: Tensor, p: Tensor) -> Tensor:
    import torch
    from torch.nn.functional import grid_sample

    grid = torch.remainder(p, NOISE) * (2 / NOISE) - 1
    return grid_sample(volume, grid.t()[None, None, None], align_corners=True)[0, 0, 0, 0]


def wider(t: Tensor, pixel_angle: float, d: Tensor, n: Tensor) -> Tensor:
    """Width (N,) in metres of the surface under a ray of `pixel_angle` radians at distance t."""
    return t * pixel_angle / dot(d, n).abs().clamp(min=0.12)
