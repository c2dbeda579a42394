"""What tiny-git learns from: stories of the small world, each told in several ways.

A story may also be played backwards or seen in a mirror. Both make a new clip whose facts are
known as surely as those of the first, for no more rendering. Backwards, 'to the left' becomes 'to
the right', what appeared vanishes, and the first event is the last.

Seeds from HELD_OUT on are never trained on; neither are the combinations of colour, shape and
motion that `core.scenes.cast.held_out` names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from core.cameras import project
from core.scenes.cast import StorySettings, held_out
from core.scenes.facts import CAMERA, Event, Facts
from core.scenes.language import captions
from core.scenes.motion import pushed
from core.scenes.plot import Plot, plot
from core.scenes.story import film
from core.scenes.toys import COLOURS, SHAPES

FRAMES, SIZE = 8, 64
TOLD = 5  # captions of a clip
THINGS = 4  # in a story, at most
HELD_OUT = 10_000_000
TRAINING = StorySettings(split="train", frames=FRAMES, size_px=SIZE)
COMBINATIONS = replace(TRAINING, split="held-out")
TURNED = {"left": "right", "right": "left", "toward": "away", "away": "toward"}
UNDONE = {"appear": "vanish", "vanish": "appear"}


def backwards(facts: Facts) -> Facts:
    """The facts of the same clip played backwards."""
    return Facts(tuple(_backwards(event) for event in reversed(facts.events)), facts.count)


def _backwards(event: Event) -> Event:
    """A collision stays one where something still strikes: what bounced back comes again and bounces
    back, and what was pushed away comes and pushes. Where it stopped, it sets off."""
    turned = TURNED.get(event.direction, "")
    if event.outcome == "bounce":
        return event
    if event.outcome == "push" and event.other:
        action = pushed(event.other.shape)
        return replace(
            event, subject=event.other, action=action, direction=turned, other=event.subject
        )
    if event.relation in ("into", "towards"):
        event = replace(event, relation="", other=None, outcome="")
    return replace(event, action=UNDONE.get(event.action, event.action), direction=turned)


def mirrored(caption: str) -> str:
    """A caption of the same clip with left and right exchanged."""
    return re.sub(r"\b(left|right)\b", lambda word: TURNED[word[0]], caption)


def out_of_order(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count,) the numbers of three frames or more, shuffled: neither forwards nor backwards."""
    while True:
        mixed = rng.permutation(count)
        if len(set(np.diff(mixed))) > 1:
            return mixed


def is_new(event: Event) -> bool:
    """Whether training never shows this combination of colour, shape and action."""
    noun = event.subject
    return noun != CAMERA and held_out(noun.colour, noun.shape, event.action)


def clips(seeds: Iterable[int], settings: StorySettings = TRAINING) -> dict[str, np.ndarray]:
    """Filmed stories: frames (N, FRAMES, SIZE, SIZE, 3) uint8; told and told_backwards (N, TOLD)
    str, '' where there is no more to say or nothing that may be shown; places (N, FRAMES, THINGS,
    4), see `places`."""
    frames, told, back, where = [], [], [], []
    block: list[tuple[int, Plot]] = []
    for seed in [*seeds, None]:
        if seed is not None:
            block.append((seed, plot(seed, settings)))
        if block and (seed is None or len(block) == 16):
            shot = film([made for _, made in block], (settings.size_px, settings.size_px))
            frames.append((shot * 255).round().byte().cpu().numpy())
            for k, made in block:
                where.append(places(made))
                told.append(_filled(captions(made.facts, TOLD, k)))
                turned = backwards(made.facts)
                hidden = settings.split == "train" and any(map(is_new, turned.events))
                back.append(_filled(() if hidden else captions(turned, TOLD, k)))
            block = []
    return {
        "places": np.stack(where), "frames": np.concatenate(frames), "told": np.array(told), "told_backwards": np.array(back)
    }  # fmt: skip


def places(made: Plot) -> np.ndarray:
    """(FRAMES, THINGS, 4) int16: of each toy in each frame its colour and shape, as places in COLOURS
    and SHAPES, and the pixel x, y of its centre; the farthest first, -1 where there is none."""
    found = np.full((len(made.times_s), THINGS, 4), -1, np.int16)
    for row, t_s in zip(found, made.times_s, strict=True):
        scene, camera = made.frame(float(t_s), (SIZE, SIZE))
        toys = [thing for thing in scene.things if thing.colour_name]
        xy, away_m = project(camera, np.array([toy.position for toy in toys]).reshape(-1, 3))
        for place, k in zip(row, np.argsort(-away_m), strict=False):
            looks = list(COLOURS).index(toys[k].colour_name), SHAPES.index(toys[k].shape_name)
            place[:] = (*looks, *np.floor(xy[k]).astype(int))
    return found


def _filled(some: tuple[str, ...]) -> list[str]:
    return [*some, *[""] * (TOLD - len(some))]
