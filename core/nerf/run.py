"""From the tab's settings to views, and from views to a field that is being trained.

One generator does both, and tells all the way what a page shows of it; the recipe that each of its
snapshots carries repeats the training in a process of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

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
    so far, PSNR only where the preview was new; scores of all held-out views, once it is done."""

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
    start: Any = None, curve: tuple[tuple[float, float, float], ...] = (),
) -> Iterator[Run]:  # fmt: skip
    """Training on views as Runs; start: a field to go on with, curve: how it went so far."""
    known, before, found = None, curve[-1][0] if curve else 0.0, None
    for shot in train(views, settings, progress, field=start, live=live):
        seconds = before + shot.seconds
        fresh = shot.psnr if shot.preview is not known else float("nan")
        known = shot.preview
        curve = (*curve, (seconds, shot.loss, fresh))
        found = Run(shot.step, shot.total, seconds, views, shot, curve, recipe)
        yield found
    assert found is not None
    progress(1.0, desc="scoring the held-out views")
    yield replace(found, scores=scored(found))


def scored(found: Run) -> dict[str, float]:
    """Every score of SCORE_HELP; PSNR and SSIM are NaN where no view is held out."""
    field = found.shot.field
    psnr, ssim = score(field, found.views, found.views.test)
    return {
        "psnr": psnr, "ssim": ssim, "seconds": found.seconds, "steps": float(found.step),
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
    many = len(given.paths) > 1
    called = (
        "… and the other files named below" if many else Path(given.paths[0]).name if own else ""
    )
    inputs = {called: digest(views.images)} if own else {}
    return Recipe("nerf", "\n".join(lines), (source, settings), inputs)
