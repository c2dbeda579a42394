"""A photo input that takes any file, so that core can say in a sentence what is wrong with it."""

from __future__ import annotations

from typing import Any

import gradio as gr


class Photo(gr.Image):
    """An image input that hands on the file as it is; core.images opens it and says what's wrong."""

    is_template = True  # drawn by gr.Image's own front end

    def __init__(self, label: str, **kwargs: Any):
        super().__init__(
            label=label, type="filepath", image_mode=None, buttons=[],
            sources=["upload", "webcam", "clipboard"], **kwargs,
        )  # fmt: skip

    def preprocess(self, payload: Any) -> str | None:
        if payload is not None and payload.url and payload.url.startswith("data:"):
            return super().preprocess(payload)  # type: ignore[return-value]
        return None if payload is None else payload.path
