"""The stereo tab's one call: pairs and their truth, what is mended, results, comparisons."""

from dataclasses import replace

import numpy as np
import pytest

from core.stereo import Pair, StereoResult, StereoSettings, Truth, disparity, inspect
from core.stereo.methods import P1, P2, method_volumes
from core.stereo.pairs import EXAMPLES, SPOILS, RigSettings, SourceSettings, make_pair
from core.stereo.pictures import colour_map
from core.stereo.prepare import PrepareSettings
from core.stereo.run import COMPARE_HELP, Given, compare, made, run
from core.stereo.types import METHODS, USES
from core.types import InputError, Rig
from demos import stereo_views
from demos.stereo_inside import _volumes
from demos.stereo_more import judged
from demos.stereo_panels import headline

BLOCK = StereoSettings("block")


def shifted(width: int = 131, height: int = 77, by: int = 9, seed: int = 0) -> Pair:
    """Noise, and the same noise `by` px further left: every disparity is `by`."""
    rng = np.random.default_rng(seed)
    wide = rng.integers(0, 256, (height, width + by, 3)).astype(np.uint8)
    truth = Truth(np.full((height, width), by, np.float32))
    left, right = wide[:, :width].copy(), wide[:, by:].copy()
    return Pair(left, right, truth, Rig(400, 0.1, width / 2, height / 2))


@pytest.mark.parametrize("method", ["block", "sgbm", "refined"])
def test_a_shift_is_found_by_every_offline_method(method):
    pair = shifted()
    found = disparity(pair.left, pair.right, StereoSettings(method, max_disparity_px=32))
    assert isinstance(found, StereoResult) and found.disparity.shape == (77, 131)
    middle = found.disparity[8:-8, 16:-8]
    assert np.nanmedian(middle) == pytest.approx(9, abs=0.1)
    assert (np.abs(middle - 9) < 0.5).mean() > 0.97
    assert found.seconds > 0 and found.recipe.slug == "stereo"


@pytest.mark.parametrize("key", sorted(EXAMPLES))
def test_every_example_agrees_with_its_truth_and_rig(key):
    """Right picture at x − d shows what the left shows at x, where nothing hides it."""
    pair = make_pair(SourceSettings(example=key, noise=0.0))
    assert pair.truth is not None and pair.rig is not None and pair.truth.occluded is not None
    d = pair.truth.disparity
    rows, columns = np.nonzero(np.isfinite(d) & ~pair.truth.occluded)
    partner = np.rint(columns - d[rows, columns]).astype(int)
    inside = (partner > 0) & (partner < d.shape[1] - 1)
    rows, columns, partner = rows[inside], columns[inside], partner[inside]
    there, *beside = (
        np.abs(pair.left[rows, columns].astype(int) - pair.right[rows, partner + k]).mean()
        for k in (0, -1, 1)
    )
    assert there < min(beside)
    assert np.nanmax(d) < 64, "inside the default range"
    assert np.nanmax(d) > 20, "near enough to be seen"


@pytest.mark.parametrize("how", sorted(SPOILS))
def test_a_spoiled_pair_keeps_its_shape_and_only_true_truth(how):
    good = make_pair(SourceSettings())
    bad = make_pair(SourceSettings(spoil=how))
    assert bad.left.shape == good.left.shape == bad.right.shape
    assert (bad.truth is None) == (how in ("swapped", "same"))
    changed = not np.array_equal(bad.right, good.right)
    assert changed == (how != "none")


def test_swapping_back_a_swapped_example_brings_its_truth_back():
    source = SourceSettings(spoil="swapped")
    _, worse, _ = made(source, PrepareSettings(), RigSettings())
    _, pair, _ = made(source, PrepareSettings(swap=True), RigSettings())
    assert worse.truth is None and pair.truth is not None
    assert np.array_equal(pair.left, make_pair(SourceSettings()).left)


def test_truth_is_dropped_and_told_when_the_left_picture_changes():
    _, pair, prepared = made(SourceSettings(), PrepareSettings(swap=True), RigSettings())
    assert pair.truth is None and any("truth" in note for note in prepared.notes)


def test_one_picture_can_hold_both_halves():
    pair = shifted(width=64, height=20)
    both = np.hstack([pair.left, pair.right])
    source = SourceSettings("own", side_by_side=True)
    halves = make_pair(source, RigSettings(focal_px=300, baseline=6, rig_unit="cm"), both)
    assert np.array_equal(halves.left, pair.left) and np.array_equal(halves.right, pair.right)
    assert halves.rig == Rig(300, 6, 32, 10, 0, "cm")


