"""Train, measure, and write weights and card.

    python -m core.stereo.train --out /tmp/stereo --minutes 60
    python -m core.stereo.train --out /tmp/stereo --minutes 60 --ship

Stop it and call it again with the same folder: it goes on. --ship also copies the weights and
their card to assets/models/stereo.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the stereo network.")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and weights")
    parser.add_argument("--minutes", type=float, default=60, help="training in all, without renders")
    parser.add_argument("--rendered", type=int, default=220, help="rendered pairs to train with")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ship", action="store_true", help="copy the result into the project")
    given = parser.parse_args()

    import torch
    from safetensors.torch import save_file

    from core.stereo import learned
    from core.stereo.train import card, fit

    torch.set_num_threads(given.threads)
    given.out.mkdir(parents=True, exist_ok=True)
    cache = fit.render(given.out / "rendered", given.rendered)
    weights = fit.fit(given.out, given.minutes, seed=given.seed, cache=cache)
    file = given.out / learned.WEIGHTS.name
    save_file({name: value.contiguous() for name, value in weights.items()}, file)
    command = f"python -m core.stereo.train --minutes {given.minutes:g} --seed {given.seed}"
    text = card.written(weights, command)
    (given.out / "README.md").write_text(text)
    print(text)
    if given.ship:
        learned.WEIGHTS.parent.mkdir(parents=True, exist_ok=True)
        for name in (file.name, "README.md"):
            shutil.copy(given.out / name, learned.WEIGHTS.parent / name)


if __name__ == "__main__":
    main()
