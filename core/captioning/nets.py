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
LAYERS, HEARD = 5, 3  # of the transformer; the helper asks after HEARD of them
SIDE = SIZE // PATCH
EVENTS = 2  # in a story, at most
PARTS = ("none", "subject", "other")
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
            num_attention_heads=4, intermediate_size=4 * WIDTH, hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0, max_position_embeddings=WORDS,
            num_image_with_embedding=FRAMES, bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id,
            tie_word_embeddings=False, initializer_range=SPREAD,
        )
    )  # fmt: skip
    # Where and when must be seen beside what, whose numbers are about 1; GIT starts them at 0.02 and 0.
    nn.init.normal_(net.git.image_encoder.vision_model.embeddings.position_embedding.weight, std=0.5)
    for vector in net.git.img_temporal_embedding:
        nn.init.normal_(vector, std=0.5)
    return net


def helper() -> Any:
    """Asks the pictures directly; trained along and thrown away.

    A caption teaches which words follow which long before it teaches what is seen. So each patch is
    asked which toy has its centre there, and where in it; from layer HEARD on, where words can still
    read it, that patch is asked where the toy was a frame before and will be a frame later, and its
    part in each event; and all patches of all frames together are asked for the facts of each event.
    """
    from torch import nn

    class Helper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.find = nn.Linear(WIDTH, len(COLOURS) + 1 + len(SHAPES) + 1 + 2)
            self.follow = nn.Linear(WIDTH, 2 * 3)
            self.play = nn.Linear(WIDTH, EVENTS * (len(PARTS) + len(_ACTIONS) + len(WAYS) + 1))
            self.ask = nn.Linear(WIDTH, EVENTS)
            self.tell = nn.Linear(WIDTH, sum(map(len, ANSWERS)))

        def forward(self, patches: Tensor, seen: Tensor, batch: Batch) -> Tensor:
            """The sum of all losses: patches (B, FRAMES, 16, WIDTH) as the image encoder leaves them;
            seen (B, FRAMES, 1 + 16, WIDTH) after layer HEARD."""
            toys = Toys.shown(batch.places)
            at = seen[:, :, 1:][toys.at]
            return (
                self.things(patches, toys)
                + self.moves(at, toys, batch.places)
                + self.parts(at, toys, batch.facts)
                + self.events(seen.flatten(1, 2), batch.facts)
            )

        def things(self, patches: Tensor, toys: Toys) -> Tensor:
            """Which colour and shape has its centre in each patch, if any, and where in it."""
            import torch
            from torch.nn.functional import cross_entropy, l1_loss

            told = self.find(patches)
            colour, shape, where = told.split([len(COLOURS) + 1, len(SHAPES) + 1, 2], -1)
            aims = torch.zeros((2, *patches.shape[:3]), dtype=torch.long, device=patches.device)
            aims[0][toys.at], aims[1][toys.at] = toys.colour + 1, toys.shape + 1
            return (
                cross_entropy(colour.flatten(0, 2), aims[0].flatten())
                + cross_entropy(shape.flatten(0, 2), aims[1].flatten())
                + l1_loss(where[toys.at], toys.xy % 1)
            )

        def moves(self, at: Tensor, toys: Toys, places: Tensor) -> Tensor:
            """Was it there a frame before, will it be there a frame later, and how far (in patches)?
            A story has no colour twice."""
            import torch
            from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss

            told, total = self.follow(at).unflatten(1, (2, 3)), at.new_zeros(())
            for step, (seen, off) in zip(
                (-1, 1), ((a[:, 0], a[:, 1:]) for a in told.unbind(1)), strict=True
            ):
                clip, then = toys.at[0], toys.at[1] + step
                asked = (then >= 0) & (then < FRAMES)
                row = places[clip[asked], then[asked]]  # (M, THINGS, 4)
                is_there, k = (row[..., 0] == toys.colour[asked, None]).max(1)
                xy = _in_patches(row[torch.arange(len(k), device=k.device), k, 2:])
                moved = (xy - toys.xy[asked])[is_there].clamp(-2, 2)
                total = total + binary_cross_entropy_with_logits(seen[asked], is_there.float())
                total = total + l1_loss(off[asked][is_there], moved)
            return total

        def parts(self, at: Tensor, toys: Toys, facts: Tensor) -> Tensor:
            """Its part in each event, and what it does and which way where it is the subject."""
            from torch.nn.functional import cross_entropy

            told = self.play(at).unflatten(1, (EVENTS, -1)).flatten(0, 1)
            part, action, way = told.split([len(PARTS), len(_ACTIONS), len(WAYS) + 1], 1)
            facts, colour = facts[toys.at[0]], toys.colour[:, None] + 1  # (M, EVENTS, kinds)
            does, other = facts[..., 0] == colour, facts[..., 5] == colour
            does_what = facts[..., 2].where(does, -1).flatten()
            which_way = facts[..., 3].where(does, -1).flatten()
            return (
                cross_entropy(part, (does + 2 * (other & ~does).long()).flatten())
                + cross_entropy(action, does_what, ignore_index=-1)
                + cross_entropy(way, which_way, ignore_index=-1)
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
class Toys:
    """The M toys that one can see in a batch. at: clip, frame and patch of the centre of each, three
    of (M,); colour and shape (M,) as places in COLOURS and SHAPES; xy (M, 2) in patches."""

    at: tuple[Tensor, Tensor, Tensor]
    colour: Tensor
    shape: Tensor
    xy: Tensor

    @classmethod
    def shown(cls, places: Tensor) -> Toys:
        """Those of (B, FRAMES, THINGS, 4) in the picture; of those in one patch the nearest alone."""
        x, y = places[..., 2], places[..., 3]
        inside = (x >= 0) & (x < SIZE) & (y >= 0) & (y < SIZE)
        cell = (y // PATCH * SIDE + x // PATCH).where(inside, -1)
        before = cell[..., None] == cell[..., None, :]  # the nearest is the last
        shown = inside & ~before.triu(1).any(-1)
        clip, frame, _ = shown.nonzero().unbind(1)
        toys = places[shown]
        at = (clip, frame, cell[shown])
        return cls(at, toys[:, 0], toys[:, 1], _in_patches(toys[:, 2:]))


def _in_patches(xy: Tensor) -> Tensor:
    """Pixel numbers to the place of the pixel's middle, in patches."""
    return (xy + 0.5) / PATCH


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


def sight_loss(eye: Any, helper: Any, batch: Batch) -> Tensor:
    """The loss of the image encoder alone: which toy is where, frame by frame."""
    patches = eye(batch.pixels.flatten(0, 1)).last_hidden_state[:, 1:]
    return helper.things(patches.unflatten(0, (-1, FRAMES)), Toys.shown(batch.places))


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
    heard = hidden
    for k, layer in enumerate(model.encoder.layer):
        hidden = layer(hidden, mask[None, None])
        if k + 1 == HEARD:
            heard = hidden[:, :n].unflatten(1, (FRAMES, -1))
    logits = net.output(hidden[:, n:-1])
    words = cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=pad)
    patches = patches[:, 1:].unflatten(0, (-1, FRAMES))
    return words, helper(patches, heard, batch)


def save(net: Any, folder: Path, words: Any) -> None:
    """Everything that `from_pretrained(folder)` needs, as float16 safetensors."""
    import torch

    net.to(torch.float16).save_pretrained(folder, safe_serialization=True)
    words.save_pretrained(folder)
    images().save_pretrained(folder)
