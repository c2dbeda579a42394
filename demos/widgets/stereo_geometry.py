"""Two cameras from above: why a shift of pixels is a distance, and what one pixel costs."""

from __future__ import annotations

from typing import Any

from demos.widgets.base import Widget


class StereoGeometry(Widget):
    """A live drawing of a rectified rig. Its sliders work in the browser alone; it has no events.

    value is a dict, or None where no rig is known.
        focal_px, baseline, cx   of the rig; baseline in `unit`, and so is every depth
        unit                     "m", "mm", …
        width_px                 of the pictures
        disparity_px             of the point the drawing starts with; disparity_px + doffs_px > 0
        doffs_px                 how much further right the right principal point lies; 0 if left out
        z_near, z_far            depths between which most of the scene lies: the slider's range
    """

    def __init__(self, value: dict[str, Any] | None = None, **kwargs: Any):
        super().__init__(value, module="stereo_geometry.js", **kwargs)
