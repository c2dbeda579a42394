"""The panels of the Feature matching tab: overlay, look inside, compare, score, and its words."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from core import figures, images, runtime
from core.matching import export, stitch
from core.matching.errors import pixel_fundamental
from core.matching.inspect import inspect
from core.matching.learned import MODELS
from core.matching.pairs import PairSettings
from core.matching.run import COMPARE_HELP, Run, compare, picture
from core.matching.stress import SweepSettings, stress, verdict
from core.matching.truth import SCORE_HELP, project
from core.matching.types import GEOMETRIES, METHODS
from core.types import InputError
from demos import charts, markup, ui
from demos.widgets.overlay import Overlay

OFFLINE = {key: title for key, title in METHODS.items() if key not in MODELS}
CURVES = {
    "precision": "Precision",
    "recall": "Recall",
    "mma_3": "Mean matching accuracy at 3 px",
    "corner_error_px": "Corner error (px; 20 and more at the top)",
}
SWEEP_AXES = {
    "rotate": "rotation (°)",
    "scale": "scale",
    "blur": "blur, sigma (px)",
    "noise": "noise, sigma",
    "brighten": "added brightness",
}


def opened(
    source: PairSettings, path0: str | None, path1: str | None, path_truth: str | None
) -> tuple[np.ndarray | None, np.ndarray | None, str]:
    """The person's own pictures and the text of their truth file, as far as this source uses
    them."""
    image0, image1, truth_text = None, None, ""
    if path0 and source.source != "example":
        image0 = images.load(path0, "Picture 0")
    if path1 and source.source == "photos":
        image1 = images.load(path1, "Picture 1")
    if path_truth and source.source == "photos":
        truth_text = read_text(path_truth)
    return image0, image1, truth_text


def read_text(path: str) -> str:
    """A small text file. Raises InputError if it isn't one."""
    try:
        data = Path(path).read_bytes()
        if len(data) > 100_000:
            raise ValueError
        text = data.decode()
    except (OSError, ValueError):
        raise InputError(
            "The truth file isn't a short text file. Give nine numbers, or K0, K1, R and t."
        ) from None
    if not text:
        raise InputError("The truth file holds no numbers. Give nine, or K0, K1, R and t.")
    return text


# ---------------------------------------------------------------- words and numbers


def headline(found: Run) -> str:
    """The result in two lines, and what a person should know about it."""
    result, scores = found.result, found.scores
    counts = f"{len(result.keypoints0):,} and {len(result.keypoints1):,} keypoints"
    matches = len(result.matches)
    said = f"<b>{matches:,} matches</b> between {counts}. "
    if result.geometry.geometry != "none" and matches:
        inliers = int(result.inliers.sum())
        what = GEOMETRIES[result.geometry.geometry].lower()
        said += f"{inliers:,} of them agree with the {what} found. "
    if np.isfinite(scores.get("precision", np.nan)):
        lines = found.pair.truth is not None and found.pair.truth.only_lines
        what = "lie on their true epipolar lines" if lines else "are right"
        said += f"<b>{scores['precision']:.0%} {what}</b> within 3 px. "
    said += f"{sum(result.seconds.values()):.2f} s."
    notes = "".join(f'<div class="note">{html.escape(note)}</div>' for note in result.notes)
    title = f'<div class="note">{html.escape(found.pair.title)}</div>'
    return f'<div aria-live="polite">{title}{said}{notes}</div>'


def score_text(found: Run) -> str:
    """The score table, or how to get one."""
    if not found.scores:
        return (
            "Nothing can be scored: the truth of this pair isn't known. Pick an example, warp one "
            "photo, or give the truth as a text file beside your photos."
        )
    return markup.score_table(found.scores, SCORE_HELP)


def _matrix(matrix: np.ndarray) -> str:
    rows = np.atleast_2d(matrix)
    text = "\n".join("  ".join(f"{v: .6e}" for v in row) for row in rows)
    return f"<pre>{text}</pre>"


