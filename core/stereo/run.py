"""From the tab's settings to a scored depth map in one call, and the recipe that repeats it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from core.images import digest
from core.runtime import stage
from core.stereo import disparity
from core.stereo.geometry import depth
from core.stereo.pairs import RigSettings, SourceSettings, make_pair
from core.stereo.pictures import disparity_picture
from core.stereo.preflight import Preflight, preflight
from core.stereo.prepare import Prepared, PrepareSettings, prepare
from core.stereo.truth import SCORE_HELP, depth_score, score
from core.stereo.types import METHODS, Calibration, Pair, StereoResult, StereoSettings, Truth
from core.types import Compared, InputError, Progress, Rig, Unavailable, silent

COMPARE_HELP = {
    "seconds": ("Time", "From pictures to disparity.", "s"),
    **{key: SCORE_HELP[key] for key in ("bad_1", "bad_2", "bad_4", "epe", "density")},
}
TRUTH_LOST = "The truth belongs to the left picture as it was, so there is no score after {}."


@dataclass(frozen=True)
class Given:
    """A person's own data: left, right (H, W, 3) uint8; what a rig file and a truth file held."""

    left: np.ndarray | None = None
    right: np.ndarray | None = None
    rig: Rig | Calibration | None = None
    truth: Truth | None = None


@dataclass(frozen=True)
class Run:
    """A pair as it came (raw) and as it was matched (pair), what the check before matching found,
    and the result. depth (H, W) float32 in the rig's unit, None without a rig; scores is empty
    when no truth is known."""

    raw: Pair
    pair: Pair
    prepared: Prepared
    check: Preflight
    result: StereoResult
    depth: np.ndarray | None
    scores: dict[str, float]
    given: Given = Given()


def run(
    source: SourceSettings = SourceSettings(),
    repair: PrepareSettings = PrepareSettings(),
    rig: RigSettings = RigSettings(),
    settings: StereoSettings = StereoSettings(),
    given: Given = Given(),
    *,
    progress: Progress = silent,
) -> Run:
    """Make the pair, mend what `repair` asks for, check it, match it, score it.

    Raises InputError for pictures that can't be used, Unavailable for a missing model.
    """
    progress(0.0, desc="making the pair")
    raw, pair, prepared = made(source, repair, rig, given)
    progress(0.2, desc="checking the pair")
    check = preflight(pair.left, pair.right, settings, pair.rig)
    result = matched(pair, settings, progress=stage(progress, 0.3, 0.95))
    inputs = {
        name: digest(picture)
        for name, picture in (("left", given.left), ("right", given.right))
        if picture is not None and source.source == "own"
    }
    recipe = replace(
        result.recipe,
        program=_program(tuple(inputs), given),
        settings=(source, repair, rig, settings),
        inputs=inputs,
    )
    result = replace(result, recipe=recipe, notes=(*prepared.notes, *result.notes))
    far = None if pair.rig is None else depth(result.disparity, pair.rig)
    return Run(raw, pair, prepared, check, result, far, scored(pair, result), given)


def made(
    source: SourceSettings, repair: PrepareSettings, rig: RigSettings, given: Given = Given()
) -> tuple[Pair, Pair, Prepared]:
    """The pair as it came, the pair ready to be matched, and what was done in between."""
    mended = source.spoil == "swapped" and repair.swap and source.source != "own"
    if mended:  # swapping back gives the pair as it was, truth and all
        source, repair = replace(source, spoil="none"), replace(repair, swap=False)
    raw = make_pair(source, rig, given.left, given.right)
    calibration = None
    if source.source == "own":
        if isinstance(given.rig, Calibration):
            calibration = given.rig
        elif given.rig is not None:
            raw = replace(raw, rig=given.rig)
        if given.truth is not None:
            _check_truth(given.truth, raw.left)
            raw = replace(raw, truth=given.truth)
    prepared = prepare(raw.left, raw.right, repair, calibration)
    pair = replace(raw, left=prepared.left, right=prepared.right, valid=prepared.valid)
    if calibration is not None:
        pair = replace(pair, rig=prepared.rig)
    done = "swapping" if repair.swap else "rectifying" if repair.rectify or calibration else ""
    if done:
        if raw.truth is not None:
            lost = TRUTH_LOST.format(done)
            prepared = replace(prepared, notes=(*prepared.notes, lost))
        pair = replace(pair, truth=None)
        if calibration is None and repair.rectify:  # its virtual cameras aren't the rig's
            pair = replace(pair, rig=None)
    return raw, pair, prepared


