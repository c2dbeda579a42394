"""What is taken out of a field is where the field has it: checked on balls whose surface is known."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from core.cameras import look_at, orbit, project, rays, resized
from core.geometry import Cloud, Mesh, save_geometry
from core.metrics import psnr
from core.nerf import Field, NerfSettings, Views, render, score, train
from core.nerf.film import camera_path, film, orbit_path
from core.nerf.mesh import to_mesh
from core.nerf.outputs import thinned, to_cloud, up_of
from core.types import Camera, InputError

torch = pytest.importorskip("torch")
trimesh = pytest.importorskip("trimesh")

R, MIDDLE = 0.5, np.array([0.1, -0.05, 0.15])
BOX = np.stack([MIDDLE - 0.7, MIDDLE + 0.7])
FINE = 3  # rays a pixel's side, so that outlines are as smooth as a photo's


def tint(points: np.ndarray) -> np.ndarray:
    """The ball's colour (…, 3) at points: waves, shaded from above."""
    p = points - MIDDLE
    return (0.5 + 0.35 * np.sin(9 * p + np.arange(3))) * (0.7 + 0.3 * p[..., 2:] / R)


def sphere(n: int) -> np.ndarray:
    """(n, 3) unit vectors, evenly apart: a golden spiral."""
    z = 1 - (2 * np.arange(n) + 1) / n
    around, out = 2.399963 * np.arange(n), np.sqrt(1 - z * z)
    return np.column_stack([out * np.cos(around), out * np.sin(around), z])


def ball_views(n: int = 20, size: tuple[int, int] = (61, 49)) -> Views:
    """A ball from all around, with opacity; the last view is held out."""
    images, cameras = [], []
    for way in sphere(n):
        camera = look_at(MIDDLE + 3 * way, MIDDLE, *size, 26)
        origin, along = rays(resized(camera, size[0] * FINE, size[1] * FINE))
        origin = origin - MIDDLE
        b = (origin * along).sum(-1)
        inside = b * b - (origin * origin).sum(-1) + R * R
        t = -b - np.sqrt(inside.clip(0))
        hit = (inside > 0)[..., None] * 1.0
        rgba = np.concatenate([tint(origin + t[..., None] * along + MIDDLE) * hit, hit], -1)
        rgba = rgba.reshape(size[1], FINE, size[0], FINE, 4).mean((1, 3))
        rgba[..., :3] /= rgba[..., 3:].clip(1e-6)
        images.append(rgba)
        cameras.append(camera)
    made = np.stack(images).astype(np.float32)
    return Views(made, tuple(cameras), (n - 1,), BOX, 2.0, 4.0)


class Balls(Field):
    """Exact balls: (middle, radius, inner radius) each, in tint's colours."""

    balls: tuple = ()

    def density_inside(self, x):
        points = self.outside(x)
        sigma = torch.zeros(len(points))
        for middle, radius, hollow in self.balls:
            r = (points - torch.as_tensor(middle, dtype=points.dtype)).norm(dim=1)
            shell = torch.sigmoid((radius - r) / 0.002) * torch.sigmoid((r - hollow) / 0.002)
            sigma = torch.maximum(sigma, 400 * shell)
        return sigma, points

    def colour(self, carried, directions):
        return torch.from_numpy(tint(carried.numpy())).float()


def balls(*which, samples: int = 96) -> Balls:
    settings = NerfSettings(samples=samples)
    made = Balls("tensor", {"none": torch.zeros(1)}, settings, BOX, 2.0, 4.0)
    made.balls = which or ((MIDDLE, R, -1.0),)
    return made


@pytest.fixture(scope="module")
def views() -> Views:
    return ball_views()


@pytest.fixture(scope="module")
def trained(views: Views) -> Field:
    settings = NerfSettings(steps=300, rays=512, samples=24, resolution=64)
    *_, last = train(views, settings)
    return last.field


def away(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points - MIDDLE, axis=1)


# ---------------------------------------------------------------- mesh


