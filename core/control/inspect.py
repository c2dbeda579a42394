"""What goes on inside: the same pass once more, with everything of interest written down.

Words reach the picture through cross-attention: each place of the latent asks all tokens and takes
a weighted mean of their values; the weights sum to 1 over the tokens. The map reaches it through
the residuals that the ControlNet adds to the U-Net's skips; behind zero convolutions they were
exactly nothing before training. And at each step two answers, without words and with, are
extrapolated: ε = ε∅ + s (ε_c − ε∅).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.control.painting import Painter
from core.control.types import ControlSettings, Hint
from core.diffusion import load
from core.diffusion.loading import with_lora
from core.diffusion.models import DISTILLED, UNIONS
from core.diffusion.nets import library
from core.types import InputError, Progress, silent


@dataclass(frozen=True)
class Residual:
    """What a control adds behind one block of the U-Net: its name, norm (S,) over the steps (root
    mean square), and picture (h, w) float32, the mean absolute value by place, over all steps."""

    block: str
    norm: np.ndarray
    picture: np.ndarray


@dataclass(frozen=True)
class Arithmetic:
    """One step at one place of the latent (channel, y, x), all numbers as the scheduler has them:
    ε = eps_none + s (eps_words − eps_none); x0 = (x_t − √(1−ᾱ_t) ε) / √ᾱ_t; x_next after DDIM."""

    step: int
    t: int
    place: tuple[int, int, int]
    alpha: float
    alpha_next: float
    x_t: float
    eps_none: float
    eps_words: float
    eps: float
    x0: float
    x_next: float


@dataclass(frozen=True)
class Inside:
    """tokens: the prompt's, start and end with them; attention (T, h, w) float32: of each token, a
    mean over steps, layers and heads of the pass with words, the sum over all positions is 1;
    padding (h, w): what falls to the positions after the end; residuals by block; guidance (S, 2):
    root mean squares of ε_c − ε∅ and of ε; schedule (1000,) of ᾱ with times (S,) of the steps;
    arithmetic: one step written out, None unless DDIM did it."""

    tokens: tuple[str, ...]
    attention: np.ndarray
    padding: np.ndarray
    residuals: tuple[Residual, ...]
    guidance: np.ndarray
    schedule: np.ndarray
    times: np.ndarray
    arithmetic: Arithmetic | None


class Recorder:
    """An attention processor that computes attention by its formula and keeps the weights on words.

    softmax(q kᵀ / √d) v (Vaswani et al. 2017). Without words it does what the net's own does.
    """

    def __init__(self, own: Any, keep: Callable[[Any], None]):
        self.own, self.keep = own, keep

    def __call__(
        self, attn: Any, hidden_states: Any, encoder_hidden_states: Any = None, *args: Any,
        **named: Any,
    ) -> Any:  # fmt: skip
        if encoder_hidden_states is not None:
            query = attn.head_to_batch_dim(attn.to_q(hidden_states))
            key = attn.head_to_batch_dim(attn.to_k(encoder_hidden_states))
            self.keep(attn.get_attention_scores(query, key))
        return self.own(attn, hidden_states, encoder_hidden_states, *args, **named)


def look_inside(
    hints: Sequence[Hint],
    settings: ControlSettings,
    progress: Progress = silent,
    *,
    lora: Path | None = None,
) -> Inside:
    """Run the pass with control once more and write down what happens. `hints` as the result has
    them, in the model's own size; lora as `generate` takes it. Takes longer than the pass itself.
    Raises InputError for a model without a U-Net."""
    import torch

    if settings.model in DISTILLED:
        raise InputError(
            "Only models with a U-Net can be opened here. Choose tiny-sd or a Stable Diffusion."
        )
    pipeline = load(settings.source, tuple(hint.kind for hint in hints))
    notes = _Notes(pipeline, settings)
    with ExitStack() as hooks:
        if lora:
            hooks.enter_context(with_lora(pipeline, lora, settings.lora_scale))
        notes.listen(hooks)
        run = Painter(pipeline, settings, hints, progress, notes.forget).run(controlled=True)
        try:
            while True:
                next(run)
        except StopIteration as ended:
            _, film = ended.value
    tokenizer = pipeline.tokenizer
    ids = tokenizer(
        settings.prompt, truncation=True, max_length=tokenizer.model_max_length
    ).input_ids
    names = tuple(
        word.replace("</w>", "").replace("<|startoftext|>", "start").replace("<|endoftext|>", "end")
        for word in tokenizer.convert_ids_to_tokens(ids)
    )
    weights = notes.attention()
    with torch.no_grad():
        alphas = pipeline.scheduler.alphas_cumprod.float().cpu().numpy()
    return Inside(
        names, weights[: len(names)], weights[len(names) :].sum(0), notes.residuals(),
        np.array(notes.guided, np.float32), alphas, film.t, notes.arithmetic(film.t),
    )  # fmt: skip


class _Notes:
    """Listens to a pipeline's parts while it runs."""

    def __init__(self, pipeline: Any, settings: ControlSettings):
        self.pipeline, self.settings = pipeline, settings
        self.guides = settings.guidance > 1
        self.forget()

    def forget(self, why: str = "") -> None:
        """Begin with nothing, as when the picture is painted again."""
        self.sums: dict[int, Any] = {}  # by tokens' places a side: sum of weights (T, places)
        self.counts: dict[int, int] = {}
        self.added: list[list[Any]] = []  # per step, per block: (C, h, w) of the first picture
        self.guided: list[tuple[float, float]] = []
        self.steps: list[tuple[Any, Any, Any, Any]] = []  # x_t, ε∅, ε_c, x_next

    def listen(self, hooks: ExitStack) -> None:
        pipeline = self.pipeline
        unet = pipeline.unet
        own = dict(unet.attn_processors)
        # One by one: set_attn_processor would clear what LoRA has put there.
        recorded = {
            name: Recorder(processor, self._weights) if "attn2" in name else processor
            for name, processor in own.items()
        }
        unet.set_attn_processor(recorded)
        hooks.callback(lambda: unet.set_attn_processor(own))
        for handle in (
            unet.register_forward_hook(self._noise, with_kwargs=True),
            pipeline.controlnet.register_forward_hook(self._control),
        ):
            hooks.callback(handle.remove)

    def _weights(self, scores: Any) -> None:
        """scores (B·heads, places, T): the first picture's with words, or the only ones."""
        batch = self.settings.images * (2 if self.guides else 1)
        heads = scores.shape[0] // batch
        first = self.settings.images * heads if self.guides else 0
        mean = scores[first : first + heads].float().mean(0).T.cpu()  # (T, places)
        places = mean.shape[1]
        self.sums[places] = self.sums.get(places, 0) + mean
        self.counts[places] = self.counts.get(places, 0) + 1

    def _control(self, net: Any, given: Any, told: Any) -> None:
        down, middle = told if isinstance(told, tuple) else (
            told.down_block_res_samples, told.mid_block_res_sample
        )  # fmt: skip
        first = -self.settings.images  # those with words come last
        self.added.append([x[first].float().cpu() for x in (*down, middle)])

    def _noise(self, net: Any, given: Any, named: Any, told: Any) -> None:
        noise = (told[0] if isinstance(told, tuple) else told.sample).float().cpu()
        x = given[0].float().cpu()
        n = self.settings.images
        none, words = (noise[0], noise[n]) if self.guides else (noise[0], noise[0])
        eps = none + self.settings.guidance * (words - none) if self.guides else words
        self.guided.append(
            (float((words - none).pow(2).mean().sqrt()), float(eps.pow(2).mean().sqrt()))
        )
        self.steps.append((x[0], none, words, eps))

    def attention(self) -> np.ndarray:
        """(T, h, w): of all layers, brought to the finest one's places."""
        import torch

        latent_h, latent_w = self.steps[0][0].shape[-2:]
        height, width = grid_of(latent_h, latent_w, max(self.sums))
        whole = torch.zeros(next(iter(self.sums.values())).shape[0], height, width)
        for places, total in self.sums.items():
            grid = total.reshape(-1, *grid_of(latent_h, latent_w, places))
            whole += torch.nn.functional.interpolate(
                grid[None], (height, width), mode="bilinear", align_corners=False
            )[0]
        return (whole / sum(self.counts.values())).numpy().astype(np.float32)

    def residuals(self) -> tuple[Residual, ...]:
        found = []
        for k in range(len(self.added[0])):
            all_steps = [step[k] for step in self.added]
            norm = np.array([float(x.pow(2).mean().sqrt()) for x in all_steps], np.float32)
            picture = sum(x.abs().mean(0) for x in all_steps) / len(all_steps)
            last = k == len(self.added[0]) - 1
            side = tuple(picture.shape)
            found.append(
                Residual(f"{'middle' if last else f'skip {k}'}, {side[1]}×{side[0]}", norm,
                         picture.numpy())
            )  # fmt: skip
        return tuple(found)

    def arithmetic(self, times: np.ndarray) -> Arithmetic | None:
        """The middle step at the place where words change most."""
        if self.settings.scheduler != "ddim":
            return None
        k = len(times) // 2
        x, none, words, eps = self.steps[k]
        channel, y, column = np.unravel_index(int((words - none).abs().argmax()), x.shape)
        at = (int(channel), int(y), int(column))
        alphas = self.pipeline.scheduler.alphas_cumprod
        after = int(times[k + 1]) if k + 1 < len(times) else -1
        a = float(alphas[int(times[k])])
        b = (
            float(alphas[after])
            if after >= 0
            else float(self.pipeline.scheduler.final_alpha_cumprod)
        )
        x_t, e = float(x[at]), float(eps[at])
        x0 = (x_t - (1 - a) ** 0.5 * e) / a**0.5
        return Arithmetic(
            k + 1, int(times[k]), at, a, b, x_t, float(none[at]), float(words[at]), e, x0,
            b**0.5 * x0 + (1 - b) ** 0.5 * e,
        )  # fmt: skip


