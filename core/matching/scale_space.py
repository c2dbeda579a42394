"""Scale space: where SIFT looks for points, opened (Lowe 2004, sections 3 and 4).

A corner seen from twice as far away is half as large. To find it again, search over size as well
as over place: blur the picture more and more (an *octave* doubles the blur, then every second
pixel is dropped), subtract neighbouring blurs, and keep each sample that is larger or smaller than
all its 26 neighbours: 8 around it, 9 in the blur above, 9 in the blur below. The difference of
Gaussians (DoG) approximates σ²∇²G, so such a sample is the middle of a bright or dark blob, and
its σ says how large the blob is.

Two kinds are thrown away: weak ones (low |DoG|, noise moves them) and those on an edge (they slide
along it, so their place is not repeatable).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from core import draw
from core.images import as_rgb
from core.types import InputError

CAMERA_SIGMA = 0.5  # px; the blur a photo is assumed to have already (Lowe 2004, 3.3)
BORDER_PX = 5  # of an octave; closer to the edge the blur sees mostly its own mirror image
MIN_SIDE_PX = 16  # a smaller octave has nothing but border


@dataclass(frozen=True)
class ScaleSpace:
    """Every blur of one picture, their differences, and the extrema.

    sigmas (O, S+3) float64: blur of each level in pixels of the full picture. gaussians: per octave
    (S+3, h, w) float32 in [0, 1]; dogs: per octave (S+2, h, w) float32, dogs[o][i] is
    gaussians[o][i+1] - gaussians[o][i]. Sample (row r, column c) of octave o lies at
    x = c 2^o + 0.5, y = r 2^o + 0.5 of the full picture.
    extrema (E, 4) float64: x px, y px, sigma px (full picture) and DoG value, interpolated.
    levels (E, 2) int: the octave and DoG level each was found in. size is (width, height) px.
    """

    sigmas: np.ndarray
    gaussians: tuple[np.ndarray, ...]
    dogs: tuple[np.ndarray, ...]
    extrema: np.ndarray
    levels: np.ndarray
    size: tuple[int, int]


def grey(image: np.ndarray) -> np.ndarray:
    """Any picture as grey float32 (H, W) in [0, 1]."""
    import cv2

    return cv2.cvtColor(as_rgb(image), cv2.COLOR_RGB2GRAY).astype(np.float32) / 255


def scale_space(
    image: np.ndarray,
    octaves: int = 3,
    scales: int = 3,
    sigma: float = 1.6,
    contrast: float = 0.03,
    edge: float = 10.0,
) -> ScaleSpace:
    """Build the scale space of a picture and find its extrema (Lowe 2004).

    image RGB uint8 (H, W, 3); all blurs are kept, about 60 bytes per pixel, so reduce large
    pictures first (`images.fit`). octaves at most, fewer in a small picture; scales S per octave;
    sigma of the first level in px; contrast, the smallest |DoG| of grey in [0, 1]; edge, the
    largest ratio of the two principal curvatures. Unlike Lowe's, the picture isn't doubled first,
    so blobs smaller than sigma are not found. Raises InputError for a picture under 16 px.
    """
    base = grey(image)
    height, width = base.shape
    if min(height, width) < MIN_SIDE_PX:
        raise InputError(
            f"The picture is {width}×{height} px; a scale space needs {MIN_SIDE_PX} px "
            "on each side. Choose a larger one."
        )
    blurs = sigma * 2 ** (np.arange(scales + 3) / scales)  # in pixels of the octave
    level = _blur(base, np.sqrt(max(sigma**2 - CAMERA_SIGMA**2, 0.01)))
    gaussians = []
    for _ in range(octaves):
        stack = [level]
        for before, after in itertools.pairwise(blurs):
            # Gaussians add in squares: blur what is there by what is missing
            stack.append(_blur(stack[-1], np.sqrt(after**2 - before**2)))
        gaussians.append(np.stack(stack))
        level = stack[scales][::2, ::2]  # twice the first blur: half the pixels carry it
        if min(level.shape) < MIN_SIDE_PX:
            break
    dogs = [np.diff(stack, axis=0) for stack in gaussians]

    extrema, levels = [np.empty((0, 4))], [np.empty((0, 2), int)]
    for octave, dog in enumerate(dogs):
        at, offset, value = _refine(dog, _candidates(dog, contrast), contrast, edge)
        place = (at + offset)[:, [2, 1]] * 2**octave + 0.5
        size = sigma * 2 ** (octave + (at + offset)[:, :1] / scales)
        extrema.append(np.hstack([place, size, value[:, None]]))
        levels.append(np.stack([np.full(len(at), octave), at[:, 0]], axis=1))
    return ScaleSpace(
        sigmas=blurs * 2.0 ** np.arange(len(dogs))[:, None],
        gaussians=tuple(gaussians),
        dogs=tuple(dogs),
        extrema=np.vstack(extrema),
        levels=np.vstack(levels),
        size=(width, height),
    )


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    import cv2

    return cv2.GaussianBlur(image, (0, 0), float(sigma))


def _candidates(dog: np.ndarray, contrast: float) -> np.ndarray:
    """(C, 3) int, level, row and column of each sample beyond all its 26 neighbours."""
    import cv2

    ring = np.ones((3, 3), np.uint8)
    ring[1, 1] = 0
    full = np.ones((3, 3), np.uint8)
    found = np.zeros(dog.shape, bool)
    for sign in (1, -1):
        around = [cv2.dilate(sign * d, ring) for d in dog]  # largest of the 8 neighbours
        within = [cv2.dilate(sign * d, full) for d in dog]  # and of all 9
        for i in range(1, len(dog) - 1):
            rival = np.maximum(around[i], np.maximum(within[i - 1], within[i + 1]))
            # interpolation can raise a value, so be lenient until it is done
            found[i] |= (sign * dog[i] > rival) & (sign * dog[i] > contrast / 2)
    inside = np.zeros(dog.shape, bool)
    inside[:, BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = True
    return np.argwhere(found & inside)


def _refine(
    dog: np.ndarray, at: np.ndarray, contrast: float, edge: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit a quadratic around each candidate and keep the strong ones that are not on edges.

    Returns the sample (K, 3) int, the offset of the true extremum from it (K, 3) in samples, each
    within half a sample, and the DoG value there (K,). Lowe 2004, equations 2 to 4.
    """
    last = np.array(dog.shape) - (1, BORDER_PX, BORDER_PX)
    first = np.array([1, BORDER_PX, BORDER_PX])
    done = []
    for _ in range(5):  # an extremum more than half a sample away: fit again at that sample
        at = np.unique(at[np.all((at >= first) & (at < last), axis=1)], axis=0)
        if not len(at):
            break
        value, gradient, hessian = _derivatives(dog, at)
        solvable = np.abs(np.linalg.det(hessian)) > 1e-12
        at, value, gradient, hessian = (a[solvable] for a in (at, value, gradient, hessian))
        offset = -np.linalg.solve(hessian, gradient[..., None])[..., 0]
        near = np.all(np.abs(offset) <= 0.5, axis=1)
        peak = value + 0.5 * np.sum(gradient * offset, axis=1)
        # an edge curves strongly across and hardly along: trace² / det of the 2×2 Hessian is large
        flat = hessian[:, 1:, 1:]
        trace, det = np.trace(flat, axis1=1, axis2=2), np.linalg.det(flat)
        blob = (det > 0) & (trace**2 * edge < (edge + 1) ** 2 * det)
        keep = near & blob & (np.abs(peak) >= contrast)
        done.append((at[keep], offset[keep], peak[keep]))
        step = np.clip(np.rint(offset[~near]), -2, 2).astype(int)
        at = at[~near] + step
    if not done:
        return np.empty((0, 3), int), np.empty((0, 3)), np.empty(0)
    at, offset, peak = (np.concatenate(parts) for parts in zip(*done, strict=True))
    at, one_each = np.unique(at, axis=0, return_index=True)
    return at, offset[one_each], peak[one_each]


