"""Poses from photos alone, and the similarity that compares them with known ones."""

from __future__ import annotations

import glob
import importlib.util
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from core.nerf import poses
from core.nerf.loading import PIXEL_BYTES, load_views
from core.nerf.poses import align_similarity, frames_of_video, poses_from_images, poses_from_video
from core.types import InputError, Unavailable
from core.video import write_mp4

PLUSH = Path(__file__).parents[2] / "shared/data/views/plush"
# found, never imported: in one process with Pillow it corrupts the heap (core.nerf.sfm)
HAVE = importlib.util.find_spec("pycolmap") is not None
needs_pycolmap = pytest.mark.skipif(not HAVE, reason="needs pycolmap")
needs_plush = pytest.mark.skipif(not PLUSH.is_dir(), reason="needs shared/data/views/plush")


def left_over() -> set[str]:
    return set(glob.glob(os.path.join(tempfile.gettempdir(), "sightline-poses-*")))


def blanks(folder: Path, n: int = 4) -> list[Path]:
    paths = [folder / f"{k}.png" for k in range(n)]
    for path in paths:
        Image.new("RGB", (97, 61), (120, 130, 140)).save(path)
    return paths


def test_align_finds_a_known_similarity():
    rng = np.random.default_rng(1)
    a = rng.normal(size=(7, 3))
    R = Rotation.from_rotvec((0.4, -1.1, 2.0)).as_matrix()
    s, found, t = align_similarity(a, 2.5 * a @ R.T + (3, -4, 5))
    np.testing.assert_allclose(s, 2.5, atol=1e-12)
    np.testing.assert_allclose(found, R, atol=1e-12)
    np.testing.assert_allclose(t, (3, -4, 5), atol=1e-12)


def test_align_never_mirrors_and_takes_flat_points():
    a = np.random.default_rng(2).normal(size=(9, 3))
    _, R, _ = align_similarity(a, a * (1, 1, -1))
    assert np.linalg.det(R) == pytest.approx(1)
    flat = a * (1, 1, 0)
    s, R, t = align_similarity(flat, flat * 3)
    np.testing.assert_allclose(s * flat @ R.T + t, flat * 3, atol=1e-12)


@pytest.mark.parametrize("a", [np.zeros((5, 3)), np.zeros((2, 3)), np.zeros((5, 2))])
def test_align_names_what_it_cannot_do(a):
    with pytest.raises(InputError):
        align_similarity(a, a)


def test_frames_are_spread_over_the_video(tmp_path):
    frames = np.repeat(np.arange(0, 250, 10).astype(np.uint8), 24 * 32 * 3).reshape(25, 24, 32, 3)
    path = write_mp4(tmp_path / "a.mp4", frames, quality=1)
    found = frames_of_video(path, 5)
    assert found.shape == (5, 24, 32, 3)
    np.testing.assert_allclose(found.mean((1, 2, 3)), (0, 60, 120, 180, 240), atol=4)
    assert len(frames_of_video(path, 99)) == 25


def test_what_is_no_video_is_named(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"nothing")
    for name, said in (("a.mp4", "as a video"), ("b.mp4", "no file b.mp4")):
        with pytest.raises(InputError, match=said):
            frames_of_video(tmp_path / name)


def test_a_film_that_lies_on_its_side_is_turned(tmp_path):
    """A telephone writes the sensor's rows and says in the track's matrix how to turn them."""
    frames = np.zeros((3, 32, 48, 3), np.uint8)
    frames[:, :16, :24] = 250  # the upper left is bright; after a quarter turn clockwise, the right
    path = write_mp4(tmp_path / "a.mp4", frames, quality=1)
    data = bytearray(path.read_bytes())
    plain = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    at = data.index(plain, data.index(b"tkhd"))
    data[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 32 << 16, 0, 1 << 30)
    path.write_bytes(data)
    found = frames_of_video(path, 3)
    assert found.shape == (3, 48, 32, 3)
    np.testing.assert_allclose(found[:, 4:20, 20:28].mean(), 250, atol=4)
    assert found[:, 4:20, 4:12].mean() < 4


def test_too_few_photos(tmp_path):
    with pytest.raises(InputError, match="too few"):
        poses_from_images(blanks(tmp_path, 2))


def test_without_pycolmap_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    with pytest.raises(Unavailable, match=r"pip install pycolmap.*rendered scenes, work"):
        poses_from_images(blanks(tmp_path))


# ---------------------------------------------------------------- the process beside


