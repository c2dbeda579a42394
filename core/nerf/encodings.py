"""Ways to write down a position so that a small network can tell near neighbours apart.

A network fed with x, y, z alone learns only slow changes. Sines of many frequencies let it vary
fast (Tancik et al. 2020); grids go further and store what is known at places, so that little is
left for the network. All take x (N, 3) in [−1, 1].
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

PRIMES = (1, 2654435761, 805459861)  # Teschner et al. 2003


def sines(x: Tensor, levels: int, shown: float | None = None) -> Tensor:
    """γ(x): x, and sin and cos of 2ᵏ π x for k below levels, (N, D + 2 D levels).

    shown, if given, fades out the frequencies above it, as a window that opens.
    """
    import torch

    if levels == 0:
        return x
    k = torch.arange(levels, device=x.device, dtype=x.dtype)
    angle = x[..., None] * (2**k * math.pi)
    waves = torch.stack([angle.sin(), angle.cos()], -2)  # (N, D, 2, levels)
    if shown is not None:
        waves = waves * (shown - k).clamp(0, 1)
    return torch.cat([x, waves.flatten(1)], -1)


def planes_and_lines(planes: Tensor, lines: Tensor, x: Tensor) -> Tensor:
    """Products (3, C, N) of three planes (3, C, n, n) and three lines (3, C, n, 1), each read
    between its cells: xy with z, xz with y, yz with x (TensoRF's VM)."""
    import torch
    from torch.nn.functional import grid_sample

    flat = torch.stack([x[:, [0, 1]], x[:, [0, 2]], x[:, [1, 2]]])[:, :, None]
    along = x[:, [2, 1, 0]].t()
    along = torch.stack([torch.zeros_like(along), along], -1)[:, :, None]
    return (
        grid_sample(planes, flat, align_corners=True)[..., 0]
        * grid_sample(lines, along, align_corners=True)[..., 0]
    )


def voxels(grid: Tensor, x: Tensor) -> Tensor:
    """(N, C): a dense grid (C, n, n, n), indexed z y x, read between its cells."""
    from torch.nn.functional import grid_sample

    return grid_sample(grid[None], x[None, None, None], align_corners=True)[0, :, 0, 0].t()


def hash_sizes(levels: int, coarsest: int, finest: int) -> tuple[int, ...]:
    """Cells along a side of each level, growing by equal factors."""
    growth = (finest / coarsest) ** (1 / max(levels - 1, 1))
    return tuple(int(coarsest * growth**level + 1e-6) for level in range(levels))


def hashed(tables: Tensor, sizes: tuple[int, ...], x: Tensor, shown: float | None = None) -> Tensor:
    """(N, levels · F): each level's features at the eight corners of x's cell, blended.

    tables (levels, T, F), T a power of two; a level whose corners all fit has no collisions, a
    finer one finds its corners by a hash (Müller et al. 2022). shown fades out levels above it.
    """
    import torch

    T = tables.shape[1]
    corner = torch.tensor(
        [[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], device=x.device
    )
    place, found = (x + 1) / 2, []
    for level, size in enumerate(sizes):
        p = place * size
        cell = p.floor()
        t = p - cell
        c = cell.long()[:, None] + corner  # (N, 8, 3)
        if (size + 1) ** 3 <= T:
            index = c[..., 0] + (size + 1) * (c[..., 1] + (size + 1) * c[..., 2])
            index = index.clamp(0, T - 1)
        else:
            index = (
                (c[..., 0] * PRIMES[0]) ^ (c[..., 1] * PRIMES[1]) ^ (c[..., 2] * PRIMES[2])
            ) & (T - 1)
        share = torch.where(corner.bool(), t[:, None], 1 - t[:, None]).prod(-1)
        features = (tables[level][index] * share[..., None]).sum(1)
        if shown is not None:
            features = features * min(max(shown - level, 0.0), 1.0)
        found.append(features)
    return torch.cat(found, -1)


def contracted(x: Tensor) -> Tensor:
    """All of space into [−1, 1]³: what is in the box fills its inner half, the rest the rim.

    Mip-NeRF 360's contraction, of each coordinate by itself: what is flat along an axis stays so,
    and planes and lines are good at that.
    """
    near = x.abs().clamp(min=1).reciprocal()  # 1 in the box, 1/|x| outside: sign(x)·(1 − 1/2|x|)
    return x * near * (1 - near / 2)


def spread(x: Tensor) -> Tensor:
    """The inverse of contracted; the rim itself stays finite."""
    import torch

    length = (2 * x).abs()
    return torch.where(length <= 1, 2 * x, x.sign() / (2 - length).clamp(min=1e-3))
