"""A scene made of Gaussians: what one of them knows, and what a picture of many knows.

A splat is a soft ellipsoid: where it stands (mean), how far it reaches along three axes (scales),
how these axes are turned (a quaternion), how much light it stops (opacity), and which colour it
sends in each direction (spherical harmonics). The numbers are kept as an optimiser wants them,
free to take any value: the scales as logarithms, the opacity before the sigmoid, the quaternion
of any length (Kerbl et al. 2023, 3D Gaussian Splatting). `Splats` can say them as people would.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from core.types import InputError, Settings, View, setting

COEFFICIENTS = (1, 4, 9, 16)  # of spherical harmonics, a channel, for degree 0 to 3
SHORTEST_QUAT = 1e-12  # shorter ones point nowhere: a direction of rounding errors
BRIGHTEST = 1e6  # beyond it no colour is meant, and sums of colours overflow


@dataclass(frozen=True)
class Splats:
    """N Gaussians, N ≥ 1; all float32 and finite.

    means (N, 3) metres; log_scales (N, 3), natural logarithms of standard deviations in metres
    along the own axes; quats (N, 4) w x y z of any length above 0, own axes to world;
    opacity_logits (N,), opacity = 1/(1 + e^−logit); sh (N, K, 3), K = (degree + 1)², RGB =
    0.5 + Σ sh·basis, clamped from below at 0. Raises InputError for anything else.

    Quaternions stay as given, so a file comes back byte for byte; `unit_quats` has them of length 1.
    """

    means: np.ndarray
    log_scales: np.ndarray
    quats: np.ndarray
    opacity_logits: np.ndarray
    sh: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.means) if np.ndim(self.means) else 0
        if not n:
            raise InputError("There isn't a single splat in it. Give at least one.")
        coefficients = np.shape(self.sh)[1] if np.ndim(self.sh) == 3 else 0
        shapes = {
            "means": (n, 3), "log_scales": (n, 3), "quats": (n, 4), "opacity_logits": (n,),
            "sh": (n, coefficients, 3),
        }  # fmt: skip
        for name, shape in shapes.items():
            if np.shape(getattr(self, name)) != shape:
                raise InputError(
                    f"{n:,} splats need {name} of shape {shape}, not "
                    f"{np.shape(getattr(self, name))}. Give every splat all of its numbers."
                )
            with np.errstate(over="ignore"):
                array = np.ascontiguousarray(getattr(self, name), np.float32)
            if not np.isfinite(array).all():
                at = int(np.argmin(np.isfinite(array).reshape(n, -1).all(1)))
                _broken(at, f"its {name} hold NaN or infinity")
            object.__setattr__(self, name, array)
        if coefficients and (bright := np.abs(self.sh).reshape(n, -1).max(1)).max() > BRIGHTEST:
            _broken(int(bright.argmax()), f"its colour has a number above {BRIGHTEST:,.0f}")
        if coefficients not in COEFFICIENTS:
            raise InputError(
                f"Colour has 1, 4, 9 or 16 coefficients a channel, not {coefficients}. "
                "Cut or fill it with zeros to one of these."
            )
        lengths = _lengths(self.quats)
        if lengths.min() < SHORTEST_QUAT:
            _broken(int(lengths.argmin()), "its quaternion has length 0, so it points nowhere")

    def __len__(self) -> int:
        return len(self.means)

    @property
    def degree(self) -> int:
        """Of the spherical harmonics: 0 (the same colour from everywhere) to 3."""
        return COEFFICIENTS.index(self.sh.shape[1])

    @property
    def unit_quats(self) -> np.ndarray:
        """(N, 4) float32 w x y z of length 1."""
        return (self.quats / _lengths(self.quats)[:, None]).astype(np.float32)

    @property
    def scales_m(self) -> np.ndarray:
        """(N, 3) float32: standard deviations along the own axes. Too large for float32: inf."""
        with np.errstate(over="ignore"):
            return np.exp(self.log_scales)

    @property
    def opacities(self) -> np.ndarray:
        """(N,) float32 in [0, 1]."""
        return (0.5 + 0.5 * np.tanh(0.5 * self.opacity_logits)).astype(np.float32)

    def some(self, which: np.ndarray) -> Splats:
        """Those at places `which`, or where it is True. InputError if there are none."""
        return Splats(
            self.means[which], self.log_scales[which], self.quats[which],
            self.opacity_logits[which], self.sh[which],
        )  # fmt: skip


def _lengths(quats: np.ndarray) -> np.ndarray:
    return np.linalg.norm(quats.astype(np.float64), axis=1)


def _broken(at: int, what: str) -> NoReturn:
    raise InputError(f"Splat {at:,} is broken: {what}. Remove it, or save the scene again.")


@dataclass(frozen=True)
class RenderSettings(Settings):
    """How splats become a picture."""

    background: tuple[float, float, float] = setting(
        (0.0, 0.0, 0.0), "Background", "Red, green and blue where nothing stops the light.",
        minimum=0.0, maximum=1.0, step=0.01, shown=False,
    )  # fmt: skip
    sh_degree: int = setting(
        3, "Colour degree", "0: the same colour from everywhere. 3: gloss that moves with you.",
        minimum=0, maximum=3, step=1,
    )  # fmt: skip
    scale: float = setting(
        1.0, "Splat size ×", "Small: you see the single splats. 1: as they were trained.",
        minimum=0.01, maximum=4.0, step=0.01,
    )  # fmt: skip
    sort: bool = setting(
        True, "Sort by depth", "Off: in the file's order, and the back shines through the front."
    )
    near_m: float = setting(
        0.2, "Nearest", "Splats whose middle is nearer to the camera are left out.",
        minimum=0.001, maximum=100.0, step=0.01, unit="m", advanced=True,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Rendered(View):
    """What a camera sees of splats. depth_m: the mean of z, by weight; NaN where opacity is < ½.

    opacity (H, W) float32 in [0, 1], 1 − the light that reaches the background; colour (H, W, 3)
    float32, the picture before it is cut to [0, 1] and rounded, background included.
    """

    opacity: np.ndarray
    colour: np.ndarray

    def __post_init__(self) -> None:
        super().__post_init__()
        size = self.rgb.shape[:2]
        if self.opacity.shape != size or self.colour.shape != (*size, 3):
            raise InputError(
                f"Opacity {self.opacity.shape} and colour {self.colour.shape} do not fit the "
                f"view {self.rgb.shape}."
            )


@dataclass(frozen=True)
class Contributors:
    """The splats that make one pixel, front to back; M of them, maybe none.

    index (M,) int64, the splat's place in `Splats`; depth_m (M,) z of its mean; alpha (M,) the
    share of light it stops here; reach (M,) the share that reaches it, Π (1 − alpha) of those in
    front; weight (M,) = reach·alpha; colour (M, 3) as seen from this camera. All float64.
    left: the share that reaches the background (3,). Weights and left sum to 1.
    """

    index: np.ndarray
    depth_m: np.ndarray
    alpha: np.ndarray
    reach: np.ndarray
    weight: np.ndarray
    colour: np.ndarray
    left: float
    background: np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    @property
    def pixel(self) -> np.ndarray:
        """(3,) float64: Σ weight·colour + left·background, the pixel before it is rounded."""
        return self.weight @ self.colour + self.left * self.background
