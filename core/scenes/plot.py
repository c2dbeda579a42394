"""Inventing a story: who stands where and what happens, so that the facts are true and visible.

Things are placed where their roles have room, moved by chance, and then measured (`measure`). What
can't be said clearly (a slanting path, a subject hidden when it matters, two things inside each
other) is thrown away, and chance tries again with the same cast.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from core.scenes import toys
from core.scenes.cast import Role, StorySettings, cast_roles
from core.scenes.facts import CAMERA, Event, Facts
from core.scenes.measure import all_seen, is_clear, measured
from core.scenes.motion import CameraMotion, Motion, about, at, camera_at, collide, product, reach_m
from core.scenes.types import Scene, Thing, Vec
from core.types import Camera, InputError


@dataclass(frozen=True)
class Plot:
    """A story that has not been filmed: its scene at the start, its motions, and its facts."""

    scene: Scene
    motions: tuple[Motion, ...]
    camera_motions: tuple[CameraMotion, ...]
    facts: Facts
    times_s: np.ndarray

    def frame(self, t_s: float, size: tuple[int, int]) -> tuple[Scene, Camera]:
        """The scene and its camera at t_s; size is (width, height) px."""
        return (
            at(self.scene, self.motions, t_s),
            camera_at(self.scene, self.camera_motions, t_s, size),
        )


def plot(seed: int, settings: StorySettings = StorySettings()) -> Plot:
    """A story by chance. The same seed and settings give the same one."""
    rng = np.random.default_rng((seed, 3))
    times_s = np.arange(settings.frames) * (settings.seconds / settings.frames)
    for _ in range(100):
        roles, cast = cast_roles(rng, settings)
        # Many tries for one cast: a new cast at each failure would prefer what is easy to place.
        for _ in range(60 if roles else 0):
            made = _attempt(rng, settings, roles, cast, times_s)
            if made is not None:
                return made
    raise InputError("No story fits these settings. Allow more kinds of events or more things.")


def _attempt(
    rng: np.random.Generator, settings: StorySettings, roles, cast, times_s: np.ndarray
) -> Plot | None:
    eye, target, fov_deg = toys.random_view(rng)
    stage = _Stage(eye, target)
    things = _placed(rng, roles, cast, stage)
    if not all(toys.is_free(thing, things[:i]) for i, thing in enumerate(things)):
        return None
    horizon, zenith = toys.random_background(rng)
    ground = str(rng.choice(list(toys.GROUNDS))) if settings.textures else "plain"
    scene = Scene(
        "story", (toys.ground(ground), *things), toys.random_light(rng), horizon, zenith,
        eye=eye, target=target, fov_deg=fov_deg,
    )  # fmt: skip
    if not all_seen(scene, scene, [], 0.0):
        return None

    end_s = float(times_s[-1])
    spans = [(0.0, end_s)] if len(roles) == 1 else [(0.0, 0.48 * end_s), (0.52 * end_s, end_s)]
    motions: list[Motion] = []
    camera_motions: list[CameraMotion] = []
    events: list[Event] = []
    for role, span in zip(roles, spans, strict=True):
        now = at(scene, motions, span[0])
        if role.kind == "camera":
            motion = _camera_motion(role, span)
            camera_motions.append(motion)
            events.append(Event(CAMERA, role.action, role.direction))
        else:
            new = _motions(rng, role, now, stage.after(camera_motions), span)
            if new is None or not is_clear(scene, [*motions, *new], span, role, new):
                return None
            motions += new
            event = measured(scene, role, motions, new, camera_motions)
            if event is None:
                return None
            events.append(event)
        if not all_seen(scene, at(scene, motions, span[1]), camera_motions, span[1]):
            return None
    late = {m.name for m in motions if m.kind == "appear" and m.start_s > 0}
    if any(e.other and f"{e.other.colour} {e.other.shape}" in late for e in events[:1]):
        return None  # what comes with the second event can't have been there at the first
    scene = _wheels_along_their_way(scene, motions, stage)
    if scene is None:
        return None
    return Plot(
        scene, tuple(motions), tuple(camera_motions), Facts(tuple(events), len(things)), times_s
    )


# ---------------------------------------------------------------- who and where


class _Stage:
    """The ground as the camera sees it: `right` and `ahead` are unit vectors (3,) on the ground."""

    def __init__(self, eye: Vec, target: Vec) -> None:
        self.eye, self.target = np.array(eye), np.array(target)
        ahead = (self.target - self.eye) * (1, 1, 0)
        self.ahead = ahead / np.linalg.norm(ahead)
        self.right = np.array([self.ahead[1], -self.ahead[0], 0.0])

    def after(self, camera_motions: list[CameraMotion]) -> _Stage:
        """The stage as seen when all the camera's motions are done."""
        if not camera_motions:
            return self
        still = Scene("", (), eye=tuple(self.eye), target=tuple(self.target))
        camera = camera_at(still, camera_motions, math.inf)
        eye = camera.c2w[:3, 3]
        return _Stage(tuple(eye), tuple(eye + camera.c2w[:3, 2]))

    def yaw_deg(self) -> float:
        return math.degrees(math.atan2(self.right[1], self.right[0]))


