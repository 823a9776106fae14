"""The door for scoring requests that are small and come whole: they are scored without the application.

A task, a scope and a dozen steps of coroutines cost as much as reading a row and scoring it.
"""

from thimble.service.errors import RequestError
from thimble.service.http import paths
from thimble.service.http.headers import Headers
from thimble.service.http.replies import Client, Reply
from thimble.service.http.scoring import Scoring, ScoringCall

# uvloop reads 256,000 bytes at most. What is larger comes in parts, and those the application gathers.
MOST_BYTES = 250_000


class SmallRequests:
    """Says of a request with a path and headers what is to be done with it, before its body is there."""

    def __init__(self, scoring: Scoring, tracing: bool, cross_origin: bool) -> None:
        """With `tracing` all that are not refused go to the application, which makes their spans; with `cross_origin`
        all from pages do, which it tells what they may read."""
        self._scoring = scoring
        self._tracing = tracing
        self._cross_origin = cross_origin
        self._most_bytes = min(MOST_BYTES, scoring.max_text_bytes)

    def __call__(self, path: str, headers: Headers, client: Client | None) -> Reply | ScoringCall | None:
        """The refusal of a server that is overloaded, or what scores the body; None: the application is to answer."""
        target = paths.parse(path)
        if target is None or (self._cross_origin and b"origin" in headers):
            return None
        call = ScoringCall(self._scoring, target, path, headers, client, {})
        try:
            call.admit()
        except RequestError:
            return None  # the application says it, in the same words, and may know the path by another spelling
        if (refusal := call.overload()) is not None:
            return refusal
        return call if self._is_small(headers) else None

    def _is_small(self, headers: Headers) -> bool:
        length = headers.get(b"content-length")
        whole = length is not None and b"content-encoding" not in headers
        return whole and not self._tracing and int(length or 0) <= self._most_bytes
