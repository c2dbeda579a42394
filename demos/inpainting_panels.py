"""The panels of the Inpainting tab: before and after, the hole large, methods and seeds, scores."""

from __future__ import annotations

import html
import math
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from core import figures, images, models, runtime
from core.diffusion import MODELS
from core.diffusion.loading import missing
from core.inpainting import MODELS as NETS
from core.inpainting import lama
from core.inpainting.painted import frame_of
from core.inpainting.run import COMPARE_HELP, Filled, seeds, spread, worded
from core.inpainting.run import compare as run_compare
from core.inpainting.scoring import SCORE_HELP
from core.inpainting.sources import Source, source
from core.inpainting.types import METHODS, OFFLINE, InpaintResult, InpaintStep
from core.inpainting.windows import box
from core.metrics import psnr
from core.stereo.pictures import colour_map
from core.types import InputError
from demos import markup, ui
from demos.markup import large

TINT = np.array((255, 45, 85), np.float32)  # of what is hidden
MARGIN = 0.5  # around the hole where it is shown large, in its own lengths
GAIN = 4  # of differences, to be seen
PREVIEW_PX, PREVIEW_S = 800, 0.5  # the longer side of a preview, and the time between two
SHOWN_PX = 1600  # the longer side of a picture on the page; Take away has every pixel
ABOUT = {
    "patch": "Copies pieces from the rest of the picture. For photos.",
    "telea": "Carries colours in from the edge: quick, smooth.",
    "navier-stokes": "Carries lines of equal brightness in from the edge: quick, smooth.",
    "biharmonic": "The smoothest surface that fits the edge in colour and slope.",
    "deep-prior": "A net that has seen nothing but this picture. Half a minute and more.",
    "learned": "A small shipped net that adds to a membrane what that lacks. A second.",
    "repaint": "The shipped diffusion model, held to what is known. It knows toys on a floor.",
    "lama": "A net trained on photographs, from the hub.",
}


def name(method: str) -> str:
    return METHODS[method].partition(" (")[0]


def about(method: str) -> str:
    """What fills the hole; of a model from the hub also what it takes, or what is missing for it."""
    told, spec = ABOUT.get(method, ""), {**NETS, **MODELS}.get(method)
    if spec is None:
        return told
    if method in MODELS:
        lacking = missing(method, task="inpaint")
    else:
        lacking = models.missing(spec, instead=lama.INSTEAD)
    return f"{told} {spec.note} {lacking or spec.about + '.'}".strip()


