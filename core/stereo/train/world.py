"""Made-up stereo pairs whose truth is exact, fast enough to make while training.

A picture is a pile of sheets: a background, then planes, bars, blobs and bowls in front of it,
each with its own ground (textures) and its own smooth disparity d(x, y) over the left picture. The
left picture shows a sheet's point (x, y) at (x, y), the right one at (x − d, y), so the right
picture is painted by solving x − d(x, y) = x_right for x: no hole, no rounding, and a truth exact
to a fraction of a pixel. Which sheet wins in each picture gives what is hidden. Then the cameras
disagree as real ones do: exposure, colour, blur, noise, a row that is slightly off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from core.stereo.train.textures import SIDE

MAX_SLOPE = 0.45  # of d along x; below 1, so that every sheet is seen from its front
CUT_PX = 0.25  # a sheet that would lie behind what is under it shows there by at most this


@dataclass(frozen=True)
class Sample:
    """left, right (H, W, 3) uint8. Of the left picture: disparity (H, W) float32 px, NaN where
    unknown; visible (H, W) bool, True where the right picture shows the same point."""

    left: np.ndarray
    right: np.ndarray
    disparity: np.ndarray
    visible: np.ndarray


@dataclass(frozen=True)
class Relief:
    """d(x, y) px = offset + slopes·(x − x0, y − y0) + bumps, in pixels of the left picture."""

    offset: float
    slopes: tuple[float, float] = (0.0, 0.0)
    centre: tuple[float, float] = (0.0, 0.0)
    bumps: tuple[tuple[float, float, float, float], ...] = field(default=())  # x, y, sigma, height

    def at(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """d and its slope along x."""
        (a, b), (x0, y0) = self.slopes, self.centre
        d = self.offset + a * (x - x0) + b * (y - y0)
        slope = np.full_like(d, a)
        for bx, by, sigma, height in self.bumps:
            bell = height * np.exp(-((x - bx) ** 2 + (y - by) ** 2) / (2 * sigma**2))
            d += bell
            slope -= bell * (x - bx) / sigma**2
        return d, slope

    def left_of(self, x_right: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The x of the left picture that the right one shows at x_right (Newton's method)."""
        d, slope = self.at(x_right, y)
        x = x_right + d
        for _ in range(6 if self.bumps else 1):
            d, slope = self.at(x, y)
            x = x - (x - d - x_right) / (1 - slope)
        return x


