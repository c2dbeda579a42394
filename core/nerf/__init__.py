"""NeRF training: a field of density and colour that learns to predict photographs.

views = load_views("capture.zip")
*_, last = train(views, NerfSettings(seconds=60))
picture = render(last.field, views.cameras[0])
"""

from core.nerf.checkpoint import load, save
from core.nerf.fields import Field, new_field
from core.nerf.gaussians import to_splats
from core.nerf.loading import load_views
from core.nerf.march import ray, render
from core.nerf.mesh import to_mesh
from core.nerf.poses import poses_from_images, poses_from_video
from core.nerf.rendered import from_scene
from core.nerf.training import score, train
from core.nerf.types import FIELDS, Live, NerfSettings, RayProfile, Seen, Trained, Views

__all__ = [
    "FIELDS", "Field", "Live", "NerfSettings", "RayProfile", "Seen", "Trained", "Views",
    "from_scene", "load", "load_views", "new_field", "poses_from_images", "poses_from_video", "ray",
    "render", "save", "score", "to_mesh", "to_splats", "train",
]  # fmt: skip
