"""From posed views to fitted splats, told all the way: what the Fit a scene panel follows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.nerf.run import SCENES, Given, ViewSettings, inputs_of, longer, made, so_far
from core.nerf.types import Views
from core.splats.fitting import FitLive, FitSettings, FittedScene, fit, score
from core.splats.run import SCENE_UP, Opened, Origin, axis
from core.types import Progress, Snapshot, silent

FIT_HELP = {
    "psnr": ("PSNR, held out", "Mean over views that the fit never saw.", "dB"),
    "ssim": ("SSIM, held out", "Structure kept, 1 is all of it (Wang et al. 2004).", ""),
    "seconds": ("Time", "Of fitting alone, without what is shown meanwhile.", "s"),
    "steps": ("Steps", "One training picture each.", ""),
    "splats": ("Gaussians", "At the end.", ""),
}


@dataclass(frozen=True)
class Learned(Snapshot):
    """A fit at one moment: its views, the shot, curve of (seconds, loss, PSNR) so far, how to come
    this far again, and scores of all held-out views once it is done."""

    views: Views
    shot: FittedScene
    curve: tuple[tuple[float, float, float], ...]
    origin: Origin
    scene: str
    scores: Mapping[str, float] = field(default_factory=dict)

    def opened(self) -> Opened:
        """The splats, ready for the viewer."""
        from core.nerf.outputs import up_of

        up = axis("auto", SCENE_UP) if self.scene else up_of(self.views)
        title = f"{len(self.shot.splats):,} Gaussians fitted to {len(self.views.train)} views"
        if self.scene:
            title += f" of {SCENES[self.scene]}"
        splats = self.shot.splats
        return Opened(splats, splats, title, 0, self.seconds, self.scene, up, self.origin)


def learn(
    source: ViewSettings = ViewSettings(),
    settings: FitSettings = FitSettings(),
    given: Given = Given(),
    *,
    live: FitLive | None = None,
    known: Learned | None = None,
    progress: Progress = silent,
) -> Iterator[Learned]:
    """Make the views, fit splats to them, and score all held-out views at the end.

    known: go on with this fit, on its own views, whatever `source` says by now. Steps, seconds, the
    curve and the origin are of both.
    """
    curve: tuple[tuple[float, float, float], ...] = ()
    if known is None:
        views = made(source, given, progress=progress)
        origin = origin_of(source, settings, views, given)
        scene = source.nerf_scene if source.nerf_source == "scene" else ""
        splats = None
    else:
        views, origin, scene, curve = known.views, known.origin, known.scene, known.curve
        first, before = origin.settings
        both = longer(before, settings, known.seconds, known.step)
        origin, splats = replace(origin, settings=(first, both)), known.shot.splats
    first, planned = origin.settings
    found = None
    for shot in fit(views, settings, progress, live=live, splats=splats):
        shot = shot if known is None else _after(known.shot, shot)
        curve = (*curve, (shot.seconds, shot.loss, shot.psnr))
        done = replace(origin, settings=(first, so_far(planned, shot.seconds, shot.step)))
        found = Learned(shot.step, shot.total, shot.seconds, views, shot, curve, done, scene)
        yield found
    assert found is not None
    progress(1.0, desc="scoring the held-out views")
    yield replace(found, scores=scored(found))


def _after(known: FittedScene, shot: FittedScene) -> FittedScene:
    """The shot, counted from the beginning of the fit that it goes on with."""
    step, seconds = known.step, known.seconds
    later = (replace(c, step=step + c.step, seconds=seconds + c.seconds) for c in shot.changes)
    return replace(shot, step=step + shot.step, seconds=seconds + shot.seconds,
                   changes=(*known.changes, *later))  # fmt: skip


def scored(found: Learned) -> dict[str, float]:
    """Every score of FIT_HELP; PSNR and SSIM are NaN where no view is held out."""
    psnr, ssim = score(found.shot.splats, found.views, found.views.test)
    return {
        "psnr": psnr, "ssim": ssim, "seconds": found.seconds, "steps": float(found.step),
        "splats": float(len(found.shot.splats)),
    }  # fmt: skip


def origin_of(
    source: ViewSettings, settings: FitSettings, views: Views, given: Given = Given()
) -> Origin:
    """How to fit this again. By time, a faster machine takes more steps; by steps it is exact."""
    own = source.nerf_source != "scene"
    names = ", ".join(repr(Path(p).name) for p in given.paths)
    lines = (
        f"from core.nerf.run import {'Given, ' if own else ''}ViewSettings, made",
        "from core.splats import save",
        "from core.splats.fitting import FitSettings, fit, score",
        f"views = made({{ViewSettings}}{f', Given(({names},))' if own else ''})",
        "*_, last = fit(views, {FitSettings})",
        "splats = last.splats",
        "psnr, ssim = score(splats, views, views.test)",
        'print(f"{last.step} steps, held out: {psnr:.2f} dB, SSIM {ssim:.3f}")',
        'save("splats.ply", splats)',
    )
    return Origin(lines, (source, settings), inputs_of(source, views, given))
