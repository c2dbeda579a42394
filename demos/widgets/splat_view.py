"""Splats, points and meshes in the browser: drawn there, by its own graphics card.

A picture from the server takes tenths of a second; a graphics card draws a million splats many
times in one. So the browser gets the scene once, as packed bytes, and owns the camera. What it
draws follows the maths of `core.splats`, with the same camera by the same orbit
(`orbit_view.camera_of`): a pixel that is picked here can be taken apart there.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from core.types import InputError
from demos.widgets.base import Widget


class SplatView(Widget):
    """A scene that turns under the pointer, with its ways of looking and its controls.

    value is a dict, or None for nothing yet. Lengths are metres, points [x, y, z].
        key         text; another key is another scene: all is replaced, the camera goes to `start`.
                    With the same key, all that a value leaves out stays as it is
        url         address of the packed bytes: of splats (core.splats.packed), or of points or a
                    mesh (`pack_geometry`); every key's first value has it
        start       an orbit (`orbit_view.camera_of`); every key's first value has it
        orbit       where the camera is to go now: from a link, or to a training camera
        near_m      splats nearer than this are left out, 0.2 if left out; as in RenderSettings
        background  [red, green, blue] in [0, 1]; black if left out
        aspect      width / height of the view; 4/3 if left out
        frusta      [`orbit_view.frustum_of(camera)`, …], drawn over the scene
        selected    `mask_of(…)`: splats drawn in magenta, the others dimmed; or None
        hidden      `mask_of(…)`: splats left out, as cleaning would; or None
        note        small text beside the counts, or None

    Events
        moved    an orbit, when the camera has rested for 250 ms
        picked   {x, y, width, height, orbit, settings}: a pixel was clicked, px of a picture of
                 width × height from `camera_of(orbit, width, height)`; settings: background,
                 sh_degree and scale as in RenderSettings
        jumped   {frustum: index, orbit}: a camera was clicked, and the view went there
        cropped  {kind: "box", low, high}, {kind: "sphere", centre, radius}, or None for no crop
        missed   {key}: a value with a new key had no url or start. A page in the background drops
                 all but the latest value: send the whole one
    """

    def __init__(self, value: dict[str, Any] | None = None, **kwargs: Any):
        events = ("moved", "picked", "jumped", "cropped", "missed")
        super().__init__(value, module="splat_view.js", events=events, **kwargs)


def mask_of(mask: np.ndarray) -> str:
    """Which splats (N,) bool, as the view takes it: one bit each, in the file's order."""
    bits = np.packbits(np.asarray(mask, bool).ravel(), bitorder="little")
    return base64.b64encode(bits.tobytes()).decode()


def pack_geometry(
    points: np.ndarray, colours: np.ndarray | None = None, faces: np.ndarray | None = None
) -> bytes:
    """Points (P, 3) metres, colours (P, 3 or 4) uint8 and triangles (F, 3) of places in points.

    Without colours all is light grey, without faces it is a cloud. Layout: see splat_data.js.
    Raises InputError if the shapes don't fit, a number isn't finite or a face has no point.
    """
    xyz = np.asarray(points, "<f4")
    if xyz.ndim != 2 or xyz.shape[1] != 3 or not len(xyz) or not np.isfinite(xyz).all():
        raise InputError("Points need three finite numbers each, and there must be at least one.")
    rgba = np.full((len(xyz), 4), 255, np.uint8)
    rgba[:, :3] = 200
    if colours is not None:
        given = np.asarray(colours, np.uint8)
        if given.shape not in ((len(xyz), 3), (len(xyz), 4)):
            raise InputError(f"{len(xyz):,} points need as many colours, not {given.shape}.")
        rgba[:, : given.shape[1]] = given
    corners = np.asarray(np.zeros((0, 3)) if faces is None else faces)
    if corners.ndim != 2 or corners.shape[1] != 3:
        raise InputError(f"Faces are triangles, three numbers each, not {corners.shape}.")
    if len(corners) and not (corners.min() >= 0 and corners.max() < len(xyz)):
        raise InputError(f"A face has a corner that is none of the {len(xyz):,} points.")
    head = b"SLGM" + np.array([1, len(xyz), len(corners)], "<u4").tobytes()
    return head + xyz.tobytes() + rgba.tobytes() + corners.astype("<u4").tobytes()
