"""The panels of the Gaussian splats tab: clean up, compare, score, other files, take away."""

from __future__ import annotations

import html
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from core import figures, runtime
from core.geometry import WRITTEN, Mesh, save_geometry
from core.splats import Splats, conversions, save
from core.splats import compare as comparing
from core.splats.cleaning import Cleaned, CleanSettings, clean
from core.splats.film import circle, film
from core.splats.run import Opened, Viewed, camera_of, looks_at
from core.splats.statistics import inside, statistics
from core.stereo.pictures import colour_map
from core.types import Compared, InputError, Progress, silent
from core.video import write_mp4
from demos import markup, ui
from demos import splats_session as sessions
from demos import splats_views as views
from demos.splats_session import Session
from demos.widgets.histogram import Histogram
from demos.widgets.overlay import Overlay
from demos.widgets.splat_view import SplatView


class Clean:
    """The Clean up panel: statistics as histograms, rules, edits that can be undone."""

    def __init__(self, token: gr.State, view: SplatView):
        self.token, self.view = token, view
        with ui.panel("Clean up") as self.panel:
            gr.Markdown(
                "What these splats are like. Drag over a histogram to select some: they light up in "
                "the view. Rules find what is usually wrong with a fit, and each is a suspicion, not "
                "a verdict. Every step can be undone; the cleaned splats go into *Other files* and "
                "*Take away*."
            )
            self.facts = ui.text()
            with gr.Row():
                with gr.Column(scale=3, min_width=320):
                    self.histogram = Histogram()
                    with gr.Row(elem_classes="job"):
                        self.drop = gr.Button("Remove the selected", size="sm", min_width=80)
                        self.keep = gr.Button("Keep only them", size="sm", min_width=80)
                        self.undo = gr.Button("Undo", size="sm", min_width=80)
                with gr.Column(scale=2, min_width=260):
                    self.rules = ui.controls(CleanSettings)
                    self.count = gr.Button("Count what they find", size="sm", elem_classes="job")
                    self.apply = gr.Button("Clean by the rules", variant="primary", size="sm",
                                           elem_classes="job")  # fmt: skip
            self.status = ui.text(elem_classes="status")
            self.history = ui.text()

    def wire(self, show: Callable[[Session], dict], outputs: list[Any]) -> None:
        """show(session) → updates of the tab for other splats."""
        self._statistics()
        self._selection()
        told = [self.status, self.history, *outputs]
        busy: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}

        def edited(
            session: Session, what: str, code: str, kept: np.ndarray, *given: CleanSettings
        ) -> dict:
            if session.opened.kind != "splats":
                raise InputError("Points and surfaces aren't cleaned here: this needs splats.")
            session.edit(what, code, kept, *given)
            return {**show(session), self.history: history(session)}

        def drop(request: gr.Request) -> dict:
            session = sessions.of(request)
            kept, code, *rules = left(session, keep=False)
            return edited(session, f"removed {int((~kept).sum()):,} selected", code, kept, *rules)

        def keep(request: gr.Request) -> dict:
            session = sessions.of(request)
            kept, code, *rules = left(session, keep=True)
            return edited(session, f"kept only {int(kept.sum()):,} selected", code, kept, *rules)

        def by_rules(request: gr.Request, *values: Any) -> dict:
            session = sessions.of(request)
            (rules,) = self.rules.read(values)
            made = runtime.run(clean, session.splats, rules)
            if made.kept.all():
                raise InputError(NOTHING)
            code = f"{CLEAN}splats = clean(splats, {{CleanSettings}}).splats"
            return edited(session, found_text(made), code, made.kept, rules)

        def count(request: gr.Request, *values: Any) -> dict:
            session = sessions.of(request)
            (rules,) = self.rules.read(values)
            made = runtime.run(clean, session.splats, rules)
            session.selected, session.by = None if made.kept.all() else ~made.kept, rules
            if session.selected is None:
                return {self.status: ui.said(NOTHING), self.view: views.selection(session)}
            said = f"<div>Found {found_text(made)}; they are lit up in the view.</div>"
            return {self.status: said, self.view: views.selection(session)}

        def back(request: gr.Request) -> dict:
            session = sessions.of(request)
            session.undo()
            return {**show(session), self.history: history(session)}

        status = self.status
        self.drop.click(ui.guard(drop, status), None, told, **busy)
        self.keep.click(ui.guard(keep, status), None, told, **busy)
        self.undo.click(ui.guard(back, status), None, told, **busy)
        self.apply.click(ui.guard(by_rules, status), self.rules.inputs, told, **busy)
        self.count.click(ui.guard(count, status), self.rules.inputs, [status, self.view], **busy)
        self.rules.restore_from("splats", press=False)

    def _statistics(self) -> None:
        def opened(request: gr.Request) -> dict:
            session = sessions.of(request)
            if session.shown is None:
                return {}
            found = runtime.run(statistics, session.splats)
            return {
                self.histogram: views.histogram_value(session, found),
                self.facts: views.facts(found),
                self.history: history(session),
            }

        drawn = [self.status, self.histogram, self.facts, self.history]
        gr.on([self.token.change, self.panel.expand], ui.guard(opened, self.status), None, drawn,
              **ui.QUIET)  # fmt: skip

    def _selection(self) -> None:
        def select(request: gr.Request, event: gr.EventData) -> dict:
            session = sessions.of(request)
            d = event._data
            session.selected, session.by = None, None
            if d.get("low") is not None:
                session.by = str(d["name"]), float(d["low"]), float(d["high"])
                session.selected = inside(session.splats, *session.by)
            return {self.status: _selected(session), self.view: views.selection(session)}

        # "once" would drop a range that is cleared while it is being shown
        self.histogram.ranged(ui.guard(select, self.status), None, [self.status, self.view],
                              trigger_mode="multiple", **ui.QUIET)  # fmt: skip

        def crop(request: gr.Request, event: gr.EventData) -> dict:
            """The viewer's crop becomes the rules' crop."""
            d, shown = event._data, self.rules.widgets
            kind = d.get("kind") if d else None
            if kind == "box":
                values = {"crop": "box", "crop_low": tuple(d["low"]), "crop_high": tuple(d["high"])}
            elif kind == "sphere":
                values = {"crop": "sphere", "crop_centre": tuple(d["centre"]),
                          "crop_radius_m": float(d["radius"])}  # fmt: skip
            else:
                values = {"crop": "none"}
            return {shown[name]: value for name, value in values.items()}

        crops = [self.rules.widgets[n] for n in CROP_FIELDS]
        self.view.cropped(crop, None, crops, trigger_mode="multiple", **ui.QUIET)


