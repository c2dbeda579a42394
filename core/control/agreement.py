"""Did the painting follow its map? The detector is run again on the result, and both are compared.

Lines by F1: precision is the share of the found line pixels with a wanted one near by, recall the
share of the wanted ones with a found one near by, F1 their harmonic mean. Depth by rank
correlation, since one picture has no scale. Regions by mean intersection over union, each wanted
region with one found region of its own, whatever they are called. Each is 1 for a perfect answer;
what chance alone gets isn't 0, so look at the same score without control before you are pleased.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from core.control.fitting import INK, LINES, fitted
from core.control.hints import hint as hint_of
from core.control.hints import is_drawing, networks
from core.control.types import Hint, HintSettings
from core.images import as_rgb
from core.models import missing
from core.scenes.control import PALETTE
from core.types import InputError

EDGE_PX = 2.0  # edges so near count as the same


@dataclass(frozen=True)
class Reading:
    """A picture as a net trained on its world reads it: edges (H, W) bool; depth (H, W) float, near
    is bright, NaN unknown; labels (H, W) int, one number for each region."""

    edges: np.ndarray
    depth: np.ndarray
    labels: np.ndarray


def edge_f1(found: np.ndarray, wanted: np.ndarray, tolerance_px: float = EDGE_PX) -> float:
    """F1 of line pixels (H, W) bool, near by being tolerance_px; 1 if both hold none, 0 if one
    does."""
    from scipy.ndimage import distance_transform_edt

    found, wanted = np.asarray(found) > 0, np.asarray(wanted) > 0
    _same(found, wanted)
    if not found.any() or not wanted.any():
        return float(found.any() == wanted.any())
    to_wanted, to_found = distance_transform_edt(~wanted), distance_transform_edt(~found)
    precision = float(np.mean(np.asarray(to_wanted)[found] <= tolerance_px))
    recall = float(np.mean(np.asarray(to_found)[wanted] <= tolerance_px))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def rank_correlation(a: np.ndarray, b: np.ndarray, where: np.ndarray | None = None) -> float:
    """Spearman's ρ in [-1, 1] of two maps (H, W), over the pixels of `where` that both know; NaN if
    fewer than three are left or one map is the same all over."""
    from scipy.stats import spearmanr

    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    _same(a, b)
    used = np.isfinite(a) & np.isfinite(b)
    if where is not None:
        _same(used, where)
        used &= np.asarray(where, bool)
    a, b = a[used], b[used]
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    return float(spearmanr(a, b).statistic)  # pyright: ignore[reportAttributeAccessIssue]


def mean_iou(found_labels: np.ndarray, wanted_labels: np.ndarray) -> float:
    """Mean over the wanted labels (H, W) int of their intersection over union with a found one.

    Names don't matter: pairs are chosen so that the sum is largest, a found label serves one wanted
    label at most, and a wanted one left over counts 0.
    """
    from scipy.optimize import linear_sum_assignment

    found_labels, wanted_labels = np.asarray(found_labels), np.asarray(wanted_labels)
    _same(found_labels, wanted_labels)
    _, found = np.unique(found_labels, return_inverse=True)
    _, wanted = np.unique(wanted_labels, return_inverse=True)
    n, m = int(wanted.max()) + 1, int(found.max()) + 1
    both = np.bincount(wanted.ravel() * m + found.ravel(), minlength=n * m).reshape(n, m)
    union = both.sum(1, keepdims=True) + both.sum(0) - both
    iou = both / union
    return float(iou[linear_sum_assignment(iou, maximize=True)].sum() / n)


def agreement(
    image: np.ndarray,
    hint: Hint,
    settings: HintSettings = HintSettings(),
    *,
    read: Callable[[np.ndarray], Reading] | None = None,
) -> float:
    """How well a painted picture (H, W, 3) follows its map, in [0, 1]; NaN if nothing here can tell.

    The map is brought to the picture's size and compared with the same kind of map of the picture,
    made by `settings` (its kind is the hint's). Line kinds and poses by edge F1 of their lines, one
    pixel wide, within 2 px at 512 and at least 1; depth by rank correlation, below 0 taken as 0;
    segmentation by mean IoU; normals by the mean cosine, below 0 taken as 0; colours and tile by 1
    − mean absolute difference. read, where given, reads edges, depth and segmentation instead of
    the detectors; without it, depth, normals, segmentation and pose need their networks on this
    computer. A map as it is counts as edges if it is a drawing.
    """
    image = as_rgb(image, "The painted picture")
    kind = hint.kind
    if kind == "map":
        if not is_drawing(hint.map):
            return math.nan
        kind = "edges"
    height, width = image.shape[:2]
    wanted = fitted(hint.map, kind, width, height)
    if read is not None and kind in ("edges", "depth", "segmentation"):
        seen = read(image)
        if kind == "edges":
            return edge_f1(seen.edges, _ink(wanted), _tolerance(image))
        if kind == "depth":
            return _depth_score(seen.depth, wanted)
        return mean_iou(seen.labels, regions(wanted))
    if any(missing(spec) for spec in networks(kind)[:1]):
        return math.nan
    made = hint_of(image, replace(settings, kind=kind))
    found = fitted(made.map, kind, width, height)
    if kind in LINES or kind == "pose":
        return edge_f1(_line(found), _line(wanted), _tolerance(image))
    if kind == "depth":
        return _depth_score(found[..., 0], wanted)
    if kind == "segmentation":
        return mean_iou(regions(found), regions(wanted))
    if kind == "normals":
        a, b = (m.astype(np.float64) / 127.5 - 1 for m in (found, wanted))
        lengths = np.linalg.norm(a, axis=2) * np.linalg.norm(b, axis=2)
        cosine = (a * b).sum(2) / np.maximum(lengths, 1e-9)
        known = wanted.max(2) > 8
        return max(0.0, float(cosine[known].mean())) if known.any() else math.nan
    return 1 - float(np.abs(found.astype(np.float64) - wanted).mean()) / 255


def regions(segmentation: np.ndarray) -> np.ndarray:
    """(H, W) int32: the number of each pixel's colour in a segmentation map (H, W, 3) uint8.

    A colour counts if a thousandth of the pixels have it and it is one of PALETTE, or fills 3×3
    pixels somewhere; the rest, blends along the borders of a map that was enlarged or saved as
    JPEG, take the nearest of these.
    """
    import cv2

    shape = segmentation.shape[:2]
    packed = segmentation.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    codes, place, count = np.unique(packed, return_inverse=True, return_counts=True)
    place = place.reshape(shape)
    near = place.astype(np.float32)  # exact: there are fewer than 2²⁴ colours
    inner = cv2.dilate(near, np.ones((3, 3))) == cv2.erode(near, np.ones((3, 3)))
    known = np.array([(0, 0, 0), *PALETTE], np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    solid = np.isin(codes, known) | np.isin(np.arange(len(codes)), place[inner])
    main = np.flatnonzero(solid & (count >= place.size / 1000))
    main = main if len(main) else np.array([count.argmax()])
    main = main[np.argsort(-count[main], kind="stable")[:256]]
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], 1)
    nearest = np.zeros(len(codes), np.int32)
    for start in range(0, len(codes), 4096):  # a photo has a hundred thousand colours
        away = colours[start : start + 4096, None] - colours[main][None]
        nearest[start : start + 4096] = (away**2).sum(2).argmin(1)
    return nearest[place]


def _depth_score(found: np.ndarray, wanted: np.ndarray) -> float:
    """Black is what isn't there, as behind a scene's last thing."""
    value = rank_correlation(found, wanted[..., 0], wanted[..., 0] > 0)
    return value if math.isnan(value) else max(0.0, value)


def _tolerance(image: np.ndarray) -> float:
    """2 px at 512, in the picture's pixels, and at least 1."""
    return max(1.0, 2 * max(image.shape[:2]) / 512)


def _ink(array: np.ndarray) -> np.ndarray:
    return array.max(2) >= INK


def _line(array: np.ndarray) -> np.ndarray:
    """The middle of strokes (H, W) bool."""
    from skimage.morphology import thin

    return thin(_ink(array))


def _same(a: np.ndarray, b: np.ndarray) -> None:
    if a.shape != b.shape or a.ndim != 2 or not a.size:
        raise InputError(
            f"Two maps of one size are compared, and these are {a.shape} and {b.shape}. "
            "Bring one to the size of the other first."
        )
