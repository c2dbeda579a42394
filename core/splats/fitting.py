"""Splats from posed pictures: the renderer run backwards.

Each step draws the splats as one training camera sees them, compares with what it saw, and moves
all their numbers a little against the gradient of the error (Kerbl et al. 2023). Nobody says where
surfaces are: splats that stand where several cameras agree get sharper, others fade. Now and then
the density is controlled (`core/splats/density.py`, `core/splats/mcmc.py`), and a person sees how
it goes. On CUDA gsplat draws and finds the gradients, where it works; else the own renderer does.

Steps are measured where they are seen. A splat moves by a share of a pixel, as large as a pixel is
at its distance from the nearest camera, so that near and far things learn at one rate.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from core import runtime
from core.metrics import psnr
from core.nerf.training import mean_score, on_white
from core.nerf.types import Views
from core.splats import mcmc
from core.splats.density import Adam, Pull, round_of
from core.splats.project import tensors
from core.splats.render import Draw, drawer, render
from core.splats.start import STARTS, pixel_at, start
from core.splats.types import COEFFICIENTS, Rendered, RenderSettings, Splats
from core.types import Camera, Progress, Settings, Snapshot, setting, silent

if TYPE_CHECKING:
    from torch import Tensor

# of Adam: pixels; logarithms; quaternions; logits; harmonics. At the end DECAY of it
RATES = {"means": 2.0, "log_scales": 0.045, "quats": 0.03, "opacity_logits": 0.15, "sh": 0.03}
DECAY, MEANS_DECAY = 0.1, 0.02
WARM = 20  # steps until the rates are full: Adam's first ones go as far as any, wherever to
ROUND = 100  # steps between two rounds of density control, or as many as there are views
DENSITIES = {"adaptive": "Adaptive", "mcmc": "MCMC", "off": "Off"}
GROWS = (0.02, 0.6)  # of the whole time: when density is controlled
SHOW_S, SCORE_S = 0.2, 1.5  # between snapshots, and between previews


@dataclass(frozen=True)
class FitSettings(Settings):
    """What is fitted, from what, and how long."""

    seconds: float = setting(
        60.0, "Time", "The fit ends after this long; Fit on adds as much.",
        minimum=0.1, maximum=20_000.0, step=1.0, unit="s",
    )  # fmt: skip
    steps: int = setting(
        0, "Steps", "The fit ends after so many; 0 lets the time decide.",
        minimum=0, maximum=1_000_000, step=1, advanced=True,
    )  # fmt: skip
    start: str = setting(
        "points", "Start", "Where the first Gaussians stand. Without points: random.",
        choices=STARTS,
    )  # fmt: skip
    gaussians: int = setting(
        4000, "Gaussians at first", "Strewn where the cameras look.",
        minimum=1, maximum=1_000_000, step=100,
    )  # fmt: skip
    most: int = setting(
        6000, "Most Gaussians", "Density control adds no more than this.",
        minimum=1, maximum=5_000_000, step=500,
    )  # fmt: skip
    density: str = setting(
        "adaptive", "Density control",
        "Adaptive: clone and split where detail is missing, remove what is faint. MCMC: noise, and "
        "move what is faint to where more is seen.",
        choices=DENSITIES,
    )  # fmt: skip
    fit_degree: int = setting(
        1, "Colour degree", "0: the same colour from everywhere. 3: gloss, and slower to learn.",
        minimum=0, maximum=3, step=1,
    )  # fmt: skip
    rate: float = setting(
        1.0, "Learning rate ×", "Large: quick and restless.",
        minimum=0.01, maximum=10.0, step=0.05, advanced=True,
    )  # fmt: skip
    fit_seed: int = setting(
        0, "Seed", "Fixes every random choice.",
        minimum=0, maximum=2**31 - 1, step=1, advanced=True,
    )  # fmt: skip


@dataclass
class FitLive:
    """What a person may change while a fit goes on: rate as in FitSettings; look: the camera
    through which they watch."""

    rate: float = 1.0
    paused: bool = False
    look: Camera | None = None


@dataclass(frozen=True)
class Change:
    """One round of density control: after `step`, `seconds` in: Gaussians left, and how many were
    cloned, split, removed, and moved elsewhere."""

    step: int
    seconds: float
    count: int
    cloned: int = 0
    split: int = 0
    removed: int = 0
    moved: int = 0


@dataclass(frozen=True)
class FittedScene(Snapshot):
    """A fit at one moment; total is 0 when time ends it, not steps.

    loss: the mean absolute error of the last step; psnr in dB and preview: of a held-out view (a
    training view if none is held out); truth (h, w, 3) uint8 the picture it is compared with;
    view: that view's place; look: what the camera of FitLive.look sees, None if nobody looks;
    count: Gaussians now; changes: of their number so far, the first is the start; splats: as the
    preview shows them; renderer: what draws while it learns, in words; note: a sentence for people.
    """

    loss: float
    psnr: float
    preview: Rendered
    truth: np.ndarray
    view: int
    look: Rendered | None
    count: int
    changes: tuple[Change, ...]
    splats: Splats = field(repr=False)
    renderer: str
    note: str = ""


def fit(
    views: Views,
    settings: FitSettings = FitSettings(),
    progress: Progress = silent,
    *,
    live: FitLive | None = None,
    splats: Splats | None = None,
    draw: Draw | None = None,
) -> Iterator[FittedScene]:
    """Fit splats to the views' training pictures, and tell how it goes every SHOW_S seconds.

    The seconds counted are those of fitting alone. splats: go on with these, instead of a
    start, at the rates a fit ends with. live may be changed meanwhile. Ends after
    settings.seconds, or after settings.steps if there are any; closing the generator stops it.
    draw: what draws splats so that they can learn; without one, as `drawer` says.
    With steps, the same seed gives the same splats, bit for bit, on a CPU.
    """
    import torch

    device = "cuda" if runtime.device() == "cuda" else "cpu"
    live = live or FitLive(settings.rate)
    note, going_on = "", splats is not None
    by = "given renderer"
    if draw is None:
        progress(0.0, desc="trying the renderers")  # gsplat may compile for minutes
        draw, by = drawer([views.cameras[k] for k in views.train])
    if splats is None:
        splats, note = start(views, settings.start, settings.gaussians, settings.fit_seed)
    splats = with_degree(splats, settings.fit_degree)
    drawing = drawn_as(views)
    adam = Adam(tensors(splats, device), RATES)
    pull, pixel = Pull.of(adam.free["means"]), pixel_at(adam.free["means"], views)
    pictures = torch.from_numpy(views.images).to(device)
    size = float(np.ptp(views.bounds, 0).mean())
    order, seed = [], torch.Generator().manual_seed(settings.fit_seed)
    every = max(ROUND, len(views.train))
    step, spent, share, since, loss = 0, 0.0, 0.0, 0, torch.zeros(())
    changes = [Change(0, 0.0, len(splats))]
    watch = Watch(views, live, by)
    while share < 1:
        if live.paused:
            progress(min(share, 1.0), desc="paused")
            time.sleep(0.1)
            if step:
                yield watch.snapshot(adam, step, settings.steps, spent, float(loss), changes, note)
            continue
        began = time.perf_counter()
        if not order:
            order = torch.randperm(len(views.train), generator=seed).tolist()
        k = views.train[order.pop()]
        light, seen = draw(adam.free, views.cameras[k], drawing)
        if len(seen.index):
            seen.xy.retain_grad()
            error = _error(light, pictures[k], seed)
            loss = error.detach()
            if settings.density == "mcmc":
                error = error + mcmc.price(adam.free, size)
            error.backward()
            pull.add(seen)
            cooled = 1.0 if going_on else share
            rate = live.rate * DECAY**cooled * min(1.0, (adam.steps + 1) / WARM)
            slower = (MEANS_DECAY / DECAY) ** cooled
            adam.step(rate, {"means": pixel * slower})
            if settings.density == "mcmc":
                mcmc.shake(adam, rate * slower * RATES["means"], pixel, seed)
        step, since = step + 1, since + 1
        if settings.density != "off" and since >= every and GROWS[0] <= share <= GROWS[1]:
            if settings.density == "mcmc":
                born, moved = mcmc.relocate(adam, settings.most, seed)
                made = (born, 0, 0, moved)
            else:
                made = round_of(adam, pull, settings.most, max(views.images.shape[1:3]))
            pull, pixel = Pull.of(adam.free["means"]), pixel_at(adam.free["means"], views)
            since = 0
            count = len(adam.free["means"])
            changes.append(Change(step, spent + time.perf_counter() - began, count, *made))
        spent += time.perf_counter() - began
        share = step / settings.steps if settings.steps else spent / settings.seconds
        if watch.due(share >= 1):
            progress(min(share, 1.0), desc="fitting")
            yield watch.snapshot(adam, step, settings.steps, spent, float(loss), changes, note,
                                 last=share >= 1)  # fmt: skip


def _error(light: Tensor, wanted: Tensor, seed: Any) -> Tensor:
    """The mean absolute error of light (H, W, 5) against a picture (H, W, 3 or 4). Behind a cut-out
    lies a random ground, which can't be learned, so opacity has to be."""
    import torch

    colour = light[..., :3]
    if wanted.shape[2] == 4:
        ground = torch.rand(3, generator=seed).to(wanted.device)
        colour = colour + (1 - light[..., 4:]) * ground
        wanted = wanted[..., :3] * wanted[..., 3:] + ground * (1 - wanted[..., 3:])
    return (colour - wanted).abs().mean()


