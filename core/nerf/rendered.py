"""Views of a rendered scene: every camera is known exactly, so poses can be spoilt on purpose."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from core.cameras import resized, unproject
from core.nerf.types import Views
from core.types import Camera, InputError, Progress, silent

if TYPE_CHECKING:
    from core.scenes import Scene

# in eye distances from the target: how far to each side the box may go, and how far there is
# anything to see; between the two lie ground and walls, which an unbounded field contracts
REACH, HORIZON = 0.7, 10.0
AT_ONCE = 8  # views rendered between two words of progress
ENOUGH = 0.15  # share of what is seen that things must have for the box to be around them alone


def from_scene(
    scene: Scene,
    n_views: int = 64,
    size: int | tuple[int, int] = (128, 128),
    pose_noise_deg: float = 0.0,
    seed: int = 0,
    held_out: int = 8,
    *,
    coverage_deg: float = 360.0,
    progress: Progress = silent,
) -> Views:
    """n_views pictures from around the scene's target to learn from, then held_out others to test.

    size is (width, height), or one side of a square. pose_noise_deg turns each training camera
    about a random axis by an angle whose root mean square it is; test cameras stay exact, and
    pictures show what the true cameras saw. With coverage_deg below 360 all training cameras stand
    in a sector that wide, while the held-out ones stay all around. Raises InputError for fewer than
    two views, a noise outside 0° to 90°, or a sector outside 10° to 360°.
    """
    from core.scenes import orbit_cameras

    if n_views < 2 or held_out < 0:
        raise InputError(f"{n_views} views show no depth. Ask for at least 2.")
    if not 0 <= pose_noise_deg <= 90:
        raise InputError(f"A pose noise of {pose_noise_deg:g}° is no noise. Choose 0 to 90.")
    if not 10 <= coverage_deg <= 360:
        raise InputError(f"A coverage of {coverage_deg:g}° is none. Choose 10 to 360.")
    cameras = orbit_cameras(scene, n_views, size, seed, coverage_deg)
    exact = orbit_cameras(scene, held_out, size, seed + 10_007) if held_out else ()
    shown = _pictures(scene, cameras + exact, progress)
    box, near, far = _extent(scene, cameras)
    rng = np.random.default_rng(seed)
    learned = tuple(shaken(camera, pose_noise_deg, rng) for camera in cameras) + exact
    notes = (f"{n_views} views of {scene.name}, {held_out} held out.",)
    if pose_noise_deg:
        notes += (f"Training cameras are turned by {pose_noise_deg:g}° at random.",)
    test = tuple(range(n_views, n_views + held_out))
    return Views(shown, learned, test, box, near, far, unbounded=True, notes=notes)


def _pictures(scene: Scene, cameras: tuple[Camera, ...], progress: Progress) -> np.ndarray:
    """(N, H, W, 3) float32 in [0, 1]: what the cameras see, a few at a time."""
    from core.scenes import RenderSettings, render_clip

    found: list[np.ndarray] = []
    for k in range(0, len(cameras), AT_ONCE):
        progress(k / len(cameras), desc="rendering views")
        some = render_clip([scene], list(cameras[k : k + AT_ONCE]), RenderSettings())
        found += [view.rgb.astype(np.float32) / 255 for view in some]
    return np.stack(found)


def shaken(camera: Camera, noise_deg: float, rng: np.random.Generator) -> Camera:
    """The camera turned about a random axis through its eye, by noise_deg in the root mean square."""
    from scipy.spatial.transform import Rotation

    turn = rng.normal(0, math.radians(noise_deg) / math.sqrt(3), 3)
    if not noise_deg:
        return camera
    c2w = camera.c2w.copy()
    c2w[:3, :3] = Rotation.from_rotvec(turn).as_matrix() @ c2w[:3, :3]
    return replace(camera, c2w=c2w)


def _extent(scene: Scene, cameras: tuple[Camera, ...]) -> tuple[np.ndarray, float, float]:
    """Box, near and far of the surfaces that the cameras see, measured in small renders.

    The box is where detail is wanted: around the things that are smaller than the way to them, or
    where there are hardly any, around all that lies within REACH of the target. far is HORIZON at
    most, for an endless ground has no end.
    """
    from core.scenes import RenderSettings, render_clip

    some = cameras[:: max(1, len(cameras) // 16)]
    small = [resized(c, 32, max(2, round(32 * c.height / c.width))) for c in some]
    target = np.asarray(scene.target, np.float64)
    radius = float(np.linalg.norm(np.asarray(scene.eye) - target))
    sizes = np.array([0.0] + [max(t.size) if min(t.size[:2]) > 0 else np.inf for t in scene.things])
    points, spans, thing = [], [], []
    for camera, view in zip(small, render_clip([scene], small, RenderSettings()), strict=True):
        z = view.depth_m
        assert z is not None
        x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
        seen = unproject(camera, np.stack([x, y], -1), z)[np.isfinite(z)]
        points.append(seen)
        thing.append(sizes[view.ids[np.isfinite(z)]] < radius)
        spans.append(np.linalg.norm(seen - camera.c2w[:3, 3], axis=1))
    cloud = np.concatenate(points)
    inside = (np.abs(cloud - target) <= REACH * radius).all(1)
    if not inside.any():
        raise InputError(f"The cameras see nothing of {scene.name}. Choose another scene.")
    things = inside & np.concatenate(thing)
    if things.mean() > ENOUGH:
        inside = things
    low, high = cloud[inside].min(0), cloud[inside].max(0)
    margin = 0.05 * (high - low).max()
    box = np.stack([low - margin, high + margin])
    distances = np.concatenate(spans)
    far = min(1.2 * float(distances.max()), HORIZON * radius)
    near = 0.8 * float(distances.min())
    return box, max(near, 1e-3 * far), far
