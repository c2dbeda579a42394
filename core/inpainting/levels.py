"""The net of the two fillers that are convolutional: down through levels and up again.

`deep_prior` fits one to a single picture, `learned` has one that was trained on many. Both give it a
picture filled by a membrane and what is hidden in it, and it gives what to add. The last layer begins
with zeros: an untrained net adds nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from core.inpainting.membrane import Membrane

if TYPE_CHECKING:
    from torch import Tensor


def filled(rgb: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """rgb (H, W, 3) float32 with a membrane over hidden (H, W) bool."""
    skin = Membrane(hidden)
    made = rgb.copy()
    made[hidden] = skin.inside(rgb.reshape(-1, 3)[skin.rim])
    return made


def seen(filled: Tensor, hidden: Tensor) -> Tensor:
    """What the net sees, (B, 4, H, W) about 0: filled (B, 3, H, W) and hidden (B, 1, H, W) in [0, 1]."""
    import torch

    return torch.cat([2 * filled - 1, 2 * hidden - 1], 1)


def padded(array: np.ndarray, levels: int, beyond: float | None = None) -> Tensor:
    """(1, C, H', W') float32 of (H, W, C) or (H, W), in sizes that can be halved so many times: at
    the right and below stands `beyond`, or the edge again."""
    import torch

    factor = 2**levels
    # two places on the smallest level: reflection and normalisation need a neighbour
    more = [(0, max(2 * factor, -(-n // factor) * factor) - n) for n in array.shape[:2]]
    array = np.atleast_3d(array).astype(np.float32)
    if beyond is None:
        array = np.pad(array, (*more, (0, 0)), mode="edge")
    else:
        array = np.pad(array, (*more, (0, 0)), constant_values=beyond)
    return torch.from_numpy(array.transpose(2, 0, 1).copy())[None]


def to_bytes(rgb: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    """(H, W, 3) uint8 of (1, 3, H', W') in [0, 1], without what was padded; shape is (H, W, …)."""
    rgb = rgb[0, :, : shape[0], : shape[1]].clamp(0, 1)
    return (rgb.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


def net(widths: tuple[int, ...], skip: int, seed: int = 0) -> Any:
    """(B, 4, H, W), see `seen`, to (B, 3, H, W), what to add in [-1, 1]. Channels of the levels, each
    half as large as the one before, and of the connections across."""
    import torch
    from torch import nn

    chance = torch.Generator().manual_seed(seed)  # torch's own is everybody's

    def convolution(*sizes: int, **how: str) -> Any:
        """nn.Conv2d with the weights that it begins with, but drawn from `chance`."""
        conv: Any = nn.utils.skip_init(nn.Conv2d, *sizes, **how)
        nn.init.kaiming_uniform_(conv.weight, 5**0.5, generator=chance)
        bound = 1 / conv.weight[0].numel() ** 0.5
        nn.init.uniform_(conv.bias, -bound, bound, generator=chance)
        return conv

    def block(into: int, out: int, stride: int = 1, size: int = 3) -> Any:
        conv = convolution(into, out, size, stride, size // 2, padding_mode="reflect")
        return nn.Sequential(conv, nn.BatchNorm2d(out), nn.LeakyReLU(0.1))

    class Levels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            downs = zip((4, *widths[:-1]), widths, strict=True)
            self.down = nn.ModuleList(nn.Sequential(block(a, b, 2), block(b, b)) for a, b in downs)
            self.across = nn.ModuleList(block(width, skip, size=1) for width in widths[:-1])
            ups = zip(widths[1:], widths[:-1], strict=True)
            self.up = nn.ModuleList(block(a + skip, b) for a, b in ups)
            self.last = nn.Sequential(block(widths[0], widths[0]), convolution(widths[0], 3, 1))
            for zero in self.last[1].parameters():
                nn.init.zeros_(zero)

        def forward(self, x: Tensor) -> Tensor:
            kept = []
            for down in self.down:
                x = down(x)
                kept.append(x)
            for k in range(len(self.up) - 1, -1, -1):
                x = torch.cat([_twice(x), self.across[k](kept[k])], 1)
                x = self.up[k](x)
            return self.last(_twice(x))

    return Levels()


def _twice(x: Tensor) -> Tensor:
    from torch.nn import functional

    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
