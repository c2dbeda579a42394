"""One picture as a function: a small network is asked for the colour at (x, y).

It is all of a radiance field but the third dimension, so what an encoding does shows in seconds.
Fed with x and y alone, a network learns slow changes first and fast ones hardly ever: spectral
bias (Rahaman et al. 2019). Three ways out: sines of the position (Tancik et al. 2020), sines as
activations (SIREN, Sitzmann et al. 2020), and grids that store what is known at places (Müller et
al. 2022). Asked between the pixels it was trained on, each answers in its own way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from core import runtime
from core.nerf import encodings
from core.types import Settings, setting

if TYPE_CHECKING:
    from torch import Generator, Tensor

ENCODINGS = {
    "none": "Bare coordinates",
    "sines": "Positional encoding",
    "siren": "SIREN",
    "hash": "Hash grid",
}
ENCODING_HELP = {
    "none": "Stays blurred: a network learns slow changes first.",
    "sines": "Sines of the position make fast changes as easy as slow ones.",
    "siren": "Sines as activations: every layer can swing, not the first alone.",
    "hash": "Most is stored in grids of many sizes; little is left for the network.",
}
MOST_PIXELS = 2**18  # of a picture: a step on all of them still fits a laptop's memory
HIDDEN_OMEGA = 30.0  # SIREN's frequency behind the first layer
LEVELS, TABLE, PER_LEVEL, COARSEST = 8, 2**12, 2, 4  # of the hash grid


@dataclass(frozen=True)
class PictureSettings(Settings):
    """How a picture is written into a network."""

    picture_encoding: str = setting(
        "sines", "Encoding", "What the network is told of a position.",
        choices=ENCODINGS, shown=False,
    )  # fmt: skip
    picture_frequencies: int = setting(
        7, "Frequencies L", "sin and cos of 2ᵏπx, k below L; 0 is the bare position.",
        minimum=0, maximum=12, step=1,
    )  # fmt: skip
    picture_omega: float = setting(
        30.0, "SIREN's ω", "The first layer's frequency: how fast the picture may change.",
        minimum=1.0, maximum=200.0, step=1.0,
    )  # fmt: skip
    picture_seconds: float = setting(
        4.0, "Time each", "Every field trains this long; they take turns.",
        minimum=0.5, maximum=60.0, step=0.5, unit="s",
    )  # fmt: skip
    picture_width: int = setting(
        64, "Width", "Numbers in a hidden layer.", minimum=4, maximum=256, step=4, advanced=True
    )
    picture_depth: int = setting(
        3, "Hidden layers", "Of the network.", minimum=1, maximum=8, step=1, advanced=True
    )
    picture_pixels: int = setting(
        1024, "Pixels a step", "Drawn by chance; 0 takes all of them.",
        minimum=0, maximum=MOST_PIXELS, step=256, advanced=True,
    )  # fmt: skip
    picture_rate: float = setting(
        1.0, "Learning rate ×", "Of each encoding's own.",
        minimum=0.01, maximum=10.0, step=0.05, advanced=True,
    )  # fmt: skip
    picture_steps: int = setting(
        0, "Steps", "Training ends after so many; 0 lets the time decide.",
        minimum=0, maximum=100_000, step=1, advanced=True,
    )  # fmt: skip
    picture_seed: int = setting(
        0, "Seed", "Fixes every random choice.",
        minimum=0, maximum=2**31 - 1, step=1, advanced=True,
    )  # fmt: skip


@dataclass(frozen=True)
class PictureField:
    """A trained picture: parameters by name, float32; size (width, height) of what it learned."""

    settings: PictureSettings
    size: tuple[int, int]
    params: Mapping[str, np.ndarray] = field(repr=False)

    @property
    def numbers(self) -> int:
        return sum(value.size for value in self.params.values())


# ---------------------------------------------------------------- asking


def draw(
    made: PictureField,
    size: tuple[int, int] | None = None,
    *,
    window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
    shown: float | None = None,
) -> np.ndarray:
    """The picture (h, w, 3) uint8 that a field holds, at any size (width, height) in pixels.

    window: left, top, right, bottom of the part drawn, in shares of the whole; shown hides the
    frequencies (of "sines") or levels (of "hash") above it, None hides nothing.
    """
    import torch

    width, height = size or made.size
    device = runtime.device()
    params = {name: torch.from_numpy(value).to(device) for name, value in made.params.items()}
    found = []
    with torch.no_grad():
        for x in places(width, height, window).to(device).split(2**16):
            known = encoded(made.settings, made.size, x, shown)
            found.append(answer(made.settings, params, known).clamp(0, 1).cpu())
    return (torch.cat(found) * 255).round().byte().view(height, width, 3).numpy()


def places(
    width: int, height: int, window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
) -> Tensor:
    """(H·W, 2): centres of the pixels that part the window; all of the picture is [−1, 1]²."""
    import torch

    left, top, right, bottom = window
    x = left + (torch.arange(width) + 0.5) / width * (right - left)
    y = top + (torch.arange(height) + 0.5) / height * (bottom - top)
    v, u = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([u, v], -1).view(-1, 2) * 2 - 1


# ---------------------------------------------------------------- the network


def untrained(
    settings: PictureSettings, size: tuple[int, int], seed: Generator
) -> dict[str, Tensor]:
    """Untrained parameters: He's initialisation, or SIREN's (Sitzmann et al. 2020, 3.2). Biases
    are not zero, or every kink of a ReLU network would begin in the middle of the picture."""
    import torch

    params: dict[str, Tensor] = {}
    inputs = 2
    if settings.picture_encoding == "sines":
        inputs = 2 + 4 * settings.picture_frequencies
    elif settings.picture_encoding == "hash":
        inputs = LEVELS * PER_LEVEL
        rows = sum(_rows(n) for n in _levels(size))
        params["table"] = (torch.rand((rows, PER_LEVEL), generator=seed) * 2 - 1) * 1e-4
    sizes = (inputs, *[settings.picture_width] * settings.picture_depth, 3)
    for k, (a, b) in enumerate(pairwise(sizes)):
        bound = math.sqrt(6 / a)
        if settings.picture_encoding == "siren":
            bound = 1 / a if k == 0 else bound / HIDDEN_OMEGA
        params[f"weight.{k}"] = (torch.rand((b, a), generator=seed) * 2 - 1) * bound
        params[f"bias.{k}"] = (torch.rand(b, generator=seed) * 2 - 1) / math.sqrt(a)
    return params


def encoded(
    settings: PictureSettings, size: tuple[int, int], x: Tensor, shown: float | None = None
) -> tuple[Tensor, ...]:
    """What can be known of positions x (N, 2) before there are parameters, one row for each."""
    if settings.picture_encoding == "sines":
        return (encodings.sines(x, settings.picture_frequencies, shown),)
    if settings.picture_encoding == "hash":
        return _corners(x, _levels(size), shown)
    return (x,)


def _levels(size: tuple[int, int]) -> tuple[int, ...]:
    """Cells along a side of each level of the hash grid; the finest has one for each pixel."""
    return encodings.hash_sizes(LEVELS, COARSEST, max(*size, COARSEST))


def _rows(n: int) -> int:
    """Rows of the table for a level of n cells along a side."""
    return min((n + 1) ** 2, TABLE)


def _corners(x: Tensor, sizes: tuple[int, ...], shown: float | None) -> tuple[Tensor, Tensor]:
    """Rows of the table at the corners of x's cells, and their shares, (N, levels, 4) each.

    A level of at most TABLE corners has a row for each; a finer one finds them by a hash, so that
    several share a row (Müller et al. 2022, eq. 4).
    """
    import torch

    corner = torch.tensor([[0, 0], [1, 0], [0, 1], [1, 1]], device=x.device)
    rows, shares, first = [], [], 0
    for level, n in enumerate(sizes):
        p = (x + 1) / 2 * n
        cell = p.floor().clamp(0, n - 1)
        t = (p - cell)[:, None]
        u, v = (cell.long()[:, None] + corner).unbind(-1)
        dense = (n + 1) ** 2 <= TABLE
        row = u + (n + 1) * v if dense else (u ^ (v * encodings.PRIMES[1])) & (TABLE - 1)
        share = torch.where(corner.bool(), t, 1 - t).prod(-1)
        if shown is not None:
            share = share * min(max(shown - level, 0.0), 1.0)
        rows.append(row + first)
        shares.append(share)
        first += _rows(n)
    return torch.stack(rows, 1), torch.stack(shares, 1)


def answer(
    settings: PictureSettings, params: Mapping[str, Tensor], known: tuple[Tensor, ...]
) -> Tensor:
    """(N, 3), in [0, 1] but for SIREN, whose last layer is linear."""
    import torch
    from torch.nn.functional import embedding_bag, linear

    h = known[0]
    if settings.picture_encoding == "hash":
        rows, shares = (part.flatten(0, 1) for part in known)
        h = embedding_bag(rows, params["table"], mode="sum", per_sample_weights=shares)
        h = h.view(len(known[0]), -1)
    siren = settings.picture_encoding == "siren"
    for k in range(settings.picture_depth + 1):
        if k and not siren:
            h = torch.relu(h)
        elif k:
            h = torch.sin((settings.picture_omega if k == 1 else HIDDEN_OMEGA) * h)
        h = linear(h, params[f"weight.{k}"], params[f"bias.{k}"])
    return (h + 1) / 2 if siren else torch.sigmoid(h)
