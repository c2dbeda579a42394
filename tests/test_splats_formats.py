"""Files of splats: what their bytes mean, by hand; the way back within each format's steps."""

from __future__ import annotations

import functools
import gzip
import io
import json
import math
import shutil
import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.cameras import look_at
from core.metrics import psnr
from core.splats import (
    FORMATS,
    WRITERS,
    Cloud,
    Mesh,
    RenderSettings,
    Splats,
    conversions,
    convert,
    load,
    render,
    save,
)
from core.splats.compressed_ply import GROUP, morton_order
from core.splats.conversion import around, dropped
from core.splats.harmonics import Y0, basis
from core.splats.packing import from_smallest_three, smallest_three
from core.splats.spz import SH_STEPS, TURNED, position_bits
from core.types import InputError

DATA = Path(__file__).parents[2] / "shared/data/splats"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs shared/data/splats")
DEGREES = [0, 1, 2, 3]


def some(n: int, degree: int = 0, seed: int = 0) -> Splats:
    """Random splats with numbers that every format can hold."""
    rng = np.random.default_rng(seed)
    first = rng.uniform(-1.6, 1.6, (n, 1, 3))
    rest = rng.uniform(-0.9, 0.9, (n, (degree + 1) ** 2 - 1, 3))
    return Splats(
        rng.normal(size=(n, 3)) * 3, rng.uniform(-9, 3, (n, 3)), rng.normal(size=(n, 4)),
        rng.normal(size=n) * 2, np.concatenate([first, rest], 1),
    )  # fmt: skip


def turn_deg(a: Splats, b: Splats) -> np.ndarray:
    """(N,) by how much each splat is turned, of q or −q whichever is nearer."""
    close = np.abs((a.unit_quats.astype(np.float64) * b.unit_quats).sum(1)).clip(0, 1)
    return np.degrees(2 * np.arccos(close))


def off(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(np.float64) - b).max())


# ---------------------------------------------------------------- bytes, by hand


def test_a_splat_by_hand(tmp_path: Path):
    row = struct.pack("<6f8B", 1, -2, 3, 0.5, 1, 2, 0, 255, 51, 204, 255, 128, 128, 64)
    path = tmp_path / "a.splat"
    path.write_bytes(row)
    s = load(path)
    assert isinstance(s, Splats) and len(s) == 1 and s.degree == 0
    assert s.means.tolist() == [[1, -2, 3]]
    assert s.scales_m == pytest.approx(np.array([[0.5, 1, 2]]), rel=1e-6)
    assert 0.5 + Y0 * s.sh[0, 0] == pytest.approx([0, 1, 0.2], abs=1e-6)
    assert s.opacities == pytest.approx([0.8], abs=1e-6)
    assert s.quats[0] == pytest.approx([127 / 128, 0, 0, -0.5])


