"""What the supervisor and its workers tell each other.

A message is a list: a word and what belongs to it. To a worker:

    connection NUMBER               comes along with it
    ping                            is it there?
    sync NUMBER MODEL RELEASE       serve this release of the model, null for what is written down
    synced NUMBER PROBLEMS          the other workers do, but for these reasons
    fault PROBLEM                   why requests should go elsewhere, null for no reason any more
    drain                           the server will stop soon
    stop                            answer what you have and stop

To the supervisor:

    ready                           the worker serves
    pong                            it is there
    taken NUMBER                    the worker has the connection
    returned NUMBER                 it has not, as it has no file descriptor for it or is about to end
    sync NUMBER MODEL RELEASE       the worker serves it now, and the others are to follow
    done NUMBER PROBLEM             the worker serves it, but for this reason, null for none
    ending                          it takes no more connections, and ends when it has answered what it has
"""

import errno
import logging
import socket
from collections import deque
from typing import Any, NamedTuple

import orjson

MESSAGE_BYTES = 64 << 10
# A problem in a message, and how many of them: a message has to be shorter than MESSAGE_BYTES, however it is escaped.
PROBLEM_CHARACTERS, PROBLEMS = 500, 16
# There is no room for a message now, but there will be.
_FULL = {errno.EAGAIN, errno.EINTR, errno.ENOBUFS, errno.ENOMEM}
log = logging.getLogger("thimble")


class Message(NamedTuple):
    """What was received; no `words` are the end of the channel.

    A connection that was sent along is None where this process could have no file descriptor for it.
    """

    words: list[Any]
    connection: socket.socket | None = None


class Channel:
    """One end of a connection between the supervisor and a worker. It never waits, or raises for what a peer did."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._socket = end
        self._posted: deque[bytes] = deque()

    @classmethod
    def pair(cls) -> "tuple[Channel, Channel]":
        """OSError: there are too many open files."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), cls(theirs)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, *message: Any, connection: socket.socket | None = None) -> bool:
        """Send a message now. False: it did not go, as there is no room or nobody listens."""
        self.flush()
        return not self._posted and self._send(orjson.dumps(message), connection) is None

    def post(self, *message: Any) -> None:
        """Send a message as soon as there is room for it, which `flush` finds out."""
        self._posted.append(orjson.dumps(message))
        self.flush()

    def flush(self) -> None:
        """Send what was posted, as far as there is room."""
        while self._posted:
            error = self._send(self._posted[0], None)
            if error in _FULL:
                return
            if error not in {None, errno.EPIPE, errno.ECONNRESET, errno.EBADF}:  # the peer has not simply ended
                log.error("a message of %d bytes was not sent: %s", len(self._posted[0]), errno.errorcode.get(error))
            self._posted.popleft()

    def receive(self) -> Message | None:
        """The next message, None if there is none now."""
        try:
            content, descriptors, _, _ = socket.recv_fds(self._socket, MESSAGE_BYTES, 1)
        except OSError as error:
            return None if error.errno in _FULL else Message([])
        connection = socket.socket(fileno=descriptors[0]) if descriptors else None
        try:
            words = orjson.loads(content) if content else []
        except orjson.JSONDecodeError:
            log.error("a message of %d bytes or more cannot be read", len(content))
            words = ["unreadable"]
        return Message(words, connection)

    def close(self) -> None:
        self._socket.close()

    def _send(self, content: bytes, connection: socket.socket | None) -> int | None:
        """The number of the error, None if it went."""
        try:
            socket.send_fds(self._socket, [content], [] if connection is None else [connection.fileno()])
        except OSError as error:
            return error.errno
        return None


def shortened(problem: str) -> str:
    """A problem as it fits into a message, whatever is in it."""
    return problem[:PROBLEM_CHARACTERS].encode("utf-8", "replace").decode()
