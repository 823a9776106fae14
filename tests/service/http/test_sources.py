"""Whose requests are taken for one client's."""

import pytest

from thimble.service.http.sources import source_of


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("a proxy: it says so", "a proxy: it says so"),
        ("", ""),
    ],
)
def test_an_address_or_its_network(host: str, source: str) -> None:
    assert source_of((host, 4711)) == source


def test_a_client_without_an_address() -> None:
    assert source_of(None) is None
