"""Files that lie, end early, or were never meant to be read: one sentence, soon, in little memory."""

from __future__ import annotations

import gzip
import io
import json
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import trimesh  # noqa: F401  (its import takes seconds, which no file is to blame for)
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.geometry import Cloud, Mesh, save_geometry
from core.splats import Splats, load, save
from core.types import InputError, Unavailable
from tests.test_splats_formats import ksplat, sog, some, spz, zipped

SECONDS, MEGABYTES = 1.0, 60


@contextmanager
def refused(said: str, megabytes: float = MEGABYTES) -> Iterator[None]:
    """InputError that says so, within a second and without much memory."""
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(InputError, match=said) as caught:
            yield
        taken, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text
    assert taken < SECONDS and peak < megabytes * 2**20


def written(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


# ---------------------------------------------------------------- no file, and empty ones


@pytest.mark.parametrize(
    "ending", ["ply", "splat", "spz", "ksplat", "sog", "glb", "obj", "xyz", "pcd"]
)
def test_nothing(tmp_path: Path, ending: str):
    with refused("can't be read"):
        load(tmp_path / f"none.{ending}")
    with refused("is empty"):
        load(written(tmp_path, f"empty.{ending}", b""))
    with refused("is a folder without"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["a.png", "a", "a.exe", "a.json", "a.ply"])
def test_other_kinds(tmp_path: Path, name: str):
    with refused("of no kind that can be read|isn't a .ply"):
        load(written(tmp_path, name, b"\x89PNG" + bytes(90)))


@pytest.mark.parametrize(
    "ending", ["ply", "splat", "spz", "ksplat", "sog", "glb", "stl", "off", "pcd", "xyz"]
)
@pytest.mark.parametrize("data", [bytes(4097), b"\xff" * 5000, bytes(range(256)) * 31 + b"x"])
def test_noise(tmp_path: Path, ending: str, data: bytes):
    with refused(r"\."):
        load(written(tmp_path, f"a.{ending}", data))


# ---------------------------------------------------------------- .splat, compressed .ply


def test_splat_cut_off(tmp_path: Path):
    with refused("cut off or something else"):
        load(written(tmp_path, "a.splat", bytes(33)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_splat_with_numbers_that_are_none(tmp_path: Path, value: float):
    for at in (0, 3):
        row = [0.0] * 6
        row[at] = value
        path = written(tmp_path, "a.splat", struct.pack("<6f8B", *row, *range(8)))
        if value == np.inf and at == 3:
            assert load(path)  # a splat as large as anything is one
        elif at == 3 or value != -1.0:
            with refused("broken|negative or unknown"):
                load(path)


def test_compressed_ply_lies(tmp_path: Path):
    data = save(tmp_path / "a.compressed.ply", some(600, 1)).read_bytes()
    for old, new, said in (
        (b"element vertex 600", b"element vertex 1000000000000", "promises 1,000,000,000,000"),
        (b"element chunk 3", b"element chunk 999999999999", "rows of chunk"),
        (b"element chunk 3", b"element chunk 2", "too few|cut off"),
        (b"element chunk 3", b"element chunk 0", "too few"),
        (b"element vertex 600", b"element vertex 0", "no splats"),
        (b"element sh 600", b"element sh 599", "colour that doesn't fit"),
        (b"property uchar f_rest_8\n", b"", "colour that doesn't fit"),
        (b"float min_x", b"float mini_x", "lacks columns"),
        (b"uint packed_color", b"int packed_color", "lacks columns"),
        (b"binary_little_endian", b"binary_big_endian", "isn't a compressed"),
    ):
        with refused(said):
            load(written(tmp_path, "b.ply", data.replace(old, new)))
    with refused("cut off"):
        load(written(tmp_path, "b.ply", data[:-1]))
    nan = data.replace(b"end_header\n", b"end_header\n" + b"\xff\xff\xff\x7f", 1)
    with refused("broken"):
        load(written(tmp_path, "b.ply", nan))


# ---------------------------------------------------------------- .spz


def whole(version: int = 3, **about: int) -> bytes:
    head, streams = spz(version, **about)
    return head + b"".join(streams)


def test_spz_lies(tmp_path: Path):
    with refused("no scene packs so well"):
        load(written(tmp_path, "a.spz", gzip.compress(whole(n=2**32 - 1))))
    with refused("promises 1,000 splats and is cut off"):
        load(written(tmp_path, "a.spz", gzip.compress(whole(n=1000))))
    with refused("holds no splats"):
        load(written(tmp_path, "a.spz", gzip.compress(whole(n=0))))
    with refused("version 9"):
        load(written(tmp_path, "a.spz", gzip.compress(whole()[:4] + b"\x09" + whole()[5:])))
    with refused("degree 7"):
        load(written(tmp_path, "a.spz", gzip.compress(whole()[:12] + b"\x07" + whole()[13:])))
    with refused("isn't an .spz"):
        load(written(tmp_path, "a.spz", gzip.compress(b"something else entirely")))


def test_spz_cut_off_or_damaged(tmp_path: Path):
    data = save(tmp_path / "a.spz", some(500, 1)).read_bytes()
    for end in (3, 12, 60, len(data) // 2, len(data) - 9):
        with refused("cut off|isn't an|damaged"):
            load(written(tmp_path, "b.spz", data[:end]))
    with refused("damaged"):  # a bit of the checksum
        load(written(tmp_path, "b.spz", data[:-8] + bytes([data[-8] ^ 1]) + data[-7:]))


def test_a_gzip_bomb(tmp_path: Path):
    """A gigabyte of zeros in a megabyte, behind a header that promises as much."""
    packer = gzip.zlib.compressobj(9, wbits=31)  # type: ignore[attr-defined]
    head = struct.pack("<4sIIBBBB", b"NGSP", 3, 50_000_000, 0, 12, 0, 0)
    data = packer.compress(head)
    block = bytes(1 << 22)
    data += b"".join(packer.compress(block) for _ in range(16)) + packer.flush()
    with refused("no scene packs so well"):
        load(written(tmp_path, "a.spz", data))


def four(streams: list[bytes], n: int = 1, sizes: list[int] | None = None) -> bytes:
    """An .spz of version 4 with these packed streams, and what its table claims of them."""
    head = struct.pack("<4sIIBBBBI12x", b"NGSP", 4, n, 0, 12, 0, len(streams), 32)
    sizes = sizes or [9 * n, n, 3 * n, 3 * n, 4 * n]
    table = b"".join(struct.pack("<QQ", len(s), z) for s, z in zip(streams, sizes, strict=True))
    return head + table + b"".join(streams)


def test_spz_4_lies(tmp_path: Path):
    good = [zstandard.compress(s) for s in spz(4)[1]]
    assert isinstance(load(written(tmp_path, "a.spz", four(good))), Splats)
    for data, said in (
        (four(good)[:-1], "cut off|damaged"),
        (four(good)[:40], "no whole table"),
        (four(good[:4], sizes=[9, 1, 3, 3]), "no whole table"),
        (four([*good[:1], good[0], *good[2:]]), "cut off or damaged"),  # more than it should
        (four(good, sizes=[9, 2**60, 3, 3, 4]), "doesn't fit"),
        (four(good).replace(struct.pack("<QQ", len(good[0]), 9), struct.pack("<QQ", 2**63, 9)),
         "doesn't fit"),
        (four([b"\x28\xb5\x2f\xfd" + bytes(9), *good[1:]]), "damaged"),
        (four(good, n=2**31), "no scene packs so well"),
    ):  # fmt: skip
        with refused(said):
            load(written(tmp_path, "a.spz", data))


def test_a_zstd_bomb(tmp_path: Path):
    """A frame that is far more than its place in the table, and one with a giant window."""
    n = 100
    bomb = zstandard.compress(bytes(1 << 27))
    rest = [zstandard.compress(bytes(k * n)) for k in (1, 3, 3, 4)]
    with refused("cut off or damaged"):
        load(written(tmp_path, "a.spz", four([bomb, *rest], n)))
    about = zstandard.ZstdCompressionParameters.from_level(1, window_log=27)
    wide = zstandard.ZstdCompressor(compression_params=about).compressobj()
    frame = wide.compress(bytes(9 * n)) + wide.flush()
    with refused("damaged"):
        load(written(tmp_path, "a.spz", four([frame, *rest], n)))


# ---------------------------------------------------------------- .ksplat


def test_ksplat_lies(tmp_path: Path):
    data, _ = ksplat(1)
    for at, kind, value, said in (
        (4, "<I", 2**32 - 1, "contradicts"), (4, "<I", 0, "no splats"), (20, "<H", 3, "contradicts"),
        (4096, "<I", 2**32 - 1, "promises"), (4100, "<I", 2**32 - 1, "promises"),
        (4100, "<I", 3, "promises"), (4108, "<I", 2**32 - 1, "promises"),
        (4104, "<I", 0, "buckets"), (4104, "<I", 1, "buckets"), (4128, "<I", 0, "buckets"),
        (4128, "<I", 2**32 - 1, "buckets"), (4132, "<I", 2**32 - 1, "promises"),
        (4136, "<H", 9, "degree 9"), (4116, "<H", 0, "buckets"), (4112, "<f", np.nan, "broken"),
        (0, "<B", 1, "isn't a .ksplat"), (1, "<B", 0, "isn't a .ksplat"),
    ):  # fmt: skip
        changed = bytearray(data)
        struct.pack_into(kind, changed, at, value)
        with refused(said):
            load(written(tmp_path, "a.ksplat", bytes(changed)))
    for end in (4000, 4096, 5120, len(data) - 1):
        with refused("isn't a .ksplat|contradicts|cut off"):
            load(written(tmp_path, "a.ksplat", data[:end]))


# ---------------------------------------------------------------- SOG and zips


@pytest.mark.parametrize(
    "name", ["../secret.webp", "/etc/passwd", "a/b.webp", "..", "", "c:x", "a\0b", 7]
)
def test_sog_that_reaches_outside(tmp_path: Path, name: object):
    files, _ = sog(0)
    (tmp_path / "secret.webp").write_bytes(files["l.webp"])
    meta = json.loads(files["meta.json"])
    meta["means"]["files"][0] = name
    files["meta.json"] = json.dumps(meta).encode()
    with refused("reaches outside"):
        load(written(tmp_path, "a.sog", zipped({**files, "../secret.webp": files["l.webp"]})))
    folder = tmp_path / "scene"
    folder.mkdir()
    for file, data in files.items():
        (folder / file).write_bytes(data)
    with refused("reaches outside"):
        load(folder)


def test_sog_lies(tmp_path: Path):
    files, _ = sog(1)
    meta = json.loads(files["meta.json"])

    def changed(**about: object) -> bytes:
        return zipped({**files, "meta.json": json.dumps({**meta, **about}).encode()})

    for data, said in (
        (changed(count=10**12), "promises 1,000,000,000,000 splats"),
        (changed(count=7), "has pixels for 6"), (changed(count=0), "holds no splats"),
        (changed(count="many"), "damaged meta.json"), (changed(version=3), "version 3"),
        (changed(means=5), "damaged meta.json"), (changed(scales={}), "damaged meta.json"),
        (changed(scales={"codebook": [], "files": ["s.webp"]}), "damaged meta.json"),
        (changed(scales={"codebook": [float("nan")], "files": ["s.webp"]}), "broken"),
        (changed(means={**meta["means"], "maxs": [1]}), "damaged meta.json"),
        (changed(means={**meta["means"], "maxs": [1e9] * 3}), "broken"),
        (changed(shN={**meta["shN"], "files": ["s.webp", "n.webp"]}), "of no colour degree"),
        (changed(shN={**meta["shN"], "files": ["p.webp", "s.webp"]}), "palette hasn't"),
        (changed(quats={"files": ["gone.webp"]}), "gone.webp is missing"),
        (zipped({**files, "s.webp": files["s.webp"][:30]}), "no picture, or damaged"),
        (zipped({**files, "s.webp": b"GIF89a"}), "no picture, or damaged"),
        (zipped({**files, "meta.json": b"[" * 100_000}), "damaged meta.json"),
        (zipped({**files, "meta.json": b"[]"}), "damaged meta.json"),
        (zipped({"readme.txt": b"hello"}), "zip without meta.json"),
        (zipped(files)[:-30], "damaged, cut off"),
    ):  # fmt: skip
        with refused(said):
            load(written(tmp_path, "a.sog", data))


def test_a_zip_bomb_and_a_picture_bomb(tmp_path: Path):
    files, _ = sog(0)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("meta.json", files["meta.json"])
        archive.writestr("l.webp", bytes(1 << 26))
    with refused("unpack to more"):
        load(written(tmp_path, "a.zip", out.getvalue()))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("meta.json", bytes(1 << 20))
    with refused("unusual way"):
        load(written(tmp_path, "a.zip", out.getvalue()))
    from PIL import Image

    out = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(out, "PNG")
    with refused("more pixels"):
        load(written(tmp_path, "a.sog", zipped({**files, "l.webp": out.getvalue()})))


# ---------------------------------------------------------------- every reader, shaken


def corpus(folder: Path) -> dict[str, bytes]:
    """A small valid file of every kind, by its ending."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(12, 3)).astype(np.float32)
    colours = rng.integers(0, 256, (12, 3)).astype(np.uint8)
    mesh = Mesh(points, colours, faces=rng.permutation(12).reshape(4, 3))
    made = {e: save(folder / f"a{e}", some(7, 1)).read_bytes()
            for e in (".ply", ".compressed.ply", ".splat", ".spz")}  # fmt: skip
    made[".4.spz"] = four([zstandard.compress(s) for s in spz(4)[1]])
    made[".raw.spz"] = whole(2)
    made[".1.ksplat"], made[".2.ksplat"] = ksplat(1, (0, 1))[0], ksplat(2, (2,))[0]
    made[".sog"] = zipped(sog(1)[0])
    made[".points.ply"] = save_geometry(folder / "p.ply", Cloud(points, colours)).read_bytes()
    for e in (".ply", ".obj", ".stl", ".glb"):
        made[".mesh" + e] = save_geometry(folder / f"m{e}", mesh).read_bytes()
    lines = "".join("{:g} {:g} {:g}\n".format(*p) for p in points)
    triangles = "".join("3 {} {} {}\n".format(*f) for f in mesh.faces)
    made[".off"] = f"OFF\n12 4 0\n{lines}{triangles}".encode()
    made[".xyz"] = lines.encode()
    head = "VERSION .7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 12\nHEIGHT 1\nPOINTS 12\n"
    made[".text.pcd"] = f"{head}DATA ascii\n{lines}".encode()
    made[".pcd"] = f"{head}DATA binary\n".encode() + points.tobytes()
    flat = points.T.tobytes()
    packed = b"".join(
        bytes([len(flat[k : k + 32]) - 1]) + flat[k : k + 32] for k in range(0, len(flat), 32)
    )
    made[".lzf.pcd"] = f"{head}DATA binary_compressed\n".encode()
    made[".lzf.pcd"] += struct.pack("<II", len(packed), len(flat)) + packed
    return made


KINDS = [
    ".ply", ".compressed.ply", ".splat", ".spz", ".4.spz", ".raw.spz", ".1.ksplat", ".2.ksplat",
    ".sog", ".points.ply", ".mesh.ply", ".mesh.obj", ".mesh.stl", ".mesh.glb", ".off", ".xyz",
    ".text.pcd", ".pcd", ".lzf.pcd",
]  # fmt: skip

place = st.floats(0, 1, exclude_max=True)
# the start is where the lies have most weight
where = st.one_of(place, place.map(lambda x: x**4))
edits = st.lists(
    st.one_of(
        st.tuples(st.just("set"), where, st.binary(min_size=1, max_size=8)),
        st.tuples(st.just("insert"), where, st.binary(min_size=1, max_size=8)),
        st.tuples(st.just("flip"), where, st.integers(0, 7)),
        st.tuples(st.just("cut"), where, st.integers(1, 64)),
        st.tuples(st.just("end"), place, st.none()),
    ),
    min_size=1, max_size=5,
)  # fmt: skip


def shaken(data: bytes, how: list[tuple]) -> bytes:
    out = bytearray(data)
    for what, share, value in how:
        at = int(share * len(out))
        if what == "set":
            out[at : at + len(value)] = value
        elif what == "insert":
            out[at:at] = value
        elif what == "flip" and out:
            out[at] ^= 1 << value
        elif what == "cut":
            del out[at : at + value]
        elif what == "end":
            del out[at:]
    return bytes(out)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("shaken")
    return folder, corpus(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_the_corpus_is_valid(shelf: tuple[Path, dict[str, bytes]], kind: str):
    folder, files = shelf
    assert set(files) == set(KINDS)
    assert isinstance(load(written(folder, f"good{kind}", files[kind])), Splats | Cloud)


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=40, derandomize=True, deadline=None, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(how=edits)
def test_a_shaken_file_opens_or_says_why_not(
    shelf: tuple[Path, dict[str, bytes]], kind: str, how: list[tuple]
):
    """Nothing but a scene or an InputError comes out, whatever happened to the bytes."""
    folder, files = shelf
    path = written(folder, f"shaken{kind}", shaken(files[kind], how))
    try:
        found = load(path)
    except (InputError, Unavailable) as error:
        assert str(error).endswith(".")
        return
    assert isinstance(found, Splats | Cloud) and len(found) > 0
    array = found.means if isinstance(found, Splats) else found.points
    assert np.isfinite(array).all()


def test_a_zip_with_a_name_that_is_no_utf_8(tmp_path: Path):
    files, _ = sog(0)
    data = zipped({**files, "äääää": b""}).replace("äääää".encode(), b"\xff" * 10)
    with refused("damaged, cut off"):
        load(written(tmp_path, "a.sog", data))
