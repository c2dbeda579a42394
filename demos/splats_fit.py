"""Two fits to watch: splats in space to posed views, and flat ones to a single photo."""

from __future__ import annotations

import contextlib
import html
import math
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import gradio as gr
import numpy as np

from core import images, runtime, scenes
from core.nerf.run import Given, ViewSettings
from core.recipe import Recipe, from_link
from core.runtime import Done, Part, Tick
from core.splats import render
from core.splats.fit_image import FitImageSettings, FittedImage, fit_image
from core.splats.fitting import FitSettings, drawn_as
from core.splats.learned import FIT_HELP, Learned, learn
from core.splats.types import Rendered
from core.stereo.pictures import colour_map
from core.types import InputError
from demos import charts, markup, nerf_views, splats_views, ui
from demos import splats_session as sessions
from demos.splats_session import Session
from demos.widgets.orbit_view import OrbitView
from demos.widgets.photo import photo

ERROR_LIMIT = 64  # of 255, where the error's scale ends
DRAWN = 600  # ellipses in the picture of them
NARROW = 380  # units of a chart that has a third of the room


class Fit:
    """The Fit a scene panel: from posed views to splats in the viewer above."""

    def __init__(self) -> None:
        with ui.panel("Fit a scene"):
            gr.Markdown(
                "Splats that learn to look like photographs, as a NeRF does, but piece by piece: "
                "every number of every Gaussian goes a little downhill, and density control clones, "
                "splits and removes them. What it ends with goes into the viewer above."
            )
            self.views = ui.Controls(ViewSettings)
            self.controls = ui.Controls(FitSettings)
            with gr.Row():
                with gr.Column(scale=2, min_width=230):
                    self.files = self._input()
                with gr.Column(scale=2, min_width=230):
                    self.controls.draw("start", "gaussians", "most", "density")
                    self.job = ui.Job("Fit", "splats-fit")
                    with gr.Row(elem_classes="job"):
                        self.more = gr.Button("Fit on", size="sm", min_width=80)
                    self.controls.draw_rest()
                with gr.Column(scale=5, min_width=320):
                    self.headline = ui.text(elem_classes="headline")
                    self.view = OrbitView()
                    self.pictures = ui.text()
                    self.curves = ui.text()
                    self.scores = ui.text()

    def _input(self) -> gr.File:
        self.views.draw("nerf_source")
        with gr.Column(visible=True) as scene:
            self.views.draw("nerf_scene", "n_views", "view_px")
            with gr.Accordion("More about the views", open=False):
                self.views.draw("pose_noise_deg", "coverage_deg", "scene_seed")
        with gr.Column(visible=False) as own:
            gr.Markdown(
                "The same captures as in the NeRF tab: a zip or files with cameras, or photos or a "
                "video whose cameras COLMAP finds."
            )
            files = gr.File(label="Files", file_count="multiple", height=140)
            self.views.draw("photo_px")
        with gr.Column(visible=False) as video:
            self.views.draw("video_frames")

        def arrange(source: str) -> dict:
            return {
                scene: gr.Column(visible=source == "scene"),
                own: gr.Column(visible=source != "scene"),
                video: gr.Column(visible=source == "photos"),
            }

        source = self.views.widgets["nerf_source"]
        source.change(arrange, source, [scene, own, video], **ui.QUIET)
        return files

    def wire(self, show: Callable[[Session], dict], outputs: list[Any]) -> None:
        """show(session) → the tab's updates once the splats are in the viewer."""
        n = len(self.views.inputs)

        def work(
            request: gr.Request, paths: list[str] | None, *values: Any
        ) -> Iterator[Tick | Part | Done]:
            session = sessions.of(request)
            known, session.go_on = session.learned if session.go_on else None, False
            (source,), (settings,) = self.views.read(values[:n]), self.controls.read(values[n:])
            if session.fitting:
                raise InputError("This page fits already. Stop it first.")
            session.live.rate = settings.rate
            if known is None:
                session.live.look = None  # where the last scene was looked at from
            events = runtime.stream(learn, source, settings, Given(tuple(paths or ())),
                                    live=session.live, known=known)  # fmt: skip
            last, first = None, False
            with session.fits(), contextlib.closing(events):
                try:
                    for event in events:
                        if not isinstance(event, Tick) and event.value is not None:
                            first = last is None and known is None
                            last = event.value
                            session.watch(last, first)
                        if isinstance(event, Part):
                            yield Part((session, last, first, False))
                        elif isinstance(event, Tick):
                            yield event
                finally:
                    if last is not None:  # stopped: what is there by now can be looked at, too
                        session.take_fit(last)
            if last is not None:
                yield Done((session, last, False, True))

        def told(value: tuple[Session, Learned, bool, bool]) -> dict:
            session, found, first, done = value
            shown = {
                self.headline: headline(found),
                self.view: orbit_value(session, found.shot.look, whole=first),
                self.pictures: pictures(found),
                self.curves: curves(found),
            }
            if found.scores:
                shown[self.scores] = markup.score_table(found.scores, FIT_HELP)
            return shown | (show(session) if done else {})

        inputs = [self.files, *self.views.inputs, *self.controls.inputs]
        drawn = [self.headline, self.view, self.pictures, self.curves, self.scores, *outputs]
        self.job.wire(work, told, inputs, drawn, keyed=True)

        asked = gr.State(0)  # counts the times that were granted: one refused must not fit anew

        def go_on(count: int, request: gr.Request) -> dict:
            session = sessions.of(request)
            if session.fitting:
                raise InputError("The splats are being fitted already.")
            if session.learned is None:
                raise InputError("There is no fit to go on with. Press Fit first.")
            session.go_on = True
            return {asked: count + 1}

        status = self.job.status
        self.more.click(ui.guard(go_on, status), [asked], [status, asked], **ui.QUIET)
        asked.change(None, None, None, js=ui.press("splats-fit"), **ui.QUIET)

        def settle(request: gr.Request) -> dict:
            session = sessions.of(request)
            for _ in range(40):  # Stop reaches the fit at its next snapshot
                if not session.fitting:
                    break
                time.sleep(0.05)
            return gr.skip() if session.learned is None else show(session)

        self.job.stop.click(settle, None, outputs, **ui.QUIET)
        self._turns()
        self.views.restore_from("splats", press=False)
        self.controls.restore_from("splats", press=False)

    def _turns(self) -> None:
        """The view's camera belongs to the browser: while a fit goes on, the next picture comes with
        the next snapshot; at rest, it is drawn here."""

        def turned(request: gr.Request, event: gr.EventData) -> Iterator[dict]:
            session = sessions.of(request)
            yield gr.skip()  # a generator that says nothing, or {}, would empty the view
            if session.watched is None:
                return
            session.turn(dict(event._data))
            if not session.fitting:
                shot, camera = session.watched.shot, nerf_views.orbit_camera(session.orbit)
                drawing = drawn_as(session.watched.views)
                seen = runtime.run(render, shot.splats, camera, drawing)
                yield {self.view: orbit_value(session, seen)}

        def missed(request: gr.Request) -> dict:
            session = sessions.of(request)
            if session.watched is None:
                return gr.skip()
            return {self.view: orbit_value(session, None, whole=True)}

        self.view.turned(turned, None, [self.view], trigger_mode="multiple", concurrency_limit=8,
                         **ui.QUIET)  # fmt: skip
        self.view.missed(missed, None, [self.view], **ui.QUIET)


