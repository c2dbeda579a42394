"""From a picture with a hole to a filled one, by any method; and from the tab's settings to both.

Whatever a method makes of the picture, only what it says of the hole is taken: one place pastes it
into a copy of the input, and outside the mask that copy has the input's bytes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from core.images import digest
from core.inpainting.classic import nearest, smooth
from core.inpainting.patch import PatchSettings, PatchStep, fill
from core.inpainting.scoring import SCORE_HELP, score
from core.inpainting.sources import Given, Source, SourceSettings, source
from core.inpainting.types import (
    DIFFUSION,
    METHODS,
    USES,
    InpaintResult,
    InpaintSettings,
    InpaintStep,
    as_bool,
    check,
)
from core.inpainting.windows import box, pieces, window
from core.recipe import Recipe
from core.runtime import stage
from core.types import Compared, InputError, Progress, Unavailable, silent

KEPT, KEPT_MB = 12, 256  # steps of a result, and the memory that they may take
STEP_BYTES = 12  # a pixel: a picture and PatchMatch's offsets
COMPARE_HELP = {**SCORE_HELP, "seconds": ("Time", "Of one filling.", "s")}


# ---------------------------------------------------------------- one filling


def inpaint(
    image: np.ndarray,
    mask: np.ndarray,
    settings: InpaintSettings = InpaintSettings(),
    progress: Progress = silent,
) -> InpaintResult:
    """The picture with its hole filled; see `inpaint_steps`."""
    # All steps of a large picture would fill the memory: none is kept but the last.
    (last,) = deque(inpaint_steps(image, mask, settings, progress), maxlen=1)
    assert isinstance(last, InpaintResult)
    return last


def inpaint_steps(
    image: np.ndarray,
    mask: np.ndarray,
    settings: InpaintSettings = InpaintSettings(),
    progress: Progress = silent,
) -> Iterator[InpaintStep | InpaintResult]:
    """Fill the mask of image (H, W, 3) uint8 from the rest of it: steps as they come, then the
    InpaintResult. Outside the mask every picture has the input's bytes.

    mask (H, W): True or 255 = fill. Raises InputError for a mask that doesn't fit (types.check) or
    a hole that the method can't fill, Unavailable if its model isn't here.
    """
    began = time.perf_counter()
    hole = as_bool(mask)
    check(image, hole)
    canvas, film, ended = _Canvas(image, hole, settings.feather_px), _Film(hole.size), []
    notes: list[str] = []

    def work() -> Iterator[InpaintStep]:
        ended.append((yield from _filled(image, hole, settings, progress, notes)))

    with closing(work()) as steps:  # type: ignore[type-var]
        for step in steps:
            step = canvas.shown(step)
            film.add(step)
            yield step
    progress(1.0, desc="filled")
    yield InpaintResult(
        settings, film.last.image, hole, canvas.changed_outside(film.last.image), film.steps(),
        time.perf_counter() - began, recipe_of(image, hole, settings), ended[0],
        (*notes, *_notes(film.last, settings)),
    )  # fmt: skip


def _filled(
    image: np.ndarray, mask: np.ndarray, settings: InpaintSettings, progress: Progress,
    notes: list[str],
) -> Generator[InpaintStep, None, np.ndarray | None]:  # fmt: skip
    """The method's own steps; at the end, what a model's autoencoder alone makes of the picture."""
    method = settings.method
    if method in DIFFUSION:
        from core.inpainting.painted import paint

        return (yield from paint(image, mask, settings, progress, note=notes.append))
    if method == "lama":
        from core.inpainting import lama

        yield from lama.fill(image, mask, settings, progress)
    elif method == "deep-prior":
        yield from _by_prior(image, mask, settings, progress)
    elif method == "learned":
        yield from _by_learning(image, mask, settings, progress)
    elif method == "patch":
        yield from _by_patches(image, mask, settings, progress)
    else:
        yield from _by_smoothness(image, mask, settings, progress)
    return None


def _by_patches(
    image: np.ndarray, mask: np.ndarray, settings: InpaintSettings, progress: Progress
) -> Iterator[InpaintStep]:
    chosen = PatchSettings(patch_px=settings.patch_px, rounds=settings.rounds, seed=settings.seed)
    began, done, parts = time.perf_counter(), 0, pieces(mask)
    for k, part in enumerate(parts):
        step = None
        for step in fill(image, part, chosen, _part(progress, k, len(parts))):
            yield InpaintStep(
                done + step.step, done + step.total * (len(parts) - k),
                time.perf_counter() - began, step.image, step,
            )  # fmt: skip
        assert step is not None
        image, done = step.image, done + step.total


def _by_smoothness(
    image: np.ndarray, mask: np.ndarray, settings: InpaintSettings, progress: Progress
) -> Iterator[InpaintStep]:
    began, parts = time.perf_counter(), pieces(mask)
    for k, part in enumerate(parts):
        progress(k / len(parts), desc=METHODS[settings.method])
        image = smooth(image, part, settings)
    yield InpaintStep(1, 1, time.perf_counter() - began, image)


def _by_prior(
    image: np.ndarray, mask: np.ndarray, settings: InpaintSettings, progress: Progress
) -> Iterator[InpaintStep]:
    from core.inpainting.deep_prior import fit

    part = window(box(mask), mask.shape)
    for step in fit(np.ascontiguousarray(image[part]), mask[part], settings, progress):
        whole = image.copy()
        whole[part] = step.image
        yield replace(step, image=whole)


def _by_learning(
    image: np.ndarray, mask: np.ndarray, settings: InpaintSettings, progress: Progress
) -> Iterator[InpaintStep]:
    from core.inpainting import learned

    began, parts = time.perf_counter(), pieces(mask)
    for k, part in enumerate(parts):
        at = window(box(part), mask.shape)
        near = np.ascontiguousarray(image[at])
        for step in learned.fill(near, part[at], settings, _part(progress, k, len(parts))):
            image = image.copy()
            image[at] = step.image
            done = k * step.total + step.step
            seconds = time.perf_counter() - began
            yield InpaintStep(done, len(parts) * step.total, seconds, image)


def _part(progress: Progress, k: int, of: int) -> Progress:
    return stage(progress, k / of, (k + 1) / of)


class _Canvas:
    """The only place where a filling enters a picture: pixels of the mask are written, no others.

    With feather_px, the filling fades in from the mask's edge: it begins as the nearest known
    colour and is itself after so many pixels.
    """

    def __init__(self, image: np.ndarray, mask: np.ndarray, feather_px: float) -> None:
        self.image, self.mask, self.edge = image, mask, None
        if feather_px > 0:
            edge, away = nearest(image, mask)
            self.edge = edge.astype(np.float32)
            share = np.minimum((away - 0.5) / feather_px, 1)  # of pixels' centres, from the edge
            self.share = share[:, None].astype(np.float32)

    def paste(self, filled: np.ndarray) -> np.ndarray:
        full, seen = self.image.copy(), filled[self.mask]
        if self.edge is not None:
            seen = np.rint(self.edge + self.share * (seen - self.edge)).astype(np.uint8)
        full[self.mask] = seen
        return full

    def changed_outside(self, full: np.ndarray) -> int:
        return int((full != self.image).any(-1)[~self.mask].sum())

    def shown(self, step: InpaintStep) -> InpaintStep:
        full, inside = self.paste(step.image), step.inside
        if isinstance(inside, PatchStep):
            inside = replace(inside, image=full)  # one picture in memory, not two
        return replace(step, image=full, inside=inside)


class _Film:
    """At most KEPT steps, evenly spread, and the last; fewer of a large picture."""

    def __init__(self, pixels: int) -> None:
        self.most = max(1, min(KEPT, int(KEPT_MB * 1e6 / (STEP_BYTES * pixels))) - 1)
        self.kept: list[InpaintStep] = []
        self.every, self.count = 1, 0

    def add(self, step: InpaintStep) -> None:
        self.last = step
        if self.count % self.every == 0:
            self.kept.append(step)
        if len(self.kept) > self.most:
            self.kept, self.every = self.kept[::2], 2 * self.every
        self.count += 1

    def steps(self) -> tuple[InpaintStep, ...]:
        return (*(step for step in self.kept if step is not self.last), self.last)


def _notes(last: InpaintStep, settings: InpaintSettings) -> Iterator[str]:
    # Beside pieces of a mask there is room for patches of any size: where one finds none, there is
    # but one piece, or the picture is too thin for all of them.
    if isinstance(last.inside, PatchStep) and last.inside.patch_px < settings.patch_px:
        yield (
            f"No patch of {settings.patch_px} px lies whole outside the mask: it was filled with "
            f"patches of {last.inside.patch_px} px."
        )


def recipe_of(image: np.ndarray, mask: np.ndarray, settings: InpaintSettings) -> Recipe:
    """The program that fills the same again, from picture.png and mask.png (white = fill)."""
    program = (
        "from PIL import Image\n\n"
        "from core.images import load\n"
        "from core.inpainting import InpaintSettings, inpaint\n"
        "from core.inpainting.masks import read_mask\n\n"
        'image = load("picture.png")\n'
        'mask = read_mask("mask.png", image.shape[1::-1])\n'
        "result = inpaint(image, mask, {InpaintSettings})\n"
        'Image.fromarray(result.image).save("filled.png")'
    )
    inputs = {"picture": digest(image), "mask": digest(np.where(mask, 255, 0).astype(np.uint8))}
    own = settings.folder.strip() if "folder" in USES[settings.method] else ""
    return Recipe("inpainting", program, (settings,), inputs, own or _model_of(settings.method))


def _model_of(method: str) -> str:
    from core.diffusion import MODELS
    from core.inpainting import lama, learned

    key = {"repaint": "tiny-sd", "learned": "tiny-fill"}.get(method, method)
    every = {**MODELS, **lama.MODELS, **learned.MODELS}
    return every[key].id if key in every else ""


# ---------------------------------------------------------------- the tab's


@dataclass(frozen=True)
class Filled:
    """The result and what it came of; scores of SCORE_HELP, {} where the truth isn't known."""

    source: Source
    result: InpaintResult
    scores: Mapping[str, float]


