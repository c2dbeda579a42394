"""A map and the net it goes to: does it fit, and how does it get to the net's size?

A net learned from maps of one kind and has an answer to anything, so a photo handed to it as edges
paints nonsense without a word. And reducing a picture eight times leaves a line one pixel wide at
an eighth of its brightness, which no net has seen: lines are widened first, then made thin again.
"""

from __future__ import annotations

import numpy as np

from core.control.lines import long, stroked
from core.control.types import KINDS, Hint
from core.types import InputError

THIN = ("edges", "lineart", "lines")  # white lines on black, as thin as can be
STROKES = (*THIN, "scribble")  # a net for one of them reads the others, too
LINES = (*STROKES, "soft")
ANY = ("colours", "tile", "map")  # any picture will do
FAT = 0.55  # share of the ink amid 3×3 ink; strokes of 5 px have more. A scene's exact edges,
# whose outlines fill a far toy, have less (300 scenes: at most 0.48), and stay as they are
INK = 100  # from this brightness on, a pixel of a line map is line


def check(hint: Hint, wanted_kind: str = "") -> None:
    """Raise InputError, saying why, if a net for maps of `wanted_kind` (the hint's own kind unless
    given) can't use this map. A hint of kind 'map' is judged by its looks alone."""
    wanted = wanted_kind or hint.kind
    if wanted not in KINDS:
        raise InputError(f"There is no control {wanted!r}. Choose one of: {', '.join(KINDS)}.")
    title = KINDS[wanted].partition(" (")[0].lower()
    alike = STROKES if wanted in STROKES else (wanted,)
    if hint.kind not in (*alike, "map") and wanted not in ANY:
        raise InputError(
            f"This is a map of {KINDS[hint.kind].partition(' (')[0].lower()}, and the control wants "
            f"{title}. Make a map of that kind, or choose the control that fits."
        )
    if wanted in ("colours", "tile"):
        return
    spread = int(np.ptp(hint.map.reshape(-1, 3), axis=0).max())
    if spread < 8:
        raise InputError(
            "The map is one colour all over, which steers nothing. "
            "Lower the thresholds, or choose another picture."
        )
    why = _unlike(hint.map, wanted)
    if why:
        raise InputError(f"The map doesn't look like {title}: {why}.")


def _unlike(array: np.ndarray, kind: str) -> str:
    """What is wrong with this map as one of that kind, or ""."""
    high, low = array.max(2).astype(np.int16), array.min(2).astype(np.int16)
    colour = float(np.mean(high - low > 40))
    bright = float(np.mean(high > 127))
    if kind in (*LINES, "depth") and colour > 0.01:
        return "it has colours, and such a map is grey. Make one of the picture first"
    if kind in LINES and bright > 0.6:
        return "it is mostly light. If its lines are dark, turn them around with Dark on light"
    if kind in STROKES and float(np.mean((high > 64) & (high < 192))) > 0.25:
        return "it is full of grey tones, as a photo is. Make a map of it first"
    if kind == "depth" and float(np.mean((high > 8) & (high < 247))) < 0.02 and bright < 0.25:
        return "it holds white lines on black and no tones between. Choose edges for it"
    if kind == "segmentation" and _flat(array) < 0.75:
        return "it has no areas of one colour each, as a photo has none. Make a map of it first"
    if kind == "normals":
        arrow = array.astype(np.float32) / 127.5 - 1
        known = high > 8
        length = np.linalg.norm(arrow[known], axis=1)
        good = (abs(length - 1) < 0.25) & (arrow[known][:, 2] > -0.1)
        if float(np.mean(good)) < 0.7:
            return "its colours are not those of directions of length 1. Make it of a depth map"
    if kind == "pose" and (bright > 0.5 or colour == 0):
        return "a pose is a few coloured sticks on black"
    return ""


def _flat(array: np.ndarray) -> float:
    """The share of pixels whose right and lower neighbours have the same colour."""
    same = np.ones(array.shape[:2], bool)
    same[:, :-1] &= (array[:, 1:] == array[:, :-1]).all(2)
    same[:-1] &= (array[1:] == array[:-1]).all(2)
    return float(same.mean())


