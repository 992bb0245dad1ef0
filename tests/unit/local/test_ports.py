"""Documented ports, and messages about ports that cannot be used."""

import socket
import subprocess
import sys

import pytest

from services.local.processes.errors import PortTaken
from services.local.servers.ports import Ports, documented_ports, first_present, free_port, local_address, loopback


def free_row_of_ports() -> int:
    """Return the first of nine free ports in a row."""
    while True:
        try:
            base = free_port()
            documented_ports(base)
        except PortTaken:
            continue
        return base


def test_the_ports_follow_the_base_in_the_documented_order() -> None:
    base = free_row_of_ports()
    assert documented_ports(base) == Ports(
        edge_http=base,
        order_grpc=base + 1,
        inventory_grpc=base + 2,
        order_admin=base + 3,
        inventory_admin=base + 4,
        otlp_http=base + 5,
        postgres=base + 6,
        notification_admin=base + 7,
        nats=base + 8,
    )


def test_a_taken_port_is_named_with_its_purpose_and_the_way_out() -> None:
    base = free_row_of_ports()
    with socket.socket(local_address(0).family) as taken:
        taken.bind(local_address(base + 2))
        taken.listen()
        with pytest.raises(PortTaken, match=rf"port {base + 2} \(inventory gRPC\) is taken .* --port-base"):
            documented_ports(base)


@pytest.mark.parametrize("base", [-1, 0, 65530, 70000])
def test_a_base_out_of_range_is_refused(base: int) -> None:
    with pytest.raises(PortTaken, match="out of range"):
        documented_ports(base)


ABSENT = "192.0.2.1"  # of the addresses that no machine has: RFC 5737


def test_the_first_host_that_is_present_is_taken() -> None:
    present = loopback()
    assert first_present([ABSENT, present]) == present


def test_without_any_the_first_is_taken_whose_error_says_why() -> None:
    assert first_present([ABSENT, "2001:db8::1"]) == ABSENT


def test_no_socket_is_opened_at_import() -> None:
    program = """
import sys
sys.addaudithook(lambda name, _: name.startswith("socket.") and sys.exit(name))
import services.local.platform.plan
import services.local.servers.nats, services.local.servers.postgres, services.local.servers.valkey
"""
    subprocess.run([sys.executable, "-c", program], check=True)
