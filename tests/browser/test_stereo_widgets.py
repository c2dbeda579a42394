"""The stereo tab's browser parts: is the pixel that is clicked the pixel that is told?

Where a pixel lies on the screen is found on screenshots, by its colour, so the tests share no
arithmetic with the widgets.
"""

from __future__ import annotations

import io
import json
import math
import re

import numpy as np
import pytest
from PIL import Image

from demos.theme import CSS, theme
from demos.widgets.depth_view import encode
from tests.browser.audit import AUDIT, CONTRAST
from tests.browser.rest import frame
from tests.browser.test_widgets import data_uri, shown, wait_for

pytestmark = pytest.mark.browser

WIDTH, HEIGHT = 301, 223  # odd, not square
SPOTS = {(40, 30): (255, 0, 255), (222, 171): (0, 255, 0)}  # column, row: the pixel's colour
COLUMNS, ROWS = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
DISPARITY = np.where(COLUMNS < 10, np.nan, 5 + 0.1 * COLUMNS + 0.01 * ROWS)
DEPTH = 30 / DISPARITY
HALF = (COLUMNS[::2, ::2] - 100.0).astype(float)  # a map of half the size, with negative numbers
RIG = {
    "focal_px": 452.9, "baseline": 0.075, "unit": "m", "width_px": 640, "cx": 298.85,
    "disparity_px": 36.0, "doffs_px": 0.0, "z_near": 0.5, "z_far": 3.0,
}  # fmt: skip


def picture(ground: tuple[int, int, int], size=(WIDTH, HEIGHT), spots=SPOTS) -> str:
    made = Image.new("RGB", size, ground)
    for place, colour in spots.items():
        made.putpixel(place, colour)
    return data_uri(made)


def grid(values, unit, decimals):
    return encode(values) | {"unit": unit, "decimals": decimals}


