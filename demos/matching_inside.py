"""The Look inside panel of the Feature matching tab: the quantities that make the answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np

from core import images
from core.matching import descriptor, ransac, scale_space, search_pictures
from core.matching.neighbours import deciding_ratio, keep
from core.matching.run import Run
from core.matching.truth import right
from core.types import InputError
from demos import charts, markup, ui
from demos.widgets.threshold_plot import ThresholdPlot

MOST_DRAWS = 200  # of RANSAC, to step through
LAST = {**ui.QUIET, "trigger_mode": "always_last"}  # else what comes during a call is lost


class Inside:
    """The Look inside panel. What is cheap follows each result; the rest is made when opened, and
    says that it is old after a new result."""

    def __init__(self, state: gr.State, picked: gr.State):
        self.drawn: dict[Any, Any] = {}
        with ui.panel("Look inside"), gr.Tabs():
            with gr.Tab("Ratio test"):
                gr.Markdown(
                    "Best over second-best distance of what passed the other checks. Drag the line: what "
                    "lies left of it is kept. Let go, and the matches above follow."
                )
                self.ratio = ThresholdPlot()
            with gr.Tab("Scale space") as scale_tab:
                self._scale_space(state, scale_tab)
            with gr.Tab("Descriptor") as descriptor_tab:
                self._descriptor(state, picked, descriptor_tab)
            with gr.Tab("RANSAC") as ransac_tab:
                self._ransac(state, ransac_tab)
            with gr.Tab("Fast search") as search_tab:
                self._search(state, search_tab)
        self.outputs = [self.ratio, *self.drawn]

    def show(self, found: Run) -> dict:
        c, settings = found.result.candidates, found.result.settings
        # only what the other checks let through, so that the line's count is the matches'
        passed = keep(c, replace(settings, ratio=1.0))
        labels = np.full(len(c.pairs), -1)
        if found.pair.truth is not None:
            i, j = c.pairs.T
            labels = right(found.pair.truth, found.result.keypoints0[i], found.result.keypoints1[j])
        # below 1 all, since at the line's end the test is off
        tested = np.minimum(deciding_ratio(c, settings)[passed], 0.9999)
        ratios = [None if np.isnan(r) else round(float(r), 6) for r in tested]
        value = {
            "values": ratios, "labels": labels[passed].tolist(), "threshold": settings.ratio,
            "minimum": 0.5, "maximum": 1.0, "step": 0.01,
            "label": "ratio of best to second-best distance (the first bar holds 0.5 and below)",
        }  # fmt: skip
        return {self.ratio: value, **self.drawn}

    def _scale_space(self, state: gr.State, tab: gr.Tab) -> None:
        gr.Markdown(
            "The picture, blurred more and more (Gaussian), and neighbouring blurs subtracted "
            "(difference). Keypoints are the circled extrema: larger or smaller than all 26 "
            "neighbours in place and scale."
        )
        with gr.Row():
            which = gr.Radio([("0", 0), ("1", 1)], value=0, label="Picture")
            kind = gr.Radio(
                [("difference", "dog"), ("Gaussian", "gaussian")], value="dog", label="Show"
            )
            octave = gr.Slider(0, 2, value=0, step=1, label="Octave", info="Each halves the size.")
            level = gr.Slider(1, 3, value=1, step=1, label="Level", info="Blur within the octave.")
        out = gr.Image(label="Scale space", interactive=False, buttons=["download", "fullscreen"])
        status = ui.text(elem_classes="status")
        self.drawn |= {out: None, status: ui.ANEW}

        def draw_level(found: Run | None, view: int, what: str, o: int, k: int) -> dict:
            if found is None:
                return {out: None}
            image = found.pair.image0 if view == 0 else found.pair.image1
            space = scale_space.scale_space(images.fit(image, 800)[0])
            return {out: scale_space.picture(space, min(int(o), len(space.dogs) - 1), int(k), what)}

        triggers = [tab.select, which.input, kind.input, octave.release, level.release]
        gr.on(triggers, ui.guard(draw_level, status), [state, which, kind, octave, level],
              [status, out], **LAST)  # fmt: skip

    def _descriptor(self, state: gr.State, picked: gr.State, tab: gr.Tab) -> None:
        gr.Markdown(
            "SIFT's histogram of the picked match: 4×4 cells of 8 gradient directions, weighted "
            "by strength, on the patch turned upright. Click a match above to change it."
        )
        out = gr.Image(label="Descriptors of both ends", interactive=False,
                       buttons=["download", "fullscreen"])  # fmt: skip
        status = ui.text(elem_classes="status")
        self.drawn |= {out: None, status: ui.ANEW}

        def draw_descriptors(found: Run | None, index: int) -> dict:
            if found is None:
                return {out: None}
            result = found.result
            if not len(result.candidates.pairs):
                raise InputError("There is no match to open. Raise the ratio or the keypoints.")
            made = []
            views = ((found.pair.image0, result.features0), (found.pair.image1, result.features1))
            for (image, features), k in zip(views, result.candidates.pairs[index], strict=True):
                angle = float(np.nan_to_num(features.angle_deg[k]))
                size = float(features.size_px[k])
                made.append(descriptor.describe(image, features.xy[k], size, angle))
            return {out: descriptor.compare_picture(*made)}

        gr.on([tab.select, picked.change], ui.guard(draw_descriptors, status), [state, picked],
              [status, out], **LAST)  # fmt: skip

    def _ransac(self, state: gr.State, tab: gr.Tab) -> None:
        gr.Markdown(
            "Four matches are drawn at random (magenta), a homography is computed from them, and "
            "every match within the threshold votes for it (blue; the rest is orange). The best so "
            "far wins. With a share w of inliers, N = log(1 − p) / log(1 − w⁴) draws find a clean "
            "sample with probability p."
        )
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                at = gr.Slider(1, 2, value=1, step=1, label="Step")
                out = gr.Image(label="This draw", interactive=False, buttons=["download"])
            with gr.Column(scale=2, min_width=280):
                facts = ui.text()
                curve = ui.text()
        status = ui.text(elem_classes="status")
        self.drawn |= {out: None, facts: "", curve: "", status: ui.ANEW}

        def start(found: Run | None) -> dict:
            if found is None:
                return {out: None}
            share, draws = ransac.bound_curve(4, found.result.geometry.confidence)
            bound = [(float(w), float(n)) for w, n in zip(share, draws, strict=True) if n <= 1000]
            last = len(_draws(found))
            return {
                curve: charts.lines({"N": bound}, "Draws needed, N", "share of inliers, w"),
                at: gr.Slider(1, max(last, 2), value=last, step=1, info=f"1 to {last}"),
                **one(found, last),
            }

        def one(found: Run | None, step: int) -> dict:
            if found is None:
                return {out: None}
            made = _draws(found)
            s = made[min(int(step), len(made)) - 1]
            total = len(found.result.matches)
            rows = [
                ("Votes in this draw", f"{s.votes} of {total}"),
                ("Best so far", f"{s.best_votes} of {total}" + (" (new)" if s.improved else "")),
                ("Draws needed at this share", markup.number(float(np.ceil(s.needed)))),
                ("Draws so far", str(s.step)),
            ]
            pair, result = found.pair, found.result
            drawn = ransac.picture(pair.image0, pair.image1, result.points0, result.points1, s)
            return {out: drawn, facts: markup.table(rows, ("RANSAC", ""), ("", "n"))}

        gr.on([tab.select], ui.guard(start, status), [state],
              [status, at, out, facts, curve], **LAST)  # fmt: skip
        at.input(ui.guard(one, status), [state, at], [status, out, facts], **LAST)

    def _search(self, state: gr.State, tab: gr.Tab) -> None:
        gr.Markdown(
            "How the nearest descriptor is found without looking at all of them, and how SURF "
            "and ORB make features cheap: computed from the pair above."
        )
        shown = ui.text()
        self.drawn[shown] = ui.ANEW
        status = ui.text(elem_classes="status")

        def draw_search(found: Run | None) -> dict:
            if found is None:
                return {}
            made = search_pictures.pictures(found.pair.image0, found.pair.image1)
            return {shown: markup.pictures(made)}

        gr.on([tab.select], ui.guard(draw_search, status), [state], [status, shown],
              api_visibility="private", show_progress="minimal")  # fmt: skip


def _draws(found: Run) -> list[ransac.RansacStep]:
    """RANSAC's steps on the matches of this result. Raises InputError for fewer than four."""
    result, geometry = found.result, found.result.geometry
    if len(result.matches) < 4:
        raise InputError("RANSAC draws four matches, and there are fewer. Raise the ratio.")
    return list(
        ransac.steps(
            result.points0, result.points1, threshold_px=geometry.threshold_px,
            confidence=geometry.confidence, max_iterations=MOST_DRAWS, seed=result.settings.seed,
        )
    )  # fmt: skip
