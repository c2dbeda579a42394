"""One rig of cameras, written in every format, comes back as the same cameras; bad files are named."""

from __future__ import annotations

import io
import json
import struct
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from core.cameras import orbit, project
from core.nerf.bounds import from_points
from core.nerf.loading import PIXEL_BYTES, load_views, straightened
from core.nerf.rendered import from_scene
from core.nerf.training import batch_table
from core.scenes import orbit_views, scene
from core.types import Camera, InputError

PLUSH = Path(__file__).parents[2] / "shared/data/views/plush"
W, H, N = 61, 43, 9  # odd, not square
GL = np.diag([1.0, -1.0, -1.0, 1.0])
RIG = orbit((0.3, -0.2, 0.5), 3.0, N, size=(W, H), fov_deg=50)
SPOT = np.array([0.4, -0.1, 0.6])  # a point in the world


def pictures(folder: Path, mode: str = "RGB", names=None) -> None:
    """Pictures whose pixel under SPOT is red; everything else is grey."""
    for k, camera in enumerate(RIG):
        array = np.full((H, W, len(mode)), 90, np.uint8)
        if mode == "RGBA":
            array[..., 3] = 0
        x, y = np.floor(project(camera, SPOT)[0]).astype(int)
        array[y, x] = (255, 0, 0, 255)[: len(mode)]
        path = folder / (names[k] if names else f"images/{k:03d}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path)


def told(per_frame: bool = False, **more) -> dict:
    K = RIG[0].K
    lens = {"fl_x": K[0, 0], "fl_y": K[1, 1], "cx": K[0, 2], "cy": K[1, 2], "w": W, "h": H}
    frames = [
        {"file_path": f"images/{k:03d}.png", "transform_matrix": (c.c2w @ GL).tolist()}
        | (lens if per_frame else {})
        for k, c in enumerate(RIG)
    ]
    return ({} if per_frame else lens) | {"frames": frames} | more


def nerfstudio(root: Path, mode: str = "RGB", **more) -> Path:
    pictures(root, mode)
    (root / "transforms.json").write_text(json.dumps(told(**more)))
    return root


def per_frame(root: Path) -> Path:
    return nerfstudio(root, per_frame=True)


def blender(root: Path) -> Path:
    pictures(root, "RGBA", [f"train/r_{k}.png" for k in range(N)])
    rows = [
        {"file_path": f"./train/r_{k}", "transform_matrix": (c.c2w @ GL).tolist()}
        for k, c in enumerate(RIG)
    ]
    angle = 2 * np.arctan(W / 2 / RIG[0].K[0, 0])
    for split, part in (("train", rows[:7]), ("val", rows[:2]), ("test", rows[7:])):
        text = json.dumps({"camera_angle_x": angle, "frames": part})
        (root / f"transforms_{split}.json").write_text(text)
    return root


def w2c(camera: Camera) -> tuple[list[float], list[float]]:
    m = np.linalg.inv(camera.c2w)
    q = np.roll(Rotation.from_matrix(m[:3, :3]).as_quat(), 1)
    return q.tolist(), m[:3, 3].tolist()


def points() -> np.ndarray:
    return np.array([0.3, -0.2, 0.5]) + np.random.default_rng(0).uniform(-0.5, 0.5, (200, 3))


def colmap_text(root: Path) -> Path:
    pictures(root)
    at = root / "sparse/0"
    at.mkdir(parents=True)
    K = RIG[0].K
    (at / "cameras.txt").write_text(f"# c\n1 PINHOLE {W} {H} {K[0, 0]} {K[1, 1]} {W / 2} {H / 2}\n")
    lines = ["# two lines each"]
    for k, camera in enumerate(RIG):
        q, t = w2c(camera)
        lines += [" ".join(map(repr, [k + 1, *q, *t, 1])) + f" {k:03d}.png", ""]
    (at / "images.txt").write_text("\n".join(lines))
    rows = [f"{k} {x} {y} {z} 1 2 3 0.5 1 2" for k, (x, y, z) in enumerate(points())]
    (at / "points3D.txt").write_text("\n".join(rows))
    return root


def colmap_binary(root: Path) -> Path:
    pictures(root)
    at = root / "sparse/0"
    at.mkdir(parents=True)
    K = RIG[0].K
    data = struct.pack("<QiiQQ3d", 1, 7, 0, W, H, K[0, 0], W / 2, H / 2)  # SIMPLE_PINHOLE
    (at / "cameras.bin").write_bytes(data)
    data = struct.pack("<Q", N)
    for k, camera in enumerate(RIG):
        q, t = w2c(camera)
        data += struct.pack("<i7di", k + 1, *q, *t, 7) + f"{k:03d}.png".encode() + b"\0"
        data += struct.pack("<Qddq", 1, 3.0, 4.0, -1)
    (at / "images.bin").write_bytes(data)
    data = struct.pack("<Q", 200)
    for k, point in enumerate(points()):
        data += struct.pack("<Q3d3BdQii", k, *point, 1, 2, 3, 0.5, 1, 1, 0)
    (at / "points3D.bin").write_bytes(data)
    return root


def llff(root: Path) -> Path:
    pictures(root)
    rows = []
    for camera in RIG:
        right, down, ahead, eye = camera.c2w[:3].T
        m = np.column_stack([down, right, -ahead, eye, [H, W, camera.K[0, 0]]])
        rows.append([*m.ravel(), 1.5, 5.0])
    np.save(root / "poses_bounds.npy", np.array(rows))
    return root


def zipped(root: Path) -> Path:
    nerfstudio(root / "in")
    with zipfile.ZipFile(root / "a.zip", "w") as file:
        for path in (root / "in").rglob("*.*"):
            file.write(path, "capture/" + path.relative_to(root / "in").as_posix())
    return root / "a.zip"


def listed(root: Path) -> list[Path]:
    nerfstudio(root)
    return [root / "transforms.json", *(root / "images").iterdir()]


WRITERS = (nerfstudio, per_frame, blender, colmap_text, colmap_binary, llff, zipped, listed)


@pytest.mark.parametrize("write", WRITERS)
def test_every_format_gives_the_same_cameras(write, tmp_path):
    views = load_views(write(tmp_path))
    assert views.images.shape == (N, H, W, 4 if write is blender else 3)
    assert views.images.dtype == np.float32
    assert views.test == ((7, 8) if write is blender else (0, 8))
    for got, true, image in zip(views.cameras, RIG, views.images, strict=True):
        np.testing.assert_allclose(got.c2w, true.c2w, atol=1e-9)
        np.testing.assert_allclose(got.K, true.K, atol=1e-9)
        x, y = np.floor(project(got, SPOT)[0]).astype(int)
        assert image[y, x, 0] == 1 and image[y, x, 1] == 0  # the red pixel
        assert views.near < np.linalg.norm(SPOT - got.c2w[:3, 3]) < views.far
    assert (views.bounds[0] < SPOT).all() and (views.bounds[1] > SPOT).all()


def test_points_give_a_tight_box(tmp_path):
    views = load_views(colmap_binary(tmp_path))
    size = np.ptp(views.bounds, axis=0)  # the points fill a cube of 1; opaque photos: its core
    assert ((size > 0.78) & (size < 0.9)).all()
    whole = from_points(views.cameras, views.points)
    assert whole is not None
    size = np.ptp(whole[0], axis=0)
    assert ((size > 0.98) & (size < 1.25)).all()


def test_max_side_reduces_pictures_and_cameras(tmp_path):
    views = load_views(nerfstudio(tmp_path), 30)
    assert views.images.shape[1:3] == (21, 30)
    x, y = project(views.cameras[3], SPOT)[0]
    X, Y = project(RIG[3], SPOT)[0]
    np.testing.assert_allclose((x / 30, y / 21), (X / W, Y / H), atol=1e-9)


def test_undistortion_puts_a_point_where_the_new_camera_projects_it():
    """A dot drawn where the lens puts a point is found where the straight camera projects it."""
    import cv2

    K, lens = np.array([[300.0, 0, 161], [0, 310, 118], [0, 0, 1]]), (-0.2, 0.05, 0.004, -0.003, 0)
    camera = Camera(K, np.eye(4), 321, 241)
    for point in ((0.25, -0.2, 1.0), (-0.3, 0.22, 1.0), (0.0, 0.0, 1.0)):
        x, y = cv2.projectPoints(np.array([point]), np.zeros(3), np.zeros(3), K, np.array(lens))[0][
            0, 0
        ]
        yy, xx = np.mgrid[:241, :321] + 0.5  # K has the first pixel's centre at 0.5
        dot = np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / 8).astype(np.float32)
        flat, new = straightened(np.dstack([dot] * 3), camera, lens)
        assert not np.allclose(new.K, K)
        weight = flat[..., 0] / flat[..., 0].sum()
        found = (weight * xx).sum(), (weight * yy).sum()
        np.testing.assert_allclose(found, project(new, np.array(point))[0], atol=0.1)


