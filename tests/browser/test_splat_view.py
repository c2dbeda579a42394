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

from core.cameras import look_at, project, unproject
from core.splats import RenderSettings, Splats, render
from core.splats.packed import pack
from demos.widgets.base import static_url
from demos.widgets.orbit_view import camera_of, frustum_of
from demos.widgets.splat_view import SplatView, mask_of, pack_geometry
from tests.browser.test_widgets import shown

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
  [window.told, window.key] = [[], value.key];
  const emit = (name, detail) => told.push({ name, detail });
  window.part = mount(home, { emit, url: (path) => path });
  part.show(value);
}"""


def crowd(n: int, degree: int, seed: int = 0) -> Splats:
    """Splats in front of START, of many sizes and shapes; some are needles, some cross the rim."""
    rng = np.random.default_rng(seed)
    view = camera_of(START, WIDTH, HEIGHT)
    z = rng.uniform(1.5, 6, n)
    xy = rng.uniform(-0.15, 1.15, (n, 2)) * (WIDTH, HEIGHT)
    size = 0.0005 * 100 ** rng.uniform(0, 1, (n, 1))  # a tenth of a px to fifteen
    log_scales = np.log(size * z[:, None]) + rng.normal(0, 0.8, (n, 3))
    sh = rng.normal(0, 0.25, (n, (degree + 1) ** 2, 3))
    sh[:, 0] = rng.normal(0, 1.0, (n, 3))
    means = unproject(view, xy, z)
    return Splats(means, log_scales, rng.normal(size=(n, 4)), rng.normal(0, 2, n), sh)


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
    (folder / "first.bin").write_bytes(pack(crowd(300, 0), 300))

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
    """The shared page, without the part of the last test."""
    yield shared
    shared.evaluate("document.querySelector('#part')?.remove()")


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
    """The details of all events of this name; those that wait for rest are waited for."""
    if name in ("moved", "cropped"):
        page.evaluate("new Promise((done) => setTimeout(done, 260))")  # they are told after 250 ms
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
    view(pack(splats, 2001), start=about)
    found = shot(page)
    expected = render(splats, camera_of(about, WIDTH, HEIGHT)).rgb
    assert found.shape == expected.shape == (HEIGHT, WIDTH, 3)
    assert expected.std() > 30  # there is something to compare
    assert psnr(found, expected) >= 60  # the bar is 35; a dilation of 0.45 px² has 59


def test_what_is_left_out_behind_others_is_not_missed(page, view):
    """A wall of more splats than a slice holds across the left half, and many behind all of it."""
    rng = np.random.default_rng(5)
    n, behind = 17_000, 1000
    xy = rng.uniform(0, 1, (n + behind, 2)) * (WIDTH, HEIGHT)
    xy[:n, 0] *= 0.5
    z = np.where(np.arange(n + behind) < n, 2.0, 4.0) + rng.uniform(0, 0.1, n + behind)
    means = unproject(camera_of(START, WIDTH, HEIGHT), xy, z)
    scales = np.log(np.where(z < 3, 0.02, 0.06)[:, None] * np.ones(3))
    colours = rng.normal(0, 1, (n + behind, 1, 3))
    splats = Splats(
        means, scales, rng.normal(size=(n + behind, 4)), np.full(n + behind, 3), colours
    )
    view(pack(splats, len(splats)))
    expected = render(splats, camera_of(START, WIDTH, HEIGHT)).rgb
    assert psnr(shot(page), expected) >= 45


def test_settings_mean_what_the_server_means(page, view):
    splats = crowd(800, 2)
    view(pack(splats, 800), background=[0.2, 0.4, 0.6], near_m=3.0)
    set_slider(page, "degree", 1)
    set_slider(page, "scale", -0.3)
    settings = RenderSettings((0.2, 0.4, 0.6), sh_degree=1, scale=10**-0.3, near_m=3.0)
    expected = render(splats, camera_of(START, WIDTH, HEIGHT), settings).rgb
    assert psnr(shot(page), expected) >= 45
    page.locator("#part .spl-over").click(position={"x": 33, "y": 44})
    picked = told(page, "picked")[-1]
    assert (picked["x"], picked["y"], picked["width"], picked["height"]) == (33, 44, WIDTH, HEIGHT)
    assert picked["orbit"] == START
    assert picked["settings"] == {
        "background": [0.2, 0.4, 0.6], "sh_degree": 1, "scale": pytest.approx(10**-0.3),
    }  # fmt: skip


# ---------------------------------------------------------------- ways of looking


def test_order_build_up_and_masks(page, view):
    """A red plate before a blue one; the blue one is larger, so more important."""
    splats = plates([3, 4], [RED, BLUE])
    larger = splats.log_scales + np.array([[0.0], [0.5]])
    splats = Splats(splats.means, larger, splats.quats, splats.opacity_logits, splats.sh)
    part = view(pack(splats, 2))
    np.testing.assert_allclose(middle(shot(page)), RED, atol=0.02)
    part.locator("summary").click()
    part.get_by_label("Sorted by depth").uncheck()
    rest(page)
    np.testing.assert_allclose(middle(shot(page)), BLUE, atol=0.02)  # as they are stored: by rank
    part.get_by_label("Sorted by depth").check()
    set_slider(page, "count", 0)
    assert "1 of 2" in part.inner_text()
    np.testing.assert_allclose(middle(shot(page)), BLUE, atol=0.02)
    set_slider(page, "count", 1000)
    show(page, key=page.evaluate("key"), hidden=mask_of(np.array([True, False])))
    np.testing.assert_allclose(middle(shot(page)), BLUE, atol=0.02)
    magenta = np.array([1, 0, 0.9])
    show(page, key=page.evaluate("key"), hidden=None, selected=mask_of(np.array([True, False])))
    np.testing.assert_allclose(middle(shot(page)), 0.25 * np.array(RED) + 0.75 * magenta, atol=0.03)


def test_modes_show_what_they_say(page, view):
    part = view(pack(plates([3], [GREEN], opacity=0.5), 1))

    def mode(name):
        part.get_by_role("radio", name=name, exact=True).click()
        rest(page)
        return shot(page)

    np.testing.assert_allclose(middle(mode("Splats")), 0.5 * np.array(GREEN), atol=0.01)
    np.testing.assert_allclose(middle(mode("Opacity")) * 255, [16.5, 72.5, 70], atol=2)  # ½ viridis
    points = mode("Points")
    np.testing.assert_allclose(middle(points), GREEN, atol=0.01)
    assert (points.max(2) > 0).sum() < 12  # a dot
    rings = mode("Rings")
    radius = 0.5 / 3 * camera_of(START, WIDTH, HEIGHT).K[0, 0]  # px of 1 σ
    lit = np.argwhere(rings[..., 1] > 0.5 * 0.8 * 255)
    off = np.hypot(lit[:, 0] + 0.5 - HEIGHT / 2, lit[:, 1] + 0.5 - WIDTH / 2)
    assert len(lit) > 100
    assert np.abs(off - radius).max() < 3
    # A ball's axes are alike, and the first is taken: x, seen from azimuth −70°.
    facing = camera_of(START, 9, 9).c2w[:3, :3].T @ [1, 0, 0]
    facing *= -np.sign(facing[2])
    expected = 0.5 * (0.5 + 0.5 * facing * [1, -1, -1])
    np.testing.assert_allclose(middle(mode("Normals")), expected, atol=0.01)
    part.locator("summary").click()
    part.get_by_role("radio", name="Splats", exact=True).click()
    part.get_by_label("Half-transparent").check()
    rest(page)
    np.testing.assert_allclose(middle(shot(page)), 0.25 * np.array(GREEN), atol=0.01)


def test_depth_is_a_colour_with_a_bar(page, view):
    part = view(pack(plates([2, 3, 4], [RED, GREEN, BLUE]), 3))
    part.get_by_role("radio", name="Depth", exact=True).click()
    rest(page)
    assert part.locator(".spl-legend").inner_text().split("\n") == ["2 m", "4 m"]
    np.testing.assert_allclose(middle(shot(page)) * 255, [253, 231, 37], atol=3)  # the nearest


def test_a_crop_cuts_and_is_told(page, view):
    part = view(pack(plates([3, 4], [RED, BLUE]), 2))
    far = plates([3, 4], [RED, BLUE]).means[1]
    part.locator("summary").click()
    part.get_by_label("Crop").select_option("sphere")
    for name, value in zip(("x", "y", "z", "radius"), (*far, 0.5), strict=True):
        part.get_by_label(name, exact=True).fill(f"{value:.4f}")
    rest(page)
    np.testing.assert_allclose(middle(shot(page)), BLUE, atol=0.02)
    told_crop = told(page, "cropped")[-1]
    assert told_crop["kind"] == "sphere"
    assert told_crop["radius"] == 0.5
    np.testing.assert_allclose(told_crop["centre"], far, atol=1e-3)
    part.get_by_label("Crop").select_option("")
    assert told(page, "cropped")[-1] is None


# ---------------------------------------------------------------- moving


def drag(page, way, start=(150, 100), **how):
    box = page.locator("#part .spl-over").bounding_box()
    x, y = box["x"] + start[0], box["y"] + start[1]
    page.mouse.move(x, y)
    page.mouse.down(**how)
    page.mouse.move(x + way[0], y + way[1], steps=5)
    page.mouse.up(**how)


def test_mouse_and_keys_move_the_camera(page, view):
    part = view(pack(crowd(50, 0), 50))
    drag(page, (60, 30))
    turned = told(page, "moved")
    assert len(turned) <= 2  # only where it came to rest; a slow machine may rest on the way
    assert turned[-1]["azimuth_deg"] == pytest.approx(-70 - 200 * 60 / WIDTH)
    assert turned[-1]["elevation_deg"] == pytest.approx(20 + 200 * 30 / WIDTH)
    part.get_by_role("button", name="Reset view").click()
    drag(page, (40, -25), button="right")
    camera = camera_of(told(page, "moved")[-1], WIDTH, HEIGHT)
    xy = project(camera, np.array(START["target"]))[0]
    np.testing.assert_allclose(xy, [WIDTH / 2 + 40, HEIGHT / 2 - 25], atol=1e-6)
    part.get_by_role("button", name="Reset view").click()
    assert told(page, "moved")[-1] == START
    over = part.locator(".spl-over")
    over.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("+")
    page.keyboard.press("p")
    assert told(page, "moved")[-1]["azimuth_deg"] == pytest.approx(-65)
    assert told(page, "picked")[-1]["x"] == WIDTH // 2
    page.keyboard.press("Home")
    page.keyboard.down("w")
    page.wait_for_timeout(150)
    page.keyboard.up("w")
    flown = told(page, "moved")[-1]
    assert flown["radius"] == 4.0
    step = np.array(flown["target"]) - START["target"]
    ahead = camera_of(START, 9, 9).c2w[:3, 2]
    assert step @ ahead > 0.05
    np.testing.assert_allclose(np.cross(step, ahead), 0, atol=1e-9)


def test_flip_up_turns_the_picture_by_half(page, view):
    part = view(pack(crowd(300, 1), 300))
    before = shot(page)
    part.get_by_role("button", name="Flip up").click()
    rest(page)
    assert psnr(shot(page), before[::-1, ::-1]) > 40
    upside = told(page, "moved")[-1]
    assert upside["up"] == [0, 0, -1]
    part.get_by_role("button", name="Reset view").click()
    assert told(page, "moved")[-1] == upside  # the way back keeps what is up


def test_a_camera_that_is_clicked_is_jumped_to(page, view):
    camera = look_at((0.9, -1.2, 0.8), (0.2, 0, 0.1), 97, 61, 40)
    view(pack(crowd(50, 0), 50), frusta=[frustum_of(camera, True, "left one")])
    xy = project(camera_of(START, WIDTH, HEIGHT), camera.c2w[:3, 3])[0]
    page.locator("#part .spl-over").click(position={"x": float(xy[0]), "y": float(xy[1])})
    jumped = told(page, "jumped")[-1]
    assert jumped["frustum"] == 0
    assert told(page, "picked") == []
    found = camera_of(jumped["orbit"], 97, 61)
    np.testing.assert_allclose(found.c2w, camera.c2w, atol=1e-6)
    np.testing.assert_allclose(found.K, camera.K, atol=1e-4)


# ---------------------------------------------------------------- points, meshes, values


def triangle(view_of=START):
    """A triangle across the left half of the picture, facing the camera, 3 m ahead."""
    camera = camera_of(view_of, WIDTH, HEIGHT)
    xy = np.array([[10.0, 10], [10, HEIGHT - 10], [WIDTH / 2, HEIGHT / 2]])
    return unproject(camera, xy, np.full(3, 3.0))


def test_a_mesh_is_a_surface_edges_and_points(page, view):
    colours = np.tile(np.array([[200, 100, 50]], np.uint8), (3, 1))
    part = view(pack_geometry(triangle(), colours, np.array([[0, 1, 2]])))
    surface = shot(page)
    inside, outside = surface[HEIGHT // 2, WIDTH // 4], surface[HEIGHT // 2, 3 * WIDTH // 4]
    expected = np.array([200, 100, 50])
    assert (outside == 0).all()
    np.testing.assert_allclose(inside / expected, (inside / expected).mean(), atol=0.03)
    assert 0.85 < (inside / expected).mean() <= 1  # the lamp at the eye is nearly in front of it
    part.get_by_role("radio", name="Normals", exact=True).click()
    rest(page)
    np.testing.assert_allclose(shot(page)[HEIGHT // 2, WIDTH // 4], [128, 128, 255], atol=2)
    part.get_by_role("radio", name="Wireframe", exact=True).click()
    rest(page)
    assert (shot(page)[HEIGHT // 2, WIDTH // 4] == 0).all()
    assert (shot(page)[HEIGHT // 2, 9:12].max(0) > 60).any()
    part.get_by_role("radio", name="Points", exact=True).click()
    rest(page)
    dots = shot(page).max(2) > 60
    assert 3 <= dots.sum() <= 60


def test_a_cloud_is_points_the_nearer_one_in_front(page, view):
    camera = camera_of(START, WIDTH, HEIGHT)
    xyz = unproject(camera, np.full((2, 2), (WIDTH / 2, HEIGHT / 2)), np.array([2.0, 4.0]))
    colours = np.array([[255, 0, 0, 255], [0, 0, 255, 255]], np.uint8)
    part = view(pack_geometry(xyz, colours))
    np.testing.assert_allclose(middle(shot(page)), (1, 0, 0), atol=0.01)
    assert "2 points" in part.locator(".spl-note").inner_text()


@pytest.mark.parametrize("cut", [9, 100, -4])
def test_broken_bytes_are_said_to_be_broken(page, splat_app, cut):
    url = served(splat_app[1], pack(crowd(20, 1), 20)[:cut])
    value = {"key": url, "url": url, "start": START}
    page.evaluate(MOUNT, [static_url("splat_view.js"), WIDTH, value])
    wrong = page.get_by_text("not complete. Load the scene again.")
    wrong.wait_for()
    url = served(splat_app[1], pack(plates([3], [GREEN]), 1))
    show(page, key=url, url=url, start=START)
    assert not wrong.is_visible()


def test_values_of_one_key_add_up_and_a_new_key_begins_anew(page, view, splat_app):
    view(pack(plates([3], [RED]), 1))
    drag(page, (60, 30))
    moved = told(page, "moved")[-1]
    show(page, key=page.evaluate("key"), note="as trained")
    assert "as trained" in page.locator("#part .spl-note").inner_text()
    page.locator("#part .spl-over").click(position={"x": 5, "y": 5})
    assert told(page, "picked")[-1]["orbit"] == moved  # the camera stayed
    page.evaluate("part.show({key: 'new'})")
    assert told(page, "missed") == [{"key": "new"}]
    url = served(splat_app[1], pack(plates([3], [GREEN]), 1))
    show(page, key="other", url=url, start=START)
    np.testing.assert_allclose(middle(shot(page)), GREEN, atol=0.02)
    page.evaluate("part.show(null)")
    assert page.locator("#part").get_by_text("No scene yet.").is_visible()


def test_no_module_can_be_had_without_its_version(splat_app, open_page):
    """Those that modules and the worker import, too: or a browser may keep them over an update."""
    page = open_page("about:blank")
    asked = []
    page.context.on("request", lambda request: asked.append(request.url))
    page.goto(splat_app[0])
    page.locator("#view .spl-gl[data-state=rest]").wait_for(state="attached")
    ours = [url for url in asked if "/demos/widgets/" in url]
    names = {url.rpartition("/")[2].partition("?")[0] for url in ours}
    assert {"splat_view.js", "splat_gl.js", "splat_sort.js", "splat_data.js"} <= names
    assert {url.partition("?")[2] for url in ours} == {static_url("splat_view.js").split("?")[1]}


def test_events_reach_the_server(page):
    page.locator("#view .spl-gl[data-state=rest]").wait_for(state="attached")
    assert page.locator("#empty").inner_text().strip() == "No scene yet."
    over = page.locator("#view .spl-over")
    over.scroll_into_view_if_needed()
    over.click(position={"x": 20, "y": 30})
    over.press("ArrowRight")
    for box in ("picked", "moved"):
        page.wait_for_function(f"document.querySelector('#{box} textarea').value")
    assert json.loads(shown(page, "picked"))["x"] == 20
    assert json.loads(shown(page, "moved"))["azimuth_deg"] == pytest.approx(-65)
