"""Learning a field from posed pictures: one batch of rays after another, told about as it goes.

Every step takes random pixels of random training views, follows their rays, and moves the
parameters against the gradient of the mean squared colour error (Adam). While nothing is known a
ray is costly, for all of it is asked; so few are taken, and more as space turns out to be empty.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from core import runtime
from core.cameras import rays
from core.metrics import psnr
from core.nerf import march
from core.nerf.fields import KINDS, Field, grown, new_field
from core.nerf.types import Live, NerfSettings, Trained, Views
from core.nerf.volume import distortion
from core.types import Progress, silent

if TYPE_CHECKING:
    from torch import Tensor

FIRST_LOOK, EACH_LOOK = 48, 32  # steps till weights are remembered, and till they are used
GROWTH = ((100, 96), (400, 2048))  # after this step, planes of at most this resolution
ASKED = 8  # samples a ray that a step may ask for on average, before it takes fewer rays
SHOW_S = 0.25  # between snapshots
PREVIEW_PX = {"cpu": 64, "mps": 128, "cuda": 256}  # longer side of a preview
CAMERA_RATE = 1e-3  # of refined cameras: radians, and shares of the box


def train(
    views: Views,
    settings: NerfSettings = NerfSettings(),
    progress: Progress = silent,
    *,
    field: Field | None = None,
    live: Live | None = None,
) -> Iterator[Trained]:
    """Train a field on the views' training pictures, and tell how it goes every SHOW_S seconds.

    The seconds counted are those of training alone: previews are off the clock. A field may be
    given, to go on with it; live may be changed meanwhile. Ends after settings.seconds, or after
    settings.steps if there are any; closing the generator stops it. Out of memory halves the batch.
    """
    import torch

    device = runtime.device()
    if field is None:
        far_too = views.unbounded or settings.unbounded
        field = new_field(settings, views.bounds, views.near, views.far, far_too, device)
    live = live or Live(settings.rate, settings.rays)
    seed = torch.Generator().manual_seed(settings.nerf_seed)
    table = batch_table(views, device)
    moves = torch.zeros((len(views.train), 6), device=device, requires_grad=True)
    adam = _optimiser(field, moves)
    spent, step, shown, loss, per_ray, note = 0.0, 0, -math.inf, 0.0, float(settings.samples), ""
    share = 0.0
    while share < 1:
        if live.paused:
            progress(share, desc="paused")
            time.sleep(0.05)
            continue
        began = time.perf_counter()
        for group in adam.param_groups:
            group["lr"] = group["own"] * live.rate * 0.1**share
        count = max(16, int(live.rays * min(1.0, ASKED / max(per_ray, 1.0))))
        try:
            error, seen = _loss(field, views, table, count, seed, moves)
            adam.zero_grad(set_to_none=True)
            error.backward()
            adam.step()
            loss, per_ray = error.detach(), 0.8 * per_ray + 0.2 * seen.asked / count
        except torch.OutOfMemoryError:
            if live.rays <= 16:
                raise
            live.rays //= 2
            note = f"Memory ran out, so a step takes {live.rays} rays from now on."
            torch.cuda.empty_cache()
            continue
        step += 1
        if settings.occupancy and step >= FIRST_LOOK:
            march.remember(field, seen.points, seen.weight)
        if settings.occupancy and step > FIRST_LOOK and step % EACH_LOOK == 0:
            field.occupied = march.find_occupied(field)
        for at, resolution in GROWTH:
            if step == at and field.kind == "tensor":
                grown(field, min(resolution, settings.resolution))
                adam = _optimiser(field, moves)
        spent += time.perf_counter() - began
        share = step / settings.steps if settings.steps else spent / settings.seconds
        if spent - shown >= SHOW_S or share >= 1:
            shown = spent
            progress(min(share, 1.0), desc="training")
            told = snapshot(field, views, step, spent, float(loss), count)
            turned = moves.detach().cpu().numpy() if settings.refine_poses else None
            yield replace(told, moves=turned, note=note)


def _optimiser(field: Field, moves: Tensor) -> Any:
    """Adam, with a rate of its own for what is looked up, for networks, and for cameras."""
    import torch

    looked, networks = field.groups()
    parts = [looked, networks]
    rates = list(KINDS[field.kind].rates)
    if field.settings.refine_poses:
        parts.append([moves])
        rates.append(CAMERA_RATE)
    groups = [{"params": p, "own": r} for p, r in zip(parts, rates, strict=True) if p]
    return torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-12, fused=True)


Table = tuple["Tensor", "Tensor", "Tensor"]


def _loss(
    field: Field, views: Views, table: Table, count: int, seed: Any, moves: Tensor
) -> tuple[Tensor, march.Marched]:
    """The loss of `count` random rays, and what they saw."""
    import torch

    origins, directions, pixels = table
    settings, device = field.settings, origins.device
    chosen = torch.randint(len(origins), (count,), generator=seed).to(device)
    o, d, wanted = origins[chosen], directions[chosen], pixels[chosen]
    if settings.refine_poses:
        turn, shift = moves[chosen // (len(origins) // len(moves))].split(3, 1)
        d = torch.nn.functional.normalize(d + torch.linalg.cross(turn, d), dim=1)
        o = o + shift * float(np.ptp(views.bounds, 0).mean())
    seen = march.march(field, o, d, settings.samples, seed)
    ground = torch.ones(3, device=device)
    if wanted.shape[1] == 4:  # a random ground can't be learned, so opacity has to be
        ground = torch.rand((count, 3), generator=seed).to(device)
        wanted = wanted[:, :3] * wanted[:, 3:] + ground * (1 - wanted[:, 3:])
    colour = seen.colour + (1 - seen.opacity[:, None]) * ground
    error = ((colour - wanted) ** 2).mean()
    if settings.distortion:
        reach = field.far - field.near
        error = error + settings.distortion * distortion(
            seen.w, (seen.t - field.near) / reach, seen.delta / reach
        )
    return error, seen


def batch_table(views: Views, device: str) -> Table:
    """Origins, directions (P, 3) and pixels (P, 3 or 4) of all training views' pixels."""
    import torch

    tables: tuple[list[Any], ...] = ([], [], [])
    for k in views.train:
        origin, direction = rays(views.cameras[k])
        for table, values in zip(tables, (origin, direction, views.images[k]), strict=True):
            flat = np.ascontiguousarray(values, np.float32).reshape(-1, values.shape[-1])
            table.append(torch.from_numpy(flat))
    origins, directions, pixels = (torch.cat(table).to(device) for table in tables)
    return origins, directions, pixels


