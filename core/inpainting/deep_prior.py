"""A net that has never seen a picture fills a hole: the deep image prior (Ulyanov et al. 2018).

A convolutional net is fitted to the known pixels of this one picture, from nothing, with a fixed
random input:

    min over θ of ‖(1 − m) ⊙ (f_θ(z) − x)‖²

Nobody tells it what to paint in the hole. But what such a net finds easy to say is what pictures are
like: the same colours and textures at neighbouring places, at several scales. Structure is learned
long before noise. So the hole fills with what fits, and, if the fit goes on too long, with noise:
`best_stop` shows where it would have been best to stop.

Two things differ from the paper and save time. The net doesn't begin with grey: it adds to a first
picture and sees it beside the random input. In the hole that is a membrane, as smooth as can be; around
it the picture, so widely blurred that the detail is still to be learned. The net's last layer begins
with zeros, so the first answer is the membrane and the fit adds what it learns. And what is shown is a
running mean of its outputs (the paper's supplement does so too): each is off by another noise.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from core.inpainting.membrane import Membrane
from core.inpainting.types import InpaintSettings, InpaintStep
from core.metrics import psnr
from core.types import Progress, silent

if TYPE_CHECKING:
    from torch import Tensor

EVERY = 25  # iterations between steps
WIDTHS, SKIP = (16, 32, 64, 64, 64), 4  # channels of the levels, and of the connections across
CHANNELS = 16  # of the random input
JITTER = 0.03  # noise added to the input at each iteration, so that it isn't learned by heart
BLUR_PX = 6.0  # of the known part of the picture that is begun with
RATE, WARM = 0.01, 50  # Adam's rate, reached after so many iterations
MEMORY = 0.98  # of the running mean


def fit(
    image: np.ndarray,
    mask: np.ndarray,
    settings: InpaintSettings = InpaintSettings(method="deep-prior"),
    progress: Progress = silent,
) -> Iterator[InpaintStep]:
    """Fill mask (H, W) bool of image (H, W, 3) uint8: a step every EVERY iterations and at the end,
    with the running mean as its picture and the loss, the mean square error of the known pixels in
    [0, 1]. Any size; time grows with it. The same seed gives the same on the same computer."""
    import torch

    began = time.perf_counter()
    torch_state = torch.random.get_rng_state()
    torch.manual_seed(settings.seed)  # the net's weights draw from the global generator
    net = _net(CHANNELS + 3)
    torch.random.set_rng_state(torch_state)
    chance = torch.Generator().manual_seed(settings.seed)
    picture, known, start = _padded(image, mask)
    fixed = torch.cat([torch.rand((1, CHANNELS, *known.shape[2:]), generator=chance) - 0.5,
                       2 * start - 1], 1)  # fmt: skip
    adam = torch.optim.Adam(net.parameters(), RATE)
    mean, total = None, settings.iterations
    for k in range(1, total + 1):
        adam.param_groups[0]["lr"] = RATE * min(1.0, k / WARM)
        jitter = JITTER * torch.randn(fixed.shape, generator=chance)
        made = start + net(fixed + jitter)
        loss = ((made - picture) ** 2 * known).sum() / (3 * known.sum())
        adam.zero_grad()
        loss.backward()
        adam.step()
        kept = min(MEMORY, k / (k + 5))  # a young mean forgets its first outputs faster
        now = made.detach()
        mean = now if mean is None else kept * mean + (1 - kept) * now
        progress(k / total, desc=f"fitting, iteration {k}")
        if k % EVERY == 0 or k == total:
            seconds = time.perf_counter() - began
            yield InpaintStep(k, total, seconds, _shown(mean, image), loss=float(loss.detach()))


def best_stop(
    steps: Sequence[InpaintStep], truth: np.ndarray, mask: np.ndarray
) -> tuple[np.ndarray, int]:
    """PSNR (n,) in dB of each step in the hole, and the place of the step where it is highest."""
    found = np.array([psnr(step.image[mask], truth[mask]) for step in steps])
    return found, int(found.argmax())


def _padded(image: np.ndarray, mask: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """Picture (1, 3, H', W') in [0, 1], known (1, 1, H', W') 1 or 0, and the picture to begin with,
    in sizes that every level halves. What is added at the right and below is unknown."""
    import torch

    factor = 2 ** len(WIDTHS)
    height, width = mask.shape
    # two places on the smallest level: reflection and normalisation need a neighbour
    tall, wide = (max(2 * factor, -(-n // factor) * factor) for n in (height, width))
    beyond = (0, tall - height), (0, wide - width)
    rgb = image.astype(np.float32) / 255
    known = np.pad((~mask).astype(np.float32), beyond)[..., None]
    first = _start(rgb, mask)
    rgb, first = (np.pad(of, (*beyond, (0, 0)), mode="edge") for of in (rgb, first))
    picture, seen, start = (
        torch.from_numpy(of.transpose(2, 0, 1).copy())[None] for of in (rgb, known, first)
    )
    return picture, seen, start


def _start(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W, 3) float32: a membrane in the hole, the picture blurred elsewhere."""
    import cv2

    skin, filled = Membrane(mask), rgb.copy()
    filled[mask] = skin.inside(rgb.reshape(-1, 3)[skin.rim])
    blurred = cv2.GaussianBlur(filled, (0, 0), BLUR_PX, borderType=cv2.BORDER_REPLICATE)
    return np.where(mask[..., None], filled, blurred)


def _shown(mean: Tensor, image: np.ndarray) -> np.ndarray:
    rgb = mean[0, :, : image.shape[0], : image.shape[1]].clamp(0, 1)
    return (rgb.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


def _net(channels: int) -> Any:
    """(1, channels, H, W) to (1, 3, H, W): down through the levels and up again, each level also
    handed across through SKIP channels, few enough that the picture can't slip through unlearned."""
    import torch
    from torch import nn

    def block(into: int, out: int, stride: int = 1, size: int = 3) -> Any:
        conv = nn.Conv2d(into, out, size, stride, size // 2, padding_mode="reflect")
        return nn.Sequential(conv, nn.BatchNorm2d(out), nn.LeakyReLU(0.1))

    class Levels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            downs = zip((channels, *WIDTHS[:-1]), WIDTHS, strict=True)
            self.down = nn.ModuleList(nn.Sequential(block(a, b, 2), block(b, b)) for a, b in downs)
            self.across = nn.ModuleList(block(width, SKIP, size=1) for width in WIDTHS[:-1])
            ups = zip(WIDTHS[1:], WIDTHS[:-1], strict=True)
            self.up = nn.ModuleList(block(a + SKIP, b) for a, b in ups)
            self.last = nn.Sequential(block(WIDTHS[0], WIDTHS[0]), nn.Conv2d(WIDTHS[0], 3, 1))
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
