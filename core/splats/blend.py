"""Front to back: each pixel's light, stopped share by share.

    αᵢ = min(0.99, oᵢ·exp(−½ dᵀ Σ'ᵢ⁻¹ d))     none below 1/255
    C = Σ Tᵢ αᵢ cᵢ + T·background              Tᵢ = Π_{j<i} (1 − αⱼ), none once T is down to 1e-4

Most splats touch few pixels. So the picture is cut into tiles of 8×8, each gets the list of
those that reach it, by depth, and only these are evaluated. NumPy and torch have no loop over
single pixels worth its time; what is fast is the same step for many tiles at once. Sixteen
splats of a few hundred tiles are taken together: log α is a polynomial of second degree in x and
y, so all of it is one matrix product with the tile's 64 monomials, and the colours another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from core.splats.project import FAINTEST, Projected

if TYPE_CHECKING:
    import torch
    from torch import Tensor

TILE = 8  # px; smaller means more lists, larger more pixels that a splat doesn't reach
MOST_ALPHA = 0.99
STOP = 1.0001e-4  # two full splats leave 1e-4, give or take the rounding: that is the end, too
PAIRS = 1 << 17  # of splat and tile in one list: bounds memory, whatever the splats cover
DEEP, WIDE = 16, 128  # splats and tiles evaluated at once: α of a step stays in a CPU's cache
GPU = 32  # times as many pairs and tiles at once there
LEAST = -20.0  # of log α: far below 1/255, and exp of much less takes a CPU ten times as long
NOTHING = (LEAST, 0.0, 0.0, 0.0, 0.0, 0.0)  # log α of no splat at all


def blend(seen: Projected, width: int, height: int) -> Tensor:
    """(H, W, 5) float32: Σ w·(red, green, blue, depth, 1), without background. Differentiable."""
    import torch

    device = seen.xy.device
    across, down = -(-width // TILE), -(-height // TILE)
    light = torch.zeros(across * down, 5, TILE * TILE, device=device)
    reach = torch.ones(across * down, TILE * TILE, device=device)
    given = torch.cat(
        [seen.colour, seen.depth[:, None].float(), torch.ones_like(seen.colour[:, :1])], 1
    )
    monomials = _monomials(device)
    room = 1 if device.type == "cpu" else GPU
    for splat, tile in _lists(seen, across, down, reach, room * PAIRS):
        coefficients = _coefficients(seen, splat, tile, across)
        coefficients = torch.cat([coefficients, coefficients.new_tensor([NOTHING])])
        splat = torch.cat([splat, splat[:1]])
        counts = torch.bincount(tile, minlength=len(light))
        first = counts.cumsum(0) - counts
        for at in range(0, int(counts.max()), DEEP):
            more = (counts > at) & _lit(reach)
            for batch in more.nonzero()[:, 0].split(room * WIDE):
                place = at + torch.arange(DEEP, device=device)[:, None]
                pair = torch.where(place < counts[batch], first[batch] + place, len(tile))
                log_alpha = coefficients[pair] @ monomials  # (DEEP, tiles, 64)
                added, left = _step(log_alpha, given[splat[pair]], reach[batch])
                light.index_add_(0, batch, added)
                reach.index_copy_(0, batch, left)
    picture = light.view(down, across, 5, TILE, TILE).permute(0, 3, 1, 4, 2)
    return picture.reshape(down * TILE, across * TILE, 5)[:height, :width]


def _step(log_alpha: Tensor, given: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]:
    """Light (tiles, 5, pixels) of the next few splats, and the share that goes past them.

    log_alpha (splats, tiles, pixels), given (splats, tiles, 5), reach (tiles, pixels).
    """
    import torch
    from torch.nn.functional import threshold

    alpha = threshold(log_alpha.clamp(min=LEAST).exp(), FAINTEST, 0.0).clamp(max=MOST_ALPHA)
    reaches = [reach]
    for passed in (1 - alpha).unbind(0):
        reaches.append(reaches[-1] * passed)
    left = reaches.pop()
    weight = threshold(torch.stack(reaches), STOP, 0.0) * alpha
    return torch.bmm(given.permute(1, 2, 0), weight.transpose(0, 1)), left


def _lit(reach: Tensor) -> Tensor:
    """Whether light still passes through any of a tile's pixels: (tiles,) bool."""
    return reach.detach().amax(1) > STOP


