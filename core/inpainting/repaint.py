"""Inpainting by a model that was never taught to: RePaint (Lugmayr et al. 2022), in the latent.

At every step down the noise, the model guesses the whole picture. Its guess counts in the hole
alone; everywhere else stands what is known, with as much noise as belongs to that step:

    x_s = m ⊙ x_s(generated) + (1 − m) ⊙ (√ᾱ_s z₀ + √(1 − ᾱ_s) ε)

So far the hole follows its surroundings only as they were a step ago, and the two don't quite fit.
RePaint gives it time to settle: after a stretch of steps down, noise is added again and the stretch
is walked anew, `jumps` times in all (section 4.2, resampling):

    x_t = √(ᾱ_t / ᾱ_s) x_s + √(1 − ᾱ_t / ᾱ_s) ε,    s < t

The autoencoder sees a neighbourhood for each place of the latent. What is to go must not speak
through that: the hole is filled smoothly, by a membrane, before it is encoded, and a place counts
as known only if no pixel under it is hidden. With a strength below 1 the walk begins at that smooth
filling, not at noise alone (as SDEdit does, Meng et al. 2022), so that a score against what was
hidden stays honest. tiny-sd needs that: each picture that it learned from had a toy in it, and out
of noise alone it likes to put one where the picture should be empty.

One walk's answer is one of many. Several are made at once, each from noise of its own, and the mean
of what they say is shown: nearer to the truth than any of them, since they err each in another way,
and a little softer. With one sample a single answer is shown.

The autoencoder also shifts colours a little. By how much is known at the hole's edge, and is taken
off the filling by a membrane, as `patch` does.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.diffusion import load
from core.diffusion.stepwise import estimate
from core.inpainting.classic import nearest
from core.inpainting.membrane import Membrane
from core.inpainting.types import InpaintSettings, InpaintStep
from core.inpainting.windows import Window, box
from core.runtime import stage
from core.types import InputError, Progress, silent

if TYPE_CHECKING:
    from torch import Tensor

STRETCH = 0.1  # share of the steps that is walked again at a jump: 10 of 100
MULTIPLE = 16  # picture sizes that all of tiny-sd's levels divide


# ---------------------------------------------------------------- the part that a model works on


@dataclass(frozen=True)
class Frame:
    """A part of a picture, and the size in which a model sees it: `cut` there, `put` back."""

    part: Window
    width: int
    height: int

    @classmethod
    def around(cls, mask: np.ndarray, side_px: int, multiple: int, whole: bool = False) -> Frame:
        """A square around the hole of mask (H, W), with half its length on every side and at least
        side_px where the picture has as many; or the whole picture. Its longer side is seen in
        side_px, the other in as many as keep its shape, both multiples of `multiple`."""
        part = (
            (slice(0, mask.shape[0]), slice(0, mask.shape[1])) if whole else _square(mask, side_px)
        )
        tall, wide = (of.stop - of.start for of in part)
        scale = side_px / max(tall, wide)
        height, width = (
            max(multiple, round(n * scale / multiple) * multiple) for n in (tall, wide)
        )
        return cls(part, width, height)

    def cut(self, picture: np.ndarray, hidden: np.ndarray | None = None) -> np.ndarray:
        """(height, width, 3) uint8 of a picture (H, W, 3); a mask's (height, width) bool, True
        where any pixel of it is.

        Resizing mixes neighbours. What lies under the mask `hidden` (H, W) bool goes before that:
        there stands the nearest colour around it."""
        near = picture[self.part]
        if picture.dtype == bool:
            return _resized(near.astype(np.float32), self.width, self.height) > 0
        if hidden is not None:
            hole, near = hidden[self.part], near.copy()
            near[hole], _ = nearest(near, hole)
        return _resized(near, self.width, self.height)

    def put(self, picture: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """The picture (H, W, 3) with its part replaced by what was made of it."""
        tall, wide = (of.stop - of.start for of in self.part)
        full = picture.copy()
        full[self.part] = _resized(seen, wide, tall)
        return full


def _square(mask: np.ndarray, side_px: int) -> Window:
    found = box(mask)
    length = max(side_px, *(2 * (of.stop - of.start) for of in found))
    sides = []
    for of, size in zip(found, mask.shape, strict=True):
        first = max(0, min((of.start + of.stop - length) // 2, size - length))
        sides.append(slice(first, min(size, first + length)))
    return sides[0], sides[1]


def _resized(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """Sides that shrink first, by the mean of what falls together; then those that grow."""
    import cv2

    grown = cv2.INTER_NEAREST if picture.dtype == np.float32 else cv2.INTER_CUBIC
    least = min(width, picture.shape[1]), min(height, picture.shape[0])
    for size, how in ((least, cv2.INTER_AREA), ((width, height), grown)):
        if picture.shape[1::-1] != size:
            picture = cv2.resize(picture, size, interpolation=how)
    return np.ascontiguousarray(picture)


def places(mask: np.ndarray, factor: int) -> np.ndarray:
    """(h, w) bool from a mask (h·factor, w·factor): places of the latent with a hidden pixel."""
    height, width = (n // factor for n in mask.shape)
    return np.asarray(mask.reshape(height, factor, width, factor).any((1, 3)))


# ---------------------------------------------------------------- the walk


def repaint(
    image: np.ndarray,
    mask: np.ndarray,
    settings: InpaintSettings = InpaintSettings(method="repaint"),
    progress: Progress = silent,
) -> Generator[InpaintStep, None, np.ndarray]:
    """Fill mask (H, W) bool of image (H, W, 3) uint8 with tiny-sd: a step each time a level of noise
    is reached for the last time. Each step's `inside` is the guess of the clean latent, (4, h, w)
    float32, the mean over settings.samples of them. Returns (H, W, 3) uint8: what the autoencoder alone makes of the picture.

    The model works at its own size, on the part around the hole. Raises Unavailable without its
    weights, InputError for holes so close together that at that size nothing between them is seen.
    """
    import torch

    began = time.perf_counter()
    progress(0.0, desc="loading tiny-sd")
    pipeline = load("tiny-sd", task="text", progress=stage(progress, 0.0, 0.1))
    factor = pipeline.vae_scale_factor
    frame = Frame.around(mask, pipeline.unet.config.sample_size * factor, MULTIPLE)
    seen, hole = frame.cut(image, mask), frame.cut(mask)
    if hole.all():
        raise InputError(
            f"Seen in {frame.width}×{frame.height} px, as tiny-sd does, the holes leave nothing "
            "between them. Hide less, or choose another method."
        )
    with torch.inference_mode():
        walk = _Walk(pipeline, seen, hole, settings)
    for count, (guess, last) in enumerate(walk.steps(), 1):
        progress(0.1 + 0.9 * count / walk.total, desc="repainting")
        if last:
            shown = frame.put(image, walk.mended(decoded(pipeline.vae, guess)))
            yield InpaintStep(
                count, walk.total, time.perf_counter() - began, shown,
                guess[0].float().cpu().numpy(),
            )  # fmt: skip
    return frame.put(image, decoded(pipeline.vae, encoded(pipeline.vae, frame.cut(image))))


class _Walk:
    """Down the noise, with jumps back: so many walks side by side as samples are asked for.

    known (1, C, h, w): the latent of the picture, its hole filled smoothly; hidden (1, 1, h, w): 1
    where it is painted, else 0; x (samples, C, h, w): where the walks are.
    """

    def __init__(
        self, pipeline: Any, seen: np.ndarray, hole: np.ndarray, settings: InpaintSettings
    ) -> None:
        import torch

        self.pipeline, self.settings = pipeline, settings
        self.seen, self.hole, self.skin = seen, hole, Membrane(hole)
        smooth = np.where(hole[..., None], self.mended(np.zeros_like(seen)), seen)
        self.known = encoded(pipeline.vae, smooth)
        hidden = torch.from_numpy(places(hole, pipeline.vae_scale_factor))
        self.hidden = hidden.to(self.known)[None, None]
        self.chance = torch.Generator().manual_seed(settings.seed)
        self.words = self._words()
        pipeline.scheduler.set_timesteps(settings.steps)
        times = [int(t) for t in pipeline.scheduler.timesteps]
        self.times = times[-max(1, round(settings.steps * settings.begins)) :]
        kept = pipeline.scheduler.alphas_cumprod
        self.kept = [float(kept[t]) for t in self.times] + [1.0]  # ᾱ; the last is the clean picture
        self.x = self._noised(self.known, 1.0, self.kept[0])
        self.moves = _moves(len(self.times), settings.jumps)
        self.total = len(self.moves)

    def mended(self, picture: np.ndarray) -> np.ndarray:
        """The picture (H, W, 3) uint8 with its hole's colours moved so that they fit those around
        it: of a black picture that leaves the smooth filling alone."""
        flat = picture.reshape(-1, 3).astype(np.float32)
        gap = self.seen.reshape(-1, 3)[self.skin.rim] - flat[self.skin.rim]
        flat[self.hole.ravel()] += self.skin.inside(gap)
        return flat.clip(0, 255).round().astype(np.uint8).reshape(picture.shape)

    def steps(self) -> Iterator[tuple[Tensor, bool]]:
        """The guess of the clean latent (1, 4, h, w) at each step, the mean over the samples, known
        places as they are; True where its level of noise doesn't come again."""
        import torch

        for move, (level, back) in enumerate(self.moves):
            with torch.inference_mode():
                guess = self._down(level)
                if back < level + 1:
                    self.x = self._noised(self.x, self.kept[level + 1], self.kept[back])
            final = all(later > level for later, _ in self.moves[move + 1 :])
            yield guess, final

    def _down(self, level: int) -> Tensor:
        """One step of DDPM from a level of noise to the next, in DDIM's form with η = 1 (Song et
        al. 2021, equation 12)."""
        now, then = self.kept[level], self.kept[level + 1]
        output, t = self._noise(level), self.times[level]
        guess = estimate(self.pipeline.scheduler, output, t, self.x)
        noise = (self.x - now**0.5 * guess) / (1 - now) ** 0.5
        fresh = (1 - then) / (1 - now) * (1 - now / then)  # variance that is drawn anew
        made = then**0.5 * guess + (1 - then - fresh) ** 0.5 * noise
        made = made + fresh**0.5 * self._normal()
        self.x = self._both(made, self._noised(self.known, 1.0, then))
        return self._both(guess.mean(0, keepdim=True), self.known)

    def _noise(self, level: int) -> Tensor:
        """What the U-Net says of x, guided by the words: ε∅ + s (ε_c − ε∅)."""
        import torch

        x = torch.cat([self.x] * len(self.words))
        words = self.words.repeat_interleave(self.settings.samples, 0)
        said = self.pipeline.unet(x, self.times[level], encoder_hidden_states=words).sample
        if len(self.words) == 1:
            return said
        told, free = said.chunk(2)
        return free + self.settings.pull * (told - free)

    def _words(self) -> Tensor:
        """(1 or 2, 77, C): the prompt; then the empty one, where guidance needs both."""
        import torch

        guided = bool(self.settings.prompt) and self.settings.pull > 1
        told, free = self.pipeline.encode_prompt(
            self.settings.prompt, self.known.device, 1, guided, None
        )
        return torch.cat([told, free]) if guided else told

    def _both(self, made: Tensor, known: Tensor) -> Tensor:
        return self.hidden * made + (1 - self.hidden) * known

    def _noised(self, x: Tensor, now: float, then: float) -> Tensor:
        """x at ᾱ = now with as much noise added as belongs to `then`."""
        return (then / now) ** 0.5 * x + (1 - then / now) ** 0.5 * self._normal()

    def _normal(self) -> Tensor:
        import torch

        shape = self.settings.samples, *self.known.shape[1:]
        return torch.randn(shape, generator=self.chance).to(self.known)


def _moves(levels: int, jumps: int) -> list[tuple[int, int]]:
    """(level, to): at each move a step is taken from a level of noise to the next cleaner one, and
    noise is added until `to`, where the next move begins. Stretches are walked `jumps` times; the
    last one ends in the clean picture, to which no noise is added."""
    stretch = max(1, round(STRETCH * levels))
    found = []
    for first in range(0, levels, stretch):
        end = min(first + stretch, levels)
        once = [(level, level + 1) for level in range(first, end)]
        found += [*once[:-1], (end - 1, first)] * (jumps - 1) + once
    return found


def encoded(vae: Any, picture: np.ndarray) -> Tensor:
    """The latent (1, C, h, w) of a picture (H, W, 3) uint8."""
    import torch

    with torch.inference_mode():
        x = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].to(vae.device, vae.dtype)
        return vae.encode(x / 127.5 - 1).latent_dist.mode() * vae.config.scaling_factor


def decoded(vae: Any, latent: Tensor) -> np.ndarray:
    """The picture (H, W, 3) uint8 of a latent (1, C, h, w)."""
    import torch

    with torch.inference_mode():
        rgb = vae.decode(latent / vae.config.scaling_factor).sample[0].float()
    return ((rgb.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
