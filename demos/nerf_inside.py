"""The Look inside panel of the NeRF tab: one ray, levels of detail, slices, cameras."""

from __future__ import annotations

import math
from typing import Any

import gradio as gr

from core import runtime
from core.metrics import psnr
from core.nerf import Field, ray, render
from core.nerf.inspect import coarse, cut, levels_of
from core.nerf.training import on_white
from core.types import InputError
from demos import charts, markup, ui
from demos import nerf_session as sessions
from demos import nerf_views as views
from demos.nerf_session import Session
from demos.widgets.depth_view import DepthView
from demos.widgets.orbit_view import OrbitView

LEVEL_PX = 96  # longer side of each picture of a sweep over levels
NO_LEVELS = {
    "siren": "The sines of a SIREN are learned, not set, so it has no levels to switch off. Train "
    "another field to see them.",
    "frequency": "This field was fed the bare position (L = 0), so it has no levels to switch off. "
    "Raise Frequencies L, and train again to see them.",
}
BUSY: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}


class Inside:
    """The ray follows the field that is shown; the rest is made when it is opened. token changes
    whenever another field is shown."""

    def __init__(self, token: gr.State, orbit: OrbitView):
        self.drawn: dict[Any, Any] = {}
        with ui.panel("Look inside"), gr.Tabs():
            with gr.Tab("Ray"):
                self._ray(token, orbit)
            with gr.Tab("Levels of detail") as tab:
                self._levels(tab)
            with gr.Tab("Density and samples") as tab:
                self._slices(tab)
            with gr.Tab("Cameras") as tab:
                self._cameras(tab)
        token.change(lambda: self.drawn, None, list(self.drawn), **ui.QUIET)

    def _ray(self, token: gr.State, orbit: OrbitView) -> None:
        gr.Markdown(
            "Click a pixel: its ray passes the samples below. Each has a density σ, stops the share "
            "α = 1 − exp(−σ δ) of the light that reaches it, and so weighs w = T α; the weights "
            "mix the colours. The ray is drawn in the live view, too, with a dot for each weight. "
            "Click a camera there to open its picture here."
        )
        status = ui.text(elem_classes="status")
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                picture = DepthView()
            with gr.Column(scale=2, min_width=280):
                facts = ui.text()
        plots = ui.text()

        def opened(request: gr.Request) -> dict:
            session = _resting(request)
            camera = session.views.cameras[session.view]
            value = runtime.run(views.picture_value, session, session.settled())
            return {picture: value, **traced(session, (camera.width / 2, camera.height / 2))}

        def traced(session: Session, xy: tuple[float, float]) -> dict:
            camera = session.views.cameras[session.view]
            along = runtime.run(ray, session.settled(), camera, xy)
            return {
                facts: _which(session) + views.ray_table(along, xy),
                plots: views.ray_charts(along),
                orbit: {"key": session.key, "ray": views.ray_in_space(along, camera)},
            }

        def pick(request: gr.Request, event: gr.EventData) -> dict:
            xy = float(event._data["x"]), float(event._data["y"])
            return traced(_resting(request), xy)

        def choose(request: gr.Request, event: gr.EventData) -> dict:
            session = _resting(request)
            session.view = int(event._data["frustum"]) % len(session.views.cameras)
            return opened(request)

        outputs = [status, picture, plots, facts, orbit]
        token.change(ui.guard(opened, status), None, outputs, **ui.QUIET)
        picture.picked(ui.guard(pick, status), None, outputs, **ui.QUIET)
        orbit.picked(ui.guard(choose, status), None, outputs, **BUSY)

    def _levels(self, tab: gr.Tab) -> None:
        gr.Markdown(
            "The same field with fewer of its levels: frequencies of γ(p), levels of the hash grid, "
            "or octaves of resolution of planes and voxels. What the last ones add is detail, and "
            "where views are few, noise."
        )
        status = ui.text(elem_classes="status")
        shown, chart = ui.text(), ui.text()
        self.drawn |= {shown: ui.ANEW, chart: ""}

        def draw(request: gr.Request) -> dict:
            session = _resting(request)
            field = session.settled()
            if not levels_of(field):
                raise InputError(NO_LEVELS[field.kind])
            made, curve = runtime.run(_sweep, session, field)
            return {
                shown: markup.pictures(made, least_px=250),
                chart: charts.lines({"PSNR": curve}, "PSNR of the view (dB)", "levels kept",
                                    x_step=1, y_range=views.decibels([db for _, db in curve])),
            }  # fmt: skip

        tab.select(ui.guard(draw, status), None, [status, shown, chart], **BUSY)

    def _slices(self, tab: gr.Tab) -> None:
        gr.Markdown(
            "A cut through the scene's box. The field has a density everywhere; a coarse grid of "
            "them says where a ray's light may end, and nearly all samples go there."
        )
        with gr.Row():
            axis = gr.Radio(
                [("level", "z"), ("from the front", "y"), ("from the side", "x")], value="z",
                label="Cut", info="Across z, y or x.",
            )  # fmt: skip
            share = gr.Slider(
                0, 1, value=0.3, step=0.01, label="Where", info="Share of the box along that axis."
            )
        status = ui.text(elem_classes="status")
        shown = ui.text()
        self.drawn |= {shown: ui.ANEW}

        def draw(axis: str, share: float, request: gr.Request) -> dict:
            session = _resting(request)
            made = runtime.run(cut, session.settled(), session.views, axis, float(share))
            left, right, low, high = made.extent
            words = (
                f"{axis} = {made.at:.3g}; {made.axes[0]} from {left:.3g} to {right:.3g}, "
                f"{made.axes[1]} from {low:.3g} (below) to {high:.3g} (above)."
            )
            return {
                shown: markup.pictures(views.slice_pictures(made), least_px=250) + f"<p>{words}</p>"
            }

        gr.on([tab.select, axis.input, share.input], ui.guard(draw, status), [axis, share],
              [status, shown], trigger_mode="always_last", **ui.QUIET)  # fmt: skip

    def _cameras(self, tab: gr.Tab) -> None:
        gr.Markdown(
            "Switch on **Cameras** and **Box** in the live view: blue cameras are learned from, "
            "orange ones are held out. Click one to open its picture under **Ray**."
        )
        shown = ui.text()
        status = ui.text(elem_classes="status")
        self.drawn |= {shown: ui.ANEW}

        def draw(request: gr.Request) -> dict:
            session = sessions.of(request)
            return {shown: _camera_table(session)}

        tab.select(ui.guard(draw, status), None, [status, shown], **ui.QUIET)


