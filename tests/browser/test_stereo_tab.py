"""The Stereo depth tab as a person uses it: a real browser, each button pressed on real input, and
what then stands on the page against what is known of the rendered scenes."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

from core.runtime import WAITS
from core.scenes import scene, stereo_pair
from core.stereo.board import Board
from core.stereo.geometry import depth, measure
from core.stereo.pairs import BASELINES_M, EXAMPLES, SIZE, SPOILS
from core.stereo.types import METHODS
from tests.browser.audit import AUDIT, CONTRAST
from tests.browser.conftest import revisit, serve, spied
from tests.browser.rest import until_rest
from tests.browser.test_matching_tab import (
    HEADLINE,
    changes,
    choose,
    headline,
    loaded,
    source,
    status,
    stop,
    tab,
)
from tests.test_stereo_calibrate import TRUE, photographed_pairs

pytestmark = pytest.mark.browser

PANELS = "Look inside", "Compare", "Score", "One picture", "Calibrate", "Take away", "Lesson"
CHECK = ".check"


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    """The app with an empty model cache, and the file in which it tells whom it called."""
    folder = tmp_path_factory.mktemp("spy")
    env, told = spied(folder)
    env |= {"HF_HUB_CACHE": str(folder / "cache"), "HF_HOME": str(folder / "home")}
    env.pop("SIGHTLINE_MODELS", None)
    with serve("--tabs", "stereo", env=env) as url:
        yield url, told


@pytest.fixture(scope="module")
def url(hosts):
    return hosts[0]


@pytest.fixture(scope="module")
def shared(url, open_page):
    page = open_page(url)
    arrived(page)
    return page


@pytest.fixture
def page(shared, url):
    """A page that shows the first example; visited anew if the last test left another there."""
    if shared.url != f"{url}/?tab=stereo":
        visit(shared, url)
    return shared


@pytest.fixture
def fresh(page, url):
    """A page for tests that leave other settings behind."""
    if page.evaluate("document.querySelectorAll('.label-wrap.open').length"):
        visit(page, url)
    yield page
    leave(page)


@pytest.fixture
def quick(shared, url):
    """The same by the fastest method, where any will do."""
    visit(shared, f"{url}/?tab=stereo&method=sgbm")
    yield shared
    leave(shared)


def leave(page):
    revisit(page, "about:blank")


def visit(page, address):
    revisit(page, address)
    arrived(page)


def arrived(page):
    page.locator(f"{HEADLINE} b:visible").first.wait_for()
    page.wait_for_function("location.search.includes('tab=')")  # the last thing a run does


def follows(page, change):
    """Do `change`, and wait for another headline, or for words on why there is none."""
    before = headline(page)
    page.evaluate("document.querySelectorAll('.said').forEach((e) => e.classList.add('former'))")
    change()
    page.wait_for_function(
        """([at, before]) => document.querySelector(at).innerText !== before
          || document.querySelector('.said:not(.former)')?.checkVisibility()""",
        arg=[HEADLINE, before],
    )
    assert headline(page) != before, status(page, "stereo").inner_text()


def press(page, name="stereo"):
    page.locator(f"#{name}-now").click()


def opened(page, name):
    """The panel of this name, open."""
    head = page.locator(".panel > button", has_text=name)
    if "open" not in (head.get_attribute("class") or "").split():
        head.click()
    return page.locator(".panel", has=page.locator("> button", has_text=name))


def upload(page, label, paths):
    """Put files into the field of exactly this name."""
    name = page.locator("[data-testid=block-label]", has_text=re.compile(rf"^\s*{label}\s*$"))
    block = page.locator(".block", has=name).last
    with page.expect_file_chooser() as chooser:
        block.locator("button").first.click()
    with page.expect_response(lambda answer: "/upload" in answer.url):
        chooser.value.set_files(paths)
    page.wait_for_timeout(500)  # the field takes its value


def unfold(page, name):
    page.locator("button.label-wrap", has_text=name).first.click()
    page.wait_for_timeout(500)  # it unfolds and its widgets take their values


def number(page, label):
    """A number's field, whether it has a slider or not."""
    beside = page.get_by_label(f"number input for {label}", exact=True)
    return beside.or_(page.locator("input[type=number]").and_(page.get_by_label(label, exact=True)))


