"""The Look inside panel of the Stereo depth tab: the quantities that make the answer."""

from __future__ import annotations

import html
from typing import Any

import gradio as gr
import numpy as np

from core import runtime
from core.images import digest
from core.stereo import inspect, oak, pictures
from core.stereo.methods import P1, P2, Volumes, method_volumes
from core.stereo.run import Run
from core.stereo.types import StereoSettings
from demos import charts, markup, ui
from demos.widgets.stereo_geometry import StereoGeometry

KEPT_S = 600  # how long a volume, some 40 MB, waits in memory for the next look
HIGHEST_PRICE = 1500
Kept = tuple[tuple[str, str, StereoSettings], Volumes]  # volumes, after what they were made from


class Inside:
    """The Look inside panel. The geometry follows each result; the rest is made when opened, from
    volumes that are computed once a result."""

    def __init__(self, state: gr.State, picked: gr.State):
        self.volumes = gr.State(None, time_to_live=KEPT_S)
        # made when their tab is opened, so old after a new result
        self.drawn: dict[Any, Any] = {}
        with ui.panel("Look inside"), gr.Tabs():
            with gr.Tab("Cost curve") as curve_tab:
                self._curve(state, picked, curve_tab)
            with gr.Tab("Row and prices") as row_tab:
                self._row(state, picked, row_tab)
            with gr.Tab("One disparity") as slice_tab:
                self._slice(state, slice_tab)
            with gr.Tab("Geometry"):
                gr.Markdown(
                    "From above: both cameras, the two rays, and where they meet. "
                    "z = f·b/d, so a point's depth follows from its disparity alone. The thick "
                    "part of the ray is what one pixel of disparity leaves open."
                )
                self.geometry = StereoGeometry()
            with gr.Tab("Against a ruler"):
                gr.Markdown(
                    "A real OAK-D Lite (f = 452.9 px, b = 7.5 cm) before three boards: marks "
                    "picked in both pictures, z, x and y computed now by the formulas, and the "
                    "lengths between marks against a ruler."
                )
                gr.HTML(_ruled(), padding=False, apply_default_css=False)
            with gr.Tab("Error grows with z²") as error_tab:
                self._errors(state, error_tab)
            with gr.Tab("Left–right check") as check_tab:
                self._check(state, check_tab)
        self.outputs = [self.geometry, self.volumes, *self.drawn]

    def show(self, found: Run) -> dict:
        return {self.geometry: geometry_value(found), self.volumes: None, **self.drawn}

    def _curve(self, state: gr.State, picked: gr.State, tab: gr.Tab) -> None:
        gr.Markdown(
            "What the chosen pixel costs at every disparity, before and after its neighbours were "
            "asked. The lowest point wins; the distance to the runner-up says how sure that is. "
            "Click a pixel of the depth map to choose it."
        )
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                chart = ui.text()
            with gr.Column(scale=2, min_width=280):
                facts = ui.text()
        strips = ui.text()
        self.drawn |= {chart: ui.ANEW, facts: "", strips: ""}
        status = ui.text(elem_classes="status")

        def draw(found: Run | None, kept: Kept | None, xy: Any) -> dict:
            if found is None:
                return {chart: ""}
            kept = _volumes(found, kept)
            volumes = kept[1]
            place = inspect.curve(volumes, *(xy or _middle(found)))
            full = place.disparities / volumes.scale  # as the depth map counts them
            series = {
                name: [(float(d), float(c)) for d, c in zip(full, costs, strict=True)
                       if np.isfinite(c)]
                for name, costs in (("before", place.raw), ("after", place.aggregated))
            }  # fmt: skip
            column, row = (min(int(v), n - 1) for v, n in zip(
                xy or _middle(found), found.result.disparity.shape[::-1], strict=True))  # fmt: skip
            rows = [
                ("Answer", markup.number(float(found.result.disparity[row, column]), "px")),
                ("It was", _origin(found, row, column)),
                ("Winner", markup.number(place.winner / volumes.scale, "px")),
                ("Runner-up", markup.number(place.runner_up / volumes.scale, "px")),
                ("Margin, share of the range", markup.number(place.margin)),
            ]
            note = f'<p class="note">{html.escape(volumes.note)}</p>' if volumes.note else ""
            return {
                self.volumes: kept,
                chart: charts.lines(series, "Cost", "disparity (px)", y_range=(0, 1)),
                facts: note
                + markup.table(rows, ("Pixel", f"{column + 0.5}, {row + 0.5}"), ("", "n")),
                strips: markup.pictures(inspect.rows(found.pair, volumes, place)),
            }

        gr.on([tab.select, picked.change], ui.guard(draw, status), [state, self.volumes, picked],
              [status, self.volumes, chart, facts, strips],
              trigger_mode="always_last", **ui.QUIET)  # fmt: skip

    def _row(self, state: gr.State, picked: gr.State, tab: gr.Tab) -> None:
        gr.Markdown(
            "One row of the left picture against every disparity; cheap is dark, the winner blue. "
            "Semi-global matching sweeps such slices along paths: a step of one disparity costs "
            "P1, any larger jump P2. With both at 0 each pixel decides alone; with both high the "
            "row becomes one plane."
        )
        with gr.Row():
            row = gr.Slider(0, 359, value=180, step=1, label="Row (px)",
                            info="A click on the depth map sets it.")  # fmt: skip
            p1 = gr.Slider(0, HIGHEST_PRICE, value=P1, step=5, label="P1", info="A step of one.")
            p2 = gr.Slider(0, HIGHEST_PRICE, value=P2, step=5, label="P2", info="A larger jump.")
        shown = ui.text()
        self.drawn[shown] = ui.ANEW
        status = ui.text(elem_classes="status")

        def draw(found: Run | None, kept: Kept | None, y: float, a: float, b: float) -> dict:
            if found is None:
                return {shown: ""}
            kept = _volumes(found, kept)
            volumes = kept[1]
            height = volumes.raw.shape[0]
            y = min(int(y * volumes.scale), height - 1)
            made = inspect.paths(volumes, found.pair.left, y, a, max(a, b))
            made += inspect.row_slices(volumes, y)[1:]
            return {self.volumes: kept, shown: markup.pictures(made)}

        def opened(found: Run | None, kept: Kept | None, xy: Any, a: float, b: float) -> dict:
            if found is None:
                return {shown: ""}
            y = int((xy or _middle(found))[1])
            last = found.result.disparity.shape[0] - 1
            return {row: _slider(0, last, y), **draw(found, kept, y, a, b)}

        outputs = [status, self.volumes, shown]
        gr.on([row.input, p1.input, p2.input], ui.guard(draw, status),
              [state, self.volumes, row, p1, p2], outputs, trigger_mode="always_last", **ui.QUIET)  # fmt: skip
        gr.on([tab.select, picked.change], ui.guard(opened, status),
              [state, self.volumes, picked, p1, p2], [*outputs, row],
              trigger_mode="always_last", **ui.QUIET)  # fmt: skip

    def _slice(self, state: gr.State, tab: gr.Tab) -> None:
        gr.Markdown(
            "One slice of the cost volume: what a single disparity costs at every pixel. Dark "
            "places fit; walk through the disparities and watch depth pass by."
        )
        with gr.Row():
            at = gr.Slider(0, 63, value=20, step=1, label="Disparity (px)")
            after = gr.Checkbox(label="After aggregation", value=False)
        out = gr.Image(label="Cost", interactive=False, buttons=["download", "fullscreen"])
        self.drawn[out] = None
        status = ui.text(elem_classes="status")

        def draw(found: Run | None, kept: Kept | None, d: float, smooth: bool) -> dict:
            if found is None:
                return {out: None}
            kept = _volumes(found, kept)
            volumes = kept[1]
            nearest = np.abs(volumes.disparities - d * volumes.scale).argmin()
            picture = inspect.disparity_slice(
                volumes, int(volumes.disparities[nearest]), aggregated=smooth
            )
            return {self.volumes: kept, out: picture}

        def opened(found: Run | None, kept: Kept | None, d: float, smooth: bool) -> dict:
            if found is None:
                return {out: None}
            kept = _volumes(found, kept)
            low, high = (int(v) for v in kept[1].disparities[[0, -1]] / kept[1].scale)
            d = int(np.clip(d, low, high))
            return {at: _slider(low, high, d), **draw(found, kept, d, smooth)}

        inputs, outputs = [state, self.volumes, at, after], [status, self.volumes, out]
        gr.on([at.input, after.input], ui.guard(draw, status), inputs, outputs,
              trigger_mode="always_last", **ui.QUIET)  # fmt: skip
        tab.select(ui.guard(opened, status), inputs, [*outputs, at],
                   trigger_mode="always_last", **ui.QUIET)  # fmt: skip

    def _errors(self, state: gr.State, tab: gr.Tab) -> None:
        gr.Markdown(
            "An error δd in disparity becomes δz ≈ z²/(f·b)·δd in depth: twice as far, four times "
            "as wrong. Measured on this pair against its truth, and the formula with this "
            "method's own median δd."
        )
        chart = ui.text()
        self.drawn[chart] = ui.ANEW
        status = ui.text(elem_classes="status")

        def draw(found: Run | None) -> dict:
            if found is None:
                return {chart: ""}
            measured, told, step = inspect.errors_by_depth(found.result.disparity, found.pair)
            assert found.pair.rig is not None
            unit = found.pair.rig.unit
            series = {"measured, median": measured, f"z²/(f·b)·δd, δd = {step:.3f} px": told}
            return {chart: charts.lines(series, f"Depth error ({unit})", f"depth z ({unit})")}

        tab.select(ui.guard(draw, status), [state], [status, chart], **ui.QUIET)

    def _check(self, state: gr.State, tab: gr.Tab) -> None:
        gr.Markdown(
            "Matched from left to right and from right to left, a point seen by both cameras "
            "gives the same answer. Where it doesn't, the pixel is hidden from the right camera, or "
            "its match was chance: it takes the disparity of the surface or background beside it."
        )
        shown = ui.text()
        self.drawn[shown] = ui.ANEW
        status = ui.text(elem_classes="status")

        def draw(found: Run | None) -> dict:
            if found is None:
                return {shown: ""}
            result = found.result
            made = [
                (pictures.occlusion_picture(found.pair.left, result.occluded),
                 "Where both directions disagree"),
                (pictures.disparity_picture(result.matched, *pictures.limits(result.disparity)),
                 "What is left after the check"),
                (pictures.disparity_picture(result.disparity, *pictures.limits(result.disparity)),
                 "The answer"),
            ]  # fmt: skip
            return {shown: markup.pictures(made)}

        tab.select(ui.guard(draw, status), [state], [status, shown], **ui.QUIET)


