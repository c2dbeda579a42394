"""Fitting splats: gradients against autograd, steps against torch's, and scenes known exactly."""

import math
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import numpy as np
import pytest

from core.cameras import orbit
from core.metrics import psnr
from core.nerf.run import ViewSettings
from core.nerf.types import Views
from core.splats import RenderSettings, Splats, cuda, mcmc, render
from core.splats.blend import blend
from core.splats.density import SHRUNK, THINNED, Adam, Pull, round_of
from core.splats.fit_image import FitImageSettings, ellipses, fit_image
from core.splats.fitting import (
    FitLive,
    FitSettings,
    drawn_as,
    fit,
    score,
    with_degree,
)
from core.splats.learned import learn
from core.splats.project import project, tensors
from core.splats.render import drawer, renderer, traced
from core.splats.start import disagreement, start
from core.splats.whole import blend_whole
from core.types import Camera, InputError
from demos import splats as splats_tab
from demos import splats_session as sessions

Y0 = 0.5 / math.sqrt(math.pi)


def ahead(width: int, height: int) -> Camera:
    K = np.array([[20.0, 0, width / 2], [0, 20.0, height / 2], [0, 0, 1]])
    return Camera(K, np.eye(4), width, height)


def heap(n: int, seed: int = 0) -> Splats:
    """A mixed lot: needles, walls, faint ones, ones behind the camera."""
    rng = np.random.default_rng(seed)
    log_scales = rng.normal(-2.0, 1.0, (n, 3))
    log_scales[::7] += [3.0, -4.0, -4.0]
    return Splats(
        rng.normal([0, 0, 3], [1.5, 1.5, 2], (n, 3)), log_scales, rng.normal(size=(n, 4)),
        rng.normal(1, 3, n), rng.normal(0, 0.4, (n, 4, 3)),
    )  # fmt: skip


def toys(opaque: bool = True, size: tuple[int, int] = (24, 20), n: int = 16) -> Views:
    """Four large splats, seen from n places and 3 held-out ones, before black or cut out."""
    rgb = np.array([[0.9, 0.1, 0.1], [0.1, 0.8, 0.2], [0.1, 0.2, 0.9], [0.9, 0.8, 0.1]])
    splats = Splats(
        np.array([[0.4, 0, 0], [-0.4, 0.1, 0], [0, 0.4, 0.2], [0, -0.4, -0.2]]),
        np.log(np.full((4, 3), 0.15)), np.tile([1.0, 0, 0, 0], (4, 1)), np.full(4, 4.0),
        ((rgb - 0.5) / Y0)[:, None],
    )  # fmt: skip
    cameras = (
        *orbit((0, 0, 0), 2.5, n, 25, size),
        *(orbit((0, 0, 0), 2.5, 3, 40, size)),
    )
    seen = [render(splats, c) for c in cameras]
    images = np.stack([s.colour.clip(0, 1) for s in seen])
    if not opaque:
        alpha = np.stack([s.opacity[..., None] for s in seen])
        images = np.concatenate(
            [np.stack([s.colour for s in seen]) / alpha.clip(1e-6), alpha], 3
        ).clip(0, 1)
    box = np.array([[-0.8] * 3, [0.8] * 3])
    return Views(images, cameras, tuple(range(n, n + 3)), box, 1.5, 3.5)


def last(snapshots):
    *_, final = snapshots
    return final


# ---------------------------------------------------------------- the way back


@pytest.mark.parametrize(("width", "height", "n"), [(37, 23, 200), (1, 1, 40), (9, 71, 900)])
def test_the_whole_list_at_once_is_the_same_picture_with_the_same_gradients(width, height, n):
    import torch

    camera = ahead(width, height)
    free = {k: v.requires_grad_() for k, v in tensors(heap(n), "cpu").items()}
    seen = project(free, camera)
    slow, fast = blend(seen, width, height), blend_whole(seen, width, height)
    assert torch.allclose(slow, fast, atol=2e-5)
    arriving = torch.randn(slow.shape, generator=torch.Generator().manual_seed(1))
    wanted = torch.autograd.grad((slow * arriving).sum(), list(free.values()), retain_graph=True)
    found = torch.autograd.grad((fast * arriving).sum(), list(free.values()), retain_graph=True)
    again = torch.autograd.grad((fast * arriving).sum(), list(free.values()))
    for name, a, b, c in zip(free, wanted, found, again, strict=True):
        assert (a - b).abs().max() <= 2e-4 * a.abs().max() + 1e-5, name
        assert torch.equal(b, c), name