def _derivatives(dog: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value (C,), gradient (C, 3) and Hessian (C, 3, 3) along level, row, column, by differences."""

    def d(step):
        return dog[tuple((at + step).T)].astype(np.float64)

    axes = np.eye(3, dtype=int)
    centre = d(np.zeros(3, int))
    gradient = np.stack([(d(e) - d(-e)) / 2 for e in axes], axis=1)
    hessian = np.empty((len(at), 3, 3))
    for i, a in enumerate(axes):
        for j, b in enumerate(axes):
            if i == j:
                hessian[:, i, i] = d(a) - 2 * centre + d(-a)
            else:
                hessian[:, i, j] = (d(a + b) - d(a - b) - d(b - a) + d(-a - b)) / 4
    return centre, gradient, hessian


def picture(space: ScaleSpace, octave: int, level: int, kind: str = "dog") -> np.ndarray:
    """One level as RGB uint8, as large as the full picture (a whole multiple if under 700 px).

    kind "gaussian": the blurred picture in grey. kind "dog": the difference, orange where it is
    positive (dark blobs), blue where it is negative (bright blobs), with a circle of radius √2 σ
    around each extremum of that level: the outline of the blob that gives such an extremum.
    Pixels of higher octaves are larger and stay sharp squares. Raises InputError for no such level.
    """
    stacks = {"gaussian": space.gaussians, "dog": space.dogs}
    if kind not in stacks:
        raise InputError(f"A scale space has no {kind!r}. Choose gaussian or dog.")
    if not 0 <= octave < len(space.dogs) or not 0 <= level < len(stacks[kind][0]):
        raise InputError(
            f"There is no level {level} in octave {octave}: this picture has octaves 0 to "
            f"{len(space.dogs) - 1} with levels 0 to {len(stacks[kind][0]) - 1}."
        )
    values = stacks[kind][octave][level]
    zoom = max(1, -(-700 // space.size[0]))  # a circle of 3 px would hide its blob
    rows, columns = (
        # the sample whose place is nearest to each pixel of the full picture
        np.clip(np.rint(((np.arange(n * zoom) + 0.5) / zoom - 0.5) / 2**octave), 0, m - 1)
        for n, m in zip(space.size[::-1], values.shape, strict=True)
    )
    values = values[rows.astype(int)][:, columns.astype(int)]
    if kind == "gaussian":
        return np.repeat((np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)[..., None], 3, axis=2)

    limit = max(float(np.percentile(np.abs(values), 99.5)), 1e-6)
    canvas = diverging(values / limit)
    here = np.all(space.levels == (octave, level), axis=1)
    for x, y, sigma, _ in space.extrema[here] * zoom:
        _circle(canvas, x, y, np.sqrt(2) * sigma)
    return canvas


def diverging(values: np.ndarray) -> np.ndarray:
    """Values in [-1, 1] as colours, RGB uint8: blue below zero, near white at zero, orange above."""
    white = np.array([247, 247, 245], np.float32)
    ends = np.where(values[..., None] < 0, np.array(draw.BLUE), np.array(draw.ORANGE))
    share = np.clip(np.abs(values), 0, 1)[..., None]
    return np.ascontiguousarray((white + (ends - white) * share + 0.5).astype(np.uint8))


def _circle(canvas: np.ndarray, x: float, y: float, radius: float) -> None:
    """A dark ring with a white edge, so that it shows on any colour; x, y in our pixels."""
    import cv2

    centre = round((x - 0.5) * 16), round((y - 0.5) * 16)  # OpenCV: 4 binary places, 0-based
    for colour, width in (((255, 255, 255), 4), ((20, 24, 30), 2)):
        cv2.circle(canvas, centre, round(radius * 16), colour, width, cv2.LINE_AA, 4)