def tinted(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The picture with what is hidden in colour."""
    seen = image.astype(np.float32)
    seen[mask] = 0.45 * seen[mask] + 0.55 * TINT
    return seen.round().astype(np.uint8)


def preview(step: InpaintStep) -> str:
    """The whole picture, a large one reduced: steps are many."""
    small, _ = images.fit(step.image, PREVIEW_PX)
    return markup.pictures([(large(small), f"Step {step.step} of {step.total}")])


def sparse(events: Generator[Any, None, None]) -> Iterator[Any]:
    """The events, with a step only every PREVIEW_S seconds, and the result once, in Done."""
    shown = time.perf_counter()
    with closing(events):
        for event in events:
            if isinstance(event, runtime.Part):
                soon = time.perf_counter() - shown < PREVIEW_S
                if soon or not isinstance(event.value, InpaintStep):
                    continue
                shown = time.perf_counter()
            yield event


def headline(found: Filled) -> str:
    """What was filled, how well, and what a person should know."""
    result = found.result
    share = float(result.mask.mean())
    said = f"<b>{share:.1%} of the picture filled</b> in {result.seconds:.1f} s. "
    if found.scores:
        said += f"In the hole: <b>{markup.number(found.scores['psnr'], 'dB')}</b>. "
    said += f"Pixels changed outside it: <b>{result.changed_outside}</b>."
    notes = "".join(f'<div class="note">{html.escape(note)}</div>' for note in result.notes)
    return f'<div aria-live="polite">{said}{notes}</div>'


def slider(found: Filled) -> tuple[np.ndarray, np.ndarray]:
    """The picture before and after, as large as a page needs."""
    before, after = found.source.picture, found.result.image
    return images.fit(before, SHOWN_PX)[0], images.fit(after, SHOWN_PX)[0]


def before_after(found: Filled) -> str:
    """What was hidden, then the hole alone, large."""
    source, result = found.source, found.result
    near = crop(result.mask)
    after = result.image[near]
    before, called = (
        (source.picture[near], "The hole, before")
        if source.truth is None
        else (source.truth[near], "The hole, in truth")
    )
    shown = [
        (tinted(source.picture, result.mask), "What is hidden, in colour"),
        (after, f"The hole, after: {name(result.settings.method)}"),
        (before, called),
        (difference(after, before), f"Difference of the two, {GAIN} times"),
    ]
    return markup.pictures(
        ((large(images.fit(picture, SHOWN_PX)[0]), title) for picture, title in shown), least_px=230
    )


def crop(mask: np.ndarray) -> tuple[slice, slice]:
    """The hole and some of what is around it."""
    found = []
    for side, size in zip(box(mask), mask.shape, strict=True):
        margin = max(4, round(MARGIN * (side.stop - side.start)))
        found.append(slice(max(0, side.start - margin), min(size, side.stop + margin)))
    return found[0], found[1]


def difference(image: np.ndarray, other: np.ndarray) -> np.ndarray:
    """GAIN times the difference around grey."""
    apart = image.astype(np.float32) - other
    return np.clip(127.5 + GAIN * apart, 0, 255).round().astype(np.uint8)


def score_text(found: Filled) -> str:
    """Every score with its meaning; of a diffusion model, what its autoencoder alone loses."""
    result, source = found.result, found.source
    rows = [("Changed outside the mask", f"{result.changed_outside} px",
             "Pixels that differ from the picture as it came. Always 0.")]  # fmt: skip
    for key, (title, meaning, unit) in SCORE_HELP.items():
        if key in found.scores and key != "outside":  # it stands above
            rows.append((title, markup.number(found.scores[key], unit), meaning))
    text = markup.table(rows, ("", "", "What it means"), ("", "n", "why"))
    if found.scores:
        text += (
            '<div class="note">LPIPS is not computed: its weights do not come with Sightline.</div>'
        )
    else:
        text += (
            '<div class="note">Nobody knows what should be there. To score a method, hide a part of '
            "an intact picture: choose what you paint, to be restored, strokes, a box or an object of "
            "a scene under Hidden.</div>"
        )
    if result.autoencoder is not None:
        part = frame_of(result.mask, result.settings).part
        alone, seen = result.autoencoder[part], source.picture[part]
        text += (
            f'<div class="note">A diffusion model paints in a latent. Its autoencoder alone would '
            f"have brought the part that the model worked on back at {psnr(alone, seen):.1f} dB; "
            "therefore only the hole is taken from it.</div>"
        ) + markup.pictures(
            [(large(alone), "That part, through the autoencoder alone"),
             (large(difference(alone, seen)),
              f"What that would have changed, {GAIN} times")],
            least_px=230,
        )  # fmt: skip
    return text


class Comparison:
    """The Compare panel: methods on the same hole, and one method's seeds."""

    def __init__(self, made: ui.Controls, picture: Any, editor: Any):
        self.made, self.inputs = made, [picture, editor, *made.inputs]
        with ui.panel("Compare"), gr.Tabs():
            with gr.Tab("Methods"):
                methods = {key: name(key) for key in OFFLINE}
                self.grid = ui.Compare(
                    "inpainting", methods, ("patch", "telea", "biharmonic"), COMPARE_HELP,
                    most=len(methods),
                )  # fmt: skip
            with gr.Tab("Seeds"):
                gr.Markdown(
                    "Where several answers are possible, chance picks one. The spread shows where "
                    "the picture leaves it open."
                )
                self.count = gr.Slider(2, 8, value=4, step=1, label="Fillings")
                self.job = ui.Job("Fill them", "inpainting-seeds")
                self.shown = ui.text()

    def wire(self, given: Any) -> None:
        def found(path: str | None, painted: dict | None, values: Any) -> tuple[Source, Any]:
            where, settings = self.made.read(values)
            seen = source(where, given(where, path, painted))
            if seen.mask is None:
                raise InputError("Nothing is hidden yet. Paint over what should go.")
            return seen, worded(settings, seen.words)

        def by_methods(chosen: list[str], path: str | None, painted: dict | None, *values: Any):
            seen, settings = found(path, painted, values)
            yield from runtime.stream(
                run_compare, tuple(chosen), seen.picture, seen.mask, settings, seen.truth
            )

        def by_seeds(count: int, path: str | None, painted: dict | None, *values: Any) -> Iterator:
            seen, settings = found(path, painted, values)
            results: list[InpaintResult] = []
            for event in runtime.stream(
                seeds, seen.picture, seen.mask, settings, tuple(range(int(count)))
            ):
                if isinstance(event, runtime.Part):
                    results.append(event.value)
                    yield runtime.Part(tuple(results))
                elif isinstance(event, runtime.Tick):
                    yield event

        self.grid.wire(by_methods, self.inputs)
        self.job.wire(by_seeds, lambda results: {self.shown: _seeds(results)},
                      [self.count, *self.inputs], [self.shown])  # fmt: skip


def _seeds(results: tuple[InpaintResult, ...]) -> str:
    near = crop(results[0].mask)
    shown = [(large(r.image[near]), f"Seed {r.settings.seed}") for r in results]
    told = ""
    if len(results) > 1:
        apart = spread(results)
        high = max(1.0, float(apart.max()))
        shown.append((large(colour_map(apart[near], 0.0, high)), f"Spread, 0 to {high:.0f} of 255"))
        mean = math.sqrt(float((apart[results[0].mask] ** 2).mean()))
        told = f'<div class="note">The fillings differ by {mean:.1f} of 255 (standard deviation).</div>'
    return told + markup.pictures(shown, least_px=180)


def write_files(found: Filled, folder: Path) -> list[Path]:
    """Everything to take away: figure, filled picture, the picture and its mask, script."""
    result, source, recipe = found.result, found.source, found.result.recipe
    shown = [("Before", tinted(source.picture, result.mask)), ("After", result.image)]
    if source.truth is not None:
        shown.append(("Truth", source.truth))
    figure = figures.picture_figure(shown, name(result.settings.method), recipe, columns=len(shown))
    paths = figures.save(figure, folder, "figure", recipe)
    white = np.dstack([np.where(result.mask, 255, 0).astype(np.uint8)] * 3)
    paths.append(figures.write_png(result.image, folder / "filled.png", recipe))
    paths.append(figures.write_png(source.picture, folder / "picture.png"))
    paths.append(figures.write_png(white, folder / "mask.png"))
    script = folder / "inpainting.py"
    script.write_text(recipe.code(), encoding="utf-8")
    return [*paths, script]
