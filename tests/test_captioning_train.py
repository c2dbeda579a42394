"""The recipe of tiny-git: its clips say what they show, and it learns, stops and goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.cameras import project
from core.captioning import card, measure, nets, teaching, train, world
from core.captioning.world import backwards, clips, is_new, mirrored
from core.scenes.facts import CAMERA, Event, Facts, Noun
from core.scenes.language import JUMBLED, captions, parse
from core.scenes.plot import plot
from core.scenes.toys import COLOURS
from core.training import Plan

BALL, BOX = Noun("red", "ball"), Noun("blue", "box")
SHIPPED = card.SHIPPED


@pytest.fixture(scope="module")
def few() -> dict[str, np.ndarray]:
    return clips(range(4))


# ---------------------------------------------------------------- the world


def test_backwards_turns_what_time_turns_and_nothing_else():
    first = Event(BALL, "roll", "left", "behind", BOX)
    last = Event(BOX, "appear")
    told = backwards(Facts((first, last), 2))
    assert told == Facts((Event(BOX, "vanish"), Event(BALL, "roll", "right", "behind", BOX)), 2)
    assert backwards(told) == Facts((first, last), 2)


def test_a_collision_backwards_is_told_as_what_one_sees_then():
    def back(event: Event) -> Event:
        return backwards(Facts((event,))).events[0]

    away = Event(BALL, "roll", "right")
    assert back(Event(BALL, "roll", "left", "towards", BOX)) == away
    assert back(Event(BALL, "roll", "left", "into", BOX, "stop")) == away
    bounces = Event(BALL, "roll", "left", "into", BOX, "bounce")
    assert back(bounces) == bounces
    pushes = Event(BALL, "roll", "left", "into", BOX, "push")
    assert back(pushes) == Event(BOX, "slide", "right", "into", BALL, "push")
    assert back(back(pushes)) == pushes


def test_played_backwards_a_story_shows_its_backwards_facts():
    """Places of the thing that moves, from the plot itself, at times that run backwards: it is
    farthest from where it was on the side that the caption names."""
    checked = set()
    for seed in range(150):
        made = plot(seed, world.TRAINING)
        if len(made.facts.events) > 1:
            continue
        event, back = next(iter(made.facts.events)), next(iter(backwards(made.facts).events))
        if back.direction not in ("left", "right") or back.subject == CAMERA:
            continue
        name = f"{back.subject.colour} {back.subject.shape}"
        x = []
        for t in reversed(made.times_s):
            scene, camera = made.frame(float(t), (64, 64))
            x.append(project(camera, np.array(scene[name].position))[0][0])
        across = np.subtract(x, x[0])
        assert (across[np.abs(across).argmax()] > 0) == (back.direction == "right"), seed
        checked.add(back.outcome or event.outcome or "moves")
    assert checked == {"moves", "stop", "bounce", "push"}


def test_a_mirror_exchanges_left_and_right_in_words():
    assert mirrored("first it rolls to the left, then from left to right") == (
        "first it rolls to the right, then from right to left"
    )
    for seed in range(30):
        for text in captions(plot(seed).facts, 3, seed):
            events = parse(mirrored(text)).events
            swap = {"left": "right", "right": "left"}
            was = parse(text).events
            assert [e.direction for e in events] == [
                swap.get(e.direction, e.direction) for e in was
            ]


def test_training_never_shows_what_is_held_out(few: dict[str, np.ndarray]):
    for seed in range(80):
        made = plot(seed, world.TRAINING)
        assert not any(map(is_new, made.facts.events))
        assert any(map(is_new, plot(seed, world.COMBINATIONS).facts.events))
    for text in [*few["told"].ravel(), *few["told_backwards"].ravel()]:
        if text:
            assert not any(map(is_new, parse(text).events)), text
    assert world.HELD_OUT > 100 * train.STORIES


def test_clips_are_as_the_renderer_gives_them(few: dict[str, np.ndarray]):
    assert few["frames"].shape == (4, world.FRAMES, world.SIZE, world.SIZE, 3)
    assert few["frames"].dtype == np.uint8 and few["told"].shape == (4, world.TOLD)
    alone = clips([2])
    off = np.abs(alone["frames"][0].astype(int) - few["frames"][2])
    assert off.max() <= 3 and off.mean() < 0.02  # shadows have other grain in another batch
    assert alone["told"].tolist() == few["told"][2:3].tolist()


# ---------------------------------------------------------------- learning


def test_a_batch_shows_and_tells_the_same_way(few: dict[str, np.ndarray]):
    import torch

    words = nets.tokenizer()
    stories = train.Stories(few, words)
    batch = stories.batch(64, torch.Generator().manual_seed(0), "cpu")
    seen, ids = batch.pixels, batch.ids
    assert seen.shape == (64, world.FRAMES, 3, world.SIZE, world.SIZE)
    assert seen.min() >= -1 and seen.max() <= 1
    ways: set[str] = set()
    for clip, told in zip(seen, ids, strict=True):
        text = words.decode(told, skip_special_tokens=True).replace(" ,", ",").replace(" :", ":")
        shown = ((clip.movedim(-3, -1).numpy() + 1) * 127.5).round().astype(np.uint8)
        for k, frames in enumerate(few["frames"]):
            views = {
                "told": frames, "mirrored": frames[:, :, ::-1], "back": frames[::-1],
                "both": frames[::-1, :, ::-1],
            }  # fmt: skip
            for name, view in views.items():
                if (view == shown).all():
                    source = few["told" if name in ("told", "mirrored") else "told_backwards"][k]
                    known = (
                        {mirrored(t) for t in source}
                        if name in ("mirrored", "both")
                        else set(source)
                    )
                    assert text in known
                    ways.add(name)
    assert ways == {"told", "mirrored", "back", "both"}


def test_shuffled_clips_are_told_as_such(few: dict[str, np.ndarray]):
    import torch

    words = nets.tokenizer()
    stories, seed = train.Stories(few, words), torch.Generator().manual_seed
    plain, mixed, every = (stories.batch(64, seed(0), "cpu", share) for share in (0.0, 0.5, 1.0))
    told = [words.decode(ids, skip_special_tokens=True) for ids in mixed.ids]
    moved = (plain.pixels != mixed.pixels).flatten(1).any(1)
    assert moved.tolist() == [text == JUMBLED for text in told] and 15 < moved.sum() < 50
    assert (mixed.facts[moved] == -1).all() and (mixed.facts == plain.facts)[~moved].all()
    for one, other in ((plain.pixels, every.pixels), (plain.places, every.places)):
        assert torch.equal(one.sort(1).values, other.sort(1).values), "the same frames"
        assert (one != other).flatten(1).any(1).all()
    assert len(every.ids[0]) == len(JUMBLED.split()) + 2


def test_shuffled_is_neither_forwards_nor_backwards():
    rng, seen = np.random.default_rng(0), set()
    for _ in range(200):
        order = world.out_of_order(3, rng)
        seen.add(tuple(order.tolist()))
    assert seen == {(0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1)}


@pytest.mark.parametrize("what", ["clips", "stills"])
def test_places_say_which_toy_is_seen_where(few: dict[str, np.ndarray], what: str):
    """At a toy's centre the picture has its colour's strongest channels; in a mirror too."""
    import torch

    stories, chance = train.Stories(few, nets.tokenizer()), torch.Generator().manual_seed(2)
    if what == "clips":
        batch = stories.batch(32, chance, "cpu")
        pixels, places = batch.pixels, batch.places
    else:
        pixels, places = stories.stills(256, chance, "cpu")
        assert pixels.shape == (256, 1, 3, world.SIZE, world.SIZE) and len(places) == 256
    pictures = (pixels.movedim(2, -1) + 1) / 2
    right = []
    for clip, toys in zip(pictures, places, strict=True):
        for picture, frame in zip(clip, toys, strict=True):
            near = frame[-1] if frame[-1, 0] >= 0 else frame[int((frame[:, 0] >= 0).sum()) - 1]
            name = list(COLOURS)[int(near[0])]
            x, y = int(near[2]), int(near[3])
            if name in ("red", "green", "blue") and near[0] >= 0 and 0 <= x < 64 and 0 <= y < 64:
                right.append(int(picture[y, x].argmax()) == ("red", "green", "blue").index(name))
    assert len(right) > 20 and np.mean(right) > 0.8, "a striped ball or a ring's hole may differ"


def test_where_and_when_are_visible_from_the_start():
    """GIT's own start is 0 for when and 0.02 for where, beside features of about 1."""
    import torch

    net = nets.git(nets.tokenizer())
    when = torch.cat(list(net.git.img_temporal_embedding))
    where = net.git.image_encoder.vision_model.embeddings.position_embedding.weight
    assert 0.3 < float(when.detach().std()) < 0.7 and 0.3 < float(where.detach().std()) < 0.7


