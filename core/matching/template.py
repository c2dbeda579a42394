"""Template matching: before descriptors, one slid the patch itself over the other picture.

Around each strong corner of picture 0 (Shi and Tomasi, CVPR 1994) a square patch is cut out and
compared with every place in picture 1 by the normalised cross-correlation

    NCC = Σ (a − ā)(b − b̄) / √( Σ (a − ā)² Σ (b − b̄)² )

which is 1 for the same patch, whatever its brightness and contrast. It is exact for a shift and
helpless once the picture turns or changes size, for the patch doesn't turn with it: that is what
descriptors with a scale and an orientation were invented for. Nothing is skipped, so it is slow,
and both pictures are reduced to a few hundred pixels first.
"""

from __future__ import annotations

import time

import numpy as np

from core.images import fit
from core.matching.types import Candidates, Features, MatchSettings
from core.types import InputError, Progress, silent

WORK_PX = 400  # longer side of the larger picture while searching
PATCH_PX = 21  # side of the patch, odd so that it has a middle pixel
MOST = 150  # corners searched: each costs a few milliseconds, once each way
FLAT = 1.0  # grey levels; a window with a smaller standard deviation has nothing to correlate
SAME_PX = 1.5  # the way back must end this near to where it began


def template_match(
    image0: np.ndarray,
    image1: np.ndarray,
    settings: MatchSettings,
    progress: Progress = silent,
) -> tuple[Features, Features, Candidates, dict[str, float]]:
    """Corners of picture 0 and where each is found in picture 1, both RGB uint8 (H, W, 3).

    Picture 1's keypoints are the C best places followed by the C runners-up, so that `second`
    points at something. Distance is 1 − NCC; a runner-up lies at least half a patch from the best.
    mutual: the patch at the best place, searched in picture 0, ends within 1.5 px of the corner.
    Returns features, features, candidates, and seconds under 'detect' and 'match'.
    """
    import cv2

    start = time.perf_counter()
    longest = max(*image0.shape[:2], *image1.shape[:2])
    share = min(1.0, min(WORK_PX, settings.max_side_px) / longest)  # the same for both
    grey, factors = [], []
    for name, image in (("Picture 0", image0), ("Picture 1", image1)):
        small, factor = fit(image, max(1, round(max(image.shape[:2]) * share)))
        if min(small.shape[:2]) < PATCH_PX:
            raise InputError(
                f"{name} is too small for patches of {PATCH_PX} px "
                f"({small.shape[1]}×{small.shape[0]} px while searching). Choose a larger one, "
                "pictures of similar size, or SIFT."
            )
        grey.append(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
        factors.append(factor)
    corners = _corners(grey[0], min(settings.max_keypoints, MOST))
    detected = time.perf_counter()

    flat = [_flat(g) for g in grey]
    best, second, back = (np.zeros((len(corners), 3)) for _ in range(3))  # x, y, NCC
    back_second = np.zeros((len(corners), 3))
    for row, (x, y) in enumerate(corners):
        progress(row / len(corners), desc=f"patch {row + 1} of {len(corners)}")
        best[row], second[row] = _search(_patch(grey[0], x, y), grey[1], flat[1])
        found = _patch(grey[1], *np.round(best[row, :2]).astype(int))
        back[row], back_second[row] = _search(found, grey[0], flat[0])

    # The way back starts at a whole pixel: take the rounding out of the comparison.
    rounding = np.round(best[:, :2]) - best[:, :2]
    apart = np.linalg.norm(back[:, :2] - rounding - corners, axis=1)
    count = len(corners)
    with np.errstate(divide="ignore", invalid="ignore"):
        back_ratio = (1 - back[:, 2]) / (1 - back_second[:, 2])
    index = np.arange(count)
    places = np.concatenate([best, second])
    alone = np.isnan(second[:, 2])  # picture 1 has no room for a runner-up
    candidates = Candidates(
        pairs=np.column_stack([index, index]).astype(np.int32),
        distance=(1 - best[:, 2]).astype(np.float32),
        second_distance=(1 - second[:, 2]).astype(np.float32),
        second=np.where(alone, -1, index + count).astype(np.int32),
        mutual=apart <= SAME_PX,
        back_ratio=back_ratio.astype(np.float32),
    )
    response = np.nan_to_num(places[:, 2], nan=-1.0)
    places[np.isnan(places[:, 2]), :2] = best[alone, :2]
    return (
        _features(corners, np.ones(count), factors[0]),
        _features(places[:, :2], response, factors[1]),
        candidates,
        {"detect": detected - start, "match": time.perf_counter() - detected},
    )


def _corners(grey: np.ndarray, count: int) -> np.ndarray:
    """(C, 2) int x, y of the strongest corners whose patch lies inside the picture."""
    import cv2

    half = PATCH_PX // 2
    inner = np.zeros_like(grey)
    inner[half : grey.shape[0] - half, half : grey.shape[1] - half] = 255
    inner[_flat(grey)] = 0
    found = cv2.goodFeaturesToTrack(grey, count, qualityLevel=0.01, minDistance=5, mask=inner)
    if found is None:
        raise InputError(
            "Picture 0 has no keypoints: it is almost uniform. Choose a picture with texture, "
            "or try SIFT, which finds the faintest points."
        )
    return found.reshape(-1, 2).round().astype(int)


def _flat(grey: np.ndarray) -> np.ndarray:
    """(H, W) bool: where the patch around a pixel has (almost) no contrast."""
    import cv2

    values = grey.astype(np.float64)
    mean = cv2.blur(values, (PATCH_PX, PATCH_PX))
    variance = cv2.blur(values * values, (PATCH_PX, PATCH_PX)) - mean**2
    return variance < FLAT**2


def _patch(grey: np.ndarray, x: int, y: int) -> np.ndarray:
    half = PATCH_PX // 2
    return grey[y - half : y + half + 1, x - half : x + half + 1]


def _search(patch: np.ndarray, grey: np.ndarray, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Best and runner-up (x, y, NCC) of a patch in a picture, in whole-number pixel centres.

    The best is refined below a pixel; a runner-up that doesn't exist is NaN.
    """
    import cv2

    half = PATCH_PX // 2
    ncc = cv2.matchTemplate(grey, patch, cv2.TM_CCOEFF_NORMED)
    height, width = ncc.shape
    # Over a flat window the quotient is 0/0, and what comes out is noise.
    ncc[flat[half : half + height, half : half + width]] = 0
    _, top, _, (x, y) = cv2.minMaxLoc(ncc)
    best = np.array([x + half + _summit(ncc[y, :], x), y + half + _summit(ncc[:, x], y), top])
    best[2] = min(top, 1.0)
    ncc[max(0, y - half) : y + half + 1, max(0, x - half) : x + half + 1] = -2
    _, next_top, _, (x, y) = cv2.minMaxLoc(ncc)
    if next_top < -1.5:
        return best, np.full(3, np.nan)
    return best, np.array([x + half, y + half, min(next_top, 1.0)])


def _summit(line: np.ndarray, at: int) -> float:
    """Where the parabola through three values around the maximum peaks, in [-0.5, 0.5]."""
    if at == 0 or at == len(line) - 1:
        return 0.0
    left, middle, right = (float(v) for v in line[at - 1 : at + 2])
    bend = left - 2 * middle + right
    return float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) if bend < 0 else 0.0


def _features(centres: np.ndarray, response: np.ndarray, factors: np.ndarray) -> Features:
    """From whole-number pixel centres in the reduced picture."""
    count = len(centres)
    return Features(
        xy=((centres + 0.5) / factors).astype(np.float32),
        size_px=np.full(count, PATCH_PX / factors.mean(), np.float32),
        angle_deg=np.full(count, np.nan, np.float32),
        response=response.astype(np.float32),
    )
