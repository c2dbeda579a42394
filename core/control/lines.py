"""Lines of a picture: five ways to leave everything else out.

All work on a picture (H, W, 3) uint8 and give white on black. They differ in what they call a line:
a jump in brightness that is sharp at one scale (Canny), that persists through all scales (soft,
and scribble, its ridges drawn with a broad pen), a place darker than what is around it (lineart),
or a long straight run of equal gradients (lines). Widths are for a picture whose longer side is
512 px and grow with it; Canny's are pixels, as its settings say.
"""

from __future__ import annotations

import numpy as np

SCALES = (1.0, 2.0, 4.0)  # σ in px of a picture of 512


def unit(shape: tuple[int, ...]) -> float:
    """Pixels of a picture of this shape per pixel of one whose longer side is 512."""
    return max(shape[:2]) / 512


def canny(image: np.ndarray, low: int, high: int, blur_px: float) -> np.ndarray:
    """(H, W) uint8, 0 or 255: OpenCV's Canny (1986) on the blurred grey picture. The larger of the
    two thresholds begins a line, the smaller one keeps it going."""
    import cv2

    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if blur_px > 0:
        grey = cv2.GaussianBlur(grey, (0, 0), blur_px)
    return cv2.Canny(grey, min(low, high), max(low, high))


def strength(image: np.ndarray, scales: tuple[float, ...] = SCALES) -> np.ndarray:
    """(H, W) float32: the geometric mean over `scales` of σ·|∇(G_σ ∗ I)|, I in [0, 1].

    Of the three colours the strongest counts. A step of height h gives h/√(2π) at every σ; the
    grain of a lawn has little left at the larger ones, and so drops out of the product.
    """
    import cv2

    colours, per = image.astype(np.float32) / 255, unit(image.shape)
    total = np.zeros(image.shape[:2], np.float32)
    for scale in scales:
        sigma = max(scale * per, 0.6)
        smooth = cv2.GaussianBlur(colours, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        across = cv2.Sobel(smooth, -1, 1, 0, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
        down = cv2.Sobel(smooth, -1, 0, 1, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
        total += np.log(sigma * np.hypot(across, down).max(2) + 1e-6)
    return np.exp(total / len(scales))


def soft(image: np.ndarray) -> np.ndarray:
    """(H, W) uint8: `strength` s as 255·min(1, s/q)^1.2, q its 98th percentile or that of a step
    of a tenth of the range, whichever is more."""
    found = strength(image)
    top = max(float(np.percentile(found, 98)), 0.1 / np.sqrt(2 * np.pi))
    return (255 * np.minimum(found / top, 1) ** 1.2 + 0.5).astype(np.uint8)


def scribble(image: np.ndarray) -> np.ndarray:
    """(H, W) uint8, 0 or 255: ridges of `strength` at middling scales, the short ones left out,
    drawn with a round pen 5 px wide at 512."""
    import cv2
    from skimage.filters import apply_hysteresis_threshold
    from skimage.morphology import thin

    per = unit(image.shape)
    found = strength(image, (1.5, 3.0))
    ridge = _ridges(cv2.GaussianBlur(found, (0, 0), max(per, 0.5)))
    top = max(float(np.percentile(found, 98)), 0.1 / np.sqrt(2 * np.pi))
    kept = apply_hysteresis_threshold(np.where(ridge, found, 0), 0.2 * top, 0.55 * top)
    return stroked(long(thin(kept), 30 * per), 5 * per)


def stroked(lines: np.ndarray, width_px: float) -> np.ndarray:
    """Lines (H, W) bool one pixel wide as strokes of a round pen, (H, W) uint8 0 or 255."""
    import cv2

    away = cv2.distanceTransform((~lines).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.where(lines | (lines.any() & (away <= (width_px - 1) / 2)), 255, 0).astype(np.uint8)


def lineart(image: np.ndarray) -> np.ndarray:
    """(H, W) uint8: lines where the picture is darker than around, as a pen would draw it.

    The difference of Gaussians D = G_kσ∗I − G_σ∗I, k = 1.6, through the ramp of XDoG (Winnemöller,
    Kyprianidis and Olsen 2012), 255·tanh(φ(D − ε)) above ε. XDoG's own sharpening term would fill
    dark areas; with both Gaussians at weight 1, an even area stays empty whatever its tone.
    """
    import cv2

    per = unit(image.shape)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    sigma = max(1.2 * per, 0.6)
    grey = cv2.bilateralFilter(grey, 0, 0.06, 2 * sigma)  # evens out grain, leaves steps alone
    narrow = cv2.GaussianBlur(grey, (0, 0), sigma)
    wide = cv2.GaussianBlur(grey, (0, 0), 1.6 * sigma)
    line = np.tanh(80 * np.maximum(wide - narrow - 0.006, 0))
    line[~long(line > 0.2, 18 * per)] = 0
    return (255 * line + 0.5).astype(np.uint8)


def segments(image: np.ndarray) -> np.ndarray:
    """(N, 4) float32: straight lines x0, y0, x1, y1 by LSD (von Gioi et al. 2010), at least 24 px
    long at 512 and 8 anywhere; pixel centres lie at half numbers."""
    import cv2

    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if min(grey.shape) < 3:  # LSD wants a neighbourhood
        return np.zeros((0, 4), np.float32)
    found = cv2.createLineSegmentDetector().detect(grey)[0]
    ends = np.zeros((0, 4), np.float32) if found is None else found.reshape(-1, 4)
    length = np.hypot(ends[:, 2] - ends[:, 0], ends[:, 3] - ends[:, 1])
    return ends[length >= max(24 * unit(image.shape), 8)] + np.float32(0.5)


def straight(image: np.ndarray) -> np.ndarray:
    """(H, W) uint8: `segments`, drawn."""
    import cv2

    drawn = np.zeros(image.shape[:2], np.uint8)
    width = max(1, int(unit(image.shape)))
    for x0, y0, x1, y1 in np.floor(segments(image)).astype(int).tolist():
        cv2.line(drawn, (x0, y0), (x1, y1), 255, width, cv2.LINE_8)
    return drawn


def _ridges(height: np.ndarray) -> np.ndarray:
    """(H, W) bool: where `height` falls off to both sides of the direction it bends most."""
    import cv2

    def second(dx: int, dy: int) -> np.ndarray:
        return cv2.Sobel(height, -1, dx, dy, ksize=5, borderType=cv2.BORDER_REPLICATE)

    xx, yy, xy = second(2, 0), second(0, 2), second(1, 1)
    angle = 0.5 * np.arctan2(2 * xy, xx - yy)  # of the larger eigenvalue; the ridge bends down
    octant = np.round((angle + np.pi / 2) / (np.pi / 4)).astype(int) % 4
    padded = np.pad(height, 1, mode="edge")
    rows, columns = height.shape
    found = np.zeros(height.shape, bool)
    for k, (dx, dy) in enumerate(((1, 0), (1, 1), (0, 1), (-1, 1))):
        ahead = padded[1 + dy : 1 + dy + rows, 1 + dx : 1 + dx + columns]
        behind = padded[1 - dy : 1 - dy + rows, 1 - dx : 1 - dx + columns]
        found |= (octant == k) & (height > ahead) & (height >= behind)
    return found


def long(lines: np.ndarray, least_px: float) -> np.ndarray:
    """(H, W) bool: the connected pieces whose bounding box has a diagonal of at least least_px."""
    import cv2

    _, labels, stats, _ = cv2.connectedComponentsWithStats(lines.astype(np.uint8), connectivity=8)
    kept = np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]) >= least_px
    kept[0] = False  # what isn't a line
    return np.asarray(kept)[np.asarray(labels, np.intp)]
