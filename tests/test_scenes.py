"""Rendered scenes: closed-form answers, brute force, and truths that hold for any picture."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from core.cameras import look_at, moved, orbit, pixel_centres, project, rays, resized, unproject
from core.scenes import (
    Light,
    Material,
    RenderSettings,
    Scene,
    Thing,
    control_batch,
    control_maps,
    correspondence,
    correspondence_batch,
    edges,
    hide,
    orbit_views,
    render,
    render_batch,
    render_clip,
    start_camera,
    stereo_batch,
    stereo_pair,
)
from core.scenes.textures import PICTURES, picture
from core.types import Camera, InputError

TILTED = (0.8, 0.3, -0.4, 0.33)
SOLIDS = {
    "sphere": (0.8, 0.8, 0.8),
    "box": (0.9, 0.5, 0.6),
    "cylinder": (0.6, 0.6, 0.7),
    "cone": (0.7, 0.7, 0.8),
    "torus": (1.0, 1.0, 0.3),
    "heightfield": (1.2, 0.9, 0.3),
}
FAST = RenderSettings(samples=1)
CPU = RenderSettings(device="cpu")


def alone(shape: str, **given) -> Scene:
    thing = Thing("it", shape, given.pop("size", SOLIDS.get(shape, (2.0, 2.0, 0.0))), **given)
    return Scene("alone", (thing,))


def table() -> Scene:
    """Eight things with every shape, texture and kind of light."""
    M, T = Material, Thing
    wood = M((0.55, 0.33, 0.16), (0.30, 0.15, 0.06), "wood", 0.06, gloss=0.15)
    marble = M((0.85, 0.83, 0.8), (0.2, 0.2, 0.25), "marble", 0.12, gloss=0.5)
    checker = M((0.9, 0.9, 0.9), (0.1, 0.1, 0.1), "checker", 0.06, gloss=0.3)
    things = (
        T("table", "plane", (0, 0, 0), material=wood),
        T(
            "ball",
            "sphere",
            (0.4, 0.4, 0.4),
            (-0.45, -0.1, 0.2),
            material=M((0.7, 0.1, 0.1), gloss=0.8),
        ),
        T("box", "box", (0.35, 0.35, 0.35), (0.1, 0.35, 0.175), (0.924, 0, 0, 0.383)),
        T("cone", "cone", (0.3, 0.3, 0.45), (0.5, -0.15, 0.225), material=M(gloss=0.4)),
        T("ring", "torus", (0.4, 0.4, 0.12), (0.05, -0.4, 0.06)),
        T("drum", "cylinder", (0.25, 0.25, 0.5), (-0.15, 0.7, 0.25), material=marble),
        T("mirror", "sphere", (0.3, 0.3, 0.3), (0.75, 0.35, 0.15), material=M(mirror=0.85)),
        T("spotted", "sphere", (0.24, 0.24, 0.24), (-0.75, 0.4, 0.12), TILTED, material=checker),
    )
    return Scene("table", things, Light((-2.0, -0.6, 2.6), 0.35), target=(0, 0, 0.75), fov_deg=55)


# ---------------------------------------------------------------- cameras


def test_look_at_by_hand():
    """From (0, -2, 0) towards the origin: right is +x, down is -z, forward is +y; f = w/2 at 90°."""
    camera = look_at((0, -2, 0), (0, 0, 0), 200, 100, fov_deg=90)
    np.testing.assert_allclose(camera.c2w[:3, :3], [[1, 0, 0], [0, 0, 1], [0, -1, 0]], atol=1e-15)
    np.testing.assert_allclose(camera.K, [[100, 0, 100], [0, 100, 50], [0, 0, 1]])
    xy, z = project(camera, np.array([[0.0, 0, 0], [1, 0, 0], [0, 0, 0.5], [0, 2, 0], [0, -3, 0]]))
    np.testing.assert_allclose(xy[:4], [[100, 50], [150, 50], [100, 25], [100, 50]])
    np.testing.assert_allclose(z, [2, 2, 2, 4, -1])
    assert np.isnan(xy[4]).all()


def test_looking_straight_down_works():
    camera = look_at((0, 0, 3), (0, 0, 0), 64, 64)
    np.testing.assert_allclose(camera.c2w[:3, :3].T @ camera.c2w[:3, :3], np.eye(3), atol=1e-12)
    np.testing.assert_allclose(camera.c2w[:3, 2], [0, 0, -1], atol=1e-12)


def test_unproject_undoes_project_and_rays_pass_through_points():
    rng = np.random.default_rng(0)
    camera = look_at((1, -3, 2), (0.2, 0.1, 0), 97, 61, 52)
    points = rng.uniform(-0.5, 0.5, (50, 3))
    xy, z = project(camera, points)
    np.testing.assert_allclose(unproject(camera, xy, z), points, atol=1e-12)
    o, d = rays(camera, xy)
    along = ((points - o) * d).sum(-1)
    np.testing.assert_allclose(o + along[:, None] * d, points, atol=1e-12)
    assert pixel_centres(camera)[60, 96].tolist() == [96.5, 60.5]
    small, _ = project(resized(camera, 194, 61), points)
    np.testing.assert_allclose(small, xy * (2, 1))


def test_orbit_goes_round():
    cameras = orbit((0, 0, 1), 2.0, 4, elevation_deg=30)
    eyes = np.array([c.c2w[:3, 3] for c in cameras])
    np.testing.assert_allclose(eyes[:, 2], 2.0)
    np.testing.assert_allclose(eyes[0], [0, -math.sqrt(3), 2], atol=1e-12)
    np.testing.assert_allclose(eyes[1], [math.sqrt(3), 0, 2], atol=1e-12)
    np.testing.assert_allclose(moved(cameras[0], right_m=0.5).c2w[:3, 3], eyes[0] + (0.5, 0, 0))


def test_cameras_refuse_nonsense():
    with pytest.raises(InputError, match="looks at"):
        look_at((1, 1, 1), (1, 1, 1), 10, 10)
    with pytest.raises(InputError, match="angle of view"):
        look_at((1, 1, 1), (0, 0, 0), 10, 10, 180)
    with pytest.raises(InputError, match="empty"):
        orbit((0, 0, 0), 1, 0)


# ---------------------------------------------------------------- exact shapes


def test_depth_of_a_sphere_in_closed_form():
    """|o + t·d - c| = r: t = b - sqrt(b² - |c-o|² + r²), b = (c-o)·d; z = t·cos."""
    centre, r = np.array([0.3, 0.2, 0.1]), 0.4
    camera = look_at((1.5, -2, 1.2), (0, 0, 0), 61, 47, 50)
    view = render(alone("sphere", position=tuple(centre)), camera, FAST)
    o, d = rays(camera)
    b = ((centre - o) * d).sum(-1)
    square = b * b - ((centre - o) ** 2).sum(-1) + r * r
    t = np.where(square > 0, b - np.sqrt(np.maximum(square, 0)), np.nan)
    np.testing.assert_allclose(view.ray_depth_m, t, rtol=1e-6)
    assert view.depth_m is not None
    np.testing.assert_allclose(view.depth_m, t * (d @ camera.c2w[:3, 2]), rtol=1e-6)
    assert (view.ids == (square > 0)).all() and 100 < view.ids.sum() < 1000
    normal = (o + t[..., None] * d - centre) / r
    np.testing.assert_allclose(view.normals, normal, atol=1e-6)


def test_depth_of_an_endless_plane_in_closed_form():
    camera = look_at((0.4, -2, 1.5), (0, 0, 0.5), 50, 70, 60)
    view = render(alone("plane", size=(0, 0, 0)), camera, FAST)
    o, d = rays(camera)
    with np.errstate(divide="ignore"):
        t = np.where(d[..., 2] < 0, -o[..., 2] / d[..., 2], np.nan)
    np.testing.assert_allclose(view.ray_depth_m, t, rtol=1e-6)
    assert np.isnan(t).any()
    np.testing.assert_allclose(view.normals[view.ids > 0], [[0, 0, 1]] * (view.ids > 0).sum())


def test_a_finite_plane_ends_where_it_should_and_shows_both_sides():
    scene = alone("plane", size=(1.0, 0.52, 0))
    for z in (2.0, -2.0):
        camera = look_at((0, 0, z), (0, 0, 0), 200, 200, 90)  # 50 px per metre at z = 2
        view = render(scene, camera, FAST)
        assert (view.ids > 0).sum() == 50 * 26
        np.testing.assert_allclose(view.normals[100, 100], [0, 0, np.sign(z)])


def inside(shape: str, p: np.ndarray, size: tuple) -> np.ndarray:
    """Is p (..., 3), in the thing's axes, inside? Straight from each shape's definition."""
    h = np.array(size) / 2
    x, y, z = np.moveaxis(p, -1, 0)
    rho = np.hypot(x, y)
    if shape == "sphere":
        return np.asarray((p**2).sum(-1) < h[0] ** 2)
    if shape == "box":
        return np.asarray((np.abs(p) < h).all(-1))
    if shape == "cylinder":
        return (rho < h[0]) & (np.abs(z) < h[2])
    if shape == "cone":
        return (rho < h[0] * (h[2] - z) / (2 * h[2])) & (np.abs(z) < h[2])
    if shape == "torus":
        return (rho - (h[0] - h[2])) ** 2 + z**2 < h[2] ** 2
    import torch

    from core.scenes.shapes import height
    from core.scenes.world import waves_of

    columns = torch.tensor(h)[:, None].expand(3, x.size)
    waves = torch.from_numpy(waves_of("it"))[:, :, None].expand(4, -1, x.size)
    ground = height(torch.from_numpy(x.ravel()), torch.from_numpy(y.ravel()), columns, waves)[0]
    return (np.abs(p) < h).all(-1) & (z < ground.numpy().reshape(x.shape))


@pytest.mark.parametrize("shape", SOLIDS)
def test_first_hit_agrees_with_marching_through_the_definition(shape):
    """A fine march finds the first inside point of each ray; the hit lies within one step of it."""
    from core.scenes.world import quat_to_matrix

    position = np.array([0.1, -0.2, 0.05])
    scene = alone(shape, position=tuple(position), rotation=TILTED)
    camera = look_at((1.1, -1.5, 0.9), (0.1, -0.2, 0.05), 31, 29, 45)
    view = render(scene, camera, FAST)
    o, d = rays(camera)
    turn = np.array(quat_to_matrix(TILTED)).reshape(3, 3)
    step = 0.002
    t = np.arange(0.9, 3.0, step)
    p = (o[..., None, :] + t[:, None] * d[..., None, :] - position) @ turn
    within = inside(shape, p, SOLIDS[shape])
    hit = within.any(-1)
    first = t[within.argmax(-1)]
    seen = view.ids > 0
    assert seen[hit].all()  # the march may miss slivers thinner than its step, never the renderer
    assert (seen & ~hit).sum() <= 0.03 * hit.sum() and hit.sum() > 80
    gap = (first - view.ray_depth_m)[hit]
    assert gap.min() > -1e-6 and gap.max() < step + 1e-6
    # and the hit lies on the surface: a hair further in is inside, a hair before is outside
    local = (view.points.astype(np.float64) - position) @ turn
    n = view.normals.astype(np.float64) @ turn
    assert inside(shape, (local - 1e-5 * n)[hit], SOLIDS[shape]).mean() > 0.995
    assert not inside(shape, (local + 1e-5 * n)[hit], SOLIDS[shape]).any()


@pytest.mark.parametrize("shape", SOLIDS)
def test_normals_agree_with_depth(shape):
    """Two neighbours on a smooth face span a tangent: cross products of points are normals."""
    scene = alone(shape, rotation=TILTED)
    camera = look_at((1.0, -1.4, 0.8), (0, 0, 0), 240, 220, 50)
    view = render(scene, camera, FAST)
    points = view.points.astype(np.float64)
    right, down = points[1:-1, 2:] - points[1:-1, :-2], points[2:, 1:-1] - points[:-2, 1:-1]
    cross = np.cross(down, right)
    cross /= np.linalg.norm(cross, axis=-1, keepdims=True)
    core = view.normals[1:-1, 1:-1]
    view_cos = -(core * rays(camera)[1][1:-1, 1:-1]).sum(-1)
    smooth = view_cos > 0.3  # not where the surface turns away, and not across creases
    for dy, dx in ((0, 1), (2, 1), (1, 0), (1, 2)):
        other = view.normals[dy : dy + core.shape[0], dx : dx + core.shape[1]]
        smooth &= (core * other).sum(-1) > math.cos(math.radians(8))
    assert smooth.sum() > 1500
    angle = np.degrees(np.arccos(np.clip((cross * core).sum(-1)[smooth], -1, 1)))
    assert np.median(angle) < 0.2 and np.quantile(angle, 0.99) < 2.0


def test_a_camera_inside_a_box_sees_its_walls():
    camera = look_at((0, 0, 0), (1, 0, 0), 20, 20, 60)
    view = render(alone("box", size=(2, 2, 2)), camera, FAST)
    assert (view.ids == 1).all()
    np.testing.assert_allclose(view.points[10, 10, 0], 1.0)
    np.testing.assert_allclose(view.normals[10, 10], [-1, 0, 0])


def test_the_torus_survives_a_ray_through_its_hole_and_along_its_rim():
    scene = alone("torus", size=(1.0, 1.0, 0.2))
    through = render(scene, look_at((0, 0, 3), (0, 0, 0), 3, 3, 1), FAST)
    assert (through.ids == 0).all()
    edge_on = render(scene, look_at((0, -3, 0), (0, 0, 0), 41, 41, 30), FAST)
    assert abs(edge_on.ray_depth_m[20, 20] - 2.5) < 1e-6  # the outer rim is 0.5 from the centre


def test_a_ray_that_starts_inside_a_torus_meets_its_wall_from_within():
    """Against a march through the definition, from anywhere in and around the tube."""
    import torch

    from core.scenes.shapes import CODES, intersect

    rng = np.random.default_rng(4)
    size, n = (1.0, 1.0, 0.3), 2000
    o = rng.uniform(-0.5, 0.5, (n, 3)) * (1, 1, 0.3)
    d = rng.normal(size=(n, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    step = 0.0005
    t = np.arange(0, 1.3, step)
    within = inside("torus", o[:, None] + t[:, None] * d[:, None], size)
    change = within != within[:, :1]
    first = np.where(change.any(1), t[change.argmax(1)], np.inf)
    half = torch.tensor(size, dtype=torch.float64)[:, None].expand(3, n) / 2
    starts, ways = torch.from_numpy(o.T.copy()), torch.from_numpy(d.T.copy())
    found = intersect(CODES["torus"], starts, ways, half, torch.zeros(4, 7, 1)).numpy()
    assert within[:, 0].sum() > 500 and np.isfinite(first[within[:, 0]]).all()
    hit = np.isfinite(first)
    gap = first[hit] - found[hit]
    assert gap.min() > 0 and gap.max() < step + 1e-9
    assert (np.isfinite(found) & ~hit).mean() < 0.01  # slivers that the march has missed
    camera = look_at((0.35, 0, 0), (0.35, 1, 0), 20, 20, 60)  # in the middle of the tube
    view = render(alone("torus", size=size), camera, FAST)
    assert (view.ids == 1).all() and view.ray_depth_m.max() < 0.8


def test_rays_that_graze_hills_miss_no_crest():
    """Low along the slopes of a wide field: a march finds no hit that the renderer lacks."""
    from core.scenes.world import waves_of

    half = np.array((36.0, 36.0, 16.0)) / 2
    scene = alone("heightfield", size=tuple(2 * half))
    camera = look_at((-7.19, -2.96, 2.69), (9.54, 3.8, 2.39), 41, 31, 40)
    seen = render(scene, camera, FAST).ray_depth_m.ravel()[::5]
    o, d = (v.reshape(-1, 1, 3)[::5] for v in rays(camera))
    step = 0.02
    t = np.arange(0, 45, step)
    p = o + t[:, None] * d
    above = p[..., 2] / half[2]
    for turns_x, turns_y, phase, amplitude in waves_of("it").T:
        angle = turns_x * p[..., 0] / half[0] + turns_y * p[..., 1] / half[1] + phase
        above -= amplitude * np.sin(angle)
    box = (np.abs(p) < half).all(-1)
    solid = box & (above < 0)
    hit = solid.any(-1)
    gap = t[solid.argmax(-1)] - seen
    assert gap[hit].min() > -1e-4 and gap[hit].max() < step + 1e-4  # NaN would fail
    nearly = np.where(box, above, 1.0).min(-1) < 1e-3  # a crest thinner than a step
    assert (np.isnan(seen) | hit | nearly).all() and 20 < hit.sum() < len(hit) - 20


# ---------------------------------------------------------------- pictures


def test_the_same_call_gives_the_same_bits():
    scene, camera = table(), start_camera(table(), 67, 41)
    one, two = render(scene, camera), render(scene, camera)
    for name in ("rgb", "depth_m", "ray_depth_m", "normals", "ids", "albedo", "points"):
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes(), name


def test_channels_fit_together():
    scene = table()
    camera = start_camera(scene, 67, 41)
    view = render(scene, camera)
    assert view.depth_m is not None and view.rgb.shape == (41, 67, 3)
    nothing = view.ids == 0
    assert nothing.any() and set(np.unique(view.ids)) == set(range(9))
    for channel in (view.depth_m, view.ray_depth_m, view.normals[..., 0], view.points[..., 2]):
        assert (np.isnan(channel) == nothing).all() and channel.dtype == np.float32
    xy, z = project(camera, view.points[~nothing])
    np.testing.assert_allclose(xy, pixel_centres(camera)[~nothing], atol=2e-3)
    np.testing.assert_allclose(z, view.depth_m[~nothing], rtol=1e-5)
    lengths = np.linalg.norm(view.points[~nothing] - camera.c2w[:3, 3], axis=-1)
    np.testing.assert_allclose(lengths, view.ray_depth_m[~nothing], rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(view.normals[~nothing], axis=-1), 1, atol=1e-5)
    assert ((view.normals * rays(camera)[1]).sum(-1)[~nothing] <= 1e-6).all()
    assert view.albedo.min() >= 0 and view.albedo.max() <= 1 and (view.albedo[nothing] == 0).all()
    np.testing.assert_allclose(view.albedo[view.ids == 3], 0.7)  # the plain grey box


def test_a_batch_gives_what_single_renders_give():
    """Scenes with different numbers of things, padded; and one scene for many cameras."""
    scenes = [table(), alone("torus"), Scene("empty", ()), table().without("ring")]
    cameras = [start_camera(scene, 33, 21) for scene in scenes]
    batch = render_batch(scenes, cameras, RenderSettings(device="cpu"), exact=True)
    assert batch["rgb"].shape == (4, 21, 33, 3) and batch["rgb"].is_floating_point()
    for k, (scene, camera) in enumerate(zip(scenes, cameras, strict=True)):
        view = render(scene, camera, RenderSettings(device="cpu"))
        assert view.depth_m is not None
        assert np.abs(batch["rgb"][k].numpy() * 255 - view.rgb).max() < 1.6
        np.testing.assert_array_equal(batch["ids"][k].numpy(), view.ids)
        np.testing.assert_allclose(batch["depth_m"][k].numpy(), view.depth_m, rtol=1e-6)
    two = render_clip([table()], orbit((0, 0, 0.2), 2.5, 2, size=(20, 30)), FAST)
    assert two[1].rgb.shape == (30, 20, 3) and (two[0].ids != two[1].ids).any()


def test_truth_in_float32_is_close_to_truth_in_float64():
    scene = table()
    cameras = [start_camera(scene, 48, 48)]
    exact = render_batch([scene], cameras, RenderSettings(device="cpu"), exact=True)
    fast = render_batch([scene], cameras, RenderSettings(device="cpu"))
    same = exact["ids"] == fast["ids"]
    assert same.float().mean() > 0.998
    near = same & (exact["depth_m"] < 6)
    assert (exact["depth_m"] - fast["depth_m"])[near].abs().max() < 1e-4


def test_a_shadow_lies_where_the_lamp_is_hidden():
    """A ball of radius 0.2 above the ground under a point of light straight overhead at 4 m:
    the shadow's radius is 4·tan(asin(0.2/3)) = 0.2673 m."""
    ground = Thing("ground", "plane", (0, 0, 0), material=Material((0.5, 0.5, 0.5)))
    ball = Thing("ball", "sphere", (0.4, 0.4, 0.4), (0, 0, 1))
    lamp = Light((0, 0, 4), 0.0, 1.0, 0.0)
    camera = look_at((0, 0, 0.7), (0, 0, 0), 201, 201, 90)  # below the ball
    hard = render(Scene("s", (ground, ball), lamp), camera, FAST).rgb[..., 0]
    xy = pixel_centres(camera) - 100.5
    distance = np.hypot(xy[..., 0], xy[..., 1]) * 0.7 / 100.5
    edge = 4 * math.tan(math.asin(0.2 / 3))
    lit = np.median(hard[distance > edge + 0.01])
    assert (hard[distance < edge - 0.01] < 0.8 * lit).all()
    assert (hard[distance > edge + 0.01] > 0.9 * lit).all()
    soft = render(Scene("s", (ground, ball), replace(lamp, radius_m=0.8)), camera).rgb[..., 0]
    around = np.abs(distance - edge) < 0.05
    between = (soft[around] > hard.min() + 12) & (soft[around] < lit - 12)
    assert between.mean() > 0.5
    bright = render(Scene("s", (ground, ball), lamp), camera, RenderSettings(1, False)).rgb[..., 0]
    assert bright[100, 100] > hard[100, 100] + 30


