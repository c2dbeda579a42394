"""A capture at the door: a folder, a zip or a list of files, read by name without unpacking.

A zip is not to be trusted: its names may climb out of any folder, its few bytes may swell to
fill the disk, its entries may be links. Nothing is ever written: members are read into memory one
by one, after the whole list was checked.
"""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from core.types import InputError

MAX_FILES = 20_000
MAX_BYTES = 6 * 2**30  # of all files of a zip, unpacked
MAX_ONE = 512 * 2**20  # of one file: a COLMAP points file of millions of points passes
MAX_RATIO = 1000  # deflate's own limit is 1032: beyond this only zeros and bombs compress
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


class Source:
    """Files by their names: paths with forward slashes, relative to the capture's root."""

    def __init__(self, files: Mapping[str, Path | zipfile.ZipInfo], archive: Any = None) -> None:
        self._files, self._archive = dict(files), archive
        self.names = tuple(sorted(self._files))
        self._by_tail: dict[str, list[str]] = {}
        for name in self.names:
            self._by_tail.setdefault(PurePosixPath(name).name, []).append(name)

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        if self._archive is not None:
            self._archive.close()

    def read(self, name: str) -> bytes:
        """The whole file. Raises InputError if it is too large or damaged."""
        entry = self._files[name]
        size = entry.file_size if isinstance(entry, zipfile.ZipInfo) else entry.stat().st_size
        if size > MAX_ONE:
            raise InputError(
                f"{name} has {size / 2**20:.0f} MB; {MAX_ONE // 2**20} MB is the most that is "
                "read. Make it smaller first."
            )
        try:
            if isinstance(entry, zipfile.ZipInfo):
                return self._archive.read(entry)  # never more than its checked size
            return entry.read_bytes()
        except (
            Exception
        ) as error:  # damaged data, an unknown compression, a password, a vanished file
            raise InputError(f"{name} can't be read ({error}). Save it again.") from error

    def find(self, name: str, root: str = "") -> str | None:
        """The file that `name`, said by a file in folder `root`, means; None if there is none.

        Folders are often flattened or renamed on upload, so a file of the same last name will do
        if it is the only one; Blender's files leave out the ".png".
        """
        said = str(PurePosixPath(name.replace("\\", "/")))
        for ending in ("", ".png", ".jpg", ".jpeg"):
            for folder in dict.fromkeys((root, "")):
                full = _flat(f"{folder}/{said}{ending}")
                if full in self._files:
                    return full
            same = self._by_tail.get(PurePosixPath(said).name + ending, [])
            tail = PurePosixPath(_flat(said + ending)).parts
            ends = [n for n in same if PurePosixPath(n).parts[-len(tail) :] == tail]
            for found in (ends, same):
                if len(found) == 1:
                    return found[0]
        return None

    def pictures(self) -> tuple[str, ...]:
        """All files whose names end like pictures'."""
        return tuple(n for n in self.names if n.lower().endswith(PICTURES))


def _flat(name: str) -> str:
    """The path without '.' and '..', which may not climb out."""
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            parts[-1:] = []
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def opened(path: str | Path | Sequence[str | Path]) -> Source:
    """The files of a folder, of a zip, or of a list of files (or of a list with one of those).

    Raises InputError for what isn't one, and for zips with more than MAX_FILES files or MAX_BYTES
    unpacked, with links, with names that leave the folder, or too compressed to be photos.
    """
    if not isinstance(path, str | Path):
        paths = [Path(p) for p in path]
        if not paths:
            raise InputError("No files were given. Choose a folder, a zip, or photos and cameras.")
        if len(paths) > 1:
            return _listed(paths)
        path = paths[0]
    path = Path(path)
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise InputError(f"There is no file or folder {path.name}. Choose it again.")
    if path.suffix.lower() == ".zip":
        return _zip(path)
    return _folder(path.parent) if path.suffix.lower() == ".json" else _listed([path])


def _listed(paths: list[Path]) -> Source:
    files: dict[str, Path] = {}
    for path in paths:
        if not path.is_file():
            raise InputError(f"There is no file {path.name}. Choose the files again.")
        if path.name in files:
            raise InputError(f"Two files are called {path.name}. Pack the folder into a zip.")
        files[path.name] = path
    return Source(files)


def _folder(root: Path) -> Source:
    files: dict[str, Path] = {}
    for path in root.rglob("*"):
        if path.is_file():
            files[path.relative_to(root).as_posix()] = path
            if len(files) > MAX_FILES:
                raise InputError(
                    f"{root.name} holds more than {MAX_FILES} files. Choose the capture's own folder."
                )
    if not files:
        raise InputError(f"The folder {root.name} is empty. Choose the one with the pictures.")
    return Source(files)


def _zip(path: Path) -> Source:
    try:
        archive = zipfile.ZipFile(path)
        entries = [e for e in archive.infolist() if not e.is_dir()]
    except Exception as error:  # zipfile raises several kinds for broken files
        raise InputError(
            f"{path.name} isn't a zip, or is damaged ({error}). Pack it again."
        ) from error
    try:
        _check(path.name, entries)
    except InputError:
        archive.close()
        raise
    kept = [e for e in entries if not e.filename.startswith("__MACOSX/")]
    return Source({e.filename: e for e in kept}, archive)


def _check(name: str, entries: list[zipfile.ZipInfo]) -> None:
    """InputError for a zip that no honest person packed."""
    total = sum(e.file_size for e in entries)
    packed = sum(e.compress_size for e in entries)
    if not entries:
        raise InputError(f"{name} is empty. Pack the pictures and their cameras into it.")
    if len(entries) > MAX_FILES:
        raise InputError(f"{name} holds {len(entries)} files, more than {MAX_FILES}. Pack fewer.")
    if total > MAX_BYTES:
        raise InputError(
            f"{name} unpacks to {total / 2**30:.1f} GB, more than {MAX_BYTES / 2**30:.0f} GB. "
            "Pack fewer or smaller pictures."
        )
    if total > 2**25 and total > MAX_RATIO * 0.5 * max(packed, 1):
        raise InputError(
            f"{name} unpacks to {total // max(packed, 1)} times its size, as photos never do. "
            "Pack the pictures themselves."
        )
    for entry in entries:
        parts = entry.filename.replace("\\", "/").split("/")
        if ".." in parts or parts[0] == "" or parts[0][1:2] == ":":
            raise InputError(
                f"{name} holds a file outside its own folder ({entry.filename[:80]}). Pack it again."
            )
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise InputError(
                f"{name} holds a link ({entry.filename[:80]}). Pack the file it points to."
            )
        if entry.flag_bits & 1:
            raise InputError(f"{name} is locked by a password. Pack it without one.")
