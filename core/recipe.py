"""What made a result, and every form in which it travels.

A recipe is a small program with the settings filled in. Its caption stands under a figure, its
code runs in a fresh process, its link restores the page, and its JSON rides inside an exported
PNG: four views of one thing, so they can't disagree.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import platform
import reprlib
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

from core.types import InputError, Settings

PNG_KEY = "sightline"
PACKAGES = (
    "numpy", "scipy", "opencv-python", "scikit-image", "pillow", "av", "torch", "transformers",
    "diffusers", "peft", "gsplat", "pycolmap", "trimesh",
)  # fmt: skip
IN_CAPTIONS = ("python", "numpy", "opencv-python", "torch", "transformers")

S = TypeVar("S", bound=Settings)


def versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that can change a result."""
    return dict(_versions())


@functools.cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class Recipe:
    """slug: the tab. program: Python lines in which `{ClassName}` stands for those settings.
    settings: frozen dataclasses, one of each class, no field name twice. inputs: name of each
    array that came from outside → its SHA-256; a name without an ending is a PNG's. model: id@revision of a pretrained model, or "".
    """

    slug: str
    program: str
    settings: tuple[Settings, ...]
    inputs: Mapping[str, str] = field(default_factory=dict)
    model: str = ""
    versions: Mapping[str, str] = field(default_factory=versions)

    def changed(self) -> dict[str, Any]:
        """Every setting that is not at its default, by field name."""
        return {
            f.name: getattr(settings, f.name)
            for settings in self.settings
            for f in dataclasses.fields(settings)
            if getattr(settings, f.name) != f.default
        }

    def caption(self) -> str:
        """One line under a figure: what was set, by which model, in which of the main versions."""
        said = []
        for settings in self.settings:
            for f in dataclasses.fields(settings):
                value = getattr(settings, f.name)
                if value == f.default and f.name not in ("method", "seed"):
                    continue
                choices, unit = f.metadata["choices"], f.metadata["unit"]
                shown = choices[value] if choices else _short(value)
                said.append(f"{f.metadata['label']} {shown}{' ' + unit if unit else ''}")
        parts = [*said, self.model] if self.model else said
        used = [f"{k} {v}" for k, v in self.versions.items() if k in IN_CAPTIONS]
        made = ", ".join(["Sightline", *used])
        return " · ".join([*parts, made])

    def link(self) -> str:
        """The query string that restores the tab: `?tab=matching&ratio=0.7`."""
        pairs = [("tab", self.slug)]
        pairs += [(name, _to_text(value)) for name, value in self.changed().items()]
        return "?" + urlencode(pairs)

    def code(self) -> str:
        """A Python script that computes the result again, in a process of its own."""
        filled = self.program
        for settings in self.settings:
            filled = filled.replace("{" + type(settings).__name__ + "}", _constructor(settings))
        head = [
            f'"""{self.slug.capitalize()}, as computed by Sightline.',
            "",
            "Run it with Sightline's folder on the path:",
            "    PYTHONPATH=path/to/sightline python this_file.py",
        ]
        if self.inputs:
            head += ["", "Beside this file it expects:"]
            head += [
                f"    {name if '.' in name else name + '.png'}  (SHA-256 of its pixels {sha[:16]}…)"
                for name, sha in self.inputs.items()
            ]
        if self.model:
            head += ["", f"Model: {self.model}"]
        made = ", ".join(f"{k} {v}" for k, v in self.versions.items())
        made = textwrap.fill(f"Made with {made}.", 100, break_on_hyphens=False)
        head += ["", made, '"""', "", ""]
        return "\n".join(head) + filled.strip() + "\n"

    def to_json(self) -> str:
        """The whole recipe as JSON; `link` in it is enough to restore the tab."""
        return json.dumps(
            {
                "slug": self.slug,
                "link": self.link(),
                "settings": {
                    type(s).__name__: dataclasses.asdict(s)
                    for s in self.settings  # type: ignore[call-overload]
                },
                "inputs": dict(self.inputs),
                "model": self.model,
                "versions": dict(self.versions),
                "program": self.program,
            },
            ensure_ascii=True,
        )


def read_png(path: str | Path) -> dict[str, Any]:
    """The recipe inside a PNG that Sightline wrote. Raises InputError if there is none."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            text = image.info.get(PNG_KEY)
    except Exception as error:
        raise InputError("This file can't be read as a PNG. Drop a figure saved here.") from error
    if not text:
        raise InputError(
            "This PNG carries no Sightline recipe. Drop a figure saved from Take away."
        )
    try:
        found = json.loads(text)
        if not isinstance(found["link"], str):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        raise InputError("The recipe in this PNG is damaged. Save the figure again.") from None
    return found


def from_link(link: str | Mapping[str, str], kinds: Iterable[type[S]]) -> tuple[S, ...]:
    """The settings that a link names, of each class in `kinds`; what it doesn't name is default.

    Unknown names are passed over, so that old links live on. Raises InputError for bad values.
    """
    if isinstance(link, str):
        query = dict(parse_qsl(link.partition("?")[2] or link, keep_blank_values=True))
    else:
        query = dict(link)
    made = []
    for kind in kinds:
        fields = {f.name: f for f in dataclasses.fields(kind)}
        given = {name: _from_text(query[name], f) for name, f in fields.items() if name in query}
        made.append(kind(**given))
    return tuple(made)


def _constructor(settings: Settings) -> str:
    name = type(settings).__name__
    given = [
        f"{f.name}={getattr(settings, f.name)!r}"
        for f in dataclasses.fields(settings)
        if getattr(settings, f.name) != f.default
    ]
    return f"{name}({', '.join(given)})"


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(f"{v:.3g}" for v in value)
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _to_text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(repr(v) for v in value)
    if isinstance(value, bool):
        return "1" if value else "0"
    return value if isinstance(value, str) else repr(value)


def _from_text(text: str, f: dataclasses.Field) -> Any:
    try:
        if isinstance(f.default, bool):
            return {"1": True, "0": False}[text]
        if isinstance(f.default, int):
            return int(text)
        if isinstance(f.default, float):
            return float(text)
        if isinstance(f.default, tuple):
            return tuple(float(v) for v in text.split(",")) if text else ()
    except (ValueError, KeyError):
        raise InputError(
            f"The link's {f.name}={reprlib.repr(text)} can't be read. Remove it from the address "
            "and reload."
        ) from None
    return text
