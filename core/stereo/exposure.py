"""How much brighter one picture is than the other, told at matched places.

Two sensors rarely expose alike. A cost that compares colours then pays everywhere, so the right
picture is brought to the left one's level first: left = gain · right + offset, channel by channel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

SIGMA_PX = 1.5  # blur before sampling: noise and half a pixel of misplacement shall not matter
STEP_PX = 3  # nine samples around each match, this far apart
CLIPPED = 4, 251  # grey levels outside say nothing about gain
FEWEST = 30  # samples of a channel
FLAT = 12.0  # grey levels of spread below which a gain can't be told from an offset
MOST_GAIN = 16.0


@dataclass(frozen=True)
class Exposure:
    """left ≈ gain · right + offset, each (3,), in grey levels, channel by channel.

    level_left and level_right: the median level at matched places, mean of the channels. differ
    and rest: the median distance between left and right there, without sign, before and after
    equalising. NaN where too few places can be compared; gain is 1 and offset 0 then.
    """

    gain: np.ndarray
    offset: np.ndarray
    level_left: float = math.nan
    level_right: float = math.nan
    differ: float = math.nan
    rest: float = math.nan


def exposure(
    left: np.ndarray, right: np.ndarray, points_left: np.ndarray, points_right: np.ndarray
) -> Exposure:
    """Compare pictures, RGB uint8 (H, W, 3), at and around matches, (N, 2) px each."""
    seen_left, seen_right = _samples(left, points_left), _samples(right, points_right)
    both = np.stack([seen_left, seen_right])  # (2, M, 3)
    both = both[:, np.isfinite(both).all((0, 2))]
    low, high = CLIPPED
    gain, offset, told = np.ones(3), np.zeros(3), []
    for k in range(3):
        y, x = both[:, ((both[..., k] > low) & (both[..., k] < high)).all(0), k]
        if len(x) < FEWEST:
            continue
        gain[k], offset[k] = _line(x, y)
        rest = np.median(np.abs(y - gain[k] * x - offset[k]))
        told.append([np.median(y), np.median(x), np.median(np.abs(y - x)), rest])
    return Exposure(gain, offset, *np.mean(told, 0).tolist()) if told else Exposure(gain, offset)


def equalised(right: np.ndarray, found: Exposure) -> np.ndarray:
    """The right picture at the left one's level, RGB uint8."""
    return np.clip(right * found.gain + found.offset + 0.5, 0, 255).astype(np.uint8)


def _samples(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(9 N, 3) blurred colours at and around the points, NaN outside the picture."""
    import cv2

    smooth = cv2.GaussianBlur(picture, (0, 0), SIGMA_PX).astype(np.float64)
    height, width = picture.shape[:2]
    around = np.stack(np.meshgrid([-STEP_PX, 0, STEP_PX], [-STEP_PX, 0, STEP_PX]), -1)
    places = np.floor(points[:, None] + around.reshape(1, 9, 2)).astype(int).reshape(-1, 2)
    inside = ((places >= 0) & (places < (width, height))).all(1)
    found = np.full((len(places), 3), np.nan)
    found[inside] = smooth[places[inside, 1], places[inside, 0]]
    return found


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """y ≈ gain · x + offset, by least squares without outliers (Tukey's biweight). A gain alone
    where brightness hardly varies.
    """
    gain, offset = float(np.median(y) / np.median(x)), 0.0
    if x.std() < FLAT:
        return float(np.clip(gain, 1 / MOST_GAIN, MOST_GAIN)), 0.0
    for _ in range(10):
        errors = y - gain * x - offset
        scale = max(1.0, 1.4826 * float(np.median(np.abs(errors))))
        weights = np.maximum(0, 1 - (errors / (4.685 * scale)) ** 2) ** 2
        total = weights.sum()
        mean_x, mean_y = (weights * x).sum() / total, (weights * y).sum() / total
        slope = (weights * (x - mean_x) * (y - mean_y)).sum()
        gain = float(slope / max((weights * (x - mean_x) ** 2).sum(), 1e-9))
        gain = float(np.clip(gain, 1 / MOST_GAIN, MOST_GAIN))
        offset = float(mean_y - gain * mean_x)
    return gain, offset
