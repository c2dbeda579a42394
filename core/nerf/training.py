"""Learning a field from posed pictures: one batch of rays after another, told about as it goes.

Every step takes random pixels of random training views, follows their rays, and moves the
parameters against the gradient of the mean squared colour error (Adam). Now and then it pauses to
show what the field looks like by now: a held-out view, and what the person's own camera sees.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from core import runtime
from core.cameras import rays
from core.metrics import psnr
from core.nerf import march
from core.nerf.fields import KINDS, Field, cells, grown, new_field, resampled, roughness
from core.nerf.types import Live, NerfSettings, Seen, Trained, Views
from core.nerf.volume import distortion
from core.types import Camera, Progress, silent

if TYPE_CHECKING:
    from torch import Tensor

REMEMBER = 16  # steps after which the field's densities are read anew
GROWTH = ((100, 96), (400, 2048))  # after this step, planes of at most this resolution
DECAY = 0.03  # of the learning rates, from the first step to the last
SMOOTH, SMOOTH_EACH = 0.1, 4  # weight of planes' roughness, and steps after which it is asked for
SHOW_S, SCORE_S = 0.14, 1.0  # between snapshots, and between previews of the held-out view
REST_S = 600.0  # a pause may last; then the run ends, so that others get its place
LOOK_S = 0.06  # that a look may take: a slow machine shows fewer pixels
PREVIEW_PX = {"cpu": 64, "mps": 128, "cuda": 256}  # longer side of a preview
CAMERA_RATE = 1e-3  # of refined cameras: radians, and shares of the box


def train(
    views: Views,
    settings: NerfSettings = NerfSettings(),
    progress: Progress = silent,
    *,
    field: Field | None = None,
    moves: np.ndarray | None = None,
    live: Live | None = None,
) -> Iterator[Trained]:
    """Train a field on the views' training pictures, and tell how it goes every SHOW_S seconds.

    The seconds counted are those of training alone: previews are off the clock. A field may be
    given, to go on with it, and the moves (N, 6) of its cameras, as Trained has them; live may be
    changed meanwhile. Ends after settings.seconds, or after settings.steps if there are any, or
    after a pause of REST_S; closing the generator stops it. Out of memory halves the batch.
    """
    import torch

    device = runtime.device()
    if field is None:
        far_too = views.unbounded or settings.unbounded
        field = new_field(settings, views.bounds, views.near, views.far, far_too, device)
    live = live or Live(settings.rate, settings.rays)
    seed = torch.Generator().manual_seed(settings.nerf_seed)
    table = batch_table(views, device)
    stand = np.zeros((len(views.train), 6)) if moves is None else moves
    moved = torch.tensor(stand, dtype=torch.float32, device=device, requires_grad=True)
    adam = _optimiser(field, moved)
    watch = Watch(field, views, live, moved)
    spent, step, share, loss, note = 0.0, 0, 0.0, torch.zeros(()), ""
    rested = 0.0  # when the pause began
    while share < 1:
        if live.paused:
            rested = rested or time.perf_counter()
            if time.perf_counter() - rested > REST_S:
                break
            progress(share, desc="paused")
            time.sleep(0.1)
            if step:
                yield watch.snapshot(step, spent, float(loss), note)
            continue
        rested, began = 0.0, time.perf_counter()
        for group in adam.param_groups:
            group["lr"] = group["own"] * live.rate * DECAY**share
        try:
            error = _loss(field, views, table, live.rays, seed, moved)
            loss = error.detach()
            if field.kind == "tensor" and step % SMOOTH_EACH == 0:
                # at first all is noise, and smoothing would leave nothing to begin with
                error = error + SMOOTH * SMOOTH_EACH * min(1.0, 3 * share) * roughness(field)
            adam.zero_grad(set_to_none=True)
            error.backward()
            adam.step()
        except torch.OutOfMemoryError:
            if live.rays <= 16:
                raise
            live.rays //= 2
            note = f"Memory ran out, so a step takes {live.rays} rays from now on."
            torch.cuda.empty_cache()
            continue
        step += 1
        if settings.occupancy and step % REMEMBER == 0:
            field.remember(seed)
        for at, resolution in GROWTH:
            finer = min(resolution, field.settings.resolution)
            if step == at and field.kind == "tensor" and cells(field) < finer:
                adam = _grown(field, adam, moved, finer)
        spent += time.perf_counter() - began
        share = step / settings.steps if settings.steps else spent / settings.seconds
        if watch.due(share >= 1):
            progress(min(share, 1.0), desc="training")
            yield watch.snapshot(step, spent, float(loss), note, last=share >= 1)


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


def _grown(field: Field, adam: Any, moves: Tensor, resolution: int) -> Any:
    """Planes and lines of another resolution, and an Adam that remembers what the last one knew:
    one that starts anew would kick every number by its full rate, those of empty space too."""
    known = {name: adam.state[value] for name, value in field.params.items() if value in adam.state}
    moved = adam.state.get(moves)
    grown(field, resolution)
    adam = _optimiser(field, moves)
    for name, state in known.items():
        value = field.params[name]
        adam.state[value] = {
            key: resampled(kept, value.shape[2:]) if kept.ndim == 4 else kept
            for key, kept in state.items()
        }
    if moved:
        adam.state[moves] = moved
    return adam


Table = tuple["Tensor", "Tensor", "Tensor"]


def _loss(field: Field, views: Views, table: Table, count: int, seed: Any, moves: Tensor) -> Tensor:
    """The loss of `count` random rays."""
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
    return error


def batch_table(views: Views, device: str) -> Table:
    """Origins, directions (P, 3) and pixels (P, 3 or 4) of all training views' pixels."""
    import torch

    _, height, width, channels = views.images.shape
    size = (len(views.train), height * width)
    tables = tuple(torch.empty((*size, n)) for n in (3, 3, channels))
    for row, k in enumerate(views.train):
        for table, values in zip(tables, (*rays(views.cameras[k]), views.images[k]), strict=True):
            flat = np.ascontiguousarray(values, np.float32).reshape(size[1], -1)
            table[row] = torch.from_numpy(flat)
    origins, directions, pixels = (table.flatten(0, 1).to(device) for table in tables)
    return origins, directions, pixels


