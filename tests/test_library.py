"""Scenes are what their words say: well apart, in view, nothing inside anything else."""

import itertools
import math

import numpy as np
import pytest

from core.cameras import look_at, project
from core.scenes.backdrop import lettered
from core.scenes.chance import SceneSettings, random_scene
from core.scenes.library import NAMES, scene
from core.scenes.motion import about, product, reach_m
from core.scenes.prompts import describe, mention, parse_prompt, prompt, say
from core.scenes.render import RenderSettings, render
from core.scenes.textures import picture
from core.scenes.toys import COLOURS, albedo, in_view, is_free, is_seen, toy
from core.scenes.views import orbit_views
from core.types import InputError

FAST = RenderSettings(samples=1)


def camera_of(made, width=64, height=48):
    return look_at(made.eye, made.target, width, height, made.fov_deg)


@pytest.mark.parametrize("name", NAMES)
def test_each_scene_fills_its_picture(name):
    made = scene(name)
    view = render(made, camera_of(made), FAST)
    assert len(np.unique(view.ids)) >= 3, "several things are seen"
    assert view.depth_m is not None and np.isfinite(view.depth_m).mean() > 0.6
    assert view.rgb.std() > 20, "not flat"
    assert (view.rgb.min(-1) > 250).mean() < 0.1, "not burnt out"


def test_an_unknown_scene_is_named():
    with pytest.raises(InputError, match="tabletop"):
        scene("beach")


def lab(linear):
    """CIELAB (D65) of linear sRGB (3,)."""
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    x = to_xyz @ np.clip(linear, 0, 1) / (0.9505, 1, 1.089)
    f = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# Machado, Oliveira, Fernandes 2009, severity 1, on linear light.
DEUTAN = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
          [-0.011820, 0.042940, 0.968881]]  # fmt: skip
PROTAN = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
          [-0.003882, -0.048116, 1.051998]]  # fmt: skip


@pytest.mark.parametrize("eye, least", [(np.eye(3), 28), (DEUTAN, 15), (PROTAN, 15)])
def test_colours_are_told_apart_by_every_eye(eye, least):
    seen = {name: lab(np.array(eye) @ albedo(name)) for name in COLOURS}
    for one, two in itertools.combinations(COLOURS, 2):
        assert np.linalg.norm(seen[one] - seen[two]) > least, (one, two)


@pytest.mark.parametrize("colour", COLOURS)
def test_the_picture_shows_the_colour_that_is_said(colour):
    base = random_scene(
        1,
        SceneSettings(
            min_things=1, max_things=1, textures=False, background="sky", hills=0, pictures=0
        ),
    )
    made = type(base)("one", (base.things[0], toy(colour, "ball", 0.6)), eye=base.eye,
                      target=base.target)  # fmt: skip
    view = render(made, camera_of(made), FAST)
    seen = (view.rgb[view.ids == 2].astype(float) / 255) ** 2.2
    bright = np.quantile(seen, 0.7, axis=0)
    bright /= bright.max()
    names = {n: np.array(albedo(n)) / max(albedo(n)) for n in COLOURS}
    assert min(names, key=lambda n: float(np.linalg.norm(names[n] - bright))) == colour


@pytest.mark.parametrize("shape", ["ball", "box", "cylinder", "cone", "ring"])
@pytest.mark.parametrize("lying", [False, True])
def test_toys_stand_on_the_ground(shape, lying):
    thing = toy("red", shape, 0.5, lying=lying)
    height = thing.size[2] if shape == "ring" and lying else 0.5
    assert thing.position[2] == pytest.approx(height / 2)


def toys_of(made):
    return [thing for thing in made.things if thing.colour_name]


def test_random_scenes_keep_their_promises():
    for seed in range(300):
        made = random_scene(seed, SceneSettings(min_things=2, max_things=6))
        toys = toys_of(made)
        assert 2 <= len(toys) <= 6
        assert len({t.colour_name for t in toys}) == len(toys)
        assert all(is_free(t, toys[:i]) for i, t in enumerate(toys))
        assert all(in_view(camera_of(made, 100, 100), t) for t in toys)
        assert all(is_seen(camera_of(made), t, toys[:i]) for i, t in enumerate(toys))
        assert all(t.name == f"{t.colour_name} {t.shape_name}" for t in toys)
    assert random_scene(5) == random_scene(5) != random_scene(6)


