"""The Gaussian splats tab in a real browser: seen, taken apart, cleaned, fitted, taken away."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from core.splats import Splats, save
from tests.browser.conftest import serve

pytestmark = pytest.mark.browser
PLAIN = "?tab=splats&splat_n=2000&picture_px=160&n_views=6&view_px=32&seconds=4&gaussians=300"
FEW = PLAIN + "&faintest=0.3&photo=gaussians%3D60"


@pytest.fixture(scope="module")
def url():
    with serve("--tabs", "splats") as address:
        yield address


@pytest.fixture(scope="module")
def page(url, open_page):
    page = open_page(url + FEW, height=1400)
    page.locator(".headline", has_text="splats").first.wait_for()
    return page


def panel(page, name):
    page.locator(".panel > button", has_text=name).first.click()


def press(page, name):
    page.get_by_role("button", name=name, exact=True).first.click()


def count(page) -> int:
    """Splats, as the headline has it."""
    found = re.search(r"([\d,]+) splats", page.locator(".headline").first.inner_text())
    assert found
    return int(found[1].replace(",", ""))


def wait_for_count(page, n):
    page.wait_for_function(
        "(n) => document.querySelector('.headline').innerText.includes(`${n} splats`)",
        arg=f"{n:,}",
    )


def test_the_first_visit_shows_splats_scored_against_the_scene(page):
    assert 1000 < count(page) <= 2000
    page.locator(".headline", has_text="dB").first.wait_for()
    said = page.locator(".headline").first.inner_text()
    assert float(re.search(r"([\d.]+) dB", said)[1]) > 17  # type: ignore[index]
    page.locator("canvas").first.wait_for()


def test_a_pixel_lists_its_splats_and_their_weights_sum_to_one(page):
    panel(page, "Look inside")
    box = page.locator("canvas").first.bounding_box()
    page.mouse.click(box["x"] + 0.35 * box["width"], box["y"] + 0.45 * box["height"])
    page.get_by_text("splats, front to back.").wait_for()
    rows = page.locator("table.facts").first.inner_text().splitlines()
    assert any(row.startswith("sum") and "1.000" in row for row in rows)
    page.get_by_role("tab", name="One Gaussian").click()
    page.get_by_text("J by pushing").wait_for()
    panel(page, "Look inside")


def test_selected_splats_go_and_come_back(page):
    before = count(page)
    panel(page, "Clean up")
    page.locator(".hg button", has_text="Position x").click()
    plot = page.locator(".hg-plot")
    box = plot.bounding_box()
    y = box["y"] + 0.5 * box["height"]
    page.mouse.move(box["x"] + 60, y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], y, steps=4)
    page.mouse.up()
    words = page.locator(".hg-foot span")
    chosen = int(words.inner_text().split(" of ")[0].replace(",", ""))
    assert 0 < chosen < before
    lit = page.get_by_text("splats are selected and lit up")
    lit.wait_for()
    assert lit.inner_text().startswith(f"{chosen:,} ")
    press(page, "Remove the selected")
    wait_for_count(page, before - chosen)
    press(page, "Undo")
    wait_for_count(page, before)
    about = page.locator("p", has_text="98 % of them").filter(has_text=f"{before:,} splats")
    about.wait_for()  # the histogram is that of all of them again
    plot.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    two = words.inner_text().split(" of ")[0]
    page.get_by_text(f"{two} splats are selected").wait_for()
    page.keyboard.press("Escape")
    lit.wait_for(state="hidden")
    assert words.inner_text().startswith("Drag")
    press(page, "Remove the selected")
    page.get_by_text("Nothing is selected.").wait_for()
    panel(page, "Clean up")


def test_a_link_brings_the_rules_back(page, url, open_page):
    plain = open_page(url + PLAIN, height=1400)
    plain.locator(".headline", has_text="splats").first.wait_for()
    for one, least in ((page, "0.3"), (plain, "0.02")):
        panel(one, "Clean up")
        assert one.get_by_label("number input for Opacity at least").input_value() == least
        panel(one, "Clean up")
    assert count(page) == count(plain)  # they clean nothing by themselves


def test_ways_to_draw_are_compared(page):
    panel(page, "Compare")
    page.locator("#splats-compare-now").click()
    page.get_by_text("Bytes a splat").wait_for()
    panel(page, "Compare")


def test_every_format_is_written(page):
    panel(page, "Other files")
    page.locator("#splats-convert-now").click()
    page.get_by_text("What is dropped").wait_for()
    listed = page.locator(".files:visible").inner_text().replace("\n", "")
    for name in ("splats.ply", "splats.compressed.ply", "splats.spz", "splats.splat"):
        assert name in listed
    assert "exact" in page.locator("table.facts", has_text="What is dropped").inner_text()
    panel(page, "Other files")


def turn_and_see(page, view):
    """The view is turned, and a picture of where it stands now comes."""
    view.scroll_into_view_if_needed()
    view.evaluate(
        """(canvas) => {
          window.lates = [];
          new MutationObserver(() => lates.push(canvas.dataset.late)).observe(canvas, {attributes: true});
        }"""
    )
    box = view.bounding_box()
    page.mouse.move(box["x"] + 150, box["y"] + 150)
    page.mouse.down()
    page.mouse.move(box["x"] + 220, box["y"] + 150, steps=5)
    page.mouse.up()
    page.wait_for_function("lates.includes('true') && lates.at(-1) === 'false'")


def fit_of(page) -> tuple[int, float]:
    """Steps and seconds of the fit, as its headline has them."""
    said = page.locator(".headline:visible", has_text="Gaussians · step").first.inner_text()
    found = re.search(r"step ([\d,]+) · ([\d.]+) s", said)
    assert found, said
    return int(found[1].replace(",", "")), float(found[2])


def test_a_fit_is_watched_stopped_and_shown(page):
    panel(page, "Fit a scene")
    press(page, "Fit on")
    page.get_by_text("There is no fit to go on with").wait_for()
    page.wait_for_timeout(1000)
    assert not page.get_by_text("own renderer, on the CPU").count()  # and none begins
    page.locator("#splats-fit-now").click()
    page.get_by_text("own renderer, on the CPU").first.wait_for()
    view = page.locator(".orb canvas")
    turn_and_see(page, view)  # while it learns ...
    page.get_by_text("PSNR, held out").wait_for()
    turn_and_see(page, view)  # ... and at rest
    page.locator(".headline", has_text="against the exact picture").first.wait_for()
    page.get_by_text("Gaussians fitted to 6 views").first.wait_for()
    done, spent = fit_of(page)
    time = page.locator("input[type=number]").and_(page.get_by_label("Time (s)", exact=True))
    time.locator("visible=true").fill("60")
    time.locator("visible=true").press("Tab")
    press(page, "Fit on")
    page.wait_for_function(
        """(done) => [...document.querySelectorAll('.headline')].some((one) =>
             one.checkVisibility() && one.innerText.includes('Gaussians · step')
             && !one.innerText.includes(`step ${done} `))""",
        arg=f"{done:,}",
    )  # fmt: skip
    page.locator("#splats-fit-now ~ button", has_text="Stop").click()
    page.get_by_text("Stopped.").locator("visible=true").wait_for()
    stopped, seconds = fit_of(page)
    assert stopped > done and seconds < spent + 60  # before its time
    page.wait_for_timeout(1500)
    assert fit_of(page) == (stopped, seconds)
    panel(page, "Fit a scene")


def test_a_photo_is_fitted(page):
    panel(page, "Fit a photo")
    page.locator("#splats-photo-now").click()
    page.locator(".headline", has_text="Gaussians · step").last.wait_for()
    page.get_by_text("Ellipses at one").wait_for()
    link = page.get_by_role("link", name="link to these settings").get_attribute("href")
    assert link == "?tab=splats&photo=tab%3Dsplats%26gaussians%3D60"
    panel(page, "Fit a photo")


def test_all_is_taken_away_and_a_link_brings_the_view_back(page, open_page, url):
    panel(page, "Take away")
    press(page, "Write the files")
    page.locator(".files:visible").wait_for()
    listed = page.locator(".files:visible").inner_text().replace("\n", "")
    for name in ("sightline-splats.zip", "figure.png", "splats.ply", "splats.py"):
        assert name in listed
    link = page.get_by_label("Link that restores these settings").input_value()
    assert "eye=" in link and "view_px=32" in link
    panel(page, "Take away")
    other = open_page(link, height=1200)
    other.locator(".headline", has_text="splats").first.wait_for()
    panel(other, "Take away")
    again = other.get_by_label("Link that restores these settings").input_value()
    asked, found = (parse_qs(urlsplit(a).query) for a in (link, again))
    assert found["eye"] == asked["eye"] and found["target"] == asked["target"]


def give(page, path):
    page.locator("input[type=file][multiple]:not([disabled])").first.set_input_files(str(path))
    stem = path.name.rpartition(".")[0]
    page.locator(".file-preview", has_text=stem).first.wait_for()


def test_files_open_and_broken_ones_say_why(page, tmp_path):
    rng = np.random.default_rng(0)
    n = 50
    made = Splats(
        means=rng.normal(size=(n, 3)).astype(np.float32),
        log_scales=np.full((n, 3), -2.0, np.float32),
        quats=np.tile(np.array([1, 0, 0, 0], np.float32), (n, 1)),
        opacity_logits=np.full(n, 3.0, np.float32),
        sh=rng.normal(size=(n, 1, 3)).astype(np.float32),
    )
    good = save(tmp_path / "own.spz", made)
    bad = tmp_path / "cut.ply"
    bad.write_bytes(save(tmp_path / "whole.ply", made).read_bytes()[:900])
    before = count(page)
    page.get_by_label("Your own file").check()
    give(page, bad)
    page.locator("#splats-now").click()
    page.get_by_text("is cut off").first.wait_for()
    assert count(page) == before != n  # what was there stays
    page.get_by_label("Clear").first.click()
    give(page, good)
    page.locator("#splats-now").click()
    wait_for_count(page, n)
