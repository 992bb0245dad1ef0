"""Network addresses of the form host:port, with IPv6 hosts in brackets."""

import ipaddress
import re
import socket
from typing import NamedTuple

_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[^\s\[\]]*:[^\s\[\]]*)\]|(?P<host>[^\s:\[\]]+)):(?P<port>[0-9]{1,5})")


class Address(NamedTuple):
    """A host and a port; port 0 asks the system for a free one."""

    host: str
    port: int

    @property
    def family(self) -> socket.AddressFamily:
        """The address family of a socket for it; IPv4 for a host name."""
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    def __str__(self) -> str:
        """Return host:port, an IPv6 host in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Return the address in `host:port` or `[IPv6]:port`. Raises ValueError."""
    found = _ADDRESS.fullmatch(text)
    if not found or int(found["port"]) > 65_535:
        raise ValueError("must be host:port, an IPv6 host in brackets as in [::1]:8080")
    return Address(found["ipv6"] or found["host"], int(found["port"]))


def ip_version(host: str) -> int | None:
    """Return 4 or 6 for an IP address, and None for a name."""
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
