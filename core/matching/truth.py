"""Right or wrong: matches held against the exact answer.

An inlier only agrees with the estimated model; twenty wrong matches can agree with each other.
A match is *right* if it lands within a few pixels of where the truth puts the point: through
the known homography, or up to the surface by its depth and down into the other camera. A point
that another surface hides has no right answer: it is unknown (NaN), not wrong.

Scores: repeatability and matching score (Mikolajczyk et al. 2005), mean matching accuracy
(Dusmanu et al., D2-Net, 2019), AUC of the corner error (Sarlin et al., SuperGlue, 2020).
"""

from __future__ import annotations

import re

import numpy as np

from core.matching.errors import pose_error_deg
from core.matching.types import MatchResult, Truth
from core.types import InputError

RIGHT, WRONG, UNKNOWN = 1, 0, -1
SAME_SURFACE = 0.015  # two depths this close, relatively, are one surface

SCORE_HELP: dict[str, tuple[str, str, str]] = {
    "keypoints0": ("Keypoints 0", "Points found in picture 0.", ""),
    "keypoints1": ("Keypoints 1", "Points found in picture 1.", ""),
    "matches": ("Matches", "Candidates that passed every check.", ""),
    "inlier_ratio": ("Inlier ratio", "Share of matches that agree with the estimated model.", ""),
    "repeatability": (
        "Repeatability", "Share of points 0 in sight of both views that were found again in "
        "picture 1 within 3 px.", "",
    ),
    "matching_score": ("Matching score", "Right matches per point 0 in sight of both views.", ""),
    "precision": ("Precision", "Share of matches that are right within 3 px.", ""),
    "recall": ("Recall", "Share of right candidates that the checks kept.", ""),
    "mma_1": ("MMA@1", "Share of matches within 1 px of the truth.", ""),
    "mma_3": ("MMA@3", "Share of matches within 3 px; over one pair the same as precision.", ""),
    "mma_5": ("MMA@5", "Share of matches within 5 px of the truth.", ""),
    "corner_error_px": (
        "Corner error", "Mean distance of the picture's corners, estimated and true homography.",
        "px",
    ),
    "auc_1": ("AUC@1", "1 for no corner error, falling to 0 at 1 px or more.", ""),
    "auc_3": ("AUC@3", "The same up to 3 px.", ""),
    "auc_5": ("AUC@5", "The same up to 5 px.", ""),
    "auc_10": ("AUC@10", "The same up to 10 px.", ""),
    "rotation_error_deg": ("Rotation error", "Angle between estimated and true rotation.", "°"),
    "translation_error_deg": (
        "Translation error", "Angle between estimated and true direction of travel.", "°",
    ),
}  # fmt: skip
"""Key of a score → its label, one line of meaning, and its unit."""


def transfer(truth: Truth, points0: np.ndarray) -> np.ndarray:
    """Where points (N, 2) px of picture 0 truly lie in picture 1: (N, 2) float64 px.

    NaN where unknown: no depth there or a depth edge, hidden in picture 1, or behind its camera.
    A place outside picture 1 is known, and returned. A homography that mirrors the picture
    would show the plane's back everywhere: all NaN.
    """
    points0 = np.asarray(points0, np.float64).reshape(-1, 2)
    if truth.homography is not None:
        xyw = _homogeneous(points0) @ truth.homography.T
        # The map's Jacobian is det(H) / w³: where it is negative the plane shows its back, that
        # is, the point lies behind camera 1.
        front = xyw[:, 2] * np.sign(np.linalg.det(truth.homography)) > 0
        return _divide(xyw, front)
    if truth.depth0_m is None:
        return np.full((len(points0), 2), np.nan)
    assert truth.K0 is not None and truth.K1 is not None
    assert truth.R is not None and truth.t is not None
    z0 = _depth_at(truth.depth0_m, points0)
    X0 = _homogeneous(points0) @ np.linalg.inv(truth.K0).T * z0[:, None]
    X1 = X0 @ truth.R.T + truth.t
    z1 = X1[:, 2]
    points1 = _divide(X1 @ truth.K1.T, z1 > 0)
    if truth.depth1_m is not None:
        points1[_hidden(truth.depth1_m, points1, z1)] = np.nan
    return points1


