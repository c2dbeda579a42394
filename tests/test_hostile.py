"""Bad input through the tab's own handler: a plain sentence each, and the tab lives on.

Every case goes where a click on Match goes. It ends either in one sentence in the status line,
with every output left as it was, or in a result, with notes where a person should know something.
"""

import html
import inspect
import io
import itertools
import re
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import gradio as gr
import numpy as np
import pytest
from PIL import Image

from core.matching.pairs import PairSettings
from core.matching.run import Run
from core.matching.types import GeometrySettings, MatchSettings
from core.recipe import from_link
from core.types import InputError
from demos import matching, matching_panels, ui
from demos.widgets.threshold_plot import ThresholdPlot

KINDS = (PairSettings, MatchSettings, GeometrySettings)
FIELDS = {f.name: f for kind in KINDS for f in fields(kind)}

# What no person should read, and what a sentence that helps must have.
MACHINE = re.compile(
    r"Traceback|cv2|error:|ndarray|NoneType|has a bug here|Errno|0x[0-9a-f]{4}|<class|<_io|"
    r"(^|[\s'\"(])/\w+/|[A-Za-z](Error|Exception|Warning|Settings)\b|\bNone\b"
)
NEXT = re.compile(
    r"\b(Choose|choose|Give|Save|Make|Raise|raise|Drag|Remove|Press|Pick|pick|Try|try|Check|Lower|"
    r"Use|Set|Ask|start)\b"
)


# ---------------------------------------------------------------- the tab and its handler


@dataclass
class Tab:
    """The built tab: its Match handler with every widget's value, to be overridden by name."""

    page: gr.Blocks

    def __post_init__(self):
        (self.match,) = (f for f in self.page.fns.values() if f.api_name == "matching")
        self.status, self.state = self.match.outputs[:2]

    def press(self, photo0=None, photo1=None, truth=None, **changed: Any) -> list[dict]:
        """All updates of one press on Match."""
        names = ["by", "photo0", "photo1", "truth", *FIELDS]
        widgets: Any = self.match.inputs
        values = dict(zip(names, (w.value for w in widgets), strict=True))
        values |= {"photo0": photo0, "photo1": photo1, "truth": truth, **changed}
        assert len(values) == len(names), "a name that no widget has"
        paths = ("photo0", "photo1", "truth")
        given = [str(v) if n in paths and v is not None else v for n, v in values.items()]
        assert self.match.fn is not None
        return list(self.match.fn(*given))

    def result(self, *photos: Path | None, **changed: Any) -> Run:
        """What a press found; fails, with the sentence, if it found nothing."""
        *before, last = self.press(*photos, **changed)
        assert all(list(update) == [self.status] for update in before)
        assert self.state in last, words(last[self.status])
        return last[self.state]


@pytest.fixture(scope="module")
def tab():
    with gr.Blocks() as page:
        matching.demo.build()
    return Tab(page)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def good(folder):
    """Two photos that match well: texture, and the same moved by (9, 6) px."""
    return photo(TEXTURE, folder / "good0.png"), photo(MOVED, folder / "good1.png")


@pytest.fixture(scope="module")
def first(tab, good):
    """What the good pair gives in a fresh tab."""
    return tab.result(*good, source="photos", max_keypoints=200)


def words(status: str) -> str:
    """The status line as a person reads it."""
    return html.unescape(re.sub(r"<[^>]*>", "", status)).strip()


def check_sentence(sentence: str, cause: str) -> None:
    assert sentence.endswith("."), sentence
    assert not MACHINE.search(sentence), sentence
    assert re.search(cause, sentence), sentence
    assert NEXT.search(sentence), f"it doesn't say what to do next: {sentence}"
    assert len(sentence) < 400, sentence


# ---------------------------------------------------------------- files


