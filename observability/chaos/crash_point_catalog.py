"""Catalogue of crash points: where each process can be killed, around every commit, call, append and send.

The names are those that services/infra/crash_points.py passes under the campaign's load. Tests compare the catalogue
with the code, and with the points that a run has passed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from observability.testbed.process_group import MOVER_PROCESS
from services.local.platform.endpoints import Bus, Mode


class Trigger(Enum):
    """What makes a serving process pass a point."""

    NONE = "the load alone"
    WIPE_LOG = "the event log is emptied, and is another log afterwards"
    TRUNCATE_LOG = "the event log loses its last events, and is the same log afterwards"
    DRAIN = "the process is stopped with SIGTERM"
    PAUSE_INVENTORY = "the inventory process is paused for longer than any caller waits"


@dataclass(frozen=True, slots=True)
class Point:
    """A crash point.

    name: as in the code.
    most_passages: a kill comes at a passage from 1 to this one.
    provocation: what makes the process pass it.
    """

    name: str
    most_passages: int = 3
    trigger: Trigger = Trigger.NONE


def commits(*names: str, most_passages: int = 3, trigger: Trigger = Trigger.NONE) -> tuple[Point, ...]:
    """Return the points before and after the COMMIT of each transaction."""
    return tuple(
        Point(f"{name}.{when}_commit", most_passages, trigger) for name in names for when in ("before", "after")
    )


def calls(*names: str) -> tuple[Point, ...]:
    """Return the points before and after each call to another process."""
    return tuple(Point(f"{name}.{when}_call") for name in names for when in ("before", "after"))


INVENTORY = (
    *commits("reserve_stock", "confirm_reservation", "release_reservation", "return_stock", "expire_reservation"),
    *commits("restock", most_passages=1),
)
ORDERS = (
    *commits("place_order", "settle_order", "request_cancellation"),
    *commits("claim_sagas", most_passages=2),
)
CALLS_TO_INVENTORY = calls("ReserveStock", "ConfirmReservation", "ReleaseReservation", "ReturnStock")
# An attempt of the saga worker fails for certain only if inventory is paused, else by chance.
POSTPONED = commits("postpone_saga", most_passages=1, trigger=Trigger.PAUSE_INVENTORY)
RELAY = (
    *commits("relay.take_lease", "relay.mark_published", most_passages=2),
    Point("relay.before_append"),
    Point("relay.after_append"),
    Point("event_log.appended"),
    *commits("relay.give_up_lease", most_passages=1, trigger=Trigger.DRAIN),
    *commits("relay.republish", most_passages=1, trigger=Trigger.WIPE_LOG),
)
# The first process that reads an emptied log begins another: the relay, or a consumer.
EMPTY_POSTGRES_LOG = commits("event_log.begin", most_passages=1, trigger=Trigger.WIPE_LOG)
POSTGRES_LOG = (
    *commits("event_log.append"),
    *commits("event_log.reset", most_passages=1, trigger=Trigger.TRUNCATE_LOG),
)
SUMMARIES = (
    *commits("consume.order_summaries"),
    *commits("rewind.order_summaries", most_passages=1, trigger=Trigger.WIPE_LOG),
)
NOTIFICATION = (
    *commits("consume.notification", "notification.send"),
    *commits("rewind.notification", most_passages=1, trigger=Trigger.WIPE_LOG),
    Point("notification.before_send"),
    Point("notification.after_send"),
)
# Of the program that moves logical shards, in order.
MOVER = (
    *commits("shard_move.begin", "shard_move.fence_target", "shard_move.empty_target", most_passages=1),
    *commits("shard_move.publish", most_passages=1),
    Point("shard_move.slot_created", most_passages=1),
    *commits("shard_move.subscribe", most_passages=1),
    Point("shard_move.paused", most_passages=1),
    *commits("shard_move.order_events", "shard_move.fence_source", most_passages=1),
    Point("shard_move.drained", most_passages=1),
    *commits("shard_move.activate", "shard_move.flip", most_passages=1),
    Point("shard_move.slot_dropped", most_passages=1),
    *commits("shard_move.clean", "shard_move.end", most_passages=1),
)

# Points that no campaign reaches, each with the reason.
OUTSIDE: Mapping[str, str] = {
    "park.order_summaries": "an event that cannot be consumed, which the shop never writes",
    "park.notification": "an event that cannot be consumed, which the shop never writes",
    "park_saga": "a step that inventory rejects for good, which the shop never requests",
    "replay_sagas": "a tool that a person runs",
    "dead_letters.replay": "a tool that a person runs",
    "shard_move.unsubscribe": "a replication slot that was lost",
    "shard_move.take_back": "a server that does not follow within two seconds",
    "rebuild.begin": "a tool that a person runs",
    "rebuild.take": "a tool that a person runs",
    "rebuild.swap": "a tool that a person runs",
}


def points_of(mode: Mode, bus: Bus, *, moves: bool = False) -> dict[str, tuple[Point, ...]]:
    """Return the points of each process, or of the mover alone, in a campaign of `moves`.

    The order process holds the relay and the read model's consumer.
    """
    if moves:
        return {MOVER_PROCESS: MOVER}
    publishing, reading = (POSTGRES_LOG, EMPTY_POSTGRES_LOG) if bus == "postgres" else ((), ())
    orders = (*ORDERS, *RELAY, *publishing, *SUMMARIES, *reading)
    if mode == "monolith":
        return {"monolith": (*INVENTORY, *orders, *NOTIFICATION)}
    return {
        "inventory": INVENTORY,
        "order": (*orders, *CALLS_TO_INVENTORY, *POSTPONED),
        "notification": (*NOTIFICATION, *reading),
    }
