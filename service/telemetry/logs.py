"""Logs: lines for people, or JSON for machines, to standard error by way of a thread that writes.

Events go through `logging`. Requests do not, for a record of each would cost as much as half of scoring it.
"""

import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

import orjson

from thimble.service.telemetry.line_writer import LineWriter
from thimble.service.telemetry.metrics import LOG_LINES_LOST

# For lines that are still to be written when the process ends.
FLUSH_SECONDS = 2.0
SHOWN = 200
STANDARD_ERROR = 2
HUMAN_TIME = "%H:%M:%S"
# Line ends, and what a terminal takes for orders.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
log = logging.getLogger("thimble")


class _JsonFormatter(logging.Formatter):
    """A record with the `fields` that whoever logs it adds."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, separators=(",", ":"))


class _HumanFormatter(logging.Formatter):
    """Lines that nothing in a message can break or colour; the lines of a traceback stand for themselves."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        record.message = _printable(record.message.strip())
        return super().formatMessage(record)

    def formatException(self, error: Any) -> str:  # noqa: N802
        return "\n".join(map(_printable, super().formatException(error).split("\n")))


def _printable(text: str) -> str:
    return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], text)


class _Handler(logging.Handler):
    """Hands events to the thread that writes, and waits for it when the process ends (`logging.shutdown`)."""

    def __init__(self, descriptor: int, request_line: Callable[..., bytes]) -> None:
        super().__init__()
        self.writer = LineWriter(descriptor, request_line, self._told, LOG_LINES_LOST.inc)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.writer.write(self._line(record))
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        self.writer.flush(FLUSH_SECONDS)

    def _line(self, record: logging.LogRecord) -> bytes:
        return f"{self.format(record)}\n".encode(errors="backslashreplace")

    def _told(self, lost: int) -> bytes:
        message = "%d log lines were lost: whatever takes standard error takes it too slowly, or not at all"
        return self._line(log.makeRecord(log.name, logging.WARNING, __file__, 0, message, (lost,), None))


class _Clock:
    """The time as text, most of which stays the same for a second."""

    def __init__(self, text: Callable[[int], str]) -> None:
        self._text = text
        self._second, self._shown = 0, ""

    def shown(self, now: float) -> str:
        """The second of a time."""
        second = int(now)
        if second != self._second:
            self._second, self._shown = second, self._text(second)
        return self._shown


class _HumanLines:
    def __init__(self) -> None:
        self._clock = _Clock(lambda second: time.strftime(HUMAN_TIME, time.localtime(second)))

    def of(self, time: float, method: str, path: str, status: int, ms: float, *_: object) -> bytes:
        return f"{self._clock.shown(time)} INFO {method} {shown(path)} {status} {ms:.1f} ms\n".encode()


class _JsonLines:
    def __init__(self) -> None:
        self._clock = _Clock(lambda second: time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))

    def of(
        self,
        time: float,
        method: str,
        path: str,
        status: int,
        ms: float,
        client: str | None,
        note: Mapping[str, object],
    ) -> bytes:
        path = shown(path)
        fields = {
            "time": f"{self._clock.shown(time)}.{int(time % 1 * 1000):03d}+00:00",
            "level": "info",
            "logger": "thimble.access",
            "message": f"{method} {path} {status} {ms:.1f} ms",
            "method": method,
            "path": path,
            "status": status,
            "ms": round(ms, 3),
            "client": None if client is None else shown(client),
            **note,
        }
        return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)


_writer: LineWriter | None = None


def configure(log_format: Literal["human", "json"]) -> None:
    """Send this process's logs to standard error; uvicorn's own access log is replaced by ours."""
    global _writer
    lines = _JsonLines() if log_format == "json" else _HumanLines()
    handler = _Handler(STANDARD_ERROR, lines.of)
    human = _HumanFormatter("%(asctime)s %(levelname)s %(message)s", HUMAN_TIME)
    handler.setFormatter(_JsonFormatter() if log_format == "json" else human)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    _writer = handler.writer


def request(method: str, path: str, status: int, ms: float, client: str | None, note: Mapping[str, object]) -> None:
    """Log a request that took so many milliseconds. Machines get the client and `note`, whose text is visible ASCII."""
    if _writer is not None:
        _writer.add((time.time(), method, path[:SHOWN], status, ms, client, note))


@lru_cache(256)
def shown(text: str) -> str:
    """What a client sent, in printable ASCII and not too long."""
    return text[:SHOWN].encode("unicode_escape").decode()[:SHOWN]
