"""Depth from one picture, with a tiny random network of the real one's class in a hub cache.

The weights know nothing, but everything else is real: found offline by repository id and pinned
commit, loaded from safetensors, run on odd pictures, brought back to full pixels.
"""

from __future__ import annotations

import pickle
import socket
from pathlib import Path

import numpy as np
import pytest

from core import models
from core.models import missing
from core.stereo import StereoSettings, disparity
from core.stereo.mono import MODELS, MonoResult, mono, working_size
from core.stereo.relative import align, scores
from core.types import InputError, Rig, Unavailable
from tests.hub import hub_cache

SPEC = MODELS["depth-anything"]
RIG = Rig(focal_px=300, baseline=0.2, cx=160, cy=120)


def _relief(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Some inverse depth in (0, 1): hills, and pixels of every value."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(0, 5, width), np.linspace(0, 3, height))
    return 0.5 + 0.2 * np.sin(x) * np.cos(y) + 0.2 * rng.random((height, width))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub cache with a tiny random Depth Anything under the real one's name."""
    import torch
    from transformers import (
        DepthAnythingConfig,
        DepthAnythingForDepthEstimation,
        DPTImageProcessorPil,
    )

    torch.manual_seed(0)
    backbone = {
        "model_type": "dinov2", "hidden_size": 16, "num_hidden_layers": 4, "patch_size": 14,
        "num_attention_heads": 2, "image_size": 56, "out_indices": [1, 2, 3, 4],
        "reshape_hidden_states": False,
    }  # fmt: skip
    model = DepthAnythingForDepthEstimation(
        DepthAnythingConfig(
            backbone_config=backbone, reassemble_hidden_size=16, neck_hidden_sizes=[4, 8, 8, 16],
            fusion_hidden_size=8, head_hidden_size=8,
        )
    )  # fmt: skip
    for weight in model.parameters():  # the usual start says nearly the same everywhere
        if weight.dim() > 1:
            torch.nn.init.kaiming_normal_(weight)
    torch.nn.init.constant_(model.head.conv3.weight, 0.5)
    processor = DPTImageProcessorPil(
        size={"height": 56, "width": 56}, ensure_multiple_of=14, keep_aspect_ratio=True,
        image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225],
    )  # fmt: skip
    root = tmp_path_factory.mktemp("mono")
    folder = root / "saved"
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return hub_cache(root, SPEC.source, SPEC.revision, folder)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"network access: {args}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("SIGHTLINE_OFFLINE", "1")
    monkeypatch.delenv("SIGHTLINE_MODELS", raising=False)
    models.pool().clear()
    yield
    models.pool().clear()


@pytest.fixture
def here(offline: None, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))


def _picture(height: int, width: int) -> np.ndarray:
    shade = _relief(height, width)[..., None] * np.array([250.0, 180, 90])
    return shade.astype(np.uint8)


@pytest.mark.parametrize("shape", [(97, 133), (31, 17), (3, 401), (1, 1), (120, 57)])
def test_the_network_sees_odd_pictures(here: None, shape: tuple[int, int]) -> None:
    told: list[float] = []

    def progress(fraction: float, /, desc: str = "") -> None:
        told.append(fraction)

    assert missing(SPEC) == ""
    image = _picture(*shape)
    made = mono(image, progress=progress)
    assert made.inverse_depth.shape == shape and made.inverse_depth.dtype == np.float32
    assert np.isfinite(made.inverse_depth).all() and (made.inverse_depth >= 0).all()
    assert made.seconds > 0 and made.recipe.model == SPEC.id
    assert told == sorted(told) and told[0] == 0 and told[-1] == 1
    again = mono(image)
    np.testing.assert_array_equal(again.inverse_depth, made.inverse_depth)
    assert isinstance(pickle.loads(pickle.dumps(made)), MonoResult)


def test_the_map_lies_on_the_picture(here: None) -> None:
    """The network sees a picture and its copy of twice the size alike; both maps lie in place."""
    image = _picture(56, 84)  # just what the network sees: nothing is resized
    small = mono(image).inverse_depth
    assert np.ptp(small) > 0.01, "the network says something"
    large = mono(image.repeat(2, 0).repeat(2, 1)).inverse_depth
    back = large.reshape(56, 2, 84, 2).mean((1, 3))

    def alike(down: int, right: int) -> float:
        moved = np.roll(back, (down, right), (0, 1))[2:-2, 2:-2]
        return float(np.corrcoef(moved.ravel(), small[2:-2, 2:-2].ravel())[0, 1])

    assert alike(0, 0) > 0.99
    for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        assert alike(down, right) < alike(0, 0)


def test_the_network_through_to_scores(here: None) -> None:
    image = _picture(75, 93)
    disparity = 5 + 30 * _relief(75, 93)
    found = align(mono(image).inverse_depth, disparity)
    assert np.isfinite(list(scores(found.disparity, disparity, RIG).values())).all()


def test_the_recipe_runs_again(here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    image = _picture(41, 63)
    made = mono(image)
    Image.fromarray(image).save(tmp_path / "image.png")
    monkeypatch.chdir(tmp_path)
    exec(compile(made.recipe.code(), "recipe", "exec"), {})
    np.testing.assert_array_equal(np.load("inverse_depth.npy"), made.inverse_depth)


def test_without_weights_it_says_what_works(
    offline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(Unavailable) as error:
        mono(_picture(20, 31))
    said = str(error.value)
    assert SPEC.source in said and "99 MB, licence Apache-2.0" in said and "offline" in said
    assert said.endswith("Stereo, and the rule that lower is nearer, work without it.")


def test_bad_input_comes_before_the_model(offline: None) -> None:
    with pytest.raises(InputError, match="midas"):
        mono(_picture(9, 9), key="midas")
    for image in (np.zeros((0, 5, 3), np.uint8), np.zeros((4, 5, 7)), None):
        with pytest.raises(InputError):
            mono(image)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("size", "seen"),
    [
        ((640, 480), (686, 518)),
        ((480, 640), (518, 686)),
        ((1920, 1080), (924, 518)),
        ((450, 375), (616, 518)),
        ((1, 1), (518, 518)),
        ((4000, 40), (1554, 14)),
    ],
)
def test_working_size(size: tuple[int, int], seen: tuple[int, int]) -> None:
    assert working_size(*size, 518, 14) == seen


def test_the_method_is_fitted_to_stereo(here: None) -> None:
    noise = np.random.default_rng(0).integers(0, 60, (61, 93, 3))
    left = np.clip(_picture(61, 93) + noise, 0, 255).astype(np.uint8)
    found = disparity(left, np.roll(left, -4, 1), StereoSettings("mono", max_disparity_px=16))
    assert found.recipe.model == SPEC.id and "one picture" in found.stages
    assert "Seen in the left picture alone" in found.notes[0]
