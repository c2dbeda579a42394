"""Look inside the Inpainting tab: what each method did to get there."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np

from core import runtime
from core.inpainting import inpaint, levels
from core.inpainting.deep_prior import best_stop
from core.inpainting.painted import MANNERS, in_latent
from core.inpainting.patch import PatchStep
from core.inpainting.repaint import places
from core.inpainting.run import Filled
from core.inpainting.types import DIFFUSION, InpaintResult
from core.metrics import psnr
from core.runtime import stage
from core.scenes.gallery import flow_colours
from core.types import InputError, Progress
from demos import charts, markup, ui
from demos.inpainting_panels import crop
from demos.markup import large

STRENGTHS = (0.25, 0.5, 0.75, 1.0)
ADDED = 3  # how much larger the learned filler's part is shown
NOTHING = {
    "telea": "Telea walks from the edge inwards, one pixel at a time. Each becomes a weighted mean of "
    "known ones around it, those straight out from the edge counting most. There are no rounds "
    "to show: it is done in one pass.",
    "navier-stokes": "Lines of equal brightness are led into the hole as a fluid would flow, until "
    "they are steady. OpenCV shows nothing on the way.",
    "biharmonic": "One system of linear equations: the Laplacian of the Laplacian is 0 in the hole. "
    "Colour and slope fit at the edge, and in between nothing bends more than it must.",
    "lama": "One pass through a net whose layers see the whole picture at once, by its Fourier "
    "transform. There are no steps to show.",
}


class Inside:
    """The Look inside panel: drawn when asked for."""

    def __init__(self, state: gr.State):
        with ui.panel("Look inside"):
            job = ui.Job("Look inside", "inpainting-inside")
            shown = ui.text()
        self.outputs = [shown]

        def work(found: Filled | None) -> Iterator:
            if found is None:
                raise InputError("There is no result yet. Press Fill first.")
            yield from runtime.stream(_look, found)

        job.wire(work, lambda text: {shown: text}, [state], [shown])

    def show(self, found: Filled) -> dict:
        return dict.fromkeys(self.outputs, "")


def _look(found: Filled, progress: Progress) -> str:
    method = found.result.settings.method
    if method == "patch":
        return _patches(found)
    if method == "deep-prior":
        return _prior(found)
    if method == "learned":
        return _learned(found)
    if method in DIFFUSION:
        return _diffusion(found, progress)
    return f"<p>{html.escape(NOTHING[method])}</p>"


def _note(text: str) -> str:
    return f'<div class="note">{html.escape(text)}</div>'


def _film(found: Filled) -> str:
    near = crop(found.result.mask)
    return markup.pictures(
        (
            (large(step.image[near]), f"Step {step.step} of {step.total}")
            for step in found.result.steps
        ),
        least_px=130,
    )


def _patches(found: Filled) -> str:
    """Where each hidden patch has its partner, round by round."""
    rows = []
    for step in found.result.steps:
        inside = step.inside
        assert isinstance(inside, PatchStep)
        title = f"Level {inside.level}, round {inside.round}"
        rows.append((large(_offsets(inside, found.result.mask)), title))
    return (
        _note(
            "Each hidden pixel's patch has a partner outside the hole; its offset is shown as a "
            "colour (direction) and saturation (distance). Even areas are pieces copied whole; "
            "their borders are seams. Level 0 is the picture itself, each further one half as large."
        )
        + markup.pictures(rows, least_px=130)
        + _note("The hole meanwhile:")
        + _film(found)
    )


def _offsets(step: PatchStep, mask: np.ndarray) -> np.ndarray:
    """The offset field around the hole, (h, w, 3) uint8; grey where nothing is hidden."""
    factor = 2**step.level
    part = tuple(slice(s.start // factor, -(-s.stop // factor)) for s in crop(mask))
    return flow_colours(step.offsets[part])


def _prior(found: Filled) -> str:
    """How the fit went, and where it would have been best to stop."""
    result, truth = found.result, found.source.truth
    points = [(step.step, step.loss) for step in result.steps]
    text = charts.lines({"known pixels": points}, "Mean square error of the fit", "iteration")
    if truth is None:
        text += _note("Nobody knows what was hidden, so nobody knows when to stop: hide a part of "
                      "an intact picture to see it.")  # fmt: skip
    else:
        scores, best = best_stop(result.steps, truth, result.mask)
        points = [(s.step, float(v)) for s, v in zip(result.steps, scores, strict=True)]
        text += charts.lines({"in the hole": points}, "PSNR in dB", "iteration")
        text += _note(
            f"Best of the steps shown: {result.steps[best].step}, with {scores[best]:.2f} dB; the "
            f"last has {scores[-1]:.2f} dB. Where the error still falls and the hole gets no better, "
            "the net is learning the known pixels' noise."
        )
    return text + _film(found)


def _learned(found: Filled) -> str:
    """The membrane that the net was given, and what it added."""
    result, picture, truth = found.result, found.source.picture, found.source.truth
    near, mask = crop(result.mask), result.mask
    skin = levels.filled(picture.astype(np.float32), mask).clip(0, 255).round().astype(np.uint8)
    added = np.clip(128 + ADDED * (result.image - skin.astype(int)), 0, 255).astype(np.uint8)
    rows = [
        (skin, "A membrane"),
        (added, f"What the net adds, {ADDED} times; grey is nothing"),
        (result.image, "Both"),
    ]
    text = _note(
        "A membrane carries the colours at the edge across the hole and levels whatever crosses it. "
        "The net was shown thousands of holes and what had been there; it adds edges that end at "
        "both sides. Far from any known pixel it has nothing to add."
    ) + markup.pictures(((large(one[near]), title) for one, title in rows))
    if truth is not None:
        before, after = (psnr(one[mask], truth[mask]) for one in (skin, result.image))
        text += _note(f"In the hole: {before:.2f} dB before, {after:.2f} dB after.")
    return text


def _diffusion(found: Filled, progress: Progress) -> str:
    """The film, the mask as the latent has it, and what strength does."""
    result = found.result
    near = crop(result.mask)
    seen, factor = in_latent(result.mask, result.settings)
    coarse = places(seen, factor)
    rows = [
        (large(_grey(seen)), f"The mask as the model sees it, {seen.shape[1]}×{seen.shape[0]} px"),
        (large(_grey(coarse)), f"In the latent, {coarse.shape[1]}×{coarse.shape[0]} places"),
    ]
    text = _note("What the model guesses the picture to be, step by step:") + _film(found)
    text += _note(
        f"A latent place is {factor}×{factor} px. It is painted anew if any pixel under it is hidden: "
        f"{seen.mean():.1%} of the pixels are {coarse.mean():.1%} of the places."
    ) + markup.pictures(rows, least_px=180)
    if result.settings.method in MANNERS and not MANNERS[result.settings.method].strength:
        return text + _note(
            "This model has no strength to compare: its hole always begins as noise alone."
        )
    shown = [
        (large(one.image[near]), f"Strength {one.settings.strength:g}")
        for one in _strengths(found, progress)
    ]
    return (
        text
        + _note(
            "Strength is the share of the noise that the hole begins with. With little of it the first "
            "guess shows through; with all of it nothing of that is left, and words and surroundings "
            "alone decide."
        )
        + markup.pictures(shown, least_px=180)
    )


def _grey(mask: np.ndarray) -> np.ndarray:
    return np.dstack([np.where(mask, 255, 40).astype(np.uint8)] * 3)


def _strengths(found: Filled, progress: Progress) -> Iterator[InpaintResult]:
    settings: Any = found.result.settings
    for k, strength in enumerate(STRENGTHS):
        part = stage(progress, k / len(STRENGTHS), (k + 1) / len(STRENGTHS))
        yield inpaint(
            found.source.picture, found.result.mask, replace(settings, strength=strength), part
        )
