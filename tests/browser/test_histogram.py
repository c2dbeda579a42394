"""The histogram: does it draw the counts it was given, and tell the range one sees selected?

Bars and labels are measured where the page shows them; ranges are compared with edges by hand.
"""

from __future__ import annotations

import json

import pytest

from demos.widgets.base import static_url
from tests.browser.test_widgets import shown, wait_for

pytestmark = pytest.mark.browser

COUNTS = [3, 0, 100, 40, 7, 0, 1, 20, 400, 1429]  # 2,000; bar k spans k/10 to (k + 1)/10
SIZES = [5, 0, 1000, 995]  # decades from 0.001 to 10 m
VALUE = {
    "key": "a",
    "quantities": [
        {"name": "opacity", "title": "Opacity", "unit": "", "log": False,
         "edges": [k / 10 for k in range(11)], "counts": COUNTS},
        {"name": "size", "title": "Size", "unit": "m", "log": True,
         "edges": [-3, -2, -1, 0, 1], "counts": SIZES},
    ],
    "chosen": "opacity", "range": None, "total": 2000,
}  # fmt: skip
HINT = "Drag over the bars to select some of them."
LEFT, RIGHT = 52, 14  # css px beside the bars
# Without Gradio a test hands values over itself and sees every event.
MOUNT = """async ([module, width, value]) => {
  const { mount } = await import(module);
  document.querySelector('#part')?.remove();
  const home = document.createElement('div');
  home.id = 'part';
  home.style = `position: fixed; z-index: 99; left: 0; top: 0; width: ${width}px;
    background: var(--background-fill-primary, white)`;
  document.body.append(home);
  window.told = [];
  window.part = mount(home, { emit: (name, detail) => told.push(detail) });
  part.show(value);
}"""


@pytest.fixture(scope="module")
def url():
    import gradio as gr

    from demos.widgets.base import HERE
    from demos.widgets.histogram import Histogram

    gr.set_static_paths([HERE])

    def tell(event):
        return json.dumps(event._data)

    tell.__annotations__["event"] = gr.EventData  # looked up by name, and `gr` is no global
    with gr.Blocks() as demo:
        plot = Histogram(VALUE, elem_id="hist")
        told = gr.Textbox(elem_id="told")
        plot.ranged(tell, None, told, queue=False, api_visibility="private")
        Histogram(None, elem_id="empty")
    _, url, _ = demo.launch(
        prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", ssr_mode=False
    )
    yield url
    demo.close()


@pytest.fixture(scope="module")
def opened(url, open_page):
    page = open_page(url)
    page.locator("#hist .hg-plot").wait_for()
    return page


@pytest.fixture
def page(opened):
    """The shared page, with a fresh histogram over it."""
    mount(opened)
    yield opened
    opened.evaluate("document.querySelector('#part').remove()")


def mount(page, width=500, **changes):
    page.evaluate(MOUNT, [static_url("histogram.js"), width, VALUE | changes])
    page.locator("#part .hg-plot").wait_for()


def show(page, **changes):
    page.evaluate("(value) => part.show(value)", VALUE | changes)


def told(page):
    return page.evaluate("told")


def words(page, home="part"):
    return page.locator(f"#{home} .hg-words").inner_text()


def at(page, bar, bars=10, home="part"):
    """The middle of a bar's place, at half height, in page px."""
    box = page.locator(f"#{home} .hg-plot").bounding_box()
    step = (box["width"] - LEFT - RIGHT) / bars
    return box["x"] + LEFT + (bar + 0.5) * step, box["y"] + 90


def drag(page, first, last, home="part", **kind):
    page.mouse.move(*at(page, first, home=home, **kind))
    page.mouse.down()
    page.mouse.move(*at(page, last, home=home, **kind), steps=3)


def chosen_bars(page):
    """Which bars are drawn in another colour than most."""
    return page.evaluate("""[...document.querySelectorAll('#part [data-bar]')]
      .filter((bar) => bar.getAttribute('fill').includes('chosen')).map((bar) => +bar.dataset.bar)""")


def heights(page):
    return dict(
        page.evaluate("""[...document.querySelectorAll('#part [data-bar]')]
      .map((bar) => [+bar.dataset.bar, bar.getBoundingClientRect().height])""")
    )


# ---------------------------------------------------------------- through Gradio


