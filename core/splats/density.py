"""Where Gaussians are missing, and where they aren't needed: adaptive density control.

A descent moves what is there; it can't add anything. But it tells where something is missing:
a Gaussian that has to cover what one Gaussian can't is pulled to and fro on the picture, and the
gradient of its middle stays large. Kerbl et al. 2023 watch that gradient and double the Gaussian
where it is: a small one is cloned, since more must be covered; a large one is split in two smaller
ones, since finer detail must be. What has gone faint, is seen by no camera, or lies over whole
pictures is removed.

Here a round doubles those with the largest gradients, a fixed share of all, until there are as
many as wanted: a threshold would have to be found anew for every scene. Two in one place stop more
light than one did, so each gets the opacity that makes both together what it was,
1 − √(1 − α) (Rota Bulò et al. 2024). They stand a little apart, along the longest axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.splats.project import rotation_of

if TYPE_CHECKING:
    from torch import Tensor

GROWTH = 0.15  # of a round: those doubled, by all there are
FAINT = 0.02  # opacity below which one is removed
SMALL_PX = 2.0  # σ on the picture below which one is cloned, not split
APART, SHRUNK, THINNED = 0.7, 0.6, 0.85  # of two halves: distance in σ; longest axis; the others
HUGE = 3.0  # reach on the picture, by the picture's longer side, above which one is removed


class Adam:
    """Kingma & Ba 2015, for tables whose rows come and go: what is known of a row stays with it.

    free: tables by name, one row a Gaussian; rates by name; units (N, 1) by name: a row's own
    measure of a step, where all rows don't share one. New rows inherit what their parent knew.
    """

    def __init__(self, free: Mapping[str, Tensor], rates: Mapping[str, float]):
        import torch

        self.free = {name: value.detach().clone().requires_grad_() for name, value in free.items()}
        self.rates, self.steps = dict(rates), 0
        self.mean = {name: torch.zeros_like(value) for name, value in self.free.items()}
        self.square = {name: torch.zeros_like(value) for name, value in self.free.items()}

    def step(self, rate: float, units: Mapping[str, Tensor], betas: tuple = (0.9, 0.99)) -> None:
        """One step against the gradients, which are then forgotten. rate is a factor on all."""
        import torch

        self.steps += 1
        unbias = (1 - betas[1] ** self.steps) ** 0.5 / (1 - betas[0] ** self.steps)
        with torch.no_grad():
            for name, value in self.free.items():
                if value.grad is None:
                    continue
                mean, square = self.mean[name], self.square[name]
                mean.lerp_(value.grad, 1 - betas[0])
                square.mul_(betas[1]).addcmul_(value.grad, value.grad, value=1 - betas[1])
                move = mean / square.sqrt().add_(1e-12)
                if name in units:
                    move.mul_(units[name])
                value.sub_(move, alpha=rate * self.rates[name] * unbias)
                value.grad = None

    def take(self, rows: Tensor) -> None:
        """Keep these rows, in this order; one that is named twice is doubled."""
        self.free = {k: v.detach()[rows].requires_grad_() for k, v in self.free.items()}
        self.mean = {k: v[rows] for k, v in self.mean.items()}
        self.square = {k: v[rows] for k, v in self.square.items()}


@dataclass(frozen=True)
class Touched:
    """The M splats that touch one picture, as a renderer has them while it learns.

    index (M,) int64, place among all; xy (M, 2) px, middles; its gradient is asked for; conic
    (M, 3): a, b, c of [[a, b], [b, c]] px⁻², the inverse of Σ'; half (M, 2) px, of the box around.
    """

    index: Tensor
    xy: Tensor
    conic: Tensor
    half: Tensor


@dataclass
class Pull:
    """What has been seen of each Gaussian since the last round: Σ |gradient| on the picture, in
    how many pictures, and the largest σ and reach there, px; each (N,)."""

    gradient: Tensor
    pictures: Tensor
    sigma_px: Tensor
    reach_px: Tensor

    @classmethod
    def of(cls, like: Tensor) -> Pull:
        """Nothing yet, for as many as `like` has rows."""
        return cls(*(like.new_zeros(len(like)) for _ in range(4)))

    def add(self, seen: Touched) -> None:
        """One more picture, whose gradient has been computed (seen.xy.grad)."""
        import torch

        with torch.no_grad():
            at, like = seen.index, self.gradient.dtype
            assert seen.xy.grad is not None
            a, b, c = seen.conic.unbind(1)
            variance = torch.maximum(a, c) / (a * c - b * b).clamp(min=1e-12)  # the larger of Σ'
            self.gradient[at] += seen.xy.grad.norm(dim=1).to(like)
            self.pictures[at] += 1
            self.sigma_px[at] = torch.maximum(self.sigma_px[at], variance.sqrt().to(like))
            self.reach_px[at] = torch.maximum(self.reach_px[at], seen.half.amax(1).to(like))


def round_of(adam: Adam, pull: Pull, most: int, picture_px: int) -> tuple[int, int, int]:
    """Remove and double, up to `most`; how many were cloned, split and removed.

    picture_px: the pictures' longer side. At least one always stays.
    """
    import torch

    opacity = torch.sigmoid(adam.free["opacity_logits"].detach())
    kept = (opacity > FAINT) & (pull.pictures > 0) & (pull.reach_px < HUGE * picture_px)
    if not kept.any():
        kept[opacity.argmax()] = True
    stay = kept.nonzero()[:, 0]
    gradient = (pull.gradient / pull.pictures.clamp(min=1))[stay]
    grow = max(0, min(int(GROWTH * len(stay)), most - len(stay)))
    doubled = stay[gradient.argsort(descending=True, stable=True)[:grow]]
    large = pull.sigma_px[doubled] >= SMALL_PX
    double = torch.zeros_like(kept)
    double[doubled] = True
    single = (kept & ~double).nonzero()[:, 0]
    adam.take(torch.cat([single, doubled, doubled]))
    _parted(adam, len(single), large)
    split = int(large.sum())
    return len(doubled) - split, split, len(kept) - len(stay)


def _parted(adam: Adam, first: int, large: Tensor) -> None:
    """Rows from `first` on are twins, all first halves and then all second ones: set apart, made
    fainter, and smaller where large."""
    import torch

    with torch.no_grad():
        own = {name: value[first:] for name, value in adam.free.items()}
        n = len(large)
        longest = torch.nn.functional.one_hot(own["log_scales"].argmax(1), 3).to(large.device)
        sigma = own["log_scales"].exp() * longest
        away = (rotation_of(own["quats"]) @ sigma[:, :, None])[..., 0] * APART
        away[n:] *= -1
        own["means"] += away
        factor = torch.where(longest > 0, SHRUNK, THINNED).log()
        own["log_scales"] += factor * torch.cat([large, large])[:, None]
        opacity = torch.sigmoid(own["opacity_logits"])
        own["opacity_logits"].copy_(torch.logit(1 - (1 - opacity).sqrt(), 1e-4))
