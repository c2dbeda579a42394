"""What many things are like: a histogram of one quantity at a time, and a range to drag over it."""

from __future__ import annotations

from typing import Any

from demos.widgets.base import Widget


class Histogram(Widget):
    """Bars of one quantity, chosen by buttons; dragging over them selects a range of bars.

    value is a dict, or None for nothing yet.
        key         text; another key is another set of things, with its own range. The quantity
                    stays the one that the person chose, if there still is one of that name
        quantities  [{name, title, unit, edges, counts, log}, …]: edges ascend, equally far apart,
                    one more than counts; log: they are decimal logarithms, and what is shown and
                    told is what they mean
        chosen      name of the quantity shown first
        range       [low, high] in the chosen quantity's own unit, selected with a new key; or None
        total       how many things there are

    Event
        ranged  {name, low, high}: a range was selected, its ends in the quantity's own unit; low
                and high are null when it was cleared. Told when a drag ends or a key is let go
    """

    def __init__(self, value: dict[str, Any] | None = None, **kwargs: Any):
        super().__init__(value, module="histogram.js", events=("ranged",), **kwargs)
