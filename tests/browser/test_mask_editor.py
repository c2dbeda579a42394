"""The mask editor: is the pixel that one sees under the pointer the pixel that gets masked?

Each pixel of the test pictures has a colour of its own, so a screenshot tells which one is seen.
"""

from __future__ import annotations

import io
import math
import time

import numpy as np
import pytest
from PIL import Image

from core.inpainting import masks
from demos.widgets.mask_editor import MaskEditor
from tests.browser.conftest import WAIT_MS
from tests.browser.rest import frame

pytestmark = pytest.mark.browser

SIZES = [(300, 200), (1600, 1200), (1080, 1920)]  # width, height
SMALL = SIZES[0]
given: list = [None]  # what the page's "give" button brings
got: list = []  # the mask after each event, as Python reads it
lengths: list = []  # of the values that held them
lasts: list = []  # the box of the latest step of each
kept: list = []  # what each was made for


def coordinates(width, height):
    """A picture in which each pixel's colour tells where it is, and none is grey or white."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x & 255, y & 255, (x >> 8) | (y >> 8) << 4], 2).astype(np.uint8)


def place_of(colour):
    r, g, b = (int(v) for v in colour)
    return r | (b & 15) << 8, g | (b >> 4) << 8


@pytest.fixture(scope="module")
def url():
    import gradio as gr

    from demos.widgets.base import HERE

    gr.set_static_paths([HERE])

    def read(value):
        lengths.append(len(value["mask"] or ""))
        lasts.append(value["last"])
        kept.append(value["made_for"])
        got.append(MaskEditor.mask_of(value))

    quiet = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
    with gr.Blocks() as demo:
        editor = MaskEditor(None, elem_id="editor")
        editor.painted(read, editor, None, trigger_mode="multiple", **quiet)
        give = gr.Button("give", elem_id="give")
        give.click(lambda: given[0], None, editor, **quiet)
        changes = gr.Number(0, elem_id="changes", precision=0)
        editor.change(lambda n: n + 1, changes, changes, trigger_mode="multiple", **quiet)
    _, url, _ = demo.launch(
        prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", ssr_mode=False
    )
    yield url
    demo.close()


@pytest.fixture(scope="module")
def page(url, open_page):
    page = open_page(url)
    page.locator("#editor .me-empty").get_by_text("No picture yet.").wait_for()
    return page


# ---------------------------------------------------------------- hands


def give(page, size, image=None, mask=None):
    """A picture of this size in the editor, drawn, with nothing painted; gives the picture."""
    from demos import ui

    image = coordinates(*size) if image is None else image
    path = ui.folder() / "picture.png"
    Image.fromarray(image).save(path)
    image = image ^ np.uint8(len(got) % 2)  # only the key: another picture each time
    given[0] = MaskEditor.value_of(image, mask, ui.address(path))
    page.evaluate("document.querySelector('#editor .me-picture').width = 0")
    page.locator("#give").click()
    page.wait_for_function("""(size) => {
      const canvas = document.querySelector('#editor .me-picture');
      const label = document.querySelector('#editor .me-stage').ariaLabel ?? '';
      return label.includes(size) && canvas.width && canvas.getContext('2d')
        .getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data[3]; }""", arg=f"{size[0]} by {size[1]}")  # fmt: skip
    page.locator("#editor .me-stage").scroll_into_view_if_needed()
    return image


def painted(page, action):
    """Does `action` and returns the mask that then comes to Python."""
    before, began = len(got), time.monotonic()
    action()
    while len(got) == before:
        assert time.monotonic() - began < WAIT_MS / 1000, "no event came"
        page.wait_for_timeout(20)
    return got[-1]


def stage_at(page):
    box = page.locator("#editor .me-stage").bounding_box()
    return round(box["x"]), round(box["y"]), round(box["width"]), round(box["height"])


def picture_of(page, size, at):
    """The place of the picture at a page px while all of it is shown, by the rules."""
    left, top, across, down = stage_at(page)
    scale = min(across / size[0], down / size[1])
    corner = [
        math.floor((e - scale * s) / 2 + 0.5) for e, s in zip((across, down), size, strict=True)
    ]
    return tuple((v + 0.5 - o - c) / scale for v, o, c in zip(at, (left, top), corner, strict=True))


def seen(page, clip):
    page.mouse.move(0, 0)
    frame(page)
    names = ("x", "y", "width", "height")
    shot = page.screenshot(clip=dict(zip(names, clip, strict=True)))
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"))


def pixel_at(page, x, y):
    return place_of(seen(page, (x, y, 1, 1))[0, 0])


def brush(page, px, size=SMALL):
    share = 100 * math.log(px) / math.log(max(size) / 2)
    page.locator("#editor input[type=range]").evaluate(
        "(slider, v) => { slider.value = v; slider.dispatchEvent(new Event('input')); }", share
    )
    assert page.locator("#editor output").inner_text() == f"{px} px"


def press(page, name):
    page.locator("#editor .me-bar button").get_by_text(name, exact=True).click()


def tool(page, name):
    button = page.locator(f"#editor [data-tool={name}]")
    button.click()
    assert button.get_attribute("aria-checked") == "true"


def drag(page, points, button="left"):
    page.mouse.move(*points[0])
    page.mouse.down(button=button)
    for point in points[1:]:
        page.mouse.move(*point)
    page.mouse.up(button=button)


def zoom_in(page, x, y, times=8):
    page.mouse.move(x + 1, y)
    page.mouse.move(x, y)
    for _ in range(times):
        page.mouse.wheel(0, -200)
        page.wait_for_timeout(40)


def only(mask):
    """The one masked pixel, as x, y."""
    assert mask is not None and mask.sum() == 1
    y, x = np.argwhere(mask)[0]
    return int(x), int(y)


def around(mask):
    """The box left, top, right, bottom of what is masked."""
    y, x = np.nonzero(mask)
    return np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])


def within(shape, centre, radius):
    y, x = (v + 0.5 for v in np.mgrid[: shape[0], : shape[1]])
    return (x - centre[0]) ** 2 + (y - centre[1]) ** 2 <= radius**2


# ---------------------------------------------------------------- exactly this pixel


@pytest.mark.parametrize("size", SIZES)
def test_the_painted_pixel_is_the_masked_pixel(page, size):
    give(page, size)
    brush(page, 1, size)
    tool(page, "brush")
    left, top, across, down = stage_at(page)
    spots = [(left + across // 2 + dx, top + down // 2 + dy) for dx, dy in ((7, -55), (-91, 131))]
    for x, y in spots:  # all of the picture is shown
        expected = picture_of(page, size, (x, y))
        before = seen(page, (x - 5, y - 5, 11, 11)).astype(int)
        mask = painted(page, lambda x=x, y=y: page.mouse.click(x, y))
        assert mask.shape == size[::-1]
        assert only(mask) == tuple(map(math.floor, expected))
        after = seen(page, (x - 5, y - 5, 11, 11))
        changed = np.argwhere((after != before).any(2))
        assert (changed == (5, 5)).all(1).any()
        assert len(changed) <= max(1, math.ceil(down / size[1]) ** 2)
        assert painted(page, lambda: page.keyboard.press("Control+z")) is None
    x, y = spots[0]
    held = picture_of(page, size, (x, y))
    zoom_in(page, x, y)
    assert pixel_at(page, x, y) == pytest.approx([v - 0.5 for v in held], abs=1.01)
    for _ in range(3):  # zoomed in; panned with the middle button; panned with the space bar
        for dx, dy in ((0, 0), (33, 20), (-61, 47)):
            where = pixel_at(page, x + dx, y + dy)
            mask = painted(page, lambda dx=dx, dy=dy: page.mouse.click(x + dx, y + dy))
            assert only(mask) == where
            painted(page, lambda: page.keyboard.press("Control+z"))
        start = pixel_at(page, x, y)
        if _ == 0:
            drag(page, [(x, y), (x + 20, y + 8), (x + 57, y - 31)], button="middle")
        else:
            page.keyboard.down(" ")
            drag(page, [(x, y), (x + 57, y - 31)])
            page.keyboard.up(" ")
        assert pixel_at(page, x + 57, y - 31) == start
    press(page, "Fit")
    assert pixel_at(page, x, y) == pytest.approx(held, abs=1.5 * size[1] / down + 1)


def test_on_a_screen_of_two_device_pixels_a_css_pixel(url, open_page):
    page = open_page(url, device_scale_factor=2)
    page.locator("#editor .me-empty").wait_for()
    size = (1600, 1200)
    give(page, size)
    brush(page, 1, size)
    left, top, across, down = stage_at(page)
    x, y = left + across // 2 + 13, top + down // 2 - 40
    zoom_in(page, x, y, 9)
    for dx, dy in ((0, 0), (3, 1), (-31, 22), (44, -17)):
        where = pixel_at(page, x + dx, y + dy)
        mask = painted(page, lambda dx=dx, dy=dy: page.mouse.click(x + dx, y + dy))
        assert only(mask) == where
        painted(page, lambda: page.keyboard.press("Control+z"))


# ---------------------------------------------------------------- shapes


@pytest.mark.parametrize("px", [1, 2, 5, 24, 41])
def test_a_click_fills_a_disc_of_the_brush_size(page, px):
    give(page, SMALL)
    brush(page, px)
    tool(page, "brush")
    left, top, across, down = stage_at(page)
    at = left + across // 2 + 30, top + down // 2 + 11
    x, y = picture_of(page, SMALL, at)
    snap = (lambda v: math.floor(v) + 0.5) if px % 2 else (lambda v: math.floor(v + 0.5))
    mask = painted(page, lambda: page.mouse.click(*at))
    assert (mask == within(mask.shape, (snap(x), snap(y)), px / 2)).all()


def test_a_stroke_has_no_gaps_and_the_right_button_and_the_eraser_take_away(page):
    give(page, SMALL)
    brush(page, 9)
    tool(page, "brush")
    left, top, across, _ = stage_at(page)
    a, b = (left + across // 2 - 200, top + 100), (left + across // 2 + 220, top + 310)

    def swept(a, b, radius):
        ends = [tuple(math.floor(v) + 0.5 for v in picture_of(page, SMALL, p)) for p in (a, b)]
        start, way = np.array(ends[0]), np.subtract(ends[1], ends[0])
        xy = np.mgrid[: SMALL[1], : SMALL[0]][::-1].transpose(1, 2, 0) + 0.5 - start
        share = np.clip(xy @ way / (way @ way), 0, 1)
        away = np.linalg.norm(xy - share[..., None] * way, axis=2)
        assert (abs(away - radius) > 1e-9).all()
        return away < radius

    stroke = painted(page, lambda: drag(page, [a, b]))
    assert (stroke == swept(a, b, 4.5)).all() and (around(stroke) == lasts[-1]).all()
    other = (a[0], b[1] - 20), (a[0] + 90, b[1] - 20)
    both = painted(page, lambda: drag(page, other))
    assert (around(both & ~stroke) == lasts[-1]).all() and lasts[-1] == [*map(int, lasts[-1])]
    assert (painted(page, lambda: page.keyboard.press("Control+z")) == stroke).all()
    c, d = (a[0], b[1]), (b[0], a[1])
    less = painted(page, lambda: drag(page, [c, d], button="right"))
    assert (less == (stroke & ~swept(c, d, 4.5))).all() and less.sum() < stroke.sum()
    assert lasts[-1] is None, "nothing was added"
    tool(page, "eraser")
    assert painted(page, lambda: drag(page, [a, b])) is None


def test_rectangle_and_lasso_are_those_of_core(page):
    give(page, SMALL)
    left, top, across, down = stage_at(page)
    middle = left + across // 2, top + down // 2

    def on_page(*offsets):
        return [(middle[0] + dx, middle[1] + dy) for dx, dy in offsets]

    def places(points):
        return [picture_of(page, SMALL, point) for point in points]

    tool(page, "rectangle")
    corners = on_page((140, 90), (20, 0), (-161, -57))
    mask = painted(page, lambda: drag(page, corners))
    (x0, y0), _, (x1, y1) = places(corners)
    box = masks.rectangle(mask.shape, x0, y0, x1, y1)
    assert (mask == box).all()
    tool(page, "lasso")  # crosses itself, and leaves the picture
    line = on_page((0, 100), (57, -61), (350, 20), (501, 150), (-70, -130), (-171, 33), (31, 41))
    loop = masks.lasso(mask.shape, places(line))
    assert loop.sum() > 1000 and not loop.all()
    assert (painted(page, lambda: drag(page, line)) == (box | loop)).all()
    less = painted(page, lambda: drag(page, line, button="right"))
    assert (less == (box & ~loop)).all()


# ---------------------------------------------------------------- steps


def test_undo_redo_clear_and_invert(page):
    give(page, SMALL)
    brush(page, 24)
    tool(page, "brush")
    left, top, across, down = stage_at(page)
    spots = [(left + across // 2 + dx, top + down // 2) for dx in (-100, 0, 100)]
    one, two, three = (painted(page, lambda s=s: page.mouse.click(*s)) for s in spots)
    count = int(three.sum())
    words = page.locator("#editor .me-words")
    assert words.inner_text() == f"{count:,} px to fill: {count / 600:.3g} % of the picture"
    undo, redo = (page.locator(f"#editor [data-edit={name}]") for name in ("undo", "redo"))
    assert (undo.get_attribute("aria-disabled"), redo.get_attribute("aria-disabled")) == (
        "false", "true",
    )  # fmt: skip
    assert (painted(page, undo.click) == two).all()
    assert (painted(page, lambda: page.keyboard.press("Control+z")) == one).all()
    assert (painted(page, lambda: page.keyboard.press("Control+Shift+z")) == two).all()
    assert (painted(page, redo.click) == three).all()
    assert painted(page, lambda: press(page, "Clear")) is None
    assert (painted(page, undo.click) == three).all()
    inverted = painted(page, lambda: press(page, "Invert"))
    assert (inverted == ~three).all()
    undone = painted(page, undo.click)
    new = painted(page, lambda: page.mouse.click(spots[0][0], spots[0][1] - 90))  # drops the redo
    assert (undone == three).all() and redo.get_attribute("aria-disabled") == "true"
    before = len(got)
    redo.click(force=True)
    page.mouse.click(spots[0][0], spots[0][1] - 90)  # the same again: no change, no event
    page.wait_for_timeout(300)
    assert len(got) == before and (got[-1] == new).all()
    page.mouse.move(*spots[1])
    page.mouse.down()
    page.mouse.move(spots[1][0], spots[1][1] + 90)
    page.keyboard.press("Escape")
    page.mouse.up()
    page.wait_for_timeout(200)
    assert len(got) == before
    assert (painted(page, lambda: press(page, "Invert")) == ~new).all()


@pytest.mark.parametrize("zooms", [0, 3])
def test_the_cursor_is_as_large_as_what_it_paints(page, zooms):
    give(page, SMALL, np.full((200, 300, 3), 90, np.uint8))
    brush(page, 41)
    tool(page, "brush")
    left, top, across, down = stage_at(page)
    x, y = left + across // 2, top + down // 2
    zoom_in(page, x, y, zooms)
    scale = down / 200 * math.exp(0.4 * zooms)
    page.mouse.move(x, y)
    frame(page)
    ring = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)
    bright = ring[top + 2 : top + down - 2].min(2) > 150
    half = 260  # css px: here the picture is grey
    columns = np.nonzero(bright[:, x - half : x + half].any(0))[0]
    assert columns.max() - columns.min() == pytest.approx(41 * scale, abs=2)
    page.keyboard.press("]")
    assert page.locator("#editor output").inner_text() == "49 px"
    page.keyboard.press("[")
    assert page.locator("#editor output").inner_text() == "41 px"


# ---------------------------------------------------------------- from Python, and phone


def test_a_mask_from_python_is_one_step_and_comes_back_bit_for_bit(page):
    size = (301, 203)
    noise = np.random.default_rng(0).random(size[::-1]) < 0.3
    image = give(page, size)
    brush(page, 12, (300, 0))
    tool(page, "brush")
    left, top, across, down = stage_at(page)
    mine = painted(page, lambda: page.mouse.click(left + across // 2, top + down // 2))
    words, events = page.locator("#editor .me-words"), len(got)
    changes = page.locator("#changes input")
    page.wait_for_timeout(500)
    count = int(changes.input_value())
    given[0] = MaskEditor.with_mask(given[0], noise)
    page.locator("#give").click()
    words.get_by_text(f"{noise.sum():,} px to fill").wait_for()
    page.wait_for_timeout(300)
    assert len(got) == events and int(changes.input_value()) == count + 1
    assert (painted(page, lambda: press(page, "Invert")) == ~noise).all()
    assert (painted(page, lambda: press(page, "Undo")) == noise).all()
    assert (painted(page, lambda: press(page, "Undo")) == mine).all()
    assert int(changes.input_value()) >= count + 2
    given[0] = {**MaskEditor.with_mask(given[0], mine), "made_for": "a ball"}
    page.locator("#give").click()  # the same mask, but now for something else
    page.wait_for_timeout(500)
    painted(page, lambda: press(page, "Invert"))
    assert kept[-1] == "a ball" and kept[events - 1] == ""
    painted(page, lambda: press(page, "Undo"))
    page.locator("#editor input[type=checkbox]").uncheck()
    assert page.locator("#editor .me-film").is_hidden()
    page.locator("#editor input[type=checkbox]").check()
    give(page, size, 255 - image)  # another picture: nothing painted, nothing to undo
    assert words.inner_text() == "Nothing to fill yet: paint over it."
    assert page.locator("#editor [data-edit=undo]").get_attribute("aria-disabled") == "true"


def test_fingers_paint_and_two_of_them_zoom(url, open_page):
    page = open_page(url, width=390, height=800, has_touch=True, is_mobile=True)
    page.locator("#editor .me-empty").wait_for()
    size = (1080, 1920)
    give(page, size)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    brush(page, 31, size)
    left, top, across, down = stage_at(page)
    x, y = left + across // 2, top + down // 2
    px, py = (math.floor(v) + 0.5 for v in picture_of(page, size, (x, y)))
    mask = painted(page, lambda: page.touchscreen.tap(x, y))
    assert (mask == within(mask.shape, (px, py), 15.5)).all()
    devtools, events = page.context.new_cdp_session(page), len(got)
    for kind, apart in (("touchStart", 20), ("touchMove", 40), ("touchMove", 80), ("touchEnd", 0)):
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        devtools.send(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": points if apart else []}
        )
        page.wait_for_timeout(60)
    assert len(got) == events
    px, py = (math.floor(v) + 0.5 for v in picture_of(page, size, (x, y)))
    more = painted(page, lambda: page.touchscreen.tap(x + 100, y)) & ~mask
    columns = np.nonzero(more.any(0))[0]
    step = (columns.max() + columns.min()) / 2 - px + 0.5  # 100 css px are a quarter of before
    assert step == pytest.approx(100 / (down / size[1]) / 4, abs=6)