def spz(version: int, n: int = 1, degree: int = 0, bits: int = 12) -> tuple[bytes, list[bytes]]:
    """Header and streams of an .spz whose only splat is known."""
    places = b"\x00\x10\x00\x00\xf0\xff\x00\x08\x00"  # 4096, −4096, 2048
    if version == 1:
        places = struct.pack("<3e", 1, -1, 0.5)
    turns = bytes([128, 128, 255]) if version < 3 else struct.pack("<I", 2 << 30 | 511 << 20)
    waves = bytes(range(128, 128 + 3 * ((degree + 1) ** 2 - 1)))
    head = struct.pack("<4sIIBBBB", b"NGSP", version, n, degree, bits, 0, 5 + (degree > 0))
    streams = [places, b"\xcc", bytes([0, 255, 127]), bytes([160, 144, 176]), turns]
    return head, streams + [waves] * (degree > 0)


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_an_spz_by_hand(tmp_path: Path, version: int):
    head, streams = spz(version, degree=1)
    if version < 4:
        data = gzip.compress(head + b"".join(streams))
    else:
        import zstandard

        packed = [zstandard.compress(s) for s in streams]
        table = b"".join(
            struct.pack("<QQ", len(p), len(s)) for p, s in zip(packed, streams, strict=True)
        )
        data = head + struct.pack("<I12x", 32) + table + b"".join(packed)
    (tmp_path / "a.spz").write_bytes(data)
    s = load(tmp_path / "a.spz")
    assert isinstance(s, Splats)
    assert s.means.tolist() == [[1, 1, -0.5]]  # y and z flipped
    assert s.log_scales.tolist() == [[0, -1, 1]]
    assert s.opacities == pytest.approx([0.8], abs=1e-6)
    assert s.sh[0, 0] == pytest.approx([-0.5 / 0.15, 0.5 / 0.15, -0.5 / 255 / 0.15], abs=1e-5)
    # waves y, z, x: the first two change their sign
    assert s.sh[0, 1:] == pytest.approx(np.array([[0, -1, -2], [-3, -4, -5], [6, 7, 8]]) / 128)
    if version < 3:  # z = 1, w what is left
        assert s.unit_quats[0] == pytest.approx([0, 0, 0, -1], abs=0.01)
    else:  # x = 1/√2, z the largest: half a turn about x + z, its z flipped
        assert s.unit_quats[0] == pytest.approx([0, math.sqrt(0.5), 0, -math.sqrt(0.5)], abs=1e-6)


def test_waves_turn_as_the_world_does():
    import torch

    d = torch.from_numpy(np.random.default_rng(0).normal(size=(50, 3)))
    d /= d.norm(dim=1, keepdim=True)
    turned = basis(d * torch.tensor([1.0, -1, -1]), 3)
    assert torch.allclose(turned, basis(d, 3) * torch.from_numpy(TURNED))


def test_a_compressed_ply_by_hand(tmp_path: Path):
    head = ["ply", "format binary_little_endian 1.0", "element chunk 1"]
    boxes = [f"{e}_{w}{a}" for w in ("", "scale_") for e in ("min", "max") for a in "xyz"]
    head += [f"property float {name}" for name in boxes]
    head += ["element vertex 1"]
    head += [f"property uint packed_{c}" for c in ("position", "rotation", "scale", "color")]
    head += ["element sh 1"] + [f"property uchar f_rest_{k}" for k in range(9)] + ["end_header", ""]
    box = struct.pack("<12f", 0, 0, 0, 2047, 1023, 2047, -2, -2, -2, 0, 0, 0)
    words = struct.pack(
        "<4I", 1 << 21 | 2 << 11 | 3, 1 << 30 | 1023 << 20 | 512 << 10 | 512,
        2047 << 21 | 0 << 11 | 2047, 255 << 24 | 0 << 16 | 51 << 8 | 204,
    )  # fmt: skip
    waves = bytes([0, 255, 128, 127, 160, 128, 128, 128, 96])
    path = tmp_path / "a.ply"
    path.write_bytes("\n".join(head).encode() + box + words + waves)
    s = load(path)
    assert isinstance(s, Splats)
    assert s.means[0] == pytest.approx([1, 2, 3])
    assert s.log_scales[0] == pytest.approx([0, -2, 0])
    assert 0.5 + Y0 * s.sh[0, 0] == pytest.approx([1, 0, 0.2], abs=1e-6)
    assert s.opacities == pytest.approx([0.8], abs=1e-6)
    assert s.unit_quats[0] == pytest.approx([math.sqrt(0.5), math.sqrt(0.5), 0, 0], abs=2e-3)
    red, green, blue = s.sh[0, 1:].T
    assert red == pytest.approx([-4, 4, 1 / 64])
    assert green == pytest.approx([-1 / 64, 65 / 64, 1 / 64])
    assert blue == pytest.approx([1 / 64, 1 / 64, -63 / 64])


def test_smallest_three_and_back():
    quats = np.random.default_rng(1).normal(size=(400, 4))
    quats /= np.linalg.norm(quats, axis=1, keepdims=True)
    largest, three = smallest_three(quats)
    assert np.abs(three).max() <= math.sqrt(0.5) + 1e-12
    back = from_smallest_three(largest, three)
    assert np.abs((back * quats).sum(1)) == pytest.approx(np.ones(400), abs=1e-6)
    assert set(largest) == {0, 1, 2, 3}


