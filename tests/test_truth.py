"""Right and wrong by hand: points whose true place is known without any code."""

from pathlib import Path

import numpy as np
import pytest

from core.matching import truth as truths
from core.matching.stitch import epipolar_line, overlay, panorama
from core.matching.truth import SCORE_HELP, error_px, load_truth, right, score, transfer
from core.matching.types import (
    Candidates,
    Features,
    GeometrySettings,
    MatchResult,
    MatchSettings,
    Truth,
)
from core.recipe import Recipe
from core.types import InputError

GRAF = Path(__file__).parents[2] / "shared/data/matching/graf"


def stereo(depth0: np.ndarray, depth1: np.ndarray | None = None) -> Truth:
    """Camera 1 stands 1 m right of camera 0; a point at z moves left by 10 px · m / z."""
    height, width = depth0.shape
    K = np.array([[10.0, 0, width / 2], [0, 10.0, height / 2], [0, 0, 1]])
    return Truth(K0=K, K1=K, R=np.eye(3), t=np.array([-1.0, 0, 0]), depth0_m=depth0,
                 depth1_m=depth1)  # fmt: skip


def features(xy: list[tuple[float, float]]) -> Features:
    n = len(xy)
    flat = np.ones(n, np.float32)
    return Features(np.array(xy, np.float32).reshape(n, 2), flat, flat, flat)


def result(xy0, xy1, pairs, kept, geometry="homography", model=None, **more) -> MatchResult:
    c = len(pairs)
    near = Candidates(
        np.array(pairs, np.int32).reshape(c, 2), np.ones(c, np.float32), np.ones(c, np.float32),
        np.full(c, -1, np.int32), np.ones(c, bool), np.ones(c, np.float32),
    )  # fmt: skip
    k = sum(kept)
    settings, how = MatchSettings(), GeometrySettings(geometry=geometry)
    return MatchResult(
        features(xy0), features(xy1), near, np.array(kept, bool), np.ones(k, np.float32),
        np.arange(k) % 2 == 0, model, (100, 80), (100, 80), settings, how, {},
        Recipe("matching", "{MatchSettings}", (settings, how)), **more,
    )  # fmt: skip


def test_transfer_by_homography() -> None:
    H = np.array([[2, 0, 1], [0, 2, -1], [0.01, 0, 1]])
    points = np.array([(0, 0), (100, 10), (-100, 5), (-200, 0)])
    moved = transfer(Truth(homography=H), points)
    np.testing.assert_allclose(moved[:2], [(1, -1), (100.5, 9.5)])  # w = 1 and 2
    assert np.isnan(moved[2:]).all()  # w = 0 and -1: at and behind the camera
    np.testing.assert_allclose(transfer(Truth(homography=-3 * H), points), moved)  # any scale
    assert transfer(Truth(homography=H), np.zeros((0, 2))).shape == (0, 2)


def test_transfer_by_depth_and_pose() -> None:
    depth = np.full((9, 31), 5.0, np.float32)
    depth[:, 20:] = 2.0
    depth[0, 0] = np.nan
    moved = transfer(
        stereo(depth),
        np.array([(10.5, 4.5), (10.25, 4), (25.5, 8.5), (20, 4), (0.5, 0.5), (40, 3)]),
    )
    np.testing.assert_allclose(moved[:3], [(8.5, 4.5), (8.25, 4), (20.5, 8.5)], atol=1e-9)
    assert np.isnan(moved[3:]).all()  # on the depth edge, no depth, outside the picture


def test_depth_between_pixels_is_exact_on_a_slanted_plane() -> None:
    # Plane z = 4 + X / 20 with X = (x - 15.5) z / 10, so 1/z = (1 - (x - 15.5) / 200) / 4.
    x = np.arange(31) + 0.5
    depth = np.tile(4 / (1 - (x - 15.5) / 200), (7, 1))
    moved = transfer(stereo(depth), np.array([(3.2, 3.1)]))
    z = 4 / (1 - (3.2 - 15.5) / 200)
    np.testing.assert_allclose(moved, [(3.2 - 10 / z, 3.1)], atol=1e-9)


def test_hidden_points_are_unknown() -> None:
    """A wall at 5 m; in picture 1 a post at 1 m covers columns 4 to 11."""
    depth0, depth1 = np.full((9, 31), 5.0), np.full((9, 31), 5.0)
    depth1[:, 4:12] = 1.0
    moved = transfer(stereo(depth0, depth1), np.array([(10.5, 4.5), (20.5, 4.5), (1.0, 4.5)]))
    assert np.isnan(moved[0]).all()  # would land at 8.5, behind the post
    np.testing.assert_allclose(moved[1:], [(18.5, 4.5), (-1.0, 4.5)])  # seen; out of the picture


