"""Inventing a story: who stands where and what happens, so that the facts are true and visible.

Things are placed and moved by chance, and then *measured*: a story says "to the right" because the
projected centre went to the right in the picture, and "behind" because it crossed the other thing
in the picture at a greater depth. What can't be said clearly (a slanting path, a subject hidden
when it matters, two things inside each other) is thrown away and chance tries again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from core.cameras import project
from core.scenes import toys
from core.scenes.facts import CAMERA, Event, Facts, Noun
from core.scenes.motion import CameraMotion, Motion, about, at, camera_at, collide, product, reach_m
from core.scenes.types import Scene, Thing, Vec
from core.types import Camera, InputError, Settings, setting

ACTIONS = ("roll", "slide", "turn", "jump", "circle", "appear", "vanish")
OFTEN = {"moves": 4.0, "collisions": 2.0}  # how often next to the other kinds
SPLITS = {"all": "All", "train": "Training", "held-out": "Held out"}


def held_out(colour: str, shape: str, action: str) -> bool:
    """Whether training never shows this combination: one in ten of them.

    Each pair (shape, action) misses at most one colour, so every colour, shape and action is seen
    in training, and only the combination is new.
    """
    c, s, a = list(toys.COLOURS).index(colour), toys.SHAPES.index(shape), ACTIONS.index(action)
    return (c + 2 * s + 3 * a) % 10 == 0


@dataclass(frozen=True)
class StorySettings(Settings):
    """What a story may hold, and how it is filmed."""

    seconds: float = setting(
        2.0, "Length", "How long the clip lasts.", minimum=0.5, maximum=20.0, step=0.5, unit="s"
    )
    frames: int = setting(
        8, "Frames", "Evenly spaced over the length.", minimum=2, maximum=240, step=1
    )
    size_px: int = setting(
        64, "Size", "Width and height of a frame.", minimum=16, maximum=1024, step=16, unit="px"
    )
    max_events: int = setting(
        2, "Events", "At most so many things happen, one after the other.",
        minimum=1, maximum=2, step=1,
    )  # fmt: skip
    max_things: int = setting(
        4, "Things", "At most so many things are there.", minimum=1, maximum=6, step=1
    )
    moves: bool = setting(True, "Moves", "Balls and rings roll, the others slide.")
    collisions: bool = setting(True, "Collisions", "One thing runs into another.")
    jumps: bool = setting(True, "Jumps", "A thing jumps.")
    turns: bool = setting(True, "Turns", "A box or ring turns in place.")
    circles: bool = setting(True, "Circles", "A thing goes around another.")
    appears: bool = setting(True, "Appears and vanishes", "A thing comes or goes.")
    camera: bool = setting(True, "Camera", "The camera pans, dollies or orbits.")
    textures: bool = setting(True, "Textures", "Wood, marble and other grounds; else plain grey.")
    split: str = setting(
        "all", "Split", "Training leaves out a tenth of all colour, shape and action combinations.",
        choices=SPLITS, advanced=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.kinds():
            raise InputError("Nothing may happen in this story. Switch one kind of event on.")
        if self.max_things < 2 and not set(self.kinds()) - {"collisions", "circles"}:
            raise InputError("One thing alone can't collide or circle. Allow two things.")
        if self.split == "held-out" and self.kinds() == ("camera",):
            raise InputError("The camera alone holds no combination out. Allow things to move.")

    def kinds(self) -> tuple[str, ...]:
        """The kinds of events that may happen."""
        kinds = ("moves", "collisions", "jumps", "turns", "circles", "appears", "camera")
        return tuple(kind for kind in kinds if getattr(self, kind))


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
        roles, cast = _cast(rng, settings)
        # Many tries for one cast: a new cast at each failure would prefer what is easy to place.
        for _ in range(200 if roles else 0):
            made = _attempt(rng, settings, roles, cast, times_s)
            if made is not None:
                return made
    raise InputError("No story fits these settings. Allow more kinds of events or more things.")


@dataclass(frozen=True)
class _Role:
    """One event to be: its kind, and who does it ('' for the camera) to whom ('' for nobody)."""

    kind: str
    name: str
    action: str
    direction: str
    partner: str = ""
    outcome: str = ""


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
    if not _all_seen(scene, scene, [], 0.0):
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
            if new is None or not _clear(scene, [*motions, *new], span, role, new):
                return None
            motions += new
            event = _measured(scene, role, motions, new, camera_motions)
            if event is None:
                return None
            events.append(event)
        if not _all_seen(scene, at(scene, motions, span[1]), camera_motions, span[1]):
            return None
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


def _action(rng: np.random.Generator, kind: str, shape: str) -> str:
    """What a thing of this shape does in this kind of event; '' if it can't be seen doing it."""
    if kind in ("moves", "collisions"):
        return "roll" if shape in ("ball", "ring") else "slide"
    if kind == "turns":  # the others look the same from all sides
        return "turn" if shape in ("box", "ring") else ""
    if kind == "appears":
        return "appear" if rng.random() < 0.5 else "vanish"
    return {"jumps": "jump", "circles": "circle"}[kind]


