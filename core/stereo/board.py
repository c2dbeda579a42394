"""The chessboard of a calibration: its size, and its inner corners in a pair of pictures.

Where four squares meet, the picture's brightness has a saddle, and its place is known to a few
hundredths of a pixel: no other mark is so easy to print and so exactly found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core import draw, images
from core.types import METRES, Settings, setting

Picture = np.ndarray
SEARCH_PX = 1200  # larger pictures are searched at this size, and refined in full


@dataclass(frozen=True)
class Board(Settings):
    """A chessboard, counted by its inner corners, where four squares meet."""

    columns: int = setting(
        9, "Corners across", "Inner corners in a row: one less than the squares.",
        minimum=3, maximum=40, step=1,
    )  # fmt: skip
    rows: int = setting(
        6, "Corners down", "Inner corners in a column: one less than the squares.",
        minimum=3, maximum=40, step=1,
    )  # fmt: skip
    square: float = setting(
        25.0, "Square", "Side of one square, in the unit beside it.",
        minimum=1e-6, maximum=1e6, step=0.1,
    )  # fmt: skip
    unit: str = setting(
        "mm", "Unit", "Of the square, and so of the baseline.", choices={u: u for u in METRES}
    )


@dataclass(frozen=True)
class Corners:
    """left, right (columns·rows, 2) float64 px, row by row in the board's order, the same in both;
    None where the board wasn't found."""

    left: np.ndarray | None
    right: np.ndarray | None


def detect(pair: tuple[Picture, Picture], board: Board = Board()) -> Corners:
    """The board's inner corners in both pictures (RGB uint8), to a fraction of a pixel."""
    left, right = (find(picture, board) for picture in pair)
    if left is not None and right is not None:
        right = _same_order(left, right, board)
    return Corners(left, right)


def find(picture: Picture, board: Board) -> np.ndarray | None:
    """(columns·rows, 2) float64 px: the inner corners in one picture, None without a whole board."""
    import cv2

    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    small, factors = images.fit(grey, SEARCH_PX)
    grid = board.columns, board.rows
    if min(small.shape) < 4 * max(min(grid), 4):
        return None
    # the old detector is quick, and with `cornerSubPix` the more exact; the new one sees boards
    # that the old one misses
    flags = cv2.CALIB_CB_ADAPTIVE_THRESH | cv2.CALIB_CB_NORMALIZE_IMAGE
    found, at = cv2.findChessboardCorners(small, grid, flags=flags)
    if not found:
        found, at = cv2.findChessboardCornersSB(small, grid, flags=cv2.CALIB_CB_NORMALIZE_IMAGE)
    if not found:
        return None
    xy = (at.reshape(-1, 2).astype(np.float64) + 0.5) / factors - 0.5
    lattice = xy.reshape(board.rows, board.columns, 2)
    steps = [np.linalg.norm(np.diff(lattice, axis=a), axis=-1).min() for a in (0, 1)]
    reach = int(np.clip(min(steps) / 3, 2, 15))  # the window must not reach the next corner
    precise = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-4)
    start = np.ascontiguousarray(xy[:, None], np.float32)
    refined = cv2.cornerSubPix(grey, start, (reach, reach), (-1, -1), precise)
    return refined[:, 0].astype(np.float64) + 0.5  # OpenCV's first pixel centre is 0


def _same_order(left: np.ndarray, right: np.ndarray, board: Board) -> np.ndarray:
    """right, numbered from the same end of the board as left.

    A board looks the same from both ends (a square one from four sides), and the detector may
    begin at either. The two cameras see it in nearly the same way, so the order fits that leaves
    the corners' pattern as it is in the left picture.
    """
    grid = right.reshape(board.rows, board.columns, 2)
    turns = (0, 1, 2, 3) if board.rows == board.columns else (0, 2)
    orders = [np.rot90(grid, turn).reshape(-1, 2) for turn in turns]
    pattern = left - left.mean(0)
    return max(orders, key=lambda order: float(((order - order.mean(0)) * pattern).sum()))


def drawn(pair: tuple[Picture, Picture], corners: Corners, board: Board) -> np.ndarray:
    """Both pictures side by side, reduced to 800 px each, with the corners that were found."""
    import cv2

    views = []
    for picture, xy in zip(pair, (corners.left, corners.right), strict=True):
        small, factors = images.fit(picture, 800)
        small = small.copy()
        if xy is not None:
            at = np.ascontiguousarray((xy * factors - 0.5)[:, None], np.float32)
            cv2.drawChessboardCorners(small, (board.columns, board.rows), at, True)
        views.append(small)
    return draw.side_by_side(*views)
