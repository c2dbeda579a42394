"""How tiny-fill is made, from nothing: `python -m core.inpainting.train`.

Samples are drawn and rendered once; training turns and mirrors them, and goes on where it was
stopped. All it makes lies in --folder, outside the tree. At the end `core.inpainting.card` writes
assets/models/tiny-fill and measures what it wrote.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core import runtime
from core.inpainting import levels
from core.inpainting.learned import SKIP, WIDTHS
from core.inpainting.world import samples
from core.scenes.shards import rendered
from core.training import Plan, train

if TYPE_CHECKING:
    from torch import Generator, Tensor

FOLDER = Path("~/.cache/sightline/tiny-fill")
SAMPLES = 12_000
PLAN = Plan(8_000, 8, 3e-3, decay=1e-4)


class Holes:
    """truth and filled (N, S, S, 3) uint8, hidden (N, S, S) bool."""

    def __init__(self, held: dict[str, np.ndarray]):
        self.truth, self.filled, self.hidden = held["truth"], held["filled"], held["hidden"]

    def batch(self, count: int, chance: Generator, device: str) -> tuple[Tensor, Tensor, Tensor]:
        """truth and filled (count, 3, S, S) and hidden (count, 1, S, S) in [0, 1]: samples by
        chance, all turned by the same quarters, and mirrored or not."""
        import torch

        def below(high: int, n: int) -> list[int]:
            return torch.randint(high, (n,), generator=chance).tolist()

        chosen, (quarters, mirror) = below(len(self.truth), count), below(4, 2)
        found = []
        for array in (self.truth, self.filled, self.hidden[..., None]):
            array = np.rot90(array[chosen], quarters, (1, 2))
            array = array[:, :, ::-1] if mirror % 2 else array
            found.append(torch.from_numpy(array.transpose(0, 3, 1, 2).copy()).to(device).float())
        return found[0] / 255, found[1] / 255, found[2]


def loss(net: Any, truth: Tensor, filled: Tensor, hidden: Tensor) -> Tensor:
    """The root of the mean square error in each hole, mean over the holes: a picture without much
    in it counts as one with."""
    off = (filled + net(levels.seen(filled, hidden)) - truth).float() * hidden
    mean = (off**2).sum((1, 2, 3)) / (3 * hidden.sum((1, 2, 3)))
    return (mean + 1e-5).sqrt().mean()


def run(folder: Path, count: int = SAMPLES, plan: Plan = PLAN) -> Any:
    """The trained net; goes on where it was stopped."""
    tell = partial(print, flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    device = runtime.device()
    net = levels.net(WIDTHS, SKIP).to(device).train()
    held = rendered(
        folder / "data", count, samples, lambda share, desc="": tell(f"{desc} {share:.0%}")
    )
    holes = Holes(held)
    train(
        folder / "fill.pt", {"fill": net},
        lambda chance: loss(net, *holes.batch(plan.batch, chance, device)), plan, tell,
    )  # fmt: skip
    return net


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the samples and train tiny-fill.")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where everything is kept")
    run(parser.parse_args().folder.expanduser())


if __name__ == "__main__":
    main()
