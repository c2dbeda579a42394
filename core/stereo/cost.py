"""What it costs to call two pixels partners: the cost volume.

For every pixel of the left picture and every disparity d the volume holds how badly the pixel and
its partner, d pixels further left in the right picture, fit: low is good. Colours alone mislead
when the cameras' exposures differ; the census (which neighbours are darker than the middle?) only
looks at the order of brightness, so any change of gain or offset leaves it alone. The refined
method adds the gradient, which no offset changes, and which is sharp where the census blurs.

All volumes are (H, W, D) int16 from 0 to FULL; index k means the disparity
settings.min_disparity_px + k. A partner outside the right picture costs NOWHERE, whatever d.
They lie in memory as (H, D, W), so that work on all disparities of a row runs at full speed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from core.types import InputError

if TYPE_CHECKING:
    from core.stereo.types import StereoSettings

FULL = 1000  # the cost of what doesn't fit at all
NOWHERE = 500  # a partner outside the picture: worse than a match, better than a mismatch
MAX_BYTES = 2_000_000_000

KINDS = {
    "sad": "mean absolute difference of the colours",
    "bm": "absolute difference of the horizontal gradient",
    "zncc": "1 − correlation",
    "census": "neighbours whose order differs",
    "bt": "Birchfield–Tomasi difference",
    "refined": "census and gradient together",
}

_CENSUS = (9, 7)  # width and height: 62 comparisons fit in 64 bits
_CAP = 31  # gradients are cut off here, as OpenCV's BM does
_CENSUS_SCALE, _GRADIENT_SCALE = 30.0, 24.0  # how fast each saturates, in bits and Sobel's units

Slice = tuple[int, slice, slice]


def kind_of(settings: StereoSettings) -> str:
    """Which of KINDS belongs to the settings' method."""
    if settings.method == "block":
        return settings.window_cost
    return "bt" if settings.method == "sgbm" else "refined"


def volume(
    left: np.ndarray, right: np.ndarray, settings: StereoSettings, kind: str = ""
) -> np.ndarray:
    """(H, W, D) int16 in [0, FULL]: the cost of single pixels, before neighbours are asked.

    left, right (H, W, 3) uint8; kind is one of KINDS, the method's own unless given. Raises
    InputError when the volume would take more than 2 GB.

    Census: Zabih and Woodfill 1994; sums of measures that saturate: Mei et al. 2011;
    Birchfield and Tomasi 1998.
    """
    kind = kind or kind_of(settings)
    if kind == "zncc":
        return _zncc(left, right, settings, 3).astype(np.int16)
    return _volume(left, right, settings, _MEASURES[kind](left, right))


def windowed(
    left: np.ndarray, right: np.ndarray, settings: StereoSettings, kind: str = ""
) -> np.ndarray:
    """(H, W, D) float32 in [0, FULL]: the mean cost in a square window of window_px.

    At the borders the window is continued by reflection. ZNCC compares the windows themselves:
    FULL is a correlation of −1, 0 one of +1.
    """
    import cv2

    kind = kind or kind_of(settings)
    side = (settings.window_px, settings.window_px)
    if kind == "zncc":
        return _zncc(left, right, settings, settings.window_px)
    raw = volume(left, right, settings, kind).transpose(0, 2, 1)
    mean = np.empty(raw.shape, np.float32)
    for k in range(raw.shape[1]):
        mean[:, k] = cv2.boxFilter(raw[:, k].astype(np.float32), -1, side)
    return mean.transpose(0, 2, 1)


def overlaps(width: int, settings: StereoSettings) -> Iterator[Slice]:
    """For each disparity that leaves any overlap: its index k, the columns of the left picture
    that have a partner, and the partners' columns."""
    for k, d in enumerate(range(settings.min_disparity_px, settings.max_disparity_px)):
        first, last = max(0, d), min(width, width + d)
        if first < last:
            yield k, slice(first, last), slice(first - d, last - d)


def check_range(settings: StereoSettings) -> None:
    """Raises InputError if there is no disparity to search."""
    if settings.max_disparity_px <= settings.min_disparity_px:
        raise InputError(
            f"The largest disparity ({settings.max_disparity_px} px) isn't above the least "
            f"({settings.min_disparity_px} px). Raise the largest one."
        )


