"""What half precision and a small GPU can do to a picture, and what is done about it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from core import runtime
from core.models import enough_memory
from core.types import InputError

T = TypeVar("T")


def rescued(
    pipeline: Any,
    paint: Callable[[], Generator[T, None, np.ndarray]],
    title: str,
    instead: str,
    note: Callable[[str], object],
) -> Generator[T, None, np.ndarray]:
    """`paint()` followed to its pictures, float in [0, 1] of any shape. What half precision turned
    into NaN is painted again in float32, and note is told so.

    Raises Unavailable, which names the model by its title and ends with `instead`, if the GPU's
    memory doesn't suffice; InputError if the pictures are no numbers in float32 either.
    """
    import torch

    with enough_memory(title, instead):
        made = yield from paint()
        if not np.isfinite(made).all() and _dtype(pipeline) != torch.float32:
            note("In half precision the picture came out as no number: painted in float32.")
            with _in_float32(pipeline):
                made = yield from paint()
    if not np.isfinite(made).all():
        raise InputError(
            "The model painted no picture, only numbers without value. Take fewer steps, less "
            "guidance or another seed."
        )
    return made


def _nets(pipeline: Any) -> list[Any]:
    import torch

    return [net for net in pipeline.components.values() if isinstance(net, torch.nn.Module)]


def _dtype(pipeline: Any) -> Any:
    return next(_nets(pipeline)[0].parameters()).dtype


@contextmanager
def _in_float32(pipeline: Any) -> Generator[None, None, None]:
    """The networks in float32, and afterwards as they were: the pool hands them to others too."""
    import torch

    with runtime.alone():
        before = [(net, next(net.parameters()).dtype) for net in _nets(pipeline)]
        try:
            for net, _ in before:
                net.to(torch.float32)
            yield
        finally:
            for net, dtype in before:
                net.to(dtype)
