"""What is taken away of a stereo pair is whole: code that computes the same disparities, links,
figures that restore every setting, and data files that other programs open."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from core.images import digest
from core.images import load as load_image
from core.recipe import Recipe, from_link, read_png
from core.stereo.geometry import depth
from core.stereo.pairs import RigSettings, SourceSettings
from core.stereo.prepare import PrepareSettings, fixed
from core.stereo.rigfile import read_rig, write_rig
from core.stereo.run import Given, Run, run
from core.stereo.truth import load_truth, write_pfm
from core.stereo.types import Calibration, StereoSettings, Truth
from core.types import METRES, Rig, Settings
from demos.stereo import KINDS
from demos.stereo_panels import write_files
from tests.test_export import said_by

BY = 9  # px that the own pair is shifted
Setup = tuple[SourceSettings, PrepareSettings, RigSettings, StereoSettings]


def texture(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Blobs of many sizes, RGB uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for sigma in (1.2, 2.5, 5):
        layer = cv2.GaussianBlur(rng.standard_normal(total.shape).astype(np.float32), (0, 0), sigma)
        total += layer / layer.std()
    return np.clip(128 + 35 * total, 0, 255).astype(np.uint8)


WIDE = texture(201 + BY, 147)
LEFT, RIGHT = WIDE[:, :-BY].copy(), WIDE[:, BY:].copy()
HEIGHT, WIDTH = LEFT.shape[:2]
TRUTH = Truth(np.full((HEIGHT, WIDTH), BY, np.float32))
K = np.array([[260.5, 0, WIDTH / 2 + 1 / 3], [0, 259.5, HEIGHT / 2], [0, 0, 1]])
CAMERAS = Calibration(
    K0=K, K1=K + np.array([[0, 0, 2], [0, 0, -1], [0, 0, 0]]),
    distortion0=np.array([-0.03, 0.01, 1e-4, 0, 0]), distortion1=np.zeros(5),
    R=cv2.Rodrigues(np.array([0.004, 0.01, -0.006]))[0], t=np.array([-60.1, 0.7, 1 / 3]),
    size=(WIDTH, HEIGHT), unit="mm",
)  # fmt: skip
DOTS = SourceSettings(
    "dots", dots_shape="letter", dots_disparity_px=13, dots_noise=0.1, pair_seed=5
)
EXAMPLE = SourceSettings(example="gallery", baseline_scale=0.75, grain=0.1, noise=0.02, pair_seed=3)
SPOILED, SWAPPED = SourceSettings(spoil="rotated"), dataclasses.replace(EXAMPLE, spoil="swapped")
OWN, BOTH = SourceSettings("own"), SourceSettings("own", side_by_side=True)
RIG = RigSettings(300.25, 6.5, "cm", 99.5, 70.5, 2.5)
QUICK = StereoSettings("sgbm", max_disparity_px=32)
NOTHING = StereoSettings("refined", max_disparity_px=32, uniqueness=50, check_px=0, fill=False)


def setup(
    source: SourceSettings = SourceSettings(), repair: PrepareSettings = PrepareSettings(),
    rig: RigSettings = RigSettings(), settings: StereoSettings = QUICK,
) -> Setup:  # fmt: skip
    return source, repair, rig, settings


# name → settings, and the person's own data
CASES: dict[str, tuple[Setup, Given]] = {
    "example": (setup(settings=StereoSettings()), Given()),
    "example, spoiled": (setup(SPOILED), Given()),
    "spoiled and fixed": (setup(SPOILED, PrepareSettings(rectify=True)), Given()),
    "swapped and put right": (setup(SWAPPED, PrepareSettings(swap=True)), Given()),
    "random dots": (
        setup(DOTS, settings=StereoSettings("block", 0, 24, window_px=7, window_cost="census",
                                            fill=False)), Given(),
    ),
    "own, with rig numbers": (setup(OWN, rig=RIG), Given(LEFT, RIGHT, truth=TRUTH)),
    "own, all else": (
        setup(OWN, PrepareSettings(swap=True, equalise=True), RIG,
              StereoSettings("refined", -40, 8, small_step=0.5, big_step=2, uniqueness=3,
                             check_px=2, max_side_px=160)), Given(LEFT, RIGHT),
    ),
    "own, with a rig file": (setup(OWN), Given(LEFT, RIGHT, Rig(300, 0.1, 99, 71, 0, "ft", 299))),
    "own, calibrated": (setup(OWN), Given(LEFT, RIGHT, CAMERAS, TRUTH)),
    "own, rectified by guess": (
        setup(OWN, PrepareSettings(rectify=True)), Given(LEFT, np.roll(RIGHT, 3, axis=0)),
    ),
    "side by side": (setup(BOTH), Given(np.hstack([LEFT, RIGHT]))),
    "nothing found": (setup(OWN, rig=RIG, settings=NOTHING), Given(LEFT, texture(WIDTH, HEIGHT, 8))),
}  # fmt: skip


@pytest.fixture(scope="module")
def made() -> dict[str, Run]:
    """Every case, run once."""
    return {name: run(*settings, given) for name, (settings, given) in CASES.items()}


def written(found: Run, folder: Path) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = write_files(found, folder)
    assert len(paths) == len({p.name for p in paths}) and all(p.stat().st_size for p in paths)
    assert set(paths) == set(folder.iterdir()), "a file that nobody is told of"
    return {p.name: p for p in paths}


@pytest.fixture(scope="module")
def taken(made, tmp_path_factory) -> dict[str, dict[str, Path]]:
    """Every case's files, by name."""
    top = tmp_path_factory.mktemp("taken")
    return {name: written(found, top / name) for name, found in made.items()}


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)


