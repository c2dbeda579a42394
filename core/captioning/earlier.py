"""What video models were given before they learnt motion themselves: optical flow and differences.

Two-stream nets (Simonyan and Zisserman 2014) see flow as pictures. It is computed here by Farnebäck's
method (2003), which fits a parabola to each neighbourhood and asks how it has moved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.scenes.gallery import flow_colours
from core.types import InputError
from core.video import Frames

GAIN = 2  # of differences, to be seen


@dataclass(frozen=True)
class Earlier:
    """Between each two neighbours of N frames: flow (N−1, H, W, 3) uint8 as colours (direction) and
    saturation (length), longest_px (N−1,) the longest motion; difference (N−1, H, W, 3) uint8,
    GAIN times around grey."""

    flow: np.ndarray
    longest_px: np.ndarray
    difference: np.ndarray


def motion(frames: Frames) -> Earlier:
    """Flow and differences of neighbouring frames. Raises InputError for a single frame."""
    import cv2

    if len(frames) < 2:
        raise InputError("One frame holds no motion. Choose two or more.")
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in frames.images]
    flows, longest, apart = [], [], []
    for k in range(len(grey) - 1):
        flow = cv2.calcOpticalFlowFarneback(
            grey[k], grey[k + 1], np.zeros((*grey[k].shape, 2), np.float32), 0.5, 4, 15, 3, 5, 1.1, 0
        )  # fmt: skip
        flows.append(flow_colours(flow))
        longest.append(float(np.hypot(flow[..., 0], flow[..., 1]).max()))
        change = frames.images[k + 1].astype(np.int16) - frames.images[k]
        apart.append(np.clip(128 + GAIN * change, 0, 255).astype(np.uint8))
    return Earlier(np.stack(flows), np.array(longest), np.stack(apart))
