"""Random dots that give nothing away to one eye, pictures for two, and maps as colours."""

import numpy as np
import pytest

from core.stereo import pictures
from core.stereo.dots import ANAGLYPHS, SHAPES, anaglyph, autostereogram, random_dots, separations
from core.stereo.types import Pair, Truth
from core.types import InputError

nan = np.nan


def dots(pair: Pair, dot_px: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Both pictures as ±1 for each dot, (rows, columns)."""
    left, right = (eye[::dot_px, ::dot_px, 0] / 127.5 - 1 for eye in (pair.left, pair.right))
    return left, right


# ---------------------------------------------------------------- random dots


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dot_px", "size"), [(1, (211, 147)), (3, (200, 151)), (2, (97, 160))])
def test_the_right_picture_shows_each_visible_dot_at_x_minus_d(shape, dot_px, size) -> None:
    pair = random_dots(shape, size, dot_px=dot_px, max_disparity_px=18, seed=5)
    assert pair.truth is not None and pair.truth.occluded is not None
    d, hidden = pair.truth.disparity, pair.truth.occluded
    assert pair.left.shape == pair.right.shape == (size[1], size[0], 3)
    assert d.min() == 0 and d.max() == 18 and d.dtype == np.float32
    rows, columns = np.nonzero(~hidden)
    partner = columns - d[~hidden].astype(int)
    inside = partner < size[0]
    assert partner.min() >= 0 and inside.all()
    np.testing.assert_array_equal(pair.left[rows, columns], pair.right[rows, partner])
    assert len(set(zip(rows, partner, strict=True))) == len(rows), "two dots on one place"


def test_occlusion_of_a_square_by_hand() -> None:
    """Before the square's left side lie max_disparity_px columns that it hides from the right."""
    pair = random_dots("square", (200, 100), max_disparity_px=10)
    assert pair.truth is not None and pair.truth.occluded is not None
    d, hidden = pair.truth.disparity, pair.truth.occluded
    first = int(np.argmax(d[50] > 0))
    assert first > 0 and hidden[50].sum() == 10 and hidden[50, first - 10 : first].all()
    assert not hidden[0].any()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("eye", ["left", "right"])
def test_one_eye_alone_sees_no_shape(shape: str, eye: str) -> None:
    """Inside, outside and at the shape's edge, dots have one mean and no tie to their neighbours.

    Over n dots each of these averages has a deviation of 1/√n if the dots are random.
    """
    dot_px, size = 2, (480, 360)
    pair = random_dots(shape, size, dot_px=dot_px, max_disparity_px=24, seed=11)
    assert pair.truth is not None
    d = pair.truth.disparity[::dot_px, ::dot_px].astype(int) // dot_px
    picture = dots(pair, dot_px)[eye == "right"]
    shown = d
    if eye == "right":  # where the right eye would see the shape
        shown = np.zeros_like(d)
        rows, columns = np.nonzero(d > 0)
        places = columns - d[rows, columns]
        shown[rows[places >= 0], places[places >= 0]] = 1
    region = shown > shown.max() / 2
    across = np.zeros_like(region)
    across[:, 1:] = region[:, 1:] != region[:, :-1]
    for where in (region, ~region, across):
        n = where[:, 12:].sum()
        assert n > 100
        assert abs(picture[:, 12:][where[:, 12:]].mean()) < 4 / np.sqrt(n)
        for lag in (1, 2, 11, 12):
            tie = picture[:, 12:] * picture[:, 12 - lag : -lag]
            assert abs(tie[where[:, 12:]].mean()) < 4 / np.sqrt(n), f"lag {lag}"


def test_both_eyes_together_see_it() -> None:
    pair = random_dots("letter", (240, 180), max_disparity_px=12)
    assert pair.truth is not None
    left, right = dots(pair)
    tie = left[:, 12:] * right[:, :-12]  # agreement at the shape's disparity
    shape = pair.truth.disparity[:, 12:] == 12
    assert tie[shape].mean() == 1 and abs(tie[~shape].mean()) < 0.05


def test_noise_is_the_share_of_dots_without_a_partner() -> None:
    for noise in (0.0, 0.3, 1.0):
        pair = random_dots("square", (200, 160), noise=noise, dot_px=2, seed=2)
        left, right = dots(pair, 2)
        agree = (left == right)[:15].mean()  # background; half of the new dots agree by chance
        assert agree == pytest.approx(1 - noise / 2, abs=0.03)


def test_a_seed_fixes_the_dots() -> None:
    first, again, other = (random_dots("steps", (64, 48), seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.right, again.right)
    assert (first.left != other.left).any()


def test_dots_that_can_not_be() -> None:
    for wrong in (
        {"shape": "cube"}, {"size": (0, 9)}, {"size": (10**6, 9)}, {"dot_px": 0}, {"noise": 2},
        {"max_disparity_px": 480}, {"max_disparity_px": -1},
    ):  # fmt: skip
        with pytest.raises(InputError, match="Choose"):
            random_dots(**wrong)  # type: ignore[arg-type]
    assert random_dots("wave", (1, 1), max_disparity_px=0).left.shape == (1, 1, 3)


# ---------------------------------------------------------------- one picture for both eyes


def decoded(picture: np.ndarray, low: int, high: int, radius: int = 3) -> np.ndarray:
    """At which distance the picture repeats around each pixel, by autocorrelation: (H, W)."""
    import cv2

    height, width = picture.shape[:2]
    costs = np.full((high - low + 1, height, width), np.inf, np.float32)
    for k, s in enumerate(range(low, high + 1)):
        off = np.abs(picture[:, s:].astype(np.float32) - picture[:, :-s]).sum(2)
        off = cv2.blur(off, (2 * radius + 1, 2 * radius + 1))
        start = s // 2  # the pair left, left + s belongs to the pixel left + s // 2
        costs[k, :, start : start + off.shape[1]] = off
    return costs.argmin(0) + low


@pytest.mark.parametrize("shape", ["steps", "wave", "letter"])
def test_autostereogram_gives_back_the_disparity(shape: str) -> None:
    pair = random_dots(shape, (402, 301), max_disparity_px=20)
    assert pair.truth is not None
    d = pair.truth.disparity
    picture = autostereogram(d, 60, seed=4)
    assert picture.shape == (301, 402, 3) and picture.dtype == np.uint8
    s = separations(d, 60)
    assert s.max() == 60 and s.min() == 40
    found = decoded(picture, 36, 64)
    middle = np.s_[8:-8, 64:-64]
    assert (np.abs(found - s)[middle] <= 1).mean() > 0.9
    back = d.max() * (60 - found) / 20
    assert np.corrcoef(back[middle].ravel(), d[middle].ravel())[0, 1] > 0.85


def test_a_flat_autostereogram_repeats_exactly() -> None:
    for flat in (np.full((20, 100), 7.0), np.full((20, 100), nan)):
        picture = autostereogram(flat, 25)
        np.testing.assert_array_equal(picture[:, 25:], picture[:, :-25])
        assert len(np.unique(picture[:, :25].reshape(-1, 3), axis=0)) > 1


def test_autostereogram_of_awkward_maps() -> None:
    rng = np.random.default_rng(0)
    for height, width in ((1, 1), (3, 7), (40, 9), (1, 500)):
        d = rng.uniform(-50, 50, (height, width))
        d[0, 0] = nan
        assert autostereogram(d).shape == (height, width, 3)
    with pytest.raises(InputError):
        autostereogram(np.zeros((3, 3, 3)))


def test_hidden_surfaces_leave_no_line_of_sight() -> None:
    """Both dots of a pixel are equal unless something nearer stands before one of them."""
    d = np.zeros((1, 400))
    d[0, 180:220] = 1
    s = separations(d, 60)[0]
    picture = autostereogram(d, 60)[0]
    for x in range(60, 340):
        if not 160 <= x < 240:  # well away from both sides of the step
            left = x - s[x] // 2
            np.testing.assert_array_equal(picture[left], picture[left + s[x]])


def test_anaglyph_by_hand() -> None:
    left = np.full((2, 3, 3), (200, 102, 0), np.uint8)
    right = np.full((2, 3, 3), (10, 20, 30), np.uint8)
    grey_left, grey_right = 0.299 * 200 + 0.587 * 102, 0.299 * 10 + 0.587 * 20 + 0.114 * 30
    for kind, expected in {
        "colour": (200, 20, 30),
        "half": (round(grey_left), 20, 30),
        "grey": (round(grey_left), round(grey_right), round(grey_right)),
    }.items():
        np.testing.assert_array_equal(anaglyph(left, right, kind)[0, 0], expected)


@pytest.mark.parametrize("kind", ANAGLYPHS)
def test_anaglyph_of_one_grey_picture_is_that_picture(kind: str) -> None:
    grey = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, 2)
    off = anaglyph(grey, grey, kind).astype(int) - grey
    assert np.abs(off).max() <= 1


@pytest.mark.parametrize("shift", [-3, 0, 5])
def test_a_shifted_anaglyph_has_no_ghost_where_the_disparity_is_the_shift(shift: int) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (6, 40, 1)).astype(np.uint8).repeat(3, 2)
    left, right = grey[:, 8:28], grey[:, 8 + shift : 28 + shift]  # x − shift shows the same
    merged = anaglyph(left, right, "colour", shift_px=shift)
    assert merged.shape == (6, 20 - abs(shift), 3)
    np.testing.assert_array_equal(merged, left[:, max(shift, 0) : 20 + min(shift, 0)])