# ---------------------------------------------------------------- code


def test_the_fixed_case_is_what_the_button_makes_of_the_spoiled_one(made):
    check = made["example, spoiled"].check
    (finding,) = (f for f in check.findings if f.fix == "rectify")
    repair, settings = fixed(finding, PrepareSettings(), QUICK, check)
    assert setup(SPOILED, repair, settings=settings) == CASES["spoiled and fixed"][0]
    assert not same(made["example, spoiled"].result.disparity,
                    made["spoiled and fixed"].result.disparity)  # fmt: skip


def test_the_code_computes_the_same_disparities(made, taken, tmp_path_factory):
    """Every written script, beside nothing but the files it names."""
    top = tmp_path_factory.mktemp("code")
    for name in made:
        (top / name).mkdir()
        needed = ("stereo.py", "left.png", "right.png", "rig.json", "rig.yml")
        for path in (taken[name][n] for n in needed if n in taken[name]):
            (top / name / path.name).write_bytes(path.read_bytes())
    lines = said_by([top / name / "stereo.py" for name in made])
    for (name, found), said in zip(made.items(), lines, strict=True):
        with np.load(top / name / "stereo.npz", allow_pickle=False) as arrays:
            assert same(arrays["disparity"], found.result.disparity), name
            assert same(arrays["confidence"], found.result.confidence), name
        known = f"{np.isfinite(found.result.disparity).mean():.1%} of the pixels"
        assert said.startswith(known), f"{name}: {said}"


def test_the_code_names_what_it_expects(made):
    code = {name: found.result.recipe.code() for name, found in made.items()}
    assert 'left=load("left.png"), right=load("right.png")' in code["own, with rig numbers"]
    assert 'rig=read_rig("rig.yml")' in code["own, calibrated"]
    assert 'rig=read_rig("rig.json")' in code["own, with a rig file"]
    assert "right.png" not in code["side by side"] and "left.png" in code["side by side"]
    for name in ("example", "random dots", "spoiled and fixed"):
        assert ".png" not in code[name] and "given = Given()" in code[name]
    for text in code.values():
        compile(text, "stereo.py", "exec")


# ---------------------------------------------------------------- link and figure

FIELDS = [(kind, f) for kind in KINDS for f in dataclasses.fields(kind)]


def other_value(f: dataclasses.Field, rng: np.random.Generator) -> Any:
    """A valid value of the field, drawn at random, that isn't its default."""
    about = f.metadata
    if about["choices"] is not None:
        return str(rng.choice([key for key in about["choices"] if key != f.default]))
    if isinstance(f.default, bool):
        return not f.default
    low, high = about["minimum"], about["maximum"]
    if isinstance(f.default, int):
        drawn = int(rng.integers(int(low), int(high) + 1))
        return drawn if drawn != f.default else int(low if f.default != low else high)
    return float(rng.uniform(low, high))


