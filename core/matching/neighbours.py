"""Pairing descriptors: the nearest one in the other picture, and whether to believe it.

A distance alone says little: some descriptors are close to everything. Lowe's ratio test compares
the best with the second best (IJCV 2004, section 7.1): a true match is much closer than the
runner-up, a repeated window isn't. The cross-check asks whether each is the other's nearest.

Brute force computes every distance. For floats it is one matrix product,
|a − b|² = |a|² + |b|² − 2 a·b, and both directions are read from the same matrix: the rows give
the nearest in picture 1, the columns the nearest in picture 0. KD-trees (for floats) and
locality-sensitive hashing (for bits) look at only a part and may miss the nearest.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.matching.types import Candidates, Features, MatchSettings
from core.types import Progress, silent

CHUNK = 16_000_000  # entries of the distance matrix held at once: 64 MB in float32
DISTINCT_PX = 10.0  # affine-sift: nearer than this, two keypoints are views of the same place
LOOK_PAST = 6  # affine-sift: how many neighbours are searched for a distinct runner-up


def candidates(
    features0: Features,
    features1: Features,
    settings: MatchSettings,
    progress: Progress = silent,
    *,
    chunk: int = CHUNK,
) -> Candidates:
    """The nearest descriptor in picture 1 for each keypoint of picture 0.

    Euclidean distance for float32 descriptors, Hamming for uint8 ones. With affine-sift, which
    finds one place in several simulated views, the runner-up is the nearest descriptor *elsewhere*
    in picture 1 (Mishkin, Matas and Perdoch, CVIU 2015), and mutual allows another view of the
    same place. `chunk` bounds how many distances are held at once; the answer is the same.
    """
    describe0, describe1 = features0.descriptors, features1.descriptors
    assert describe0 is not None and describe1 is not None
    affine = settings.method == "affine-sift"
    k = LOOK_PAST if affine else 2
    if settings.method.endswith("-flann"):
        forth = _flann(describe0, describe1, settings.seed)
        progress(0.5, desc="matching back")
        back = _flann(describe1, describe0, settings.seed)
    elif describe0.dtype == np.uint8:
        forth, back = _hamming(describe0, describe1)
    else:
        forth, back = _euclidean(describe0, describe1, k, chunk, progress)
    radius = DISTINCT_PX if affine else 0.0
    best, second, distance, second_distance = _best_two(*forth, features1.xy, radius)
    back_best, _, back_distance, back_second_distance = _best_two(*back, features0.xy, radius)

    found = best >= 0
    i = np.flatnonzero(found)
    j = best[found]
    returned = back_best[j]  # where picture 1's keypoint points to in picture 0
    mutual = returned == i
    if affine:
        apart = np.linalg.norm(features0.xy[returned] - features0.xy[i], axis=1)
        mutual |= (returned >= 0) & (apart < DISTINCT_PX / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        back_ratio = back_distance / back_second_distance
    back_ratio[back_second_distance == 0] = 1  # two perfect matches: nothing tells them apart
    return Candidates(
        pairs=np.column_stack([i, j]).astype(np.int32),
        distance=distance[found],
        second_distance=second_distance[found],
        second=second[found].astype(np.int32),
        mutual=mutual,
        back_ratio=back_ratio[j].astype(np.float32),
    )


def keep(found: Candidates, settings: MatchSettings) -> np.ndarray:
    """(C,) bool: which candidates are matches.

    A candidate passes the ratio test if distance < ratio × second_distance, or if it has no
    runner-up; a ratio of 1 turns the test off. `cross_check` asks for mutual ones, `mutual_check`
    for the ratio test from picture 1 back to picture 0 as well.
    """
    kept = np.ones(len(found.pairs), bool)
    if settings.ratio < 1:
        alone = np.isnan(found.second_distance)
        kept &= alone | (found.distance < settings.ratio * found.second_distance)
        if settings.mutual_check:
            kept &= np.isnan(found.back_ratio) | (found.back_ratio < settings.ratio)
    if settings.cross_check:
        kept &= found.mutual
    return kept


def deciding_ratio(found: Candidates, settings: MatchSettings) -> np.ndarray:
    """(C,) float64: what must stay below `settings.ratio`, the larger of both directions if both
    are tested; NaN where there is no runner-up to compare with."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = found.distance.astype(np.float64) / found.second_distance
    ratio[found.second_distance == 0] = 1  # two perfect matches: nothing tells them apart
    return np.fmax(ratio, found.back_ratio) if settings.mutual_check else ratio


Nearest = tuple[np.ndarray, np.ndarray]  # (N, k) int64 indices, -1 none; (N, k) float32, NaN none


