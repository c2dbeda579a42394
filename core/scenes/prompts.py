"""Still pictures in words: "a shiny green cone left of a yellow cube on wood".

`describe` lists all that is so in a scene; `mention` chooses a few of those facts by chance, `say`
writes them as a prompt, and `parse_prompt` reads them back. Left and right are the picture's;
behind is farther from the camera. Of two things only the larger of the two separations is said:
what is mostly beside another is not called behind it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

import numpy as np

from core.cameras import look_at, project
from core.scenes.language import NUMBERS, SHAPE_WORDS, with_article
from core.scenes.toys import COLOURS, GROUNDS, LARGE_M, OUTDOORS
from core.scenes.types import Scene, Thing
from core.types import InputError


@dataclass(frozen=True)
class Look:
    """How a thing looks; '' is what a prompt leaves out. size small, large; material shiny, matte."""

    colour: str
    shape: str
    size: str = ""
    material: str = ""


@dataclass(frozen=True)
class Still:
    """What a picture shows.

    looks in the order of their mention; relations (i, word, j): looks[i] is left of, right of,
    behind or in front of looks[j]; ground a key of GROUNDS or ''; count of things, 0 if not said.
    """

    looks: tuple[Look, ...]
    relations: tuple[tuple[int, str, int], ...] = ()
    ground: str = ""
    count: int = 0


RELATIONS = {"left": "left of", "right": "right of", "behind": "behind", "front": "in front of"}
GROUND_WORDS = {
    "wood": "on wood", "checker": "on a checkered floor", "marble": "on marble",
    "stone": "on stone", "plain": "on plain ground", "grass": "on grass", "sand": "on sand",
}  # fmt: skip


def describe(scene: Scene) -> Still:
    """All that prompts can say about a scene, seen from its own camera.

    Only things with a colour and a shape in words are told.
    """
    things = [thing for thing in scene.things if thing.colour_name and thing.shape_name]
    relations = tuple(
        (i, word, j)
        for i, one in enumerate(things)
        for j, two in enumerate(things)
        if i != j and (word := _relation(scene, one, two))
    )
    looks = tuple(_look(thing) for thing in things)
    return Still(looks, relations, _ground(scene), len(things))


def _ground(scene: Scene) -> str:
    """What the first plane is made of: of the grounds with its texture, the one most like it."""
    for thing in scene.things:
        if thing.shape == "plane":
            look = thing.material
            alike = [
                (math.dist(look.colour, material.colour), kind)
                for kind, material in (GROUNDS | OUTDOORS).items()
                if material.texture == look.texture
            ]
            return min(alike)[1] if alike else ""
    return ""


def _look(thing: Thing) -> Look:
    size = "large" if thing.size[0 if thing.shape == "torus" else 2] >= LARGE_M else "small"
    material = "shiny" if thing.material.gloss >= 0.5 else "matte"
    return Look(thing.colour_name, thing.shape_name, size, material)


def _relation(scene: Scene, one: Thing, two: Thing) -> str:
    """How `one` stands to `two`, if it is clear in the picture; else ''."""
    camera = look_at(scene.eye, scene.target, 100, 100, scene.fov_deg)
    xy, z_m = project(camera, np.array([one.position, two.position]))
    sideways_px, sideways_m = xy[0, 0] - xy[1, 0], (
        np.subtract(one.position, two.position) @ camera.c2w[:3, 0]
    )  # fmt: skip
    deeper_m = z_m[0] - z_m[1]
    if abs(sideways_m) > abs(deeper_m) and abs(sideways_px) > 8:
        return "right" if sideways_px > 0 else "left"
    if abs(deeper_m) > max(abs(sideways_m), 0.25):
        return "behind" if deeper_m > 0 else "front"
    return ""


def mention(scene: Scene, seed: int = 0) -> Still:
    """A few of a scene's facts, chosen by chance: one to three things and how they stand.

    Raises InputError if nothing in the scene has a name in words.
    """
    rng = np.random.default_rng((seed, 17))
    whole = describe(scene)
    if not whole.looks:
        raise InputError(f"{scene.name} holds nothing that has a colour and a shape in words.")
    ground = whole.ground if rng.random() < 0.8 else ""
    n = int(rng.integers(1, min(3, len(whole.looks)) + 1))
    if n == 2 and whole.relations:
        i, word, j = whole.relations[int(rng.integers(len(whole.relations)))]
        return Still((_brief(rng, whole.looks[i]), _brief(rng, whole.looks[j])),
                     ((0, word, 1),), ground)  # fmt: skip
    chosen = [int(i) for i in rng.choice(len(whole.looks), n, replace=False)]
    looks = tuple(_brief(rng, whole.looks[i]) for i in chosen)
    all_told = n == len(whole.looks) and n > 1 and rng.random() < 0.5
    known = {(i, j): word for i, word, j in whole.relations}
    pairs = [(chosen[0], other) for other in chosen[1:]]
    if n == 3 and not all_told and all(pair in known for pair in pairs):
        words = [known[pair] for pair in pairs]
        return Still(looks, ((0, words[0], 1), (0, words[1], 2)), ground)
    return Still(looks, (), ground, n if all_told else 0)


def _brief(rng: np.random.Generator, look: Look) -> Look:
    """The look with some of its adjectives left out."""
    size, material = rng.random(2)
    return replace(
        look, size=look.size if size < 0.4 else "", material=look.material if material < 0.5 else ""
    )


def say(still: Still, seed: int = 0) -> str:
    """The prompt for these facts."""
    rng = np.random.default_rng((seed, 19))
    words = []
    for look in still.looks:
        shape = str(rng.choice(SHAPE_WORDS[look.shape]))
        parts = (look.size, look.material, look.colour, shape)
        words.append(with_article(" ".join(part for part in parts if part)))
    if still.relations:
        text = words[0]
        for k, (_, word, j) in enumerate(still.relations):
            text += f"{' and' if k else ''} {RELATIONS[word]} {words[j]}"
    else:
        text = " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
    if still.count:
        text = f"{NUMBERS[still.count]} things, {text}"
    if not still.ground:
        return text
    place = GROUND_WORDS[still.ground]
    return f"{place}, {text}" if rng.random() < 0.2 else f"{text} {place}"


def prompt(scene: Scene, seed: int = 0) -> str:
    """A true prompt for a scene; another seed says other things of it."""
    return say(mention(scene, seed), seed)


_SHAPE = {word: shape for shape, words in SHAPE_WORDS.items() for word in words}
_LOOK = (
    r"an? (?:(?P<size>small|large) )?(?:(?P<material>shiny|matte) )?"
    rf"(?P<colour>{'|'.join(COLOURS)}) (?P<shape>{'|'.join(_SHAPE)})"
)
_BETWEEN = {f" {words} ": word for word, words in RELATIONS.items()}
_BETWEEN |= {f" and{words}": word for words, word in list(_BETWEEN.items())}
_BETWEEN |= {", ": "", " and ": ""}


def parse_prompt(text: str) -> Still:
    """The facts a prompt states. Raises InputError for words outside this small language."""
    words = " ".join(text.lower().split()).rstrip(". !")
    ground, count = "", 0
    for kind, place in GROUND_WORDS.items():
        if words.startswith(f"{place}, ") or words.endswith(f" {place}"):
            ground, words = kind, words.removeprefix(f"{place}, ").removesuffix(f" {place}")
    for number, name in enumerate(NUMBERS):
        if name and words.startswith(f"{name} things, "):
            count, words = number, words.removeprefix(f"{name} things, ")
    found = list(re.finditer(_LOOK, words))
    ends = [0, *(match.end() for match in found)]
    joints = [words[end : match.start()] for end, match in zip(ends, found, strict=False)]
    known = bool(found) and joints[0] == "" and ends[-1] == len(words)
    if not known or any(joint not in _BETWEEN for joint in joints[1:]):
        raise InputError(
            f"{text!r} is not a prompt of this small world. Compare it with: "
            "'a shiny green cone left of a yellow cube on wood'."
        )
    looks = tuple(
        Look(m["colour"], _SHAPE[m["shape"]], m["size"] or "", m["material"] or "") for m in found
    )
    relations = tuple(
        (0, _BETWEEN[joint], k) for k, joint in enumerate(joints[1:], 1) if _BETWEEN[joint]
    )
    return Still(looks, relations, ground, count)
