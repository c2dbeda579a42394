"""One Gaussian to play with: its numbers, its matrices, its ellipse, all live."""

from __future__ import annotations

import html
from typing import Any

import gradio as gr
import numpy as np

from core.cameras import look_at
from core.splats import render
from core.splats.playground import One, OneSettings, explain, numeric_jacobian, single
from core.types import Camera
from demos import markup, ui

WIDTH, HEIGHT = 360, 270
EYE = (0.0, 0.0, -4.0)  # looks along +z; y is down, as in files of splats
PLACES = ("one_x", "one_y", "one_z")
SCALES = ("one_scale_x", "one_scale_y", "one_scale_z")
TURNS = ("one_yaw_deg", "one_pitch_deg", "one_roll_deg")


def camera() -> Camera:
    return look_at(EYE, (0.0, 0.0, 0.0), WIDTH, HEIGHT, 45.0, (0.0, -1.0, 0.0))


def one_gaussian(panel: gr.Accordion) -> None:
    """The tab of Look inside, drawn here; it fills when `panel` is opened."""
    gr.Markdown(
        "Five sets of numbers make a Gaussian. Move them and follow the way to the screen: "
        "scales and turn give Σ; the camera's derivative J takes it to Σ′, an ellipse in pixels. "
        "J is computed twice, by its formula and by pushing the middle a little along each axis."
    )
    made = ui.Controls(OneSettings)
    with gr.Row():
        with gr.Column(min_width=210):
            made.draw(*SCALES)
        with gr.Column(min_width=210):
            made.draw(*TURNS)
        with gr.Column(min_width=210):
            made.draw(*PLACES)
        with gr.Column(min_width=210):
            made.draw_rest()
    status = ui.text(elem_classes="status")
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            picture = ui.text()
        with gr.Column(scale=3, min_width=320):
            numbers = ui.text()

    def show(*values: Any) -> dict:
        (settings,) = made.read(values)
        seen = explain(settings, camera())
        return {picture: drawn(settings, seen), numbers: matrices(settings, seen)}

    changes = [w.change for w in made.inputs if not isinstance(w, gr.State)]
    gr.on([*changes, panel.expand], ui.guard(show, status), made.inputs, [status, picture, numbers],
          trigger_mode="always_last", **ui.QUIET)  # fmt: skip


def drawn(settings: OneSettings, seen: One) -> str:
    """The Gaussian as the renderer draws it, its ellipses at 1, 2 and 3 σ, and its axes."""
    image = render(single(settings), camera()).rgb
    rings = "".join(
        f'<polygon points="{_points(seen.outline(k))}" fill="none" stroke="#fff" '
        f'stroke-opacity="{1.1 - 0.3 * k:.1f}" vector-effect="non-scaling-stroke"/>'
        for k in (1, 2, 3)
    )
    angle = np.radians(seen.angle_deg)
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    axes = "".join(
        f'<line x1="{seen.xy[0]:.1f}" y1="{seen.xy[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" '
        f'stroke="{colour}" stroke-width="2" vector-effect="non-scaling-stroke"/>'
        for end, colour in (
            (seen.xy + seen.axes_px[0] * along, "#56b4e9"),
            (seen.xy + seen.axes_px[1] * across, "#f0ab1a"),
        )
    )
    words = (
        f"At ({seen.xy[0]:.1f}, {seen.xy[1]:.1f}) px, {seen.depth_m:.2f} m off. White: 1, 2 and 3 σ; "
        f"half axes {seen.axes_px[0]:.1f} and {seen.axes_px[1]:.1f} px, turned by "
        f"{seen.angle_deg:.0f}°. Nothing is drawn beyond {seen.reach:.2f} σ, where α is 1/255."
    )
    if seen.outside:
        words += " It stands so far outside that J is taken nearer to the picture."
    return (
        f'<figure style="margin:0"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="One Gaussian" style="width:100%;border-radius:4px">'
        f'<image href="{markup.data_uri(image)}" width="{WIDTH}" height="{HEIGHT}"/>'
        f"{rings}{axes}</svg><figcaption>{html.escape(words)}</figcaption></figure>"
    )


def _points(outline: np.ndarray) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in outline)


def matrices(settings: OneSettings, seen: One) -> str:
    """Every matrix on the way, as tables of numbers."""
    pushed = numeric_jacobian(camera(), single(settings).means[0].astype(np.float64))
    difference = float(np.abs(pushed - seen.jacobian).max() / np.abs(seen.jacobian).max())
    shown = [
        ("R", "own axes to world", seen.rotation, 3),
        ("Σ = R S Sᵀ Rᵀ", "m², in the world", seen.covariance, 4),
        ("J", "px per m, in the camera's axes", seen.jacobian, 1),
        ("J by pushing", f"differs by {difference:.0e}", pushed, 1),
        ("Σ′ = J W Σ Wᵀ Jᵀ", "px²", seen.covariance_px, 1),
        ("Σ′ + 0.3 px²", "px², as drawn", seen.dilated, 1),
    ]
    cells = "".join(_matrix(*one) for one in shown)
    return f'<div style="display:flex;flex-wrap:wrap;gap:14px 28px">{cells}</div>'


def _matrix(name: str, unit: str, values: np.ndarray, digits: int) -> str:
    rows = "".join(
        "<tr>" + "".join(f'<td class="n">{v:.{digits}f}</td>' for v in row) + "</tr>"
        for row in values + 0.0  # no −0
    )
    return (
        f"<div><b>{html.escape(name)}</b> <span class='note'>{html.escape(unit)}</span>"
        f'<table class="facts">{rows}</table></div>'
    )