def drawn_as(views: Views) -> RenderSettings:
    """How the splats of these views are drawn: on white where the pictures are cut out."""
    ground = float(views.images.shape[-1] == 4)
    return RenderSettings(
        background=(ground, ground, ground), near_m=float(np.clip(0.5 * views.near, 1e-3, 100.0))
    )


def with_degree(splats: Splats, degree: int) -> Splats:
    """The same splats with colour of that degree: cut, or filled with zeros."""
    sh = np.zeros((len(splats), COEFFICIENTS[degree], 3), np.float32)
    kept = min(sh.shape[1], splats.sh.shape[1])
    sh[:, :kept] = splats.sh[:, :kept]
    return replace(splats, sh=sh)


# ---------------------------------------------------------------- how good it is


class Watch:
    """Looks at splats while they learn."""

    def __init__(self, views: Views, live: FitLive, by: str):
        self.views, self.live, self.drawing, self.by = views, live, drawn_as(views), by
        self.view = views.test[0] if views.test else views.train[0]
        self.truth = on_white(views.images[self.view])
        self.shown = self.scored = -math.inf
        self.splats: Splats | None = None
        self.preview: Rendered | None = None
        self.look: Rendered | None = None
        self.looked: Camera | None = None

    def due(self, last: bool = False) -> bool:
        """Is it time for a snapshot? Sooner, if the person has moved."""
        waited = time.perf_counter() - self.shown
        return last or waited >= (SHOW_S / 3 if self.live.look is not self.looked else SHOW_S)

    def snapshot(
        self,
        adam: Adam,
        step: int,
        total: int,
        seconds: float,
        loss: float,
        changes: Sequence[Change],
        note: str,
        *,
        last: bool = False,
    ) -> FittedScene:
        """The fit now; splats and preview are those of a moment ago unless due, or the last. So is
        look, unless the person has moved."""
        camera = self.live.look
        moved, self.looked = camera is not self.looked, camera
        due = last or time.perf_counter() - self.scored >= SCORE_S
        if self.preview is None or self.splats is None or due:
            self.splats = Splats(
                **{k: v.detach().cpu().numpy().copy() for k, v in adam.free.items()}
            )
            self.preview = render(self.splats, self.views.cameras[self.view], self.drawing)
            self.scored = time.perf_counter()
        if due or moved:
            self.look = None if camera is None else render(self.splats, camera, self.drawing)
        self.shown = time.perf_counter()
        return FittedScene(
            step, total, seconds, loss, psnr(self.preview.rgb, self.truth), self.preview,
            self.truth, self.view, self.look, len(adam.free["means"]), tuple(changes), self.splats,
            self.by, note,
        )  # fmt: skip


def score(splats: Splats, views: Views, which: Sequence[int]) -> tuple[float, float]:
    """Mean PSNR in dB and mean SSIM (Wang et al. 2004) of the views at the places `which`."""
    drawing = drawn_as(views)
    return mean_score(lambda camera: render(splats, camera, drawing).rgb, views, which)
