"""Clips for the tab: a rendered story, whose every fact is known, a file, or pictures as frames."""

from __future__ import annotations

import functools
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.captioning.world import HELD_OUT
from core.scenes.cast import StorySettings
from core.scenes.language import captions
from core.scenes.plot import plot
from core.scenes.story import story
from core.types import InputError, Settings, setting
from core.video import VideoInfo, probe, write_mp4

CORPUS = 40  # stories
_FILMING = (
    threading.Lock()
)  # a page asks twice when it opens: for the player, and for its first run
FILMED = StorySettings(frames=16, size_px=128)


@dataclass(frozen=True)
class ClipSettings(Settings):
    """Which clip is looked at."""

    clip: str = setting(
        "story", "Clip", "A rendered story has an exact answer.",
        choices={"story": "Rendered story", "file": "A video", "pictures": "Pictures as frames"},
    )  # fmt: skip
    story_seed: int = setting(
        0, "Story", "Each number is another one; none of them was trained on.",
        minimum=0, maximum=99_999, step=1,
    )  # fmt: skip
    story_split: str = setting(
        "train", "Combinations", "Of colour, shape and motion: such as training showed, or others.",
        choices={"train": "Known", "held-out": "Never shown in training"}, advanced=True,
    )  # fmt: skip


@dataclass(frozen=True)
class Given:
    """What the person handed in: a file, or pictures as frames, files or (H, W, 3) uint8."""

    path: str | Path | None = None
    images: tuple[str | Path | np.ndarray, ...] = ()


@dataclass(frozen=True)
class Clip:
    """A clip to look at: a file with its facts, or pictures. references are true captions, where
    these are known."""

    path: Path | None
    info: VideoInfo | None
    pictures: tuple[str | Path | np.ndarray, ...] = ()
    references: tuple[str, ...] = ()


def source(settings: ClipSettings, given: Given = Given()) -> Clip:
    """The clip. Raises InputError if nothing was handed in or it can't be read."""
    if settings.clip == "story":
        return filmed(settings.story_seed, settings.story_split)
    if settings.clip == "pictures":
        if not given.images:
            raise InputError("There are no pictures yet. Add two or more, in the order of time.")
        first, *more = given.images
        if more or isinstance(first, np.ndarray):
            return Clip(None, None, given.images)
        return Clip(Path(first), probe(first))  # it may move by itself
    if given.path is None:
        raise InputError("There is no video yet. Upload one, record one, or choose a story.")
    return Clip(Path(given.path), probe(given.path))


def filmed(seed: int, split: str = "train") -> Clip:
    """The story of this seed, among those that no model was trained on, as a film of 2 s."""
    with _FILMING:
        return _filmed(seed, split)


@functools.lru_cache(maxsize=32)
def _filmed(seed: int, split: str) -> Clip:
    made = story(HELD_OUT + seed, StorySettings(**{**vars(FILMED), "split": split}))
    path = Path(_folder().name) / f"story-{seed}-{split}.mp4"
    write_mp4(path, made.frames, fps=FILMED.frames / FILMED.seconds)
    return Clip(path, probe(path), references=made.captions)


@functools.cache
def corpus() -> tuple[tuple[str, ...], ...]:
    """References of many stories: what CIDEr-D takes a word's rarity from."""
    seeds = range(HELD_OUT + 200_000, HELD_OUT + 200_000 + CORPUS)
    return tuple(captions(plot(seed, FILMED).facts, 5, seed) for seed in seeds)


@functools.cache
def _folder() -> tempfile.TemporaryDirectory:
    """Of the films; removed when the program ends."""
    return tempfile.TemporaryDirectory(prefix="sightline-stories-")
