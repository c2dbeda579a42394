"""Bad pairs, rigs and truths through the stereo tab's own handlers: a plain sentence each.

Every case goes where a click on Measure goes. It ends in one sentence in the status line, with
every output left as it was, or in a result, with notes where a person should know something.
"""

import inspect
import itertools
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest

from core.recipe import from_link
from core.stereo.board import Board
from core.stereo.rigfile import write_rig
from core.stereo.run import Run
from core.stereo.truth import write_pfm
from core.types import InputError
from demos import stereo, stereo_panels, ui
from demos.widgets.base import Widget
from tests.test_hostile import (
    FINE,
    MACHINE,
    REFUSED,
    TEXTURE,
    TINY,
    UNIFORM,
    flat,
    on_its_side,
    photo,
    raw,
    texture,
    words,
)  # fmt: skip
from tests.test_hostile import NEXT as STEP
from tests.test_stereo_rigs import HOSTILE as RIGS
from tests.test_stereo_rigs import RAW, yaml
from tests.test_stereo_truth import HOSTILE as TRUTHS

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

NEXT = re.compile(  # the last: a file's number, with what it should be
    STEP.pattern
    + r"|\b(Add|[Cc]alibrate|Click|Correct|Crop|Put|Run|[Ss]wap|Take|Turn|are above 0)\b"
)
FIELDS = {f.name: f for kind in stereo.KINDS for f in fields(kind)}
FILES = ("left", "right", "rig", "truth")
BY = 7  # px that everything is shifted in the good pair
LEFT, RIGHT = TEXTURE, np.roll(TEXTURE, -BY, axis=1)
HEIGHT, WIDTH = LEFT.shape[:2]


# ---------------------------------------------------------------- the tab and its handlers


@dataclass
class Tab:
    """The built tab: its handlers, called with every widget's value, to be overridden by name."""

    page: gr.Blocks

    def __post_init__(self):
        (self.measure,) = (f for f in self.page.fns.values() if f.api_name == "stereo")
        self.status, self.state = self.measure.outputs[:2]
        widgets: Any = self.measure.inputs
        self.widgets = dict(zip([*FILES, *FIELDS], widgets, strict=True))

    def values(self, *given: Path | None, **changed: Any) -> list[Any]:
        """What a press on a button sends: a person's own pair, matched quickly, unless changed."""
        values = {name: widget.value for name, widget in self.widgets.items()}
        values |= dict(zip(FILES, (None if p is None else str(p) for p in given), strict=False))
        values |= {"source": "own", "method": "sgbm", "max_disparity_px": 16, **changed}
        assert len(values) == len(self.widgets), "a name that no widget has"
        return list(values.values())

    def press(self, *given: Path | None, **changed: Any) -> list[dict]:
        """All updates of one press on Measure."""
        assert self.measure.fn is not None
        asked = SimpleNamespace(session_hash="hostile")
        return list(self.measure.fn(asked, *self.values(*given, **changed)))

    def result(self, *given: Path | None, **changed: Any) -> Run:
        """What a press found; fails, with the sentence, if it found nothing."""
        *before, last = self.press(*given, **changed)
        assert all(list(update) == [self.status] for update in before)
        assert self.state in last, words(last[self.status])
        for widget, value in last.items():
            if isinstance(widget, Widget):
                json.dumps(value, allow_nan=False)  # a browser's JSON knows no NaN
        return last[self.state]

    def on(self, event: str, elem_id: str | None = None) -> Any:
        """The first handler that listens to this event, of the component with this id."""
        for handler in self.page.fns.values():
            for block, name in handler.targets:
                its = getattr(self.page.blocks.get(block), "elem_id", None)  # type: ignore[arg-type]
                if name == event and elem_id in (None, its) and handler.fn is not None:
                    return handler
        raise AssertionError(f"nothing listens to {event} of {elem_id}")

    def said(self, event: str, elem_id: str | None, *values: Any) -> tuple[str, list[Any]]:
        """What the status line says after an event, and the other widgets it changed."""
        answer = self.on(event, elem_id).fn(*values)
        last = answer if isinstance(answer, dict) else list(answer)[-1]
        (status,) = (w for w in last if "status" in (w.elem_classes or ()))
        return words(last[status]), [w for w in last if w is not status]


