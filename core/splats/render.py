"""A picture of splats, and the list of those that make one pixel.

    picture = render(splats, camera, RenderSettings(background=(1, 1, 1)))
    why = contributors(splats, camera, xy=(120, 80))

Both follow the same rules, written in `core/splats/project.py` and `core/splats/blend.py`. Torch
only, no compiler: the same code on a CPU and on CUDA. Pictures come from gsplat where that works.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from core import runtime
from core.scenes.threads import alone
from core.splats import cuda
from core.splats.blend import MOST_ALPHA, STOP, TILE, blend
from core.splats.density import Touched
from core.splats.project import FAINTEST, Projected, project, tensors
from core.splats.types import Contributors, Rendered, RenderSettings, Splats
from core.splats.whole import blend_whole
from core.types import Camera, InputError

if TYPE_CHECKING:
    from torch import Tensor

Draw = Callable[[Mapping[str, "Tensor"], Camera, RenderSettings], tuple["Tensor", Touched]]
BAND = 8 * TILE  # px: a thread of the CPU draws so many rows, then the next so many


def render(splats: Splats, camera: Camera, settings: RenderSettings = RenderSettings()) -> Rendered:
    """What the camera sees. Deterministic; memory grows with the picture and the splats in view,
    not with how much they cover."""
    light = _light(splats, camera, settings)
    opacity = light[..., 4].clip(0, 1)
    background = np.array(settings.background, np.float32)
    colour = light[..., :3] + (1 - opacity)[..., None] * background
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.where(opacity >= 0.5, light[..., 3] / light[..., 4], np.float32(np.nan))
    rgb = (colour.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return Rendered(rgb, depth, opacity=opacity, colour=colour)


@alone
def _light(
    splats: Splats, camera: Camera, settings: RenderSettings, threads: int = 1
) -> np.ndarray:
    """(H, W, 5) float32: Σ w·(red, green, blue, depth, 1)."""
    import torch

    device = _device()
    if device == "cuda" and cuda.suits(splats, camera, settings) and cuda.available():
        return cuda.light(splats, camera, settings)
    seen = project(tensors(splats, device), camera, settings)
    rows = BAND if device == "cpu" else camera.height

    def band(top: int) -> Tensor:
        with torch.no_grad():
            height = min(rows, camera.height - top)
            return blend(_below(seen, top, height), camera.width, height)

    with ThreadPoolExecutor(threads) as pool:
        return torch.cat(list(pool.map(band, range(0, camera.height, rows)))).cpu().numpy()


def _below(seen: Projected, top: int, height: int) -> Projected:
    """Those that touch the rows from `top` on, with y counted from there."""
    y, half = seen.xy[:, 1], seen.half[:, 1]
    here = ((y + half >= top) & (y - half <= top + height)).nonzero()[:, 0]
    own = {f.name: getattr(seen, f.name)[here] for f in fields(Projected)}
    own["xy"] = own["xy"] - own["xy"].new_tensor([0, top])
    return Projected(**own)


def contributors(
    splats: Splats,
    camera: Camera,
    xy: tuple[float, float],
    settings: RenderSettings = RenderSettings(),
) -> Contributors:
    """The splats behind the pixel that holds xy, taken at its centre.

    Raises InputError if xy is off the picture.
    """
    x, y = xy
    if not (0 <= x < camera.width and 0 <= y < camera.height):
        raise InputError(
            f"({x:g}, {y:g}) is off the picture of {camera.width}×{camera.height} px. "
            "Pick a pixel on it."
        )
    middle = (math.floor(x) + 0.5, math.floor(y) + 0.5)
    return _contributors(splats, camera, middle, settings)


@alone
def _contributors(
    splats: Splats,
    camera: Camera,
    middle: tuple[float, float],
    settings: RenderSettings,
    threads: int = 1,
) -> Contributors:
    import torch

    seen = project(tensors(splats, _device()), camera, settings)
    x, y = (seen.xy.new_tensor(middle) - seen.xy).unbind(1)
    a, b, c = seen.conic.unbind(1)
    alpha = (seen.log_opacity - (a * x * x + 2 * b * x * y + c * y * y) / 2).exp()
    hit = (alpha >= FAINTEST).nonzero()[:, 0]
    alpha = alpha[hit].clamp(max=MOST_ALPHA)
    passed = torch.cumprod(1 - alpha, 0)
    reach = torch.cat([torch.ones_like(passed[:1]), passed[:-1]])
    shown = int((reach > STOP).sum())  # reach only falls
    hit, alpha, reach, passed = (t[:shown].cpu() for t in (hit, alpha, reach, passed))
    colour = seen.colour.cpu()[hit].numpy().astype(np.float64)
    index, depth = (t.cpu()[hit].numpy() for t in (seen.index, seen.depth))
    alpha, reach = alpha.numpy(), reach.numpy()
    return Contributors(
        index, depth, alpha, reach, reach * alpha, colour,
        left=float(passed[-1]) if shown else 1.0, background=np.array(settings.background),
    )  # fmt: skip


def renderer() -> str:
    """Which renderer draws here, in words."""
    if _device() == "cpu":
        return "own renderer, on the CPU"
    if cuda.available():
        return "gsplat, on CUDA"
    return f"own renderer, on CUDA: {cuda.reason()}"


def drawer(cameras: Sequence[Camera]) -> tuple[Draw, str]:
    """What draws splats so that they can learn, and its name: gsplat on CUDA where it works and no
    camera is skewed, else the own renderer."""
    if _device() != "cuda" or not cuda.available():
        return traced, renderer()
    if not all(cuda.upright(camera) for camera in cameras):
        return traced, "own renderer, on CUDA: gsplat draws no skewed cameras"
    return cuda.traced, renderer()


def traced(
    free: Mapping[str, Tensor], camera: Camera, settings: RenderSettings
) -> tuple[Tensor, Touched]:
    """(H, W, 5) float32: Σ w·(red, green, blue, depth, 1), a tensor that remembers how it came about,
    of splats as `tensors` names them; and which of them touch the picture. Same as cuda.traced."""
    seen = project(free, camera, settings)
    light = blend_whole(seen, camera.width, camera.height)
    return light, Touched(seen.index, seen.xy, seen.conic, seen.half)


def _device() -> str:
    """CUDA where there is one. Not Apple's: it has no float64."""
    return "cuda" if runtime.device() == "cuda" else "cpu"
