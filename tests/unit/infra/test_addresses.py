"""Addresses in settings: which are understood, and how they are written."""

import pytest

from services.infra.settings import Address, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("inventory:50052", Address("inventory", 50052)),
        ("[::1]:0", Address("::1", 0)),
        ("[fe80::1%eth0]:65535", Address("fe80::1%eth0", 65535)),
    ],
)
def test_an_address_is_written_as_it_was_read(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text", ["", ":80", "host", "host:", "host:x", "host:65536", "::1:80", "[::1]", "[host]:80", "[::1:80", "a b:80"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"host:port"):
        parse_address(text)