def numbers(found: Run) -> str:
    """Model, relative pose and the time each stage took."""
    result = found.result
    said = []
    if result.model is not None:
        said.append(f"<p>{html.escape(GEOMETRIES[result.geometry.geometry])}</p>")
        said.append(_matrix(result.model))
    if result.R is not None and result.t is not None:
        said.append("<p>Relative pose, x1 = R x0 + t; the length of t can't be known</p>")
        said.append(_matrix(np.column_stack([result.R, result.t])))
    stages = [(stage, f"{1000 * s:.0f} ms") for stage, s in result.seconds.items()]
    said.append(markup.table(stages, ("Stage", "Time"), ("", "n")))
    return "".join(said)


def match_details(found: Run, index: int) -> str:
    """Both patches of a picked match, the runner-up, and the numbers that decided."""
    d = inspect(found.result, found.pair, index)
    shown = [("picture 0", d.patch0), ("picture 1", d.patch1)]
    if d.patch_second is not None:
        shown.append(("runner-up", d.patch_second))
    patches = "".join(
        f'<figure><img width="112" height="112" '
        f'src="{markup.data_uri(patch, lossless=True)}" alt="Patch, {name}">'
        f"<figcaption>{name}</figcaption></figure>"
        for name, patch in shown
    )
    facts = [
        ("Decision", d.decision),
        ("Distance", markup.number(d.distance)),
        ("Second best", markup.number(d.second_distance)),
        ("Ratio", markup.number(d.ratio)),
        ("Off the geometry", markup.number(d.geometry_px, "px")),
        ("Off the truth", markup.number(d.truth_px, "px")),
    ]
    return (
        '<div class="picked"><div class="patches">' + patches + "</div>"
        + markup.table(facts, ("Match", f"#{index}"), ("", "n")) + "</div>"
    )  # fmt: skip


def lines_for(found: Run, view: int, xy: tuple[float, float]) -> list[dict]:
    """What the estimated geometry says about a place: the epipolar line in the other picture, or
    a cross where the homography sends it."""
    result = found.result
    size = result.size1 if view == 0 else result.size0
    if result.geometry.geometry == "none":
        raise InputError("No geometry was asked for, so a place can't be carried over. Choose one.")
    if result.model is None:
        raise InputError(
            "No geometry was found, so a place can't be carried over. Try more matches."
        )
    mark = [
        {"view": view, "segment": s}
        for s in _cross(xy, result.size0 if view == 0 else result.size1)
    ]
    if result.geometry.geometry in ("fundamental", "essential"):
        ends = stitch.epipolar_line(pixel_fundamental(result), xy, size, view)
        if ends is None:
            return mark
        return [*mark, {"view": 1 - view, "segment": ends.ravel().tolist()}]
    model = result.model if view == 0 else np.linalg.inv(result.model)
    there = project(model, np.array([xy]))[0]
    return [*mark, *({"view": 1 - view, "segment": s} for s in _cross(there, size))]


def _cross(xy: Any, size: tuple[int, int]) -> list[list[float]]:
    x, y, arm = float(xy[0]), float(xy[1]), max(size) / 50
    return [[x - arm, y, x + arm, y], [x, y - arm, x, y + arm]]


def write_files(found: Run, folder: Path) -> list[Path]:
    """Everything to take away: figure, data, pictures, script."""
    result = found.result
    recipe = result.recipe
    drawn = picture(found, by_truth=True)
    known = "right in blue, wrong in orange" if found.scores else "blue agrees, pink does not"
    figure = figures.picture_figure(
        [(f"{len(result.matches)} matches: {known}", drawn)], found.pair.title, recipe
    )
    paths = figures.save(figure, folder, "figure", recipe)
    paths += export.write(result, folder)
    for name, image in (("image0", found.pair.image0), ("image1", found.pair.image1)):
        paths.append(figures.write_png(image, folder / f"{name}.png"))
    script = folder / "matching.py"
    script.write_text(recipe.code(), encoding="utf-8")
    paths.append(script)
    if found.truth_text:
        truth = folder / "truth.txt"
        truth.write_text(found.truth_text, encoding="utf-8")
        paths.append(truth)
    return paths


# ---------------------------------------------------------------- overlay and panorama


