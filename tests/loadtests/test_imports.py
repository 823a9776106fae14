"""Who may import whom inside the load tests."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "loadtests"
MODULES = sorted(ROOT.rglob("*.py"))
# What each sub-package may import of the load tests.
MAY = {
    "traffic": ("traffic",),
    "results": ("results", "traffic"),
    "report": ("report", "results"),
}
OF_OURS = ("thimble.models.spec", "thimble.models.features", "thimble.models.presets", "thimble.client")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    for module in imports(path):
        if within(module, ("locust", "gevent")):
            assert room in ("generate", "locustfile.py"), f"{path} imports {module}"
        if within(module, ("thimble.loadtests",)):
            of = module.removeprefix("thimble.loadtests.")
            assert room not in MAY or within(of, MAY[room]), f"{path} imports {module}"
        elif within(module, ("thimble",)):
            assert within(module, OF_OURS), f"{path} imports {module}"


def test_there_is_something_to_check() -> None:
    assert len(MODULES) > 25
    assert "locust.task" in imports(ROOT / "generate" / "users.py")
