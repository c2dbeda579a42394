"""Four corners to drag: the homography that makes any picture a test with exact truth."""

from __future__ import annotations

from typing import Any

from demos.widgets.base import Widget


class CornerWarp(Widget):
    """Shows a picture warped live into the quadrilateral of its four dragged corners.

    value is a dict.
        image           address or data-URI
        width, height   px of the full picture
        corners         8 floats: (dx, dy) of the top left, top right, bottom right and bottom
                        left corner, as shares of width and height; all 0 is no warp

    Event
        warped  {corners}   8 floats as above, on release; the quadrilateral is always convex
    """

    def __init__(self, value: dict[str, Any] | None = None, **kwargs: Any):
        super().__init__(value, module="corner_warp.js", events=("warped",), **kwargs)
