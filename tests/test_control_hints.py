"""Control maps and agreement, on pictures drawn here, where every edge and depth is known."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from core import models
from core.control import hub_maps
from core.control.agreement import (
    Reading,
    agreement,
    edge_f1,
    mean_iou,
    rank_correlation,
    regions,
)
from core.control.fitting import LINES, THIN, check, fitted
from core.control.hints import OFFLINE, all_hints, hint, is_drawing, scene_hints
from core.control.lines import segments, strength
from core.control.relief import FOV_DEG, depth_map, normal_map
from core.control.types import KINDS, Hint, HintSettings
from core.types import InputError, Unavailable
from tests.hub import hub_cache


def of(kind: str, **more) -> HintSettings:
    return HintSettings(kind=kind, **more)


def square(side: int = 128, low: int = 40, high: int = 210) -> np.ndarray:
    """A light square on dark, its sides at a quarter and three quarters."""
    image = np.full((side, side, 3), low, np.uint8)
    image[side // 4 : 3 * side // 4, side // 4 : 3 * side // 4] = high
    return image


def outline(side: int = 128) -> np.ndarray:
    """(side, side) bool: the pixels inside the square of `square` along its border."""
    inside = np.zeros((side, side), bool)
    inside[side // 4 : 3 * side // 4, side // 4 : 3 * side // 4] = True
    return inside & ~cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)


def sketch(side: int = 512, dark: bool = True) -> np.ndarray:
    """A face drawn with a 5 px pen, black on white or the other way around."""
    image = np.zeros((side, side, 3), np.uint8)
    cv2.circle(image, (256, 256), 180, (255,) * 3, 5, cv2.LINE_AA)
    cv2.circle(image, (200, 200), 20, (255,) * 3, 5, cv2.LINE_AA)
    cv2.ellipse(image, (256, 300), (90, 60), 0, 20, 160, (255,) * 3, 5, cv2.LINE_AA)
    return 255 - image if dark else image


def noisy(side: int = 96, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def grey(array: np.ndarray) -> np.ndarray:
    return np.dstack([array] * 3)


# ---------------------------------------------------------------- maps of pictures


@pytest.mark.parametrize("low, high, blur", [(80, 160, 1.0), (30, 90, 2.5), (100, 200, 0.0)])
def test_edges_are_opencvs_canny_of_the_blurred_grey_picture(low, high, blur):
    image = cv2.GaussianBlur(noisy(), (0, 0), 2)
    plain = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if blur:
        plain = cv2.GaussianBlur(plain, (0, 0), blur)
    made = hint(image, of("edges", low=low, high=high, blur_px=blur))
    assert (made.map == grey(cv2.Canny(plain, low, high))).all() and not made.exact
    swapped = hint(image, of("edges", low=high, high=low, blur_px=blur))
    assert (swapped.map == made.map).all() and "larger threshold" in swapped.note


@pytest.mark.parametrize("kind", ["edges", "soft", "scribble", "lineart", "lines"])
def test_every_line_kind_finds_a_square_white_on_black(kind):
    image = square(512)
    drawn = hint(image, of(kind)).map
    assert edge_f1(drawn[..., 0] > 100, outline(512), 6) > 0.95, "the square, and nothing else"
    assert drawn[256, 256].max() == 0 and drawn[5, 5].max() == 0


def test_a_step_has_the_same_strength_at_every_scale():
    image = np.zeros((64, 512, 3), np.uint8)
    image[:, 256:] = 102  # a step of 0.4
    for scale, rel in ((2.0, 0.07), (4.0, 0.02), (8.0, 0.01)):  # the step lies between two pixels
        top = strength(image, (scale,)).max()
        assert top == pytest.approx(0.4 / math.sqrt(2 * math.pi), rel=rel)


def test_soft_edges_leave_grain_behind_that_canny_finds():
    image = square(512).astype(np.int16)
    image[:, :256] += np.random.default_rng(0).integers(-30, 31, (512, 256, 1), np.int16)
    image = np.clip(image, 0, 255).astype(np.uint8)
    grain = np.s_[200:300, 150:240]  # inside the square, far from its sides
    assert (hint(image, of("edges", blur_px=0)).map[grain] > 0).mean() > 0.1
    assert hint(image, of("soft")).map[grain].mean() < 40
    assert hint(image, of("scribble")).map[grain].max() == 0


def test_straight_lines_come_with_their_ends():
    image = np.full((256, 256, 3), 255, np.uint8)
    cv2.line(image, (40, 60), (200, 180), (0, 0, 0), 9)
    found = segments(image)
    assert len(found) >= 2, "both sides of the bar"
    for x0, y0, x1, y1 in found[:2]:
        ends = sorted([(x0, y0), (x1, y1)])
        assert math.dist(ends[0], (40, 60)) < 9 and math.dist(ends[1], (200, 180)) < 9


def test_colour_cells_are_means_and_tiles_are_smooth():
    image = noisy(96)
    cells = hint(image, of("colours", cells=4)).map
    for row in range(4):
        for column in range(4):
            block = np.s_[24 * row : 24 * row + 24, 24 * column : 24 * column + 24]
            assert (cells[block] == cells[block][0, 0]).all()
            assert np.abs(cells[block][0, 0] - image[block].mean((0, 1))).max() <= 0.5
    tile = hint(image, of("tile", cells=4)).map.astype(int)
    assert np.abs(np.diff(tile, axis=0)).max() < np.abs(np.diff(cells.astype(int), axis=0)).max()
    assert np.abs(tile.mean((0, 1)) - image.mean((0, 1))).max() < 4


def test_drawings_are_taken_as_they_are_and_turned_around_when_dark_on_light():
    light = sketch(dark=False)
    assert is_drawing(light) and is_drawing(sketch()) and not is_drawing(square())
    assert not is_drawing(noisy())
    for kind in ("map", "scribble", "lineart"):
        made = hint(sketch(), of(kind))
        assert (made.map == light).all() and "dark on light" in made.note
        kept = hint(light, of(kind))
        assert (kept.map == light).all() and "turned" not in kept.note
    for image in (light, noisy()):
        assert (hint(image, of("map", invert=True)).map == 255 - image).all()
    assert (hint(noisy(), of("map")).map == noisy()).all()
    assert "both sides" in hint(sketch(), of("edges")).note


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (2, 3), (5, 5), (3, 400), (33, 65)])
def test_every_offline_kind_of_awkward_sizes(shape):
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    depth = np.full(shape, 2.0, np.float32)
    made = all_hints(image, depth=depth)
    assert set(made) == {*OFFLINE, "depth", "normals"}
    for kind, one in made.items():
        assert one.map.shape == image.shape and one.kind == kind and one.note
        for width, height in ((64, 64), (9, 5), (1, 1)):
            assert fitted(one.map, kind, width, height).shape == (height, width, 3)
        flat = hint(np.full_like(image, 90), of(kind), depth=depth).map
        if kind in LINES:
            assert not flat.any(), "an even picture has no lines"


def test_any_picture_comes_in_and_wrong_ones_are_told():
    plain = square()
    wanted = hint(plain, of("edges")).map
    for same in (
        plain.astype(np.uint16) * 257,
        plain[..., 0],
        np.dstack([plain, wanted * 0 + 255])[..., :4],
    ):
        assert (hint(same, of("edges")).map == wanted).all()
    for wrong in (None, "photo.png", np.zeros((4, 4, 2)), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(InputError):
            hint(wrong)
    large = hint(np.zeros((100, 4100, 3), np.uint8), of("tile"))
    assert large.map.shape == (50, 2048, 3) and "2048×50" in large.note


# ---------------------------------------------------------------- depth and normals


def ramp(width: int = 60, height: int = 40, tilt: float = 0.3) -> np.ndarray:
    """Depth in metres of the plane z = 2 + tilt·X seen with the assumed field of view."""
    x = (np.arange(width) + 0.5 - width / 2) / (width / 2 / math.tan(math.radians(FOV_DEG) / 2))
    return np.tile(2 / (1 - tilt * x), (height, 1)).astype(np.float32)  # z (1 − tilt·x) = 2


def test_near_is_bright_whether_metres_or_inverse():
    depth = np.linspace(1, 5, 400, dtype=np.float32).reshape(20, 20)
    image = np.zeros((20, 20, 3), np.uint8)
    metres = hint(image, of("depth"), depth=depth).map[..., 0]
    assert metres[0, 0] == 255 and metres[-1, -1] == 13  # 5 %, as in rendered scenes
    assert (np.diff(metres.ravel().astype(int)) <= 0).all()
    inverse = hint(image, of("depth"), depth=1 / depth, inverse=True).map[..., 0]
    assert (inverse == metres).all()
    assert (depth_map(np.ones((5, 5))) == 13).all(), "one depth: nothing is nearer"


def test_unknown_depth_is_filled_from_the_nearest_known():
    depth = np.full((20, 30), 4.0, np.float32)
    depth[:, :10] = 1.0
    holes = depth.copy()
    holes[5:9, 3:6] = np.nan
    holes[12:15, 20:25] = 0
    image = np.zeros((20, 30, 3), np.uint8)
    whole = hint(image, of("depth"), depth=depth).map
    assert (hint(image, of("depth"), depth=holes).map == whole).all()
    small = hint(image, of("depth"), depth=depth[::2, ::2]).map
    assert small.shape == image.shape and np.abs(small.astype(int) - whole).mean() < 5


@pytest.mark.parametrize("tilt", [0.0, 0.3, -0.5])
def test_normals_of_a_plane_are_exact_up_to_the_border(tilt):
    depth = ramp(tilt=tilt)
    made = hint(np.zeros((*depth.shape, 3), np.uint8), of("normals"), depth=depth).map
    # z − tilt·X = 2: the normal towards the camera is (tilt, 0, −1), blue is towards the camera
    wanted = np.array((tilt, 0, 1)) / math.hypot(tilt, 1) * 127.5 + 128
    assert np.abs(made - np.minimum(wanted, 255)).max() < 1.01


def test_the_floor_faces_up():
    y = (np.arange(50)[:, None] + 0.5) / 50
    near = np.tile(y, (1, 50))  # a floor below the eye, the horizon at the top
    assert normal_map(near)[25, 25, 1] > 200, "green is up"


def test_a_depth_map_that_isnt_one_is_told():
    image = np.zeros((40, 60, 3), np.uint8)
    for depth, why in (
        (np.ones((60, 40)), "not of the same view"),
        (np.full((40, 60), np.nan), "knows no depth"),
        (np.ones((40, 60, 3)), "numbers"),
    ):
        with pytest.raises(InputError, match=why):
            hint(image, of("depth"), depth=depth)


# ---------------------------------------------------------------- rendered scenes


@pytest.fixture(scope="module")
def rendered():
    from core.diffusion import world
    from core.scenes import render

    scene = world.scene(world.HELD_OUT + 2)
    camera = world.camera(scene)
    return render(scene, camera), camera


def test_a_scenes_maps_are_its_truth(rendered):
    from core.scenes.control import maps

    view, camera = rendered
    truth, made = maps(view, camera), scene_hints(view, camera)
    assert set(made) == set(KINDS) - {"pose", "map"}
    assert (made["edges"].map == grey(truth["edges"])).all()
    assert (made["segmentation"].map == truth["segmentation"]).all()
    assert (made["normals"].map == truth["normals"]).all()
    assert np.abs(made["depth"].map[..., 0] / 255 - truth["depth"]).max() < 0.003
    for kind, one in made.items():
        assert one.exact == (kind in ("edges", "depth", "segmentation", "normals"))
        check(one)
        same = hint(None, of(kind), scene=rendered)
        assert same.exact == one.exact and (same.map == one.map).all()
        if kind in ("edges", "depth", "segmentation", "normals"):
            assert (fitted(one.map, kind, 64, 64) == one.map).all(), "as the net was trained"
    with pytest.raises(InputError, match="64×64"):
        hint(square(32), scene=rendered)


# ---------------------------------------------------------------- does it fit?


def test_a_line_of_one_pixel_survives_from_512_to_64():
    for kind in (*THIN, "scribble"):
        for column in (0, 3, 100, 255, 511):
            line = np.zeros((512, 512, 3), np.uint8)
            line[:, column] = 255
            small = fitted(line, kind, 64, 64)
            assert small.dtype == np.uint8 and set(np.unique(small)) == {0, 255}
            assert (small[..., 0] > 0).sum(1).tolist() == [1] * 64, "one pixel in each row"
            assert (small[:, column // 8] == 255).all(), "and in its place"
    line = np.zeros((512, 512, 3), np.uint8)
    line[:, 100] = 255
    assert fitted(line, "soft", 64, 64)[:, 12].min() > 60
    assert fitted(line, "depth", 64, 64).max() <= 33, "an average would have lost it"


def test_fat_strokes_become_edges_of_one_pixel_and_grow_smoothly():
    drawing = sketch(dark=False)
    for size in (64, 200, 512):
        small = fitted(drawing, "edges", size, size)[..., 0] > 0
        blocks = small[:-1, :-1] & small[1:, :-1] & small[:-1, 1:] & small[1:, 1:]
        assert blocks.sum() == 0, "nowhere two pixels wide"
        circle = np.zeros((512, 512), np.uint8)
        cv2.circle(circle, (256, 256), 180, 255, 1)
        wanted = fitted(grey(circle), "edges", size, size)[..., 0] > 0
        away = cv2.distanceTransform((~small).astype(np.uint8), cv2.DIST_L2, 5)
        assert away[wanted].max() <= 2, "no gap"
    large = fitted(fitted(drawing, "edges", 64, 64), "edges", 512, 512)[..., 0] > 0
    assert edge_f1(large, fitted(drawing, "edges", 512, 512)[..., 0] > 0, 8) > 0.95


def test_specks_dont_grow_into_a_net():
    dots = np.zeros((512, 512, 3), np.uint8)
    dots[::9, ::9] = 255
    assert fitted(dots, "edges", 64, 64).max() == 0
    dots[:, 100] = 255
    assert (fitted(dots, "edges", 64, 64)[..., 0] > 0).sum() == 64


def test_segments_keep_their_colours_and_the_rest_is_averaged():
    colours = np.array([(230, 159, 0), (86, 180, 233), (0, 0, 0)], np.uint8)
    labels = np.random.default_rng(0).integers(0, 3, (60, 90))
    small = fitted(colours[labels], "segmentation", 13, 7)
    assert {tuple(c) for c in small.reshape(-1, 3)} <= {tuple(c) for c in colours}
    image = noisy(64)
    wanted = image.reshape(8, 8, 8, 8, 3).mean((1, 3))
    assert np.abs(fitted(image, "tile", 8, 8) - wanted).max() <= 0.5
    assert (fitted(image, "depth", 64, 64) == image).all()
    with pytest.raises(InputError):
        fitted(image, "edges", 0, 8)


def test_check_lets_through_what_was_made_for_it():
    image = cv2.GaussianBlur(noisy(256), (0, 0), 9)
    image = cv2.normalize(image, np.empty_like(image), 0, 255, cv2.NORM_MINMAX)
    cv2.circle(image, (128, 128), 70, (250, 240, 200), -1)
    depth = np.tile(np.linspace(1, 5, 256, dtype=np.float32), (256, 1))
    for kind, one in all_hints(image, depth=depth).items():
        check(one)
        check(Hint(one.map, "map"), kind)
        check(Hint(fitted(one.map, kind, 64, 64), kind))
    check(hint(sketch(), of("scribble")), "edges")
    areas = np.repeat(np.repeat(noisy(6), 30, 0), 30, 1)
    check(Hint(areas, "segmentation"))


@pytest.mark.parametrize(
    "made, wanted, why",
    [
        (Hint(noisy(), "map"), "edges", "colours"),
        (Hint(noisy(), "map"), "depth", "colours"),
        (Hint(grey(noisy()[..., 0]), "map"), "edges", "grey tones"),
        (Hint(sketch(), "map"), "edges", "mostly light"),
        (Hint(sketch(dark=False), "map"), "depth", "no tones"),
        (Hint(noisy(), "map"), "segmentation", "no areas"),
        (Hint(square(), "map"), "normals", "directions"),
        (Hint(sketch(dark=False), "map"), "pose", "sticks"),
        (Hint(np.full((9, 9, 3), 7, np.uint8), "edges"), "", "one colour"),
        (Hint(square(), "depth"), "edges", "map of depth, and the control wants edges"),
        (Hint(square(), "edges"), "ears", "no control"),
    ],
)  # fmt: skip
def test_check_says_what_is_wrong(made, wanted, why):
    with pytest.raises(InputError, match=why) as told:
        check(made, wanted)
    assert str(told.value).endswith(".")


# ---------------------------------------------------------------- agreement


def test_f1_of_a_shifted_line():
    line, shifted = np.zeros((2, 40, 40), bool)
    line[:, 10] = True
    for by, wanted in ((0, 1.0), (2, 1.0), (3, 0.0)):
        shifted = np.roll(line, by, 1)
        assert edge_f1(shifted, line) == wanted
    assert edge_f1(np.roll(line, 3, 1), line, tolerance_px=3) == 1
    half = line.copy()
    half[20:] = False  # precision 1; of 40 wanted pixels 20, and 2 within reach, are found
    assert edge_f1(half, line) == pytest.approx(2 * 0.55 / 1.55)
    assert edge_f1(line, half) == pytest.approx(2 * 0.55 / 1.55)
    empty = np.zeros_like(line)
    assert edge_f1(empty, empty) == 1 and edge_f1(empty, line) == 0 == edge_f1(line, empty)
    with pytest.raises(InputError):
        edge_f1(line, line[:20])


def test_rank_correlation_asks_for_order_alone():
    a = np.random.default_rng(0).random((20, 30))
    assert rank_correlation(a, np.exp(5 * a)) == pytest.approx(1)
    assert rank_correlation(a, -a) == pytest.approx(-1)
    holes = a.copy()
    holes[:5] = np.nan
    assert rank_correlation(holes, a**3) == pytest.approx(1)
    wrong = a.copy()
    wrong[10:] = 0.5
    first = np.arange(20)[:, None] * np.ones(30) < 10
    assert rank_correlation(wrong, a, first) == pytest.approx(1)
    assert math.isnan(rank_correlation(a, np.ones_like(a)))
    assert math.isnan(rank_correlation(a * np.nan, a))
    four = np.array([[1.0, 2.0, 3.0, 4.0]])  # 1 − 6·Σd²/(n(n²−1)) with d = 0, 1, −1, 0
    assert rank_correlation(four, np.array([[1.0, 3.0, 2.0, 4.0]])) == pytest.approx(0.8)


def test_mean_iou_by_hand():
    wanted = np.array([[0, 0, 0, 0], [1, 1, 2, 2]])
    assert mean_iou(wanted + 7, wanted) == 1, "names don't matter"
    assert mean_iou(np.zeros((2, 4), int), wanted) == pytest.approx(4 / 8 / 3)
    found = np.array([[5, 5, 5, 9], [9, 9, 9, 9]])
    # 5 with 0: 3 of 4. 9 (5 px) with 1: 2 of 5, or with 2: 2 of 5; it may serve one only
    assert mean_iou(found, wanted) == pytest.approx((3 / 4 + 2 / 5) / 3)
    greedy = np.array([[1, 1, 1, 1, 1, 2, 2]])
    truth = np.array([[3, 3, 3, 4, 4, 4, 4]])  # 1: 3/5 and 2/7; 2: 0 and 2/4
    assert mean_iou(greedy, truth) == pytest.approx((3 / 5 + 2 / 4) / 2)


def test_blends_along_borders_are_no_regions():
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, 32:] = (230, 159, 0)
    image[10:50, 10:12] = (86, 180, 233)  # thin, but in a colour that segments have
    image[10:20, 50:60] = (1, 2, 3)  # in no such colour, but an area
    assert len(np.unique(regions(image))) == 4
    enlarged = cv2.resize(image, (90, 90), interpolation=cv2.INTER_LINEAR)
    assert len(np.unique(enlarged.reshape(-1, 3), axis=0)) > 8
    crisp = cv2.resize(image, (90, 90), interpolation=cv2.INTER_NEAREST_EXACT)
    found, wanted = regions(enlarged[:, 30:]), regions(crisp[:, 30:])
    assert len(np.unique(found)) == 3 and mean_iou(found, wanted) > 0.85
    assert regions(noisy(32)).shape == (32, 32)


@pytest.mark.parametrize("kind", [k for k in OFFLINE if k != "map"])
def test_a_picture_agrees_with_its_own_map_and_another_does_not(kind):
    image, other = square(256), cv2.GaussianBlur(noisy(256, 3), (0, 0), 6)
    other = cv2.normalize(other, np.empty_like(other), 0, 255, cv2.NORM_MINMAX)
    made = hint(image, of(kind))
    assert agreement(image, made) == pytest.approx(1)
    assert agreement(cv2.convertScaleAbs(image, alpha=0.9, beta=5), made) > 0.9
    assert 0 <= agreement(other, made) < 0.85 * agreement(image, made)


def test_a_reader_is_asked_where_there_is_one(rendered):
    view, camera = rendered
    made = scene_hints(view, camera)
    truth = Reading(
        made["edges"].map[..., 0] > 0,
        made["depth"].map[..., 0].astype(float) ** 2,
        regions(made["segmentation"].map) + 3,
    )
    upside_down = Reading(*(a[::-1] for a in (truth.edges, -truth.depth, truth.labels)))
    for kind in ("edges", "depth", "segmentation"):
        assert agreement(view.rgb, made[kind], read=lambda image: truth) == pytest.approx(1)
        wrong = agreement(view.rgb, made[kind], read=lambda image: upside_down)
        assert 0 <= wrong < 0.9
    drawn = Hint(made["edges"].map, "map")
    assert agreement(view.rgb, drawn, read=lambda image: truth) == pytest.approx(1)


def test_nan_where_nothing_here_can_tell(rendered, monkeypatch, tmp_path):
    monkeypatch.setenv("SIGHTLINE_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("SIGHTLINE_MODELS", raising=False)
    models.pool().clear()
    view, camera = rendered
    made = scene_hints(view, camera)
    for kind in ("depth", "segmentation", "normals"):
        assert math.isnan(agreement(view.rgb, made[kind]))
        with pytest.raises(Unavailable, match="work without it"):
            hint(view.rgb, of(kind))
    assert math.isnan(agreement(view.rgb, Hint(view.rgb, "pose")))
    assert math.isnan(agreement(noisy(), Hint(noisy(), "map")))
    with pytest.raises(Unavailable):
        hint(view.rgb, of("pose"))


# ---------------------------------------------------------------- the hub's, with tiny weights


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SIGHTLINE_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("SIGHTLINE_MODELS", raising=False)
    models.pool().clear()
    yield tmp_path
    models.pool().clear()


def place(root: Path, key: str, model, processor) -> None:
    spec = hub_maps.MODELS[key]
    model.eval().save_pretrained(root / key)
    processor.save_pretrained(root / key)
    hub_cache(root, spec.source, spec.revision, root / key)


def test_segmentation_by_a_tiny_upernet(hub, monkeypatch):
    import torch
    from transformers import ConvNextConfig, UperNetConfig, UperNetForSemanticSegmentation
    from transformers.models.segformer.image_processing_pil_segformer import (
        SegformerImageProcessorPil,
    )

    torch.manual_seed(0)
    stages = ["stage1", "stage2", "stage3", "stage4"]
    shape: dict = {"hidden_sizes": [4, 4, 8, 8], "depths": [1, 1, 1, 1], "out_features": stages}
    backbone = ConvNextConfig(**shape)
    about: dict = {
        "backbone_config": backbone, "hidden_size": 8, "auxiliary_channels": 8,
        "auxiliary_in_channels": 8, "num_labels": 5,
    }  # fmt: skip
    model = UperNetForSemanticSegmentation(UperNetConfig(**about))
    place(hub, "upernet", model, SegformerImageProcessorPil(size={"height": 512, "width": 512}))
    monkeypatch.setattr(hub_maps, "SIDE_PX", 64)
    image = cv2.GaussianBlur(noisy(90), (0, 0), 8)[:50]
    found, names = hub_maps.classes(image)
    assert found.shape == (50, 90) and found.min() >= 0 and found.max() < 5 and len(names) == 5
    made = hint(image, of("segmentation"))
    assert made.map.shape == image.shape and "colours are ours" in made.note
    assert (regions(made.map).max() + 1) <= 5
    assert agreement(image, made) == pytest.approx(1)


def tiny_vitpose():
    import torch
    from transformers import VitPoseConfig, VitPoseForPoseEstimation
    from transformers.models.vitpose.image_processing_pil_vitpose import VitPoseImageProcessorPil

    torch.manual_seed(0)
    backbone = {
        "model_type": "vitpose_backbone", "image_size": [64, 48], "patch_size": [16, 16],
        "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_experts": 1,
        "out_indices": [2], "out_features": ["stage2"], "part_features": 0,
    }  # fmt: skip
    about: dict = {"backbone_config": backbone, "use_simple_decoder": True, "num_labels": 17}
    model = VitPoseForPoseEstimation(VitPoseConfig(**about))
    bias = model.head.conv.bias
    assert bias is not None
    torch.nn.init.constant_(bias, 1.0)  # sure of every joint
    return model, VitPoseImageProcessorPil(size={"height": 64, "width": 48})


def test_pose_by_a_tiny_vitpose_without_a_detector(hub):
    place(hub, "vitpose", *tiny_vitpose())
    image = noisy(120)[:80]
    made = hint(image, of("pose"))
    assert made.map.shape == image.shape and made.map.any()
    assert "whole picture" in made.note


def test_pose_of_the_people_a_tiny_detector_finds(hub):
    import torch
    from transformers import RTDetrConfig, RTDetrForObjectDetection
    from transformers.models.rt_detr.image_processing_pil_rt_detr import RTDetrImageProcessorPil

    torch.manual_seed(0)
    backbone = {
        "model_type": "rt_detr_resnet", "embedding_size": 8, "hidden_sizes": [8, 8, 8, 8],
        "depths": [1, 1, 1, 1], "layer_type": "basic", "out_features": ["stage2", "stage3", "stage4"],
    }  # fmt: skip
    about: dict = {
        "backbone_config": backbone, "encoder_hidden_dim": 16, "encoder_in_channels": [8, 8, 8],
        "encoder_ffn_dim": 16, "encoder_attention_heads": 2, "d_model": 16,
        "decoder_in_channels": [16, 16, 16], "decoder_ffn_dim": 16, "decoder_attention_heads": 2,
        "decoder_layers": 1, "num_queries": 6, "feat_strides": [8, 16, 32], "num_labels": 2,
        "num_denoising": 0, "anchor_image_size": None,
    }  # fmt: skip
    detector = RTDetrForObjectDetection(RTDetrConfig(**about))
    place(hub, "vitpose", *tiny_vitpose())
    place(hub, "rt-detr", detector, RTDetrImageProcessorPil(size={"height": 64, "width": 64}))
    boxes = hub_maps.people(noisy(90))
    assert boxes.shape[1] == 4
    assert "RT-DETR found" in hint(noisy(90), of("pose")).note


def test_a_stick_figure_leaves_out_what_isnt_seen():
    joints = np.full((1, 18, 2), np.nan, np.float32)
    joints[0, 2], joints[0, 3], joints[0, 10] = (100.5, 100.5), (200.5, 100.5), (400.5, 400.5)
    drawn = hub_maps.sticks(joints, 512, 512)
    assert drawn[100, 150].any(), "upper arm"
    assert drawn[400, 400].any() and not drawn[250, 250].any(), "a foot without a leg"
    check(Hint(drawn, "pose"))
    assert not hub_maps.sticks(np.zeros((0, 18, 2)), 8, 8).any()
