"""Filling a hole with a diffusion model: the shipped one, or a big one that was taught to.

RePaint steers a model from outside (see `repaint`). A model taught to inpaint needs no steering: its
U-Net sees nine channels at every step, the noisy latent, the mask, and the latent of the masked
picture (Rombach et al. 2022); FLUX.2 klein sees the picture beside the noise. Both run here as
diffusers' own pipelines, on the part of the picture around the hole, at the model's own size.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from core.control.painting import SHOW_S, notes_of
from core.control.types import ControlSettings
from core.diffusion import MODELS, load
from core.diffusion.loading import own
from core.diffusion.models import DISTILLED
from core.diffusion.nets import FACTOR
from core.diffusion.rescue import rescued
from core.diffusion.stepwise import estimate, stepwise
from core.diffusion.world import SIZE
from core.inpainting.repaint import MULTIPLE, Frame, places, repaint
from core.inpainting.types import InpaintSettings, InpaintStep
from core.models import enough_memory
from core.runtime import stage
from core.types import Progress, silent

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Manner:
    """How a model is called: the size in pixels that it was taught, what divides its pictures'
    sides, pixels a side of one latent place, whether it takes a strength and a negative prompt, and
    what its pipeline is told besides."""

    side_px: int
    multiple: int
    place_px: int
    strength: bool
    negative: bool
    more: dict[str, Any]


INSTEAD = "The patch method works without it"
MANNERS = {
    "sd15-inpaint": Manner(512, 8, 8, True, True, {}),
    "kandinsky22-inpaint": Manner(768, 64, 8, False, True, {"prior_num_inference_steps": 25}),
    "flux2-klein": Manner(1024, 16, 16, True, False, {}),
}

Note = Callable[[str], object]


def unheard(sentence: str) -> None:
    """Notes for nobody."""


def paint(
    image: np.ndarray,
    mask: np.ndarray,
    settings: InpaintSettings = InpaintSettings(method="sd15-inpaint"),
    progress: Progress = silent,
    *,
    note: Note = unheard,
) -> Generator[InpaintStep, None, np.ndarray | None]:
    """Fill mask (H, W) bool of image (H, W, 3) uint8 by a method of types.DIFFUSION.

    What the mask hides is seen only by big models, and only with a strength below 1. Yields steps
    as often as there is time to show one, the answer last; `inside` is a latent, the model's guess
    of the clean picture at that moment. Returns what the autoencoder alone makes of the picture,
    (H, W, 3) uint8. note is told what a person should know: words that weren't read, settings that
    the model doesn't have, a second run in float32. Raises Unavailable if weights or memory are
    missing, InputError for what can't be painted.
    """
    if settings.method == "repaint":
        shipped = load("tiny-sd", task="text", progress=stage(progress, 0.0, 0.1))
        _note_words(shipped.tokenizer, settings, "tiny-sd", note)
        with enough_memory(MODELS["tiny-sd"].title, INSTEAD):
            return (yield from repaint(image, mask, settings, progress))
    manner = MANNERS[settings.method]
    progress(0.0, desc=f"loading {settings.method}")
    source = own(settings.method, settings.folder)
    pipeline = load(source, task="inpaint", progress=stage(progress, 0.0, 0.1))
    _notes(pipeline, settings, manner, note)
    frame = frame_of(mask, settings)
    painter = _Painter(pipeline, settings, manner, image, mask, frame, stage(progress, 0.1, 1.0))
    seen = yield from painter.run(note)
    yield painter.shot(seen, painter.latest)
    with enough_memory(MODELS[settings.method].title, INSTEAD):
        return frame.put(image, painter.again())


def frame_of(mask: np.ndarray, settings: InpaintSettings) -> Frame:
    """The part of a picture around a mask (H, W) bool that the diffusion model of these settings
    works on."""
    if settings.method == "repaint":
        return Frame.around(mask, SIZE, MULTIPLE)
    manner = MANNERS[settings.method]
    return Frame.around(mask, manner.side_px, manner.multiple, whole=not settings.around)


def in_latent(mask: np.ndarray, settings: InpaintSettings) -> tuple[np.ndarray, int]:
    """A mask (H, W) bool as the diffusion model of these settings sees it, cut and resized, and how
    many pixels a side of that one latent place has."""
    place_px = FACTOR if settings.method == "repaint" else MANNERS[settings.method].place_px
    return frame_of(mask, settings).cut(mask), place_px


def _notes(pipeline: Any, settings: InpaintSettings, manner: Manner, note: Note) -> None:
    title = MODELS[settings.method].title
    tokenizer = getattr(pipeline, "prior_tokenizer", None) or pipeline.tokenizer
    _note_words(tokenizer, settings, settings.method, note)
    if settings.begins < 1 and not manner.strength:
        note(f"{title} has no strength: the hole begins as noise alone.")
    if settings.negative and not manner.negative:
        note(f"{title} has no negative prompt: “{settings.negative}” is not read.")
    if settings.guidance and settings.method in DISTILLED:
        note(f"{title} paints without guidance: {settings.guidance:g} is not used.")


def _note_words(tokenizer: Any, settings: InpaintSettings, model: str, note: Note) -> None:
    """What of the prompt is cut, and which words tiny-sd never read."""
    known = "tiny-sd" if model == "tiny-sd" else "sd15"
    for name, words in (
        ("The prompt", settings.prompt),
        ("The negative prompt", settings.negative),
    ):
        asked = ControlSettings(prompt=words, model=known)
        for sentence in notes_of(SimpleNamespace(tokenizer=tokenizer), asked):
            note(sentence.replace("The prompt", name))


class _Painter:
    """A pipeline with its picture, run to the end and followed on the way."""

    def __init__(
        self, pipeline: Any, settings: InpaintSettings, manner: Manner, image: np.ndarray,
        mask: np.ndarray, frame: Frame, progress: Progress,
    ) -> None:  # fmt: skip
        self.pipeline, self.settings, self.manner = pipeline, settings, manner
        self.image, self.frame, self.progress = image, frame, progress
        # what was there is seen only where the hole is to begin at it
        begins_there = manner.strength and settings.begins < 1
        self.seen = frame.cut(image, None if begins_there else mask)
        self.hole = _in_places(frame.cut(mask), manner.place_px)
        # a strength leaves out steps; at least one is needed
        self.asked = max(settings.steps, math.ceil(1 / settings.begins))
        self.total = int(self.asked * settings.begins) if manner.strength else self.asked
        self.done, self.latest = 0, None
        self.began = self.shown = time.perf_counter()

    def arguments(self) -> dict[str, Any]:
        """What the pipeline is called with."""
        import torch
        from PIL import Image

        s, manner = self.settings, self.manner
        given: dict[str, Any] = {
            "prompt": s.prompt, "image": Image.fromarray(self.seen),
            "mask_image": Image.fromarray(np.where(self.hole, 255, 0).astype(np.uint8)),
            "width": self.frame.width, "height": self.frame.height,
            "num_inference_steps": self.asked, "guidance_scale": s.pull,
            "generator": torch.Generator("cpu").manual_seed(s.seed), "output_type": "np",
        }  # fmt: skip
        if manner.strength:
            given["strength"] = s.begins
        if manner.negative and s.negative:
            given["negative_prompt"] = s.negative
        return given | manner.more

    def run(self, note: Note) -> Generator[InpaintStep, None, np.ndarray]:
        """The painted part, (height, width, 3) uint8."""
        title = MODELS[self.settings.method].title
        made = yield from rescued(self.pipeline, self._followed, title, INSTEAD, note)
        return (made * 255).round().astype(np.uint8)

    def _followed(self) -> Generator[InpaintStep, None, np.ndarray]:
        """One call of the pipeline: (height, width, 3) float in [0, 1]."""
        import torch

        scheduler = self.pipeline.scheduler
        own_step, self.done = scheduler.step, 0

        def work(tell: Callable[[InpaintStep], None]) -> np.ndarray:
            @functools.wraps(own_step)  # diffusers reads in its signature what a step takes
            def step(output: Any, t: Any, sample: Any, *args: Any, **named: Any) -> Any:
                self.latest = _guess(scheduler, output, t, sample)
                moved = own_step(output, t, sample, *args, **named)
                self.done += 1
                self.progress(min(self.done / self.total, 1.0), desc="painting")
                if time.perf_counter() - self.shown >= SHOW_S:
                    tell(self.shot(self._decoded(self.latest), self.latest))
                    self.shown = time.perf_counter()
                return moved

            scheduler.step = step
            try:
                with torch.inference_mode():
                    return np.asarray(self.pipeline(**self.arguments()).images[0])
            finally:
                scheduler.step = own_step

        return (yield from stepwise(work))

    def shot(self, seen: np.ndarray, latent: Tensor | None) -> InpaintStep:
        inside = None if latent is None else latent[0].float().cpu().numpy()
        return InpaintStep(
            max(self.done, 1), max(self.total, self.done), time.perf_counter() - self.began,
            self.frame.put(self.image, seen), inside,
        )  # fmt: skip

    def _decoded(self, latent: Tensor) -> np.ndarray:
        """(height, width, 3) uint8 of a guess."""
        import torch

        pipeline = self.pipeline
        with torch.inference_mode():
            if "movq" in pipeline.components:
                rgb = pipeline.movq.decode(latent, force_not_quantize=True)["sample"]
            elif latent.ndim == 3:  # FLUX.2: (1, h·w, C), a place after another, normalised
                n, px, bn = 1, self.manner.place_px, pipeline.vae.bn
                latent = latent.transpose(1, 2).reshape(
                    n, -1, self.frame.height // px, self.frame.width // px
                )
                mean, spread = (of.view(1, -1, 1, 1).to(latent) for of in (
                    bn.running_mean, (bn.running_var + pipeline.vae.config.batch_norm_eps).sqrt()
                ))  # fmt: skip
                rgb = pipeline.vae.decode(
                    pipeline._unpatchify_latents(latent * spread + mean)
                ).sample
            else:
                rgb = pipeline.vae.decode(latent / pipeline.vae.config.scaling_factor).sample
        return _bytes(rgb)

    def again(self) -> np.ndarray:
        """(height, width, 3) uint8: the part, through the autoencoder and back."""
        import torch

        pipeline = self.pipeline
        net = pipeline.movq if "movq" in pipeline.components else pipeline.vae
        x = torch.from_numpy(self.frame.cut(self.image).copy()).permute(2, 0, 1)[None]
        x = x.to(net.device, net.dtype) / 127.5 - 1
        with torch.inference_mode():
            if "movq" in pipeline.components:
                rgb = net.decode(net.encode(x)["latents"], force_not_quantize=True)["sample"]
            else:
                rgb = net.decode(net.encode(x).latent_dist.mode()).sample
        return _bytes(rgb)


def _in_places(hole: np.ndarray, place_px: int) -> np.ndarray:
    """The hole grown to whole latent places, which the pipelines would else round to the nearest."""
    return np.kron(places(hole, place_px), np.ones((place_px, place_px), bool))


def _guess(scheduler: Any, output: Tensor, t: Any, sample: Tensor) -> Tensor:
    """The clean latent that the model's output tells. A second half of the output's channels is a
    variance (Nichol and Dhariwal 2021). Flow matching has x_t = (1 − σ) x₀ + σ ε and predicts ε − x₀
    (Lipman et al. 2023)."""
    if "FlowMatch" in type(scheduler).__name__:
        index = (scheduler.timesteps == t).nonzero()[0].item()
        return sample - scheduler.sigmas[index].to(sample) * output
    return estimate(scheduler, output[:, : sample.shape[1]], t, sample)


def _bytes(rgb: Tensor) -> np.ndarray:
    """(H, W, 3) uint8 of (1, 3, H, W) in [-1, 1]; NaN, which may still come, is grey."""
    rgb = rgb[0].float().nan_to_num(0.0).clamp(-1, 1)
    return ((rgb + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