def test_error_and_right() -> None:
    H = np.diag([2.0, 2.0, 1.0])
    a = np.array([(1, 1), (1, 1), (1, 1)])
    b = np.array([(2, 2), (5, 6), (2, 5.0001)])
    np.testing.assert_allclose(error_px(Truth(homography=H), a, b), [0, 5, 3.0001])
    answer = right(Truth(homography=H), a, b)
    assert answer.dtype == np.int8 and answer.tolist() == [1, 0, 0]
    assert right(Truth(homography=H), a, b, threshold_px=5).tolist() == [1, 1, 1]
    unknown = stereo(np.full((5, 5), np.nan))
    assert right(unknown, a, b).tolist() == [-1, -1, -1]


def test_cameras_alone_give_the_distance_to_the_epipolar_line() -> None:
    K = np.diag([10.0, 10.0, 1.0])
    sideways = Truth(K0=K, K1=K, R=np.eye(3), t=np.array([1.0, 0, 0]))
    # Lines are the rows: only y counts.
    error = error_px(sideways, np.array([(1, 2), (5, 5)]), np.array([(90, 2), (-7, 9)]))
    np.testing.assert_allclose(error, [0, 4], atol=1e-12)
    forward = Truth(K0=K, K1=K, R=np.eye(3), t=np.array([0, 0, 1.0]))
    # Lines pass through the epipole (0, 0); the point (3, 4) gives the line through it and (0, 0).
    error = error_px(forward, np.array([(3, 4), (0, 0)]), np.array([(4, -3), (1, 1)]))
    np.testing.assert_allclose(error[0], 5)
    assert np.isnan(error[1])  # the epipole itself has no line
    assert np.isnan(transfer(sideways, np.array([(1, 2)]))).all()


def test_scores_by_hand() -> None:
    """Five keypoints, shift by (10, 0). Of four candidates two are right, one of them kept."""
    shift = np.array([[1, 0, 10], [0, 1, 0], [0, 0, 1.0]])
    xy0 = [(10, 10), (20, 20), (30, 30), (40, 40), (95, 5)]  # the last one leaves the picture
    xy1 = [(20, 10), (30, 22), (41, 30.5), (5, 70)]
    found = score(
        result(xy0, xy1, [(0, 0), (1, 1), (2, 3), (3, 3)], [True, False, True, False], model=shift),
        Truth(homography=shift),
    )
    assert list(found) == list(SCORE_HELP) and all(isinstance(v, float) for v in found.values())
    assert found["keypoints0"] == 5 and found["keypoints1"] == 4 and found["matches"] == 2
    assert found["inlier_ratio"] == 0.5
    assert found["repeatability"] == 3 / 4  # 0, 1, 2 are found again; 3 is not
    assert found["matching_score"] == 1 / 4
    assert found["precision"] == found["mma_1"] == found["mma_3"] == found["mma_5"] == 0.5
    assert found["recall"] == 0.5  # candidates 0 and 1 are right (0 and 2 px), 0 was kept
    assert found["corner_error_px"] == 0 and found["auc_1"] == 1
    assert np.isnan(found["rotation_error_deg"])


def test_corner_error_and_auc_by_hand() -> None:
    truth = Truth(homography=np.eye(3))
    off = np.array([[1, 0, 1.2], [0, 1, 1.6], [0, 0, 1]])  # every corner by 2 px
    found = score(result([(1, 1)], [(1, 1)], [(0, 0)], [True], model=off), truth)
    assert found["corner_error_px"] == pytest.approx(2)
    assert found["auc_1"] == 0
    # From (0, 0) straight to (2, 1), flat to the threshold: (1 + (t - 2)) / t.
    for t in (3, 5, 10):
        assert found[f"auc_{t}"] == pytest.approx(1 - 2 / (2 * t))
    none = score(result([(1, 1)], [(1, 1)], [(0, 0)], [True]), truth)
    assert none["corner_error_px"] == np.inf and none["auc_10"] == 0


def test_nothing_found_scores_zero_and_nan() -> None:
    found = score(result([], [], [], []), Truth(homography=np.eye(3)))
    assert found["precision"] == found["mma_3"] == found["matches"] == found["inlier_ratio"] == 0
    assert np.isnan(found["recall"]) and np.isnan(found["repeatability"])


