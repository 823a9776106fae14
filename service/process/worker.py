"""A serving process that is one of several: the supervisor sends it connections and says when to stop."""

import asyncio
import itertools
import logging
import socket
from collections.abc import Coroutine
from typing import Any

import uvloop

from thimble.service.background import failed
from thimble.service.http.keys import Keys
from thimble.service.process.channel import MESSAGE_BYTES, Channel, Message, shortened
from thimble.service.process.server import Server, prepare
from thimble.service.process.tls import Certificate
from thimble.service.releases.registry import Registry
from thimble.service.releases.release import Release
from thimble.service.settings import Settings

# What the supervisor says is wrong, among the catalogue's faults.
FAULT = "workers"
# Why the other workers do not follow.
ALONE = "the supervisor has ended"
log = logging.getLogger("thimble")


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
    """The other workers, as far as they can be reached by way of the supervisor, which always answers or ends."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._numbers = itertools.count()
        self._answers: dict[int, asyncio.Future[list[str]]] = {}
        self._alone = False

    async def sync(self, model: str, release: Release | None) -> list[str]:
        """Have them serve a release of a model, or what is written down. Returns what kept them from it."""
        content = None if release is None else release.model_dump_json(exclude_defaults=True)
        if self._alone:
            return [ALONE]
        if content is not None and 2 * len(content) > MESSAGE_BYTES:
            return [f"a release of {len(content)} bytes is too long to be told to the other workers"]
        number = next(self._numbers)
        answer: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            self.channel.post("sync", number, model, content)
            return await answer
        finally:
            del self._answers[number]

    def synced(self, number: int, problems: list[str]) -> None:
        """The supervisor's answer."""
        if number in self._answers and not self._answers[number].done():
            self._answers[number].set_result(problems)

    def leave(self) -> None:
        """There is no supervisor any more."""
        self._alone = True
        for number in [*self._answers]:
            self.synced(number, [ALONE])


class _Worker(Server):
    siblings: _Siblings

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        await asyncio.gather(*self._receive())  # what changed while it loaded
        asyncio.get_running_loop().add_reader(self.siblings.channel.fileno(), self._receive)
        self.siblings.channel.post("ready")

    async def on_tick(self, counter: int) -> bool:
        self.siblings.channel.flush()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.siblings.channel.post("ending")
        await super().shutdown(sockets)

    def _receive(self) -> list[asyncio.Task[None]]:
        """Do what the supervisor has sent. Returns what was begun for it."""
        begun = []
        while (message := self.siblings.channel.receive()) is not None:
            if (work := self._obey(message)) is not None:
                begun.append(self.begin(work))
            if not message.words:
                break
        return begun

    def _obey(self, message: Message) -> Coroutine[Any, Any, None] | None:
        """Do what a message says, or return what is to be done for it."""
        siblings, catalogue = self.siblings, self._registry.catalogue
        match message.words:
            case ["connection", number]:
                self._take_or_return(number, message.connection)
            case ["ping"]:
                siblings.channel.post("pong")
            case ["sync", number, model, release]:
                return self._follow(number, model, release)
            case ["synced", number, problems]:
                siblings.synced(number, problems)
            case ["fault", None]:
                catalogue.faults.pop(FAULT, None)
            case ["fault", problem]:
                catalogue.faults[FAULT] = problem
            case ["drain"]:
                catalogue.draining = True
            case ["stop"]:
                self.drain(0)
            case []:
                asyncio.get_running_loop().remove_reader(siblings.channel.fileno())
                siblings.leave()
                self.drain(0)
        return None

    def _take_or_return(self, number: int, connection: socket.socket | None) -> None:
        if connection is not None and not self._state.closing:
            self.siblings.channel.post("taken", number)
            self.take(connection)
            return
        if connection is not None:
            connection.close()
        self.siblings.channel.post("returned", number)

    async def _follow(self, number: int, model: str, release: str | None) -> None:
        following = self._registry.changes.following
        problem: str | None = "it ends"
        try:
            if release is None:
                problem = await following.reconcile(model)
            else:
                problem = await following.apply(model, Release.model_validate_json(release))
        except Exception as error:
            failed("following a change", f"{model} stays as it is in this worker")
            problem = f"{type(error).__name__}: {error}"
        finally:
            self.siblings.channel.post("done", number, None if problem is None else shortened(problem))
