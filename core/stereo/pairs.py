"""Pairs to measure: rendered ones with exact truth, random dots, or a person's own two pictures.

The rig of an example is known exactly, so its depth is in metres. A pair can also be spoiled on
purpose, the way pairs go wrong in practice, to see what the check before matching says of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from core import images
from core.stereo.types import Pair, Truth
from core.types import METRES, InputError, Rig, Settings, setting

SOURCES = {"example": "An example", "dots": "Random dots", "own": "Your own pair"}
EXAMPLES = {
    "tabletop": "Tabletop",
    "street": "Street of boxes",
    "gallery": "Gallery wall",
    "thin": "Thin structures",
    "mirror": "Mirror ball",
    "terrain": "Hills",
    "random": "Random scene",
}
TITLES = {
    "tabletop": "Tabletop: glossy and matte things close by",
    "street": "Street of boxes: long, bare walls",
    "gallery": "Gallery wall: rich texture, nearly flat",
    "thin": "Thin structures: wires and bars narrower than any window",
    "mirror": "Mirror ball: what it shows is not where it is",
    "terrain": "Hills: smooth slopes and a lake, where small planes are led astray",
    "random": "A scene drawn by its seed",
}
BASELINES_M = {  # the nearest thing then has about 50 px at SIZE
    "tabletop": 0.16, "street": 0.4, "gallery": 0.35, "thin": 0.2, "mirror": 0.15,
    "terrain": 0.7, "random": 0.16,
}  # fmt: skip
SIZE = 480, 360
SPOILS = {
    "none": "Nothing",
    "swapped": "Swapped pictures",
    "shifted": "Right one 3 px lower",
    "rotated": "Right one turned 1°",
    "dark": "Right one at half exposure",
    "same": "Left one twice",
}
SHAPES = {"square": "Square", "steps": "Steps", "wave": "Wave", "letter": "Letter"}
UNITS = {unit: unit for unit in METRES}


@dataclass(frozen=True)
class SourceSettings(Settings):
    """Where the two pictures come from."""

    source: str = setting(
        "example", "Pictures", "A rendered pair, a stereogram, or your own.", choices=SOURCES
    )
    example: str = setting("tabletop", "Example", "Depth is known exactly.", choices=EXAMPLES)
    baseline_scale: float = setting(
        1.0, "Baseline ×", "Moves the two cameras apart or together.",
        minimum=0.25, maximum=2.0, step=0.05,
    )  # fmt: skip
    spoil: str = setting(
        "none", "Spoil", "Break the pair as it happens in practice; see what the check says.",
        choices=SPOILS,
    )  # fmt: skip
    grain: float = setting(
        0.25, "Grain", "How much surfaces vary from grain to grain; at 0 bare ones match nowhere.",
        minimum=0.0, maximum=0.6, step=0.05,
    )  # fmt: skip
    noise: float = setting(
        0.01, "Noise", "Sigma of the sensors' noise; white minus black is 1.",
        minimum=0.0, maximum=0.2, step=0.005, advanced=True,
    )  # fmt: skip
    dots_shape: str = setting("steps", "Hidden shape", "Seen by two eyes only.", choices=SHAPES)
    dots_disparity_px: int = setting(
        24, "Its disparity", "How far the shape stands out.",
        minimum=2, maximum=60, step=1, unit="px",
    )  # fmt: skip
    dots_noise: float = setting(
        0.0, "Uncorrelated dots", "This share of the right picture's dots is drawn anew.",
        minimum=0.0, maximum=0.9, step=0.05,
    )  # fmt: skip
    side_by_side: bool = setting(
        False, "One picture holds both", "Left half and right half, side by side."
    )
    truth_scale: float = setting(
        0.0, "Scale of the truth", "Of an 8-bit picture: its value for one pixel of disparity.",
        minimum=0.0, maximum=256.0, step=0.5,
    )  # fmt: skip
    pair_seed: int = setting(
        0, "Picture seed", "Fixes noise, dots and the random scene.",
        minimum=0, maximum=2**31 - 1, step=1, advanced=True,
    )  # fmt: skip


@dataclass(frozen=True)
class RigSettings(Settings):
    """The rig of a person's own rectified pair. Focal length 0: unknown, so no depth."""

    focal_px: float = setting(
        0.0, "Focal length", "0: unknown; then there is disparity but no depth.",
        minimum=0.0, maximum=100000.0, step=1.0, unit="px",
    )  # fmt: skip
    baseline: float = setting(
        0.1, "Baseline", "From one camera's centre to the other's, in the unit below.",
        minimum=1e-6, maximum=100000.0, step=0.001,
    )  # fmt: skip
    rig_unit: str = setting("m", "Unit", "Of the baseline, and of every depth.", choices=UNITS)
    cx_px: float = setting(
        0.0, "Principal point x", "Of the left camera; 0: the middle.",
        minimum=0.0, maximum=100000.0, step=0.5, unit="px", advanced=True,
    )  # fmt: skip
    cy_px: float = setting(
        0.0, "Principal point y", "0: the middle.",
        minimum=0.0, maximum=100000.0, step=0.5, unit="px", advanced=True,
    )  # fmt: skip
    doffs_px: float = setting(
        0.0, "Offset of disparities", "Right principal point's x minus the left one's.",
        minimum=-10000.0, maximum=10000.0, step=0.5, unit="px", advanced=True,
    )  # fmt: skip


