"""The NeRF training tab: views, controls, the field while it learns. Its panels are in nerf_panels.py
and nerf_inside.py."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from core import runtime
from core.metrics import psnr
from core.nerf import NerfSettings, Seen, load, render
from core.nerf.run import Given, Run, ViewSettings, longer, run, trained
from core.nerf.types import FIELD_HELP
from core.runtime import Done, Part, Tick
from core.types import InputError
from demos import nerf_panels as panels
from demos import nerf_picture as picture
from demos import nerf_session as sessions
from demos import nerf_views as views
from demos import ui
from demos.nerf_inside import Inside
from demos.nerf_session import Session
from demos.widgets.orbit_view import OrbitView

KINDS = (ViewSettings, NerfSettings)
QUICK_PX = 88  # of a picture while the pointer still moves
LIVE = {**ui.QUIET, "queue": False}  # heard at once, even while training holds the queue


@dataclass(frozen=True)
class Moment:
    """What the page shows next: whose session, and whether all is new or only the pictures."""

    session: Session
    first: bool
    last: bool


def build(run: Callable[..., Iterator[Run]] = run) -> None:
    """Draw the tab; `run` is core.nerf.run.run, or a test's fake of it."""
    made = ui.Controls(*KINDS)
    token = gr.State("")  # which field is shown: panels follow it

    with gr.Row():
        with gr.Column(scale=2, min_width=230):
            files = _input(made)
        with gr.Column(scale=2, min_width=230):
            made.draw("field_kind", "seconds")
            job = ui.Job("Train", "nerf")
            with gr.Row(elem_classes="job"):
                pause = gr.Button("Pause", size="sm", min_width=80, elem_id="nerf-pause")
                more = gr.Button("Train on", size="sm", min_width=80, elem_id="nerf-more")
                file = gr.UploadButton("Open a field", size="sm", min_width=80,
                                       file_types=[".safetensors"])  # fmt: skip
            made.draw("rays", "rate", "samples")
            made.draw_rest()
        with gr.Column(scale=6, min_width=320):
            headline = ui.text(elem_classes="headline")
            with gr.Tabs():
                with gr.Tab("Live"):
                    with gr.Row():
                        with gr.Column(scale=3, min_width=280):
                            view = OrbitView()
                        with gr.Column(scale=3, min_width=280):
                            held = ui.text()
                    curves = ui.text()
                    back = gr.Slider(
                        0, NerfSettings().seconds, value=0, step=0.1, label="Go back to (s)",
                        info="Shows the field as it was then; training must rest.",
                    )  # fmt: skip
                outputs_of = panels.outputs_tabs()

    Inside(token, view)
    panels.compare(made, files)
    score = panels.Score()
    picture.panel("nerf")
    take = ui.TakeAway("nerf")
    ui.lesson("nerf")

    outputs = [token, headline, view, held, curves, back, pause, *score.outputs,
               *outputs_of.outputs, *take.outputs]  # fmt: skip

    def work(request: gr.Request, paths: list[str] | None, *values: Any) -> Iterator:
        session = sessions.of(request)
        on, session.go_on = session.go_on, False
        source, settings = made.read(values)
        if session.training:
            raise InputError("This page trains already. Stop it first.")
        if on:
            events = _longer(session, settings)
        else:
            given = Given(tuple(paths or ()))
            session.look(None)  # where the last scene was looked at from is nowhere in the next
            events = runtime.stream(run, source, settings, given, live=session.live)
        first, done = True, False
        with session.trains(settings), contextlib.closing(events):
            for event in events:
                if isinstance(event, Tick) or event.value is None:
                    yield event
                    continue
                if first and not on:  # only now is the last one given up
                    session.begin()
                session.take(event.value)
                done = isinstance(event, Done)
                if done or session.aside:  # in a pause, an older field is looked at
                    continue
                yield Part(Moment(session, first, False))
                first = False
        if done:  # shown at rest, so that Train on is heard from then on
            yield Done(Moment(session, first, True))

    def show(now: Moment) -> dict:
        session = now.session
        found = session.found
        shot = found.shot
        note = views.note_of(found)
        shown = {
            headline: views.headline(session),
            view: views.orbit_value(session, shot.look, note, whole=now.first),
            held: views.quad(shot.preview, shot.truth, shot.view in found.views.test),
            curves: views.curves(found),
        }
        if now.first:
            session.look(views.orbit_camera(session.orbit))
            shown |= {back: gr.Slider(maximum=1, value=0), pause: gr.Button("Pause")}
        return shown | (rested(session) if now.last else {})

    def rested(session: Session) -> dict:
        """What a page shows of a training that has ended or was stopped."""
        found = session.latest()
        fine = runtime.run(render, found.shot.field, views.orbit_camera(session.orbit))
        seconds = max(round(found.seconds, 1), 0.1)
        return {
            token: session.shows(f"{found.seconds:.3f} s"),
            headline: views.headline(session),
            view: views.orbit_value(session, fine, views.note_of(found), whole=False),
            back: gr.Slider(maximum=seconds, value=seconds),
            pause: gr.Button("Pause"),
            **follow(found),
        }

    def follow(shown: Run) -> dict:
        """What the panels say of the field that is shown."""
        return {**score.show(shown), **outputs_of.show(), **take.show(shown.recipe)}

    def settle(request: gr.Request) -> dict:
        session = sessions.of(request)
        for _ in range(40):  # Stop reaches the training at its next snapshot
            if not session.training:
                break
            time.sleep(0.05)
        return gr.skip() if session.run is None else rested(session)

    job.wire(work, show, [files, *made.inputs], outputs, api_name="nerf", keyed=True)
    job.stop.click(settle, None, outputs, **ui.QUIET)
    _live(made, job, pause, more, view, back, headline, curves, held, token, file, follow, outputs)
    take.wire(token, panels.write_files, keyed=True)
    made.restore_from("nerf")
    ui.on_close(sessions.forget)

    kind = made.widgets["field_kind"]
    kind.change(lambda key: gr.Dropdown(info=FIELD_HELP[key]), kind, kind, **ui.QUIET)


