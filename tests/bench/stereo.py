"""How good and how fast the stereo methods are, against the bars: `python -m tests.bench.stereo`.

bad-t is the share of all pixels with truth whose disparity is more than t px off; an unknown pixel
counts as bad. EPE is the mean error in px (unknown pixels left out). `plain` is what everybody can
have from OpenCV in ten lines: StereoSGBM with 8 paths, a border so that the left margin isn't
lost, holes filled from the background, a 5×5 median.

Two sets: six Middlebury pairs, if ../shared/data is on this machine, and twelve rendered random
scenes with a little blur, noise and a change of exposure. No number of the methods was chosen on
either.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from core.stereo.dots import SHAPES, random_dots
from core.stereo.methods import find
from core.stereo.truth import score
from core.stereo.types import METHODS, StereoSettings

DATA = Path(__file__).parents[2] / "../shared/data/stereo"
REAL = ("cones", "teddy", "tsukuba", "Cloth1", "Adirondack", "Motorcycle")
LARGEST_PX = 64

Pair = tuple[np.ndarray, np.ndarray, np.ndarray]
Method = Callable[[np.ndarray, np.ndarray], np.ndarray]


def plain(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """StereoSGBM as its documentation advises, padded, filled and smoothed; (H, W) float32 px."""
    import cv2

    side = 3
    engine = cv2.StereoSGBM.create(
        minDisparity=0, numDisparities=LARGEST_PX, blockSize=side, P1=8 * 3 * side**2,
        P2=32 * 3 * side**2, disp12MaxDiff=1, uniquenessRatio=10, speckleWindowSize=100,
        speckleRange=2, preFilterCap=63, mode=cv2.STEREO_SGBM_MODE_HH,
    )  # fmt: skip
    wide = [cv2.copyMakeBorder(p, 0, 0, LARGEST_PX, 0, cv2.BORDER_REPLICATE) for p in (left, right)]
    found = engine.compute(*wide)[:, LARGEST_PX:].astype(np.float32) / 16
    known = found >= 0
    width = found.shape[1]
    columns = np.arange(width)
    before = np.maximum.accumulate(np.where(known, columns, -1), 1)
    after = np.minimum.accumulate(np.where(known, columns, width)[:, ::-1], 1)[:, ::-1]
    ends = np.pad(found, ((0, 0), (0, 1)), constant_values=np.inf)
    least = np.minimum(
        np.where(before < 0, np.inf, np.take_along_axis(ends, np.maximum(before, 0), 1)),
        np.take_along_axis(ends, after, 1),
    )
    filled = np.where(known, found, np.where(np.isfinite(least), least, 0))
    return cv2.medianBlur(filled.astype(np.float32), 5)


def methods() -> dict[str, Method]:
    """plain, then every method of the tab."""

    def of(key: str) -> Method:
        settings = StereoSettings(method=key, max_disparity_px=LARGEST_PX)
        return lambda left, right: find(left, right, settings).disparity

    keys = ("block", "sgbm", "refined")
    return {"plain": plain} | {key: of(key) for key in keys if key in METHODS}


# ---------------------------------------------------------------- pairs


def real_pairs() -> dict[str, Pair]:
    from core.images import load

    return {
        name: (
            load(DATA / name / "left.png"),
            load(DATA / name / "right.png"),
            np.load(DATA / name / "disp_left.npy"),
        )
        for name in REAL
        if (DATA / name).is_dir()
    }


def rendered_pairs() -> dict[str, Pair]:
    """Twelve random scenes, 450×375 px, largest disparity 25 to 55 px, as a camera sees them."""
    from core.scenes import random_scene, stereo_pair

    made = {}
    for seed in range(9000, 9012):
        rng = np.random.default_rng(seed)
        scene = random_scene(seed)
        near = np.nanpercentile(stereo_pair(scene, 0.1, (450, 375)).disparity_px, 99.5)
        pair = stereo_pair(scene, float(0.1 * rng.uniform(25, 55) / near), (450, 375))
        made[f"scene {seed}"] = (
            photographed(pair.left, rng, 1.0),
            photographed(pair.right, rng, float(rng.uniform(0.9, 1.1))),
            np.where(pair.disparity_px < LARGEST_PX - 1, pair.disparity_px, np.nan),
        )
    return made


def photographed(picture: np.ndarray, rng: np.random.Generator, gain: float) -> np.ndarray:
    """The rendering with a lens's blur, a sensor's noise and an exposure."""
    import cv2

    soft = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 0.5) * gain
    return np.clip(soft + rng.normal(0, 1.0, soft.shape) + 0.5, 0, 255).astype(np.uint8)


# ---------------------------------------------------------------- figures


def figures(disparity: np.ndarray, truth: np.ndarray) -> list[float]:
    """bad-1, bad-2, bad-4 in %, EPE in px."""
    found = score(disparity, truth)
    return [100 * found[f"bad_{t}"] for t in (1, 2, 4)] + [found["epe"]]


def compare(title: str, pairs: dict[str, Pair]) -> dict[str, np.ndarray]:
    """Prints a table; returns each method's mean (bad-1, bad-2, bad-4, EPE, seconds)."""
    print(f"\n{title}\n{'':12} {'method':8}  bad-1  bad-2  bad-4    EPE      s")
    rows: dict[str, list[list[float]]] = {}
    for name, (left, right, truth) in pairs.items():
        for key, method in methods().items():
            start = time.perf_counter()
            disparity = method(left, right)
            seconds = time.perf_counter() - start
            row = [*figures(disparity, truth), seconds]
            rows.setdefault(key, []).append(row)
            print(line(name, key, row))
    means = {key: np.mean(of, 0) for key, of in rows.items()}
    for key, mean in means.items():
        shares = " / ".join(
            f"{a / b:.2f}" for a, b in zip(mean[:3], means["plain"][:3], strict=True)
        )
        print(f"{line('mean', key, mean)}   {shares} of plain's")
    return means


