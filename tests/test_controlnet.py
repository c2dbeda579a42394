"""The ControlNet tab with the shipped model: what it paints, shows and hands over."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest

from core import runtime
from core.control import ControlSettings, HintSettings, Step
from core.control.run import Given, Painted, SourceSettings, compared, hint_of, run, source
from core.control.scoring import named
from core.control.sweep import Cell
from core.diffusion import loading, reader, world
from core.diffusion.card import SHIPPED, card
from core.diffusion.measure import measured
from core.diffusion.train import PICTURES
from core.images import load
from core.types import InputError
from demos import controlnet, markup
from demos import controlnet_panels as panels

ROOT = Path(__file__).parents[1]
SOMEBODY: Any = SimpleNamespace(session_hash="a page")


def values(*changed: Any) -> list[Any]:
    """What the tab's controls hold, with these settings instead of the defaults."""
    given = {type(one): one for one in changed}
    return [v for kind in controlnet.KINDS for v in vars(given.get(kind, kind())).values()]


def handler(name: str, run: Any = run) -> Any:
    """The tab's handler of that name."""
    with gr.Blocks() as page:
        controlnet.build(run)
    found = (f for f in page.fns.values() if name in (f.api_name, getattr(f.fn, "__name__", "")))
    return next(found)


@pytest.fixture(scope="module")
def painted() -> Painted:
    """The tab's default action."""
    *_, last = run(SourceSettings(), HintSettings(), ControlSettings())
    assert isinstance(last, Painted)
    return last


# ---------------------------------------------------------------- the shipped model


def test_its_files_are_small():
    sizes = [file.stat().st_size for file in SHIPPED.rglob("*") if file.is_file()]
    assert max(sizes) < 10e6 and sum(sizes) < 60e6


def test_its_card_tells_what_was_measured():
    found, learned = (
        json.loads((SHIPPED / name).read_text()) for name in ("measured.json", "training.json")
    )
    assert (SHIPPED / "README.md").read_text() == card(found, learned)
    assert found["scenes"] >= 200


def test_no_measured_scene_was_trained_on():
    assert world.HELD_OUT > PICTURES


def test_it_is_as_good_as_its_card_says():
    """A few of the card's scenes; a handful varies by more than two hundred."""
    told = json.loads((SHIPPED / "measured.json").read_text())
    found = measured(SHIPPED, scenes=12)
    assert found["vae"]["psnr"] == pytest.approx(told["vae"]["psnr"], abs=1.5)
    assert found["words"]["colour"] == pytest.approx(told["words"]["colour"], abs=0.2)
    for kind in ("edges", "depth", "segmentation"):
        assert found[kind]["with"] == pytest.approx(told[kind]["with"], abs=0.1)
        assert found[kind]["with"] > found[kind]["without"] + (0.02 if kind == "depth" else 0.1)


def test_its_reader_reads_renders_it_has_not_seen():
    held = world.pictures(range(world.HELD_OUT + 500, world.HELD_OUT + 540), prompts=1)
    net = reader.opened(SHIPPED)
    seen = reader.read(net, held.rgb)
    prompts = held.prompts[:, 0].tolist()
    right = [
        one.shape
        for image, prompt in zip(held.rgb, prompts, strict=True)
        for one in named(image, prompt) or ()
    ]
    assert np.mean(right) > 0.95
    assert len(seen) == 40 and all(one.toys for one in seen)


