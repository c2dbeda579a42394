"""The panels of the ControlNet tab: the pair, its film, all maps, sweeps, scores, files."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from core import figures, images, runtime
from core.control.film import film
from core.control.hints import all_hints
from core.control.run import COMPARE_HELP, Given, Painted, SourceSettings, source
from core.control.run import compare as run_compare
from core.control.scoring import named, share
from core.control.sweep import AXES, Cell, sweep, values_of
from core.control.types import KINDS, ControlSettings, Step
from core.types import InputError
from demos import markup, shelf, ui
from demos.markup import large

FROM_STEREO = "Stereo: depth"  # as the shelf has it
FRAMES = 10  # of the film


def given(
    request: gr.Request, where: SourceSettings, path: str | None, drawn: dict | None = None
) -> Given:
    """What the person handed in, as far as this source uses it; drawn: an ImageEditor's value."""
    own = where.control_source in ("picture", "map")
    found = Given(images.load(path) if own and path else None)
    item = shelf.of(request, shelf.Depth).get(FROM_STEREO)
    if where.control_source == "stereo" and item is not None:
        with np.load(item.path) as held:
            found = Given(held["picture"], held["depth"], bool(held["inverse"]))
    strokes = None
    for layer in (drawn or {}).get("layers") or []:
        layer = np.asarray(layer)
        strokes = layer if strokes is None else np.where(layer[..., 3:] > 127, layer, strokes)
    return replace(found, strokes=strokes)


def lora_of(few: bool, file: str | None) -> Path | None:
    """The LoRA that the page asks for: LCM's from the hub, a file, or none."""
    return Path("lcm") if few else Path(file) if file else None


def name(kind: str) -> str:
    return KINDS[kind].partition(" (")[0]


def preview(step: Step) -> str:
    """What a step would end in."""
    how = "with control" if step.controlled else "without control"
    shown = ((large(image), f"Step {step.step} of {step.total}, {how}") for image in step.guess)
    return markup.pictures(shown, least_px=230)


def headline(found: Painted) -> str:
    """Agreement with and without control, and what a person should know."""
    result = found.result
    with_it, without = share(result.agreement), share(result.baseline_agreement)
    said = f"<b>{len(result.images)} picture{'s' * (len(result.images) > 1)}</b> in {result.seconds:.1f} s. "
    if not math.isnan(with_it):
        said += (
            f"Agreement with the {name(found.hint.kind).lower()}: <b>{with_it:.2f}</b> with control"
        )
        said += "." if math.isnan(without) else f", {without:.2f} without."
    prompt = _prompt(found)
    said = f'<div class="note">“{html.escape(prompt)}”</div>{said}' if prompt else said
    notes = [note for note in (found.hint.note, *result.notes) if note]
    return (
        f'<div aria-live="polite">{said}'
        + "".join(f'<div class="note">{html.escape(note)}</div>' for note in notes)
        + "</div>"
    )


def _prompt(found: Painted) -> str:
    return found.result.settings.prompt


def pair(found: Painted) -> str:
    """Source, map, and each picture with and without control."""
    result = found.result
    shown = [(large(found.source.picture), "Picture"), (large(result.hints[0].map), "Map")]
    several = len(result.images) > 1
    for k, image in enumerate(result.images):
        which = f" {k + 1}" if several else ""
        shown.append((large(image), f"With control{which}"))
        if result.baseline is not None:
            shown.append((large(result.baseline[k]), f"Without{which}, same noise"))
    return markup.pictures(shown, least_px=230)


