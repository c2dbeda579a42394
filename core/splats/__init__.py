"""Gaussian splats: a scene as a heap of soft ellipsoids, drawn front to back.

splats = load("garden.spz")  # or a Cloud or Mesh, if that is what the file holds
picture = render(splats, camera)
contributors(splats, camera, xy=(120, 80))  # why that pixel has its colour
save("garden.compressed.ply", splats)
"""

from core.geometry import Cloud, Mesh, load_geometry, save_geometry
from core.splats.cleaning import Cleaned, CleanSettings, clean, importance
from core.splats.conversion import FORMATS, Conversion, Format, conversions, convert
from core.splats.fit_image import FitImageSettings, FittedImage, fit_image
from core.splats.fitting import FitLive, FitSettings, FittedScene, fit
from core.splats.loading import READ, WRITERS, load, save
from core.splats.ply import load_ply, save_ply
from core.splats.render import contributors, render, renderer
from core.splats.statistics import Statistics, statistics
from core.splats.types import Contributors, Rendered, RenderSettings, Splats

__all__ = [
    "FORMATS", "READ", "WRITERS", "CleanSettings", "Cleaned", "Cloud", "Contributors", "Conversion", "FitImageSettings",
    "FitLive", "FitSettings", "FittedImage", "FittedScene", "Format", "Mesh",
    "RenderSettings", "Rendered", "Splats", "Statistics", "clean", "contributors", "conversions", "convert", "fit", "fit_image", "importance", "load",
    "load_geometry", "load_ply", "render", "renderer", "save", "save_geometry", "save_ply", "statistics",
]  # fmt: skip
