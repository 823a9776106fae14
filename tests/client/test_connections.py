"""How the client reaches a server: proxies, turns, and what no server can be reached by."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import httpx
import pytest
import trustme

from testing.proxies import VARIABLES, refusing_proxy
from testing.servers import Server
from thimble.client import AsyncClient, Client, ThimbleError

ROW = {"I1": 3, "C1": "68fd1e64"}


async def score_at_once(client: AsyncClient, calls: int) -> set[float]:
    async with client:
        return {float(scores[0]) for scores in await asyncio.gather(*[client.score(ROW) for _ in range(calls)])}


def test_many_calls_at_once_take_turns_and_none_is_lost(server: Server) -> None:
    """Each has two seconds and one attempt, which begin when it is its turn."""
    scores = asyncio.run(score_at_once(AsyncClient(server.url, wait=2, patience=0), 600))
    assert len(scores) == 1


def test_threads_share_a_client(server: Server) -> None:
    with Client(server.url, wait=2, patience=0) as client, ThreadPoolExecutor(50) as threads:
        assert len({float(scores[0]) for scores in threads.map(client.score, [ROW] * 500)}) == 1


@pytest.mark.parametrize("no_proxy", ["", "example.org"])
def test_no_proxy_of_the_environment_is_asked_for_this_machine(
    server: Server, monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    port = server.url.rpartition(":")[2]
    with refusing_proxy() as proxy:
        for name in VARIABLES:
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("NO_PROXY", no_proxy)
        for host in ("127.0.0.1", "LOCALHOST", "[::ffff:127.0.0.1]", "0.0.0.0"):
            with Client(f"http://{host}:{port}", patience=0) as client:
                assert len(client.score(ROW)) == 1
        assert len(asyncio.run(score_at_once(AsyncClient(server.url), 1))) == 1
        assert not proxy.asked


def test_a_proxy_that_this_environment_cannot_use_does_not_matter(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5h://127.0.0.1:9")
    with Client(server.url) as client:
        assert len(client.score(ROW)) == 1


def test_other_machines_are_reached_as_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    with refusing_proxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        with Client("http://10.0.0.1:8000") as client, pytest.raises(ThimbleError) as caught:
            client.score({})
    assert caught.value.status == 403
    assert proxy.asked == ["http://10.0.0.1:8000/v1/score"]


def test_a_proxy_that_lets_nobody_through_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with refusing_proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with Client("https://10.0.0.1:8000") as client, pytest.raises(httpx.ProxyError, match="403"):
            client.score({})
    assert proxy.asked == ["10.0.0.1:8000"]


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000", "localhost:8000", "", "//h:1", "http://", "ftp://h", "http://h:99999", "http://h:x", "\0"]
)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_what_is_no_url_is_refused_at_once(url: str, kind: type[Client | AsyncClient]) -> None:
    with pytest.raises(ValueError, match="is no URL"):
        kind(url)


@pytest.mark.parametrize("key", ["", "of a file\n", "abcdefg ", " abcdefg", "schlüssel", "a\0"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ValueError, match="no header can carry") as caught:
        Client("http://127.0.0.1:1", key=key)
    assert not key or key not in str(caught.value)


def test_a_model_of_any_name_is_asked_for(server: Server) -> None:
    name = "b?c#d%20e"
    with Client(server.url, model=name) as client, pytest.raises(ThimbleError) as caught:
        client.score(ROW)
    assert caught.value.status == 404 and name in caught.value.message


@contextmanager
def listening(context: ssl.SSLContext | None) -> Iterator[tuple[str, list[object]]]:
    """A URL, and who connected there. Without a context for TLS, they are answered in plain HTTP."""
    came: list[object] = []

    def answer(listener: socket.socket) -> None:
        while True:
            try:
                connection, peer = listener.accept()
            except OSError:  # closed
                return
            came.append(peer)
            with connection, suppress(OSError):
                if context is None:
                    connection.recv(1000)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                else:
                    context.wrap_socket(connection, server_side=True).close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        try:
            yield f"https://127.0.0.1:{listener.getsockname()[1]}", came
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("tls", [True, False])
def test_a_server_that_is_not_trusted_is_not_asked_again(tls: bool) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if tls else None
    if context:
        trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with listening(context) as (url, came):
        with Client(url) as client, pytest.raises(httpx.ConnectError, match="SSL"):
            client.score(ROW)
        with pytest.raises(httpx.ConnectError, match="SSL"):
            asyncio.run(score_at_once(AsyncClient(url), 1))
    assert len(came) == 2
