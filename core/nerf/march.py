"""Rays through a field: where to sample, what they see, and what is skipped.

Most of space is empty, and behind a surface nothing is seen. So a coarse grid of densities, read
off the field now and then, says first where along a ray its light will end; a few samples are
placed there, closely where much ends and sparsely where nothing does, and only they ask the field
itself (hierarchical sampling: Mildenhall et al. 2020, section 5.2, with the field's own memory in
place of a second network). Colours are asked for only where a ray's weight lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.cameras import rays
from core.nerf.types import RayProfile, Seen
from core.nerf.volume import weights
from core.types import Camera

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from core.nerf.fields import Field

COARSE = 96  # steps of the first look along a ray
EVEN = 0.1  # share of the samples that is spread evenly, so that nothing stays unseen
CHUNK = {"cpu": 2048, "mps": 16384, "cuda": 65536}  # rays rendered at a time
FAINT = 2e-3  # weight below which no colour is asked for
OCCUPIED = 0.01  # opacity that a cell needs to count as occupied


@dataclass
class Marched:
    """What R rays saw: colour (R, 3) without ground, depth (R,) expected distance, opacity (R,);
    and how: distances t and lengths delta (R, S) of the steps, their weights w (R, S)."""

    colour: Tensor
    depth: Tensor
    opacity: Tensor
    w: Tensor
    t: Tensor
    delta: Tensor


def march(
    field: Field, origins: Tensor, directions: Tensor, samples: int, seed: Generator | None = None
) -> Marched:
    """Follow rays (R, 3) with unit directions from near to far in `samples` steps, each sampled at
    a random place (stratified) if there is a seed, else in its middle."""
    import torch

    R = len(origins)
    with torch.no_grad():
        edges = steps(field, origins, directions, samples, seed)
        delta = edges.diff(dim=1)
        at = 0.5 if seed is None else torch.rand((R, samples), generator=seed).to(origins.device)
        t = edges[:, :-1] + at * delta
    x = along(field, origins, directions, t)
    sigma, carried = field.density_inside(x.view(-1, 3))
    w, _, _ = weights(sigma.view(R, samples), delta)
    flat = w.view(-1)
    bright = (flat.detach() > FAINT).nonzero()[:, 0]
    ray = bright // samples
    made = field.colour(carried[bright], directions[ray]) * flat[bright][:, None]
    colour = torch.zeros((R, 3), device=origins.device).index_add(0, ray, made)
    opacity = w.sum(1)
    depth = (w * t).sum(1) / opacity.clamp(min=1e-6)
    return Marched(colour, depth, opacity, w, t, delta)


def steps(
    field: Field, origins: Tensor, directions: Tensor, samples: int, seed: Generator | None
) -> Tensor:
    """(R, samples + 1) ascending distances that part rays (R, 3) into steps, near to far.

    Without remembered densities the steps are the field's even ones. With them, each step holds an
    equal share of the light that the coarse grid expects to end there.
    """
    import torch

    if field.remembered is None:
        return field.edges(samples).expand(len(origins), samples + 1)
    coarse = field.edges(COARSE)
    middle = (coarse[1:] + coarse[:-1]) / 2
    x = along(field, origins, directions, middle)
    sigma = field.remembered.view(-1)[_cells(x, len(field.remembered))]
    if not field.unbounded:
        sigma = sigma * (x.abs() <= 1).all(-1)
    w, _, _ = weights(sigma, coarse.diff())
    # a surface may lie a step beside where the coarse grid has it
    wide = torch.nn.functional.max_pool1d(w[:, None], 3, 1, 1)[:, 0]
    share = wide + EVEN / (1 - EVEN) / COARSE * wide.sum(1, keepdim=True).clamp(min=1e-3)
    below = torch.nn.functional.pad((share / share.sum(1, keepdim=True)).cumsum(1), (1, 0))
    u = torch.arange(1, samples, device=origins.device) / samples
    if seed is not None:  # all edges shift together, by up to half a step to either side
        shift = torch.rand((len(origins), 1), generator=seed).to(origins.device) - 0.5
        u = u + shift / samples
    u = u.expand(len(origins), -1).contiguous()
    right = torch.searchsorted(below, u).clamp(1, COARSE)
    low, high = below.gather(1, right - 1), below.gather(1, right)
    t = (u - low) / (high - low).clamp(min=1e-9)
    inner = coarse[right - 1] + t.clamp(0, 1) * (coarse[right] - coarse[right - 1])
    ends = coarse[[0, -1]].expand(len(origins), 2)
    return torch.cat([ends[:, :1], inner, ends[:, 1:]], 1)


def along(field: Field, origins: Tensor, directions: Tensor, t: Tensor) -> Tensor:
    """(R, S, 3): the places at distances t (R, S) or (S,) of rays, in the box's own coordinates."""
    o, d = field.in_box(origins), field.in_box(directions, directions=True)
    return field.squeezed(o[:, None] + t[..., None] * d[:, None])


