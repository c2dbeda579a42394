"""Caption scores: published values, a reference implementation, and sums done by hand."""

import math
import random

import numpy as np
import pytest
import sacrebleu

from core.captioning.text_scores import (
    bleu4,
    cider,
    corpus_bleu4,
    rouge_l,
    text_scores,
    tokens,
)
from core.scenes.language import VOCABULARY
from core.types import InputError

# The example of NLTK's `bleu_score` (3.10), which is the one of Papineni et al., 2002.
PARTY = (
    "It is a guide to action which ensures that the military always obeys the commands of the party"
)
PARTY_REFERENCES = (
    "It is a guide to action that ensures that the military will forever heed Party commands",
    "It is the guiding principle which guarantees the military forces always being under the "
    "command of the Party",
    "It is the practical guide for the army always to heed the directions of the party",
)
BOOK = "he read the book because he was interested in world history"
BOOK_REFERENCES = ("he was interested in world history because he read the book",)

TOYS = {  # captions of rendered clips: text, references, and what pycocoevalcap 1.2 says of them
    "a red ball rolls from left to right": (
        ("a red ball rolls to the right", "the red ball rolls from left to right behind a box",
         "in this clip a red ball rolls from left to right"), 1.0, 0.91044776, 6.18474938),
    "first a blue box slides to the left, then the camera pans to the right": (
        ("first a blue cube glides to the left, and then the camera turns to the right",
         "a blue box slides to the left before the camera pans to the right"),
        0.822802, 0.90216155, 5.35113942),
    "an orange ring jumps": (
        ("an orange ring hops", "we see how an orange ring jumps up"), 1.0, 0.83561644, 4.78435725),
    "there are three things, and a green cone vanishes": (
        ("a green cone disappears", "among three things, a green cone vanishes",
         "there are three things, and a green cone suddenly appears"),
        0.894839, 0.86987522, 4.77416878),
    "the camera moves closer": (
        ("the camera moves in", "the camera moves closer"), 1.0, 1.0, 7.2020246),
}  # fmt: skip
TOYS_BLEU = 0.9228569964


def test_bleu_of_nltks_published_example():
    assert bleu4(PARTY, PARTY_REFERENCES) == pytest.approx(0.5045, abs=1e-4)
    both = corpus_bleu4([PARTY, BOOK], [PARTY_REFERENCES, BOOK_REFERENCES])
    assert both == pytest.approx(0.5920, abs=1e-4)
    mean = (bleu4(PARTY, PARTY_REFERENCES) + bleu4(BOOK, BOOK_REFERENCES)) / 2
    assert mean == pytest.approx(0.6223, abs=1e-4)


def test_cider_of_aac_metrics_published_example():
    """From the README of aac-metrics 0.6.0."""
    texts = ["a man is speaking", "rain falls"]
    references = [
        ["a man speaks.", "someone speaks.",
         "a man is speaking while a bird is chirping in the background"],
        ["rain is falling hard on a surface"],
    ]  # fmt: skip
    assert cider(texts, references) == pytest.approx([1.3641, 0.5587], abs=1e-4)
    assert cider(texts, references).mean() == pytest.approx(0.9614, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("police kill the gunman", 3 / 4),
        ("the gunman kill police", 2 / 4),
        ("the gunman police killed", 2 / 4),
    ],
)
def test_rouge_of_lins_published_example(text, value):
    """Lin, 2004, section 3.1: lengths are equal, so beta has no say."""
    assert rouge_l(text, ["police killed the gunman"]) == pytest.approx(value)


def test_scores_of_toy_captions_are_those_of_pycocoevalcap():
    texts, references = list(TOYS), [row[0] for row in TOYS.values()]
    found = cider(texts, references)
    assert found == pytest.approx([row[3] for row in TOYS.values()], abs=1e-7)
    assert corpus_bleu4(texts, references) == pytest.approx(TOYS_BLEU, abs=1e-8)
    for (text, (own, bleu, rouge, _)), value in zip(TOYS.items(), found, strict=True):
        scores = text_scores(text, own, references)
        assert list(scores) == ["BLEU-4", "ROUGE-L", "CIDEr-D"]
        assert scores["BLEU-4"] == pytest.approx(bleu, abs=1e-6)
        assert scores["ROUGE-L"] == pytest.approx(rouge, abs=1e-7)
        assert scores["CIDEr-D"] == pytest.approx(value)
    assert "CIDEr-D" not in text_scores(texts[0], references[0])


