"""Posed photos from files: Blender, instant-ngp and nerfstudio, COLMAP, LLFF.

Each format has its own axes, pixel origin and lens. All of that ends here: what comes out are
pictures of one size without distortion, and pinhole cameras with OpenCV's axes.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from core.cameras import resized
from core.nerf import bounds
from core.nerf.archive import Source, opened
from core.nerf.capture import Capture, Frame, pinhole
from core.nerf.colmap import colmap
from core.nerf.formats import llff, transforms
from core.nerf.types import POINTS_KEPT, Views
from core.types import Camera, InputError, Progress, silent

MAX_BYTES = 4 * 10**9  # of what training keeps of the pictures: what a laptop has to spare
# of each pixel as float32: its colour and opacity, and once more in training's table with its ray
PIXEL_BYTES = 4 * (4 + 4 + 6)
BEHIND = 4.0  # times the scene's own far end: where its background may be
HOLD_OUT = 8  # every 8th view is a test view unless the files say, as in the LLFF paper


def load_views(
    path: str | Path | Sequence[str | Path],
    max_side_px: int | None = None,
    *,
    progress: Progress = silent,
) -> Views:
    """The posed photos in a folder, a zip, or a list of files.

    Reads transforms*.json, a COLMAP model (text or binary) or LLFF's poses_bounds.npy, with the
    pictures. max_side_px reduces pictures and cameras. Colours are not multiplied by opacity.
    Raises InputError for whatever isn't such a capture, before pictures are decoded if possible.
    """
    if max_side_px is not None and not max_side_px >= 8:
        raise InputError(f"Pictures of {max_side_px} px are too small. Allow at least 8.")
    with opened(path) as source:
        return views_of(source, _capture(source), max_side_px, progress)


def _capture(source: Source) -> Capture:
    tails = {name: PurePosixPath(name).name.lower() for name in source.names}
    files = [n for n, t in tails.items() if t.startswith("transforms") and t.endswith(".json")]
    if files:
        top = min(n.count("/") for n in files)
        return transforms(source, [n for n in files if n.count("/") == top])
    if any(t in ("images.bin", "images.txt") for t in tails.values()):
        return colmap(source)
    if found := [n for n, t in tails.items() if t == "poses_bounds.npy"]:
        return llff(source, found[0])
    if source.pictures():
        raise InputError(
            "There are pictures but no cameras. Add transforms.json, a COLMAP model or "
            "poses_bounds.npy, or let the poses be found from the photos."
        )
    raise InputError(
        "There is neither transforms.json, a COLMAP model nor poses_bounds.npy. Choose the folder "
        "or zip that holds one, with its pictures."
    )


def views_of(
    source: Source, capture: Capture, max_side_px: int | None, progress: Progress = silent
) -> Views:
    """Views of a capture whose pictures are in `source`."""
    frames = capture.frames
    if len(frames) < 2:
        raise InputError(
            f"There {'is one camera' if frames else 'are no cameras'} only; depth needs several. "
            "Take photos from many places around the thing."
        )
    names, missing = [], []
    for frame in frames:
        found = source.find(frame.name, capture.root)
        names.append(found or "")
        if found is None:
            missing.append(frame.name)
    if missing:
        raise InputError(
            f"{len(missing)} of {len(frames)} pictures are missing, the first is {missing[0]}. "
            "Put the pictures beside the cameras file."
        )
    bounds.spread(tuple(Camera(np.eye(3), f.c2w, 1, 1) for f in frames))
    sizes = [_size(source.read(n), n) for n in names]
    given = [_camera(f, *s) for f, s in zip(frames, sizes, strict=True)]
    width, height = reduced(len(frames), max(set(sizes), key=sizes.count), max_side_px)
    pictures, cameras = [], []
    for k, (name, frame, camera) in enumerate(zip(names, frames, given, strict=True)):
        progress(k / len(names), desc=f"reading {name}")
        picture, camera = straightened(_decoded(source.read(name), name), camera, frame.lens)
        picture, camera = fitted(picture, camera, width, height)
        pictures.append(picture)
        cameras.append(camera)
    return _assembled(capture, pictures, tuple(cameras), len(set(sizes)) > 1)


def reduced(n: int, size: tuple[int, int], max_side_px: int | None) -> tuple[int, int]:
    """Width and height of n pictures that are to have max_side_px at most. InputError if training
    on them would take more than MAX_BYTES."""
    factor = min(1.0, (max_side_px or math.inf) / max(size))
    width, height = (max(1, round(side * factor)) for side in size)
    need = n * width * height * PIXEL_BYTES
    if need > MAX_BYTES:
        side = int(max(width, height) * math.sqrt(MAX_BYTES / need))
        raise InputError(
            f"{n} pictures of {width}×{height} px need {need / 1e9:.1f} GB of memory to train on. "
            f"Reduce them to {side} px on the longer side, or use fewer."
        )
    return width, height


def _assembled(
    capture: Capture, pictures: list[np.ndarray], cameras: tuple[Camera, ...], cut: bool
) -> Views:
    held = tuple(k for k, f in enumerate(capture.frames) if f.held)
    test = held or tuple(range(0, len(cameras), HOLD_OUT))[: len(cameras) - 1]
    # an opaque photo shows what is behind the scene, too; LLFF's depths say they hold everything
    open_air = pictures[0].shape[2] == 3 and capture.ranges is None
    where = bounds.from_points(cameras, capture.points, core=open_air)
    notes = [f"{len(cameras)} views of {cameras[0].width}×{cameras[0].height} px."]
    if where is None and capture.ranges is not None:
        where = bounds.from_ranges(cameras, capture.ranges)
    box, near, far = where or bounds.from_cameras(cameras)
    if where is None:
        far *= BEHIND if open_air else 1.0
        notes.append("The scene's box is judged from where the cameras look.")
    if capture.box is not None:
        box = capture.box
    if cut:
        notes.append("Pictures of other sizes were reduced and cut at the edges to one size.")
    if any(any(f.lens) for f in capture.frames):
        notes.append("The lens's distortion was taken out.")
    if any(p.shape[2] == 4 for p in pictures):
        pictures = [p if p.shape[2] == 4 else np.pad(p, ((0, 0), (0, 0), (0, 1)),
                    constant_values=1.0) for p in pictures]  # fmt: skip
    images = np.stack(pictures)
    points = capture.points[np.isfinite(capture.points).all(1)].astype(np.float32)
    points = points[:: -(-len(points) // POINTS_KEPT) or 1]
    return Views(images, cameras, test, box, near, far, open_air, notes=tuple(notes), points=points)


# ---------------------------------------------------------------- pictures


def _size(data: bytes, name: str) -> tuple[int, int]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.width, image.height
    except Exception as error:  # PIL raises a dozen kinds for broken files
        raise InputError(f"{name} can't be read as a picture. Save it as PNG or JPEG.") from error


def _decoded(data: bytes, name: str) -> np.ndarray:
    """(H, W, 3 or 4) float32 in [0, 1], as stored: the poses are those of the pixels on disk, so a
    note that says "turn me" (EXIF) isn't followed."""
    from PIL import Image

    from core.images import as_rgb

    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                pixels = np.asarray(image.convert("RGBA"))
            else:
                pixels = as_rgb(image, name)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{name} can't be read as a picture. Save it as PNG or JPEG.") from error
    return pixels.astype(np.float32) / 255


