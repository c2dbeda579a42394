"""A few hundred sure matches: enough to judge how two cameras stood, far too few for depth.

A dense method trusts that partners lie in one row and within a range of disparities. Keypoints
trust nothing of the kind: they are found and compared anywhere in the other picture, so they can
tell whether that trust is deserved. Contrast is raised locally first (CLAHE: Zuiderveld, Graphics
Gems IV, 1994), so that a dark picture or a pale corner has keypoints too. Smooth things have few
even so; there, corners are followed from one picture into the other by their gradients (Lucas and
Kanade, IJCAI 1981).

A wrong match goes its own way. One that no neighbour goes along with is dropped: a pattern that
repeats is what fools keypoints most, and it fools them differently everywhere.
"""

from __future__ import annotations

import numpy as np

from core.images import as_rgb, fit
from core.types import InputError

RATIO = 0.8
THRESHOLD_PX = 1.5  # from the epipolar line, at working size
LEAST_PX = 16  # on the shorter side; nothing smaller holds a handful of keypoints
CLIP, TILES = 4.0, 8  # contrast grows at most fourfold, told apart in each of 8×8 tiles
FLATTEST = 32.0  # grey levels: less contrast than this isn't stretched to the full range
PLENTY = 200  # with so many keypoints matched, no corners are followed
CORNERS, QUALITY, APART_PX = 600, 0.01, 6
BLUR_PX = 1.0  # or noise has corners too
WINDOW_PX, LEVELS = 21, 4
STARTS = 0.0, 0.05, -0.05, 0.1, -0.1  # picture widths moved: where following begins
BACK_PX = 0.2  # followed back again, a corner comes home this closely
UNLIKE = 10.0  # grey levels by which a corner and its partner may differ, on average
NEIGHBOURS, ALLIES = 8, 2  # so many of the nearest must move alike
ALIKE = 0.02, 0.15  # in picture widths, and per distance
PATCH_PX, NEAR_PX = 15, 6  # a patch, and how far from its partner another likeness counts
STILL_BLUR_PX = 2.5
ALIKE_SOFT = 0.8  # correlation of the blurred pictures from which a move can be told
PEER = 0.02  # of correlation; another place that is less alike by less than this is a peer


def sparse_matches(
    left: np.ndarray, right: np.ndarray, *, most: int = 1500, max_side_px: int = 1000
) -> tuple[np.ndarray, np.ndarray]:
    """Points of the left picture and their partners in the right one, each (N, 2) float32 px of
    the full pictures, pixel centres at half numbers.

    Those of `all_matches` that agree with one fundamental matrix, which any rigid scene obeys,
    rectified or not; all of them if there are too few to fit one.
    """
    points_left, points_right = all_matches(left, right, most=most, max_side_px=max_side_px)
    unit_px = max(1.0, max(left.shape[:2]) / max_side_px)
    agree = two_views(points_left, points_right, unit_px)
    return points_left[agree], points_right[agree]


def all_matches(
    left: np.ndarray, right: np.ndarray, *, most: int = 1500, max_side_px: int = 1000
) -> tuple[np.ndarray, np.ndarray]:
    """Every match that some neighbours go along with, points as in `sparse_matches`.

    SIFT with ratio test and cross-check, the surest first, then corners where those are few.
    `most` bounds the keypoints of each picture and so their matches; pictures longer than
    max_side_px are searched at that size. Pictures without texture have no matches, which is no
    error.
    """
    left, right = as_rgb(left, "The left picture"), as_rgb(right, "The right picture")
    if min(*left.shape[:2], *right.shape[:2]) < LEAST_PX:
        return np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32)
    (small0, factors0), (small1, factors1) = (fit(p, max_side_px) for p in (left, right))
    grey0, grey1 = contrasted(small0), contrasted(small1)
    points0, points1 = _keypoints(grey0, grey1, most, max_side_px)
    if len(points0) < PLENTY and grey0.shape == grey1.shape:
        more0, more1 = _followed(grey0, grey1)
        points0, points1 = np.concatenate([points0, more0]), np.concatenate([points1, more1])
    sure = allied(points0, points1, grey0.shape[1])
    points0, points1 = points0[sure] / factors0, points1[sure] / factors1
    return points0.astype(np.float32), points1.astype(np.float32)


