"""Who may import whom (section 1 of the design)."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"models", "export", "service", "loadtests"}
MODULES = [path for package in sorted(OURS) for path in sorted((ROOT / package).rglob("*.py"))]


def imports(path: Path) -> Iterator[str]:
    """All modules that a file imports anywhere in it, `from models import spec` as thimble.models.spec."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide who imports whom"
            assert node.module
            submodules = [alias.name for alias in node.names if is_ours(f"{node.module}.{alias.name}")]
            yield from (f"{node.module}.{name}" for name in submodules)
            if len(submodules) < len(node.names):
                yield node.module


def is_ours(module: str) -> bool:
    path = ROOT.joinpath(*module.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def reached(path: Path, seen: set[Path] | None = None) -> set[str]:
    """What importing a file brings in, through our own modules too."""
    seen = seen if seen is not None else set()
    if path in seen:
        return set()
    seen.add(path)
    found = set(imports(path))
    for module in list(found):
        parts = module.split(".")
        if parts[0] in OURS:
            for depth in range(1, len(parts) + 1):
                inside = ROOT.joinpath(*parts[:depth])
                file = inside / "__init__.py" if inside.is_dir() else inside.with_suffix(".py")
                if file.is_file():
                    found |= reached(file, seen)
    return found


def packages(modules: set[str]) -> set[str]:
    return {module.split(".")[0] for module in modules} - set(sys.stdlib_module_names)


ALLOWED = {
    "models": {"models"},
    "export": {"export", "models"},
    "service": {"service", "thimble.models.spec", "thimble.models.hashing", "thimble.models.features"},
    "loadtests": {"loadtests", "thimble.models.spec"},
}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_allowed_of_ours_are_imported(path: Path) -> None:
    allowed = ALLOWED[path.relative_to(ROOT).parts[0]]
    for module in imports(path):
        if module.split(".")[0] in OURS:
            assert any(module == name or module.startswith(f"{name}.") for name in allowed), f"{path} imports {module}"


@pytest.mark.parametrize(
    ("module", "needs"),
    [
        ("spec", {"pydantic"}),
        ("hashing", {"numpy", "pydantic"}),
        ("features", {"numpy", "pydantic", "xxhash"}),
    ],
)
def test_what_the_service_takes_from_models_needs_little(module: str, needs: set[str]) -> None:
    assert packages(reached(ROOT / "models" / f"{module}.py")) - {"models"} <= needs


@pytest.mark.parametrize(
    "path", [p for p in MODULES if p.relative_to(ROOT).parts[0] in ("service", "loadtests")], ids=str
)
def test_the_service_and_the_load_tests_never_reach_torch(path: Path) -> None:
    assert not packages(reached(path)) & {"torch", "export", "pyarrow", "onnxscript"}


def test_there_is_something_to_check() -> None:
    assert len(MODULES) > 20
    assert "torch" in packages(reached(ROOT / "export" / "train.py"))
    assert "thimble.models.nn.dlrm" in reached(ROOT / "export" / "cli.py")
