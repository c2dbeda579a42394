"""Pictures that no camera took: dead leaves, one upon the other, each with a texture.

Shapes of every size that cover each other have edges, corners and junctions in about the numbers that
photos have (Lee, Mumford and Huang 2001), and nets trained on them restore photos almost as well as
nets trained on photos (Achddou et al. 2021, "Synthetic images as a regularity prior for image
restoration neural networks"). Here a leaf is a blob, a board or a thin line; on it lies noise whose
grains have all sizes, a grating, or rows of bricks, for photos are full of things in rows.
"""

from __future__ import annotations

import numpy as np

LEAST, MOST = (0.01, 0.06), 0.5  # half the size of a leaf, as a share of the picture's side
LEAVES = 250  # what is older is covered by then, in most places


def leaves(rng: np.random.Generator, side_px: int) -> np.ndarray:
    """(side, side, 3) uint8: one picture by chance."""
    import cv2

    side = 2 * side_px  # drawn twice as large: edges come out smooth
    sheet = np.zeros((side, side, 3), np.float32)
    colours = _palette(rng)
    cloths = [_cloth(rng, side) for _ in range(5)]
    sheet[:] = colours[0] + cloths[0] * rng.uniform(0, 60)
    least, most = rng.uniform(*LEAST) * side, MOST * side
    turn = rng.uniform(0, np.pi)  # houses and benches have a direction: half of the boards share it
    for _ in range(LEAVES):
        u = rng.random()
        half = (least**-2 * (1 - u) + most**-2 * u) ** -0.5  # its density falls with the cube
        outline = _outline(rng, half, turn) + rng.uniform(0, side, 2)
        low = np.clip(np.floor(outline.min(0)).astype(int), 0, side)
        high = np.clip(np.ceil(outline.max(0)).astype(int) + 1, 0, side)
        if (high <= low).any():
            continue
        rows, columns = slice(low[1], high[1]), slice(low[0], high[0])
        inside = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        cv2.fillPoly(inside, [(outline - low).round().astype(np.int32)], 1)
        colour = colours[rng.integers(len(colours))] + rng.normal(0, 8, 3)
        look = cloths[rng.integers(len(cloths))][rows, columns] * rng.choice((0, 10, 25, 60))
        slope = rng.normal(0, 25, 2) / side  # lit from one side
        y, x = np.mgrid[rows, columns]
        shade = slope[0] * (x - low[0]) + slope[1] * (y - low[1])
        part = sheet[rows, columns]
        here = inside > 0
        part[here] = (colour + look + shade[..., None])[here]
    sheet = cv2.resize(sheet, (side_px, side_px), interpolation=cv2.INTER_AREA)
    if (blur := rng.uniform(0, 1.2)) > 0.3:
        sheet = cv2.GaussianBlur(sheet, (0, 0), blur)
    sheet += rng.normal(0, rng.uniform(0, 5), sheet.shape)
    return np.clip(sheet, 0, 255).round().astype(np.uint8)


def _palette(rng: np.random.Generator) -> np.ndarray:
    """(n, 3) colours that are often near each other, and seldom very bright."""
    n = int(rng.integers(4, 16))
    grey = rng.uniform(10, 245, (n, 1))
    return grey + rng.normal(0, rng.uniform(3, 30), (n, 3)) + rng.normal(0, 12, 3)


def _outline(rng: np.random.Generator, half: float, turn: float) -> np.ndarray:
    """(n, 2) px around 0: a blob, a board or a line of that half size."""
    kind = rng.choice(("blob", "board", "line"), p=(0.45, 0.35, 0.2))
    angle = turn + rng.choice((0, np.pi / 2)) if rng.random() < 0.5 else rng.uniform(0, np.pi)
    if kind == "blob":
        n = int(rng.integers(5, 24))
        around = np.arange(n) / n * 2 * np.pi
        reach = half * np.clip(1 + rng.normal(0, 0.25, n), 0.3, 2)
        points = (
            np.stack([np.cos(around), np.sin(around) * rng.uniform(0.4, 1)], 1) * reach[:, None]
        )
    else:
        long, wide = (half, half * rng.uniform(0.2, 1)) if kind == "board" else (5 * half, half / 5)
        points = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (long, max(1.0, wide))
    c, s = np.cos(angle), np.sin(angle)
    return points @ np.array([(c, s), (-s, c)])


def _cloth(rng: np.random.Generator, side: int) -> np.ndarray:
    """(side, side, 1 or 3) float32 of mean 0 and spread 1: a texture."""
    kind = rng.choice(("grains", "grating", "bricks"), p=(0.6, 0.2, 0.2))
    if kind == "grains":
        made = _grains(rng, side)
    else:
        y, x = np.mgrid[:side, :side].astype(np.float32)
        angle, step = rng.uniform(0, np.pi), float(np.exp(rng.uniform(np.log(6), np.log(80))))
        u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        if kind == "grating":
            made = np.sin(2 * np.pi * u / step)[..., None]
            made = np.tanh(made * rng.uniform(0.5, 6))
        else:  # every second row is shifted by half a brick, or none is
            row = np.floor(u / step)
            along = v / step / rng.uniform(0.8, 3) + row / 2 * (rng.random() < 0.7)
            joint = rng.uniform(0.06, 0.3)
            is_joint = (u / step % 1 < joint) | (along % 1 < joint / 2)
            made = np.where(is_joint, -1.0, rng.uniform(0, 1, (64, 64))[
                row.astype(int) % 64, np.floor(along).astype(int) % 64])[..., None]  # fmt: skip
        made = made + rng.uniform(0, 0.5) * _grains(rng, side)
    return ((made - made.mean()) / (made.std() + 1e-6)).astype(np.float32)


def _grains(rng: np.random.Generator, side: int) -> np.ndarray:
    """Noise whose amplitude falls with a power of the frequency, mostly the same in all colours."""
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij"))
    f[0, 0] = 1 / side
    white = np.fft.rfft2(rng.normal(0, 1, (side, side)))
    made = np.fft.irfft2(white * f ** -rng.uniform(0.4, 1.8), (side, side))
    made = made / made.std()
    return made[..., None] * (1 + rng.normal(0, 0.15, 3))
