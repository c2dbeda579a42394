"""The recipe of tiny-sd: its world is what it says, and every stage learns, stops and goes on."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import training
from core.cameras import project
from core.diffusion import measure, nets, reader, train, world
from core.scenes import shards
from core.scenes.prompts import Look, Still, parse_prompt
from core.scenes.toys import COLOURS, SHAPES
from core.training import Plan

COUNT = 12
BRIEF = {stage: Plan(3, 4, 1e-3) for stage in train.PLANS}


@pytest.fixture(scope="module")
def pictures() -> world.Pictures:
    return world.pictures(range(COUNT), prompts=2)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, pictures: world.Pictures) -> train.Recipe:
    """A recipe whose stages have each taken three steps."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "data").mkdir()
    with (folder / "data" / "00000000.npz").open("wb") as file:
        np.savez(file, **vars(pictures))
    recipe = train.Recipe(folder, COUNT, BRIEF)
    for stage in train.STAGES:
        recipe.run(stage)
    return recipe


# ---------------------------------------------------------------- the world


def test_toys_lie_in_the_picture_and_are_large_enough_to_tell():
    sizes = []
    for seed in range(60):
        scene = world.scene(seed)
        toys = [thing for thing in scene.things if thing.colour_name]
        assert 1 <= len(toys) <= world.TOYS
        xy, _ = project(world.camera(scene), np.array([toy.position for toy in toys]))
        assert (xy > 2).all() and (xy < world.SIZE - 2).all()
        assert world.NARROW_DEG - 0.01 <= scene.fov_deg <= world.WIDE_DEG + 0.01
        sizes.append(len(toys))
    assert set(sizes) == {1, 2, 3}


def test_same_seed_same_picture_and_its_truth_fits(pictures: world.Pictures):
    again = world.pictures([3], prompts=2)
    off = np.abs(again.rgb[0].astype(int) - pictures.rgb[3])
    assert off.max() <= 2 and off.mean() < 0.01  # shadows have other grain in another batch
    np.testing.assert_array_equal(again.edges[0], pictures.edges[3])
    assert again.prompts[0].tolist() == pictures.prompts[3].tolist()
    for k in range(COUNT):
        there = {int(i) for i in np.unique(pictures.ids[k]) if i >= 2}
        named = (pictures.looks[k, :, 0] >= 0).sum()
        assert there <= set(range(2, 2 + named)) and there
        assert (pictures.depth[k] > 0).sum() == (pictures.ids[k] > 0).sum()
        looks = {
            (list(COLOURS)[c], SHAPES[s]) for c, s in pictures.looks[k].tolist() if c >= 0
        }  # fmt: skip
        for prompt in pictures.prompts[k]:
            assert {(look.colour, look.shape) for look in parse_prompt(prompt).looks} <= looks


def test_held_out_scenes_are_other_scenes(pictures: world.Pictures):
    assert world.HELD_OUT > 100 * train.PICTURES
    other = world.pictures([world.HELD_OUT], prompts=1)
    assert all((other.rgb[0] != picture).any() for picture in pictures.rgb)


def test_rendering_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = []

    def two(seeds: range) -> dict[str, np.ndarray]:
        made.append(seeds.start)
        return {"seed": np.array(seeds)}

    class Pool:
        def __enter__(self):
            return self

        def __exit__(self, *error: object): ...

        def submit(self, call: Any, *given: Any) -> Future:
            job: Future = Future()
            job.set_result(call(*given))
            return job

    monkeypatch.setattr(shards, "SHARD", 2)
    monkeypatch.setattr(shards, "ProcessPoolExecutor", lambda n: Pool())
    whole = shards.rendered(tmp_path, 3, two)
    assert made == [0, 2] and whole["seed"].tolist() == [0, 1, 2]
    shards.rendered(tmp_path, 3, two)
    assert made == [0, 2]


# ---------------------------------------------------------------- learning


def test_stopped_and_resumed_is_the_same_as_in_one_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import torch

    monkeypatch.setattr(training, "SAVE_S", 0.0)
    monkeypatch.setattr(training, "TELL_EACH", 5)

    class Net(torch.nn.Linear):
        device = torch.device("cpu")

    def run(name: str, fails_at: int = 99):
        torch.manual_seed(0)
        net, calls = Net(3, 1), []

        def loss(chance: torch.Generator):
            calls.append(1)
            if len(calls) == fails_at:
                raise KeyboardInterrupt
            x = torch.randn(8, 3, generator=chance)
            return ((net(x)[:, 0] - x.sum(1)) ** 2).mean()

        told = training.train(
            tmp_path / name, {"net": net}, loss, Plan(40, 8, 1e-2), lambda s: None
        )
        return told, len(calls)

    whole, _ = run("whole.pt")
    with pytest.raises(KeyboardInterrupt):
        run("parts.pt", fails_at=23)
    parts, calls = run("parts.pt")
    assert calls == 20 and parts["losses"] == whole["losses"]
    for name, value in whole["nets"]["net"].items():
        torch.testing.assert_close(parts["nets"]["net"][name], value, rtol=0, atol=0)
    assert whole["losses"][-1] < whole["losses"][0]


