"""The tab's one call: notes that follow the geometry, and comparisons that go on."""

import numpy as np

from core.matching import estimate
from core.matching.pairs import PairSettings
from core.matching.run import COMPARE_HELP, NOT_FLAT, compare, run, scored
from core.matching.types import GeometrySettings, MatchSettings

FEW = MatchSettings(max_keypoints=300)


def test_a_homography_on_a_deep_scene_is_remarked_until_the_geometry_changes():
    street = PairSettings(example="street")
    flat = run(street, FEW, GeometrySettings())
    assert NOT_FLAT in flat.result.notes
    judged = estimate(flat.result, GeometrySettings(geometry="fundamental"))
    assert NOT_FLAT not in scored(flat.pair, judged).result.notes
    again = scored(flat.pair, estimate(judged, GeometrySettings()))
    assert again.result.notes.count(NOT_FLAT) == 1
    assert NOT_FLAT not in run(PairSettings(), FEW, GeometrySettings()).result.notes


def test_compare_streams_each_method_and_says_which_could_not_run(monkeypatch, tmp_path):
    monkeypatch.setenv("SIGHTLINE_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    methods = ("sift", "efficientloftr", "orb")
    found = list(compare(PairSettings(), methods, FEW, GeometrySettings()))
    assert [c.step for c in found] == [1, 2, 3]
    assert "did not run" in found[1].name and np.isnan(found[1].scores["matches"])
    for done in (found[0], found[2]):
        assert set(done.scores) == set(COMPARE_HELP)
        assert done.scores["precision"] > 0.5 and done.picture.dtype == np.uint8