# ---------------------------------------------------------------- there and back


@pytest.mark.parametrize("degree", DEGREES)
def test_ply_is_exact(tmp_path: Path, degree: int):
    splats = some(311, degree)
    back = load(save(tmp_path / "a.ply", splats))
    for name, array in vars(splats).items():
        assert getattr(back, name).tobytes() == array.tobytes(), name


def test_splat_within_its_steps(tmp_path: Path):
    splats = some(997, 2)
    path = save(tmp_path / "a.splat", splats)
    back = load(path)
    assert isinstance(back, Splats) and path.stat().st_size == 32 * 997
    assert back.means.tobytes() == splats.means.tobytes()
    assert back.scales_m == pytest.approx(splats.scales_m, rel=1e-5)
    assert off(back.opacities, splats.opacities) <= 0.5001 / 255
    assert Y0 * off(back.sh[:, 0], splats.sh[:, 0]) <= 0.5001 / 255
    # each of four numbers is off by up to half a step of 1/128, 127/128 by a whole one
    assert turn_deg(back, splats).max() <= np.degrees(2 * 2 * 1 / 128)


@pytest.mark.parametrize("degree", DEGREES)
@pytest.mark.parametrize("size_m", [0.001, 3.0, 5000.0])
def test_spz_within_its_steps(tmp_path: Path, degree: int, size_m: float):
    splats = some(997, degree)
    splats = Splats(**{**vars(splats), "means": splats.means * (size_m / 3)})
    back = load(save(tmp_path / "a.spz", splats))
    assert isinstance(back, Splats) and back.degree == degree
    step = 2.0 ** -position_bits(splats.means)
    assert step <= np.abs(splats.means).max() / 2**13  # small scenes keep their shape
    assert off(back.means, splats.means) <= 0.5001 * step + 1e-6 * size_m
    assert off(back.log_scales, splats.log_scales) <= 0.5001 / 16
    assert off(back.opacities, splats.opacities) <= 0.5001 / 255
    assert off(back.sh[:, 0], splats.sh[:, 0]) <= 0.5001 / 255 / 0.15
    for k in range(1, degree + 1):
        own = slice(k * k, (k + 1) ** 2)
        assert off(back.sh[:, own], splats.sh[:, own]) <= 0.5001 * SH_STEPS[k - 1] / 128
    assert turn_deg(back, splats).max() <= 0.3


@pytest.mark.parametrize("degree", DEGREES)
@pytest.mark.parametrize("n", [1, GROUP - 1, GROUP, GROUP + 1, 3 * GROUP + 7])
def test_compressed_ply_within_its_steps(tmp_path: Path, degree: int, n: int):
    splats = some(n, degree)
    back = load(save(tmp_path / "a.compressed.ply", splats))
    splats = splats.some(morton_order(splats.means))
    assert isinstance(back, Splats) and back.degree == degree and len(back) == n
    for first in range(0, n, GROUP):
        own = slice(first, first + GROUP)
        for name in ("means", "log_scales"):
            a, b = getattr(splats, name)[own], getattr(back, name)[own]
            steps = np.ptp(a, axis=0) / (2047, 1023, 2047)
            assert (np.abs(a - b) <= 0.5001 * steps + 1e-5).all(), name
        a, b = splats.sh[own, 0], back.sh[own, 0]
        assert (np.abs(a - b) <= 0.5001 * np.ptp(a, axis=0) / 255 + 1e-5).all()
    assert off(back.opacities, splats.opacities) <= 0.5001 / 255
    if degree:
        assert off(back.sh[:, 1:], splats.sh[:, 1:]) <= 1.001 / 64
    assert turn_deg(back, splats).max() <= 0.3


