"""Depth from nothing but disparity: random dots, autostereograms, and red–cyan pictures.

Each of two random-dot pictures is noise: no outline, no shading, no perspective. Only where the
same dots stand, shifted against each other, is there a shape, and two eyes see it at once (Julesz,
1960). So a method that measures such a pair truly matches. An autostereogram puts both pictures
into one: a pattern that repeats, a little faster where things are near (Thimbleby, Inglis and
Witten, IEEE Computer 1994).
"""

from __future__ import annotations

import numpy as np

from core.stereo.types import Pair, Truth
from core.types import InputError

SHAPES = ("square", "steps", "wave", "letter")
ANAGLYPHS = ("dubois", "grey", "colour", "half")
MAX_SIDE_PX = 8192
LETTER = ("01110", "10001", "10000", "01110", "00001", "10001", "01110")  # S

# What each eye's R, G, B give to the anaglyph's, fitted to red–cyan glasses and a monitor
# (Dubois, ICASSP 2001): dimmer colours, hardly any ghosts.
DUBOIS_LEFT = ((0.456, 0.500, 0.176), (-0.040, -0.038, -0.016), (-0.015, -0.021, -0.005))
DUBOIS_RIGHT = ((-0.043, -0.088, -0.002), (0.378, 0.734, -0.018), (-0.072, -0.113, 1.226))
LUMA = (0.299, 0.587, 0.114)


# ---------------------------------------------------------------- random dots


