"""Masks, against shapes whose pixels can be counted by hand."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from core import models
from core.inpainting import hub_masks
from core.inpainting.masks import (
    PRESETS,
    by_colour,
    extended,
    from_layers,
    grab_cut,
    grown,
    inverted,
    lasso,
    preset,
    read_mask,
    rectangle,
    strokes,
)
from core.inpainting.windows import box, pieces, window
from core.types import InputError, Unavailable
from tests.hub import hub_cache

SIZE = (31, 20)  # width, height


def ring() -> np.ndarray:
    """(20, 31) bool: a frame that a lopsided picture can't be mistaken with when turned."""
    mask = np.zeros(SIZE[::-1], bool)
    mask[3:15, 4:25] = True
    mask[6:12, 8:20] = False
    return mask


def grey(mask: np.ndarray) -> np.ndarray:
    return np.where(mask, 255, 0).astype(np.uint8)


# ---------------------------------------------------------------- by chance


@pytest.mark.parametrize("kind", PRESETS)
@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (3, 3), (8, 8), (13, 101), (97, 60), (200, 301)])
def test_presets_hide_something_and_leave_something(kind: str, shape: tuple[int, int]) -> None:
    mask = preset(kind, (*shape, 3), 5)
    assert mask.shape == shape and mask.dtype == bool
    assert mask.any() and not mask.all()
    assert (preset(kind, shape, 5) == mask).all()


@pytest.mark.parametrize("kind", PRESETS)
def test_another_seed_is_another_mask(kind: str) -> None:
    assert (preset(kind, (120, 90), 0) != preset(kind, (120, 90), 1)).any()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shape", [(256, 256), (150, 310)])
def test_strokes_hide_8_to_17_percent(shape: tuple[int, int], seed: int) -> None:
    assert 0.08 <= strokes(*shape, seed).mean() <= 0.17


def test_presets_that_cannot_be() -> None:
    with pytest.raises(InputError, match=r"no mask 'cloud'.*strokes, box"):
        preset("cloud", (9, 9))
    with pytest.raises(InputError, match="one pixel"):
        preset("box", (1, 1))


# ---------------------------------------------------------------- by hand


@pytest.mark.parametrize("px", [1, 2.5, 4, 7])
def test_growing_reaches_so_far_and_no_further(px: float) -> None:
    mask = np.zeros((23, 30), bool)
    mask[11, 14] = True
    y, x = np.mgrid[:23, :30]
    disc = np.hypot(y - 11, x - 14) <= px
    assert (grown(mask, px) == disc).all()
    back = grown(grown(mask, px), -px)
    assert back[11, 14] and back.sum() < disc.sum()
    assert (grown(~mask, -px) == ~disc).all()


def test_growing_by_nothing_and_shrinking_to_nothing() -> None:
    assert (grown(ring(), 0) == ring()).all()
    assert not grown(ring(), -40).any()
    edge = np.zeros((9, 9), bool)
    edge[:, :4] = True  # up to the picture's own edge: only the other side gives way
    assert (grown(edge, -1) == (np.arange(9) < 3)).all()
    assert (inverted(inverted(ring())) == ring()).all() and (inverted(ring()) != ring()).all()


def test_a_rectangle_and_a_lasso_hold_the_centres_inside() -> None:
    made = rectangle((10, 12, 3), 8.4, 7, 2.5, 3)  # corners in any order
    want = np.zeros((10, 12), bool)
    want[3:7, 3:8] = True  # centres 2.5 and 8.5 are out, 3.5 and 7.5 in
    assert (made == want).all()
    corners = [(2.6, 3), (8.4, 3), (8.4, 7), (2.6, 7)]
    assert (lasso((10, 12, 3), corners) == want).all()
    triangle = lasso((100, 100), [(0, 0), (100, 0), (0, 100)])
    assert abs(triangle.mean() - 0.5) < 0.01 and triangle[5, 5] and not triangle[95, 95]
    beyond = lasso((10, 10), [(-50, -50), (60, -50), (60, 60), (-50, 60)])
    assert beyond.all()
    with pytest.raises(InputError, match="three points"):
        lasso((10, 10), [(1, 1), (5, 5)])


