"""Rendered scenes with exact truth: the lesson's data, the tests' oracle, the training world.

A scene is a handful of things with shapes and materials (types). Rays find what each pixel sees
(shapes, trace), textures and light give it its colour (surface, light), and since every surface is
a formula, depth, normals, names and motion are exact (render, truth). The tabs take what they need
from views.
"""

from core.scenes.render import (
    RenderSettings,
    SceneView,
    render,
    render_batch,
    render_clip,
)
from core.scenes.truth import correspondence
from core.scenes.types import Light, Material, Scene, Thing
from core.scenes.views import (
    Hidden,
    Rig,
    StereoPair,
    control_maps,
    edges,
    hide,
    orbit_views,
    start_camera,
    stereo_pair,
)

__all__ = [
    "Hidden", "Light", "Material", "RenderSettings", "Rig", "Scene", "SceneView", "StereoPair",
    "Thing", "control_maps", "correspondence", "edges", "hide", "orbit_views", "render",
    "render_batch", "render_clip", "start_camera", "stereo_pair",
]  # fmt: skip
