"""Splats in a picture: hand-computed pixels, every pair by brute force, and hard cases."""

import math
import sys
from dataclasses import replace

import numpy as np
import pytest

from core.cameras import look_at
from core.splats import RenderSettings, Splats, contributors, render
from core.splats.blend import blend
from core.splats.harmonics import basis
from core.splats.project import project, rotation_of, tensors
from core.types import Camera, InputError

Y0 = 0.5 / math.sqrt(math.pi)


def ahead(width: int, height: int, focal: float = 20.0) -> Camera:
    """A camera at the world's origin that looks along z; its axes are the world's."""
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    return Camera(K, np.eye(4), width, height)


def balls(means, sigma_m, opacities, rgb) -> Splats:
    """Round splats of one colour each."""
    n = len(means)
    opacities = np.asarray(opacities, np.float64)
    return Splats(
        np.array(means), np.full((n, 3), math.log(sigma_m)), np.tile([1.0, 0, 0, 0], (n, 1)),
        np.log(opacities / (1 - opacities)), ((np.array(rgb) - 0.5) / Y0)[:, None],
    )  # fmt: skip


def heap(n: int, coefficients: int = 16, seed: int = 0) -> Splats:
    """A mixed lot around (0, 0, 3): some behind the camera, some needles, some huge, some faint."""
    rng = np.random.default_rng(seed)
    log_scales = rng.normal(-2.0, 1.0, (n, 3))
    log_scales[::7] += [3.0, -4.0, -4.0]
    log_scales[::13] = 2.0
    return Splats(
        rng.normal([0, 0, 3], [1.5, 1.5, 2], (n, 3)), log_scales,
        rng.normal(size=(n, 4)) * rng.uniform(0.1, 9, (n, 1)), rng.normal(-1, 2, n),
        rng.normal(0, 0.4, (n, coefficients, 3)),
    )  # fmt: skip


def skewed(width: int, height: int) -> Camera:
    """A turned camera beside the heap's middle whose K has two focal lengths, a skew, and its
    principal point away from the picture's middle."""
    camera = look_at((0.4, -0.7, -1.5), (0.1, 0.2, 3.0), width, height, 70, up=(0.2, -1, 0.1))
    K = camera.K + np.array([[0, 1.5, 0.11 * width], [0, 3, -0.2 * height], [0, 0, 0]])
    return replace(camera, K=K)


# ---------------------------------------------------------------- the reference


def waves(d: np.ndarray, degree: int) -> np.ndarray:
    """Real spherical harmonics from SciPy's complex ones: (K,) at a unit direction."""
    from scipy.special import sph_harm_y

    polar, azimuth = math.acos(np.clip(d[2], -1, 1)), math.atan2(d[1], d[0])
    found = []
    for order in range(degree + 1):
        for m in range(-order, order + 1):
            y = sph_harm_y(order, abs(m), polar, azimuth)
            found.append(y.real if m == 0 else math.sqrt(2) * (y.real if m > 0 else y.imag))
    return np.array(found)


