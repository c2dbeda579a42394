"""Control maps: what can steer a picture generator, exact instead of estimated.

A net that estimates depth, normals, edges or segments from a photo makes mistakes, and a generator
trained on them learns the mistakes too. Here each map is a formula of what the rays have met.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from core.scenes.render import RenderSettings, SceneView, render, render_batch
from core.scenes.types import Scene
from core.types import Camera

if TYPE_CHECKING:
    from torch import Tensor

# told apart with every kind of colour blindness (Okabe and Ito 2008), then by brightness
PALETTE = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0),
    (204, 121, 167), (153, 153, 153), (117, 79, 0), (176, 222, 250), (0, 84, 62), (250, 245, 180),
    (0, 58, 92), (255, 178, 122), (110, 40, 82), (220, 220, 220),
)  # fmt: skip

CREASE_DEG = 30.0


def control_maps(
    scene: Scene, camera: Camera, settings: RenderSettings = RenderSettings()
) -> dict[str, np.ndarray]:
    """The control maps of what `camera` sees of `scene`: see `maps`, which this calls."""
    return maps(render(scene, camera, settings), camera)


def maps(view: SceneView, camera: Camera) -> dict[str, np.ndarray]:
    """edges (H, W) uint8 0 or 255; depth (H, W) float32 in [0, 1], near is bright (inverse depth),
    0 on the background; segmentation (H, W, 3) uint8 in PALETTE's colours, black background; ids
    (H, W) int32; normals (H, W, 3) uint8 in the camera's axes (red right, green up, blue towards
    the camera), black background."""
    made = _maps(_channels(view), [camera])
    return {name: value[0].numpy() for name, value in made.items()}


def control_batch(
    scenes: Sequence[Scene],
    cameras: Sequence[Camera],
    settings: RenderSettings = RenderSettings(),
) -> dict[str, Tensor]:
    """Many pictures with their control maps, as tensors that stay on the device, for training.

    scenes: one per camera, or one that all cameras look at. Gives rgb (B, H, W, 3) float32 sRGB in
    [0, 1] and the maps of `maps`, each (B, H, W, ...) of the same type as there.
    """
    made = render_batch(scenes, cameras, settings, exact=True)
    return {"rgb": made["rgb"], **_maps(made, cameras)}


def segmentation(ids: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: each id in its colour of PALETTE, 0 in black."""
    import torch

    return _segmentation(torch.from_numpy(np.ascontiguousarray(ids))).numpy()


def edges(view: SceneView, crease_deg: float = CREASE_DEG) -> np.ndarray:
    """(H, W) uint8, 255 on lines one pixel wide where things end, fold or pass before themselves.

    A pixel is an edge if its right or lower neighbour is another thing, has a normal more than
    crease_deg away, or lies off the surface that the two normals describe.
    """
    return _edges(_channels(view), crease_deg)[0].numpy()


def _channels(view: SceneView) -> dict[str, Tensor]:
    """A view as a batch of one."""
    import torch

    names = ("depth_m", "ray_depth_m", "normals", "ids", "points")
    return {
        name: torch.from_numpy(np.ascontiguousarray(getattr(view, name)))[None] for name in names
    }


def _maps(made: Mapping[str, Tensor], cameras: Sequence[Camera]) -> dict[str, Tensor]:
    import torch

    depth, normals = made["depth_m"], made["normals"]
    some = made["ids"] > 0
    near = 1 / depth
    low = torch.where(some, near, math.inf).amin((1, 2), keepdim=True)
    high = torch.where(some, near, -math.inf).amax((1, 2), keepdim=True)
    bright = (near - low) / (high - low).clamp(min=1e-9) * 0.95 + 0.05
    axes = np.stack([c.c2w[:3, :3] * (1, -1, -1) for c in cameras])
    turned = normals @ torch.from_numpy(axes).to(normals)[:, None]
    colours = torch.where(some[..., None], turned * 127.5 + 128, 0)
    return {
        "edges": _edges(made),
        "depth": torch.where(some, bright, 0),
        "segmentation": _segmentation(made["ids"]),
        "ids": made["ids"],
        "normals": colours.clamp(0, 255).to(torch.uint8),
    }


def _segmentation(ids: Tensor) -> Tensor:
    import torch

    table = torch.tensor([(0, 0, 0), *PALETTE], dtype=torch.uint8, device=ids.device)
    return table[torch.where(ids > 0, (ids - 1) % len(PALETTE) + 1, 0).long()]


def _edges(made: Mapping[str, Tensor], crease_deg: float = CREASE_DEG) -> Tensor:
    """(B, H, W) uint8, 0 or 255."""
    import torch

    ids, normals, points, far = (made[k] for k in ("ids", "normals", "points", "ray_depth_m"))
    found = torch.zeros_like(ids, dtype=torch.bool)
    for axis in (1, 2):
        n = ids.shape[axis] - 1

        def here(x: Tensor, axis=axis, n=n) -> Tensor:
            return x.narrow(axis, 0, n)

        def there(x: Tensor, axis=axis, n=n) -> Tensor:
            return x.narrow(axis, 1, n)

        n0, n1 = here(normals), there(normals)
        step = there(points) - here(points)
        fold = (n0 * n1).sum(-1) < math.cos(math.radians(crease_deg))
        middle = n0 + n1
        off = (step * middle).sum(-1).abs() / middle.norm(dim=-1)
        jump = (off > 0.5 * step.norm(dim=-1)) & (off > 0.01 * here(far))
        here(found).logical_or_((here(ids) != there(ids)) | fold | jump)
    return found.to(torch.uint8) * 255