def enter(page, label, value):
    number(page, label).fill(str(value))
    number(page, label).press("Tab")


def share_off(page) -> float:
    found = re.search(r"([\d.]+)% are off by more than 2 px", headline(page))
    assert found, headline(page)
    return float(found[1]) / 100


def depths(page) -> tuple[float, float, str]:
    """Nearest and farthest depth of the headline, and their unit."""
    found = re.search(r"Depth ([\d.,]+) to ([\d.,]+) (\w+)\.", headline(page))
    assert found, headline(page)
    near, far = (float(text.replace(",", "")) for text in found.groups()[:2])
    return near, far, found[3]


@pytest.fixture(scope="module")
def truth():
    """The first example as it is rendered, with its exact disparity."""
    return stereo_pair(scene("tabletop").rough(0.25), BASELINES_M["tabletop"], SIZE)


@pytest.fixture(scope="module")
def files(truth, tmp_path_factory):
    """The example's two pictures as files, and a smaller one."""
    folder = tmp_path_factory.mktemp("pair")
    for name in ("left", "right"):
        Image.fromarray(getattr(truth, name)).save(folder / f"{name}.png")
    Image.fromarray(truth.right[:301, :401]).save(folder / "small.png")
    return folder


# ---------------------------------------------------------------- first visit


def test_first_visit_measures_the_example(page):
    said = headline(page)
    assert "Tabletop" in said and share_off(page) < 0.1
    near, far, unit = depths(page)
    assert 1 < near < 3 < far < 15 and unit == "m"
    page.locator(CHECK, has_text="looks fine").wait_for()
    layers = page.locator(".dv-layers button").all_inner_texts()
    assert layers[:4] == ["Disparity", "Depth", "Error", "Truth"]
    colours = page.locator(".dv-ramp").get_attribute("aria-label")
    assert re.fullmatch(r"Colours of Disparity from [\d.]+ to [\d.]+ px", colours)
    assert page.locator(".dv-ticks span").count() >= 3
    assert page.title() == "Sightline"
    drawn = np.asarray(Image.open(io.BytesIO(canvas(page).screenshot())).convert("RGB"))
    assert drawn.reshape(-1, 3).std(0).max() > 20


def canvas(page):
    found = page.locator(".dv canvas")
    found.scroll_into_view_if_needed()
    page.wait_for_timeout(200)
    return found


def point(page, column, row) -> tuple[int, int]:
    """Where on the page this pixel of the left picture is; the readout must say so."""
    box = canvas(page).bounding_box()
    x = round(box["x"] + (column + 0.5) * box["width"] / SIZE[0])
    y = round(box["y"] + (row + 0.5) * box["height"] / SIZE[1])
    page.mouse.move(x, y)
    assert page.locator(".dv-readout [role=status]").inner_text().startswith(
        f"x {column + 0.5}, y {row + 0.5} "
    )  # fmt: skip
    return x, y


def told(page, layer) -> float:
    """What the readout says of a layer, at the pixel pointed at."""
    found = re.search(rf"{layer} ([\d.]+)", page.locator(".dv-readout [role=status]").inner_text())
    assert found
    return float(found[1])


# ---------------------------------------------------------------- reading the result


