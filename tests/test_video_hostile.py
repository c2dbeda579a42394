"""Files that are no clip, or a broken one: a plain sentence, or what can be decoded, and a note."""

import os
import re
import socket
import threading
import zipfile

import numpy as np
import pytest
from PIL import Image

from core.types import InputError
from core.video import SampleSettings, burn_in, frames_of, probe, sample, shots, thumbnails
from tests.clips import clip, number_of, numbers_of, stamped, tone

av = pytest.importorskip("av")

# What no person should read, and what a sentence that helps must have.
MACHINE = re.compile(
    r"Traceback|av\.|FFmpeg|error:|ndarray|NoneType|Errno|0x[0-9a-f]{4}|<class|<_io|"
    r"(^|[\s'\"(])/\w+/|[A-Za-z](Error|Exception|Warning|Settings)\b|\bNone\b"
)
NEXT = re.compile(r"\b(Choose|choose|Give|Save|Make|Copy|Check|Cut|Download|Lower)\b")
EVERY = SampleSettings(pick="every", every=1, count=64)


def check_sentence(sentence: str, cause: str) -> None:
    assert sentence.endswith("."), sentence
    assert not MACHINE.search(sentence), sentence
    assert re.search(cause, sentence), sentence
    assert NEXT.search(sentence), f"it doesn't say what to do next: {sentence}"
    assert len(sentence) < 300, sentence


def check_notes(notes: tuple[str, ...], cause: str) -> None:
    for note in notes:
        assert note.endswith(".") and not MACHINE.search(note), note
    assert re.search(cause, "\n".join(notes)), notes


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """40 frames in groups of 10, each whole in the film's order, index at the front."""
    folder = tmp_path_factory.mktemp("good")
    return clip(folder / "good.mp4", 40, g="10", bf="0", x264_params="scenecut=0", size=(144, 192))


def opened_files() -> set[str]:
    folder = "/proc/self/fd"
    return {os.path.realpath(f"{folder}/{fd}") for fd in os.listdir(folder)}


def refused(path, cause: str) -> None:
    """Every door says the same, and leaves no file open."""
    for door in (probe, sample, thumbnails, shots, lambda p: burn_in(p, [], f"{p}.out.mp4")):
        with pytest.raises(InputError) as caught:
            door(path)
        check_sentence(str(caught.value), cause)
    assert str(path) not in opened_files()
    assert isinstance(path, str) or not path.with_name(path.name + ".out.mp4").exists()


# ---------------------------------------------------------------- no clip at all