def make_pair(
    settings: SourceSettings = SourceSettings(),
    rig: RigSettings = RigSettings(),
    left: np.ndarray | None = None,
    right: np.ndarray | None = None,
) -> Pair:
    """The pair that `settings` ask for, with truth and rig where they are known.

    left and right (H, W, 3) uint8 are needed for a pair of one's own, left alone if it holds both
    side by side. Raises InputError if a picture is missing or the sizes differ.
    """
    if settings.source == "own":
        return _own(settings, rig, left, right)
    if settings.source == "dots":
        from core.stereo.dots import random_dots

        pair = random_dots(
            settings.dots_shape, SIZE, seed=settings.pair_seed, noise=settings.dots_noise,
            max_disparity_px=settings.dots_disparity_px,
        )  # fmt: skip
    else:
        pair = _rendered(
            settings.example, settings.baseline_scale, settings.grain, settings.pair_seed
        )
        pair = _noisy(pair, settings.noise, settings.pair_seed)
    return spoiled(pair, settings.spoil)


@lru_cache(maxsize=8)
def _rendered(key: str, baseline_scale: float, grain: float, seed: int) -> Pair:
    """The example `key`; its arrays are shared, so don't write into them."""
    from core.scenes import random_scene, scene, stereo_pair

    world = random_scene(seed) if key == "random" else scene(key)
    made = stereo_pair(world.rough(grain), BASELINES_M[key] * baseline_scale, SIZE)
    truth = Truth(made.disparity_px, made.occluded)
    return Pair(made.left, made.right, truth, made.rig, TITLES[key])


def _noisy(pair: Pair, sigma: float, seed: int) -> Pair:
    """Sensor noise, drawn for each eye by itself."""
    if sigma == 0:
        return pair
    rng = np.random.default_rng([seed, 1])
    eyes = [
        np.clip(eye + rng.normal(0, 255 * sigma, eye.shape) + 0.5, 0, 255).astype(np.uint8)
        for eye in (pair.left, pair.right)
    ]
    return replace(pair, left=eyes[0], right=eyes[1])


def _own(
    settings: SourceSettings, rig: RigSettings, left: np.ndarray | None, right: np.ndarray | None
) -> Pair:
    if settings.side_by_side:
        both = images.as_rgb(left, "The picture with both halves")
        half = both.shape[1] // 2
        if half < 1:
            raise InputError("The picture is one pixel wide, so it has no halves. Give another.")
        left, right = both[:, :half].copy(), both[:, -half:].copy()
    left, right = images.as_rgb(left, "The left picture"), images.as_rgb(right, "The right picture")
    check_sizes(left, right)
    height, width = left.shape[:2]
    known = None
    if rig.focal_px > 0:
        known = Rig(
            rig.focal_px, rig.baseline, rig.cx_px or width / 2, rig.cy_px or height / 2,
            rig.doffs_px, rig.rig_unit,
        )  # fmt: skip
    return Pair(left, right, None, known, "Your own pair")


def check_sizes(left: np.ndarray, right: np.ndarray) -> None:
    """Raises InputError unless both pictures have one size."""
    if left.shape == right.shape:
        return
    (h0, w0), (h1, w1) = left.shape[:2], right.shape[:2]
    turned = (h0 > w0) != (h1 > w1)
    why = "One stands upright, the other lies. Turn one of them" if turned else "Crop or scale one"
    raise InputError(
        f"The left picture is {w0}×{h0} px, the right one {w1}×{h1} px. {why}, so that both have "
        "one size."
    )


def spoiled(pair: Pair, how: str) -> Pair:
    """The pair as it goes wrong in practice; `how` is a key of SPOILS.

    The truth stays that of the left picture; where the left picture becomes another one, there is
    none. Raises InputError for an unknown key.
    """
    import cv2

    if how not in SPOILS:
        raise InputError(f"A pair can't be spoiled by {how!r}. Choose one of: {', '.join(SPOILS)}.")
    left, right = pair.left, pair.right
    height, width = right.shape[:2]
    if how == "swapped":
        return replace(pair, left=right, right=left, truth=None)
    if how == "same":
        return replace(pair, right=left.copy(), truth=None)
    if how == "dark":
        return replace(pair, right=(right * 0.5 + 0.5).astype(np.uint8))
    if how in ("shifted", "rotated"):
        middle = (width - 1) / 2, (height - 1) / 2
        move = cv2.getRotationMatrix2D(middle, 1.0 if how == "rotated" else 0.0, 1.0)
        move[1, 2] += 3.0 if how == "shifted" else 0.0
        moved = cv2.warpAffine(
            right, move, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        return replace(pair, right=moved)
    return pair
