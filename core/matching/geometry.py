"""Which matches agree with one relation between the two views.

Two pictures of a plane, or from one standpoint, are related by a homography x1 ~ H x0. Two of any
rigid scene by a fundamental matrix, x1ᵀ F x0 = 0: it doesn't say where a point lies, only on which
line. With known cameras F becomes the essential matrix E = [t]× R, which holds the motion itself
(Hartley and Zisserman, Multiple View Geometry, 2nd ed., chapters 4, 9 and 11).

Among wrong matches the relation is found by trying: draw a minimal sample, fit it, count who
agrees, keep the best (RANSAC, Fischler and Bolles, 1981). MAGSAC++ (Barath et al., CVPR 2020) needs
no sharp threshold; LMedS minimises the median error and breaks when over half are wrong.

An inlier here is always a match within `threshold_px` of the final model, whoever found it. It
agrees with the others; whether it is *right* only a known truth can say.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np

from core.matching.errors import cameras, candidate_errors_px, transfer_error_px
from core.matching.truth import project
from core.matching.types import GEOMETRIES, GeometrySettings, MatchResult

MINIMUM = {"homography": 4, "fundamental": 8, "essential": 6, "affine": 3}
LINE_PX = 1.0  # points whose RMS distance from a line is below this lie on it
FEW = 10  # fewer inliers than this may agree by chance


def estimate(
    result: MatchResult,
    settings: GeometrySettings = GeometrySettings(),
    *,
    K0: np.ndarray | None = None,
    K1: np.ndarray | None = None,
) -> MatchResult:
    """The same matches, verified again: new model, inliers, pose and notes; nothing is re-matched.

    K0 and K1 (3, 3) in px serve the essential matrix. They stay with the result; where they are
    not known, both cameras have `focal_px` and their centre in the picture's middle. The order of the matches is shuffled by the result's
    seed, since OpenCV's estimators always draw the same random numbers.
    With geometry 'none' nothing is tested: no model, every match counts as an inlier, and a note
    says so. If nothing can be estimated, the model is None, no match is an inlier, and a note says
    why. Raises InputError if the essential matrix is asked for and no focal length is known.
    """
    if K0 is not None and K1 is not None:
        result = dataclasses.replace(result, K0=np.asarray(K0, float), K1=np.asarray(K1, float))
    result = dataclasses.replace(result, geometry=settings)
    K0, K1 = cameras(result)
    start = time.perf_counter()
    fresh: dict[str, Any] = {"model": None, "R": None, "t": None}
    kinds = [s for s in result.recipe.settings if not isinstance(s, GeometrySettings)]
    fresh["recipe"] = dataclasses.replace(result.recipe, settings=(*kinds, settings))
    notes = [n for n in result.notes if not n.startswith("Verification: ")]
    count = int(result.kept.sum())
    inliers = np.zeros(count, bool)

    if settings.geometry == "none":
        inliers[:] = True
        notes.append("Verification: none was asked for, so every match counts as an inlier.")
    else:
        points0, points1 = result.points0.astype(np.float64), result.points1.astype(np.float64)
        model, why = _fit(points0, points1, settings, K0, K1, result.settings.seed)
        if model is not None:
            fresh["model"] = model
            errors = candidate_errors_px(dataclasses.replace(result, model=model))[result.kept]
            inliers = errors <= settings.threshold_px
            why = _doubt(model, points0[inliers], points1[inliers], settings.geometry)
        if model is None or why:
            fresh["model"], inliers[:] = None, False
            notes.append(f"Verification: {why}")
        else:
            notes += _cautions(points0[inliers], points1[inliers], count, settings)
            if settings.geometry == "essential":
                fresh["R"], fresh["t"] = _pose(model, points0[inliers], points1[inliers], K0, K1)

    seconds = {**result.seconds, "verify": time.perf_counter() - start}
    return dataclasses.replace(
        result, **fresh, inliers=inliers, notes=tuple(notes), seconds=seconds
    )


# ---------------------------------------------------------------- estimation


def _fit(
    points0: np.ndarray,
    points1: np.ndarray,
    settings: GeometrySettings,
    K0: np.ndarray,
    K1: np.ndarray,
    seed: int,
) -> tuple[np.ndarray | None, str]:
    """The 3×3 model, or None and a sentence why there is none."""
    import cv2

    kind, least = settings.geometry, MINIMUM[settings.geometry]
    title = GEOMETRIES[kind].lower()
    if len(points0) < least:
        return None, (
            f"{_matches(len(points0))} left, and the {title} needs at least {least}. Raise the "
            "ratio, turn off the cross-check, ask for more keypoints, or try another method."
        )
    if _on_a_line(points0) or _on_a_line(points1):
        return None, (
            f"all matches lie on one line, which leaves the {title} open. Choose pictures with "
            "texture all over, or ask for more keypoints."
        )
    order = np.random.default_rng(seed).permutation(len(points0))
    a, b = points0[order], points1[order]
    usac = cv2.UsacParams()
    usac.threshold, usac.confidence = settings.threshold_px, settings.confidence
    usac.maxIterations, usac.randomGeneratorState = settings.max_iterations, seed
    usac.score, usac.loMethod = cv2.SCORE_METHOD_MAGSAC, cv2.LOCAL_OPTIM_SIGMA
    usac.final_polisher, usac.final_polisher_iterations = cv2.MAGSAC, 5
    usac.loIterations, usac.loSampleSize = 10, 50
    try:
        model = _solve(a, b, settings, usac, K0, K1)
    except cv2.error:
        model = None  # OpenCV asserts on some degenerate samples instead of returning nothing
    if model is None or not np.isfinite(model).all() or not np.any(model):
        return None, (
            f"no {title} fits these matches. Raise the threshold, raise the iterations, or choose "
            "another geometry: a homography wants a plane or a camera that only turns."
        )
    if kind == "homography":
        model = _polished(model, points0, points1, settings.threshold_px)
    return model, ""


def _solve(
    a: np.ndarray,
    b: np.ndarray,
    settings: GeometrySettings,
    usac: Any,
    K0: np.ndarray,
    K1: np.ndarray,
) -> np.ndarray | None:
    """One call into OpenCV. LMedS and RANSAC take their plain arguments, MAGSAC++ `usac`."""
    import cv2

    magsac, threshold = settings.estimator == "magsac", settings.threshold_px
    confidence, rounds = settings.confidence, settings.max_iterations
    lmeds = settings.estimator == "lmeds"
    if settings.geometry == "homography":
        if magsac:
            return cv2.findHomography(a, b, usac)[0]  # type: ignore[call-overload]
        method = cv2.LMEDS if lmeds else cv2.RANSAC
        return cv2.findHomography(a, b, method, threshold, maxIters=rounds, confidence=confidence)[
            0
        ]
    if settings.geometry == "affine":
        if magsac:
            top = cv2.estimateAffine2D(a, b, usac)[0]  # type: ignore[call-overload]
        else:
            method = cv2.LMEDS if lmeds else cv2.RANSAC
            top = cv2.estimateAffine2D(
                a, b, method=method, ransacReprojThreshold=threshold, maxIters=rounds,
                confidence=confidence,
            )[0]  # fmt: skip
        return None if top is None else np.vstack([top, [0.0, 0.0, 1.0]])
    if settings.geometry == "fundamental":
        if magsac:
            found = cv2.findFundamentalMat(a, b, usac)[0]  # type: ignore[call-overload]
        else:
            method = cv2.FM_LMEDS if lmeds else cv2.FM_RANSAC
            found = cv2.findFundamentalMat(a, b, method, threshold, confidence, rounds)[0]
    elif magsac:
        none = np.zeros(4)
        found = cv2.findEssentialMat(a, b, K0, K1, none, none, usac)[0]  # type: ignore[call-overload]
    else:
        focal = (K0[0, 0] + K0[1, 1] + K1[0, 0] + K1[1, 1]) / 4
        method = cv2.LMEDS if lmeds else cv2.RANSAC
        found = cv2.findEssentialMat(
            _normalised(a, K0), _normalised(b, K1), np.eye(3), method, confidence,
            threshold / focal, rounds,
        )[0]  # fmt: skip
    # Several solutions of one sample may come stacked; the first is as good as any.
    return None if found is None or found.shape[0] < 3 else found[:3]


def _polished(
    H: np.ndarray, points0: np.ndarray, points1: np.ndarray, threshold_px: float
) -> np.ndarray:
    """The homography refitted to all matches, each weighted by how well it fits already.

    Iteratively reweighted Gauss-Newton with Cauchy weights 1 / (1 + (e/c)²), for noise of
    σ = threshold / 3, the usual c = 2.385 σ, and nothing beyond three thresholds. Starts near the
    optimum end in the same place, so that the answer hangs little on which random sample won.
    """
    T0, T1 = _centring(points0), _centring(points1)
    a, b = project(T0, points0), project(T1, points1)
    G = T1 @ H @ np.linalg.inv(T0)
    if abs(G[2, 2]) < 1e-9:
        return H
    G, unit = G / G[2, 2], threshold_px * T1[0, 0]  # the threshold in centred coordinates
    x0 = np.column_stack([a, np.ones(len(a))])
    for _ in range(15):
        mapped = x0 @ G.T
        z = np.where(np.abs(mapped[:, 2:]) < 1e-9, 1e-9, mapped[:, 2:])
        u = mapped[:, :2] / z
        residual = b - u
        squared = (residual**2).sum(axis=1) / unit**2  # (e / threshold)²
        weight = np.where(squared < 9, 1 / (1 + squared / (2.385 / 3) ** 2), 0.0)
        if (weight > 0).sum() < 2 * MINIMUM["homography"]:
            return H
        # du/dG: row 0 of G moves u_x by x0/z, row 1 moves u_y, row 2 both by −u x0/z.
        J = np.zeros((len(a), 2, 8))
        J[:, 0, :3] = J[:, 1, 3:6] = x0 / z
        J[:, :, 6:] = -u[:, :, None] * (a / z)[:, None, :]
        weighted = J * weight[:, None, None]
        normal = np.einsum("nij,nik->jk", weighted, J)
        try:
            step = np.linalg.solve(normal, np.einsum("nij,ni->j", weighted, residual))
        except np.linalg.LinAlgError:
            return H
        G = G + np.append(step, 0).reshape(3, 3)
        if np.abs(step).max() < 1e-9:
            break
    polished = np.linalg.inv(T1) @ G @ T0
    before = (transfer_error_px(H, points0, points1) <= threshold_px).sum()
    after = (transfer_error_px(polished, points0, points1) <= threshold_px).sum()
    if not np.isfinite(polished).all() or after < 0.8 * before:
        return H  # it wandered off
    return polished / polished[2, 2]


def _pose(
    E: np.ndarray, points0: np.ndarray, points1: np.ndarray, K0: np.ndarray, K1: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """R and unit t of the four decompositions of E that put the points before both cameras."""
    import cv2

    _, R, t, _ = cv2.recoverPose(E, _normalised(points0, K0), _normalised(points1, K1), np.eye(3))
    return R, t.ravel()


# ---------------------------------------------------------------- what can go wrong


def _doubt(model: np.ndarray, inliers0: np.ndarray, inliers1: np.ndarray, kind: str) -> str:
    """A sentence if the model says nothing, although one was found; else ''."""
    title = GEOMETRIES[kind].lower()
    if len(inliers0) < MINIMUM[kind]:
        return (
            f"too few matches ({len(inliers0)}) agree with the best {title} found. Raise the "
            "threshold, choose another geometry, or, if the estimator is LMedS, which fails when "
            "over half of the matches are wrong, choose MAGSAC++."
        )
    if _on_a_line(inliers0) or _on_a_line(inliers1):
        return (
            f"the matches that agree lie on one line, which leaves the {title} open. "
            "Ask for more keypoints, or choose pictures with texture all over."
        )
    if kind in ("homography", "affine"):
        depth = np.column_stack([inliers0, np.ones(len(inliers0))]) @ model[2]
        if depth.min() * depth.max() <= 0 or abs(np.linalg.det(model)) < 1e-12:
            return (
                f"the {title} found folds the picture onto itself, so it is no view of a plane. "
                "Lower the ratio, ask for more keypoints, or choose another geometry."
            )
    return ""


def _cautions(
    inliers0: np.ndarray, inliers1: np.ndarray, count: int, settings: GeometrySettings
) -> list[str]:
    """Sentences about a model that exists but deserves care."""
    notes = []
    if len(inliers0) < FEW and len(inliers0) < 0.5 * count:
        notes.append(
            f"Verification: only {len(inliers0)} of {count} matches agree; so few may agree by "
            "chance. Check the overlay, or ask for more keypoints."
        )
    if settings.geometry in ("fundamental", "essential"):
        plane = dataclasses.replace(settings, geometry="homography", estimator="magsac")
        K = np.eye(3)
        H, _ = _fit(inliers0, inliers1, plane, K, K, seed=0)
        flat = H is not None and np.mean(
            transfer_error_px(H, inliers0, inliers1) <= settings.threshold_px
        )
        if flat and flat > 0.95:
            notes.append(
                "Verification: nearly all inliers also fit one homography: the scene is flat or the "
                "camera only turned, so the epipolar geometry is uncertain. Try Homography."
            )
    return notes


def _on_a_line(points: np.ndarray) -> bool:
    """Whether the points' RMS distance from their best line is under LINE_PX."""
    centred = points - points.mean(axis=0)
    across = np.linalg.eigvalsh(centred.T @ centred / len(points))[0]
    return bool(across < LINE_PX**2)


def _matches(count: int) -> str:
    return f"{count} match" if count == 1 else f"{count} matches"


# ---------------------------------------------------------------- small geometry


def _normalised(points: np.ndarray, K: np.ndarray) -> np.ndarray:
    """(K, 2) pixels as directions x/z, y/z."""
    return project(np.linalg.inv(K), points)


def _centring(points: np.ndarray) -> np.ndarray:
    """(3, 3): takes the points to mean 0 and RMS distance √2 (Hartley's normalisation)."""
    middle = points.mean(axis=0)
    scale = np.sqrt(2 / ((points - middle) ** 2).sum(axis=1).mean())
    return np.array([[scale, 0, -scale * middle[0]], [0, scale, -scale * middle[1]], [0, 0, 1]])
