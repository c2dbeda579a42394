"""Contact sheets, ready for a slide: one scene with everything that is known about its pixels, and
all scenes side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.cameras import look_at
from core.scenes.control import maps
from core.scenes.render import RenderSettings, render
from core.scenes.truth import correspondence
from core.scenes.types import Scene
from core.scenes.views import start_camera, stereo_pair

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, PAPER, NOTHING = "#1d2733", "#ffffff", "#c9ced6"


@dataclass(frozen=True)
class Panel:
    """One picture of a sheet: RGB uint8 (H, W, 3), or values (H, W) with a colour map and unit."""

    title: str
    image: np.ndarray
    unit: str = ""
    colours: str = "viridis"


def panels(scene: Scene, size: tuple[int, int] = (480, 360), samples: int = 3) -> list[Panel]:
    """Every channel of a scene from its own camera."""
    settings = RenderSettings(samples=samples)
    camera = start_camera(scene, *size)
    view = render(scene, camera, settings)
    assert view.depth_m is not None
    drawn = maps(view, camera)
    pair = stereo_pair(scene, 0.1, size, RenderSettings(samples=1))
    flow, hidden = correspondence(scene, camera, _step_aside(scene, camera.c2w[:3, 3], size))
    albedo = np.where(view.ids[..., None] > 0, _encode(view.albedo), 255)
    return [
        Panel("colour", view.rgb),
        Panel("depth (far 5 % alike)", _near_part(view.depth_m), "m", "viridis_r"),
        Panel("normals", drawn["normals"]),
        Panel("instances", drawn["segmentation"]),
        Panel("albedo", albedo.astype(np.uint8)),
        Panel("edges", np.repeat(255 - drawn["edges"][..., None], 3, 2)),
        Panel("flow to a camera aside", flow_colours(flow)),
        Panel("disparity at 0.1 m", pair.disparity_px, "px", "cividis"),
        Panel("hidden from the camera aside", _tinted(view.rgb, hidden)),
    ]


def _step_aside(scene: Scene, eye: np.ndarray, size: tuple[int, int]) -> Any:
    target = np.asarray(scene.target)
    aside = np.cross(target - eye, (0, 0, 1))
    return look_at(eye + 0.12 * aside, target, *size, scene.fov_deg)


def _encode(linear: np.ndarray) -> np.ndarray:
    return np.clip(linear, 0, 1) ** (1 / 2.2) * 255


def _near_part(depth_m: np.ndarray) -> np.ndarray:
    """Depth up to where 95 % of the pixels lie: an endless ground would eat the whole scale."""
    if not np.isfinite(depth_m).any():
        return depth_m
    return np.minimum(depth_m, np.nanquantile(depth_m, 0.95))


def _tinted(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The picture in pale grey, with the mask in vermilion."""
    grey = (rgb.mean(-1, keepdims=True) * 0.45 + 140).repeat(3, -1)
    return np.where(mask[..., None], (213, 94, 0), grey).astype(np.uint8)


def flow_colours(flow_px: np.ndarray, most_px: float | None = None) -> np.ndarray:
    """Flow (H, W, 2) as RGB uint8: hue is its direction, strength its length; grey is unknown."""
    from matplotlib.colors import hsv_to_rgb

    length = np.linalg.norm(flow_px, axis=-1)
    known = np.isfinite(length)
    top = most_px or (np.quantile(length[known], 0.98) if known.any() else 1.0)
    hue = (np.arctan2(flow_px[..., 1], flow_px[..., 0]) / (2 * np.pi)) % 1
    strength = np.clip(length / max(float(top), 1e-9), 0, 1)
    hsv = np.stack([hue, strength, np.ones_like(hue)], -1)
    hsv[~known] = (0, 0, 0.8)
    return (hsv_to_rgb(np.clip(np.nan_to_num(hsv), 0, 1)) * 255).astype(np.uint8)