def test_too_many_photos_are_refused_before_colmap(tmp_path, monkeypatch):
    paths = [tmp_path / f"{k}.png" for k in range(3)]
    for path in paths:
        Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(path)
    monkeypatch.setattr(poses, "_need_pycolmap", lambda: None)
    monkeypatch.setattr("core.nerf.loading.MAX_BYTES", 3 * 20 * 15 * PIXEL_BYTES - 1)
    with pytest.raises(InputError, match="3 pictures of 20×15 px need"):
        poses_from_images(paths, max_side_px=20)


@pytest.fixture
def worker(monkeypatch):
    """Puts other code in COLMAP's place: gives it `room`, `job` and `say`."""

    def put(code: str) -> None:
        start = (
            "import json, os, sys, time\nroom, job = sys.argv[1], json.loads(sys.argv[2])\n"
            "say = lambda **words: print(json.dumps(words))\n"
        )
        monkeypatch.setattr(poses, "WORKER", (sys.executable, "-c", start + code))
        monkeypatch.setattr(poses, "_need_pycolmap", lambda: None)

    return put


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("os.kill(os.getpid(), 7)", r"crashed.*SIGBUS.*Try once more"),
        ("os.abort()", r"crashed.*SIGABRT"),
        ("os.kill(os.getpid(), 9)", r"want of memory. Use fewer"),
        ("raise RuntimeError", r"crashed.*code 1"),
        ("print('{')", r"crashed.*code 0"),
        ("say(error='database is locked')", r"gave up \(database is locked\).*Photograph"),
        ("say(found=0)", r"Only 0 of 4 photos.*Photograph"),
    ],
)
def test_whatever_becomes_of_colmap_is_one_sentence(tmp_path, worker, code, told):
    worker(code)
    before = left_over()
    with pytest.raises(InputError, match=told) as caught:
        poses_from_images(blanks(tmp_path))
    assert "\n" not in str(caught.value)
    assert left_over() <= before


def test_a_pycolmap_that_cannot_be_loaded_is_unavailable(tmp_path, worker):
    worker("say(missing='libgomp.so.1: cannot open shared object file')")
    with pytest.raises(Unavailable, match=r"libgomp.*rendered scenes, work"):
        poses_from_images(blanks(tmp_path))


def test_stop_kills_it_at_once(tmp_path, worker):
    worker(
        "print('Processed file [3/4]', file=sys.stderr, flush=True)\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    )
    before, asked = left_over(), []

    def progress(fraction: float, /, desc: str = "") -> None:
        if desc == "finding features (3 of 4)" and (tmp_path / "pid").exists():
            asked.append(time.perf_counter())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        poses_from_images(blanks(tmp_path), progress)
    assert time.perf_counter() - asked[0] < 20  # of 60
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert left_over() <= before


@needs_pycolmap
def test_it_ends_with_its_parent_however_that_ends(tmp_path):
    """SIGKILL runs no `finally`; the child itself sees that nobody is there, and tidies up."""
    paths = [str(p) for p in noises(tmp_path)]
    code = (
        f"import os, sys; sys.path.insert(0, {str(poses.ROOT)!r})\n"
        "from core.nerf.poses import poses_from_images\n"
        "def progress(f, desc=''):\n"
        "    if 'features' in desc: os.kill(os.getpid(), 9)\n"
        f"poses_from_images({paths!r}, progress)"
    )
    before = left_over()
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, timeout=60)
    assert done.returncode == -signal.SIGKILL
    until = time.perf_counter() + 5
    while left_over() - before and time.perf_counter() < until:
        time.sleep(0.05)
    assert left_over() <= before


@pytest.mark.parametrize(
    ("log", "fraction", "desc"),
    [
        (b"", 0.0, "starting COLMAP"),
        (b"I a.cc:1] Processed file [3/6]\nI Creating [9/9]", 0.2, "finding features (3 of 6)"),
        (b"Processed file [6/6]\nProcessing block [2/3, 1/3]", 0.533, "matching pairs (part 4 of 9)"),
        (b"Processing image [4/6]\nProcessing image [5/", 0.6, "matching pairs (part 4 of 6)"),
        (b"Registering image #7 (num_reg_frames=2)", 0.9, "placing cameras (3 of 6)"),
    ],
)  # fmt: skip
def test_progress_is_read_from_the_log(log, fraction, desc):
    found = poses._stage(log, 6)
    assert found == (pytest.approx(fraction, abs=1e-3), desc)


# ---------------------------------------------------------------- COLMAP itself


def noises(folder: Path) -> list[Path]:
    paths = [folder / f"{k}.png" for k in range(6)]
    for k, path in enumerate(paths):
        noise = np.random.default_rng(k).integers(0, 255, (303, 401, 3), np.uint8)
        Image.fromarray(noise).save(path)
    return paths


