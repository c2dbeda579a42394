"""Training: every field learns, the same seed gives the same bits, and closing stops it."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from typing import Any, cast

import numpy as np
import pytest

from core.cameras import look_at
from core.nerf import FIELDS, Live, NerfSettings, Views, score, train
from core.nerf import training as inner
from core.types import InputError

torch = pytest.importorskip("torch")


def ball_views(n: int = 6, size: tuple[int, int] = (15, 11), alpha: bool = False) -> Views:
    """A red ball of radius ½ on white, from n sides; the last view is held out."""
    from core.cameras import rays

    cameras, images = [], []
    for k in range(n):
        angle = 2 * np.pi * k / n
        eye = (3 * np.cos(angle), 3 * np.sin(angle), 0.5)
        camera = look_at(eye, (0.0, 0.0, 0.0), *size, 30)
        origin, along = rays(camera)
        nearest = origin - (origin * along).sum(-1, keepdims=True) * along
        hit = np.linalg.norm(nearest, axis=-1, keepdims=True) < 0.5
        colour = np.where(hit, (0.8, 0.1, 0.1), (1.0, 1.0, 1.0))
        images.append(np.concatenate([colour, hit], -1) if alpha else colour)
        cameras.append(camera)
    box = np.array([[-0.7] * 3, [0.7] * 3])
    return Views(np.stack(images).astype(np.float32), tuple(cameras), (n - 1,), box, 1.5, 4.5)


def quick(kind: str = "tensor", **settings) -> NerfSettings:
    given: dict[str, Any] = {"steps": 30, "rays": 128, "samples": 24, "resolution": 32} | settings
    return NerfSettings(field_kind=kind, **given)


def learned(kind: str = "tensor", **settings) -> list:
    *_, last = train(ball_views(), quick(kind, **settings))
    assert np.isfinite(last.loss)
    return [p.detach() for p in last.field.params.values()]


@pytest.mark.parametrize("kind", list(FIELDS))
def test_every_field_learns(kind: str):
    views, steps = ball_views(), 50 if kind == "tensor" else 150
    start = next(iter(train(views, quick(kind, steps=1))))
    before = score(start.field, views, views.test)[0]
    *_, last = train(views, quick(kind, steps=steps))
    assert last.step == steps == last.total
    assert score(last.field, views, views.test)[0] > before + 3
    assert all(p.grad is not None for p in last.field.params.values())


@pytest.mark.parametrize("settings", [
    {"unbounded": True}, {"distortion": 0.01}, {"occupancy": False}, {"frequencies": 0}
])  # fmt: skip
def test_every_switch_trains_and_changes_what_is_learned(settings: dict):
    kind = "frequency" if "frequencies" in settings else "tensor"
    steps = inner.REMEMBER + 2  # densities are remembered by then
    with_it, without = learned(kind, steps=steps, **settings), learned(kind, steps=steps)
    assert not all(map(torch.equal, with_it, without))


def test_same_seed_same_bits():
    one, again, other = (learned(steps=12, nerf_seed=seed) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_closing_stops_it():
    before = threading.active_count()
    run = cast(Generator, train(ball_views(), quick(steps=100_000)))
    next(run)
    run.close()
    until = time.perf_counter() + 5
    while threading.active_count() > before and time.perf_counter() < until:
        time.sleep(0.02)
    assert threading.active_count() <= before
    with pytest.raises(StopIteration):
        next(run)


def test_opacity_is_learned_from_alpha():
    views = ball_views(alpha=True)
    *_, last = train(views, quick(steps=120))
    from core.nerf import render

    opacity = render(last.field, views.cameras[0]).opacity
    assert opacity is not None
    assert opacity[5, 7] > 0.8 and opacity[0, 0] < 0.2


def test_cameras_move_when_asked():
    *_, last = train(ball_views(), quick(steps=5, refine_poses=True))
    assert last.moves is not None and last.moves.shape == (5, 6) and np.abs(last.moves).max() > 0
    *_, last = train(ball_views(), quick(steps=2))
    assert last.moves is None


def test_going_on_leaves_refined_cameras_where_they_are():
    settings = quick(steps=5, refine_poses=True)
    *_, last = train(ball_views(), settings)
    still = Live(0.0, 64)  # a rate of nothing moves nothing
    *_, more = train(ball_views(), settings, field=last.field, moves=last.moves, live=still)
    assert last.moves is not None and np.abs(last.moves).max() > 0
    np.testing.assert_array_equal(more.moves, last.moves)


def test_a_pause_knows_where_cameras_are():
    live = Live(1.0, 64)
    shots = cast(Generator, train(ball_views(), quick(steps=9999, refine_poses=True), live=live))
    next(shots)
    live.paused = True
    assert next(shots).moves is not None
    shots.close()


def test_the_table_holds_every_training_pixel_and_its_ray():
    from core.cameras import rays

    views = ball_views(3, alpha=True)
    table = inner.batch_table(views, "cpu")
    assert [tuple(t.shape) for t in table] == [(2 * 15 * 11, n) for n in (3, 3, 4)]
    wanted = (*rays(views.cameras[1]), views.images[1])
    for found, values in zip(table, wanted, strict=True):
        np.testing.assert_array_equal(found[15 * 11 + 4 * 15 + 7], values[4, 7].astype(np.float32))


def test_live_changes_are_heard(monkeypatch):
    monkeypatch.setattr(inner, "SHOW_S", 0.0)
    live = Live(1.0, 64)
    run = train(ball_views(), quick(steps=6), live=live)
    assert next(run).rays <= 64
    live.rays, live.rate = 32, 0.0
    before = [p.detach().clone() for p in next(run).field.params.values()]
    after = next(run)
    assert after.rays <= 32
    assert all(map(torch.equal, before, [p.detach() for p in after.field.params.values()]))


def test_a_forgotten_pause_ends_the_run(monkeypatch):
    monkeypatch.setattr(inner, "REST_S", 0.3)
    monkeypatch.setattr(inner, "SHOW_S", 0.0)
    live = Live(1.0, 64)
    run = train(ball_views(), quick(steps=1000), live=live)
    first = next(run)
    live.paused = True
    *_, last = run
    assert last.step <= first.step + 1


def test_memory_running_out_halves_the_batch(monkeypatch):
    real, tries = inner._loss, []

    def failing(*args):
        tries.append(args[3])
        if len(tries) == 1:
            raise torch.OutOfMemoryError
        return real(*args)

    monkeypatch.setattr(inner, "_loss", failing)
    live = Live(1.0, 128)
    *_, last = train(ball_views(), quick(steps=2), live=live)
    assert live.rays == 64 and "64" in last.note


def test_preview_is_a_held_out_view():
    views = ball_views()
    *_, last = train(views, quick(steps=1))
    assert last.view == 5 and last.preview.rgb.shape == last.truth.shape == (11, 15, 3)
    assert last.preview.depth_m is not None and last.preview.depth_m.shape == (11, 15)


def test_nothing_to_learn_from_is_named():
    views = ball_views(2)
    with pytest.raises(InputError):
        Views(views.images, views.cameras, (0, 1), views.bounds, 1.0, 2.0)


def test_going_on_never_makes_a_field_coarser(monkeypatch):
    monkeypatch.setattr(inner, "GROWTH", ((2, 16), (4, 32)))
    *_, last = train(ball_views(), quick(steps=5))
    assert last.field.params["density_planes"].shape[-1] == 32
    *_, more = train(ball_views(), quick(steps=3), field=last.field)
    assert more.field.params["density_planes"].shape[-1] == 32


def test_growing_keeps_what_adam_knew(monkeypatch):
    monkeypatch.setattr(inner, "GROWTH", ((3, 24),))
    monkeypatch.setattr("core.nerf.fields.FIRST_RESOLUTION", 16)
    kept = []
    real = inner._grown

    def spied(field, adam, moves, resolution):
        made = real(field, adam, moves, resolution)
        kept.append(made.state[field.params["density_planes"]])
        return made

    monkeypatch.setattr(inner, "_grown", spied)
    list(train(ball_views(), quick(steps=4)))
    (state,) = kept
    assert state["exp_avg"].shape[-1] == 24 and state["exp_avg_sq"].abs().sum() > 0
