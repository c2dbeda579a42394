"""The panels of the Feature matching tab: overlay, look inside, compare, score, and its words."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from core import figures, images, runtime
from core.matching import descriptor, export, ransac, scale_space, search_pictures, stitch
from core.matching.errors import pixel_fundamental
from core.matching.inspect import inspect
from core.matching.learned import MODELS
from core.matching.pairs import PairSettings
from core.matching.run import COMPARE_HELP, Run, compare, picture
from core.matching.stress import SweepSettings, stress, verdict
from core.matching.truth import SCORE_HELP, project, right
from core.matching.types import GEOMETRIES, METHODS
from core.types import InputError
from demos import charts, ui
from demos.widgets.overlay import Overlay
from demos.widgets.photo import Photo
from demos.widgets.threshold_plot import ThresholdPlot

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


def open_photos(
    source: PairSettings, path0: str | None, path1: str | None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The person's own pictures, as far as this source uses them."""
    image0 = image1 = None
    if path0 and source.source != "example":
        image0 = images.load(path0, "Picture 0")
    if path1 and source.source == "photos":
        image1 = images.load(path1, "Picture 1")
    return image0, image1


def read_text(path: str) -> str:
    """A small text file. Raises InputError if it isn't one."""
    data = Path(path).read_bytes()
    try:
        if len(data) > 100_000:
            raise ValueError
        return data.decode()
    except ValueError:
        raise InputError(
            "The truth file isn't a short text file. Give nine numbers, or K0, K1, R and t."
        ) from None


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
    if scores:
        said += f"<b>{scores['precision']:.0%} are right</b> within 3 px. "
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
    return ui.score_table(found.scores, SCORE_HELP)


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
    said.append(ui.table(stages, ("Stage", "Time"), ("", "n")))
    return "".join(said)


def match_details(found: Run, index: int) -> str:
    """Both patches of a picked match, the runner-up, and the numbers that decided."""
    d = inspect(found.result, found.pair, index)
    shown = [("picture 0", d.patch0), ("picture 1", d.patch1)]
    if d.patch_second is not None:
        shown.append(("runner-up", d.patch_second))
    patches = "".join(
        f'<figure><img width="112" height="112" '
        f'src="{ui.data_uri(patch, lossless=True)}" alt="Patch, {name}">'
        f"<figcaption>{name}</figcaption></figure>"
        for name, patch in shown
    )
    facts = [
        ("Decision", d.decision),
        ("Distance", ui.number(d.distance)),
        ("Second best", ui.number(d.second_distance)),
        ("Ratio", ui.number(d.ratio)),
        ("Off the geometry", ui.number(d.geometry_px, "px")),
        ("Off the truth", ui.number(d.truth_px, "px")),
    ]
    return (
        '<div class="picked"><div class="patches">' + patches + "</div>"
        + ui.table(facts, ("Match", f"#{index}"), ("", "n")) + "</div>"
    )  # fmt: skip


def lines_for(found: Run, view: int, xy: tuple[float, float]) -> list[dict]:
    """What the estimated geometry says about a place: the epipolar line in the other picture, or
    a cross where the homography sends it."""
    result = found.result
    size = result.size1 if view == 0 else result.size0
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
            value = {"image0": ui.data_uri(moved), "image1": ui.data_uri(still),
                     "label0": "picture 0, moved", "label1": "picture 1"}  # fmt: skip
        except InputError as error:
            return {self.why: ui.said(str(error)), self.overlay: None, self.panorama: None}
        try:
            wide, why = stitch.panorama(small0, small1, model), ""
        except InputError as error:
            wide, why = None, ui.said(str(error))
        return {self.why: why, self.overlay: value, self.panorama: wide}


# ---------------------------------------------------------------- look inside


