"""What happens in a clip, as data: so that a caption can be checked fact by fact.

A sentence may be fluent and wrong, and word overlap with a reference will hardly show it: "to the
left" and "to the right" share two words of three. Facts are compared one kind at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Noun:
    """A thing as a caption names it. The camera is the one noun without a colour."""

    colour: str
    shape: str


CAMERA = Noun("", "camera")


@dataclass(frozen=True)
class Event:
    """One thing that happens.

    action: roll, slide, turn, jump, circle, appear, vanish; pan, dolly, orbit for the camera.
    direction: left, right, toward, away, as the picture shows it; '' where there is none.
    relation to `other`: behind, front, past, towards, into (then outcome says how it ends: stop,
    bounce, push) or around.
    """

    subject: Noun
    action: str
    direction: str = ""
    relation: str = ""
    other: Noun | None = None
    outcome: str = ""


@dataclass(frozen=True)
class Facts:
    """The events in the order of time, and how many things there are (0: not said)."""

    events: tuple[Event, ...]
    count: int = 0


def agreement(told: Facts, truth: Facts) -> dict[str, float]:
    """Share of the truth's facts that were told right, by kind, in [0, 1].

    Events are paired in the order that fits best, so that a story told backwards loses its
    'order' and not everything. Only kinds that the truth has are listed.
    """
    orders = [told.events, told.events[::-1]] if len(told.events) > 1 else [told.events]
    fits = [_compared(events, truth.events) for events in orders]
    totals = [sum(sum(marks) for marks in fit.values()) for fit in fits]
    best = int(np.argmax(totals))
    in_order = told.events == truth.events or (len(totals) > 1 and totals[0] > totals[1])
    scores = {kind: float(np.mean(marks)) for kind, marks in fits[best].items() if marks}
    if len(truth.events) > 1:
        scores["order"] = float(in_order and len(told.events) == len(truth.events))
    return scores


def _compared(told: tuple[Event, ...], truth: tuple[Event, ...]) -> dict[str, list[bool]]:
    nothing = Event(Noun("", ""), "")
    marks: dict[str, list[bool]] = {
        kind: [] for kind in ("colour", "shape", "action", "direction", "relation", "other")
    }
    for i, true in enumerate(truth):
        said = told[i] if i < len(told) else nothing
        marks["shape"].append(said.subject.shape == true.subject.shape)
        marks["action"].append(said.action == true.action)
        if true.subject.colour:
            marks["colour"].append(said.subject.colour == true.subject.colour)
        if true.direction:
            marks["direction"].append(said.direction == true.direction)
        if true.relation:
            marks["relation"].append(said.relation == true.relation)
            marks["other"].append(said.other == true.other)
    return marks
