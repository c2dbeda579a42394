"""The training pictures, rendered once and kept in files of SHARD pictures outside the tree.

A file's name is the first seed it holds, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from core.diffusion.world import Pictures, pictures
from core.types import Progress, silent

SHARD = 500


def rendered(folder: Path, count: int, progress: Progress = silent, processes: int = 2) -> Pictures:
    """The first `count` pictures of the world, from files in `folder`; what is missing is
    rendered there first."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{first:08d}.npz" for first in range(0, count, SHARD)]
    missing = [file for file in files if not file.exists()]
    if missing:
        os.environ["OMP_NUM_THREADS"] = "1"  # of the processes to come: they share the cores
        with ProcessPoolExecutor(processes) as pool:
            jobs = [pool.submit(_render, file) for file in missing]
            for done, job in enumerate(as_completed(jobs), 1):
                job.result()
                progress(done / len(missing), desc="rendering")
    parts = [read(file) for file in files]
    whole = Pictures.joined(parts)
    return Pictures(**{name: value[:count] for name, value in vars(whole).items()})


def read(file: Path) -> Pictures:
    """The pictures of one file."""
    with np.load(file, allow_pickle=False) as held:
        return Pictures(**{name: held[name] for name in held.files})


def _render(file: Path) -> None:
    first = int(file.stem)
    made = pictures(range(first, first + SHARD))
    part = file.with_suffix(".part")
    with part.open("wb") as out:  # a name of its own until it is whole
        np.savez_compressed(out, **vars(made))
    part.rename(file)
