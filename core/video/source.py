"""The door: a file on this disk becomes a `Source`, whatever kind of clip it holds.

Only the file itself is ever opened, as bytes. Addresses, playlists and lists of other files are
refused, so that nobody's upload can make this machine fetch something.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from core.types import InputError
from core.video.types import VideoInfo

MAX_PIXELS = 120_000_000  # as for pictures: 16K passes, a header that claims more doesn't
PICTURES = (b"GIF8", b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*")
LISTS = (b"#EXTM3U", b"ffconcat", b"<MPD", b"[playlist]", b"v=0\r\n", b"v=0\n", b"<smil", b"<asx")


class Picture(NamedTuple):
    """One frame: its number in the file, its second from the clip's start, RGB uint8 (H, W, 3)."""

    number: int
    time_s: float
    image: np.ndarray


class Source(Protocol):
    """A clip that is open.

    times_s (N,) float64, rising from 0, or from later where sound begins before the pictures;
    end_s when the last frame goes; keys (K,) int64, numbers of frames that can be had without
    decoding others; notes grow while it is read.
    """

    info: VideoInfo
    times_s: np.ndarray
    end_s: float
    keys: np.ndarray
    notes: list[str]

    def frames(self, numbers: np.ndarray, max_px: int) -> Iterator[Picture]:
        """Frames with these numbers, rising; the next one where one can't be decoded."""
        ...

    def stretch(self, first: int, last: int, max_px: int) -> Iterator[Picture]:
        """Every frame from `first` to `last` that can be decoded."""
        ...

    def close(self) -> None: ...


def named(path: Path) -> str:
    """The file's name, short enough for a sentence."""
    name = path.name.encode("utf-8", "replace").decode() or "The file"
    return name if len(name) <= 60 else f"{name[:40]}…{name[-15:]}"


def checked(path: str | Path | None) -> tuple[Path, bytes]:
    """The path of a readable file and its first 4096 bytes. Raises InputError with the reason."""
    if path is None or str(path).strip() == "":
        raise InputError("No clip is chosen. Choose a video file, or pick an example.")
    text, file = str(path), Path(path)
    try:
        exists, is_file, is_dir = file.exists(), file.is_file(), file.is_dir()
    except (OSError, ValueError):
        exists = is_file = is_dir = False
    if not exists and re.match(r"[A-Za-z][A-Za-z0-9+.\-]+:|-$", text):
        raise InputError(
            f"{text[:60]} is an address, not a file. Download the clip, then choose the file."
        )
    name = named(file).replace("\0", "")
    if is_dir:
        raise InputError(f"{name} is a folder. Choose a video in it.")
    if not exists:
        raise InputError(f"There is no file {name}. Choose it again.")
    if not is_file:
        raise InputError(f"{name} is a device or a pipe, not a file. Choose a video file.")
    try:
        with open(file, "rb") as opened:
            head = opened.read(4096)
    except OSError:
        raise InputError(f"{name} may not be read. Check its permissions and try again.") from None
    if not head:
        raise InputError(f"{name} is empty (0 bytes). Choose another file.")
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    listed = start.startswith(LISTS) or (start.startswith(b"<?xml") and b"<MPD" in head)
    if listed:
        raise InputError(
            f"{name} is a playlist: it only names other files. Choose the video itself."
        )
    return file, head


def open_source(path: str | Path | None, limit_s: float = 60.0) -> Source:
    """Opens a clip; close it afterwards. `limit_s` bounds the seconds spent on it.

    Raises InputError for what isn't a clip, in a sentence that says why and what to do.
    """
    file, head = checked(path)
    if head.startswith(PICTURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        from core.video.animation import Animation

        return Animation(file, limit_s)
    from core.video.film import Film

    return Film(file, limit_s)


def check_size(width: int, height: int, name: str) -> None:
    if width < 1 or height < 1:
        raise InputError(f"{name} says its frames are {width}×{height} px. Choose another file.")
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{name} has frames of {width}×{height} px, {width * height / 1e6:.0f} megapixels. "
            f"Make them smaller than {MAX_PIXELS / 1e6:.0f} megapixels first."
        )


def fitted(width: float, height: float, max_px: int) -> tuple[int, int]:
    """Width and height reduced so that the longer side has at most `max_px`."""
    factor = min(1.0, max_px / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))
