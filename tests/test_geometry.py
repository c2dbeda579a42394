"""Points and surfaces: what each format means, textures baked, and the way back."""

from __future__ import annotations

import base64
import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from core.geometry import (
    GREY,
    Cloud,
    Mesh,
    load_geometry,
    save_geometry,
    to_linear,
    to_srgb,
    upright,
)
from core.points import read_pcd
from core.splats import load
from core.types import InputError, Unavailable

DATA = Path(__file__).parents[2] / "shared/data/meshes"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs shared/data/meshes")
POINTS = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]], np.float32)
COLOURS = np.array([[255, 0, 0], [0, 128, 0], [0, 0, 64], [200, 100, 50]], np.uint8)
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)
CLOUD, MESH = Cloud(POINTS, COLOURS), Mesh(POINTS, COLOURS, faces=FACES)


def corners(mesh: Cloud) -> np.ndarray:
    """(F, 3, 3) the triangles themselves, in order: files may number their corners anew."""
    assert isinstance(mesh, Mesh)
    return np.array(sorted(mesh.points[mesh.faces].tolist()))


# ---------------------------------------------------------------- there and back


@pytest.mark.parametrize("ending", [".ply", ".obj", ".stl", ".glb"])
def test_a_mesh_comes_back(tmp_path: Path, ending: str):
    back = load(save_geometry(tmp_path / f"a{ending}", MESH))
    assert isinstance(back, Mesh) and back.points.dtype == np.float32
    assert back.faces.dtype == np.int32 and back.faces.shape == (4, 3)
    up = (0, 1, 0) if ending in (".glb", ".obj") else (0, 0, 1)
    assert back.up == up
    truth = MESH
    if ending == ".glb":  # z up becomes y up
        truth = Mesh(POINTS @ upright((0, 0, 1)).T.astype(np.float32), COLOURS, faces=FACES)
        assert truth.points[3].tolist() == [0, 3, 0] and truth.points[2].tolist() == [0, 0, -2]
    assert corners(back) == pytest.approx(corners(truth), abs=1e-6)
    if ending == ".stl":
        assert len(back.points) == 4 and (back.colours == GREY).all()  # joined again
        return
    order = [int(np.linalg.norm(back.points - p, axis=1).argmin()) for p in truth.points]
    # through linear bytes, the dark ones lose most
    assert np.abs(back.colours[order].astype(int) - COLOURS).max() <= (6 if ending == ".glb" else 1)


@pytest.mark.parametrize("ending", [".ply", ".glb", ".obj"])
def test_a_cloud_comes_back(tmp_path: Path, ending: str):
    path = save_geometry(tmp_path / f"a{ending}", CLOUD)
    if ending == ".obj":
        lines = path.read_text().splitlines()
        assert lines[1] == "v 1 0 0 0 0.502 0" and len(lines) == 4
        return
    back = load(path)
    assert type(back) is Cloud and back.points.shape == (4, 3)
    turned = POINTS @ upright((0, 0, 1)).T if ending == ".glb" else POINTS
    assert back.points == pytest.approx(turned, abs=1e-6)
    assert np.abs(back.colours.astype(int) - COLOURS).max() <= (6 if ending == ".glb" else 0)


def test_what_cannot_be_written(tmp_path: Path):
    with pytest.raises(InputError, match="holds triangles"):
        save_geometry(tmp_path / "a.stl", CLOUD)
    with pytest.raises(InputError, match=r"Choose \.ply"):
        save_geometry(tmp_path / "a.fbx", MESH)


@pytest.mark.parametrize(
    "up", [(0, 0, 1), (0, 1, 0), (0, -1, 0), (0, 0, -1), (1, 0, 0), (0.6, 0, 0.8)]
)
def test_upright_is_a_rotation_to_y(up: tuple[float, float, float]):
    turn = upright(up)
    assert turn @ up == pytest.approx([0, 1, 0], abs=1e-9)
    assert turn @ turn.T == pytest.approx(np.eye(3), abs=1e-9)
    assert np.linalg.det(turn) == pytest.approx(1)


def test_light_and_colour():
    every = np.arange(256, dtype=np.uint8)
    assert to_linear(every)[[0, 128, 188, 255]].tolist() == [0, 55, 128, 255]
    assert to_srgb(every)[[0, 55, 128, 255]].tolist() == [0, 128, 188, 255]


# ---------------------------------------------------------------- formats by hand


