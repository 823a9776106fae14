"""A server, and after each test the proof that it still scores a golden row as it should."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from testing.servers import Server, running
from tests.service.http.hostile.wire import PATIENCE, READ_TIMEOUT, Rows, Wire
from thimble.models.spec import ModelSpec


@pytest.fixture(scope="module")
def hostile(criteo_artifact: Path) -> Iterator[Server]:
    repository = criteo_artifact.parents[2]
    limits = ("--read-timeout-s", str(READ_TIMEOUT))
    with running(repository, *limits, "--timeout-ms", "20000") as server:
        yield server


@pytest.fixture
def connect(hostile: Server) -> Iterator[Callable[[], Wire]]:
    with ExitStack() as stack:

        def connect() -> Wire:
            wire = Wire(hostile)
            stack.callback(wire.close)
            return wire

        yield connect


@pytest.fixture
def wire(connect: Callable[[], Wire]) -> Wire:
    return connect()


@pytest.fixture(scope="module")
def rows(criteo: ModelSpec) -> Rows:
    """Golden rows as bodies, each with its score."""
    assert criteo.golden is not None
    columns = criteo.golden.features
    bodies = [
        json.dumps({"features": dict(zip(columns, row, strict=True))}).encode()
        for row in zip(*columns.values(), strict=True)
    ]
    return list(zip(bodies, criteo.golden.by_output["score"], strict=True))


@pytest.fixture(autouse=True)
def still_right(hostile: Server, rows: Rows) -> Iterator[None]:
    before = len(hostile.lines)
    yield
    for body, score in rows[:2]:
        response = httpx.post(f"{hostile.url}/v1/score", content=body, timeout=PATIENCE)
        assert response.json()["scores"] == pytest.approx([score], abs=1e-6)
    bad = [line for line in hostile.lines[before:] if re.search(r"Traceback|ERROR| 5(?!01)\d\d \d+\.\d ms", line)]
    assert not bad
