"""The views that the tabs ask for: a stereo pair, an orbit, control maps, a thing taken away."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from core.cameras import look_at, moved
from core.scenes.render import RenderSettings, SceneView, render, render_clip
from core.scenes.truth import correspondence
from core.scenes.types import Scene
from core.scenes.world import half_size, quat_to_matrix
from core.types import Camera, InputError, Rig

# told apart with every kind of colour blindness (Okabe and Ito 2008), then by brightness
PALETTE = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0),
    (204, 121, 167), (153, 153, 153), (117, 79, 0), (176, 222, 250), (0, 84, 62), (250, 245, 180),
    (0, 58, 92), (255, 178, 122), (110, 40, 82), (220, 220, 220),
)  # fmt: skip


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
    if not (math.isfinite(baseline_m) and baseline_m > 0):
        raise InputError(f"A baseline of {baseline_m:g} m shows no depth. Give more than 0.")
    left = start_camera(scene, *size)
    right = moved(left, right_m=baseline_m)
    views = render_clip([scene], [left, right], settings)
    _, occluded = correspondence(scene, left, right)
    rig = Rig(float(left.K[0, 0]), baseline_m, float(left.K[0, 2]), float(left.K[1, 2]))
    depth = views[0].depth_m
    assert depth is not None
    disparity = (rig.focal_px * baseline_m / depth.astype(np.float64)).astype(np.float32)
    return StereoPair(views[0].rgb, views[1].rgb, disparity, occluded, depth, rig)


# ---------------------------------------------------------------- orbit


def orbit_views(
    scene: Scene,
    n: int,
    size: tuple[int, int] = (128, 128),
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
    cameras = _around(scene, n, size, seed)
    views = render_clip([scene], cameras, settings)
    return np.stack([view.rgb for view in views]), cameras


def _around(scene: Scene, n: int, size: tuple[int, int], seed: int) -> tuple[Camera, ...]:
    target = np.asarray(scene.target, np.float64)
    radius = float(np.linalg.norm(np.asarray(scene.eye) - target))
    low, high = math.sin(math.radians(8)), math.sin(math.radians(60))
    rng = np.random.default_rng(seed)
    turn, lift = rng.uniform(0, 2 * np.pi), rng.random()
    for tries in (n, 2 * n, 4 * n, 8 * n, 16 * n):
        k = np.arange(tries)
        rise = low + (high - low) * (((k + 0.5) / tries + lift) % 1)
        angle = turn + k * np.pi * (3 - np.sqrt(5))
        flat = np.sqrt(1 - rise**2)
        eyes = target + radius * np.stack([flat * np.cos(angle), flat * np.sin(angle), rise], 1)
        open_eyes = eyes[_sees(scene, eyes, target) & _before_walls(scene, eyes, radius)]
        if len(open_eyes) >= n:
            chosen = open_eyes[np.linspace(0, len(open_eyes) - 1, n).round().astype(int)]
            return tuple(look_at(eye, target, *size, scene.fov_deg) for eye in chosen)
    raise InputError(f"{scene.name}'s target is hidden from all sides. Choose another scene.")


def _sees(scene: Scene, eyes: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(N,) bool: is the first half of the way from each eye to the target free?"""
    import torch

    from core.scenes.trace import Rays, blocked
    from core.scenes.world import pack

    gap = target - eyes
    far = np.linalg.norm(gap, axis=1, keepdims=True)
    way = Rays(*(torch.from_numpy(rows.T.copy()) for rows in (eyes, gap / far)))
    return ~blocked(pack([scene]), way, torch.from_numpy(far[:, 0] / 2)).numpy()


def _before_walls(scene: Scene, eyes: np.ndarray, radius: float) -> np.ndarray:
    """(N,) bool: is each eye on the side of every large plane that scene.eye is on?"""
    fine = np.ones(len(eyes), bool)
    for thing in scene.things:
        if thing.shape == "plane" and min(half_size(thing)[:2]) > radius / 2:
            up = np.array(quat_to_matrix(thing.rotation)).reshape(3, 3)[:, 2]
            side = (np.asarray(scene.eye) - thing.position) @ up
            fine &= (eyes - thing.position) @ up * np.sign(side) > 0.02 * radius
    return fine


# ---------------------------------------------------------------- control maps


def control_maps(
    scene: Scene, camera: Camera, settings: RenderSettings = RenderSettings()
) -> dict[str, np.ndarray]:
    """What can steer a picture generator, exactly: see `maps`, which this calls on a render."""
    return maps(render(scene, camera, settings), camera)


def maps(view: SceneView, camera: Camera) -> dict[str, np.ndarray]:
    """edges (H, W) uint8 0 or 255; depth (H, W) float32 in [0, 1], near is bright (inverse depth),
    0 on the background; segmentation (H, W, 3) uint8 in PALETTE's colours, black background; ids
    (H, W) int32; normals (H, W, 3) uint8 in the camera's axes (red right, green up, blue towards
    the camera), black background."""
    assert view.depth_m is not None
    nearness = 1 / view.depth_m
    some = np.isfinite(nearness)
    depth = np.zeros(view.depth_m.shape, np.float32)
    if some.any():
        low, high = nearness[some].min(), nearness[some].max()
        depth[some] = (nearness[some] - low) / max(high - low, 1e-9) * 0.95 + 0.05
    own = view.normals @ camera.c2w[:3, :3].astype(np.float32) * np.array([1, -1, -1], np.float32)
    colours = np.where(some[..., None], own * 127.5 + 128, 0)
    return {
        "edges": edges(view),
        "depth": depth,
        "segmentation": segmentation(view.ids),
        "ids": view.ids,
        "normals": np.clip(colours, 0, 255).astype(np.uint8),
    }


def segmentation(ids: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: each id in its colour of PALETTE, 0 in black."""
    table = np.array([(0, 0, 0), *PALETTE], np.uint8)
    return table[np.where(ids > 0, (ids - 1) % len(PALETTE) + 1, 0)]


def edges(view: SceneView, crease_deg: float = 30.0) -> np.ndarray:
    """(H, W) uint8, 255 on lines one pixel wide where things end, fold or pass before themselves.

    A pixel is an edge if its right or lower neighbour is another thing, has a normal more than
    crease_deg away, or lies off the surface that the two normals describe.
    """
    found = np.zeros(view.ids.shape, bool)
    everything, first, last = slice(None), slice(None, -1), slice(1, None)
    for here, there in (
        ((everything, first), (everything, last)),
        ((first, everything), (last, everything)),
    ):
        other = view.ids[here] != view.ids[there]
        n0, n1 = view.normals[here], view.normals[there]
        step = view.points[there] - view.points[here]
        with np.errstate(invalid="ignore", divide="ignore"):
            fold = (n0 * n1).sum(-1) < math.cos(math.radians(crease_deg))
            middle = n0 + n1
            off = np.abs((step * middle).sum(-1)) / np.linalg.norm(middle, axis=-1)
            jump = (off > 0.5 * np.linalg.norm(step, axis=-1)) & (
                off > 0.01 * view.ray_depth_m[here]
            )
        found[here] |= other | fold | jump
    return np.where(found, 255, 0).astype(np.uint8)


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
