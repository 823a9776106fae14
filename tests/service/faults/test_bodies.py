"""One body may not stall or fill a server that runs as it is shipped."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

from testing.servers import Server, running
from tests.service.faults.hostile_bodies import GOOD, HOSTILE, INFER, MIB, ROWS, Sent
from tests.service.faults.latency import waits
from tests.service.http.hostile.wire import Answer, Wire, peak_bytes, post

# What pods and containers are given.
LIMIT_BYTES = 512 * MIB
# What bodies may add to a server at rest, one of a kind after the other, and all of them at once.
EACH_BYTES, ALL_BYTES = 140 * MIB, 200 * MIB
CLIENTS, CROWD = 6, 64
EXTRA_SECONDS = 0.1
# A machine that is busy with something else may let a thread wait that the others wait for: the best of some tries. A
# body that stalls the server does so at every one.
TRIES = 10


@pytest.fixture(scope="module")
def server(criteo_artifact: Path) -> Iterator[Server]:
    with running(criteo_artifact.parents[2]) as server:
        yield server


@pytest.fixture(scope="module")
def idle(criteo_artifact: Path) -> Iterator[Server]:
    with running(criteo_artifact.parents[2]) as server:
        yield server


def answered(server: Server, sent: Sent) -> Answer:
    with closing(Wire(server)) as wire:
        with suppress(BrokenPipeError, ConnectionResetError):  # it was refused before it was through
            wire.send(post(sent.body, *sent.headers, path=sent.path))
        return wire.answer()


def forget_peak(server: Server) -> int:
    """Begin to look for the highest memory anew. Returns what it is now."""
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
    return peak_bytes(server)


def check_harmless(server: Server, idle: Server, sent: Sent) -> None:
    """However many send it at once, others wait hardly longer than beside an idle server, and memory stays bounded."""
    before = forget_peak(server)
    for _ in range(TRIES):
        with waits(server, idle) as others, ThreadPoolExecutor(CLIENTS) as pool:
            answers = list(pool.map(lambda _: answered(server, sent), range(CLIENTS)))
        # many good rows find the queue full, and many bytes no room
        assert {answer.status for answer in answers} <= sent.statuses | {429}
        assert {answer.status for answer in answers} & sent.statuses
        assert all(answer.error for answer in answers if answer.status != 200)
        if others.extra < EXTRA_SECONDS:
            break
    assert others.extra < EXTRA_SECONDS
    assert peak_bytes(server) - before < EACH_BYTES and peak_bytes(server) < LIMIT_BYTES


@pytest.mark.parametrize("name", HOSTILE)
def test_no_body_stalls_or_fills_the_server(server: Server, idle: Server, name: str) -> None:
    check_harmless(server, idle, HOSTILE[name]())


def test_all_of_them_at_once_do_not_fill_it(server: Server) -> None:
    bodies = [make() for make in HOSTILE.values()] * 2
    before = forget_peak(server)
    with ThreadPoolExecutor(CROWD) as pool:
        for sent, answer in zip(bodies, pool.map(lambda sent: answered(server, sent), bodies), strict=True):
            assert answer.status in sent.statuses | {429}
    assert peak_bytes(server) - before < ALL_BYTES and peak_bytes(server) < LIMIT_BYTES


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
