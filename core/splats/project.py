"""From ellipsoids in space to ellipses on the picture.

A Gaussian turned and stretched is Σ = R S Sᵀ Rᵀ, always a valid covariance, whatever the numbers
in R and S. A camera isn't linear, and the picture of a Gaussian is not a Gaussian; but near its
middle the projection is nearly its derivative J, and under a linear map it stays one:
Σ' = J W Σ Wᵀ Jᵀ (Zwicker et al. 2001, EWA splatting). Two habits of 3DGS (Kerbl et al. 2023) are
kept, for files are trained with them: Σ' gets 0.3 px² more on its diagonal, so that nothing falls
between the pixels; and J is taken at most 30 % of half the picture outside of it, for farther
out the derivative says nothing about the Gaussian any more.

Geometry is float64: with needles and huge splats float32 leaves holes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from core.splats.harmonics import colours
from core.splats.types import RenderSettings, Splats
from core.types import Camera

if TYPE_CHECKING:
    import torch
    from torch import Tensor

DILATION_PX2 = 0.3
OUTSIDE = 0.3  # of half the picture: as far out as J is taken
FAINTEST = 1 / 255  # α below this is no contribution: a byte can't show it
LARGEST_LOG = 30.0  # e³⁰ m covers every picture; its fourth power is still a float64
CHUNK = 1 << 17  # splats at a time: the intermediate numbers stay below about 100 MB


@dataclass(frozen=True)
class Projected:
    """The M splats that a camera can see, front to back, as tensors.

    index (M,) int64, place among all; xy (M, 2) px; conic (M, 3): a, b, c of the inverse of Σ',
    [[a, b], [b, c]] px⁻²; log_opacity (M,); half (M, 2) px: the box around the ellipse where α
    reaches 1/255; depth (M,) metres; colour (M, 3) float32. The others float64.
    """

    index: Tensor
    xy: Tensor
    conic: Tensor
    log_opacity: Tensor
    half: Tensor
    depth: Tensor
    colour: Tensor

    @property
    def reach2(self) -> Tensor:
        """(M,): dᵀ Σ'⁻¹ d where α is 1/255."""
        return 2 * (self.log_opacity - np.log(FAINTEST))


def tensors(splats: Splats, device: str) -> dict[str, Tensor]:
    """The five arrays of `Splats` as tensors there, by name; what `project` takes."""
    import torch

    return {f.name: torch.from_numpy(getattr(splats, f.name)).to(device) for f in fields(Splats)}


def project(
    splats: Mapping[str, Tensor], camera: Camera, settings: RenderSettings = RenderSettings()
) -> Projected:
    """Those splats that touch the picture, by depth (z of the mean; equal depths as they come), or
    all as they come if settings.sort is off.

    Left out: means nearer than settings.near_m, opacity below 1/255, ellipses off the picture.
    Differentiable in all that is float.
    """
    import torch

    n = len(splats["means"])
    parts = [
        _project({k: v[at : at + CHUNK] for k, v in splats.items()}, at, camera, settings)
        for at in range(0, n, CHUNK)
    ]
    whole = {f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Projected)}
    if not settings.sort:
        return Projected(**whole)
    order = torch.argsort(whole["depth"].detach(), stable=True)
    return Projected(**{name: value[order] for name, value in whole.items()})


def _project(
    splats: Mapping[str, Tensor], first: int, camera: Camera, settings: RenderSettings
) -> Projected:
    import torch

    device = splats["means"].device
    K, c2w = (torch.tensor(a, dtype=torch.float64, device=device) for a in (camera.K, camera.c2w))
    rotation, centre = c2w[:3, :3], c2w[:3, 3]
    with torch.no_grad():
        ahead = (splats["means"].double() - centre) @ rotation[:, 2] >= settings.near_m
        ahead &= torch.sigmoid(splats["opacity_logits"].double()) >= FAINTEST
    keep = ahead.nonzero()[:, 0]
    kept = {name: value[keep] for name, value in splats.items() if name != "sh"}
    offset = kept["means"].double() - centre
    own = offset @ rotation
    z = own[:, 2]
    slope = own[:, :2] / z[:, None]
    xy = slope @ K[:2, :2].T + K[:2, 2]

    # J at the mean, or at the rim if that lies too far out; its rows (M, 2, 3), in the world's axes
    low, high = slope_limits(camera, device)
    rim = slope.clamp(low, high)
    eye = torch.eye(2, dtype=torch.float64, device=device).expand(len(z), 2, 2)
    J = K[:2, :2] @ torch.cat([eye, -rim[:, :, None]], 2) / z[:, None, None]
    log_scales = kept["log_scales"].double() + np.log(settings.scale)
    spread = rotation_of(kept["quats"].double()) * log_scales.clamp(max=LARGEST_LOG).exp()[:, None]
    u, v = (J @ rotation.T @ spread).unbind(1)  # Σ' without dilation: [[u·u, u·v], [u·v, v·v]]

    uu, uv, vv = (u * u).sum(1), (u * v).sum(1), (v * v).sum(1)
    # the determinant as a sum of squares (Lagrange): a·c − b² would lose a needle's width
    across = torch.linalg.cross(u, v).square().sum(1)
    determinant = across + DILATION_PX2 * (uu + vv) + DILATION_PX2**2
    uu, vv = uu + DILATION_PX2, vv + DILATION_PX2
    conic = torch.stack([vv, -uv, uu], 1) / determinant[:, None]
    log_opacity = torch.nn.functional.logsigmoid(kept["opacity_logits"].double())
    with torch.no_grad():
        reach2 = 2 * (log_opacity - np.log(FAINTEST))
        half = (reach2[:, None] * torch.stack([uu, vv], 1)).clamp(min=0).sqrt()
        size = torch.tensor([camera.width, camera.height], device=device)
        seen = ((xy + half >= 0) & (xy - half <= size)).all(1).nonzero()[:, 0]
    colour = colours(splats["sh"][keep[seen]], offset[seen], settings.sh_degree)
    return Projected(
        keep[seen] + first, xy[seen], conic[seen], log_opacity[seen], half[seen], z[seen], colour
    )


def rotation_of(quats: Tensor) -> Tensor:
    """(N, 3, 3) rotations, own axes to world, of quaternions w x y z (N, 4) of any length."""
    import torch

    w, x, y, z = torch.nn.functional.normalize(quats, dim=1, eps=0).unbind(1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, 1).view(-1, 3, 3)


def slope_limits(camera: Camera, device: torch.device) -> tuple[Tensor, Tensor]:
    """The least and the greatest x/z and y/z (2,) at which J is taken, float64.

    They lie outside the picture's edges by OUTSIDE of half its size: of a splat farther off, J is
    taken there, or it would make the ellipse far too long.
    """
    import torch

    corners = np.array([[0, 0, 1], [camera.width, 0, 1], [0, camera.height, 1],
                        [camera.width, camera.height, 1]])  # fmt: skip
    slopes = (corners @ np.linalg.inv(camera.K).T)[:, :2]
    low, high = slopes.min(0), slopes.max(0)
    more = OUTSIDE * (high - low) / 2
    return torch.tensor(low - more, device=device), torch.tensor(high + more, device=device)
