"""What the server keeps of a page that trains: the field, what can still be changed, the way back.

A field may live on a GPU, so it can't wait in gr.State, which outlives the page by an hour. It lies
in a table by the page's session instead and goes when the page is closed.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gradio as gr

from core.nerf import Field, Live, NerfSettings
from core.nerf.inspect import copy_of
from core.nerf.run import Run, reopened
from core.nerf.types import Views
from core.types import Camera, InputError
from demos.nerf_views import start_of

KEEP_BYTES = 400 * 10**6  # of all steps on the way back; more fields than fit are thinned
FIRST_S, GROWS = 0.5, 1.35  # when the first one is kept, and by what factor the next is later
NOT_YET = "There is no field yet. Press Train first."

_numbers = itertools.count(1)


@dataclass
class Session:
    """One page's training. key: of the views in the browser's 3-D view; run: its newest moment;
    shown: that, or one of kept, the way back, whose fields are copies, or a field from a file;
    view: the place of the picture that is opened; files: what was made of the field that is shown
    to be taken away, by name."""

    live: Live = field(default_factory=Live)
    run: Run | None = None
    shown: Run | None = None
    kept: list[Run] = field(default_factory=list)
    key: str = ""
    orbit: dict[str, Any] = field(default_factory=dict)
    training: bool = False
    go_on: bool = False
    view: int = 0
    files: dict[str, Path] = field(default_factory=dict)

    @property
    def views(self) -> Views:
        return self.found.views

    @property
    def found(self) -> Run:
        """The run; InputError before there is one."""
        if self.run is None:
            raise InputError(NOT_YET)
        return self.run

    @property
    def seen(self) -> Run:
        """What is shown. InputError before there is anything."""
        if self.shown is None or self.run is None:
            raise InputError(NOT_YET)
        return self.shown

    @property
    def aside(self) -> bool:
        """Is a field shown that isn't the one trained last?"""
        return self.shown is not self.run

    def settled(self) -> Field:
        """The field to look into. InputError before there is one."""
        return self.seen.shot.field

    @contextlib.contextmanager
    def trains(self, settings: NerfSettings) -> Iterator[None]:
        """While it is entered, the field changes under whoever looks at it."""
        self.live.rate, self.live.rays, self.live.paused = settings.rate, settings.rays, False
        self.training = True
        try:
            yield
        finally:
            self.training = self.live.paused = False
            if self.run is not None:
                self.keep(self.run, last=True)

    def begin(self) -> None:
        """Forget the last run: a new one starts."""
        self.run = self.shown = None
        self.kept, self.files, self.key = [], {}, ""

    def take(self, found: Run) -> None:
        """The run's newest moment. In a pause it doesn't displace an older field that is shown."""
        if not self.key:
            self.key = f"run {next(_numbers)}"
            self.orbit = start_of(found.views)
            self.view = found.shot.view
        if not self.live.paused:
            self.files = {}
        if not (self.live.paused and self.aside):
            self.shown = found
        self.run = found
        self.keep(found)

    def latest(self) -> Run:
        """Show the field that was trained last; gives its run."""
        if self.aside:
            self._show(self.found)
        return self.found

    def keep(self, found: Run, *, last: bool = False) -> None:
        """A copy for the way back, if it is time for one."""
        due = max(FIRST_S, self.kept[-1].seconds * GROWS) if self.kept else FIRST_S
        if found.seconds < due and not last:
            return
        if self.kept and self.kept[-1].seconds >= found.seconds:
            return
        while (
            len(self.kept) > 2 and (len(self.kept) + 1) * found.shot.field.numbers * 4 > KEEP_BYTES
        ):
            del self.kept[1::2]
        shot = replace(found.shot, field=copy_of(found.shot.field))
        self.kept.append(replace(found, shot=shot))

    def back_to(self, seconds: float) -> float:
        """Show the kept field that is nearest to so many seconds; gives its seconds."""
        self.rests()
        if not self.kept:
            raise InputError(NOT_YET)
        self._show(min(self.kept, key=lambda kept: abs(kept.seconds - seconds)))
        return self.seen.seconds

    def open(self, field: Field) -> None:
        """Show a field from a file, on the views that are here."""
        self.rests()
        self._show(reopened(self.found, field))

    def _show(self, found: Run) -> None:
        self.shown, self.files = found, {}

    def rests(self) -> None:
        """InputError while the field is being trained, or before there is one."""
        if self.training and not self.live.paused:
            raise InputError("The field is being trained. Pause or stop it first.")
        self.settled()

    def shows(self, label: str) -> str:
        """A name for the field that is shown, another one for every field."""
        return f"{self.key}, {label}"

    def look(self, camera: Camera | None) -> None:
        self.live.look = camera


_sessions: dict[str, Session] = {}


def of(request: gr.Request) -> Session:
    """This page's session."""
    return _sessions.setdefault(str(request.session_hash), Session())


def forget(request: gr.Request) -> None:
    """The page was closed: its field goes, and with it the memory it took."""
    _sessions.pop(str(request.session_hash), None)