@pytest.fixture(scope="module")
def tab():
    with gr.Blocks() as page:
        stereo.demo.build()
    return Tab(page)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("stereo-hostile")


@pytest.fixture(scope="module")
def good(folder):
    return photo(LEFT, folder / "good0.png"), photo(RIGHT, folder / "good1.png")


@pytest.fixture(scope="module")
def first(tab, good):
    """What the good pair gives in a fresh tab."""
    return tab.result(*good)


CASES = itertools.count(1)


@pytest.fixture(autouse=True)
def the_tab_lives_on(tab, good, first):
    """After every tenth case the good pair is measured as before."""
    yield
    if next(CASES) % 10:
        return
    again = tab.result(*good).result
    assert np.array_equal(again.disparity, first.result.disparity, equal_nan=True)
    assert np.nanmedian(again.disparity) == BY


def check_sentence(sentence: str, cause: str) -> None:
    assert sentence.endswith("."), sentence
    assert not MACHINE.search(sentence), sentence
    assert re.search(cause, sentence), sentence
    assert NEXT.search(sentence), f"it doesn't say what to do next: {sentence}"
    assert len(sentence) < 400, sentence


def refused(tab: Tab, cause: str, *given: Path | None, **changed: Any) -> None:
    """A press that must end in one good sentence and change nothing else."""
    updates = tab.press(*given, **changed)
    assert all(list(update) == [tab.status] for update in updates), "an output was touched"
    check_sentence(words(updates[-1][tab.status]), cause)


def check_notes(found: Run, cause: str) -> None:
    """What the result and the check before it say are plain sentences; one names the cause."""
    said = [*found.result.notes, *(finding.says for finding in found.check.findings)]
    for sentence in said:
        assert sentence.endswith(".") and not MACHINE.search(sentence), sentence
    assert any(cause in sentence for sentence in said) or not cause, said


def write(path: Path, data: str | bytes) -> Path:
    return raw(data)(path)


# ---------------------------------------------------------------- pictures

UNREADABLE = [case for case in REFUSED if case[2] not in (TINY, UNIFORM)]


@pytest.mark.parametrize("name,make,cause", UNREADABLE, ids=[r[0] for r in UNREADABLE])
def test_a_picture_that_cannot_be_read(tab, folder, good, name, make, cause):
    path = make(folder / name)
    refused(tab, f"The left picture.*{cause}", path, good[1])
    refused(tab, f"The right picture.*{cause}", good[0], path)


def test_a_missing_picture_is_named(tab, good):
    refused(tab, "The left picture is missing")
    refused(tab, "The right picture is missing", good[0])
    refused(tab, "The left picture is missing", None, good[1])
    refused(tab, "picture with both halves is missing", None, good[1], side_by_side=True)


def test_sizes_that_differ(tab, folder, good):
    size = f"{WIDTH}×{HEIGHT} px.*"
    for name, other, cause in (
        ("narrow", LEFT[:, :-1], f"{WIDTH - 1}×{HEIGHT} px.*Crop or scale"),
        ("upright", np.rot90(LEFT).copy(), f"{HEIGHT}×{WIDTH} px.*upright.*Turn"),
        ("pixel", flat(1, 1), "1×1 px"),
    ):
        path = photo(other, folder / f"{name}.png")
        refused(tab, size + cause, good[0], path)
    side = photo(LEFT, folder / "side.jpg", exif=on_its_side())
    refused(tab, "upright.*Turn", good[0], side)


def test_a_pair_on_its_side_is_measured_upright(tab, folder):
    """Both files lie; partners are in one row only after they stand up."""
    paths = [photo(np.rot90(eye).copy(), folder / f"lying{k}.png", exif=on_its_side())
             for k, eye in enumerate((LEFT, RIGHT))]  # fmt: skip
    found = tab.result(*paths)
    assert found.pair.left.shape == LEFT.shape
    assert np.nanmedian(found.result.disparity) == BY


