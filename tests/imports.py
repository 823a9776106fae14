"""The imports of this repository, read from its files."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMESPACE = "thimble"
FOLDERS = ("client", "export", "loadtests", "models", "ops", "service")
AROUND = ("benchmarks", "deploy", "testing", "tests")
# Run by path, before anything is installed.
SCRIPTS = {"ops.build", "ops.fetch_headers"}


def module_of(path: Path) -> str:
    """service/http/app.py as service.http.app, a package by its own name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


_PATHS = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
FILES = {module_of(path): path for path in _PATHS if module_of(path) not in SCRIPTS}
"""Our modules, as service.http.app."""
OUTSIDE = [path for folder in AROUND for path in sorted((ROOT / folder).rglob("*.py"))]


@cache
def imports(path: Path) -> frozenset[str]:
    """All modules that a file names in imports, anywhere in it. `from a import b` is a.b where that is a module."""
    return frozenset(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide who imports whom"
            assert node.module
            inside = [name for alias in node.names if ours(name := f"{node.module}.{alias.name}")]
            yield from inside
            if len(inside) < len(node.names):
                yield node.module


def ours(name: str) -> str | None:
    """thimble.service.http.app as service.http.app; None for what is no module of ours."""
    head, _, rest = name.partition(".")
    return rest if head == NAMESPACE and rest in FILES else None


def our_imports(module: str) -> set[str]:
    return {found for name in imports(FILES[module]) if (found := ours(name))}


def others(module: str) -> set[str]:
    """Packages that are neither ours nor Python's."""
    heads = {name.split(".")[0] for name in imports(FILES[module])}
    return heads - {NAMESPACE} - set(sys.stdlib_module_names)


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@cache
def reached(module: str) -> frozenset[str]:
    """The modules of ours that importing one brings in, its packages among them."""
    seen: set[str] = set()
    ahead = {module}
    while ahead:
        current = ahead.pop()
        seen.add(current)
        packages = {".".join(current.split(".")[:depth]) for depth in range(1, current.count(".") + 1)}
        ahead |= (our_imports(current) | packages) - seen
    return frozenset(seen)