def _cast(rng: np.random.Generator, settings: StorySettings):
    """Roles of a story and (colour, shape) of all its things; no roles if they don't fit."""
    kinds = settings.kinds()
    weights = np.array([OFTEN.get(kind, 1.0) for kind in kinds])
    cast: list[tuple[str, str]] = []
    roles: list[_Role] = []
    wanted = settings.split == "held-out"
    for i in range(int(rng.integers(1, settings.max_events + 1))):
        kind = str(rng.choice(kinds, p=weights / weights.sum()))
        if kind == "camera":
            action = str(rng.choice(["pan", "dolly", "orbit"]))
            ways = ("toward", "away") if action == "dolly" else ("left", "right")
            roles.append(_Role(kind, "", action, str(rng.choice(ways))))
            continue
        again = i == 1 and roles[0].name and roles[0].action != "vanish" and rng.random() < 0.35
        used = [colour for colour, _ in cast]
        options = cast[:1] if again else [
            (c, s) for c in toys.COLOURS for s in toys.SHAPES if c not in used
        ]  # fmt: skip
        acts = [(c, s, _action(rng, kind, s)) for c, s in options]
        acts = [a for a in acts if a[2] and not (again and a[2] == "appear")]
        if settings.split == "train":
            acts = [a for a in acts if not held_out(*a)]
        elif wanted:
            acts = [a for a in acts if held_out(*a)]
            wanted = False
        if not acts:
            return [], cast
        colour, shape, action = acts[int(rng.integers(len(acts)))]
        sideways = kind == "collisions" or shape == "ring" or rng.random() < 0.65
        ways = ("left", "right") if sideways else ("toward", "away")
        if not again:
            cast.append((colour, shape))
        roles.append(_Role(kind, f"{colour} {shape}", action, str(rng.choice(ways))))
    return _with_partners(rng, roles, cast, settings) if not wanted else ([], cast)


def _with_partners(rng: np.random.Generator, roles: list[_Role], cast, settings: StorySettings):
    """The cast filled up with others, and those who have something to do with an event."""
    needs = [
        role.kind in ("collisions", "circles") or (role.kind == "moves" and rng.random() < 0.65)
        for role in roles
    ]
    least = max(1, len(cast), 2 if any(needs) else 1)
    if least > settings.max_things:
        return [], cast
    n = int(rng.integers(least, settings.max_things + 1))
    used = [colour for colour, _ in cast]
    spare = [str(c) for c in rng.permutation(list(toys.COLOURS)) if c not in used]
    extra = [(c, str(rng.choice(toys.SHAPES))) for c in spare[: n - len(cast)]]
    cast = [*cast, *extra]
    for i, role in enumerate(roles):
        names = [f"{c} {s}" for c, s in cast if f"{c} {s}" != role.name]
        if needs[i]:
            outcome = str(rng.choice(["stop", "bounce", "push"]))
            outcome = outcome if role.kind == "collisions" else ""
            roles[i] = replace(role, partner=str(rng.choice(names)), outcome=outcome)
    return roles, cast


def _placed(rng: np.random.Generator, roles: list[_Role], cast, stage: _Stage) -> list[Thing]:
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


def _start(rng: np.random.Generator, role: _Role) -> tuple[float, float]:
    """Metres right and ahead of the middle, from where a role has room."""
    if role.kind in ("moves", "collisions"):
        if role.direction in ("left", "right"):
            sign = 1 if role.direction == "left" else -1
            return sign * float(rng.uniform(0.5, 0.95)), float(rng.uniform(-0.7, 0.6))
        middle = 0.65 if role.direction == "toward" else -0.6
        return float(rng.uniform(-0.6, 0.6)), middle + float(rng.uniform(-0.25, 0.25))
    return float(rng.uniform(-0.8, 0.8)), float(rng.uniform(-0.7, 0.6))


def _beside(rng: np.random.Generator, role: _Role, a: float, b: float) -> tuple[float, float]:
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


def _camera_motion(role: _Role, span: tuple[float, float]) -> CameraMotion:
    sign = 1 if role.direction in ("right", "toward") else -1
    if role.action == "dolly":
        return CameraMotion("dolly", *span, ahead_m=0.7 * sign)
    return CameraMotion(role.action, *span, angle_deg=sign * (9 if role.action == "pan" else 35))


