"""Addresses in settings: accepted forms and formatting."""

import pytest

from services.infra.address import Address, parse_address
from services.infra.settings import check_targets


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


@pytest.mark.parametrize(
    "text", ["inventory:50052", "[::1]:50052", "127.0.0.1:1", "127.0.0.1:1,127.0.0.1:2", "[::1]:1,[::1]:2"]
)
def test_targets_that_grpc_can_reach_are_taken(text: str) -> None:
    assert check_targets(text) == text


@pytest.mark.parametrize("text", ["a:1,b:2", "127.0.0.1:1,b:2", "[::1]:1,b:2", "127.0.0.1:1,[::1]:2"])
def test_several_targets_must_be_addresses_of_one_ip_version(text: str) -> None:
    """They were taken at the start, and each call failed then."""
    with pytest.raises(ValueError, match=r"several targets must be IP addresses.*; for names, give one name"):
        check_targets(text)
