"""How matching is made fast: four short ideas, each computed from the pair on screen.

    integral image   the sum over any box by four look-ups, so that SURF (Bay et al. 2006) can
                     replace Gaussian derivatives by boxes of any size at one price
    Hamming          a binary descriptor (ORB) is compared by XOR and a count of ones
    KD-tree          halve the descriptors again and again along one axis; a query walks down to
                     its leaf and sees only what lies there, perhaps not its nearest (Bentley 1975)
    LSH              read a few bits of each descriptor as a bucket number: near ones often share
                     a bucket, far ones seldom (Indyk & Motwani 1998)

The last two are approximate: `checks` and the number of tables buy back what they miss.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core import draw
from core.matching.scale_space import CAMERA_SIGMA, diverging, grey
from core.types import InputError

# ---------------------------------------------------------------- integral image and SURF


def integral_image(image: np.ndarray) -> np.ndarray:
    """(H+1, W+1) float64 of an (H, W) array: entry (y, x) is the sum above and left of it."""
    integral = np.zeros((image.shape[0] + 1, image.shape[1] + 1))
    integral[1:, 1:] = image.astype(np.float64).cumsum(axis=0).cumsum(axis=1)
    return integral


def box_sum(integral: np.ndarray, x0, y0, x1, y1):
    """Sum over rows y0 to y1 - 1 and columns x0 to x1 - 1: four look-ups, whatever the box.

    The corners are integers, or integer arrays for many boxes at once.
    """
    return integral[y1, x1] - integral[y0, x1] - integral[y1, x0] + integral[y0, x0]


def surf_response(image: np.ndarray, size: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """Blob strength of each pixel by boxes, as SURF has it, and by true Gaussian derivatives.

    Both (H, W) float32: determinants of the Hessian, each comparable across sizes. size is the side of
    the box filter in px, 9, 15, 21 … (three odd lobes). Bay et al. 2006, section 3, give it the
    scale 1.2 size / 9 px, but boxes blur more: the Gaussian has the sigma of equal variance, 1.41 px
    for size 9. Raises InputError for another size.
    """
    import cv2

    lobe = size // 3
    if size % 3 or lobe < 3 or lobe % 2 == 0:
        raise InputError(f"A SURF filter can't be {size} px. Choose 9, 15, 21, 27 and so on.")
    pixels = grey(image)
    pad = size // 2 + 1
    integral = integral_image(np.pad(pixels, pad, mode="edge"))
    height, width = pixels.shape
    x, y = np.arange(width)[None] + pad, np.arange(height)[:, None] + pad

    def box(dx0, dy0, dx1, dy1):
        return box_sum(integral, x + dx0, y + dy0, x + dx1, y + dy1)

    half, mid, wide = size // 2, lobe // 2, lobe - 1
    # white over the whole filter and -3 times the black middle: weights 1, -2, 1
    dyy = box(-wide, -half, wide + 1, half + 1) - 3 * box(-wide, -mid, wide + 1, mid + 1)
    dxx = box(-half, -wide, half + 1, wide + 1) - 3 * box(-mid, -wide, mid + 1, wide + 1)
    dxy = box(-lobe, -lobe, 0, 0) + box(1, 1, lobe + 1, lobe + 1)
    dxy = dxy - box(1, -lobe, lobe + 1, 0) - box(-lobe, 1, 0, lobe + 1)
    boxes = (dxx * dyy - (0.9 * dxy) ** 2) / float(size) ** 4  # 0.9 makes up for the crude dxy

    sigma = np.sqrt((lobe**2 - 1) / 4)  # the second difference of lobes is three boxes in a row
    missing = max(sigma**2 - CAMERA_SIGMA**2, 0.01)
    smooth = cv2.GaussianBlur(pixels, (0, 0), float(np.sqrt(missing))).astype(np.float64)
    along_y, along_x = np.gradient(smooth)
    (lyy, lxy), lxx = np.gradient(along_y), np.gradient(along_x, axis=1)
    true = sigma**4 * (lxx * lyy - lxy**2)
    return boxes.astype(np.float32), true.astype(np.float32)


def surf_picture(image: np.ndarray, size: int = 9) -> np.ndarray:
    """`surf_response` by boxes (left) and by Gaussians (right), RGB uint8: orange blobs, blue
    saddles. Each side has its own range, the strongest half per cent is clipped."""
    sides = []
    for response in surf_response(image, size):
        # the determinant is a product of two curvatures: its root shows weak blobs too
        shown = np.sign(response) * np.sqrt(np.abs(response))
        side = diverging(shown / max(float(np.percentile(np.abs(shown), 99.5)), 1e-9))
        zoom = max(1, -(-400 // side.shape[1]))
        sides.append(side.repeat(zoom, axis=0).repeat(zoom, axis=1))
    return draw.side_by_side(*sides)


# ---------------------------------------------------------------- Hamming distance


def hamming(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Bits in which uint8 descriptors (..., B) differ: XOR, then count the ones."""
    return np.bitwise_count(np.bitwise_xor(a, b)).sum(axis=-1, dtype=np.int64)


