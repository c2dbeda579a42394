"""The learned matching cost, and the made-up worlds that taught it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from core.stereo import cost, learned, refine
from core.stereo.train import fit, textures, world
from core.stereo.train.world import MARGIN, Relief, Sheet
from core.stereo.types import StereoSettings
from core.types import Unavailable

ships = pytest.mark.skipif(not learned.WEIGHTS.is_file(), reason="the learned cost is not shipped")


@pytest.fixture(scope="module")
def grounds() -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [textures.texture(rng) for _ in range(40)]


def noise(seed: int, size: tuple[int, int], blur: float = 1.0) -> np.ndarray:
    """A picture of smooth noise (H, W, 3) uint8."""
    import cv2

    rng = np.random.default_rng(seed)
    field = cv2.GaussianBlur(rng.standard_normal((size[1], size[0], 3)), (0, 0), blur)
    return np.clip(128 + 60 * field / field.std(), 0, 255).astype(np.uint8)


# ---------------------------------------------------------------- the worlds


def test_the_right_picture_shows_each_visible_point_where_the_truth_says(grounds) -> None:
    """Warping the right picture back by the truth gives the left one."""
    import cv2

    for seed in range(8):
        pair = world.pair((3, seed), grounds, (161, 113), 40, clean=True)
        height, width = pair.disparity.shape
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        back = cv2.remap(pair.right, x - pair.disparity, y, cv2.INTER_CUBIC).astype(float)
        wrong = np.abs(back - pair.left).mean(-1)
        inner = cv2.erode(pair.visible.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        far_off = np.abs(np.roll(pair.right, 3, 1).astype(float) - pair.left).mean(-1)
        assert np.median(wrong[inner]) <= 2
        assert wrong[inner].mean() < 0.6 * far_off[inner].mean()


def test_a_smooth_curved_sheet_is_exact_to_a_grey_value() -> None:
    import cv2

    relief = Relief(9.3, (0.11, -0.07), (60, 40), ((50.0, 30.0, 25.0, 5.0),))
    ground = cv2.resize(noise(1, (48, 48)), (textures.SIDE,) * 2, interpolation=cv2.INTER_CUBIC)
    place = np.array([[1.0, 0, 60], [0, 1.0, 60]])
    sheet = Sheet(relief, None, ground.astype(np.float32), place, np.ones((8, 8), np.float32))
    left, right, disparity, visible = world.paint([sheet], (121, 83))
    x, y = np.meshgrid(np.arange(121, dtype=np.float32), np.arange(83, dtype=np.float32))
    back = cv2.remap(right, x - disparity, y, cv2.INTER_CUBIC)
    assert visible[:, 25:].mean() > 0.95
    assert np.abs(back - left)[4:-4, 30:-4].max() < 1.5


def test_what_a_near_sheet_hides_is_known_exactly() -> None:
    """A box at 12 px over a wall at 2 px hides the 10 columns left of it, and nothing else."""
    mask = np.zeros((60 + 2 * MARGIN, 160 + 2 * MARGIN), np.float32)
    mask[MARGIN + 20 : MARGIN + 40, MARGIN + 50 : MARGIN + 80] = 1
    ground, light = np.zeros((textures.SIDE,) * 2 + (3,), np.float32), np.ones((8, 8), np.float32)
    place = np.eye(2, 3)
    sheets = [
        Sheet(Relief(2.0), None, ground, place, light),
        Sheet(Relief(12.0), mask, ground + 200, place, light),
    ]
    _, right, disparity, visible = world.paint(sheets, (120, 60))
    want = np.ones((60, 120), bool)
    want[:, :2] = False  # beyond the right picture's border
    want[20:40, 40:50] = False
    assert np.array_equal(visible, want)
    assert set(np.unique(disparity)) == {2.0, 12.0}
    assert (right[20:40, 38:68] > 150).all() and (right[20:40, 68:] < 50).all()


def test_the_same_seed_gives_the_same_pair(grounds) -> None:
    one, two, other = (world.pair(s, grounds, (97, 61), 30) for s in (4, 4, 5))
    assert np.array_equal(one.left, two.left) and np.array_equal(one.right, two.right)
    assert one.left.shape == (61, 97, 3) and one.left.dtype == np.uint8
    assert not np.array_equal(one.left, other.left)


def test_every_kind_of_texture_is_a_sheet_with_something_on_it() -> None:
    for kind in textures.KINDS:
        sheet = kind(np.random.default_rng(2))
        assert sheet.shape == (textures.SIDE, textures.SIDE, 3), kind.__name__
        assert np.isfinite(sheet).all() and sheet.std() > 0.5, kind.__name__


def test_no_texture_comes_from_a_stereo_pair() -> None:
    assert not any("motorcycle" in name for name in textures.PHOTOS)


# ---------------------------------------------------------------- the network


@pytest.mark.parametrize("first", [0, 3, -4])
def test_scores_are_the_scalar_products_of_partners(first: int, monkeypatch) -> None:
    import torch

    monkeypatch.setattr(learned, "BLOCK", 8)
    draw = torch.Generator().manual_seed(1)
    left, right = (torch.randn(2, 3, 21, 5, generator=draw) for _ in range(2))
    found = learned.scores(left, right, first, 7)
    want = torch.zeros(2, 3, 21, 7)
    for x in range(21):
        for k in range(7):
            if 0 <= x - first - k < 21:
                want[:, :, x, k] = (left[:, :, x] * right[:, :, x - first - k]).sum(-1)
    assert torch.allclose(found, want, atol=1e-5)


@pytest.mark.parametrize("first", [0, 3, -4])
def test_both_ways_are_probabilities_of_either_pixel(first: int) -> None:
    import torch

    draw = torch.Generator().manual_seed(2)
    left, right = (torch.randn(1, 2, 19, 5, generator=draw) for _ in range(2))
    sharp = torch.rand(2, 1, 2, 19, generator=draw) + 0.5
    count = 6
    product = learned.scores(left, right, first, count)
    of_left, of_right = fit.both_ways(product, sharp[0], sharp[1], first)
    inside = 0 <= (torch.arange(19)[:, None] - first - torch.arange(count))
    inside &= (torch.arange(19)[:, None] - first - torch.arange(count)) < 19
    assert torch.allclose(of_left.exp().sum(-1)[:, :, inside.any(1)], torch.ones(1), atol=1e-5)
    claims = torch.zeros(2, 19)
    for x in range(19):
        for k in range(count):
            if inside[x, k]:
                claims[:, x - first - k] += of_right[0, :, x, k].exp()
    assert torch.allclose(claims[claims > 0], torch.ones(1), atol=1e-5)


@pytest.mark.parametrize(("size", "low", "high"), [((37, 23), 0, 16), ((8, 5), -9, 12), ((50, 1), 3, 11)])
def test_a_volume_has_the_shape_and_scale_of_the_others(size, low: int, high: int) -> None:
    settings = StereoSettings(min_disparity_px=low, max_disparity_px=high)
    left, right = noise(1, size), noise(2, size)
    weights = {name: value.detach() for name, value in fit.start(3).items()}
    volume = learned.volume_by(weights, left, right, settings)
    like = cost.volume(left, right, settings, "refined")
    assert volume.shape == like.shape and volume.dtype == like.dtype
    assert volume.strides == like.strides
    assert volume.min() >= 0 and volume.max() <= cost.FULL
    partner = np.arange(size[0])[:, None] - np.arange(low, high)
    outside = (partner < 0) | (partner >= size[0])
    assert (volume[:, outside] == cost.NOWHERE).all()


def test_a_picture_matches_itself_at_zero() -> None:
    """True for any weights: a direction's best partner is itself."""
    picture = noise(7, (61, 43))
    weights = {name: value.detach() for name, value in fit.start(1).items()}
    settings = StereoSettings(min_disparity_px=-8, max_disparity_px=9)
    volume = learned.volume_by(weights, picture, picture, settings)
    assert (volume.argmin(-1) == 8).mean() > 0.99


