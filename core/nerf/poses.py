"""Poses from nothing but photos: structure from motion, by COLMAP.

Find spots that look alike in several photos; each pair of photos that shares many of them fixes how
one camera stands to the other; begin with one good pair, add photo after photo, and adjust all
cameras and points together so that every point lands on its pixels (Schönberger & Frahm, CVPR
2016). What remains unknown is the world's size and direction: `align_similarity` removes both.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core.images import fit, load
from core.nerf.archive import opened
from core.nerf.colmap import colmap
from core.nerf.loading import reduced, views_of
from core.nerf.types import Views
from core.runtime import stage
from core.types import InputError, Progress, Unavailable, silent
from core.video import reading

SIDE_PX = 1600  # of the pictures that are kept to learn from
MAX_PHOTOS = 500
ADVICE = (
    "Photograph a thing that keeps still from 20 to 60 places around it, each photo showing "
    "two thirds of the one before, with texture in sight and nothing blurred."
)
FILM_ADVICE = (
    "Film a thing that keeps still: walk around it slowly, in good light, with texture in sight, "
    "and don't zoom."
)
ROOT = Path(__file__).parents[2]
WORKER = (sys.executable, "-m", "core.nerf.sfm")  # see there why COLMAP is a process of its own
EVERY_S = 0.1  # so often progress is told, and Stop heard
SAID = re.compile(rb"(Processed file|Processing \w+|num_reg_frames)[ =]\[?([\d/, ]+)[\])]")


def poses_from_images(
    paths: Sequence[str | Path],
    progress: Progress = silent,
    *,
    video: bool = False,
    max_side_px: int | None = None,
    one_lens: bool = True,
    seed: int = 0,
) -> Views:
    """Views of photos whose cameras nobody knows, by COLMAP on the CPU, in a process of its own.

    Every pair of photos is compared; with video=True frames that follow each other, and every pair
    only if that places too few. one_lens: all were taken with one zoom setting (used only if they
    have one size). max_side_px reduces the pictures afterwards. Photos that find no place are left
    out; notes say how many did and the mean reprojection error; points are in the cameras' unit.
    Raises InputError if too few do or COLMAP crashes, Unavailable without pycolmap. Stop works:
    progress may raise, and COLMAP is killed. COLMAP's threads leave the last digits to chance,
    whatever the seed.
    """
    paths = [Path(p) for p in paths]
    if len(paths) < 3:
        raise InputError(f"{len(paths)} photos are too few to find poses. {ADVICE}")
    if len(paths) > MAX_PHOTOS:
        raise InputError(f"{len(paths)} photos take too long. Choose at most {MAX_PHOTOS}.")
    _need_pycolmap()
    names = [path.name for path in paths]
    pictures = (fit(load(path, path.name), SIDE_PX)[0] for path in paths)
    job = {"video": video, "one_lens": one_lens, "seed": seed}
    return _posed(names, pictures, job, max_side_px, progress)


def poses_from_video(
    path: str | Path,
    n: int = 60,
    progress: Progress = silent,
    *,
    max_side_px: int | None = None,
    seed: int = 0,
) -> Views:
    """Views of n frames of a film, evenly spaced; frames that follow each other are compared.

    As `poses_from_images`; raises InputError too if the film can't be read or is too short.
    """
    _need_pycolmap()
    frames = frames_of_video(path, n, stage(progress, 0.0, 0.1))
    if len(frames) < 3:
        raise InputError(f"A film of {len(frames)} frames is too short. {FILM_ADVICE}")
    names = [f"frame {k + 1}" for k in range(len(frames))]
    job = {"video": True, "one_lens": True, "seed": seed}
    return _posed(names, frames, job, max_side_px, stage(progress, 0.1, 1.0))


def _need_pycolmap() -> None:
    """Looks for it without importing it: `core.nerf.sfm` says why."""
    if importlib.util.find_spec("pycolmap") is None:
        raise _unavailable("")


def _unavailable(why: str) -> Unavailable:
    return Unavailable(
        f"Finding poses needs the package pycolmap (pip install pycolmap){why}. Photos that come "
        "with cameras, and rendered scenes, work without it."
    )


def _posed(
    names: Sequence[str],
    pictures: Iterable[np.ndarray],
    job: dict[str, Any],
    max_side_px: int | None,
    progress: Progress,
) -> Views:
    """Views of pictures (H, W, 3) uint8; names are what people call them."""
    from PIL import Image

    n, sizes = len(names), set()
    kind, advice = ("frames", FILM_ADVICE) if job["video"] else ("photos", ADVICE)
    with tempfile.TemporaryDirectory(prefix="sightline-poses-", ignore_cleanup_errors=True) as tmp:
        room = Path(tmp)
        (room / "capture" / "images").mkdir(parents=True)
        progress(0.0, desc="reading pictures")
        for k, picture in enumerate(pictures):
            file = room / "capture" / "images" / f"{k:05d}.png"
            Image.fromarray(picture).save(file, compress_level=1)
            sizes.add(picture.shape[1::-1])
            progress(0.05 * (k + 1) / n, desc=f"reading pictures ({k + 1} of {n})")
        reduced(n, max(sizes), max_side_px)  # too many are refused now, not after minutes
        job = job | {"n": n, "one_lens": job["one_lens"] and len(sizes) == 1}
        answer = _colmap(room, job, advice, stage(progress, 0.05, 0.95))
        found = int(answer["found"])
        if found < max(3, 0.25 * n):
            raise InputError(f"Only {found} of {n} {kind} could be placed. {advice}")
        with opened(room / "capture") as source:
            capture = colmap(source)
            views = views_of(source, capture, max_side_px, stage(progress, 0.95, 1.0))
    told = (
        f"{found} of {n} {kind} found their place.",
        f"Mean reprojection error {answer['error_px']:.2f} px, over {answer['points']} points.",
    )
    placed = {int(Path(frame.name).stem) for frame in capture.frames}
    if left := [name for k, name in enumerate(names) if k not in placed]:
        more = f" and {len(left) - 20} more" if len(left) > 20 else ""
        told += (f"Left out: {', '.join(left[:20])}{more}.",)
    return replace(views, notes=told + views.notes)


def _colmap(room: Path, job: dict[str, Any], advice: str, progress: Progress) -> dict[str, Any]:
    """What `core.nerf.sfm` answers for the pictures in room/capture/images.

    The process is killed when progress raises, and ends itself when this one does. Files take what
    it says: unlike pipes they never fill up, and need no thread to read them.
    """
    log, answer, come = room / "log", room / "answer", 0.0
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    with log.open("wb") as err, answer.open("wb") as out, subprocess.Popen(
        [*WORKER, str(room), json.dumps(job)], cwd=room, env=os.environ | {"PYTHONPATH": path},
        stdin=subprocess.PIPE, stdout=out, stderr=err,
    ) as child:  # fmt: skip
        try:
            while child.poll() is None:
                now, desc = _stage(log.read_bytes(), job["n"])
                come = max(come, now)  # a film may begin again, with every pair
                progress(come, desc=desc)
                time.sleep(EVERY_S)
        finally:
            child.kill()
    try:
        said = json.loads(answer.read_bytes())
    except ValueError:
        said = {}
    if "missing" in said:
        raise _unavailable(f", and the one that is here can't be loaded ({said['missing']})")
    if "error" in said:
        raise InputError(f"COLMAP gave up ({said['error']}). {advice}")
    if child.returncode or "found" not in said:
        raise InputError(_crash(child.returncode, _stage(log.read_bytes(), job["n"])[1]))
    return said


def _stage(log: bytes, n: int) -> tuple[float, str]:
    """How far COLMAP has come with n pictures, in [0, 1], and what it does, by its log's last word."""
    last = SAID.findall(log)[-1:]
    if not last:
        return 0.0, "starting COLMAP"
    what, k = last[0][0], [int(word) for word in re.findall(rb"\d+", last[0][1])]
    if what == b"num_reg_frames":
        done = min(k[0] + 1, n)
        return 0.8 + 0.2 * done / n, f"placing cameras ({done} of {n})"
    if what == b"Processed file":
        return 0.4 * k[0] / n, f"finding features ({k[0]} of {n})"
    if len(k) == 4:  # block i of I against block j of J
        k = [(k[0] - 1) * k[3] + k[2], k[1] * k[3]]
    return 0.4 + 0.4 * (k[0] - 1) / k[1], f"matching pairs (part {k[0]} of {k[1]})"


