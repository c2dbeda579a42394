"""From the tab's settings to a scored pair in one call, and the recipe that repeats it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from core import draw
from core.matching import match
from core.matching.inspect import decisions
from core.matching.pairs import PairSettings, make_pair
from core.matching.truth import SCORE_HELP, load_truth, right, score
from core.matching.types import METHODS, GeometrySettings, MatchResult, MatchSettings, Pair
from core.runtime import stage
from core.types import Compared, InputError, Progress, Unavailable, silent

NOT_FLAT = (
    "This scene isn't flat, so one homography fits only a part of it: matches can be right and "
    "still disagree. Choose the fundamental matrix."
)
NEAR_LINE = (
    "The truth holds cameras but no depth, so a match counts as right within 3 px of its true "
    "epipolar line: a wrong match along the line goes unseen."
)
COMPARE_HELP = {
    "seconds": ("Time", "From pictures to verified matches.", "s"),
    "matches": SCORE_HELP["matches"],
    "inliers": ("Inliers", "Matches that agree with the estimated geometry.", ""),
    "precision": SCORE_HELP["precision"],
    "mma_3": SCORE_HELP["mma_3"],
    "corner_error_px": SCORE_HELP["corner_error_px"],
}


@dataclass(frozen=True)
class Run:
    """A pair and what matching made of it. scores is empty when no truth is known; truth_text is
    the truth file the person gave, if any."""

    pair: Pair
    result: MatchResult
    scores: dict[str, float]
    truth_text: str = ""


def run(
    source: PairSettings,
    settings: MatchSettings,
    geometry: GeometrySettings,
    image0: np.ndarray | None = None,
    image1: np.ndarray | None = None,
    truth_text: str = "",
    *,
    progress: Progress = silent,
) -> Run:
    """Make the pair, match it, score it. truth_text is a truth file's text (see load_truth).

    Raises InputError for pictures or truth that can't be used, Unavailable for a missing model.
    """
    progress(0.0, desc="making the pair")
    pair = _known_pair(source, image0, image1, truth_text)
    result = match_pair(pair, settings, geometry, progress=stage(progress, 0.1, 0.95))
    used = {"photos": (image0, image1), "warp": (image0,), "example": ()}[source.source]
    # The digests are those of the pair's pictures, which lie beside the exported script: a large
    # photo to be warped has been reduced.
    names = [f"image{k}" for k, image in enumerate(used) if image is not None]
    inputs = {name: result.recipe.inputs[name] for name in names}
    recipe = replace(
        result.recipe,
        program=_program(tuple(inputs), bool(truth_text)),
        settings=(source, settings, geometry),
        inputs=inputs,
    )
    return scored(pair, replace(result, recipe=recipe), truth_text)


def _known_pair(
    source: PairSettings, image0: np.ndarray | None, image1: np.ndarray | None, truth_text: str
) -> Pair:
    """The pair, with the truth of the file if one was given."""
    pair = make_pair(source, image0, image1)
    return replace(pair, truth=load_truth(truth_text)) if truth_text else pair


def match_pair(
    pair: Pair,
    settings: MatchSettings,
    geometry: GeometrySettings,
    *,
    progress: Progress = silent,
) -> MatchResult:
    """`match`, with the cameras' K where the pair's truth knows them."""
    known = {} if pair.truth is None else {"K0": pair.truth.K0, "K1": pair.truth.K1}
    return match(pair.image0, pair.image1, settings, geometry, progress=progress, **known)


def scored(pair: Pair, result: MatchResult, truth_text: str = "") -> Run:
    """The run with its scores, and notes where the geometry can't suit the scene, or where the
    truth tells less than the place."""
    deep = pair.truth is not None and pair.truth.homography is None
    notes = tuple(note for note in result.notes if note not in (NOT_FLAT, NEAR_LINE))
    if deep and result.geometry.geometry in ("homography", "affine"):
        notes += (NOT_FLAT,)
    if pair.truth is not None and pair.truth.only_lines:
        notes += (NEAR_LINE,)
    scores = {} if pair.truth is None else score(result, pair.truth)
    return Run(pair, replace(result, notes=notes), scores, truth_text)


def _program(inputs: tuple[str, ...], with_truth: bool) -> str:
    lines = []
    if with_truth:
        lines = ["from dataclasses import replace", "from pathlib import Path", ""]
    lines += ["import numpy as np", ""]
    if inputs:
        lines.append("from core.images import load")
    lines += [
        "from core.matching import GeometrySettings, MatchSettings",
        "from core.matching.export import arrays",
        "from core.matching.pairs import PairSettings, make_pair",
        "from core.matching.run import match_pair",
    ]
    if with_truth:
        lines.append("from core.matching.truth import load_truth")
    loaded = "".join(f', load("{name}.png")' for name in inputs)
    lines += ["", f"pair = make_pair({{PairSettings}}{loaded})"]
    if with_truth:
        lines.append('pair = replace(pair, truth=load_truth(Path("truth.txt").read_bytes()))')
    lines += [
        "result = match_pair(pair, {MatchSettings}, {GeometrySettings})",
        'print(f"{len(result.matches)} matches, {result.inliers.sum()} agree with the geometry")',
        'np.savez("matching.npz", **arrays(result))',
    ]
    return "\n".join(lines)


# ---------------------------------------------------------------- pictures and comparison

STATE_COLOURS = (draw.BLUE, draw.PINK, draw.GREY)  # in the order of inspect.DECISIONS
TRUTH_COLOURS = {1: draw.BLUE, 0: draw.ORANGE, -1: draw.GREY}


def picture(run: Run, *, by_truth: bool, most: int = 200) -> np.ndarray:
    """The matches as lines, RGB uint8: by decision, or right and wrong against the truth.

    At most `most` lines, the best-scored ones.
    """
    result = run.result
    order = np.argsort(-result.scores, kind="stable")[:most]
    points0, points1 = result.points0[order], result.points1[order]
    if by_truth and run.pair.truth is not None:
        verdicts = right(run.pair.truth, points0, points1)
        colours = [TRUTH_COLOURS[int(v)] for v in verdicts]
    else:
        state = decisions(result)[result.kept][order]
        colours = [STATE_COLOURS[s] for s in state]
    return draw.match_lines(run.pair.image0, run.pair.image1, points0, points1, colours)


def compare(
    source: PairSettings,
    methods: tuple[str, ...],
    settings: MatchSettings,
    geometry: GeometrySettings,
    image0: np.ndarray | None = None,
    image1: np.ndarray | None = None,
    truth_text: str = "",
    *,
    progress: Progress = silent,
) -> Iterator[Compared]:
    """Each method on the same pair, truth_text as in `run`. One that can't run says why and has
    no scores."""
    pair = _known_pair(source, image0, image1, truth_text)
    total, seconds = len(methods), 0.0
    for step, method in enumerate(methods, 1):
        inner = stage(progress, (step - 1) / total, step / total)
        name = METHODS[method]
        try:
            result = match_pair(pair, replace(settings, method=method), geometry, progress=inner)
        except (InputError, Unavailable) as error:
            blank = draw.side_by_side(pair.image0, pair.image1)
            nothing = dict.fromkeys(COMPARE_HELP, np.nan)
            yield Compared(step, total, seconds, f"{name} did not run: {error}", blank, nothing)
            continue
        done = scored(pair, result)
        took = sum(result.seconds.values())
        seconds += took
        known = {"seconds": took, "inliers": float(result.inliers.sum()),
                 "matches": float(len(result.matches))} | done.scores  # fmt: skip
        scores = {key: float(known.get(key, np.nan)) for key in COMPARE_HELP}
        yield Compared(step, total, seconds, name, picture(done, by_truth=True), scores)
