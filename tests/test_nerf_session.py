"""What the server keeps of a page that trains, and the pictures it makes of it."""

from __future__ import annotations

import gc
import math
import subprocess
import sys
import threading
import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import numpy as np
import pytest

from core.nerf import NerfSettings, load, new_field, ray
from core.nerf.inspect import levels_of
from core.nerf.run import Run, ViewSettings, run, trained
from core.types import InputError
from demos import nerf
from demos import nerf_panels as panels
from demos import nerf_session as sessions
from demos import nerf_views as views
from demos.nerf_inside import NO_LEVELS
from demos.nerf_session import Session
from demos.widgets.orbit_view import camera_of, orbit_of


@pytest.fixture(scope="module")
def found() -> Run:
    *_, last = run(
        ViewSettings(n_views=6, view_px=32), NerfSettings(steps=8, rays=64, resolution=32)
    )
    return last


def rested(found: Run, *seconds: float) -> Session:
    session = Session()
    for s in seconds or (1.0,):
        session.take(replace(found, seconds=s))
    return session


def test_a_new_field_empties_what_was_made_of_the_last_one():
    with gr.Blocks() as page:
        made = panels.outputs_tabs()
    (files,) = [b for b in page.blocks.values() if isinstance(b, gr.File)]
    told = made.show()
    assert set(told) == set(made.outputs)
    assert told[files]["value"] is None and not told[files]["visible"]


def test_the_way_back_finds_the_nearest_field(found):
    session = rested(found, 0.4, 0.6, 0.7, 2.0, 9.0)
    assert [kept.seconds for kept in session.kept] == [0.6, 2.0, 9.0]
    assert session.back_to(2.4) == 2.0 and session.shown is session.kept[1]
    assert session.settled() is not found.shot.field
    assert session.back_to(100) == 9.0


def test_old_fields_are_thinned_before_memory_runs_out(found, monkeypatch):
    one = found.shot.field.numbers * 4
    monkeypatch.setattr(sessions, "KEEP_BYTES", 4 * one)
    session = rested(found, *(1.5**k for k in range(12)))
    assert 2 <= len(session.kept) <= 4
    assert session.kept[0].seconds == 1.0


def test_nothing_is_looked_into_while_it_changes(found):
    session = rested(found)
    with session.trains(NerfSettings()):
        with pytest.raises(InputError, match="Pause or stop"):
            session.rests()
        session.live.paused = True
        session.rests()
    session.rests()
    with pytest.raises(InputError, match="Press Train"):
        Session().rests()


def test_in_a_pause_an_older_field_stays_shown(found):
    session = rested(found, 0.6, 2.0)
    with session.trains(NerfSettings()):
        session.live.paused = True
        session.back_to(0.6)
        session.take(replace(found, seconds=2.0))
        assert session.aside and session.seen.seconds == 0.6
        session.live.paused = False
        session.take(replace(found, seconds=2.1))
        assert not session.aside and session.seen.seconds == 2.1
    session.back_to(0.6)
    assert session.latest().seconds == 2.1 and not session.aside


def test_what_was_made_of_another_field_is_left_behind(found, tmp_path):
    session, film = rested(found, 0.6, 2.0), {"film.mp4": tmp_path / "film.mp4"}
    session.files = dict(film)
    with session.trains(NerfSettings()):
        session.live.paused = True
        session.take(replace(found, seconds=2.0))
        assert session.files == film  # the field rests
    for change in (lambda: session.back_to(0.6), session.latest, lambda: session.open(
        found.shot.field), lambda: session.take(found)):  # fmt: skip
        session.files = dict(film)
        change()
        assert not session.files


