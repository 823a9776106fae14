"""Requests beside the load, which go the way that the load goes: straight to the server.

Locust takes no proxy of the environment and follows no redirect. Neither do these, or a load test would describe one
server and measure another.
"""

import urllib.request
from http.client import HTTPResponse
from typing import Any


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())


def open_url(request: urllib.request.Request | str, seconds: float) -> HTTPResponse:
    """The answer, to be closed. urllib's HTTPError: one that is no 2xx. OSError: none, or not within `seconds`."""
    response: HTTPResponse = _OPENER.open(request, timeout=seconds)
    return response
