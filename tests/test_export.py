"""What is taken away is whole: code that computes the same arrays, links, data files."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from core import figures, matching
from core.control import ControlSettings
from core.images import digest
from core.images import load as load_image
from core.matching import export
from core.matching.inspect import DECISIONS, decisions
from core.matching.pairs import PairSettings
from core.matching.run import Run, run, scored
from core.matching.types import GeometrySettings, MatchSettings
from core.recipe import Recipe, from_link, read_png
from demos.matching_panels import write_files

ROOT = Path(__file__).parents[1]
KINDS = (PairSettings, MatchSettings, GeometrySettings)
FEW = 300  # keypoints: enough for a model, quick to match

Setup = tuple[PairSettings, MatchSettings, GeometrySettings]


def texture(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Blobs of many sizes, RGB uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for sigma in (1.2, 2.5, 5):
        layer = cv2.GaussianBlur(rng.standard_normal(total.shape).astype(np.float32), (0, 0), sigma)
        total += layer / layer.std()
    return np.clip(128 + 35 * total, 0, 255).astype(np.uint8)


WIDE = texture(301, 228)
PHOTO0, PHOTO1 = WIDE[6:, 9:], WIDE[:-6, :-9]  # x1 = x0 + (9, 6)
LARGE = cv2.resize(texture(300, 200, 1), (2304, 1536), interpolation=cv2.INTER_CUBIC)
TRUTH = "# moved, by the äuthor\n1 0 9\n0 1 6\n0 0 1\n"
CORNERS = (0.1, 0.05, -0.08, 0.02, -0.03, -0.1, 0.06, -0.04)

# name → settings, photos, truth text
CASES: dict[str, tuple[Setup, tuple, str]] = {
    "example": ((PairSettings(), MatchSettings(), GeometrySettings()), (), ""),
    "example, all else": (
        (PairSettings(example="street", pair_seed=3),
         MatchSettings(max_keypoints=704, root_sift=False, mutual_check=True, max_side_px=512,
                       ratio=0.85, seed=5),
         GeometrySettings(geometry="essential", estimator="ransac", threshold_px=1.5)), (), "",
    ),
    "warp of the example photo": (
        (PairSettings("warp", corners=CORNERS, noise=0.03, blur_px=0.7, brightness=0.1,
                      contrast=0.8, pair_seed=4),
         MatchSettings(max_keypoints=FEW), GeometrySettings()), (), "",
    ),
    "warp of a large photo": (
        (PairSettings("warp", rotate_deg=33, scale=0.5, perspective=0.3, noise=0.02),
         MatchSettings("orb", max_keypoints=FEW), GeometrySettings(estimator="lmeds")),
        (LARGE,), "",
    ),
    "photos with truth": (
        (PairSettings("photos"), MatchSettings(max_keypoints=FEW, seed=1),
         GeometrySettings(geometry="affine")), (PHOTO0, PHOTO1), TRUTH,
    ),
    "orb and fundamental": (
        (PairSettings("photos"), MatchSettings("orb", max_keypoints=FEW, cross_check=False),
         GeometrySettings(geometry="fundamental", confidence=0.99, max_iterations=500)),
        (PHOTO0, PHOTO1), "",
    ),
    "turned": (
        (PairSettings("photos"), MatchSettings("sift-flann", max_keypoints=FEW, rotate_retry=True),
         GeometrySettings()), (PHOTO0, np.rot90(PHOTO1).copy()), "",
    ),
    "LSH": (
        (PairSettings("photos"), MatchSettings("orb-flann", max_keypoints=FEW, seed=9),
         GeometrySettings()), (PHOTO0, PHOTO1), "",
    ),
    "focal length": (
        (PairSettings("photos"), MatchSettings(max_keypoints=FEW),
         GeometrySettings(geometry="essential", focal_px=350.5)), (PHOTO0, PHOTO1), "",
    ),
    "cameras in the truth": (
        (PairSettings("photos"), MatchSettings(max_keypoints=FEW),
         GeometrySettings(geometry="essential")), (PHOTO0, PHOTO1),
        "K0: 350 0 146 0 350 111 0 0 1; K1: 340 0 146 0 340 111 0 0 1\n"
        "R: 1 0 0 0 1 0 0 0 1\nt: 1 0.6 0",
    ),
    "template": (
        (PairSettings("photos"), MatchSettings("template", max_keypoints=48),
         GeometrySettings(geometry="none")), (PHOTO0, PHOTO1), "",
    ),
    "nothing found": (
        (PairSettings("photos"), MatchSettings(max_keypoints=FEW), GeometrySettings()),
        (PHOTO0, texture(97, 64, 8)), "",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def made() -> dict[str, Run]:
    """Every case, run once."""
    return {name: run(*setup, *photos, truth_text=truth)
            for name, (setup, photos, truth) in CASES.items()}  # fmt: skip


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    assert set(a) == set(b)
    return all(
        a[k].dtype == b[k].dtype and np.array_equal(a[k], b[k], equal_nan=a[k].dtype.kind == "f")
        for k in a
    )


IN_TURN = """
import os, runpy, sys
for script in sys.argv[1:]:
    os.chdir(os.path.dirname(script))
    runpy.run_path(script, run_name="__main__")
