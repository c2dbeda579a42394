"""Scenes as tables of numbers: what the renderer reads instead of Python objects.

Several scenes lie side by side (B of them, each with K slots for things, empty ones padded), so
that one pass over rays of many pictures fills a GPU. Column b·K + k of a table is thing k of
scene b. Tables are (rows, B·K), components first, like the rays.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import numpy as np

from core.scenes.shapes import CODES, WAVES
from core.scenes.types import TEXTURES, Scene, Thing
from core.types import InputError

if TYPE_CHECKING:
    from torch import Tensor

SHAPE_ROWS = 18  # rotation 9, position 3, half size 3, bounding radius, its square, shape
LOOK_ROWS = 13  # colour 3, colour2 3, scale, gloss, mirror, texture, picture, offset, rough


@dataclass(frozen=True)
class World:
    """B scenes with K slots each.

    shapes (SHAPE_ROWS, B·K), looks (LOOK_ROWS, B·K), waves (4, WAVES, B·K); air (16, B): light
    position 3, radius, strength, ambient, horizon 3, zenith 3, fog, ground's colour 3.
    fields: the columns that are height fields; codes: the shapes that occur; textures: those that
    occur; pictures: for each its mip levels (1, 3, H, W).
    """

    B: int
    K: int
    shapes: Tensor
    looks: Tensor
    waves: Tensor
    air: Tensor
    fields: tuple[int, ...]
    codes: tuple[int, ...]
    textures: tuple[str, ...]
    pictures: tuple[tuple[Tensor, ...], ...]
    has_mirrors: bool
    has_rough: bool

    def single(self) -> World:
        """The same with shapes in float32: half the time, for colours; exact enough to train."""
        return replace(self, shapes=self.shapes.float(), waves=self.waves.float())


def quat_to_matrix(q: Sequence[float]) -> tuple[float, ...]:
    """Rotation matrix, row by row, of a quaternion w x y z of any length but zero."""
    w, x, y, z = q
    n = w * w + x * x + y * y + z * z
    if n < 1e-20:
        raise InputError("A rotation of all zeros turns nowhere. Use (1, 0, 0, 0) for none.")
    s = 2 / n
    return (
        1 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y),
        s * (x * y + w * z), 1 - s * (x * x + z * z), s * (y * z - w * x),
        s * (x * z - w * y), s * (y * z + w * x), 1 - s * (x * x + y * y),
    )  # fmt: skip


def half_size(thing: Thing) -> tuple[float, float, float]:
    """Half extents along the thing's own axes; an endless plane's are infinite."""
    x, y, z = (max(float(side), 0.0) for side in thing.size)
    if thing.shape == "plane":
        return x / 2 or math.inf, y / 2 or math.inf, 0.0
    tiny = 1e-6  # a thing of no size is never hit, but must not divide by zero
    return max(x / 2, tiny), max(y / 2, tiny), max(z / 2, tiny)


def bounding_radius(thing: Thing) -> float:
    """Radius of a ball around the thing's centre that holds it."""
    x, y, z = half_size(thing)
    if thing.shape == "sphere":
        return x
    if thing.shape == "torus":
        return x
    if thing.shape in ("cylinder", "cone"):
        return math.hypot(x, z)
    return math.sqrt(x * x + y * y + z * z)


@lru_cache(maxsize=256)
def waves_of(name: str) -> np.ndarray:
    """(4, WAVES) float64: the sine waves of the height field called `name`.

    The name is the seed, so a field keeps its hills when it is moved. Longer waves are higher.
    """
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    turns = np.linspace(1.2, 5.2, WAVES)
    direction = rng.uniform(0, 2 * np.pi, WAVES)
    amplitude = turns**-1.3 * rng.uniform(0.7, 1.3, WAVES)
    phase = rng.uniform(0, 2 * np.pi, WAVES)
    made = [turns * np.cos(direction), turns * np.sin(direction), phase]
    return np.stack([*made, amplitude / amplitude.sum()])


