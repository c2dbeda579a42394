"""The Video captioning tab in a real browser: a story is told, tested for time, subtitled, taken away."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from core.video import write_mp4
from tests.browser.conftest import revisit, serve
from tests.browser.rest import until_rest

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def url():
    with serve("--tabs", "captioning") as address:
        yield address


@pytest.fixture(scope="module")
def page(url, open_page):
    page = open_page(url, height=1400)
    page.locator(".headline b", has_text="probability").or_(
        page.locator(".headline", has_text="mean probability")
    ).first.wait_for()
    return page


def panel(page, name):
    page.locator("button:visible", has_text=re.compile(f"^{name}")).first.click()


def said(page) -> str:
    return page.locator(".headline [aria-live]").first.inner_text()


def test_a_narrow_page_needs_no_sideways_scrolling(page):
    size = page.viewport_size
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(500)  # what moves comes to rest
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size(size)


def test_the_first_visit_tells_a_story_and_shows_its_frames(page):
    assert "In truth: " in said(page) and "8 frames" in said(page)
    assert page.locator("figcaption", has_text=re.compile(r"^Frame \d+ · \d\.\d\d s$")).count() == 8
    video = page.locator("#captioning-player video")
    page.wait_for_function(
        "() => document.querySelector('#captioning-player video')?.readyState >= 2"
    )
    assert video.evaluate("(v) => v.duration") == pytest.approx(2.0, abs=0.2)
    assert "8 frames × 17 tokens" in page.locator(".status").all_inner_texts().__str__()


def test_time_tests_show_four_captions_and_a_verdict(page):
    panel(page, "Look inside")
    page.locator("#captioning-time-now").click()
    page.locator("td", has_text="Frozen on the middle frame").wait_for()
    assert page.locator("table.facts tr", has_text="Backwards").count() >= 1
    assert page.locator(".headline b", has_text=re.compile("^The model uses time")).count() == 1


def test_frames_and_words_and_tokens_open(page):
    page.get_by_role("tab", name="Which frame made which word").click()
    page.locator("#captioning-frames-now").click()
    page.locator("td.heat").first.wait_for()
    page.get_by_role("tab", name="Word by word").click()
    page.locator("th", has_text="Runners-up").wait_for()
    page.get_by_role("tab", name="Tokens").click()
    page.locator("td", has_text="Joint").wait_for()
    page.get_by_role("tab", name="Before transformers").click()
    page.locator("#captioning-motion-now").click()
    page.locator("figcaption", has_text="Flow 0.").first.wait_for()


def test_captions_along_the_clip_become_subtitles_that_play(page):
    panel(page, "Along the clip")
    window = page.get_by_label("Window (s)").first
    window.fill("1")
    window.press("Enter")
    page.locator("#captioning-windows-now").click()
    page.locator(".timeline i").nth(1).wait_for()
    page.get_by_role("button", name="Write subtitle files").click()
    page.locator(".files", has_text=".srt").first.wait_for()
    assert not page.locator(".status .bar i:visible").count(), "nothing is still running"
    page.get_by_role("button", name="Burn into the film").click()
    page.wait_for_function(
        """() => [...document.querySelectorAll('video')].some((v) =>
             v.src.includes('subtitled') && v.readyState >= 2 && v.videoWidth > 0)""",
    )  # fmt: skip


def test_scores_compare_and_files(page):
    panel(page, "Score")
    page.locator("td:visible", has_text="BLEU-4").first.wait_for()
    page.get_by_role("button", name="Score against these").click()
    page.locator(".said:visible", has_text="no references yet").wait_for()
    page.get_by_label("References of your own").fill("something is seen\na toy moves")
    page.get_by_role("button", name="Score against these").click()
    page.locator("li:visible", has_text="a toy moves").wait_for()
    panel(page, "Compare")
    page.locator("#captioning-compare-now").click()
    page.locator("td", has_text="Measured, no model").first.wait_for()
    panel(page, "Take away")
    page.get_by_role("button", name="Write the files").click()
    page.locator(".files", has_text=".zip").first.wait_for()


def test_a_video_of_ones_own_is_measured(page, url, tmp_path: Path):
    frames = np.zeros((30, 64, 96, 3), np.uint8)
    for k in range(30):
        frames[k, 20:40, 2 * k : 2 * k + 20] = (230, 40, 40)
    path = write_mp4(tmp_path / "own.mp4", frames, fps=15)
    revisit(page, url + "?tab=captioning&clip=file&model=keyframes")
    page.locator("#captioning-own input[type=file]").set_input_files(str(path))
    page.locator("td", has_text="96×64").first.wait_for()
    page.locator("#captioning-now").click()
    page.locator(".headline", has_text="This is a measurement").first.wait_for()


def test_frames_are_picked_by_pressing_them(page, url):
    revisit(page, url + "?tab=captioning&pick=hand&by_hand=0")
    page.locator(".headline .note", has_text="of the 1 chosen").wait_for()
    thumbs = page.locator("#captioning-picker img")
    thumbs.nth(5).wait_for()
    numbers = page.get_by_label("Frames by hand")
    for k, now in ((5, "0, 5"), (9, "0, 5, 9"), (5, "0, 9"), (12, "0, 9, 12")):
        thumbs.nth(k).click()
        page.wait_for_function(
            "([box, now]) => box.value === now", arg=[numbers.element_handle(), now]
        )
    page.locator(".status", has_text="3 frames spread over the 8").first.wait_for()
    assert "of the 1 chosen" in said(page)
    page.locator("#captioning-now").click()
    page.locator(".headline .note", has_text="of the 3 chosen").wait_for()


def test_an_animated_picture_is_a_clip(page, url, tmp_path: Path):
    from PIL import Image

    frames = [Image.new("RGB", (96, 64), (20 * k, 40, 40)) for k in range(12)]
    path = tmp_path / "toy.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=250)
    revisit(page, url + "?tab=captioning&clip=pictures&model=keyframes")
    page.get_by_role("button", name=re.compile("^Pictures, in the order")).or_(
        page.locator("label", has_text="Pictures, in the order")
    ).first.wait_for()
    page.locator("input[type=file]").nth(1).set_input_files(str(path))
    page.locator("td", has_text="96×64").first.wait_for()
    page.locator("#captioning-now").click()
    page.locator(".headline", has_text="This is a measurement").first.wait_for()


def test_wrong_files_are_named_and_the_page_lives_on(page, url, tmp_path: Path):
    for name, content in (("wrong.mp4", b"this is no video"), ("empty.mp4", b"")):
        (tmp_path / name).write_bytes(content)
        until_rest(page, lambda: revisit(page, url + "?tab=captioning&clip=file"))
        page.locator("#captioning-own input[type=file]").set_input_files(str(tmp_path / name))
        page.locator(".said", has_text=name).first.wait_for()
        page.get_by_label("Rendered story").click()
        page.locator("#captioning-now").click()
        page.locator(".headline", has_text="mean probability").first.wait_for()
        # The player tells of it, too; of an empty file there is no part to be had.
        faults = [f for f in page.watch.told() if not re.search(r"\b416\b|Video not playable", f)]
        assert faults == []
