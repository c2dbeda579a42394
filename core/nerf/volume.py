"""Light along a ray: densities in, a colour out.

A ray r(t) = o + t d passes steps of length δᵢ and density σᵢ. Each stops the share
αᵢ = 1 − exp(−σᵢ δᵢ) of the light that reaches it, and Tᵢ = Π_{j<i} (1 − αⱼ) reaches it at all. So
the weights wᵢ = Tᵢ αᵢ say where the ray ends: C = Σ wᵢ cᵢ is its colour, Σ wᵢ its opacity, and
Σ wᵢ tᵢ / Σ wᵢ its expected depth (Max 1995; Mildenhall et al. 2020, equation 3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def weights(sigma: Tensor, delta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """w, T and alpha (R, S) of steps with density sigma (R, S) and length delta (R, S) or a number."""
    import torch

    alpha = 1 - torch.exp(-sigma * delta)
    through = torch.cumprod(1 - alpha, 1)
    reach = torch.cat([torch.ones_like(through[:, :1]), through[:, :-1]], 1)
    return reach * alpha, reach, alpha


def distortion(w: Tensor, t: Tensor, delta: Tensor) -> Tensor:
    """How far apart each ray's weight lies, mean over rays: Σᵢⱼ wᵢ wⱼ |tᵢ − tⱼ| + ⅓ Σ wᵢ² δᵢ.

    t (R, S) ascending, in any unit; Mip-NeRF 360, equation 15. The double sum is taken in one
    pass: with prefix sums of w and w t.
    """
    before_w = w.cumsum(1) - w
    before_wt = (w * t).cumsum(1) - w * t
    between = 2 * (w * (t * before_w - before_wt)).sum(1)
    within = (w * w * delta).sum(1) / 3
    return (between + within).mean()
