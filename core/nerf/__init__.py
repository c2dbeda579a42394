"""NeRF training: a field of density and colour that learns to predict photographs."""

from core.nerf.checkpoint import load, save
from core.nerf.fields import Field, new_field
from core.nerf.march import ray, render
from core.nerf.training import score, train
from core.nerf.types import FIELDS, Live, NerfSettings, RayProfile, Seen, Trained, Views

__all__ = [
    "FIELDS", "Field", "Live", "NerfSettings", "RayProfile", "Seen", "Trained", "Views", "load",
    "new_field", "ray", "render", "save", "score", "train",
]  # fmt: skip
