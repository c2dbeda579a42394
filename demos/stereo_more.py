"""Two further panels of the Stereo depth tab: depth from one picture, and calibrating a rig."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

import gradio as gr
import numpy as np

from core import images, runtime
from core.stereo import pictures, relative
from core.stereo.board import Board
from core.stereo.calibrate import Calibrated, calibrate
from core.stereo.mono import MODELS, mono
from core.stereo.rigfile import write_rig
from core.stereo.run import Run
from core.types import InputError, Progress, Unavailable, silent
from demos import markup, ui

Shown = list[tuple[np.ndarray, str]]


# ---------------------------------------------------------------- one picture


def one_picture(state: gr.State) -> None:
    """The One picture panel: relative depth, what it leaves open, and how it compares."""
    with ui.panel("One picture") as panel:
        gr.Markdown(
            "One picture can tell near from far, but neither scale nor zero. Any answer is fitted "
            "to the stereo result by two numbers, scale and shift in disparity, before it is "
            "compared. The least a network must beat is the rule that lower is nearer."
        )
        spec = MODELS["depth-anything"]
        gr.Markdown(f"{spec.title}: {spec.note}")
        job = ui.Job("Compare with one picture", "stereo-mono")
        table, answers = ui.text(), ui.text()
        gr.Markdown(
            "**The same to the error, and not the same.** Scale makes a doll's house of a house; "
            "shift bends the space. The affine-invariant error sees neither."
        )
        with gr.Row():
            scale = gr.Slider(0.25, 4, value=1.25, step=0.05, label="Scale of inverse depth")
            shift = gr.Slider(-1, 2, value=0.5, step=0.05, label="Shift of inverse depth")
        bent = ui.text()
        status = ui.text(elem_classes="status")

        def work(found: Run | None) -> Iterator:
            if found is None:
                raise InputError("There is no result yet. Press Measure first.")
            yield from runtime.stream(judged, found, gpu=True)

        def show(made: tuple[Shown, str]) -> dict:
            return {answers: markup.pictures(made[0]), table: made[1]}

        job.wire(work, show, [state], [answers, table])

        def bend(found: Run | None, by: float, moved: float) -> dict:
            if found is None or found.depth is None:
                return {bent: ""}
            other = relative.ambiguity(found.depth, by, moved)
            near, far = pictures.limits(found.depth, 2)
            drawn = [
                (pictures.colour_map(depth, near, far, "cividis"), title)
                for depth, title in ((found.depth, "The depth found"),
                                     (other.depth, "Another scene with the same error, "
                                      f"{other.error:.3f}: AbsRel {other.metrics['abs_rel']:.0%}"))
            ]  # fmt: skip
            return {bent: markup.pictures(drawn)}

        gr.on([panel.expand, scale.input, shift.input], ui.guard(bend, status),
              [state, scale, shift], [status, bent], trigger_mode="always_last", **ui.QUIET)  # fmt: skip


def judged(found: Run, *, progress: Progress = silent) -> tuple[Shown, str]:
    """The row rule and, where its weights are, the network: aligned to the stereo result, and
    scored against the truth, or the stereo result if there is none. Raises InputError for a result
    that isn't stereo's."""
    pair, result = found.pair, found.result
    if result.settings.method == "mono":
        raise InputError(
            "This result was itself seen in one picture. Choose a stereo method, press Measure, "
            "and compare again."
        )
    truth = result.disparity if pair.truth is None else pair.truth.disparity
    against = "the stereo result" if pair.truth is None else "the truth"
    low, high = pictures.limits(result.disparity)
    guesses = [("Lower is nearer", relative.row_prior(truth.shape))]
    said = ""
    try:
        guesses.append(
            (MODELS["depth-anything"].title, mono(pair.left, progress=progress).inverse_depth)
        )
    except Unavailable as error:
        said = f"<p>{html.escape(str(error))}</p>"
    shown = [(pictures.disparity_picture(result.disparity, low, high), "Stereo")]
    columns: dict[str, dict[str, float]] = {}
    if pair.truth is not None:
        columns["Stereo"] = relative.scores(result.disparity, truth, pair.rig)
    for name, guess in guesses:
        fitted = relative.align(guess, result.disparity, ~result.occluded)
        drawn = pictures.disparity_picture(fitted.disparity, low, high)
        about = f"{name}, fitted: scale {fitted.scale:.3g}, shift {fitted.shift:.3g} px"
        shown.append((drawn, about))
        if name == "Lower is nearer" and pair.rig is not None and fitted.scale > 0:
            plane = relative.ground(fitted, pair.rig)
            height = markup.number(plane.camera_height, pair.rig.unit)
            said += (
                f"<p>Read as a ground plane, the rule puts the camera {height} above it, tilted "
                f"{plane.tilt_deg:.0f}° down.</p>"
            )
        try:
            columns[name] = relative.scores(fitted.disparity, truth, pair.rig)
        except InputError as error:  # a guess that says nothing of this picture
            said += f"<p>{html.escape(f'{name}: {error}')}</p>"
    return shown, said + (_table(columns, against) if columns else "")


def _table(columns: dict[str, dict[str, float]], against: str) -> str:
    keys = list(next(iter(columns.values())))
    rows = [
        (relative.SCORE_HELP[key][0], *(markup.number(scores[key]) for scores in columns.values()))
        for key in keys
    ]
    head = (f"Against {against}", *columns)
    return markup.table(rows, head, ("", *("n" for _ in columns)))


# ---------------------------------------------------------------- calibration


def calibration(rig_file: gr.File, source: Any, status: Any) -> None:
    """The Calibrate panel: chessboard pairs → rig file, which may go straight to the input."""
    with ui.panel("Calibrate"):
        gr.Markdown(
            "Take ten pairs or more of a printed chessboard with both cameras at once, tilted to "
            "all sides and in all corners of the picture. Left and right files are paired in the "
            "order of their names."
        )
        with gr.Row():
            lefts = gr.File(label="Left pictures", file_count="multiple", height=140)
            rights = gr.File(label="Right pictures", file_count="multiple", height=140)
        with gr.Row():
            board = ui.controls(Board)
        job = ui.Job("Calibrate", "stereo-calibrate")
        said, shown = ui.text(), ui.text()
        with gr.Row():
            file = gr.File(label="Rig file", interactive=False, visible=False)
            use = gr.Button("Use it for the pair", visible=False, elem_classes="job")

        def work(left: list[str] | None, right: list[str] | None, *values: Any) -> Iterator:
            (chosen,) = board.read(values)
            yield from runtime.stream(calibrated, left or [], right or [], chosen)

        def show(made: Calibrated) -> dict:
            path = write_rig(made.calibration, ui.folder() / "rig.yml")
            return {
                said: _about(made),
                shown: markup.pictures(
                    (images.fit(picture, 700)[0], f"Pair {k + 1}: "
                     + made.rejected.get(k, f"{made.pair_rms_px[k]:.2f} px"))
                    for k, picture in enumerate(made.pictures)
                ),
                file: gr.File(str(path), visible=True),
                use: gr.Button(visible=True),
            }  # fmt: skip

        job.wire(work, show, [lefts, rights, *board.inputs], [said, shown, file, use])
        used = "The calibration is set as the pair's rig. Choose both pictures and press Measure."
        use.click(lambda path: (path, "own", used), file, [rig_file, source, status], **ui.QUIET)


def calibrated(
    left: list[str], right: list[str], board: Board, *, progress: Progress = silent
) -> Calibrated:
    """`calibrate` on files, paired in the order of their names. Raises InputError."""
    if len(left) != len(right):
        raise InputError(
            f"There are {len(left)} left and {len(right)} right pictures. Give one right picture "
            "for each left one."
        )
    names = [ui.by_name(paths) for paths in (left, right)]
    pairs = [
        (images.load(a, f"Left picture {k}"), images.load(b, f"Right picture {k}"))
        for k, (a, b) in enumerate(zip(*names, strict=True), 1)
    ]
    return calibrate(pairs, board, progress=progress)


def _about(made: Calibrated) -> str:
    c = made.calibration
    used = int(np.isfinite(made.pair_rms_px).sum())
    rows = [
        ("Reprojection error", markup.number(c.rms_px, "px")),
        ("Pairs used", f"{used} of {len(made.pictures)}"),
        ("Baseline", markup.number(float(np.linalg.norm(c.t)), c.unit)),
        ("Focal length, left", markup.number(float(c.K0[0, 0]), "px")),
        ("Focal length, right", markup.number(float(c.K1[0, 0]), "px")),
        ("Distortion, left", " ".join(f"{v:.4f}" for v in c.distortion0)),
        ("Distortion, right", " ".join(f"{v:.4f}" for v in c.distortion1)),
    ]
    notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in made.notes)
    return notes + markup.table(rows, ("Calibration", ""), ("", "n"))
