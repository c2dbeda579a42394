"""Statistics, cleaning, the bytes for the browser, and gsplat's adapter."""

import ast
import importlib.util
import math
import struct
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from core.cameras import look_at
from core.metrics import psnr
from core.recipe import from_link
from core.splats import cuda
from core.splats.blend import blend
from core.splats.cleaning import (
    RULES,
    CleanSettings,
    clean,
    dirt,
    importance,
    loneliness,
    ranks,
)
from core.splats.packed import pack, sent
from core.splats.project import project, tensors
from core.splats.render import render, renderer
from core.splats.run import Origin, ViewpointSettings, as_opened, recipe_of
from core.splats.statistics import BARS, QUANTITIES, inside, statistics
from core.splats.types import RenderSettings, Splats
from core.types import Camera, InputError

DATA = Path(__file__).parents[2] / "shared/data/splats"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs shared/data/splats")
OFF = CleanSettings(faintest=0, floaters=0)


def heap(n: int, coefficients: int = 4, seed: int = 0) -> Splats:
    rng = np.random.default_rng(seed)
    return Splats(
        rng.normal([1, -2, 3], [1, 2, 0.5], (n, 3)), rng.normal(-3, 1, (n, 3)),
        rng.normal(size=(n, 4)) * 5, rng.normal(0, 2, n), rng.normal(0, 0.3, (n, coefficients, 3)),
    )  # fmt: skip


def grid(side: int, step: float = 0.1, sigma: float = 0.05, opacity: float = 0.5) -> Splats:
    """Round grey ones at the corners of side³ cubes, from the origin on."""
    means = step * np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), -1).reshape(-1, 3)
    n = len(means)
    return Splats(
        means, np.full((n, 3), math.log(sigma)), np.tile([1.0, 0, 0, 0], (n, 1)),
        np.full(n, math.log(opacity / (1 - opacity))), np.zeros((n, 1, 3)),
    )  # fmt: skip


def changed(splats: Splats, at: int, **values) -> Splats:
    arrays = {name: getattr(splats, name).copy() for name in values}
    for name, value in values.items():
        arrays[name][at] = value
    return replace(splats, **arrays)


# ---------------------------------------------------------------- statistics


def test_three_by_hand():
    splats = Splats(
        np.array([[0, 0, 0], [1, -2, 3], [2, 8, -3.0]]),
        np.log([[1, 1, 1], [4, 2, 0.5], [0.1, 10, 1.0]]), np.ones((3, 4)),
        np.array([0.0, math.log(3), -60]), np.zeros((3, 9, 3)),
    )  # fmt: skip
    made = statistics(splats)
    assert (made.count, made.degree, made.bytes_each) == (3, 2, 4 * (14 + 27))
    assert made.low.tolist() == [0, -2, -3] and made.high.tolist() == [2, 8, 3]
    bars = made.histograms["opacity"].counts.nonzero()[0].tolist()
    assert bars == [0, BARS // 2, BARS * 3 // 4]
    assert made.histograms["opacity"].median == pytest.approx(0.5)
    size, thin = made.histograms["size"], made.histograms["anisotropy"]
    assert size.edges[[0, -1]] == pytest.approx([1, 10]) and size.median == pytest.approx(4)
    assert size.edges[BARS // 2] == pytest.approx(math.sqrt(10))
    assert thin.edges[[0, -1]] == pytest.approx([1, 100]) and thin.median == pytest.approx(8)
    assert made.histograms["y"].edges[[0, -1]] == pytest.approx([-2, 8])


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("n", [1, 2, 997])
def test_bars_choose_what_they_count(quantity: str, n: int):
    """Whichever bars, and also if the edges went through a logarithm and back."""
    splats = heap(n)
    splats.means[0] = 1e6  # a stray
    histogram = statistics(splats).histograms[quantity]
    edges, counts = histogram.edges, histogram.counts
    assert counts.sum() == n and (np.diff(edges) > 0).all()
    through = 10 ** np.log10(edges) if QUANTITIES[quantity].log else edges
    for first, last in ((0, BARS), (0, 1), (BARS - 1, BARS), (7, 8), (11, 30), (20, 20)):
        wanted = counts[first:last].sum()
        for e in (edges, through):
            assert inside(splats, quantity, e[first], e[last]).sum() == wanted
    each = [inside(splats, quantity, a, b) for a, b in pairwise(edges)]
    assert (np.sum(each, axis=0) == 1).all()


def test_the_range_means_what_it_says():
    splats = heap(500, seed=3)
    assert (inside(splats, "opacity", 0.25, 0.75) ==
            ((splats.opacities >= 0.25) & (splats.opacities < 0.75))).all()  # fmt: skip
    largest = splats.scales_m.max(1)
    assert (inside(splats, "size", 0.03, 0.08) == ((largest >= 0.03) & (largest < 0.08))).all()


def test_a_stray_does_not_squeeze_the_others():
    splats = changed(heap(1000), 5, means=[1e5, 0, 0])
    histogram = statistics(splats).histograms["x"]
    assert histogram.edges[-1] < 10 and (histogram.counts > 0).sum() > 20
    assert inside(splats, "x", histogram.edges[-2], histogram.edges[-1])[5]
    assert statistics(splats).high[0] == 1e5 and statistics(splats).core_high[0] < 5


def test_all_the_same_is_one_bar():
    splats = replace(grid(3), means=np.full((27, 3), 7.0))
    for name, histogram in statistics(splats).histograms.items():
        assert histogram.counts.max() == 27, name
        assert np.isfinite(histogram.edges).all() and (np.diff(histogram.edges) > 0).all()


@pytest.mark.filterwarnings("error")
def test_extreme_numbers_have_statistics():
    splats = replace(heap(60), log_scales=np.tile([1e38, -1e38, 0], (60, 1)))
    splats = replace(splats, means=splats.means * np.float32(1e37))
    for histogram in statistics(splats).histograms.values():
        assert np.isfinite(histogram.edges).all() and histogram.counts.sum() == 60
    assert np.isfinite(importance(splats)).all() and len(pack(splats, 100)) > 16
    dirt(splats, CleanSettings(largest=1, far=1))


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.5), (math.nan, 1)])
def test_no_range(low: float, high: float):
    with pytest.raises(InputError, match="range that ascends"):
        inside(heap(3), "opacity", low, high)
    with pytest.raises(InputError, match="no quantity 'hue'"):
        inside(heap(3), "hue", 0, 1)


