"""How the whole picture shifts from frame to frame: what a camera's motion looks like.

Corners are followed with Lucas-Kanade optical flow, forwards and back again; an affine map is
fitted to most of them by RANSAC, and what doesn't follow it moves on its own. Corners are taken
from all over the picture in equal number, so that a small thing with many of them doesn't outvote
the background. A frame is compared with the shot's first one as long as enough of that is in sight:
then errors don't add up, and a still camera stays still however much moves before it.

Sources: Lucas and Kanade, 1981; Bouguet, 2000 (pyramids); Fischler and Bolles, 1981 (RANSAC).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

GRID, PER_CELL = (6, 8), 5  # cells over the shorter and the longer side, and corners in each
ENOUGH, SHARE = 12, 0.25  # corners that must follow the map: how many, and which share
TEXTURE = 0.01  # of the strongest corner: weaker ones are grain
STRONG = 20.0  # grey values: a large difference
UNCHANGED_PX = 0.35  # a shift that could as well be none
RECOLOURED, CONTRAST, ALIKE = 0.25, 3.0, 0.6  # when two frames are two pictures, see `_cuts`


@dataclass(frozen=True)
class Track:
    """What `track` finds between each frame and the next.

    cuts (N-1,) bool: a new shot begins with the next frame. steps (N-1, 2, 3) float64: the affine
    map from a frame's pixels to the next one's; NaN at cuts and where none was found.
    """

    cuts: np.ndarray
    steps: np.ndarray


def track(images: np.ndarray) -> Track:
    """Cuts and shifts of frames (N, H, W, 3) uint8 RGB, in order."""
    import cv2

    seen = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images]
    grey = _even(seen)
    steps = np.full((len(grey) - 1, 2, 3), np.nan)
    place = np.eye(2, 3)  # from the anchor's pixels to the last frame's
    anchor = 0
    for i in range(1, len(grey)):
        found = _fit(grey[anchor], grey[i], place)
        if found is None and anchor != i - 1:
            anchor, place = i - 1, np.eye(2, 3)
            found = _fit(grey[anchor], grey[i], place)
        if _rests(grey[anchor], grey[i], found, place):
            found = place
        if found is None:
            anchor, place = i, np.eye(2, 3)
        else:
            steps[i - 1] = after(found, inverse(place))
            place = found
    cuts = _cuts(images, seen, steps)
    steps[cuts] = np.nan
    return Track(cuts, steps)


def after(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The affine map (2, 3) that does `first` and then `second`."""
    return np.hstack([second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2:] + second[:, 2:]])


def inverse(map_: np.ndarray) -> np.ndarray:
    """The affine map (2, 3) back."""
    back = np.linalg.inv(map_[:, :2])
    return np.hstack([back, -back @ map_[:, 2:]])


