"""Everything that knows Gradio. Each tab is a module here with a `demo`; TABS is their order."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from demos.ui import Demo

# In teaching order.
TABS = ("captioning", "stereo", "nerf", "splats", "controlnet", "inpainting", "matching")


def load(names: Iterable[str] = TABS) -> list[Demo]:
    """The demos of these tabs. One whose module fails to import shows its error instead."""
    from demos import ui

    found = []
    for name in names:
        try:
            found.append(importlib.import_module(f"demos.{name}").demo)
        except Exception as error:  # whatever broke one tab, the others live
            traceback.print_exc()
            found.append(ui.broken(name, error))
    return found
