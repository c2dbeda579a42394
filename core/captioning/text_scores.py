"""How like its references a caption is: BLEU-4, ROUGE-L, CIDEr-D. All of them count words.

    BLEU-4    of the text's runs of 1, 2, 3 and 4 words, how many a reference has too; geometric
              mean of the four shares, times a penalty for texts that are too short
    ROUGE-L   the longest sequence of words that text and reference have in the same order, as a
              share of either, joined with recall weighing more
    CIDEr-D   cosine between the two texts' runs of words, where a run that many clips' references
              have weighs little ("there is a") and a rare one much ("orange ring")

None knows what a word means: 'to the left' scores well where 'to the right' is true. Where a clip's
facts are known, compare those (`core.scenes.facts.agreement`) and read these as a second opinion.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from core.types import InputError

_LONGEST = 4  # words in a run
_SIGMA = 6.0  # CIDEr-D: by how many words lengths may differ
_BETA = 1.2  # ROUGE-L: how much more recall weighs than precision

_CLITIC = re.compile(r"(?<=\w)(n't|'(?:s|m|d|re|ve|ll))\b")
_TOKEN = re.compile(r"n't\b|'(?:s|m|d|re|ve|ll)\b|\w+(?:[.,]\d+)*(?:-\w+)*")


def tokens(text: str) -> list[str]:
    """The words that are compared: lower case, without punctuation.

    As in the COCO caption evaluation, whose Penn Treebank tokenizer takes clitics for words
    ("isn't" is "is n't", "dog's" is "dog 's") and keeps hyphens inside a word and points inside a
    number. Simplified: no rules for abbreviations, prices, fractions or 'cannot', and symbols such
    as $ and & are dropped too.
    """
    plain = text.lower().replace("’", "'")
    return _TOKEN.findall(_CLITIC.sub(r" \1", plain))


def text_scores(
    text: str, references: Sequence[str], corpus: Sequence[Sequence[str]] | None = None
) -> dict[str, float]:
    """Scores of one caption against its references: 'BLEU-4', 'ROUGE-L', and 'CIDEr-D' if it can be.

    BLEU-4 and ROUGE-L in [0, 1], CIDEr-D in [0, 10]. corpus holds the references of each of many
    clips, from which CIDEr-D learns how common a run of words is; without one of two clips or more
    it isn't defined and not listed. Raises InputError without a reference.
    """
    scores = {"BLEU-4": bleu4(text, references), "ROUGE-L": rouge_l(text, references)}
    if corpus is not None and len(corpus) > 1:
        scores["CIDEr-D"] = float(cider([text], [references], corpus)[0])
    return scores


def bleu4(text: str, references: Sequence[str]) -> float:
    """BLEU-4 of one caption, in [0, 1]; 0 if no run of four words is in a reference.

    Papineni et al., 2002, without smoothing; the reference length is the closest one's, the shorter
    of two as close. Raises InputError without a reference.
    """
    return corpus_bleu4([text], [references])


def corpus_bleu4(texts: Sequence[str], references_per_text: Sequence[Sequence[str]]) -> float:
    """BLEU-4 of many captions at once, in [0, 1]: counts are added up first, then divided.

    This is the BLEU that papers print, not the mean of `bleu4`. Raises InputError where a text has
    no reference.
    """
    _check(texts, references_per_text)
    hits, runs = np.zeros(_LONGEST), np.zeros(_LONGEST)
    length = closest = 0
    for text, references in zip(texts, references_per_text, strict=True):
        words, others = tokens(text), [tokens(r) for r in references]
        length += len(words)
        closest += min((abs(len(o) - len(words)), len(o)) for o in others)[1]
        most: Counter = Counter()
        for other in others:
            most |= _runs(other)  # the largest count in any one reference
        for run, n in _runs(words).items():
            runs[len(run) - 1] += n
            hits[len(run) - 1] += min(n, most[run])
    if not hits.all():
        return 0.0
    brevity = min(1.0, math.exp(1 - closest / length))
    return float(brevity * np.exp(np.log(hits / runs).mean()))


def rouge_l(text: str, references: Sequence[str]) -> float:
    """ROUGE-L of one caption, in [0, 1].

    Lin, 2004, as the COCO caption evaluation has it: the best precision and the best recall over
    the references (maybe two different ones), joined as an F measure with beta 1.2. Raises
    InputError without a reference.
    """
    _check([text], [references])
    words, others = tokens(text), [tokens(r) for r in references]
    if not words:
        return 0.0
    common = [_in_common(words, other) for other in others]
    precision = max(common) / len(words)
    recall = max(c / max(len(o), 1) for c, o in zip(common, others, strict=True))
    if not precision:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def cider(
    texts: Sequence[str],
    references_per_text: Sequence[Sequence[str]],
    corpus: Sequence[Sequence[str]] | None = None,
) -> np.ndarray:
    """CIDEr-D of each caption, (N,) float64 in [0, 10]; a system's score is their mean.

    Vedantam, Zitnick and Parikh, 2015, section 7 (the D variant: no stemming, counts clipped to the
    reference's, a Gaussian penalty with sigma 6 words on the difference of lengths, times 10; mean
    over runs of 1 to 4 words and over the references). Document frequencies come from corpus, the
    references of each of its clips; if it is None, from references_per_text. A run that is in no
    clip of the corpus counts as if it were in one. Raises InputError where a text has no reference,
    or with a corpus of fewer than two clips, where every weight is zero.
    """
    _check(texts, references_per_text)
    documents = references_per_text if corpus is None else corpus
    if len(documents) < 2:
        raise InputError(
            "CIDEr compares with the references of other clips. Give two clips or more."
        )
    found: Counter = Counter()
    for references in documents:
        found.update({run for reference in references for run in _runs(tokens(reference))})
    weight = _Weights(found, len(documents))
    scores = []
    for text, references in zip(texts, references_per_text, strict=True):
        words = tokens(text)
        alike = [_alike(words, tokens(reference), weight) for reference in references]
        scores.append(10 * float(np.mean(alike)))
    return np.array(scores, np.float64)


class _Weights:
    """How much a run of words weighs: log of (clips / clips that have it)."""

    def __init__(self, found: Counter, clips: int) -> None:
        self.found, self.clips = found, clips

    def __call__(self, counts: Counter, n: int) -> dict[tuple[str, ...], float]:
        return {
            run: count * math.log(self.clips / max(1, self.found[run]))
            for run, count in counts.items()
            if len(run) == n
        }


def _alike(words: list[str], other: list[str], weight: _Weights) -> float:
    """CIDEr-D of one text and one reference, in [0, 1]."""
    mine, its = _runs(words), _runs(other)
    total = 0.0
    for n in range(1, _LONGEST + 1):
        a, b = weight(mine, n), weight(its, n)
        norm = math.hypot(*a.values()) * math.hypot(*b.values())
        if norm:
            total += sum(min(value, b[run]) * b[run] for run, value in a.items() if run in b) / norm
    return total / _LONGEST * math.exp(-((len(words) - len(other)) ** 2) / (2 * _SIGMA**2))


def _runs(words: list[str]) -> Counter:
    """How often each run of 1 to 4 words occurs."""
    return Counter(
        tuple(words[i : i + n]) for n in range(1, _LONGEST + 1) for i in range(len(words) - n + 1)
    )


def _in_common(a: list[str], b: list[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for word in a:
        before = 0  # row[j - 1] of the row above
        for j, other in enumerate(b, 1):
            above = row[j]
            row[j] = before + 1 if word == other else max(above, row[j - 1])
            before = above
    return row[-1]


def _check(texts: Sequence[str], references_per_text: Sequence[Sequence[str]]) -> None:
    if len(texts) != len(references_per_text):
        raise InputError(
            f"{len(texts)} captions and {len(references_per_text)} lists of references. "
            "Give each caption its own list."
        )
    if not texts or any(isinstance(r, str) or not len(r) for r in references_per_text):
        raise InputError("A caption is scored against sentences. Give a list of at least one.")
