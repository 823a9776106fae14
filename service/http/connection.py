"""A client's connection: requests are answered in the order in which they came, and clocks run where it may stall."""

import asyncio
from collections import deque
from typing import Any

from thimble.service.errors import RequestError
from thimble.service.http.asgi import ApplicationExchange, address
from thimble.service.http.exchange import Exchange, Link
from thimble.service.http.parser import Head, RequestParser
from thimble.service.http.replies import Client, Reply
from thimble.service.http.serving import Call, Serving

# Requests that may wait for their turn on one connection; none of them is read before.
PIPELINED = 256
# That a client has to take the refusal of its connection, where more than a write to the socket is needed, as for TLS.
REFUSED_SECONDS = 1.0


class Connection(asyncio.Protocol):
    """Answers requests, and what is none, in the order in which they came.

    The headers have to arrive within `patience`, and so has what is left of a body that nobody waits for any more; who
    reads a body has a limit of its own. What is refused at its headers costs a fraction of a request that is read: its
    body is passed over, and the connection goes on. A server that is asked for several times of what it can do has no
    time for more.
    """

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._state = serving.state
        self._loop = asyncio.get_running_loop()
        self._parser = RequestParser(serving.root_path, self._on_head, self._on_body, self._on_end)
        self._transport: asyncio.Transport
        self._link: Link
        self._peer: Client | None = None
        # not yet answered: the first is being answered, the others wait
        self._exchanges: deque[Exchange] = deque()
        # the request that comes in
        self._head: Head
        self._refused = False
        self._call: Call | None = None
        self._body = b""
        self._incoming: Exchange | None = None
        # what is told when all before it is answered, and ends the connection
        self._last_words: RequestError | None = None
        self._late: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None
        self._abort: asyncio.TimerHandle | None = None
        self._idle_since: float | None = None
        self._idle_end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._link = Link(self._state, transport, self._exchanges, self._on_answered)
        self._peer = address(transport, "peername")
        if len(self._state.connections) >= (limit := self._serving.max_connections):
            self._last_words = RequestError(
                429, f"{limit} connections are open already, the limit", retry_after=REFUSED_SECONDS, unread=True
            )
            self._hang_up(REFUSED_SECONDS)
            return
        self._state.connections.add(self)
        self._watch()
        if self._state.closing:  # while it shook hands for TLS
            self.shutdown()

    def eof_received(self) -> None:
        """The connection counts as lost a little later, when the request may have been scored already."""
        self._leave()

    def connection_lost(self, exc: Exception | None) -> None:
        self._state.connections.discard(self)
        for timer in (self._late, self._stuck, self._idle_end, self._abort):
            if timer is not None:
                timer.cancel()
        self._link.writable.set()
        self._leave()
        self._parser.close()
        del self._link.on_answered  # it refers to this; nobody who has left is answered

    def pause_writing(self) -> None:
        self._link.writable.clear()
        self._stuck = self._loop.call_later(self._serving.patience, self._transport.abort)

    def resume_writing(self) -> None:
        self._link.writable.set()
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def data_received(self, data: bytes) -> None:
        if self._last_words is not None:
            return
        try:
            self._parser.feed(data)
            if self._call is not None:  # its body comes in parts
                self._hand_over()
        except RequestError as error:
            self._refuse(error)
        else:
            self._watch()

    def _on_head(self, head: Head) -> None:
        self._in_time()
        self._head, self._refused = head, self._transport.is_closing()
        if self._refused:  # the answer before it was the last
            return
        taken = self._ask_small_requests(head) if self._may_be_small(head) else None
        if taken is None:
            self._append_application()
        elif isinstance(taken, Reply):
            self._refused = True
            self._exchange().reply(taken)
        else:
            self._call = taken

    def _on_body(self, body: bytes) -> None:
        if self._call is not None:
            self._body += body
        elif isinstance(self._incoming, ApplicationExchange) and not self._refused:
            self._incoming.feed(body)

    def _on_end(self) -> None:
        self._in_time()
        if self._call is not None:
            call, body, exchange = self._call, self._body, self._exchange()
            self._call, self._body = None, b""
            call.begin(body, exchange.gone, exchange.reply)
        elif isinstance(self._incoming, ApplicationExchange) and not self._refused:
            self._incoming.feed_end()

    def _may_be_small(self, head: Head) -> bool:
        """The client expects an answer now, takes it, and then goes on."""
        return (
            not self._exchanges
            and self._link.writable.is_set()
            and head.method == b"POST"
            and head.version == "1.1"
            and head.keep_alive
            and b"expect" not in head.headers
        )

    def _ask_small_requests(self, head: Head) -> Reply | Call | None:
        client = self._peer
        if b"x-forwarded-for" in head.headers:
            client = self._serving.client_of(client, head.headers[b"x-forwarded-for"])
        return self._serving.small_requests(head.path, head.headers, client)

    def _exchange(self) -> Exchange:
        exchange = self._incoming = Exchange(self._link, keep_alive=True)
        self._exchanges.append(exchange)
        return exchange

    def _append_application(self) -> None:
        if len(self._exchanges) > PIPELINED:
            raise RequestError(400, f"{PIPELINED} requests wait on this connection already", unread=True)
        exchange = self._incoming = ApplicationExchange(self._link, self._serving.app, self._head, self._peer)
        self._exchanges.append(exchange)
        if len(self._exchanges) == 1:
            exchange.start()
        else:
            self._link.pause_reading()

    def _hand_over(self) -> None:
        """Leave a request to the application after all."""
        body, self._call, self._body = self._body, None, b""
        self._append_application()
        self._on_body(body)

    def _on_answered(self) -> None:
        self._state.total_requests += 1
        self._exchanges.popleft()
        if self._transport.is_closing():
            self._close()
            return
        self._link.resume_reading()
        if self._exchanges:
            self._exchanges[0].start()
        elif self._last_words is not None:
            self._hang_up()
            return
        self._watch()

    def shutdown(self) -> None:
        """The server stops: what is being answered is the last."""
        if self._exchanges:
            self._exchanges[-1].keep_alive = False
        else:
            self._transport.close()
        if self._transport.is_closing():  # TLS says farewell, which is waited for no longer than an answer to be taken
            self._close(max(self._serving.patience - self._idle(), 0))

    def _refuse(self, error: RequestError) -> None:
        """Answer the request that is coming in with an error, after all those before it, and close."""
        self._last_words = error
        self._in_time()
        if self._parser.in_headers:
            if not self._exchanges:
                self._hang_up()
        elif len(self._exchanges) > 1:  # it waits for its turn
            self._exchanges.pop()
        elif self._refused or self._incoming is None or self._incoming.started:  # without the rest of its body
            self._close()
        else:
            self._hang_up()
            self._leave()

    def _leave(self) -> None:
        for exchange in self._exchanges:
            exchange.leave()

    def _hang_up(self, patience: float | None = None) -> None:
        assert self._last_words is not None
        if not self._transport.is_closing():
            reply = Reply.to(self._last_words)
            if self._serving.log is not None:
                reply.headers.append(self._serving.log.refuse(self._last_words, self._peer))
            self._transport.write(self._state.head(reply.status, reply.headers) + reply.body)
            self._close(patience)

    def _close(self, patience: float | None = None) -> None:
        """Close once the client has taken what was written, or has had the time to."""
        self._in_time()
        self._idle_since = None
        self._transport.close()
        if self._abort is not None:
            self._abort.cancel()
        seconds = self._serving.patience if patience is None else patience
        self._abort = self._loop.call_later(seconds, self._transport.abort)

    def _watch(self) -> None:
        """Let a clock run wherever the client is the one to go on."""
        self._idle_since = None
        parser, unanswered = self._parser, len(self._exchanges)
        if (parser.in_headers and unanswered < 2) or (parser.in_body and not unanswered):
            self._late = self._late or self._loop.call_later(self._serving.patience, self._too_late)
        elif not unanswered:
            self._idle_since = self._loop.time()
            if self._idle_end is None:
                self._idle_end = self._loop.call_later(self._serving.keep_alive, self._end_idling)

    def _end_idling(self) -> None:
        """Close if it has been idle all the time; one clock for many requests is cheaper than one for each."""
        self._idle_end = None
        if self._idle_since is not None:
            left = self._serving.keep_alive - self._idle()
            if left > 0:
                self._idle_end = self._loop.call_later(left, self._end_idling)
            else:
                self._close()

    def _idle(self) -> float:
        """Seconds since the last answer."""
        return 0 if self._idle_since is None else self._loop.time() - self._idle_since

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _too_late(self) -> None:
        message = f"the headers did not arrive within {self._serving.patience:g} s"
        self._refuse(RequestError(408, message, unread=True))