def fitted(hint_map: np.ndarray, kind: str, width: int, height: int) -> np.ndarray:
    """A map (H, W, 3) uint8 of this kind as (height, width, 3) uint8.

    Edges, line drawings and straight lines get smaller without a line being lost, and are then 0
    or 255 and one pixel wide, as a scene's exact edges are; scribbles keep their stroke's share of
    the picture, but at least a pixel; soft edges take the geometric mean of the brightest pixel and
    the average. Segments take the nearest pixel, so that no colour is mixed; all else is averaged.
    A map of this size already comes back as it is, but for fat lines of a thin kind.
    """
    import cv2

    if width < 1 or height < 1:
        raise InputError(f"A map of {width}×{height} px holds nothing. Choose a larger size.")
    rows, columns = hint_map.shape[:2]
    same = (rows, columns) == (height, width)
    if kind in THIN or (kind in LINES and not same):
        grey = hint_map.max(2)
        if kind == "soft":
            made = _softly(grey, width, height)
        elif kind == "scribble":
            made = _scribbled(grey, width, height)
        else:
            made = _thin(grey, width, height)
        return np.ascontiguousarray(np.broadcast_to(made[..., None], (height, width, 3)))
    if same:
        return hint_map.copy()
    if kind == "segmentation":
        how = cv2.INTER_NEAREST_EXACT
    else:
        how = cv2.INTER_AREA if width < columns or height < rows else cv2.INTER_LINEAR
    return cv2.resize(hint_map, (width, height), interpolation=how)


def _brightest(grey: np.ndarray, width: int, height: int) -> np.ndarray:
    """(H, W) uint8 at another size: the brightest of the pixels covered along an axis that
    shrinks; along one that grows, lines as wide as they were, in the new pixels' measure."""
    import cv2

    for axis, size in ((0, height), (1, width)):
        old = grey.shape[axis]
        if size < old:
            grey = np.maximum.reduceat(grey, np.arange(size) * old // size, axis=axis)
    if grey.shape == (height, width):
        return grey
    factor = max(width / grey.shape[1], height / grey.shape[0])
    large = cv2.resize(grey, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return cv2.GaussianBlur(large, (0, 0), factor / 2)  # rounds the corners of large pixels


def _softly(grey: np.ndarray, width: int, height: int) -> np.ndarray:
    import cv2

    brightest = _brightest(grey, width, height)
    if height >= grey.shape[0] and width >= grey.shape[1]:
        return brightest
    average = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    return (np.sqrt(average * brightest) + 0.5).astype(np.uint8)


def _thin(grey: np.ndarray, width: int, height: int) -> np.ndarray:
    """(height, width) uint8, 0 or 255: lines one pixel wide. Specks that would be two pixels or
    less are left out, or a lawn's would grow together into a net."""
    import cv2
    from skimage.morphology import thin

    ink = grey >= INK
    if ink.shape == (height, width):
        inside = cv2.erode(ink.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).sum()
        made = thin(ink) if inside > FAT * ink.sum() else ink
        return np.where(made, 255, 0).astype(np.uint8)
    shrunk = min(ink.shape[0] / height, ink.shape[1] / width)
    if shrunk > 1:
        ink = long(ink, 2 * shrunk)
    made = _brightest(np.where(ink, 255, 0).astype(np.uint8), width, height) >= INK
    return np.where(thin(made), 255, 0).astype(np.uint8)


def _scribbled(grey: np.ndarray, width: int, height: int) -> np.ndarray:
    """(height, width) uint8: the strokes' middle lines at the new size, drawn again by a pen that
    has changed by as much."""
    from skimage.morphology import thin

    ink = grey >= INK
    narrow = thin(ink)
    pen = ink.sum() / max(narrow.sum(), 1) * max(height, width) / max(grey.shape)
    middle = _brightest(np.where(narrow, 255, 0).astype(np.uint8), width, height) >= INK
    return stroked(thin(middle), pen)
