"""Rendered scenes with exact truth: the lesson's data, the tests' oracle, the training world.

A scene is a handful of things with shapes and materials (types). Rays find what each pixel sees
(shapes, trace), textures and light give it its colour (surface, light), and since every surface is
a formula, depth, normals, names and motion are exact (render, truth). The tabs take what they need
from views.
"""

from core.scenes.chance import SceneSettings, random_scene
from core.scenes.control import control_batch, control_maps, edges
from core.scenes.export import to_mesh, to_splats
from core.scenes.language import captions, parse
from core.scenes.library import NAMES, scene
from core.scenes.plot import StorySettings
from core.scenes.prompts import prompt
from core.scenes.render import (
    RenderSettings,
    SceneView,
    render,
    render_batch,
    render_clip,
)
from core.scenes.story import Story, story
from core.scenes.truth import correspondence, correspondence_batch
from core.scenes.types import Light, Material, Scene, Thing
from core.scenes.views import (
    Hidden,
    Rig,
    StereoPair,
    hide,
    orbit_cameras,
    orbit_views,
    start_camera,
    stereo_batch,
    stereo_pair,
)

__all__ = [
    "NAMES", "Hidden", "Light", "Material", "RenderSettings", "Rig", "Scene", "SceneSettings",
    "SceneView", "StereoPair", "Story", "StorySettings", "Thing", "captions", "control_batch",
    "control_maps", "correspondence", "correspondence_batch", "edges", "hide", "orbit_cameras", "orbit_views", "parse",
    "prompt", "random_scene", "render", "render_batch", "render_clip", "scene", "start_camera",
    "stereo_batch", "stereo_pair", "story", "to_mesh", "to_splats",
]  # fmt: skip
