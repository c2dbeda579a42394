"""Control: a map says where things are, words say what they are.

A ControlNet (Zhang et al., ICCV 2023) is a copy of a frozen U-Net's first half that also sees a
map. What it adds to the U-Net's skips passes through convolutions that start as zeros, so training
begins with exactly the picture that there would be without.

    made = hint(photo, HintSettings(kind="edges"))
    *steps, result = generate(made, ControlSettings(prompt="a red ball on wood"))
    result.images, result.baseline, result.agreement
"""

from core.control.agreement import agreement
from core.control.hints import hint
from core.control.painting import generate
from core.control.types import ControlResult, ControlSettings, Hint, HintSettings, Step

__all__ = [
    "ControlResult", "ControlSettings", "Hint", "HintSettings", "Step", "agreement", "generate",
    "hint",
]  # fmt: skip
