"""What the NeRF tab shows of a field: the view that turns, a held-out picture, curves, one ray."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from core.images import digest
from core.metrics import psnr
from core.nerf import Field, RayProfile, Seen, render
from core.nerf.film import orbit_path
from core.nerf.inspect import Slice
from core.nerf.outputs import up_of
from core.nerf.run import Run
from core.nerf.training import on_white
from core.nerf.types import Views
from core.stereo.pictures import colour_map, legend
from core.types import Camera
from demos import charts, markup
from demos.widgets.depth_view import encode
from demos.widgets.orbit_view import camera_of, frustum_of, orbit_of, points_of

if TYPE_CHECKING:
    from demos.nerf_session import Session

ORBIT_PX = 256  # sides of the view that turns, in full
BACK = 1.2  # how many times further off than the training cameras the 3-D view begins
FAR_SHARE = 0.97  # of depths are on the scale; the horizon would take all its colours
NARROW = 330  # units of a chart that has half the room
LIT = 0.995  # share of a ray's light after which its plots end
ERROR_LIMIT = 64  # of 255, where the error's scale ends


# ---------------------------------------------------------------- the view that turns


def start_of(views: Views) -> dict[str, Any]:
    """The orbit at which the 3-D view begins: the first camera of a film around the scene."""
    camera = orbit_path(views, 1, (ORBIT_PX, ORBIT_PX))[0]
    eye, ahead = camera.c2w[:3, 3], camera.c2w[:3, 2]
    gap = views.bounds.mean(0) - eye
    radius = max(float(gap @ ahead), 0.1 * float(np.linalg.norm(gap)))
    orbit = orbit_of(camera, eye + radius * ahead, up_of(views))
    return {**orbit, "radius": BACK * orbit["radius"]}


def orbit_camera(orbit: dict[str, Any], px: int = ORBIT_PX) -> Camera:
    return camera_of(orbit, px, px)


def orbit_value(session: Session, seen: Seen | None, note: str, *, whole: bool) -> dict[str, Any]:
    """The value of the OrbitView; whole: with the cameras and all else that a key needs once."""
    value: dict[str, Any] = {"key": session.key, "note": note}
    if seen is not None:
        value |= {"image": markup.data_uri(seen.rgb), "image_for": session.orbit}
    if whole:
        views = session.views
        held = set(views.test)
        value |= {
            "start": start_of(views),
            "frusta": [
                frustum_of(c, k in held, f"view {k + 1}{', held out' if k in held else ''}")
                for k, c in enumerate(views.cameras)
            ],
            "box": views.bounds.tolist(),
            "points": points_of(views.points) if len(views.points) else None,
            "ray": None,
        }
    return value


# ---------------------------------------------------------------- one picture


def error_of(shown: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(H, W) mean absolute difference of the channels, 0 to 255."""
    return np.abs(shown.astype(np.float32) - truth).mean(2)


def depth_limits(depth: np.ndarray) -> tuple[float, float]:
    known = depth[np.isfinite(depth)]
    if not known.size:
        return 0.0, 1.0
    low, high = np.quantile(known, (0.01, FAR_SHARE))
    return float(low), float(max(high, low + 1e-6))


def quad(preview: Seen, truth: np.ndarray, held: bool) -> str:
    """Field, photo, error and depth of one view, small, as HTML that streams."""
    depth = preview.depth_m
    assert depth is not None
    low, high = depth_limits(depth)
    shown = [
        (preview.rgb, "Field, held-out view" if held else "Field, training view"),
        (truth, "Truth"),
        (colour_map(error_of(preview.rgb, truth), 0, ERROR_LIMIT, "magma"),
         f"Error, 0 to {ERROR_LIMIT} of 255"),
        (colour_map(-depth, -high, -low), f"Depth, {low:.2g} to {high:.2g}"),
    ]  # fmt: skip
    cells = "".join(
        f'<figure><img src="{markup.data_uri(image)}" alt="{html.escape(says)}">'
        f"<figcaption>{html.escape(says)}</figcaption></figure>"
        for image, says in shown
    )
    return f'<div class="quad">{cells}</div>'


