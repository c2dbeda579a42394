"""Pictures as a clip: each is shown for a moment, in the order in which they are given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from core import images
from core.types import InputError
from core.video.source import Picture, fitted
from core.video.types import VideoInfo


class Stills:
    """Pictures (files, or whatever `core.images.as_rgb` takes) as a `Source`, `fps` a second; one is
    held at a time. Others than the first are fitted to its size."""

    def __init__(self, pictures: Sequence[str | Path | np.ndarray], fps: float = 1.0) -> None:
        if not 0 < fps <= 1000:
            raise InputError(f"{fps:g} frames per second can't be shown. Choose 0.1 to 60.")
        if pictures is None or len(pictures) == 0:
            raise InputError("There are no pictures. Choose at least one.")
        self.pictures, self.notes = pictures, []
        height, width = self._read(0).shape[:2]
        count = len(pictures)
        self.size = width, height
        self.times_s, self.end_s = np.arange(count) / fps, count / fps
        self.keys = np.arange(count)
        self.info = VideoInfo(
            width=width, height=height, fps=fps, variable=False, duration_s=self.end_s,
            frames=count, bytes=0, bit_rate=float("nan"), codec="", container="", pixel_format="",
        )  # fmt: skip

    def _read(self, k: int) -> np.ndarray:
        picture = self.pictures[k]
        if isinstance(picture, str | Path):
            return images.load(picture, Path(picture).name)
        return images.as_rgb(picture, f"Picture {k}")

    def frames(self, numbers: np.ndarray, max_px: int) -> Iterator[Picture]:
        numbers, unlike = np.unique(numbers).tolist(), 0
        size = fitted(*self.size, max_px)
        for number in numbers:
            picture = self._read(number)
            unlike += picture.shape[1::-1] != self.size
            yield Picture(number, float(self.times_s[number]), self._shown(picture, *size))
        if unlike:
            self.notes.append(
                f"{unlike} of {len(numbers)} pictures have another size than the first "
                f"({self.size[0]}×{self.size[1]} px): they are fitted into it, on black."
            )

    def stretch(self, first: int, last: int, max_px: int) -> Iterator[Picture]:
        yield from self.frames(np.arange(first, last + 1), max_px)

    def _shown(self, image: np.ndarray, width: int, height: int) -> np.ndarray:
        """The whole picture, as large as fits, in the middle of a black one."""
        import cv2

        if image.shape[:2] == (height, width):
            return image
        factor = min(width / image.shape[1], height / image.shape[0])
        w, h = (max(1, round(side * factor)) for side in (image.shape[1], image.shape[0]))
        if image.shape[1::-1] == self.size:
            w, h = width, height
        how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        ground = np.zeros((height, width, 3), np.uint8)
        x, y = (width - w) // 2, (height - h) // 2
        ground[y : y + h, x : x + w] = cv2.resize(image, (w, h), interpolation=how)
        return ground

    def close(self) -> None: ...
