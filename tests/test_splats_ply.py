"""3DGS .ply files: the order of their numbers, by hand; the way back; files that lie."""

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from core.cameras import look_at
from core.splats import Splats, load_ply, render, save_ply
from core.types import InputError

FRUIT = Path(__file__).parents[2] / "shared/data/splats/fruit_drops_minimal.ply"
NAMES = [
    "x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity",
    "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3",
]  # fmt: skip
ROW = [1, 2, 3, 0, 0, 0, 0.1, 0.2, 0.3, -1, -2, -3, -4, 2, 0.5, 0.25, 0.125]


def written(
    path: Path,
    rows: list[list[float]],
    names: list[str] = NAMES,
    form: str = "binary_little_endian",
    claimed: object = None,
    kind: str = "float",
    before: str = "",
) -> Path:
    """A .ply of these rows; its header claims `claimed` of them."""
    head = f"ply\nformat {form} 1.0\ncomment by hand\n{before}element vertex "
    head += f"{len(rows) if claimed is None else claimed}\n"
    head += "".join(f"property {kind} {name}\n" for name in names) + "end_header\n"
    if form == "ascii":
        body = "".join(" ".join(map(str, row)) + "\n" for row in rows).encode()
    else:
        order, code = "<" if "little" in form else ">", {"float": "f", "double": "d"}[kind]
        body = b"".join(struct.pack(f"{order}{len(row)}{code}", *row) for row in rows)
    path.write_bytes(head.encode() + body)
    return path


def some(n: int, coefficients: int) -> Splats:
    rng = np.random.default_rng(coefficients)
    return Splats(
        *(rng.normal(size=(n, *rest)) for rest in ((3,), (3,), (4,), (), (coefficients, 3)))
    )


def arrays(splats: Splats) -> dict[str, np.ndarray]:
    return vars(splats)


# ---------------------------------------------------------------- there and back


@pytest.mark.parametrize("coefficients", [1, 4, 9, 16])
def test_there_and_back_bit_for_bit(tmp_path: Path, coefficients: int):
    splats = some(37, coefficients)
    path = save_ply(tmp_path / "a.ply", splats)
    back = load_ply(path)
    for name, array in arrays(splats).items():
        assert getattr(back, name).dtype == np.float32
        assert getattr(back, name).tobytes() == array.tobytes(), name
    header, _, body = path.read_bytes().partition(b"end_header\n")
    columns = 3 + 3 + 3 * coefficients + 1 + 3 + 4
    assert header.count(b"property float") == columns and len(body) == 37 * columns * 4
    assert save_ply(tmp_path / "b.ply", back).read_bytes() == path.read_bytes()


def test_numbers_stand_where_3dgs_has_them(tmp_path: Path):
    rest = [float(k) for k in range(9)]  # three waves of red, of green, of blue
    names = [*NAMES[:9], *(f"f_rest_{k}" for k in range(9)), *NAMES[9:]]
    splats = load_ply(written(tmp_path / "a.ply", [[*ROW[:9], *rest, *ROW[9:]]], names))
    assert splats.means.tolist() == [[1, 2, 3]]
    assert splats.sh[0] == pytest.approx(
        np.array([[0.1, 0.2, 0.3], [0, 3, 6], [1, 4, 7], [2, 5, 8]])
    )
    assert splats.opacity_logits.tolist() == [-1]
    assert splats.log_scales.tolist() == [[-2, -3, -4]]
    assert splats.quats.tolist() == [[2, 0.5, 0.25, 0.125]]  # as it was, not of length 1
    saved = save_ply(tmp_path / "b.ply", splats).read_bytes()
    numbers = struct.unpack("<26f", saved.partition(b"end_header\n")[2])
    assert numbers == pytest.approx([*ROW[:9], *rest, *ROW[9:]])


@pytest.mark.parametrize(
    ("form", "kind"),
    [("ascii", "float"), ("binary_big_endian", "float"), ("binary_little_endian", "double")],
)
def test_other_ways_to_write_the_same(tmp_path: Path, form: str, kind: str):
    rows = [[*ROW, 9.0], [value + 0.5 for value in [*ROW, 9.0]]]
    plain = load_ply(written(tmp_path / "a.ply", rows, [*NAMES, "extra"]))
    other = load_ply(written(tmp_path / "b.ply", rows, [*NAMES, "extra"], form, kind=kind))
    for name, array in arrays(plain).items():
        assert (getattr(other, name) == array).all(), name


