"""One process that serves: uvicorn over the application."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from functools import partial
from typing import Any

import uvicorn
import uvloop

from service.app import create_app
from service.listener import url_of
from service.protocol import Protocol
from service.registry import Registry
from service.scoring import door
from service.settings import Settings

# Longer than proxies keep their idle connections, so that they, not this server, close them: a request that crosses
# a close on its way fails.
KEEP_ALIVE_SECONDS = 75
# File descriptors that one message of a channel may carry.
CONNECTIONS_A_MESSAGE = 16
READY = b"ready"
log = logging.getLogger("thimble")


def serve(registry: Registry, settings: Settings, listener: socket.socket) -> None:
    """Serve the connections of a listening socket until SIGINT or SIGTERM."""
    server = uvicorn.Server(_config(registry, settings))
    _heed_signals(server)
    gc.collect()
    gc.freeze()  # what is loaded stays, so no collection need look at it again
    for model in registry:
        lookup = f" with its {model.engine.lookup} lookup" if model.engine.lookup else ""
        url, provider = url_of(listener), model.engine.provider
        log.info("serving %s version %d at %s%s on %s", model.name, model.version, url, lookup, provider)
    uvloop.run(server.serve(sockets=[listener]))


def serve_channel(registry: Registry, settings: Settings, channel: socket.socket) -> None:
    """Serve the connections that another process accepts and sends over a channel, until a signal or its end."""
    server = _ChannelServer(_config(registry, settings), channel)
    _heed_signals(server)
    uvloop.run(server.serve(sockets=[]))


def _config(registry: Registry, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(registry, settings),
        http=partial(  # type: ignore[arg-type]
            Protocol, door=partial(door, registry), patience=settings.read_timeout_s
        ),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )


def _heed_signals(server: uvicorn.Server) -> None:
    # uvicorn listens to signals only once it runs, and raises what stopped it once more when it is done: with its own
    # handler on both sides of that, no signal is lost and none ends the process before it is done
    signal.signal(signal.SIGINT, server.handle_exit)
    signal.signal(signal.SIGTERM, server.handle_exit)


class _ChannelServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, channel: socket.socket) -> None:
        super().__init__(config)
        self._channel = channel
        self._joining: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        asyncio.get_running_loop().add_reader(self._channel, self._receive)
        self._channel.sendall(READY)

    def _receive(self) -> None:
        """Take connections over; the end of the channel is the end of the server."""
        message, connections, _, _ = socket.recv_fds(self._channel, 1, CONNECTIONS_A_MESSAGE)
        loop = asyncio.get_running_loop()
        if not message:
            loop.remove_reader(self._channel)
            self.should_exit = True
        for descriptor in connections:
            task = loop.create_task(self._join(socket.socket(fileno=descriptor)))
            self._joining.add(task)
            task.add_done_callback(self._joining.discard)

    async def _join(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the client has left already
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol
