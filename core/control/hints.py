"""Control maps: what is kept of a picture, so that a new one can be painted on it.

A control net sees a map, not the picture, and each net learned from one kind of map. `hint` makes
each kind; `check` refuses a map that a net never saw the like of; `fitted` brings it to the net's
size without losing its lines. What a rendered scene knows is taken from it, exact; the rest is
estimated, by a formula or by a network, and `note` says how.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from core.control import hub_maps, lines, relief
from core.control.fitting import check, fitted
from core.control.types import Hint, HintSettings
from core.images import as_rgb, fit
from core.models import ModelSpec
from core.types import Camera, InputError, Progress, silent

if TYPE_CHECKING:
    from core.scenes.render import SceneView

__all__ = [
    "EXACT", "OFFLINE", "all_hints", "check", "exact_hints", "fitted", "hint", "is_drawing",
    "networks", "scene_hints",
]  # fmt: skip

EXACT = ("edges", "depth", "segmentation", "normals")  # what a rendered scene knows
OFFLINE = ("edges", "soft", "scribble", "lineart", "lines", "colours", "tile", "map")
MAX_SIDE_PX = 2048  # the largest picture that can be generated; no map needs more


def hint(
    image: object,
    settings: HintSettings = HintSettings(),
    *,
    scene: tuple[SceneView, Camera] | None = None,
    depth: np.ndarray | None = None,
    inverse: bool = False,
    progress: Progress = silent,
) -> Hint:
    """The control map of a picture: settings.kind of it, of the picture's size.

    image is anything `as_rgb` takes; longer sides than MAX_SIDE_PX are reduced to it. scene: the
    view and camera that rendered it, whose truth then is the map, exact, for the kinds of EXACT;
    image may be None. depth (H, W): metres, or with inverse=True their inverse up to scale and
    shift, as the Stereo tab gives them, for depth and normals; NaN is unknown and filled from the
    nearest known pixel.
    Raises InputError for a picture or depth that can't be used; Unavailable if the kind needs a
    network that isn't here.
    """
    if scene is not None:
        image = scene[0].rgb if image is None else image
        rgb = as_rgb(image)
        if rgb.shape != scene[0].rgb.shape:
            raise InputError(
                f"The picture is {_size(rgb)}, the scene was rendered at {_size(scene[0].rgb)}. "
                "Use the scene's own picture."
            )
        if settings.kind in EXACT:
            return exact_hints(*scene)[settings.kind]
    rgb, factors = fit(as_rgb(image), MAX_SIDE_PX)
    if settings.kind in ("depth", "normals"):
        made = _relief(rgb, settings.kind, depth, inverse, progress)
    else:
        made = _MAKERS[settings.kind](rgb, settings, progress)
    if factors.min() < 1:
        made = replace(made, note=f"Made of the picture at {_size(rgb)}. {made.note}".strip())
    return made


def all_hints(
    image: object,
    settings: HintSettings = HintSettings(),
    *,
    depth: np.ndarray | None = None,
    inverse: bool = False,
) -> dict[str, Hint]:
    """Every map of one picture that needs no network, by kind; with `depth` also depth and
    normals."""
    kinds = OFFLINE if depth is None else (*OFFLINE, "depth", "normals")
    rgb = as_rgb(image)
    return {
        kind: hint(rgb, replace(settings, kind=kind), depth=depth, inverse=inverse)
        for kind in kinds
    }


def scene_hints(
    view: SceneView, camera: Camera, settings: HintSettings = HintSettings()
) -> dict[str, Hint]:
    """Every map of a rendered scene, by kind: exact ones from its truth, the rest from its
    picture."""
    found = {kind: h for kind, h in all_hints(view.rgb, settings).items() if kind != "map"}
    return found | exact_hints(view, camera)


def exact_hints(view: SceneView, camera: Camera) -> dict[str, Hint]:
    """The maps of a rendered scene that its truth tells, those of EXACT, by kind."""
    from core.scenes.control import maps

    made = maps(view, camera)
    grey = {"edges": made["edges"], "depth": (made["depth"] * 255).round().astype(np.uint8)}
    colour = {kind: made[kind] for kind in ("segmentation", "normals")}
    note = "Exact, from the rendered scene."
    return {
        kind: Hint(array if array.ndim == 3 else _rgb(array), kind, True, note)
        for kind, array in (grey | colour).items()
    }


def networks(kind: str) -> tuple[ModelSpec, ...]:
    """The networks that find a map of this kind in a photo. Without the first there is none; the
    second makes it better."""
    from core.stereo.mono import MODELS as MONO

    if kind in ("depth", "normals"):
        return (MONO["depth-anything"],)
    keys = {"segmentation": ("upernet",), "pose": ("vitpose", "rt-detr")}
    return tuple(hub_maps.MODELS[key] for key in keys.get(kind, ()))


# ---------------------------------------------------------------- one kind each


def _edges(rgb: np.ndarray, settings: HintSettings, progress: Progress) -> Hint:
    made = lines.canny(rgb, settings.low, settings.high, settings.blur_px)
    note = f"Canny, {settings.low} and {settings.high}, after a blur of {settings.blur_px:g} px."
    if settings.low > settings.high:
        note += " The larger threshold was taken as the strong one."
    if is_drawing(rgb):
        note += " This is a drawing: Canny finds both sides of each stroke, Scribble its strokes."
    return Hint(_rgb(made), "edges", note=note)


def _soft(rgb: np.ndarray, settings: HintSettings, progress: Progress) -> Hint:
    return Hint(_rgb(lines.soft(rgb)), "soft", note="Edges that persist at three scales.")


def _drawn(kind: str, make: Callable[[np.ndarray], np.ndarray], how: str) -> Callable[..., Hint]:
    """A maker of strokes that takes a drawing's own strokes as they are."""

    def made(rgb: np.ndarray, settings: HintSettings, progress: Progress) -> Hint:
        if is_drawing(rgb):
            array, turned = _strokes(rgb, settings.invert)
            return Hint(_rgb(array.max(2)), kind, note=f"The drawing's own strokes.{turned}")
        return Hint(_rgb(make(rgb)), kind, note=how)

    return made


