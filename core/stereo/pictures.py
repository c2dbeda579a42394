"""Maps as pictures: what is known in a colour scale, what is unknown as unmistakably unknown.

The scales are viridis, magma and cividis: their lightness grows evenly, so that equal steps look
equal, in print and to colour-blind eyes too. Unknown pixels are hatched, since any single colour
could be taken for a value.
"""

from __future__ import annotations

import numpy as np

from core.stereo.types import Truth
from core.types import InputError

SCALES = ("viridis", "magma", "cividis")
HATCH = (206, 210, 214), (160, 166, 172)  # unknown
NO_ANSWER = (0, 158, 115), (0, 110, 84)  # hatch where the truth is known but the answer isn't
OUTLINE = np.array((86, 180, 233), np.uint8)
TINT = np.array((230, 159, 0))
STRIPE_PX = 3
ERROR_LIMIT_PX = 4.0


def colour_map(values: np.ndarray, low: float, high: float, name: str = "viridis") -> np.ndarray:
    """values (H, W) as RGB uint8 (H, W, 3): low and less at one end of the scale, high and more
    at the other, hatched where not finite. Raises InputError for an unknown scale."""
    values = np.asarray(values, np.float64)
    known = np.isfinite(values)
    span = max(float(high) - float(low), 1e-12)
    place = np.clip((np.where(known, values, low) - low) / span, 0, 1)
    picture = _table(name)[np.rint(255 * place).astype(np.uint8)]
    return _put(picture, ~known, _hatch(values.shape, HATCH))


def disparity_picture(
    disparity: np.ndarray, low: float | None = None, high: float | None = None
) -> np.ndarray:
    """disparity (H, W) px in viridis, near things bright; without limits, those of the data but
    for half a percent at each end."""
    a, b = limits(disparity)
    return colour_map(disparity, a if low is None else low, b if high is None else high)


def error_picture(
    disparity: np.ndarray, truth: np.ndarray | Truth, limit_px: float = ERROR_LIMIT_PX
) -> np.ndarray:
    """|disparity − truth|, (H, W) px, in magma from 0, dark, to limit_px, bright.

    Hatched grey where the truth is unknown, green where only the answer is. What a `Truth` calls
    occluded is outlined. Raises InputError if the sizes differ.
    """
    known = truth.disparity if isinstance(truth, Truth) else np.asarray(truth)
    _check_same(disparity, known, "truth")
    with np.errstate(invalid="ignore"):
        error = np.abs(np.asarray(disparity, np.float64) - known)
    picture = colour_map(error, 0, limit_px, "magma")
    silent = np.isfinite(known) & ~np.isfinite(disparity)
    picture = _put(picture, silent, _hatch(known.shape, NO_ANSWER))
    if isinstance(truth, Truth) and truth.occluded is not None:
        picture[_outline(truth.occluded)] = OUTLINE
    return picture


def occlusion_picture(left: np.ndarray, occluded: np.ndarray) -> np.ndarray:
    """left (H, W, 3) uint8 in pale grey, what is occluded (H, W) bool in orange."""
    _check_same(left[..., 0], occluded, "occlusion mask")
    return _tinted(_pale(left), np.asarray(occluded, bool))


def filled_picture(left: np.ndarray, matched: np.ndarray, disparity: np.ndarray) -> np.ndarray:
    """left (H, W, 3) uint8 in pale grey; in orange what has a disparity (H, W) but no match
    (H, W), so was filled; hatched what has neither."""
    _check_same(left[..., 0], disparity, "disparity map")
    _check_same(left[..., 0], matched, "map of matches")
    known = np.isfinite(disparity)
    picture = _tinted(_pale(left), known & ~np.isfinite(matched))
    return _put(picture, ~known, _hatch(known.shape, HATCH))


# ---------------------------------------------------------------- scales


def limits(values: np.ndarray, cut_percent: float = 0.5) -> tuple[float, float]:
    """Between which values a map's colours run: its least and greatest, but for cut_percent at
    each end. (0, 1) if nothing is known; never of no width."""
    known = np.asarray(values)[np.isfinite(values)]
    if not known.size:
        return 0.0, 1.0
    low, high = np.percentile(known.astype(np.float64), (cut_percent, 100 - cut_percent))
    return float(low), float(max(high, low + 1e-3 * max(1.0, abs(low))))


def gradient(name: str = "viridis", n: int = 16) -> list[str]:
    """n colours of the scale from its low to its high end, as "#rrggbb"."""
    places = np.rint(np.linspace(0, 255, n)).astype(int)
    return ["#" + bytes(colour).hex() for colour in _table(name)[places]]


def legend(
    low: float, high: float, unit: str = "", name: str = "viridis"
) -> dict[str, float | str | list[str]]:
    """What a page needs to draw a colour bar: low, high, unit, and the colours between."""
    return {"low": float(low), "high": float(high), "unit": unit, "colours": gradient(name)}


def _table(name: str) -> np.ndarray:
    """(256, 3) uint8 RGB."""
    import cv2

    if name not in SCALES:
        raise InputError(f"There is no scale {name!r}. Choose one of: {', '.join(SCALES)}.")
    steps = np.arange(256, dtype=np.uint8)[:, None]
    which = {"viridis": cv2.COLORMAP_VIRIDIS, "magma": cv2.COLORMAP_MAGMA}
    return cv2.applyColorMap(steps, which.get(name, cv2.COLORMAP_CIVIDIS))[:, 0, ::-1]


# ---------------------------------------------------------------- drawing


def _hatch(shape: tuple[int, ...], colours: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """Diagonal stripes (H, W, 3) uint8 of two colours."""
    y, x = np.indices(shape[:2], sparse=True)
    return np.array(colours, np.uint8)[(x + y) // STRIPE_PX % 2]


def _put(picture: np.ndarray, where: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.where(where[..., None], other, picture)


def _pale(picture: np.ndarray) -> np.ndarray:
    """The picture in light grey (H, W, 3) uint8, so that a colour on it stands out."""
    grey = picture @ np.array((0.299, 0.587, 0.114))
    return np.repeat((90 + 0.6 * grey).astype(np.uint8)[..., None], 3, 2)


def _tinted(picture: np.ndarray, where: np.ndarray) -> np.ndarray:
    return _put(picture, where, (0.25 * picture + 0.75 * TINT).astype(np.uint8))


def _outline(region: np.ndarray) -> np.ndarray:
    """(H, W) bool: the region's own pixels that touch what isn't of it; the frame doesn't count."""
    padded = np.pad(np.asarray(region, bool), 1, mode="edge")
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return padded[1:-1, 1:-1] & ~inner


def _check_same(values: np.ndarray, other: np.ndarray, name: str) -> None:
    if values.ndim != 2 or values.shape != other.shape:
        raise InputError(
            f"The {name} has shape {other.shape}, the picture {values.shape}. "
            "Give maps of one size."
        )