NO_CLIP = "can't be read as a video"
LIST = "playlist"
RAW = {
    "empty.mp4": (b"", "is empty"),
    "text.mp4": (b"Not a film at all.\n" * 50, NO_CLIP),
    "text.txt": (b"Not a film at all.\n" * 50, NO_CLIP),
    "page.mp4": (b"<!doctype html><html><body>404</body></html>", NO_CLIP),
    "paper.pdf": (b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n", NO_CLIP),
    "noise.mkv": (np.random.default_rng(0).bytes(50_000), NO_CLIP),
    "zeros.avi": (bytes(50_000), NO_CLIP),
    "head.mp4": (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "index of its frames is missing"),
    "one.bin": (b"x", NO_CLIP),
    "program.mp4": (b"\x7fELF" + bytes(5000), NO_CLIP),
    "list.m3u8": (b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:PORT/a.ts\n#EXT-X-ENDLIST\n", LIST),
    "hidden.mp4": (b"\xef\xbb\xbf\n#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:PORT/a.ts\n", LIST),
    "list.ffconcat": (b"ffconcat version 1.0\nfile 'good.mp4'\n", LIST),
    "dash.mpd": (b"<?xml version='1.0'?>\n<MPD><BaseURL>http://127.0.0.1:PORT</BaseURL></MPD>", LIST),
    "late.m3u8": (b"x" * 5000 + b"\n#EXTM3U\nhttp://127.0.0.1:PORT/a.ts\n", NO_CLIP),
    "call.sdp": (b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video PORT RTP/AVP 96\n", LIST),
    "graph.lavfi": (b"testsrc2=s=640x480\n", NO_CLIP),
    "words.srt": (b"1\n00:00:00,000 --> 00:00:01,000\nHello\n\n", "no video stream|" + NO_CLIP),
    "cut.png": (b"\x89PNG\r\n\x1a\n" + bytes(40), "can't be read as a moving picture"),
    "cut.gif": (b"GIF89a" + bytes(7), "can't be read|damaged|frames are 0"),
    "cut.webp": (b"RIFF\x10\0\0\0WEBPVP8 ", "can't be read as a moving picture"),
}  # fmt: skip


@pytest.fixture(scope="module")
def listening():
    """A port of this machine, and how often somebody came to it."""
    came, server = [], socket.create_server(("127.0.0.1", 0))

    def wait():
        while True:
            try:
                server.accept()[0].close()
            except OSError:
                return
            came.append(1)

    threading.Thread(target=wait, daemon=True).start()
    yield server.getsockname()[1], came
    server.close()


@pytest.mark.parametrize("name", RAW)
def test_what_is_no_clip(tmp_path, listening, name):
    data, cause = RAW[name]
    port, came = listening
    (tmp_path / name).write_bytes(data.replace(b"PORT", str(port).encode()))
    refused(tmp_path / name, cause)
    assert not came, "nothing may be fetched"


@pytest.mark.parametrize("address", [
    "http://127.0.0.1:{}/a.mp4", "https://example.invalid/a.mp4", "tcp://127.0.0.1:{}",
    "rtsp://127.0.0.1:{}/a", "concat:a.mp4|b.mp4", "file:/etc/passwd", "pipe:0", "-", "data:,x",
    "crypto:a.mp4", "subfile,,start,0,end,9,,:/etc/passwd", "lavfi:testsrc",
])  # fmt: skip
def test_addresses_are_refused(listening, address):
    refused(address.format(listening[0]), "an address|no file")
    assert not listening[1]


def test_what_is_no_file(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    refused(tmp_path / "folder.mp4", "is a folder")
    refused(tmp_path / "gone.mp4", "no file gone.mp4")
    refused("", "No clip is chosen")
    refused("a\0b.mp4", "no file")
    refused("x" * 5000, "no file")
    os.mkfifo(tmp_path / "pipe.mp4")
    refused(tmp_path / "pipe.mp4", "a device or a pipe")
    refused("/dev/zero", "a device or a pipe")
    with pytest.raises(InputError, match="No clip is chosen"):
        probe(None)  # pyright: ignore[reportArgumentType]


def test_odd_names_are_fine(good, tmp_path):
    for name in ("http:a.mp4", "%03d.png", "a b & <b>ü.mp4", "concat:x|y", "-", "noname"):
        path = tmp_path / name
        path.write_bytes(good.read_bytes())
        assert probe(path).frames == 40


# ---------------------------------------------------------------- clips without a film


def test_sound_alone(tmp_path):
    with av.open(str(tmp_path / "a.m4a"), "w") as file:
        tone(file, file.add_stream("aac", rate=48000, layout="mono"), 0.3)
    refused(tmp_path / "a.m4a", "sound but no picture")


def test_a_cover_is_no_film(tmp_path):
    path = tmp_path / "record.mp3"
    with av.open(str(path), "w") as file:
        tone(file, file.add_stream("libmp3lame", rate=48000, layout="mono"), 0.3)
    cover = clip(
        tmp_path / "c.png", 1, codec="png", pixels="rgb24", container="image2"
    ).read_bytes()
    body = b"\0image/png\0\x03\0" + cover
    tag = b"APIC" + len(body).to_bytes(4, "big") + b"\0\0" + body
    size = len(tag)
    head = b"ID3\x03\0\0" + bytes((size >> s) & 0x7F for s in (21, 14, 7, 0))
    path.write_bytes(head + tag + path.read_bytes())
    with av.open(str(path)) as file:
        assert len(file.streams.video) == 1
    refused(path, "sound but no picture")


def test_zero_frames(tmp_path):
    clip(tmp_path / "none.mkv", 0)
    refused(tmp_path / "none.mkv", "without frames|no video stream|can't be")
    clip(tmp_path / "none.mp4", 0)
    refused(tmp_path / "none.mp4", "without frames|no video stream|can't be")


def test_one_frame(tmp_path):
    for name in ("one.mp4", "one.mkv", "one.gif"):
        if name.endswith("gif"):
            Image.fromarray(stamped(0)).save(tmp_path / name)
        else:
            clip(tmp_path / name, 1)
        for pick in ("uniform", "every", "fps", "scenes", "kmeans"):
            found = sample(tmp_path / name, SampleSettings(pick=pick))
            assert numbers_of(found.images) == [0] and found.times_s.tolist() == [0]
        assert probe(tmp_path / name).frames == 1 and len(thumbnails(tmp_path / name)) == 1
        assert len(shots(tmp_path / name)) == 1


def test_sizes_that_only_a_header_claims(tmp_path, good):
    small = clip(tmp_path / "small.mkv", 3, codec="ffv1", pixels="bgr0", size=(72, 96))
    data = small.read_bytes()
    wide = data.index(b"\xb0\x81\x60")  # its width, 96
    huge = bytearray(data)
    huge[wide : wide + 3] = b"\xb0\x81\xff"
    (tmp_path / "other.mkv").write_bytes(huge)
    found = sample(tmp_path / "other.mkv")
    assert found.images.shape == (3, 72, 255, 3) and found.indices.tolist() == [0, 1, 2]
    gif = bytearray(b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\x02D\x01\0;")
    (tmp_path / "huge.gif").write_bytes(gif)
    refused(tmp_path / "huge.gif", "too many pixels|megapixels|damaged")


# ---------------------------------------------------------------- broken clips


def spot(path, first: int, last: int) -> tuple[int, int]:
    """Where in the file the packets of these frames lie."""
    with av.open(str(path)) as file:
        packets = [(p.pos, p.size) for p in file.demux(video=0) if p.size]
    return packets[first][0], packets[last][0] + packets[last][1]


def test_a_cut_mp4_without_its_index(good, tmp_path):
    late = clip(tmp_path / "late.mp4", 40)  # its index comes last
    data = late.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: data.index(b"moov") - 10])
    refused(tmp_path / "cut.mp4", "cut off or damaged")


@pytest.mark.parametrize("kind", ["mkv", "ts", "mp4"])
def test_what_is_left_of_a_cut_file_is_used(tmp_path, kind):
    whole = clip(tmp_path / "whole.mp4", 40, bf="0", g="10")
    if kind == "mp4":
        whole = burn_in(whole, [], tmp_path / "front.mp4").path  # its index is at the front
        end = spot(whole, 24, 24)[1] - 5
    else:
        whole = clip(tmp_path / f"whole.{kind}", 40, bf="0", g="10")
        end = int(whole.stat().st_size * 0.6)
    path = tmp_path / f"cut.{kind}"
    path.write_bytes(whole.read_bytes()[:end])
    found = sample(path, EVERY)
    assert 10 <= len(found) < 40
    sound = [number_of(image) for image in found.images[:-1]]
    assert sound == found.indices[:-1].tolist()
    if kind == "mp4":
        check_notes(found.notes, "cut off")
    info = probe(path)
    assert info.frames < 40 and info.duration_s < 1.6
    assert len(sample(path)) >= 4 and len(thumbnails(path)) >= 4


@pytest.mark.parametrize("what", ["zeros", "noise"])
def test_a_corrupt_middle(good, tmp_path, what):
    """Frames 15 to 24 are destroyed, with the keyframe 20 among them."""
    start, end = spot(good, 15, 24)
    data = bytearray(good.read_bytes())
    rng = np.random.default_rng(0)
    data[start:end] = bytes(end - start) if what == "zeros" else rng.bytes(end - start)
    path = tmp_path / "corrupt.mp4"
    path.write_bytes(data)
    found = sample(path, EVERY)
    sound = {*range(15), *range(30, 40)}
    assert sound <= set(found.indices.tolist())
    for image, number in zip(found.images, found.indices.tolist(), strict=True):
        assert number not in sound or number_of(image) == number
    check_notes(found.notes, "can't be decoded|Damaged")
    asked = sample(path, SampleSettings(pick="hand", by_hand="2, 17, 22, 35"))
    assert {2, 35} <= set(asked.indices.tolist())
    check_notes(asked.notes, "17|22|Damaged|can't be decoded")
    assert probe(path).frames == 40 and len(thumbnails(path)) >= 15
    burned = burn_in(path, [], tmp_path / "burned.mp4")
    assert burned.frames >= 25
    for pick in ("scenes", "kmeans"):
        assert len(sample(path, SampleSettings(pick=pick))) >= 1


def test_a_film_with_nothing_left(good, tmp_path):
    start, end = spot(good, 0, 39)
    data = bytearray(good.read_bytes())
    data[start:end] = bytes(end - start)
    (tmp_path / "nothing.mp4").write_bytes(data)
    refused(tmp_path / "nothing.mp4", "No frame of|can't be")


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts", "avi", "gif", "webp"])
def test_random_damage_ends_in_frames_or_a_sentence(tmp_path, kind):
    path = tmp_path / f"whole.{kind}"
    if kind in ("gif", "webp"):
        pictures = [Image.fromarray(stamped(k)) for k in range(10)]
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=50)
    else:
        clip(path, 20, codec="mpeg4" if kind == "avi" else "libx264")
    whole, rng = path.read_bytes(), np.random.default_rng(7)
    broken = tmp_path / f"broken.{kind}"
    for _ in range(12):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 20):
            data[place] = rng.integers(256)
        broken.write_bytes(data)
        for door in (probe, sample):
            try:
                found = door(broken)
                check_notes(found.notes, "")
            except InputError as error:
                check_sentence(str(error), "")
    assert str(broken) not in opened_files()


def test_a_cut_gif(tmp_path):
    pictures = [Image.fromarray(stamped(k, 144, 192)) for k in range(10)]
    path = tmp_path / "whole.gif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=50)
    (tmp_path / "cut.gif").write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    found = sample(tmp_path / "cut.gif", EVERY)
    assert 3 <= len(found) < 10 and numbers_of(found.images) == found.indices.tolist()
    check_notes(found.notes, "cut off")


def test_time_that_runs_out(good, monkeypatch):
    """What was decoded by then is used; nothing at all is a sentence."""
    from core.video import reading
    from core.video.film import Film

    monkeypatch.setattr(reading, "LIMIT_S", 0.0)
    for door in (probe, sample, thumbnails):
        with pytest.raises(InputError) as caught:
            door(good)
        check_sentence(str(caught.value), "takes over")
    monkeypatch.setattr(reading, "LIMIT_S", 60.0)
    real = Film._picture

    def slow(film, number, frame, max_px):
        if number > 20:
            film.deadline = 0.0
        return real(film, number, frame, max_px)

    monkeypatch.setattr(Film, "_picture", slow)
    found = sample(good)
    assert 1 <= len(found) < 8
    check_notes(found.notes, "Time ran out: ")


def test_nothing_is_left_behind(good, tmp_path):
    before = set(os.listdir(tmp_path.parent)), opened_files()
    for pick in ("uniform", "scenes", "kmeans"):
        sample(good, SampleSettings(pick=pick))
    thumbnails(good)
    assert (set(os.listdir(tmp_path.parent)), opened_files()) == before


def test_pictures_that_are_none():
    with pytest.raises(InputError, match="Picture 1"):
        frames_of([stamped(0), np.zeros((2, 2, 7), np.uint8)])


def test_an_archive_named_as_a_film(tmp_path):
    with zipfile.ZipFile(tmp_path / "films.mp4", "w") as made:
        made.writestr("a.txt", "no film" * 100)
    refused(tmp_path / "films.mp4", NO_CLIP)
