"""How well a hole was filled, where it is known what was under it.

PSNR and SSIM ask for the very pixels that were hidden; a blur does well there. Gradient energy asks
for the same roughness, and the seam for an edge that can't be seen.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.inpainting.types import InpaintResult, as_bool
from core.inpainting.windows import box, window
from core.metrics import psnr
from core.types import InputError

SCORE_HELP = {
    "psnr": ("PSNR in the hole", "Against what was hidden; more is better.", "dB"),
    "ssim": ("SSIM in the hole", "Structure kept, 1 is all of it (Wang et al. 2004).", ""),
    "energy": ("Gradient energy", "Of the filling, divided by the truth's: below 1 is a blur.", ""),
    "seam": ("Seam", "Steps over the hole's edge, divided by those beside it; 1 is none.", ""),
    "outside": ("Changed outside", "Pixels outside the mask that differ; must be 0.", "px"),
}


def score(
    result: InpaintResult | np.ndarray,
    truth: np.ndarray,
    mask: np.ndarray,
    before: np.ndarray | None = None,
) -> dict[str, float]:
    """Every score of SCORE_HELP, inside the mask (H, W), True or 255, against truth (H, W, 3) uint8.

    before is the picture that was filled, if it isn't the truth outside the mask: a shadow that was
    left standing is no change.

    SSIM is NaN for pictures under 11 px a side, energy where the truth is flat or no two pixels of
    the hole touch, seam where nothing lies on one side of the edge. Raises InputError if sizes
    differ, or for a mask that is empty or no mask.
    """
    image = result.image if isinstance(result, InpaintResult) else result
    mask = as_bool(mask)
    if image.shape != truth.shape or mask.shape != image.shape[:2]:
        raise InputError(
            f"The filled picture {image.shape}, the truth {truth.shape} and the mask {mask.shape} "
            "differ in size. Score the picture that was filled."
        )
    if mask.dtype != bool:
        raise InputError(f"The mask is {mask.dtype}; give True where it was filled, else False.")
    if not mask.any():
        raise InputError("The mask is empty: nothing to score. Give the mask that was filled.")
    part = window(box(mask), mask.shape)
    near, true, hole = image[part], truth[part], mask[part]
    was = energy(true, hole)
    return {
        "psnr": psnr(near[hole], true[hole]),
        "ssim": ssim(near, true, hole),
        "energy": energy(near, hole) / was if was else float("nan"),
        "seam": seam(near, hole),
        "outside": float((image != (truth if before is None else before)).any(-1)[~mask].sum()),
    }


def ssim(image: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """Structural similarity (Wang et al. 2004: Gaussian of 1.5 px), its mean over the mask."""
    from skimage.metrics import structural_similarity

    if min(mask.shape) < 11:
        return float("nan")
    found: Any = structural_similarity(
        image, truth, channel_axis=2, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, data_range=255, full=True,
    )  # fmt: skip
    return float(found[1][mask].mean())


def steps(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Steps of brightness across (H, W - 1) and down (H - 1, W)."""
    grey = image.astype(np.float64) @ [0.299, 0.587, 0.114]
    return np.diff(grey, axis=1), np.diff(grey, axis=0)


def energy(image: np.ndarray, mask: np.ndarray) -> float:
    """Mean square of the steps between pixels of the hole; NaN if no two of them touch."""
    across, down = steps(image)
    inside = across[mask[:, 1:] & mask[:, :-1]], down[mask[1:] & mask[:-1]]
    return _mean(np.concatenate(inside) ** 2)


def seam(image: np.ndarray, mask: np.ndarray, band_px: int = 4) -> float:
    """Mean size of the steps over the hole's edge, divided by that of those up to `band_px` off."""
    import cv2

    kernel = np.ones((2 * band_px + 1,) * 2, np.uint8)
    near = cv2.dilate(mask.astype(np.uint8), kernel) > cv2.erode(mask.astype(np.uint8), kernel)
    over, beside = [], []
    for step, a, b in zip(
        steps(image),
        ((slice(None), slice(1, None)), slice(1, None)),
        ((slice(None), slice(None, -1)), slice(None, -1)),
        strict=True,
    ):
        edge = mask[a] != mask[b]
        over.append(np.abs(step[edge]))
        beside.append(np.abs(step[~edge & near[a] & near[b]]))
    around = _mean(np.concatenate(beside))
    return _mean(np.concatenate(over)) / around if around else float("nan")


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")
