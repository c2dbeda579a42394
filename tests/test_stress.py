"""Sweeps: the lesson 'which method is invariant to what' must come out of the figures."""

from collections.abc import Iterator

import numpy as np
import pytest

from core import matching
from core.matching.examples import make
from core.matching.stress import (
    MAX_SIDE_PX,
    SweepSettings,
    SweepSnapshot,
    amounts,
    stress,
    verdict,
)
from core.matching.types import GeometrySettings, MatchSettings
from core.types import InputError


def photo(side: int = 200) -> np.ndarray:
    import cv2

    return cv2.resize(make("street").image0[:, 80:560], (side, side), interpolation=cv2.INTER_AREA)


def snapshot(method: str, amount: float, precision: float, sweep: str = "rotate") -> SweepSnapshot:
    return SweepSnapshot(1, 1, 0.0, sweep, method, amount, precision, 0.5, precision, 1.0, 10)


def test_the_steps() -> None:
    turns = amounts(SweepSettings())
    assert turns[0] == 0 and turns[-1] == 360 and {45.0, 90.0} <= set(turns)
    assert (np.diff(turns) > 0).all()
    assert amounts(SweepSettings(sweep_steps=9)).tolist() == list(range(0, 361, 45))
    scales = amounts(SweepSettings(sweep="scale", sweep_steps=5))
    np.testing.assert_allclose(scales, [0.25, 0.5, 1, 2, 4])
    for kind in ("blur", "noise", "brighten"):
        assert len(amounts(SweepSettings(sweep=kind, sweep_steps=2))) == 2


def test_rotation_leaves_sift_and_orb_flat_and_template_falls() -> None:
    methods = ("sift", "orb", "template")
    # 45° apart; orb's eight-pixel-wide pyramid steps need a picture of some size.
    found = list(stress(photo(240), SweepSettings(sweep_steps=5), methods))
    assert [s.method for s in found[:3]] == list(methods)  # the curves grow together
    assert [s.step for s in found] == list(range(1, len(found) + 1))
    assert all(s.total == len(found) for s in found)
    curves = {m: np.array([s.precision for s in found if s.method == m]) for m in methods}
    at = np.array([s.amount for s in found if s.method == "sift"])
    for method in ("sift", "orb"):
        assert curves[method].min() > 0.8 * curves[method].max() > 0.5, method
    assert curves["template"][at == 0] > 0.9
    turned = (at >= 45) & (at <= 270)
    assert curves["template"][turned].max() < 0.3
    right = np.array([s.precision * s.matches for s in found if s.method == "template"])
    assert right[turned].max() < 0.05 * right[0]
    said = verdict(found)
    assert "flat" in said["sift"] and "flat" in said["orb"]
    assert "falls" in said["template"] and "45°" in said["template"]


def test_a_method_that_finds_nothing_scores_zero_and_the_sweep_goes_on() -> None:
    found = list(stress(np.full((40, 31, 3), 90, np.uint8), SweepSettings("blur", 2), ("sift",)))
    assert [s.amount for s in found] == [0, 8]
    for s in found:
        assert s.precision == s.recall == s.mma_3 == s.matches == 0
        assert s.corner_error_px == np.inf
    assert "no right match" in verdict(found)["sift"]


def test_stopping_early_and_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, sizes = [], []
    real = matching.match

    def counted(image0, image1, settings, geometry, **more):
        calls.append((settings.method, settings.ratio, geometry.geometry))
        sizes.append(image0.shape)
        return real(image0, image1, settings, geometry, **more)

    monkeypatch.setattr(matching, "match", counted)
    big = np.random.default_rng(0).integers(0, 255, (100, 960, 3), dtype=np.uint8)
    said: list[tuple[float, str]] = []
    steps = stress(
        big, SweepSettings("noise"), ("orb", "sift"), MatchSettings(ratio=0.7),
        GeometrySettings(geometry="fundamental"), progress=lambda f, /, desc="": said.append((f, desc)),
    )  # fmt: skip
    assert isinstance(steps, Iterator)
    next(steps)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert calls == [("orb", 0.7, "homography"), ("sift", 0.7, "homography")]
    assert sizes[0] == (50, MAX_SIDE_PX, 3)
    assert said[0] == (0.0, "ORB at 0") and 0 < said[1][0] < 1


def test_wrong_methods_are_told_in_words() -> None:
    for methods in ((), ("sift", "magic")):
        with pytest.raises(InputError, match="sift"):
            next(stress(photo(), SweepSettings(), methods))


def test_verdicts_name_the_measured_figures() -> None:
    flat = [snapshot("sift", a, p) for a, p in ((0, 0.9), (45, 0.8), (90, 0.85))]
    assert verdict(flat)["sift"] == (
        "SIFT is flat: its precision stays between 0.80 and 0.90 from 0° to 90°. "
        "It has at least 10 matches."
    )
    falls = [snapshot("template", a, p) for a, p in ((90, 0.0), (0, 1.0), (15, 0.9), (30, 0.5))]
    assert verdict(falls)["template"] == (
        "Template (NCC) falls: its precision is 1.00 at 0°, drops at 30° (0.50) and is lowest at "
        "90° (0.00). It has at least 10 matches."
    )
    both = [snapshot("orb", a, p, "scale") for a, p in ((0.25, 0.1), (1, 1.0), (2, 0.9), (4, 0.4))]
    assert "drops at 0.25× (0.10) and 4× (0.40)" in verdict(both)["orb"]
    assert verdict([]) == {}
