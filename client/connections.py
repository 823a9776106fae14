"""Where a server is, how it is reached, and by how many connections."""

from ipaddress import IPv6Address, ip_address

import httpx

CONNECTIONS = 16
"""Requests of one client that are under way at once. Further ones wait for their turn, and no time of theirs runs.

More make one process slower, not faster: httpx looks at all of them for every request.
"""

LIMITS = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)


def server_url(text: str) -> httpx.URL:
    """ValueError: not the URL of a server."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ValueError(f"{text!r} is no URL: {error}") from None
    if url.scheme not in ("http", "https") or not url.host or (url.port or 0) > 0xFFFF:
        raise ValueError(f"{text!r} is no URL of a server, such as http://127.0.0.1:8000")
    return url


def bearer(key: str | None) -> dict[str, str]:
    """The header that carries an API key. ValueError, which does not show it: no header can."""
    if key is None:
        return {}
    if not key or key != key.strip() or not key.isascii() or not key.isprintable():
        raise ValueError("the key is empty, or has a blank or a line end that no header can carry")
    return {"authorization": f"Bearer {key}"}


def transport(url: httpx.URL) -> httpx.HTTPTransport | None:
    """What goes to this machine straight, past any proxy of the environment; None where the environment decides."""
    return httpx.HTTPTransport(limits=LIMITS) if _on_this_machine(url.host) else None


def async_transport(url: httpx.URL) -> httpx.AsyncHTTPTransport | None:
    """As `transport`."""
    return httpx.AsyncHTTPTransport(limits=LIMITS) if _on_this_machine(url.host) else None


def _on_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified
