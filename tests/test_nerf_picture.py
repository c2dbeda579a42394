"""One picture as a function: what encodings do, known beforehand or measured on made pictures."""

import dataclasses
import math
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from core.nerf.picture import busiest, fit_picture, octaves, several
from core.nerf.picture_field import ENCODINGS, MOST_PIXELS, PictureSettings, _corners, draw
from core.nerf.types import NerfSettings
from core.runtime import Done, Part
from core.types import InputError

QUICK = PictureSettings(picture_steps=60, picture_width=32, picture_depth=2, picture_pixels=256)


def detailed(width: int = 43, height: int = 31) -> np.ndarray:
    """A slow shade with fast stripes and checks on it."""
    y, x = np.mgrid[:height, :width]
    shade = 120 + 60 * np.sin(x / width * 3) + 40 * y / height
    checks = 50.0 * ((x // 3 + y // 3) % 2)
    return (
        np.dstack([shade - checks, shade + checks / 2, 255 - shade]).clip(0, 255).astype(np.uint8)
    )


def last(image: np.ndarray, settings: PictureSettings):
    *_, end = fit_picture(image, settings)
    return end


# ---------------------------------------------------------------- learning


def test_sines_learn_detail_that_bare_coordinates_do_not():
    image = detailed()
    settings = replace(QUICK, picture_steps=500, picture_width=64)
    bare, sines = (last(image, replace(settings, picture_encoding=e)) for e in ("none", "sines"))
    assert bare.step == sines.step == 500
    assert sines.psnr >= bare.psnr + 6


def test_without_frequencies_positional_encoding_is_bare_coordinates():
    image = detailed(17, 31)
    bare = last(image, replace(QUICK, picture_encoding="none"))
    none_left = last(image, replace(QUICK, picture_frequencies=0))
    assert np.array_equal(bare.preview, none_left.preview)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("pixels", (0, 200))
def test_every_encoding_learns_an_odd_picture(encoding, pixels):
    image = detailed(17, 31)
    mean = np.broadcast_to(image.mean((0, 1)), image.shape)
    spread = 10 * np.log10(255**2 / np.mean((image - mean) ** 2))  # what the mean colour scores
    end = last(image, replace(QUICK, picture_encoding=encoding, picture_pixels=pixels))
    assert end.preview.shape == (31, 17, 3) and end.preview.dtype == np.uint8
    assert end.step == end.total == 60 and end.seconds > 0
    assert end.psnr > spread + 1.5
    assert math.isclose(end.loss, 10 ** (-end.psnr / 10), rel_tol=0.6)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_seed_decides(encoding):
    image, settings = detailed(17, 31), replace(QUICK, picture_encoding=encoding, picture_steps=20)
    one, same = last(image, settings), last(image, settings)
    other = last(image, replace(settings, picture_seed=1))
    assert np.array_equal(one.preview, same.preview) and one.loss == same.loss
    assert not np.array_equal(one.preview, other.preview)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("shape", ((1, 1), (1, 23), (19, 1), (5, 4)))
def test_one_colour_and_slivers(encoding, shape):
    image = np.full((*shape, 3), (200, 30, 90), np.uint8)
    settings = replace(QUICK, picture_encoding=encoding, picture_steps=150)
    end = last(image, settings)
    assert end.psnr > 30
    assert all(math.isnan(share) for _, share in octaves(image, end.preview))
    assert draw(end.field, (7, 3)).shape == (3, 7, 3)


# ---------------------------------------------------------------- clock


def test_time_ends_it_and_previews_are_off_the_clock():
    settings = replace(QUICK, picture_steps=0, picture_seconds=0.5)
    snapshots = list(fit_picture(detailed(), settings))
    assert [s.step for s in snapshots] == sorted({s.step for s in snapshots})
    assert snapshots[0].step == 1 and snapshots[0].total == 0
    assert 0.5 <= snapshots[-1].seconds < 1.0


def test_several_share_one_clock():
    settings = replace(QUICK, picture_steps=0, picture_seconds=0.6)
    chosen = {e: replace(settings, picture_encoding=e) for e in ENCODINGS}
    told = []
    rounds = list(several(detailed(), chosen, lambda share, desc="": told.append(share)))
    assert all(list(states) == list(ENCODINGS) for states in rounds)
    for states in rounds[:-4]:  # nobody is a turn and a step ahead
        seconds = [s.seconds for s in states.values()]
        assert max(seconds) - min(seconds) < 0.4
    assert told == sorted(told) and told[-1] == 1


def test_side_by_side_learns_what_each_learns_alone():
    image = detailed(17, 31)
    chosen = {e: replace(QUICK, picture_encoding=e) for e in ("none", "siren")}
    *_, states = several(image, chosen)
    for encoding, settings in chosen.items():
        assert np.array_equal(states[encoding].preview, last(image, settings).preview)


def test_a_snapshot_stays_as_it_was():
    running = several(detailed(), {"a": replace(QUICK, picture_steps=0)})
    first = next(running)["a"]
    next(running)
    assert np.array_equal(draw(first.field), first.preview)
    running.close()  # type: ignore[attr-defined]


def test_closing_stops_and_progress_may_stop_it():
    running = fit_picture(detailed(), replace(QUICK, picture_steps=0))
    next(running)
    running.close()  # type: ignore[attr-defined]
    assert list(running) == []

    def enough(share, desc=""):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        next(fit_picture(detailed(), QUICK, enough))


# ---------------------------------------------------------------- asking


def test_the_four_quarters_make_the_whole():
    field = last(detailed(), replace(QUICK, picture_steps=5)).field
    whole = draw(field, (22, 14)).astype(int)
    parts = [
        [draw(field, (11, 7), window=(x, y, x + 0.5, y + 0.5)) for x in (0, 0.5)] for y in (0, 0.5)
    ]
    joined = np.concatenate([np.concatenate(row, 1) for row in parts], 0)
    assert np.abs(joined - whole).max() <= 1


def test_hiding_frequencies():
    end = last(detailed(), replace(QUICK, picture_steps=120))
    assert np.array_equal(draw(end.field, shown=7), end.preview)
    missing = [
        np.abs(draw(end.field, shown=k) - end.preview.astype(float)).mean() for k in (0, 3, 6)
    ]
    assert missing[0] > 5 and missing[2] > 0
    bare = last(detailed(), replace(QUICK, picture_encoding="none", picture_steps=5))
    assert np.array_equal(draw(bare.field, shown=0), bare.preview)
    grid = last(detailed(), replace(QUICK, picture_encoding="hash", picture_steps=20))
    assert np.ptp(draw(grid.field, shown=0), (0, 1)).max() == 0  # no level left: one colour


def test_corners_of_a_cell_by_hand():
    import torch

    # x = (−0.25, 0.5) is (1.5, 3) in 4 cells a side: half way from column 1 to 2, on row 3
    rows, shares = _corners(torch.tensor([[-0.25, 0.5]]), (4,), None)
    assert rows[0, 0].tolist() == [1 + 5 * 3, 2 + 5 * 3, 1 + 5 * 4, 2 + 5 * 4]
    assert shares[0, 0].tolist() == [0.5, 0.5, 0, 0]
    edge, shares = _corners(torch.tensor([[1.0, 1.0]]), (4,), None)  # the last corner, no further
    assert edge[0, 0, 3] == 24 and shares[0, 0].tolist() == [0, 0, 0, 1]
    fine, _ = _corners(torch.rand(1000, 2) * 2 - 1, (4, 300), None)
    assert fine[:, 1].min() >= 25 and fine[:, 1].max() < 25 + 4096  # its own part of the table


def test_octaves_say_which_frequencies_are_there():
    x = np.arange(64)
    slow, fast = 50 * np.sin(2 * np.pi * 3 * x / 64), 40 * np.sin(2 * np.pi * 24 * x / 64)

    def picture(row):
        return np.broadcast_to((128 + row).round()[None, :, None], (37, 64, 3)).astype(np.uint8)

    image = picture(slow + fast)
    found = dict(octaves(image, picture(slow)))
    assert list(found) == [1, 2, 4, 8, 16]
    assert found[2] > 0.99 and abs(found[16]) < 0.01
    assert all(share == 1 for share in dict(octaves(image, image)).values() if share == share)


def test_the_busiest_window_holds_the_only_detail():
    image = np.full((40, 61, 3), 90, np.uint8)
    image[25:29, 44:49] = np.random.default_rng(0).integers(0, 255, (4, 5, 3))
    left, top, right, bottom = busiest(image)
    assert left * 61 <= 44 and right * 61 >= 49 and top * 40 <= 25 and bottom * 40 >= 29
    assert np.isclose((right - left) * 61, 12) and np.isclose((bottom - top) * 40, 8)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "image",
    (np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3), np.float32), np.zeros((0, 5, 3), np.uint8),
     np.zeros((4, 5, 4), np.uint8), np.zeros((1, MOST_PIXELS + 1, 3), np.uint8)),
)  # fmt: skip
def test_what_is_no_picture_is_said(image):
    with pytest.raises(InputError, match=r"picture.*\."):
        next(fit_picture(image, QUICK))


