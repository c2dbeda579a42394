"""A photo input that takes any file, so that core can say in a sentence what is wrong with it."""

from __future__ import annotations

from typing import Any

import gradio as gr


class Photo(gr.Image):
    """An image input that hands on the file as it is; core.images opens it. Made by `photo`.

    It has no __init__ of its own: Gradio sends the browser only what the signature names.
    """

    is_template = True  # drawn by gr.Image's own front end

    def preprocess(self, payload: Any) -> str | None:
        if payload is not None and payload.url and payload.url.startswith("data:"):
            return super().preprocess(payload)  # type: ignore[return-value]
        return None if payload is None else payload.path


def photo(label: str, *, height: int = 190, visible: bool = True) -> Photo:
    """A photo from a file, the camera or the clipboard; its value is a path or None."""
    return Photo(
        label=label, height=height, visible=visible, type="filepath", image_mode=None, buttons=[],
        sources=["upload", "webcam", "clipboard"],
    )  # fmt: skip
