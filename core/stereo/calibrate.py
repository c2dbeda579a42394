"""Calibration: what two cameras are, and how they stand to each other, from pictures of a board.

Every inner corner of a chessboard has a known place on the board. Seen from a few sides, only one
pair of cameras puts all of them where the pictures show them: first each camera alone (Zhang,
PAMI 2000), then both together with the one turn and shift between them that all pairs share.
What remains, the reprojection error, says how well that went: below 0.5 px is good. The board
must be tilted from picture to picture; seen square on each time, near with a short lens and far
with a long one look the same.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from core import images
from core.stereo.board import Board, Corners, Picture, detect, drawn, find
from core.stereo.types import Calibration
from core.types import InputError, Progress, Rig, silent

LEAST = 3  # pairs; two leave the focal length to chance
OUTLIER = 3.0  # times the other pairs' error
LEAST_TILT_DEG = 5.0  # parallel boards say the same about the focal length, however many
SAME_ANGLE = (
    "The focal length can't be told from these pictures: the board stands at nearly the same "
    "angle in all. Add pairs with it tilted to all sides."
)


@dataclass(frozen=True)
class Calibrated:
    """The calibration and how it came about; pairs are counted from 0 as they were given.

    pair_rms_px (N,): each pair's reprojection error, NaN if it was left out; rejected says why.
    pictures: each pair side by side, its corners drawn. focal_sigma: by how much the focal
    lengths may be off, as a share of them. notes are sentences on what a person should know.
    """

    calibration: Calibration
    pair_rms_px: np.ndarray
    corners: tuple[Corners, ...]
    pictures: tuple[np.ndarray, ...]
    rejected: dict[int, str]
    focal_sigma: float
    notes: tuple[str, ...] = ()


def known_rig(rig: Rig | Calibration | Calibrated) -> Rig | Calibration:
    """The rig itself of whatever holds one. Raises InputError for anything else."""
    rig = rig.calibration if isinstance(rig, Calibrated) else rig
    if not isinstance(rig, Rig | Calibration):
        raise InputError(
            f"A {type(rig).__name__} is no rig. Give a Rig, or what `calibrate` or a calibration "
            "file gave."
        )
    return rig


def calibrate(
    pairs: Iterable[tuple[Picture, Picture]],
    board: Board = Board(),
    *,
    progress: Progress = silent,
) -> Calibrated:
    """Both cameras from pairs (left, right) of RGB pictures of one size, each showing the board.

    A pair is left out, with the reason, if the board isn't whole in both pictures, if its size is
    another, or if its error is OUTLIER times that of the others. Distortion is k1 k2 p1 p2; the
    fifth number runs wild with few pairs and stays 0. The result agrees with `stereoCalibrate`.
    Raises InputError if fewer than LEAST pairs remain or no sane cameras explain them.
    """
    loaded = [_pair(pair, k) for k, pair in enumerate(pairs)]
    if len(loaded) < LEAST:
        raise InputError(
            f"Calibration needs {LEAST} pairs of pictures or more; there are {len(loaded)}. Add "
            "pairs with the board held at other angles; ten are good."
        )
    size = Counter(left.shape[1::-1] for left, _ in loaded).most_common(1)[0][0]
    corners, rejected = [], {}
    for k, pair in enumerate(loaded):
        progress(0.7 * k / len(loaded), desc=f"looking for the board, pair {k + 1}")
        fits = all(picture.shape[1::-1] == size for picture in pair)
        corners.append(detect(pair, board) if fits else Corners(None, None))
        lost = [s for s in ("left", "right") if getattr(corners[k], s) is None]
        if not fits:
            rejected[k] = f"its pictures aren't both {size[0]}×{size[1]} px like the others"
        elif lost:
            rejected[k] = f"no whole board in the {' and the '.join(lost)} picture"
    good = [k for k in range(len(loaded)) if k not in rejected]
    if len(good) < LEAST:
        raise InputError(_too_few(len(good), loaded, board))
    progress(0.75, desc="calibrating")
    found = _solved(board, corners, good, size, rejected)
    progress(1.0, desc="calibrated")
    calibration, errors, sigma = found
    rms = np.full(len(loaded), np.nan)
    for k, error in errors.items():
        rms[k] = error
    seen = tuple(drawn(*both, board) for both in zip(loaded, corners, strict=True))
    notes = _notes(calibration, sigma)
    return Calibrated(calibration, rms, tuple(corners), seen, rejected, sigma, notes)


# ---------------------------------------------------------------- the pairs


def _pair(pair: tuple[Picture, Picture], k: int) -> tuple[Picture, Picture]:
    try:
        left, right = pair
    except (TypeError, ValueError):
        raise InputError(f"Pair {k + 1} isn't two pictures. Give a left and a right one.") from None
    name = f"picture of pair {k + 1}"
    return images.as_rgb(left, f"The left {name}"), images.as_rgb(right, f"The right {name}")


def _too_few(good: int, loaded: list[tuple[Picture, Picture]], board: Board) -> str:
    said = (
        f"{good} of {len(loaded)} pairs {'shows' if good == 1 else 'show'} a whole board "
        f"of {board.columns}×{board.rows} inner corners in both pictures; {LEAST} are needed. "
    )
    if min(board.columns, board.rows) > 3:
        fewer = Board(board.columns - 1, board.rows - 1, board.square, board.unit)
        if find(loaded[0][0], fewer) is not None:
            return (
                f"{said}With {fewer.columns}×{fewer.rows} it is found: set the corners to that, "
                "they are one less than the squares."
            )
    return f"{said}Check the number of corners, or take pictures with the whole board in view."


# ---------------------------------------------------------------- cameras


def _solved(
    board: Board,
    corners: list[Corners],
    good: list[int],
    size: tuple[int, int],
    rejected: dict[int, str],
) -> tuple[Calibration, dict[int, float], float]:
    """The calibration, each used pair's error, and the focal lengths' uncertainty; pairs that don't
    fit the others go to `rejected`."""
    import cv2

    checked = False
    while True:
        try:
            calibration, errors, strayed, sigma = _fit(board, corners, good, size)
        except cv2.error:
            raise InputError(
                "No pair of cameras explains these corners. Tilt the board differently in every "
                "pair, and check that left and right belong together."
            ) from None
        # a mismatched pair spoils the joint fit of all, so it is looked for in the poses first
        suspects = errors if checked else strayed
        worst = max(suspects, key=suspects.__getitem__)
        others = float(np.median([suspects[k] for k in good if k != worst]))
        if suspects[worst] > max(OUTLIER * others, 0.5 if checked else 3.0):
            good = [k for k in good if k != worst]
            rejected[worst] = (
                f"its corners miss by {suspects[worst]:.1f} px, the other pairs' by {others:.1f}"
            )
            if len(good) < LEAST:
                raise InputError(
                    "The pairs contradict each other. Check that left and right of each were "
                    "taken at the same moment, and that the cameras didn't move apart."
                )
        elif checked:
            _check(calibration, sigma)
            return calibration, errors, sigma
        else:
            checked = True


def _fit(
    board: Board, corners: list[Corners], good: list[int], size: tuple[int, int]
) -> tuple[Calibration, dict[int, float], dict[int, float], float]:
    """The joint fit; by pair, its error in that fit, and how far its own pose strays from the
    most typical one (both px); the focal lengths' relative sigma."""
    import cv2

    place = np.zeros((board.rows * board.columns, 3), np.float32)
    place[:, :2] = np.mgrid[: board.columns, : board.rows].T.reshape(-1, 2) * board.square
    places = [place] * len(good)
    flags = cv2.CALIB_FIX_K3
    sides, cameras, sigmas = [], [], []
    for side in ("left", "right"):
        seen = [(getattr(corners[k], side) - 0.5)[:, None].astype(np.float32) for k in good]
        sides.append(seen)
        _, K, distortion, turns, shifts, deviations, *_ = cv2.calibrateCameraExtended(
            places, seen, size, np.eye(3), np.zeros(5), flags=flags
        )
        cameras.append((K, distortion.ravel()[:5], turns, shifts))
        sigmas.append(float(deviations.ravel()[:2].max() / K[0, 0]))
    (K0, d0, turns0, shifts0), (K1, d1, turns1, shifts1) = cameras

    boards = [cv2.Rodrigues(turn)[0] for turn in turns0]
    normals = np.array([turn[:, 2] for turn in boards])
    if (normals @ normals.T).min() > math.cos(math.radians(LEAST_TILT_DEG)):
        raise InputError(SAME_ANGLE)
    poses = []
    for k, A in enumerate(boards):
        B = cv2.Rodrigues(turns1[k])[0]
        poses.append((B @ A.T, shifts1[k] - B @ A.T @ shifts0[k]))
    misses = np.zeros((len(good), len(good)))  # of pair k, if the cameras stood as in pair j
    for j, (R, t) in enumerate(poses):
        for k in range(len(good)):
            turn, shift = cv2.Rodrigues(R @ boards[k])[0], R @ shifts0[k] + t
            guess = cv2.projectPoints(place, turn, shift, K1, d1)[0]
            misses[k, j] = math.sqrt(np.mean(np.sum((guess - sides[1][k]) ** 2, -1)))
    typical = int(np.argmin(np.median(misses, axis=0)))

    precise = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-7)
    rms, K0, d0, K1, d1, R, t, *_, errors = cv2.stereoCalibrateExtended(
        places, sides[0], sides[1], K0, d0, K1, d1, size, *poses[typical],
        flags=flags | cv2.CALIB_USE_INTRINSIC_GUESS, criteria=precise,
    )  # fmt: skip
    half = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    calibration = Calibration(
        K0 + half, K1 + half, d0.ravel()[:5], d1.ravel()[:5], R, t.ravel(), size, board.unit,
        float(rms),
    )  # fmt: skip
    by_pair = np.sqrt(np.mean(np.asarray(errors) ** 2, axis=1))
    strayed = misses[:, typical]
    return (
        calibration,
        {k: float(e) for k, e in zip(good, by_pair, strict=True)},
        {k: float(e) for k, e in zip(good, strayed, strict=True)},
        max(sigmas),
    )