class Inside:
    """The Look inside panel. What is cheap follows each result; the rest is made when opened."""

    def __init__(self, state: gr.State, picked: gr.State):
        self.steps = gr.State(())
        with ui.panel("Look inside"), gr.Tabs():
            with gr.Tab("Ratio test"):
                gr.Markdown(
                    "Best over second-best distance of every candidate. Drag the line: what lies "
                    "left of it is kept. Let go, and the matches above follow."
                )
                self.ratio = ThresholdPlot()
            with gr.Tab("Scale space") as scale_tab:
                self._scale_space(state, scale_tab)
            with gr.Tab("Descriptor") as descriptor_tab:
                self._descriptor(state, picked, descriptor_tab)
            with gr.Tab("RANSAC") as ransac_tab:
                self._ransac(state, ransac_tab)
            with gr.Tab("Fast search") as search_tab:
                self._search(state, search_tab)
        self.outputs = [self.ratio]

    def show(self, found: Run) -> dict:
        c = found.result.candidates
        labels = np.full(len(c.pairs), -1)
        if found.pair.truth is not None:
            i, j = c.pairs.T
            labels = right(found.pair.truth, found.result.keypoints0[i], found.result.keypoints1[j])
        ratios = [None if np.isnan(r) else round(float(r), 4) for r in c.ratio]
        value = {
            "values": ratios, "labels": labels.tolist(),
            "threshold": found.result.settings.ratio, "minimum": 0.5, "maximum": 1.0, "step": 0.01,
            "label": "ratio of best to second-best distance",
        }  # fmt: skip
        return {self.ratio: value}

    def _scale_space(self, state: gr.State, tab: gr.Tab) -> None:
        gr.Markdown(
            "The picture, blurred more and more (Gaussian), and neighbouring blurs subtracted "
            "(difference). Keypoints are the circled extrema: larger or smaller than all 26 "
            "neighbours in place and scale."
        )
        with gr.Row():
            which = gr.Radio([("0", 0), ("1", 1)], value=0, label="Picture")
            kind = gr.Radio(
                [("difference", "dog"), ("Gaussian", "gaussian")], value="dog", label="Show"
            )
            octave = gr.Slider(0, 2, value=0, step=1, label="Octave", info="Each halves the size.")
            level = gr.Slider(1, 3, value=1, step=1, label="Level", info="Blur within the octave.")
        out = gr.Image(label="Scale space", interactive=False, buttons=["download", "fullscreen"])
        status = ui.text(elem_classes="status")

        def draw_level(found: Run | None, view: int, what: str, o: int, k: int) -> dict:
            if found is None:
                return {out: None}
            image = found.pair.image0 if view == 0 else found.pair.image1
            space = scale_space.scale_space(images.fit(image, 800)[0])
            return {out: scale_space.picture(space, min(int(o), len(space.dogs) - 1), int(k), what)}

        triggers = [tab.select, which.input, kind.input, octave.release, level.release]
        gr.on(triggers, ui.guard(draw_level, status), [state, which, kind, octave, level],
              [status, out], **ui.QUIET)  # fmt: skip

    def _descriptor(self, state: gr.State, picked: gr.State, tab: gr.Tab) -> None:
        gr.Markdown(
            "SIFT's histogram of the picked match: 4×4 cells of 8 gradient directions, weighted "
            "by strength, on the patch turned upright. Click a match above to change it."
        )
        out = gr.Image(label="Descriptors of both ends", interactive=False,
                       buttons=["download", "fullscreen"])  # fmt: skip
        status = ui.text(elem_classes="status")

        def draw_descriptors(found: Run | None, index: int) -> dict:
            if found is None:
                return {out: None}
            result = found.result
            if not len(result.candidates.pairs):
                raise InputError("There is no match to open. Raise the ratio or the keypoints.")
            made = []
            views = ((found.pair.image0, result.features0), (found.pair.image1, result.features1))
            for (image, features), k in zip(views, result.candidates.pairs[index], strict=True):
                angle = float(np.nan_to_num(features.angle_deg[k]))
                size = float(features.size_px[k])
                made.append(descriptor.describe(image, features.xy[k], size, angle))
            return {out: descriptor.compare_picture(*made)}

        gr.on([tab.select, picked.change], ui.guard(draw_descriptors, status), [state, picked],
              [status, out], **ui.QUIET)  # fmt: skip

    def _ransac(self, state: gr.State, tab: gr.Tab) -> None:
        gr.Markdown(
            "Four matches are drawn at random (orange), a homography is computed from them, and "
            "every match within the threshold votes for it (blue). The best so far wins. With a "
            "share w of inliers, N = log(1 − p) / log(1 − w⁴) draws find a clean sample with "
            "probability p."
        )
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                at = gr.Slider(1, 2, value=1, step=1, label="Step")
                out = gr.Image(label="This draw", interactive=False, buttons=["download"])
            with gr.Column(scale=2, min_width=280):
                facts = ui.text()
                curve = ui.text()
        status = ui.text(elem_classes="status")

        def start(found: Run | None) -> dict:
            if found is None:
                return {self.steps: ()}
            result = found.result
            if len(result.matches) < 4:
                raise InputError("RANSAC draws four matches, and there are fewer. Raise the ratio.")
            geometry = result.geometry
            made = tuple(
                ransac.steps(
                    result.points0, result.points1, threshold_px=geometry.threshold_px,
                    confidence=geometry.confidence, max_iterations=200, seed=result.settings.seed,
                )
            )  # fmt: skip
            share, draws = ransac.bound_curve(4, geometry.confidence)
            bound = [(float(w), float(n)) for w, n in zip(share, draws, strict=True) if n <= 1000]
            last = len(made)
            return {
                self.steps: made,
                curve: charts.lines({"N": bound}, "Draws needed, N", "share of inliers, w"),
                at: gr.Slider(1, max(last, 2), value=last, step=1, info=f"1 to {last}"),
                **one(found, made, last),
            }  # fmt: skip

        def one(found: Run | None, made: tuple, step: int) -> dict:
            if found is None or not made:
                return {out: None}
            s = made[min(int(step), len(made)) - 1]
            total = len(found.result.matches)
            rows = [
                ("Votes in this draw", f"{s.votes} of {total}"),
                ("Best so far", f"{s.best_votes} of {total}" + (" (new)" if s.improved else "")),
                ("Draws needed at this share", ui.number(float(np.ceil(s.needed)))),
                ("Draws so far", str(s.step)),
            ]
            pair, result = found.pair, found.result
            drawn = ransac.picture(pair.image0, pair.image1, result.points0, result.points1, s)
            return {out: drawn, facts: ui.table(rows, ("RANSAC", ""), ("", "n"))}

        gr.on([tab.select], ui.guard(start, status), [state],
              [status, self.steps, at, out, facts, curve], **ui.QUIET)  # fmt: skip
        at.input(ui.guard(one, status), [state, self.steps, at], [status, out, facts], **ui.QUIET)

    def _search(self, state: gr.State, tab: gr.Tab) -> None:
        gr.Markdown(
            "How the nearest descriptor is found without looking at all of them, and how SURF "
            "and ORB make features cheap: computed from the pair above."
        )
        shown = ui.text()
        status = ui.text(elem_classes="status")

        def draw_search(found: Run | None) -> dict:
            if found is None:
                return {}
            made = search_pictures.pictures(found.pair.image0, found.pair.image1)
            return {shown: ui.pictures(made)}

        gr.on([tab.select], ui.guard(draw_search, status), [state], [status, shown],
              api_visibility="private", show_progress="minimal")  # fmt: skip


# ---------------------------------------------------------------- compare and stress


def compare_and_sweep(made: ui.Controls, state: gr.State, photo0: Photo, photo1: Photo) -> None:
    """The Compare panel: methods on one pair in a grid, and a sweep that wears them down."""
    with ui.panel("Compare"), gr.Tabs():
        with gr.Tab("Same pair"):
            grid = ui.Compare(METHODS, ("sift", "orb"), COMPARE_HELP)

            def work(methods: list[str], path0: str, path1: str, *values: Any) -> Iterator:
                source, settings, geometry = made.read(values)
                photos = open_photos(source, path0, path1)
                yield from runtime.stream(
                    compare, source, tuple(methods), settings, geometry, *photos
                )

            grid.wire(work, [photo0, photo1, *made.inputs])
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
    job = ui.Job("Sweep")
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
