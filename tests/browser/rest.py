"""When a page is at rest: all is drawn, or it asks its server for nothing more."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.browser.conftest import WAIT_MS

REST_S = 2.0  # a page that has posted nothing for so long won't by itself


def frame(page):
    """Waits until what was asked for is drawn."""
    page.evaluate("() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))")


def until_rest(page, act: Callable[[], object]) -> list[int]:
    """Do `act`, and wait until nothing was posted for REST_S. Gives the numbers of the functions
    that the server was asked to call, in order."""
    calls: list[int] = []
    posted = time.monotonic()

    def note(request):
        nonlocal posted
        if request.method == "POST":
            posted = time.monotonic()
        if "/queue/join" in request.url:
            calls.append(request.post_data_json["fn_index"])

    page.on("request", note)
    act()
    began = posted = time.monotonic()
    while time.monotonic() - posted < REST_S:
        assert time.monotonic() - began < WAIT_MS / 1000, "the page doesn't come to rest"
        page.wait_for_timeout(50)  # requests are heard only while Playwright waits
    page.remove_listener("request", note)
    return calls
