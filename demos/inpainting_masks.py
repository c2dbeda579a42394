"""The Inpainting tab's ways to a mask beside the brush: found, grown, brought along."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from core import figures, runtime
from core.inpainting import hub_masks, masks
from core.inpainting.sources import Given, source
from core.inpainting.windows import box
from core.types import InputError, Progress, silent
from demos import ui
from demos.inpainting_input import token
from demos.widgets.mask_editor import SMALL, MaskEditor

GivenBy = Callable[..., Given]


def painted_on(image: np.ndarray, mask: np.ndarray | None, made_for: str) -> dict | None:
    """The editor's value; a large picture stays a file, so that it doesn't travel with each event.
    made_for: see inpainting_input.token."""
    url = None
    if image.shape[0] * image.shape[1] > SMALL:
        url = ui.address(figures.write_png(image, ui.folder() / "picture.png"))
    return MaskEditor.value_of(image, mask, url, made_for)


@dataclass(frozen=True)
class _Found:
    """What a tool works on: picture (H, W, 3) uint8, mask (H, W) bool as it is painted now, the box
    x0, y0, x1, y1 px of the last stroke, or None, and the token of all that."""

    picture: np.ndarray
    mask: np.ndarray
    last: tuple[float, float, float, float] | None
    made_for: str


class Tools:
    """Buttons that make a mask or change the one that is painted; each lands in the editor, where it
    can be taken back."""

    def __init__(self, made: ui.Controls, picture: Any, editor: MaskEditor):
        self.made, self.picture, self.editor = made, picture, editor
        with gr.Accordion("More ways to a mask", open=False), gr.Tabs():
            with gr.Tab("Larger, smaller"):
                self.px = gr.Slider(1, 64, value=4, step=1, label="By", info="Pixels.")
                with gr.Row():
                    self.grow = gr.Button("Grow", size="sm", min_width=80)
                    self.shrink = gr.Button("Shrink", size="sm", min_width=80)
            with gr.Tab("Colour"):
                with gr.Row():
                    self.colour = gr.ColorPicker("#ffffff", label="Colour")
                    self.tolerance = gr.Slider(
                        0, 100, value=20, step=1, label="Tolerance",
                        info="ΔE in CIELAB: 2 can just be told apart, black is 100 from white.",
                    )  # fmt: skip
                self.by_colour = gr.Button("Mask this colour", size="sm")
            with gr.Tab("Cut out"):
                gr.Markdown(
                    "Paint roughly over a thing. GrabCut keeps what stands out in the box around "
                    "your paint; Segment Anything (hub) takes what the middle of your last stroke "
                    "lies on."
                )
                self.cut = gr.Button("GrabCut", size="sm", min_width=100)
                self.click = ui.Job("Segment Anything", "inpainting-click")
            with gr.Tab("Words"):
                self.words = gr.Textbox(label="What is to go", info="For CLIPSeg, from the hub.")
                self.by_words = ui.Job("Find it", "inpainting-words")
            with gr.Tab("File"):
                self.file = gr.File(label="A mask of the picture's size: white is filled",
                                    height=110, file_types=["image"])  # fmt: skip
                self.save = gr.Button("Save the mask", size="sm")
                self.saved = gr.File(label="mask.png", visible=False, interactive=False)

    def wire(self, given: GivenBy, status: Any) -> None:
        inputs = [self.picture, self.editor, *self.made.inputs]

        def found(path: str | None, painted: dict | None, *values: Any) -> _Found:
            where, _ = self.made.read(values)
            handed = given(where, path, painted)
            seen = source(where, handed)
            empty = np.zeros(seen.picture.shape[:2], bool)
            last = None if handed.mask is None else MaskEditor.last_of(painted)
            mask = empty if seen.mask is None else seen.mask
            return _Found(seen.picture, mask, last, token(where, path))

        def lands(seen: _Found, new: np.ndarray) -> dict:
            return {self.editor: painted_on(seen.picture, new, seen.made_for)}

        def on(event: Any, make: Callable[..., np.ndarray], *more: Any) -> None:
            """make(found, *values of more) is the new mask."""

            def handler(*values: Any) -> dict:
                seen = found(*values[len(more) :])
                return lands(seen, make(seen, *values[: len(more)]))

            event(ui.guard(handler, status), [*more, *inputs], [status, self.editor], **ui.QUIET)

        def follow(job: ui.Job, make: Callable[..., np.ndarray], *more: Any) -> None:
            """The same for what takes long: make takes a progress too."""

            def work(*values: Any) -> Iterator:
                seen = found(*values[len(more) :])
                yield from runtime.stream(_made, make, seen, *values[: len(more)], gpu=True)

            job.wire(work, lambda made: lands(*made), [*more, *inputs], [self.editor])

        on(self.grow.click, lambda seen, px: masks.grown(seen.mask, px), self.px)
        on(self.shrink.click, lambda seen, px: masks.grown(seen.mask, -px), self.px)
        on(self.by_colour.click, _by_colour, self.colour, self.tolerance)
        on(self.cut.click, lambda seen: masks.grab_cut(seen.picture, _box(seen.mask)))
        follow(self.click, _clicked)
        follow(self.by_words, _by_words, self.words)
        on(self.file.upload, _read, self.file)

        def save(*values: Any) -> dict:
            white = np.where(found(*values).mask, 255, 0).astype(np.uint8)
            path = figures.write_png(np.dstack([white] * 3), ui.folder() / "mask.png")
            return {self.saved: gr.File(str(path), visible=True)}

        self.save.click(ui.guard(save, status), inputs, [status, self.saved], **ui.QUIET)


def _made(
    make: Callable[..., np.ndarray], seen: _Found, *values: Any, progress: Progress = silent
) -> tuple[_Found, np.ndarray]:
    """What the mask was made for, and the mask."""
    return seen, make(seen, *values, progress=progress)


def _clicked(seen: _Found, *, progress: Progress) -> np.ndarray:
    return hub_masks.click(seen.picture, *_middle(seen), progress=progress)


def _by_words(seen: _Found, words: str, *, progress: Progress) -> np.ndarray:
    return hub_masks.by_words(seen.picture, words, progress=progress)


def _by_colour(seen: _Found, colour: str, tolerance: float) -> np.ndarray:
    mask = masks.by_colour(seen.picture, _rgb(colour), tolerance)
    if not mask.any():
        raise InputError("No pixel has this colour. Raise the tolerance, or choose another colour.")
    return mask


def _rgb(colour: str) -> tuple[int, ...]:
    """Of "#rrggbb" or "rgba(r, g, b, a)", as a colour picker gives them."""
    if colour.startswith("#"):
        return tuple(int(colour[k : k + 2], 16) for k in (1, 3, 5))
    parts = colour[colour.index("(") + 1 : -1].split(",")
    return tuple(round(float(part)) for part in parts[:3])


def _read(seen: _Found, path: str) -> np.ndarray:
    mask = masks.read_mask(Path(path), (seen.mask.shape[1], seen.mask.shape[0]))
    if not mask.any():
        raise InputError(
            "This mask has nothing white in it: all its pixels are darker than half. Save what is "
            "to be filled as white, 255 and not 1."
        )
    return mask


def _box(mask: np.ndarray) -> tuple[float, float, float, float]:
    if not mask.any():
        raise InputError("Nothing is painted yet. Paint roughly over the thing first.")
    rows, columns = box(mask)
    return columns.start, rows.start, columns.stop, rows.stop


def _middle(seen: _Found) -> tuple[float, float]:
    """Of what was painted last; of all that is masked, where nobody has painted."""
    x0, y0, x1, y1 = seen.last or _box(seen.mask)
    return (x0 + x1) / 2, (y0 + y1) / 2
