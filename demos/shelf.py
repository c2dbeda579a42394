"""What one tab made and another can open: files by page, until the page is closed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import gradio as gr


@dataclass(frozen=True)
class Item:
    """A file."""

    path: Path


@dataclass(frozen=True)
class Model(Item):
    """A model in 3-D, and which way is up in it (3,)."""

    up: tuple[float, float, float]


@dataclass(frozen=True)
class Depth(Item):
    """An .npz: picture (H, W, 3) uint8, depth (H, W) float32, and whether that is its inverse."""


T = TypeVar("T", bound=Item)
_shelves: dict[str, dict[str, Item]] = {}


def put(request: gr.Request, title: str, item: Item) -> None:
    """Lay a file on the page's shelf; one of the same title is replaced."""
    _shelves.setdefault(str(request.session_hash), {})[title] = item


def of(request: gr.Request, kind: type[T]) -> dict[str, T]:
    """What of this kind lies on the page's shelf, by title, the newest last."""
    found = _shelves.get(str(request.session_hash), {})
    return {
        title: item
        for title, item in found.items()
        if isinstance(item, kind) and item.path.exists()
    }


def forget(request: gr.Request) -> None:
    """The page was closed."""
    _shelves.pop(str(request.session_hash), None)
