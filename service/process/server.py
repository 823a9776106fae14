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
from typing import Any

import uvicorn
import uvloop
from starlette.types import ASGIApp

from thimble.service.http.access import AccessLog
from thimble.service.http.app import create_app
from thimble.service.http.connection import Protocol, State
from thimble.service.http.exchange import CLOSE, Door
from thimble.service.http.fast import Direct
from thimble.service.http.keys import Keys
from thimble.service.process.channel import Channel
from thimble.service.process.listener import BACKLOG, listen, url_of
from thimble.service.process.tls import Certificate
from thimble.service.releases.allocator import share_one_arena
from thimble.service.releases.registry import Registry
from thimble.service.settings import Settings

# Longer than proxies keep their idle connections, so that they, not this server, close them: a request that crosses
# a close on its way fails.
KEEP_ALIVE_SECONDS = 75
# For the requests on connections that were accepted last to be read.
LAST_REQUESTS_SECONDS = 0.1
# How long a thread that works beside the loop may keep the interpreter from it.
SWITCH_SECONDS = 0.0005
log = logging.getLogger("thimble")


def serve(settings: Settings) -> None:
    """Load the models, listen and serve until SIGINT or SIGTERM. StartupError."""
    _prepare()
    uvloop.run(_serve(settings))


def serve_channel(settings: Settings, keys: Keys, certificate: Certificate | None, channel: Channel) -> None:
    """Load the models and serve the connections that the supervisor sends, until it says stop or ends. StartupError."""
    _prepare()
    uvloop.run(_serve_channel(settings, keys, certificate, channel))


def _prepare() -> None:
    """Set the process up for a loop that is not to be held up, and for models that come and go beside it."""
    sys.setswitchinterval(SWITCH_SECONDS)
    share_one_arena()


async def _serve(settings: Settings) -> None:
    keys, certificate = Keys(settings), Certificate.of(settings)
    registry = await Registry.open(settings)
    listener = listen(settings.host, settings.port)
    server = _Server(registry, settings, keys, certificate)
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


async def _serve_channel(settings: Settings, keys: Keys, certificate: Certificate | None, channel: Channel) -> None:
    siblings = _Siblings(channel)
    registry = await Registry.open(settings, siblings)
    server = _ChannelServer(registry, settings, keys, certificate, channel, siblings)
    server.heed_signals(lambda *_: None)  # the supervisor says when to stop
    await server.serve(sockets=[])
    registry.close()


def _config(app: ASGIApp, door: Door, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=partial(Protocol, door=door, patience=settings.read_timeout_s),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )


class _Server(uvicorn.Server):
    """uvicorn's, that can be told to stop some time before it does.

    In that time it says that it is not ready, takes what still comes, and asks with each answer to come no more.
    """

    def __init__(self, registry: Registry, settings: Settings, keys: Keys, certificate: Certificate | None) -> None:
        log = AccessLog() if settings.access_log else None
        app = create_app(registry, settings, keys, log)
        self._flush: Callable[[], None] = lambda: None
        if settings.tracing:
            from thimble.service.http.tracing import Tracing

            app = tracing = Tracing(app)
            self._flush = tracing.close
        super().__init__(_config(app, Direct(registry.catalogue, settings, keys, log).door, settings))
        self.server_state = self._state = State()
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

    def heed_signals(self, handler: Callable[[int, FrameType | None], None]) -> None:
        """Have this handler called instead of uvicorn's own.

        uvicorn listens to signals only once it runs, and raises what stopped it once more when it is done: with a
        handler on both sides of that, no signal is lost and none ends the process before it is done.
        """
        self.handle_exit = handler  # type: ignore[method-assign, assignment]
        signal.signal(signal.SIGINT, handler)
        signal.signal(signal.SIGTERM, handler)

    def drain(self, seconds: float) -> None:
        """Stop after so many seconds, when what was accepted is answered."""
        self._registry.catalogue.draining = True
        self._ends = monotonic() + seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, but for the options of TLS, which it has no say in."""
        await super().startup([])
        loop = asyncio.get_running_loop()
        for listener in sockets or []:
            self.servers.append(await loop.create_server(self._protocol, sock=listener, backlog=BACKLOG, **self._tls))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in sockets or []:
            self._accept_rest(listener)
        for server in self.servers:
            server.close()
        await asyncio.sleep(LAST_REQUESTS_SECONDS)
        self._state.closing = True
        await super().shutdown(sockets)
        self._flush()

    def _accept_rest(self, listener: socket.socket) -> None:
        """Take what waits in the listener's queue, which would be lost with it."""
        listener.setblocking(False)
        with contextlib.suppress(OSError):  # there are no more
            while True:
                self._begin(self._join(listener.accept()[0]))

    async def on_tick(self, counter: int) -> bool:
        """uvicorn calls this ten times a second."""
        self.should_exit = self.should_exit or (self._ends is not None and monotonic() >= self._ends)
        stop = await super().on_tick(counter)
        if self._certificate is not None:
            self._certificate.refresh()
        if self._registry.catalogue.draining and CLOSE not in self.server_state.default_headers:
            self.server_state.default_headers = [*self.server_state.default_headers, CLOSE]
        return stop

    async def _join(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the client has left already, or speaks no TLS
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection, **self._tls)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _protocol(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol


class _Siblings:
    """The other workers, as far as they can be reached by way of the supervisor."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._asking = asyncio.Lock()
        self._answer: asyncio.Future[list[str]] | None = None

    async def sync(self, model: str) -> list[str]:
        async with self._asking:
            self._answer = asyncio.get_running_loop().create_future()
            self._channel.send("sync", model)
            return await self._answer

    def synced(self, problems: list[str]) -> None:
        """The supervisor's answer."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(problems)


class _ChannelServer(_Server):
    def __init__(
        self,
        registry: Registry,
        settings: Settings,
        keys: Keys,
        certificate: Certificate | None,
        channel: Channel,
        siblings: _Siblings,
    ) -> None:
        super().__init__(registry, settings, keys, certificate)
        self._channel = channel
        self._siblings = siblings

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        asyncio.get_running_loop().add_reader(self._channel.fileno(), self._receive)
        self._channel.send("ready")

    def _receive(self) -> None:
        message, connections = self._channel.receive()
        for connection in connections:
            self._begin(self._join(connection))
        match message:
            case [] | ["stop"]:
                asyncio.get_running_loop().remove_reader(self._channel.fileno())
                self.drain(0)
            case ["drain"]:
                self._registry.catalogue.draining = True
            case ["sync", number, model]:
                self._begin(self._sync(number, model))
            case ["synced", problems]:
                self._siblings.synced(problems)

    async def _sync(self, number: int, model: str) -> None:
        self._channel.send("done", number, await self._registry.changes.reconcile(model))
