"""The views that the tabs ask for: a stereo pair, an orbit, a thing taken away."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from core.cameras import look_at, moved
from core.scenes.render import RenderSettings, render, render_batch, render_clip
from core.scenes.truth import correspondence, matches
from core.scenes.types import Scene
from core.scenes.world import half_size, quat_to_matrix
from core.types import Camera, InputError, Rig

if TYPE_CHECKING:
    from torch import Tensor


def start_camera(scene: Scene, width: int = 480, height: int = 360) -> Camera:
    """The camera that the scene was made for, at any size."""
    return look_at(scene.eye, scene.target, width, height, scene.fov_deg)


# ---------------------------------------------------------------- stereo


@dataclass(frozen=True)
class StereoPair:
    """left, right (H, W, 3) uint8. Of the left picture: disparity_px (H, W) float32 = f·b/z, NaN on
    the background; depth_m (H, W) float32, NaN there too; occluded (H, W) bool, True where the
    right camera doesn't see the left one's point."""

    left: np.ndarray
    right: np.ndarray
    disparity_px: np.ndarray
    occluded: np.ndarray
    depth_m: np.ndarray
    rig: Rig


def stereo_pair(
    scene: Scene,
    baseline_m: float = 0.1,
    size: tuple[int, int] = (480, 360),
    settings: RenderSettings = RenderSettings(),
) -> StereoPair:
    """The scene through two cameras side by side; size is (width, height).

    A point at depth z is f·b/z pixels further left in the right picture.
    """
    _check_baseline(baseline_m)
    left = start_camera(scene, *size)
    right = moved(left, right_m=baseline_m)
    views = render_clip([scene], [left, right], settings)
    _, occluded = correspondence(scene, left, right)
    rig = Rig(float(left.K[0, 0]), baseline_m, float(left.K[0, 2]), float(left.K[1, 2]))
    depth = views[0].depth_m
    assert depth is not None
    disparity = (rig.focal_px * baseline_m / depth.astype(np.float64)).astype(np.float32)
    return StereoPair(views[0].rgb, views[1].rgb, disparity, occluded, depth, rig)


def _check_baseline(baseline_m: float) -> None:
    if not (math.isfinite(baseline_m) and baseline_m > 0):
        raise InputError(f"A baseline of {baseline_m:g} m shows no depth. Give more than 0.")


def stereo_batch(
    scenes: Sequence[Scene],
    baselines_m: float | Sequence[float] = 0.1,
    size: tuple[int, int] = (480, 360),
    settings: RenderSettings = RenderSettings(),
) -> dict[str, Tensor]:
    """Many stereo pairs at once, as tensors that stay on the device: the twin for training.

    baselines_m: one for all, or one per scene. Gives left, right (B, H, W, 3) float32 sRGB in
    [0, 1], and disparity_px, depth_m (B, H, W) float32, occluded (B, H, W) bool as in StereoPair.
    """
    import torch

    many = isinstance(baselines_m, Sequence)
    baselines = list(baselines_m) if many else [float(baselines_m)] * len(scenes)
    if len(baselines) != len(scenes):
        raise InputError(
            f"{len(scenes)} scenes and {len(baselines)} baselines don't pair up. Give one baseline "
            "for all, or one per scene."
        )
    for baseline_m in baselines:
        _check_baseline(baseline_m)
    left = [start_camera(scene, *size) for scene in scenes]
    right = [moved(c, right_m=b) for c, b in zip(left, baselines, strict=True)]
    rgb = render_batch([*scenes, *scenes], [*left, *right], settings, truth=False)["rgb"]
    found = matches(scenes, left, right, None, settings)
    depth = found["depth_m"]
    times = [c.K[0, 0] * b for c, b in zip(left, baselines, strict=True)]
    focal_baseline = torch.tensor(times, dtype=torch.float64, device=depth.device)
    return {
        "left": rgb[: len(scenes)],
        "right": rgb[len(scenes) :],
        "disparity_px": (focal_baseline[:, None, None] / depth).float(),
        "depth_m": depth,
        "occluded": found["occluded"],
    }


# ---------------------------------------------------------------- orbit


def orbit_views(
    scene: Scene,
    n: int,
    size: int | tuple[int, int] = (128, 128),
    seed: int = 0,
    settings: RenderSettings = RenderSettings(),
) -> tuple[np.ndarray, tuple[Camera, ...]]:
    """n pictures (n, H, W, 3) uint8 from around the scene's target, and their cameras.

    Eyes spread evenly (by the golden angle) over the part of a sphere between 8° and 60° above the
    target from which it can be seen: a wall behind the scene keeps them in front. seed turns the
    pattern; two seeds give training and test views that don't coincide.
    """
    if n < 1:
        raise InputError(f"{n} views are none. Ask for at least one.")
    cameras = orbit_cameras(scene, n, size, seed)
    views = render_clip([scene], cameras, settings)
    return np.stack([view.rgb for view in views]), cameras


def orbit_cameras(
    scene: Scene, n: int, size: int | tuple[int, int], seed: int = 0, coverage_deg: float = 360.0
) -> tuple[Camera, ...]:
    """The cameras of orbit_views, of size (width, height) or one side of a square; with coverage_deg
    below 360, only those of a sector that wide, seen from above, about the side that scene.eye is on."""
    width, height = np.broadcast_to(size, 2).tolist()
    target = np.asarray(scene.target, np.float64)
    front = np.asarray(scene.eye) - target
    radius = float(np.linalg.norm(front))
    low, high = math.sin(math.radians(8)), math.sin(math.radians(60))
    rng = np.random.default_rng(seed)
    turn, lift = rng.uniform(0, 2 * np.pi), rng.random()
    for tries in (n << k for k in range(9)):
        k = np.arange(tries)
        rise = low + (high - low) * (((k + 0.5) / tries + lift) % 1)
        angle = turn + k * np.pi * (3 - np.sqrt(5))
        flat = np.sqrt(1 - rise**2)
        eyes = target + radius * np.stack([flat * np.cos(angle), flat * np.sin(angle), rise], 1)
        aside = (angle - math.atan2(front[1], front[0]) + np.pi) % (2 * np.pi) - np.pi
        eyes = eyes[np.abs(aside) <= math.radians(coverage_deg) / 2 + 1e-9]
        if len(eyes) < n:
            continue
        open_eyes = eyes[_sees(scene, eyes, target) & _before_walls(scene, eyes, radius)]
        if len(open_eyes) >= n:
            chosen = open_eyes[np.linspace(0, len(open_eyes) - 1, n).round().astype(int)]
            return tuple(look_at(eye, target, width, height, scene.fov_deg) for eye in chosen)
    raise InputError(f"{scene.name}'s target is hidden from all sides. Choose another scene.")


def _sees(scene: Scene, eyes: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(N,) bool: is the first half of the way from each eye to the target free, and all of it of
    walls? What stands close around the target may hide it; a wall must not be seen from behind."""
    import torch

    from core.scenes.trace import Rays, blocked
    from core.scenes.world import pack

    gap = target - eyes
    far = np.linalg.norm(gap, axis=1, keepdims=True)
    way = Rays(*(torch.from_numpy(rows.T.copy()) for rows in (eyes, gap / far)))
    free = ~blocked(pack([scene]), way, torch.from_numpy(far[:, 0] / 2)).numpy()
    large = 0.4 * far.max()
    walls = tuple(t for t in scene.things if t.shape == "box" and sorted(t.size)[1] > large)
    if walls:
        only = pack([replace(scene, things=walls)])
        free &= ~blocked(only, way, torch.from_numpy(far[:, 0] * 0.98)).numpy()
    return free


