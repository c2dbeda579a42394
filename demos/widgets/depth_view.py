"""Layers over one picture: every pixel can be read, picked and measured from."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from demos.widgets.base import Widget

UNKNOWN = 65535  # the code of a pixel without a value
CODES = 65534  # the largest code of one with a value


class DepthView(Widget):
    """Shows one layer at a time, with zoom, a colour bar and the values under the pointer.

    value is a dict. All coordinates are px of the full picture, first pixel's centre (0.5, 0.5).
        size      [width, height] px of the full picture
        layers    [{name, image, legend, values}, …]. image is an address or data-URI, reduced or
                  not. legend is None or {low, high, unit, colours: [colour at low, …, at high]}.
                  values is None or `encode(array) | {unit, decimals}`. Where a layer is called
                  "Left" or "Left picture", a slider blends the others with it
        layer     optional name of the layer shown first
        key       optional text, another one for each set of layers. A later value with this key
                  may leave `layers` out: the page still has them
        marks     optional [{x, y, label, colour}, …]
        segment   optional {from: [x, y], to: [x, y], label}: what the ruler measured, or None
        row       optional y of a row of pixels to highlight, or None

    Layer, zoom and mode stay as they are when a new value has the same size.

    Events; the coordinates are those of pixel centres
        picked    {x, y}            a pixel was clicked, or Enter pressed on it
        measured  {x0, y0, x1, y1}  two pixels were clicked with the ruler
    """

    def __init__(self, value: dict[str, Any] | None = None, **kwargs: Any):
        super().__init__(value, module="depth_view.js", events=("picked", "measured"), **kwargs)


def encode(values: np.ndarray) -> dict[str, Any]:
    """A map (H, W) of numbers as the browser takes it, unknown where it isn't finite.

    Each value becomes one of 65535 even steps, v = offset + scale·code. Where a few far outliers
    would make the steps coarse, as in depths at disparities near 0, positive values are stored as
    1/v ("inverse"), whose steps are fine where depth is well known.
    Raises ValueError if the array isn't two-dimensional or is empty.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or not values.size:
        raise ValueError(f"encode takes a map (H, W), not shape {values.shape}")
    known = np.isfinite(values)
    inverse = _has_long_tail(values[known])
    if inverse:
        values = np.divide(1, values, out=np.full_like(values, np.nan), where=known)
    low, high = (values[known].min(), values[known].max()) if known.any() else (0.0, 0.0)
    scale = (high - low) / CODES or 1.0
    codes = np.full(values.shape, UNKNOWN, "<u2")
    codes[known] = np.rint((values[known] - low) / scale)
    height, width = values.shape
    return {
        "data": base64.b64encode(codes.tobytes()).decode(),
        "width": width, "height": height,
        "scale": float(scale), "offset": float(low), "inverse": inverse,
    }  # fmt: skip


def _has_long_tail(known: np.ndarray) -> bool:
    if not known.size or known.min() <= 0:
        return False
    low, high = np.percentile(known, (1, 99))
    return bool(known.max() - known.min() > 10 * (high - low) > 0)
