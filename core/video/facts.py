"""The facts of a film, what is odd about it, and what each fact costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from core.video import colour
from core.video.types import VideoInfo

if TYPE_CHECKING:
    from core.video.film import Film


def facts(film: Film, frame: Any) -> VideoInfo:
    """What the stream, its index and its first decoded frame say."""
    stream, size = film.stream, film.path.stat().st_size
    width, height = (round(side) for side in film.shape)
    steps = np.diff(film.times_s)
    close_s = max(2.5 * float(stream.time_base), 0.05 * film.step_s)  # containers round times
    lasts = film.end_s > film.times_s[0]
    return VideoInfo(
        width=height if film.turn[0] == 0 else width,
        height=width if film.turn[0] == 0 else height,
        fps=_rate(film),
        variable=len(steps) > 0 and bool((np.abs(steps - film.step_s) > close_s).any()),
        duration_s=film.end_s if lasts else float("nan"),
        frames=len(film.times_s),
        bytes=size,
        bit_rate=8 * size / film.end_s if lasts else float("nan"),
        codec=stream.codec_context.codec.canonical_name,
        container=film.container.format.name,
        pixel_format=frame.format.name,
        rotation_deg=colour.degrees(film.turn),
        bits=_bits(frame),
        alpha=colour.has_alpha(frame),
        hdr=colour.is_hdr(frame),
        audio=len(film.container.streams.audio) > 0,
        notes=tuple(film.notes),
    )


def remarks(film: Film, frame: Any) -> list[str]:
    """What is done to every frame, a sentence each."""
    notes, degrees = [], colour.degrees(film.turn)
    if film.turn != (1, 0, 0, 1):
        way = f"turned by {degrees}°" if degrees else "mirrored"
        notes.append(f"Frames are {way}, as the file asks.")
    if film.ratio != 1:
        notes.append(f"Pixels are {film.ratio:.3g} times as wide as high; frames are made square.")
    if colour.is_hdr(frame):
        notes.append("HDR is brought to the 8-bit sRGB of a page: highlights are compressed.")
    elif _bits(frame) > 8:
        notes.append(f"{_bits(frame)} bits per channel are rounded to 8.")
    if colour.has_alpha(frame):
        notes.append("Transparent parts are shown on white.")
    elif film.stream.metadata.get("alpha_mode") == "1":
        notes.append("The file's transparency can't be read: frames are opaque.")
    return notes


def _rate(film: Film) -> float:
    lasts_s = float(film.times_s[-1] - film.times_s[0])
    if lasts_s > 0:
        return (len(film.times_s) - 1) / lasts_s
    rate = film.stream.average_rate or film.stream.guessed_rate
    return float(rate) if rate else float("nan")


def _bits(frame: Any) -> int:
    return max((part.bits for part in frame.format.components), default=8)


def listed(numbers: Sequence[int]) -> str:
    """'Frame 3', 'Frames 3, 5 …'."""
    shown = ", ".join(str(n) for n in numbers[:8]) + " …" * (len(numbers) > 8)
    return f"Frame{'s' * (len(numbers) > 1)} {shown}"


def cost_lines(info: VideoInfo) -> list[tuple[str, str, str]]:
    """The facts strip: name, value, and what it costs, for each fact."""
    megapixels = info.width * info.height / 1e6
    rate = "unknown" if np.isnan(info.fps) else f"{info.fps:.4g} frames/s"
    kind = "variable" if info.variable else "constant"
    per_s = megapixels * 3 * info.fps
    raw = "" if np.isnan(per_s) else f"; raw, a second would be {per_s:.3g} MB"
    ratio = info.width * info.height * 3 * 8 * info.fps / info.bit_rate if info.bit_rate else 0
    return [
        ("Resolution", f"{info.width}×{info.height} px",
         f"{megapixels:.3g} megapixels, {megapixels * 3:.3g} MB a decoded frame; work grows with it."),
        ("Frame rate", rate if np.isnan(info.fps) else f"{rate}, {kind}",
         "Frames last differently long: number / rate is not the time, so each carries its own."
         if info.variable else f"More frames a second cost decoding, not meaning{raw}."),
        ("Bit rate", "unknown" if np.isnan(info.bit_rate) else f"{info.bit_rate / 1e6:.3g} Mbit/s",
         "Sets the file's size and what detail is left."
         + (f" {ratio:.0f} times smaller than raw." if ratio and ratio > 1.5 else "")),
        ("Codec", f"{info.codec}, {info.pixel_format}, {info.bits} bit",
         "A frame is decoded from the keyframe before it: single frames cost their neighbours."),
        ("Duration", "unknown" if np.isnan(info.duration_s) else clock(info.duration_s),
         "The longer, the more happens between the frames that a model sees."),
        ("Frames", f"{info.frames:,}", "A model sees only the chosen few of them."),
        ("Size", f"{info.bytes / 1e6:.3g} MB", "To upload and to look through once for the index."),
    ]  # fmt: skip


def clock(seconds: float) -> str:
    """Seconds as people write them: 9.64 s, 3:05 min, 2:03:05 h."""
    if seconds < 60:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d} h"
