"""thimble-serve: load the models, then listen."""

import asyncio
import logging
import signal
import socket
import sys

import uvicorn
from pydantic import ValidationError
from pydantic_settings import CliApp

from service import logs
from service.app import create_app
from service.engine import check_runtime
from service.errors import StartupError
from service.registry import Registry
from service.settings import Settings

BACKLOG = 2048
log = logging.getLogger("thimble")


def main() -> None:
    """The console script.

    Exit status 0 after SIGINT or SIGTERM, 1 when it cannot start, 2 for bad flags, 130 for SIGINT while loading.
    """
    try:
        settings = CliApp.run(Settings)
    except ValidationError as error:
        for problem in error.errors():
            print(f"thimble-serve: {'.'.join(map(str, problem['loc']))}: {problem['msg']}", file=sys.stderr)
        sys.exit(2)
    logs.configure(settings.log_format)
    try:
        check_runtime()
        registry = Registry(settings)
        listener = _listen(settings)
    except StartupError as error:
        log.error("%s", error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    asyncio.run(_serve(registry, settings, listener))


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(BACKLOG)  # from here on connections wait for the server instead of being refused
    except OSError as error:
        listener.close()
        raise StartupError(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror}; choose another with --port"
        ) from None
    return listener


async def _serve(registry: Registry, settings: Settings, listener: socket.socket) -> None:
    config = uvicorn.Config(
        create_app(registry, settings), log_config=None, access_log=False, server_header=False, lifespan="off"
    )
    server = uvicorn.Server(config)
    # uvicorn listens to signals only once it runs, and raises what stopped it once more when it is done: with its own
    # handler on both sides of that, no signal is lost and none ends the process before it is done
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.handle_exit)
    host, port = listener.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    for model in registry:
        engine = model.engine
        lookup = f" with its {engine.lookup} lookup" if engine.lookup else ""
        log.info("serving %s version %d at %s%s on %s", model.name, model.version, url, lookup, engine.provider)
    await server.serve(sockets=[listener])
    log.info("stopped")
