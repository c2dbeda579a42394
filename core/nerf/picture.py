"""Learning one picture: fields are trained on its pixels, alone or side by side on one clock.

Which frequencies of the picture a field has learned so far is told octave by octave: that is
where spectral bias shows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from core import runtime
from core.metrics import psnr
from core.nerf.picture_field import (
    MOST_PIXELS,
    PictureField,
    PictureSettings,
    answer,
    draw,
    encoded,
    places,
    untrained,
)
from core.types import InputError, Progress, Snapshot, silent

# Adam's, of each encoding
RATES = {"none": 1.5e-2, "sines": 1.5e-2, "siren": 2e-3, "hash": 2e-2}
MOST_AT_ONCE = 4  # fields side by side
TURN_S = 0.15  # one field's turn, and so the time between snapshots


@dataclass(frozen=True)
class PictureSnapshot(Snapshot):
    """Training at one moment: step of total (0 when time ends it), seconds of training alone.

    loss: the mean squared error of the last step's pixels, of colours in [0, 1]; preview (H, W, 3)
    uint8, all of the picture, and its psnr in dB, inf if it is exact; field: as it is now.
    """

    loss: float
    psnr: float
    preview: np.ndarray
    field: PictureField = field(repr=False)


# ---------------------------------------------------------------- training


def fit_picture(
    image: np.ndarray,
    settings: PictureSettings = PictureSettings(),
    progress: Progress = silent,
) -> Iterator[PictureSnapshot]:
    """Train a field on the pixels of image (H, W, 3) uint8; tells how it goes every TURN_S seconds.

    Ends after settings.picture_seconds, or after settings.picture_steps if there are any; closing
    the generator stops it. Raises InputError if image is no picture or too large.
    """
    for states in several(image, {"": settings}, progress):
        yield states[""]


def several(
    image: np.ndarray,
    settings: Mapping[str, PictureSettings],
    progress: Progress = silent,
) -> Iterator[dict[str, PictureSnapshot]]:
    """Train up to four fields on image (H, W, 3) uint8 on one clock: the one that has had the
    least time goes next. Gives the latest snapshot of each, by its title in settings, a turn at a
    time. Raises InputError."""
    if not 1 <= len(settings) <= MOST_AT_ONCE:
        raise InputError(f"{len(settings)} fields are chosen. Choose one to {MOST_AT_ONCE}.")
    _check(image)
    learners = {title: _Learner(image, chosen) for title, chosen in settings.items()}
    states: dict[str, PictureSnapshot] = {}
    while going := [title for title, learner in learners.items() if learner.share < 1]:
        title = min(going, key=lambda title: learners[title].seconds)
        learner = learners[title]
        # the first turn is one step, so that all are soon there to be seen
        until = learner.seconds + (TURN_S if title in states else 0)
        learner.step()
        while learner.share < 1 and learner.seconds < until:
            learner.step()
        states = states | {title: learner.snapshot()}
        share = sum(min(each.share, 1.0) for each in learners.values()) / len(learners)
        progress(share, desc="training")
        if len(states) == len(learners):
            yield states


def _check(image: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise InputError(
            f"A picture is RGB uint8 (H, W, 3), not {image.dtype} {image.shape}. Give a photo."
        )
    height, width = image.shape[:2]
    if height * width > MOST_PIXELS:
        raise InputError(
            f"The picture is {width}×{height} px; a field learns up to {MOST_PIXELS:,} pixels. "
            "Make it smaller first."
        )


class _Learner:
    """A field while it learns: step() moves it, snapshot() shows it."""

    def __init__(self, image: np.ndarray, settings: PictureSettings):
        import torch

        self.settings, self.image = settings, image
        self.size = image.shape[1], image.shape[0]
        device = runtime.device()
        self.seed = torch.Generator().manual_seed(settings.picture_seed)
        made = untrained(settings, self.size, self.seed)
        self.params = {name: value.to(device).requires_grad_() for name, value in made.items()}
        self.known = encoded(settings, self.size, places(*self.size).to(device))
        self.colours = torch.from_numpy(image.reshape(-1, 3).copy()).to(device).float() / 255
        self.rate = RATES[settings.picture_encoding] * settings.picture_rate
        self.adam = torch.optim.Adam(
            self.params.values(), self.rate, betas=(0.9, 0.99), eps=1e-12, fused=True
        )
        self.steps, self.seconds, self.loss = 0, 0.0, math.nan

    @property
    def share(self) -> float:
        """How much of the training is over; 1 or more at its end."""
        if self.settings.picture_steps:
            return self.steps / self.settings.picture_steps
        return self.seconds / self.settings.picture_seconds

    def step(self) -> None:
        import torch

        began = time.perf_counter()
        for group in self.adam.param_groups:
            group["lr"] = self.rate * 0.1 ** min(self.share, 1.0)
        known, wanted, count = self.known, self.colours, self.settings.picture_pixels
        if 0 < count < len(wanted):
            chosen = torch.randint(len(wanted), (count,), generator=self.seed).to(wanted.device)
            known, wanted = tuple(part[chosen] for part in known), wanted[chosen]
        error = ((answer(self.settings, self.params, known) - wanted) ** 2).mean()
        self.adam.zero_grad(set_to_none=True)
        error.backward()
        self.adam.step()
        self.loss = float(error.detach())
        if not math.isfinite(self.loss):
            raise InputError("Training ran off to infinity. Lower the learning rate.")
        self.steps += 1
        self.seconds += time.perf_counter() - began

    def snapshot(self) -> PictureSnapshot:
        params = {name: value.detach().cpu().numpy().copy() for name, value in self.params.items()}
        made = PictureField(self.settings, self.size, params)
        shown = draw(made)
        return PictureSnapshot(
            self.steps, self.settings.picture_steps, self.seconds, self.loss,
            psnr(shown, self.image), shown, made,
        )  # fmt: skip


# ---------------------------------------------------------------- looking at pictures


def busiest(image: np.ndarray, share: float = 0.2) -> tuple[float, float, float, float]:
    """The window, for draw, of image (H, W, 3) uint8 in which most changes: share of each side."""
    height, width = image.shape[:2]
    h, w = (max(1, round(side * share)) for side in (height, width))
    grey = np.pad(image.astype(np.float64).mean(2), ((0, 1), (0, 1)), "edge")
    change = np.abs(np.diff(grey, axis=0))[:, :-1] + np.abs(np.diff(grey, axis=1))[:-1]
    total = np.pad(change.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums = total[h:, w:] - total[:-h, w:] - total[h:, :-w] + total[:-h, :-w]
    y, x = np.unravel_index(sums.argmax(), sums.shape)
    return float(x / width), float(y / height), float((x + w) / width), float((y + h) / height)


def octaves(image: np.ndarray, preview: np.ndarray) -> list[tuple[float, float]]:
    """How much of each octave of image's frequencies is in preview, both (H, W, 3) uint8.

    A pair for each octave: its lowest frequency, in cycles along the longer side, and 1 − the
    energy of what is missing / the energy there is: 1 is all of it, 0 or less none, NaN where the
    picture itself has nothing.
    """
    height, width = image.shape[:2]
    window = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[None, 1:-1]
    grey = image.astype(np.float64).mean(2)
    missing = grey - preview.astype(np.float64).mean(2)
    there, lost = (
        np.abs(np.fft.fft2((plane - plane.mean()) * window)) ** 2 for plane in (grey, missing)
    )
    longer = max(height, width)
    cycles = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]) * longer
    found = []
    for k in range(max(1, math.ceil(math.log2(max(longer / 2, 2))))):
        band = (cycles >= 2**k) & (cycles < 2 ** (k + 1))
        energy = there[band].sum()
        known = energy > 1e-9 * max(there.sum(), 1.0)
        found.append((2.0**k, float(1 - lost[band].sum() / energy) if known else math.nan))
    return found