def through_a_figure(recipe: Recipe, path: Path) -> str:
    """The link inside a PNG that carries the recipe as `figures` writes it."""
    from core.figures import write_png

    return read_png(write_png(LEFT[:9, :7], path, recipe))["link"]


@pytest.mark.parametrize("kind,f", FIELDS, ids=[f"{k.__name__}.{f.name}" for k, f in FIELDS])
def test_link_and_figure_restore_every_field(kind: type[Settings], f, tmp_path):
    rng = np.random.default_rng(sum(f.name.encode()))
    for _ in range(3):
        value = other_value(f, rng)
        assert value != f.default
        settings = tuple(k(**{f.name: value}) if k is kind else k() for k in KINDS)
        recipe = Recipe("stereo", "{" + kind.__name__ + "}", settings)
        link = recipe.link()
        assert link.startswith("?tab=stereo&") and f.name in link
        for text in (link, through_a_figure(recipe, tmp_path / "figure.png")):
            restored = from_link(text, KINDS)
            assert restored == settings
            (its,) = (s for s in restored if isinstance(s, kind))
            assert getattr(its, f.name) == value and type(getattr(its, f.name)) is type(f.default)
        about = (recipe.caption(), recipe.code())
        assert f.metadata["label"] in about[0] and f"{f.name}={value!r}" in about[1]


def test_link_and_figure_restore_all_fields_at_once(tmp_path):
    rng = np.random.default_rng(4)
    settings = tuple(
        kind(**{f.name: other_value(f, rng) for f in dataclasses.fields(kind)}) for kind in KINDS
    )
    recipe = Recipe("stereo", "", settings)
    assert from_link(recipe.link(), KINDS) == settings
    assert from_link(through_a_figure(recipe, tmp_path / "figure.png"), KINDS) == settings
    assert len(recipe.changed()) == len(FIELDS)


@pytest.mark.parametrize("name", CASES)
def test_the_figure_restores_the_settings_of_a_run(name, made, taken):
    settings, given = CASES[name]
    recipe = read_png(taken[name]["figure.png"])
    assert from_link(recipe["link"], KINDS) == settings
    own = ("left", "right") if settings[0].source == "own" else ()
    beside = own[:1] if settings[0].side_by_side else own
    files = taken[name]
    assert recipe["inputs"] == {k: digest(load_image(files[f"{k}.png"])) for k in beside}
    for key in beside:
        assert np.array_equal(load_image(files[f"{key}.png"]), getattr(given, key))


# ---------------------------------------------------------------- files

