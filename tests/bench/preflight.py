"""What the check before matching says of pairs broken on purpose, and of good ones.

    python -m tests.bench.preflight

60 rendered pairs: six scenes at four baselines and 36 random scenes, 480×360 and 320×240 px, with
sensor noise. Each of them is judged as it is; ten of each kind are broken. "Only" counts those
where the fault is named and nothing else; "mended" those where the check, after its own fix, no
longer finds it. No number in the check was chosen on these random scenes, noises and baselines.
The real pairs of ../shared/data/stereo, if they are there, are judged in the same ways.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.stereo.preflight import Preflight, preflight
from core.stereo.prepare import PrepareSettings, fixed, prepare
from core.stereo.types import StereoSettings
from core.types import InputError

REAL = Path(__file__).parents[3] / "shared/data/stereo"
NAMED = {  # how a pair is broken: the finding that names it
    "swapped": "swapped",
    "3 px lower": "not_rectified",
    "turned 1°": "rotated",
    "exposure × 0.5": "exposure",
    "wrong range": "range",
    "same twice": "same",
}
BASELINES_M = {"tabletop": 0.16, "street": 0.4, "gallery": 0.35, "thin": 0.2, "mirror": 0.15,
               "terrain": 0.7}  # fmt: skip
SCALES = 0.45, 0.8, 1.2, 1.35
SIZES = (480, 360), (320, 240)
FIRST_SEED, RANDOM = 9000, 36


@dataclass(frozen=True)
class Case:
    """left, right (H, W, 3) uint8 and the true disparity (H, W) px of the left one."""

    name: str
    left: np.ndarray
    right: np.ndarray
    disparity: np.ndarray


def rendered() -> Iterable[Case]:
    """The 60 pairs, without noise."""
    from core.scenes import random_scene, scene, stereo_pair

    worlds = [(f"{n} × {s:g}", scene(n), b * s) for n, b in BASELINES_M.items() for s in SCALES]
    for seed in range(FIRST_SEED, FIRST_SEED + RANDOM):
        scale = SCALES[seed % len(SCALES)]
        worlds.append((f"random {seed} × {scale:g}", random_scene(seed), 0.16 * scale))
    for k, (name, world, baseline_m) in enumerate(worlds):
        pair = stereo_pair(world, baseline_m, SIZES[k % 5 > 2])
        yield Case(name, pair.left, pair.right, pair.disparity_px)


def real() -> Iterable[Case]:
    from core.images import load

    for folder in sorted(REAL.glob("*/disp_left.npy")):
        left, right = (load(folder.parent / f"{side}.png") for side in ("left", "right"))
        yield Case(folder.parent.name, left, right, np.load(folder))


def right_range(case: Case) -> StereoSettings:
    """The shortest range in steps of 8 px that holds every true disparity."""
    top = float(np.nanmax(np.where(np.isfinite(case.disparity), case.disparity, np.nan)))
    return StereoSettings(max_disparity_px=max(16, 8 * math.ceil((top + 1) / 8)))


def broken(case: Case, how: str, seed: int, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """left, right: broken (as it is for a key that isn't one of NAMED), then each with noise."""
    left, right = case.left, case.right
    rng = np.random.default_rng([seed, 7])
    sign, which = rng.choice([-1, 1]), rng.integers(2)
    if how == "swapped":
        left, right = right, left
    elif how == "same twice":
        right = left
    elif how == "3 px lower":
        right = moved(right, 0.0, 3.0 * sign)
    elif how == "turned 1°":
        if which:
            left = moved(left, sign, 0.0)
        else:
            right = moved(right, sign, 0.0)
    elif how == "exposure × 0.5":
        if which:
            left = (left * 0.5).astype(np.uint8)
        else:
            right = (right * 0.5).astype(np.uint8)
    noisy = [
        np.clip(eye + rng.normal(0, 255 * sigma, eye.shape) + 0.5, 0, 255).astype(np.uint8)
        for eye in (left, right)
    ]
    return noisy[0], noisy[1]


def moved(picture: np.ndarray, turn_deg: float, down_px: float) -> np.ndarray:
    """The picture turned about its middle and moved down, its border mirrored."""
    import cv2

    height, width = picture.shape[:2]
    how = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), turn_deg, 1.0)
    how[1, 2] += down_px
    return cv2.warpAffine(
        picture, how, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )


