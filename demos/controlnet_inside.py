"""Look inside the ControlNet tab: words' attention, residuals, zero convolution, guidance, a step."""

from __future__ import annotations

import html
from typing import Any

import gradio as gr
import numpy as np

from core import runtime
from core.control.inspect import Inside as Found
from core.control.inspect import ZeroConvolution, look_inside, zero_convolution
from core.control.run import Painted
from core.stereo.pictures import colour_map
from core.types import InputError
from demos import charts, markup, ui
from demos.markup import large


class Inside:
    """The Look inside panel: one more pass, with everything written down, when asked for."""

    def __init__(self, state: gr.State):
        with ui.panel("Look inside"):
            job = ui.Job("Look inside", "controlnet-inside")
            with gr.Tabs():
                with gr.Tab("Words"):
                    words = ui.text()
                with gr.Tab("What the control adds"):
                    added = ui.text()
                with gr.Tab("Zero convolution"):
                    zero = ui.text()
                with gr.Tab("Guidance"):
                    guidance = ui.text()
                with gr.Tab("One step"):
                    step = ui.text()
        self.outputs = [words, added, zero, guidance, step]

        def work(found: Painted | None):
            if found is None:
                raise InputError("There is no result yet. Press Paint first.")
            yield from runtime.stream(_look, found)

        def show(seen: tuple[Painted, Found, ZeroConvolution | str]) -> dict:
            painted, found, nothing = seen
            return {
                words: _words(painted, found),
                added: _added(found),
                zero: _zero(nothing),
                guidance: _guidance(painted, found),
                step: _step(painted, found),
            }

        job.wire(work, show, [state], self.outputs)

    def show(self, found: Painted) -> dict:
        return dict.fromkeys(self.outputs, "")


def _look(found: Painted, progress: Any) -> tuple[Painted, Found, ZeroConvolution | str]:
    """What is inside, and the zero convolutions or why there are none to see."""
    settings, hints = found.result.settings, found.result.hints
    seen = look_inside(hints, settings, progress, lora=found.given.lora)
    try:
        return found, seen, zero_convolution(hints[0], settings)
    except InputError as error:
        return found, seen, str(error)


def _words(painted: Painted, found: Found) -> str:
    picture = painted.result.images[0]
    most = float(found.attention[1:].max()) or 1.0
    shown = [
        (_over(picture, weights / most), word)
        for word, weights in zip(found.tokens, found.attention, strict=True)
    ]
    positions = len(found.tokens)
    about = (
        f"Where each word is asked for, averaged over steps, layers and heads; all on one scale "
        f"except the start, which takes {found.attention[0].mean():.0%} of the weight, as it does in "
        f"every such model. The prompt has {positions} of 77 positions; the empty rest takes "
        f"{found.padding.mean():.0%}. At every place the weights sum to 1."
    )
    return _note(about) + markup.pictures(shown, least_px=150)


def _note(text: str) -> str:
    return f'<div class="note">{html.escape(text, quote=False)}</div>'


def _over(picture: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The picture lit by a weight in [0, 1] (h, w), brought to its size."""
    import cv2

    height, width = picture.shape[:2]
    full = cv2.resize(weight.clip(0, 1), (width, height), interpolation=cv2.INTER_LINEAR)
    return large((picture * (0.15 + 0.85 * full[..., None])).round().astype(np.uint8))


def _added(found: Found) -> str:
    shown = [
        (large(colour_map(r.picture, 0.0, float(r.picture.max()))), r.block)
        for r in found.residuals
    ]
    steps = range(1, len(found.residuals[0].norm) + 1)
    curves = ""
    for start in range(0, len(found.residuals), 4):
        series = {
            r.block: list(zip(steps, r.norm.tolist(), strict=True))
            for r in found.residuals[start : start + 4]
        }
        curves += charts.lines(series, "Root mean square of what is added", "step")
    return markup.pictures(shown, least_px=150) + curves


def _zero(nothing: ZeroConvolution | str) -> str:
    if isinstance(nothing, str):
        return _note(nothing)
    rows = [
        (block, f"{before:g}", f"{after:.4f}")
        for block, before, after in zip(
            nothing.blocks, nothing.untrained, nothing.trained, strict=True
        )
    ]
    about = (
        "The control's answers leave through 1×1 convolutions that begin as zeros: before training "
        "they add exactly nothing, and the U-Net paints as if there were no control."
    )
    table = markup.table(rows, ("Behind", "untrained", "trained"), ("", "n", "n"))
    return _note(about) + table


def _guidance(painted: Painted, found: Found) -> str:
    schedule = {
        "ᾱ": [(t, float(found.schedule[t])) for t in range(0, len(found.schedule), 20)],
        "the steps taken": [(int(t), float(found.schedule[t])) for t in found.times[::-1]],
    }
    left = charts.lines(schedule, "Share of the picture's power that is left", "time t")
    if painted.result.settings.guidance <= 1:
        return _note("At 1 there is no guidance: ε = ε_c, and ε∅ isn't asked.") + left
    steps = range(1, len(found.guidance) + 1)
    series = {
        "ε_c − ε∅: what the words change": list(
            zip(steps, found.guidance[:, 0].tolist(), strict=True)
        ),
        "ε: the noise that is taken": list(zip(steps, found.guidance[:, 1].tolist(), strict=True)),
    }
    return charts.lines(series, "Guidance: root mean squares", "step") + left


def _step(painted: Painted, found: Found) -> str:
    a = found.arithmetic
    if a is None:
        return _note("Choose the DDIM scheduler to see a step written out.")
    s = painted.result.settings.guidance
    guided = (
        f"ε = ε∅ + s (ε_c − ε∅) = {a.eps_none:.4f} + {s:g} ({a.eps_words:.4f} − {a.eps_none:.4f})"
    )
    lines = [
        f"Step {a.step}, t = {a.t}, channel {a.place[0]}, row {a.place[1]}, column {a.place[2]}",
        f"x_t = {a.x_t:.4f}    ᾱ_t = {a.alpha:.4f}    ᾱ_next = {a.alpha_next:.4f}",
        f"{guided if s > 1 else 'ε = ε_c'} = {a.eps:.4f}",
        f"x₀ = (x_t − √(1 − ᾱ_t) ε) / √ᾱ_t = {a.x0:.4f}",
        f"x_next = √ᾱ_next x₀ + √(1 − ᾱ_next) ε = {a.x_next:.4f}",
    ]
    return f'<pre class="written">{html.escape(chr(10).join(lines))}</pre>'