def texture(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Blobs of many sizes, RGB uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for sigma in (1.2, 2.5, 5):
        layer = cv2.GaussianBlur(rng.standard_normal(total.shape).astype(np.float32), (0, 0), sigma)
        total += layer / layer.std()
    return np.clip(128 + 35 * total, 0, 255).astype(np.uint8)


WIDE = texture(249, 186)
TEXTURE, MOVED = WIDE[6:, 9:], WIDE[:-6, :-9]
GREY = cv2.cvtColor(TEXTURE, cv2.COLOR_RGB2GRAY)


def photo(image: np.ndarray | Image.Image, path: Path, **options: Any) -> Path:
    made = image if isinstance(image, Image.Image) else Image.fromarray(image)
    made.save(path, **options)
    return path


def flat(width: int, height: int, value: int = 255) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def cut(kind: str) -> bytes:
    """A picture file that ends in the middle."""
    file = io.BytesIO()
    Image.fromarray(TEXTURE).save(file, kind)
    return file.getvalue()[: len(file.getvalue()) // 2]


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("photo.txt", "no photo")
    return file.getvalue()


def bomb() -> bytes:
    """A PNG whose header claims 20000×10000 px, with nothing behind it."""
    file = io.BytesIO()
    Image.new("1", (8, 8)).save(file, "png")
    data = bytearray(file.getvalue())
    data[16:24] = (20000).to_bytes(4, "big") + (10000).to_bytes(4, "big")
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


def one_line() -> np.ndarray:
    """Texture only along one row of dots."""
    image = flat(400, 100, 128)
    for x, value in zip(range(24, 380, 14), np.random.default_rng(3).integers(0, 255, 26),
                        strict=True):  # fmt: skip
        cv2.circle(image, (x, 50), 2 + x % 3, int(value), -1)
    return image


def one_corner() -> np.ndarray:
    image = flat(160, 120)
    image[60:, 80:] = 0
    return image


def huge(path: Path) -> Path:
    """12000×9000 px in a small file: flat, with the texture in the middle, four times as large."""
    image = Image.new("L", (12000, 9000), 128)
    big = cv2.resize(GREY, None, fx=16, fy=16, interpolation=cv2.INTER_CUBIC)
    image.paste(Image.fromarray(big), (4000, 3000))
    return photo(image, path, quality=60)


def animated(path: Path) -> Path:
    frames = [Image.fromarray(np.roll(TEXTURE, 5 * k, 1)) for k in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, lossless=True)
    return path


def on_its_side() -> Image.Exif:
    exif = Image.Exif()
    exif[274] = 6
    return exif


def transparent() -> np.ndarray:
    return np.dstack([TEXTURE, np.zeros_like(GREY)])


def with_nan() -> Image.Image:
    values = GREY.astype(np.float32) / 255
    values[5, 7] = np.nan
    return Image.fromarray(values)


def raw(data: bytes | str) -> Callable[[Path], Path]:
    """A maker of a file with these bytes."""

    def write(path: Path) -> Path:
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    return write


def shown(image: Any, **options: Any) -> Callable[[Path], Path]:
    """A maker of a picture file."""
    return lambda path: photo(image, path, **options)


def make_folder(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path


PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="4"/></svg>'
TINY, UNIFORM, NO_PICTURE = "too small or too narrow", "almost uniform", "can't be read"

# file name, how it is made, what the sentence must name. As picture 0, with a good picture 1.
REFUSED = [
    ("text.png", raw("Not a picture at all.\n"), NO_PICTURE),
    ("paper.pdf", raw(PDF), NO_PICTURE),
    ("page.png", raw("<!doctype html><html><body>404</body></html>"), NO_PICTURE),
    ("archive.zip", raw(archive()), NO_PICTURE),
    ("drawing.svg", raw(SVG), NO_PICTURE),
    ("random.jpg", raw(np.random.default_rng(0).bytes(5000)), NO_PICTURE),
    ("nothing.png", raw(b""), "is empty"),
    ("a-folder", make_folder, "folder"),
    ("gone.png", lambda path: path, "there is no file gone.png"),
    ("cut.png", raw(cut("png")), NO_PICTURE),
    ("cut.jpg", raw(cut("jpeg")), NO_PICTURE),
    ("cut.webp", raw(cut("webp")), NO_PICTURE),
    ("cut.gif", raw(cut("gif")[:200]), NO_PICTURE),
    ("pixel.png", shown(flat(1, 1)), TINY),
    ("two-by-three.png", shown(flat(2, 3)), TINY),
    ("row.png", shown(texture(900, 4)[:1]), TINY),
    ("column.png", shown(texture(4, 900)[:, :1]), TINY),
    ("white.png", shown(flat(200, 150)), UNIFORM),
    ("black.png", shown(flat(200, 150, 0)), UNIFORM),
    ("grey.jpg", shown(flat(200, 150, 117)), UNIFORM),
    ("gradient.png", shown(np.repeat(np.tile(np.arange(200, dtype=np.uint8), (150, 1))[..., None],
                                     3, 2)), UNIFORM),
    ("transparent.png", shown(transparent()), UNIFORM),
    ("holes.tiff", shown(with_nan()), "NaN"),
    ("bomb.png", raw(bomb()), "megapixels"),
]  # fmt: skip


CASES = itertools.count(1)


@pytest.fixture(autouse=True)
def the_tab_lives_on(tab, good, first):
    """After every fifth case the good pair still matches, with the very same result."""
    yield
    if next(CASES) % 5:
        return
    again = tab.result(*good, source="photos", max_keypoints=200)
    assert np.array_equal(again.result.matches, first.result.matches)
    assert np.array_equal(again.result.model, first.result.model)
    assert np.abs(again.result.model - [[1, 0, 9], [0, 1, 6], [0, 0, 1]]).max() < 0.1


def refused(tab: Tab, cause: str, *photos: Path | None, **changed: Any) -> None:
    """A press that must end in one good sentence and change nothing else."""
    updates = tab.press(*photos, **changed)
    assert all(list(update) == [tab.status] for update in updates), "an output was touched"
    check_sentence(words(updates[-1][tab.status]), cause)


@pytest.mark.parametrize("name,make,cause", REFUSED, ids=[r[0] for r in REFUSED])
def test_a_picture_that_cannot_be_used(tab, folder, good, name, make, cause):
    path = make(folder / name)
    refused(tab, "Picture 0.*" + cause, path, good[1], source="photos")


def test_the_second_picture_is_named_as_such(tab, folder, good):
    path = raw("hello")(folder / "second.png")
    refused(tab, f"Picture 1 {NO_PICTURE}", good[0], path, source="photos")
    path = shown(flat(200, 150))(folder / "second-flat.png")
    refused(tab, f"Picture 1 has no keypoints.*{UNIFORM}", good[0], path, source="photos")


def test_a_missing_picture_is_named(tab, good):
    refused(tab, "Picture 0 is missing", source="photos")
    refused(tab, "Picture 1 is missing", good[0], source="photos")
    refused(tab, "Picture 0 is missing", None, good[1], source="photos")


METHODS = ("orb", "sift-flann", "orb-flann", "affine-sift", "template")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["pixel", "row", "flat"])
def test_every_method_refuses_what_has_no_points(tab, folder, good, method, kind):
    image = {"pixel": flat(1, 1), "row": texture(900, 4)[:1], "flat": flat(200, 150)}[kind]
    path = photo(image, folder / f"{kind}.png")
    given = {"source": "photos", "method": method}
    refused(tab, "Picture 0.*(small|uniform)", path, good[1], **given)
    if method == "template" and kind == "flat":
        assert not tab.result(good[0], path, **given).result.inliers.any()
    else:
        refused(tab, "Picture 1.*(small|uniform)", good[0], path, **given)


@pytest.mark.parametrize("method", METHODS)
def test_noise_against_noise_finds_nothing_to_believe(tab, folder, method):
    rng = np.random.default_rng(1)
    paths = [photo(rng.integers(0, 256, (120, 150, 3), np.uint8), folder / f"noise{k}.png")
             for k in (0, 1)]  # fmt: skip
    found = tab.result(*paths, source="photos", method=method, max_keypoints=200)
    assert found.result.model is None or found.result.inliers.sum() < 10
    check_notes(found, "matches? left|agree|fits")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(8, 8), (9, 300), (64, 65), (21, 22)], ids=str)
