"""A picture under control, next to the same picture without: one noise, one prompt, two passes.

Both passes are diffusers' own pipelines with the same parts. The result keeps every step's x₀ as a
latent; what it looks like is decoded when somebody looks, so that following costs next to nothing.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core.control.hints import check, fitted
from core.control.types import ControlResult, ControlSettings, Film, Hint, Step
from core.diffusion import MODELS, load
from core.diffusion.loading import parts, scheduler, with_lora
from core.diffusion.models import CONTROLS, DISTILLED, UNIONS
from core.diffusion.rescue import rescued
from core.diffusion.stepwise import estimate, stepwise
from core.images import digest
from core.models import ModelSpec
from core.recipe import Recipe
from core.runtime import stage
from core.types import InputError, Progress, silent

TRANSFORMER_PX = 1024  # longer side of a picture, where the model doesn't say
LCM_STEPS = 50  # of the teacher that the LCM scheduler skips through
SHOW_S = 1.0  # between previews; the first comes after as long, so that quick work isn't slowed
ALIKE = 1.02  # by how much the shapes (width / height) of maps that steer together may differ

Scorer = Callable[[np.ndarray, Hint], float]


def generate(
    hint: Hint | Sequence[Hint],
    settings: ControlSettings = ControlSettings(),
    progress: Progress = silent,
    *,
    lora: Path | None = None,
    agreement: Scorer | None = None,
) -> Iterator[Step | ControlResult]:
    """Paint `settings.images` pictures under one control or several, and without: steps as they
    come, then the ControlResult.

    ControlNet: Zhang et al., ICCV 2023. lora is a .safetensors file with a low-rank change of the
    U-Net, added by settings.lora_scale (Hu et al. 2021). agreement scores a picture (H, W, 3) against a hint, None
    leaves it out. Raises InputError for a map, size, prompt, LoRA or number of steps that doesn't
    fit, Unavailable if the model isn't here or runs out of memory.
    """
    from core.control.scoring import agreement_by

    hints = (hint,) if isinstance(hint, Hint) else tuple(hint)
    if not hints:
        raise InputError("No control map was given. Make one first.")
    progress(0.0, desc=f"loading {settings.model}")
    kinds = tuple(one.kind for one in hints)
    parts(settings.source, kinds)  # does the model know these controls at all?
    _check(settings, lora)
    _check_shapes(hints)
    for one in hints:
        check(one, kind_seen(settings.model, one.kind) if one.kind == "map" else "")
    pipeline = load(settings.source, kinds, progress=stage(progress, 0.0, 0.1))
    began = time.perf_counter()
    width, height = size_of(pipeline, settings, hints[0])
    seen = tuple(as_seen(settings.model, one, width, height) for one in hints)
    notes = notes_of(pipeline, settings)
    painter = Painter(pipeline, settings, seen, progress, notes.append)
    baseline = baseline_film = None
    with with_lora(pipeline, lora, settings.lora_scale) if lora else nullcontext():
        images, film = yield from painter.run(controlled=True)
        if settings.baseline:
            baseline, baseline_film = yield from painter.run(controlled=False)
    seconds = time.perf_counter() - began
    score = agreement or agreement_by(settings.model)
    yield ControlResult(
        settings,
        images, baseline, film, baseline_film, seen,
        tuple(score(image, seen[0]) for image in images),
        tuple(score(image, seen[0]) for image in (baseline if baseline is not None else ())),
        seconds,
        recipe_of(hints, settings, lora),
        tuple(dict.fromkeys(notes)),  # both passes may tell the same
    )  # fmt: skip


def _check(settings: ControlSettings, lora: Path | None) -> None:
    """Raise InputError for what the model would refuse once it is loaded."""
    free = settings.model not in DISTILLED  # the others leave the scheduler unread
    if free and settings.scheduler == "lcm" and settings.steps > LCM_STEPS:
        raise InputError(
            f"LCM takes at most {LCM_STEPS} steps, and {settings.steps} are asked for. Take 4 to 8, "
            "or another scheduler."
        )
    if lora == Path("lcm") and settings.model != "sd15":
        raise InputError(
            "The LCM LoRA was made for Stable Diffusion 1.5 alone. Choose that model, or paint "
            "without the LoRA."
        )


def _check_shapes(hints: Sequence[Hint]) -> None:
    """Raise InputError for maps that would be squeezed to lie on the first: another picture's."""
    height, width = hints[0].map.shape[:2]
    for one in hints[1:]:
        h, w = one.map.shape[:2]
        if not 1 / ALIKE <= w * height / (h * width) <= ALIKE:
            raise InputError(
                f"The maps have different shapes: {width}×{height} and {w}×{h} px. Make them of one "
                "picture, or of pictures cut to one shape."
            )