def test_a_mirror_shows_the_world_reflected():
    """A mirror on the ground shows the red wall behind it at mirrored height."""
    red, mirror = Material((0.8, 0.05, 0.05)), Material((1, 1, 1), mirror=1.0)
    wall = Thing("wall", "box", (4, 0.1, 1.0), (0, 2, 0.5), material=red)
    floor = Thing("floor", "plane", (0, 0, 0), material=mirror)
    camera = look_at((0, -2, 1), (0, 1, 0.4), 60, 60, 60)
    with_wall = render(Scene("m", (floor, wall)), camera, FAST)
    xy, _ = project(camera, np.array([0.0, 1.95, -0.5]))  # the wall's middle, below the floor
    x, y = xy.astype(int)
    assert with_wall.ids[y, x] == 1
    r, g, _ = with_wall.rgb[y, x].astype(int)
    assert r > g + 50
    without = render(Scene("m", (floor,)), camera, FAST).rgb[y, x].astype(int)
    assert abs(without[0] - without[1]) < 40


def test_fog_takes_everything_to_the_horizon():
    scene = replace(alone("plane", size=(0, 0, 0)), fog_per_m=3.0, zenith=(0.86, 0.9, 0.94))
    rgb = render(scene, look_at((0, -1, 3), (0, 3, 0), 20, 20), FAST).rgb.astype(int)
    assert np.ptp(rgb, axis=(0, 1)).max() <= 2


