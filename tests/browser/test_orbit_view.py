"""The orbit view: do browser and server mean the same camera, and do the lines lie where they say?

Where lines are seen is found on screenshots, and where they should be with core.cameras, so the
tests share no arithmetic with the widget.
"""

from __future__ import annotations

import io
import json
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from core.cameras import look_at, project, unproject
from core.types import Camera
from demos.widgets.base import static_url
from demos.widgets.orbit_view import camera_of, frustum_of, points_of
from tests.browser.rest import frame
from tests.browser.test_widgets import plain, shown, wait_for

pytestmark = pytest.mark.browser

WIDTH, HEIGHT = 451, 301  # css px of the view: odd, not square
START = {
    "azimuth_deg": -70.0, "elevation_deg": 20.0, "radius": 4.0,
    "target": [0.3, -0.2, 0.1], "up": [0.0, 0.0, 1.0], "fov_deg": 50.0,
}  # fmt: skip


def shifted(camera: Camera, right_px: float, down_px: float) -> Camera:
    """The camera with its principal point off the middle, so that no mirror image fits."""
    off = np.array([[0, 0, right_px], [0, 0, down_px], [0, 0, 0]])
    return replace(camera, K=camera.K + off)


CAMERAS = [
    shifted(look_at((0.9, -1.2, 0.8), (0, 0, 0), 97, 61, 50), -20, 15),
    shifted(look_at((-0.8, -1.0, 0.5), (0, 0, 0), 64, 81, 70), 12, -25),
]
VALUE = {
    "key": "a",
    "start": START,
    "aspect": WIDTH / HEIGHT,
    "frusta": [frustum_of(CAMERAS[0], False, "left one"), frustum_of(CAMERAS[1], True)],
    "box": [[-0.5, -0.4, -0.3], [0.5, 0.4, 0.3]],
    "points": points_of(np.array([[0.1, 0.2, 0.2], [np.nan, 0, 0], [-0.2, 0.1, -0.1]])),
    "ray": {"from": [1, -1, 1], "to": [-1, 1, -1], "samples": [[0, 0, 0, 0.5]]},
    "note": "step 412",
}
WHITE = plain((3, 2), (255, 255, 255))
# Without Gradio, a test hands values over itself and sees every event with its time. Each orbit is
# answered by a white picture, unless `slow` is set.
MOUNT = """async ([module, width, value, image]) => {
  const { mount } = await import(module);
  document.querySelector('#part')?.remove();
  const home = document.createElement('div');
  home.id = 'part';
  home.style = `position: fixed; z-index: 99; left: 20px; top: 20px; width: ${width}px;
    background: white`;
  document.body.append(home);
  [window.told, window.slow, window.key] = [[], false, value.key];
  const emit = (name, detail) => {
    told.push({ name, detail, at: performance.now() });
    const answer = { key, image, image_for: detail };
    if (name === 'turned' && !slow) setTimeout(() => part.show(answer), 20);
  };
  window.part = mount(home, { emit, url: (path) => path });
  part.show(value);
}"""


@pytest.fixture(scope="module")
def orbit_app():
    """A page with the widget as a tab wires it: the server answers each orbit with a picture."""
    import gradio as gr

    from demos.widgets.base import HERE
    from demos.widgets.orbit_view import OrbitView

    gr.set_static_paths([HERE])

    def answer(event):
        d = event._data
        image = plain((8, 8), (200, 30, 30))
        return json.dumps(d), {"key": "a", "image": image, "image_for": d, "note": "drawn"}

    answer.__annotations__["event"] = gr.EventData  # looked up by name, and `gr` is no global
    with gr.Blocks() as demo:
        view = OrbitView(VALUE, elem_id="view")
        OrbitView(None, elem_id="empty")
        turned = gr.Textbox(elem_id="turned")
        view.turned(
            answer, None, [turned, view], queue=False, trigger_mode="multiple",
            api_visibility="private", show_progress="hidden",
        )  # fmt: skip
    _, url, _ = demo.launch(
        prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", ssr_mode=False
    )
    yield url
    demo.close()


@pytest.fixture(scope="module")
def shared(orbit_app, open_page):
    page = open_page(orbit_app)
    page.locator("#view canvas").wait_for()
    return page


