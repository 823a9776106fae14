"""The sandbox process, which loads versions, so that nothing a file does there reaches the requests being answered.

    python -P -m thimble.service.releases.sandbox.process [SOCKET]

It reads tasks, a line of JSON each, and answers each with a line of JSON that says what it found. With the descriptor
of a socket it goes on as a shadow (`shadow.process`) once a file was found good. It runs when nobody else wants the
core, and takes no more than `limits` say.
"""

import os
import signal
import socket
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from thimble.ops.library import find_native_ops
from thimble.service.engine.artifact import ArtifactError, read_artifact
from thimble.service.engine.engine import Engine
from thimble.service.errors import StartupError, UnavailableError
from thimble.service.releases.sandbox.confirmation import rows_with_scores
from thimble.service.releases.sandbox.limits import confine, refusal, release_time
from thimble.service.releases.sandbox.messages import Task, Verdict
from thimble.service.releases.shadow.process import follow


def main() -> None:
    """Verify and say what was found, as often as asked, and go on as a shadow if there is a socket."""
    given = [int(number) for number in sys.argv[1:]]
    for kept, following in pairwise([2, *given, os.sysconf("SC_OPEN_MAX")]):
        os.closerange(kept + 1, following)  # uvloop passes on all that the server itself was given
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the server ends this one
    if sys.platform == "linux":  # elsewhere it runs as everybody does
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with suppress(OSError):  # should memory run out, let it be this process that is killed and not the server
        Path("/proc/self/oom_score_adj").write_text("1000")
    for line in sys.stdin:
        task = Task.model_validate_json(line)
        engine = None
        try:
            confine(task)
            artifact = read_artifact(task.path, task.max_model_bytes)
            confine(task, sum(data.proven.size for data in artifact.external.values()))
            engine = Engine(artifact, task.device, task.threads, find_native_ops(task.ops_library), task.batch_rows)
            verdict = Verdict.good(artifact, rows_with_scores(engine, task.rows) if task.rows else [])
            del artifact
        except (ArtifactError, MemoryError) as error:
            verdict = Verdict(refused=refusal(task, error))
        except (StartupError, UnavailableError) as error:
            verdict = Verdict(unavailable=str(error))
        release_time()
        print(verdict.model_dump_json(), flush=True)
        if given and engine is not None:
            follow(engine, socket.socket(fileno=given[0]))
            return
        del engine


if __name__ == "__main__":
    main()
