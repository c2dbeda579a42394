"""Pairs to start with, drawn here, so that every pixel's true partner is known.

The world is a handful of textured rectangles. A rectangle has a corner o and two sides u, v;
its points are o + a u + b v with a, b in [0, 1]. A camera with K, R, t sees such a point at
pixel p ~ K [Ru | Rv | Ro + t] (a, b, 1): one 3×3 matrix per rectangle and camera. Its inverse
takes a pixel straight back to (a, b, 1) / z: where on the rectangle the pixel looks, and how
far away that is. Rendering is this inverse for every rectangle and keeping the nearest; the exact
homography of a wall is the matrix of one camera times the inverse of the other's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.matching import painted
from core.matching.types import Pair, Truth
from core.types import InputError, Unavailable

EXAMPLES = {
    "poster": "Posters on a wall",
    "street": "Street corner",
    "photo": "Photo, strongly warped",
    "repetition": "Repeated windows",
    "viewpoint": "Extreme tilt",
}
TITLES = {
    "poster": "Posters on a wall: flat, so a homography holds exactly",
    "street": "Street corner: boxes at many depths, cameras and depth known exactly",
    "photo": "A photograph and a strong warp of it",
    "repetition": "Repeated windows: the ratio test's hard case",
    "viewpoint": "Posters seen from far aside: too much for plain SIFT",
}
SIZE = 640, 480


@dataclass(frozen=True)
class Rect:
    """corner (3,), sides u and v (3,) metres; texture (H, W, 3) uint8 with u to the right and v
    down; shade in [0, 1] for the light that falls on it."""

    corner: np.ndarray
    u: np.ndarray
    v: np.ndarray
    texture: np.ndarray
    shade: float = 1.0


@dataclass(frozen=True)
class Eye:
    """K (3, 3) px, and R (3, 3), t (3,): world to camera, x_cam = R x + t."""

    K: np.ndarray
    R: np.ndarray
    t: np.ndarray

    def sees(self, rect: Rect) -> np.ndarray:
        """(3, 3): a place (a, b, 1) of the rectangle → pixel times depth."""
        sides = np.column_stack([rect.u, rect.v, rect.corner])
        return self.K @ (self.R @ sides + np.outer(self.t, (0, 0, 1)))


def make(key: str, seed: int = 0) -> Pair:
    """The example `key` of EXAMPLES. seed varies colours, posters and grain.

    Raises InputError for an unknown key, Unavailable if the photo's package is missing.
    """
    rng = np.random.default_rng(seed)
    if key == "street":
        return _street(rng)
    if key == "poster":
        eyes = eye((-0.5, 0.1, -5.2), 4, 1, 560), eye((1.9, -0.5, -4.6), -24, 6, 600, 8)
        return _wall(painted.poster_wall(rng), eyes, key)
    if key == "repetition":
        eyes = eye((-1.4, 0, -6.4), 10, 2, 560), eye((1.3, 0, -6.2), -13, 2, 560)
        return _wall(painted.window_wall(rng), eyes, key)
    if key == "viewpoint":
        eyes = eye((0, 0, -5.0), 0, 0, 640), eye((4.9, 0, -1.45), -73.5, 0, 700)
        return _wall(painted.poster_wall(rng), eyes, key)
    if key == "photo":
        return _photo(seed)
    raise InputError(f"There is no example {key!r}. Choose one of: {', '.join(EXAMPLES)}.")


def eye(
    place: tuple[float, float, float], yaw_deg: float, pitch_deg: float, focal_px: float,
    roll_deg: float = 0.0,
) -> Eye:  # fmt: skip
    """A camera at `place` (metres, y down), turned right by yaw, up by pitch."""
    y, p, r = np.deg2rad([yaw_deg, pitch_deg, roll_deg])
    yaw = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    pitch = np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
    roll = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    R = roll @ pitch @ yaw
    K = np.array([[focal_px, 0, SIZE[0] / 2], [0, focal_px, SIZE[1] / 2], [0, 0, 1]])
    return Eye(K, R, -R @ np.asarray(place, np.float64))


def render(rects: list[Rect], eye: Eye) -> tuple[np.ndarray, np.ndarray]:
    """What the camera sees: RGB (H, W, 3) uint8, averaged from 2×2 samples a pixel, and the exact
    depth (H, W) float32 m at pixel centres, NaN for the sky."""
    width, height = SIZE
    _, depth = _nearest(rects, eye, 1)
    index, _ = _nearest(rects, eye, 2)
    fine = np.empty((2 * height, 2 * width, 3), np.float32)
    down = np.linspace(0, 1, 2 * height, dtype=np.float32)[:, None, None]
    fine[:] = (1 - down) * np.array((150, 190, 222), np.float32) + down * np.array(
        (250, 238, 222), np.float32
    )
    for k, rect in enumerate(rects):
        box = _reach(rect, eye, 2)
        rows, columns = np.nonzero(index[box] == k)
        if len(rows):
            rows, columns = rows + box[0].start, columns + box[1].start
            xy = np.column_stack([columns, rows]).astype(np.float32) / 2 + 0.25
            inverse = np.linalg.inv(eye.sees(rect))
            fine[rows, columns] = _sample(rect.texture, inverse, xy) * rect.shade
    rgb = (fine[::2, ::2] + fine[::2, 1::2] + fine[1::2, ::2] + fine[1::2, 1::2]) / 4
    return (np.clip(rgb, 0, 255) + 0.5).astype(np.uint8), depth.astype(np.float32)


def _nearest(rects: list[Rect], eye: Eye, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """For samples² rays a pixel: which rectangle is nearest (-1 sky), and its depth."""
    x = (np.arange(SIZE[0] * samples) + 0.5) / samples
    y = ((np.arange(SIZE[1] * samples) + 0.5) / samples)[:, None]
    closeness = np.zeros((len(y), len(x)))  # 1 / z: linear over the picture, 0 at infinity
    index = np.full(closeness.shape, -1, np.int16)
    for k, rect in enumerate(rects):
        q, box = np.linalg.inv(eye.sees(rect)), _reach(rect, eye, samples)
        a, b, c = (q[i, 0] * x[box[1]] + (q[i, 1] * y[box[0]] + q[i, 2]) for i in range(3))
        seen = (c > closeness[box]) & (a >= 0) & (a <= c) & (b >= 0) & (b <= c)
        closeness[box][seen], index[box][seen] = c[seen], k
    with np.errstate(divide="ignore"):
        return index, np.where(index >= 0, 1 / closeness, np.nan)


def _reach(rect: Rect, eye: Eye, samples: int) -> tuple[slice, slice]:
    """Rows and columns of samples that can show the rectangle: all if it passes the camera."""
    corners = eye.sees(rect) @ np.array([(0, 1, 1, 0), (0, 0, 1, 1), (1, 1, 1, 1)])
    if corners[2].min() <= 0.01:
        return slice(0, SIZE[1] * samples), slice(0, SIZE[0] * samples)
    xy = np.clip(corners[:2] / corners[2], 0, np.array(SIZE)[:, None]) * samples
    low, high = np.floor(xy.min(axis=1)).astype(int), np.ceil(xy.max(axis=1)).astype(int)
    return slice(low[1], high[1]), slice(low[0], high[0])


def _sample(texture: np.ndarray, inverse: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Colours (N, 3) float32 of a texture at pixels xy (N, 2), from the level of its pyramid
    whose pixels are about as large as the sample (mip mapping, Williams 1983)."""
    import cv2

    height, width = texture.shape[:2]
    to_texel = (np.diag([width, height, 1.0]) @ inverse).astype(np.float32)
    s, t, c = (to_texel[i, 0] * xy[:, 0] + to_texel[i, 1] * xy[:, 1] + to_texel[i, 2]
               for i in range(3))  # fmt: skip
    s, t = s / c, t / c
    area = np.abs(np.linalg.det(to_texel.astype(np.float64))) / c**3  # the map's Jacobian
    level = np.clip(np.round(np.log2(area) / 2 - 0.5), 0, 5).astype(int)  # half a pixel apart
    colours = np.empty((len(xy), 3), np.float32)
    for k in range(level.max() + 1):
        here = np.nonzero(level == k)[0]
        if len(here):
            n = -(-len(here) // 1024) * 1024  # remap wants a picture-shaped list
            x, y = (np.resize(v[here] / 2**k - 0.5, n).reshape(-1, 1024) for v in (s, t))
            found = cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            colours[here] = found.reshape(-1, 3)[: len(here)]
        texture = cv2.resize(texture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return colours


def _wall(texture: np.ndarray, eyes: tuple[Eye, Eye], key: str) -> Pair:
    """A wall in the plane z = 0, 200 texels a metre, seen by two cameras."""
    size = np.array(texture.shape[1::-1]) / 200
    rect = Rect(np.array([*-size / 2, 0]), np.array([size[0], 0, 0]), np.array([0, size[1], 0]),
                texture)  # fmt: skip
    H = eyes[1].sees(rect) @ np.linalg.inv(eyes[0].sees(rect))
    truth = Truth(homography=H / np.cbrt(np.linalg.det(H)))
    return Pair(render([rect], eyes[0])[0], render([rect], eyes[1])[0], truth, TITLES[key])


def _photo(seed: int) -> Pair:
    from core.matching.pairs import PairSettings, warp

    try:
        from skimage import data
    except ImportError:
        raise Unavailable(
            "The example photo comes with scikit-image, which is not installed. Choose another "
            "example, or upload a photo."
        ) from None
    # Eileen Collins, NASA, public domain.
    settings = PairSettings(
        corners=(0.12, 0.05, -0.04, 0.1, 0.02, -0.08, -0.05, 0.04), rotate_deg=38.0, scale=0.8,
        perspective=0.45, noise=0.02, brightness=-0.08, contrast=0.8, pair_seed=seed,
    )  # fmt: skip
    pair = warp(data.astronaut(), settings)
    return Pair(pair.image0, pair.image1, pair.truth, TITLES["photo"])


# ---------------------------------------------------------------- the street


def _street(rng: np.random.Generator) -> Pair:
    eyes = eye((-0.75, -1.7, -0.6), 5, 1.5, 540), eye((0.95, -1.85, 0.0), -7, 0.5, 540)
    rects = [
        Rect(_v(-12, 0, 16), _v(24, 0, 0), _v(0, 0, -17), painted.ground(rng), 0.98),
        Rect(_v(-4.6, -6.4, 1), _v(0, 0, 12), _v(0, 6.4, 0), painted.brick_house(rng), 0.80),
        Rect(_v(-4.6, -5.7, 13), _v(16, 0, 0), _v(0, 5.7, 0), painted.plaster_house(rng), 1.0),
        *_box((2.7, 8.6), (2.3, 2.5, 1.7), -14, (painted.kiosk(rng), painted.poster_side(rng))),
    ]
    column = painted.column(rng, 3, 1), painted.column(rng, 2, 5)
    rects += _box((-1.05, 9.6), (1.0, 2.7, 1.0), 24, column)
    for place, size, yaw_deg, lift, words in (
        ((-2.3, 5.6), (1.0, 0.95, 0.95), 17, 0, ("FRAGILE", "No 7")),
        ((-2.25, 5.65), (0.62, 0.6, 0.6), -22, 0.95, ("TEA", "1924")),
        ((0.75, 6.2), (1.15, 0.62, 0.7), -8, 0, ("ORANGES", "SUD")),
        ((3.3, 5.0), (0.85, 0.8, 0.85), 28, 0, ("PIANO", "UP")),
    ):
        front, side = (painted.crate(rng, word) for word in words)
        rects += _box(place, size, yaw_deg, (front, side), lift)
    (rgb0, depth0), (rgb1, depth1) = (render(rects, e) for e in eyes)
    R = eyes[1].R @ eyes[0].R.T
    truth = Truth(K0=eyes[0].K, K1=eyes[1].K, R=R, t=eyes[1].t - R @ eyes[0].t,
                  depth0_m=depth0, depth1_m=depth1)  # fmt: skip
    return Pair(rgb0, rgb1, truth, TITLES["street"])


def _box(
    place: tuple[float, float], size: tuple[float, float, float], yaw_deg: float,
    textures: tuple[np.ndarray, np.ndarray], lift: float = 0.0,
) -> list[Rect]:  # fmt: skip
    """A box's front, two sides and top. place: x, z of its middle; size: width, height, depth."""
    c, s = np.cos(np.deg2rad(yaw_deg)), np.sin(np.deg2rad(yaw_deg))
    width, height, deep = size
    x, z = _v(c, 0, -s) * width, _v(s, 0, c) * deep
    y = _v(0, height, 0)
    left = _v(place[0], -lift - height, place[1]) - x / 2 - z / 2  # top, front, left
    front, side = textures
    lid = np.ascontiguousarray(side[: side.shape[0] // 2])
    return [
        Rect(left, x, y, front, 0.98),
        Rect(left + x, z, y, side, 0.76),
        Rect(left + z, -z, y, side, 0.88),
        Rect(left + z, x, -z, lid, 1.04),
    ]


def _v(x: float, y: float, z: float) -> np.ndarray:
    return np.array([x, y, z], np.float64)
