"""Rigs and calibrations as files: Middlebury's calib.txt, OpenCV's YAML and XML, and JSON.

OpenCV and Middlebury give the first pixel's centre the coordinate 0; here it is 0.5, so half a
pixel is added to every principal point on the way in and taken off on the way out. Our own JSON
keeps 0.5.
"""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from core.stereo.rigtext import Values, numbers, parsed, plain
from core.stereo.types import Calibration
from core.types import METRES, InputError, Rig

MAX_BYTES = 500_000  # a calibration has a few thousand
Cameras = TypeVar("Cameras", Rig, Calibration)
HALF = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])  # from OpenCV's principal point to ours
CONTENTS = (
    "Choose a Middlebury calib.txt, an OpenCV YAML or XML file with K1, K2, R and T (or P1 and "
    "P2, or Q), or a rig saved here."
)

# What the left and the right camera's matrices are called, written small without _ and -.
# Cameras counted from 0 come first: beside K0, K1 is the right one.
MATRICES = (
    ("k0", "k1"), ("k1", "k2"), ("m1", "m2"), ("m0", "m1"), ("cameramatrix1", "cameramatrix2"),
    ("cameramatrixleft", "cameramatrixright"), ("leftcameramatrix", "rightcameramatrix"),
    ("kleft", "kright"), ("leftk", "rightk"), ("kl", "kr"), ("ml", "mr"), ("mtxl", "mtxr"),
    ("intrinsics1", "intrinsics2"), ("cameramatrixl", "cameramatrixr"),
)  # fmt: skip
DISTORTIONS = (
    ("d0", "d1"), ("d1", "d2"), ("dist0", "dist1"), ("dist1", "dist2"), ("distl", "distr"),
    ("dl", "dr"), ("dleft", "dright"), ("distcoeffs1", "distcoeffs2"), ("distcoef1", "distcoef2"),
    ("distcoeffsleft", "distcoeffsright"), ("distortion0", "distortion1"),
    ("distortion1", "distortion2"), ("distcoeffsl", "distcoeffsr"),
    ("distortioncoefficients1", "distortioncoefficients2"),
    ("leftdistcoeffs", "rightdistcoeffs"), ("leftdistortion", "rightdistortion"),
)  # fmt: skip
PROJECTIONS = (("p0", "p1"), ("p1", "p2"), ("pl", "pr"), ("pleft", "pright"), ("leftp", "rightp"))
ROTATION, TRANSLATION = ("r", "rotation", "rotationmatrix"), ("t", "translation")
WIDTH, HEIGHT = ("width", "imagewidth"), ("height", "imageheight")
SIZE, UNIT, RMS = ("imagesize", "size"), ("unit", "units"), ("rmspx", "rms", "reprojectionerror")


def read_rig(
    source: str | Path, name: str = "The calibration file", unit: str = "m"
) -> Rig | Calibration:
    """A `Rig` if the file describes rectified pictures, a `Calibration` if raw ones.

    source is a path or the text itself. Where a file holds both, the calibration counts: rectify
    with it. unit is that of an OpenCV file that doesn't name one (Middlebury: always mm); such a
    file may not say the size of the pictures either, which is then (0, 0).
    Raises InputError with a plain sentence for whatever isn't a usable calibration.
    """
    text = _text(source, name)
    if not text.strip():
        raise InputError(f"{name} is empty. {CONTENTS}")
    try:
        values, kind = parsed(text)
        if kind == "middlebury":
            return _middlebury(values)
        if "kind" in values:
            return _ours(values)
        return _opencv(values, unit)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def write_rig(rig: Rig | Calibration, path: str | Path) -> Path:
    """Write a `Rig` as JSON, or a `Calibration` as OpenCV's YAML (XML if path ends in .xml).

    `read_rig` gives back exactly the same numbers.
    """
    path = Path(path)
    if isinstance(rig, Rig):
        about = {"kind": "sightline-rig", "first_pixel_centre": 0.5, **dataclasses.asdict(rig)}
        path.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        return path
    import cv2

    ending = ".xml" if path.suffix.lower() == ".xml" else ".yml"
    storage = cv2.FileStorage(ending, cv2.FILE_STORAGE_WRITE | cv2.FILE_STORAGE_MEMORY)
    for key, value in (
        ("image_width", int(rig.size[0])), ("image_height", int(rig.size[1])), ("unit", rig.unit),
        ("K1", rig.K0 - HALF), ("D1", np.atleast_2d(rig.distortion0)),
        ("K2", rig.K1 - HALF), ("D2", np.atleast_2d(rig.distortion1)),
        ("R", rig.R), ("T", np.reshape(rig.t, (3, 1))), ("rms_px", float(rig.rms_px)),
    ):  # fmt: skip
        storage.write(key, np.ascontiguousarray(value) if np.ndim(value) else value)
    path.write_text(storage.releaseAndGetString(), encoding="utf-8")
    return path


