from collections.abc import Iterator

import pytest

from testing.docker import Stack, build, problem, stack


@pytest.fixture(scope="session")
def image() -> str:
    """The image for CPUs, built."""
    if why := problem():
        pytest.skip(why)
    return build()


@pytest.fixture(scope="session")
def deployment(image: str) -> Iterator[Stack]:
    """docker compose up, with three replicas."""
    with stack("thimble-test", 3) as running:
        yield running