def test_mesh_of_a_trained_ball_is_the_ball(trained: Field, views: Views):
    """Chamfer distance: the mean way from one surface to the other, both ways, halved."""
    from scipy.spatial import KDTree

    mesh = to_mesh(trained, views, resolution=72)
    made = trimesh.Trimesh(mesh.points, mesh.faces, process=False)
    on_mesh = trimesh.sample.sample_surface(made, 300_000, seed=0)[0]
    there = np.abs(away(on_mesh) - R).mean()
    back = KDTree(on_mesh).query(MIDDLE + R * sphere(3000))[0].mean()
    assert (there + back) / 2 < 0.01 * R
    seen = np.abs(mesh.colours / 255 - tint(mesh.points)).mean()
    assert seen < 0.05


@pytest.mark.parametrize("looked_at", [True, False])
def test_mesh_of_an_exact_ball(views: Views, looked_at: bool):
    mesh = to_mesh(balls(), views if looked_at else None, resolution=48)
    cell = 1.4 / 48
    assert np.abs(away(mesh.points) - R).max() < 0.5 * cell
    made = trimesh.Trimesh(mesh.points, mesh.faces, process=False)
    assert made.is_watertight and made.body_count == 1
    assert made.volume == pytest.approx(4 / 3 * np.pi * R**3, rel=0.05)  # inward faces: negative
    assert np.abs(mesh.colours - 255 * tint(mesh.points)).max() < 20
    assert mesh.points.dtype == np.float32 and mesh.colours.dtype == np.uint8


def test_what_no_camera_sees_is_solid(views: Views):
    shell = balls((MIDDLE, R, 0.4))
    skins = to_mesh(shell, resolution=40)
    outer = to_mesh(shell, views, resolution=40)
    assert away(skins.points).min() < 0.42 and away(outer.points).min() > 0.45


def test_what_is_in_no_picture_is_left_out(views: Views):
    """A camera whose picture ends at the ball's middle shows half of it."""
    camera = look_at(MIDDLE - (0, 3, 0), MIDDLE, 41, 41, 26)
    K = camera.K.copy()
    K[0, 2] = 41.0  # the middle is on the right edge
    half = replace(
        views, images=views.images[:2], test=(), cameras=(replace(camera, K=K),) * 2, near=2.0
    )
    mesh = to_mesh(balls(), half, resolution=40)
    assert mesh.points[:, 0].max() <= MIDDLE[0] + 0.01
    assert mesh.points[:, 0].min() < MIDDLE[0] - 0.45


def test_crumbs_are_dropped_and_things_kept():
    crumb, thing = (MIDDLE + 0.6, 0.025, -1.0), (MIDDLE + np.array([0, 0, 0.55]), 0.12, -1.0)
    small = to_mesh(balls((MIDDLE, 0.35, -1.0), thing, crumb), resolution=80)
    made = trimesh.Trimesh(small.points, small.faces, process=False)
    assert made.body_count == 2 and len(np.unique(small.faces)) == len(small.points)


def test_level_moves_the_surface():
    low, high = (to_mesh(balls(), resolution=64, level=v) for v in (4.0, 380.0))
    assert away(low.points).mean() > away(high.points).mean() + 0.01


def test_mesh_says_what_is_wrong():
    empty = balls((MIDDLE + 9, 0.1, -1.0))
    for wrong in (
        lambda: to_mesh(empty, resolution=16),
        lambda: to_mesh(empty, ball_views(3, (9, 7)), resolution=16),
        lambda: to_mesh(balls(), resolution=16, level=1e6),
        lambda: to_mesh(balls(), resolution=16, level=float("nan")),
        lambda: to_mesh(balls(), resolution=3),
    ):
        with pytest.raises(InputError):
            wrong()


def test_progress_may_stop_the_mesh():
    told = []

    def stop(fraction: float, /, desc: str = "") -> None:
        told.append(fraction)
        if fraction >= 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        to_mesh(balls(), ball_views(4, (15, 11)), resolution=32, progress=stop)
    assert told == sorted(told) and told[0] == 0


# ---------------------------------------------------------------- cloud