def test_a_picked_pixel_opens_its_facts_and_its_cost_curve(page, truth):
    inside = opened(page, "Look inside")
    table, curve = inside.locator("table.facts"), inside.locator(".chart polyline").first
    table.get_by_text("240.5, 180.5").wait_for()
    before = curve.get_attribute("points")
    column, row = 300, 300  # on the table, in front
    x, y = point(page, column, row)
    true = truth.disparity_px[row, column]
    assert told(page, "truth") == pytest.approx(true, abs=0.01)
    found = told(page, "disparity")
    assert found == pytest.approx(true, abs=2)
    assert told(page, "depth") == pytest.approx(truth.rig.focal_px * 0.16 / found, rel=0.01)
    page.mouse.click(x, y)
    facts = page.locator("table.facts:visible", has_text="True disparity")
    facts.wait_for()
    assert f"{column + 0.5}, {row + 0.5}" in facts.inner_text()
    table.get_by_text(f"{column + 0.5}, {row + 0.5}").wait_for()
    changes(page, curve, before)
    assert curve.get_attribute("points") != before
    winner = table.locator("tr", has_text="Winner").locator("td.n").inner_text()
    assert float(winner.split()[0]) == pytest.approx(true, abs=2)


@pytest.mark.parametrize("ends", [((120, 330), (400, 330)), ((350, 110), (300, 330))])
def test_the_ruler_measures_what_the_scene_knows(page, truth, ends):
    """On the table from side to side, and from a thing far back to the table's front."""
    exact = measure(truth.disparity_px, truth.rig, *((x + 0.5, y + 0.5) for x, y in ends))
    page.get_by_role("radio", name="Ruler").click()
    for column, row in ends:
        page.mouse.click(*point(page, column, row))
    said = page.locator("p", has_text="apart, ±")
    said.get_by_text(re.compile(rf"^{exact.distance:.1f}")).wait_for()
    found = re.match(r"([\d.]+) m apart, ± ([\d.]+) m for half a pixel", said.inner_text())
    assert found, said.inner_text()
    assert float(found[1]) == pytest.approx(exact.distance, rel=0.04)
    head = page.locator("table.facts:visible", has_text="First point")
    assert "In m" in head.inner_text()
    page.get_by_role("radio", name="Pick").click()


def test_every_look_inside_tab_draws(page):
    inside = opened(page, "Look inside")
    picture = inside.locator("img:visible")
    tab(page, "Cost curve")
    assert loaded(picture.first) > 100 and inside.locator(".chart:visible polyline").count() == 2
    tab(page, "Row and prices")
    assert loaded(picture.nth(2)) > 100
    before = picture.nth(1).get_attribute("src")
    enter(page, "P2", 0)
    changes(page, picture.nth(1), before)
    inside.get_by_text(re.compile(r"along the row, P1 (\d+), P2 \1")).wait_for()  # never P2 < P1
    tab(page, "One disparity")
    assert loaded(picture.first) > 100
    before = picture.first.get_attribute("src")
    inside.get_by_label("After aggregation").check()
    changes(page, picture.first, before)
    tab(page, "Geometry")
    inside.locator("svg:visible line").nth(4).wait_for(state="attached")
    assert "625.2 px" in inside.inner_text()
    tab(page, "Against a ruler")
    assert inside.locator("tr:visible", has_text="1 to 2").inner_text().split()[-1] == "0.05%"
    tab(page, "Error grows with z²")
    inside.locator(".chart:visible circle").nth(10).wait_for()
    tab(page, "Left–right check")
    assert loaded(picture.nth(2)) > 100


def test_other_views_of_the_result(page):
    with page.expect_response(lambda answer: answer.url.endswith("packed.bin")) as model:
        tab(page, "Point cloud")
    assert model.value.ok and model.value.body()[:4] == b"SLGM"
    page.locator("canvas:visible").first.wait_for()
    tab(page, "Rectification")
    page.locator("figcaption:visible", has_text="Overlap").wait_for()
    lines = page.locator("figcaption:visible").all_inner_texts()
    assert re.fullmatch(r"Raw: rows 0\.\d+ px apart", lines[0])
    assert lines[1].startswith("Overlap"), "rows that fit are not turned"
    tab(page, "Red–cyan")
    page.locator("figcaption:visible", has_text="Autostereogram").wait_for()
    assert loaded(page.locator("figure:visible img").first) > 400
    tab(page, "Numbers")
    rig = page.locator("table.facts:visible", has_text="Baseline")
    assert "0.160 m" in rig.inner_text()
    tab(page, "Depth map")


