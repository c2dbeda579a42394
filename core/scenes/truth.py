"""Where each pixel's point is in another picture, and whether it can be seen there.

The point is found exactly (float64), written down in the axes of the thing it lies on, carried to
where that thing is at the other time, and projected into the other camera. It is hidden if a ray
from that camera to exactly that point meets something earlier: no second picture is rendered, so
no pixel grid blurs the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from core.scenes.render import Pixels, RenderSettings, check_batch, device_of
from core.scenes.threads import alone, in_blocks
from core.scenes.types import Scene
from core.types import Camera, InputError

if TYPE_CHECKING:
    from torch import Tensor


def correspondence(
    scene: Scene, camera0: Camera, camera1: Camera, scene1: Scene | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Optical flow from camera0's picture to camera1's, and what gets hidden.

    scene1 is the scene at the other time (things are matched by name; a thing of another size
    carries its points along in proportion); without it nothing moves. Gives flow_px (H, W, 2)
    float32, x and y in camera1's pixels minus camera0's, NaN on the background, where the thing
    vanished, and where the point lies behind camera1; occluded (H, W) bool, True where camera0
    sees a thing whose point camera1 doesn't see: hidden, outside its frame, vanished or behind it.
    """
    later = None if scene1 is None else [scene1]
    cpu = RenderSettings(device="cpu")
    flow, occluded = correspondence_batch([scene], [camera0], [camera1], later, cpu)
    return flow[0].numpy(), occluded[0].numpy()


def correspondence_batch(
    scenes0: Sequence[Scene],
    cameras0: Sequence[Camera],
    cameras1: Sequence[Camera],
    scenes1: Sequence[Scene] | None = None,
    settings: RenderSettings = RenderSettings(),
) -> tuple[Tensor, Tensor]:
    """Many correspondences at once, as tensors that stay on the device: the twin for training.

    Picture k is scenes0[k] seen by cameras0[k], the other one scenes1[k] seen by cameras1[k]; one
    scene may serve all. Gives flow_px (B, H, W, 2) float32 and occluded (B, H, W) bool.
    """
    found = matches(scenes0, cameras0, cameras1, scenes1, settings)
    return found["flow_px"], found["occluded"]


def matches(
    scenes0: Sequence[Scene],
    cameras0: Sequence[Camera],
    cameras1: Sequence[Camera],
    scenes1: Sequence[Scene] | None,
    settings: RenderSettings,
) -> dict[str, Tensor]:
    """flow_px and occluded of `correspondence_batch`, and depth_m (B, H, W) float32 of the first
    pictures, NaN where nothing is."""
    check_batch(scenes0, cameras0)
    if len(cameras1) != len(cameras0) or len(scenes1 or scenes0) != len(scenes0):
        raise InputError(
            f"{len(cameras0)} first and {len(cameras1)} second pictures don't pair up. Give as many "
            "second cameras and scenes as first ones."
        )
    return _matches(scenes0, cameras0, cameras1, scenes1, device_of(settings))


@alone
def _matches(
    scenes0: Sequence[Scene],
    cameras0: Sequence[Camera],
    cameras1: Sequence[Camera],
    scenes1: Sequence[Scene] | None,
    device: str,
    threads: int = 1,
) -> dict[str, Tensor]:
    import torch

    from core.scenes.shapes import dot
    from core.scenes.trace import Rays, blocked, from_local, nearest, to_local
    from core.scenes.world import pack

    world0 = pack(scenes0, device)
    world1 = world0 if scenes1 is None else pack(scenes1, device)
    there = _columns(scenes0, scenes0 if scenes1 is None else scenes1).to(device)
    pixels = Pixels(cameras0, device, 1, world0.B > 1)

    def stacked(parts: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(parts, -1)).to(device)

    axes = stacked([c.c2w[:3, 2] for c in cameras0])
    eyes = stacked([c.c2w[:3, 3] for c in cameras1])
    turns = stacked([c.K @ c.c2w[:3, :3].T for c in cameras1])  # world axes to z·(x, y, 1) px
    sizes = stacked([np.array([c.width, c.height], np.float64) for c in cameras1])
    height, width = cameras0[0].height, cameras0[0].width
    total = len(cameras0) * height * width
    flow = torch.full((2, total), torch.nan, device=device)
    depth = torch.empty(total, device=device)
    occluded = torch.empty(total, dtype=torch.bool, device=device)

    def find(start: int, end: int) -> None:
        index = torch.arange(start, end, device=device)
        rays, place, _ = pixels(index, torch.float64)
        camera = torch.div(index, height * width, rounding_mode="floor")
        hits = nearest(world0, rays)
        seen = hits.slot >= 0
        depth[start:end] = torch.where(seen, hits.t, torch.nan) * dot(rays.d, axes[:, camera])
        occluded[start:end] = seen
        known = (seen & (there[hits.thing] >= 0)).nonzero()[:, 0]
        thing0, camera = hits.thing[known], camera[known]
        thing1 = there[thing0]
        first = rays[known]
        local = to_local(world0, thing0, first.o + hits.t[known] * first.d)
        if world1 is not world0:
            growth = world1.shapes[12:15, thing1] / world0.shapes[12:15, thing0]
            local = local * torch.where(growth.isfinite(), growth, 1.0)
        points = from_local(world1, thing1, local)
        gap = points - eyes[:, camera]
        far = dot(gap, gap).sqrt()
        # the point itself lies on a surface: a millionth of the way must not count as in front
        second = Rays(eyes[:, camera], gap / far, first.frame)
        hidden = blocked(world1, second, far * (1 - 1e-6))
        x, y, z = (dot(row[:, camera], gap) for row in turns)
        xy = torch.stack([x, y]) / torch.where(z > 0, z, torch.nan)
        inside = ((xy >= 0) & (xy < sizes[:, camera])).all(0)
        flow[:, start + known] = (xy - (place[:, known] + 0.5)).float()
        occluded[start + known] = hidden | ~inside

    in_blocks(find, total, device, threads)
    shape = (len(cameras0), height, width)
    return {
        "flow_px": flow.view(2, *shape).permute(1, 2, 3, 0).contiguous(),
        "occluded": occluded.view(shape),
        "depth_m": depth.view(shape),
    }


def _columns(scenes0: Sequence[Scene], scenes1: Sequence[Scene]) -> Tensor:
    """(B·K0,) int64: for each column of the first world that of the thing of the same name in the
    second one, -1 where there is none."""
    import torch

    k0, k1 = (max(1, *(len(s.things) for s in scenes)) for scenes in (scenes0, scenes1))
    there = torch.full((len(scenes0), k0), -1, dtype=torch.long)
    for b, (before, after) in enumerate(zip(scenes0, scenes1, strict=True)):
        places = {thing.name: b * k1 + k for k, thing in enumerate(after.things)}
        for k, thing in enumerate(before.things):
            there[b, k] = places.get(thing.name, -1)
    return there.flatten()
