"""What is to be filled: masks (H, W) bool, True = fill, in the picture's own pixels.

Drawn by chance (PRESETS), by hand (`lasso`, `from_layers`), or found (`by_colour`, `grab_cut`; see
hub_masks for a click or words). x goes right, y down, and the first pixel's centre is (0.5, 0.5): a
pixel belongs to a shape if its centre does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.images import MAX_PIXELS, fit
from core.types import InputError

Points = Sequence[tuple[float, float]] | np.ndarray

PRESETS = {
    "strokes": "Random strokes",
    "box": "A box",
    "checker": "A checkerboard",
    "scratches": "Scratches",
    "text": "Text over it",
}
CUT_PX = 1000  # GrabCut sees the picture with its longer side at most so long
_WORDS = ("the", "light", "falls", "on", "every", "thing", "that", "a", "word", "hides", "again")


# ---------------------------------------------------------------- by chance


def preset(kind: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """One of PRESETS for a picture of shape (H, W, …). A picture of a few pixels has its middle
    hidden. Raises InputError for any other kind, or a picture of one pixel."""
    if kind not in PRESETS:
        raise InputError(f"There is no mask {kind!r}. Choose one of: {', '.join(PRESETS)}.")
    height, width = shape[:2]
    if height * width < 2:
        raise InputError("A picture of one pixel leaves nothing to go by. Take a larger one.")
    draw = {"strokes": strokes, "box": _box, "checker": _checker, "scratches": _scratches,
            "text": _text}[kind]  # fmt: skip
    mask = draw(height, width, seed)
    if mask.all() or not mask.any():
        mask = np.zeros((height, width), bool)
        mask[height // 2, width // 2] = True
    return mask


def strokes(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Curved strokes that hide 8 to 17 % of a picture; up to half of one of a few pixels."""
    import cv2

    rng = np.random.default_rng(seed)
    mask, side = np.zeros((height, width), np.uint8), math.isqrt(height * width)
    goal = rng.uniform(0.08, 0.15)
    while mask.mean() < goal:
        at, angle = rng.uniform(0, (width, height)), rng.uniform(0, 2 * np.pi)
        thick = int(rng.integers(max(1, side // 50), max(2, side // 22)))
        for _ in range(rng.integers(3, 8)):
            angle += rng.normal(0, 0.6)
            length = rng.uniform(0.04, 0.1) * side
            to = at + length * np.array([np.cos(angle), np.sin(angle)])
            cv2.line(mask, tuple(map(int, at)), tuple(map(int, to)), 1, thick)  # type: ignore
            at = to
    return mask > 0


def _box(height: int, width: int, seed: int) -> np.ndarray:
    """A rectangle of a quarter to two fifths of each side."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), bool)
    h, w = (max(1, int(side * rng.uniform(0.25, 0.4))) for side in (height, width))
    y, x = rng.integers(0, (height - h + 1, width - w + 1))
    mask[y : y + h, x : x + w] = True
    return mask


def _checker(height: int, width: int, seed: int) -> np.ndarray:
    """Squares of a sixteenth of the shorter side, every other one hidden."""
    side = max(3, min(height, width) // 16)
    y, x = np.mgrid[:height, :width] // side
    return (y + x + seed) % 2 == 0


def _scratches(height: int, width: int, seed: int) -> np.ndarray:
    """Long thin lines, as on old film."""
    import cv2

    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), np.uint8)
    thick = max(1, math.isqrt(height * width) // 250)
    for _ in range(12):
        x, y = rng.uniform(0, (width, height))
        lean, half = rng.normal(0, 0.15), rng.uniform(0.1, 0.5) * height
        ends = [(int(x + lean * s), int(y + s)) for s in (-half, half)]
        cv2.line(mask, *ends, 1, int(rng.integers(thick, 2 * thick + 1)))  # type: ignore
    return mask > 0


def _text(height: int, width: int, seed: int) -> np.ndarray:
    """Lines of words across the picture."""
    import cv2

    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), np.uint8)
    line = max(8, height // 9)
    for y in range(line, height + line // 2, 2 * line):
        words = " ".join(rng.choice(_WORDS, 12))
        size, thick = line / 30, max(1, line // 10)  # OpenCV's letters are 21 px tall at size 1
        cv2.putText(mask, words, (line // 3, y), cv2.FONT_HERSHEY_SIMPLEX, size, [1], thick)
    return mask > 0


# ---------------------------------------------------------------- by hand


def grown(mask: np.ndarray, px: float) -> np.ndarray:
    """The mask with all that lies within px of it; a negative px takes as much away from its edge,
    but not along the picture's own edge, where nothing known lies beyond."""
    import cv2

    inside = px < 0
    if px == 0 or not mask.any() or mask.all():
        return mask.copy()
    around = mask if inside else ~mask
    away = cv2.distanceTransform(around.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return away > -px if inside else away <= px


def inverted(mask: np.ndarray) -> np.ndarray:
    """What was to be kept is filled, and the other way around."""
    return ~mask


def rectangle(shape: tuple[int, ...], x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    """The pixels between two corners, given in any order."""
    (left, right), (top, bottom) = sorted((x0, x1)), sorted((y0, y1))
    y, x = (np.arange(side) + 0.5 for side in shape[:2])
    return np.outer((y > top) & (y < bottom), (x > left) & (x < right))


def lasso(shape: tuple[int, ...], points: Points) -> np.ndarray:
    """The pixels inside the closed line through points (N, 2) x, y. Raises InputError for fewer
    than three."""
    from skimage.draw import polygon2mask

    at = np.asarray(points, np.float64).reshape(-1, 2)
    if len(at) < 3 or not np.isfinite(at).all():
        raise InputError("A lasso needs at least three points. Draw around what should go.")
    return polygon2mask(shape[:2], at[:, ::-1] - 0.5)  # there, centres lie at whole numbers


def from_layers(layers: Sequence[Any] | None, size: tuple[int, int]) -> np.ndarray:
    """The mask that was painted: layers RGBA uint8 as gr.ImageEditor gives them, True where any
    has alpha; size (width, height) is the picture's. No layers give an empty mask. Raises
    InputError for a layer of another size."""
    width, height = size
    mask = np.zeros((height, width), bool)
    for layer in layers or ():
        painted = np.asarray(layer)
        if painted.ndim != 3 or painted.shape[2] != 4:
            raise InputError(f"A painted layer is RGBA; this one is {painted.shape}. Paint again.")
        _check_size(painted.shape[1], painted.shape[0], size)
        mask |= painted[..., 3] > 0
    return mask


def read_mask(source: str | Path | np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask from a file or an array, for a picture of size (width, height): white = fill.

    Grey counts as fill from half on, in 8 bits or 16. What is transparent is kept; where all that
    shows is of one colour, transparency alone decides, whatever the colour. Nothing is ever
    resized: raises InputError for another size, or for what isn't a picture.
    """
    array = source if isinstance(source, np.ndarray) else _opened(Path(source), size)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise InputError(f"The mask has shape {array.shape}. Give a black and white picture.")
    _check_size(array.shape[1], array.shape[0], size)
    value = _as_share(array)
    if value.ndim == 2:
        return value >= 0.5
    white = value[..., :3].mean(2)
    if value.shape[2] == 3:
        return white >= 0.5
    alpha = value[..., 3]
    shown = alpha > 0
    if (alpha < 1).any() and len(np.unique(array[shown][:, :3], axis=0)) <= 1:
        return alpha >= 0.5
    return white * alpha >= 0.5


def _opened(path: Path, size: tuple[int, int]) -> np.ndarray:
    """A mask file's pixels as they are, upright."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            if sorted(image.size) != sorted(size):  # known before anything is decoded
                _check_size(*image.size, size)
            upright = ImageOps.exif_transpose(image)
            if upright.mode in ("P", "PA", "LA") or "transparency" in upright.info:
                upright = upright.convert("RGBA")
            elif upright.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
                upright = upright.convert("RGB")
            return np.asarray(upright)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"The mask: there is no file {path.name}. Choose it again.") from None
    except Exception as error:  # PIL raises a dozen kinds for broken files
        raise InputError(
            f"The mask {path.name} can't be read as a picture. Save it as PNG and try again."
        ) from error


def _as_share(array: np.ndarray) -> np.ndarray:
    """Any numbers as float32 in [0, 1]."""
    if array.dtype == bool:
        return array.astype(np.float32)
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all() or array.min(initial=0) < 0:
        raise InputError(f"The mask holds {array.dtype} that are no brightness. Save it as PNG.")
    high = array.max(initial=0)
    if array.dtype.kind == "f":
        top = 1.0 if high <= 1 else 255.0
    else:  # PIL hands out 16 bits as int32 too
        deep = array.dtype.newbyteorder("=") == np.uint16  # a big-endian file's, too
        top = 65535.0 if deep or high > 255 else 255.0
    return array.astype(np.float32) / top


def _check_size(width: int, height: int, size: tuple[int, int]) -> None:
    if (width, height) != tuple(size):
        raise InputError(
            f"The mask is {width} × {height} px and the picture {size[0]} × {size[1]} px. Save it "
            "in the picture's size, or load the picture it was made for."
        )


def extended(
    image: np.ndarray, left: int = 0, top: int = 0, right: int = 0, bottom: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """For outpainting: the picture with so many pixels more on each side, and the mask of the new
    ones. These repeat the picture's edge until they are filled. Raises InputError for less than
    none, none at all, or a picture beyond images.MAX_PIXELS."""
    sides = (left, top, right, bottom)
    if any(side < 0 or side != int(side) for side in sides) or not any(sides):
        raise InputError("Nothing to extend. Give at least one side some pixels more, none less.")
    left, top, right, bottom = (int(side) for side in sides)
    height, width = image.shape[0] + top + bottom, image.shape[1] + left + right
    if height * width > MAX_PIXELS:
        raise InputError(
            f"That would be {width} × {height} px, more than {MAX_PIXELS / 1e6:.0f} megapixels. "
            "Extend it by less."
        )
    larger = np.pad(image, ((top, bottom), (left, right), (0, 0)), mode="edge")
    mask = np.ones((height, width), bool)
    mask[top : top + image.shape[0], left : left + image.shape[1]] = False
    return larger, mask


# ---------------------------------------------------------------- found


def by_colour(
    image: np.ndarray, colour: Sequence[int] | np.ndarray, tolerance: float = 20.0
) -> np.ndarray:
    """Pixels whose colour is at most `tolerance` from this RGB (0 to 255) in CIELAB: ΔE*ab of
    1976, in which 2.3 can just be told apart and black is 100 from white."""
    import cv2

    def lab(rgb: np.ndarray) -> np.ndarray:
        return cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)

    wanted = lab(np.asarray(colour, np.float32).reshape(1, 1, 3))
    return np.linalg.norm(lab(image) - wanted, axis=2) <= tolerance


def grab_cut(
    image: np.ndarray, box: tuple[float, float, float, float], seed: int = 0, rounds: int = 5
) -> np.ndarray:
    """What stands out inside a rough box x0, y0, x1, y1 px (Rother et al. 2004, "GrabCut"): colours
    in the box that those around it don't have, cut out along edges.

    Pictures longer than CUT_PX are looked at in that size. Raises InputError for a box that holds
    everything or nothing of the picture, or in which nothing stands out.
    """
    import cv2

    height, width = image.shape[:2]
    inside = rectangle(image.shape, *box)
    if not inside.any() or inside.all():
        raise InputError("The box must lie in the picture and leave some of it out. Draw it again.")
    small, _ = fit(image, CUT_PX)
    rough = cv2.resize(
        inside.astype(np.uint8), (small.shape[1], small.shape[0]), interpolation=cv2.INTER_NEAREST
    )
    marks = np.where(rough > 0, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(seed)
    try:
        cv2.grabCut(small, marks, None, *models, rounds, cv2.GC_INIT_WITH_MASK)  # type: ignore
    except cv2.error as error:  # fewer pixels than its mixtures have colours
        raise InputError("The box is too small to cut from. Draw a larger one.") from error
    cut = ((marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD)).astype(np.float32)
    mask = (cv2.resize(cut, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5) & inside
    if not mask.any():
        raise InputError("Nothing stands out in this box. Draw it closer, or paint by hand.")
    return mask
