"""Pictures for surfaces: posters, a map, an eye chart, a newspaper, or any words.

All are drawn here or in `painted`, so that no photo has to travel with the app; they get stretched
over whatever they hang on. Rich in corners and edges, they are what matching and stereo live on.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from core.scenes import painted
from core.scenes.toys import COLOURS

SIDE = 512  # pixels


@lru_cache(maxsize=32)
def picture(name: str) -> np.ndarray:
    """(H, W, 3) uint8 sRGB: the picture of PICTURES called `name`; `painted:KIND:SEED` one of
    painted.KINDS; `label:COLOUR:WORD` a word on a toy's colour; anything else is drawn as words."""
    if name.startswith("painted:"):
        _, kind, seed, *words = name.split(":")
        made = painted.KINDS[kind](np.random.default_rng(int(seed)), *words)
    elif name.startswith("label:"):
        _, colour, word = name.split(":")
        made = _label(COLOURS[colour], word)
    else:
        made = PICTURES[name]() if name in PICTURES else _words(name.removeprefix("text:"))
    made.flags.writeable = False
    return made


def _sheet(colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), colour, np.uint8)


def _write(
    sheet: np.ndarray, text: str, xy: tuple[float, float], height_px: float, colour, weight=0.12
) -> None:
    """Draws text centred on xy, its capitals height_px high."""
    import cv2

    thick = max(1, round(height_px * weight))
    scale = cv2.getFontScaleFromHeight(cv2.FONT_HERSHEY_DUPLEX, max(2, round(height_px)), thick)
    (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, scale, thick)
    corner = round(xy[0] - wide / 2), round(xy[1] + high / 2)
    cv2.putText(sheet, text, corner, cv2.FONT_HERSHEY_DUPLEX, scale, colour, thick, cv2.LINE_AA)


def _words(text: str) -> np.ndarray:
    """Words on cream paper with a frame, a line each."""
    import cv2

    sheet = _sheet((242, 236, 220))
    cv2.rectangle(sheet, (18, 18), (SIDE - 19, SIDE - 19), (40, 60, 90), 8)
    lines = text.split() or [""]
    room = (SIDE - 110) / len(lines)
    for row, word in enumerate(lines):
        high = min(room * 0.6, 420 / max(len(word), 2) * 1.05)
        _write(sheet, word, (SIDE / 2, 55 + room * (row + 0.5)), high, (30, 45, 80))
    return sheet


