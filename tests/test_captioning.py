"""Captions: what goes to the model, what comes back, and what is found out about it."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from core.captioning import (
    CaptionResult,
    CaptionSettings,
    attribution,
    budget,
    caption,
    captions_over_time,
    count_tokens,
    score,
    time_tests,
)
from core.captioning.earlier import motion
from core.captioning.inspect import without
from core.captioning.run import Captioned, Prepared, compare, frames_for, run, stretches
from core.captioning.scoring import captions_of, score_result
from core.captioning.sources import ClipSettings, Given, corpus, filmed, source
from core.captioning.speakers import Speaker, load, log_chances, speak, spec_of, spread
from core.captioning.time_tests import changed, judged
from core.captioning.types import READS, CaptionStep
from core.recipe import from_link
from core.scenes.language import JUMBLED
from core.scenes.story import StorySettings, story
from core.types import InputError, Unavailable
from core.video import Frames, SampleSettings, sample, write_mp4
from demos import captioning as tab
from demos import captioning_panels as panels
from demos.captioning_inside import _ruled

STORY = ClipSettings(story_seed=3)


def clip(count: int = 8, height: int = 20, width: int = 30) -> Frames:
    images = np.random.default_rng(0).integers(0, 255, (count, height, width, 3), dtype=np.uint8)
    return Frames(images, np.arange(count) * 0.25, np.arange(count) * 3)


@pytest.fixture(scope="module")
def found() -> Captioned:
    """The tab's default action."""
    *_, last = run(STORY, SampleSettings(), CaptionSettings())
    assert isinstance(last, Captioned)
    return last


# ---------------------------------------------------------------- one caption


def test_first_the_frames_then_words_then_the_result():
    events = list(run(STORY, SampleSettings(), CaptionSettings()))
    assert isinstance(events[0], Prepared) and isinstance(events[-1], Captioned)
    texts = [event.text for event in events if isinstance(event, CaptionStep)]
    assert len(texts) > 3 and all(b.startswith(a) for a, b in itertools.pairwise(texts))


def test_the_result_says_what_was_seen_and_how_surely(found: Captioned):
    result = found.result
    assert (
        len(result.frames) == 8 and result.frames.indices.tolist() == found.frames.indices.tolist()
    )
    assert 0 < result.probabilities.min() <= result.probabilities.max() <= 1
    for word, runners in zip(result.words, result.runners_up, strict=True):
        assert runners[0][0] == word, "greedy: the likeliest word was taken"
        assert sum(p for _, p in runners) <= 1 + 1e-6
    assert set(found.scores) >= {"colour", "shape", "action", "BLEU-4", "ROUGE-L", "CIDEr-D"}


def test_the_code_that_is_taken_away_says_the_same(found: Captioned, tmp_path: Path):
    import subprocess
    import sys

    paths = panels.write_files(found, tmp_path)
    names = {path.name for path in paths}
    assert {"figure.png", "figure.svg", "figure.pdf", "frames.npz", "caption.json", "captions.srt",
            "captions.vtt", "captioning.py"} <= names  # fmt: skip
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "captioning.py"], cwd=tmp_path, capture_output=True, text=True,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.strip() == found.result.text, done.stderr
    back = from_link(found.result.recipe.link(), (ClipSettings, SampleSettings, CaptionSettings))
    assert back == (STORY, SampleSettings(), CaptionSettings())


def test_the_measurement_is_no_model_and_says_so():
    *_, last = run(STORY, SampleSettings(), CaptionSettings(model="keyframes"))
    assert isinstance(last, Captioned)
    assert last.result.text and not last.result.words and last.result.tokens == 0
    assert any("not a model" in note for note in last.result.notes)


def test_frames_of_another_number_are_spread_evenly():
    assert spread(clip(16), 8).indices.tolist() == [0, 6, 12, 18, 27, 33, 39, 45]
    assert spread(clip(3), 6).indices.tolist() == [0, 0, 3, 3, 6, 6]
    assert spread(clip(8), 8).indices.tolist() == clip(8).indices.tolist()