@dataclass(frozen=True)
class Sheet:
    """A surface: where it is (mask (h, w) float32 in [0, 1] from (−margin, −margin) on), how deep,
    and what is painted on it: ground (SIDE, SIDE, 3), its place (2, 3), light (8, 8)."""

    relief: Relief
    mask: np.ndarray | None
    ground: np.ndarray
    place: np.ndarray
    light: np.ndarray

    def seen(self, x: np.ndarray, y: np.ndarray, margin: int) -> tuple[np.ndarray, np.ndarray]:
        """Colour (H, W, 3) and cover (H, W) float32 at points of the left picture."""
        import cv2

        u = (self.place[0, 0] * x + self.place[0, 1] * y + self.place[0, 2]).astype(np.float32)
        v = (self.place[1, 0] * x + self.place[1, 1] * y + self.place[1, 2]).astype(np.float32)
        colour = cv2.remap(self.ground, u, v, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        scale = np.float32(7 / (2 * SIDE))
        light = cv2.remap(
            self.light, u * scale + 1, v * scale + 1, cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101,
        )  # fmt: skip
        colour = colour * light[..., None]
        if self.mask is None:
            return colour, np.ones(x.shape, np.float32)
        at = (x + margin).astype(np.float32), (y + margin).astype(np.float32)
        return colour, cv2.remap(self.mask, *at, cv2.INTER_LINEAR, borderValue=0)


MARGIN = 8  # pixels of a mask beyond the picture, so that borders need no care


def pair(
    seed: int | Sequence[int],
    grounds: Sequence[np.ndarray],
    size: tuple[int, int] = (320, 224),
    max_disparity_px: float = 64.0,
    *,
    clean: bool = False,
) -> Sample:
    """A made-up pair of `size` (width, height); grounds are (SIDE, SIDE, 3) uint8 to choose from.

    clean leaves out what cameras do to it. The same seed and grounds give the same pair.
    """
    rng = np.random.default_rng(seed)
    few = rng.choice(len(grounds), min(len(grounds), int(rng.integers(2, 9))), replace=False)
    sheets = _pile(rng, [grounds[int(k)] for k in few], size, max_disparity_px)
    if rng.random() < 0.5:
        sheets = _alike(rng, sheets)
    row_off = 0.0 if clean or rng.random() < 0.5 else float(rng.uniform(-0.5, 0.5))
    left, right, disparity, visible = paint(sheets, size, row_off)
    if rng.random() < 0.7:  # the world is greyer than chance
        keep = float(rng.uniform(0, 0.7))
        left, right = (p.mean(2, keepdims=True) * (1 - keep) + p * keep for p in (left, right))
    if not clean:
        left, right = cameras(left, right, rng)
    return Sample(as_bytes(left), as_bytes(right), disparity, visible)


def paint(
    sheets: Sequence[Sheet], size: tuple[int, int], row_off: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Both pictures (H, W, 3) float32 in [0, 255], the left one's disparity, and what both see."""
    width, height = size
    x, y = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    left = right = np.zeros((height, width, 3), np.float32)
    disparity = np.zeros((height, width))
    on_left = on_right = np.zeros((height, width), np.int32)
    for k, sheet in enumerate(sheets):
        d, _ = sheet.relief.at(x, y)
        colour, cover = sheet.seen(x, y, MARGIN)
        left = left + (colour - left) * cover[..., None]
        wins = cover > 0.5
        disparity, on_left = np.where(wins, d, disparity), np.where(wins, k, on_left)

        x_here = sheet.relief.left_of(x, y)  # the truth holds for rows that are not off
        _, cover = sheet.seen(x_here, y, MARGIN)
        on_right = np.where(cover > 0.5, k, on_right)
        if row_off:
            x_here = sheet.relief.left_of(x, y + row_off)
        colour, cover = sheet.seen(x_here, y + row_off, MARGIN)
        right = right + (colour - right) * cover[..., None]

    partner = x - disparity
    low = np.clip(np.floor(partner).astype(int), 0, width - 1)
    high = np.clip(low + 1, 0, width - 1)
    rows = np.arange(height)[:, None]
    same = (on_right[rows, low] == on_left) | (on_right[rows, high] == on_left)
    visible = same & (partner >= 0) & (partner <= width - 1)
    return left, right, disparity.astype(np.float32), visible


# ---------------------------------------------------------------- what lies in the picture


def _pile(
    rng: np.random.Generator, grounds: Sequence[np.ndarray], size: tuple[int, int], most: float
) -> list[Sheet]:
    """Background first. Nearer sheets come later and are cut where they would lie deeper."""
    width, height = size
    far = float(rng.uniform(0, 0.45) * most)
    span = float(np.exp(rng.uniform(np.log(2), np.log(max(most - far - 1, 3)))))
    count = int(rng.integers(2, 16))
    nearness = np.sort(rng.random(count) ** rng.uniform(0.7, 1.6))
    wide = width + int(most) + 2 * MARGIN
    x, y = np.meshgrid(np.arange(wide, dtype=np.float64), np.arange(height + 2.0 * MARGIN))
    x, y = x - MARGIN, y - MARGIN

    steep = rng.random() < 0.5
    under = _relief(rng, size, far, 0.3 * span if steep else 0.05 * span, most)
    sheets = [_sheet(rng, under, None, grounds)]
    depth, _ = under.at(x, y)
    if rng.random() < 0.4:  # a floor that rises towards the camera
        rise = float(rng.uniform(0.2, 1.0)) * span / height
        horizon = float(rng.uniform(0.2, 0.8)) * height
        floor = Relief(far, (float(rng.uniform(-0.02, 0.02)), rise), (width / 2, horizon))
        sheets.append(_onto(_sheet(rng, floor, np.ones(x.shape, np.float32), grounds), x, y, depth))
    for near in nearness:
        relief = _relief(rng, size, far + near * span, span * rng.uniform(0, 0.25), most)
        mask = _shape(rng, x.shape)
        sheets.append(_onto(_sheet(rng, relief, mask, grounds), x, y, depth))
    return sheets


def _alike(rng: np.random.Generator, sheets: list[Sheet]) -> list[Sheet]:
    """The same sheets in colours close to one another: grey chair before grey wall."""
    import dataclasses

    tone, pull = rng.uniform(40, 215, 3), float(rng.uniform(0.5, 0.95))
    calm = float(rng.uniform(0.3, 1.0))
    alike = []
    for sheet in sheets:
        mean = sheet.ground.mean((0, 1))
        ground = mean + pull * (tone - mean) + calm * (sheet.ground - mean)
        alike.append(dataclasses.replace(sheet, ground=ground.astype(np.float32)))
    return alike


def _onto(sheet: Sheet, x: np.ndarray, y: np.ndarray, depth: np.ndarray) -> Sheet:
    """The sheet without the parts that lie behind `depth`, which it raises to its own."""
    import dataclasses

    assert sheet.mask is not None
    d, _ = sheet.relief.at(x, y)
    mask = np.where(d > depth - CUT_PX, sheet.mask, 0).astype(np.float32)
    np.copyto(depth, np.maximum(depth, d), where=mask > 0.5)
    return dataclasses.replace(sheet, mask=mask)


def _relief(
    rng: np.random.Generator, size: tuple[int, int], offset: float, amount: float, most: float
) -> Relief:
    """A plane, often slanted, now and then bowed; `amount` px from end to end."""
    width, height = size
    slopes = (0.0, 0.0)
    if rng.random() < 0.75:
        a, b = rng.uniform(-1, 1, 2) * amount
        slopes = float(np.clip(a / width, -0.2, 0.2)), float(np.clip(b / height, -0.4, 0.4))
    bumps = []
    if rng.random() < 0.4:
        for _ in range(int(rng.integers(1, 3))):
            sigma = float(np.exp(rng.uniform(np.log(12), np.log(120))))
            height_px = float(rng.uniform(-1, 1) * min(0.12 * most, 0.3 * sigma))
            bumps.append((*(rng.uniform(0, 1, 2) * size).tolist(), sigma, height_px))
    # the slopes add up: 0.2 + 2 · 0.61 · 0.3 / 3, well under MAX_SLOPE
    return Relief(offset, slopes, (width / 2, height / 2), tuple(bumps))


def _sheet(
    rng: np.random.Generator, relief: Relief, mask: np.ndarray | None, grounds: Sequence[np.ndarray]
) -> Sheet:
    """Dresses a relief: ground, its size and turn, colours, light."""
    ground = grounds[int(rng.integers(len(grounds)))].astype(np.float32)
    ground = ground[..., rng.permutation(3)] if rng.random() < 0.5 else ground
    if rng.random() < 0.45:  # faint: most real surfaces are
        mean = ground.mean(axis=(0, 1))
        ground = mean + (ground - mean) * rng.uniform(0.05, 0.6)
    ground = ground * rng.uniform(0.5, 1.25) * rng.uniform(0.8, 1.2, 3) + rng.uniform(-20, 20)
    angle = 0.0 if rng.random() < 0.4 else float(rng.uniform(0, 2 * np.pi))
    scale = float(np.exp(rng.uniform(np.log(0.5), np.log(1.3))))
    c, s = np.cos(angle) * scale, np.sin(angle) * scale
    place = np.array([[c, -s, rng.uniform(0, SIDE)], [s, c, rng.uniform(0, SIDE)]])
    light = (1 + rng.uniform(0, 0.3) * rng.uniform(-1, 1, (8, 8))).astype(np.float32)
    return Sheet(relief, mask, np.clip(ground, 0, 255).astype(np.float32), place, light)


def _shape(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Where a sheet is: (h, w) float32 in [0, 1], edges half covered as a camera sees them."""
    import cv2

    h, w = shape
    mask = np.zeros((h, w), np.uint8)
    centre = rng.uniform(0, 1, 2) * (w, h)
    size = float(np.exp(rng.uniform(np.log(10), np.log(0.6 * min(h, w)))))
    kind = int(rng.choice(6, p=(0.3, 0.15, 0.2, 0.15, 0.12, 0.08)))
    if kind == 0:  # a polygon
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 9))))
        reach = size * rng.uniform(0.4, 1.2, len(angles))
        corners = centre + np.stack([np.cos(angles), np.sin(angles)], axis=1) * reach[:, None]
        _polygon(mask, corners)
    elif kind == 1:
        axes = (size * rng.uniform(0.3, 1.2, 2) * 16).astype(int)
        at = tuple(int(v * 16) for v in centre)
        turn = float(rng.uniform(0, 180))
        cv2.ellipse(mask, at, tuple(axes.tolist()), turn, 0, 360, 255, -1, cv2.LINE_AA, 4)
    elif kind == 2:  # a box, mostly upright
        turn = float(rng.normal(0, 6) if rng.random() < 0.7 else rng.uniform(0, 90))
        sides = size * rng.uniform(0.3, 2.0, 2)
        _polygon(mask, cv2.boxPoints((tuple(centre), tuple(sides), turn)))
    elif kind == 3:  # bars: poles, fences, twigs
        turn = rng.normal(0, 0.25) if rng.random() < 0.6 else rng.uniform(0, np.pi)
        way = np.array([np.sin(turn), np.cos(turn)])
        gap = np.array([way[1], -way[0]]) * rng.uniform(8, 50)
        thick = float(np.exp(rng.uniform(np.log(1.2), np.log(14))))
        for k in range(int(rng.integers(1, 7))):
            middle = centre + k * gap + rng.normal(0, 3, 2)
            half = way * size * rng.uniform(0.5, 3)
            side = np.array([way[1], -way[0]]) * thick / 2
            _polygon(
                mask,
                np.stack([middle - half - side, middle + half - side, middle + half + side,
                          middle - half + side]),
            )  # fmt: skip
    elif kind == 4:  # a blob: smooth noise above a level
        cell = float(rng.uniform(12, 60))
        small = rng.random((int(h / cell) + 3, int(w / cell) + 3)).astype(np.float32)
        field_ = cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC)
        near = np.hypot(*(np.mgrid[0:h, 0:w][::-1] - centre[:, None, None])) / (2 * size)
        return np.clip((field_ - near - 0.1) * cell / 2 + 0.5, 0, 1).astype(np.float32)
    else:  # a cluster of small things
        for _ in range(int(rng.integers(5, 40))):
            at = centre + rng.normal(0, size, 2)
            axes = tuple(int(v * 16) for v in rng.uniform(1.5, 12, 2))
            spot = tuple(int(v * 16) for v in at)
            turn = float(rng.uniform(0, 180))
            cv2.ellipse(mask, spot, axes, turn, 0, 360, 255, -1, cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255


def _polygon(mask: np.ndarray, corners: np.ndarray) -> None:
    import cv2

    cv2.fillPoly(mask, [np.round(corners * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)


# ---------------------------------------------------------------- what cameras do


def cameras(
    left: np.ndarray, right: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Both pictures, float32 in [0, 255], as two imperfect cameras would give them."""
    soft = float(rng.uniform(0, 1.0)) if rng.random() < 0.6 else 0.0
    grain = float(np.exp(rng.uniform(np.log(0.3), np.log(6))))
    harsh = rng.random() < 0.35
    quality = int(rng.integers(60, 98)) if rng.random() < 0.2 else 0
    seen = []
    for picture in (left, right):
        blur = soft + (abs(float(rng.normal(0, 0.4))) if rng.random() < 0.15 else 0.0)
        seen.append(_camera(picture, rng, blur, grain, harsh, quality))
    return seen[0], seen[1]


def _camera(
    picture: np.ndarray, rng: np.random.Generator, blur: float, grain: float, harsh: bool,
    quality: int,
) -> np.ndarray:  # fmt: skip
    import cv2

    if blur > 0.15:
        picture = cv2.GaussianBlur(picture, (0, 0), blur)
    strength = 1.0 if harsh else 0.15
    light = np.clip(picture / 255, 0, 1) ** np.exp(rng.normal(0, 0.15 * strength))
    light = light * np.exp(rng.normal(0, 0.2 * strength)) + rng.normal(0, 0.04 * strength)
    light = light * np.exp(rng.normal(0, 0.08 * strength, 3))
    h, w = picture.shape[:2]
    if harsh and rng.random() < 0.4:  # light falls off towards the corners
        y, x = np.mgrid[0:h, 0:w]
        far = ((x - w / 2) ** 2 + (y - h / 2) ** 2) / (w**2 + h**2) * 4
        light = light * (1 - rng.uniform(0, 0.35) * far[..., None])
    light = light * 255 + rng.standard_normal((h, w, 3), np.float32) * grain
    if quality:
        ok, packed = cv2.imencode(".jpg", as_bytes(light), [cv2.IMWRITE_JPEG_QUALITY, quality])
        assert ok
        return cv2.imdecode(packed, cv2.IMREAD_COLOR).astype(np.float32)
    return light.astype(np.float32)


def as_bytes(picture: np.ndarray) -> np.ndarray:
    return (np.clip(picture, 0, 255) + 0.5).astype(np.uint8)


# ---------------------------------------------------------------- rendered scenes


def rendered(seed: int, size: tuple[int, int] = (480, 360)) -> Sample:
    """A random scene of `core.scenes` through two cameras, without a camera's faults."""
    from core.scenes import NAMES, random_scene, scene, stereo_pair

    rng = np.random.default_rng((seed, 11))
    made = scene(str(rng.choice(NAMES))) if rng.random() < 0.2 else random_scene(seed)
    probe = stereo_pair(made, 0.1, (48, 36))
    near = float(np.nanmax(probe.disparity_px, initial=1e-3)) * size[0] / 48
    shot = stereo_pair(made, 0.1 * float(rng.uniform(12, 60)) / max(near, 1.0), size)
    visible = np.isfinite(shot.disparity_px) & ~shot.occluded
    return Sample(shot.left, shot.right, shot.disparity_px, visible)
