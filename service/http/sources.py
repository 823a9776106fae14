"""Whose requests are taken for one client's."""

from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network

from thimble.service.http.replies import Client

# One client's share of IPv6, in bits: a network has any number of addresses within it.
PREFIX_BITS = 64


def source_of(client: Client | None) -> str | None:
    """A client's address, or its network where that is IPv6; None without one, as at a Unix socket."""
    if client is None:
        return None
    host = client[0]
    return _network(host) if ":" in host else host


@lru_cache(maxsize=1024)
def _network(host: str) -> str:
    """Of an IPv6 address, unless it stands for an IPv4 one; what is no address is taken as it is."""
    try:
        address = IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((address, PREFIX_BITS), strict=False))
