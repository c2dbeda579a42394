"""Small planes: a surface for every patch of the picture, also where nothing could be matched.

Most surfaces are nearly flat over a patch of one colour. So the picture is cut into such patches
(superpixels), a plane d = a + b·x + c·y is fitted to the disparities found in each, and patches
without enough of their own take a neighbour's. Then each patch may change to a neighbour's plane,
or to one fitted to its whole surroundings, whenever that lowers an energy: how far found
disparities lie off the plane, what the right picture sees at the partners, and the gaps between
planes of neighbours of similar colour. After Yamaguchi et al. 2014, with patches that stay fixed.

What the right picture says about an unmatched pixel at disparity d: if something nearer stands at
its partner, the pixel is hidden, and fits; if something farther does, the pixel would have to
cover it, and can't be there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.types import Progress, silent

PATCH_PX = 200  # pixels in a patch
SWEEPS = 3  # rounds in which planes spread
NEIGHBOURS = 8  # a patch tries the planes of so many, of similar colour first

# the energy, for each pixel between 0 and 1
_OFF_PX = 3.0  # a found disparity that lies this far off its plane counts fully
_HIDDEN, _SAME, _COVERS = 0.4, 0.25, 1.0  # an unmatched pixel: behind, at, before the partner's
_NEAR = 0.2  # what is unmatched is rather far than near: the nearest costs this more
_OUTSIDE = 2.0  # outside the searched range
_GAP, _GAP_PX = 3.0, 3.0  # weight of gaps per pixel of border, and the gap that counts fully
_COLOUR = 8.0  # a difference in Lab that makes a gap e times cheaper
_KNOWN_SHARE = 0.35  # of a patch must agree with its plane for the plane to be believed
_SAME_PX = 1.5
_STEEP = 0.0015  # pulls slopes to zero, against noise
_UNIT = 100.0  # px: coordinates are divided by this, so that slopes and offsets are of one size


@dataclass(frozen=True)
class Matches:
    """What matching knows. disparity (H, W) float32, NaN unmatched; right (H, W) the right
    picture's disparities, right_known (H, W) bool where they can be trusted; the search covered
    first ≤ d < last."""

    disparity: np.ndarray
    right: np.ndarray
    right_known: np.ndarray
    first: int
    last: int


def surfaces(left: np.ndarray, found: Matches, progress: Progress = silent) -> np.ndarray:
    """(H, W) float32 px: the disparity of each pixel's plane, NaN everywhere if no patch has one.

    left (H, W, 3) uint8 is cut into patches.
    """
    patches = _Patches(left)
    fit = _Fit(patches, found.disparity)
    energy = _Energy(patches, found)
    planes = fit.own()
    known = fit.agreeing(planes) > _KNOWN_SHARE
    if not known.any():
        return np.full(left.shape[:2], np.nan, np.float32)
    data = np.where(known, energy.data(planes), np.inf)
    rng = np.random.default_rng(0)

    def offer(proposed: np.ndarray, possible: np.ndarray, share: float) -> None:
        """Patches take what is proposed if it lowers their energy; a share of them at a time, or
        two neighbours could swap for ever."""
        nonlocal known
        new = energy.data(proposed)
        gaps = energy.gaps(proposed, planes, known), energy.gaps(planes, planes, known)
        with np.errstate(invalid="ignore"):
            better = (new + gaps[0] < data + gaps[1]) & (rng.random(len(planes)) < share)
        take = possible & (better | ~known)
        planes[take], data[take] = proposed[take], new[take]
        known = known | take

    def around() -> None:
        wide, enough = fit.wide(planes, known, energy.distance(planes, planes))
        offer(wide, enough & known, 1.0)

    sweep = 0
    while sweep < SWEEPS or not known.all():
        before = int(known.sum())
        around()
        for k in range(NEIGHBOURS):
            near = patches.nearest[:, k]
            offer(planes[near], known[near], 0.7)
        sweep += 1
        progress(min(sweep / (SWEEPS + 1), 1.0), desc="fitting planes")
        if sweep >= SWEEPS and known.sum() == before:
            break
    around()
    return np.where(known[patches.labels], patches.drawn(planes), np.nan).astype(np.float32)


class _Patches:
    """labels (H, W) from 0; n patches, size (n,) px, their middles x, y (n,) in units of _UNIT;
    borders between patches i → j, each in both directions: length (px) and colour difference;
    nearest (n, NEIGHBOURS): the neighbours, similar colours first, itself where there are fewer."""

    def __init__(self, left: np.ndarray) -> None:
        import cv2
        from skimage.segmentation import slic

        height, width = left.shape[:2]
        self.labels = slic(
            left, max(1, height * width // PATCH_PX), compactness=10, max_num_iter=5, start_label=0
        )
        flat = self.flat = self.labels.ravel()
        n = self.n = int(flat.max()) + 1
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        self.px, self.py = (columns - width / 2) / _UNIT, (rows - height / 2) / _UNIT
        self.size = np.bincount(flat, minlength=n).astype(np.float64)
        self.x, self.y = self.mean(self.px), self.mean(self.py)
        lab = cv2.cvtColor(left.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
        colours = np.stack([self.mean(lab[..., c]) for c in range(3)], 1)
        pairs = []
        for one, two in (
            (self.labels[:, :-1], self.labels[:, 1:]),
            (self.labels[:-1], self.labels[1:]),
        ):
            differ = one != two
            pairs += [
                np.stack(p, 1) for p in ((one[differ], two[differ]), (two[differ], one[differ]))
            ]
        border = np.concatenate(pairs).astype(np.int64)
        key, self.length = np.unique(border[:, 0] * n + border[:, 1], return_counts=True)
        self.i, self.j = key // n, key % n
        self.colour = np.linalg.norm(colours[self.i] - colours[self.j], axis=1)
        order = np.lexsort((self.colour, self.i))
        i, j = self.i[order], self.j[order]
        rank = np.arange(len(i)) - np.searchsorted(i, i)
        self.nearest = np.tile(np.arange(n)[:, None], (1, NEIGHBOURS))
        few = rank < NEIGHBOURS
        self.nearest[i[few], rank[few]] = j[few]

    def sum(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.flat, values.ravel(), self.n)

    def mean(self, values: np.ndarray) -> np.ndarray:
        return self.sum(values) / self.size

    def drawn(self, planes: np.ndarray) -> np.ndarray:
        """(H, W) float32: each pixel's disparity on its patch's plane (n, 3)."""
        a, b, c = planes.astype(np.float32)[self.labels].transpose(2, 0, 1)
        return a + b * self.px + c * self.py


class _Fit:
    """Planes (n, 3), d = a + b·x + c·y, by least squares. The sums that a fit needs are additive,
    so a fit to a patch and its surroundings costs no second look at the pixels."""

    def __init__(self, patches: _Patches, disparity: np.ndarray) -> None:
        self.patches = patches
        known = np.isfinite(disparity)
        self.patch = patches.labels[known]
        self.x, self.y = (p[known].astype(np.float64) for p in (patches.px, patches.py))
        self.d = disparity[known].astype(np.float64)

    def own(self) -> np.ndarray:
        """From each patch's median on: what lies off the plane counts less and less."""
        n = self.patches.n
        planes = np.zeros((n, 3))
        count = np.bincount(self.patch, minlength=n)
        some = count > 0
        middle = (np.cumsum(count) - count + count // 2)[some]
        planes[some, 0] = self.d[np.lexsort((self.d, self.patch))][middle]
        for tolerance_px in (4.0, 2.0, 1.0, 1.0):
            planes = self._solved(self._sums(self._weights(planes, tolerance_px)))
        return planes

    def agreeing(self, planes: np.ndarray) -> np.ndarray:
        """(n,) share of each patch's pixels whose disparity was found, and lies on the plane."""
        on = np.abs(self._off(planes)) < _SAME_PX
        return np.bincount(self.patch, on, self.patches.n) / self.patches.size

    def wide(
        self, planes: np.ndarray, known: np.ndarray, apart: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Planes fitted to each patch and those around it that continue its plane and have its
        colour; and where there was enough to fit to. apart is the borders' gap in px."""
        patches = self.patches
        own = self._sums(self._weights(planes, 1.0) * known[self.patch])
        alike = np.exp(-patches.colour / (2 * _COLOUR) - (apart / 3.0) ** 2)
        alike *= known[patches.i] & known[patches.j]
        total = own
        for _ in range(4):  # sums travel four patches far
            total = own + np.stack(
                [np.bincount(patches.i, alike * s[patches.j], patches.n) for s in total]
            )
        return self._solved(total), total[0] > 10

    def _off(self, planes: np.ndarray) -> np.ndarray:
        a, b, c = planes[self.patch].T
        return self.d - (a + b * self.x + c * self.y)

    def _weights(self, planes: np.ndarray, tolerance_px: float) -> np.ndarray:
        return (1 + (self._off(planes) / tolerance_px) ** 2) ** -2.0

    def _sums(self, w: np.ndarray) -> np.ndarray:
        """(9, n): Σw, Σwx, Σwy, Σwd, Σwxx, Σwyy, Σwxy, Σwxd, Σwyd of each patch."""
        x, y, d = self.x, self.y, self.d
        wx, wy = w * x, w * y
        terms = (w, wx, wy, w * d, wx * x, wy * y, wx * y, wx * d, wy * d)
        return np.stack([np.bincount(self.patch, t, self.patches.n) for t in terms])

    def _solved(self, sums: np.ndarray) -> np.ndarray:
        w, x, y, d, xx, yy, xy, xd, yd = sums
        w = w + 1e-9
        pull = _STEEP * self.patches.size
        x, y, d = x / w, y / w, d / w
        xx, yy, xy = xx - w * x * x + pull, yy - w * y * y + pull, xy - w * x * y
        xd, yd = xd - w * x * d, yd - w * y * d
        determinant = xx * yy - xy**2
        b, c = (xd * yy - yd * xy) / determinant, (yd * xx - xd * xy) / determinant
        return np.stack([d - b * x - c * y, b, c], 1)


class _Energy:
    """What a patch pays for a plane: data for its pixels, gaps at its borders."""

    def __init__(self, patches: _Patches, found: Matches) -> None:
        self.patches, self.found = patches, found
        self.known = np.isfinite(found.disparity)
        self.disparity = np.nan_to_num(found.disparity)
        self.price = patches.length * (np.exp(-patches.colour / _COLOUR) + 0.02)
        height, width = found.disparity.shape
        self.column = np.arange(width, dtype=np.float32)
        self.row = np.arange(height)[:, None]

    def data(self, planes: np.ndarray) -> np.ndarray:
        """(n,): the sum over each patch's pixels."""
        found, d = self.found, self.patches.drawn(planes)
        width = d.shape[1]
        partner = np.rint(self.column - d)
        column = np.clip(partner, 0, width - 1).astype(np.intp)
        nearer = d - found.right[self.row, column]  # than what the right picture sees there
        told = found.right_known[self.row, column] & (partner >= 0) & (partner < width)
        cost = np.full(d.shape, _HIDDEN, np.float32)
        cost[told & (nearer >= -_SAME_PX)] = _SAME
        cost[told & (nearer > _SAME_PX)] = _COVERS
        cost += _NEAR * np.clip((d - found.first) / (found.last - found.first), 0, 1)
        cost = np.where(self.known, np.minimum(np.abs(self.disparity - d) / _OFF_PX, 1), cost)
        cost[(d < found.first - 1) | (d > found.last)] = _OUTSIDE
        return self.patches.sum(cost)

    def distance(self, planes: np.ndarray, others: np.ndarray) -> np.ndarray:
        """For each border i → j: how far plane i and the other plane j are apart, in px, at the
        middles of both patches."""
        p, one, two = self.patches, planes[self.patches.i], others[self.patches.j]
        apart = 0
        for k in (p.i, p.j):
            gap = one - two
            apart = apart + np.abs(gap[:, 0] + gap[:, 1] * p.x[k] + gap[:, 2] * p.y[k]) / 2
        return np.asarray(apart)

    def gaps(self, planes: np.ndarray, others: np.ndarray, known: np.ndarray) -> np.ndarray:
        """(n,): what patches pay for the gaps to known neighbours with the other planes."""
        p = self.patches
        gap = np.minimum(self.distance(planes, others) / _GAP_PX, 1)
        return _GAP * np.bincount(p.i, self.price * gap * known[p.j], p.n)