def test_awkward_sizes_end_in_a_result_or_a_sentence(tab, folder, good, method, shape):
    path = photo(texture(*shape), folder / "small.png")
    for pair in ((path, good[1]), (good[0], path), (path, path)):
        *_, last = tab.press(*pair, source="photos", method=method, max_keypoints=200)
        if tab.state in last:
            check_notes(last[tab.state], "")
        else:
            check_sentence(words(last[tab.status]), "Picture [01].*(small|keypoints)")


# ---------------------------------------------------------------- results with a remark


def check_notes(found: Run, cause: str) -> None:
    """The notes are plain sentences, and one of them names the cause."""
    notes = found.result.notes
    for note in notes:
        assert note.endswith(".") and not MACHINE.search(note), note
    assert re.search(cause, "\n".join(notes)), notes
    assert not MACHINE.search(words(matching_panels.headline(found)))


def test_under_four_matches(tab, folder, good):
    path = photo(one_corner(), folder / "corner.png")
    found = tab.result(path, good[1], source="photos")
    assert found.result.model is None and not found.result.inliers.any()
    check_notes(found, r"[0-3] match(es)? left, and the homography needs at least 4.* Raise")


def test_all_points_on_a_line(tab, folder):
    path = photo(one_line(), folder / "line.png")
    for geometry in ("homography", "affine", "fundamental"):
        found = tab.result(path, path, source="photos", geometry=geometry, max_side_px=400)
        assert len(found.result.matches) >= 8 and found.result.model is None
        check_notes(found, "lie on one line.* Choose")


