"""The right frames of a clip, with their true times, whatever the file."""

import subprocess
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.types import InputError
from core.video import Cue, SampleSettings, cost_lines, frames_of, probe, sample, shots, thumbnails
from core.video.facts import clock
from core.video.film import Film
from core.video.picks import at_rate, by_hand, counted, on_show, spread, uniform
from tests.clips import clip, moved, number_of, numbers_of, stamped

pytest.importorskip("av")
RATE, COUNT = 25, 40


def hand(path, *numbers, **settings):
    text = ", ".join(map(str, numbers))
    return sample(path, SampleSettings(pick="hand", by_hand=text, count=64, **settings))


def uneven(count, seed=1):
    """Ticks of 1 ms, from 10 to 190 apart."""
    return np.concatenate([[0], np.random.default_rng(seed).integers(10, 190, count - 1).cumsum()])


def every(path, count=COUNT):
    """All frames have their stamps, one by one from afar and in one go."""
    alone = hand(path, *range(0, count, 3))
    assert numbers_of(alone.images) == alone.indices.tolist() == list(range(0, count, 3))
    together = hand(path, *range(count))
    assert numbers_of(together.images) == together.indices.tolist() == list(range(count))
    return together


# ---------------------------------------------------------------- kinds of files

FILMS = {
    "constant.mp4": {},
    "b-frames.mp4": {"bf": "3", "g": "20", "b_strategy": "0"},
    "pyramid.mkv": {"bf": "4", "g": "25", "x264_params": "b-pyramid=normal:b-adapt=0"},
    "open.mp4": {"bf": "3", "g": "8", "x264_params": "open-gop=1:b-adapt=0:scenecut=0"},
    "open.ts": {"bf": "3", "g": "8", "x264_params": "open-gop=1:b-adapt=0:scenecut=0"},
    "refresh.mp4": {"x264_params": "intra-refresh=1:keyint=10", "g": "10"},
    "short.mp4": {"g": "1"},
    "long.mp4": {"g": "300", "bf": "2"},
    "hevc.mp4": {"codec": "libx265", "x265_params": "bframes=4:open-gop=1:keyint=10:min-keyint=10"},
    "vp9.webm": {"codec": "libvpx-vp9", "deadline": "realtime", "cpu_used": "8"},
    "vp8.webm": {"codec": "libvpx", "deadline": "good", "cpu_used": "8", "auto_alt_ref": "1",
                 "lag_in_frames": "12"},
    "mpeg4.avi": {"codec": "mpeg4", "bf": "0"},
    "packed.avi": {"codec": "mpeg4", "bf": "2"},
    "h264.avi": {"bf": "2"},
    "mpeg2.mpg": {"codec": "mpeg2video", "bf": "2"},
    "motion.mov": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "lossless.mkv": {"codec": "ffv1"},
    "pieces.mp4": {"container": "ismv"},
    "plain.h264": {"bf": "2", "container": "h264"},
}  # fmt: skip


@pytest.mark.parametrize("name", FILMS)
def test_every_frame_comes_back_by_its_number(tmp_path, name):
    path = clip(tmp_path / name, COUNT, **FILMS[name])
    assert probe(path).frames == COUNT
    found = every(path)
    assert np.abs(found.times_s - np.arange(COUNT) / RATE).max() < 0.5 / RATE


@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm"])
def test_a_variable_rate_keeps_true_times(tmp_path, kind):
    times = uneven(COUNT)
    vp9: Any = {"codec": "libvpx-vp9", "deadline": "realtime", "cpu_used": "8"}
    codec = vp9 if kind == "webm" else {}
    path = clip(tmp_path / f"uneven.{kind}", COUNT, times=times, **codec)
    assert probe(path).variable
    found = every(path)
    assert np.abs(found.times_s - times / 1000).max() < 0.001
    assert np.isclose(probe(path).fps, (COUNT - 1) / (times[-1] / 1000), rtol=1e-3)


