"""What the Stereo depth tab shows of a result: the layers of the map, and words about places."""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from core.images import digest, fit
from core.stereo import pictures
from core.stereo.geometry import Ruler
from core.stereo.run import Run
from core.types import InputError
from demos import markup
from demos.widgets.depth_view import encode

SHOWN_SIDE_PX = 1000  # pictures sent to the browser are reduced to this; coordinates are not
MAP_SIDE_PX = 1500  # and of larger maps every n-th pixel goes there: a mean would blur edges
HINT = (
    '<div class="note">Click a pixel to open it under <b>Look inside</b>. With the ruler, click '
    "two points to read their distance in space.</div>"
)
Place = tuple[float, float]


def depth_view(found: Run) -> dict[str, Any]:
    """The value of the DepthView: every layer of this result."""
    return {**_same(found), "layers": _layers(found)}


def marked(
    found: Run, mark: Place | None = None, ruler: tuple[tuple[Place, Place], Ruler] | None = None
) -> dict[str, Any]:
    """The same with a marked pixel or a measured distance; the layers stay as the page has them."""
    value = _same(found)
    if mark is not None:
        value["marks"] = [{"x": mark[0], "y": mark[1], "label": "", "colour": "#0072b2"}]
        value["row"] = int(mark[1])
    if ruler is not None:
        (start, end), read = ruler
        label = f"{markup.number(read.distance)} {read.unit}"
        value["segment"] = {"from": list(start), "to": list(end), "label": label}
    return value


def _same(found: Run) -> dict[str, Any]:
    height, width = found.result.disparity.shape
    key = digest(found.result.disparity)[:16] + digest(found.pair.left)[:16]
    return {"size": [width, height], "key": key}


def _layers(found: Run) -> list[dict[str, Any]]:
    pair, result = found.pair, found.result
    d = result.disparity
    low, high = pictures.limits(d)
    made = [
        _layer("Disparity", pictures.colour_map(d, low, high),
               pictures.legend(low, high, "px"), d, "px", 2),
    ]  # fmt: skip
    if found.depth is not None and pair.rig is not None:
        near, far = pictures.limits(found.depth, 2)
        unit = pair.rig.unit
        made.append(
            _layer("Depth", pictures.colour_map(found.depth, near, far, "cividis"),
                   pictures.legend(near, far, unit, "cividis"), found.depth, unit, 3)
        )  # fmt: skip
    if pair.truth is not None:
        off = np.abs(d - pair.truth.disparity)
        made += [
            _layer("Error", pictures.error_picture(d, pair.truth),
                   pictures.legend(0, 4, "px", "magma"), off, "px", 2),
            _layer("Truth", pictures.colour_map(pair.truth.disparity, low, high),
                   pictures.legend(low, high, "px"), pair.truth.disparity, "px", 2),
        ]  # fmt: skip
    made += [
        _layer("Confidence", pictures.colour_map(result.confidence, 0, 1, "cividis"),
               pictures.legend(0, 1, "", "cividis"), result.confidence, "", 2),
        _layer("Filled", pictures.filled_picture(pair.left, result.matched, result.disparity)),
        _layer("Left picture", pair.left),
        _layer("Right picture", pair.right),
    ]  # fmt: skip
    return made


def _layer(
    name: str,
    picture: np.ndarray,
    legend: dict | None = None,
    values: np.ndarray | None = None,
    unit: str = "",
    decimals: int = 2,
) -> dict[str, Any]:
    flat = legend is not None or name == "Filled"
    shown = _thinned(picture) if flat else fit(picture, SHOWN_SIDE_PX)[0]
    told = None
    if values is not None:
        told = encode(_thinned(values)) | {"unit": unit, "decimals": decimals}
    return {"name": name, "image": markup.data_uri(shown, lossless=flat), "legend": legend,
            "values": told}  # fmt: skip


def _thinned(layer: np.ndarray) -> np.ndarray:
    step = -(-max(layer.shape[:2]) // MAP_SIDE_PX)
    return np.ascontiguousarray(layer[::step, ::step])


def place_text(found: Run, xy: Place) -> str:
    """What is known about one pixel. Raises InputError outside the picture."""
    height, width = found.result.disparity.shape
    if not (0 <= xy[0] < width and 0 <= xy[1] < height):
        raise InputError("That place is outside the left picture. Click on the picture.")
    column, row = int(xy[0]), int(xy[1])
    d = float(found.result.disparity[row, column])
    rows = [("Disparity", markup.number(d, "px"))]
    if found.depth is not None and found.pair.rig is not None:
        unit = found.pair.rig.unit
        rows.append(("Depth", markup.number(float(found.depth[row, column]), unit)))
    if found.pair.truth is not None:
        true = float(found.pair.truth.disparity[row, column])
        rows.append(("True disparity", markup.number(true, "px")))
    rows.append(("Confidence", markup.number(float(found.result.confidence[row, column]))))
    if found.result.occluded[row, column]:
        rows.append(("Left–right check", "failed: hidden from the right camera, or unsure"))
    elif np.isnan(found.result.matched[row, column]):
        rows.append(("Match", "none found; filled from its neighbours" if np.isfinite(d)
                     else "none found"))  # fmt: skip
    return markup.table(rows, ("Pixel", f"{column + 0.5}, {row + 0.5}"), ("", "n"))


def ruler_text(read: Ruler) -> str:
    """The measured distance with both ends in space."""
    ends = [
        (name, *(markup.number(float(v)) for v in point))
        for name, point in (("First point", read.point0), ("Second point", read.point1))
    ]
    size = markup.number(read.distance, read.unit)
    off = markup.number(read.error, read.unit)
    said = f"<p><b>{html.escape(size)}</b> apart, ± {html.escape(off)} for half a pixel.</p>"
    return said + markup.table(ends, (f"In {read.unit}", "x", "y", "z"), ("", "n", "n", "n"))


def error_pictures(found: Run) -> str:
    """Error map and truth, or nothing without truth."""
    if found.pair.truth is None:
        return ""
    d, truth = found.result.disparity, found.pair.truth
    return markup.pictures(
        [
            (pictures.error_picture(d, truth), "Error, dark 0 to bright 4 px"
             + ("" if truth.occluded is None else "; outlined: hidden from the right")),
            (pictures.occlusion_picture(found.pair.left, found.result.occluded),
             "Where the left–right check failed"),
        ]
    )  # fmt: skip
