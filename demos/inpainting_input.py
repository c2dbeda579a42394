"""What goes into the Inpainting tab: a scene and its object, or a picture of one's own; and whether a
painted mask was made for it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np

from core import images
from core.inpainting.sources import BORDERS, Given, SourceSettings
from core.inpainting.types import InpaintSettings
from core.recipe import from_link
from core.types import InputError
from demos import ui
from demos.widgets.mask_editor import MaskEditor
from demos.widgets.photo import photo

KINDS = (SourceSettings, InpaintSettings)


class Controls(ui.Controls):
    """The tab's controls. Only a rendered scene knows its objects: of any other picture, what is
    painted is hidden."""

    def read(self, values: Sequence[Any]) -> tuple[Any, ...]:
        where, settings = super().read(values)
        return fitting(where), settings


def fitting(where: SourceSettings) -> SourceSettings:
    """The settings, with what is painted instead of an object where there are no objects."""
    if where.hole_mask == "object" and where.hole_picture in ("photo", "picture"):
        return replace(where, hole_mask="drawn")
    return where


def draw_input(made: ui.Controls) -> Any:
    """A scene and its object, or a picture of one's own; the new border, if there is to be one."""
    with gr.Row() as scene:
        made.draw("hole_scene", "hole_object")
    own = photo("Picture", visible=False)
    with gr.Row(visible=False) as border:
        made.draw(*BORDERS)

    def instead(chosen: str, mask: str) -> str:
        return fitting(SourceSettings(hole_picture=chosen, hole_mask=mask)).hole_mask

    def arrange(chosen: str, mask: str) -> dict:
        mask = instead(chosen, mask)
        return {
            scene: gr.Row(visible=chosen not in ("photo", "picture")),
            made.widgets["hole_scene"]: gr.update(visible=chosen == "scene"),
            made.widgets["hole_object"]: gr.update(visible=mask == "object"),
            own: gr.Image(visible=chosen == "picture"),
            border: gr.Row(visible=mask == "border"),
        }

    asked = [made.widgets["hole_picture"], made.widgets["hole_mask"]]
    places = [scene, made.widgets["hole_scene"], made.widgets["hole_object"], own, border]
    gr.on([widget.change for widget in asked], arrange, asked, places, **ui.QUIET)
    opened = by_link(lambda where, _: arrange(where.hole_picture, where.hole_mask))
    ui.on_open(opened, [], places)
    # Only where a person chooses: a link sets both, and one may arrive before the other.
    gr.on([widget.input for widget in asked], instead, asked, asked[1], **ui.QUIET)
    return own


def by_link(call: Callable[[SourceSettings, InpaintSettings], dict]) -> Callable[..., dict]:
    """A handler for when the page opens: call(where, settings) of its link or, without one, of the
    defaults. The widgets may get the link's settings only later."""

    def handler(request: gr.Request) -> dict:
        query = dict(request.query_params)
        ours = query if query.get("tab", "inpainting") == "inpainting" else {}
        try:
            (where,) = from_link(ours, (SourceSettings,))
            (settings,) = from_link(ours, (InpaintSettings,))
        except InputError:  # the controls tell it
            where, settings = SourceSettings(), InpaintSettings()
        return call(where, settings)

    return handler


def token(where: SourceSettings, path: str | None) -> str:
    """What a mask is made for, in a word: another one for each picture and each thing to hide. path
    is that of a picture of one's own. What is painted may be there to be gone or to be restored."""
    own = path if where.hole_picture == "picture" else None
    if where.hole_mask == "restored":
        where = replace(where, hole_mask="drawn")
    return hashlib.sha256(repr((where, own)).encode()).hexdigest()[:16]


def given(where: SourceSettings, path: str | None, painted: dict | None) -> Given:
    """What the person handed in, as far as this source uses it. A mask that was painted for another
    picture or object doesn't count: the editor is about to show this one."""
    own = where.hole_picture == "picture"
    found = Given(images.load(path) if own and path else None)
    if not painted or painted.get("made_for", token(where, path)) != token(where, path):
        return found
    width, height = painted["size"]
    mask = MaskEditor.mask_of(painted)
    return replace(found, mask=np.zeros((height, width), bool) if mask is None else mask)
