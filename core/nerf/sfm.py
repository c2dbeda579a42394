"""COLMAP in a process of its own: `python -m core.nerf.sfm ROOM JOB`; `core.nerf.poses` starts it.

Native code can crash, and takes its process with it; a process, unlike a thread, can be killed at
any moment. And two things in the app's process can't live beside COLMAP's library (pycolmap 4.2.1):

    Pillow      once pycolmap is imported, writing a PNG corrupts the heap: both bring a zlib
    sqlite3     COLMAP keeps features and matches in an SQLite database. The locks of a file belong
                to the whole process: when a second copy of SQLite opens and closes that file,
                COLMAP's own locks are gone, its shared memory is cut off under it: a bus error

So the app never imports pycolmap, and nobody but COLMAP touches its database. How far the work has
come is read from COLMAP's log, on stderr; the answer, a line of JSON, is all that goes to stdout.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

SIDE_PX = 1000  # of the pictures features are sought in: COLMAP reduces them, and scales back
FEATURES = 2048  # a picture's most; the time for a pair grows with their square
PART = 20  # pictures: matching goes block by block, and each block is told in the log
ENOUGH = 0.9  # of the frames of a film; if fewer are placed, every pair is compared
FEW = 100  # frames for which that takes a minute or two


def reconstruct(
    p: Any, room: Path, *, n: int, video: bool, one_lens: bool, seed: int
) -> dict[str, float]:
    """The largest model that COLMAP, the package `p`, makes of the n pictures in
    room/capture/images: written to room/capture/model.

    Gives how many were `found`, the mean reprojection error_px, and the number of points; found 0
    alone if there is no model. video: only frames that follow each other are compared at first.
    """
    base, images, cpu = room / "database.db", room / "capture" / "images", p.Device.cpu
    p.set_random_seed(seed)
    looks = p.FeatureExtractionOptions()
    looks.max_image_size, looks.sift.max_num_features = SIDE_PX, FEATURES
    lens = p.CameraMode.SINGLE if one_lens else p.CameraMode.PER_IMAGE
    p.extract_features(base, images, camera_mode=lens, extraction_options=looks, device=cpu)
    options = p.IncrementalPipelineOptions(random_seed=seed, max_num_models=3, min_model_size=3)
    blocks = p.ExhaustivePairingOptions(block_size=PART)
    out = room / "out"
    out.mkdir()

    def neighbours() -> None:
        p.match_sequential(base, device=cpu)

    def everything() -> None:
        p.match_exhaustive(base, pairing_options=blocks, device=cpu)

    def placed(model: Any) -> int:
        return model.num_reg_images() if model else 0

    ways, best = [everything], None
    if video:
        ways = [neighbours, everything] if n <= FEW else [neighbours]
    for match in ways:
        match()
        models = p.incremental_mapping(base, images, out, options=options)
        best = max((best, *models.values()), key=placed)
        if placed(best) >= ENOUGH * n:
            break
    if not best:
        return {"found": 0}
    (room / "capture" / "model").mkdir()
    best.write_binary(str(room / "capture" / "model"))
    return {
        "found": best.num_reg_images(),
        "error_px": best.compute_mean_reprojection_error(),
        "points": best.num_points3D(),
    }


def main(room: Path, job: dict[str, Any]) -> dict[str, Any]:
    """What `reconstruct` gives, or why there is nothing: `missing`, the package can't be imported;
    `error`, COLMAP's own words."""
    try:
        import pycolmap as p  # type: ignore[import-not-found]
    except Exception as error:  # a broken native library raises other kinds than ImportError
        return {"missing": " ".join(str(error).split())}
    p.logging.logtostderr = True
    try:
        return reconstruct(p, room, **job)
    except Exception as error:
        return {"error": " ".join(str(error).split())}


def _die_with_parent(room: Path) -> None:
    """Ends this process when the parent does, however it does: then its end of stdin closes."""
    os.read(0, 1)
    shutil.rmtree(room, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    home = Path(sys.argv[1])
    threading.Thread(target=_die_with_parent, args=(home,), daemon=True).start()
    print(json.dumps(main(home, json.loads(sys.argv[2]))), flush=True)
