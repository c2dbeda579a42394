"""What goes into a filled picture and what comes out: settings, steps, the result."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from core.recipe import Recipe
from core.types import InputError, Settings, Snapshot, setting

METHODS = {
    "patch": "PatchMatch with voting",
    "telea": "Telea (OpenCV)",
    "navier-stokes": "Navier–Stokes (OpenCV)",
    "biharmonic": "Biharmonic (scikit-image)",
    "deep-prior": "Deep image prior",
    "learned": "Learned filler (tiny-fill)",
    "repaint": "RePaint with tiny-sd",
    "lama": "LaMa (hub)",
    "sd15-inpaint": "Stable Diffusion 1.5 inpainting (hub)",
    "kandinsky22-inpaint": "Kandinsky 2.2 inpainting (hub)",
    "flux2-klein": "FLUX.2 klein (hub)",
}
OFFLINE = ("patch", "telea", "navier-stokes", "biharmonic", "deep-prior", "learned", "repaint")
DIFFUSION = ("repaint", "sd15-inpaint", "kandinsky22-inpaint", "flux2-klein")

USES = {  # the settings beside `method` and `feather_px` that each method reads
    "patch": ("patch_px", "rounds", "seed"),
    "telea": ("radius_px",),
    "navier-stokes": ("radius_px",),
    "biharmonic": (),
    "deep-prior": ("iterations", "seed"),
    "learned": (),
    "repaint": ("prompt", "steps", "guidance", "strength", "jumps", "samples", "seed"),
    "lama": (),
    **dict.fromkeys(
        DIFFUSION[1:],
        ("prompt", "negative", "steps", "guidance", "strength", "seed", "around", "folder"),
    ),
}

# (strength, guidance) that suit a method best, of those tried in tests/bench/inpainting_repaint.py
SUIT_REPAINT, SUIT_BIG = (0.15, 1.0), (1.0, 4.0)


@dataclass(frozen=True)
class InpaintSettings(Settings):
    """How a hole is filled. Each method reads the settings in USES and no other."""

    method: str = setting("patch", "Method", "What fills the hole.", choices=METHODS)
    feather_px: float = setting(
        0.0, "Feather", "Inside the mask, the filling fades in over so many pixels; what lies "
        "outside never changes.", minimum=0.0, maximum=64.0, step=0.5, unit="px", advanced=True,
    )  # fmt: skip
    radius_px: float = setting(
        5.0, "Radius", "How far around a pixel is looked for known ones.",
        minimum=1.0, maximum=50.0, step=1.0, unit="px",
    )  # fmt: skip
    patch_px: int = setting(
        7, "Patch size", "Larger keeps larger structures together; smaller fits in more places. "
        "Odd.", minimum=3, maximum=15, step=2, unit="px",
    )  # fmt: skip
    rounds: int = setting(
        8, "Rounds", "Of search and vote on the coarsest level; finer ones take fewer.",
        minimum=1, maximum=30, step=1, advanced=True,
    )  # fmt: skip
    iterations: int = setting(
        1500, "Iterations", "Steps of the fit; too many and it learns to fill with noise.",
        minimum=10, maximum=20_000, step=10,
    )  # fmt: skip
    prompt: str = setting("", "Prompt", "What to paint in the hole; empty: what fits.")
    negative: str = setting("", "Negative prompt", "What not to paint.", advanced=True)
    steps: int = setting(20, "Steps", "Denoising steps.", minimum=1, maximum=250, step=1)
    guidance: float = setting(
        0.0, "Guidance", "How hard the words pull; 1 only tells them. 0 chooses: 1 for RePaint, 4 for "
        "big models.", minimum=0.0, maximum=20.0, step=0.1,
    )  # fmt: skip
    strength: float = setting(
        0.0, "Strength", "Share of the noise that the hole begins with; below 1 it begins at a "
        "first guess: a smooth filling, or in big models what was there. 0 chooses: "
        f"{SUIT_REPAINT[0]} for RePaint, 1 for big models.", minimum=0.0, maximum=1.0, step=0.05,
    )  # fmt: skip
    jumps: int = setting(
        3, "Jumps", "RePaint: how often each stretch of steps is noised again and repeated, so "
        "that the hole agrees with its surroundings; 1 is without.",
        minimum=1, maximum=20, step=1,
    )  # fmt: skip
    samples: int = setting(
        6, "Samples", "RePaint: so many fillings are made at once and their mean is shown: nearer to "
        "the truth than one, and softer.", minimum=1, maximum=32, step=1, advanced=True,
    )  # fmt: skip
    around: bool = setting(
        True, "Crop around the mask", "Works on the part of a large picture that holds the mask, at "
        "the model's own size.", advanced=True,
    )  # fmt: skip
    seed: int = setting(
        0, "Seed", "Another seed finds another filling.", minimum=0, maximum=2**31 - 1, step=1
    )
    folder: str = setting(
        "", "Own model folder", "On this computer, in diffusers' format: a model of the same kind as "
        "the chosen one, used in its place.", advanced=True,
    )  # fmt: skip

    @property
    def begins(self) -> float:
        """The strength, in (0, 1]; where it is 0, the one that suits the method."""
        return self.strength or self._suited[0]

    @property
    def pull(self) -> float:
        """The guidance, above 0; where it is 0, the one that suits the method."""
        return self.guidance or self._suited[1]

    @property
    def _suited(self) -> tuple[float, float]:
        return SUIT_REPAINT if self.method == "repaint" else SUIT_BIG


@dataclass(frozen=True)
class InpaintStep(Snapshot):
    """One state of the work: image (H, W, 3) uint8, the whole picture as filled so far; inside:
    what the method has to show of this step (patch.PatchStep; a latent of diffusion), or None;
    loss: of deep prior's fit to the known pixels, else NaN."""

    image: np.ndarray
    inside: object = None
    loss: float = float("nan")


