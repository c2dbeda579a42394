"""tiny-fill: what it learns from, that it learns, and what the shipped one adds to a membrane."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.inpainting import InpaintSettings, card, inpaint, inpaint_steps, learned, levels, world
from core.inpainting.leaves import leaves
from core.inpainting.masks import strokes
from core.inpainting.train import Holes, loss, run
from core.inpainting.windows import box, window
from core.metrics import psnr
from core.training import Plan
from core.types import Unavailable

SETTINGS = InpaintSettings(method="learned")
SHIPPED = card.SHIPPED


@pytest.fixture(scope="module")
def few() -> dict[str, np.ndarray]:
    return world.samples(range(6))


def _noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


# ---------------------------------------------------------------- the world


def test_leaves_come_from_their_seed_and_have_edges_of_every_size() -> None:
    one, two, other = (leaves(np.random.default_rng(seed), 64) for seed in (3, 3, 4))
    assert one.shape == (64, 64, 3) and one.dtype == np.uint8
    assert (one == two).all() and (one != other).mean() > 0.9
    made = leaves(np.random.default_rng(0), 256).astype(float)
    for step in (1, 4, 16, 64):  # flat at no distance, and never as rough as noise of its spread
        change = np.abs(made[:, step:] - made[:, :-step]).mean() / made.std()
        assert 0.1 < change < 1.3


def test_samples_hide_strokes_and_fill_them_with_a_membrane(few: dict[str, np.ndarray]) -> None:
    truth, filled, hidden = few["truth"], few["filled"], few["hidden"]
    assert truth.shape == (6, 128, 128, 3) and hidden.dtype == bool
    assert (truth == filled)[~hidden].all() and (truth != filled)[hidden].mean() > 0.5
    shares = hidden.mean((1, 2))
    assert (shares > world.LEAST).all() and (shares < world.MOST).all()
    again = world.samples([4])
    assert all((again[name][0] == few[name][4]).all() for name in few)
    for kind in world.KINDS:
        made = world.picture(1, kind)
        assert made.shape == (256, 256, 3) and made.std() > 5
    assert world.HELD_OUT > 100 * 6_000


def test_a_batch_turns_all_three_alike(few: dict[str, np.ndarray]) -> None:
    import torch

    holes, looks = Holes(few), set()
    for seed in range(12):
        truth, filled, hidden = holes.batch(3, torch.Generator().manual_seed(seed), "cpu")
        assert truth.shape == filled.shape == (3, 3, 128, 128) and hidden.shape == (3, 1, 128, 128)
        assert ((truth == filled) | (hidden > 0)).all() and (truth != filled).any()
        looks.add(tuple(truth[0, 0, 0, :4].tolist()))
    assert len(looks) > 6


# ---------------------------------------------------------------- learning


def test_an_untrained_net_adds_nothing() -> None:
    image, mask = _noise(40, 53), strokes(40, 53, 1)
    membrane, made = learned.answers(levels.net((4, 8), 4).eval(), image, mask)
    assert (membrane == made).all() and (made == image)[~mask].all()


def test_the_loss_is_the_root_of_the_mean_square_in_each_hole(few: dict[str, np.ndarray]) -> None:
    import torch

    truth, filled, hidden = Holes(few).batch(4, torch.Generator().manual_seed(0), "cpu")
    found = float(loss(levels.net((4, 8), 4), truth, filled, hidden).detach())
    each = [
        float(((f - t) ** 2)[:, h[0] > 0].mean()) ** 0.5
        for t, f, h in zip(truth, filled, hidden, strict=True)
    ]
    assert found == pytest.approx(np.mean(each), rel=0.02)


def test_the_recipe_learns_goes_on_and_ships(
    tmp_path: Path, few: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    np.savez(tmp_path / "data" / "00000000.npz", **few)  # type: ignore[arg-type]
    monkeypatch.setattr("core.training.TELL_EACH", 2)
    run(tmp_path, 6, Plan(2, 2, 1e-3))
    net = run(tmp_path, 6, Plan(6, 2, 1e-3))
    history = card.write(tmp_path, tmp_path / "out", Plan(6, 2, 1e-3))
    assert history["steps"] == 6 and history["losses"]
    opened = learned.opened(tmp_path / "out")
    image, mask = few["truth"][0], few["hidden"][0]
    ours, theirs = (list(learned.answers(n, image, mask))[1] for n in (net, opened))
    assert np.abs(ours.astype(int) - theirs).max() <= 1, "float16 in the file"
    Image.fromarray(_noise(40, 60)).save(tmp_path / "data" / "photo.png")
    (tmp_path / "data" / "00000000.npz").unlink()
    found = card.measured(tmp_path / "out", 1, tmp_path / "data")
    assert set(found) == {*world.KINDS, "photo"}
    text = card.card(found, history)
    assert "6 steps of 2 holes" in text and "photographs" in text


# ---------------------------------------------------------------- what is shipped


@pytest.mark.parametrize("shape", [(8, 8), (33, 48), (200, 71)])
def test_outside_the_mask_every_byte_stays_and_what_is_hidden_has_no_say(
    shape: tuple[int, int],
) -> None:
    image, mask = _noise(*shape), np.zeros(shape, bool)
    mask[shape[0] // 3 : shape[0] // 2, shape[1] // 3 : -1] = True
    *steps, last = inpaint_steps(image, mask, SETTINGS)
    assert [step.step for step in steps] == [1, 2]
    assert all((made.image == image)[~mask].all() for made in (*steps, last))
    other = image.copy()
    other[mask] = 255
    assert (inpaint(other, mask, SETTINGS).image == last.image).all()


def test_holes_far_apart_and_large_pictures_are_as_the_part_alone() -> None:
    image, mask = _noise(150, 1300), np.zeros((150, 1300), bool)
    mask[40:52, 30:41] = mask[90:99, 1200:1230] = True
    both = inpaint(image, mask, SETTINGS)
    assert both.steps[-1].total == 4
    for side in (np.s_[:, :600], np.s_[:, 600:]):
        alone = np.zeros_like(mask)
        alone[side] = mask[side]
        part = window(box(alone), mask.shape)
        crop = inpaint(image[part], alone[part], SETTINGS).image
        assert (both.image[part][alone[part]] == crop[alone[part]]).all()


def test_without_its_weights_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gone = replace(learned.MODELS["tiny-fill"], source=str(tmp_path / "gone"))
    monkeypatch.setitem(learned.MODELS, "tiny-fill", gone)
    with pytest.raises(Unavailable, match=r"tiny-fill.*The patch method works"):
        inpaint(_noise(20, 20), strokes(20, 20), SETTINGS)


def _shipped(name: str) -> Any:
    return json.loads((SHIPPED / name).read_text(encoding="utf-8"))


def test_the_card_gives_the_figures_that_were_measured() -> None:
    found = _shipped("measured.json")
    text = (SHIPPED / "README.md").read_text(encoding="utf-8")
    assert text == card.card(found, _shipped("training.json"))
    assert all(row["tiny-fill"] > row["membrane"] for row in found.values())
    assert all(path.stat().st_size < 10e6 for path in SHIPPED.iterdir())


@pytest.mark.parametrize("kind", world.KINDS)
def test_it_adds_to_a_membrane_what_that_lacks(kind: str) -> None:
    """On eight pictures that it was never trained on, other than those of the card."""
    gains = []
    for number in range(world.HELD_OUT + 1000, world.HELD_OUT + 1008):
        truth = world.picture(number, kind)
        mask = strokes(256, 256, number)
        result = inpaint(truth, mask, SETTINGS)
        membrane, made = (psnr(step.image[mask], truth[mask]) for step in result.steps)
        gains.append(made - membrane)
    assert np.mean(gains) > 0.3
