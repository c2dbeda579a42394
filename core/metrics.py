"""Numbers that say how good a result is, shared by several topics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def auc(errors: Sequence[float] | np.ndarray, thresholds: Sequence[float]) -> list[float]:
    """Area under the recall curve up to each threshold, divided by it: 1 is perfect, 0 useless.

    Recall at e is the share of errors up to e, drawn through the points (eᵢ, i/n) and joined by
    straight lines from (0, 0), as in the evaluations of SuperGlue and LightGlue. Failures count
    as inf; NaN is treated as a failure. No errors at all give NaN.
    """
    sorted_errors = np.sort(np.nan_to_num(np.asarray(errors, np.float64), nan=np.inf))
    n = len(sorted_errors)
    if n == 0:
        return [float("nan")] * len(thresholds)
    error = np.concatenate([[0.0], sorted_errors])
    recall = np.arange(n + 1) / n
    areas = []
    for threshold in thresholds:
        below = int(np.searchsorted(error, threshold))  # the curve's points under the threshold
        x = np.append(error[:below], threshold)
        y = np.append(recall[:below], recall[below - 1])
        areas.append(float(np.trapezoid(y, x) / threshold))
    return areas


def corner_error_px(H_est: np.ndarray | None, H_true: np.ndarray, size: tuple[int, int]) -> float:
    """Mean distance of a picture's four corners under two homographies; inf without an estimate.

    size is (width, height) of picture 0; its corners are (0, 0) to (width, height), since the
    centre of the first pixel is (0.5, 0.5).
    """
    if H_est is None:
        return float("inf")
    width, height = size
    corners = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]], np.float64)
    est, true = corners @ np.asarray(H_est).T, corners @ np.asarray(H_true).T
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = est[:, :2] / est[:, 2:] - true[:, :2] / true[:, 2:]
        error = float(np.linalg.norm(apart, axis=1).mean())
    return error if np.isfinite(error) else float("inf")


def psnr(image0: np.ndarray, image1: np.ndarray, peak: float | None = None) -> float:
    """Peak signal-to-noise ratio in dB of two pictures of one shape; inf if they are equal.

    peak is the largest possible value: by default 255 for integers, 1 for floats.
    """
    if image0.shape != image1.shape:
        raise ValueError(f"psnr: shapes {image0.shape} and {image1.shape} differ")
    if peak is None:
        peak = 1.0 if image0.dtype.kind == "f" else 255.0
    mse = np.mean((image0.astype(np.float64) - image1.astype(np.float64)) ** 2)
    return float("inf") if mse == 0 else float(10 * np.log10(peak**2 / mse))