def test_identical_pictures(tab, good):
    found = tab.result(good[0], good[0], source="photos")
    assert np.allclose(found.result.model, np.eye(3), atol=1e-3)
    check_notes(found, "Both pictures are the same")


def test_wildly_different_sizes(tab, folder):
    large = cv2.resize(texture(500, 375), (4000, 3000))
    small = cv2.resize(large, (80, 60), interpolation=cv2.INTER_AREA)
    paths = photo(large, folder / "large.jpg"), photo(small, folder / "small.png")
    check_notes(tab.result(*paths, source="photos"), "differ in size by a factor of 50")


def test_twelve_thousand_pixels_wide(tab, folder):
    path = huge(folder / "huge.jpg")
    start = time.process_time()  # other work on this machine doesn't count
    found = tab.result(path, path, source="photos", max_keypoints=200)
    assert time.process_time() - start < 60
    assert found.pair.image0.shape == (9000, 12000, 3)
    check_notes(found, r"12000×9000 px\) was reduced to 1600 px")
    assert np.allclose(found.result.model, np.eye(3), atol=1e-3)


def poor_pair(kind: str, folder: Path) -> tuple[Path, Path]:
    """Two pictures that match badly."""
    if kind == "a corner":
        images = one_corner(), TEXTURE
    elif kind == "a line":
        images = one_line(), one_line()
    elif kind == "a strip":
        images = texture(9, 300), texture(9, 300)
    else:
        images = texture(70, 66, 1), texture(801, 603, 2)
    first, second = (photo(image, folder / f"{kind}{k}.png") for k, image in enumerate(images))
    return first, second


@pytest.mark.parametrize("geometry", ["homography", "fundamental", "none"])
@pytest.mark.parametrize("kind", ["a corner", "a line", "a strip", "strangers"])
def test_every_panel_bears_a_poor_result(tab, folder, kind, geometry):
    """What else acts on a result: panels, re-estimation, colours. None may call itself a bug."""
    found = tab.result(*poor_pair(kind, folder), source="photos", geometry=geometry)
    tried = 0
    for handler in tab.page.fns.values():
        call = handler.fn
        if not handler.inputs or handler.inputs[0] is not tab.state or call is None:
            continue
        if inspect.isgeneratorfunction(call) or "event" in inspect.signature(call).parameters:
            continue  # long work, and what needs a click's place
        if any(isinstance(out, gr.File) for out in handler.outputs):
            continue  # files: see test_export.py
        answer = call(found, *(w.value for w in handler.inputs[1:]))
        tried += 1
        for said in answer.values() if isinstance(answer, dict) else ():
            if isinstance(said, str) and 'role="alert"' in said:
                check_sentence(words(said), "")
    assert tried >= 6


# ---------------------------------------------------------------- judged anew


def handlers(tab: Tab, event: str, widget: Any) -> list[Any]:
    """The handlers in Python that listen to this event of a widget."""
    return [f for f in tab.page.fns.values()
            if (widget._id, event) in f.targets and f.fn is not None]  # fmt: skip


def field(tab: Tab, name: str) -> Any:
    return tab.match.inputs[4 + list(FIELDS).index(name)]


def labelled(tab: Tab, kind: type, label: str) -> Any:
    (found,) = (b for b in tab.page.blocks.values() if isinstance(b, kind) and b.label == label)
    return found


