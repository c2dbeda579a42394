"""The ControlNet tab's default action, with control and without, against diffusers called by hand.

`python -m tests.bench.control`: medians of alternating runs; asked are 5 s and a ratio of 1.05. Both
run as in the app, whose threads wait by sleeping (app.configure): else OpenMP spins while a process
has one team of threads and no longer when it has two, and whatever runs in a second thread is slower.
"""

from __future__ import annotations

import os
import statistics
import time

os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

import torch
from PIL import Image

from core.control.painting import generate
from core.control.run import SourceSettings, hint_of, source
from core.control.types import ControlResult, ControlSettings, HintSettings
from core.diffusion import load

RUNS = 7


def main() -> None:
    where = source(SourceSettings())
    hint = hint_of(where, SourceSettings(), HintSettings())
    settings = ControlSettings(prompt=where.words)
    controlled, plain = load("tiny-sd", (hint.kind,)), load("tiny-sd", task="text")
    map = Image.fromarray(hint.map)

    def ours() -> None:
        *_, last = generate(hint, settings)
        assert isinstance(last, ControlResult)

    def by_hand() -> None:
        for pipeline, given in ((controlled, {"image": map}), (plain, {})):
            pipeline(
                settings.prompt, num_inference_steps=settings.steps, width=64, height=64,
                guidance_scale=settings.guidance, generator=torch.Generator().manual_seed(0),
                output_type="np", **given,
            )  # fmt: skip

    took: dict[str, list[float]] = {"ours": [], "by hand": []}
    ours()
    by_hand()
    for _ in range(RUNS):
        for name, call in (("ours", ours), ("by hand", by_hand)):
            began = time.perf_counter()
            call()
            took[name].append(time.perf_counter() - began)
    a, b = (statistics.median(took[name]) for name in ("ours", "by hand"))
    print(
        f"default action {a:.2f} s (asked: 5), by hand {b:.2f} s, ratio {a / b:.3f} (asked: 1.05)"
    )


if __name__ == "__main__":
    main()
