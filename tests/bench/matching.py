"""How good and how fast matching is, against a plain pipeline on the same pairs in the same run.

    python -m tests.bench.matching

Plain means SIFT 2048 → RootSIFT → brute force with ratio 0.8 → MAGSAC++ at 3 px, in a dozen lines
of OpenCV, which is what most people write. AUC is that of the mean corner error, the mean over
ten orders of the matches, since the estimators of both are random. Times are taken in turns.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np

from core.images import load
from core.matching import GeometrySettings, MatchSettings, estimate, match
from core.metrics import auc, corner_error_px
from tests.test_matching import SHIFT, texture, warped

GRAF = Path(__file__).parents[3] / "shared/data/matching/graf"
THRESHOLDS = (3, 5, 10)
ORDERS = 10

Pairs = list[tuple[np.ndarray, np.ndarray, np.ndarray]]  # image0, image1, H in our convention


def plain_matches(image0: np.ndarray, image1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matched points of the plain pipeline, in OpenCV's convention."""
    import cv2

    sift = cv2.SIFT_create(2048)  # type: ignore[call-overload]
    points, descriptors = [], []
    for image in (image0, image1):
        keypoints, found = sift.detectAndCompute(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), None)
        points.append(cv2.KeyPoint.convert(keypoints))
        descriptors.append(np.sqrt(found / np.maximum(found.sum(axis=1, keepdims=True), 1e-12)))
    pairs = cv2.BFMatcher().knnMatch(descriptors[0], descriptors[1], 2)
    good = [a for a, b in pairs if a.distance < 0.8 * b.distance]
    return points[0][[m.queryIdx for m in good]], points[1][[m.trainIdx for m in good]]


def plain_model(points0: np.ndarray, points1: np.ndarray) -> np.ndarray | None:
    import cv2

    if len(points0) < 4:
        return None
    H, _ = cv2.findHomography(points0, points1, cv2.USAC_MAGSAC, 3.0)
    return None if H is None else SHIFT @ H @ np.linalg.inv(SHIFT)


def compare(name: str, pairs: Pairs, repeats: int = 3) -> None:
    ours, theirs, ratios, seconds = [], [], [], []
    for image0, image1, H in pairs:
        size = image0.shape[1], image0.shape[0]
        for _ in range(repeats):
            start = time.perf_counter()
            points0, points1 = plain_matches(image0, image1)
            plain_model(points0, points1)
            between = time.perf_counter()
            result = match(image0, image1)
            end = time.perf_counter()
            ratios.append((end - between) / (between - start))
            seconds.append(end - between)
        for seed in range(ORDERS):
            order = np.random.default_rng(seed).permutation(len(points0))
            theirs.append(corner_error_px(plain_model(points0[order], points1[order]), H, size))
            seeded = dataclasses.replace(result, settings=MatchSettings(seed=seed))
            again = estimate(seeded, GeometrySettings())
            ours.append(corner_error_px(again.model, H, size))
    for who, errors in (("plain", theirs), ("match", ours)):
        areas = " / ".join(f"{100 * a:5.1f}" for a in auc(errors, THRESHOLDS))
        print(f"{name:10} {who:6} AUC@3/5/10 {areas}   median error {np.median(errors):6.2f} px")
    print(f"{name:10} {np.median(seconds):.2f} s a pair, {np.median(ratios):.2f} × plain's time")


def graf_pair(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    H = SHIFT @ np.loadtxt(GRAF / f"H1to{n}p") @ np.linalg.inv(SHIFT)
    return load(GRAF / "img1.png"), load(GRAF / f"img{n}.png"), H


def synthetic() -> dict[str, Pairs]:
    """Rotations, scales, viewpoints and noise of a procedural texture, 479×357 px."""
    image = texture(357, 479, seed=1)
    centre = np.array([[1, 0, 479 / 2], [0, 1, 357 / 2], [0, 0, 1]])

    def about_centre(A: np.ndarray) -> np.ndarray:
        return centre @ A @ np.linalg.inv(centre)

    def turn(degrees: float, scale: float = 1.0) -> np.ndarray:
        c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
        return about_centre(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]))

    def tilt(tilted: float, pull: float) -> np.ndarray:
        return about_centre(np.array([[1 / tilted, 0.1, 0], [0, 1, 0], [pull, 0, 1]]))

    sets = {
        "rotation": [turn(d) for d in (17, 45, 90, 151)],
        "scale": [turn(5, s) for s in (0.4, 0.6, 1.5, 2.2)],
        "viewpoint": [tilt(1.4, 2e-4), tilt(1.8, 4e-4), tilt(2.2, 5e-4), tilt(2.6, -7e-4)],
        "noise": [turn(10)] * 4,
    }
    made = {}
    for name, homographies in sets.items():
        made[name] = []
        for i, H in enumerate(homographies):
            other = warped(image, H)
            if name == "noise":
                noise = np.random.default_rng(i).normal(0, 10 + 15 * i, other.shape)
                other = np.clip(other + noise, 0, 255).astype(np.uint8)
            made[name].append((image, other, H))
    return made


def extreme_viewpoint() -> None:
    """graf 1 → 6: what simulated views are worth."""
    image0, image1, H = graf_pair(6)
    for method in ("sift", "affine-sift"):
        start = time.perf_counter()
        result = match(image0, image1, MatchSettings(method=method))
        seconds = time.perf_counter() - start
        error = corner_error_px(result.model, H, result.size0)
        print(
            f"graf 1→6   {method:12} {error:7.2f} px in {seconds:.1f} s, "
            f"{result.inliers.sum()} of {len(result.matches)} matches agree"
        )


if __name__ == "__main__":
    for set_name, set_pairs in synthetic().items():
        compare(set_name, set_pairs)
    if GRAF.is_dir():
        compare("graf", [graf_pair(n) for n in range(2, 7)])
        extreme_viewpoint()
    else:
        print("graf is left out: ../shared/data is not on this machine")
