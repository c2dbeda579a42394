"""Filling by diffusion and by LaMa: tiny networks of the real classes, found as real ones are.

Their weights know nothing, so what is held is the arithmetic, what may be seen of the hidden, and
that everything fits together.
"""

from __future__ import annotations

import struct
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from core import models
from core.diffusion import load, loading, nets
from core.inpainting import lama, painted
from core.inpainting.classic import nearest
from core.inpainting.repaint import Frame, _moves, _Walk, encoded, places, repaint
from core.inpainting.types import InpaintSettings, InpaintStep
from core.types import InputError, Unavailable
from tests.hub import hub_cache
from tests.test_diffusion_loading import (  # noqa: F401  # fixtures: tiny models, no network
    cache,
    empty_pool,
    offline,
    project,
    saved,
)

BIG = ("sd15-inpaint", "kandinsky22-inpaint", "flux2-klein")
MORE = {
    "sd15-inpaint": {},
    "kandinsky22-inpaint": {"prior_num_inference_steps": 2},
    "flux2-klein": {"text_encoder_out_layers": (0, 1, 2)},
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny models' own sizes: 64 px, and two levels fewer than the real ones."""
    for key, manner in painted.MANNERS.items():
        tiny = replace(manner, side_px=64, place_px=manner.place_px // 4, more=MORE[key])
        monkeypatch.setitem(painted.MANNERS, key, tiny)


def _picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, (height, width, 3), np.uint8)


def _hole(height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[height // 3 : height // 2, width // 3 : width // 2] = True
    return mask


def _run(work: Generator[InpaintStep, None, Any]) -> tuple[list[InpaintStep], Any]:
    """All steps, and what the generator returns."""
    steps = []
    while True:
        try:
            steps.append(next(work))
        except StopIteration as end:
            return steps, end.value


# ---------------------------------------------------------------- the part that is worked on


@pytest.mark.parametrize("size", [(300, 200), (70, 500), (40, 40), (1200, 1600)])
def test_a_frame_holds_the_hole_in_sizes_that_divide(size: tuple[int, int]) -> None:
    mask = _hole(*size)
    frame = Frame.around(mask, 64, 16)
    assert mask[frame.part].sum() == mask.sum()
    assert frame.width % 16 == frame.height % 16 == 0 and max(frame.width, frame.height) == 64
    image = _picture(*size)
    seen, hole = frame.cut(image), frame.cut(mask)
    assert seen.shape == (frame.height, frame.width, 3) and hole.shape == seen.shape[:2]
    assert hole.any() and not hole.all()
    back = frame.put(image, seen)
    outside = np.ones(size, bool)
    outside[frame.part] = False
    np.testing.assert_array_equal(back[outside], image[outside])


def test_what_is_not_resized_comes_back_as_it_was() -> None:
    image, mask = _picture(150, 130), np.zeros((150, 130), bool)
    mask[145:, :8] = True  # in a corner
    frame = Frame.around(mask, 64, 16)
    assert [(of.start, of.stop) for of in frame.part] == [(86, 150), (0, 64)]
    np.testing.assert_array_equal(frame.put(image, frame.cut(image)), image)
    np.testing.assert_array_equal(frame.cut(mask), mask[frame.part])


def test_a_scratch_is_not_lost_in_a_smaller_picture() -> None:
    mask = np.zeros((640, 640), bool)
    mask[:, 301] = True
    assert Frame.around(mask, 64, 16).cut(mask).any(1).all()


def test_a_place_is_hidden_if_a_pixel_under_it_is() -> None:
    mask = np.zeros((8, 12), bool)
    mask[3, 4] = mask[4, 11] = True
    np.testing.assert_array_equal(places(mask, 4), [[False, True, False], [False, False, True]])


@pytest.mark.parametrize("size", [(40, 40), (60, 500), (500, 60)])
@pytest.mark.parametrize("side_px", [64, 512])
def test_what_is_hidden_is_not_seen_in_any_size(size: tuple[int, int], side_px: int) -> None:
    image, mask = _picture(*size), _hole(*size)
    other = np.where(mask[..., None], 255 - image, image)
    frame = Frame(Frame.around(mask, side_px, 16).part, side_px, side_px)
    np.testing.assert_array_equal(frame.cut(image, mask), frame.cut(other, mask))
    assert (frame.cut(image) != frame.cut(other)).any()
    scratch = np.zeros(size, bool)
    scratch[:, size[1] // 3 :: 40] = scratch[size[0] // 3 :: 40] = True
    whole = Frame((slice(0, size[0]), slice(0, size[1])), side_px, side_px)
    seen = whole.cut(scratch)  # one side shrinks, the other grows: no line is lost
    assert seen.any(0).all() and seen.any(1).all()


# ---------------------------------------------------------------- RePaint


def test_stretches_are_walked_again() -> None:
    assert _moves(3, 1) == [(0, 1), (1, 2), (2, 3)]
    assert _moves(2, 3) == [(0, 0), (0, 0), (0, 1), (1, 1), (1, 1), (1, 2)]
    twice = [(0, 1), (1, 0), (0, 1), (1, 2)]  # 20 levels: a stretch is two
    assert _moves(20, 2)[:4] == twice and _moves(20, 2)[-1] == (19, 20)
    assert len(_moves(7, 5)) == 35


def test_a_perfect_model_paints_its_picture_in_the_hole_alone() -> None:
    """A net that always tells the noise over one latent z leads to z, whatever was drawn."""
    import torch

    torch.manual_seed(0)
    scheduler, vae, z = nets.scheduler(), nets.vae().eval(), torch.randn(1, 4, 16, 16)

    def unet(x: Any, t: int, encoder_hidden_states: Any) -> Any:
        kept = scheduler.alphas_cumprod[t]
        return SimpleNamespace(sample=(x - kept.sqrt() * z) / (1 - kept).sqrt())

    def words(prompt: str, device: Any, n: int, guided: bool, negative: None) -> Any:
        return torch.zeros(1, 77, 8), torch.zeros(1, 77, 8)

    pipeline = SimpleNamespace(
        scheduler=scheduler, vae=vae, unet=unet, encode_prompt=words, vae_scale_factor=4
    )
    seen, hole = _picture(64, 64), _hole(64, 64)
    settings = InpaintSettings(
        method="repaint", prompt="a ball", steps=6, jumps=2, strength=1.0, samples=3
    )
    walk = _Walk(pipeline, seen, hole, settings)
    guesses = list(walk.steps())
    assert len(guesses) == walk.total == 12 and sum(last for _, last in guesses) == 6
    hidden = torch.from_numpy(places(hole, 4))
    for guess, _ in guesses:
        torch.testing.assert_close(guess[..., hidden], z[..., hidden], atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(guess[..., ~hidden], walk.known[..., ~hidden])
    assert len(walk.x) == 3
    for x in walk.x:
        torch.testing.assert_close(x[:, hidden], z[0][:, hidden], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("size", [(64, 64), (50, 83), (300, 200), (40, 40), (60, 500)])
def test_repaint_keeps_what_is_known_and_never_sees_what_is_hidden(size: tuple[int, int]) -> None:
    image, mask = _picture(*size), _hole(*size)
    settings = InpaintSettings(
        method="repaint", prompt="a red ball", steps=3, jumps=2, strength=1.0
    )
    steps, alone = _run(repaint(image, mask, settings))
    assert [step.step for step in steps] == [2, 4, 6] and steps[0].total == 6
    assert alone.shape == image.shape and alone.dtype == np.uint8
    latent: Any = steps[-1].inside
    assert latent.ndim == 3 and latent.shape[0] == 4 and np.isfinite(latent).all()
    other = image.copy()
    other[mask] = 255 - other[mask]
    for strength in (1.0, 0.4):
        chosen = replace(settings, strength=strength)
        one, two = (_run(repaint(of, mask, chosen))[0][-1].image[mask] for of in (image, other))
        np.testing.assert_array_equal(one, two)
    again = _run(repaint(image, mask, settings))[0][-1].image
    np.testing.assert_array_equal(again, steps[-1].image)
    turned = _run(repaint(image, mask, replace(settings, seed=1)))[0][-1].image
    assert (turned != again).any()


def test_holes_that_leave_nothing_between_them_are_told() -> None:
    mask = np.zeros((400, 400), bool)
    mask[::3, ::3] = True
    with pytest.raises(InputError, match="leave nothing between them"):
        list(repaint(_picture(400, 400), mask))


# ---------------------------------------------------------------- big models


@pytest.mark.parametrize("key", BIG)
def test_a_big_model_fills(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painted, "SHOW_S", 0.0)
    image, mask = _picture(150, 170), _hole(150, 170)
    settings = InpaintSettings(method=key, prompt="a red ball", steps=3, guidance=2.0)
    steps, alone = _run(painted.paint(image, mask, settings))
    assert len(steps) == 4 and [step.step for step in steps] == [1, 2, 3, 3]
    last = steps[-1]
    assert last.image.shape == alone.shape == image.shape
    assert (last.image[mask] != image[mask]).any() and np.isfinite(last.inside).all()  # type: ignore
    assert all((step.image[mask] != image[mask]).any() for step in steps)
    part = Frame.around(mask, 64, painted.MANNERS[key].multiple).part
    outside = np.ones(mask.shape, bool)
    outside[part] = False
    np.testing.assert_array_equal(last.image[outside], image[outside])
    again, _ = _run(painted.paint(image, mask, settings))
    np.testing.assert_array_equal(again[-1].image, last.image)
    whole, _ = _run(painted.paint(image, mask, replace(settings, around=False)))
    assert (whole[-1].image[outside] != image[outside]).any()


@pytest.mark.parametrize("size", [(40, 40), (60, 500)])
@pytest.mark.parametrize("key", BIG)
def test_with_full_strength_a_big_model_never_sees_what_is_hidden(
    key: str, size: tuple[int, int]
) -> None:
    image, mask = _picture(*size), _hole(*size)
    other = np.where(mask[..., None], 255 - image, image)
    settings = InpaintSettings(method=key, steps=1, strength=1.0)
    one, two = (_run(painted.paint(of, mask, settings))[0][-1].image for of in (image, other))
    np.testing.assert_array_equal(one[mask], two[mask])


@pytest.mark.parametrize("key", BIG)
def test_a_person_is_told_what_is_not_read(key: str) -> None:
    told: list[str] = []
    long = "a red ball left of a blue cube " * 30
    settings = InpaintSettings(
        method=key, prompt=long, negative="a cube", steps=1, strength=0.4, guidance=2.0
    )
    steps, _ = _run(painted.paint(_picture(64, 64), _hole(64, 64), settings, note=told.append))
    assert steps[-1].step >= 1
    text = " ".join(told)
    assert ("has no strength" in text) == (key == "kandinsky22-inpaint")
    assert ("has no negative prompt" in text) == (key == "flux2-klein")
    assert ("paints without guidance" in text) == (key == "flux2-klein")
    assert ("is not read" in text and "tokens" in text) or key == "flux2-klein"


def test_a_long_negative_prompt_is_told_too() -> None:
    told: list[str] = []
    settings = InpaintSettings(method="sd15-inpaint", negative="a red ball " * 40, steps=1)
    _run(painted.paint(_picture(64, 64), _hole(64, 64), settings, note=told.append))
    assert [note for note in told if note.startswith("The negative prompt has")] == told


@pytest.mark.parametrize("key", ["repaint", "sd15-inpaint"])
def test_too_small_a_gpu_is_told(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def full(*args: Any, **named: Any) -> Any:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(painted, "repaint", full)
    monkeypatch.setattr(painted._Painter, "again", full)
    settings = InpaintSettings(method=key, steps=1)
    with pytest.raises(Unavailable, match=r"ran out of GPU memory.*patch method works"):
        _run(painted.paint(_picture(64, 64), _hole(64, 64), settings))


def test_what_half_precision_breaks_is_painted_again_in_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    models.pool().clear()
    monkeypatch.setattr(loading, "_dtype", lambda key: torch.bfloat16)
    net = load("sd15-inpaint", task="inpaint").unet

    def broken(module: Any, given: Any, output: Any) -> Any:
        bad = next(module.parameters()).dtype == torch.bfloat16
        return (output[0] * float("nan"), *output[1:]) if bad else output

    hook = net.register_forward_hook(broken)
    told: list[str] = []
    settings = InpaintSettings(method="sd15-inpaint", steps=2)
    steps, _ = _run(painted.paint(_picture(64, 64), _hole(64, 64), settings, note=told.append))
    assert any("float32" in sentence for sentence in told)
    assert steps[-1].image[_hole(64, 64)].std() > 0
    assert next(net.parameters()).dtype == torch.bfloat16
    hook.remove()
    net.register_forward_hook(lambda m, given, output: (output[0] * float("nan"), *output[1:]))
    with pytest.raises(InputError, match="another seed"):
        _run(painted.paint(_picture(64, 64), _hole(64, 64), settings))
    models.pool().clear()


def test_repaint_is_one_of_them_and_says_what_it_never_read() -> None:
    told: list[str] = []
    settings = InpaintSettings(method="repaint", prompt="a red dinosaur", steps=2, jumps=1)
    image, mask = _picture(64, 64), _hole(64, 64)
    steps, alone = _run(painted.paint(image, mask, settings, note=told.append))
    assert any("dinosaur" in sentence for sentence in told)
    same, _ = _run(repaint(image, mask, settings))
    np.testing.assert_array_equal(steps[-1].image, same[-1].image)
    assert alone.shape == image.shape


def test_the_latent_of_a_picture_is_scaled() -> None:
    import torch

    torch.manual_seed(0)
    vae = nets.vae().eval()
    plain = encoded(vae, _picture(32, 48))
    vae.register_to_config(scaling_factor=2 * vae.config.scaling_factor)
    assert plain.shape == (1, 4, 8, 12)
    torch.testing.assert_close(encoded(vae, _picture(32, 48)), 2 * plain)


# ---------------------------------------------------------------- LaMa


def _field(number: int, value: int | bytes | str) -> bytes:
    """One field of a protocol buffer: a number as a varint, or bytes with their length."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def _value(name: str, channels: int) -> bytes:
    shape = b"".join(_field(1, _field(1, n)) for n in (1, channels, 512, 512))
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, shape)))


def _onnx(weight: np.ndarray) -> bytes:
    """A net with LaMa's inputs and output: a 1×1 convolution, weight (3, 4), of picture and mask."""
    axis = _field(1, "axis") + _field(3, 1) + _field(20, 2)
    joined = (
        _field(1, "image") + _field(1, "mask") + _field(2, "both") + _field(4, "Concat")
        + _field(5, axis)
    )  # fmt: skip
    kernel = _field(1, "kernel_shape") + _field(8, 1) + _field(8, 1) + _field(20, 7)
    mixed = (
        _field(1, "both") + _field(1, "weight") + _field(2, "output") + _field(4, "Conv")
        + _field(5, kernel)
    )  # fmt: skip
    raw = struct.pack(f"<{weight.size}f", *weight.ravel())
    dims = b"".join(_field(1, n) for n in (3, 4, 1, 1))
    tensor = dims + _field(2, 1) + _field(8, "weight") + _field(9, raw)
    graph = (
        _field(1, joined) + _field(1, mixed) + _field(2, "tiny") + _field(5, tensor)
        + _field(11, _value("image", 3)) + _field(11, _value("mask", 1))
        + _field(12, _value("output", 3))
    )  # fmt: skip
    return _field(1, 8) + _field(8, _field(1, "") + _field(2, 13)) + _field(7, graph)


def _shelved(tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """LaMa's file in a hub cache."""
    folder = tmp_path / "lama"
    folder.mkdir()
    (folder / "lama_fp32.onnx").write_bytes(data)
    spec = lama.MODELS["lama"]
    found = hub_cache(tmp_path, spec.source, spec.revision, folder)
    monkeypatch.setenv("HF_HUB_CACHE", str(found))
    models.pool().clear()


def test_lama_is_given_picture_and_mask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weight = np.zeros((3, 4))
    weight[[0, 1, 2], [2, 1, 0]] = 255  # red and blue change places …
    weight[:, 3] = 40  # … and the mask adds 40
    _shelved(tmp_path, _onnx(weight), monkeypatch)
    image, mask = _picture(600, 700), _hole(600, 700)
    (step,) = lama.fill(image, mask)
    part = Frame.around(mask, 512, 512).part
    made, seen, hole = (of[part].astype(int) for of in (step.image, image, mask))
    hole = hole > 0
    np.testing.assert_allclose(made[~hole], seen[~hole][:, ::-1], atol=1)
    edge, _ = nearest(seen, hole)
    np.testing.assert_allclose(made[hole], edge[:, ::-1] + 40, atol=1)
    for size in ((31, 90), (40, 40), (60, 500)):
        small, hole = _picture(*size), _hole(*size)
        other = np.where(hole[..., None], 255 - small, small)
        one, two = (next(lama.fill(of, hole)).image for of in (small, other))
        assert one.shape == small.shape
        np.testing.assert_array_equal(one, two)


def test_lama_that_is_damaged_or_absent_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _shelved(tmp_path, b"\x08\x08 no graph", monkeypatch)
    with pytest.raises(Unavailable, match="can't be read as ONNX"):
        list(lama.fill(_picture(64, 64), _hole(64, 64)))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
    with pytest.raises(Unavailable, match=r"LaMa .* not on this computer.*patch method works"):
        list(lama.fill(_picture(64, 64), _hole(64, 64)))
    models.pool().clear()


def test_a_folder_of_yours_takes_the_place_of_the_model(
    saved: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image, mask = _picture(64, 64), _hole(64, 64)
    for key in ("sd15-inpaint", "flux2-klein"):
        chosen = InpaintSettings(method=key, steps=2)
        spec = replace(painted.MODELS[key], source="no/where")
        monkeypatch.setitem(painted.MODELS, key, spec)
        with pytest.raises(Unavailable):
            next(painted.paint(image, mask, chosen))
        mine = replace(chosen, folder=str(saved / key))
        steps, _ = _run(painted.paint(image, mask, mine))
        assert (steps[-1].image != image).any()