def judged(tab: Tab, found: Run, event: str, **changed: Any) -> dict:
    """The updates after one control was changed that needs no new matching."""
    ((name, _),) = changed.items()
    (handler,) = handlers(tab, event, field(tab, name))
    values = {n: field(tab, n).value for n in FIELDS} | {"source": "photos"} | changed
    return handler.fn(found, "truth", *values.values())


def test_a_new_judgement_makes_the_pictures_inside_old(tab, good):
    found = tab.result(*good, source="photos", max_keypoints=200)
    (step,) = handlers(tab, "input", labelled(tab, gr.Slider, "Step"))
    updates = judged(tab, found, "release", ratio=0.5)
    for label in ("Scale space", "Descriptors of both ends", "This draw"):
        assert updates[labelled(tab, gr.Image, label)] is None
    told = [value for value in updates.values() if isinstance(value, str) and value == ui.ANEW]
    assert len(told) == 4  # these, and Fast search
    fewer = updates[tab.state]
    assert 4 <= len(fewer.result.matches) < len(found.result.matches)
    for run in (found, fewer):
        drawn = step.fn(run, 1)
        assert words(drawn[step.outputs[0]]) == ""
        assert drawn[labelled(tab, gr.Image, "This draw")].ndim == 3


def test_a_number_left_as_it_was_judges_nothing(tab, good):
    found = tab.result(*good, source="photos", max_keypoints=200)
    assert list(judged(tab, found, "blur", max_iterations=10000)) == [tab.status]
    assert list(judged(tab, found, "release", ratio=0.8)) == [tab.status]
    assert tab.state in judged(tab, found, "blur", max_iterations=5000)
    assert tab.state in judged(tab, found, "submit", focal_px=500.0)
    assert not handlers(tab, "input", field(tab, "focal_px")), "a digit is no number yet"


def test_the_last_of_fast_changes_counts(tab):
    tried = 0
    for handler in tab.page.fns.values():
        events = {event for _, event in handler.targets}
        if handler.fn is not None and events & {"input", "release", "blur", "released"}:
            assert handler.trigger_mode == "always_last", events
            tried += 1
    assert tried >= 6


@pytest.mark.parametrize("ratio", [0.7, 0.8, 1.0])
@pytest.mark.parametrize("mutual", [False, True])
def test_the_line_keeps_as_many_as_there_are_matches(tab, good, ratio, mutual):
    """Descriptors of bits have many equal distances, so ratios on the line itself and of 1."""
    given = {"method": "orb", "ratio": ratio, "mutual_check": mutual, "max_keypoints": 400}
    *_, last = tab.press(*good, source="photos", **given)
    (shown,) = (value for widget, value in last.items() if isinstance(widget, ThresholdPlot))
    kept = [v for v in shown["values"] if v is None or v < shown["threshold"]]
    assert len(kept) == len(last[tab.state].result.matches) > 0


def test_only_settings_that_are_read_are_shown(tab):
    (by_method,) = handlers(tab, "change", field(tab, "method"))
    (by_geometry,) = handlers(tab, "change", field(tab, "geometry"))

    def hidden(updates: dict) -> set[str]:
        names = {field(tab, name): name for name in FIELDS}
        return {names[w] for w, u in updates.items()
                if isinstance(u, dict) and u["visible"] is False}  # fmt: skip

    assert hidden(by_method.fn("sift")) == set()
    assert hidden(by_method.fn("orb")) == {"root_sift"}
    checks = {"ratio", "cross_check", "mutual_check", "root_sift"}
    assert hidden(by_method.fn("efficientloftr")) == checks
    assert hidden(by_geometry.fn("homography", "photos", "photo")) == {"focal_px"}
    assert hidden(by_geometry.fn("essential", "photos", "street")) == set()
    assert hidden(by_geometry.fn("essential", "example", "street")) == {"focal_px"}
    assert "threshold_px" in hidden(by_geometry.fn("none", "photos", "photo"))


# ---------------------------------------------------------------- odd files that are fine