def random_dots(
    shape: str = "square",
    size: tuple[int, int] = (480, 360),
    *,
    dot_px: int = 1,
    seed: int = 0,
    noise: float = 0.0,
    max_disparity_px: int = 24,
) -> Pair:
    """A random-dot stereogram of size (width, height) px with its exact truth.

    shape is one of SHAPES; it stands max_disparity_px, rounded to whole dots, before a background
    of disparity 0. Dots are dot_px squares, black or white with equal chance. noise is the share
    of the right picture's dots that are drawn anew, so that they have no partner.
    occluded is what the right picture doesn't show: hidden by something nearer, or outside.
    Raises InputError for an unknown shape or numbers that make no picture.
    """
    width, height = size
    if shape not in SHAPES:
        raise InputError(f"There is no hidden shape {shape!r}. Choose one of: {', '.join(SHAPES)}.")
    if not (min(size) >= 1 and max(size) <= MAX_SIDE_PX and dot_px >= 1):
        raise InputError(
            f"Random dots of {dot_px} px in {width}×{height} px make no picture. "
            f"Choose sides from 1 to {MAX_SIDE_PX} px."
        )
    if not (0 <= noise <= 1 and 0 <= max_disparity_px < width):
        raise InputError(
            "The share of uncorrelated dots lies in 0 to 1 and the disparity below the picture's "
            f"width of {width} px. Choose smaller ones."
        )
    # All is computed in dots: a disparity of whole dots leaves none of them cut, and a cut dot
    # would show one eye where the edge is.
    columns, rows = -(-width // dot_px), -(-height // dot_px)
    relief = _relief(shape, columns, rows)
    d = np.rint(relief * round(max_disparity_px / dot_px)).astype(np.int64)  # (rows, columns)
    rng = np.random.default_rng(seed)
    left, right = rng.random((2, rows, columns)) < 0.5
    seen = _seen_right(d)
    r, c = np.nonzero(seen)
    right[r, c - d[r, c]] = left[r, c]
    anew = rng.random((rows, columns)) < noise
    right = np.where(anew, rng.random((rows, columns)) < 0.5, right)

    def enlarged(dots: np.ndarray) -> np.ndarray:
        return dots.repeat(dot_px, 0).repeat(dot_px, 1)[:height, :width]

    truth = Truth(enlarged(d * dot_px).astype(np.float32), enlarged(~seen))
    eyes = [np.repeat(enlarged(e).astype(np.uint8)[..., None] * 255, 3, 2) for e in (left, right)]
    return Pair(eyes[0], eyes[1], truth, None, f"Random dots that hide: {shape}")


def _relief(shape: str, columns: int, rows: int) -> np.ndarray:
    """(rows, columns) in [0, 1]: 0 is the background, 1 the nearest."""
    side = min(columns, rows)
    y, x = np.mgrid[:rows, :columns] + 0.5
    x, y = (x - columns / 2) / side, (y - rows / 2) / side  # the middle is 0
    far = np.maximum(np.abs(x), np.abs(y))
    if shape == "square":
        return (far < 0.28).astype(float)
    if shape == "steps":
        edges = np.array([0.42, 0.32, 0.22, 0.12])
        return (far < edges[:, None, None]).mean(0)
    if shape == "wave":
        return 0.5 + 0.5 * np.cos(2 * np.pi * np.hypot(x, y))
    glyph = np.array([[float(mark) for mark in line] for line in LETTER])
    i = np.floor((y + 0.4) / 0.8 * glyph.shape[0]).astype(int)
    j = np.floor((x + 0.3) / 0.6 * glyph.shape[1]).astype(int)
    inside = (i >= 0) & (i < glyph.shape[0]) & (j >= 0) & (j < glyph.shape[1])
    return np.where(inside, glyph[np.where(inside, i, 0), np.where(inside, j, 0)], 0.0)


def _seen_right(d: np.ndarray) -> np.ndarray:
    """(H, W) bool: which left pixels the right picture shows, for whole disparities (H, W).

    Of those that fall on one place the nearest, with the largest disparity, hides the others.
    """
    height, width = d.shape
    places = np.arange(width) - d
    inside = (places >= 0) & (places < width)
    rows = np.broadcast_to(np.arange(height)[:, None], d.shape)
    front = np.full(d.shape, np.iinfo(np.int64).min)
    np.maximum.at(front, (rows[inside], places[inside]), d[inside])
    return inside & (front[rows, np.clip(places, 0, width - 1)] == d)


# ---------------------------------------------------------------- one picture for both eyes


def autostereogram(
    disparity: np.ndarray, pattern_px: int = 90, seed: int = 0, *, dot_px: int = 3
) -> np.ndarray:
    """The surface of disparity (H, W) px as one random-dot picture (H, W, 3) uint8.

    Seen with the eyes set on something behind the picture, its dots meet their next repetition:
    `separations` apart, pattern_px for the farthest things. Unknown pixels are taken as farthest.
    A picture narrower than four patterns gets a narrower pattern.
    Raises InputError for a map that isn't (H, W).
    """
    s = separations(disparity, pattern_px)
    height, width = s.shape
    left, right, seen = _sight_lines(s)
    # The nearest are written last: where rounding puts two things on one dot, they win it.
    order = np.argsort(-s[seen], kind="stable")
    rows = np.nonzero(seen)[0][order]
    partner = np.full((height, width), -1)
    partner[rows, right[seen][order]] = left[seen][order]
    rng = np.random.default_rng(seed)
    palette = np.array([(11, 31, 58), (0, 114, 178), (86, 180, 233), (240, 228, 200)], np.uint8)
    dots = rng.integers(0, len(palette), (-(-height // dot_px), -(-width // dot_px)))
    colour = dots.repeat(dot_px, 0).repeat(dot_px, 1)[:height, :width].copy()
    everywhere = np.arange(height)
    for x in range(width):  # a partner lies further left, so its dot is known by now
        p = partner[:, x]
        colour[:, x] = np.where(p >= 0, colour[everywhere, p], colour[:, x])
    return palette[colour]


def separations(disparity: np.ndarray, pattern_px: int = 90) -> np.ndarray:
    """How far apart both eyes' dots for a pixel lie: (H, W) int px from disparity (H, W) px.

    pattern_px for the farthest percent, a third less for the nearest, linear in between.
    """
    d = np.asarray(disparity, np.float64)
    if d.ndim != 2 or not d.size:
        raise InputError(f"A disparity map is (H, W), not {d.shape}. Give one number for a pixel.")
    pattern = int(max(1, min(pattern_px, d.shape[1] // 4)))
    known = d[np.isfinite(d)]
    if not known.size:
        return np.full(d.shape, pattern)
    low, high = np.percentile(known, (1, 99))
    near = np.clip((np.where(np.isfinite(d), d, low) - low) / max(high - low, 1e-9), 0, 1)
    return np.rint(pattern - near * (pattern // 3)).astype(int)


def _sight_lines(s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the two eyes' lines to each pixel cross the picture: left and right (H, W) columns,
    and whether both are inside and nothing nearer stands in their way.

    Along the left eye's line, t px further left, things are seen with separation s − 2t; what
    stands there with less is nearer and hides the pixel. The right eye's mirrors it.
    """
    width = s.shape[1]
    x = np.arange(width)
    left = x - s // 2
    right = left + s
    seen = (left >= 0) & (right < width)
    for t in range(1, (int(s.max()) - int(s.min())) // 2 + 1):
        if t >= width:
            break
        hidden = np.zeros_like(seen)
        hidden[:, t:] |= s[:, :-t] <= s[:, t:] - 2 * t
        hidden[:, :-t] |= s[:, t:] <= s[:, :-t] - 2 * t
        seen &= ~hidden
    return left, right, seen


def anaglyph(
    left: np.ndarray, right: np.ndarray, kind: str = "dubois", *, shift_px: int = 0
) -> np.ndarray:
    """Both pictures (H, W, 3) uint8 in one, for red–cyan glasses with red on the left eye.

    "colour": red of the left, green and blue of the right; "half": the same with the left in
    grey, calmer for the eyes; "grey": both in grey; "dubois": fitted to the glasses, fewest
    ghosts. What has a disparity of shift_px comes to lie in the plane of the screen, where eyes
    are at ease; the picture gets that much narrower, since both must show what is left.
    Raises InputError for another kind, pictures that differ in size, or too large a shift.
    """
    if kind not in ANAGLYPHS:
        raise InputError(f"There is no anaglyph {kind!r}. Choose one of: {', '.join(ANAGLYPHS)}.")
    if left.shape != right.shape or left.ndim != 3 or left.shape[2] != 3:
        raise InputError(
            "An anaglyph needs two colour pictures of one size. Crop or scale one of them."
        )
    width = left.shape[1]
    if not -width < shift_px < width:
        raise InputError(
            f"A shift of {shift_px} px leaves nothing of {width} px. Choose a smaller one."
        )
    left = left[:, max(shift_px, 0) : width + min(shift_px, 0)]
    right = right[:, max(-shift_px, 0) : width - max(shift_px, 0)]
    if kind == "colour":
        return np.dstack([left[..., 0], right[..., 1], right[..., 2]])
    red, cyan = np.diag([1.0, 0, 0]), np.diag([0, 1.0, 1.0])
    grey = np.tile(LUMA, (3, 1))
    of_left, of_right = {
        "dubois": (np.array(DUBOIS_LEFT), np.array(DUBOIS_RIGHT)),
        "grey": (red @ grey, cyan @ grey),
        "half": (red @ grey, cyan),
    }[kind]
    mixed = left @ of_left.T + right @ of_right.T
    return (np.clip(mixed, 0, 255) + 0.5).astype(np.uint8)
