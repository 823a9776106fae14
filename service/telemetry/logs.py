"""Logs: lines for people, or JSON for machines."""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, Literal

# Line ends, and what a terminal takes for orders.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class _JsonFormatter(logging.Formatter):
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
        return json.dumps(line)


class _HumanFormatter(logging.Formatter):
    """Lines that nothing in a message can break or colour; the lines of a traceback stand for themselves."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        record.message = _printable(record.message.strip())
        return super().formatMessage(record)

    def formatException(self, error: Any) -> str:  # noqa: N802
        return "\n".join(map(_printable, super().formatException(error).split("\n")))


def _printable(text: str) -> str:
    return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], text)


def configure(log_format: Literal["human", "json"]) -> None:
    """Send this process's logs to standard error; uvicorn's own access log is replaced by ours."""
    handler = logging.StreamHandler(sys.stderr)
    human = _HumanFormatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S")
    handler.setFormatter(_JsonFormatter() if log_format == "json" else human)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
