"""A trained field in a file: its tensors, and the rest as JSON beside them (safetensors)."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from core import runtime
from core.nerf.fields import Field, new_field
from core.nerf.types import NerfSettings
from core.types import InputError

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
        field = new_field(settings, bounds, about["near"], about["far"], about["unbounded"])
        field.remembered, field.shown = tensors.pop("remembered", None), about["shown"]
        if {k: v.ndim for k, v in tensors.items()} != {k: v.ndim for k, v in field.params.items()}:
            raise KeyError("params")
    except InputError:
        raise
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            "This checkpoint can't be read. Save it again, or choose another."
        ) from error
    field.params = {name: value.requires_grad_() for name, value in tensors.items()}
    return field
