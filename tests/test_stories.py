"""Stories: motions obey their formulas, facts are true in the picture, captions read back."""

import math
from collections import Counter

import numpy as np
import pytest

from core.cameras import project
from core.scenes.cast import ACTIONS, StorySettings, held_out
from core.scenes.facts import CAMERA, Event, Facts, Noun, agreement
from core.scenes.language import JUMBLED, SHAPE_WORDS, VOCABULARY, captions, parse
from core.scenes.motion import CameraMotion, Motion, at, camera_at, collide, reach_m
from core.scenes.plot import plot
from core.scenes.story import film, story
from core.scenes.toys import COLOURS, SHAPES, ground, toy
from core.scenes.types import Scene
from core.types import InputError

BALL, BOX, CONE = Noun("red", "ball"), Noun("blue", "box"), Noun("green", "cone")
PLOTS = [plot(seed) for seed in range(400)]


def two(gap=1.5):
    return Scene("two", (ground(), toy("red", "ball", 0.4), toy("blue", "box", 0.4, (gap, 0.0))))


# ---------------------------------------------------------------- motion


def test_a_ball_rolls_as_far_as_it_turns():
    rolls = Motion("red ball", "roll", 0, 1, by=(0.2 * math.pi, 0, 0))  # half of its girth
    end = at(two(), [rolls], 1.0)["red ball"]
    assert end.position == pytest.approx((0.2 * math.pi, 0, 0.2))
    assert end.rotation == pytest.approx((0, 0, 1, 0), abs=1e-9), "half a turn about +y"
    assert at(two(), [rolls], 0.5)["red ball"].position[0] == pytest.approx(0.1 * math.pi)


def test_jumps_circles_and_turns_come_back():
    moves = [Motion("red ball", "jump", 0, 1, height_m=0.5),
             Motion("blue box", "circle", 1, 2, angle_deg=360),
             Motion("blue box", "turn", 0, 1, angle_deg=360)]  # fmt: skip
    assert at(two(), moves, 0.5)["red ball"].position[2] == pytest.approx(0.7)
    quarter = at(two(), [Motion("blue box", "circle", 0, 1, angle_deg=180)], 0.5)["blue box"]
    assert quarter.position == pytest.approx((0, 1.5, 0.2), abs=1e-9)
    end = at(two(), moves, 2.0)
    for name in ("red ball", "blue box"):
        assert end[name].position == pytest.approx(two()[name].position, abs=1e-9)


def test_what_has_vanished_is_absent_and_strangers_are_named():
    gone = [Motion("red ball", "vanish", 0, 1), Motion("blue box", "appear", 0, 1)]
    names = [[t.name for t in at(two(), gone, t).things] for t in (0.49, 0.51)]
    assert names == [["ground", "red ball"], ["ground", "blue box"]]
    with pytest.raises(InputError, match="holds no"):
        at(two(), [Motion("green dog", "jump", 0, 1)], 0.5)
    with pytest.raises(InputError, match="no motion"):
        Motion("red ball", "fly", 0, 1)


@pytest.mark.parametrize(
    "outcome, ball, box", [("stop", 1, 1.5), ("bounce", 0.4, 1.5), ("push", 1, 2)]
)
def test_collisions_touch_and_end_as_they_say(outcome, ball, box):
    made = two()
    gap = 1.5 - reach_m(made["red ball"]) - reach_m(made["blue box"])
    moves = collide(made, "red ball", "blue box", 0, 1, outcome, push_m=0.5)
    end = at(made, moves, 1.0)
    assert end["red ball"].position[0] == pytest.approx(ball * gap)
    assert end["blue box"].position[0] == pytest.approx(box)
    nearest = min(
        at(made, moves, t)["blue box"].position[0] - at(made, moves, t)["red ball"].position[0]
        for t in np.linspace(0, 1, 101)
    )
    assert nearest == pytest.approx(1.5 - gap, abs=2e-3)
    with pytest.raises(InputError, match="apart"):
        collide(two(0.3), "red ball", "blue box", 0, 1)


def test_the_camera_goes_where_its_name_says():
    made = two()
    start = camera_at(made, [], 0)
    right = start.c2w[:3, 0]
    pan = camera_at(made, [CameraMotion("pan", 0, 1, angle_deg=10)], 1)
    assert (pan.c2w[:3, 3] == start.c2w[:3, 3]).all() and pan.c2w[:3, 2] @ right > 0.1
    assert project(pan, np.array(made.target))[0][0] < start.width / 2, "things go left"
    orbit = camera_at(made, [CameraMotion("orbit", 0, 1, angle_deg=20)], 1)
    assert (orbit.c2w[:3, 3] - start.c2w[:3, 3]) @ right > 0.3
    assert project(orbit, np.array(made.target))[0] == pytest.approx((128, 128))
    dolly = camera_at(made, [CameraMotion("dolly", 0, 1, ahead_m=0.5)], 1)
    assert (dolly.c2w[:3, 3] - start.c2w[:3, 3]) @ start.c2w[:3, 2] == pytest.approx(0.5)


# ---------------------------------------------------------------- facts are true