def brute(splats: Splats, camera: Camera, settings: RenderSettings) -> np.ndarray:
    """(H, W, 5) float64: colour with background, Σ w·z, Σ w. Every splat at every pixel."""
    K, W, eye = camera.K, camera.c2w[:3, :3].T, camera.c2w[:3, 3]
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    grid = np.stack([x, y], -1)
    edges = [[0, 0, 1], [camera.width, 0, 1], [0, camera.height, 1], [*x.shape[::-1], 1]]
    corners = (np.array(edges) @ np.linalg.inv(K).T)[:, :2]
    low, high = corners.min(0), corners.max(0)
    low, high = low - 0.15 * (high - low), high + 0.15 * (high - low)
    degree = min(settings.sh_degree, splats.degree)
    own = (splats.means.astype(np.float64) - eye) @ W.T
    quats = splats.quats.astype(np.float64)
    total = np.zeros((camera.height, camera.width, 5))
    reach = np.ones((camera.height, camera.width))
    for i in np.argsort(own[:, 2], kind="stable"):
        X, Y, Z = own[i]
        if settings.near_m > Z:
            continue
        w, a, b, c = quats[i] / np.linalg.norm(quats[i])
        u = np.array([a, b, c])  # Rodrigues: v + 2w(u × v) + 2u × (u × v)
        cross = np.array([[0, -c, b], [c, 0, -a], [-b, a, 0]])
        R = np.eye(3) + 2 * w * cross + 2 * cross @ cross
        assert np.allclose(R @ u, u)
        S = np.diag(np.exp(splats.log_scales[i].astype(np.float64))) * settings.scale
        sx, sy = np.clip([X / Z, Y / Z], low, high)
        J = K[:2, :2] @ np.array([[1 / Z, 0, -sx / Z], [0, 1 / Z, -sy / Z]])
        cov = J @ W @ R @ S @ S.T @ R.T @ W.T @ J.T + 0.3 * np.eye(2)
        d = grid - (K @ (own[i] / Z))[:2]
        power = np.einsum("hwi,ij,hwj->hw", d, np.linalg.inv(cov), d)
        alpha = np.exp(-power / 2) / (1 + np.exp(-float(splats.opacity_logits[i])))
        alpha = np.where(alpha >= 1 / 255, np.minimum(alpha, 0.99), 0)
        view = splats.means[i].astype(np.float64) - eye
        k = (degree + 1) ** 2
        colour = 0.5 + waves(view / np.linalg.norm(view), degree) @ splats.sh[i, :k]
        weight = np.where(reach > 1.0001e-4, reach, 0) * alpha
        total += weight[..., None] * np.array([*np.maximum(colour, 0), Z, 1])
        reach *= 1 - alpha
    total[..., :3] += (1 - total[..., 4:]) * settings.background
    return total


@pytest.mark.parametrize(
    ("width", "height", "settings"),
    [
        (37, 23, RenderSettings()),
        (1, 1, RenderSettings(background=(0.2, 0.4, 1.0))),
        (9, 71, RenderSettings(sh_degree=1, scale=0.4)),
        (50, 8, RenderSettings(scale=2.0, near_m=1.0, background=(1, 1, 1))),
    ],
)
def test_equal_to_every_splat_at_every_pixel(width: int, height: int, settings: RenderSettings):
    splats, camera = heap(120), skewed(width, height)
    truth, made = brute(splats, camera, settings), render(splats, camera, settings)
    assert made.colour == pytest.approx(truth[..., :3], abs=1e-4)
    assert made.opacity == pytest.approx(truth[..., 4], abs=1e-4)
    assert (np.abs(made.rgb - truth[..., :3].clip(0, 1) * 255) < 0.53).all()
    solid = truth[..., 4] > 0.501
    assert made.depth_m is not None and solid.any()
    assert made.depth_m[solid] == pytest.approx((truth[..., 3] / truth[..., 4])[solid], rel=1e-4)
    assert np.isnan(made.depth_m[truth[..., 4] < 0.499]).all()


def test_gradients_are_the_references_slopes():
    import torch

    splats, camera, settings = heap(9, 4, seed=3), skewed(13, 7), RenderSettings()
    weights = np.random.default_rng(1).normal(size=(7, 13, 5))
    leaves = {name: t.clone().requires_grad_() for name, t in tensors(splats, "cpu").items()}
    light = blend(project(leaves, camera, settings), 13, 7)
    (light * torch.from_numpy(weights)).sum().backward()
    step = 2e-3  # float32 inputs: smaller steps drown in rounding
    checked = 0
    for name, leaf in leaves.items():
        assert leaf.grad is not None
        slopes = leaf.grad.numpy().reshape(-1)
        for at in np.argsort(-np.abs(slopes))[:3]:
            ends = []
            for sign in (1, -1):
                values = getattr(splats, name).copy()
                values.reshape(-1)[at] += sign * step
                found = brute(replace(splats, **{name: values}), camera, settings)
                ends.append((float(values.reshape(-1)[at]), (found * weights).sum()))
            slope = (ends[0][1] - ends[1][1]) / (ends[0][0] - ends[1][0])
            assert slopes[at] == pytest.approx(slope, rel=0.05, abs=0.05), name
            checked += abs(slope) > 0.1
    assert checked >= 10


# ---------------------------------------------------------------- by hand