def _camera(frame: Frame, width: int, height: int) -> Camera:
    """The frame's camera for its picture's size; a reduced picture of the same shape is fine."""
    K = frame.K
    if K is None:
        focal = width / 2 / math.tan(math.radians(frame.fov_deg) / 2)
        K = pinhole(focal, focal, width / 2, height / 2, width, height)
    elif not frame.width:
        cx, cy = K[0, 2] or width / 2, K[1, 2] or height / 2
        K = pinhole(K[0, 0], K[1, 1], cx, cy, width, height)
    else:
        if abs(width / frame.width * frame.height - height) > 1.5:
            raise InputError(
                f"{PurePosixPath(frame.name).name} has {width}×{height} px, but its camera is for "
                f"{frame.width}×{frame.height}. Use the pictures the cameras were made for."
            )
        return resized(Camera(K, frame.c2w, frame.width, frame.height), width, height)
    return Camera(K, frame.c2w, width, height)


def straightened(
    picture: np.ndarray, camera: Camera, lens: tuple[float, ...]
) -> tuple[np.ndarray, Camera]:
    """The picture as a pinhole camera would have taken it, and that camera: it sees the largest
    upright rectangle that the lens filled everywhere. lens: k1, k2, p1, p2, k3 of OpenCV."""
    if not any(lens):
        return picture, camera
    import cv2

    half = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])  # OpenCV's first centre is at 0
    K, size = camera.K - half, (camera.width, camera.height)
    k = np.array(lens)
    new = np.asarray(cv2.getOptimalNewCameraMatrix(K, k, size, 0)[0], np.float64)
    ratio = new[0, 0] / K[0, 0] if np.isfinite(new).all() else math.nan
    if not 0.2 < ratio < 5:
        raise InputError(
            f"A lens with distortion {', '.join(f'{v:g}' for v in lens)} folds the picture over. "
            "Correct k1, k2, p1, p2."
        )
    mx, my = cv2.initUndistortRectifyMap(K, k, np.eye(3), new, size, cv2.CV_32FC1)
    flat = cv2.remap(_multiplied(picture), mx, my, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
    return _divided(flat), replace(camera, K=new + half)


def fitted(
    picture: np.ndarray, camera: Camera, width: int, height: int
) -> tuple[np.ndarray, Camera]:
    """Picture and camera brought to width × height: resized to cover it, then cut about the middle."""
    import cv2

    h, w = picture.shape[:2]
    if (w, h) == (width, height):
        return picture, camera
    factor = max(width / w, height / h)
    wide, high = max(width, round(w * factor)), max(height, round(h * factor))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    big = _divided(cv2.resize(_multiplied(picture), (wide, high), interpolation=how))
    camera = resized(camera, wide, high)
    x, y = (wide - width) // 2, (high - height) // 2
    K = camera.K - np.array([[0, 0, x], [0, 0, y], [0, 0, 0]])
    return np.ascontiguousarray(big[y : y + height, x : x + width]), Camera(
        K, camera.c2w, width, height
    )


def _multiplied(picture: np.ndarray) -> np.ndarray:
    """Colours times opacity: mixing pixels must not mix in the colour of nothing."""
    if picture.shape[2] == 3:
        return picture
    return np.concatenate([picture[..., :3] * picture[..., 3:], picture[..., 3:]], 2)


def _divided(picture: np.ndarray) -> np.ndarray:
    if picture.shape[2] == 3:
        return picture
    colour = picture[..., :3] / np.maximum(picture[..., 3:], 1e-6)
    return np.concatenate([np.clip(colour, 0, 1), picture[..., 3:]], 2)
