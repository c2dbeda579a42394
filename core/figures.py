"""Figures to take away: pictures with a title and a caption that says how they were made.

One matplotlib figure becomes PNG, SVG and PDF. The PNG carries its recipe as text, so that
dropping it on the page restores the tab.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.recipe import PNG_KEY, Recipe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, PAPER = "#1d2733", "#ffffff"
WORDS: dict[str, Any] = {"color": INK, "parse_math": False}  # a $ of a prompt begins no formula
TALLEST_IN = 12.0  # of one picture


def picture_figure(
    pictures: Sequence[tuple[str, np.ndarray]],
    title: str,
    recipe: Recipe,
    *,
    columns: int = 1,
    width_in: float = 8.0,
) -> Figure:
    """A grid of labelled pictures (RGB uint8) over the recipe's caption.

    Pictures keep their shape and their pixels (nearest neighbour).
    """
    import textwrap

    from matplotlib.figure import Figure

    rows = -(-len(pictures) // columns)
    shapes = [image.shape for _, image in pictures]
    cell_in = width_in / columns
    row_in = [
        max(_tall_in(cell_in, s) for s in shapes[r * columns : (r + 1) * columns]) + 0.3
        for r in range(rows)
    ]
    caption = textwrap.fill(recipe.caption(), int(width_in * 15))
    head_in, foot_in = 0.45, 0.16 * (caption.count("\n") + 1) + 0.2
    height_in = head_in + sum(row_in) + foot_in
    figure = Figure(figsize=(width_in, height_in), facecolor=PAPER)
    figure.text(0.02, 1 - 0.3 / height_in, title, fontsize=12, weight="bold", **WORDS)
    top = height_in - head_in
    for i, (label, image) in enumerate(pictures):
        row, column = divmod(i, columns)
        if i and column == 0:
            top -= row_in[row - 1]
        tall_in = _tall_in(cell_in, image.shape)
        box = (
            (column * cell_in + 0.08) / width_in,
            (top - 0.22 - tall_in) / height_in,
            (cell_in - 0.16) / width_in,
            tall_in / height_in,
        )
        axes = figure.add_axes(box)
        axes.imshow(image, interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(label, fontsize=9, loc="left", pad=3, **WORDS)
    figure.text(0.02, 0.1 / height_in, caption, fontsize=6.5, va="bottom", **WORDS)
    return figure


def _tall_in(cell_in: float, shape: tuple[int, ...]) -> float:
    """How tall a picture of this shape stands in its cell: a narrow strip doesn't fill the width."""
    return min(cell_in * shape[0] / shape[1], TALLEST_IN)


def save(figure: Figure, folder: Path, stem: str, recipe: Recipe) -> list[Path]:
    """Write stem.png (with its recipe inside), stem.svg and stem.pdf; returns their paths."""
    import matplotlib

    about = {"Title": stem, "Creator": "Sightline"}
    png, svg, pdf = (folder / f"{stem}.{kind}" for kind in ("png", "svg", "pdf"))
    with matplotlib.rc_context({"svg.hashsalt": "sightline", "font.family": "DejaVu Sans"}):
        figure.savefig(png, dpi=200, metadata={PNG_KEY: recipe.to_json()})
        figure.savefig(svg, metadata=about | {"Description": recipe.caption(), "Date": None})
        figure.savefig(pdf, metadata=about | {"Subject": recipe.caption(), "CreationDate": None})
    return [png, svg, pdf]


def write_png(image: np.ndarray, path: Path, recipe: Recipe | None = None) -> Path:
    """A picture as PNG, pixel for pixel, with its recipe inside when it has one."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    about = PngInfo()
    if recipe is not None:
        about.add_text(PNG_KEY, recipe.to_json())
    Image.fromarray(image).save(path, pnginfo=about)
    return path
