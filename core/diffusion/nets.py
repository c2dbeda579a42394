"""The parts of tiny-sd, in diffusers' and transformers' own classes: only their sizes are ours.

A picture of 64 px becomes a latent of 16×16×4 (f = 4); text becomes 77 vectors of TEXT numbers; the
U-Net takes both. A ControlNet is a copy of the U-Net's first half behind convolutions of zeros.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from core.diffusion.world import SIZE

TEXT = 128  # numbers of a text vector
TOKENS = 77
FACTOR = 4  # pixels a side of one latent place
KINDS = ("edges", "depth", "segmentation")  # what a control map may be


def library() -> Any:
    """diffusers; its classes are hidden from type checkers, since it imports them late."""
    import diffusers

    return diffusers


def vae() -> Any:
    """AutoencoderKL: (B, 3, 64, 64) in [-1, 1] to a latent (B, 4, 16, 16) and back."""
    return library().AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 64), layers_per_block=1, latent_channels=4,
        norm_num_groups=8, sample_size=SIZE,
    )  # fmt: skip


def text(tokenizer: Any) -> Any:
    """CLIPTextModel: (B, 77) ids to (B, 77, TEXT)."""
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=TEXT, intermediate_size=2 * TEXT,
        projection_dim=TEXT, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=TOKENS, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return CLIPTextModel(config)


def unet() -> Any:
    """UNet2DConditionModel: latents 16, 8 and 4 places a side; words are asked at 8 and 4."""
    return library().UNet2DConditionModel(
        sample_size=SIZE // FACTOR, layers_per_block=1, block_out_channels=(64, 96, 112),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=TEXT, attention_head_dim=4, norm_num_groups=16,
    )  # fmt: skip


def control(unet: Any) -> Any:
    """ControlNetModel that starts as the U-Net's own first half and adds nothing yet."""
    return library().ControlNetModel.from_unet(
        unet, conditioning_embedding_out_channels=(16, 32, 64)
    )


def scheduler() -> Any:
    """The noise schedule it is trained with: 1000 steps, Stable Diffusion's curve."""
    return library().DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        set_alpha_to_one=False, steps_offset=1,
    )  # fmt: skip


def tokenizer(texts: Iterable[str], folder: Path) -> Any:
    """A CLIPTokenizer whose pairs are learned from these texts (byte-pair encoding: Sennrich et
    al. 2016), so that each of their words is one token. Written to `folder`."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    start, end = "<|startoftext|>", "<|endoftext|>"
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=end))
    learner.pre_tokenizer = pre_tokenizers.Whitespace()
    words = " ".join(sorted({word for line in texts for word in line.replace(",", " ,").split()}))
    letters = [chr(c) for c in range(33, 127)]
    learner.train_from_iterator(
        [words],
        trainers.BpeTrainer(
            vocab_size=1000, special_tokens=[start, end], end_of_word_suffix="</w>",
            initial_alphabet=letters, show_progress=False, min_frequency=1,
        ),
    )  # fmt: skip
    model = json.loads(learner.to_str())["model"]
    vocab, merges = dict(model["vocab"]), [tuple(pair) for pair in model["merges"]]
    for letter in letters:  # a word that was never seen is spelled
        vocab.setdefault(f"{letter}</w>", len(vocab))
    given: Any = {"vocab": vocab, "merges": merges, "model_max_length": TOKENS}
    made = CLIPTokenizer(**given)
    made.save_pretrained(folder)
    return made


def tokens(tokenizer: Any, texts: list[str]) -> Any:
    """(B, 77) ids, padded and cut as the pipelines do."""
    return tokenizer(
        texts, padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt"
    ).input_ids