def test_one_splat_by_hand():
    """Focal 20 px, 2 m away, σ 0.2 m: 2 px on the picture, and 0.3 px² of dilation."""
    made = render(balls([[0, 0, 2]], 0.2, [0.8], [[1.0, 0.5, 0.25]]), ahead(11, 7))
    assert made.opacity[3, 5] == pytest.approx(0.8, abs=1e-6)
    assert made.opacity[3, 8] == pytest.approx(0.8 * math.exp(-9 / 2 / 4.3), abs=1e-6)
    assert made.opacity[1, 4] == pytest.approx(0.8 * math.exp(-5 / 2 / 4.3), abs=1e-6)
    assert made.rgb[3, 5].tolist() == [204, 102, 51]
    assert made.depth_m is not None and made.depth_m[3, 5] == pytest.approx(2.0)
    assert np.isnan(made.depth_m[3, 8])  # 0.28 is less than half


def test_front_splats_hide_those_behind():
    """Given far one first: 0.5 of red, then 0.5·0.8 of green, then 0.1 of the background."""
    splats = balls([[0, 0, 4], [0, 0, 2]], 0.3, [0.8, 0.5], [[0, 1, 0], [1, 0, 0]])
    settings = RenderSettings(background=(0, 0, 1))
    made = render(splats, ahead(3, 5), settings)
    assert made.colour[2, 1] == pytest.approx([0.5, 0.4, 0.1], abs=1e-6)
    assert made.depth_m is not None
    assert made.depth_m[2, 1] == pytest.approx((0.5 * 2 + 0.4 * 4) / 0.9, rel=1e-6)
    found = contributors(splats, ahead(3, 5), (1.9, 2.0), settings)
    assert found.index.tolist() == [1, 0] and found.depth_m.tolist() == [2, 4]
    assert found.alpha == pytest.approx([0.5, 0.8], abs=1e-6)
    assert found.reach == pytest.approx([1, 0.5], abs=1e-6)
    assert found.weight == pytest.approx([0.5, 0.4], abs=1e-6)
    assert found.left == pytest.approx(0.1, abs=1e-6)
    assert found.colour == pytest.approx(np.array([[1, 0, 0], [0, 1, 0]]), abs=1e-6)
    assert found.pixel == pytest.approx([0.5, 0.4, 0.1], abs=1e-6)


def test_a_pixel_ends_at_a_ten_thousandth():
    """Two of 0.99 leave 1e-4; the third, a bright one, gets none of it."""
    splats = balls([[0, 0, z] for z in (1, 2, 3)], 0.5, [0.999] * 3, [[0, 0, 0]] * 2 + [[1, 1, 1]])
    assert len(contributors(splats, ahead(1, 1), (0.5, 0.5))) == 2
    assert render(splats, ahead(1, 1)).colour[0, 0] == pytest.approx([0, 0, 0], abs=1e-9)


def test_contributors_sum_to_their_pixels():
    splats, camera = heap(300, seed=5), skewed(41, 29)
    settings = RenderSettings(background=(0.3, 0.9, 0.1), sh_degree=2, scale=1.3)
    made = render(splats, camera, settings)
    most = 0
    for x, y in ((0, 0), (40, 28), (20, 14), (33, 2), (7, 19), (15, 27)):
        found = contributors(splats, camera, (x + 0.7, y + 0.1), settings)
        assert found.pixel == pytest.approx(made.colour[y, x], abs=1e-5)
        assert found.weight.sum() + found.left == pytest.approx(1, abs=1e-12)
        assert (np.diff(found.depth_m) >= 0).all()
        most = max(most, len(found))
    assert most > 20


