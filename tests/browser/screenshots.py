"""Pictures of every tab to look at: light and dark, wide and narrow, closed and opened.

python -m tests.browser.screenshots [tab …]
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

from demos import TABS
from tests.browser.conftest import FLAGS, ROOT, serve

OUT = ROOT / "screenshots"
WIDTHS = {1280: 900, 390: 844}  # px: a laptop's window and a telephone


def settled(page) -> None:
    """Wait until the tab's example has run and nothing on the page moves for a while."""
    page.locator(".headline .html-container b:visible").first.wait_for(timeout=60_000)
    page.wait_for_function("document.fonts.status === 'loaded'")
    page.wait_for_timeout(800)


def open_all(page) -> None:
    """Open every panel, and run what only runs on a press."""
    for k in range(page.locator(".panel > button:visible").count()):
        page.locator(".panel > button:visible").nth(k).click()
    page.wait_for_timeout(500)
    for name in ("Compare", "Write the files"):
        page.get_by_role("button", name=name, exact=True).locator("visible=true").last.click()
    compare = page.locator(".panel:visible", has=page.locator("> button", has_text="Compare"))
    methods = compare.locator("input[type=checkbox]:checked").count()
    compare.locator("table.facts th.n").nth(methods - 1).wait_for(timeout=60_000)
    page.locator(".file-preview a").first.wait_for(timeout=60_000)
    page.wait_for_timeout(800)


def main(tabs: Sequence[str] = TABS) -> None:
    from playwright.sync_api import sync_playwright

    OUT.mkdir(exist_ok=True)
    with serve() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for slug in tabs:
            for mode in ("light", "dark"):
                for width, height in WIDTHS.items():
                    page = browser.new_page(viewport={"width": width, "height": height})
                    page.goto(f"{url}?tab={slug}&__theme={mode}")
                    settled(page)
                    shoot(page, f"{slug}-{mode}-{width}")
                    if width == 1280:
                        open_all(page)
                        shoot(page, f"{slug}-{mode}-{width}-open")
                    page.close()
        browser.close()


def shoot(page, name: str) -> None:
    path = OUT / f"{name}.png"
    page.screenshot(path=path, full_page=True)
    print(path.relative_to(ROOT))


if __name__ == "__main__":
    main(sys.argv[1:] or TABS)
