"""Which frames go to the model: seven ways of choosing, as functions of times and small pictures.

A frame is on show from its time to the next one's, so "the frame at 2.5 s" is the last one that
begins by then.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from core.types import InputError
from core.video.source import Source
from core.video.types import SampleSettings, VideoInfo

SMALL_PX = 64  # pictures that are only compared
EPS_S = 1e-6

# Scene changes. A cut is where the histogram distance (0 to 1) to the frame before is above CUT
# and CONTRAST times as high as what is usual around it, which lets fast movement pass.
CUT, CONTRAST, AROUND, SHORTEST_S = 0.25, 3.0, 8, 0.25
FULL_SCAN = 6000  # frames; longer parts are scanned by keyframe first, then in between
CANDIDATES = 160  # frames that k-means looks at

Look = Callable[[float], None]


def choose(source: Source, settings: SampleSettings, look: Look) -> tuple[np.ndarray, list[str]]:
    """Frame numbers, rising, at most settings.count of them, and what to say about them.

    `look` is told how far the looking through has come, 0 to 1. Raises InputError for a part or
    numbers that aren't in the clip.
    """
    if settings.pick == "hand":
        numbers, notes = by_hand(settings.by_hand, len(source.times_s)), []
        return _thinned(numbers, settings.count, "frames are picked", notes), notes
    first, last = part(source.times_s, source.end_s, settings.start_s, settings.end_s)
    times, notes = source.times_s[first : last + 1], []
    end_s = float(source.times_s[last + 1]) if last + 1 < len(source.times_s) else source.end_s
    if settings.pick == "every":
        numbers = np.arange(len(times))[:: settings.every]
        numbers = _thinned(numbers, settings.count, f"frames are every {settings.every}th", notes)
    elif settings.pick == "fps":
        numbers = at_rate(times, end_s, settings.fps)
        what = f"frames come at {settings.fps:g} a second"
        numbers = _thinned(numbers, settings.count, what, notes)
    elif settings.pick == "scenes":
        numbers = np.array([shot[0] for shot in shot_bounds(source, first, last, look)]) - first
        if len(numbers) == 1:
            notes.append("No scene change was found: this is the first frame of the only shot.")
        numbers = _thinned(numbers, settings.count, "shots were found", notes)
    elif settings.pick == "kmeans":
        numbers = by_colour(source, first, last, settings.count, look) - first
    else:
        numbers = uniform(times, end_s, settings.count)
        if len(numbers) < settings.count and len(times) < settings.count:
            notes.append(f"This part has only {len(times)} frame{'s' * (len(times) > 1)}.")
        elif len(numbers) < settings.count:
            notes.append(
                f"At {settings.count} even moments only {len(numbers)} frames are on show."
            )
    return numbers + first, notes


def counted(info: VideoInfo, settings: SampleSettings) -> int:
    """How many frames `choose` will take, from the facts alone: as if all lasted equally long. Scene
    changes and k-means have to look first; for them it is the most that it may be. Raises InputError
    as `choose` does."""
    if settings.pick == "hand":
        return min(len(by_hand(settings.by_hand, info.frames)), settings.count)
    rate = info.fps if info.fps > 0 else 1.0  # NaN, unknown, is not
    times_s = np.arange(info.frames) / rate
    end_s = info.duration_s if info.duration_s > 0 else info.frames / rate
    first, last = part(times_s, end_s, settings.start_s, settings.end_s)
    found = last - first + 1
    if settings.pick == "every":
        found = math.ceil(found / settings.every)
    elif settings.pick == "fps":
        found = min(found, max(1, math.ceil(found / rate * settings.fps - EPS_S)))
    return min(found, settings.count)


def part(times_s: np.ndarray, end_s: float, start: float, end: float) -> tuple[int, int]:
    """First and last number of the frames that begin from `start` to `end` (0: the clip's end).

    Where none begins, the one on show at `start`.
    """
    if start > 0 and start >= end_s:
        raise InputError(
            f"The in point, {start:.10g} s, is past the clip's end, {end_s:.2f} s. "
            "Choose an earlier one."
        )
    if 0 < end <= start:
        raise InputError(
            f"The out point, {end:.10g} s, isn't after the in point, {start:.10g} s. "
            "Choose a later one."
        )
    first = int(np.searchsorted(times_s, start - EPS_S))
    last = int(np.searchsorted(times_s, end + EPS_S, "right")) - 1 if end else len(times_s) - 1
    return (first, last) if first <= last else (max(0, first - 1), max(0, first - 1))


def on_show(times_s: np.ndarray, moments_s: np.ndarray) -> np.ndarray:
    """Numbers of the frames on show at these moments, each once."""
    return np.unique(np.maximum(np.searchsorted(times_s, moments_s + EPS_S, "right") - 1, 0))


def uniform(times_s: np.ndarray, end_s: float, count: int) -> np.ndarray:
    """The frames on show in the middles of `count` equally long stretches."""
    if len(times_s) <= count:
        return np.arange(len(times_s))
    start = times_s[0]
    return on_show(times_s, start + (np.arange(count) + 0.5) * (end_s - start) / count)


def at_rate(times_s: np.ndarray, end_s: float, fps: float) -> np.ndarray:
    """The frames on show every 1/fps seconds from the first on."""
    count = min(max(1, int(np.ceil((end_s - times_s[0]) * fps - 1e-6))), 4_000_000)
    return on_show(times_s, times_s[0] + np.arange(count) / fps)


def by_hand(text: str, count: int) -> np.ndarray:
    """Numbers from text such as '0, 12, 48' or '3-7', each once, rising."""
    numbers: set[int] = set()
    for word in re.split(r"[,;\s]+", re.sub(r"\s*[-–]\s*(?=\d)", "-", text.strip())):
        found = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", word)
        if not word:
            continue
        if found is None:
            raise InputError(
                f"{word[:30]!r} is no frame number. Give whole numbers from 0, such as 0, 12, 48."
            )
        low, high = int(found[1]), int(found[2] or found[1])
        if max(low, high) >= count:
            has = f"frames 0 to {count - 1}" if count > 1 else "only frame 0"
            raise InputError(
                f"Frame {max(low, high)} is past the end: the clip has {has}. "
                "Choose numbers in that range."
            )
        numbers.update(range(min(low, high), max(low, high) + 1))
    if not numbers:
        raise InputError("No frames are picked. Give their numbers, such as 0, 12, 48.")
    return np.array(sorted(numbers))


def _thinned(numbers: np.ndarray, count: int, what: str, notes: list[str]) -> np.ndarray:
    if len(numbers) <= count:
        return numbers
    notes.append(f"{len(numbers)} {what}; {count} of them, evenly thinned, are used.")
    return spread(numbers, count)


def spread(numbers: np.ndarray, count: int) -> np.ndarray:
    """`count` of the numbers, evenly thinned: the middles of equal stretches of the list."""
    if len(numbers) <= count:
        return numbers
    return numbers[((np.arange(count) + 0.5) * len(numbers) / count).astype(int)]


# ---------------------------------------------------------------- what frames look like


def look_of(image: np.ndarray) -> np.ndarray:
    """Histograms of R, G and B (16 bins, smoothed) in the four quarters: float32 (4, 3, 16)."""
    h, w = max(1, image.shape[0] // 2), max(1, image.shape[1] // 2)
    quarters = (image[:h, :w], image[:h, -w:], image[-h:, :w], image[-h:, -w:])
    bins = np.empty((4, 3, 16), np.float32)
    for k, quarter in enumerate(quarters):
        for c in range(3):
            bins[k, c] = np.bincount(quarter[..., c].ravel() >> 4, minlength=16)
    bins /= h * w
    padded = np.pad(bins, ((0, 0), (0, 0), (1, 1)), mode="edge")
    return padded[..., :-2] / 4 + padded[..., 1:-1] / 2 + padded[..., 2:] / 4


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """How much two looks differ, 0 to 1: half the sum of what moved between bins, on average."""
    return float(np.abs(a - b).sum() / 2 / 12)


def cuts(distances: np.ndarray, shortest: int) -> np.ndarray:
    """Places i where frame i + 1 begins a new shot, from distances (N-1,) of neighbours."""
    found: list[int] = []
    for i in np.flatnonzero(distances > CUT):
        around = distances[max(0, i - AROUND) : i + AROUND + 1]
        usual = float(np.median(around)) if len(around) > 3 else 0.0
        if distances[i] <= CONTRAST * usual:
            continue
        if found and i - found[-1] < shortest:
            if distances[i] > distances[found[-1]]:
                found[-1] = int(i)
            continue
        found.append(int(i))
    return np.array(found, np.int64)


def shot_bounds(source: Source, first: int, last: int, look: Look) -> list[tuple[int, int]]:
    """First and last frame number of every shot from `first` to `last`.

    Parts of over FULL_SCAN frames are compared at their keyframes, and every frame only between
    two that differ: there, a shot that comes and goes between two keyframes is missed.
    """
    keys = source.keys[(source.keys > first) & (source.keys < last)]
    spans = [(first, last)]
    if last - first > FULL_SCAN and len(keys) > 1:
        stops = np.unique(np.concatenate([[first], keys, [last]]))
        looks = []
        for number, _, image in source.frames(stops, SMALL_PX):
            looks.append((number, look_of(image)))
            look((number - first) / (last - first + 1) / 2)
        pairs = pairwise(looks)
        spans = [(a[0], b[0]) for a, b in pairs if distance(a[1], b[1]) > CUT / 2]
    starts = [first]
    for low, high in spans:
        numbers, distances, before = [], [], None
        for number, _, image in source.stretch(low, high, SMALL_PX):
            seen = look_of(image)
            if before is not None:
                numbers.append(number)
                distances.append(distance(before, seen))
            before = seen
            look((number - first) / (last - first + 1))
        rate = (last - first) / max(1e-9, source.times_s[last] - source.times_s[first])
        shortest = max(1, round(SHORTEST_S * rate))
        for i in cuts(np.array(distances), shortest):
            if numbers[i] - starts[-1] >= min(shortest, 2):
                starts.append(numbers[i])
    return list(zip(starts, [s - 1 for s in starts[1:]] + [last], strict=True))


def by_colour(source: Source, first: int, last: int, count: int, look: Look) -> np.ndarray:
    """Frames nearest to the centres of k-means (seed 0) on 4×4 mean colours.

    Only CANDIDATES frames are looked at: keyframes, which decode alone, where there are enough.
    """
    import cv2
    from scipy.cluster.vq import kmeans2

    keys = source.keys[(source.keys >= first) & (source.keys <= last)]
    asked = keys if len(keys) >= 4 * count else np.arange(first, last + 1)
    asked, numbers, features = spread(asked, CANDIDATES), [], []
    for number, _, image in source.frames(asked, SMALL_PX):
        numbers.append(number)
        features.append(cv2.resize(image, (4, 4), interpolation=cv2.INTER_AREA).ravel() / 255)
        look(len(numbers) / len(asked))
    points = np.array(features)
    different = len(np.unique(points, axis=0)) if numbers else 0
    if different <= 1:
        return np.array(numbers[:1], np.int64)
    k: dict[str, Any] = {"k": min(count, different), "minit": "++", "seed": 0}
    centres, labels = kmeans2(points, **k)
    chosen = set()
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        away = ((points[members] - centres[label]) ** 2).sum(1)
        chosen.add(numbers[members[away.argmin()]])
    return np.array(sorted(chosen), np.int64)