def test_cloud_lies_on_the_ball(views: Views):
    cloud = to_cloud(balls(), views, n=3000)
    assert cloud.points.shape == (3000, 3) and cloud.points.dtype == np.float32
    assert np.abs(away(cloud.points) - R).max() < 0.03
    assert np.abs(cloud.colours / 255 - tint(cloud.points)).mean() < 0.03
    again, other = (to_cloud(balls(), views, n=3000, seed=s) for s in (0, 1))
    assert np.array_equal(cloud.points, again.points)
    assert not np.array_equal(cloud.points, other.points)


def test_cloud_is_even_however_uneven_the_cameras_are():
    """Ten thousand points on one side of a square, a thousand on the other: half and half."""
    rng = np.random.default_rng(0)
    points = rng.random((11_000, 3)) * (0.5, 1, 0) + MIDDLE - (0.5, 0.5, 0)
    points[10_000:, 0] += 0.5
    chosen = points[thinned(balls(), points, 400, 0)]
    assert len(chosen) == 400
    assert 0.4 < (chosen[:, 0] > MIDDLE[0]).mean() < 0.6


def test_cloud_says_what_is_wrong(views: Views):
    with pytest.raises(InputError):
        to_cloud(balls(), views, n=0)
    with pytest.raises(InputError):
        to_cloud(balls((MIDDLE + 9, 0.1, -1.0)), views)


# ---------------------------------------------------------------- files

TRIANGLE = Mesh(
    np.array([[0, 0, 0], [1, 0, 0], [0, 0, 2]], np.float32),
    np.array([[188, 0, 0], [0, 188, 0], [255, 255, 255]], np.uint8),
    faces=np.array([[0, 1, 2]], np.int32),
)


def test_glb_stands_upright_with_linear_colours(tmp_path):
    path = save_geometry(tmp_path / "a.glb", TRIANGLE)
    (read,) = trimesh.load_scene(path).geometry.values()
    assert np.allclose(read.vertices, [[0, 0, 0], [1, 0, 0], [0, 2, 0]], atol=1e-6)
    # sRGB 188 is half the light: ((188/255 + 0.055)/1.055)^2.4 = 0.503
    assert read.visual.vertex_attributes["color"][0, 0] in (128, 129)
    tipped = replace(TRIANGLE, up=(1.0, 0.0, 0.0))
    (read,) = trimesh.load_scene(save_geometry(tmp_path / "b.glb", tipped)).geometry.values()
    assert np.allclose(read.vertices[1], [0, 1, 0], atol=1e-6)


@pytest.mark.parametrize("kind", ["ply", "obj"])
def test_ply_and_obj_keep_world_and_colours(tmp_path, kind: str):
    read = trimesh.load_mesh(save_geometry(tmp_path / f"a.{kind}", TRIANGLE), process=False)
    assert np.allclose(read.vertices, TRIANGLE.points)
    assert np.array_equal(read.faces, TRIANGLE.faces)
    assert np.abs(read.visual.vertex_colors[:, :3].astype(int) - TRIANGLE.colours).max() <= 1


def test_cloud_file_and_unknown_endings(tmp_path):
    cloud = Cloud(TRIANGLE.points, TRIANGLE.colours)
    read = trimesh.load(save_geometry(tmp_path / "c.ply", cloud))
    assert np.array_equal(read.vertices, cloud.points)
    assert np.array_equal(read.colors[:, :3], cloud.colours)
    with pytest.raises(InputError):
        save_geometry(tmp_path / "a.step", TRIANGLE)


# ---------------------------------------------------------------- Gaussians


def test_gaussians_lie_flat_on_the_ball(views: Views):
    from core.nerf.gaussians import to_splats

    splats = to_splats(balls(), views, n=700, steps=0)
    assert len(splats) == 700 and np.abs(away(splats.means) - R).max() < 0.03
    w, x, y, z = splats.unit_quats.T
    axis = np.column_stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)])
    out = (splats.means - MIDDLE) / away(splats.means)[:, None]
    assert np.median((axis * out).sum(1)) > 0.97
    scales = splats.scales_m
    assert (scales[:, 2] < 0.5 * scales[:, 0]).all()
    # 700 discs on a ball: about √(4π R²/700) apart
    assert 0.3 < np.median(scales[:, 0]) / np.sqrt(4 * np.pi * R**2 / 700) < 1.0


