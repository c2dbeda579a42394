"""One door for every file: what it holds is found from how it begins, then from its ending.

    scene = load("garden.spz")        # Splats, Cloud or Mesh
    save("garden.ply", scene)         # the ending says how

People rename files, and .ply is a name for three kinds of them, so the first bytes decide where a
format has any that are its own. Three formats have none (.splat, .ksplat, .xyz): there the ending
is believed, and the reader finds out.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from core.geometry import CLOUDS, MESHES, Cloud, Mesh, load_geometry
from core.splats.compressed_ply import is_compressed, load_compressed_ply, save_compressed_ply
from core.splats.dot_splat import load_splat, save_splat
from core.splats.ksplat import load_ksplat
from core.splats.ply import load_ply, read_header, save_ply
from core.splats.sog import META, load_sog
from core.splats.spz import load_spz, save_spz
from core.splats.types import Splats
from core.types import InputError

READ = (".ply", ".splat", ".spz", ".ksplat", ".sog", ".zip",
        *(e for e in dict.fromkeys(MESHES + CLOUDS) if e != ".ply"))  # fmt: skip
WRITERS: dict[str, Callable[[str | Path, Splats], Path]] = {
    ".compressed.ply": save_compressed_ply,  # before .ply, whose ending it has too
    ".ply": save_ply,
    ".splat": save_splat,
    ".spz": save_spz,
}


def load(path: str | Path) -> Splats | Cloud | Mesh:
    """What is in a file, or in a folder of SOG.

    Raises InputError if there is no such file, or it is damaged or of no known kind.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / META).is_file():
            raise InputError(f"{path.name} is a folder without {META}, so it isn't SOG.")
        return load_sog(path)
    try:
        with path.open("rb") as file:
            head = file.read(4)
            if head[:3] == b"ply":
                return _load_ply(path, file)
    except OSError as error:
        raise InputError(f"{path.name} can't be read ({error.strerror}). Choose a file.") from None
    ending = path.suffix.lower()
    if not head:
        raise InputError(f"{path.name} is empty. Choose another file.")
    if head[:2] == b"\x1f\x8b" or head == b"NGSP":
        return load_spz(path)
    if head == b"glTF":
        return load_geometry(path, ".glb")
    if (head == b"PK\x03\x04" and ending != ".3mf") or ending in (".sog", ".zip"):
        return load_sog(path)
    if path.name == META:
        return load_sog(path)
    if ending == ".splat":
        return load_splat(path)
    if ending == ".ksplat":
        return load_ksplat(path)
    if ending == ".ply":
        return load_ply(path)  # which says what is wrong
    if ending == ".spz":
        return load_spz(path)
    if ending in MESHES + CLOUDS:
        return load_geometry(path)
    raise InputError(f"{path.name} is of no kind that can be read. These can: {' '.join(READ)}.")


def _load_ply(path: Path, file: BinaryIO) -> Splats | Cloud | Mesh:
    """3DGS, compressed, points or a surface, as the header's columns say."""
    header = read_header(file, path.name)
    if is_compressed(header):
        return load_compressed_ply(path)
    columns = {name for name, _ in header.elements[0].columns} if header.elements else set()
    if columns & {"f_dc_0", "scale_0", "rot_0"}:
        return load_ply(path)
    return load_geometry(path, ".ply")


def save(path: str | Path, splats: Splats) -> Path:
    """Write splats as .ply, .compressed.ply, .splat or .spz, by the ending.

    Raises InputError for another ending, or if the format can't hold the scene.
    """
    name = Path(path).name.lower()
    for ending, write in WRITERS.items():
        if name.endswith(ending):
            return write(path, splats)
    raise InputError(f"Splats can't be written as {name}. End it with {', '.join(WRITERS)}.")
