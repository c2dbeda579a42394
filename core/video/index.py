"""Which frames a file holds, found without decoding any.

A film comes in packets, one a frame, in the order of decoding. A B-frame is decoded after a frame
that is shown later, so presentation times (pts) aren't in the packets' order; sorted, they are the
frames in the order of showing. A keyframe can be decoded alone, and so decoding may begin there.
"""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from core.video.opening import open_container, video_stream
from core.video.source import named

PTS, COUNTED, ESTIMATED = "pts", "counted", "estimated"
KEPT = 4  # indices in memory; each takes some 16 bytes a frame


@dataclass(frozen=True)
class Index:
    """How to reach the frames of a stream.

    kind: PTS, every packet has its time; COUNTED, the file has no usable times, so frames must be
    counted from the start; ESTIMATED, the file was too long to look through.
    pts (N,) int64 in presentation order, order (N,) int64 their packets' positions.
    key_order, key_pts, key_dts (K,) int64: positions and times of the packets that decoding may
    start from; position 0 is always one. packets: how many there are. last: ticks that the last
    frame is shown. broken: why looking through ended early, or "".
    """

    kind: str
    pts: np.ndarray
    order: np.ndarray
    key_order: np.ndarray
    key_pts: np.ndarray
    key_dts: np.ndarray
    packets: int
    last: int
    broken: str = ""

    def start(self, number: int, earlier: int = 0) -> int:
        """The place in key_order that frame `number` is decoded from, or `earlier` ones before.

        Frames shown before a keyframe but stored after it (open GOP) need the keyframe before.
        """
        place = int(np.searchsorted(self.key_order, self.order[number], side="right")) - 1
        while place > 0 and self.key_pts[place] > self.pts[number]:
            place -= 1
        return max(0, place - earlier)

    def number(self, pts: int | None) -> int | None:
        """The frame with this presentation time."""
        if pts is None:
            return None
        place = int(np.searchsorted(self.pts, pts))
        return place if place < len(self.pts) and self.pts[place] == pts else None


def index_of(path: Path, limit_s: float) -> Index:
    """The index of the film in this file, which is looked through once as long as it stays as it
    is: clips are opened again and again, for each window of a timeline. See `read_index`."""
    about = path.stat()
    return _index_of(path.absolute(), about.st_mtime_ns, about.st_size, limit_s)


@lru_cache(KEPT)
def _index_of(path: Path, changed_ns: int, size: int, limit_s: float) -> Index:
    container, file = open_container(path)
    try:
        return read_index(container, video_stream(container, named(path)), limit_s)
    finally:
        container.close()
        file.close()


def read_index(container: Any, stream: Any, limit_s: float) -> Index:
    """Looks through the packets of `stream`, for at most `limit_s` seconds."""
    from av.error import FFmpegError

    pts, dts, shown, keys = array("q"), array("q"), array("b"), array("q")
    # AVI stores no presentation times, and what FFmpeg makes up for them ignores B-frames.
    timed = container.format.name != "avi" or stream.codec_context.name not in ("h264", "hevc")
    broken, last, latest = "", 0, None
    hidden_frames = stream.codec_context.name == "vp8"
    deadline = time.monotonic() + limit_s
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (FFmpegError, OSError):
            broken = "The file is damaged or cut off; what comes after is left out."
            break
        if packet is None:
            break
        if packet.size == 0:
            continue
        if len(pts) >= 64 and time.monotonic() > deadline:
            return _estimate(stream, pts, dts)
        seen = not packet.is_discard
        if hidden_frames and not memoryview(packet)[0] & 0x10:  # RFC 6386, 9.1: show_frame
            seen = False
        timed &= packet.pts is not None
        if packet.is_keyframe or not pts:
            keys.append(len(pts))
        when = packet.pts if packet.pts is not None else (packet.dts or 0)
        if seen and (latest is None or when >= latest):
            latest, last = when, packet.duration or 0
        pts.append(when)
        dts.append(packet.dts if packet.dts is not None else when)
        shown.append(seen)
    return _sorted(pts, dts, shown, keys, timed, last, broken)


def _sorted(
    pts: array, dts: array, shown: array, keys: array, timed: bool, last: int, broken: str
) -> Index:
    all_pts, all_dts = np.array(pts, np.int64), np.array(dts, np.int64)
    positions = np.flatnonzero(np.array(shown, bool))
    positions = positions[np.argsort(all_pts[positions], kind="stable")]
    times = all_pts[positions]
    key_order = np.array(keys, np.int64)
    unique = len(times) < 2 or bool((np.diff(times) > 0).all())
    return Index(
        kind=PTS if timed and unique else COUNTED,
        pts=times,
        order=positions,
        key_order=key_order,
        key_pts=all_pts[key_order],
        key_dts=all_dts[key_order],
        packets=len(all_pts),
        last=last,
        broken=broken,
    )


def _estimate(stream: Any, pts: array, dts: array) -> Index:
    """Evenly spaced times over the length that the file claims, at the rate seen so far."""
    seen = np.sort(np.array(pts, np.int64))
    step = (seen[-1] - seen[0]) / max(1, len(seen) - 1)
    length = stream.duration
    if not length:
        length = (stream.container.duration or 0) / 1e6 / float(stream.time_base)
    count = max(len(seen), round(length / step)) if step > 0 else len(seen)
    times = np.round(seen[0] + step * np.arange(count)).astype(np.int64)
    first = np.array([0])
    return Index(ESTIMATED, times, np.arange(count), first, times[:1], np.array(dts[:1]), count,
                 round(step))  # fmt: skip
