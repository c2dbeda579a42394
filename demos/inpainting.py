"""The Inpainting tab: a picture, what is to go, and what is put in its place. Its panels are in
inpainting_panels.py and inpainting_inside.py, its mask tools in inpainting_masks.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np

from core import images, runtime
from core.diffusion import MODELS
from core.diffusion.loading import missing
from core.inpainting.run import Filled, run
from core.inpainting.sources import BORDERS, Given, SourceSettings, source
from core.inpainting.types import DIFFUSION, USES, InpaintSettings, InpaintStep
from core.types import InputError
from demos import inpainting_panels as panels
from demos import ui
from demos.inpainting_inside import Inside
from demos.inpainting_masks import Tools, painted_on
from demos.widgets.mask_editor import MaskEditor
from demos.widgets.photo import photo

KINDS = (SourceSettings, InpaintSettings)
REDRAWN = ("hole_picture", "hole_scene", "hole_mask", "hole_object", "hole_grow_px", "hole_seed",
           *BORDERS)  # fmt: skip
EVERYDAY = ("radius_px", "patch_px", "iterations", "prompt", "steps", "guidance", "strength",
            "jumps", "seed")  # fmt: skip


def build(run: Callable[..., Iterator[InpaintStep | Filled]] = run) -> None:
    """Draw the tab; `run` is core.inpainting.run.run, or a test's fake of it."""
    made = ui.Controls(*KINDS)
    state = gr.State(None)

    with gr.Row():
        with gr.Column(scale=5, min_width=320):
            with gr.Row():
                made.draw("hole_picture", "hole_mask")
            picture = _input(made)
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
            headline = ui.text(elem_classes="headline")
            shown = ui.text()

    inside = Inside(state)
    comparison = panels.Comparison(made, picture, editor)
    with ui.panel("Score"):
        scores = ui.text()
    take = ui.TakeAway("inpainting")
    ui.lesson("inpainting")

    outputs = [state, headline, shown, scores, *inside.outputs, *take.outputs]

    def work(path: str | None, painted: dict | None, *values: Any) -> Iterator:
        where, settings = made.read(values)
        gpu = settings.method in DIFFUSION and settings.method != "repaint"
        yield from runtime.stream(run, where, settings, given(where, path, painted), gpu=gpu)

    def show(found: InpaintStep | Filled) -> dict:
        if isinstance(found, InpaintStep):
            return {shown: panels.preview(found)}
        return {
            state: found,
            headline: panels.headline(found),
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

    def draw_hole(path: str | None, *values: Any) -> dict:
        where, _ = made.read(values)
        try:
            found = source(where, given(where, path, None))
        except InputError:  # nothing was handed in yet: nothing to show
            return {editor: MaskEditor.value_of(None)}
        return {editor: painted_on(found.picture, found.mask)}

    again = [made.widgets[name].change for name in REDRAWN] + [picture.change]
    gr.on(again, ui.guard(draw_hole, job.status), [picture, *made.inputs], [job.status, editor],
          trigger_mode="always_last", **ui.QUIET)  # fmt: skip
    ui.on_open(ui.guard(draw_hole, job.status), [picture, *made.inputs], [job.status, editor])

    method = made.widgets["method"]
    used = [made.widgets[name] for name in EVERYDAY]
    method.change(
        lambda key: [gr.update(visible=name in USES[key]) for name in EVERYDAY], method, used,
        **ui.QUIET,
    )  # fmt: skip
    method.change(lambda key: gr.Dropdown(info=_about(key)), method, method, **ui.QUIET)


def given(where: SourceSettings, path: str | None, painted: dict | None) -> Given:
    """What the person handed in, as far as this source uses it."""
    own = where.hole_picture == "picture"
    found = Given(images.load(path) if own and path else None)
    if not painted:
        return found
    width, height = painted["size"]
    mask = MaskEditor.mask_of(painted)
    return replace(found, mask=np.zeros((height, width), bool) if mask is None else mask)


def _about(key: str) -> str:
    """What fills the hole, and what is missing for it."""
    told = panels.ABOUT[key]
    if key in MODELS:
        told = f"{MODELS[key].note} {missing(key, task='inpaint')}"
    return told.strip()


def _input(made: ui.Controls) -> Any:
    """A scene and its object, or a picture of one's own; the new border, if there is to be one."""
    with gr.Row() as scene:
        made.draw("hole_scene", "hole_object")
    own = photo("Picture", visible=False)
    with gr.Row(visible=False) as border:
        made.draw(*BORDERS)

    def arrange(chosen: str, mask: str) -> dict:
        return {
            scene: gr.Row(visible=chosen not in ("photo", "picture")),
            made.widgets["hole_scene"]: gr.update(visible=chosen == "scene"),
            made.widgets["hole_object"]: gr.update(visible=mask == "object"),
            own: gr.Image(visible=chosen == "picture"),
            border: gr.Row(visible=mask == "border"),
        }

    asked = [made.widgets["hole_picture"], made.widgets["hole_mask"]]
    places = [scene, made.widgets["hole_scene"], made.widgets["hole_object"], own, border]
    gr.on([widget.change for widget in asked], arrange, asked, places, **ui.QUIET)
    ui.on_open(arrange, asked, places)
    return own


demo = ui.Demo(
    "inpainting",
    "Inpainting",
    "Hide a part of a picture and have it made up: by smoothness, by the picture's own pieces, or by "
    "a model that has seen others. What you didn't hide stays as it is, bit for bit.",
    build,
)