"""


def said_by(scripts: list[Path]) -> list[str]:
    """The one line that each of these written scripts prints; fails if one of them fails.

    Two processes run half of them each, in their folders: the first two start from nothing."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error::ResourceWarning"}
    halves = scripts[::2], scripts[1::2]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", IN_TURN, *half], env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for half in halves
    ]  # fmt: skip
    said = {}
    for half, process in zip(halves, running, strict=True):
        told, _ = process.communicate(timeout=600)
        lines = told.splitlines()
        assert process.returncode == 0 and len(lines) == len(half), told
        said |= dict(zip(half, lines, strict=True))
    return [said[script] for script in scripts]


def written(found: Run, folder: Path) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = write_files(found, folder)
    assert len(paths) == len(set(paths)) and all(p.stat().st_size for p in paths)
    assert set(paths) == set(folder.iterdir()), "a file that nobody is told of"
    return {p.name: p for p in paths}


def load(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module")
def taken(made, tmp_path_factory) -> dict[str, dict[str, Path]]:
    """Every case's files, by name."""
    top = tmp_path_factory.mktemp("taken")
    return {name: written(found, top / name) for name, found in made.items()}


# ---------------------------------------------------------------- code


@pytest.fixture(scope="module")
def judged(made) -> dict[str, Run]:
    """Results that were selected or estimated anew, as the tab does it when a slider moves."""
    again = {}
    for name, source in (("selected", "photos with truth"), ("estimated", "example"),
                         ("both", "turned"), ("essential", "example, all else")):  # fmt: skip
        found = made[source]
        result = found.result
        if name in ("selected", "both"):
            result = matching.select(result, MatchSettings(ratio=0.65, cross_check=False))
        if name in ("estimated", "both", "essential"):
            kind = "affine" if name == "estimated" else "fundamental"
            if name == "essential":  # away from it and back: the cameras must not be lost
                result = matching.estimate(result, GeometrySettings(geometry="homography"))
                kind = "essential"
            new = GeometrySettings(geometry=kind, estimator="magsac", threshold_px=2.2)
            result = matching.estimate(result, new)
        assert not np.array_equal(result.inliers, found.result.inliers), name
        again[name] = scored(found.pair, result, found.truth_text)
    return again


def test_the_code_computes_the_same_arrays(made, judged, taken, tmp_path_factory):
    """The written script of every case, without the arrays it is to compute."""
    top = tmp_path_factory.mktemp("code")
    ready = made | judged
    for name, found in ready.items():
        folder = top / name
        if name in judged:
            written(found, folder)
        else:
            folder.mkdir()
            for path in taken[name].values():
                (folder / path.name).write_bytes(path.read_bytes())
        (folder / "matching.npz").unlink()
    lines = said_by([top / name / "matching.py" for name in ready])
    for (name, found), said in zip(ready.items(), lines, strict=True):
        result = found.result
        assert same(load(top / name / "matching.npz"), export.arrays(result)), name
        counts = f"{len(result.matches)} matches, {result.inliers.sum()} agree"
        assert said.startswith(counts), f"{name}: {said}"


def test_the_code_names_what_it_expects(made):
    code = made["photos with truth"].result.recipe.code()
    assert "image0.png" in code and "image1.png" in code and "truth.txt" in code
    own, example = (made[f"warp of {what}"].result.recipe.code()
                    for what in ("a large photo", "the example photo"))  # fmt: skip
    assert 'load("image0.png")' in own and "image1.png" not in own
    assert "image0.png" not in example and "corners=(0.1," in example


# ---------------------------------------------------------------- link and figure


@pytest.mark.parametrize("name", CASES)
def test_the_figure_restores_the_settings_and_they_the_arrays(name, made, taken):
    setup, photos, truth = CASES[name]
    recipe = read_png(taken[name]["figure.png"])
    restored = from_link(recipe["link"], KINDS)
    assert restored == setup
    beside = ("image0", "image1")[: len(photos)]
    assert recipe["inputs"] == {k: digest(load_image(taken[name][f"{k}.png"])) for k in beside}
    source, settings, geometry = restored
    again = run(source, settings, geometry, *photos, truth_text=truth)  # type: ignore[arg-type]
    assert same(export.arrays(again.result), export.arrays(made[name].result))
    assert again.scores.keys() == made[name].scores.keys()
    assert np.array_equal(*(list(r.scores.values()) for r in (again, made[name])), equal_nan=True)


def test_a_judged_result_carries_its_new_settings(judged):
    for found in judged.values():
        result = found.result
        restored = from_link(result.recipe.link(), KINDS)
        assert restored[1:] == (result.settings, result.geometry)
        assert restored[0] == next(
            s for s in result.recipe.settings if isinstance(s, PairSettings)
        )  # fmt: skip


def test_a_prompt_with_dollars_is_no_formula(tmp_path: Path):
    words = r"a ball for $\frac{$ or 5$"
    recipe = Recipe("controlnet", "", (ControlSettings(prompt=words),))
    image = np.zeros((20, 30, 3), np.uint8)
    files = figures.save(
        figures.picture_figure([(words, image)], words, recipe), tmp_path, "figure", recipe
    )
    assert [file.suffix for file in files] == [".png", ".svg", ".pdf"]


# ---------------------------------------------------------------- data


@pytest.mark.parametrize("name", CASES)
def test_the_data_files_say_the_same(name, made, taken):
    result, files = made[name].result, taken[name]
    arrays = load(files["matching.npz"])
    assert same(arrays, export.arrays(result))
    assert all(a.dtype != object for a in arrays.values())

    with files["matches.csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(result.candidates.pairs)
    assert [r["decision"] for r in rows] == [DECISIONS[d] for d in decisions(result)]
    xy = np.array([[float(r[k]) for k in ("x0", "y0", "x1", "y1")] for r in rows]).reshape(-1, 4)
    i, j = result.candidates.pairs.T
    assert np.allclose(xy, np.hstack([result.keypoints0[i], result.keypoints1[j]]), atol=0.01)

    summary = json.loads(files["matching.json"].read_text(), parse_constant=pytest.fail)
    assert summary["counts"]["matches"] == len(result.matches) == len(arrays["matches"])
    assert summary["counts"]["inliers"] == result.inliers.sum()
    assert (summary["model"] is None) == (result.model is None)
    if result.model is not None:
        assert np.array_equal(summary["model"], result.model)
    assert (summary["R"] is None) == (result.R is None)


@pytest.mark.parametrize("name", CASES)
def test_colmap_reads_the_texts(name, made, taken):
    """The grammar of COLMAP's feature_importer and matches_importer --match_type raw."""
    result, files = made[name].result, taken[name]
    both = ((result.features0, result.size0), (result.features1, result.size1))
    for k, (features, size) in enumerate(both):
        head, *lines = files[f"image{k}.png.txt"].read_text().splitlines()
        assert head == f"{len(features)} 128" and len(lines) == len(features)
        table = np.array([line.split() for line in lines], float).reshape(-1, 4 + 128)
        assert np.allclose(table[:, :2], features.xy, atol=1e-3)
        assert (table[:, :2] >= 0).all() and (table[:, :2] <= size).all()
        assert (table[:, 2] > 0).all()
        bins = table[:, 4:]
        assert (bins == bins.astype(np.uint8)).all()
        if "sift" in result.settings.method:
            assert np.allclose(np.linalg.norm(bins, axis=1), 512, atol=40)
    names, *lines = files["matches.txt"].read_text().splitlines()
    assert names == "image0.png image1.png" and lines[-1] == ""
    assert np.array_equal(np.array([line.split() for line in lines[:-1]], int).reshape(-1, 2),
                          result.matches)  # fmt: skip
    assert len(np.unique(result.matches[:, 0])) == len(result.matches)
    for image in ("image0.png", "image1.png"):
        assert files[image].exists(), "the texts name pictures that lie beside them"
