"""The deep image prior: it learns the picture it is given, and nothing of what is hidden."""

from __future__ import annotations

import numpy as np
import pytest

from core.inpainting import levels
from core.inpainting.deep_prior import EVERY, best_stop, fit
from core.inpainting.membrane import Membrane
from core.inpainting.types import InpaintSettings, InpaintStep
from core.metrics import psnr


def _ramp(height: int, width: int) -> np.ndarray:
    """A picture that rises to the right in red and downwards in green."""
    y, x = np.mgrid[:height, :width]
    return np.dstack([x * 255 // width, y * 255 // height, 0 * x + 90]).astype(np.uint8)


def _hole(height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[height // 3 : height // 2, width // 3 : width // 2] = True
    return mask


def _fitted(
    image: np.ndarray, mask: np.ndarray, iterations: int = 10, seed: int = 0
) -> list[InpaintStep]:
    chosen = InpaintSettings(method="deep-prior", iterations=iterations, seed=seed)
    return list(fit(image, mask, chosen))


def test_it_learns_what_is_known_and_continues_it_in_the_hole() -> None:
    """Stripes, which a membrane fills with grey."""
    x = np.mgrid[:64, :64][1]
    image = np.repeat((128 + 90 * np.sin(x * np.pi / 4)).astype(np.uint8)[..., None], 3, 2)
    mask = np.zeros((64, 64), bool)
    mask[24:36, 20:34] = True
    steps = _fitted(image, mask, 160)
    assert [step.step for step in steps] == [*range(25, 160, 25), 160] and EVERY == 25
    assert steps[-1].total == 160 and steps[-1].loss < steps[0].loss / 2
    skin, flat = Membrane(mask), image.reshape(-1, 3)
    smooth = skin.inside(flat[skin.rim])
    assert psnr(steps[-1].image[mask], image[mask]) > psnr(smooth, image[mask]) + 3


def test_where_no_copy_of_the_hole_fits_it_is_filled_all_the_same() -> None:
    image, mask = _ramp(9, 9), np.ones((9, 9), bool)
    mask[4, 4] = False
    assert (_fitted(image, mask)[-1].image[4, 4] == image[4, 4]).all()


def test_what_is_hidden_has_no_say() -> None:
    image, mask = _ramp(40, 40), _hole(40, 40)
    other = image.copy()
    other[mask] = np.random.default_rng(0).integers(0, 256, (mask.sum(), 3))
    np.testing.assert_array_equal(_fitted(image, mask)[-1].image, _fitted(other, mask)[-1].image)


def test_a_seed_is_an_answer_and_the_global_one_is_left_alone() -> None:
    import torch

    image, mask = _ramp(33, 21), _hole(33, 21)
    torch.manual_seed(5)
    first = _fitted(image, mask)[-1].image
    drawn = torch.rand(1)
    torch.manual_seed(5)
    np.testing.assert_array_equal(torch.rand(1), drawn)
    np.testing.assert_array_equal(_fitted(image, mask)[-1].image, first)
    assert (_fitted(image, mask, seed=1)[-1].image != first).any()


@pytest.mark.parametrize("size", [(2, 3), (7, 50), (65, 31)])
def test_any_size_and_a_hole_at_the_edge(size: tuple[int, int]) -> None:
    image, mask = _ramp(*size), np.zeros(size, bool)
    mask[:, 0] = True
    (step,) = _fitted(image, mask)
    assert step.image.shape == image.shape and step.image.dtype == np.uint8
    assert np.isfinite(step.loss)


def test_stopping_is_best_where_the_hole_is_nearest_to_the_truth() -> None:
    truth = np.full((4, 4, 3), 100, np.uint8)
    mask = np.zeros((4, 4), bool)
    mask[1, 1] = True
    steps = []
    for k, off in enumerate((20, 2, 7), 1):
        image = np.zeros_like(truth)  # outside the hole nothing counts
        image[mask] = 100 + off
        steps.append(InpaintStep(k, 3, 0.0, image))
    found, best = best_stop(steps, truth, mask)
    assert best == 1
    np.testing.assert_allclose(found, [20 * np.log10(255 / off) for off in (20, 2, 7)])


def test_its_weights_are_drawn_beside_torchs_own_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(3)
        usual = torch.nn.Conv2d(4, 16, 3, 2, 1)
    first = levels.net((16, 8), 4, 3).down[0][0][0]
    assert (first.weight == usual.weight).all() and (first.bias == usual.bias).all()
    monkeypatch.setattr(torch, "manual_seed", pytest.fail)
    monkeypatch.setattr(torch.random, "set_rng_state", pytest.fail)
    before = torch.random.get_rng_state()
    _fitted(_ramp(9, 9), _hole(9, 9))
    assert (torch.random.get_rng_state() == before).all()