def wrong_range(case: Case, seed: int) -> StereoSettings:
    """A range that ends before the nearer half, or begins after the farther half."""
    low, high = np.nanpercentile(case.disparity, (30, 70))
    if seed % 2:
        return StereoSettings(max_disparity_px=max(8, 8 * math.floor((low + high) / 16)))
    least = math.ceil((low + high) / 2)
    return StereoSettings(min_disparity_px=least, max_disparity_px=least + 64)


def judged(
    case: Case, how: str, seed: int, sigma: float
) -> tuple[np.ndarray, np.ndarray, StereoSettings, Preflight]:
    left, right = broken(case, how, seed, sigma)
    settings = wrong_range(case, seed) if how == "wrong range" else right_range(case)
    return left, right, settings, preflight(left, right, settings)


def faults(check: Preflight) -> list[str]:
    return [finding.key for finding in check.findings if not finding.hint]


def mends(left: np.ndarray, right: np.ndarray, settings: StereoSettings, check: Preflight, key: str
          ) -> tuple[bool, list[str]]:  # fmt: skip
    """Is `key` gone after its own fix, and what is found then."""
    finding = next(f for f in check.findings if f.key == key)
    repair, settings = fixed(finding, PrepareSettings(), settings, check)
    try:
        pair = prepare(left, right, repair)
    except InputError as error:
        return False, [str(error)]
    left_over = faults(preflight(pair.left, pair.right, settings))
    return key not in left_over, left_over


def measure(cases: list[Case], *, all_broken: bool, noise: bool = True) -> None:
    score: Counter = Counter()
    seconds = []
    for k, case in enumerate(cases):
        sigma = 0.005 * (k % 4) if noise else 0.0
        for j, how in enumerate(["good", *NAMED]):
            # ten of the sixty for each way to break, spread over scenes and sizes
            if how != "good" and not all_broken and k % 6 != (j + k // 6) % 6:
                continue
            start = time.perf_counter()
            left, right, settings, check = judged(case, how, 100 * k + j + k // 6, sigma)
            seconds.append(time.perf_counter() - start)
            found, key = faults(check), NAMED.get(how)
            score[how, "pairs"] += 1
            score[how, "named"] += key in found if key else not found
            score[how, "only"] += found == ([key] if key else [])
            if found != ([key] if key else []):
                print(f"  {case.name}, {how}: {found}, {check.matches} matches, "
                      f"{check.low_px:.1f} to {check.high_px:.1f} px")  # fmt: skip
            if key in found and key != "same":
                gone, rest = mends(left, right, settings, check, key)
                score[how, "fixed"] += 1
                score[how, "mended"] += gone
                if rest:
                    print(f"  {case.name}, {how}, after its fix: {rest}")
    kinds = list(NAMED)
    for how in ["good", *kinds]:
        print(f"{how:16}" + "".join(
            f"{score[how, what]:4d} {what} " for what in ("pairs", "named", "only", "mended")
        ))  # fmt: skip
    total = {what: sum(score[how, what] for how in kinds)
             for what in ("pairs", "named", "fixed", "mended")}  # fmt: skip
    good = score["good", "pairs"]
    print(f"broken pairs named rightly {total['named'] / total['pairs']:.1%} (bar 95 %)")
    print(f"false alarms on good pairs {1 - score['good', 'named'] / good:.1%} (bar 5 %)")
    print(f"fixes that mend {total['mended']} of {total['fixed']}")
    print(f"{np.median(seconds):.2f} s a pair (median), {max(seconds):.2f} s at most")


def main() -> None:
    print("rendered pairs")
    measure(list(rendered()), all_broken=False)
    if REAL.is_dir():
        print("\nreal pairs")
        measure(list(real()), all_broken=True, noise=False)


if __name__ == "__main__":
    main()