def test_layers_of_the_editor() -> None:
    layer = np.zeros((20, 31, 4), np.uint8)
    layer[ring()] = (255, 45, 85, 140)
    other = np.zeros((20, 31, 4), np.uint8)
    other[19, 30, 3] = 1
    want = ring()
    want[19, 30] = True
    assert (from_layers([layer, other], SIZE) == want).all()
    assert not from_layers([], SIZE).any() and not from_layers(None, SIZE).any()
    with pytest.raises(InputError, match="31 × 20 px and the picture 20 × 31 px"):
        from_layers([layer], (SIZE[1], SIZE[0]))
    with pytest.raises(InputError, match="RGBA"):
        from_layers([layer[..., :3]], SIZE)


@pytest.mark.parametrize(
    "kind",
    ["bool", "uint8", "one channel", "rgb", "uint16", "float", "float 255", "black ink",
     "white ink", "opaque rgba"],
)  # fmt: skip
def test_arrays_of_every_kind_are_read(kind: str) -> None:
    mask = ring()
    ink = np.zeros((20, 31, 4), np.uint8)
    ink[mask, 3] = 200
    array: np.ndarray = {
        "bool": mask, "uint8": grey(mask), "one channel": grey(mask)[..., None],
        "rgb": np.dstack([grey(mask)] * 3), "uint16": grey(mask).astype(np.uint16) * 257,
        "float": mask.astype(float), "float 255": 255.0 * mask, "black ink": ink,
        "white ink": np.where(mask[..., None], np.uint8([255, 255, 255, 180]), ink),  # type: ignore
        "opaque rgba": np.dstack([grey(mask)] * 3 + [np.full((20, 31), 255, np.uint8)]),
    }[kind]  # fmt: skip
    assert (read_mask(array, SIZE) == mask).all()


def test_what_is_transparent_is_kept() -> None:
    painted = np.dstack([grey(ring())] * 3 + [np.full((20, 31), 255, np.uint8)])
    painted[:, :10, 3] = 0
    want = ring()
    want[:, :10] = False
    assert (read_mask(painted, SIZE) == want).all()


@pytest.mark.parametrize("kind", ["1", "L", "RGB", "P", "I;16", "LA", "jpeg", "turned"])
def test_files_of_every_kind_are_read(tmp_path: Path, kind: str) -> None:
    mask, path = ring(), tmp_path / "mask.png"
    picture = Image.fromarray(grey(mask))
    if kind == "I;16":
        picture = Image.fromarray(grey(mask).astype(np.uint16) * 257)
        picture.save(path)
    elif kind == "jpeg":
        path = tmp_path / "mask.jpg"
        picture.save(path, quality=95)
    elif kind == "turned":  # lies on its side, and says so
        exif = Image.Exif()
        exif[0x0112] = 6
        picture.rotate(90, expand=True).save(path, exif=exif)
    else:
        picture.convert(kind).save(path)
    assert (read_mask(path, SIZE) == mask).all()


def test_masks_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    Image.fromarray(grey(ring())).save(path)
    with pytest.raises(InputError, match="31 × 20 px and the picture 62 × 40 px"):
        read_mask(path, (62, 40))
    with pytest.raises(InputError, match="31 × 20 px and the picture 20 × 31 px"):
        read_mask(path, (20, 31))
    with pytest.raises(InputError, match="no file gone"):
        read_mask(tmp_path / "gone.png", SIZE)
    (tmp_path / "cut.png").write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError, match=r"cut\.png can't be read"):
        read_mask(tmp_path / "cut.png", SIZE)
    for bad in (np.full((20, 31), np.nan), np.full((20, 31), -1)):
        with pytest.raises(InputError, match="no brightness"):
            read_mask(bad, SIZE)
    with pytest.raises(InputError, match="shape"):
        read_mask(np.zeros((20, 31, 2), np.uint8), SIZE)


