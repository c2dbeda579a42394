"""The browser parts, used as a person uses them: with a real mouse and a real keyboard."""

from __future__ import annotations

import base64
import io
import json
import re
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

pytestmark = pytest.mark.browser

RED, BLUE = (200, 30, 30), (30, 30, 200)
SIZE0, SIZE1 = (301, 223), (257, 341)  # width, height: odd, not square, not alike
POINTS0 = [[40.5, 50.25], [200, 60], [150.5, 180.5], [20, 200]]
POINTS1 = [[30, 300.5], [220, 100.25], [100.5, 60], [240, 330]]
CORNERS = {"width": 301, "height": 223, "corners": [0.0] * 8}
RATIOS = {
    # At 0.8: kept are the five below it, of which 3 are right and 1 wrong and 1 unknown.
    "values": [0.5, 0.6, 0.7, 0.79, 0.55, 0.8, 0.9, 0.95, 0.99],
    "labels": [1, 1, 1, 0, -1, 1, 0, 0, 1],
    "threshold": 0.8,
    "minimum": 0.5,
    "maximum": 1.0,
    "step": 0.01,
    "label": "ratio",
}


def png(picture: Image.Image, **text: str) -> bytes:
    info = PngInfo()
    for key, value in text.items():
        info.add_text(key, value)
    out = io.BytesIO()
    picture.save(out, "PNG", pnginfo=info)
    return out.getvalue()


def data_uri(picture: Image.Image) -> str:
    return "data:image/png;base64," + base64.b64encode(png(picture)).decode()


def plain(size, colour) -> str:
    return data_uri(Image.new("RGB", size, colour))


MATCHES = {
    "image0": plain(SIZE0, RED),
    "image1": plain(SIZE1, BLUE),
    "size0": SIZE0,
    "size1": SIZE1,
    "points0": POINTS0,
    "points1": POINTS1,
    "state": [0, 1, 0, 1],
    "classes": [{"name": "kept", "colour": "#00ff00"}, {"name": "dropped", "colour": "#ffff00"}],
    "keypoints0": {"xy": [[100, 100]], "size": [40], "angle": [90]},
}
OVERLAY = {
    "image0": plain((301, 223), RED),
    "image1": plain((301, 223), BLUE),
    "label0": "before",
    "label1": "after",
}


@pytest.fixture(scope="module")
def app():
    """A page with every widget, each wired to a textbox that shows its events' data."""
    import gradio as gr

    from demos.widgets.base import HERE
    from demos.widgets.corner_warp import CornerWarp
    from demos.widgets.match_view import MatchView
    from demos.widgets.overlay import Overlay
    from demos.widgets.restore import Restore
    from demos.widgets.threshold_plot import ThresholdPlot

    gr.set_static_paths([HERE])

    def tell(event):
        return json.dumps(event._data)

    # Gradio looks annotations up by name, and `gr` is no global here.
    tell.__annotations__["event"] = gr.EventData

    def wire(listen, box):
        listen(tell, None, box, queue=False, api_visibility="private", show_progress="hidden")

    with gr.Blocks() as demo:
        Restore(elem_id="restore")
        matches = MatchView(MATCHES, elem_id="matches")
        picked, pointed = gr.Textbox(elem_id="picked"), gr.Textbox(elem_id="pointed")
        wire(matches.picked, picked)
        wire(matches.pointed, pointed)
        swap = gr.Button("swap", elem_id="swap")
        many = {
            **MATCHES,
            "points0": POINTS0 * 25,
            "points1": POINTS1 * 25,
            "state": [0, 0, 0, 1] * 25,
        }
        swap.click(lambda: many, None, matches, queue=False, api_visibility="private")
        warp = CornerWarp(CORNERS | {"image": plain(SIZE0, RED)}, elem_id="warp")
        wire(warp.warped, gr.Textbox(elem_id="warped"))
        plot = ThresholdPlot(RATIOS, elem_id="plot")
        wire(plot.released, gr.Textbox(elem_id="released"))
        unknown = RATIOS | {"labels": [-1] * 9}
        ThresholdPlot(unknown, elem_id="unknown")
        Overlay(OVERLAY, elem_id="overlay")
        for part in (MatchView, CornerWarp, ThresholdPlot, Overlay):
            part(None, elem_id=f"empty-{part.__name__}")
        picture = gr.Image(elem_id="picture", type="numpy", height=200)
        shape = gr.Textbox(elem_id="shape")
        picture.upload(lambda p: str(p.shape), picture, shape, queue=False)
    _, url, _ = demo.launch(
        prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", ssr_mode=False
    )
    yield url
    demo.close()