@pytest.mark.parametrize("texture", ["checker", "stripes", "wood", "marble", "noise", "bricks"])
def test_textures_stay_on_a_moved_thing(texture):
    """Albedo is a function of the thing's own axes: turned scene, turned camera, same picture."""
    look = Material((0.9, 0.8, 0.1), (0.1, 0.1, 0.4), texture, 0.15)
    camera = look_at((1, -2, 1), (0, 0, 0), 40, 40)
    still = render(alone("sphere", size=(1, 1, 1), material=look), camera, FAST)
    half = math.sqrt(0.5)
    turned = alone(
        "sphere",
        size=(1, 1, 1),
        material=look,
        position=(2.0, 1.0, 0.5),
        rotation=(half, 0, 0, half),
    )
    other = render(turned, look_at((4, 2, 1.5), (2, 1, 0.5), 40, 40), FAST)
    assert np.quantile(np.abs(still.albedo - other.albedo), 0.98) < 0.02
    assert still.albedo[still.ids > 0].std(0).max() > 0.03


def test_grain_belongs_to_the_surface_and_keeps_its_mean():
    """A wall straight ahead, from two places: the same grain at the same point, at any distance."""
    wall = Thing("wall", "plane", (40, 40, 0), (0, 5, 0), (0.5**0.5, 0.5**0.5, 0, 0))
    plain = Scene("wall", (wall,), Light(radius_m=0, strength=0, ambient=1))
    here = look_at((0, 0, 0), (0, 5, 0), 160, 120)
    there = moved(here, right_m=20 * 5 / here.K[0, 0])  # 20 px at 5 m

    def seen(scene: Scene, camera: Camera) -> np.ndarray:
        return render(scene, camera).rgb.astype(float)

    first, second = (seen(plain.rough(0.3), camera) for camera in (here, there))
    assert np.abs(first[:, 20:] - second[:, :-20]).mean() < 3
    assert np.abs(first[:, 20:] - second[:, 20:]).mean() > 6, "shifted, it is another place"
    assert first.mean() == pytest.approx(seen(plain, here).mean(), rel=0.03)
    for away in (-1, -10, -100):
        far = seen(plain.rough(0.3), look_at((0, away, 0), (0, 5, 0), 64, 48, 2.0))
        assert np.abs(np.diff(far, axis=1)).mean() > 3, "some grains are about a pixel wide"
    assert np.array_equal(render(plain.rough(0), here).rgb, render(plain, here).rgb)


