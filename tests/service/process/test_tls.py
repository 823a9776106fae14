"""The server over TLS, by real handshakes."""

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from testing.certificates import Authority
from testing.servers import Server, running
from thimble.client import Client
from thimble.models.spec import ModelSpec

ROWS = 20_000  # whose request and answer are far larger than what buffers hold
READ_TIMEOUT = 1.0


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture(scope="module", params=["1", "2"])
def workers(request: pytest.FixtureRequest) -> str:
    workers: str = request.param
    return workers


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def server(small_artifact: Path, trusted: Authority, workers: str) -> Iterator[Server]:
    limits = ("--max-rows", str(ROWS), "--max-queued-rows", str(10 * ROWS), "--read-timeout-s", str(READ_TIMEOUT))
    with running(small_artifact, *trusted.flags, *limits, "--workers", workers) as server:
        yield server


def connect(server: Server) -> socket.socket:
    url = httpx.URL(server.url)
    return socket.create_connection((url.host, url.port or 0), timeout=30)


@contextmanager
def secure(server: Server, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    with connect(server) as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
        yield connection


def certificate(server: Server, authority: Authority) -> bytes:
    with secure(server, authority.client) as connection:
        found = connection.getpeercert(binary_form=True)
    assert found
    return found


def post(features: dict[str, object]) -> bytes:
    body = json.dumps({"features": features}).encode()
    return b"POST /v1/score HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def status(server: Server, authority: Authority) -> int:
    return httpx.get(f"{server.url}/readyz", verify=authority.client).status_code


def test_it_serves_https_and_clients_need_no_more_than_trust(
    server: Server, trusted: Authority, small: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.url.startswith("https://127.0.0.1:")
    assert small.golden is not None
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted.ca))
    with Client(server.url) as client:
        for _ in range(3):
            assert client.score(small.golden.features) == pytest.approx(small.golden.scores, abs=1e-6)
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{server.url}/readyz")


def test_large_bodies_go_both_ways(server: Server, trusted: Authority, small: ModelSpec) -> None:
    body = {"features": {"d0": list(range(ROWS)), small.fields[0].name: [f"user {n}" * 10 for n in range(ROWS)]}}
    with httpx.Client(base_url=server.url, verify=trusted.client, timeout=30) as client:
        for _ in range(2):  # on one connection
            response = client.post("/v1/score", json=body)
            assert response.status_code == 200, response.text
            assert len(response.json()["scores"]) == ROWS


def test_pipelined_requests_are_answered_in_order(server: Server, trusted: Authority) -> None:
    rows = [3, 1, 2000, 2, 1]
    with secure(server, trusted.client) as connection:
        connection.sendall(b"".join(post({"d0": list(range(count))}) for count in rows))
        answers = connection.makefile("rb")
        for count in rows:
            assert answers.readline().split()[1] == b"200"
            lines = iter(answers.readline, b"\r\n")
            headers = dict(line.decode().strip().split(": ") for line in lines)
            assert len(json.loads(answers.read(int(headers["content-length"])))["scores"]) == count


def test_old_versions_are_refused(server: Server, trusted: Authority) -> None:
    for version, spoken in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        context = trusted.client
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols(["h2", "http/1.1"])
        with secure(server, context) as connection:
            assert (connection.version(), connection.selected_alpn_protocol()) == (spoken, "http/1.1")
    context = trusted.client
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionResetError)), secure(server, context):
        pass


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02", b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 100])
def test_who_does_not_shake_hands_is_dropped_and_harms_nobody(server: Server, trusted: Authority, said: bytes) -> None:
    with connect(server) as silent:
        silent.sendall(said)
        assert status(server, trusted) == 200
        try:
            while silent.recv(1000):  # an alert, and the end
                pass
        except ConnectionResetError:
            pass
    assert status(server, trusted) == 200
    assert not [line for line in server.lines if "Traceback" in line or "ERROR" in line]