def test_score_table(page):
    score = opened(page, "Score")
    row = score.locator("tr", has=page.locator("td:text-is('Bad 2')"))
    value = float(row.locator("td.n").inner_text())
    assert value == pytest.approx(share_off(page), abs=1e-3)
    assert (
        0 < float(score.locator("tr", has_text="EPE").locator("td.n").inner_text().split()[0]) < 3
    )
    assert loaded(score.locator("img").first) == SIZE[0]


def test_compare_three_methods(page):
    compare = opened(page, "Compare")
    press(page, "stereo-compare")
    compare.locator("figure").nth(2).wait_for()
    compare.locator("table.facts th.n").nth(2).wait_for()
    names = compare.locator("figcaption").all_inner_texts()
    assert sorted(names) == sorted(METHODS[key] for key in ("block", "refined", "sgbm"))
    bad = compare.locator("tr", has_text="Bad 2").locator("td.n").all_inner_texts()
    shares = dict(zip(names, map(float, bad), strict=True))
    assert shares[METHODS["refined"]] < shares[METHODS["block"]]


def test_one_picture_without_weights_says_so_and_shows_the_rule(page):
    one = opened(page, "One picture")
    one.locator("figcaption", has_text="Another scene").wait_for()
    press(page, "stereo-mono")
    one.locator("figcaption", has_text="Lower is nearer").wait_for()
    said = one.locator("p", has_text="Depth Anything V2 small is not on this computer")
    assert said.last.is_visible() and "work without it" in said.last.inner_text()
    head = one.locator("table.facts th").all_inner_texts()
    assert head == ["Against the truth", "Stereo", "Lower is nearer"]
    row = one.locator("tr", has_text="AbsRel").locator("td.n").all_inner_texts()
    assert float(row[0]) < float(row[1])  # the rule is worse than stereo
    before = one.locator("figure img").last.get_attribute("src")
    enter(page, "Shift of inverse depth", -0.5)
    changes(page, one.locator("figure img").last, before)


def test_everything_to_take_away(page):
    take = opened(page, "Take away")
    take.get_by_role("button", name="Write the files").click()
    links = take.locator(".file-preview a")
    links.first.wait_for()
    named = {a.get_attribute("download"): a.get_attribute("href") for a in links.all()}
    with page.expect_download() as download:
        links.first.click()
    assert download.value.suggested_filename == "sightline-stereo.zip"
    with zipfile.ZipFile(Path(download.value.path())) as bundle:
        assert set(bundle.namelist()) == set(named) - {"sightline-stereo.zip"}
        assert {"figure.png", "disparity.pfm", "cloud.ply", "stereo.py"} <= set(bundle.namelist())
        assert bundle.read("figure.png")[:8] == b"\x89PNG\r\n\x1a\n"
        assert bundle.read("disparity.pfm").startswith(b"Pf\n480 360\n")
        assert bundle.read("cloud.ply").startswith(b"ply\n")
        compile(bundle.read("stereo.py"), "stereo.py", "exec")
    assert set(parse_qs(urlsplit(page.url).query)) == {"tab"}


# ---------------------------------------------------------------- spoil and mend


def test_another_pair_is_measured_once(quick):
    spoil = "Right one at half exposure"
    asked = until_rest(quick, lambda: follows(quick, lambda: choose(quick, "Spoil", spoil)))
    assert asked and len(set(asked)) == len(asked)


