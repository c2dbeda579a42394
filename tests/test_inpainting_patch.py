"""Holes filled with patches, against what was under them."""

from __future__ import annotations

import numpy as np
import pytest

from core.inpainting import patch, pyramid
from core.inpainting.membrane import Membrane
from core.inpainting.patch import PatchSettings, PatchStep, fill
from core.metrics import psnr
from core.types import InputError
from tests.bench.inpainting_patch import energy, seam, strokes


def filled(image: np.ndarray, mask: np.ndarray, **settings: int) -> PatchStep:
    *_, last = fill(image, mask, PatchSettings(**settings))
    return last


def box(height: int, width: int, y: int, x: int, h: int, w: int) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[y : y + h, x : x + w] = True
    return mask


def texture(kind: str, height: int, width: int) -> np.ndarray:
    """RGB uint8 that repeats itself."""
    y, x = np.mgrid[:height, :width]
    if kind == "checker":
        tone = (y // 6 + x // 6) % 2
    elif kind == "stripes":
        tone = 0.5 + 0.5 * np.sin((x + 2 * y) * 2 * np.pi / 15)
    else:
        tone = np.where((y % 8 < 1) | ((x + 10 * (y // 8 % 2)) % 20 < 1), 0.9, 0.2)
    return np.rint(np.dstack([40 + 180 * tone, 90 + 60 * tone, 200 - 150 * tone])).astype(np.uint8)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A rough texture without structure."""
    import cv2

    rough = np.random.default_rng(seed).normal(128, 90, (height, width, 3))
    return np.clip(cv2.GaussianBlur(rough, (0, 0), 1.0), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(12))
def test_outside_the_mask_every_byte_stays(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(9, 90, 2)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    h, w = rng.integers(1, (height // 2 + 1, width // 2 + 1))
    mask = box(height, width, rng.integers(0, height - h + 1), rng.integers(0, width - w + 1), h, w)
    mask |= rng.random(mask.shape) < 0.01
    before = image.copy()
    for step in fill(image, mask, PatchSettings(rounds=2, seed=seed)):
        assert step.image.shape == image.shape and step.image.dtype == np.uint8
        assert (step.image[~mask] == image[~mask]).all()
    assert (image == before).all()


@pytest.mark.parametrize("kind", ["checker", "stripes", "bricks"])
def test_what_repeats_itself_comes_back(kind: str) -> None:
    image = texture(kind, 131, 150)
    mask = box(131, 150, 45, 50, 34, 41)
    hidden = np.where(mask[..., None], 0, image).astype(np.uint8)
    found = filled(hidden, mask).image
    assert psnr(found[mask], image[mask]) > 30


def test_what_is_hidden_does_not_matter() -> None:
    image, mask = noise(60, 71), box(60, 71, 20, 20, 13, 19)
    other = image.copy()
    other[mask] = 255
    assert (filled(image, mask).image == filled(other, mask).image).all()


def test_one_colour_stays() -> None:
    image = np.full((70, 53, 3), (12, 200, 77), np.uint8)
    assert (filled(image, box(70, 53, 0, 10, 30, 22)).image == image).all()


def test_a_slope_of_light_shows_no_seam() -> None:
    y, x = np.mgrid[:96, :96]
    image = np.clip(noise(96, 96) / 4 + (1.2 * x + 0.6 * y)[..., None], 0, 255).astype(np.uint8)
    mask = box(96, 96, 30, 30, 30, 30)
    found = filled(image, mask).image
    assert seam(found, mask) < 1.3
    assert abs(found[mask].mean() - image[mask].mean()) < 5


def test_noise_stays_rough() -> None:
    image, mask = noise(160, 160), strokes(160, 1)
    found = filled(image, mask).image
    assert 0.8 <= energy(found, mask) / energy(image, mask) <= 1.2
    assert seam(found, mask) < 1.3


def test_a_seed_decides() -> None:
    image, mask = noise(80, 91), box(80, 91, 20, 30, 31, 25)
    one = list(fill(image, mask, PatchSettings(seed=3)))
    two = list(fill(image, mask, PatchSettings(seed=3)))
    assert all((a.image == b.image).all() for a, b in zip(one, two, strict=True))
    assert (one[-1].image != filled(image, mask, seed=4).image).any()


@pytest.mark.parametrize("shape", [(97, 83), (900, 1000)])
def test_offsets_lead_out_of_the_hole(shape: tuple[int, int]) -> None:
    image = noise(*shape)
    mask = box(*shape, shape[0] - 40, shape[1] - 61, 40, 37)  # touches the picture's edge
    holes = [mask]
    for step in fill(image, mask, PatchSettings(rounds=3)):
        while len(holes) <= step.level:
            smaller = np.pad(holes[-1], [(0, n % 2) for n in holes[-1].shape], mode="edge")
            h, w = smaller.shape
            holes.append(np.asarray(smaller.reshape(h // 2, 2, w // 2, 2).any((1, 3))))
        hole = holes[step.level]
        assert step.offsets.shape == (*hole.shape, 2) and step.offsets.dtype == np.float32
        assert (np.isfinite(step.offsets).all(2) == hole).all()
        y, x = np.nonzero(hole)
        dx, dy = step.offsets[hole].astype(int).T
        assert not hole[y + dy, x + dx].any()
    assert step.level == 0 and step.step == step.total  # type: ignore


def test_the_middle_of_a_wide_hole_is_voted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deep inside, weights that count from the edge are too small for a float."""
    monkeypatch.setattr(patch, "_INWARDS", 1e9)  # so steep that it is so after 5 px, not after 394
    (level,) = pyramid.levels(noise(60, 60), box(60, 60, 15, 15, 30, 30), 7, 1)
    job = patch._Job(level, 7, np.random.default_rng(0))
    job.search(wide=True)
    assert np.isfinite(job._told(job.pixels, 0.5)).all()


def test_progress_ends_at_one() -> None:
    image, mask = noise(50, 50), box(50, 50, 20, 20, 9, 9)
    seen: list[float] = []
    list(fill(image, mask, PatchSettings(rounds=2), lambda f, /, desc="": seen.append(f)))
    assert seen == sorted(seen) and seen[-1] == 1


def test_a_smaller_patch_where_none_fits() -> None:
    mask = np.zeros((60, 60), bool)
    mask[::5], mask[:, ::6] = True, True  # islands of 4 × 5 px
    step = filled(np.full((60, 60, 3), 99, np.uint8), mask)
    assert step.patch_px == 3 and (step.image == 99).all()


def test_far_away_does_not_matter() -> None:
    """A large picture is as its surroundings alone: the rest isn't even looked at."""
    image, mask = noise(700, 1100), box(700, 1100, 600, 900, 20, 30)
    part = slice(384, 700), slice(640, 1100)
    assert (filled(image, mask).image[part] == filled(image[part], mask[part]).image).all()


def test_a_membrane_is_flat_where_its_edge_is() -> None:
    y, x = np.mgrid[:20, :30].astype(float)
    plane = (2 * x - 3 * y + 5).reshape(-1, 1)
    hole = box(20, 30, 5, 6, 9, 11)
    film = Membrane(hole)
    assert np.allclose(film.inside(plane[film.rim]), plane[hole.ravel()], atol=1e-3)


def test_levels_never_call_hidden_pixels_known() -> None:
    image, mask = noise(101, 77), box(101, 77, 30, 30, 41, 33)
    loud = image.copy()
    loud[mask] = 255
    for a, b in zip(*(pyramid.levels(i, mask, 7, 8) for i in (image, loud)), strict=True):
        assert (a.channels == b.channels).all() and (a.channels[a.hole] == 0).all()


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (np.zeros((40, 50), bool), "mask is empty"),
        (np.ones((40, 50), bool), "covers everything"),
        (np.ones((50, 40), bool), "40 × 50 px and the picture 50 × 40 px"),
        (np.zeros((40, 50), np.uint8), "uint8"),
        (~box(40, 50, 5, 5, 2, 30), "no patch of 3×3"),
    ],
)
def test_bad_masks_say_what_to_do(mask: np.ndarray, says: str) -> None:
    with pytest.raises(InputError, match=says):
        next(fill(np.zeros((40, 50, 3), np.uint8), mask))


def test_bad_settings_and_pictures_say_what_to_do() -> None:
    with pytest.raises(InputError, match="odd"):
        PatchSettings(patch_px=8)
    with pytest.raises(InputError, match="RGB uint8"):
        next(fill(np.zeros((9, 9), np.uint8), np.ones((9, 9), bool)))
