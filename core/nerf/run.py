"""From the tab's settings to views, and from views to a field that is being trained.

One generator does both, and tells all the way what a page shows of it; the recipe that each of its
snapshots carries repeats the training in a process of its own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from core.images import digest
from core.nerf.loading import load_views
from core.nerf.poses import poses_from_images, poses_from_video
from core.nerf.rendered import from_scene
from core.nerf.training import score, train
from core.nerf.types import Live, NerfSettings, Trained, Views
from core.recipe import Recipe
from core.types import InputError, Progress, Settings, Snapshot, setting, silent

SOURCES = {
    "scene": "A rendered scene",
    "posed": "Photos with cameras",
    "photos": "Photos or a video alone",
}
SCENES = {
    "tabletop": "Tabletop",
    "mirror": "Mirror ball",
    "thin": "Thin structures",
    "gallery": "Gallery wall",
    "street": "Street of boxes",
    "terrain": "Hills",
}
LEAST_S = 0.5  # of training that a recipe asks for
FILMS = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm")
SCORE_HELP = {
    "psnr": ("PSNR", "Mean over held-out views; 3 dB more is half the squared error.", "dB"),
    "ssim": ("SSIM", "Structure kept, 1 is all of it (Wang et al. 2004).", ""),
    "seconds": ("Training time", "Of steps alone, without what is shown meanwhile.", "s"),
    "steps": ("Steps", "One batch of rays each.", ""),
    "numbers": ("Parameters", "Numbers that were learned.", ""),
    "megabytes": ("Size", "Of these numbers, as float32.", "MB"),
}


@dataclass(frozen=True)
class ViewSettings(Settings):
    """Where the posed pictures come from."""

    nerf_source: str = setting("scene", "Views of", "What the field learns from.", choices=SOURCES)
    nerf_scene: str = setting(
        "tabletop", "Scene", "Rendered now, with exact cameras.", choices=SCENES
    )
    n_views: int = setting(
        64, "Views", "Pictures to learn from; 8 more are held out.", minimum=2, maximum=200, step=1
    )
    view_px: int = setting(
        128, "Picture size", "Of square rendered views.", minimum=32, maximum=400, step=8, unit="px"
    )
    pose_noise_deg: float = setting(
        0.0, "Pose noise", "Turns each training camera at random by about so much.",
        minimum=0.0, maximum=15.0, step=0.25, unit="°",
    )  # fmt: skip
    coverage_deg: float = setting(
        360.0, "Coverage", "Training cameras stand in a sector this wide; held-out ones all around.",
        minimum=30.0, maximum=360.0, step=10.0, unit="°",
    )  # fmt: skip
    photo_px: int = setting(
        256, "Longer side", "Your photos are reduced to this.", minimum=32, maximum=1600, step=8,
        unit="px",
    )  # fmt: skip
    video_frames: int = setting(
        60, "Frames of a video", "Evenly spaced; each must overlap the next.",
        minimum=8, maximum=300, step=1,
    )  # fmt: skip
    scene_seed: int = setting(
        0, "Camera seed", "Turns the pattern of rendered views.", minimum=0, maximum=2**31 - 1,
        step=1, advanced=True,
    )  # fmt: skip


@dataclass(frozen=True)
class Given:
    """A person's own capture: a folder, a zip, a video, or many files."""

    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run(Snapshot):
    """Training at one moment, and all that a page shows of it: shot; curve of (seconds, loss, PSNR)
    so far, PSNR only where the preview was new; recipe: how to come this far again; scores of all
    held-out views, once it is done. A field from a file has step 0, NaN seconds and no curve."""

    views: Views
    shot: Trained
    curve: tuple[tuple[float, float, float], ...]
    recipe: Recipe
    scores: Mapping[str, float] = field(default_factory=dict)


def made(
    source: ViewSettings = ViewSettings(), given: Given = Given(), *, progress: Progress = silent
) -> Views:
    """The views that `source` asks for. Raises InputError, or Unavailable without pycolmap."""
    if source.nerf_source == "scene":
        from core.scenes import scene

        return from_scene(
            scene(source.nerf_scene), source.n_views, (source.view_px, source.view_px),
            source.pose_noise_deg, source.scene_seed, coverage_deg=source.coverage_deg,
            progress=progress,
        )  # fmt: skip
    if not given.paths:
        raise InputError(
            "No files were given. Upload a zip of a capture, or its pictures and cameras file; "
            "or choose a rendered scene."
        )
    if source.nerf_source == "posed":
        return load_views(given.paths, source.photo_px, progress=progress)
    films = [p for p in given.paths if Path(p).suffix.lower() in FILMS]
    if films:
        if len(given.paths) > 1:
            raise InputError("Give one video, or photos, but not both.")
        return poses_from_video(films[0], source.video_frames, progress,
                                max_side_px=source.photo_px)  # fmt: skip
    return poses_from_images(given.paths, progress, max_side_px=source.photo_px)