def test_no_distortion_changes_nothing():
    picture = np.random.default_rng(0).random((5, 7, 3), np.float32)
    same, camera = straightened(picture, RIG[0], (0.0,) * 5)
    assert same is picture and camera is RIG[0]


def test_colmap_radial_is_undone(tmp_path):
    root = colmap_text(tmp_path)
    f = RIG[0].K[0, 0]
    text = f"1 SIMPLE_RADIAL {W} {H} {f} {W / 2} {H / 2} -0.1\n"
    (root / "sparse/0/cameras.txt").write_text(text)
    views = load_views(root)
    assert any("distortion" in note for note in views.notes)
    assert not np.allclose(views.cameras[0].K, RIG[0].K)


# ---------------------------------------------------------------- bad input


def spoil(key, value):
    def write(root: Path) -> Path:
        nerfstudio(root)
        data = told()
        data["frames"][2][key] = value
        (root / "transforms.json").write_text(json.dumps(data))
        return root

    return write


def replaced(name: str, data: bytes, write=nerfstudio):
    def do(root: Path) -> Path:
        (write(root) / name).write_bytes(data)
        return root

    return do


def cut(name: str, keep: int):
    def do(root: Path) -> Path:
        path = colmap_binary(root) / "sparse/0" / name
        path.write_bytes(path.read_bytes()[:keep])
        return root

    return do


