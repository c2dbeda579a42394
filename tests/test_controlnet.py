"""The ControlNet tab with the shipped model: what it paints, shows and hands over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.control import ControlSettings, HintSettings
from core.control.run import Given, Painted, SourceSettings, hint_of, run, source
from core.control.scoring import named
from core.diffusion import reader, world
from core.diffusion.card import SHIPPED, card
from core.diffusion.measure import measured
from core.diffusion.train import PICTURES
from core.images import load
from core.types import InputError
from demos import controlnet_panels as panels
from demos import markup

ROOT = Path(__file__).parents[1]


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