class Laid:
    """Picture 0 laid on picture 1 by the homography found, and both as one panorama."""

    def __init__(self) -> None:
        self.why = ui.text()
        self.overlay = Overlay()
        self.panorama = gr.Image(label="Panorama", interactive=False, buttons=["download"])
        self.outputs = [self.why, self.overlay, self.panorama]

    def show(self, found: Run) -> dict:
        result = found.result
        flat = result.geometry.geometry in ("homography", "affine")
        pictures = [images.fit(i, 1200) for i in (found.pair.image0, found.pair.image1)]
        (small0, f0), (small1, f1) = pictures
        model = None
        if flat and result.model is not None:
            model = np.diag([*f1, 1.0]) @ result.model @ np.diag([*1 / f0, 1.0])
        try:
            moved, still = stitch.overlay(small0, small1, model)
            value = {"image0": markup.data_uri(moved), "image1": markup.data_uri(still),
                     "label0": "picture 0, moved", "label1": "picture 1"}  # fmt: skip
        except InputError as error:
            return {self.why: ui.said(str(error)), self.overlay: None, self.panorama: None}
        try:
            wide, why = stitch.panorama(small0, small1, model), ""
        except InputError as error:
            wide, why = None, ui.said(str(error))
        return {self.why: why, self.overlay: value, self.panorama: wide}


# ---------------------------------------------------------------- compare and stress


def compare_and_sweep(made: ui.Controls, state: gr.State, files: Sequence[Any]) -> None:
    """The Compare panel: methods on one pair in a grid, and a sweep that wears them down. files are
    the widgets whose paths `opened` takes."""
    with ui.panel("Compare"), gr.Tabs():
        with gr.Tab("Same pair"):
            grid = ui.Compare("matching", METHODS, ("sift", "orb"), COMPARE_HELP)

            def work(methods: list[str], *values: Any) -> Iterator:
                source, settings, geometry = made.read(values[len(files) :])
                given = opened(source, *values[: len(files)])
                yield from runtime.stream(
                    compare, source, tuple(methods), settings, geometry, *given
                )

            grid.wire(work, [*files, *made.inputs])
        with gr.Tab("Sweep"):
            _sweep(made, state)


def _sweep(made: ui.Controls, state: gr.State) -> None:
    gr.Markdown(
        "Picture 0 is changed step by step and matched with itself, so that every answer is "
        "known. A flat curve means the method doesn't notice the change."
    )
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            how = ui.controls(SweepSettings)
        methods = gr.CheckboxGroup(
            [(title, key) for key, title in OFFLINE.items()], value=["sift", "orb", "template"],
            label="Methods", info="One to four.", scale=2, min_width=280,
        )  # fmt: skip
    job = ui.Job("Sweep", "matching-sweep")
    words = ui.text()
    plots = ui.text()

    def work(found: Run | None, chosen: list[str], *values: Any) -> Iterator:
        if found is None:
            raise InputError("There is no picture to sweep yet. Press Match first.")
        if not 1 <= len(chosen) <= 4:
            raise InputError(f"{len(chosen)} methods are chosen. Choose one to four.")
        (sweep,) = how.read(values[: len(how.inputs)])
        _, settings, geometry = made.read(values[len(how.inputs) :])
        seen: list = []
        for event in runtime.stream(
            stress, found.pair.image0, sweep, tuple(chosen), settings, geometry
        ):
            if isinstance(event, runtime.Part):
                seen.append(event.value)
                if len(seen) % len(chosen) == 0:  # a step is complete when every method has one
                    yield runtime.Part(tuple(seen))
            else:
                yield runtime.Done(tuple(seen)) if isinstance(event, runtime.Done) else event

    def show(seen: tuple) -> dict:
        said = "".join(f"<p>{html.escape(v)}</p>" for v in verdict(seen).values())
        drawn = []
        for key, title in CURVES.items():
            series: dict[str, list] = {}
            for s in seen:
                series.setdefault(METHODS[s.method], []).append((s.amount, getattr(s, key)))
            top = 20.0 if key == "corner_error_px" else 1.0
            sweep = seen[0].sweep
            step = 90 if sweep == "rotate" else None
            drawn.append(
                charts.lines(series, title, SWEEP_AXES[sweep], y_range=(0, top), x_step=step)
            )
        return {words: said, plots: '<div class="pictures">' + "".join(drawn) + "</div>"}

    job.wire(work, show, [state, methods, *how.inputs, *made.inputs], [words, plots])