def test_checker_by_hand():
    look = Material((1, 1, 1), (0, 0, 0), "checker", 1.0)
    camera = look_at((2, 2, 3), (2, 2, 0), 60, 60, 90)
    view = render(alone("plane", size=(0, 0, 0), material=look), camera, FAST)
    x, y = np.floor(view.points[..., 0] + 1e-3), np.floor(view.points[..., 1] + 1e-3)
    np.testing.assert_array_equal(view.albedo[..., 0], 1 - (x + y) % 2)


@pytest.mark.parametrize("name", [*PICTURES, "text:HELLO THERE"])
def test_pictures_hang_upright(name):
    """Seen straight on, a wall shows its picture as it was drawn."""
    wall = alone("box", size=(1, 0.02, 1), material=Material(texture="image", image=name))
    view = render(wall, look_at((0, -1.01, 0), (0, 0, 0), 64, 64, 53.1301), FAST)  # 1 m fills it
    drawn = picture(name)[4::8, 4::8].astype(float)
    shown = (view.albedo ** (1 / 2.2)) * 255
    upright = np.corrcoef(drawn.ravel(), shown.ravel())[0, 1]
    mirrored = np.corrcoef(drawn[:, ::-1].ravel(), shown.ravel())[0, 1]
    assert upright > 0.75 and upright > mirrored + 0.02


