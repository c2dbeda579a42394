"""How tiny-git is made, from nothing: `python -m core.captioning.train`.

Stories are rendered once; training reads them forwards, backwards and in a mirror, each told in
several ways, and at last some with their frames shuffled, of which it learns to say so. It goes on
where it was stopped. All it makes lies in --folder, outside the tree.
At the end `core.captioning.card` writes assets/models/tiny-git and measures what it wrote.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core import runtime
from core.captioning import nets, teaching
from core.captioning.world import FRAMES, clips, mirrored, out_of_order
from core.scenes.facts import Facts
from core.scenes.language import JUMBLED, parse
from core.scenes.shards import rendered
from core.training import Plan, train

if TYPE_CHECKING:
    from torch import Generator, Tensor

FOLDER = Path("~/.cache/sightline/tiny-git")
STORIES = 20_000
HELP = 1.0  # weight of the helper's loss
STAGES = {
    "sight": Plan(6_000, 256, 3e-3, decay=0.01),  # the image encoder alone, on single frames
    "git": Plan(5_500, 32, 2e-3, decay=0.01),  # all of it, on clips
    "again": Plan(7_000, 32, 1e-3, decay=0.01, seed=5_500),  # a second round of that
    "third": Plan(5_000, 32, 1e-3, decay=0.01, seed=12_500),
    "order": Plan(3_000, 32, 5e-4, decay=0.01, seed=17_500),  # the last: it learns what is shuffled
}
# The last round begins at the mean of the weights after these: they err in different places (Wortsman
# et al. 2022, "Model soups").
ROUNDS = ("again", "third")
SHUFFLED = 1 / 8  # of the clips in the last round
# The last round takes some true clips for shuffled ones. So what is shipped lies between it and the
# round before, here (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").
LAST = 0.75


class Stories:
    """Rendered clips and their captions as token ids.

    frames (N, T, S, S, 3) uint8; ids (N, 4, K, L) int16 of four ways to see a clip: as it is, in a
    mirror, backwards, and both; there (N, 4): how many captions of each there are; facts
    (N, 4, EVENTS, kinds) int8 of each way, see teaching.labels.
    """

    def __init__(self, held: dict[str, np.ndarray], words: Any):
        self.frames, self.places, self.pad = held["frames"], held["places"], words.pad_token_id
        ways = [held["told"], _mirror(held["told"])]
        ways += [held["told_backwards"], _mirror(held["told_backwards"])]
        self.there = np.stack([(way != "").sum(1) for way in ways], axis=1)
        told = np.stack(ways, axis=1)
        ids = words(told.ravel().tolist(), padding="max_length", truncation=True)["input_ids"]
        self.ids = np.array(ids, np.int16).reshape(*told.shape, -1)
        self.jumbled = np.array(words(JUMBLED, padding="max_length")["input_ids"], np.int16)
        first = [
            teaching.labels(parse(text) if text else Facts(())) for text in told[..., 0].ravel()
        ]
        self.facts = np.array(first, np.int8).reshape(*told.shape[:2], teaching.EVENTS, -1)

    def __len__(self) -> int:
        return len(self.frames)

    def batch(
        self, count: int, chance: Generator, device: str, shuffled: float = 0.0
    ) -> teaching.Batch:
        """Clips and ways to see them by chance, one caption each. So large a share of them is shuffled
        and told as JUMBLED, without facts."""
        import torch

        chosen, way = _below(len(self), count, chance), _below(4, count, chance)
        way = np.where(self.there[chosen, way] > 0, way, way % 2)
        back, mirror = way >= 2, way % 2 == 1
        frames, places = self.frames[chosen], self.places[chosen]
        frames[back], places[back] = frames[back, ::-1], places[back, ::-1]
        _mirror_pictures(frames, places, mirror)
        ids = self.ids[chosen, way, _below(self.there[chosen, way], count, chance)]
        facts = self.facts[chosen, way]
        for k in np.flatnonzero(torch.rand(count, generator=chance).numpy() < shuffled):
            rng = np.random.default_rng(_below(2**31, 1, chance))
            order = out_of_order(FRAMES, rng)
            frames[k], places[k] = frames[k, order], places[k, order]
            ids[k], facts[k] = self.jumbled, -1
        ids = ids[:, : (ids != self.pad).any(0).sum()]
        rest = (torch.from_numpy(a).long().to(device) for a in (ids, places, facts))
        return teaching.Batch(pixels(frames).to(device), *rest)

    def stills(self, count: int, chance: Generator, device: str) -> tuple[Tensor, Tensor]:
        """Frames by chance, each of another clip, half of them in a mirror: pixels (count, 1, 3, S, S)
        and places (count, 1, THINGS, 4)."""
        import torch

        chosen, when = _below(len(self), count, chance), _below(FRAMES, count, chance)
        frames, places = self.frames[chosen, when][:, None], self.places[chosen, when][:, None]
        _mirror_pictures(frames, places, _below(2, count, chance) == 1)
        return pixels(frames).to(device), torch.from_numpy(places).long().to(device)


def _below(high: Any, count: int, chance: Generator) -> np.ndarray:
    """(count,) whole numbers by chance, from 0 to below `high`, a number or one of each."""
    import torch

    return (torch.rand(count, generator=chance).numpy() * high).astype(int)


def _mirror_pictures(frames: np.ndarray, places: np.ndarray, which: np.ndarray) -> None:
    """Exchange left and right in those clips, in place."""
    frames[which] = frames[which, :, :, ::-1]
    x = places[which, ..., 2]
    places[which, ..., 2] = np.where(places[which, ..., 0] < 0, x, frames.shape[3] - 1 - x)


def pixels(frames: np.ndarray) -> Tensor:
    """(…, H, W, 3) uint8 to (…, 3, H, W) in [-1, 1]."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(frames)).movedim(-1, -3).float() / 127.5 - 1


