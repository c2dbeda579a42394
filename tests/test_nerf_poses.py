"""Poses from photos alone, and the similarity that compares them with known ones."""

from __future__ import annotations

import glob
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from core.nerf.poses import align_similarity, frames_of_video, poses_from_images
from core.types import InputError, Unavailable
from core.video import write_mp4

PLUSH = Path(__file__).parents[2] / "shared/data/views/plush"


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
    for name in ("a.mp4", "b.mp4"):
        with pytest.raises(InputError, match="as a video"):
            frames_of_video(tmp_path / name)


def test_too_few_photos(tmp_path):
    with pytest.raises(InputError, match="too few"):
        poses_from_images(blanks(tmp_path, 2))


def test_without_pycolmap_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pycolmap", None)
    with pytest.raises(Unavailable, match="pycolmap"):
        poses_from_images(blanks(tmp_path))


def test_blank_photos_get_advice_and_leave_no_folder(tmp_path, capfd):
    pytest.importorskip("pycolmap")
    before = left_over()
    with pytest.raises(InputError, match=r"Only 0 of 4 photos.*Photograph"):
        poses_from_images(blanks(tmp_path))
    assert left_over() <= before
    assert capfd.readouterr().err == ""


def test_stop_cancels_within_a_moment(tmp_path):
    pytest.importorskip("pycolmap")
    paths = []
    for k in range(12):
        noise = np.random.default_rng(k).integers(0, 255, (600, 800, 3), np.uint8)
        paths.append(tmp_path / f"{k}.png")
        Image.fromarray(noise).save(paths[-1])
    before, asked = left_over(), []

    def progress(fraction: float, /, desc: str = "") -> None:
        if "features" in desc:
            asked.append(time.perf_counter())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        poses_from_images(paths, progress)
    assert time.perf_counter() - asked[0] < 10  # a picture in hand is finished first
    assert left_over() <= before


@pytest.mark.skipif(not PLUSH.is_dir(), reason="needs shared/data/views/plush")
def test_plush_photos_find_their_places():
    """At least 46 of 49, centres within 1 % of the scene's size; the poses are thrown away."""
    pytest.importorskip("pycolmap")
    paths = sorted((PLUSH / "images").glob("*.jpg"))
    told: list[float] = []
    views = poses_from_images(paths, lambda f, desc="": told.append(f))
    assert len(views.cameras) >= 46
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
