"""What a captioner is asked and what it answers: settings, words with their probabilities."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from core.models import ModelSpec
from core.recipe import Recipe
from core.types import InputError, Settings, Snapshot, setting
from core.video.types import Frames

TITLES = {
    "tiny-git": "tiny-git (shipped)",
    "keyframes": "Measured, no model",
    "git-vatex": "GIT base VATEX (hub)",
    "smolvlm2-256m": "SmolVLM2 256M (hub)",
    "smolvlm2-500m": "SmolVLM2 500M (hub)",
    "smolvlm2-2.2b": "SmolVLM2 2.2B (hub)",
    "qwen3-vl-2b": "Qwen3-VL 2B (hub)",
    "blip-frames": "BLIP, frame by frame (hub)",
}
CHAT = ("smolvlm2-256m", "smolvlm2-500m", "smolvlm2-2.2b", "qwen3-vl-2b")  # take a question

_SMOL = ("model*.safetensors", "*.json", "*.txt", "*.jinja")  # not its 5 GB of ONNX files
MODELS = {
    spec.key: spec
    for spec in (
        ModelSpec(
            "tiny-git", "tiny-git", "assets/models/tiny-git", "", "of this project", 4.4, 0.2,
            note="Trained here on rendered stories: it knows coloured toys on a floor, nothing else.",
        ),
        ModelSpec(
            "git-vatex", "GIT base VATEX", "microsoft/git-base-vatex", "main", "MIT", 709, 1.5,
            note="Short sentences on everyday video. Sees six frames.",
        ),
        ModelSpec(
            "smolvlm2-256m", "SmolVLM2 256M", "HuggingFaceTB/SmolVLM2-256M-Video-Instruct",
            "067788b187b95ebe7b2e040b3e4299e342e5b8fd", "Apache-2.0", 513, 1.4,
            ("transformers", "num2words"), "Answers questions. The smallest of its kind.", _SMOL,
        ),
        ModelSpec(
            "smolvlm2-500m", "SmolVLM2 500M", "HuggingFaceTB/SmolVLM2-500M-Video-Instruct",
            "7b375e1b73b11138ff12fe22c8f2822d8fe03467", "Apache-2.0", 1020, 1.8,
            ("transformers", "num2words"), "Answers questions.", _SMOL,
        ),
        ModelSpec(
            "smolvlm2-2.2b", "SmolVLM2 2.2B", "HuggingFaceTB/SmolVLM2-2.2B-Instruct", "main",
            "Apache-2.0", 4490, 5.2, ("transformers", "num2words"),
            "Answers questions; slow without a GPU.", _SMOL,
        ),
        ModelSpec(
            "qwen3-vl-2b", "Qwen3-VL 2B", "Qwen/Qwen3-VL-2B-Instruct",
            "89644892e4d85e24eaac8bacfd4f463576704203", "Apache-2.0", 4260, 5.5,
            note="Answers questions and is told the second of each frame; slow without a GPU.",
        ),
        ModelSpec(
            "blip-frames", "BLIP base", "Salesforce/blip-image-captioning-base",
            "82a37760796d32b1411fe092ab5d4e227313294b", "BSD-3-Clause", 990, 1.5,
            note="One caption a frame, and no idea of time: the contrast.",
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Reads:
    """How a model takes frames in: how many exactly (0: as many as there are), tokens of one frame,
    how many tokens it can hold (0: pictures don't count), and how many it can answer (0: as many as
    it is asked for)."""

    frames: int
    tokens: int
    context: int
    longest: int = 0


READS = {
    "tiny-git": Reads(8, 17, 0, 38),  # 4×4 patches of 16 px and one for the whole
    "git-vatex": Reads(6, 197, 0),  # 14×14 and one
    "smolvlm2-256m": Reads(0, 64, 8192),
    "smolvlm2-500m": Reads(0, 64, 8192),
    "smolvlm2-2.2b": Reads(0, 81, 8192),
    "qwen3-vl-2b": Reads(0, 256, 262_144),  # a 512 px square; other sizes: pixels / 32²
    "blip-frames": Reads(0, 577, 0),
    "keyframes": Reads(0, 0, 0),
}


@dataclass(frozen=True)
class CaptionSettings(Settings):
    """Who tells what happens, and how it chooses its words."""

    model: str = setting("tiny-git", "Model", "What looks at the frames.", choices=TITLES)
    question: str = setting(
        "Describe what happens in this video in one sentence.", "Question",
        "For the models that chat; the others always describe.", advanced=True,
    )  # fmt: skip
    sampled: bool = setting(
        False, "Sample", "Words by chance, as likely as the model finds them; else the likeliest.",
        advanced=True,
    )  # fmt: skip
    temperature: float = setting(
        0.7, "Temperature", "Of sampling: low is careful, high is wild.",
        minimum=0.05, maximum=3.0, step=0.05, advanced=True,
    )  # fmt: skip
    top_p: float = setting(
        0.9, "Top-p", "Of sampling: only the likeliest words that make up this share.",
        minimum=0.05, maximum=1.0, step=0.05, advanced=True,
    )  # fmt: skip
    max_tokens: int = setting(
        64, "Longest answer", "In tokens, of about a word each.", minimum=1, maximum=1024, step=1,
        advanced=True,
    )  # fmt: skip
    seed: int = setting(
        0, "Seed", "Of sampling.", minimum=0, maximum=2**31 - 1, step=1, advanced=True
    )


@dataclass(frozen=True)
class CaptionStep(Snapshot):
    """The answer so far."""

    text: str


@dataclass(frozen=True)
class CaptionResult:
    """What a model says of some frames.

    text; words are its tokens as text, in order; probabilities (N,) float64 what the model gave each
    of them, NaN where nothing is known; runners_up: for each the likeliest tokens and their
    probabilities, itself among them. ids (N,) the tokens' numbers. frames are those that the model
    saw, in its order. tokens is what it took in, pictures and words. notes are plain sentences.
    """

    settings: CaptionSettings
    text: str
    words: tuple[str, ...]
    probabilities: np.ndarray
    runners_up: tuple[tuple[tuple[str, float], ...], ...]
    ids: np.ndarray
    frames: Frames
    tokens: int
    seconds: float
    recipe: Recipe
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        n = len(self.words)
        if self.probabilities.shape != (n,) or len(self.runners_up) != n:
            raise InputError(f"{n} words need {n} probabilities and {n} lists of runners-up.")