def test_a_drag_reaches_python_when_it_ends(opened):
    opened.locator("#hist .hg-plot").scroll_into_view_if_needed()
    drag(opened, 2, 4, home="hist")
    assert words(opened, "hist") == "147 of 2,000 with opacity 0.2 to 0.5"
    opened.wait_for_timeout(150)
    assert shown(opened, "told") == ""
    got = wait_for(opened, "told", opened.mouse.up)
    assert got == {"name": "opacity", "low": 0.2, "high": 0.5}
    clear = opened.locator("#hist").get_by_role("button", name="Clear")
    assert wait_for(opened, "told", clear.click) == {"name": "opacity", "low": None, "high": None}
    assert words(opened, "hist") == HINT
    assert opened.locator("#empty").inner_text() == "Nothing to count yet."


# ---------------------------------------------------------------- what is drawn


def test_bars_are_as_tall_as_their_counts(page):
    tall = heights(page)
    assert set(tall) == {k for k, n in enumerate(COUNTS) if n}
    assert tall[8] / tall[9] == pytest.approx(400 / 1429, rel=0.01)
    assert tall[2] / tall[9] == pytest.approx(100 / 1429, rel=0.01)
    assert tall[6] == pytest.approx(2)  # one of 2,000 can be seen
    page.get_by_label("small counts too").last.check()
    tall = heights(page)
    assert tall[6] / tall[9] == pytest.approx(0.0954, rel=0.01)  # ln 2 / ln 1430
    assert tall[2] / tall[9] == pytest.approx(0.6352, rel=0.01)  # ln 101 / ln 1430
    assert told(page) == []


@pytest.mark.parametrize("small", [False, True])
def test_count_labels_stand_at_the_height_of_such_a_bar(page, small):
    page.get_by_label("small counts too").last.set_checked(small)
    lines = page.evaluate("""[...document.querySelectorAll('#part .hg-grid')].map((line) =>
      [line.nextElementSibling.textContent, +line.getAttribute('y1')])""")
    got = {int(text.replace(",", "")): y for text, y in lines}
    assert list(got) == ([1, 10, 100, 1000] if small else [500, 1000])
    top = page.evaluate("+document.querySelector('#part [data-bar=\"2\"]').getAttribute('y')")
    if small:
        assert got[100] == pytest.approx(top)


def test_an_axis_of_logarithms_is_labelled_with_plain_numbers(page):
    page.locator("#part").get_by_role("button", name="Size").click()
    assert page.locator("#part .hg-label").text_content() == "Size, m"
    box = page.locator("#part .hg-plot").bounding_box()
    step = (box["width"] - LEFT - RIGHT) / 4
    for k, text in enumerate(["0.001", "0.01", "0.1", "1", "10"]):
        label = page.locator("#part .hg-plot text").get_by_text(text, exact=True).last
        got = label.bounding_box()
        assert got["x"] + got["width"] / 2 == pytest.approx(box["x"] + LEFT + k * step, abs=1), text
    drag(page, 2, 3, bars=4)
    page.mouse.up()
    assert words(page) == "1,995 of 2,000 with size 0.1 to 10 m"
    (got,) = told(page)
    assert (got["name"], got["low"], got["high"]) == ("size", pytest.approx(0.1), 10)


RANGES = [
    (False, -12.34, 56.7), (False, -0.00031, 0.00012), (False, 1e5, 1e5 + 3),
    (True, -3.2, 0.4), (True, -7.5, 8.3), (True, 0.02, 1.15), (True, 0.3, 0.31),
]  # fmt: skip


@pytest.mark.parametrize("width", [330, 700])
@pytest.mark.parametrize(("log", "low", "high"), RANGES)
def test_labels_stay_apart_and_inside(page, width, log, low, high):
    counts = [0, 1, 250_000, 1_800_000, 17, 3, 0]
    edges = [low + (high - low) * k / 7 for k in range(8)]
    one = {"name": "q", "title": "<b>Q</b>", "unit": "m", "log": log, "edges": edges}
    mount(page, width, quantities=[one | {"counts": counts}], chosen="q")
    for small in (False, True):
        page.get_by_label("small counts too").last.set_checked(small)
        boxes = page.evaluate("""[...document.querySelectorAll('#part .hg-plot text')].map((t) => {
          const b = t.getBoundingClientRect();
          return [b.left, b.right, b.top + 3, b.bottom - 3, t.textContent]; })""")
        under = [b for b in boxes if b[4] != "<b>Q</b>, m" and b[2] > 70 + 150]
        assert len(under) >= 2, boxes
        for k, (left, right, top, bottom, text) in enumerate(boxes):
            assert left >= 0 and right <= width, text
            for left2, right2, top2, bottom2, text2 in boxes[k + 1 :]:
                apart = right + 2 <= left2 or right2 + 2 <= left or bottom <= top2 or bottom2 <= top
                assert apart, (text, text2)
    page.mouse.click(*at(page, 3, bars=7))
    low_text, high_text = words(page).split("<b>Q</b> ")[1].removesuffix(" m").split(" to ")
    assert low_text != high_text


