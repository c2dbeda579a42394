"""From a file to facts and frames: the functions the rest of Sightline uses.

Films can be hours long, so nothing here holds more than the frames that are asked for. Times are
true presentation times, in seconds after the clip's start.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from core.types import InputError, Progress, silent
from core.video.facts import listed
from core.video.picks import choose, part, shot_bounds
from core.video.source import Source, open_source
from core.video.stills import Stills
from core.video.types import Frames, SampleSettings, VideoInfo

LIMIT_S = 120.0  # of waiting for one clip; long, since a busy machine is slow
SCAN_LIMIT_S = 300.0  # where frames must be looked through to choose
MOST_BYTES = 1 << 30  # of frames given back


Footage = str | Path | Sequence[str | Path | np.ndarray]  # a file, or pictures, one a second


@contextmanager
def opened(path: Footage, limit_s: float) -> Iterator[Source]:
    """An open clip that is closed at the end. Raises InputError, also when time runs out."""
    source = None
    try:
        if path is None or isinstance(path, str | Path):
            source = open_source(path, limit_s)
        else:
            source = Stills(path)
        yield source
    except TimeoutError:
        raise InputError(
            f"Reading this clip takes over {limit_s:.0f} s. Cut out a shorter part first."
        ) from None
    finally:
        if source is not None:
            source.close()


def probe(path: Footage) -> VideoInfo:
    """Facts of a clip. One frame is decoded. Raises InputError for what isn't a clip."""
    with opened(path, LIMIT_S) as source:
        return replace(source.info, notes=tuple(source.notes))


def sample(
    path: Footage, settings: SampleSettings = SampleSettings(), *, progress: Progress = silent
) -> Frames:
    """At most settings.count frames, chosen as the settings say, in the order of time.

    path: a file, or pictures (files or arrays) that are shown for a second each.
    A frame that can't be decoded is replaced by the next one, and a note says so. Raises
    InputError for what isn't a clip, or when the chosen part or numbers aren't in it.
    """
    scan = settings.pick in ("scenes", "kmeans")
    with opened(path, SCAN_LIMIT_S if scan else LIMIT_S) as source:

        def look(fraction: float) -> None:
            progress(0.1 + 0.6 * fraction, desc="looking through the clip")

        progress(0.05, desc="reading the clip")
        numbers, notes = choose(source, settings, look)
        return _taken(source, numbers, settings.max_px, notes, progress, 0.7 if scan else 0.1)


def thumbnails(path: Footage, count: int = 24, max_px: int = 160) -> Frames:
    """Small pictures of the whole clip to pick from: keyframes where possible, as they are cheap."""
    settings = SampleSettings(count=count, max_px=max_px)
    with opened(path, LIMIT_S) as source:
        numbers, notes = choose(source, settings, lambda fraction: None)
        middles, keys = source.times_s[numbers], source.keys
        half_s = (source.end_s - source.times_s[0]) / count / 2
        if len(keys) > 1:
            right = np.clip(np.searchsorted(keys, numbers), 1, len(keys) - 1)
            before = numbers - keys[right - 1] < keys[right] - numbers
            nearest = np.where(before, keys[right - 1], keys[right])
            close = np.abs(source.times_s[nearest] - middles) < half_s
            numbers = np.where(close, nearest, numbers)
        return _taken(source, np.unique(numbers), max_px, notes, silent, 0.0)


def shots(
    path: Footage, start_s: float = 0.0, end_s: float = 0.0, *, progress: Progress = silent
) -> list[tuple[float, float]]:
    """Start and end of every shot from start_s to end_s (0: the clip's end), in seconds."""
    with opened(path, SCAN_LIMIT_S) as source:
        first, last = part(source.times_s, source.end_s, start_s, end_s)
        bounds = shot_bounds(source, first, last, lambda f: progress(f, desc="looking for cuts"))
        starts = [float(source.times_s[a]) for a, _ in bounds]
        more = last + 1 < len(source.times_s)
        end = float(source.times_s[last + 1]) if more else source.end_s
        return list(zip(starts, [*starts[1:], end], strict=True))


def _taken(
    source: Source, numbers: np.ndarray, max_px: int, notes: list[str], progress: Progress,
    begun: float,
) -> Frames:  # fmt: skip
    """Decodes the frames of these numbers. What time or damage takes away is said in the notes."""
    info, found = source.info, []
    factor = min(1.0, max_px / max(info.width, info.height))
    needed = len(numbers) * 3 * info.width * info.height * factor**2
    if needed > MOST_BYTES:
        raise InputError(
            f"{len(numbers)} frames of {info.width * factor:.0f}×{info.height * factor:.0f} px take "
            f"{needed / 1e9:.1f} GB. Lower 'Longer side' or 'How many'."
        )
    try:
        for picture in source.frames(numbers, max_px):
            found.append(picture)
            progress(begun + (1 - begun) * len(found) / len(numbers), desc="decoding frames")
    except TimeoutError:
        if not found:
            raise
        notes = [*notes, f"Time ran out: {len(found)} of {len(numbers)} frames were decoded."]
    if not found:
        raise InputError(
            "Not one of the chosen frames can be decoded: the file is damaged there. "
            "Choose another part of the clip."
        )
    found.sort(key=lambda picture: picture.number)
    damaged = sorted(getattr(source, "damaged", set()) & {p.number for p in found})
    if damaged:
        notes = [
            *notes,
            f"Damaged, shown as far as they can be decoded: {listed(damaged).lower()}.",
        ]
    return Frames(
        np.stack([p.image for p in found]),
        np.array([p.time_s for p in found], np.float64),
        np.array([p.number for p in found], np.int64),
        (*source.notes, *notes),
        info.duration_s,
    )


def frames_of(images: Sequence[np.ndarray], fps: float = 1.0) -> Frames:
    """Several pictures as frames, `fps` a second. Others than the first are fitted to its size.

    images: whatever `core.images.as_rgb` takes. Raises InputError for none, or no pictures.
    """
    source = Stills(images, fps)
    width, height = source.size
    if len(images) * height * width * 3 > MOST_BYTES:
        raise InputError(
            f"{len(images)} pictures of {width}×{height} px are too many at once. "
            "Make them smaller, or choose fewer."
        )
    return _taken(source, np.arange(len(images)), max(width, height), [], silent, 0.0)
