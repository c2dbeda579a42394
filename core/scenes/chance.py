"""Scenes by chance: toys on a floor, before a wall with pictures, or in the open before hills.

What trains or tests a method needs many scenes that differ in what matters: shapes and places,
plain and busy surfaces, near and far. Each is a seed and settings, so no data has to be stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.cameras import look_at
from core.scenes import backdrop
from core.scenes.toys import (
    BACKGROUNDS,
    COLOURS,
    GROUNDS,
    OUTDOORS,
    SHAPES,
    ground,
    in_view,
    is_free,
    is_seen,
    random_background,
    random_light,
    random_view,
    toy,
)
from core.scenes.types import Light, Scene, Thing
from core.types import Camera, InputError, Settings, setting


@dataclass(frozen=True)
class SceneSettings(Settings):
    """What a random scene may hold."""

    min_things: int = setting(
        2, "Fewest things", "At least so many stand in the scene.", minimum=1, maximum=8, step=1
    )
    max_things: int = setting(
        5, "Most things", "At most so many stand in the scene.", minimum=1, maximum=8, step=1
    )
    balls: bool = setting(True, "Balls", "Balls may occur.")
    boxes: bool = setting(True, "Boxes", "Boxes may occur.")
    cylinders: bool = setting(True, "Cylinders", "Cylinders may occur.")
    cones: bool = setting(True, "Cones", "Cones may occur.")
    rings: bool = setting(True, "Rings", "Rings may occur.")
    textures: bool = setting(True, "Textures", "Wood, marble and other grounds; else plain grey.")
    shiny: bool = setting(True, "Shiny things", "Half of the things have a highlight.")
    hills: float = setting(
        0.15, "Hills", "Share of scenes in the open, with hills behind the toys.",
        minimum=0.0, maximum=1.0, step=0.05,
    )  # fmt: skip
    pictures: float = setting(
        0.3, "Pictures", "Share of scenes before a wall with pictures, and of boxes with letters.",
        minimum=0.0, maximum=1.0, step=0.05,
    )  # fmt: skip
    size_variation: float = setting(
        0.1, "Size variation", "How far sizes stray from small and large, as a share.",
        minimum=0.0, maximum=0.15, step=0.01,
    )  # fmt: skip
    fog_per_m: float = setting(
        0.0, "Fog", "Share of light lost per metre; before hills at least 0.012.",
        minimum=0.0, maximum=0.5, step=0.01, unit="per m", advanced=True,
    )  # fmt: skip
    background: str = setting(
        "varied", "Background", "What is behind everything.",
        choices={"varied": "Varied", "sky": "Sky", "white": "White", "dark": "Dark"},
        advanced=True,
    )  # fmt: skip
    vary_view: bool = setting(
        True, "Vary the view", "Another height and distance of the camera for each seed.",
        advanced=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_things > self.max_things:
            raise InputError(
                f"At least {self.min_things} and at most {self.max_things} things can't both "
                "hold. Raise the second number."
            )
        if not self.shapes():
            raise InputError("No shape is allowed. Switch at least one on.")

    def shapes(self) -> tuple[str, ...]:
        """The shape words that may occur."""
        allowed = (self.balls, self.boxes, self.cylinders, self.cones, self.rings)
        return tuple(s for s, yes in zip(SHAPES, allowed, strict=True) if yes)


def random_scene(seed: int, settings: SceneSettings = SceneSettings()) -> Scene:
    """A scene by chance: toys of different colours, all in view, none touching or hidden.

    They stand on a bare floor, before a wall with pictures, or in the open before hills. The same
    seed and settings give the same scene.
    """
    rng = np.random.default_rng((seed, 5))
    n = int(rng.integers(settings.min_things, settings.max_things + 1))
    colours = rng.permutation(list(COLOURS))[:n].tolist()
    around = np.random.default_rng((seed, 6))  # its own chance: other scenes stay as they are
    place = _place(around, settings)
    kind = str(rng.choice(list(GROUNDS))) if settings.textures else "plain"
    eye, target, fov_deg = random_view(rng, settings.vary_view, place)
    light = random_light(rng)
    horizon, zenith = random_background(rng, settings.background)
    camera = look_at(eye, target, 100, 100 if place == "floor" else 75, fov_deg)

    things = _toys(rng, settings, colours, camera)
    things = [
        backdrop.lettered(around, thing)
        if thing.shape_name == "box" and around.random() < settings.pictures
        else thing
        for thing in things
    ]
    if place == "hills":
        if settings.textures:
            kind = str(around.choice(list(OUTDOORS)))
        if settings.background == "varied":
            horizon, zenith = BACKGROUNDS[str(around.choice(["sky", "sky", "dusk"]))]
        x, y, z = light.position
        light = Light((9 * x, 9 * y, 9 * z), 9 * 0.3)  # a sun: it lights the hills as it does toys
        things.append(backdrop.hills(around, kind, eye, target))
    elif place == "wall":
        things += backdrop.wall(around, things, eye, target)
    fog = max(settings.fog_per_m, 0.012 if place == "hills" else 0.0)  # haze hides the world's end
    return Scene(
        f"random {seed}", (ground(kind), *things), light, horizon, zenith, fog, eye, target, fov_deg
    )  # fmt: skip


def _toys(
    rng: np.random.Generator, settings: SceneSettings, colours: list[str], camera: Camera
) -> list[Thing]:
    """One toy of each colour: in view, none touching or hiding another."""
    for attempt in range(1000):
        things: list[Thing] = []
        shrink = 0.995**attempt  # a crowded scene gets smaller toys in the end
        for colour in colours:
            size = float(rng.choice([0.34, 0.58])) * shrink
            size *= 1 + settings.size_variation * rng.uniform(-1, 1)
            new = toy(
                colour,
                str(rng.choice(settings.shapes())),
                size,
                (float(rng.uniform(-1.1, 1.1)), float(rng.uniform(-1.0, 0.9))),
                float(rng.uniform(-40, 40)),
                shiny=bool(settings.shiny and rng.random() < 0.5),
                lying=bool(rng.random() < 0.4),
            )
            if is_free(new, things) and in_view(camera, new) and is_seen(camera, new, things):
                things.append(new)
        if len(things) == len(colours):
            return things
    raise InputError(f"{len(colours)} things found no room. Ask for fewer.")


def _place(rng: np.random.Generator, settings: SceneSettings) -> str:
    """Where the toys stand: before hills, before a wall, or on a bare floor."""
    if rng.random() < settings.hills:
        return "hills"
    return "wall" if rng.random() < settings.pictures else "floor"
