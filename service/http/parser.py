"""Bytes from a client to requests of HTTP/1.1, by httptools' parser."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

import httptools

from thimble.models.conversions import shown
from thimble.service.errors import RequestError
from thimble.service.http.headers import Headers, joined
from thimble.service.http.replies import Header

HEADER_BYTES = 64 << 10
# Of a few bytes each they would weigh seventeen times what was sent, on each of a thousand connections.
MOST_HEADERS = 256
log = logging.getLogger("thimble")


@dataclass(slots=True)
class Head:
    """What comes before a request's body."""

    method: bytes
    url: bytes
    version: str
    headers: Headers
    keep_alive: bool

    @property
    def path(self) -> str:
        """As it was sent, without the query."""
        return self.url.partition(b"?")[0].decode("latin-1")

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits to be asked for the body."""
        return self.version == "1.1" and self.headers.get(b"expect", b"").lower() == b"100-continue"


class RequestParser:
    """Tells of each request its head, the parts of its body as they come, and its end.

    `in_headers` and `in_body` say what is under way.
    """

    def __init__(
        self,
        root_path: bytes,
        on_head: Callable[[Head], None],
        on_body: Callable[[bytes], None],
        on_end: Callable[[], None],
    ) -> None:
        """`root_path` is taken off what is asked for. What `on_head` raises ends the parsing."""
        self._root_path = root_path
        self.in_headers = self.in_body = False
        self._on_head = on_head
        self._on_part = on_body
        self._on_end = on_end
        self._url = b""
        self._headers: list[Header] = []
        self._bytes = 0
        self._parser = self._new_parser()

    def feed(self, data: bytes) -> None:
        """RequestError: this is not HTTP, or not as we speak it."""
        self._bytes += len(data)
        pieces: list[bytes | memoryview] = [data]  # the next one is the last
        while pieces:
            piece = pieces.pop()
            try:
                self._parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:
                # The parser takes what follows such headers for another protocol, and so would lose the body, or read
                # it as the next request: the request is read anew without its Upgrade.
                pieces += [memoryview(piece)[upgrade.args[0] :], self._head_without_upgrade()]
                self._parser = self._new_parser()
            except httptools.HttpParserError as error:
                found = error.__context__
                if found is None:
                    raise _not_http(str(error)) from None
                if isinstance(found, RequestError):
                    raise found from None
                log.error("a request could not be taken", exc_info=found)
                raise RequestError(500, "internal error, see the server's log", unread=True) from None
        if self.in_headers:
            _check_size(self._bytes)

    def close(self) -> None:
        """Let go of what refers back to this, and so would keep all of it until garbage is collected."""
        del self._parser, self._on_head, self._on_part, self._on_end

    # what httptools calls

    def on_message_begin(self) -> None:
        self._url, self._headers, self._bytes = b"", [], 0
        self.in_headers = True

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_headers:  # else it is a trailer, behind a chunked body
            self._headers.append((name.lower(), value))
            if len(self._headers) > MOST_HEADERS:
                raise RequestError(431, f"there are more than {MOST_HEADERS} headers", unread=True)

    def on_headers_complete(self) -> None:
        _check_size(len(self._url) + sum(map(len, chain.from_iterable(self._headers))))
        parser = self._parser
        method, version = parser.get_method(), parser.get_http_version()
        if parser.should_upgrade():
            if method == b"CONNECT":
                raise RequestError(400, "CONNECT is not supported: this is no proxy", unread=True)
            return
        headers = {name: value.rstrip() for name, value in self._headers}
        if len(headers) < len(self._headers):
            headers = joined(self._headers)
            self._check_host(version)
        elif b"host" not in headers:
            self._check_host(version)
        if b"transfer-encoding" in headers:
            self._check_framing(headers)
        keep_alive = version != "1.0" and parser.should_keep_alive()
        url = _below(self._root_path, self._url) if self._root_path else self._url
        self._on_head(Head(method, url, version, headers, keep_alive))
        self.in_headers, self.in_body = False, True

    def on_body(self, body: bytes) -> None:
        if not self._parser.should_upgrade():
            self._on_part(body)

    def on_message_complete(self) -> None:
        if not self._parser.should_upgrade():
            self.in_body = False
            self._on_end()

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        parser.set_dangerous_leniencies(
            lenient_chunked_length=True,  # of these two `_check_framing` says what is wrong
            lenient_transfer_encoding=True,
            lenient_data_after_close=True,  # it is refused after the answer before it
        )
        return parser

    def _head_without_upgrade(self) -> bytes:
        version = self._parser.get_http_version().encode()
        headers = [b"%s: %s\r\n" % header for header in self._headers if header[0] != b"upgrade"]
        return b"".join([b"%s %s HTTP/%s\r\n" % (self._parser.get_method(), self._url, version), *headers, b"\r\n"])

    def _check_framing(self, headers: Headers) -> None:
        """What comes in chunks is in no other coding, and nothing else says where it ends.

        RequestError: 501 another coding, 400 a length is given as well, as where a request hides in another.
        """
        # As it was sent: the parser itself takes it for chunked with no other blanks than spaces behind it.
        sent = b", ".join(value for name, value in self._headers if name == b"transfer-encoding")
        if sent.rstrip(b" ").lower() != b"chunked":
            message = f"Transfer-Encoding {shown(sent.rstrip(b' ').decode('latin-1'))} is not supported, only chunked"
            raise RequestError(501, message, unread=True)
        if b"content-length" in headers:
            raise _not_http("it has both Content-Length and Transfer-Encoding")

    def _check_host(self, version: str) -> None:
        """RFC 9112, 3.2: a request of HTTP/1.1 has one Host."""
        hosts = sum(name == b"host" for name, _ in self._headers)
        if hosts > 1 or (not hosts and version == "1.1"):
            raise RequestError(400, f"a request has one Host header, this one has {hosts or 'none'}", unread=True)


def _below(root_path: bytes, url: bytes) -> bytes:
    """A request's target without a path before it, where it has that."""
    rest = url.removeprefix(root_path)
    return (b"" if rest[:1] == b"/" else b"/") + rest if rest[:1] in (b"", b"/", b"?") else url


def split_url(url: bytes) -> tuple[bytes, bytes]:
    """Path and query of a request's target. RequestError 400: it is no path."""
    try:
        parsed = httptools.parse_url(url)
    except httptools.HttpParserInvalidURLError:
        parsed = None
    if parsed is None or not parsed.path:
        raise _not_http("its target is not a path")
    return parsed.path, parsed.query or b""


def _not_http(reason: str) -> RequestError:
    return RequestError(400, f"this is not an HTTP/1.1 request: {reason}", unread=True)


def _check_size(size: int) -> None:
    if size > HEADER_BYTES:
        raise RequestError(431, f"the headers are larger than {HEADER_BYTES} bytes", unread=True)
