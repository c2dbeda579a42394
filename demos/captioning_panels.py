"""The panels of the Video captioning tab: facts, film strip, words, models and seeds, scores, files."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from core import figures, runtime
from core.captioning import CaptionResult, to_json, to_srt, to_text, to_vtt
from core.captioning.run import COMPARE_HELP, Budget, Captioned, caption, compare, frames_for
from core.captioning.scoring import SCORE_HELP, captions_of, score_result
from core.captioning.sources import corpus, source
from core.captioning.types import TITLES, CaptionSettings, CaptionStep
from core.types import Compared, InputError, Progress
from core.video import Cue, Frames, SampleSettings, VideoInfo, cost_lines
from demos import markup, ui

STRIP_PX = 320  # of a frame in the strip, at most


def facts(info: VideoInfo) -> str:
    """The facts strip: what the file is, and what each fact costs."""
    table = markup.table(cost_lines(info), ("", "", "What it costs"), ("", "n", "why"))
    return table + "".join(f'<div class="note">{html.escape(note)}</div>' for note in info.notes)


def meter(cost: Budget, unsure: bool = False) -> str:
    """The budget as words and a bar; unsure: it may be less."""
    if cost.over:
        return ui.said(cost.sentence())
    share = (cost.picture_tokens + cost.word_tokens) / cost.context if cost.context else 0.0
    bar = (
        f'<div class="bar"><i style="width:{100 * min(share, 1):.1f}%"></i></div>' if share else ""
    )
    return f"<div>{'At most: ' * unsure}{html.escape(cost.sentence())}</div>{bar}"


def film_strip(frames: Frames) -> str:
    """The frames that go to the model, each with its number and its second."""
    shown = [
        (small(image), f"Frame {index} · {time:.2f} s")
        for image, time, index in zip(frames.images, frames.times_s, frames.indices, strict=True)
    ]
    return markup.pictures(shown, least_px=130)


def small(image: np.ndarray) -> np.ndarray:
    """A frame at most STRIP_PX long; small ones with every pixel a square."""
    step = max(1, math.ceil(max(image.shape[:2]) / STRIP_PX))
    return markup.large(np.ascontiguousarray(image[::step, ::step]))


def growing(step: CaptionStep) -> str:
    return f'<div aria-live="off"><b>{_lines(step.text)}</b></div>'


def headline(found: Captioned) -> str:
    """What was said, of how many frames, how surely, and what a person should know."""
    result = found.result
    said = f'<b class="caption">{_lines(result.text or "(nothing)")}</b><br>'
    said += f"{TITLES[result.settings.model]}, {len(result.frames)} frames, {result.seconds:.1f} s."
    known = result.probabilities[~np.isnan(result.probabilities)]
    if len(known):
        said += f" Its words have a mean probability of <b>{math.exp(np.log(np.maximum(known, 1e-9)).mean()):.2f}</b>."
    told = {
        key: value
        for key, value in found.scores.items()
        if key in ("colour", "shape", "action", "direction", "order")
    }
    if told:
        right = ", ".join(f"{SCORE_HELP[k][0].lower()} {v:.0%}" for k, v in told.items())
        said += f" Against the truth: <b>{right}</b>."
    if found.clip.references:
        said += f'<div class="note">In truth: {html.escape(found.clip.references[0])}.</div>'
    notes = "".join(f'<div class="note">{html.escape(note)}</div>' for note in result.notes)
    return f'<div aria-live="polite">{said}{notes}</div>'


def _lines(text: str) -> str:
    return "<br>".join(html.escape(line) for line in text.splitlines())


def score_text(found: Captioned) -> str:
    """Every score with its meaning, and what it was compared with."""
    if not found.scores:
        return (
            '<div class="note">Nobody has written down what happens in this clip. Write it below, or '
            "choose a rendered story under Clip: these have exact captions.</div>"
        )
    text = markup.score_table(found.scores, SCORE_HELP)
    references = "".join(f"<li>{html.escape(line)}</li>" for line in found.clip.references)
    how = ""
    if "shape" in found.scores:
        how = "Facts are read back from the sentence, by the grammar that wrote the references. "
    if len(captions_of(found.result)) > 1:
        how += "Each frame's caption is scored by itself, without its second: these are means. "
    return f'{text}<div class="note">{how}References:</div><ul>{references}</ul>'


class Score:
    """The Score panel: against the clip's own references, or against a person's."""

    def __init__(self, state: gr.State):
        self.state = state
        with ui.panel("Score"):
            self.shown = ui.text()
            self.truth = gr.Textbox(
                label="References of your own", lines=2,
                info="What happens in truth, in a sentence; more of them, each on a line of its own.",
            )  # fmt: skip
            self.now = gr.Button("Score against these")
            self.status = ui.text(elem_classes="status")

    def wire(self) -> None:
        def against(found: Captioned | None, text: str) -> dict:
            if found is None:
                raise InputError("There is no result yet. Press Caption first.")
            lines = tuple(line.strip() for line in text.splitlines() if line.strip())
            if not lines:
                raise InputError("There are no references yet. Write what happens in the clip.")
            scores = score_result(found.result, lines, corpus())
            clip = replace(found.clip, references=lines)
            return {self.shown: score_text(replace(found, clip=clip, scores=scores))}

        self.now.click(
            ui.guard(against, self.status), [self.state, self.truth], [self.status, self.shown],
            **ui.QUIET,
        )  # fmt: skip


# ---------------------------------------------------------------- comparing


class Comparison:
    """The Compare panel: models on the same clip, and one model's seeds."""

    def __init__(self, made: ui.Controls, inputs: list[Any]):
        self.made, self.inputs = made, inputs
        with ui.panel("Compare"), gr.Tabs():
            with gr.Tab("Models"):
                self.models = gr.CheckboxGroup(
                    [(title, key) for key, title in TITLES.items()],
                    value=["tiny-git", "keyframes"], label="Models",
                    info="Two to four, on the same clip.",
                )  # fmt: skip
                self.by_model = ui.Job("Compare", "captioning-compare")
                self.answers, self.scores = ui.text(), ui.text()
            with gr.Tab("Seeds"):
                gr.Markdown(
                    "The likeliest words are always the same. Sampled ones differ, and what differs "
                    "is what the model isn't sure of."
                )
                self.count = gr.Slider(2, 8, value=5, step=1, label="Captions")
                self.by_seed = ui.Job("Sample them", "captioning-seeds")
                self.sampled = ui.text()

    def wire(self, given: Any) -> None:
        def models(chosen: list[str], path: Any, files: Any, *values: Any) -> Iterator:
            if not 2 <= len(chosen) <= 4:
                raise InputError(f"{len(chosen)} models are chosen. Choose two to four.")
            where, how, settings = self.made.read(values)
            clip = source(where, given(where, path, files))
            found: list[tuple[Compared, CaptionResult | None]] = []
            for event in runtime.stream(compare, chosen, clip, how, settings):
                if isinstance(event, runtime.Part):
                    found.append(event.value)
                    yield runtime.Part(tuple(found))
                elif isinstance(event, runtime.Tick):
                    yield event

        def seeds(count: int, path: Any, files: Any, *values: Any) -> Iterator:
            where, how, settings = self.made.read(values)
            if settings.model == "keyframes":
                raise InputError("A measurement leaves nothing to chance. Choose a model.")
            clip = source(where, given(where, path, files))
            frames = frames_for(clip, how, settings.model)
            yield from runtime.stream(_by_seed, frames, settings, int(count), clip.references)

        def show_models(found: tuple[tuple[Compared, CaptionResult | None], ...]) -> dict:
            rows = [(column.name, result.text if result else "") for column, result in found]
            scored = [column for column, _ in found]
            keys = sorted({key for c in scored for key in c.scores}, key=list(COMPARE_HELP).index)
            even = [replace(c, scores={k: c.scores.get(k, math.nan) for k in keys}) for c in scored]
            return {
                self.answers: markup.table(rows, ("Model", "What it says"), ("", "")),
                self.scores: markup.compare_table(even, COMPARE_HELP),
            }

        self.by_model.wire(
            models, show_models, [self.models, *self.inputs], [self.answers, self.scores]
        )
        self.by_seed.wire(seeds, lambda rows: {self.sampled: _spread(rows)},
                          [self.count, *self.inputs], [self.sampled])  # fmt: skip


