"""The Fit one image panel of the NeRF tab: what an encoding does, without the third dimension."""

from __future__ import annotations

import functools
import html
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
import numpy as np

from core import images, runtime, scenes
from core.metrics import psnr
from core.nerf.picture import PictureSnapshot, busiest, octaves, several
from core.nerf.picture_field import (
    ENCODING_HELP,
    ENCODINGS,
    PictureField,
    PictureSettings,
    draw,
)
from core.runtime import Done, Part, Tick
from core.types import InputError
from demos import charts, markup, ui
from demos.widgets.photo import photo

MAX_SIDE_PX = 192  # of the picture that is learned
ZOOM = 4  # points drawn between pixels, along a side
SWEEPS = {"encodings": "Four encodings", "frequencies": "Four L", "omega": "Four ω"}
SWEPT_L, SWEPT_OMEGA = (0, 2, 5, 9), (3.0, 10.0, 30.0, 100.0)
States = dict[str, PictureSnapshot]
Curves = dict[str, list[tuple[float, float]]]


@dataclass(frozen=True)
class Fitted:
    """What the page shows of a run: the picture, its busiest window, all fields as they are now,
    a cell of HTML for each, and their PSNR against seconds."""

    image: np.ndarray
    window: tuple[float, float, float, float]
    states: States
    cells: Mapping[str, str]
    curves: Curves


def panel(slug: str = "nerf") -> None:
    """The Fit one image panel, drawn here."""
    with ui.panel("Fit one image"):
        gr.Markdown(
            "A network is asked for the colour at (x, y) and learns one picture. Four of them train "
            "on the same clock; below each, its busiest part is drawn four times as fine as the "
            "pixels it was taught, so you see what it makes up between them."
        )
        with gr.Row():
            with gr.Column(min_width=240):
                picture = photo("Your picture, or none for a rendered one")
            with gr.Column(min_width=240):
                by = gr.Radio(
                    [(title, key) for key, title in SWEEPS.items()],
                    value="encodings", label="Side by side", info="What the four differ in.",
                )  # fmt: skip
                settings = ui.Controls(PictureSettings)
                settings.draw("picture_seconds")
            with gr.Column(min_width=240):
                settings.draw_rest()
        job = ui.Job("Fit the picture", f"{slug}-picture")
        grid = ui.text()
        gr.Markdown(
            "**Spectral bias.** All learn the slow octaves almost at once; the fast ones tell them "
            "apart (Rahaman et al. 2019, Tancik et al. 2020). Sines faster than the pixels can "
            "show, as with L = 9, fit the pixels and run wild between them. SIREN: Sitzmann et al. "
            "2020; hash grid: Müller et al. 2022."
        )
        curves = ui.text()
        kept = gr.Slider(
            0, 12, value=12, step=0.5, label="Frequencies kept",
            info="Hide the fast sines, or the fine levels of the hash grid, of what was learned.",
        )  # fmt: skip
        hidden = ui.text()
        state = gr.State()

        def work(path: str | None, sweep: str, *values: Any) -> Iterator[Tick | Part | Done]:
            (chosen,) = settings.read(values)
            yield Tick(0.0, "opening the picture", 0.0, None)
            yield from fitted(opened(path), side_by_side(sweep, chosen))

        def show(made: Fitted) -> dict:
            return {
                state: made,
                grid: _grid(made),
                curves: f'<div class="pictures">{_curve(made.curves)}{_bands(made)}</div>',
            }

        job.wire(work, show, [picture, by, *settings.inputs], [state, grid, curves])
        job.go.click(lambda: "", None, hidden, **ui.QUIET)
        kept.input(
            ui.guard(lambda made, most: {hidden: _hidden(made, most)}, job.status),
            [state, kept], [job.status, hidden], trigger_mode="always_last", **ui.QUIET,
        )  # fmt: skip


# ---------------------------------------------------------------- work


def opened(path: str | None) -> np.ndarray:
    """The person's picture, reduced to MAX_SIDE_PX, or the rendered one. Raises InputError."""
    if path is None:
        return _rendered()
    return images.fit(images.load(path, "The picture"), MAX_SIDE_PX)[0]


@functools.cache
def _rendered() -> np.ndarray:
    scene = scenes.scene("tabletop")
    return scenes.render(scene, scenes.start_camera(scene, 160, 120)).rgb


def side_by_side(sweep: str, settings: PictureSettings) -> dict[str, PictureSettings]:
    """Four settings by title, which differ in what sweep (a key of SWEEPS) says."""
    if sweep == "frequencies":
        sines = replace(settings, picture_encoding="sines")
        return {f"L = {L}": replace(sines, picture_frequencies=L) for L in SWEPT_L}
    if sweep == "omega":
        siren = replace(settings, picture_encoding="siren")
        return {f"ω = {omega:g}": replace(siren, picture_omega=omega) for omega in SWEPT_OMEGA}
    return {title: replace(settings, picture_encoding=key) for key, title in ENCODINGS.items()}


