"""A scene that turns under the pointer: a rendered picture and, over it, the scene as lines.

A picture of a radiance field takes the server a tenth of a second; a wireframe takes the browser a
millisecond. So the browser owns the camera, draws the lines at once, and tells the server where it
stands; pictures follow as they come. Both must mean the same camera by the same six numbers, the
*orbit*, so its definition stands here, in `camera_of`, and once more in orbit_camera.js.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from core.cameras import look_at
from core.types import Camera, InputError
from demos.widgets.base import Widget

STEEPEST = 89.0  # degrees: straight above, "up in the picture" would have no direction


class OrbitView(Widget):
    """A picture with cameras, box, points and a ray drawn over it, seen from a camera that turns.

    value is a dict, or None for nothing yet. Lengths are in the scene's unit, points [x, y, z].
        key        text; another key is another scene: everything is replaced and the camera goes to
                   `start`. With the same key, all that a value leaves out stays as it is
        start      an orbit, see `camera_of`; every key's first value has it
        image      address or data-URI of a picture that fills the view, or None. Small ones are
                   smoothed, not pixelated
        image_for  the orbit that it shows, as `turned` told it. While the view is elsewhere the
                   canvas says so in its attribute data-late; the old picture stays until the next
        aspect     width / height of the view; 1 if left out
        frusta     [`frustum_of(camera)`, …]: learned-from ones are blue, held-out ones orange and
                   dashed
        box        [[x, y, z] of its low corner, [x, y, z] of its high one], or None
        points     `points_of(xyz)` or None
        ray        {from, to, samples: [[x, y, z, weight in [0, 1]], …]} or None; a sample's dot has
                   an area and an opacity that grow with its weight
        note       small text in the corner, or None

    Events
        turned  an orbit: while the camera moves at most every 120 ms, and where it comes to rest.
                Answer with `image` and `image_for`: two may be unanswered, then it waits for a
                picture, a second at most. Listen with trigger_mode="multiple": "once" loses the
                last place, and "always_last" gives the first one's data again and again
        picked  {frustum: index}: a camera was clicked, or stepped to with [ or ] and Enter pressed
        missed  {key}: a value with a new key had no `start`. A page in the background drops all but
                the latest value, and a part that was hidden begins with it: send the whole one
    """

    def __init__(self, value: dict[str, Any] | None = None, **kwargs: Any):
        events = ("turned", "picked", "missed")
        super().__init__(value, module="orbit_view.js", events=events, **kwargs)


def camera_of(orbit: Mapping[str, Any], width: int, height: int) -> Camera:
    """The camera that the browser draws with, for a picture of width × height px.

    orbit is {azimuth_deg, elevation_deg, radius, target: [x, y, z], up: [x, y, z], fov_deg}. The
    camera stands `radius` from `target` and looks at it, the upper edge towards `up`. Azimuth runs
    counter-clockwise seen from above; its 0 is the direction of +x made perpendicular to up, or of
    +y where up leans more than |x| > 0.9 of its length towards x. So with up = +z it is that of
    `core.cameras.orbit`. Elevation is the angle above the plane perpendicular to up, kept within
    ±89°; fov_deg is horizontal. Raises InputError if a number is missing, not finite or makes no
    camera.
    """
    try:
        names = ("azimuth_deg", "elevation_deg", "radius", "fov_deg")
        azimuth, elevation, radius, fov = (float(orbit[name]) for name in names)
        target, up = (np.array(orbit[name], np.float64).reshape(3) for name in ("target", "up"))
        length = float(np.linalg.norm(up))
        numbers = (azimuth, elevation, radius, fov, *target, length)
        if not all(map(math.isfinite, numbers)) or radius <= 0 or length <= 0:
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise InputError("This view has no place to stand. Press Reset view.") from None
    up, zero = _axes(up)
    turn = math.radians(azimuth)
    rise = math.radians(min(STEEPEST, max(-STEEPEST, elevation)))
    level = math.cos(turn) * zero + math.sin(turn) * np.cross(up, zero)
    eye = target + radius * (math.cos(rise) * level + math.sin(rise) * up)
    return look_at(eye, target, width, height, fov, (up[0], up[1], up[2]))


def orbit_of(camera: Camera, target: np.ndarray, up: tuple[float, float, float]) -> dict[str, Any]:
    """The orbit on which `camera` stands if it looks at target (3,): the inverse of `camera_of`."""
    away = camera.c2w[:3, 3] - target
    radius = float(np.linalg.norm(away))
    up_axis, zero = _axes(np.asarray(up, np.float64))
    side = np.cross(up_axis, zero)
    return {
        "azimuth_deg": math.degrees(math.atan2(float(away @ side), float(away @ zero))),
        "elevation_deg": math.degrees(
            math.asin(min(1.0, max(-1.0, float(away @ up_axis) / radius)))
        ),
        "radius": radius,
        "target": [float(v) for v in target],
        "up": [float(v) for v in up_axis],
        "fov_deg": 2 * math.degrees(math.atan(camera.width / 2 / camera.K[0, 0])),
    }


def _axes(up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """up of length 1, and the direction of azimuth 0, perpendicular to it."""
    up = up / np.linalg.norm(up)
    axis = np.eye(3)[1 if abs(up[0]) > 0.9 else 0]
    zero = axis - (axis @ up) * up
    return up, zero / np.linalg.norm(zero)


def frustum_of(camera: Camera, held: bool = False, label: str = "") -> dict[str, Any]:
    """A camera as the view takes it. held: kept out of training. label: told when pointed at."""
    K = camera.K
    return {
        "c2w": camera.c2w[:3].ravel().tolist(),
        "K": [float(v) for v in (K[0, 0], K[1, 1], K[0, 2], K[1, 2])],
        "size": [camera.width, camera.height],
        "held": bool(held),
        "label": label,
    }


def points_of(xyz: np.ndarray) -> dict[str, str]:
    """Points (P, 3) as the view takes them; those that aren't finite are left out."""
    xyz = np.asarray(xyz, np.float64).reshape(-1, 3)
    kept = xyz[np.isfinite(xyz).all(1)].astype("<f4")
    return {"xyz": base64.b64encode(kept.tobytes()).decode()}
