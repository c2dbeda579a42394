"""From frames to a caption, by any model; and from the tab's settings to both."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from core.captioning import speakers
from core.captioning.scoring import SCORE_HELP, SECOND, score_result
from core.captioning.sources import Clip, ClipSettings, Given, corpus, source
from core.captioning.types import (
    CHAT,
    MODELS,
    READS,
    TITLES,
    CaptionResult,
    CaptionSettings,
    CaptionStep,
)
from core.images import digest
from core.recipe import Recipe
from core.runtime import stage
from core.types import Compared, InputError, Progress, Unavailable, silent
from core.video import Cue, Frames, SampleSettings, probe, sample, shots
from core.video.reading import Footage

TICK_S = 1e-4  # nothing begins so soon after another
COMPARE_HELP = {**SCORE_HELP, "seconds": ("Time", "Of one caption.", "s")}


# ---------------------------------------------------------------- one caption


def caption(
    frames: Frames,
    settings: CaptionSettings = CaptionSettings(),
    progress: Progress = silent,
) -> CaptionResult:
    """What the model says happens in these frames; see `caption_steps`."""
    *_, last = caption_steps(frames, settings, progress)
    assert isinstance(last, CaptionResult)
    return last


def caption_steps(
    frames: Frames,
    settings: CaptionSettings = CaptionSettings(),
    progress: Progress = silent,
) -> Iterator[CaptionStep | CaptionResult]:
    """The caption of frames (N, H, W, 3) uint8 as it grows, then the CaptionResult.

    Raises InputError for frames that are more than the model can hold, Unavailable if its weights
    aren't here.
    """
    began = time.perf_counter()
    meter = budget(len(frames), settings, frames.images.shape[1:3])
    if meter.over:
        raise InputError(meter.sentence())
    if settings.model == "keyframes":
        yield _measured(frames, settings, began)
        return
    speaker = speakers.load(settings.model, stage(progress, 0.0, 0.5))
    progress(0.5, desc="looking")
    if settings.model == "blip-frames":
        yield from _each_frame(speaker, frames, settings, began)
        return
    seen = speaker.frames_of(frames)
    inputs = speaker.prepare(seen, settings.question)
    answer = speakers.speak(speaker, inputs, settings)
    told = yield from _steps(answer, settings, began)
    taken = len(seen) * READS[settings.model].tokens
    if settings.model in CHAT:  # a place of each picture token stands among the words
        taken = inputs["input_ids"].shape[1]
    notes = [*_notes(frames, seen, told, settings)]
    yield _result(speaker, told, seen, taken, settings, began, notes)


def _steps(
    answer: Generator[str, None, speakers.Said], settings: CaptionSettings, began: float
) -> Generator[CaptionStep, None, speakers.Said]:
    count = 0
    try:
        while True:
            text, count = next(answer), count + 1
            yield CaptionStep(count, settings.max_tokens, time.perf_counter() - began, text)
    except StopIteration as end:
        return end.value
    finally:
        answer.close()


def _result(
    speaker: speakers.Speaker, told: speakers.Said, seen: Frames, taken: int,
    settings: CaptionSettings, began: float, notes: Sequence[str] = (), text: str | None = None,
) -> CaptionResult:  # fmt: skip
    """taken: tokens of pictures and question."""
    runners = tuple(
        tuple(zip(speaker.pieces(ids), chances.tolist(), strict=True))
        for ids, chances in zip(told.likely.tolist(), told.chances, strict=True)
    )
    return CaptionResult(
        settings, speaker.text(told.ids) if text is None else text, speaker.pieces(told.ids),
        told.own, runners, told.ids, seen, taken + len(told.ids),
        time.perf_counter() - began, recipe_of(seen, settings), tuple(notes),
    )  # fmt: skip


def _notes(
    given: Frames, seen: Frames, told: speakers.Said, settings: CaptionSettings
) -> Iterator[str]:
    yield from given.notes
    if len(given) != len(seen):
        yield (
            f"{TITLES[settings.model]} sees {len(seen)} frames: of the {len(given)} chosen, these "
            "were taken evenly."
        )
    if len(told.ids) >= _longest(settings):
        yield "The answer reached its longest length and may be cut short."


def _each_frame(
    speaker: speakers.Speaker, frames: Frames, settings: CaptionSettings, began: float
) -> Iterator[CaptionStep | CaptionResult]:
    """A caption for each frame alone, one a line."""
    lines: list[str] = []
    parts = []
    for k in range(len(frames)):
        one = frames.taken(slice(k, k + 1))
        answer = speakers.speak(speaker, speaker.prepare(one, ""), settings)
        told = yield from _steps(answer, settings, began)
        parts.append(told)
        lines.append(f"{frames.times_s[k]:.1f}{SECOND}{speaker.text(told.ids)}")
        seconds = time.perf_counter() - began
        yield CaptionStep(k + 1, len(frames), seconds, "\n".join(lines))
    whole = speakers.Said(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("ids", "own", "likely", "chances")
        )
    )
    taken = len(frames) * READS[settings.model].tokens
    text = "\n".join(lines)
    yield _result(speaker, whole, frames, taken, settings, began, frames.notes, text)


def _measured(frames: Frames, settings: CaptionSettings, began: float) -> CaptionResult:
    from core.captioning import keyframes

    text = keyframes.sentence(keyframes.measure(frames))
    note = "This is a measurement, not a model: it knows no things, only colours and motion."
    return CaptionResult(
        settings, text, (), np.zeros(0), (), np.zeros(0, np.int64), frames, 0,
        time.perf_counter() - began, recipe_of(frames, settings), (note, *frames.notes),
    )  # fmt: skip


def recipe_of(frames: Frames, settings: CaptionSettings) -> Recipe:
    """The program that says the same again, from the frames themselves."""
    program = (
        "import numpy as np\n\n"
        "from core.captioning import CaptionSettings, caption\n"
        "from core.video import Frames\n\n"
        'held = np.load("frames.npz")\n'
        'clip_s = float(held["clip_s"])\n'
        'frames = Frames(held["images"], held["times_s"], held["indices"], clip_s=clip_s)\n'
        "print(caption(frames, {CaptionSettings}).text)"
    )
    model = MODELS[settings.model].id if settings.model in MODELS else ""
    return Recipe("captioning", program, (settings,), {"frames.npz": digest(frames.images)}, model)


# ---------------------------------------------------------------- what it costs


@dataclass(frozen=True)
class Budget:
    """What a model will take in: frames as it sees them, of so many chosen, tokens of pictures and of
    words, how many it can hold (0: the pictures of these models have no limit but memory),
    gigabytes."""

    model: str
    chosen: int
    frames: int
    picture_tokens: int
    word_tokens: int
    context: int
    memory_gb: float

    @property
    def over(self) -> bool:
        return 0 < self.context < self.picture_tokens + self.word_tokens

    def sentence(self) -> str:
        """The meter in words."""
        if not self.picture_tokens:
            return "No model: nothing but arithmetic on the pictures."
        total = self.picture_tokens + self.word_tokens
        each = self.picture_tokens // self.frames
        told = f"{_frames(self.frames)} × {each} tokens"
        told += f" + up to {self.word_tokens} of words = {total:,}"
        if self.chosen != self.frames:
            told = f"{_frames(self.chosen)} spread over the {self.frames} it takes: {told}"
        if self.over:
            return (
                f"{TITLES[self.model]} can't hold this: {told}, and it holds {self.context:,}. "
                "Choose fewer frames or a shorter answer."
            )
        room = f" of {self.context:,} ({total / self.context:.0%})" if self.context else ""
        return f"{told}{room}; about {self.memory_gb:.1f} GB of memory."


def budget(count: int, settings: CaptionSettings, size: tuple[int, ...] = (512, 512)) -> Budget:
    """What `count` frames of this size (height, width) px cost the model."""
    reads = READS[settings.model]
    frames = reads.frames or count
    each = reads.tokens
    if settings.model == "qwen3-vl-2b":
        each = max(1, round(size[0] / 32)) * max(1, round(size[1] / 32))
    words = _longest(settings)
    if settings.model in CHAT:  # a token is about three letters; nine tell a frame's second
        words += len(settings.question) // 3 + 9 * frames
    spec = MODELS.get(settings.model)
    return Budget(
        settings.model, count, frames, frames * each, words, reads.context,
        spec.memory_gb if spec else 0.0,
    )  # fmt: skip


def _frames(count: int) -> str:
    return f"{count} frame{'s' * (count != 1)}"


def _longest(settings: CaptionSettings) -> int:
    """Tokens that an answer may have: as set, or as many as the model can say."""
    return min(settings.max_tokens, READS[settings.model].longest or settings.max_tokens)


# ---------------------------------------------------------------- along the clip


def captions_over_time(
    path: Footage,
    sample_settings: SampleSettings = SampleSettings(),
    settings: CaptionSettings = CaptionSettings(),
    *,
    window_s: float = 0.0,
    progress: Progress = silent,
) -> Iterator[Cue]:
    """One caption for each stretch of the clip (a file, or pictures that are shown for a second each):
    of window_s seconds, or 0: of each shot.

    Stretches lie between the settings' in and out points; each is sampled by itself. A frame that
    begins with a stretch is in that one alone.
    """
    clip = Clip(Path(path), None) if isinstance(path, str | Path) else Clip(None, None, tuple(path))
    for k, (start_s, end_s) in enumerate(spans := stretches(path, sample_settings, window_s)):
        part = stage(progress, k / len(spans), (k + 1) / len(spans))
        chosen = replace(
            sample_settings, pick="uniform", start_s=start_s, end_s=max(end_s - TICK_S, TICK_S)
        )
        found = caption(frames_for(clip, chosen, settings.model), settings, part)
        yield Cue(start_s, end_s, found.text)


def stretches(
    path: Footage, settings: SampleSettings, window_s: float
) -> list[tuple[float, float]]:
    """(start, end) in seconds of the windows, or of the shots if window_s is 0. The last window also
    takes what is left, if that is less than half of one."""
    start = settings.start_s
    end = float(np.fmin(settings.end_s or np.nan, probe(path).duration_s))
    if not np.isfinite(end):
        raise InputError("This file doesn't say how long it is. Set the out point.")
    if start >= end:
        raise InputError(
            f"The in point, {start:.10g} s, isn't before the end of this part, {end:.2f} s. "
            "Choose an earlier one."
        )
    if window_s < 0:
        raise InputError("A window can't be shorter than nothing. Choose half a second or more.")
    if window_s:
        count = max(1, round((end - start) / window_s))
        if count > 500:
            raise InputError(f"{count:,} windows are too many. Choose longer ones.")
        inside = [start + k * window_s for k in range(1, count)]
    else:
        inside = [at for at, _ in shots(path, start, settings.end_s)][1:]
    edges = [start, *(at for at in inside if at < end - TICK_S), end]
    return [(float(a), float(b)) for a, b in pairwise(edges)]


# ---------------------------------------------------------------- the tab's


@dataclass(frozen=True)
class Captioned:
    """The caption and what it came of; scores of SCORE_HELP, {} without references."""

    clip: Clip
    frames: Frames
    result: CaptionResult
    scores: dict[str, float]


@dataclass(frozen=True)
class Prepared:
    """The clip and the frames that go to the model, before it has said anything."""

    clip: Clip
    frames: Frames


def run(
    clip_settings: ClipSettings,
    sample_settings: SampleSettings,
    settings: CaptionSettings,
    given: Given = Given(),
    progress: Progress = silent,
) -> Iterator[Prepared | CaptionStep | Captioned]:
    """Open or film the clip, take frames, caption them: the words as they come, then Captioned."""
    clip = source(clip_settings, given)
    frames = frames_for(clip, sample_settings, settings.model)
    yield Prepared(clip, frames)
    for event in caption_steps(frames, settings, progress):
        if isinstance(event, CaptionResult):
            whole = replace(event.recipe, settings=(clip_settings, sample_settings, settings))
            event = replace(event, recipe=whole)
            known = clip.references
            scores = score_result(event, known, corpus()) if known else {}
            yield Captioned(clip, frames, event, scores)
        else:
            yield event


def frames_for(clip: Clip, settings: SampleSettings, model: str) -> Frames:
    """The frames of the clip that this model is given."""
    from core.captioning import keyframes

    if model == "keyframes" and clip.path is not None:  # motion needs neighbours, not samples
        return keyframes.dense(clip.path, settings.start_s, settings.end_s)
    return sample(clip.path or clip.pictures, settings)


def compare(
    keys: Sequence[str],
    clip: Clip,
    sample_settings: SampleSettings = SampleSettings(),
    settings: CaptionSettings = CaptionSettings(),
    progress: Progress = silent,
) -> Iterator[tuple[Compared, CaptionResult | None]]:
    """The same clip by each model; scores of COMPARE_HELP. One that can't run says why, and has no
    scores and no result."""
    known = clip.references
    for k, key in enumerate(keys):
        part = stage(progress, k / len(keys), (k + 1) / len(keys))
        picture = np.zeros((1, 1, 3), np.uint8)
        try:
            frames = frames_for(clip, sample_settings, key)
            picture = frames.images[0]
            found = caption(frames, replace(settings, model=key), part)
        except (InputError, Unavailable) as error:
            told = f"{TITLES[key]} did not run: {error}"
            yield Compared(k + 1, len(keys), 0.0, told, picture, {"seconds": np.nan}), None
            continue
        scores = score_result(found, known, corpus()) if known else {}
        scores["seconds"] = found.seconds
        seen = Compared(k + 1, len(keys), found.seconds, TITLES[key], picture, scores)
        yield seen, found