def fitted(
    image: np.ndarray, settings: Mapping[str, PictureSettings]
) -> Iterator[Tick | Part | Done]:
    """`several`, streamed as what the page shows; only the field that moved is drawn anew."""
    window = busiest(image)
    states: States = {}
    cells: dict[str, str] = {}
    curves: Curves = {title: [] for title in settings}
    for event in runtime.stream(several, image, settings):
        if not isinstance(event, Part):
            last = Fitted(image, window, states, cells, curves)
            yield Done(last) if isinstance(event, Done) else event
            continue
        for title, snapshot in event.value.items():
            if snapshot is not states.get(title):
                cells = cells | {title: _cell(title, snapshot, window)}
                point = (snapshot.seconds, snapshot.psnr)
                curves = curves | {title: [*curves[title], point]}
        states = event.value
        yield Part(Fitted(image, window, states, cells, curves))


# ---------------------------------------------------------------- words and pictures


def _grid(made: Fitted) -> str:
    height, width = made.image.shape[:2]
    left, top, right, bottom = made.window
    rows = slice(round(top * height), round(bottom * height))
    part = made.image[rows, round(left * width) : round(right * width)]
    truth = _figure(
        _img(made.image, "The picture")
        + _img(part, "Its busiest part", crisp=True),
        "The picture", f"{width}×{height} px, and its busiest part",
    )  # fmt: skip
    return _cells("auto-fit", 135, [truth, *made.cells.values()])


def _cells(fit: str, least_px: int, figures: Iterable[str]) -> str:
    columns = f"repeat({fit},minmax(min(100%,{least_px}px),1fr))"
    return f'<div class="pictures" style="grid-template-columns:{columns}">{"".join(figures)}</div>'


def _cell(title: str, snapshot: PictureSnapshot, window: tuple[float, ...]) -> str:
    chosen = snapshot.field.settings
    by_encoding = title in ENCODINGS.values()
    return _figure(
        _img(snapshot.preview, title) + _img(_zoomed(snapshot.field, window), f"{title}, zoomed"),
        f"{title} · {markup.number(snapshot.psnr, 'dB')}",
        f"{snapshot.step:,} steps · {snapshot.field.numbers:,} numbers. "
        + (ENCODING_HELP[chosen.picture_encoding] if by_encoding else ""),
    )


def _zoomed(field: PictureField, window: Any) -> np.ndarray:
    width, height = (
        max(1, round(ZOOM * side * (window[k + 2] - window[k])))
        for k, side in enumerate(field.size)
    )
    return draw(field, (width, height), window=window)


def _figure(inner: str, title: str, words: str) -> str:
    return (
        f"<figure>{inner}<figcaption><b>{html.escape(title)}</b><br>{html.escape(words)}"
        "</figcaption></figure>"
    )


def _img(image: np.ndarray, alt: str, *, crisp: bool = False) -> str:
    height, width = image.shape[:2]
    style = "image-rendering:pixelated;" if crisp else ""
    return (
        f'<img src="{markup.data_uri(image, lossless=crisp)}" alt="{html.escape(alt)}" '
        f'style="{style}aspect-ratio:{width}/{height};margin-bottom:6px">'
    )


def _curve(curves: Curves) -> str:
    known = [y for points in curves.values() for _, y in points if math.isfinite(y)]
    low, high = (math.floor(min(known)), math.ceil(max(known))) if known else (0, 1)
    return charts.lines(
        curves, "PSNR of the whole picture, dB", "seconds of training, each",
        y_range=(low, max(high, low + 1)),
    )  # fmt: skip


def _bands(made: Fitted) -> str:
    found = {
        title: [
            (math.log2(cycles), max(share, 0.0))
            for cycles, share in octaves(made.image, s.preview)
            if not math.isnan(share)
        ]
        for title, s in made.states.items()
    }
    return charts.lines(
        found, "Share learned of each octave, slow to fast", "log₂ of cycles across the picture",
        y_range=(0, 1), x_step=1,
    )  # fmt: skip


def _hidden(made: Fitted | None, most: float) -> str:
    """Those fields that have frequencies or levels, without the ones above `most`."""
    if made is None:
        raise InputError("There is nothing to hide yet. Press Fit the picture first.")
    shown = []
    for title, snapshot in made.states.items():
        if snapshot.field.settings.picture_encoding in ("sines", "hash"):
            picture = draw(snapshot.field, shown=most)
            db = markup.number(psnr(picture, made.image), "dB")
            shown.append(_figure(_img(picture, title), f"{title} · {db}", f"{most:g} kept"))
    if not shown:
        return "<p>These have no list of frequencies: there is nothing to hide.</p>"
    return _cells("auto-fill", 220, shown)
