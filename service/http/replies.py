"""What is answered, however it is sent."""

from typing import NamedTuple, Self

from starlette.types import Send

Header = tuple[bytes, bytes]


class Reply(NamedTuple):
    status: int
    headers: list[Header]
    body: bytes

    @classmethod
    def of(cls, status: int, headers: list[Header], body: bytes) -> Self:
        """With its Content-Length."""
        return cls(status, [*headers, (b"content-length", b"%d" % len(body))], body)


async def send_reply(send: Send, reply: Reply) -> None:
    """Answer an ASGI request."""
    await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
    await send({"type": "http.response.body", "body": reply.body})
