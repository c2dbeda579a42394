"""The small world that the shipped models know: one to three toys on a floor, seen from near.

Everything a picture shows is known exactly, so a prompt is true, a control map is right, and what
a model paints can be scored. A picture of this world is a number: the seed of its scene. Seeds
from HELD_OUT on are never trained on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.cameras import look_at, project
from core.scenes import SceneSettings, control_batch, prompt, random_scene, start_camera
from core.scenes.motion import reach_m
from core.scenes.toys import COLOURS, SHAPES
from core.scenes.types import Scene
from core.types import Camera

SIZE = 64  # pixels a side
TOYS = 3  # at most in a picture
WORLD = SceneSettings(min_things=1, max_things=TOYS, hills=0.0, pictures=0.0)
HELD_OUT = 10_000_000
NARROW_DEG, WIDE_DEG, MARGIN = 20.0, 34.0, 1.1  # angles of view, and room around the toys


def scene(seed: int) -> Scene:
    """The scene of this seed; its own eye, target and angle of view frame the toys, which stand
    close enough to be told apart in SIZE pixels."""
    for attempt in range(1000):
        made = random_scene(1000 * seed + attempt, WORLD)
        framed = _framed(made, np.random.default_rng((seed, attempt, 23)))
        if framed is not None:
            return framed
    raise RuntimeError(f"No arrangement of seed {seed} fits into the picture.")


def _framed(made: Scene, rng: np.random.Generator) -> Scene | None:
    """The scene seen by a camera that turns to its toys and zooms in by chance, the toys anywhere
    in the picture; None if they stand too far apart."""
    toys = [thing for thing in made.things if thing.colour_name]
    places = np.array([thing.position for thing in toys])
    target = (places.max(0) + places.min(0)) / 2
    straight = look_at(made.eye, tuple(target), 100, 100, 90.0)  # 50 px are a tangent of 1
    xy, away_m = project(straight, places)
    reach = np.array([math.hypot(reach_m(thing), thing.position[2]) for thing in toys])
    need = MARGIN * float((np.abs(xy - 50).max(1) / 50 + reach / away_m).max())
    least, most = (math.tan(math.radians(deg) / 2) for deg in (NARROW_DEG, WIDE_DEG))
    if need > most:
        return None
    tangent = rng.uniform(max(need, least), most)
    aside = rng.uniform(-1, 1, 2) * (tangent - need) * away_m.mean()
    target += straight.c2w[:3, :2] @ aside
    fov_deg = 2 * math.degrees(math.atan(tangent))
    return replace(made, target=tuple(target.tolist()), fov_deg=fov_deg)


def camera(of: Scene, size: int = SIZE) -> Camera:
    """The camera that takes a scene's picture, size px a side."""
    return start_camera(of, size, size)


@dataclass(frozen=True)
class Pictures:
    """Pictures of the world with all that is true of them.

    rgb (N, S, S, 3) uint8; edges (N, S, S) uint8, 0 or 255; depth (N, S, S) uint8, near is bright,
    0 is nothing; ids (N, S, S) uint8: 0 background, 1 floor, 2 to 4 the toys; looks (N, TOYS, 2)
    int8: places of each toy's colour in COLOURS and shape in SHAPES, -1 where there is none;
    prompts (N, K) str.
    """

    rgb: np.ndarray
    edges: np.ndarray
    depth: np.ndarray
    ids: np.ndarray
    looks: np.ndarray
    prompts: np.ndarray

    def __len__(self) -> int:
        return len(self.rgb)

    @classmethod
    def joined(cls, parts: Sequence[Pictures]) -> Pictures:
        """All of them, one after another."""
        names = cls.__dataclass_fields__
        return cls(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


def pictures(seeds: Iterable[int], prompts: int = 4) -> Pictures:
    """The pictures of these seeds, each with so many prompts that say different true things."""
    return Pictures.joined([_block(block, prompts) for block in _blocks(list(seeds), 50)])


def _blocks(seeds: list[int], length: int) -> Iterator[list[int]]:
    for start in range(0, len(seeds), length):
        yield seeds[start : start + length]


def _block(seeds: list[int], prompts: int) -> Pictures:
    scenes = [scene(seed) for seed in seeds]
    made = control_batch(scenes, [camera(one) for one in scenes])
    looks = np.full((len(seeds), TOYS, 2), -1, np.int8)
    for row, one in zip(looks, scenes, strict=True):
        for place, thing in zip(row, one.things[1:], strict=False):
            place[:] = list(COLOURS).index(thing.colour_name), SHAPES.index(thing.shape_name)
    said = [[prompt(one, k) for k in range(prompts)] for one in scenes]
    return Pictures(
        (made["rgb"] * 255).round().byte().cpu().numpy(),
        made["edges"].cpu().numpy(),
        (made["depth"] * 255).round().byte().cpu().numpy(),
        made["ids"].byte().cpu().numpy(),
        looks,
        np.array(said),
    )
