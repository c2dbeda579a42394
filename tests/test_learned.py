"""Learned matchers, with tiny random networks of the same classes in a hub cache.

The weights know nothing, but everything else is real: found offline by repository id and pinned
commit, loaded from safetensors, run on odd pictures, carried back to full pixels.
"""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest

from core import models
from core.matching import match
from core.matching.learned import MODELS, learned_match, nearest_patches, to_full, working_size
from core.matching.loftr import coarse_pairs, fine_offsets
from core.matching.types import MatchSettings
from core.types import Unavailable
from tests.hub import hub_cache

METHODS = list(MODELS)


def _picture(width: int, height: int, seed: int) -> np.ndarray:
    """Blobs of all sizes: a picture with something to see everywhere."""
    import cv2

    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3))
    for cells in (3, 9, 27):
        noise = rng.random((cells, cells, 3))
        picture += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    picture -= picture.min()
    return (picture / picture.max() * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub cache with the three models, tiny and random."""
    import torch
    from transformers import (
        BitImageProcessorPil,
        Dinov2Config,
        Dinov2Model,
        EfficientLoFTRConfig,
        EfficientLoFTRForKeypointMatching,
        EfficientLoFTRImageProcessorPil,
        LightGlueConfig,
        LightGlueForKeypointMatching,
        LightGlueImageProcessorPil,
        SuperPointConfig,
    )

    torch.manual_seed(0)
    tiny = {
        "efficientloftr": (
            EfficientLoFTRForKeypointMatching(
                EfficientLoFTRConfig(
                    stage_num_blocks=[1, 1, 1, 1], out_features=[16, 16, 16, 32], hidden_size=32,
                    num_attention_layers=1, coarse_matching_threshold=0.0,
                )
            ),
            EfficientLoFTRImageProcessorPil(size={"height": 96, "width": 128}),
        ),
        "lightglue-superpoint": (
            LightGlueForKeypointMatching(
                LightGlueConfig(
                    keypoint_detector_config=SuperPointConfig(
                        encoder_hidden_sizes=[8, 8, 16, 16], decoder_hidden_size=16,
                        descriptor_decoder_dim=16, keypoint_threshold=0.0,
                    ).to_dict(),
                    descriptor_dim=16, num_hidden_layers=2, num_attention_heads=2,
                    filter_threshold=0.0,
                )
            ),
            LightGlueImageProcessorPil(size={"height": 96, "width": 128}),
        ),
        "dinov2": (
            Dinov2Model(
                Dinov2Config(
                    hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=70
                )
            ),
            BitImageProcessorPil(),
        ),
    }  # fmt: skip
    # The usual start makes a deep net's features all alike. Random weights of even scale don't,
    # and in EfficientLoFTR a strong last norm without attention gives all cells the same length,
    # so that each is nearest to its like.
    for model, _ in tiny.values():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                torch.nn.init.kaiming_normal_(weight)
            elif name.endswith("norm.weight"):
                torch.nn.init.ones_(weight)
    for name, weight in tiny["efficientloftr"][0].named_parameters():
        if "o_proj" in name or "self_attention.mlp.layer_norm" in name:
            torch.nn.init.zeros_(weight)
        elif "cross_attention.mlp.layer_norm.weight" in name:
            torch.nn.init.constant_(weight, 50.0)
    root = tmp_path_factory.mktemp("hub")
    for key, (model, processor) in tiny.items():
        folder = root / "saved" / key
        model.eval().save_pretrained(folder)
        processor.save_pretrained(folder)
        assert not list(folder.glob("*.bin"))
        hub = hub_cache(root, MODELS[key].source, MODELS[key].revision, folder)
    return hub


@pytest.fixture(autouse=True)
def offline(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"network access: {args}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("SIGHTLINE_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.delenv("SIGHTLINE_MODELS", raising=False)


@pytest.fixture(scope="module", autouse=True)
def empty_pool(cache: Path):
    models.pool().clear()
    yield
    models.pool().clear()


# ---------------------------------------------------------------- through the networks


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sizes", [((133, 97), (91, 141)), ((64, 201), (333, 57))])
def test_odd_pictures_give_sound_candidates(method: str, sizes: tuple) -> None:
    image0, image1 = (_picture(*size, seed=i) for i, size in enumerate(sizes))
    told: list[float] = []

    def progress(fraction: float, /, desc: str = "") -> None:
        told.append(fraction)

    settings = MatchSettings(method=method)
    features0, features1, found, seconds, model = learned_match(image0, image1, settings, progress)

    assert len(found.pairs) > 0
    for features, (width, height) in zip((features0, features1), sizes, strict=True):
        assert features.xy.dtype == np.float32
        assert np.isfinite(features.xy).all()
        assert (features.xy >= 0).all() and (features.xy <= [width, height]).all()
        assert np.isfinite(features.response).all() and (features.size_px > 0).all()
        assert np.isnan(features.angle_deg).all()
    assert found.pairs.dtype == found.second.dtype == np.int32
    assert found.distance.dtype == found.second_distance.dtype == np.float32
    assert found.back_ratio.dtype == np.float32 and found.mutual.dtype == bool
    assert (found.pairs >= 0).all()
    assert (found.pairs.max(0) < [len(features0), len(features1)]).all()
    assert len(np.unique(found.pairs[:, 0])) == len(found.pairs)  # one partner each
    assert np.isfinite(found.distance).all()
    assert (found.distance >= 0).all() and (found.distance <= 2).all()
    if method != "dinov2":
        assert found.mutual.all() and (found.second == -1).all()
        assert np.isnan(found.second_distance).all() and np.isnan(found.back_ratio).all()
        assert (found.distance <= 1).all()
        assert len(np.unique(found.pairs[:, 1])) == len(found.pairs)
    assert set(seconds) == {"load", "match"} and min(seconds.values()) >= 0
    assert model == MODELS[method].id
    assert told == sorted(told) and told[-1] == 1.0


@pytest.mark.parametrize("method", METHODS)
def test_a_picture_matches_itself_where_it_is(method: str) -> None:
    image = _picture(133, 97, seed=3)
    features0, features1, found, _, _ = learned_match(image, image, MatchSettings(method=method))
    moved = features0.xy[found.pairs[:, 0]] - features1.xy[found.pairs[:, 1]]
    assert len(moved) > 0
    if method == "dinov2":  # equal features: every patch finds itself, and knows it
        assert (found.pairs[:, 0] == found.pairs[:, 1]).all()
        assert found.mutual.all()
        np.testing.assert_allclose(found.distance, 0, atol=1e-5)
    elif method == "efficientloftr":  # cells find themselves; the pixel in them is the net's
        assert len(moved) > 80  # of 8×12 cells inside the border
        assert np.abs(np.median(moved, 0)).max() < 0.5
        assert (np.abs(moved).max(1) < 9).all()
    else:
        np.testing.assert_array_equal(features0.xy, features1.xy)
        np.testing.assert_allclose(moved, 0, atol=1e-3)


def test_efficientloftr_follows_a_shift() -> None:
    """Two crops two cells apart: without attention, equal cells have equal features."""
    wide = _picture(160, 96, seed=4)
    image0, image1 = wide[:, 16:144], wide[:, :128]  # what lies at x in 0 lies at x + 16 in 1
    settings = MatchSettings(method="efficientloftr")
    features0, features1, found, _, _ = learned_match(image0, image1, settings)
    moved = features1.xy[found.pairs[:, 1]] - features0.xy[found.pairs[:, 0]]
    right = np.abs(moved - [16, 0]).max(1) < 2
    assert len(moved) >= 40 and right.mean() > 0.7
    np.testing.assert_allclose(np.median(moved, 0), [16, 0], atol=0.5)


def test_efficientloftr_coarse_matches_are_those_of_transformers(cache: Path) -> None:
    import torch
    from transformers import AutoImageProcessor, AutoModelForKeypointMatching

    folder = models.locate(MODELS["efficientloftr"])
    model = AutoModelForKeypointMatching.from_pretrained(folder, **models.SAFE).eval()
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    pictures = [_picture(128, 96, seed=5), _picture(128, 96, seed=6)]
    with torch.inference_mode():
        pixels = processor(pictures, return_tensors="pt")["pixel_values"]
        theirs = model(pixels)
        coarse = model.efficientloftr(pixels).feature_maps[0][0].flatten(2).transpose(1, 2)
        cells0, cells1, confidence = coarse_pairs(coarse[0], coarse[1], (12, 16), 0.1, 0.0, 2)
    partner, score = theirs.matches[0, 1], theirs.matching_scores[0, 1]  # by cell of picture 0
    matched = (partner >= 0).nonzero()[:, 0]
    assert len(matched) > 5
    assert cells0.tolist() == matched.tolist()
    assert cells1.tolist() == partner[matched].tolist()
    # Logits of 25,000 in float32 are good to 0.002, hence the shares to about that part of them.
    np.testing.assert_allclose(confidence, score[matched], rtol=0.02)


def test_most_confident_matches_are_kept_and_keypoints_limited() -> None:
    image = _picture(128, 96, seed=7)
    few = learned_match(image, image, MatchSettings(method="efficientloftr", max_keypoints=8))
    all_ = learned_match(image, image, MatchSettings(method="efficientloftr"))
    assert len(few[0]) == 8 < len(all_[0])
    np.testing.assert_array_equal(few[2].distance, np.sort(all_[2].distance)[:8])
    sparse = learned_match(
        image, image, MatchSettings(method="lightglue-superpoint", max_keypoints=16)
    )
    assert len(sparse[0]) == len(sparse[1]) == 16


@pytest.mark.parametrize("method", METHODS)
def test_flat_and_tiny_pictures_come_through(method: str) -> None:
    settings = MatchSettings(method=method, max_keypoints=64, max_side_px=64)
    dot, flat = np.full((1, 1, 3), 90, np.uint8), np.full((60, 80, 3), 128, np.uint8)
    for pair in ((flat, flat), (dot, _picture(50, 40, 0)), (dot, dot)):
        features0, features1, found, _, _ = learned_match(*pair, settings)
        assert np.isfinite(found.distance).all()
        for features, image in zip((features0, features1), pair, strict=True):
            assert (features.xy <= [image.shape[1], image.shape[0]]).all()


@pytest.mark.parametrize("method", METHODS)
def test_match_end_to_end(method: str) -> None:
    image0, image1 = _picture(133, 97, seed=0), _picture(91, 141, seed=1)
    result = match(image0, image1, MatchSettings(method=method))
    assert result.recipe.model == MODELS[method].id
    assert result.matches.shape == (int(result.kept.sum()), 2)
    assert np.isfinite(result.scores).all()
    assert (result.size0, result.size1) == ((133, 97), (91, 141))


def test_missing_model_says_that_sift_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    models.pool().clear()
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    image = _picture(64, 48, 0)
    with pytest.raises(Unavailable, match=r"offline.*64 MB, licence Apache-2.0.*SIFT works"):
        learned_match(image, image, MatchSettings(method="efficientloftr"))


# ---------------------------------------------------------------- answers worked out by hand


def test_to_full_by_hand() -> None:
    # A 10×4 picture seen at 5×2: the first network pixel covers x 0..2, its centre is x = 1.
    np.testing.assert_allclose(to_full([[0, 0], [4, 1]], (5, 2), (10, 4)), [[1, 1], [9, 3]])
    # At full size only the half pixel remains.
    np.testing.assert_allclose(to_full([[3, 2]], (7, 5), (7, 5)), [[3.5, 2.5]])
    assert to_full([], (7, 5), (7, 5)).shape == (0, 2)


def test_resizing_carries_a_dot_where_to_full_says() -> None:
    """A bright column in a wide picture, resized by the processor, comes back to its place."""
    from transformers import EfficientLoFTRImageProcessorPil

    from core.matching.learned import _pixels

    full, work = (130, 50), (64, 32)
    image = np.zeros((full[1], full[0], 3), np.uint8)
    image[20:30, 81:91] = 255  # its middle is (86, 25)
    pixels = _pixels(EfficientLoFTRImageProcessorPil(), [image, image], work)[0, 0, 0].cpu().numpy()
    assert pixels.shape == (32, 64)
    y, x = np.indices(pixels.shape)
    centre = [(pixels * x).sum() / pixels.sum(), (pixels * y).sum() / pixels.sum()]
    np.testing.assert_allclose(to_full([centre], work, full), [[86, 25]], atol=0.05)


@pytest.mark.parametrize(
    ("size0", "size1", "wanted"),
    [
        ((640, 480), (1280, 960), (640, 480)),  # the trained size for the trained shape
        ((480, 640), (480, 640), (480, 640)),  # a portrait stays one
        ((640, 480), (480, 640), (544, 544)),  # one of each: square
        ((9000, 10), (9000, 10), (1120, 288)),  # a strip: at most 4 to 1
    ],
)
def test_working_size(size0: tuple, size1: tuple, wanted: tuple) -> None:
    assert working_size(size0, size1, 640 * 480, 32, 1600) == wanted


def test_working_size_respects_the_limit() -> None:
    assert max(working_size((640, 480), (640, 480), 640 * 480, 32, 320)) == 320
    assert working_size((3, 4), (4, 3), 640 * 480, 32, 1) == (32, 32)


def test_fine_offsets_by_hand() -> None:
    import torch

    pixel0 = 10  # row 1 column 2 of 8×8; its partner is in row 2 column 4
    windows0, windows1 = torch.zeros(1, 64, 12), torch.zeros(1, 100, 12)
    windows0[0, pixel0, 0] = 20.0
    windows1[0, (2 + 1) * 10 + 4 + 1, 0] = 20.0  # the same pixel inside the border of one
    offset0, offset1 = fine_offsets(windows0, windows1, 2, 10.0)
    np.testing.assert_allclose(offset0, [[2 - 3.5, 1 - 3.5]])
    np.testing.assert_allclose(offset1, [[4 - 3.5, 2 - 3.5]], atol=1e-6)  # even heat: no nudge

    windows0[0, pixel0, -2:] = 1000.0
    windows1[0, 2 * 10 + 4 + 1, -2:] = 1000.0  # hottest one to the right
    _, offset1 = fine_offsets(windows0, windows1, 2, 10.0)
    np.testing.assert_allclose(offset1, [[4 - 3.5 + 1, 2 - 3.5]], atol=1e-5)


def test_coarse_pairs_by_hand() -> None:
    import torch

    # Four cells in a row; cell i of picture 0 looks like cell order[i] of picture 1.
    order = [2, 0, 3, 1]
    features0 = 10 * torch.eye(4)
    features1 = torch.zeros(4, 4)
    features1[order] = features0
    cells0, cells1, confidence = coarse_pairs(features0, features1, (1, 4), 0.1, 0.2, 0)
    assert cells0.tolist() == [0, 1, 2, 3] and cells1.tolist() == order
    np.testing.assert_allclose(confidence, 1, atol=1e-6)
    # All alike: no cell gets more than a quarter of either side, 1/16 together.
    same = torch.ones(4, 4)
    assert len(coarse_pairs(same, same, (1, 4), 0.1, 0.2, 0)[0]) == 0
    assert coarse_pairs(same, same, (1, 4), 0.1, 0.0, 0)[2].tolist() == [1 / 16]


def test_nearest_patches_by_hand() -> None:
    # Picture 0 has two patches, picture 1 a row of four.
    grid0 = np.array([[0, 0], [1, 0]])
    grid1 = np.array([[0, 0], [1, 0], [2, 0], [3, 0]])
    cosine = np.array([[0.9, 0.8, 0.5, 0.1], [0.95, 0.2, 0.3, 0.4]], np.float32)
    found = nearest_patches(cosine, grid0, grid1)
    assert found.pairs.tolist() == [[0, 0], [1, 0]]
    assert found.mutual.tolist() == [False, True]  # patch 0 of picture 1 prefers patch 1
    np.testing.assert_allclose(found.distance, [0.1, 0.05], atol=1e-6)
    # The runner-up doesn't touch the best: of columns 2 and 3, and not column 1.
    assert found.second.tolist() == [2, 3]
    np.testing.assert_allclose(found.second_distance, [0.5, 0.6], atol=1e-6)
    assert np.isnan(found.back_ratio).all()  # picture 0's two patches touch: no runner-up
    alone = nearest_patches(np.array([[0.7]], np.float32), grid0[:1], grid0[:1])
    assert alone.second.tolist() == [-1] and np.isnan(alone.second_distance).all()


@pytest.mark.weights
@pytest.mark.parametrize("method", METHODS)
def test_pretrained_weights_find_a_known_homography(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With real weights: half of the matches lie within a patch of the truth (3 px; DINOv2 14)."""
    import cv2

    monkeypatch.undo()
    why = models.missing(MODELS[method])
    if why:
        pytest.skip(why)
    models.pool().clear()
    photos = Path(__file__).parents[1] / "../shared/data/photos"
    found = sorted(photos.glob("*.jpg")) if photos.is_dir() else []
    if not found:
        pytest.skip("no photo in ../shared/data/photos")
    from core.images import fit, load

    image0 = fit(load(found[0]), 640)[0]
    turn = cv2.getRotationMatrix2D((image0.shape[1] / 2, image0.shape[0] / 2), 10, 0.9)
    image1 = cv2.warpAffine(image0, turn, (image0.shape[1], image0.shape[0]))
    features0, features1, pairs, _, _ = learned_match(image0, image1, MatchSettings(method=method))
    pairs = pairs.pairs[pairs.mutual]
    wanted = (features0.xy[pairs[:, 0]] - 0.5) @ turn[:, :2].T + turn[:, 2] + 0.5
    error = np.linalg.norm(features1.xy[pairs[:, 1]] - wanted, axis=1)
    assert len(error) > 50 and np.median(error) < (14 if method == "dinov2" else 3)
