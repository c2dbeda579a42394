"""Feature matching: the same physical points in two pictures, and the geometry between them.

Five steps, each a file: find and describe keypoints (`features`), pair the nearest descriptors
(`neighbours`), throw away the doubtful (`neighbours.keep`), find what relation the rest agrees on
(`geometry`), and, where the truth is known, count who is right (`truth`). `match` runs the first
four. What is cheap can be done again alone: `select` with another ratio, `estimate` with another
geometry, both from the same candidates.
"""

from __future__ import annotations

import dataclasses
import time

import numpy as np

from core.images import as_rgb, digest
from core.matching.errors import (
    candidate_errors_px,
    epipolar_error_px,
    errors_px,
    pose_error_deg,
    transfer_error_px,
)
from core.matching.features import detect
from core.matching.geometry import estimate
from core.matching.learned import MODELS, learned_match
from core.matching.neighbours import candidates, keep
from core.matching.stress import stress
from core.matching.template import template_match
from core.matching.truth import score
from core.matching.types import (
    ESTIMATORS,
    GEOMETRIES,
    METHODS,
    Candidates,
    Features,
    GeometrySettings,
    MatchResult,
    MatchSettings,
    Pair,
    Truth,
)
from core.recipe import Recipe
from core.runtime import stage
from core.types import Progress, silent

__all__ = [
    "ESTIMATORS",
    "GEOMETRIES",
    "METHODS",
    "MODELS",
    "Candidates",
    "Features",
    "GeometrySettings",
    "MatchResult",
    "MatchSettings",
    "Pair",
    "Truth",
    "candidate_errors_px",
    "epipolar_error_px",
    "errors_px",
    "estimate",
    "match",
    "pose_error_deg",
    "score",
    "select",
    "stress",
    "transfer_error_px",
]

Found = tuple[Features, Features, Candidates, dict[str, float], str]


def match(
    image0: np.ndarray,
    image1: np.ndarray,
    settings: MatchSettings = MatchSettings(),
    geometry: GeometrySettings = GeometrySettings(),
    *,
    K0: np.ndarray | None = None,
    K1: np.ndarray | None = None,
    progress: Progress = silent,
) -> MatchResult:
    """Match two pictures (anything `core.images.as_rgb` takes) and verify the matches.

    seconds has 'detect' and 'describe' (or 'detect+describe' where they share their work),
    'match' and 'verify'. K0 and K1 (3, 3) px serve the essential matrix. Whatever `progress`
    raises stops the work. Raises InputError for pictures without keypoints, Unavailable for a
    pretrained model that isn't here.
    """
    progress(0.0, desc="reading the pictures")
    image0, image1 = as_rgb(image0, "Picture 0"), as_rgb(image1, "Picture 1")
    inputs = {"image0": digest(image0), "image1": digest(image1)}
    if settings.rotate_retry:
        result = _best_rotation(image0, image1, inputs, settings, geometry, K0, K1, progress)
    else:
        found = _find(image0, image1, settings, stage(progress, 0.0, 0.95))
        progress(0.95, desc="verifying")
        result = _verified(image0, image1, inputs, found, settings, geometry, K0, K1)
    progress(1.0, desc="matched")
    return result


def select(result: MatchResult, settings: MatchSettings) -> MatchResult:
    """The same candidates, chosen again by `ratio`, `cross_check` and `mutual_check`, and verified.

    No picture is looked at, so the other fields of `settings` change nothing and stay as they were.
    """
    settings = dataclasses.replace(
        result.settings,
        ratio=settings.ratio,
        cross_check=settings.cross_check,
        mutual_check=settings.mutual_check,
    )
    kept = keep(result.candidates, settings)
    others = [s for s in result.recipe.settings if not isinstance(s, MatchSettings)]
    chosen = dataclasses.replace(
        result,
        settings=settings,
        kept=kept,
        scores=_scores(result.candidates, settings)[kept],
        inliers=np.zeros(int(kept.sum()), bool),
        recipe=dataclasses.replace(result.recipe, settings=(settings, *others)),
    )
    return estimate(chosen, result.geometry)


# ---------------------------------------------------------------- the steps


def _find(
    image0: np.ndarray,
    image1: np.ndarray,
    settings: MatchSettings,
    progress: Progress,
    features0: Features | None = None,
) -> Found:
    """Features of both pictures, candidates, seconds and the model's id. `features0`, if known
    already, saves finding them again."""
    if settings.method in MODELS:
        return learned_match(image0, image1, settings, progress)
    if settings.method == "template":
        return *template_match(image0, image1, settings, progress), ""
    seconds: dict[str, float] = {}
    if features0 is None:
        features0 = detect(
            image0, settings, stage(progress, 0.0, 0.4), name="Picture 0", seconds=seconds
        )
    progress(0.4, desc="finding keypoints")
    features1 = detect(
        image1, settings, stage(progress, 0.4, 0.8), name="Picture 1", seconds=seconds
    )
    progress(0.8, desc="comparing descriptors")
    start = time.perf_counter()
    found = candidates(features0, features1, settings, stage(progress, 0.8, 1.0))
    seconds["match"] = time.perf_counter() - start
    return features0, features1, found, seconds, ""


