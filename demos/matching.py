"""The Feature matching tab: input, controls, result. Its panels are in matching_panels.py."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import gradio as gr
import numpy as np

from core import images, matching, models, runtime
from core.matching.examples import WITH_CAMERAS, make
from core.matching.inspect import DECISIONS, decisions
from core.matching.learned import MODELS
from core.matching.pairs import PairSettings
from core.matching.run import STATE_COLOURS, TRUTH_COLOURS, Run, run, scored
from core.matching.truth import right
from core.matching.types import CHECKS, METHOD_HELP, USES, GeometrySettings, MatchSettings
from core.types import InputError
from demos import markup, ui
from demos import matching_panels as panels
from demos.matching_inside import LAST, Inside
from demos.widgets.corner_warp import CornerWarp
from demos.widgets.match_view import MatchView
from demos.widgets.photo import photo

WARPS = ("rotate_deg", "scale", "perspective", "blur_px", "noise", "brightness", "contrast")
GEOMETRY = ("geometry", "estimator", "threshold_px", "confidence", "max_iterations", "focal_px")
SHOWN_SIDE_PX = 1400  # pictures sent to the browser are reduced to this; coordinates are not
MOST_REJECTED = 5000
BY_TRUTH, BY_DECISION = "truth", "decision"
NOT_ALL = ("max_keypoints", *CHECKS, "root_sift")  # the settings that some method doesn't read


def build(run: Callable[..., Run] = run) -> None:
    """Draw the tab; `run` is core.matching.run.run, or a test's fake of it."""
    made = ui.Controls(PairSettings, MatchSettings, GeometrySettings)
    state, picked = gr.State(None), gr.State(0)

    with gr.Row():
        with gr.Column(scale=2, min_width=230):
            files = _input(made)
        with gr.Column(scale=2, min_width=230):
            made.draw("method")
            made.draw("ratio", "cross_check", "geometry", "threshold_px")
            job = ui.Job("Match", "matching")
            made.draw_rest()
        with gr.Column(scale=6, min_width=320):
            headline = ui.text(elem_classes="headline")
            with gr.Tabs():
                with gr.Tab("Matches"):
                    by = gr.Radio(
                        [("right or wrong, where the truth is known", BY_TRUTH),
                         ("what the method decided", BY_DECISION)],
                        value=BY_TRUTH, label="Colour the lines by", container=False,
                    )  # fmt: skip
                    view = MatchView()
                    details = ui.text()
                with gr.Tab("Overlay"):
                    laid = panels.Laid()
                with gr.Tab("Numbers"):
                    numbers = ui.text()

    inside = Inside(state, picked)
    panels.compare_and_sweep(made, state, files)
    with ui.panel("Score"):
        scores = ui.text()
    take = ui.TakeAway("matching")
    ui.lesson("matching")

    outputs = [state, picked, headline, view, details, numbers, scores]
    outputs += [*laid.outputs, *inside.outputs, *take.outputs]

    def show(found: Run, colour: str) -> dict:
        return {
            state: found,
            picked: 0,
            headline: panels.headline(found),
            view: view_value(found, colour),
            details: "",
            numbers: panels.numbers(found),
            scores: panels.score_text(found),
            **laid.show(found),
            **inside.show(found),
            **take.show(found.result.recipe),
        }

    def work(colour: str, *values: Any):
        source, settings, geometry = made.read(values[len(files) :])
        given = panels.opened(source, *values[: len(files)])
        gpu = settings.method in MODELS
        for event in runtime.stream(run, source, settings, geometry, *given, gpu=gpu):
            if isinstance(event, runtime.Done) and event.value is not None:
                event = runtime.Done((event.value, colour))
            yield event

    job.wire(
        work,
        lambda both: show(*both),
        [by, *files, *made.inputs],
        outputs,
        also=[made.widgets["example"].input, *(made.widgets[name].release for name in WARPS)],
        api_name="matching",
    )
    take.wire(state, panels.write_files)
    made.restore_from("matching")

    # What follows needs no new matching: it looks at the result again, or judges it anew.

    def judge(change: Callable[..., Any]) -> Callable[..., dict]:
        def handler(found: Run | None, colour: str, *values: Any) -> dict:
            if found is None:
                raise InputError("There is no result yet. Press Match first.")
            judged = change(found, made.read(values))
            if judged is found.result:
                return {}
            return show(scored(found.pair, judged, found.truth_text), colour)

        return ui.guard(handler, job.status)

    def estimated(found: Run, settings: tuple) -> Any:
        if settings[2] == found.result.geometry:  # a field was left as it was
            return found.result
        return matching.estimate(found.result, settings[2])

    def selected(found: Run, settings: tuple) -> Any:
        now = found.result.settings
        chosen = dataclasses.replace(now, **{n: getattr(settings[1], n) for n in CHECKS})
        return found.result if chosen == now else matching.select(found.result, chosen)

    again = [state, by, *made.inputs]
    judged = [job.status, *outputs]
    changed = [event for name in GEOMETRY for event in _settled(made.widgets[name])]
    gr.on(changed, judge(estimated), again, judged, **LAST)
    kept = [made.widgets["ratio"].release, made.widgets["cross_check"].input,
            made.widgets["mutual_check"].input]  # fmt: skip
    gr.on(kept, judge(selected), again, judged, **LAST)

    def dragged(event: gr.EventData) -> float:
        return event._data["threshold"]

    ratio = made.widgets["ratio"]
    inside.ratio.released(dragged, None, ratio, **LAST).then(judge(selected), again, judged, **LAST)

    by.input(
        lambda found, colour: gr.skip() if found is None else view_value(found, colour),
        [state, by], view, **LAST,
    )  # fmt: skip

    def open_match(found: Run | None, colour: str, event: gr.EventData) -> dict:
        assert found is not None, "a match can't be picked before there are any"
        index = int(view_order(found, colour)[event._data["index"]])
        return {picked: index, details: panels.match_details(found, index)}

    view.picked(ui.guard(open_match, job.status), [state, by], [job.status, picked, details],
                **LAST)  # fmt: skip

    def point(found: Run | None, colour: str, event: gr.EventData) -> dict:
        assert found is not None, "a place can't be picked before there is a picture"
        where = event._data
        lines = panels.lines_for(found, int(where["view"]), (where["x"], where["y"]))
        return {view: view_value(found, colour) | {"lines": lines}}

    view.pointed(ui.guard(point, job.status), [state, by], [job.status, view], **LAST)
    _follow(made)