@pytest.fixture
def page(shared):
    """The page with a fresh part on top, showing VALUE. Any fault of the page fails the test."""
    shared.mouse.move(1000, 800)
    shared.evaluate(MOUNT, [static_url("orbit_view.js"), WIDTH, VALUE, WHITE])
    frame(shared)
    yield shared
    shared.evaluate("document.querySelector('#part')?.remove()")


def show(page, **value):
    page.evaluate("(value) => { window.key = value.key; part.show(value); }", value)
    frame(page)


def told(page, name="turned"):
    """The details of all events of this name, once they have stopped coming: one waits 120 ms for
    its turn, or longer for the pictures of those before."""
    page.evaluate("""async () => {
      const late = () => !slow && document.querySelector('#part canvas').dataset.late === 'true';
      for (let [n, k] = [-1, 0]; k < 100 && (n !== told.length || late()); k++) {
        n = told.length;
        await new Promise((done) => setTimeout(done, 130));
      }
    }""")
    return [e["detail"] for e in page.evaluate("told") if e["name"] == name]


def canvas(page):
    return page.locator("#part canvas")


def drag(page, way, start=(200, 200), steps=6, **how):
    box = canvas(page).bounding_box()
    x, y = box["x"] + start[0], box["y"] + start[1]
    page.mouse.move(x, y)
    page.mouse.down(**how)
    page.mouse.move(x + way[0], y + way[1], steps=steps)
    page.mouse.up(**how)


def only(page, *layers):
    for name in ("Cameras", "Box", "Points", "Ray"):
        page.locator("#part").get_by_label(name, exact=True).set_checked(name in layers)
    frame(page)


def pixels(page) -> np.ndarray:
    page.mouse.move(1000, 800)
    frame(page)
    shot = canvas(page).screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


def where(seen: np.ndarray, colour, within=40) -> np.ndarray:
    """(x, y) of the pixels of about this colour."""
    rows, columns = np.nonzero(np.abs(seen - colour).max(2) < within)
    return np.column_stack([columns, rows]) + 0.5


# ---------------------------------------------------------------- one camera, told twice

ORBITS = [
    START,
    START | {"azimuth_deg": 170.0, "elevation_deg": -35.0},
    START | {"elevation_deg": 90.0},  # kept at 89°
    START | {"up": [0.0, 1.0, 0.0], "azimuth_deg": 33.0},
    START | {"up": [-2.0, 0.1, 0.2]},  # towards −x, and not of unit length
    START | {"up": [0.3, -0.5, 0.6], "fov_deg": 91.0, "radius": 1.7},
]


@pytest.mark.parametrize("about", ORBITS)
def test_browser_and_server_project_alike(page, about):
    points = np.random.default_rng(1).normal(0, 0.4, (40, 3))
    xy, z = project(camera_of(about, WIDTH, HEIGHT), points)
    found = page.evaluate(
        """async ([module, about, width, height, points]) => {
          const { viewOf } = await import(module);
          const { own, pixel } = viewOf(about, width, height);
          return points.map((p) => [...pixel(own(p)), own(p)[2]]);
        }""",
        [static_url("orbit_camera.js"), about, WIDTH, HEIGHT, points.tolist()],
    )
    seen = z > 0.1
    assert seen.sum() > 20
    np.testing.assert_allclose(np.array(found)[seen], np.column_stack([xy, z])[seen], atol=1e-6)


def test_a_line_is_cut_where_it_passes_the_eye(page):
    lines = [[[0, 0, -1], [4, 8, 3]], [[4, 8, 3], [0, 0, -1]], [[1, 1, 2], [1, 1, 3]],
             [[0, 0, 0.5], [5, 5, -5]]]  # fmt: skip
    cuts = page.evaluate(
        """async ([module, lines]) => {
          const { cut } = await import(module);
          return lines.map(([a, b]) => cut(a, b, 1));
        }""",
        [static_url("orbit_camera.js"), lines],
    )
    assert cuts == [[[2, 4, 1], [4, 8, 3]], [[4, 8, 3], [2, 4, 1]], lines[2], None]


# ---------------------------------------------------------------- what is drawn