def test_nothing_in_view_is_no_light():
    seen = project(tensors(replace(heap(1), means=np.array([[0, 0, -5.0]])), "cpu"), ahead(9, 5))
    assert blend_whole(seen, 9, 5).shape == (5, 9, 5)
    assert not blend_whole(seen, 9, 5).any()


def test_added_up_each_splat_gives_its_own_light_and_hides_nothing():
    import torch

    seen = project(
        {k: v.requires_grad_() for k, v in tensors(heap(60), "cpu").items()}, ahead(19, 11)
    )
    y, x = torch.meshgrid(torch.arange(11) + 0.5, torch.arange(19) + 0.5, indexing="ij")
    d = torch.stack([x, y], -1)[:, :, None] - seen.xy
    a, b, c = seen.conic.unbind(1)
    power = a * d[..., 0] ** 2 + 2 * b * d[..., 0] * d[..., 1] + c * d[..., 1] ** 2
    alpha = (seen.log_opacity - power / 2).exp()
    wanted = torch.where(alpha >= 1 / 255, alpha, 0) @ seen.colour.double()
    found = blend_whole(seen, 19, 11, added=True)[..., :3]
    assert torch.allclose(
        found.double(), wanted, atol=1e-3
    )  # α may be 1/255 to one and not to both
    assert (found.double() - wanted).abs().median() < 1e-6
    slow, fast = (torch.autograd.grad((v**2).sum(), seen.conic, retain_graph=True)[0]
                  for v in (wanted, found))  # fmt: skip
    assert (slow - fast).abs().max() <= 1e-3 * slow.abs().max()


# ---------------------------------------------------------------- a photo


