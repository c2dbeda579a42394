"""From `python app.py` to a usable page, against an empty Gradio app on the same machine.

    python -m tests.bench.startup [runs]

A page is usable when its first button can be pressed. Runs alternate, so that a busy machine
slows both; the figure is the ratio of medians.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
EMPTY = """
import os
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
import gradio as gr
with gr.Blocks() as page:
    gr.Button("Run", variant="primary")
page.launch(server_port={port}, ssr_mode=False)
"""


def usable_after_s(command: list[str], port: int, browser) -> float:
    """Seconds from starting `command` until its page's first button can be pressed."""
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    page = browser.new_page()
    try:
        while True:
            try:
                page.goto(f"http://127.0.0.1:{port}", wait_until="commit", timeout=2000)
                break
            except Exception:  # not listening yet
                time.sleep(0.05)
                if process.poll() is not None or time.perf_counter() - began > 120:
                    raise
        page.locator("button.primary:visible").first.click(trial=True, timeout=60000)
        return time.perf_counter() - began
    finally:
        page.close()
        process.terminate()
        process.wait()


def main(runs: int = 5) -> float:
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import FLAGS

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        empty = Path(folder, "empty.py")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        seconds: dict[str, list[float]] = {"empty": [], "sightline": []}
        for run in range(runs + 1):
            ports = (
                18400 + 2 * run + os.getpid() % 500 * 10,
                18401 + 2 * run + os.getpid() % 500 * 10,
            )
            empty.write_text(EMPTY.format(port=ports[0]))
            commands = {
                "empty": [sys.executable, str(empty)],
                "sightline": [sys.executable, "app.py", "--offline", "--port", str(ports[1])],
            }
            for (name, command), port in zip(commands.items(), ports, strict=True):
                took = usable_after_s(command, port, browser)
                if run:  # the first run warms the disk's cache
                    seconds[name].append(took)
        browser.close()
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ratio = medians["sightline"] / medians["empty"]
    for name, value in medians.items():
        print(f"{name:10} {value:5.2f} s  {[round(v, 2) for v in seconds[name]]}")
    print(f"ratio      {ratio:5.2f}    (bar: at most 1.3)")
    return ratio


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
