"""The panels of the Stereo depth tab: check, compare, score, other views, and words."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from core import figures, images, runtime
from core.cameras import look_at
from core.stereo import dots, export, pictures
from core.stereo.cloud import Cloud, point_cloud, step_for, write_ply
from core.stereo.pairs import SourceSettings
from core.stereo.preflight import Preflight
from core.stereo.rectify import pictures as row_pictures
from core.stereo.rectify import rectify
from core.stereo.rigfile import read_rig, write_rig
from core.stereo.run import COMPARE_HELP, Given, Run
from core.stereo.run import compare as run_compare
from core.stereo.truth import SCORE_HELP, load_truth
from core.stereo.types import METHODS, Calibration
from core.types import InputError, Rig
from demos import markup, shelf, ui
from demos.widgets.orbit_view import orbit_of
from demos.widgets.splat_view import SplatView, pack_geometry

MOST_POINTS = 150_000  # of a cloud sent to the browser
FITTING_PX = 0.5  # rows that lie closer than this, in the median, are the same rows
FAR_PERCENT = 97  # of the pixels are shown; the farthest few would make the rest tiny


def opened(source: SourceSettings, paths: Sequence[str | None]) -> Given:
    """The person's own files, read, as far as this source uses them."""
    if source.source != "own":
        return Given()
    left, right, rig, truth = paths
    return Given(
        left=images.load(left, "The left picture") if left else None,
        right=images.load(right, "The right picture")
        if right and not source.side_by_side else None,
        rig=read_rig(rig, "The rig file") if rig else None,
        truth=load_truth(truth, "The truth file", source.truth_scale) if truth else None,
    )  # fmt: skip


def hand_over(request: gr.Request, found: Run) -> None:
    """Lay the left picture and its depth on the shelf; without a rig the disparity, its inverse up
    to scale."""
    path = ui.folder() / "depth.npz"
    depth, inverse = found.depth, False
    if depth is None:
        depth, inverse = found.result.disparity, True
    np.savez(path, picture=found.pair.left, depth=depth, inverse=inverse)
    shelf.put(request, "Stereo: depth", shelf.Depth(path))


# ---------------------------------------------------------------- words and numbers


def headline(found: Run) -> str:
    """The result in two lines, and what a person should know about it."""
    result, pair = found.result, found.pair
    if result.settings.method == "mono":
        said = "<b>Seen in one picture</b>, scaled and shifted to fit stereo"
    else:
        said = f"<b>{np.isfinite(result.matched).mean():.0%} of the pixels matched</b>"
        if result.settings.fill:
            said += ", the rest filled from their surroundings"
    said += ". "
    if found.depth is not None and pair.rig is not None and np.isfinite(found.depth).any():
        near, far = np.nanpercentile(found.depth, (1, 99))
        unit = pair.rig.unit
        said += f"Depth {markup.number(float(near))} to {markup.number(float(far), unit)}. "
    if found.scores:
        said += f"<b>{found.scores['bad_2']:.1%} are off by more than 2 px</b>. "
    said += f"{result.seconds:.2f} s."
    warned = (
        () if found.check.ok else ("The check found a fault in the pair, so this may be wrong.",)
    )
    notes = "".join(
        f'<div class="note">{html.escape(note)}</div>' for note in (*warned, *result.notes)
    )
    title = f'<div class="note">{html.escape(pair.title)}</div>' if pair.title else ""
    return f'<div aria-live="polite">{title}{said}{notes}</div>'


def check_text(check: Preflight) -> str:
    """What the check before matching found, one line each."""
    if not check.findings:
        return '<div class="check good">The pair looks fine: same rows, plausible range.</div>'
    lines = "".join(f"<li>{html.escape(f.says)}</li>" for f in check.findings)
    kind = 'class="check good"' if check.ok else 'class="check" role="alert"'
    return f"<div {kind}><ul>{lines}</ul></div>"


def score_text(found: Run) -> str:
    """The score table, or how to get one."""
    if not found.scores:
        return (
            "Nothing can be scored: the truth of this pair isn't known. Pick an example, or give "
            "the truth beside your own pictures."
        )
    rig = found.pair.rig
    unit = {} if rig is None else {"rmse": (*SCORE_HELP["rmse"][:2], rig.unit)}
    return markup.score_table(found.scores, {**SCORE_HELP, **unit})


def numbers(found: Run) -> str:
    """The rig, the check's measurements, and the time each stage took."""
    said = ""
    rig = found.pair.rig
    if rig is not None:
        rows = [
            ("Focal length", markup.number(rig.focal_px, "px")),
            ("Baseline", markup.number(rig.baseline, rig.unit)),
            ("Principal point", f"{rig.cx:.1f}, {rig.cy:.1f} px"),
            ("Offset of disparities", markup.number(rig.doffs_px, "px")),
        ]
        said += markup.table(rows, ("Rig", ""), ("", "n"))
    stages = [(stage, f"{1000 * s:.0f} ms") for stage, s in found.result.stages.items()]
    return said + markup.table(stages, ("Stage", "Time"), ("", "n"))


def write_files(found: Run, folder: Path) -> list[Path]:
    """Everything to take away: figure, data, pictures, script."""
    result, pair, recipe = found.result, found.pair, found.result.recipe
    low, high = pictures.limits(result.disparity)
    shown = [
        ("Left picture", pair.left),
        (f"Disparity, {low:.0f} to {high:.0f} px",
         pictures.disparity_picture(result.disparity, low, high)),
    ]  # fmt: skip
    if pair.truth is not None:
        shown.append(("Error, 0 to 4 px", pictures.error_picture(result.disparity, pair.truth)))
    figure = figures.picture_figure(shown, pair.title, recipe, columns=len(shown))
    paths = figures.save(figure, folder, "figure", recipe)
    paths += export.write(result, pair, folder)
    own = found.given
    raw = found.raw
    for name, picture in (("left", own.left), ("right", own.right)):
        source = picture if picture is not None else getattr(raw, name)
        paths.append(figures.write_png(source, folder / f"{name}.png"))
    if isinstance(own.rig, Calibration):
        paths.append(write_rig(own.rig, folder / "rig.yml"))
    elif own.rig is not None:
        paths.append(write_rig(own.rig, folder / "rig.json"))
    script = folder / "stereo.py"
    script.write_text(recipe.code(), encoding="utf-8")
    return list(dict.fromkeys([*paths, script]))


