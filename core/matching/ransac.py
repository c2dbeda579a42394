"""RANSAC, one step at a time (Fischler & Bolles 1981).

Half of the matches may be wrong, and a least-squares fit to all of them fits nothing. So turn it
round: take the fewest matches that fix a homography (four), compute it, and let all matches vote:
who lands within a few pixels agrees. A wrong sample gives a model that hardly anyone agrees with;
a right one gathers all right matches. Repeat with random samples and keep the best.

How often? If a share w of the matches is right, a sample of s is all right with chance wˢ, and N
samples all fail with chance (1 - wˢ)^N. To fail with a chance of only 1 - p takes

    N = log(1 - p) / log(1 - wˢ)

samples. w is unknown, so the best vote so far stands in for it, and N falls as the vote grows.
A vote is agreement with the model, no more: a wrong match can agree by luck.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from core import draw
from core.types import InputError, Snapshot

SAMPLE_SIZE = 4  # four matches give eight equations for the eight unknowns of a homography
FLAT = 0.01  # a triangle with less height than this share of its base is a line
MAGENTA = (200, 30, 110)


@dataclass(frozen=True)
class RansacStep(Snapshot):
    """One sample and its vote. total is the number of steps expected by now; it falls.

    sample (4,) int indices of matches; model (3, 3) float64, x1 ~ model x0, or None when three of
    the four points lie on a line or no camera could see them so; votes and inliers (K,) bool belong to this sample, best_votes,
    best_model and best_inliers to the best so far; needed is the bound N for the best so far,
    a whole number or infinity; improved: this sample is the new best.
    """

    sample: np.ndarray
    model: np.ndarray | None
    votes: int
    inliers: np.ndarray
    best_votes: int
    best_model: np.ndarray | None
    best_inliers: np.ndarray
    needed: float
    improved: bool


def steps(
    points0: np.ndarray,
    points1: np.ndarray,
    *,
    threshold_px: float = 3.0,
    confidence: float = 0.999,
    max_iterations: int = 500,
    seed: int = 0,
) -> Iterator[RansacStep]:
    """Find the homography from points0 to points1, both (K, 2) px, sample by sample.

    A match votes for a model that takes its point 0 to within threshold_px of its point 1. Ends
    when as many samples are drawn as the bound asks for, or after max_iterations. Fit all of
    best_inliers with `homography` afterwards: four noisy points are never as good as many.
    Raises InputError for fewer than four matches or other unfit values.
    """
    points0, points1 = np.asarray(points0, np.float64), np.asarray(points1, np.float64)
    if points0.shape != points1.shape or points0.ndim != 2 or points0.shape[1] != 2:
        raise InputError(
            f"Matches are two lists of points of one length, not {points0.shape} and "
            f"{points1.shape}. Match the pictures again."
        )
    if len(points0) < SAMPLE_SIZE:
        raise InputError(
            f"A homography needs {SAMPLE_SIZE} matches; there are {len(points0)}. "
            "Raise the ratio or the number of keypoints."
        )
    if not threshold_px > 0 or not 0 < confidence < 1 or max_iterations < 1:
        raise InputError(
            "RANSAC needs a threshold above 0 px, a confidence between 0 and 1 and at least "
            "one iteration. Change these."
        )
    return _steps(points0, points1, threshold_px, confidence, max_iterations, seed)


def _steps(points0, points1, threshold_px, confidence, max_iterations, seed):
    began = time.perf_counter()
    random = np.random.default_rng(seed)
    count = len(points0)
    best_votes, best_model, best_inliers = 0, None, np.zeros(count, bool)
    needed, step = math.inf, 0
    while step < min(needed, max_iterations):
        step += 1
        sample = random.choice(count, SAMPLE_SIZE, replace=False)
        model, inliers = None, np.zeros(count, bool)
        if not (_has_line(points0[sample]) or _has_line(points1[sample])):
            model = homography(points0[sample], points1[sample])
            if np.isinf(project(model, points0[sample])).any():
                model = None  # it would fold the picture over the horizon: no camera does
        if model is not None:
            inliers = np.linalg.norm(project(model, points0) - points1, axis=1) <= threshold_px
        votes = int(inliers.sum())
        improved = votes > best_votes
        if improved:
            best_votes, best_model, best_inliers = votes, model, inliers
            needed = bound(votes / count, SAMPLE_SIZE, confidence)
        yield RansacStep(
            step=step,
            total=max(step, int(min(needed, max_iterations))),
            seconds=time.perf_counter() - began,
            sample=sample,
            model=model,
            votes=votes,
            inliers=inliers,
            best_votes=best_votes,
            best_model=best_model,
            best_inliers=best_inliers,
            needed=needed,
            improved=improved,
        )


def homography(points0: np.ndarray, points1: np.ndarray) -> np.ndarray:
    """The 3×3 homography, points1 ~ H points0, of four or more matches (K, 2), by normalised DLT.

    Each match gives two equations that are linear in H's nine numbers (x1 × H x0 = 0); the
    solution is the direction that they change least, the last right singular vector. Both point
    sets are first moved and scaled to a mean distance of √2 from the origin, or the equations
    would mix numbers of size 1 and 1,000,000 (Hartley & Zisserman 2004, algorithm 4.2).
    """
    T0, T1 = _normalisation(points0), _normalisation(points1)
    x0, x1 = project(T0, points0), project(T1, points1)
    h0 = np.column_stack([x0, np.ones(len(x0))])
    zero = np.zeros_like(h0)
    equations = np.vstack(
        [
            np.hstack([h0, zero, -x1[:, :1] * h0]),
            np.hstack([zero, h0, -x1[:, 1:] * h0]),
        ]
    )
    # four matches are eight equations: the ninth singular vector needs the full decomposition
    _, _, right = np.linalg.svd(equations, full_matrices=len(equations) < 9)
    H = np.linalg.inv(T1) @ right[-1].reshape(3, 3) @ T0
    # H and -H are the same map; take the one that leaves these points in front of the horizon
    in_front = np.sign(np.sum(np.column_stack([points0, np.ones(len(points0))]) @ H[2])) or 1.0
    return H * in_front / max(abs(H[2, 2]), 1e-12)


def project(model: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(K, 2) points through a 3×3 matrix; infinite where they fall on the horizon or behind it."""
    h = np.column_stack([points, np.ones(len(points))]) @ model.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(h[:, 2:] > 1e-12, h[:, :2] / h[:, 2:], np.inf)


