"""From the tab's settings to a picture, its control map, and pictures painted under it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core import runtime
from core.control.hints import exact_hints, hint, networks
from core.control.painting import generate
from core.control.scoring import named, share
from core.control.types import KINDS, ControlResult, ControlSettings, Hint, HintSettings, Step
from core.diffusion import world
from core.diffusion.loading import parts
from core.images import as_rgb
from core.models import missing
from core.runtime import stage
from core.scenes import prompt, render
from core.types import Compared, InputError, Progress, Settings, Unavailable, setting, silent

SOURCES = {
    "scene": "A rendered scene",
    "picture": "A picture of your own",
    "map": "A map of your own",
    "drawing": "A drawing: begin with nothing",
    "stereo": "Depth from the Stereo tab",
}
COMPARE_HELP = {
    "agreement": ("Agreement", "The picture's own map against the map it was given, 1 is all.", ""),
    "without": ("Without control", "The same noise and words, scored against the same map.", ""),
    "words": ("Words", "Named things that are there in colour and shape.", ""),
    "seconds": ("Time", "Of both passes.", "s"),
}
EDITED_PX = 384  # at least so many pixels a side are drawn on


@dataclass(frozen=True)
class SourceSettings(Settings):
    """What the control map is made of."""

    control_source: str = setting(
        "scene", "Map of", "A scene's maps are exact; a photo's are found in it.", choices=SOURCES
    )
    control_scene: int = setting(
        2, "Scene", "Toys on a floor; another number is another scene, none was trained on.",
        minimum=0, maximum=9999, step=1,
    )  # fmt: skip


@dataclass(frozen=True)
class Source:
    """The picture (H, W, 3) uint8 that a map is made of, what it shows in words ("" if nobody
    knows), and the maps that are known exactly, by kind."""

    picture: np.ndarray
    words: str
    exact: dict[str, Hint]


@dataclass(frozen=True)
class Given:
    """What a person hands in: picture (H, W, 3) uint8; depth (H, W) of it, metres or with `inverse`
    their inverse up to scale; strokes (h, w, 4) uint8, drawn over the map at any size; more: further
    maps that steer the same picture; lora: a .safetensors file."""

    picture: np.ndarray | None = None
    depth: np.ndarray | None = None
    inverse: bool = False
    strokes: np.ndarray | None = None
    more: tuple[Hint, ...] = ()
    lora: Path | None = None


@dataclass(frozen=True)
class Painted:
    """The result and what it came of."""

    source: Source
    given: Given
    hint: Hint
    result: ControlResult


def source(settings: SourceSettings, given: Given = Given()) -> Source:
    """The picture. Raises InputError if one's own was asked for and none was given."""
    if settings.control_source == "scene":
        seed = world.HELD_OUT + settings.control_scene
        scene = world.scene(seed)
        camera = world.camera(scene)
        view = render(scene, camera)
        return Source(view.rgb, prompt(scene, 0), exact_hints(view, camera))
    if settings.control_source == "drawing":
        return Source(np.zeros((EDITED_PX, EDITED_PX, 3), np.uint8), "", {})
    if settings.control_source == "stereo" and given.depth is None:
        raise InputError("There is no depth yet. Measure a pair in the Stereo tab first.")
    if given.picture is None:
        what = SOURCES[settings.control_source].lower()
        raise InputError(f"There is no picture yet. Drop {what} on the field, or take a scene.")
    return Source(as_rgb(given.picture), "", {})


def hint_of(
    of: Source,
    source_settings: SourceSettings,
    settings: HintSettings,
    given: Given = Given(),
    progress: Progress = silent,
) -> Hint:
    """The map of this kind: exact where the scene tells, a map as it was given, else found; then
    what was drawn over it."""
    where = source_settings.control_source
    if where == "drawing":
        found = Hint(of.picture, settings.kind)
    elif where == "map":
        found = replace(hint(of.picture, replace(settings, kind="map")), kind=settings.kind)
    else:
        found = of.exact.get(settings.kind) or hint(
            of.picture, settings, depth=given.depth, inverse=given.inverse, progress=progress
        )
    found = replace(found, weight=settings.weight)
    if given.strokes is None or not given.strokes[..., 3].any():
        if where == "drawing":
            raise InputError("Nothing is drawn yet. Draw on the map, then paint.")
        return found
    drawn = _drawn_over(found.map, given.strokes)
    return replace(found, map=drawn, exact=False, note="Changed by hand.")


