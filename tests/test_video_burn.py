"""Subtitles are where and when they should be, and nothing else changes."""

import re
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, ImageFont

from core.types import InputError
from core.video import Cue, SampleSettings, burn_in, probe, sample
from core.video.subtitles import drawn, font_path, wrapped
from tests.clips import clip, numbers_of, stamped

av = pytest.importorskip("av")


def grey(k, h, w):
    """Stamped above, grey below, where subtitles go."""
    image = stamped(k, h, w)
    image[h // 2 :] = 100
    return image


def all_of(path):
    return sample(path, SampleSettings(pick="every", every=1, count=64))


def with_text(frames):
    """Which frames have white and black in their lower part."""
    lower = frames.images[:, frames.images.shape[1] // 2 + 8 :]
    return [bool((f.max() > 200) and (f.min() < 50)) for f in lower]


CUES = [Cue(0.2, 0.6, "A red cup"), Cue(1.0, 1.2, "is moved to the left")]


def test_text_is_there_when_it_should_be(tmp_path):
    path = clip(tmp_path / "a.mp4", 40, frame=grey, size=(180, 320), bf="2")
    burned = burn_in(path, CUES, tmp_path / "b.mp4")
    found = all_of(burned.path)
    expected = [0.2 <= k / 25 + 1e-6 < 0.6 or 1.0 <= k / 25 + 1e-6 < 1.2 for k in range(40)]
    assert with_text(found) == expected
    assert burned.frames == 40 and burned.seconds == pytest.approx(1.6) and burned.notes == ()
    info = probe(burned.path)
    assert (info.codec, info.container.split(",")[1], info.pixel_format) == (
        "h264",
        "mp4",
        "yuv420p",
    )
    data = burned.path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "a browser can start before it has everything"


def test_the_picture_keeps_its_colours(tmp_path):
    def flat(k, h, w):
        return np.full((h, w, 3), (200, 60, 30), np.uint8)

    path = clip(tmp_path / "a.mkv", 3, frame=flat, codec="ffv1", pixels="bgr0", size=(180, 320))
    found = all_of(burn_in(path, [], tmp_path / "b.mp4").path)
    assert np.abs(found.images.astype(int) - (200, 60, 30)).max() <= 4


def test_a_variable_rate_keeps_its_times(tmp_path):
    times = np.concatenate([[0], np.random.default_rng(2).integers(10, 300, 29).cumsum()])
    path = clip(tmp_path / "a.mkv", 30, times=times, frame=grey)
    before, after = all_of(path), all_of(burn_in(path, CUES, tmp_path / "b.mp4").path)
    assert np.abs(before.times_s - after.times_s).max() < 0.0005
    assert probe(tmp_path / "b.mp4").duration_s == pytest.approx(probe(path).duration_s, abs=0.002)


def test_a_clip_that_starts_late_and_lies_on_its_side(tmp_path):
    def frame(k, h, w):
        return np.ascontiguousarray(np.rot90(stamped(k, 144, 192), 1))

    times = 5000 + 40 * np.arange(20)
    path = clip(tmp_path / "a.mkv", 20, frame=frame, size=(192, 144), rotate=-90, times=times)
    found = all_of(burn_in(path, [], tmp_path / "b.mp4").path)
    assert found.images.shape[1:3] == (144, 192) and numbers_of(found.images) == list(range(20))
    assert np.allclose(found.times_s, 0.04 * np.arange(20), atol=0.0005)
    assert probe(tmp_path / "b.mp4").rotation_deg == 0


def packets(path):
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        found = [(bytes(p), p.pts * float(p.time_base)) for p in file.demux(stream) if p.size]
        return stream.codec_context.name, found


def test_aac_is_copied_and_stays_in_step(tmp_path):
    path = clip(tmp_path / "a.mp4", 50, sound=True, frame=grey)
    burned = burn_in(path, CUES, tmp_path / "b.mp4")
    (kind, before), (kind_after, after) = packets(path), packets(burned.path)
    assert kind == kind_after == "aac" and burned.notes == ()
    assert [data for data, _ in before] == [data for data, _ in after]
    assert np.allclose([t for _, t in before], [t for _, t in after], atol=0.0005)


def test_sound_that_begins_first_stays_in_step(tmp_path):
    path = clip(tmp_path / "a.mp4", 40, times=500 + 40 * np.arange(40), sound=True, frame=grey)
    burned = burn_in(path, CUES, tmp_path / "b.mp4")
    before, after = all_of(path), all_of(burned.path)
    assert before.times_s[0] == pytest.approx(0.5, abs=0.001)
    assert np.allclose(before.times_s, after.times_s, atol=0.0005)
    expected = [0.2 <= t + 1e-6 < 0.6 or 1.0 <= t + 1e-6 < 1.2 for t in before.times_s]
    assert with_text(after) == expected
    (_, heard), (_, heard_after) = packets(path), packets(burned.path)
    assert [data for data, _ in heard] == [data for data, _ in heard_after]
    assert np.allclose([t for _, t in heard], [t for _, t in heard_after], atol=0.0005)


def test_other_sound_is_left_out_and_says_so(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as file:
        film = file.add_stream("libx264", rate=25)
        film.height, film.width, film.pix_fmt = 72, 96, "yuv420p"
        sound = file.add_stream("pcm_s16le", rate=48000, layout="mono")
        for k in range(10):
            file.mux(film.encode(av.VideoFrame.from_ndarray(stamped(k), format="rgb24")))
        file.mux(film.encode())
        wave = av.AudioFrame.from_ndarray(np.zeros((1, 9600), np.int16), "s16", "mono")
        wave.sample_rate, wave.pts, wave.time_base = 48000, 0, Fraction(1, 48000)
        file.mux(sound.encode(wave))
        file.mux(sound.encode())
    burned = burn_in(path, [], tmp_path / "b.mp4")
    assert any("pcm" in note and "left out" in note for note in burned.notes)
    assert not probe(burned.path).audio and probe(burned.path).frames == 10


def test_gifs_odd_sizes_and_large_frames(tmp_path):
    pictures = [Image.fromarray(stamped(k, 75, 101)) for k in range(4)]
    path = tmp_path / "a.gif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[100, 300, 50, 200])
    found = all_of(burn_in(path, [], tmp_path / "b.mp4").path)
    assert found.images.shape[1:3] == (76, 102) and numbers_of(found.images) == [0, 1, 2, 3]
    assert np.allclose(found.times_s, [0, 0.1, 0.4, 0.45], atol=0.001)
    small = burn_in(path, [], tmp_path / "c.mp4", max_px=64)
    assert probe(small.path).width == 64


def test_only_a_few_frames_are_held(tmp_path, monkeypatch):
    """Frames go through one by one: none is kept after the next ones have come."""
    import weakref

    from core.video.film import Film

    alive, most = [], 0
    real = Film._picture

    def picture(film, number, frame, max_px):
        nonlocal most
        made = real(film, number, frame, max_px)
        alive.append(weakref.ref(made.image))
        most = max(most, sum(image() is not None for image in alive))
        return made

    monkeypatch.setattr(Film, "_picture", picture)
    burn_in(clip(tmp_path / "a.mp4", 60), CUES, tmp_path / "b.mp4")
    assert 1 <= most <= 3


# ---------------------------------------------------------------- letters


@pytest.mark.parametrize("width, height", [(1280, 720), (720, 1280), (96, 72), (33, 21), (2, 2)])
@pytest.mark.parametrize("text", ["Short", "A long sentence about what happens " * 6, "W" * 300,
                                  "two\nlines", "Größe привет ελλ"])  # fmt: skip
def test_text_stays_inside_at_any_size(width, height, text):
    colour, alpha, top = drawn(text, width, height)
    assert colour.shape == (len(alpha), width, 3) and 0 <= top <= top + len(colour) <= height
    if width >= 96:
        columns = np.flatnonzero(alpha[..., 0].max(0) > 0)
        assert columns[0] > 0 and columns[-1] < width - 1
        assert abs(columns[0] - (width - 1 - columns[-1])) < 0.1 * width, "in the middle"
        assert len(colour) <= height * 0.62
        assert colour[alpha[..., 0] > 250].max() > 200


def test_lines_are_wrapped_between_words():
    font = ImageFont.truetype(str(font_path()), 20)
    lines = wrapped("the cup is under the middle one of three", font, 120)
    assert " ".join(lines) == "the cup is under the middle one of three"
    assert all(font.getlength(line) <= 120 for line in lines) and len(lines) > 2
    assert "".join(wrapped("x" * 99, font, 120)) == "x" * 99
    assert wrapped("a\x00\x07b", font, 120) == ["ab"] and wrapped("", font, 10) == [""]


def test_letters_that_the_font_lacks_are_named(tmp_path):
    path = clip(tmp_path / "a.mp4", 3)
    burned = burn_in(path, [Cue(0, 1, "猫 cat")], tmp_path / "b.mp4")
    assert any("猫" in note and "c" not in note.split(":")[1] for note in burned.notes)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize("cue, cause", [
    (Cue(2, 1, "a"), "ends at 1 s"), (Cue(1, 1, "a"), "ends at 1 s"),
    (Cue(float("nan"), 1, "a"), "no times"), (Cue(0, float("inf"), "a"), "no times"),
])  # fmt: skip
def test_cues_that_cannot_be(tmp_path, cue, cause):
    path = clip(tmp_path / "a.mp4", 3)
    with pytest.raises(InputError, match=cause) as caught:
        burn_in(path, [cue], tmp_path / "b.mp4")
    assert re.search(r"Give|Choose", str(caught.value))
    assert not (tmp_path / "b.mp4").exists()


def test_cues_past_the_end_and_empty_ones_do_no_harm(tmp_path):
    path = clip(tmp_path / "a.mp4", 5, frame=grey)
    cues = [Cue(-5, 0.1, ""), Cue(0, 9, "  \n "), Cue(90, 99, "late")]
    assert not any(with_text(all_of(burn_in(path, cues, tmp_path / "b.mp4").path)))


def test_where_it_cannot_be_written(tmp_path):
    path = clip(tmp_path / "a.mp4", 3)
    data = path.read_bytes()
    with pytest.raises(InputError, match="over itself"):
        burn_in(path, [], path)
    assert path.read_bytes() == data
    with pytest.raises(InputError, match="another folder"):
        burn_in(path, [], tmp_path / "gone" / "b.mp4")


def test_a_stop_leaves_no_file(tmp_path):
    def stop(fraction, desc=""):
        if fraction > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        burn_in(clip(tmp_path / "a.mp4", 10), [], tmp_path / "b.mp4", progress=stop)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