@pytest.mark.parametrize(
    "how, words, fix",
    [
        ("Swapped pictures", "seem to be swapped", "swap"),
        ("Right one at half exposure", "exposed differently", "equalise"),
        ("Right one turned 1°", "turned by 1.0°", "rectify"),
    ],
)
def test_a_spoiled_pair_is_found_and_mended_and_the_next_is_left_alone(quick, how, words, fix):
    follows(quick, lambda: choose(quick, "Spoil", how))
    quick.locator(CHECK, has_text=words).wait_for()
    button = quick.locator(f"#stereo-fix-{fix}")
    follows(quick, button.click)
    quick.locator(CHECK, has_text=words).wait_for(state="detached")
    button.wait_for(state="hidden")
    if fix == "rectify":
        assert "rectified by the matches" in headline(quick)
    else:
        assert share_off(quick) < 0.1  # the truth is the pair's again
    choose(quick, "Spoil", SPOILS["none"])
    quick.wait_for_function("!location.search.includes('spoil')")  # the last thing a run does
    quick.locator(CHECK, has_text="looks fine").wait_for()
    assert "rectified" not in headline(quick) and share_off(quick) < 0.1


def test_a_range_too_short_is_set(quick):
    enter(quick, "Largest disparity (px)", 16)
    follows(quick, lambda: press(quick))
    quick.locator(CHECK, has_text="only 0 to 16 px are searched").wait_for()
    assert share_off(quick) > 0.5
    follows(quick, quick.locator("#stereo-fix-range").click)
    assert float(number(quick, "Largest disparity (px)").input_value()) in (56, 64, 72)
    assert share_off(quick) < 0.1
    quick.locator(CHECK, has_text="looks fine").wait_for()


# ---------------------------------------------------------------- other pictures


def test_random_dots(quick):
    follows(quick, lambda: source(quick, "Random dots"))
    assert "dots" in headline(quick).lower()
    clean = share_off(quick)
    assert clean < 0.1
    follows(quick, lambda: choose(quick, "Hidden shape", "Letter"))
    assert share_off(quick) < 0.1
    quick.wait_for_function("location.search.includes('dots_shape=letter')")


def test_an_open_view_says_that_it_is_old(quick):
    tab(quick, "Red–cyan")
    quick.locator("figcaption:visible", has_text="anaglyph").wait_for()
    follows(quick, lambda: choose(quick, "Example", EXAMPLES["gallery"]))
    quick.get_by_text("There is a new result.").locator("visible=true").first.wait_for()


def test_a_pair_of_ones_own_in_its_own_unit(quick, files, truth):
    former = headline(quick)
    source(quick, "Your own pair")
    upload(quick, "Left picture", files / "left.png")
    upload(quick, "Right picture", files / "small.png")
    press(quick)
    line = status(quick, "stereo")
    line.locator(".said").get_by_text("480×360 px, the right one 401×301 px").wait_for()
    assert line.inner_text().strip().endswith("so that both have one size.")
    assert headline(quick) == former

    quick.get_by_label("Remove Image").or_(quick.get_by_label("Clear")).last.click()
    upload(quick, "Right picture", files / "right.png")
    follows(quick, lambda: press(quick))
    assert "Your own pair" in headline(quick) and "Depth" not in headline(quick)
    unfold(quick, "Rig")
    enter(quick, "Focal length (px)", round(truth.rig.focal_px, 1))
    enter(quick, "Baseline", 16)
    choose(quick, "Unit", "cm")
    follows(quick, lambda: press(quick))
    near, far, unit = depths(quick)
    known = np.nanpercentile(depth(truth.disparity_px, truth.rig), (1, 99))
    assert unit == "cm"
    assert (near, far) == pytest.approx(tuple(100 * known), rel=0.1)
    opened(quick, "Score").get_by_text("Nothing can be scored").wait_for()


# ---------------------------------------------------------------- calibrate


@pytest.fixture(scope="module")
def boards(tmp_path_factory):
    """Chessboards seen by two known cameras, as files."""
    folder = tmp_path_factory.mktemp("boards")
    for k, pair in enumerate(photographed_pairs(Board(), 6)):
        for name, picture in zip(("left", "right"), pair, strict=True):
            Image.fromarray(picture).save(folder / f"{name}{k}.png")
    return folder