def scaled(rig: Cameras, factor: float | tuple[float, float] | np.ndarray) -> Cameras:
    """The same cameras for pictures resized by factor, or by its (x, y). Lengths stay.

    Since pixel edges lie at whole numbers, every pixel quantity is simply multiplied.
    Raises InputError for a factor that isn't above 0.
    """
    fx, fy = (float(f) for f in np.broadcast_to(factor, 2))
    if not (math.isfinite(fx) and math.isfinite(fy) and fx > 0 and fy > 0):
        raise InputError(f"Pictures can't be scaled by {fx:g} × {fy:g}. Give a factor above 0.")
    if isinstance(rig, Rig):
        return dataclasses.replace(
            rig, focal_px=rig.focal_px * fx, focal_y_px=rig.focal_y_px * fy,
            cx=rig.cx * fx, cy=rig.cy * fy, doffs_px=rig.doffs_px * fx,
        )  # fmt: skip
    by = np.array([[fx], [fy], [1.0]])
    size = round(rig.size[0] * fx), round(rig.size[1] * fy)
    return dataclasses.replace(rig, K0=rig.K0 * by, K1=rig.K1 * by, size=size)


def _text(source: str | Path, name: str) -> str:
    if isinstance(source, str) and (not source.strip() or any(sign in source for sign in "\n{<")):
        data = source.encode("utf-8", "replace")
    else:
        try:
            with Path(source).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except (OSError, ValueError, TypeError):
            raise InputError(f"{name} can't be opened. Choose it again.") from None
    if len(data) > MAX_BYTES:
        raise InputError(f"{name} is over half a megabyte, too long for a calibration. {CONTENTS}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InputError(f"{name} isn't text. {CONTENTS}")
    return text


# ---------------------------------------------------------------- from names to cameras


def _middlebury(values: Values) -> Rig:
    cameras = []
    for key in ("cam0", "cam1"):
        words = values.get(key, "").strip("[] \t").replace(";", " ").split()
        if len(words) != 9:
            raise InputError(f"{key} isn't a 3×3 matrix. Save the file again.")
        cameras.append(_camera(numbers(key, words).reshape(3, 3), key) + HALF)
    if "baseline" not in values:
        raise InputError("the baseline is missing. Add a line like baseline=193.001 (in mm).")
    between = cameras[1][0, 2] - cameras[0][0, 2]
    doffs = _number(values, "doffs", between)
    if abs(doffs - between) > 0.5:
        raise InputError(
            f"doffs is {doffs:g} px, but the principal points lie {between:g} px apart. Check "
            "which of them fits the pictures' size."
        )
    left = cameras[0]
    return _rig(left, _number(values, "baseline"), doffs, "mm")


def _ours(values: Values) -> Rig:
    names = {plain(f.name): f.name for f in dataclasses.fields(Rig)}
    missing = [name for key, name in names.items() if key not in values]
    if values["kind"] != "sightline-rig" or missing:
        raise InputError(f"{', '.join(missing) or 'a known kind'} is missing. {CONTENTS}")
    found = {name: _number(values, key) for key, name in names.items() if name != "unit"}
    if found["focal_y_px"] <= 0:
        raise InputError("the vertical focal length isn't above 0. Save the rig again.")
    return Rig(unit=_unit(values, ""), **found)


def _opencv(values: Values, unit: str) -> Rig | Calibration:
    unit = _unit(values, unit)
    cameras = _pair(values, MATRICES)
    R, t = _first(values, ROTATION), _first(values, TRANSLATION)
    if cameras and R is not None and t is not None:
        K0, K1 = (_camera(K, f"camera matrix {n}") + HALF for n, K in enumerate(cameras, 1))
        R, t = _rotation(R), _array(t, "T")
        if t.size != 3 or not np.linalg.norm(t) > 0:
            raise InputError("T isn't the three numbers from one camera to the other. Calibrate.")
        d0, d1 = (_distortion(d) for d in _pair(values, DISTORTIONS) or ((), ()))
        rms = _number(values, next((k for k in RMS if k in values), ""), math.nan)
        return Calibration(K0, K1, d0, d1, R, t.ravel(), _size(values), unit, rms)
    projections = _pair(values, PROJECTIONS)
    if projections:
        return _from_projections(*projections, unit)
    if "q" in values:
        return _from_q(_array(values["q"], "Q"), unit)
    if cameras:
        raise InputError(
            "R and T are missing: how the cameras stand to each other. Put them in the same file."
        )
    raise InputError(f"no calibration is in it. {CONTENTS}")


def _from_projections(first: Any, second: Any, unit: str) -> Rig:
    """From the matrices (3, 4) of `stereoRectify`: P2[0, 3] = −f b."""
    P1, P2 = _array(first, "P1"), _array(second, "P2")
    if P1.shape != (3, 4) or P2.shape != (3, 4):
        raise InputError(f"P1 and P2 are 3×4, not {P1.shape} and {P2.shape}. Save them again.")
    left, right = _camera(P1[:, :3], "P1"), _camera(P2[:, :3], "P2")
    if abs(P2[1, 3]) > abs(P2[0, 3]):
        raise InputError("one camera stands above the other. Turn the pictures by 90° first.")
    doffs = right[0, 2] - left[0, 2]
    return _rig(left + HALF, (P1[0, 3] - P2[0, 3]) / left[0, 0], doffs, unit)


def _from_q(Q: np.ndarray, unit: str) -> Rig:
    """From the matrix (4, 4) that takes (u, v, d, 1) to space: its last row is 1/b, doffs/b."""
    if Q.shape != (4, 4) or Q[3, 2] == 0:
        raise InputError("Q isn't the 4×4 matrix of stereoRectify. Save it again.")
    f, b = Q[2, 3], 1 / Q[3, 2]
    left = _camera(np.array([[f, 0, -Q[0, 3]], [0, f, -Q[1, 3]], [0, 0, 1]]), "Q") + HALF
    return _rig(left, b, Q[3, 3] * b, unit)


def _rig(left: np.ndarray, baseline: float, doffs: float, unit: str) -> Rig:
    if not baseline > 0:
        raise InputError(
            f"the baseline is {baseline:g}: the right camera would stand on the left. Swap the "
            "two cameras in the file, and the pictures."
        )
    f, cx, cy, fy = (float(left[at]) for at in ((0, 0), (0, 2), (1, 2), (1, 1)))
    return Rig(f, float(baseline), cx, cy, float(doffs), unit, fy)


# ---------------------------------------------------------------- checks


def _camera(K: Any, name: str) -> np.ndarray:
    K = _array(K, name)
    if K.shape != (3, 3):
        raise InputError(f"{name} is 3×3, not {'×'.join(map(str, K.shape))}. Save it again.")
    if not (K[0, 0] > 0 and K[1, 1] > 0):
        raise InputError(
            f"{name} has the focal lengths {K[0, 0]:g} and {K[1, 1]:g}. Give lengths above 0."
        )
    if max(K[0, 0], K[1, 1]) > 1e7 or np.abs(K[:2, 2]).max() > 1e7:
        raise InputError(f"{name} isn't in pixels: its numbers are too large. Save it again.")
    if np.abs(K[2] - (0, 0, 1)).max() > 1e-6 or abs(K[1, 0]) > 1e-6:
        raise InputError(f"{name} isn't a camera matrix: its last row is 0 0 1. Save it again.")
    return K


def _rotation(R: Any) -> np.ndarray:
    R = _array(R, "R")
    if R.size == 3:
        import cv2

        R = cv2.Rodrigues(R.ravel())[0]
    if R.shape != (3, 3) or np.abs(R @ R.T - np.eye(3)).max() > 1e-3 or np.linalg.det(R) < 0:
        raise InputError("R isn't a rotation. Save the calibration again.")
    return R


def _distortion(d: Any) -> np.ndarray:
    d = _array(d, "a distortion").ravel()
    if d.size not in (0, 4, 5, 8, 12, 14) or np.abs(d).max(initial=0) > 1e4:
        raise InputError(
            f"a distortion has {d.size} numbers; OpenCV's has 4, 5, 8, 12 or 14. Calibrate again."
        )
    return d if d.size else np.zeros(5)


def _size(values: Values) -> tuple[int, int]:
    size = _first(values, SIZE)
    if size is None:
        keys = [next((k for k in names if k in values), "") for names in (WIDTH, HEIGHT)]
        size = [_number(values, key, 0) for key in keys]
    size = _array(size, "the pictures' size").ravel()
    if size.size != 2 or (size < 0).any() or (size > 100_000).any() or (size != size.round()).any():
        raise InputError("the pictures' size isn't a width and a height in pixels. Correct it.")
    return int(size[0]), int(size[1])


def _unit(values: Values, default: str) -> str:
    unit = _first(values, UNIT) or default
    if not isinstance(unit, str) or unit not in METRES:
        raise InputError(
            f"the unit {str(unit)[:20]!r} isn't known. Use one of: {', '.join(METRES)}."
        )
    return unit


def _number(values: Values, key: str, default: float | None = None) -> float:
    value = values.get(key, default)
    try:
        if isinstance(value, bool) or value is None:
            raise ValueError
        number = float(numbers(key, [value])[0] if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{key} isn't a number. Correct it in the file.") from None
    if not math.isfinite(number) and key not in RMS and key:
        raise InputError(f"{key} isn't finite. Correct it in the file.")
    return number


def _array(value: Any, name: str) -> np.ndarray:
    if isinstance(value, InputError):
        raise value
    try:
        array = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{name} isn't made of numbers. Save the calibration again.") from None
    if not np.isfinite(array).all():
        raise InputError(f"{name} holds NaN or infinite numbers. Calibrate again.")
    return array


def _first(values: Values, names: tuple[str, ...]) -> Any:
    return next((values[name] for name in names if name in values), None)


def _pair(values: Values, names: tuple[tuple[str, str], ...]) -> tuple[Any, Any] | None:
    both = ((values[a], values[b]) for a, b in names if a in values and b in values)
    return next(both, None)
