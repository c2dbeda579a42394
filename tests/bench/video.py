"""Ten minutes of 720p, and frames of 8K: `python -m tests.bench.video`.

Each case reads in a process of its own. Asked of 8 frames of a 10-minute 720p film: the right
ones, in 3 s on two cores, with at most 300 MB more than before. Seconds of work are those of all
threads together: on an idle machine the clock shows less, on a busy one more.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.clips import clip, number_of

GROUP, TIMES = 250, 72  # frames between keyframes, as x264 has it by default; 10 minutes at 30/s
MOST_S, MOST_MB = 3.0, 300


def busy(number: int, height: int, width: int) -> np.ndarray:
    """The number in blocks, over which noise is moved, so that decoding costs what it does."""
    image = np.roll(NOISE[:height, :width], 3 * number % 200, 1) // 4
    bits = (number >> np.arange(12)) & 1
    rows, columns = np.arange(height) * 2 // height, np.arange(width) * 6 // width
    image += (bits.reshape(2, 6)[rows][:, columns] * 190).astype(np.uint8)[..., None]
    return image


NOISE = np.random.default_rng(0).integers(0, 255, (4320 // 8, 7680 // 8, 3), np.uint8)
NOISE = NOISE.repeat(8, 0).repeat(8, 1)


def make(folder: Path, name: str) -> Path:
    """The film. Ten minutes are one group of frames, encoded once and written again and again."""
    options = {"preset": "veryfast", "bf": "3", "crf": "30", "rate": 30}
    if name == "8K":
        options["preset"] = "ultrafast"
        return clip(folder / "8k.mp4", 3, frame=busy, size=(4320, 7680), **options)
    group = clip(folder / "g.mp4", GROUP, frame=busy, size=(720, 1280), g=str(GROUP), **options,
                 x264_params="scenecut=0")  # fmt: skip
    path = folder / "ten-minutes.mp4"
    with av.open(str(group)) as old, av.open(str(path), "w") as new:
        film: Any = old.streams.video[0]
        packets: list[Any] = [p for p in old.demux(film) if p.dts is not None and p.pts is not None]
        stream = new.add_stream_from_template(film)
        times = [(p.pts or 0, p.dts or 0) for p in packets]
        ticks = round(GROUP / 30 / float(film.time_base))
        for turn in range(TIMES):
            for packet, (pts, dts) in zip(packets, times, strict=True):
                again: Any = av.Packet(bytes(packet))
                again.pts, again.dts = pts + turn * ticks, dts + turn * ticks
                again.duration, again.time_base = packet.duration, film.time_base
                again.is_keyframe, again.stream = packet.is_keyframe, stream
                new.mux(again)
    return path


def most_mb() -> float:
    """The most memory this process ever had (its parent's doesn't count, unlike in getrusage)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1e3


def one(name: str, path: str) -> None:
    import cv2  # noqa: F401 - loaded before, so as not to count

    from core.video import SampleSettings, probe, sample, thumbnails

    calls = {
        "probe": lambda: probe(path),
        "8 frames": lambda: sample(path),
        "24 thumbnails": lambda: thumbnails(path),
        "k-means": lambda: sample(path, SampleSettings(pick="kmeans")),
    }
    before = most_mb()
    for what, call in calls.items():
        began, worked = time.perf_counter(), time.process_time()
        found = call()
        seconds, work = time.perf_counter() - began, time.process_time() - worked
        more_mb = most_mb() - before
        right = what == "probe" or all(
            number_of(image) == index % GROUP
            for image, index in zip(found.images, found.indices, strict=True)
        )
        limits = name == "ten minutes" and what == "8 frames"
        met = right and (not limits or (min(seconds, work) < MOST_S and more_mb < MOST_MB))
        print(
            f"{'met   ' if met else 'MISSED'}  {name:12} {what:14} {seconds:6.2f} s, "
            f"{work:5.2f} s of work; {more_mb:4.0f} MB more so far; "
            f"{'the right frames' if right else 'WRONG frames'}",
            flush=True,
        )


def main() -> None:
    if len(sys.argv) > 1:
        one(*sys.argv[1:])
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in ("ten minutes", "8K"):
            path = make(Path(folder), name)
            print(f"{name}: {path.stat().st_size / 1e6:.0f} MB")
            command = [sys.executable, "-m", "tests.bench.video", name, str(path)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