@pytest.mark.parametrize("name,make", FINE, ids=[r[0] for r in FINE])
def test_odd_files_measure_as_well(tab, folder, good, name, make):
    found = tab.result(make(folder / name), good[1])
    assert found.pair.left.shape == LEFT.shape
    assert np.nanmedian(found.result.disparity) == pytest.approx(BY, abs=0.1)


def test_the_same_file_twice(tab, good):
    check_notes(tab.result(good[0], good[0]), "same")


def test_swapped_pictures_are_told_and_mended(tab, good):
    found = tab.result(good[1], good[0])
    check_notes(found, "wapp")
    mended = tab.result(good[1], good[0], swap=True)
    assert np.nanmedian(mended.result.disparity) == BY


def test_transparent_and_blank_pictures(tab, folder):
    clear = photo(np.dstack([LEFT, np.zeros_like(LEFT[..., 0])]), folder / "clear.png")
    white = photo(flat(WIDTH, HEIGHT), folder / "white.png")
    for pair in ((clear, white), (white, clear)):
        check_notes(tab.result(*pair), "same")


def test_a_search_that_exceeds_the_memory(tab, folder):
    path = photo(flat(3000, 2000), folder / "large.png")
    given = {"max_side_px": 8192, "max_disparity_px": 512}
    for method in ("block", "sgbm", "refined"):
        refused(tab, "3000×2000 px with 512 disparities need 6.1 GB.*Lower", path, path,
                method=method, **given)  # fmt: skip


def test_halves_of_one_picture(tab, folder):
    both = photo(np.hstack([LEFT, RIGHT]), folder / "both.png")
    assert np.nanmedian(tab.result(both, side_by_side=True).result.disparity) == BY
    odd = photo(np.hstack([LEFT, flat(1, HEIGHT), RIGHT]), folder / "odd.png")
    assert np.nanmedian(tab.result(odd, side_by_side=True).result.disparity) == BY
    for width in (1, 2, 3):
        path = photo(texture(9, 50)[:, :width], folder / f"thin{width}.png")
        if width == 1:
            refused(tab, "one pixel wide", path, side_by_side=True)
        else:
            assert tab.result(path, side_by_side=True).result.disparity.shape == (50, 1)


SHAPES = [(1, 1), (2, 3), (1, 60), (60, 1), (8, 8), (5, 90), (90, 5), (17, 16)]


@pytest.mark.parametrize("method", ["block", "sgbm", "refined"])
def test_awkward_sizes_end_in_a_result_or_a_sentence(tab, folder, method):
    for width, height in SHAPES:
        image = texture(99, 99)[:height, :width].copy()
        paths = [photo(np.roll(image, -k, 1), folder / f"small{k}.png") for k in (0, 1)]
        for changed in ({}, {"fill": False}, {"rectify": True}, {"equalise": True}):
            *_, last = tab.press(*paths, method=method, **changed, focal_px=100)
            if tab.state not in last:
                check_sentence(words(last[tab.status]), "matches|small|pixels")
                continue
            found = last[tab.state]
            check_notes(found, "")
            assert found.result.disparity.shape == (height, width)


# ---------------------------------------------------------------- settings

SETTINGS = [
    ({"min_disparity_px": 16}, "isn't above the least"),
    ({"min_disparity_px": 100}, "isn't above the least"),
    ({"min_disparity_px": None}, "Least disparity"),
    ({"max_disparity_px": 0}, "Largest disparity is 0, outside 8 to 512"),
    ({"max_disparity_px": 1e300}, "Largest disparity"),
    ({"max_disparity_px": float("nan")}, "Largest disparity"),
    ({"max_disparity_px": "many"}, "Largest disparity"),
    ({"window_px": 0}, "Window"),
    ({"window_px": 2.5}, "Window"),
    ({"focal_px": -1}, "Focal length is -1"),
    ({"focal_px": float("inf")}, "Focal length"),
    ({"focal_px": None}, "Focal length"),
    ({"focal_px": 500, "baseline": 0}, "Baseline is 0"),
    ({"focal_px": 500, "baseline": -0.1}, "Baseline is -0.1"),
    ({"focal_px": 500, "baseline": None}, "Baseline"),
    ({"focal_px": 500, "rig_unit": "mile"}, "Unit has no choice 'mile'"),
    ({"doffs_px": 1e9}, "Offset of disparities"),
    ({"truth_scale": -4}, "Scale of the truth"),
    ({"method": "magic"}, "Method has no choice 'magic'"),
    ({"method": None}, "Method"),
    ({"mode": "ff"}, "SGBM paths"),
    ({"window_cost": "x"}, "Window cost"),
    ({"check_px": -1}, "Left–right check"),
    ({"uniqueness": 101}, "Uniqueness"),
    ({"max_side_px": 1}, "Working size"),
    ({"swap": None}, "Swap"),
    ({"fill": "yes"}, "Fill"),
    ({"source": "the moon"}, "Pictures has no choice"),
    ({"source": "example", "example": "nothing"}, "Example has no choice"),
    ({"source": "example", "spoil": "all"}, "Spoil has no choice"),
    ({"source": "dots", "dots_shape": "cat"}, "Hidden shape has no choice"),
    ({"source": "dots", "dots_disparity_px": 10**9}, "Its disparity"),
    ({"source": "dots", "pair_seed": -1}, "Picture seed"),
]


