"""What `keyframes` says of clips of which it is known what happens in them."""

import cv2
import numpy as np
import pytest

from core.captioning import keyframes, tracking
from core.captioning.keyframes import measure, sentence
from core.scenes.render import RenderSettings
from core.scenes.story import StorySettings, story
from core.types import InputError
from core.video.types import Frames
from core.video.writing import write_mp4

RATE = 6.0


def picture(seed: int, size: int = 600) -> np.ndarray:
    """A large picture of coloured discs and boxes on soft noise, uint8."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.uniform(0, 255, (size, size, 3)).astype(np.float32), (0, 0), 3)
    image = np.clip((noise - 127) * 4 + rng.uniform(60, 190, 3), 0, 255).astype(np.float32)
    for _ in range(60):
        x, y = rng.integers(0, size, 2).tolist()
        colour, r = rng.uniform(0, 255, 3).tolist(), int(rng.integers(8, 30))
        if rng.random() < 0.5:
            cv2.circle(image, (x, y), r, colour, -1, cv2.LINE_AA)
        else:
            cv2.rectangle(image, (x, y), (x + r, y + r), colour, -1)
    return image.astype(np.uint8)


def seen(big: np.ndarray, x: float, y: float, zoom: float = 1.0, size=(200, 150)) -> np.ndarray:
    """A camera's view of `big`: its centre at x, y, `zoom` times as large; size is (w, h)."""
    w, h = size
    map_ = np.array([[zoom, 0, w / 2 - zoom * x], [0, zoom, h / 2 - zoom * y]])
    return cv2.warpAffine(big, map_, (w, h), flags=cv2.INTER_LINEAR)


def clip(images, rate: float = RATE) -> Frames:
    images = np.stack(images)
    return Frames(images, np.arange(len(images)) / rate, np.arange(len(images)))


@pytest.mark.parametrize(
    ("speed_px_s", "words"),
    [
        ((0.0, 0.0), "is still"), ((3.0, 0.0), "pans to the right"),
        ((-30.0, 0.0), "pans to the left"), ((90.0, 0.0), "pans to the right"),
        ((0.0, 25.0), "tilts down"), ((0.0, -25.0), "tilts up"),
        ((20.0, -20.0), "pans to the right and tilts up"),
    ],
)  # fmt: skip
def test_a_pan_has_its_speed_and_direction(speed_px_s, words):
    big = picture(1)
    x, y = 300 - 1.5 * np.array(speed_px_s)
    frames = clip(
        [seen(big, x + speed_px_s[0] * t, y + speed_px_s[1] * t) for t in np.arange(18) / RATE]
    )
    (shot,) = measure(frames).shots
    assert shot.camera == words
    assert shot.pan_px_s == pytest.approx(speed_px_s, abs=0.2)
    assert abs(shot.zoom_percent_s) < 0.3
    assert shot.followed == 1


@pytest.mark.parametrize("percent_s", [-15.0, -4.0, 4.0, 15.0])
def test_a_zoom_has_its_speed_and_direction(percent_s):
    big, rate = picture(2), 1 + percent_s / 100
    frames = clip([seen(big, 300, 300, rate**t) for t in np.arange(18) / RATE])
    (shot,) = measure(frames).shots
    assert shot.camera.startswith("zooms in" if percent_s > 0 else "zooms out")
    assert shot.zoom_percent_s == pytest.approx(percent_s, abs=0.3)
    assert shot.pan_px_s == pytest.approx((0, 0), abs=0.3)


def test_a_hand_held_camera_moves_about_and_is_no_pan():
    big, t = picture(3), np.arange(30) / RATE
    frames = clip(
        [seen(big, 300 + 8 * np.sin(3 * s), 300 + 6 * np.cos(4.3 * s)) for s in t.tolist()]
    )
    (shot,) = measure(frames).shots
    assert shot.camera == "moves about"
    assert shot.span == pytest.approx(16 / 200, abs=0.01)


