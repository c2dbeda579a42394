"""Points and triangles as Gaussians, so that one renderer draws them all.

A point becomes a ball as wide as the gap to its neighbours. A triangle becomes a flat disc that has
the triangle's own mean and covariance, widened until neighbours close the gaps between them: that
is what a surface is to a splatter, and why its edges are soft. Large triangles are cut up first.
"""

from __future__ import annotations

import numpy as np

from core.splats.harmonics import Y0
from core.splats.types import Splats
from core.types import InputError

OPACITY_LOGIT = 4.0  # 0.98: a surface lets next to nothing through
NEIGHBOURS = 4  # whose mean distance is a point's size
BALL, DISC = 0.5, 1.6  # radius σ by that distance; widening of a triangle's own deviation
FLAT = 0.02  # thickness of a disc by its radius
SHADE, LIGHT = 0.35, np.array([0.36, 0.48, 0.8])  # least brightness, and where light comes from
FINEST = 40_000  # triangles from which none are cut up further


def from_points(points: np.ndarray, colours: np.ndarray) -> Splats:
    """A ball for each point (P, 3), colours (P, 3) uint8. Points that aren't finite are left out.

    Raises InputError if none is left.
    """
    from scipy.spatial import KDTree

    finite = np.isfinite(points).all(1)
    points, colours = points[finite].astype(np.float64), colours[finite]
    if not len(points):
        raise InputError("There isn't a single point in it. Give at least one.")
    k = min(NEIGHBOURS, len(points) - 1)
    gap = KDTree(points).query(points, k + 1)[0][:, 1:].mean(1) if k else np.ones(1)
    known = gap[gap > 0]
    low, high = np.percentile(known, (5, 95)) if len(known) else (1e-3, 1e-3)
    size = gap.clip(float(low), float(high))
    quats = np.tile([1.0, 0.0, 0.0, 0.0], (len(points), 1))
    return _made(points, np.log(BALL * size)[:, None].repeat(3, 1), quats, colours)


def from_triangles(points: np.ndarray, faces: np.ndarray, colours: np.ndarray) -> Splats:
    """A disc for each triangle: points (P, 3), faces (F, 3) indices, colours (P, 3) uint8.

    A thing of one colour gets a light of its own, or it would be a silhouette. Triangles without an area are left out. Raises InputError if none is left.
    """
    from scipy.spatial.transform import Rotation

    corners = points[faces].astype(np.float64)
    tints = colours[faces].astype(np.float64)
    area = _areas(corners)
    kept = np.isfinite(area) & (area > 0)
    if not kept.any():
        raise InputError("There isn't a single triangle with an area in it. Give a surface.")
    corners, tints = _cut(corners[kept], tints[kept])
    middle = corners.mean(1)
    arms = corners - middle[:, None]
    covariance = np.einsum("fki,fkj->fij", arms, arms) / 12  # of an even triangle
    variances, axes = np.linalg.eigh(covariance)  # the smallest, along the normal, first
    axes[np.linalg.det(axes) < 0, :, 0] *= -1
    deviations = DISC * np.sqrt(variances.clip(min=0))
    deviations[:, 0] = FLAT * deviations[:, 1]
    deviations = deviations.clip(min=1e-9 * float(np.ptp(points, axis=0).max() or 1))
    quats = Rotation.from_matrix(axes).as_quat()[:, [3, 0, 1, 2]]
    tints = tints.mean(1)
    if not np.ptp(colours[faces].reshape(-1, 3), axis=0).any():
        tints *= SHADE + (1 - SHADE) * np.abs(axes[:, :, 0] @ LIGHT)[:, None]
    return _made(middle, np.log(deviations), quats, tints)


def _areas(corners: np.ndarray) -> np.ndarray:
    a, b, c = corners.transpose(1, 0, 2)
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def _cut(corners: np.ndarray, tints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Halve triangles (F, 3, 3) across their longest side until FINEST of them are even in size.

    A sliver is even with the others when its longest side is: halving by area alone would keep it.
    """
    while len(corners) < FINEST:
        sides = np.linalg.norm(corners - np.roll(corners, -1, 1), axis=2)  # from corner k to k + 1
        longest = sides.max(1)
        most = max(len(corners) // 3, 1)
        large = np.argpartition(-longest, most - 1)[:most] if most < len(corners) else np.arange(1)
        k = sides[large].argmax(1)
        turn = (k[:, None] + np.arange(3)) % 3
        parts = []
        for array in (corners, tints):
            a, b, c = np.take_along_axis(array[large], turn[:, :, None], 1).transpose(1, 0, 2)
            half = (a + b) / 2
            rest = np.delete(array, large, 0)
            parts.append(
                np.concatenate([rest, np.stack([a, half, c], 1), np.stack([half, b, c], 1)])
            )
        corners, tints = parts
    return corners, tints


def _made(
    means: np.ndarray, log_scales: np.ndarray, quats: np.ndarray, colours: np.ndarray
) -> Splats:
    sh = (colours / 255 - 0.5) / Y0
    n = len(means)
    return Splats(means, log_scales, quats, np.full(n, OPACITY_LOGIT), sh[:, None])  # type: ignore[arg-type]