def orbit_value(session: Session, seen: Rendered | None, *, whole: bool = False) -> dict[str, Any]:
    """The OrbitView's value for the fit that is watched, and what its camera sees by now; whole:
    with the cameras and all else that a key needs once."""
    found = session.watched
    assert found is not None
    value: dict[str, Any] = {"key": session.watch_key,
                             "note": f"{found.seconds:.1f} s · {found.shot.psnr:.1f} dB"}  # fmt: skip
    if seen is not None:
        value |= {"image": markup.data_uri(seen.rgb), "image_for": session.orbit}
    if whole:
        value |= {
            "start": session.orbit,
            "box": found.views.bounds.tolist(),
            "frusta": splats_views.frusta(found.views),
        }
    return value


def headline(found: Learned) -> str:
    shot = found.shot
    held = shot.view in found.views.test
    said = (
        f"<b>{shot.psnr:.1f} dB</b> on the {'held-out' if held else 'training'} view shown · "
        f"{shot.count:,} Gaussians · step {shot.step:,} · {shot.seconds:.1f} s · {shot.renderer}"
    )
    notes = [note for note in (shot.note, *found.views.notes) if note]
    return f"<div>{said}</div>" + "".join(
        f'<div class="note">{html.escape(note)}</div>' for note in notes
    )


