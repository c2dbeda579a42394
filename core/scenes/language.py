"""What happens in a clip, as facts, and the same facts as English, and back.

A caption can be checked only if what it claims is known. So a story first has facts (who does
what, where to, past whom, in which order), and sentences are made from them by a small grammar:

    caption   order of clauses        first A, then B · after A, B · A and then VERB …
    clause    subject verb way        a red ball · rolls · from left to right
              relation other ending   behind a blue box · until it hits a blue box and stops
    noun      article colour shape    a red ball, an orange ring; 'the' once it has been named

`parse` reads the grammar backwards. The tables below are the whole language: both directions use
them, and `VOCABULARY` is all the words in them. 'Left' and 'right' are the picture's.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from core.scenes.facts import CAMERA, Event, Facts, Noun
from core.scenes.toys import COLOURS, SHAPES
from core.types import InputError

# ---------------------------------------------------------------- the language

VERBS = {
    "roll": ("rolls",),
    "slide": ("slides", "glides"),
    "turn": ("turns around", "turns in place", "spins"),
    "jump": ("jumps", "jumps up", "hops"),
    "circle": ("circles", "moves", "goes"),
    "appear": ("appears", "suddenly appears"),
    "vanish": ("vanishes", "disappears"),
}

WAYS = {
    "left": ("to the left", "from right to left"),
    "right": ("to the right", "from left to right"),
    "toward": ("towards the camera", "closer"),
    "away": ("away from the camera", "into the distance"),
}

RELATIONS = {
    "behind": ("behind",),
    "front": ("in front of",),
    "past": ("past",),
    "towards": ("towards",),
    "into": ("into", "until it hits"),
    "around": ("around",),
}

OUTCOMES = {
    "stop": ("and stops", "and stays there"),
    "bounce": ("and bounces back",),
    "push": ("and pushes it away", "and knocks it away"),
}

CAMERA_VERBS = {
    ("pan", "left"): ("pans to the left", "turns to the left"),
    ("pan", "right"): ("pans to the right", "turns to the right"),
    ("dolly", "toward"): ("moves closer", "moves in"),
    ("dolly", "away"): ("moves back", "moves away"),
    ("orbit", "left"): ("moves around the scene to the left", "circles to the left"),
    ("orbit", "right"): ("moves around the scene to the right", "circles to the right"),
}

SHAPE_WORDS = {shape: ("box", "cube") if shape == "box" else (shape,) for shape in SHAPES}
NUMBERS = ("", "one", "two", "three", "four", "five", "six", "seven", "eight")

# {0} and {1} are clauses, {s} and {p} one clause's subject and predicate, {n} the count.
ONE = (
    "{0}",
    "we see how {0}",
    "in this clip {0}",
    "there is {s} that {p}",
    "among {n} things, {s} {p}",
    "there are {n} things, and {0}",
)
TWO = (
    "first {0}, then {1}",
    "{0}, and then {1}",
    "{0}, then {1}",
    "after {0}, {1}",
    "{0} before {1}",
    "there are {n} things: first {0}, then {1}",
)
TWO_BACKWARDS = ("{1} after {0}", "before {1}, {0}")
SAME_SUBJECT = (
    "first {0}, then it {p}",
    "{0} and then {p}",
    "{0}, and then it {p}",
    "after {0}, it {p}",
)
FRONTED = "{relation}, {s} {p}"
JUMBLED = "the frames are out of order"  # all that can be said for certain of shuffled frames


# ---------------------------------------------------------------- facts to words


def captions(facts: Facts, n: int = 5, seed: int = 0) -> tuple[str, ...]:
    """Up to n different captions, each of which says all the events (and some the count)."""
    rng = np.random.default_rng((seed, 11))
    found: dict[str, None] = {}
    for _ in range(8 * n):
        if len(found) < n:
            found[_caption(facts, rng)] = None
    return tuple(found)


def _caption(facts: Facts, rng: np.random.Generator) -> str:
    if not 1 <= len(facts.events) <= 2:
        raise InputError("A caption tells one event or two. Split longer stories.")
    first, last = facts.events[0], facts.events[-1]
    speaker = _Speaker(rng)
    if len(facts.events) == 1:
        fits = [
            t
            for t in ONE
            if (facts.count > 1 or "{n}" not in t) and (first.subject != CAMERA or "{s}" not in t)
        ]
        if first.relation in ("behind", "front") and rng.random() < 0.2:
            fits = [FRONTED]
    else:
        same = first.subject == last.subject != CAMERA
        fits = [t for t in TWO + TWO_BACKWARDS if facts.count > 1 or "{n}" not in t]
        if same:  # after another noun, 'it' might be either
            fits = [t for t in SAME_SUBJECT if " it " not in t or first.other is None]
    template = str(rng.choice(fits))
    if template.startswith("there is {s}"):
        speaker.definite = False  # 'there is' introduces

    # Spoken in the order of the text, because 'a' turns into 'the' at the second mention.
    parts = {"n": NUMBERS[facts.count] if facts.count < len(NUMBERS) else ""}
    for slot in re.findall(r"{(\w+)}", template):
        if slot in "01":
            event = facts.events[int(slot)]
            parts[slot] = f"{speaker.noun(event.subject)} {speaker.predicate(event)}"
        elif slot == "s":
            parts[slot] = speaker.noun(first.subject)
        elif slot == "relation":
            parts[slot] = speaker.relation(first)
        elif slot == "p" and template == FRONTED:
            parts[slot] = speaker.predicate(replace(first, relation="", other=None))
        elif slot == "p":
            parts[slot] = speaker.predicate(last)
    for slot, words in parts.items():
        template = template.replace(f"{{{slot}}}", words)
    return template


class _Speaker:
    """Chooses among the words of the tables, and knows what it has named already."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.known: set[Noun] = set()
        self.definite = rng.random() < 0.4

    def one_of(self, words: tuple[str, ...]) -> str:
        return words[int(self.rng.integers(len(words)))]

    def noun(self, noun: Noun) -> str:
        if noun == CAMERA:
            return "the camera"
        words = f"{noun.colour} {self.one_of(SHAPE_WORDS[noun.shape])}"
        if self.definite or noun in self.known:
            return f"the {words}"
        self.known.add(noun)
        return with_article(words)

    def relation(self, event: Event) -> str:
        assert event.other is not None
        return f"{self.one_of(RELATIONS[event.relation])} {self.noun(event.other)}"

    def predicate(self, event: Event) -> str:
        if event.subject == CAMERA:
            return self.one_of(CAMERA_VERBS[event.action, event.direction])
        words = [self.one_of(VERBS[event.action])]
        if event.direction:
            words.append(self.one_of(WAYS[event.direction]))
        if event.relation:
            words.append(self.relation(event))
        if event.outcome:
            words.append(self.one_of(OUTCOMES[event.outcome]))
        return " ".join(words)


