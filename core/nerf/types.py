"""What goes into training a radiance field and what comes out: views, settings, snapshots.

A radiance field says for every point of space how dense it is (σ, per metre) and what colour it
sends in every direction. It is never shown a shape: it only has to predict, for the cameras it is
given, the pixels they saw.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.types import Camera, InputError, Settings, Snapshot, View, setting

FIELDS = {
    "tensor": "Planes and lines",
    "hash": "Hash grid",
    "frequency": "Frequencies",
    "siren": "SIREN",
    "voxel": "Voxels",
}
FIELD_HELP = {
    "tensor": "Three planes times three lines (TensoRF): fast on a CPU.",
    "hash": "Grids of many sizes in hash tables (instant-ngp): fast on a GPU.",
    "frequency": "The original NeRF: sines of the position, then a network. Slow to learn.",
    "siren": "A network whose activations are sines.",
    "voxel": "A number in every cell: simple, and cubic in memory.",
}

POINTS_KEPT = 20_000  # of a scene's sparse points: what a page draws in 3-D without a stutter


@dataclass(frozen=True)
class NerfSettings(Settings):
    """What is trained, and how."""

    field_kind: str = setting("tensor", "Field", FIELD_HELP["tensor"], choices=FIELDS)
    seconds: float = setting(
        30.0, "Time", "Training ends after this long; Train on adds as much.",
        minimum=0.5, maximum=20_000.0, step=0.5, unit="s",
    )  # fmt: skip
    steps: int = setting(
        0, "Steps", "Training ends after so many; 0 lets the time decide.",
        minimum=0, maximum=1_000_000, step=1, advanced=True,
    )  # fmt: skip
    rays: int = setting(
        1024, "Rays a step", "More give a smoother gradient and fewer steps a second.",
        minimum=16, maximum=65536, step=64,
    )  # fmt: skip
    samples: int = setting(
        16, "Samples a ray", "Between near and far, most of them where something is.",
        minimum=4, maximum=256, step=4,
    )  # fmt: skip
    rate: float = setting(
        1.0, "Learning rate ×", "Of each field's own.", minimum=0.01, maximum=10.0, step=0.05
    )
    resolution: int = setting(
        128, "Resolution", "Cells along a side: of planes, voxels, or the finest hash level.",
        minimum=16, maximum=2048, step=16, advanced=True,
    )  # fmt: skip
    frequencies: int = setting(
        8, "Frequencies L", "γ(p) = sin and cos of 2ᵏπp, k below L; 0 feeds the bare position.",
        minimum=0, maximum=16, step=1, advanced=True,
    )  # fmt: skip
    occupancy: bool = setting(
        True, "Skip empty space", "A coarse grid remembers where nothing is.", advanced=True
    )
    distortion: float = setting(
        0.0, "Distortion loss", "Draws a ray's weight together: fewer floaters.",
        minimum=0.0, maximum=1.0, step=0.001, advanced=True,
    )  # fmt: skip
    unbounded: bool = setting(
        False, "Contract space", "Far things are drawn into the rim of the grid: for captures outdoors.",
        advanced=True,
    )  # fmt: skip
    refine_poses: bool = setting(
        False, "Refine cameras", "The cameras move too, a little, where that lowers the loss.",
        advanced=True,
    )  # fmt: skip
    nerf_seed: int = setting(
        0, "Seed", "Fixes every random choice.", minimum=0, maximum=2**31 - 1, step=1,
        advanced=True,
    )  # fmt: skip


@dataclass(frozen=True)
class Views:
    """Posed pictures of one scene.

    images (N, H, W, 3 or 4) float32 in [0, 1], the fourth channel opacity; cameras: one each; test:
    the places of those that are held out; bounds (2, 3): the box that holds the scene, in the
    cameras' unit; near, far: what a ray may hit, along it; unbounded: there is something to see outside the box
    too. notes are sentences for people. points (P, 3) float32: the scene's sparse points, as SfM
    found them, at most POINTS_KEPT, perhaps none.
    """

    images: np.ndarray
    cameras: tuple[Camera, ...]
    test: tuple[int, ...]
    bounds: np.ndarray
    near: float
    far: float
    unbounded: bool = False
    notes: tuple[str, ...] = ()
    points: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.float32))

    def __post_init__(self) -> None:
        n = len(self.cameras)
        if self.images.ndim != 4 or len(self.images) != n or self.images.shape[3] not in (3, 4):
            raise ValueError("views: images is (N, H, W, 3 or 4), one camera each")
        if not n - len(self.test) >= 1:
            raise InputError("All views are held out, so there is nothing to learn from.")
        if self.bounds.shape != (2, 3) or not 0 < self.near < self.far:
            raise ValueError("views: bounds is (2, 3) and 0 < near < far")
        if self.points.shape[1:] != (3,) or len(self.points) > POINTS_KEPT:
            raise ValueError(f"views: points is (P, 3), P at most {POINTS_KEPT}")

    @property
    def train(self) -> tuple[int, ...]:
        """The places of the views that are learned from."""
        held = set(self.test)
        return tuple(k for k in range(len(self.cameras)) if k not in held)


@dataclass(frozen=True)
class Seen(View):
    """A view of a field: its opacity (H, W) float32 besides; rgb lies on white."""

    opacity: np.ndarray | None = None


@dataclass(frozen=True)
class Trained(Snapshot):
    """Training at one moment: step of total (total is 0 when time ends it, not steps).

    loss: the mean squared error of the last batch; psnr of the preview, dB; preview: what the field
    shows of a held-out view (a training view if none is held out), truth (h, w, 3) uint8 the same
    pixels of the picture, every few of it; view: that view's place; look: what the camera of
    Live.look sees, None if nobody looks; rays: of the last step; moves (N, 6): how far refined
    cameras have turned and shifted; field: the live field, to be rendered from anywhere; note: a
    sentence for people.
    """

    loss: float
    psnr: float
    preview: Seen
    truth: np.ndarray
    view: int
    look: Seen | None
    rays: int
    field: Any = field(repr=False)
    moves: np.ndarray | None = None
    note: str = ""


@dataclass
class Live:
    """What a person may change while training goes on: rate and rays as in NerfSettings; look: the
    camera through which they watch, at full size."""

    rate: float = 1.0
    rays: int = 1024
    paused: bool = False
    look: Camera | None = None


@dataclass(frozen=True)
class RayProfile:
    """What happens along one ray. t (S,) distances; sigma (S,) per unit length; alpha, T, weight
    (S,): opacity of each step, what reaches it, their product; colour (S, 3) in [0, 1]; points
    (S, 3). depth: Σ w t / Σ w; spread: the standard deviation about it; opacity: Σ w."""

    t: np.ndarray
    sigma: np.ndarray
    alpha: np.ndarray
    T: np.ndarray
    weight: np.ndarray
    colour: np.ndarray
    points: np.ndarray
    depth: float
    spread: float
    opacity: float