def test_render_refuses_what_does_not_fit():
    scene = table()
    with pytest.raises(InputError, match="pair up"):
        render_batch([scene, scene], [start_camera(scene)])
    with pytest.raises(InputError, match="differ in size"):
        render_batch([scene], [start_camera(scene, 8, 8), start_camera(scene, 9, 8)])
    with pytest.raises(InputError, match="Samples"):
        RenderSettings(samples=0)
    assert (render(Scene("empty", ()), Camera(np.eye(3), np.eye(4), 3, 2)).ids == 0).all()


# ---------------------------------------------------------------- correspondence


def test_flow_reprojects_exactly():
    """From (pixel, depth) by cameras.unproject and project: under 0.01 px everywhere."""
    scene = table()
    camera0 = start_camera(scene, 61, 47)
    camera1 = look_at((1.2, -2.4, 1.5), (0.05, 0.02, 0.2), 61, 47, 45)
    flow, occluded = correspondence(scene, camera0, camera1)
    view = render(scene, camera0, FAST)
    assert view.depth_m is not None
    points = unproject(camera0, pixel_centres(camera0), view.depth_m)
    xy, _ = project(camera1, points)
    off = np.abs(pixel_centres(camera0) + flow - xy)
    assert (np.isnan(flow[..., 0]) == (view.ids == 0)).all()
    near = view.depth_m < 8
    assert off[near].max() < 0.01 and near.sum() > 1500
    assert not occluded[view.ids == 0].any() and occluded.any()