@pytest.mark.parametrize("moving", [False, True])
def test_a_cut_is_where_it_is(moving):
    first, second = picture(4), picture(5)
    go = 20 if moving else 0
    frames = clip(
        [seen(first, 250 + go * i / RATE, 300) for i in range(8)]
        + [seen(second, 300, 300 - go * i / RATE) for i in range(8)]
    )
    found = measure(frames)
    assert found.cuts_s == (pytest.approx(8 / RATE),)
    assert [s.camera for s in found.shots] == (
        ["pans to the right", "tilts up"] if moving else ["is still"] * 2
    )
    assert "2 shots in 2.7 s, with a cut at 1.3 s" in sentence(found)


def test_a_fade_is_neither_cut_nor_motion():
    image = seen(picture(6), 300, 300).astype(np.float32)
    fade = [(image * k).astype(np.uint8) for k in np.linspace(1, 0, 18)]
    dark, back = measure(clip(fade)), measure(clip(fade[::-1]))
    assert not dark.cuts_s
    assert not back.cuts_s
    assert "fades to black" in sentence(dark)
    assert "comes up from black" in sentence(back)
    assert dark.moving == pytest.approx(0, abs=0.01)
    dimmer = measure(clip(fade[:9]))
    assert "gets darker" in sentence(dimmer)
    assert dimmer.shots[0].camera == "is still"


@pytest.mark.parametrize(
    ("way", "words"), [((18, 0), "to the right"), ((-18, 0), "to the left"), ((0, 18), "downwards")]
)
def test_a_square_moves_over_a_still_ground(way, words):
    ground, square = seen(picture(7), 300, 300), picture(8)[:24, :24]
    frames = []
    for i in range(16):
        image = ground.copy()
        x, y = (int(c + way[k] * (i - 8) / RATE) for k, c in enumerate((40, 65)))
        image[y : y + 24, x : x + 24] = square
        frames.append(image)
    found = measure(clip(frames))
    assert found.shots[0].camera == "is still"
    assert np.argmax(found.where) == 0
    assert found.where[0] > 0.75
    said = sentence(found)
    assert "mostly on the left" in said
    assert words in said
    # Three pixels a frame: between one edge and the whole of the square changes.
    assert 3 * 24 / 30_000 < found.moving < 27 * 24 / 30_000


def test_a_square_over_a_plain_ground_moves_and_not_the_camera():
    frames = []
    for i in range(12):
        image = np.full((128, 128, 3), 150, np.uint8)
        for k, (x, y) in enumerate([(10, 90), (55, 100), (100, 85), (90, 10)]):
            image[y : y + 20, x : x + 20] = picture(20 + k)[:20, :20]
        image[40:72, 20 + 5 * i : 52 + 5 * i] = picture(9)[:32, :32]
        frames.append(image)
    found = measure(clip(frames))
    assert found.shots[0].camera == "is still"
    assert "to the right" in sentence(found)


def test_colours_have_everyday_names():
    image = np.zeros((60, 100, 3), np.uint8)
    image[:, :50], image[:, 50:80], image[:, 80:] = (206, 32, 41), (30, 136, 72), (250, 250, 250)
    found = measure(clip([image]))
    assert found.colours == (
        ("red", pytest.approx(0.5, abs=0.02)), ("green", pytest.approx(0.3, abs=0.02)),
        ("white", pytest.approx(0.2, abs=0.02)),
    )  # fmt: skip
    assert sentence(found) == (
        "Measured: a single frame, so nothing can be said of motion. "
        "The picture is of middling brightness; its main colours are red, green and white."
    )


def test_the_toys_colours_are_named_as_the_captions_name_them():
    from core.scenes.toys import COLOURS

    for name, rgb in COLOURS.items():
        ((found, share),) = measure(clip([np.full((8, 8, 3), rgb, np.uint8)])).colours
        assert (found, share) == (name, 1)


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (33, 64), (65, 47)])
def test_awkward_sizes_and_blank_pictures_are_said_something_of(size):
    rng = np.random.default_rng(0)
    for n in (1, 2, 5):
        noise = rng.integers(0, 256, (n, *size, 3)).astype(np.uint8)
        for images in (noise, np.zeros_like(noise)):
            said = sentence(measure(clip(images)))
            assert said.startswith("Measured: ")
            assert "nan" not in said
            assert "cut" not in said or n > 1


