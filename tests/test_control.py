"""Control from map to picture, with an untrained model of the shipped one's classes and layout.

What it paints is noise; what is tested holds for any weights.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from core import models, runtime
from core.control import ControlResult, ControlSettings, Hint, HintSettings, Step, generate
from core.control import inspect as inside
from core.control import painting as inner
from core.control.film import film
from core.control.run import (
    Given,
    Painted,
    SourceSettings,
    compare,
    hint_of,
    lacking,
    run,
    source,
)
from core.control.scoring import named
from core.control.sweep import sweep, values_of
from core.control.types import SCHEDULERS
from core.diffusion import MODELS, loading, nets, stepwise
from core.diffusion import reader as reading
from core.diffusion.models import CONTROLS, UNIONS
from core.diffusion.rescue import rescued
from core.types import InputError, Unavailable
from demos import controlnet_inside

FEW = ControlSettings(prompt="a red ball on wood", steps=4)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tiny-sd where this repository has it: its own sizes, random weights."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("project")
    folder = root / MODELS["tiny-sd"].source
    tokenizer = nets.tokenizer(["a red ball on wood", "a blue cube left of it"], root / "words")
    unet = nets.unet()
    nets.library().StableDiffusionPipeline(
        vae=nets.vae(), text_encoder=nets.text(tokenizer), tokenizer=tokenizer, unet=unet,
        scheduler=nets.scheduler(), safety_checker=None, feature_extractor=None,  # pyright: ignore
        requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip
    for kind in nets.KINDS:
        net = nets.control(unet)
        for weight in net.parameters():  # a trained control's convolutions aren't zeros
            torch.nn.init.normal_(weight, std=0.05)
        net.save_pretrained(folder / f"controlnet-{kind}")
    save_file(reading.new_reader().state_dict(), folder / "reader.safetensors")
    return root


@pytest.fixture(autouse=True)
def here(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "ROOT", project)


@pytest.fixture(scope="module", autouse=True)
def empty_pool() -> Iterator[None]:
    models.pool().clear()
    yield
    models.pool().clear()


def ring(kind: str = "edges", size: int = 64) -> Hint:
    """A white ring on black."""
    y, x = np.mgrid[:size, :size]
    line = abs(np.hypot(x - size / 2, y - size / 2) - size / 4) < 0.7
    return Hint(np.repeat(np.where(line, 255, 0).astype(np.uint8)[..., None], 3, 2), kind)


def painted(hint: Hint = ring(), settings: ControlSettings = FEW) -> ControlResult:
    *_, last = generate(hint, settings)
    assert isinstance(last, ControlResult)
    return last


# ---------------------------------------------------------------- the pair


def test_scale_0_is_no_control_bit_for_bit():
    result = painted(settings=replace(FEW, scale=0.0))
    assert result.baseline is not None
    np.testing.assert_array_equal(result.images, result.baseline)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_seed_decides_every_schedulers_noise(scheduler: str):
    settings = replace(FEW, scheduler=scheduler, scale=0.0)
    first, again = painted(settings=settings), painted(settings=settings)
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.images, first.baseline)  # type: ignore[arg-type]


def test_control_changes_the_picture_and_nothing_else_does():
    result = painted()
    assert result.images.shape == (1, 64, 64, 3) and result.images.dtype == np.uint8
    assert result.baseline is not None and (result.images != result.baseline).any()
    again = painted()
    np.testing.assert_array_equal(result.images, again.images)
    np.testing.assert_array_equal(result.baseline, again.baseline)  # type: ignore[arg-type]
    other = painted(settings=replace(FEW, seed=1))
    assert (other.images != result.images).any()


def test_it_is_what_the_pipeline_paints_by_hand():
    import torch
    from PIL import Image

    pipeline = loading.load("tiny-sd", ("edges",))
    with torch.inference_mode():
        by_hand = pipeline(
            FEW.prompt, image=Image.fromarray(ring().map), num_inference_steps=FEW.steps,
            guidance_scale=FEW.guidance, generator=torch.Generator().manual_seed(0),
            output_type="np", width=64, height=64,
        ).images  # fmt: skip
    np.testing.assert_array_equal(painted().images, (by_hand * 255).round().astype(np.uint8))


def test_a_control_that_has_ended_is_none():
    late = painted(settings=replace(FEW, start=0.99))
    assert late.baseline is not None
    np.testing.assert_array_equal(late.images, late.baseline)


def test_two_controls_add_up_and_weight_0_is_none():
    depth = Hint(np.full((64, 64, 3), 0, np.uint8), "depth")
    depth.map[:] = np.linspace(20, 240, 64, dtype=np.uint8)[:, None, None]
    *_, both = generate([ring(), depth], FEW)
    *_, one = generate([ring(), replace(depth, weight=0.0)], FEW)
    assert isinstance(both, ControlResult) and isinstance(one, ControlResult)
    np.testing.assert_array_equal(one.images, painted().images)
    assert (both.images != one.images).any()


def test_other_sizes_and_portrait_maps():
    tall = Hint(ring(size=128).map[:, 32:96], "edges")
    result = painted(tall, replace(FEW, size_px=80))
    assert result.images.shape[1:3] == (80, 40)


def test_a_union_sees_each_kind_as_what_it_is():
    for model in UNIONS:
        assert all(inner.kind_seen(model, kind) == kind for kind in CONTROLS[model])
    assert inner.kind_seen("tiny-sd", "scribble") == inner.kind_seen("tiny-sd", "map") == "edges"
    assert inner.kind_seen("sd15", "scribble") == "scribble"
    ramp = Hint(np.arange(64, dtype=np.uint8)[:, None, None].repeat(64, 1).repeat(3, 2), "depth")
    np.testing.assert_array_equal(inner.as_seen("z-image", ramp, 64, 64).map, ramp.map)


def test_seconds_are_those_of_painting(monkeypatch: pytest.MonkeyPatch):
    now = [0.0]

    def slow(*args: Any, **named: Any) -> Any:
        now[0] += 100
        return loading.load(*args, **named)

    def score(image: np.ndarray, hint: Hint) -> float:
        now[0] += 100
        return 1.0

    monkeypatch.setattr(inner, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(inner, "load", slow)
    *_, result = generate(ring(), replace(FEW, baseline=False), agreement=score)
    assert isinstance(result, ControlResult)
    assert now[0] == 200 and result.seconds == 0


def test_nobody_works_with_networks_while_they_are_in_float32():
    import torch

    net = torch.nn.Linear(2, 2).bfloat16()

    def paint() -> Iterator[Any]:
        for _ in range(3):
            time.sleep(0.02)
            yield net.weight.dtype
        return np.full(2, np.nan if net.weight.dtype == torch.bfloat16 else 1.0)

    def work(*, progress: Any) -> Iterator[Any]:
        pipeline = SimpleNamespace(components={"net": net})
        yield from rescued(pipeline, paint, "Toy", "", lambda words: None)  # type: ignore[arg-type]

    inside_it, outside = set(), set()
    for event in runtime.stream(work):
        if isinstance(event, runtime.Part):
            inside_it.add(event.value)
            outside.add(runtime.run(lambda: net.weight.dtype))
    assert inside_it == {torch.bfloat16, torch.float32}
    assert outside == {torch.bfloat16}


def test_what_half_precision_breaks_is_painted_again_in_float32(monkeypatch: pytest.MonkeyPatch):
    import torch

    models.pool().clear()
    monkeypatch.setattr(loading, "_dtype", lambda key: torch.bfloat16)
    net = loading.load("tiny-sd", ("edges",)).unet

    def broken(module: Any, given: Any, output: Any) -> Any:
        bad = next(module.parameters()).dtype == torch.bfloat16
        return (output[0] * float("nan"), *output[1:]) if bad else output

    def full(module: Any, given: Any, output: Any) -> Any:
        raise torch.OutOfMemoryError

    hook = net.register_forward_hook(broken)
    quick = replace(FEW, steps=2, baseline=False, size_px=32)  # bfloat16 is slow on a CPU
    result = painted(settings=quick)
    assert sum("float32" in note for note in result.notes) == 1
    assert result.film.x0.shape[0] == 2 and np.isfinite(result.film.x0).all()
    assert next(net.parameters()).dtype == torch.bfloat16
    seen = inside.look_inside(result.hints, result.settings)
    assert len(seen.guidance) == 2 and np.isfinite(seen.attention).all()
    hook.remove()
    net.register_forward_hook(full)
    with pytest.raises(Unavailable, match="ran out of GPU memory"):
        painted(settings=quick)
    models.pool().clear()


@pytest.mark.parametrize("scheduler", [key for key in SCHEDULERS if key != "ddim"])
def test_the_last_estimate_is_the_picture(scheduler: str):
    """What is left after the last step is x₀, exactly: all but DDIM end on it."""
    result = painted(settings=replace(FEW, scheduler=scheduler, baseline=False))
    assert np.isfinite(result.film.x0.astype(np.float32)).all() and len(result.film.t) == 4
    pipeline = loading.load("tiny-sd", ("edges",))
    last = inner.decoded(pipeline, result.film.x0[-1].astype(np.float32))
    assert np.abs(last.astype(int) - result.images).max() <= 2


def test_estimate_undoes_the_mixture():
    import torch

    scheduler = nets.scheduler()
    scheduler.set_timesteps(10)
    x0, noise = torch.randn(2, 1, 4, 5, 3, generator=torch.Generator().manual_seed(3)).unbind(0)
    t = scheduler.timesteps[4]
    kept = scheduler.alphas_cumprod[int(t)]
    mixed = kept.sqrt() * x0 + (1 - kept).sqrt() * noise
    torch.testing.assert_close(stepwise.estimate(scheduler, noise, t, mixed), x0)
    scheduler.register_to_config(prediction_type="v_prediction")
    v = kept.sqrt() * noise - (1 - kept).sqrt() * x0
    torch.testing.assert_close(stepwise.estimate(scheduler, v, t, mixed), x0, atol=1e-5, rtol=0)


# ---------------------------------------------------------------- following it


def test_steps_are_shown_and_closing_stops(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(inner, "SHOW_S", 0.0)
    *steps, result = generate(ring(), FEW)
    assert [s.step for s in steps if isinstance(s, Step)] == list(range(1, 9))
    assert [s.controlled for s in steps if isinstance(s, Step)] == [True] * 4 + [False] * 4
    told = []
    run = generate(ring(), replace(FEW, steps=50), lambda share, desc="": told.append(share))
    next(run)
    run.close()  # type: ignore[attr-defined]
    count = len(told)
    assert count < 20
    assert isinstance(result, ControlResult)


def test_film_rows_end_with_the_last_step():
    rows = film(painted(settings=replace(FEW, steps=6)), frames=3)
    assert [title for title, _ in rows] == ["Over the map", "With control", "Without"]
    assert [[k for k, _ in row] for _, row in rows] == [[1, 3, 6]] * 3
    assert rows[0][1][0][1].shape == (64, 64, 3)


def test_notes_say_what_is_cut_and_what_is_strange():
    long = painted(settings=replace(FEW, prompt="a red ball on wood " * 20))
    assert any("77 fit" in note for note in long.notes)
    strange = painted(settings=replace(FEW, prompt="a red zebra on wood"))
    assert any("“zebra”" in note for note in strange.notes)
    nothing = painted(settings=replace(FEW, start=0.3, end=0.4))
    assert any("no whole step of 4" in note for note in nothing.notes)
    assert not painted().notes


def test_words_are_read_in_pictures_of_the_small_world_alone():
    picture = painted().images[0]
    assert named(picture, FEW.prompt) is not None
    assert named(picture, FEW.prompt, "sd15") is None


# ---------------------------------------------------------------- inside


def test_attention_sums_to_one_at_every_place():
    result = painted()
    seen = inside.look_inside(result.hints, FEW)
    assert seen.tokens == ("start", "a", "red", "ball", "on", "wood", "end")
    total = seen.attention.sum(0) + seen.padding
    np.testing.assert_allclose(total, 1, atol=1e-5)
    assert len(seen.residuals) == 7 and all(len(r.norm) == FEW.steps for r in seen.residuals)
    assert seen.guidance.shape == (FEW.steps, 2)


def test_a_wide_pictures_attention_has_its_places():
    """A latent of 16×6 places is halved to 8×3, and then to 4×2."""
    assert inside.grid_of(27, 64, 14 * 32) == (14, 32) and inside.grid_of(27, 64, 4 * 8) == (4, 8)
    wide = Hint(ring().map[20:44], "edges")
    seen = inside.look_inside(painted(wide).hints, FEW)
    assert seen.attention.shape[1:] == (3, 8)
    np.testing.assert_allclose(seen.attention.sum(0) + seen.padding, 1, atol=1e-5)


def test_residuals_are_those_of_the_first_picture():
    hints = painted().hints
    one = inside.look_inside(hints, FEW).residuals
    two = inside.look_inside(hints, replace(FEW, images=2)).residuals
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a.picture, b.picture, rtol=1e-2, atol=1e-3)


def test_at_guidance_1_the_page_says_that_there_is_none():
    result = painted(settings=replace(FEW, guidance=1.0))
    found: Any = SimpleNamespace(result=result)
    seen = inside.look_inside(result.hints, result.settings)
    assert "there is no guidance" in controlnet_inside._guidance(found, seen)
    assert "ε = ε_c" in controlnet_inside._step(found, seen)


def test_a_unions_zero_convolutions_are_not_asked_for():
    with pytest.raises(InputError, match="no plain copy"):
        inside.zero_convolution(ring(), replace(FEW, model="sdxl-union"))
    assert "no plain copy" in controlnet_inside._zero("This is no plain copy.")


def test_sweeps_and_insides_are_those_with_the_lora(monkeypatch: pytest.MonkeyPatch):
    used: list[Path] = []

    @contextmanager
    def with_lora(pipeline: Any, file: Path, scale: float) -> Iterator[Any]:
        used.append(file)
        yield pipeline

    for module in (inner, inside):
        monkeypatch.setattr(module, "with_lora", with_lora)
    style = Path("style.safetensors")
    list(sweep([ring()], FEW, ("scale", (0.0, 1.0)), lora=style))
    inside.look_inside([ring()], FEW, lora=style)
    assert used == [style] * 3


def test_looking_changes_nothing():
    before = painted()
    inside.look_inside(before.hints, FEW)
    np.testing.assert_array_equal(painted().images, before.images)


def test_residuals_vanish_with_the_scale():
    seen = inside.look_inside(painted().hints, replace(FEW, scale=0.0))
    assert all((r.norm == 0).all() for r in seen.residuals)


def test_an_untrained_control_adds_exactly_nothing():
    found = inside.zero_convolution(ring(), FEW)
    assert (found.untrained == 0).all() and (found.trained > 0).all()


def test_the_written_step_is_the_schedulers():
    result = painted()
    found = inside.look_inside(result.hints, FEW).arithmetic
    assert found is not None
    assert found.eps == pytest.approx(
        found.eps_none + FEW.guidance * (found.eps_words - found.eps_none), abs=1e-5
    )
    channel, y, x = found.place
    at = result.film.x0[found.step - 1, 0, channel, y, x]
    assert found.x0 == pytest.approx(float(at), rel=2e-3, abs=2e-3)


# ---------------------------------------------------------------- sources, sweeps, bad input


def test_a_scene_has_its_words_and_exact_maps():
    *_, last = run(SourceSettings(), HintSettings(), replace(FEW, prompt="", baseline=False))
    assert isinstance(last, Painted) and last.hint.exact
    assert last.result.settings.prompt == last.source.words != ""
    np.testing.assert_array_equal(last.result.hints[0].map, last.hint.map)


def test_strokes_are_drawn_over_the_map_and_a_drawing_needs_some():
    strokes = np.zeros((384, 384, 4), np.uint8)
    strokes[100:106, 40:340] = 255
    where = SourceSettings(control_source="drawing")
    *_, last = run(where, HintSettings(), replace(FEW, baseline=False), Given(strokes=strokes))
    assert isinstance(last, Painted)
    row = last.result.hints[0].map[..., 0].max(1)
    assert row[16:18].max() == 255 and row[:15].max() == 0 and row[19:].max() == 0
    with pytest.raises(InputError, match="Nothing is drawn"):
        list(run(where, HintSettings(), FEW))
    with pytest.raises(InputError, match="no picture yet"):
        source(SourceSettings(control_source="picture"))


def test_a_drawing_is_compared_under_each_kind():
    strokes = np.zeros((384, 384, 4), np.uint8)
    strokes[100:106, 40:340] = 255
    where, plain = SourceSettings(control_source="drawing"), replace(FEW, baseline=False)
    found = list(compare(where, ("edges", "soft"), HintSettings(), plain, Given(strokes=strokes)))
    assert [one.name for one in found] == ["Edges", "Soft edges"]
    assert all(math.isnan(one.scores["without"]) for one in found)


def test_a_scenes_colours_have_as_many_cells_as_asked_for():
    where, how = SourceSettings(), HintSettings(kind="colours")
    found = source(where)
    made = [hint_of(found, where, replace(how, cells=cells)).map for cells in (2, 8)]
    few, many = (len(np.unique(map.reshape(-1, 3), axis=0)) for map in made)
    assert few <= 4 < many <= 64


def test_a_network_that_would_be_fetched_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runtime, "offline", lambda: False)
    monkeypatch.delenv("SIGHTLINE_MODELS", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    where = SourceSettings(control_source="picture")
    photo = Given(np.full((40, 60, 3), 90, np.uint8))
    found, depth = source(where, photo), HintSettings(kind="depth")
    assert "fetched" in lacking(found, where, depth, photo)
    assert "fetched" in lacking(found, where, replace(depth, kind="pose"), photo)
    assert not lacking(found, where, HintSettings(), photo)
    assert not lacking(found, where, depth, replace(photo, depth=np.ones((40, 60))))
    assert not lacking(source(SourceSettings()), SourceSettings(), depth)


def test_a_sweep_is_a_grid_and_scale_0_is_the_same_for_every_start():
    cells = list(sweep([ring()], FEW, ("scale", (0.0, 1.0)), ("start", (0.0, 0.5))))
    assert [(c.row, c.column) for c in cells] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    np.testing.assert_array_equal(cells[0].image, cells[2].image)
    assert (cells[1].image != cells[3].image).any()
    assert values_of("steps", "5, 10") == (5, 10) and values_of("prompt", "a | b") == ("a", "b")
    for bad in ("", "one"):
        with pytest.raises(InputError):
            values_of("scale", bad)
    with pytest.raises(InputError, match="more than"):
        list(sweep([ring()], FEW, ("seed", range(40))))


def test_a_sweep_sets_both_at_once():
    late = replace(FEW, start=0.5)
    (cell,) = sweep([ring()], late, ("start", (0.0,)), ("end", (0.4,)))
    early = painted(settings=replace(FEW, end=0.4, baseline=False))
    np.testing.assert_array_equal(cell.image, early.images[0])


def test_maps_that_do_not_fit_are_refused_in_words():
    photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    with pytest.raises(InputError, match="doesn't look like edges"):
        painted(Hint(photo, "edges"))
    with pytest.raises(InputError, match="doesn't look like edges"):
        painted(Hint(photo, "map"))
    with pytest.raises(InputError, match="at most 50 steps"):
        painted(settings=replace(FEW, scheduler="lcm", steps=51))
    with pytest.raises(InputError, match="LCM LoRA was made for"):
        list(generate(ring(), FEW, lora=Path("lcm")))
    with pytest.raises(InputError, match="no control 'pose'"):
        painted(Hint(ring().map, "pose"))
    with pytest.raises(InputError, match="covers no step"):
        ControlSettings(start=0.5, end=0.5)


def test_maps_of_another_shape_are_not_squeezed():
    wide = Hint(ring(size=128).map[32:96], "edges")
    with pytest.raises(InputError, match=r"different shapes: 64×64 and 128×64 px"):
        list(generate([ring(), wide], FEW))
    quick = replace(FEW, steps=1, baseline=False)
    *_, last = generate([ring(), Hint(ring(size=128).map[:127], "edges")], quick)
    assert isinstance(last, ControlResult) and len(last.hints) == 2


def test_a_kind_that_cannot_be_used_does_not_end_the_comparison():
    where, quick = SourceSettings(), replace(FEW, steps=1, baseline=False)
    first, lost, last = compare(where, ("edges", "pose", "depth"), HintSettings(), quick)
    assert lost.name.startswith("Pose did not run: tiny-sd has no control 'pose'")
    assert (lost.picture == source(where).picture).all() and lost.step == 2
    assert all(math.isnan(value) for value in lost.scores.values())
    assert set(first.scores) == set(lost.scores) == set(last.scores)
    with pytest.raises(InputError, match="no picture yet"):
        next(compare(SourceSettings(control_source="picture"), ("edges",), HintSettings(), quick))
