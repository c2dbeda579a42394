"""What a video is, and what is taken from it.

A frame is shown from its presentation time (pts × time base) on. In files of a variable rate these
are not index / rate, so a frame always carries its own second.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from core.types import InputError, Settings, setting

PICKS = {
    "uniform": "Evenly spaced",
    "every": "Every k-th",
    "fps": "Fixed rate",
    "scenes": "Scene changes",
    "kmeans": "k-means on colour",
    "hand": "By hand",
}


@dataclass(frozen=True)
class SampleSettings(Settings):
    """Which frames are taken, and from which part of the clip."""

    pick: str = setting("uniform", "Frames", "How the frames are chosen.", choices=PICKS)
    count: int = setting(
        8, "How many", "At most so many frames go to the model.", minimum=1, maximum=64, step=1
    )
    every: int = setting(
        10, "k", "Of 'every k-th'.", minimum=1, maximum=10_000, step=1, advanced=True
    )
    fps: float = setting(
        1.0, "Rate", "Of 'fixed rate'.", minimum=0.01, maximum=60.0, step=0.01, unit="1/s",
        advanced=True,
    )  # fmt: skip
    start_s: float = setting(
        0.0, "From", "In point.", minimum=0.0, maximum=360_000.0, step=0.01, unit="s", advanced=True
    )
    end_s: float = setting(
        0.0, "To", "Out point; 0 is the end.", minimum=0.0, maximum=360_000.0, step=0.01, unit="s",
        advanced=True,
    )  # fmt: skip
    by_hand: str = setting(
        "", "Frames by hand", "Press them above, or give their numbers from 0: 0, 12, 48.",
        advanced=True,
    )  # fmt: skip
    max_px: int = setting(
        720, "Longer side", "Larger frames are made smaller as they are decoded.",
        minimum=64, maximum=4096, step=16, unit="px", advanced=True,
    )  # fmt: skip


@dataclass(frozen=True)
class VideoInfo:
    """Facts of a file.

    width, height (px, as shown: turned by the file's rotation); fps mean frames per second, NaN if
    unknown; variable: whether frames last differently long; duration_s, NaN if unknown; frames,
    bytes, bit_rate (bits/s, of the whole file); codec, container, pixel_format; rotation_deg;
    bits per channel; alpha, hdr, audio. notes are plain sentences on what is odd.
    """

    width: int
    height: int
    fps: float
    variable: bool
    duration_s: float
    frames: int
    bytes: int
    bit_rate: float
    codec: str
    container: str
    pixel_format: str
    rotation_deg: int = 0
    bits: int = 8
    alpha: bool = False
    hdr: bool = False
    audio: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Frames:
    """Frames of a clip, in the order of time.

    images (N, H, W, 3) uint8 sRGB; times_s (N,) float64, presentation times from the clip's start;
    indices (N,) int64, their numbers in the file, from 0. notes: what could not be decoded.
    clip_s: how long the whole clip is, NaN if unknown.
    """

    images: np.ndarray
    times_s: np.ndarray
    indices: np.ndarray
    notes: tuple[str, ...] = ()
    clip_s: float = float("nan")

    def __post_init__(self) -> None:
        n = len(self.images)
        if self.images.ndim != 4 or self.images.shape[3] != 3 or self.images.dtype != np.uint8:
            raise InputError("Frames are RGB uint8 (N, H, W, 3). Stack pictures of one size.")
        if n == 0:
            raise InputError("There are no frames. Choose a longer part of the clip.")
        if self.times_s.shape != (n,) or self.indices.shape != (n,):
            raise InputError(f"{n} frames need {n} times and {n} indices.")

    def __len__(self) -> int:
        return len(self.images)

    def taken(self, which: np.ndarray | slice) -> Frames:
        """Some of them, by their places here."""
        return replace(
            self, images=self.images[which], times_s=self.times_s[which],
            indices=self.indices[which],
        )  # fmt: skip


@dataclass(frozen=True)
class Cue:
    """A line of subtitles: shown from start_s until end_s, seconds from the clip's start."""

    start_s: float
    end_s: float
    text: str