def test_lines_lie_where_the_cameras_are(page):
    only(page, "Cameras")
    seen = pixels(page)
    assert seen.shape[:2] == (HEIGHT, WIDTH)
    view = camera_of(START, WIDTH, HEIGHT)
    for camera, colour in zip(CAMERAS, [(0, 114, 178), (230, 159, 0)], strict=True):
        found = where(seen, colour)
        w, h = camera.width, camera.height
        apex = project(view, camera.c2w[:3, 3])[0]
        assert np.hypot(*(found - apex).T).min() < 3
        # Seen from the apex, its lines end on the rays through the corners: find how deep they are
        # drawn from the farthest line pixel, then all corners must be line pixels at that depth.
        corners = np.array([[0, 0], [w, 0], [w, h], [0, h]], float)
        off = [
            max(np.hypot(*(found - xy).T).min()
                for xy in project(view, unproject(camera, corners, np.full(4, depth)))[0])
            for depth in np.linspace(0.05, 0.3, 126)
        ]  # fmt: skip
        assert min(off) < 3


def test_box_points_and_ray_are_drawn(page):
    view = camera_of(START, WIDTH, HEIGHT)
    only(page, "Box")
    dark = where(pixels(page), (31, 41, 55), 60)
    low, high = np.array(VALUE["box"])
    for bits in np.ndindex(2, 2, 2):
        corner = np.where(np.array(bits) == 1, high, low)
        assert np.hypot(*(dark - project(view, corner)[0]).T).min() < 4
    only(page, "Points")
    green = where(pixels(page), (0, 122, 90), 60)
    assert len(green) == 8  # two dots of 2 × 2; the one that isn't finite is left out
    for point in ([0.1, 0.2, 0.2], [-0.2, 0.1, -0.1]):
        off = green - project(view, np.array(point))[0]
        assert (np.abs(off).max(1) < 2.1).sum() == 4
    only(page, "Ray")
    pink = where(pixels(page), (176, 71, 138))
    for share in (0.1, 0.5, 0.9):
        place = project(view, np.array([1, -1, 1]) + share * np.array([-2, 2, -2]))[0]
        assert np.hypot(*(pink - place).T).min() < 2


def test_the_picture_fills_the_view_and_knows_when_it_is_late(page):
    only(page)
    late = START | {"azimuth_deg": -71.0}
    page.evaluate("slow = true")
    show(page, key="a", image=plain((6, 4), (200, 30, 30)), image_for=late, note=None)
    page.wait_for_function("document.querySelector('#part canvas').dataset.late === 'true'")
    seen = pixels(page)
    assert len(where(seen, (200, 30, 30), 12)) >= 0.99 * WIDTH * HEIGHT
    show(page, key="a", image=plain((6, 4), (30, 30, 200)), image_for=START)
    page.wait_for_function("document.querySelector('#part canvas').dataset.late === 'false'")
    page.locator("#part").get_by_label("Picture", exact=True).uncheck()
    assert len(where(pixels(page), (30, 30, 200), 12)) == 0


def test_switches_are_there_for_what_is_there(page):
    names = ["Picture", "Cameras", "Box", "Points", "Ray"]

    def visible():
        part = page.locator("#part")
        return [name for name in names if part.get_by_label(name, exact=True).is_visible()]

    assert visible() == names[1:]
    show(page, key="b", start=START, box=VALUE["box"])
    assert visible() == ["Box"]
    assert page.locator("#part .orb-note").is_hidden()


# ---------------------------------------------------------------- moving


def test_a_drag_turns_and_is_told_seldom_but_to_the_end(page):
    drag(page, (100, 45), steps=60)
    orbits = told(page)
    last = orbits[-1]
    # 200° for the whole width; to the right, the eye goes left, and down, it rises.
    assert last["azimuth_deg"] == pytest.approx(-70 - 200 * 100 / WIDTH, abs=1e-6)
    assert last["elevation_deg"] == pytest.approx(20 + 200 * 45 / WIDTH, abs=1e-6)
    assert (last["radius"], last["target"], last["up"], last["fov_deg"]) == (
        4.0, START["target"], START["up"], 50.0,
    )  # fmt: skip
    times = np.array([e["at"] for e in page.evaluate("told")])
    assert (np.diff(times) > 119).all()
    assert len(orbits) < 60


def test_it_never_turns_over(page):
    for way, end in ((290, 89.0), (-290, -89.0)):
        start = (200, 5 if way > 0 else 295)
        drag(page, (0, way), start)
        drag(page, (0, way), start)
        assert told(page)[-1]["elevation_deg"] == end


