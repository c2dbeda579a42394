"""What goes into a controlled picture and what comes out: maps, settings, steps, the result."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from core.diffusion.loading import own
from core.models import ModelSpec
from core.recipe import Recipe
from core.types import InputError, Settings, Snapshot, setting

KINDS = {
    "edges": "Edges (exact for scenes, Canny for photos)",
    "soft": "Soft edges",
    "scribble": "Scribble",
    "lineart": "Line drawing",
    "lines": "Straight lines",
    "depth": "Depth",
    "normals": "Normals",
    "segmentation": "Segmentation",
    "pose": "Pose (hub)",
    "colours": "Colour grid",
    "tile": "Tile",
    "map": "A map as it is",
}

SCHEDULERS = {
    "ddim": "DDIM",
    "ddpm": "DDPM",
    "euler": "Euler",
    "euler-a": "Euler ancestral",
    "dpm++": "DPM++ 2M",
    "unipc": "UniPC",
    "lcm": "LCM (few steps)",
}


@dataclass(frozen=True)
class HintSettings(Settings):
    """Which control map is made of a picture, and how."""

    kind: str = setting("edges", "Control", "What is kept of the picture.", choices=KINDS)
    low: int = setting(
        80, "Weak edge", "Canny: a gradient above this goes on a line that has begun.",
        minimum=1, maximum=1000, step=1,
    )  # fmt: skip
    high: int = setting(
        160, "Strong edge", "Canny: a gradient above this begins a line.",
        minimum=1, maximum=1000, step=1,
    )  # fmt: skip
    blur_px: float = setting(
        1.0, "Blur", "Width of the Gaussian that smooths first; more leaves out detail.",
        minimum=0.0, maximum=10.0, step=0.1, unit="px", advanced=True,
    )  # fmt: skip
    cells: int = setting(
        8, "Cells", "Colour grid and tile: cells along the longer side.",
        minimum=2, maximum=64, step=1, advanced=True,
    )  # fmt: skip
    invert: bool = setting(
        False, "Dark on light", "The map's lines are dark on a light ground: turn them around.",
        advanced=True,
    )  # fmt: skip
    weight: float = setting(
        1.0, "Weight of this map", "Among several maps, each steers by its weight times the scale.",
        minimum=0.0, maximum=2.0, step=0.05, advanced=True,
    )  # fmt: skip


@dataclass(frozen=True)
class Hint:
    """A control map: map (H, W, 3) uint8, kind of KINDS; exact if it comes from a scene's truth;
    note: a sentence for the person about how it was made; weight: its share among several."""

    map: np.ndarray
    kind: str
    exact: bool = False
    note: str = ""
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.map.dtype != np.uint8 or self.map.ndim != 3 or self.map.shape[2] != 3:
            raise InputError(f"A control map is (H, W, 3) uint8; this is {self.map.shape}.")
        if self.kind not in KINDS:
            raise InputError(f"There is no control {self.kind!r}. Choose one of: {list(KINDS)}.")


@dataclass(frozen=True)
class ControlSettings(Settings):
    """How a picture is generated under control."""

    model: str = setting(
        "tiny-sd", "Model", "tiny-sd knows toys on a floor, nothing else.",
        choices={"tiny-sd": "tiny-sd (shipped)", "sd15": "Stable Diffusion 1.5 (hub)",
                 "sdxl-union": "SDXL + union control (hub)",
                 "z-image": "Z-Image Turbo + union control (hub)"},
    )  # fmt: skip
    prompt: str = setting("", "Prompt", "What to paint; empty: what the scene shows.")
    negative: str = setting("", "Negative prompt", "What not to paint.", advanced=True)
    steps: int = setting(20, "Steps", "Denoising steps.", minimum=1, maximum=100, step=1)
    scheduler: str = setting(
        "ddim", "Scheduler", "How noise is taken away.", choices=SCHEDULERS, advanced=True
    )
    guidance: float = setting(
        4.0, "Guidance", "s in ε = ε∅ + s(ε_c − ε∅): how hard the words pull.",
        minimum=1.0, maximum=20.0, step=0.1,
    )  # fmt: skip
    seed: int = setting(0, "Seed", "The first noise.", minimum=0, maximum=2**31 - 1, step=1)
    images: int = setting(1, "Pictures", "Each from its own noise.", minimum=1, maximum=4, step=1)
    size_px: int = setting(
        0, "Size", "Longer side of the picture; 0 is the model's own.",
        minimum=0, maximum=2048, step=8, unit="px", advanced=True,
    )  # fmt: skip
    scale: float = setting(
        1.0, "Control scale", "What the control adds is multiplied by this.",
        minimum=0.0, maximum=2.0, step=0.05,
    )  # fmt: skip
    start: float = setting(
        0.0, "Control from", "Share of the steps after which control begins.",
        minimum=0.0, maximum=1.0, step=0.05, advanced=True,
    )  # fmt: skip
    end: float = setting(
        1.0, "Control until", "Share of the steps after which control ends.",
        minimum=0.0, maximum=1.0, step=0.05, advanced=True,
    )  # fmt: skip
    lora_scale: float = setting(
        1.0, "LoRA scale", "How much of a LoRA's change is added; without a LoRA, nothing.",
        minimum=0.0, maximum=1.0, step=0.05, advanced=True,
    )  # fmt: skip
    guess: bool = setting(
        False, "Guess mode", "Control without words: residuals fade from 1 in the middle to 0.1 at the "
        "first block, and the empty prompt gets none.", advanced=True,
    )  # fmt: skip
    baseline: bool = setting(
        True, "Also without control", "The same noise and words, uncontrolled, to compare."
    )
    folder: str = setting(
        "", "Own model folder", "On this computer, in diffusers' format: a model of the same kind as "
        "the chosen one, used in its place.", advanced=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start >= self.end:
            raise InputError(
                f"Control from {self.start:g} until {self.end:g} covers no step. "
                "Let it begin before it ends."
            )

    @property
    def source(self) -> str | ModelSpec:
        """What is loaded: the model, or a person's own in its place. Raises InputError if that can't
        be used."""
        return own(self.model, self.folder)


@dataclass(frozen=True)
class Step(Snapshot):
    """One denoising step of `total` (those of both passes): guess (N, H, W, 3) uint8, what the
    pictures would be if all the noise that the net sees now went at once (x₀); controlled: of the
    pass with control; t: the schedule's time."""

    guess: np.ndarray
    controlled: bool
    t: int


@dataclass(frozen=True)
class Film:
    """Every step of one pass, kept as latents: x0 (S, N, C, h, w) float16, the estimates of the
    finished latent; t (S,) the schedule's times."""

    x0: np.ndarray
    t: np.ndarray


@dataclass(frozen=True)
class ControlResult:
    """settings as they were used; images (N, H, W, 3) uint8; baseline the same without control, or None; film of both;
    hints as the nets saw them; agreement with the first hint of each picture, in [0, 1], NaN
    where it can't be measured; seconds that both passes took; notes: sentences for the person."""

    settings: ControlSettings
    images: np.ndarray
    baseline: np.ndarray | None
    film: Film
    baseline_film: Film | None
    hints: tuple[Hint, ...]
    agreement: tuple[float, ...]
    baseline_agreement: tuple[float, ...]
    seconds: float
    recipe: Recipe
    notes: tuple[str, ...] = field(default=())
