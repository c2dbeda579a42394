"""Curves as SVG: they stream many times a second, are crisp, and follow light and dark.

Gradio's own plots draw themselves anew in the browser at every update, which starves the page on
a small machine; a string of SVG costs nothing.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")  # Okabe and Ito 2008: colour-blind safe
DASHES = ("", "6 3", "2 3", "8 3 2 3")  # and told apart without colour
WIDTH, HEIGHT = 520, 250
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 28, 38

Points = Sequence[tuple[float, float]]


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from low to high: steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    raw = (high - low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    return _multiples(low, high, step)


def _multiples(low: float, high: float, step: float) -> list[float]:
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def lines(
    series: Mapping[str, Points],
    title: str,
    x_label: str,
    *,
    y_range: tuple[float, float] | None = None,
    x_step: float | None = None,
    width: int = WIDTH,
) -> str:
    """One chart as an SVG string, `width` units wide: fewer look larger where room is short.

    Each series is named points; a NaN is a gap, and what exceeds y_range lies at its top.
    """
    known = [p for points in series.values() for p in points if math.isfinite(p[1])]
    x0, x1 = _range([x for points in series.values() for x, _ in points])
    y0, y1 = y_range or _range([0.0, *(y for _, y in known)])

    def at(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (x - x0) / (x1 - x0) * (width - LEFT - RIGHT)
        return across, HEIGHT - BOTTOM - (y - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<text x="{LEFT}" y="14" class="title">{html.escape(title)}</text>']
    for y in ticks(y0, y1):
        _, v = at(x0, y)
        parts.append(
            f'<line x1="{LEFT}" x2="{width - RIGHT}" y1="{v:.1f}" y2="{v:.1f}" class="grid"/>'
        )
        parts.append(f'<text x="{LEFT - 6}" y="{v + 4:.1f}" text-anchor="end">{y:g}</text>')
    along = ticks(x0, x1) if x_step is None else _multiples(x0, x1, x_step)
    for x in along:
        u, v = at(x, y0)
        parts.append(f'<text x="{u:.1f}" y="{v + 16:.1f}" text-anchor="middle">{x:g}</text>')
    middle = (LEFT + width - RIGHT) / 2
    parts.append(
        f'<text x="{middle:.0f}" y="{HEIGHT - 5}" text-anchor="middle">{html.escape(x_label)}</text>'
    )
    for k, (name, points) in enumerate(series.items()):
        parts.append(_curve(name, points, at, COLOURS[k % 4], DASHES[k % 4], y1))
    legend = "".join(
        f'<span><svg width="26" height="8" aria-hidden="true"><line x1="0" x2="26" y1="4" y2="4" '
        f'stroke="{COLOURS[k % 4]}" stroke-width="2.5" stroke-dasharray="{DASHES[k % 4]}"/></svg> '
        f"{html.escape(name)}</span>"
        for k, name in enumerate(series)
    )
    return (
        f'<figure class="chart"><svg viewBox="0 0 {width} {HEIGHT}" role="img" '
        f'aria-label="{html.escape(title)}">{"".join(parts)}</svg>'
        + (f"<figcaption>{legend}</figcaption>" if len(series) > 1 else "")
        + "</figure>"
    )


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (low, high) if high > low else (low, low + 1)


def _curve(name: str, points: Points, at, colour: str, dash: str, top: float) -> str:
    runs: list[list[str]] = [[]]
    dots = []
    for x, y in points:
        if math.isnan(y):
            runs.append([])
            continue
        u, v = at(x, min(y, top))
        runs[-1].append(f"{u:.1f},{v:.1f}")
        said = html.escape(f"{name}: {y:.3g} at {x:.3g}")
        if len(points) <= 80:
            dots.append(
                f'<circle cx="{u:.1f}" cy="{v:.1f}" r="3" fill="{colour}"><title>{said}</title></circle>'
            )
    drawn = "".join(
        f'<polyline points="{" ".join(run)}" fill="none" stroke="{colour}" stroke-width="2" '
        f'stroke-dasharray="{dash}"/>'
        for run in runs
        if len(run) > 1
    )
    return drawn + "".join(dots)