def sheet(title: str, shown: Sequence[Panel], columns: int = 3, width_in: float = 15.0) -> Figure:
    """Panels in a grid under a title, values with colour bars."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    rows = -(-len(shown) // columns)
    height, width = shown[0].image.shape[:2]
    edge, gap, label, head = 0.15, 0.12, 0.3, 0.55  # inches
    wide = (width_in - 2 * edge - gap * (columns - 1)) / columns
    high = wide * height / width
    whole = head + rows * (high + label) + edge
    figure = Figure((width_in, whole), facecolor=PAPER)
    axes = figure.subplots(
        rows, columns, squeeze=False,
        gridspec_kw={"left": edge / width_in, "right": 1 - edge / width_in, "bottom": edge / whole,
                     "top": 1 - (head + label) / whole, "wspace": gap / wide, "hspace": label / high},
    )  # fmt: skip
    figure.text(edge / width_in, 1 - 0.14 / whole, title, ha="left", va="top",
                color=INK, fontsize=19, weight="bold")  # fmt: skip
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, panel in zip(axes.flat, shown, strict=False):
        axis.set_title(panel.title, loc="left", color=INK, fontsize=13, pad=5)
        if panel.image.ndim == 3:
            axis.imshow(panel.image, interpolation="antialiased")
            continue
        colours = colormaps[panel.colours].with_extremes(bad=NOTHING)
        picture = axis.imshow(np.ma.masked_invalid(panel.image), colours, interpolation="nearest")
        inset = axis.inset_axes((0.945, 0.06, 0.022, 0.88))
        bar = figure.colorbar(picture, cax=inset)
        bar.ax.yaxis.set_ticks_position("left")
        bar.ax.tick_params(labelsize=9, colors=PAPER, length=2)
        bar.outline.set_edgecolor(PAPER)  # type: ignore[operator]
        for label in bar.ax.get_yticklabels():
            label.set_path_effects(_outline())
        bar.ax.set_title(panel.unit, color=PAPER, fontsize=9, pad=3, path_effects=_outline())
    return figure


def _outline() -> list:
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=2.2, foreground=INK)]


def write_gallery(
    scenes: Sequence[Scene], folder: Path, size: tuple[int, int] = (480, 360)
) -> list[Path]:
    """One sheet per scene and `gallery.png` with all of them; gives the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    over: list[list[Panel]] = []
    for scene in scenes:
        shown = panels(scene, size)
        over.append(shown[:4])
        path = folder / f"scene_{scene.name.replace(' ', '_')}.png"
        sheet(f"{scene.name}: {len(scene.things)} things", shown).savefig(path, dpi=110)
        written.append(path)
    rows = list(zip(*over, strict=True))
    path = folder / "gallery.png"
    names = [scene.name for scene in scenes]
    overview("Rendered scenes with exact truth", names, rows).savefig(path, dpi=150)
    return [*written, path]


def overview(title: str, names: Sequence[str], rows: Sequence[Sequence[Panel]]) -> Figure:
    """A column per scene and a row per channel, 16 in wide; of values, the colours' range in a corner.

    rows: per channel one panel of each scene; the row is called after the first one's title.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    high, wide = rows[0][0].image.shape[:2]
    margin, gap, head = 0.34, 0.07, 0.92  # inches
    cell = (16 - margin - 0.12 - gap * (len(names) - 1)) / len(names)
    tall = cell * high / wide
    whole = head + len(rows) * (tall + gap) + 0.05
    figure = Figure((16, whole), facecolor=PAPER)
    figure.text(margin / 16, 1 - 0.12 / whole, title, ha="left", va="top",
                color=INK, fontsize=20, weight="bold")  # fmt: skip
    for column, name in enumerate(names):
        x = margin + column * (cell + gap)
        figure.text(x / 16, 1 - (head - 0.08) / whole, name, ha="left", va="bottom",
                    color=INK, fontsize=14)  # fmt: skip
        for row, shown in enumerate(rows):
            panel = shown[column]
            y = whole - head - row * (tall + gap) - tall
            axis = figure.add_axes((x / 16, y / whole, cell / 16, tall / whole))
            axis.set_axis_off()
            if panel.image.ndim == 3:
                axis.imshow(panel.image, interpolation="antialiased", aspect="auto")
                continue
            colours = colormaps[panel.colours].with_extremes(bad=NOTHING)
            axis.imshow(np.ma.masked_invalid(panel.image), colours, interpolation="antialiased",
                        aspect="auto")  # fmt: skip
            low, most = np.nanmin(panel.image), np.nanmax(panel.image)
            axis.text(0.03, 0.04, f"{low:.1f} to {most:.1f} {panel.unit}", color=PAPER, fontsize=11,
                      transform=axis.transAxes, path_effects=_outline())  # fmt: skip
    for row, shown in enumerate(rows):
        middle = whole - head - row * (tall + gap) - tall / 2
        figure.text(0.5 * margin / 16, middle / whole, shown[0].title.split(" (")[0], rotation=90,
                    ha="center", va="center", color=INK, fontsize=14)  # fmt: skip
    return figure