def blob(width: int, height: int) -> np.ndarray:
    """A soft red ellipse, turned by 30°, on green."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    c, s = math.cos(math.radians(30)), math.sin(math.radians(30))
    u, v = c * (x - 20) + s * (y - 14), -s * (x - 20) + c * (y - 14)
    share = 0.9 * np.exp(-((u / 8) ** 2 + (v / 4) ** 2) / 2)[..., None]
    picture = share * [0.9, 0.1, 0.1] + (1 - share) * [0.2, 0.6, 0.2]
    return (picture * 255 + 0.5).astype(np.uint8)


@pytest.mark.parametrize("mix", ["over", "added"])
def test_a_handful_of_ellipses_learn_an_ellipse(mix):
    shot = last(fit_image(blob(37, 31), FitImageSettings(gaussians=12, mix=mix, steps=130)))
    assert shot.psnr > 33
    assert shot.step == shot.total == 130
    assert shot.psnr == psnr(shot.picture, shot.truth)


def test_the_first_snapshot_is_the_beginning_and_fitting_only_helps():
    shots = list(fit_image(blob(37, 31), FitImageSettings(gaussians=20, steps=60)))
    assert shots[0].step == 0 and shots[-1].step == 60
    assert shots[-1].psnr > shots[0].psnr + 3
    assert shots[0].means_px.shape == shots[0].axes_px.shape == (20, 2)
    assert shots[0].colours.shape == (20, 3)
    assert shots[0].angle_deg.shape == shots[0].opacities.shape == (20,)
    assert np.abs(shots[-1].means_px - shots[0].means_px).max() > 0.1  # and the first is kept


def test_the_snapshot_of_one_ellipse_is_its_formula():
    shot = last(fit_image(blob(37, 31), FitImageSettings(gaussians=1, steps=40)))
    x, y = np.meshgrid(np.arange(37) + 0.5, np.arange(31) + 0.5)
    angle = math.radians(float(shot.angle_deg[0]))
    dx, dy = x - shot.means_px[0, 0], y - shot.means_px[0, 1]
    u, v = math.cos(angle) * dx + math.sin(angle) * dy, math.cos(angle) * dy - math.sin(angle) * dx
    power = (u / shot.axes_px[0, 0]) ** 2 + (v / shot.axes_px[0, 1]) ** 2
    alpha = shot.opacities[0] * np.exp(-power / 2)
    alpha = np.where(alpha >= 1 / 255, np.minimum(alpha, 0.99), 0)[..., None]
    wanted = (alpha * shot.colours[0] + (1 - alpha) * shot.ground).clip(0, 1) * 255
    assert np.abs(shot.picture - wanted).max() <= 1.5


def test_an_upright_ellipse_by_hand():
    import torch

    free = {"xy": [[3.0, 4.0]], "log_axes": [[math.log(2.0), math.log(5.0)]],
            "angle": [math.pi / 2], "colour": [[1.0, 0, 0]], "logit": [0.0]}  # fmt: skip
    seen = ellipses({k: torch.tensor(v) for k, v in free.items()})
    # the first axis points down: 25 px² along x and 4 px² along y, and 0.1 px² of blur
    assert np.allclose(seen.conic, [[1 / 25.1, 0, 1 / 4.1]], atol=1e-6)
    reach = math.sqrt(2 * math.log(0.5 * 255))
    assert np.allclose(seen.half, [[reach * math.sqrt(25.1), reach * math.sqrt(4.1)]], rtol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (2, 40), (13, 1)])
def test_tiny_and_flat_pictures_are_fitted_too(size):
    flat = np.full((*size, 3), 90, np.uint8)
    assert last(fit_image(flat, FitImageSettings(gaussians=5, steps=40))).psnr > 40


def test_a_number_is_that_of_gaussians_and_large_photos_are_made_smaller():
    shot = next(fit_image(np.zeros((300, 600, 3), np.uint8), 7))
    assert shot.picture.shape == (64, 128, 3) and len(shot.means_px) == 7


def test_what_is_no_photo_and_what_is_no_number():
    with pytest.raises(InputError, match="Give a photo"):
        next(fit_image(np.zeros((4, 4, 7), np.uint8)))
    with pytest.raises(InputError, match="Gaussians is 0"):
        next(fit_image(np.zeros((4, 4, 3), np.uint8), 0))


def test_the_same_seed_gives_the_same_ellipses():
    one, two, other = (
        last(fit_image(blob(20, 20), FitImageSettings(gaussians=15, steps=20, fit_seed=seed)))
        for seed in (1, 1, 2)
    )
    assert np.array_equal(one.means_px, two.means_px)
    assert not np.array_equal(one.means_px, other.means_px)


# ---------------------------------------------------------------- steps and rounds


def test_steps_are_those_of_adam_and_a_unit_measures_them():
    import torch

    g = torch.Generator().manual_seed(0)
    begin = {"a": torch.randn(5, 3, generator=g), "b": torch.randn(5, generator=g)}
    unit = torch.tensor([[1.0], [2.0], [0.5], [0.0], [1.0]])
    own = Adam(begin, {"a": 0.1, "b": 0.02})
    theirs = {k: v.clone().requires_grad_() for k, v in begin.items()}
    reference = torch.optim.Adam(
        [{"params": [theirs["a"]], "lr": 0.05}, {"params": [theirs["b"]], "lr": 0.01}],
        betas=(0.9, 0.99), eps=1e-12,
    )  # fmt: skip
    for _ in range(4):
        for free in (own.free, theirs):
            (free["a"].detach() * free["a"]).sum().backward()
            (free["b"] * torch.arange(5.0)).sum().backward()
        own.step(0.5, {})
        reference.step()
        reference.zero_grad()
    for name, value in own.free.items():
        assert torch.allclose(value, theirs[name], atol=1e-6)
    one = Adam(begin, {"a": 0.1, "b": 0.02})
    one.free["a"].sum().backward()
    one.step(1.0, {"a": unit})  # Adam's first step is the rate, whatever the gradient
    assert torch.allclose(begin["a"] - one.free["a"], 0.1 * unit.expand(5, 3), atol=1e-6)
    assert torch.equal(one.free["b"], begin["b"])


def row(count: int) -> tuple[Adam, Pull]:
    """Round splats of opacity ½ in a row along x, σ 0.1, all seen in two pictures."""
    import torch

    free = {
        "means": torch.arange(count).float()[:, None] * torch.tensor([[1.0, 0, 0]]),
        "log_scales": torch.tensor([[0.1, 0.2, 0.1]]).log().repeat(count, 1),
        "quats": torch.tensor([[1.0, 0, 0, 0]]).repeat(count, 1),
        "opacity_logits": torch.zeros(count), "sh": torch.zeros(count, 1, 3),
    }  # fmt: skip
    pull = Pull.of(free["means"])
    pull.pictures += 2
    pull.sigma_px += 5
    return Adam(free, dict.fromkeys(free, 0.1)), pull


def test_the_one_that_is_pulled_most_is_split_along_its_longest_axis():
    adam, pull = row(10)
    pull.gradient[3] = 7.0
    assert round_of(adam, pull, 100, 64) == (0, 1, 0)
    means, scales = (adam.free[k].detach().numpy() for k in ("means", "log_scales"))
    assert len(means) == 11
    assert np.allclose(means[-2:], [[3, 0.14, 0], [3, -0.14, 0]], atol=1e-6)
    halves = [0.1 * THINNED, 0.2 * SHRUNK, 0.1 * THINNED]
    assert np.allclose(np.exp(scales[-2:]), [halves, halves], atol=1e-6)
    opacity = 1 / (1 + np.exp(-adam.free["opacity_logits"].detach().numpy()))
    assert np.allclose(1 - (1 - opacity[-2:]).prod(), 0.5, atol=1e-6)  # together what it was
    assert np.allclose(opacity[:-2], 0.5)


def test_a_small_one_is_cloned_in_its_size():
    adam, pull = row(10)
    pull.gradient[3], pull.sigma_px[3] = 7.0, 1.0
    assert round_of(adam, pull, 100, 64) == (1, 0, 0)
    assert np.allclose(adam.free["log_scales"].detach()[-2:].exp(), [[0.1, 0.2, 0.1]] * 2)


def test_faint_unseen_and_huge_ones_go_and_there_are_never_too_many():
    import torch

    adam, pull = row(10)
    adam.mean["means"][:, 0] = torch.arange(10.0)
    with torch.no_grad():
        adam.free["opacity_logits"][0] = -6
    pull.pictures[1] = 0
    pull.reach_px[2] = 1000
    assert round_of(adam, pull, 8, 64) == (0, 1, 3)
    assert len(adam.free["means"]) == 8
    # what is known of a row stays with it, and twins inherit it
    assert adam.mean["means"][:, 0].tolist() == adam.free["means"][:, 0].tolist()
    assert all(len(v) == 8 for v in (*adam.square.values(), *adam.free.values()))


def test_at_least_one_stays():
    adam, pull = row(3)
    pull.pictures[:] = 0
    assert round_of(adam, pull, 3, 64)[2] == 2
    assert len(adam.free["means"]) == 1


# ---------------------------------------------------------------- samples


def test_gaussians_in_one_place_let_the_same_light_through_along_a_line():
    import torch

    opacity = torch.tensor([0.75, 0.3, 0.999, 0.9, 1.0])
    times = torch.tensor([2, 5, 51, 1, 400])
    thinned, shrunk = mcmc.shared(opacity, times)
    assert thinned[0] == pytest.approx(0.5) and shrunk[0] == pytest.approx(
        0.75 / (2 * 0.5 - 0.5**2 / math.sqrt(2))  # eq. 9 by hand
    )
    assert shrunk[3] == pytest.approx(1) and thinned[3] == pytest.approx(0.9)
    x = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    for o, n, less, factor in list(zip(opacity, times, thinned, shrunk, strict=True))[:4]:
        before = (o * (-(x**2) / 2).exp()).sum()
        after = (1 - (1 - less * (-((x / factor) ** 2) / 2).exp()) ** n).sum()
        assert after == pytest.approx(float(before), rel=1e-6)
    assert 0 < thinned[4] < 1 and 0 < shrunk[4] < 1  # and no NaN


@pytest.mark.parametrize("dead", [1, 4])
def test_the_dead_are_moved_and_the_picture_stays(dead):
    import torch

    n = 1 + dead
    free = {
        "means": torch.tensor([[0.0, 0, 4]] + [[9.0, 9, 4]] * dead),
        "log_scales": torch.full((n, 3), math.log(0.8)),
        "quats": torch.tensor([[1.0, 0, 0, 0]]).repeat(n, 1),
        "opacity_logits": torch.tensor([math.log(4)] + [-8.0] * dead), "sh": torch.ones(n, 1, 3),
    }  # fmt: skip
    adam = Adam(free, dict.fromkeys(free, 0.1))
    K = np.array([[40.0, 0, 25.5], [0, 40, 25.5], [0, 0, 1]])
    camera = Camera(K, np.eye(4), 51, 51)

    def shown():
        light = traced(adam.free, camera, RenderSettings())[0].detach()
        return light[..., 4].numpy()

    before = shown()
    assert mcmc.relocate(adam, n, torch.Generator().manual_seed(0)) == (0, dead)
    assert len(adam.free["means"]) == n and (adam.free["means"][:, 0] == 0).all()
    after = shown()
    assert before[25, 25] == pytest.approx(0.8, abs=1e-3)
    assert after[25, 25] == pytest.approx(before[25, 25], abs=1e-3)
    assert after[25].sum() == pytest.approx(before[25].sum(), rel=0.01)
    assert np.abs(after - before).max() < 0.06  # the rest is near: one wide, the other steep


def test_new_ones_are_born_where_most_light_is_stopped_and_no_more_than_allowed():
    import torch

    adam, _ = row(40)
    with torch.no_grad():
        adam.free["opacity_logits"][:] = -4
        adam.free["opacity_logits"][7] = 6
    seed = torch.Generator().manual_seed(0)
    assert mcmc.relocate(adam, 43, seed) == (3, 0)
    assert len(adam.free["means"]) == 43 and (adam.free["means"][:, 0] == 7).sum() >= 2
    assert mcmc.relocate(adam, 43, seed) == (0, 0)
    with torch.no_grad():
        adam.free["opacity_logits"][:] = -9
    assert mcmc.relocate(adam, 99, seed) == (0, 0)  # nobody lives to move to


def test_noise_moves_what_stops_no_light_in_its_own_shape():
    import torch

    adam, _ = row(400)
    with torch.no_grad():
        adam.free["opacity_logits"][200:] = -8
        adam.free["means"].zero_()
    pixel = torch.full((400, 1), 0.05)
    mcmc.shake(adam, 0.5, pixel, torch.Generator().manual_seed(0))
    moved = adam.free["means"].detach()
    assert not moved[:200].any()
    # σ is 2, 4 and 2 px, so Σ is 4, 16 and 4 px²; the gate is nearly open
    gate = 1 / (1 + math.exp(-100 * (0.005 - 1 / (1 + math.exp(8)))))
    wanted = mcmc.NOISE * 0.5 * 0.05 * gate * np.array([4, 16, 4])
    assert np.allclose(moved[200:].std(0), wanted, rtol=0.2)


def test_samples_learn_a_scene_and_are_never_too_many(monkeypatch):
    monkeypatch.setattr("core.splats.fitting.ROUND", 25)
    views = toys()
    settings = FitSettings(steps=120, gaussians=60, most=75, start="random", density="mcmc")
    shots = list(fit(views, settings))
    began = score(start(views, "random", 60, 0)[0], views, views.test)[0]
    db, _ = score(shots[-1].splats, views, views.test)
    assert db > 23 and db > began + 5
    assert all(shot.count <= 75 for shot in shots)
    rounds = shots[-1].changes[1:]
    assert rounds and sum(c.cloned for c in rounds) == shots[-1].count - 60
    assert not any(c.split or c.removed for c in rounds)


# ---------------------------------------------------------------- gsplat


def stand_in(
    means, quats, scales, opacities, colors, viewmats, Ks, width, height, *, near_plane, eps2d,
    sh_degree, packed, render_mode,
):  # fmt: skip
    """gsplat's rasterization with what it tells of each splat in view, by the own renderer."""
    import torch

    assert (eps2d, packed, render_mode) == (0.3, True, "RGB+D")
    assert colors.shape == (len(means), (sh_degree + 1) ** 2, 3)
    given = {
        "means": means, "log_scales": scales.log(), "quats": quats,
        "opacity_logits": torch.logit(opacities.double()), "sh": colors,
    }  # fmt: skip
    c2w = np.linalg.inv(viewmats[0].numpy().astype(np.float64))
    seen = project(given, Camera(Ks[0].numpy(), c2w, width, height),
                   RenderSettings(near_m=near_plane))  # fmt: skip
    middles = seen.xy.float()
    light = blend_whole(replace(seen, xy=middles.double()), width, height)
    info = {
        "gaussian_ids": seen.index, "means2d": middles, "conics": seen.conic.float(),
        "radii": seen.half.ceil().int(),
    }  # fmt: skip
    return light[None, :, :, :4], light[None, :, :, 4:], info