def score_text(found: Painted) -> str:
    """Agreement of every picture, and what of the words is in it."""
    result = found.result
    rows = []
    for k, image in enumerate(result.images):
        rows.append(_row(f"{k + 1}, with control", image, result.agreement[k], result.settings))
        if result.baseline is not None:
            rows.append(
                _row(
                    f"{k + 1}, without",
                    result.baseline[k],
                    result.baseline_agreement[k],
                    result.settings,
                )
            )
    head = ("Picture", "Agreement", "Named things: colour, shape")
    meaning = (
        "Agreement is the picture's own map against the given one: F1 of edges within 2 px at 512 px "
        "and at least 1 px, rank "
        "correlation of depth, mean IoU of regions. Pictures of the shipped model are read by a net "
        "trained on real renders; its hit rate is in the model's card."
    )
    return markup.table(rows, head, ("", "n", "why")) + f'<div class="note">{meaning}</div>'


def _row(
    title: str, image: np.ndarray, agreement: float, settings: ControlSettings
) -> tuple[str, str, str]:
    seen = named(image, settings.prompt, settings.model)
    if settings.model != "tiny-sd":
        words = "only pictures of tiny-sd can be read"
    elif seen is None:
        words = "the prompt is in words that can't be checked"
    else:
        words = "; ".join(
            f"{one.look.colour} {one.look.shape}: "
            + ("both right" if one.shape else "colour only" if one.colour else "not there")
            for one in seen
        )
    return title, markup.number(agreement), words


class Film:
    """x₀ at every step over the map: decoded when its tab is opened or asked for."""

    def __init__(self, state: gr.State):
        gr.Markdown(
            "What the picture would be if all the noise that the net sees went at once, step by "
            "step: first the large, then the small."
        )
        self.button = gr.Button("Show the film", elem_classes="job", size="sm")
        self.status = ui.text(elem_classes="status")
        self.shown = ui.text()
        self.outputs = [self.shown]
        self.button.click(
            ui.guard(self._draw, self.status), [state], [self.status, self.shown],
            api_visibility="private", show_progress="minimal",
        )  # fmt: skip

    def show(self, found: Painted) -> dict:
        return {self.shown: ""}

    def _draw(self, found: Painted | None) -> dict:
        if found is None:
            raise InputError("There is no result yet. Press Paint first.")
        return {self.shown: "".join(markup.pictures(row, least_px=104) for row in strips(found))}


def strips(found: Painted) -> list[list[tuple[np.ndarray, str]]]:
    """Rows of the film: with control, laid half over the map; with control; without."""
    rows = []
    for title, kept in film(found.result, FRAMES):
        rows.append([(large(image), f"{title}, step {k}") for k, image in kept])
    return rows


class Maps:
    """Every offline map of the picture, in a grid."""

    def __init__(self, made: ui.Controls, picture: Any):
        gr.Markdown("Every map that can be made of the picture without a network.")
        button = gr.Button("Make them all", elem_classes="job", size="sm")
        status, shown = ui.text(elem_classes="status"), ui.text()

        def draw(request: gr.Request, path: str | None, *values: Any) -> dict:
            where, how, _ = made.read(values)
            handed = given(request, where, path)
            found = source(where, handed)
            hints = all_hints(found.picture, how, depth=handed.depth, inverse=handed.inverse)
            hints |= found.exact
            return {shown: markup.pictures(
                (large(hint.map), name(kind) + (" (exact)" if hint.exact else ""))
                for kind, hint in hints.items()
            )}  # fmt: skip

        button.click(
            ui.guard(draw, status), [picture, *made.inputs], [status, shown],
            api_visibility="private", show_progress="minimal",
        )  # fmt: skip


def compare(made: ui.Controls, handed_in: Sequence[Any], state: gr.State) -> None:
    """The Compare panel: kinds of control side by side, and any two settings in a grid. handed_in:
    the widgets of picture, drawing, LCM LoRA and LoRA file."""
    kinds = {
        kind: name(kind)
        for kind in ("edges", "soft", "lineart", "scribble", "depth", "segmentation")
    }
    with ui.panel("Compare"), gr.Tabs():
        with gr.Tab("Kinds of control"):
            grid = ui.Compare("controlnet", kinds, ("edges", "depth", "segmentation"), COMPARE_HELP)

            def work(
                request: gr.Request, chosen: list[str], path: str | None, drawn: dict | None,
                few: bool, file: str | None, *values: Any,
            ) -> Iterator:  # fmt: skip
                where, how, settings = made.read(values)
                handed = replace(given(request, where, path, drawn), lora=lora_of(few, file))
                yield from runtime.stream(run_compare, where, tuple(chosen), how, settings, handed)

            grid.wire(work, [*handed_in, *made.inputs], keyed=True)
        with gr.Tab("Sweep two settings"):
            _sweep(state)


