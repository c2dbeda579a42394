"""Gaussian splats: a scene as a heap of soft ellipsoids, drawn front to back.

splats = load("garden.spz")  # or a Cloud or Mesh, if that is what the file holds
picture = render(splats, camera)
contributors(splats, camera, xy=(120, 80))  # why that pixel has its colour
save("garden.compressed.ply", splats)
"""

from core.geometry import Cloud, Mesh, load_geometry, save_geometry
from core.splats.conversion import FORMATS, Conversion, Format, conversions, convert
from core.splats.loading import READ, WRITERS, load, save
from core.splats.ply import load_ply, save_ply
from core.splats.render import contributors, render
from core.splats.types import Contributors, Rendered, RenderSettings, Splats

__all__ = [
    "FORMATS", "READ", "WRITERS", "Cloud", "Contributors", "Conversion", "Format", "Mesh",
    "RenderSettings", "Rendered", "Splats", "contributors", "conversions", "convert", "load",
    "load_geometry", "load_ply", "render", "save", "save_geometry", "save_ply",
]  # fmt: skip