# ---------------------------------------------------------------- cleaning


def test_faint_and_large_by_hand():
    splats = changed(grid(4), 3, opacity_logits=math.log(0.019 / 0.981))
    splats = changed(splats, 9, log_scales=[-9, math.log(0.06), -9])
    found = dirt(splats, replace(OFF, faintest=0.02))
    assert found["faint"].nonzero()[0].tolist() == [3] and not found["large"].any()
    # the core reaches from 0 to 0.3 m on each axis: its diagonal is 0.52 m, 10.5 % are 0.0546 m
    found = dirt(splats, replace(OFF, largest=10.5))
    assert found["large"].nonzero()[0].tolist() == [9] and not found["faint"].any()
    assert not dirt(splats, replace(OFF, largest=11.6))["large"].any()


def test_a_speck_in_empty_space_is_a_floater():
    """By itself or with two others; not if it is large enough to touch its neighbours."""
    splats = grid(8)
    for at in (0, 7, 100):
        splats = changed(splats, at, means=[1.9, 1.9, 1.9 + at / 1e4])
    settings = CleanSettings(faintest=0)
    assert dirt(splats, settings)["floaters"].nonzero()[0].tolist() == [0, 7, 100]
    touching = changed(splats, 7, log_scales=[0.5, -3, -3])
    assert dirt(touching, settings)["floaters"].nonzero()[0].tolist() == [0, 100]
    for side in (4, 8):  # regular: any difference is many deviations
        assert not dirt(grid(side), settings)["floaters"].any()


def test_loneliness_is_the_mean_distance_to_the_next():
    splats = heap(40, seed=2)
    away = np.linalg.norm(splats.means[:, None] - splats.means[None], axis=2)
    for k in (1, 5, 39, 77):
        wanted = np.sort(away, axis=1)[:, 1 : k + 1].mean(1)
        assert loneliness(splats, k) == pytest.approx(wanted, rel=1e-4)
    assert loneliness(heap(1), 8).tolist() == [0]


def test_thousands_in_one_place_take_no_longer():
    splats = grid(1)
    splats = splats.some(np.zeros(20_000, int))
    splats = replace(splats, means=np.repeat(np.eye(3), [19_800, 150, 50], axis=0))
    began = time.process_time()
    loneliness(splats, 8)
    assert time.process_time() - began < 4


