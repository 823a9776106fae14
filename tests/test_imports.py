"""Who may import whom: the rooms of the house, in one direction (docs/architecture.md)."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.imports import (
    AROUND,
    FILES,
    FOLDERS,
    OUTSIDE,
    ROOT,
    imports,
    module_of,
    others,
    our_imports,
    reached,
    within,
)

LONGEST = 300

# What each room may import of ours besides itself and the leaves; the longest name that fits a module is its room.
ROOMS: dict[str, set[str]] = {
    "client": set(),
    "models": set(),
    "models.nn": {"models"},
    "ops": {"models"},
    "export.clicks": {"export.wording", "models"},
    "export.metrics": {"models"},
    "export.training": {"export.clicks", "export.metrics", "export.wording", "models", "models.nn"},
    "export.artifact": {"export.clicks", "export.metrics", "export.training", "models", "models.nn", "ops"},
    "export.importing": {"export.artifact", "export.clicks", "models", "models.nn"},
    "export.scoring": {"export.artifact", "export.clicks", "export.metrics", "models"},
    "export.plan": {"export.clicks", "export.training", "export.wording", "models"},
    "export.report": {"export.metrics", "export.training", "export.wording", "models"},
    "export.tradeoff": {
        *("export.clicks", "export.metrics", "export.report", "export.training", "export.wording", "models"),
    },
    "export.wording": set(),
    "export.commands": {
        *("export", "export.artifact", "export.clicks", "export.importing", "export.metrics", "export.plan"),
        *("export.report", "export.scoring", "export.tradeoff", "export.training", "export.wording", "models"),
    },
    "export": {"export.artifact", "export.clicks", "export.commands", "export.metrics", "export.wording", "models"},
    "service.background": {"service.telemetry"},
    "service.errors": set(),
    "service.page": set(),
    "service.settings": set(),
    "service.telemetry": set(),
    "service.watched": {"service.errors"},
    "service.engine": {"models", "ops"},
    "service.wire": {"models"},
    "service.releases": {"models", "ops", "service.engine"},
    "service.http": {"models", "service.engine", "service.page", "service.releases", "service.wire"},
    "service.process": {"service.engine", "service.http", "service.releases"},
    "service": {"service.engine", "service.http", "service.process"},
    "loadtests.traffic": {"client", "models"},
    "loadtests.results": {"client", "loadtests.traffic", "models"},
    "loadtests.report": {"loadtests.results", "models"},
    "loadtests": {"client", "loadtests.report", "loadtests.results", "loadtests.traffic", "models"},
}
# All of service may import these.
LEAVES = {"service.background", "service.errors", "service.settings", "service.telemetry", "service.watched"}
# Packages that only these rooms may import.
RESERVED = {
    "fastapi": {"service.http"},
    "gevent": {"loadtests.generate", "loadtests.locustfile"},
    "locust": {"loadtests.generate", "loadtests.locustfile"},
    "onnxruntime": {"export", "ops", "service.engine"},
    "starlette": {"service.http", "service.process"},
    "torch": {"export", "models.nn"},
    "uvloop": {"loadtests.stub", "service.process"},
}
# What a room's files may need of other people's packages, their own imports counted through ours.
NEEDS = {
    "client": {"httpx", "numpy", "orjson"},
    "models": {"numpy", "pydantic", "xxhash"},
}
UVICORNS_SERVER = re.compile(r"\buvicorn(\.server)?\.(Server|run)\b|from uvicorn\S* import .*\b(Server|run)\b")
NEVER_SERVED = {"torch", "pyarrow", "onnxscript", "locust", "gevent", "matplotlib"}


def room_of(module: str) -> str:
    return max((room for room in ROOMS if within(module, room)), key=len)


def may_import(name: str, allowed: set[str]) -> bool:
    """Whether a module is in one of these rooms, or one of these itself. models is not models.nn."""
    return any(within(name, other) and room_of(name) == room_of(other) for other in allowed)


@pytest.mark.parametrize("module", FILES)
def test_rooms_import_in_one_direction(module: str) -> None:
    room = room_of(module)
    allowed = ROOMS[room] | (LEAVES if within(room, "service") and room not in LEAVES else set())
    for name in our_imports(module):
        assert may_import(name, {room, *allowed}), f"{module} imports {name}"


@pytest.mark.parametrize("module", FILES)
def test_packages_are_imported_where_they_belong(module: str) -> None:
    for package, rooms in RESERVED.items():
        if package in others(module):
            assert any(within(module, room) for room in rooms), f"{module} imports {package}"


@pytest.mark.parametrize("module", FILES)
def test_only_the_process_has_uvicorns_server(module: str) -> None:
    if not within(module, "service.process"):
        assert not UVICORNS_SERVER.search(FILES[module].read_text())


@pytest.mark.parametrize("module", [module for module in FILES if room_of(module) in NEEDS])
def test_what_others_build_on_needs_little(module: str) -> None:
    needed = set().union(*(others(name) for name in reached(module)))
    assert needed <= NEEDS[room_of(module)], f"{module} needs {needed}"


@pytest.mark.parametrize("module", [module for module in FILES if within(module, "service")])
def test_the_service_never_reaches_torch(module: str) -> None:
    assert not set().union(*(others(name) for name in reached(module))) & NEVER_SERVED
    assert not any(within(name, "export") for name in reached(module))


def test_no_module_imports_one_that_imports_it() -> None:
    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " imports ".join((*path[path.index(module) :], module))
        if module not in done:
            for name in sorted(our_imports(module)):
                visit(name, (*path, module))
            done.add(module)

    done: set[str] = set()
    for module in FILES:
        visit(module, ())


def test_nobody_names_a_folder_without_the_namespace() -> None:
    """Not in imports, and not in the commands of scripts and pages either: once installed they find nothing."""
    start, folders = "(^|[\"';]) *", f"({'|'.join(FOLDERS)})"
    bare = rf"({start}import|-m) {folders}($|[ .;'\"`])|{start}from {folders}(\.[a-z_.]+)? import"
    command = ["git", "grep", "-nIE", bare, "--", "*.py", "*.md", "*.yml", "*.yaml", "Dockerfile", "Makefile", ".ci"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: str(path.relative_to(ROOT)))
def test_tests_and_benchmarks_share_testing_alone(path: Path) -> None:
    here = path.relative_to(ROOT).parts[0]
    used = {name.split(".")[0] for name in imports(path)} & set(AROUND)
    allowed = {"benchmarks": {"deploy", "testing"}, "deploy": set(), "testing": set(), "tests": {"deploy", "testing"}}
    assert used <= {here, *allowed[here]}


@pytest.mark.parametrize("path", [*FILES.values(), *OUTSIDE], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_is_too_long(path: Path) -> None:
    if path.relative_to(ROOT).parts[0] != "tests":
        assert len(path.read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize(
    "path", [path for path in FILES.values() if path.name == "__init__.py"], ids=lambda path: module_of(path)
)
def test_every_package_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_there_is_something_to_check() -> None:
    assert len(FILES) > 100
    assert {room_of(module) for module in FILES} == set(ROOMS)
    assert "torch" in others("export.training.step")
    assert "models.nn.dlrm" in reached("export.cli")