def test_more_canvas_on_every_side() -> None:
    image = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)
    larger, mask = extended(image, left=2, top=3, right=0, bottom=4)
    assert larger.shape == (14, 7, 3) and mask.shape == (14, 7)
    assert mask.sum() == 14 * 7 - 7 * 5 and not mask[3:10, 2:].any()
    assert (larger[3:10, 2:] == image).all()
    assert (larger[0, 0] == image[0, 0]).all() and (larger[13, 6] == image[6, 4]).all()
    for bad in ({}, {"left": -1, "right": 3}):
        with pytest.raises(InputError, match="Nothing to extend"):
            extended(image, **bad)
    with pytest.raises(InputError, match="megapixels"):
        extended(image, right=10**6, bottom=10**6)


# ---------------------------------------------------------------- found


def test_a_colour_and_how_far_from_it() -> None:
    image = np.full((6, 8, 3), (30, 90, 200), np.uint8)
    image[:, 4:] = (32, 92, 202)
    image[0] = (200, 90, 30)
    assert by_colour(image, (30, 90, 200), 0.5).sum() == 5 * 4
    assert by_colour(image, (30, 90, 200), 5).sum() == 5 * 8
    far = by_colour(np.zeros((1, 1, 3), np.uint8), (255, 255, 255), 99.9)
    assert not far.any() and by_colour(np.zeros((1, 1, 3), np.uint8), (255,) * 3, 100.1).all()