def find(made, noun):
    return next(t.name for t in made.scene.things
                if (t.colour_name, t.shape_name) == (noun.colour, noun.shape))  # fmt: skip


def path(made, name, start_s, end_s):
    """Image xy (T, 2), depth (T,), and places (T, 3) of a thing's centre."""
    shots = [made.frame(float(t), (100, 100)) for t in np.linspace(start_s, end_s, 15)]
    places = np.array([scene[name].position for scene, _ in shots])
    seen = [project(camera, p) for p, (_, camera) in zip(places, shots, strict=True)]
    return np.array([xy for xy, _ in seen]), np.array([float(z) for _, z in seen]), places


def test_facts_are_true_in_the_picture():
    checked = Counter()
    for made in PLOTS:
        order = []
        for event in made.facts.events:
            if event.subject == CAMERA:
                motion = made.camera_motions[0] if not order else made.camera_motions[-1]
                order.append(motion.start_s)
                continue
            name = find(made, event.subject)
            mine = [m for m in made.motions if m.name == name and m.kind == event.action]
            motion = mine[0] if not order else next(m for m in mine if m.start_s > order[-1])
            order.append(motion.start_s)
            if event.action in ("appear", "vanish"):
                there = [name in [t.name for t in made.frame(t, (9, 9))[0].things]
                         for t in (motion.start_s, motion.end_s)]  # fmt: skip
                assert there == [event.action == "vanish", event.action == "appear"]
            if not event.direction:
                continue
            xy, z_m, places = path(made, name, motion.start_s, motion.end_s)
            steps = {"right": np.diff(xy[:, 0]), "left": -np.diff(xy[:, 0]),
                     "away": np.diff(z_m), "toward": -np.diff(z_m)}[event.direction]  # fmt: skip
            assert (steps > 0).all(), made.facts
            checked[event.direction] += 1
            if not event.relation:
                continue
            other = find(made, event.other)
            other_xy, other_z, other_places = path(made, other, motion.start_s, motion.end_s)
            checked[event.relation] += 1
            apart = np.linalg.norm((places - other_places)[:, :2], axis=1)
            if event.relation in ("behind", "front"):
                side = xy[:, 0] - other_xy[:, 0]
                assert side[0] * side[-1] < 0, "it crosses the other in the picture"
                i = int(np.argmin(abs(side)))
                assert (z_m[i] > other_z[i]) == (event.relation == "behind")
            if event.relation == "past":
                assert (z_m[0] - other_z[0]) * (z_m[-1] - other_z[-1]) < 0
            if event.relation in ("towards", "into"):
                assert apart[-1] < apart[0] - 0.35
            if event.relation == "into":
                reach = reach_m(made.scene[name]) + reach_m(made.scene[other])
                assert apart[-1] == pytest.approx(reach, abs=1e-6)
        assert order == sorted(order)
        assert made.facts.count == len(made.scene.things) - 1
    for kind in ("left", "right", "toward", "away", "behind", "front", "past", "towards", "into"):
        assert checked[kind] >= 8, checked


def test_each_subject_can_be_seen():
    """Rendered ids at the start and the end of each story show each thing that is there."""
    from core.scenes.render import RenderSettings, render

    for made in PLOTS[:12]:
        for t_s in (0.0, float(made.times_s[-1])):
            scene, camera = made.frame(t_s, (48, 48))
            seen = np.unique(render(scene, camera, RenderSettings(samples=1, shadows=False)).ids)
            assert set(range(2, len(scene.things) + 1)) <= set(seen.tolist())


def test_stories_vary():
    actions = Counter(e.action for made in PLOTS for e in made.facts.events)
    assert set(actions) == {*ACTIONS, "pan", "dolly", "orbit"}
    outcomes = Counter(e.outcome for made in PLOTS for e in made.facts.events)
    assert {"stop", "bounce", "push"} <= set(outcomes)
    share = np.mean([len(made.facts.events) == 2 for made in PLOTS])
    assert 0.3 < share < 0.7
    both = Counter(e.direction for made in PLOTS for e in made.facts.events)
    assert 0.5 < both["left"] / both["right"] < 2


def test_settings_choose_what_happens():
    only = StorySettings(max_events=1, jumps=False, turns=False, circles=False, appears=False,
                         collisions=False, camera=False, max_things=2)  # fmt: skip
    for seed in range(20):
        facts = plot(seed, only).facts
        assert facts.events[0].action in ("roll", "slide") and facts.count <= 2
    with pytest.raises(InputError, match="Switch one"):
        StorySettings(**dict.fromkeys(
            ("moves", "collisions", "jumps", "turns", "circles", "appears", "camera"), False))  # fmt: skip


def test_held_out_combinations_are_a_tenth_and_never_shown_in_training():
    every = [(c, s, a) for c in COLOURS for s in SHAPES for a in ACTIONS]
    assert 0.08 < np.mean([held_out(*e) for e in every]) < 0.12
    for s in SHAPES:
        for a in ACTIONS:
            assert sum(held_out(c, s, a) for c in COLOURS) <= 1

    def combos(made):
        return [(e.subject.colour, e.subject.shape, e.action)
                for e in made.facts.events if e.subject != CAMERA]  # fmt: skip

    for seed in range(60):
        train = combos(plot(seed, StorySettings(split="train")))
        assert not any(held_out(*c) for c in train)
        assert any(held_out(*c) for c in combos(plot(seed, StorySettings(split="held-out"))))


