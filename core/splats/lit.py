"""Gaussians of a rendered scene, with its light in them: an example whose truth is known.

The scene's surfaces are formulas, so the Gaussians can be laid on them exactly. What light does
there is measured: cameras all around see each Gaussian in some colour. Their mean is its colour of
degree 0; the higher spherical harmonics say best, by linear least squares, what is left. Gloss moves
with the eye and needs the higher degrees; a mirror is more than degree 3 can tell. Whatever no
camera sees is left out.
"""

from __future__ import annotations

import numpy as np

from core.cameras import project
from core.scenes import Scene, orbit_cameras, render_clip, to_splats
from core.splats.harmonics import Y0, basis
from core.splats.types import Splats
from core.types import Camera, InputError, Progress, silent

SIDE_PX = 160  # of the pictures in which light is measured
AT_ONCE = 4  # pictures rendered between two words of progress
NEARLY, SIGMAS = 0.01, 2.0  # a Gaussian is seen if the depth there is its own: share, and its size
RIDGE = (0.3, 1.0, 2.0)  # of degree 1 to 3: views are few, and waves nobody saw shall stay flat
DEGREE = 3


def from_scene(
    scene: Scene, n: int = 40_000, n_views: int = 12, seed: int = 0, progress: Progress = silent
) -> Splats:
    """At most n Gaussians on the scene's surfaces, colour degree 3, fitted to n_views exact views.

    World and metres are the scene's, z up. Raises InputError for n or n_views below 1.
    """
    import torch

    if n_views < 1:
        raise InputError(f"{n_views} views show no light. Ask for at least 1.")
    laid = Splats(**to_splats(scene, n, seed))
    cameras = orbit_cameras(scene, n_views, (SIDE_PX, SIDE_PX), seed)
    k = (DEGREE + 1) ** 2
    looks = np.zeros(n, np.float32)
    mean = np.zeros((n, 3), np.float32)  # Σ colour, then the mean
    waves = np.zeros((n, k), np.float32)  # Σ b
    products = np.zeros((n, k, k), np.float32)  # Σ b bᵀ
    wanted = np.zeros((n, k, 3), np.float32)  # Σ b colour
    for first in range(0, n_views, AT_ONCE):
        progress(0.95 * first / n_views, desc="measuring the light")
        some = list(cameras[first : first + AT_ONCE])
        for camera, view in zip(some, render_clip([scene], some), strict=True):
            assert view.depth_m is not None
            at, colour = _seen(laid, camera, view.rgb, view.depth_m)
            away = laid.means[at] - camera.c2w[:3, 3].astype(np.float32)
            away /= np.linalg.norm(away, axis=1, keepdims=True)
            b = basis(torch.from_numpy(away), DEGREE).numpy()
            looks[at] += 1
            mean[at] += colour
            waves[at] += b
            products[at] += b[:, :, None] * b[:, None]
            wanted[at] += b[:, :, None] * colour[:, None]
    kept = looks > 0
    mean[kept] /= looks[kept, None]
    # the mean is degree 0; the others say what is left of each look
    left = (wanted - waves[:, :, None] * mean[:, None])[kept, 1:]
    ridge = np.repeat(RIDGE, [3, 5, 7]).astype(np.float32) * np.float32(Y0**2)
    system = torch.from_numpy(products[kept, 1:, 1:]) + torch.diag(torch.from_numpy(ridge))
    gloss = torch.linalg.solve(system, torch.from_numpy(left)).numpy()
    sh = np.concatenate([(mean[kept, None] - 0.5) / Y0, gloss], 1)
    progress(1.0, desc="measuring the light")
    return Splats(
        laid.means[kept], laid.log_scales[kept], laid.quats[kept], laid.opacity_logits[kept], sh
    )


def _seen(
    splats: Splats, camera: Camera, rgb: np.ndarray, depth_m: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Places of the Gaussians (M,) whose middle this picture shows, and colours (M, 3) in [0, 1]."""
    xy, z = project(camera, splats.means)
    with np.errstate(invalid="ignore"):
        inside = (z > 0) & ((xy >= 0) & (xy < (camera.width, camera.height))).all(1)
    at = inside.nonzero()[0]
    x, y = xy[at].astype(int).T
    tolerance = NEARLY * z[at] + SIGMAS * splats.scales_m[at].max(1)
    with np.errstate(invalid="ignore"):
        first = np.abs(depth_m[y, x] - z[at]) < tolerance
    return at[first], rgb[y[first], x[first]].astype(np.float32) / 255