def test_toys_are_those_one_can_see_and_tracks_follow_their_colour(few: dict[str, np.ndarray]):
    import torch

    places = torch.from_numpy(few["places"]).long()
    toys = teaching.Toys.shown(places)
    clip, frame, cell = (a.tolist() for a in toys.at)
    found = dict(zip(zip(clip, frame, cell, strict=True), toys.colour.tolist(), strict=True))
    nearest = {
        (b, t, int(y) // nets.PATCH * nets.SIDE + int(x) // nets.PATCH): int(colour)
        for b, clip_places in enumerate(few["places"])
        for t, row in enumerate(clip_places)
        for colour, _, x, y in row  # the nearest is written last
        if 0 <= x < world.SIZE and 0 <= y < world.SIZE
    }
    assert found == nearest and len(found) > 30
    number = {
        (b, c, t): k
        for k, (b, t, c) in enumerate(zip(clip, frame, toys.colour.tolist(), strict=True))
    }
    for k, row in enumerate(toys.tracks(len(places)).tolist()):
        one = clip[k], int(toys.colour[k])
        times = sorted(t for b, c, t in number if (b, c) == one)
        before, later = ((*one, frame[k] + step) for step in (-1, 1))
        assert row == [number.get(before, -1), number.get(later, -1),
                       number[*one, times[0]], number[*one, times[-1]]]  # fmt: skip


def test_a_helper_that_looks_right_loses_nothing_there(few: dict[str, np.ndarray]):
    import torch

    toys = teaching.Toys.shown(torch.from_numpy(few["places"]).long())
    tracks = toys.tracks(4)
    clip, frame, cell = toys.at
    token = frame * (1 + nets.SIDE**2) + 1 + cell
    tokens = world.FRAMES * (1 + nets.SIDE**2)
    looks = torch.zeros(4, nets.HEADS, tokens, tokens)
    wrong = float(teaching.helper().looks(looks, toys, tracks))
    for k, head in (tracks >= 0).nonzero().tolist():
        looks[clip[k], head, token[k], token[tracks[k, head]]] = 50.0
    assert float(teaching.helper().looks(looks, toys, tracks)) < 1e-6
    assert wrong == pytest.approx(np.log(tokens), rel=1e-4)


def test_the_fast_pass_gives_the_models_own_loss(few: dict[str, np.ndarray]):
    import torch
    from torch.nn.functional import cross_entropy

    torch.manual_seed(0)
    words = nets.tokenizer()
    net, helper = nets.git(words).eval(), teaching.helper()
    batch = train.Stories(few, words).batch(3, torch.Generator().manual_seed(1), "cpu")
    with torch.no_grad():
        fast, asked = teaching.loss(net, helper, batch, words.pad_token_id)
        out = net(input_ids=batch.ids, pixel_values=batch.pixels).logits
        out = out[:, out.shape[1] - batch.ids.shape[1] : -1]
        own = cross_entropy(out.flatten(0, 1), batch.ids[:, 1:].flatten(), ignore_index=0)
    assert float(fast) == pytest.approx(float(own), rel=1e-4) and float(asked) > 0


def test_what_the_helper_is_asked_are_the_captions_facts():
    facts = parse("first a red ball rolls to the left behind a blue box, then the camera moves in")
    rows = teaching.labels(facts)
    told = [
        [kind[place] for kind, place in zip(teaching.ANSWERS, row, strict=True)] for row in rows
    ]
    assert told == [["red", "ball", "roll", "left", "behind", "blue", "box", ""],
                    ["", "camera", "dolly", "toward", "", "", "", ""]]  # fmt: skip
    assert teaching.labels(Facts(facts.events[:1]))[1] == [-1] * len(teaching.ANSWERS)


def test_the_recipe_learns_ships_and_is_measured(
    tmp_path: Path, few: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "data").mkdir()
    np.savez(tmp_path / "data" / "00000000.npz", **few)  # type: ignore[arg-type]
    import torch
    from safetensors.torch import load_file

    stages = {"sight": Plan(4, 4, 1e-3), "git": Plan(6, 4, 1e-3)}
    rounds = {name: Plan(2, 4, 1e-3, seed=6 + 2 * k) for k, name in enumerate(train.ROUNDS)}
    stages |= rounds | {"order": Plan(1, 4, 1e-3, seed=10)}
    monkeypatch.setattr("core.training.TELL_EACH", 2)
    train.Recipe(tmp_path, 4, stages).run()
    learned = card.write(tmp_path, tmp_path / "out", stages)
    told = {stage: held["steps"] for stage, held in learned.items()}
    assert told == {"sight": 4, "git": 6, "again": 2, "third": 2, "order": 1}
    ends = {s: torch.load(tmp_path / f"{s}.pt", weights_only=True)["losses"][-1] for s in stages}
    assert {s: held["losses"][-1] for s, held in learned.items()} == pytest.approx(ends, abs=1e-4)
    one, two, last = (
        torch.load(tmp_path / f"{name}.pt", weights_only=True)["nets"]["git"]
        for name in (*train.ROUNDS, "order")
    )
    mean = train.mean_weights(tmp_path)
    assert any(not torch.equal(one[name], two[name]) for name in mean)
    assert all(torch.allclose(mean[name], (one[name] + two[name]) / 2) for name in mean
               if mean[name].is_floating_point())  # fmt: skip
    assert all((last[name] - mean[name]).abs().max() < 2e-3 for name in mean), "a step from there"
    for name, value in load_file(tmp_path / "out" / "model.safetensors").items():
        made = train.LAST * last[name] + (1 - train.LAST) * two[name]
        assert torch.allclose(made.half(), value, atol=1e-4)
    found = measure.measured(tmp_path / "out", 3)
    assert set(found["held out"]) >= {"colour", "shape", "action"}
    text = card.card(found, learned)
    assert "3 stories" in text and "6 × 4" in text
    from transformers import AutoTokenizer, GitForCausalLM

    net = GitForCausalLM.from_pretrained(tmp_path / "out")
    assert next(net.parameters()).dtype.is_floating_point and net.dtype.itemsize == 4
    told = AutoTokenizer.from_pretrained(tmp_path / "out")("a red ball rolls")["input_ids"]
    assert told == nets.tokenizer()("a red ball rolls")["input_ids"]


# ---------------------------------------------------------------- what is shipped


def _shipped(name: str) -> Any:
    return json.loads((SHIPPED / name).read_text(encoding="utf-8"))


def test_the_card_gives_the_figures_that_were_measured():
    text = (SHIPPED / "README.md").read_text(encoding="utf-8")
    assert text == card.card(_shipped("measured.json"), _shipped("training.json"))
    assert all(path.stat().st_size < 10e6 for path in SHIPPED.rglob("*") if path.is_file())


def test_measuring_again_gives_what_the_card_says():
    """On 40 of its 500 stories: a share of few lies within four standard deviations."""
    from core.captioning import speakers

    speaker = speakers.load("tiny-git")
    held = clips(range(world.HELD_OUT, world.HELD_OUT + 40))
    told = measure.say(speaker.net, speaker.words, held["frames"])
    true = held["told"][:, 0].tolist()
    found = measure.facts_right(told, true)
    for kind, share in _shipped("measured.json")["held out"].items():
        count = sum(kind in measure.fact_scores(text, text) for text in true)
        spread = max(0.02, (share * (1 - share) / count) ** 0.5)
        assert abs(found[kind] - share) <= 4 * spread, kind


def test_chance_is_the_best_constant_answer():
    texts = ["a red ball rolls to the left", "a blue ball rolls to the left",
             "a red ball jumps", "a blue box slides to the right"]  # fmt: skip
    found = measure.chance(texts)
    assert found["action"] == pytest.approx(3 / 4) and found["direction"] == pytest.approx(2 / 3)
    backs = ["a red ball rolls to the right", "a blue ball rolls to the left", "a red ball jumps",
             "a blue box slides to the left"]  # fmt: skip
    assert measure.turned_share(texts, backs) == pytest.approx(2 / 3)
