"""PlayCanvas' SOG: splats as the pixels of a few lossless pictures.

Picture formats are good at neighbours that are alike, so splats are sorted until they are, and each
quantity becomes a picture: pixel i belongs to splat i in all of them. Positions have 16 bits a
number, split over two pictures, of sign(x)·log(1 + |x|), fine near the middle and coarse far out.
A rotation is its smallest three, and its alpha says which was left out. In version 2 scales and
colours are places in a table of 256 numbers (a codebook); in version 1 they lie evenly between the
two that meta.json names. The rest of the colour is a place in a palette of at most 65,536 entries
(developer.playcanvas.com, the SOG format).

A folder, or a zip of one (.sog). The zip is read in memory: nothing of it is written anywhere.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from core.splats.packing import GROWTH, HALF, SMALL, from_smallest_three, logits
from core.splats.types import COEFFICIENTS, Splats
from core.types import InputError

META, LARGEST_META = "meta.json", 1 << 20
LARGEST_FILE = 1 << 30
PALETTE = 64  # entries in a row of the palette's picture
FIRST_TAG = 252  # of a rotation's alpha: 252 w, 253 x, 254 y, 255 z is left out

Opener = Callable[[str], bytes]


def load_sog(path: str | Path) -> Splats:
    """The splats of a SOG folder, its meta.json, or a zip of it; versions 1 and 2.

    Raises InputError if something is missing, damaged, or reaches outside of the folder.
    """
    path = Path(path)
    if path.name == META:
        path = path.parent
    if path.is_dir():
        return _load(lambda name: _from_folder(path, name), path.name)
    try:
        with zipfile.ZipFile(path) as archive:
            inside = _folder_inside(archive)
            size = path.stat().st_size
            return _load(lambda name: _from_zip(archive, inside + name, size), path.name)
    except OSError as error:
        raise InputError(f"{path.name} can't be read ({error.strerror}). Choose a file.") from None
    except (
        zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError,
        UnicodeDecodeError,
    ):  # fmt: skip
        raise InputError(
            f"{path.name} is a damaged, cut off or locked zip. Download or export it again."
        ) from None


def _folder_inside(archive: zipfile.ZipFile) -> str:
    """The folder of meta.json in the zip, '' or 'scene/'; people zip the folder as often as what
    is in it."""
    found = [n for n in archive.namelist() if n == META or n.endswith("/" + META)]
    if not found:
        raise InputError(
            f"It is a zip without {META}, so it isn't SOG. Unpack it, and choose one of its files."
        )
    return min(found, key=len)[: -len(META)]


def _from_folder(folder: Path, name: str) -> bytes:
    try:
        if (folder / name).stat().st_size > LARGEST_FILE:
            raise InputError(f"{name} is larger than 1 GB: too large for a part of a scene.")
        return (folder / name).read_bytes()
    except OSError:
        raise InputError(f"{name} is missing. Give the whole folder, or a zip of it.") from None


def _from_zip(archive: zipfile.ZipFile, name: str, size: int) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise InputError(f"{name} is missing in the zip. Zip the whole folder.") from None
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{name} is packed in an unusual way. Zip the folder again.")
    most = GROWTH * size + SMALL
    with archive.open(info) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise InputError(f"{name} would unpack to more than a scene can be. Zip the folder again.")
    return data


def _load(opened: Opener, title: str) -> Splats:
    broken = InputError(f"{title} has a damaged {META}. Export it again.")
    raw = opened(META)
    if len(raw) > LARGEST_META:
        raise broken
    try:
        meta = json.loads(raw)
        version = int(meta.get("version", 1))
        n = int(meta["count"] if version > 1 else meta["means"]["shape"][0])
        read = _Pictures(opened, n)
        if version not in (1, 2):
            raise InputError(f"{title} is SOG of version {version}; 1 and 2 can be read.")
        if n < 1:
            raise InputError(f"{title} holds no splats. Choose a scene with at least one.")
        return _decoded(meta, version, n, read)
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError,
            RecursionError):  # fmt: skip
        raise broken from None


class _Pictures:
    """Opens the pictures that meta.json names, never larger than their bytes make believable."""

    def __init__(self, opened: Opener, n: int) -> None:
        self.opened, self.n = opened, n

    def whole(self, name: str) -> np.ndarray:
        """(H, W, 4) uint8."""
        from PIL import Image

        if (
            not isinstance(name, str)
            or not name
            or name in (".", "..")
            or set("/\\:\0") & set(name)
        ):
            raise InputError(
                f"{META} names the file {name!r}, which reaches outside of its folder. "
                "Export the scene again."
            )
        data = self.opened(name)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(io.BytesIO(data), formats=("WEBP", "PNG")) as picture:
                    if 4 * picture.width * picture.height > GROWTH * len(data) + SMALL:
                        raise InputError(f"{name} has more pixels than its bytes can mean.")
                    return np.asarray(picture.convert("RGBA"))
        except InputError:
            raise
        except Exception:  # Pillow's decoders raise nearly anything: the file is what is wrong
            raise InputError(f"{name} is no picture, or damaged. Export the scene again.") from None

    def __call__(self, name: str) -> np.ndarray:
        """(n, 4) uint8, one row for each splat."""
        pixels = self.whole(name).reshape(-1, 4)
        if len(pixels) < self.n:
            raise InputError(
                f"{META} promises {self.n:,} splats, and {name} has pixels for {len(pixels):,}. "
                "Export the scene again."
            )
        return pixels[: self.n]


def _decoded(meta: dict[str, Any], version: int, n: int, read: _Pictures) -> Splats:
    fine, coarse = (read(name)[:, :3].astype(np.float32) for name in meta["means"]["files"][:2])
    with np.errstate(over="ignore", invalid="ignore"):  # Splats says which one is broken
        bent = _between(meta["means"], (256 * coarse + fine) / 65535, 3)
        means = np.sign(bent) * np.expm1(np.abs(bent))
    turns = read(meta["quats"]["files"][0])
    left_out = turns[:, 3].astype(np.int64) - FIRST_TAG
    quats = from_smallest_three(left_out.clip(0), (turns[:, :3] / np.float32(255) - 0.5) * 2 * HALF)
    quats[left_out < 0] = (1, 0, 0, 0)
    sizes, tints = read(meta["scales"]["files"][0])[:, :3], read(meta["sh0"]["files"][0])
    if version == 1:
        log_scales = _between(meta["scales"], sizes / np.float32(255), 3)
        first = _between(meta["sh0"], tints / np.float32(255), 4)
        opacity, first = first[:, 3], first[:, :3]
    else:
        log_scales, first = _codes(meta["scales"])[sizes], _codes(meta["sh0"])[tints[:, :3]]
        opacity = logits(tints[:, 3] / 255)
    sh = first[:, None]
    if meta.get("shN"):
        sh = np.concatenate([sh, _waves(meta["shN"], version, read)], 1)
    return Splats(means, log_scales, quats, opacity, sh)


def _waves(about: dict[str, Any], version: int, read: _Pictures) -> np.ndarray:
    """(n, K − 1, 3): each splat's entry of the palette, whose picture has 64 of them in a row."""
    palette = read.whole(about["files"][0])[:, :, :3]
    k = palette.shape[1] // PALETTE
    if k + 1 not in COEFFICIENTS[1:] or palette.shape[1] % PALETTE:
        raise InputError(f"The palette is {palette.shape[1]} pixels wide: of no colour degree.")
    labels = read(about["files"][1]).astype(np.int64)
    entry = labels[:, 0] + 256 * labels[:, 1]
    entries = palette.reshape(-1, k, 3)
    if entry.max() >= len(entries):
        raise InputError("Some splats name a colour that the palette hasn't. Export it again.")
    if version == 1:
        low, high = np.float32(about["mins"]), np.float32(about["maxs"])
        return low + entries[entry] * ((high - low) / np.float32(255))
    return _codes(about)[entries[entry]]


def _between(about: dict[str, Any], at: np.ndarray, channels: int) -> np.ndarray:
    """Channels at [0, 1] of the way from mins to maxs."""
    low, high = (np.array(about[end][:channels], np.float32) for end in ("mins", "maxs"))
    if low.shape != (channels,) or high.shape != (channels,):
        raise ValueError
    return low + at * (high - low)


def _codes(about: dict[str, Any]) -> np.ndarray:
    codes = np.array(about["codebook"], np.float32)
    if codes.ndim != 1 or not 0 < len(codes) <= 256:
        raise ValueError
    return np.pad(codes, (0, 256 - len(codes)), "edge")