def _placed(rng: np.random.Generator, roles: list[Role], cast, stage: _Stage) -> list[Thing]:
    """The things, where their roles have room to happen; the rest anywhere free."""
    spots: dict[str, tuple[float, float]] = {}
    for role in roles:
        if role.name and role.name not in spots:
            spots[role.name] = _start(rng, role)
        if role.partner and role.partner not in spots:
            spots[role.partner] = _beside(rng, role, *spots[role.name])
    things: list[Thing] = []
    for colour, shape in cast:
        size_m, turn_deg = float(rng.uniform(0.42, 0.6)), float(rng.uniform(-30, 30))
        shiny = bool(rng.random() < 0.5)
        for _ in range(10):
            anywhere = (float(rng.uniform(-1.0, 1.0)), float(rng.uniform(-0.9, 0.8)))
            a, b = spots.get(f"{colour} {shape}", anywhere)
            x, y, _ = (a * stage.right + b * stage.ahead).tolist()
            yaw_deg = stage.yaw_deg() + (45 if shape == "ball" else turn_deg)
            striped = shape in ("ball", "ring")  # or one would not see them roll
            new = toys.toy(colour, shape, size_m, (x, y), yaw_deg, shiny=shiny, striped=striped)
            if toys.is_free(new, things) or f"{colour} {shape}" in spots:
                break
        things.append(new)
    return things


def _start(rng: np.random.Generator, role: Role) -> tuple[float, float]:
    """Metres right and ahead of the middle, from where a role has room."""
    if role.kind in ("moves", "collisions"):
        if role.direction in ("left", "right"):
            sign = 1 if role.direction == "left" else -1
            return sign * float(rng.uniform(0.5, 0.95)), float(rng.uniform(-0.7, 0.6))
        middle = 0.65 if role.direction == "toward" else -0.6
        return float(rng.uniform(-0.6, 0.6)), middle + float(rng.uniform(-0.25, 0.25))
    return float(rng.uniform(-0.8, 0.8)), float(rng.uniform(-0.7, 0.6))


def _beside(rng: np.random.Generator, role: Role, a: float, b: float) -> tuple[float, float]:
    """Where the partner of a role stands that starts at a, b."""
    side = float(rng.choice([-1, 1]))
    if role.kind == "circles":
        angle, far = rng.uniform(0, 2 * math.pi), rng.uniform(0.6, 0.8)
        return a + far * math.cos(angle), b + far * math.sin(angle)
    if role.direction in ("left", "right"):
        sign = 1 if role.direction == "right" else -1
        if role.kind == "collisions":
            return a + sign * float(rng.uniform(0.9, 1.5)), b + float(rng.uniform(-0.08, 0.08))
        if rng.random() < 0.3:  # to be moved towards, otherwise past
            return a + sign * float(rng.uniform(1.4, 1.9)), b + float(rng.uniform(-0.2, 0.2))
        return a + sign * float(rng.uniform(0.5, 0.9)), b + side * float(rng.uniform(0.5, 0.9))
    sign = 1 if role.direction == "away" else -1
    return a + side * float(rng.uniform(0.55, 0.8)), b + sign * float(rng.uniform(0.4, 0.8))


def _wheels_along_their_way(scene: Scene, motions: list[Motion], stage: _Stage) -> Scene | None:
    """Rings turned so that they roll along their rim; None if one would have to roll two ways."""
    for thing in scene.things:
        ways = [m.by for m in motions if m.name == thing.name and m.kind == "roll"]
        if thing.shape_name != "ring" or not ways:
            continue
        yaws = [math.degrees(math.atan2(by[1], by[0])) for by in ways]
        if any(abs(math.sin(math.radians(yaw - yaws[0]))) > 0.02 for yaw in yaws):
            return None
        turned = [m for m in motions if m.name == thing.name and m.kind in ("turn", "circle")]
        if turned:
            return None
        rotation = product(about((0, 0, 1), yaws[0]), about((1, 0, 0), 90))
        scene = scene.moved(thing.name, thing.position, rotation)
    return scene


# ---------------------------------------------------------------- what happens


def _camera_motion(role: Role, span: tuple[float, float]) -> CameraMotion:
    sign = 1 if role.direction in ("right", "toward") else -1
    if role.action == "dolly":
        return CameraMotion("dolly", *span, ahead_m=0.7 * sign)
    return CameraMotion(role.action, *span, angle_deg=sign * (9 if role.action == "pan" else 35))


def _motions(
    rng: np.random.Generator, role: Role, now: Scene, stage: _Stage, span: tuple[float, float]
) -> list[Motion] | None:
    if all(thing.name != role.name for thing in now.things):
        return None  # it has not appeared yet, or has vanished
    thing = now[role.name]
    if role.action in ("appear", "vanish"):
        return [Motion(role.name, role.action, *span)]
    if role.action == "jump":
        return [Motion(role.name, "jump", *span, height_m=float(rng.uniform(0.4, 0.6)))]
    if role.action == "turn":
        return [Motion(role.name, "turn", *span, angle_deg=float(rng.choice([-200, 200])))]
    if role.kind in ("circles", "collisions"):
        if all(other.name != role.partner for other in now.things):
            return None
        other = now[role.partner]
        far = math.dist(other.position[:2], thing.position[:2])
        if role.kind == "circles":
            angle = float(rng.choice([-330, 330]))
            circle = Motion(role.name, "circle", *span, angle_deg=angle, around=other.position)
            return [circle] if far < 1.0 else None
        if far - reach_m(thing) - reach_m(other) < 0.4:
            return None
        return list(collide(now, role.name, role.partner, *span, role.outcome, role.action, 0.5))
    where = np.array(thing.position)
    if role.direction in ("left", "right"):
        way = stage.right * (1 if role.direction == "right" else -1)
    else:  # straight at the camera, so that it stays in its column of the picture
        way = (stage.eye - where) * (1, 1, 0) * (1 if role.direction == "toward" else -1)
        way = way / np.linalg.norm(way)
    x, y, z = (way * rng.uniform(0.9, 1.9)).tolist()
    return [Motion(role.name, role.action, *span, (x, y, z))]