def _mirror(told: np.ndarray) -> np.ndarray:
    return np.array([mirrored(text) for text in told.ravel().tolist()]).reshape(told.shape)


class Recipe:
    """The stages, first to see and then to tell; each keeps a file of its name in `folder`."""

    def __init__(self, folder: Path, count: int = STORIES, stages: Mapping[str, Plan] = STAGES):
        self.folder, self.count, self.stages = folder, count, stages
        self.words = nets.tokenizer()
        folder.mkdir(parents=True, exist_ok=True)

    def stories(self) -> Stories:
        """All stories; what is missing is rendered first."""
        held = rendered(
            self.folder / "data", self.count, clips,
            lambda share, desc="": print(f"{desc} {share:.0%}", flush=True),
        )  # fmt: skip
        return Stories(held, self.words)

    def run(self) -> Any:
        """The trained net; goes on where it was stopped."""
        import torch

        device = runtime.device()
        torch.manual_seed(0)
        net, helper = nets.git(self.words).to(device).train(), teaching.helper().to(device)
        stories, eye = self.stories(), net.git.image_encoder

        def sight_loss(count: int, chance: Generator) -> Tensor:
            return teaching.sight_loss(eye, helper, *stories.stills(count, chance, device))

        def loss(count: int, chance: Generator, shuffled: float = 0.0) -> Tensor:
            batch = stories.batch(count, chance, device, shuffled)
            words, asked = teaching.loss(net, helper, batch, stories.pad)
            return words + HELP * asked

        for stage, plan in self.stages.items():
            sees = stage == "sight"
            learns = {"eye": eye, "helper": helper} if sees else {"git": net, "helper": helper}
            asks = partial(sight_loss if sees else loss, plan.batch)
            if stage == "order":
                net.load_state_dict(mean_weights(self.folder, device))
                asks = partial(loss, plan.batch, shuffled=SHUFFLED)
            net.train()
            train(self.folder / f"{stage}.pt", learns, asks, plan, partial(print, flush=True))
        return net


def mean_weights(folder: Path, device: str = "cpu") -> dict[str, Tensor]:
    """The mean of tiny-git's weights after ROUNDS."""
    held = [_weights(folder, name, device) for name in ROUNDS]
    return _mixed(held, [1 / len(held)] * len(held))


def shipped_weights(folder: Path) -> dict[str, Tensor]:
    """What the shipped tiny-git has."""
    return _mixed([_weights(folder, name) for name in ("order", "third")], [LAST, 1 - LAST])


def _weights(folder: Path, stage: str, device: str = "cpu") -> dict[str, Tensor]:
    import torch

    held = torch.load(folder / f"{stage}.pt", map_location=device, weights_only=True)
    return held["nets"]["git"]


def _mixed(some: Sequence[dict[str, Tensor]], shares: Sequence[float]) -> dict[str, Tensor]:
    import torch

    return {
        name: torch.stack([s * one[name] for s, one in zip(shares, some, strict=True)]).sum(0)
        if first.is_floating_point()
        else first
        for name, first in some[0].items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Render the stories and train tiny-git.")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where everything is kept")
    Recipe(parser.parse_args().folder.expanduser()).run()


if __name__ == "__main__":
    main()