@pytest.mark.parametrize("ending", WRITERS)
def test_numbers_at_the_edges_come_back(tmp_path: Path, ending: str):
    """Opacity 0 and 1, colours out of range, needles, and the identity turned about."""
    splats = Splats(
        np.zeros((2, 3)), np.array([[-60, 60, 0], [88, -88, 0]]), np.array([[-1, 0, 0, 0], [0, 0, 9, 0]]),
        np.array([-200, 200]), np.array([[[9, -9, 0]], [[0, 0, 0]]]),
    )  # fmt: skip
    back = load(save(tmp_path / f"a{ending}", splats))
    assert isinstance(back, Splats)
    assert back.opacities == pytest.approx([0, 1], abs=1e-5)
    assert turn_deg(back, splats).max() < 0.3
    assert ((0.5 + Y0 * back.sh[0, 0])[:2] * (1, -1) > (0.99, -0.01)).all()


def test_a_scene_too_large_for_spz(tmp_path: Path):
    far = Splats(**{**vars(some(2)), "means": np.full((2, 3), 1e7)})
    with pytest.raises(InputError, match="beyond 4,000 km"):
        save(tmp_path / "a.spz", far)
    with pytest.raises(InputError, match=r"End it with \.compressed\.ply"):
        save(tmp_path / "a.ksplat", far)


half_a_million = functools.cache(lambda: some(500_000))


@pytest.mark.parametrize("ending", WRITERS)
def test_half_a_million_in_two_seconds(tmp_path: Path, ending: str):
    path = save(tmp_path / f"a{ending}", half_a_million())
    start = time.process_time()  # of this process: other work on the machine doesn't count
    assert len(load(path)) == 500_000  # type: ignore[arg-type]
    assert time.process_time() - start < 2


# ---------------------------------------------------------------- ksplat and SOG


def ksplat(level: int, degrees: tuple[int, ...] = (0,), n: int = 7) -> tuple[bytes, list[Splats]]:
    """A .ksplat with a section for each degree: two full buckets of three and one of one."""
    sections, bodies, truths = [], [], []
    rng = np.random.default_rng(level)
    for degree in degrees:
        middles = np.array([[0, 0, 0], [10, 0, 0], [0, -10, 5]], "<f4")
        steps = rng.integers(0, 65535, (n, 3)).astype("<u2")
        places = (steps - 32767.0) * (5 / 2 / 32767) + middles[[0, 0, 0, 1, 1, 1, 2]]
        scales, quats = rng.uniform(0.1, 2, (n, 3)), rng.normal(size=(n, 4))
        rgba = rng.integers(1, 255, (n, 4)).astype("u1")
        k = (degree + 1) ** 2 - 1
        rest = rng.integers(0, 256, (n, k, 3)).astype("u1")
        waves = -1.5 + rest * (3 / 255)
        bands = [(0, 3), (3, 8), (8, 15)][:degree]  # a degree's red, its green, its blue
        order = [3 * w + channel for a, b in bands for channel in range(3) for w in range(a, b)]
        order = np.array(order, int)
        flat = (waves if level < 2 else rest).reshape(n, -1)[:, order]
        number = "<f4" if level == 0 else "<f2"
        columns = [
            places.astype("<f4") if level == 0 else steps, scales.astype(number),
            quats.astype(number), rgba, flat.astype(("<f4", "<f2", "u1")[level]),
        ]  # fmt: skip
        rows = np.concatenate(
            [np.ascontiguousarray(c).view("u1").reshape(n, -1) for c in columns], 1
        )
        bodies.append(struct.pack("<I", 1) + middles.tobytes() + rows.tobytes())
        sections.append(struct.pack("<4IfHxxIIIIH", n, n, 3, 3, 5.0, 12, 32767, 0, 2, 1, degree))
        sh = np.concatenate([(rgba[:, None, :3] / 255 - 0.5) / Y0, waves], 1)
        share = rgba[:, 3] / 255.0
        truths.append(Splats(places, np.log(scales), quats, np.log(share / (1 - share)), sh))
    head = struct.pack("<BBHIIIIHHfffffff", 0, 1, 0, len(degrees), 0, 0, 0, level, 0,
                       0, 0, 0, -1.5, 1.5, 0, 0)  # fmt: skip
    return b"".join(
        [head.ljust(4096, b"\0"), *(s.ljust(1024, b"\0") for s in sections), *bodies]
    ), truths


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("degree", DEGREES)
def test_a_ksplat_of_every_kind(tmp_path: Path, level: int, degree: int):
    data, (truth,) = ksplat(level, (degree,))
    (tmp_path / "a.ksplat").write_bytes(data)
    back = load(tmp_path / "a.ksplat")
    assert isinstance(back, Splats) and back.degree == degree
    half = 0 if level == 0 else 2e-3
    assert off(back.means, truth.means) < 1e-5
    assert back.scales_m == pytest.approx(truth.scales_m, rel=1e-5 + half)
    assert turn_deg(back, truth).max() < 0.1 + 100 * half
    assert off(back.sh, truth.sh) < 1e-5 + half
    assert off(back.opacity_logits, truth.opacity_logits) < 1e-4


