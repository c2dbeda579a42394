"""Rays through a field: where to sample, what they see, and what is skipped.

Most of space is empty. A coarse grid remembers where any ray's weight lay, and samples elsewhere
are not even asked; and colours are asked for only where a ray's weight lies.
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

GRID = 48  # cells of the occupancy grid along a side
START, FADES, LITTLE = 0.02, 0.8, 0.004  # heat of a cell: at first, at each look, if empty
CHUNK = 8192  # rays rendered at a time
FAINT = 1e-3  # weight below which no colour is asked for


@dataclass
class Marched:
    """What R rays saw: colour (R, 3) without ground, depth (R,) expected distance, opacity (R,);
    for the losses w, t (R, S) and delta (S,); asked: of how many samples a density
    was; points (asked, 3), weight (asked,): these samples."""

    colour: Tensor
    depth: Tensor
    opacity: Tensor
    w: Tensor
    t: Tensor
    delta: Tensor
    asked: int
    points: Tensor
    weight: Tensor


def march(
    field: Field, origins: Tensor, directions: Tensor, samples: int, seed: Generator | None = None
) -> Marched:
    """Follow rays (R, 3) with unit directions from near to far in `samples` steps, each sampled at
    a random place (stratified) if there is a seed, else in its middle."""
    import torch

    R, device = len(origins), origins.device
    edges = field.edges(samples)
    delta = edges.diff()
    at = 0.5 if seed is None else torch.rand((R, samples), generator=seed).to(device)
    t = (edges[:-1] + at * delta).expand(R, samples)
    points = origins[:, None] + t[..., None] * directions[:, None]
    with torch.no_grad():
        asked = may_hold(field, points).flatten().nonzero()[:, 0]
    dense, carried = field.density(points.reshape(-1, 3)[asked])
    sigma = torch.zeros(R * samples, device=device).index_put((asked,), dense)
    w, _, _ = weights(sigma.view(R, samples), delta)
    packed = w.flatten()[asked]
    bright = (packed.detach() > FAINT).nonzero()[:, 0]
    ray = asked[bright] // samples
    made = field.colour(carried[bright], directions[ray]) * packed[bright][:, None]
    colour = torch.zeros((R, 3), device=device).index_add(0, ray, made)
    opacity = w.sum(1)
    depth = (w * t).sum(1) / opacity.clamp(min=1e-6)
    return Marched(
        colour,
        depth,
        opacity,
        w,
        t,
        delta,
        len(asked),
        points.detach().reshape(-1, 3)[asked],
        packed.detach(),
    )


def may_hold(field: Field, points: Tensor) -> Tensor:
    """(…) bool: could there be anything at points (…, 3)? Inside the box, in an occupied cell."""
    x = field.inside(points)
    inside = (x.abs() <= 1).all(-1)
    if field.occupied is None:
        return inside
    return inside & field.occupied.flatten()[_cells(x, len(field.occupied))]


def remember(field: Field, points: Tensor, w: Tensor) -> None:
    """Keep in field.heat (GRID, GRID, GRID), indexed z y x, the most weight that rays lately had
    at points (N, 3). Behind a surface and in thin fog there is none: both are as good as empty."""
    import torch

    if field.heat is None:
        field.heat = torch.full((GRID,) * 3, START, device=w.device)
    heat, cells = field.heat.view(-1), _cells(field.inside(points), GRID)
    most = torch.zeros_like(heat).scatter_reduce(0, cells, w, "amax")
    heat[cells] = torch.maximum(heat[cells] * FADES, most[cells])


def find_occupied(field: Field) -> Tensor:
    """(GRID, GRID, GRID) bool: cells where a ray's weight lay of late, with their neighbours."""
    from torch.nn.functional import max_pool3d

    return max_pool3d(field.heat[None, None], 3, 1, 1)[0, 0] > LITTLE


def _cells(x: Tensor, n: int) -> Tensor:
    """Places (…) of x (…, 3) in a flattened grid of n³ cells."""
    c = ((x + 1) / 2 * n).long().clamp(0, n - 1)
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
    found = []
    with torch.no_grad():
        for a, b in zip(o.split(CHUNK), d.split(CHUNK), strict=True):
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

    origin, direction = rays(camera, np.asarray(xy, np.float64))
    edges = field.edges(field.settings.samples).double()
    delta = edges.diff()
    t = (edges[:-1] + delta / 2).cpu().numpy()
    points = origin + t[:, None] * direction
    with torch.no_grad():
        x = torch.from_numpy(points.astype(np.float32)).to(field.device)
        sigma, carried = field.density(x)
        sigma = sigma * may_hold(field, x)
        along = torch.from_numpy(np.repeat(direction[None].astype(np.float32), len(t), 0))
        colour = field.colour(carried, along.to(field.device))
        w, reach, alpha = (a[0].cpu().numpy() for a in weights(sigma[None].double(), delta))
    total = float(w.sum())
    middle = float((w * t).sum() / max(total, 1e-9))
    spread = float(np.sqrt((w * (t - middle) ** 2).sum() / max(total, 1e-9)))
    return RayProfile(
        t=t, sigma=sigma.cpu().numpy(), alpha=alpha, T=reach, weight=w, colour=colour.cpu().numpy(),
        points=points, depth=middle, spread=spread, opacity=total,
    )  # fmt: skip