def _columns(thing: Thing, pictures: dict[str, int]) -> tuple[tuple, tuple]:
    m = thing.material
    radius = bounding_radius(thing) * 1.0005 + 1e-5
    shape = (
        *quat_to_matrix(thing.rotation), *thing.position, *half_size(thing),
        radius, radius * radius, CODES[thing.shape],
    )  # fmt: skip
    picture = pictures.setdefault(m.image, len(pictures)) if m.texture == "image" else 0
    offset = 0.0 if thing.shape == "plane" else (zlib.crc32(thing.name.encode()) % 1000) / 100
    look = (
        *m.colour, *m.colour2, max(m.scale_m, 1e-4), m.gloss, m.mirror,
        TEXTURES.index(m.texture), picture, offset, m.rough,
    )  # fmt: skip
    return shape, look


def pack(scenes: Sequence[Scene], device: str = "cpu") -> World:
    """The tables of one or more scenes, on `device`; where things are in float64."""
    import torch

    if not scenes:
        raise InputError("There is no scene to render. Give at least one.")
    K = max(1, max(len(scene.things) for scene in scenes))
    empty_shape = (1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, -1, -1, -1)
    empty_look = (0,) * LOOK_ROWS
    pictures: dict[str, int] = {}
    shapes, looks, air = [], [], []
    fields = tuple(
        b * K + k
        for b, scene in enumerate(scenes)
        for k, thing in enumerate(scene.things)
        if thing.shape == "heightfield"
    )
    waves = np.zeros((4, WAVES, len(scenes) * K if fields else 1))
    for b, scene in enumerate(scenes):
        for k, thing in enumerate(scene.things):
            shape, look = _columns(thing, pictures)
            shapes.append(shape)
            looks.append(look)
            if thing.shape == "heightfield":
                waves[:, :, b * K + k] = waves_of(thing.name)
        spare = K - len(scene.things)
        shapes += [empty_shape] * spare
        looks += [empty_look] * spare
        light = scene.light
        air.append(
            (*light.position, light.radius_m, light.strength, light.ambient,
             *scene.horizon, *scene.zenith, scene.fog_per_m, *_ground_colour(scene))
        )  # fmt: skip

    def table(rows: list) -> Tensor:
        return torch.from_numpy(np.array(rows, np.float64).T.copy()).to(device)

    kinds = {thing.shape for scene in scenes for thing in scene.things}
    used = {thing.material.texture for scene in scenes for thing in scene.things}
    return World(
        B=len(scenes),
        K=K,
        shapes=table(shapes),
        looks=table(looks).float(),
        waves=torch.from_numpy(waves).to(device),
        air=table(air).float(),
        fields=fields,
        codes=tuple(sorted(CODES[kind] for kind in kinds)),
        textures=tuple(name for name in TEXTURES if name in used),
        pictures=tuple(_mip_levels(name, device) for name in pictures),
        has_mirrors=any(t.material.mirror > 0 for scene in scenes for t in scene.things),
        has_rough=any(t.material.rough > 0 for scene in scenes for t in scene.things),
    )


def _ground_colour(scene: Scene) -> tuple[float, float, float]:
    """Albedo of the largest plane: what lights a thing from below."""
    planes = [thing for thing in scene.things if thing.shape == "plane"]
    if not planes:
        return (0.3, 0.3, 0.3)
    m = max(planes, key=bounding_radius).material
    if m.texture in ("plain", "image"):
        return m.colour
    return cast(
        tuple[float, float, float],
        tuple((a + b) / 2 for a, b in zip(m.colour, m.colour2, strict=True)),
    )


@lru_cache(maxsize=64)
def _mip_levels(name: str, device: str) -> tuple[Tensor, ...]:
    """The picture called `name`, (1, 3, H, W) float32 linear light, and its halvings (Williams
    1983): a ray that sees much of it at once reads a level whose pixels are about as large."""
    import torch
    from torch.nn.functional import avg_pool2d

    from core.scenes.textures import picture

    bytes_ = torch.from_numpy(picture(name).astype(np.float32) / 255)
    levels = [(bytes_.permute(2, 0, 1)[None] ** 2.2).contiguous().to(device)]
    while len(levels) < 7 and min(levels[-1].shape[2:]) >= 8:
        levels.append(avg_pool2d(levels[-1], 2))
    return tuple(levels)
