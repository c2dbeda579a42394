"""Meshes and Gaussians of scenes: closed forms of each shape, written out anew, and renders."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from core.scenes import (
    Material,
    RenderSettings,
    Scene,
    Thing,
    render,
    scene,
    start_camera,
    to_mesh,
    to_splats,
)
from core.scenes.world import quat_to_matrix, waves_of
from core.types import InputError

TILTED, PLACE = (0.8, 0.3, -0.4, 0.33), (1.5, -0.7, 0.4)
SIZES = {
    "sphere": (0.8, 0.8, 0.8), "box": (0.9, 0.5, 0.6), "cylinder": (0.6, 0.6, 0.7),
    "cone": (0.7, 0.7, 0.8), "torus": (1.0, 1.0, 0.3), "plane": (1.4, 0.8, 0.0),
    "heightfield": (1.2, 0.9, 0.3),
}  # fmt: skip
SLANT = math.hypot(0.35, 0.8)
AREA = {
    "sphere": math.pi * 0.64, "box": 2 * (0.45 + 0.3 + 0.54),
    "cylinder": math.pi * (0.6 * 0.7 + 2 * 0.09), "cone": math.pi * 0.35 * (0.35 + SLANT),
    "torus": 4 * math.pi**2 * 0.35 * 0.15, "plane": 1.12,
}  # fmt: skip
VOLUME = {
    "sphere": math.pi / 6 * 0.512, "box": 0.27, "cylinder": math.pi * 0.09 * 0.7,
    "cone": math.pi * 0.35**2 * 0.8 / 3, "torus": 2 * math.pi**2 * 0.35 * 0.15**2,
}  # fmt: skip
CHECKER = Material((0.8, 0.1, 0.05), (0.1, 0.3, 0.9), "checker", 0.13)


def alone(shape: str, material: Material = CHECKER) -> Scene:
    return Scene("alone", (Thing("it", shape, SIZES[shape], PLACE, TILTED, material),))


def colours(mesh) -> np.ndarray:
    """(V, 4) uint8 at the vertices."""
    return mesh.visual.vertex_colors


def into(vectors: np.ndarray) -> np.ndarray:
    """World directions in the tilted thing's own axes."""
    return vectors @ np.reshape(quat_to_matrix(TILTED), (3, 3))


def off_surface(shape: str, p: np.ndarray) -> np.ndarray:
    """Distance (N,) of points in the thing's own axes from its surface, or a bound on it."""
    x, y, z = p.T
    half_x, half_y, half_z = np.array(SIZES[shape]) / 2
    rho = np.hypot(x, y)
    if shape == "sphere":
        return abs(np.linalg.norm(p, axis=1) - half_x)
    if shape == "box":
        return abs((abs(p) - [half_x, half_y, half_z]).max(1))
    if shape == "cylinder":
        return abs(np.maximum(rho - half_x, abs(z) - half_z))
    if shape == "cone":
        wall = (rho - half_x * (half_z - z) / (2 * half_z)) * 0.8 / SLANT
        return abs(np.maximum(wall, -half_z - z))
    if shape == "torus":
        return abs(np.hypot(rho - (half_x - half_z), z) - half_z)
    inside = np.maximum(abs(x) - half_x, abs(y) - half_y).clip(0)
    if shape == "plane":
        return abs(z) + inside
    turns_x, turns_y, phase, high = waves_of("it")
    angle = np.outer(x / half_x, turns_x) + np.outer(y / half_y, turns_y) + phase
    return abs(z - (np.sin(angle) @ high) * half_z) + inside


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("material", [Material(), CHECKER], ids=["plain", "checker"])
def test_vertices_lie_on_the_surface(shape: str, material: Material):
    mesh = to_mesh(alone(shape, material))
    assert off_surface(shape, into(mesh.vertices - PLACE)).max() < 1e-9


@pytest.mark.parametrize("shape", AREA)
def test_area_is_near_the_closed_form(shape: str):
    assert to_mesh(alone(shape), 96).area == pytest.approx(AREA[shape], rel=3e-3)


@pytest.mark.parametrize("shape", VOLUME)
@pytest.mark.parametrize("material", [Material(), CHECKER], ids=["plain", "checker"])
def test_solids_are_watertight_and_hold_their_volume(shape: str, material: Material):
    mesh = to_mesh(alone(shape, material), 96)
    assert mesh.is_watertight and mesh.is_winding_consistent
    assert mesh.volume == pytest.approx(VOLUME[shape], rel=5e-3)


@pytest.mark.parametrize("shape", ["plane", "heightfield"])
def test_sheets_face_up(shape: str):
    assert (into(to_mesh(alone(shape)).face_normals)[:, 2] > 0).all()


@pytest.mark.parametrize("shape", SIZES)
def test_splats_are_flat_discs_in_the_surface(shape: str):
    made = to_splats(alone(shape), 700, seed=3)
    assert {k: v.shape for k, v in made.items()} == {
        "means": (700, 3), "log_scales": (700, 3), "quats": (700, 4), "opacity_logits": (700,),
        "sh": (700, 1, 3),
    }  # fmt: skip
    assert all(v.dtype == np.float32 and np.isfinite(v).all() for v in made.values())
    own = into(made["means"].astype(np.float64) - PLACE)
    assert off_surface(shape, own).max() < 1e-5
    assert np.linalg.norm(made["quats"], axis=1) == pytest.approx(1, abs=1e-6)
    assert (made["log_scales"][:, 2] < made["log_scales"][:, :2].min(1) - 2).all()

    # along the third axis one leaves the surface as fast as one goes, along the others not at all
    axes = np.array([np.reshape(quat_to_matrix(q), (3, 3)) for q in made["quats"].tolist()])
    step = 1e-4
    away = off_surface(shape, into(made["means"] + step * axes[:, :, 2] - PLACE))
    aside = off_surface(shape, into(made["means"] + step * axes[:, :, 0] - PLACE))
    assert (
        np.median(away) > 0.9 * step or shape == "heightfield"
    )  # there it is height, not distance
    assert np.quantile(aside, 0.97) < 0.03 * step