def test_far_from_the_middle():
    splats = changed(grid(5), 60, means=[0.2, 0.2, 4])  # the diagonal is 0.69 m
    assert dirt(splats, replace(OFF, far=5.0))["far"].nonzero()[0].tolist() == [60]
    assert not dirt(splats, replace(OFF, far=6.0))["far"].any()


def test_crops_by_hand():
    splats = grid(3, 1.0)
    box = replace(OFF, crop="box", crop_low=(0, 0, 0), crop_high=(1, 2, 0.5))
    kept = clean(splats, box).splats.means
    assert len(kept) == 2 * 3 * 1 and kept.max(0).tolist() == [1, 2, 0]
    ball = replace(OFF, crop="sphere", crop_centre=(1, 1, 1), crop_radius_m=1.0)
    made = clean(splats, ball)
    assert len(made.splats) == 7 and made.reasons["outside the crop"] == 20


def test_a_splat_can_have_several_faults():
    splats = changed(grid(6), 0, means=[9, 9, 9], opacity_logits=-9)
    made = clean(splats, CleanSettings(far=3))
    assert not made.kept[0] and made.kept[1:].all() and len(made.splats) == 215
    assert set(made.reasons) == set(RULES.values())
    assert [made.reasons[RULES[r]] for r in ("faint", "floaters", "far", "crop")] == [1, 1, 1, 0]
    assert clean(splats, OFF).splats is splats


def test_nothing_left():
    with pytest.raises(InputError, match=r"nothing of 27 splats: 27 are too faint\. Loosen"):
        clean(grid(3), CleanSettings(faintest=0.6))
    with pytest.raises(InputError, match="outside the crop"):
        clean(grid(3), replace(OFF, crop="sphere", crop_centre=(50, 0, 0)))
    with pytest.raises(InputError, match="Opacity at least"):
        CleanSettings(faintest=2)


@needs_data
def test_cleaning_a_real_scene_is_hardly_seen():
    from core.splats.ply import load_ply

    splats = load_ply(DATA / "fruit_drops_minimal.ply")
    made = clean(splats)
    assert 0.6 < made.kept.mean() < 0.8  # a quarter of that file is too faint to see
    low, high = statistics(splats).core_low, statistics(splats).core_high
    middle = (low + high) / 2
    camera = look_at(middle - np.array([0, 0, 1.0]), middle, 96, 64)
    before, after = (render(s, camera).rgb for s in (splats, made.splats))
    assert psnr(before, after) > 40


# ---------------------------------------------------------------- importance


def test_a_balls_shadow_is_a_circle():
    splats = grid(1, sigma=0.3, opacity=0.5)
    assert importance(splats) == pytest.approx([0.5 * math.pi * 0.09], rel=1e-5)


