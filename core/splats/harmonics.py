"""Colour that depends on where you stand: real spherical harmonics, degree 0 to 3.

A function on the sphere of directions is a sum of waves, as a sound is a sum of tones. Degree 0
is one number, the mean colour; degree 1 adds "brighter from this side" along three axes; degrees
2 and 3 add finer lobes. Sixteen numbers a channel are enough for soft gloss, never for a mirror.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# √ of rational numbers over π: they make the mean of each wave's square over the sphere 1/(4π)
Y0 = 0.28209479177387814
Y1 = 0.4886025119029199
Y2 = (1.0925484305920792, 0.31539156525252005, 0.5462742152960396)
Y3 = (0.5900435899266435, 2.890611442640554, 0.4570457994644658, 0.3731763325901154,
      1.445305721320277)  # fmt: skip


def basis(directions: Tensor, degree: int) -> Tensor:
    """The (degree + 1)² waves (N, K) at unit directions (N, 3), in the order and with the signs
    of 3DGS files: l ascending, then m from −l to l, Condon–Shortley phase kept."""
    import torch

    x, y, z = directions.unbind(1)
    waves = [torch.full_like(x, Y0)]
    if degree > 0:
        waves += [-Y1 * y, Y1 * z, -Y1 * x]
    if degree > 1:
        xx, yy, zz = x * x, y * y, z * z
        waves += [Y2[0] * x * y, -Y2[0] * y * z, Y2[1] * (2 * zz - xx - yy), -Y2[0] * x * z,
                  Y2[2] * (xx - yy)]  # fmt: skip
        if degree > 2:
            ring = 4 * zz - xx - yy
            waves += [-Y3[0] * y * (3 * xx - yy), Y3[1] * x * y * z, -Y3[2] * y * ring,
                      Y3[3] * z * (2 * zz - 3 * xx - 3 * yy), -Y3[2] * x * ring,
                      Y3[4] * z * (xx - yy), -Y3[0] * x * (xx - 3 * yy)]  # fmt: skip
    return torch.stack(waves, 1)


def colours(sh: Tensor, directions: Tensor, degree: int) -> Tensor:
    """RGB (N, 3) ≥ 0 of coefficients sh (N, K, 3) seen along directions (N, 3), from the camera
    to the splat; their length doesn't matter. Waves above `degree`, or missing in sh, are 0."""
    import torch

    degree = min(degree, int(sh.shape[1] ** 0.5) - 1)
    waves = basis(torch.nn.functional.normalize(directions, dim=1).to(sh.dtype), degree)
    return (0.5 + torch.einsum("nk,nkc->nc", waves, sh[:, : waves.shape[1]])).clamp(min=0)