def _check(calibration: Calibration, sigma: float) -> None:
    longest = max(calibration.size)
    for K in (calibration.K0, calibration.K1):
        focal = K[0, 0], K[1, 1]
        inside = (K[:2, 2] > 0).all() and (K[:2, 2] < calibration.size).all()
        if not (min(focal) > 0.1 * longest and max(focal) < 50 * longest and inside):
            sigma = math.inf
    if not sigma < 0.05 or not math.isfinite(calibration.rms_px):
        raise InputError(SAME_ANGLE)
    if np.linalg.norm(calibration.t) < 1e-6 * np.linalg.norm(calibration.K0[0, 0]):
        raise InputError(
            "Left and right are the same pictures: no baseline is between them. Give both cameras'."
        )


def _notes(calibration: Calibration, sigma: float) -> tuple[str, ...]:
    notes = []
    if calibration.rms_px > 0.5:
        notes.append(
            f"The reprojection error is {calibration.rms_px:.2f} px; below 0.5 is good. Blur, a "
            "bent board or pictures taken at different moments make it large."
        )
    if sigma > 0.02:
        notes.append(
            f"The focal length is known to {sigma:.0%} only. Tilt the board more, and add pairs."
        )
    if calibration.t[0] > 0:
        notes.append("The right camera stands to the left of the left one: swap the pictures.")
    return tuple(notes)
