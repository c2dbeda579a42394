"""The ControlNet tab: a picture or a drawing, its map, and what is painted under it. Its panels are
in controlnet_panels.py and controlnet_inside.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from core import runtime
from core.control.run import Painted, SourceSettings, for_drawing, hint_of, lacking, run, source
from core.control.types import ControlSettings, Hint, HintSettings, Step
from core.diffusion import MODELS
from core.diffusion.loading import missing
from core.scenes.control import PALETTE
from core.types import InputError
from demos import controlnet_panels as panels
from demos import ui
from demos.controlnet_inside import Inside
from demos.widgets.photo import photo

KINDS = (SourceSettings, HintSettings, ControlSettings)
COLOURS: list[Any] = ["#ffffff", "#000000", *(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in PALETTE[:8])]
REDRAWN = ("control_source", "kind", "invert")  # a change of these makes another map
SLID = ("control_scene", "low", "high", "blur_px", "cells")
FOUND = ("picture", "stereo")  # sources whose edges are found by Canny; else they are known


def build(run: Callable[..., Iterator[Step | Painted]] = run) -> None:
    """Draw the tab; `run` is core.control.run.run, or a test's fake of it."""
    made = ui.Controls(*KINDS)
    state = gr.State(None)

    with gr.Row():
        with gr.Column(scale=3, min_width=260):
            picture = _input(made)
            made.draw("kind")
            editor = _editor()
            gr.Markdown("Draw on the map to change it; then paint.", elem_classes="note")
            with gr.Column(visible=False) as canny:
                made.draw("low", "high", "blur_px")
        with gr.Column(scale=2, min_width=230):
            made.draw("prompt")
            job = ui.Job("Paint", "controlnet")
            more = _more_maps()
            made.draw("scale", "guidance", "steps", "seed")
            made.draw("model")
            made.draw_rest()
            with gr.Accordion("LoRA", open=False):
                few = gr.Checkbox(label="LCM LoRA (hub)", info="Four to eight steps, with the LCM "
                                  "scheduler and a guidance of 1 to 2.")  # fmt: skip
                lora = gr.File(label="Or a .safetensors file for this model", height=110,
                               file_types=[".safetensors"])  # fmt: skip
        with gr.Column(scale=5, min_width=320):
            preview = ui.text(elem_classes="preview")
            headline = ui.text(elem_classes="headline")
            shown = ui.text()
            with gr.Tabs():
                with gr.Tab("Every step"):
                    film = panels.Film(state)
                with gr.Tab("All maps of the picture"):
                    panels.Maps(made, picture)

    inside = Inside(state)
    panels.compare(made, [picture, editor, few, lora], state)
    with ui.panel("Score"):
        scores = ui.text()
    take = ui.TakeAway("controlnet")
    ui.lesson("controlnet")

    outputs = [state, preview, headline, shown, scores]
    outputs += [*film.outputs, *inside.outputs, *take.outputs]

    def work(
        request: gr.Request, path: str | None, drawn: dict | None, maps: tuple[Hint, ...], few: bool, lora: str | None,
        *values: Any,
    ) -> Iterator:  # fmt: skip
        settings = made.read(values)
        given = panels.given(request, settings[0], path, drawn)
        given = replace(given, more=maps, lora=panels.lora_of(few, lora))
        gpu = settings[2].model != "tiny-sd"
        yield from runtime.stream(run, *settings, given, gpu=gpu)

    def show(found: Step | Painted) -> dict:
        if isinstance(found, Step):
            return {preview: panels.preview(found)}  # what stands below stays as it is
        return {
            state: found,
            preview: "",
            headline: panels.headline(found),
            shown: panels.pair(found),
            scores: panels.score_text(found),
            **film.show(found),
            **inside.show(found),
            **take.show(found.result.recipe),
        }

    everything = [picture, editor, more.maps, few, lora, *made.inputs]
    job.wire(work, show, everything, outputs, api_name="controlnet", keyed=True)
    more.wire(state, job.status)
    take.wire(state, panels.write_files)
    made.restore_from("controlnet")

    # The map is shown as soon as anything it depends on changes, and can then be drawn on. What was
    # drawn stays while it is a map of the same thing.

    drawn_for = gr.State(None)

    def draw_map(
        request: gr.Request, path: str | None, drawn: dict | None, before: Any, *values: Any
    ) -> dict:
        where, how, _ = made.read(values)
        given = panels.given(request, where, path, None)
        try:
            found = source(where, given)
        except InputError:  # nothing was handed in yet: nothing to show
            return {editor: None}
        unmade = lacking(found, where, how, given)
        if unmade:  # a download is for Paint, which tells of it and can be stopped
            return {editor: None, job.status: ui.said(unmade)}
        if where.control_source == "drawing":
            shown = found.picture
        else:
            shown = for_drawing(hint_of(found, where, how, given).map)
        kept = (drawn or {}).get("layers") or [] if before == (where, path) else []
        return {
            editor: {"background": shown, "layers": kept, "composite": None},
            drawn_for: (where, path),
        }

    inputs = [picture, editor, drawn_for, *made.inputs]
    places = [job.status, editor, drawn_for]
    again = [made.widgets[name].change for name in REDRAWN]
    again += [made.widgets[name].change for name in SLID] + [picture.change]
    gr.on(again, ui.guard(draw_map, job.status), inputs, places,
          trigger_mode="always_last", **ui.QUIET)  # fmt: skip
    ui.on_open(ui.guard(draw_map, job.status, clears=False), inputs, places)

    where, kind, model = (made.widgets[name] for name in ("control_source", "kind", "model"))
    where.input(
        lambda chosen: "depth" if chosen == "stereo" else gr.skip(), where, kind, **ui.QUIET
    )
    gr.on(
        [where.change, kind.change],
        lambda of, key: gr.Column(visible=key == "edges" and of in FOUND),
        [where, kind], canny, **ui.QUIET,
    )  # fmt: skip
    gr.on(
        [model.change, kind.change], lambda *keys: gr.Dropdown(info=_about(*keys)), [model, kind],
        model, **ui.QUIET,
    )  # fmt: skip


