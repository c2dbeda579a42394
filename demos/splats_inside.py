"""The Look inside panel of the Gaussian splats tab: one pixel, one Gaussian."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np

from core import runtime
from core.splats import contributors
from core.types import Camera, InputError
from demos import charts, ui
from demos import splats_session as sessions
from demos import splats_views as views
from demos.splats_one import one_gaussian
from demos.widgets.orbit_view import camera_of
from demos.widgets.splat_view import SplatView


class Inside:
    """The pixel that was clicked in the viewer, and a Gaussian to play with."""

    def __init__(self, token: gr.State, view: SplatView):
        self.token, self.view = token, view
        with ui.panel("Look inside") as panel, gr.Tabs():
            with gr.Tab("One pixel"):
                gr.Markdown(
                    "Click a pixel in the view above. Its splats are listed front to back: each "
                    "stops the share α of the light that reaches it, T of which is left by those "
                    "before, and so weighs w = T α in the pixel's colour."
                )
                self.status = ui.text(elem_classes="status")
                with gr.Row():
                    with gr.Column(scale=3, min_width=320):
                        self.table = ui.text()
                    with gr.Column(scale=2, min_width=280):
                        self.bar = ui.text()
                        self.chart = ui.text()
            with gr.Tab("One Gaussian"):
                one_gaussian(panel)

    def wire(self) -> None:
        shown = [self.table, self.bar, self.chart]

        def pick(request: gr.Request, event: gr.EventData) -> dict:
            session = sessions.of(request)
            if session.opened.kind != "splats":
                raise InputError("Points and surfaces have no list: only splats let light through.")
            d = event._data
            camera = camera_of(d["orbit"], int(d["width"]), int(d["height"]))
            shown = replace(session.settings, **d["settings"])  # as the view draws
            return self.opened(session.splats, shown, camera, (d["x"], d["y"]))

        def middle(request: gr.Request) -> dict:
            session = sessions.of(request)
            if session.found is None or session.opened.kind != "splats":
                return dict.fromkeys(shown, "")
            camera = session.found.camera
            return self.opened(
                session.splats, session.settings, camera, (camera.width / 2, camera.height / 2)
            )

        self.view.picked(ui.guard(pick, self.status), None, [self.status, *shown],
                         trigger_mode="multiple", **ui.QUIET)  # fmt: skip
        self.token.change(ui.guard(middle, self.status), None, [self.status, *shown], **ui.QUIET)

    def opened(self, splats: Any, settings: Any, camera: Camera, xy: tuple[Any, Any]) -> dict:
        """The table, the bar and the curves of one pixel."""
        at = float(xy[0]), float(xy[1])
        made = runtime.run(contributors, splats, camera, at, settings)
        place = np.arange(1, len(made) + 1)
        curves = {
            "T, light left": list(zip(place.tolist(), made.reach.tolist(), strict=True)),
            "w = T α": list(zip(place.tolist(), made.weight.tolist(), strict=True)),
        }
        chart = charts.lines(curves, "Front to back", "splat", y_range=(0, 1)) if len(made) else ""
        return {
            self.table: views.pixel_table(made, at),
            self.bar: views.build_up(made),
            self.chart: chart,
        }
