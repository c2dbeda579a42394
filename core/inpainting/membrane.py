"""A soap film over the hole: its height is given along the edge and it is as smooth as can be inside.

What is copied from elsewhere may be a little too dark or too warm where it meets the picture. That
gap is known at the edge. Spread inwards so that each pixel has the mean of its neighbours (Laplace's
equation) and added to the filling, it hides the seam and leaves the texture: the same as solving
Poisson's equation for the copied gradients (Pérez et al. 2003, "Poisson image editing").
"""

from __future__ import annotations

import numpy as np

from core.types import InputError

# Unknowns that are solved for at once: 250,000 take 2 s and 0.4 GB on one core, 640,000 7 s and 1 GB.
# The methods that use it take several times as much.
MOST_PX = 1_500_000
_OUTSIDE = -1


def bounded(hole: np.ndarray) -> None:
    """Raises InputError if a hole (H, W) bool has more pixels than a membrane can be laid over."""
    count = int(np.count_nonzero(hole))
    if count > MOST_PX:
        raise InputError(
            f"The hole has {count:,} pixels; this method solves for all of them at once, and beyond "
            f"{MOST_PX:,} that fills the memory. Paint a smaller hole, take a smaller picture, or "
            "choose Telea."
        )


class Membrane:
    """hole (H, W) bool. rim (m,): known pixels beside the hole, as y·width + x. The hole's own
    pixels are in reading order. The equations are factorised once, for many heights."""

    def __init__(self, hole: np.ndarray) -> None:
        from scipy.sparse import csc_matrix
        from scipy.sparse.linalg import splu

        width = hole.shape[1]
        y, x = np.nonzero(hole)
        n = len(y)
        number = np.pad(np.full(hole.shape, n, np.int64), 1, constant_values=_OUTSIDE)
        number[1:-1, 1:-1][hole] = np.arange(n)  # n: known
        inner, rim_at, degree = [], [], np.zeros(n)
        for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            beside = number[y + 1 + dy, x + 1 + dx]
            degree += beside != _OUTSIDE  # nothing pulls from beyond the picture's edge
            hidden, known = (
                np.flatnonzero((beside >= 0) & (beside < n)),
                np.flatnonzero(beside == n),
            )
            inner.append((hidden, beside[hidden]))
            rim_at.append((known, (y[known] + dy) * width + x[known] + dx))
        rows, columns = (np.concatenate(k) for k in zip(*inner, strict=True))
        touching, places = (np.concatenate(k) for k in zip(*rim_at, strict=True))
        self.rim, which = np.unique(places, return_inverse=True)
        self._pull = csc_matrix((np.ones(len(places)), (touching, which)), (n, len(self.rim)))
        everyone = np.arange(n)
        laplace = csc_matrix(
            (
                np.concatenate([degree, -np.ones(len(rows))]),
                (np.concatenate([everyone, rows]), np.concatenate([everyone, columns])),
            ),
            (n, n),
        )
        self._solved = splu(
            laplace, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )  # fmt: skip

    def inside(self, height: np.ndarray) -> np.ndarray:
        """(n, C) float32 for each hidden pixel, from the heights (m, C) of the rim."""
        return self._solved.solve(self._pull @ height.astype(np.float64)).astype(np.float32)
