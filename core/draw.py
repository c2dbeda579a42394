"""Drawing on pictures: lines between two views, keypoints, patches.

Colours are colour-blind safe (Okabe & Ito 2008): blue agrees or is right, orange does not or is
wrong, grey was never in question.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BLUE, ORANGE, PINK, GREY = (0, 114, 178), (230, 159, 0), (204, 121, 167), (150, 155, 160)

Colour = tuple[int, int, int]


def side_by_side(image0: np.ndarray, image1: np.ndarray, gap_px: int = 8) -> np.ndarray:
    """Both pictures (RGB uint8) next to each other on white, top edges level."""
    height = max(image0.shape[0], image1.shape[0])
    width = image0.shape[1] + gap_px + image1.shape[1]
    canvas = np.full((height, width, 3), 255, np.uint8)
    canvas[: image0.shape[0], : image0.shape[1]] = image0
    canvas[: image1.shape[0], image0.shape[1] + gap_px :] = image1
    return canvas


def match_lines(
    image0: np.ndarray,
    image1: np.ndarray,
    points0: np.ndarray,
    points1: np.ndarray,
    colours: Sequence[Colour],
    *,
    height_px: int = 640,
) -> np.ndarray:
    """The two pictures side by side, scaled to one height, with a line for each match.

    points0 and points1 (K, 2) px; colours, one RGB triple per match; the first lies on top.
    """
    import cv2

    pictures, scales = [], []
    for image in (image0, image1):
        scale = height_px / image.shape[0]
        size = max(1, round(image.shape[1] * scale)), height_px
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
        pictures.append(cv2.resize(image, size, interpolation=how))
        scales.append(np.array(size) / (image.shape[1], image.shape[0]))
    canvas = side_by_side(*pictures)
    shift = np.array([pictures[0].shape[1] + 8, 0])
    # OpenCV puts the first pixel's centre at 0 and takes fixed-point coordinates: 4 binary places
    ends0 = np.rint((points0 * scales[0] - 0.5) * 16).astype(int)
    ends1 = np.rint((points1 * scales[1] + shift - 0.5) * 16).astype(int)
    for a, b, colour in reversed(list(zip(ends0, ends1, colours, strict=True))):
        start, end = (int(a[0]), int(a[1])), (int(b[0]), int(b[1]))
        cv2.line(canvas, start, end, colour, 1, cv2.LINE_AA, 4)
        for tip in (start, end):
            cv2.circle(canvas, tip, 3 * 16, (255, 255, 255), -1, cv2.LINE_AA, 4)
            cv2.circle(canvas, tip, 2 * 16, colour, -1, cv2.LINE_AA, 4)
    return canvas


def patch(
    image: np.ndarray,
    xy: np.ndarray,
    size_px: float,
    angle_deg: float = 0.0,
    out_px: int = 128,
) -> np.ndarray:
    """The square around a keypoint, turned upright: (out_px, out_px, 3) RGB uint8.

    size_px is the side of the square in the picture; angle_deg turns clockwise from +x. What lies
    outside the picture is white.
    """
    import cv2

    scale = size_px / out_px
    turn = np.deg2rad(0.0 if np.isnan(angle_deg) else angle_deg)
    axes = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    origin = np.asarray(xy, float) - 0.5 - axes @ np.full(2, (out_px - 1) / 2)
    matrix = np.hstack([axes, origin[:, None]])
    return cv2.warpAffine(
        image,
        matrix,
        (out_px, out_px),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderValue=(255, 255, 255),
    )