def test_a_variable_rate_is_sampled_by_time(tmp_path):
    """Twenty frames in the first second, then one a second: middles fall on the slow ones."""
    times = np.concatenate([np.arange(20) * 50, 1000 + np.arange(9) * 1000])
    found = sample(clip(tmp_path / "slow.mp4", 29, times=times), SampleSettings(count=4))
    length_s = probe(tmp_path / "slow.mp4").duration_s
    middles = (np.arange(4) + 0.5) * length_s / 4
    assert found.indices.tolist() == on_show(times / 1000, middles).tolist()
    assert numbers_of(found.images) == found.indices.tolist()


@pytest.mark.parametrize("kind, by", [("mp4", 3.0), ("ts", 100.0), ("mkv", 7.0)])
def test_a_clip_that_starts_late_starts_at_zero(tmp_path, kind, by):
    first = clip(tmp_path / "first.mp4", COUNT, bf="2")
    found = every(moved(first, tmp_path / f"late.{kind}", by))
    assert found.times_s[0] == 0
    assert np.abs(found.times_s - np.arange(COUNT) / RATE).max() < 0.002


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_sound_that_begins_first_begins_the_clip(tmp_path, kind):
    """As browsers show it: nothing is seen in the first half second."""
    times = 500 + 1000 // RATE * np.arange(COUNT)
    path = clip(tmp_path / f"late.{kind}", COUNT, times=times, sound=True)
    info, found = probe(path), every(path)
    assert np.abs(found.times_s - times / 1000).max() < 0.5 / RATE
    assert info.fps == pytest.approx(RATE, rel=0.01) and not info.variable
    assert info.duration_s == pytest.approx(0.5 + COUNT / RATE, abs=0.5 / RATE)
    part = sample(path, SampleSettings(pick="every", every=1, count=64, start_s=0.99, end_s=1.15))
    assert numbers_of(part.images) == part.indices.tolist() == [13, 14, 15, 16]
    before = sample(path, SampleSettings(end_s=0.2))
    assert before.indices.tolist() == [0], "nothing is on show yet: the first"
    assert shots(path)[0][0] == found.times_s[0] and shots(path)[-1][1] == info.duration_s


def test_sound_that_begins_with_the_pictures_changes_nothing(tmp_path):
    path = clip(tmp_path / "sound.mp4", COUNT, sound=True, bf="2")
    assert every(path).times_s[0] == 0 and probe(path).duration_s == pytest.approx(COUNT / RATE)


def test_an_edit_list_hides_what_comes_before(tmp_path):
    first = clip(tmp_path / "first.mp4", COUNT, bf="2", g="12")
    path = moved(first, tmp_path / "edited.mp4", -10 / RATE)
    info, found = probe(path), hand(path, 0, 1, 7, 20, 29)
    assert info.frames == COUNT - 10
    assert numbers_of(found.images) == [10, 11, 17, 30, 39]
    assert np.allclose(found.times_s, found.indices / RATE, atol=0.001)


@pytest.mark.parametrize("degrees, clockwise", [(90, 270), (-90, 90), (180, 180)])
def test_a_turned_film_is_upright(tmp_path, degrees, clockwise):
    lying = {90: -1, -90: 1, 180: 2}[degrees]  # rot90's turns that the player undoes

    def frame(k, h, w):
        return np.ascontiguousarray(np.rot90(stamped(k, 72, 96), lying))

    size = (72, 96) if degrees == 180 else (96, 72)
    path = clip(tmp_path / "turned.mp4", 8, frame=frame, size=size, rotate=degrees)
    info, found = probe(path), sample(path)
    assert (info.width, info.height, info.rotation_deg) == (96, 72, clockwise)
    assert numbers_of(found.images) == list(range(8)) and found.images.shape[1:3] == (72, 96)
    assert any("turned" in note for note in found.notes)


@pytest.mark.parametrize("size", [(71, 97), (2, 2), (17, 300), (300, 18)])
def test_odd_and_narrow_sizes(tmp_path, size):
    path = clip(tmp_path / "odd.mkv", 5, size=size, codec="ffv1", pixels="yuv444p")
    assert (probe(path).height, probe(path).width) == size
    assert sample(path, SampleSettings(max_px=64)).images.shape[1:3] == tuple(
        max(1, round(side * min(1, 64 / max(size)))) for side in size
    )