def test_off_xyz_and_names_of_other_kinds(tmp_path: Path):
    (tmp_path / "a.off").write_text("OFF\n# a comment\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    off = load(tmp_path / "a.off")
    assert isinstance(off, Mesh) and off.faces.tolist() == [[0, 1, 2]] and off.up == (0, 1, 0)
    (tmp_path / "a.xyz").write_text("2\n1 2 3 255 0 7\nnan 0 0 1 1 1\n4,5,6,0,1,2\n")
    xyz = load(tmp_path / "a.xyz")
    assert xyz.points.tolist() == [[1, 2, 3], [4, 5, 6]]  # type: ignore[union-attr]
    assert xyz.colours.tolist() == [[255, 0, 7], [0, 1, 2]]  # type: ignore[union-attr]
    (tmp_path / "n.xyz").write_text("1 2 3 -0.5 0 0.5\n")
    assert load_geometry(tmp_path / "n.xyz").colours.tolist() == [list(GREY)]  # normals
    glb = save_geometry(tmp_path / "a.glb", MESH)
    assert isinstance(load(glb.rename(tmp_path / "b.bin")), Mesh)
    with pytest.raises(InputError, match="of no kind"):
        load_geometry(tmp_path / "b.bin")


def pcd(form: str, n: int = 3) -> bytes:
    table = np.zeros(n, [("x", "<f4"), ("n", "<f4", 2), ("y", "<f4"), ("z", "<f4"), ("rgb", "<u4")])
    table["x"], table["y"], table["z"] = 1 + np.arange(n), 5, np.nan
    table["z"][: n - 1] = 7
    table["rgb"] = 0x112233
    head = (
        f"# .PCD\nVERSION .7\nFIELDS x normal y z rgb\nSIZE 4 4 4 4 4\nTYPE F F F F U\n"
        f"COUNT 1 2 1 1 1\nWIDTH {n}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {n}\nDATA {form}\n"
    ).encode()
    if form == "ascii":
        rows = (f"{r['x']} 0 0 {r['y']} {r['z']} {r['rgb']}" for r in table)
        return head + "\n".join(rows).encode()
    if form == "binary":
        return head + table.tobytes()
    flat = b"".join(np.ascontiguousarray(table[f]).tobytes() for f in table.dtype.names or ())
    # x as it is; then 24 zeros: one literal, the rest repeated from one byte back; then the rest
    packed = bytes([11]) + flat[:12] + b"\x00\x00" + bytes([7 << 5, 23 - 9, 0])
    packed += bytes([31]) + flat[36:68] + bytes([3]) + flat[68:]
    return head + struct.pack("<II", len(packed), len(flat)) + packed


@pytest.mark.parametrize("form", ["ascii", "binary", "binary_compressed"])
def test_pcd_by_hand(tmp_path: Path, form: str):
    (tmp_path / "a.pcd").write_bytes(pcd(form))
    cloud = load(tmp_path / "a.pcd")
    assert type(cloud) is Cloud
    assert cloud.points.tolist() == [[1, 5, 7], [2, 5, 7]]  # the third is no point
    assert cloud.colours.tolist() == [[0x11, 0x22, 0x33]] * 2


def test_pcd_lies():
    for form in ("ascii", "binary", "binary_compressed"):
        data = pcd(form)
        with pytest.raises(InputError, match="promises 999,999,999,999 points and is cut off"):
            read_pcd(data.replace(b"POINTS 3", b"POINTS 999999999999"), "a.pcd")
        with pytest.raises(InputError, match="cut off"):
            read_pcd(data[:-25], "a.pcd")
    with pytest.raises(InputError, match="header is damaged"):
        read_pcd(data.replace(b"TYPE F F F F U", b"TYPE F F F F X"), "a.pcd")
    with pytest.raises(InputError, match="holds no points"):
        read_pcd(data.replace(b"FIELDS x", b"FIELDS w"), "a.pcd")


def test_3mf_and_dae(tmp_path: Path):
    box = trimesh.creation.box((1, 2, 3))
    path = tmp_path / "a.3mf"
    path.write_bytes(trimesh.Scene([box]).export(file_type="3mf"))  # type: ignore[arg-type]
    mesh = load(path)
    assert isinstance(mesh, Mesh) and mesh.faces.shape == (12, 3)
    assert np.ptp(mesh.points, axis=0).tolist() == [1, 2, 3]
    (tmp_path / "a.dae").write_bytes(box.export(file_type="dae"))  # type: ignore[arg-type]
    mesh = load(tmp_path / "a.dae")
    assert isinstance(mesh, Mesh) and np.ptp(mesh.points, axis=0).tolist() == [1, 2, 3]


def test_a_texture_is_baked(tmp_path: Path):
    """Left half red, right half blue, on a square of two triangles: cut up, or it would be lost."""
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[:, :8, 0], picture[:, 8:, 2] = 255, 255
    Image.fromarray(picture).save(tmp_path / "t.png")
    (tmp_path / "m.mtl").write_text("newmtl one\nmap_Kd t.png\n")
    (tmp_path / "a.obj").write_text(
        "mtllib m.mtl\nusemtl one\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
        "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nf 1/1 2/2 3/3\nf 1/1 3/3 4/4\n"
    )
    mesh = load(tmp_path / "a.obj")
    assert isinstance(mesh, Mesh) and len(mesh.faces) > 100
    left, right = mesh.points[:, 0] < 0.49, (mesh.points[:, 0] > 0.51) & (mesh.points[:, 0] < 0.99)
    assert (mesh.colours[left & (mesh.points[:, 0] > 0)] == (255, 0, 0)).all()
    assert (mesh.colours[right] == (0, 0, 255)).all()
    (tmp_path / "m.mtl").unlink()
    plain = load(tmp_path / "a.obj")
    assert isinstance(plain, Mesh) and len(plain.faces) == 2 and (plain.colours == GREY).all()


def test_parts_of_a_scene_stand_where_they_belong(tmp_path: Path):
    box = trimesh.creation.box((1, 1, 1))
    scene = trimesh.Scene()
    for x in (0, 10):
        scene.add_geometry(
            box, geom_name="box", transform=trimesh.transformations.translation_matrix((x, 0, 0))
        )
    (tmp_path / "a.glb").write_bytes(scene.export(file_type="glb"))  # type: ignore[arg-type]
    mesh = load(tmp_path / "a.glb")
    assert isinstance(mesh, Mesh) and len(mesh.faces) == 24
    assert (mesh.points.min(0)[0], mesh.points.max(0)[0]) == (-0.5, 10.5)
    assert mesh.faces[:12].max() < len(mesh.points) // 2 <= mesh.faces[12:].min()


def test_las_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.las").write_bytes(b"LASF" + bytes(300))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Unavailable, match=r"needs the package laspy.*Export it as"):
        load(tmp_path / "a.las")


# ---------------------------------------------------------------- checks


def test_clouds_and_meshes_check_themselves():
    for points, colours, said in (
        (np.zeros((0, 3)), np.zeros((0, 3), np.uint8), "single point"),
        (np.zeros((2, 2)), np.zeros((2, 2), np.uint8), "single point"),
        (POINTS, COLOURS[:3], "as many colours"),
        (POINTS, COLOURS / 255, "as many colours"),
        (POINTS * np.nan, COLOURS, "NaN or infinite"),
        (POINTS.astype(np.float64) * 1e300, COLOURS, "NaN or infinite"),
    ):
        with pytest.raises(InputError, match=said):
            Cloud(points, colours)
    for faces in (np.zeros((0, 3), int), np.array([[0, 1, 4]]), np.array([[0, 1, -1]])):
        with pytest.raises(InputError, match=r"single triangle|don't exist"):
            Mesh(POINTS, COLOURS, faces=faces)


def gltf(tree: dict) -> bytes:
    return json.dumps({"asset": {"version": "2.0"}, **tree}).encode()


def test_gltf_lies(tmp_path: Path):
    float3 = {"componentType": 5126, "type": "VEC3"}
    one = {"primitives": [{"attributes": {"POSITION": 0}}]}
    uri = "data:application/octet-stream;base64," + base64.b64encode(POINTS[:3].tobytes()).decode()
    held = {"buffers": [{"byteLength": 36, "uri": uri}],
            "bufferViews": [{"buffer": 0, "byteLength": 36}]}  # fmt: skip
    good = {**held, "accessors": [{**float3, "count": 3, "bufferView": 0}], "meshes": [one],
            "nodes": [{"mesh": 0}], "scenes": [{"nodes": [0]}], "scene": 0}  # fmt: skip
    path = tmp_path / "a.gltf"
    path.write_bytes(gltf(good))
    assert len(load(path)) == 3  # type: ignore[arg-type]
    secret = tmp_path / "secret.bin"
    secret.write_bytes(POINTS.tobytes())
    (tmp_path / "in").mkdir()
    for change, said in (
        ({"accessors": [{**float3, "count": 10**10}]}, "claims more"),
        ({"accessors": [{**float3, "count": -5}]}, "damaged"),
        ({"accessors": [{**float3, "count": 10**6, "bufferView": 0}],
          "nodes": [{"mesh": 0}] * 100}, "claims more"),
        ({"meshes": 7}, "damaged"), ({"nodes": [{"mesh": 9}]}, "damaged"),
        ({"buffers": [{"byteLength": 36, "uri": "../secret.bin"}]}, "damaged"),
        ({"buffers": [{"byteLength": 36, "uri": str(secret)}]}, "damaged"),
    ):  # fmt: skip
        inside = tmp_path / "in" / "a.gltf"
        inside.write_bytes(gltf({**good, **change}))
        with pytest.raises(InputError, match=said):
            load(inside)


def test_other_lies(tmp_path: Path):
    cases = {
        "a.ply": b"ply\nformat ascii 1.0\nelement vertex 999999999999\nproperty float x\n"
                 b"property float y\nproperty float z\nend_header\n0 0 0\n",
        "b.ply": b"ply\nformat binary_little_endian 1.0\nelement vertex 1\nproperty float x\n"
                 b"property float y\nproperty float z\nelement face 999999999\n"
                 b"property list uchar int vertex_indices\nend_header\n" + bytes(12),
        "a.stl": b"x" * 80 + struct.pack("<I", 2**32 - 1) + bytes(50),
        "a.off": b"OFF\n999999999999 999999999999 0\n0 0 0\n",
        "b.off": b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 99\n",
        "a.obj": b"v 0 0 0\nv 1 0 0\nf 1 2 999999999\n",
        "a.glb": b"glTF" + struct.pack("<IIII", 2, 2**31, 2**31, 0x4E4F534A),
        "a.dae": b'<!DOCTYPE a [<!ENTITY x "y">]><COLLADA/>',
        "a.3mf": b"PK\x03\x04" + bytes(100),
        "a.xyz": b"one two three\nfour five six\n",
    }  # fmt: skip
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError):
            load(tmp_path / name)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("3D/3dmodel.model", bytes(1 << 25))
    (tmp_path / "b.3mf").write_bytes(bomb.getvalue())
    with pytest.raises(InputError, match="claims more"):
        load(tmp_path / "b.3mf")


