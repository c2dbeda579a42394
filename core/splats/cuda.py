"""gsplat, where there is a CUDA card and it really works: the same pictures, in milliseconds.

gsplat (Ye et al. 2024) follows the rules of `core/splats/project.py` and `core/splats/blend.py`
nearly to the letter: 0.3 px² of dilation, J kept within 30 % of half the picture outside of it, no
α below 1/255, no light below 1e-4, waves of the same order and sign. Known differences: it computes
in float32, a splat may stop 0.999 of the light and not 0.99, and it cuts splats off at 3.33 σ, where
α is 1/255 for opacity 1. It has neither skew nor unsorted splats; those the own renderer draws.

It compiles its CUDA code on first use, which takes minutes and fails without a compiler. So whether
it works is tried, once, by drawing one splat whose pixel is known.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from core.splats.density import Touched
from core.splats.project import DILATION_PX2, tensors
from core.splats.types import COEFFICIENTS, RenderSettings, Splats
from core.types import Camera

if TYPE_CHECKING:
    from torch import Tensor

FARTHEST_M = 1e6  # float32 tells no more than a tenth of a metre there
LARGEST = math.log(1e4)  # metres; the square of their square is still a float32


def available() -> bool:
    """Whether gsplat draws here. The first call may compile for minutes."""
    return not reason()


@functools.cache
def reason() -> str:
    """Why gsplat doesn't draw here, in words, or ""."""
    import torch

    if not torch.cuda.is_available():
        return "there is no CUDA GPU"
    camera = Camera(np.array([[20.0, 0, 2.5], [0, 20, 2.5], [0, 0, 1]]), np.eye(4), 5, 5)
    ball = Splats(
        np.array([[0.0, 0, 2]]), np.full((1, 3), math.log(0.2)), np.array([[1.0, 0, 0, 0]]),
        np.array([math.log(4)]), np.zeros((1, 1, 3)),
    )  # fmt: skip
    try:
        found = light(ball, camera, RenderSettings())
    except Exception as error:  # whatever a compiler or a driver says: it is told, not swallowed
        return f"gsplat fails ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
    # in the middle α = 0.8 of grey ½ at 2 m; two pixels aside α is 0.8·exp(−4 / 2 / 4.3)
    middle, aside = [0.4, 0.4, 0.4, 1.6, 0.8], 0.8 * math.exp(-2 / 4.3)
    if np.abs(found[2, 2] - middle).max() > 1e-3 or abs(found[2, 4, 4] - aside) > 1e-3:
        return f"gsplat draws a splat as {found[2, 2].round(3).tolist()}, not {middle}"
    return ""


def suits(splats: Splats, camera: Camera, settings: RenderSettings) -> bool:
    """Whether gsplat can draw that: sorted, without skew, in numbers that float32 can hold."""
    near = np.abs(splats.means).max() < FARTHEST_M and np.abs(camera.c2w[:3, 3]).max() < FARTHEST_M
    small = splats.log_scales.max() + math.log(settings.scale) < LARGEST
    return bool(settings.sort and upright(camera) and near and small)


def upright(camera: Camera) -> bool:
    """Whether the camera's pixels are rectangles."""
    K = camera.K
    return bool(K[0, 1] == K[1, 0] == K[2, 0] == K[2, 1] == 0 and K[2, 2] == 1)


def light(
    splats: Splats, camera: Camera, settings: RenderSettings,
    rasterization: Callable[..., Any] | None = None, device: str = "cuda",
) -> np.ndarray:  # fmt: skip
    """(H, W, 5) float32: Σ w·(red, green, blue, depth, 1), without background.

    By gsplat's rasterization, or by another function that takes and gives the same.
    """
    import torch

    with torch.no_grad():
        return _drawn(tensors(splats, device), camera, settings, rasterization)[0].cpu().numpy()


def traced(
    free: Mapping[str, Tensor], camera: Camera, settings: RenderSettings,
    rasterization: Callable[..., Any] | None = None,
) -> tuple[Tensor, Touched]:  # fmt: skip
    """The same as a tensor that remembers how it came about, of splats as `tensors` names them;
    and which of them touch the picture."""
    found, info = _drawn(free, camera, settings, rasterization)
    names = ("gaussian_ids", "means2d", "conics", "radii")
    return found, Touched(*(info[name] for name in names))


def _drawn(
    free: Mapping[str, Tensor], camera: Camera, settings: RenderSettings,
    rasterization: Callable[..., Any] | None,
) -> tuple[Tensor, dict[str, Any]]:  # fmt: skip
    """(H, W, 5), and what gsplat tells besides; packed: one row for each splat that is seen."""
    import torch

    if rasterization is None:
        from gsplat import rasterization
    coefficients = min(COEFFICIENTS[settings.sh_degree], free["sh"].shape[1])
    view, K = (
        torch.tensor(array, dtype=torch.float32, device=free["means"].device)[None]
        for array in (np.linalg.inv(camera.c2w), camera.K)
    )
    colour, opacity, info = rasterization(
        free["means"],
        torch.nn.functional.normalize(free["quats"], dim=1, eps=0),
        free["log_scales"].exp() * settings.scale,
        torch.sigmoid(free["opacity_logits"]),
        free["sh"][:, :coefficients],
        view,
        K,
        camera.width,
        camera.height,
        near_plane=settings.near_m,
        eps2d=DILATION_PX2,
        sh_degree=COEFFICIENTS.index(coefficients),
        packed=True,
        render_mode="RGB+D",
    )
    return torch.cat([colour[0], opacity[0]], 2), info