def _best_two(
    index: np.ndarray, distance: np.ndarray, xy: np.ndarray, radius_px: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Best and runner-up of each row's k nearest: two (N,) indices and two (N,) distances.

    The runner-up lies more than `radius_px` from the best. If all k lie nearer, the last one
    stands in: the true runner-up is farther still, so the ratio is never flattered.
    """
    n, k = index.shape
    rows = np.arange(n)
    best = index[:, 0]
    if k == 1:
        return best, np.full(n, -1), distance[:, 0], np.full(n, np.nan, np.float32)
    at = np.ones(n, int)
    if radius_px > 0:
        apart = np.linalg.norm(xy[index[:, 1:]] - xy[best][:, None], axis=2) > radius_px
        apart |= index[:, 1:] < 0
        at = np.where(apart.any(axis=1), apart.argmax(axis=1) + 1, k - 1)
    return best, index[rows, at], distance[:, 0], distance[rows, at]


def _euclidean(
    a: np.ndarray, b: np.ndarray, k: int, chunk: int, progress: Progress
) -> tuple[Nearest, Nearest]:
    """k nearest of each row of a (N, D) in b (M, D), and of each row of b in a."""
    import cv2

    squares_a, squares_b = (a * a).sum(axis=1), (b * b).sum(axis=1)
    k_forth, k_back = min(k, len(b)), min(k, len(a))
    forth = np.zeros((len(a), k_forth), np.int64)
    back = np.zeros((len(b), 0), np.int64)
    back_score = np.zeros((len(b), 0), np.float32)
    rows = max(1, chunk // len(b))
    for start in range(0, len(a), rows):
        progress(start / len(a), desc="comparing descriptors")
        part = slice(start, start + rows)
        squared = squares_b - 2 * (a[part] @ b.T) + squares_a[part, None]
        # cv2 transposes by blocks, six times as fast as a strided NumPy copy.
        index, score = _smallest(cv2.transpose(squared), min(k_back, squared.shape[0]))
        back = np.column_stack([back, index + start])
        back_score = np.column_stack([back_score, score])
        order = np.argsort(back_score, axis=1, kind="stable")[:, :k_back]
        back = np.take_along_axis(back, order, axis=1)
        back_score = np.take_along_axis(back_score, order, axis=1)
        forth[part] = _smallest(squared, k_forth)[0]
    # The product loses digits where distances are small: take the chosen ones from differences.
    return (forth, _lengths(a, b, forth)), (back, _lengths(b, a, back))


def _smallest(table: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Column indices and values of each row's k smallest, in order. Overwrites `table`."""
    rows = np.arange(len(table))
    index = np.zeros((len(table), k), np.int64)
    value = np.zeros((len(table), k), table.dtype)
    for column in range(k):
        index[:, column] = table.argmin(axis=1)
        value[:, column] = table[rows, index[:, column]]
        table[rows, index[:, column]] = np.inf
    return index, value


def _lengths(a: np.ndarray, b: np.ndarray, index: np.ndarray) -> np.ndarray:
    columns = [np.linalg.norm(a - b[index[:, c]], axis=1) for c in range(index.shape[1])]
    return np.column_stack(columns).astype(np.float32)


def _hamming(a: np.ndarray, b: np.ndarray) -> tuple[Nearest, Nearest]:
    """Two nearest by the number of differing bits, both ways."""
    import cv2

    matcher = cv2.BFMatcher(cv2.NORM_HAMMING)
    return (
        _table(matcher.knnMatch(a, b, min(2, len(b)))),
        _table(matcher.knnMatch(b, a, min(2, len(a)))),
    )


def _flann(a: np.ndarray, b: np.ndarray, seed: int) -> Nearest:
    """Two nearest, approximately: KD-trees for floats, LSH for bits (which may find none)."""
    import cv2

    if a.dtype == np.uint8:
        index: dict[str, Any] = {
            "algorithm": 6, "table_number": 12, "key_size": 20, "multi_probe_level": 2,
        }  # fmt: skip
    else:
        index = {"algorithm": 1, "trees": 5}
    cv2.setRNGSeed(seed)  # FLANN draws its random splits from OpenCV's generator
    matcher = cv2.FlannBasedMatcher(index, {"checks": 50})
    return _table(matcher.knnMatch(a, b, min(2, len(b))))


def _table(found: Any) -> Nearest:
    """cv2's lists of up to two matches as (N, 2) arrays; -1 and NaN where one is missing."""
    index = np.full((len(found), 2), -1, np.int64)
    distance = np.full((len(found), 2), np.nan, np.float32)
    for row, matches in enumerate(found):
        for column, m in enumerate(matches[:2]):
            index[row, column], distance[row, column] = m.trainIdx, m.distance
    return index, distance