def test_anaglyph_of_what_does_not_fit() -> None:
    a = np.zeros((4, 5, 3), np.uint8)
    with pytest.raises(InputError, match="one size"):
        anaglyph(a, a[:, :4])
    with pytest.raises(InputError, match="Choose one of"):
        anaglyph(a, a, "green-magenta")
    with pytest.raises(InputError, match="smaller"):
        anaglyph(a, a, shift_px=-5)


# ---------------------------------------------------------------- maps as colours


@pytest.mark.parametrize("name", pictures.SCALES)
def test_colour_scales_are_the_published_ones(name: str) -> None:
    import matplotlib

    values = np.linspace(-2, 3, 256)[None]
    mine = pictures.colour_map(values, -2, 3, name)[0]
    theirs = matplotlib.colormaps[name](np.arange(256), bytes=True)[:, :3]
    assert np.abs(mine.astype(int) - theirs).max() <= 2
    assert pictures.gradient(name, 2) == ["#" + bytes(mine[i]).hex() for i in (0, 255)]
    assert len(pictures.gradient(name)) == 16


def test_values_beyond_the_ends_keep_the_end_colours() -> None:
    got = pictures.colour_map(np.array([[-9, 0, 1, 9]]), 0, 1)[0]
    assert (got[0] == got[1]).all() and (got[2] == got[3]).all() and (got[1] != got[2]).any()
    assert pictures.colour_map(np.ones((2, 2)), 1, 1).shape == (2, 2, 3)  # no width


