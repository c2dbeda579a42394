"""How fast each field learns, against the bars: `python -m tests.bench.nerf [--quick] [--plush 180]`.

The default scene, 64 views to learn from and 8 held out. Seconds are those of training alone, by
the clock; CPU seconds of the process stand beside them, for on a shared machine the clock lies.
PSNR is the mean over all held-out views (over two of them for slow fields, but for the last), scored
off the clock. --quick trains 20 s a field.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from core import runtime
from core.cameras import resized
from core.geometry import save_geometry
from core.nerf import FIELDS, NerfSettings, Trained, Views, render, score, train
from core.nerf.loading import load_views
from core.nerf.mesh import to_mesh
from core.nerf.rendered import from_scene
from core.scenes import scene

PLUSH = Path(__file__).parents[3] / "shared/data/views/plush"
OUT = Path(tempfile.gettempdir())
GRIDS = ("tensor", "hash", "voxel")
MARKS_DB = (22.0, 27.0, 30.0)
LOOK_S = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 20, 25, 30, 40, 50, 60, 75, 90)


@dataclass
class Curve:
    """Held-out (seconds, CPU seconds, PSNR) as one field learned, and its last state."""

    points: list[tuple[float, float, float]] = field(default_factory=list)
    last: Trained | None = None

    def reached(self, db: float) -> float:
        """Seconds to db; inf if it never got there."""
        return min((s for s, _, p in self.points if p >= db), default=float("inf"))

    def by(self, seconds: float) -> float:
        """The best PSNR up to then."""
        return max((p for s, _, p in self.points if s <= seconds + 0.5), default=float("nan"))


def learned(views: Views, kind: str, seconds: float) -> Curve:
    """Train one field, and score it now and then."""
    curve, looks = Curve(), [s for s in LOOK_S if s < seconds] + [seconds]
    off, began = 0.0, time.process_time()
    for shot in train(views, NerfSettings(field_kind=kind, seconds=seconds)):
        curve.last = shot
        if looks and shot.seconds >= looks[0]:
            while looks and shot.seconds >= looks[0]:
                looks.pop(0)
            scored = time.process_time()
            # a deep network takes seconds a picture: two do until the end
            which = views.test if kind in GRIDS or not looks else views.test[:2]
            db = score(shot.field, views, which)[0]
            curve.points.append((shot.seconds, scored - began - off, db))
            off += time.process_time() - scored
    return curve


def real(seconds: float) -> None:
    """Real photos of a plush toy, 494×371, with the poses that came with them."""
    if not PLUSH.exists():
        print(f"{PLUSH.name}: not here, not measured")
        return
    views = load_views(PLUSH)
    last = None
    for shot in train(views, NerfSettings(seconds=seconds)):
        last = shot
    assert last is not None
    db, ssim = score(last.field, views, views.test)
    said(f"plush, 18 dB within {seconds:g} s", f"{db:.2f} dB, SSIM {ssim:.3f}, {last.step} steps, "
         f"{len(views.test)} held out", db >= 18)  # fmt: skip
    mesh = to_mesh(last.field, views, resolution=160)
    print(f"its mesh: {len(mesh.points)} corners -> {save_geometry(OUT / 'plush.glb', mesh)}")


def said(name: str, value: str, met: bool) -> None:
    print(f"{'met   ' if met else 'MISSED'}  {name}: {value}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="20 s a field")
    parser.add_argument("--plush", type=float, metavar="S", help="only the real photos, S seconds")
    parser.add_argument("--fields", nargs="*", default=list(FIELDS), choices=list(FIELDS))
    given = parser.parse_args()
    if given.plush:
        real(given.plush)
        return
    seconds = 20.0 if given.quick else 90.0
    views = from_scene(scene("tabletop"), 64, (128, 128))
    curves = {}
    print(f"128², {seconds:g} s a field on {runtime.device()}; seconds to each PSNR")
    print("field      " + "".join(f"{db:>7g} dB" for db in MARKS_DB) + "    at end  steps  CPU s")
    for kind in given.fields:
        curve = curves[kind] = learned(views, kind, seconds)
        last = curve.last
        assert last is not None
        times = "".join(f"{curve.reached(db):>10.1f}" for db in MARKS_DB)
        _, cpu, db = curve.points[-1]
        print(f"{kind:<11}{times}{db:>7.2f} dB{last.step:>7}{cpu:>7.1f}", flush=True)
    if "tensor" in curves:
        tensor = curves["tensor"]
        said("tensor, 27 dB within 20 s", f"{tensor.by(20):.2f} dB", tensor.by(20) >= 27)
        if not given.quick:
            said("tensor, 30 dB within 90 s", f"{tensor.by(90):.2f} dB", tensor.by(90) >= 30)
        if "frequency" in curves:
            ratio = min(curves["frequency"].reached(22), seconds) / tensor.reached(22)
            said("to 22 dB, 10× faster than frequency", f"at least {ratio:.1f}×", ratio >= 10)
    if runtime.device() != "cuda":
        print("No CUDA device here: the GPU bars were not measured.")
        return
    views = from_scene(scene("tabletop"), 64, (400, 400))
    curve = learned(views, "hash", 60.0)
    said("hash 400², 30 dB within 10 s", f"{curve.by(10):.2f} dB", curve.by(10) >= 30)
    said("hash 400², 35 dB within 60 s", f"{curve.by(60):.2f} dB", curve.by(60) >= 35)
    assert curve.last is not None
    large = resized(views.cameras[0], 800, 800)
    render(curve.last.field, large)
    began = time.perf_counter()
    for _ in range(5):
        render(curve.last.field, large)
    rate = 5 / (time.perf_counter() - began)
    said("800×800 at 10 frames a second", f"{rate:.1f}", rate >= 10)


if __name__ == "__main__":
    main()
