"""The Stereo depth tab: input, controls, result. Its panels are in stereo_panels.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from core import models, runtime
from core.stereo import MODELS
from core.stereo.geometry import measure
from core.stereo.pairs import RigSettings, SourceSettings
from core.stereo.prepare import PrepareSettings, fixed
from core.stereo.run import Run, run
from core.stereo.types import METHOD_HELP, USES, StereoSettings
from core.types import InputError
from demos import stereo_more as more
from demos import stereo_panels as panels
from demos import stereo_views as views
from demos import ui
from demos.stereo_inside import Inside
from demos.widgets.depth_view import DepthView
from demos.widgets.photo import photo

KINDS = (SourceSettings, PrepareSettings, RigSettings, StereoSettings)
FIXES = {
    "swap": "Swap the pictures",
    "rectify": "Rectify",
    "equalise": "Match the exposure",
    "range": "Set the range",
}


def build(run: Callable[..., Run] = run) -> None:
    """Draw the tab; `run` is core.stereo.run.run, or a test's fake of it."""
    made = ui.Controls(*KINDS)
    state, picked = gr.State(None), gr.State(None)

    with gr.Row():
        with gr.Column(scale=2, min_width=230):
            files = _input(made)
        with gr.Column(scale=2, min_width=230):
            made.draw("method", "max_disparity_px", "fill")
            job = ui.Job("Measure", "stereo")
            check = ui.text()
            fixes = {
                key: gr.Button(title, size="sm", visible=False, elem_id=f"stereo-fix-{key}")
                for key, title in FIXES.items()
            }
            with gr.Accordion("Mend the pair", open=False):
                made.draw("swap", "rectify", "equalise")
            made.draw_rest()
        with gr.Column(scale=6, min_width=320):
            headline = ui.text(elem_classes="headline")
            with gr.Tabs():
                with gr.Tab("Depth map"):
                    view = DepthView()
                    said = ui.text()
                with gr.Tab("Point cloud") as cloud_tab:
                    cloud = panels.CloudView(state, cloud_tab)
                with gr.Tab("Rectification") as rows_tab:
                    opened = [panels.rectification(state, rows_tab)]
                with gr.Tab("Red–cyan") as glasses_tab:
                    opened.append(panels.glasses(state, glasses_tab))
                with gr.Tab("Numbers"):
                    numbers = ui.text()

    inside = Inside(state, picked)
    panels.compare(made, files)
    with ui.panel("Score"):
        scores = ui.text()
        errors = ui.text()
    more.one_picture(state)
    more.calibration(files.rig, made.widgets["source"], job.status)
    take = ui.TakeAway("stereo")
    ui.lesson("stereo")

    outputs = [state, picked, headline, view, said, numbers, scores, errors, check]
    outputs += [*fixes.values(), *opened, *cloud.outputs, *inside.outputs, *take.outputs]

    def show(found: Run) -> dict:
        wanted = {finding.fix for finding in found.check.findings}
        return {
            state: found,
            picked: None,
            headline: panels.headline(found),
            view: views.depth_view(found),
            said: views.HINT,
            numbers: panels.numbers(found),
            scores: panels.score_text(found),
            errors: views.error_pictures(found),
            check: panels.check_text(found.check),
            **{button: gr.Button(visible=key in wanted) for key, button in fixes.items()},
            **dict.fromkeys(opened, ui.ANEW),
            **cloud.show(found),
            **inside.show(found),
            **take.show(found.result.recipe),
        }

    def work(request: gr.Request, *values: Any):
        settings = made.read(values[len(files.all) :])
        given = panels.opened(settings[0], values[: len(files.all)])
        gpu = settings[3].method == "mono"
        for event in runtime.stream(run, *settings, given, gpu=gpu):
            if isinstance(event, runtime.Done) and event.value is not None:
                panels.hand_over(request, event.value)
            yield event

    everything = [*files.all, *made.inputs]
    slid = ("baseline_scale", "grain", "dots_disparity_px", "dots_noise")
    also = [made.widgets[name].release for name in slid]
    job.wire(work, show, everything, outputs, also=also, api_name="stereo", keyed=True)
    take.wire(state, panels.write_files)

    # Another pair is measured at once; what was mended in the last is not wrong with it.
    mends = [made.widgets[name] for name in ("swap", "rectify", "equalise")]
    anew = [made.widgets[n].input for n in ("example", "spoil", "dots_shape", "source")]
    gr.on(anew, None, None, mends, js="() => [false, false, false]", **ui.QUIET).then(
        None, made.widgets["source"], None,
        js=f"(source) => source === 'own' || ({ui.press('stereo')})()", **ui.QUIET,
    )  # fmt: skip
    made.restore_from("stereo")

    # A fix sets the controls that mend what was found, then presses the button.

    def fix(found: Run | None, key: str, *values: Any) -> dict:
        if found is None:
            raise InputError("There is no result yet. Press Measure first.")
        _, repair, _, settings = made.read(values)
        finding = next((f for f in found.check.findings if f.fix == key), None)
        if finding is None:
            raise InputError(
                "There is nothing left for this to mend. Press Measure to check again."
            )
        repair, settings = fixed(finding, repair, settings, found.check)
        new = vars(repair) | vars(settings)
        return {made.widgets[name]: new[name] for name in CHANGED}

    changed = [made.widgets[name] for name in CHANGED]
    for key, button in fixes.items():
        button.click(
            ui.guard(lambda found, *values, key=key: fix(found, key, *values), job.status),
            [state, *made.inputs], [job.status, *changed], **ui.QUIET,
        ).then(None, None, None, js=ui.press("stereo"), **ui.QUIET)  # fmt: skip

    # A click opens a pixel, two measure a distance; neither matches again.

    def open_pixel(found: Run | None, event: gr.EventData) -> dict:
        if found is None:
            raise InputError("There is no result yet. Press Measure first.")
        xy = float(event._data["x"]), float(event._data["y"])
        about = views.place_text(found, xy)
        return {picked: xy, view: views.marked(found, mark=xy), said: about}

    def ruler(found: Run | None, event: gr.EventData) -> dict:
        if found is None:
            raise InputError("There is no result yet. Press Measure first.")
        d = event._data
        if found.pair.rig is None:
            raise InputError(
                "The rig isn't known, so nothing can be measured. Give focal length and baseline, "
                "or a rig file, and press Measure."
            )
        ends = (float(d["x0"]), float(d["y0"])), (float(d["x1"]), float(d["y1"]))
        read = measure(found.result.disparity, found.pair.rig, *ends)
        return {view: views.marked(found, ruler=(ends, read)), said: views.ruler_text(read)}

    view.picked(ui.guard(open_pixel, job.status), [state], [job.status, picked, view, said],
                trigger_mode="always_last", **ui.QUIET)  # fmt: skip
    view.measured(ui.guard(ruler, job.status), [state], [job.status, view, said],
                  trigger_mode="always_last", **ui.QUIET)  # fmt: skip

    _follow(made)