# ---------------------------------------------------------------- who is where


def _lists(
    seen: Projected, across: int, down: int, reach: Tensor, pairs: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Splats and tiles (pairs,), by tile and then by depth; the front first, a list at a time.

    A list ends before it has more than `pairs`, or after one splat. Tiles without light, as
    `reach` has it by then, are left out.
    """
    import torch

    low, high = ((seen.xy + sign * seen.half).detach() for sign in (-1, 1))
    most = torch.tensor([across - 1, down - 1], device=low.device)
    # from the tile of the first pixel centre inside the box to that of the last one
    from_ = ((low - 0.5).ceil() / TILE).floor().clamp(min=0).minimum(most + 1).long()
    to = ((high - 0.5).floor() / TILE).floor().clamp(min=-1).minimum(most).long()
    size = (to - from_ + 1).clamp(min=0)
    counts = size.prod(1)
    ends = counts.cumsum(0)
    start = 0
    while start < len(counts):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(torch.searchsorted(ends, before + pairs, right=True)))
        own = slice(start, stop)
        splat = torch.arange(start, stop, device=low.device).repeat_interleave(counts[own])
        nth = torch.arange(len(splat), device=low.device)
        nth -= (ends[own] - counts[own] - before).repeat_interleave(counts[own])
        wide = size[splat, 0]
        row = torch.div(nth, wide, rounding_mode="floor")
        tile = (from_[splat, 1] + row) * across + from_[splat, 0] + nth - row * wide
        start = stop
        touched = _touches(seen, splat, tile, across) & _lit(reach)[tile]
        splat, tile = splat[touched], tile[touched]
        if len(tile):
            tile, order = torch.sort(tile, stable=True)
            yield splat[order], tile


def _offsets(seen: Projected, splat: Tensor, tile: Tensor, across: int) -> Tensor:
    """(pairs, 2) px: from the splat's middle to the tile's."""
    import torch

    row = torch.div(tile, across, rounding_mode="floor")
    middle = torch.stack([tile - row * across, row], 1).double() * TILE + TILE / 2
    return middle - seen.xy[splat]


def _touches(seen: Projected, splat: Tensor, tile: Tensor, across: int) -> Tensor:
    """Whether α is 1/255 anywhere between the tile's outer pixel centres: (pairs,) bool.

    The least of a convex form over a box is at 0 if that is inside, else on the side towards it.
    """
    import torch

    a, b, c = seen.conic.detach()[splat].unbind(1)
    x, y = _offsets(seen, splat, tile, across).detach().unbind(1)
    rim = (TILE - 1) / 2
    near_x, near_y = (t - t.clamp(-rim, rim) for t in (x, y))
    then_y = torch.minimum(torch.maximum(-b * near_x / c, y - rim), y + rim)
    then_x = torch.minimum(torch.maximum(-b * near_y / a, x - rim), x + rim)
    upright = a * near_x**2 + 2 * b * near_x * then_y + c * then_y**2
    level = a * then_x**2 + 2 * b * then_x * near_y + c * near_y**2
    return torch.minimum(upright, level) <= seen.reach2.detach()[splat] * (1 + 1e-6) + 1e-6


def _coefficients(seen: Projected, splat: Tensor, tile: Tensor, across: int) -> Tensor:
    """(pairs, 6) float32: log α as a polynomial in x and y from the tile's middle.

    In one tile log α can't change by more than some hundred, since Σ' ≥ 0.3 px²: float32 will do.
    """
    import torch

    a, b, c = seen.conic[splat].unbind(1)
    x, y = _offsets(seen, splat, tile, across).unbind(1)
    slope_x, slope_y = a * x + b * y, b * x + c * y
    level = seen.log_opacity[splat] - (x * slope_x + y * slope_y) / 2
    return torch.stack([level, -slope_x, -slope_y, -a / 2, -b, -c / 2], 1).float()


def _monomials(device: torch.device) -> Tensor:
    """(6, 64): 1, x, y, x², x·y, y² at a tile's pixel centres, row by row, from its middle."""
    import torch

    own = torch.arange(TILE, device=device) - (TILE - 1) / 2
    y, x = (t.flatten() for t in torch.meshgrid(own, own, indexing="ij"))
    return torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y])