RGBA = np.dstack([TEXTURE, np.full_like(GREY, 255)])
FINE = [
    ("sixteen.png", shown(GREY.astype(np.uint16) * 257)),
    ("sixteen.tiff", shown(GREY.astype(np.uint16) * 257)),
    ("deep.tiff", shown(GREY.astype(np.int32) * 257)),
    ("float.tiff", shown(GREY.astype(np.float32) / 255)),
    ("bits.png", shown(Image.fromarray(GREY).convert("1"))),
    ("palette.png", shown(Image.fromarray(TEXTURE).quantize(64))),
    ("grey.png", shown(GREY)),
    ("grey-alpha.png", shown(Image.fromarray(RGBA).convert("LA"))),
    ("alpha.png", shown(RGBA)),
    ("inks.jpg", shown(Image.fromarray(TEXTURE).convert("CMYK"), quality=95)),
    ("lab.tiff", shown(Image.fromarray(TEXTURE).convert("LAB"))),
    ("moving.gif", animated),
    ("moving.webp", animated),
    ("wrong-name.png", shown(TEXTURE, format="bmp")),
    ("name with spaces & <b>ümläut.png", shown(TEXTURE)),
]


@pytest.mark.parametrize("name,make", FINE, ids=[r[0] for r in FINE])
def test_odd_files_match_as_well(tab, folder, good, name, make):
    found = tab.result(make(folder / name), good[1], source="photos", max_keypoints=400)
    assert found.pair.image0.shape == TEXTURE.shape
    assert found.result.inliers.sum() >= 10
    assert np.abs(found.result.model - [[1, 0, 9], [0, 1, 6], [0, 0, 1]]).max() < 1


def test_a_photo_on_its_side_is_matched_upright(tab, folder, good):
    path = photo(TEXTURE, folder / "side.jpg", exif=on_its_side(), quality=95)
    found = tab.result(path, good[1], source="photos")
    assert found.pair.image0.shape[:2] == TEXTURE.shape[1::-1]
    assert found.result.inliers.sum() > 50


# ---------------------------------------------------------------- truth files

TRUTHS = [
    ("blank", "", "holds no numbers"),
    ("white", " \n\n", "holds no numbers"),
    ("letters", "one two three four five six seven eight nine", "'one' in the truth file"),
    ("eight", "1 0 0 0 1 0 0 0", "holds 8 numbers"),
    ("NaN", "1 0 nan 0 1 0 0 0 1", "is not finite"),
    ("infinite", "1 0 1e999 0 1 0 0 0 1", "is not finite"),
    ("singular", "1 2 3 2 4 6 0 0 1", "can't be inverted"),
    ("zeros", "0 " * 9, "can't be inverted"),
    ("mirror", "-1 0 240 0 1 0 0 0 1", "mirrors the picture"),
    ("no rotation", "K0: 500 0 320 0 500 240 0 0 1 K1: 500 0 320 0 500 240 0 0 1 "
     "R: 2 0 0 0 2 0 0 0 2 t: 1 0 0", "R in the truth file is no rotation"),
    ("half", "K0: 500 0 320 0 500 240 0 0 1", "names only K0"),
    ("named twice", "H: 1 0 0 0 1 0 0 0 1 2", "H in the truth file has 10 numbers"),
    ("binary", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "text"),
    ("nulls", b"1 0 0\x00 0 1 0 0 0 1", "text"),
    ("sixteen bits", "1 0 0 0 1 0 0 0 1".encode("utf-16"), "text"),
    ("10 MB", b"1 " * 5_000_000, "text file"),
]  # fmt: skip


@pytest.mark.parametrize("name,data,cause", TRUTHS, ids=[t[0] for t in TRUTHS])
def test_a_truth_file_that_cannot_be_used(tab, folder, good, name, data, cause):
    path = raw(data)(folder / "truth.txt")
    refused(tab, cause, *good, path, source="photos", max_keypoints=200)


def test_a_truth_folder_and_a_missing_truth(tab, folder, good):
    refused(tab, "truth file", *good, folder / "no.txt", source="photos", max_keypoints=200)
    refused(tab, "truth file", *good, folder, source="photos", max_keypoints=200)


def test_a_truth_that_has_nothing_to_do_with_the_pair(tab, folder, good):
    path = raw("1 0 5000 0 1 5000 0 0 1")(folder / "far.txt")
    found = tab.result(*good, path, source="photos", max_keypoints=200)
    assert found.scores["precision"] == 0


def test_a_truth_with_a_byte_order_mark(tab, folder, good):
    path = raw("1 0 9 0 1 6 0 0 1".encode("utf-8-sig"))(folder / "bom.txt")
    found = tab.result(*good, path, source="photos", max_keypoints=200)
    assert found.scores["precision"] > 0.9