def test_gsplat_gives_density_control_the_same_gradients():
    import torch

    camera, found = ahead(37, 23), []
    arriving = torch.randn(23, 37, 5, generator=torch.Generator().manual_seed(1))
    for draw in (traced, partial(cuda.traced, rasterization=stand_in)):
        free = {k: v.requires_grad_() for k, v in tensors(heap(200), "cpu").items()}
        light, seen = draw(free, camera, RenderSettings())
        seen.xy.retain_grad()
        (light * arriving).sum().backward()
        pull = Pull.of(free["means"])
        pull.add(seen)
        found.append((free, pull))
    (free, pull), (theirs, other) = found
    for name, value in free.items():
        assert value.grad is not None and theirs[name].grad is not None
        worst = (value.grad - theirs[name].grad).abs().max()
        assert worst <= 2e-3 * value.grad.abs().max() + 1e-5, name
    assert (pull.pictures == other.pictures).all() and 50 < pull.pictures.sum() < 200
    assert torch.allclose(pull.gradient, other.gradient, rtol=2e-3, atol=1e-3)
    assert torch.allclose(pull.sigma_px, other.sigma_px, rtol=2e-2)
    assert (other.reach_px - pull.reach_px).clamp(min=0).max() <= 1


def test_a_scene_is_fitted_through_gsplat(monkeypatch):
    monkeypatch.setattr("core.splats.fitting.ROUND", 25)
    views = toys()
    settings = FitSettings(steps=60, gaussians=80, most=100, start="random")
    own = last(fit(views, settings))
    theirs = last(fit(views, settings, draw=partial(cuda.traced, rasterization=stand_in)))
    assert theirs.renderer == "given renderer" and own.renderer == renderer()
    assert len(theirs.changes) == len(own.changes) == 2
    assert theirs.changes[1].count == own.changes[1].count
    db = [score(shot.splats, views, views.test)[0] for shot in (own, theirs)]
    assert min(db) > 20 and abs(db[0] - db[1]) < 1.5