def run(
    source_settings: SourceSettings,
    settings: InpaintSettings,
    given: Given = Given(),
    progress: Progress = silent,
) -> Iterator[InpaintStep | Filled]:
    """Make the picture and its hole, fill it: the steps as they come, then Filled. A diffusion
    model without a prompt gets the scene's own words."""
    found = source(source_settings, given)
    if found.mask is None:
        raise InputError("Nothing is hidden yet. Paint over what should go, or choose a mask.")
    if settings.method in DIFFUSION:
        settings = worded(settings, found.words)
    for event in inpaint_steps(found.picture, found.mask, settings, progress):
        if isinstance(event, InpaintResult):
            recipe = replace(event.recipe, settings=(source_settings, settings))
            event = replace(event, recipe=recipe)
            truth, before = found.truth, found.picture
            scores = {} if truth is None else score(event, truth, event.mask, before)
            yield Filled(found, event, scores)
        else:
            yield event


def worded(settings: InpaintSettings, words: str) -> InpaintSettings:
    """The settings with these words as their prompt, if they have none of their own."""
    return settings if settings.prompt.strip() else replace(settings, prompt=words)


# ---------------------------------------------------------------- many fillings


def compare(
    methods: Sequence[str],
    image: np.ndarray,
    mask: np.ndarray,
    settings: InpaintSettings = InpaintSettings(),
    truth: np.ndarray | None = None,
    progress: Progress = silent,
) -> Iterator[Compared]:
    """The same hole by each method, with the scores of COMPARE_HELP; without truth only the time. One
    that can't run says why and has no scores. Raises InputError as inpaint_steps does for a mask."""
    check(image, as_bool(mask))
    for k, method in enumerate(methods):
        part = _part(progress, k, len(methods))
        try:
            made = inpaint(image, mask, replace(settings, method=method), part)
        except (InputError, Unavailable) as error:
            told = f"{METHODS[method].partition(' (')[0]} did not run: {error}"
            keys = COMPARE_HELP if truth is not None else ("seconds",)
            nothing = dict.fromkeys(keys, float("nan"))
            yield Compared(k + 1, len(methods), 0.0, told, image, nothing)
            continue
        yield compared(made, image, truth, k + 1, len(methods))