@dataclass(frozen=True)
class InpaintResult:
    """settings as they were used; image (H, W, 3) uint8: outside `mask` (H, W) bool (True = fill)
    its bytes are the input's, and changed_outside counts those pixels that aren't. steps: those worth
    keeping, evenly spread, the last among them; seconds it took; autoencoder (H, W, 3) uint8: what
    the diffusion model's autoencoder makes of the input alone, or None; notes: sentences for the
    person."""

    settings: InpaintSettings
    image: np.ndarray
    mask: np.ndarray
    changed_outside: int
    steps: tuple[InpaintStep, ...]
    seconds: float
    recipe: Recipe
    autoencoder: np.ndarray | None = None
    notes: tuple[str, ...] = field(default=())


def as_bool(mask: np.ndarray) -> np.ndarray:
    """A mask of 0 and 255, or of 0 and 1, as one of False and True; any other as it is."""
    mask = np.asarray(mask)
    if mask.dtype == np.uint8:
        high = mask.max(initial=0)
        if high in (0, 1, 255) and ((mask == 0) | (mask == high)).all():
            return mask > 0
    return mask


def check(image: np.ndarray, mask: np.ndarray) -> None:
    """Raises InputError for a mask that isn't (H, W) bool, is empty, full or of another size than
    the picture, or for a picture that isn't (H, W, 3) uint8."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(
            f"The picture is {image.dtype} {image.shape}; give RGB uint8 (height, width, 3)."
        )
    if mask.dtype != bool:
        raise InputError(f"The mask is {mask.dtype}; give True where to fill and False elsewhere.")
    if mask.shape != image.shape[:2]:
        size = " × ".join(str(n) for n in mask.shape[::-1])
        raise InputError(
            f"The mask is {size} px and the picture {image.shape[1]} × {image.shape[0]} px. "
            "Draw the mask on this picture, or load one of its size."
        )
    if not mask.any():
        raise InputError("The mask is empty: nothing to fill. Paint over what should go.")
    if mask.all():
        raise InputError("The mask covers everything: nothing to go by. Leave some picture.")
