"""Two pictures to match, and the exact answer: any photo plus a warp is a test.

A flat picture seen by two cameras, or any scene seen by a camera that only turns, moves by a
homography: x1 ~ H x0, a 3×3 matrix with eight degrees of freedom. So if we make picture 1 from
picture 0 with an H of our choosing, we know where every point went, and each match can be called
right or wrong. What light, lens and sensor do (contrast, blur, noise) is added afterwards: it
changes how a point looks, never where it lies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core import images
from core.matching.examples import EXAMPLES, make
from core.matching.truth import project
from core.matching.types import Pair, Truth
from core.types import InputError, Settings, setting

SOURCES = {
    "example": "An example",
    "warp": "One photo, warped",
    "photos": "Two photos of your own",
}
MAX_SIDE_PX = 2000  # of a warp's two pictures
FULL_TILT_DEG = 75.0  # what perspective = 1 means


@dataclass(frozen=True)
class PairSettings(Settings):
    """Where the two pictures come from, and how a warp makes the second from the first."""

    source: str = setting(
        "example", "Pictures", "An example, a warp, or your own two.", choices=SOURCES
    )
    example: str = setting("photo", "Example", "A pair with exact truth.", choices=EXAMPLES)
    corners: tuple[float, ...] = setting(
        (0.0,) * 8, "Corners", "Moves of the four corners TL, TR, BR, BL: x, y as shares of the "
        "picture's width and height.", minimum=-2.0, maximum=2.0, shown=False,
    )  # fmt: skip
    rotate_deg: float = setting(
        0.0, "Rotate", "Turns the picture clockwise.", minimum=0.0, maximum=360.0, step=1.0,
        unit="°",
    )  # fmt: skip
    scale: float = setting(
        1.0, "Scale", "Below 1 smaller, above 1 larger.", minimum=0.25, maximum=4.0, step=0.05
    )
    perspective: float = setting(
        0.0, "Tilt", f"Turns the picture about its upright axis; 1 is {FULL_TILT_DEG:.0f}°.",
        minimum=0.0, maximum=1.0, step=0.01,
    )  # fmt: skip
    blur_px: float = setting(
        0.0, "Blur", "Sigma of a Gaussian.", minimum=0.0, maximum=10.0, step=0.1, unit="px",
        advanced=True,
    )  # fmt: skip
    noise: float = setting(
        0.0, "Noise", "Sigma of the noise; white minus black is 1.", minimum=0.0, maximum=0.5,
        step=0.01, advanced=True,
    )  # fmt: skip
    brightness: float = setting(
        0.0, "Brightness", "Added to every value; white minus black is 1.",
        minimum=-1.0, maximum=1.0, step=0.01, advanced=True,
    )  # fmt: skip
    contrast: float = setting(
        1.0, "Contrast", "Stretches values about middle grey.", minimum=0.1, maximum=4.0,
        step=0.05, advanced=True,
    )  # fmt: skip
    pair_seed: int = setting(
        0, "Picture seed", "Fixes the noise and what an example varies.",
        minimum=0, maximum=2**31 - 1, step=1, advanced=True,
    )  # fmt: skip


def make_pair(
    settings: PairSettings = PairSettings(),
    image0: np.ndarray | None = None,
    image1: np.ndarray | None = None,
) -> Pair:
    """The two pictures that `settings` ask for, with their truth where there is one.

    image0 (H, W, 3) uint8 is needed for photos, and for a warp unless the example photo will do;
    image1 only for photos. Raises InputError if a photo is missing, Unavailable as `make` does.
    """
    if settings.source == "example":
        return make(settings.example, settings.pair_seed)
    if settings.source == "photos":
        return Pair(images.as_rgb(image0, "Picture 0"), images.as_rgb(image1, "Picture 1"))
    if image0 is None:
        image0 = make("photo", settings.pair_seed).image0
    return warp(image0, settings)


def homography(settings: PairSettings, size: tuple[int, int]) -> np.ndarray:
    """The (3, 3) float64 matrix of a warp: pixels of a picture of `size` (width, height) → pixels
    of the warped one. Raises InputError if the corners form no convex quadrilateral."""
    return _plan(settings, size)[0]


def warp(image: np.ndarray, settings: PairSettings) -> Pair:
    """A picture and its warp, with the exact homography between them.

    The warped picture's canvas is its bounding box, so that nothing is cut off, up to
    MAX_SIDE_PX, beyond which the middle is kept: scale stays what was asked for. A photo larger
    than MAX_SIDE_PX is reduced first, and picture 0 of the pair is the reduced one.
    """
    import cv2

    image, _ = images.fit(images.as_rgb(image), MAX_SIDE_PX)
    height, width = image.shape[:2]
    H, (w1, h1) = _plan(settings, (width, height))
    # Where the warp shrinks the picture, one sample a pixel would skip detail and alias, so
    # the canvas is drawn larger and averaged down.
    finer = int(np.clip(np.ceil(_most_shrunk(H, width, height) - 0.01), 1, 4))
    finer = max(1, min(finer, 2 * MAX_SIDE_PX // max(w1, h1)))
    to_cv = _shift(-0.5, -0.5) @ np.diag([finer, finer, 1.0]) @ H @ _shift(0.5, 0.5)
    if np.allclose(to_cv, np.eye(3), atol=1e-12) and (w1, h1) == (width, height):
        warped = image
    else:
        ground = (float(image.mean()),) * 3  # grey: a weaker edge than black or white
        warped = cv2.warpPerspective(
            image, to_cv, (w1 * finer, h1 * finer), flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_CONSTANT, borderValue=ground,
        )  # fmt: skip
        if finer > 1:
            warped = cv2.resize(warped, (w1, h1), interpolation=cv2.INTER_AREA)
    return Pair(image, _taken(warped, settings), Truth(homography=H), "A photo and its warp")


def _taken(image: np.ndarray, settings: PairSettings) -> np.ndarray:
    """The picture as a worse camera would take it: lens blur, then exposure, then noise."""
    import cv2

    s = settings
    if s.blur_px == 0 and s.noise == 0 and s.brightness == 0 and s.contrast == 1:
        return image
    out = image.astype(np.float32) / 255
    if s.blur_px > 0:
        out = cv2.GaussianBlur(out, (0, 0), s.blur_px, borderType=cv2.BORDER_REPLICATE)
    out = (out - 0.5) * s.contrast + 0.5 + s.brightness
    if s.noise > 0:
        rng = np.random.default_rng(s.pair_seed)
        out = out + s.noise * rng.standard_normal(out.shape, dtype=np.float32)
    return (np.clip(out, 0, 1) * 255 + 0.5).astype(np.uint8)


def _plan(settings: PairSettings, size: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """The homography of a warp and the (width, height) of its canvas."""
    width, height = size
    box = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
    moves = np.reshape(settings.corners or (0.0,) * 8, (4, 2)) * (width, height)
    H = _quad(box, box + moves, (width, height))

    # Tilt: the picture stands in the plane z = 0 of a camera that looks at its middle from
    # `far` away and turns about its upright axis: (x, y) → far (x cos, y) / (far + x sin).
    tilt = np.deg2rad(settings.perspective * FULL_TILT_DEG)
    far = 1.5 * max(width, height)
    turned = np.array([[np.cos(tilt), 0, 0], [0, 1, 0], [np.sin(tilt) / far, 0, 1]])
    c, s = _cos_sin(settings.rotate_deg)
    rotate = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])  # y points down, so this is clockwise
    scale = np.diag([settings.scale, settings.scale, 1.0])
    middle = _shift(width / 2, height / 2)
    corners = project(H, box)
    if (turned[2, 0] * (corners[:, 0] - width / 2) < -0.9).any():
        raise InputError("The corners lie so far out that the tilt takes them behind the camera. "
                         "Drag them closer, or tilt less.")  # fmt: skip
    H = middle @ scale @ rotate @ turned @ np.linalg.inv(middle) @ H

    # The bounding box moves to (0, 0); one that is too large keeps its middle.
    found = project(H, box)
    low = found.min(axis=0)
    extent = np.maximum(np.ceil(found.max(axis=0) - low - 1e-6), 1)
    kept = np.minimum(extent, max(MAX_SIDE_PX, width, height))
    low += np.floor((extent - kept) / 2)
    H = _shift(-low[0], -low[1]) @ H
    return H / H[2, 2], (int(kept[0]), int(kept[1]))


def _quad(box: np.ndarray, quad: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The homography that takes four corners to four others (Hartley and Zisserman, ch. 4.1).

    Each pair of points gives two equations that are linear in h, with h33 = 1.
    """
    edges = np.roll(quad, -1, axis=0) - quad
    after = np.roll(edges, -1, axis=0)
    turns = (edges[:, 0] * after[:, 1] - edges[:, 1] * after[:, 0]) / (size[0] * size[1])
    if (turns < -1e-3).all():
        raise InputError("The corners are mirrored: the picture shows its back. Drag them back to "
                         "the order top left, top right, bottom right, bottom left.")  # fmt: skip
    if turns.min() < 1e-3:
        raise InputError("The four corners cross, lie on one line or bend inwards, so no view of "
                         "a flat picture looks like that. Drag them apart.")  # fmt: skip
    if (box == quad).all():
        return np.eye(3)
    rows, right = [], []
    for (x, y), (u, v) in zip(box, quad, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    return np.append(np.linalg.solve(np.array(rows), np.array(right)), 1.0).reshape(3, 3)


def _most_shrunk(H: np.ndarray, width: int, height: int) -> float:
    """How many pixels of picture 0 fall on one of picture 1, along a side, where it is worst."""
    shares = np.array([(x, y) for x in (0.1, 0.5, 0.9) for y in (0.1, 0.5, 0.9)])
    middle = shares * (width, height)
    at = project(H, middle)
    step_x, step_y = np.array([0.5, 0]), np.array([0, 0.5])
    along_x = np.linalg.norm(project(H, middle + step_x) - at, axis=1)
    along_y = np.linalg.norm(project(H, middle + step_y) - at, axis=1)
    return float(0.5 / min(along_x.min(), along_y.min()))


def _cos_sin(angle_deg: float) -> tuple[float, float]:
    """Cosine and sine, exact at quarter turns so that these resample nothing."""
    angle = np.deg2rad(angle_deg)
    return float(np.round(np.cos(angle), 15)), float(np.round(np.sin(angle), 15))


def _shift(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])