def test_flow_of_a_still_scene_is_zero():
    scene = table()
    flow, occluded = correspondence(scene, start_camera(scene, 40, 30), start_camera(scene, 40, 30))
    assert np.nanmax(np.abs(flow)) < 1e-4 and not occluded.any()


def test_moved_and_turned_things_take_their_points_along():
    """A box that slides by (0.1, 0, 0) and turns by 90° about z about its own centre."""
    scene = alone("box", size=(0.5, 0.5, 0.5))
    half = math.sqrt(0.5)
    after = scene.moved("it", (0.1, 0.0, 0.0), (half, 0.0, 0.0, half))
    camera = look_at((1.0, -1.5, 1.0), (0, 0, 0), 80, 60)
    flow, _ = correspondence(scene, camera, camera, after)
    view = render(scene, camera, FAST)
    seen = view.ids == 1
    x, y, z = view.points[seen].astype(np.float64).T
    xy, _ = project(camera, np.stack([0.1 - y, x, z], 1))
    np.testing.assert_allclose(flow[seen], xy - pixel_centres(camera)[seen], atol=2e-3)


def test_vanished_things_have_no_flow_and_count_as_occluded():
    scene = table()
    camera = start_camera(scene, 60, 45)
    flow, occluded = correspondence(scene, camera, camera, scene.without("ball"))
    ball = render(scene, camera, FAST).ids == 2
    assert ball.any() and np.isnan(flow[ball]).all() and occluded[ball].all()
    assert not occluded[~ball].any()
    _, appears = correspondence(scene.without("ball"), camera, camera, scene)
    assert (appears[ball]).all()  # what was there is now hidden behind the ball


def test_occlusion_agrees_with_brute_force():
    """Each target ray against each ball by the school formula, one by one, in NumPy."""
    balls = [((-0.3, 0, 0.3), 0.3), ((0.35, 0.5, 0.4), 0.4), ((0.1, -0.6, 0.15), 0.15)]
    things = [Thing("ground", "plane", (0, 0, 0))]
    things += [Thing(str(k), "sphere", (2 * r,) * 3, c) for k, (c, r) in enumerate(balls)]
    scene = Scene("balls", tuple(things))
    camera0, camera1 = start_camera(scene, 64, 48), look_at((-1.8, -1.6, 1.0), (0, 0, 0.2), 64, 48)
    _, occluded = correspondence(scene, camera0, camera1)
    view = render(scene, camera0, FAST)
    seen = view.ids > 0
    points, eye = view.points[seen].astype(np.float64), camera1.c2w[:3, 3]
    gap = points - eye
    far = np.linalg.norm(gap, axis=1)
    hidden = points[:, 2] < -1e-5
    for centre, r in balls:
        b = (gap / far[:, None]) @ (np.array(centre) - eye)
        square = b * b - ((np.array(centre) - eye) ** 2).sum() + r * r
        hidden |= (square > 0) & (b - np.sqrt(np.maximum(square, 0)) < far - 1e-5)
    xy, z = project(camera1, points)
    outside = ~((z > 0) & (xy >= 0).all(1) & (xy < (64, 48)).all(1))
    agree = occluded[seen] == (hidden | outside)
    assert agree.mean() > 0.998 and hidden.sum() > 100 and outside.sum() > 50


