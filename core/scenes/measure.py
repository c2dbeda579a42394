"""What the picture shows of an event: the facts of a story are measured, not decreed.

"To the right" because the projected centre went to the right in the picture; "behind" because it
crossed the other thing there at a greater depth. What can't be said clearly is not said: then the
plot is thrown away. Sizes here are those of a picture 100 px wide.
"""

from __future__ import annotations

import math

import numpy as np

from core.cameras import project
from core.scenes.cast import Role
from core.scenes.facts import Event, Noun
from core.scenes.motion import at, camera_at, reach_m
from core.scenes.types import Scene, Thing
from core.types import Camera


def is_clear(scene: Scene, motions, span: tuple[float, float], role: Role, new) -> bool:
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


def all_seen(scene: Scene, now: Scene, camera_motions, t_s: float) -> bool:
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


def measured(scene: Scene, role: Role, motions, new, camera_motions) -> Event | None:
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