def test_the_budget_is_told_before_and_holds():
    cost = budget(8, CaptionSettings())
    assert cost.picture_tokens == 8 * 17 and not cost.over
    assert "8 frames × 17 tokens + up to 38 of words = 174" in cost.sentence()
    longest = load("tiny-git").net.config.max_position_embeddings - 2
    assert READS["tiny-git"].longest == longest, "what it can say, whatever it is asked for"
    assert budget(8, CaptionSettings(max_tokens=5)).word_tokens == 5
    cut = caption(clip(), CaptionSettings(max_tokens=2))
    assert any("cut short" in note for note in cut.notes)
    chat = CaptionSettings(model="smolvlm2-256m", max_tokens=1000)
    assert not budget(64, chat).over
    assert budget(120, chat).over and "Choose fewer frames" in budget(120, chat).sentence()
    with pytest.raises(InputError, match="fewer frames"):
        caption(clip(120), chat)


def test_stories_have_exact_captions_and_are_films():
    made = filmed(3)
    assert made.path is not None and made.path.exists() and made.info is not None
    assert (made.info.width, made.info.frames) == (128, 16)
    assert score(made.references[1], made.references)["BLEU-4"] == pytest.approx(1, abs=1e-6)
    assert filmed(3) is made and filmed(4).references != made.references
    taken = sample(made.path, SampleSettings(count=16))
    true = story(10_000_003, StorySettings(frames=16, size_px=128, split="train"))
    np.testing.assert_allclose(taken.times_s, true.times_s, atol=1e-3)
    assert np.abs(taken.images.astype(int) - true.frames).mean() < 6


def test_what_is_missing_is_asked_for():
    for kind, sentence in (("file", "no video yet"), ("pictures", "no pictures yet")):
        with pytest.raises(InputError, match=sentence):
            source(ClipSettings(clip=kind))
    pictures = Given(images=tuple(clip(9).images))
    made = source(ClipSettings(clip="pictures"), pictures)
    frames = frames_for(made, SampleSettings(pick="every", every=4, max_px=64), "tiny-git")
    assert made.path is None and frames.indices.tolist() == [0, 4, 8]
    assert (frames.images == clip(9).images[::4]).all()


def test_one_picture_may_move_by_itself(tmp_path: Path):
    from PIL import Image

    first, *more = (Image.fromarray(image) for image in clip().images)
    first.save(tmp_path / "toy.gif", save_all=True, append_images=more, duration=200)
    made = source(ClipSettings(clip="pictures"), Given(images=(tmp_path / "toy.gif",)))
    assert made.info is not None and made.info.frames == 8
    assert len(frames_for(made, SampleSettings(count=4), "tiny-git")) == 4


def test_stories_are_filmed_once_whoever_asks():
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(filmed, [77] * 8))
    assert all(one is made[0] for one in made)


# ---------------------------------------------------------------- along the clip


def test_windows_and_shots_cover_the_clip(tmp_path: Path):
    path = filmed(3).path
    assert path is not None
    spans = stretches(path, SampleSettings(), 0.5)
    assert [a for a, _ in spans] == pytest.approx([0, 0.5, 1, 1.5])
    assert spans[-1][1] == pytest.approx(2.0, abs=0.01)
    assert len(stretches(path, SampleSettings(), 0)) == 1, "a story is one shot"
    cues = list(captions_over_time(path, window_s=1.0))
    assert [(c.start_s, c.end_s) for c in cues] == [(0, 1), (1, pytest.approx(2, abs=0.01))]
    assert all(cue.text for cue in cues)
    past = stretches(path, SampleSettings(end_s=100), 0.75)
    assert past == [(0, 0.75), (0.75, 1.5), (1.5, pytest.approx(2, abs=0.01))]
    assert stretches(path, SampleSettings(end_s=1.7), 0.75) == [(0, 0.75), (0.75, 1.7)]
    with pytest.raises(InputError, match="too many"):
        stretches(path, SampleSettings(), 0.001)
    with pytest.raises(InputError, match="isn't before the end"):
        stretches(path, SampleSettings(start_s=5), 1)


