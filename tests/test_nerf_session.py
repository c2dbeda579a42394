"""What the server keeps of a page that trains, and the pictures it makes of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from core.nerf import NerfSettings, ray
from core.nerf.run import Run, ViewSettings, run
from core.types import InputError
from demos import nerf_session as sessions
from demos import nerf_views as views
from demos.nerf_session import Session
from demos.widgets.orbit_view import camera_of, orbit_of


@pytest.fixture(scope="module")
def found() -> Run:
    *_, last = run(
        ViewSettings(n_views=6, view_px=32), NerfSettings(steps=8, rays=64, resolution=32)
    )
    return last


def rested(found: Run, *seconds: float) -> Session:
    from dataclasses import replace

    session = Session()
    for s in seconds or (1.0,):
        session.take(replace(found, seconds=s))
    return session


def test_the_way_back_finds_the_nearest_field(found):
    session = rested(found, 0.4, 0.6, 0.7, 2.0, 9.0)
    assert [s for s, _ in session.kept] == [0.6, 2.0, 9.0]
    assert session.back_to(2.4) == 2.0 and session.shown is session.kept[1][1]
    assert session.back_to(100) == 9.0


def test_old_fields_are_thinned_before_memory_runs_out(found, monkeypatch):
    one = found.shot.field.numbers * 4
    monkeypatch.setattr(sessions, "KEEP_BYTES", 4 * one)
    session = rested(found, *(1.5**k for k in range(12)))
    assert 2 <= len(session.kept) <= 4
    assert session.kept[0][0] == 1.0


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


def test_a_closed_page_is_forgotten(found):
    request = cast(Any, SimpleNamespace(session_hash="a page"))
    sessions.of(request).take(found)
    assert sessions.of(request).run is found
    sessions.forget(request)
    assert "a page" not in sessions._sessions


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
