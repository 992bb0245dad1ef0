"""Ports of the platform's processes, and checks that they are free."""

import contextlib
import errno
import functools
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from services.infra.address import Address
from services.local.processes.errors import PortTaken

LOOPBACKS = ("127.0.0.1", "::1")
# Below the ephemeral ports of Linux and macOS.
UNASSIGNED_PORTS = range(20_000, 32_768)
PORTS_A_PROCESS = 4
PURPOSES = (
    "REST edge",
    "order gRPC",
    "inventory gRPC",
    "order admin",
    "inventory admin",
    "OTLP receiver",
    "PostgreSQL",
    "notification admin",
    "NATS",
)


@dataclass(frozen=True, slots=True)
class Ports:
    """Port of each listener; 0 lets the process choose a free one."""

    edge_http: int = 0
    order_grpc: int = 0
    inventory_grpc: int = 0
    order_admin: int = 0
    inventory_admin: int = 0
    otlp_http: int = 0
    postgres: int = 0
    notification_admin: int = 0
    nats: int = 0


@functools.cache
def loopback() -> str:
    """Return the host that all processes listen on: 127.0.0.1, or ::1 where that is absent."""
    return first_present(LOOPBACKS)


def local_address(port: int) -> Address:
    """Return the address of a port on the loopback."""
    return Address(loopback(), port)


def first_present(hosts: Sequence[str]) -> str:
    """Return the first host that a socket can be bound to; if there is none, the first, whose error says why."""
    for host in hosts:
        with contextlib.suppress(OSError), _bound(Address(host, 0)):
            return host
    return hosts[0]


def documented_ports(port_base: int) -> Ports:
    """Return the ports from `port_base` on, in the documented order. Raises PortTaken if one is used or not allowed."""
    if not 1024 <= port_base <= 65535 - len(PURPOSES) + 1:
        raise PortTaken(f"--port-base {port_base} is out of range: choose 1024 to {65535 - len(PURPOSES) + 1}.")
    for offset, purpose in enumerate(PURPOSES):
        _require_free(port_base + offset, purpose=purpose)
    return Ports(*(port_base + offset for offset in range(len(PURPOSES))))


def _require_free(port: int, *, purpose: str) -> None:
    try:
        with _bound(local_address(port)):
            pass
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        reason = "is taken by another process" if taken else f"cannot be used ({error.strerror})"
        raise PortTaken(
            f"port {port} ({purpose}) {reason}. Stop that process, or choose other ports with --port-base "
            f"({len(PURPOSES)} in a row are used)."
        ) from error


def unassigned_port(*, purpose: str) -> int:
    """Return a free port outside of the ephemeral range, so that it can be passed to other processes before its use.

    Concurrent processes begin to search at different ports. Raises PortTaken.
    """
    first = os.getpid() * PORTS_A_PROCESS % len(UNASSIGNED_PORTS)
    for offset in range(len(UNASSIGNED_PORTS)):
        port = UNASSIGNED_PORTS[(first + offset) % len(UNASSIGNED_PORTS)]
        with contextlib.suppress(PortTaken):
            _require_free(port, purpose=purpose)
            return port
    raise PortTaken(f"all ports are taken from {UNASSIGNED_PORTS[0]} to {UNASSIGNED_PORTS[-1]} is taken.")


def free_port() -> int:
    """Return a port that is free now; another process may take it, so its user must retry with another."""
    with _bound(local_address(0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _bound(address: Address) -> socket.socket:
    """Return a socket that is bound and does not listen. Raises OSError."""
    probe = socket.socket(address.family)
    try:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
    except OSError:
        probe.close()
        raise
    return probe