def test_a_batch_of_correspondences_gives_what_single_ones_give():
    """Scenes of different lengths, one of them with things that move, grow and vanish."""
    one, two = table(), alone("torus").moved("it", (0.1, 0.2, 0.3))
    box = replace(one["box"], size=(0.5, 0.35, 0.35))
    after = replace(one.without("ring"), things=(box, *one.without("box").without("ring").things))
    after = after.moved("ball", (-0.2, -0.3, 0.2), TILTED)
    scenes, later = [one, two, one], [one, two, after]
    first = [start_camera(s, 37, 29) for s in scenes]
    second = [look_at((1.2 - 0.3 * k, -2.4, 1.5), (0, 0, 0.2), 37, 29) for k in range(3)]
    flow, occluded = correspondence_batch(scenes, first, second, later, CPU)
    assert flow.shape == (3, 29, 37, 2) and occluded.shape == (3, 29, 37)
    for k in range(3):
        f, o = correspondence(scenes[k], first[k], second[k], later[k])
        np.testing.assert_allclose(flow[k].numpy(), f, atol=1e-5)
        assert (occluded[k].numpy() == o).all() and np.isfinite(f).any()
    assert occluded[0].any() and occluded[2].any()
    # one scene for all cameras, and pictures of more than one block of rays
    wide = [start_camera(one, 301, 211), start_camera(one, 301, 211)]
    aside = [moved(wide[0], right_m=0.1), moved(wide[0], down_m=-0.1)]
    flow, occluded = correspondence_batch([one], wide, aside, settings=CPU)
    for k in range(2):
        f, o = correspondence(one, wide[k], aside[k])
        np.testing.assert_allclose(flow[k].numpy(), f, atol=1e-5)
        assert (occluded[k].numpy() == o).all()
    with pytest.raises(InputError, match="pair up"):
        correspondence_batch([one], wide, aside[:1], settings=CPU)
    with pytest.raises(InputError, match="pair up"):
        correspondence_batch([one], wide, aside, [one, one], settings=CPU)


# ---------------------------------------------------------------- views


def test_stereo_pair_obeys_f_b_over_z():
    pair = stereo_pair(table(), 0.12, (90, 67))
    known = np.isfinite(pair.disparity_px)
    np.testing.assert_allclose(
        pair.disparity_px[known], pair.rig.focal_px * 0.12 / pair.depth_m[known], rtol=1e-6
    )
    scene = table()
    left = start_camera(scene, 90, 67)
    flow, occluded = correspondence(scene, left, moved(left, right_m=0.12))
    np.testing.assert_allclose(flow[known][:, 0], -pair.disparity_px[known], atol=2e-4)
    np.testing.assert_allclose(flow[known][:, 1], 0, atol=2e-4)
    assert (occluded == pair.occluded).all() and 0.02 < occluded.mean() < 0.4
    assert pair.left.shape == pair.right.shape == (67, 90, 3) and (pair.left != pair.right).any()
    with pytest.raises(InputError, match="baseline"):
        stereo_pair(scene, 0)


def test_a_batch_of_stereo_pairs_gives_what_single_ones_give():
    scenes, baselines = [table(), alone("sphere"), table().without("ball")], [0.05, 0.2, 0.1]
    batch = stereo_batch(scenes, baselines, (45, 33), CPU)
    assert {name: tuple(v.shape) for name, v in batch.items()} == {
        "left": (3, 33, 45, 3), "right": (3, 33, 45, 3),
        "disparity_px": (3, 33, 45), "depth_m": (3, 33, 45), "occluded": (3, 33, 45),
    }  # fmt: skip
    for k, (scene, baseline) in enumerate(zip(scenes, baselines, strict=True)):
        pair = stereo_pair(scene, baseline, (45, 33), CPU)
        for name in ("left", "right"):
            assert np.abs(batch[name][k].numpy() * 255 - getattr(pair, name)).max() < 1.6
        np.testing.assert_allclose(batch["disparity_px"][k].numpy(), pair.disparity_px, rtol=1e-6)
        np.testing.assert_allclose(batch["depth_m"][k].numpy(), pair.depth_m, rtol=1e-6)
        assert (batch["occluded"][k].numpy() == pair.occluded).all() and pair.occluded.any()
    same = stereo_batch([scenes[0]], 0.05, (45, 33), CPU)
    np.testing.assert_allclose(same["disparity_px"][0], batch["disparity_px"][0], rtol=1e-6)
    with pytest.raises(InputError, match="baselines don't pair up"):
        stereo_batch(scenes, [0.1], (8, 8), CPU)
    with pytest.raises(InputError, match="shows no depth"):
        stereo_batch(scenes, -0.1, (8, 8), CPU)


