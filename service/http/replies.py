"""What is answered, however it is sent."""

from http import HTTPStatus
from typing import NamedTuple, Self

from starlette.types import Send

from thimble.service.errors import RequestError

Header = tuple[bytes, bytes]
Client = tuple[str, int]
"""Who asks: host and port."""
CLOSE: Header = (b"connection", b"close")
# Of every status that there is, named or not.
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
STATUS_LINES = {code: f"HTTP/1.1 {code} {_PHRASES.get(code, '')}\r\n".encode() for code in range(100, 600)}


class Reply(NamedTuple):
    """A whole answer; `headers` have its Content-Length."""

    status: int
    headers: list[Header]
    body: bytes

    @classmethod
    def of(cls, status: int, headers: list[Header], body: bytes) -> Self:
        """With its Content-Length."""
        return cls(status, [*headers, (b"content-length", b"%d" % len(body))], body)

    @classmethod
    def to(cls, error: RequestError) -> Self:
        """What a refused request is answered."""
        headers = [(name.encode(), value.encode()) for name, value in error.headers.items()]
        return cls.of(error.status, [*headers, (b"content-type", b"application/json")], error.body)


def client_at(address: object) -> Client | None:
    """Host and port, as a socket tells them; None where it has none.

    An IPv4 address is written as such, also where a socket of IPv6 serves it.
    """
    return (str(address[0]).removeprefix("::ffff:"), int(address[1])) if isinstance(address, tuple) else None


async def send_reply(send: Send, reply: Reply) -> None:
    await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
    await send({"type": "http.response.body", "body": reply.body})
