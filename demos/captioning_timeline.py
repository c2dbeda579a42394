"""Captions along the clip: one for each window or shot, drawn on a line of seconds, as subtitle files
and burned into the film."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from core import runtime
from core.captioning import captions_over_time
from core.captioning.sources import source
from core.types import InputError
from core.video import Burned, Cue, burn_in
from demos import markup, ui
from demos.captioning_panels import write_cues


class Timeline:
    """The part between the result and the panels: captions of stretches of the clip."""

    def __init__(self, made: ui.Controls, inputs: list[Any]):
        self.made, self.inputs = made, inputs
        self.cues = gr.State(())
        with gr.Accordion("Along the clip", open=False):
            with gr.Row():
                self.window = gr.Slider(
                    0, 60, value=2, step=0.5, label="Window (s)",
                    info="One caption for each stretch so long; 0: for each shot. A picture of your "
                    "own lasts a second.",
                )  # fmt: skip
                with gr.Column(min_width=180):
                    self.job = ui.Job("Caption them", "captioning-windows")
            self.shown = ui.text()
            with gr.Row():
                with gr.Column(min_width=180):
                    self.write = gr.Button("Write subtitle files")
                    self.status = ui.text(elem_classes="status")
                with gr.Column(min_width=180):
                    self.burn = ui.Job("Burn into the film", "captioning-burn")
            self.files = gr.File(
                label="Files", file_count="multiple", interactive=False, visible=False,
                elem_classes="files",
            )  # fmt: skip
            self.film = gr.Video(
                label="With subtitles", interactive=False, visible=False, height=360, buttons=[]
            )
            self.lost = ui.text()

    def wire(self, given: Any) -> None:
        def work(window_s: float, path: Any, files: Any, *values: Any) -> Iterator:
            where, how, settings = self.made.read(values)
            clip = source(where, given(where, path, files))
            footage = clip.path or clip.pictures
            cues: list[Cue] = []
            for event in runtime.stream(
                captions_over_time, footage, how, settings, window_s=float(window_s)
            ):
                if isinstance(event, runtime.Part):
                    cues.append(event.value)
                    yield runtime.Part((clip.path, tuple(cues)))
                elif isinstance(event, runtime.Tick):
                    yield event

        def show(found: tuple[Path | None, tuple[Cue, ...]]) -> dict:
            return {self.cues: found, self.shown: drawn(found[1])}

        self.job.wire(work, show, [self.window, *self.inputs], [self.cues, self.shown])

        def files(found: tuple) -> dict:
            folder = ui.folder()
            paths = write_cues(_cues(found)[1], folder)
            return {self.files: gr.File([str(path) for path in paths], visible=True)}

        def burn(found: tuple) -> Iterator:
            path, cues = _cues(found)
            if path is None:
                raise InputError(
                    "Pictures are no film to burn captions into. Write subtitle files, or choose a "
                    "video."
                )
            yield from runtime.stream(burn_in, path, cues, ui.folder() / "subtitled.mp4")

        def film(made: Burned) -> dict:
            notes = "".join(f'<div class="note">{html.escape(note)}</div>' for note in made.notes)
            return {self.film: gr.Video(str(made.path), visible=True), self.lost: notes}

        self.write.click(
            ui.guard(files, self.status), self.cues, [self.status, self.files],
            api_visibility="private", show_progress="minimal",
        )  # fmt: skip
        self.burn.wire(burn, film, [self.cues], [self.film, self.lost])


def _cues(found: tuple) -> tuple[Path | None, tuple[Cue, ...]]:
    if not found:
        raise InputError("There are no captions along the clip yet. Press Caption them first.")
    return found[0], found[1]


def drawn(cues: tuple[Cue, ...]) -> str:
    """The cues on a line of seconds, and as a table."""
    if not cues:
        return ""
    start, end = cues[0].start_s, max(cue.end_s for cue in cues)
    length = max(end - start, 1e-6)
    bars = "".join(
        f'<i style="left:{100 * (cue.start_s - start) / length:.2f}%;'
        f'width:{100 * (cue.end_s - cue.start_s) / length:.2f}%" title="{html.escape(cue.text)}">'
        f"<b>{k + 1}</b></i>"
        for k, cue in enumerate(cues)
    )
    rows = [
        (str(k + 1), f"{cue.start_s:.2f}–{cue.end_s:.2f} s", cue.text) for k, cue in enumerate(cues)
    ]
    return f'<div class="timeline">{bars}</div>' + markup.table(
        rows, ("", "When", "What it says"), ("n", "n", "")
    )
