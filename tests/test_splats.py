"""The tab's core: what is opened, where one stands, how it is scored and repeated; and its session."""

from __future__ import annotations

import contextlib
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import numpy as np
import pytest

from core import scenes
from core.cameras import look_at
from core.metrics import psnr
from core.recipe import from_link
from core.splats import RenderSettings, Splats, render, save
from core.splats import compare as comparing
from core.splats import run as tab
from core.splats.cleaning import CleanSettings, clean
from core.splats.harmonics import Y0
from core.splats.lit import from_scene
from core.splats.run import Given, SplatSettings, ViewpointSettings, opened, run
from core.splats.shapes import from_points, from_triangles
from core.splats.statistics import inside
from core.types import InputError
from demos import splats as splats_tab
from demos import splats_session as sessions
from demos import splats_views as views
from demos.splats_panels import left
from demos.splats_session import Session

ROOT = Path(__file__).parents[1]
SMALL = SplatSettings(splat_n=3000)
NEAR = ViewpointSettings(picture_px=96)


def a_request():
    return cast(Any, SimpleNamespace(session_hash="splats"))


@pytest.fixture(scope="module")
def seen() -> tab.Viewed:
    first, last = run(SMALL, NEAR)
    assert first.truth is None and last.truth is not None
    return last


# ---------------------------------------------------------------- lit scenes


def test_a_lit_scene_looks_like_the_scene(seen):
    """A few Gaussians, yet far better than albedo alone, and gloss is worth something."""
    assert seen.scores["psnr"] > 19
    assert seen.scores["psnr"] > seen.scores["psnr_flat"] + 0.1
    flat = Splats(**scenes.to_splats(scenes.scene("tabletop"), 3000))
    unlit = render(flat, seen.camera)
    mask = unlit.opacity > 0.5
    assert seen.truth is not None
    assert seen.scores["psnr"] > psnr(unlit.rgb[mask], seen.truth[mask]) + 2


def test_one_colour_from_everywhere_is_found_exactly():
    """A matt ball under light from all sides has its albedo's colour; its SH must be flat."""
    red = scenes.Material(colour=(0.5, 0.2, 0.2))
    ball = scenes.Thing("ball", "sphere", (0.5, 0.5, 0.5), material=red)
    light = scenes.Light(strength=0.0, ambient=1.0)
    scene = scenes.Scene("ball", (ball,), light, eye=(0.0, -3.0, 0.5), target=(0.0, 0.0, 0.0))
    made = from_scene(scene, 200, n_views=8)
    colour = 0.5 + Y0 * made.sh[:, 0]
    spread = np.abs(made.sh[:, 1:]).max()
    view = scenes.render(scene, scenes.start_camera(scene, 64, 64))
    assert view.depth_m is not None
    mean = view.rgb[np.isfinite(view.depth_m)].mean(0) / 255
    assert np.abs(np.median(colour, 0) - mean).max() < 0.06 and spread < 0.5


def test_what_no_camera_sees_is_left_out():
    whole = scenes.to_splats(scenes.scene("tabletop"), 2000)
    made = from_scene(scenes.scene("tabletop"), 2000, n_views=6)
    assert 0.5 * len(whole["means"]) < len(made) < len(whole["means"])


# ---------------------------------------------------------------- points and triangles


def test_a_triangle_keeps_its_mean_and_its_extent():
    """Uncut, one Gaussian has the triangle's mean; its axes are in the plane, the normal is thin."""
    points = np.array([[0, 0, 5], [3, 0, 5], [0, 3, 5]], np.float32)
    colours = np.array([[255, 0, 0]] * 3, np.uint8)
    made = from_triangles(points, np.array([[0, 1, 2]]), colours)
    middle = (made.means * made.scales_m.prod(1)[:, None]).sum(0) / made.scales_m.prod(1).sum()
    np.testing.assert_allclose(middle, (1, 1, 5), atol=0.02)
    np.testing.assert_allclose(made.means[:, 2], 5, atol=1e-5)
    import torch

    from core.splats.project import rotation_of

    turned = rotation_of(torch.from_numpy(made.quats)).numpy()
    np.testing.assert_allclose(np.abs(turned[:, 2, 0]), 1, atol=1e-4)  # the thin axis is z