def test_a_frame_is_in_one_stretch_alone(monkeypatch):
    path, seen = filmed(3).path, []
    assert path is not None
    said = caption(clip())
    monkeypatch.setattr("core.captioning.run.caption", lambda f, *rest: seen.append(f) or said)
    how = SampleSettings(count=64)
    list(captions_over_time(path, how, window_s=0.5))
    numbers = [n for frames in seen for n in frames.indices.tolist()]
    assert numbers == list(range(16))
    seen.clear()
    list(captions_over_time(path, how, CaptionSettings(model="keyframes"), window_s=1))
    assert [frames.times_s[-1] < end for frames, end in zip(seen, (1, 2), strict=True)] == [
        True
    ] * 2
    assert min(np.diff(seen[1].times_s)) < 0.2, "a measurement needs neighbours"


def test_a_cut_at_the_out_point_ends_the_last_shot(tmp_path: Path):
    film = np.repeat(np.array([10, 240], np.uint8), 12)[:, None, None, None].repeat(32, 1)
    path = write_mp4(tmp_path / "cut.mp4", film.repeat(32, 2).repeat(3, 3), 12)
    assert stretches(path, SampleSettings(), 0) == [(0, 1), (1, pytest.approx(2))]
    assert stretches(path, SampleSettings(end_s=1), 0) == [(0, 1)]
    (cue,) = captions_over_time(path, SampleSettings(end_s=1), CaptionSettings(model="keyframes"))
    assert cue.text.startswith("Measured: one shot of 1.0 s")


def test_a_film_is_looked_through_once_however_many_windows(tmp_path: Path, monkeypatch):
    from core.video import index

    reads, real = [], index.read_index
    monkeypatch.setattr(index, "read_index", lambda *args: reads.append(1) or real(*args))
    film = np.random.default_rng(0).integers(0, 99, (40, 48, 64, 3), dtype=np.uint8)
    path = write_mp4(tmp_path / "long.mp4", film, 10)
    said = caption(clip(), CaptionSettings(model="keyframes"))
    monkeypatch.setattr("core.captioning.run.caption", lambda *rest: said)
    for model in ("keyframes", "tiny-git"):
        cues = list(captions_over_time(path, settings=CaptionSettings(model=model), window_s=0.5))
        assert len(cues) == 8
    assert len(reads) == 1
    held = [fd.resolve() for fd in Path("/proc/self/fd").glob("*")]
    assert path.resolve() not in held, "every window closes what it opened"


# ---------------------------------------------------------------- memory


class Full:
    """A network for which the GPU is too small."""

    config, device = SimpleNamespace(), "cpu"

    def generate(self, **given):
        import torch

        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB")

    __call__ = generate


@pytest.mark.parametrize("key", ["git-vatex", "qwen3-vl-2b", "tiny-git"])
def test_too_little_memory_is_said_with_what_to_do(key: str):
    import torch

    speaker = Speaker(spec_of(key), Full(), None, lambda frames, question: {})
    inputs = {"input_ids": torch.tensor([[1]])}
    for work in (
        lambda: list(speak(speaker, inputs, CaptionSettings(model=key))),
        lambda: log_chances(speaker, inputs, np.array([2, 3])),
    ):
        with pytest.raises(Unavailable, match=r"ran out of GPU memory.*Fewer frames") as caught:
            work()
        sentence = str(caught.value)
        assert "smaller model" in sentence and sentence.endswith("works without it.")
        assert "CUDA" not in sentence and sentence.count("tiny-git") == 1


# ---------------------------------------------------------------- scores


def test_one_caption_a_frame_is_scored_frame_by_frame():
    truth, measured = ["a red ball rolls to the left"], CaptionSettings(model="keyframes")
    told = [truth[0], "a blue box jumps", ""]
    text = "\n".join(f"{k * 0.3:.1f} s: {line}" for k, line in enumerate(told))
    whole = caption(clip(), measured)
    frames = replace(whole, text=text, settings=CaptionSettings(model="blip-frames"))
    assert captions_of(frames) == told
    each = [score(line, truth) for line in told]
    assert score_result(frames, truth) == pytest.approx(
        {name: np.mean([one[name] for one in each]) for name in each[0]}
    )
    assert score_result(frames, truth)["colour"] == pytest.approx(1 / 3)
    shown = Captioned(filmed(3), clip(), frames, score_result(frames, truth))
    assert "these are means" in panels.score_text(shown)
    assert score_result(whole, truth) == score(whole.text, truth)


