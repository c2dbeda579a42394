"""Poses from nothing but photos: structure from motion, by COLMAP.

Find spots that look alike in several photos; each pair of photos that shares many of them fixes how
one camera stands to the other; begin with one good pair, add photo after photo, and adjust all
cameras and points together so that every point lands on its pixels (Schönberger & Frahm, CVPR
2016). What remains unknown is the world's size and direction: `align_similarity` removes both.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core.images import load
from core.nerf.archive import opened
from core.nerf.colmap import colmap
from core.nerf.loading import views_of
from core.nerf.types import Views
from core.runtime import stage
from core.types import InputError, Progress, Unavailable, silent

SIDE_PX = 1600  # features of larger pictures cost seconds and add little
MAX_PHOTOS = 500
ADVICE = (
    "Photograph a thing that keeps still from 20 to 60 places around it, each photo showing "
    "two thirds of the one before, with texture in sight and nothing blurred."
)
_lock = threading.Lock()  # COLMAP's log level and random seed belong to the whole process


def poses_from_images(
    paths: Sequence[str | Path],
    progress: Progress = silent,
    *,
    video: bool = False,
    max_side_px: int | None = None,
    one_lens: bool = True,
    seed: int = 0,
) -> Views:
    """Views of photos whose cameras nobody knows, by pycolmap on the CPU.

    Every pair of photos is compared; with video=True only frames that follow each other. one_lens:
    all were taken with one zoom setting (used only if they have one size). Photos that find no place
    are left out; notes say how many did and the mean reprojection error. Raises InputError if too
    few do, Unavailable without pycolmap. Stop works: progress may raise, and COLMAP is cancelled.
    """
    paths = [Path(p) for p in paths]
    if len(paths) < 3:
        raise InputError(f"{len(paths)} photos are too few to find poses. {ADVICE}")
    if len(paths) > MAX_PHOTOS:
        raise InputError(f"{len(paths)} photos take too long. Choose at most {MAX_PHOTOS}.")
    try:
        import pycolmap  # type: ignore[import-not-found]
    except Exception as error:  # a broken native library raises other kinds than ImportError
        raise Unavailable(
            "Finding poses needs the package pycolmap (pip install pycolmap). Photos that come "
            "with cameras, and rendered scenes, work without it."
        ) from error
    room = Path(tempfile.mkdtemp(prefix="sightline-poses-"))
    try:
        (room / "images").mkdir()
        sizes = set()
        for k, path in enumerate(paths):
            progress(0.05 * k / len(paths), desc=f"reading {path.name}")
            sizes.add(_prepared(path, room / "images" / f"{k:05d}_{path.stem[:60]}.png"))
        with _lock:
            shared = one_lens and len(sizes) == 1
            model = _reconstructed(pycolmap, room, len(paths), shared, video, seed, progress)
        found, error_px = model.num_reg_images(), model.compute_mean_reprojection_error()
        if found < max(3, 0.25 * len(paths)):
            raise InputError(_too_few(found, len(paths)))
        (room / "model").mkdir()
        model.write_binary(str(room / "model"))
        with opened(room) as source:
            capture = colmap(source)
            views = views_of(source, capture, max_side_px, stage(progress, 0.95, 1.0))
    finally:
        shutil.rmtree(room, ignore_errors=True)
    told = (
        f"{found} of {len(paths)} photos found their place.",
        f"Mean reprojection error {error_px:.2f} px, over {model.num_points3D()} points.",
    )
    placed = {int(Path(frame.name).name[:5]) for frame in capture.frames}
    if left := [path.name for k, path in enumerate(paths) if k not in placed]:
        more = f" and {len(left) - 20} more" if len(left) > 20 else ""
        told += (f"Left out: {', '.join(left[:20])}{more}.",)
    return replace(views, notes=told + views.notes)


def _too_few(found: int, asked: int) -> str:
    return f"Only {found} of {asked} photos could be placed. {ADVICE}"


def _prepared(path: Path, to: Path) -> tuple[int, int]:
    """Writes the photo upright, as PNG of at most SIDE_PX; gives its size."""
    from PIL import Image

    from core.images import fit

    picture, _ = fit(load(path, path.name), SIDE_PX)
    Image.fromarray(picture).save(to, compress_level=1)
    return picture.shape[1], picture.shape[0]


def _reconstructed(
    p: Any, room: Path, n: int, one_lens: bool, video: bool, seed: int, progress: Progress
) -> Any:
    """The largest model that COLMAP finds of the n pictures in room/images."""
    base, images, out = room / "d.db", room / "images", room / "out"
    out.mkdir()
    level = p.logging.minloglevel
    p.logging.minloglevel = int(p.logging.FATAL)  # it writes pages to stderr otherwise
    p.set_random_seed(seed)
    mode = p.CameraMode.SINGLE if one_lens else p.CameraMode.PER_IMAGE
    cpu = p.Device.cpu
    pairs = n * (n - 1) // 2 if not video else 14 * n
    placed = [0]

    def extract(token: Any) -> None:
        p.extract_features(base, images, camera_mode=mode, device=cpu, cancellation_token=token)

    def match(token: Any) -> None:
        if video:
            p.match_sequential(base, device=cpu, cancellation_token=token)
        else:
            p.match_exhaustive(base, device=cpu, cancellation_token=token)

    def mapping(token: Any) -> Any:
        options = p.IncrementalPipelineOptions(random_seed=seed, max_num_models=3)
        options.min_model_size = 3
        placed[0] = 2
        return p.incremental_mapping(
            base, images, out, options=options, next_image_callback=lambda: _add(placed),
            cancellation_token=token,
        )  # fmt: skip

    try:
        _watched(
            p, extract, stage(progress, 0.05, 0.45), "finding features",
            lambda: _rows(base, "keypoints"), n,
        )  # fmt: skip
        _watched(
            p, match, stage(progress, 0.45, 0.75), "matching pairs",
            lambda: _rows(base, "matches"), pairs,
        )  # fmt: skip
        models = _watched(
            p, mapping, stage(progress, 0.75, 0.95), "placing cameras", lambda: placed[0], n
        )
    finally:
        p.logging.minloglevel = level
    if not models:
        raise InputError(_too_few(0, n))
    return max(models.values(), key=lambda m: m.num_reg_images())


def _add(count: list[int]) -> None:
    count[0] += 1


def _rows(base: Path, table: str) -> int:
    """How many rows COLMAP has written so far; 0 while it holds the file."""
    with contextlib.suppress(sqlite3.Error):
        file = sqlite3.connect(f"file:{base}?mode=ro", uri=True, timeout=0.05)
        with contextlib.closing(file):
            return int(file.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])
    return 0


def _watched(
    p: Any,
    work: Callable[[Any], Any],
    progress: Progress,
    desc: str,
    done: Callable[[], int],
    total: int,
) -> Any:
    """What work(token) gives. It runs in a thread while this one reports; if progress raises,
    the work is cancelled and waited for, so that nothing uses the folder after it is gone."""
    token, box = p.CancellationToken(), {}

    def run() -> None:
        try:
            box["value"] = work(token)
        except BaseException as error:  # raised below, in the caller's thread
            box["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            count = min(done(), total)
            progress(count / max(total, 1), desc=f"{desc} ({count} of {total})")
            thread.join(0.25)
    finally:
        token.cancel()
        thread.join()
    if "error" in box:
        raise InputError(f"COLMAP gave up ({box['error']}). {ADVICE}") from box["error"]
    return box.get("value")


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


def frames_of_video(path: str | Path, n: int = 60) -> np.ndarray:
    """n frames (n, H, W, 3) uint8 RGB, evenly spaced over the video; fewer if it has fewer.

    Longer sides than SIDE_PX are reduced. Raises InputError if it can't be decoded.
    """
    import av
    from av.error import FFmpegError

    from core.images import fit

    if not 2 <= n <= MAX_PHOTOS:
        raise InputError(f"{n} frames can't be used. Choose 2 to {MAX_PHOTOS}.")
    name = Path(path).name
    try:
        with av.open(str(path)) as file:
            total = sum(1 for _ in file.decode(video=0))  # headers lie; counting is sure
        wanted = set(np.linspace(0, total - 1, min(n, total)).round().astype(int).tolist())
        frames = []
        with av.open(str(path)) as file:
            for k, frame in enumerate(file.decode(video=0)):
                if k in wanted:
                    frames.append(fit(frame.to_ndarray(format="rgb24"), SIDE_PX)[0])
    except (FFmpegError, IndexError, OSError, ValueError) as error:
        raise InputError(f"{name} can't be read as a video. Save it as mp4.") from error
    if not frames:
        raise InputError(f"{name} holds no pictures. Choose another video.")
    return np.stack(frames)