def test_gaussians_look_like_the_field(trained: Field, views: Views):
    from core.nerf.gaussians import to_splats
    from core.splats.render import render as draw
    from core.splats.types import RenderSettings

    white = RenderSettings(background=(1.0, 1.0, 1.0))
    held = views.cameras[views.test[0]]
    image = views.images[views.test[0]]
    truth = (255 * (image[..., :3] * image[..., 3:] + 1 - image[..., 3:])).round().astype(np.uint8)
    own = score(trained, views, views.test)[0]
    placed, fitted = (
        psnr(draw(to_splats(trained, views, n=2000, steps=k), held, white).rgb, truth)
        for k in (0, 80)
    )
    assert fitted > own - 3 and fitted > placed + 1


def test_the_far_becomes_gaussians_too():
    """A wall seen through an empty box stands far outside it, and is no hole in the picture."""
    from core.nerf.gaussians import to_splats
    from core.splats.render import render as draw

    far = balls((MIDDLE, 1e9, 5.0))
    far.unbounded, far.far = True, 12.0
    cameras = orbit(MIDDLE, 1.0, 5, 0.0, (21, 17))
    images = np.zeros((5, 17, 21, 3), np.float32)
    views = Views(images, cameras, (), BOX, 2.0, 12.0, unbounded=True)
    splats = to_splats(far, views, n=2000, steps=0)
    assert away(splats.means).min() > 4
    assert np.median(draw(splats, cameras[0]).opacity) > 0.9


def test_gaussians_say_what_is_wrong(views: Views):
    from core.nerf.gaussians import to_splats

    with pytest.raises(InputError):
        to_splats(balls(), views, n=0)
    with pytest.raises(InputError):
        to_splats(balls((MIDDLE + 9, 0.1, -1.0)), views, n=50)


# ---------------------------------------------------------------- films


def test_film_is_made_frame_by_frame(views: Views):
    told = []
    way = orbit_path(views, 3, (15, 11))
    run = cast(Generator, film(balls(samples=32), way, progress=lambda f, desc="": told.append(f)))
    first = next(run)
    assert told == [0] and (first.step, first.total) == (1, 3)
    rest = list(run)
    frames = [first, *rest]
    assert len(frames) == 3 and all(f.rgb.shape == f.depth.shape == (11, 15, 3) for f in frames)
    assert len({(f.low, f.high) for f in frames}) == 1 and 2.4 < first.low < first.high < 3.1
    assert np.array_equal(first.rgb, render(balls(samples=32), way[0]).rgb)
    assert first.depth[5, 7, :2].sum() > first.depth[5, 4, :2].sum()  # the middle is nearest
    run = cast(Generator, film(balls(samples=32), way))
    next(run)
    run.close()
    assert next(run, None) is None


def test_films_need_cameras_of_one_size(views: Views):
    for wrong in ([], [views.cameras[0], resized(views.cameras[1], 9, 9)]):
        with pytest.raises(InputError):
            next(film(balls(), wrong))


def ring(n: int, sweep_deg: float = 360.0) -> tuple[Camera, ...]:
    return orbit(MIDDLE, 2.0, n, 30.0, (31, 17), sweep_deg=sweep_deg)


def of(cameras: tuple[Camera, ...]) -> Views:
    images = np.zeros((len(cameras), cameras[0].height, cameras[0].width, 3), np.float32)
    return Views(images, cameras, (), BOX, 0.5, 4.0)


def turned(cameras: tuple[Camera, ...]) -> tuple[np.ndarray, tuple[Camera, ...]]:
    """The same cameras in a world that stands askew."""
    from scipy.spatial.transform import Rotation

    world = np.eye(4)
    world[:3, :3] = Rotation.from_rotvec([0.9, -0.4, 0.3]).as_matrix()
    world[:3, 3] = (5.0, -2.0, 1.0)
    return world, tuple(replace(c, c2w=world @ c.c2w) for c in cameras)