def test_facts_are_scored_one_kind_at_a_time():
    truth = ["first a red ball rolls to the left, then a blue box jumps"]
    told = score("first a blue box jumps, then a red ball rolls to the right", truth)
    assert told["direction"] == 0 and told["order"] == 0
    assert told["colour"] == told["shape"] == told["action"] == 1
    free = score("a dog runs", truth)
    assert free["colour"] == free["order"] == 0 and free["BLEU-4"] < 0.01
    assert "colour" not in score("a dog runs", ["a dog is running on grass"])
    wrong = score("first a green cone jumps, then the camera pans to the left", truth)
    assert wrong["order"] == 0, "what fits neither way is in no order"
    twice = "first a red ball jumps, then a red ball jumps"
    assert score(twice, [twice])["order"] == 1


# ---------------------------------------------------------------- time


def test_changed_clips_are_what_they_are_called():
    frames = clip()
    made = changed(frames)
    assert (made["reversed"].images == frames.images[::-1]).all()
    assert (made["frozen"].images == frames.images[4]).all()
    order = [
        int(np.flatnonzero((frames.images == image).all((1, 2, 3)))[0])
        for image in made["shuffled"].images
    ]
    assert sorted(order) == list(range(8)) and order not in (list(range(8)), list(range(8))[::-1])
    for one in made.values():
        np.testing.assert_array_equal(one.times_s, frames.times_s)
    for few in (clip(2), spread(clip(2), 8)):
        with pytest.raises(InputError, match=r"2 frames have no order.*three or more"):
            changed(few)


HITS = "a red ball rolls to the left into a blue box"


@pytest.mark.parametrize(
    "said, reversed_, passed",
    [
        ("a red ball rolls to the left", "a red ball rolls to the right", True),
        ("a red ball rolls to the left", "a red ball rolls to the left", False),
        ("a red ball rolls to the left", "a red ball jumps", False),
        (
            "a red ball rolls to the left, then the camera pans to the left",
            "the camera pans to the right, then a red ball rolls to the left",
            False,
        ),
        ("a red ball jumps", "a red ball jumps", None),
        (f"{HITS} and stops", "a red ball rolls to the right", True),
        (f"{HITS} and pushes it away", "a red ball rolls to the right", True),
        (f"{HITS} and pushes it away", "a blue box slides to the right", True),
        (f"{HITS} and pushes it away", f"{HITS} and pushes it away", False),
        (f"{HITS} and bounces back", f"{HITS} and bounces back", None),
        ("a dog runs", "a dog runs", None),
    ],
)
def test_backwards_a_direction_must_turn(said: str, reversed_: str, passed: bool | None):
    texts = {"forwards": said, "reversed": reversed_, "shuffled": said, "frozen": said}
    found = judged(texts, {"forwards": -0.1, "reversed": -0.1, "shuffled": -0.15, "frozen": -2.0})
    assert found["reversed"][0] is passed
    assert found["shuffled"][0] is False and found["frozen"][0] is True


def test_shuffled_frames_may_be_called_out_of_order():
    said = "a red ball rolls to the left"
    texts = {"forwards": said, "reversed": said, "shuffled": JUMBLED, "frozen": said}
    as_likely = dict.fromkeys(texts, -0.1)
    passed, why = judged(texts, as_likely)["shuffled"]
    assert passed is True and "out of order" in why
    wrong = judged(texts | {"forwards": JUMBLED}, as_likely)
    assert wrong["shuffled"][0] is None and "true clip" in wrong["shuffled"][1]


