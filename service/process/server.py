"""One process that serves: uvicorn over the application."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from time import monotonic
from types import FrameType
from typing import Any, cast

import uvicorn
import uvloop
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.server import ServerState

from thimble.service.errors import FatalError, UnfinishedError
from thimble.service.http.access import AccessLog
from thimble.service.http.activity import ActivityAnswers
from thimble.service.http.app import create_app
from thimble.service.http.connection import Connection
from thimble.service.http.exchange import State
from thimble.service.http.keys import Keys
from thimble.service.http.replies import CLOSE, Client
from thimble.service.http.scoring import Scoring
from thimble.service.http.serving import Serving
from thimble.service.http.small_requests import SmallRequests
from thimble.service.process.deadline import end_within
from thimble.service.process.descriptors import allow_connections
from thimble.service.process.listener import BACKLOG, listen, url_of
from thimble.service.process.tls import Certificate
from thimble.service.releases.allocator import share_one_arena
from thimble.service.releases.registry import Registry
from thimble.service.settings import Settings
from thimble.service.telemetry import metrics

# Longer than proxies keep their idle connections, so that they, not this server, close them: a request that crosses
# a close on its way fails.
KEEP_ALIVE_SECONDS = 75
# For the requests on connections that were accepted last to be read.
LAST_REQUESTS_SECONDS = 0.1
# For what is left of a process when it has answered all or its time is over: spans to be sent, threads to end.
LAST_SECONDS = 3.0
# How long a thread that works beside the loop may keep the interpreter from it.
SWITCH_SECONDS = 0.0005
log = logging.getLogger("thimble")


def serve(settings: Settings) -> None:
    """Load the models, listen and serve until SIGINT or SIGTERM. StartupError."""
    prepare()
    uvloop.run(_serve(settings))


def prepare() -> None:
    """Set the process up for a loop that is not to be held up, and for models that come and go beside it."""
    sys.setswitchinterval(SWITCH_SECONDS)
    share_one_arena()


async def _serve(settings: Settings) -> None:
    keys, certificate = Keys(settings), Certificate.of(settings)
    registry = await Registry.open(settings)
    listener = listen(settings.host, settings.port)
    server = Server(registry, settings, keys, certificate)
    url = url_of(listener, certificate is not None)
    last = 0

    def stop(number: int, _: FrameType | None) -> None:
        """SIGTERM is obeyed in time, SIGINT and a second signal at once."""
        nonlocal last
        server.drain(settings.drain_s if number == signal.SIGTERM and not last else 0)
        last = number

    server.heed_signals(stop)
    gc.collect()
    gc.freeze()  # what is loaded stays, so no collection need look at it again
    for model in registry.catalogue:
        lookup = f" with its {model.engine.lookup} lookup" if model.engine.lookup else ""
        log.info("serving %s version %d at %s%s on %s", model.name, model.version, url, lookup, model.engine.provider)
    if not any(registry.catalogue):
        log.info("serving no model yet at %s", url)
    await server.serve(sockets=[listener])
    registry.close()
    server.check_ending()


class Server(uvicorn.Server):
    """uvicorn's, that can be told to stop some time before it does.

    In that time it says that it is not ready, takes what still comes, and asks with each answer to come no more.
    """

    def __init__(self, registry: Registry, settings: Settings, keys: Keys, certificate: Certificate | None) -> None:
        access_log = AccessLog(settings.log_probes) if settings.access_log else None
        scoring = Scoring(registry.catalogue, settings, keys, access_log)
        self._activity = ActivityAnswers(registry, keys)
        app = create_app(registry, scoring, settings, self._activity)
        self._flush: Callable[[], None] = lambda: None
        if settings.tracing:
            from thimble.service.http.tracing import Tracing

            app = tracing = Tracing(app, settings.log_probes)
            self._flush = tracing.close
        options: dict[str, Any] = {"log_config": None, "access_log": False, "server_header": False}
        options["timeout_graceful_shutdown"] = self._stop_timeout = settings.stop_timeout_s
        super().__init__(uvicorn.Config(app, http=Connection, ws="none", lifespan="off", **options))
        self._state = State()
        self.server_state = cast(ServerState, self._state)  # uvicorn goes by its attributes
        # uvicorn's types of ASGI are its own
        proxies: Any = ProxyHeadersMiddleware(cast(Any, app), settings.trusted_proxies)
        self._serving = Serving(
            app=proxies,
            state=self._state,
            root_path=settings.root_path.encode(),
            small_requests=SmallRequests(scoring, settings.tracing, bool(settings.allow_origin)),
            client_of=partial(_client_of, proxies),
            patience=settings.read_timeout_s,
            keep_alive=KEEP_ALIVE_SECONDS,
            max_connections=allow_connections(settings.max_connections),
            log=access_log,
        )
        self._registry = registry
        self._certificate = certificate
        self._tls: dict[str, Any] = {}
        if certificate is not None:
            patience = settings.read_timeout_s
            self._tls = {
                "ssl": certificate.context,
                "ssl_handshake_timeout": patience,
                "ssl_shutdown_timeout": patience,
            }
        self._ends: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._cut_off = 0

    def heed_signals(self, handler: Callable[[int, FrameType | None], None]) -> None:
        """Have this handler called instead of uvicorn's own.

        uvicorn listens to signals only once it runs, and raises what stopped it once more when it is done: with a
        handler on both sides of that, no signal is lost and none ends the process before it is done.
        """
        self.handle_exit = handler  # type: ignore[method-assign, assignment]
        signal.signal(signal.SIGINT, handler)
        signal.signal(signal.SIGTERM, handler)

    def check_ending(self) -> None:
        """After it has stopped.

        FatalError: it had to, and a new process is to take its place. UnfinishedError: it has not answered all.
        """
        if self._registry.catalogue.fatal is not None:
            raise FatalError(self._registry.catalogue.fatal)
        if self._cut_off:
            raise UnfinishedError(
                f"{self._cut_off} connections had not ended within {self._stop_timeout:g} s and were cut off"
            )

    def drain(self, seconds: float) -> None:
        """Stop after so many seconds, when what was accepted is answered or the time for that is over."""
        self._registry.catalogue.draining = True
        self._ends = monotonic() + seconds
        end_within(seconds + self._stop_timeout + LAST_SECONDS)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, but for the options of TLS, which it has no say in."""
        await super().startup([])
        self._activity.start()
        loop = asyncio.get_running_loop()
        for listener in sockets or []:
            self.servers.append(await loop.create_server(self._connection, sock=listener, backlog=BACKLOG, **self._tls))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in sockets or []:
            self._accept_rest(listener)
        for server in self.servers:
            server.close()
        await asyncio.sleep(LAST_REQUESTS_SECONDS)
        self._registry.changes.stop()
        self._activity.close()
        self._state.closing = True
        await super().shutdown(sockets)
        self._cut_off = len(self._state.connections)
        self._flush()

    def _accept_rest(self, listener: socket.socket) -> None:
        """Take what waits in the listener's queue, which would be lost with it."""
        listener.setblocking(False)
        with contextlib.suppress(OSError):  # there are no more
            while True:
                self.take(listener.accept()[0])

    async def on_tick(self, counter: int) -> bool:
        """uvicorn calls this ten times a second."""
        if self._registry.catalogue.fatal is not None and self._ends is None:
            self.drain(0)
        self.should_exit = self.should_exit or (self._ends is not None and monotonic() >= self._ends)
        stop = await super().on_tick(counter)
        metrics.SERIES.drop_old()
        if self._certificate is not None:
            self._certificate.refresh()
        if self._registry.catalogue.draining and CLOSE not in self.server_state.default_headers:
            self.server_state.default_headers = [*self.server_state.default_headers, CLOSE]
        return stop

    def take(self, connection: socket.socket) -> None:
        """Serve a client that was accepted elsewhere."""
        self.begin(self._join(connection))

    def begin(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)  # the loop itself would let go of it
        task.add_done_callback(self._tasks.discard)
        return task

    async def _join(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the client has left already, or speaks no TLS
            await asyncio.get_running_loop().connect_accepted_socket(self._connection, connection, **self._tls)

    def _connection(self) -> Connection:
        return Connection(self._serving)


def _client_of(proxies: ProxyHeadersMiddleware, client: Client | None, forwarded_for: bytes) -> Client | None:
    """Who asks by way of a proxy that is trusted, as the middleware tells the application."""
    if (client and client[0]) not in proxies.trusted_hosts:
        return client
    host, port = proxies.trusted_hosts.get_trusted_client_address(forwarded_for.decode("latin-1"))
    return (host, port) if host else client