def may_hold(field: Field, points: Tensor) -> Tensor:
    """(…) bool: could there be anything at points (…, 3)? Inside the box, in an occupied cell."""
    x = field.inside(points)
    inside = (x.abs() <= 1).all(-1)
    if field.remembered is None:
        return inside
    occupied = find_occupied(field)
    return inside & occupied.view(-1)[_cells(x, len(occupied))]


def find_occupied(field: Field) -> Tensor:
    """(G, G, G) bool, indexed z y x: cells in which light is stopped, and their
    neighbours. None remembered: all."""
    import torch
    from torch.nn.functional import max_pool3d

    if field.remembered is None:
        return torch.ones((1, 1, 1), dtype=torch.bool, device=field.device)
    most = max_pool3d(field.remembered[None, None], 3, 1, 1)[0, 0]
    cell = float(np.mean(field.bounds[1] - field.bounds[0])) / len(most)
    return 1 - torch.exp(-most * cell) > OCCUPIED


def _cells(x: Tensor, n: int) -> Tensor:
    """Places (…) of x (…, 3) in a flattened grid of n³ cells."""
    c = ((x + 1) * (n / 2)).long().clamp_(0, n - 1)
    return (c[..., 2] * n + c[..., 1]) * n + c[..., 0]


# ---------------------------------------------------------------- whole pictures, single rays


def render(field: Field, camera: Camera, every: int = 1) -> Seen:
    """What a camera sees of a field, on white; depth_m along z, NaN where opacity is below ½.

    every: only each such pixel of each such row, for a quick look.
    """
    import torch

    o, d = (np.ascontiguousarray(a[::every, ::every], np.float32) for a in rays(camera))
    size = o.shape[:2]
    ahead = (d @ camera.c2w[:3, 2]).astype(np.float32)
    o, d = (torch.from_numpy(a).reshape(-1, 3).to(field.device) for a in (o, d))
    chunk, found = CHUNK[field.device.type], []
    with torch.no_grad():
        for a, b in zip(o.split(chunk), d.split(chunk), strict=True):
            seen = march(field, a, b, field.settings.samples)
            found.append(torch.cat([seen.colour, seen.depth[:, None], seen.opacity[:, None]], 1))
    flat = torch.cat(found).cpu().numpy().reshape(*size, 5)
    opacity = flat[..., 4]
    rgb = flat[..., :3] + (1 - opacity[..., None])
    depth = np.where(opacity > 0.5, flat[..., 3] * ahead, np.nan).astype(np.float32)
    return Seen((rgb.clip(0, 1) * 255).round().astype(np.uint8), depth, opacity)


def ray(field: Field, camera: Camera, xy: tuple[float, float]) -> RayProfile:
    """Everything along the ray of pixel position xy."""
    import torch

    origin, direction = (torch.from_numpy(np.asarray(a, np.float32)).to(field.device)[None]
                         for a in rays(camera, np.asarray(xy, np.float64)))  # fmt: skip
    with torch.no_grad():
        edges = steps(field, origin, direction, field.settings.samples, None)[0]
        delta = edges.diff()
        t = edges[:-1] + delta / 2
        points = origin + t[:, None] * direction
        sigma, carried = field.density(points)
        colour = field.colour(carried, direction.expand(len(t), 3))
        w, reach, alpha = weights(sigma[None].double(), delta.double())
    t, sigma, colour, points, w, reach, alpha = (
        a.cpu().numpy() for a in (t, sigma, colour, points, w[0], reach[0], alpha[0])
    )
    total = float(w.sum())
    middle = float((w * t).sum() / max(total, 1e-9))
    spread = float(np.sqrt((w * (t - middle) ** 2).sum() / max(total, 1e-9)))
    return RayProfile(
        t=t, sigma=sigma, alpha=alpha, T=reach, weight=w, colour=colour, points=points,
        depth=middle, spread=spread, opacity=total,
    )  # fmt: skip