def test_calibrate_and_use_the_rig(quick, boards):
    panel = opened(quick, "Calibrate")
    press(quick, "stereo-calibrate")
    status(quick, "stereo-calibrate").get_by_text("there are 0").wait_for()
    for name in ("left", "right"):
        upload(quick, f"{name.capitalize()} pictures", sorted(boards.glob(f"{name}*.png")))
    press(quick, "stereo-calibrate")
    table = panel.locator("table.facts")
    table.wait_for()

    def value(name: str) -> float:
        return float(table.locator("tr", has_text=name).locator("td.n").inner_text().split()[0])

    assert value("Reprojection error") < 0.2 and value("Pairs used") == 6
    assert value("Baseline") == pytest.approx(np.linalg.norm(TRUE.t), rel=0.01)
    assert value("Focal length, left") == pytest.approx(TRUE.K0[0, 0], rel=0.02)
    assert loaded(panel.locator("figure img").nth(5)) > 300
    made = panel.locator(".file-preview a[download='rig.yml']")
    made.wait_for(state="attached")

    panel.get_by_role("button", name="Use it for the pair").click()
    source(quick, "Your own pair")
    unfold(quick, "Rig")
    quick.locator(".file-preview:visible", has_text="rig").first.wait_for()
    for name in ("left", "right"):
        upload(quick, f"{name.capitalize()} picture", boards / f"{name}0.png")
    follows(quick, lambda: press(quick))
    assert "rectified by the calibration" in headline(quick)
    assert depths(quick)[2] == "mm"


# ---------------------------------------------------------------- run, stop, come back


def test_stop_ends_the_work_and_keeps_the_result(fresh):
    before = headline(fresh)
    enter(fresh, "Largest disparity (px)", 512)
    press(fresh)
    line = status(fresh, "stereo")
    line.get_by_text("following paths").wait_for()
    stop(fresh, "stereo").click()
    line.get_by_text("Stopped").wait_for()
    line.evaluate("""(line) => {
      window.heard = [];
      new MutationObserver(() => heard.push(line.innerText)).observe(
        line, { childList: true, subtree: true, characterData: true });
    }""")
    assert headline(fresh) == before
    enter(fresh, "Largest disparity (px)", 56)
    follows(fresh, lambda: press(fresh))
    assert not [text for text in fresh.evaluate("heard") if WAITS in text]  # nothing went on
    assert share_off(fresh) < 0.1
    after = headline(fresh)
    until_rest(fresh, lambda: None)
    assert headline(fresh) == after


def test_a_link_brings_everything_back(fresh):
    choose(fresh, "Method", "Semi-global (OpenCV)")
    enter(fresh, "Largest disparity (px)", 48)
    fresh.get_by_label("Fill", exact=True).uncheck()
    follows(fresh, lambda: choose(fresh, "Example", "Gallery wall"))
    fresh.wait_for_function("location.search.includes('method=sgbm')")

    def stand(page) -> tuple:
        return (
            page.get_by_label("Method", exact=True).input_value(),
            page.get_by_label("Example", exact=True).input_value(),
            float(number(page, "Largest disparity (px)").input_value()),
            page.get_by_label("Fill", exact=True).is_checked(),
            re.sub(r"[\d.]+ s\.$", "", headline(page)),
        )

    before = stand(fresh)
    assert before[:4] == ("Semi-global (OpenCV)", "Gallery wall", 48, False)
    address = opened(fresh, "Take away").get_by_label("Link that restores").input_value()
    assert set(parse_qs(urlsplit(address).query)) == {
        "tab", "example", "method", "max_disparity_px", "fill",
    }  # fmt: skip
    visit(fresh, address)
    assert stand(fresh) == before


