"""Where each pixel's point is in another picture, and whether it can be seen there.

The point is found exactly (float64), written down in the axes of the thing it lies on, carried to
where that thing is at the other time, and projected into the other camera. It is hidden if a ray
from that camera to exactly that point meets something earlier: no second picture is rendered, so
no pixel grid blurs the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.cameras import pixel_centres, project
from core.scenes.threads import alone
from core.scenes.types import Scene
from core.types import Camera

if TYPE_CHECKING:
    from torch import Tensor

    from core.scenes.trace import Rays
    from core.scenes.world import World


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
    return _correspondence(scene, camera0, camera1, scene if scene1 is None else scene1)


@alone
def _correspondence(
    scene: Scene, camera0: Camera, camera1: Camera, after: Scene, threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    import torch

    from core.scenes.trace import from_local, nearest, to_local
    from core.scenes.world import pack

    world0, world1 = pack([scene]), pack([after])
    centres = pixel_centres(camera0).reshape(-1, 2)
    rays = _rays(camera0, centres)
    hits = nearest(world0, rays)
    places = {thing.name: k for k, thing in enumerate(after.things)}
    there = torch.tensor([places.get(thing.name, -1) for thing in scene.things] + [-1])
    known = ((hits.slot >= 0) & (there[hits.slot] >= 0)).nonzero()[:, 0]
    thing0, thing1 = hits.thing[known], there[hits.slot[known]]
    local = to_local(world0, thing0, rays.o[:, known] + hits.t[known] * rays.d[:, known])
    if after is not scene:
        growth = world1.shapes[12:15, thing1] / world0.shapes[12:15, thing0]
        local = local * torch.where(growth.isfinite(), growth, 1.0)
    points = from_local(world1, thing1, local)
    hidden = _hidden(world1, camera1, points)

    height, width = camera0.height, camera0.width
    xy, z = project(camera1, points.numpy().T)
    inside = (z > 0) & (xy >= 0).all(1) & (xy < (camera1.width, camera1.height)).all(1)
    flow = np.full((height * width, 2), np.nan, np.float32)
    flow[known.numpy()] = xy - centres[known.numpy()]
    occluded = (hits.slot >= 0).numpy()
    occluded[known.numpy()] = hidden.numpy() | ~inside
    return flow.reshape(height, width, 2), occluded.reshape(height, width)


def _rays(camera: Camera, xy: np.ndarray) -> Rays:
    import torch

    from core.cameras import rays
    from core.scenes.trace import Rays

    o, d = rays(camera, xy)
    return Rays(torch.from_numpy(o.T.copy()), torch.from_numpy(d.T.copy()))


def _hidden(world: World, camera: Camera, points: Tensor) -> Tensor:
    """(N,) bool: does anything stand between the camera and each of points (3, N)?"""
    import torch

    from core.scenes.trace import Rays, blocked

    eye = torch.from_numpy(camera.c2w[:3, 3].copy())[:, None].expand_as(points)
    gap = points - eye
    far = gap.norm(dim=0)
    # the point itself lies on a surface: a millionth of the way must not count as in front
    return blocked(world, Rays(eye, gap / far), far * (1 - 1e-6))