def test_which_renderer_learns(monkeypatch):
    views = toys()
    assert drawer(views.cameras) == (traced, "own renderer, on the CPU")
    monkeypatch.setattr("core.runtime.device", lambda: "cuda")
    monkeypatch.setattr(cuda, "available", lambda: True)
    assert drawer(views.cameras) == (cuda.traced, "gsplat, on CUDA")
    skewed = replace(views.cameras[0], K=views.cameras[0].K + np.eye(3, k=1))
    draw, words = drawer((*views.cameras, skewed))
    assert draw is traced and "skew" in words
    monkeypatch.setattr(cuda, "available", lambda: False)
    monkeypatch.setattr(cuda, "reason", lambda: "no compiler")
    assert drawer(views.cameras) == (traced, "own renderer, on CUDA: no compiler")


# ---------------------------------------------------------------- a scene


def test_splats_learn_a_scene_from_nothing_but_pictures():
    views = toys()
    shots = list(fit(views, FitSettings(steps=200, gaussians=120, most=150, start="random")))
    db, ssim = score(shots[-1].splats, views, views.test)
    assert db > 26 and ssim > 0.9
    assert shots[-1].step == 200 and shots[-1].count == len(shots[-1].splats)
    assert shots[-1].psnr == psnr(shots[-1].preview.rgb, shots[-1].truth)
    assert shots[-1].view == views.test[0]
    first, *rounds = shots[-1].changes
    assert first.count == 120 and rounds and rounds[0].step == 100
    count = first.count
    for change in rounds:
        count += change.cloned + change.split - change.removed
        assert change.count == count
    assert count == shots[-1].count