def two_views(points0: np.ndarray, points1: np.ndarray, unit_px: float = 1.0) -> np.ndarray:
    """(N,) bool: which matches agree with one fundamental matrix (MAGSAC++) within 1.5 unit_px;
    all if there are too few to fit one."""
    import cv2

    if len(points0) < 8:
        return np.ones(len(points0), bool)
    try:
        _, inliers = cv2.findFundamentalMat(
            points0.astype(np.float64), points1.astype(np.float64), cv2.USAC_MAGSAC,
            ransacReprojThreshold=THRESHOLD_PX * unit_px, confidence=0.9999, maxIters=10_000,
        )  # fmt: skip
    except cv2.error:  # points on a line, which OpenCV meets with a failed assertion
        inliers = None
    return np.ones(len(points0), bool) if inliers is None else inliers.ravel() > 0


def alone_in_row(
    left: np.ndarray, right: np.ndarray, points_left: np.ndarray, points_right: np.ndarray
) -> np.ndarray:
    """(N,) bool: matches whose patch is found nowhere else in the partner's row.

    A horizontal grain or a fence tells the row of a match but hardly its disparity. Patches are
    compared by their correlation coefficient at up to 1000 px; one that leaves the picture isn't
    alone.
    """
    import cv2

    (small0, factors0), (small1, factors1) = (fit(as_rgb(p), 1000) for p in (left, right))
    grey0, grey1 = contrasted(small0), contrasted(small1)
    half, (height, width) = PATCH_PX // 2, grey1.shape
    alone = np.zeros(len(points_left), bool)
    places = zip(
        np.floor(points_left * factors0).astype(int),
        np.floor(points_right * factors1).astype(int),
        strict=True,
    )
    for k, ((x0, y0), (x1, y1)) in enumerate(places):
        if min(x0, y0, x1, y1) < half or max(x0, x1) >= width - half:
            continue
        if max(y0, y1) >= height - half:
            continue
        patch = grey0[y0 - half : y0 + half + 1, x0 - half : x0 + half + 1]
        row = cv2.matchTemplate(
            grey1[y1 - half : y1 + half + 1], patch, cv2.TM_CCOEFF_NORMED
        )[0]  # fmt: skip
        here = np.abs(np.arange(len(row)) + half - x1)
        own = row[here <= 1].max()
        alone[k] = own - row[here > NEAR_PX].max(initial=-1.0) > PEER
    return alone


def stillness_px(left: np.ndarray, right: np.ndarray) -> float:
    """How far the pictures' content moved by the look of it: the RMS of their difference over that
    of the gradient, both blurred and without the share of noise. Right for moves below a pixel or
    two, and larger for others; differences of exposure don't count. NaN where the pictures are
    flat or not alike at all."""
    import cv2

    small = (fit(as_rgb(picture), 1000)[0] for picture in (left, right))
    greys = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) for picture in small]
    soft0, soft1 = (cv2.GaussianBlur(grey, (0, 0), STILL_BLUR_PX) for grey in greys)
    gradient = float((cv2.Sobel(soft0, cv2.CV_32F, 1, 0) ** 2).mean()) / 64
    product = float(((soft0 - soft0.mean()) * (soft1 - soft1.mean())).mean())
    if gradient < 1e-3 or not product > ALIKE_SOFT * float(soft0.std() * soft1.std()):
        return float("nan")
    gain = product / float(soft1.var())
    apart = soft0 - gain * soft1
    fine = greys[0] - gain * greys[1] - apart
    # the median's sigma, since fine texture that moved isn't noise; of white noise a blur leaves
    # 1 / (4 π σ²), and a fifth is added because the rest that `fine` holds is a little less
    sigma = 1.4826 * float(np.median(np.abs(fine - np.median(fine))))
    noise = 1.2 * sigma**2 / (4 * np.pi * STILL_BLUR_PX**2)
    return float(np.sqrt(max(float(apart.var()) - noise, 0.0) / gradient))


