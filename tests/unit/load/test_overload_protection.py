"""Tests of the settings for a platform with and without overload protection."""

from observability.load.options import LoadOptions
from observability.testbed.overload_protection import CONNECTIONS, PROTECTED, SWITCHES, UNPROTECTED
from services.infra.http_server import EDGE, edge_limits
from services.inventory.settings import InventorySettings
from services.order.settings import OrderSettings


def test_each_switch_is_a_setting_of_a_service() -> None:
    settings = {
        f"{prefix}_{name.upper()}"
        for prefix, kind in (("ORDER", OrderSettings), ("INVENTORY", InventorySettings))
        for name in kind.model_fields
    }
    assert {*SWITCHES, CONNECTIONS} <= settings
    assert PROTECTED.keys() == UNPROTECTED.keys() == {*SWITCHES, CONNECTIONS}


def test_an_unprotected_edge_takes_all_generator_connections() -> None:
    """Its usual limit would reject customers in a measurement without rejections."""
    limits = edge_limits(int(UNPROTECTED[CONNECTIONS]))
    assert EDGE.connections_per_address < limits.connections_per_address
    assert limits.connections_per_address >= LoadOptions(target="", seed=1, run_nonce="").maximum_connections


def test_a_protected_edge_has_its_usual_limits() -> None:
    assert edge_limits(int(PROTECTED[CONNECTIONS])) == EDGE
    assert OrderSettings.model_fields["http_connections"].default == EDGE.connections
