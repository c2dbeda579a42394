"""How much light a ray brings back: the lamp, the sky, the ground, a highlight, a mirror, the fog.

The lamp's share is Lambert's: brightness falls with the cosine between the surface's normal and
the way to the lamp. The lamp is a ball, so each ray asks about a different point of it, and a
shadow's edge is as soft as the part of the ball that is hidden. The light from all over comes
from the sky above and from the ground below, and less where another thing stands close by.
Everything is linear light until `encode`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.scenes.shapes import CODES, dot
from core.scenes.surface import albedo, wider
from core.scenes.trace import Rays, blocked, nearest, surface_normals, to_local
from core.scenes.world import World

if TYPE_CHECKING:
    from torch import Tensor

OFF = 4e-4  # metres that a second ray starts above the surface, out of the reach of rounding


@dataclass(frozen=True)
class Lens:
    """What shading needs to know of a picture: shadows cast or not, the angle between two rays
    in radians, and for each ray a point (2, N) in the unit disc for its look at the lamp."""

    shadows: bool
    ray_angle: float
    disc: Tensor


def radiance(world: World, rays: Rays, lens: Lens, bounces: int = 1) -> Tensor:
    """Linear light (3, N) float32 along each ray; `bounces` mirrors are followed."""
    import torch

    air = _air(world, rays)
    hits = nearest(world, rays)
    seen = (hits.slot >= 0).nonzero()[:, 0]
    result = sky(air, rays.d)
    if not len(seen):
        return result
    every = len(seen) == rays.o.shape[1]
    if not every:
        rays = rays[seen]
        air = _air(world, rays)
        lens = Lens(lens.shadows, lens.ray_angle, lens.disc.index_select(1, seen))
    t, thing = (hits.t, hits.thing) if every else (hits.t[seen], hits.thing[seen])
    p = rays.o + t * rays.d
    local = to_local(world, thing, p)
    own, n = surface_normals(world, thing, local, rays.d)
    colour = albedo(world, thing, local, own, wider(t, lens.ray_angle, rays.d, n))
    looks = world.looks.index_select(1, thing)
    light = _lit(world, rays, p, n, thing, colour, looks[7], air, lens)

    if world.has_mirrors:
        shiny = (looks[8] > 0).nonzero()[:, 0]
        if len(shiny):
            back = reflect(rays.d.index_select(1, shiny), n.index_select(1, shiny))
            frame = None if rays.frame is None else rays.frame[shiny]
            second = Rays(p.index_select(1, shiny) + OFF * n.index_select(1, shiny), back, frame)
            if bounces:
                wide = Lens(lens.shadows, lens.ray_angle * 3, lens.disc.index_select(1, shiny))
                image = radiance(world, second, wide, bounces - 1)
            else:
                image = sky(_air(world, second), back)
            share = looks[8, shiny]
            tint = torch.lerp(torch.ones_like(image), colour.index_select(1, shiny), 0.35)
            light[:, shiny] = torch.lerp(light[:, shiny], image * tint, share)

    fog = air[12]
    if bool((world.air[12] > 0).any()):
        light = torch.lerp(air[6:9].expand_as(light), light, torch.exp(-fog * t))
    if every:
        return light
    result[:, seen] = light
    return result


def _air(world: World, rays: Rays) -> Tensor:
    """(16, N), or (16, 1) when there is one scene."""
    return world.air if rays.frame is None else world.air.index_select(1, rays.frame)


def sky(air: Tensor, d: Tensor) -> Tensor:
    """The background (3, N): from the horizon's colour up to the zenith's."""
    up = d[2].clamp(min=0).sqrt() * 0.9
    return air[6:9] + (air[9:12] - air[6:9]) * up


def reflect(d: Tensor, n: Tensor) -> Tensor:
    return d - 2 * dot(d, n) * n


def _lit(
    world: World,
    rays: Rays,
    p: Tensor,
    n: Tensor,
    thing: Tensor,
    colour: Tensor,
    gloss: Tensor,
    air: Tensor,
    lens: Lens,
) -> Tensor:
    """Light (3, N) that surface points p send back along their rays, mirrors apart."""
    import torch

    to_lamp = air[0:3] - p
    far = dot(to_lamp, to_lamp).sqrt()
    lamp = to_lamp / far
    cosine = dot(n, lamp)
    direct = cosine.clamp(min=0)
    if lens.shadows:
        day = (cosine > 0).nonzero()[:, 0]
        aim = to_lamp.index_select(1, day) + _on_lamp(
            lamp.index_select(1, day), lens.disc.index_select(1, day), _at(air[3], day)
        )
        reach = dot(aim, aim).sqrt()
        frame = None if rays.frame is None else rays.frame[day]
        start = p.index_select(1, day) + OFF * n.index_select(1, day)
        dark = blocked(world, Rays(start, aim / reach, frame), reach)
        direct = direct.index_fill(0, day[dark], 0.0)

    sun = air[4] * 1.15
    above = 0.5 + 0.5 * n[2]
    bounce = air[13:16] * (air[5] + 0.35 * sun)
    dome = (air[6:9] + air[9:12]) * (0.5 * air[5]) * 1.1
    open_sky = _openness(world, rays, p, n, thing)
    soft = (bounce + (dome - bounce) * above) * open_sky
    light = colour * (sun * direct + soft)

    glossy = (gloss > 0).nonzero()[:, 0]
    if len(glossy):
        g, d, m = gloss[glossy], rays.d.index_select(1, glossy), n.index_select(1, glossy)
        back = reflect(d, m)
        edge = (1 + dot(d, m)).clamp(0, 1) ** 5
        shared = air.shape[1] == 1
        its_air = air if shared else air.index_select(1, glossy)
        spot = dot(back, lamp.index_select(1, glossy)).clamp(0, 1) ** (20 + 160 * g)
        lit = (direct[glossy] > 0) * spot * (0.9 * (sun if shared else sun[glossy]))
        image = sky(its_air, back) * (open_sky[glossy] * torch.where(back[2] > 0, 1.0, 0.25))
        light[:, glossy] += g * (lit + (0.03 + 0.6 * edge) * image)
    return light


def _at(row: Tensor, index: Tensor) -> Tensor:
    return row if len(row) == 1 else row[index]


def _on_lamp(lamp: Tensor, disc: Tensor, radius: Tensor) -> Tensor:
    """Points (3, N) of a disc of `radius` that faces along -lamp, relative to its centre."""
    import torch

    # an orthonormal pair without branches (Duff et al. 2017, "Building an Orthonormal Basis")
    x, y, z = lamp
    sign = torch.where(z >= 0, 1.0, -1.0)
    a = -1 / (sign + z)
    b = x * y * a
    first = torch.stack([1 + sign * x * x * a, sign * b, -sign * x])
    second = torch.stack([b, sign + y * y * a, -y])
    return (first * disc[0] + second * disc[1]) * radius


def _openness(world: World, rays: Rays, p: Tensor, n: Tensor, thing: Tensor) -> Tensor:
    """Share (N,) of the light from all over that other things leave: 1 in the open.

    Each thing is taken for a ball of about its volume; such a ball takes (r/distance)² times the
    cosine of its direction from a surface's light, and nothing from four radii on.
    """
    import torch

    kind = world.shapes[17]
    small = (kind >= 0) & (kind != CODES["plane"]) & (kind != CODES["heightfield"])
    half = world.shapes[12:15]
    size = (half[0] * half[1] * half[2]).abs() ** (1 / 3)
    radius = torch.where(small, size * 0.95, 0.0).view(world.B, world.K)
    centre = world.shapes[9:12].view(3, world.B, world.K)
    slot = thing if rays.frame is None else thing - rays.frame * world.K
    left = torch.ones_like(p[0])
    for k in range(world.K):
        if not bool(radius[:, k].any()):
            continue
        c = (
            centre[:, 0, k, None]
            if rays.frame is None
            else centre[:, :, k].index_select(1, rays.frame)
        )
        r = radius[0, k] if rays.frame is None else radius[rays.frame, k]
        gap = c - p
        square = dot(gap, gap)
        share = (dot(gap, n) * square.rsqrt()).clamp(min=0) * (
            r * r / square * (16 / 15) - 1 / 15
        ).clamp(0, 1)
        left = left * (1 - 0.85 * share * (slot != k))
    return left


def encode(light: Tensor) -> Tensor:
    """Linear light to sRGB values in [0, 1] (IEC 61966-2-1), bright parts rolled off softly."""
    import torch

    knee = 0.75  # up to here nothing changes; beyond, light bends towards 1 and never passes it
    over = (light - knee).clamp(min=0) / (1 - knee)
    light = torch.where(light > knee, knee + (1 - knee) * (over / (1 + over)), light).clamp(0, 1)
    return torch.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def lamp_disc(xy: Tensor, sample: Tensor, samples: int, seed: int) -> Tensor:
    """(2, N) points in the unit disc: sample k of `samples` of a pixel at xy (2, N) integers.

    The samples of one pixel lie on a sunflower spiral; its turn differs from pixel to pixel by
    interleaved gradient noise (Jimenez 2014), whose error looks like a fine even grain.
    """
    import torch

    turn = 52.9829189 * torch.frac(0.06711056 * (xy[0] + 5.588238 * seed) + 0.00583715 * xy[1])
    angle = 2 * math.pi * torch.frac(turn) + 2.39996323 * sample
    radius = ((sample + 0.5) / samples).sqrt()
    return torch.stack([radius * angle.cos(), radius * angle.sin()])