def pictures(found: Learned) -> str:
    """The splats' picture of a view, the photo, and the difference."""
    shot = found.shot
    error = np.abs(shot.preview.rgb.astype(np.float32) - shot.truth).mean(2)
    held = "held-out" if shot.view in found.views.test else "training"
    shown = [
        (shot.preview.rgb, f"Splats, {held} view"),
        (shot.truth, "Photo"),
        (colour_map(error, 0, ERROR_LIMIT, "magma"), f"Error, 0 to {ERROR_LIMIT} of 255"),
    ]
    return markup.pictures(shown, least_px=250)


def curves(found: Learned) -> str:
    """PSNR and the number of Gaussians against seconds."""
    db = [  # a preview stands for a second; only where it is new it says something
        (s, p)
        for k, (s, _, p) in enumerate(found.curve)
        if math.isfinite(p) and (not k or p != found.curve[k - 1][2])
    ]
    counts: list[tuple[float, float]] = []
    for change in found.shot.changes:  # stairs: the number changes at once
        if counts:
            counts.append((change.seconds, counts[-1][1]))
        counts.append((change.seconds, float(change.count)))
    counts.append((found.seconds, float(found.shot.count)))
    low = math.floor(min((p for _, p in db), default=0.0))
    high = math.ceil(max((p for _, p in db), default=1.0))
    made = [
        charts.lines({"PSNR": _thinned(db)}, "PSNR of the view (dB)", "time of fitting (s)",
                     y_range=(low, max(high, low + 1)), width=NARROW),
        charts.lines({"Gaussians": counts}, "Gaussians", "time of fitting (s)", width=NARROW),
    ]  # fmt: skip
    return f'<div class="pictures small">{"".join(made)}</div>'


