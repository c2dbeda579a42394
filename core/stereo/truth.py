"""How right a disparity map is, and the files that known disparities come in.

The usual score is the share of bad pixels: those whose disparity is wrong by more than a
threshold. A pixel without an answer counts as bad, or a method could win by keeping silent.
Where the right camera sees nothing (occluded) no match exists, so errors there are guesses gone
wrong; errors elsewhere are wrong matches. Measures: Scharstein and Szeliski, IJCV 2002 (bad
pixels); Menze and Geiger, CVPR 2015 (D1); Eigen, Puhrsch and Fergus, NIPS 2014 (AbsRel, RMSE, δ₁).
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import BinaryIO

import numpy as np

from core.stereo.types import Truth
from core.types import InputError, Rig

BAD_PX = (0.5, 1, 2, 4)
MAX_PIXELS = 16_000_000  # Middlebury's largest truths have 6 million, Booster's 12
KITTI_STEPS = 256  # a 16-bit PNG's value for one pixel of disparity
PNG, NPY, ZIP = b"\x89PNG\r\n\x1a\n", b"\x93NUMPY", b"PK\x03\x04"
KINDS = "Choose a .pfm, a KITTI 16-bit PNG, a .npy, or an 8-bit PNG with its scale."
PFM_HEAD = re.compile(rb"P[fF]\s+(\d{1,9})\s+(\d{1,9})\s+([-+.0-9eE]{1,30})\s")

SCORE_HELP: dict[str, tuple[str, str, str]] = {
    "bad_0.5": ("Bad 0.5", "Share of pixels off by more than 0.5 px, or without an answer.", ""),
    "bad_1": ("Bad 1", "The same for 1 px.", ""),
    "bad_2": ("Bad 2", "The same for 2 px.", ""),
    "bad_4": ("Bad 4", "The same for 4 px.", ""),
    "nonocc_bad_2": ("Bad 2, seen by both", "Bad 2 over what the right camera sees too.", ""),
    "occ_bad_2": ("Bad 2, occluded", "Bad 2 over what is hidden from the right camera.", ""),
    "valid_bad_0.5": (
        "Bad 0.5, matched",
        "Share of the matched pixels, before filling, off by more than 0.5 px.",
        "",
    ),
    "valid_bad_1": ("Bad 1, matched", "The same for 1 px.", ""),
    "valid_bad_2": ("Bad 2, matched", "The same for 2 px.", ""),
    "valid_bad_4": ("Bad 4, matched", "The same for 4 px.", ""),
    "epe": ("EPE", "End-point error: the answers' mean distance from the truth.", "px"),
    "d1": ("D1", "KITTI's: share off by more than 3 px and 5 %, or without an answer.", ""),
    "density": ("Density", "Share of the picture's pixels that were matched.", ""),
    "abs_rel": ("AbsRel", "Mean error of depth, relative to the true depth.", ""),
    "rmse": ("RMSE", "Root of the mean squared error of depth, in the rig's unit.", ""),
    "delta_1": ("δ₁", "Share of depths within a factor of 1.25 of the truth.", ""),
}
"""Key of a score → its label, one line of meaning, and its unit. Shares lie in [0, 1]."""


def score(
    disparity: np.ndarray, truth: np.ndarray | Truth, occluded: np.ndarray | None = None
) -> dict[str, float]:
    """The scores of disparity (H, W) px against truth (H, W) px; not finite is unknown in both.

    All are taken over pixels whose truth is known, but density. occluded (H, W) bool splits bad_2
    into occ_ and nonocc_; it is the truth's own unless given. NaN where there is nothing to count.
    Raises InputError if the sizes differ.
    """
    if isinstance(truth, Truth):
        occluded = truth.occluded if occluded is None else occluded
        truth = truth.disparity
    disparity, truth = np.asarray(disparity), np.asarray(truth)
    _check_same(disparity, truth, "truth")
    answered, known = np.isfinite(disparity), np.isfinite(truth)
    error = np.full(truth.shape, np.inf)
    both = answered & known
    error[both] = np.abs(disparity[both].astype(np.float64) - truth[both])
    found = {f"bad_{t:g}": _share(error > t, known) for t in BAD_PX}
    if occluded is not None:
        occluded = np.asarray(occluded, bool)
        _check_same(disparity, occluded, "occlusion mask")
        found["nonocc_bad_2"] = _share(error > 2, known & ~occluded)
        found["occ_bad_2"] = _share(error > 2, known & occluded)
    found |= {f"valid_bad_{t:g}": _share(error > t, both) for t in BAD_PX}
    found["epe"] = float(error[both].mean()) if both.any() else math.nan
    with np.errstate(invalid="ignore"):
        off = (error > 3) & (error > 0.05 * np.abs(truth))
    found["d1"] = _share(off, known)
    found["density"] = float(answered.mean()) if answered.size else math.nan
    return found


def depth_score(disparity: np.ndarray, truth: np.ndarray | Truth, rig: Rig) -> dict[str, float]:
    """abs_rel, rmse (in rig.unit) and delta_1 of the depth that disparity (H, W) px means.

    Over pixels where both depths are known; NaN if there are none. Raises InputError if the sizes
    differ.
    """
    from core.stereo.geometry import depth

    truth = truth.disparity if isinstance(truth, Truth) else np.asarray(truth)
    _check_same(np.asarray(disparity), truth, "truth")
    found, true = (depth(d, rig).astype(np.float64) for d in (disparity, truth))
    both = np.isfinite(found) & np.isfinite(true)
    if not both.any():
        return dict.fromkeys(("abs_rel", "rmse", "delta_1"), math.nan)
    found, true = found[both], true[both]
    return {
        "abs_rel": float(np.mean(np.abs(found - true) / true)),
        "rmse": float(np.sqrt(np.mean((found - true) ** 2))),
        "delta_1": float(np.mean(np.maximum(found / true, true / found) < 1.25)),
    }


def _share(which: np.ndarray, among: np.ndarray) -> float:
    return float(which[among].mean()) if among.any() else math.nan


def _check_same(disparity: np.ndarray, other: np.ndarray, name: str) -> None:
    if disparity.ndim == 2 and disparity.shape == other.shape:
        return
    size, its = ("×".join(map(str, array.shape[::-1])) for array in (disparity, other))
    raise InputError(
        f"The {name} is {its} px, the disparity map {size} px. Give the {name} of this picture, "
        "in its size."
    )


# ---------------------------------------------------------------- files


def load_truth(path: str | Path, name: str = "The truth file", scale: float = 0.0) -> Truth:
    """The disparities that a file holds, in px of the left picture. occluded is None.

    .pfm: rows from the bottom up, the sign of its scale tells the byte order (its size is ignored,
    as Middlebury's own reader does), inf is unknown. 16-bit PNG: KITTI's, value / 256, 0 unknown.
    .npy: (H, W) numbers, not finite is unknown. 8-bit PNG or binary PGM: value / scale, 0 unknown;
    Middlebury's have scale 16, 8, 4, 3, 2 or 1, which only the person knows.
    What kind it is, the content tells, not the name. Raises InputError for anything else.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{name}: there is no file {path.name}. Choose it again.")
    if not path.is_file():
        raise InputError(f"{name}: {path.name} is a folder. {KINDS}")
    try:
        with path.open("rb") as file:
            values = _read(file, path.stat().st_size, name, scale)
    except OSError as error:
        why = error.strerror or "it is damaged"
        raise InputError(f"{name} can't be read: {why}. Save it again.") from error
    return Truth(_checked(values, name))


def _read(file: BinaryIO, size: int, name: str, scale: float) -> np.ndarray:
    head = file.read(256)
    file.seek(0)
    if not head:
        raise InputError(f"{name} is empty. {KINDS}")
    if head.startswith(NPY):
        return _read_npy(file, size, name)
    if head[:2] in (b"Pf", b"PF"):
        return _read_pfm(file, size, head, name)
    if head.startswith(PNG) or head[:2] == b"P5":
        return _read_picture(file, head, name, scale)
    if head.startswith(ZIP):
        raise InputError(f"{name} is an archive. Save one array in it with numpy.save, as .npy.")
    raise InputError(f"{name} holds no disparities that can be read. {KINDS}")


def _read_pfm(file: BinaryIO, size: int, head: bytes, name: str) -> np.ndarray:
    found = PFM_HEAD.match(head)
    try:
        scale = float(found[3]) if found else 0.0
    except ValueError:
        scale = 0.0
    if found is None or scale == 0 or not math.isfinite(scale):
        raise InputError(
            f"{name} begins like a .pfm, but its width, height or scale can't be read. "
            "Save it again."
        )
    if head[1:2] == b"F":
        raise InputError(
            f"{name} is a colour .pfm with three numbers for each pixel. Save disparities with one."
        )
    width, height = int(found[1]), int(found[2])
    _check_pixels((height, width), name)
    start, bytes_ = found.end(), 4 * width * height
    if head[start - 1 : start + 1] == b"\r\n" and size == start + 1 + bytes_:
        start += 1
    _check_bytes(size - start, bytes_, f"{width}×{height}", name)
    file.seek(start)
    values = np.fromfile(file, "<f4" if scale < 0 else ">f4", width * height)
    return values.reshape(height, width)[::-1]


def _read_npy(file: BinaryIO, size: int, name: str) -> np.ndarray:
    from numpy.lib import format

    try:
        version = format.read_magic(file)
        read = {(1, 0): format.read_array_header_1_0, (2, 0): format.read_array_header_2_0}[version]
        shape, fortran, kind = read(file, max_header_size=2000)
    except Exception as error:  # its parser raises half a dozen kinds
        raise InputError(
            f"{name} begins like a .npy, but its header can't be read. Save it again."
        ) from error
    if kind.hasobject or kind.kind not in "fiu":
        raise InputError(f"{name} holds {_plain(kind)}, not numbers. Save disparities as float32.")
    if len(shape) == 3 and 1 in (shape[0], shape[2]):
        shape = shape[1:] if shape[0] == 1 else shape[:2]
    if len(shape) != 2:
        raise InputError(
            f"{name} has {len(shape)} axes. Save one number for each pixel: height × width."
        )
    _check_pixels(shape, name)
    count = math.prod(shape)
    size_px = f"{shape[1]}×{shape[0]}"
    _check_bytes(size - file.tell(), count * kind.itemsize, size_px, name)
    return np.fromfile(file, kind, count).reshape(shape, order="F" if fortran else "C")


def _plain(kind: np.dtype) -> str:
    names = {"O": "pickled objects", "b": "yes or no", "c": "complex numbers"}
    return names.get(kind.kind, "text or records")


def _read_picture(file: BinaryIO, head: bytes, name: str, scale: float) -> np.ndarray:
    import warnings

    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file, formats=("PNG", "PPM")) as image:
                _check_pixels((image.height, image.width), name)
                if image.mode not in ("L", "1") and not image.mode.startswith("I"):
                    image = image.convert("RGB")
                image.load()
                values = np.asarray(image)
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise InputError(_too_large(name)) from None
    except Exception as error:  # PIL raises a dozen kinds for broken files
        raise InputError(f"{name} is a damaged picture. Save it again.") from error
    if values.ndim == 3:
        deep = head.startswith(PNG) and head[24] == 16
        if deep or (values != values[..., :1]).any():
            raise InputError(
                f"{name} is a colour picture, so its colours don't say which disparity they mean. "
                "Give the grey one with the numbers."
            )
        values = values[..., 0]
    if values.dtype.itemsize > 1:
        scale = KITTI_STEPS
    elif not (math.isfinite(scale) and scale > 0):
        raise InputError(
            f"{name} is an 8-bit picture. Give its scale, the value that stands for one pixel of "
            "disparity: often 4, 8 or 16; the data set's page says which."
        )
    values = values.astype(np.float32)
    return np.where(values > 0, values / scale, np.nan)