def test_bleu_of_random_sentences_is_sacrebleus():
    rng = random.Random(0)
    words = list(VOCABULARY)
    for _ in range(40):
        pool = rng.sample(words, rng.choice([4, 8, 30]))
        texts = [" ".join(rng.choices(pool, k=rng.randint(1, 15))) for _ in range(6)]
        references = [
            [" ".join(rng.choices(pool, k=rng.randint(1, 15))) for _ in range(3)] for _ in texts
        ]
        streams = [list(column) for column in zip(*references, strict=True)]
        its = sacrebleu.corpus_bleu(texts, streams, "none", tokenize="none").score / 100
        assert corpus_bleu4(texts, references) == pytest.approx(its, abs=1e-12)
        for text, own in zip(texts, references, strict=True):
            its = sacrebleu.sentence_bleu(
                text, own, "none", tokenize="none", use_effective_order=False
            )
            assert bleu4(text, own) == pytest.approx(its.score / 100, abs=1e-12)


def test_bleu_by_hand():
    """Of 6 words, 5 pairs, 4 triples and 3 fours all but one are found; one word is too few."""
    value = (5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** (1 / 4) * math.exp(1 - 7 / 6)
    assert bleu4("the cat sat on the mat", ["the cat sat on the rug today"]) == pytest.approx(value)
    assert bleu4("the cat sat", ["the cat sat"]) == 0  # no run of four
    # The closer reference counts, and of two as close the shorter one: no penalty.
    assert bleu4("a b c d e", ["a b c d e f", "a b c d"]) == pytest.approx(1.0)


def test_rouge_by_hand():
    """Common: a c d. Precision 3/4, recall 3/5."""
    value = (1 + 1.44) * 0.75 * 0.6 / (0.6 + 1.44 * 0.75)
    assert rouge_l("a b c d", ["a c d e f"]) == pytest.approx(value)


def test_cider_by_hand():
    """Each word is in one clip of two and weighs log 2; one order of runs of four is there."""
    references = [["cat"], ["dog"]]
    assert cider(["cat", "cat"], references) == pytest.approx([10 / 4, 0])
    # Twice the word: half the cosine by clipping, a word too long, and no such pair.
    twice = 10 / 4 * 0.5 * math.exp(-1 / 72)
    assert cider(["cat cat"], [["cat"]], references) == pytest.approx([twice])
    assert cider(["a"], [["a"]], [["a"], ["a"]]) == pytest.approx([0])  # all clips have it


def test_a_text_that_is_its_only_reference_scores_best():
    corpus = [[text] for text in TOYS]
    for text in TOYS:
        scores = text_scores(text, [text], corpus)
        assert scores == pytest.approx({"BLEU-4": 1, "ROUGE-L": 1, "CIDEr-D": 10})


def test_words_that_are_compared():
    assert tokens("A man isn’t at the dog's T-shirt, (3.5 m) -- right?") == [
        "a", "man", "is", "n't", "at", "the", "dog", "'s", "t-shirt", "3.5", "m", "right",
    ]  # fmt: skip
    assert tokens(" ... ") == []
    assert tokens("Ein Bär läuft.") == ["ein", "bär", "läuft"]


def test_empty_and_wrong_input():
    for text in ("", "...", "nothing alike"):
        assert set(text_scores(text, ["a red ball rolls"], [["a"], ["b"]]).values()) == {0.0}
    assert text_scores("a", [""]) == {"BLEU-4": 0, "ROUGE-L": 0}
    with pytest.raises(InputError, match="at least one"):
        bleu4("a ball", [])
    with pytest.raises(InputError, match="at least one"):
        rouge_l("a ball", "a ball")
    with pytest.raises(InputError, match="two clips"):
        cider(["a"], [["a"]])
    with pytest.raises(InputError, match="its own list"):
        cider(["a", "b"], [["a"]])
    assert np.isfinite(cider(["", "a"], [["", "a"], ["b"]])).all()