def test_wide_pixels_are_made_square(tmp_path):
    path = clip(tmp_path / "wide.mp4", 4, ratio=Fraction(2), size=(72, 48))
    assert (probe(path).width, probe(path).height) == (96, 72)
    assert sample(path).images.shape == (4, 72, 96, 3)


def test_large_frames_are_made_smaller(tmp_path):
    path = clip(tmp_path / "8k.mov", 1, size=(432, 7680), codec="mjpeg", pixels="yuvj420p")
    found = sample(path)
    assert found.images.shape == (1, 40, 720, 3) and numbers_of(found.images) == [0]


def test_more_than_memory_bears_is_refused(plain, monkeypatch):
    monkeypatch.setattr("core.video.reading.MOST_BYTES", 100_000)
    with pytest.raises(InputError, match="Lower"):
        sample(plain)
    with pytest.raises(InputError, match="too many at once"):
        frames_of([stamped(1)] * 9)


# ---------------------------------------------------------------- colour


def bars(k, h, w):
    """Red, green, blue, grey."""
    image = np.zeros((h, w, 3), np.uint8)
    for c, colour in enumerate(((200, 30, 30), (30, 180, 40), (40, 60, 210), (128, 128, 128))):
        image[:, c * w // 4 : (c + 1) * w // 4] = colour
    return image


def centres(image):
    h, w = image.shape[:2]
    return image[h // 2, [w // 8, 3 * w // 8, 5 * w // 8, 7 * w // 8]].astype(int)


def yuv_bars(kr, kb, code=lambda rgb: rgb, bits=8):
    """A maker of the bars as planar 4:4:4 Y'CbCr of a matrix, limited range."""

    def frame(k, h, w):
        rgb = code(bars(k, h, w).astype(float) / 255)
        y = rgb @ [kr, 1 - kr - kb, kb]
        cb, cr = (rgb[..., 2] - y) / 2 / (1 - kb), (rgb[..., 0] - y) / 2 / (1 - kr)
        scale = 1 << (bits - 8)
        planes = np.stack([16 + 219 * y, 128 + 224 * cb, 128 + 224 * cr]) * scale
        return np.round(planes).astype(np.uint16 if bits > 8 else np.uint8)

    return frame


@pytest.mark.parametrize("matrix, kr, kb, size", [
    (1, 0.2126, 0.0722, (72, 96)), (6, 0.299, 0.114, (72, 96)), (2, 0.299, 0.114, (72, 96)),
    (2, 0.2126, 0.0722, (720, 1280)), (1, 0.2126, 0.0722, (720, 1280)),
])  # fmt: skip
def test_colours_follow_the_files_matrix(tmp_path, matrix, kr, kb, size):
    path = clip(tmp_path / "c.mkv", 2, frame=yuv_bars(kr, kb), make="yuv444p", pixels="yuv444p",
                colours=(2, 2, matrix), size=size, codec="ffv1")  # fmt: skip
    assert np.abs(centres(sample(path).images[0]) - centres(bars(0, *size))).max() <= 3


def test_ten_bits_are_rounded(tmp_path):
    path = clip(tmp_path / "ten.mkv", 2, frame=yuv_bars(0.2126, 0.0722, bits=10), codec="ffv1",
                make="yuv444p10le", pixels="yuv444p10le", colours=(1, 1, 1))  # fmt: skip
    info, found = probe(path), sample(path)
    assert info.bits == 10 and not info.hdr
    assert any("10 bits" in note for note in found.notes)
    assert np.abs(centres(found.images[0]) - centres(bars(0, 72, 96))).max() <= 3


def pq_of(srgb):
    """sRGB as BT.2020 PQ code with white at 203 candela/m²: what a HDR grader makes of it."""
    light = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_2020 = np.array(
        [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.088, 0.8956]]
    )
    p = np.maximum(light @ to_2020.T * 203 / 10000, 0) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * p) / (1 + 2392 / 128 * p)) ** (2523 / 32)