def test_a_ksplat_of_two_sections(tmp_path: Path):
    data, (first, second) = ksplat(1, (0, 2))
    (tmp_path / "a.ksplat").write_bytes(data)
    back = load(tmp_path / "a.ksplat")
    assert isinstance(back, Splats) and len(back) == 14 and back.degree == 2
    assert off(back.means, np.concatenate([first.means, second.means])) < 1e-5
    assert not back.sh[:7, 1:].any() and off(back.sh[7:], second.sh) < 2e-3


def webp(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    mode = "RGBA" if pixels.shape[2] == 4 else "RGB"
    # exact: or invisible pixels lose their colour
    Image.fromarray(pixels.astype(np.uint8), mode).save(out, "WEBP", lossless=True, exact=True)
    return out.getvalue()


def sog(degree: int = 1, n: int = 5) -> tuple[dict[str, bytes], Splats]:
    """Files of SOG version 2, n splats on pictures of 3 × 2, and the splats."""
    rng = np.random.default_rng(degree)
    places = rng.integers(0, 65536, (6, 3))
    bent = -2 + 5 * places / 65535
    quats = rng.normal(size=(6, 4))
    largest, three = smallest_three(quats / np.linalg.norm(quats, axis=1, keepdims=True))
    turns = np.rint((three / math.sqrt(0.5) / 2 + 0.5) * 255)
    book, sizes = np.linspace(-8, 2, 256), rng.integers(0, 256, (6, 3))
    tones, tints = np.linspace(-2, 2, 256), rng.integers(1, 255, (6, 4))
    k = (degree + 1) ** 2 - 1
    palette, labels = rng.integers(0, 256, (2, 64 * max(k, 1), 3)), rng.integers(0, 128, 6)
    meta = {
        "version": 2, "count": n,
        "means": {"mins": [-2] * 3, "maxs": [3] * 3, "files": ["l.webp", "u.webp"]},
        "scales": {"codebook": book.tolist(), "files": ["s.webp"]},
        "quats": {"files": ["q.webp"]},
        "sh0": {"codebook": tones.tolist(), "files": ["c.webp"]},
    }  # fmt: skip
    pictures = {"l": places % 256, "u": places // 256, "s": sizes,
                "q": np.column_stack([turns, 252 + largest]), "c": tints}  # fmt: skip
    files = {f"{name}.webp": webp(p.reshape(2, 3, -1)) for name, p in pictures.items()}
    sh = tones[tints[:, None, :3]]
    if degree:
        meta["shN"] = {"count": 128, "bands": degree, "codebook": tones.tolist(),
                       "files": ["p.webp", "n.webp"]}  # fmt: skip
        files["p.webp"] = webp(palette)
        files["n.webp"] = webp(np.column_stack([labels, 0 * labels, 0 * labels]).reshape(2, 3, 3))
        sh = np.concatenate([sh, tones[palette.reshape(128, k, 3)[labels]]], 1)
    files["meta.json"] = json.dumps(meta).encode()
    share = tints[:, 3] / 255.0
    whole = Splats(np.sign(bent) * np.expm1(np.abs(bent)), book[sizes], quats,
                   np.log(share / (1 - share)), sh)  # fmt: skip
    return files, whole.some(np.arange(n))


def zipped(files: dict[str, bytes], folder: str = "") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(folder + name, data)
    return out.getvalue()


@pytest.mark.parametrize("degree", DEGREES)
@pytest.mark.parametrize("way", ["folder", "meta.json", "a.sog", "a.zip"])
def test_sog_by_hand(tmp_path: Path, degree: int, way: str):
    files, truth = sog(degree)
    if way.startswith("a."):
        (tmp_path / way).write_bytes(zipped(files, "scene/" if way == "a.zip" else ""))
        back = load(tmp_path / way)
    else:
        for name, data in files.items():
            (tmp_path / name).write_bytes(data)
        back = load(tmp_path if way == "folder" else tmp_path / way)
    assert isinstance(back, Splats) and back.degree == degree and len(back) == 5
    assert back.means == pytest.approx(truth.means, rel=1e-5)
    for name in ("log_scales", "sh", "opacity_logits"):
        assert off(getattr(back, name), getattr(truth, name)) < 1e-4, name
    assert turn_deg(back, truth).max() < 1.0


# ---------------------------------------------------------------- real files


def test_content_decides_before_the_ending(tmp_path: Path):
    splats = some(9, 1)
    for ending, other in ((".ply", "b.spz"), (".compressed.ply", "b.splat"), (".spz", "b.ply")):
        path = save(tmp_path / f"a{ending}", splats)
        shutil.copy(path, tmp_path / other)
        a, b = load(path), load(tmp_path / other)
        assert all((getattr(b, name) == array).all() for name, array in vars(a).items())


FILES = {
    "biker.compressed.ply": (152_746, 0), "biker.spz": (152_746, 0), "luma-seal.splat": (101_780, 0),
    "fruit_drops_minimal.ply": (4721, 3), "logo_sog": (307_128, 0),
    "fixtures/metalsplatter/test-splat.3-points-from-train.ply": (3, 3),
    "fixtures/metalsplatter/test-splat.3-points-from-train.splat": (3, 0),
    "fixtures/metalsplatter/test-splat.3-points-from-train.spz": (3, 3),
    "fixtures/splat_transform/minimal-raw.spz": (4, 0),
    "fixtures/splat_transform/minimal-v2.spz": (4, 0),
    "fixtures/splat_transform/minimal-v3.spz": (4, 0),
    "fixtures/splat_transform/minimal-v4.spz": (4, 0),
    "fixtures/splat_transform/minimal.ksplat": (4, 0),
    "fixtures/splat_transform/minimal.splat": (4, 0),
}  # fmt: skip


once = functools.cache(load)  # large files are read for two tests


@needs_data
@pytest.mark.parametrize("name", FILES)
def test_every_file_opens_and_is_plausible(name: str):
    splats = once(DATA / name)
    assert isinstance(splats, Splats) and (len(splats), splats.degree) == FILES[name]
    assert splats.opacities.max() > 0.5
    assert np.linalg.norm(splats.quats, axis=1) == pytest.approx(
        np.ones(len(splats)), abs=0.05
    ) or (name.endswith(".ply"))
    if len(splats) < 1000:
        return
    view = around(splats, 1, (80, 60))[0]
    fewer = splats.some(np.arange(0, len(splats), len(splats) // 30_000 + 1))
    opacity = render(fewer, view, RenderSettings(near_m=0.001)).opacity
    assert opacity[25:35, 30:50].mean() > 0.5 and opacity.mean() < 0.9  # a thing, not fog


@needs_data
@pytest.mark.parametrize("kind", ["ascii", "binary"])
def test_a_mesh_among_the_splats(kind: str):
    mesh = load(DATA / f"fixtures/metalsplatter/beetle.{kind}.ply")
    assert isinstance(mesh, Mesh) and isinstance(mesh, Cloud)
    assert mesh.points.shape == (1148, 3) and mesh.faces.shape == (2053, 3)


@needs_data
def test_every_file_there_has_its_test():
    here = {p.relative_to(DATA).as_posix() for p in DATA.rglob("*") if p.is_file()}
    rest = {n for n in here if not n.startswith(("logo_sog/", "LICENSE")) and "beetle" not in n}
    assert rest == set(FILES) - {"logo_sog"}


@needs_data
def test_the_same_three_splats_in_three_formats():
    path = "fixtures/metalsplatter/test-splat.3-points-from-train"
    ply, spz, splat = (load(DATA / f"{path}{e}") for e in (".ply", ".spz", ".splat"))
    assert isinstance(ply, Splats) and isinstance(spz, Splats) and isinstance(splat, Splats)
    assert off(ply.means, spz.means) < 1 / 4096 and off(ply.means, splat.means) == 0
    assert off(ply.log_scales, spz.log_scales) < 0.5001 / 16
    assert off(ply.log_scales, splat.log_scales) < 1e-5
    assert turn_deg(ply, spz).max() < 0.3 and turn_deg(ply, splat).max() < 1.8
    assert off(ply.sh[:, 0], spz.sh[:, 0]) < 0.02
    assert off(ply.sh[:, 1:], spz.sh[:, 1:]) < 0.0665  # rounded twice by its writer


@needs_data
def test_biker_looks_the_same_in_two_formats():
    spz, ply = once(DATA / "biker.spz"), once(DATA / "biker.compressed.ply")
    assert isinstance(spz, Splats) and isinstance(ply, Splats)
    low, high = spz.means.min(0), spz.means.max(0)
    middle = (low + high) / 2
    eye = middle + np.array([2.0, -0.5, 3.0], np.float32)
    view = look_at(eye, middle, 120, 200, 40.0, up=(0, -1, 0))
    a, b = render(spz, view), render(ply, view)
    person = a.opacity > 0.5
    assert 0.05 < person.mean() < 0.6
    assert psnr(a.rgb[person], b.rgb[person]) >= 30  # the background would flatter it
    head = a.opacity[: a.opacity.shape[0] // 2].sum(1)
    assert (head > 1).argmax() < (a.opacity[::-1].sum(1) > 1).argmax() + 60  # it stands upright


# ---------------------------------------------------------------- what it costs


def test_conversions_tell_size_and_loss():
    splats = some(300, 3)
    told: list[float] = []
    found = list(conversions(splats, lambda x, desc="": told.append(x)))
    assert [c.format for c in found] == list(FORMATS)
    by = {c.format.key: c for c in found}
    assert math.isinf(by["ply"].psnr_db) and by["ply"].quality == "exact" and not by["ply"].dropped
    assert by["ply"].size_bytes > 300 * 4 * 62 > 3 * by["spz"].size_bytes
    assert by["splat"].size_bytes == 300 * 32
    assert "colour degree 3 becomes 0" in by["splat"].dropped
    assert 10 < by["splat"].psnr_db < by["spz"].psnr_db < 99  # what drops gloss loses most
    assert told == sorted(told) and told[-1] == 1
    assert convert(splats, "spz") == by["spz"]
    with pytest.raises(InputError, match="There is no format 'gif'"):
        convert(splats, "gif")


def test_what_is_lost_in_words():
    plain = Splats(**{**vars(some(3)), "sh": np.zeros((3, 1, 3))})
    assert "gloss" not in dropped(plain, "splat") and "beyond" not in dropped(plain, "splat")
    bright = Splats(**{**vars(plain), "sh": np.array([[[9, 0, 0]], [[0, 0, 0]], [[0, 0, 0]]])})
    assert "black or white (33.3% of splats)" in dropped(bright, "splat")


def test_a_format_that_cannot_hold_the_scene_is_left_out():
    far = Splats(**{**vars(some(2)), "means": np.array([[0, 0, 0], [1e7, 0, 0]])})
    assert [c.format.key for c in conversions(far)] == ["ply", "compressed.ply", "splat"]
