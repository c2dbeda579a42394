"""Where the scene is, judged from its points, or from where the cameras look."""

from __future__ import annotations

import numpy as np

from core.cameras import project, unproject
from core.types import Camera, InputError


def spread(cameras: tuple[Camera, ...]) -> float:
    """The size of the cameras' path. InputError if they all stand in one place."""
    eyes = np.array([c.c2w[:3, 3] for c in cameras])
    size = float(np.linalg.norm(np.ptp(eyes, axis=0)))
    if not size > 1e-6 * (1 + np.abs(eyes).max()):
        raise InputError(
            "All cameras stand in one place, so nothing has depth. Walk around the thing while "
            "taking photos."
        )
    return size


def from_points(
    cameras: tuple[Camera, ...], points: np.ndarray, *, core: bool = False
) -> tuple[np.ndarray, float, float] | None:
    """Box (2, 3), near and far of points (P, 3), without the strays; None if there are too few.

    core: only where most of them are. A field that goes on outside its box is coarse there, and
    had better be where the cameras stand: fine cells before a camera learn its picture by heart.
    """
    points = points[np.isfinite(points).all(1)]
    points = points[:: max(1, len(points) // 5000)]
    spans, seen = [], np.zeros(len(points), bool)
    for camera in cameras:
        xy, z = project(camera, points)
        inside = (z > 0) & ((xy > 0) & (xy < (camera.width, camera.height))).all(1)
        seen |= inside
        spans.append(np.linalg.norm(points[inside] - camera.c2w[:3, 3], axis=1))
    if seen.sum() < 20:
        return None
    low, high = np.percentile(points[seen], (20, 80) if core else (3, 97), axis=0)
    margin = (0.2 if core else 0.1) * (high - low).max()
    near, far = np.percentile(np.concatenate(spans), (0.5, 99.5))
    return np.stack([low - margin, high + margin]), float(0.7 * near), float(1.3 * far)


def from_ranges(cameras: tuple[Camera, ...], ranges: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Box, near and far around all that the cameras see between depths `ranges` (N, 2)."""
    near = 0.9 * float(np.percentile(ranges[:, 0], 5))
    far = 1.05 * float(np.percentile(ranges[:, 1], 95))
    if not 0 < near < far:
        raise InputError("The nearest depth isn't below the furthest. Correct the depths.")
    corners = []
    for camera in cameras:
        w, h = camera.width, camera.height
        xy = np.array([(0, 0), (w, 0), (0, h), (w, h), (w / 2, h / 2)], np.float64)
        corners += [unproject(camera, xy, np.full(5, z)) for z in (near, far)]
    points = np.concatenate(corners)
    eyes = np.array([c.c2w[:3, 3] for c in cameras])
    reach = np.linalg.norm(points[:, None] - eyes, axis=2).max() if len(eyes) < 64 else 1.5 * far
    return np.stack([points.min(0), points.max(0)]), near, float(min(reach, 1.5 * far))


def from_cameras(cameras: tuple[Camera, ...]) -> tuple[np.ndarray, float, float]:
    """Box, near and far from the cameras alone.

    Cameras that look inward have a point nearest to all their axes: Σ(I − dᵢdᵢᵀ)(p − oᵢ) = 0. The
    box around it is as large as what they see there. Others see between a tenth of and five times
    the size of their path.
    """
    size = spread(cameras)
    eyes = np.array([c.c2w[:3, 3] for c in cameras])
    axes = np.array([c.c2w[:3, 2] for c in cameras])
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]  # N 3 3
    left = across.sum(0)
    if np.linalg.eigvalsh(left)[0] > 0.02 * len(cameras):
        centre = np.linalg.solve(left, (across @ eyes[..., None]).sum(0)[:, 0])
        ahead = ((centre - eyes) * axes).sum(1)
        reach = np.linalg.norm(centre - eyes, axis=1)
        if (ahead > 0).mean() > 0.9 and np.median(reach) > 0.05 * size:
            d = float(np.median(reach))
            slope = np.median([max(c.width / c.K[0, 0], c.height / c.K[1, 1]) / 2 for c in cameras])
            half = min(1.15 * d * float(slope), d)
            near = max(0.05 * d, 0.9 * (float(reach.min()) - half))
            return np.stack([centre - half, centre + half]), near, float(reach.max()) + 1.2 * half
    return from_ranges(cameras, np.tile([0.1 * size, 5 * size], (len(cameras), 1)))