def test_numbers_are_written_as_people_do(page):
    got = page.evaluate(
        """async (module) => {
      const { said, round, roundRatios } = await import(module);
      return [
        [0, 0.01, 2500, -1.5, 2e-5, -3e7].map((v) => said(v)), [said(0.1, 2), said(-0.001, 2)],
        round(0, 1, 6), round(-2.3, 8.1, 6), round(0, 7, 6), round(1, 1, 4),
        roundRatios(-3.2, 0.4, 5), roundRatios(-1.6, -0.3, 8), roundRatios(0, 6, 4),
      ];
    }""",
        static_url("histogram.js"),
    )
    assert got == [
        ["0", "0.01", "2,500", "−1.5", "2×10⁻⁵", "−3×10⁷"], ["0.10", "0.00"],
        [0, 0.2, 0.4, 0.6, 0.8, 1], [-2, 0, 2, 4, 6, 8], [0, 2, 4, 6], [1],
        [0.001, 0.01, 0.1, 1], [0.05, 0.1, 0.2, 0.5], [1, 100, 10_000, 1_000_000],
    ]  # fmt: skip


# ---------------------------------------------------------------- selecting


def test_a_drag_to_the_left_and_beyond_the_plot_and_a_click(page):
    drag(page, 4, 2)
    assert chosen_bars(page) == [2, 3, 4]
    page.mouse.up()
    drag(page, 8, 14)
    page.mouse.up()
    page.mouse.click(*at(page, 1))  # an empty bar is a range, too
    assert words(page) == "0 of 2,000 with opacity 0.1 to 0.2"
    got = [(d["low"], d["high"]) for d in told(page)]
    assert got == [(0.2, 0.5), (0.8, 1), (0.1, 0.2)]
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")  # nothing left to clear, nothing to tell
    assert told(page)[3:] == [{"name": "opacity", "low": None, "high": None}]
    assert words(page) == HINT and chosen_bars(page) == []


def test_escape_ends_a_drag_that_goes_on(page):
    drag(page, 2, 4)
    page.keyboard.press("Escape")
    page.mouse.move(*at(page, 8))
    page.mouse.up()
    assert told(page) == [{"name": "opacity", "low": None, "high": None}]
    assert words(page) == HINT


def test_arrows_move_and_with_shift_widen_and_narrow(page):
    page.locator("#part .hg-plot").focus()
    for keys, low, high in [
        ("ArrowRight", 0, 0.1), ("ArrowRight", 0.1, 0.2), ("Shift+ArrowRight", 0.1, 0.3),
        ("Shift+ArrowLeft", 0.1, 0.2), ("Shift+ArrowLeft", 0, 0.2), ("Shift+ArrowLeft", 0, 0.2),
        ("Shift+End", 0.1, 1), ("ArrowLeft", 0.8, 0.9), ("Home", 0, 0.1), ("End", 0.9, 1),
        ("Shift+Home", 0, 1),
    ]:  # fmt: skip
        page.keyboard.press(keys)
        last = told(page)[-1]
        assert (last["low"], last["high"]) == (low, high), keys
    assert words(page) == "2,000 of 2,000 with opacity 0.0 to 1.0"


def test_a_held_key_tells_once_when_let_go(page):
    page.locator("#part .hg-plot").focus()
    for _ in range(4):
        page.keyboard.down("ArrowRight")  # a key that is down already repeats
    assert words(page).endswith("0.3 to 0.4")
    assert told(page) == []
    page.keyboard.up("ArrowRight")
    assert told(page) == [{"name": "opacity", "low": 0.3, "high": 0.4}]


