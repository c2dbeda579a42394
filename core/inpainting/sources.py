"""What the tab fills: a picture with something hidden, and what is known of the truth.

A rendered scene without one of its things is inpainting's only exact truth: the same rays, and
nothing differs but what the thing did to the light. Of any other picture only itself is known: hide
a part and see whether it comes back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from core.diffusion import world
from core.images import as_rgb
from core.inpainting.masks import PRESETS, extended, grown, preset
from core.scenes import (
    NAMES,
    Hidden,
    RenderSettings,
    Scene,
    hide,
    prompt,
    render,
    scene,
    start_camera,
)
from core.types import Camera, InputError, Settings, setting

SOURCES = {
    "scene": "Toys on a floor",
    **{name: f"A larger scene: {name}" for name in NAMES},
    "photo": "A photograph (astronaut)",
    "picture": "A picture of your own",
}
MASKS = {
    "object": "An object of the scene",
    "drawn": "What you paint, to be gone",
    "restored": "What you paint, to be restored",
    **PRESETS,
    "border": "New canvas around it",
}
BORDERS = ("hole_left_px", "hole_top_px", "hole_right_px", "hole_bottom_px")  # settings of a border
RANKED_PX = 96  # longer side of the picture in which a scene's things are counted
LEAST_PX = 20  # of that; what shows less isn't worth hiding


def _border(side: str) -> int:
    return setting(
        16, side, "New canvas on this side.", minimum=0, maximum=2048, step=1, unit="px",
        advanced=True,
    )  # fmt: skip


@dataclass(frozen=True)
class SourceSettings(Settings):
    """What is filled: a picture and what is hidden of it."""

    hole_picture: str = setting(
        "tabletop", "Picture", "A scene's things can be taken away exactly; tiny-sd knows only the "
        "toys.", choices=SOURCES,
    )  # fmt: skip
    hole_scene: int = setting(
        2, "Scene", "Toys on a floor; another number is another scene, none was trained on.",
        minimum=0, maximum=9999, step=1,
    )  # fmt: skip
    hole_mask: str = setting(
        "object", "Hidden", "An object goes with its shadow and reflection; what is hidden of an "
        "intact picture is known.", choices=MASKS,
    )  # fmt: skip
    hole_object: int = setting(
        7, "Object", "0 is the one that shows most, and so on.", minimum=0, maximum=99, step=1
    )
    hole_grow_px: float = setting(
        2.0, "Grow", "An object's mask reaches so far beyond what it changes.",
        minimum=0.0, maximum=64.0, step=1.0, unit="px", advanced=True,
    )  # fmt: skip
    hole_seed: int = setting(
        0, "Seed of the mask", "Other strokes, another box, other words.",
        minimum=0, maximum=2**31 - 1, step=1, advanced=True,
    )  # fmt: skip
    hole_left_px: int = _border("Left")
    hole_top_px: int = _border("Top")
    hole_right_px: int = _border("Right")
    hole_bottom_px: int = _border("Bottom")


@dataclass(frozen=True)
class Source:
    """picture (H, W, 3) uint8; truth of the same shape: what should come out, None if nobody knows;
    mask (H, W) bool, None if nothing is painted yet; words: what the truth shows, "" if unknown."""

    picture: np.ndarray
    truth: np.ndarray | None
    mask: np.ndarray | None
    words: str


@dataclass(frozen=True)
class Given:
    """What a person hands in: picture (H, W, 3) uint8; mask (H, W) bool, painted over the source's
    own: it takes the place of any other."""

    picture: np.ndarray | None = None
    mask: np.ndarray | None = None


def source(settings: SourceSettings, given: Given = Given()) -> Source:
    """The picture, what is hidden of it, and what is known of the truth. Raises InputError if a
    picture of one's own is missing, or has no objects to choose from."""
    found = _source(settings, given)
    return found if given.mask is None else replace(found, mask=given.mask)


def _source(settings: SourceSettings, given: Given) -> Source:
    kind = settings.hole_mask
    if settings.hole_picture in ("photo", "picture") and kind == "object":
        raise InputError(
            "Only a rendered scene knows its objects. Paint over one, or choose another mask."
        )
    if settings.hole_picture == "picture":
        if given.picture is None:
            raise InputError("There is no picture yet. Drop one on the field, or take a scene.")
        picture, words = as_rgb(given.picture), ""
    elif settings.hole_picture == "photo":
        from skimage import data

        picture, words = data.astronaut(), ""
    else:
        which = (
            settings.hole_picture,
            settings.hole_scene if settings.hole_picture == "scene" else 0,
        )
        if kind == "object":
            hidden, words = _without(*which, settings.hole_object)
            mask = grown(hidden.mask, settings.hole_grow_px)
            return Source(hidden.with_object, hidden.without_object, mask, words)
        picture, words = _intact(*which)
    if kind in ("drawn", "restored"):  # a person paints it
        return Source(picture, picture if kind == "restored" else None, None, words)
    if kind == "border":
        sides = [getattr(settings, name) for name in BORDERS]  # as extended takes them
        larger, mask = extended(picture, *sides)
        return Source(larger, None, mask, words)
    return Source(picture, picture, preset(kind, picture.shape, settings.hole_seed), words)


def _scene(picture: str, number: int) -> tuple[Scene, Camera]:
    if picture == "scene":
        made = world.scene(world.HELD_OUT + number)
        return made, world.camera(made)
    made = scene(picture)
    return made, start_camera(made)


# The page asks for the same picture when it shows it, changes its mask, fills it and compares.


@lru_cache(maxsize=8)
def _intact(picture: str, number: int) -> tuple[np.ndarray, str]:
    """A scene's picture and its words."""
    made, camera = _scene(picture, number)
    return render(made, camera).rgb, _words(made)


@lru_cache(maxsize=8)
def _without(picture: str, number: int, place: int) -> tuple[Hidden, str]:
    """A scene with one of its things and without it, and the words of what is left."""
    made, camera = _scene(picture, number)
    names = objects(made, camera.width, camera.height)
    name = names[place % len(names)]
    return hide(made, name, camera), _words(made.without(name))


def objects(made: Scene, width: int = 480, height: int = 360) -> list[str]:
    """The names of a scene's things that can be hidden from a picture of this size, those that show
    most first: what stands whole in it, and no ground or wall that leaves it. Raises InputError if
    there are none."""
    small = [round(RANKED_PX * side / max(width, height)) for side in (width, height)]
    view = render(made, start_camera(made, *small), RenderSettings(samples=1, shadows=False))
    seen = np.bincount(view.ids.ravel(), minlength=len(made.things) + 1)
    leaves = np.ones(view.ids.shape, bool)
    leaves[1:-1, 1:-1] = False
    seen[np.unique(view.ids[leaves])] = 0
    order = np.argsort(-seen, kind="stable")
    names = [made.things[k - 1].name for k in order if k and seen[k] >= LEAST_PX]
    if not names:
        raise InputError("No object stands whole in this picture. Choose another scene.")
    return names


def _words(made: Scene) -> str:
    return prompt(made, 0) if any(thing.colour_name for thing in made.things) else ""
