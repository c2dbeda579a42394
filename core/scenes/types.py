"""What a scene is made of: things with shapes and materials, a light, and the air around them.

The world is right-handed with z up, in metres; the ground of most scenes is z = 0. A thing's own
axes have its centre at the origin; `rotation` (quaternion w x y z) turns it, then `position` puts
it in place. Colours are linear-light albedo in [0, 1], because that is what light adds up in.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from core.types import InputError

Vec = tuple[float, float, float]
Quat = tuple[float, float, float, float]

SHAPES = {
    "sphere": "size: diameter, diameter, diameter",
    "box": "size: full extent along x, y, z",
    "cylinder": "size: diameter, diameter, height along z",
    "cone": "size: diameter, diameter, height along z; the tip points up",
    "torus": "size: outer diameter, outer diameter, tube diameter; the axis is z",
    "plane": "size: extent along x and y; the third is ignored; it faces +z; 0 is endless",
    "heightfield": "size: extent along x, y and the height's range",
}

TEXTURES = ("plain", "checker", "stripes", "wood", "marble", "noise", "bricks", "image")


@dataclass(frozen=True)
class Material:
    """How a surface answers light.

    colour is its albedo, colour2 the texture's second one; texture is one of TEXTURES, scale_m the
    size of its features in metres; image names a picture of scenes.textures when the texture is
    'image'. gloss in [0, 1] is the strength of the highlight, mirror in [0, 1] the share of light
    that is reflected as in a mirror; rough in [0, 1] is by how much the colour varies in grains of
    every size, down to a pixel, as that of real surfaces does (the truth's albedo is without it).
    """

    colour: Vec = (0.7, 0.7, 0.7)
    colour2: Vec = (0.3, 0.3, 0.3)
    texture: str = "plain"
    scale_m: float = 0.1
    image: str = ""
    gloss: float = 0.0
    mirror: float = 0.0
    rough: float = 0.0

    def __post_init__(self) -> None:
        if self.texture not in TEXTURES:
            raise InputError(f"There is no texture {self.texture!r}. Choose from {TEXTURES}.")


@dataclass(frozen=True)
class Thing:
    """One object. `name` is unique in its scene ('red ball'); colour_name and shape_name are what
    captions call it; id in renders is its place in Scene.things, from 1."""

    name: str
    shape: str
    size: Vec
    position: Vec = (0.0, 0.0, 0.0)
    rotation: Quat = (1.0, 0.0, 0.0, 0.0)
    material: Material = field(default_factory=Material)
    colour_name: str = ""
    shape_name: str = ""

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise InputError(f"There is no shape {self.shape!r}. Choose from {tuple(SHAPES)}.")
        if not np.isfinite((*self.size, *self.position, *self.rotation)).all():
            raise InputError(f"{self.name}: size, position and rotation must be finite numbers.")
        if min(self.size[:2]) < 0:
            raise InputError(f"{self.name}: sizes can't be negative.")


@dataclass(frozen=True)
class Light:
    """A ball of light at `position` with a radius (0 gives hard shadows), and light from all over.

    strength scales the ball's light, ambient the rest.
    """

    position: Vec = (2.0, -3.0, 5.0)
    radius_m: float = 0.4
    strength: float = 1.0
    ambient: float = 0.35


@dataclass(frozen=True)
class Scene:
    """Things, light, and a background that fades from `horizon` to `zenith`.

    fog_per_m is the share of light lost per metre (0 is clear air) to the horizon's colour.
    eye and target (3,) are where a camera should start to look from and at; fov_deg is
    horizontal.
    """

    name: str
    things: tuple[Thing, ...]
    light: Light = field(default_factory=Light)
    horizon: Vec = (0.86, 0.9, 0.94)
    zenith: Vec = (0.45, 0.62, 0.82)
    fog_per_m: float = 0.0
    eye: Vec = (1.6, -2.2, 1.4)
    target: Vec = (0.0, 0.0, 0.25)
    fov_deg: float = 45.0

    def __post_init__(self) -> None:
        names = [thing.name for thing in self.things]
        if len(set(names)) != len(names):
            raise InputError("Two things of a scene have the same name. Give each its own.")

    def __getitem__(self, name: str) -> Thing:
        for thing in self.things:
            if thing.name == name:
                return thing
        known = ", ".join(thing.name for thing in self.things)
        raise InputError(f"{self.name} holds no {name!r}. Choose one of: {known}.")

    def without(self, name: str) -> Scene:
        """The same scene with one thing taken away."""
        self[name]
        return replace(self, things=tuple(t for t in self.things if t.name != name))

    def moved(self, name: str, position: Vec, rotation: Quat | None = None) -> Scene:
        """The same scene with one thing elsewhere."""
        old = self[name]
        new = replace(old, position=position, rotation=rotation or old.rotation)
        return replace(self, things=tuple(new if t is old else t for t in self.things))

    def rough(self, by: float) -> Scene:
        """The same scene with every surface this rough, see Material."""
        return replace(
            self,
            things=tuple(replace(t, material=replace(t.material, rough=by)) for t in self.things),
        )