def left(session: Session, *, keep: bool) -> tuple[np.ndarray, str, *tuple[CleanSettings, ...]]:
    """(N,) bool: what is left once the selected are removed, or kept alone; lines that do it to
    `splats`; and the rules that these name, if rules have selected them. InputError if nothing is
    selected."""
    if session.selected is None or session.by is None:
        raise InputError(
            "Nothing is selected. Drag over the histogram first, or count what rules find."
        )
    kept = session.selected if keep else ~session.selected
    if isinstance(session.by, CleanSettings):
        sign = "~" if keep else ""
        code = f"{CLEAN}splats = splats.some({sign}clean(splats, {{CleanSettings}}).kept)"
        return kept, code, session.by
    sign = "" if keep else "~"
    found = f"inside(splats, {', '.join(map(repr, session.by))})"
    return kept, f"{INSIDE}splats = splats.some({sign}{found})"


def _selected(session: Session) -> str:
    """What is selected, or nothing."""
    if session.selected is None:
        return ""
    return f"<div>{int(session.selected.sum()):,} splats are selected and lit up in the view.</div>"


CROP_FIELDS = ("crop", "crop_low", "crop_high", "crop_centre", "crop_radius_m")
NOTHING = "These rules find nothing here. Raise the opacity, or lower size or loneliness."
INSIDE = "from core.splats.statistics import inside\n"
CLEAN = "from core.splats.cleaning import CleanSettings, clean\n"


