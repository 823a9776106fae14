"""A request that an ASGI application answers."""

import asyncio
import logging
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Scope

from thimble.service.http.exchange import Exchange, Link
from thimble.service.http.parser import Head, split_url
from thimble.service.http.replies import CLOSE, Client, Reply, client_at

# Of a body, before the application asks for more.
READ_AHEAD_BYTES = 256 << 10
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# No Content and Not Modified end with their headers.
BODILESS = (204, 304)
FAILED = Reply.of(500, [(b"content-type", b"text/plain; charset=utf-8"), CLOSE], b"Internal Server Error")
log = logging.getLogger("thimble")


class ApplicationExchange(Exchange):
    """The server's side of one ASGI request."""

    def __init__(self, link: Link, app: ASGIApp, head: Head, client: Client | None) -> None:
        """RequestError 400: what it asks for is no path."""
        super().__init__(link, head.keep_alive)
        self._app = app
        self._scope = _scope(head, link.transport, client)
        self._expects_continue = head.expects_continue
        self._body = bytearray()
        self._more_body = True
        self._news = asyncio.Event()
        self._unsent = b""
        self._chunked = False

    def start(self) -> None:
        task = asyncio.get_running_loop().create_task(self._run())
        self._link.state.tasks.add(task)
        task.add_done_callback(self._link.state.tasks.discard)

    def feed(self, body: bytes) -> None:
        """A part of its body has come."""
        if not self.answered:
            self._body += body
            if len(self._body) > READ_AHEAD_BYTES:
                self._link.pause_reading()
            self._news.set()

    def feed_end(self) -> None:
        """Its body is whole."""
        self._more_body = False
        self._news.set()

    def leave(self) -> None:
        super().leave()
        self._news.set()

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        except Exception as error:
            log.error("Exception in ASGI application", exc_info=error)
        if not (self.answered or self.left):
            if self.started and not self._unsent:  # half of an answer cannot be taken back
                self._link.transport.abort()
            else:
                self.reply(FAILED)

    async def _receive(self) -> Message:
        if self._expects_continue and not self._link.transport.is_closing():
            self._link.transport.write(CONTINUE)
        self._expects_continue = False
        if not (self.left or self.answered):
            self._link.resume_reading()
            await self._news.wait()
            self._news.clear()
        if self.left or self.answered:
            return {"type": "http.disconnect"}
        body, self._body = bytes(self._body), bytearray()
        return {"type": "http.request", "body": body, "more_body": self._more_body}

    async def _send(self, message: Message) -> None:
        await self._link.writable.wait()
        if self.left:
            return
        self._expects_continue = False
        if message["type"] == "http.response.start":
            self._begin(message["status"], [*message["headers"]])
            return
        body = b"" if self._scope["method"] == "HEAD" else message.get("body", b"")
        more = message.get("more_body", False)
        if self._chunked:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
        # the head goes along: a write to a socket costs as much as reading a whole request
        self._link.transport.write(self._unsent + body)
        self._unsent = b""
        if not more:
            self._news.set()
            self._end()

    def _begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        sized = any(name == b"content-length" for name, _ in headers)
        if not (sized or status in BODILESS or self._scope["method"] == "HEAD" or self._scope["http_version"] != "1.1"):
            self._chunked = True
            headers.append((b"transfer-encoding", b"chunked"))
        self._unsent = self._head(status, headers)


def address(transport: asyncio.Transport, end: str) -> Client | None:
    """Host and port of one end of a connection, None if it has none."""
    return client_at(transport.get_extra_info(end))


def _scope(head: Head, transport: asyncio.Transport, client: Client | None) -> Scope:
    path, query = split_url(head.url)
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": head.version,
        "server": address(transport, "sockname"),
        "client": client,
        "scheme": "https" if transport.get_extra_info("sslcontext") else "http",
        "method": head.method.decode("ascii"),
        "root_path": "",
        "path": unquote(path.decode("ascii")),
        "raw_path": path,
        "query_string": query,
        "headers": [*head.headers.items()],
        "state": {},
    }
