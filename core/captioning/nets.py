"""The parts of tiny-git, in transformers' own classes: only their sizes are ours.

GIT (Wang et al. 2022): each frame becomes CLS and patches; every frame adds a learned vector that
says which of the eight it is; all of them and the words so far go through one transformer, in which
pictures see each other and words see pictures and what was said before.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.captioning.world import FRAMES, SIZE
from core.scenes.facts import Facts, Noun
from core.scenes.language import CAMERA_VERBS, OUTCOMES, RELATIONS, VERBS, VOCABULARY, WAYS
from core.scenes.toys import COLOURS, SHAPES

if TYPE_CHECKING:
    from torch import Tensor

PATCH = 16
WIDTH = 144  # numbers of a token
WORDS = 40  # at most, with start and end
SPREAD = (
    0.08  # of the weights at the start, about WIDTH^-½: BERT's 0.02 is for five times the width
)
EVENTS = 2  # in a story, at most
_ACTIONS = (*VERBS, *dict.fromkeys(action for action, _ in CAMERA_VERBS))
ANSWERS = (  # to what the helper is asked of an event, kind by kind; "" is 'none'
    ("", *COLOURS), (*SHAPES, "camera"), _ACTIONS, ("", *WAYS), ("", *RELATIONS), ("", *COLOURS),
    ("", *SHAPES), ("", *OUTCOMES),
)  # fmt: skip
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
    from transformers import GitConfig, GitForCausalLM

    seen = {
        "hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_hidden_layers": 3,
        "num_attention_heads": 4, "image_size": SIZE, "patch_size": PATCH,
        "initializer_range": SPREAD,
    }  # fmt: skip
    return GitForCausalLM(
        GitConfig(
            vision_config=seen, vocab_size=len(words), hidden_size=WIDTH, num_hidden_layers=4,
            num_attention_heads=4, intermediate_size=4 * WIDTH, hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0, max_position_embeddings=WORDS,
            num_image_with_embedding=FRAMES, bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id,
            tie_word_embeddings=False, initializer_range=SPREAD,
        )
    )  # fmt: skip


def helper() -> Any:
    """Asks the pictures directly; trained along and thrown away.

    A caption teaches which words follow which long before it teaches what is seen. So each patch is
    asked which toy has its centre there, and where in it; and all patches of all frames together are
    asked for the facts of the first event and of the second.
    """
    from torch import nn

    class Helper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.find = nn.Linear(WIDTH, len(COLOURS) + 1 + len(SHAPES) + 1 + 2)
            self.ask = nn.Linear(WIDTH, EVENTS)
            self.tell = nn.Linear(WIDTH, sum(map(len, ANSWERS)))

        def forward(self, patches: Tensor, places: Tensor, seen: Tensor, facts: Tensor) -> Tensor:
            """The mean loss: patches (B·FRAMES, 16, WIDTH) as the image encoder leaves them, places
            (B, FRAMES, THINGS, 4); seen (B, tokens, WIDTH) after the last layer, facts (B, EVENTS,
            kinds)."""
            return self.things(patches, places.flatten(0, 1)) + self.events(seen, facts)

        def things(self, patches: Tensor, places: Tensor) -> Tensor:
            from torch.nn.functional import cross_entropy, l1_loss

            colour, shape, where = self.find(patches).split(
                [len(COLOURS) + 1, len(SHAPES) + 1, 2], -1
            )
            aims = patches.new_zeros((*patches.shape[:2], 4))
            side = SIZE // PATCH
            for toy in places.unbind(1):  # the nearest is written last
                inside = (toy[:, 2:] >= 0).all(1) & (toy[:, 2:] < SIZE).all(1)
                toy, rows = toy[inside], inside.nonzero()[:, 0]
                x, y = toy[:, 2] // PATCH, toy[:, 3] // PATCH
                aims[rows, y * side + x, :2] = (toy[:, :2] + 1).to(aims.dtype)
                aims[rows, y * side + x, 2:] = (toy[:, 2:] % PATCH + 0.5) / PATCH
            there = aims[..., 0] > 0
            return (
                cross_entropy(colour.flatten(0, 1), aims[..., 0].flatten().long())
                + cross_entropy(shape.flatten(0, 1), aims[..., 1].flatten().long())
                + l1_loss(where[there], aims[there][:, 2:])
            )

        def events(self, seen: Tensor, facts: Tensor) -> Tensor:
            import torch
            from torch.nn.functional import cross_entropy

            weights = self.ask(seen).softmax(1)  # which tokens each event is read from
            read = torch.einsum("btw,bte->bew", seen, weights)
            told = self.tell(read).split([len(kind) for kind in ANSWERS], dim=-1)
            parts = [
                cross_entropy(answer.flatten(0, 1), facts[..., k].flatten(), ignore_index=-1)
                for k, answer in enumerate(told)
            ]
            return torch.stack(parts).mean()

    return Helper()


@dataclass(frozen=True)
class Batch:
    """pixels (B, FRAMES, 3, SIZE, SIZE) in [-1, 1]; ids (B, L) of a caption each; places (B, FRAMES,
    THINGS, 4) as world.places has them; facts (B, EVENTS, kinds) as `labels` has them."""

    pixels: Tensor
    ids: Tensor
    places: Tensor
    facts: Tensor


def labels(facts: Facts) -> list[list[int]]:
    """(EVENTS, kinds): the place of each answer in ANSWERS; -1 where there is no such event."""
    found = [[-1] * len(ANSWERS) for _ in range(EVENTS)]
    for row, event in zip(found, facts.events, strict=False):
        other = event.other or Noun("", "")
        said = (event.subject.colour, event.subject.shape, event.action, event.direction,
                event.relation, other.colour, other.shape, event.outcome)  # fmt: skip
        row[:] = [kind.index(answer) for kind, answer in zip(ANSWERS, said, strict=True)]
    return found


def loss(net: Any, helper: Any, batch: Batch, pad: int) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy of the next word, and the helper's loss.

    The first is what the model's own call gives (tests/test_captioning_train.py), with all frames
    encoded in one pass.
    """
    import torch
    from torch.nn.functional import cross_entropy

    model, ids = net.git, batch.ids
    patches = model.image_encoder(batch.pixels.flatten(0, 1)).last_hidden_state
    when = torch.cat(list(model.img_temporal_embedding), dim=1)  # (1, FRAMES, width)
    seen = patches.view(*batch.pixels.shape[:2], *patches.shape[1:]) + when[:, :, None]
    seen = model.visual_projection(seen.flatten(1, 2))
    n, length = seen.shape[1], ids.shape[1]
    may = torch.ones(n + length, n + length, dtype=torch.bool, device=ids.device).tril()
    may[:n, :n] = True  # pictures see each other, words see pictures and their own past
    mask = torch.zeros(may.shape, device=ids.device).masked_fill(~may, torch.finfo(torch.float).min)
    hidden = torch.cat([seen, model.embeddings(ids)], 1)
    hidden = model.encoder(hidden, mask[None, None]).last_hidden_state
    logits = net.output(hidden[:, n:-1])
    words = cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=pad)
    return words, helper(patches[:, 1:], batch.places, hidden[:, :n], batch.facts)


def save(net: Any, folder: Path, words: Any) -> None:
    """Everything that `from_pretrained(folder)` needs, as float16 safetensors."""
    import torch

    net.to(torch.float16).save_pretrained(folder, safe_serialization=True)
    words.save_pretrained(folder)
    images().save_pretrained(folder)