def test_the_settings_shown_are_the_methods(url, open_page):
    page = open_page(url + "?tab=stereo&source=dots&method=sgbm")
    arrived(page)
    unfold(page, "More")
    seen = {name: page.get_by_label(name, exact=True).locator("visible=true")
            for name in ("SGBM paths", "Window cost")}  # fmt: skip
    seen["SGBM paths"].wait_for()
    noise = number(page, "Noise").locator("visible=true")
    assert seen["Window cost"].count() == noise.count() == 0
    choose(page, "Method", "Block matching")
    seen["Window cost"].wait_for()
    seen["SGBM paths"].wait_for(state="detached")
    source(page, "An example")
    noise.wait_for()


def test_the_keyboard_reaches_measure(quick):
    field = number(quick, "Largest disparity (px)")
    field.focus()
    quick.keyboard.press("Control+A")
    quick.keyboard.type("56")
    for _ in range(12):
        quick.keyboard.press("Tab")
        if quick.evaluate("document.activeElement.id") == "stereo-now":
            break
    else:
        raise AssertionError("Tab doesn't lead from the settings to the Measure button")
    quick.keyboard.press("Enter")
    quick.wait_for_function("location.search.includes('max_disparity_px=56')")


# ---------------------------------------------------------------- both tabs


@pytest.fixture(scope="module")
def both():
    with serve("--tabs", "matching", "stereo") as url:
        yield url


# Which buttons the page pressed by itself.
PRESSED = """window.pressed = []; document.addEventListener('click', (event) => {
  const id = event.target.closest?.('button')?.id;
  if (id?.endsWith('-now') && !event.isTrusted) pressed.push(id);
}, true)"""


def seen(page, text, name):
    """A first run's headline; the address is the last thing that it sets."""
    page.locator(f"{HEADLINE}:visible", has_text=text).wait_for()
    page.wait_for_function("(tab) => location.search.includes(tab)", arg=f"tab={name}")


def test_each_tab_runs_once_when_it_is_first_seen(both, open_page):
    page = open_page("about:blank")
    page.add_init_script(PRESSED)

    def visit():
        page.goto(both)
        seen(page, "A photograph", "matching")  # the first tab

    def look_round():
        tab(page, "Stereo depth")
        seen(page, "Tabletop", "stereo")
        tab(page, "Feature matching")
        page.locator(f"{HEADLINE}:visible", has_text="A photograph").wait_for()

    until_rest(page, visit)
    assert page.evaluate("pressed") == ["matching-now"]
    until_rest(page, look_round)
    assert page.evaluate("pressed") == ["matching-now", "stereo-now"]


def test_a_link_runs_only_the_tab_it_names(both, open_page):
    page = open_page("about:blank")
    page.add_init_script(PRESSED)

    def visit():
        page.goto(f"{both}?tab=stereo")
        seen(page, "Tabletop", "stereo")

    def look_round():
        tab(page, "Feature matching")
        seen(page, "A photograph", "matching")

    until_rest(page, visit)
    assert page.evaluate("pressed") == ["stereo-now"]
    until_rest(page, look_round)
    assert page.evaluate("pressed") == ["stereo-now", "matching-now"]


# ---------------------------------------------------------------- for everyone


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_names_contrast_and_width(url, open_page, mode):
    page = open_page(f"{url}?__theme={mode}")
    arrived(page)
    ground = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))[3, 3]
    assert ground.max() < 60 if mode == "dark" else ground.min() > 200
    for name in PANELS:
        opened(page, name)
    unfold(page, "Mend the pair")
    unfold(page, "More")
    page.locator(".lesson .katex").first.wait_for(state="attached")
    page.locator(".panel .chart polyline").first.wait_for()
    source(page, "Your own pair")
    unfold(page, "Rig")
    unfold(page, "I know the truth")
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(700)
        assert page.evaluate(AUDIT) == []
        assert page.evaluate(CONTRAST) == []
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 1


def test_no_host_was_called(page, hosts):
    """By the server: nothing in this whole module. By the page: its fixture watches."""
    assert hosts[1].read_text() == ""