def _straight(rgb: np.ndarray, settings: HintSettings, progress: Progress) -> Hint:
    return Hint(_rgb(lines.straight(rgb)), "lines", note="Straight segments, found by LSD.")


def _colours(rgb: np.ndarray, settings: HintSettings, progress: Progress) -> Hint:
    import cv2

    small = _cells(rgb, settings.cells)
    size = rgb.shape[1], rgb.shape[0]
    made = cv2.resize(small, size, interpolation=cv2.INTER_NEAREST_EXACT)
    return Hint(made, "colours", note=f"The mean colour of {_size(small, 'cells')}.")


def _tile(rgb: np.ndarray, settings: HintSettings, progress: Progress) -> Hint:
    import cv2

    small = _cells(rgb, settings.cells)
    made = cv2.resize(small, (rgb.shape[1], rgb.shape[0]), interpolation=cv2.INTER_LINEAR)
    return Hint(made, "tile", note=f"The picture reduced to {_size(small)} and enlarged again.")


def _as_is(rgb: np.ndarray, settings: HintSettings, progress: Progress) -> Hint:
    array, turned = _strokes(rgb, settings.invert)
    return Hint(array, "map", note=f"The map as it is.{turned}")


def _segmentation(rgb: np.ndarray, settings: HintSettings, progress: Progress) -> Hint:
    made, note = hub_maps.segments(rgb, progress)
    return Hint(made, "segmentation", note=note)


def _pose(rgb: np.ndarray, settings: HintSettings, progress: Progress) -> Hint:
    made, note = hub_maps.pose(rgb, progress)
    return Hint(made, "pose", note=note)


_MAKERS: dict[str, Callable[[np.ndarray, HintSettings, Progress], Hint]] = {
    "edges": _edges,
    "soft": _soft,
    "scribble": _drawn("scribble", lines.scribble, "Long soft edges, drawn with a broad pen."),
    "lineart": _drawn("lineart", lines.lineart, "Where the picture is darker than around."),
    "lines": _straight,
    "segmentation": _segmentation,
    "pose": _pose,
    "colours": _colours,
    "tile": _tile,
    "map": _as_is,
}


def _cells(rgb: np.ndarray, cells: int) -> np.ndarray:
    """The picture's mean colours, `cells` along the longer side, as square as can be."""
    import cv2

    longer = max(rgb.shape[:2])
    size = [min(side, max(1, round(side * cells / longer))) for side in rgb.shape[1::-1]]
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)


def is_drawing(rgb: np.ndarray) -> bool:
    """True if the picture is nothing but grey strokes on an even ground: nearly all pixels are
    close to its darkest or its lightest tone, and of the rarer of the two little is farther than
    8 px (at 512) from the other."""
    import cv2

    low, high = rgb.min(2), rgb.max(2)
    dark, light = int(low.min()), int(high.max())
    if light - dark < 100 or np.mean(high - low > 24) > 0.01:
        return False
    grey = (high.astype(np.float32) - dark) / (light - dark)
    if np.mean((grey > 0.2) & (grey < 0.8)) > 0.08:
        return False
    ink = grey > 0.5 if np.mean(grey > 0.5) < 0.5 else grey <= 0.5
    side = 2 * max(1, round(8 * lines.unit(rgb.shape))) + 1
    deep = cv2.erode(ink.astype(np.uint8), np.ones((side, side), np.uint8), borderValue=0)
    return bool(ink.mean() < 0.3 and deep.sum() < 0.2 * ink.sum())


def _strokes(rgb: np.ndarray, invert: bool) -> tuple[np.ndarray, str]:
    """A drawing as light strokes on dark, and what was done about it: mean brightness tells."""
    if invert:
        return 255 - rgb, " Turned around, as you asked."
    if is_drawing(rgb) and rgb.mean() > 127:
        return 255 - rgb, " It was dark on light and has been turned around."
    return rgb, ""


def _relief(
    rgb: np.ndarray, kind: str, depth: np.ndarray | None, inverse: bool, progress: Progress
) -> Hint:
    from core.stereo.mono import mono

    if depth is None:
        near, inverse = mono(rgb, progress=progress).inverse_depth, True
        note = "By Depth Anything V2."
    else:
        near = relief.near_of(depth, rgb.shape[:2], inverse)
        note = "From the depth that was handed over."
    if kind == "depth":
        return Hint(_rgb(relief.depth_map(near)), kind, note=note + " Near is bright.")
    if inverse:
        near = relief.with_shift(near)
        note += f" The farthest was taken to be {relief.FARTHEST:g} times as far as the nearest."
    note += f" The field of view was taken to be {relief.FOV_DEG:g}°."
    return Hint(relief.normal_map(near), kind, note=note)


# ---------------------------------------------------------------- shared


def _rgb(grey: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.broadcast_to(grey[..., None], (*grey.shape, 3)))


def _size(array: np.ndarray, what: str = "px") -> str:
    return f"{array.shape[1]}×{array.shape[0]} {what}"
