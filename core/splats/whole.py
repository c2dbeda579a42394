"""Blending that learns: every splat of a tile at once, and the way back written out.

`core/splats/blend.py` takes a few splats of a tile at a time and stops where no light is left:
right for large pictures, drawn once. Learning draws small ones thousands of times, and each needs
its gradient. So here a tile's whole list is one row of a table, light falls along it as a running
product, and the way back isn't left to autograd, which would keep and walk a dozen such tables:

    light = Σ wᵢ gᵢ        wᵢ = Tᵢ αᵢ         Tᵢ = Π_{j<i} (1 − αⱼ)
    ∂/∂αᵢ = Tᵢ sᵢ − (Σ_{j>i} wⱼ sⱼ) / (1 − αᵢ)         sᵢ = gᵢ · ∂light

Splat i lets its own colour in and dims all that lies behind it: a running sum from the back
(Kerbl et al. 2023, appendix). The rules and the picture are those of `blend`.

Added up instead of blended, wᵢ = αᵢ, there is no front and no behind, and ∂/∂αᵢ = sᵢ.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from core.splats.blend import (
    MOST_ALPHA,
    NOTHING,
    STOP,
    TILE,
    _coefficients,
    _lists,
    _monomials,
)
from core.splats.project import FAINTEST, Projected

if TYPE_CHECKING:
    from torch import Tensor

ROOM = {"cpu": 1 << 17, "cuda": 1 << 25}  # numbers in a table: what a cache holds, what fills a GPU


def blend_whole(seen: Projected, width: int, height: int, added: bool = False) -> Tensor:
    """(H, W, 5) float32: Σ w·(red, green, blue, depth, 1), as `blend` has it. Differentiable.

    added: colours are summed up, each by its own α, and nothing covers anything. Memory grows
    with the pairs of splat and tile. Gradients are the same each time, bit for bit, on a CPU.
    """
    import torch

    device = seen.xy.device
    across, down = -(-width // TILE), -(-height // TILE)
    everywhere = torch.ones(across * down, 1, device=device)
    light = torch.zeros(across * down, TILE * TILE, 5, device=device)
    given = torch.cat(
        [seen.colour, seen.depth[:, None].float(), torch.ones_like(seen.colour[:, :1])], 1
    )
    # one list at most: as many pairs as there can be
    for splat, tile in _lists(seen, across, down, everywhere, len(seen.xy) * across * down):
        own = Projected(
            **{f.name: getattr(seen, f.name).index_select(0, splat) for f in fields(seen)}
        )
        nth = torch.arange(len(splat), device=device)
        coefficients = _coefficients(own, nth, tile, across)
        counts = torch.bincount(tile, minlength=len(light))
        light = _along()(coefficients, given.index_select(0, splat), counts, added)
    picture = light.view(down, across, TILE, TILE, 5).permute(0, 2, 1, 3, 4)
    return picture.reshape(down * TILE, across * TILE, 5)[:height, :width]


def _tables(counts: Tensor, room: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Tiles of about the same number of pairs, a table's worth at a time: tiles (t,), and their
    pairs (t, longest), front to back; one more than the last pair where a tile has no more."""
    import torch

    total, first = int(counts.sum()), counts.cumsum(0) - counts
    order = torch.argsort(counts, descending=True, stable=True)
    longest = counts[order].tolist()
    at = 0
    while at < len(longest) and longest[at]:
        tiles = order[at : at + max(1, room // (longest[at] * TILE * TILE))]
        nth = torch.arange(longest[at], device=counts.device)
        pairs = first[tiles, None] + nth
        yield tiles, torch.where(nth < counts[tiles, None], pairs, total)
        at += len(tiles)


@functools.cache
def _along() -> Any:
    """The function from what pairs are like to light: coefficients (P, 6) of log α, given (P, 5),
    counts (tiles,), and the rule, to (tiles, pixels, 5)."""
    import torch

    def shares(log_alpha: Tensor, added: bool) -> tuple[Tensor, Tensor, Tensor]:
        """α, what reaches each splat, and the product of both: (t, pixels, longest)."""
        # results next to 0 make exp ten times slower, and e⁻¹⁰ is faint enough to be none
        alpha = torch.threshold_(log_alpha.clamp_(min=-10).exp_(), FAINTEST, 0.0)
        if added:
            return alpha, torch.ones((), device=alpha.device), alpha
        alpha = alpha.clamp_(max=MOST_ALPHA)
        past = torch.cumprod(1 - alpha, 2)
        reach = torch.ones_like(past)
        reach[..., 1:] = past[..., :-1]
        reach = torch.threshold_(reach, STOP, 0.0)
        return alpha, reach, reach * alpha

    def padded(values: Tensor, last: tuple[float, ...]) -> Tensor:
        return torch.cat([values, values.new_tensor([last])])

    class Along(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, coefficients: Any, given: Any, counts: Any, added: bool) -> Any:
            monomials = _monomials(given.device)
            ctx.save_for_backward(coefficients, given, counts, monomials)
            ctx.added = added
            light = given.new_zeros(len(counts), TILE * TILE, 5)
            polynomials, sent = padded(coefficients, NOTHING), padded(given, (0.0,) * 5)
            for tiles, pairs in _tables(counts, ROOM[given.device.type]):
                log_alpha = monomials.T @ polynomials[pairs].transpose(1, 2)
                light[tiles] = shares(log_alpha, added)[2] @ sent[pairs]
            return light

        @staticmethod
        def backward(ctx: Any, *arriving: Any) -> Any:
            coefficients, given, counts, monomials = ctx.saved_tensors
            polynomials, sent = padded(coefficients, NOTHING), padded(given, (0.0,) * 5)
            to_polynomials, to_sent = torch.zeros_like(polynomials), torch.zeros_like(sent)
            for tiles, pairs in _tables(counts, ROOM[given.device.type]):
                told, own = arriving[0][tiles], sent[pairs]
                log_alpha = monomials.T @ polynomials[pairs].transpose(1, 2)
                alpha, reach, weight = shares(log_alpha, ctx.added)
                to_sent[pairs] = weight.transpose(1, 2) @ told
                s = told @ own.transpose(1, 2)
                if ctx.added:
                    to_log = s.mul_(alpha)
                else:
                    let = s * weight  # its own light ...
                    behind = let.sum(2, keepdim=True) - let.cumsum(2)  # ... and what it dims
                    open_ = -torch.threshold(-alpha, -MOST_ALPHA, 0.0)  # what is full can't grow
                    to_log = s.mul_(reach).sub_(behind.div_(1 - alpha)).mul_(open_)
                to_polynomials[pairs] = (monomials @ to_log).transpose(1, 2)
            return to_polynomials[:-1], to_sent[:-1], None, None

    return Along.apply
