"""From the tab's settings to a heap of splats, and from a viewpoint to what is seen of it."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.cameras import look_at
from core.geometry import Cloud, Mesh
from core.images import digest
from core.metrics import psnr
from core.nerf.run import SCENES
from core.recipe import Recipe
from core.splats import lit, loading, shapes, sog
from core.splats.render import render
from core.splats.types import Rendered, RenderSettings, Splats
from core.types import Camera, InputError, Progress, Settings, setting, silent

SOURCES = {"scene": "A rendered scene", "file": "Your own file", "shelf": "From another tab"}
UPS = {
    "auto": "As the kind of file has it", "+y": "+y", "-y": "−y", "+z": "+z", "-z": "−z",
    "+x": "+x", "-x": "−x",
}  # fmt: skip
SPLATS_UP, SCENE_UP = "-y", "+z"  # by habit: 3DGS files, our own scenes
STEPS_BACK = 1.75  # diagonals of the box, to a file's first viewpoint
RISE_DEG, TURN_DEG = 15.0, 35.0  # where it stands: above the middle, and aside from the front
COVERED = 0.5  # opacity from which a pixel counts as covered

SCORE_HELP = {
    "psnr": ("PSNR where covered", "Against the exact picture, where splats stop half the light.", "dB"),
    "ssim": ("SSIM of the whole", "Structure kept, 1 is all of it (Wang et al. 2004).", ""),
    "covered": ("Covered", "Share of pixels where splats stop half the light.", "%"),
    "psnr_flat": ("PSNR with one colour each", "The same at colour degree 0: what gloss is worth.", "dB"),
    "render_s": ("Time of this picture", "By the server's renderer.", "s"),
}  # fmt: skip


@dataclass(frozen=True)
class SplatSettings(Settings):
    """Which splats."""

    splat_source: str = setting("scene", "Splats of", "What is opened.", choices=SOURCES)
    splat_scene: str = setting(
        "tabletop", "Scene", "Exact surfaces, their light measured from rendered views.",
        choices=SCENES,
    )  # fmt: skip
    splat_n: int = setting(
        30_000, "Splats", "Spread over all surfaces, at most half on the ground; what no camera sees is "
        "left out.", minimum=500, maximum=200_000, step=500,
    )  # fmt: skip
    splat_seed: int = setting(
        0, "Splat seed", "Places the splats anew.", minimum=0, maximum=2**31 - 1, step=1,
        advanced=True,
    )  # fmt: skip


@dataclass(frozen=True)
class ViewpointSettings(Settings):
    """Where the camera stands; an empty eye is the place that suits what is opened."""

    eye: tuple[float, ...] = setting((), "Eye", "Where the camera stands: x, y, z.", shown=False)
    target: tuple[float, ...] = setting((), "Target", "The point in its middle.", shown=False)
    up: str = setting("auto", "Up", "Which way is up.", choices=UPS, advanced=True)
    fov_deg: float = setting(
        45.0, "Angle of view", "Across the picture.", minimum=5.0, maximum=120.0, step=1.0,
        unit="°", advanced=True,
    )  # fmt: skip
    picture_px: int = setting(
        480, "Server's picture", "Width of pictures that are scored and saved; 4:3.",
        minimum=64, maximum=1920, step=16, unit="px", advanced=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.eye) not in (0, 3) or len(self.target) not in (0, 3):
            raise InputError("A viewpoint has three numbers for the eye and three for the target.")


@dataclass(frozen=True)
class Given:
    """A person's own file, or several that belong together (a SOG folder, an .obj with its .mtl);
    up (3,) if it is known, or ()."""

    paths: tuple[str, ...] = ()
    up: tuple[float, ...] = ()


@dataclass(frozen=True)
class Origin:
    """How splats came about: lines of Python that define `splats`, the settings they name, and the
    digests of files they read."""

    lines: tuple[str, ...]
    settings: tuple[Settings, ...]
    inputs: Mapping[str, str] = field(default_factory=dict)

    def then(self, line: str, given: Settings | None = None) -> Origin:
        """The same, and one more thing done to them, by settings that the line may name. Of each
        class the last ones are named; in earlier lines they are written out."""
        lines, others = self.lines, self.settings
        if given is not None:
            for old in (s for s in self.settings if type(s) is type(given)):
                name = "{" + type(old).__name__ + "}"
                lines = tuple(known.replace(name, repr(old)) for known in lines)
                others = tuple(s for s in others if s is not old)
            others = (*others, given)
        return replace(self, lines=(*lines, line), settings=others)


@dataclass(frozen=True)
class Opened:
    """What was opened. thing: as the file has it; splats: what is drawn by the renderer, which for
    clouds and meshes stand in for points and triangles; title; size_bytes of the file, 0 if
    computed; scene: name of the exact scene, or ""; up (3,)."""

    thing: Splats | Cloud | Mesh
    splats: Splats
    title: str
    size_bytes: int
    seconds: float
    scene: str
    up: tuple[float, float, float]
    origin: Origin

    @property
    def kind(self) -> str:
        """'splats', 'mesh' or 'points'."""
        if isinstance(self.thing, Splats):
            return "splats"
        return "mesh" if isinstance(self.thing, Mesh) else "points"


@dataclass(frozen=True)
class Viewed:
    """What is opened, as one camera sees it. truth (H, W, 3) uint8: the exact picture, or None."""

    opened: Opened
    camera: Camera
    view: Rendered
    truth: np.ndarray | None
    recipe: Recipe
    scores: Mapping[str, float] = field(default_factory=dict)


def run(
    source: SplatSettings = SplatSettings(),
    viewpoint: ViewpointSettings = ViewpointSettings(),
    settings: RenderSettings = RenderSettings(),
    given: Given = Given(),
    *,
    progress: Progress = silent,
) -> Iterator[Viewed]:
    """Open it, stand at the viewpoint and look; then the same once more with scores, where the
    truth is known."""
    found = seen(opened(source, viewpoint.up, given, progress=progress), viewpoint, settings)
    yield found
    if found.opened.scene:
        yield scored(found, settings)


def opened(
    source: SplatSettings, up: str = "auto", given: Given = Given(), *, progress: Progress = silent
) -> Opened:
    """The splats, points or surface that `source` asks for. Raises InputError."""
    began = time.perf_counter()
    if source.splat_source == "scene":
        from core.scenes import scene

        made = scene(source.splat_scene)
        splats = lit.from_scene(made, source.splat_n, seed=source.splat_seed, progress=progress)
        lines = (
            "from core.splats.run import SplatSettings, opened",
            "splats = opened({SplatSettings}).splats",
        )
        origin = Origin(lines, (source,))
        seconds = time.perf_counter() - began
        title = f"{SCENES[source.splat_scene]}, exact surfaces, their light from rendered views"
        up_axis = axis(up, SCENE_UP)
        return Opened(splats, splats, title, 0, seconds, source.splat_scene, up_axis, origin)
    if not given.paths:
        raise InputError("No file was given. Upload one, or choose a rendered scene.")
    progress(0.0, desc="reading the file")
    thing = _read(given.paths)
    seconds = time.perf_counter() - began
    files = [Path(p) for p in given.paths]
    size = sum(p.stat().st_size for p in files if p.is_file())
    names = ", ".join(repr(p.name) for p in files)
    lines = (
        "from core.splats.run import Given, SplatSettings, opened",
        f"splats = opened({{SplatSettings}}, given=Given(({names},))).splats",
    )
    origin = Origin(lines, (source,), {p.name: _digest(p) for p in files if p.is_file()})
    found = as_opened(thing, files[0].name, origin, up, size, seconds)
    if given.up and up == "auto":
        x, y, z = given.up
        found = replace(found, up=(x, y, z))
    return found


def as_opened(
    thing: Splats | Cloud | Mesh, title: str, origin: Origin, up: str = "auto", size: int = 0,
    seconds: float = 0.0,
) -> Opened:  # fmt: skip
    """Something from elsewhere, ready to be shown."""
    if isinstance(thing, Splats):
        up_axis = axis(up, SPLATS_UP)
        return Opened(thing, thing, title, size, seconds, "", up_axis, origin)
    if isinstance(thing, Mesh):
        splats = shapes.from_triangles(thing.points, thing.faces, thing.colours)
    else:
        splats = shapes.from_points(thing.points, thing.colours)
    up_axis = thing.up if up == "auto" else axis(up, up)
    return Opened(thing, splats, title, size, seconds, "", up_axis, origin)


def _read(paths: tuple[str, ...]) -> Splats | Cloud | Mesh:
    """What one file holds, or several that belong together, put into one folder."""
    if len(paths) == 1:
        return loading.load(paths[0])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [Path(shutil.copy(path, folder / Path(path).name)) for path in paths]
        if (folder / sog.META).is_file():
            return loading.load(folder)
        known = [file for file in files if file.suffix.lower() in loading.READ]
        if len(known) != 1:
            raise InputError(
                "These files don't belong together. Give one file, the files of one SOG scene with "
                f"their {sog.META}, or a model with its textures."
            )
        return loading.load(known[0])


def axis(up: str, habit: str) -> tuple[float, float, float]:
    """The direction (3,) that a key of UPS means; habit stands for 'auto'."""
    sign, letter = habit if up == "auto" else up
    x, y, z = np.eye(3)["xyz".index(letter)] * (1 if sign == "+" else -1)
    return float(x), float(y), float(z)


def camera_of(found: Opened, viewpoint: ViewpointSettings) -> Camera:
    """The camera at the viewpoint, or where all of it is in view."""
    eye, target = _standing(found, viewpoint)
    width = viewpoint.picture_px
    return look_at(eye, target, width, round(0.75 * width), viewpoint.fov_deg, found.up)


def looks_at(found: Opened, viewpoint: ViewpointSettings) -> np.ndarray:
    """The point (3,) in the middle of that camera's picture around which one turns."""
    return _standing(found, viewpoint)[1]


