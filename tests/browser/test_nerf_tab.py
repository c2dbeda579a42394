"""The NeRF tab in a real browser: it trains on sight, follows the pointer, stops, and lets go."""

from __future__ import annotations

import re
import time

import pytest

from demos import nerf_session
from tests.browser.conftest import WAIT_MS, free_port
from tests.browser.rest import until_rest

pytestmark = pytest.mark.browser
QUICK = "&n_views=4&view_px=32"


@pytest.fixture(scope="module")
def url():
    """The tab alone, served by this process, so that a test can see what the server keeps."""
    import gradio as gr

    import app
    from demos import theme
    from demos.widgets.base import HERE

    app.configure(app.options(["--offline"]))
    page = app.build(["nerf"])
    gr.set_static_paths([HERE])
    page.queue()
    _, address, _ = page.launch(
        server_port=free_port(), prevent_thread_lock=True, quiet=True, ssr_mode=False,
        footer_links=[], theme=theme.theme(), css=theme.CSS,
    )  # fmt: skip
    yield address
    page.close()


def tab(open_page, url, query="", **options):
    return open_page(f"{url}?tab=nerf{QUICK}{query}", height=1500, **options)


def press(page, name):
    page.get_by_role("button", name=name, exact=True).first.click()


def headline(page):
    return page.locator(".headline").first.inner_text()


def wait_for(call, sleep=time.sleep):
    """The seconds until call() is true."""
    began = time.monotonic()
    while not call():
        assert time.monotonic() - began < WAIT_MS / 1000, "waited in vain"
        sleep(0.05)
    return time.monotonic() - began


def pump(page, call):
    """The same for what the page tells: it is heard only while Playwright waits."""
    return wait_for(call, lambda s: page.wait_for_timeout(1000 * s))


def trained(open_page, url, query):
    page = tab(open_page, url, query)
    pump(page, lambda: "mean of 8 held-out" in headline(page))
    return page


@pytest.fixture(scope="module")
def page(open_page, url):
    """A page whose field is trained, for all tests that leave it as it is."""
    page = trained(open_page, url, "&seconds=2")
    yield page
    page.context.close()


def count_updates(page, seconds=4.0):
    return page.evaluate(
        """async (seconds) => {
          let n = 0;
          const seen = new MutationObserver(() => n++);
          seen.observe(document.querySelector('.headline'), {childList: true, subtree: true,
                                                             characterData: true});
          await new Promise((done) => setTimeout(done, 1000 * seconds));
          return n / seconds;
        }""",
        seconds,
    )


def test_it_trains_on_sight_many_times_a_second_and_stops(open_page, url):
    page = tab(open_page, url, "&seconds=600")
    pump(page, lambda: "dB" in headline(page))
    rate = count_updates(page)
    print(f"updates a second: {rate:.1f}")
    assert rate >= 2  # server, browser and test share two cores here; the page alone has more
    (session,) = [s for s in nerf_session._sessions.values() if s.training]
    press(page, "Stop")
    took = pump(page, lambda: not session.training)
    print(f"stopped after {took:.2f} s")
    pump(page, lambda: "Stopped" in page.locator(".status").first.inner_text())
    pump(page, lambda: page.get_by_label("Go back to (s)").first.input_value() not in ("", "0"))


def test_pause_rests_and_resume_goes_on(open_page, url):
    page = tab(open_page, url, "&seconds=600")
    pump(page, lambda: "dB" in headline(page))
    press(page, "Pause")
    pump(page, lambda: "paused" in headline(page))

    def step():
        return headline(page).partition("step")[2].split()[0]

    def rests():  # the step that was under way when the button was pressed ends first
        before = step()
        page.wait_for_timeout(1500)
        return step() == before

    pump(page, rests)
    before = step()
    press(page, "Resume")
    pump(page, lambda: step() != before)
    press(page, "Stop")


def test_the_view_follows_the_pointer_while_training_goes_on(open_page, url):
    page = tab(open_page, url, "&seconds=600")
    pump(page, lambda: "dB" in headline(page))
    canvas = page.locator(".ob canvas, canvas").first
    (session,) = [s for s in nerf_session._sessions.values() if s.training]
    start = dict(session.orbit)

    def turned():
        box = canvas.bounding_box()  # anew: on a busy machine the page may still be growing
        page.mouse.move(box["x"] + 150, box["y"] + 150)
        page.mouse.down()
        page.mouse.move(box["x"] + 220, box["y"] + 150, steps=5)
        page.mouse.up()
        page.wait_for_timeout(1000)
        return session.orbit["azimuth_deg"] != start["azimuth_deg"]

    pump(page, turned)
    took = pump(page, lambda: canvas.get_attribute("data-late") == "false")
    print(f"picture of the new place after {took:.2f} s")
    assert session.training
    press(page, "Stop")