def test_time_tests_run_on_a_story(found: Captioned):
    tests = time_tests(found.result.frames)
    assert tests.captions["forwards"].text == found.result.text
    own = float(np.log(found.result.probabilities).mean())
    assert tests.likelihood["forwards"] == pytest.approx(own, abs=1e-3)
    assert set(tests.verdicts) == {"reversed", "shuffled", "frozen"}
    assert tests.verdict.startswith("The model uses time")
    still = Frames(np.repeat(found.result.frames.images[:1], 8, 0), np.arange(8.0), np.arange(8))
    alike = time_tests(still)
    assert all(passed is None for passed, _ in alike.verdicts.values())
    assert alike.verdict.startswith("This clip can't tell")
    with pytest.raises(InputError, match="all frames at once"):
        time_tests(clip(), CaptionSettings(model="keyframes"))


def test_leaving_out_and_attention_are_by_words_and_frames(found: Captioned):
    made = attribution(found.result.frames, found.result)
    n = len(found.result.words)
    assert made.left_out.shape == made.attention.shape == (n, 8)
    np.testing.assert_allclose(made.attention.sum(1), 1, rtol=1e-5)
    frames = clip()
    assert (without(frames, 3).images[3] == frames.images[2]).all()
    assert (without(frames, 0).images[0] == frames.images[1]).all()
    twice = spread(clip(4), 8)
    assert (without(twice, 3).images[2:4] == twice.images[0]).all(), "both copies are gone"
    assert (without(twice, 1).images[:2] == twice.images[2]).all()
    still = Frames(np.repeat(found.result.frames.images[:1], 8, 0), np.arange(8.0), np.arange(8))
    told = caption(still)
    assert np.abs(attribution(still, told).left_out).max() < 1e-3, "all alike: none is missed"


def test_tokens_are_counted_as_in_the_lesson():
    made = count_tokens(8, 64, 48, 16, 2)
    assert (made.along_t, made.along_y, made.along_x, made.tokens) == (4, 4, 3, 48)
    assert made.pairs["joint"] == 48**2
    assert made.pairs["factorised encoder"] == 4 * 12**2 + 4**2
    assert made.pairs["factorised or divided"] == 4 * 12**2 + 12 * 4**2
    with pytest.raises(InputError, match="smaller"):
        count_tokens(8, 10, 10, 16)


