"""Grounds for made-up worlds: what a matching cost should have seen before it meets a photo.

A network that learns from one kind of picture learns that kind's tricks. So here is noise of many
spectra, grain, stripes, checks, words, leaves, smooth and empty sheets, the painted surfaces of
`core.scenes`, and a few photographs that scikit-image carries in its wheel (single pictures; its
stereo pair is left out on purpose).
"""

from __future__ import annotations

import string
from functools import lru_cache

import numpy as np

SIDE = 384  # pixels
PHOTOS = (
    "astronaut", "brick", "camera", "chelsea", "coffee", "coins", "grass", "gravel", "rocket",
    "hubble_deep_field", "immunohistochemistry", "page", "text", "moon", "retina", "cell",
)  # fmt: skip
PAINTED = ("brick_house", "plaster_house", "ground", "kiosk", "poster_wall", "window_wall")


def texture(rng: np.random.Generator) -> np.ndarray:
    """One sheet (SIDE, SIDE, 3) uint8 of a kind chosen by chance."""
    kind = KINDS[int(rng.choice(len(KINDS), p=SHARES))]
    made = kind(rng)
    if rng.random() < 0.25:  # two things at once: print on cloth, stains on a wall
        other = KINDS[int(rng.choice(len(KINDS), p=SHARES))](rng).astype(np.float32)
        share = rng.uniform(0.15, 0.6)
        made = made * (1 - share) + other * share
    return np.clip(made, 0, 255).astype(np.uint8)


def _resized(small: np.ndarray, smooth: bool = True) -> np.ndarray:
    import cv2

    how = cv2.INTER_CUBIC if smooth else cv2.INTER_NEAREST
    return cv2.resize(small.astype(np.float32), (SIDE, SIDE), interpolation=how)