def test_hdr_looks_as_it_was_graded(tmp_path):
    path = clip(tmp_path / "hdr.mkv", 2, frame=yuv_bars(0.2627, 0.0593, pq_of, 10), codec="ffv1",
                make="yuv444p10le", pixels="yuv444p10le", colours=(9, 16, 9))  # fmt: skip
    found = sample(path)
    assert probe(path).hdr and any("HDR" in note for note in found.notes)
    assert np.abs(centres(found.images[0]) - centres(bars(0, 72, 96))).max() <= 8


def test_hlg_grey_is_grey_and_bright_light_does_not_clip():
    from core.video.colour import HLG, PQ, hdr_to_srgb

    ramp = np.linspace(0, 1, 64, dtype=np.float32)[None, :, None].repeat(3, 2)
    for transfer in (PQ, HLG):
        shown = hdr_to_srgb(ramp, transfer)[0]
        assert (np.ptp(shown.astype(int), axis=-1) <= 1).all()
        assert (np.diff(shown[:, 0].astype(int)) >= 0).all() and shown[0, 0] == 0
        assert 240 <= shown[-1, 0] <= 255


def half_clear(k, h, w):
    """Green, opaque on the left, clear on the right."""
    image = np.zeros((h, w, 4), np.uint8)
    image[..., 1], image[:, : w // 2, 3] = 255, 255
    return image


@pytest.mark.parametrize("name, codec, pixels", [
    ("a.mov", "qtrle", "argb"), ("a.mkv", "ffv1", "bgra"), ("a.mov", "prores_ks", "yuva444p10le"),
])  # fmt: skip
def test_transparent_parts_are_white(tmp_path, name, codec, pixels):
    path = clip(tmp_path / name, 2, codec=codec, pixels=pixels, frame=half_clear, make="rgba")
    info, found = probe(path), sample(path)
    assert info.alpha and any("white" in note for note in found.notes)
    assert np.abs(found.images[0, 36, [20, 70]].astype(int) - [(0, 255, 0), (255,) * 3]).max() < 12


# ---------------------------------------------------------------- moving pictures


@pytest.mark.parametrize("kind", ["gif", "webp", "png"])
def test_moving_pictures_keep_their_durations(tmp_path, kind):
    pictures = [Image.fromarray(stamped(k)) for k in range(6)]
    lasting = [100, 40, 250, 0, 60, 500]
    extra: Any = {"lossless": True} if kind == "webp" else {}
    path = tmp_path / f"moving.{kind}"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=lasting, **extra)
    info, found = probe(path), sample(path)
    shown = np.where(np.array(lasting) <= 10, 100, lasting) / 1000  # as browsers do
    assert numbers_of(found.images) == found.indices.tolist() == list(range(6))
    assert np.allclose(found.times_s, np.concatenate([[0], shown[:-1].cumsum()]))
    assert info.variable and info.frames == 6 and np.isclose(info.duration_s, shown.sum())
    assert numbers_of(hand(path, 4, 1).images) == [1, 4]


def test_a_gif_with_holes_lies_on_white(tmp_path):
    pictures = [Image.fromarray(half_clear(k, 40, 60)) for k in range(3)]
    path = tmp_path / "holes.gif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=80, disposal=2)
    found = sample(path)
    assert (found.images[0, 20, 50] == 255).all() and (found.images[0, 20, 10] == (0, 255, 0)).all()
    assert any("white" in note for note in found.notes)


def test_a_still_picture_is_one_frame(tmp_path):
    Image.fromarray(stamped(5)).save(tmp_path / "still.png")
    found = sample(tmp_path / "still.png")
    assert numbers_of(found.images) == [5] and found.times_s.tolist() == [0]
    assert any("one picture" in note for note in found.notes)
    assert np.isnan(probe(tmp_path / "still.png").duration_s)


