"""Gaussians as samples: density control without clones, splits and thresholds.

Kheradmand et al. 2024 (3D Gaussian Splatting as Markov Chain Monte Carlo) see a heap of Gaussians
as samples of where there is something to see, and training as a walk of these samples: downhill,
with noise. Three rules follow. Noise is added to the middles, much to those that stop no light and
next to none to the others, so that what explains nothing looks for a place. What has died is moved
to where a living one stands, the more likely the more light that one stops; new ones are born the
same way. And to give what isn't needed a reason to die, opacities and sizes are kept small by
a price. No more Gaussians than allowed are ever there, and none is lost.

A move is no step of the walk if it doesn't change the picture. N Gaussians in one place let
(1 − o')ᴺ of the light through in their middle, so o' = 1 − (1 − o)^(1/N). Around it they would be
wider than one was; so they shrink until a line through them sums up to what it was:

    o ∫ exp(−x²/2σ²) = ∫ 1 − (1 − o' exp(−x²/2σ'²))ᴺ   ⇒   σ'/σ = o / Σₘ (−1)ᵐ⁻¹ C(N, m) o'ᵐ / √m

This is equation 9 of the paper, its two sums made one: Σᵢ C(i − 1, k) = C(N, k + 1).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core.splats.density import GROWTH, Adam
from core.splats.project import rotation_of

if TYPE_CHECKING:
    from torch import Tensor

DEAD = 0.005  # opacity up to which one is moved
TOGETHER = 51  # in one place, at most: of more, the sum would be lost in rounding
NOISE, SHARP = 0.5, 100.0  # per px² of Σ and px of a step; slope of the gate at DEAD
STILL = 0.1  # opacity from which noise is nothing: the gate is e⁻⁹ there
PRICES = (0.01, 0.01)  # of the mean opacity, and of the mean σ by the scene's size


def price(free: Mapping[str, Tensor], size_m: float) -> Tensor:
    """What is added to the error: a price of opacity, and of σ by the scene's size."""
    import torch

    sigma = free["log_scales"].exp().mean() / size_m
    return PRICES[0] * torch.sigmoid(free["opacity_logits"]).mean() + PRICES[1] * sigma


def shake(adam: Adam, step_px: float, pixel_m: Tensor, seed: Any) -> None:
    """Noise on the middles, in the shape of each Gaussian: Σ η, by the length of a step; pixel_m
    (N, 1): a pixel where it stands. The paper's equation 8, with Σ in pixels, not in the scene's
    unit."""
    import torch

    with torch.no_grad():
        opacity = torch.sigmoid(adam.free["opacity_logits"])
        at = (opacity < STILL).nonzero()[:, 0]
        gate = torch.sigmoid(-SHARP * (opacity[at] - DEAD))[:, None]
        eta = torch.randn(len(at), 3, generator=seed).to(gate.device)
        turn = rotation_of(adam.free["quats"][at])
        variance = (2 * adam.free["log_scales"][at]).exp() / pixel_m[at] ** 2
        noise = (turn @ (variance * (eta[:, None] @ turn)[:, 0])[:, :, None])[..., 0]
        adam.free["means"][at] += NOISE * step_px * pixel_m[at] * gate * noise


def relocate(adam: Adam, most: int, seed: Any) -> tuple[int, int]:
    """Move the dead to living ones, and let new ones be born there, up to `most`; how many were
    born and moved. The picture stays; seed: a torch.Generator of the CPU."""
    import torch

    opacity = torch.sigmoid(adam.free["opacity_logits"].detach())
    n, live = len(opacity), (opacity > DEAD).nonzero()[:, 0]
    moved, born = n - len(live), max(0, min(int(GROWTH * n), most - n))
    if not len(live) or not moved + born:
        return 0, 0
    shares = opacity[live].cpu()
    drawn = torch.multinomial(shares, moved + born, replacement=True, generator=seed)
    drawn = live[drawn.to(live.device)]
    times = torch.bincount(drawn, minlength=n) + 1
    at = (times > 1).nonzero()[:, 0]
    thinned, shrunk = shared(opacity[at], times[at])
    with torch.no_grad():
        adam.free["opacity_logits"][at] = torch.logit(thinned.clamp(min=DEAD)).float()
        adam.free["log_scales"][at] += shrunk.log().float()[:, None]
    adam.take(torch.cat([live, drawn]))
    for known in (*adam.mean.values(), *adam.square.values()):
        known[len(live) :] = 0  # with its source's past it would go its source's way
    return born, moved


def shared(opacity: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
    """Opacity (M,) of each of `times` (M,) int64 Gaussians that stand for one of opacity (M,), and
    the factor (M,) on its σ; float64. More than TOGETHER count as so many."""
    import torch

    o, n = opacity.double().clamp(max=1 - 1e-6), times.clamp(max=TOGETHER)
    thinned = -torch.expm1(torch.log1p(-o) / n)
    m = torch.arange(1, TOGETHER + 1, device=o.device)
    rows = [[math.comb(k, j) for j in range(1, TOGETHER + 1)] for k in range(TOGETHER + 1)]
    ways = torch.tensor(rows, dtype=torch.float64, device=o.device)[n]
    signs = 1 - 2 * ((m - 1) % 2)
    summed = (signs * ways * thinned[:, None] ** m / m.sqrt()).sum(1)
    return thinned, o / summed