def test_a_step_of_training_lowers_the_loss(grounds, monkeypatch) -> None:
    import torch

    batch = [world.pair((8, k), grounds, (96, 32), 20) for k in range(2)]
    weights = fit.start(0)
    optimiser = torch.optim.AdamW(list(weights.values()), lr=1e-3)
    losses = []
    for _ in range(6):
        value = fit.loss(weights, batch)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        losses.append(value.item())
    assert losses[-1] < 0.97 * losses[0]


def test_training_goes_on_where_it_stopped(tmp_path: Path, monkeypatch) -> None:
    import torch

    monkeypatch.setattr(fit, "SIZE", (96, 32))
    monkeypatch.setattr(fit, "GROUNDS", 4)
    told: list[str] = []
    fit.fit(tmp_path, 0.03, tell=told.append)
    first = torch.load(tmp_path / "cost.pt", weights_only=True)["step"]
    fit.fit(tmp_path, 0.06, tell=told.append)
    assert torch.load(tmp_path / "cost.pt", weights_only=True)["step"] > first > 0
    assert len(told) == 2


# ---------------------------------------------------------------- what ships


def test_without_weights_a_sentence_says_what_to_do(monkeypatch, tmp_path: Path) -> None:
    learned.weights.cache_clear()
    monkeypatch.setattr(learned, "WEIGHTS", tmp_path / "cost.safetensors")
    with pytest.raises(Unavailable, match="core.stereo.train"):
        learned.volume(noise(1, (20, 10)), noise(2, (20, 10)), StereoSettings())
    learned.weights.cache_clear()


@ships
def test_the_weights_are_small_and_fit_the_network() -> None:
    assert learned.WEIGHTS.stat().st_size < 10_000_000
    found = {name: tuple(value.shape) for name, value in learned.weights().items()}
    assert found == learned.shapes()
    assert (learned.WEIGHTS.parent / "README.md").is_file()


@ships
def test_alone_it_beats_census_on_pairs_it_never_saw() -> None:
    from core.stereo.train import measure

    found = measure.alone(measure.made(3, (240, 161)), learned.weights())
    assert found["learned"] < 0.6 * found["census"]


@ships
def test_it_does_not_care_about_exposure() -> None:
    left = noise(4, (120, 80))
    right = np.roll(left, -9, 1)
    dark = (right * 0.5 + 20).astype(np.uint8)
    settings = StereoSettings(max_disparity_px=24)
    for other in (right, dark):
        found, _ = refine.winner(learned.volume(left, other, settings), 0)
        assert (np.abs(found[:, 12:] - 9) <= 1).mean() > 0.97


@ships
def test_the_range_may_begin_below_zero() -> None:
    left = noise(4, (90, 50))
    settings = dataclasses.replace(StereoSettings(), min_disparity_px=-16, max_disparity_px=8)
    found, _ = refine.winner(learned.volume(left, np.roll(left, 5, 1), settings), -16)
    assert (np.abs(found[:, 8:-8] + 5) <= 1).mean() > 0.97