def kind_seen(model: str, kind: str) -> str:
    """The kind of map that the model's net for this kind was trained on: lines of all kinds are
    edges to a net that knows edges alone. A union knows each kind as what it is."""
    control = CONTROLS[model].get(kind)
    known = isinstance(control, ModelSpec) and control == CONTROLS[model].get("edges")
    return "edges" if known else kind


def as_seen(model: str, hint: Hint, width: int, height: int) -> Hint:
    """The hint as the net sees it: in its size, and of a kind that it knows."""
    kind = kind_seen(model, hint.kind)
    return replace(hint, map=fitted(hint.map, kind, width, height), kind=kind)


def size_of(pipeline: Any, settings: ControlSettings, hint: Hint) -> tuple[int, int]:
    """(width, height) that is painted: the longer side as asked for, the other as the map's."""
    factor, unet = pipeline.vae_scale_factor, getattr(pipeline, "unet", None)
    multiple = 8 if unet is not None else 2 * factor  # a transformer joins four places
    own = unet.config.sample_size * factor if unet is not None else TRANSFORMER_PX
    longest = settings.size_px or own
    height, width = hint.map.shape[:2]
    scale = longest / max(height, width)
    across, down = (max(multiple, round(n * scale / multiple) * multiple) for n in (width, height))
    return across, down


def notes_of(pipeline: Any, settings: ControlSettings) -> list[str]:
    """What a person should know of this prompt: what is cut, what the model doesn't know."""
    found = []
    tokenizer = pipeline.tokenizer
    if settings.model in DISTILLED:
        title = MODELS[settings.model].title
        found.append(
            f"{title} has one schedule and paints without guidance: both are left as they are."
        )
    elif not _controlled_steps(settings):
        found.append(
            f"From {settings.start:g} until {settings.end:g} lies no whole step of "
            f"{settings.steps}: nothing was controlled. Widen the range, or take more steps."
        )
    ids = tokenizer(settings.prompt, truncation=False, verbose=False).input_ids
    most = tokenizer.model_max_length
    if len(ids) > most:
        cut = tokenizer.decode(ids[most - 1 : -1])
        found.append(f"The prompt has {len(ids)} tokens and {most} fit: “{cut}” is not read.")
    if settings.model == "tiny-sd":
        known = set(tokenizer.get_vocab())
        words = [w.strip(".,!?") for w in settings.prompt.lower().split()]
        strange = [w for w in dict.fromkeys(words) if w and f"{w}</w>" not in known]
        if strange:
            found.append(
                f"tiny-sd has never read {', '.join(f'“{w}”' for w in strange)}: it knows toys on "
                "a floor and nothing else."
            )
    return found


def _controlled_steps(settings: ControlSettings) -> int:
    """How many steps lie wholly between the control's start and end, as diffusers counts them."""
    n = settings.steps
    return sum(k / n >= settings.start and (k + 1) / n <= settings.end for k in range(n))


