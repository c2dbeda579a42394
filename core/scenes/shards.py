"""Training data, rendered once and kept in files outside the tree.

A file holds SHARD samples and is named after the first seed in it, so a run that was stopped goes
on where it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from core.types import Progress, silent

SHARD = 500

Make = Callable[[range], Mapping[str, np.ndarray]]


def rendered(
    folder: Path, count: int, make: Make, progress: Progress = silent, processes: int = 2
) -> dict[str, np.ndarray]:
    """What `make` gives for the seeds 0 to count, from files in `folder`; missing ones are made.

    make(seeds) gives arrays by name, one row a seed. It runs in processes of its own, so it must
    be a function of a module.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{first:08d}.npz" for first in range(0, count, SHARD)]
    missing = [file for file in files if not file.exists()]
    if missing:
        os.environ["OMP_NUM_THREADS"] = "1"  # of the processes to come: they share the cores
        with ProcessPoolExecutor(processes) as pool:
            jobs = [pool.submit(_write, file, make) for file in missing]
            for done, job in enumerate(as_completed(jobs), 1):
                job.result()
                progress(done / len(missing), desc="rendering")
    parts = [_read(file) for file in files]
    return {name: np.concatenate([part[name] for part in parts])[:count] for name in parts[0]}


def _read(file: Path) -> dict[str, np.ndarray]:
    with np.load(file, allow_pickle=False) as held:
        return {name: held[name] for name in held.files}


def _write(file: Path, make: Make) -> None:
    first = int(file.stem)
    made = make(range(first, first + SHARD))
    part = file.with_suffix(".part")
    with part.open("wb") as out:  # a name of its own until it is whole
        np.savez_compressed(out, **made)  # type: ignore[arg-type]
    part.rename(file)