def _crash(code: int, desc: str) -> str:
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"code {code}"
    if name == "SIGKILL":
        return (
            f"The system ended COLMAP while {desc}, most likely for want of memory. Use fewer or "
            "smaller photos."
        )
    return (
        f"COLMAP crashed while {desc} ({name}); everything else goes on. Try once more, then with "
        "fewer photos."
    )


# ---------------------------------------------------------------- beside it


def align_similarity(a: np.ndarray, b: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale s, rotation R (3, 3), shift t (3,) for which s·R·aᵢ + t is closest to bᵢ; a, b (N, 3).

    The least-squares answer in closed form (Umeyama, PAMI 1991, equations 40 to 42). Raises
    InputError for fewer than three points or points in one place.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape or a.ndim != 2 or a.shape[1] != 3 or len(a) < 3:
        raise InputError("Aligning needs the same three or more points in both. Give more.")
    mean_a, mean_b = a.mean(0), b.mean(0)
    variance = ((a - mean_a) ** 2).sum() / len(a)
    if not variance > 1e-18:
        raise InputError("The points to align lie in one place. Give points that are apart.")
    u, d, vt = np.linalg.svd((b - mean_b).T @ (a - mean_a) / len(a))
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])  # never a mirror
    R = (u * sign) @ vt
    s = float((d * sign).sum() / variance)
    return s, R, mean_b - s * R @ mean_a


def frames_of_video(path: str | Path, n: int = 60, progress: Progress = silent) -> np.ndarray:
    """n frames (n, H, W, 3) uint8 RGB, upright, evenly spaced over the video; fewer if it has fewer.

    Longer sides than SIDE_PX are reduced. Raises InputError if it can't be decoded, or that takes
    longer than reading.SCAN_LIMIT_S.
    """
    if not 2 <= n <= MAX_PHOTOS:
        raise InputError(f"{n} frames can't be used. Choose 2 to {MAX_PHOTOS}.")
    progress(0.0, desc="looking through the film")
    with reading.opened(path, reading.SCAN_LIMIT_S) as film:
        total, frames = len(film.times_s), []
        wanted = np.linspace(0, total - 1, min(n, total)).round().astype(int)
        progress(0.0, desc=f"taking frames (0 of {len(wanted)})")
        for picture in film.frames(wanted, SIDE_PX):
            frames.append(picture.image)
            progress(
                len(frames) / len(wanted), desc=f"taking frames ({len(frames)} of {len(wanted)})"
            )
    if not frames:
        raise InputError(f"{Path(path).name} holds no pictures. Choose another video.")
    return np.stack(frames)