def test_pose_scores() -> None:
    c, s = np.cos(np.deg2rad(10)), np.sin(np.deg2rad(10))
    R = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    truth = Truth(K0=np.eye(3), K1=np.eye(3), R=np.eye(3), t=np.array([5.0, 0, 0]))
    made = result([(1, 1)], [(1, 1)], [(0, 0)], [True], "essential", R=R, t=np.array([c, s, 0]))
    found = score(made, truth)
    assert found["rotation_error_deg"] == pytest.approx(10)
    assert found["translation_error_deg"] == pytest.approx(10)
    assert np.isnan(found["corner_error_px"]) and np.isnan(found["repeatability"])
    lost = score(result([(1, 1)], [(1, 1)], [(0, 0)], [True], "essential"), truth)
    assert lost["rotation_error_deg"] == np.inf


# ---------------------------------------------------------------- truth files


def test_a_homography_file_is_in_opencv_pixels() -> None:
    loaded = load_truth("# shift\n2 0 0\n0, 2, 0\r\n[0 0 1]\n")
    # OpenCV's pixel 0 is our 0.5: centre of the first pixel → 0 · 2 → its own centre.
    np.testing.assert_allclose(transfer(loaded, np.array([(0.5, 0.5), (1.5, 0.5)])),
                               [(0.5, 0.5), (2.5, 0.5)])  # fmt: skip
    ours = load_truth("2 0 0 0 2 0 0 0 1", first_pixel=0.5)
    np.testing.assert_allclose(transfer(ours, np.array([(0.5, 0.5)])), [(1, 1)])
    tiny = load_truth(b"\xef\xbb\xbf1e-7 0 0 0 1e-7 0 0 0 1e-7")  # a scale means nothing
    np.testing.assert_allclose(transfer(tiny, np.array([(3, 4)])), [(3, 4)])


def test_a_camera_file() -> None:
    numbers = "600 0 320 0 600 240 0 0 1\n500 0 100 0 500 50 0 0 1\n0 -1 0 1 0 0 0 0 1\n1 2 3"
    named = (
        "t: 1 2 3\nK0: 600 0 320\n 0 600 240\n 0 0 1\n"
        "R = [[0 -1 0] [1 0 0] [0 0 1]]  # quarter turn\nK1: 500 0 100 0 500 50 0 0 1"
    )
    for text in (numbers, named):
        loaded = load_truth(text)
        assert loaded.K0 is not None and loaded.K1 is not None and loaded.R is not None
        np.testing.assert_allclose(loaded.K0, [[600, 0, 320.5], [0, 600, 240.5], [0, 0, 1]])
        np.testing.assert_allclose(loaded.K1[:2, 2], (100.5, 50.5))
        np.testing.assert_allclose(loaded.R, [[0, -1, 0], [1, 0, 0], [0, 0, 1]])
        np.testing.assert_allclose(loaded.t, (1, 2, 3))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no numbers"),
        ("# only a comment", "no numbers"),
        ("1 0 0 0 1 0 0 0", "8 numbers"),
        ("one two three", "'one'"),
        ("1 0 0 0 1 0 0 0 nan", "not finite"),
        ("1 0 0 0 1 0 0 0 1e999", "not finite"),
        ("1 2 3 2 4 6 0 0 1", "inverted"),
        ("0 0 0 0 0 0 0 0 0", "inverted"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "plain text"),
        ("1 0 0\x00", "plain text"),
        ("K0: 1 0 0 0 1 0 0 0 1", "names only K0"),
        ("K0: 1 2 3 K1: 1 R: 1 t: 1", "K0 .* 3 numbers"),
        ("1 0 0 0 1 0 0 0 1 " * 2 + "1 0 0 0 1 0 0 0 2 1 0 0", "no rotation"),
        ("1 0 0 0 1 0 0 0 1 " * 3 + "0 0 0", "t in the truth file is zero"),
        ("-1 0 0 0 1 0 0 0 1 " * 3 + "1 0 0", "K0 .* no camera matrix"),
    ],
)
def test_other_files_are_refused_in_words(text: str | bytes, word: str) -> None:
    with pytest.raises(InputError, match=word) as told:
        load_truth(text)
    assert str(told.value).endswith(".")