def test_settings_of_random_scenes_hold():
    only = SceneSettings(min_things=8, max_things=8, boxes=False, cones=False, rings=False,
                         shiny=False, textures=False, fog_per_m=0.1, background="dark",
                         hills=0, pictures=0)  # fmt: skip
    made = random_scene(3, only)
    assert {t.shape_name for t in made.things[1:]} <= {"ball", "cylinder"}
    assert len(made.things) == 9 and made.fog_per_m == 0.1
    assert all(t.material.gloss == 0 and t.material.texture == "plain" for t in made.things)
    with pytest.raises(InputError, match="second number"):
        SceneSettings(min_things=4, max_things=3)
    with pytest.raises(InputError, match="shape"):
        SceneSettings(balls=False, boxes=False, cylinders=False, cones=False, rings=False)


def test_random_scenes_hold_hills_pictures_and_letters_at_their_rates():
    made = [random_scene(seed) for seed in range(300)]
    kinds = [{t.shape for t in m.things} | {t.material.image.split(":")[0] for t in m.things}
             for m in made]  # fmt: skip
    hills = sum("heightfield" in kind for kind in kinds)
    walls = sum(any(t.name == "wall" for t in m.things) for m in made)
    assert 25 <= hills <= 65 and 50 <= walls <= 105
    assert sum("label" in kind for kind in kinds) > 20
    assert sum("painted" in kind for kind in kinds) > 30
    bare = [random_scene(seed, SceneSettings(hills=0, pictures=0)) for seed in range(60)]
    for m, plain in zip(made, bare, strict=False):
        assert len(toys_of(plain)) == len(plain.things) - 1
        if len(m.things) == len(plain.things):  # a share doesn't change the scenes it leaves out
            unlettered = [t.position for t in m.things]
            assert unlettered == [t.position for t in plain.things]


def test_hills_stay_under_the_toys_and_the_eyes_and_rise_behind():
    from core.scenes.export import _height

    rng = np.random.default_rng(1)
    for seed in range(40):
        made = random_scene(seed, SceneSettings(hills=1))
        field = next(t for t in made.things if t.shape == "heightfield")
        angle, r = rng.uniform(0, 2 * np.pi, 4000), 3.9 * np.sqrt(rng.random(4000))
        near = np.stack([r * np.cos(angle), r * np.sin(angle)], 1)
        assert (_height(field, near - field.position[:2])[0] + field.position[2]).max() < -0.05
        assert math.dist(made.eye[:2], (0, 0)) < 3.9
        view = render(made, camera_of(made), FAST)
        hilly = view.ids == made.things.index(field) + 1
        assert hilly.mean() > 0.04, seed
        assert (view.ids == 0).mean() > 0.02, "and there is sky"
        assert describe(made).ground in ("grass", "sand")


def test_orbits_see_no_wall_from_behind():
    for seed in range(12):
        made = random_scene(seed, SceneSettings(hills=0, pictures=1))
        _, cameras = orbit_views(made, 12, (4, 4))
        board = next(t for t in made.things if t.name == "wall")
        turn = 2 * math.atan2(board.rotation[3], board.rotation[0])
        back, right = (-math.sin(turn), math.cos(turn)), (math.cos(turn), math.sin(turn))
        for camera in cameras:
            gap = camera.c2w[:2, 3] - board.position[:2]
            low = camera.c2w[2, 3] < board.size[2]
            # behind it only above it, or far enough to a side to look past its end
            assert gap @ back < 0 or not low or abs(gap @ right) > board.size[0] / 2