def _before_walls(scene: Scene, eyes: np.ndarray, radius: float) -> np.ndarray:
    """(N,) bool: is each eye on the side of every large plane that scene.eye is on?"""
    fine = np.ones(len(eyes), bool)
    for thing in scene.things:
        if thing.shape == "plane" and min(half_size(thing)[:2]) > radius / 2:
            up = np.array(quat_to_matrix(thing.rotation)).reshape(3, 3)[:, 2]
            side = (np.asarray(scene.eye) - thing.position) @ up
            fine &= (eyes - thing.position) @ up * np.sign(side) > 0.02 * radius
    return fine


# ---------------------------------------------------------------- hide


@dataclass(frozen=True)
class Hidden:
    """with_object, without_object (H, W, 3) uint8; mask (H, W) bool, every pixel that differs
    because of the thing: itself, its shadow, its reflection; object_mask (H, W) bool, the pixels
    whose centre shows the thing."""

    with_object: np.ndarray
    without_object: np.ndarray
    mask: np.ndarray
    object_mask: np.ndarray


def hide(
    scene: Scene, name: str, camera: Camera, settings: RenderSettings = RenderSettings()
) -> Hidden:
    """The same picture with the thing called `name` and without it: inpainting's only exact truth.

    Both use the same rays, so nothing differs but what the thing does to the light.
    """
    before = render(scene, camera, settings)
    after = render(scene.without(name), camera, settings)
    place = [thing.name for thing in scene.things].index(name) + 1
    return Hidden(before.rgb, after.rgb, (before.rgb != after.rgb).any(-1), before.ids == place)