def test_a_story_is_filmed_whole_and_the_same_each_time():
    settings = StorySettings(size_px=24, frames=5, seconds=2.5)
    made, again = story(3, settings), story(3, settings)
    assert made.frames.shape == (5, 24, 24, 3) and made.frames.dtype == np.uint8
    assert made.times_s == pytest.approx([0, 0.5, 1, 1.5, 2]) and len(made.cameras) == 5
    assert (made.frames == again.frames).all() and made.captions == again.captions
    assert (made.frames[0] != made.frames[-1]).any(), "something happens"
    assert len(set(made.captions)) == len(made.captions) >= 3
    batch = film([plot(3, settings), plot(4, settings)], (24, 24))
    assert tuple(batch.shape) == (2, 5, 24, 24, 3)


# ---------------------------------------------------------------- language


def test_two_thousand_captions_read_back_without_a_mistake():
    told = [
        (made.facts, text) for k, made in enumerate(PLOTS) for text in captions(made.facts, 6, k)
    ]
    assert len(told) >= 2000
    forms = Counter()
    for facts, text in told:
        back = parse(text)
        assert back.events == facts.events and back.count in (0, facts.count), text
        assert all(score == 1 for score in agreement(back, facts).values())
        words = text.replace(",", "").replace(":", "").split()
        assert set(words) <= set(VOCABULARY) and 3 <= len(words) <= 45
        assert " a orange" not in f" {text}" and not text.startswith(" ")
        forms[
            " ".join(
                w
                for w in words
                if w in {"first", "then", "after", "before", "there", "among", "we", "it", "clip"}
            )
        ] += 1
    assert sum(n > 15 for n in forms.values()) >= 8, forms
    assert 8 < np.mean([len(text.split()) for _, text in told]) < 20
    assert len(VOCABULARY) < 120


def test_that_frames_are_out_of_order_states_no_facts():
    assert parse(f"{JUMBLED.capitalize()}.") == Facts(())
    assert set(JUMBLED.split()) <= set(VOCABULARY)
    rolls = Facts((Event(BALL, "roll", "right"),))
    assert not any(agreement(parse(JUMBLED), rolls).values())


def test_written_captions_are_understood():
    rolls = Event(BALL, "roll", "right", "behind", BOX)
    assert parse("A red ball rolls from left to right behind a blue cube.") == Facts((rolls,))
    assert parse("first the green cone jumps, then the red ball rolls to the left") == Facts(
        (Event(CONE, "jump"), Event(BALL, "roll", "left"))
    )
    assert (
        parse("the red ball rolls to the left after the green cone jumps").events[1].action
        == "roll"
    )
    assert parse("before the green cone hops, the camera pans to the left").events == (
        Event(CAMERA, "pan", "left"), Event(CONE, "jump"),
    )  # fmt: skip
    assert parse("a green cone jumps and then slides closer").events[1] == Event(
        CONE, "slide", "toward"
    )
    assert parse(
        "there are three things, and a red ball rolls to the right until it hits a blue box and bounces back"
    ) == Facts((Event(BALL, "roll", "right", "into", BOX, "bounce"),), 3)
    for text in ("", "a red dog barks", "a red ball", "first a red ball jumps"):
        with pytest.raises(InputError, match="small world"):
            parse(text)


def test_second_mention_is_definite_and_vowels_get_an():
    ring = Noun("orange", "ring")
    facts = Facts((Event(ring, "jump"), Event(BALL, "roll", "right", "towards", ring)))
    texts = captions(facts, 40, 1)
    for text in texts:
        assert "a orange" not in text and text.count("an orange") <= 1
        assert text.count("orange") == 2
    assert any(text.startswith("an orange ring") for text in texts)


def test_every_word_can_be_said():
    def phrase(noun):
        return f"the {noun.colour} {SHAPE_WORDS[noun.shape][0]} jumps"

    for colour in COLOURS:
        for shape in SHAPES:
            noun = Noun(colour, shape)
            assert parse(phrase(noun)).events[0].subject == noun


def test_agreement_by_hand():
    truth = Facts((Event(CONE, "jump"), Event(BALL, "roll", "left", "towards", BOX)))
    swapped = Facts(truth.events[::-1])
    assert set(agreement(truth, truth).values()) == {1.0}
    assert agreement(swapped, truth)["order"] == 0 and agreement(swapped, truth)["action"] == 1
    wrong = Facts((Event(Noun("green", "ball"), "jump"), Event(BALL, "roll", "right")))
    scores = agreement(wrong, truth)
    assert scores["shape"] == 0.5 and scores["direction"] == 0 and scores["relation"] == 0
    assert agreement(Facts((Event(CONE, "jump"),)), truth)["action"] == 0.5
