"""Inpainting: what was there, or what could have been.

A mask says which pixels of a picture are to be made up from the rest. Three kinds of knowledge can
do that. Smoothness (Telea, Navier–Stokes, biharmonic) carries colours in from the edge and blurs
what is wide. The picture itself (patches, a deep image prior) has the textures that a hole needs,
but only those. A model that has seen many pictures (tiny-fill, RePaint with tiny-sd, LaMa, Stable
Diffusion) can paint what isn't in this one. Where several answers are possible, the mean of all is a
blur; whoever wants a sharp picture has to choose one.

    result = inpaint(photo, mask, InpaintSettings(method="patch"))    # mask: True or 255 = fill
    (result.image == photo)[~mask].all()                              # always
    score(result, truth, mask)                                        # where the truth is known

`inpaint_steps` gives the states on the way. Masks are made in core.inpainting.masks and hub_masks.
"""

from core.inpainting import hub_masks, lama, learned
from core.inpainting.run import inpaint, inpaint_steps
from core.inpainting.scoring import score
from core.inpainting.types import METHODS, InpaintResult, InpaintSettings, InpaintStep

MODELS = {**learned.MODELS, **lama.MODELS, **hub_masks.MODELS}

__all__ = [
    "METHODS", "MODELS", "InpaintResult", "InpaintSettings", "InpaintStep", "inpaint",
    "inpaint_steps", "score",
]  # fmt: skip
