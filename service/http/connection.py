"""uvicorn's HTTP protocol, with errors in our form and in turn, limits on senders, and a door for the overload."""

import asyncio
from collections import deque
from itertools import chain
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from thimble.service.errors import RequestError
from thimble.service.http.exchange import Answerer, Door, Exchange

HEADER_BYTES = 64 << 10
# Of a body, before the application asks for more.
READ_AHEAD_BYTES = 1 << 20
# Requests that may wait for their turn on one connection; none of them is read before.
PIPELINED = 256

# How answers begin that something follows: all but 100 Continue.
HEADS = (b"HTTP/1.1 2", b"HTTP/1.1 3", b"HTTP/1.1 4", b"HTTP/1.1 5")


class State(ServerState):
    """What the connections of a server share."""

    closing = False


class Protocol(HttpToolsProtocol):
    """Answers requests, and what is none, in the order in which they came.

    The headers have to arrive within `patience` seconds, and so has what is left of a body that nobody waits for any
    more; who reads a body has a limit of its own. A client that does not take its answers for so long is left. Between
    requests a connection stays as long as uvicorn's `timeout_keep_alive` says.

    What the door refuses costs a fraction of a request that reaches the application: its body is passed over, and the
    connection goes on. A server that is asked for several times of what it can do has no time for more. What the door
    has an answerer for does not reach the application either, unless it comes in parts or its body is not for that.
    """

    _in_headers = False
    _in_body = False
    _header_bytes = 0
    _idle_since: float | None = None
    _idle_end: asyncio.TimerHandle | None = None
    _late: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None
    _running: "RequestResponseCycle | Exchange | None" = None
    _turned_away = False
    _answerer: Answerer | None = None
    _body = b""
    _last_words: RequestError | None = None

    def __init__(self, *, server_state: State, door: Door, patience: float, **named: Any) -> None:
        super().__init__(server_state=server_state, **named)
        self._state = server_state
        self._door = door
        self._patience = patience

    def connection_made(self, transport: Any) -> None:
        self._output = _OneWrite(transport)
        super().connection_made(self._output)  # type: ignore[arg-type]
        self.flow = _Flow(transport, self.pipeline)
        self._watch()
        if self._state.closing:  # while it shook hands for TLS
            self.shutdown()

    def eof_received(self) -> None:
        """The connection counts as lost a little later, when the request may have been scored already."""
        self._disconnect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        if self._idle_end is not None:
            self._idle_end.cancel()
        self.resume_writing()
        self._disconnect()  # uvicorn tells the request that came last, which may wait behind this one
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck = self.loop.call_later(self._patience, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def data_received(self, data: bytes) -> None:
        if self._last_words is not None:
            return
        self._header_bytes += len(data)
        try:
            self._parse(data)
            if self._answerer is not None:
                self._let_in()
            if self._in_headers:
                self._check_headers(self._header_bytes)
        except RequestError as error:
            self._refuse(error)
        else:
            self._watch()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers = True
        self._header_bytes = 0
        self._turned_away = False

    def on_headers_complete(self) -> None:
        self._check_headers(len(self.url) + sum(map(len, chain.from_iterable(self.headers))))
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise RequestError(400, "CONNECT is not supported: this is no proxy", unread=True)
            return
        verdict = self._door(self.url.decode("latin-1"), self.headers) if self._at_door() else None
        if isinstance(verdict, RequestError):
            self._turned_away = True
            self._write(verdict)
        elif verdict is not None and self.parser.get_http_version() == "1.1":
            self._answerer, self._body = verdict, b""
        elif len(self.pipeline) == PIPELINED:
            raise RequestError(400, f"{PIPELINED} requests wait on this connection already", unread=True)
        else:
            super().on_headers_complete()
        self._in_headers, self._in_body = False, True
        self._in_time()

    def on_body(self, body: bytes) -> None:
        """uvicorn's, but it stops reading later: at 64 KiB a few hundred rows would come in two parts."""
        if self._answerer is not None:
            self._body += body
            return
        if self._turned_away or self.parser.should_upgrade() or self.cycle.response_complete:
            return
        self.cycle.body += body
        if len(self.cycle.body) > READ_AHEAD_BYTES:
            self.flow.pause_reading()
        self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._in_body = False
        self._in_time()
        answerer = self._answerer
        if answerer is not None and answerer.takes(self._body):
            self._answerer = None
            exchange = Exchange(self, self.headers, self._body)
            self.cycle = self._running = exchange  # type: ignore[assignment]
            answerer.begin(exchange)
            return
        if answerer is not None:
            self._let_in()
        if not self._turned_away:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """uvicorn's, with clocks of our own."""
        self._output.flush()
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self._close()
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._last_words is not None:
            self._hang_up()
            return
        self._watch()

    def shutdown(self) -> None:
        """uvicorn's. TLS's farewell is no more waited for than an answer to be taken."""
        super().shutdown()
        if self.transport.is_closing():
            self._close(max(self._patience - self._idle(), 0))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _let_in(self) -> None:
        """Leave a request to the application after all."""
        self._answerer = None
        super().on_headers_complete()
        self.on_body(self._body)

    def _at_door(self) -> bool:
        """The client expects an answer now, takes it, and then goes on."""
        return (
            self._all_answered()
            and not self.flow.write_paused
            and self.parser.get_method() == b"POST"
            and self.parser.should_keep_alive()
            and not self.expect_100_continue
        )

    def _all_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _parse(self, data: bytes | memoryview) -> None:
        """RequestError: this is not HTTP, or not as we speak it."""
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                data = memoryview(data)[upgrade.args[0] :]
                self._decline_upgrade()
            except httptools.HttpParserError as error:
                if isinstance(error.__context__, RequestError):
                    raise error.__context__ from None
                reason = str(error) if error.__context__ is None else "its target is not a path"
                raise RequestError(400, f"this is not an HTTP/1.1 request: {reason}", unread=True) from None

    def _decline_upgrade(self) -> None:
        """Read the request anew without its Upgrade.

        The parser takes what follows such headers for another protocol, and so would lose the body, or read it as the
        next request.
        """
        line = b"%s %s HTTP/%s\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        headers = [b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parser.feed_data(b"".join([line, *headers, b"\r\n"]))

    def _check_headers(self, size: int) -> None:
        if size > HEADER_BYTES:
            raise RequestError(431, f"the headers are larger than {HEADER_BYTES} bytes", unread=True)

    def _watch(self) -> None:
        """Let a clock run wherever the client is the one to go on."""
        self._idle_since = None
        if (self._in_headers and not self.pipeline) or (self._in_body and self._all_answered()):
            self._late = self._late or self.loop.call_later(self._patience, self._too_late)
        elif self._all_answered():
            self._idle_since = self.loop.time()
            if self._idle_end is None:
                self._idle_end = self.loop.call_later(self.timeout_keep_alive, self._end_idling)

    def _end_idling(self) -> None:
        """Close if it has been idle all the time; one clock for many requests is cheaper than one for each."""
        self._idle_end = None
        if self._idle_since is None:
            return
        left = self.timeout_keep_alive - self._idle()
        if left > 0:
            self._idle_end = self.loop.call_later(left, self._end_idling)
        else:
            self._close()

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _too_late(self) -> None:
        self._refuse(RequestError(408, f"the headers did not arrive within {self._patience:g} s", unread=True))

    def _refuse(self, error: RequestError) -> None:
        """Answer the request that is coming in with an error, after all those before it, and close."""
        self._last_words = error
        self._in_time()
        if self._in_headers:
            if self._all_answered():
                self._hang_up()
        elif self.pipeline:  # it waits for its turn
            self.pipeline.popleft()
        elif self._turned_away or self.cycle.response_started:  # without the rest of its body
            self._close()
        else:
            self._hang_up()
            self._disconnect()

    def _disconnect(self) -> None:
        if self._running is not None:
            self._running.disconnected = True
            self._running.message_event.set()

    def _hang_up(self) -> None:
        assert self._last_words is not None
        if not self.transport.is_closing():
            self._write(self._last_words)
            self._close()

    def _idle(self) -> float:
        """Seconds since the last answer."""
        return 0 if self._idle_since is None else self.loop.time() - self._idle_since

    def _close(self, patience: float | None = None) -> None:
        """Close once the client has taken what was written, or has had the time to."""
        self._in_time()
        self._idle_since = None
        self.transport.close()
        self._late = self.loop.call_later(self._patience if patience is None else patience, self.transport.abort)

    def _write(self, error: RequestError) -> None:
        body = error.body
        head = [STATUS_LINE[error.status], b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body)]
        head += [f"{name}: {value}\r\n".encode() for name, value in error.headers.items()]
        self.transport.write(b"".join([*head, b"\r\n", body]))


class _Flow(FlowControl):
    """Reads no more while requests wait for their turn; each of them that runs would else have it read on."""

    def __init__(self, transport: asyncio.Transport, pipeline: deque[Any]) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        if not self._pipeline:
            super().resume_reading()


class _OneWrite:
    """A transport that sends the head of an answer along with what follows it.

    uvicorn writes the two apart, and a write to a socket costs as much as reading a whole request.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def write(self, data: bytes) -> None:
        if data.startswith(HEADS) and data.endswith(b"\r\n\r\n"):
            self._head = data
        else:
            self._transport.write(self._head + data)
            self._head = b""

    def flush(self) -> None:
        """Send a head that nothing follows, as in an answer to HEAD."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