def test_a_square_of_triangles_covers_its_square():
    """Drawn from the front: opaque inside, nothing outside, in its colour."""
    points = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32)
    colours = np.array([[200, 100, 50]] * 3 + [[200, 100, 51]], np.uint8)
    made = from_triangles(points, np.array([[0, 1, 2], [0, 2, 3]]), colours)
    view = render(made, look_at((0.0, 0.0, 4.0), (0, 0, 0), 80, 80, 45.0, (0, 1, 0)))
    half = 80 / 2 / np.tan(np.radians(22.5)) / 4  # px of 1 m
    inside = slice(int(40 - 0.85 * half), int(40 + 0.85 * half))
    assert view.opacity[inside, inside].min() > 0.9
    assert view.opacity[: int(40 - 1.2 * half)].max() < 0.02
    shade = view.rgb[inside, inside].reshape(-1, 3).mean(0)
    np.testing.assert_allclose(shade, (200, 100, 50), atol=8)


def test_points_are_balls_as_wide_as_their_gaps():
    grid = np.stack(np.meshgrid(*[np.arange(4.0)] * 3), -1).reshape(-1, 3)
    made = from_points(grid.astype(np.float32), np.full((64, 3), 255, np.uint8))
    np.testing.assert_allclose(made.scales_m, 0.5, rtol=0.35)
    with pytest.raises(InputError, match="single point"):
        from_points(np.full((2, 3), np.nan, np.float32), np.zeros((2, 3), np.uint8))
    with pytest.raises(InputError, match="single triangle"):
        from_triangles(
            grid[:3].astype(np.float32), np.array([[0, 0, 1]]), np.zeros((3, 3), np.uint8)
        )


# ---------------------------------------------------------------- opening and standing


def test_a_file_of_splats_stands_upside_down_and_in_view(tmp_path):
    rng = np.random.default_rng(0)
    n = 300
    made = Splats(
        means=(rng.normal(size=(n, 3)) + np.array([5, 2, -7])).astype(np.float32),
        log_scales=np.full((n, 3), -2.0, np.float32),
        quats=np.tile(np.array([1, 0, 0, 0], np.float32), (n, 1)),
        opacity_logits=np.full(n, 3.0, np.float32),
        sh=rng.normal(size=(n, 1, 3)).astype(np.float32),
    )
    path = save(tmp_path / "ball.ply", made)
    (found,) = run(SplatSettings(splat_source="file"), NEAR, given=Given((str(path),)))
    assert found.opened.up == (0, -1, 0) and found.truth is None
    from core.cameras import project

    xy, z = project(found.camera, made.means)
    assert (z > 0).all() and ((xy > 0) & (xy < (96, 72))).all(1).mean() > 0.95
    assert found.camera.c2w[1, 1] > 0.8  # picture's down is the world's +y


def test_up_can_be_said(tmp_path):
    assert tab.axis("auto", "-y") == (0, -1, 0)
    assert tab.axis("+z", "-y") == (0, 0, 1)
    assert tab.axis("-x", "-y") == (-1, 0, 0)


def test_nothing_given_and_strange_company(tmp_path):
    own = SplatSettings(splat_source="file")
    with pytest.raises(InputError, match="No file"):
        opened(own)
    for name in ("a.ply", "b.ply"):
        (tmp_path / name).write_bytes(b"ply\n")
    both = tuple(str(tmp_path / name) for name in ("a.ply", "b.ply"))
    with pytest.raises(InputError, match="belong together"):
        opened(own, given=Given(both))


def test_a_viewpoint_is_three_numbers():
    with pytest.raises(InputError, match="three numbers"):
        ViewpointSettings(eye=(1.0, 2.0))


