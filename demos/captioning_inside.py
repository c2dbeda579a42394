"""Look inside, for captions: time tests, which frame made which word, words one by one, tokens, and
what earlier methods would have been given."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator
from typing import Any

import gradio as gr
import numpy as np

from core import runtime
from core.captioning import Attribution, TimeTests, attribution, count_tokens, time_tests
from core.captioning.earlier import motion
from core.captioning.run import Captioned
from core.captioning.time_tests import CHANGES
from core.captioning.types import CaptionResult
from core.types import InputError
from core.video import Frames
from demos import markup, ui
from demos.captioning_panels import small

PASSED = {True: "✓ passes", False: "✗ fails", None: "– can't tell"}
BEGIN = "There is no result yet. Press Caption first."


class Inside:
    """The Look inside panel: each view is made when asked for."""

    def __init__(self, state: gr.State):
        self.state = state
        self.shown: list[Any] = []
        with ui.panel("Look inside"), gr.Tabs():
            with gr.Tab("Does it use time?"):
                gr.Markdown(
                    "The same clip backwards, shuffled, and frozen on one frame. A model that uses "
                    "time must change its answer."
                )
                self._job("Test", "captioning-time", time_tests, _time)
            with gr.Tab("Which frame made which word"):
                gr.Markdown(
                    "Two answers. *Left out*: by how much a word becomes less likely when a frame is "
                    "replaced by its neighbour. *Attention*: where the model looked when it chose the "
                    "word. Looking is not needing."
                )
                self._job("Find out", "captioning-frames", attribution, _heat)
            with gr.Tab("Word by word"):
                self.words = ui.text()
                self.shown.append(self.words)
            with gr.Tab("Tokens"):
                with gr.Row():
                    self.patch = gr.Slider(4, 64, value=16, step=4, label="Patch (px)")
                    self.tube = gr.Slider(1, 8, value=1, step=1, label="Frames in a tube")
                self.tokens = ui.text()
                self.shown.append(self.tokens)
            with gr.Tab("Before transformers"):
                gr.Markdown(
                    "LRCN (2015) gave a recurrent net one vector a frame; Yao et al. (2015) let it "
                    "choose among frames by attention. Two-stream nets (2014) added **optical flow** "
                    "as a picture of its own; 3-D and (2+1)-D convolutions (2015, 2018) learnt "
                    "filters in time instead. **Differences** of neighbouring frames are the least "
                    "one can do. VideoBERT (2019) made each second and a half of film one of 20,736 words and "
                    "guessed hidden ones; ViViT and TimeSformer (2021) made tokens of small pieces, "
                    "and Video-LLaMA (2023) hands frames to a language model."
                )
                self._job("Compute both", "captioning-motion", _motion, lambda text: text)
        again = [self.patch.change, self.tube.change]
        gr.on(
            again, lambda *v: _tokens(*v), [state, self.patch, self.tube], self.tokens, **ui.QUIET
        )
        self.outputs = [*self.shown, self.patch, self.tube]

    def _job(self, label: str, name: str, call: Any, draw: Any) -> None:
        job = ui.Job(label, name)
        place = ui.text()
        self.shown.append(place)

        def work(found: Captioned | None) -> Iterator:
            if found is None:
                raise InputError(BEGIN)
            result = found.result
            given = {
                time_tests: (result.frames, result.settings),
                attribution: (result.frames, result),
            }
            yield from runtime.stream(call, *given.get(call, (found,)))

        job.wire(work, lambda value: {place: draw(value)}, [self.state], [place])

    def show(self, found: Captioned) -> dict:
        shown: dict[Any, Any] = dict.fromkeys(self.shown, "")
        shown[self.words] = _words(found.result)
        shown[self.tokens] = _tokens(found, 16, 1)
        return {**shown, self.patch: 16, self.tube: 1}


def _note(text: str) -> str:
    return f'<div class="note">{html.escape(text)}</div>'


def _time(found: TimeTests) -> str:
    """The four captions, the verdicts, and the four strips."""
    rows = []
    for name, title in CHANGES.items():
        passed, why = found.verdicts.get(name, (None, ""))
        rows.append(
            (title, found.captions[name].text, f"{math.exp(found.likelihood[name]):.3f}",
             PASSED[passed] if name in found.verdicts else "", why)
        )  # fmt: skip
    table = markup.table(
        rows,
        ("Clip", "What it says", "Chance of a word of the first sentence", "Test", "Why"),
        ("", "", "n", "", "why"),
    )
    strips = "".join(
        f"<h4>{html.escape(title)}</h4>{_moved(found.frames[name])}"
        for name, title in CHANGES.items()
        if name != "forwards"
    )
    return f'<div class="headline"><b>{html.escape(found.verdict)}</b></div>{table}{strips}'


def _moved(frames: Frames) -> str:
    """Frames that were put elsewhere in time: when they are shown now, and which they are."""
    shown = [
        (small(image), f"At {time:.2f} s: frame {index}")
        for image, time, index in zip(frames.images, frames.times_s, frames.indices, strict=True)
    ]
    return markup.pictures(shown, least_px=130)


def _heat(found: Attribution) -> str:
    """Words × frames, twice."""
    text = "<h4>Left out: nats by which the word becomes less likely</h4>"
    text += _grid(found.words, found.left_out, max(0.05, float(np.abs(found.left_out).max())))
    if np.isnan(found.attention).all():
        return text + _note("This model doesn't hand out its attention; leaving out says more.")
    text += "<h4>Attention: share of the look at pictures</h4>"
    return text + _grid(found.words, found.attention, float(found.attention.max()))


def _grid(words: tuple[str, ...], values: np.ndarray, high: float) -> str:
    """A table whose cells are the darker the more; what is below 0 stays light."""
    head = "".join(f"<th class='n'>{k + 1}</th>" for k in range(values.shape[1]))
    body = ""
    for word, row in zip(words, values, strict=True):
        cells = "".join(
            f'<td class="n heat" style="--share:{min(max(v, 0) / high, 1):.2f}">{v:.2f}</td>'
            for v in row
        )
        body += f"<tr><th>{html.escape(word)}</th>{cells}</tr>"
    return f'<div class="scroll"><table class="facts">\n<tr><th>Frame</th>{head}</tr>{body}</table></div>'


def _words(result: CaptionResult) -> str:
    """Each word with its probability and the runners-up."""
    if not result.words:
        return _note("A measurement chooses no words.")
    rows = []
    for word, chance, others in zip(
        result.words, result.probabilities, result.runners_up, strict=True
    ):
        rest = ", ".join(f"{text} {p:.3f}" for text, p in others if text != word)
        rows.append((word, f"{chance:.3f}", rest))
    return markup.table(rows, ("Word", "Probability", "Runners-up"), ("", "n", "why"))


def _tokens(found: Captioned | None, patch: float, tube: float) -> str:
    """The clip cut into tubes, and what attention over them costs."""
    if found is None:
        return ""
    frames = found.result.frames
    n, height, width = frames.images.shape[:3]
    try:
        count = count_tokens(n, height, width, int(patch), int(tube))
    except InputError as error:
        return ui.said(str(error))
    rows = [
        (name.capitalize(), f"{pairs:,}", f"{pairs / count.pairs['joint']:.1%}")
        for name, pairs in count.pairs.items()
    ]
    drawn = [
        (_ruled(image, int(patch)), f"Frame {k + 1}, tube {k // int(tube) + 1}")
        for k, image in enumerate(frames.images[: count.along_t * int(tube)])
    ]
    formula = (
        f"{count.along_t} × {count.along_y} × {count.along_x} = {count.tokens:,} tokens of "
        f"{int(tube)}×{int(patch)}×{int(patch)}: frames {n} / {int(tube)}, height {height} / "
        f"{int(patch)}, width {width} / {int(patch)}."
    )
    table = markup.table(rows, ("Attention", "Pairs in a layer", "Of joint"), ("", "n", "n"))
    return _note(formula) + table + markup.pictures(drawn, least_px=130)


def _ruled(image: np.ndarray, patch: int) -> np.ndarray:
    """A frame as it is shown, with the borders of its patches."""
    shown, (height, width) = small(image).copy(), image.shape[:2]
    down = np.arange(0, height, patch) * shown.shape[0] // height
    across = np.arange(0, width, patch) * shown.shape[1] // width
    shown[down] = shown[down] // 3 + 120
    shown[:, across] = shown[:, across] // 3 + 120
    return shown


def _motion(found: Captioned, progress: Any) -> str:
    """Optical flow and differences between neighbouring frames, as pictures."""
    made = motion(found.result.frames)
    times = found.result.frames.times_s
    flow = [
        (small(picture), f"Flow {times[k]:.2f} → {times[k + 1]:.2f} s, up to {far:.1f} px")
        for k, (picture, far) in enumerate(zip(made.flow, made.longest_px, strict=True))
    ]
    apart = [
        (small(picture), f"Difference {times[k]:.2f} → {times[k + 1]:.2f} s")
        for k, picture in enumerate(made.difference)
    ]
    return (
        _note("Colour is the direction of the motion, saturation its length.")
        + markup.pictures(flow, least_px=130)
        + markup.pictures(apart, least_px=130)
    )