@pytest.mark.parametrize("changed,cause", SETTINGS, ids=[str(s[0])[:50] for s in SETTINGS])
def test_settings_that_cannot_be_used(tab, good, changed, cause):
    refused(tab, cause, *good, **changed)


def test_windows_that_a_method_cannot_use(tab, good):
    kinds = [("sgbm", "bm"), *(("block", cost) for cost in ("bm", "sad", "zncc", "census"))]
    for (method, cost), window in itertools.product(kinds, (1, 6)):
        *_, last = tab.press(*good, method=method, window_cost=cost, window_px=window)
        if tab.state in last:
            check_notes(last[tab.state], "")
        else:
            check_sentence(words(last[tab.status]), "window of 6 px.*odd")


@pytest.mark.parametrize("method", ["block", "sgbm"])
def test_a_range_beyond_the_picture_is_told(tab, good, method):
    found = tab.result(*good, method=method, max_disparity_px=504)
    check_notes(found, f"504 px in a picture {WIDTH} px wide")


def test_a_range_that_misses_everything(tab, good):
    found = tab.result(*good, min_disparity_px=200, max_disparity_px=256)
    check_notes(found, "only 200 to 256 px are searched")
    found = tab.result(*good, min_disparity_px=-256, max_disparity_px=8)
    assert np.nanmedian(found.result.disparity) == BY


@pytest.mark.usefixtures("offline")
def test_weights_that_are_not_here(tab, good):
    refused(tab, "weights|offline", *good, method="mono")


# ---------------------------------------------------------------- rig files


@pytest.mark.parametrize("kind", RIGS)
def test_a_rig_file_that_cannot_be_used(tab, folder, good, kind):
    path = folder / "gone.txt" if kind == "missing" else write(folder / "rig.txt", RIGS[kind])
    refused(tab, "^The rig file", *good, path)


def test_rig_files_that_are_no_text(tab, folder, good):
    for data in (b"\x89PNG\r\n\x1a\n\0\0", bytes(range(256)) * 9):
        refused(tab, "The rig file isn't text", *good, write(folder / "rig.txt", data))
    refused(tab, "The rig file can't be opened", *good, folder)
    refused(tab, "The rig file isn't text", *good, good[0])


def test_a_calibration_for_pictures_of_another_shape(tab, folder, good):
    path = write_rig(RAW, folder / "raw.yml")  # 641×479
    upright = [photo(np.rot90(eye).copy(), folder / f"up{k}.png")
               for k, eye in enumerate((LEFT, RIGHT))]  # fmt: skip
    refused(tab, "calibration is for 641×479 px, the pictures have 180×240", *upright, path)