def test_the_same_seed_gives_the_same_splats_bit_for_bit(monkeypatch):
    monkeypatch.setattr("core.splats.fitting.ROUND", 16)
    views = replace(toys(), test=())
    settings = FitSettings(steps=40, gaussians=30, most=40, start="random")
    one, two = (last(fit(views, settings)) for _ in range(2))
    assert len(one.changes) > 1 and one.view == 0  # a training view, for none is held out
    for name in ("means", "log_scales", "quats", "opacity_logits", "sh"):
        assert np.array_equal(getattr(one.splats, name), getattr(two.splats, name)), name
    other = last(fit(views, replace(settings, fit_seed=5, steps=1))).splats
    assert not np.allclose(other.means, start(views, "random", 30, 0)[0].means, atol=0.1)


def test_going_on_begins_where_it_ended():
    views = toys()
    settings = FitSettings(steps=60, gaussians=100, start="random", density="off")
    one = last(fit(views, settings)).splats
    before = score(one, views, views.test)[0]
    kept = one.means.copy()
    more = last(fit(views, replace(settings, steps=30), splats=one))
    assert score(more.splats, views, views.test)[0] > before - 0.3
    assert np.array_equal(one.means, kept)  # what was given stays as it was
    assert more.changes[0].count == len(one)


def test_a_fit_that_goes_on_is_counted_from_its_beginning():
    source = ViewSettings(n_views=6, view_px=32)
    settings = FitSettings(steps=6, gaussians=40, start="random")
    one = last(learn(source, settings))
    other = ViewSettings(nerf_source="photos", nerf_scene="thin")  # what the page has by now
    more = last(learn(other, replace(settings, steps=4), known=one))
    assert more.views is one.views and more.scene == "tabletop"
    assert more.opened().title.endswith("fitted to 6 views of Tabletop")
    assert more.step == more.shot.step == more.scores["steps"] == 10
    assert more.seconds == more.scores["seconds"] == more.curve[-1][0] > one.seconds
    assert more.curve[: len(one.curve)] == one.curve
    assert more.origin.settings == (source, replace(settings, steps=10))
    steps = [change.step for change in more.shot.changes]
    assert steps == sorted(steps) and steps[0] == 0 and 6 in steps