def test_waves_are_scipys():
    import torch

    directions = np.random.default_rng(0).normal(size=(7, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    for degree in range(4):
        made = basis(torch.from_numpy(directions), degree).numpy()
        assert made == pytest.approx(np.array([waves(d, degree) for d in directions]), abs=1e-12)


def test_colour_is_seen_from_the_camera_to_the_splat():
    """The fourth number is −0.4886·x of the direction of view: looking along +x it darkens."""
    sh = np.zeros((1, 4, 3))
    sh[0, 3, 0] = 0.5
    splat = replace(balls([[0, 0, 0]], 0.5, [0.9], [[0, 0, 0]]), sh=sh)
    for eye, sign in (((-3.0, 0.0, 0.0), -1), ((3.0, 0.0, 0.0), 1)):
        found = contributors(splat, look_at(eye, (0, 0, 0), 5, 5), (2.5, 2.5))
        assert found.colour[0] == pytest.approx([0.5 + sign * 0.5 * 0.4886025, 0.5, 0.5])


def test_a_quaternion_turns_own_axes_to_the_world():
    """90° about z takes x to y, whatever the quaternion's length."""
    import torch

    turn = rotation_of(torch.tensor([[3.0, 0.0, 0.0, 3.0]], dtype=torch.float64))[0].numpy()
    assert turn @ [1, 0, 0] == pytest.approx([0, 1, 0])
    lying = balls([[0, 0, 2]], 0.02, [0.9], [[1, 1, 1]])
    tall = replace(lying, log_scales=np.log([[0.5, 0.02, 0.02]]), quats=np.array([[3.0, 0, 0, 3]]))
    opacity = render(tall, ahead(11, 11)).opacity
    assert opacity[1, 5] > 0.5 and opacity[5, 1] == 0


# ---------------------------------------------------------------- hard cases


def test_nothing_in_view_is_background():
    behind = balls([[0, 0, -2], [0, 0, 0.1], [90, 0, 2]], 0.05, [0.9] * 3, [[1, 1, 1]] * 3)
    made = render(behind, ahead(5, 3), RenderSettings(background=(0, 1, 0)))
    assert (made.rgb == [0, 255, 0]).all() and not made.opacity.any()
    assert made.depth_m is not None and np.isnan(made.depth_m).all()
    found = contributors(behind, ahead(5, 3), (0, 0), RenderSettings(background=(0, 1, 0)))
    assert len(found) == 0 and found.left == 1 and found.pixel.tolist() == [0, 1, 0]


@pytest.mark.filterwarnings("error")
def test_extreme_numbers_give_finite_pictures():
    rng = np.random.default_rng(2)
    n = 400
    splats = Splats(
        rng.normal(size=(n, 3)) * 10.0 ** rng.integers(-3, 38, (n, 1)),
        rng.choice([-1e38, -80, -5, 0, 9, 40, 1e38], (n, 3)),
        rng.normal(size=(n, 4)) * 10.0 ** rng.integers(-6, 37, (n, 1)),
        rng.choice([-1e38, -2, 3, 60, 1e38], n), rng.normal(size=(n, 16, 3)) * 1e5,
    )  # fmt: skip
    made = render(splats, ahead(21, 13))
    assert np.isfinite(made.colour).all() and np.isfinite(made.opacity).all()
    assert made.opacity.min() >= 0 and made.opacity.max() <= 1


def test_a_long_needle_has_no_holes():
    """σ is 1000 px along the diagonal, from far outside, and √0.3 px across it."""
    turn = math.radians(45) / 2
    needle = Splats(
        np.array([[300.0, 300.0, 20.0]]), np.array([[math.log(1000.0), -9, -9]]),
        np.array([[math.cos(turn), 0, 0, math.sin(turn)]]), np.array([30.0]), np.ones((1, 1, 3)),
    )  # fmt: skip
    opacity = render(needle, ahead(65, 65)).opacity
    x = np.arange(65) - 32.0  # of pixel centres, from the middle of the picture
    along = (x[:, None] + x - 600) / 2**0.5
    across = (x[:, None] - x) / 2**0.5
    alpha = np.exp(-((along / 1000) ** 2 + across**2 / 0.3) / 2)
    assert opacity == pytest.approx(np.where(alpha < 1 / 255, 0, alpha), abs=1e-4)


@pytest.mark.parametrize(("pairs", "chunk"), [(1, 1), (40, 17)])
def test_memory_in_pieces_gives_the_same_picture(monkeypatch, pairs: int, chunk: int):
    splats, camera = heap(60), skewed(30, 77)
    whole = render(splats, camera)
    monkeypatch.setattr(sys.modules["core.splats.blend"], "PAIRS", pairs)
    monkeypatch.setattr(sys.modules["core.splats.project"], "CHUNK", chunk)
    pieces = render(splats, camera)
    assert pieces.colour == pytest.approx(whole.colour, abs=1e-6)


def test_the_same_twice():
    splats, camera = heap(80), skewed(33, 140)
    assert (render(splats, camera).colour == render(splats, camera).colour).all()


@pytest.mark.parametrize("xy", [(-0.1, 2), (5, 2), (2, 3), (math.nan, 1)])
def test_a_pixel_off_the_picture(xy):
    with pytest.raises(InputError, match="off the picture of 5×3"):
        contributors(heap(3), ahead(5, 3), xy)