def lacking(
    of: Source, source_settings: SourceSettings, settings: HintSettings, given: Given = Given()
) -> str:
    """The network that `hint_of` would fetch for this map, in a sentence; "" if it fetches none."""
    handed_in = source_settings.control_source in ("drawing", "map") or (
        given.depth is not None and settings.kind in ("depth", "normals")
    )
    if handed_in or settings.kind in of.exact or runtime.offline():
        return ""
    return next(filter(None, map(missing, networks(settings.kind))), "")


def for_drawing(map: np.ndarray) -> np.ndarray:
    """The map large enough to draw on: every pixel of a small one becomes a square."""
    times = -(-EDITED_PX // max(map.shape[:2]))
    return map.repeat(times, 0).repeat(times, 1) if times > 1 else map


def _drawn_over(map: np.ndarray, strokes: np.ndarray) -> np.ndarray:
    import cv2

    large = for_drawing(map).copy()
    height, width = large.shape[:2]
    drawn = cv2.resize(strokes, (width, height), interpolation=cv2.INTER_NEAREST)
    where = drawn[..., 3] > 127
    large[where] = drawn[where, :3]
    return large


def run(
    source_settings: SourceSettings,
    hint_settings: HintSettings,
    settings: ControlSettings,
    given: Given = Given(),
    progress: Progress = silent,
) -> Iterator[Step | Painted]:
    """Make the map, paint with it and without: the steps as they come, then Painted.

    An empty prompt is the scene's own words.
    """
    parts(settings.source, (hint_settings.kind,))  # before a map is made that it can't use
    found = source(source_settings, given)
    steering = hint_of(found, source_settings, hint_settings, given, progress)
    if not settings.prompt.strip():
        settings = replace(settings, prompt=found.words)
    for event in generate((steering, *given.more), settings, progress, lora=given.lora):
        if isinstance(event, ControlResult):
            recipe = event.recipe  # the link sets the whole tab
            every = (source_settings, hint_settings, settings)
            event = replace(event, recipe=replace(recipe, settings=every))
            yield Painted(found, given, steering, event)
        else:
            yield event


def compare(
    source_settings: SourceSettings,
    kinds: Sequence[str],
    hint_settings: HintSettings,
    settings: ControlSettings,
    given: Given = Given(),
    progress: Progress = silent,
) -> Iterator[Compared]:
    """The same picture, prompt and noise under each kind of control. Strokes count where there is
    nothing else; over a map they were drawn for that map alone. A kind that can't be used says why
    and has no scores."""
    if source_settings.control_source != "drawing":
        given = replace(given, strokes=None)
    picture, total = source(source_settings, given).picture, len(kinds)
    for k, kind in enumerate(kinds):
        part = stage(progress, k / total, (k + 1) / total)
        chosen = replace(hint_settings, kind=kind)
        try:
            *_, last = run(source_settings, chosen, settings, given, part)
        except (InputError, Unavailable) as error:
            told = f"{KINDS[kind].partition(' (')[0]} did not run: {error}"
            nothing = dict.fromkeys(COMPARE_HELP, math.nan)
            yield Compared(k + 1, total, 0.0, told, picture, nothing)
            continue
        assert isinstance(last, Painted)
        yield compared(last, k + 1, total)


def compared(painted: Painted, step: int = 1, total: int = 1) -> Compared:
    """A result as one column of the comparison: the step-th of total."""
    result = painted.result
    seen = named(result.images[0], result.settings.prompt, result.settings.model)
    scores = {
        "agreement": share(result.agreement), "without": share(result.baseline_agreement),
        "words": share(tuple(float(one.shape) for one in seen)) if seen else math.nan,
        "seconds": result.seconds,
    }  # fmt: skip
    name = KINDS[painted.hint.kind].partition(" (")[0]
    return Compared(step, total, result.seconds, name, result.images[0], scores)