def members(*entries: tuple[str, bytes], link: bool = False):
    def do(root: Path) -> Path:
        with zipfile.ZipFile(root / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
            for name, data in entries:
                info = zipfile.ZipInfo(name)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = (0o120777 if link else 0o100644) << 16
                file.writestr(info, data)
        return root / "a.zip"

    return do


def not_zip(root: Path) -> Path:
    (root / "a.zip").write_bytes(b"no zip at all")
    return root / "a.zip"


def missing_picture(root: Path) -> Path:
    (nerfstudio(root) / "images/004.png").unlink()
    return root


def few(count: int, same: bool = False):
    def do(root: Path) -> Path:
        nerfstudio(root)
        data = told()
        data["frames"] = data["frames"][:count]
        for row in data["frames"]:
            row["transform_matrix"] = np.eye(4).tolist() if same else row["transform_matrix"]
        (root / "transforms.json").write_text(json.dumps(data))
        return root

    return do


def other_size(root: Path) -> Path:
    nerfstudio(root)
    Image.new("RGB", (H, W)).save(root / "images/003.png")
    return root


HUGE = struct.pack("<Q", 2**60) + bytes(64)
BAD = {
    "not a zip": (not_zip, "zip"),
    "traversal": (members(("../../evil.png", b"x")), "outside"),
    "absolute": (members(("/etc/evil.png", b"x")), "outside"),
    "link": (members(("a.png", b"/etc/passwd"), link=True), "link"),
    "bomb": (members(("a.png", bytes(2**26))), "times its size"),
    "empty zip": (members(), "empty"),
    "missing picture": (missing_picture, "missing"),
    "no frames": (few(0), "no frames"),
    "one camera": (few(1), "one camera"),
    "one place": (few(5, same=True), "one place"),
    "singular": (spoil("transform_matrix", np.zeros((4, 4)).tolist()), "inverted"),
    "flat": (spoil("transform_matrix", np.ones((4, 4)).tolist()), "no rotation"),
    "nan": (spoil("transform_matrix", np.full((4, 4), np.nan).tolist()), "NaN"),
    "text pose": (spoil("transform_matrix", "abc"), "4×4"),
    "no path": (spoil("file_path", 3), "file_path"),
    "bad focal": (spoil("fl_x", "wide"), "number"),
    "negative focal": (spoil("fl_x", -4.0), "focal length"),
    "folding lens": (spoil("k1", 50.0), "distortion"),
    "other size": (other_size, "px, but its camera"),
    "centre outside": (spoil("cx", 4000.0), "outside"),
    "no json": (replaced("transforms.json", b"\x00{{{"), "JSON"),
    "deep json": (replaced("transforms.json", b"[" * 200_000), "JSON"),
    "json list": (replaced("transforms.json", b"[1]"), "transforms file"),
    "broken picture": (replaced("images/002.png", b"\x89PNG nothing"), "read as a picture"),
    "fisheye": (spoil("camera_model", "OPENCV_FISHEYE"), "fisheye"),
    "cut cameras": (cut("cameras.bin", 30), "cut off"),
    "cut images": (cut("images.bin", 200), "cut off"),
    "cut points": (cut("points3D.bin", 5000), "cut off"),
    "huge count": (replaced("sparse/0/images.bin", HUGE, colmap_binary), "cut off"),
    "huge points": (replaced("sparse/0/points3D.bin", HUGE, colmap_binary), "cut off"),
    "bad npy": (replaced("poses_bounds.npy", b"no", llff), "NumPy"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named_in_a_sentence(case, tmp_path):
    write, word = BAD[case]
    path = write(tmp_path)
    began = time.perf_counter()
    with pytest.raises(InputError) as caught:
        load_views(path)
    assert time.perf_counter() - began < 20  # 1 s on a quiet machine
    text = str(caught.value)
    assert word in text and text.endswith(".") and len(text) < 300 and "\n" not in text


def test_too_much_memory_is_refused_before_decoding(tmp_path, monkeypatch):
    capture, need = nerfstudio(tmp_path), N * W * H * PIXEL_BYTES
    monkeypatch.setattr("core.nerf.loading.MAX_BYTES", need)
    load_views(capture)
    monkeypatch.setattr("core.nerf.loading.MAX_BYTES", need - 1)
    with pytest.raises(InputError, match="GB of memory"):
        load_views(capture)


def test_the_memory_that_is_counted_is_what_training_keeps(tmp_path):
    views = replace(load_views(nerfstudio(tmp_path, "RGBA")), test=())
    kept = views.images.nbytes + sum(t.nbytes for t in batch_table(views, "cpu"))
    assert kept == N * W * H * PIXEL_BYTES


def test_pictures_alone_ask_for_cameras(tmp_path):
    pictures(tmp_path)
    with pytest.raises(InputError, match="no cameras"):
        load_views(tmp_path)
    with pytest.raises(InputError, match="no file or folder"):
        load_views(tmp_path / "nothing")


def test_a_zip_that_lies_about_its_size_fills_nothing(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("transforms.json", bytes(2**20))
    data = buffer.getvalue()
    at = data.rindex(b"PK\x01\x02") + 24
    (tmp_path / "a.zip").write_bytes(data[:at] + struct.pack("<I", 10) + data[at + 4 :])
    with pytest.raises(InputError):
        load_views(tmp_path / "a.zip")


# ---------------------------------------------------------------- scenes and real photos


def test_a_scene_gives_exact_held_out_cameras_and_noisy_others():
    place = scene("tabletop")
    exact = from_scene(place, 20, (17, 13), held_out=3)
    noisy = from_scene(place, 20, (17, 13), pose_noise_deg=2, held_out=3)
    assert exact.images.shape == (23, 13, 17, 3) and exact.test == (20, 21, 22)
    truth, cameras = orbit_views(place, 20, (17, 13), 0)
    np.testing.assert_array_equal(exact.images[:20], truth.astype(np.float32) / 255)
    np.testing.assert_array_equal(noisy.images, exact.images)
    angles = []
    for k, (a, b) in enumerate(zip(exact.cameras, noisy.cameras, strict=True)):
        np.testing.assert_array_equal(a.c2w[:3, 3], b.c2w[:3, 3])
        turn = Rotation.from_matrix(a.c2w[:3, :3].T @ b.c2w[:3, :3]).magnitude()
        angles.append(np.degrees(turn))
        if k < 20:
            np.testing.assert_array_equal(a.c2w, cameras[k].c2w)
    assert max(angles[20:]) < 1e-6
    assert 1.5 < np.sqrt(np.mean(np.square(angles[:20]))) < 2.5
    low, high = exact.bounds
    for thing in place.things[1:]:
        assert (low < thing.position).all() and (thing.position < high).all()
    assert 0 < exact.near < 2.8 < exact.far <= 28  # ten times the eye's distance: no horizon


def test_too_few_views_of_a_scene():
    with pytest.raises(InputError):
        from_scene(scene("tabletop"), 1)


@pytest.mark.skipif(not PLUSH.is_dir(), reason="needs shared/data/views/plush")
def test_plush_loads():
    views = load_views(PLUSH)
    assert views.images.shape == (49, 371, 494, 3) and len(views.test) == 7


@pytest.mark.parametrize(
    ("write", "word"),
    [
        (lambda root: nerfstudio(root, test_filenames=3), "list of names"),
        (spoil("fl_x", 10**400), "finite"),
        (spoil("transform_matrix", [[10**400] * 4] * 4), "4×4"),
    ],
)
def test_numbers_out_of_place_or_of_any_float(write, word, tmp_path):
    with pytest.raises(InputError, match=word):
        load_views(write(tmp_path))


def test_a_box_that_no_float_can_hold_is_passed_over(tmp_path):
    views = load_views(nerfstudio(tmp_path, aabb=[[0, 0, 0], [10**400] * 3]))
    assert np.isfinite(views.bounds).all()


def test_one_size_is_a_square():
    sides: list = [13, np.int64(13)]
    for side in sides:
        assert from_scene(scene("tabletop"), 2, side, held_out=0).images.shape == (2, 13, 13, 3)