def line(name: str, key: str, row) -> str:
    return (
        f"{name:12} {key:8} {row[0]:6.2f} {row[1]:6.2f} {row[2]:6.2f} {row[3]:6.2f} {row[4]:6.2f}"
    )


def bar(what: str, figure: float, most: float, unit: str = "") -> None:
    verdict = "met" if figure <= most else "missed"
    print(f"{what}: {figure:.2f}{unit}, bar at most {most:g}{unit}: {verdict}")


def dots() -> None:
    settings = StereoSettings(max_disparity_px=LARGEST_PX)
    for shape in SHAPES:
        pair = random_dots(shape)
        assert pair.truth is not None
        found = find(pair.left, pair.right, settings).disparity
        off = figures(found, pair.truth.disparity)[0]
        bar(f"random dots, {shape}: refined's pixels off by more than 1 px", off, 3, " %")


def main() -> None:
    real = real_pairs()
    rendered = compare("twelve random scenes", rendered_pairs())
    means = compare("six real pairs", real) if real else {}
    print("\nbars")
    if real:
        plain_bad = means["plain"][1]
        print(f"plain, mean bad-2 of the six: {plain_bad:.2f} % (reference 7.1 %)")
        bar("refined, mean bad-2 of the six", means["refined"][1], 6.0, " %")
        bar("refined, of plain's", means["refined"][1] / plain_bad, 0.85)
        best = min((m[1], key) for key, m in means.items())
        bar(f"the best ({best[1]}), of plain's", best[0] / plain_bad, 0.7)
        left, right, _ = real["cones"]
    else:
        print("the six real pairs are left out: ../shared/data is not on this machine")
        left, right, _ = next(iter(rendered_pairs().values()))
    bar(
        "refined on rendered scenes, of plain's",
        rendered["refined"][1] / rendered["plain"][1],
        0.85,
    )
    for key, method in methods().items():
        if key == "refined":
            method(left, right)
            took, used = [], time.process_time()
            for _ in range(7):
                start = time.perf_counter()
                method(left, right)
                took.append(time.perf_counter() - start)
            used = (time.process_time() - used) / len(took)
            bar(f"{key}, 450×375 px, 64 disparities", statistics.median(took), 2.0, " s")
            print(f"    fastest {min(took):.2f} s; on all cores together {used:.2f} s")
    dots()


if __name__ == "__main__":
    main()
