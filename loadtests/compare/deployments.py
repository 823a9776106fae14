"""Deployments that are compared: model versions on disk, and servers that are started for them."""

import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from thimble.loadtests.ports import free_port
from thimble.loadtests.traffic.direct import open_url
from thimble.loadtests.traffic.served import LoadError
from thimble.models.spec import MODEL_FILE

START_SECONDS, STOP_SECONDS = 180, 15
POLL_SECONDS = 0.005
LOG_LINES = 3
# A first answer off a slow disk takes its time, and a server is not kept to stop.
FLAGS = ("--no-access-log", "--timeout-ms", "60000", "--drain-s", "0")
ADMIN_KEYS = "THIMBLE_ADMIN_KEYS"
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class DeploymentError(Exception):
    """Why a deployment cannot be measured, in one sentence."""


@dataclass(frozen=True)
class VersionFolder:
    """A version of a model: all files of a folder."""

    folder: Path
    model: str

    @property
    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if path.is_file())

    @property
    def size(self) -> int:
        """Bytes that a release has to bring."""
        return sum(path.stat().st_size for path in self.files)


def find_version(source: Path, model: str | None = None) -> VersionFolder:
    """The newest version in a repository, or the one of a file. LoadError: there is none, or several models."""
    if source.is_file():
        return VersionFolder(source.parent, source.parent.parent.name if source.parent.name.isdecimal() else "model")
    if not source.is_dir():
        raise LoadError(f"{source}: no such file or folder, and no URL")
    found = [path.parent for path in source.glob(f"*/*/{MODEL_FILE}") if path.parent.name.isdecimal()]
    names = sorted({folder.parent.name for folder in found} if model is None else {model})
    if len(names) > 1:
        raise LoadError(f"{source} has several models, name one with --model: {', '.join(names)}")
    versions = [folder for folder in found if folder.parent.name in names]
    if not versions:
        raise LoadError(f"{source}: neither a {MODEL_FILE} nor a repository of MODEL/VERSION/{MODEL_FILE}")
    return VersionFolder(max(versions, key=lambda folder: int(folder.name)), names[0])


def staged(version: VersionFolder, folder: Path) -> VersionFolder:
    """The same as the only version of a repository of its own, which the caller may change. Files are linked."""
    own = folder / version.model / "1"
    own.mkdir(parents=True)
    for path in version.files:
        try:
            os.link(path, own / path.name)
        except OSError:  # another disk
            shutil.copyfile(path, own / path.name)
    return VersionFolder(own, version.model)


class Server:
    """A thimble-serve process on a free port of the loopback interface. It ends when this process does."""

    def __init__(self, repository: Path, log: Path) -> None:
        """It is not waited for."""
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.key = secrets.token_hex(16)
        self._log = log
        command = [_script("thimble-serve"), str(repository), "--host", "127.0.0.1", "--port", str(port), *FLAGS]
        with log.open("w") as output:
            self.started = time.perf_counter()
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, ADMIN_KEYS: self.key},
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_until(self, path: str) -> float:
        """Until GET `path` answers 200. Seconds since it was started.

        DeploymentError: it ended, answers otherwise (it listens once it has loaded what it can), or takes too long.
        """
        while (taken := time.perf_counter() - self.started) < START_SECONDS:
            if self.process.poll() is not None:
                raise DeploymentError(f"thimble-serve ended with {self.process.returncode}: {self._log_tail()}")
            try:
                with open_url(self.url + path, START_SECONDS):
                    return time.perf_counter() - self.started
            except urllib.error.HTTPError as error:
                problem = f"thimble-serve answered {error.code} to GET {path}: {self._log_tail()}"
                raise DeploymentError(problem) from None
            except OSError:  # it does not listen yet
                time.sleep(POLL_SECONDS)
        raise DeploymentError(f"thimble-serve is not ready after {taken:.0f} s: {self._log_tail()}")

    def stop(self) -> None:
        processes = []
        with suppress(psutil.NoSuchProcess):
            processes = [psutil.Process(self.pid), *psutil.Process(self.pid).children(recursive=True)]
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for process in psutil.wait_procs(processes[1:], timeout=1)[1]:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _log_tail(self) -> str:
        return " ".join(self._log.read_text(errors="replace").splitlines()[-LOG_LINES:]) or "it said nothing"


@contextmanager
def serving(repository: Path, log: Path) -> Iterator[Server]:
    """A server that is starting, stopped at the end."""
    server = Server(repository, log)
    try:
        yield server
    finally:
        server.stop()


def export_untrained(repository: Path, options: Sequence[str]) -> VersionFolder:
    """What `thimble-export untrained` writes. DeploymentError: why it cannot."""
    command = [_script("thimble-export"), "untrained", "--repository", str(repository), *options]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=_end_with_parent)
    if done.returncode:
        raise DeploymentError(done.stderr.strip().rpartition("\n")[2] or "thimble-export ended without a word")
    return find_version(repository)


def _script(name: str) -> str:
    """A console script, of this environment if it has it. DeploymentError."""
    installed = Path(sys.executable).with_name(name)
    found = str(installed) if installed.is_file() else shutil.which(name)
    if found is None:
        raise DeploymentError(f"{name} is not installed here")
    return found


def _end_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