@pytest.mark.skipif(not GRAF.exists(), reason="needs shared/data/matching/graf")
def test_graf_files_load_and_fit_the_pictures() -> None:
    from core import images

    truth = load_truth((GRAF / "H1to2p").read_text())
    image0, image1 = images.load(GRAF / "img1.png"), images.load(GRAF / "img2.png")
    assert truth.homography is not None
    moved, _ = overlay(image0, image1, truth.homography)
    seen = (moved != 255).any(axis=2)
    right_place = np.corrcoef(moved[seen].ravel(), image1[seen].ravel())[0, 1]
    assert right_place > 0.85


# ---------------------------------------------------------------- what a model shows


def test_panorama_of_a_shift() -> None:
    """Two cuts of one strip, 13 px apart, make the strip again."""
    strip = np.random.default_rng(0).integers(0, 256, (11, 43, 3), dtype=np.uint8)
    image0, image1 = strip[:, 13:], strip[:, :30]
    shift = np.array([[1, 0, 13], [0, 1, 0], [0, 0, 1.0]])
    joined = panorama(image0, image1, shift)
    assert joined.shape == strip.shape
    assert np.abs(joined.astype(int) - strip).max() <= 1
    back = panorama(image1, image0, np.linalg.inv(shift))
    assert np.abs(back.astype(int) - strip).max() <= 1


def test_panorama_leaves_the_rest_white() -> None:
    a, b = np.zeros((10, 10, 3), np.uint8), np.full((10, 10, 3), 100, np.uint8)
    joined = panorama(a, b, np.array([[1, 0, 20], [0, 1, 5], [0, 0, 1.0]]))
    assert joined.shape == (15, 30, 3)
    assert (joined[:10, :10] == 100).all() and (joined[5:, 20:] == 0).all()
    assert (joined[:, 10:20] == 255).all() and (joined[10:, :10] == 255).all()


def test_absurd_homographies_are_refused() -> None:
    image = np.zeros((30, 40, 3), np.uint8)
    for model, word in (
        (None, "no homography"),
        (np.diag([1000.0, 1000, 1]), "wrong"),
        (np.array([[1, 0, 0], [0, 1, 0], [-0.05, 0, 1.0]]), "behind"),
        (np.array([[1, 0, 0], [0, 0, 0], [0, 0, 1.0]]), "line"),
        (np.full((3, 3), np.nan), "line"),
    ):
        with pytest.raises(InputError, match=word):
            panorama(image, image, model)
    one = np.zeros((1, 1, 3), np.uint8)
    assert panorama(one, one, np.eye(3)).shape == (1, 1, 3)
    long = panorama(np.zeros((9, 2500, 3), np.uint8), np.zeros((9, 2500, 3), np.uint8),
                    np.array([[1, 0, 2500], [0, 1, 0], [0, 0, 1.0]]))  # fmt: skip
    assert long.shape[1] == 3000


def test_overlay_has_the_size_of_picture_1() -> None:
    image0 = np.random.default_rng(0).integers(0, 255, (8, 9, 3), dtype=np.uint8)
    image1 = np.zeros((6, 13, 3), np.uint8)
    moved, same = overlay(image0, image1, np.array([[1, 0, 4], [0, 1, -2], [0, 0, 1.0]]))
    assert moved.shape == same.shape == image1.shape
    np.testing.assert_array_equal(moved[:, 4:13], image0[2:8])
    assert (moved[:, :4] == 255).all()


def test_epipolar_lines_by_hand() -> None:
    sideways = np.array([[0, 0, 0], [0, 0, -1], [0, 1, 0.0]])  # x1ᵀ F x0 = y0 - y1 up to sign
    forward = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 0.0]])  # epipole in the corner (0, 0)
    for F, xy, size, view, expected in (
        (sideways, (3, 7), (40, 30), 0, [(0, 7), (40, 7)]),
        (sideways, (3, 7), (40, 30), 1, [(0, 7), (40, 7)]),
        (forward, (1, 2), (10, 10), 0, [(0, 0), (5, 10)]),
    ):
        line = epipolar_line(F, xy, size, view)
        assert line is not None
        np.testing.assert_allclose(line, expected, atol=1e-9)
    assert epipolar_line(sideways, (3, 31), (40, 30)) is None
    assert epipolar_line(forward, (0, 0), (10, 10)) is None


def test_epipolar_line_follows_the_truth() -> None:
    truth = stereo(np.full((20, 31), 5.0))
    F = truths.fundamental(truth)
    line = epipolar_line(F, (10.5, 4.5), (31, 20))
    np.testing.assert_allclose(line, [(0, 4.5), (31, 4.5)], atol=1e-9)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="homography"):
        truths.fundamental(Truth(homography=np.eye(3)))