@dataclass(frozen=True)
class More:
    """Further maps that steer the same picture: held in a state, named under two buttons."""

    maps: gr.State
    keep: gr.Button
    drop: gr.Button
    names: gr.HTML

    def wire(self, state: gr.State, status: gr.HTML) -> None:
        def keep(found: Painted | None, maps: tuple[Hint, ...]) -> dict:
            if found is None:
                raise InputError("There is no map yet. Press Paint first, then keep its map.")
            maps = (*maps, found.hint)
            names = ", ".join(panels.name(hint.kind).lower() for hint in maps)
            return {self.maps: maps, self.names: f'<div class="note">Also by: {names}</div>'}

        self.keep.click(ui.guard(keep, status), [state, self.maps],
                        [status, self.maps, self.names], **ui.QUIET)  # fmt: skip
        self.drop.click(lambda: ((), ""), None, [self.maps, self.names], **ui.QUIET)


def _more_maps() -> More:
    maps = gr.State(())
    with gr.Row(elem_classes="job"):
        keep = gr.Button("Keep this map too", size="sm", min_width=90)
        drop = gr.Button("Only the new one", size="sm", min_width=90)
    return More(maps, keep, drop, ui.text())


def _about(key: str, kind: str) -> str:
    """What the model can't do, and what is missing for it and this control."""
    try:
        lacking = missing(key, (kind,))
    except InputError as error:  # it doesn't know this control
        lacking = str(error)
    return f"{MODELS[key].note} {lacking}".strip()


def _input(made: ui.Controls) -> Any:
    """What the map is made of: a scene, a picture or a map of one's own, or nothing."""
    made.draw("control_source")
    with gr.Column(visible=True) as scene:
        made.draw("control_scene")
    own = photo("Picture", visible=False)
    made.widgets["control_source"].change(
        lambda chosen: {
            scene: gr.Column(visible=chosen == "scene"),
            own: gr.Image(
                visible=chosen in ("picture", "map"), label="Map" if chosen == "map" else "Picture"
            ),
        },
        made.widgets["control_source"], [scene, own], **ui.QUIET,
    )  # fmt: skip
    return own


def _editor() -> gr.ImageEditor:
    return gr.ImageEditor(
        label="Control map", type="numpy", image_mode="RGBA",
        format="png", sources=(), transforms=(), layers=False, height=330, buttons=[],
        brush=gr.Brush(colors=COLOURS, default_color="#ffffff", default_size=6, color_mode="fixed"),
        eraser=gr.Eraser(default_size=12),
    )  # fmt: skip


demo = ui.Demo(
    "controlnet",
    "ControlNet",
    "A map says where, words say what: paint with and without control from the same noise, and see "
    "what the control adds.",
    build,
)
