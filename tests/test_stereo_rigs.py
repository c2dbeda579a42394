"""Rig files, rectification and calibration: known cameras must come back, bad files be refused."""

import dataclasses
import re
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.scenes import scene, stereo_pair
from core.stereo.geometry import depth, triangulate
from core.stereo.rigfile import read_rig, scaled, write_rig
from core.stereo.types import Calibration
from core.types import InputError, Rig

CHESSBOARD = Path(__file__).parents[1] / "../shared/data/stereo/chessboard"
MACHINE = re.compile(r"Traceback|cv2|error:|Errno|None\b|0x|<class|ndarray")
HALF = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])

CALIB = """cam0=[994.978 0 311.193; 0 994.978 254.877; 0 0 1]
cam1=[994.978 0 342.279; 0 994.978 254.877; 0 0 1]
doffs=31.086
baseline=193.001
width=741
height=500
ndisp=64
"""
RAW = Calibration(
    K0=np.array([[520.1, 0, 330.3], [0, 515.7, 240.9], [0, 0, 1]]),
    K1=np.array([[505.3, 0, 310.7], [0, 507.2, 250.1], [0, 0, 1]]),
    distortion0=np.array([-0.25, 0.08, 1e-3, -5e-4, 1 / 3]),
    distortion1=np.array([-0.2, 0.05, 0, 1e-300, 0.1]),
    R=cv2.Rodrigues(np.array([0.03, -0.05, 0.02]))[0],
    t=np.array([-60.1, 2 / 3, 1.5]),
    size=(641, 479),
    unit="mm",
    rms_px=0.1 + 0.2,
)


def same(a, b):
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a)]
    return type(a) is type(b) and all(
        np.array_equal(x, y, equal_nan=isinstance(x, float)) for x, y in pairs
    )


# ---------------------------------------------------------------- files


def test_middlebury():
    rig = read_rig(CALIB)
    assert rig == Rig(994.978, 193.001, 311.693, 255.377, 31.086, "mm", 994.978)
    assert isinstance(rig, Rig)
    z = depth(np.array([[20.0]]), rig)
    assert z[0, 0] == pytest.approx(994.978 * 193.001 / 51.086, rel=1e-6)
    without = read_rig(CALIB.replace("doffs=31.086\n", "").replace("\n", "\r\n"))
    assert isinstance(without, Rig) and without.doffs_px == pytest.approx(31.086)


@pytest.mark.parametrize("name", ["a.yml", "a.xml", "a.calibration"])
def test_calibration_round_trip(tmp_path, name):
    path = write_rig(RAW, tmp_path / name)
    assert same(read_rig(path), RAW) and same(read_rig(str(path)), RAW)
    assert same(read_rig(path.read_text()), RAW)
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
    assert np.array_equal(storage.getNode("K1").mat(), RAW.K0 - HALF), "OpenCV reads it too"
    assert np.array_equal(storage.getNode("T").mat().ravel(), RAW.t)


def test_rig_round_trip(tmp_path):
    rig = Rig(1 / 3 + 400, 0.1 + 0.2, 1e-3, 241.1, -7.7, "ft", 399.9)
    assert read_rig(write_rig(rig, tmp_path / "rig.json")) == rig


@pytest.mark.parametrize("ending", [".yml", ".xml", ".json"])
@pytest.mark.parametrize(
    "names",
    [
        ("K1", "D1", "K2", "D2"),
        ("M1", "D1", "M2", "D2"),
        ("cameraMatrix1", "distCoeffs1", "cameraMatrix2", "distCoeffs2"),
        ("camera_matrix_left", "dist_coeffs_left", "camera_matrix_right", "dist_coeffs_right"),
        ("K0", "D0", "K1", "D1"),
    ],
)
def test_opencv_names(ending, names):
    numbers = (RAW.K0 - HALF, RAW.distortion0, RAW.K1 - HALF, RAW.distortion1)
    storage = cv2.FileStorage(ending, cv2.FILE_STORAGE_WRITE | cv2.FILE_STORAGE_MEMORY)
    for name, value in zip(names, numbers, strict=True):
        storage.write(name, value)
    storage.write("R", RAW.R)
    storage.write("T", RAW.t.reshape(3, 1))
    storage.write("note", "a note: with [brackets]")
    storage.write("points", np.zeros((4, 2, 2)))  # another matrix, of no concern
    rig = read_rig(storage.releaseAndGetString(), unit="cm")
    assert isinstance(rig, Calibration)
    expected = dataclasses.replace(RAW, size=(0, 0), unit="cm", rms_px=np.nan)
    assert same(rig, expected)