def _label(colour: tuple[int, int, int], word: str) -> np.ndarray:
    """A word in dark or light letters, whichever stand out, on a sheet of one colour."""
    import cv2

    ink = (28, 28, 34) if np.dot(colour, (0.3, 0.59, 0.11)) > 120 else (246, 240, 226)
    sheet = np.full((SIDE // 2, SIDE // 2, 3), colour, np.uint8)
    cv2.rectangle(sheet, (14, 14), (SIDE // 2 - 15, SIDE // 2 - 15), ink, 5, cv2.LINE_AA)
    _write(sheet, word, (SIDE / 4, SIDE / 4), min(120, 190 / len(word)), ink, 0.16)
    return sheet


def _sunset() -> np.ndarray:
    """A sun over the sea, in smooth gradients with a broken reflection."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    top, low, sea = np.array([38, 40, 92]), np.array([250, 150, 80]), np.array([20, 52, 92])
    sheet = top + (low - top) * np.clip(y / 0.62, 0, 1)[..., None] ** 1.6
    glow = np.exp(-((x - 0.6) ** 2 + (y - 0.5) ** 2) * 14)[..., None]
    sheet = sheet + glow * (90, 70, 30)
    sheet[(x - 0.6) ** 2 + (y - 0.5) ** 2 < 0.011] = (255, 236, 170)
    water = sea + (low - sea) * (0.55 * np.clip(1.62 - 1.62 * y, 0, 1) ** 2)[..., None]
    near = np.abs(x - 0.6 + 0.02 * np.sin(60 * y)) < 0.05 + 0.25 * (y - 0.6)
    ripple = near & (np.sin(70 * np.sqrt(np.abs(y - 0.6))) > 0.1)
    water[ripple] = (255, 205, 130)
    sheet = np.where((y > 0.6)[..., None], water, sheet)
    hill = y > 0.6 - 0.10 * np.exp(-((x - 0.13) ** 2) * 60) - 0.06 * np.exp(-((x - 0.33) ** 2) * 90)
    sheet[hill & (y <= 0.6)] = (30, 32, 58)
    return np.clip(sheet, 0, 255).astype(np.uint8)


def _circles() -> np.ndarray:
    """Overlapping rings and discs in a few flat colours."""
    import cv2

    rng = np.random.default_rng(11)
    palette = [(214, 69, 65), (38, 84, 124), (239, 188, 65), (60, 141, 124), (30, 30, 38)]
    sheet = _sheet((240, 232, 214))
    for k in range(26):
        centre = tuple(int(v) for v in rng.integers(20, SIDE - 20, 2))
        radius = int(rng.integers(16, 92) * (1 - k / 60))
        thick = -1 if k % 3 else int(rng.integers(6, 16))
        cv2.circle(sheet, centre, radius, palette[k % 5], thick, cv2.LINE_AA)
    return sheet


def _blocks() -> np.ndarray:
    """A canvas cut by black bars into white and primary rectangles."""
    sheet = _sheet((244, 242, 235))
    for x0, y0, x1, y1, colour in (
        (0, 0, 180, 190, (196, 40, 34)), (340, 300, 512, 512, (34, 72, 150)),
        (0, 380, 110, 512, (238, 198, 52)), (420, 0, 512, 90, (238, 198, 52)),
        (190, 400, 330, 512, (30, 30, 34)),
    ):  # fmt: skip
        sheet[y0:y1, x0:x1] = colour
    for at in (180, 332, 412):
        sheet[:, at : at + 12] = 22
    for at in (90, 186, 292, 374):
        sheet[at : at + 12, :] = 22
    return sheet


def _map() -> np.ndarray:
    """An island with height lines, a grid and names."""
    import cv2

    rng = np.random.default_rng(5)
    field = np.zeros((SIDE, SIDE), np.float32)
    for cells in (4, 8, 16, 32):
        part = rng.random((cells, cells)).astype(np.float32)
        field += cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) * 2 / cells
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE - 0.5
    field = field - field.mean() - 2.2 * (x**2 + y**2) + 0.22
    levels = np.clip(np.ceil(field * 14), 0, 8).astype(int)
    colours = np.array(
        [(156, 200, 222), (226, 222, 180), (204, 214, 156), (176, 200, 130), (206, 190, 130),
         (196, 164, 110), (176, 136, 94), (158, 118, 92), (244, 244, 244)], np.uint8,
    )  # fmt: skip
    sheet = colours[levels]
    line = np.zeros((SIDE, SIDE), bool)
    line[:, 1:] |= levels[:, 1:] != levels[:, :-1]
    line[1:] |= levels[1:] != levels[:-1]
    sheet[line] = (110, 92, 70)
    sheet[::64] = sheet[::64] // 2 + 90
    sheet[:, ::64] = sheet[:, ::64] // 2 + 90
    for text, xy in (("ALDER", (200, 150)), ("Mt ROWE", (290, 262)), ("PORT", (150, 360))):
        _write(sheet, text, xy, 20, (40, 34, 30))
    return sheet


def _chart() -> np.ndarray:
    """An eye chart: letters that shrink row by row."""
    sheet = _sheet((248, 248, 246))
    y = 62.0
    for row, letters in enumerate(("E", "F P", "T O Z", "L P E D", "P E C F D", "E D F C Z P")):
        high = 82 * 0.68**row
        _write(sheet, letters, (SIDE / 2, y), high, (16, 16, 18), 0.16)
        y += high * 0.9 + 34
    sheet[484:490, 60:-60] = (200, 40, 40)
    return sheet


def _newspaper() -> np.ndarray:
    """A headline over columns of tiny letters and a picture."""
    import cv2

    rng = np.random.default_rng(3)
    sheet = _sheet((236, 232, 222))
    _write(sheet, "THE DAILY RAY", (SIDE / 2, 48), 40, (24, 24, 26))
    cv2.line(sheet, (20, 84), (492, 84), (24, 24, 26), 3)
    _write(sheet, "BALL ROLLS BEHIND BOX", (SIDE / 2, 112), 22, (24, 24, 26))
    sheet[140:290, 186:492] = cv2.resize(_sunset(), (306, 306))[100:250]
    letters = "etaoinshrdlu etaoin "
    for column in range(3):
        left = 20 + 166 * column
        for y in range(152 if column == 0 else 310, 500, 14):
            text = "".join(rng.choice(list(letters), 17))
            cv2.putText(sheet, text, (left, y), 0, 0.36, (52, 52, 56), 1, cv2.LINE_AA)
    return sheet


PICTURES = {
    "sunset": _sunset, "circles": _circles, "blocks": _blocks, "map": _map, "chart": _chart,
    "newspaper": _newspaper,
}  # fmt: skip
