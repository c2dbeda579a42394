"""The five fields: parameters by name, and two functions of them, density and colour.

A field is a dictionary of tensors and nothing more; KINDS says how each kind makes them, and how
it answers. So a checkpoint is the dictionary, and two fields of a kind differ in numbers only.
Positions come as (N, 3) in the unit of the cameras and are brought to [−1, 1] by the box.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from core.nerf import encodings
from core.nerf.types import NerfSettings

if TYPE_CHECKING:
    from torch import Generator, Tensor

Params = dict[str, "Tensor"]
WAYS = 1  # frequencies of the direction
GRID = 96  # cells of the remembered densities along a side
DENSITY = {"tensor": 25.0, "voxel": 25.0, "hash": 5.0, "frequency": 1.0, "siren": 5.0}


@dataclass
class Field:
    """A radiance field. kind of types.FIELDS; params by name; bounds (2, 3): the box that is
    [−1, 1]³ inside; unbounded: outside the box is space too; remembered (G, G, G) or None: densities
    at the cells of a coarse grid, as they were a moment ago, indexed z y x; shown: how many
    frequencies or levels take part, None for all."""

    kind: str
    params: Params
    settings: NerfSettings
    bounds: np.ndarray
    near: float
    far: float
    unbounded: bool = False
    remembered: Any = None
    shown: float | None = None

    @property
    def device(self) -> Any:
        return next(iter(self.params.values())).device

    def inside(self, points: Tensor) -> Tensor:
        """Points (…, 3) of the world in the box's own coordinates, [−1, 1] within it."""
        return self.squeezed(self.in_box(points))

    def in_box(self, points: Tensor, *, directions: bool = False) -> Tensor:
        """Points (…, 3), or directions, in coordinates in which the box is [−1, 1]³."""
        import torch

        low, high = torch.as_tensor(self.bounds, dtype=points.dtype, device=points.device)
        return (
            points * (2 / (high - low)) if directions else (points - low) * (2 / (high - low)) - 1
        )

    def squeezed(self, x: Tensor) -> Tensor:
        """Points (…, 3) of in_box, all of space in [−1, 1]³ if there is any outside the box."""
        return encodings.contracted(x) if self.unbounded else x

    def outside(self, x: Tensor) -> Tensor:
        """The inverse of inside: points (N, 3) of the world."""
        import torch

        low, high = torch.as_tensor(self.bounds, dtype=x.dtype, device=x.device)
        return low + (encodings.spread(x) if self.unbounded else x).add(1) / 2 * (high - low)

    def edges(self, samples: int) -> Tensor:
        """(samples + 1,) distances that part a ray into steps: even ones, and when space goes on
        behind the box, the second half even in 1 / t."""
        import torch

        if not self.unbounded:
            return torch.linspace(self.near, self.far, samples + 1, device=self.device)
        through = self.near + float(np.linalg.norm(self.bounds[1] - self.bounds[0]))
        through, half = min(through, (self.near + self.far) / 2), samples // 2
        inner = torch.linspace(self.near, through, samples - half + 1, device=self.device)
        outer = torch.linspace(1 / through, 1 / self.far, half + 1, device=self.device)
        return torch.cat([inner, 1 / outer[1:]])

    def density(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """σ (N,) per unit of length at points (N, 3) of the world, and what colour needs of them."""
        return self.density_inside(self.inside(points))

    def density_inside(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The same at points x (N, 3) of the box's own coordinates."""
        raw, carried = KINDS[self.kind].density(self, x)
        sigma = self._dense(raw)
        return sigma if self.unbounded else sigma * (x.abs() <= 1).all(-1), carried

    def _dense(self, raw: Tensor) -> Tensor:
        """What a field says, any number, as a density per unit of length."""
        from torch.nn.functional import softplus

        size = float(np.mean(self.bounds[1] - self.bounds[0])) / 2
        return softplus(raw) * (DENSITY[self.kind] / size)

    def remember(self, seed: Generator | None = None) -> None:
        """Read the densities of a coarse grid: all of them where that is cheap (planes and lines
        need no more than products of their rows), else some cells by chance if there are any yet."""
        import torch

        with torch.no_grad():
            if grid := KINDS[self.kind].grid:
                self.remembered = self._dense(grid(self, GRID))
                return
            n, cells = GRID // 2, None
            if self.remembered is None or len(self.remembered) != n:
                self.remembered = torch.zeros((n, n, n), device=self.device)
            else:
                cells = torch.randint(n**3, (n**3 // 8,), generator=seed).to(self.device)
            places = torch.arange(n**3, device=self.device) if cells is None else cells
            z, rest = places // n**2, places % n**2
            x = torch.stack([rest % n, rest // n, z], 1).add(0.5) * (2 / n) - 1
            found = [
                self._dense(KINDS[self.kind].density(self, part)[0]) for part in x.split(65536)
            ]
            self.remembered.view(-1)[places] = torch.cat(found)

    def colour(self, carried: Tensor, directions: Tensor) -> Tensor:
        """(N, 3) in [0, 1] of what density carried on (N, ·), seen along directions (N, 3)."""
        import torch

        features = KINDS[self.kind].looks(self, carried)
        seen = encodings.sines(directions, WAYS)
        return torch.sigmoid(_network(self.params, "colour", torch.cat([features, seen], -1)))

    def groups(self) -> tuple[list[Tensor], list[Tensor]]:
        """Parameters that are looked up, and those of networks: they learn at different rates."""
        looked, networks = [], []
        for name, value in self.params.items():
            (networks if "." in name else looked).append(value)
        return looked, networks

    @property
    def numbers(self) -> int:
        return sum(value.numel() for value in self.params.values())


# ---------------------------------------------------------------- networks


def _layers(params: Params, name: str, sizes: tuple[int, ...], seed: Generator) -> None:
    """Linear layers name.0, name.1, … with He's initialisation."""
    import torch

    for k, (a, b) in enumerate(pairwise(sizes)):
        bound = math.sqrt(6 / a) if k < len(sizes) - 2 else math.sqrt(3 / a)
        params[f"{name}.{k}.weight"] = (torch.rand((b, a), generator=seed) * 2 - 1) * bound
        params[f"{name}.{k}.bias"] = torch.zeros(b)


def _network(params: Params, name: str, x: Tensor, activation: Callable | None = None) -> Tensor:
    import torch
    from torch.nn.functional import linear

    k = 0
    while f"{name}.{k}.weight" in params:
        if k:
            x = torch.relu(x) if activation is None else activation(x)
        x = linear(x, params[f"{name}.{k}.weight"], params[f"{name}.{k}.bias"])
        k += 1
    return x


SEEN = 3 + 6 * WAYS  # numbers of an encoded direction


# ---------------------------------------------------------------- kinds


@dataclass(frozen=True)
class Kind:
    """make(settings, seed) gives the parameters; density(field, x) gives raw density (N,) at x
    (N, 3) in [−1, 1] and what is carried on to looks(field, carried), the colour's features (N, F):
    most samples are empty, so a grid looks its colours up only where something is. rates: of
    looked-up parameters and of networks. grid(field, n), if that is cheap: the raw densities at the
    centres of n³ cells, indexed z y x."""

    make: Callable[[NerfSettings, Generator], Params]
    density: Callable[[Field, Tensor], tuple[Tensor, Tensor]]
    rates: tuple[float, float]
    looks: Callable[[Field, Tensor], Tensor] = lambda field, carried: carried
    grid: Callable[[Field, int], Tensor] | None = None


FIRST_RESOLUTION = 48  # of planes and lines: they grow while they learn


def _make_tensor(settings: NerfSettings, seed: Generator) -> Params:
    import torch

    n, density, colour = min(FIRST_RESOLUTION, settings.resolution), 8, 24
    params = {
        "density_planes": 0.1 * torch.randn((3, density, n, n), generator=seed),
        "density_lines": 0.1 * torch.randn((3, density, n, 1), generator=seed),
        "colour_planes": 0.1 * torch.randn((3, colour, n, n), generator=seed),
        "colour_lines": 0.1 * torch.randn((3, colour, n, 1), generator=seed),
    }
    _layers(params, "basis", (3 * colour, 15), seed)
    _layers(params, "colour", (15 + SEEN, 64, 3), seed)
    return params


def _density_tensor(field: Field, x: Tensor) -> tuple[Tensor, Tensor]:
    p = field.params
    dense = encodings.planes_and_lines(p["density_planes"], p["density_lines"], x)
    return dense.sum((0, 1)) * 10 - 6, x


def _grid_tensor(field: Field, n: int) -> Tensor:
    import torch
    from torch.nn.functional import grid_sample

    planes, lines = field.params["density_planes"], field.params["density_lines"]
    at = (torch.arange(n, device=field.device) + 0.5) * (2 / n) - 1
    v, u = torch.meshgrid(at, at, indexing="ij")
    flat = torch.stack([u, v], -1).expand(3, n, n, 2)
    xy, xz, yz = grid_sample(planes, flat, align_corners=True)  # (C, n, n) each
    along = torch.stack([torch.zeros_like(at), at], -1)[:, None].expand(3, n, 1, 2)
    z, y, x = grid_sample(lines, along, align_corners=True)[..., 0]  # (C, n) each
    dense = torch.einsum("cyx,cz->zyx", xy, z)
    dense += torch.einsum("czx,cy->zyx", xz, y)
    dense += torch.einsum("czy,cx->zyx", yz, x)
    return dense * 10 - 6


def _looks_tensor(field: Field, x: Tensor) -> Tensor:
    p = field.params
    looks = encodings.planes_and_lines(p["colour_planes"], p["colour_lines"], x)
    return _network(p, "basis", looks.flatten(0, 1).t())


def _make_voxel(settings: NerfSettings, seed: Generator) -> Params:
    import torch

    n = min(settings.resolution, 256)
    params = {
        "density_grid": torch.zeros((1, n, n, n)),
        "colour_grid": 0.01 * torch.randn((12, n, n, n), generator=seed),
    }
    _layers(params, "colour", (12 + SEEN, 64, 3), seed)
    return params


def _density_voxel(field: Field, x: Tensor) -> tuple[Tensor, Tensor]:
    return encodings.voxels(field.params["density_grid"], x)[:, 0] - 4, x


def _looks_voxel(field: Field, x: Tensor) -> Tensor:
    return encodings.voxels(field.params["colour_grid"], x)


LEVELS, TABLE, PER_LEVEL, COARSEST = 12, 2**17, 2, 16


def _make_hash(settings: NerfSettings, seed: Generator) -> Params:
    import torch

    params = {"tables": (torch.rand((LEVELS, TABLE, PER_LEVEL), generator=seed) * 2 - 1) * 1e-4}
    _layers(params, "density", (LEVELS * PER_LEVEL, 64, 16), seed)
    _layers(params, "colour", (15 + SEEN, 64, 64, 3), seed)
    return params


def _density_hash(field: Field, x: Tensor) -> tuple[Tensor, Tensor]:
    sizes = encodings.hash_sizes(LEVELS, COARSEST, max(2 * field.settings.resolution, COARSEST))
    found = encodings.hashed(field.params["tables"], sizes, x.clamp(-1, 1), field.shown)
    h = _network(field.params, "density", found)
    return h[:, 0] - 1, h[:, 1:]


WIDTH, DEPTH = 128, 4


def _make_frequency(settings: NerfSettings, seed: Generator) -> Params:
    params: Params = {}
    _layers(params, "density", (3 + 6 * settings.frequencies, *[WIDTH] * DEPTH, 17), seed)
    _layers(params, "colour", (16 + SEEN, 64, 3), seed)
    return params


def _density_frequency(field: Field, x: Tensor) -> tuple[Tensor, Tensor]:
    code = encodings.sines(x, field.settings.frequencies, field.shown)
    h = _network(field.params, "density", code)
    return h[:, 0] - 1, h[:, 1:]


OMEGA = 30.0  # SIREN's first frequency (Sitzmann et al. 2020)


def _make_siren(settings: NerfSettings, seed: Generator) -> Params:
    import torch

    params: Params = {}
    sizes = (3, *[WIDTH] * DEPTH, 17)
    for k, (a, b) in enumerate(pairwise(sizes)):
        bound = 1 / a if k == 0 else math.sqrt(6 / a) / OMEGA
        params[f"density.{k}.weight"] = (torch.rand((b, a), generator=seed) * 2 - 1) * bound
        params[f"density.{k}.bias"] = (torch.rand(b, generator=seed) * 2 - 1) * bound
    _layers(params, "colour", (16 + SEEN, 64, 3), seed)
    return params


def _density_siren(field: Field, x: Tensor) -> tuple[Tensor, Tensor]:
    h = _network(field.params, "density", x, lambda v: (OMEGA * v).sin())
    return 10 * h[:, 0] - 1, h[:, 1:]


KINDS = {
    "tensor": Kind(_make_tensor, _density_tensor, (3e-2, 3e-3), _looks_tensor, _grid_tensor),
    "voxel": Kind(_make_voxel, _density_voxel, (1e-1, 2e-3), _looks_voxel),
    "hash": Kind(_make_hash, _density_hash, (2e-2, 2e-3)),
    "frequency": Kind(_make_frequency, _density_frequency, (1e-3, 1e-3)),
    "siren": Kind(_make_siren, _density_siren, (1e-4, 1e-4)),
}


def cells(field: Field) -> int:
    """Cells along a side of planes or voxels; 0 where there are none."""
    for name in ("density_planes", "density_grid"):
        if name in field.params:
            return field.params[name].shape[-1]
    return 0


def roughness(field: Field) -> Tensor:
    """Mean squared difference of neighbouring cells of planes and lines, summed over them: total
    variation, as TensoRF (Chen et al. 2022) lowers it. Cells that few rays cross take after their
    neighbours then, where otherwise they would learn those rays by heart."""
    total = next(iter(field.params.values())).new_zeros(())
    for name, value in field.params.items():
        if name.endswith(("_planes", "_lines")):
            total = total + (value[:, :, 1:] - value[:, :, :-1]).square().mean()
            if value.shape[3] > 1:
                total = total + (value[..., 1:] - value[..., :-1]).square().mean()
    return total


def grown(field: Field, resolution: int) -> None:
    """Planes and lines of another resolution, read off the old ones: coarse to fine."""
    for name, old in field.params.items():
        if name.endswith(("_planes", "_lines")):
            size = (resolution, resolution if name.endswith("_planes") else 1)
            field.params[name] = resampled(old.detach(), size).requires_grad_()


def resampled(values: Tensor, size: Sequence[int]) -> Tensor:
    """Planes or lines (3, C, n, n or 1) on another number of cells."""
    from torch.nn.functional import interpolate

    return interpolate(values, tuple(size), mode="bilinear", align_corners=True).contiguous()


def new_field(
    settings: NerfSettings, bounds: np.ndarray, near: float, far: float,
    unbounded: bool = False, device: str = "cpu",
) -> Field:  # fmt: skip
    """An untrained field in the box bounds (2, 3)."""
    import torch

    seed = torch.Generator().manual_seed(settings.nerf_seed)
    params = KINDS[settings.field_kind].make(settings, seed)
    params = {name: value.to(device).requires_grad_() for name, value in params.items()}
    bounds = np.asarray(bounds, np.float64)
    return Field(settings.field_kind, params, settings, bounds, near, far, unbounded)