@pytest.mark.parametrize("how", ["shift", "right", "middle"])
def test_panning_keeps_what_was_grasped_under_the_pointer(page, how):
    if how == "shift":
        page.keyboard.down("Shift")
    drag(page, (60, -35), button="left" if how == "shift" else how)
    page.keyboard.up("Shift")
    camera = camera_of(told(page)[-1], WIDTH, HEIGHT)
    xy = project(camera, np.array(START["target"]))[0]
    np.testing.assert_allclose(xy, [WIDTH / 2 + 60, HEIGHT / 2 - 35], atol=1e-6)


def test_wheel_keys_and_ways_back(page):
    canvas(page).hover()
    page.mouse.move(230, 160)
    page.mouse.wheel(0, -100)
    radius = told(page)[-1]["radius"]
    assert radius < 4
    canvas(page).dblclick(position={"x": 5, "y": 5})
    assert told(page)[-1] == START
    canvas(page).focus()
    for key, name, expected in (
        ("ArrowRight", "azimuth_deg", -65), ("ArrowUp", "elevation_deg", 25), ("+", "radius", 3.4783),
    ):  # fmt: skip
        page.keyboard.press(key)
        assert told(page)[-1][name] == pytest.approx(expected, abs=1e-3)
    page.keyboard.press("Home")
    assert told(page)[-1] == START
    page.keyboard.press("Shift+ArrowRight")
    camera = camera_of(told(page)[-1], WIDTH, HEIGHT)
    xy = project(camera, np.array(START["target"]))[0]
    np.testing.assert_allclose(xy, [0.45 * WIDTH, HEIGHT / 2], atol=1e-6)
    page.locator("#part").get_by_role("button", name="Reset view").click()
    assert told(page)[-1] == START


def test_a_slow_server_is_not_flooded_and_ends_with_the_last_place(page):
    page.evaluate("slow = true")
    began = time.monotonic()
    for _ in range(3):
        drag(page, (20, 0))
        page.wait_for_timeout(200)
    before = [e["detail"] for e in page.evaluate("told")]
    # Two may be on their way while no picture has come, and one more a second, in case it is lost.
    assert 2 <= len(before) <= 3 + (time.monotonic() - began)
    show(page, key="a", image=plain((4, 4), (9, 9, 9)), image_for=before[-1])
    last = pytest.approx(-70 - 200 * 60 / WIDTH, abs=1e-6)
    page.wait_for_timeout(300)
    after = told(page)
    assert after[-1]["azimuth_deg"] == last
    # The answer is a picture of another place: requests overtook each other. It is told once more.
    show(page, key="a", image=plain((4, 4), (9, 9, 9)), image_for=before[0])
    page.wait_for_timeout(2600)
    again = told(page)[len(after) :]
    assert again and all(place == after[-1] for place in again)


def test_a_finger_turns_and_two_zoom(orbit_app, open_page):
    page = open_page(orbit_app, width=500, has_touch=True)
    page.locator("#view canvas").wait_for()
    page.evaluate(MOUNT, [static_url("orbit_view.js"), WIDTH, VALUE, WHITE])
    frame(page)
    touch = page.context.new_cdp_session(page)

    def fingers(kind, *places):
        points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    fingers("touchStart", (150, 150))
    for x in range(160, 251, 10):
        fingers("touchMove", (x, 150))
    fingers("touchEnd")
    turned = told(page)[-1]
    assert turned["azimuth_deg"] == pytest.approx(-70 - 200 * 100 / WIDTH, abs=1)
    fingers("touchStart", (150, 150), (250, 150))
    for k in range(0, 51, 10):
        fingers("touchMove", (150 - k, 150), (250 + k, 150))
    fingers("touchEnd")
    pinched = told(page)[-1]
    assert pinched["radius"] == pytest.approx(4.0 / 2, rel=0.02)
    assert pinched["azimuth_deg"] == turned["azimuth_deg"]


# ---------------------------------------------------------------- cameras that are pointed at


