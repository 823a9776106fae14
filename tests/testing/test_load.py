"""The load client against a server whose delays and answers are known."""

import asyncio
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from testing.load import BROKEN, Address, Request, closed_loop, open_loop, parse
from testing.processes import free_port

DELAYS_MS = [5, 5, 5, 40]


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: stub\r\n\r\n".encode()


def plain(status: int, body: bytes, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 %d Said" % status, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", body])


ANSWERS = {
    "/right": plain(200, b"right"),
    "/wrong": plain(200, b"wrong"),
    "/full": plain(429, b"", b"Retry-After: 1"),
    "/last": plain(200, b"right", b"Connection: close"),
    "/chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nrig\r\n2;x=y\r\nht\r\n0\r\n\r\n",
    "/half": plain(200, b"right")[:-2],
    "/noise": b"\x00\x01\x02\r\n\r\n",
}


async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
            if path.startswith("/after/"):
                await asyncio.sleep(int(path.removeprefix("/after/")) / 1000)
                writer.write(ANSWERS["/right"])
            elif path == "/never":
                await asyncio.sleep(30)
            else:
                for byte_pair in range(0, len(ANSWERS[path]), 2):  # in pieces, as a network may deliver it
                    writer.write(ANSWERS[path][byte_pair : byte_pair + 2])
                    await writer.drain()
            if path in ("/last", "/half"):
                break
    except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
        pass
    finally:
        writer.close()


@pytest.fixture(scope="module")
def stub() -> Iterator[Address]:
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(handle, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield server.sockets[0].getsockname()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    server.close()
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()


def test_latencies_are_those_of_the_server(stub: Address) -> None:
    requests = [Request(get(f"/after/{delay}"), rows=3) for delay in DELAYS_MS]
    run = closed_loop(stub, requests, connections=1, seconds=1, warmup=0.1)
    assert run.counts.keys() == {200}
    assert run.failures == 0
    assert run.rows_per_second == 3 * run.requests_per_second
    assert run.requests_per_second <= 1000 / np.mean(DELAYS_MS)
    assert 0.005 <= run.percentile(50) < 0.040 <= run.percentile(99)
    assert 0.2 <= (run.latency >= 0.040).mean() <= 0.3


def test_statuses_and_wrong_answers_are_counted_apart(stub: Address) -> None:
    paths = ["/right", "/chunked", "/wrong", "/full"]
    requests = [Request(get(path), check=lambda body: body == b"right") for path in paths]
    run = closed_loop(stub, requests, connections=2, seconds=0.3, warmup=0)
    assert run.counts.keys() == {200, 429}
    assert run.wrong == pytest.approx(run.counts[429], abs=2)
    assert run.counts[200] == pytest.approx(3 * run.counts[429], abs=4)
    assert run.failures == run.wrong + run.counts[429]
    assert run.percentile(50, status=429) > 0
    assert run.summary()["counts"] == {"200": run.counts[200], "429": run.counts[429]}


def test_a_connection_that_is_closed_politely_is_opened_again(stub: Address) -> None:
    run = closed_loop(stub, [Request(get("/last"))], connections=2, seconds=0.2, warmup=0)
    assert run.counts.keys() == {200}
    assert run.counts[200] > 2


@pytest.mark.parametrize("path", ["/half", "/noise"])
def test_a_broken_answer_is_an_error_and_the_run_goes_on(stub: Address, path: str) -> None:
    run = closed_loop(stub, [Request(get("/right")), Request(get(path))], connections=1, seconds=0.2, warmup=0)
    assert run.counts.keys() == {BROKEN, 200}
    assert run.counts[BROKEN] > 1
    assert run.failures == run.counts[BROKEN]


def test_a_refused_connection_is_an_error() -> None:
    run = closed_loop(("127.0.0.1", free_port()), [Request(get("/right"))], connections=1, seconds=0.2, warmup=0)
    assert run.counts.keys() == {BROKEN}
    assert run.rows_per_second == 0
    assert np.isnan(run.percentile(50))


def test_what_is_never_answered_is_counted(stub: Address) -> None:
    run = closed_loop(stub, [Request(get("/never"))], connections=3, seconds=0.1, warmup=0, drain=0.1)
    assert run.counts == {}
    assert run.unanswered == run.failures == 3


@pytest.mark.parametrize("spacing", ["poisson", "even"])
def test_an_open_loop_offers_its_rate(stub: Address, spacing: str) -> None:
    run = open_loop(stub, [Request(get("/after/20"))], 200, 1, max_connections=64, spacing=spacing, warmup=0.2)  # type: ignore[arg-type]
    assert run.offered == 200
    assert run.counts.keys() == {200}
    assert run.requests_per_second == pytest.approx(200, abs=50)
    assert run.percentile(0) >= 0.020
    assert run.percentile(50) < 0.5


def test_an_open_loop_counts_the_wait_for_a_connection(stub: Address) -> None:
    """50 a second fall due where one connection serves 25: the last waits about as long as the run took."""
    run = open_loop(stub, [Request(get("/after/40"))], 50, 1, max_connections=1, spacing="even", warmup=0)
    assert run.unanswered == 0
    assert run.counts[200] == pytest.approx(50, abs=2)
    assert run.latency.max() > 0.9
    assert (np.diff(run.started) > 0).all()


def test_an_open_loop_outlives_broken_connections(stub: Address) -> None:
    run = open_loop(stub, [Request(get("/half"))], 100, 0.3, max_connections=4, warmup=0, drain=1)
    assert run.counts.keys() == {BROKEN}


def test_an_informational_answer_is_skipped() -> None:
    answer = parse(b"HTTP/1.1 100 Continue\r\n\r\n" + ANSWERS["/full"])
    assert answer is not None
    assert answer.status == 429
    assert answer.end == len(b"HTTP/1.1 100 Continue\r\n\r\n" + ANSWERS["/full"])