# ---------------------------------------------------------------- settings and links

CROSSED = (0.9, 0.9, 0, 0, -0.9, -0.9, 0, 0)
SETTINGS = [
    ({"seed": None}, "Seed"),
    ({"ratio": None}, "Ratio"),
    ({"ratio": 7}, "Ratio is 7, outside 0.5 to 1"),
    ({"ratio": float("nan")}, "Ratio"),
    ({"ratio": "high"}, "Ratio"),
    ({"max_keypoints": 2.5}, "Keypoints"),
    ({"max_keypoints": -8}, "Keypoints"),
    ({"max_iterations": 10**12}, "Iterations"),
    ({"max_iterations": None}, "Iterations"),
    ({"max_side_px": 1}, "Working size"),
    ({"threshold_px": 0}, "Threshold"),
    ({"cross_check": "maybe"}, "Cross-check"),
    ({"cross_check": None}, "Cross-check"),
    ({"method": "magic"}, "Method has no choice 'magic'"),
    ({"method": None}, "Method"),
    ({"geometry": "round"}, "Geometry has no choice 'round'"),
    ({"source": "the moon"}, "Pictures has no choice"),
    ({"example": "nothing"}, "Example has no choice"),
    ({"pair_seed": -1}, "Picture seed"),
    ({"pair_seed": 2**40}, "Picture seed"),
    ({"source": "warp", "corners": CROSSED}, "corners"),
    ({"source": "warp", "corners": (1.0, 0, -1.0, 0, -1.0, 0, 1.0, 0)}, "mirrored"),
    ({"source": "warp", "corners": (0.5,)}, "Corners"),
    ({"source": "warp", "corners": ("a",) * 8}, "Corners"),
    ({"source": "warp", "corners": (99,) * 8}, "Corners"),
    ({"source": "warp", "corners": None}, "Corners"),
    ({"source": "warp", "scale": 0}, "Scale"),
    ({"geometry": "essential", "source": "photos"}, "needs the focal length"),
]


@pytest.mark.parametrize("changed,cause", SETTINGS, ids=[str(s[0])[:50] for s in SETTINGS])
def test_settings_that_cannot_be_used(tab, good, changed, cause):
    refused(tab, cause, *good, **changed)


def test_a_warp_that_leaves_nothing_to_see(tab, good):
    given = {"source": "warp", "scale": 0.25}
    refused(tab, UNIFORM, good[0], **given, blur_px=10, contrast=0.1, brightness=1)
    found = tab.result(good[0], **given, noise=0.5, blur_px=10)
    check_notes(found, "")


def test_weights_that_are_not_here(tab, good, monkeypatch, tmp_path):
    monkeypatch.setenv("SIGHTLINE_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("SIGHTLINE_MODELS", raising=False)
    for method in ("efficientloftr", "lightglue-superpoint", "dinov2"):
        refused(tab, "weights|offline", *good, source="photos", method=method)


LINKS = [
    "?ratio=", "?ratio=high", "?ratio=7", "?ratio=nan", "?ratio=1e999", "?seed=1.5", "?seed=-1",
    "?method=magic", "?method=", "?cross_check=maybe", "?corners=1,2", "?corners=a,b,c,d,e,f,g,h",
    "?corners=0,0,0,0,0,0,0,inf", "?max_keypoints=99999999999999999999", "?focal_px=-1",
    "?method=<script>alert(1)</script>", "?ratio=%00", "?seed=" + "9" * 5000, "?seed=" + "9" * 4000,
    "?method=" + "m" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("link", LINKS, ids=lambda link: link[:40])
def test_links_that_cannot_be_read(link):
    with pytest.raises(InputError) as caught:
        from_link(link, KINDS)
    check_sentence(str(caught.value), "")


@pytest.mark.parametrize("link", ["", "?", "?&&==&", "?tab", "?gone=1", "?%ff=%fe", "💥", "?tab=x"])
def test_links_that_name_nothing_are_the_defaults(link):
    assert from_link(link, KINDS) == tuple(kind() for kind in KINDS)


def test_the_example_still_opens_at_the_end(tab):
    found = tab.result(max_keypoints=500)
    assert found.scores["corner_error_px"] < 3