@pytest.mark.parametrize(
    "bad",
    ({"picture_encoding": "wavelets"}, {"picture_frequencies": -1}, {"picture_omega": math.nan},
     {"picture_seconds": 0}, {"picture_width": 2.5}, {"picture_steps": None}),
)  # fmt: skip
def test_bad_settings_are_said(bad):
    with pytest.raises(InputError, match=r"[A-Z].*\."):
        PictureSettings(**bad)


def test_none_or_too_many_side_by_side():
    for count in (0, 5):
        with pytest.raises(InputError, match="one to 4"):
            next(several(detailed(), {str(k): QUICK for k in range(count)}))


def test_names_do_not_collide_with_those_of_the_tab():
    names = [{f.name for f in dataclasses.fields(kind)} for kind in (PictureSettings, NerfSettings)]
    assert not names[0] & names[1]


# ---------------------------------------------------------------- the page


def test_the_page_streams_cells_and_curves():
    from demos.nerf_picture import SWEEPS, fitted, side_by_side

    for sweep in SWEEPS:
        chosen = side_by_side(sweep, replace(QUICK, picture_steps=4))
        assert len(chosen) == 4 == len({repr(s) for s in chosen.values()})
        events = list(fitted(detailed(17, 31), chosen))
        assert any(isinstance(e, Part) for e in events) and isinstance(events[-1], Done)
        made = events[-1].value
        assert list(made.cells) == list(chosen) and all("<img" in c for c in made.cells.values())
        assert all(points == sorted(points) for points in made.curves.values())


def test_closing_the_page_ends_the_work():
    from demos.nerf_picture import fitted, side_by_side

    before = threading.active_count()
    events = fitted(detailed(), side_by_side("encodings", replace(QUICK, picture_steps=0)))
    while not isinstance(next(events), Part):
        pass
    events.close()  # type: ignore[attr-defined]
    began = time.perf_counter()
    while threading.active_count() > before and time.perf_counter() - began < 5:
        time.sleep(0.02)
    assert threading.active_count() <= before


def test_the_panel_draws_itself_with_its_own_names():
    import gradio as gr

    from demos import nerf_picture

    with gr.Blocks() as page:
        nerf_picture.panel()
    ids = {b.elem_id for b in page.blocks.values() if isinstance(b, gr.Button)}
    assert "nerf-picture-now" in ids
    assert all(f.api_visibility == "private" for f in page.fns.values())