def picture_value(session: Session, field: Field) -> dict[str, Any]:
    """The DepthView of the opened view: the field's render in full, with all that can be read."""
    views, k = session.views, session.view
    seen = render(field, views.cameras[k])
    truth = on_white(views.images[k])
    assert seen.depth_m is not None and seen.opacity is not None
    low, high = depth_limits(seen.depth_m)
    error = error_of(seen.rgb, truth)
    layers = [
        _layer("Field", seen.rgb),
        _layer("Truth", truth),
        _layer("Error", colour_map(error, 0, ERROR_LIMIT, "magma"),
               legend(0, ERROR_LIMIT, "of 255", "magma"), error, "", 1),
        _layer("Depth", colour_map(seen.depth_m, low, high, "cividis"),
               legend(low, high, "", "cividis"), seen.depth_m, "", 3),
        _layer("Opacity", colour_map(seen.opacity, 0, 1, "cividis"),
               legend(0, 1, "", "cividis"), seen.opacity, "", 3),
    ]  # fmt: skip
    height, width = truth.shape[:2]
    return {"size": [width, height], "key": digest(seen.rgb)[:24], "layers": layers}


def _layer(name: str, image: np.ndarray, bar: Any = None, values: np.ndarray | None = None,
           unit: str = "", decimals: int = 2) -> dict[str, Any]:  # fmt: skip
    read = None if values is None else encode(values) | {"unit": unit, "decimals": decimals}
    return {"name": name, "image": markup.data_uri(image, lossless=True), "legend": bar,
            "values": read}  # fmt: skip


# ---------------------------------------------------------------- curves and words


def curves(found: Run, mark: float | None = None) -> str:
    """PSNR and loss against seconds, side by side; mark: seconds that the way back stands at."""
    db = [(s, p) for s, _, p in found.curve if math.isfinite(p)]
    loss = [(s, math.log10(max(e, 1e-9))) for s, e, _ in found.curve]
    low, high = decibels([p for _, p in db])
    series: dict[str, charts.Points] = {"PSNR": db}
    if mark is not None:
        series["shown"] = [(mark, low), (mark, high)]
    span = (
        math.floor(min((e for _, e in loss), default=-3)),
        math.ceil(max((e for _, e in loss), default=0)),
    )
    return (
        '<div class="pair">'
        + charts.lines(series, "PSNR of the held-out view (dB)", "training time (s)",
                       y_range=(low, high), width=NARROW)
        + charts.lines({"loss": _thin(loss)}, "Loss, log₁₀ of the mean squared error",
                       "training time (s)", y_range=(span[0], max(span[1], span[0] + 1)), width=NARROW)
        + "</div>"
    )  # fmt: skip


def decibels(values: Sequence[float]) -> tuple[float, float]:
    """Ends of a scale for PSNRs: multiples of five around them."""
    low = math.floor(min(values, default=0.0) / 5) * 5.0
    return low, max(low + 5, math.ceil(max(values, default=low) / 5) * 5.0)