def check_memory(height: int, width: int, settings: StereoSettings) -> None:
    """Raises InputError if the volume would take more than 2 GB, or has no disparity at all."""
    check_range(settings)
    count = settings.max_disparity_px - settings.min_disparity_px
    if height * width * count * 2 > MAX_BYTES:
        raise InputError(
            f"{width}×{height} px with {count} disparities need "
            f"{height * width * count * 2 / 1e9:.1f} GB for one cost volume. "
            "Lower the working size or the largest disparity."
        )


# ---------------------------------------------------------------- filling a volume


def _empty(left: np.ndarray, right: np.ndarray, settings: StereoSettings, dtype) -> np.ndarray:
    height, width = left.shape[:2]
    if left.shape[:2] != right.shape[:2]:
        raise InputError(
            f"The pictures differ in size ({width}×{height} and {right.shape[1]}×"
            f"{right.shape[0]} px). Rectify them, or choose a pair of one size."
        )
    check_memory(height, width, settings)
    count = settings.max_disparity_px - settings.min_disparity_px
    return np.full((height, count, width), NOWHERE, dtype)


def _volume(left: np.ndarray, right: np.ndarray, settings: StereoSettings, measure: Measure):
    costs = _empty(left, right, settings, np.int16)
    for k, here, there in overlaps(left.shape[1], settings):
        costs[:, k, here] = measure(here, there)
    return costs.transpose(0, 2, 1)


Measure = Callable[[slice, slice], np.ndarray]


def grey(picture: np.ndarray) -> np.ndarray:
    """(H, W) uint8."""
    import cv2

    return picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def _sad(left: np.ndarray, right: np.ndarray) -> Measure:
    import cv2

    def measure(here: slice, there: slice) -> np.ndarray:
        apart = cv2.absdiff(left[:, here], right[:, there]).reshape(left.shape[0], -1, 3)
        return apart.sum(-1, dtype=np.int16) * np.float32(FULL / 765)

    return measure


def _bm(left: np.ndarray, right: np.ndarray) -> Measure:
    import cv2

    a, b = _gradient(left), _gradient(right)

    def measure(here: slice, there: slice) -> np.ndarray:
        return cv2.absdiff(a[:, here], b[:, there]) * np.float32(FULL / (2 * _CAP))

    return measure


def _gradient(picture: np.ndarray) -> np.ndarray:
    """(H, W) uint8 in [0, 2 · _CAP]: horizontal Sobel, cut off, _CAP is flat."""
    import cv2

    slope = cv2.Sobel(grey(picture), cv2.CV_16S, 1, 0, ksize=3)
    return (np.clip(slope, -_CAP, _CAP) + _CAP).astype(np.uint8)


def _bt(left: np.ndarray, right: np.ndarray) -> Measure:
    """Each pixel against the range that the other picture takes within half a pixel; gradient
    and, for a quarter, brightness."""
    layers = [
        (*_ranges(picture(left)), *_ranges(picture(right)), weight)
        for picture, weight in ((_gradient, 1.0), (grey, 0.25))
    ]
    full = FULL / (2 * _CAP + 255 * 0.25)

    def measure(here: slice, there: slice) -> np.ndarray:
        total = np.float32(0)
        for a, a_low, a_high, b, b_low, b_high, weight in layers:
            one = np.maximum(a[:, here] - b_high[:, there], b_low[:, there] - a[:, here])
            two = np.maximum(b[:, there] - a_high[:, here], a_low[:, here] - b[:, there])
            total = total + np.float32(weight * full) * np.maximum(np.minimum(one, two), 0)
        return np.asarray(total)

    return measure