def _motions(
    rng: np.random.Generator, role: _Role, now: Scene, stage: _Stage, span: tuple[float, float]
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


# ---------------------------------------------------------------- is it so, and can it be seen


def _clear(scene: Scene, motions, span: tuple[float, float], role: _Role, new) -> bool:
    """Whether nothing runs through anything else; what collides may touch."""
    movers = {m.name for m in new}
    for t_s in np.linspace(*span, 13):
        things = at(scene, motions, float(t_s)).things[1:]
        for one in things:
            if one.name not in movers:
                continue
            for two in things:
                if two is one:
                    continue
                gap = math.dist(one.position[:2], two.position[:2]) - reach_m(one) - reach_m(two)
                meant = role.kind == "collisions" and two.name in (role.name, role.partner)
                if gap < (-0.01 if meant else 0.05):
                    return False
    return True


def _all_seen(scene: Scene, now: Scene, camera_motions, t_s: float) -> bool:
    """Whether each thing is in the picture and none is hidden behind another."""
    camera = camera_at(scene, camera_motions, t_s, (100, 100))
    things = now.things[1:]
    xy, z_m = project(camera, np.array([t.position for t in things]).reshape(-1, 3))
    radius = camera.K[0, 0] * np.array([reach_m(t) for t in things]) / z_m
    if not (np.abs(xy - 50) + 0.8 * radius[:, None] < 50).all():
        return False
    for i in range(len(things)):
        nearer = z_m < z_m[i]
        apart = np.hypot(*(xy - xy[i]).T) > radius + 0.25 * radius[i]
        if not apart[nearer].all():
            return False
    return True


def _measured(scene: Scene, role: _Role, motions, new, camera_motions) -> Event | None:
    """The event as the picture shows it; None if it can't be said clearly."""
    go = new[0]
    colour, shape = role.name.split()
    subject = Noun(colour, shape)
    partner = _noun(scene[role.partner]) if role.partner else None
    if role.kind == "circles":
        return Event(subject, role.action, "", "around", partner)
    if role.kind not in ("moves", "collisions"):
        return Event(subject, role.action)
    camera = camera_at(scene, camera_motions, go.start_s, (100, 100))
    times = np.linspace(go.start_s, go.end_s, 9)
    path = np.array([at(scene, motions, float(t))[role.name].position for t in times])
    xy, z_m = project(camera, path)
    direction = _direction(xy, z_m)
    if direction != role.direction:
        return None
    if role.kind == "collisions":
        return Event(subject, role.action, direction, "into", partner, role.outcome)
    others = [t for t in at(scene, motions, go.start_s).things[1:] if t.name != role.name]
    near = sorted(others, key=lambda t: float(np.linalg.norm(path - t.position, axis=1).min()))
    for other in near:
        relation = _relation(camera, path, xy, z_m, direction, other)
        if relation:
            return Event(subject, role.action, direction, relation, _noun(other))
    return None if role.partner else Event(subject, role.action, direction)


def _direction(xy: np.ndarray, z_m: np.ndarray) -> str:
    """Where a path xy (T, 2) of a picture 100 px wide goes, if it goes there clearly.

    Sideways: at least 12 px, and little nearer or farther. In depth: at least 0.5 m, and little
    sideways.
    """
    sideways, deeper = float(xy[-1, 0] - xy[0, 0]), float(z_m[-1] - z_m[0])
    if abs(sideways) >= 12 and abs(deeper) < 0.35 and (np.diff(xy[:, 0]) * sideways > 0).all():
        return "right" if sideways > 0 else "left"
    if abs(deeper) >= 0.5 and abs(sideways) < 9 and (np.diff(z_m) * deeper > 0).all():
        return "away" if deeper > 0 else "toward"
    return ""


def _relation(camera: Camera, path, xy, z_m, direction: str, other: Thing) -> str:
    """How the path lies to another thing in the picture; '' if in no way worth saying."""
    where = np.array(other.position)
    own_xy, own_z = project(camera, where)
    start, end = (float(np.linalg.norm((p - where)[:2])) for p in (path[0], path[-1]))
    way = (path[-1] - path[0])[:2] / np.linalg.norm((path[-1] - path[0])[:2])
    straight = float(way @ (where - path[0])[:2]) / start
    if straight > 0.95 and start - end > 0.5 and end < 0.75:
        return "towards"
    sideways = direction in ("left", "right")
    track, own = (xy[:, 0], float(own_xy[0])) if sideways else (z_m, float(own_z))
    margin = 8.0 if sideways else 0.3
    if not min(track[0], track[-1]) + margin < own < max(track[0], track[-1]) - margin:
        return ""
    i = int(np.argmin(np.abs(track - own)))
    gap_m = float(z_m[i] - own_z)
    if not sideways:
        return "past" if float(np.linalg.norm((path[i] - where)[:2])) < 1.0 else ""
    if abs(gap_m) > 1.1:
        return ""
    return "behind" if gap_m > 0 else "front"


def _noun(thing: Thing) -> Noun:
    return Noun(thing.colour_name, thing.shape_name)