def test_a_stop_waits_for_no_farewell_and_no_handshake(
    small_artifact: Path, authority: Authority, workers: str
) -> None:
    context, request = authority.client, post({"d0": [1, 2]})
    flags = (*authority.flags, "--read-timeout-s", "5", "--workers", workers)
    with running(small_artifact, *flags) as server, ExitStack() as stack:
        idle, busy = (stack.enter_context(secure(server, context)) for _ in range(2))
        late = stack.enter_context(connect(server))
        idle.sendall(request)
        assert idle.recv(12) == b"HTTP/1.1 200"
        busy.sendall(request[:-1])
        assert status(server, authority) == 200
        server.process.terminate()
        until_refused(server)
        with context.wrap_socket(late, server_hostname="127.0.0.1") as shaken:
            busy.sendall(request[-1:])
            assert busy.recv(12) == b"HTTP/1.1 200"
            assert shaken.recv(1) == b""
            assert server.wait() == 0


def until_refused(server: Server) -> None:
    end = monotonic() + 30
    while True:
        assert monotonic() < end
        try:
            connect(server).close()
        except ConnectionResetError:  # it met the listener while the kernel closed it
            continue
        except ConnectionRefusedError:
            return


def test_a_renewed_certificate_is_taken_and_a_broken_one_is_not(
    small_artifact: Path, authority: Authority, workers: str
) -> None:
    processes = int(workers) + (workers != "1")  # the supervisor looks too

    def until(news: str) -> None:
        """Until every process has said so."""
        end = monotonic() + 30
        while sum(news in line for line in running_server.lines) < processes:
            assert status(running_server, authority) == 200
            assert monotonic() < end

    with running(small_artifact, *authority.flags, "--workers", workers) as running_server:
        first = certificate(running_server, authority)
        with secure(running_server, authority.client) as old:
            authority.renew()
            until("the new certificate and its key are in force")
            second = certificate(running_server, authority)
            assert second != first
            for content, reason in {
                b"": f"{authority.cert}: it holds no certificate in PEM form",
                authority.ca.read_bytes(): f"{authority.key}: it is not the key of the certificate in {authority.cert}",
            }.items():
                authority.cert.write_bytes(content)
                until(f"the certificate and its key stay as they were: {reason}")
                assert {certificate(running_server, authority) for _ in range(4)} == {second}
            authority.cert.unlink()
            until(f"{authority.cert}: No such file or directory")
            assert {certificate(running_server, authority) for _ in range(4)} == {second}
            old.sendall(post({"d0": 1}))
            assert old.recv(12) == b"HTTP/1.1 200"
        assert sum("ERROR" in line for line in running_server.lines) == 3 * processes


def test_what_cannot_be_served_is_said_in_one_sentence(
    small_artifact: Path, authority: Authority, trusted: Authority
) -> None:
    cert, key, folder = authority.cert, authority.key, authority.cert.parent
    none, locked = folder / "none", folder / "locked.key"
    password = BestAvailableEncryption(b"password")
    plain = load_pem_private_key(key.read_bytes(), None)
    locked.write_bytes(plain.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, password))
    wrong: list[tuple[tuple[str | Path, ...], str]] = [
        (("--tls-cert", cert), "--tls-cert and --tls-key need each other"),
        (("--tls-key", key), "--tls-cert and --tls-key need each other"),
        (("--tls-cert", none, "--tls-key", key), f"{none}: No such file or directory"),
        (("--tls-cert", cert, "--tls-key", none), f"{none}: No such file or directory"),
        (("--tls-cert", cert, "--tls-key", folder), f"{folder}: Is a directory"),
        (("--tls-cert", key, "--tls-key", key), f"{key}: it holds no certificate in PEM form"),
        (("--tls-cert", cert, "--tls-key", cert), f"{cert}: it holds no private key in PEM form"),
        (
            ("--tls-cert", cert, "--tls-key", trusted.key),
            f"{trusted.key}: it is not the key of the certificate in {cert}",
        ),
        (("--tls-cert", cert, "--tls-key", locked), f"{locked}: the private key is protected by a password"),
    ]
    servers = [(Server(small_artifact, *flags), sentence) for flags, sentence in wrong]
    servers.append((Server(small_artifact, *wrong[0][0], "--workers", "2"), wrong[0][1]))
    for server, sentence in servers:
        assert server.wait() == 1
        assert len(server.lines) == 1 and sentence in server.lines[0], server.lines
