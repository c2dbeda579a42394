"""The large result of the matching tab: two pictures and the lines between them."""

from __future__ import annotations

from typing import Any

from demos.widgets.base import Widget


class MatchView(Widget):
    """Shows matches; hiding a kind, showing fewer and stepping through need no server call.

    value is a dict. All coordinates are px of the full picture, first pixel's centre (0.5, 0.5).
        image0, image1   address or data-URI; may be reduced copies, `size` tells the full size
        size0, size1     [width, height] px
        points0, points1 [[x, y], …] one per match, best match first
        state            [int, …] one per match: which of the classes it belongs to
        classes          [{name, colour, hidden}, …]: the legend; hidden (optional) starts it off
        keypoints0, keypoints1   optional {xy: [[x, y], …], size: [diameter px, …],
                         angle: [degrees clockwise from +x, or None, …]}
        lines            optional [{view: 0 or 1, segment: [x0, y0, x1, y1]}, …], such as
                         epipolar lines
        selected         optional index of the match that is picked, or None
        show             optional number of matches shown at first; all if left out

    Events
        picked   {index}        a match was clicked, or Enter pressed on it
        pointed  {view, x, y}   a place in a picture away from any match's end was clicked, px
    """

    def __init__(self, value: dict[str, Any] | None = None, **kwargs: Any):
        super().__init__(value, module="match_view.js", events=("picked", "pointed"), **kwargs)
