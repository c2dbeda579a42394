"""The panels of the NeRF tab: side by side, scores, films and models to take away."""

from __future__ import annotations

import html
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from core import figures, runtime
from core.geometry import save_geometry
from core.metrics import psnr
from core.nerf import FIELDS, Field, Seen, render, save
from core.nerf.film import camera_path, film, orbit_path
from core.nerf.mesh import to_mesh
from core.nerf.outputs import to_cloud, up_of
from core.nerf.run import SCORE_HELP, Given, Run, made, scored
from core.nerf.together import (
    EXPERIMENT_HELP,
    EXPERIMENTS,
    TOGETHER_HELP,
    Together,
    cases,
    source_for,
    together,
)
from core.nerf.training import on_white
from core.runtime import Done, Part, Tick, stage
from core.types import Compared, InputError, Progress, silent
from core.video import write_mp4
from demos import charts, markup, shelf, ui
from demos import nerf_session as sessions
from demos import nerf_views as views
from demos.nerf_session import Session
from demos.widgets.splat_view import SplatView, pack_geometry

PATHS = {"orbit": "Around the scene", "ride": "From camera to camera"}
MODELS_3D = {"mesh": "Mesh", "cloud": "Point cloud", "gaussians": "Gaussians"}
MODEL_HELP = {
    "mesh": "Marching cubes through the density that the cameras see; .glb, .ply and .obj.",
    "cloud": "Where the training cameras see something solid; .ply.",
    "gaussians": "Splats placed on the surfaces and fitted for a few seconds; .ply (3DGS).",
}


# ---------------------------------------------------------------- compare


def compare(controls: ui.Controls, files: gr.File) -> None:
    """The Compare panel: one experiment, two to four runs on the same clock."""
    with ui.panel("Compare"):
        gr.Markdown(
            "Trainings side by side on the same views and the same clock: whoever has trained the "
            "least is next. Seconds are each run's own."
        )
        with gr.Row():
            which = gr.Dropdown(
                [(title, key) for key, title in EXPERIMENTS.items()], value="fields",
                label="What differs", info=EXPERIMENT_HELP["fields"],
            )  # fmt: skip
            fields = gr.CheckboxGroup(
                [(title, key) for key, title in FIELDS.items()],
                value=["tensor", "frequency", "voxel"], label="Fields", info="Two to four.",
            )  # fmt: skip
            seconds = gr.Slider(3, 300, value=12, step=1, label="Time each (s)",
                                info="Of training alone.")  # fmt: skip
        job = ui.Job("Compare", "nerf-compare")
        grid, curve, table = ui.text(), ui.text(), ui.text()

        def arrange(key: str) -> dict:
            return {
                which: gr.Dropdown(info=EXPERIMENT_HELP[key]),
                fields: gr.CheckboxGroup(visible=key == "fields"),
            }

        which.change(arrange, which, [which, fields], **ui.QUIET)

        def work(
            request: gr.Request, key: str, chosen: list[str], seconds: float,
            paths: list[str] | None, *values: Any,
        ) -> Iterator[Tick | Part | Done]:  # fmt: skip
            source, settings = controls.read(values)
            source = source_for(key, source)
            settings = replace(settings, seconds=seconds, steps=0)
            yield Tick(0.0, "making the views", 0.0, None)
            views_made = yield from _only_ticks(
                runtime.stream(made, source, Given(tuple(paths or ())))
            )
            runs = cases(key, views_made, settings, chosen)
            yield from runtime.stream(together, runs)

        def show(now: Together) -> dict:
            cells = [
                Compared(s.step, 0, s.seconds, name, s.preview.rgb, now.scores.get(name, {}))
                for name, s in now.states.items()
            ]
            shown = "".join(
                f'<figure><img src="{markup.data_uri(c.picture)}" alt="{html.escape(c.name)}">'
                f"<figcaption><b>{html.escape(c.name)}</b> {now.states[c.name].psnr:.1f} dB · "
                f"step {c.step:,} · {c.seconds:.1f} s</figcaption></figure>"
                for c in cells
            )
            truth = next(iter(now.states.values())).truth
            shown += (
                f'<figure><img src="{markup.data_uri(truth)}" alt="Truth">'
                "<figcaption>Truth, a held-out view</figcaption></figure>"
            )
            lines = {name: list(points) for name, points in now.curves.items() if points}
            return {
                grid: f'<div class="quad five">{shown}</div>',
                curve: charts.lines(lines, "PSNR of the held-out view (dB)",
                                    "training time of each (s)") if lines else "",
                table: markup.compare_table(cells, TOGETHER_HELP) if now.scores else "",
            }  # fmt: skip

        inputs = [which, fields, seconds, files, *controls.inputs]
        job.wire(work, show, inputs, [grid, curve, table], keyed=True)


