"""Clouds and surfaces: sizes in metres that can be worked out by hand, and files that open."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from core.images import load
from core.recipe import Recipe
from core.stereo import export
from core.stereo.cloud import (
    Cloud,
    mesh,
    point_cloud,
    step_for,
    write_glb,
    write_mesh_glb,
    write_ply,
)
from core.stereo.rigfile import read_rig
from core.stereo.truth import load_truth
from core.stereo.types import Pair, StereoResult, StereoSettings, Truth
from core.types import InputError, Rig

MOTORCYCLE = Path(__file__).parents[2] / "shared/data/stereo/Motorcycle"
RIG = Rig(200.0, 80.0, 31.0, 20.5, doffs_px=4.0, unit="mm", focal_y_px=160.0)
nan = np.nan


def slant(height: int = 41, width: int = 63) -> np.ndarray:
    """A wall from 20 to 40 px of disparity."""
    return np.tile(np.linspace(20, 40, width, dtype=np.float32), (height, 1))


def colours(height: int = 41, width: int = 63) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def by_hand(d: np.ndarray, rig: Rig) -> np.ndarray:
    """(H·W, 3) in metres, from the formulas of a pinhole camera."""
    rows, columns = np.indices(d.shape)
    metres = {"m": 1, "cm": 0.01, "mm": 0.001}[rig.unit]
    z = rig.focal_px * rig.baseline * metres / (d.astype(np.float64) + rig.doffs_px)
    x = (columns + 0.5 - rig.cx) * z / rig.focal_px
    y = (rows + 0.5 - rig.cy) * z / rig.focal_y_px
    return np.stack([x, y, z], -1).reshape(-1, 3)


def result(d: np.ndarray) -> StereoResult:
    d = d.astype(np.float32)
    settings = StereoSettings()
    return StereoResult(
        d, np.where(np.isnan(d), 0, 0.5).astype(np.float32), 0.1, d.copy(), np.isnan(d),
        settings, Recipe("stereo", "{StereoSettings}", (settings,)), {"find": 0.1}, ("A note.",),
    )  # fmt: skip


def test_points_by_hand() -> None:
    """f·b = 16 m px: 20 + 4 px lie at 16/24 m, 40 + 4 px at 16/44 m."""
    cloud = point_cloud(slant(), RIG, colours())
    assert cloud.unit == "mm" and cloud.points.dtype == np.float32
    np.testing.assert_allclose(cloud.metres(), by_hand(slant(), RIG), rtol=1e-5)
    np.testing.assert_array_equal(cloud.colours, colours().reshape(-1, 3))
    first = cloud.points[0]  # pixel centre (0.5, 0.5)
    z = 16000 / 24
    np.testing.assert_allclose(first, [-30.5 * z / 200, -20 * z / 160, z], rtol=1e-5)


def test_unknown_and_cut_pixels_are_left_out() -> None:
    d = slant()
    d[3:5, 7:9] = nan
    d[0, 0] = -4  # d + doffs = 0: at infinity
    d[0, 1] = -9  # behind the camera
    cloud = point_cloud(result(d), RIG, colours(), clean=False)
    assert len(cloud.points) == d.size - 6 and np.isfinite(cloud.points).all()
    cut = point_cloud(d, RIG, colours(), nearest=450, farthest=550, clean=False)
    z = 16000 / np.where(d > 0, d + 4, nan)
    assert len(cut.points) == ((z > 450) & (z <= 550)).sum()
    assert cut.points[:, 2].min() > 450 and cut.points[:, 2].max() <= 550


def test_far_strays_are_cut_unless_asked_for() -> None:
    d = slant()
    d[:, 0] = -3.99  # 1600 m away
    assert point_cloud(d, RIG, colours()).points[:, 2].max() < 1000
    assert point_cloud(d, RIG, colours(), farthest=np.inf).points[:, 2].max() > 1e6


def test_flying_pixels_are_dropped_and_edges_kept() -> None:
    d = np.full((30, 40), 10, np.float32)
    d[:, 20:] = 30
    edge = point_cloud(d, RIG, colours(30, 40))
    assert len(edge.points) == d.size, "a clean edge loses nothing"
    d[:, 20] = 17  # a matcher's guess between both
    d[:, 21] = 24
    kept = point_cloud(d, RIG, colours(30, 40))
    assert len(kept.points) == d.size - 60
    assert set(np.round(16000 / kept.points[:, 2] - 4).astype(int)) == {10, 30}
    d = np.full((30, 40), 10, np.float32)
    d[:, 20] = 30  # a wire is nearer than both sides, not between them
    assert len(point_cloud(d, RIG, colours(30, 40)).points) == d.size
    steep = np.tile(np.linspace(20, 60, 63, dtype=np.float32), (41, 1))  # 0.65 px each
    assert len(point_cloud(steep, RIG, colours()).points) == steep.size


@pytest.mark.parametrize("step", [2, 3, 7])
def test_steps_take_every_nth_pixel_where_it_is(step: int) -> None:
    cloud = point_cloud(slant(), RIG, colours(), step=step)
    every = np.s_[step // 2 :: step]
    expected = by_hand(slant(), RIG).reshape(41, 63, 3)[every, every].reshape(-1, 3)
    np.testing.assert_allclose(cloud.metres(), expected, rtol=1e-5)


def test_step_for_keeps_below_the_limit() -> None:
    assert step_for((360, 480), 172_800) == 1
    for shape in ((360, 480), (2000, 2964), (1, 10**6)):
        step = step_for(shape)
        assert -(-shape[0] // step) * -(-shape[1] // step) <= 150_000
    tiny = point_cloud(np.ones((1, 2)), RIG, colours(1, 2), step=50)
    assert len(tiny.points) == 1


def test_normals_of_a_wall_face_the_camera() -> None:
    flat = point_cloud(np.full((9, 11), 20), RIG, colours(9, 11), normals=True)
    assert flat.normals is not None
    np.testing.assert_allclose(flat.normals, np.tile((0, 0, -1), (99, 1)), atol=1e-5)
    tilted = point_cloud(slant(), RIG, colours(), normals=True)
    assert tilted.normals is not None
    wall = by_hand(slant(), RIG)  # linear disparity is a plane: all normals are equal
    across = np.cross(wall[-1] - wall[0], wall[62] - wall[0])
    across *= -np.sign(across[2]) / np.linalg.norm(across)
    np.testing.assert_allclose(tilted.normals, np.tile(across, (slant().size, 1)), atol=2e-2)


def test_surface_is_torn_at_jumps_and_holes() -> None:
    whole = mesh(slant(), RIG, colours())
    assert len(whole.faces) == 2 * 40 * 62
    corners = whole.cloud.points[whole.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (np.einsum("ij,ij->i", normals, corners[:, 0]) < 0).all(), "seen from the front"
    d = slant()
    d[:, 30:] += 20
    torn = mesh(d, RIG, colours())
    assert len(torn.faces) == 2 * 40 * 61
    d = slant()
    d[10, 10] = nan
    holed = mesh(d, RIG, colours())
    assert len(holed.faces) == 2 * 40 * 62 - 6
    assert holed.faces.max() == len(holed.cloud.points) - 1
    assert len(mesh(np.full((1, 5), 9), RIG, colours(1, 5)).faces) == 0


def test_surface_area_of_a_wall() -> None:
    """A wall 2 m away seen at 100 px of focal length: a pixel is 20 mm wide."""
    rig = Rig(100, 0.5, 10, 10)
    made = mesh(np.full((21, 31), 25), rig, colours(21, 31), step=2)
    solid = trimesh.Trimesh(made.cloud.metres(), made.faces, process=False)
    assert solid.area == pytest.approx((9 * 2 * 0.02) * (14 * 2 * 0.02), rel=1e-4)


def test_ply_opens_in_trimesh_in_metres(tmp_path: Path) -> None:
    cloud = point_cloud(slant(), RIG, colours(), normals=True)
    for made in (cloud, replace(cloud, normals=None)):
        opened = trimesh.load(write_ply(made, tmp_path / "cloud.ply"))
        assert isinstance(opened, trimesh.PointCloud)
        expected = by_hand(slant(), RIG)
        np.testing.assert_allclose(opened.vertices, expected, rtol=1e-5)
        np.testing.assert_allclose(opened.bounds, [expected.min(0), expected.max(0)], rtol=1e-3)
        np.testing.assert_array_equal(np.asarray(opened.colors)[:, :3], cloud.colours)


def test_glb_opens_upright_in_metres(tmp_path: Path) -> None:
    shown = colours()
    shown[:, :] = (0, 128, 255)
    cloud = point_cloud(slant(), RIG, shown)
    scene = trimesh.load_scene(write_glb(cloud, tmp_path / "cloud.glb"))
    (opened,) = scene.geometry.values()
    upright = by_hand(slant(), RIG) * (1, -1, -1)
    np.testing.assert_allclose(opened.bounds, [upright.min(0), upright.max(0)], rtol=1e-3)
    assert len(opened.vertices) == slant().size
    assert (opened.vertices[:, 2] < 0).all() and opened.vertices[0, 1] > 0
    light = np.asarray(opened.colors)[0, :3]  # sRGB 128 is 21.6 % of the light
    np.testing.assert_array_equal(light, (0, 55, 255))


def test_surface_glb_opens(tmp_path: Path) -> None:
    made = mesh(slant(), RIG, colours())
    scene = trimesh.load_scene(write_mesh_glb(made, tmp_path / "surface.glb"))
    (opened,) = scene.geometry.values()
    assert isinstance(opened, trimesh.Trimesh) and len(opened.faces) == len(made.faces)
    upright = by_hand(slant(), RIG) * (1, -1, -1)
    np.testing.assert_allclose(opened.bounds, [upright.min(0), upright.max(0)], rtol=1e-3)


def test_viewers_add_no_light(tmp_path: Path) -> None:
    made = mesh(slant(), RIG, colours())
    for path in (
        write_glb(made.cloud, tmp_path / "a.glb"),
        write_mesh_glb(made, tmp_path / "b.glb"),
    ):
        data = path.read_bytes()
        tree = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
        (primitive,) = tree["meshes"][0]["primitives"]
        material = tree["materials"][primitive["material"]]
        assert "KHR_materials_unlit" in material["extensions"]
        assert "COLOR_0" in primitive["attributes"]


def test_units_become_metres() -> None:
    point = np.ones((1, 3), np.float32)
    for unit, metres in (("m", 1), ("cm", 0.01), ("mm", 0.001), ("in", 0.0254), ("ft", 0.3048)):
        cloud = Cloud(point, np.zeros((1, 3), np.uint8), unit)
        np.testing.assert_allclose(cloud.metres(), point * metres, rtol=1e-6)


def test_what_makes_no_cloud() -> None:
    with pytest.raises(InputError, match=r"63×41 px, the picture 62×41 px"):
        point_cloud(slant(), RIG, colours(41, 62))
    for bad in (np.full((41, 63), nan), np.full((41, 63), -50.0)):
        with pytest.raises(InputError, match="No pixel has a depth"):
            point_cloud(bad, RIG, colours())
    with pytest.raises(InputError, match="No pixel has a depth"):
        mesh(slant(), RIG, colours(), nearest=1e9)
    with pytest.raises(InputError, match="step"):
        point_cloud(slant(), RIG, colours(), step=0)


@pytest.mark.skipif(not MOTORCYCLE.is_dir(), reason="needs shared/data/stereo/Motorcycle")
def test_motorcycle_has_its_size_in_metres(tmp_path: Path) -> None:
    about = json.loads((MOTORCYCLE / "meta.json").read_text())
    rig = Rig(
        about["focal_px"], about["baseline_mm"], about["cx"] + 0.5, about["cy"] + 0.5,
        about["doffs"], "mm",
    )  # fmt: skip
    d = load_truth(MOTORCYCLE / "disp_left.npy").disparity
    left = load(MOTORCYCLE / "left.png")
    expected = by_hand(d, rig)
    expected = expected[np.isfinite(expected).all(1)]
    bounds = np.array([expected.min(0), expected.max(0)])
    cloud = point_cloud(d, rig, left, clean=False)
    for write, axes in ((write_ply, (1, 1, 1)), (write_glb, (1, -1, -1))):
        opened = trimesh.load_scene(write(cloud, tmp_path / f"cloud.{write.__name__[-3:]}"))
        turned = np.sort(bounds * axes, axis=0)
        np.testing.assert_allclose(opened.bounds, turned, rtol=1e-3)
    assert 2 < bounds[0, 2] < bounds[1, 2] < 8  # a motorcycle in a workshop
    assert len(point_cloud(d, rig, left).points) > 0.97 * len(cloud.points)


# ---------------------------------------------------------------- the files to take away


def test_export_writes_what_can_be_read_back(tmp_path: Path) -> None:
    d = slant()
    d[3:5, 7:9] = nan
    pair = Pair(colours(), colours(), Truth(d), RIG, "A slanted wall")
    paths = export.write(result(d), pair, tmp_path)
    assert len(set(paths)) == len(paths) and all(p.stat().st_size > 0 for p in paths)
    names = {p.name for p in paths}
    assert names == {
        "disparity.png", "disparity.npy", "disparity.pfm", "matched.npy", "confidence.npy",
        "confidence.png", "occluded.png", "depth_mm.npy", "cloud.ply", "cloud.glb",
        "anaglyph.png", "autostereogram.png", "rig.json", "stereo.json",
    }  # fmt: skip
    for name in ("disparity.npy", "disparity.pfm"):
        np.testing.assert_array_equal(load_truth(tmp_path / name).disparity, d)
    np.testing.assert_allclose(load_truth(tmp_path / "disparity.png").disparity, d, atol=1 / 511)
    z = np.load(tmp_path / "depth_mm.npy")
    np.testing.assert_allclose(z, 16000 / (d + 4), rtol=1e-6)
    assert read_rig(tmp_path / "rig.json") == RIG
    cloud = trimesh.load(tmp_path / "cloud.ply")
    assert isinstance(cloud, trimesh.PointCloud)
    assert len(cloud.vertices) == np.isfinite(d).sum()
    assert (load(tmp_path / "occluded.png")[..., 0] > 0).sum() == 4
    about = json.loads((tmp_path / "stereo.json").read_text())
    assert about["unit"] == "mm" and about["notes"] == ["A note."]
    assert set(about["files"]) == names - {"stereo.json"}
    assert "in mm" in about["files"]["depth_mm.npy"]


def test_export_without_a_rig_or_an_answer(tmp_path: Path) -> None:
    d = slant()
    for folder, pair, found in (
        ("no rig", Pair(colours(), colours()), d),
        ("blank", Pair(colours(), colours(), None, RIG), np.full_like(d, nan)),
        ("tiny", Pair(colours(1, 2), colours(1, 2), None, RIG), np.ones((1, 2))),
    ):
        (tmp_path / folder).mkdir()
        names = {p.name for p in export.write(result(found), pair, tmp_path / folder)}
        assert ("rig.json" in names) == (folder != "no rig")
        assert ("cloud.ply" in names) == (folder == "tiny")
        text = (tmp_path / folder / "stereo.json").read_text()
        assert set(json.loads(text)["files"]) == names - {"stereo.json"}


def test_export_is_quick(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    d = np.tile(np.linspace(5, 60, 480, dtype=np.float32), (360, 1))
    left = rng.integers(0, 256, (360, 480, 3)).astype(np.uint8)
    start = time.process_time()
    export.write(result(d), Pair(left, left, None, RIG), tmp_path)
    assert time.process_time() - start < 3


def test_any_picture_gives_the_colours() -> None:
    from PIL import Image

    grey = colours()[..., 0]
    opaque = np.dstack([grey, grey, grey, np.full_like(grey, 255)])
    for picture in (grey, opaque, Image.fromarray(grey)):
        cloud = point_cloud(slant(), RIG, picture)
        np.testing.assert_array_equal(cloud.colours, opaque[..., :3].reshape(-1, 3))