def test_a_persons_pair_is_scored_against_their_truth():
    pair = shifted()
    given = Given(pair.left, pair.right, pair.rig, pair.truth)
    found = run(SourceSettings("own"), settings=StereoSettings("sgbm"), given=given)
    assert found.scores["bad_2"] < 0.1 and found.depth is not None
    assert np.nanmedian(found.depth) == pytest.approx(400 * 0.1 / 9, rel=0.02)
    small = Truth(np.ones((5, 5), np.float32))
    with pytest.raises(InputError, match="5×5"):
        run(SourceSettings("own"), given=replace(given, truth=small))


def test_default_example_is_good_and_repeats():
    first, again = run(), run()
    assert np.array_equal(first.result.disparity, again.result.disparity, equal_nan=True)
    assert not first.check.findings, [f.says for f in first.check.findings]
    assert first.scores["bad_2"] < 0.08 and first.scores["density"] > 0.6
    assert first.scores["abs_rel"] < 0.03 and np.isfinite(first.result.disparity).all()


def test_sizes_must_agree_and_are_told():
    pair = shifted()
    with pytest.raises(InputError, match="131×77"):
        disparity(pair.left, pair.right[:, :-1])
    with pytest.raises(InputError, match="upright"):
        disparity(pair.left, pair.right.swapaxes(0, 1))


def test_the_same_picture_twice_is_told():
    pair = shifted()
    found = disparity(pair.left, pair.left, BLOCK)
    assert any("same" in note for note in found.notes)


