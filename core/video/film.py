"""Films: frames out of anything that FFmpeg reads, with no more decoding than they need."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from core.types import InputError
from core.video import colour
from core.video.facts import facts, listed, remarks
from core.video.index import COUNTED, ESTIMATED, PTS, index_of
from core.video.opening import open_container, video_stream
from core.video.source import Picture, check_size, fitted, named

SKIPPING = {
    "h264",
    "hevc",
    "mpeg2video",
    "mpeg4",
}  # decoders that can leave out frames nobody needs
INDEX_S = 30.0  # longer, and numbers are estimated
PRIMING_S = 0.03  # by so much sound may begin before it is heard, to make its decoder ready
AHEAD = 64  # packets to look through for another frame where one can't be decoded


class Film:
    """A file with a video stream as a `Source`.

    start_s: the file's own time of the clip's start, which is when its first stream begins: browsers
    show a film whose sound begins first from the sound's start on.
    """

    def __init__(self, path: Path, limit_s: float, index_s: float = INDEX_S) -> None:
        self.path, self.name, self.notes = path, named(path), []
        self.deadline = time.monotonic() + limit_s
        self.damaged: set[int] = set()
        self.container: Any = None
        self.file: Any = None
        try:
            self._open()
            self._look(min(index_s, limit_s))
        except BaseException:
            self.close()
            raise

    # ------------------------------------------------------------ opening

    def _open(self) -> None:
        self.close()
        self.container, self.file = open_container(self.path)
        self.stream = video_stream(self.container, self.name)
        context = self.stream.codec_context
        check_size(context.width, context.height, self.name)
        huge = context.width * context.height > 16_000_000  # each thread holds frames
        self.stream.thread_type = "SLICE" if huge else "AUTO"
        context.thread_count = min(4, os.cpu_count() or 1)

    def _look(self, index_s: float) -> None:
        self.index = index = index_of(self.path, index_s)
        count, base = len(index.pts), float(self.stream.time_base)
        if count == 0:
            raise InputError(f"{self.name} has a video stream without frames. Choose another file.")
        if index.broken:
            self.notes.append(index.broken)
        self.start_s = first_s = float(index.pts[0]) * base
        claimed = self.stream.frames
        if claimed > count + 1 and index.kind == PTS and claimed > index.packets:
            self.notes.append(
                f"The file is cut off: it names {claimed} frames and holds {index.packets}."
            )
        if index.kind == COUNTED:
            rate = float(self.stream.average_rate or self.stream.guessed_rate or 25)
            self.step_s = 1 / rate
            self.times_s = np.arange(count) / rate
            self.notes.append("The file has no times of its own: they follow from its frame rate.")
        else:
            sound_s = self._sound_s()
            if first_s - sound_s > PRIMING_S:
                self.start_s = sound_s
            self.times_s = (index.pts - index.pts[0]) * base + (first_s - self.start_s)
            steps = np.diff(self.times_s)
            self.step_s = float(np.median(steps)) if count > 1 else index.last * base
        if index.kind == ESTIMATED:
            self.notes.append("The clip is so long that its frame numbers are estimated.")
        last_s = index.last * base if index.last else self.step_s
        self.end_s = float(self.times_s[-1]) + last_s
        keys = {index.number(pts) for pts in index.key_pts.tolist()}
        known = sorted(key for key in keys if key is not None)
        self.keys = np.array(known if index.kind == PTS else [0], np.int64)
        frame = self._first_frame()
        self.turn = colour.turn_of(frame)
        self.ratio = float(self.stream.sample_aspect_ratio or 1)
        self.ratio = self.ratio if 0.2 < self.ratio < 5 else 1.0
        self.shape = frame.width * max(1, self.ratio), frame.height * max(1, 1 / self.ratio)
        self.notes += remarks(self, frame)
        self.info = facts(self, frame)

    def _sound_s(self) -> float:
        """When sound begins, by the file's clock; infinite without any. What lies before 0 isn't
        heard either."""
        starts = [
            float(sound.start_time * sound.time_base)
            for sound in self.container.streams.audio
            if sound.start_time is not None and sound.time_base
        ]
        return max(0.0, min(starts, default=math.inf))

    def _first_frame(self) -> Any:
        frame = next((frame for _, frame in self._decoded(0, 400)), None)
        if frame is None:
            raise InputError(
                f"No frame of {self.name} can be decoded. Save it again as mp4 (H.264)."
            )
        return frame

    # ------------------------------------------------------------ frames

    def frames(self, numbers: np.ndarray, max_px: int) -> Iterator[Picture]:
        numbers = np.unique(np.asarray(numbers, np.int64))
        if self.index.kind != PTS:
            yield from self._in_passing(numbers, max_px)
            return
        given: set[int] = set()
        lost: list[int] = []
        for run in self._runs(numbers):
            found = set()
            key, until = self.index.start(run[0]), int(self.index.order[run].max())
            for number, frame in self._decoded(key, until, set(run)):
                if number in run and number not in given:
                    found.add(number)
                    yield self._picture(number, frame, max_px)
            given |= found
            for number in sorted(set(run) - found):
                other = self._instead(number)
                new = other is not None and other[0] not in given
                if other is not None and new and (other[0] == number or other[0] not in numbers):
                    given.add(other[0])
                    yield self._picture(*other, max_px)
                if other is None or other[0] != number:
                    lost.append(number)
        if lost:
            self.notes.append(
                f"{listed(lost)} can't be decoded: the next ones that can are taken instead."
            )

    def stretch(self, first: int, last: int, max_px: int) -> Iterator[Picture]:
        if self.index.kind != PTS:
            yield from self._in_passing(np.arange(first, last + 1), max_px)
            return
        until = int(self.index.order[first : last + 1].max())
        for number, frame in self._decoded(self.index.start(first), until):
            if first <= number <= last:
                yield self._picture(number, frame, max_px)

    def _picture(self, number: int, frame: Any, max_px: int) -> Picture:
        width, height = fitted(*self.shape, max_px)
        return Picture(
            number, float(self.times_s[number]), colour.to_rgb(frame, width, height, self.turn)
        )

    def _runs(self, numbers: np.ndarray) -> list[list[int]]:
        """Numbers grouped so that each group is decoded in one go, without a seek."""
        runs: list[list[int]] = []
        reached = -1
        for number in numbers.tolist():
            starts_at = self.index.key_order[self.index.start(number)]
            if not runs or starts_at > reached + 1:
                runs.append([])
            runs[-1].append(number)
            reached = max(reached, int(self.index.order[number]))
        return runs

    def _instead(self, number: int) -> tuple[int, Any] | None:
        """Another try from a keyframe further back; else the next frame there is, or the last."""
        key, until = self.index.start(number, earlier=1), int(self.index.order[number]) + AHEAD
        before = None
        for found, frame in self._decoded(key, until):
            if found >= number:
                return found, frame
            before = found, frame
        return before

    def _decoded(
        self, key: int, until: int, wanted: set[int] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Number and frame of what is decoded from packets key_order[key] to `until`, inclusive.

        Frames that no other needs are left out if they aren't in `wanted`.
        """
        index = self.index
        times = None if wanted is None else {int(index.pts[n]) for n in wanted}
        skipping = times is not None and self.stream.codec_context.name in SKIPPING
        counted, damaged = 0, False
        for packet in self._pieces(key, until):
            if packet is not None:
                needed = not skipping or packet.pts in (times or ())
                self.stream.codec_context.skip_frame = "DEFAULT" if needed else "NONREF"
            frames = self._sent(packet)
            damaged |= frames is None
            for frame in frames or ():
                damaged = frame.is_corrupt or (damaged and not frame.key_frame)
                number = counted if index.kind == COUNTED else index.number(frame.pts)
                counted += 1
                if number is None or number >= len(index.pts):
                    continue
                if damaged:
                    self.damaged.add(number)
                yield number, frame

    def _pieces(self, key: int, until: int) -> Iterator[Any]:
        """Packets from a keyframe to packet `until`; then None, which calls for what is left."""
        place = int(self.index.key_order[key])
        for packet in self._packets(key):
            yield packet
            place += 1
            if place > until:
                break
        yield None

    def _sent(self, packet: Any) -> list[Any] | None:
        """Frames that the decoder gives for a packet (None: its last ones), or None for damage."""
        from av.error import FFmpegError

        if time.monotonic() > self.deadline:
            raise TimeoutError
        try:
            return self.stream.codec_context.decode(packet)
        except EOFError:
            return []
        except (FFmpegError, ValueError):
            return None

    def _packets(self, key: int) -> Iterator[Any]:
        """Packets from a keyframe on. Seeks may land anywhere, so it is looked for by its time."""
        from av.error import FFmpegError

        index, stream, second = self.index, self.stream, round(1 / self.stream.time_base)
        want, at = int(index.key_pts[key]), int(index.key_dts[key])
        first = int(min(index.pts[0], index.key_dts[0]))
        for target in (at, at - 2 * second, first, None):
            try:
                if target is None:
                    self._open()  # what can't seek begins anew
                else:
                    self.container.seek(target, stream=stream)
            except FFmpegError:
                continue
            stream = self.stream
            packets = self.safely(self.container.demux(stream))
            for packet in packets:
                if packet.pts == want or (index.kind == COUNTED and key == 0):
                    yield packet
                    yield from packets
                    return
                if packet.dts is not None and packet.dts > max(at, want) + second:
                    break

    def safely(self, packets: Iterator[Any]) -> Iterator[Any]:
        """Packets with data, until the file ends or is damaged, or time runs out."""
        from av.error import FFmpegError

        try:
            for packet in packets:
                if time.monotonic() > self.deadline:
                    raise TimeoutError
                if packet.size:
                    yield packet
        except (FFmpegError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise

    def _in_passing(self, numbers: np.ndarray, max_px: int) -> Iterator[Picture]:
        """Frames of a file without an index: counted from its start, or met by estimated time."""
        wanted = np.asarray(numbers).tolist()
        if self.index.kind == COUNTED:
            asked = set(wanted)
            for number, frame in self._decoded(0, self.index.packets):
                if number in asked:
                    yield self._picture(number, frame, max_px)
                if number >= wanted[-1]:
                    break
            return
        half = self.index.last / 2
        here: Iterator[Any] = iter(())
        now = None
        for number in wanted:
            pts = int(self.index.pts[number])
            if now is None or pts - now > 3 / float(self.stream.time_base):
                self.container.seek(pts, stream=self.stream)
                here = (f for p in self.safely(self.container.demux(self.stream))
                        for f in self._sent(p) or ())  # fmt: skip
            for frame in here:
                now = frame.pts
                if now is not None and now >= pts - half:
                    shown = round((now - self.index.pts[0]) / max(1, self.index.last))
                    picture = self._picture(number, frame, max_px)
                    since_s = float((now - self.index.pts[0]) * self.stream.time_base)
                    yield Picture(shown, float(self.times_s[0]) + since_s, picture.image)
                    break

    def close(self) -> None:
        if self.container is not None:
            self.container.close()
        if self.file is not None:
            self.file.close()
        self.container = self.file = None
