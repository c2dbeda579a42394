"""Does a captioner use time? The same clip forwards, backwards, shuffled and frozen.

Many models that are called video models answer as well from a single frame (Buch et al. 2022,
"Revisiting the 'Video' in Video-Language Understanding"). Two things are asked of each changed clip:
what the model says now, and how likely it finds what it said of the true one. The second shows a
change even where the likeliest words stay the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from core.captioning import speakers
from core.captioning.run import caption
from core.captioning.types import CaptionResult, CaptionSettings
from core.captioning.world import backwards, out_of_order
from core.runtime import stage
from core.scenes.facts import Event, Facts
from core.scenes.language import JUMBLED, parse
from core.types import InputError, Progress, silent
from core.video import Frames

CHANGES = {
    "forwards": "As it is",
    "reversed": "Backwards",
    "shuffled": "Shuffled",
    "frozen": "Frozen on the middle frame",
}
ALIKE = 0.5  # of 255: clips that differ by less in the mean are one
LESS_LIKELY = 0.2  # nats a word: from here on, what was said counts as less likely


@dataclass(frozen=True)
class TimeTests:
    """captions and frames by key of CHANGES; likelihood: mean log-probability (nats) of a word of
    the true clip's caption, given each clip. verdicts: by key, whether the model passed (None: this
    clip can't tell) and the sentence that says so."""

    captions: dict[str, CaptionResult]
    frames: dict[str, Frames]
    likelihood: dict[str, float]
    verdicts: dict[str, tuple[bool | None, str]]

    @property
    def verdict(self) -> str:
        """All of it in one sentence."""
        decided = [passed for passed, _ in self.verdicts.values() if passed is not None]
        if not decided:
            return (
                "This clip can't tell whether the model uses time. Choose one in which things move."
            )
        if all(decided):
            return "The model uses time: it changes its answer where it must."
        if not any(decided):
            return "The model doesn't use time: it would say the same of a single picture."
        return "The model uses time in part: see which test it fails."


def changed(frames: Frames, seed: int = 0) -> dict[str, Frames]:
    """The clips of CHANGES. Times stay in order: it is the pictures that are moved."""
    n, different = len(frames), len(np.unique(frames.indices))
    if different < 3:
        raise InputError(
            f"{different} frame{'s have' if different > 1 else ' has'} no order to test. "
            "Choose three or more."
        )
    orders = {
        "forwards": np.arange(n),
        "reversed": np.arange(n)[::-1],
        "shuffled": out_of_order(n, np.random.default_rng(seed)),
        "frozen": np.full(n, n // 2),
    }
    return {
        name: replace(frames, images=np.ascontiguousarray(frames.images[order]),
                      indices=frames.indices[order])
        for name, order in orders.items()
    }  # fmt: skip


def time_tests(
    frames: Frames,
    settings: CaptionSettings = CaptionSettings(),
    progress: Progress = silent,
) -> TimeTests:
    """Caption the four clips and judge. Raises InputError for fewer than three frames, or for what
    is no model."""
    if settings.model in ("keyframes", "blip-frames"):
        raise InputError("This needs a model that sees all frames at once. Choose another model.")
    speaker = speakers.load(settings.model, stage(progress, 0.0, 0.2))
    clips = changed(speaker.frames_of(frames), settings.seed)
    captions, likelihood = {}, {}
    for k, (name, clip) in enumerate(clips.items()):
        progress(0.2 + 0.8 * k / len(clips), desc=CHANGES[name].lower())
        captions[name] = caption(clip, settings)
        inputs = speaker.prepare(clip, settings.question)
        heard, _ = speakers.log_chances(speaker, inputs, captions["forwards"].ids)
        likelihood[name] = float(heard.mean())
    texts = {name: found.text for name, found in captions.items()}
    verdicts = judged(texts, likelihood)
    for name in verdicts:
        if _alike(clips["forwards"], clips[name]):
            verdicts[name] = None, "These frames are all alike: this can't change anything."
    return TimeTests(captions, clips, likelihood, verdicts)


def _alike(a: Frames, b: Frames) -> bool:
    """Whether the two clips show the same, up to what packing a film changes."""
    return float(np.abs(a.images.astype(np.int16) - b.images).mean()) < ALIKE


def judged(
    texts: dict[str, str], likelihood: dict[str, float]
) -> dict[str, tuple[bool | None, str]]:
    """Verdicts from what was said of each clip."""
    return {
        "reversed": turned(texts["forwards"], texts["reversed"]),
        "shuffled": _shuffled(texts, likelihood),
        "frozen": _less(likelihood, "frozen", "a frozen frame"),
    }


def turned(said: str, reversed_: str) -> tuple[bool | None, str]:
    """Whether the directions named backwards are those of what was said, played backwards; None where
    saying the same would be right, or nobody can read it."""
    truth = read(said)
    if truth is None:
        same = said.strip().lower() == reversed_.strip().lower()
        return (
            (None, "It says the same backwards. If its sentence names a direction or an order, "
             "that is wrong.")
            if same
            else (None, "It says something else backwards. Whether it should is for you to judge.")
        )  # fmt: skip
    asked = [_goes(event) for event in backwards(truth).events if event.direction]

    def meets(facts: Facts) -> bool:
        named = set().union(*map(_goes, facts.events))
        return all(either & named for either in asked)

    if meets(truth):
        return None, "It named no direction that time turns, so backwards it may say the same."
    if meets(read(reversed_) or Facts(())):
        return True, "Backwards, the directions that it named turn as they must."
    return (
        False,
        "Backwards, a direction that it named doesn't turn: it isn't reading the order of frames.",
    )


def _shuffled(texts: dict[str, str], likelihood: dict[str, float]) -> tuple[bool | None, str]:
    said_so = {name: texts[name].rstrip(". ").lower() == JUMBLED for name in texts}
    if said_so["forwards"]:
        return None, "It takes the true clip for a shuffled one, so this can't tell."
    if said_so["shuffled"]:
        return True, "It notices that shuffled frames are out of order."
    return _less(likelihood, "shuffled", "shuffled frames")


def _less(likelihood: dict[str, float], name: str, what: str) -> tuple[bool, str]:
    drop = likelihood["forwards"] - likelihood[name]
    if drop >= LESS_LIKELY:
        return True, (
            f"With {what} its sentence becomes {np.exp(drop):.1f} times less likely a word: it had "
            "seen the motion."
        )
    return False, (
        f"With {what} its sentence stays as likely ({np.exp(drop):.2f} times a word): it doesn't "
        "need the motion."
    )


def read(text: str) -> Facts | None:
    """The facts of a sentence of the small world; None for any other."""
    try:
        return parse(text)
    except InputError:
        return None


def _goes(event: Event) -> set[tuple[str, str]]:
    """Who goes which way in an event: things by their colour, the camera is ''."""
    who = [event.subject, event.other] if event.outcome == "push" else [event.subject]
    return {(noun.colour, event.direction) for noun in who if noun}
