"""Clips for tests: every frame carries its number as a pattern of blocks that survives coding."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

BITS = 12  # two rows of six


def stamped(number: int, height: int = 72, width: int = 96) -> np.ndarray:
    """RGB uint8 (height, width, 3): white and black blocks are the bits of `number`."""
    bits = [(number >> k) & 1 for k in range(BITS)]
    blocks = np.array(bits, np.uint8).reshape(2, 6) * 255
    rows, columns = (np.arange(height) * 2) // height, (np.arange(width) * 6) // width
    return np.dstack([blocks[rows][:, columns]] * 3)


def number_of(image: np.ndarray) -> int:
    """The number that a frame carries; -1 if its blocks are grey."""
    height, width = image.shape[:2]
    rows = [int(height * (r + 0.5) / 2) for r in range(2)]
    columns = [int(width * (c + 0.5) / 6) for c in range(6)]
    grey = image.mean(-1)[np.ix_(rows, columns)].ravel()
    if ((grey > 80) & (grey < 175)).any():
        return -1
    return int(sum(1 << k for k, value in enumerate(grey) if value > 127))


def numbers_of(images: np.ndarray) -> list[int]:
    return [number_of(image) for image in images]


def clip(
    path: Path, count: int = 40, *, times: Any = None, base: Fraction = Fraction(1, 1000),
    rate: int = 25, codec: str = "libx264", pixels: str = "yuv420p", size: tuple = (72, 96),
    frame: Any = stamped, rotate: int = 0, sound: bool = False, container: str | None = None,
    colours: tuple | None = None, ratio: Fraction | None = None, make: str = "rgb24", **options: str,
) -> Path:  # fmt: skip
    """Writes `count` stamped frames. times are ticks of `base`; without, the rate is constant.

    frame(number, height, width) makes an array of the kind `make`; colours are H.273's numbers of
    primaries, transfer and matrix; options go to the codec, with - for _.
    """
    import av

    given = {"g": "12", "preset": "veryfast"} if codec in ("libx264", "libx265") else {"g": "12"}
    given |= {name.replace("_", "-"): value for name, value in options.items()}
    if codec == "libx265":
        given["x265-params"] = f"log-level=error:{given.get('x265-params', 'bframes=3')}"
    height, width = size
    with av.open(str(path), "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = height, width, pixels
        stream.options = given
        if times is not None:
            stream.codec_context.time_base = base
        if colours:
            context = stream.codec_context
            context.color_primaries, context.color_trc, context.colorspace = colours
        if ratio:
            stream.codec_context.sample_aspect_ratio = ratio
        if rotate:
            stream.set_display_rotation(rotate)
        noise: Any = file.add_stream("aac", rate=48000, layout="mono") if sound else None
        if count == 0:
            file.start_encoding()
        for k in range(count):
            picture = planes(frame(k, height, width), make)
            if times is not None:
                picture.pts, picture.time_base = int(times[k]), base
            file.mux(stream.encode(picture))
        file.mux(stream.encode())
        if noise is not None:
            tone(file, noise, count / rate)
    return path


def planes(array: np.ndarray, make: str) -> Any:
    """An `av.VideoFrame` of the kind `make`; also of ten bits, which PyAV makes no frames of."""
    import av

    if not make.endswith("p10le"):
        return av.VideoFrame.from_ndarray(array, format=make)
    frame = av.VideoFrame(array.shape[2], array.shape[1], make)
    for plane, values in zip(frame.planes, array, strict=True):
        padded = np.zeros((plane.height, plane.line_size // 2), np.uint16)
        padded[:, : plane.width] = values
        plane.update(padded.tobytes())
    return frame


def tone(file: Any, stream: Any, seconds: float) -> None:
    """A tone of 440 Hz for so long."""
    import av

    for start in range(0, int(48000 * seconds), 1024):
        wave = np.sin((start + np.arange(1024)) * 440 * 2 * np.pi / 48000) * 8000
        sound = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], format="s16", layout="mono")
        sound.sample_rate, sound.pts, sound.time_base = 48000, start, Fraction(1, 48000)
        file.mux(stream.encode(sound))
    file.mux(stream.encode())


def moved(source: Path, path: Path, ticks_s: float, container: str | None = None) -> Path:
    """The same packets, `ticks_s` seconds later (or earlier: mp4 hides what comes before 0)."""
    import av

    with av.open(str(source)) as old, av.open(str(path), "w", format=container) as new:
        film: Any = old.streams.video[0]
        stream = new.add_stream_from_template(film)
        assert film.time_base is not None
        by = round(ticks_s / float(film.time_base))
        for packet in old.demux(film):
            if packet.dts is not None and packet.pts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts + by, packet.dts + by, stream
                new.mux(packet)
    return path