def _ruled() -> str:
    """The golden table and its lengths."""
    found = oak.measured()
    marks = [
        (str(k), *(f"{v:.0f}" for v in mark), *(f"{v:.2f}" for v in (z, x, y)), f"{one:.1f}")
        for k, (mark, (x, y, z), one) in enumerate(
            zip(oak.MARKS, found.points, found.one_px_cm, strict=True), 1
        )
    ]
    lengths = [
        (f"{a} to {b}", f"{length:.2f}", f"{ruler:.1f}", f"{abs(length / ruler - 1):.2%}")
        for (a, b), (length, ruler) in found.lengths.items()
    ]
    head = ("Mark", "u left", "v left", "u right", "v right", "z cm", "x cm", "y cm", "1 px is, cm")
    return (
        '<div class="picked">' + markup.table(marks, head, ("", *["n"] * 8))
        + markup.table(lengths, ("Length", "stereo, cm", "ruler, cm", "off by"), ("", *["n"] * 3))
        + "</div>"
    )  # fmt: skip


def _volumes(found: Run, kept: Kept | None) -> Kept:
    """The volumes of this result: what was kept may be another's, stored while this was made."""
    left, right, settings = found.pair.left, found.pair.right, found.result.settings
    key = digest(left), digest(right), settings
    if kept is not None and kept[0] == key:
        return kept
    return key, runtime.run(method_volumes, left, right, settings)