# ---------------------------------------------------------------- how good it is


def on_white(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 of a picture (H, W, 3 or 4) in [0, 1]."""
    rgb = image[..., :3]
    if image.shape[-1] == 4:
        rgb = rgb * image[..., 3:] + (1 - image[..., 3:])
    return (rgb * 255).round().astype(np.uint8)


class Watch:
    """Looks at a field while it learns, as often and as finely as the machine can afford."""

    def __init__(self, field: Field, views: Views, live: Live, moves: Tensor):
        self.field, self.views, self.live, self.moves = field, views, live, moves
        self.view = views.test[0] if views.test else views.train[0]
        camera = views.cameras[self.view]
        finest = PREVIEW_PX[field.device.type]
        self.every = max(1, math.ceil(max(camera.width, camera.height) / finest))
        self.truth = on_white(views.images[self.view, :: self.every, :: self.every])
        self.shown = self.scored = -math.inf
        self.seconds_a_ray = 3e-5  # at first; measured from then on
        self.preview: Seen | None = None
        self.looked: Camera | None = None

    def due(self, last: bool = False) -> bool:
        """Is it time for a snapshot? Sooner, if the person has moved."""
        waited = time.perf_counter() - self.shown
        return last or waited >= (SHOW_S / 3 if self.live.look is not self.looked else SHOW_S)

    def snapshot(
        self, step: int, seconds: float, loss: float, note: str, *, last: bool = False
    ) -> Trained:
        """The state of training now; its preview is that of a moment ago unless it is due, or the
        last."""
        if self.preview is None or last or time.perf_counter() - self.scored >= SCORE_S:
            self.preview = self._rendered(self.views.cameras[self.view], self.every)
            self.scored = time.perf_counter()
        look, self.looked = None, self.live.look
        if self.looked is not None:
            wanted = self.looked.width * self.looked.height * self.seconds_a_ray
            look = self._rendered(self.looked, max(1, math.ceil(math.sqrt(wanted / LOOK_S))))
        self.shown = time.perf_counter()
        settings = self.field.settings
        moves = self.moves.detach().cpu().numpy().copy() if settings.refine_poses else None
        return Trained(
            step, settings.steps, seconds, loss, psnr(self.preview.rgb, self.truth), self.preview,
            self.truth, self.view, look, self.live.rays, self.field, moves, note,
        )  # fmt: skip

    def _rendered(self, camera: Camera, every: int) -> Seen:
        began = time.perf_counter()
        seen = march.render(self.field, camera, every)
        rays = seen.rgb.shape[0] * seen.rgb.shape[1]
        took = (time.perf_counter() - began) / rays
        self.seconds_a_ray = 0.5 * self.seconds_a_ray + 0.5 * took
        return seen


def score(field: Field, views: Views, which: Sequence[int]) -> tuple[float, float]:
    """Mean PSNR in dB and mean SSIM (Wang et al. 2004) of the views at the places `which`."""
    return mean_score(lambda camera: march.render(field, camera).rgb, views, which)


def mean_score(
    draw: Callable[[Camera], np.ndarray], views: Views, which: Sequence[int]
) -> tuple[float, float]:
    """The same of anything that draws what a camera sees, (H, W, 3) uint8. NaN of no views."""
    from skimage.metrics import structural_similarity

    found = []
    for k in which:
        seen, truth = draw(views.cameras[k]), on_white(views.images[k])
        side = min(7, (min(truth.shape[:2]) - 1) // 2 * 2 + 1)
        ssim: Any = structural_similarity(seen, truth, channel_axis=2, win_size=side)
        found.append((psnr(seen, truth), float(ssim)))
    if not found:
        return math.nan, math.nan
    db, ssim = np.mean(found, 0)
    return float(db), float(ssim)
