"""A real browser for the tests that need one; pages that notice what they shouldn't do."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]

# Must stand before the first import of gradio: no telemetry, no version check.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

WAIT_MS = 90_000  # at most, for what a page is to show: the machine may be slow or busy

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

# Python imports a module of this name by itself when it starts. This one writes down every host
# that is looked up or connected to, if it isn't this machine.
SPY = """
import socket
HERE = (None, "", "localhost", "127.0.0.1", "::1", "0.0.0.0", "::")
def told(host):
    host = host.decode() if isinstance(host, bytes) else host
    if host not in HERE:
        with open(FILE, "a") as file:
            print(host, file=file)
def watched(call, host_of):
    def wrapper(*args, **named):
        told(host_of(*args, **named))
        return call(*args, **named)
    return wrapper
def first(host=None, *args, **named):
    return host
def peer(sock, address):
    return address[0] if sock.family in (socket.AF_INET, socket.AF_INET6) else None
for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
    setattr(socket, name, watched(getattr(socket, name), first))
for name in ("connect", "connect_ex"):
    setattr(socket.socket, name, watched(getattr(socket.socket, name), peer))
"""


def spied(folder: Path) -> tuple[dict[str, str], Path]:
    """An environment for Python processes that tell the hosts they reach for, one a line, and
    the file they tell it to."""
    hosts = folder / "hosts.txt"
    hosts.touch()
    (folder / "sitecustomize.py").write_text(SPY.replace("FILE", repr(str(hosts))))
    return {**os.environ, "PYTHONPATH": str(folder)}, hosts


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serve(*arguments: str, env: dict[str, str] | None = None) -> Iterator[str]:
    """The app, started as a person starts it, without a network; gives its address."""
    port = free_port()
    command = [sys.executable, "app.py", "--offline", "--port", str(port), *arguments]
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
    try:
        began = time.monotonic()
        while True:
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except OSError:
                if process.poll() is not None:
                    raise RuntimeError(f"{command} ended with {process.returncode}") from None
                if time.monotonic() - began > 90:
                    raise
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(20)


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


# The viewer of point clouds tries WebGPU first and complains where there is none; the player of a
# film asks for a range that the next, shorter film hasn't got (416).
NO_FAULT = re.compile(r"WebGPU|^416 |status of 416")
# Where a page tells of an error that nobody caught, or that Sightline calls its own bug.
BUGS = ".toast-body.error, .said:has-text('Sightline has a bug here')"


class Watch:
    """What a page did wrong: errors on its console, requests to other hosts or that failed."""

    def __init__(self, page):
        self.page = page
        self.faults: list[str] = []
        self.bugs: list[str] = []  # that stood on the page when it was last asked
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

    def told(self) -> list[str]:
        """What went wrong since this was last asked, bugs that stand on the page among it, without
        NO_FAULT."""
        bugs = self.page.locator(BUGS).all_inner_texts()
        found = [*self.faults, *(bug for bug in bugs if bug not in self.bugs)]
        self.faults.clear()
        self.bugs = bugs
        return [fault for fault in found if not NO_FAULT.search(fault)]


def told(browser) -> list[str]:
    """What went wrong on any page since this was last asked."""
    pages = [page for context in browser.contexts for page in context.pages]
    return [fault for page in pages if hasattr(page, "watch") for fault in page.watch.told()]


@pytest.fixture(autouse=True)
def _close_pages(request):
    """Pages that a test opened are closed with it: one left open keeps its work going on the
    server. Those of its module stay. What went wrong on any page fails the test; one that provokes
    it on purpose asks for it, by `page.watch.told()`."""
    if "browser" not in request.fixturenames:
        yield
        return
    browser = request.getfixturevalue("browser")
    before = list(browser.contexts)
    assert told(browser) == [], "as a page of this module was opened, or after the last test"
    yield
    try:
        assert told(browser) == []
    finally:
        for context in browser.contexts:
            if context not in before:
                context.close()


@pytest.fixture(scope="module")
def open_page(browser):
    """`open_page(url, width=1280, **context options)`: a page and what it does wrong. All are closed
    with the module, before its server ends."""

    def open_page(url, width=1280, height=900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.watch = Watch(page)
        page.goto(url)
        return page

    yield open_page
    for context in browser.contexts:
        context.close()


def revisit(page, url):
    """Open another address in a page that is there: quicker than a new one, which has nothing cached.
    What it says of lost connections as it leaves doesn't count."""
    assert page.watch.told() == []
    page.goto("about:blank")
    page.watch.faults.clear()
    page.goto(url)