def test_frames_out_of_order_are_refused():
    images = np.zeros((3, 8, 8, 3), np.uint8)
    with pytest.raises(InputError, match="order of time"):
        measure(Frames(images, np.array([0.0, 2.0, 1.0]), np.arange(3)))


def test_maps_undo_each_other():
    step = np.array([[1.1, 0.2, 3], [-0.1, 0.9, -5]])
    assert tracking.after(step, tracking.inverse(step)) == pytest.approx(np.eye(2, 3))


def test_dense_frames_of_a_file(tmp_path):
    big = picture(10)
    film = np.stack([seen(big, 260 + i, 300, size=(400, 240)) for i in range(48)])
    path = write_mp4(tmp_path / "pan.mp4", film, 24)
    frames = keyframes.dense(path)
    assert frames.images.shape[1:] == (192, 320, 3)
    assert np.diff(frames.times_s) == pytest.approx(1 / 6, abs=0.03)
    (shot,) = measure(frames).shots
    assert shot.camera == "pans to the right"
    assert shot.pan_px_s[0] == pytest.approx(24 * 320 / 400, rel=0.05)


def test_a_long_file_is_measured_in_part_and_says_so(tmp_path):
    film = np.repeat(seen(picture(11), 300, 300, size=(64, 48))[None], 100, 0)
    path = write_mp4(tmp_path / "long.mp4", film, 5)
    frames = keyframes.dense(path)
    assert len(frames) <= 64
    said = sentence(measure(frames))
    assert "measured from 0 to 16 s of 20 s" in said
    assert "the camera is still; almost nothing moves" in said


def rendered(seed: int, camera: bool, frames: int, size_px: int):
    """A story in which either the camera moves or one thing: its frames and its event."""
    settings = StorySettings(
        frames=frames, size_px=size_px, max_events=1, moves=not camera, camera=camera,
        collisions=False, jumps=False, turns=False, circles=False, appears=False,
    )  # fmt: skip
    told = story(seed, settings, RenderSettings(samples=1, shadows=False))
    return Frames(told.frames, told.times_s, np.arange(frames)), told.facts.events[0]


CAMERA_WORDS = {
    ("pan", "left"): "pans to the left", ("pan", "right"): "pans to the right",
    ("orbit", "left"): "moves around to the left", ("orbit", "right"): "moves around to the right",
    ("dolly", "toward"): "zooms in or comes closer", ("dolly", "away"): "zooms out or moves away",
}  # fmt: skip
MOVE_WORDS = {
    "left": "to the left", "right": "to the right", "toward": "downwards", "away": "upwards",
}  # fmt: skip


def test_rendered_stories_camera_and_motion():
    """Measured once on 72 other such clips (24 frames of 128 px, two thirds of them with shadows;
    none used to choose a threshold): the camera was told right in 66, wrong in 4, left open in 2.
    """
    right = wrong = 0
    for seed in range(300, 306):
        frames, event = rendered(seed, True, 12, 96)
        found = measure(frames)
        said, words = found.shots[0].camera, CAMERA_WORDS[event.action, event.direction]
        right += said == words
        wrong += said not in (words, "")
        assert not found.cuts_s
        frames, event = rendered(seed, False, 12, 96)
        found = measure(frames)
        said = sentence(found)
        good = found.shots[0].camera == "is still" and MOVE_WORDS[event.direction] in said
        right += good
        wrong += not good
    assert right >= 9
    assert wrong <= 2


def test_few_small_frames_are_measured_modestly():
    """Eight frames of 64 px: where little can be followed, nothing is claimed of the camera."""
    for seed, camera in ((2, True), (4, False), (305, True)):
        frames, event = rendered(seed, camera, 8, 64)
        found = measure(frames)
        words = CAMERA_WORDS[event.action, event.direction] if camera else "is still"
        assert found.shots[0].camera in (words, "")
        assert not found.cuts_s
        if not found.shots[0].camera:
            assert "not clear" in sentence(found)
