"""What goes into matching and what comes out: settings, features, candidates, result, truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from core.recipe import Recipe
from core.types import InputError, Settings, setting

METHODS = {
    "sift": "SIFT",
    "orb": "ORB",
    "sift-flann": "SIFT + KD-tree",
    "orb-flann": "ORB + LSH",
    "affine-sift": "Affine SIFT",
    "template": "Template (NCC)",
    "efficientloftr": "EfficientLoFTR (hub)",
    "lightglue-superpoint": "LightGlue + SuperPoint (hub, non-commercial)",
    "dinov2": "DINOv2 patches (hub)",
}

METHOD_HELP = {
    "sift": "Blobs in scale space, gradient histograms, nearest neighbour, ratio test.",
    "orb": "Fast corners with binary descriptors, compared by Hamming distance.",
    "sift-flann": "SIFT, its neighbours looked up in randomised KD-trees.",
    "orb-flann": "ORB, its neighbours looked up by locality-sensitive hashing.",
    "affine-sift": "SIFT on many tilted copies of each picture, for extreme viewpoints. Slow.",
    "template": "Slides small patches over the other picture: the idea before features.",
}

CHECKS = ("ratio", "cross_check", "mutual_check")
USES = {  # of the settings that not every method reads, those that each does
    **dict.fromkeys(("sift", "sift-flann", "affine-sift"),
                    ("max_keypoints", *CHECKS, "root_sift")),
    **dict.fromkeys(("orb", "orb-flann", "template"), ("max_keypoints", *CHECKS)),
    **dict.fromkeys(("efficientloftr", "lightglue-superpoint"), ("max_keypoints",)),
    "dinov2": CHECKS,
}  # fmt: skip

GEOMETRIES = {
    "homography": "Homography",
    "fundamental": "Fundamental matrix",
    "essential": "Essential matrix",
    "affine": "Affine map",
    "none": "None",
}

ESTIMATORS = {"magsac": "MAGSAC++", "ransac": "RANSAC", "lmeds": "LMedS"}


@dataclass(frozen=True)
class MatchSettings(Settings):
    """How keypoints are found, described and paired. USES says which method reads what."""

    method: str = setting("sift", "Method", METHOD_HELP["sift"], choices=METHODS)
    max_keypoints: int = setting(
        2048, "Keypoints", "The strongest so many of each picture are kept.",
        minimum=8, maximum=20000, step=8, advanced=True,
    )  # fmt: skip
    ratio: float = setting(
        0.8, "Ratio", "Best distance over second best must stay below.",
        minimum=0.5, maximum=1.0, step=0.01,
    )  # fmt: skip
    cross_check: bool = setting(
        True, "Cross-check", "Keep a match only if each point is the other's nearest."
    )
    mutual_check: bool = setting(
        False, "Mutual ratio", "The ratio must hold from picture 1 back to picture 0 too.",
        advanced=True,
    )  # fmt: skip
    root_sift: bool = setting(
        True, "RootSIFT", "Compare square roots of SIFT's histograms (Hellinger distance).",
        advanced=True,
    )  # fmt: skip
    rotate_retry: bool = setting(
        False, "Rotate and retry", "Try picture 1 at 0, 90, 180 and 270 degrees; keep the best.",
        advanced=True,
    )  # fmt: skip
    max_side_px: int = setting(
        1600, "Working size", "Larger pictures are reduced to this for finding points.",
        minimum=64, maximum=8192, step=16, unit="px", advanced=True,
    )  # fmt: skip
    seed: int = setting(
        0, "Seed", "Fixes every random choice.", minimum=0, maximum=2**31 - 1, step=1, advanced=True
    )


@dataclass(frozen=True)
class GeometrySettings(Settings):
    """How matches are verified. Changing these needs no new matching."""

    geometry: str = setting(
        "homography", "Geometry",
        "Homography: a flat scene, or a turning camera. Fundamental: any rigid scene; essential: "
        "the same with the focal length known. Affine: flat and far away.",
        choices=GEOMETRIES,
    )  # fmt: skip
    estimator: str = setting(
        "magsac", "Estimator", "How the relation is found among wrong matches.",
        choices=ESTIMATORS, advanced=True,
    )  # fmt: skip
    threshold_px: float = setting(
        3.0, "Threshold", "A match this close agrees with it.",
        minimum=0.1, maximum=20.0, step=0.1, unit="px",
    )  # fmt: skip
    confidence: float = setting(
        0.999, "Confidence", "Stop once a sample without a wrong match was drawn with this probability.",
        minimum=0.5, maximum=0.99999, step=0.001, advanced=True,
    )  # fmt: skip
    max_iterations: int = setting(
        10000, "Iterations", "Samples tried at most.",
        minimum=10, maximum=200000, step=10, advanced=True,
    )  # fmt: skip
    focal_px: float = setting(
        0.0, "Focal length", "For the essential matrix; 0 means unknown.",
        minimum=0.0, maximum=100000.0, step=1.0, unit="px", advanced=True,
    )  # fmt: skip


@dataclass(frozen=True)
class Features:
    """Keypoints of one picture.

    xy (N, 2) float32 px in the full picture; size_px (N,) diameter; angle_deg (N,) clockwise from
    +x, NaN if the method has none; response (N,) strength; descriptors (N, D) or None.
    """

    xy: np.ndarray
    size_px: np.ndarray
    angle_deg: np.ndarray
    response: np.ndarray
    descriptors: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.xy)
        if self.xy.shape != (n, 2) or any(
            a.shape != (n,) for a in (self.size_px, self.angle_deg, self.response)
        ):
            raise ValueError("features: xy is (N, 2) and the rest (N,)")

    def __len__(self) -> int:
        return len(self.xy)


@dataclass(frozen=True)
class Candidates:
    """For each keypoint of picture 0 its nearest in picture 1, before anything is thrown away.

    pairs (C, 2) int32, indices into the two keypoint lists; distance and second_distance (C,)
    float32, the latter NaN where there is no runner-up; second (C,) int32 index of the runner-up
    in picture 1, -1 where there is none; mutual (C,) bool, nearest in both directions;
    back_ratio (C,) float32, best over second best from picture 1 back to picture 0, NaN unknown.
    """

    pairs: np.ndarray
    distance: np.ndarray
    second_distance: np.ndarray
    second: np.ndarray
    mutual: np.ndarray
    back_ratio: np.ndarray

    def __post_init__(self) -> None:
        c = len(self.pairs)
        rest = (self.distance, self.second_distance, self.second, self.mutual, self.back_ratio)
        if self.pairs.shape != (c, 2) or any(a.shape != (c,) for a in rest):
            raise ValueError("candidates: pairs is (C, 2) and the rest (C,)")

    @property
    def ratio(self) -> np.ndarray:
        """(C,) float32 best over second-best distance, in [0, 1]; NaN where unknown."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = self.distance / self.second_distance
        return np.where(self.second_distance > 0, ratio, np.nan).astype(np.float32)