# ---------------------------------------------------------------- comparing and repeating


def test_ways_to_draw_are_what_they_say(seen):
    made = {
        c.name: c.scores
        for c in comparing.compare(seen, ("whole", "degree0", "unsorted", "splat", "tenth"))
    }
    assert made["As it is"]["loss"] == np.inf
    assert made["As it is"]["psnr"] == pytest.approx(seen.scores["psnr"])
    assert made["One colour each"]["psnr"] == pytest.approx(seen.scores["psnr_flat"])
    assert made["Not sorted"]["psnr"] < made["As it is"]["psnr"] - 3
    assert made["Through .splat"]["bytes"] == 32
    assert made["The most important tenth"]["splats"] == -(-len(seen.opened.splats) // 10)
    with pytest.raises(InputError, match="no way"):
        list(comparing.compare(seen, ("whole", "upside down")))


def test_all_ways_are_scored_over_the_same_pixels(seen):
    """Small splats cover less, and what they leave open is as wrong as any other error."""
    (small,) = comparing.compare(seen, ("small",))
    covered = seen.view.opacity >= tab.COVERED
    assert small.scores["psnr"] == pytest.approx(psnr(small.picture[covered], seen.truth[covered]))


def test_the_headline_says_over_what_it_is_measured(seen):
    session = Session()
    session.take(seen, NEAR, RenderSettings())
    share = 100 * (seen.view.opacity >= tab.COVERED).mean()
    assert f"over the {share:.0f} % of it that splats cover" in views.headline(session)


def test_the_script_makes_the_same_picture(seen, tmp_path):
    env = {"PYTHONPATH": str(ROOT), "PATH": "", "OMP_NUM_THREADS": "1"}

    def alone(script):
        subprocess.run([sys.executable, script], check=True, env=env)

    again(seen, tmp_path, alone)


def again(seen, tmp_path, start=runpy.run_path):
    """The script makes the picture that was seen, in this process unless it is started elsewhere."""
    script = tmp_path / "again.py"
    script.write_text(seen.recipe.code())
    with contextlib.chdir(tmp_path):
        start(str(script))
    from PIL import Image

    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "splats.png")), seen.view.rgb)


def test_a_link_restores_every_setting(seen):
    kinds = SplatSettings, ViewpointSettings, RenderSettings
    given = (
        SplatSettings(splat_scene="mirror", splat_n=900, splat_seed=3),
        ViewpointSettings(eye=(1.0, 2.5, -3.0), target=(0.0, 0.25, 1e-3), up="-z", fov_deg=60),
        RenderSettings(sh_degree=1, scale=0.5, sort=False, near_m=0.1, background=(1, 0.5, 0)),
    )
    found = replace(seen.opened, origin=replace(seen.opened.origin, settings=given[:1]))
    recipe = tab.recipe_of(found, given[1], given[2])
    assert from_link(recipe.link(), kinds) == given
    assert len({n for k in kinds for n in k.__dataclass_fields__}) == sum(
        len(k.__dataclass_fields__) for k in kinds
    )


# ---------------------------------------------------------------- what a page does to them


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("by_rules", [False, True])
def test_what_is_selected_goes_in_the_script_too(seen, keep, by_rules, tmp_path, monkeypatch):
    monkeypatch.setattr(tab, "opened", {SMALL: seen.opened}.__getitem__)  # measured once
    session = Session()
    session.take(seen, NEAR, RenderSettings())
    middle = float(np.median(session.splats.means[:, 0]))
    rules = CleanSettings(faintest=0, floaters=0, crop="box", crop_low=(-1e3, -1e3, -1e3),
                          crop_high=(middle, 1e3, 1e3))  # fmt: skip
    mask = ~clean(session.splats, rules).kept
    if by_rules:
        session.selected, session.by = mask, rules
    else:
        session.by = "x", middle, float(session.splats.means[:, 0].max())
        session.selected = inside(session.splats, *session.by)
    chosen = session.splats.some(session.selected if keep else ~session.selected)
    kept, code, *given = left(session, keep=keep)
    session.edit("", code, kept, *given)
    assert np.array_equal(session.splats.means, chosen.means) and 0 < len(chosen) < len(mask)
    again(session.viewed, tmp_path)


