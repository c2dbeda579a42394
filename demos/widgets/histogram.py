"""stub"""
from __future__ import annotations
from typing import Any
from demos.widgets.base import Widget
class Histogram(Widget):
    def __init__(self, value: Any = None, **kwargs: Any):
        super().__init__(value, module="histogram.js", events=("ranged",), **kwargs)
