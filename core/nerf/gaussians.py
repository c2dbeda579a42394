"""From fog to Gaussians: the same light, in pieces that can be drawn at once.

A field is asked hundreds of times a pixel; Gaussians are sorted and drawn. To change one into the
other, look at the field from its training cameras: each pixel whose light is stopped is a place on
a surface, with a colour, a direction (the depth around it rises one way) and a size (what a pixel
covers there). Some of them, evenly apart, become flat discs as wide as the gaps between them.

That leaves seams and fringes, since a disc is no pixel. The renderer of Gaussians can be
differentiated, so a short descent follows: shift, turn, stretch and tint all of them until their
picture is the field's. (Kerbl et al. 2023 start from points of structure from motion instead, and
descend for much longer.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.cameras import resized
from core.nerf.outputs import looks, part, solid, surface, thinned
from core.nerf.types import Seen, Views
from core.types import Camera, InputError, Progress, silent

if TYPE_CHECKING:
    from core.nerf.fields import Field
    from core.splats.types import Splats

SH_DC = 0.28209479177387814  # ½ √(1/π): the constant spherical harmonic
FLAT = 0.2  # thickness of a disc by its radius
WIDE = 0.6  # radius (σ) of a disc by the distance to its neighbours
COVERS = 0.35  # most of a radius by the width that a disc needs if all cover a look evenly
LEAST_PX, SCREEN_PX = 160_000, 128  # of all looks together; longer side of a fine drawing
FAR_WIDER = 2.0  # the same of far discs: few of them have much to cover
EDGE_ON = 0.2  # cosine to the viewer below which a surface is too steep
OPACITY = 0.9  # at first
# of Adam: shifts in radii of the disc; logarithms; quaternions; logits; harmonics
RATES = {"means": 0.05, "log_scales": 0.02, "quats": 0.02, "opacity_logits": 0.05, "sh": 0.02}


def to_splats(
    field: Field,
    views: Views,
    *,
    n: int = 20_000,
    steps: int = 300,
    seed: int = 0,
    progress: Progress = silent,
) -> Splats:
    """At most n Gaussians that look like the field from where its training cameras stand.

    steps of descent, each on one camera's view. What lies far outside the box becomes Gaussians
    as well, wide ones. Raises InputError for n below 1 or if the field is nowhere opaque.
    """
    if n < 1:
        raise InputError(f"{n} Gaussians show nothing. Ask for at least one.")
    seen = list(looks(field, views, max(4 * n, LEAST_PX), part(progress, 0, 0.3), widest=1.0))
    discs = [_discs(field, *one) for one in seen]
    found = [np.concatenate(column) for column in zip(*discs, strict=True)]
    if not len(found[0]):
        raise InputError("The field is nowhere opaque, so it has no Gaussians. Train it longer.")
    chosen = thinned(field, found[0], n, seed)
    means, normals, colours, pixel = (column[chosen] for column in found)
    # crumbs of fog stand alone, and must not grow to what their distance to others allows
    widest = COVERS * pixel * np.sqrt(len(found[0]) / len(means))
    radius = np.minimum(WIDE * _apart(means), widest)
    params = {
        "means": means,
        "log_scales": np.log(radius[:, None] * (1, 1, FLAT)),
        "quats": _z_to(normals),
        "opacity_logits": np.full(len(means), np.log(OPACITY / (1 - OPACITY))),
        "sh": ((colours - 0.5) / SH_DC)[:, None],
    }
    views_px = max(views.images.shape[1:3])
    return _fitted(params, radius, seen, views_px, field, steps, seed, part(progress, 0.3, 1))


def _discs(field: Field, camera: Camera, seen: Seen) -> tuple[np.ndarray, ...]:
    """Of the pixels that show something: points, normals, colours (P, 3), and widths of a pixel
    there (P,). On edges depth is a mean of near and far, so these are left out."""
    import torch

    points = surface(camera, seen)
    assert seen.depth_m is not None and seen.opacity is not None
    x = field.inside(torch.from_numpy(np.nan_to_num(points).reshape(-1, 3)))
    rim = 0.5 if field.unbounded else 1.0  # where the box ends; beyond, depth is a guess anyhow
    beyond = (x.abs().amax(1) > rim).numpy().reshape(points.shape[:2])
    kept = solid(seen) | (beyond & np.isfinite(seen.depth_m))
    to_eye = camera.c2w[:3, 3] - points
    to_eye /= np.linalg.norm(to_eye, axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        normals = np.cross(*np.gradient(points, axis=(0, 1)))
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        steep = ~((normals * to_eye).sum(-1) > EDGE_ON)
    # next to nothing there is no normal, but some other view has one of that place. What is steep
    # is mostly rough, and of what is far away depth is a guess: discs that face the eye fit best
    kept &= np.isfinite(normals).all(-1) | beyond
    plain = steep | beyond
    normals[plain] = to_eye[plain]
    pixel = seen.depth_m / camera.K[0, 0] * np.where(beyond, FAR_WIDER, 1)
    return points[kept], normals[kept], seen.rgb[kept] / 255.0, pixel[kept]


def _apart(points: np.ndarray) -> np.ndarray:
    """(P,) mean distance to the (up to) four nearest others."""
    from scipy.spatial import KDTree

    if len(points) < 2:
        return np.full(len(points), np.inf)
    near = KDTree(points).query(points, k=min(5, len(points)))[0][:, 1:]
    return near.mean(1).clip(1e-9)


def _z_to(normals: np.ndarray) -> np.ndarray:
    """Quaternions (P, 4) w x y z that turn z to unit vectors (P, 3) by the shortest way."""
    quats = np.column_stack([1 + normals[:, 2], -normals[:, 1], normals[:, 0], 0 * normals[:, 0]])
    quats[normals[:, 2] < -0.999] = (0, 1, 0, 0)
    return quats / np.linalg.norm(quats, axis=1, keepdims=True)


def _fitted(
    params: dict[str, np.ndarray],
    radius: np.ndarray,
    seen: list[tuple[Camera, Seen]],
    views_px: int,
    field: Field,
    steps: int,
    seed: int,
    progress: Progress,
) -> Splats:
    """The Gaussians after `steps` of descent towards what the cameras see of the field.

    The renderer widens everything by half a pixel, and Gaussians come to rely on that: outlines
    that fit on coarse pixels shrink on fine ones, and gaps open. So they are drawn by turns as
    finely as the views are (views_px, the longer side) and as a screen is, and averaged.
    """
    import torch

    from core.splats.blend import blend
    from core.splats.project import project
    from core.splats.types import RenderSettings, Splats

    device = field.device if field.device.type == "cuda" else "cpu"
    free = {
        name: torch.tensor(values, dtype=torch.float32, device=device, requires_grad=True)
        for name, values in params.items()
    }
    # each shift in its own disc's radii, so that one rate fits near and far
    unit = torch.tensor(radius[:, None], dtype=torch.float32, device=device)
    start = free["means"].detach().clone()
    free["means"] = torch.zeros_like(start, requires_grad=True)
    adam = torch.optim.Adam([{"params": [free[name]], "lr": RATES[name]} for name in free])
    fall = torch.optim.lr_scheduler.ExponentialLR(adam, 0.1 ** (1 / max(steps, 1)))
    near = float(np.clip(0.5 * field.near, 1e-3, 100.0))
    settings = RenderSettings(background=(1.0, 1.0, 1.0), near_m=near)
    wanted = [torch.from_numpy(view.rgb).to(device).float() / 255 for _, view in seen]
    rng = np.random.default_rng(seed)
    rounds = -(-steps // len(seen))
    order = [int(k) for _ in range(rounds) for k in rng.permutation(len(seen))]
    for step, k in enumerate(order[:steps]):
        progress(step / steps, desc="fitting")
        camera = seen[k][0]
        longer = max(camera.width, camera.height)
        drawn = SCREEN_PX if step % 2 else min(views_px, SCREEN_PX)
        finer = max(1, round(drawn / longer))
        fine = resized(camera, finer * camera.width, finer * camera.height)
        splats = free | {"means": start + unit * free["means"]}
        light = blend(project(splats, fine, settings), fine.width, fine.height)
        light = light.view(camera.height, finer, camera.width, finer, 5).mean((1, 3))
        colour = light[..., :3] + 1 - light[..., 4:]  # on white, as the field is
        adam.zero_grad(set_to_none=True)
        ((colour - wanted[k]) ** 2).mean().backward()
        adam.step()
        fall.step()
    free["means"] = start + unit * free["means"]
    return Splats(**{name: value.detach().cpu().numpy() for name, value in free.items()})