def test_nothing_selected_is_said():
    with pytest.raises(InputError, match="Nothing is selected"):
        left(Session(), keep=True)


def test_the_server_draws_by_its_controls_and_keeps_edits(seen):
    with gr.Blocks() as page:
        splats_tab.build()

    def changed(label: str) -> Any:
        (fn,) = [fn.fn for fn in page.fns.values() if any(
            event == "input" and getattr(page.blocks[k], "label", "") == label
            for k, event in fn.targets if k is not None)]  # fmt: skip
        return fn

    session = sessions.of(a_request())
    session.take(seen, NEAR, RenderSettings())
    session.edit("", "splats = splats.some(splats.means[:, 0] < 9e9)", np.arange(len(session.splats)) > 9)  # fmt: skip
    n = len(session.splats)
    before = session.look()
    told = changed("Splat size ×")(0.5, a_request())
    assert any("scale=0.5" in str(value) for value in told.values())
    changed("Server's picture (px)")(128, a_request())
    now = session.look()
    assert now.view.rgb.shape == (96, 128, 3) and len(session.splats) == n
    assert now.view.opacity.mean() < before.view.opacity.mean() - 0.05
    (told,) = changed("Splat size ×")(None, a_request()).values()
    assert "Splat size" in told and session.settings.scale == 0.5
    sessions.forget(a_request())


def test_a_link_s_viewpoint_is_for_what_is_opened_first(seen):
    def fake(source, viewpoint, settings, given, *, progress):
        yield seen

    with gr.Blocks() as page:
        splats_tab.build(fake)
    job: Any
    (job,) = [fn for fn in page.fns.values() if fn.api_name == "splats"]
    values = [widget.value for widget in job.inputs]
    told = list(job.fn(a_request(), *values))
    places = [widget for shown in told for widget in shown if shown[widget] == ()]
    assert len(places) == 2 and set(places) < set(job.inputs)
    files = [block for block in job.outputs if isinstance(block, gr.File)]
    assert len(files) == 2, "of Other files and of Take away"
    for block in files:  # what was made of the last splats goes with them
        assert told[0][block]["value"] is None and not told[0][block]["visible"]
    sessions.forget(a_request())


def test_edits_pile_up_and_come_off_again(seen):
    session = Session()
    session.take(seen, NEAR, RenderSettings())
    n, key = len(session.splats), session.key
    first = np.arange(n) % 3 > 0
    session.files = {"film.mp4": Path("film.mp4")}
    session.edit("removed a third", "splats = splats.some(first)", first)
    assert not session.files  # they were of other splats
    assert len(session.splats) == first.sum() and session.key != key
    session.edit("kept ten", "splats = splats.some(ten)", np.arange(first.sum()) < 10)
    assert len(session.splats) == 10
    np.testing.assert_array_equal(session.splats.means, seen.opened.splats.means[first][:10])
    assert session.viewed.recipe.code().count("splats = splats.some(") == 2
    assert session.undo() == "kept ten" and len(session.splats) == first.sum()
    assert session.undo() == "removed a third" and len(session.splats) == n
    with pytest.raises(InputError, match="nothing to undo"):
        session.undo()
    with pytest.raises(InputError, match="removes nothing"):
        session.edit("", "", np.ones(n, bool))
    with pytest.raises(InputError, match="everything"):
        session.edit("", "", np.zeros(n, bool))


def test_before_anything_is_open_a_sentence_says_so():
    with pytest.raises(InputError, match="Press Open"):
        _ = Session().opened
    with pytest.raises(InputError, match="Press Open"):
        Session().look()
