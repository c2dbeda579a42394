"""Hand-made scenes, each built around something that a method finds easy or hard.

tabletop  glossy next to matte, round next to flat: a first picture of everything
street    long straight edges running into depth, repeated windows: geometry, and false matches
gallery   pictures on a wall: rich texture on planes, what matching likes best
thin      rods, a fence, wires and leaves narrower than a window: breaks stereo
mirror    a ball that shows what is elsewhere: breaks whoever takes colour for a place (NeRF)
terrain   a height field, haze and a lake that mirrors: depth without objects
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from core.scenes.motion import about, product
from core.scenes.toys import BACKGROUNDS, albedo, ground, toy
from core.scenes.types import Light, Material, Quat, Scene, Thing, Vec
from core.scenes.world import waves_of
from core.types import InputError

CLEAR = BACKGROUNDS["sky"]


def scene(name: str = "tabletop") -> Scene:
    """One of NAMES. Raises InputError for any other name."""
    if name not in _MADE:
        raise InputError(f"There is no scene {name!r}. Choose one of: {', '.join(NAMES)}.")
    return _MADE[name]()


def _tabletop() -> Scene:
    wood = replace(ground("wood"), material=Material(
        (0.46, 0.25, 0.11), (0.24, 0.11, 0.04), "wood", 0.28, gloss=0.22))  # fmt: skip
    marble = Material((0.82, 0.8, 0.76), (0.32, 0.32, 0.36), "marble", 0.22, gloss=0.5)
    plinth = Thing("marble plinth", "cylinder", (0.62, 0.62, 0.16), (0.42, 0.42, 0.08),
                   material=marble)  # fmt: skip
    on_top = toy("green", "cone", 0.42, (0.42, 0.42))
    return Scene(
        "tabletop",
        (
            wood,
            toy("red", "ball", 0.46, (-0.28, 0.02), shiny=True),
            toy("blue", "box", 0.4, (-0.78, 0.5), 28),
            plinth,
            replace(on_top, position=(0.42, 0.42, 0.16 + 0.21)),
            toy("yellow", "ring", 0.5, (0.3, -0.42), 20, shiny=True, lying=True),
            toy("purple", "cylinder", 0.58, (-0.1, 0.85), shiny=True),
            toy("orange", "ball", 0.17, (-0.62, -0.4), shiny=True),
            toy("cyan", "box", 0.17, (0.82, -0.1), -20),
            toy("pink", "cylinder", 0.15, (-0.18, -0.55)),
        ),
        Light((-1.9, -1.5, 2.6), 0.35, 1.05, 0.32),
        (0.93, 0.83, 0.72), (0.5, 0.42, 0.42),
        eye=(0.55, -2.35, 1.35), target=(0.02, 0.12, 0.17), fov_deg=42,
    )  # fmt: skip


def _street() -> Scene:
    """Houses of boxes on both sides; windows are boxes a little proud of the wall."""
    rng = np.random.default_rng(4)
    brick, pale = (0.42, 0.13, 0.08), (0.62, 0.56, 0.47)
    walls = [
        Material(brick, (0.6, 0.56, 0.5), "bricks", 0.16),
        Material((0.75, 0.58, 0.34)),
        Material((0.5, 0.27, 0.18), pale, "bricks", 0.2),
        Material((0.35, 0.47, 0.55)),
        Material((0.72, 0.68, 0.6), (0.6, 0.55, 0.47), "bricks", 0.3),
        Material((0.66, 0.36, 0.28)),
    ]
    glass = Material((0.05, 0.08, 0.12), gloss=1.0, mirror=0.25)
    things = [
        replace(ground("stone"), material=Material((0.2, 0.2, 0.21), (0.15, 0.15, 0.16),
                                                   "noise", 0.25)),
        Thing("left pavement", "box", (2.2, 40, 0.14), (-3.1, 14, 0.07),
              material=Material((0.5, 0.48, 0.45), (0.42, 0.4, 0.38), "checker", 0.5)),
        Thing("right pavement", "box", (2.2, 40, 0.14), (3.1, 14, 0.07),
              material=Material((0.5, 0.48, 0.45), (0.42, 0.4, 0.38), "checker", 0.5)),
    ]  # fmt: skip
    for side, word in ((-1, "left"), (1, "right")):
        y = 0.5
        for k in range(4):
            width, height, deep = rng.uniform(3.2, 4.4), rng.uniform(3.6, 6.4), 4.0
            wall_x = side * 4.0
            things.append(
                Thing(f"{word} house {k + 1}", "box", (deep, width, height),
                      (wall_x + side * deep / 2, y + width / 2, height / 2),
                      material=walls[(2 * k + (side > 0) * 3 + k // 3) % len(walls)])
            )  # fmt: skip
            for floor in range(int(height // 1.7)):
                for column in range(2):
                    place = (wall_x, y + width * (0.28 + 0.44 * column), 1.15 + 1.6 * floor)
                    things.append(
                        Thing(f"{word} window {k + 1}{floor + 1}{column + 1}", "box",
                              (0.1, 0.8, 1.0), place, material=glass)
                    )  # fmt: skip
            y += width + 0.25
    things += [
        _stand("red car", (1.4, 2.5, 0.55), (1.1, 5.6, 0.5), albedo("red"), gloss=0.9),
        _stand("car roof", (1.2, 1.3, 0.42), (1.1, 5.7, 0.97), (0.05, 0.07, 0.1), gloss=1.0),
        _wheel("wheel 1", (0.42, 4.75, 0.28)), _wheel("wheel 2", (0.42, 6.4, 0.28)),
        _stand("mail box", (0.35, 0.35, 0.85), (-2.35, 3.0, 0.56), albedo("yellow")),
        _pole("lamp post", (2.3, 3.4), 3.0, 0.09, (0.06, 0.08, 0.08)),
        Thing("lamp", "sphere", (0.36, 0.36, 0.36), (2.3, 3.4, 3.28),
              material=Material((0.95, 0.9, 0.7), gloss=0.5)),
        _pole("tree trunk", (-2.4, 6.2), 1.5, 0.2, (0.17, 0.09, 0.05)),
        Thing("tree crown", "sphere", (1.8, 1.8, 1.8), (-2.4, 6.2, 2.2),
              material=Material((0.1, 0.3, 0.06), (0.18, 0.42, 0.1), "noise", 0.16)),
        _pole("tree trunk 2", (-2.5, 10.2), 1.7, 0.2, (0.17, 0.09, 0.05)),
        Thing("tree crown 2", "sphere", (2.0, 2.0, 2.2), (-2.5, 10.2, 2.6),
              material=Material((0.12, 0.34, 0.08), (0.2, 0.45, 0.1), "noise", 0.16)),
        Thing("end house", "box", (9, 3, 5.2), (0, 21, 2.6), material=walls[2]),
        Thing("end gable", "cone", (5.5, 5.5, 2.6), (0, 21, 6.5),
              material=Material((0.3, 0.1, 0.07))),
    ]  # fmt: skip
    return Scene(
        "street", tuple(things), Light((-6.0, -6.0, 14.0), 1.2, 1.05, 0.38),
        (0.86, 0.89, 0.93), (0.25, 0.48, 0.82), fog_per_m=0.004,
        eye=(-0.7, -3.4, 1.9), target=(0.1, 5.5, 1.75), fov_deg=58,
    )  # fmt: skip


def _gallery() -> Scene:
    """A wall at y = 0 with framed pictures, a second wall on the left, a bench, a vase."""
    parquet = Material((0.4, 0.24, 0.13), (0.26, 0.14, 0.07), "wood", 0.3, gloss=0.3)
    wall = Material((0.78, 0.77, 0.73))
    things = [
        replace(ground("wood"), material=parquet),
        Thing("back wall", "box", (7.0, 0.2, 3.2), (0.4, 0.1, 1.6), material=wall),
        Thing("left wall", "box", (0.2, 5.0, 3.2), (-2.6, -2.5, 1.6),
              material=Material((0.34, 0.42, 0.46))),
    ]  # fmt: skip
    for k, (image, x, z, w, h) in enumerate(
        (
            ("sunset", -1.7, 1.55, 1.1, 0.85),
            ("blocks", -0.42, 1.5, 0.95, 1.2),
            ("map", 0.95, 1.55, 1.25, 0.95),
            ("circles", 2.25, 1.5, 0.8, 1.05),
        )
    ):
        things += _framed(image, k, (x, 0.0, z), (w, h))
    for image, y, h in (("newspaper", -1.0, 1.15), ("chart", -2.2, 0.95)):
        things += [
            Thing(f"{image} frame", "box", (0.08, h * 0.8 + 0.1, h + 0.1), (-2.48, y, 1.5),
                  material=Material((0.05, 0.04, 0.04), gloss=0.4)),
            Thing(image, "box", (0.1, h * 0.8, h), (-2.48, y, 1.5),
                  material=Material((1, 1, 1), texture="image", image=image)),
        ]  # fmt: skip
    things += [
        _stand("bench", (1.5, 0.45, 0.09), (0.25, -1.45, 0.42), (0.36, 0.16, 0.07), gloss=0.4),
        _stand("bench leg", (0.09, 0.4, 0.38), (-0.35, -1.45, 0.19), (0.06, 0.06, 0.07)),
        _stand("other bench leg", (0.09, 0.4, 0.38), (0.85, -1.45, 0.19), (0.06, 0.06, 0.07)),
        _stand("plinth", (0.46, 0.46, 0.8), (2.05, -0.85, 0.4), (0.82, 0.81, 0.78)),
        Thing("marble ball", "sphere", (0.44, 0.44, 0.44), (2.05, -0.85, 1.02),
              material=Material((0.8, 0.78, 0.74), (0.2, 0.26, 0.3), "marble", 0.12, gloss=0.8)),
        Thing("hanging ring", "torus", (0.6, 0.6, 0.13), (-1.75, -1.0, 0.3),
              product(about((0, 0, 1), 35), about((1, 0, 0), 90)),
              Material(albedo("orange"), gloss=0.7)),
    ]  # fmt: skip
    return Scene(
        "gallery", tuple(things), Light((0.9, -3.0, 3.6), 0.5, 0.95, 0.45),
        (0.85, 0.84, 0.82), (0.6, 0.6, 0.62),
        eye=(0.95, -6.0, 1.7), target=(0.15, -0.4, 1.18), fov_deg=53,
    )  # fmt: skip


def _thin() -> Scene:
    """A picket fence, wires between poles, rods in a pot and leaves, in front of plain and busy."""
    rng = np.random.default_rng(12)
    white, dark = (0.8, 0.79, 0.75), (0.07, 0.07, 0.08)
    things = [
        replace(ground("plain"), material=Material((0.2, 0.32, 0.1), (0.13, 0.24, 0.07),
                                                   "noise", 0.22)),
        Thing("brick wall", "box", (6.5, 0.2, 1.35), (-0.6, 2.6, 0.675),
              material=Material((0.45, 0.17, 0.11), (0.62, 0.58, 0.52), "bricks", 0.14)),
    ]  # fmt: skip
    for k in range(13):
        x = -1.95 + 0.27 * k
        if k in (7, 8):
            continue  # a gap to look through
        things.append(_stand(f"picket {k + 1}", (0.055, 0.03, 0.72), (x, 0.75, 0.36), white))
    for k, z in enumerate((0.22, 0.52)):
        things.append(_stand(f"rail {k + 1}", (1.75, 0.02, 0.045), (-1.2, 0.78, z), white))
        things.append(_stand(f"short rail {k + 1}", (1.15, 0.02, 0.045), (0.86, 0.78, z), white))
    for k, x in enumerate((-1.6, 1.55)):
        things.append(_pole(f"pole {k + 1}", (x, 1.5), 1.75, 0.06, (0.24, 0.14, 0.08)))
    for k in range(3):
        things.append(_rod(f"wire {k + 1}", (-1.6, 1.5, 1.42 + 0.13 * k),
                           (1.55, 1.5, 1.42 + 0.13 * k), 0.014, dark))  # fmt: skip
    things.append(Thing("pot", "cylinder", (0.36, 0.36, 0.3), (-0.45, -0.15, 0.15),
                        material=Material((0.55, 0.2, 0.1), gloss=0.2)))  # fmt: skip
    for k in range(13):
        angle = 2 * math.pi * k / 13 + float(rng.uniform(-0.2, 0.2))
        lean, long = math.radians(rng.uniform(6, 46)), float(rng.uniform(0.55, 0.85))
        tilt = product(about((0, 0, 1), math.degrees(angle)), about((0, 1, 0), math.degrees(lean)))
        out, up = math.sin(lean) * long / 2, math.cos(lean) * long / 2
        middle = (-0.45 + out * math.cos(angle), -0.15 + out * math.sin(angle), 0.27 + up)
        green = ((0.1, 0.34, 0.06), (0.2, 0.46, 0.1), (0.05, 0.24, 0.07))[k % 3]
        things.append(Thing(f"leaf {k + 1}", "cone", (0.05, 0.05, long), middle, tilt,
                            Material(green, gloss=0.3)))  # fmt: skip
    bicycle = product(about((0, 0, 1), 12), about((1, 0, 0), 90))
    for k, x in enumerate((0.36, 1.06)):
        things.append(Thing(f"wheel {k + 1}", "torus", (0.6, 0.6, 0.028),
                            (x, -0.02 + 0.21 * (x - 0.36), 0.3), bicycle,
                            Material(dark, gloss=0.4)))  # fmt: skip
    frame = [((0.36, 0.3), (0.62, 0.62)), ((0.62, 0.62), (0.98, 0.66)), ((0.36, 0.3), (0.7, 0.28)),
             ((0.7, 0.28), (0.6, 0.72)), ((0.7, 0.28), (0.98, 0.66)), ((1.06, 0.3), (0.96, 0.78)),
             ((0.9, 0.78), (1.04, 0.8)), ((0.54, 0.72), (0.68, 0.73))]  # fmt: skip
    for k, ((x0, z0), (x1, z1)) in enumerate(frame):
        a, b = ((x, -0.02 + 0.21 * (x - 0.36), z) for x, z in ((x0, z0), (x1, z1)))
        things.append(_rod(f"tube {k + 1}", a, b, 0.026, albedo("red" if k < 6 else "blue"), 0.8))
    return Scene(
        "thin", tuple(things), Light((-2.6, -3.2, 4.6), 0.25, 1.1, 0.36), *CLEAR,
        eye=(0.1, -2.75, 1.05), target=(0.0, 0.6, 0.62), fov_deg=48,
    )  # fmt: skip


def _mirror() -> Scene:
    """A mirror ball in a ring of coloured things, on squares that bend in it."""
    things = [
        replace(ground("checker"), material=Material((0.66, 0.64, 0.6), (0.1, 0.11, 0.13),
                                                     "checker", 0.35)),
        Thing("mirror ball", "sphere", (0.95, 0.95, 0.95), (0, 0, 0.475),
              material=Material((0.9, 0.9, 0.92), gloss=1.0, mirror=0.92)),
    ]  # fmt: skip
    shapes = ("box", "cone", "cylinder", "ball", "ring", "box", "cone", "ball")
    order = ("red", "yellow", "blue", "orange", "green", "purple", "cyan", "pink")
    for k, (colour, shape) in enumerate(zip(order, shapes, strict=True)):
        angle = math.radians(-90 + 22 + 45 * k)
        place = (1.05 * math.cos(angle), 1.05 * math.sin(angle))
        size = 0.24 if -1.0 < place[1] < -0.3 else 0.36
        things.append(toy(colour, shape, size, place, math.degrees(angle) + 90, shiny=k % 2 == 0))
    return Scene(
        "mirror", tuple(things), Light((-2.4, -2.2, 3.6), 0.5, 1.0, 0.36),
        (0.92, 0.8, 0.7), (0.22, 0.3, 0.5),
        eye=(0.15, -2.75, 1.3), target=(0.0, 0.0, 0.34), fov_deg=46,
    )  # fmt: skip


def _terrain() -> Scene:
    """Hills around a lake, with firs that show the scale and haze that shows the distance."""
    size = (36.0, 36.0, 16.0)
    hills = Thing("far hills", "heightfield", size, (0, 6, 0), material=Material(
        (0.07, 0.22, 0.02), (0.36, 0.27, 0.1), "noise", 0.7))  # fmt: skip
    lake = Thing("lake", "plane", (36, 36, 0), (0, 6, -1.0),
                 material=Material((0.01, 0.09, 0.15), gloss=0.9, mirror=0.4))  # fmt: skip
    rng = np.random.default_rng(3)
    turns_x, turns_y, phase, amplitude = waves_of("far hills")
    trees = []
    for k in range(150):
        x, y = float(rng.uniform(-12, 10)), float(rng.uniform(-7, 14))
        angle = turns_x * x / 18 + turns_y * (y - 6) / 18 + phase
        z = float((amplitude * np.sin(angle)).sum()) * size[2] / 2
        if -0.8 < z < 3:
            high = float(rng.uniform(0.7, 1.2))
            trees.append(
                Thing(
                    f"fir {k + 1}",
                    "cone",
                    (0.45 * high, 0.45 * high, high),
                    (x, y, z + 0.42 * high),
                    material=Material((0.03, 0.12, 0.05)),
                )
            )
    return Scene(
        "terrain", (lake, hills, *trees), Light((-14.0, -16.0, 12.0), 0.8, 1.45, 0.3),
        (0.72, 0.84, 0.93), (0.08, 0.28, 0.7), fog_per_m=0.0035,
        eye=(11.0, -8.0, 4.0), target=(-3.0, 7.0, 0.4), fov_deg=50,
    )  # fmt: skip


_MADE = {
    "tabletop": _tabletop, "street": _street, "gallery": _gallery,
    "thin": _thin, "mirror": _mirror, "terrain": _terrain,
}  # fmt: skip
NAMES = tuple(_MADE)


# ---------------------------------------------------------------- parts


def _stand(name: str, size: Vec, at: Vec, colour: Vec, gloss: float = 0.0) -> Thing:
    return Thing(name, "box", size, at, material=Material(colour, gloss=gloss))


def _pole(name: str, at: tuple[float, float], height: float, thick: float, colour: Vec) -> Thing:
    size = (thick, thick, height)
    return Thing(name, "cylinder", size, (*at, height / 2), material=Material(colour))


def _wheel(name: str, at: Vec) -> Thing:
    return Thing(name, "cylinder", (0.56, 0.56, 0.2), at, about((0, 1, 0), 90),
                 Material((0.02, 0.02, 0.02), gloss=0.2))  # fmt: skip


def _rod(name: str, a: Vec, b: Vec, thick: float, colour: Vec, gloss: float = 0.2) -> Thing:
    """A round rod from a to b."""
    way = np.subtract(b, a)
    length = float(np.linalg.norm(way))
    x, y, z = (np.add(a, b) / 2).tolist()
    return Thing(name, "cylinder", (thick, thick, length), (x, y, z), _upright_to(way / length),
                 Material(colour, gloss=gloss))  # fmt: skip


def _upright_to(way: np.ndarray) -> Quat:
    """The rotation that takes +z to the unit vector `way`."""
    tilt_deg = math.degrees(math.acos(float(np.clip(way[2], -1, 1))))
    return about((-float(way[1]), float(way[0]), 0.0), tilt_deg)


def _framed(image: str, k: int, at: Vec, size: tuple[float, float]) -> list[Thing]:
    """A picture in a frame on a wall that faces -y."""
    wood = ((0.3, 0.17, 0.07), (0.03, 0.03, 0.035), (0.55, 0.42, 0.16), (0.75, 0.74, 0.72))[k]
    x, y, z = at
    w, h = size
    return [
        Thing(f"{image} frame", "box", (w + 0.12, 0.08, h + 0.12), (x, y - 0.02, z),
              material=Material(wood, gloss=0.5)),
        Thing(image, "box", (w, 0.1, h), (x, y - 0.03, z),
              material=Material((1, 1, 1), texture="image", image=image)),
    ]  # fmt: skip
