"""What the README shows as Python is Python, of the modules as they are."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

from core.models import ModelSpec
from tests.test_contract import CORE, module_name

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = [
    re.sub(r"^    ", "", block, flags=re.M)
    for block in re.findall(r"^    from .*\n(?:(?:    .*)?\n)*", README, flags=re.M)
]


def test_the_blocks_are_found():
    assert len(BLOCKS) == 7, "one a tab"


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_imports_what_there_is_and_takes_generators_for_what_they_are(block):
    tree = ast.parse(block)
    names = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module or "")
            names |= {alias.name: getattr(module, alias.name) for alias in node.names}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        called = names.get(node.func.id)
        if called is None:
            continue
        given = {str(word.arg): word.value for word in node.keywords}
        inspect.signature(called).bind(*node.args, **given)
        if inspect.isgeneratorfunction(called):
            (kept,) = [n for n in ast.walk(tree) if isinstance(n, ast.Assign) and n.value is node]
            assert isinstance(kept.targets[0], ast.Tuple), f"{node.func.id} is a generator"


def test_weights_that_are_not_pinned_are_named():
    specs = [
        spec
        for path in CORE
        for spec in getattr(importlib.import_module(module_name(path)), "MODELS", {}).values()
        if isinstance(spec, ModelSpec)
    ]
    loose = {s.key for s in specs if s.revision and not re.fullmatch("[0-9a-f]{40}", s.revision)}
    said = README.partition("The weights are pinned")[2].partition("the commit")[0]
    named = set(re.findall(r"`([^`]+)`", said.partition("Of ")[2]))
    assert named == loose