@pytest.mark.parametrize("shape", AREA)
def test_samples_spread_by_area(shape: str):
    """Half of the world, cut through the thing's centre by any plane, gets the mesh's share."""
    mesh = to_mesh(alone(shape), 96)
    means = into(to_splats(alone(shape), 4000)["means"] - PLACE)
    centres = into(mesh.triangles_center - PLACE)
    for axis, cut in ((0, 0.1), (1, -0.05), (2, 0.08), (2, -0.1)):
        share = mesh.area_faces[centres[:, axis] > cut].sum() / mesh.area
        assert (means[:, axis] > cut).mean() == pytest.approx(share, abs=0.03)


def test_textured_colours_are_the_renderers_albedo():
    world = scene("tabletop")
    camera = start_camera(world, 320, 240)
    view = render(world, camera, RenderSettings(samples=1))
    made = to_splats(world, 6000)
    seen = made["means"] @ camera.c2w[:3, :3] - camera.c2w[:3, 3] @ camera.c2w[:3, :3]
    front = seen[:, 2] > 0.1
    px = seen @ camera.K.T
    x, y = np.floor(px[:, :2] / np.where(front, px[:, 2], 1)[:, None]).astype(int).T
    front &= (x >= 0) & (x < 320) & (y >= 0) & (y < 240)
    x, y = x[front], y[front]
    # the pixel's centre is up to a pixel away: look where it saw the same place
    same = np.linalg.norm(view.points[y, x] - made["means"][front], axis=1) < 0.012
    assert same.sum() > 500
    linear = np.clip(view.albedo[y, x][same], 0, 1)
    want = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    got = 0.5 + 0.28209479 * made["sh"][front][same, 0]
    assert np.median(np.abs(got - want)) < 0.01
    assert np.quantile(np.abs(got - want), 0.9) < 0.06


def test_colours_are_srgb_of_the_albedo():
    plain = alone("box", Material((0.5, 0.0, 1.0)))
    assert (colours(to_mesh(plain)) == (188, 0, 255, 255)).all()  # 0.5 is sRGB 188
    assert to_splats(plain, 5)["sh"][:, 0] == pytest.approx(
        np.tile([(0.735357 - 0.5), -0.5, 0.5], (5, 1)) / 0.28209479, abs=1e-5
    )
    assert (
        len(np.unique(colours(to_mesh(alone("box"))), axis=0)) == 2
    )  # a checker has both, and nothing between


def test_an_endless_plane_becomes_a_large_one():
    ball = Thing("ball", "sphere", (0.4, 0.4, 0.4), (2, 0, 0.2))
    floor = Thing("floor", "plane", (0, 0, 0))
    mesh = to_mesh(Scene("room", (floor, ball)))
    low, high = mesh.bounds
    assert (low[:2] < -3).all() and (high[:2] > 3).all() and np.isfinite(mesh.bounds).all()
    means = to_splats(Scene("room", (floor, ball)), 1001)["means"]
    assert len(means) == 1001 and 400 < (means[:, 2] > 1e-6).sum() < 600


@pytest.mark.parametrize("name", ["gallery", "terrain"])
def test_whole_scenes(name: str):
    world = scene(name)
    mesh = to_mesh(world, 12)
    assert np.isfinite(mesh.vertices).all() and len(mesh.vertices) == len(colours(mesh))
    one, two = to_splats(world, 999, 5), to_splats(world, 999, 5)
    assert all((one[k] == two[k]).all() and len(one[k]) == 999 for k in one)
    assert (to_splats(world, 999, 6)["means"] != one["means"]).any()


def test_what_cannot_be_made_is_said():
    with pytest.raises(InputError, match="at least one"):
        to_splats(scene(), 0)
    with pytest.raises(InputError, match="Add a thing"):
        to_splats(Scene("empty", ()))
    with pytest.raises(InputError, match="8 to 512"):
        to_mesh(scene(), 1)
    assert len(to_mesh(Scene("empty", ())).vertices) == 0


@pytest.mark.parametrize("turned", [False, True])
def test_a_checker_floor_on_the_lattice_shows_both_colours(turned: bool):
    """A floor at z = 0 lies on an edge between two layers of cubes: it must not blend them."""
    floor = Thing("floor", "plane", (0, 0, 0), material=Material((0.9, 0.9, 0.9), (0.02, 0.02, 0.02), "checker", 0.5))  # fmt: skip
    if turned:
        floor = replace(floor, shape="box", size=(9, 9, 2), position=(0, 0, -1))
    world = Scene("floor", (floor,), eye=(0.0, -1.0, 3.0), target=(0.0, 0.0, 0.0))
    view = render(world, start_camera(world, 120, 90), RenderSettings(samples=2, shadows=False))
    grey = view.rgb.mean(-1)
    dark, bright = grey < 60, grey > 215
    assert 0.3 < dark.mean() < 0.65 and 0.3 < bright.mean() < 0.65
    assert (dark | bright).mean() > 0.85
