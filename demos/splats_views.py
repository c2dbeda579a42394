"""What the Gaussian splats tab shows: the viewer's value, one pixel's list, pictures beside truth."""

from __future__ import annotations

import html
import math
from typing import Any

import numpy as np

from core.nerf.training import on_white
from core.nerf.types import Views
from core.splats import Contributors, render
from core.splats.fitting import drawn_as, score
from core.splats.packed import pack, sent
from core.splats.render import renderer
from core.splats.run import SCORE_HELP, Opened, Viewed, camera_of, looks_at
from core.splats.statistics import Statistics
from core.stereo.pictures import colour_map
from demos import markup, ui
from demos.splats_session import Session
from demos.widgets.orbit_view import frustum_of, orbit_of
from demos.widgets.splat_view import mask_of, pack_geometry

BROWSER_MOST = 1_000_000  # splats sent to the browser; of more, the most important ones
LISTED = 14  # splats of a pixel in the table; the rest is summed up
ERROR_LIMIT = 64  # of 255, where the error's scale ends


def viewer_value(session: Session) -> dict[str, Any]:
    """The SplatView's value for what is shown now, its bytes written where Gradio serves them."""
    found = session.opened
    if session.packed is None:
        session.packed = ui.folder() / "packed.bin"
        session.packed.write_bytes(bytes_of(found))
    camera = camera_of(found, session.viewpoint)
    value: dict[str, Any] = {
        "key": session.key,
        "url": ui.address(session.packed),
        "start": orbit_of(camera, looks_at(found, session.viewpoint), found.up),
        "note": found.title,
        "near_m": session.settings.near_m,
        "background": list(session.settings.background),
        "frusta": [],
        "selected": None,
    }
    if session.learned is not None:
        value["frusta"] = frusta(session.learned.views)
    return value


def frusta(views: Views) -> list[dict[str, Any]]:
    """All cameras, as a view draws them over the scene."""
    held = set(views.test)
    return [
        frustum_of(c, k in held, f"view {k + 1}{', held out' if k in held else ''}")
        for k, c in enumerate(views.cameras)
    ]


def selection(session: Session) -> dict[str, Any]:
    """The SplatView's value that lights the selected splats up."""
    mask = session.selected
    if mask is not None:
        mask = mask_of(mask[sent(session.splats, BROWSER_MOST)])
    return {"key": session.key, "selected": mask}


def bytes_of(found: Opened) -> bytes:
    """What the browser draws, packed."""
    if found.kind == "splats":
        return pack(found.splats, BROWSER_MOST)
    thing: Any = found.thing
    faces = thing.faces if found.kind == "mesh" else None
    return pack_geometry(thing.points, thing.colours, faces)


def histogram_value(session: Session, found: Statistics) -> dict[str, Any]:
    """The Histogram's value: all quantities of what is shown."""
    return {
        "key": session.key,
        "quantities": [
            {
                "name": name, "title": h.quantity.title, "unit": h.quantity.unit,
                "edges": (np.log10(h.edges) if h.quantity.log else h.edges).tolist(),
                "counts": h.counts.tolist(), "log": h.quantity.log,
            }
            for name, h in found.histograms.items()
        ],
        "chosen": "opacity",
        "range": None,
        "total": found.count,
    }  # fmt: skip


def facts(found: Statistics) -> str:
    """Count, size and degree in one line."""
    core = found.core_high - found.core_low
    size = " × ".join(f"{v:.3g}" for v in core)
    strays = found.high - found.low
    return (
        f"<p><b>{found.count:,} splats</b>, colour degree {found.degree}, {found.bytes_each} bytes "
        f"each in a 3DGS .ply. 98 % of them lie within {size} m, all within "
        f"{' × '.join(f'{v:.3g}' for v in strays)} m.</p>"
    )


# ---------------------------------------------------------------- words and pictures


def headline(session: Session) -> str:
    found, seen = session.opened, session.viewed
    if found.kind == "splats":
        said = f"<b>{len(found.splats):,} splats</b>, colour degree {found.splats.degree}"
    elif found.kind == "mesh":
        said = f"<b>{len(found.thing.faces):,} triangles</b>"  # type: ignore[union-attr]
    else:
        said = f"<b>{len(found.thing.points):,} points</b>"  # type: ignore[union-attr]
    if not math.isnan(seen.scores.get("psnr", math.nan)):
        said += (
            f" · <b>{seen.scores['psnr']:.1f} dB</b> against the exact picture, over the "
            f"{seen.scores['covered']:.0f} % of it that splats cover"
        )
    if found.size_bytes:
        said += f" · {found.size_bytes / 1e6:.1f} MB"
    made = "read" if found.size_bytes else "made"
    said += f" · {made} in {found.seconds:.1f} s"
    note = f'<div class="note">{html.escape(found.title)}</div>'
    return f'<div aria-live="polite">{note}{said}</div>'


