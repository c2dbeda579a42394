"""Films: frames in, an mp4 out that every browser plays.

H.264 keeps colour at half the resolution (4:2:0), so width and height must be even: an odd picture
gets its last column or row once more. 'faststart' puts the index at the front of the file, so that
a browser can begin before it has everything.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from core.types import InputError


def write_mp4(path: str | Path, frames: np.ndarray, fps: float = 24.0, quality: int = 18) -> Path:
    """Writes frames (T, H, W, 3) uint8 RGB as H.264; gives the path back.

    fps in frames per second; quality is x264's constant rate factor: 0 lossless, 18 hardly
    distinguishable, 51 worst. Raises InputError for frames of another kind or a rate of 0.
    """
    import av

    frames = np.asarray(frames)
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or 0 in frames.shape:
        raise InputError(
            f"A film is RGB uint8 (T, H, W, 3), not {frames.dtype} {frames.shape}. Stack its frames."
        )
    if not 0 < fps <= 1000:
        raise InputError(f"{fps:g} frames per second can't be played. Choose 1 to 60.")
    odd_h, odd_w = frames.shape[1] % 2, frames.shape[2] % 2
    frames = np.pad(frames, ((0, 0), (0, odd_h), (0, odd_w), (0, 0)), mode="edge")
    rate = Fraction(fps).limit_denominator(1001)
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as file:
        stream = file.add_stream("libx264", rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(quality)}
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            file.mux(stream.encode(picture))
        file.mux(stream.encode())
    return Path(path)
