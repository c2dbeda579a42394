"""Calibration files as names and values, before anyone asks what they mean.

OpenCV's own reader is fast, but a damaged file can end the whole program in it: nested brackets
overflow its stack, and some broken lines are freed twice. A file from the web must not do that, so
these few lines read what such files really hold: names with a number, a text or a matrix.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from core.types import InputError

Values = dict[str, Any]


def parsed(text: str) -> tuple[Values, str]:
    """Every name with its value, and the kind of file: middlebury, yaml, xml or json.

    Names are written small, without _ and -. Values are arrays for matrices (the InputError
    to raise for a damaged one), lists, texts or numbers as they stand. Raises InputError for a damaged file.
    """
    start = text.lstrip()
    if start.startswith("{"):
        return _from_json(start), "json"
    if start.startswith("<"):
        return _from_xml(start), "xml"
    if re.search(r"^[ \t]*cam0[ \t]*=", text, re.MULTILINE):
        lines = (line.partition("=") for line in text.splitlines())
        return {plain(key): value.strip() for key, _, value in lines}, "middlebury"
    return _from_yaml(text), "yaml"


def _from_yaml(text: str) -> Values:
    """OpenCV's YAML: a block starts at each name in the first column."""
    values: Values = {}
    blocks: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        head = re.match(r"([A-Za-z_][\w-]*)\s*:(.*)$", line)
        if head:
            blocks.append((plain(head[1]), [head[2]]))
        elif blocks and line[:1].isspace():
            blocks[-1][1].append(line)
    for key, lines in blocks:
        body = " ".join(lines).strip()
        if body.startswith("!!opencv-"):
            sides = [
                re.search(rf"\b{side}\s*:\s*\[?([^a-z\]]+)", body)
                for side in ("rows", "cols", "sizes")
            ]
            shape = " ".join(side[1] for side in sides if side).replace(",", " ").split()
            data = body.partition("data:")[2].strip()
            closed = data.startswith("[") and data.endswith("]")
            words = data[1:-1].replace(",", " ").split() if closed else []
            values[key] = _matrix(key, shape, words)
        elif body.startswith("[") and body.endswith("]"):
            values[key] = body[1:-1].replace(",", " ").split()
        else:
            values[key] = body.strip("\"'")
    return values


def _from_xml(text: str) -> Values:
    from xml.etree import ElementTree

    if "<!" in re.sub(r"<!--.*?-->", "", text[:10_000], flags=re.DOTALL):
        raise InputError("it defines its own XML entities. Save it again without.")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, RecursionError):
        raise InputError("its XML is damaged or cut short. Save it again.") from None
    values: Values = {}
    for node in root:
        key, about = plain(node.tag), {child.tag: child.text or "" for child in node}
        if "data" in about:
            shape = " ".join(about.get(side, "") for side in ("rows", "cols", "sizes")).split()
            values[key] = _matrix(key, shape, about["data"].split())
        else:
            words = (node.text or "").split()
            values[key] = words if len(words) > 1 else "".join(words).strip('"')
    return values


def _from_json(text: str) -> Values:
    """Ours, or OpenCV's own JSON, whose matrices are objects with rows, cols and data."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError("its JSON is damaged or cut short. Save it again.") from None
    values: Values = {}
    for name, value in found.items():
        key = plain(name)
        if isinstance(value, Mapping) and isinstance(value.get("data"), list):
            sizes = value.get("sizes")
            more = sizes if isinstance(sizes, list) else [sizes]
            sides = [value.get("rows"), value.get("cols"), *more]
            shape = [str(side) for side in sides if side is not None]
            values[key] = _matrix(key, shape, [str(v) for v in value["data"]])
        else:
            values[key] = value
    return values


def plain(name: str) -> str:
    """A name as the tables of names have it: `camera_matrix_1` is `cameramatrix1`."""
    return re.sub(r"[\s_-]", "", name).lower()


def _matrix(key: str, shape: list[str], words: list[str]) -> np.ndarray | InputError:
    """The matrix, or what is wrong with it: that matters only if the matrix is needed."""
    try:
        flat, sides = numbers(key, words), [int(side) for side in shape]
    except (ValueError, InputError):
        return InputError(f"the matrix {key} is damaged. Save it again.")
    if not 1 <= len(sides) <= 2 or min(sides) < 0 or math.prod(sides) != flat.size:
        return InputError(
            f"the matrix {key} should hold {'×'.join(shape)[:40]} numbers and holds {flat.size}. "
            "Save it again."
        )
    return flat.reshape(sides)


def numbers(key: str, words: list[str]) -> np.ndarray:
    """(N,) float64 of words; YAML's .Nan and .Inf too. Raises InputError for any other word."""
    special = {".nan": "nan", ".inf": "inf", "-.inf": "-inf"}  # as YAML writes them
    try:
        return np.array([float(special.get(word.lower(), word)) for word in words])
    except ValueError:
        raise InputError(f"{key} holds something that isn't a number. Save it again.") from None