def _thin(points: Sequence[tuple[float, float]], most: int = 120) -> list[tuple[float, float]]:
    step = max(1, len(points) // most)
    return [*points[::step], points[-1]] if points else []


def headline(session: Session) -> str:
    """Where training stands, in one line, and what is known of the views."""
    found = session.found
    shot = found.shot
    kind = "held-out view" if shot.view in found.views.test else "training view"
    said = f"<b>{shot.psnr:.1f} dB</b> on the {kind} shown · step {shot.step:,} · {found.seconds:.1f} s"
    if found.scores:
        n = len(found.views.test)
        mean, ssim = found.scores["psnr"], found.scores["ssim"]
        if math.isfinite(mean):
            said = (
                f"<b>{mean:.2f} dB</b>, SSIM {ssim:.3f}, mean of {n} held-out views · "
                f"step {shot.step:,} · {found.seconds:.1f} s"
            )
    if session.live.paused:
        said += " · <b>paused</b>"
    notes = [*found.views.notes, *([shot.note] if shot.note else [])]
    if shot.moves is not None:
        turned = float(np.degrees(np.linalg.norm(shot.moves[:, :3], axis=1)).mean())
        notes.append(f"Cameras have turned by {turned:.2f}° on average.")
    told = " ".join(html.escape(note) for note in notes)
    return f'<div>{said}<div class="note">{told}</div></div>'


def note_of(found: Run) -> str:
    when = "from a file" if math.isnan(found.seconds) else f"{found.seconds:.1f} s"
    return f"{when} · {found.shot.psnr:.1f} dB"


# ---------------------------------------------------------------- one ray


def ray_charts(along: RayProfile) -> str:
    """What happens along a ray: density, and how it becomes weight; its colours as a strip. The
    plots end where hardly any light is left."""
    ended = np.cumsum(along.weight) >= LIT * along.opacity
    n = min(int(ended.argmax()) + 2, len(along.t)) if ended.any() else len(along.t)
    t = along.t[:n].tolist()
    sigma = list(zip(t, along.sigma[:n].tolist(), strict=True))
    parts = {
        "α opacity of the step": along.alpha,
        "T light that reaches it": along.T,
        "w = T α": along.weight,
    }
    series: dict[str, charts.Points] = {
        name: list(zip(t, values[:n].tolist(), strict=True)) for name, values in parts.items()
    }
    strip = "".join(
        f'<i style="background:rgb({r},{g},{b})" title="t {at:.3g}"></i>'
        for at, (r, g, b) in zip(
            t, (along.colour[:n] * 255).round().astype(int).tolist(), strict=True
        )
    )
    return (
        '<div class="pair">'
        + charts.lines({"σ": sigma}, "Density σ of each sample", "distance t")
        + charts.lines(series, "Opacity, transmittance, weight", "distance t", y_range=(0, 1))
        + f'</div><div class="strip" role="img" aria-label="Colours of the samples">{strip}</div>'
        + '<div class="note">The colours of these samples, near to far.</div>'
    )


def ray_table(along: RayProfile, xy: tuple[float, float]) -> str:
    colour = along.weight @ along.colour + 1 - along.opacity
    rows = [
        ("Opacity Σ w", markup.number(along.opacity)),
        ("Expected depth Σ w t / Σ w", markup.number(along.depth)),
        ("Spread (standard deviation)", markup.number(along.spread)),
        ("Samples", str(len(along.t))),
        ("Colour Σ w c, on white", ", ".join(f"{255 * v:.0f}" for v in colour)),
    ]
    return markup.table(rows, ("Ray of pixel", f"{xy[0]:.1f}, {xy[1]:.1f}"), ("", "n"))


def ray_in_space(along: RayProfile, camera: Camera) -> dict[str, Any]:
    """The ray as the OrbitView draws it, to where its light has ended."""
    eye = camera.c2w[:3, 3]
    most = max(float(along.weight.max()), 1e-6)
    done = np.cumsum(along.weight) >= 0.99 * max(along.opacity, 1e-6)
    last = along.points[min(int(done.argmax()) + 1, len(along.t) - 1)]
    samples = np.column_stack([along.points, along.weight / most])
    return {"from": eye.tolist(), "to": last.tolist(), "samples": samples.tolist()}


def slice_pictures(cut: Slice) -> list[tuple[np.ndarray, str]]:
    """A cut through the box: density, what counts as occupied, where samples went."""
    dense = np.log10(np.maximum(cut.density, 1e-3))
    spent = np.log10(cut.spent + 1)
    return [
        (colour_map(dense, -1, max(2.0, float(dense.max()))), "Density σ, logarithmic"),
        (colour_map(cut.occupied.astype(float), 0, 1, "cividis"), "Occupied: may stop light"),
        (colour_map(spent, 0, max(float(spent.max()), 1e-6), "magma"),
         f"Samples spent, all along the cut's axis: {cut.spent.sum():,.0f}"),
    ]  # fmt: skip


def labelled(shown: Seen, truth: np.ndarray) -> str:
    """How well a render fits its picture, in words."""
    return f"{psnr(shown.rgb, truth):.1f} dB"
