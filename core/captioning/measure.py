"""How good tiny-git is, on stories that it was never trained on: `python -m core.captioning.measure`.

Three sets of clips: seeds that training never saw; combinations of colour, shape and motion that it
never saw; and the first set as the page shows it: filmed larger, packed as a video, read back.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core import runtime
from core.captioning import speakers
from core.captioning.scoring import fact_scores
from core.captioning.text_scores import text_scores
from core.captioning.time_tests import read, turned
from core.captioning.train import pixels
from core.captioning.types import MODELS
from core.captioning.world import COMBINATIONS, HELD_OUT, TRAINING, clips, is_new, out_of_order
from core.scenes.facts import Facts, agreement
from core.scenes.language import JUMBLED

STORIES = 500
NEW = ("colour", "shape", "action", "direction")  # kinds that a combination is about
SEEN_AS_FILM = 100  # stories that also go through a video file


def say(net: Any, words: Any, frames: np.ndarray, batch: int = 50) -> list[str]:
    """Greedy captions of clips (N, T, S, S, 3) uint8."""
    import torch

    found: list[str] = []
    for start in range(0, len(frames), batch):
        seen = pixels(frames[start : start + batch]).to(net.device)
        ids = torch.full((len(seen), 1), words.cls_token_id, device=net.device)
        with torch.inference_mode():
            out = net.generate(
                input_ids=ids, pixel_values=seen, max_new_tokens=36, do_sample=False, num_beams=1
            )
        found += [text.replace(" ,", ",").replace(" :", ":")
                  for text in words.batch_decode(out, skip_special_tokens=True)]  # fmt: skip
    return found


def facts_right(told: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Share of a clip's facts told right, by kind: the mean over the clips that have such facts."""
    marks: dict[str, list[float]] = {}
    for text, reference in zip(told, references, strict=True):
        for kind, mark in fact_scores(text, reference).items():
            marks.setdefault(kind, []).append(mark)
    return {kind: float(np.mean(of)) for kind, of in marks.items()}


def new_right(told: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """The same over those events alone whose combination was never trained on."""
    marks: dict[str, list[float]] = {}
    for text, reference in zip(told, references, strict=True):
        truth, said = _facts(reference), read(text) or Facts(())
        new = [k for k, event in enumerate(truth.events) if is_new(event)]
        heard = Facts(tuple(said.events[k] for k in new if k < len(said.events)))
        for kind, mark in agreement(heard, Facts(tuple(truth.events[k] for k in new))).items():
            marks.setdefault(kind, []).append(mark)
    return {kind: float(np.mean(marks[kind])) for kind in NEW}


def chance(references: Sequence[str]) -> dict[str, float]:
    """What the best constant answers reach: for motion, each shape's commonest; for direction, the
    commonest."""
    events = [event for text in references for event in _facts(text).events]
    by_shape: dict[str, Counter] = {}
    for event in events:
        by_shape.setdefault(event.subject.shape, Counter())[event.action] += 1
    right = sum(counter.most_common(1)[0][1] for counter in by_shape.values())
    ways = Counter(event.direction for event in events if event.direction)
    return {"action": right / len(events), "direction": max(ways.values()) / ways.total()}


def _facts(text: str) -> Facts:
    found = read(text)
    assert found is not None, text
    return found


def turned_share(told: Sequence[str], backwards: Sequence[str]) -> float:
    """Of the clips whose caption names a direction that time turns: share in which, played backwards,
    all those directions are named as they are then."""
    passed = [turned(text, back)[0] for text, back in zip(told, backwards, strict=True)]
    return float(np.mean([one for one in passed if one is not None]))


def measured(folder: Path, count: int = STORIES) -> dict[str, Any]:
    """All figures of the model in `folder`."""
    spec = replace(MODELS["tiny-git"], source=str(folder))
    speaker = speakers.build(spec, folder)
    net, words = speaker.net, speaker.words
    seeds = range(HELD_OUT, HELD_OUT + count)
    held, new = clips(seeds, TRAINING), clips(seeds, COMBINATIONS)
    frames, references = held["frames"], held["told"][:, 0].tolist()
    told = say(net, words, frames)
    again = new["told"][:, 0].tolist()
    said_new = say(net, words, new["frames"])
    rng = np.random.default_rng(0)
    mixed = np.stack([clip[out_of_order(len(clip), rng)] for clip in frames])
    said_mixed = say(net, words, mixed)
    frozen = np.repeat(frames[:, [frames.shape[1] // 2]], frames.shape[1], axis=1)
    corpus = [[text for text in row if text] for row in held["told"].tolist()]
    overlap = [text_scores(text, row, corpus) for text, row in zip(told, corpus, strict=True)]
    film = range(min(SEEN_AS_FILM, count))
    return {
        "stories": count,
        "held out": facts_right(told, references),
        "new combinations": facts_right(said_new, again),
        "events of new combinations": new_right(said_new, again),
        "overlap": {name: float(np.mean([row[name] for row in overlap])) for name in overlap[0]},
        "turned backwards": turned_share(told, say(net, words, frames[:, ::-1])),
        "shuffled": facts_right(said_mixed, references),
        "shuffled, said so": float(np.mean([text == JUMBLED for text in said_mixed])),
        "true, said to be shuffled": float(np.mean([text == JUMBLED for text in told])),
        "frozen": facts_right(say(net, words, frozen), references),
        "chance": chance(references),
        "as films": facts_right([_from_film(speaker, k) for k in film], [references[k] for k in film]),
        "films": len(film),
    }  # fmt: skip


def _from_film(speaker: speakers.Speaker, seed: int) -> str:
    """What is said of a story as the page shows it."""
    from core.captioning.sources import filmed
    from core.captioning.types import CaptionSettings
    from core.video import sample

    clip = filmed(seed)
    assert clip.path is not None
    inputs = speaker.prepare(speaker.frames_of(sample(clip.path)), "")
    *_, text = speakers.speak(speaker, inputs, CaptionSettings())
    return text


def main() -> None:
    from core.captioning.card import SHIPPED

    parser = argparse.ArgumentParser(description="Measure tiny-git on stories never trained on.")
    parser.add_argument("--folder", type=Path, default=SHIPPED)
    parser.add_argument("--stories", type=int, default=STORIES)
    given = parser.parse_args()
    print(f"on {runtime.device()}")
    print(json.dumps(measured(given.folder, given.stories), indent=1))


if __name__ == "__main__":
    main()