def test_columns_may_be_shuffled_and_normals_missing(tmp_path: Path):
    order = [k for k in np.random.default_rng(0).permutation(len(NAMES)) if NAMES[k][0] != "n"]
    shuffled = written(tmp_path / "a.ply", [[ROW[k] for k in order]], [NAMES[k] for k in order])
    plain = load_ply(written(tmp_path / "b.ply", [ROW]))
    for name, array in arrays(load_ply(shuffled)).items():
        assert (getattr(plain, name) == array).all(), name


@pytest.mark.skipif(not FRUIT.exists(), reason="no shared data here")
def test_a_real_file():
    splats = load_ply(FRUIT)
    assert (len(splats), splats.degree) == (4721, 3)
    assert np.linalg.norm(splats.unit_quats, axis=1) == pytest.approx(np.ones(4721))
    assert splats.means[:, 0].min() == pytest.approx(0.4861, abs=1e-4)
    middle = np.median(splats.means, 0)
    eye = middle + np.array([0, 0, 0.8])
    rgb = render(splats, look_at(eye, middle, 61, 50, up=(0, -1, 0))).rgb
    assert rgb[12:36, 12:48].mean() > 120 and rgb[45:].mean() < 20  # a light label on black


# ---------------------------------------------------------------- files that lie


@pytest.mark.parametrize("form", ["binary_little_endian", "ascii"])
@pytest.mark.parametrize("claimed", [2, 10**12])
def test_a_header_that_promises_too_much_reserves_nothing(tmp_path: Path, form: str, claimed):
    path = written(tmp_path / "liar.ply", [ROW], form=form, claimed=claimed)
    tracemalloc.start()
    with pytest.raises(InputError, match=r"liar\.ply promises .* cut off"):
        load_ply(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("form", ["binary_little_endian", "ascii"])
def test_a_file_cut_off(tmp_path: Path, form: str):
    path = written(tmp_path / "cut.ply", [ROW] * 5, form=form)
    path.write_bytes(path.read_bytes()[:-25])
    with pytest.raises(InputError):
        load_ply(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_numbers_that_are_none(tmp_path: Path, value: float):
    path = written(tmp_path / "a.ply", [ROW, [value, *ROW[1:]]], kind="double")
    with pytest.raises(InputError, match="Splat 1 is broken"):
        load_ply(path)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rows": []}, "holds no splats"),
        ({"rows": [ROW], "claimed": -1}, "header is damaged"),
        ({"rows": [ROW], "claimed": "many"}, "header is damaged"),
        ({"rows": [ROW], "claimed": "9" * 900}, "header is damaged"),
        ({"rows": [ROW], "claimed": "9" * 1100}, "header is damaged"),
        ({"rows": [ROW], "before": "property float early\n"}, "header is damaged"),
        ({"rows": [ROW], "before": "\n"}, "header is damaged"),
        ({"rows": [ROW], "before": "element chunk 1\nproperty float x\n"}, "isn't a plain 3DGS"),
        ({"rows": [ROW[:3]], "names": ["x", "y", "z"]}, "without f_dc_0, .* …: a point cloud"),
        ({"rows": [ROW[:-1]], "names": NAMES[:-1]}, "without rot_3: a point"),
        ({"rows": [[*ROW, 1]], "names": [*NAMES, "f_rest_7"]}, "without f_rest_0"),
        ({"rows": [[*ROW, 1]], "names": [*NAMES, "f_rest_0"]}, "has 1 columns f_rest"),
        ({"rows": [[*ROW, 1]], "names": [*NAMES, "x"]}, "doubled columns"),
        ({"rows": [[*ROW[:-4], 0, 0, 0, 0]]}, "quaternion has length 0"),
        ({"rows": [[*ROW, 1]], "form": "ascii"}, "aren't its columns"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, given: dict, said: str):
    with pytest.raises(InputError, match=said):
        load_ply(written(tmp_path / "a.ply", **given))


@pytest.mark.parametrize("data", [b"", b"ply", b"ply\nformat", b"\x89PNG\r\n" + bytes(9000)])
def test_files_that_are_no_ply(tmp_path: Path, data: bytes):
    path = tmp_path / "a.ply"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"isn't a \.ply file"):
        load_ply(path)


def test_lists_instead_of_numbers(tmp_path: Path):
    path = tmp_path / "a.ply"
    path.write_bytes(
        b"ply\nformat ascii 1.0\nelement vertex 1\nproperty list uchar int x\nend_header\n1 1\n"
    )
    with pytest.raises(InputError, match="lists or doubled"):
        load_ply(path)


@pytest.mark.parametrize("name", ["none.ply", "."])
def test_no_file_at_all(tmp_path: Path, name: str):
    with pytest.raises(InputError, match="can't be read"):
        load_ply(tmp_path / name)
