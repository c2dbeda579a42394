"""One match, opened: both patches, how close they are, and how far from the geometry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core import draw
from core.matching.errors import candidate_errors_px
from core.matching.truth import error_px
from core.matching.types import MatchResult, Pair

DECISIONS = ("kept", "against the geometry", "ambiguous or one-sided")


@dataclass(frozen=True)
class MatchDetails:
    """What is known about candidate `index`.

    patch0, patch1 and patch_second (S, S, 3) RGB uint8, upright and scaled; patch_second is the
    runner-up in picture 1 or None. geometry_px is the transfer or epipolar error, truth_px the
    distance to the true place; NaN where unknown.
    """

    index: int
    decision: str
    xy0: np.ndarray
    xy1: np.ndarray
    patch0: np.ndarray
    patch1: np.ndarray
    patch_second: np.ndarray | None
    distance: float
    second_distance: float
    ratio: float
    geometry_px: float
    truth_px: float


def decisions(result: MatchResult) -> np.ndarray:
    """(C,) int: for each candidate its index in DECISIONS: kept, thrown out by the geometry, or
    thrown out before by the ratio or the cross-check."""
    state = np.full(len(result.candidates.pairs), 2)
    state[result.kept] = np.where(result.inliers, 0, 1)
    return state


def inspect(result: MatchResult, pair: Pair, index: int) -> MatchDetails:
    """Open candidate `index`, 0 ≤ index < C."""
    c = result.candidates
    i, j = c.pairs[index]
    second = int(c.second[index])
    xy0, xy1 = result.keypoints0[i], result.keypoints1[j]
    truth = np.array([np.nan])
    if pair.truth is not None:
        truth = error_px(pair.truth, xy0[None], xy1[None])
    return MatchDetails(
        index=index,
        decision=DECISIONS[decisions(result)[index]],
        xy0=xy0,
        xy1=xy1,
        patch0=_patch(pair.image0, result.features0, i),
        patch1=_patch(pair.image1, result.features1, j),
        patch_second=_patch(pair.image1, result.features1, second) if second >= 0 else None,
        distance=float(c.distance[index]),
        second_distance=float(c.second_distance[index]),
        ratio=float(c.ratio[index]),
        geometry_px=float(candidate_errors_px(result)[index]),
        truth_px=float(truth[0]),
    )


def _patch(image: np.ndarray, features, i: int) -> np.ndarray:
    # SIFT describes a square of about six keypoint diameters; show the same
    side = max(6 * float(features.size_px[i]), 24.0)
    return draw.patch(image, features.xy[i], side, float(features.angle_deg[i]))
