"""How far a match lies from a relation between the views, in pixels, and a pose from the truth."""

from __future__ import annotations

import numpy as np

from core.matching.types import MatchResult
from core.types import InputError


def transfer_error_px(model: np.ndarray, points0: np.ndarray, points1: np.ndarray) -> np.ndarray:
    """(K,) px: how far model·x0 lies from x1; inf where x0 goes to infinity or behind it."""
    mapped = np.column_stack([points0, np.ones(len(points0))]) @ np.asarray(model).T
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.linalg.norm(mapped[:, :2] / mapped[:, 2:] - points1, axis=1)
    return np.where(np.isfinite(error), error, np.inf)


def epipolar_error_px(
    F: np.ndarray, points0: np.ndarray, points1: np.ndarray, *, symmetric: bool = False
) -> np.ndarray:
    """(K,) px: the distance of x1 from its epipolar line F x0.

    symmetric takes the larger of that and the distance of x0 from Fᵀ x1. A point at the epipole
    has no line; its error is inf.
    """
    x0 = np.column_stack([points0, np.ones(len(points0))])
    x1 = np.column_stack([points1, np.ones(len(points1))])
    line1, line0 = x0 @ np.asarray(F).T, x1 @ np.asarray(F)
    off = np.abs((x1 * line1).sum(axis=1))  # |x1ᵀ F x0|
    with np.errstate(divide="ignore", invalid="ignore"):
        error = off / np.hypot(line1[:, 0], line1[:, 1])
        if symmetric:
            error = np.maximum(error, off / np.hypot(line0[:, 0], line0[:, 1]))
    return np.where(np.isfinite(error), error, np.inf)


def errors_px(result: MatchResult) -> np.ndarray:
    """(K,) px: each match's error under the result's own model; NaN if it has none.

    Transfer error in picture 1 for homography and affine, symmetric epipolar distance for
    fundamental and essential.
    """
    return candidate_errors_px(result)[result.kept]


def candidate_errors_px(result: MatchResult) -> np.ndarray:
    """(C,) px: `errors_px` for every candidate, those that were thrown away included."""
    i, j = result.candidates.pairs.T
    points0, points1 = result.keypoints0[i], result.keypoints1[j]
    if result.model is None:
        return np.full(len(points0), np.nan)
    if result.geometry.geometry in ("homography", "affine"):
        return transfer_error_px(result.model, points0, points1)
    return epipolar_error_px(pixel_fundamental(result), points0, points1, symmetric=True)


def pixel_fundamental(result: MatchResult) -> np.ndarray:
    """F (3, 3) with x1ᵀ F x0 = 0 in pixels, from a fundamental or essential model."""
    assert result.model is not None
    if result.geometry.geometry == "fundamental":
        return result.model
    K0, K1 = cameras(result)
    return np.linalg.inv(K1).T @ result.model @ np.linalg.inv(K0)


def cameras(result: MatchResult) -> tuple[np.ndarray, np.ndarray]:
    """K0 and K1 (3, 3) px as known, or from the focal length; identity where none is needed.

    Raises InputError if the essential matrix is asked for and nothing is known.
    """
    if result.geometry.geometry != "essential":
        return np.eye(3), np.eye(3)
    if result.K0 is not None and result.K1 is not None:
        return result.K0, result.K1
    f = result.geometry.focal_px
    if f <= 0:
        raise InputError(
            "The essential matrix needs the focal length in pixels. Give it under Focal length "
            "(about 1.2 × the picture's longer side for a phone), or choose Fundamental matrix."
        )
    centres = [(w / 2, h / 2) for w, h in (result.size0, result.size1)]
    K0, K1 = (np.array([[f, 0, x], [0, f, y], [0, 0, 1.0]]) for x, y in centres)
    return K0, K1


def pose_error_deg(
    R: np.ndarray, t: np.ndarray, R_true: np.ndarray, t_true: np.ndarray
) -> tuple[float, float]:
    """The angle of the rotation between R and R_true, and that between t and t_true's directions.

    The translation angle is NaN if either has no length: a direction is all two views can tell.
    """
    turn = np.asarray(R) @ np.asarray(R_true).T
    # atan2 keeps its digits near 0 and 180 degrees, where arccos of the trace loses them.
    axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    rotation = np.degrees(np.arctan2(np.linalg.norm(axis), np.trace(turn) - 1))
    t, t_true = np.ravel(t), np.ravel(t_true)
    if not (np.linalg.norm(t) > 0 and np.linalg.norm(t_true) > 0):
        return float(rotation), float("nan")
    direction = np.degrees(np.arctan2(np.linalg.norm(np.cross(t, t_true)), t @ t_true))
    return float(rotation), float(direction)