def error_px(truth: Truth, points0: np.ndarray, points1: np.ndarray) -> np.ndarray:
    """How far matches lie from the truth, (N,) float64 px in picture 1; NaN unknown.

    Where only the cameras are known, the distance to the true epipolar line: a wrong match
    along the line goes unseen.
    """
    points0 = np.asarray(points0, np.float64).reshape(-1, 2)
    points1 = np.asarray(points1, np.float64).reshape(-1, 2)
    if truth.only_lines:
        lines = _homogeneous(points0) @ fundamental(truth).T
        with np.errstate(divide="ignore", invalid="ignore"):
            across = np.abs((lines * _homogeneous(points1)).sum(axis=1))
            return across / np.linalg.norm(lines[:, :2], axis=1)
    return np.linalg.norm(transfer(truth, points0) - points1, axis=1)


def right(
    truth: Truth, points0: np.ndarray, points1: np.ndarray, threshold_px: float = 3.0
) -> np.ndarray:
    """(N,) int8: RIGHT = 1 within the threshold, WRONG = 0, UNKNOWN = -1.

    Where only the cameras are known, right means near the true epipolar line.
    """
    error = error_px(truth, points0, points1)
    answer = np.where(error <= threshold_px, RIGHT, WRONG)
    return np.where(np.isnan(error), UNKNOWN, answer).astype(np.int8)


def fundamental(truth: Truth) -> np.ndarray:
    """F (3, 3) with x1ᵀ F x0 = 0, from known cameras: K1⁻ᵀ [t]× R K0⁻¹ (H&Z eq. 9.2)."""
    if truth.K0 is None or truth.K1 is None or truth.R is None or truth.t is None:
        raise InputError("This truth is a homography; epipolar lines need K0, K1, R and t.")
    x, y, z = truth.t
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.linalg.inv(truth.K1).T @ cross @ truth.R @ np.linalg.inv(truth.K0)


def score(result: MatchResult, truth: Truth) -> dict[str, float]:
    """Every score of SCORE_HELP for one result. NaN where the truth can't tell.

    No matches at all count as precision and MMA 0; an estimate that failed as an infinite error.
    """
    c, kept = result.candidates.pairs, result.kept
    error = error_px(truth, result.keypoints0[c[:, 0]], result.keypoints1[c[:, 1]])
    known, good = ~np.isnan(error), error <= 3
    found = {
        "keypoints0": float(len(result.keypoints0)),
        "keypoints1": float(len(result.keypoints1)),
        "matches": float(kept.sum()),
        "inlier_ratio": float(result.inliers.mean()) if kept.any() else 0.0,
        "recall": _share((good & kept).sum(), good.sum()),
    }
    if result.geometry.geometry == "none":
        found["inlier_ratio"] = np.nan
    for name, px in (("precision", 3), ("mma_1", 1), ("mma_3", 3), ("mma_5", 5)):
        share = _share(((error <= px) & kept).sum(), (known & kept).sum())
        found[name] = share if kept.any() else 0.0

    seen, again = _found_again(result, truth)
    found["repeatability"] = _share(again, seen)
    found["matching_score"] = _share((good & kept).sum(), seen)
    found |= _homography_scores(result, truth) | _pose_scores(result, truth)
    return {name: float(found[name]) for name in SCORE_HELP}


def _found_again(result: MatchResult, truth: Truth) -> tuple[int, int]:
    """How many keypoints 0 both views see, and how many of those have a keypoint 1 within 3 px."""
    from scipy.spatial import KDTree

    places = transfer(truth, result.keypoints0)
    places = places[_inside(places, result.size1)]
    if not len(places) or not len(result.keypoints1):
        return len(places), 0
    distance, _ = KDTree(result.keypoints1).query(places)
    return len(places), int((distance <= 3).sum())


def _homography_scores(result: MatchResult, truth: Truth) -> dict[str, float]:
    names = ("corner_error_px", "auc_1", "auc_3", "auc_5", "auc_10")
    if truth.homography is None or result.geometry.geometry not in ("homography", "affine"):
        return dict.fromkeys(names, np.nan)
    from core.metrics import auc, corner_error_px

    error = corner_error_px(result.model, truth.homography, result.size0)
    return dict(zip(names, (error, *auc([error], (1, 3, 5, 10))), strict=True))