def test_diffusers_opens_it_without_us():
    code = (
        "from diffusers import ControlNetModel, StableDiffusionControlNetPipeline as Pipeline\n"
        "import torch\nfrom PIL import Image\n"
        "folder = 'assets/models/tiny-sd'\n"
        "net = ControlNetModel.from_pretrained(folder + '/controlnet-edges', low_cpu_mem_usage=False)\n"
        "pipe = Pipeline.from_pretrained(folder, controlnet=net, safety_checker=None, "
        "low_cpu_mem_usage=False)\n"
        "out = pipe('a red ball', image=Image.new('RGB', (64, 64)), num_inference_steps=2)\n"
        "print(out.images[0].size)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.stdout.strip() == "(64, 64)", done.stderr[-2000:]


# ---------------------------------------------------------------- the tab


def test_the_default_pair_shows_what_control_does(painted: Painted):
    result = painted.result
    assert result.agreement[0] > result.baseline_agreement[0] + 0.2
    said = panels.headline(painted)
    assert f"{result.agreement[0]:.2f}</b> with control" in said
    assert painted.source.words in said
    assert panels.pair(painted).count("<img") == 4


def test_scores_name_every_thing_of_the_prompt(painted: Painted):
    seen = named(painted.result.images[0], painted.result.settings.prompt)
    assert seen
    text = panels.score_text(painted)
    for one in seen:
        assert f"{one.look.colour} {one.look.shape}" in text


def test_pictures_of_big_models_are_not_read(painted: Painted):
    settings = replace(painted.result.settings, model="sd15")
    other = replace(painted, result=replace(painted.result, settings=settings))
    assert "only pictures of tiny-sd can be read" in panels.score_text(other)
    assert math.isnan(compared(other).scores["words"])
    assert not math.isnan(compared(painted).scores["words"])


def test_previews_leave_the_result_as_it_is(painted: Painted):
    guess = painted.result.images

    def fake(*settings: Any, progress: Any) -> Iterator[Step | Painted]:
        yield Step(1, 2, 0.1, guess, True, 900)
        yield painted

    paint = handler("controlnet", fake)
    told = list(paint.fn(SOMEBODY, None, None, (), False, None, *values()))
    preview = next(one for one in told if any("Step 1 of 2" in str(v) for v in one.values()))
    last = told[-1]
    assert len(preview) <= 2, "the preview, and the status line that waited till now"
    assert not any(last[place] for place in preview)


def test_a_drawing_stays_while_the_picture_does():
    draw = handler("draw_map")
    editor, drawn_for = draw.inputs[1:3]
    drawn = {"layers": [np.zeros((384, 384, 4), np.uint8)]}
    first = draw.fn(SOMEBODY, None, None, None, *values())
    assert first[editor]["layers"] == []
    soft = values(HintSettings(kind="soft"))
    again = draw.fn(SOMEBODY, None, drawn, first[drawn_for], *soft)
    assert again[editor]["layers"] is drawn["layers"]
    other = values(SourceSettings(control_scene=3))
    assert draw.fn(SOMEBODY, None, drawn, first[drawn_for], *other)[editor]["layers"] == []


def test_showing_a_map_fetches_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(controlnet, "lacking", lambda *args: "It is fetched at first use.")
    monkeypatch.setattr(controlnet, "hint_of", pytest.fail)
    draw = handler("draw_map")
    status, editor, _ = draw.outputs
    told = draw.fn(SOMEBODY, None, None, None, *values(HintSettings(kind="pose")))
    assert "fetched at first use" in told[status] and told[editor] is None


def test_a_prompt_of_a_sweep_cannot_leave_its_attribute():
    cell = Cell(0, 0, np.zeros((8, 8, 3), np.uint8), 0.5)
    text = panels._grid("prompt", ('a "red" <ball>',), "seed", (), (cell,))
    assert 'alt=" a &quot;red&quot; &lt;ball&gt;"' in text


def test_the_film_ends_in_the_pictures(painted: Painted):
    over, with_it, without = panels.strips(painted)
    assert len(over) == len(with_it) == len(without) == panels.FRAMES
    large = markup.large(painted.result.images[0])
    apart = np.abs(with_it[-1][0].astype(int) - large)
    assert apart.max() <= 8 and apart.mean() < 1  # the film is kept in half precision


def test_the_taken_script_paints_the_same_again(painted: Painted, tmp_path: Path):
    files = panels.write_files(painted, tmp_path)
    names = {file.name for file in files}
    assert {"figure.png", "with-1.png", "without-1.png", "map.png", "controlnet.py"} <= names
    done = subprocess.run(
        [sys.executable, "controlnet.py"], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"{painted.result.agreement[0]:.3f}"[:4] in done.stdout
    np.testing.assert_array_equal(load(tmp_path / "picture.png"), painted.result.images[0])


def test_depth_of_the_stereo_tab_is_a_map():
    where = SourceSettings(control_source="stereo")
    with pytest.raises(InputError, match="Measure a pair in the Stereo tab first"):
        source(where)
    picture = np.full((40, 60, 3), 90, np.uint8)
    depth = np.full((40, 60), 4.0)
    depth[10:30, 20:40] = 2.0
    given = Given(picture, depth)
    map = hint_of(source(where, given), where, HintSettings(kind="depth"), given).map[..., 0]
    assert map[20, 30] > map[5, 5]
    inverse = replace(given, depth=1 / depth, inverse=True)
    again = hint_of(source(where, inverse), where, HintSettings(kind="depth"), inverse).map
    np.testing.assert_allclose(map, again[..., 0].astype(int), atol=1)


def test_the_picker_says_what_is_missing_for_this_control(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(runtime, "offline", lambda: False)
    monkeypatch.delenv("SIGHTLINE_MODELS", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(loading.models, "memory_gb", lambda: 64.0)
    assert "no control 'pose'. Choose one of: edges" in controlnet._about("tiny-sd", "pose")
    assert "fetched from" in controlnet._about("sd15", "edges")
    base = loading.ROOT / "assets/models/tiny-sd"  # as if it were here
    spec = replace(loading.MODELS["sd15"], source=str(base), revision="")
    monkeypatch.setitem(loading.MODELS, "sd15", spec)
    assert "has it as a pickle only" in controlnet._about("sd15", "tile")