@needs_pycolmap
def test_blank_photos_get_advice_and_leave_no_folder(tmp_path, capfd):
    before = left_over()
    with pytest.raises(InputError, match=r"Only 0 of 4 photos.*Photograph"):
        poses_from_images(blanks(tmp_path))
    assert left_over() <= before
    assert capfd.readouterr().err == ""


@needs_pycolmap
def test_stop_during_features_kills_colmap(tmp_path, monkeypatch):
    before, started = left_over(), []

    class Kept(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            started.append(self)

    def progress(fraction: float, /, desc: str = "") -> None:
        if "features" in desc:
            raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", Kept)
    with pytest.raises(KeyboardInterrupt):
        poses_from_images(noises(tmp_path), progress)
    assert [child.returncode for child in started] == [-signal.SIGKILL]  # it ended by nothing else
    assert left_over() <= before


@needs_pycolmap
def test_a_still_film_gets_advice_for_films(tmp_path):
    path = write_mp4(tmp_path / "still.mp4", np.full((5, 48, 64, 3), 90, np.uint8))
    told: list[str] = []
    with pytest.raises(InputError, match=r"Only 0 of 4 frames.*Film a thing"):
        poses_from_video(path, 4, lambda f, desc="": told.append(desc))
    assert "taking frames (0 of 4)" in told
    with pytest.raises(InputError, match=r"2 frames is too short"):
        poses_from_video(path, 2)


def test_a_capture_with_points_brings_at_most_20_000(tmp_path):
    """Every second of 39,997, and none that isn't finite."""
    poses_txt = "".join(f"{k + 1} 1 0 0 0 {k} 0 0 1 {k}.png\n\n" for k in range(4))
    (tmp_path / "images.txt").write_text(poses_txt)
    (tmp_path / "cameras.txt").write_text("1 SIMPLE_PINHOLE 97 61 80 48.5 30.5\n")
    rows = [f"{k} {k / 1e4} 0.25 {5 if k else 'nan'} 9 9 9 0.1" for k in range(39_998)]
    (tmp_path / "points3D.txt").write_text("\n".join(rows))
    blanks(tmp_path)
    points = load_views(tmp_path).points
    assert points.shape == (19_999, 3) and points.dtype == np.float32
    np.testing.assert_allclose(points[[0, 1, -1], 0], (0.0001, 0.0003, 3.9997))
    assert (points[:, 1:] == (0.25, 5)).all()


@needs_plush
@needs_pycolmap
def test_plush_photos_find_their_places():
    """At least 46 of 49, centres within 1 % of the scene's size; the poses are thrown away."""
    paths = sorted((PLUSH / "images").glob("*.jpg"))
    told: list[float] = []
    views = poses_from_images(paths, lambda f, desc="": told.append(f))
    assert len(views.cameras) >= 46
    assert 500 < len(views.points) <= 20_000 and views.points.dtype == np.float32
    inside = ((views.points > views.bounds[0]) & (views.points < views.bounds[1])).all(1)
    assert inside.mean() > 0.4  # the box is where most of them are, not all
    assert told == sorted(told) and len(told) > 20
    rows = json.loads((PLUSH / "transforms.json").read_text())["frames"]
    true = {Path(r["file_path"]).stem: np.array(r["transform_matrix"])[:3, 3] for r in rows}
    told_left = " ".join(views.notes)
    stems = [path.stem for path in paths if path.name not in told_left]
    assert len(stems) == len(views.cameras)
    a = np.array([c.c2w[:3, 3] for c in views.cameras])
    b = np.array([true[stem] for stem in stems])
    s, R, t = align_similarity(a, b)
    error = np.linalg.norm(s * a @ R.T + t - b, axis=1)
    size = np.linalg.norm(np.ptp(b, axis=0))
    print(f"registered {len(a)}, centres off by {error.max() / size:.3%} at most; {views.notes}")
    assert error.max() < 0.01 * size


def test_a_list_of_other_files_is_no_film(tmp_path):
    """An upload must not make this machine open what it names."""
    write_mp4(tmp_path / "b.mp4", np.zeros((5, 24, 32, 3), np.uint8))
    (tmp_path / "a.mp4").write_text("ffconcat version 1.0\nfile b.mp4\n")
    with pytest.raises(InputError, match="playlist"):
        frames_of_video(tmp_path / "a.mp4")


def test_a_film_that_takes_too_long_is_left(tmp_path, monkeypatch):
    path = write_mp4(tmp_path / "a.mp4", np.zeros((5, 24, 32, 3), np.uint8))
    monkeypatch.setattr("core.video.reading.SCAN_LIMIT_S", -1.0)
    with pytest.raises(InputError, match="shorter part"):
        frames_of_video(path)
