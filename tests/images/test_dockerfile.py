"""What the Dockerfile copies into each image."""

import re

import pytest

from tests.imports import FOLDERS, ROOT, reached

DOCKERFILE = (ROOT / "Dockerfile").read_text()


def stage(name: str) -> str:
    found = re.search(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.M | re.S)
    assert found, f"the Dockerfile has no stage {name}"
    return found.group(1)


@pytest.mark.parametrize(
    ("target", "commands"),
    [
        ("cpu", ["service.cli", "service.probe"]),
        ("gpu", ["service.cli", "service.probe"]),
        ("export", ["export.cli"]),
        ("load", ["loadtests.cli", "loadtests.locustfile"]),
    ],
)
def test_an_image_holds_the_folders_that_its_commands_import_and_no_others(target: str, commands: list[str]) -> None:
    copied = set(
        re.findall(r"^COPY --from=code /code/thimble/(\w+) /opt/thimble/code/thimble/\1$", stage(target), re.M)
    )
    assert copied == {module.split(".")[0] for command in commands for module in reached(command)}


def test_all_folders_are_compiled() -> None:
    copied = re.findall(r"^COPY (\w+)(?:/\S+ \S+)? thimble/(\w+)/?$", stage("code"), re.M)
    assert sorted(copied) == sorted((folder, folder) for folder in FOLDERS)
