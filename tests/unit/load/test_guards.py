"""Tests of the settings for a platform with and without its guards."""

from observability.load.options import LoadOptions
from observability.testbed.guard_settings import CONNECTIONS, GUARDED, GUARDS, UNGUARDED
from services.infra.http_server import EDGE, edge_limits
from services.inventory.settings import InventorySettings
from services.order.settings import OrderSettings


def test_each_guard_is_a_setting_of_a_service() -> None:
    settings = {
        f"{prefix}_{name.upper()}"
        for prefix, kind in (("ORDER", OrderSettings), ("INVENTORY", InventorySettings))
        for name in kind.model_fields
    }
    assert {*GUARDS, CONNECTIONS} <= settings
    assert GUARDED.keys() == UNGUARDED.keys() == {*GUARDS, CONNECTIONS}


def test_an_unguarded_edge_takes_all_generator_connections() -> None:
    """Its usual limit would reject customers in a measurement without rejections."""
    limits = edge_limits(int(UNGUARDED[CONNECTIONS]))
    assert EDGE.connections_per_address < limits.connections_per_address
    assert limits.connections_per_address >= LoadOptions(target="", seed=1, run_nonce="").maximum_connections


def test_with_guards_the_edge_has_its_usual_limits() -> None:
    assert edge_limits(int(GUARDED[CONNECTIONS])) == EDGE
    assert OrderSettings.model_fields["http_connections"].default == EDGE.connections
