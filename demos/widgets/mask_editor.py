"""A picture to paint on: what is painted is a mask, exact to the picture's own pixels.

A mask travels both ways as its pixels in reading order, 8 a byte, deflated, in base64: some
kilobytes for what a person paints, and no bit can change on the way.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from typing import Any

import numpy as np

from core.images import MAX_PIXELS
from core.types import InputError
from demos.markup import data_uri
from demos.widgets.base import Widget

SMALL = 400_000  # pixels: up to here a picture is sent as it is, and as JPEG beyond


class MaskEditor(Widget):
    """Brush, eraser, rectangle and lasso over a picture, with undo and zoom.

    value is a dict, made by `value_of`, or None for no picture yet. As the input of a handler it
    holds what was painted: read it with `mask_of`.
        key    text; another key is another picture, and begins with a new mask and no undo
        image  address or data-URI
        size   [width, height] px of the picture, and so of its mask
        mask   text, see above, or None where nothing is painted. Another mask for the same picture
               is one step that the person can undo
        made_for  text, kept beside whatever is painted: what this mask was made for
        last   [x0, y0, x1, y1] px, the box of what the latest step has added to the mask, or None;
               read it with `last_of`

    Events
        painted  {}   a stroke, undo, redo, clear or invert has changed the mask
        change        the same, and when Python has changed the value
    Listen with trigger_mode="multiple": "once" drops what comes while the last one is under way.
    """

    def __init__(self, value: dict[str, Any] | None = None, **kwargs: Any):
        super().__init__(value, module="mask_editor.js", events=("painted",), **kwargs)

    def preprocess(self, payload: Any) -> dict[str, Any] | None:
        return json.loads(payload) if isinstance(payload, str) else payload

    @staticmethod
    def value_of(
        image: np.ndarray | None, mask: np.ndarray | None = None, url: str | None = None,
        made_for: str = "",
    ) -> dict[str, Any] | None:  # fmt: skip
        """The value for a picture (H, W, 3) RGB uint8 and a mask (H, W), True = fill.

        url: where the browser finds the picture, as `ui.address` tells; without it the picture
        itself travels with every value, so give it for large ones. Raises ValueError for a mask
        of another size.
        """
        if image is None:
            return None
        image = np.ascontiguousarray(image)
        height, width = image.shape[:2]
        value = {
            "key": hashlib.sha256(image.tobytes() + f"{width}".encode()).hexdigest()[:16],
            "image": url or data_uri(image, lossless=width * height <= SMALL),
            "size": [width, height],
            "made_for": made_for,
        }
        return MaskEditor.with_mask(value, mask)

    @staticmethod
    def with_mask(value: dict[str, Any], mask: np.ndarray | None) -> dict[str, Any]:
        """The same picture with another mask (H, W), or with none. Raises ValueError for a mask of
        another size."""
        width, height = value["size"]
        value = {**value, "last": None}
        if mask is None or not np.any(mask):
            return {**value, "mask": None}
        if np.shape(mask) != (height, width):
            raise ValueError(f"the mask is {np.shape(mask)}, the picture {(height, width)}")
        bits = np.packbits(np.asarray(mask) != 0).tobytes()
        return {**value, "mask": base64.b64encode(zlib.compress(bits)).decode()}

    @staticmethod
    def last_of(value: dict[str, Any] | None) -> tuple[float, float, float, float] | None:
        """The box x0, y0, x1, y1 px of what was painted last, or None. Raises InputError for what
        no editor has made."""
        if not value or not value.get("last"):
            return None
        try:
            x0, y0, x1, y1 = (float(side) for side in value["last"])
            width, height = (int(side) for side in value["size"])
            if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise InputError(
                "This stroke doesn't fit its picture. Clear the mask and paint again."
            ) from None
        return x0, y0, x1, y1

    @staticmethod
    def mask_of(value: dict[str, Any] | None) -> np.ndarray | None:
        """What is painted (H, W) bool, True = fill, or None for nothing. Raises InputError for
        what no editor has made."""
        if not value or not value.get("mask"):
            return None
        try:
            width, height = (int(side) for side in value["size"])
            if min(width, height) < 1 or width * height > MAX_PIXELS:
                raise ValueError
            expected = -(-width * height // 8)
            packed = base64.b64decode(value["mask"], validate=True)
            bits = zlib.decompressobj().decompress(packed, expected + 1)
            if len(bits) != expected:
                raise ValueError
        except (KeyError, TypeError, ValueError, zlib.error):
            raise InputError(
                "This mask doesn't fit its picture. Clear it and paint again."
            ) from None
        flat = np.unpackbits(np.frombuffer(bits, np.uint8), count=width * height)
        mask = flat.reshape(height, width).astype(bool)
        return mask if mask.any() else None
