"""The NeRF tab end to end: from settings to a scored field, its insides, and runs side by side."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.nerf import Live, NerfSettings, load, new_field, render, score, train
from core.nerf.inspect import coarse, copy_of, cut, levels_of
from core.nerf.march import find_occupied, steps
from core.nerf.rendered import from_scene, shaken
from core.nerf.run import LEAST_S, Given, ViewSettings, longer, made, recipe_of, run, so_far
from core.nerf.run import trained as trained_on
from core.nerf.together import EXPERIMENTS, cases, fewer, noisy, source_for, together
from core.recipe import from_link
from core.scenes import orbit_cameras, scene
from core.types import InputError, silent
from tests.test_nerf_training import ball_views, quick

torch = pytest.importorskip("torch")
ROOT = Path(__file__).parents[1]
SMALL = ViewSettings(n_views=6, view_px=32)


def trained(kind: str = "tensor", **settings):
    *_, last = train(ball_views(), quick(kind, **settings))
    return last.field


# ---------------------------------------------------------------- one run


def test_a_run_ends_with_scores_and_a_curve():
    *_, last = run(SMALL, NerfSettings(steps=6, rays=64))
    assert last.step == 6 and set(last.scores) == {
        "psnr", "ssim", "seconds", "steps", "numbers", "megabytes"
    }  # fmt: skip
    assert last.scores["psnr"] == pytest.approx(
        score(last.shot.field, last.views, last.views.test)[0]
    )
    assert last.curve[-1][0] == last.seconds and math.isfinite(last.curve[-1][2])


def test_the_script_of_a_run_repeats_it_bit_by_bit(tmp_path):
    *_, last = run(SMALL, NerfSettings(steps=5, rays=64))
    (tmp_path / "nerf.py").write_text(last.recipe.code(), encoding="utf-8")
    subprocess.run(
        [sys.executable, "nerf.py"], cwd=tmp_path, check=True, capture_output=True,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )  # fmt: skip
    again = load(tmp_path / "field.safetensors", "cpu")
    camera = last.views.cameras[0]
    np.testing.assert_array_equal(render(again, camera).rgb, render(last.shot.field, camera).rgb)


def test_a_link_restores_every_setting():
    source = ViewSettings(nerf_scene="thin", n_views=9, coverage_deg=120.0, pose_noise_deg=1.5)
    settings = NerfSettings(field_kind="hash", seconds=7.0, samples=20, refine_poses=True)
    *_, last = run(replace(source, view_px=32, n_views=4), replace(settings, steps=1, rays=32))
    kinds = (ViewSettings, NerfSettings)
    found = from_link(last.recipe.link(), kinds)
    assert found == last.recipe.settings


def test_a_stopped_run_is_repeated_as_far_as_it_went():
    runs = run(SMALL, NerfSettings(seconds=600, rays=64))
    found = next(runs)
    runs.close()  # type: ignore[attr-defined]
    settings = found.recipe.settings[1]
    assert settings == NerfSettings(seconds=max(LEAST_S, round(found.seconds, 1)), rays=64)
    assert so_far(NerfSettings(), 30.04, 900) == NerfSettings()
    assert so_far(NerfSettings(steps=50), 3.0, 20).steps == 20


def test_training_on_counts_on():
    first, second = NerfSettings(steps=5, rays=64), NerfSettings(steps=3, rays=64)
    *_, one = run(SMALL, first)
    both = longer(first, second, one.seconds, one.step)
    recipe = replace(one.recipe, settings=(SMALL, both))
    *_, more = trained_on(one.views, second, recipe, None, silent, one)
    assert more.step == more.shot.step == more.scores["steps"] == 8
    assert more.seconds == more.shot.seconds == more.curve[-1][0] > one.seconds
    assert more.curve[: len(one.curve)] == one.curve
    assert more.recipe.settings == (SMALL, replace(first, steps=8))
    timed = longer(first, NerfSettings(seconds=7.0), 2.0, 5)  # who knows how many steps that is
    assert timed == replace(first, seconds=9.0, steps=0)


def test_many_files_are_named_as_what_they_are():
    source, given = ViewSettings(nerf_source="posed"), Given(("/a/one.jpg", "/b/two.jpg"))
    code = recipe_of(source, NerfSettings(), ball_views(), given).code()
    assert "    one.jpg and 1 more, named below  (SHA" in code and ".png" not in code
    assert "Given(('one.jpg', 'two.jpg',))" in code


def test_own_files_are_asked_for():
    for source in ("posed", "photos"):
        with pytest.raises(InputError, match="No files"):
            made(ViewSettings(nerf_source=source))
    with pytest.raises(InputError, match="one video"):
        made(ViewSettings(nerf_source="photos"), Given(("a.mp4", "b.png")))


def test_a_look_follows_the_person():
    live = Live(1.0, 64)
    views = ball_views()
    shots = train(views, quick(steps=3), live=live)
    live.look = views.cameras[0]
    first = next(shots)
    assert first.look is not None
    live.look = None
    *_, last = shots
    assert last.look is None


def test_pausing_stops_the_steps_and_not_the_telling():
    live = Live(1.0, 64)
    shots = train(ball_views(), quick(steps=100_000), live=live)
    before = next(shots)
    live.paused = True
    paused = [next(shots) for _ in range(3)]
    assert {shot.step for shot in paused} <= {before.step, before.step + 1}
    live.paused = False
    assert next(shots).step > paused[-1].step
    shots.close()  # type: ignore[attr-defined]


# ---------------------------------------------------------------- samples


def test_steps_part_the_whole_ray_and_crowd_where_light_ends():
    field = trained(steps=120, resolution=32)
    camera = ball_views().cameras[0]
    o = torch.tensor(camera.c2w[:3, 3], dtype=torch.float32)[None]
    d = torch.tensor(camera.c2w[:3, 2], dtype=torch.float32)[None]
    edges = steps(field, o, d, 16, None)[0]
    assert edges[0] == field.near and edges[-1] == pytest.approx(field.far)
    assert (edges.diff() >= 0).all()
    front = float(o.norm()) - 0.5  # the ball's surface
    near = ((edges - front).abs() < 0.3).float().mean()
    even = 0.6 / (field.far - field.near)
    assert near > 1.5 * even


def test_occupied_cells_are_where_the_ball_is():
    field = trained(steps=200, resolution=32)
    occupied = find_occupied(field).numpy()
    at = 0.7 * ((np.arange(len(occupied)) + 0.5) * 2 / len(occupied) - 1)  # the box is ±0.7
    r = np.sqrt(at[:, None, None] ** 2 + at[:, None] ** 2 + at**2)
    assert occupied[r < 0.45].mean() > 0.95 and occupied[r > 0.6].mean() < 0.05  # its radius is 0.5


def test_the_remembered_grid_is_the_field_s_own():
    for kind in ("tensor", "voxel"):
        field = trained(kind, steps=20, resolution=32)
        field.remembered = None
        field.remember()
        assert field.remembered is not None
        n = len(field.remembered)
        k = torch.tensor([[1, 2, 3], [n - 1, 0, n // 2]])
        x = (k.flip(1) + 0.5) * (2 / n) - 1  # grid is z y x
        dense = field.density(field.outside(x))[0]
        found = field.remembered[k[:, 0], k[:, 1], k[:, 2]]
        torch.testing.assert_close(found, dense, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------- insides


def test_all_levels_are_the_field_and_none_is_blurred():
    views = ball_views(size=(33, 25))
    for kind in ("tensor", "voxel", "hash", "frequency"):
        field = trained(kind, steps=25, resolution=32, occupancy=False)
        most = levels_of(field)
        assert most >= 1
        full = render(coarse(field, most), views.cameras[0]).rgb
        np.testing.assert_array_equal(full, render(field, views.cameras[0]).rgb)
        less = render(coarse(field, most - 1), views.cameras[0]).rgb
        assert (less != full).any(), kind
    assert levels_of(trained("siren", steps=1)) == 0


def test_a_copy_stays_as_it_was():
    field = trained(steps=2)
    kept = copy_of(field)
    with torch.no_grad():
        field.params["density_planes"].add_(1)
    assert not torch.equal(kept.params["density_planes"], field.params["density_planes"])


@pytest.mark.parametrize("axis, place", [("z", (0, 1)), ("y", (0, 2)), ("x", (1, 2))])
def test_a_cut_shows_what_the_field_says(axis: str, place: tuple[int, int]):
    field = trained(steps=40, resolution=32)
    found = cut(field, ball_views(), axis, 0.5, n=20)
    low, high = field.bounds
    k = "xyz".index(axis)
    point = np.empty(3)
    point[k] = low[k] + 0.5 * (high - low)[k]
    point[place[0]] = low[place[0]] + (7 + 0.5) / 20 * (high - low)[place[0]]
    point[place[1]] = high[place[1]] - (3 + 0.5) / 20 * (high - low)[place[1]]
    dense = field.density(torch.from_numpy(point[None].astype(np.float32)))[0]
    assert found.density[3, 7] == pytest.approx(float(dense.detach()), rel=1e-4)
    assert found.axes == "xyz"[place[0]] + "xyz"[place[1]] and found.spent.sum() > 0


# ---------------------------------------------------------------- side by side


def test_runs_have_the_same_clock():
    views = ball_views()
    chosen = NerfSettings(seconds=0.6, rays=64, samples=8, resolution=32)
    runs = cases("skipping", views, chosen)
    apart = []
    for now in together(runs):
        if len(now.states) == 2:
            a, b = (state.seconds for state in now.states.values())
            apart.append(abs(a - b))
    assert max(apart) < 0.5 and set(now.scores) == set(runs)
    assert all(math.isfinite(s["psnr"]) for s in now.scores.values())


@pytest.mark.parametrize("experiment", [e for e in EXPERIMENTS if e != "fields"])
def test_every_experiment_changes_one_thing(experiment: str):
    views = from_scene(scene("tabletop"), 10, (24, 24), held_out=2)
    runs = cases(experiment, views, NerfSettings())
    assert 2 <= len(runs) <= 4
    assert len({repr((s, len(v.cameras), v.near, v.far, v.cameras[0].c2w.sum()))
                for v, s in runs.values()}) == len(runs)  # fmt: skip
    for other, _ in runs.values():
        for a, b in zip(other.test, views.test, strict=True):
            assert (other.cameras[a].c2w == views.cameras[b].c2w).all()


def test_fields_side_by_side_want_two_to_four():
    views = ball_views()
    for chosen in (["tensor"], ["tensor", "hash", "frequency", "siren", "voxel"]):
        with pytest.raises(InputError, match="two to four"):
            next(together(cases("fields", views, NerfSettings(), chosen)))


def test_one_run_is_none_to_compare():
    with pytest.raises(InputError, match="1 run is chosen"):
        next(together(cases("fields", ball_views(), NerfSettings(), ["hash"])))
    with pytest.raises(InputError, match="4 views are too few"):
        cases("views", ball_views(5), NerfSettings())


def test_the_noise_of_an_experiment_is_the_only_one():
    source = ViewSettings(pose_noise_deg=4.0)
    assert source_for("noise", source) == ViewSettings()
    assert source_for("views", source) is source


def test_fewer_views_and_noise_leave_the_held_out_ones():
    views = ball_views(8)
    few = fewer(views, 3)
    assert len(few.train) == 3 and (few.images[few.test[0]] == views.images[views.test[0]]).all()
    turned = noisy(views, 5.0)
    assert (turned.cameras[0].c2w != views.cameras[0].c2w).any()
    assert (turned.cameras[views.test[0]].c2w == views.cameras[views.test[0]].c2w).all()


def test_noise_has_the_size_it_says():
    camera, rng = ball_views().cameras[0], np.random.default_rng(3)
    angles = []
    for _ in range(400):
        turn = shaken(camera, 2.0, rng).c2w[:3, :3].T @ camera.c2w[:3, :3]
        angles.append(math.degrees(math.acos(min(1.0, (np.trace(turn) - 1) / 2))))
    assert math.sqrt(np.mean(np.square(angles))) == pytest.approx(2.0, rel=0.1)


def test_coverage_keeps_cameras_in_their_sector():
    world = scene("tabletop")
    target = np.asarray(world.target)
    front = np.asarray(world.eye) - target
    cameras = orbit_cameras(world, 9, (16, 16), coverage_deg=60)
    assert len(cameras) == 9
    for camera in cameras:
        away = camera.c2w[:3, 3] - target
        turn = math.atan2(away[1], away[0]) - math.atan2(front[1], front[0])
        assert abs(math.degrees((turn + math.pi) % (2 * math.pi) - math.pi)) <= 30.001
    views = from_scene(world, 5, (16, 16), coverage_deg=60, held_out=2)
    assert len(views.train) == 5
    with pytest.raises(InputError):
        from_scene(world, 5, (16, 16), coverage_deg=3)


def test_making_views_can_be_stopped():
    class Stop(Exception):
        pass

    def progress(fraction: float, /, desc: str = "") -> None:
        if fraction > 0.3:
            raise Stop

    with pytest.raises(Stop):
        made(ViewSettings(n_views=20, view_px=32), progress=progress)


def test_an_unbounded_field_knows_no_end():
    box = np.array([[-1.0] * 3, [1.0] * 3])
    field = new_field(NerfSettings(resolution=16), box, 0.5, 40.0, True)
    far = torch.tensor([[30.0, 0.0, 0.0]])
    assert float(field.density(far)[0].detach()) > 0
    bounded = new_field(NerfSettings(resolution=16), box, 0.5, 40.0, False)
    assert float(bounded.density(far)[0].detach()) == 0
