"""Pairs to start with, whose every pixel's true partner is known: a photograph and its warp, and
what `rendered` makes."""

from __future__ import annotations

from functools import lru_cache

from core.matching.types import Pair
from core.types import InputError, Unavailable

EXAMPLES = {
    "photo": "Photo, strongly warped",
    "poster": "Posters on a wall",
    "street": "Street corner",
    "repetition": "Repeated windows",
    "viewpoint": "Extreme tilt",
}
WITH_CAMERAS = ("street",)  # of these K0 and K1 are known
TITLES = {
    "poster": "Posters on a wall: flat, so a homography holds exactly",
    "street": "Street corner: boxes at many depths, cameras and depth known exactly",
    "photo": "A photograph and a strong warp of it",
    "repetition": "Repeated windows: the ratio test's hard case",
    "viewpoint": "Posters seen from far aside: too much for plain SIFT",
}


@lru_cache(maxsize=8)
def make(key: str, seed: int = 0) -> Pair:
    """The example `key` of EXAMPLES; its arrays are shared, so don't write into them.

    seed varies colours, posters and grain.

    Raises InputError for an unknown key, Unavailable if the photo's package is missing.
    """
    if key not in EXAMPLES:
        raise InputError(f"There is no example {key!r}. Choose one of: {', '.join(EXAMPLES)}.")
    if key == "photo":
        return _photo(seed)
    from core.matching.rendered import pair  # the renderer is not needed before this

    return pair(key, TITLES[key], seed)


def _photo(seed: int) -> Pair:
    from core.matching.pairs import PairSettings, warp

    try:
        from skimage import data
    except ImportError:
        raise Unavailable(
            "The example photo comes with scikit-image, which is not installed. Choose another "
            "example, or upload a photo."
        ) from None
    # Eileen Collins, NASA, public domain.
    settings = PairSettings(
        corners=(0.12, 0.05, -0.04, 0.1, 0.02, -0.08, -0.05, 0.04), rotate_deg=38.0, scale=0.8,
        perspective=0.45, noise=0.02, brightness=-0.08, contrast=0.8, pair_seed=seed,
    )  # fmt: skip
    pair = warp(data.astronaut(), settings)
    return Pair(pair.image0, pair.image1, pair.truth, TITLES["photo"])