def _standing(found: Opened, viewpoint: ViewpointSettings) -> tuple[np.ndarray, np.ndarray]:
    if viewpoint.eye and viewpoint.target:
        return np.array(viewpoint.eye), np.array(viewpoint.target)
    if found.scene:
        from core.scenes import scene

        made = scene(found.scene)
        return np.array(made.eye), np.array(made.target)
    return stand(found.splats, found.up)


def stand(splats: Splats, up: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """An eye and a target (3,) from which most of the splats are in view, strays left out."""
    low, high = np.percentile(splats.means, (2, 98), axis=0)
    target = (low + high) / 2
    size = float(np.linalg.norm(high - low)) or 1.0
    above = np.array(up)
    side = np.array([0.0, 1.0, 0.0]) if abs(above[2]) > 0.5 else np.array([0.0, 0.0, 1.0])
    front = -np.sign(above.sum()) * side if abs(above[1]) > 0.5 else -side
    turn = np.radians(TURN_DEG)
    level = np.cos(turn) * front + np.sin(turn) * np.cross(above, front)
    rise = np.radians(RISE_DEG)
    return target + STEPS_BACK * size * (np.cos(rise) * level + np.sin(rise) * above), target


def look(
    found: Opened, viewpoint: ViewpointSettings = ViewpointSettings(),
    settings: RenderSettings = RenderSettings(),
) -> Viewed:  # fmt: skip
    """A picture from the viewpoint, with scores if the scene is known exactly."""
    view = seen(found, viewpoint, settings)
    return scored(view, settings) if found.scene else view


def seen(found: Opened, viewpoint: ViewpointSettings, settings: RenderSettings) -> Viewed:
    """A picture from the viewpoint, and how long it took."""
    camera = camera_of(found, viewpoint)
    began = time.perf_counter()
    view = render(found.splats, camera, settings)
    scores = {"render_s": time.perf_counter() - began}
    return Viewed(found, camera, view, None, recipe_of(found, viewpoint, settings), scores)


def scored(viewed: Viewed, settings: RenderSettings) -> Viewed:
    """The same with the exact picture of its scene, and the scores against it."""
    truth = exact(viewed.opened.scene, viewed.camera)
    view = viewed.view
    flat = render(viewed.opened.splats, viewed.camera, replace(settings, sh_degree=0))
    covered = view.opacity >= COVERED
    scores = {
        "psnr": _where(view.rgb, truth, covered),
        "ssim": _ssim(view.rgb, truth),
        "covered": 100 * float(covered.mean()),
        "psnr_flat": _where(flat.rgb, truth, covered),
        **viewed.scores,
    }
    return replace(viewed, truth=truth, scores=scores)


def exact(scene_name: str, camera: Camera) -> np.ndarray:
    """(H, W, 3) uint8: the scene itself, by its exact renderer."""
    from core.scenes import render as render_scene
    from core.scenes import scene

    return render_scene(scene(scene_name), camera).rgb


def _where(picture: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    return psnr(picture[mask], truth[mask]) if mask.any() else float("nan")


def _ssim(picture: np.ndarray, truth: np.ndarray) -> float:
    from skimage.metrics import structural_similarity

    found: Any = structural_similarity(picture, truth, channel_axis=2)
    return float(found)


def recipe_of(found: Opened, viewpoint: ViewpointSettings, settings: RenderSettings) -> Recipe:
    """How to make this picture again."""
    eye, target = (tuple(float(v) for v in place) for place in _standing(found, viewpoint))
    width = viewpoint.picture_px
    size = f"{width}, {round(0.75 * width)}, {viewpoint.fov_deg!r}, {found.up!r}"
    imports = [line for line in found.origin.lines if line.startswith(("from ", "import "))]
    lines = [
        "from pathlib import Path",
        "",
        "from core.cameras import look_at",
        "from core.figures import write_png",
        "from core.splats import RenderSettings, render",
        *dict.fromkeys(imports),
        "",
        *(line for line in found.origin.lines if line not in imports),
        f"camera = look_at({eye}, {target}, {size})",
        "view = render(splats, camera, {RenderSettings})",
        'write_png(view.rgb, Path("splats.png"))',
    ]
    made = (*found.origin.settings, viewpoint, settings)
    return Recipe("splats", "\n".join(lines), made, found.origin.inputs)


def _digest(path: Path) -> str:
    return digest(np.frombuffer(path.read_bytes(), np.uint8))
