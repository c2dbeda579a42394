"""Subtitles drawn into a film: decoded, written on, encoded again, one frame at a time.

White letters with a black edge can be read on any picture. Frames keep their times, whatever the
rate: the new file counts in 1/90000 s, of which every usual frame rate is a multiple.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.types import InputError, Progress, silent
from core.video.source import Source, open_source
from core.video.types import Cue

TICKS = 90_000  # a second
HOURS_S = 6 * 3600.0  # the longest that burning may take
MOST_LETTERS = 1000  # of what is said at a time
LETTERS, LINE, MARGIN, WIDE = 0.055, 1.25, 0.04, 0.92  # of the height; of a letter; of the width


@dataclass(frozen=True)
class Burned:
    """A film with subtitles: where it is, its frames and seconds, and what was left out."""

    path: Path
    frames: int
    seconds: float
    notes: tuple[str, ...] = ()


def burn_in(
    path: str | Path, cues: Sequence[Cue], out: str | Path, *,
    quality: int = 20, max_px: int = 1920, progress: Progress = silent,
) -> Burned:  # fmt: skip
    """Draws `cues` into the clip at `path` and writes it as H.264 mp4 to `out`.

    quality is x264's constant rate factor (0 lossless, 51 worst); frames over `max_px` are made
    smaller. Sound is copied if it is AAC, else left out, and a note says so. Raises InputError for
    what isn't a clip, for cues that end before they begin, and if `out` can't be written.
    """
    target = Path(out)
    for number, cue in enumerate(cues, 1):
        if not (math.isfinite(cue.start_s) and math.isfinite(cue.end_s)):
            raise InputError(f"Subtitle {number} has no times. Give its start and end in seconds.")
        if cue.end_s <= cue.start_s:
            raise InputError(
                f"Subtitle {number} ends at {cue.end_s:g} s, not after its start at "
                f"{cue.start_s:g} s. Give a later end."
            )
    source = None
    try:
        source = open_source(path, HOURS_S)
        if target.exists() and target.samefile(path):
            raise InputError("The film can't be written over itself. Give another name.")
        return _burned(source, list(cues), target, quality, max_px, progress)
    except TimeoutError:
        raise InputError("This clip takes hours to encode. Cut out a shorter part first.") from None
    finally:
        if source is not None:
            source.close()


def _burned(
    source: Source, cues: list[Cue], target: Path, quality: int, max_px: int, progress: Progress
) -> Burned:
    import av
    from av.error import FFmpegError

    notes = [*_missing_letters(cues)]
    try:
        target.open("wb").close()
        file = av.open(str(target), "w", format="mp4", options={"movflags": "faststart"})
    except (FFmpegError, OSError):
        raise InputError(f"{target.name} can't be written there. Choose another folder.") from None
    try:
        with file, closing(_Sound(source, file)) as sound:
            film, count, text = None, 0, _Text(cues)
            for picture in source.stretch(0, len(source.times_s) - 1, max_px):
                image = text.on(picture.image, picture.time_s)
                film = film or _Encoder(file, image.shape, source.info.fps, quality)
                film.add(image, _ticks(picture.time_s), sound)
                count += 1
                progress(count / len(source.times_s), desc="burning in subtitles")
            if film is None:
                raise InputError("No frame of the clip can be decoded. Choose another file.")
            film.finish(_ticks(source.end_s), sound)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    lost = len(source.times_s) - count
    if lost:
        notes.append(f"{lost} of {len(source.times_s)} frames can't be decoded and are left out.")
    return Burned(target, count, source.end_s, (*source.notes, *sound.notes, *notes))


def _ticks(seconds: float) -> int:
    return round(seconds * TICKS)


# ---------------------------------------------------------------- film and sound


class _Encoder:
    """RGB frames with times, to H.264 in BT.709."""

    def __init__(self, file: Any, shape: tuple[int, ...], fps: float, quality: int) -> None:
        from fractions import Fraction

        rate = Fraction(min(max(fps, 1), 1000) if math.isfinite(fps) else 25)
        self.file, self.stream = file, file.add_stream("libx264", rate=rate.limit_denominator(1001))
        self.stream.height, self.stream.width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
        self.stream.pix_fmt = "yuv420p"
        self.stream.options = {"crf": str(quality), "preset": "veryfast"}
        context = self.stream.codec_context
        context.time_base = self.time_base = Fraction(1, TICKS)
        context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
        context.color_range = 1
        self.starts: list[int] = []

    def add(self, image: np.ndarray, ticks: int, sound: _Sound) -> None:
        import av

        odd = (0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0)
        frame = av.VideoFrame.from_ndarray(np.pad(image, odd, mode="edge"), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        if self.starts and ticks <= self.starts[-1]:
            ticks = self.starts[-1] + 1
        self.starts.append(ticks)
        frame.pts, frame.time_base = ticks, self.time_base
        self._mux(self.stream.encode(frame), sound)

    def finish(self, end: int, sound: _Sound) -> None:
        self.last = max(1, end - self.starts[-1])
        self._mux(self.stream.encode(), sound)
        sound.until(math.inf)

    def _mux(self, packets: list[Any], sound: _Sound) -> None:
        for packet in packets:
            if packet.pts == self.starts[-1]:
                packet.duration = getattr(self, "last", 0)
            if packet.dts is not None:
                sound.until(packet.dts / TICKS)
            self.file.mux(packet)


class _Sound:
    """The clip's AAC packets, copied in step with the pictures."""

    def __init__(self, source: Source, file: Any) -> None:
        from core.video.film import Film
        from core.video.opening import open_container

        self.notes: list[str] = []
        self.packets: Iterator[Any] = iter(())
        self.opened: tuple[Any, Any] | None = None
        self.waiting = None
        if not isinstance(source, Film) or not source.info.audio:
            return
        self.opened = container, _ = open_container(source.path)
        stream = container.streams.audio[0]
        name = stream.codec_context.name if stream.codec_context else "unknown"
        if name != "aac":
            self.notes.append(f"The sound ({name}) is left out: only AAC can be copied to mp4.")
            return
        self.file, self.stream = file, file.add_stream_from_template(stream)
        self.shift = round(source.start_s / float(stream.time_base))
        self.packets = source.safely(container.demux(stream))

    def until(self, seconds: float) -> None:
        """Writes what is heard up to then."""
        while True:
            packet = self.waiting or next(self.packets, None)
            self.waiting = packet
            if packet is None:
                return
            if packet.pts is not None and packet.dts is not None:
                if (packet.pts - self.shift) * float(packet.time_base) > seconds:
                    return
                packet.pts, packet.dts = packet.pts - self.shift, packet.dts - self.shift
                packet.stream = self.stream
                self.file.mux(packet)
            self.waiting = None

    def close(self) -> None:
        for part in self.opened or ():
            part.close()