def found_text(made: Cleaned) -> str:
    """What the rules find, in words."""
    told = ", ".join(f"{n:,} {why}" for why, n in made.reasons.items() if n)
    return told or "nothing"


def history(session: Session) -> str:
    """What was done so far."""
    if not session.edits:
        return ""
    done = "".join(f"<li>{html.escape(edit.what)}</li>" for edit in session.edits)
    return f"<ol>{done}</ol><p>{len(session.splats):,} splats are left.</p>"


# ---------------------------------------------------------------- compare and score


def compare() -> None:
    """The Compare panel: the same splats drawn otherwise, from where the view stands."""
    with ui.panel("Compare"):
        gr.Markdown(
            "The splats that are shown, drawn otherwise or sent through a file and read again, from "
            "where the view stands. Scores are against the exact picture where there is one."
        )
        grid = ui.Compare("splats", comparing.METHODS, ("whole", "degree0", "unsorted", "spz"),
                          comparing.COMPARE_HELP)  # fmt: skip

        def work(request: gr.Request, methods: list[str]) -> Iterator:
            session = sessions.of(request)
            yield from runtime.stream(_compared, session, tuple(methods))

        grid.wire(work, [], keyed=True)


def _compared(
    session: Session, methods: tuple[str, ...], *, progress: Progress = silent
) -> Iterator[Compared]:
    yield from comparing.compare(session.look(), methods, session.settings, progress=progress)


class Score:
    """The Score panel: pictures beside the truth."""

    def __init__(self) -> None:
        with ui.panel("Score"):
            self.again = gr.Button("From where the view stands now", size="sm", elem_classes="job")
            self.status = ui.text(elem_classes="status")
            self.table = ui.text()
            self.pictures = ui.text()
            self.photo = ui.text()
            self.overlay = Overlay(visible=False)
        self.outputs = [self.table, self.pictures, self.photo, self.overlay]

        def look(request: gr.Request) -> dict:
            return self.show(runtime.run(sessions.of(request).look))

        self.again.click(ui.guard(look, self.status), None, [self.status, *self.outputs],
                         api_visibility="private", show_progress="minimal")  # fmt: skip

    def show(self, seen: Viewed) -> dict:
        return {
            self.table: views.score_text(seen),
            self.pictures: views.score_pictures(seen),
            self.photo: "",
            self.overlay: Overlay(visible=False),
        }

    def wire(self, view: SplatView) -> None:
        """A camera that is clicked in the view is compared with its photo."""

        def jumped(request: gr.Request, event: gr.EventData) -> dict:
            session = sessions.of(request)
            if session.learned is None:
                return {}
            words, pair = runtime.run(views.beside_photo, session, event._data["frustum"])
            return {self.photo: words, self.overlay: Overlay(pair, visible=True)}

        outputs = [self.status, self.photo, self.overlay]
        view.jumped(ui.guard(jumped, self.status), None, outputs, trigger_mode="multiple",
                    **ui.QUIET)  # fmt: skip


# ---------------------------------------------------------------- other files, take away


