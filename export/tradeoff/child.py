"""A process that was started to do one thing."""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path

# What it ends with if it was asked to stop before its work was done.
STOPPED = 130
LOG = "log.txt"


def do(work: Callable[[], object], log: Path, errors: Connection) -> None:
    """Do the work of a process that prints into a log, can be stopped, and ends with the one that started it.

    What goes wrong is sent as a sentence, and SystemExit follows.
    """
    # a terminal sends it to all, and whoever started this one passes it on as SIGTERM
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(STOPPED))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            os.dup2(file.fileno(), sys.stdout.fileno())
            os.dup2(file.fileno(), sys.stderr.fileno())
        work()
    except KeyboardInterrupt:  # by which training ends when it is asked to stop
        sys.exit(STOPPED)
    except Exception as error:
        traceback.print_exc()
        known = isinstance(error, ValueError | OSError)
        errors.send(str(error) if known else f"{type(error).__name__}: {error} ({log} has more)")
        sys.exit(1)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
