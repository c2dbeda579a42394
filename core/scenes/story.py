"""Stories: short clips whose events are known exactly, with captions that say them.

A story is invented and checked first (`plot`), then filmed: all frames in one pass of the
renderer, and told: several captions from the same facts. Training uses `film`, which films many
plots at once and leaves the frames on the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.scenes.cast import StorySettings, held_out
from core.scenes.facts import Facts
from core.scenes.language import captions
from core.scenes.plot import Plot, plot
from core.scenes.render import RenderSettings, render_batch, to_bytes
from core.types import Camera

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Plot", "Story", "StorySettings", "film", "held_out", "plot", "story"]


@dataclass(frozen=True)
class Story:
    """A filmed story.

    frames (T, H, W, 3) uint8; times_s (T,) float64, when each frame was taken; facts, and captions
    that each state all the events; cameras (T,); plot, from which any other instant can be
    filmed.
    """

    frames: np.ndarray
    times_s: np.ndarray
    facts: Facts
    captions: tuple[str, ...]
    cameras: tuple[Camera, ...]
    plot: Plot


def story(
    seed: int,
    settings: StorySettings = StorySettings(),
    render_settings: RenderSettings = RenderSettings(),
) -> Story:
    """The story of a seed: the same seed and settings give the same frames and words."""
    made = plot(seed, settings)
    size = (settings.size_px, settings.size_px)
    frames = to_bytes(film([made], size, render_settings)[0]).cpu().numpy()
    cameras = tuple(made.frame(float(t), size)[1] for t in made.times_s)
    told = captions(made.facts, 5, seed)
    return Story(frames, made.times_s, made.facts, told, cameras, made)


def film(
    plots: Sequence[Plot],
    size: tuple[int, int] = (64, 64),
    settings: RenderSettings = RenderSettings(),
) -> Tensor:
    """Frames of several plots (N, T, H, W, 3) float32 sRGB in [0, 1], on the renderer's device.

    size is (width, height) px; the plots have the same number of frames.
    """
    shots = [made.frame(float(t), size) for made in plots for t in made.times_s]
    scenes, cameras = [shot[0] for shot in shots], [shot[1] for shot in shots]
    rgb = render_batch(scenes, cameras, settings, truth=False)["rgb"]
    return rgb.reshape(len(plots), -1, *rgb.shape[1:])
