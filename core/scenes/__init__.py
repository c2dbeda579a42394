"""Rendered scenes with exact truth."""
from core.scenes.render import RenderSettings, SceneView, render, render_batch, render_clip
from core.scenes.types import Light, Material, Scene, Thing
