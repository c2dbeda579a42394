"""Casting a story: what may happen in it, who does it, and who else is there.

Some combinations of colour, shape and action are held out of training. A model that has learnt
what words mean, and not just what it has seen, tells them right all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from core.scenes import toys
from core.types import InputError, Settings, setting

ACTIONS = ("roll", "slide", "turn", "jump", "circle", "appear", "vanish")
OFTEN = {"moves": 4.0, "collisions": 2.0}  # how often next to the other kinds
SPLITS = {"all": "All", "train": "Training", "held-out": "Held out"}


def held_out(colour: str, shape: str, action: str) -> bool:
    """Whether training never shows this combination: one in ten of them.

    Each pair (shape, action) misses at most one colour, so every colour, shape and action is seen
    in training, and only the combination is new.
    """
    c, s, a = list(toys.COLOURS).index(colour), toys.SHAPES.index(shape), ACTIONS.index(action)
    return (c + 2 * s + 3 * a) % 10 == 0


@dataclass(frozen=True)
class StorySettings(Settings):
    """What a story may hold, and how it is filmed."""

    seconds: float = setting(
        2.0, "Length", "How long the clip lasts.", minimum=0.5, maximum=20.0, step=0.5, unit="s"
    )
    frames: int = setting(
        8, "Frames", "Evenly spaced over the length.", minimum=2, maximum=240, step=1
    )
    size_px: int = setting(
        64, "Size", "Width and height of a frame.", minimum=16, maximum=1024, step=16, unit="px"
    )
    max_events: int = setting(
        2, "Events", "At most so many things happen, one after the other.",
        minimum=1, maximum=2, step=1,
    )  # fmt: skip
    max_things: int = setting(
        4, "Things", "At most so many things are there.", minimum=1, maximum=6, step=1
    )
    moves: bool = setting(True, "Moves", "Balls and rings roll, the others slide.")
    collisions: bool = setting(True, "Collisions", "One thing runs into another.")
    jumps: bool = setting(True, "Jumps", "A thing jumps.")
    turns: bool = setting(True, "Turns", "A box or ring turns in place.")
    circles: bool = setting(True, "Circles", "A thing goes around another.")
    appears: bool = setting(True, "Appears and vanishes", "A thing comes or goes.")
    camera: bool = setting(True, "Camera", "The camera pans, dollies or orbits.")
    textures: bool = setting(True, "Textures", "Wood, marble and other grounds; else plain grey.")
    split: str = setting(
        "all", "Split", "Training leaves out a tenth of all colour, shape and action combinations.",
        choices=SPLITS, advanced=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.kinds():
            raise InputError("Nothing may happen in this story. Switch one kind of event on.")
        if self.max_things < 2 and not set(self.kinds()) - {"collisions", "circles"}:
            raise InputError("One thing alone can't collide or circle. Allow two things.")
        if self.split == "held-out" and self.kinds() == ("camera",):
            raise InputError("The camera alone holds no combination out. Allow things to move.")

    def kinds(self) -> tuple[str, ...]:
        """The kinds of events that may happen."""
        kinds = ("moves", "collisions", "jumps", "turns", "circles", "appears", "camera")
        return tuple(kind for kind in kinds if getattr(self, kind))


@dataclass(frozen=True)
class Role:
    """One event to be: its kind, and who does it ('' for the camera) to whom ('' for nobody)."""

    kind: str
    name: str
    action: str
    direction: str
    partner: str = ""
    outcome: str = ""


def _action(rng: np.random.Generator, kind: str, shape: str) -> str:
    """What a thing of this shape does in this kind of event; '' if it can't be seen doing it."""
    if kind in ("moves", "collisions"):
        return "roll" if shape in ("ball", "ring") else "slide"
    if kind == "turns":  # the others look the same from all sides
        return "turn" if shape in ("box", "ring") else ""
    if kind == "appears":
        return "appear" if rng.random() < 0.5 else "vanish"
    return {"jumps": "jump", "circles": "circle"}[kind]


def cast_roles(rng: np.random.Generator, settings: StorySettings):
    """Roles of a story and (colour, shape) of all its things; no roles if they don't fit."""
    kinds = settings.kinds()
    weights = np.array([OFTEN.get(kind, 1.0) for kind in kinds])
    cast: list[tuple[str, str]] = []
    roles: list[Role] = []
    wanted = settings.split == "held-out"
    for i in range(int(rng.integers(1, settings.max_events + 1))):
        kind = str(rng.choice(kinds, p=weights / weights.sum()))
        if kind == "camera":
            action = str(rng.choice(["pan", "dolly", "orbit"]))
            ways = ("toward", "away") if action == "dolly" else ("left", "right")
            roles.append(Role(kind, "", action, str(rng.choice(ways))))
            continue
        again = i == 1 and roles[0].name and roles[0].action != "vanish" and rng.random() < 0.35
        used = [colour for colour, _ in cast]
        options = cast[:1] if again else [
            (c, s) for c in toys.COLOURS for s in toys.SHAPES if c not in used
        ]  # fmt: skip
        acts = [(c, s, _action(rng, kind, s)) for c, s in options]
        acts = [a for a in acts if a[2] and not (again and a[2] == "appear")]
        if settings.split == "train":
            acts = [a for a in acts if not held_out(*a)]
        elif wanted:
            acts = [a for a in acts if held_out(*a)]
            wanted = False
        if not acts:
            return [], cast
        colour, shape, action = acts[int(rng.integers(len(acts)))]
        sideways = kind == "collisions" or shape == "ring" or rng.random() < 0.65
        ways = ("left", "right") if sideways else ("toward", "away")
        if not again:
            cast.append((colour, shape))
        roles.append(Role(kind, f"{colour} {shape}", action, str(rng.choice(ways))))
    return _with_partners(rng, roles, cast, settings) if not wanted else ([], cast)


def _with_partners(rng: np.random.Generator, roles: list[Role], cast, settings: StorySettings):
    """The cast filled up with others, and those who have something to do with an event."""
    needs = [
        role.kind in ("collisions", "circles") or (role.kind == "moves" and rng.random() < 0.65)
        for role in roles
    ]
    least = max(1, len(cast), 2 if any(needs) else 1)
    if least > settings.max_things:
        return [], cast
    n = int(rng.integers(least, settings.max_things + 1))
    used = [colour for colour, _ in cast]
    spare = [str(c) for c in rng.permutation(list(toys.COLOURS)) if c not in used]
    extra = [(c, str(rng.choice(toys.SHAPES))) for c in spare[: n - len(cast)]]
    cast = [*cast, *extra]
    for i, role in enumerate(roles):
        late = [role.name] if i else [role.name, *(r.name for r in roles if r.action == "appear")]
        names = [f"{c} {s}" for c, s in cast if f"{c} {s}" not in late]
        if needs[i]:
            if not names:
                return [], cast
            outcome = str(rng.choice(["stop", "bounce", "push"]))
            outcome = outcome if role.kind == "collisions" else ""
            roles[i] = replace(role, partner=str(rng.choice(names)), outcome=outcome)
    return roles, cast
