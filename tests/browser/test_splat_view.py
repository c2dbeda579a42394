"""The splat view: does the browser's picture equal the server's, and do its hands do what they say?

Pictures are taken with the view's own Screenshot button, as a person would take them, and held
against core.splats.render of the camera that the same orbit makes.
"""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from core.cameras import unproject
from core.splats import Splats, render
from demos.widgets.base import static_url
from demos.widgets.orbit_view import camera_of
from demos.widgets.splat_view import SplatView

pytestmark = pytest.mark.browser

WIDTH, HEIGHT = 301, 223  # css px of the view: odd, not square
START = {
    "azimuth_deg": -70.0, "elevation_deg": 20.0, "radius": 4.0,
    "target": [0.3, -0.2, 0.1], "up": [0.0, 0.0, 1.0], "fov_deg": 50.0,
}  # fmt: skip
# Without Gradio, a test hands values over itself and sees every event.
MOUNT = """async ([module, width, value]) => {
  const { mount } = await import(module);
  document.querySelector('#part')?.remove();
  const home = document.createElement('div');
  home.id = 'part';
  home.style = `position: fixed; z-index: 99; left: 20px; top: 10px; width: ${width}px;
    background: white`;
  document.body.append(home);
  window.told = [];
  const emit = (name, detail) => told.push({ name, detail });
  window.part = mount(home, { emit, url: (path) => path });
  part.show(value);
}"""


def packed(splats: Splats, rank: np.ndarray | None = None) -> bytes:
    """The layout that splat_data.js reads, written down here once more."""
    n, k = splats.sh.shape[:2]
    sh = splats.sh.astype("<f2").tobytes()
    rank = np.arange(n) if rank is None else rank
    return b"".join(
        [b"SLSP", np.array([1, n, k], "<u4").tobytes(), splats.means.tobytes(),
         splats.scales_m.tobytes(), splats.unit_quats.tobytes(), splats.opacities.tobytes(),
         sh + bytes(-len(sh) % 4), rank.astype("<u4").tobytes()]
    )  # fmt: skip


def crowd(n: int, degree: int, seed: int = 0) -> Splats:
    """Splats in front of START, of many sizes and shapes; some are needles, some cross the rim."""
    rng = np.random.default_rng(seed)
    view = camera_of(START, WIDTH, HEIGHT)
    z = rng.uniform(1.5, 6, n)
    xy = rng.uniform(-0.15, 1.15, (n, 2)) * (WIDTH, HEIGHT)
    log_scales = np.log(rng.uniform(0.005, 0.12, (n, 1)) * z[:, None]) + rng.normal(0, 0.8, (n, 3))
    sh = rng.normal(0, 0.25, (n, (degree + 1) ** 2, 3))
    sh[:, 0] = rng.normal(0, 1.0, (n, 3))
    means = unproject(view, xy, z)
    return Splats(means, log_scales - 1, rng.normal(size=(n, 4)), rng.normal(0, 2, n), sh)


def plates(depths, colours, opacity: float = 0.999) -> Splats:
    """Large flat splats, one behind the other along the middle of START's picture."""
    view = camera_of(START, WIDTH, HEIGHT)
    means = unproject(view, np.full((len(depths), 2), (WIDTH / 2, HEIGHT / 2)), np.array(depths))
    sh = (np.array(colours, float)[:, None] - 0.5) / 0.28209479177387814
    logits = np.full(len(depths), np.log(opacity / (1 - opacity)))
    scales = np.log(np.full((len(depths), 3), 0.5))
    return Splats(means, scales, np.tile([1.0, 0, 0, 0], (len(depths), 1)), logits, sh)


RED, GREEN, BLUE = (0.9, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.9)


