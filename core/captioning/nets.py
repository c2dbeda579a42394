"""The parts of tiny-git, in transformers' own classes: only their sizes are ours.

GIT (Wang et al. 2022): each frame becomes CLS and patches; every frame adds a learned vector that
says which of the eight it is; all of them and the words so far go through one transformer, in which
pictures see each other and words see pictures and what was said before.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.captioning.world import FRAMES, SIZE
from core.scenes.language import VOCABULARY

PATCH = 16
WIDTH = 144  # numbers of a token
WORDS = 40  # at most, with start and end
SPREAD = (
    0.08  # of the weights at the start, about WIDTH^-½: BERT's 0.02 is for five times the width
)
LAYERS, HEADS = 5, 4  # of the transformer
SIDE = SIZE // PATCH
PAD, START, END, UNKNOWN = "[PAD]", "[CLS]", "[SEP]", "[UNK]"


def tokenizer() -> Any:
    """Word by word: the vocabulary is that of `core.scenes.language`, commas and colons."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = [PAD, START, END, UNKNOWN, ",", ":", *VOCABULARY]
    ids = {word: k for k, word in enumerate(words)}
    made = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(word, ids[word]) for word in (START, END)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token=PAD, cls_token=START, sep_token=END, bos_token=START,
        eos_token=END, unk_token=UNKNOWN, model_max_length=WORDS,
    )  # fmt: skip


def images() -> Any:
    """The image processor: any picture to (3, SIZE, SIZE), squeezed to a square, in [-1, 1]."""
    from transformers import CLIPImageProcessorPil

    return CLIPImageProcessorPil(
        size={"height": SIZE, "width": SIZE}, do_center_crop=False, resample=2,
        image_mean=[0.5] * 3, image_std=[0.5] * 3,
    )  # fmt: skip


def git(words: Any) -> Any:
    """GitForCausalLM for FRAMES frames of SIZE px; `words` is its tokenizer."""
    from torch import nn
    from transformers import GitConfig, GitForCausalLM

    seen = {
        "hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_hidden_layers": 3,
        "num_attention_heads": 4, "image_size": SIZE, "patch_size": PATCH,
        "initializer_range": SPREAD,
    }  # fmt: skip
    net = GitForCausalLM(
        GitConfig(
            vision_config=seen, vocab_size=len(words), hidden_size=WIDTH, num_hidden_layers=LAYERS,
            num_attention_heads=HEADS, intermediate_size=4 * WIDTH, hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0, max_position_embeddings=WORDS,
            num_image_with_embedding=FRAMES, bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id,
            tie_word_embeddings=False, initializer_range=SPREAD,
        )
    )  # fmt: skip
    # Where and when must be seen beside what, whose numbers are about 1; GIT starts them at 0.02 and 0.
    nn.init.normal_(
        net.git.image_encoder.vision_model.embeddings.position_embedding.weight, std=0.5
    )
    for vector in net.git.img_temporal_embedding:
        nn.init.normal_(vector, std=0.5)
    return net


def save(net: Any, folder: Path, words: Any) -> None:
    """Everything that `from_pretrained(folder)` needs, as float16 safetensors."""
    import torch

    net.to(torch.float16).save_pretrained(folder, safe_serialization=True)
    words.save_pretrained(folder)
    images().save_pretrained(folder)
