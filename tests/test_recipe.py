"""A recipe's four views say the same: caption, code, link, PNG; every field comes back."""

import dataclasses
from typing import Any, cast

import numpy as np
import pytest

from core import figures
from core.matching.pairs import PairSettings
from core.matching.types import GeometrySettings, MatchSettings
from core.recipe import PNG_KEY, Recipe, from_link, read_png, versions
from core.types import InputError, Settings, setting

KINDS = (PairSettings, MatchSettings, GeometrySettings)


def other_value(f: dataclasses.Field) -> Any:
    """A valid value for this field that is not its default."""
    about, default = f.metadata, cast(Any, f.default)
    if about["choices"]:
        return next(key for key in about["choices"] if key != default)
    if isinstance(default, bool):
        return not default
    if isinstance(default, tuple):
        return tuple(0.01 * (i + 1) for i in range(len(default)))
    if isinstance(default, int):
        return default + int(about["step"] or 1)
    if isinstance(default, float):
        return default + 0.05 if default + 0.05 <= about["maximum"] else default - 0.05
    return default + "&other=1 ü"


ALL_FIELDS = [(kind, f) for kind in KINDS for f in dataclasses.fields(kind)]


def recipe(*settings: Settings) -> Recipe:
    return Recipe("matching", "pair = {PairSettings}", settings)


@pytest.mark.parametrize(
    "kind,f", ALL_FIELDS, ids=[f"{k.__name__}.{f.name}" for k, f in ALL_FIELDS]
)
def test_link_and_png_restore_every_field(kind, f, tmp_path):
    changed = kind(**{f.name: other_value(f)})
    made = recipe(*(changed if k is kind else k() for k in KINDS))
    assert made.changed() == {f.name: other_value(f)}
    assert from_link(made.link(), KINDS) == made.settings

    path = figures.write_png(np.zeros((3, 5, 3), np.uint8), tmp_path / "a.png", made)
    assert from_link(read_png(path)["link"], KINDS) == made.settings


def test_no_field_name_is_used_twice():
    names = [f.name for _, f in ALL_FIELDS]
    assert len(names) == len(set(names))


def test_figure_files_carry_recipe_and_caption(tmp_path):
    made = recipe(PairSettings(), MatchSettings(ratio=0.65), GeometrySettings())
    picture = np.full((30, 41, 3), 200, np.uint8)
    figure = figures.picture_figure([("One", picture), ("Two", picture)], "Title", made, columns=2)
    png, svg, pdf = figures.save(figure, tmp_path, "figure", made)
    assert read_png(png)["settings"]["MatchSettings"]["ratio"] == 0.65
    assert "Ratio 0.65" in made.caption()
    assert "Ratio 0.65" in svg.read_text()
    assert pdf.read_bytes().startswith(b"%PDF")


def test_code_holds_only_what_was_changed():
    code = recipe(PairSettings(), MatchSettings(ratio=0.7), GeometrySettings()).code()
    assert "pair = PairSettings()" in code
    compile(code, "exported.py", "exec")


def test_versions_name_what_is_installed_and_captions_the_main_ones():
    found = versions()
    assert {"python", "numpy", "scipy", "torch", "diffusers", "scikit-image"} <= set(found)
    found["numpy"] = "changed"
    assert versions()["numpy"] == np.__version__
    made = recipe(PairSettings())
    assert f"scipy {versions()['scipy']}" in made.code() and "scipy" not in made.caption()
    assert f"numpy {np.__version__}" in made.caption()
    assert max(map(len, made.code().splitlines())) <= 100


def test_bad_links_and_pngs_are_named(tmp_path):
    for link in ("?ratio=high", "?ratio=7", "?method=magic", "?cross_check=maybe", "?ratio=nan"):
        with pytest.raises(InputError):
            from_link(link, KINDS)
    plain = figures.write_png(np.zeros((2, 2, 3), np.uint8), tmp_path / "plain.png")
    with pytest.raises(InputError, match="no Sightline recipe"):
        read_png(plain)
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(InputError, match="can't be read"):
        read_png(tmp_path / "text.png")
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    about = PngInfo()
    about.add_text(PNG_KEY, "{not json")
    Image.new("RGB", (2, 2)).save(tmp_path / "bad.png", pnginfo=about)
    with pytest.raises(InputError, match="damaged"):
        read_png(tmp_path / "bad.png")


def test_old_links_with_unknown_names_still_work():
    assert from_link("?tab=matching&gone=1&ratio=0.7", (MatchSettings,)) == (
        MatchSettings(ratio=0.7),
    )


def test_settings_check_themselves():
    @dataclasses.dataclass(frozen=True)
    class Some(Settings):
        share: float = setting(0.5, "Share", "A share.", minimum=0, maximum=1)
        count: int = setting(3, "Count", "A count.", minimum=1, maximum=9)
        on: bool = setting(True, "On", "A switch.")

    assert Some(share=1, count=4.0) == Some(share=1.0, count=4)  # type: ignore[arg-type]
    wrong: list[dict[str, Any]] = [
        {"share": 2}, {"share": float("nan")}, {"count": 2.5}, {"count": None}, {"on": 1},
    ]  # fmt: skip
    for bad in wrong:
        with pytest.raises(InputError):
            Some(**bad)