@pytest.fixture(scope="module")
def splat_app(tmp_path_factory):
    """A page with the widget as a tab wires it, and a folder whose files it serves."""
    import gradio as gr

    from demos.widgets.base import HERE

    gr.set_static_paths([HERE])
    folder = tmp_path_factory.mktemp("scenes")
    (folder / "first.bin").write_bytes(packed(crowd(300, 0)))

    def tell(event):
        return json.dumps(event._data)

    tell.__annotations__["event"] = gr.EventData  # looked up by name, and `gr` is no global
    with gr.Blocks() as demo:
        first = f"/gradio_api/file={folder / 'first.bin'}"
        view = SplatView({"key": "first", "url": first, "start": START}, elem_id="view")
        SplatView(None, elem_id="empty")
        for event in ("moved", "picked"):
            getattr(view, event)(
                tell, None, gr.Textbox(elem_id=event), queue=False, api_visibility="private",
                show_progress="hidden",
            )  # fmt: skip
    _, url, _ = demo.launch(
        prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", ssr_mode=False,
        allowed_paths=[str(folder)],
    )  # fmt: skip
    yield url, folder
    demo.close()


@pytest.fixture(scope="module")
def shared(splat_app, open_page):
    page = open_page(splat_app[0])
    page.locator("#view .spl-over").wait_for()
    return page


@pytest.fixture
def page(shared):
    """The shared page; a fault during a test fails that test. Warnings about speed are none."""
    shared.watch.faults.clear()
    yield shared
    shared.evaluate("document.querySelector('#part')?.remove()")
    assert shared.watch.faults == []


@pytest.fixture
def view(page, splat_app):
    """`view(bytes, **value)`: the widget with this scene, drawn."""

    def view(scene: bytes, **value):
        url = served(splat_app[1], scene)
        value = {"key": url, "url": url, "start": START, "aspect": WIDTH / HEIGHT} | value
        page.evaluate(MOUNT, [static_url("splat_view.js"), WIDTH, value])
        rest(page)
        return page.locator("#part")

    return view


def served(folder, scene: bytes) -> str:
    path = folder / f"{len(list(folder.iterdir()))}.bin"
    path.write_bytes(scene)
    return f"/gradio_api/file={path}"


def rest(page):
    """Waits until the whole picture is drawn."""
    page.locator("#part .spl-gl[data-state=rest]").wait_for(state="attached")


def show(page, **value):
    page.evaluate("(value) => part.show(value)", value)
    rest(page)


def shot(page) -> np.ndarray:
    """What the Screenshot button saves: (H, W, 3) uint8."""
    with page.expect_download() as download:
        page.locator("#part").get_by_role("button", name="Screenshot").click()
    return np.asarray(Image.open(io.BytesIO(download.value.path().read_bytes())).convert("RGB"))


def told(page, name):
    page.wait_for_timeout(350)
    return [e["detail"] for e in page.evaluate("told") if e["name"] == name]


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((a / 255.0 - b / 255.0) ** 2) + 1e-12))


def middle(picture: np.ndarray) -> np.ndarray:
    """The pixel in the middle, in [0, 1]."""
    return picture[HEIGHT // 2, WIDTH // 2] / 255


def set_slider(page, name: str, value: float):
    """As a drag does: the value, then its event."""
    page.locator(f"#part [data-set={name}]").evaluate(
        "(input, value) => { input.value = value; input.dispatchEvent(new Event('input')); }", value
    )
    rest(page)


# ---------------------------------------------------------------- the same picture


@pytest.mark.parametrize(
    ("degree", "about"),
    [(0, START), (1, START | {"azimuth_deg": 100.0, "up": [0.1, -1.0, 0.3]}),
     (2, START | {"elevation_deg": -35.0, "radius": 2.5}), (3, START)],
)  # fmt: skip
def test_browser_and_server_draw_alike(page, view, degree, about):
    splats = crowd(2001, degree, seed=degree)
    view(packed(splats, np.random.default_rng(3).permutation(2001)), start=about)
    found = shot(page)
    expected = render(splats, camera_of(about, WIDTH, HEIGHT)).rgb
    assert found.shape == expected.shape == (HEIGHT, WIDTH, 3)
    assert expected.std() > 30  # there is something to compare
    assert psnr(found, expected) >= 40  # the bar is 35