def warped(image: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A frame moved onto the next one, and where it has pixels, (H, W) bool."""
    import cv2

    h, w = image.shape[:2]
    inside = cv2.warpAffine(np.ones((h, w), np.uint8), step, (w, h), flags=cv2.INTER_NEAREST)
    return cv2.warpAffine(image, step, (w, h)), inside > 0


def _even(grey: list[np.ndarray]) -> list[np.ndarray]:
    """The frames made as bright as the first one, up to four times: corners can't be followed
    through a fade. The median pixel says how much, so that things that come and go don't."""
    even, gain = grey[:1], 1.0
    for before, now in pairwise(grey):
        lit = (before > 16) & (now > 4)
        if lit.mean() > 0.25:
            ratios = before[lit].astype(np.float32) / now[lit]
            gain = float(np.clip(gain * np.median(ratios), 0.25, 4.0))
        even.append(np.clip(now * gain + 0.5, 0, 255).astype(np.uint8) if gain != 1 else now)
    return even


def _corners(grey: np.ndarray) -> np.ndarray:
    """Corners (M, 2) float32, x and y, pixel centres at whole numbers as OpenCV has them."""
    import cv2

    h, w = grey.shape
    strength = cv2.cornerMinEigenVal(grey, 3)
    strong = (strength > TEXTURE * strength.max()).astype(np.uint8)
    rows, columns = GRID if w >= h else GRID[::-1]
    found = [np.zeros((0, 2), np.float32)]
    for top, bottom in zip(*_spans(h, rows), strict=True):
        for left, right in zip(*_spans(w, columns), strict=True):
            cell = grey[top:bottom, left:right]
            if min(cell.shape) > 2:
                where = strong[top:bottom, left:right]
                corners = cv2.goodFeaturesToTrack(cell, PER_CELL, 0.05, 3, mask=where)
                if corners is not None:
                    found.append(corners.reshape(-1, 2) + np.array([left, top], np.float32))
    return np.concatenate(found)


def _spans(length: int, parts: int) -> tuple[list[int], list[int]]:
    edges = [i * length // parts for i in range(parts + 1)]
    return edges[:-1], edges[1:]


def _fit(before: np.ndarray, now: np.ndarray, guess: np.ndarray) -> np.ndarray | None:
    """The affine map (2, 3) that most corners follow, or None if they follow none."""
    import cv2

    h, w = before.shape
    start = _corners(before)
    aim = (start @ guess[:, :2].T + guess[:, 2]).astype(np.float32)
    inside = ((aim >= 0) & (aim < (w, h))).all(1)
    start, aim = start[inside], aim[inside]
    if len(start) < ENOUGH:
        return None
    levels = 3 if min(h, w) > 100 else 2
    flow = {"winSize": (15, 15), "maxLevel": levels, "flags": cv2.OPTFLOW_USE_INITIAL_FLOW}
    end, there, _ = cv2.calcOpticalFlowPyrLK(before, now, start, aim, **flow)
    back, again, _ = cv2.calcOpticalFlowPyrLK(now, before, end, start.copy(), **flow)
    apart = np.linalg.norm(back - start, axis=1)
    ok = (there[:, 0] > 0) & (again[:, 0] > 0) & (apart < 0.5)
    if ok.sum() < ENOUGH:
        return None
    near_px = max(0.5, w / 320)
    map_, follows = cv2.estimateAffine2D(
        start[ok], end[ok], method=cv2.RANSAC, ransacReprojThreshold=near_px, confidence=0.995
    )
    if map_ is None or follows.sum() < max(ENOUGH, SHARE * len(start)):
        return None
    return map_ if abs(np.linalg.det(map_[:, :2]) - 1) < 0.5 else None


def _rests(
    anchor: np.ndarray, now: np.ndarray, found: np.ndarray | None, place: np.ndarray
) -> bool:
    """Whether the anchor fits a frame better where it was (`place`) than where it was `found`.

    Compared where there is something to see: on edges, strong ones not much more than weak ones.
    Corners alone would follow a large thing that moves over a plain ground. If nothing was found,
    it rests if a third of a pixel would have changed more.
    """
    resting, slope = _misfit(anchor, now, place)
    return resting < (UNCHANGED_PX * slope if found is None else _misfit(anchor, now, found)[0])


def _misfit(before: np.ndarray, now: np.ndarray, step: np.ndarray) -> tuple[float, float]:
    """Mean difference in grey values, and the mean slope there, in grey values a pixel.

    What differs by much (it may be covered) counts no more than STRONG.
    """
    import cv2

    a, b = (cv2.GaussianBlur(i.astype(np.float32), (0, 0), 0.8) for i in (before, now))
    x, y = (cv2.Sobel(a, cv2.CV_32F, *way, ksize=3, scale=1 / 8) for way in ((1, 0), (0, 1)))
    slope = np.minimum(np.hypot(x, y), STRONG)
    moved, inside = warped(a, step)
    weight = warped(slope, step)[0] * inside
    differs = np.minimum(np.abs(moved - b), STRONG)
    total = max(float(weight.sum()), 1e-6)
    return float((differs * weight).sum() / total), float((weight * weight).sum() / total)


def _cuts(images: np.ndarray, grey: list[np.ndarray], steps: np.ndarray) -> np.ndarray:
    """Where the next frame is another picture, (N-1,) bool.

    Three things must hold: a quarter of the picture changes its colour, three times as much as
    around that moment (or a fade would be a row of cuts), and the two frames, one moved onto the
    other, don't correlate.
    """
    looks = [_histogram(image) for image in images]
    change = np.array([np.abs(a - b).sum() / 2 for a, b in pairwise(looks)])
    cuts = np.zeros(len(change), bool)
    for i in np.flatnonzero(change > RECOLOURED):
        around = np.delete(change[max(0, i - 3) : i + 4], min(i, 3))
        usual = np.median(around) if len(around) else 0.0
        if change[i] > CONTRAST * usual:
            cuts[i] = _correlation(grey[i], grey[i + 1], steps[i]) < ALIKE
    return cuts


def _histogram(image: np.ndarray) -> np.ndarray:
    """Shares of colours in Lab, 8 bins a channel, (8, 8, 8)."""
    import cv2

    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    counts = cv2.calcHist([lab], [0, 1, 2], None, [8, 8, 8], [0, 256] * 3)
    return counts / counts.sum()


def _correlation(before: np.ndarray, now: np.ndarray, step: np.ndarray) -> float:
    """Of two grey frames, a little blurred, the first moved onto the second if it is known how."""
    import cv2

    moved, inside = warped(before, step) if np.isfinite(step).all() else (before, now >= 0)
    blur = max(0.5, now.shape[1] / 100)
    a = cv2.GaussianBlur(moved, (0, 0), blur)[inside].astype(np.float64)
    b = cv2.GaussianBlur(now, (0, 0), blur)[inside].astype(np.float64)
    if inside.mean() < 0.3:
        return 0.0
    if a.std() < 1 or b.std() < 1:  # a blank one: the end of a fade, or a cut to black
        return 0.0 if abs(a.mean() - b.mean()) > STRONG else 1.0
    return float(np.corrcoef(a, b)[0, 1])