def _resting(request: gr.Request) -> Session:
    """The session, if its field holds still. A field that is being trained would be another one in
    every picture."""
    session = sessions.of(request)
    session.rests()
    return session


def _which(session: Session) -> str:
    k = session.view
    kind = "held out" if k in session.views.test else "learned from"
    return f'<div class="note">View {k + 1} of {len(session.views.cameras)}, {kind}.</div>'


def _sweep(session: Session, field: Field) -> tuple[list, list]:
    """Pictures of the opened view with 1, 2, … levels, and their PSNR."""
    found, k = session.views, session.view
    camera = found.cameras[k]
    every = max(1, math.ceil(max(camera.width, camera.height) / LEVEL_PX))
    truth = on_white(found.images[k, ::every, ::every])
    most = levels_of(field)
    made, curve = [], []
    for levels in range(0 if field.kind == "frequency" else 1, most + 1):
        shown = render(coarse(field, levels), camera, every).rgb
        db = psnr(shown, truth)
        made.append((shown, f"{levels} of {most}: {db:.1f} dB"))
        curve.append((float(levels), db))
    return [*made, (truth, "Truth")], curve


def _camera_table(session: Session) -> str:
    found = session.views
    camera = found.cameras[0]
    low, high = found.bounds
    box = " × ".join(f"{v:.3g}" for v in high - low)
    rows = [
        ("Learned from", str(len(found.train))),
        ("Held out", str(len(found.test))),
        ("Picture", f"{camera.width}×{camera.height} px"),
        ("Focal length", markup.number(float(camera.K[0, 0]), "px")),
        ("Box", box),
        ("Near, far", f"{found.near:.3g}, {found.far:.3g}"),
        ("Space outside the box", "contracted" if found.unbounded else "empty"),
    ]
    moves = session.seen.shot.moves
    if moves is not None:
        turned = abs(moves[:, :3]).max()
        rows.append(("Largest turn by refinement", f"{math.degrees(float(turned)):.2f}°"))
    return markup.table(rows, ("Cameras", ""), ("", "n"))
