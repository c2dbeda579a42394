"""Captioners from the hub, as tiny random networks of the same classes in the layout of the real ones.

The weights know nothing, but everything else is real: found offline by repository id and pinned
commit, loaded from safetensors, given frames with their seconds, and run to words that stream.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import models
from core.captioning import (
    CaptionResult,
    CaptionSettings,
    attribution,
    caption_steps,
    speakers,
    time_tests,
)
from core.captioning.run import Captioned, run
from core.captioning.sources import ClipSettings
from core.captioning.types import CHAT, MODELS, CaptionStep
from core.types import Unavailable
from core.video import Frames, SampleSettings
from tests.hub import hub_cache

WORDS = "describe what happens in this video one sentence frame at user assistant a dog runs . : s"
SMOL = ["<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", "<video>"]
QWEN = ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>", "<|im_end|>"]
TEMPLATE = (
    "{% for m in messages %}{{ m.role }} : {% for c in m.content %}"
    "{% if c.type == 'image' %}IMAGE{% else %}{{ c.text }} {% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %} assistant : {% endif %}"
)


def _tokenizer(folder: Path, marks: list[str], cls: bool = False) -> Any:
    """One token a word, numbers by digits, and the model's own marks."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *marks]
    words = [*special, *sorted(set(WORDS.split())), *"0123456789"]
    ids = {word: k for k, word in enumerate(words)}
    made = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[0-9]|[a-z]+|[.:]"), "removed", invert=True)
    if cls:
        made.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        bos_token="[CLS]", eos_token="[SEP]", unk_token="[UNK]",
        additional_special_tokens=marks,
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    return tokenizer


def _git(folder: Path) -> None:
    from transformers import GitConfig, GitForCausalLM, VideoMAEImageProcessorPil

    words = _tokenizer(folder, [], cls=True)
    seen = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
            "num_attention_heads": 2, "image_size": 32, "patch_size": 16}  # fmt: skip
    GitForCausalLM(GitConfig(
        vision_config=seen, vocab_size=len(words), hidden_size=8, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=8, max_position_embeddings=80,
        num_image_with_embedding=6, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )).save_pretrained(folder)  # fmt: skip
    VideoMAEImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)


def _blip(folder: Path) -> None:
    from transformers import BlipConfig, BlipForConditionalGeneration, BlipImageProcessorPil

    words = _tokenizer(folder, [], cls=True)
    text = {"vocab_size": len(words), "hidden_size": 8, "encoder_hidden_size": 8,
            "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
            "max_position_embeddings": 80, "bos_token_id": 1, "eos_token_id": 2,
            "sep_token_id": 2, "pad_token_id": 0}  # fmt: skip
    seen = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
            "num_attention_heads": 2, "image_size": 32, "patch_size": 16}  # fmt: skip
    config = BlipConfig(text_config=text, vision_config=seen, image_text_hidden_size=8)
    BlipForConditionalGeneration(config).save_pretrained(folder)
    BlipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)


