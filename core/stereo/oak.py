"""A real measurement to check the formulas by: an OAK-D Lite before three boards with marks.

Twelve marks were picked by hand in both rectified pictures, and a ruler was laid between some of
them. Whole pixels: what remains between ruler and stereo is mostly the rounding of d.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.stereo.geometry import depth_error, distance, triangulate
from core.types import Rig

RIG = Rig(focal_px=452.9, baseline=7.5, cx=298.85, cy=245.52, unit="cm")
MARKS = np.array([  # u and v in the left picture, u and v in the right one, px
    (138, 219, 102, 219), (264, 216, 234, 217), (137, 320, 101, 321), (263, 303, 233, 302),
    (307, 211, 280, 211), (367, 212, 339, 212), (305, 298, 278, 298), (365, 299, 338, 299),
    (466, 225, 415, 225), (581, 225, 530, 226), (464, 387, 413, 388), (579, 388, 528, 390),
], np.float64)  # fmt: skip
RULER_CM = {(1, 2): 31.2, (1, 3): 21.3, (5, 6): 16.7, (5, 7): 24.0, (9, 10): 16.7, (9, 11): 24.0}


@dataclass(frozen=True)
class Measured:
    """points (12, 3) cm; one_px_cm (12,): what one pixel of disparity means at each; lengths: for
    each pair of marks, counted from 1, the length by stereo and by ruler, cm."""

    points: np.ndarray
    one_px_cm: np.ndarray
    lengths: dict[tuple[int, int], tuple[float, float]]


def measured() -> Measured:
    """The marks in space, and the lengths between them."""
    points = triangulate(MARKS[:, :2], MARKS[:, 2:], RIG)
    lengths = {
        (a, b): (float(distance(points[a - 1], points[b - 1])), ruler)
        for (a, b), ruler in RULER_CM.items()
    }
    return Measured(points, depth_error(points[:, 2], RIG, 1.0), lengths)