class Convert:
    """The Other files panel: what each format costs and loses, and the files themselves."""

    def __init__(self) -> None:
        with ui.panel("Other files"):
            gr.Markdown(
                "The splats that are shown, cleaned or not, in every format that can be written: "
                "its size, what it drops, and how far pictures of the file are from these."
            )
            self.job = ui.Job("Write all formats", "splats-convert")
            self.table = ui.text()
            self.files = gr.File(label="Files", file_count="multiple", interactive=False,
                                 visible=False, elem_classes="files")  # fmt: skip
            gr.Markdown("A film once around what the view looks at, from where it stands.")
            with gr.Row():
                self.frames = gr.Slider(12, 240, value=72, step=1, label="Frames",
                                        info="24 of them a second.")  # fmt: skip
                self.shoot = ui.Job("Make the film", "splats-film")
            self.film = gr.Video(label="Film", autoplay=True, loop=True, interactive=False)
        self.outputs = [self.table, self.files, self.film]

    def show(self) -> dict:
        """Other splats are shown: what was made of the last ones goes."""
        return {self.table: "", self.files: ui.no_files(), self.film: None}

    def wire(self) -> None:
        self._film()

        def work(request: gr.Request) -> Iterator:
            session = sessions.of(request)
            yield from runtime.stream(_converted, session, session.opened)

        def show(made: tuple[str, list[Path]]) -> dict:
            table, paths = made
            return {self.table: table, self.files: gr.File([str(p) for p in paths], visible=True)}

        self.job.wire(work, show, [], [self.table, self.files], keyed=True)

    def _film(self) -> None:
        def work(request: gr.Request, frames: float) -> Iterator:
            session = sessions.of(request)
            yield from runtime.stream(_filmed, session, session.opened, int(frames))

        self.shoot.wire(work, lambda path: {self.film: str(path)}, [self.frames], [self.film],
                        keyed=True)  # fmt: skip


def _filmed(session: Session, found: Opened, n: int, *, progress: Progress = silent) -> Path:
    camera = camera_of(found, session.viewpoint)
    way = circle(camera, looks_at(found, session.viewpoint), np.array(found.up), n)
    path = write_mp4(ui.folder() / "film.mp4", film(found.splats, way, session.settings, progress))
    session.files[path.name] = path
    return path


def _converted(
    session: Session, found: Opened, *, progress: Progress = silent
) -> tuple[str, list[Path]]:
    folder = ui.folder()
    thing = found.thing
    if not isinstance(thing, Splats):
        endings = WRITTEN if isinstance(thing, Mesh) else (".ply", ".glb")
        paths = [save_geometry(folder / f"model{ending}", thing) for ending in endings]
        rows = [(path.suffix, f"{path.stat().st_size / 1e6:.2f} MB") for path in paths]
        table = markup.table(rows, ("File", "Size"), ("", "n"))
    else:
        paths, rows = [], []
        for made in conversions(thing, progress):
            path = save(folder / f"splats{made.format.ending}", thing)
            paths.append(path)
            rows.append((
                made.format.title, f"{made.size_bytes / 1e6:.2f} MB",
                f"{made.size_bytes / len(thing):.1f}", made.quality, made.dropped or "nothing",
            ))  # fmt: skip
        head = ("Format", "Size", "Bytes a splat", "Pictures agree to", "What is dropped")
        table = markup.table(rows, head, ("", "n", "n", "n", "why"))
    session.files |= {path.name: path for path in paths}
    return table, paths


def write_files(request: gr.Request, folder: Path) -> list[Path]:
    """Everything to take away: figure, splats, script, and what else was made."""
    session = sessions.of(request)
    seen = session.look()
    recipe = seen.recipe
    shown = [("Splats", seen.view.rgb)]
    if seen.truth is not None:
        error = np.abs(seen.view.rgb.astype(np.float32) - seen.truth).mean(2)
        shown += [
            ("Exact", seen.truth),
            (f"Error, 0 to {views.ERROR_LIMIT} of 255",
             colour_map(error, 0, views.ERROR_LIMIT, "magma")),
        ]  # fmt: skip
    title = f"{session.opened.title}: {len(session.splats):,} splats"
    figure = figures.picture_figure(shown, title, recipe, columns=len(shown))
    paths = figures.save(figure, folder, "figure", recipe)
    thing = session.opened.thing
    if isinstance(thing, Splats):
        paths.append(save(folder / "splats.ply", thing))
    else:
        paths.append(save_geometry(folder / "model.ply", thing))
    script = folder / "splats.py"
    script.write_text(recipe.code(), encoding="utf-8")
    paths.append(script)
    for name, path in session.files.items():
        if path.exists() and not (folder / name).exists():
            paths.append(Path(shutil.copy(path, folder / name)))
    return paths