TURNED = (0, -1, 0, 1, 0, 0, 0, 0, 1)
NOTHING = "hardly anything of the pictures is left.*calibrate again"
CALIBRATIONS = {
    "the other way": (yaml(T=(60, 0, 0)), "to the left of the left one. Swap"),
    "one above the other": (yaml(T=(0, 60, 0)), "above the other. Turn"),
    "on its side": (yaml(R=TURNED), NOTHING),
    "behind": (yaml(T=(0, 0, 60)), "By the calibration, one camera stands"),
    "facing away": (yaml(R=(-1, 0, 0, 0, 1, 0, 0, 0, -1)), NOTHING),
    "telescope": (yaml(K1=(9e6, 0, 120, 0, 9e6, 90, 0, 0, 1)), NOTHING),
    "wild lens": (
        yaml() + "D1: [ 9, 9, 9, 9, 9 ]\nD2: [ -9, 9, -9, 9, 9 ]\n", NOTHING
    ),
    "centre far outside": (yaml(K1=(500, 0, 1e6, 0, 500, 240, 0, 0, 1)), NOTHING),
}  # fmt: skip


@pytest.mark.parametrize("kind", CALIBRATIONS)
def test_cameras_that_cannot_be(tab, folder, good, kind):
    text, cause = CALIBRATIONS[kind]
    refused(tab, cause, *good, write(folder / "cameras.yml", text))


def test_cameras_far_apart_are_measured_and_told(tab, folder, good):
    found = tab.result(*good, write(folder / "cameras.yml", yaml(T=(-1e12, 0, 0))))
    assert found.pair.rig.baseline == pytest.approx(1e12)
    check_notes(found, "The rig seems to be that of another size")


def test_a_rig_that_cannot_fit_is_told(tab, good):
    check_notes(tab.result(*good, focal_px=0.5, baseline=0.1), "focal length")
    check_notes(tab.result(*good, focal_px=90_000, baseline=0.1), "focal length")
    check_notes(tab.result(*good, focal_px=240, baseline=90_000), "baseline")
    nowhere = tab.result(*good, focal_px=240, doffs_px=-9999)
    assert nowhere.depth is not None and np.isnan(nowhere.depth).all()


# ---------------------------------------------------------------- truth files


@pytest.mark.parametrize("kind", TRUTHS)
def test_a_truth_file_that_cannot_be_used(tab, folder, good, kind):
    make, cause = TRUTHS[kind]
    path = write(folder / "truth", make())
    refused(tab, f"^The truth file.*({cause})", *good, None, path, truth_scale=4)


def test_a_truth_that_does_not_fit(tab, folder, good):
    small = write_pfm(np.full((5, 6), 3, np.float32), folder / "small.pfm")
    refused(tab, "The truth is 6×5 px, the left picture 240×180", *good, None, small)
    grey = photo(np.full((HEIGHT, WIDTH), 4 * BY, np.uint8), folder / "grey.png")
    refused(tab, "8-bit picture. Give its scale", *good, None, grey)
    assert tab.result(*good, None, grey, truth_scale=4).scores["epe"] < 0.5
    refused(tab, "The truth file: there is no file", *good, None, folder / "none.pfm")
    refused(tab, "The truth file.*is a folder", *good, None, folder)
    refused(tab, "The truth file is a colour", *good, None, good[0])


def test_a_truth_with_holes_is_scored_where_it_is_known(tab, folder, good):
    d = np.full((HEIGHT, WIDTH), BY, np.float32)
    d[::2] = np.inf
    d[1, 1:9] = np.nan
    found = tab.result(*good, None, write_pfm(d, folder / "holes.pfm"))
    assert found.scores["valid_bad_1"] < 0.2
    d[3:] = np.nan
    one = tab.result(*good, None, write_pfm(d, folder / "row.pfm"), fill=False, focal_px=240)
    assert one.scores["density"] > 0.5
    far = write_pfm(np.full((HEIGHT, WIDTH), 200, np.float32), folder / "far.pfm")
    assert tab.result(*good, None, far).scores["bad_4"] == 1


def test_truth_and_rectifying_do_not_go_together(tab, folder, good):
    truth = write_pfm(np.full((HEIGHT, WIDTH), BY, np.float32), folder / "truth.pfm")
    found = tab.result(*good, None, truth, swap=True)
    assert not found.scores
    check_notes(found, "no score after swapping")


# ---------------------------------------------------------------- panels bear a poor result