def _by_seed(
    frames: Frames, settings: CaptionSettings, count: int, references: Sequence[str],
    progress: Progress,
) -> Iterator[tuple[tuple[CaptionResult, dict[str, float]], ...]]:  # fmt: skip
    found = []
    for seed in range(count):
        progress(seed / count, desc=f"seed {seed}")
        one = caption(frames, replace(settings, sampled=True, seed=seed))
        found.append((one, score_result(one, references, corpus()) if references else {}))
        yield tuple(found)


def _spread(found: Sequence[tuple[CaptionResult, dict[str, float]]]) -> str:
    """Captions of several seeds, and mean and spread of their scores."""
    rows = [(str(one.settings.seed), one.text) for one, _ in found]
    text = markup.table(rows, ("Seed", "What it says"), ("n", ""))
    keys = [key for key in SCORE_HELP if key in found[0][1]]
    if keys:
        values = {key: np.array([scores[key] for _, scores in found]) for key in keys}
        text += markup.table(
            [(SCORE_HELP[k][0], f"{v.mean():.2f}", f"{v.std():.2f}") for k, v in values.items()],
            ("Score", "Mean", "Spread"), ("", "n", "n"),
        )  # fmt: skip
    return text


# ---------------------------------------------------------------- files


def write_files(found: Captioned, folder: Path) -> list[Path]:
    """Everything to take away: figure, frames, words, subtitles, script."""
    result, recipe = found.result, found.result.recipe
    frames = result.frames
    shown = [
        (f"{time:.2f} s", image) for time, image in zip(frames.times_s, frames.images, strict=True)
    ]
    title = result.text if len(result.text) < 90 else result.text[:87] + "…"
    figure = figures.picture_figure(shown, title, recipe, columns=min(4, len(shown)))
    paths = figures.save(figure, folder, "figure", recipe)
    held = folder / "frames.npz"
    np.savez_compressed(
        held, images=frames.images, times_s=frames.times_s, indices=frames.indices,
        clip_s=frames.clip_s,
    )  # fmt: skip
    about = {
        "caption": result.text, "model": recipe.model or result.settings.model,
        "words": [
            {"text": word, "probability": None if math.isnan(p) else round(float(p), 6)}
            for word, p in zip(result.words, result.probabilities, strict=True)
        ],
        "frames": [
            {"index": int(i), "second": float(t)}
            for i, t in zip(frames.indices, frames.times_s, strict=True)
        ],
        "references": list(found.clip.references), "scores": found.scores,
    }  # fmt: skip
    words = folder / "caption.json"
    words.write_text(json.dumps(about, indent=1), encoding="utf-8")
    part = next((s for s in recipe.settings if isinstance(s, SampleSettings)), SampleSettings())
    measured = result.settings.model == "keyframes" and found.clip.path is not None
    if part.pick == "hand" and not measured:
        part = SampleSettings()  # these are of the whole clip, whatever its in and out points
    end_s = float(np.fmin(part.end_s or math.nan, frames.clip_s))
    end_s = end_s if math.isfinite(end_s) else float(frames.times_s[-1]) + 1
    script = folder / "captioning.py"
    script.write_text(recipe.code(), encoding="utf-8")
    return [
        *paths,
        held,
        words,
        *write_cues([Cue(part.start_s, end_s, result.text)], folder),
        script,
    ]


def write_cues(cues: Sequence[Cue], folder: Path) -> list[Path]:
    """Captions along the clip as SRT, WebVTT, JSON and text."""
    kinds = {"srt": to_srt, "vtt": to_vtt, "json": to_json, "txt": to_text}
    paths = []
    for ending, write in kinds.items():
        path = folder / f"captions.{ending}"
        path.write_text(write(list(cues)), encoding="utf-8")
        paths.append(path)
    return paths