def run(
    source: ViewSettings = ViewSettings(),
    settings: NerfSettings = NerfSettings(),
    given: Given = Given(),
    *,
    live: Live | None = None,
    progress: Progress = silent,
) -> Iterator[Run]:
    """Make the views, train on them, tell how it goes, and score all held-out views at the end."""
    views = made(source, given, progress=progress)
    yield from trained(views, settings, recipe_of(source, settings, views, given), live, progress)


def trained(
    views: Views, settings: NerfSettings, recipe: Recipe, live: Live | None, progress: Progress,
    known: Run | None = None,
) -> Iterator[Run]:  # fmt: skip
    """Training on views as Runs. known: the run to go on with; steps, seconds and the curve are of
    both, and so are those of the recipe."""
    source, planned = recipe.settings
    step, spent = 0, 0.0
    curve: tuple[tuple[float, float, float], ...] = ()
    start: dict[str, Any] = {}
    if known is not None:
        step, spent, curve = known.step, known.seconds, known.curve
        start = {"field": known.shot.field, "moves": known.shot.moves}
    preview, found = None, None
    for shot in train(views, settings, progress, live=live, **start):
        fresh = shot.psnr if shot.preview is not preview else math.nan
        preview = shot.preview
        shot = replace(shot, step=step + shot.step, seconds=spent + shot.seconds)
        curve = (*curve, (shot.seconds, shot.loss, fresh))
        made_by = replace(recipe, settings=(source, so_far(planned, shot.seconds, shot.step)))
        found = Run(shot.step, shot.total, shot.seconds, views, shot, curve, made_by)
        yield found
    assert found is not None
    progress(1.0, desc="scoring the held-out views")
    yield replace(found, scores=scored(found))


S = TypeVar("S", bound=Settings)  # that have `seconds` and `steps`, as a NeRF's or a fit's


def so_far(planned: S, seconds: float, step: int) -> S:
    """Settings of a training that came this far: one that was stopped is repeated as it was."""
    given = cast(Any, planned)
    if given.steps:
        return replace(planned, steps=min(given.steps, step))
    return replace(planned, seconds=min(given.seconds, max(LEAST_S, round(seconds, 1))))


def longer(first: S, more: S, seconds: float, step: int) -> S:
    """Settings of a training that came this far by `first` and goes on by `more`. It ends after so
    many steps if both do, else by time."""
    one, two = cast(Any, first), cast(Any, more)
    if one.steps and two.steps:
        return replace(first, steps=step + two.steps)
    return replace(first, steps=0, seconds=round(seconds + two.seconds, 1))


def reopened(found: Run, field: Any) -> Run:
    """A field from a file on the views of a run. Nobody knows how it was trained."""
    lines = (
        "from core.nerf import load, score",
        *(line for line in found.recipe.program.splitlines() if " made" in line),
        'field = load("field.safetensors")',
        "psnr, ssim = score(field, views, views.test)",
        'print(f"held out: {psnr:.2f} dB, SSIM {ssim:.3f}")',
    )
    recipe = replace(found.recipe, program="\n".join(lines), settings=found.recipe.settings[:1])
    shot = replace(found.shot, field=field, step=0, seconds=math.nan, moves=None, note="")
    return Run(0, 0, math.nan, found.views, shot, (), recipe)


def scored(found: Run) -> dict[str, float]:
    """Every score of SCORE_HELP; PSNR and SSIM are NaN where no view is held out, time and steps
    where they aren't known."""
    field = found.shot.field
    psnr, ssim = score(field, found.views, found.views.test)
    return {
        "psnr": psnr, "ssim": ssim, "seconds": found.seconds, "steps": float(found.step or math.nan),
        "numbers": float(field.numbers), "megabytes": field.numbers * 4 / 1e6,
    }  # fmt: skip


def recipe_of(
    source: ViewSettings, settings: NerfSettings, views: Views, given: Given = Given()
) -> Recipe:
    """How to train this again. By time, a faster machine takes more steps; by steps it is exact."""
    lines = ["from core.nerf import NerfSettings, save, score, train"]
    own = source.nerf_source != "scene"
    names = ", ".join(repr(Path(p).name) for p in itertools.islice(given.paths, 500)) + ","
    lines += [
        f"from core.nerf.run import {'Given, ' if own else ''}ViewSettings, made",
        "",
        f"views = made({{ViewSettings}}{f', Given(({names}))' if own else ''})",
        "*_, last = train(views, {NerfSettings})",
        "psnr, ssim = score(last.field, views, views.test)",
        'print(f"{last.step} steps, held out: {psnr:.2f} dB, SSIM {ssim:.3f}")',
        'save(last.field, "field.safetensors")',
    ]
    return Recipe("nerf", "\n".join(lines), (source, settings), inputs_of(source, views, given))


def inputs_of(source: ViewSettings, views: Views, given: Given) -> dict[str, str]:
    """The digest of a person's own pictures, by what a recipe calls their files."""
    if source.nerf_source == "scene":
        return {}
    first, *others = given.paths
    more = f" and {len(others)} more, named below" if others else ""
    return {Path(first).name + more: digest(views.images)}
