"""What goes into stereo and what comes out: settings, calibration, result, pair.

Disparity d of a pixel of the left picture: its partner in the right picture lies d pixels further
left, u_right = u_left − d, in the same row. Near things have a large disparity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from core.recipe import Recipe
from core.types import Rig, Settings, setting

METHODS = {
    "refined": "Refined",
    "sgbm": "Semi-global (OpenCV)",
    "block": "Block matching",
    "mono": "One picture: Depth Anything V2 (hub)",
}

METHOD_HELP = {
    "refined": "Census and gradients, semi-global paths, left–right check, small planes where none match.",
    "sgbm": "OpenCV's StereoSGBM: paths from several sides pay for every jump in disparity.",
    "block": "Compares small windows, each pixel for itself: the idea before smoothness.",
}

USES = {  # of the settings that not every method reads, those that each does
    "refined": ("small_step", "big_step"),
    "sgbm": ("window_px", "mode", "small_step", "big_step"),
    "block": ("window_px", "window_cost"),
    "mono": ("small_step", "big_step"),  # refined stereo gives it scale and shift
}

MODES = {"sgbm": "5 paths", "hh": "8 paths", "3way": "3 paths", "hh4": "4 paths"}
WINDOW_COSTS = {"bm": "OpenCV BM", "sad": "SAD", "zncc": "ZNCC", "census": "Census"}


@dataclass(frozen=True)
class StereoSettings(Settings):
    """How the disparity of every pixel is found. USES says which method reads what."""

    method: str = setting("refined", "Method", METHOD_HELP["refined"], choices=METHODS)
    min_disparity_px: int = setting(
        0, "Least disparity", "Nothing is farther than this.",
        minimum=-256, maximum=256, step=1, unit="px", advanced=True,
    )  # fmt: skip
    max_disparity_px: int = setting(
        64, "Largest disparity", "Nothing is nearer than this; a longer search takes longer.",
        minimum=8, maximum=512, step=8, unit="px",
    )  # fmt: skip
    window_px: int = setting(
        5, "Window", "Side of the compared squares, odd; for block matching and SGBM.",
        minimum=1, maximum=31, step=2, unit="px", advanced=True,
    )  # fmt: skip
    window_cost: str = setting(
        "bm", "Window cost", "What block matching compares.", choices=WINDOW_COSTS, advanced=True
    )
    mode: str = setting(
        "hh", "SGBM paths", "From how many sides OpenCV's method smooths.",
        choices=MODES, advanced=True,
    )  # fmt: skip
    small_step: float = setting(
        1.0, "P1", "Price of a step of one pixel in disparity, relative to the method's own.",
        minimum=0.0, maximum=8.0, step=0.05, advanced=True,
    )  # fmt: skip
    big_step: float = setting(
        1.0, "P2", "Price of any larger jump, relative to the method's own.",
        minimum=0.0, maximum=8.0, step=0.05, advanced=True,
    )  # fmt: skip
    uniqueness: int = setting(
        0, "Uniqueness", "The best must beat the runner-up by so much, or the pixel is unknown.",
        minimum=0, maximum=50, step=1, unit="%", advanced=True,
    )  # fmt: skip
    check_px: float = setting(
        1.0, "Left–right check", "Both directions must agree to this, or the pixel is occluded.",
        minimum=0.0, maximum=16.0, step=0.5, unit="px", advanced=True,
    )  # fmt: skip
    fill: bool = setting(
        True, "Fill", "Give unknown pixels the disparity of the surface or background beside them."
    )
    max_side_px: int = setting(
        1500, "Working size", "Larger pairs are matched at this size.",
        minimum=64, maximum=8192, step=16, unit="px", advanced=True,
    )  # fmt: skip


@dataclass(frozen=True)
class Calibration:
    """Two calibrated cameras, not yet rectified.

    K0, K1 (3, 3) px, pixel centres at half numbers; distortion0, distortion1 (n,) in OpenCV's
    order k1 k2 p1 p2 k3 …; R (3, 3) and t (3,): x_right = R x_left + t, t in `unit`; size is
    (width, height) px of the pictures it was made with, (0, 0) if unknown. rms_px is the
    reprojection error, NaN if unknown.
    """

    K0: np.ndarray
    K1: np.ndarray
    distortion0: np.ndarray
    distortion1: np.ndarray
    R: np.ndarray
    t: np.ndarray
    size: tuple[int, int]
    unit: str = "m"
    rms_px: float = float("nan")


@dataclass(frozen=True)
class StereoResult:
    """disparity (H, W) float32 px, NaN unknown; confidence (H, W) float32 in [0, 1].

    matched (H, W) float32: the disparity before anything was filled, NaN where nothing was found
    (of one picture: what was seen in it; nothing is matched);
    occluded (H, W) bool: where the left–right check failed. seconds from pair to result, stages
    the same by step. notes are plain sentences about what a person should know.
    """

    disparity: np.ndarray
    confidence: np.ndarray
    seconds: float
    matched: np.ndarray
    occluded: np.ndarray
    settings: StereoSettings
    recipe: Recipe
    stages: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shape = self.disparity.shape
        rest = (self.confidence, self.matched, self.occluded)
        if len(shape) != 2 or any(a.shape != shape for a in rest):
            raise ValueError("stereo: disparity, confidence, matched and occluded are all (H, W)")
        if self.disparity.dtype != np.float32 or self.occluded.dtype != bool:
            raise ValueError("stereo: disparity is float32, occluded bool")


@dataclass(frozen=True)
class Truth:
    """disparity (H, W) float32 px, NaN where unknown; occluded (H, W) bool or None if unknown."""

    disparity: np.ndarray
    occluded: np.ndarray | None = None


@dataclass(frozen=True)
class Pair:
    """left, right (H, W, 3) uint8, rectified; rig None if unknown. valid (H, W) bool: where the left
    picture shows anything, None if everywhere: rectifying leaves empty corners."""

    left: np.ndarray
    right: np.ndarray
    truth: Truth | None = None
    rig: Rig | None = None
    title: str = ""
    valid: np.ndarray | None = None
