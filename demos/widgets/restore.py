"""An exported figure dropped anywhere on the page brings its settings back."""

from __future__ import annotations

from typing import Any

from demos.widgets.base import Widget


class Restore(Widget):
    """A small 'Open a figure…' button, and a listener for drops on the whole page.

    A PNG that carries a recipe (`core.recipe.PNG_KEY`) reloads the page with the recipe's link.
    Every other drop reaches what lies under the pointer, as if this widget were not there.
    It takes no value and has no events. One per page.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(None, module="restore.js", **kwargs)
