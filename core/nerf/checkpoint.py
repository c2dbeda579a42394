"""A trained field in a file: its tensors, and the rest as JSON beside them (safetensors)."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core import runtime
from core.nerf.fields import Field, new_field
from core.nerf.types import NerfSettings
from core.types import InputError

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = "sightline-nerf-1"


def save(field: Field, path: str | Path) -> None:
    """Write a field to `path`. What is read back by load renders the same, bit by bit."""
    from safetensors.torch import save_file

    tensors = {name: value.detach().contiguous() for name, value in field.params.items()}
    if field.remembered is not None:
        tensors["remembered"] = field.remembered.contiguous()
    about = {
        "settings": asdict(field.settings), "bounds": field.bounds.tolist(), "near": field.near,
        "far": field.far, "unbounded": field.unbounded, "shown": field.shown,
    }  # fmt: skip
    save_file(tensors, str(path), metadata={"format": FORMAT, "field": json.dumps(about)})


def load(path: str | Path, device: str | None = None) -> Field:
    """Read a field that save wrote. Raises InputError for any other file."""
    from safetensors import SafetensorError, safe_open

    device = device or runtime.device()
    try:
        with safe_open(str(path), "pt", device=device) as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise InputError("This file is no radiance field of Sightline. Choose another.")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads(metadata["field"])
        settings = NerfSettings(**about["settings"])
        bounds = np.asarray(about["bounds"], np.float64).reshape(2, 3)
        near, far, shown = float(about["near"]), float(about["far"]), about["shown"]
        low, high = bounds
        if not ((low < high).all() and np.isfinite(bounds).all() and 0 < near < far < math.inf):
            raise ValueError("bounds")
        field = new_field(settings, bounds, near, far, bool(about["unbounded"]))
        field.remembered = tensors.pop("remembered", None)
        field.shown = None if shown is None else float(shown)
        if not _fit(field, tensors):
            raise ValueError("params")
    except InputError:
        raise
    except (
        SafetensorError, OSError, LookupError, TypeError, ValueError, OverflowError, RecursionError,
    ) as error:  # fmt: skip
        raise InputError(
            "This checkpoint can't be read. Save it again, or choose another."
        ) from error
    field.params = {name: value.requires_grad_() for name, value in tensors.items()}
    return field


def _fit(field: Field, tensors: dict[str, Tensor]) -> bool:
    """Do the tensors have the types and shapes that the settings give? Planes and lines may have
    grown, all to one resolution."""
    planes = tensors.get("density_planes")
    n = 1 if planes is None else planes.shape[-1]
    wanted = {}
    for name, value in field.params.items():
        shape = tuple(value.shape)
        if name.endswith(("_planes", "_lines")):
            shape = (*shape[:2], n, n if name.endswith("_planes") else 1)
        wanted[name] = value.dtype, shape
    grid = field.remembered
    cube = grid is None or (grid.ndim == 3 and len(grid) > 0 and len({*grid.shape}) == 1)
    given = {name: (value.dtype, tuple(value.shape)) for name, value in tensors.items()}
    return given == wanted and 0 < n <= field.settings.resolution and cube
