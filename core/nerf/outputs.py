"""Things that are taken out of a radiance field: coloured points, coloured surfaces, and files.

A field has no surface, only density. But every training camera sees one: the depth at which its
light is stopped. These depths, put back into space, are where points, Gaussians and meshes start.
Colours have their light in them already, as photographs do, so viewers must add none.

`core.geometry.save_geometry` writes them, in the cameras' own world and unit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from core.cameras import pixel_centres, resized, unproject
from core.geometry import Cloud
from core.nerf.march import render
from core.nerf.types import Seen, Views
from core.types import Camera, InputError, Progress, silent

if TYPE_CHECKING:
    from core.nerf.fields import Field

MOST_VIEWS = 48  # training cameras that are asked; more of them see hardly more
OPAQUE = 0.9  # opacity from which a pixel shows a surface
JUMP = 0.04  # share of depth by which neighbouring pixels of one surface may differ


def to_cloud(
    field: Field, views: Views, *, n: int = 50_000, seed: int = 0, progress: Progress = silent
) -> Cloud:
    """At most n points of the surfaces that the training cameras see, coloured as they see them.

    Evenly thinned: of each cell of a grid one point, chosen by the seed. In an unbounded field
    cells grow outside the box as its contraction does, or the horizon would take all points.
    Raises InputError for n below 1 or if the field is nowhere opaque.
    """
    points, colours = [], []
    for camera, seen in looks(field, views, 4 * _asked(n), progress):
        kept = solid(seen)
        points.append(surface(camera, seen)[kept])
        colours.append(seen.rgb[kept])
    found = np.concatenate(points)
    if not len(found):
        raise InputError("The field is nowhere opaque, so it has no points. Train it for longer.")
    chosen = thinned(field, found, n, seed)
    return Cloud(found[chosen].astype(np.float32), np.concatenate(colours)[chosen], up_of(views))


# ---------------------------------------------------------------- what the cameras see


def up_of(views: Views) -> tuple[float, float, float]:
    """Which way is up for the training cameras, of length 1.

    People keep cameras level: up is square to all their x axes. Where these point nearly the same
    way, that is unsure, and the mean of the cameras' own up vectors is taken; z if they cancel out.
    """
    turns = np.array([views.cameras[k].c2w[:3, :3] for k in views.train])
    across, mean = turns[:, :, 0], -turns[:, :, 1].mean(0)
    spreads, ways = np.linalg.eigh(across.T @ across / len(across))
    square = ways[:, 0] * (1 if ways[:, 0] @ mean > 0 else -1)
    length = float(np.linalg.norm(mean))
    up = mean / length if length > 1e-3 else np.array([0.0, 0.0, 1.0])
    if spreads[1] > 0.05 and square @ mean > 0.5 * length > 0:
        up = square
    return float(up[0]), float(up[1]), float(up[2])


def some_cameras(views: Views, most: int = MOST_VIEWS) -> tuple[Camera, ...]:
    """At most so many training cameras, far apart: each is the farthest from those before it."""
    train = [views.cameras[k] for k in views.train]
    eyes = np.array([camera.c2w[:3, 3] for camera in train])
    apart = np.full(len(train), np.inf)
    chosen: list[int] = []
    while len(chosen) < min(most, len(train)):
        apart[chosen] = -1
        chosen.append(int(apart.argmax()))
        apart = np.minimum(apart, np.linalg.norm(eyes - eyes[chosen[-1]], axis=1))
    return tuple(train[k] for k in chosen)


def looks(
    field: Field, views: Views, pixels: int, progress: Progress = silent, widest: float = 2.0
) -> Iterator[tuple[Camera, Seen]]:
    """Training cameras and what they see of the field, with about `pixels` pixels in all; but
    never more than `widest` times as wide as the views."""
    cameras = some_cameras(views)
    for k, camera in enumerate(cameras):
        progress(k / len(cameras), desc="looking from the cameras")
        scale = min(widest, math.sqrt(pixels / len(cameras) / (camera.width * camera.height)))
        size = max(2, round(scale * camera.width)), max(2, round(scale * camera.height))
        camera = resized(camera, *size)
        yield camera, render(field, camera)


def surface(camera: Camera, seen: Seen) -> np.ndarray:
    """(H, W, 3) where in space each pixel's light is stopped; NaN where it isn't."""
    assert seen.depth_m is not None
    return unproject(camera, pixel_centres(camera), seen.depth_m)


def solid(seen: Seen) -> np.ndarray:
    """(H, W) bool: opaque pixels, but not those on edges: their depth lies between two things."""
    from scipy.ndimage import maximum_filter, minimum_filter

    assert seen.depth_m is not None and seen.opacity is not None
    known = np.isfinite(seen.depth_m) & (seen.opacity > OPAQUE)
    near = minimum_filter(np.where(known, seen.depth_m, np.inf), 3)
    far = maximum_filter(np.where(known, seen.depth_m, -np.inf), 3)
    # a plane's depth may change much from pixel to pixel, but to both sides alike
    with np.errstate(invalid="ignore"):
        bent = np.abs(far + near - 2 * seen.depth_m)
        return known & (bent < JUMP * seen.depth_m)


def thinned(field: Field, points: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Places of at most n of points (P, 3), evenly apart in the field's own coordinates."""
    import torch

    rng = np.random.default_rng(seed)
    order = rng.permutation(len(points))
    if len(points) <= n:
        return order
    x = field.inside(torch.from_numpy(points[order])).numpy()
    fine, coarse = 1e-4, 2.0  # sides of a cell: too many are filled, and too few
    kept = order
    while coarse / fine > 1.01:
        side = math.sqrt(fine * coarse)
        first = np.unique(np.floor(x / side).astype(np.int64) @ (1, 2**21, 2**42),
                          return_index=True)[1]  # fmt: skip
        if len(first) < n:
            coarse = side
        else:
            fine, kept = side, order[first]
    return rng.choice(kept, n, replace=False)


def part(progress: Progress, low: float, high: float) -> Progress:
    """A progress whose 0 to 1 is the whole's low to high."""

    def told(fraction: float, /, desc: str = "") -> None:
        progress(low + fraction * (high - low), desc=desc)

    return told


def _asked(n: int) -> int:
    if n < 1:
        raise InputError(f"{n} points show nothing. Ask for at least one.")
    return n
