"""A serving process that is one of several: the supervisor sends it connections and says when to stop."""

import asyncio
import socket

import uvloop

from thimble.service.http.keys import Keys
from thimble.service.process.channel import Channel
from thimble.service.process.server import Server, prepare
from thimble.service.process.tls import Certificate
from thimble.service.releases.registry import Registry
from thimble.service.settings import Settings


def serve_channel(settings: Settings, keys: Keys, certificate: Certificate | None, channel: Channel) -> None:
    """Load the models and serve the connections that the supervisor sends, until it says stop or ends.

    StartupError, FatalError, UnfinishedError.
    """
    prepare()
    uvloop.run(_serve(settings, keys, certificate, channel))


async def _serve(settings: Settings, keys: Keys, certificate: Certificate | None, channel: Channel) -> None:
    siblings = _Siblings(channel)
    registry = await Registry.open(settings, siblings.sync)
    server = _Worker(registry, settings, keys, certificate)
    server.siblings = siblings
    server.heed_signals(lambda *_: None)  # the supervisor says when to stop
    await server.serve(sockets=[])
    registry.close()
    server.check_ending()


class _Siblings:
    """The other workers, as far as they can be reached by way of the supervisor."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._asking = asyncio.Lock()
        self._answer: asyncio.Future[list[str]] | None = None

    async def sync(self, model: str) -> list[str]:
        async with self._asking:
            self._answer = asyncio.get_running_loop().create_future()
            self.channel.send("sync", model)
            return await self._answer

    def synced(self, problems: list[str]) -> None:
        """The supervisor's answer."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(problems)


class _Worker(Server):
    siblings: _Siblings

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        asyncio.get_running_loop().add_reader(self.siblings.channel.fileno(), self._receive)
        self.siblings.channel.send("ready")

    def _receive(self) -> None:
        message, connections = self.siblings.channel.receive()
        for connection in connections:
            self.take(connection)
        match message:
            case [] | ["stop"]:
                asyncio.get_running_loop().remove_reader(self.siblings.channel.fileno())
                self.drain(0)
            case ["drain"]:
                self._registry.catalogue.draining = True
            case ["sync", number, model]:
                self.begin(self._sync(number, model))
            case ["synced", problems]:
                self.siblings.synced(problems)

    async def _sync(self, number: int, model: str) -> None:
        self.siblings.channel.send("done", number, await self._registry.changes.reconcile(model))
