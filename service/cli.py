"""thimble-serve: load the models, then listen."""

import logging
import os
import sys
import tempfile

from thimble.service.command_line import BadSettingsError, misspelt, read
from thimble.service.errors import FatalError, StartupError, UnfinishedError
from thimble.service.process.listener import listen
from thimble.service.settings import Settings

STANDARD_ERROR = 2
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
log = logging.getLogger("thimble")


def main() -> None:
    """The console script.

    Exit status 0 after SIGINT or SIGTERM, 1 when it cannot start or go on or has not answered all when its time to stop
    is over, 2 for bad flags, 130 for SIGINT while loading.
    """
    _open_standard_files()
    try:
        settings = read(sys.argv[1:])
    except BadSettingsError as error:
        for problem in error.problems:
            print(f"thimble-serve: {problem}", file=sys.stderr)
        sys.exit(2)
    # looked at when thimble.service.telemetry.metrics is imported; what is set for others is nothing to this server
    for name in (METRICS_FOLDER, METRICS_FOLDER.lower()):
        os.environ.pop(name, None)
    if settings.workers == 1:
        _run(settings)
        return
    with tempfile.TemporaryDirectory(prefix="thimble-metrics-") as folder:
        os.environ[METRICS_FOLDER] = folder
        _run(settings)


def _open_standard_files() -> None:
    """Put nothing in the place of a standard file that is closed: libuv aborts when a file of its own takes it."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= STANDARD_ERROR:
        pass
    os.close(descriptor)


def _run(settings: Settings) -> None:
    from thimble.service.telemetry import logs

    logs.configure(settings.log_format)
    for problem in misspelt():
        log.warning("%s", problem)
    try:
        _check(settings)
        _serve(settings)
    except (FatalError, StartupError, UnfinishedError) as error:
        log.error("%s", error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    log.info("stopped")


def _serve(settings: Settings) -> None:
    if settings.workers == 1:
        from thimble.service.process.server import serve

        serve(settings)
    elif sys.platform != "linux":
        raise StartupError(
            "--workers above 1 needs Linux, whose sockets keep messages apart and tell when a process ends; elsewhere "
            "run servers side by side, on ports of their own"
        )
    else:
        from thimble.service.process.workers import Supervisor

        Supervisor(settings, listen(settings.host, settings.port)).run()


def _check(settings: Settings) -> None:
    """Say what cannot work before models are loaded, and once for all workers. StartupError."""
    from thimble.service.engine.engine import check_runtime

    check_runtime()
    if settings.max_inflight_bytes < settings.max_body_bytes:
        raise StartupError("--max-inflight-bytes is less than --max-body-bytes: a body of that size would find no room")
    if settings.tracing:
        import thimble.service.http.tracing  # noqa: F401  which says what is missing
