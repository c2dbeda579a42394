"""The Video captioning tab: a clip, the very frames that a model gets of it, and what it says. Its
panels are in captioning_panels.py, captioning_inside.py and captioning_timeline.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from core import runtime
from core.captioning import budget, speakers
from core.captioning.run import Captioned, Prepared, run
from core.captioning.sources import ClipSettings, Given, source
from core.captioning.types import CHAT, MODELS, READS, CaptionSettings, CaptionStep
from core.types import InputError
from core.video import SampleSettings, VideoInfo, probe, thumbnails
from core.video.picks import counted
from core.video.source import fitted
from demos import captioning_panels as panels
from demos import ui
from demos.captioning_inside import Inside
from demos.captioning_timeline import Timeline

KINDS = (ClipSettings, SampleSettings, CaptionSettings)
OF_PICK = {"every": ("every",), "fps": ("fps",), "hand": ("by_hand",)}
COSTLY = (
    "model", "pick", "count", "every", "fps", "by_hand", "start_s", "end_s", "max_px", "max_tokens",
    "question",
)  # fmt: skip
OF_CHANCE = ("temperature", "top_p", "seed")


def build(run: Callable[..., Iterator[Prepared | CaptionStep | Captioned]] = run) -> None:
    """Draw the tab; `run` is core.captioning.run.run, or a test's fake of it."""
    made = ui.Controls(*KINDS)
    state, seen = gr.State(None), gr.State(None)  # the result; what the chosen clip is

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
                label="Pictures, in the order of their names; or an animated GIF, WebP or PNG",
                file_count="multiple", visible=False, height=160,
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
            picker = gr.Gallery(
                label="Frames to press", show_label=False, visible=False, height=230,
                allow_preview=False, interactive=False, buttons=[], elem_id="captioning-picker",
            )  # fmt: skip
            made.draw("by_hand")
            made.draw_rest()
            headline = ui.text(elem_classes="headline")
            strip = ui.text()

    inputs = [own, several, *made.inputs]
    timeline = Timeline(made, inputs)
    inside = Inside(state)
    comparison = panels.Comparison(made, inputs)
    scores = panels.Score(state)
    take = ui.TakeAway("captioning")
    ui.lesson("captioning")

    outputs = [state, headline, strip, facts, player, scores.shown, *inside.outputs, *take.outputs]

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
            scores.shown: panels.score_text(found),
            **inside.show(found),
            **take.show(found.result.recipe),
        }

    job.wire(work, show, inputs, outputs, api_name="captioning")
    timeline.wire(given)
    comparison.wire(given)
    scores.wire()
    take.wire(state, panels.write_files)
    made.restore_from("captioning")
    _rules(made, player, own, several, facts, meter, seen, job.status, inputs)
    _picker(made, picker, [own.change, several.change], job.status, inputs)


def given(where: ClipSettings, path: str | None, files: list[str] | None) -> Given:
    """What the person handed in, as far as this source uses it."""
    if where.clip == "pictures" and files:
        return Given(images=tuple(ui.by_name(files)))
    return Given(path if where.clip == "file" else None)


def _rules(
    made: ui.Controls, player: Any, own: Any, several: Any, facts: Any, meter: Any, seen: Any,
    status: Any, inputs: list[Any],
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
        handed = given(where, path, files)
        shown: dict[Any, Any] = {facts: "", seen: None, meter: _meter(settings, how, None)}
        if where.clip != "story" and handed == Given():
            return shown
        clip = source(where, handed)
        info = clip.info or probe(clip.pictures)
        shown |= {seen: info, meter: _meter(settings, how, info)}
        if clip.info is not None:
            shown[facts] = panels.facts(clip.info)
        if where.clip == "story":
            shown[player] = str(clip.path)
        return shown

    def draw_meter(info: VideoInfo | None, *values: Any) -> str:
        _, how, settings = made.read(values)
        try:
            return _meter(settings, how, info)
        except InputError as error:
            return ui.said(str(error))

    again = [widgets[name].change for name in ("clip", "story_seed", "story_split")]
    gr.on([widgets["clip"].change], arrange, asked, places, **ui.QUIET)
    ui.on_open(arrange, asked, places)
    drawn = [status, player, facts, seen, meter]
    gr.on([*again, own.change, several.change], ui.guard(draw_clip, status), inputs, drawn,
          trigger_mode="always_last", **ui.QUIET)  # fmt: skip
    ui.on_open(ui.guard(draw_clip, status, clears=False), inputs, drawn)
    gr.on([widgets[name].change for name in COSTLY], draw_meter, [seen, *made.inputs], meter,
          trigger_mode="always_last", **ui.QUIET)  # fmt: skip

    model, pick, sampled = widgets["model"], widgets["pick"], widgets["sampled"]
    model.change(lambda key: gr.Dropdown(info=_about(key)), model, model, **ui.QUIET)
    used = sorted({name for names in OF_PICK.values() for name in names})
    for chosen, names, wanted in (
        (model, ("question",), lambda key, name: key in CHAT),
        (pick, used, lambda key, name: name in OF_PICK.get(key, ())),
        (sampled, OF_CHANCE, lambda on, name: on),
    ):

        def needed(value: Any, names: Any = names, wanted: Any = wanted) -> dict:
            return {widgets[name]: gr.update(visible=wanted(value, name)) for name in names}

        places = [widgets[name] for name in names]
        chosen.change(needed, chosen, places, **ui.QUIET)
        ui.on_open(needed, [chosen], places)


def _meter(settings: CaptionSettings, how: SampleSettings, info: VideoInfo | None) -> str:
    """What the model will take in, before it runs."""
    count, size, reads = how.count, (512, 512), READS[settings.model]
    if info is not None and reads.tokens:  # a measurement takes frames of its own choice
        size = fitted(info.width, info.height, how.max_px)
        try:
            count = counted(info, how)
        except InputError as error:
            return ui.said(str(error))
    unsure = how.pick in ("scenes", "kmeans") and reads.tokens > 0 and not reads.frames
    return panels.meter(budget(count, settings, size[::-1]), unsure)


def _picker(
    made: ui.Controls, picker: Any, handed: list[Any], status: Any, inputs: list[Any]
) -> None:
    """Small frames to press, where frames are picked by hand."""
    widgets = made.widgets

    def fill(path: str | None, files: list[str] | None, *values: Any) -> dict:
        where, how, _ = made.read(values)
        if how.pick != "hand":
            return {picker: gr.Gallery([], visible=False)}
        clip = source(where, given(where, path, files))
        frames = thumbnails(clip.path or clip.pictures)
        shown = [
            (image, f"{index} · {time:.2f} s")
            for image, time, index in zip(
                frames.images, frames.times_s, frames.indices, strict=True
            )
        ]
        return {picker: gr.Gallery(shown, visible=True)}

    def press(by_hand: str, event: gr.SelectData) -> dict:
        return {widgets["by_hand"]: toggled(by_hand, event.value["caption"].split()[0])}

    again = [widgets[name].change for name in ("pick", "clip", "story_seed", "story_split")]
    gr.on([*again, *handed], ui.guard(fill, status, clears=False), inputs, [status, picker],
          trigger_mode="always_last", **ui.QUIET)  # fmt: skip
    picker.select(press, widgets["by_hand"], [widgets["by_hand"]], **ui.QUIET)


def toggled(numbers: str, number: str) -> str:
    """Frame numbers with this one too, or without it if it was among them."""
    words = numbers.replace(",", " ").split()
    return ", ".join([w for w in words if w != number] if number in words else [*words, number])


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