@pytest.mark.parametrize("name", pictures.SCALES)
def test_unknown_pixels_look_like_no_value(name: str) -> None:
    values = np.linspace(0, 1, 40 * 30).reshape(30, 40)
    values[5:25, 5:20] = nan
    values[0, 0] = np.inf
    got = pictures.colour_map(values, 0, 1, name)
    hole = got[5:25, 5:20].reshape(-1, 3)
    assert len(np.unique(hole, axis=0)) == 2, "hatched"
    known = pictures.colour_map(np.linspace(0, 1, 256)[None], 0, 1, name)[0].astype(int)
    for colour in np.unique(hole, axis=0).astype(int):
        assert np.abs(known - colour).max(1).min() > 8
    whole = pictures.colour_map(np.full((9, 9), nan), 0, 1, name)
    assert len(np.unique(whole.reshape(-1, 3), axis=0)) == 2
    with pytest.raises(InputError, match="Choose one of"):
        pictures.colour_map(values, 0, 1, "jet")


def test_limits_leave_out_a_few_far_values() -> None:
    values = np.arange(1000.0).reshape(20, 50)
    values[0, 0], values[0, 1] = 1e9, nan
    low, high = pictures.limits(values)
    assert 4 < low < 10 and 990 < high < 1000
    assert pictures.limits(np.full((2, 2), nan)) == (0, 1)
    low, high = pictures.limits(np.full((2, 2), 7))
    assert low == 7 < high
    bar = pictures.legend(low, 9, "px", "magma")
    assert bar["low"] == 7 and bar["high"] == 9 and bar["unit"] == "px"
    assert bar["colours"] == pictures.gradient("magma")