def test_a_stopped_fit_is_repeated_as_far_as_it_went():
    fits = learn(ViewSettings(n_views=4, view_px=32), FitSettings(seconds=500, gaussians=40))
    found = next(fits)
    fits.close()  # type: ignore[attr-defined]
    (told,) = (s for s in found.origin.settings if isinstance(s, FitSettings))
    assert told.seconds < 500


def a_request():
    return cast(Any, SimpleNamespace(session_hash="fit"))


@pytest.fixture(scope="module")
def page():
    with gr.Blocks() as page:
        splats_tab.build()
    yield page
    sessions.forget(a_request())


def heard(page, name, event):
    """What the page calls at this event of the widget with this label, value or id."""

    def named(widget):
        return name in (getattr(widget, n, None) for n in ("label", "value", "elem_id"))

    (found,) = [fn for fn in page.fns.values() if fn.fn and any(
        e == event and named(page.blocks[k]) for k, e in fn.targets if k is not None)]  # fmt: skip
    return found


def test_no_fit_to_go_on_with_is_said_and_starts_none(page):
    more = heard(page, "Fit on", "click")
    assert not [fn for fn in page.fns.values() if fn.trigger_after == more._id]
    (told,) = more.fn(0, a_request()).values()
    assert "Press Fit first" in told and not sessions.of(a_request()).go_on
    session = sessions.of(a_request())
    with session.fits():
        (told,) = more.fn(0, a_request()).values()
    assert "already" in told and not session.go_on