def _origin(found: Run, row: int, column: int) -> str:
    """Where a pixel's answer comes from, in two words."""
    if found.result.settings.method == "mono":
        return "seen in one picture"
    return "matched" if np.isfinite(found.result.matched[row, column]) else "filled in"


def _slider(low: int, high: int, value: int) -> gr.Slider:
    return gr.Slider(low, max(high, low + 1), value=value)  # Gradio refuses one without a length


def _middle(found: Run) -> tuple[float, float]:
    height, width = found.result.disparity.shape
    return width / 2, height / 2


def geometry_value(found: Run) -> dict[str, Any] | None:
    """The value of the StereoGeometry: this rig and the middle pixel's disparity."""
    rig, d = found.pair.rig, found.result.disparity
    known = d[np.isfinite(d)]
    if rig is None or found.depth is None or not len(known):
        return None
    z = found.depth[np.isfinite(found.depth)]
    if not len(z):
        return None
    return {
        "focal_px": rig.focal_px, "baseline": rig.baseline, "unit": rig.unit, "cx": rig.cx,
        "width_px": d.shape[1], "disparity_px": float(np.median(known)),
        "doffs_px": rig.doffs_px, "z_near": float(np.percentile(z, 1)),
        "z_far": float(np.percentile(z, 99)),
    }  # fmt: skip