def matched(pair: Pair, settings: StereoSettings, *, progress: Progress = silent) -> StereoResult:
    """`disparity` of the pair, unknown where the left picture is empty."""
    result = disparity(pair.left, pair.right, settings, progress=progress)
    if pair.valid is None:
        return result
    found, before = (np.where(pair.valid, d, np.float32(np.nan)) for d in (
        result.disparity, result.matched))  # fmt: skip
    sure = np.where(pair.valid, result.confidence, np.float32(0))
    return replace(result, disparity=found, matched=before, confidence=sure)


def _check_truth(truth: Truth, left: np.ndarray) -> None:
    if truth.disparity.shape != left.shape[:2]:
        (h0, w0), (h1, w1) = truth.disparity.shape, left.shape[:2]
        raise InputError(
            f"The truth is {w0}×{h0} px, the left picture {w1}×{h1} px. Give the truth of this "
            "picture, in its size."
        )


def scored(pair: Pair, result: StereoResult) -> dict[str, float]:
    """Every score of SCORE_HELP that the pair's truth and rig allow. What counts as answered is
    what was matched: a filled pixel is a guess."""
    if pair.truth is None:
        return {}
    found = score(result.disparity, pair.truth)
    alone = score(result.matched, pair.truth)
    found |= {key: alone[key] for key in alone if key.startswith("valid_") or key == "density"}
    if pair.rig is not None:
        found |= depth_score(result.disparity, pair.truth.disparity, pair.rig)
    return found


def _program(inputs: tuple[str, ...], given: Given) -> str:
    read = "".join(f', {name}=load("{name}.png")' for name in inputs)
    lines = ["import numpy as np", ""]
    if inputs:
        lines.append("from core.images import load")
    lines += [
        "from core.stereo import StereoSettings",
        "from core.stereo.pairs import RigSettings, SourceSettings",
        "from core.stereo.prepare import PrepareSettings",
    ]
    if inputs and given.rig is not None:
        lines.append("from core.stereo.rigfile import read_rig")
        name = "rig.yml" if isinstance(given.rig, Calibration) else "rig.json"
        read += f', rig=read_rig("{name}")'
    lines += [
        "from core.stereo.run import Given, made, matched",
        "",
        f"given = Given({read.removeprefix(', ')})",
        "_, pair, _ = made({SourceSettings}, {PrepareSettings}, {RigSettings}, given)",
        "result = matched(pair, {StereoSettings})",
        'print(f"{np.isfinite(result.disparity).mean():.1%} of the pixels have a disparity")',
        'np.savez("stereo.npz", disparity=result.disparity, confidence=result.confidence)',
    ]
    return "\n".join(lines)


# ---------------------------------------------------------------- comparison


def compare(
    source: SourceSettings,
    methods: tuple[str, ...],
    repair: PrepareSettings,
    rig: RigSettings,
    settings: StereoSettings,
    given: Given = Given(),
    *,
    progress: Progress = silent,
) -> Iterator[Compared]:
    """Each method on the same pair. One that can't run says why and has no scores."""
    _, pair, _ = made(source, repair, rig, given)
    low, high = settings.min_disparity_px, settings.max_disparity_px
    if pair.truth is not None:
        low, high = np.nanpercentile(pair.truth.disparity, (1, 99))
    total, seconds = len(methods), 0.0
    for step, method in enumerate(methods, 1):
        inner = stage(progress, (step - 1) / total, step / total)
        name = METHODS[method]
        try:
            chosen = replace(settings, method=method)
            result = matched(pair, chosen, progress=inner)
        except (InputError, Unavailable) as error:
            nothing = dict.fromkeys(COMPARE_HELP, np.nan)
            yield Compared(step, total, seconds, f"{name} did not run: {error}", pair.left, nothing)
            continue
        seconds += result.seconds
        known = scored(pair, result) | {
            "seconds": result.seconds,
            "density": float(np.isfinite(result.matched).mean()),
        }
        scores = {key: float(known.get(key, np.nan)) for key in COMPARE_HELP}
        drawn = disparity_picture(result.disparity, low, high)
        yield Compared(step, total, seconds, name, drawn, scores)
