"""What bodies do to a server that runs with the limits that it is shipped with."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from testing.servers import Server, running
from tests.service.faults.hostile_bodies import GOOD, HOSTILE, INFER, MIB, ROWS, Sent
from tests.service.http.hostile.wire import Answer, Wire, peak_bytes, post

# What some clients at once may add to a server at rest with bodies that are refused for their size.
EACH_BYTES = 140 * MIB
CLIENTS = 6


@pytest.fixture(scope="module")
def server(criteo_artifact: Path) -> Iterator[Server]:
    with running(criteo_artifact.parents[2]) as server:
        yield server


def answered(server: Server, sent: Sent) -> Answer:
    wire = Wire(server)
    try:
        with suppress(BrokenPipeError, ConnectionResetError):  # it was refused before it was through
            wire.send(post(sent.body, *sent.headers, path=sent.path))
        return wire.answer()
    finally:
        wire.close()


def forget_peak(server: Server) -> int:
    """Begin to look for the highest memory anew. Returns what it is now."""
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
    return peak_bytes(server)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_gets_its_sentence(server: Server, name: str) -> None:
    sent = HOSTILE[name]()
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda _: answered(server, sent), range(CLIENTS)))
    # many good rows find the queue full, and many bytes no room
    assert {answer.status for answer in answers} <= sent.statuses | {429}
    assert {answer.status for answer in answers} & sent.statuses
    assert all(answer.error for answer in answers if answer.status != 200)


@pytest.mark.parametrize("name", ["15.7 MiB of objects", "objects", "lists", "numbers", "nesting"])
def test_what_is_too_much_is_refused_before_it_is_parsed(server: Server, name: str) -> None:
    sent = HOSTILE[name]()
    before = forget_peak(server)
    with ThreadPoolExecutor(CLIENTS) as pool:
        assert {answer.status for answer in pool.map(lambda _: answered(server, sent), range(CLIENTS))} <= {413, 429}
    assert peak_bytes(server) - before < EACH_BYTES


@pytest.mark.parametrize("name", GOOD)
def test_the_largest_good_requests_are_scored(server: Server, name: str) -> None:
    sent = GOOD[name]()
    answer = answered(server, sent)
    assert answer.status == 200, answer.body
    content = json.loads(answer.body)
    scores = content["outputs"][0]["data"] if sent.path == INFER else content["scores"]
    assert len(scores) == ROWS and np.isfinite(scores).all()


def test_texts_of_commas_are_values_like_others(small_artifact: Path) -> None:
    """Where separators are within strings, there may be more of them than values."""
    column = [f',[{i}],{{"a": "b\\",c"}},:::' for i in range(ROWS)]
    body = json.dumps({"features": {"d0": [1] * ROWS, "f0": column, "f1": column}}).encode()
    with running(small_artifact) as server:
        assert len(answered(server, Sent(body, {200})).scores) == ROWS