def test_a_texture_too_large_for_its_bytes(tmp_path: Path):
    Image.new("1", (9000, 9000)).save(tmp_path / "t.png")
    (tmp_path / "m.mtl").write_text("newmtl one\nmap_Kd t.png\n")
    (tmp_path / "a.obj").write_text(
        "mtllib m.mtl\nusemtl one\nv 0 0 0\nv 1 0 0\nv 1 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nf 1/1 2/2 3/3\n"
    )
    with pytest.raises(InputError, match="more pixels"):
        load(tmp_path / "a.obj")


# ---------------------------------------------------------------- real files

FILES = {
    "BoxTextured.glb": (None, "mesh"), "bunny.off": (3485, 6966), "example_1.ply": (20055, None),
    "featuretype.STL": (None, 3476), "points_ascii.ply": (5, None),
    "points_emptyface.ply": (1024, None), "spot.obj": (2930, 5856), "teapot.obj": (3644, 6320),
}  # fmt: skip


@needs_data
@pytest.mark.parametrize("name", FILES)
def test_every_file_opens_and_is_plausible(name: str):
    found = load(DATA / name)
    points, faces = FILES[name]
    assert isinstance(found, Mesh if faces else Cloud)
    assert type(found) is (Mesh if faces else Cloud)
    assert points in (None, len(found))
    if isinstance(found, Mesh) and faces != "mesh":
        assert len(found.faces) == faces
    span = np.ptp(found.points, axis=0)
    assert span.max() < 1000 and span.min() > 0
    if name == "BoxTextured.glb":  # white, green and blue
        for colour in ((212, 212, 212), (75, 120, 30), (85, 155, 215)):
            assert (np.abs(found.colours.astype(int) - colour).max(1) < 12).mean() > 0.05
    if name == "example_1.ply":
        assert found.colours.std() > 10


@needs_data
def test_every_file_there_has_its_test():
    assert {p.name for p in DATA.iterdir()} == set(FILES)