def test_walls_stand_behind_all_toys_and_touch_none():
    for seed in range(100):
        made = random_scene(seed, SceneSettings(hills=0, pictures=1))
        toys, rest = toys_of(made), made.things[1 + len(toys_of(made)) :]
        assert rest[0].name == "wall" and rest[0].shape == "box"
        assert rest[0].position[2] == pytest.approx(rest[0].size[2] / 2), "it stands on the ground"
        turn = 2 * math.atan2(rest[0].rotation[3], rest[0].rotation[0])
        back = np.array([-math.sin(turn), math.cos(turn)])
        for part in rest:
            assert part.position[2] - part.size[2] / 2 >= -1e-9
            front = np.dot(part.position[:2], back) - part.size[1] / 2
            assert all(np.dot(t.position[:2], back) + reach_m(t) < front - 0.05 for t in toys)
        wide, x = rest[0].size[0], np.array(rest[0].position[:2])
        for part in rest[1:]:
            along = abs(np.dot(np.array(part.position[:2]) - x, (back[1], -back[0])))
            assert np.dot(part.position[:2], back) + part.size[1] / 2 < np.dot(x, back) + 0.059
            assert along + part.size[0] / 2 < wide / 2, "pictures don't reach past the wall"
            assert part.position[2] + part.size[2] / 2 < rest[0].size[2]


@pytest.mark.parametrize("colour", COLOURS)
def test_a_box_with_letters_keeps_its_colour(colour):
    made = lettered(np.random.default_rng(0), toy(colour, "box"))
    drawn = picture(made.material.image)
    assert (np.abs(drawn.astype(int) - COLOURS[colour]).max(-1) < 3).mean() > 0.5
    assert (np.abs(drawn.astype(int) - COLOURS[colour]).max(-1) > 60).mean() > 0.05
    assert made.colour_name == colour and made.material.colour == albedo(colour)


# ---------------------------------------------------------------- prompts


def test_prompts_say_what_is_so_and_read_back_exactly():
    texts = set()
    for seed in range(300):
        made = random_scene(seed)
        still = mention(made, seed)
        text = say(still, seed)
        assert text == prompt(made, seed) and parse_prompt(text) == still, text
        texts.add(text)
        things = {(t.colour_name, t.shape_name): t for t in toys_of(made)}
        whole = describe(made)
        full = {(look.colour, look.shape): look for look in whole.looks}
        for look in still.looks:
            true = full[look.colour, look.shape]
            assert look.size in ("", true.size) and look.material in ("", true.material)
        camera = camera_of(made)
        for i, word, j in still.relations:
            pair = [things[still.looks[k].colour, still.looks[k].shape] for k in (i, j)]
            xy, z_m = project(camera, np.array([t.position for t in pair]))
            true = {"left": xy[0, 0] < xy[1, 0], "right": xy[0, 0] > xy[1, 0],
                    "behind": z_m[0] > z_m[1], "front": z_m[0] < z_m[1]}  # fmt: skip
            assert true[word], text
        assert still.ground in ("", whole.ground) and still.count in (0, len(things))
    assert len(texts) > 270
    assert any(text.endswith("on grass") for text in texts)


def test_a_written_prompt_is_understood():
    still = parse_prompt("A shiny green cone left of a yellow cube on wood.")
    assert [(k.material, k.colour, k.shape) for k in still.looks] == [
        ("shiny", "green", "cone"), ("", "yellow", "box"),
    ]  # fmt: skip
    assert still.relations == ((0, "left", 1),) and still.ground == "wood"
    for text in ("", "a dog on wood", "a red ball under a blue box"):
        with pytest.raises(InputError, match="small world"):
            parse_prompt(text)


def test_rotations_by_hand():
    quarter = about((0, 0, 1), 90)
    assert quarter == pytest.approx((math.sqrt(0.5), 0, 0, math.sqrt(0.5)))
    assert product(quarter, quarter) == pytest.approx((0, 0, 0, 1))
    tipped = product(about((0, 0, 1), 90), about((1, 0, 0), 90))  # x axis first, then up
    assert tipped == pytest.approx((0.5, 0.5, 0.5, 0.5))
    assert reach_m(toy("red", "box", 1.0)) == pytest.approx(math.sqrt(0.5))
