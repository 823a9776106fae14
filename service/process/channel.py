"""What the supervisor and its workers tell each other.

A message is a list: a word and what belongs to it. To a worker:

    connection              comes along with it
    sync NUMBER MODEL       serve what is written down for the model
    synced PROBLEMS         the other workers do, but for these reasons
    drain                   the server will stop soon
    stop                    answer what you have and stop

To the supervisor:

    ready                   the worker serves
    sync MODEL              what is written down for the model has changed
    done NUMBER PROBLEM     the worker serves it, or, where PROBLEM is not null, why not
"""

import socket
from collections.abc import Sequence
from typing import Any

import orjson

MESSAGE_BYTES = 64 << 10
# File descriptors that one message may carry.
CONNECTIONS_A_MESSAGE = 16


class Channel:
    """One end of a connection between the supervisor and a worker."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    @classmethod
    def pair(cls) -> "tuple[Channel, Channel]":
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), cls(theirs)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, *message: Any, connections: Sequence[socket.socket] = ()) -> bool:
        """False if nobody listens any more."""
        try:
            socket.send_fds(self._socket, [orjson.dumps(message)], [it.fileno() for it in connections])
        except OSError:
            return False
        return True

    def receive(self) -> tuple[list[Any], list[socket.socket]]:
        """The next message and its connections; an empty message is the end."""
        try:
            message, descriptors, _, _ = socket.recv_fds(self._socket, MESSAGE_BYTES, CONNECTIONS_A_MESSAGE)
        except ConnectionError:
            return [], []
        return orjson.loads(message) if message else [], [socket.socket(fileno=it) for it in descriptors]

    def close(self) -> None:
        self._socket.close()
