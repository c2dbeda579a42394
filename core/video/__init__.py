"""Films: reading what is in a file, taking frames out of it, and writing new ones."""

from core.video.facts import cost_lines
from core.video.reading import frames_of, probe, sample, shots, thumbnails
from core.video.subtitles import Burned, burn_in
from core.video.types import Cue, Frames, SampleSettings, VideoInfo
from core.video.writing import write_mp4

__all__ = [
    "Burned", "Cue", "Frames", "SampleSettings", "VideoInfo", "burn_in", "cost_lines",
    "frames_of", "probe", "sample", "shots", "thumbnails", "write_mp4",
]  # fmt: skip