def test_shadows_are_the_mean_over_directions():
    """Of any ellipsoid's outline, within Thomsen's 1.1 %."""
    splats = replace(heap(30), opacity_logits=np.full(30, 60.0))
    rng = np.random.default_rng(1)
    ways = rng.normal(size=(100_000, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    a, b, c = splats.scales_m.astype(np.float64).T[:, :, None]
    x, y, z = ways.T
    area = math.pi * np.sqrt((b * c * x) ** 2 + (a * c * y) ** 2 + (a * b * z) ** 2)
    assert importance(splats) == pytest.approx(area.mean(1), rel=0.02)


def test_ranks_are_places_in_order():
    splats = heap(200)
    found, weights = ranks(splats), importance(splats)
    assert sorted(found.tolist()) == list(range(200))
    assert (np.diff(weights[np.argsort(found)]) <= 0).all()
    assert ranks(grid(2)).tolist() == list(range(8))  # equals as they come


# ---------------------------------------------------------------- the browser's bytes


def unpack(data: bytes) -> dict[str, np.ndarray]:
    """As the format is written down, byte by byte."""
    magic, version, n, k = struct.unpack_from("<4s3I", data)
    assert (magic, version) == (b"SLSP", 1)
    found, at = {}, 16
    blocks = (("means", "<f4", (n, 3)), ("scales", "<f4", (n, 3)), ("quats", "<f4", (n, 4)),
              ("opacity", "<f4", (n,)), ("sh", "<f2", (n, k, 3)), ("rank", "<u4", (n,)))  # fmt: skip
    for name, kind, shape in blocks:
        found[name] = np.frombuffer(data, kind, math.prod(shape), at).reshape(shape)
        at += -(-found[name].nbytes // 4) * 4
    assert at == len(data)
    return found


@pytest.mark.parametrize(("n", "coefficients"), [(1, 1), (5, 9), (7, 4), (64, 16)])
def test_bytes_say_what_the_splats_are(n: int, coefficients: int):
    splats = heap(n, coefficients)
    found = unpack(pack(splats, n))
    assert (found["means"] == splats.means).all() and (found["rank"] == ranks(splats)).all()
    assert found["scales"] == pytest.approx(np.exp(splats.log_scales.astype(np.float64)), rel=1e-5)
    assert np.linalg.norm(found["quats"], axis=1) == pytest.approx(1, abs=1e-6)
    lengths = np.linalg.norm(splats.quats, axis=1, keepdims=True)
    assert found["quats"] * lengths == pytest.approx(splats.quats, rel=1e-5)
    assert found["opacity"] == pytest.approx(1 / (1 + np.exp(-splats.opacity_logits)), abs=1e-6)
    assert found["sh"].astype(np.float32) == pytest.approx(splats.sh, rel=2**-11, abs=2**-24)


def test_of_too_many_the_most_important_are_sent():
    splats = heap(100)
    which = sent(splats, 30)
    assert len(which) == 30 and (np.diff(which) > 0).all()
    assert importance(splats)[which].min() >= np.delete(importance(splats), which).max()
    found = unpack(pack(splats, 30))
    assert (found["means"] == splats.means[which]).all()
    assert sorted(found["rank"].tolist()) == list(range(30))
    assert sent(splats, 100).tolist() == list(range(100))
    with pytest.raises(InputError, match="at least one"):
        pack(splats, 0)


def test_numbers_too_large_for_half_stay_finite():
    splats = replace(heap(3), sh=np.full((3, 1, 3), -9e5), log_scales=np.full((3, 3), 1e38))
    found = unpack(pack(splats, 3))
    assert found["sh"].min() == -65504 and np.isfinite(found["scales"]).all()


def test_what_was_cleaned_by_is_in_the_link_and_every_step_in_the_code():
    made = as_opened(heap(5), "heap", Origin(("splats = load('a.ply')",), ()))
    first, second = (
        CleanSettings(faintest=0.03, floaters=9.0),
        CleanSettings(faintest=0.05, crop="box"),
    )
    origin = made.origin
    for rules in (first, second):
        origin = origin.then("splats = clean(splats, {CleanSettings}).splats", rules)
    recipe = recipe_of(replace(made, origin=origin), ViewpointSettings(), RenderSettings())
    assert from_link(recipe.link(), (CleanSettings,)) == (second,)
    cleans = [line for line in recipe.code().splitlines() if line.startswith("splats = clean")]
    found = [eval(line.removeprefix("splats = clean(splats, ").removesuffix(").splats"))
             for line in cleans]  # fmt: skip
    assert found == [first, second]


# ---------------------------------------------------------------- gsplat


def stand_in(
    means, quats, scales, opacities, colors, viewmats, Ks, width, height, *, near_plane, eps2d,
    sh_degree, packed, render_mode,
):  # fmt: skip
    """gsplat's rasterization as its documentation has it, by the own renderer."""
    import torch

    assert (eps2d, packed, render_mode) == (0.3, True, "RGB+D")
    assert all(t.dtype == torch.float32 for t in (means, quats, scales, opacities, colors, Ks))
    assert viewmats.shape == (1, 4, 4) and Ks.shape == (1, 3, 3)
    assert colors.shape == (len(means), (sh_degree + 1) ** 2, 3)
    given = {
        "means": means, "log_scales": scales.log(), "quats": quats,
        "opacity_logits": torch.logit(opacities.double()).float(), "sh": colors,
    }  # fmt: skip
    camera = Camera(
        Ks[0].numpy(), np.linalg.inv(viewmats[0].numpy().astype(np.float64)), width, height
    )
    found = blend(project(given, camera, RenderSettings(near_m=near_plane)), width, height)
    return found[None, :, :, :4], found[None, :, :, 4:], {}


@pytest.mark.parametrize("settings", [RenderSettings(), RenderSettings(sh_degree=1, scale=0.6)])
def test_gsplat_is_asked_for_the_same_picture(settings: RenderSettings):
    splats, camera = heap(150), look_at((1, -2, -5), (1, -2, 3), 45, 33, 60, up=(0, -1, 0))
    made = cuda.light(splats, camera, settings, stand_in, "cpu")
    wanted = render(splats, camera, settings)
    assert made[..., :3] == pytest.approx(wanted.colour, abs=1e-3)
    assert made[..., 4] == pytest.approx(wanted.opacity, abs=1e-3)
    assert wanted.opacity.max() > 0.5


def test_gsplat_has_these_arguments():
    spec = importlib.util.find_spec("gsplat")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("needs gsplat")
    source = (Path(spec.submodule_search_locations[0]) / "rendering.py").read_text()
    made = next(f for f in ast.parse(source).body
                if isinstance(f, ast.FunctionDef) and f.name == "rasterization")  # fmt: skip
    real = [a.arg for a in made.args.args]
    own = stand_in.__code__.co_varnames[: 9 + stand_in.__code__.co_kwonlyargcount]
    assert list(own[:9]) == real[:9] and set(own) <= set(real)
    told = ("gaussian_ids", "means2d", "conics", "radii")
    assert all(f'"{name}": {name},' in source for name in told)


def test_what_gsplat_cannot_draw_is_not_asked_of_it():
    splats, camera = heap(5), look_at((1, -2, -5), (1, -2, 3), 45, 33)
    assert cuda.suits(splats, camera, RenderSettings())
    assert not cuda.suits(splats, camera, RenderSettings(sort=False))
    skew = replace(camera, K=camera.K + np.array([[0, 1e-3, 0], [0, 0, 0], [0, 0, 0]]))
    assert not cuda.suits(splats, skew, RenderSettings())
    assert not cuda.suits(changed(splats, 2, log_scales=[0, 11, 0]), camera, RenderSettings())
    assert not cuda.suits(changed(splats, 2, means=[2e6, 0, 0]), camera, RenderSettings())


def test_says_which_renderer_draws(monkeypatch: pytest.MonkeyPatch):
    import torch

    if not torch.cuda.is_available():
        assert renderer() == "own renderer, on the CPU"
        assert not cuda.available() and cuda.reason() == "there is no CUDA GPU"
    monkeypatch.setitem(renderer.__globals__, "_device", lambda: "cuda")
    for why, told in (("", "gsplat, on CUDA"), ("no nvcc", "own renderer, on CUDA: no nvcc")):
        monkeypatch.setattr(cuda, "reason", lambda why=why: why)
        assert renderer() == told


def test_a_gsplat_that_fails_says_why(monkeypatch: pytest.MonkeyPatch):
    """No compiler, a wrong picture, and a right one."""
    import torch

    def no_compiler(*_):
        raise RuntimeError("no\n nvcc")

    def own(splats, camera, settings):
        return blend(project(tensors(splats, "cpu"), camera, settings), 5, 5).numpy()

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    tried = cuda.reason.__wrapped__  # not the remembered answer
    monkeypatch.setattr(cuda, "light", no_compiler)
    assert tried() == "gsplat fails (RuntimeError: no nvcc)"
    monkeypatch.setattr(cuda, "light", lambda *_: np.zeros((5, 5, 5)))
    assert "gsplat draws a splat as [0.0, 0.0, 0.0, 0.0, 0.0]" in tried()
    monkeypatch.setattr(cuda, "light", own)
    assert tried() == ""


@pytest.mark.gpu
@pytest.mark.parametrize("sh_degree", [0, 3])
def test_gsplat_agrees_to_40_db(sh_degree: int):
    if not cuda.available():
        pytest.skip(f"gsplat: {cuda.reason()}")
    splats = heap(3000, 16, seed=4)
    camera = look_at((1, -2, -5), (1, -2, 3), 321, 237, 60, up=(0, -1, 0))
    settings = RenderSettings(sh_degree=sh_degree, background=(0.2, 0.5, 0.9))
    made = cuda.light(splats, camera, settings)
    shown = made[..., :3] + (1 - made[..., 4:]) * settings.background
    own = blend(project(tensors(splats, "cpu"), camera, settings), 321, 237).numpy()
    wanted = own[..., :3] + (1 - own[..., 4:]) * settings.background
    pictures = [(255 * p.clip(0, 1) + 0.5).astype(np.uint8) for p in (shown, wanted)]
    assert psnr(pictures[0], pictures[1]) > 40
