"""The public door: its names are frozen here, and opening it is cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import comfrey


def test_all_is_sorted_complete_and_loads():
    assert sorted(comfrey.__all__) == sorted(set(comfrey.__all__))
    assert set(comfrey._DOOR) <= set(comfrey.__all__)
    for name in comfrey.__all__:
        assert getattr(comfrey, name) is not None


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(comfrey.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert seen == comfrey._DOOR


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        comfrey.no_such_name  # noqa: B018


def test_import_loads_no_heavy_library():
    heavy = ("pandas", "numpy", "scipy", "matplotlib", "pydantic")
    code = f"import comfrey, sys; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