@pytest.fixture(scope="module")
def page(app, open_page):
    page = open_page(app)
    mounted(page)
    return page


@pytest.fixture(scope="module")
def phone(app, open_page):
    page = open_page(app, width=390)
    mounted(page)
    return page


def mounted(page):
    page.locator("#matches canvas").wait_for()
    page.locator("#overlay .ov-stage").wait_for()


def shown(page, box: str) -> str:
    return page.locator(f"#{box} textarea").input_value()


def wait_for(page, box: str, change):
    """Does `change` and returns the event's data that then appears in the textbox."""
    before = shown(page, box)
    change()
    page.wait_for_function(
        "([box, before]) => document.querySelector(`#${box} textarea`).value !== before",
        arg=[box, before],
    )
    return json.loads(shown(page, box))


def frames(page):
    """Where the red and the blue picture are seen, as (left, top, width, height) in page px.

    Measured on a screenshot, so it shares no code with the widget.
    """
    canvas = page.locator("#matches canvas")
    canvas.scroll_into_view_if_needed()
    page.mouse.move(0, 0)
    page.wait_for_timeout(150)
    box = canvas.bounding_box()
    seen = np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB")).astype(int)
    found = []
    for colour in (RED, BLUE):
        rows, columns = np.nonzero(np.abs(seen - colour).max(2) < 12)
        left, top = columns.min(), rows.min()
        size = columns.max() + 1 - left, rows.max() + 1 - top
        found.append((box["x"] + left, box["y"] + top, *size))
    return found


def on_page(frame, size, point):
    left, top, width, height = frame
    return left + point[0] * width / size[0], top + point[1] * height / size[1]


# ---------------------------------------------------------------- match view


def test_pictures_have_one_height_and_their_own_shape(page):
    first, second = frames(page)
    assert abs(first[3] - second[3]) <= 1
    for (_, _, width, height), (w, h) in zip((first, second), (SIZE0, SIZE1), strict=True):
        assert width / height == pytest.approx(w / h, rel=0.01)


def test_click_on_a_match_gives_its_index(page):
    for view, size, points in ((0, SIZE0, POINTS0), (1, SIZE1, POINTS1)):
        for index in (3, 1, 0, 2):
            x, y = on_page(frames(page)[view], size, points[index])
            page.mouse.move(x + 3, y - 2)
            assert page.locator("#matches .mv-readout").inner_text().startswith(f"match {index}:")
            told = wait_for(page, "picked", lambda x=x, y=y: page.mouse.click(x, y))
            assert told == {"index": index}


def test_click_elsewhere_gives_full_picture_px(page):
    places = ((0, SIZE0, (250.5, 150)), (0, SIZE0, (75, 120)), (1, SIZE1, (60.5, 210)))
    for view, size, point in places:
        x, y = on_page(frames(page)[view], size, point)
        told = wait_for(page, "pointed", lambda x=x, y=y: page.mouse.click(x, y))
        assert told["view"] == view
        assert (told["x"], told["y"]) == pytest.approx(point, abs=1)


def test_nine_px_away_is_not_the_match_any_more(page):
    x, y = on_page(frames(page)[0], SIZE0, POINTS0[1])
    picked = shown(page, "picked")
    told = wait_for(page, "pointed", lambda: page.mouse.click(x + 9.5, y))
    assert told["view"] == 0
    assert shown(page, "picked") == picked


def test_chips_hide_a_class(page):
    chip = page.locator("#matches .mv-chip", has_text="dropped")
    assert chip.inner_text().split() == ["dropped", "2"]
    assert chip.get_attribute("aria-pressed") == "true"
    x, y = on_page(frames(page)[0], SIZE0, POINTS0[1])
    chip.click()
    assert chip.get_attribute("aria-pressed") == "false"
    told = wait_for(page, "pointed", lambda: page.mouse.click(x, y))
    assert (told["x"], told["y"]) == pytest.approx(POINTS0[1], abs=1)
    chip.click()
    assert wait_for(page, "picked", lambda: page.mouse.click(x, y)) == {"index": 1}


def test_arrows_step_through_visible_matches(page):
    chip = page.locator("#matches .mv-chip", has_text="dropped")
    canvas = page.locator("#matches canvas")
    readout = page.locator("#matches .mv-readout")
    x, y = on_page(frames(page)[0], SIZE0, POINTS0[0])
    page.mouse.click(x, y)
    page.mouse.move(0, 0)
    chip.click()  # left are 0 and 2
    canvas.focus()
    page.keyboard.press("ArrowRight")
    assert readout.inner_text() == "match 2: kept"
    assert wait_for(page, "picked", lambda: page.keyboard.press("Enter")) == {"index": 2}
    page.keyboard.press("ArrowRight")
    assert readout.inner_text().startswith("match 0")
    page.keyboard.press("ArrowLeft")
    assert readout.inner_text().startswith("match 2")
    chip.click()


def test_lines_and_keypoints_can_be_switched(page):
    canvas = page.locator("#matches canvas")

    def greens() -> int:
        page.mouse.move(0, 0)
        page.wait_for_timeout(150)
        seen = np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB")).astype(int)
        return int(((seen[..., 1] > 120) & (seen[..., 0] < 100)).sum())

    page.mouse.click(*on_page(frames(page)[0], SIZE0, POINTS0[1]))  # picks a yellow one
    with_lines = greens()
    page.locator("#matches").get_by_label("lines").click()
    without = greens()
    page.locator("#matches").get_by_label("lines").click()
    assert without < with_lines / 3
    # The keypoint at (100, 100) has a radius of 20 px and points down: white below, not above.
    x, y = on_page(frames(page)[0], SIZE0, (100, 110))
    x_up, y_up = on_page(frames(page)[0], SIZE0, (100, 90))

    def brightest(x, y):
        clip = {"x": round(x) - 2, "y": round(y) - 2, "width": 5, "height": 5}
        return np.asarray(Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("L")).max()

    before = brightest(x, y)
    page.locator("#matches").get_by_label("keypoints").click()
    page.wait_for_timeout(150)
    assert brightest(x, y) > before + 80
    assert brightest(x_up, y_up) < before + 20
    page.locator("#matches").get_by_label("keypoints").click()


def test_a_new_value_keeps_hidden_classes_and_the_slider_shows_fewer(page):
    chip = page.locator("#matches .mv-chip", has_text="kept")
    chip.click()
    page.locator("#swap").click()
    page.locator("#matches output", has_text="all 100").wait_for()
    assert chip.get_attribute("aria-pressed") == "false"
    assert chip.inner_text().split() == ["kept", "75"]
    slider = page.locator("#matches").get_by_label("show")
    slider.focus()
    page.keyboard.press("Home")
    assert page.locator("#matches output").inner_text() == "best 5 of 100"
    page.keyboard.press("End")
    assert page.locator("#matches output").inner_text() == "all 100"
    chip.click()


def test_narrow_widget_stacks_the_pictures(phone):
    first, second = frames(phone)
    assert second[1] >= first[1] + first[3]
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    x, y = on_page(second, SIZE1, (60.5, 210))
    told = wait_for(phone, "pointed", lambda: phone.mouse.click(x, y))
    assert told["view"] == 1
    assert (told["x"], told["y"]) == pytest.approx((60.5, 210), abs=1)


# ---------------------------------------------------------------- corner warp


def corner(page, k):
    handle = page.locator("#warp .cw-handle").nth(k)
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(page, start, by):
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(start[0] + by[0] / 2, start[1] + by[1] / 2)
    page.mouse.move(start[0] + by[0], start[1] + by[1])
    page.mouse.up()


@pytest.fixture
def square(page):
    """The corner widget with its corners at home; gives the picture's width and height, page px."""
    reset = page.locator("#warp .cw-reset")
    reset.scroll_into_view_if_needed()
    if page.locator("#warp .cw-readout").inner_text() != "Drag a corner.":
        wait_for(page, "warped", reset.click)
    (left, top), (right, bottom) = corner(page, 0), corner(page, 2)
    return right - left, bottom - top