def _normalisation(points: np.ndarray) -> np.ndarray:
    centre = points.mean(axis=0)
    spread = np.linalg.norm(points - centre, axis=1).mean()
    scale = np.sqrt(2) / max(spread, 1e-12)
    return np.array([[scale, 0, -scale * centre[0]], [0, scale, -scale * centre[1]], [0, 0, 1]])


def _has_line(four: np.ndarray) -> bool:
    """Whether three of four points lie on a line, or two coincide: they fix no homography."""
    for left_out in range(4):
        a, b, c = np.delete(four, left_out, axis=0)
        area = abs((b - a)[0] * (c - a)[1] - (b - a)[1] * (c - a)[0])  # twice the triangle's
        if area <= FLAT * max(np.sum((b - a) ** 2), np.sum((c - a) ** 2), np.sum((c - b) ** 2)):
            return True
    return False


def bound(inlier_share: float, sample_size: int = SAMPLE_SIZE, confidence: float = 0.999) -> float:
    """Samples needed to draw one without a wrong match with that confidence: a whole number, 1 or
    more, infinity for a share of 0. Fischler & Bolles 1981, section II.B."""
    good = inlier_share**sample_size
    if good <= 0:
        return math.inf
    if good >= 1:
        return 1.0
    return float(max(1, math.ceil(math.log(1 - confidence) / math.log1p(-good))))


def bound_curve(
    sample_size: int = SAMPLE_SIZE, confidence: float = 0.999
) -> tuple[np.ndarray, np.ndarray]:
    """The bound for 100 inlier shares from 0.01 to 1: shares (100,) and iterations (100,)."""
    shares = np.arange(1, 101) / 100
    return shares, np.array([bound(share, sample_size, confidence) for share in shares])


def picture(
    image0: np.ndarray,
    image1: np.ndarray,
    points0: np.ndarray,
    points1: np.ndarray,
    step: RansacStep,
    *,
    height_px: int = 480,
) -> np.ndarray:
    """One step drawn on both pictures, side by side, RGB uint8.

    The sample in magenta, the matches that vote for its model in blue, the rest in faint orange;
    the magenta frame in picture 1 is where the model puts the frame of picture 0.
    """
    import cv2

    images, scales = [], []
    for image in (image0, image1):
        size = max(1, round(image.shape[1] * height_px / image.shape[0])), height_px
        how = cv2.INTER_AREA if image.shape[0] > height_px else cv2.INTER_NEAREST
        small = cv2.cvtColor(cv2.resize(image, size, interpolation=how), cv2.COLOR_RGB2GRAY)
        # grey and pale, so that colour belongs to the lines alone
        images.append(np.repeat((small[..., None] // 2 + 110).astype(np.uint8), 3, axis=2))
        scales.append(np.array(size) / (image.shape[1], image.shape[0]))
    canvas = draw.side_by_side(*images)
    shift = canvas.shape[1] - images[1].shape[1]
    a, b = points0 * scales[0], points1 * scales[1] + (shift, 0)

    chosen = np.zeros(len(points0), bool)
    chosen[step.sample] = True
    faint = canvas.copy()
    for i in np.flatnonzero(~step.inliers & ~chosen):
        cv2.line(faint, _fixed(a[i]), _fixed(b[i]), draw.ORANGE, 1, cv2.LINE_AA, 4)
    canvas = cv2.addWeighted(faint, 0.4, canvas, 0.6, 0)
    for i in np.flatnonzero(step.inliers & ~chosen):
        cv2.line(canvas, _fixed(a[i]), _fixed(b[i]), draw.BLUE, 1, cv2.LINE_AA, 4)
    if step.model is not None:
        h, w = image0.shape[:2]
        frame = project(step.model, np.array([[0, 0], [w, 0], [w, h], [0, h]], float)) * scales[1]
        if np.abs(frame).max() < 1e5:  # beyond, the model is absurd and OpenCV's integers overflow
            right = np.ascontiguousarray(canvas[:, shift:])
            corners = np.array([_fixed(c) for c in frame], np.int32)
            cv2.polylines(right, [corners], True, MAGENTA, 2, cv2.LINE_AA, 4)
            canvas[:, shift:] = right
    for i in step.sample:
        for colour, width in (((255, 255, 255), 5), (MAGENTA, 3)):
            cv2.line(canvas, _fixed(a[i]), _fixed(b[i]), colour, width, cv2.LINE_AA, 4)
        for tip in (a[i], b[i]):
            cv2.circle(canvas, _fixed(tip), 7 * 16, (255, 255, 255), -1, cv2.LINE_AA, 4)
            cv2.circle(canvas, _fixed(tip), 5 * 16, MAGENTA, -1, cv2.LINE_AA, 4)
    return canvas


def _fixed(xy: np.ndarray) -> tuple[int, int]:
    """Our pixel coordinates as OpenCV's: first centre at 0, four binary places."""
    return round((float(xy[0]) - 0.5) * 16), round((float(xy[1]) - 0.5) * 16)
