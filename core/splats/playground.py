"""One Gaussian, from its numbers to the ellipse on the picture, with every matrix on the way.

    Σ = R S Sᵀ Rᵀ            how it lies in the world: as long as S says, turned by R
    J = ∂(x, y) / ∂(X, Y, Z)  how its pixel moves when its middle moves in front of the camera
    Σ' = J W Σ Wᵀ Jᵀ          how it lies on the picture; W turns the world to the camera

J comes from a formula, [[f/Z, 0, −f·X/Z²], [0, f/Z, −f·Y/Z²]]. `numeric_jacobian` needs none: it
pushes the middle a little along each of the camera's axes and looks where its pixel goes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from core.cameras import project
from core.splats.harmonics import Y0, Y1
from core.splats.project import DILATION_PX2, FAINTEST, LARGEST_LOG, rotation_of, slope_limits
from core.splats.types import Splats
from core.types import Camera, InputError, Settings, setting

NEAREST_M = 1e-3  # the middle must be so far in front of the camera
STEP = 1e-4  # of the distance: error falls with its square, rounding grows with its inverse


def _place(name: str) -> float:
    return setting(0.0, f"Middle {name}", f"Along the world's {name} axis.", minimum=-5.0,
                   maximum=5.0, step=0.05, unit="m")  # fmt: skip


def _scale(default: float, name: str) -> float:
    return setting(default, f"Scale {name}", f"Standard deviation along its own {name} axis.",
                   minimum=0.005, maximum=2.0, step=0.005, unit="m")  # fmt: skip


def _turn(default: float, name: str, about: str) -> float:
    return setting(default, name, about, minimum=-180.0, maximum=180.0, step=1.0, unit="°")


@dataclass(frozen=True)
class OneSettings(Settings):
    """A single Gaussian. World axes as for splats: x right, y down, z forward."""

    one_x: float = _place("x")
    one_y: float = _place("y")
    one_z: float = _place("z")
    one_scale_x: float = _scale(0.6, "x")
    one_scale_y: float = _scale(0.25, "y")
    one_scale_z: float = _scale(0.1, "z")
    one_yaw_deg: float = _turn(30.0, "Yaw", "About the world's y axis, after the other two.")
    one_pitch_deg: float = _turn(0.0, "Pitch", "About x, after roll.")
    one_roll_deg: float = _turn(20.0, "Roll", "About its own z axis, first.")
    one_opacity: float = setting(
        0.9, "Opacity", "The share of light its middle stops.", minimum=0.01, maximum=0.99,
        step=0.01,
    )  # fmt: skip
    one_shine: float = setting(
        0.0, "Shine", "How much brighter it is for those who look along +x: a wave of degree 1.",
        minimum=-1.0, maximum=1.0, step=0.05,
    )  # fmt: skip
    one_colour: tuple[float, float, float] = setting(
        (0.9, 0.5, 0.2), "Colour", "Red, green and blue, without shine.", minimum=0.0,
        maximum=1.0, step=0.01, shown=False,
    )  # fmt: skip


@dataclass(frozen=True)
class One:
    """A Gaussian, as it is and as a camera sees it. All float64.

    rotation (3, 3), own axes to world; covariance (3, 3) m², in the world: Σ; turn (3, 3), world to
    camera: W; jacobian (2, 3) px/m, in the camera's axes: J; covariance_px (2, 2) px²: Σ', and
    dilated (2, 2) px², what is drawn: Σ' with 0.3 px² more on its diagonal.

    xy (2,) px and depth_m of the middle; axes_px (2,), half axes of the dilated 1σ ellipse, the
    longer one first; angle_deg of the longer one from x towards y, above −90 to 90; reach: where α
    falls to 1/255, in σ, and nothing is drawn any more; outside: the middle is so far off the
    picture that J is taken nearer to it, at 30 % of half the picture outside, and isn't the slope
    of the projection any more.
    """

    rotation: np.ndarray
    covariance: np.ndarray
    turn: np.ndarray
    jacobian: np.ndarray
    covariance_px: np.ndarray
    dilated: np.ndarray
    xy: np.ndarray
    depth_m: float
    axes_px: np.ndarray
    angle_deg: float
    reach: float
    outside: bool

    def outline(self, sigmas: float = 1.0, points: int = 72) -> np.ndarray:
        """(points, 2) px around the dilated ellipse at so many σ; the last isn't the first."""
        t = 2 * np.pi * np.arange(points) / points
        angle = math.radians(self.angle_deg)
        along = np.array([math.cos(angle), math.sin(angle)])
        across = np.array([-along[1], along[0]])
        round_ = np.outer(np.cos(t), along * self.axes_px[0]) + np.outer(
            np.sin(t), across * self.axes_px[1]
        )
        return self.xy + sigmas * round_