@pytest.mark.parametrize("which", ["P1 P2", "Q"])
@pytest.mark.parametrize("flags", [0, cv2.CALIB_ZERO_DISPARITY])
def test_rectified_opencv_files(which, flags):
    calibrated = RAW.K0 - HALF, RAW.distortion0, RAW.K1 - HALF, RAW.distortion1
    _, _, P1, P2, Q, *_ = cv2.stereoRectify(
        *calibrated, RAW.size, RAW.R, RAW.t[:, None], flags=flags
    )
    storage = cv2.FileStorage(".yml", cv2.FILE_STORAGE_WRITE | cv2.FILE_STORAGE_MEMORY)
    for name, value in (("P1", P1), ("P2", P2)) if which == "P1 P2" else (("Q", Q),):
        storage.write(name, value)
    rig = read_rig(storage.releaseAndGetString(), unit="mm")
    assert isinstance(rig, Rig) and (rig.doffs_px == 0) == bool(flags)
    left, right = np.array([[320.5, 200.5]]), np.array([[250.5, 200.5]])
    x, y, z, w = Q @ (320, 200, 70, 1)  # OpenCV's own way to space, in its own pixels
    assert np.allclose(triangulate(left, right, rig), np.array([[x, y, z]]) / w, rtol=1e-9)


YAML = "%YAML:1.0\n---\n"
MATRIX = "{}: !!opencv-matrix\n   rows: {}\n   cols: {}\n   dt: d\n   data: [ {} ]\n"


def matrix(name, values, rows=3, cols=3):
    return MATRIX.format(name, rows, cols, ", ".join(map(str, values)))


def yaml(**changed):
    """A good file, save for what is changed."""
    K = (500, 0, 320, 0, 500, 240, 0, 0, 1)
    parts = {"K1": K, "K2": K, "R": (1, 0, 0, 0, 1, 0, 0, 0, 1), "T": (-60, 0, 0)} | changed
    rows = {"T": (3, 1)}
    return YAML + "".join(matrix(n, v, *rows.get(n, (3, 3))) for n, v in parts.items() if v)


