"""How things and the camera move: each motion is a formula of time, not a list of key frames.

A motion has a name (whose it is), a kind, and the seconds between which it happens. Its share p of
the way runs from 0 to 1 with a soft start and a soft stop, p = 3s² − 2s³; what it does is a
formula in p. So a scene exists at every instant, exactly, and optical flow between two instants is
no estimate. Motions of the same thing add up.

A ball that rolls a distance d without slipping has turned by d / radius: what touches the ground
stands still for an instant.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.cameras import look_at
from core.scenes.types import Quat, Scene, Thing, Vec
from core.types import Camera, InputError

KINDS = {
    "slide": "moves by `by`",
    "roll": "moves by `by`, turning as a wheel does",
    "turn": "turns by angle_deg about the vertical through its centre",
    "jump": "rises by height_m and falls back, as a thrown thing does",
    "circle": "goes by angle_deg around the vertical through `around`",
    "appear": "is there from the middle of the motion's time on",
    "vanish": "is there until the middle of the motion's time",
}
CAMERA_KINDS = {
    "pan": "turns by angle_deg, to the right if positive",
    "dolly": "moves by ahead_m towards what it looks at",
    "orbit": "goes by angle_deg around what it looks at, to the right if positive",
}


@dataclass(frozen=True)
class Motion:
    """What one thing does between start_s and end_s (seconds).

    by (3,) metres; angle_deg counter-clockwise seen from above; around (3,) metres; soft: starts
    and stops gently ('in' and 'out' only at one end: before and after a collision).
    """

    name: str
    kind: str
    start_s: float
    end_s: float
    by: Vec = (0.0, 0.0, 0.0)
    angle_deg: float = 0.0
    height_m: float = 0.0
    around: Vec = (0.0, 0.0, 0.0)
    soft: str = "both"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"There is no motion {self.kind!r}. Choose from {tuple(KINDS)}.")
        if not self.start_s < self.end_s:
            raise InputError(f"{self.name}: a motion must end after it starts.")


@dataclass(frozen=True)
class CameraMotion:
    """What the camera does between start_s and end_s (seconds); see CAMERA_KINDS."""

    kind: str
    start_s: float
    end_s: float
    angle_deg: float = 0.0
    ahead_m: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in CAMERA_KINDS:
            raise InputError(
                f"A camera has no motion {self.kind!r}. Choose from {tuple(CAMERA_KINDS)}."
            )
        if not self.start_s < self.end_s:
            raise InputError("A camera's motion must end after it starts.")


def at(scene: Scene, motions: Sequence[Motion], t_s: float) -> Scene:
    """The scene at t_s seconds; things that are not there are absent from `things`."""
    mine: dict[str, list[Motion]] = {}
    for motion in motions:
        mine.setdefault(motion.name, []).append(motion)
    for name in mine:
        scene[name]  # says so if there is no such thing
    things = (
        _moved(thing, mine[thing.name], t_s) if thing.name in mine else thing
        for thing in scene.things
    )  # fmt: skip
    return replace(scene, things=tuple(thing for thing in things if thing is not None))


def camera_at(
    scene: Scene,
    motions: Sequence[CameraMotion],
    t_s: float,
    size: tuple[int, int] = (256, 256),
) -> Camera:
    """The scene's own camera at t_s seconds; size is (width, height) px."""
    eye, target = np.asarray(scene.eye), np.asarray(scene.target)
    for motion in motions:
        p = _share(motion, t_s)
        if motion.kind == "pan":
            target = eye + _about_z(-p * motion.angle_deg) @ (target - eye)
        elif motion.kind == "orbit":
            eye = target + _about_z(p * motion.angle_deg) @ (eye - target)
        else:
            ahead = (target - eye) / np.linalg.norm(target - eye)
            eye = eye + p * motion.ahead_m * ahead
    return look_at(eye, target, *size, scene.fov_deg)


def _share(motion: Motion | CameraMotion, t_s: float) -> float:
    """How much of a motion is done at t_s, in [0, 1]."""
    s = min(max((t_s - motion.start_s) / (motion.end_s - motion.start_s), 0.0), 1.0)
    soft = getattr(motion, "soft", "both")
    if soft == "in":
        return s * s
    if soft == "out":
        return s * (2 - s)
    return s * s * (3 - 2 * s)


