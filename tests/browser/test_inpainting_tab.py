"""The Inpainting tab in a real browser: an object goes, a mask is painted, scored, taken away."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from tests.browser.conftest import revisit, serve
from tests.browser.rest import until_rest

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def url():
    with serve("--tabs", "inpainting") as address:
        yield address


@pytest.fixture(scope="module")
def page(url, open_page):
    page = open_page(url, height=1400)
    filled(page)
    return page


def filled(page):
    page.locator(".headline b", has_text="filled").first.wait_for()


def panel(page, name):
    page.locator(".panel > button:visible", has_text=name).first.click()


def said(page) -> str:
    return page.locator(".headline [aria-live]").first.inner_text()


def fill(page) -> None:
    """Press Fill and wait for another headline."""
    before = said(page)
    page.locator("#inpainting-now").click()
    page.wait_for_function(
        "(was) => document.querySelector('.headline [aria-live]')?.innerText !== was",
        arg=before,
    )  # fmt: skip


def share(page) -> float:
    """Per cent of the picture that were filled."""
    return float(said(page).split("%")[0])


def test_the_first_visit_takes_an_object_out(page):
    assert "Pixels changed outside it: 0." in said(page)
    assert float(re.search(r"([\d.]+) dB", said(page))[1]) > 30  # type: ignore[index]
    assert page.locator("figcaption", has_text="The hole, in truth").count() == 1


def test_nothing_scrolls_sideways_on_a_telephone(page):
    size = page.viewport_size
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(500)  # what moves comes to rest
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size(size)


def test_what_is_painted_is_filled_too(page):
    before = share(page)
    box = page.locator("canvas:visible").first.bounding_box()
    x, y = box["x"] + 0.75 * box["width"], box["y"] + 0.9 * box["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y, steps=6)
    page.mouse.up()
    page.wait_for_timeout(500)
    fill(page)
    assert share(page) > before


def test_masks_grow_and_are_saved(page):
    page.locator("button:visible", has_text="More ways to a mask").click()
    told = page.locator("text=/px to fill/").first
    before = told.inner_text()
    page.get_by_role("button", name="Grow", exact=True).click()
    page.wait_for_function(
        "(was) => ![...document.querySelectorAll('.sl-widget')].some("
        "(one) => one.innerText.includes(was))", arg=before,
    )  # fmt: skip
    page.get_by_role("tab", name="File").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the mask").click()
        page.locator("a[download]:visible").first.click()
    with Image.open(download.value.path()) as mask:
        white = np.asarray(mask.convert("L")) > 127
    count = int(re.search(r"([\d,]+) px", told.inner_text())[1].replace(",", ""))  # type: ignore
    assert white.sum() == count


def test_look_inside_shows_offsets(page):
    panel(page, "Look inside")
    page.locator("#inpainting-inside-now").click()
    page.locator("figcaption", has_text="Level 0, round").first.wait_for()
    panel(page, "Look inside")


def test_methods_and_seeds_side_by_side(page):
    panel(page, "Compare")
    page.locator("#inpainting-compare-now").click()
    page.locator("table.facts:visible th", has_text="Biharmonic").wait_for()
    page.get_by_role("tab", name="Seeds").click()
    page.locator("#inpainting-seeds-now").click()
    page.locator("figcaption", has_text="Seed 3").wait_for()
    page.get_by_text("The fillings differ by").wait_for()
    panel(page, "Compare")


def test_a_cleared_mask_is_told(page):
    page.get_by_role("button", name="Clear", exact=True).first.click()
    page.wait_for_timeout(500)
    page.locator("#inpainting-now").click()
    page.locator(".said", has_text="The mask is empty").wait_for()


def choose(page, label, title) -> None:
    page.get_by_label(label, exact=True).first.click()
    page.get_by_role("option", name=title).first.click()


def test_a_chosen_photo_can_be_painted_on_at_once(page):
    choose(page, "Picture", "A photograph")
    stage = page.locator(".me-stage[aria-label*='512 by 512']")
    stage.wait_for()
    page.locator(".me-words", has_text="Nothing to fill yet").wait_for()
    assert (
        page.get_by_label("Hidden", exact=True).first.input_value() == "What you paint, to be gone"
    )
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.locator(".me-words", has_text="px to fill:").wait_for()
    page.wait_for_timeout(500)
    fill(page)
    assert 0 < share(page) < 2 and "outside it: 0." in said(page)
    assert "<img" not in page.locator(".preview").first.inner_html()


def test_a_link_to_a_photo_opens_among_all_tabs(open_page):
    def opened():
        filled(page)
        assert "dB" in said(page)
        page.locator(".me-words", has_text="px to fill:").wait_for()
        assert "512 by 512" in page.locator(".me-stage").get_attribute("aria-label")

    with serve() as address:
        page = open_page(address + "?tab=inpainting&hole_picture=photo&hole_mask=box&method=telea")
        until_rest(page, opened)
        assert page.watch.told() == []
        page.context.close()  # before its server ends


def test_a_photo_with_strokes_is_scored_and_the_methods_settings_are_shown(page, url):
    revisit(page, url + "?tab=inpainting&hole_picture=photo&hole_mask=strokes&method=telea")
    filled(page)
    assert "dB" in said(page)
    panel(page, "Score")
    page.locator("table.facts:visible", has_text="Gradient energy").wait_for()
    panel(page, "Score")
    page.locator("button:visible", has_text="Settings of this method").click()
    shown = {
        label: page.get_by_label(label).locator("visible=true").first
        for label in ("Radius (px)", "Patch size (px)", "Prompt", "Jumps")
    }
    shown["Radius (px)"].wait_for()
    for method, labels in (
        ("", ("Radius (px)",)),
        ("PatchMatch", ("Patch size (px)",)),
        ("RePaint", ("Prompt", "Jumps")),
    ):
        if method:
            choose(page, "Method", method)
        for label, field in shown.items():
            field.wait_for(state="visible" if label in labels else "hidden")


def test_tiny_sd_repaints(page, url):
    revisit(
        page,
        url + "?tab=inpainting&hole_picture=scene&hole_object=0&method=repaint&steps=5&jumps=1",
    )
    filled(page)
    assert "outside it: 0." in said(page)
    panel(page, "Score")
    page.locator("figcaption", has_text="Through the autoencoder alone").wait_for()
