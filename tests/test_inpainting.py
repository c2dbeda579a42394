"""Filling: what holds for every method, and scores that can be worked out by hand."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from core.diffusion import MODELS, world
from core.inpainting import (
    METHODS,
    InpaintResult,
    InpaintSettings,
    InpaintStep,
    inpaint,
    inpaint_steps,
    lama,
    membrane,
    score,
)
from core.inpainting import run as running
from core.inpainting.classic import MOST_PX
from core.inpainting.masks import preset
from core.inpainting.patch import PatchStep
from core.inpainting.run import (
    COMPARE_HELP,
    Filled,
    Given,
    SourceSettings,
    compare,
    run,
    seeds,
    source,
    spread,
    worded,
)
from core.inpainting.scoring import energy, seam
from core.inpainting.sources import BORDERS, objects
from core.inpainting.types import DIFFUSION, OFFLINE, USES
from core.inpainting.windows import box, window
from core.recipe import from_link
from core.types import InputError

QUICK = ("patch", "telea", "navier-stokes", "biharmonic")  # without torch
PAINTED, PRIOR = "core.inpainting.painted", "core.inpainting.deep_prior"


def by(method: str, **more: Any) -> InpaintSettings:
    return InpaintSettings(method=method, rounds=2, **more)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    rough = np.random.default_rng(seed).normal(128, 90, (height, width, 3))
    return np.clip(cv2.GaussianBlur(rough, (0, 0), 1.0), 0, 255).astype(np.uint8)


def hole(kind: str, height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    if kind == "pixel":
        mask[height // 2, width // 2] = True
    elif kind == "corner":  # touches two borders
        mask[-height // 3 :, -width // 3 :] = True
    elif kind == "frame":  # all but a middle
        mask[:] = True
        mask[height // 4 : -(height // 4), width // 4 : -(width // 4)] = False
    else:
        mask = preset("strokes", mask.shape, 3)
    return mask


# ---------------------------------------------------------------- whatever the method


@pytest.mark.parametrize("shape", [(8, 8), (33, 48), (71, 29)])
@pytest.mark.parametrize("kind", ["pixel", "corner", "frame", "strokes"])
@pytest.mark.parametrize("method", QUICK)
def test_outside_the_mask_every_byte_stays(method: str, kind: str, shape: tuple[int, int]) -> None:
    for seed, feather_px in ((0, 0.0), (1, 2.5)):
        image, mask = noise(*shape, seed=seed), hole(kind, *shape)
        if method == "patch" and kind == "strokes" and shape == (8, 8):
            mask = hole("pixel", *shape)  # strokes leave no patch whole
        before = image.copy()
        *steps, last = inpaint_steps(image, mask, by(method, seed=seed, feather_px=feather_px))
        assert isinstance(last, InpaintResult) and steps
        assert (last.image == last.steps[-1].image).all()
        for made in (*steps, *last.steps, last):
            assert made.image.shape == image.shape and made.image.dtype == np.uint8
            assert (made.image[~mask] == before[~mask]).all()
        assert last.changed_outside == 0
        assert (image == before).all(), "the input isn't touched"


@pytest.mark.parametrize("method", QUICK)
def test_what_is_hidden_does_not_matter(method: str) -> None:
    image, mask = noise(60, 71), hole("strokes", 60, 71)
    other = image.copy()
    other[mask] = 255
    assert (inpaint(image, mask, by(method)).image == inpaint(other, mask, by(method)).image).all()


@pytest.mark.parametrize("method", QUICK)
def test_one_colour_stays(method: str) -> None:
    image = np.full((40, 53, 3), (12, 200, 77), np.uint8)
    for kind in ("corner", "strokes"):
        made = inpaint(image, hole(kind, 40, 53), by(method, feather_px=3.0)).image
        assert np.abs(made.astype(int) - image).max() <= 3  # Telea's sums round up, ring by ring


@pytest.mark.parametrize("method", QUICK)
def test_a_large_picture_is_as_the_crop_alone(method: str) -> None:
    image, mask = noise(700, 1100), np.zeros((700, 1100), bool)
    mask[600:615, 900:925] = True
    part = window(box(mask), mask.shape)
    assert part == (slice(384, 700), slice(640, 1100))
    whole, crop = (inpaint(image[p], mask[p], by(method, radius_px=9)) for p in (np.s_[:, :], part))
    assert (whole.image[part] == crop.image).all()


@pytest.mark.parametrize("method", QUICK)
def test_holes_far_apart_are_filled_each_alone(method: str) -> None:
    image, mask = noise(150, 1300), np.zeros((150, 1300), bool)
    one, two = mask.copy(), mask.copy()
    one[40:52, 30:41], two[90:99, 1200:1230] = True, True
    both = inpaint(image, one | two, by(method))
    assert (both.image[one] == inpaint(image, one, by(method)).image[one]).all()
    assert (both.image[two] == inpaint(image, two, by(method)).image[two]).all()
    assert both.steps[-1].step == both.steps[-1].total


def test_telea_and_navier_stokes_are_opencvs() -> None:
    image, mask = noise(90, 120), np.zeros((90, 120), bool)
    mask[20:33, 40:80], mask[50:52, 5:110] = True, True
    for method, rule in (("telea", cv2.INPAINT_TELEA), ("navier-stokes", cv2.INPAINT_NS)):
        want = cv2.inpaint(image, mask.astype(np.uint8), 4, rule)
        assert (inpaint(image, mask, by(method, radius_px=4)).image == want).all()


def test_biharmonic_continues_a_slope() -> None:
    y, x = np.mgrid[:60, :70]
    image = np.dstack([x + y, 2 * x, 200 - 3 * y]).astype(np.uint8)
    mask = np.zeros((60, 70), bool)
    mask[20:40, 25:45] = True
    assert np.abs(inpaint(image, mask, by("biharmonic")).image.astype(int) - image).max() <= 1


def test_biharmonic_says_what_is_too_large() -> None:
    side = math.isqrt(MOST_PX) + 20
    image, mask = np.zeros((side + 20, side + 20, 3), np.uint8), np.zeros((side + 20,) * 2, bool)
    mask[10:-10, 10:-10] = True
    with pytest.raises(InputError, match=r"in one piece.*Choose another method"):
        inpaint(image, mask, by("biharmonic"))


@pytest.mark.parametrize("method", ["patch", "deep-prior"])
def test_a_hole_beyond_all_memory_is_told(method: str) -> None:
    side = math.isqrt(membrane.MOST_PX) + 1
    image, mask = np.zeros((side + 9, side + 9, 3), np.uint8), np.zeros((side + 9,) * 2, bool)
    mask[4 : side + 4, 4 : side + 4] = True
    with pytest.raises(InputError, match=r"smaller hole.*Telea"):
        next(iter(inpaint_steps(image, mask, by(method))))


def test_masks_of_0_and_255() -> None:
    image, mask = noise(30, 40), hole("corner", 30, 40)
    grey = np.where(mask, 255, 0).astype(np.uint8)
    made = inpaint(image, grey, by("telea"))
    assert (made.image == inpaint(image, mask, by("telea")).image).all()
    assert made.mask.dtype == bool and (made.mask == mask).all()
    for bad, says in (
        (grey // 2, "mask is uint8"),
        (np.zeros((30, 40), bool), "mask is empty"),
        (np.ones((30, 40), bool), "covers everything"),
        (mask.T, "30 × 40 px and the picture 40 × 30 px"),
    ):
        with pytest.raises(InputError, match=says):
            inpaint(image, bad, by("telea"))
    with pytest.raises(InputError, match="RGB uint8"):
        inpaint(image[..., 0], mask, by("telea"))


def test_the_patch_steps_look_inside() -> None:
    image, mask = noise(60, 50), hole("pixel", 60, 50)
    *steps, last = inpaint_steps(image, mask, by("patch"))
    for step in steps:
        assert isinstance(step, InpaintStep) and isinstance(step.inside, PatchStep)
        assert step.inside.image is step.image and math.isnan(step.loss)
    thin = np.zeros((60, 60), bool)
    thin[::5], thin[:, ::6] = True, True  # islands of 4 × 5 px
    (note,) = inpaint(noise(60, 60), thin, by("patch")).notes
    assert "7 px" in note and "3 px" in note
    assert isinstance(last, InpaintResult) and not last.notes


def test_progress_ends_at_one() -> None:
    for method in QUICK:
        seen: list[float] = []
        inpaint(
            noise(40, 30),
            hole("corner", 40, 30),
            by(method),
            lambda f, /, desc="", to=seen: to.append(f),
        )
        assert seen == sorted(seen) and seen[-1] == 1


# ---------------------------------------------------------------- with methods that are handed in


class Fake:
    """A method that paints everything white, in `total` steps, and knows if it was closed."""

    def __init__(self, total: int = 3) -> None:
        self.total, self.closed, self.settings = total, False, InpaintSettings()

    def __call__(
        self,
        image: np.ndarray,
        mask: np.ndarray,
        settings: InpaintSettings,
        progress: Any,
        note: Callable[[str], None] = lambda told: None,
    ) -> Generator[InpaintStep, None, np.ndarray | None]:
        self.settings, self.shape = settings, image.shape
        try:
            for k in range(self.total):
                yield InpaintStep(k + 1, self.total, 0.1 * k, np.full_like(image, 255), k)
            note("a word that wasn't read")
            return image // 2
        finally:
            self.closed = True


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake()
    for name, call in ((PAINTED, "paint"), (PRIOR, "fit")):
        module = ModuleType(name)
        setattr(module, call, made)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(lama, "fill", made)
    return made


@pytest.mark.parametrize("method", ["deep-prior", "lama", *DIFFUSION])
def test_a_method_that_paints_everything_only_fills(method: str, fake: Fake) -> None:
    image, mask = noise(45, 66), hole("strokes", 45, 66)
    made = inpaint(image, mask, by(method))
    assert (made.image[~mask] == image[~mask]).all() and (made.image[mask] == 255).all()
    assert [step.inside for step in made.steps] == [0, 1, 2]
    if method in DIFFUSION:
        assert made.autoencoder is not None and (made.autoencoder == image // 2).all()
        assert made.notes == ("a word that wasn't read",)
    else:
        assert made.autoencoder is None


def test_deep_prior_sees_the_window_and_diffusion_the_picture(fake: Fake) -> None:
    image, mask = noise(400, 900), hole("pixel", 400, 900)
    inpaint(image, mask, by("deep-prior"))
    assert fake.shape == (200 + 193, 450 + 193 - 256, 3)  # 192 px beyond it, from a grid's line
    inpaint(image, mask, by("sd15-inpaint"))
    assert fake.shape == image.shape


def test_stop_reaches_the_method(fake: Fake) -> None:
    steps = inpaint_steps(noise(20, 20), hole("pixel", 20, 20), by("repaint"))
    next(iter(steps))
    steps.close()  # type: ignore[attr-defined]
    assert fake.closed


@pytest.mark.parametrize("total", [1, 2, 11, 12, 13, 100, 1001])
def test_few_steps_are_kept_evenly_and_the_last(total: int, fake: Fake) -> None:
    fake.total = total
    steps = inpaint(noise(12, 12), hole("pixel", 12, 12), by("repaint")).steps
    at = [step.step for step in steps]
    assert min(total, 6) <= len(at) <= 12 and at[0] == 1 and at[-1] == total
    if total < 12:
        assert at == list(range(1, total + 1))
    gaps = np.diff(at)
    assert len(set(gaps[:-1])) <= 1 and (gaps <= gaps[:1]).all(), "even, the last perhaps less"


def test_a_large_picture_keeps_fewer_steps() -> None:
    film = running._Film(12_000_000)
    for k in range(40):
        film.add(InpaintStep(k + 1, 40, 0.0, np.zeros((1, 1, 3), np.uint8)))
    assert len(film.steps()) <= 2 and film.steps()[-1].step == 40


def test_a_feather_fades_in_from_the_edge(fake: Fake) -> None:
    image, mask = np.zeros((41, 30, 3), np.uint8), np.zeros((41, 30), bool)
    mask[10:31] = True  # white grows in from black above and below
    made = inpaint(image, mask, by("repaint", feather_px=4.0)).image[:, 0, 0]
    want = np.rint(255 * np.minimum((np.arange(1, 11) - 0.5) / 4, 1))
    assert (made[10:20] == want).all() and (made[30:20:-1] == want).all()
    assert made[9] == made[31] == 0


# ---------------------------------------------------------------- scores


def test_scores_by_hand() -> None:
    truth, mask = noise(40, 50), hole("corner", 40, 50)
    same = score(truth, truth, mask)
    assert same["psnr"] == math.inf and same["ssim"] == pytest.approx(1)
    assert same["energy"] == pytest.approx(1) and same["outside"] == 0
    off = np.clip(truth, 20, 200)
    lighter = off.copy()
    lighter[mask] += 10
    found = score(lighter, off, mask)
    assert found["psnr"] == pytest.approx(20 * math.log10(255 / 10))
    assert found["energy"] == pytest.approx(1) and 0.5 < found["ssim"] < 1
    lighter[0, :3] += 1
    assert score(lighter, off, mask)["outside"] == 3
    assert score(lighter, off, mask, lighter)["outside"] == 0
    with pytest.raises(InputError, match="differ in size"):
        score(truth[1:], truth, mask)
    grey = np.where(mask, 255, 0).astype(np.uint8)
    assert score(lighter, off, grey) == score(lighter, off, mask)


def test_energy_and_seam_by_hand() -> None:
    """Columns 0 0 0 | 8 10 8 | 0 0 0, the middle three hidden."""
    line = np.array([0, 0, 0, 8, 10, 8, 0, 0, 0], np.uint8)
    image = np.repeat(np.repeat(line[None, :, None], 4, 0), 3, 2)
    mask = np.repeat((line > 0)[None], 4, 0)
    assert energy(image, mask) == pytest.approx((2 * 4 * 2**2) / (4 * 2 + 3 * 3))
    across, down = 4 * (2 + 2 + 0 * 4), 3 * 9 * 0
    assert seam(image, mask) == pytest.approx(8 / ((across + down) / (4 * 6 + 3 * 9)))


def test_scores_that_cannot_be_measured() -> None:
    truth = np.zeros((8, 8, 3), np.uint8)
    found = score(truth, truth, hole("pixel", 8, 8))
    assert math.isnan(found["ssim"]) and math.isnan(found["energy"]) and math.isnan(found["seam"])


def test_a_blur_has_little_energy_and_patches_have_enough() -> None:
    image, mask = noise(120, 120), preset("strokes", (120, 120), 1)
    smooth, rough = (score(inpaint(image, mask, by(m)), image, mask) for m in ("telea", "patch"))
    assert smooth["energy"] < 0.6 < rough["energy"]
    assert smooth["outside"] == rough["outside"] == 0


# ---------------------------------------------------------------- many fillings


def test_a_comparison_is_one_hole_by_each_method() -> None:
    image, mask = noise(50, 60), hole("corner", 50, 60)
    told: list[float] = []
    columns = list(
        compare(QUICK, image, mask, by("patch"), image, lambda f, /, desc="": told.append(f))
    )
    assert [c.step for c in columns] == [1, 2, 3, 4] and columns[0].total == 4
    assert [c.name for c in columns] == [METHODS[m].partition(" (")[0] for m in QUICK]
    for column, method in zip(columns, QUICK, strict=True):
        assert set(column.scores) == set(COMPARE_HELP)
        assert (column.picture == inpaint(image, mask, by(method)).image).all()
    assert told == sorted(told) and told[-1] == 1
    (alone,) = compare(["telea"], image, mask)
    assert set(alone.scores) == {"seconds"}


def test_seeds_differ_in_the_hole_alone() -> None:
    image, mask = noise(50, 60), hole("corner", 50, 60)
    made = list(seeds(image, mask, by("patch"), (0, 1, 0)))
    assert [m.settings.seed for m in made] == [0, 1, 0]
    assert (made[0].image == made[2].image).all() and (made[0].image != made[1].image).any()
    assert not spread([made[0], made[2]]).any()
    apart = spread(made[:2])
    assert apart.shape == mask.shape and not apart[~mask].any() and apart.max() > 1
    white, black = (replace(made[0], image=np.full_like(image, v)) for v in (0, 200))
    assert (spread([white, black])[mask] == 100).all()
    with pytest.raises(InputError, match=r"leaves nothing to chance.*patch"):
        next(seeds(image, mask, by("telea")))


# ---------------------------------------------------------------- recipes


@pytest.mark.parametrize("method", ["telea", "patch"])
def test_the_recipe_fills_the_same_again(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, mask = noise(40, 56), hole("strokes", 40, 56)
    made = inpaint(image, mask, by(method, seed=4, feather_px=1.5))
    Image.fromarray(image).save(tmp_path / "picture.png")
    Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).save(tmp_path / "mask.png")
    monkeypatch.chdir(tmp_path)
    exec(made.recipe.code(), {})
    assert (np.asarray(Image.open("filled.png")) == made.image).all()
    assert set(made.recipe.inputs) == {"picture", "mask"}
    assert from_link(made.recipe.link(), [InpaintSettings]) == (made.settings,)


def test_the_recipe_names_the_model(fake: Fake) -> None:
    image, mask = noise(20, 20), hole("pixel", 20, 20)
    assert inpaint(image, mask, by("telea")).recipe.model == ""
    assert inpaint(image, mask, by("repaint")).recipe.model == MODELS["tiny-sd"].id
    assert inpaint(image, mask, by("sd15-inpaint")).recipe.model == MODELS["sd15-inpaint"].id
    assert inpaint(image, mask, by("lama")).recipe.model == lama.MODELS["lama"].id


def test_every_method_says_what_it_uses() -> None:
    names = set(InpaintSettings.__dataclass_fields__)
    assert set(USES) == set(METHODS) >= set(OFFLINE) and all(set(u) <= names for u in USES.values())


# ---------------------------------------------------------------- sources


def last_of(events: Iterator[Any]) -> Filled:
    *_, last = events
    assert isinstance(last, Filled)
    return last


def test_an_object_goes_with_all_it_does_to_the_light() -> None:
    found = source(
        SourceSettings(hole_picture="scene", hole_object=0, hole_scene=2, hole_grow_px=0)
    )
    assert found.mask is not None and found.truth is not None
    assert ((found.picture != found.truth).any(-1) == found.mask).all()
    wider = source(
        SourceSettings(hole_picture="scene", hole_object=0, hole_scene=2, hole_grow_px=3)
    )
    assert wider.mask is not None and wider.mask.sum() > found.mask.sum()
    assert (wider.mask | ~found.mask).all() and not wider.mask.all()
    scene = world.scene(world.HELD_OUT + 2)
    names = objects(scene, world.SIZE, world.SIZE)
    assert set(names) == {thing.name for thing in scene.things[1:]}
    assert names[0] not in found.words and all(name in found.words for name in names[1:])
    other = source(SourceSettings(hole_picture="scene", hole_scene=2, hole_object=1))
    assert other.truth is not None and (other.truth != found.truth).any()
    assert (other.picture == found.picture).all()


def test_an_intact_picture_is_its_own_truth() -> None:
    mine = noise(50, 40)
    chosen = SourceSettings(hole_picture="picture", hole_mask="box", hole_seed=3)
    found = source(chosen, Given(picture=mine))
    assert found.truth is not None and (found.truth == mine).all() and found.words == ""
    assert found.mask is not None and (found.mask == preset("box", mine.shape, 3)).all()
    last = last_of(run(chosen, by("telea"), Given(picture=mine)))
    assert last.scores == score(last.result, mine, found.mask) and last.scores["outside"] == 0
    assert last.result.recipe.settings == (chosen, by("telea"))
    assert from_link(last.result.recipe.link(), [SourceSettings]) == (chosen,)


def test_what_is_painted_has_no_truth() -> None:
    mine, mask = noise(50, 40), hole("corner", 50, 40)
    chosen = SourceSettings(hole_picture="picture", hole_mask="drawn")
    last = last_of(run(chosen, by("telea"), Given(mine, mask)))
    assert last.source.truth is None and last.scores == {}
    with pytest.raises(InputError, match="Nothing is hidden yet"):
        list(run(chosen, by("telea"), Given(mine)))
    with pytest.raises(InputError, match="no picture yet"):
        source(chosen)
    with pytest.raises(InputError, match="Only a rendered scene"):
        source(replace(chosen, hole_mask="object"), Given(mine))


def test_what_is_painted_to_be_restored_is_scored() -> None:
    mine, mask = noise(50, 40), hole("corner", 50, 40)
    chosen = SourceSettings(hole_picture="picture", hole_mask="restored")
    last = last_of(run(chosen, by("telea"), Given(mine, mask)))
    assert last.source.truth is mine and last.scores == score(last.result, mine, mask)
    with pytest.raises(InputError, match="Nothing is hidden yet"):
        list(run(chosen, by("telea"), Given(mine)))


def test_a_mask_painted_over_takes_the_place_of_any_other() -> None:
    mine, painted = noise(50, 40), hole("corner", 50, 40)
    chosen = SourceSettings(hole_picture="picture", hole_mask="box")
    found = source(chosen, Given(mine, painted))
    assert found.mask is painted and found.truth is not None
    toys = SourceSettings(hole_picture="scene", hole_object=0, hole_scene=0)
    small = np.zeros((64, 64), bool)
    small[30:32, 30:32] = True  # the object stays, but nothing was changed that shouldn't be
    last = last_of(run(toys, by("telea"), Given(mask=small)))
    assert (last.result.mask == small).all() and last.scores["outside"] == 0


def test_new_canvas_around_a_picture() -> None:
    mine = noise(50, 40)
    chosen = SourceSettings(
        hole_picture="picture", hole_mask="border", hole_left_px=1, hole_top_px=2,
        hole_right_px=3, hole_bottom_px=4,
    )  # fmt: skip
    last = last_of(run(chosen, by("telea"), Given(mine)))
    assert last.result.image.shape == (56, 44, 3) and last.source.truth is None
    assert (last.result.image[2:52, 1:41] == mine).all() and not last.result.mask[2:52, 1:41].any()
    with pytest.raises(InputError, match="Nothing to extend"):
        source(replace(chosen, **dict.fromkeys(BORDERS, 0)), Given(mine))


def test_a_scene_has_its_words_and_diffusion_gets_them(fake: Fake) -> None:
    chosen = SourceSettings(hole_picture="scene", hole_object=0, hole_scene=2)
    last = last_of(run(chosen, by("repaint")))
    assert fake.settings.prompt == last.source.words != ""
    last_of(run(chosen, by("repaint", prompt="a red ball")))
    assert fake.settings.prompt == "a red ball"
    assert last.scores["outside"] == 0
    assert worded(by("repaint", prompt=" "), "a cone").prompt == "a cone"
    assert worded(by("repaint", prompt="a ball"), "a cone").prompt == "a ball"


def test_a_mask_that_scores_nothing_is_told() -> None:
    truth, mask = noise(40, 50), hole("corner", 40, 50)
    lighter = truth // 2
    assert score(lighter, truth, mask.astype(np.uint8)) == score(lighter, truth, mask)
    for bad, says in ((mask & False, "mask is empty"), (mask * np.uint8(7), "mask is uint8")):
        with pytest.raises(InputError, match=says):
            score(lighter, truth, bad)


def test_a_method_that_cannot_run_does_not_end_the_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    image, mask = noise(50, 60), hole("corner", 50, 60)
    for truth in (image, None):
        first, lost, last = compare(("telea", "lama", "patch"), image, mask, by("patch"), truth)
        assert lost.name.startswith("LaMa did not run: ") and (lost.picture == image).all()
        assert set(first.scores) == set(lost.scores) == set(last.scores)
        assert all(math.isnan(value) for value in lost.scores.values())
    with pytest.raises(InputError, match="mask is empty"):
        next(compare(("telea", "patch"), image, mask & False))
