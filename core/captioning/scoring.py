"""How good a caption is: words in common with references, and facts told right.

Overlap of words says little: 'to the left' and 'to the right' share two words of three. A rendered
clip's captions can be read back as facts, and each fact is right or wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.captioning import sources
from core.captioning.text_scores import text_scores
from core.captioning.types import CaptionResult
from core.scenes.facts import agreement
from core.scenes.language import parse
from core.types import InputError

SECOND = " s: "  # between a frame's second and its caption
SCORE_HELP = {
    "colour": ("Colour", "Of who does something.", ""),
    "shape": ("Object", "Its shape.", ""),
    "action": ("Motion", "What it does.", ""),
    "direction": ("Direction", "Left, right, towards, away.", ""),
    "relation": ("Relation", "Past, behind, into …", ""),
    "other": ("Other object", "To whom it happens: colour and shape.", ""),
    "order": ("Order", "What comes first.", ""),
    "BLEU-4": ("BLEU-4", "Runs of one to four words in common with the references.", ""),
    "ROUGE-L": ("ROUGE-L", "The longest common sequence of words.", ""),
    "CIDEr-D": ("CIDEr-D", "Common word runs, rare ones counting more; at most 10.", ""),
}


def score(
    text: str, references: Sequence[str], corpus: Sequence[Sequence[str]] | None = None
) -> dict[str, float]:
    """Scores of SCORE_HELP for one caption.

    Facts are scored if the references are sentences of the small world; a caption that isn't one
    has none of them right. corpus holds the references of many clips, for CIDEr-D's weights of rare
    words; unless given, those of many stories. Raises InputError without a reference.
    """
    corpus = sources.corpus() if corpus is None else corpus
    found = fact_scores(text, references[0]) if references else {}
    return found | text_scores(text, references, corpus)


def score_result(
    found: CaptionResult, references: Sequence[str], corpus: Sequence[Sequence[str]] | None = None
) -> dict[str, float]:
    """Scores of an answer, as `score` gives them. Where each frame has a caption of its own, each is
    scored by itself, and this is the mean."""
    each = [score(text, references, corpus) for text in captions_of(found)]
    return {name: float(np.mean([scores[name] for scores in each])) for name in each[0]}


def captions_of(found: CaptionResult) -> list[str]:
    """What was said: one text, or one a frame, without the second that is shown before it."""
    if found.settings.model != "blip-frames":
        return [found.text]
    return [line.partition(SECOND)[2] for line in found.text.splitlines()]


def fact_scores(text: str, reference: str) -> dict[str, float]:
    """Share of the reference's facts that are told right, by kind; {} if it states none."""
    try:
        truth = parse(reference)
    except InputError:
        return {}
    try:
        return agreement(parse(text), truth)
    except InputError:  # no sentence of this world: nothing in it can be checked
        return dict.fromkeys(agreement(truth, truth), 0.0)