def test_a_camera_is_named_and_picked(page):
    view = camera_of(START, WIDTH, HEIGHT)
    tip = page.locator("#part .orb-tip")
    box = canvas(page).bounding_box()
    for index, name in ((1, "camera 2, held out"), (0, "left one")):
        x, y = project(view, CAMERAS[index].c2w[:3, 3])[0] + (box["x"], box["y"])
        page.mouse.move(x, y)
        frame(page)
        assert tip.inner_text() == name
        page.mouse.click(x, y)
        assert told(page, "picked")[-1] == {"frustum": index}
    page.mouse.click(box["x"] + 10, box["y"] + 10)
    frame(page)
    assert tip.is_hidden()
    assert len(told(page, "picked")) == 2
    drag(page, (80, 0), (x - box["x"], y - box["y"]))  # a drag from there is no click
    assert len(told(page, "picked")) == 2
    page.locator("#part").get_by_label("Cameras", exact=True).uncheck()
    page.mouse.click(x, y)
    assert len(told(page, "picked")) == 2


def test_the_keyboard_steps_to_cameras(page):
    canvas(page).focus()
    page.keyboard.press("]")
    page.keyboard.press("]")
    frame(page)
    assert page.locator("#part .orb-tip").inner_text() == "camera 2, held out"
    page.keyboard.press("Enter")
    assert told(page, "picked") == [{"frustum": 1}]


# ---------------------------------------------------------------- values that follow each other


def test_a_picture_leaves_camera_and_layers_alone_and_another_key_does_not(page):
    only(page, "Cameras")
    drag(page, (60, 0))
    turned = told(page)[-1]
    before = pixels(page)
    show(page, key="a", note="step 500")
    assert (pixels(page)[: HEIGHT - 40] == before[: HEIGHT - 40]).all()  # the note stands below
    assert page.locator("#part .orb-note").inner_text() == "step 500"
    show(page, key="b", start=START, frusta=[])
    assert len(where(pixels(page), (0, 114, 178))) == 0
    canvas(page).focus()
    page.keyboard.press("ArrowRight")
    assert told(page)[-1]["azimuth_deg"] == pytest.approx(START["azimuth_deg"] + 5)
    assert turned["azimuth_deg"] < START["azimuth_deg"] - 20


def test_another_scene_while_a_camera_is_pointed_at(page):
    box = canvas(page).bounding_box()
    x, y = project(camera_of(START, WIDTH, HEIGHT), CAMERAS[1].c2w[:3, 3])[0]
    page.mouse.move(box["x"] + x, box["y"] + y)
    frame(page)
    tip = page.locator("#part .orb-tip")
    assert tip.is_visible()
    show(page, key="b", start=START, frusta=VALUE["frusta"][:1])
    assert tip.is_hidden()
    page.mouse.move(box["x"] + x + 1, box["y"] + y)
    show(page, key="c", start=START, box=VALUE["box"])
    assert tip.is_hidden()


def test_a_missed_first_value_is_asked_for(page):
    show(page, key="c", image=plain((4, 4), (30, 30, 200)))
    show(page, key="c", image=plain((4, 4), (30, 30, 200)))
    assert told(page, "missed") == [{"key": "c"}]
    drag(page, (60, 0))  # there is no camera to turn yet
    assert told(page) == []
    show(page, **VALUE | {"key": "c"})
    drag(page, (45.1, 0))
    assert told(page)[-1]["azimuth_deg"] == pytest.approx(-90, abs=0.1)


def test_nothing_yet(page):
    assert page.locator("#empty").inner_text() == "No scene yet."
    page.evaluate("part.show(null)")
    assert page.locator("#part").inner_text() == "No scene yet."


def test_in_gradio_the_server_follows(shared):
    page = shared
    view = page.locator("#view canvas")
    view.focus()
    told = wait_for(page, "turned", lambda: page.keyboard.press("ArrowLeft"))
    assert told == START | {"azimuth_deg": -75.0}
    page.wait_for_function("document.querySelector('#view canvas').dataset.late === 'false'")
    for _ in range(8):
        page.keyboard.press("ArrowLeft")
    page.wait_for_function(
        "JSON.parse(document.querySelector('#turned textarea').value).azimuth_deg === -115"
    )
    assert json.loads(shown(page, "turned"))["radius"] == 4.0
    page.wait_for_function("document.querySelector('#view canvas').dataset.late === 'false'")
    assert page.locator("#view .orb-note").inner_text() == "drawn"
