"""What stands around the toys: hills on the horizon, walls with pictures, letters on boxes.

None of it is a thing that captions count: it has no colour name and no shape name. It makes
the far part of a picture as varied as the near one: curved and steep, flat and full of print.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from core.scenes.motion import about, reach_m
from core.scenes.types import Material, Thing, Vec
from core.scenes.world import waves_of

PLAY_M = 3.9  # around the target: the toys, and the eyes of `orbit_views`, keep free of hills

HUNG = {  # pictures that hang in frames, and their height over their width
    "sunset": 0.8, "circles": 1.0, "blocks": 1.2, "map": 0.8, "chart": 1.1, "newspaper": 1.25,
    **{f"painted:poster:{k}:{k}": 4 / 3 for k in range(6)},
}  # fmt: skip
MURALS = {  # pictures as large as a wall, and its width and height in metres
    "painted:poster_wall:0": (4.2, 2.6), "painted:poster_wall:1": (3.8, 2.4),
    "painted:plaster_house:0": (5.2, 1.9), "painted:plaster_house:1": (5.2, 1.9),
    "painted:brick_house:0": (3.8, 2.0), "painted:brick_house:1": (3.8, 2.0),
}  # fmt: skip
WALLS = (
    Material((0.7, 0.67, 0.6)),
    Material((0.3, 0.38, 0.42)),
    Material((0.45, 0.2, 0.14), (0.62, 0.57, 0.5), "bricks", 0.12),
    Material((0.62, 0.5, 0.38), (0.5, 0.4, 0.3), "wood", 0.3),
    Material((0.55, 0.58, 0.48), (0.48, 0.5, 0.42), "stripes", 0.22),
)
FRAMES: tuple[Vec, ...] = ((0.3, 0.17, 0.07), (0.03, 0.03, 0.035), (0.75, 0.74, 0.72))
WORDS = ("A", "B", "3", "7", "ABC", "TOY", "HI", "BOX")


def lettered(rng: np.random.Generator, box: Thing) -> Thing:
    """The box with a word on each side, on its own colour, so that it is called as before."""
    image = f"label:{box.colour_name}:{rng.choice(WORDS)}"
    return replace(box, material=replace(box.material, texture="image", image=image))


HILLS = {
    "grass": Material((0.06, 0.17, 0.02), (0.34, 0.28, 0.11), "noise", 0.8),
    "sand": Material((0.62, 0.47, 0.28), (0.5, 0.34, 0.18), "noise", 1.2),
    "plain": Material((0.42, 0.42, 0.42)),
}


def hills(rng: np.random.Generator, kind: str, eye: Vec, target: Vec) -> Thing:
    """A height field that lies below the ground z = 0 where toys are, and rises behind them.

    kind is a key of HILLS. Of several fields and places the one is taken whose hills fill most of
    the horizon seen from `eye`, up to a height that leaves room for the sky.
    """
    size = (24.0, 24.0, 9.0)
    ahead = math.atan2(target[1] - eye[1], target[0] - eye[0])
    here = _polar(np.linspace(0, PLAY_M, 9), np.linspace(0, 2 * np.pi, 24))
    there = _polar(np.linspace(4.5, 12, 9), ahead + np.radians(np.linspace(-24, 24, 9)))
    best: tuple[float, str, tuple[float, float, float]] | None = None
    for _ in range(32):
        name = f"hills {int(rng.integers(40))}"
        x, y = rng.uniform(-4, 4, 2).tolist()
        valley = _heights(name, size, here - (x, y)).max() + 0.25
        peaks = _heights(name, size, there - (x, y)).reshape(9, 9) - valley
        rise = (peaks / np.linspace(7.5, 15, 9)[:, None]).max(0)  # as seen from the eye
        score = float(np.minimum(rise, 0.15).mean() - 2 * np.maximum(rise - 0.2, 0).mean())
        if best is None or score > best[0]:
            best = score, name, (x, y, -float(valley))
    assert best is not None
    return Thing(best[1], "heightfield", size, best[2], material=HILLS[kind])


def _polar(radius: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """(R·A, 2) places around the origin."""
    r, a = np.meshgrid(radius, angle, indexing="ij")
    return np.stack([r * np.cos(a), r * np.sin(a)], -1).reshape(-1, 2)


def _heights(name: str, size: Vec, at: np.ndarray) -> np.ndarray:
    """Heights (N,) above the field's centre at places (N, 2) relative to it."""
    turns_x, turns_y, phase, amplitude = waves_of(name)
    angle = at[:, :1] * (turns_x * 2 / size[0]) + at[:, 1:] * (turns_y * 2 / size[1]) + phase
    return (amplitude * np.sin(angle)).sum(1) * size[2] / 2


def wall(rng: np.random.Generator, toys: list[Thing], eye: Vec, target: Vec) -> list[Thing]:
    """A wall across the view, behind all the toys: painted all over, or hung with pictures."""
    ahead = np.array([target[0] - eye[0], target[1] - eye[1], 0.0])
    ahead /= np.linalg.norm(ahead)
    lean = float(rng.uniform(-12, 12))
    turn = about((0, 0, 1), math.degrees(math.atan2(-ahead[0], ahead[1])) + lean)
    c, s = math.cos(math.radians(lean)), math.sin(math.radians(lean))
    back = np.array([c * ahead[0] - s * ahead[1], s * ahead[0] + c * ahead[1], 0.0])
    right = np.array([back[1], -back[0], 0.0])
    behind = max(float(np.dot(toy.position, back)) + reach_m(toy) for toy in toys)
    front = max(behind + float(rng.uniform(0.15, 0.6)), 1.2) * back  # its face's lower middle

    def box(
        name: str, along: float, z: float, wide: float, high: float, proud: float, look: Material
    ) -> Thing:
        """A board that stands `proud` metres out of the wall and ends inside it."""
        thick = 0.12 if name == "wall" else proud + 0.04
        x, y, _ = (front + along * right + (thick / 2 - proud) * back).tolist()
        return Thing(name, "box", (wide, thick, high), (x, y, z), turn, look)

    if rng.random() < 0.5:
        image = str(rng.choice(list(MURALS)))
        wide, high = MURALS[image]
        look = Material((1, 1, 1), texture="image", image=image)
        return [box("wall", float(rng.uniform(-0.3, 0.3)), high / 2, wide, high, 0.0, look)]
    wide, high = float(rng.uniform(4.0, 6.5)), float(rng.uniform(1.5, 2.2))
    look = WALLS[int(rng.integers(len(WALLS)))]
    made = [box("wall", float(rng.uniform(-0.4, 0.4)), high / 2, wide, high, 0.0, look)]
    frame = Material(FRAMES[int(rng.integers(len(FRAMES)))], gloss=0.4)
    n = int(rng.integers(1, 4))
    tall = float(rng.uniform(0.55, 0.8))
    for k, image in enumerate(rng.permutation(list(HUNG))[:n].tolist()):
        w, along, z = tall / HUNG[image], 1.15 * (k - (n - 1) / 2), 0.3 + tall / 2
        made.append(box(f"frame {k + 1}", along, z, w + 0.08, tall + 0.08, 0.03, frame))
        picture = Material((1, 1, 1), texture="image", image=image)
        made.append(box(f"picture {k + 1}", along, z, w, tall, 0.04, picture))
    return made