K_BAD = (-500, 0, 320, 0, 500, 240, 0, 0, 1)
K_NAN = (".Nan", 0, 320, 0, 500, 240, 0, 0, 1)
HOSTILE = {
    "empty": "",
    "blank": " \n\t\n",
    "prose": "This is a letter.\nNot a calibration.\n",
    "missing": "no/such/file.txt",
    "truncated yaml": yaml()[:200],
    "truncated xml": "<?xml version='1.0'?>\n<opencv_storage>\n<K1 type_id='opencv-matrix'><rows>3",
    "truncated json": '{"kind": "sightline-rig", "focal_px": 5',
    "truncated calib": CALIB[:40],
    "json of another kind": '{"kind": "rig", "focal_px": 500}',
    "json list in place of numbers": '{"kind": "sightline-rig", "focal_px": [], "baseline": 1, '
    '"cx": 1, "cy": 1, "doffs_px": 0, "unit": "m", "focal_y_px": 1}',
    "json infinite": '{"kind": "sightline-rig", "focal_px": 1e999, "baseline": 1, '
    '"cx": 1, "cy": 1, "doffs_px": 0, "unit": "m", "focal_y_px": 1}',
    "json negative": '{"kind": "sightline-rig", "focal_px": -4, "baseline": 1, '
    '"cx": 1, "cy": 1, "doffs_px": 0, "unit": "m", "focal_y_px": 1}',
    "json unit": '{"kind": "sightline-rig", "focal_px": 4, "baseline": 1, '
    '"cx": 1, "cy": 1, "doffs_px": 0, "unit": "mile", "focal_y_px": 1}',
    "deep json": '{"a":' + "[" * 100_000,
    "deep yaml": YAML + "a: " + "[" * 100_000,
    "deep xml": "<a>\n" + "<a>" * 100_000,
    "entities": "<!DOCTYPE a [<!ENTITY b 'bbbb'>]>\n<a>&b;</a>",
    "huge": "K1: 5\n" * 400_000,
    "many lines": "a\n" * 400_000,
    "many blanks": "a" + "\n" * 450_000,
    "huge matrix": YAML + matrix("K1", (1,), 100_000, 100_000) + matrix("K2", (1,)),
    "negative rows": YAML + matrix("K1", (1,), -3, 3),
    "wrong shape": yaml(K1=(500, 0, 320, 0)).replace("rows: 3\n   cols: 3", "rows: 2\n   cols: 2", 1),
    "too few numbers": yaml(K1=(500, 0, 320)),
    "words in a matrix": yaml(K2=("a", "b", "c", 0, 0, 0, 0, 0, 1)),
    "negative focal": yaml(K1=K_BAD),
    "nan": yaml(K1=K_NAN),
    "not pixels": yaml(K1=(5e12, 0, 0, 0, 5e12, 0, 0, 0, 1)),
    "no camera matrix": yaml(K1=range(1, 10)),
    "no rotation": yaml(R=range(9)),
    "mirror": yaml(R=(1, 0, 0, 0, 1, 0, 0, 0, -1)),
    "no translation": yaml(T=(0, 0, 0)),
    "no T": yaml(T=()),
    "one camera": yaml(K2=()),
    "odd distortion": yaml() + matrix("D1", (1, 2, 3), 1, 3) + matrix("D2", (1, 2, 3), 1, 3),
    "size": yaml() + "image_width: -5\nimage_height: 480\n",
    "unit": yaml() + "unit: furlong\n",
    "swapped P": YAML + matrix("P1", (5, 0, 3, 0, 0, 5, 2, 0, 0, 0, 1, 0), 3, 4)
    + matrix("P2", (5, 0, 3, 9, 0, 5, 2, 0, 0, 0, 1, 0), 3, 4),
    "one above the other": YAML + matrix("P1", (5, 0, 3, 0, 0, 5, 2, 0, 0, 0, 1, 0), 3, 4)
    + matrix("P2", (5, 0, 3, 0, 0, 5, 2, -9, 0, 0, 1, 0), 3, 4),
    "flat Q": YAML + matrix("Q", [0] * 16, 4, 4),
    "calib without baseline": CALIB.replace("baseline=193.001\n", ""),
    "calib with zero baseline": CALIB.replace("193.001", "0"),
    "calib with a negative baseline": CALIB.replace("193.001", "-5"),
    "calib with words": CALIB.replace("193.001", "twenty"),
    "calib that contradicts itself": CALIB.replace("doffs=31.086", "doffs=0"),
    "calib of NaN": CALIB.replace("994.978", "nan"),
    "calib of a negative focal length": CALIB.replace("994.978", "-994.978"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files(kind):
    began = time.perf_counter()
    with pytest.raises(InputError) as caught:
        read_rig(HOSTILE[kind])
    assert time.perf_counter() - began < 10
    sentence = str(caught.value)
    assert not MACHINE.search(sentence), sentence
    assert sentence.endswith(".") and 30 < len(sentence) < 330, sentence


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\0\0", bytes(range(256)) * 9, b"\xff\xfe{\0"])
def test_files_that_are_not_text(tmp_path, data):
    path = tmp_path / "calib.txt"
    path.write_bytes(data)
    with pytest.raises(InputError, match="isn't text"):
        read_rig(path)
    with pytest.raises(InputError, match="can't be opened"):
        read_rig(tmp_path)


def test_damaged_files_never_end_the_program():
    """OpenCV's own parser frees twice, or overflows its stack, on some of these."""
    rng = np.random.default_rng(0)
    for _ in range(400):
        text = list(yaml() if rng.random() < 0.5 else CALIB)
        for _ in range(rng.integers(1, 6)):
            at = int(rng.integers(len(text)))
            text[at : at + int(rng.integers(0, 20))] = chr(rng.integers(1, 127)) * int(
                rng.integers(3)
            )
        try:
            rig = read_rig("".join(text) + "\n")
        except InputError:
            continue
        assert isinstance(rig, Rig | Calibration)


def test_scaling_a_rig_scales_what_is_in_pixels():
    pair = stereo_pair(scene("tabletop"), 0.12, (24, 16))
    half = stereo_pair(scene("tabletop"), 0.12, (12, 8))
    assert scaled(pair.rig, 0.5) == half.rig, "a rig of the small picture, rendered as such"
    there = scaled(scaled(RAW, (0.5, 0.25)), (2, 4))
    assert isinstance(there, Calibration) and np.allclose(there.K1, RAW.K1)
    twice = scaled(RAW, 2)
    assert isinstance(twice, Calibration) and twice.size == (1282, 958)
    for bad in (0, -1, np.nan, np.inf, (1, 0)):
        with pytest.raises(InputError):
            scaled(RAW, bad)


def test_sizes_that_are_one_number():
    with pytest.raises(InputError, match="should hold 3 numbers and holds 4"):
        read_rig('{"Q": {"sizes": 3, "data": [1, 2, 3, 4]}}')
