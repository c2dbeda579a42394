"""A real browser for the tests that need one; pages that notice what they shouldn't do."""

from __future__ import annotations

import os
import shutil
from urllib.parse import urlsplit

import pytest

# Must stand before the first import of gradio: no telemetry, no version check.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def browser():
    """Chromium. Skips if there is none, unless SIGHTLINE_REQUIRE_BROWSER=1 makes that a failure."""
    chromium = shutil.which("chromium")
    if chromium is None:
        reason = "there is no `chromium` on the path"
        if os.environ.get("SIGHTLINE_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


class Watch:
    """What a page did wrong: errors on its console, requests to other hosts or that failed."""

    def __init__(self, page):
        self.faults: list[str] = []
        page.on("console", self.on_console)
        page.on("pageerror", lambda error: self.faults.append(f"page error: {error}"))
        page.on("request", self.on_request)
        page.on("response", self.on_response)

    def on_console(self, message):
        if message.type == "error":
            self.faults.append(f"console: {message.text}")

    def on_request(self, request):
        url = urlsplit(request.url)
        if url.scheme not in ("data", "blob") and url.hostname not in ("127.0.0.1", "localhost"):
            self.faults.append(f"request to {request.url}")

    def on_response(self, response):
        if response.status >= 400:
            self.faults.append(f"{response.status} for {response.url}")


@pytest.fixture(scope="session")
def open_page(browser):
    """`open_page(url, width=1280, **context options)`: a page and what it does wrong."""
    contexts = []

    def open_page(url, width=1280, height=900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.watch = Watch(page)
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