def test_a_fit_ends_in_the_viewer_where_nothing_was_open(page, monkeypatch):
    sessions.forget(a_request())
    made = list(learn(ViewSettings(n_views=4, view_px=32), FitSettings(steps=2, gaussians=40)))

    def again(*args, progress, **named):
        yield from made

    monkeypatch.setattr("demos.splats_fit.learn", again)
    job = heard(page, "splats-fit-now", "click")
    values = [widget.value for widget in job.inputs]
    told = list(job.fn(a_request(), *values))
    assert not [text for shown in told for text in shown.values() if 'role="alert"' in str(text)]
    assert any("PSNR, held out" in str(text) for text in told[-1].values())
    assert sessions.of(a_request()).viewed.opened.title == made[-1].opened().title


def test_each_source_of_views_shows_its_own_controls(page):
    arrange = heard(page, "Views of", "change").fn

    def shown(label, source):
        places = arrange(source)
        (block,) = [b for b in page.blocks.values() if getattr(b, "label", "") == label]
        while block is not None and block not in places:
            block = block.parent
        return block is not None and places[block].visible

    for label, sources in (
        ("Pose noise (°)", ["scene"]), ("Coverage (°)", ["scene"]), ("Camera seed", ["scene"]),
        ("Frames of a video", ["photos"]),
    ):  # fmt: skip
        assert [s for s in ("scene", "posed", "photos") if shown(label, s)] == sources
        (block,) = [b for b in page.blocks.values() if getattr(b, "label", "") == label]
        columns = []
        while block is not None:
            columns.append(getattr(block, "visible", True))
            block = block.parent
        assert all(columns) == ("scene" in sources)  # as the page opens


def test_behind_a_cut_out_nothing_is_learned():
    views = toys(opaque=False)
    assert drawn_as(views).background == (1.0, 1.0, 1.0)
    shot = last(fit(views, FitSettings(steps=120, gaussians=120, start="random", density="off")))
    opacity = render(shot.splats, views.cameras[views.test[0]], drawn_as(views)).opacity
    empty = views.images[views.test[0], ..., 3] < 0.01
    full = views.images[views.test[0], ..., 3] > 0.95
    assert opacity[empty].mean() < 0.1 and opacity[full].mean() > 0.85
    assert score(shot.splats, views, views.test)[0] > 22


def test_where_the_first_splats_stand():
    views = toys()
    splats, note = start(views, "points", 50)
    assert "without points" in note and len(splats) == 50
    cloud = np.random.default_rng(0).uniform(-0.5, 0.5, (30, 3)).astype(np.float32)
    splats, note = start(replace(views, points=cloud), "points", 50)
    assert not note and sorted(map(tuple, splats.means)) == sorted(map(tuple, cloud))
    splats, _ = start(views, "grid", 27)
    assert len(splats) == 27 and np.allclose(np.unique(splats.means[:, 0]), [-1.6 / 3, 0, 1.6 / 3])
    splats, _ = start(views, "grid", 1)
    assert np.allclose(splats.means, 0)


def test_cameras_agree_on_a_surface_and_not_before_it():
    views = toys()
    red = np.array([[0.9, 0.1, 0.1]] * 3)
    points = np.array([[0.4, 0, 0], [0.4, 0, 0.7], [0, 0, 90.0]])  # in it; above it; out of sight
    apart = disagreement(points, red, views)
    assert apart[0] < 0.3 and apart[1] > 2 * apart[0]
    assert np.isnan(apart[2])


def test_stop_pause_look_and_rate():
    views = toys()
    live = FitLive(look=views.cameras[2])
    snapshots = fit(views, FitSettings(seconds=60, gaussians=40), live=live)
    shot = next(snapshots)
    assert shot.look is not None and shot.look.rgb.shape == (20, 24, 3) and shot.total == 0
    live.paused = True
    assert next(snapshots).step == next(snapshots).step
    live.paused, live.look = False, None
    assert next(snapshots).look is None
    snapshots.close()  # type: ignore[attr-defined]


def test_colour_of_another_degree_keeps_what_it_can():
    splats = heap(5)
    assert np.array_equal(with_degree(splats, 3).sh[:, :4], splats.sh)
    assert not with_degree(splats, 3).sh[:, 4:].any()
    assert np.array_equal(with_degree(splats, 0).sh, splats.sh[:, :1])


def test_a_number_of_gaussians_may_be_numpy_s():
    (number,) = np.array([7])
    assert len(next(fit_image(np.zeros((9, 9, 3), np.uint8), number)).means_px) == 7