def test_a_dragged_corner_gives_its_displacement(page, square):
    width, height = square
    assert width / height == pytest.approx(301 / 223, rel=0.01)
    told = wait_for(page, "warped", lambda: drag(page, corner(page, 1), (-40, 30)))
    expected = [0, 0, -40 / width, 30 / height, 0, 0, 0, 0]
    assert told["corners"] == pytest.approx(expected, abs=1 / width)
    # The picture follows: its red now ends at the corner.
    x, y = corner(page, 1)
    clip = {"x": x - 60, "y": y + 22, "width": 120, "height": 1}
    row = np.asarray(Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")).astype(int)
    red = np.nonzero(np.abs(row[0] - RED).max(1) < 12)[0]
    assert red.max() == pytest.approx(60 + 22 * 40 / (height - 30), abs=4)


def test_arrows_move_a_corner_by_whole_px(page, square):
    page.locator("#warp .cw-handle").nth(3).focus()
    told = wait_for(page, "warped", lambda: page.keyboard.press("ArrowLeft"))
    assert told["corners"] == pytest.approx([0] * 6 + [-1 / 301, 0], abs=1e-6)
    told = wait_for(page, "warped", lambda: page.keyboard.press("Shift+ArrowUp"))
    assert told["corners"] == pytest.approx([0] * 6 + [-1 / 301, -10 / 223], abs=1e-6)
    told = wait_for(page, "warped", page.locator("#warp .cw-reset").click)
    assert told["corners"] == [0] * 8


def test_the_quadrilateral_stays_convex_and_on_the_stage(page, square):
    width, height = square
    told = wait_for(
        page, "warped", lambda: drag(page, corner(page, 0), (0.9 * width, 0.9 * height))
    )
    dx, dy = told["corners"][:2]
    assert 0.4 < dx + dy < 1  # the far side's diagonal is x + y = 1
    wait_for(page, "warped", page.locator("#warp .cw-reset").click)
    told = wait_for(page, "warped", lambda: drag(page, corner(page, 0), (-width, -10)))
    assert told["corners"][0] == pytest.approx(-0.3)


# ---------------------------------------------------------------- threshold plot


def stat(page, name, plot="plot"):
    return page.locator(f"#{plot} [data-is={name}] dd").inner_text().replace("\n", " ")


def test_shares_equal_hand_computed_ones(page):
    # Below 0.80: right 0.5 0.6 0.7, wrong 0.79, unknown 0.55. Right at all: 5.
    page.locator("#plot .tp-plot").scroll_into_view_if_needed()
    assert stat(page, "precision").startswith("75.0 %")
    assert stat(page, "recall").startswith("60.0 %")
    assert stat(page, "kept").startswith("5")


def test_drag_moves_the_shares_and_tells_on_release(page):
    line = page.locator("#plot [role=slider]")
    line.scroll_into_view_if_needed()
    svg = page.locator("#plot .tp-plot").bounding_box()
    box = line.locator("circle").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    per_unit = (svg["width"] - 40 - 14) / 0.5  # the axis: 0.5 to 1 between two margins
    before = shown(page, "released")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 0.12 * per_unit, y)
    # Below 0.92: right 0.5 0.6 0.7 0.8, wrong 0.79 0.9, unknown 0.55.
    assert line.get_attribute("aria-valuenow") == "0.92"
    assert stat(page, "precision").startswith("66.7 %")
    assert stat(page, "recall").startswith("80.0 %")
    assert stat(page, "kept").startswith("7")
    assert shown(page, "released") == before
    assert wait_for(page, "released", page.mouse.up) == {"threshold": 0.92}


def test_arrows_move_the_threshold(page):
    line = page.locator("#plot [role=slider]")
    line.focus()
    told = wait_for(page, "released", lambda: page.keyboard.press("Home"))
    assert told == {"threshold": 0.5}
    assert stat(page, "kept").startswith("0")
    assert stat(page, "precision").startswith("–")  # nothing kept: no share to give
    told = wait_for(page, "released", lambda: page.keyboard.press("ArrowRight"))
    assert told == {"threshold": 0.51}
    assert stat(page, "precision").startswith("100.0 %")
    assert stat(page, "recall").startswith("20.0 %")
    assert (line.get_attribute("aria-valuemin"), line.get_attribute("aria-valuemax")) == (
        "0.5",
        "1",
    )


def test_without_truth_only_the_count_is_shown(page):
    assert stat(page, "kept", "unknown").startswith("5")
    assert page.locator("#unknown [data-is=precision]").is_hidden()
    assert page.locator("#unknown [data-is=recall]").is_hidden()


# ---------------------------------------------------------------- overlay


