"""FFmpeg over one file's bytes: no address, playlist or device is ever opened for a clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.types import InputError
from core.video.source import named

# Formats that open other files, devices or plain text. The rest reads the one file it is given.
NOT_CLIPS = {
    "concat", "hls", "dash", "imf", "sdp", "rtsp", "rtp", "sap", "lavfi", "tty", "bin", "xbin",
    "adf", "idf", "image2", "webm_dash_manifest", "x11grab", "fbdev", "kmsgrab", "alsa", "oss",
    "video4linux2,v4l2", "rawvideo", "ffmetadata",
}  # fmt: skip


class _Unnamed:
    """A file's bytes without its name, so that FFmpeg judges by what is in it."""

    def __init__(self, file: Any) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


def open_container(path: Path) -> tuple[Any, Any]:
    """FFmpeg's container over the file's bytes, and the file; both to be closed."""
    import av
    from av.error import FFmpegError

    file = open(path, "rb", buffering=0)  # noqa: SIM115 - the caller closes it
    allowed = ",".join(sorted(av.formats_available - NOT_CLIPS))
    try:
        container = av.open(
            _Unnamed(file),
            options={"format_whitelist": allowed},
            io_open=_no_other_file,
            buffer_size=1 << 18,
        )
        return container, file
    except (FFmpegError, OSError, ValueError, UnicodeError):
        file.seek(4)
        is_mp4 = file.read(4) == b"ftyp"
        file.close()
    name = named(path)
    if is_mp4:
        raise InputError(
            f"{name} is cut off or damaged: the index of its frames is missing. "
            "Copy or record it again."
        )
    raise InputError(f"{name} can't be read as a video. Choose a file such as mp4, webm or gif.")


def _no_other_file(url: str, flags: int, options: dict) -> Any:
    raise OSError(f"a clip may not open another file ({flags})")


def video_stream(container: Any, name: str) -> Any:
    """The first stream that is a film, and no cover of a record. Raises InputError for none."""
    streams = container.streams
    films = [s for s in streams.video if not s.disposition & s.disposition.attached_pic]
    if not films and streams.audio:
        raise InputError(f"{name} holds sound but no picture. Choose a video.")
    if not films:
        raise InputError(f"{name} holds no video stream. Choose a video.")
    codec = films[0].codec_context
    if codec is None or films[0].width == 0:
        raise InputError(
            f"{name} holds a video stream that can't be decoded here. "
            "Save it as mp4 (H.264) and try again."
        )
    return films[0]
