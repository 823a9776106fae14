"""Whether the server that this environment describes is ready: python -m thimble.service.probe.

For the HEALTHCHECK of containers, which runs it every few seconds beside the server: the standard library only, so that
it starts in a moment. Exit status 0 if it is ready, else 1 and a sentence.
"""

import os
import ssl
import sys
from http.client import HTTPConnection, HTTPException, HTTPSConnection

SECONDS = 2
ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to ask a server that listens everywhere


def main() -> None:
    host = os.environ.get("THIMBLE_HOST") or "127.0.0.1"
    port = os.environ.get("THIMBLE_PORT") or "8000"
    if not port.isdecimal():
        sys.exit(f"THIMBLE_PORT is {port!r}, no port")
    connection = _connection(ANY.get(host, host), int(port))
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        said = response.read().decode()
    except (OSError, HTTPException) as error:
        sys.exit(f"no answer from {host} port {port}: {error}")
    if response.status != 200:
        sys.exit(said)


def _connection(host: str, port: int) -> HTTPConnection:
    if not os.environ.get("THIMBLE_TLS_CERT"):
        return HTTPConnection(host, port, timeout=SECONDS)
    # its certificate is for the name that clients use, and nothing secret is said
    context = ssl._create_unverified_context()  # noqa: S323
    return HTTPSConnection(host, port, timeout=SECONDS, context=context)


if __name__ == "__main__":
    main()
