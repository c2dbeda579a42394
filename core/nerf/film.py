"""Films through a trained field: ways for a camera to go, and the frames along them.

A way must stay where the training cameras were, for only from there is the field known. An orbit
keeps their median distance and height, and swings to and fro where they stand on one side only. A
ride goes from camera to camera, by a spline through their places and the shortest turn between
their directions (slerp: Shoemake 1985).

    way = orbit_path(views, 96, (320, 240))
    frames = list(film(field, way))
    write_mp4("orbit.mp4", np.stack([frame.rgb for frame in frames]))
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from core.cameras import look_at, resized
from core.nerf.march import render
from core.nerf.outputs import some_cameras, up_of
from core.nerf.types import Views
from core.types import Camera, InputError, Progress, Snapshot, silent

if TYPE_CHECKING:
    from core.nerf.fields import Field

PROBES, PROBE_PX = 12, 24  # looks along the way, so wide, that fix the range of depth
KEY_FRAMES = 5  # a ride spends at least so many frames from one training camera to the next


@dataclass(frozen=True)
class Frame(Snapshot):
    """One of a film's frames: rgb, and its depth in viridis, near things bright, unknown ones
    hatched, (H, W, 3) uint8 each; low, high: depths of the scale's ends, the same all film long."""

    rgb: np.ndarray
    depth: np.ndarray
    low: float
    high: float


def film(
    field: Field, cameras: Sequence[Camera], *, progress: Progress = silent
) -> Iterator[Frame]:
    """The frames that cameras see of the field, one by one: closing the generator stops it.

    Their sizes have to be alike. Raises InputError if they aren't, or if there is no camera.
    """
    from core.stereo.pictures import colour_map

    sizes = {(camera.width, camera.height) for camera in cameras}
    if len(sizes) != 1:
        raise InputError(
            "A film needs cameras of one size, at least one. Choose a path and a size."
        )
    began, total = time.perf_counter(), len(cameras)
    low, high = depth_range(field, cameras)
    for k, camera in enumerate(cameras):
        progress(k / total, desc=f"frame {k + 1} of {total}")
        seen = render(field, camera)
        assert seen.depth_m is not None
        depth = colour_map(-seen.depth_m, -high, -low)
        yield Frame(k + 1, total, time.perf_counter() - began, seen.rgb, depth, low, high)


