"""Cameras: where they stand, which ray belongs to a pixel, which pixel to a point.

A pinhole camera maps a point in its own axes (x right, y down, z forward) to the pixel
(f·x/z + c_x, f·y/z + c_y). Everything here is that one line: forward (`project`), backward with a
known depth (`unproject`), or backward to a whole line of points (`rays`). The centre of the first
pixel is (0.5, 0.5), so a picture's middle is (width/2, height/2).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import cast

import numpy as np

from core.types import Camera, InputError

Vec = tuple[float, float, float]


def look_at(
    eye: Vec | np.ndarray,
    target: Vec | np.ndarray,
    width: int,
    height: int,
    fov_deg: float = 45.0,
    up: Vec = (0.0, 0.0, 1.0),
) -> Camera:
    """A camera at `eye` (3,) whose middle pixel sees `target` (3,), metres.

    fov_deg is the horizontal angle of view. Looking straight along `up`, the picture's upper edge
    points to +y (or +x). Raises InputError if eye and target are the same point.
    """
    if not 0 < fov_deg < 180:
        raise InputError(f"The angle of view is {fov_deg:g}°. Choose one between 0 and 180.")
    eye_w, forward = np.asarray(eye, np.float64), np.asarray(target, np.float64) - np.asarray(eye)
    length = np.linalg.norm(forward)
    if not length > 1e-9:
        raise InputError("The camera stands on the point it looks at. Move one of them.")
    z = forward / length
    x = np.cross(z, up)
    for other in ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0)):
        if np.linalg.norm(x) < 1e-6:
            x = np.cross(z, other)
    x /= np.linalg.norm(x)
    c2w = np.eye(4)
    c2w[:3] = np.column_stack([x, np.cross(z, x), z, eye_w])
    focal = width / 2 / math.tan(math.radians(fov_deg) / 2)
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    return Camera(K, c2w, width, height)


def orbit(
    target: Vec | np.ndarray,
    radius: float,
    n: int,
    elevation_deg: float = 25.0,
    size: tuple[int, int] = (256, 256),
    fov_deg: float = 45.0,
    start_deg: float = -90.0,
    sweep_deg: float = 360.0,
) -> tuple[Camera, ...]:
    """n cameras on a circle around `target`, all looking at it; size is (width, height).

    Azimuth runs counter-clockwise seen from above, from start_deg (0 is +x). A full circle doesn't
    repeat its first camera; a smaller sweep ends on its last angle.
    """
    if n < 1:
        raise InputError(f"An orbit of {n} cameras is empty. Ask for at least one.")
    full = abs(sweep_deg) >= 360
    angles = np.radians(start_deg + sweep_deg * np.arange(n) / (n if full else max(n - 1, 1)))
    rise = math.radians(elevation_deg)
    around = np.stack([np.cos(angles), np.sin(angles)], 1) * math.cos(rise)
    eyes = np.asarray(target) + radius * np.column_stack([around, np.full(n, math.sin(rise))])
    return tuple(look_at(eye, target, *size, fov_deg) for eye in eyes)


def moved(
    camera: Camera, right_m: float = 0.0, down_m: float = 0.0, ahead_m: float = 0.0
) -> Camera:
    """The same camera, pushed along its own axes without turning."""
    c2w = camera.c2w.copy()
    c2w[:3, 3] += c2w[:3, :3] @ (right_m, down_m, ahead_m)
    return replace(camera, c2w=c2w)


def resized(camera: Camera, width: int, height: int) -> Camera:
    """The same view on another number of pixels; pixels are stretched if the shape changes."""
    scale = np.array([[width / camera.width], [height / camera.height], [1.0]])
    return Camera(camera.K * scale, camera.c2w, width, height)


def pixel_centres(camera: Camera) -> np.ndarray:
    """(H, W, 2) float64: x and y of every pixel's centre."""
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    return np.stack([x, y], -1)


def rays(camera: Camera, xy: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Origins and unit directions (..., 3) float64 in the world, of pixels xy (..., 2).

    Without xy: of every pixel's centre, (H, W, 3).
    """
    xy = pixel_centres(camera) if xy is None else np.asarray(xy, np.float64)
    ahead = _ahead(camera, xy) @ camera.c2w[:3, :3].T
    ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
    return np.broadcast_to(camera.c2w[:3, 3], ahead.shape), ahead


def project(camera: Camera, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """World points (..., 3) to pixels xy (..., 2) and depth z (...) in metres.

    Behind the camera (z ≤ 0) there is no pixel: xy is NaN there.
    """
    own = (np.asarray(points, np.float64) - camera.c2w[:3, 3]) @ camera.c2w[:3, :3]
    z = own[..., 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        homogeneous = (own / np.where(z > 0, z, np.nan)[..., None]) @ camera.K.T
    return homogeneous[..., :2], z


def unproject(camera: Camera, xy: np.ndarray, z: np.ndarray) -> np.ndarray:
    """World points (..., 3) of pixels xy (..., 2) at depth z (...) along the camera's axis."""
    own = _ahead(camera, np.asarray(xy, np.float64)) * np.asarray(z, np.float64)[..., None]
    return own @ camera.c2w[:3, :3].T + camera.c2w[:3, 3]


def _ahead(camera: Camera, xy: np.ndarray) -> np.ndarray:
    """The point at z = 1 m in the camera's axes under each pixel."""
    homogeneous = np.concatenate([xy, np.ones_like(xy[..., :1])], -1)
    return cast(np.ndarray, homogeneous @ np.linalg.inv(camera.K).T)