def test_pictures_as_frames():
    wide = np.full((10, 40, 3), 200, np.uint8)
    found = frames_of([stamped(1), stamped(2), wide], fps=2)
    assert found.images.shape == (3, 72, 96, 3) and found.times_s.tolist() == [0, 0.5, 1]
    assert numbers_of(found.images[:2]) == [1, 2]
    assert found.images[2, 36, 48].tolist() == [200] * 3 and found.images[2, 2, 48].max() == 0
    assert "1 of 3 pictures" in found.notes[0]
    assert frames_of([stamped(1)]).notes == ()
    nothing: Any = [None]
    for bad in ([], nothing):
        with pytest.raises(InputError):
            frames_of(bad)
    with pytest.raises(InputError, match="per second"):
        frames_of([wide], fps=0)


def test_some_of_many_pictures(tmp_path):
    from PIL import Image

    files = []
    for k in range(9):
        files.append(tmp_path / f"{k}.png")
        Image.fromarray(stamped(k)).save(files[-1])
    found = sample(files, SampleSettings(pick="hand", by_hand="7, 2", max_px=96))
    assert numbers_of(found.images) == [2, 7] and found.times_s.tolist() == [2, 7]
    assert (probe(files).frames, found.clip_s) == (9, 9)
    small = sample(files, SampleSettings(count=3, max_px=64))
    assert small.images.shape == (3, 48, 64, 3)
    files[4].write_text("no picture")
    with pytest.raises(InputError, match=r"^4\.png"):
        sample(files, SampleSettings(count=9))


# ---------------------------------------------------------------- picks


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return clip(tmp_path_factory.mktemp("plain") / "plain.mp4", 100, bf="2", g="25")


def test_uniform_takes_the_middles(plain):
    found = sample(plain, SampleSettings(count=4))
    assert found.indices.tolist() == numbers_of(found.images) == [12, 37, 62, 87]
    assert sample(plain, SampleSettings(count=4, start_s=2.0)).indices.tolist() == [56, 68, 81, 93]


def test_in_and_out_points(plain):
    found = sample(plain, SampleSettings(pick="every", every=1, count=64, start_s=1, end_s=1.2))
    assert found.indices.tolist() == [25, 26, 27, 28, 29, 30]
    found = sample(plain, SampleSettings(start_s=1.01, end_s=1.02))
    assert found.indices.tolist() == [25], "none begins there: the one on show"
    assert "only 1 frame." in found.notes[-1]
    with pytest.raises(InputError, match="past the clip's end"):
        sample(plain, SampleSettings(start_s=4))
    with pytest.raises(InputError, match="isn't after"):
        sample(plain, SampleSettings(start_s=2, end_s=1))


def test_every_kth_and_fixed_rate_are_thinned_and_say_so(plain):
    found = sample(plain, SampleSettings(pick="every", every=30))
    assert found.indices.tolist() == [0, 30, 60, 90] and found.notes == ()
    found = sample(plain, SampleSettings(pick="every", every=5, count=4))
    assert found.indices.tolist() == [10, 35, 60, 85] and "20 frames" in found.notes[0]
    found = sample(plain, SampleSettings(pick="fps", fps=2))
    assert found.indices.tolist() == [0, 12, 25, 37, 50, 62, 75, 87]
    found = sample(plain, SampleSettings(pick="fps", fps=60, count=64))
    assert len(found) == 64 and "100 frames" in found.notes[0]


def test_by_hand(plain):
    found = hand(plain, 48, 0, 12, 12)
    assert found.indices.tolist() == numbers_of(found.images) == [0, 12, 48]
    assert by_hand(" 3 - 5;9\n1", 10).tolist() == [1, 3, 4, 5, 9]
    for text, cause in [("", "No frames are picked"), ("100", "0 to 99"), ("-1", "no frame number"),
                        ("1.5", "no frame number"), ("zwölf", "no frame number"),
                        ("9" * 50, "no frame number"), ("5-999999", "past the end")]:  # fmt: skip
        with pytest.raises(InputError, match=cause):
            sample(plain, SampleSettings(pick="hand", by_hand=text))


