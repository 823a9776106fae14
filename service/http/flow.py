"""Back pressure on a connection, both ways."""

import asyncio
from collections.abc import Sized


class Flow:
    """Stops reading from a client, and tells when it does not read what it is sent.

    Nothing more is read while any of `requests` but the first waits for its turn.
    """

    def __init__(self, transport: asyncio.Transport, requests: Sized) -> None:
        self._requests = requests
        self._transport = transport
        self._reading = True
        self._writable = asyncio.Event()
        self._writable.set()

    @property
    def writable(self) -> bool:
        """Whether the client takes what it is sent."""
        return self._writable.is_set()

    async def drained(self) -> None:
        """Wait until the client takes more."""
        await self._writable.wait()

    def pause_reading(self) -> None:
        """Take no more from the client for now."""
        if self._reading:
            self._reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take more from the client again."""
        if not self._reading and len(self._requests) < 2:
            self._reading = True
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        """The client is behind."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client has caught up, or is gone."""
        self._writable.set()
