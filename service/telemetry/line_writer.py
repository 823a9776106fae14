"""Lines to a file descriptor, written by a thread of its own: nobody who logs waits for whoever reads."""

import os
import select
import threading
import time
from collections.abc import Callable
from typing import Any

# What may wait to be written, besides as much again that is being written: over a second of requests at full speed.
MOST_BYTES = 4 << 20
# A pipe takes so much in one piece (PIPE_BUF on Linux). Workers share one, and their lines must not be cut.
PIECE_BYTES = 4096
# So long lines gather before they are written: each writing takes the interpreter from the event loop for a moment.
GATHER_SECONDS = 0.05
# So many entries are made lines of together: code that a model has thrown out of the caches is read back once for all.
TOGETHER = 64


class LineWriter:
    """Takes lines from any thread. It never blocks and never raises: what cannot be written is lost and counted.

    A forked process writes its own lines; what waits in its parent is the parent's to write.
    """

    def __init__(
        self,
        descriptor: int,
        form: Callable[..., bytes],
        tell: Callable[[int], bytes],
        count: Callable[[int], None],
    ) -> None:
        """`form` makes the line of an entry, `tell` the one that says how many lines were lost.

        `count` is told as soon as any are. All may be called in any thread.
        """
        self._descriptor = descriptor
        self._form = form
        self._tell = tell
        self._count = count
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._lock = threading.RLock()  # a signal's handler may log while its thread is in here
        self._written = threading.Condition(self._lock)
        self._news = threading.Event()
        self._thread: threading.Thread | None = None
        self._entries: list[tuple[Any, ...]] = []
        self._lines: list[bytes] = []
        self._bytes = 0
        self._untold = 0
        self._writing = False
        self._cut = False

    def add(self, entry: tuple[Any, ...]) -> None:
        """Take what `form` is given to make a line of; that costs little until there are some dozens of them."""
        with self._lock:
            self._entries.append(entry)
            if len(self._entries) >= TOGETHER:
                self._form_entries()
            self._wake()

    def write(self, line: bytes) -> None:
        """Take a line with its end, or several."""
        with self._lock:
            self._form_entries()
            self._take(line)
            self._wake()

    def flush(self, seconds: float) -> None:
        """Wait until all lines that were taken are written, but no longer than so many seconds."""
        with self._lock:
            self._written.wait_for(lambda: not self._writing, seconds)

    def _form_entries(self) -> None:
        if self._entries:
            entries, self._entries = self._entries, []
            self._take(b"".join([self._form(*entry) for entry in entries]))

    def _take(self, lines: bytes) -> None:
        if self._bytes + len(lines) > MOST_BYTES:
            self._lose(lines.count(b"\n"))
        else:
            self._lines.append(lines)
            self._bytes += len(lines)

    def _lose(self, lines: int) -> None:
        self._untold += lines
        self._count(lines)

    def _wake(self) -> None:
        if self._writing:
            return
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="log", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # there is none to be had now: the line waits, and the next one asks again
                return
            self._thread = thread
        self._writing = True
        self._news.set()

    def _run(self) -> None:
        while True:
            self._news.wait()
            self._news.clear()
            while self._write_waiting():
                time.sleep(GATHER_SECONDS)

    def _write_waiting(self) -> bool:
        """Write what has gathered. False if nothing has."""
        with self._lock:
            self._form_entries()
            if not self._lines:
                self._writing = False
                self._written.notify_all()
                return False
            lines, told = self._lines, self._untold
            self._lines, self._bytes, self._untold = [], 0, 0
        content = b"".join([*lines, self._tell(told) if told else b""])
        written = self._put(content)
        if written < len(content):
            with self._lock:
                self._untold += told
                self._lose(content.count(b"\n", written) - (told > 0))
        return True

    def _put(self, content: bytes) -> int:
        """Write whole lines. Returns how many bytes could be."""
        rest, at = memoryview(content), 0
        try:
            if self._cut:  # the line before ends in the middle, and this is none of it
                os.write(self._descriptor, b"\n")
                self._cut = False
            while at < len(content):
                end = content.rfind(b"\n", at, at + PIECE_BYTES) + 1 or content.index(b"\n", at) + 1
                at += self._write_piece(rest[at:end])
        except OSError:  # a full disk, a reader that has gone, a closed descriptor
            self._cut = self._cut or (at > 0 and content[at - 1] != ord("\n"))
        return at

    def _write_piece(self, piece: memoryview) -> int:
        try:
            return os.write(self._descriptor, piece)
        except BlockingIOError:  # another process that has the pipe has told it not to block
            select.select([], [self._descriptor], [])
            return 0
