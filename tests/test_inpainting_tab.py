"""The Inpainting tab's parts that a page isn't needed for."""

from __future__ import annotations

import base64
import io
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from core import runtime
from core.inpainting import METHODS, InpaintResult, InpaintSettings, InpaintStep, inpaint
from core.inpainting.patch import PatchStep
from core.inpainting.run import Filled, recipe_of
from core.inpainting.sources import Source, SourceSettings
from core.metrics import psnr
from core.types import InputError, silent
from demos import inpainting, inpainting_inside, inpainting_masks, inpainting_panels
from demos.inpainting_input import KINDS, Controls, by_link, given, token
from demos.widgets.mask_editor import MaskEditor

TOYS = SourceSettings(hole_picture="scene", hole_object=0)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def box(height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[height // 3 : height // 2, width // 3 : width // 2] = True
    return mask


def page(build: Any) -> tuple[Any, list[Any]]:
    """What build draws, and the page's handlers."""
    with gr.Blocks() as blocks:
        made = build()
    return made, list(blocks.fns.values())


def outputs_of(fn: Any, *values: Any) -> dict:
    return {getattr(key, "label", key): value for key, value in fn.fn(*values).items()}


# ---------------------------------------------------------------- the input


@pytest.mark.parametrize("picture", ["photo", "picture"])
def test_a_picture_without_objects_is_painted_on(picture: str) -> None:
    with gr.Blocks():
        made = Controls(*KINDS)
        made.draw_rest()
    values = {name: widget.value for name, widget in made.widgets.items()}
    where, _ = made.read([(values | {"hole_picture": picture})[name] for name in made.fields])
    assert where.hole_mask == "drawn"
    where, _ = made.read([values[name] for name in made.fields])
    assert where == SourceSettings() and where.hole_mask == "object"


def test_the_page_says_so() -> None:
    _, handlers = page(inpainting.build)
    (instead,) = [fn for fn in handlers if fn.fn and fn.fn.__name__ == "instead"]
    assert [widget.label for widget in (*instead.inputs, *instead.outputs)] == [
        "Picture", "Hidden", "Hidden",
    ]  # fmt: skip
    assert instead.fn("photo", "object") == "drawn" and instead.fn("photo", "box") == "box"
    assert instead.fn("tabletop", "object") == "object"


def test_a_broken_picture_is_told_at_once(tmp_path: Path) -> None:
    _, handlers = page(inpainting.build)
    (draw,) = [fn for fn in handlers if fn.fn and fn.fn.__name__ == "draw_hole"]
    values = [vars(s) for s in (SourceSettings(hole_picture="picture"), InpaintSettings())]
    chosen = [value for of in values for value in of.values()]
    status, editor = draw.outputs
    assert draw.fn(None, None, *chosen) == {status: "", editor: None}  # nothing was handed in yet
    (tmp_path / "cut.png").write_bytes(b"\x89PNG no more")
    told = draw.fn(str(tmp_path / "cut.png"), None, *chosen)
    assert "read as a picture" in told[status] and editor not in told
    Image.fromarray(noise(20, 30)).save(tmp_path / "whole.png")
    told = draw.fn(str(tmp_path / "whole.png"), None, *chosen)
    value = told[editor]
    assert value["size"] == [30, 20] and value["mask"] is None
    painted = MaskEditor.with_mask(value, box(20, 30))
    told = draw.fn(str(tmp_path / "whole.png"), painted, *chosen)
    assert told == {status: ""}, "what is painted on it is kept"
    other = draw.fn(str(tmp_path / "whole.png"), painted | {"made_for": "another"}, *chosen)
    assert other[editor] == value


def test_a_mask_painted_for_something_else_does_not_count() -> None:
    value = inpainting_masks.painted_on(noise(64, 64), box(64, 64), token(TOYS, None))
    assert value is not None
    kept = given(TOYS, None, value).mask
    assert kept is not None and (kept == box(64, 64)).all()
    for other in (replace(TOYS, hole_object=1), replace(TOYS, hole_picture="tabletop")):
        assert given(other, None, value).mask is None
    emptied = given(TOYS, None, MaskEditor.with_mask(value, None)).mask
    assert emptied is not None and not emptied.any()
    del value["made_for"]  # as a program may hand it in
    assert given(replace(TOYS, hole_object=1), None, value).mask is not None
    own = SourceSettings(hole_picture="picture", hole_mask="drawn")
    assert token(own, "a.png") != token(own, "b.png") and token(TOYS, "a") == token(TOYS, "b")
    assert token(own, "a.png") == token(replace(own, hole_mask="restored"), "a.png")


def test_the_page_opens_as_its_link_says() -> None:
    def opened(**query: str) -> dict:
        request: Any = type("Request", (), {"query_params": query})()
        return by_link(lambda where, settings: {"where": where, "settings": settings})(request)

    found = opened(tab="inpainting", hole_picture="photo", method="telea")
    assert found["where"] == SourceSettings(hole_picture="photo")
    assert found["settings"].method == "telea"
    default = {"where": SourceSettings(), "settings": InpaintSettings()}
    assert opened() == opened(tab="stereo", method="telea") == opened(method="none") == default


# ---------------------------------------------------------------- methods


@pytest.mark.parametrize("method", METHODS)
def test_every_method_says_what_it_is(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_OFFLINE", "1")
    told = inpainting_panels.about(method)
    assert len(told) > 20
    if "(hub)" in METHODS[method]:
        assert "licence" in told or "needs" in told.lower(), told


def test_the_settings_shown_are_those_that_are_read() -> None:
    _, handlers = page(inpainting.build)
    (follow,) = [fn for fn in handlers if fn.fn and fn.fn.__name__ == "follow"]
    seen = {
        key: value["visible"]
        for key, value in outputs_of(follow, "telea").items()
        if isinstance(value, dict)
    }
    assert [label for label, visible in seen.items() if visible] == ["Radius (px)"]
    assert seen["Samples"] is seen["Rounds"] is False
    opening = [fn for fn in handlers if fn.fn and fn.fn.__name__ == "handler" and not fn.inputs]
    assert any(set(follow.outputs) == set(fn.outputs) for fn in opening), "at opening too"


# ---------------------------------------------------------------- masks


class _Editor:
    """The tools of a drawn page, each called by its button's label."""

    def __init__(self) -> None:
        def build() -> Any:
            made = Controls(*KINDS)
            tools = inpainting_masks.Tools(made, gr.Image(), MaskEditor())
            made.draw_rest()
            tools.wire(given, gr.HTML())
            return tools

        self.tools, self.handlers = page(build)
        settings = (SourceSettings(hole_picture="picture", hole_mask="drawn"), InpaintSettings())
        self.where = settings[0]
        self.values = [value for of in settings for value in vars(of).values()]

    def press(self, widget: Any, path: Path, painted: dict | None, *more: Any) -> tuple[str, Any]:
        """What is said, and the editor's new value or None."""
        button = getattr(widget, "go", widget)  # of a job
        (fn,) = [f for f in self.handlers if f.fn and any(t[0] == button._id for t in f.targets)]
        status, editor = fn.outputs
        told = fn.fn(*more, str(path), painted, *self.values)
        if not isinstance(told, dict):
            *_, told = told
        return told[status], told.get(editor)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(noise(40, 60) // 2).save(path)
    return path


def test_a_mask_of_nothing_leaves_the_paint(photo: Path, tmp_path: Path) -> None:
    page = _Editor()
    painted = inpainting_masks.painted_on(noise(40, 60), box(40, 60), token(page.where, str(photo)))
    said, value = page.press(page.tools.by_colour, photo, painted, "#ffffff", 1)
    assert "No pixel has this colour" in said and value is None
    Image.fromarray(box(40, 60).astype(np.uint8)).save(tmp_path / "ones.png")
    said, value = page.press(page.tools.file, photo, painted, str(tmp_path / "ones.png"))
    assert "nothing white" in said and value is None
    said, value = page.press(page.tools.grow, photo, painted, 2)
    mask = MaskEditor.mask_of(value)
    assert not said and mask is not None and mask.sum() > box(40, 60).sum()
    assert value["made_for"] == painted["made_for"]  # type: ignore[index]


def test_segment_anything_is_asked_for_the_last_stroke(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[float, float]] = []

    def click(image: np.ndarray, x: float, y: float, progress: Any) -> np.ndarray:
        asked.append((x, y))
        return box(40, 60)

    monkeypatch.setattr(inpainting_masks.hub_masks, "click", click)
    page = _Editor()
    painted = inpainting_masks.painted_on(noise(40, 60), box(40, 60), token(page.where, str(photo)))
    assert painted is not None
    page.press(page.tools.click, photo, painted)
    page.press(page.tools.click, photo, painted | {"last": [40, 2, 50, 10]})
    assert asked == [(25, 16.5), (45, 6)]
    other = painted | {"last": [40, 2, 50, 10], "made_for": "another"}
    assert "Nothing is painted yet" in page.press(page.tools.click, photo, other)[0]
    for bad in ([0, 0, 61, 5], [3, 3, 3, 9], "x", [None] * 4):
        with pytest.raises(InputError, match="doesn't fit"):
            MaskEditor.last_of(painted | {"last": bad})


# ---------------------------------------------------------------- what is shown


def test_previews_are_small_few_and_the_result_comes_once() -> None:
    large = InpaintStep(1, 9, 0.0, np.zeros((3000, 4000, 3), np.uint8))
    assert len(inpainting_panels.preview(large)) < 20_000
    done = runtime.Done("filled")
    tick = runtime.Tick(0.5, "", 1.0, None)

    def events() -> Any:
        yield runtime.Part(large)
        yield tick
        time.sleep(inpainting_panels.PREVIEW_S)
        yield runtime.Part(replace(large, step=2))
        yield runtime.Part(replace(large, step=3))
        yield runtime.Part("filled")
        yield done

    kept = list(inpainting_panels.sparse(events()))
    assert kept[0] is tick and kept[2] is done and len(kept) == 3
    assert kept[1].value.step == 2


def test_a_large_result_is_shown_reduced() -> None:
    image, mask = np.zeros((1500, 3200, 3), np.uint8), np.zeros((1500, 3200), bool)
    mask[200:1300, 100:3000] = True
    settings = InpaintSettings()
    recipe = recipe_of(image, mask, settings)
    result = InpaintResult(settings, image, mask, 0, (), 0.0, recipe)
    found = Filled(Source(image, None, mask, ""), result, {})
    assert {of.shape for of in inpainting_panels.slider(found)} == {(750, 1600, 3)}
    for code in re.findall(r"base64,([^\"]+)", inpainting_panels.before_after(found)):
        shown = Image.open(io.BytesIO(base64.b64decode(code)))
        assert max(shown.size) <= inpainting_panels.SHOWN_PX


def test_a_preview_leaves_the_result_and_its_numbers_alone() -> None:
    step = InpaintStep(1, 2, 0.0, noise(8, 8))
    image, mask = noise(40, 60), box(40, 60)
    filled = Filled(
        Source(image, None, mask, ""), inpaint(image, mask, InpaintSettings(method="telea")), {}
    )

    def run(where: Any, settings: Any, given: Any, progress: Any = silent) -> Any:
        time.sleep(inpainting_panels.PREVIEW_S)
        yield step
        yield filled

    _, handlers = page(lambda: inpainting.build(run))
    (fn,) = [fn for fn in handlers if fn.api_name == "inpainting"]
    chosen = [value for s in (SourceSettings(), InpaintSettings()) for value in vars(s).values()]
    told = [event for event in fn.fn(None, None, *chosen) if len(event) > 1 or "<img" in str(event)]
    first, last = told[0], told[-1]
    (place,) = first
    assert "preview" in place.elem_classes and "Step 1 of 2" in first[place]
    assert last[place] == "" and len(told) == 2


def _result(image: np.ndarray, mask: np.ndarray, **more: Any) -> InpaintResult:
    settings = InpaintSettings(method="repaint")
    steps = (InpaintStep(1, 1, 0.0, image),)
    recipe = recipe_of(image, mask, settings)
    return InpaintResult(settings, image, mask, 0, steps, 0.1, recipe, **more)


def test_the_autoencoder_is_scored_where_the_model_worked() -> None:
    image, mask = noise(300, 400) // 2, np.zeros((300, 400), bool)
    mask[100:110, 100:120] = True
    alone = image.copy()
    alone[73:137, 78:142] += 10  # the 64 px around the hole
    found = Filled(
        Source(image, image, mask, ""), _result(image, mask, autoencoder=alone), {"psnr": 20.0}
    )
    expected = 20 * np.log10(255 / 10)
    assert f"{expected:.1f} dB" in inpainting_panels.score_text(found)


def test_compare_and_seeds_get_the_scenes_words(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def compare(
        chosen: Any, image: Any, mask: Any, settings: Any, truth: Any, progress: Any
    ) -> Any:
        told.append(settings.prompt)
        return iter(())

    def seeds(image: Any, mask: Any, settings: Any, which: Any, progress: Any) -> Any:
        told.append(settings.prompt)
        return iter(())

    monkeypatch.setattr(inpainting_panels, "run_compare", compare)
    monkeypatch.setattr(inpainting_panels, "seeds", seeds)
    _, handlers = page(inpainting.build)
    settings = InpaintSettings(method="repaint")
    chosen = [value for s in (TOYS, settings) for value in vars(s).values()]
    for first, name in ((["patch", "repaint"], "Methods"), (2, "Fillings")):
        (fn,) = [fn for fn in handlers if fn.inputs and getattr(fn.inputs[0], "label", 0) == name]
        list(fn.fn(first, None, None, *chosen))
    assert len(told) == 2 and told[0] == told[1] != ""


# ---------------------------------------------------------------- inside


@pytest.mark.parametrize("shape", [(33, 900), (5, 70)])
def test_offsets_of_a_coarse_level_lie_where_the_hole_is(shape: tuple[int, int]) -> None:
    mask = np.zeros(shape, bool)
    mask[1:3, 50:60] = True
    coarse = tuple(-(-n // 16) for n in shape)  # of 5 px one is left: by the sizes, a fifth
    offsets = np.full((*coarse, 2), np.nan, np.float32)
    offsets[0, 3] = 4, 4
    step = PatchStep(1, 1, 0.0, 4, 1, np.zeros((*shape, 3), np.uint8), offsets, 3)
    shown = inpainting_inside._offsets(step, mask)
    assert (shown != shown[0, 0]).any() and shown.shape[1] <= 3


def test_a_model_without_strength_is_told_and_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inpainting_inside, "inpaint", lambda *a: pytest.fail("it was run"))
    image, mask = noise(64, 64), box(64, 64)
    result = _result(image, mask)
    result = replace(result, settings=InpaintSettings(method="kandinsky22-inpaint"))
    text = inpainting_inside._diffusion(Filled(Source(image, None, mask, ""), result, {}), silent)
    assert "no strength" in text


def test_the_learned_filler_shows_what_it_adds() -> None:
    image = np.full((60, 80, 3), 90, np.uint8)
    image[:, 40:] = 170
    mask = box(60, 80)
    result = inpaint(image, mask, InpaintSettings(method="learned"))
    text = inpainting_inside._learned(Filled(Source(image, image, mask, ""), result, {}))
    assert text.count("<img") == 3 and "3 times" in text
    before, after = (psnr(step.image[mask], image[mask]) for step in result.steps)
    assert f"{before:.2f} dB before, {after:.2f} dB after" in text
    unknown = inpainting_inside._learned(Filled(Source(image, None, mask, ""), result, {}))
    assert unknown.count("<img") == 3 and "dB" not in unknown
