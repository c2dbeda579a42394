"""Gaussian splats: a scene as a heap of soft ellipsoids, drawn front to back.

splats = load_ply("garden.ply")
picture = render(splats, camera)
contributors(splats, camera, xy=(120, 80))  # why that pixel has its colour
"""

from core.splats.ply import load_ply, save_ply
from core.splats.render import contributors, render
from core.splats.types import Contributors, Rendered, RenderSettings, Splats

__all__ = [
    "Contributors", "RenderSettings", "Rendered", "Splats", "contributors", "load_ply", "render",
    "save_ply",
]  # fmt: skip