def _settled(widget: Any) -> list[Any]:
    """The events that say that a widget has its new value: of a number not each digit."""
    if isinstance(widget, gr.Slider):
        return [widget.release]
    return [widget.submit, widget.blur] if isinstance(widget, gr.Number) else [widget.input]


def _follow(made: ui.Controls) -> None:
    """Show the settings that are read, and what the method is."""
    method, *chosen = (made.widgets[n] for n in ("method", "geometry", "source", "example"))
    checks = [made.widgets[name] for name in NOT_ALL]
    judges = [made.widgets[name] for name in GEOMETRY if name != "geometry"]

    def by_method(key: str) -> dict:
        seen = {made.widgets[name]: gr.update(visible=name in USES[key]) for name in NOT_ALL}
        return {method: gr.Dropdown(info=_about(key)), **seen}

    def by_geometry(geometry: str, source: str, example: str) -> dict:
        seen = {widget: gr.update(visible=geometry != "none") for widget in judges}
        known = source == "example" and example in WITH_CAMERAS
        focal = gr.update(visible=geometry == "essential" and not known)
        return {**seen, made.widgets["focal_px"]: focal}

    method.change(by_method, method, [method, *checks], **ui.QUIET)
    ui.on_open(by_method, [method], [method, *checks])
    gr.on([widget.change for widget in chosen], by_geometry, chosen, judges, **LAST)
    ui.on_open(by_geometry, chosen, judges)


def _about(method: str) -> str:
    """What stands under the picker: for a pretrained model its limits, and what is missing."""
    if method not in MODELS:
        return METHOD_HELP[method]
    spec = MODELS[method]
    return f"{spec.note} {models.missing(spec, instead='The offline methods work without it.')}"


