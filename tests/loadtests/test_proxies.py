"""Which way the requests of thimble-load take, whatever proxy the environment names."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from testing.proxies import VARIABLES, refusing_proxy
from testing.servers import Server
from tests.loadtests.test_cli import thimble_load
from thimble.loadtests.traffic.served import LoadError, served


def test_a_run_asks_the_server_itself(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--rate", "20", "--seconds", "0.5", "--ceiling", "100", "--results", tmp_path / "load.json")
    with refusing_proxy() as proxy:
        for name in VARIABLES:
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("NO_PROXY", "example.org")
        done = thimble_load("run", server.url, *options)
    assert done.returncode == 0, done.stderr
    assert not proxy.asked


@contextmanager
def elsewhere(to: str) -> Iterator[str]:
    """The URL of a server that sends everybody to another one."""

    class Redirects(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(308)
            self.send_header("Location", to + self.path)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Redirects) as redirects:
        thread = threading.Thread(target=redirects.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{redirects.server_port}"
        finally:
            redirects.shutdown()
            thread.join()


def test_a_redirect_which_the_load_would_not_follow_is_an_error_that_says_where_to(server: Server) -> None:
    with elsewhere(server.url) as url, pytest.raises(LoadError, match=f"leads to '{server.url}/v1/models'; give the"):
        served(url)
