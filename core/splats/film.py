"""Once around the scene: the frames of a film, from where the viewer stands."""

from __future__ import annotations

import numpy as np

from core.cameras import look_at
from core.splats.render import render
from core.splats.types import RenderSettings, Splats
from core.types import Camera, InputError, Progress, silent


def circle(camera: Camera, target: np.ndarray, up: np.ndarray, n: int) -> tuple[Camera, ...]:
    """n cameras on the circle through `camera`'s eye about the axis `up` through target (3,), all
    looking at target. The first stands where camera does; the last isn't the first again.

    Raises InputError for n below 1, or if the eye stands on the axis.
    """
    from scipy.spatial.transform import Rotation

    if n < 1:
        raise InputError(f"A film of {n} frames is empty. Ask for at least one.")
    axis = np.asarray(up, np.float64) / np.linalg.norm(up)
    away = camera.c2w[:3, 3] - target
    if np.linalg.norm(away - (away @ axis) * axis) < 1e-6 * max(1.0, float(np.linalg.norm(away))):
        raise InputError("The camera looks straight along the axis. Turn the view a little.")
    fov = 2 * np.degrees(np.arctan(camera.width / 2 / camera.K[0, 0]))
    size = camera.width, camera.height
    return tuple(
        look_at(
            target + Rotation.from_rotvec(axis * 2 * np.pi * k / n).apply(away), target,
            *size, float(fov), (axis[0], axis[1], axis[2]),
        )
        for k in range(n)
    )  # fmt: skip


def film(
    splats: Splats, cameras: tuple[Camera, ...], settings: RenderSettings = RenderSettings(),
    progress: Progress = silent,
) -> np.ndarray:  # fmt: skip
    """What the cameras see: (T, H, W, 3) uint8."""
    frames = []
    for k, camera in enumerate(cameras):
        progress(k / len(cameras), desc=f"frame {k + 1} of {len(cameras)}")
        frames.append(render(splats, camera, settings).rgb)
    return np.stack(frames)