def _pose_scores(result: MatchResult, truth: Truth) -> dict[str, float]:
    names = ("rotation_error_deg", "translation_error_deg")
    if truth.R is None or truth.t is None or result.geometry.geometry != "essential":
        return dict.fromkeys(names, np.nan)
    if result.R is None or result.t is None:
        return dict.fromkeys(names, np.inf)

    return dict(zip(names, pose_error_deg(result.R, result.t, truth.R, truth.t), strict=True))


def load_truth(text: str | bytes, *, first_pixel: float = 0.0) -> Truth:
    """The truth that a text file holds. Raises InputError for anything else.

    Either nine numbers, a homography row by row (graf's and HPatches' `H1to2p` files), or K0, K1,
    R and t, row by row: 30 numbers in that order, or each after its name (`K0: 600 0 320 …`).
    Spaces, commas, brackets and new lines separate; `#` starts a comment.

    first_pixel is where the file has the centre of the first pixel: 0 as OpenCV and such files
    do, or 0.5 for matrices that Sightline printed. What is returned always has 0.5.
    """
    how = "Give nine numbers of a homography, or the 30 numbers of K0, K1, R and t."
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise InputError(f"The truth file is not plain text. {how}") from None
    text = text.removeprefix("\ufeff")  # what some editors put before the first letter
    if any(ord(c) < 32 and c not in "\t\r\n\f" for c in text):
        raise InputError(f"The truth file is not plain text. {how}")
    text = re.sub(r"#.*", "", text)
    text = re.sub(r"[,;\[\]()]", " ", text)
    named = re.split(r"\b(K0|K1|R|t|H)\s*[:=]", text)
    if len(named) > 1 and not named[0].strip():
        found = zip(named[1::2], named[2::2], strict=True)
        parts = {name: _numbers(values, how) for name, values in found}
    else:
        numbers = _numbers(text, how)
        if len(numbers) == 0:
            raise InputError(f"The truth file holds no numbers. {how}")
        if len(numbers) not in (9, 30):
            raise InputError(f"The truth file holds {len(numbers)} numbers. {how}")
        names = ("H",) if len(numbers) == 9 else ("K0", "K1", "R", "t")
        parts = dict(zip(names, np.split(numbers, [9, 18, 27]), strict=False))
    for name, values in parts.items():
        if len(values) != (3 if name == "t" else 9):
            raise InputError(f"{name} in the truth file has {len(values)} numbers. {how}")
    if set(parts) not in ({"H"}, {"K0", "K1", "R", "t"}):
        raise InputError(f"The truth file names only {', '.join(sorted(parts))}. {how}")
    shift = np.array([[1, 0, 0.5 - first_pixel], [0, 1, 0.5 - first_pixel], [0, 0, 1]])
    if "H" in parts:
        H = _scaled(shift @ parts["H"].reshape(3, 3) @ np.linalg.inv(shift))
        _check_side(H)
        return Truth(homography=H)
    K0, K1, R = (parts[name].reshape(3, 3) for name in ("K0", "K1", "R"))
    _check_cameras(K0, K1, R, parts["t"])
    return Truth(K0=shift @ K0, K1=shift @ K1, R=R, t=parts["t"])


def _check_cameras(K0: np.ndarray, K1: np.ndarray, R: np.ndarray, t: np.ndarray) -> None:
    for name, K in (("K0", K0), ("K1", K1)):
        if K[0, 0] <= 0 or K[1, 1] <= 0 or not np.allclose(K[[1, 2, 2, 2], [0, 0, 1, 2]],
                                                           (0, 0, 0, 1)):  # fmt: skip
            raise InputError(f"{name} in the truth file is no camera matrix. Its rows are "
                             "fx s cx, then 0 fy cy, then 0 0 1.")  # fmt: skip
    if not np.allclose(R @ R.T, np.eye(3), atol=1e-3) or np.linalg.det(R) < 0:
        raise InputError("R in the truth file is no rotation: its rows must be at right angles, "
                         "of length 1. Check the order K0, K1, R, t.")  # fmt: skip
    if np.linalg.norm(t) < 1e-12:
        raise InputError("t in the truth file is zero, so there are no epipolar lines. "
                         "Give the homography of the rotation instead.")  # fmt: skip