def _ranges(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The picture and its least and largest value within half a pixel left and right, int16."""
    middle = picture.astype(np.int16)
    padded = np.pad(middle, ((0, 0), (1, 1)), mode="edge")
    before, after = (middle + padded[:, :-2]) // 2, (middle + padded[:, 2:]) // 2
    low, high = np.minimum(before, after), np.maximum(before, after)
    return middle, np.minimum(low, middle), np.maximum(high, middle)


def _zncc(left: np.ndarray, right: np.ndarray, settings: StereoSettings, side: int) -> np.ndarray:
    """(H, W, D) float32: FULL · (1 − correlation) / 2; a flat window has correlation 0."""
    import cv2

    costs = _empty(left, right, settings, np.float32)
    window = (side, side)
    a, b = grey(left).astype(np.float32), grey(right).astype(np.float32)

    def spread(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = cv2.boxFilter(picture, -1, window)
        return mean, np.sqrt(np.maximum(cv2.boxFilter(picture**2, -1, window) - mean**2, 0))

    (mean_a, spread_a), (mean_b, spread_b) = spread(a), spread(b)
    for k, here, there in overlaps(left.shape[1], settings):
        product = cv2.boxFilter(a[:, here] * b[:, there], -1, window)
        product -= mean_a[:, here] * mean_b[:, there]
        scale = spread_a[:, here] * spread_b[:, there]
        correlation = np.where(scale > 1, product / np.maximum(scale, 1), 0)
        costs[:, k, here] = FULL / 2 * (1 - np.clip(correlation, -1, 1))
    return costs.transpose(0, 2, 1)


# ---------------------------------------------------------------- census


def census(picture: np.ndarray) -> np.ndarray:
    """(H, W) uint64: one bit for each neighbour in 9×7 px, set where it is darker than the middle.

    At the borders the picture is continued by its last row or column.
    """
    import cv2

    middle = grey(picture)
    across, down = _CENSUS[0] // 2, _CENSUS[1] // 2
    padded = cv2.copyMakeBorder(middle, down, down, across, across, cv2.BORDER_REPLICATE)
    height, width = middle.shape
    bits = np.zeros((height, width), np.uint64)
    for y in range(_CENSUS[1]):
        for x in range(_CENSUS[0]):
            if (y, x) != (down, across):
                darker = padded[y : y + height, x : x + width] < middle
                bits = (bits << np.uint64(1)) | darker
    return bits


def _census(left: np.ndarray, right: np.ndarray) -> Measure:
    a, b = census(left), census(right)
    most = _CENSUS[0] * _CENSUS[1] - 1

    def measure(here: slice, there: slice) -> np.ndarray:
        return np.bitwise_count(a[:, here] ^ b[:, there]) * np.float32(FULL / most)

    return measure


# ---------------------------------------------------------------- census and gradient


def _refined(left: np.ndarray, right: np.ndarray) -> Measure:
    """Half census, half gradient, each saturating, so that neither can veto the other."""
    import cv2

    a, b = census(left), census(right)
    slopes = [(_slope(left, *axis), _slope(right, *axis)) for axis in ((1, 0), (0, 1))]
    bits = _saturating(_CENSUS[0] * _CENSUS[1] - 1, _CENSUS_SCALE)
    steps = _saturating(2 * 2 * 1020, _GRADIENT_SCALE)

    def measure(here: slice, there: slice) -> np.ndarray:
        count = np.bitwise_count(a[:, here] ^ b[:, there])
        apart = np.asarray(sum(cv2.absdiff(p[:, here], q[:, there]) for p, q in slopes))
        return bits[count] + steps[apart.reshape(count.shape)]

    return measure


def _slope(picture: np.ndarray, dx: int, dy: int) -> np.ndarray:
    """(H, W) int16: Sobel, 8 times the brightness step from pixel to pixel."""
    import cv2

    return cv2.Sobel(grey(picture), cv2.CV_16S, dx, dy, ksize=3)


def _saturating(most: int, scale: float) -> np.ndarray:
    """(most + 1,) int16: for each whole number up to most, FULL / 2 · (1 − exp(−n / scale))."""
    return (FULL / 2 * (1 - np.exp(-np.arange(most + 1) / scale))).astype(np.int16)


_MEASURES: dict[str, Callable[[np.ndarray, np.ndarray], Measure]] = {
    "sad": _sad, "bm": _bm, "bt": _bt, "census": _census, "refined": _refined,
}  # fmt: skip