def _only_ticks(events: Iterator) -> Iterator:
    """Passes ticks on; gives back what the stream was Done with."""
    value = None
    for event in events:
        if isinstance(event, Done):
            value = event.value
        else:
            yield event
    return value


# ---------------------------------------------------------------- score


class Score:
    """The Score panel: PSNR and SSIM over all held-out views, each view's own, and what it cost."""

    def __init__(self) -> None:
        with ui.panel("Score"):
            gr.Markdown(
                "Held-out views were never trained on: their cameras are known, their pictures are "
                "not. LPIPS is not computed: its weights do not come with Sightline."
            )
            self.table = ui.text()
            self.job = ui.Job("Score every held-out view", "nerf-score")
            self.each = ui.text()
        self.outputs = [self.table, self.each]

        def work(request: gr.Request) -> Iterator[Tick | Part | Done]:
            yield from runtime.stream(_each, sessions.of(request).seen)

        def show(made: tuple[dict[str, float], list]) -> dict:
            scores, pictures = made
            told = markup.score_table(scores, SCORE_HELP)
            return {self.table: told, self.each: markup.pictures(pictures)}

        self.job.wire(work, show, [], [self.table, self.each], keyed=True)

    def show(self, found: Run) -> dict:
        told = markup.score_table(found.scores, SCORE_HELP) if found.scores else ""
        return {self.table: told, self.each: ""}


def _each(found: Run, *, progress: Progress = silent) -> tuple[dict, list]:
    """The scores, and for every held-out view a picture of field, truth and error with its PSNR."""
    pictures, test = [], found.views.test
    if not test:
        raise InputError("No view is held out, so there is nothing to score against.")
    for n, k in enumerate(test):
        progress(0.5 * n / len(test), desc=f"view {k + 1}")
        camera, truth = found.views.cameras[k], on_white(found.views.images[k])
        shown = render(found.shot.field, camera).rgb
        error = views.colour_map(views.error_of(shown, truth), 0, views.ERROR_LIMIT, "magma")
        row = np.hstack([shown, truth, error])
        pictures.append((row, f"View {k + 1}: {psnr(shown, truth):.2f} dB. Field, truth, error"))
    progress(0.5, desc="scoring")
    return scored(found), pictures


# ---------------------------------------------------------------- films and models


@dataclass(frozen=True)
class Outputs:
    """Widgets that a new result empties, and a list of files that it hides."""

    emptied: list[Any]
    files: gr.File

    @property
    def outputs(self) -> list[Any]:
        return [*self.emptied, self.files]

    def show(self) -> dict:
        return {**dict.fromkeys(self.emptied), self.files: ui.no_files()}