def compared(
    result: InpaintResult,
    image: np.ndarray,
    truth: np.ndarray | None,
    step: int = 1,
    total: int = 1,
) -> Compared:
    """The result for this image as one column of the comparison: the step-th of total."""
    scores = score(result, truth, result.mask, image) if truth is not None else {}
    scores["seconds"] = result.seconds
    name = METHODS[result.settings.method].partition(" (")[0]
    return Compared(step, total, result.seconds, name, result.image, scores)


def seeds(
    image: np.ndarray,
    mask: np.ndarray,
    settings: InpaintSettings = InpaintSettings(),
    seeds: Sequence[int] = (0, 1, 2, 3),
    progress: Progress = silent,
) -> Iterator[InpaintResult]:
    """The same hole filled from each seed. Raises InputError for a method without chance."""
    if "seed" not in USES[settings.method]:
        able = ", ".join(method for method, used in USES.items() if "seed" in used)
        raise InputError(
            f"{METHODS[settings.method]} leaves nothing to chance: every seed gives the same. "
            f"Choose one of: {able}."
        )
    for k, seed in enumerate(seeds):
        part = _part(progress, k, len(seeds))
        yield inpaint(image, mask, replace(settings, seed=seed), part)


def spread(results: Sequence[InpaintResult]) -> np.ndarray:
    """(H, W) float32: by how much fillings of one hole differ at each pixel: the standard
    deviation over them, root mean square of the three colours, in levels of 255; 0 outside."""
    mask = results[0].mask
    seen = np.stack([result.image[mask] for result in results]).astype(np.float32)
    found = np.zeros(mask.shape, np.float32)
    found[mask] = np.sqrt(seen.var(0).mean(1))
    return found
