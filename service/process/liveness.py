"""Whether a worker still answers.

The supervisor asks each worker ten times a second, and the worker's event loop answers. Who is silent may be busy, or
starved by others that want the core, and goes on when that is over, so he gets no connections for a while and no more.
Who is stopped will not go on by himself, and who is silent for long has no excuse.

Silence is counted in beats, not in seconds: a supervisor that was held up itself asks late, and blames nobody for it.
"""

from math import ceil
from pathlib import Path

BEAT_SECONDS = 0.1
# Unanswered beats after which a worker gets no connections, and after which one that is stopped is taken for lost.
SILENT_BEATS, STOPPED_BEATS = 2, 5


class Heartbeat:
    """How long a worker has not answered."""

    def __init__(self, timeout_seconds: float) -> None:
        self._most_beats = max(ceil(timeout_seconds / BEAT_SECONDS), STOPPED_BEATS)
        self._unanswered = 0

    @property
    def silent(self) -> bool:
        return self._unanswered >= SILENT_BEATS

    def answered(self) -> None:
        self._unanswered = 0

    def missed(self) -> None:
        """It is time for another beat, and the last is not answered."""
        self._unanswered += 1

    def problem(self, stopped: bool) -> str | None:
        """Why the worker is taken for lost, None if it is not. `stopped`: it is, as by SIGSTOP."""
        if stopped and self._unanswered >= STOPPED_BEATS:
            return "it is stopped"
        if self._unanswered >= self._most_beats:
            return f"it has not answered for {self._unanswered * BEAT_SECONDS:.1f} s"
        return None


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped, as by SIGSTOP. Where the system does not say so, it is not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return status.rpartition(b")")[2].split()[:1] == [b"T"]  # in parentheses is its name, which may hold anything
