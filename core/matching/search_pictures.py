"""The short lessons on speed, computed from the pair on screen: pictures and what they say."""

from __future__ import annotations

import numpy as np

from core import images
from core.matching import search_trees as trees
from core.matching.features import detect
from core.matching.types import MatchSettings
from core.types import InputError

SIDE_PX = 640


def pictures(image0: np.ndarray, image1: np.ndarray) -> list[tuple[np.ndarray, str]]:
    """Four RGB uint8 pictures with their captions: SURF, Hamming distance, KD-tree, LSH.

    Raises InputError when a picture has no keypoints to look up.
    """
    small0, small1 = (images.fit(image, SIDE_PX)[0] for image in (image0, image1))
    sift0, sift1 = (_descriptors(image, "sift") for image in (small0, small1))
    orb0, orb1 = (_descriptors(image, "orb") for image in (small0, small1))

    distance = trees.hamming(orb0[0], orb1)
    nearest = int(distance.argmin())
    splits = trees.kd_tree_2d(trees.principal_axes(sift1, sift0[0])[0], depth=5)
    buckets = trees.lsh_buckets(orb1)
    return [
        (
            trees.surf_picture(small0),
            "SURF finds blobs with sums over boxes (left), four look-ups each in the integral "
            "image, in place of Gaussians (right).",
        ),
        (
            trees.hamming_picture(orb0[0], orb1[nearest]),
            f"ORB's descriptor is 256 bits. These two, nearest to each other, differ in "
            f"{distance[nearest]}: one XOR and a count.",
        ),
        (
            trees.kd_picture(sift1, sift0[0]),
            f"A KD-tree halves the descriptors again and again, here by {len(splits)} splits in five "
            "levels. Only the shaded leaf is "
            "searched: the blue ring marks what it finds, the orange one the true nearest.",
        ),
        (
            trees.lsh_picture(buckets),
            f"Locality-sensitive hashing drops {len(orb1)} descriptors into {len(buckets)} "
            "buckets by a few of their bits; only the query's own bucket is searched.",
        ),
    ]


def _descriptors(image: np.ndarray, method: str) -> np.ndarray:
    found = detect(image, MatchSettings(method=method, max_keypoints=800)).descriptors
    if found is None or not len(found):
        raise InputError("There are no keypoints to look up. Choose a picture with more texture.")
    return found
