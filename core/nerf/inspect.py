"""The insides of a field: its octaves one by one, its densities in slices, where it was sampled.

A field that knows only its coarse levels renders a blurred scene: what the fine ones add is detail,
and noise where too few views agree. What counts as a level depends on the kind: a frequency of the
encoding, a level of the hash grid, or an octave of resolution of planes and voxels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from core.nerf import march
from core.nerf.fields import LEVELS, Field, cells
from core.nerf.training import batch_table
from core.nerf.types import Views

FEWEST = 8  # cells along a side of planes and voxels at their coarsest octave
PROBED = 4096  # rays of the training views whose samples are counted


def copy_of(field: Field) -> Field:
    """The field as it is now: training goes on with the other one."""
    params = {name: value.detach().clone() for name, value in field.params.items()}
    known = None if field.remembered is None else field.remembered.clone()
    return replace(field, params=params, remembered=known)


def levels_of(field: Field) -> int:
    """How many levels the field has that can be switched off; 0 if it has none (siren)."""
    if field.kind == "frequency":
        return field.settings.frequencies
    if field.kind == "hash":
        return LEVELS
    return max(0, (cells(field) // FEWEST).bit_length() - 1)


def coarse(field: Field, levels: int) -> Field:
    """The field with only its coarsest `levels` levels, of levels_of(field)."""
    from torch.nn.functional import interpolate

    if field.kind in ("frequency", "hash"):
        known = replace(field, shown=float(levels), remembered=None)
    else:
        off = max(0, levels_of(field) - levels)
        params = {}
        for name, value in field.params.items():
            if "." in name:  # a network
                params[name] = value
            elif name.endswith("_grid"):
                n = max(FEWEST, value.shape[-1] >> off)
                params[name] = interpolate(value.detach()[None], (n, n, n), mode="area")[0]
            else:
                n = max(FEWEST, value.shape[2] >> off)
                size = (n, n if name.endswith("_planes") else 1)
                params[name] = interpolate(value.detach(), size, mode="area")
        known = replace(field, params=params, remembered=None)
    if field.remembered is not None:
        known.remember()
    return known


@dataclass(frozen=True)
class Slice:
    """One cut through the box, rows and columns along the other two axes as in `axes`, the first
    row at the upper end. density (n, n) per unit of length; occupied (n, n) bool; spent (n, n):
    samples that rays of the training views took in the cells, of all cells along the cut's axis;
    extent: the box of the cut, (left, right, bottom, top) in the cameras' unit; at: its place."""

    density: np.ndarray
    occupied: np.ndarray
    spent: np.ndarray
    axes: str
    extent: tuple[float, float, float, float]
    at: float


def cut(field: Field, views: Views, axis: str = "z", share: float = 0.3, n: int = 160) -> Slice:
    """What lies in the plane that parts the box at `share` of its length along `axis`, x, y or z."""
    import torch

    k = "xyz".index(axis)
    across, down = (i for i in range(3) if i != k)
    low, high = field.bounds
    middle = (np.arange(n) + 0.5) / n
    points = np.empty((n, n, 3))
    points[..., k] = at = low[k] + share * (high - low)[k]
    points[..., across] = low[across] + middle * (high - low)[across]
    points[..., down] = (high[down] - middle * (high - low)[down])[:, None]
    x = torch.from_numpy(points.astype(np.float32)).to(field.device).view(-1, 3)
    with torch.no_grad():
        density = torch.cat([field.density(part)[0] for part in x.split(32768)])
        occupied = march.may_hold(field, x)
    dense, full = (a.cpu().numpy().reshape(n, n) for a in (density, occupied))
    counted = _spent(field, views, (down, across), n)
    left, right, bottom, top = (float(e[k]) for k in (across, down) for e in (low, high))
    names = "xyz"[across] + "xyz"[down]
    return Slice(dense, full, counted, names, (left, right, bottom, top), float(at))


def _spent(field: Field, views: Views, shown: tuple[int, int], n: int) -> np.ndarray:
    """(n, n) counts of samples inside the box, seen along the third axis."""
    import torch

    few = set(views.train[::8])
    some = replace(views, test=tuple(k for k in range(len(views.cameras)) if k not in few))
    origins, directions, _ = batch_table(some, str(field.device))
    seed = torch.Generator().manual_seed(0)
    chosen = torch.randint(len(origins), (PROBED,), generator=seed).to(origins.device)
    o, d = origins[chosen], directions[chosen]
    with torch.no_grad():
        edges = march.steps(field, o, d, field.settings.samples, None)
        t = (edges[:, 1:] + edges[:, :-1]) / 2
        points = (o[:, None] + t[..., None] * d[:, None]).view(-1, 3).cpu().numpy()
    low, high = field.bounds
    inside = ((points >= low) & (points < high)).all(1)
    place = ((points[inside] - low) / (high - low) * n).astype(int).clip(0, n - 1)
    counts = np.zeros((n, n), np.float32)
    np.add.at(counts, (n - 1 - place[:, shown[0]], place[:, shown[1]]), 1)
    return counts
