"""The Video captioning tab: a clip, the very frames that a model gets of it, and what it says. Its
panels are in captioning_panels.py, captioning_inside.py and captioning_timeline.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from core import images, runtime
from core.captioning import budget, speakers
from core.captioning.run import Captioned, Prepared, run
from core.captioning.sources import ClipSettings, Given, filmed
from core.captioning.types import CHAT, MODELS, READS, CaptionSettings, CaptionStep
from core.types import InputError
from core.video import SampleSettings, VideoInfo, probe
from demos import captioning_panels as panels
from demos import ui
from demos.captioning_inside import Inside
from demos.captioning_timeline import Timeline

KINDS = (ClipSettings, SampleSettings, CaptionSettings)
OF_PICK = {"every": ("every",), "fps": ("fps",), "hand": ("by_hand",)}
OF_CHANCE = ("temperature", "top_p", "seed")


def build(run: Callable[..., Iterator[Prepared | CaptionStep | Captioned]] = run) -> None:
    """Draw the tab; `run` is core.captioning.run.run, or a test's fake of it."""
    made = ui.Controls(*KINDS)
    state = gr.State(None)

    with gr.Row():
        with gr.Column(scale=4, min_width=320):
            made.draw("clip", "story_seed")
            player = gr.Video(
                label="The clip", interactive=False, autoplay=True, loop=True, height=300,
                buttons=[], elem_id="captioning-player",
            )  # fmt: skip
            own = gr.Video(
                label="Your video", sources=["upload", "webcam"], visible=False, height=300,
                elem_id="captioning-own",
            )  # fmt: skip
            several = gr.File(
                label="Pictures, in the order of their names", file_count="multiple",
                visible=False, height=160,
            )  # fmt: skip
            facts = ui.text()
        with gr.Column(scale=6, min_width=320):
            with gr.Row():
                made.draw("model")
                with gr.Column(min_width=180):
                    job = ui.Job("Caption", "captioning")
            meter = ui.text(elem_classes="status")
            with gr.Row():
                made.draw("pick")
                with gr.Column(min_width=240):  # on a phone a row of its own
                    made.draw("count")
            made.draw_rest()
            headline = ui.text(elem_classes="headline")
            strip = ui.text()

    inputs = [own, several, *made.inputs]
    timeline = Timeline(made, inputs)
    inside = Inside(state)
    comparison = panels.Comparison(made, inputs)
    with ui.panel("Score"):
        scores = ui.text()
    take = ui.TakeAway("captioning")
    ui.lesson("captioning")

    outputs = [state, headline, strip, facts, player, scores, *inside.outputs, *take.outputs]

    def work(path: str | None, files: list[str] | None, *values: Any) -> Iterator:
        where, how, settings = made.read(values)
        gpu = settings.model not in ("keyframes", "tiny-git")
        handed = given(where, path, files)
        yield from runtime.stream(run, where, how, settings, handed, gpu=gpu)

    def show(found: Prepared | CaptionStep | Captioned) -> dict:
        if isinstance(found, CaptionStep):
            return {headline: panels.growing(found)}
        if isinstance(found, Prepared):
            shown: dict[Any, Any] = {strip: panels.film_strip(found.frames)}
            if found.clip.info is not None:
                shown[facts] = panels.facts(found.clip.info)
            return shown
        return {
            state: found,
            headline: panels.headline(found),
            strip: panels.film_strip(found.result.frames),
            scores: panels.score_text(found),
            **inside.show(found),
            **take.show(found.result.recipe),
        }

    job.wire(work, show, inputs, outputs, api_name="captioning")
    timeline.wire(given)
    comparison.wire(given)
    take.wire(state, panels.write_files)
    made.restore_from("captioning")
    _rules(made, player, own, several, facts, meter, job.status, inputs)


def given(where: ClipSettings, path: str | None, files: list[str] | None) -> Given:
    """What the person handed in, as far as this source uses it."""
    if where.clip == "pictures" and files:
        return Given(images=tuple(images.load(file) for file in sorted(files)))
    return Given(path if where.clip == "file" else None)


def _rules(
    made: ui.Controls, player: Any, own: Any, several: Any, facts: Any, meter: Any, status: Any,
    inputs: list[Any],
) -> None:  # fmt: skip
    """What is shown for which choice, the clip as soon as it is chosen, and the budget meter."""
    widgets = made.widgets

    def arrange(clip: str) -> dict:
        return {
            widgets["story_seed"]: gr.update(visible=clip == "story"),
            player: gr.update(visible=clip == "story"),
            own: gr.update(visible=clip == "file"),
            several: gr.update(visible=clip == "pictures"),
        }

    asked = [widgets["clip"]]
    places = [widgets["story_seed"], player, own, several]

    def draw_clip(path: str | None, files: list[str] | None, *values: Any) -> dict:
        where, how, settings = made.read(values)
        info: VideoInfo | None = None
        shown: dict[Any, Any] = {facts: ""}
        if where.clip == "story":
            clip = filmed(where.story_seed, where.story_split)
            info, shown = clip.info, {player: str(clip.path)}
        elif where.clip == "file" and path:
            info = probe(path)
        if info is not None:
            shown[facts] = panels.facts(info)
        return {**shown, meter: _meter(settings, how, info)}

    def draw_meter(*values: Any) -> str:
        _, how, settings = made.read(values)
        try:
            return _meter(settings, how, None)
        except InputError as error:
            return ui.said(str(error))

    again = [widgets[name].change for name in ("clip", "story_seed", "story_split")]
    gr.on([widgets["clip"].change], arrange, asked, places, **ui.QUIET)
    ui.on_open(arrange, asked, places)
    gr.on([*again, own.change], ui.guard(draw_clip, status), inputs,
          [status, player, facts, meter], trigger_mode="always_last", **ui.QUIET)  # fmt: skip
    ui.on_open(ui.guard(draw_clip, status), inputs, [status, player, facts, meter])
    costly = ("model", "count", "max_tokens", "question")
    gr.on([widgets[name].change for name in costly], draw_meter, made.inputs, meter, **ui.QUIET)

    model, pick, sampled = widgets["model"], widgets["pick"], widgets["sampled"]
    model.change(lambda key: gr.Dropdown(info=_about(key)), model, model, **ui.QUIET)
    model.change(lambda key: gr.update(visible=key in CHAT), model, widgets["question"], **ui.QUIET)
    used = sorted({name for names in OF_PICK.values() for name in names})
    pick.change(
        lambda key: [gr.update(visible=name in OF_PICK.get(key, ())) for name in used],
        pick, [widgets[name] for name in used], **ui.QUIET,
    )  # fmt: skip
    sampled.change(
        lambda on: [gr.update(visible=on) for _ in OF_CHANCE],
        sampled, [widgets[name] for name in OF_CHANCE], **ui.QUIET,
    )  # fmt: skip


def _meter(settings: CaptionSettings, how: SampleSettings, info: VideoInfo | None) -> str:
    """What the model will take in, before it runs."""
    size = (512, 512) if info is None else (info.height, info.width)
    cost = budget(READS[settings.model].frames or how.count, settings, size)
    return panels.meter(cost)


def _about(key: str) -> str:
    """What the model can't do, and what is missing for it."""
    if key == "keyframes":
        return "Cuts, motion, brightness and colours, measured and written as a sentence."
    return f"{MODELS[key].note} {speakers.missing(key)}".strip()


demo = ui.Demo(
    "captioning",
    "Video captioning",
    "Say what happens in a clip, see exactly which frames and seconds the model saw, and test whether "
    "it used time at all.",
    build,
)