def grid_of(height: int, width: int, places: int) -> tuple[int, int]:
    """The sides of the layer with so many places, from the latent's: a U-Net halves them and
    rounds up."""
    while height * width > places:
        height, width = -(-height // 2), -(-width // 2)
    return height, width


@dataclass(frozen=True)
class ZeroConvolution:
    """How much a control adds, by block (root mean square): untrained, which is exactly nothing, and
    trained."""

    blocks: tuple[str, ...]
    untrained: np.ndarray
    trained: np.ndarray


def zero_convolution(hint: Hint, settings: ControlSettings) -> ZeroConvolution:
    """Ask an untrained copy of the U-Net's first half and the trained one with the same map, the
    same noise and no words. Raises InputError for a union, which isn't a copy of a first half."""
    import torch

    if settings.model in UNIONS:
        raise InputError(
            "One net for many kinds of control is no plain copy of the U-Net's first half, so "
            "there is no untrained one to ask. Choose tiny-sd or Stable Diffusion 1.5 to see it."
        )
    pipeline = load(settings.source, (hint.kind,))
    unet, trained = pipeline.unet, pipeline.controlnet
    channels = tuple(trained.config.conditioning_embedding_out_channels)
    fresh = library().ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=channels)
    fresh = fresh.to(unet.device, unet.dtype).eval()
    height, width = hint.map.shape[:2]
    factor = pipeline.vae_scale_factor
    noise = torch.randn(
        (1, unet.config.in_channels, height // factor, width // factor),
        generator=torch.Generator().manual_seed(settings.seed),
    ).to(unet.device, unet.dtype)  # fmt: skip
    words = torch.zeros(1, 1, unet.config.cross_attention_dim, device=unet.device, dtype=unet.dtype)
    shown = torch.from_numpy(hint.map.copy()).permute(2, 0, 1)[None].to(noise) / 255

    def norms(net: Any) -> np.ndarray:
        with torch.inference_mode():
            down, middle = net(noise, 500, words, shown, return_dict=False)
        return np.array([float(x.float().pow(2).mean().sqrt()) for x in (*down, middle)])

    before, after = norms(fresh), norms(trained)
    names = (*(f"skip {k}" for k in range(len(before) - 1)), "middle")
    return ZeroConvolution(names, before, after)
