"""The Gaussian splats tab: what is opened, how it is drawn, the viewer. Its panels are in
splats_inside.py, splats_panels.py and splats_fit.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from core import runtime
from core.runtime import Tick
from core.splats import RenderSettings
from core.splats.run import Given, SplatSettings, Viewed, ViewpointSettings, recipe_of, run
from core.types import InputError
from demos import shelf, ui
from demos import splats_fit as fit
from demos import splats_panels as panels
from demos import splats_session as sessions
from demos import splats_views as views
from demos.splats_inside import Inside
from demos.splats_session import Session
from demos.widgets.splat_view import SplatView

DRAWN_BY = ("sh_degree", "scale", "sort", "near_m", "fov_deg", "picture_px")
KINDS = (SplatSettings, ViewpointSettings, RenderSettings)
FORMATS = (
    "Splats: 3DGS `.ply` (plain or compressed), `.splat`, `.spz`, `.ksplat`, SOG (`.sog`, a zip, or "
    "its files together). Points: `.ply`, `.pcd`, `.xyz`. Surfaces: `.ply`, `.obj`, `.stl`, `.off`, "
    "`.glb`, `.gltf`, `.3mf`, `.dae`."
)


def build(run: Callable[..., Iterator[Viewed]] = run) -> None:
    """Draw the tab; `run` is core.splats.run.run, or a test's fake of it."""
    made = ui.Controls(*KINDS)
    token = gr.State("")  # which splats are shown: panels follow it

    with gr.Row():
        with gr.Column(scale=2, min_width=230):
            files, shelved = _input(made)
            job = ui.Job("Open", "splats")
            with gr.Accordion("The server's picture", open=False):
                gr.Markdown("How Score, Compare and the figure are drawn. The view has its own "
                            "controls under it.")  # fmt: skip
                made.draw(*DRAWN_BY)
            made.draw_rest()
        with gr.Column(scale=7, min_width=320):
            headline = ui.text(elem_classes="headline")
            view = SplatView()

    inside = Inside(token, view)
    clean = panels.Clean(token, view)
    panels.compare()
    score = panels.Score()
    fitted = fit.Fit()
    fit.photo_panel()
    convert = panels.Convert()
    take = ui.TakeAway("splats")
    ui.lesson("splats")

    outputs = [token, headline, view, *score.outputs, *convert.outputs, *take.outputs]

    def work(
        request: gr.Request, paths: list[str] | None, title: str | None, *values: Any
    ) -> Iterator:
        session = sessions.of(request)
        source, viewpoint, settings = made.read(values)
        given = Given(tuple(paths or ()))
        if source.splat_source == "shelf":
            given = _from_shelf(request, title)
        mine = None
        for event in runtime.stream(run, source, viewpoint, settings, given):
            if isinstance(event, Tick) or event.value is None:
                yield event
                continue
            if mine is None:
                session.take(event.value, viewpoint, settings)
                mine = session.shown
                yield type(event)((session, True))
                continue
            if session.shown is mine:  # nothing was done to it meanwhile: the same, scored by now
                session.found = event.value
            yield type(event)((session, False))

    def told(value: tuple[Session, bool]) -> dict:
        session, new = value
        if new:  # a link's viewpoint is for the first thing that is opened
            return {**show(session), **forget()}
        return {headline: views.headline(session), **score.show(session.viewed)}

    def show(session: Session) -> dict:
        """Everything that follows what is shown."""
        seen = session.viewed
        return {
            token: session.key,
            headline: views.headline(session),
            view: views.viewer_value(session),
            **score.show(seen),
            **convert.show(),
            **take.show(seen.recipe),
        }

    def forget() -> dict:
        return {made.widgets["eye"]: (), made.widgets["target"]: ()}

    def drawn_by(name: str) -> Callable[[Any, gr.Request], dict]:
        def changed(value: Any, request: gr.Request) -> dict:
            session = sessions.of(request)
            if session.shown is None:
                return {}
            session.draw_by(name, value)
            return take.show(recipe_of(session.shown, session.viewpoint, session.settings))

        return changed

    for name in DRAWN_BY:
        made.widgets[name].input(
            ui.guard(drawn_by(name), job.status), made.widgets[name], [job.status, *take.outputs],
            trigger_mode="always_last", **ui.QUIET,
        )  # fmt: skip
    viewpoint = [made.widgets["eye"], made.widgets["target"]]
    made.widgets["splat_source"].input(forget, None, viewpoint, **ui.QUIET)

    everything = [files, shelved, *made.inputs]
    job.wire(work, told, everything, [*outputs, *viewpoint], api_name="splats", keyed=True,
             also=[made.widgets["splat_scene"].input])  # fmt: skip
    clean.wire(show, outputs)
    fitted.wire(show, outputs)
    inside.wire()
    score.wire(view)
    take.wire(token, panels.write_files, keyed=True)
    convert.wire()
    made.restore_from("splats")
    ui.on_close(sessions.forget)

    # The camera belongs to the browser. Where it comes to rest goes into the link, and the next
    # picture that the server makes is from there.

    def moved(request: gr.Request, event: gr.EventData) -> dict:
        session = sessions.of(request)
        if session.shown is None:
            return gr.skip()
        session.stand(dict(event._data))
        return take.show(recipe_of(session.shown, session.viewpoint, session.settings))

    def missed(request: gr.Request) -> dict:
        session = sessions.of(request)
        return gr.skip() if session.shown is None else {view: views.viewer_value(session)}

    view.missed(missed, None, [view], **ui.QUIET)
    view.moved(moved, None, take.outputs, trigger_mode="multiple", **ui.QUIET)


def _input(made: ui.Controls) -> tuple[gr.File, gr.Dropdown]:
    """The input column: a rendered scene, a file of one's own, or what another tab made."""
    made.draw("splat_source")
    with gr.Column(visible=True) as scene:
        made.draw("splat_scene", "splat_n")
    with gr.Column(visible=False) as own:
        gr.Markdown(FORMATS)
        files = gr.File(label="File", file_count="multiple", height=140)
    with gr.Column(visible=False) as other:
        gr.Markdown(
            "Make a point cloud in *Stereo depth*, or a mesh, a cloud or Gaussians in *NeRF training* "
            "under *3-D model*, and they are listed here."
        )
        shelved = gr.Dropdown([], label="Made on this page")

    def arrange(source: str, request: gr.Request) -> dict:
        made_here = list(shelf.of(request, shelf.Model))
        return {
            scene: gr.Column(visible=source == "scene"),
            own: gr.Column(visible=source == "file"),
            other: gr.Column(visible=source == "shelf"),
            shelved: gr.Dropdown(made_here, value=made_here[-1] if made_here else None),
        }

    source = made.widgets["splat_source"]
    source.change(arrange, source, [scene, own, other, shelved], **ui.QUIET)
    return files, shelved


def _from_shelf(request: gr.Request, title: str | None) -> Given:
    item = shelf.of(request, shelf.Model).get(title or "")
    if item is None:
        raise InputError(
            "Nothing is chosen from another tab. Make a cloud, a mesh or Gaussians there first."
        )
    return Given((str(item.path),), item.up)


demo = ui.Demo(
    "splats",
    "Gaussian splats",
    "A scene as a heap of soft ellipsoids, drawn front to back in your browser: turn it, take it "
    "apart, and see which of them make a pixel.",
    build,
)
