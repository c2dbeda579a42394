"""A photo from a few hundred soft ellipses: how splats learn, where you can watch each of them.

One picture, no camera, no depth: what is left of Gaussian splatting is the descent. Every ellipse
has a middle, two axes, an angle, an opacity and a colour. Draw all of them, compare with the
photo, ask of each number which way would lower the squared error (the gradient), go a little that
way, and again. Where the photo has edges, ellipses gather and grow thin; where it is plain, few
large ones do. To begin with they are strewn by chance, more of them where the photo changes.

Two rules say how they mix. `over`: front to back, as splats in space do; each covers those
behind it, and order counts. `added`: colours are summed up and may be negative, as in
GaussianImage (Zhang et al. 2024); there is no front, and the descent is smoother.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core import images, runtime
from core.metrics import psnr
from core.splats.project import FAINTEST, Projected
from core.splats.whole import blend_whole
from core.types import Progress, Settings, Snapshot, setting, silent

if TYPE_CHECKING:
    from torch import Tensor

MIXES = {"over": "Front to back", "added": "Added up"}
# of Adam at first: pixels; logarithms; radians; colour; logits. They fall to DECAY of it
RATES = {"xy": 0.75, "log_axes": 0.075, "angle": 0.12, "colour": 0.05, "logit": 0.25}
DECAY = 0.05
BLUR_PX2 = 0.1  # added to both axes' squares: thinner ones would slip between the pixels
WIDE = 0.7  # σ at first, by the distance to the neighbours
EVEN = 0.3  # share of the ellipses strewn evenly; the others where the photo changes
SHOW_S = 0.14  # between snapshots


@dataclass(frozen=True)
class FitImageSettings(Settings):
    """How many ellipses, how they mix, and how long they learn."""

    gaussians: int = setting(
        512, "Gaussians", "More show more detail, and take longer.",
        minimum=1, maximum=5000, step=1,
    )  # fmt: skip
    mix: str = setting(
        "over",
        "Mixing",
        "Splats in space cover each other; light that is added up does not.",
        choices=MIXES,
    )
    side_px: int = setting(
        128, "Longer side", "The photo is made smaller until it fits.",
        minimum=8, maximum=512, step=8, unit="px",
    )  # fmt: skip
    seconds: float = setting(
        10.0, "Time", "The fit ends after this long.",
        minimum=0.1, maximum=3600.0, step=0.5, unit="s",
    )  # fmt: skip
    steps: int = setting(
        0, "Steps", "The fit ends after so many; 0 lets the time decide.",
        minimum=0, maximum=1_000_000, step=1, advanced=True,
    )  # fmt: skip
    rate: float = setting(
        1.0, "Learning rate ×", "Large: quick and restless.",
        minimum=0.01, maximum=10.0, step=0.05, advanced=True,
    )  # fmt: skip
    fit_seed: int = setting(
        0, "Seed", "Where the ellipses begin.",
        minimum=0, maximum=2**31 - 1, step=1, advanced=True,
    )  # fmt: skip


@dataclass(frozen=True)
class FittedImage(Snapshot):
    """The ellipses and their picture after `step` steps (total is 0 when time ends the fit).

    picture, truth (h, w, 3) uint8; psnr dB between them; means_px (N, 2) x y; axes_px (N, 2)
    standard deviations along the own axes; angle_deg (N,), of the first axis from x towards y;
    colours (N, 3), below 0 too where they are added up; opacities (N,) in [0, 1]; all float32.
    ground (3,): the colour behind all of them, the photo's mean.
    """

    picture: np.ndarray
    truth: np.ndarray
    psnr: float
    means_px: np.ndarray
    axes_px: np.ndarray
    angle_deg: np.ndarray
    colours: np.ndarray
    opacities: np.ndarray
    ground: np.ndarray


def fit_image(
    image: np.ndarray,
    settings: FitImageSettings | int = FitImageSettings(),
    progress: Progress = silent,
) -> Iterator[FittedImage]:
    """Fit ellipses to a photo (H, W, 3) uint8, and tell how it goes every SHOW_S seconds.

    A number instead of settings is that of Gaussians. The first snapshot is the beginning, before
    any step; the last one the end. Seconds are those of fitting alone. Closing the generator stops
    it. With steps, the same seed gives the same result. Raises InputError for what isn't a photo.
    """
    import torch

    if not isinstance(settings, FitImageSettings):
        settings = FitImageSettings(gaussians=settings)
    truth, _ = images.fit(images.as_rgb(image), settings.side_px)
    wanted = truth.astype(np.float32) / 255
    device = "cuda" if runtime.device() == "cuda" else "cpu"
    ground = wanted.mean((0, 1))
    free = {
        name: torch.tensor(values, dtype=torch.float32, device=device, requires_grad=True)
        for name, values in _start(wanted, ground, settings).items()
    }
    target, behind = (torch.from_numpy(a).to(device) for a in (wanted, ground))
    adam = torch.optim.Adam([{"params": [free[n]], "lr": RATES[n], "own": RATES[n]} for n in free],
                            betas=(0.9, 0.99), eps=1e-8)  # fmt: skip
    step, spent, share, shown = 0, 0.0, 0.0, -math.inf
    while True:
        began = time.perf_counter()
        colour = _drawn(free, behind, target.shape[1], target.shape[0], settings.mix)
        if share >= 1 or began - shown >= SHOW_S:
            progress(min(share, 1.0), desc="fitting")
            yield _snapshot(free, colour, truth, ground, step, settings.steps, spent)
            shown = began = time.perf_counter()
            if share >= 1:
                return
        for group in adam.param_groups:
            group["lr"] = group["own"] * settings.rate * DECAY**share
        adam.zero_grad(set_to_none=True)
        (colour - target).square().mean().backward()
        adam.step()
        step, spent = step + 1, spent + time.perf_counter() - began
        share = step / settings.steps if settings.steps else spent / settings.seconds


def _start(
    wanted: np.ndarray, ground: np.ndarray, settings: FitImageSettings
) -> dict[str, np.ndarray]:
    """Round ones of the photo's own colours, more of them where it changes."""
    from scipy.spatial import KDTree

    height, width, _ = wanted.shape
    n, rng = settings.gaussians, np.random.default_rng(settings.fit_seed)
    change = sum(
        np.square(np.gradient(wanted, axis=axis)).sum(2)
        for axis in (0, 1)
        if wanted.shape[axis] > 1
    )
    change = np.sqrt(change) + np.zeros((height, width))
    likely = (1 - EVEN) * change / max(float(change.sum()), 1e-9) + EVEN / change.size
    places = rng.choice(change.size, n, p=(likely / likely.sum()).ravel())
    y, x = np.divmod(places, width)
    xy = np.stack([x, y], 1) + rng.uniform(0, 1, (n, 2))
    apart = KDTree(xy).query(xy, k=min(n, 4))[0][:, 1:].mean(1) if n > 1 else np.inf
    axes = np.clip(WIDE * apart, 0.7, 0.25 * max(width, height)) * np.ones(n)
    own = wanted[y, x] - (ground if settings.mix == "added" else 0)
    return {
        "xy": xy, "log_axes": np.log(axes)[:, None] + np.zeros(2), "angle": np.zeros(n),
        "colour": own, "logit": np.zeros(n),
    }  # fmt: skip