class Painter:
    """A pipeline with its settings, run with control and without. note is told when a picture came
    out as NaN, just before it is painted again."""

    def __init__(
        self, pipeline: Any, settings: ControlSettings, hints: Sequence[Hint], progress: Progress,
        note: Callable[[str], object],
    ):  # fmt: skip
        self.pipeline, self.settings, self.hints = pipeline, settings, hints
        self.progress, self.note = progress, note
        self.height, self.width = hints[0].map.shape[:2]
        passes = 1 + settings.baseline
        self.total = passes * settings.steps
        self.done = 0
        self.began = self.shown = time.perf_counter()

    def arguments(self, pipeline: Any, controlled: bool) -> dict[str, Any]:
        """What the pipeline is called with, as far as it knows the names."""
        import torch
        from PIL import Image

        s = self.settings
        first = torch.Generator("cpu").manual_seed(s.seed)
        guidance = 0.0 if s.model in DISTILLED else s.guidance
        given: dict[str, Any] = {
            "prompt": s.prompt, "negative_prompt": s.negative or None,
            "num_inference_steps": s.steps, "guidance_scale": guidance,
            "num_images_per_prompt": s.images, "generator": first,
            "width": self.width, "height": self.height, "output_type": "np",
        }  # fmt: skip
        if controlled:
            maps = [Image.fromarray(hint.map) for hint in self.hints]
            scales = [s.scale * hint.weight for hint in self.hints]
            several, union = len(maps) > 1, s.model in UNIONS
            modes = s.model == "sdxl-union"  # its union is told which kind each map is
            given |= {
                "control_image" if union else "image": maps if several or modes else maps[0],
                "controlnet_conditioning_scale": scales if several else scales[0],
                "control_guidance_start": s.start, "control_guidance_end": s.end,
                "guess_mode": s.guess,
            }  # fmt: skip
            if modes:
                given["control_mode"] = [CONTROLS[s.model][hint.kind] for hint in self.hints]
        known = inspect.signature(pipeline.__call__).parameters
        return {name: value for name, value in given.items() if name in known}

    def run(self, controlled: bool) -> Generator[Step, None, tuple[np.ndarray, Film]]:
        """One pass: its steps, as often as there is time to show one, then pictures and film."""
        import torch

        pipeline = self.pipeline if controlled else load(self.settings.source, task="text")
        if self.settings.model not in DISTILLED:
            pipeline.scheduler = scheduler(self.settings.scheduler, pipeline.scheduler.config)
        guesses, times, begun = [], [], self.done
        own_step = pipeline.scheduler.step

        def paint(tell: Callable[[Step], None]) -> np.ndarray:
            guesses.clear()
            times.clear()
            self.done = begun

            @functools.wraps(own_step)  # diffusers reads in its signature what a step takes
            def step(output: Any, t: Any, sample: Any, *args: Any, **named: Any) -> Any:
                guesses.append(estimate(pipeline.scheduler, output, t, sample))
                times.append(int(t))
                moved = own_step(output, t, sample, *args, **named)
                self.done += 1
                self.progress(self.done / self.total, desc=_doing(controlled))
                if time.perf_counter() - self.shown >= SHOW_S:
                    tell(self.shot(pipeline, guesses[-1], controlled, times[-1]))
                    self.shown = time.perf_counter()
                return moved

            pipeline.scheduler.step = step
            with torch.inference_mode():
                return np.asarray(pipeline(**self.arguments(pipeline, controlled)).images)

        title = MODELS[self.settings.model].title
        images = yield from rescued(
            pipeline, lambda: stepwise(paint), title, "tiny-sd works without it", self.note
        )
        kept = torch.stack(guesses).half().cpu().numpy()
        return _bytes(images), Film(kept, np.array(times))

    def shot(self, pipeline: Any, latents: Any, controlled: bool, t: int) -> Step:
        return Step(
            self.done, self.total, time.perf_counter() - self.began, decoded(pipeline, latents),
            controlled, t,
        )  # fmt: skip


def _doing(controlled: bool) -> str:
    return "painting with control" if controlled else "painting without control"


def decoded(pipeline: Any, latents: Any) -> np.ndarray:
    """(N, H, W, 3) uint8 of latents (N, C, h, w), a torch tensor or an array."""
    import torch

    net = pipeline.vae
    with torch.inference_mode():
        x = torch.as_tensor(latents).to(net.device, net.dtype) / net.config.scaling_factor
        x = x + (net.config.get("shift_factor") or 0)
        rgb = net.decode(x).sample.float().nan_to_num(0.0)  # NaN is grey
    return _bytes((rgb / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy())


def _bytes(images: np.ndarray) -> np.ndarray:
    return (np.asarray(images) * 255).round().astype(np.uint8)


def recipe_of(hints: Sequence[Hint], settings: ControlSettings, lora: Path | None) -> Recipe:
    """The program that paints the same again, from the maps."""
    names = ["map"] if len(hints) == 1 else [f"map{k}" for k in range(len(hints))]
    given = ", ".join(
        f'Hint(load("{name}.png"), "{hint.kind}"'
        + (f", weight={hint.weight!r})" if hint.weight != 1 else ")")
        for name, hint in zip(names, hints, strict=True)
    )
    with_it = f", lora=Path({lora.name!r})" if lora else ""
    program = (
        ("from pathlib import Path\n\n" if lora else "") + "from PIL import Image\n\n"
        "from core.control import ControlSettings, Hint, generate\n"
        "from core.images import load\n\n"
        f"hints = [{given}]\n"
        f"*steps, result = generate(hints, {{ControlSettings}}{with_it})\n"
        "Image.fromarray(result.images[0]).save('picture.png')\n"
        "print('agreement with the map:', result.agreement)"
    )
    inputs = {name: digest(hint.map) for name, hint in zip(names, hints, strict=True)}
    model = settings.folder.strip() or MODELS[settings.model].id
    return Recipe("controlnet", program, (settings,), inputs, model)
