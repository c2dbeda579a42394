"""One SIFT descriptor, opened (Lowe 2004, section 6).

A keypoint says where, how large and which way. Its descriptor says what is there: turn the patch
upright and blur it to the keypoint's scale, take the gradient of every sample, and count gradients
in a 4×4 grid of cells by direction, 8 bins of 45° each: 128 numbers. What each step buys:

    patch turned and scaled     the same numbers after rotation and zoom
    gradients, not grey values  adding light changes nothing
    unit length                 multiplying light (contrast) changes nothing
    Gaussian weight             a small error in the place changes little at the patch's rim
    trilinear sharing           a sample near a border counts in both bins: no jumps
    clipping at 0.2             a glint, one huge gradient, can't outvote the rest

RootSIFT takes the square root of the numbers after making their sum 1: the same L2 distance then
measures how alike two *histograms* are (Hellinger), and large bins rule less
(Arandjelović & Zisserman 2012).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core import draw
from core.matching.scale_space import CAMERA_SIGMA, grey
from core.types import InputError

CELLS, BINS = 4, 8
CELL_SIGMAS = 3.0  # side of a cell in units of the keypoint's sigma
CELL_SAMPLES = 16  # samples along a cell; Lowe takes 4, more of them are nicer to look at
CLIP = 0.2
SIDE = (CELLS + 1) * CELL_SAMPLES  # half a cell around the grid still counts, by sharing
INK = (29, 39, 51)


@dataclass(frozen=True)
class Descriptor:
    """A keypoint's histogram and what it was made from.

    patch (S, S) float32 in [0, 1]: upright, blurred; the 4×4 grid with half a cell around it.
    magnitude (S, S) float32: gradient length; orientation (S, S) float32: its direction in degrees
    [0, 360), clockwise from the keypoint's own direction. histogram (4, 4, 8) float32: row, column
    and direction, bin b centred on 45 b degrees, before normalisation. vector (128,) float32 of
    unit length (0 where the patch is flat), as two keypoints are compared. root: RootSIFT.
    """

    patch: np.ndarray
    magnitude: np.ndarray
    orientation: np.ndarray
    histogram: np.ndarray
    vector: np.ndarray
    root: bool


def describe(
    image: np.ndarray,
    xy: np.ndarray,
    size_px: float,
    angle_deg: float = 0.0,
    root: bool = False,
) -> Descriptor:
    """Describe one keypoint of a picture, step by step.

    image RGB uint8 (H, W, 3); xy (2,) px; size_px the keypoint's diameter, 2 sigma; angle_deg its
    direction, clockwise from +x, NaN taken as 0. Beyond the edge the picture is continued by its
    last pixels. The same as OpenCV's but for the order of bins: OpenCV counts them
    anticlockwise. Raises InputError if the keypoint is not in the picture or has no size.
    """
    height, width = image.shape[:2]
    x, y = (float(v) for v in xy)
    if not (0 <= x <= width and 0 <= y <= height and 0 < size_px < np.inf):
        raise InputError(
            f"There is no keypoint of {size_px:g} px at ({x:g}, {y:g}) in a picture of "
            f"{width}×{height} px. Choose one inside."
        )
    patch = _upright(grey(image), x, y, size_px / 2, 0.0 if np.isnan(angle_deg) else angle_deg)
    dy, dx = np.gradient(patch)
    magnitude = np.hypot(dx, dy)
    orientation = np.degrees(np.arctan2(dy, dx)) % 360
    histogram = _histogram(magnitude, orientation)
    return Descriptor(
        patch=patch,
        magnitude=magnitude,
        orientation=orientation.astype(np.float32),
        histogram=histogram,
        vector=_vector(histogram, root),
        root=root,
    )


def _upright(image: np.ndarray, x: float, y: float, sigma: float, angle_deg: float) -> np.ndarray:
    """(SIDE, SIDE) float32: the patch at blur sigma px, turned so that angle_deg points right."""
    import cv2

    step = CELL_SIGMAS * sigma / CELL_SAMPLES  # px of the picture per sample
    reach = int(np.ceil(SIDE * step * 0.75 + 4 * sigma)) + 2  # half the diagonal, and the blur
    left, top = int(x) - reach, int(y) - reach
    inside = image[
        max(top, 0) : int(y) + reach + 1,
        max(left, 0) : int(x) + reach + 1,
    ]
    blur = np.sqrt(max(sigma**2 - CAMERA_SIGMA**2, 0.01))
    blurred = cv2.GaussianBlur(inside, (0, 0), float(blur))
    turn = np.deg2rad(angle_deg)
    axes = step * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    # sample (i, j) lies at centre + axes @ ((i, j) - middle); -0.5: OpenCV's first centre is 0
    centre = np.array([x - max(left, 0), y - max(top, 0)]) - 0.5
    origin = centre - axes @ np.full(2, (SIDE - 1) / 2)
    return cv2.warpAffine(
        blurred,
        np.hstack([axes, origin[:, None]]),
        (SIDE, SIDE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _histogram(magnitude: np.ndarray, orientation: np.ndarray) -> np.ndarray:
    """(4, 4, 8) float32: every sample shared among 2 rows × 2 columns × 2 directions."""
    cell = (np.arange(SIDE) + 0.5) / CELL_SAMPLES - 1  # 0 is the centre of the first cell
    row, column = np.meshgrid(cell, cell, indexing="ij")
    middle = (CELLS - 1) / 2
    # the weight's sigma is half the grid (Lowe 2004, 6.1): 2 cells
    off_centre = (row - middle) ** 2 + (column - middle) ** 2
    weighted = magnitude * np.exp(-off_centre / (2 * (CELLS / 2) ** 2))

    place = np.stack([row, column, orientation / (360 / BINS)])
    low = np.floor(place).astype(int)
    rest = place - low
    # one bin more on each side takes what falls off the grid
    padded = np.zeros((CELLS + 2, CELLS + 2, BINS))
    for corner in np.ndindex(2, 2, 2):
        share = weighted
        for axis in range(3):
            share = share * (rest[axis] if corner[axis] else 1 - rest[axis])
        r, c, b = (low[axis] + corner[axis] for axis in range(3))
        np.add.at(padded, (r + 1, c + 1, b % BINS), share)
    return padded[1:-1, 1:-1].astype(np.float32)


def _vector(histogram: np.ndarray, root: bool) -> np.ndarray:
    vector = _unit(histogram.ravel())
    vector = _unit(np.minimum(vector, CLIP))
    return np.sqrt(vector / max(float(vector.sum()), 1e-12)) if root else vector


def _unit(vector: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-9 else np.zeros_like(vector)


# ---------------------------------------------------------------- pictures


def picture(
    descriptor: Descriptor, size: int = 420, colour: draw.Colour = draw.ORANGE
) -> np.ndarray:
    """The histogram drawn on its patch, RGB uint8 (size, size, 3).

    In each of the 4×4 cells eight spokes, as long as their bins (none under 3 % of the longest);
    samples outside the grid, which count by sharing, are pale. The keypoint's own direction points right.
    """
    import cv2

    # sharp squares of the patch, drawn at three times the size and reduced: smooth lines
    big = 3 * size
    at = np.arange(big) * SIDE // big
    lit = _stretched(descriptor.patch)[at][:, at]
    canvas = np.repeat(lit[..., None], 3, axis=2)
    cell = big / (CELLS + 1)
    first, last = round(cell / 2), round(cell * (CELLS + 0.5))
    pale = canvas // 3 + 165
    pale[first:last, first:last] = canvas[first:last, first:last]
    canvas = pale
    for i in range(CELLS + 1):
        at_px = round(cell * (i + 0.5))
        for a, b in (((at_px, first), (at_px, last)), ((first, at_px), (last, at_px))):
            cv2.line(canvas, a, b, (255, 255, 255), 5)
            cv2.line(canvas, a, b, INK, 2)
    longest = max(float(descriptor.histogram.max()), 1e-12)
    turns = 2 * np.pi * np.arange(BINS) / BINS
    # a casing first, dark around a light colour and light around a dark one: legible on any patch
    casing, wide = (INK if sum(colour) > 330 else (255, 255, 255)), max(size // 60, 3)
    for shade, width in ((casing, wide + 6), (colour, wide)):
        for r, c in np.ndindex(CELLS, CELLS):
            centre = np.array([c + 1, r + 1]) * cell
            for length, turn in zip(descriptor.histogram[r, c] / longest, turns, strict=True):
                if length < 0.03:
                    continue  # shorter than its own casing
                tip = centre + 0.46 * cell * length * np.array([np.cos(turn), np.sin(turn)])
                cv2.line(canvas, _int(centre), _int(tip), shade, width, cv2.LINE_AA)
    return cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)


def _stretched(patch: np.ndarray) -> np.ndarray:
    """Grey levels spread over a middle range, so that spokes stand out on any patch."""
    low, high = float(patch.min()), float(patch.max())
    return (70 + 150 * (patch - low) / max(high - low, 1e-3)).astype(np.uint8)


def _int(xy: np.ndarray) -> tuple[int, int]:
    return round(float(xy[0])), round(float(xy[1]))


def compare_picture(descriptor0: Descriptor, descriptor1: Descriptor) -> np.ndarray:
    """Two descriptors side by side over their 128 numbers, RGB uint8 (720, 860, 3).

    Below, descriptor 0 grows up in blue and descriptor 1 down in orange: a perfect match is
    a mirror image. The heading is their L2 distance, 0 for equal ones, √2 for nothing in common.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    distance = float(np.linalg.norm(descriptor0.vector - descriptor1.vector))
    figure = Figure(figsize=(8.6, 3.0), dpi=100, facecolor="white")
    axes = figure.add_axes((0.065, 0.13, 0.925, 0.75))
    at = np.arange(CELLS * CELLS * BINS)
    for vector, sign, colour in (
        (descriptor0.vector, 1, draw.BLUE),
        (descriptor1.vector, -1, draw.ORANGE),
    ):
        axes.bar(at, sign * vector, width=0.9, color=np.array(colour) / 255)
    for cell in range(1, CELLS * CELLS):
        strong = cell % CELLS == 0
        axes.axvline(cell * BINS - 0.5, color="0.35" if strong else "0.82", lw=0.8, zorder=0)
    top = 1.08 * max(float(descriptor0.vector.max()), float(descriptor1.vector.max()), 0.05)
    axes.set(xlim=(-0.5, len(at) - 0.5), ylim=(-top, top))
    rows = [(row + 0.5) * CELLS * BINS for row in range(CELLS)]
    axes.set_xticks(rows, [f"grid row {row + 1}" for row in range(CELLS)])
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):.1f}")
    axes.tick_params(length=0, labelsize=9)
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axes.axhline(0, color="0.2", lw=0.8)
    axes.set_title(f"L2 distance {distance:.2f}", fontsize=12, loc="left", weight="bold")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    chart = np.asarray(canvas.buffer_rgba())[..., :3]
    top_row = np.hstack(
        [
            picture(descriptor0, 420, draw.BLUE),
            np.full((420, chart.shape[1] - 840, 3), 255, np.uint8),
            picture(descriptor1, 420, draw.ORANGE),
        ]
    )
    return np.ascontiguousarray(np.vstack([top_row, chart]))