def score_pictures(seen: Viewed) -> str:
    """The server's picture, the exact one and their difference, if there is an exact one."""
    shown = [(seen.view.rgb, f"Splats, drawn by the server ({renderer()})")]
    if seen.truth is not None:
        error = np.abs(seen.view.rgb.astype(np.float32) - seen.truth).mean(2)
        shown += [
            (seen.truth, "The scene itself, exact"),
            (colour_map(error, 0, ERROR_LIMIT, "magma"), f"Error, 0 to {ERROR_LIMIT} of 255"),
        ]
    depth = seen.view.depth_m
    if depth is not None and np.isfinite(depth).any():
        low, high = np.nanpercentile(depth, (1, 99))
        shown.append(
            (colour_map(-depth, -high, -low), f"Depth where opaque, {low:.3g} to {high:.3g} m")
        )
    opacity = np.repeat((255 * seen.view.opacity[..., None]).astype(np.uint8), 3, 2)
    shown.append((opacity, "Opacity: black lets all light through"))
    return markup.pictures(shown)


def beside_photo(session: Session, k: int) -> tuple[str, dict[str, Any]]:
    """What the k-th camera of a fit's views sees against its photo: words, and the Overlay's value."""
    assert session.learned is not None
    captured = session.learned.views
    k = int(k) % len(captured.cameras)
    seen = render(session.splats, captured.cameras[k], drawn_as(captured)).rgb
    db, ssim = score(session.splats, captured, (k,))
    held = "held out" if k in captured.test else "learned from"
    words = f"Camera {k + 1}, {held}: <b>{db:.2f} dB</b>, SSIM {ssim:.3f} against its photo."
    pair = {
        "image0": markup.data_uri(on_white(captured.images[k]), lossless=True),
        "image1": markup.data_uri(seen, lossless=True),
        "label0": "Photo",
        "label1": "Splats",
    }
    return f"<p>{words}</p>", pair


def score_text(seen: Viewed) -> str:
    words = "" if seen.truth is not None else (
        "<p>A file brings no truth with it. Open a rendered scene, or fit one under <i>Fit a "
        "scene</i>, to see scores against exact pictures or held-out photos.</p>"
    )  # fmt: skip
    return words + markup.score_table(seen.scores, SCORE_HELP)


def pixel_table(made: Contributors, xy: tuple[float, float]) -> str:
    """The splats of one pixel, front to back, and that their weights add up."""
    order = list(range(len(made)))
    rows = [
        (
            f"{made.index[k]:,}",
            f"{made.depth_m[k]:.3f}",
            f"{made.alpha[k]:.3f}",
            f"{made.reach[k]:.3f}",
            f"{made.weight[k]:.3f}",
            _swatch(made.colour[k]),
        )
        for k in order[:LISTED]
    ]
    rest = made.weight[LISTED:].sum()
    body = "".join(
        "<tr>" + "".join(f'<td class="n">{cell}</td>' for cell in row) + "</tr>" for row in rows
    )
    if len(made) > LISTED:
        body += (
            f'<tr><td colspan="4">{len(made) - LISTED:,} more behind</td>'
            f'<td class="n">{rest:.3f}</td><td></td></tr>'
        )
    body += (
        f'<tr><td colspan="4">background</td><td class="n">{made.left:.3f}</td>'
        f'<td class="n">{_swatch(made.background)}</td></tr>'
        f'<tr><td colspan="4"><b>sum</b></td>'
        f'<td class="n"><b>{made.weight.sum() + made.left:.3f}</b></td>'
        f'<td class="n">{_swatch(made.pixel)}</td></tr>'
    )
    head = "".join(
        f'<th class="n">{h}</th>'
        for h in ("Splat", "Depth (m)", "α", "T before", "w = T α", "Colour")
    )
    words = f"Pixel ({xy[0]:.0f}, {xy[1]:.0f}): {len(made):,} splats, front to back."
    return (
        f"<p>{words}</p>"
        f'<div class="scroll"><table class="facts"><tr>{head}</tr>{body}</table></div>'
    )


def _swatch(colour: np.ndarray) -> str:
    r, g, b = (int(v) for v in (np.clip(colour, 0, 1) * 255 + 0.5))
    return (
        f'<span class="swatch" style="display:inline-block;width:1.1em;height:1.1em;'
        f'vertical-align:-0.2em;border:1px solid #8888;background:rgb({r},{g},{b})" '
        f'title="{r}, {g}, {b}"></span>'
    )


def build_up(made: Contributors) -> str:
    """The pixel as a bar: each splat as wide as its weight, in its colour, front first."""
    parts, x = [], 0.0
    shares = [*zip(made.weight, made.colour, strict=True), (made.left, made.background)]
    for weight, colour in shares:
        r, g, b = (int(v) for v in (np.clip(colour, 0, 1) * 255 + 0.5))
        parts.append(
            f'<rect x="{x:.2f}" width="{100 * weight:.2f}" height="8" fill="rgb({r},{g},{b})"/>'
        )
        x += 100 * float(weight)
    return (
        '<figure class="chart"><svg viewBox="0 0 100 8" preserveAspectRatio="none" '
        'style="width:100%;height:44px" role="img" aria-label="The pixel by weights">'
        f'{"".join(parts)}<rect x="0" y="0" width="100" height="8" fill="none" stroke="#8888" '
        'vector-effect="non-scaling-stroke"/></svg>'
        "<figcaption>The pixel's light: the front at the left, what is left for the background at "
        "the right.</figcaption></figure>"
    )