def poor(kind: str, tab: Tab, folder: Path) -> Run:
    """A result of which little or nothing is known."""
    rng = np.random.default_rng(0)
    eyes: Sequence[np.ndarray] = [rng.integers(0, 256, (40, 60, 3), np.uint8) for _ in (0, 1)]
    changed: dict[str, Any] = {"focal_px": 60}
    if kind == "nothing":
        changed |= {"fill": False, "check_px": 0.0, "uniqueness": 50, "method": "refined"}
    elif kind == "blank":
        eyes = flat(60, 40), flat(60, 40, 9)
        changed |= {"fill": False}
    elif kind == "a pixel":
        eyes = flat(1, 1), flat(1, 1, 9)
    elif kind == "a column":
        eyes = eyes[0][:, :9], eyes[1][:, :9]
    elif kind == "one disparity":
        changed |= {"min_disparity_px": 15}
    elif kind == "behind":
        changed |= {"doffs_px": -9999}
    elif kind == "no rig":
        changed = {}
    paths = [photo(eye, folder / f"{kind}{k}.png") for k, eye in enumerate(eyes)]
    return tab.result(*paths, **changed)


@pytest.fixture
def offline(monkeypatch, tmp_path):
    monkeypatch.setenv("SIGHTLINE_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("SIGHTLINE_MODELS", raising=False)


POOR = ("noise", "nothing", "blank", "a pixel", "a column", "one disparity", "behind", "no rig")


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("kind", POOR)
def test_every_panel_bears_a_poor_result(tab, folder, kind):
    """What else acts on a result: tabs, sliders, files. None may call itself a bug."""
    found = poor(kind, tab, folder)
    if kind == "nothing":
        assert np.isnan(found.result.disparity).all()
    tried = 0
    for handler in tab.page.fns.values():
        call: Callable | None = handler.fn
        if not handler.inputs or handler.inputs[0] is not tab.state or call is None:
            continue
        taken = set(inspect.signature(call).parameters)
        if {"event", "key"} & taken:
            continue  # they need a click's place, or a finding
        asked = {"request": SimpleNamespace(session_hash="hostile")} if "request" in taken else {}
        for given in (found, None):
            answer = call(given, *(w.value for w in handler.inputs[1:]), **asked)
            updates = [answer] if isinstance(answer, dict) else list(answer)
            for said in itertools.chain.from_iterable(u.values() for u in updates):
                if isinstance(said, str) and 'role="alert"' in said:
                    check_sentence(words(said), "")
        tried += 1
    assert tried >= 10


@pytest.mark.parametrize("kind", POOR)
def test_clicks_on_a_poor_result(tab, folder, kind):
    found = poor(kind, tab, folder)
    height, width = found.result.disparity.shape
    inside = (0.5, 0.5), (width - 0.5, height - 0.5)
    outside = (-3, 0.5), (width + 9.0, 1), (1, 1e9), (float("nan"), 0), (width, height)
    for x, y in (*inside, *outside):
        said, changed = tab.said("picked", None, found, gr.EventData(None, {"x": x, "y": y}))
        if said:
            check_sentence(said, "outside")
            assert not changed
        else:
            assert 0 <= x <= width and 0 <= y <= height
        for x1, y1 in inside:
            place = {"x0": x, "y0": y, "x1": x1, "y1": y1}
            said, changed = tab.said("measured", None, found, gr.EventData(None, place))
            if said:
                check_sentence(said, "rig|outside|no depth is known")
                assert not changed
            else:
                assert found.pair.rig is not None


def test_clicks_before_there_is_a_result(tab):
    for event, place in (("picked", {"x": 1, "y": 1}),
                         ("measured", {"x0": 1, "y0": 1, "x1": 2, "y1": 2})):  # fmt: skip
        said, changed = tab.said(event, None, None, gr.EventData(None, place))
        check_sentence(said, "no result yet")
        assert not changed


@pytest.mark.parametrize("key", sorted(stereo.FIXES))
def test_a_fix_without_its_finding(tab, key, first):
    """The page may be older than the server's memory, or the button pressed twice."""
    values = tab.values()[len(FILES) :]
    said, changed = tab.said("click", f"stereo-fix-{key}", None, *values)
    check_sentence(said, "no result yet")
    assert not changed
    assert not first.check.findings
    said, changed = tab.said("click", f"stereo-fix-{key}", first, *values)
    check_sentence(said, "nothing")
    assert not changed


# ---------------------------------------------------------------- what the page shows


def handler(tab: Tab, event: str, label: str) -> Any:
    """The handler in Python that listens to this event of the widget or tab with this label."""
    ids = {b._id for b in tab.page.blocks.values() if getattr(b, "label", "") == label}
    (found,) = (h for h in tab.page.fns.values() if h.fn is not None
                and any(block in ids and name == event for block, name in h.targets))  # fmt: skip
    return found


def test_the_cost_curve_counts_in_the_pictures_own_pixels(tab, folder, good):
    """Matched at half the size: a shift of 8 px is one of 4 there, and is told as 8."""
    right = photo(np.roll(LEFT, -8, axis=1), folder / "eight.png")
    found = tab.result(good[0], right, max_side_px=WIDTH // 2)
    assert np.nanmedian(found.result.disparity) == pytest.approx(8, abs=0.5)
    curve = handler(tab, "select", "Cost curve")
    facts = curve.outputs[3]
    told = words(curve.fn(found, None, None)[facts])
    assert re.search(r"Winner\D*8 px", told), told
    one = handler(tab, "select", "One disparity")
    (slider,) = (u for u in one.fn(found, None, 20, False).values() if isinstance(u, gr.Slider))
    assert (slider.minimum, slider.maximum) == (0, 14)  # 0 to 7 at half the size


SWAPPED = {"source": "example", "spoil": "swapped", "max_disparity_px": 64, "swap": True}


@pytest.mark.parametrize("changed", [{}, {"swap": True}, SWAPPED], ids=["plain", "swap", "example"])
def test_the_rectification_view_takes_the_pictures_as_the_run_did(tab, good, changed, monkeypatch):
    seen = []

    def rectify(left, right, calibration):
        seen.append((left, right))
        raise InputError("Stop here. Try again.")

    monkeypatch.setattr(stereo_panels, "rectify", rectify)
    found = tab.result(*good, **changed)
    handler(tab, "select", "Rectification").fn(found)
    assert np.array_equal(seen[0][0], found.prepared.left), "it was not swapped twice"
    assert np.array_equal(seen[0][1], found.prepared.right)


def test_an_open_cloud_says_that_it_is_old(tab, good):
    *_, last = tab.press(*good)
    cloud = handler(tab, "select", "Point cloud")
    assert [last[widget] for widget in cloud.outputs] == [ui.ANEW, None]


def test_only_settings_that_are_read_are_shown(tab):
    def hidden(label: str, key: str) -> set[str]:
        names = {widget: name for name, widget in tab.widgets.items()}
        (found,) = (h for h in tab.page.fns.values()
                    if (tab.widgets[label]._id, "change") in h.targets
                    and tab.widgets["window_px" if label == "method" else "noise"] in h.outputs)  # fmt: skip
        updates = found.fn(key).items()
        return {names[w] for w, u in updates if isinstance(u, dict) and u["visible"] is False}

    assert hidden("method", "refined") == {"window_px", "window_cost", "mode"}
    assert hidden("method", "sgbm") == {"window_cost"}
    assert hidden("method", "block") == {"mode", "small_step", "big_step"}
    assert hidden("source", "example") == set()
    assert hidden("source", "dots") == {"noise"}
    assert hidden("source", "own") == {"noise", "pair_seed"}


def test_the_last_of_fast_changes_counts(tab):
    tried = 0
    for known in tab.page.fns.values():
        events = {event for _, event in known.targets}
        if known.fn is not None and events & {"input", "release"}:
            assert known.trigger_mode == "always_last", events
            tried += 1
    assert tried >= 3
    assert handler(tab, "select", "Cost curve").trigger_mode == "always_last"
    assert handler(tab, "select", "Row and prices").trigger_mode == "always_last"


# ---------------------------------------------------------------- the other panels' own buttons


def test_comparing_too_few_methods_or_a_bad_pair(tab, good):
    for methods in ([], ["block"], ["block", "sgbm", "refined", "mono", "block"]):
        said, _ = tab.said("click", "stereo-compare-now", methods, *tab.values(*good))
        check_sentence(said, f"{len(methods)} methods? (is|are) chosen. Choose two to four")
    said, _ = tab.said("click", "stereo-compare-now", ["block", "sgbm"], *tab.values(good[0]))
    check_sentence(said, "The right picture is missing")
    said, _ = tab.said("click", "stereo-compare-now", ["block", "sgbm"],
                       *tab.values(*good, min_disparity_px=90))  # fmt: skip
    assert not said, "each answer says why it did not run"


@pytest.mark.usefixtures("offline")
def test_one_picture_without_a_result_or_weights(tab, first):
    said, changed = tab.said("click", "stereo-mono-now", None)
    check_sentence(said, "no result yet")
    assert not changed
    said, changed = tab.said("click", "stereo-mono-now", first)
    assert not said and changed


BOARD = [f.default for f in fields(Board)]


def test_calibrating_from_what_is_no_calibration(tab, folder, good):
    three = [str(photo(texture(160, 120, k), folder / f"view{k}.png")) for k in range(3)]
    text = str(write(folder / "text.png", "no picture"))
    cases = [
        (None, None, BOARD, "needs 3 pairs of pictures or more; there are 0"),
        (three[:1], three[:1], BOARD, "there are 1"),
        (three, three[:2], BOARD, "3 left and 2 right pictures"),
        (three, None, BOARD, "3 left and 0 right pictures"),
        (three, three, BOARD, "0 of 3 pairs show a whole board"),
        ([*three[:2], str(good[0])], three, BOARD, "whole board"),
        ([*three[:2], text], three, BOARD, "Left picture .* can't be read"),
        (three, [*three[:2], str(folder)], BOARD, "Right picture .* folder"),
        (three, [*three[:2], str(folder / "gone.png")], BOARD, "Right picture .* no file"),
        (three, three, [0, *BOARD[1:]], "Corners across"),
        (three, three, [None, *BOARD[1:]], "Corners across"),
        (three, three, [*BOARD[:2], -1, BOARD[3]], "Square"),
        (three, three, [*BOARD[:3], "mile"], "Unit"),
    ]  # fmt: skip
    for left, right, values, cause in cases:
        said, changed = tab.said("click", "stereo-calibrate-now", left, right, *values)
        check_sentence(said, cause)
        assert not changed, said


def test_files_before_there_is_a_result(tab):
    (handler,) = (h for h in tab.page.fns.values() if h.inputs and h.inputs[0] is tab.state
                  and any(isinstance(out, gr.File) for out in h.outputs))  # fmt: skip
    (update,) = handler.fn(None)
    check_sentence(words(next(iter(update.values()))), "no result yet")


# ---------------------------------------------------------------- links

LINKS = [
    "?max_disparity_px=", "?max_disparity_px=far", "?max_disparity_px=7", "?max_disparity_px=16.5",
    "?min_disparity_px=1e999", "?focal_px=nan", "?focal_px=-5", "?focal_px=inf", "?baseline=0",
    "?baseline=-1", "?rig_unit=mile", "?method=magic", "?method=", "?mode=", "?swap=maybe",
    "?fill=", "?side_by_side=2", "?spoil=%00", "?example=<script>alert(1)</script>",
    "?pair_seed=" + "9" * 5000, "?window_px=99999999999999999999", "?doffs_px=1e308",
    "?truth_scale=x", "?source=" + "m" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("link", LINKS, ids=lambda link: link[:40])
def test_links_that_cannot_be_read(link):
    with pytest.raises(InputError) as caught:
        from_link(link, stereo.KINDS)
    check_sentence(str(caught.value), "")


@pytest.mark.parametrize("link", ["", "?", "?&&==&", "?tab=stereo", "?gone=1", "?%ff=%fe", "💥"])
def test_links_that_name_nothing_are_the_defaults(link):
    assert from_link(link, stereo.KINDS) == tuple(kind() for kind in stereo.KINDS)


def test_the_example_still_opens_at_the_end(tab):
    found = tab.result(source="example", method="sgbm", max_disparity_px=64)
    assert found.scores["bad_2"] < 0.2