def test_flow_sees_which_way_things_go():
    rng = np.random.default_rng(0)
    texture = np.kron(rng.integers(0, 255, (16, 24, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    frames = Frames(np.stack([texture, np.roll(texture, 3, axis=1)]), np.arange(2.0), np.arange(2))
    made = motion(frames)
    assert made.flow.shape == made.difference.shape == (1, 64, 96, 3)
    assert made.longest_px[0] > 2
    away = motion(
        Frames(np.stack([texture, np.roll(texture, -3, 1)]), np.arange(2.0), np.arange(2))
    )
    right, left = (m.flow[0, 20:-20, 20:-20].mean((0, 1)) for m in (made, away))
    assert right[0] > right[2] + 60 and left[2] > left[0] + 60, "red to the right, cyan to the left"
    still = motion(Frames(np.stack([texture, texture]), np.arange(2.0), np.arange(2)))
    assert (still.difference == 128).all() and still.longest_px[0] < 0.2
    with pytest.raises(InputError, match="two or more"):
        motion(clip(1))


# ---------------------------------------------------------------- comparing and the page


def test_models_are_compared_on_the_same_frames(found: Captioned):
    rows = list(compare(["tiny-git", "keyframes"], found.clip))
    assert [column.name for column, _ in rows] == ["tiny-git (shipped)", "Measured, no model"]
    assert rows[0][1] is not None and rows[0][1].text == found.result.text
    assert rows[0][0].scores["colour"] == found.scores["colour"]


def test_a_part_that_was_measured_is_named_wherever_it_is_told(tmp_path: Path):
    film = np.random.default_rng(0).integers(0, 99, (1, 48, 64, 3), dtype=np.uint8).repeat(100, 0)
    path = write_mp4(tmp_path / "long.mp4", film, 5)
    where, model = ClipSettings(clip="file"), CaptionSettings(model="keyframes")
    *_, last = run(where, SampleSettings(), model, Given(path))
    assert isinstance(last, Captioned) and "0 to 16 s of 20 s" in last.result.text
    rows = list(compare(["keyframes"], last.clip))
    assert rows[0][1] is not None and rows[0][1].text == last.result.text
    panels.write_files(last, tmp_path)
    held = np.load(tmp_path / "frames.npz")
    frames = Frames(held["images"], held["times_s"], held["indices"], clip_s=float(held["clip_s"]))
    assert caption(frames, model).text == last.result.text
    *_, part = run(where, SampleSettings(start_s=3, end_s=8), model, Given(path))
    assert isinstance(part, Captioned) and "3 to 8 s of 20 s" in part.result.text
    panels.write_files(part, tmp_path)
    assert "00:00:03,000 --> 00:00:08,000" in (tmp_path / "captions.srt").read_text()


def test_seeds_differ_only_when_sampled(found: Captioned):
    frames = found.frames
    greedy = {caption(frames, CaptionSettings(seed=k)).text for k in range(3)}
    assert greedy == {found.result.text}
    hot = CaptionSettings(sampled=True, temperature=3.0, top_p=1.0)
    wild = [caption(frames, replace(hot, seed=k)).text for k in (0, 1, 2, 0)]
    assert len(set(wild)) > 1 and wild[0] == wild[3]


def test_the_page_shows_frames_with_numbers_and_seconds(found: Captioned):
    strip = panels.film_strip(found.result.frames)
    assert strip.count("<img") == 8
    for index, second in zip(found.frames.indices, found.frames.times_s, strict=True):
        assert f"Frame {index} · {second:.2f} s" in strip
    head = panels.headline(found)
    assert found.result.text in head and "In truth" in head
    assert "BLEU-4" in panels.score_text(found)


def test_words_from_outside_stay_words():
    evil = CaptionResult(
        CaptionSettings(), "<script>x</script>", (), np.zeros(0), (), np.zeros(0, np.int64), clip(), 0,
        0.1, caption(clip(), CaptionSettings(model="keyframes")).recipe,
    )  # fmt: skip
    clip_ = source(ClipSettings(clip="pictures"), Given(images=tuple(clip(3).images)))
    assert "<script" not in panels.headline(Captioned(clip_, clip(), evil, {}))


def test_own_pictures_reach_core_in_the_order_of_their_names(tmp_path: Path):
    from PIL import Image

    files = []
    for folder, k in (("b", 10), ("c", 2), ("a", 9)):  # each upload has a folder of its own
        files.append(tmp_path / folder / f"frame{k}.png")
        files[-1].parent.mkdir()
        Image.fromarray(clip(11).images[k]).save(files[-1])
    own = ClipSettings(clip="pictures")
    handed = tab.given(own, None, [str(file) for file in files])
    frames = frames_for(source(own, handed), SampleSettings(), "tiny-git")
    assert (frames.images == clip(11).images[[2, 9, 10]]).all()
    assert tab.given(ClipSettings(), "x.mp4", ["a.png"]) == Given()


def test_frames_are_picked_by_pressing_them():
    assert tab.toggled("", "12") == "12"
    assert tab.toggled("0, 12", "4") == "0, 12, 4"
    assert tab.toggled("0, 12, 4", "12") == "0, 4"


def test_the_meter_tells_what_the_chosen_clip_costs():
    info = filmed(3).info
    assert info is not None
    chat = CaptionSettings(model="qwen3-vl-2b")
    wide = replace(info, width=3840, height=2160, frames=500)
    told = tab._meter(chat, SampleSettings(count=64, max_px=720), wide)
    assert f"64 frames × {round(405 / 32) * round(720 / 32)} tokens" in told
    assert "16 frames × 16 tokens" in tab._meter(chat, SampleSettings(count=64), info)


def test_the_meter_counts_the_frames_that_will_go_in():
    info = filmed(3).info
    assert info is not None
    chat = CaptionSettings(model="smolvlm2-256m")
    for how, told in [
        (SampleSettings(pick="hand", by_hand="0, 4-5"), "3 frames × 64"),
        (SampleSettings(pick="every", every=10), "2 frames × 64"),
        (SampleSettings(pick="fps", fps=1), "2 frames × 64"),
        (SampleSettings(start_s=0.5, end_s=0.7), "2 frames × 64"),
        (SampleSettings(pick="hand", by_hand="0"), "1 frame × 64"),
        (SampleSettings(pick="scenes"), "At most: 8 frames × 64"),
    ]:
        assert told in tab._meter(chat, how, info)
    three = SampleSettings(pick="hand", by_hand="0, 4, 5")
    told = tab._meter(CaptionSettings(), three, info)
    assert "3 frames spread over the 8 it takes: 8 frames × 17" in told
    assert "At most" not in tab._meter(CaptionSettings(), SampleSettings(pick="kmeans"), info)
    none = SampleSettings(pick="hand")
    assert "No frames are picked" in tab._meter(chat, none, info)
    assert "No model" in tab._meter(CaptionSettings(model="keyframes"), none, info)
    assert "8 frames × 64" in tab._meter(chat, none, None), "as long as no clip is chosen"
    assert {"pick", "by_hand", "every", "fps", "start_s", "end_s"} < set(tab.COSTLY)


def test_patches_are_ruled_as_large_as_they_are():
    ruled = _ruled(np.zeros((720, 720, 3), np.uint8), 144)
    assert ruled.shape[:2] == (240, 240)
    assert np.flatnonzero(ruled[1, :, 0]).tolist() == [0, 48, 96, 144, 192]


# ---------------------------------------------------------------- as Core has it


def test_words_that_no_chance_decides_leave_torchs_alone(monkeypatch):
    import torch

    monkeypatch.setattr(torch, "manual_seed", pytest.fail)
    monkeypatch.setattr(torch.random, "fork_rng", pytest.fail)
    assert caption(clip(), CaptionSettings(max_tokens=3)).words


def test_a_model_that_cannot_run_does_not_end_the_comparison(found, monkeypatch, tmp_path: Path):
    monkeypatch.setenv("SIGHTLINE_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("SIGHTLINE_MODELS", raising=False)
    rows = list(compare(["git-vatex", "tiny-git"], found.clip))
    lost, result = rows[0]
    assert lost.name.startswith("GIT base VATEX (hub) did not run: ") and result is None
    assert np.isnan(lost.scores["seconds"]) and lost.picture.dtype == np.uint8
    assert rows[1][1] is not None and rows[1][1].text == found.result.text
    none = SampleSettings(pick="hand")
    rows = list(compare(["tiny-git", "keyframes"], found.clip, none))
    assert "No frames are picked" in rows[0][0].name and rows[1][1] is not None


def test_score_knows_ciders_weights_by_itself():
    truth = ["a red ball rolls to the left", "the red ball goes left"]
    told = score("a red ball rolls", truth)
    assert told["CIDEr-D"] > 0 and told == score("a red ball rolls", truth, corpus())


def test_frames_alone_or_with_settings_are_attributed(found: Captioned):
    frames = found.result.frames
    want = attribution(frames, found.result)
    for made in (attribution(frames), attribution(frames, CaptionSettings())):
        assert made.words == want.words
        np.testing.assert_allclose(made.left_out, want.left_out, atol=1e-4)
    with pytest.raises(InputError, match="sees all frames at once"):
        attribution(frames, CaptionSettings(model="keyframes"))


def test_frames_picked_by_hand_are_of_the_whole_clip(tmp_path: Path):
    how = SampleSettings(pick="hand", by_hand="0, 9", start_s=500)
    *_, last = run(STORY, how, CaptionSettings(max_tokens=3))
    assert isinstance(last, Captioned)
    panels.write_files(last, tmp_path)
    assert "00:00:00,000 --> 00:00:02,000" in (tmp_path / "captions.srt").read_text()


def test_pictures_are_captioned_along_their_seconds(found: Captioned):
    pictures = tuple(found.result.frames.images)
    cues = list(captions_over_time(pictures, window_s=4.0))
    assert [(cue.start_s, cue.end_s) for cue in cues] == [(0, 4), (4, 8)]
    assert all(cue.text for cue in cues)
    measured = CaptionSettings(model="keyframes")
    assert len(list(captions_over_time(pictures, settings=measured, window_s=1.0))) == 8
    assert sum(c.end_s - c.start_s for c in captions_over_time(pictures, settings=measured)) == 8
