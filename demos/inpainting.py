"""The Inpainting tab: a picture, what is to go, and what is put in its place. Its input is in
inpainting_input.py, its mask tools in inpainting_masks.py, its panels in inpainting_panels.py and
inpainting_inside.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import gradio as gr

from core import runtime
from core.inpainting.run import Filled, run
from core.inpainting.sources import BORDERS, SourceSettings, source
from core.inpainting.types import DIFFUSION, USES, InpaintSettings, InpaintStep
from demos import inpainting_panels as panels
from demos import ui
from demos.inpainting_input import KINDS, Controls, by_link, draw_input, fitting, given, token
from demos.inpainting_inside import Inside
from demos.inpainting_masks import Tools, painted_on
from demos.widgets.mask_editor import MaskEditor

REDRAWN = ("hole_picture", "hole_scene", "hole_mask", "hole_object", "hole_grow_px", "hole_seed",
           *BORDERS)  # fmt: skip
EVERYDAY = ("radius_px", "patch_px", "iterations", "prompt", "steps", "guidance", "strength",
            "jumps", "seed")  # fmt: skip
FOR_ALL = ("method", "feather_px")  # the settings that no method leaves unread


def build(run: Callable[..., Iterator[InpaintStep | Filled]] = run) -> None:
    """Draw the tab; `run` is core.inpainting.run.run, or a test's fake of it."""
    made = Controls(*KINDS)
    state = gr.State(None)

    with gr.Row():
        with gr.Column(scale=5, min_width=320):
            with gr.Row():
                for name in ("hole_picture", "hole_mask"):
                    with gr.Column(min_width=190):  # on a phone one above the other
                        made.draw(name)
            picture = draw_input(made)
            editor = MaskEditor()
            tools = Tools(made, picture, editor)
        with gr.Column(scale=5, min_width=320):
            with gr.Row():
                made.draw("method")
                with gr.Column(min_width=180):
                    job = ui.Job("Fill", "inpainting")
            with gr.Accordion("Settings of this method", open=False):
                made.draw(*EVERYDAY)
                made.draw_rest()
            preview = ui.text(elem_classes="preview")
            headline = ui.text(elem_classes="headline")
            slider = gr.ImageSlider(
                label="Before and after: drag the line", interactive=False, visible=False,
                format="png", buttons=[],
            )  # fmt: skip
            shown = ui.text()

    inside = Inside(state)
    comparison = panels.Comparison(made, picture, editor)
    with ui.panel("Score"):
        scores = ui.text()
    take = ui.TakeAway("inpainting")
    ui.lesson("inpainting")

    outputs = [state, preview, headline, slider, shown, scores, *inside.outputs, *take.outputs]

    def work(path: str | None, painted: dict | None, *values: Any) -> Iterator:
        where, settings = made.read(values)
        gpu = settings.method in DIFFUSION and settings.method != "repaint"
        yield from panels.sparse(
            runtime.stream(run, where, settings, given(where, path, painted), gpu=gpu)
        )

    def show(found: InpaintStep | Filled) -> dict:
        if isinstance(found, InpaintStep):
            return {preview: panels.preview(found)}  # what stands below stays as it is
        return {
            state: found,
            preview: "",
            headline: panels.headline(found),
            slider: gr.ImageSlider(panels.slider(found), visible=True),
            shown: panels.before_after(found),
            scores: panels.score_text(found),
            **inside.show(found),
            **take.show(found.result.recipe),
        }

    inputs = [picture, editor, *made.inputs]
    job.wire(work, show, inputs, outputs, api_name="inpainting")
    comparison.wire(given)
    tools.wire(given, job.status)
    take.wire(state, panels.write_files)
    made.restore_from("inpainting")

    # What is hidden is shown as soon as anything it depends on changes, and can be painted over.

    def draw(where: SourceSettings, path: str | None) -> dict:
        if where.hole_picture == "picture" and not path:  # nothing was handed in yet
            return {editor: MaskEditor.value_of(None)}
        found = source(where, given(where, path, None))
        return {editor: painted_on(found.picture, found.mask, token(where, path))}

    def draw_hole(path: str | None, painted: dict | None, *values: Any) -> dict:
        where, _ = made.read(values)
        if painted and painted.get("made_for") == token(
            where, path
        ):  # there already, and painted on
            return {}
        return draw(where, path)

    again = [made.widgets[name].change for name in REDRAWN] + [picture.change]
    gr.on(again, ui.guard(draw_hole, job.status), inputs, [job.status, editor],
          trigger_mode="always_last", **ui.QUIET)  # fmt: skip

    opened = by_link(lambda where, _: draw(fitting(where), None))
    ui.on_open(ui.guard(opened, job.status, clears=False), [], [job.status, editor])
    _follow(made)


def _follow(made: ui.Controls) -> None:
    """Show the settings that the method reads, and what it is."""
    method = made.widgets["method"]
    names = [f.name for f in fields(InpaintSettings) if f.name not in FOR_ALL]
    places = [method, *(made.widgets[name] for name in names)]

    def follow(key: str) -> dict:
        seen = {made.widgets[name]: gr.update(visible=name in USES[key]) for name in names}
        return {method: gr.Dropdown(info=panels.about(key)), **seen}

    method.change(follow, method, places, **ui.QUIET)
    ui.on_open(by_link(lambda _, settings: follow(settings.method)), [], places)


demo = ui.Demo(
    "inpainting",
    "Inpainting",
    "Hide a part of a picture and have it made up: by smoothness, by the picture's own pieces, or by "
    "a model that has seen others. What you didn't hide stays as it is, bit for bit.",
    build,
)