@dataclass(frozen=True)
class MatchResult:
    """Everything known about one pair.

    kept (C,) bool says which candidates are matches; scores (K,) float32 in [0, 1] and
    inliers (K,) bool belong to the K kept ones, in their order. model is the estimated 3×3
    matrix (float64) that takes picture 0 to picture 1 — for a homography or affine x1 ~ M x0, for
    fundamental x1ᵀ M x0 = 0 in pixels, for essential the same in normalised coordinates — or None.
    R (3, 3) and t (3,), unit length, are the relative pose when the geometry is essential:
    x1 = R x0 + t; K0 and K1 (3, 3) px are the cameras, where known. size0 and size1 are (width, height). notes are plain sentences about what
    a person should know.
    """

    features0: Features
    features1: Features
    candidates: Candidates
    kept: np.ndarray
    scores: np.ndarray
    inliers: np.ndarray
    model: np.ndarray | None
    size0: tuple[int, int]
    size1: tuple[int, int]
    settings: MatchSettings
    geometry: GeometrySettings
    seconds: Mapping[str, float]
    recipe: Recipe
    R: np.ndarray | None = None
    t: np.ndarray | None = None
    K0: np.ndarray | None = None
    K1: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        k = int(self.kept.sum())
        if self.kept.shape != (len(self.candidates.pairs),) or self.kept.dtype != bool:
            raise ValueError("result: kept is (C,) bool")
        if self.scores.shape != (k,) or self.inliers.shape != (k,) or self.inliers.dtype != bool:
            raise ValueError("result: scores and inliers are (K,), inliers bool")
        if self.model is not None and self.model.shape != (3, 3):
            raise ValueError("result: model is (3, 3) or None")

    @property
    def keypoints0(self) -> np.ndarray:
        """(N, 2) float32 px."""
        return self.features0.xy

    @property
    def keypoints1(self) -> np.ndarray:
        """(M, 2) float32 px."""
        return self.features1.xy

    @property
    def matches(self) -> np.ndarray:
        """(K, 2) int32 indices into keypoints0 and keypoints1."""
        return self.candidates.pairs[self.kept]

    @property
    def points0(self) -> np.ndarray:
        """(K, 2) float32: where the matches lie in picture 0."""
        return self.keypoints0[self.matches[:, 0]]

    @property
    def points1(self) -> np.ndarray:
        """(K, 2) float32: where the matches lie in picture 1."""
        return self.keypoints1[self.matches[:, 1]]


@dataclass(frozen=True)
class Truth:
    """What is known exactly about a pair: a homography, or cameras, or cameras with depth.

    homography (3, 3) takes picture 0 to picture 1. K0, K1 (3, 3) px; R (3, 3), t (3,):
    x1 = R x0 + t. depth0_m (H, W) z-depth of picture 0, NaN unknown; depth1_m that of picture 1,
    which tells occluded points.
    """

    homography: np.ndarray | None = None
    K0: np.ndarray | None = None
    K1: np.ndarray | None = None
    R: np.ndarray | None = None
    t: np.ndarray | None = None
    depth0_m: np.ndarray | None = field(default=None, repr=False)
    depth1_m: np.ndarray | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        pose = [getattr(self, name) is not None for name in ("K0", "K1", "R", "t")]
        if self.homography is None and not all(pose):
            raise InputError("The truth needs a 3×3 homography, or K0, K1, R and t together.")
        for name, shape in (("homography", (3, 3)), ("K0", (3, 3)), ("K1", (3, 3)),
                            ("R", (3, 3)), ("t", (3,))):  # fmt: skip
            value = getattr(self, name)
            if value is None:
                continue
            value = np.asarray(value, np.float64)
            if value.shape != shape or not np.isfinite(value).all():
                raise InputError(f"The truth's {name} must be {shape} finite numbers.")
            object.__setattr__(self, name, value)
        if self.homography is not None and abs(np.linalg.det(self.homography)) < 1e-12:
            raise InputError("The truth's homography can't be inverted. Check its nine numbers.")

    @property
    def only_lines(self) -> bool:
        """Whether only cameras are known: which line a point lies on in picture 1, not where."""
        return self.homography is None and self.depth0_m is None


@dataclass(frozen=True)
class Pair:
    """Two pictures (RGB uint8), what is known about them, and what to call them."""

    image0: np.ndarray
    image1: np.ndarray
    truth: Truth | None = None
    title: str = "Two photos"
