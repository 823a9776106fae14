"""A real browser without a screen, on a page that is served from this machine and answers by a POST."""

import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue

# without a sandbox it runs as root too, and without background networking it stays on this machine
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
ANSWER_SECONDS, STOP_SECONDS = 60, 10

Post = tuple[str, str]


class Handler(SimpleHTTPRequestHandler):
    """The files of a folder, some more from memory, and a queue of what is posted."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript", ".wasm": "application/wasm"}

    def __init__(self, *args: object, files: Mapping[str, bytes], posted: Queue[Post], directory: Path) -> None:
        self.files, self.posted = files, posted
        super().__init__(*args, directory=str(directory))  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if self.path not in self.files:
            return super().do_GET()
        self._answer(self.files[self.path])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._answer(b"")
        self.posted.put((self.path, body))

    def _answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def answer(chromium: str, page: Path, files: Mapping[str, bytes], profile: Path) -> Post:
    """Open a page, beside whose folder `files` are served by path, and return the path and text of its first POST.

    `profile` is an empty folder for the browser. AssertionError: no answer came.
    """
    posted: Queue[Post] = Queue()
    handler = partial(Handler, files=files, posted=posted, directory=page.parent)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/{page.name}"
            with running([chromium, *FLAGS, f"--user-data-dir={profile}", url], profile / "log"):
                return posted.get(timeout=ANSWER_SECONDS)
        except Empty:
            raise AssertionError(f"no answer from {chromium}: {(profile / 'log').read_text()[-2000:]}") from None
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def running(command: list[str], log: Path) -> Iterator[None]:
    """A process that ends its own children when it is asked to end; at the end it is."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
