"""A matching cost that was learned: a small network says which pixels look like partners.

Census and colour compare what a person thought of comparing. Here a network of a few convolutions
turns every pixel, with some 50 px around it, into 48 numbers: a direction in a space where
partners point the same way, whatever noise, exposure or blur did to them (Žbontar and LeCun 2016).
One branch keeps the full resolution, so that thin things stay thin; one looks at half of it, so
that a bare wall borrows the texture at its end. The network was shown made-up worlds only
(core.stereo.train), where each partner is known exactly.

What two pixels cost is how far apart their directions are, 1 − cos. The network is hard to fool
but looks at a whole neighbourhood, so its borders are soft; census and colour are easily fooled
but sharp. The mean of both costs goes the same semi-global way as the hand-made one alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.stereo import cost
from core.types import Unavailable

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from core.stereo.types import StereoSettings

WEIGHTS = Path(__file__).parents[2] / "assets" / "models" / "stereo" / "cost.safetensors"
INSTEAD = "The method Refined works without it"

WIDE, FEATURES = 48, 48  # channels on the way and at the end
LAYERS = 5  # convolutions of 3×3: each pixel sees 11×11
BLOCK = 128  # columns of the left picture that are compared at once
ROWS = 32  # rows that are compared at once


# ---------------------------------------------------------------- the network


def shapes() -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight."""
    widths = [3, *[WIDE] * (LAYERS - 1), FEATURES + 1]
    made: dict[str, tuple[int, ...]] = {}
    for k, (into, out) in enumerate(pairwise(widths)):
        made |= {f"{k}.weight": (out, into, 3, 3), f"{k}.bias": (out,)}
    return made


def features(
    weights: Mapping[str, Tensor], pictures: Tensor, rows: slice = slice(None)
) -> tuple[Tensor, Tensor]:
    """Directions (B, H, W, FEATURES) of length 1 and sharpness (B, H, W) above 0, float32, of
    some rows. pictures (B, 3, H, W) float32 in [0, 255].

    Sharpness says how surely the pixel can be told from others: low on a bare wall.
    """
    import torch
    import torch.nn.functional as F

    mean = pictures.mean((1, 2, 3), keepdim=True)
    spread = pictures.std((1, 2, 3), keepdim=True) + 1
    x = ((pictures - mean) / spread).contiguous(memory_format=torch.channels_last)
    for k in range(LAYERS):
        x = F.conv2d(x, weights[f"{k}.weight"], weights[f"{k}.bias"], padding=1)
        x = F.relu(x) if k < LAYERS - 1 else x
    end = x.permute(0, 2, 3, 1)[:, rows].float()
    return F.normalize(end[..., :-1].contiguous(), dim=3), 4 + 16 * F.softplus(end[..., -1])


def scores(left: Tensor, right: Tensor, first: int, count: int) -> Tensor:
    """(B, H, W, count): the scalar products of left x and right x − d, d = first + k.

    left, right (B, H, W, C). Partners outside the right picture give 0. A block of columns is
    compared with all that its partners can be, one matrix product per row; x and d of the product
    run along diagonals, which the strides straighten.
    """
    import torch
    import torch.nn.functional as F

    batch, height, width, channels = left.shape
    rows = left.reshape(batch * height, width, channels)
    beyond = count + max(first, 0), count + max(-first, 0)
    turned = F.pad(right, (0, 0, *beyond)).flip(2).reshape(batch * height, -1, channels)
    parts = []
    for start in range(0, width, BLOCK):
        here = rows[:, start : start + BLOCK]
        n = here.shape[1]
        # right x − d lies at (turned width) − 1 − (x − d + padding on the left)
        low = turned.shape[1] - 1 - (start + n - 1 - first + beyond[0])
        there = turned[:, low : low + n + count - 1].transpose(1, 2)
        product = (here @ there).contiguous()  # (B·H, n, n + count − 1)
        across = product.shape[2]
        parts.append(
            product.as_strided(
                (batch * height, n, count), (n * across, across - 1, 1),
                product.storage_offset() + n - 1,
            )
        )  # fmt: skip
    return torch.cat(parts, 1).reshape(batch, height, width, count)


# ---------------------------------------------------------------- the cost


def volume(left: np.ndarray, right: np.ndarray, settings: StereoSettings) -> np.ndarray:
    """(H, W, D) int16 in [0, FULL], as core.stereo.cost's volumes: what calling them partners costs.

    left, right (H, W, 3) uint8. Raises Unavailable if the weights aren't there, InputError when
    the volume would take more than 2 GB.
    """
    return volume_by(weights(), left, right, settings)


@lru_cache(maxsize=1)
def weights() -> dict[str, Tensor]:
    """The shipped weights, read once. Raises Unavailable if the file isn't there."""
    if not WEIGHTS.is_file():
        raise Unavailable(
            f"The learned matching cost should lie in {WEIGHTS}, which isn't there. "
            f"Copy it there, or train it: python -m core.stereo.train. {INSTEAD}."
        )
    from safetensors.torch import load_file

    return load_file(WEIGHTS)


def volume_by(
    weights: Mapping[str, Tensor], left: np.ndarray, right: np.ndarray, settings: StereoSettings
) -> np.ndarray:
    import torch

    cost.check_memory(*left.shape[:2], settings)
    first = settings.min_disparity_px
    height, width = left.shape[:2]
    count = settings.max_disparity_px - first
    rows = cost.volume(left, right, settings, "refined").transpose(0, 2, 1)
    partner = np.arange(width) - np.arange(first, first + count)[:, None]
    inside = (partner >= 0) & (partner < width)
    with torch.inference_mode():
        both = torch.from_numpy(np.stack([left, right])).permute(0, 3, 1, 2).float()
        way, _ = features(weights, both)
        for start in range(0, height, ROWS):
            part = slice(start, start + ROWS)
            apart = 1 - scores(way[:1, part], way[1:, part], first, count)[0].transpose(1, 2)
            price = apart.mul_(cost.FULL).clamp_(0, cost.FULL).to(torch.int16).numpy()
            np.copyto(rows[part], (rows[part] + price) // 2, where=inside)
    return rows.transpose(0, 2, 1)