CHANGED = ("swap", "rectify", "equalise", "min_disparity_px", "max_disparity_px")


def _follow(made: ui.Controls) -> None:
    """Show the settings that method and source read, and what the method is."""
    method, source = made.widgets["method"], made.widgets["source"]
    names = sorted({name for used in USES.values() for name in used})

    def by_method(key: str) -> dict:
        seen = {made.widgets[name]: gr.update(visible=name in USES[key]) for name in names}
        return {method: gr.Dropdown(info=_about(key)), **seen}

    def by_source(key: str) -> dict:
        return {
            made.widgets["noise"]: gr.update(visible=key == "example"),
            made.widgets["pair_seed"]: gr.update(visible=key != "own"),
        }

    places = [method, *(made.widgets[name] for name in names)]
    method.change(by_method, method, places, **ui.QUIET)
    ui.on_open(by_method, [method], places)
    seeds = [made.widgets["noise"], made.widgets["pair_seed"]]
    source.change(by_source, source, seeds, **ui.QUIET)
    ui.on_open(by_source, [source], seeds)


def _about(method: str) -> str:
    """What stands under the picker: for a pretrained model its limits, and what is missing."""
    if method != "mono":
        return METHOD_HELP[method]
    spec = MODELS["depth-anything"]
    return f"{spec.note} {models.missing(spec, instead='The other methods work without it.')}"


@dataclass(frozen=True)
class Files:
    """The inputs that take a person's own data; `all` in the order panels.opened takes them."""

    rig: gr.File
    all: list[Any]


def _input(made: ui.Controls) -> Files:
    """The input column: a rendered example, random dots, or a pair of one's own."""
    made.draw("source")
    with gr.Column(visible=True) as example:
        made.draw("example", "baseline_scale", "grain")
    with gr.Column(visible=False) as dots:
        made.draw("dots_shape", "dots_disparity_px", "dots_noise")
    with gr.Column(visible=True) as spoil:
        made.draw("spoil")
    with gr.Column(visible=False) as own:
        made.draw("side_by_side")
        left, right = photo("Left picture"), photo("Right picture")
        with gr.Accordion("Rig", open=False):
            gr.Markdown(
                "Focal length and baseline turn disparity into depth. Or give a file: Middlebury's "
                "calib.txt, OpenCV YAML or XML, or our JSON."
            )
            rig = gr.File(label="Rig file", height=140)
            made.draw("focal_px", "baseline", "rig_unit", "cx_px", "cy_px", "doffs_px")
        with gr.Accordion("I know the truth", open=False):
            gr.Markdown("PFM, KITTI's PNG, NPY, or an 8-bit PNG with its scale.")
            truth = gr.File(label="Truth file", height=140)
            made.draw("truth_scale")

    def arrange(chosen: str, both: bool) -> dict:
        return {
            example: gr.Column(visible=chosen == "example"),
            dots: gr.Column(visible=chosen == "dots"),
            spoil: gr.Column(visible=chosen != "own"),
            own: gr.Column(visible=chosen == "own"),
            left: gr.Image(label="Both halves" if both else "Left picture"),
            right: gr.Image(visible=not both),
        }

    source, both = made.widgets["source"], made.widgets["side_by_side"]
    gr.on([source.change, both.change], arrange, [source, both],
          [example, dots, spoil, own, left, right], **ui.QUIET)  # fmt: skip
    return Files(rig, [left, right, rig, truth])


demo = ui.Demo(
    "stereo",
    "Stereo depth",
    "Two views and one baseline: find how far every pixel is, measure in the picture, and see "
    "exactly where and why it fails.",
    build,
)