def test_another_quantity_clears_and_clear_keeps_the_keyboard_here(page):
    drag(page, 2, 4)
    page.mouse.up()
    size = page.locator("#part").get_by_role("button", name="Size")
    size.click()
    assert size.get_attribute("aria-pressed") == "true"
    assert told(page)[1:] == [{"name": "opacity", "low": None, "high": None}]
    page.locator("#part").get_by_role("button", name="Opacity").click()
    assert len(told(page)) == 2  # nothing was selected
    page.mouse.click(*at(page, 2))
    page.locator("#part").get_by_role("button", name="Clear").press("Enter")
    assert page.evaluate("document.activeElement.classList.contains('hg-plot')")
    assert told(page)[3]["low"] is None


# ---------------------------------------------------------------- new values


def test_the_same_things_keep_the_range_and_other_things_do_not(page):
    size = page.locator("#part").get_by_role("button", name="Size")
    size.click()
    page.mouse.click(*at(page, 2, bars=4))
    size.focus()
    show(page)
    assert chosen_bars(page) == [2]
    assert size.evaluate("(button) => button === document.activeElement")
    show(page, key="b")
    assert chosen_bars(page) == [] and words(page) == HINT
    assert size.get_attribute("aria-pressed") == "true"  # the quantity that the person chose
    show(page, key="c", quantities=VALUE["quantities"][:1])
    assert page.locator("#part .hg-label").text_content() == "Opacity"
    page.evaluate("part.show(null)")
    assert page.locator("#part").inner_text() == "Nothing to count yet."
    assert len(told(page)) == 1  # Python sent these values: it needs no telling


@pytest.mark.parametrize(
    ("chosen", "given", "bars"),
    [
        ("opacity", [0.3, 0.6], [3, 4]),  # 0.3 and 0.6 are edges, and bar 5 is empty
        ("opacity", [0.25, 0.31], [2, 3]),
        ("opacity", [-5, 0.05], [0]),
        ("size", [0.1, 1], [2]),
    ],
)
def test_a_range_that_is_given_is_shown(page, chosen, given, bars):
    mount(page, chosen=chosen, range=given)
    assert chosen_bars(page) == bars
    assert told(page) == []


# ---------------------------------------------------------------- phone, dark


def test_fingers_select_sideways_and_scroll_up_and_down(url, open_page):
    page = open_page(url, width=390, height=420, has_touch=True, is_mobile=True)
    plot = page.locator("#hist .hg-plot")
    plot.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.evaluate("document.body.style.paddingBottom = '900px'")  # room to scroll
    devtools = page.context.new_cdp_session(page)

    def swipe(start, by):
        for k in range(9):
            point = {"x": start[0] + by[0] * k / 8, "y": start[1] + by[1] * k / 8}
            kind = "touchMove" if k else "touchStart"
            devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
            page.wait_for_timeout(20)
        devtools.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    first, last = at(page, 2, home="hist"), at(page, 4, home="hist")
    got = wait_for(page, "told", lambda: swipe(first, (last[0] - first[0], 2)))
    assert got == {"name": "opacity", "low": 0.2, "high": 0.5}
    swipe(at(page, 8, home="hist"), (0, -80))
    page.wait_for_function("window.scrollY > 20")
    assert words(page, "hist").startswith("147 of")  # as before the finger came down
    plot.scroll_into_view_if_needed()
    got = wait_for(page, "told", lambda: page.touchscreen.tap(*at(page, 8, home="hist")))
    assert got == {"name": "opacity", "low": 0.8, "high": 0.9}


@pytest.mark.parametrize("dark", [False, True])
def test_bars_stand_out_from_the_ground_and_from_each_other(page, dark):
    page.evaluate("(dark) => document.body.classList.toggle('dark', dark)", dark)
    page.mouse.click(*at(page, 8))
    colours = page.evaluate("""[...document.querySelectorAll('#part [data-bar]')].slice(-2).concat(
      document.querySelector('#part')).map((part, k) =>
      getComputedStyle(part)[k < 2 ? 'fill' : 'backgroundColor'].match(/\\d+/g).map(Number))""")
    page.evaluate("document.body.classList.remove('dark')")

    def luminance(rgb):  # WCAG 2
        linear = [c / 3294.6 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb[:3]]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(a, b):
        low, high = sorted((luminance(a), luminance(b)))
        return (high + 0.05) / (low + 0.05)

    selected, bar, ground = colours
    assert contrast(selected, ground) >= 3 and contrast(bar, ground) >= 3
    assert max(abs(a - b) for a, b in zip(selected, bar, strict=True)) >= 60