def with_article(words: str) -> str:
    """'orange ring' becomes 'an orange ring'."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


# ---------------------------------------------------------------- words to facts


def _meaning(table: dict) -> dict:
    return {phrase: key for key, phrases in table.items() for phrase in phrases}


def _any(phrases) -> str:
    """A pattern for any of the phrases, the longest first so that none hides another."""
    return "(?:" + "|".join(sorted(map(re.escape, phrases), key=len, reverse=True)) + ")"


_VERB, _WAY, _RELATION = _meaning(VERBS), _meaning(WAYS), _meaning(RELATIONS)
_OUTCOME, _CAMERA, _SHAPE = _meaning(OUTCOMES), _meaning(CAMERA_VERBS), _meaning(SHAPE_WORDS)
_NOUN = f"(?:(?:a|an|the) {_any(COLOURS)} {_any(_SHAPE)})"
_ENDING = f"(?: {_any(_RELATION)} {_NOUN}(?: {_any(_OUTCOME)})?)?"
_PREDICATE = f"(?:{_any(_VERB)}(?: {_any(_WAY)})?{_ENDING})"
_CLAUSE = f"(?:{_NOUN} {_PREDICATE}|the camera {_any(_CAMERA)})"
_PARTS = re.compile(
    f"(?P<subject>{_NOUN}) (?P<verb>{_any(_VERB)})(?: (?P<way>{_any(_WAY)}))?"
    f"(?: (?P<relation>{_any(_RELATION)}) (?P<other>{_NOUN})(?: (?P<outcome>{_any(_OUTCOME)}))?)?"
)


def _pattern(template: str) -> re.Pattern[str]:
    slots = {
        "0": _CLAUSE, "1": _CLAUSE, "s": _NOUN, "p": _PREDICATE, "n": _any(NUMBERS[1:]),
        "relation": f"{_any(_RELATION)} {_NOUN}",
    }  # fmt: skip
    names = {"0": "first", "1": "last"}
    pattern = re.escape(template).replace(r"\{", "{").replace(r"\}", "}")
    for slot, inside in slots.items():
        pattern = pattern.replace(f"{{{slot}}}", f"(?P<{names.get(slot, slot)}>{inside})")
    return re.compile(pattern)


_PATTERNS = {t: _pattern(t) for t in (*ONE, FRONTED, *TWO, *TWO_BACKWARDS, *SAME_SUBJECT)}


def parse(caption: str) -> Facts:
    """The facts a caption states; JUMBLED states none. Raises InputError for words outside this small
    language."""
    words = " ".join(caption.lower().split()).rstrip(". !")
    if words == JUMBLED:
        return Facts(())
    for template, pattern in _PATTERNS.items():
        found = pattern.fullmatch(words)
        if found is None:
            continue
        part = found.groupdict()
        count = NUMBERS.index(part["n"]) if "n" in part else 0
        if template in SAME_SUBJECT:
            first = _event(part["first"])
            return Facts((first, _event(f"{_noun_words(first.subject)} {part['p']}")))
        if template == FRONTED:
            return Facts((_event(f"{part['s']} {part['p']} {part['relation']}"),))
        if "s" in part:
            return Facts((_event(f"{part['s']} {part['p']}"),), count)
        return Facts(tuple(_event(part[k]) for k in ("first", "last") if k in part), count)
    raise InputError(
        f"{caption!r} is not a sentence of this small world. Compare it with: "
        "'a red ball rolls from left to right behind a blue box'."
    )


def _noun_words(noun: Noun) -> str:
    return f"the {noun.colour} {noun.shape}"


def _noun(words: str) -> Noun:
    _, colour, shape = words.split()
    return Noun(colour, _SHAPE[shape])


def _event(clause: str) -> Event:
    if clause.startswith("the camera "):
        action, direction = _CAMERA[clause.removeprefix("the camera ")]
        return Event(CAMERA, action, direction)
    found = _PARTS.fullmatch(clause)
    assert found is not None, clause
    part = found.groupdict()
    return Event(
        _noun(part["subject"]),
        _VERB[part["verb"]],
        _WAY[part["way"]] if part["way"] else "",
        _RELATION[part["relation"]] if part["relation"] else "",
        _noun(part["other"]) if part["other"] else None,
        _OUTCOME[part["outcome"]] if part["outcome"] else "",
    )


def _words() -> tuple[str, ...]:
    tables = (VERBS, WAYS, RELATIONS, OUTCOMES, CAMERA_VERBS, SHAPE_WORDS)
    phrases = [p for table in tables for phrases in table.values() for p in phrases]
    phrases += [
        *COLOURS,
        *NUMBERS[2:],
        *ONE,
        *TWO,
        *TWO_BACKWARDS,
        *SAME_SUBJECT,
        JUMBLED,
        "a an the camera",
    ]
    return tuple(sorted(set(re.findall(r"[a-z]+", re.sub(r"{\w+}", "", " ".join(phrases))))))


VOCABULARY = _words()
