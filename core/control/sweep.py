"""One setting along, another one down: what each of them does, in one grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.control.painting import generate
from core.control.types import ControlResult, ControlSettings, Hint
from core.runtime import stage
from core.types import InputError, Progress, silent

AXES = {
    "scale": "Control scale",
    "seed": "Seed",
    "guidance": "Guidance",
    "steps": "Steps",
    "start": "Control from",
    "end": "Control until",
    "prompt": "Prompt",
}
MOST = 36  # pictures of one grid


@dataclass(frozen=True)
class Cell:
    """One picture (H, W, 3) uint8 of a sweep, its place, and its agreement with the map."""

    row: int
    column: int
    image: np.ndarray
    agreement: float


def values_of(axis: str, text: str) -> tuple:
    """ "0, 0.5, 1" as numbers of that setting; prompts are separated by |."""
    if axis not in AXES:
        raise InputError(f"There is no setting {axis!r} to sweep. Choose one of: {list(AXES)}.")
    parts = [part.strip() for part in text.split("|" if axis == "prompt" else ",")]
    parts = [part for part in parts if part]
    if not parts:
        raise InputError(f"{AXES[axis]}: give values, like 0, 0.5, 1.")
    if axis == "prompt":
        return tuple(parts)
    kind = int if axis in ("seed", "steps") else float
    try:
        return tuple(kind(part) for part in parts)
    except ValueError:
        raise InputError(
            f"{AXES[axis]}: {text!r} are not all numbers. Give values like 0, 0.5, 1."
        ) from None


def sweep(
    hints: Sequence[Hint],
    settings: ControlSettings,
    across: tuple[str, Sequence],
    down: tuple[str, Sequence] = ("seed", ()),
    progress: Progress = silent,
    *,
    lora: Path | None = None,
) -> Iterator[Cell]:
    """A picture for each pair of values, row by row. across, down: a setting of AXES and its values;
    an empty second one gives a single row; lora as `generate` takes it. Raises InputError for a grid of more than MOST."""
    (x, along), (y, below) = across, down
    rows = below or (getattr(settings, y),)
    if x == y and below:
        raise InputError("Both ways of the grid are the same setting. Choose two.")
    if len(along) * len(rows) > MOST:
        raise InputError(f"{len(along)}×{len(rows)} pictures are more than {MOST}. Give fewer.")
    plain = replace(settings, images=1, baseline=False)
    total = len(along) * len(rows)
    for k in range(total):
        row, column = divmod(k, len(along))
        one = replace(plain, **{y: rows[row], x: along[column]})
        part = stage(progress, k / total, (k + 1) / total)
        for event in generate(hints, one, part, lora=lora):
            if isinstance(event, ControlResult):
                yield Cell(row, column, event.images[0], event.agreement[0])
