"""What made a caption: which frame made which word, and what the frames cost.

Two answers to the first question, which needn't agree. Attention says where the model looked.
Leaving a frame out says what would have been said without it; only that is a cause.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from core.captioning import speakers
from core.captioning.run import caption
from core.captioning.types import CaptionResult, CaptionSettings
from core.runtime import stage
from core.types import InputError, Progress, silent
from core.video import Frames

ATTENDS = ("tiny-git", "git-vatex")  # models whose attention this code can lay out by frames
NEEDS_ALL = "This needs a model that sees all frames at once. Choose another model."


@dataclass(frozen=True)
class Attribution:
    """words (N) × frames (T). left_out (N, T): by how many nats each word becomes less likely when
    a frame is replaced by its neighbour; attention (N, T): share of each word's look at pictures
    that goes to each frame, rows sum to 1, NaN for models that don't tell."""

    words: tuple[str, ...]
    left_out: np.ndarray
    attention: np.ndarray


def attribution(
    frames: Frames,
    result: CaptionResult | CaptionSettings = CaptionSettings(),
    progress: Progress = silent,
) -> Attribution:
    """Which frame made which word of the result, a caption of these frames; of settings, the one that
    they give.

    Raises InputError for a result of no model or of one that sees frames one at a time.
    """
    settings = result if isinstance(result, CaptionSettings) else result.settings
    key = settings.model
    if key in ("keyframes", "blip-frames"):
        raise InputError(NEEDS_ALL)
    if isinstance(result, CaptionSettings):
        told = caption(frames, settings, stage(progress, 0.0, 0.5))
        progress = stage(progress, 0.5, 1.0)
    else:
        told = result
    if not len(told.ids):
        raise InputError(NEEDS_ALL)
    speaker = speakers.load(key)
    seen = speaker.frames_of(frames)

    def chances(clip: Frames, **options: bool) -> tuple[np.ndarray, Any]:
        inputs = speaker.prepare(clip, settings.question)
        return speakers.log_chances(speaker, inputs, told.ids, **options)

    looks = key in ATTENDS
    whole, out = chances(seen, **({"output_attentions": True} if looks else {}))
    attention = _attention(out, len(seen), len(told.ids)) if looks else None
    drops = []
    for k in range(len(seen)):
        progress(k / len(seen), desc=f"without frame {k + 1}")
        drops.append(whole - chances(without(seen, k))[0])
    blank = np.full((len(told.ids), len(seen)), np.nan)
    return Attribution(
        told.words, np.stack(drops, 1), blank if attention is None else attention
    )  # fmt: skip


def without(frames: Frames, k: int) -> Frames:
    """The clip with frame k, wherever it stands, replaced by the one before it (the first by the
    next one): as many frames as before, since GIT counts them."""
    images, same = frames.images.copy(), np.flatnonzero(frames.indices == frames.indices[k])
    before, after = same[0] - 1, same[-1] + 1
    if before >= 0 or after < len(images):
        images[same] = images[before if before >= 0 else after]
    return replace(frames, images=images)


def _attention(out: Any, frames: int, words: int) -> np.ndarray:
    """Mean over layers and heads of the attention from the place that chose each word to each
    frame's tokens, as shares."""
    import torch

    stacked = torch.stack([layer[0] for layer in out.attentions])
    mean = stacked.float().mean((0, 1)).cpu().numpy()  # (all places, all places)
    start = len(mean) - words - 1  # of the words: one start mark, then the answer
    rows = mean[start : start + words, :start].reshape(words, frames, -1).sum(-1)
    return rows / rows.sum(1, keepdims=True)


# ---------------------------------------------------------------- tokens


@dataclass(frozen=True)
class TokenCount:
    """How a clip becomes tokens, and what attention over them costs.

    along_t, along_y, along_x tokens; pairs: by kind of attention, how many pairs of tokens look at
    each other in one layer (Arnab et al. 2021, ViViT; Bertasius et al. 2021, TimeSformer).
    """

    along_t: int
    along_y: int
    along_x: int
    pairs: dict[str, int]

    @property
    def tokens(self) -> int:
        return self.along_t * self.along_y * self.along_x


def count_tokens(frames: int, height: int, width: int, patch: int, tube: int = 1) -> TokenCount:
    """frames of height × width px cut into tubes of tube frames × patch × patch px.

    Raises InputError where not even one tube fits.
    """
    t, y, x = frames // tube, height // patch, width // patch
    if min(t, y, x) < 1:
        raise InputError(
            f"A tube of {tube} frames and {patch} px doesn't fit into {frames} frames of "
            f"{width}×{height} px. Choose a smaller one."
        )
    place, n = y * x, t * y * x
    return TokenCount(
        t, y, x,
        {
            "joint": n * n,
            "factorised encoder": t * place * place + t * t,
            "factorised or divided": t * place * place + place * t * t,
        },
    )  # fmt: skip
