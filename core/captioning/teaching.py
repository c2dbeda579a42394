"""What tiny-git is asked while it learns: for the next word, and by a helper for what it sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.captioning.nets import HEADS, PATCH, SIDE, WIDTH
from core.captioning.world import FRAMES, SIZE
from core.scenes.facts import Facts, Noun
from core.scenes.language import CAMERA_VERBS, OUTCOMES, RELATIONS, VERBS, WAYS
from core.scenes.toys import COLOURS, SHAPES

if TYPE_CHECKING:
    from torch import Tensor

HEARD = 3  # layers after which the helper asks: later ones are there for the words to read it
EVENTS = 2  # in a story, at most
PARTS = ("none", "subject", "other")
_ACTIONS = (*VERBS, *dict.fromkeys(action for action, _ in CAMERA_VERBS))
ANSWERS = (  # to what the helper is asked of an event, kind by kind; "" is 'none'
    ("", *COLOURS), (*SHAPES, "camera"), _ACTIONS, ("", *WAYS), ("", *RELATIONS), ("", *COLOURS),
    ("", *SHAPES), ("", *OUTCOMES),
)  # fmt: skip


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


def sight_loss(eye: Any, helper: Any, pixels: Tensor, places: Tensor) -> Tensor:
    """The loss of the image encoder alone: which toy is where, frame by frame; pixels (B, T, 3, SIZE,
    SIZE), places (B, T, THINGS, 4)."""
    patches = eye(pixels.flatten(0, 1)).last_hidden_state[:, 1:]
    return helper.things(patches.unflatten(0, pixels.shape[:2]), Toys.shown(places))


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
    looks, heard = _looks(model.encoder.layer[0], seen), hidden
    for k, layer in enumerate(model.encoder.layer):
        hidden = _passed(layer, hidden, mask)
        if k + 1 == HEARD:
            heard = hidden[:, :n].unflatten(1, (FRAMES, -1))
    logits = net.output(hidden[:, n:-1])
    words = cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=pad)
    patches = patches[:, 1:].unflatten(0, (-1, FRAMES))
    return words, helper(patches, looks, heard, batch)


def _looks(layer: Any, tokens: Tensor) -> Tensor:
    """How much each token looks at each, before the softmax: (B, HEADS, tokens, tokens)."""
    own = layer.attention.self
    asks, keys = (
        f(tokens).unflatten(-1, (HEADS, -1)).transpose(1, 2) for f in (own.query, own.key)
    )
    return asks @ keys.mT / asks.shape[-1] ** 0.5


def _passed(layer: Any, hidden: Tensor, mask: Tensor) -> Tensor:
    """What the layer makes of (B, tokens, WIDTH), by torch's fused attention, which it doesn't use."""
    from torch.nn.functional import scaled_dot_product_attention

    own = layer.attention.self
    query, key, value = (
        f(hidden).unflatten(-1, (HEADS, -1)).transpose(1, 2)
        for f in (own.query, own.key, own.value)
    )
    mixed = scaled_dot_product_attention(query, key, value, mask).transpose(1, 2).flatten(2)
    return layer.feed_forward_chunk(layer.attention.output(mixed, hidden))


def helper() -> Any:
    """Asks the pictures directly; trained along and thrown away.

    A caption teaches which words follow which long before it teaches what is seen. So each patch is
    asked which toy has its centre there, and where in it. The heads of the first layer are shown where
    to look from there: at the same toy a frame before, a frame later, at first and at last. After layer
    HEARD the patch is asked how far away those are, and the toy's part in each event; and all patches
    of all frames together are asked for the facts of each event.
    """
    import torch
    from torch import nn

    class Helper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.find = nn.Linear(WIDTH, len(COLOURS) + 1 + len(SHAPES) + 1 + 2)
            self.follow = nn.Linear(WIDTH, 3 * HEADS)
            self.play = nn.Linear(WIDTH, EVENTS * (len(PARTS) + len(_ACTIONS) + len(WAYS) + 1))
            self.ask = nn.Linear(WIDTH, EVENTS)
            self.tell = nn.Linear(WIDTH, sum(map(len, ANSWERS)))

        def forward(self, patches: Tensor, looks: Tensor, seen: Tensor, batch: Batch) -> Tensor:
            """The sum of all losses: patches (B, FRAMES, 16, WIDTH) as the image encoder leaves them;
            looks (B, HEADS, tokens, tokens), see `_looks`, of the first layer; seen (B, FRAMES,
            1 + 16, WIDTH) after layer HEARD."""
            toys = Toys.shown(batch.places)
            tracks = toys.tracks(len(batch.places))
            at = seen[:, :, 1:][toys.at]
            return (
                self.things(patches, toys)
                + self.looks(looks, toys, tracks)
                + self.moves(at, toys, tracks)
                + self.parts(at, toys, batch.facts)
                + self.events(seen.flatten(1, 2), batch.facts)
            )

        def things(self, patches: Tensor, toys: Toys) -> Tensor:
            """Which colour and shape has its centre in each patch, if any, and where in it."""
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

        def looks(self, looks: Tensor, toys: Toys, tracks: Tensor) -> Tensor:
            """Whether each head of the first layer looks at its place of the toy's track."""
            from torch.nn.functional import cross_entropy

            clip, frame, cell = toys.at
            token = frame * (1 + SIDE**2) + 1 + cell
            given = looks[clip, :, token].transpose(1, 2)  # (M, tokens, HEADS)
            return cross_entropy(given, token[tracks].where(tracks >= 0, -100))

        def moves(self, at: Tensor, toys: Toys, tracks: Tensor) -> Tensor:
            """How many frames and patches away it is along its track."""
            told = self.follow(at).unflatten(1, (HEADS, 3))
            frame = toys.at[1][:, None].to(at.dtype)
            place = torch.cat([frame, toys.xy], 1)
            away = place[tracks] - place[:, None]
            return ((told - away).abs().mean(-1) * (tracks >= 0)).mean()

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
            """What happens in each event, read from all tokens."""
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

    def tracks(self, clips: int) -> Tensor:
        """(M, HEADS): which of the M is the same toy a frame before, a frame later, at first and at
        last; -1 where it isn't seen. A story has no colour twice."""
        import torch

        (clip, frame, _), device = self.at, self.colour.device
        table = torch.full((clips, 1 + FRAMES + 1, len(COLOURS)), -1, device=device)
        table[clip, frame + 1, self.colour] = torch.arange(len(clip), device=device)
        row = table[clip, :, self.colour]  # (M, 1 + FRAMES + 1)
        order = torch.arange(1, row.shape[1] + 1, device=device) * (row >= 0)
        first, last = ((row >= 0) / order.clamp(min=1)).argmax(1), order.argmax(1)
        return row.gather(1, torch.stack([frame, frame + 2, first, last], 1))


def _in_patches(xy: Tensor) -> Tensor:
    """Pixel numbers to the place of the pixel's middle, in patches."""
    return (xy + 0.5) / PATCH
