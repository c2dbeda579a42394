"""What a threshold costs: a histogram with a line to drag, precision and recall as it moves."""

from __future__ import annotations

from typing import Any

from demos.widgets.base import Widget


class ThresholdPlot(Widget):
    """Shows values of right and wrong matches; those below the line are kept.

    value is a dict.
        values      [float or None, …] one per match; None (unknown) is kept at any threshold
        labels      [1 right, 0 wrong, -1 unknown, …]
        threshold   where the line stands; minimum, maximum, step: where it can be dragged
        label       what the values are, written under the axis

    precision = right kept / (right + wrong kept); recall = right kept / all right. If no label
    is known, only the number kept is shown.

    Event
        released  {threshold}   the line was let go
    """

    def __init__(self, value: dict[str, Any] | None = None, **kwargs: Any):
        super().__init__(value, module="threshold_plot.js", events=("released",), **kwargs)