def test_warping_the_right_picture_gives_the_left_one():
    """Photo-consistency: matte, unshadowed colours at corresponding places are the same."""
    matte = replace(
        table(), things=tuple(
            replace(t, material=replace(t.material, gloss=0, mirror=0)) for t in table().things
        )
    )  # fmt: skip
    pair = stereo_pair(matte, 0.1, (160, 120), RenderSettings(3))
    y, x = np.nonzero(np.isfinite(pair.disparity_px) & ~pair.occluded & (pair.depth_m < 4))
    at = np.clip(x - pair.disparity_px[y, x], 0, 158)
    low = np.floor(at).astype(int)
    part = (at - low)[:, None]
    warped = pair.right[y, low] * (1 - part) + pair.right[y, low + 1] * part
    error = np.abs(warped - pair.left[y, x]).mean(1)
    assert np.median(error) < 2.5
    wrong = np.abs(pair.right[y, x].astype(float) - pair.left[y, x]).mean(1)
    assert np.median(wrong) > 2 * np.median(error)


def test_orbit_views_see_the_target_and_obey_their_seed():
    images, cameras = orbit_views(table(), 6, (32, 24), seed=1)
    assert images.shape == (6, 24, 32, 3) and len(cameras) == 6
    again, _ = orbit_views(table(), 6, (32, 24), seed=1)
    other, _ = orbit_views(table(), 6, (32, 24), seed=2)
    assert (images == again).all() and (images != other).any()
    for camera in cameras:
        xy, _ = project(camera, np.array(table().target))
        np.testing.assert_allclose(xy, [16, 12], atol=1e-9)
    wall = Thing("wall", "plane", (0, 0, 0), (0, 0.5, 0), (math.sqrt(0.5), math.sqrt(0.5), 0, 0))
    _, before_wall = orbit_views(Scene("w", (wall,)), 9, (8, 8))
    assert all(camera.c2w[1, 3] < 0.5 for camera in before_wall)


def test_edges_are_thin_and_where_things_end():
    scene = alone("box", size=(1, 1, 1))
    view = render(scene, look_at((0, -2.5, 0), (0, 0, 0), 80, 80, 53.1301), FAST)
    found = edges(view) > 0  # a square of 40 px: its outline, left and top just
    assert (view.ids == 1).sum() == 40 * 40 and found.sum() == 4 * 40 - 1  # outside
    ball = render(alone("sphere"), look_at((0, -2.5, 0), (0, 0, 0), 80, 80), FAST)
    assert not (edges(ball)[1:-1, 1:-1] > 0)[30:50, 30:50].any()
    ring = render(alone("torus", rotation=(0.966, 0.259, 0, 0)),
                  look_at((0, -1.6, 0.1), (0, 0, 0), 100, 100), FAST)  # fmt: skip
    within = (ring.ids[:-1, :-1] == 1) & (ring.ids[1:, :-1] == 1) & (ring.ids[:-1, 1:] == 1)
    assert (edges(ring)[:-1, :-1][within] > 0).sum() > 5  # the near part passes before the far one


def test_control_maps_are_what_they_say():
    scene = table()
    camera = start_camera(scene, 64, 48)
    maps, view = control_maps(scene, camera), render(scene, camera)
    assert view.depth_m is not None
    assert set(np.unique(maps["edges"])) == {0, 255}
    assert maps["depth"].min() == 0 and maps["depth"].max() == pytest.approx(1)
    assert maps["depth"].flat[np.nanargmin(view.depth_m)] == pytest.approx(1)
    colours = {tuple(c) for c in maps["segmentation"].reshape(-1, 3)}
    assert len(colours) == 9 and (0, 0, 0) in colours
    assert (maps["normals"][view.ids > 0][:, 2] >= 120).all()  # nothing faces away


def test_a_batch_of_control_maps_gives_what_single_ones_give():
    scenes = [table(), Scene("empty", ()), alone("box"), table().without("ring")]
    cameras = [start_camera(scene, 41, 27) for scene in scenes]
    batch = control_batch(scenes, cameras, CPU)
    assert batch["rgb"].shape == (4, 27, 41, 3) and batch["rgb"].is_floating_point()
    for k, (scene, camera) in enumerate(zip(scenes, cameras, strict=True)):
        view, single = render(scene, camera, CPU), control_maps(scene, camera, CPU)
        assert np.abs(batch["rgb"][k].numpy() * 255 - view.rgb).max() < 1.6
        assert set(batch) == {"rgb", *single}
        for name, expected in single.items():
            found = batch[name][k].numpy()
            assert found.dtype == expected.dtype and found.shape == expected.shape, name
            np.testing.assert_allclose(found, expected, atol=1e-6, err_msg=name)
    assert not batch["edges"][1].any() and not batch["depth"][1].any()


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_batches_stay_on_their_device(device):
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU here")
    scene, settings = table(), RenderSettings(device=device)
    camera = start_camera(scene, 16, 12)
    flow, occluded = correspondence_batch([scene], [camera], [camera], settings=settings)
    made = [flow, occluded, *stereo_batch([scene], size=(16, 12), settings=settings).values()]
    made += control_batch([scene], [camera], settings).values()
    assert len(made) == 13 and all(value.device.type == device for value in made)


def test_hide_finds_object_shadow_and_reflection():
    scene = table()
    camera = start_camera(scene, 96, 72)
    hidden = hide(scene, "ball", camera)
    same = (hidden.with_object == hidden.without_object).all(-1)
    assert (same == ~hidden.mask).all()
    assert (hidden.mask | ~hidden.object_mask).all()
    assert 0.01 < hidden.object_mask.mean() < hidden.mask.mean() < 0.5
    with pytest.raises(InputError, match="holds no"):
        hide(scene, "unicorn", camera)