def outputs_tabs() -> Outputs:
    """The tabs Film and 3-D model beside the live view."""
    with gr.Tab("Film"):
        with gr.Row():
            path = gr.Radio([(t, k) for k, t in PATHS.items()], value="orbit", label="Path",
                            info="Where the camera goes.")  # fmt: skip
            frames = gr.Slider(
                12, 240, value=48, step=4, label="Frames", info="Rendered one by one."
            )
            side = gr.Slider(
                64, 800, value=160, step=16, label="Size (px)", info="Of the longer side."
            )
            fps = gr.Radio([12, 24, 30], value=24, label="Frames a second", info="H.264, mp4.")
        shoot = ui.Job("Make the film", "nerf-film")
        with gr.Row():
            colour = gr.Video(label="Colour", interactive=False, loop=True, autoplay=True)
            depth = gr.Video(label="Depth, near things bright", interactive=False, loop=True,
                             autoplay=True)  # fmt: skip

    def filming(
        request: gr.Request, path: str, frames: float, side: float, fps: float
    ) -> Iterator[Tick | Part | Done]:
        session = sessions.of(request)
        call = _filmed
        yield from runtime.stream(
            call, session, session.settled(), path, int(frames), int(side), float(fps)
        )

    shoot.wire(filming, lambda paths: {colour: str(paths[0]), depth: str(paths[1])},
               [path, frames, side, fps], [colour, depth], keyed=True)  # fmt: skip

    with gr.Tab("3-D model"):
        with gr.Row():
            kind = gr.Radio([(t, k) for k, t in MODELS_3D.items()], value="mesh", label="Kind",
                            info=MODEL_HELP["mesh"])  # fmt: skip
            detail = gr.Slider(32, 400, value=160, step=16, label="Cells along the box",
                               info="Of the mesh.")  # fmt: skip
            many = gr.Slider(1000, 100_000, value=15_000, step=1000, label="Points", visible=False,
                             info="Or Gaussians, at most.")  # fmt: skip
        build = ui.Job("Make the model", "nerf-model")
        model = SplatView()
        facts = ui.text()
        files = gr.File(label="Files", file_count="multiple", interactive=False, visible=False,
                        elem_classes="files")  # fmt: skip

    kind.change(
        lambda key: {
            kind: gr.Radio(info=MODEL_HELP[key]),
            detail: gr.Slider(visible=key == "mesh"),
            many: gr.Slider(visible=key != "mesh"),
        },
        kind, [kind, detail, many], **ui.QUIET,
    )  # fmt: skip

    def building(
        request: gr.Request, kind: str, detail: float, many: float
    ) -> Iterator[Tick | Part | Done]:
        session = sessions.of(request)
        for event in runtime.stream(
            _modelled, session, session.settled(), kind, int(detail), int(many)
        ):
            if isinstance(event, Done) and event.value is not None:
                path = next(p for p in event.value[1] if p.suffix == ".ply")
                item = shelf.Model(path, up_of(session.views))
                shelf.put(request, f"NeRF: {MODELS_3D[kind].lower()}", item)
            yield event

    def built(made: tuple[dict[str, Any], list[Path], str]) -> dict:
        shown, paths, words = made
        return {
            model: shown,
            facts: words,
            files: gr.File([str(p) for p in paths], visible=True),
        }

    build.wire(building, built, [kind, detail, many], [model, facts, files], keyed=True)
    return Outputs([colour, depth, model, facts], files)


def _filmed(
    session: Session, field: Field, path: str, n: int, side: int, fps: float,
    *, progress: Progress = silent,
) -> tuple[Path, Path]:  # fmt: skip
    camera = session.views.cameras[0]
    longer = max(camera.width, camera.height)
    size = (
        max(2, round(side * camera.width / longer)),
        max(2, round(side * camera.height / longer)),
    )
    way = (orbit_path if path == "orbit" else camera_path)(session.views, n, size)
    frames = list(film(field, way, progress=stage(progress, 0, 0.95)))
    folder = ui.folder()
    made = []
    for name, pictures in (("film", [f.rgb for f in frames]), ("depth", [f.depth for f in frames])):
        made.append(write_mp4(folder / f"{name}.mp4", np.stack(pictures), fps))
        session.files[f"{name}.mp4"] = made[-1]
    return made[0], made[1]


