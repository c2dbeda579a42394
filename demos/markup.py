"""Numbers, tables and pictures as the HTML that tabs show."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from core.types import Compared

LEAST_PX = 420  # of a picture, where there is room
LARGE_PX = 256  # pictures smaller than this are shown with every pixel a square


def pictures(shown: Iterable[tuple[np.ndarray, str]], *, least_px: int = LEAST_PX) -> str:
    """Pictures (RGB uint8) with their captions, as many in a row as are least_px wide there. Only
    those of the usual size grow to fill a row that they are too few for."""
    cells = "".join(
        f'<figure><img src="{data_uri(image, lossless=True)}" alt="{html.escape(caption)}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for image, caption in shown
    )
    how = f' small" style="--least: {least_px}px' if least_px < LEAST_PX else ""
    return f'<div class="pictures{how}">{cells}</div>'


def large(image: np.ndarray) -> np.ndarray:
    """A small picture with every pixel a square."""
    times = max(1, LARGE_PX // max(image.shape[:2]))
    return image.repeat(times, 0).repeat(times, 1)


def data_uri(image: np.ndarray, *, lossless: bool = False) -> str:
    """A picture (RGB uint8) as a data URI for widgets that draw in the browser."""
    from PIL import Image

    file, kind = io.BytesIO(), "png" if lossless else "jpeg"
    Image.fromarray(image).save(file, kind, **({} if lossless else {"quality": 92}))
    return f"data:image/{kind};base64," + base64.b64encode(file.getvalue()).decode()


def number(value: float, unit: str = "") -> str:
    """A number as a person reads it; a dash where unknown."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞"
    if abs(value) >= 100 or (float(value).is_integer() and abs(value) != 1):
        shown = f"{value:,.0f}"
    else:
        shown = f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
    return f"{shown} {unit}".rstrip()


def table(rows: Iterable[Sequence[str]], head: Sequence[str], classes: Sequence[str]) -> str:
    """An HTML table; `classes` gives each column '' (text), 'n' (number) or 'why' (remark)."""
    top = "".join(
        f'<th class="{c}">{html.escape(h)}</th>' for h, c in zip(head, classes, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="{c}">{html.escape(v)}</td>' for v, c in zip(row, classes, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table class="facts"><tr>{top}</tr>{body}</table></div>'


Help = Mapping[str, tuple[str, str, str]]  # score → label, one-line meaning, unit


def score_table(scores: Mapping[str, float], meaning: Help) -> str:
    """Scores with what each one means."""
    rows = [
        (meaning[key][0], number(value, meaning[key][2]), meaning[key][1])
        for key, value in scores.items()
        if not math.isnan(value)
    ]
    return table(rows, ("Score", "Value", "What it says"), ("", "n", "why"))


def compare_table(compared: Sequence[Compared], meaning: Help) -> str:
    """Scores of several methods, one column each."""
    keys = list(compared[0].scores) if compared else []
    rows = [(meaning[k][0], *(number(c.scores[k], meaning[k][2]) for c in compared)) for k in keys]
    head = ("Score", *(c.name for c in compared))
    return table(rows, head, ("", *("n" for _ in compared)))
