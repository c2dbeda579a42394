"""Toys: coloured shapes that a caption can name and everybody would name alike.

A caption is only true if the eye agrees with it. So there are few colours, far apart also for
people who confuse red and green (each pair keeps a distance in CIELAB, tested for normal and
red-green-blind vision, mostly by lightness), and few shapes with everyday names. All stand on
the ground z = 0 without touching.
"""

from __future__ import annotations

import math

import numpy as np

from core.cameras import project
from core.scenes.motion import about, product, reach_m
from core.scenes.types import Light, Material, Thing, Vec
from core.types import Camera, InputError

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

OUTDOORS = {  # what hills are made of
    "grass": Material((0.11, 0.2, 0.04), (0.25, 0.29, 0.09), "noise", 0.12),
    "sand": Material((0.6, 0.47, 0.3), (0.42, 0.31, 0.18), "noise", 0.1),
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
    """An endless plane at z = 0 of one of GROUNDS or OUTDOORS."""
    known = GROUNDS | OUTDOORS
    if kind not in known:
        raise InputError(f"There is no ground {kind!r}. Choose one of: {', '.join(known)}.")
    return Thing("ground", "plane", (0.0, 0.0, 0.0), material=known[kind])


BACKGROUNDS = {
    "sky": ((0.86, 0.9, 0.94), (0.35, 0.55, 0.8)),
    "white": ((0.93, 0.93, 0.92), (0.8, 0.82, 0.85)),
    "dark": ((0.1, 0.11, 0.14), (0.02, 0.02, 0.03)),
    "dusk": ((0.9, 0.72, 0.58), (0.36, 0.38, 0.58)),
}


# Of each place: how many degrees above its target the eye is at least, at most, and if the view is
# not varied; and the target's height in metres. Lower before a wall, so that it comes into the
# picture, and lowest before hills, with the horizon in the upper third.
VIEWS = {"floor": (22, 38, 28, 0.15), "wall": (15, 22, 18, 0.2), "hills": (6, 11, 8, 0.5)}


def random_view(
    rng: np.random.Generator, vary: bool = True, place: str = "floor"
) -> tuple[Vec, Vec, float]:
    """Eye, target and horizontal angle of view: from the south, over a place of VIEWS."""
    least, most, usual, above_m = VIEWS[place]
    rise = math.radians(rng.uniform(least, most) if vary else usual)
    azimuth = math.radians(rng.uniform(-110, -70) if vary else -90)
    away_m = rng.uniform(3.0, 3.6) if vary else 3.3
    target = (0.0, 0.0, above_m)
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


def is_seen(camera: Camera, thing: Thing, others: list[Thing]) -> bool:
    """Whether the thing and the others leave a good part of each other in sight.

    In the picture the centre of the farther one must not lie well within the nearer one.
    """
    xy, z_m = project(camera, np.array([thing.position, *(t.position for t in others)]))
    radius = camera.K[0, 0] * np.array([reach_m(thing), *map(reach_m, others)]) / z_m
    apart = np.hypot(*(xy[1:] - xy[0]).T)
    nearer = np.where(z_m[1:] < z_m[0], radius[1:], radius[0])
    farther = np.where(z_m[1:] < z_m[0], radius[0], radius[1:])
    return bool((apart > nearer - 0.1 * farther).all())


def in_view(camera: Camera, thing: Thing, margin: float = 0.03) -> bool:
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
