"""Pictures of a scene with everything that is known about each pixel.

A ray goes out from the camera through each pixel; the first thing it meets gives the pixel its
depth, normal, colour and name. Colour is the mean of several rays per pixel (anti-aliasing); truth
is that of the one ray through the pixel's centre, because the mean of two depths is the depth of
nothing. Truth is computed in float64: exact to the last digit of the float32 that is returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.scenes.threads import alone, in_blocks
from core.scenes.types import Scene
from core.types import Camera, InputError, Settings, Unavailable, View, setting

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from core.scenes.trace import Rays
    from core.scenes.world import World


@dataclass(frozen=True)
class RenderSettings(Settings):
    samples: int = setting(
        2, "Samples per side", "2 sends 2×2 rays through each pixel: smoother edges and shadows.",
        minimum=1, maximum=8, step=1,
    )  # fmt: skip
    shadows: bool = setting(True, "Shadows", "Off is faster and flatter.")
    device: str = setting(
        "auto", "Device", "Where to compute.", advanced=True,
        choices={"auto": "GPU if there is one", "cpu": "CPU", "cuda": "GPU"},
    )  # fmt: skip
    seed: int = setting(
        0, "Seed", "Changes the grain in soft shadows.", minimum=0, maximum=2**20, advanced=True
    )


@dataclass(frozen=True, kw_only=True)
class SceneView(View):
    """A View and its exact truth at the pixels' centres.

    rgb (H, W, 3) uint8, anti-aliased sRGB. depth_m (H, W) float32 along the camera's axis and
    ray_depth_m (H, W) float32 along the ray, NaN where nothing is. normals (H, W, 3) float32 unit,
    world axes, facing the camera, NaN where nothing. ids (H, W) int32: 0 background, k for
    scene.things[k-1]. albedo (H, W, 3) float32 linear, 0 where nothing. points (H, W, 3) float32
    world, NaN where nothing.
    """

    ray_depth_m: np.ndarray
    normals: np.ndarray
    ids: np.ndarray
    albedo: np.ndarray
    points: np.ndarray


def render(scene: Scene, camera: Camera, settings: RenderSettings = RenderSettings()) -> SceneView:
    """What `camera` sees of `scene`, with its truth."""
    return render_clip([scene], [camera], settings)[0]


def render_clip(
    scenes: Sequence[Scene], cameras: Sequence[Camera], settings: RenderSettings = RenderSettings()
) -> list[SceneView]:
    """One view per camera, in one pass: scenes[k] seen by cameras[k], or one scene by all."""
    made = render_batch(scenes, cameras, settings, exact=True)
    made["rgb"] = to_bytes(made["rgb"])
    arrays = {name: value.cpu().numpy() for name, value in made.items()}
    return [
        SceneView(**{name: value[k] for name, value in arrays.items()}) for k in range(len(cameras))
    ]


def render_batch(
    scenes: Sequence[Scene],
    cameras: Sequence[Camera],
    settings: RenderSettings = RenderSettings(),
    *,
    truth: bool = True,
    exact: bool = False,
) -> dict[str, Tensor]:
    """Many pictures at once, as tensors that stay on the device: the twin of `render` for training.

    scenes: one per camera, or one that all cameras look at. Cameras share width and height.
    Gives rgb (B, H, W, 3) float32 sRGB in [0, 1] and, with `truth`, the other channels of
    SceneView (B, H, W, ...). `exact` computes truth in float64; else float32 (about 1e-5 m at 5 m).
    """
    check_batch(scenes, cameras)
    return _render_batch(scenes, cameras, settings, device_of(settings), truth, exact)


def check_batch(scenes: Sequence[Scene], cameras: Sequence[Camera]) -> None:
    """Raises InputError unless there is one scene for all or per camera, and cameras have one size."""
    if len(scenes) not in (1, len(cameras)) or not cameras:
        raise InputError(
            f"{len(scenes)} scenes and {len(cameras)} cameras don't pair up. Give one scene per "
            "camera, or one scene for all."
        )
    size = cameras[0].width, cameras[0].height
    if any((c.width, c.height) != size for c in cameras):
        raise InputError("The cameras of one batch differ in size. Give them one size.")


@alone
def _render_batch(
    scenes: Sequence[Scene],
    cameras: Sequence[Camera],
    settings: RenderSettings,
    device: str,
    truth: bool,
    exact: bool,
    threads: int = 1,
) -> dict[str, Tensor]:
    import torch

    from core.scenes.light import Lens, encode, lamp_disc, radiance
    from core.scenes.world import pack

    width, height = cameras[0].width, cameras[0].height
    exact_world = pack(scenes, device)
    world = exact_world.single()
    lens_of = Pixels(cameras, device, settings.samples, len(scenes) > 1)
    count = settings.samples**2
    total = len(cameras) * count * width * height
    rgb = torch.empty((3, total), device=device)
    angle = float(1 / (cameras[0].K[0, 0] * settings.samples))

    def colour(start: int, end: int) -> None:
        index = torch.arange(start, end, device=device)
        rays, xy, sample = lens_of(index, torch.float32)
        disc = lamp_disc(xy, sample, count, settings.seed)
        light = radiance(world, rays, Lens(settings.shadows, angle, disc))
        rgb[:, start:end] = light.clamp(max=_BRIGHTEST)

    in_blocks(colour, total, device, threads)
    shape = (len(cameras), height, width)
    linear = rgb.view(3, len(cameras), count, height * width).mean(2)
    made = {"rgb": encode(linear).view(3, *shape).permute(1, 2, 3, 0).contiguous()}
    if truth:
        dtype = torch.float64 if exact else torch.float32
        made |= _truth(exact_world if exact else world, cameras, device, dtype, threads)
    return made


_BRIGHTEST = 1.6  # a highlight counts at most this much in a pixel's mean, so its edge stays smooth


class Pixels:
    """Rays by their running number: camera, then sample, then row, then column."""

    def __init__(
        self, cameras: Sequence[Camera], device: str, samples: int, many_scenes: bool
    ) -> None:
        import torch

        ahead = np.stack([c.c2w[:3, :3] @ np.linalg.inv(c.K) for c in cameras], -1)
        self.ahead = torch.from_numpy(ahead).to(device)  # (3, 3, B)
        eyes = np.stack([c.c2w[:3, 3] for c in cameras], -1)
        self.eyes = torch.from_numpy(eyes).to(device)  # (3, B)
        self.width, self.height = cameras[0].width, cameras[0].height
        self.samples, self.many_cameras, self.many_scenes = samples, len(cameras) > 1, many_scenes

    def __call__(self, index: Tensor, dtype: torch.dtype) -> tuple[Rays, Tensor, Tensor]:
        """Rays of numbers index (N,), pixels xy (2, N) and sample (N,), both float32."""
        import torch

        from core.scenes.trace import Rays

        def split(number: Tensor, by: int) -> tuple[Tensor, Tensor]:
            whole = torch.div(number, by, rounding_mode="floor")
            return whole, number - whole * by

        rest, x = split(index.to(torch.int32), self.width)
        rest, y = split(rest, self.height)
        camera, sample = split(rest, self.samples**2)
        x, y = x.to(dtype), y.to(dtype)
        right = torch.div(sample, self.samples, rounding_mode="floor")
        px = x + (right + 0.5) / self.samples
        py = y + (sample - right * self.samples + 0.5) / self.samples
        ahead, eyes = self.ahead.to(dtype), self.eyes.to(dtype)
        if self.many_cameras:
            camera = camera.long()
            ahead, o = ahead[:, :, camera], eyes[:, camera]
        else:
            o = eyes.expand(3, len(index))
        d = ahead[:, 0] * px + ahead[:, 1] * py + ahead[:, 2]
        d = d * (d[0] * d[0] + d[1] * d[1] + d[2] * d[2]).rsqrt()
        frame = camera if self.many_scenes else None
        return Rays(o, d, frame), torch.stack([x, y]).float(), sample.float()


def _truth(
    world: World, cameras: Sequence[Camera], device: str, dtype: torch.dtype, threads: int
) -> dict[str, Tensor]:
    """Every channel of SceneView but rgb, (B, H, W, ...), of the rays through pixels' centres."""
    import torch

    from core.scenes.shapes import dot
    from core.scenes.surface import albedo
    from core.scenes.trace import nearest, surface_normals, to_local

    pixels = Pixels(cameras, device, 1, world.B > 1)
    axis = torch.from_numpy(np.stack([c.c2w[:3, 2] for c in cameras], -1)).to(device, dtype)
    per_camera = cameras[0].width * cameras[0].height
    total = len(cameras) * per_camera
    made = {
        name: torch.empty((rows, total), dtype=kind, device=device)
        for name, rows, kind in (
            ("depth_m", 1, torch.float32), ("ray_depth_m", 1, torch.float32),
            ("normals", 3, torch.float32), ("ids", 1, torch.int32),
            ("albedo", 3, torch.float32), ("points", 3, torch.float32),
        )
    }  # fmt: skip

    def find(start: int, end: int) -> None:
        index = torch.arange(start, end, device=device)
        rays, _, _ = pixels(index, dtype)
        hits = nearest(world, rays)
        seen = hits.slot >= 0
        t = torch.where(seen, hits.t, torch.nan)
        points = rays.o + t * rays.d
        local = to_local(world, hits.thing, torch.where(seen, points, 0.0))
        own, n = surface_normals(world, hits.thing, local, rays.d)
        colour = albedo(world, hits.thing, local.float(), own.float(), None)
        forward = axis if len(cameras) == 1 else axis[:, index // per_camera]
        for name, value in (
            ("depth_m", t * dot(rays.d, forward)),
            ("ray_depth_m", t),
            ("normals", torch.where(seen, n, torch.nan)),
            ("ids", hits.slot + 1),
            ("albedo", torch.where(seen, colour, 0.0)),
            ("points", points),
        ):
            made[name][:, start:end] = value

    in_blocks(find, total, device, threads)
    shape = (len(cameras), cameras[0].height, cameras[0].width)
    return {
        name: value.view(*shape)
        if len(value) == 1
        else value.view(3, *shape).permute(1, 2, 3, 0).contiguous()
        for name, value in made.items()
    }


def to_bytes(rgb: Tensor) -> Tensor:
    """sRGB in [0, 1] as uint8."""
    import torch

    return (rgb * 255 + 0.5).to(torch.uint8)


def device_of(settings: RenderSettings) -> str:
    """'cpu' or 'cuda'. Raises Unavailable for a GPU that isn't there."""
    import torch

    if settings.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise Unavailable("There is no GPU here. Choose Device: auto or cpu.")
    return settings.device
