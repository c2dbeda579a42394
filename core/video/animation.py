"""Moving pictures: GIF, WebP, APNG, and still pictures as clips of one frame.

Each frame says how long it is shown. Browsers show what claims 10 ms or less for 100 ms (it is
nearly always a forgotten value), and so do we.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from core.types import InputError
from core.video.source import Picture, check_size, fitted, named
from core.video.types import VideoInfo

MOST_FRAMES = 100_000


class Animation:
    """A picture file as a `Source`; one frame is held at a time."""

    def __init__(self, path: Path, limit_s: float) -> None:
        from PIL import Image

        self.deadline = time.monotonic() + limit_s
        self.name, self.notes = named(path), []
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                self.image = Image.open(path)
        except Image.DecompressionBombError:
            raise InputError(f"{self.name} has too many pixels. Make it smaller first.") from None
        except Exception:  # PIL raises a dozen kinds for broken files
            raise InputError(
                f"{self.name} can't be read as a moving picture. Save it again, or as mp4."
            ) from None
        try:
            self._look(path)
        except BaseException:
            self.close()
            raise

    def _look(self, path: Path) -> None:
        image = self.image
        check_size(image.width, image.height, self.name)
        on_its_side = image.getexif().get(274, 1) >= 5  # EXIF: rows and columns are swapped
        self.size = image.size[::-1] if on_its_side else image.size
        starts, lasts, alpha, now = [], [], False, 0.0
        for _, lasting_s, has_alpha in self._walk():
            starts.append(now)
            lasts.append(lasting_s)
            now += lasting_s
            alpha |= has_alpha
        if not starts:
            raise InputError(
                f"{self.name} is damaged from its first frame on. Choose another file."
            )
        many = len(starts) > 1
        self.times_s, self.end_s = np.array(starts), now if many else 0.0
        self.keys = np.array([0])
        if alpha:
            self.notes.append("Transparent parts are shown on white.")
        if not many:
            self.notes.append("This is one picture, not a clip: nothing moves in it.")
        size = path.stat().st_size
        self.info = VideoInfo(
            width=self.size[0],
            height=self.size[1],
            fps=len(starts) / now if many else float("nan"),
            variable=many and max(lasts) - min(lasts) > 0.002,
            duration_s=now if many else float("nan"),
            frames=len(starts),
            bytes=size,
            bit_rate=8 * size / now if many else float("nan"),
            codec=(image.format or "picture").lower(),
            container=(image.format or "picture").lower(),
            pixel_format=image.mode.lower(),
            alpha=alpha,
        )

    def _walk(self) -> Iterator[tuple[int, float, bool]]:
        """Loads frame after frame: number, seconds it is shown, whether it has alpha."""
        for number in range(MOST_FRAMES):
            if time.monotonic() > self.deadline:
                raise TimeoutError
            try:
                self.image.seek(number)
                self.image.load()
            except Exception as error:  # as above
                ended = isinstance(error, EOFError) and number > 0
                note = f"The file is damaged or cut off: frames from {number} on are lost."
                if not ended and note not in self.notes:
                    self.notes.append(note)
                return
            mode, info = self.image.mode, self.image.info
            alpha = mode in ("RGBA", "LA", "PA") or "transparency" in info
            if alpha:  # declared; GIFs also use it for what stays as it was
                low, _ = self.image.convert("RGBA").getchannel("A").getextrema()
                alpha = low != 255
            lasting_ms = float(info.get("duration") or 0)
            yield number, (lasting_ms if lasting_ms > 10 else 100.0) / 1000, alpha

    def stretch(self, first: int, last: int, max_px: int) -> Iterator[Picture]:
        yield from self.frames(np.arange(first, last + 1), max_px)

    def frames(self, numbers: np.ndarray, max_px: int) -> Iterator[Picture]:
        from PIL import Image, ImageOps

        wanted, last = set(np.asarray(numbers).tolist()), int(np.max(numbers))
        width, height = self.size
        size = fitted(width, height, max_px)
        for number, _, _ in self._walk():
            if number in wanted:
                upright: Any = ImageOps.exif_transpose(self.image)
                picture = upright.convert("RGBA")
                ground = Image.new("RGBA", picture.size, "white")
                shown = Image.alpha_composite(ground, picture).convert("RGB")
                if size != shown.size:
                    shown = shown.resize(size, Image.Resampling.BOX)
                yield Picture(number, float(self.times_s[number]), np.asarray(shown))
            if number >= last:
                return

    def close(self) -> None:
        self.image.close()