def single(settings: OneSettings = OneSettings()) -> Splats:
    """The Gaussian as splats of one, colour degree 1: what `render` draws."""
    from scipy.spatial.transform import Rotation

    s = settings
    turned = Rotation.from_euler("YXZ", (s.one_yaw_deg, s.one_pitch_deg, s.one_roll_deg), True)
    x, y, z, w = turned.as_quat()
    sh = np.zeros((1, 4, 3))
    sh[0, 0] = (np.array(s.one_colour) - 0.5) / Y0
    sh[0, 3] = -s.one_shine / 2 / Y1  # that wave is −Y1·x: half a shine more or less at its ends
    return Splats(
        np.array([[s.one_x, s.one_y, s.one_z]]),
        np.log([[s.one_scale_x, s.one_scale_y, s.one_scale_z]]), np.array([[w, x, y, z]]),
        np.array([math.log(s.one_opacity / (1 - s.one_opacity))]), sh,
    )  # fmt: skip


def explain(settings: OneSettings, camera: Camera) -> One:
    """How the Gaussian comes to its ellipse. InputError if its middle isn't in front of the camera."""
    return explain_splat(single(settings), 0, camera)


def explain_splat(splats: Splats, index: int, camera: Camera) -> One:
    """The same for one of many, by its place. Raises InputError if its middle isn't in front."""
    import torch

    mean = splats.means[index].astype(np.float64)
    rotation = rotation_of(torch.from_numpy(splats.quats[index : index + 1]).double())[0].numpy()
    spread = rotation * np.exp(splats.log_scales[index].astype(np.float64).clip(max=LARGEST_LOG))
    turn = camera.c2w[:3, :3].T
    X, Y, Z = turn @ (mean - camera.c2w[:3, 3])
    if NEAREST_M > Z:
        raise InputError("The Gaussian's middle isn't in front of the camera. Move one of them.")
    slope = np.array([X, Y]) / Z
    low, high = (t.numpy() for t in slope_limits(camera, torch.device("cpu")))
    taken = slope.clip(low, high)
    J = camera.K[:2, :2] @ np.column_stack([np.eye(2), -taken]) / Z
    on_picture = J @ turn @ spread
    covariance_px = on_picture @ on_picture.T
    dilated = covariance_px + DILATION_PX2 * np.eye(2)
    variances, axes = np.linalg.eigh(dilated)  # ascending
    dx, dy = axes[:, 1] if axes[0, 1] > 0 else -axes[:, 1]
    opacity = float(splats.opacities[index])
    return One(
        rotation=rotation, covariance=spread @ spread.T, turn=turn, jacobian=J,
        covariance_px=covariance_px, dilated=dilated, xy=camera.K[:2, :2] @ slope + camera.K[:2, 2],
        depth_m=float(Z), axes_px=np.sqrt(variances[::-1]),
        angle_deg=math.degrees(math.atan2(dy, dx)) if dx else 90.0,
        reach=math.sqrt(2 * max(0.0, math.log(max(opacity, FAINTEST) / FAINTEST))),
        outside=bool((taken != slope).any()),
    )  # fmt: skip


def numeric_jacobian(camera: Camera, mean: np.ndarray) -> np.ndarray:
    """(2, 3) px/m: how far the pixel of mean (3,), in the world, goes for each metre along the
    camera's axes, by central differences. InputError if it isn't in front of the camera."""
    _, z = project(camera, np.asarray(mean, np.float64)[None])
    if z[0] < NEAREST_M:
        raise InputError("The Gaussian's middle isn't in front of the camera. Move one of them.")
    step = STEP * z[0]
    pushes = step * camera.c2w[:3, :3].T  # row k: the camera's k-th axis, in the world
    ahead, _ = project(camera, mean + pushes)
    back, _ = project(camera, mean - pushes)
    return (ahead - back).T / (2 * step)
