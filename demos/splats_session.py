"""What the server keeps of a page of splats: what was opened, what was cut away, where one stands.

A million splats are too much for gr.State, which outlives the page by an hour. They lie in a table
by the page's session and go when the page is closed.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from core.cameras import project
from core.splats import RenderSettings, Splats
from core.splats.cleaning import CleanSettings
from core.splats.fitting import FitLive, drawn_as
from core.splats.learned import Learned
from core.splats.run import Opened, Viewed, ViewpointSettings, look
from core.types import Camera, InputError, Settings
from demos.nerf_views import orbit_camera, start_of
from demos.widgets.orbit_view import camera_of

LOOK_PX = 160  # sides of what the view of a fit shows, while it learns
NOT_YET = "Nothing is open yet. Press Open first."

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Edit:
    """What was done, and what was there before."""

    what: str
    before: Opened


@dataclass
class Session:
    """key: of what the viewer shows; another one for every other set of splats. shown: those;
    found: the last view computed here; edits: one on top of the other; selected (N,) bool of those
    shown, or None; by: what selects them, (quantity, low, high) or rules; learned: the last fit,
    while its splats are shown; files: what was made of them to be taken away, by name; live, watched, orbit: of the fit that is watched, what may be changed, its
    newest moment, and where its own view stands; watch_key: another one for every other fit."""

    key: str = ""
    shown: Opened | None = None
    found: Viewed | None = None
    edits: list[Edit] = field(default_factory=list)
    selected: np.ndarray | None = None
    by: tuple[str, float, float] | CleanSettings | None = None
    viewpoint: ViewpointSettings = field(default_factory=ViewpointSettings)
    settings: RenderSettings = field(default_factory=RenderSettings)
    packed: Path | None = None
    learned: Learned | None = None
    live: FitLive = field(default_factory=FitLive)
    watched: Learned | None = None
    orbit: dict[str, Any] = field(default_factory=dict)
    watch_key: str = ""
    fitting: bool = False
    go_on: bool = False
    files: dict[str, Path] = field(default_factory=dict)

    @property
    def opened(self) -> Opened:
        """What is shown. InputError before there is anything."""
        if self.shown is None:
            raise InputError(NOT_YET)
        return self.shown

    @property
    def viewed(self) -> Viewed:
        """The last view that was computed here. InputError before there is one."""
        if self.found is None:
            raise InputError(NOT_YET)
        return self.found

    def take(self, found: Viewed, viewpoint: ViewpointSettings, settings: RenderSettings) -> None:
        """Something new was opened: what was done to the last one is forgotten."""
        self.shown = found.opened
        self.viewpoint, self.settings, self.learned = viewpoint, settings, None
        self.edits, self.selected = [], None
        self.found = found
        self.begin()

    def take_fit(self, learned: Learned) -> None:
        """Splats that were fitted: they are shown, from where the view stands that was watched."""
        self.learned = learned
        drawn = drawn_as(learned.views)
        self.settings = replace(self.settings, near_m=drawn.near_m, background=drawn.background)
        self.shown = learned.opened()
        camera = learned.views.cameras[learned.shot.view]
        _, z = project(camera, self.splats.means)
        depth = (
            float(np.median(z[z > learned.views.near])) if (z > learned.views.near).any() else 1.0
        )
        eye, ahead = camera.c2w[:3, 3], camera.c2w[:3, 2]
        self.viewpoint = replace(
            self.viewpoint, eye=tuple(eye.tolist()), target=tuple((eye + depth * ahead).tolist())
        )
        self.edits, self.selected = [], None
        self.begin()
        self.look()

    def watch(self, found: Learned, first: bool) -> None:
        """The newest moment of a fit; at the first one of other views their own view begins anew."""
        if first:
            self.watch_key = f"fit {next(_numbers)}"
            self.turn(start_of(found.views))
        self.watched = found

    def turn(self, orbit: dict[str, Any]) -> Camera:
        """The view of the fit stands there from now on; gives its camera."""
        self.orbit, self.live.look = orbit, orbit_camera(orbit, LOOK_PX)
        return self.live.look

    @contextlib.contextmanager
    def fits(self) -> Iterator[None]:
        """While it is entered, a fit goes on."""
        self.fitting = True
        try:
            yield
        finally:
            self.fitting = False

    def begin(self) -> None:
        """Other splats are shown from now on."""
        self.key, self.files = f"splats {next(_numbers)}", {}
        if self.packed is not None:
            self.packed.unlink(missing_ok=True)
            self.packed = None

    def edit(self, what: str, code: str, kept: np.ndarray, given: Settings | None = None) -> None:
        """Keep those shown where `kept` (N,) is True; code: lines that do it to `splats`, the last
        one by the given settings."""
        if kept.all():
            raise InputError("That removes nothing.")
        if not kept.any():
            raise InputError("That would remove everything. Keep at least one splat.")
        self.edits.append(Edit(what, self.opened))
        left = self.splats.some(kept)
        origin = self.opened.origin
        *before, last = code.splitlines()
        for line in before:
            origin = origin.then(line)
        origin = origin.then(last, given)
        self._show(replace(self.opened, thing=left, splats=left, origin=origin))

    def undo(self) -> str:
        """Take the last edit back; gives its name."""
        if not self.edits:
            raise InputError("There is nothing to undo.")
        last = self.edits.pop()
        self._show(last.before)
        return last.what

    @property
    def splats(self) -> Splats:
        return self.opened.splats

    def _show(self, shown: Opened) -> None:
        self.shown, self.selected = shown, None
        self.begin()
        self.look()

    def look(self) -> Viewed:
        """The view from where the page stands now, scored anew."""
        self.found = look(self.opened, self.viewpoint, self.settings)
        return self.found

    def draw_by(self, name: str, value: Any) -> None:
        """The server's pictures are made by this value of a setting from now on."""
        if hasattr(self.settings, name):
            self.settings = replace(self.settings, **{name: value})
        else:
            self.viewpoint = replace(self.viewpoint, **{name: value})

    def stand(self, orbit: dict[str, Any]) -> Camera:
        """The browser's camera moved: the server's stands there, too."""
        px = self.viewpoint.picture_px
        camera = camera_of(orbit, px, round(0.75 * px))
        eye = tuple(float(v) for v in camera.c2w[:3, 3])
        target = tuple(float(v) for v in np.asarray(orbit["target"], np.float64))
        self.viewpoint = replace(
            self.viewpoint, eye=eye, target=target, fov_deg=float(np.clip(orbit["fov_deg"], 5, 120))
        )
        return camera


_sessions: dict[str, Session] = {}


def of(request: gr.Request) -> Session:
    """This page's session."""
    return _sessions.setdefault(str(request.session_hash), Session())


def forget(request: gr.Request) -> None:
    """The page was closed: its splats go."""
    session = _sessions.pop(str(request.session_hash), None)
    if session is not None and session.packed is not None:
        session.packed.unlink(missing_ok=True)