def _modelled(
    session: Session, field: Field, kind: str, detail: int, many: int,
    *, progress: Progress = silent,
) -> tuple[dict[str, Any], list[Path], str]:  # fmt: skip
    """The SplatView's value, the files, and words about it."""
    folder, found = ui.folder(), session.views
    if kind == "gaussians":
        return _splatted(session, field, many, folder, progress)
    if kind == "mesh":
        mesh = to_mesh(field, found, resolution=detail, progress=progress)
        paths = [save_geometry(folder / f"mesh.{end}", mesh) for end in ("glb", "ply", "obj")]
        data = pack_geometry(mesh.points, mesh.colours, mesh.faces)
        words = f"{len(mesh.points):,} corners, {len(mesh.faces):,} triangles."
    else:
        cloud = to_cloud(field, found, n=many, progress=progress)
        paths = [save_geometry(folder / "cloud.ply", cloud)]
        data = pack_geometry(cloud.points, cloud.colours)
        words = f"{len(cloud.points):,} points."
    session.files |= {path.name: path for path in paths}
    return _in_space(session, folder, data), paths, f"<p>{words}</p>"


def _in_space(session: Session, folder: Path, data: bytes) -> dict[str, Any]:
    """The SplatView's value for packed bytes, seen from where the 3-D view begins."""
    path = folder / "packed.bin"
    path.write_bytes(data)
    start = views.start_of(session.views)
    return {
        "key": path.parent.name, "url": ui.address(path), "start": start,
        "near_m": 0.02 * start["radius"],
    }  # fmt: skip


def _splatted(
    session: Session, field: Field, many: int, folder: Path, progress: Progress
) -> tuple[dict[str, Any], list[Path], str]:
    from core import splats
    from core.nerf.gaussians import to_splats
    from core.splats.packed import pack

    found = session.views
    made = to_splats(field, found, n=many, progress=stage(progress, 0, 0.9))
    path = splats.save_ply(folder / "gaussians.ply", made)
    session.files[path.name] = path
    k = session.view
    truth = on_white(found.images[k])
    shown = splats.render(made, found.cameras[k]).rgb
    own: Seen = render(field, found.cameras[k])
    pictures = [
        (shown, f"{len(made.means):,} Gaussians: {psnr(shown, truth):.2f} dB"),
        (own.rgb, f"The field itself: {psnr(own.rgb, truth):.2f} dB"),
        (truth, "Truth"),
    ]
    shown_3d = _in_space(session, folder, pack(made, len(made)))
    return shown_3d, [path], markup.pictures(pictures, least_px=250)


# ---------------------------------------------------------------- take away


def write_files(request: gr.Request, folder: Path) -> list[Path]:
    """Everything to take away of the field that is shown: figure, curve, checkpoint, script, and
    what else was made."""
    session = sessions.of(request)
    found = session.seen
    recipe, shot, field = found.recipe, found.shot, found.shot.field
    seen = render(field, found.views.cameras[shot.view])
    truth = on_white(found.views.images[shot.view])
    assert seen.depth_m is not None
    low, high = views.depth_limits(seen.depth_m)
    error = views.error_of(seen.rgb, truth)
    shown = [
        ("Field", seen.rgb),
        ("Truth, held out" if shot.view in found.views.test else "Truth", truth),
        (f"Error, 0 to {views.ERROR_LIMIT} of 255",
         views.colour_map(error, 0, views.ERROR_LIMIT, "magma")),
        (f"Depth, {low:.2g} to {high:.2g}", views.colour_map(-seen.depth_m, -high, -low)),
    ]  # fmt: skip
    when = (
        f"{found.seconds:.1f} s of training, step {found.step:,}" if found.step else "from a file"
    )
    title = f"{FIELDS[field.kind]}, {when}"
    figure = figures.picture_figure(shown, title, recipe, columns=4)
    paths = figures.save(figure, folder, "figure", recipe)
    curve = folder / "curve.csv"
    if found.curve:
        rows = [f"{s:.3f},{loss:.6g},{db:.3f}" for s, loss, db in found.curve]
        curve.write_text("seconds,loss,psnr_db\n" + "\n".join(rows) + "\n", encoding="utf-8")
    checkpoint = folder / "field.safetensors"
    save(field, checkpoint)
    script = folder / "nerf.py"
    script.write_text(recipe.code(), encoding="utf-8")
    paths += [curve, checkpoint, checkpoint.with_suffix(".json"), script]
    for name, path in session.files.items():
        if path.exists():
            paths.append(Path(shutil.copy(path, folder / name)))
    return [path for path in paths if path.exists()]
