"""Where the first Gaussians stand.

A descent on Gaussians goes downhill from where it begins, and one that stands in empty air before
a camera has a long way to a surface. Structure from motion gives points on surfaces (Kerbl et al.
2023 start from those). Without it the pictures themselves tell a little: go along a pixel's ray,
and ask at each depth what the other cameras see there. On the surface they see the pixel's colour;
before and behind it they see something else, mostly. That is stereo at its simplest (plane sweep,
Collins 1996), one pixel at a time, and half right is enough: the descent does the rest.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from core import cameras
from core.nerf.training import on_white
from core.nerf.types import Views
from core.splats.harmonics import Y0
from core.splats.types import Splats

if TYPE_CHECKING:
    from torch import Tensor

STARTS = {"points": "The capture's points", "random": "Random pixels", "grid": "Even grid"}
WIDE, WIDEST_PX = 0.6, 8.0  # σ by the distance to the neighbours, and on the nearest picture
OPACITY = 0.5
DEPTHS = 16  # tried on a ray, for the one where cameras agree
SKY = 0.1  # share of random ones that stand as far off as there is anything to see
JURY = 24  # cameras asked whether they agree


def start(views: Views, kind: str, n: int, seed: int = 0) -> tuple[Splats, str]:
    """At most n round, half-transparent splats of degree 0, as large as the gaps between them, and
    a sentence if they don't stand where kind, a key of STARTS, says."""
    import torch
    from scipy.spatial import KDTree

    rng, note = np.random.default_rng(seed), ""
    if kind == "points" and not len(views.points):
        kind, note = "random", "These views come without points, so Gaussians start at random."
    if kind == "random":
        means, colours = _strewn(views, n, rng)
    else:
        if kind == "points":
            means = views.points[rng.permutation(len(views.points))[:n]].astype(np.float64)
        else:
            side = max(1, round(n ** (1 / 3)))
            cell = np.stack(np.meshgrid(*[np.arange(side)] * 3), -1).reshape(-1, 3)
            means = views.bounds[0] + (cell + 0.5) / side * np.ptp(views.bounds, 0)
        colours = np.nan_to_num(_median(_looked_up(means, views)), nan=0.5)
    pixel = pixel_at(torch.from_numpy(means.astype(np.float32)), views).numpy()[:, 0]
    sigma = np.full(len(means), WIDEST_PX) * pixel
    if len(means) > 1:
        near = KDTree(means).query(means, k=min(len(means), 4))[0][:, 1:].mean(1)
        sigma = np.clip(WIDE * near, 0.3 * pixel, sigma)
    return Splats(
        means, np.log(sigma)[:, None] + np.zeros(3), np.tile([1.0, 0, 0, 0], (len(means), 1)),
        np.full(len(means), math.log(OPACITY / (1 - OPACITY))), ((colours - 0.5) / Y0)[:, None],
    ), note  # fmt: skip


def _strewn(views: Views, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Means and colours (n, 3): of random pixels, each on its ray where most cameras see that
    colour too. Depths are tried evenly in 1/distance, between near and far; of an unbounded scene
    some are put at the very end, for what lies behind everything."""
    places = np.array(views.train)[rng.integers(len(views.train), size=n)]
    height, width, channels = views.images.shape[1:]
    pixels = rng.integers(height * width, size=n)
    if channels == 4:  # of a cut-out only what is there
        likely = views.images[list(views.train), ..., 3].astype(np.float64).ravel() + 1e-9
        chosen = rng.choice(len(likely), n, p=likely / likely.sum())
        places = np.array(views.train)[chosen // (height * width)]
        pixels = chosen % (height * width)
    y, x = np.divmod(pixels, width)
    origins, directions = np.empty((n, 3)), np.empty((n, 3))
    for k in np.unique(places):
        own = np.flatnonzero(places == k)
        origins[own], directions[own] = cameras.rays(
            views.cameras[k], np.stack([x[own], y[own]], 1) + 0.5
        )
    colours = np.stack([on_white(views.images[k]) for k in range(len(views.images))])
    colours = colours[places, y, x] / np.float32(255)
    u = (np.arange(DEPTHS)[:, None] + rng.uniform(0, 1, (DEPTHS, n))) / DEPTHS
    distance = 1 / (u / views.near + (1 - u) / views.far)
    points = origins + distance[..., None] * directions  # (DEPTHS, n, 3)
    apart = np.stack([disagreement(p, colours, views) for p in points])
    best = np.where(np.isnan(apart), np.inf, apart).argmin(0)
    if views.unbounded:
        points[0, : int(SKY * n)] = (origins + views.far * directions)[: int(SKY * n)]
        best[: int(SKY * n)] = 0
    return points[best, np.arange(n)], colours


def disagreement(points: np.ndarray, colours: np.ndarray, views: Views) -> np.ndarray:
    """(P,) how far what training cameras see at points (P, 3) is from colours (P, 3) in [0, 1]:
    the median over cameras of Σ |difference|, so that half of them may be blocked. NaN where
    fewer than three look."""
    apart = np.abs(_looked_up(points, views) - colours).sum(2)
    few = np.isfinite(apart).sum(0) < min(3, len(apart))
    return np.where(few, np.nan, _median(apart))


def _looked_up(points: np.ndarray, views: Views) -> np.ndarray:
    """(cameras, P, 3) float32: the colours where points (P, 3) fall on pictures of up to JURY
    training cameras; NaN outside of them."""
    some = views.train[:: max(1, len(views.train) // JURY)]
    seen = np.full((len(some), len(points), 3), np.nan, np.float32)
    for at, k in enumerate(some):
        camera, image = views.cameras[k], on_white(views.images[k])
        xy, z = cameras.project(camera, points)
        x, y = np.floor(np.nan_to_num(xy, nan=-1.0)).clip(-1, 1e6).astype(int).T
        inside = (z > 0) & (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height)
        seen[at, inside] = image[y[inside], x[inside]] / np.float32(255)
    return seen


def _median(values: np.ndarray) -> np.ndarray:
    """Along the first axis, of what isn't NaN (the lower one of two middles): NumPy's own takes
    a hundred times as long."""
    ranked = np.sort(values, 0)  # NaN goes last
    middle = (np.isfinite(values).sum(0) - 1).clip(0) // 2
    return np.take_along_axis(ranked, middle[None], 0)[0]


def pixel_at(means: Tensor, views: Views) -> Tensor:
    """(N, 1): how wide a pixel of the nearest training camera is, where a Gaussian stands."""
    import torch

    eyes = np.stack([views.cameras[k].c2w[:3, 3] for k in views.train])
    focal = np.median([views.cameras[k].K[0, 0] for k in views.train])
    away = torch.cdist(means.detach(), means.new_tensor(eyes)).amin(1, keepdim=True)
    return away.clamp(min=views.near) / float(focal)