@pytest.mark.parametrize("askew", [False, True])
def test_orbit_keeps_distance_and_height(askew: bool):
    world, cameras = turned(ring(12)) if askew else (np.eye(4), ring(12))
    middle = world[:3, :3] @ MIDDLE + world[:3, 3]
    views = replace(of(cameras), bounds=np.stack([middle - 1, middle + 1]))
    assert np.allclose(up_of(views), world[:3, 2], atol=1e-6)
    way = orbit_path(views, 8, (33, 20))
    eyes = np.array([c.c2w[:3, 3] for c in way]) - middle
    assert np.allclose(np.linalg.norm(eyes, axis=1), 2.0)
    assert np.allclose(eyes @ world[:3, 2], 2 * np.sin(np.pi / 6))
    assert np.allclose(eyes.sum(0), 8 * world[:3, 2], atol=1e-6)  # all the way round
    for camera in way:
        assert np.allclose(project(camera, middle)[0], (16.5, 10))
        assert camera.c2w[:3, 1] @ world[:3, 2] < 0  # y is down
    # no wider an angle than was trained: 31 px across to 33 px
    assert way[0].K[0, 0] == pytest.approx(max(33 / 31, 20 / 17) * cameras[0].K[0, 0])


def test_orbit_stays_on_the_cameras_side():
    cameras = ring(7, sweep_deg=90.0)
    way = orbit_path(of(cameras), 10, (15, 11))
    eyes = np.array([c.c2w[:3, 3] for c in way]) - MIDDLE
    angles = np.degrees(np.arctan2(eyes[:, 1], eyes[:, 0]))
    assert angles.min() == pytest.approx(-90) and angles.max() == pytest.approx(0)


def test_ride_passes_by_the_cameras():
    rng = np.random.default_rng(2)
    cameras = ring(9, sweep_deg=160.0)
    mixed = tuple(cameras[k] for k in rng.permutation(9))
    way = camera_path(of(mixed), 97, (15, 11))
    eyes = np.array([c.c2w[:3, 3] for c in way])
    ends = {tuple(np.round(c.c2w[:3, 3], 6)) for c in (cameras[0], cameras[-1])}
    assert {tuple(np.round(eyes[k], 6)) for k in (0, -1)} == ends  # no zigzag: end to end
    for camera in cameras:
        assert np.linalg.norm(eyes - camera.c2w[:3, 3], axis=1).min() < 0.05
    assert np.abs(np.linalg.norm(eyes - MIDDLE, axis=1) - 2.0).max() < 0.03
    steps = np.linalg.norm(np.diff(eyes, axis=0), axis=1)
    assert steps.max() < 1.5 * steps.mean()
    turns = np.stack([c.c2w[:3, :3] for c in way])
    assert np.allclose(turns @ turns.transpose(0, 2, 1), np.eye(3))
    assert all(np.linalg.norm(project(c, MIDDLE)[0] - (7.5, 5.5)) < 1 for c in way)


def test_paths_say_what_is_wrong():
    for wrong in (
        lambda: orbit_path(of(ring(4)), 0, (9, 9)),
        lambda: orbit_path(of(ring(4)), 3, (0, 9)),
        lambda: camera_path(of(ring(4)), 1, (9, 9)),
        lambda: camera_path(of(ring(1)), 9, (9, 9)),
    ):
        with pytest.raises(InputError):
            wrong()


def test_cameras_in_one_place_still_make_a_ride():
    (camera,) = ring(1)
    aside = replace(camera, c2w=camera.c2w @ np.diag([-1.0, -1.0, 1.0, 1.0]))
    way = camera_path(of((camera, aside)), 5, (9, 7))
    assert all(np.allclose(c.c2w[:3, 3], camera.c2w[:3, 3]) for c in way)
    assert np.isfinite([c.c2w for c in way]).all()