def hamming_picture(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Two binary descriptors (32,) uint8 as strips of 256 bits, RGB uint8, 1063 px wide for 32 bytes.

    Dark is 1. Below them their XOR, with each differing bit in orange: the distance is the number
    of orange bars. Every eighth gap is wider, a byte ends there.
    """
    bits = [np.unpackbits(v) for v in (a, b)]
    bits.append(bits[0] ^ bits[1])
    bar, bits_wide = 4, len(bits[0])
    left = 4 + np.arange(bits_wide) * bar + np.arange(bits_wide) // 8
    canvas = np.full((3 * 62 + 10, left[-1] + bar + 4, 3), 255, np.uint8)
    for row, (strip, one) in enumerate(
        zip(bits, ((29, 39, 51), (29, 39, 51), (213, 94, 0)), strict=True)
    ):
        top = 6 + row * 64
        for x, bit in zip(left, strip, strict=True):
            canvas[top : top + 54, x : x + bar - 1] = one if bit else (226, 230, 234)
    return canvas


# ---------------------------------------------------------------- KD-tree


@dataclass(frozen=True)
class Split:
    """One inner node: points with coordinate `axis` below `value` go left, the rest right.

    low and high (2,) are the corners of the cell that it halves.
    """

    axis: int
    value: float
    low: np.ndarray
    high: np.ndarray


def kd_tree_2d(points: np.ndarray, depth: int = 5) -> list[Split]:
    """Halve points (N, 2) at the median of the axis along which they spread most, depth times.

    The splits are in heap order: node i has the children 2i+1 and 2i+2, and there are 2^depth - 1,
    fewer levels if there are under 2^depth points. Raises InputError for under two points.
    """
    if len(points) < 2:
        raise InputError("A tree needs two descriptors or more. Raise the number of keypoints.")
    depth = min(depth, int(np.log2(len(points))))
    low, high = points.min(axis=0).astype(float), points.max(axis=0).astype(float)
    cells = [(points, low, high)]
    splits = []
    for node in range(2**depth - 1):
        inside, low, high = cells[node]
        axis = int(np.argmax(np.ptp(inside, axis=0))) if len(inside) else 0
        value = float(np.median(inside[:, axis])) if len(inside) else float(low[axis])
        splits.append(Split(axis, value, low, high))
        left_high, right_low = high.copy(), low.copy()
        left_high[axis] = right_low[axis] = value
        below = inside[:, axis] < value
        cells += [(inside[below], low, left_high), (inside[~below], right_low, high)]
    return splits


def leaf_of(splits: list[Split], points: np.ndarray) -> np.ndarray:
    """Walk points (N, 2) down the tree: (N,) int, the number of each one's leaf, from 0."""
    axis, value = np.array([s.axis for s in splits]), np.array([s.value for s in splits])
    node = np.zeros(len(points), int)
    while len(node) and node[0] < len(splits):  # all leaves are equally deep
        right = points[np.arange(len(points)), axis[node]] >= value[node]
        node = 2 * node + 1 + right
    return node - len(splits)


def leaf_box(splits: list[Split], leaf: int) -> tuple[np.ndarray, np.ndarray]:
    """The corners low, high (2,) of a leaf."""
    node = leaf + len(splits)
    parent = splits[(node - 1) // 2]
    low, high = parent.low.copy(), parent.high.copy()
    (high if node % 2 else low)[parent.axis] = parent.value  # odd nodes are left children
    return low, high


def kd_search(points: np.ndarray, splits: list[Split], query: np.ndarray, leaves: int = 1) -> int:
    """Index of the nearest of points (N, 2) in the `leaves` leaves closest to the query (2,).

    1 sees only the leaf that the query falls into; more is best-bin-first search (Beis & Lowe
    1997), which FLANN's `checks` steers. -1 if those leaves are empty.
    """
    gaps = []
    for leaf in range(len(splits) + 1):
        low, high = leaf_box(splits, leaf)
        gaps.append(np.linalg.norm(np.maximum(np.maximum(low - query, query - high), 0)))
    gaps[leaf_of(splits, query[None])[0]] = -1.0  # its own comes first
    inside = np.flatnonzero(np.isin(leaf_of(splits, points), np.argsort(gaps)[:leaves]))
    if not len(inside):
        return -1
    return int(inside[np.argmin(np.sum((points[inside] - query) ** 2, axis=1))])


def principal_axes(descriptors: np.ndarray, query: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Descriptors (N, D) and a query (D,) projected to the two axes of largest variance: (N, 2)
    and (2,), both centred on the descriptors' mean."""
    rows = descriptors.astype(np.float64)
    mean = rows.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov((rows - mean).T))
    flat = axes[:, :-3:-1]  # eigenvalues rise: the last two columns
    return (rows - mean) @ flat, (query - mean) @ flat


def kd_picture(descriptors: np.ndarray, query: np.ndarray, depth: int = 5) -> np.ndarray:
    """A KD-tree over descriptors (N, D) flattened to two axes, and one query, RGB uint8 (560, 720).

    Lines are the splits, earlier ones darker; the shaded leaf is all that is searched. The blue
    ring is the nearest in it, the orange one the true nearest in this plane: often not the same.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    points, at = principal_axes(descriptors, query)
    splits = kd_tree_2d(points, depth)
    low, high = leaf_box(splits, int(leaf_of(splits, at[None])[0]))
    found = kd_search(points, splits, at)
    nearest = int(np.argmin(np.sum((points - at) ** 2, axis=1)))

    figure = Figure(figsize=(7.2, 5.6), dpi=100, facecolor="white")
    axes = figure.add_axes((0.02, 0.11, 0.96, 0.87))
    axes.add_patch(Rectangle((low[0], low[1]), *(high - low), color="#cfe3f3", lw=0, zorder=0))
    for node, split in enumerate(splits):
        level = int(np.log2(node + 1))
        ends = [(split.low[i], split.high[i]) for i in range(2)]
        ends[split.axis] = (split.value, split.value)
        axes.plot(*ends, color=str(0.1 + 0.12 * level), lw=max(2.4 - 0.4 * level, 0.7), zorder=1)
    axes.scatter(*points.T, s=7, color="0.45", lw=0, zorder=2)
    blue, orange = np.array(draw.BLUE) / 255, np.array(draw.ORANGE) / 255
    if found >= 0:
        axes.scatter(*points[found], s=150, fc="none", ec=blue, lw=2.5, zorder=4,
                     label="nearest in the leaf")  # fmt: skip
    axes.scatter(*points[nearest], s=330, fc="none", ec=orange, lw=2.5, zorder=3,
                 label="true nearest")  # fmt: skip
    axes.scatter(*at, s=110, marker="X", color="black", ec="white", lw=1.2, zorder=5, label="query")
    shown = np.vstack([points, at])
    margin = 0.02 * np.ptp(shown, axis=0) + 1e-6
    (left, bottom), (right, top) = shown.min(axis=0) - margin, shown.max(axis=0) + margin
    axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    figure.legend(loc="lower center", ncols=3, frameon=False, fontsize=11, markerscale=0.7)
    return _pixels(FigureCanvasAgg(figure))


# ---------------------------------------------------------------- LSH


def lsh_keys(descriptors: np.ndarray, key_size: int = 12, seed: int = 0) -> np.ndarray:
    """(N,) int64 bucket numbers of uint8 descriptors (N, B): key_size of their bits, chosen once.

    Two descriptors that differ in a share d of their bits meet with chance (1 - d)^key_size.
    Raises InputError for a key of no bits, over 62, or more than there are.
    """
    bits = np.unpackbits(descriptors, axis=1)
    if not 1 <= key_size <= min(62, bits.shape[1]):
        raise InputError(f"A key of {key_size} bits can't be read. Choose 1 to 62.")
    chosen = np.random.default_rng(seed).choice(bits.shape[1], key_size, replace=False)
    return bits[:, chosen].astype(np.int64) @ (1 << np.arange(key_size, dtype=np.int64))


def lsh_buckets(descriptors: np.ndarray, key_size: int = 12, seed: int = 0) -> np.ndarray:
    """How many descriptors share each bucket that is used, largest first: (buckets,) int."""
    return np.sort(np.unique(lsh_keys(descriptors, key_size, seed), return_counts=True)[1])[::-1]


def lsh_picture(counts: np.ndarray) -> np.ndarray:
    """Bucket sizes as bars, RGB uint8 (260, 720). A query is compared with one bar's worth."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 2.6), dpi=100, facecolor="white")
    axes = figure.add_axes((0.09, 0.2, 0.89, 0.76))
    axes.fill_between(np.arange(len(counts) + 1), np.append(counts, counts[-1:]), step="post",
                      color=np.array(draw.BLUE) / 255, lw=0)  # fmt: skip
    axes.set(xlim=(0, len(counts)), ylim=(0, None))
    axes.locator_params(axis="y", integer=True)
    axes.set_xlabel(f"{len(counts)} buckets in use, largest first", fontsize=10)
    axes.set_ylabel("descriptors", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    return _pixels(FigureCanvasAgg(figure))


def _pixels(canvas) -> np.ndarray:
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])
