"""What may be a splat, and its numbers as people say them."""

import math
from dataclasses import replace

import numpy as np
import pytest

from core.splats import RenderSettings, Splats
from core.types import InputError


def some(n: int, coefficients: int = 4) -> Splats:
    rng = np.random.default_rng(coefficients)
    return Splats(
        *(rng.normal(size=(n, *rest)) for rest in ((3,), (3,), (4,), (), (coefficients, 3)))
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"means": np.zeros((0, 3))}, "isn't a single splat"),
        ({"means": np.zeros((4, 2))}, "means of shape"),
        ({"quats": np.zeros((4, 4))}, "Splat 0 .* length 0"),
        ({"sh": np.zeros((4, 5, 3))}, "not 5"),
        ({"sh": np.zeros((4, 0, 3))}, "not 0"),
        ({"sh": np.full((4, 1, 3), 1e7)}, "above 1,000,000"),
        ({"opacity_logits": np.array([0, 1, np.nan, 2])}, "Splat 2 .* NaN"),
        ({"log_scales": np.full((4, 3), 1e300)}, "Splat 0 .* infinity"),
    ],
)
def test_broken_splats_are_refused(change, said):
    with pytest.raises(InputError, match=said):
        replace(some(4), **change)


def test_splats_in_peoples_numbers():
    splats = Splats(
        np.zeros((1, 3)), np.full((1, 3), math.log(0.25)), np.array([[0.0, 3, 4, 0]]),
        np.array([math.log(3)]), np.zeros((1, 1, 3)),
    )  # fmt: skip
    assert splats.scales_m == pytest.approx(np.full((1, 3), 0.25))
    assert splats.opacities == pytest.approx([0.75])
    assert splats.unit_quats == pytest.approx(np.array([[0, 0.6, 0.8, 0]]))
    assert (splats.degree, some(2, 9).degree, len(splats)) == (0, 2, 1)


def test_settings_out_of_range():
    with pytest.raises(InputError, match=r"Background is 1\.5"):
        RenderSettings(background=(0, 1.5, 0))
    with pytest.raises(InputError, match="Colour degree is 4"):
        RenderSettings(sh_degree=4)
