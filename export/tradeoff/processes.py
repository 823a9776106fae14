"""Processes that do one thing each, side by side, and how they ended."""

import signal
from collections.abc import Callable, Hashable
from contextlib import suppress
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Generic, NamedTuple, TypeVar

from thimble.export.tradeoff.child import STOPPED

Key = TypeVar("Key", bound=Hashable)


class Ended(NamedTuple, Generic[Key]):
    """`failed` says why; None where it did its work, or was `stopped` before it could."""

    key: Key
    failed: str | None
    stopped: bool


class Processes(Generic[Key]):
    """Those that are under way, by what they are for. They end with this one."""

    def __init__(self) -> None:
        # its server has torch, also the part that optimizers import by themselves, and so each process starts at once
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(["thimble.export.tradeoff.worker", "torch._dynamo"])
        self._running: dict[Key, tuple[BaseProcess, Connection]] = {}

    @property
    def running(self) -> set[Key]:
        return set(self._running)

    def start(self, key: Key, work: Callable[..., None], *arguments: object) -> None:
        """`work` takes the arguments and a connection to which it sends what goes wrong."""
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=work, args=(*arguments, theirs))
        process.start()
        theirs.close()
        self._running[key] = process, ours

    def wait(self, seconds: float) -> list[Ended[Key]]:
        """Those that end meanwhile, at least one unless time is over. There must be one under way."""
        connection.wait([process.sentinel for process, _ in self._running.values()], seconds)
        over = [key for key, (process, _) in self._running.items() if process.exitcode is not None]
        return [self._ended(key) for key in over]

    def stop(self) -> None:
        """Ask all to save what they have, and to end."""
        for process, _ in self._running.values():
            process.terminate()

    def kill(self) -> None:
        """End all at once."""
        for process, _ in self._running.values():
            process.kill()
            process.join()

    def _ended(self, key: Key) -> Ended[Key]:
        process, errors = self._running.pop(key)
        process.join()
        status = process.exitcode
        assert status is not None
        stopped = status in (STOPPED, -signal.SIGTERM)  # the latter before it could take the signal for itself
        failed = None
        if status != 0 and not stopped:
            failed = f"its process ended with status {status}"
            if status < 0:
                failed = f"its process was ended by {signal.Signals(-status).name}, as where memory runs out"
            with suppress(EOFError, OSError):
                if errors.poll():
                    failed = errors.recv()
        errors.close()
        return Ended(key, failed, stopped)
