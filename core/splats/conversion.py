"""What a scene costs in each format, and what it loses there.

Every format but the first throws digits away, and some throw away colours. Whether that matters,
only pictures can say: the scene is written, read again, and both are drawn from a few sides. The
PSNR of these pictures is the price of the smaller file. Above 40 dB hardly anybody sees it.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.cameras import look_at
from core.metrics import psnr
from core.splats.harmonics import Y0
from core.splats.loading import load, save
from core.splats.render import render
from core.splats.spz import position_bits
from core.splats.types import RenderSettings, Splats
from core.types import Camera, InputError, Progress, silent

SIZE, SIDES, FOV_DEG = (200, 160), 3, 50.0  # pictures: small, or large scenes would take minutes
MIDDLE = (5, 95)  # percentiles of positions that are the scene; beyond lie floaters and the sky
UP = (0.0, -1.0, 0.0)  # 3DGS files by habit
MOST_DB = 99.0
ELEVATION_DEG = 15.0


@dataclass(frozen=True)
class Format:
    """A kind of file that can be written: its ending is the key with a dot; keeps, in words."""

    key: str
    title: str
    keeps: str

    @property
    def ending(self) -> str:
        return f".{self.key}"


FORMATS = (
    Format("ply", "3DGS .ply", "everything, as 32-bit floats"),
    Format("compressed.ply", "Compressed .ply", "all colours, in steps; order changes"),
    Format("spz", ".spz (v3)", "all colours, in steps, and the order"),
    Format("splat", ".splat", "one colour a splat, no gloss; exact positions and sizes"),
)


@dataclass(frozen=True)
class Conversion:
    """size_bytes of the file; dropped: what is lost, in words, "" if nothing is; psnr_db of
    pictures before and after, inf if all numbers are the same ("exact")."""

    format: Format
    size_bytes: int
    dropped: str
    psnr_db: float

    @property
    def quality(self) -> str:
        """'exact' or '43.1 dB'."""
        return "exact" if math.isinf(self.psnr_db) else f"{self.psnr_db:.1f} dB"


def convert(splats: Splats, fmt: Format | str, cameras: tuple[Camera, ...] = ()) -> Conversion:
    """Write the scene in a format (or its key), read it again, and compare pictures by `cameras`,
    else from a few sides. InputError for an unknown format or a scene that it can't hold."""
    views = cameras or around(splats)
    return _convert(splats, known(fmt), views, _pictures(splats, views))


def conversions(splats: Splats, progress: Progress = silent) -> Iterator[Conversion]:
    """One after the other for all formats, in the order of FORMATS. A format that can't hold the
    scene is left out."""
    progress(0.0, desc="drawing the scene")
    views = around(splats)
    before = _pictures(splats, views)
    for k, fmt in enumerate(FORMATS):
        progress((k + 1) / (len(FORMATS) + 1), desc=fmt.title)
        try:
            yield _convert(splats, fmt, views, before)
        except InputError:
            if fmt.key == "ply":
                raise
    progress(1.0, desc="done")


def known(fmt: Format | str) -> Format:
    """The format of a key; InputError if there is none."""
    if isinstance(fmt, Format):
        return fmt
    for candidate in FORMATS:
        if candidate.key == fmt:
            return candidate
    raise InputError(f"There is no format {fmt!r}. Choose {', '.join(f.key for f in FORMATS)}.")


def around(splats: Splats, n: int = SIDES, size: tuple[int, int] = SIZE) -> tuple[Camera, ...]:
    """n cameras in a circle around most of the splats, a little above them, all looking at their
    middle; y is down in the scene, as in 3DGS files."""
    low, high = np.percentile(splats.means.astype(np.float64), MIDDLE, axis=0)
    middle, radius = (low + high) / 2, max(float(np.linalg.norm(high - low)) / 2, 1e-3)
    distance = radius / math.sin(math.radians(FOV_DEG / 2)) * max(1, size[0] / size[1])
    rise = math.radians(ELEVATION_DEG)
    eyes = [
        middle + distance * np.array([math.cos(rise) * math.cos(a), -math.sin(rise),
                                      math.cos(rise) * math.sin(a)])
        for a in 2 * math.pi * np.arange(n) / n
    ]  # fmt: skip
    return tuple(look_at(eye, middle, *size, FOV_DEG, UP) for eye in eyes)


def _pictures(splats: Splats, cameras: tuple[Camera, ...]) -> list[np.ndarray]:
    settings = RenderSettings(near_m=0.001)  # scenes have any unit
    return [render(splats, camera, settings).rgb for camera in cameras]


def _convert(
    splats: Splats, fmt: Format, cameras: tuple[Camera, ...], before: list[np.ndarray]
) -> Conversion:
    with tempfile.TemporaryDirectory(prefix="sightline-convert-") as folder:
        path = save(Path(folder) / f"scene{fmt.ending}", splats)
        size, back = path.stat().st_size, load(path)
    assert isinstance(back, Splats)
    if all(np.array_equal(getattr(back, name), array) for name, array in vars(splats).items()):
        return Conversion(fmt, size, "", math.inf)
    score = psnr(np.concatenate(before), np.concatenate(_pictures(back, cameras)))
    # where numbers differ and bytes don't, the bytes can't tell more than that
    return Conversion(fmt, size, dropped(splats, fmt), min(score, MOST_DB))


def dropped(splats: Splats, fmt: Format | str) -> str:
    """What is lost in a format, in words; of what the scene doesn't have, nothing is said."""
    key, lost = known(fmt).key, []
    gloss = splats.degree > 0
    if key == "ply":
        return ""
    if key == "splat":
        if gloss:
            lost.append(f"gloss (colour degree {splats.degree} becomes 0)")
        if (cut := _outside(0.5 + Y0 * splats.sh[:, 0], 0, 1)) > 0:
            lost.append(f"colour beyond black or white ({cut:.1%} of splats)")
        lost.append("colour and opacity to 8 bits, rotation to 4 × 8")
    if key == "spz":
        step = 2.0 ** -position_bits(splats.means)
        lost.append(
            f"positions to {1000 * step:.2g} mm, sizes to 3 %, colour and opacity to 8 bits"
        )
        lost.append("rotation to 3 × 10 bits")
        if (cut := _outside(splats.log_scales, -10, 5.94)) > 0:
            lost.append(f"sizes below 0.05 mm or above 380 m ({cut:.1%} of splats)")
        if gloss:
            lost.append("gloss to 5 bits, higher degrees to 4, and cut beyond ±1")
    if key == "compressed.ply":
        lost.append("positions and sizes to 11, 10 and 11 bits of the box of 256 neighbours")
        lost.append("colour and opacity to 8 bits, rotation to 3 × 10")
        if gloss:
            lost.append("gloss to 8 bits, and cut beyond ±4")
        lost.append("order")
    return "; ".join(lost)


def _outside(values: np.ndarray, low: float, high: float) -> float:
    """The share of splats with a number clearly outside."""
    margin = (high - low) / 255
    return float(((values < low - margin) | (values > high + margin)).any(1).mean())