def test_closing_the_page_frees_the_field(open_page, url):
    page = tab(open_page, url, "&seconds=600")
    pump(page, lambda: "dB" in headline(page))
    (session,) = [s for s in nerf_session._sessions.values() if s.training]
    press(page, "Pause")  # a paused run holds a place in the queue, too
    pump(page, lambda: "paused" in headline(page))
    page.context.close()
    kept = nerf_session._sessions
    took = wait_for(
        lambda: not session.training and all(s is not session for s in [*kept.values()])
    )
    print(f"freed after {took:.2f} s")


def test_train_on_goes_on_and_where_it_is_refused_nothing_starts(open_page, url):
    page = trained(open_page, url, "&steps=20")
    press(page, "Train on")
    pump(page, lambda: "step 40" in headline(page) and "mean of 8" in headline(page))
    page = tab(open_page, url, "&seconds=600")
    pump(page, lambda: "dB" in headline(page))
    (session,) = [s for s in nerf_session._sessions.values() if s.training]
    key = session.key

    def stop():
        press(page, "Stop")
        pump(page, lambda: not session.training)

    until_rest(page, lambda: press(page, "Train on"))
    until_rest(page, stop)
    assert not session.training and session.key == key


def test_in_a_pause_the_way_back_is_open(open_page, url):
    page = tab(open_page, url, "&seconds=600")
    pump(page, lambda: "dB" in headline(page))
    (session,) = [s for s in nerf_session._sessions.values() if s.training]
    pump(page, lambda: session.run is not None and session.run.seconds > 2)
    press(page, "Pause")
    pump(page, lambda: "paused" in headline(page))
    number = page.get_by_label("number input for Go back to (s)")
    number.fill("1")
    number.press("Enter")
    pump(page, lambda: "as it was after" in headline(page))
    page.wait_for_timeout(1000)
    assert "as it was after" in headline(page) and session.aside
    press(page, "Resume")
    pump(page, lambda: "step" in headline(page))
    press(page, "Stop")


# ---------------------------------------------------------------- a field at rest


def test_a_pixel_opens_its_ray_and_the_way_back_shows_an_older_field(page):
    page.locator(".panel > button", has_text="Look inside").click()
    picture = page.locator(".dv canvas").first
    pump(page, lambda: picture.is_visible())
    facts = page.locator("table.facts", has_text="Ray of pixel")
    first = facts.inner_text()
    picture.click(position={"x": 60, "y": 60})
    pump(page, lambda: facts.inner_text() != first)
    page.get_by_role("tab", name="Density and samples").click()
    page.get_by_text("Samples spent").first.wait_for()
    page.get_by_role("tab", name="Levels of detail").click()
    page.get_by_text("1 of").first.wait_for()
    number = page.get_by_label("number input for Go back to (s)")
    number.fill("0.5")
    number.press("Enter")
    pump(page, lambda: "as it was after" in headline(page))
    after = re.search(r"as it was after ([\d.]+) s", headline(page))
    assert after and float(after[1]) < 1.5  # of 2 s


def test_the_files_are_written_and_scores_are_shown(page):
    page.locator(".panel > button", has_text="Score").click()
    press(page, "Score every held-out view")
    page.get_by_text("Field, truth, error").first.wait_for()
    page.locator(".panel > button", has_text="Take away").click()
    press(page, "Write the files")
    links = page.locator(".file-preview a")
    links.nth(6).wait_for()  # the zip, three figures, curve, field, script


def test_runs_side_by_side(page):
    page.locator(".panel > button", has_text="Compare").click()
    page.get_by_role("checkbox", name="Frequencies", exact=True).uncheck()  # two fields are left
    number = page.get_by_label("number input for Time each (s)")
    number.fill("3")
    number.press("Enter")
    page.locator("#nerf-compare-now").click()
    page.get_by_text("SSIM, held out").first.wait_for()


def test_missing_files_are_a_sentence(page):
    page.get_by_label("Photos with cameras").check()
    press(page, "Train")
    page.get_by_text("No files were given").first.wait_for()
    page.get_by_label("A rendered scene").check()
