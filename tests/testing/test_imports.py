"""Tests and benchmarks share what is in testing, and import nothing of each other."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN = {"tests": {"benchmarks"}, "benchmarks": {"tests"}, "testing": {"tests", "benchmarks"}}


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_what_is_shared_lies_in_testing(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            assert not {module.split(".")[0] for module in modules} & FORBIDDEN[folder], path