def _verified(
    image0: np.ndarray,
    image1: np.ndarray,
    inputs: dict[str, str],
    found: Found,
    settings: MatchSettings,
    geometry: GeometrySettings,
    K0: np.ndarray | None,
    K1: np.ndarray | None,
) -> MatchResult:
    features0, features1, pairs, seconds, model = found
    kept = keep(pairs, settings)
    recipe = Recipe("matching", _program(K0, K1), (settings, geometry), inputs, model)
    result = MatchResult(
        features0=features0,
        features1=features1,
        candidates=pairs,
        kept=kept,
        scores=_scores(pairs, settings)[kept],
        inliers=np.zeros(int(kept.sum()), bool),
        model=None,
        size0=(image0.shape[1], image0.shape[0]),
        size1=(image1.shape[1], image1.shape[0]),
        settings=settings,
        geometry=geometry,
        seconds=seconds,
        recipe=recipe,
        notes=_remarks(image0, image1, inputs, settings),
    )
    return estimate(result, geometry, K0=K0, K1=K1)


def _scores(found: Candidates, settings: MatchSettings) -> np.ndarray:
    """(C,) float32 in [0, 1]: NCC, a network's confidence, or 1 − ratio where it is known.

    Without a runner-up only the distance speaks: 1 − distance, which has a scale for floats of
    unit length; for bits it is counted as a share of 256.
    """
    distance = found.distance
    if settings.method == "template" or settings.method in MODELS:
        score = 1 - distance
    else:
        longest = {"orb": 256.0, "orb-flann": 256.0}.get(settings.method, 1.0)
        alone = 1 - distance / longest
        score = np.where(
            np.isnan(found.second_distance), alone, 1 - np.nan_to_num(found.ratio, nan=1.0)
        )
    return np.clip(score, 0, 1).astype(np.float32)


def _remarks(
    image0: np.ndarray, image1: np.ndarray, inputs: dict[str, str], settings: MatchSettings
) -> tuple[str, ...]:
    """What a person should know about the pictures themselves."""
    notes = []
    for name, image in (("Picture 0", image0), ("Picture 1", image1)):
        height, width = image.shape[:2]
        if max(height, width) > settings.max_side_px and settings.method not in MODELS:
            notes.append(
                f"{name} ({width}×{height} px) was reduced to {settings.max_side_px} px on its "
                "longer side for finding points; coordinates are those of the full picture."
            )
    side0, side1 = max(image0.shape[:2]), max(image1.shape[:2])
    if max(side0, side1) > 4 * min(side0, side1):
        notes.append(
            f"The pictures differ in size by a factor of {max(side0, side1) / min(side0, side1):.1f}"
            "; few keypoints survive such a change. Use versions of similar size."
        )
    if inputs["image0"] == inputs["image1"]:
        notes.append("Both pictures are the same, so every point should match itself.")
    return tuple(notes)


# ---------------------------------------------------------------- rotate and retry


def _best_rotation(
    image0: np.ndarray,
    image1: np.ndarray,
    inputs: dict[str, str],
    settings: MatchSettings,
    geometry: GeometrySettings,
    K0: np.ndarray | None,
    K1: np.ndarray | None,
    progress: Progress,
) -> MatchResult:
    """The best of four quarter turns of picture 1, told in the unturned picture's coordinates."""
    best, best_turns, features0 = None, 0, None
    total: dict[str, float] = {}
    for turns in range(4):
        here = stage(progress, 0.95 * turns / 4, 0.95 * (turns + 1) / 4)
        turned = np.ascontiguousarray(np.rot90(image1, turns))
        found = _find(image0, turned, settings, here, features0)
        if found[0].descriptors is not None and settings.method not in MODELS:
            features0 = found[0]
        back = _turned_back(found[1], turns, image1.shape[1], image1.shape[0])
        result = _verified(
            image0, image1, inputs, (found[0], back, *found[2:]), settings, geometry, K0, K1
        )
        for step, seconds in result.seconds.items():
            total[step] = total.get(step, 0.0) + seconds
        if best is None or result.inliers.sum() > best.inliers.sum():
            best, best_turns = result, turns
    assert best is not None
    note = (
        f"Of four turns of picture 1, {90 * best_turns} degrees counter-clockwise gave the most "
        f"inliers; coordinates are those of the unturned picture."
    )
    return dataclasses.replace(best, seconds=total, notes=(note, *best.notes))


def _turned_back(features: Features, turns: int, width: int, height: int) -> Features:
    """Features of np.rot90(image, turns) in the coordinates of the image, width × height px."""
    x, y = features.xy[:, 0], features.xy[:, 1]
    places = ((x, y), (width - y, x), (width - x, height - y), (y, height - x))
    return dataclasses.replace(
        features,
        xy=np.column_stack(places[turns]).astype(np.float32),
        angle_deg=(features.angle_deg + 90 * turns) % 360,
    )


# ---------------------------------------------------------------- the recipe's program


def _program(K0: np.ndarray | None, K1: np.ndarray | None) -> str:
    known = [(n, K) for n, K in (("K0", K0), ("K1", K1)) if K is not None]
    cameras = "".join(f"{n} = np.array({np.asarray(K).tolist()})\n" for n, K in known)
    given = "".join(f", {n}={n}" for n, _ in known)
    return f"""import numpy as np

from core.images import load
from core.matching import GeometrySettings, MatchSettings, match

image0 = load("image0.png")
image1 = load("image1.png")
{cameras}result = match(image0, image1, {{MatchSettings}}, {{GeometrySettings}}{given})

print(f"{{len(result.matches)}} matches, {{result.inliers.sum()}} of them inliers")
for note in result.notes:
    print(note)
print("model:", result.model)
np.savez(
    "matching.npz",
    keypoints0=result.keypoints0,
    keypoints1=result.keypoints1,
    matches=result.matches,
    scores=result.scores,
    inliers=result.inliers,
    model=np.full((3, 3), np.nan) if result.model is None else result.model,
)
"""