def test_scores_and_files_are_those_of_the_field_that_is_shown(found, tmp_path):
    older = replace(found, step=3, seconds=0.6, curve=found.curve[:1], scores={})
    session = sessions.of(request := cast(Any, SimpleNamespace(session_hash="older")))
    session.take(older)
    session.take(replace(found, seconds=9.0))
    session.back_to(0.6)
    scores, _ = panels._each(session.seen)
    assert (scores["seconds"], scores["steps"]) == (0.6, 3)
    written = {path.name for path in panels.write_files(request, tmp_path)}
    assert {"curve.csv", "nerf.py", "field.safetensors"} <= written
    assert len((tmp_path / "curve.csv").read_text().splitlines()) == 2
    session.open(load(tmp_path / "field.safetensors"))
    scores, _ = panels._each(session.seen)
    assert math.isnan(scores["seconds"]) and math.isnan(scores["steps"])
    assert views.note_of(session.seen).startswith("from a file")
    folder = tmp_path / "opened"
    folder.mkdir()
    written = {path.name for path in panels.write_files(request, folder)}
    assert "curve.csv" not in written
    sessions.forget(request)
    subprocess.run(
        [sys.executable, "nerf.py"], cwd=folder, check=True, capture_output=True,
        env={"PYTHONPATH": str(Path(__file__).parents[1]), "PATH": "", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_what_is_refused_trains_nothing(found):
    with gr.Blocks() as page:
        nerf.build()
    more: Any
    (more,) = [fn for fn in page.fns.values() if any(
        event == "click" and getattr(page.blocks[k], "value", "") == "Train on" for k, event in fn.targets
        if k is not None)]  # fmt: skip
    assert not [fn for fn in page.fns.values() if fn.trigger_after == more._id]
    request = cast(Any, SimpleNamespace(session_hash="refused"))
    session = sessions.of(request)
    (told,) = more.fn(0, request).values()
    assert "Press Train" in told and not session.go_on
    session.take(found)
    with session.trains(NerfSettings()):
        (told,) = more.fn(0, request).values()
    assert "already" in told and not session.go_on
    assert list(more.fn(0, request).values()) == ["", 1] and session.go_on
    sessions.forget(request)


def test_a_field_without_levels_says_why():
    bare = new_field(NerfSettings(field_kind="frequency", frequencies=0), np.array([[-1.0] * 3, [1.0] * 3]), 1, 2, False)  # fmt: skip
    assert levels_of(bare) == 0 and "L = 0" in NO_LEVELS[bare.kind]
    assert "SIREN" not in NO_LEVELS[bare.kind] and "SIREN" in NO_LEVELS["siren"]


def test_a_closed_page_is_forgotten(found):
    request = cast(Any, SimpleNamespace(session_hash="a page"))
    sessions.of(request).take(found)
    assert sessions.of(request).run is found
    sessions.forget(request)
    assert "a page" not in sessions._sessions


def test_runs_that_are_over_are_let_go(found):
    """What a run made is gone once the next has begun, also where it was stopped; and all of it
    once the page is closed."""
    made: list[weakref.ref] = []

    def watched(source, settings, given, *, live, progress):
        for now in trained(found.views, settings, found.recipe, live, progress):
            made.extend(map(weakref.ref, (now, now.shot.field)))
            yield now

    def alive(refs: list[weakref.ref]) -> list[Any]:
        gc.collect()
        return [ref() for ref in refs if ref() is not None]

    with gr.Blocks() as page:
        nerf.build(watched)
    (train,) = (cast(Any, fn.fn) for fn in page.fns.values() if fn.api_name == "nerf")
    request = cast(Any, SimpleNamespace(session_hash="many runs"))
    threads, old = threading.active_count(), []
    for steps in (4, 10**6, 4):
        settings = NerfSettings(steps=steps, rays=64, resolution=32)
        values = *vars(ViewSettings()).values(), *vars(settings).values()
        made.clear()
        events = train(request, None, *values)
        for _ in events:
            if steps > 4 and len(made) > 4:
                break
        events.close()
        assert made and not alive(old)
        made.extend(weakref.ref(kept.shot.field) for kept in sessions.of(request).kept)
        old = made[:]
    assert alive(old)
    sessions.forget(request)
    assert not alive(old) and threading.active_count() == threads


def test_the_view_begins_where_the_cameras_stand(found):
    orbit = views.start_of(found.views)
    camera = camera_of(orbit, 64, 64)
    eyes = np.array([c.c2w[:3, 3] for c in found.views.cameras])
    target = np.array(orbit["target"])
    away = np.linalg.norm(camera.c2w[:3, 3] - target)
    assert 0.8 < away / np.median(np.linalg.norm(eyes - target, axis=1)) < 2
    again = orbit_of(camera, target, tuple(orbit["up"]))
    for name in ("azimuth_deg", "elevation_deg", "radius", "fov_deg"):
        assert again[name] == pytest.approx(orbit[name], abs=1e-6)


def test_a_ray_is_drawn_to_where_its_light_ends(found):
    camera = found.views.cameras[0]
    along = ray(found.shot.field, camera, (11.0, 7.5))
    line = views.ray_in_space(along, camera)
    assert line["from"] == camera.c2w[:3, 3].tolist()
    assert len(line["samples"]) == len(along.t)
    assert max(sample[3] for sample in line["samples"]) == pytest.approx(1)
    assert "Σ w" in views.ray_table(along, (11.0, 7.5)) and "<svg" in views.ray_charts(along)


def test_every_picture_of_a_moment_is_made(found):
    session = rested(found)
    value = views.orbit_value(session, found.shot.preview, "note", whole=True)
    assert len(value["frusta"]) == len(found.views.cameras)
    assert sum(f["held"] for f in value["frusta"]) == len(found.views.test)
    shown = views.picture_value(session, session.settled())
    assert [layer["name"] for layer in shown["layers"]] == [
        "Field", "Truth", "Error", "Depth", "Opacity"
    ]  # fmt: skip
    assert views.quad(found.shot.preview, found.shot.truth, True).count("<img") == 4
    assert "dB" in views.headline(session) and "<svg" in views.curves(found, 1.0)