def contrasted(image: np.ndarray) -> np.ndarray:
    """An RGB picture as grey (H, W) uint8 over the full range, its local contrast raised."""
    import cv2

    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    low, high = np.percentile(cv2.GaussianBlur(grey, (0, 0), 1.5), (1, 99))
    stretched = (grey - low) * (255 / max(high - low, FLATTEST))
    full = np.clip(stretched + 0.5, 0, 255).astype(np.uint8)
    return cv2.createCLAHE(CLIP, (TILES, TILES)).apply(full)


def _keypoints(
    grey0: np.ndarray, grey1: np.ndarray, most: int, max_side_px: int
) -> tuple[np.ndarray, np.ndarray]:
    from core.matching import GeometrySettings, MatchSettings, match

    settings = MatchSettings(max_keypoints=most, ratio=RATIO, max_side_px=max_side_px)
    try:
        result = match(grey0, grey1, settings, GeometrySettings(geometry="none"))
    except InputError:  # one of the pictures has no keypoint
        return np.zeros((0, 2)), np.zeros((0, 2))
    # a keypoint with two main directions is one place; of its two matches the surer one stays
    order = np.argsort(-result.scores, kind="stable")
    _, first = np.unique(result.points0[order].round(1), axis=0, return_index=True)
    chosen = order[np.sort(first)]
    return result.points0[chosen], result.points1[chosen]


def _followed(grey0: np.ndarray, grey1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners of picture 0 and where in picture 1 they are, (N, 2) px each.

    Following finds the nearest likeness only, so it begins in several places, and the most alike
    of the places where it ends is believed.
    """
    import cv2

    soft0, soft1 = (cv2.GaussianBlur(grey, (0, 0), BLUR_PX) for grey in (grey0, grey1))
    corners = cv2.goodFeaturesToTrack(soft0, CORNERS, QUALITY, APART_PX, blockSize=5)
    if corners is None:
        return np.zeros((0, 2)), np.zeros((0, 2))
    best, unlike = corners.copy(), np.full(len(corners), np.inf)
    how = {
        "winSize": (WINDOW_PX, WINDOW_PX), "maxLevel": LEVELS, "minEigThreshold": 1e-3,
        "criteria": (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_COUNT, 20, 0.03),
        "flags": cv2.OPTFLOW_USE_INITIAL_FLOW,
    }  # fmt: skip
    for start in STARTS:
        move = np.array([round(start * grey0.shape[1]), 0], np.float32)
        there, found, error = cv2.calcOpticalFlowPyrLK(soft0, soft1, corners, corners - move, **how)
        back, found_back, _ = cv2.calcOpticalFlowPyrLK(soft1, soft0, there, there + move, **how)
        home = np.linalg.norm((back - corners)[:, 0], axis=1) < BACK_PX
        fine = home & (found.ravel() > 0) & (found_back.ravel() > 0)
        better = np.flatnonzero(fine)  # what wasn't found has no error to compare
        better = better[error[better, 0] < unlike[better]]
        best[better], unlike[better] = there[better], error[better, 0]
    sure = unlike < UNLIKE
    return corners[sure, 0] + 0.5, best[sure, 0] + 0.5  # OpenCV's first pixel centre is 0


def allied(points0: np.ndarray, points1: np.ndarray, width: int) -> np.ndarray:
    """(N,) bool: matches that move as some of their nearest neighbours do, give or take what
    depth and a turned camera make of it."""
    from scipy.spatial import KDTree

    if len(points0) <= NEIGHBOURS:
        return np.ones(len(points0), bool)
    far, near = KDTree(points0).query(points0, NEIGHBOURS + 1)
    far, near = np.asarray(far), np.asarray(near)  # (N, 1 + neighbours), itself the first
    moves = points1 - points0
    unlike = np.linalg.norm(moves[near[:, 1:]] - moves[:, None], axis=2)
    allies = unlike < ALIKE[0] * width + ALIKE[1] * far[:, 1:]
    return allies.sum(1) >= ALLIES