def test_compare_streams_each_method_and_says_which_could_not_run(monkeypatch, tmp_path):
    monkeypatch.setenv("SIGHTLINE_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    methods = ("block", "mono", "sgbm")
    assert set(methods) < set(METHODS)
    settings = SourceSettings(), PrepareSettings(), RigSettings(), StereoSettings()
    found = list(compare(settings[0], methods, *settings[1:]))
    assert [c.step for c in found] == [1, 2, 3]
    assert "did not run" in found[1].name and np.isnan(found[1].scores["bad_2"])
    for done in (found[0], found[2]):
        assert set(done.scores) == set(COMPARE_HELP)
        assert done.scores["bad_2"] < 0.3 and done.picture.dtype == np.uint8


OTHER = {"window_px": 9, "window_cost": "census", "mode": "sgbm", "small_step": 3.0,
         "big_step": 0.5}  # fmt: skip


@pytest.mark.parametrize("method", ["block", "sgbm", "refined"])
def test_a_method_reads_the_settings_it_is_said_to(method):
    pair = make_pair(SourceSettings(grain=0.0))
    left, right = pair.left[100:200, :240], pair.right[100:200, :240]
    plain = StereoSettings(method, max_disparity_px=32)
    first = disparity(left, right, plain).disparity
    for name, value in OTHER.items():
        changed = disparity(left, right, replace(plain, **{name: value})).disparity
        same = np.array_equal(changed, first, equal_nan=True)
        assert same == (name not in USES[method]), name


def test_what_one_picture_says_is_not_called_matched():
    pair = shifted()
    given = Given(pair.left, pair.right)
    found = run(SourceSettings("own"), settings=BLOCK, given=given)
    assert "of the pixels matched" in headline(found)
    alone = replace(found, result=replace(found.result, settings=StereoSettings("mono")))
    assert "Seen in one picture" in headline(alone) and "matched" not in headline(alone)
    with pytest.raises(InputError, match=r"seen in one picture. Choose a stereo method"):
        judged(alone)


# ---------------------------------------------------------------- inside


def test_kept_volumes_serve_their_own_result_only():
    settings = StereoSettings("block", max_disparity_px=16)
    first, other = (
        run(SourceSettings("own"), settings=settings, given=Given(pair.left, pair.right))
        for pair in (shifted(by=9), shifted(by=5, seed=1))
    )
    kept = _volumes(first, None)
    assert _volumes(first, kept) is kept
    stale = _volumes(other, kept)[1]
    assert inspect.curve(kept[1], 70.5, 40.5).winner == 9
    assert inspect.curve(stale, 70.5, 40.5).winner == 5
    anew = replace(first, result=replace(first.result, settings=replace(settings, window_px=7)))
    assert _volumes(anew, kept) is not kept


def test_large_maps_go_to_the_page_thinned():
    """Every pixel that is sent is one of the map's: nothing is mixed across an edge."""
    values = np.repeat(np.arange(4000, dtype=np.float32)[None], 5, 0)
    picture = np.zeros((5, 4000, 3), np.uint8)
    told = stereo_views._layer("Disparity", picture, {"low": 0}, values)["values"]
    assert (told["width"], told["height"]) == (1334, 2)
    assert told["offset"] == 0 and told["scale"] * 65534 == pytest.approx(3999)
    small = stereo_views._layer("Disparity", picture[:, :1500], {"low": 0}, values[:, :1500])
    assert (small["values"]["width"], small["values"]["height"]) == (1500, 5)


@pytest.mark.parametrize("method", ["block", "sgbm", "refined"])
def test_the_cost_curve_is_lowest_where_the_partner_is(method):
    pair = shifted()
    volumes = method_volumes(pair.left, pair.right, StereoSettings(method, max_disparity_px=32))
    place = inspect.curve(volumes, 70.5, 40.5)
    assert (place.x, place.y) == (70, 40)
    assert place.winner == 9 and place.margin > 0.1
    assert place.raw[9] == 0, "equal noise costs nothing"
    assert abs(place.runner_up - 9) > 1
    early = inspect.curve(volumes, 5.5, 40.5)
    assert np.isinf(early.aggregated[6:]).all(), "no partner left of the picture"
    with pytest.raises(InputError):
        inspect.curve(volumes, 500, 3)


def test_a_slice_of_the_volume_is_dark_where_the_disparity_fits():
    pair = shifted()
    volumes = method_volumes(pair.left, pair.right, StereoSettings(max_disparity_px=32))
    right, wrong = (
        inspect.disparity_slice(volumes, d, aggregated=False)[10:-10, 40:-10].mean()
        for d in (9, 20)
    )
    assert right < 0.5 * wrong
    with pytest.raises(InputError, match="0 to 31"):
        inspect.disparity_slice(volumes, 99, aggregated=False)


def test_dearer_steps_give_a_smoother_row():
    pair = make_pair(SourceSettings())
    assert pair.truth is not None
    volumes = method_volumes(pair.left, pair.right, StereoSettings())
    rough, smooth = (
        inspect.path_winner(volumes, pair.left, 180, p1, p2) for p1, p2 in ((0, 0), (P1, P2))
    )
    assert np.abs(np.diff(smooth)).sum() < 0.5 * np.abs(np.diff(rough)).sum()
    off = [np.abs(found - pair.truth.disparity[180]).mean() for found in (rough, smooth)]
    assert off[1] < off[0]


def test_depth_error_grows_as_the_formula_says():
    width = 400
    d = np.repeat(np.linspace(4, 40, width, dtype=np.float32)[None], 50, 0)
    pair = Pair(np.zeros((50, width, 3), np.uint8), np.zeros((50, width, 3), np.uint8),
                Truth(d), Rig(500, 0.1, 200, 25))  # fmt: skip
    off = np.where(np.arange(50)[:, None] % 2 == 0, 0.1, -0.1).astype(np.float32)
    measured, told, step = inspect.errors_by_depth(d + off, pair)
    assert step == pytest.approx(0.1, rel=1e-3)
    for (z0, dz), (z1, formula) in zip(measured, told, strict=True):
        assert z0 == z1 and dz == pytest.approx(formula, rel=0.15)
    with pytest.raises(InputError):
        inspect.errors_by_depth(d, replace(pair, truth=None))


def test_no_partner_lies_right_of_the_picture_either():
    pair = shifted()
    settings = StereoSettings("block", min_disparity_px=-16, max_disparity_px=16)
    volumes = method_volumes(pair.left, pair.right, settings)
    late = inspect.curve(volumes, 127.5, 40.5)  # 3 px from the last column
    assert (np.isinf(late.aggregated) == (volumes.disparities < -3)).all()
    farthest = inspect.disparity_slice(volumes, -16, aggregated=False)
    unknown = colour_map(np.full((77, 131), np.nan), 0, 1, "magma")
    assert (farthest[:, -16:] == unknown[:, -16:]).all()
    partner = np.arange(131) - inspect.path_winner(volumes, pair.left, 40, 1.0, 2.0)
    assert partner.min() >= 0 and partner.max() < 131


def test_the_methods_are_called_as_the_topic_calls_them():
    assert set(METHODS) == set(USES) == {"block", "sgbm", "refined", "mono"}