def _ball(height: int = 90, width: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """A red disc on green ground, both with grain, and where it is."""
    y, x = np.mgrid[:height, :width]
    disc = np.hypot(y - 0.5 * height, x - 0.6 * width) < 0.25 * height
    rough = np.random.default_rng(0).normal(0, 12, (height, width, 3))
    image = np.where(disc[..., None], (190, 40, 40), (60, 140, 70)) + rough
    return np.clip(image, 0, 255).astype(np.uint8), disc


def test_grab_cut_finds_what_stands_out() -> None:
    image, disc = _ball()
    found = grab_cut(image, (40, 15, 105, 75), seed=3)
    assert (found & disc).sum() / (found | disc).sum() > 0.95
    assert (grab_cut(image, (40, 15, 105, 75), seed=3) == found).all()
    for bad in ((0, 0, 120, 90), (200, 200, 300, 300), (5, 5, 5, 40)):
        with pytest.raises(InputError, match="box must lie"):
            grab_cut(image, bad)


def test_grab_cut_of_a_large_picture_lies_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    from core.inpainting import masks

    monkeypatch.setattr(masks, "CUT_PX", 60)
    image, disc = _ball()
    found = grab_cut(image, (40, 15, 105, 75))
    assert found.shape == disc.shape and (found & disc).sum() / (found | disc).sum() > 0.9


# ---------------------------------------------------------------- windows


@pytest.mark.parametrize("seed", range(8))
def test_pieces_are_the_mask_and_keep_out_of_each_others_windows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((1500, 1900), bool)
    for _ in range(seed + 1):
        y, x, h, w = rng.integers((0, 0, 1, 1), (1400, 1800, 90, 90))
        mask[y : y + h, x : x + w] = True
    parts = pieces(mask)
    assert (np.sum(parts, 0) == mask).all(), "each pixel in one part"
    for part in parts:
        assert (part[window(box(part), mask.shape)] == mask[window(box(part), mask.shape)]).all()
    if seed == 7:
        assert len(parts) > 1


def test_a_window_is_the_same_in_its_own_crop() -> None:
    mask = np.zeros((900, 1400), bool)
    mask[700:740, 1000:1100] = True
    part = window(box(mask), mask.shape)
    assert part[0].start % 128 == part[1].start % 128 == 0
    crop = mask[part]
    assert window(box(crop), crop.shape) == (slice(0, crop.shape[0]), slice(0, crop.shape[1]))


# ---------------------------------------------------------------- by a network


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"network access: {args}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("SIGHTLINE_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("SIGHTLINE_MODELS", raising=False)
    models.pool().clear()
    yield tmp_path
    models.pool().clear()


def _place(root: Path, key: str, *saved) -> None:
    spec = hub_masks.MODELS[key]
    for one in saved:
        one.save_pretrained(root / key)
    hub_cache(root, spec.source, spec.revision, root / key)


def test_a_click_by_a_tiny_sam(hub: Path) -> None:
    import torch
    from transformers import SamConfig, SamModel
    from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

    torch.manual_seed(0)
    about: dict = {
        "vision_config": {
            "hidden_size": 16, "output_channels": 8, "num_hidden_layers": 2, "image_size": 64,
            "num_attention_heads": 2, "patch_size": 16, "window_size": 2, "num_pos_feats": 4,
            "global_attn_indexes": [1], "mlp_dim": 16,
        },
        "prompt_encoder_config": {
            "hidden_size": 8, "image_size": 64, "patch_size": 16, "mask_input_channels": 4,
        },
        "mask_decoder_config": {
            "hidden_size": 8, "mlp_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "iou_head_hidden_dim": 8,
        },
    }  # fmt: skip
    sees = SamImageProcessorPil(
        size={"longest_edge": 64}, pad_size={"height": 64, "width": 64},
        mask_size={"longest_edge": 16}, mask_pad_size={"height": 16, "width": 16},
    )  # fmt: skip
    _place(hub, "sam", SamModel(SamConfig(**about)).eval(), sees)
    image = np.random.default_rng(0).integers(0, 256, (37, 90, 3), np.uint8)
    found = []
    for x, y in ((12.5, 30.5), (80.5, 3.5)):
        try:
            found.append(hub_masks.click(image, x, y))
        except InputError as error:  # random weights may see nothing
            assert "nothing to cut out" in str(error)
    assert found, "at one point at least"
    assert all(mask.shape == (37, 90) and mask.dtype == bool and mask.any() for mask in found)
    assert hub_masks.MODELS["sam"].key in models.pool().keys
    with pytest.raises(InputError, match="outside the picture"):
        hub_masks.click(image, 91, 3)


@pytest.mark.parametrize("size", [(37, 90), (90, 37)])
def test_a_click_lands_where_it_was_made(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A net that marks the point it is told, and next to it nothing: in its own 64 px, where the
    picture lies in a corner, and a mask has 16."""
    import torch
    from transformers import SamProcessor
    from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

    def net(pixel_values: Any, input_points: Any) -> Any:
        assert pixel_values.shape == (1, 3, 64, 64)
        x, y = input_points[0, 0, 0].tolist()
        down, across = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
        near = ((4 * across + 2 - x) ** 2 + (4 * down + 2 - y) ** 2).double().sqrt() < 6
        other = torch.zeros_like(near)
        masks = torch.stack([other, near, other]).float() * 20 - 10
        return SimpleNamespace(
            pred_masks=masks[None, None], iou_scores=torch.tensor([[[0.1, 0.9, 0.3]]])
        )

    sees = SamImageProcessorPil(
        size={"longest_edge": 64}, pad_size={"height": 64, "width": 64},
        mask_size={"longest_edge": 16}, mask_pad_size={"height": 16, "width": 16},
    )  # fmt: skip
    shelf = SimpleNamespace(get=lambda *a, **k: (SamProcessor(sees), net))
    monkeypatch.setattr(hub_masks, "pool", lambda: shelf)
    height, width = size
    image = np.zeros((*size, 3), np.uint8)
    for x, y in ((0.2 * width, 0.8 * height), (0.9 * width, 0.15 * height)):
        mask = hub_masks.click(image, x, y)
        assert mask.shape == size and mask[int(y), int(x)]
        ys, xs = np.nonzero(mask)
        assert abs(xs.mean() - x) < 8 and abs(ys.mean() - y) < 8
        assert np.hypot(xs + 0.5 - x, ys + 0.5 - y).max() < 16


@pytest.mark.parametrize("size", [(50, 71), (71, 50)])
def test_words_mark_the_part_that_the_net_marks(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A net that finds whatever is bright, in 32 px a side."""
    import torch
    from transformers import BatchEncoding
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    def net(pixel_values: Any, input_ids: Any) -> Any:
        assert input_ids.tolist() == [[1, 2]]
        return SimpleNamespace(logits=10 * pixel_values[0].mean(0))

    def read(words: list[str], **options: Any) -> Any:
        assert words == ["a red ball"]
        return BatchEncoding({"input_ids": torch.tensor([[1, 2]])})

    sees = ViTImageProcessorPil(size={"height": 32, "width": 32})
    shelf = SimpleNamespace(get=lambda *a, **k: (sees, read, net))
    monkeypatch.setattr(hub_masks, "pool", lambda: shelf)
    image = np.zeros((*size, 3), np.uint8)
    bright = np.zeros(size, bool)
    bright[: size[0] // 2, size[1] // 2 :] = True  # above, to the right
    image[bright] = 255
    mask = hub_masks.by_words(image, "a red ball")
    assert mask.shape == size and (mask == bright).mean() > 0.94


def test_words_by_a_tiny_clipseg(hub: Path) -> None:
    import torch
    from transformers import CLIPSegConfig, CLIPSegForImageSegmentation
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    from core.diffusion import nets

    torch.manual_seed(0)
    reads = nets.tokenizer(["a red ball", "a blue dog"], hub / "words")
    text = {
        "vocab_size": len(reads), "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": 2, "max_position_embeddings": 77,
        "bos_token_id": reads.bos_token_id, "eos_token_id": reads.eos_token_id,
        "pad_token_id": reads.pad_token_id,
    }  # fmt: skip
    vision = {
        "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": 32, "patch_size": 8,
    }  # fmt: skip
    about: dict = {
        "text_config": text, "vision_config": vision, "projection_dim": 8, "reduce_dim": 8,
        "extract_layers": [0, 1], "decoder_num_attention_heads": 2,
        "decoder_intermediate_size": 8, "conditional_layer": 0,
        "use_complex_transposed_convolution": True,
    }  # fmt: skip
    model = CLIPSegForImageSegmentation(CLIPSegConfig(**about)).eval()
    for weight in model.decoder.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    sees = ViTImageProcessorPil(size={"height": 32, "width": 32})
    _place(hub, "clipseg", model, sees, reads)
    image = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 256, (50, 71, 3), np.uint8), (0, 0), 3
    )
    mask = hub_masks.by_words(image, "a red ball", threshold=0.0)
    assert mask.shape == (50, 71) and mask.all(), "everything is surer than 0"
    with pytest.raises(InputError, match="finds no “a red ball”"):
        hub_masks.by_words(image, " a red ball ", threshold=1.0)
    with pytest.raises(InputError, match="no words"):
        hub_masks.by_words(image, "  ")
    long = " ".join(["a red ball"] * 60)  # more than 77 tokens
    assert hub_masks.by_words(image, long, threshold=0.0).all()


def test_without_weights_what_still_works_is_said(hub: Path) -> None:
    image = np.zeros((9, 9, 3), np.uint8)
    for call in (lambda: hub_masks.click(image, 3, 3), lambda: hub_masks.by_words(image, "a dog")):
        with pytest.raises(Unavailable, match=r"offline.*GrabCut work without it\."):
            call()


def test_16_bits_are_told_by_their_kind_and_not_by_their_order() -> None:
    dark = np.full(SIZE[::-1], 200)  # of 65,535
    for order in ("<u2", ">u2"):
        assert not read_mask(dark.astype(order), SIZE).any()
        assert read_mask((dark * 200).astype(order), SIZE).all()
    assert read_mask(dark.astype(np.uint8), SIZE).all()
