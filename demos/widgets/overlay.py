"""Two pictures in one place: swipe, blend, flicker or difference show where they disagree."""

from __future__ import annotations

from typing import Any

from demos.widgets.base import Widget


class Overlay(Widget):
    """Lays two pictures of the same size on top of each other.

    value is a dict: image0, image1 (address or data-URI), label0, label1 (what to call them).
    It has no events: all happens in the browser.
    """

    def __init__(self, value: dict[str, Any] | None = None, **kwargs: Any):
        super().__init__(value, module="overlay.js", **kwargs)
