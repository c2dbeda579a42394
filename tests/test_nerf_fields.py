"""Truths about light along a ray, and about the ways a position is written down."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import pytest

from core.cameras import look_at
from core.nerf import FIELDS, Field, NerfSettings, load, new_field, ray, render, save
from core.nerf import encodings as enc
from core.nerf.encodings import contracted, spread
from core.nerf.fields import grown
from core.nerf.march import march
from core.nerf.volume import distortion, weights
from core.types import InputError

torch = pytest.importorskip("torch")

BOX = np.array([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])
CAMERA = look_at((0.3, -3.0, 0.4), (0.0, 0.0, 0.0), 7, 5, 40)


def small(kind: str = "tensor", **settings) -> Field:
    chosen = NerfSettings(field_kind=kind, resolution=16, samples=32, **settings)
    return new_field(chosen, BOX, 1.0, 5.0)


def slab(sigma: float) -> Field:
    """A field whose density is sigma everywhere in the box."""
    field = small("voxel")
    with torch.no_grad():
        field.params["density_grid"].fill_(math.log(math.expm1(sigma / 25)) + 4)
    return field


def test_two_samples_by_hand():
    # alpha = 1 - e^-(ln 2) = 1/2, then 1 - e^-(2 ln 2) = 3/4 of the half that is left.
    w, reach, alpha = weights(torch.tensor([[math.log(2.0), 1.0]]),
                              torch.tensor([[1.0, 2 * math.log(2.0)]]))  # fmt: skip
    torch.testing.assert_close(alpha, torch.tensor([[0.5, 0.75]]))
    torch.testing.assert_close(reach, torch.tensor([[1.0, 0.5]]))
    torch.testing.assert_close(w, torch.tensor([[0.5, 0.375]]))


def test_weights_sum_to_opacity():
    sigma = torch.rand((5, 33), generator=torch.Generator().manual_seed(1)) * 4
    w, _, alpha = weights(sigma, torch.full((33,), 0.1))
    torch.testing.assert_close(w.sum(1), 1 - (1 - alpha).prod(1))


@pytest.mark.parametrize("sigma", [0.2, 1.5])
def test_slab_matches_its_closed_form(sigma: float):
    # Along y the ray is in the box from 2 to 4: opacity is 1 - e^(-2 sigma) whatever the steps.
    field = slab(sigma)
    seen = march(field, torch.tensor([[0.1, -3.0, 0.2]]), torch.tensor([[0.0, 1.0, 0.0]]), 64)
    assert float(seen.opacity.detach()) == pytest.approx(1 - math.exp(-2 * sigma), rel=1e-4)


def test_ray_agrees_with_the_picture():
    field = slab(0.7)
    seen, along = render(field, CAMERA), ray(field, CAMERA, (3.5, 2.5))
    assert along.weight.sum() == pytest.approx(along.opacity)
    assert seen.opacity is not None
    assert along.opacity == pytest.approx(float(seen.opacity[2, 3]), abs=1e-4)
    rgb = along.weight @ along.colour + 1 - along.opacity
    assert np.abs(rgb * 255 - seen.rgb[2, 3]).max() < 2
    assert along.t[0] < along.depth < along.t[-1] and along.spread > 0


def test_distortion_equals_the_double_sum():
    seed = torch.Generator().manual_seed(2)
    w, t = torch.rand((3, 9), generator=seed), torch.rand((3, 9), generator=seed).sort(1).values
    delta = torch.rand(9, generator=seed)
    apart = (t[:, :, None] - t[:, None]).abs()
    double = (w[:, :, None] * w[:, None] * apart).sum((1, 2)) + (w**2 * delta).sum(1) / 3
    torch.testing.assert_close(distortion(w, t, delta), double.mean())


def test_contraction_maps_all_space_into_the_cube():
    x = torch.tensor([[0.5, -1.0, 1.0], [1.001, 0.0, -0.999], [1e9, -1e9, 3.0]])
    y = contracted(x)
    assert y.abs().max() <= 1
    torch.testing.assert_close(y[0], x[0] / 2)
    assert (y[1] - torch.tensor([0.5005, 0.0, -0.4995])).abs().max() < 1e-4
    near = torch.randn((200, 3), generator=torch.Generator().manual_seed(3)) * 3
    assert ((contracted(near + 1e-3) - contracted(near)).abs() <= 6e-4).all()
    torch.testing.assert_close(spread(contracted(near)), near, rtol=1e-3, atol=1e-3)


def test_hash_level_without_collisions_is_trilinear():
    size, seed = 4, torch.Generator().manual_seed(4)
    table = torch.rand((1, 128, 2), generator=seed)  # 5³ corners fit
    x = torch.rand((50, 3), generator=seed) * 2 - 1
    grid = table[0, :125].t().reshape(2, 5, 5, 5)
    torch.testing.assert_close(enc.hashed(table, (size,), x), enc.voxels(grid, x))


def test_hash_table_smaller_than_its_corners_still_answers():
    table = torch.rand((1, 16, 2), requires_grad=True)
    x = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0], [0.3, 0.2, -0.7]])
    enc.hashed(table, (50,), x).sum().backward()
    assert table.grad is not None and float(table.grad.sum()) == pytest.approx(6, abs=1e-4)


def test_sines():
    out = enc.sines(torch.tensor([[0.5]]), 2)
    torch.testing.assert_close(out, torch.tensor([[0.5, 1.0, 0.0, 0.0, -1.0]]), atol=1e-6, rtol=0)
    assert enc.sines(torch.zeros((4, 3)), 0).shape == (4, 3)
    hidden = enc.sines(torch.tensor([[0.3]]), 4, shown=0)
    assert hidden[0, 1:].abs().max() == 0


def test_steps_part_the_whole_ray():
    for far_too in (False, True):
        field = new_field(NerfSettings(), BOX, 0.5, 60.0, far_too)
        for samples in (8, 33):
            edges = field.edges(samples)
            assert len(edges) == samples + 1
            assert all(a < b for a, b in pairwise(edges.tolist()))
            assert float(edges[0]) == 0.5 and float(edges[-1]) == pytest.approx(60)


@pytest.mark.parametrize("kind", list(FIELDS))
def test_checkpoint_renders_the_same_bits(tmp_path, kind: str):
    field = small(kind)
    seed = torch.Generator().manual_seed(5)
    field.remembered = torch.rand((8, 8, 8), generator=seed)
    save(field, tmp_path / "f.safetensors")
    again = load(tmp_path / "f.safetensors", "cpu")
    one, other = render(field, CAMERA), render(again, CAMERA)
    assert (one.rgb == other.rgb).all()
    np.testing.assert_array_equal(one.opacity, other.opacity)
    np.testing.assert_array_equal(one.depth_m, other.depth_m)
    assert again.settings == field.settings


def test_a_file_that_is_no_checkpoint_is_named(tmp_path):
    from safetensors.torch import save_file

    (tmp_path / "noise").write_bytes(b"not a checkpoint" * 9)
    save_file({"a": torch.zeros(2)}, tmp_path / "other")
    for name in ("noise", "other", "absent"):
        with pytest.raises(InputError):
            load(tmp_path / name)


def test_a_checkpoint_of_other_shapes_is_named(tmp_path):
    from safetensors import safe_open
    from safetensors.torch import save_file

    save(small(), tmp_path / "whole")
    with safe_open(str(tmp_path / "whole"), "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads(file.metadata()["field"])

    def refused(tensors: dict, **other) -> None:
        metadata = {"format": "sightline-nerf-1", "field": json.dumps(about | other)}
        save_file(tensors, tmp_path / "spoilt", metadata=metadata)
        with pytest.raises(InputError, match="can't be read"):
            load(tmp_path / "spoilt", "cpu")

    for name, other in {
        "colour.0.weight": torch.zeros((64, 9)),
        "density_lines": torch.zeros((3, 8, 12, 1)),
        "density_planes": torch.zeros((3, 8, 16, 16), dtype=torch.int32),
        "remembered": torch.zeros((4, 5, 6)),
    }.items():
        refused({**tensors, name: other})
    large = {n: v if "." in n else v.repeat_interleave(2, 2) for n, v in tensors.items()}
    large |= {n: v.repeat_interleave(2, 3) for n, v in large.items() if n.endswith("_planes")}
    refused(large)  # planes finer than the settings say
    for other in ({"bounds": [[10**400] * 3, [1] * 3]}, {"near": 7.0}, {"shown": "all"}):
        refused(tensors, **other)


def test_planes_that_have_grown_are_read_again(tmp_path):
    field = new_field(NerfSettings(resolution=64), BOX, 1.0, 5.0)
    grown(field, 64)
    save(field, tmp_path / "f.safetensors")
    again = load(tmp_path / "f.safetensors", "cpu")
    assert {n: v.shape for n, v in again.params.items()} == {
        n: v.shape for n, v in field.params.items()
    }
