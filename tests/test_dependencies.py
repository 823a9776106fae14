"""What pyproject.toml says that Thimble needs."""

import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.imports import FILES, ROOT, others

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = canonicalize_name(PROJECT["name"])


def requirements() -> Iterator[Requirement]:
    for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()):
        yield from (needed for line in group if canonicalize_name((needed := Requirement(line)).name) != OURS)


def test_what_is_imported_is_asked_for() -> None:
    asked = {canonicalize_name(needed.name) for needed in requirements()}
    sources = packages_distributions()
    for module in FILES:
        for package in others(module):
            assert asked & {canonicalize_name(name) for name in sources[package]}, f"{module} imports {package}"


def test_every_requirement_has_a_lower_bound_that_the_tested_version_keeps() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    tested = {canonicalize_name(name): number for name, _, number in (line.partition("==") for line in lines)}
    for needed in requirements():
        assert [bound.operator for bound in needed.specifier] == [">="], f"{needed}: one lower bound, and no other"
        assert needed.specifier.contains(tested[canonicalize_name(needed.name)]), f"constraints.txt against {needed}"