def _smol(folder: Path) -> None:
    from transformers import (
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
        SmolVLMImageProcessorPil,
    )

    words = _tokenizer(folder, SMOL)
    text = {"model_type": "llama", "vocab_size": len(words), "hidden_size": 8,
            "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
            "num_key_value_heads": 2, "max_position_embeddings": 512, "bos_token_id": 1,
            "eos_token_id": 2, "pad_token_id": 0}  # fmt: skip
    seen = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
            "num_attention_heads": 2, "image_size": 32, "patch_size": 8}  # fmt: skip
    config = SmolVLMConfig(
        text_config=text, vision_config=seen, scale_factor=2,
        image_token_id=words.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    SmolVLMForConditionalGeneration(config).save_pretrained(folder)
    SmolVLMImageProcessorPil(
        size={"longest_edge": 32}, max_image_size={"longest_edge": 32}
    ).save_pretrained(folder)
    about = {"processor_class": "SmolVLMProcessor", "image_seq_len": 4}  # (32 / 8)² / 2²
    (folder / "processor_config.json").write_text(json.dumps(about))
    chat = json.dumps({"chat_template": TEMPLATE.replace("IMAGE", "<image>")})
    (folder / "chat_template.json").write_text(chat)


def _qwen(folder: Path) -> None:
    from transformers import (
        Qwen2VLImageProcessorPil,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
    )

    words = _tokenizer(folder, QWEN)
    marks = {name: words.convert_tokens_to_ids(mark) for name, mark in
             zip(("image_token_id", "video_token_id", "vision_start_token_id",
                  "vision_end_token_id"), QWEN, strict=False)}  # fmt: skip
    text = {"vocab_size": len(words), "hidden_size": 16, "intermediate_size": 16,
            "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
            "head_dim": 8, "max_position_embeddings": 512, "bos_token_id": 1, "eos_token_id": 2,
            "pad_token_id": 0, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0,
            "mrope_section": [2, 1, 1], "mrope_interleaved": True}}  # fmt: skip
    seen = {"depth": 2, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2,
            "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2,
            "out_hidden_size": 16, "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0, 1]}  # fmt: skip
    config = Qwen3VLConfig(text_config=text, vision_config=seen, **marks)
    Qwen3VLForConditionalGeneration(config).save_pretrained(folder)
    Qwen2VLImageProcessorPil(
        patch_size=16, size={"shortest_edge": 32 * 32, "longest_edge": 64 * 64}
    ).save_pretrained(folder)
    shown = "<|vision_start|><|image_pad|><|vision_end|>"
    (folder / "chat_template.jinja").write_text(TEMPLATE.replace("IMAGE", shown))


MADE = {"git-vatex": _git, "blip-frames": _blip, "smolvlm2-256m": _smol, "qwen3-vl-2b": _qwen}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub cache with a random network for each path."""
    import torch

    place = tmp_path_factory.mktemp("captioners")
    found = place
    for key, make in MADE.items():
        torch.manual_seed(1)
        folder = place / key
        folder.mkdir()
        make(folder)
        found = hub_cache(place, MODELS[key].source, MODELS[key].revision, folder)
    return found


@pytest.fixture(autouse=True)
def offline(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("SIGHTLINE_OFFLINE", "1")
    monkeypatch.delenv("SIGHTLINE_MODELS", raising=False)
    models.pool().clear()
    yield
    models.pool().clear()


def clip(count: int = 5) -> Frames:
    images = np.random.default_rng(0).integers(0, 255, (count, 48, 64, 3), dtype=np.uint8)
    return Frames(images, np.arange(count) * 0.7, np.arange(count) * 21)


@pytest.mark.parametrize("key", MADE)
def test_frames_go_in_and_words_stream_out(key: str):
    settings = CaptionSettings(model=key, max_tokens=6)
    *steps, result = caption_steps(clip(), settings)
    assert isinstance(result, CaptionResult) and steps
    assert all(isinstance(step, CaptionStep) for step in steps)
    assert 1 <= len(result.words) <= 6 * len(clip())
    assert ((result.probabilities > 0) & (result.probabilities <= 1)).all()
    for chance, runners in zip(result.probabilities, result.runners_up, strict=True):
        assert runners[0][1] == pytest.approx(chance), "greedy: the likeliest was taken"
    assert MODELS[key].source in result.recipe.model
    again = list(caption_steps(clip(), settings))[-1]
    assert isinstance(again, CaptionResult) and again.text == result.text


@pytest.mark.parametrize("key", ["smolvlm2-256m", "qwen3-vl-2b"])
def test_chat_models_are_told_the_second_of_each_frame_and_the_question(key: str):
    speaker = speakers.load(key)
    inputs = speaker.prepare(clip(2), "what runs")
    said = speaker.words.decode(inputs["input_ids"][0])
    assert "frame at 0 . 0 s" in said and "frame at 0 . 7 s" in said and "what runs" in said
    mark = "<image>" if key in CHAT[:3] else "<|image_pad|>"
    assert said.count(mark) == (2 * 4 if mark == "<image>" else 2 * int(
        inputs["image_grid_thw"][0].prod()) // 4)  # fmt: skip
    assert "pixel_values" in inputs


def test_git_gets_the_number_of_frames_it_was_made_for():
    found = list(caption_steps(clip(9), CaptionSettings(model="git-vatex", max_tokens=3)))[-1]
    assert isinstance(found, CaptionResult)
    assert len(found.frames) == 6 and found.frames.indices[0] == 0
    assert any("sees 6 frames" in note for note in found.notes)
    few = list(caption_steps(clip(2), CaptionSettings(model="git-vatex", max_tokens=3)))[-1]
    assert isinstance(few, CaptionResult)
    assert few.frames.indices.tolist() == [0, 0, 0, 21, 21, 21]


@pytest.mark.parametrize("key", ["git-vatex", "smolvlm2-256m", "qwen3-vl-2b"])
def test_time_and_frames_can_be_tested_for_each(key: str):
    settings = CaptionSettings(model=key, max_tokens=4)
    result = list(caption_steps(clip(), settings))[-1]
    assert isinstance(result, CaptionResult)
    tests = time_tests(result.frames, settings)
    own = float(np.log(result.probabilities).mean())
    assert tests.likelihood["forwards"] == pytest.approx(own, abs=1e-3), "read as it was said"
    found = attribution(result.frames, result)
    assert found.left_out.shape == (len(result.words), len(result.frames))
    looks = key == "git-vatex"
    assert np.isnan(found.attention).all() != looks
    if looks:
        np.testing.assert_allclose(found.attention.sum(1), 1, rtol=1e-5)


def test_sampling_follows_its_seed():
    def said(seed: int) -> str:
        settings = CaptionSettings(model="smolvlm2-256m", sampled=True, temperature=2.0, top_p=1.0,
                                   max_tokens=12, seed=seed)  # fmt: skip
        found = list(caption_steps(clip(2), settings))[-1]
        assert isinstance(found, CaptionResult)
        return found.text

    assert said(1) == said(1) != said(2)


def test_stopping_leaves_no_model_running():
    before = threading.active_count()
    steps = caption_steps(clip(2), CaptionSettings(model="smolvlm2-256m", max_tokens=400))
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    until = time.perf_counter() + 5
    while threading.active_count() > before and time.perf_counter() < until:
        time.sleep(0.02)
    assert threading.active_count() <= before


def test_the_tabs_run_goes_through_the_same_code():
    settings = CaptionSettings(model="git-vatex", max_tokens=3)
    *_, last = run(ClipSettings(), SampleSettings(), settings)
    assert isinstance(last, Captioned)
    assert last.result.settings.model == "git-vatex" and last.scores["colour"] == 0


def test_what_is_not_here_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(Unavailable, match=r"offline.*tiny-git works without it"):
        list(caption_steps(clip(), CaptionSettings(model="smolvlm2-500m")))
    assert "offline" in speakers.missing("git-vatex")


@pytest.mark.parametrize("key", ["smolvlm2-256m", "qwen3-vl-2b"])
def test_what_a_chat_took_in_is_counted_and_not_guessed(key: str):
    settings = CaptionSettings(model=key, max_tokens=3)
    *_, result = caption_steps(clip(2), settings)
    assert isinstance(result, CaptionResult)
    taken = speakers.load(key).prepare(clip(2), settings.question)["input_ids"]
    assert result.tokens == taken.shape[1] + len(result.ids)
