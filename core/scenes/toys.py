"""Toys: coloured shapes that a caption can name and everybody would name alike.

A caption is only true if the eye agrees with it. So there are few colours, far apart also for
people who confuse red and green (each pair keeps a distance in CIELAB, tested for normal and
red-green-blind vision, mostly by lightness), and few shapes with everyday names. All stand on
the ground z = 0 without touching.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from core.cameras import look_at, project
from core.scenes.motion import about, product, reach_m
from core.scenes.types import Light, Material, Scene, Thing, Vec
from core.types import InputError, Settings, setting

# What the screen shows (sRGB, 0 to 255); `albedo` is what light is multiplied by.
COLOURS = {
    "red": (206, 32, 41),
    "orange": (244, 124, 20),
    "yellow": (247, 216, 50),
    "green": (30, 136, 72),
    "cyan": (92, 214, 232),
    "blue": (30, 66, 190),
    "purple": (132, 48, 160),
    "pink": (236, 112, 172),
}

SHAPES = ("ball", "box", "cylinder", "cone", "ring")

GROUNDS = {
    "wood": Material((0.42, 0.24, 0.11), (0.26, 0.13, 0.05), "wood", 0.35, gloss=0.15),
    "checker": Material((0.62, 0.62, 0.6), (0.24, 0.25, 0.27), "checker", 0.4),
    "marble": Material((0.58, 0.57, 0.54), (0.26, 0.26, 0.28), "marble", 0.5, gloss=0.25),
    "stone": Material((0.34, 0.33, 0.32), (0.2, 0.2, 0.2), "noise", 0.15),
    "plain": Material((0.42, 0.42, 0.42)),
}

LARGE_M = 0.45  # what is at least this high is called large, the rest small


def albedo(colour: str) -> Vec:
    """Linear-light albedo of a colour of COLOURS (sRGB's curve, IEC 61966-2-1)."""
    s = np.array(COLOURS[colour]) / 255
    r, g, b = np.where(s <= 0.04045, s / 12.92, ((s + 0.055) / 1.055) ** 2.4).tolist()
    return r, g, b


def toy(
    colour: str,
    shape: str,
    size_m: float = 0.4,
    at: tuple[float, float] = (0.0, 0.0),
    yaw_deg: float = 0.0,
    *,
    shiny: bool = False,
    striped: bool = False,
    lying: bool = False,
) -> Thing:
    """A toy of height size_m that stands on the ground at x, y; a ring may also lie.

    striped: bands of a paler shade, so that one sees it turn. Raises InputError for a colour or
    shape without a name.
    """
    if colour not in COLOURS or shape not in SHAPES:
        raise InputError(
            f"There is no {colour} {shape}. Colours: {', '.join(COLOURS)}; "
            f"shapes: {', '.join(SHAPES)}."
        )
    h = size_m
    kind, size = {
        "ball": ("sphere", (h, h, h)),
        "box": ("box", (h, h, h)),
        "cylinder": ("cylinder", (0.75 * h, 0.75 * h, h)),
        "cone": ("cone", (0.9 * h, 0.9 * h, h)),
        "ring": ("torus", (h, h, 0.26 * h)),
    }[shape]
    yaw = about((0, 0, 1), yaw_deg)
    standing = shape == "ring" and not lying
    rotation = product(yaw, about((1, 0, 0), 90)) if standing else yaw
    height = size[2] if shape == "ring" and lying else h
    own = albedo(colour)
    pale: Vec = tuple(c + 0.25 * (1 - c) for c in own)  # type: ignore[assignment]
    material = Material(
        own,
        pale if striped else own,
        "stripes" if striped else "plain",
        scale_m=0.35 * h,
        gloss=0.8 if shiny else 0.0,
    )
    name = f"{colour} {shape}"
    return Thing(name, kind, size, (*at, height / 2), rotation, material, colour, shape)


def ground(kind: str = "wood") -> Thing:
    """An endless plane at z = 0 of one of GROUNDS."""
    if kind not in GROUNDS:
        raise InputError(f"There is no ground {kind!r}. Choose one of: {', '.join(GROUNDS)}.")
    return Thing("ground", "plane", (0.0, 0.0, 0.0), material=GROUNDS[kind])


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
    size_variation: float = setting(
        0.1, "Size variation", "How far sizes stray from small and large, as a share.",
        minimum=0.0, maximum=0.15, step=0.01,
    )  # fmt: skip
    fog_per_m: float = setting(
        0.0, "Fog", "Share of light lost per metre.",
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


BACKGROUNDS = {
    "sky": ((0.86, 0.9, 0.94), (0.35, 0.55, 0.8)),
    "white": ((0.93, 0.93, 0.92), (0.8, 0.82, 0.85)),
    "dark": ((0.1, 0.11, 0.14), (0.02, 0.02, 0.03)),
    "dusk": ((0.9, 0.72, 0.58), (0.36, 0.38, 0.58)),
}


def random_scene(seed: int, settings: SceneSettings = SceneSettings()) -> Scene:
    """A scene by chance: toys of different colours on a ground, all in view, none touching.

    The same seed and settings give the same scene.
    """
    rng = np.random.default_rng((seed, 5))
    n = int(rng.integers(settings.min_things, settings.max_things + 1))
    colours = rng.permutation(list(COLOURS))[:n].tolist()
    kind = str(rng.choice(list(GROUNDS))) if settings.textures else "plain"
    eye, target, fov_deg = random_view(rng, settings.vary_view)
    light = random_light(rng)
    horizon, zenith = random_background(rng, settings.background)
    camera = look_at(eye, target, 100, 100, fov_deg)

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
            if is_free(new, things) and in_view(camera, new):
                things.append(new)
        if len(things) == n:
            break
    else:
        raise InputError(f"{n} things found no room. Ask for fewer.")
    return Scene(
        f"random {seed}", (ground(kind), *things), light, horizon, zenith,
        settings.fog_per_m, eye, target, fov_deg,
    )  # fmt: skip


def random_view(rng: np.random.Generator, vary: bool = True) -> tuple[Vec, Vec, float]:
    """Eye, target and horizontal angle of view: from the south, 22° to 38° above the ground."""
    rise = math.radians(rng.uniform(22, 38) if vary else 28)
    azimuth = math.radians(rng.uniform(-110, -70) if vary else -90)
    away_m = rng.uniform(3.0, 3.6) if vary else 3.3
    target = (0.0, 0.0, 0.15)
    eye = (
        away_m * math.cos(rise) * math.cos(azimuth),
        away_m * math.cos(rise) * math.sin(azimuth),
        target[2] + away_m * math.sin(rise),
    )
    return eye, target, 45.0


def random_light(rng: np.random.Generator) -> Light:
    """A light high on the camera's side, left or right."""
    side = float(rng.choice([-1, 1]) * rng.uniform(1.0, 2.8))
    return Light((side, float(rng.uniform(-3.2, -1.0)), float(rng.uniform(3.5, 5.0))), 0.4)


def random_background(rng: np.random.Generator, kind: str = "varied") -> tuple[Vec, Vec]:
    """Colours at the horizon and overhead."""
    return BACKGROUNDS[str(rng.choice(list(BACKGROUNDS))) if kind == "varied" else kind]


def is_free(thing: Thing, others: list[Thing], gap_m: float = 0.06) -> bool:
    """Whether a thing's circle on the ground keeps gap_m from those of the others."""
    return all(
        math.dist(thing.position[:2], other.position[:2]) > reach_m(thing) + reach_m(other) + gap_m
        for other in others
    )


def in_view(camera, thing: Thing, margin: float = 0.03) -> bool:
    """Whether the thing's bounding box lies in the picture, with a margin (share of the width)."""
    r = reach_m(thing)
    top = 2 * thing.position[2]
    x, y, _ = thing.position
    corners = np.array([(x + a, y + b, z) for a in (-r, r) for b in (-r, r) for z in (0, top)])
    xy, z_m = project(camera, corners)
    size = np.array([camera.width, camera.height])
    return bool(
        (z_m > 0.1).all()
        and (xy > margin * size).all()
        and (xy < size - margin * size).all()
    )  # fmt: skip