def _check_pixels(shape: tuple[int, ...], name: str) -> None:
    if min(shape) < 1:
        raise InputError(f"{name} is {shape[1]}×{shape[0]} px, so it is empty. {KINDS}")
    if math.prod(shape) > MAX_PIXELS:
        raise InputError(_too_large(name))


def _too_large(name: str) -> str:
    return f"{name} has more than {MAX_PIXELS / 1e6:.0f} megapixels. Make it smaller first."


def _check_bytes(there: int, needed: int, size: str, name: str) -> None:
    if there != needed:
        much = "less" if there < needed else "more"
        raise InputError(
            f"{name} says it is {size} px but holds {much} data than that. Save or copy it again."
        )


def _checked(values: np.ndarray, name: str) -> np.ndarray:
    """Values (H, W) as float32 with NaN for whatever isn't finite."""
    with np.errstate(over="ignore"):
        disparity = values.astype(np.float32)
    disparity[~np.isfinite(disparity)] = np.nan
    known = np.abs(disparity[np.isfinite(disparity)])
    if not known.size:
        raise InputError(f"{name} knows no pixel: all are NaN, infinite or 0. Choose another one.")
    typical, width = float(np.median(known)), disparity.shape[1]
    if typical > width:
        raise InputError(
            f"{name} holds numbers like {typical:.3g} in a picture {width} px wide, so they can't "
            "be disparities. Give disparities in pixels, not depths; of an 8-bit picture, check "
            "the scale."
        )
    return np.ascontiguousarray(disparity)


def write_pfm(disparity: np.ndarray, path: str | Path, *, big_endian: bool = False) -> Path:
    """disparity (H, W) px as .pfm, float32, unknown as inf; `load_truth` reads it back exactly."""
    path = Path(path)
    values = np.where(np.isfinite(disparity), disparity, np.inf).astype(
        ">f4" if big_endian else "<f4"
    )
    height, width = values.shape
    head = f"Pf\n{width} {height}\n{1 if big_endian else -1}\n".encode()
    path.write_bytes(head + values[::-1].tobytes())
    return path


def write_png16(disparity: np.ndarray, path: str | Path) -> Path:
    """disparity (H, W) px as KITTI's 16-bit PNG: in steps of 1/256 px, 0 unknown.

    A disparity of 0 is written as 1/256. Negative ones and those from 256 px on don't fit the
    format and are written as unknown.
    """
    from PIL import Image

    path = Path(path)
    with np.errstate(invalid="ignore", over="ignore"):
        steps = np.rint(np.asarray(disparity, np.float64) * KITTI_STEPS)
        fits = (steps >= 0) & (steps < 2**16)
    Image.fromarray(np.where(fits, np.maximum(steps, 1), 0).astype(np.uint16)).save(path, "PNG")
    return path
