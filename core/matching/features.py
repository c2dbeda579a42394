"""Where to look and what it looks like there: keypoints and their descriptors.

A keypoint is a place that can be found again in another picture. SIFT (Lowe, IJCV 2004) takes the
extrema of a difference-of-Gaussians scale space, turns each to its main gradient direction and
describes it by 4×4 cells of 8-bin gradient histograms. RootSIFT (Arandjelović and Zisserman, CVPR
2012) takes the square root of the L1-normalised histogram, so that the plain Euclidean distance
becomes the Hellinger distance and single large bins stop ruling it. ORB (Rublee et al., ICCV 2011)
finds FAST corners and compares 256 pairs of pixels: 32 bytes, compared by counting bits.

Affine SIFT (Morel and Yu, SIIMS 2009) adds what SIFT can't bear, a strong tilt: it squeezes the
picture as if it were seen from the side, in many directions, and collects SIFT from every view.

A detector that works on a resized picture must say where its coordinates lie in the full one.
Pixel centres are at half numbers, so they come back by scaling alone.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np

from core.images import fit
from core.matching.types import Features, MatchSettings
from core.types import InputError, Progress, silent

MIN_SIDE_PX = 8  # nothing smaller holds a keypoint, and detectors fail in odd ways
ORB_SCALE = 1.2
TILTS = (2**0.5, 2.0, 8**0.5, 4.0)  # up to 75° from the front; each octave costs two seconds more
AFFINE_FACTOR = 4  # one point is found in several views: more are kept so that as many places are


def detect(
    image: np.ndarray,
    settings: MatchSettings,
    progress: Progress = silent,
    *,
    name: str = "The picture",
    seconds: dict[str, float] | None = None,
) -> Features:
    """Keypoints and descriptors of a picture, RGB uint8 (H, W, 3), the strongest first.

    SIFT's descriptors are float32 (N, 128), ORB's uint8 (N, 32). At most `max_keypoints` remain,
    four times as many for affine-sift. `seconds`, if given, is added to: 'detect' and 'describe'
    for ORB. SIFT shares its scale space between the two steps, and running them apart would
    build it twice, so its time stands as one under 'detect+describe'.
    Raises InputError for a picture that is too small or has no keypoints.
    """
    import cv2

    small, factors = fit(image, settings.max_side_px)
    if min(small.shape[:2]) < MIN_SIDE_PX:
        height, width = image.shape[:2]
        raise InputError(
            f"{name} is too small or too narrow for keypoints ({width}×{height} px). "
            f"Choose one of at least {MIN_SIDE_PX * 8} px on each side."
        )
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    seconds = {} if seconds is None else seconds
    if settings.method.startswith("orb"):
        found = _orb(grey, settings, seconds)
    else:
        start = time.perf_counter()
        if settings.method == "affine-sift":
            found = _affine_sift(grey, settings, progress)
        else:
            found = _sift(grey, settings.max_keypoints)
            if settings.root_sift:
                found = dataclasses.replace(found, descriptors=root_sift(found.descriptors))
        _add(seconds, "detect+describe", start)
    if not len(found):
        raise InputError(
            f"{name} has no keypoints: it is almost uniform, or too small. Choose a picture with "
            "texture, or raise the working size" + _other_method(settings.method) + "."
        )
    return Features(
        xy=(found.xy / factors).astype(np.float32),
        size_px=(found.size_px / factors.mean()).astype(np.float32),
        angle_deg=found.angle_deg,
        response=found.response,
        descriptors=found.descriptors,
    )


def root_sift(descriptors: np.ndarray | None) -> np.ndarray | None:
    """Square roots of the L1-normalised rows, (N, 128) float32; every row then has length 1."""
    if descriptors is None:
        return None
    total = descriptors.sum(axis=1, keepdims=True)
    return np.sqrt(descriptors / np.maximum(total, 1e-12)).astype(np.float32)


def _sift(grey: np.ndarray, count: int) -> Features:
    """SIFT in a grey picture. The precise upscale keeps the doubled first octave from shifting
    every fine keypoint by a quarter of a pixel."""
    import cv2

    sift = cv2.SIFT_create(nfeatures=count, enable_precise_upscale=True)  # type: ignore[call-overload]
    keypoints, descriptors = sift.detectAndCompute(grey, None)
    if descriptors is None:
        return _nothing(128, np.float32)
    return _strongest(_features(keypoints, descriptors), count)


def _orb(grey: np.ndarray, settings: MatchSettings, seconds: dict[str, float]) -> Features:
    """ORB, its two steps timed apart.

    OpenCV scales a pyramid level's whole-number positions by 1.2 per level. That forgets that a
    pixel's centre is half a pixel inside, and that a level's size is rounded, so that its true
    factor isn't a power of 1.2. Both together shift coarse points by up to a pixel: undone here.
    """
    import cv2

    orb = cv2.ORB_create(nfeatures=settings.max_keypoints, scaleFactor=ORB_SCALE)  # type: ignore[attr-defined]
    start = time.perf_counter()
    keypoints = orb.detect(grey, None)
    _add(seconds, "detect", start)
    start = time.perf_counter()
    keypoints, descriptors = orb.compute(grey, keypoints)
    _add(seconds, "describe", start)
    if descriptors is None:
        return _nothing(32, np.uint8)
    found = _features(keypoints, descriptors)
    scale = ORB_SCALE ** np.array([[k.octave] for k in keypoints])
    full = np.array(grey.shape[::-1])
    xy = ((found.xy - 0.5) / scale + 0.5) * (full / np.rint(full / scale))
    found = dataclasses.replace(found, xy=xy.astype(np.float32))
    return _strongest(found, settings.max_keypoints)


def _affine_sift(grey: np.ndarray, settings: MatchSettings, progress: Progress) -> Features:
    """SIFT over simulated views: each tilt t with rotations every 72°/t (Morel and Yu, table 1)."""
    views = [(1.0, 0.0)]
    for tilt in TILTS:
        views += [(tilt, angle) for angle in np.arange(0, 180, 72 / tilt)]
    parts = []
    for step, (tilt, angle) in enumerate(views):
        progress(step / len(views), desc=f"view {step + 1} of {len(views)}")
        part = _seen_from(grey, tilt, angle, settings.max_keypoints)
        if settings.root_sift:
            part = dataclasses.replace(part, descriptors=root_sift(part.descriptors))
        parts.append(part)
    return _strongest(_joined(parts), AFFINE_FACTOR * settings.max_keypoints)


def _seen_from(grey: np.ndarray, tilt: float, angle_deg: float, count: int) -> Features:
    """SIFT in the picture turned by `angle_deg` and squeezed by `tilt` along x, in the
    coordinates of `grey`."""
    import cv2

    if tilt == 1:
        return _sift(grey, count)
    height, width = grey.shape
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    turn = np.array([[c, -s], [s, c]])
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]]) @ turn.T
    offset = -corners.min(axis=0)
    size = np.ceil(corners.max(axis=0) + offset).astype(int)
    # cv2 counts pixel centres from 0: shift to half numbers, map, shift back.
    to_cv = turn @ [0.5, 0.5] + offset - 0.5
    to_turned, canvas = np.column_stack([turn, to_cv]), (int(size[0]), int(size[1]))
    turned = cv2.warpAffine(grey, to_turned, canvas, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(np.full_like(grey, 255), to_turned, canvas)
    # Blur before sampling more coarsely: 0.8 √(t² − 1), the paper's anti-aliasing filter.
    turned = cv2.GaussianBlur(turned, (0, 0), sigmaX=0.8 * np.sqrt(tilt**2 - 1), sigmaY=0.01)
    narrow = max(1, round(size[0] / tilt))
    factor = narrow / size[0]
    squeezed = cv2.resize(turned, (narrow, int(size[1])), interpolation=cv2.INTER_LINEAR)
    inside = cv2.resize(inside, (narrow, int(size[1])), interpolation=cv2.INTER_NEAREST)
    if min(squeezed.shape) < MIN_SIDE_PX:
        return _nothing(128, np.float32)
    # The turned picture's own edges are no texture: keep away from them.
    inside = cv2.erode(inside, np.ones((7, 7), np.uint8), borderValue=0)
    sift = cv2.SIFT_create(nfeatures=count, enable_precise_upscale=True)  # type: ignore[call-overload]
    keypoints, descriptors = sift.detectAndCompute(squeezed, inside)
    if descriptors is None:
        return _nothing(128, np.float32)
    found = _features(keypoints, descriptors)
    back = turn.T @ np.diag([1 / factor, 1])  # squeezed → turned → grey
    xy = found.xy @ back.T - offset @ turn
    radians = np.radians(found.angle_deg)
    direction = np.column_stack([np.cos(radians), np.sin(radians)]) @ back.T
    angle = np.degrees(np.arctan2(direction[:, 1], direction[:, 0])) % 360
    return Features(
        xy.astype(np.float32),
        (found.size_px / np.sqrt(factor)).astype(np.float32),
        angle.astype(np.float32),
        found.response,
        descriptors,
    )


def _features(keypoints: Any, descriptors: np.ndarray) -> Features:
    """From cv2's keypoints, whose first pixel's centre is (0, 0)."""
    rows = [(k.pt[0], k.pt[1], k.size, k.angle, k.response) for k in keypoints]
    table = np.array(rows, np.float32).reshape(-1, 5)
    return Features(table[:, :2] + 0.5, table[:, 2], table[:, 3], table[:, 4], descriptors)


def _strongest(found: Features, count: int) -> Features:
    order = np.argsort(-found.response, kind="stable")[:count]
    assert found.descriptors is not None
    return Features(
        found.xy[order],
        found.size_px[order],
        found.angle_deg[order],
        found.response[order],
        found.descriptors[order],
    )


def _joined(parts: list[Features]) -> Features:
    return Features(
        np.concatenate([p.xy for p in parts]),
        np.concatenate([p.size_px for p in parts]),
        np.concatenate([p.angle_deg for p in parts]),
        np.concatenate([p.response for p in parts]),
        np.concatenate([p.descriptors for p in parts if p.descriptors is not None]),
    )


def _other_method(method: str) -> str:
    return "" if "sift" in method else ", or try SIFT, which finds fainter points"


def _nothing(width: int, dtype: Any) -> Features:
    empty = np.zeros(0, np.float32)
    return Features(np.zeros((0, 2), np.float32), empty, empty, empty, np.zeros((0, width), dtype))


def _add(seconds: dict[str, float], key: str, start: float) -> None:
    seconds[key] = seconds.get(key, 0.0) + time.perf_counter() - start