def test_choosing_by_hand_computed_answers():
    times = np.array([0, 1, 1.5, 4.0])
    assert uniform(times, 6.0, 3).tolist() == [1, 2, 3]
    assert at_rate(times, 6.0, 0.5).tolist() == [0, 2, 3]
    assert spread(np.arange(10), 5).tolist() == [1, 3, 5, 7, 9]
    assert on_show(times, np.array([-1, 0.99, 1, 9])).tolist() == [0, 1, 3]


@pytest.mark.parametrize("how", [
    {}, {"count": 64}, {"start_s": 1, "end_s": 1.2}, {"start_s": 1.01, "end_s": 1.02},
    {"pick": "every", "every": 30}, {"pick": "every", "every": 5, "count": 4},
    {"pick": "every", "every": 3, "start_s": 3.5}, {"pick": "fps", "fps": 2},
    {"pick": "fps", "fps": 60, "count": 64}, {"pick": "fps", "fps": 0.01},
    {"pick": "fps", "fps": 3, "count": 64, "start_s": 0.5, "end_s": 2.9},
    {"pick": "hand", "by_hand": "0, 48, 3-9, 48", "count": 64}, {"pick": "hand", "by_hand": "0-50"},
])  # fmt: skip
def test_the_facts_tell_how_many_frames_will_be_taken(plain, how):
    settings = SampleSettings(**how)
    assert counted(probe(plain), settings) == len(sample(plain, settings))


def test_frames_that_cannot_be_are_refused_before_they_are_taken(plain):
    info = probe(plain)
    for how, cause in [({"start_s": 4}, "past the clip's end"), ({"pick": "hand"}, "No frames"),
                       ({"pick": "hand", "by_hand": "100"}, "0 to 99")]:  # fmt: skip
        with pytest.raises(InputError, match=cause):
            counted(info, SampleSettings(**how))
    assert counted(info, SampleSettings(pick="scenes", count=5)) == 5, "as many as it may be"


def scenes(k, h, w):
    """Three worlds: from 0, 17 and 31, each with a moving square."""
    world = (k >= 17) + (k >= 31)
    image = np.full((h, w, 3), ((20, 60, 160), (190, 180, 60), (30, 120, 40))[world], np.uint8)
    image[20:36, 2 * k % 70 : 2 * k % 70 + 16] = 250
    return image


def test_scene_changes_are_found_where_they_are(tmp_path):
    path = clip(tmp_path / "scenes.mp4", 50, frame=scenes, bf="2")
    assert sample(path, SampleSettings(pick="scenes")).indices.tolist() == [0, 17, 31]
    starts = [start for start, _ in shots(path)]
    assert np.allclose(starts, np.array([0, 17, 31]) / RATE)
    assert shots(path)[-1][1] == pytest.approx(2.0)
    assert shots(path, 0.8, 1.0) == [(pytest.approx(0.8), pytest.approx(1.04))]


def test_long_clips_are_scanned_by_keyframe(tmp_path, monkeypatch):
    from core.video import picks

    monkeypatch.setattr(picks, "FULL_SCAN", 10)
    path = clip(tmp_path / "scenes.mp4", 50, frame=scenes, g="6", x264_params="scenecut=0")
    assert sample(path, SampleSettings(pick="scenes")).indices.tolist() == [0, 17, 31]


def test_movement_and_noise_are_no_scene_change(tmp_path):
    rng = np.random.default_rng(0)
    world = rng.integers(0, 255, (72, 400, 3), np.uint8)
    world[:, :200] //= 3

    def pan(k, h, w):
        return np.ascontiguousarray(world[:, 6 * k : 6 * k + w])

    found = sample(clip(tmp_path / "pan.mp4", 50, frame=pan), SampleSettings(pick="scenes"))
    assert found.indices.tolist() == [0] and "No scene change" in found.notes[-1]