def depth_range(field: Field, cameras: Sequence[Camera]) -> tuple[float, float]:
    """Between which depths most of what cameras see lies; the farthest tenth is cut, as a horizon
    would leave no colours for the rest. (near, far) of the field if nothing is opaque."""
    found = []
    for camera in cameras[:: max(1, len(cameras) // PROBES)]:
        small = resized(camera, PROBE_PX, max(1, round(PROBE_PX * camera.height / camera.width)))
        depth = render(field, small).depth_m
        assert depth is not None
        found.append(depth[np.isfinite(depth)])
    known = np.concatenate(found)
    if not len(known):
        return field.near, field.far
    low, high = np.percentile(known, (1, 90))
    return float(low), float(max(high, low * 1.01))


# ---------------------------------------------------------------- ways to go


def orbit_path(views: Views, n: int, size: tuple[int, int]) -> tuple[Camera, ...]:
    """n cameras of size (width, height) around the scene, looking at its middle, at the training
    cameras' median height and distance; up is the mean of theirs.

    All the way round, or, if a half circle or more has no training camera, to and fro over the
    rest. A film of it can be looped. Raises InputError for n below 1.
    """
    if n < 1:
        raise InputError(f"An orbit of {n} cameras is empty. Ask for at least one.")
    cameras = some_cameras(views)
    up, middle = np.array(up_of(views)), _middle(views, cameras)
    aside = np.eye(3)[np.abs(up).argmin()]
    aside = aside - up * (up @ aside)
    aside /= np.linalg.norm(aside)
    ahead = np.cross(up, aside)
    offsets = np.array([camera.c2w[:3, 3] for camera in cameras]) - middle
    flat = np.hypot(offsets @ aside, offsets @ ahead)
    distance = float(np.median(np.linalg.norm(offsets, axis=1)))
    height = float(np.clip(np.median(offsets @ up), -0.99 * distance, 0.99 * distance))
    radius = math.sqrt(distance**2 - height**2)
    angles = np.sort(np.arctan2(offsets @ ahead, offsets @ aside)[flat > 0.01 * distance])
    turn = np.linspace(0, 2 * math.pi, n, endpoint=False)
    if len(angles):
        gaps = np.diff(angles, append=angles[0] + 2 * math.pi)
        k = int(gaps.argmax())
        if gaps[k] >= math.pi:
            arc = 2 * math.pi - gaps[k]
            turn = angles[(k + 1) % len(angles)] + arc / 2 * (1 - np.cos(turn))
    K = _lens(cameras, size)
    made = []
    for angle in turn:
        eye = middle + radius * (math.cos(angle) * aside + math.sin(angle) * ahead) + height * up
        camera = look_at(eye, middle, *size, up=(up[0], up[1], up[2]))
        made.append(replace(camera, K=K))
    return tuple(made)


def camera_path(views: Views, n: int, size: tuple[int, int]) -> tuple[Camera, ...]:
    """n cameras of size (width, height) on a ride along the training cameras, each the nearest to
    the one before; starts and ends at one of them.

    Where there are many, only some that are far apart. Raises InputError for fewer than two
    training cameras or an n below 2.
    """
    from scipy.interpolate import CubicSpline
    from scipy.spatial.transform import Rotation, Slerp

    if n < 2:
        raise InputError(f"A ride of {n} cameras goes nowhere. Ask for at least two.")
    cameras = some_cameras(views, max(2, n // KEY_FRAMES))
    if len(cameras) < 2:
        raise InputError("One training camera makes no ride. Take the orbit instead.")
    eyes = np.array([camera.c2w[:3, 3] for camera in cameras])
    order = _tour(eyes)
    eyes = eyes[order]
    turns = Rotation.from_matrix(np.stack([cameras[k].c2w[:3, :3] for k in order]))
    gaps = np.linalg.norm(np.diff(eyes, axis=0), axis=1)
    angles = (turns[:-1].inv() * turns[1:]).magnitude()
    # time by the way and by the turn: cameras in one place still look round in their own time
    pace = gaps / max(gaps.mean(), 1e-12) + angles / max(angles.mean(), 1e-12)
    times = np.concatenate([[0], np.cumsum(pace.clip(1e-6))])
    when = np.linspace(0, times[-1], n)
    places = CubicSpline(times, eyes)(when) if len(times) > 2 else _between(times, eyes, when)
    middle = _middle(views, cameras)
    axes = turns.as_matrix()[:, :, 2]
    far = np.linalg.norm(eyes - middle, axis=1)
    if (((middle - eyes) * axes).sum(1) > 0.5 * far).all():
        # all look at one thing: a way that cuts corners would come too near to it
        away = places - middle
        away /= np.linalg.norm(away, axis=1, keepdims=True).clip(1e-9)
        places = middle + away * np.interp(when, times, far)[:, None]
    c2w = np.tile(np.eye(4), (n, 1, 1))
    c2w[:, :3, 3] = places
    c2w[:, :3, :3] = Slerp(times, turns)(when).as_matrix()
    K = _lens(cameras, size)
    return tuple(Camera(K, pose, *size) for pose in c2w)


def _between(times: np.ndarray, eyes: np.ndarray, when: np.ndarray) -> np.ndarray:
    return np.stack([np.interp(when, times, column) for column in eyes.T], 1)


def _tour(eyes: np.ndarray) -> list[int]:
    """Places of eyes (N, 3) in an order that always goes on to the nearest one left, from the one
    that is farthest from the middle; then crossings are undone, while that makes it shorter."""
    apart = np.linalg.norm(eyes[:, None] - eyes, axis=2)
    order = [int(np.linalg.norm(eyes - eyes.mean(0), axis=1).argmax())]
    left = set(range(len(eyes))) - {order[0]}
    while left:
        order.append(min(left, key=lambda k: (apart[order[-1], k], k)))
        left.remove(order[-1])
    shorter = True
    while shorter:
        shorter = False
        for i in range(len(order) - 2):
            for j in range(i + 2, len(order)):
                a, b, c = order[i], order[i + 1], order[j]
                d = order[j + 1] if j + 1 < len(order) else None
                saved = apart[a, b] - apart[a, c]
                saved += apart[c, d] - apart[b, d] if d is not None else 0.0
                if saved > 1e-9:
                    order[i + 1 : j + 1] = order[i + 1 : j + 1][::-1]
                    shorter = True
    return order


def _middle(views: Views, cameras: tuple[Camera, ...]) -> np.ndarray:
    """(3,) the point nearest to all the cameras' axes, Σ(I − dᵢdᵢᵀ)(p − oᵢ) = 0, if they meet in
    the box; else the box's middle."""
    eyes = np.array([camera.c2w[:3, 3] for camera in cameras])
    axes = np.array([camera.c2w[:3, 2] for camera in cameras])
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]  # N 3 3
    left = across.sum(0)
    if np.linalg.eigvalsh(left)[0] > 0.02 * len(cameras):
        point = np.linalg.solve(left, (across @ eyes[..., None]).sum(0)[:, 0])
        if ((point >= views.bounds[0]) & (point <= views.bounds[1])).all():
            return point
    return views.bounds.mean(0)


def _lens(cameras: tuple[Camera, ...], size: tuple[int, int]) -> np.ndarray:
    """K (3, 3) of a picture of `size` whose angle of view is the cameras' median one across or
    upright, whichever shows less: what lies beyond was never trained."""
    width, height = size
    if min(size) < 1:
        raise InputError(f"A film of {width}×{height} px shows nothing. Choose a larger size.")
    across = float(np.median([c.K[0, 0] / c.width for c in cameras]))
    upright = float(np.median([c.K[1, 1] / c.height for c in cameras]))
    focal = max(across * width, upright * height)
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
