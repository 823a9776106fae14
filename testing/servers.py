"""Real servers in processes of their own."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

SCRIPTS = Path(sys.executable).parent
START_SECONDS = 60


class Server:
    """A thimble-serve process, its log lines collected as they come."""

    def __init__(
        self,
        *arguments: str | Path,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        scripts: Path = SCRIPTS,
    ) -> None:
        command = [str(scripts / "thimble-serve"), *map(str, arguments)]
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "THIMBLE_DRAIN_S": "0", **(env or {})},
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()

    def _collect(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def wait_for_line(self, pattern: str) -> re.Match[str]:
        """The first log line that matches, waited for."""

        def found() -> re.Match[str] | None:
            return next((match for line in self.lines if (match := re.search(pattern, line))), None)

        with self._news:
            self._news.wait_for(lambda: found() or not self._reader.is_alive(), START_SECONDS)
            match = found()
        assert match, f"no line matches {pattern!r}: {self.lines}"
        return match

    @property
    def url(self) -> str:
        return self.wait_for_line(r"at (https?://\S+?)(?:[\" ]|$)").group(1)

    def wait(self) -> int:
        """The exit status, waited for."""
        status = self.process.wait(START_SECONDS)
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        return status


def workers(server: Server) -> list[psutil.Process]:
    """The worker processes of a server that has some."""
    return psutil.Process(server.process.pid).children()


@contextmanager
def running(
    *arguments: str | Path,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    scripts: Path = SCRIPTS,
) -> Iterator[Server]:
    """A server on a free port of the loopback interface, stopped at the end."""
    server = Server(*arguments, "--port", "0", env=env, cwd=cwd, scripts=scripts)
    try:
        _ = server.url
        yield server
    finally:
        server.process.terminate()
        server.wait()