ALWAYS = {
    "figure.png", "figure.svg", "figure.pdf", "disparity.png", "disparity.npy", "disparity.pfm",
    "matched.npy", "confidence.npy", "confidence.png", "occluded.png", "anaglyph.png",
    "autostereogram.png", "stereo.json", "left.png", "right.png", "stereo.py",
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_file_is_there_and_opens(name, made, taken):
    found, files = made[name], taken[name]
    expected, rig = set(ALWAYS), found.pair.rig
    if rig is not None:
        expected |= {"rig.json", f"depth_{rig.unit}.npy"}
        if found.depth is not None and np.isfinite(found.depth).any():
            expected |= {"cloud.ply", "cloud.glb"}
    if isinstance(found.given.rig, Calibration):
        expected.add("rig.yml")
    assert set(files) == expected

    d = found.result.disparity
    shape = d.shape
    arrays = {p.stem: np.load(p, allow_pickle=False) for p in files.values() if p.suffix == ".npy"}
    assert same(arrays["disparity"], d) and same(arrays["matched"], found.result.matched)
    assert same(arrays["confidence"], found.result.confidence)
    if found.depth is not None and rig is not None:
        assert same(arrays[f"depth_{rig.unit}"], found.depth)

    sixteen = cv2.imread(str(files["disparity.png"]), cv2.IMREAD_UNCHANGED)
    assert sixteen is not None and sixteen.dtype == np.uint16 and sixteen.shape == shape
    with np.errstate(invalid="ignore"):
        kept = np.isfinite(d) & (d >= 0)
    assert (sixteen[~kept] == 0).all(), "0 is unknown; the format knows no negative ones"
    assert np.allclose(sixteen[kept] / 256, d[kept], atol=0.5 / 256 + 1 / 256 * (d[kept] == 0))
    if np.isfinite(d).any():
        assert same(load_truth(files["disparity.pfm"]).disparity, d)
    pfm = cv2.imread(str(files["disparity.pfm"]), cv2.IMREAD_UNCHANGED)
    assert pfm is not None and np.array_equal(pfm[np.isfinite(d)], d[np.isfinite(d)])

    for picture in (p for p in files.values() if p.suffix == ".png"):
        with Image.open(picture) as image:
            image.load()
            if picture.stem in ("confidence", "occluded"):
                assert image.mode == "L" and image.size == shape[::-1]
    occluded = cv2.imread(str(files["occluded.png"]), cv2.IMREAD_UNCHANGED)
    assert occluded is not None and np.array_equal(occluded == 255, found.result.occluded)

    summary = json.loads(files["stereo.json"].read_text(), parse_constant=pytest.fail)
    assert summary["size_px"] == [shape[1], shape[0]]
    assert summary["density"] == pytest.approx(np.isfinite(d).mean())
    assert from_link(summary["recipe"]["link"], KINDS) == CASES[name][0]
    assert set(summary["files"]) <= set(files)


@pytest.mark.parametrize("name", ["example", "own, with rig numbers", "own, calibrated"])
def test_the_cloud_opens_in_metres(name, made, taken):
    import trimesh

    found, files = made[name], taken[name]
    rig = found.pair.rig
    assert rig is not None and found.depth is not None
    middle = float(np.nanmedian(found.depth)) * METRES[rig.unit]
    ply = trimesh.load(files["cloud.ply"])
    assert isinstance(ply, trimesh.PointCloud) and len(ply.vertices) > 0.3 * found.depth.size
    assert np.median(ply.vertices[:, 2]) == pytest.approx(middle, rel=0.1)
    assert len(ply.colors) == len(ply.vertices)
    glb = trimesh.load_scene(files["cloud.glb"])
    (cloud,) = glb.geometry.values()
    points: Any = cloud
    assert np.median(-points.vertices[:, 2]) == pytest.approx(middle, rel=0.1), "z backwards"


@pytest.mark.parametrize("name", ["example", "own, with rig numbers", "own, calibrated"])
def test_the_rig_files_say_what_was_used(name, made, taken):
    found, files = made[name], taken[name]
    rig = read_rig(files["rig.json"])
    assert rig == found.pair.rig and isinstance(rig, Rig)
    d = np.load(files["disparity.npy"])
    assert same(depth(d, rig), np.load(files[f"depth_{rig.unit}.npy"]))
    if name == "own, calibrated":
        back = read_rig(files["rig.yml"])
        assert isinstance(back, Calibration) and back.size == CAMERAS.size
        for key in ("K0", "K1", "R", "t", "distortion0"):
            assert np.array_equal(getattr(back, key), getattr(CAMERAS, key))


@pytest.mark.parametrize("name", ["example", "random dots", "nothing found"])
def test_the_figure_has_its_caption(name, made, taken):
    files, recipe = taken[name], made[name].result.recipe
    svg = files["figure.svg"].read_text()
    for part in recipe.caption().split(" · "):
        assert part.split(",")[0].replace("&", "&amp;") in svg, part
    assert "nan" not in svg.partition("<defs")[2][:2000]
    assert files["figure.pdf"].read_bytes().startswith(b"%PDF")
    with Image.open(files["figure.png"]) as image:
        assert image.width == 1600
        paper = np.asarray(image.convert("L"))
    assert (paper[-40:] < 128).any(), "the caption stands at the foot"


def test_what_went_in_comes_out_again(tmp_path):
    """Files written, read as a person's own, and run again: the same answer."""
    rig = write_rig(CAMERAS, tmp_path / "cameras.xml")
    truth = write_pfm(TRUTH.disparity, tmp_path / "truth.pfm")
    given = Given(LEFT, RIGHT, read_rig(rig), load_truth(truth))
    first, again = (run(OWN, settings=QUICK, given=g)
                    for g in (Given(LEFT, RIGHT, CAMERAS, TRUTH), given))  # fmt: skip
    assert same(first.result.disparity, again.result.disparity)
    assert first.pair.rig == again.pair.rig and not again.scores
