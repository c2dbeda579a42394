"""Pictures at the door: whatever file or array comes in, RGB uint8 (H, W, 3) goes on.

A camera's file may lie on its side (EXIF), carry 16 bits, one channel, four inks or
transparency. `load` and `as_rgb` undo all of that once, so that nothing behind them has to know.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from core.types import InputError

MAX_PIXELS = 120_000_000  # a 12000×9000 photo passes; beyond, decoding alone fills a laptop


def load(source: str | Path, name: str = "The picture") -> np.ndarray:
    """A picture file as RGB uint8 (H, W, 3), upright. Raises InputError if it isn't one."""
    import warnings

    from PIL import Image, ImageOps

    path = Path(source)
    if path.is_dir():
        raise InputError(f"{name}: {path.name} is a folder. Choose a picture in it.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                _check_size(image.width, image.height, name)
                image.load()
                return as_rgb(ImageOps.exif_transpose(image), name)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{name}: there is no file {path.name}. Choose it again.") from None
    except Image.DecompressionBombError:
        raise InputError(
            f"{name} has more than {MAX_PIXELS / 1e6:.0f} megapixels. Make it smaller first."
        ) from None
    except Exception as error:  # PIL raises a dozen kinds for broken files
        why = "is empty" if path.stat().st_size == 0 else f"can't be read as a picture ({error})"
        why = why.replace(str(path), path.name)
        raise InputError(f"{name} {why}. Save it as PNG or JPEG and try again.") from error


def as_rgb(image: Any, name: str = "The picture") -> np.ndarray:
    """An array or PIL image as RGB uint8 (H, W, 3).

    Grey is repeated, transparency lies on white, 16 bits are scaled to 8, floats in [0, 1] to 255.
    Raises InputError for anything that isn't a finite picture.
    """
    from PIL import Image

    if isinstance(image, Image.Image):
        if image.mode in ("P", "PA", "LA") or "transparency" in image.info:
            image = image.convert("RGBA")
        elif image.mode not in ("1", "L", "RGB", "RGBA", "F") and not image.mode.startswith("I"):
            image = image.convert("RGB")
        array = np.asarray(image)
    elif isinstance(image, np.ndarray):
        array = image
    elif image is None:
        raise InputError(f"{name} is missing. Choose one, or pick an example.")
    else:
        raise InputError(f"{name} is {type(image).__name__}, not a picture. Give a photo.")

    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise InputError(
            f"{name} has shape {array.shape}; a picture is height × width × 3. Give a photo."
        )
    _check_size(array.shape[1], array.shape[0], name)
    array = _to_uint8(array, name)
    if array.ndim == 2:
        array = np.dstack([array] * 3)
    if array.shape[2] == 4:
        alpha = array[..., 3:].astype(np.float32) / 255
        array = (array[..., :3] * alpha + 255 * (1 - alpha) + 0.5).astype(np.uint8)
    return np.ascontiguousarray(array)


def _check_size(width: int, height: int, name: str) -> None:
    if width < 1 or height < 1:
        raise InputError(f"{name} is empty ({width}×{height} px). Choose another one.")
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{name} is {width}×{height} px, {width * height / 1e6:.0f} megapixels. "
            f"Make it smaller than {MAX_PIXELS / 1e6:.0f} megapixels first."
        )


def _to_uint8(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise InputError(f"{name} holds NaN or infinite values. Save it again as PNG.")
        top = float(array.max(initial=0))
        scale = 255.0 if top <= 1 else 1.0 if top <= 255 else 255 / 65535
        return (np.clip(array * scale, 0, 255) + 0.5).astype(np.uint8)
    if array.dtype.kind in "iu":
        if array.min(initial=0) < 0:
            raise InputError(f"{name} holds negative values. Save it again as PNG.")
        deep = array.max(initial=0) > 255 or array.dtype.newbyteorder("=") == np.uint16
        return (np.clip(array / 257.0 if deep else array, 0, 255) + 0.5).astype(np.uint8)
    raise InputError(f"{name} holds {array.dtype}, not numbers. Give a photo.")


def fit(image: np.ndarray, max_side_px: int) -> tuple[np.ndarray, np.ndarray]:
    """The picture reduced to at most `max_side_px` on its longer side, and the factors used.

    The factors are (x, y). Pixel centres lie at half numbers, so coordinates come back by
    division: xy_full = xy_small / factors.
    """
    import cv2

    height, width = image.shape[:2]
    factor = min(1.0, max_side_px / max(height, width))
    if factor == 1.0:
        return image, np.ones(2)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return small, np.array([size[0] / width, size[1] / height])


def digest(array: np.ndarray) -> str:
    """SHA-256 of an array's type, shape and bytes: which input made a result."""
    array = np.ascontiguousarray(array)
    head = f"{array.dtype.str}{array.shape}".encode()
    made = hashlib.sha256(head)
    made.update(array.data)  # the buffer itself: a copy of a large photo would be 300 MB
    return made.hexdigest()
