"""Large painted surfaces: houses, posters, crates, paving.

Matchers live on corners, blobs and edges at many scales, so every surface has several: bricks
inside walls, panes inside windows, small print under headlines, and grain over all of it. Each
function draws one surface, RGB uint8 (H, W, 3), and takes its random numbers from `rng`.
"""

from __future__ import annotations

import numpy as np

CREAM, CLAY, TEAL, HONEY = (240, 229, 207), (190, 98, 74), (54, 116, 122), (232, 176, 72)
INK, SAGE, BLUSH, PAPER = (38, 48, 64), (148, 168, 138), (232, 184, 164), (250, 246, 236)


def _plain(width: int, height: int, colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def _grain(texture: np.ndarray, rng: np.random.Generator, amount: float) -> np.ndarray:
    """Stains and specks of every size: noise summed over octaves, `amount` in grey values."""
    import cv2

    height, width = texture.shape[:2]
    total = np.zeros((height, width), np.float32)
    for cell, share in ((2, 0.9), (5, 0.8), (14, 0.8), (45, 0.7), (140, 0.7)):
        coarse = rng.standard_normal((height // cell + 2, width // cell + 2)).astype(np.float32)
        total += share * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return (np.clip(texture + amount * total[..., None], 0, 255) + 0.5).astype(np.uint8)


def _text(
    texture: np.ndarray, words: str, x: float, y: float, size: float,
    colour: tuple[int, int, int], weight: int = 700, width: float = 0,
) -> None:  # fmt: skip
    """Words from (x, y), the left end of the base line; made smaller to fit `width` px."""
    import cv2

    font, size = cv2.FontFace("sans"), max(8, int(size))
    box = cv2.getTextSize((0, 0), words, (0, 0), font, size, weight=weight)  # type: ignore[call-overload]
    if width and box[2] > width:
        size = max(8, int(size * width / box[2]))
    cv2.putText(texture, words, (int(x), int(y)), colour, font, size, weight=weight)  # type: ignore[call-overload]


def _fill(texture: np.ndarray, x: float, y: float, width: float, height: float,
          colour: tuple[int, ...]) -> None:  # fmt: skip
    texture[max(0, int(y)) : int(y + height), max(0, int(x)) : int(x + width)] = colour


def _paste(texture: np.ndarray, part: np.ndarray, x: int, y: int) -> None:
    """Glues a part on, with a soft shadow under it."""
    import cv2

    h, w = part.shape[:2]
    y0, y1, x0, x1 = max(0, y - 6), y + h + 16, max(0, x - 6), x + w + 16
    shadow = np.zeros(texture[y0:y1, x0:x1].shape[:2], np.float32)
    shadow[y - y0 + 5 : y - y0 + h + 5, x - x0 + 4 : x - x0 + w + 4] = 0.4
    shadow = cv2.GaussianBlur(shadow, (0, 0), 3.5)[..., None]
    texture[y0:y1, x0:x1] = texture[y0:y1, x0:x1] * (1 - shadow)
    texture[y : y + h, x : x + w] = part


def _poster(rng: np.random.Generator, width: int, height: int, kind: int) -> np.ndarray:
    """A printed poster: a picture of simple shapes, a headline, small print."""
    import cv2

    grounds = [PAPER, HONEY, TEAL, BLUSH, INK, SAGE]
    ground = grounds[kind % 6]
    light = sum(ground) > 380
    ink, pale = (INK, CLAY) if light else (PAPER, HONEY)
    art = _plain(width, height, ground)
    w, h, m = width, height, width // 14
    colours = [c for c in (CLAY, TEAL, HONEY, INK, PAPER, SAGE, BLUSH) if c != ground]
    rng.shuffle(colours)
    top = int(0.62 * h)
    if kind % 6 == 0:  # overlapping discs
        for _ in range(9):
            at = int(rng.uniform(0.15, 0.85) * w), int(rng.uniform(0.12, 0.5) * h)
            radius = int(rng.uniform(0.06, 0.2) * w)
            cv2.circle(art, at, radius, colours[rng.integers(5)], -1, cv2.LINE_AA)
            cv2.circle(art, at, radius // 2, colours[rng.integers(5)], 3, cv2.LINE_AA)
    elif kind % 6 == 1:  # sun over hills
        cv2.circle(art, (int(0.66 * w), int(0.22 * h)), int(0.16 * w), CLAY, -1, cv2.LINE_AA)
        for i, colour in enumerate((SAGE, TEAL, INK)):
            x = np.linspace(0, w, 12)
            y = (0.36 + 0.09 * i) * h + rng.uniform(-0.08, 0.08, 12) * h
            hill = np.vstack([np.column_stack([x, y]), [(w, top), (0, top)]]).astype(np.int32)
            cv2.fillPoly(art, [hill], colour, cv2.LINE_AA)
    elif kind % 6 == 2:  # tiles of quarter circles and triangles
        n, cell = 5, w // 5
        for i in range(n * (top // cell)):
            x, y = (i % n) * cell, (i // n) * cell
            _fill(art, x, y, cell, cell, colours[rng.integers(6)])
            a, b = [(x, y), (x + cell, y), (x + cell, y + cell), (x, y + cell)], rng.integers(4)
            three = np.array([a[(b + j) % 4] for j in range(3)], np.int32)
            cv2.fillPoly(art, [three], colours[rng.integers(6)], cv2.LINE_AA)
    elif kind % 6 == 3:  # a skyline
        for x in range(0, w, w // 9):
            tall = int(rng.uniform(0.12, 0.48) * h)
            _fill(art, x, top - tall, w // 9, tall, colours[rng.integers(4)])
            for wy in range(top - tall + 8, top - 8, 16):
                for wx in (x + 6, x + w // 18 + 3):
                    _fill(art, wx, wy, w // 30, 8, PAPER if rng.random() < 0.6 else INK)
    elif kind % 6 == 4:  # a record, ring by ring
        for i, r in enumerate(np.linspace(0.4, 0.04, 9)):
            start = rng.uniform(0, 360)
            at = w // 2, top // 2
            cv2.ellipse(art, at, (int(r * w), int(r * w)), start, 0, rng.uniform(120, 330),
                        colours[i % 5], int(0.028 * w), cv2.LINE_AA)  # fmt: skip
    else:  # leaning bars
        for i in range(11):
            x, lean, high = i * w / 10, rng.uniform(-0.12, 0.12) * w, rng.uniform(0.1, 0.5) * h
            bar = [
                (x, top),
                (x + w / 14, top),
                (x + w / 14 + lean, top - high),
                (x + lean, top - high),
            ]
            cv2.fillPoly(art, [np.array(bar, np.int32)], colours[i % 6], cv2.LINE_AA)
    _fill(art, 0, top, w, h - top, ground)
    heads = ["SEHEN", "LANDSCAPE", "TESSELA", "METROPOLIS", "RECORDS", "RHYTHM"]
    _text(art, heads[kind % 6], m, top + 0.15 * h, 0.14 * h, ink, 800, w - 2 * m)
    place = ["Museum of Optics", "Summer by rail", "Tiles, 12 rooms", "Night walks", "Open until 2",
             "Modern dance"][kind % 6]  # fmt: skip
    _text(art, place, m, top + 0.235 * h, 0.055 * h, pale, 600, w - 2 * m)
    for i in range(2):
        day, month = int(rng.integers(1, 29)), ["MAY", "JUNE", "SEPT", "OCT"][rng.integers(4)]
        line = f"{day} {month} · hall {rng.integers(2, 9)} · {rng.integers(10, 22)}.30"
        _text(art, line, m, top + (0.29 + 0.045 * i) * h, 0.036 * h, ink, 500, w - 2 * m)
    cv2.rectangle(art, (0, 0), (w - 1, h - 1), PAPER if light else BLUSH, max(2, w // 60))
    return _grain(art, rng, 2.5)


def _bricks(rng: np.random.Generator, width: int, height: int, colour: tuple[int, ...],
            brick: tuple[int, int] = (30, 11)) -> np.ndarray:  # fmt: skip
    """Courses of bricks, every other one moved by half a brick; each fired a little differently."""
    y, x = np.arange(height)[:, None], np.arange(width)
    row = y // brick[1]
    x = x + (row % 2) * (brick[0] // 2)
    column = x // brick[0]
    shape = row.max() + 1, column.max() + 1
    tone = rng.normal(0, 13, (*shape, 1)) + rng.normal(0, 4, (*shape, 3))
    wall = np.clip(np.asarray(colour) + tone, 0, 255).astype(np.uint8)[row, column]
    mortar = (y % brick[1] < 2) | (x % brick[0] < 2)
    wall[mortar] = np.asarray(colour) * 0.45 + np.asarray(CREAM) * 0.5
    return _grain(wall, rng, 3.0)


def _window(texture: np.ndarray, rng: np.random.Generator, x: int, y: int, w: int, h: int,
            shutter: tuple[int, int, int] | None) -> None:  # fmt: skip
    """A window with lintel and sill, panes that mirror the sky, curtains, perhaps shutters."""
    import cv2

    _fill(texture, x - 7, y - 9, w + 14, h + 16, tuple(int(0.93 * c) for c in PAPER))
    _fill(texture, x - 11, y + h + 4, w + 22, 7, (206, 196, 178))
    _fill(texture, x - 9, y + h + 11, w + 18, 5, (150, 138, 122))
    glass = np.linspace(0, 1, h)[:, None, None] * np.array([50, 42, 30]) + np.array([58, 78, 98])
    texture[y : y + h, x : x + w] = glass.astype(np.uint8)
    shine = np.array([(x, y + rng.uniform(0.4, 0.9) * h), (x, y + 0.2 * h),
                      (x + rng.uniform(0.5, 1) * w, y), (x + w, y)], np.int32)  # fmt: skip
    cv2.fillPoly(texture, [shine], (150, 176, 190), cv2.LINE_AA)
    if rng.random() < 0.6:
        drape = int(rng.uniform(0.2, 0.45) * w)
        for side in (x, x + w - drape):
            for i in range(0, drape, 4):
                tone = 226 + 10 * ((i // 4) % 2)
                _fill(texture, side + i, y, 4, h * rng.uniform(0.7, 1), (tone, tone - 8, tone - 26))
    for i in (0, w // 2 - 2, w - 4):
        _fill(texture, x + i, y, 4, h, PAPER)
    for i in (0, h // 3, h - 4):
        _fill(texture, x, y + i, w, 4, PAPER)
    if shutter:
        for sx in (x - w // 2 - 9, x + w + 9):
            _fill(texture, sx, y - 2, w // 2, h + 6, shutter)
            for sy in range(y + 4, y + h - 2, 7):
                _fill(texture, sx + 4, sy, w // 2 - 8, 3, tuple(int(0.72 * c) for c in shutter))
    elif rng.random() < 0.55:
        for _ in range(26):  # flowers on the sill
            at = int(rng.uniform(x, x + w)), int(y + h + rng.uniform(-12, 4))
            colour = [CLAY, SAGE, (96, 128, 84), BLUSH][rng.integers(4)]
            cv2.circle(texture, at, int(rng.integers(2, 6)), colour, -1, cv2.LINE_AA)


def _shop(texture: np.ndarray, rng: np.random.Generator, x: int, y: int, w: int, h: int,
          name: str, colour: tuple[int, int, int]) -> None:  # fmt: skip
    """A shop front: sign, striped awning, display window with small posters, door."""
    _fill(texture, x, y, w, h, colour)
    _text(texture, name, x + 14, y + 0.155 * h, 0.13 * h, PAPER, 800, w - 28)
    _fill(texture, x + 8, y + int(0.36 * h), w - 16, int(0.58 * h), (66, 82, 92))
    size = int(0.15 * w), int(0.30 * h)
    for i in range(4):
        part = _poster(rng, *size, int(rng.integers(6)))
        px = x + 18 + i * (size[0] + 10)
        texture[y + int(0.46 * h) : y + int(0.46 * h) + size[1], px : px + size[0]] = part
        _text(texture, f"{rng.integers(2, 99)}.-", px, y + 0.85 * h, 0.05 * h, HONEY, 600)
    door = x + int(0.74 * w)
    _fill(texture, door, y + 0.36 * h, 0.2 * w, 0.64 * h, tuple(int(0.7 * c) for c in colour))
    _fill(texture, door + 0.03 * w, y + 0.41 * h, 0.14 * w, 0.3 * h, (146, 170, 178))
    stripe = max(8, w // 18)
    for i in range(0, w, stripe):
        tone = PAPER if (i // stripe) % 2 else CLAY
        _fill(texture, x + i, y + 0.21 * h, min(stripe, w - i), 0.17 * h, tone)
    _fill(texture, x, y + 0.37 * h, w, 4, (120, 84, 70))


def plaster_house(rng: np.random.Generator) -> np.ndarray:
    """16 × 5.7 m at 100 texels a metre."""
    wall = _grain(_plain(1600, 570, CREAM), rng, 4.5)
    _fill(wall, 0, 0, 1600, 20, PAPER)
    for x in range(0, 1600, 22):
        _fill(wall, x, 20, 12, 12, (198, 184, 160))
    _fill(wall, 0, 292, 1600, 10, (212, 196, 170))
    for i, x in enumerate(range(70, 1560, 150)):
        _window(wall, rng, x, 70, 54, 84, TEAL if i % 3 else CLAY)
        _window(wall, rng, x, 196, 54, 76, None)
    for x, name, colour in (
        (30, "BOOKS & MAPS", TEAL), (370, "CAFE OPTIK", INK), (710, "PHOTO HALLE", (150, 84, 66)),
        (1050, "RADIO WELLE", TEAL), (1390, "TEA", INK),
    ):  # fmt: skip
        _shop(wall, rng, x, 312, 310 if x < 1390 else 210, 258, name, colour)
    return wall


def brick_house(rng: np.random.Generator) -> np.ndarray:
    """12 × 6.4 m, its left end near the camera."""
    wall = _bricks(rng, 1200, 640, (186, 108, 86))
    _fill(wall, 0, 0, 1200, 24, (222, 206, 182))
    for y in (80, 270):
        for x in range(60, 1160, 160):
            _window(wall, rng, x, y, 66, 112, None)
    for i, x in enumerate(range(40, 1100, 190)):
        _paste(wall, _poster(rng, 130, 180, i + 1), x, 430)
    return wall


def ground(rng: np.random.Generator) -> np.ndarray:
    """24 × 17 m of paving, 60 texels a metre, far edge first, with a crossing."""
    import cv2

    paving = _bricks(rng, 1440, 1020, (190, 182, 170), (44, 26)).astype(np.float32)
    paving = 0.35 * paving + 0.65 * np.array((196, 188, 176), np.float32)
    paving = _grain(np.clip(paving, 0, 255).astype(np.uint8), rng, 5)
    for x in range(300, 1000, 66):
        cv2.fillPoly(paving, [np.array([(x, 690), (x + 34, 690), (x + 60, 860), (x + 26, 860)])],
                     (238, 232, 220), cv2.LINE_AA)  # fmt: skip
    return paving


def crate(rng: np.random.Generator, words: str) -> np.ndarray:
    import cv2

    side = _plain(260, 260, (196, 154, 106))
    for y in range(0, 260, 52):
        tone = rng.uniform(0.86, 1.08)
        side[y : y + 52] = np.clip(np.array((196, 154, 106)) * tone, 0, 255)
        for _ in range(5):  # wood grain
            at = int(y + rng.uniform(6, 46))
            bend = at + int(rng.uniform(-4, 4))
            cv2.line(side, (0, at), (260, bend), (160, 118, 76), 1, cv2.LINE_AA)
        _fill(side, 0, y, 260, 3, (104, 74, 50))
    for x in (0, 232):
        _fill(side, x, 0, 28, 260, (176, 132, 88))
        _fill(side, 25 if x == 0 else 232, 0, 3, 260, (104, 74, 50))
        for y in range(14, 260, 26):
            cv2.circle(side, (x + 14, y), 4, (78, 62, 54), -1, cv2.LINE_AA)
    _text(side, words, 40, 130, 52, (64, 46, 42), 800, 180)
    _text(side, f"{rng.integers(10, 99)} kg · lot {rng.integers(100, 999)}", 42, 176, 22,
          (96, 52, 44), 600, 176)  # fmt: skip
    cv2.circle(side, (64, 216), 18, CLAY, 4, cv2.LINE_AA)
    cv2.line(side, (48, 232), (80, 200), CLAY, 4, cv2.LINE_AA)
    return _grain(side, rng, 3)


def kiosk(rng: np.random.Generator) -> np.ndarray:
    """The front of a newsstand: sign, awning, rows of magazines."""
    front = _plain(460, 500, (44, 92, 98))
    _text(front, "KIOSK", 24, 62, 62, HONEY, 900, 250)
    _text(front, "news · maps", 290, 58, 26, PAPER, 500, 150)
    for i in range(0, 460, 46):
        _fill(front, i, 84, 46, 46, PAPER if (i // 46) % 2 else CLAY)
    for row in range(3):
        _fill(front, 16, 146 + 116 * row, 428, 108, (30, 62, 68))
        for column in range(5):
            part = _poster(rng, 74, 98, int(rng.integers(6)))
            front[150 + 116 * row : 248 + 116 * row, 24 + 84 * column : 98 + 84 * column] = part
    return _grain(front, rng, 2)


def column(rng: np.random.Generator, *kinds: str) -> np.ndarray:
    side = _grain(_plain(220, 590, (206, 190, 160)), rng, 5)
    _fill(side, 0, 0, 220, 34, (70, 88, 84))
    for i, kind in enumerate(kinds):
        _paste(side, _poster(rng, 184, 250, int(kind)), 18, 48 + 266 * i)
    return side


def poster_wall(rng: np.random.Generator) -> np.ndarray:
    """8 × 5 m of plaster with eight posters."""
    wall = _grain(_plain(1600, 1000, (222, 208, 184)), rng, 7)
    first = int(rng.integers(6))
    for i in range(8):
        x = 60 + 385 * (i % 4) + int(rng.integers(-8, 8))
        y = 40 + 480 * (i // 4) + int(rng.integers(-8, 8))
        _paste(wall, _poster(rng, 330, 440, first + i + i // 4), x, y)
    return wall


def poster(rng: np.random.Generator, kind: str = "0") -> np.ndarray:
    """One poster, 3 : 4, of six kinds."""
    return _poster(rng, 384, 512, int(kind))


def window_wall(rng: np.random.Generator) -> np.ndarray:
    """12 × 8.4 m of brick with one window copied forty times; only the base and its sign differ."""
    tile = _bricks(rng, 220, 252, (196, 150, 124), (22, 9))
    _window(tile, rng, 74, 60, 72, 120, None)
    base = _grain(_plain(2200, 500, (214, 200, 176)), rng, 5)
    _text(base, "HOTEL PARALLAX", 700, 122, 84, INK, 800, 800)
    return _grain(np.vstack([np.tile(tile, (4, 10, 1)), base]), rng, 1.5)


KINDS = {
    made.__name__: made
    for made in (
        brick_house, plaster_house, ground, crate, kiosk, column, poster, poster_wall, window_wall,
    )
}  # fmt: skip
