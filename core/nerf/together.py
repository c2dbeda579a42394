"""Trainings side by side: the same views, the same clock, one thing changed.

Each run gets the turn when it has trained the least, so after any moment all have had the same
seconds, and what differs between their curves is what was changed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.nerf.rendered import shaken
from core.nerf.run import ViewSettings
from core.nerf.training import score, train
from core.nerf.types import FIELDS, NerfSettings, Trained, Views
from core.types import InputError, Progress, Snapshot, silent

MOST = 4  # runs at a time
EXPERIMENTS = {
    "fields": "Fields",
    "encoding": "Encoding on and off",
    "views": "4, 8, 16 or all views",
    "noise": "Pose noise 0°, 1°, 5°",
    "samples": "4, 8, 16, 48 samples a ray",
    "range": "Near and far too tight",
    "skipping": "Empty space skipped or not",
}
EXPERIMENT_HELP = {
    "fields": "Ways to store the same scene.",
    "encoding": "One network, with γ(p) and without: bare coordinates stay blurred.",
    "views": "Too few views: each fits its picture, and what lies between is wrong.",
    "noise": "Cameras that look a little beside what they saw.",
    "samples": "Fewer samples a ray: thin things are missed, steps are quicker.",
    "range": "A ray must be able to reach what it saw.",
    "skipping": "Where samples go when empty space is known, and when it isn't.",
}
TOGETHER_HELP = {
    "psnr": ("PSNR, held out", "Mean over held-out views.", "dB"),
    "ssim": ("SSIM, held out", "Structure kept.", ""),
    "steps": ("Steps", "In the same time.", ""),
    "reached": ("Time to 22 dB", "Of the view shown; a dash: not reached.", "s"),
}

Case = tuple[Views, NerfSettings]


@dataclass(frozen=True)
class Together(Snapshot):
    """All runs at one moment: states and curves of (seconds, PSNR) by name; scores by name, once
    all are done."""

    states: Mapping[str, Trained]
    curves: Mapping[str, tuple[tuple[float, float], ...]]
    scores: Mapping[str, Mapping[str, float]]


def together(runs: Mapping[str, Case], progress: Progress = silent) -> Iterator[Together]:
    """Train up to four runs in turns. Raises InputError for fewer than two or more than four."""
    if not 2 <= len(runs) <= MOST:
        chosen = "1 run is" if len(runs) == 1 else f"{len(runs)} runs are"
        raise InputError(f"{chosen} chosen. Choose two to four.")
    trainings = {name: train(views, settings) for name, (views, settings) in runs.items()}
    states: dict[str, Trained] = {}
    curves: dict[str, tuple[tuple[float, float], ...]] = dict.fromkeys(runs, ())
    left, k = list(runs), 0
    total = sum(settings.seconds for _, settings in runs.values())
    try:
        while left:
            name = min(left, key=lambda n: states[n].seconds if n in states else -1.0)
            before = states.get(name)
            shot = next(trainings[name], None)
            if shot is None:
                left.remove(name)
                continue
            k, states[name] = k + 1, shot
            if before is None or before.preview is not shot.preview:
                curves[name] = (*curves[name], (shot.seconds, shot.psnr))
            spent = sum(state.seconds for state in states.values())
            progress(min(spent / total, 1.0), desc=f"training {name}")
            yield Together(k, 0, spent, dict(states), dict(curves), {})
    finally:
        for training in trainings.values():
            training.close()  # type: ignore[attr-defined]
    scores = {}
    for name, (views, _) in runs.items():
        progress(1.0, desc=f"scoring {name}")
        psnr, ssim = score(states[name].field, views, views.test)
        reached = next((s for s, db in curves[name] if db >= 22), math.nan)
        steps = float(states[name].step)
        scores[name] = {"psnr": psnr, "ssim": ssim, "steps": steps, "reached": reached}
    yield Together(k + 1, 0, sum(s.seconds for s in states.values()), states, curves, scores)


def source_for(experiment: str, source: ViewSettings) -> ViewSettings:
    """Where the views of an experiment come from. Those of "noise" are exact: each run turns the
    cameras itself."""
    return replace(source, pose_noise_deg=0.0) if experiment == "noise" else source


def cases(
    experiment: str, views: Views, settings: NerfSettings, fields: Sequence[str] = ()
) -> dict[str, Case]:
    """The runs of one of EXPERIMENTS, by name; fields: keys of FIELDS, for "fields" alone. Raises InputError
    for too few views to leave some out."""
    if experiment == "fields":
        return {FIELDS[f]: (views, replace(settings, field_kind=f)) for f in fields}
    if experiment == "encoding":
        plain = replace(settings, field_kind="frequency", frequencies=0)
        on = replace(plain, frequencies=settings.frequencies or 8)
        return {f"γ(p), L = {on.frequencies}": (views, on), "Bare position": (views, plain)}
    if experiment == "views":
        n = len(views.train)
        if n <= 4:
            raise InputError(f"{n} views are too few to leave some out. Ask for more than 4.")
        return {
            f"{k} views": (fewer(views, k), settings) for k in sorted({*(4, 8, 16), n}) if k <= n
        }
    if experiment == "noise":
        return {f"{d:g}°": (noisy(views, d), settings) for d in (0.0, 1.0, 5.0)}
    if experiment == "samples":
        return {f"{s} a ray": (views, replace(settings, samples=s)) for s in (4, 8, 16, 48)}
    if experiment == "skipping":
        return {
            "Skipped": (views, replace(settings, occupancy=True)),
            "Not skipped": (views, replace(settings, occupancy=False)),
        }
    first = float(np.median([np.linalg.norm(c.c2w[:3, 3] - views.bounds.mean(0))
                             for c in views.cameras]))  # fmt: skip
    return {
        "As measured": (views, settings),
        "Near beyond the middle": (replace(views, near=max(first, views.near)), settings),
        "Far before the middle": (replace(views, far=max(first, 1.01 * views.near)), settings),
    }


def fewer(views: Views, n: int) -> Views:
    """The same with n of the training views, evenly picked; held-out ones stay."""
    picked = np.linspace(0, len(views.train) - 1, n).round().astype(int)
    places = [views.train[k] for k in dict.fromkeys(picked.tolist())] + list(views.test)
    test = tuple(range(len(places) - len(views.test), len(places)))
    return replace(views, images=views.images[places], test=test,
                   cameras=tuple(views.cameras[k] for k in places))  # fmt: skip


def noisy(views: Views, noise_deg: float, seed: int = 0) -> Views:
    """The same with training cameras turned at random; held-out ones stay exact."""
    rng = np.random.default_rng(seed)
    cameras = list(views.cameras)
    for k in views.train:
        cameras[k] = shaken(cameras[k], noise_deg, rng)
    return replace(views, cameras=tuple(cameras))