# ---------------------------------------------------------------- letters


class _Text:
    """Draws what is said at a time. The last drawing is kept: it serves many frames."""

    def __init__(self, cues: list[Cue]) -> None:
        self.cues = sorted(cues, key=lambda cue: cue.start_s)
        self.drawn: tuple[Any, np.ndarray, np.ndarray, int] | None = None

    def on(self, image: np.ndarray, time_s: float) -> np.ndarray:
        said = "\n".join(
            cue.text.strip() for cue in self.cues if cue.start_s <= time_s + 1e-6 < cue.end_s
        ).strip()
        if not said:
            return image
        key = said, image.shape
        if self.drawn is None or self.drawn[0] != key:
            self.drawn = key, *drawn(said, image.shape[1], image.shape[0])
        _, colour, alpha, top = self.drawn
        image = image.copy()
        under = image[top : top + len(colour)]
        under[:] = (colour * alpha + under * (255 - alpha) + 127) // 255
        return image


def font_path() -> Path:
    """DejaVu Sans, which comes with Matplotlib: Latin, Greek, Cyrillic, Arabic and more."""
    from importlib.resources import files

    return Path(str(files("matplotlib"))) / "mpl-data/fonts/ttf/DejaVuSans.ttf"


def _missing_letters(cues: list[Cue]) -> list[str]:
    from matplotlib.ft2font import FT2Font

    known = FT2Font(str(font_path())).get_charmap()
    lost = sorted({c for cue in cues for c in cue.text if not c.isspace() and ord(c) not in known})
    if not lost:
        return []
    return [f"The font has no letters for: {' '.join(lost[:12])}{' …' * (len(lost) > 12)}"]


def drawn(text: str, width: int, height: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Text at the bottom of a picture: colour (h, width, 3) and alpha (h, width, 1), both uint16
    in [0, 255], and the row they begin at. Letters shrink until the text takes half the height."""
    from PIL import Image, ImageDraw, ImageFont

    size = max(8, round(min(height * LETTERS, width * LETTERS * 1.2)))
    while True:
        font = ImageFont.truetype(str(font_path()), size)
        edge = max(1, round(size / 10))
        lines = wrapped(text[:MOST_LETTERS], font, width * WIDE - 2 * edge)
        step = size * LINE
        fits = max(1, int(height * 0.5 / step))
        if len(lines) <= fits or size <= 8:
            break
        size = max(8, int(size * 0.85))
    if len(lines) > fits:
        lines = [*lines[: fits - 1], lines[fits - 1].rstrip() + " …"]
    tall = min(height, math.ceil(step * len(lines)) + 2 * edge)
    canvas = Image.new("RGBA", (width, tall), (0, 0, 0, 0))
    draw = ImageDraw.Draw(canvas)
    for k, line in enumerate(lines):
        place = (width / 2, edge + k * step)
        draw.text(place, line, "white", font, "ma", stroke_width=edge, stroke_fill="black")
    picture = np.asarray(canvas).astype(np.uint16)
    top = max(0, height - tall - round(height * MARGIN))
    return picture[..., :3], picture[..., 3:], top


def wrapped(text: str, font: Any, width: float) -> list[str]:
    """Lines of at most `width` px. Words that are longer are broken."""
    length, lines = font.getlength, []
    for paragraph in text.splitlines():
        words = "".join(c for c in paragraph if c.isprintable()).split()
        line = ""
        while words:
            word = words.pop(0)
            longer = f"{line} {word}".strip()
            if length(longer) <= width:
                line = longer
                continue
            if line:
                lines.append(line)
                line, words = "", [word, *words]
                continue
            cut = max(1, bisect_right(range(len(word)), width, key=lambda n: length(word[:n])) - 1)
            lines.append(word[:cut])
            words[:0] = [word[cut:]] if word[cut:] else []
        if line:
            lines.append(line)
    return lines or [""]
