"""What many things are like: a histogram of one quantity at a time, and a range to drag over it."""

from __future__ import annotations

from typing import Any

from demos.widgets.base import Widget


class Histogram(Widget):
    """Bars of one quantity, chosen by buttons; dragging over them selects a range of bars.

    value is a dict, or None for nothing yet.
        key         text; another key is another set of things: the range is cleared. The quantity
                    stays the one that the person chose, if there still is one of that name
        quantities  [{name, title, unit, edges, counts, log}, …]: edges one more than counts; log:
                    edges are decimal logarithms, shown as what they mean
        chosen      name of the quantity shown first
        total       how many things there are

    Event
        ranged  {name, low, high}: a range was selected, its ends in the quantity's own unit; low
                and high are null when it was cleared
    """

    def __init__(self, value: dict[str, Any] | None = None, **kwargs: Any):
        super().__init__(value, module="histogram.js", events=("ranged",), **kwargs)