def _moved(thing: Thing, motions: Sequence[Motion], t_s: float) -> Thing | None:
    position, rotation = np.asarray(thing.position, np.float64), thing.rotation
    for motion in motions:
        p = _share(motion, t_s)
        middle_s = (motion.start_s + motion.end_s) / 2
        if motion.kind == "appear" and t_s < middle_s:
            return None
        if motion.kind == "vanish" and t_s >= middle_s:
            return None
        if motion.kind == "jump":
            position = position + np.array([0.0, 0.0, 4 * p * (1 - p) * motion.height_m])
        if motion.kind in ("slide", "roll"):
            position = position + p * np.asarray(motion.by)
        if motion.kind == "roll":
            x, y = motion.by[0], motion.by[1]
            turned_deg = math.degrees(p * math.hypot(x, y) / (thing.size[0] / 2))
            rotation = product(about((-y, x, 0.0), turned_deg), rotation)
        if motion.kind == "turn":
            rotation = product(about((0, 0, 1), p * motion.angle_deg), rotation)
        if motion.kind == "circle":
            centre = np.asarray((*motion.around[:2], position[2]))
            position = centre + _about_z(p * motion.angle_deg) @ (position - centre)
    x, y, z = position
    return replace(thing, position=(float(x), float(y), float(z)), rotation=rotation)


def collide(
    scene: Scene,
    name: str,
    other: str,
    start_s: float,
    end_s: float,
    outcome: str = "stop",
    kind: str = "roll",
    push_m: float = 0.6,
) -> tuple[Motion, ...]:
    """One thing goes straight at another and stops, bounces back, or pushes it away.

    They meet where their circles on the ground touch. Raises InputError if they touch already.
    """
    if outcome not in ("stop", "bounce", "push"):
        raise InputError(f"A collision can't {outcome!r}. Choose stop, bounce or push.")
    mover, hit = scene[name], scene[other]
    way = np.subtract(hit.position, mover.position) * (1, 1, 0)
    distance = float(np.linalg.norm(way))
    gap = distance - reach_m(mover) - reach_m(hit)
    if gap <= 0:
        raise InputError(f"The {name} touches the {other} already. Move them apart.")
    unit = way / distance
    meet_s = start_s + (end_s - start_s) * (1.0 if outcome == "stop" else 0.6)
    go = Motion(name, kind, start_s, meet_s, _vec(unit * gap), soft="in")
    if outcome == "bounce":
        return go, Motion(name, kind, meet_s, end_s, _vec(unit * -0.6 * gap), soft="out")
    if outcome == "push":
        by = _vec(unit * push_m)
        return go, Motion(other, pushed(hit.shape_name), meet_s, end_s, by, soft="out")
    return (go,)


def pushed(shape_name: str) -> str:
    """How a thing of this shape goes when it is pushed: 'roll' or 'slide'."""
    return "roll" if shape_name == "ball" else "slide"


def reach_m(thing: Thing) -> float:
    """Radius of the circle around a thing's centre that it covers on the ground, metres."""
    if thing.shape == "box":
        return math.hypot(*thing.size[:2]) / 2
    return max(thing.size[:2]) / 2


# ---------------------------------------------------------------- rotations


def about(axis: Vec, angle_deg: float) -> Quat:
    """The quaternion (w, x, y, z) that turns counter-clockwise about `axis` (need not be unit)."""
    length = math.sqrt(sum(a * a for a in axis))
    if length == 0:
        return (1.0, 0.0, 0.0, 0.0)
    half = math.radians(angle_deg) / 2
    x, y, z = (math.sin(half) * a / length for a in axis)
    return (math.cos(half), x, y, z)


def product(a: Quat, b: Quat) -> Quat:
    """The quaternion that turns by b first and then by a."""
    aw, ax, ay, az = a
    bw, bx, by, bz = b
    return (
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )


def _about_z(angle_deg: float) -> np.ndarray:
    a = math.radians(angle_deg)
    return np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1.0]])


def _vec(array: np.ndarray) -> Vec:
    x, y, z = (float(v) for v in array)
    return x, y, z
