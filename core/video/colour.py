"""A decoded frame as people see it: upright, 8 bits, sRGB, on white where it is transparent.

A film stores brightness and two colour differences (Y'CbCr), often at half resolution, with a
matrix that depends on the standard: BT.601 for small pictures, BT.709 for HD, BT.2020 for HDR.
HDR also stores light by other curves, PQ (SMPTE ST 2084) or HLG (ARIB STD-B67): up to 10,000
candela/m², of which a page can show about 203 (white by ITU-R BT.2408).
"""

from __future__ import annotations

from typing import Any

import numpy as np

PQ, HLG = 16, 18  # ITU-T H.273, transfer characteristics
BT2020, UNSPECIFIED = 9, 2
TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)  # ITU-R BT.2087, linear BT.2020 → BT.709
WHITE_NITS, PEAK_NITS, KNEE = 203.0, 1000.0, 0.6


def has_alpha(frame: Any) -> bool:
    return any(part.is_alpha for part in frame.format.components)


def is_hdr(frame: Any) -> bool:
    return int(frame.color_trc) in (PQ, HLG)


def turn_of(frame: Any) -> tuple[int, int, int, int]:
    """The display matrix a, b, c, d in signs: pixel (x, y) is shown at (a x + c y, b x + d y).

    Turns that aren't by quarters count as the nearest one.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].astype(float)
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return (-1 if a < 0 else 1), 0, 0, (-1 if d < 0 else 1)
    return 0, (-1 if b < 0 else 1), (-1 if c < 0 else 1), 0


def degrees(turn: tuple[int, int, int, int]) -> int:
    """Clockwise degrees of a turn; a mirrored picture counts by its first axis."""
    a, b, _, _ = turn
    return {(1, 0): 0, (0, 1): 90, (-1, 0): 180, (0, -1): 270}[a, b]


def turned(image: np.ndarray, turn: tuple[int, int, int, int]) -> np.ndarray:
    a, b, c, d = turn
    if a == 0:
        image = image.transpose(1, 0, 2)
    down, right = (d, a) if a else (b, c)
    return np.ascontiguousarray(image[::down, ::right])


def to_rgb(frame: Any, width: int, height: int, turn: tuple[int, int, int, int]) -> np.ndarray:
    """An `av.VideoFrame` as RGB uint8. width and height in px before the turn."""
    if int(frame.colorspace) == UNSPECIFIED and not frame.format.is_rgb:
        frame.colorspace = 1 if frame.height >= 720 or frame.width >= 1280 else 5
    hdr, alpha = is_hdr(frame), has_alpha(frame)
    kind = "rgb48le" if hdr else "rgba" if alpha else "rgb24"
    smaller = width < frame.width or height < frame.height
    picture = frame.reformat(
        width=width, height=height, format=kind, interpolation="AREA" if smaller else "BICUBIC"
    )
    image = picture.to_ndarray()
    if hdr:
        wide = int(frame.color_primaries) in (BT2020, UNSPECIFIED)
        image = hdr_to_srgb(image / np.float32(65535), int(frame.color_trc), wide)
    elif alpha:
        image = on_white(image)
    return turned(image, turn)


def on_white(image: np.ndarray) -> np.ndarray:
    """RGBA uint8 (H, W, 4) → RGB uint8 (H, W, 3) on a white ground."""
    colour, alpha = image[..., :3].astype(np.uint16), image[..., 3:].astype(np.uint16)
    return ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def hdr_to_srgb(code: np.ndarray, transfer: int, wide: bool = True) -> np.ndarray:
    """Code values in [0, 1] (H, W, 3) of PQ or HLG → sRGB uint8.

    Light up to 0.6 of page white stays as it is; beyond, it rolls off smoothly and never clips.
    wide: the primaries are BT.2020's and become BT.709's.
    """
    light = (_pq(code) if transfer == PQ else _hlg(code)) / WHITE_NITS  # 1 is page white
    if wide:
        light = np.maximum(light @ TO_709.T.astype(np.float32), 0)
    top = light.max(-1, keepdims=True)
    over = np.maximum(top - KNEE, 0) / (1 - KNEE)
    light = light * np.where(
        top > KNEE, (KNEE + (1 - KNEE) * over / (1 + over)) / np.maximum(top, KNEE), 1
    )
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (np.clip(srgb, 0, 1) * 255 + 0.5).astype(np.uint8)


def _pq(code: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084: code → candela/m²."""
    root = np.maximum(code, 0) ** (32 / 2523)
    low, a, b = 3424 / 4096, 2413 / 128, 2392 / 128
    return 10_000 * (np.maximum(root - low, 0) / (a - b * root)) ** (16384 / 2610)


def _hlg(code: np.ndarray) -> np.ndarray:
    """ARIB STD-B67 with ITU-R BT.2100's system gamma 1.2: code → candela/m² of a 1000 screen."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    luma = scene @ np.array([0.2627, 0.678, 0.0593], np.float32)
    return PEAK_NITS * scene * np.maximum(luma, 1e-6)[..., None] ** 0.2