def _drawn(free: dict[str, Tensor], ground: Tensor, width: int, height: int, mix: str) -> Tensor:
    """(height, width, 3) of the ellipses, not cut to [0, 1]."""
    added = mix == "added"
    light = blend_whole(ellipses(free), width, height, added)
    colour = light[..., :3]
    return colour + (ground if added else (1 - light[..., 4:]) * ground)


def ellipses(free: dict[str, Tensor]) -> Projected:
    """What `project` makes of splats, from ellipses that are on the picture already: the first is
    in front. Σ = R S² Rᵀ, so its inverse is R S⁻² Rᵀ."""
    import torch

    free = {name: value.double() for name, value in free.items()}
    axes2 = (2 * free["log_axes"].clamp(max=12)).exp() + BLUR_PX2
    cos, sin = free["angle"].cos(), free["angle"].sin()
    first, second = (1 / axes2).unbind(1)
    conic = torch.stack([
        first * cos * cos + second * sin * sin, (first - second) * cos * sin,
        first * sin * sin + second * cos * cos,
    ], 1)  # fmt: skip
    log_opacity = torch.nn.functional.logsigmoid(free["logit"])
    with torch.no_grad():
        turned = torch.stack([cos * cos, sin * sin], 1)
        spread2 = turned * axes2[:, :1] + turned.flip(1) * axes2[:, 1:]
        reach2 = 2 * (log_opacity - math.log(FAINTEST))
        half = (reach2[:, None] * spread2).clamp(min=0).sqrt()
    order = torch.arange(len(cos), device=cos.device)
    return Projected(
        order, free["xy"], conic, log_opacity, half, order.double(), free["colour"].float()
    )


def _snapshot(
    free: dict[str, Tensor],
    colour: Tensor,
    truth: np.ndarray,
    ground: np.ndarray,
    step: int,
    total: int,
    seconds: float,
) -> FittedImage:
    got = {name: value.detach().cpu().numpy() for name, value in free.items()}
    picture = (colour.detach().cpu().numpy().clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return FittedImage(
        step, total, seconds, picture, truth, psnr(picture, truth), got["xy"].copy(),
        np.sqrt(np.exp(2 * got["log_axes"]) + np.float32(BLUR_PX2)), np.degrees(got["angle"]),
        got["colour"].copy(), 1 / (1 + np.exp(-got["logit"])), ground,
    )  # fmt: skip