# ---------------------------------------------------------------- how good it is


def on_white(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 of a picture (H, W, 3 or 4) in [0, 1]."""
    rgb = image[..., :3]
    if image.shape[-1] == 4:
        rgb = rgb * image[..., 3:] + (1 - image[..., 3:])
    return (rgb * 255).round().astype(np.uint8)


def snapshot(
    field: Field, views: Views, step: int, seconds: float, loss: float, count: int
) -> Trained:
    """The state of training, with a quick look at a held-out view."""
    view = views.test[0] if views.test else views.train[0]
    camera = views.cameras[view]
    longer = max(camera.width, camera.height)
    every = max(1, math.ceil(longer / PREVIEW_PX[field.device.type]))
    seen = march.render(field, camera, every)
    truth = on_white(views.images[view, ::every, ::every])
    assert seen.depth_m is not None
    return Trained(
        step, field.settings.steps, seconds, loss, psnr(seen.rgb, truth), seen.rgb, truth,
        seen.depth_m, view, count, field,
    )  # fmt: skip


def score(field: Field, views: Views, which: Sequence[int]) -> tuple[float, float]:
    """Mean PSNR in dB and mean SSIM (Wang et al. 2004) of the views at the places `which`."""
    from skimage.metrics import structural_similarity

    found = []
    for k in which:
        seen, truth = march.render(field, views.cameras[k]).rgb, on_white(views.images[k])
        side = min(7, (min(truth.shape[:2]) - 1) // 2 * 2 + 1)
        ssim: Any = structural_similarity(seen, truth, channel_axis=2, win_size=side)
        found.append((psnr(seen, truth), float(ssim)))
    if not found:
        return math.nan, math.nan
    db, ssim = np.mean(found, 0)
    return float(db), float(ssim)
