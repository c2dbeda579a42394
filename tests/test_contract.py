"""Every tab, now and later, keeps to the seams of the design. New tabs are held to them by TABS."""

import ast
import dataclasses
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import demos
from core.models import ModelSpec, table
from core.types import Settings

ROOT = Path(__file__).parents[1]
ORDER = ("captioning", "stereo", "nerf", "splats", "controlnet", "inpainting", "matching")
HEAVY = ("cv2", "torch", "transformers", "diffusers", "open3d", "gsplat", "matplotlib.pyplot",
         "scipy", "skimage", "trimesh", "av")  # fmt: skip
CORE = sorted(p for p in (ROOT / "core").rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def settings_classes() -> list[type[Settings]]:
    for path in CORE:
        importlib.import_module(module_name(path))
    found = []
    for kind in Settings.__subclasses__():
        if kind.__module__.startswith("core."):
            found.append(kind)
    return found


def test_tabs_stand_in_teaching_order():
    assert demos.TABS == ORDER


@pytest.mark.parametrize("slug", demos.TABS)
def test_each_tab_is_a_demo_with_its_files(slug):
    demo = importlib.import_module(f"demos.{slug}").demo
    assert demo.slug == slug and demo.title and len(demo.blurb) > 40
    assert "run" in inspect.signature(demo.build).parameters
    assert (ROOT / "tests" / f"test_{slug}.py").exists()
    assert (ROOT / "assets" / "lessons" / f"{slug}.md").exists()
    name = {"controlnet": "control"}.get(str(slug), str(slug))
    assert (ROOT / "core" / name).exists() or (ROOT / "core" / f"{name}.py").exists()


@pytest.mark.parametrize("slug", demos.TABS)
def test_each_tab_draws_with_a_fake_and_has_its_panels(slug):
    import gradio as gr

    demo = importlib.import_module(f"demos.{slug}").demo
    with gr.Blocks() as page:
        demo.build(run=lambda *args, **kwargs: None)
    labels = [b.label for b in page.blocks.values() if isinstance(b, gr.Accordion)]
    for panel in ("Look inside", "Compare", "Score", "Take away", "Lesson"):
        assert panel in labels
    words = [b.value for b in page.blocks.values() if isinstance(b, gr.Button)]
    assert "Stop" in words
    names = [f.api_name for f in page.fns.values() if f.api_visibility == "public"]
    assert names == [slug], "the tab's one endpoint; helpers are private"


@pytest.mark.parametrize("slug", demos.TABS)
def test_lessons_are_short_and_sourced(slug):
    text = (ROOT / "assets" / "lessons" / f"{slug}.md").read_text()
    body, found, _ = text.partition("Sources")
    assert found, "a lesson names its sources"
    assert 300 <= len(body.split()) <= 560


@pytest.mark.parametrize("path", CORE, ids=module_name)
def test_core_never_imports_the_page_nor_heavy_packages_at_import(path):
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            assert name.split(".")[0] not in ("gradio", "demos"), f"{path.name} imports {name}"
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module]
            for name in names:
                assert not any((name or "").startswith(h) for h in HEAVY), f"{path.name}: {name}"


def test_importing_everything_loads_nothing_heavy():
    modules = [module_name(p) for p in CORE]
    code = (
        f"import sys, importlib\nfor m in {modules!r}: importlib.import_module(m)\n"
        f"print([h for h in {HEAVY!r} if h in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize("kind", settings_classes(), ids=lambda k: k.__name__)
def test_settings_declare_all_a_page_needs(kind):
    assert kind() == kind(), "defaults are valid and equal"
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    for f in dataclasses.fields(kind):
        about = f.metadata
        assert about["label"] and about["help"].endswith("."), f.name
        if isinstance(f.default, int | float) and not isinstance(f.default, bool):
            assert about["minimum"] is not None and about["maximum"] is not None, f.name
        if about["choices"]:
            assert f.default in about["choices"]


def test_every_model_is_pinned_and_licensed():
    specs = {
        spec.key: spec
        for path in CORE
        for spec in getattr(importlib.import_module(module_name(path)), "MODELS", {}).values()
    }.values()
    assert specs and all(isinstance(spec, ModelSpec) for spec in specs)
    assert table(specs) in (ROOT / "README.md").read_text(), "the README's table is the specs'"
    for spec in specs:
        assert spec.licence and spec.download_mb > 0, spec.key
        ours = spec.source.startswith("assets/models/")  # its version is the tree's
        assert spec.revision or ours, spec.key


def test_a_tab_that_fails_to_import_leaves_the_others_alive(monkeypatch):
    import gradio as gr

    real = importlib.import_module

    def fails(name, *args):
        if name == "demos.stereo":
            raise ImportError("libfoo.so.1: cannot open shared object file")
        return real(name, *args)

    monkeypatch.setattr(importlib, "import_module", fails)
    broken, works = demos.load(("stereo", "matching"))
    with gr.Blocks() as page:
        broken.build()
    (told,) = [b.value for b in page.blocks.values() if isinstance(b, gr.HTML)]
    assert "libfoo.so.1" in told and "packages.txt" in told
    assert works.slug == "matching"


def test_the_tree_is_a_space():
    readme = (ROOT / "README.md").read_text()
    assert readme.startswith("---\n") and "app_file: app.py" in readme
    assert "sdk: gradio" in readme
    assert (ROOT / "packages.txt").exists()
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    assert tracked.returncode == 0 and "app.py\0" in tracked.stdout, tracked.stderr
    for name in tracked.stdout.split("\0"):
        path = ROOT / name
        assert not path.is_file() or path.stat().st_size <= 10 * 2**20, name
