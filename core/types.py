"""The few types every topic shares, and the conventions they carry.

Conventions
    pictures   RGB uint8 (H, W, 3) at the door, float32 in [0, 1] inside
    pixels     x right, y down; the centre of the first pixel is (0.5, 0.5)
    cameras    OpenCV axes: x right, y down, z forward; converted at file formats' doors
    units      metres, seconds, degrees, pixels; names carry them (`depth_m`, `fov_deg`)
    rotations  quaternions w x y z
    two views  0 and 1, or left and right for stereo
    unknown    NaN
    chance     every random choice takes a seed
"""

from __future__ import annotations

import dataclasses
import math
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np


class InputError(ValueError):
    """The person can fix this. The text is shown as written and says what to do next."""


class Unavailable(RuntimeError):
    """Weights, a GPU, the network or a package is missing. The text says what still works."""


class Progress(Protocol):
    """How far a call has come: `progress(0.4, desc="matching")`. `gr.Progress` fits."""

    def __call__(self, fraction: float, /, desc: str = "") -> Any: ...


def silent(fraction: float, /, desc: str = "") -> None:
    """A progress that tells nobody."""


@dataclass(frozen=True)
class Snapshot:
    """One state of long work. Topics extend it; a generator of them is the work itself.

    step of total steps, counted from 1; seconds since the work began.
    """

    step: int
    total: int
    seconds: float


# ---------------------------------------------------------------- settings


def setting(
    default: Any,
    label: str,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    step: float | None = None,
    choices: Mapping[str, str] | None = None,
    unit: str = "",
    advanced: bool = False,
    shown: bool = True,
) -> Any:
    """A field of a settings dataclass, with all that a page needs to draw it.

    choices maps key to title. advanced fields stand under "More". A field that is not shown
    is set by a widget of the tab's own (a dragged corner), not by an automatic control.
    """
    about = {
        "label": label, "help": help, "minimum": minimum, "maximum": maximum, "step": step,
        "choices": choices, "unit": unit, "advanced": advanced, "shown": shown,
    }  # fmt: skip
    return field(default=default, metadata=about)


@dataclass(frozen=True)
class Settings:
    """Base of every settings dataclass: checks each field against its own metadata."""

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            value = _converted(getattr(self, f.name), f)
            object.__setattr__(self, f.name, value)


def _converted(value: Any, f: dataclasses.Field) -> Any:
    """`value` in the field's own type, or InputError if it is out of range or no choice."""
    about, default = f.metadata, f.default
    label = about["label"]
    try:
        if isinstance(default, bool):
            if not isinstance(value, bool | np.bool_):
                raise TypeError
            value = bool(value)
        elif isinstance(default, int):
            if not math.isfinite(value) or int(value) != value:
                raise TypeError
            value = int(value)
        elif isinstance(default, float):
            value = float(value)
        elif isinstance(default, tuple):
            value = tuple(float(v) for v in value)
            if value and default and len(value) != len(default):
                raise TypeError
        elif not isinstance(value, str):
            raise TypeError
    except (TypeError, ValueError, OverflowError):
        given = "empty" if value is None else reprlib.repr(value)
        raise InputError(f"{label} can't be {given}. Give a value like {default!r}.") from None
    numbers: tuple[Any, ...] = value if isinstance(value, tuple) else (value,)
    if not isinstance(default, str | bool):
        low, high, unit = about["minimum"], about["maximum"], about["unit"]
        for number in numbers:
            if (
                not math.isfinite(number)
                or (low is not None and number < low)
                or (high is not None and number > high)
            ):
                raise InputError(
                    f"{label} is {number:.10g}, outside {low:.10g} to {high:.10g} {unit}".rstrip()
                    + ". Choose a value in that range."
                    if low is not None and high is not None
                    else f"{label} is {number:g}. Give a finite number."
                )
    if about["choices"] is not None and value not in about["choices"]:
        given, known = reprlib.repr(value), ", ".join(about["choices"])
        raise InputError(f"{label} has no choice {given}. Choose one of: {known}.")
    return value


# ---------------------------------------------------------------- cameras and views


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    K (3, 3) float64 in pixels; c2w (4, 4) float64, camera to world, OpenCV axes, metres;
    width and height in pixels.
    """

    K: np.ndarray
    c2w: np.ndarray
    width: int
    height: int

    def __post_init__(self) -> None:
        for name, shape in (("K", (3, 3)), ("c2w", (4, 4))):
            array = np.asarray(getattr(self, name), np.float64)
            if array.shape != shape or not np.isfinite(array).all():
                raise InputError(
                    f"A camera's {name} is {shape[0]}×{shape[1]} finite numbers; "
                    f"this one is {array.shape}."
                )
            object.__setattr__(self, name, array)
        if self.width < 1 or self.height < 1:
            raise InputError(f"A camera of {self.width}×{self.height} px sees nothing.")


@dataclass(frozen=True)
class Rig:
    """A rectified stereo rig: both cameras look the same way, the right one `baseline` to the
    right of the left one.

    focal_px and the left camera's principal point cx, cy in pixels; baseline in `unit`, and so
    is every depth that comes of it; doffs_px is the right principal point's x minus the left
    one's; focal_y_px is focal_px unless given.
    """

    focal_px: float
    baseline: float
    cx: float
    cy: float
    doffs_px: float = 0.0
    unit: str = "m"
    focal_y_px: float = 0.0

    def __post_init__(self) -> None:
        if not self.focal_y_px:
            object.__setattr__(self, "focal_y_px", self.focal_px)
        if self.unit not in METRES:
            known = ", ".join(METRES)
            raise InputError(f"A rig has no unit {self.unit!r}. Choose one of: {known}.")
        for name, value in (("focal length", self.focal_px), ("baseline", self.baseline)):
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"The rig's {name} is {value:g}. Give a number above 0.")
        if not all(map(math.isfinite, (self.cx, self.cy, self.doffs_px, self.focal_y_px))):
            raise InputError("The rig's principal point isn't finite. Give two numbers in pixels.")

    @property
    def baseline_m(self) -> float:
        """The baseline in metres."""
        return self.baseline * METRES[self.unit]


METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254, "ft": 0.3048}


@dataclass(frozen=True)
class View:
    """What a camera sees. rgb (H, W, 3) uint8; depth_m (H, W) float32 along z, NaN where nothing."""

    rgb: np.ndarray
    depth_m: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.rgb.dtype != np.uint8 or self.rgb.ndim != 3 or self.rgb.shape[2] != 3:
            raise InputError(
                f"A view is RGB uint8 (H, W, 3), not {self.rgb.dtype} {self.rgb.shape}."
            )
        if self.depth_m is not None and self.depth_m.shape != self.rgb.shape[:2]:
            raise InputError(f"Depth {self.depth_m.shape} does not fit the view {self.rgb.shape}.")

    @property
    def depth(self) -> np.ndarray | None:
        """The same as depth_m."""
        return self.depth_m


RenderFn = Callable[[Camera], View]


@dataclass(frozen=True)
class Compared(Snapshot):
    """One method's answer in a comparison: its name, a picture (RGB uint8), and its scores."""

    name: str
    picture: np.ndarray
    scores: Mapping[str, float]