VALUE = {
    "size": [WIDTH, HEIGHT],
    "key": "first",
    "layers": [
        {
            "name": "Disparity",
            "image": picture((40, 40, 120)),
            "legend": {"low": 0, "high": 40, "unit": "px", "colours": ["#000080", "#ffff00"]},
            "values": grid(DISPARITY, "px", 2),
        },
        {
            "name": "Depth",
            "image": picture((120, 80, 0)),
            "legend": {"low": 0.8, "high": 6, "unit": "m", "colours": ["#00204c", "#ffe945"]},
            "values": grid(DEPTH, "m", 3),
        },
        {
            "name": "Shift",
            "image": picture((0, 90, 90)),
            "legend": None,
            "values": grid(HALF, "", 1),
        },
        {"name": "Left picture", "image": picture((200, 0, 0)), "legend": None, "values": None},
    ],
}
MARK = {"x": 222.5, "y": 171.5, "label": "here", "colour": "#0072b2"}
WIDE = {
    "size": [1601, 403],
    "layers": [
        {"name": "Only", "image": picture((90, 90, 90), (1601, 403), {}), "legend": None,
         "values": grid(np.tile(np.arange(1601.0), (403, 1)), "px", 0)},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def stereo_app():
    """A page with both widgets. The ruler answers as the tab does: with `segment` and no layers."""
    import gradio as gr

    from demos.widgets.base import HERE
    from demos.widgets.depth_view import DepthView
    from demos.widgets.stereo_geometry import StereoGeometry

    gr.set_static_paths([HERE])
    light = {"size": VALUE["size"], "key": "first"}
    private = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}

    def pick(event):
        return json.dumps(event._data)

    def measure(event):
        d = event._data
        ends = {"from": [d["x0"], d["y0"]], "to": [d["x1"], d["y1"]], "label": "0.42 m"}
        return json.dumps(d), light | {"segment": ends}

    for listener in (pick, measure):  # Gradio looks annotations up by name, `gr` is no global
        listener.__annotations__["event"] = gr.EventData

    with gr.Blocks() as demo:
        view = DepthView(VALUE, elem_id="view")
        picked, measured = gr.Textbox(elem_id="picked"), gr.Textbox(elem_id="measured")
        view.picked(pick, None, picked, **private)
        view.measured(measure, None, [measured, view], **private)
        given = gr.Number(0, elem_id="given")
        for name, value in {
            "wide": WIDE,
            "again": VALUE,
            "shift": {**VALUE, "layer": "Shift", "size": [WIDTH, HEIGHT]},
            "nothing": None,
            "mark": light | {"row": 30, "marks": [MARK]},
        }.items():
            gr.Button(name, elem_id=name).click(
                lambda n, v=value: (v, n + 1), given, [view, given], **private
            )
        geometry = StereoGeometry(RIG, elem_id="geometry")
        far = RIG | {"doffs_px": 4.5, "unit": "mm", "baseline": 75.0, "z_far": 3000, "z_near": 500}
        gr.Button("rig", elem_id="rig").click(lambda: far, None, geometry, **private)
        DepthView(VALUE | {"layer": "Depth", "key": "other"}, elem_id="second")
        for part in (DepthView, StereoGeometry):
            part(None, elem_id=f"empty-{part.__name__}")
    _, url, _ = demo.launch(
        prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", ssr_mode=False,
        theme=theme(), css=CSS,
    )  # fmt: skip
    yield url
    demo.close()


@pytest.fixture(scope="module")
def open_view(stereo_app, open_page):
    def open_view(query="", **options):
        page = open_page(stereo_app + query, **options)
        page.locator("#geometry svg text").first.wait_for()
        drawn(page)
        return page

    return open_view


@pytest.fixture(scope="module")
def shared_page(open_view):
    return open_view()


@pytest.fixture
def page(shared_page):
    """The shared page, at rest."""
    page = shared_page
    give(page, "again")
    for name in ("Disparity", "Pick"):
        page.locator("#view").get_by_role("radio", name=name, exact=True).click()
    page.locator("#view").get_by_label("Show the whole picture").click()
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    drawn(page)
    return page


def drawn(page):
    """Waits until Disparity is seen, the layer that is on top at first."""
    page.wait_for_function("""() => {
      const canvas = document.querySelector('#view canvas');
      return canvas?.width && canvas.getContext('2d')
        .getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data.join() === '40,40,120,255';
    }""")


def give(page, name: str):
    """The value of this button in the depth view."""
    given = page.locator("#given input")
    before = given.input_value()
    page.locator(f"#{name}").click()
    page.wait_for_function(
        "(before) => document.querySelector('#given input').value !== before", arg=before
    )
    frame(page)


def layers(page) -> list[str]:
    return page.locator("#view .dv-layers button").all_inner_texts()


def readout(page, part="view") -> str:
    return page.locator(f"#{part} .dv-readout [role=status]").inner_text()


def choose(page, name: str):
    page.locator("#view").get_by_role("radio", name=name, exact=True).click()


def seen(page, selector="#view canvas"):
    """The canvas as a person sees it: (H, W, 3) css px, its place on the page, device scale."""
    canvas = page.locator(selector)
    canvas.scroll_into_view_if_needed()
    page.mouse.move(0, 0)
    frame(page)
    box = canvas.bounding_box()
    box |= {"x": math.floor(box["x"]), "y": math.floor(box["y"])}  # so is the screenshot cut
    shot = np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB")).astype(int)
    return shot, box, page.evaluate("devicePixelRatio")


def spot(page, place=(40, 30)):
    """Where the coloured pixel lies: left, top, right, bottom on the page, css px."""
    shot, box, ratio = seen(page)
    rows, columns = np.nonzero(np.abs(shot - SPOTS[place]).max(2) < 40)
    assert len(rows), f"the pixel {place} isn't in sight"
    x, y = box["x"], box["y"]
    return (x + columns.min() / ratio, y + rows.min() / ratio,
            x + (columns.max() + 1) / ratio, y + (rows.max() + 1) / ratio)  # fmt: skip


def middle(box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def zoom_at(page, x, y, turns=3):
    page.mouse.move(x - 5, y)
    page.mouse.move(x, y)  # a pointer that moves means the picture, not the page
    for _ in range(turns):
        page.mouse.wheel(0, -200 * page.evaluate("devicePixelRatio"))
        page.wait_for_timeout(100)


# ---------------------------------------------------------------- depth view: the pixel


@pytest.mark.parametrize(
    "options",
    [{}, {"device_scale_factor": 2}, {"width": 390}, {"width": 390, "device_scale_factor": 3}],
    ids=["1280", "1280@2", "390", "390@3"],
)
def test_the_clicked_pixel_is_the_emitted_pixel(open_view, options):
    page = open_view(**options)
    for place in SPOTS:
        told = wait_for(page, "picked", lambda at=middle(spot(page, place)): page.mouse.click(*at))
        assert (told["x"], told["y"]) == (place[0] + 0.5, place[1] + 0.5)
        x, y = middle(spot(page, place))
        zoom_at(page, x, y, turns=5)
        left, top, right, bottom = spot(page, place)
        assert right - left > 5
        assert left - 1 <= x <= right + 1 and top - 1 <= y <= bottom + 1  # it stayed in place
        # Its four corners are still that pixel, and a little further is the next.
        corners = {
            (right + 1, bottom + 1): (1, 1), (right - 1, bottom - 1): (0, 0),
            (left - 1, top - 1): (-1, -1), (left + 1, top + 1): (0, 0),
        }  # fmt: skip
        for at, (dx, dy) in corners.items():
            told = wait_for(page, "picked", lambda at=at: page.mouse.click(*at))
            assert (told["x"], told["y"]) == (place[0] + 0.5 + dx, place[1] + 0.5 + dy)
        page.locator("#view").get_by_label("Show the whole picture").click()


def test_a_dragged_picture_follows_and_still_tells_its_pixels(page):
    zoom_at(page, *middle(spot(page)), turns=2)
    x, y = middle(spot(page))
    before = shown(page, "picked")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y + 20)
    page.mouse.move(x + 90, y + 55)
    page.mouse.up()
    moved = middle(spot(page))
    assert moved == pytest.approx((x + 90, y + 55), abs=1.5)
    assert shown(page, "picked") == before  # a drag is no click
    told = wait_for(page, "picked", lambda: page.mouse.click(*moved))
    assert (told["x"], told["y"]) == (40.5, 30.5)


def test_a_reduced_picture_gives_pixels_of_the_full_one(page):
    give(page, "wide")
    _, box, _ = seen(page)
    css = box["width"] / 1601
    assert css < 1
    for column, row in ((3, 5), (800, 201), (1597, 400)):
        x, y = box["x"] + (column + 0.5) * css, box["y"] + (row + 0.5) * css
        told = wait_for(page, "picked", lambda x=x, y=y: page.mouse.click(x, y))
        assert (told["x"], told["y"]) == pytest.approx((column + 0.5, row + 0.5), abs=1)
        assert told["x"] % 1 == told["y"] % 1 == 0.5


def test_enlarged_pixels_have_sharp_edges(page):
    zoom_at(page, *middle(spot(page)), turns=4)
    page.mouse.move(0, 0)
    shot, box, _ = seen(page)
    left, top, right, bottom = (round(v) for v in spot(page))
    row = shot[round((top + bottom) / 2 - box["y"])]
    kinds = [
        tuple(int(v) for v in c) for c in row[round(left - box["x"]) - 9 :][: right - left + 18]
    ]
    assert set(kinds) <= {(255, 0, 255), (40, 40, 120)} | set(kinds[8:10]) | set(kinds[-10:-8])
    assert len(set(kinds)) <= 4


# ---------------------------------------------------------------- depth view: the readout


def test_the_readout_tells_the_uploaded_values(page):
    for column, row in SPOTS:
        page.mouse.move(*middle(spot(page, (column, row))))
        assert readout(page) == (
            f"x {column + 0.5}, y {row + 0.5} · disparity {DISPARITY[row, column]:.2f} px · "
            f"depth {DEPTH[row, column]:.3f} m · shift {HALF[row // 2, column // 2]:.1f}"
        ).replace("-", "−")
        page.mouse.move(0, 0)
    assert readout(page).startswith("Point at a pixel")


def test_unknown_is_called_unknown(page):
    left = spot(page)
    css = (spot(page, (222, 171))[0] - left[0]) / (222 - 40)
    page.mouse.move(middle(left)[0] - 36 * css, middle(left)[1])  # column 4
    assert readout(page).startswith("x 4.5, y 30.5 · disparity unknown · depth unknown · shift")
    assert page.locator("#view .dv-needle").is_hidden()


def test_the_needle_stands_at_the_value(page):
    page.mouse.move(*middle(spot(page)))
    needle = page.locator("#view .dv-needle").bounding_box()
    ramp = page.locator("#view .dv-ramp").bounding_box()
    share = (needle["x"] + needle["width"] / 2 - ramp["x"]) / ramp["width"]
    assert share == pytest.approx(DISPARITY[30, 40] / 40, abs=0.01)


def test_nothing_moves_when_the_pointer_or_the_layer_does(page):
    def places():
        return page.evaluate(
            "['canvas', '.dv-legend', '.dv-readout'].map((s) => {"
            " const b = document.querySelector('#view ' + s).getBoundingClientRect();"
            " return [b.top + scrollY, b.height]; })"
        )

    before = places()
    page.mouse.move(*middle(spot(page)))
    assert places() == before
    for name in ("Depth", "Shift", "Left picture", "Ruler", "Disparity"):
        choose(page, name)
        assert places() == before, name


# ---------------------------------------------------------------- depth view: layers


def ground_colour(page):
    page.mouse.move(0, 0)
    shot, _, _ = seen(page)
    return tuple(int(v) for v in shot[shot.shape[0] // 2, shot.shape[1] // 2])


def test_layers_are_radio_buttons(page):
    assert layers(page) == ["Disparity", "Depth", "Shift", "Left picture"]
    assert ground_colour(page) == (40, 40, 120)
    choose(page, "Depth")
    assert ground_colour(page) == (120, 80, 0)
    assert page.locator("#view .dv-unit").inner_text() == "m"
    assert page.locator("#view .dv-ticks span").all_inner_texts() == ["1", "2", "3", "4", "5", "6"]
    page.keyboard.press("ArrowRight")
    assert ground_colour(page) == (0, 90, 90)
    assert page.locator("#view .dv-ramp").is_hidden()
    page.keyboard.press("ArrowRight")
    assert ground_colour(page) == (200, 0, 0)
    page.keyboard.press("ArrowRight")  # round again
    assert ground_colour(page) == (40, 40, 120)
    on = page.locator("#view .dv-layers [aria-checked=true]")
    assert on.all_inner_texts() == ["Disparity"]
    assert on.get_attribute("tabindex") == "0"
    assert page.locator("#view .dv-layers [tabindex='0']").count() == 1
    page.keyboard.press("End")
    assert ground_colour(page) == (200, 0, 0)


def test_blend_lets_the_left_picture_through(page):
    slider = page.locator("#view .dv-blend input")
    slider.fill("50")
    half = tuple((a + b) / 2 for a, b in zip((40, 40, 120), (200, 0, 0), strict=True))
    assert ground_colour(page) == pytest.approx(half, abs=3)
    choose(page, "Left picture")
    assert slider.is_disabled()
    choose(page, "Disparity")
    slider.fill("100")
    assert ground_colour(page) == (40, 40, 120)


def test_the_first_layer_can_be_named(page):
    on = page.locator("#second .dv-layers [aria-checked=true]")
    assert on.all_inner_texts() == ["Depth"]


def test_a_value_of_the_same_size_keeps_layer_zoom_and_mode(page):
    choose(page, "Depth")
    choose(page, "Ruler")
    zoom_at(page, *middle(spot(page)))
    before, _, _ = seen(page)
    give(page, "shift")
    after, _, _ = seen(page)
    assert np.array_equal(after, before)
    assert page.locator("#view [aria-checked=true]").all_inner_texts() == ["Depth", "Ruler"]


def test_another_size_starts_anew_and_nothing_says_so(page):
    zoom_at(page, *middle(spot(page)))
    give(page, "wide")
    _, box, _ = seen(page)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert readout(page).split(",")[0] in ("x 799.5", "x 800.5", "x 801.5")
    give(page, "nothing")
    page.locator("#view").get_by_text("No picture yet.").wait_for()
    assert page.locator("#view canvas").is_hidden()


def test_empty_widgets_say_so(page):
    assert page.locator("#empty-DepthView").inner_text() == "No picture yet."
    assert page.locator("#empty-StereoGeometry").inner_text().startswith("No rig yet")


# ---------------------------------------------------------------- depth view: ruler, keys, zoom


def yellow(page) -> int:
    shot, _, _ = seen(page)
    return int((np.abs(shot - (255, 212, 0)).max(2) < 30).sum())


def test_the_ruler_tells_both_ends_and_shows_the_answer(page):
    choose(page, "Ruler")
    first, second = middle(spot(page)), middle(spot(page, (222, 171)))
    picked, measured = shown(page, "picked"), shown(page, "measured")
    page.mouse.click(*first)
    page.mouse.move(0, 0)
    assert readout(page).startswith("Now the second pixel")
    assert yellow(page) > 10  # the first end is seen at once
    assert shown(page, "measured") == measured
    told = wait_for(page, "measured", lambda: page.mouse.click(*second))
    assert told == {"x0": 40.5, "y0": 30.5, "x1": 222.5, "y1": 171.5}
    assert shown(page, "picked") == picked
    page.mouse.move(0, 0)
    assert yellow(page) > 200
    # The label lies on a dark ground near the middle of the line.
    shot, box, ratio = seen(page)
    x = ((first[0] + second[0]) / 2 - box["x"]) * ratio
    y = ((first[1] + second[1]) / 2 - box["y"]) * ratio
    around = shot[round(y - 27 * ratio) : round(y - 5 * ratio), round(x - 25) : round(x + 25)]
    assert around.max() > 240 and around.min() < 40


def test_escape_drops_the_first_end(page):
    choose(page, "Ruler")
    page.mouse.click(*middle(spot(page)))
    page.keyboard.press("Escape")
    page.mouse.move(0, 0)
    assert readout(page).startswith("Click two pixels")
    assert yellow(page) == 0


def test_marks_and_a_row_are_drawn_without_sending_layers_again(page):
    css = middle(spot(page))[1]
    give(page, "mark")
    page.mouse.move(0, 0)
    shot, box, ratio = seen(page)
    assert layers(page)[0] == "Disparity" and ground_colour(page) == (40, 40, 120)
    near = np.abs(shot - (255, 212, 0)).max(2) < 60
    lines = np.nonzero(near.sum(1) > 0.5 * near.sum(1).max())[0]
    assert box["y"] + (lines.mean() + 0.5) / ratio == pytest.approx(css, abs=1.5)
    rows, columns = np.nonzero(np.abs(shot - (0, 114, 178)).max(2) < 12)
    ring = columns.mean() / shot.shape[1], rows.mean() / shot.shape[0]
    whole = box["height"] * WIDTH / HEIGHT  # css px of the picture, in the middle of the canvas
    x = (box["width"] - whole) / 2 + 222.5 / WIDTH * whole
    assert ring == pytest.approx((x / box["width"], 171.5 / HEIGHT), abs=0.005)


def test_the_keyboard_alone_reads_picks_and_measures(open_view):
    page = open_view()
    canvas = page.locator("#view canvas")
    canvas.focus()
    page.keyboard.press("ArrowRight")  # the cross comes up where the view is
    assert readout(page).startswith("x 150.5, y 111.5 ·")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowUp")
    assert readout(page).startswith("x 149.5, y 101.5 ·")
    told = wait_for(page, "picked", lambda: page.keyboard.press("Enter"))
    assert told == {"x": 149.5, "y": 101.5}
    for _ in range(20):
        page.keyboard.press("Shift+ArrowLeft")
    assert readout(page).startswith("x 0.5, y 101.5 ·")
    choose(page, "Ruler")
    canvas.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+ArrowRight")
    told = wait_for(page, "measured", lambda: page.keyboard.press("Enter"))
    assert told == {"x0": 0.5, "y0": 102.5, "x1": 10.5, "y1": 102.5}


def test_keys_zoom_at_the_cross_and_it_stays_in_sight(page):
    page.mouse.click(*middle(spot(page)))  # the cross starts there
    page.mouse.move(0, 0)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    small = spot(page)
    for _ in range(3):
        page.keyboard.press("+")
    large = spot(page)
    assert (large[2] - large[0]) / (small[2] - small[0]) == pytest.approx(1.5**3, rel=0.35)
    for _ in range(19):
        page.keyboard.press("Shift+ArrowRight")
    for _ in range(15):
        page.keyboard.press("Shift+ArrowDown")
    spot(page, (222, 171))  # asserts that it is in sight
    page.keyboard.press("0")
    assert spot(page)[0] == pytest.approx(small[0], abs=1)


def test_a_double_click_shows_all_again(page):
    before = spot(page)
    zoom_at(page, *middle(before))
    assert spot(page)[2] - spot(page)[0] > before[2] - before[0] + 3
    page.mouse.dblclick(*middle(spot(page)))
    assert spot(page) == pytest.approx(before, abs=1)
    choose(page, "Ruler")
    page.mouse.dblclick(*middle(spot(page)))
    page.mouse.move(0, 0)
    assert readout(page).startswith("Click two pixels")


def test_the_wheel_scrolls_the_page_past_a_pointer_at_rest(page):
    page.evaluate("scrollTo(0, 0)")
    x, y = middle(spot(page))
    page.mouse.move(x, y)
    page.mouse.move(x + 2, y)
    top = page.evaluate("scrollY")
    page.mouse.wheel(0, 120)  # nothing to zoom out of: the page scrolls
    page.wait_for_function("(top) => scrollY > top", arg=top)
    size = page.evaluate("scrollY")
    page.mouse.wheel(0, -60)  # the pointer hasn't moved since: still the page
    page.wait_for_function("(now) => scrollY < now", arg=size)
    page.evaluate("scrollTo(0, 0)")


def test_fingers_pinch_drag_and_tap(open_view):
    page = open_view(width=390, has_touch=True, is_mobile=True, device_scale_factor=2)
    devtools = page.context.new_cdp_session(page)

    def touch(kind, *points):
        devtools.send(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": [{"x": x, "y": y, "id": k} for k, (x, y) in points]},
        )
        page.wait_for_timeout(30)

    x, y = middle(spot(page))
    small = spot(page)
    touch("touchStart", (0, (x - 15, y)))
    touch("touchStart", (0, (x - 15, y)), (1, (x + 15, y)))
    for reach in (25, 40, 60):
        touch("touchMove", (0, (x - reach, y)), (1, (x + reach, y)))
    touch("touchEnd")
    large = spot(page)
    assert (large[2] - large[0]) / (small[2] - small[0]) == pytest.approx(4, rel=0.3)
    assert middle(large) == pytest.approx((x, y), abs=4)
    x, y = middle(large)
    touch("touchStart", (0, (x, y)))
    for share in (0.3, 0.7, 1):
        touch("touchMove", (0, (x + 60 * share, y + 40 * share)))
    touch("touchEnd")
    moved = middle(spot(page))
    assert moved == pytest.approx((x + 60, y + 40), abs=3)
    told = wait_for(page, "picked", lambda: page.touchscreen.tap(*moved))
    assert (told["x"], told["y"]) == (40.5, 30.5)
    assert readout(page).startswith("x 40.5, y 30.5")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


# ---------------------------------------------------------------- geometry


def sums(page) -> dict[str, str]:
    found = page.locator("#geometry [data-sum]")
    return {
        p.get_attribute("data-sum"): " ".join(p.inner_text().split())
        for p in found.element_handles()
    }


def slide(page, name: str, value: float):
    page.locator(f"#geometry [data-of={name}] input").evaluate(
        "(e, v) => { e.value = v; e.dispatchEvent(new Event('input', { bubbles: true })); }", value
    )


@pytest.fixture
def geometry(page):
    page.locator("#geometry button").click()
    return page


def test_the_golden_depth_is_computed(geometry):
    # 452.9 px · 7.5 cm / 36 px = 94.35 cm; the error: 0.9435² / (452.9 · 0.075) = 2.62 cm a pixel.
    told = sums(geometry)
    assert "= 452.9 px · 0.0750 m / 36.00 px = 0.944 m" in told["z"]
    assert "= 0.0262 m for each px" in told["error"]
    label = geometry.locator("#geometry svg").first.get_attribute("aria-label")
    # 33.9675 / 37 and / 35
    assert "0.944 m" in label and "between 0.918 and 0.970 m" in label


def test_depth_follows_every_slider(geometry):
    slide(geometry, "baseline", 0.1125)
    assert "= 1.415 m" in sums(geometry)["z"]
    assert geometry.locator("#geometry [data-of=baseline] output").inner_text() == "0.113 m"
    slide(geometry, "disparity", 18)
    assert "= 2.831 m" in sums(geometry)["z"]
    slide(geometry, "focal", 226.45)
    assert "= 1.415 m" in sums(geometry)["z"]
    geometry.locator("#geometry button").click()
    assert "= 0.944 m" in sums(geometry)["z"]


def test_the_keyboard_moves_a_slider(geometry):
    slider = geometry.locator("#geometry").get_by_role("slider", name="Disparity")
    slider.focus()
    geometry.keyboard.press("ArrowRight")
    assert float(slider.input_value()) > 36
    said = slider.get_attribute("aria-valuetext")
    assert re.fullmatch(r"3\d\.\d\d px, depth 0\.\d{3} m", said) and "0.944" not in said


def test_marks_on_the_planes_lie_on_their_rays(geometry):
    """Left camera, u_l on its plane and the point are on one line; so are they on the right."""
    for disparity in (36, 20, 60):
        slide(geometry, "disparity", disparity)
        ends = geometry.locator("#geometry .sg-ray").evaluate_all(
            "(rays) => rays.map((r) => ['x1', 'y1', 'x2', 'y2'].map((k) => +r.getAttribute(k)))"
        )
        marks = geometry.locator("#geometry circle[r='4.5']").evaluate_all(
            "(dots) => dots.map((d) => ['cx', 'cy'].map((k) => +d.getAttribute(k)))"
        )
        assert len(ends) == len(marks) == 2
        assert ends[0][2:] == pytest.approx(ends[1][2:], abs=0.01)  # they meet
        planes = geometry.locator("#geometry line[stroke-width='3']").evaluate_all(
            "(lines) => lines.map((l) => +l.getAttribute('y1'))"
        )
        assert [y for _, y in marks] == pytest.approx(planes, abs=0.01)
        for (x1, y1, x2, y2), (x, y) in zip(ends, marks, strict=True):
            assert y2 < y < y1
            assert x == pytest.approx(x1 + (x2 - x1) * (y - y1) / (y2 - y1), abs=0.01)


def test_a_new_rig_with_doffs_and_another_unit(geometry):
    geometry.locator("#rig").click()
    geometry.locator("#geometry [data-sum=z]", has_text="doffs").wait_for()
    # 452.9 · 75 / 40.5
    assert "(36.00 + 4.500) px = 838.7 mm" in sums(geometry)["z"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_parts_are_named_legible_and_fit(open_view, theme):
    page = open_view(f"?__theme={theme}")
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        frame(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(AUDIT, ".sl-widget") == []
        assert page.evaluate(CONTRAST, ".sl-widget") == []