def test_every_stage_leaves_what_the_next_needs(made: train.Recipe):
    import torch

    names = {file.stem for file in made.folder.glob("*.pt")}
    assert names == {"reader", "vae", "latents", "unet", *nets.KINDS}
    latents = made.latents()
    assert latents.shape == (COUNT, 4, 16, 16)
    assert float(latents.std()) == pytest.approx(1, abs=1e-4)
    known, ids, none = made.words()
    assert ids.shape == (COUNT, 2, nets.TOKENS) and len(none) == nets.TOKENS
    assert known.tokenize("a shiny red ball") == ["a</w>", "shiny</w>", "red</w>", "ball</w>"]
    held = torch.load(made.folder / "edges.pt", weights_only=True)
    zero = held["nets"]["edges"]["controlnet_mid_block.weight"]
    assert zero.abs().max() > 0, "a zero convolution has begun to learn"


def test_a_control_starts_as_the_unet_and_adds_nothing(made: train.Recipe):
    import torch

    _, unet = made.unet()
    net = nets.control(unet)
    x, t, words = torch.randn(1, 4, 16, 16), torch.tensor([5]), torch.randn(1, 77, nets.TEXT)
    down, middle = net(x, t, words, torch.rand(1, 3, 64, 64), return_dict=False)
    assert all((part == 0).all() for part in (*down, middle))


def test_the_loss_of_knowing_the_noise_is_nothing():
    import torch

    x0 = torch.randn(6, 4, 3, 3)
    alphas = nets.scheduler().alphas_cumprod

    def oracle(x, t):
        kept = alphas[t][:, None, None, None]
        return (x - kept.sqrt() * x0) / (1 - kept).sqrt()

    assert float(train.noise_loss(x0, torch.Generator().manual_seed(1), oracle)) < 1e-6
    blind = float(train.noise_loss(x0, torch.Generator().manual_seed(1), lambda x, t: 0 * x))
    assert blind > 0.05


def test_maps_are_what_the_pipelines_take(pictures: world.Pictures):
    for kind in nets.KINDS:
        found = train.condition(pictures, kind, np.array([2, 5]), "cpu")
        assert found.shape == (2, 3, 64, 64)
        assert float(found.min()) == 0 and 0.5 < float(found.max()) <= 1


# ---------------------------------------------------------------- reading and measuring


def test_toys_are_patches_of_one_colour():
    labels = np.ones((20, 20), int)
    labels[2:8, 2:8] = 2  # red
    labels[12:16, 12:17] = 4  # yellow
    labels[18, 0:3] = 5  # too few pixels
    shapes = np.zeros((len(SHAPES), 20, 20), np.float32)
    shapes[SHAPES.index("box"), :10] = 1
    shapes[SHAPES.index("cone"), 10:] = 1
    found = reader._toys(labels, shapes)
    assert [(toy.colour, toy.shape, toy.pixels) for toy in found] == [
        ("red", "box", 36), ("yellow", "cone", 20)
    ]  # fmt: skip
    assert found[0].xy == (5.0, 5.0)
    seen = reader.Read(labels > 5, np.zeros((20, 20)), labels, found)
    still = Still((Look("red", "ball"), Look("yellow", "cone")))
    assert measure.named_things(still, seen) == (1.0, 0.5, False)


def test_words_count_named_things_not_prompts():
    def seen(*toys: tuple[str, str]) -> reader.Read:
        empty = np.zeros((4, 4))
        return reader.Read(
            empty > 0, empty, empty.astype(int),
            tuple(reader.Toy(c, s, 20, (0, 0)) for c, s in toys),
        )  # fmt: skip

    told = measure.words(
        ["a red ball", "a red ball left of a blue cube", "a green cone and a pink ring"],
        [seen(("red", "ball")), seen(("red", "ball"), ("blue", "box")), seen(("green", "ball"))],
    )
    assert told["colour"] == pytest.approx(4 / 5) and told["shape"] == pytest.approx(3 / 5)
    assert told["both of two"] == pytest.approx(1 / 2)


def test_the_card_is_written_from_what_was_measured(made: train.Recipe, tmp_path: Path):
    from core.diffusion import card

    card.write(made.folder, tmp_path, BRIEF)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert max(file.stat().st_size for file in files) < 10e6
    assert sum(file.stat().st_size for file in files) < 60e6
    found = measure.measured(tmp_path, scenes=3)
    text = card.card(found, card.history(made.folder, BRIEF))
    assert f"{found['words']['colour']:.3f}" in text and "3 × 4" in text
    assert 0 <= found["edges"]["with"] <= 1 and np.isfinite(found["vae"]["psnr"])
