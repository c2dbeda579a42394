"""A net that reads pictures of the small world: what is where, in which colour and shape, how near.

It is trained on real renders alone, and its own card says how often it is right on renders it has
not seen. With it a painted picture can be scored: are the named things there, do edges, depth and
regions follow the control map? Canny's edges would also find the floor's pattern, and there is no
other depth of a picture that never had a scene.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from core.scenes.toys import COLOURS, SHAPES

if TYPE_CHECKING:
    from torch import Tensor

    from core.diffusion.world import Pictures

WIDTHS = (16, 32, 64, 64)
HEADS = {"edges": 1, "depth": 1, "place": 3, "colour": len(COLOURS), "shape": len(SHAPES)}
LEAST_PX = 12  # of a toy


def new_reader() -> Any:
    """A U-Net for segmentation (Ronneberger et al. 2015), with all heads in one last layer."""
    import torch
    from torch import nn

    def block(inside: int, outside: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(inside, outside, 3, padding=1), nn.GroupNorm(8, outside), nn.SiLU(),
            nn.Conv2d(outside, outside, 3, padding=1), nn.GroupNorm(8, outside), nn.SiLU(),
        )  # fmt: skip

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down = nn.ModuleList(
                block(a, b) for a, b in zip((3, *WIDTHS), WIDTHS, strict=False)
            )
            self.up = nn.ModuleList(
                block(a + b, b) for a, b in zip(WIDTHS[:0:-1], WIDTHS[-2::-1], strict=True)
            )
            self.last = nn.Conv2d(WIDTHS[0], sum(HEADS.values()), 1)

        @property
        def device(self) -> torch.device:
            return self.last.weight.device

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            """(B, 3, S, S) in [-1, 1] → each head (B, C, S, S): scores, before any squashing."""
            kept = []
            for k, down in enumerate(self.down):
                x = down(nn.functional.max_pool2d(x, 2) if k else x)
                kept.append(x)
            for up, skip in zip(self.up, kept[-2::-1], strict=True):
                x = up(torch.cat([nn.functional.interpolate(x, scale_factor=2.0), skip], 1))
            parts = self.last(x).split(list(HEADS.values()), 1)
            return dict(zip(HEADS, parts, strict=True))

    return Net()


def reader_loss(net: Any, pictures: Pictures, chosen: np.ndarray) -> Tensor:
    """The sum of all heads' losses on the chosen pictures; colour and shape count on toys alone."""
    import torch
    from torch.nn import functional as f

    def of(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array[chosen]).to(net.device)

    told = net(of(pictures.rgb).permute(0, 3, 1, 2).float() / 127.5 - 1)
    ids, looks = of(pictures.ids).long(), of(pictures.looks).long()
    toy = ids >= 2
    rows = torch.arange(len(ids), device=ids.device)[:, None, None]
    look = looks[rows, (ids - 2).clamp(min=0)]  # (B, S, S, 2)
    loss = f.binary_cross_entropy_with_logits(told["edges"][:, 0], of(pictures.edges).float() / 255)
    loss = loss + 4 * f.mse_loss(told["depth"][:, 0], of(pictures.depth).float() / 255)
    loss = loss + f.cross_entropy(told["place"], ids.clamp(max=2))
    for k, head in enumerate(("colour", "shape")):
        wanted = torch.where(toy, look[..., k], -100)
        loss = loss + f.cross_entropy(told[head], wanted, ignore_index=-100)
    return loss


# ---------------------------------------------------------------- what it reads


@dataclass(frozen=True)
class Toy:
    """One toy in a picture: colour and shape in words, pixels it covers, centre x, y in px."""

    colour: str
    shape: str
    pixels: int
    xy: tuple[float, float]


@dataclass(frozen=True)
class Read:
    """A picture as it was read: edges (H, W) bool; depth (H, W) float32, near is bright; labels
    (H, W) int: 0 background, 1 floor, 2 + k a toy of the k-th colour of COLOURS; toys, the largest
    first."""

    edges: np.ndarray
    depth: np.ndarray
    labels: np.ndarray
    toys: tuple[Toy, ...]


def read(net: Any, images: np.ndarray) -> list[Read]:
    """Read pictures (N, H, W, 3) uint8 of the small world, of SIZE px a side or any multiple of 8.

    A toy is a connected patch of one colour of at least LEAST_PX pixels; its shape is what most of
    its pixels vote for.
    """
    import torch

    with torch.inference_mode():
        x = torch.from_numpy(images).to(net.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        told = {name: value.float().cpu() for name, value in net(x).items()}
    edges = (told["edges"][:, 0] > 0).numpy()
    depth = told["depth"][:, 0].numpy()
    place, colour = told["place"].argmax(1), told["colour"].argmax(1)
    labels = torch.where(place == 2, 2 + colour, place).numpy()
    shapes = told["shape"].softmax(1).numpy()
    return [
        Read(edges[k], depth[k], labels[k], _toys(labels[k], shapes[k])) for k in range(len(images))
    ]


def _toys(labels: np.ndarray, shapes: np.ndarray) -> tuple[Toy, ...]:
    from scipy import ndimage

    found = []
    for k, colour in enumerate(COLOURS):
        patches, count = cast(tuple, ndimage.label(labels == 2 + k))
        for patch in range(1, count + 1):
            where = patches == patch
            pixels = int(where.sum())
            if pixels >= LEAST_PX:
                shape = SHAPES[int(shapes[:, where].sum(1).argmax())]
                y, x = (float(axis.mean()) + 0.5 for axis in np.nonzero(where))
                found.append(Toy(colour, shape, pixels, (x, y)))
    return tuple(sorted(found, key=lambda toy: -toy.pixels))


def opened(folder: Path) -> Any:
    """The reader whose weights lie in a model's folder."""
    from safetensors.torch import load_file

    from core import runtime

    net = new_reader()
    net.load_state_dict(load_file(folder / "reader.safetensors"))
    return net.to(runtime.device()).eval()
