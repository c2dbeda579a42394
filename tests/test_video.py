"""What is written as a film is read back as the same film."""

import numpy as np
import pytest

from core.types import InputError
from core.video import write_mp4

av = pytest.importorskip("av")


def ramp(t=7, h=48, w=64):
    """Frames of one grey each, brighter with time, with a red square that goes to the right."""
    frames = np.empty((t, h, w, 3), np.uint8)
    frames[:] = (40 + 20 * np.arange(t))[:, None, None, None]
    for k in range(t):
        frames[k, 8:24, 4 + 6 * k : 20 + 6 * k] = (200, 30, 30)
    return frames


def read(path):
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(stream)]
        return np.stack(frames), float(stream.average_rate), stream.codec_context


def test_frames_size_rate_and_colours_come_back(tmp_path):
    frames = ramp()
    back, fps, codec = read(write_mp4(tmp_path / "a.mp4", frames, fps=4))
    assert back.shape == frames.shape and fps == 4
    assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")
    grey = back[:, 36:, :8].mean((1, 2, 3))
    assert np.abs(grey - (40 + 20 * np.arange(7))).max() < 6
    assert (np.abs(back[3, 16, 30].astype(int) - (200, 30, 30)) < 30).all()


@pytest.mark.parametrize("h, w", [(33, 47), (2, 2), (1, 1), (48, 63)])
def test_odd_sizes_grow_by_one_and_keep_their_picture(tmp_path, h, w):
    frames = np.full((3, h, w, 3), 90, np.uint8)
    back, _, _ = read(write_mp4(tmp_path / "odd.mp4", frames, fps=10))
    assert back.shape == (3, h + h % 2, w + w % 2, 3)
    assert np.abs(back.astype(int) - 90).max() < 8, "the added edge repeats the picture"


def test_one_frame_and_a_broken_rate_play(tmp_path):
    back, fps, _ = read(write_mp4(tmp_path / "one.mp4", ramp(1), fps=29.97))
    assert len(back) == 1
    assert abs(fps - 29.97) < 0.01


def test_the_index_comes_first(tmp_path):
    data = write_mp4(tmp_path / "fast.mp4", ramp()).read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_what_is_no_film_is_named(tmp_path):
    for bad in (np.zeros((3, 4, 4), np.uint8), np.zeros((0, 4, 4, 3), np.uint8),
                np.zeros((2, 4, 4, 3), np.float32)):  # fmt: skip
        with pytest.raises(InputError, match="Stack"):
            write_mp4(tmp_path / "x.mp4", bad)
    with pytest.raises(InputError, match="per second"):
        write_mp4(tmp_path / "x.mp4", ramp(), fps=0)