def _ramp(field: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A field in [0, 1] painted from one colour to another, now and then over a third."""
    colours = rng.uniform(0, 255, (3, 3))
    if rng.random() < 0.5:  # greyish things are the most common
        grey = colours.mean(axis=1, keepdims=True)
        colours = grey + (colours - grey) * rng.uniform(0, 0.35)
    if rng.random() < 0.4:  # and low contrast too
        colours = colours[:1] + (colours - colours[:1]) * rng.uniform(0.05, 0.4)
    middle = colours[2] if rng.random() < 0.3 else colours[:2].mean(axis=0)
    stops = np.stack([colours[0], middle, colours[1]])
    flat = np.clip(field, 0, 1).ravel()
    painted = np.stack([np.interp(flat, (0, 0.5, 1), stops[:, k]) for k in range(3)], axis=1)
    return painted.reshape(*field.shape, 3)


def _unit(field: np.ndarray) -> np.ndarray:
    low, high = np.quantile(field, (0.01, 0.99))
    return (field - low) / max(float(high - low), 1e-6)


def _spectrum(rng: np.random.Generator) -> np.ndarray:
    """Noise whose amplitude falls with frequency as 1/f^power: clouds to sand."""
    fy, fx = np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]
    stretch = np.exp(rng.normal(0, 0.5))
    f = np.sqrt((fx * stretch) ** 2 + (fy / stretch) ** 2)
    f[0, 0] = 1
    wave = np.fft.rfft2(rng.standard_normal((SIDE, SIDE))) / f ** rng.uniform(0.3, 2.2)
    wave[f < rng.uniform(0, 0.03)] = 0
    return _unit(np.fft.irfft2(wave, s=(SIDE, SIDE)))


def noise(rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.4:
        return np.stack([_spectrum(rng) for _ in range(3)], axis=2) * rng.uniform(80, 255)
    return _ramp(_spectrum(rng), rng)


def grain(rng: np.random.Generator) -> np.ndarray:
    """Nearly one colour, with fine grain."""
    import cv2

    field = rng.standard_normal((SIDE, SIDE)).astype(np.float32)
    field = cv2.GaussianBlur(field, (0, 0), float(rng.uniform(0.4, 1.5)))
    colour = rng.uniform(20, 235, 3)
    return colour + field[..., None] * rng.uniform(3, 60) * rng.uniform(0.7, 1.3, 3)


def stripes(rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(4), np.log(60)))
    phase = (x * np.cos(angle) + y * np.sin(angle)) / period
    phase += rng.uniform(0, 0.8) * _spectrum(rng)
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * phase) * rng.uniform(1, 6)
    return _ramp(wave + 0.1 * rng.random() * _spectrum(rng), rng)


def checks(rng: np.random.Generator) -> np.ndarray:
    """Tiles: a chessboard, or every tile of its own colour, with joints."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    w, h = (int(v) for v in np.exp(rng.uniform(np.log(5), np.log(70), 2)))
    row = y // h
    column = (x + (row % 2) * (w // 2) * int(rng.integers(0, 2))) // w
    if rng.random() < 0.4:
        values = (row + column) % 2.0
    else:
        values = rng.random((SIDE // h + 2, SIDE // w + 2))[row, column]
    if rng.random() < 0.5:
        joint = (y % h < max(1, h // 12)) | ((x + (row % 2) * (w // 2)) % w < max(1, w // 12))
        values = np.where(joint, rng.random(), values)
    return _ramp(values + rng.uniform(0, 0.2) * (_spectrum(rng) - 0.5), rng)


def words(rng: np.random.Generator) -> np.ndarray:
    import cv2

    sheet = np.tile(rng.uniform(0, 255, 3), (SIDE, SIDE, 1)).astype(np.uint8)
    letters = list(string.ascii_letters + string.digits + "    ")
    high = int(rng.integers(8, 60))
    for y in range(high, SIDE + high, int(high * rng.uniform(1.2, 2.5))):
        line = "".join(rng.choice(letters, 60))
        ink = tuple(float(v) for v in rng.uniform(0, 255, 3))
        face, thick = int(rng.integers(0, 5)), max(1, high // 12)
        at = int(rng.integers(-60, 20)), y
        cv2.putText(sheet, line, at, face, high / 28, ink, thick, cv2.LINE_AA)
    return sheet.astype(np.float32)


def leaves(rng: np.random.Generator) -> np.ndarray:
    """Hundreds of small ellipses over each other: foliage, pebbles, confetti."""
    import cv2

    sheet = noise(rng).astype(np.uint8)
    tint, spread = rng.uniform(20, 235, 3), rng.uniform(10, 90)
    size = rng.uniform(3, 26)
    for _ in range(int(rng.integers(60, 500))):
        centre = tuple(int(v) for v in rng.integers(0, SIDE, 2))
        axes = tuple(max(1, int(v)) for v in size * rng.uniform(0.3, 1.4, 2))
        colour = tuple(float(v) for v in np.clip(tint + rng.normal(0, spread, 3), 0, 255))
        turn = float(rng.uniform(0, 180))
        cv2.ellipse(sheet, centre, axes, turn, 0, 360, colour, -1, cv2.LINE_AA)
    return sheet.astype(np.float32)


def smooth(rng: np.random.Generator) -> np.ndarray:
    """A painted wall: a slow change of colour and next to nothing else."""
    cells = int(rng.integers(2, 6))
    slow = _resized(rng.random((cells, cells, 3)))
    colour = rng.uniform(20, 235, 3)
    return colour + (slow - 0.5) * rng.uniform(0, 120) + rng.normal(0, 1.5, (SIDE, SIDE, 1))


def mosaic(rng: np.random.Generator) -> np.ndarray:
    """Cells around random points, each of its own colour."""
    import cv2

    points = int(np.exp(rng.uniform(np.log(20), np.log(800))))
    seeds = np.full((SIDE, SIDE), 255, np.uint8)
    at = rng.integers(0, SIDE, (points, 2))
    seeds[at[:, 1], at[:, 0]] = 0
    _, label = cv2.distanceTransformWithLabels(
        seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    return _ramp(rng.random(int(label.max()) + 1)[label], rng) + 12 * _spectrum(rng)[..., None]


def photo(rng: np.random.Generator) -> np.ndarray:
    return _crop(_photo(str(rng.choice(PHOTOS))), rng)


def painting(rng: np.random.Generator) -> np.ndarray:
    from core.scenes import textures

    if rng.random() < 0.3:
        name = str(rng.choice(list(textures.PICTURES)))
    else:
        name = f"painted:{rng.choice(PAINTED)}:{int(rng.integers(0, 12))}"
    return _crop(textures.picture(name), rng)


def _crop(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A part of the picture, sometimes flipped, recoloured or inverted."""
    import cv2

    h, w = picture.shape[:2]
    side = int(min(h, w) * rng.uniform(0.35, 1.0))
    y, x = int(rng.integers(0, h - side + 1)), int(rng.integers(0, w - side + 1))
    part = cv2.resize(picture[y : y + side, x : x + side], (SIDE, SIDE), interpolation=3)
    part = part[:, :: int(rng.choice([-1, 1]))][..., rng.permutation(3)].astype(np.float32)
    if rng.random() < 0.2:
        part = 255 - part
    return part


@lru_cache(maxsize=len(PHOTOS))
def _photo(name: str) -> np.ndarray:
    import skimage.data

    from core.images import as_rgb

    return as_rgb(getattr(skimage.data, name)(), name)


_MADE = {
    noise: 5, grain: 2, stripes: 1.5, checks: 1.5, words: 1.5, leaves: 2.5, smooth: 2, mosaic: 1.5,
    photo: 5, painting: 2.5,
}  # fmt: skip
KINDS = tuple(_MADE)
SHARES = np.array(list(_MADE.values())) / sum(_MADE.values())