def _longer(session: Session, settings: NerfSettings) -> Generator:
    """More training of the field there is. Its recipe has the seconds of all, though a training in
    one go lowers its rate but once."""
    known = session.found
    source, before = known.recipe.settings
    both = longer(before, settings, known.seconds, known.step)
    recipe = replace(known.recipe, settings=(source, both))
    return runtime.stream(trained, known.views, settings, recipe, session.live, known=known)


def _live(
    made: ui.Controls, job: ui.Job, pause: Any, more: Any, view: Any, back: Any, headline: Any,
    curves: Any, held: Any, token: Any, file: Any, follow: Callable[[Run], dict],
    outputs: list[Any],
) -> None:  # fmt: skip
    """What answers while training goes on: pause, rate and batch, the camera; and the way back."""

    def toggle(request: gr.Request) -> dict:
        session = sessions.of(request)
        if not session.training:
            raise InputError("Nothing is being trained. Press Train.")
        session.live.paused = not session.live.paused
        told: dict = {pause: gr.Button("Resume" if session.live.paused else "Pause")}
        if session.live.paused and session.run is not None:
            seconds = max(round(session.run.seconds, 1), 0.1)
            told[back] = gr.Slider(maximum=seconds, value=seconds)
        return told

    pause.click(ui.guard(toggle, job.status), None, [job.status, pause, back], **LIVE)

    asked = gr.State(0)  # counts the times that were granted: one refused must not train anew

    def go_on(count: int, request: gr.Request) -> dict:
        session = sessions.of(request)
        if session.training:
            raise InputError("The field is being trained already.")
        if session.run is None:
            raise InputError(sessions.NOT_YET)
        session.go_on = True
        return {asked: count + 1}

    more.click(ui.guard(go_on, job.status), [asked], [job.status, asked], **ui.QUIET)
    asked.change(None, None, None, js=ui.press("nerf"), **ui.QUIET)

    def change(rate: float, rays: float, request: gr.Request) -> None:
        session = sessions.of(request)
        if session.training:
            session.live.rate, session.live.rays = float(rate), max(16, int(rays))

    rate, rays = made.widgets["rate"], made.widgets["rays"]
    gr.on([rate.change, rays.change], change, [rate, rays], None, **LIVE)

    # The camera belongs to the browser. While training goes on, it is told, and its next picture
    # comes with the next snapshot; at rest, the field is drawn here, coarsely and then in full.

    def turned(request: gr.Request, event: gr.EventData) -> Iterator[dict]:
        session = sessions.of(request)
        yield gr.skip()  # a generator that says nothing, or {}, would empty the view
        if session.run is None:
            return
        session.orbit = dict(event._data)
        camera = views.orbit_camera(session.orbit)
        session.look(camera)
        if session.training and not session.aside:
            return
        for px in (QUICK_PX, views.ORBIT_PX):
            if session.live.look is not camera:  # the pointer has moved on
                return
            seen = runtime.run(render, session.settled(), views.orbit_camera(session.orbit, px))
            note = views.note_of(session.seen)
            yield {view: views.orbit_value(session, seen, note, whole=False)}

    view.turned(turned, None, [view], trigger_mode="multiple", concurrency_limit=8, **ui.QUIET)

    def missed(request: gr.Request) -> dict:
        session = sessions.of(request)
        if session.run is None:
            return gr.skip()
        return {view: views.orbit_value(session, None, views.note_of(session.seen), whole=True)}

    view.missed(missed, None, [view], **ui.QUIET)

    def present(session: Session, label: str, words: str, at: float | None = None) -> dict:
        """The field that is shown, which isn't the one trained last."""
        found, shot = session.found, session.seen.shot
        every = -(-found.views.images.shape[2] // shot.truth.shape[1])
        preview: Seen = runtime.run(render, shot.field, found.views.cameras[shot.view], every)
        seen = runtime.run(render, shot.field, views.orbit_camera(session.orbit, QUICK_PX))
        db = views.labelled(preview, shot.truth)
        shot = replace(shot, preview=preview, psnr=psnr(preview.rgb, shot.truth))
        session.shown = replace(session.seen, shot=shot)
        return {
            view: views.orbit_value(session, seen, f"{label} · {db}", whole=False),
            held: views.quad(preview, shot.truth, shot.view in found.views.test),
            curves: views.curves(found, at),
            token: session.shows(label),
            headline: f"<div>{words}: <b>{db}</b> on the view shown.</div>",
            **follow(session.shown),
        }

    def go_back(seconds: float, request: gr.Request) -> dict:
        session = sessions.of(request)
        at = session.back_to(float(seconds))
        return present(session, f"{at:.1f} s", f"The field as it was after {at:.1f} s", at)

    def opened(path: str, request: gr.Request) -> dict:
        session = sessions.of(request)
        session.open(load(path))
        return present(session, "from a file", "The field of the file, on the views that are here")

    shown = [job.status, *outputs]
    back.input(ui.guard(go_back, job.status), [back], shown, trigger_mode="always_last", **ui.QUIET)
    file.upload(ui.guard(opened, job.status), [file], shown, **ui.QUIET)


def _input(made: ui.Controls) -> gr.File:
    """The input column: a rendered scene, posed photos, or photos whose cameras are looked for."""
    made.draw("nerf_source")
    with gr.Column(visible=True) as scene:
        made.draw("nerf_scene", "n_views", "view_px", "pose_noise_deg", "coverage_deg")
    with gr.Column(visible=False) as own:
        about = gr.Markdown(OWN["posed"])
        files = gr.File(label="Files", file_count="multiple", height=150)
        made.draw("photo_px")
    with gr.Column(visible=False) as video:
        made.draw("video_frames")

    def arrange(source: str) -> dict:
        return {
            scene: gr.Column(visible=source == "scene"),
            own: gr.Column(visible=source != "scene"),
            video: gr.Column(visible=source == "photos"),
            about: OWN.get(source, ""),
        }

    source = made.widgets["nerf_source"]
    source.change(arrange, source, [scene, own, video, about], **ui.QUIET)
    return files


OWN = {
    "posed": "A zip, or the files: pictures with `transforms.json` (Blender, nerfstudio, "
    "instant-ngp), a COLMAP model (text or binary), or LLFF's `poses_bounds.npy`.",
    "photos": "20 to 60 overlapping photos of a thing that keeps still, or one video around it. "
    "Structure from motion (COLMAP) finds the cameras first.",
}

demo = ui.Demo(
    "nerf",
    "NeRF training",
    "A field of density and colour learns, while you watch, to predict photographs: turn it with "
    "the pointer, open one ray, and see what each choice is worth.",
    build,
)