def test_error_picture() -> None:
    truth = np.full((30, 40), 10, np.float32)
    truth[:, :5] = nan
    found = truth + 0
    found[:, 5:] += np.linspace(0, 8, 35, dtype=np.float32)
    found[:, :5] = 3
    found[20:, 30:] = nan
    hidden = np.zeros(truth.shape, bool)
    hidden[5:15, 10:20] = True
    got = pictures.error_picture(found, Truth(truth, hidden))
    magma = pictures.colour_map(np.array([[0, 4]]), 0, 4, "magma")[0]
    np.testing.assert_array_equal(got[0, 5], magma[0])
    np.testing.assert_array_equal(got[0, 39], magma[1])  # 8 px look like 4
    assert {tuple(c) for c in got[:, :5].reshape(-1, 3)} == set(pictures.HATCH)
    assert {tuple(c) for c in got[20:, 30:].reshape(-1, 3)} == set(pictures.NO_ANSWER)
    outlined = (got == pictures.OUTLINE).all(2)
    assert outlined.sum() == 36 and outlined[5, 10:20].all() and not outlined[6:14, 11:19].any()
    plain = pictures.error_picture(found, truth)
    assert not (plain == pictures.OUTLINE).all(2).any()
    with pytest.raises(InputError):
        pictures.error_picture(found, truth[:-1])


def test_filled_and_occluded_pixels_are_orange() -> None:
    left = np.random.default_rng(0).integers(0, 256, (12, 17, 3)).astype(np.uint8)
    known = np.ones((12, 17), np.float32)
    matched, found = known.copy(), known.copy()
    matched[2:6, 3:9] = nan
    found[2:4, 3:9] = nan

    def grey(picture: np.ndarray) -> np.ndarray:
        return (picture == picture[..., :1]).all(2)

    got = pictures.filled_picture(left, matched, found)
    filled = np.isnan(matched) & ~np.isnan(found)
    np.testing.assert_array_equal(grey(got), ~np.isnan(matched))
    orange = got[filled].astype(int)
    assert (orange[:, 0] > orange[:, 1] + 20).all() and (orange[:, 1] > orange[:, 2] + 60).all()
    assert {tuple(c) for c in got[np.isnan(found)]} == set(pictures.HATCH)
    got = pictures.occlusion_picture(left, filled)
    np.testing.assert_array_equal(grey(got), ~filled)
    with pytest.raises(InputError):
        pictures.occlusion_picture(left, filled[:-1])


def test_disparity_picture() -> None:
    d = np.linspace(5, 60, 300, dtype=np.float32).reshape(15, 20)
    np.testing.assert_array_equal(
        pictures.disparity_picture(d, 5, 60), pictures.colour_map(d, 5, 60, "viridis")
    )
    assert pictures.disparity_picture(np.full((3, 4), nan)).shape == (3, 4, 3)
