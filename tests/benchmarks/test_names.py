"""Benchmarks take an hour and are run by hand: what they use of the library must exist before that."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

FILES = sorted((Path(__file__).resolve().parents[2] / "benchmarks").glob("*.py"))


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _missing(source: str) -> list[str]:
    """Names that the library does not have: imported from it, or asked of a module of it."""
    tree = ast.parse(source)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    outside = ast.Module([node for node in tree.body if node not in functions], [])
    shared, missing = _imported(outside)
    missing += _asked_in_vain(outside, shared)
    for function in functions:
        own, absent = _imported(function)
        missing += absent + _asked_in_vain(function, shared | own)
    return missing


def _imported(scope: ast.AST) -> tuple[dict[str, ModuleType], list[str]]:
    """The library's modules by their name in a scope, and the names that it does not have."""
    modules, missing = {}, []
    for node in ast.walk(scope):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("chengxin"):
            continue
        home = importlib.import_module(str(node.module))
        for one in node.names:
            whole = f"{node.module}.{one.name}"
            if _is_module(whole):
                modules[one.asname or one.name] = importlib.import_module(whole)
            elif not hasattr(home, one.name):
                missing.append(whole)
    return modules, missing


def _asked_in_vain(scope: ast.AST, modules: dict[str, ModuleType]) -> list[str]:
    # A local of the same name is something else.
    local = {node.id for node in ast.walk(scope) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    local |= {node.arg for node in ast.walk(scope) if isinstance(node, ast.arg)}
    return [
        f"{modules[node.value.id].__name__}.{node.attr}"
        for node in ast.walk(scope)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in modules.keys() - local
        and not hasattr(modules[node.value.id], node.attr)
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_everything_that_a_benchmark_uses_exists(file: Path) -> None:
    assert _missing(file.read_text("utf-8")) == []


def test_a_missing_name_is_found() -> None:
    found = _missing(
        "from chengxin.harvest import CHUNK\nfrom chengxin import judging\njudging.CHUNKS\njudging.CHUNK\n"
    )
    assert found == ["chengxin.harvest.CHUNK", "chengxin.judging.CHUNKS"]