def colour_at(page, share_x, share_y=0.8):
    stage = page.locator("#overlay .ov-stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    clip = {"x": box["x"] + share_x * box["width"], "y": box["y"] + share_y * box["height"]}
    shot = page.screenshot(clip=clip | {"width": 1, "height": 1})
    return tuple(int(v) for v in np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"))[0, 0])


def mode(page, name):
    button = page.locator("#overlay").get_by_role("button", name=name, exact=True)
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator("#overlay .ov-modes [aria-pressed=true]").count() == 1


def test_swipe_follows_the_mouse_and_the_arrows(page):
    mode(page, "Swipe")
    stage = page.locator("#overlay .ov-stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    middle = box["y"] + box["height"] / 2
    drag(page, (box["x"] + box["width"] / 2, middle), (0.25 * box["width"], 0))
    assert colour_at(page, 0.7) == pytest.approx(RED, abs=2)
    assert colour_at(page, 0.8) == pytest.approx(BLUE, abs=2)
    divider = page.locator("#overlay [role=slider]")
    assert divider.get_attribute("aria-valuenow") == "75"
    divider.focus()
    page.keyboard.press("Shift+ArrowLeft")
    assert colour_at(page, 0.7) == pytest.approx(BLUE, abs=2)
    page.keyboard.press("Home")
    assert colour_at(page, 0.1) == pytest.approx(BLUE, abs=2)


def test_blend_mixes(page):
    mode(page, "Blend")
    half = tuple((a + b) / 2 for a, b in zip(RED, BLUE, strict=True))
    assert colour_at(page, 0.5) == pytest.approx(half, abs=3)
    page.locator("#overlay [data-for=blend] input").focus()
    page.keyboard.press("End")
    assert colour_at(page, 0.5) == pytest.approx(BLUE, abs=2)


def test_flicker_shows_both_and_stops(page):
    mode(page, "Flicker")
    seen = set()
    for _ in range(12):
        seen.add(colour_at(page, 0.5)[0] > 100)
        page.wait_for_timeout(90)
    assert seen == {True, False}
    page.locator("#overlay").get_by_role("button", name="Stop").click()
    page.wait_for_timeout(300)
    still = set()
    for _ in range(6):
        still.add(colour_at(page, 0.5))
        page.wait_for_timeout(110)
    assert len(still) == 1
    page.locator("#overlay").get_by_role("button", name="Start").click()


def test_flicker_starts_off_for_those_who_want_less_motion(app, open_page):
    page = open_page(app, reduced_motion="reduce")
    page.locator("#overlay .ov-stage").wait_for()
    mode(page, "Flicker")
    assert page.locator("#overlay").get_by_role("button", name="Start").is_visible()


def test_difference_is_the_absolute_difference(page):
    mode(page, "Difference")
    expected = tuple(abs(a - b) for a, b in zip(RED, BLUE, strict=True))
    assert colour_at(page, 0.5) == pytest.approx(expected, abs=2)


def test_empty_widgets_say_so(page):
    for name in ("MatchView", "CornerWarp", "ThresholdPlot", "Overlay"):
        text = page.locator(f"#empty-{name}").inner_text()
        assert re.match(r"No (matches|picture|values|pictures) yet\.", text)


# ---------------------------------------------------------------- restore

LINK = "?tab=matching&ratio=0.7"
DROP = """([selector, files]) => {
  const data = new DataTransfer();
  for (const [name, base64] of files) {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    data.items.add(new File([bytes], name, { type: 'image/png' }));
  }
  const target = document.querySelector(selector);
  for (const kind of ['dragenter', 'dragover', 'drop']) {
    target.dispatchEvent(
      new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: data }));
  }
}"""


def figure(**text) -> bytes:
    return png(Image.new("RGB", (31, 17), RED), **text)


def link_of(page, data: bytes):
    """What `recipeLink` reads from these bytes, in the page."""
    from demos.widgets.base import static_url

    return page.evaluate(
        """async ([module, base64]) => {
          const { recipeLink } = await import(module);
          return recipeLink(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)).buffer);
        }""",
        [static_url("restore.js"), base64.b64encode(data).decode()],
    )


def test_recipe_link_reads_text_chunks(page):
    assert link_of(page, figure(sightline=json.dumps({"link": LINK}))) == LINK
    assert link_of(page, figure(Title="x", sightline=json.dumps({"link": LINK}))) == LINK
    info = PngInfo()
    info.add_itxt("sightline", json.dumps({"link": "?name=é"}, ensure_ascii=False), "fr", "clé")
    out = io.BytesIO()
    Image.new("L", (3, 5)).save(out, "PNG", pnginfo=info)
    assert link_of(page, out.getvalue()) == "?name=é"


def test_a_recipe_as_core_writes_it_is_read(page):
    from core.matching.types import MatchSettings
    from core.recipe import PNG_KEY, Recipe

    recipe = Recipe("matching", "", (MatchSettings(ratio=0.7),))
    assert link_of(page, figure(**{PNG_KEY: recipe.to_json()})) == recipe.link() == LINK


@pytest.mark.parametrize(
    "data",
    [
        figure(),
        figure(other=json.dumps({"link": LINK})),
        figure(sightline="not json"),
        figure(sightline="null"),
        figure(sightline=json.dumps({"link": 5})),
        figure(sightline=json.dumps({"link": "https://example.com/?a=1"})),
        figure(sightline=json.dumps({"link": "//example.com"})),
        figure(sightline=json.dumps({"link": "javascript:alert(1)"})),
        figure(sightline=json.dumps({"link": LINK}))[:70],
        b"",
        b"\x89PNG\r\n\x1a\n" + b"\xff" * 40,
    ],
)
def test_recipe_link_takes_nothing_else(page, data):
    assert link_of(page, data) is None


def test_dropping_a_figure_restores_its_link(app, open_page):
    page = open_page(app)
    page.locator("#restore button").wait_for()
    files = [
        ["figure.png", base64.b64encode(figure(sightline=json.dumps({"link": LINK}))).decode()]
    ]
    with page.expect_navigation():
        page.evaluate(DROP, ["#picture button", files])
    assert "?" + urlsplit(page.url).query == LINK


def test_dropping_a_plain_png_still_uploads_it(page):
    url = page.url
    page.locator("#picture button").first.wait_for()
    files = [["plain.png", base64.b64encode(figure()).decode()]]
    page.evaluate(DROP, ["#picture button", files])
    page.wait_for_function("document.querySelector('#shape textarea').value !== ''")
    assert shown(page, "shape") == "(17, 31, 3)"
    assert page.url == url


def test_dropping_a_file_from_the_desktop(app, open_page, tmp_path):
    """The browser's own drag and drop, not events made by a script."""
    page = open_page(app)
    target = page.locator("#picture button").first
    target.wait_for()
    target.scroll_into_view_if_needed()
    page.locator("#restore button").wait_for()
    target.scroll_into_view_if_needed()
    box = target.bounding_box()
    devtools = page.context.new_cdp_session(page)

    def drop(name: str, data: bytes):
        (tmp_path / name).write_bytes(data)
        for kind in ("dragEnter", "dragOver", "drop"):
            devtools.send(
                "Input.dispatchDragEvent",
                {
                    "type": kind,
                    "x": box["x"] + box["width"] / 2,
                    "y": box["y"] + box["height"] / 2,
                    "data": {
                        "items": [],
                        "files": [str(tmp_path / name)],
                        "dragOperationsMask": 1,
                    },
                },
            )

    drop("plain.png", figure())
    page.wait_for_function("document.querySelector('#shape textarea').value === '(17, 31, 3)'")
    with page.expect_navigation():
        drop("figure.png", figure(sightline=json.dumps({"link": LINK})))
    assert "?" + urlsplit(page.url).query == LINK


def test_open_a_figure_with_the_button(app, open_page, tmp_path):
    page = open_page(app)
    (tmp_path / "plain.png").write_bytes(figure())
    (tmp_path / "figure.png").write_bytes(figure(sightline=json.dumps({"link": LINK})))
    button = page.locator("#restore button")
    page.locator("#overlay .ov-stage").wait_for()  # all is mounted, nothing takes the focus away

    def choose(name):
        with page.expect_file_chooser() as chooser:
            button.press("Enter")
        chooser.value.set_files(tmp_path / name)

    choose("plain.png")
    page.get_by_text("carries no Sightline recipe").wait_for()
    with page.expect_navigation():
        choose("figure.png")
    assert "?" + urlsplit(page.url).query == LINK


def test_the_overlay_does_not_jump_when_the_mode_changes(phone):
    tops = set()
    for name in ("Swipe", "Blend", "Flicker", "Difference"):
        mode(phone, name)
        tops.add(phone.evaluate("document.querySelector('#overlay .ov-stage').offsetTop"))
    assert len(tops) == 1
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