def test_kmeans_takes_one_of_each_world(tmp_path):
    path = clip(tmp_path / "worlds.mp4", 50, frame=scenes)
    found = sample(path, SampleSettings(pick="kmeans", count=3))
    a, b, c = found.indices.tolist()
    assert a < 17 <= b < 31 <= c
    again = sample(path, SampleSettings(pick="kmeans", count=3))
    assert (again.indices == found.indices).all()
    still = clip(tmp_path / "still.mp4", 20, frame=lambda k, h, w: scenes(0, h, w))
    assert len(sample(still, SampleSettings(pick="kmeans", count=5))) <= 5


def test_thumbnails_are_what_they_say(plain):
    found = thumbnails(plain, 10)
    assert found.images.shape[1:3] == (72, 96) and 8 <= len(found) <= 10
    assert numbers_of(found.images) == found.indices.tolist()
    assert len(set(found.indices.tolist())) == len(found)


# ---------------------------------------------------------------- work and facts


def test_only_the_needed_frames_are_decoded(tmp_path, monkeypatch):
    path = clip(tmp_path / "long.mp4", 400, g="20", bf="0", x264_params="scenecut=0")
    sent = []
    real = Film._sent
    monkeypatch.setattr(Film, "_sent", lambda film, p: sent.append(p) or real(film, p))
    found = sample(path, SampleSettings(count=4))
    assert numbers_of(found.images) == found.indices.tolist() == [50, 150, 250, 350]
    assert len(sent) < 4 * (20 + 2) + 10


def test_a_file_is_looked_through_once_until_it_changes(tmp_path, monkeypatch):
    from core.video import index

    reads, real = [], index.read_index
    monkeypatch.setattr(index, "read_index", lambda *args: reads.append(1) or real(*args))
    path = clip(tmp_path / "once.mp4", 20)
    for _ in range(3):
        assert probe(path).frames == 20 and numbers_of(sample(path).images)[0] == 1
    assert len(reads) == 1
    clip(path, 30)
    assert probe(path).frames == len(every(path, 30)) == 30 and len(reads) == 2


def test_a_clip_too_long_to_look_through_is_estimated(tmp_path):
    path = clip(tmp_path / "long.mp4", 200, bf="2")
    film = Film(path, 60, index_s=0)
    try:
        assert "estimated" in film.notes[0] and abs(len(film.times_s) - 200) <= 4
        asked = [3, 20, 21, 150, 190]
        found = list(film.frames(np.array(asked), 720))
        assert len(found) == len(asked)
        for number, time_s, image in found:
            assert abs(number_of(image) - number) <= 2
            assert abs(number_of(image) / RATE - time_s) < 0.5 / RATE
    finally:
        film.close()


def test_facts_and_what_they_cost(tmp_path):
    path = clip(tmp_path / "facts.mp4", 50, sound=True)
    info = probe(path)
    assert (info.width, info.height, info.frames, info.codec) == (96, 72, 50, "h264")
    assert info.fps == pytest.approx(25) and info.duration_s == pytest.approx(2)
    assert not info.variable and info.audio and info.bits == 8 and info.notes == ()
    assert info.bit_rate == pytest.approx(8 * path.stat().st_size / 2)
    lines = cost_lines(info)
    names = ["Resolution", "Frame rate", "Bit rate", "Codec", "Duration", "Frames", "Size"]
    assert [name for name, _, _ in lines] == names
    assert {n: v for n, v, _ in lines}["Frame rate"] == "25 frames/s, constant"
    assert all(cost.endswith(".") and "\n" not in cost for _, _, cost in lines)
    assert clock(9.64) == "9.64 s" and clock(185) == "3:05 min" and clock(7385) == "2:03:05 h"


def test_progress_rises_to_one(plain):
    told = []
    sample(plain, SampleSettings(pick="kmeans"), progress=lambda f, desc="": told.append(f))
    assert told == sorted(told) and told[-1] == pytest.approx(1)


def test_importing_is_light():
    code = "import sys, core.video; print([m for m in ('av','cv2','scipy','torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert Cue(0, 1, "a").text == "a"
