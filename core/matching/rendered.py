"""The examples that core.scenes renders: painted walls, and a street corner.

A painted wall is a plane, so any two views of it are related by a homography: a camera with K and
w2c = [R | t] sees the wall's point (a, b) at x ~ K [R u | R v | R o + t] (a, b, 1), and one such
matrix times the inverse of another takes picture 0 to picture 1. In the street corner there is no
single homography; there the truth is the cameras and the depth of every pixel.
"""

from __future__ import annotations

import numpy as np

from core.matching.types import Pair, Truth
from core.scenes import Light, Material, RenderSettings, Scene, Thing, render, render_batch
from core.scenes.render import to_bytes
from core.types import Camera, InputError

SIZE = 640, 480
UPRIGHT = (0.5**0.5, 0.5**0.5, 0.0, 0.0)  # turns a plane's face from up to towards the viewer
FACING_RIGHT = (0.5, 0.5, 0.5, 0.5)  # ... and to +x, its picture still upright
HAZE, BLUE_SKY = (0.95, 0.85, 0.73), (0.3, 0.52, 0.74)


def pair(key: str, title: str, seed: int = 0) -> Pair:
    """The rendered example `key`, called `title`. Raises InputError for an unknown key."""
    if key == "street":
        return _street(seed, title)
    if key == "poster":
        eyes = _eye((-0.5, -5.2, -0.1), 4, 1, 560), _eye((1.9, -4.6, 0.5), -24, 6, 600, 8)
        return _wall("poster_wall", (8.0, 5.0), seed, eyes, title)
    if key == "repetition":
        eyes = _eye((-1.4, -6.4, 0), 10, 2, 560), _eye((1.3, -6.2, 0), -13, 2, 560)
        return _wall("window_wall", (11.0, 7.54), seed, eyes, title)
    if key == "viewpoint":
        eyes = _eye((0, -5.0, 0), 0, 0, 640), _eye((4.9, -1.45, 0), -73.5, 0, 700)
        return _wall("poster_wall", (8.0, 5.0), seed, eyes, title)
    raise InputError(f"There is no rendered example {key!r}. Choose one of core.matching.examples.")


def _eye(
    place: tuple[float, float, float], yaw_deg: float, pitch_deg: float, focal_px: float,
    roll_deg: float = 0.0,
) -> Camera:  # fmt: skip
    """A camera at `place` that looks along +y, turned right by yaw, up by pitch."""
    y, p, r = np.deg2rad([yaw_deg, pitch_deg, roll_deg])
    yaw = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    pitch = np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
    roll = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    ahead = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])  # camera axes to the world's, unturned
    c2w = np.eye(4)
    c2w[:3, :3] = ahead @ (roll @ pitch @ yaw).T
    c2w[:3, 3] = place
    K = np.array([[focal_px, 0, SIZE[0] / 2], [0, focal_px, SIZE[1] / 2], [0, 0, 1]])
    return Camera(K, c2w, *SIZE)


def _painted(kind: str, seed: int, *words: str) -> Material:
    return Material(texture="image", image=":".join(("painted", kind, str(seed), *words)))


def _wall(
    kind: str, size_m: tuple[float, float], seed: int, eyes: tuple[Camera, Camera], title: str
) -> Pair:
    """A painted wall in the plane y = 0, seen by two cameras."""
    wall = Thing("wall", "plane", (*size_m, 0), (0, 0, 0), UPRIGHT, _painted(kind, seed))
    light = Light((-5.0, -9.0, 7.0), 0.4, 0.8, 0.55)
    scene = Scene(kind, (wall,), light, HAZE, BLUE_SKY)
    sees = []
    for eye in eyes:
        w2c = np.linalg.inv(eye.c2w)
        sees.append(eye.K @ w2c[:3][:, [0, 2, 3]])  # of the points (x, 0, z)
    H = sees[1] @ np.linalg.inv(sees[0])
    truth = Truth(homography=H / np.cbrt(np.linalg.det(H)))
    rgb0, rgb1 = (_picture(scene, eye) for eye in eyes)
    return Pair(rgb0, rgb1, truth, title)


def _picture(scene: Scene, eye: Camera) -> np.ndarray:
    """Colour alone: a single wall casts no shadow, and its truth is a formula."""
    light = render_batch([scene], [eye], RenderSettings(shadows=False), truth=False)["rgb"]
    return to_bytes(light)[0].cpu().numpy()


def _street(seed: int, title: str) -> Pair:
    eyes = _eye((-0.75, -0.6, 1.7), 5, 1.5, 540), _eye((0.95, 0.0, 1.85), -7, 0.5, 540)
    scene = street(seed)
    view0, view1 = (render(scene, eye) for eye in eyes)
    move = np.linalg.inv(eyes[1].c2w) @ eyes[0].c2w
    truth = Truth(
        K0=eyes[0].K, K1=eyes[1].K, R=move[:3, :3], t=move[:3, 3],
        depth0_m=view0.depth_m, depth1_m=view1.depth_m,
    )  # fmt: skip
    return Pair(view0.rgb, view1.rgb, truth, title)


def street(seed: int = 0) -> Scene:
    """A street corner: two house fronts, a kiosk, an advertising column, crates."""
    things = [
        Thing("ground", "plane", (24, 17, 0), (0, 7.5, 0), material=_painted("ground", seed)),
        Thing("brick house", "plane", (12, 6.4, 0), (-4.6, 7, 3.2), FACING_RIGHT,
              _painted("brick_house", seed)),
        Thing("plaster house", "plane", (16, 5.7, 0), (3.4, 13, 2.85), UPRIGHT,
              _painted("plaster_house", seed)),
        _box("kiosk", (2.7, 8.6), (2.3, 1.7, 2.5), -14, _painted("kiosk", seed)),
        _box("column", (-1.05, 9.6), (1.0, 1.0, 2.7), 24, _painted("column", seed, "3", "1")),
    ]  # fmt: skip
    for place, size, yaw_deg, lift, words in (
        ((-2.3, 5.6), (1.0, 0.95, 0.95), 17, 0.0, "FRAGILE"),
        ((-2.25, 5.65), (0.62, 0.6, 0.6), -22, 0.95, "TEA"),
        ((0.75, 6.2), (1.15, 0.7, 0.62), -8, 0.0, "ORANGES"),
        ((3.3, 5.0), (0.85, 0.85, 0.8), 28, 0.0, "PIANO"),
    ):
        material = _painted("crate", seed, words)
        things.append(_box(f"crate {words}", place, size, yaw_deg, material, lift))
    light = Light((-2.5, -8.0, 15.0), 0.5, 0.85, 0.5)
    return Scene("street corner", tuple(things), light, HAZE, BLUE_SKY)


def _box(
    name: str, place: tuple[float, float], size: tuple[float, float, float], yaw_deg: float,
    material: Material, lift: float = 0.0,
) -> Thing:  # fmt: skip
    """A box on the ground, or `lift` above it, at x, y, turned clockwise by yaw."""
    half = np.deg2rad(yaw_deg) / 2
    position = (*place, lift + size[2] / 2)
    turned = (float(np.cos(half)), 0.0, 0.0, float(-np.sin(half)))
    return Thing(name, "box", size, position, turned, material)