def _sweep(state: gr.State) -> None:
    titles = [(title, key) for key, title in AXES.items()]
    with gr.Row():
        across = gr.Dropdown(titles, value="scale", label="Across", info="One column a value.")
        along = gr.Textbox("0, 0.5, 1, 1.5", label="Its values", info="Prompts are parted by |.")
        down = gr.Dropdown(titles, value="seed", label="Down", info="One row a value.")
        below = gr.Textbox("0, 1", label="Its values", info="Empty: a single row.")
    job = ui.Job("Sweep", "controlnet-sweep")
    shown = ui.text()

    def work(found: Painted | None, x: str, xs: str, y: str, ys: str) -> Iterator:
        if found is None:
            raise InputError("There is no result yet. Press Paint first.")
        columns = values_of(x, xs)
        rows = values_of(y, ys) if ys.strip() else ()
        cells: list[Cell] = []
        settings, lora = found.result.settings, found.given.lora
        for event in runtime.stream(
            sweep, found.result.hints, settings, (x, columns), (y, rows), lora=lora
        ):
            if isinstance(event, runtime.Part):
                cells.append(event.value)
                yield runtime.Part((x, columns, y, rows, tuple(cells)))
            elif isinstance(event, runtime.Tick):
                yield event

    def show(value: tuple) -> dict:
        return {shown: _grid(*value)}

    job.wire(work, show, [state, across, along, down, below], [shown])


def _grid(x: str, columns: tuple, y: str, rows: tuple, cells: tuple[Cell, ...]) -> str:
    """A labelled grid of pictures."""
    place = {(cell.row, cell.column): cell for cell in cells}
    head = "".join(f"<th>{html.escape(f'{AXES[x]} {value}')}</th>" for value in columns)
    body = ""
    for r, value in enumerate(rows or ("",)):
        label = html.escape(f"{AXES[y]} {value}") if rows else ""
        found = ""
        for c in range(len(columns)):
            cell = place.get((r, c))
            if cell is None:
                found += "<td></td>"
                continue
            score = "" if math.isnan(cell.agreement) else f"{cell.agreement:.2f}"
            uri = markup.data_uri(large(cell.image), lossless=True)
            found += f'<td><img src="{uri}" alt="{label} {html.escape(str(columns[c]))}"><br>{score}</td>'
        body += f"<tr><th>{label}</th>{found}</tr>"
    return f'<div class="scroll"><table class="facts sweep"><tr><th></th>{head}</tr>{body}</table></div>'


def write_files(found: Painted, folder: Path) -> list[Path]:
    """Everything to take away: figure, pictures, map, script."""
    result, recipe = found.result, found.result.recipe
    shown = [("Map", result.hints[0].map), ("With control", result.images[0])]
    if result.baseline is not None:
        shown.append(("Without control", result.baseline[0]))
    figure = figures.picture_figure(shown, _prompt(found), recipe, columns=len(shown))
    paths = figures.save(figure, folder, "figure", recipe)
    for k, image in enumerate(result.images):
        paths.append(figures.write_png(image, folder / f"with-{k + 1}.png", recipe))
        if result.baseline is not None:
            paths.append(figures.write_png(result.baseline[k], folder / f"without-{k + 1}.png"))
    for title, hint in zip(recipe.inputs, (found.hint, *found.given.more), strict=True):
        paths.append(figures.write_png(hint.map, folder / f"{title}.png"))
    script = folder / "controlnet.py"
    script.write_text(recipe.code(), encoding="utf-8")
    return [*paths, script]