def _thinned(points: list[tuple[float, float]], most: int = 78) -> list[tuple[float, float]]:
    """At most so many, evenly, with the last: more can't be told apart."""
    every = -(-len(points) // most)
    return [*points[:-1:every], *points[-1:]]


# ---------------------------------------------------------------- one photo


def photo_panel() -> None:
    """The Fit a photo panel, drawn here."""
    with ui.panel("Fit a photo"):
        gr.Markdown(
            "The same descent without the third dimension. Each ellipse has a middle, two axes, an "
            "angle, an opacity and a colour; watch them gather where the photo changes and grow "
            "thin along its edges."
        )
        controls = ui.Controls(FitImageSettings)
        with gr.Row():
            with gr.Column(scale=2, min_width=230):
                given = photo("Your photo, or none for a rendered one")
            with gr.Column(scale=2, min_width=230):
                controls.draw("gaussians", "seconds", "mix")
                job = ui.Job("Fit the photo", "splats-photo")
                controls.draw_rest()
            with gr.Column(scale=5, min_width=320):
                said = ui.text(elem_classes="headline")
                shown, chart = ui.text(), ui.text()

        def work(path: str | None, *values: Any) -> Iterator[Tick | Part | Done]:
            (settings,) = controls.read(values)
            image = rendered() if path is None else images.load(path, "The photo")
            curve: list[tuple[float, float]] = []
            for event in runtime.stream(fit_image, image, settings):
                if isinstance(event, Tick) or event.value is None:
                    yield event
                    continue
                if isinstance(event, Part):
                    curve.append((event.value.seconds, event.value.psnr))
                yield type(event)((event.value, tuple(curve), photo_link(settings)))

        def show(value: tuple[FittedImage, tuple, str]) -> dict:
            found, curve, link = value
            return {
                said: f"<b>{found.psnr:.1f} dB</b> with {len(found.means_px):,} Gaussians · "
                f"step {found.step:,} · {found.seconds:.1f} s · "
                f'<a href="{html.escape(link)}">link to these settings</a>',
                shown: photo_pictures(found),
                chart: charts.lines({"PSNR": _thinned(list(curve))}, "PSNR (dB)", "time (s)"),
            }

        def restore(request: gr.Request) -> list[Any]:
            try:
                (made,) = from_link(request.query_params.get("photo", ""), (FitImageSettings,))
            except InputError as error:
                gr.Warning(str(error))
                return [gr.skip() for _ in controls.fields]
            return [getattr(made, name) for name in controls.fields]

        job.wire(work, show, [given, *controls.inputs], [said, shown, chart])
        gr.on(None, restore, None, controls.inputs, **ui.QUIET)  # when the page opens


def photo_link(settings: FitImageSettings) -> str:
    """The query string that restores these settings. A scene's fit has fields of the same names, so
    these travel as a link within the link."""
    own = Recipe("splats", "", (settings,)).link().removeprefix("?")
    return "?" + urlencode({"tab": "splats", "photo": own})


def rendered() -> np.ndarray:
    """The photo if none is given: (H, W, 3) uint8."""
    scene = scenes.scene("tabletop")
    return scenes.render(scene, scenes.start_camera(scene, 256, 192)).rgb


def photo_pictures(found: FittedImage) -> str:
    height, width = found.truth.shape[:2]
    cells = "".join(
        f'<figure><img src="{markup.data_uri(image, lossless=True)}" alt="{words}" '
        f'style="image-rendering:pixelated"><figcaption>{words}</figcaption></figure>'
        for image, words in (
            (found.picture, "Gaussians"),
            (found.truth, f"Photo, {width}×{height} px"),
        )
    )
    drawn = (
        f'<figure><svg viewBox="0 0 {width} {height}" role="img" aria-label="Ellipses" '
        f'style="width:100%;background:#fff">{ellipses(found)}</svg><figcaption>Ellipses at one '
        f"standard deviation{_of(found)}</figcaption></figure>"
    )
    return f'<div class="pictures small">{cells}{drawn}</div>'


def _of(found: FittedImage) -> str:
    n = len(found.means_px)
    return f": {DRAWN} of {n:,}" if n > DRAWN else ""


def ellipses(found: FittedImage) -> str:
    """SVG of at most DRAWN ellipses in their own colours."""
    which = np.linspace(0, len(found.means_px) - 1, min(DRAWN, len(found.means_px))).astype(int)
    parts = []
    for k in which:
        (x, y), (a, b) = found.means_px[k], found.axes_px[k]
        r, g, bl = (int(v) for v in np.clip(found.colours[k] * 255, 0, 255))
        parts.append(
            f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{a:.2f}" ry="{b:.2f}" '
            f'transform="rotate({found.angle_deg[k]:.0f} {x:.1f} {y:.1f})" '
            f'fill="rgb({r},{g},{bl})" fill-opacity="{0.6 * found.opacities[k]:.2f}" '
            f'stroke="rgb({r},{g},{bl})" stroke-width="0.4"/>'
        )
    return "".join(parts)