def _scaled(H: np.ndarray) -> np.ndarray:
    """The same homography with determinant ±1; InputError if it is singular at any scale."""
    H = H / (np.abs(H).max() or 1.0)
    if np.linalg.cond(H) > 1e15 or not H.any():
        raise InputError("The homography in the truth file can't be inverted. "
                         "Check its nine numbers.")  # fmt: skip
    return H / np.cbrt(abs(np.linalg.det(H)))


def _check_side(H: np.ndarray) -> None:
    """InputError if the plane shows its back wherever x and y are above 0 (see `transfer`)."""
    if (H[2] * np.sign(np.linalg.det(H)) <= 0).all():
        raise InputError("The homography in the truth file mirrors the picture, which no second "
                         "view of it does. Check its nine numbers and their order.")  # fmt: skip


def _numbers(text: str, how: str) -> np.ndarray:
    found = []
    for word in text.split():
        try:
            found.append(float(word))
        except ValueError:
            raise InputError(f"{word[:20]!r} in the truth file is no number. {how}") from None
        if not np.isfinite(found[-1]):
            raise InputError(f"{word[:20]!r} in the truth file is not finite. {how}")
    return np.array(found)


def project(H: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Points (N, 2) through a homography (3, 3): (N, 2) float64."""
    xyw = _homogeneous(np.asarray(xy, np.float64)) @ H.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return xyw[:, :2] / xyw[:, 2:]


def _homogeneous(xy: np.ndarray) -> np.ndarray:
    return np.column_stack([xy, np.ones(len(xy))])


def _divide(xyw: np.ndarray, front: np.ndarray) -> np.ndarray:
    """(N, 3) → (N, 2) by the third; NaN where not in front."""
    xy = np.full((len(xyw), 2), np.nan)
    xy[front] = xyw[front, :2] / xyw[front, 2:]
    return xy


def _inside(xy: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """(N,) bool: in a picture of (width, height); NaN is not."""
    with np.errstate(invalid="ignore"):
        return np.all((xy >= 0) & (xy <= np.asarray(size)), axis=1)


def _neighbours(map_m: np.ndarray, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 2×2 pixels about each point: their values (N, 4) and bilinear weights (N, 4).

    Clamped at the border; NaN for points outside the picture.
    """
    height, width = map_m.shape
    inside = _inside(xy, (width, height))
    at = np.clip(np.where(inside[:, None], xy, 0) - 0.5, 0, (width - 1, height - 1))
    low = np.floor(at).astype(int)
    fx, fy = (at - low).T
    x0, y0 = low.T
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    values = np.stack([map_m[y0, x0], map_m[y0, x1], map_m[y1, x0], map_m[y1, x1]], axis=1)
    weights = np.stack([(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy], axis=1)
    return np.where(inside[:, None], values.astype(np.float64), np.nan), weights


def _depth_at(depth_m: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Depth (N,) at points between pixels; NaN at depth edges and outside.

    1/z, not z, is linear over the picture of a plane, so that is what is interpolated.
    """
    depth, weights = _neighbours(depth_m, xy)
    with np.errstate(divide="ignore", invalid="ignore"):
        edge = depth.max(axis=1) > (1 + SAME_SURFACE) * depth.min(axis=1)
        return np.where(edge, np.nan, 1 / (weights / depth).sum(axis=1))


def _hidden(depth1_m: np.ndarray, xy: np.ndarray, z: np.ndarray) -> np.ndarray:
    """(N,) bool: picture 1 shows another surface there, none of its 2×2 pixels lies at z."""
    depth, _ = _neighbours(depth1_m, xy)
    with np.errstate(invalid="ignore"):
        fits = (np.abs(depth - z[:, None]) <= SAME_SURFACE * z[:, None]).any(axis=1)
    return _inside(xy, depth1_m.shape[::-1]) & ~fits


def _share(part: int, whole: int) -> float:
    return float(part) / float(whole) if whole else np.nan
