"""Tests of the drill's registry: every alert has a fault that makes it fire, or a reason why not."""

from typing import Any

from observability.alert_drill.faults.process import READERS
from observability.alert_drill.faults.registry import FAULTS, NO_COLLECTOR, NOT_DRILLED, SHARD_FAULTS
from observability.prometheus.build.rule_files import rule_documents
from services.infra.admission import SHARES, SLOTS_PER_CONNECTION, Priority
from services.order.settings import OrderSettings
from tests.stack.test_collector_alerts import FAULTS as BEHIND_THE_COLLECTOR


def test_every_alert_has_one_fault_or_a_reason() -> None:
    drilled = [fault.alert for fault in (*FAULTS, *SHARD_FAULTS)]
    assert sorted([*drilled, *NOT_DRILLED]) == sorted(alerts())


def test_alerts_without_a_case_fire_in_a_test_of_the_stack() -> None:
    assert sorted(fault.alert for fault in BEHIND_THE_COLLECTOR) == sorted(
        name for name, reason in NOT_DRILLED.items() if reason == NO_COLLECTOR
    )


def test_the_lock_blocks_more_readers_than_the_edge_has_slots() -> None:
    """Requests are rejected whatever the load of the drill is."""
    slots = SLOTS_PER_CONNECTION * OrderSettings.model_fields["database_pool_size"].default
    assert SHARES[Priority.READ] * slots < READERS


def alerts() -> set[str]:
    """Return the names of all alerts."""
    documents: Any = rule_documents().values()
    return {
        rule["alert"]
        for document in documents
        for group in document["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
