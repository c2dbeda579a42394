"""The ControlNet tab in a real browser: painted, looked into, swept, drawn on, taken away."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser.conftest import revisit, serve
from tests.browser.rest import until_rest

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def url():
    with serve("--tabs", "controlnet", "stereo") as address:
        yield address


@pytest.fixture(scope="module")
def page(url, open_page):
    page = open_page(url + "?tab=controlnet&steps=10", height=1400)
    painted(page)
    return page


def painted(page):
    page.locator(".headline b:visible", has_text="picture").first.wait_for()


def panel(page, name):
    page.locator(".panel > button:visible", has_text=name).first.click()


def press(page, name):
    page.locator("button:visible", has_text=name).first.click()


def choose(page, label, title):
    page.get_by_label(label, exact=True).first.click()
    page.get_by_role("option", name=title).click()


def agreement(page) -> tuple[float, float]:
    """With control and without, as the headline has them."""
    said = page.locator(".headline:visible").first.inner_text()
    found = re.search(r"([\d.]+) with control, ([\d.]+) without", said)
    assert found, said
    return float(found[1]), float(found[2])


def test_the_first_visit_shows_what_control_does(page):
    with_it, without = agreement(page)
    assert with_it > without + 0.2
    assert page.locator(".pictures:visible img").count() == 4


def test_nothing_scrolls_sideways_on_a_telephone(page):
    size = page.viewport_size
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(500)  # what moves comes to rest
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size(size)


def test_canny_is_set_where_edges_are_not_known(page):
    weak = page.get_by_text("Weak edge").first
    assert not weak.is_visible()  # a scene's edges are exact
    choose(page, "Map of", "A picture of your own")
    weak.wait_for()
    choose(page, "Map of", "A rendered scene")
    weak.wait_for(state="hidden")


def test_the_film_and_all_maps(page):
    press(page, "Show the film")
    page.locator("figcaption", has_text="Without, step 10").wait_for()
    page.get_by_role("tab", name="All maps of the picture").click()
    press(page, "Make them all")
    page.locator("figcaption", has_text="Normals (exact)").wait_for()


def test_insides_add_up(page):
    panel(page, "Look inside")
    page.locator("#controlnet-inside-now").click()
    page.get_by_text("the weights sum to 1").wait_for()
    page.get_by_role("tab", name="Zero convolution").click()
    rows = page.locator("table.facts:visible tr").all_inner_texts()[1:]
    assert rows and all(row.split("\t")[1] == "0" for row in rows)
    assert all(float(row.split("\t")[2]) > 0 for row in rows)
    page.get_by_role("tab", name="One step").click()
    page.locator("pre.written", has_text="x₀ = ").wait_for()
    panel(page, "Look inside")


def test_a_sweep_is_a_labelled_grid(page):
    panel(page, "Compare")
    page.get_by_role("tab", name="Sweep two settings").click()
    page.get_by_label("Its values").first.fill("0.5, 1")
    page.locator("#controlnet-sweep-now").click()
    page.wait_for_function("document.querySelectorAll('table.sweep img').length === 4")
    rows = [row.split() for row in page.locator("table.sweep tr").all_inner_texts()]
    assert " ".join(rows[0]) == "Control scale 0.5 Control scale 1.0"
    assert [row[:2] for row in rows[1:]] == [["Seed", "0"], ["Seed", "1"]]
    panel(page, "Compare")


def draw(page):
    """A line on the map."""
    canvas = page.locator("canvas:visible").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 60, y + 60)
    page.mouse.down()
    page.mouse.move(x + 60, y + 60, steps=8)
    page.mouse.up()
    page.wait_for_timeout(500)


def test_what_is_drawn_steers(page):
    before = agreement(page)
    draw(page)
    page.locator("#controlnet-now").click()
    page.wait_for_function(
        "(was) => !document.querySelector('.headline').innerText.includes(was)",
        arg=f"{before[0]:.2f} with control, {before[1]:.2f} without",
    )  # fmt: skip
    page.locator(".headline .note", has_text="Changed by hand.").wait_for()


def test_a_drawing_outlives_its_map(page):
    draw(page)
    until_rest(page, lambda: choose(page, "Control", "Soft edges"))
    page.locator("#controlnet-now").click()
    page.locator(".headline", has_text="Agreement with the soft edges").first.wait_for()
    assert page.locator(".headline .note", has_text="Changed by hand.").count() == 1


def test_what_cannot_be_done_is_a_sentence(page):
    choose(page, "Control", "Pose (hub)")
    page.locator(".said", has_text="ViTPose base is not on this computer").wait_for()  # for the map
    page.locator("#controlnet-now").click()
    page.locator(".said", has_text="has no control 'pose'. Choose one of: edges").wait_for()


def test_a_link_brings_the_settings_back(page):
    panel(page, "Take away")
    page.wait_for_function(
        "[...document.querySelectorAll('textarea, input')].some((one) => one.checkVisibility() && "
        "one.value.includes('tab=controlnet'))"
    )  # the panel takes its values as it unfolds
    link = page.locator("textarea:visible, input:visible").evaluate_all(
        "(all) => all.map((one) => one.value).find((value) => value.includes('tab=controlnet'))"
    )
    query = parse_qs(urlsplit(link).query)
    assert query["tab"] == ["controlnet"] and query["steps"] == ["10"]
    revisit(page, link)
    painted(page)
    assert page.get_by_label("number input for Steps").first.input_value() == "10"


def test_depth_comes_from_the_stereo_tab(page, url):
    revisit(page, url + "?tab=controlnet&steps=2")
    painted(page)
    page.get_by_role("tab", name="Stereo depth").click()
    page.locator(".headline b:visible", has_text="pixels matched").first.wait_for()
    page.get_by_role("tab", name="ControlNet").click()
    until_rest(page, lambda: choose(page, "Map of", "Depth from the Stereo tab"))
    page.locator("#controlnet-now").click()
    told = page.locator(".note:visible", has_text="From the depth that was handed over")
    told.first.wait_for()