def _input(made: ui.Controls) -> list[Any]:
    """The input column: an example, a warp of one photo, or two photos with or without truth.
    Returns the widgets whose paths panels.opened takes."""
    made.draw("source")
    with gr.Column(visible=True) as example:
        made.draw("example")
    with gr.Column(visible=False) as own:
        photo0 = photo("Picture 0")
        photo1 = photo("Picture 1", visible=False)
        with gr.Accordion("I know the truth", open=False, visible=False) as known:
            truth_file = gr.File(
                label="3×3 homography, or K0, K1, R and t, as a text file", height=110
            )
    with gr.Column(visible=False) as warp:
        gr.Markdown("Drag the corners, or use the sliders. Without a photo, an example's is used.")
        drag = CornerWarp()
        made.draw("corners", "rotate_deg", "scale", "perspective")
        with gr.Accordion("Light, lens and sensor", open=False):
            made.draw("blur_px", "noise", "brightness", "contrast")

    source, corners = made.widgets["source"], made.widgets["corners"]

    def arrange(chosen: str, path: str | None, moved: tuple) -> dict:
        shown = {
            example: gr.Column(visible=chosen == "example"),
            own: gr.Column(visible=chosen != "example"),
            photo1: gr.Image(visible=chosen == "photos"),
            known: gr.Accordion(visible=chosen == "photos"),
            warp: gr.Column(visible=chosen == "warp"),
        }
        if chosen == "warp":
            try:
                image = images.load(path, "Picture 0") if path else make("photo").image0
            except InputError:  # Match says what is wrong with the file
                return {**shown, drag: None}
            small, _ = images.fit(image, 640)
            shown[drag] = {
                "image": markup.data_uri(small), "width": image.shape[1], "height": image.shape[0],
                "corners": list(moved),
            }  # fmt: skip
        return shown

    gr.on(
        [source.change, photo0.change], arrange, [source, photo0, corners],
        [example, own, photo1, known, warp, drag], **ui.QUIET,
    )  # fmt: skip

    def moved(event: gr.EventData) -> tuple:
        return tuple(event._data["corners"])

    drag.warped(moved, None, corners, **ui.QUIET).then(
        None, None, None, js=ui.press("matching"), **ui.QUIET
    )
    return [photo0, photo1, truth_file]


# ---------------------------------------------------------------- the large picture


def view_order(found: Run, by: str) -> np.ndarray:
    """Which candidates the picture shows, best first: by truth the matches, else also rejects."""
    result = found.result
    kept = np.flatnonzero(result.kept)
    order = kept[np.argsort(-result.scores, kind="stable")]
    if by == BY_TRUTH and found.pair.truth is not None:
        return order
    return np.concatenate([order, np.flatnonzero(~result.kept)[:MOST_REJECTED]])


def view_value(found: Run, by: str) -> dict[str, Any]:
    """The value of the MatchView for this run."""
    result, pair = found.result, found.pair
    order = view_order(found, by)
    i, j = result.candidates.pairs[order].T
    points0, points1 = result.keypoints0[i], result.keypoints1[j]
    if by == BY_TRUTH and pair.truth is not None:
        classes = [("right", 1, False), ("wrong", 0, False), ("not known", -1, False)]
        verdicts = right(pair.truth, points0, points1)
        state = np.select([verdicts == 1, verdicts == 0], [0, 1], 2)
        colours = [TRUTH_COLOURS[v] for _, v, _ in classes]
    else:
        classes = [(name, k, k == 2) for k, name in enumerate(DECISIONS)]
        state = decisions(result)[order]
        colours = list(STATE_COLOURS)
    value: dict[str, Any] = {
        "points0": np.round(points0, 2).tolist(),
        "points1": np.round(points1, 2).tolist(),
        "state": state.tolist(),
        "classes": [
            {"name": name, "colour": "#{:02x}{:02x}{:02x}".format(*colour), "hidden": hidden}
            for (name, _, hidden), colour in zip(classes, colours, strict=True)
        ],
        "show": 150,
    }
    views = ((pair.image0, result.features0), (pair.image1, result.features1))
    for v, (image, features) in enumerate(views):
        small, _ = images.fit(image, SHOWN_SIDE_PX)
        value[f"image{v}"] = markup.data_uri(small)
        value[f"size{v}"] = [image.shape[1], image.shape[0]]
        value[f"keypoints{v}"] = {
            "xy": np.round(features.xy, 1).tolist(),
            "size": np.round(features.size_px, 1).tolist(),
            "angle": [None if np.isnan(a) else round(float(a), 1) for a in features.angle_deg],
        }
    return value


demo = ui.Demo(
    "matching",
    "Feature matching",
    "Find the same physical points in two pictures, see why each match was kept or thrown away, "
    "and recover the geometry between the views.",
    build,
)