# ---------------------------------------------------------------- other views of the result


class CloudView:
    """The point cloud, turned with the pointer; made when its tab is opened."""

    def __init__(self, state: gr.State, tab: gr.Tab):
        self.model = SplatView()
        self.status = ui.text(elem_classes="status")
        tab.select(
            ui.guard(self._draw, self.status), [state], [self.status, self.model],
            api_visibility="private", show_progress="minimal",
        )  # fmt: skip
        self.outputs = [self.model, self.status]

    def show(self, found: Run) -> dict:
        return {self.model: None, self.status: ui.ANEW}

    def _draw(self, found: Run | None, request: gr.Request) -> dict:
        if found is None:
            return {self.model: None}
        rig = found.pair.rig
        if rig is None:
            raise InputError(
                "The rig isn't known, so there is no depth. Give focal length and baseline, or a "
                "rig file, and press Measure."
            )
        step = step_for(found.result.disparity.shape, MOST_POINTS)
        assert found.depth is not None
        known = found.depth[np.isfinite(found.depth)]
        far = float(np.percentile(known, FAR_PERCENT)) if known.size else None
        cloud = point_cloud(found.result, rig, found.pair.left, step=step, farthest=far)
        if not len(cloud.points):
            raise InputError("No pixel has a depth, so there is no point. Try another method.")
        path = ui.folder() / "packed.bin"
        item = shelf.Model(write_ply(cloud, path.with_name("stereo.ply")), (0.0, -1.0, 0.0))
        shelf.put(request, "Stereo: point cloud", item)
        path.write_bytes(pack_geometry(cloud.points, cloud.colours))
        return {
            self.model: {
                "key": path.parent.name,
                "url": ui.address(path),
                **_start(cloud, rig, found),
            }
        }


def _start(cloud: Cloud, rig: Rig, found: Run) -> dict[str, Any]:
    """Where the SplatView's camera begins: at the left camera, to turn about the cloud's middle."""
    height, width = found.result.disparity.shape
    middle = np.median(cloud.points, 0)
    fov = 2 * np.degrees(np.arctan(width / 2 / rig.focal_px))
    camera = look_at((0.0, 0.0, 0.0), (0.0, 0.0, 1.0), width, height, float(fov), (0.0, -1.0, 0.0))
    orbit = orbit_of(camera, np.array([0.0, 0.0, middle[2]]), (0.0, -1.0, 0.0))
    return {"start": orbit, "aspect": width / height, "near_m": float(0.05 * middle[2])}


def glasses(state: gr.State, tab: gr.Tab) -> gr.HTML:
    """Both views in one picture, for red–cyan glasses or for bare eyes; where they are shown."""
    gr.Markdown(
        "The anaglyph: look through red–cyan glasses, red on the left eye. The autostereogram: look "
        "through the picture, as if at something behind it, until two neighbouring stripes meet."
    )
    shown = ui.text()
    status = ui.text(elem_classes="status")

    def draw(found: Run | None) -> dict:
        if found is None:
            return {shown: ""}
        pair, d = found.pair, found.result.disparity
        glassy = dots.anaglyph(pair.left, pair.right, shift_px=export.middle_px(d))
        made = [
            (glassy, "Red–cyan anaglyph"),
            (dots.autostereogram(d), "Autostereogram of the disparity found"),
        ]
        return {shown: markup.pictures(made)}

    tab.select(ui.guard(draw, status), [state], [status, shown], **ui.QUIET)
    return shown


def rectification(state: gr.State, tab: gr.Tab) -> gr.HTML:
    """The pair as it came, rectified, and laid over each other; where they are shown."""
    gr.Markdown(
        "Partners must lie in the same row. Follow a line across both pictures: before, and "
        "after rectification by the calibration, or by matches where there is none."
    )
    shown = ui.text()
    status = ui.text(elem_classes="status")

    def draw(found: Run | None) -> dict:
        if found is None:
            return {shown: ""}
        left, right, given = found.raw.left, found.raw.right, found.given.rig
        if found.prepared.swapped:
            left, right = right, left
        known = given if isinstance(given, Calibration) else None
        done = runtime.run(rectify, left, right, known)
        if known is None and done.vertical_before_px < FITTING_PX:  # nothing to turn
            done = replace(done, left=left, right=right, done=False)
        made = [(picture, title) for title, picture in row_pictures(left, right, done)]
        return {shown: markup.pictures(made)}

    tab.select(ui.guard(draw, status), [state], [status, shown],
               api_visibility="private", show_progress="minimal")  # fmt: skip
    return shown


def compare(made: ui.Controls, files: Any) -> None:
    """The Compare panel: methods on one pair in a grid."""
    with ui.panel("Compare"):
        grid = ui.Compare("stereo", METHODS, ("block", "sgbm", "refined"), COMPARE_HELP)

        def work(methods: list[str], *values: Any) -> Iterator:
            source, repair, rig, settings = made.read(values[len(files.all) :])
            given = opened(source, values[: len(files.all)])
            yield from runtime.stream(
                run_compare, source, tuple(methods), repair, rig, settings, given
            )

        grid.wire(work, [*files.all, *made.inputs])
