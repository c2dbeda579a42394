"""How a painted picture is judged: against its map, and against its words."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.control.agreement import Reading, agreement
from core.control.types import Hint
from core.diffusion import MODELS, loading, reader
from core.scenes.prompts import Look, parse_prompt
from core.types import InputError


def agreement_by(model: str) -> Callable[[np.ndarray, Hint], float]:
    """The function that scores a picture of this model against a map. What the shipped model paints
    is read by the net that was trained on renders of its world, other pictures by the detectors
    that make maps of photos."""
    if model != "tiny-sd":
        return agreement
    return lambda image, hint: agreement(image, hint, read=reading)


def reading(image: np.ndarray) -> Reading:
    """Edges, depth and regions of a picture of the small world."""
    seen = reader.read(_reader(), image[None])[0]
    return Reading(seen.edges, seen.depth, seen.labels)


def _reader() -> Any:
    return _opened(loading.ROOT / MODELS["tiny-sd"].source)


@functools.cache
def _opened(folder: Path) -> Any:
    return reader.opened(folder)


@dataclass(frozen=True)
class Named:
    """A thing that a prompt names, and whether it is in the picture: its colour at all, and in its
    shape."""

    look: Look
    colour: bool
    shape: bool


def named(image: np.ndarray, prompt: str, model: str = "tiny-sd") -> tuple[Named, ...] | None:
    """What of a prompt is in a picture of the small world; None for a prompt in other words, and
    for the picture of another model, which the small world's reader can't read."""
    if model != "tiny-sd":
        return None
    try:
        still = parse_prompt(prompt)
    except InputError:
        return None
    toys = reader.read(_reader(), image[None])[0].toys
    return tuple(
        Named(
            look,
            any(toy.colour == look.colour for toy in toys),
            any((toy.colour, toy.shape) == (look.colour, look.shape) for toy in toys),
        )
        for look in still.looks
    )


def share(values: tuple[float, ...]) -> float:
    """The mean of the scores that could be measured, NaN if none could."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
