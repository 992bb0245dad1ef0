"""Verification: checks all invariants, I1 to I8, over the shop's databases and its event log."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from observability.invariants.effects import Effects, list_files
from observability.invariants.event_histories import check_histories
from observability.invariants.idempotency_keys import check_keys
from observability.invariants.placement import check_no_move, check_placement
from observability.invariants.projections import I7, check_cursor, check_summaries
from observability.invariants.publication import I6, Publication, is_whole
from observability.invariants.reservations import Agreement
from observability.invariants.saga_completion import check_completion
from observability.invariants.snapshot_reader import Reader, reader, snapshot
from observability.invariants.stock import check_stock
from observability.invariants.target import CONSUMERS, Check, InvariantChecks, Tally, VerifyTarget
from observability.telemetry.telemetry import unobserved
from services.infra.messaging.consumer import cursor_name
from services.infra.messaging.log import EventLog
from services.infra.messaging.message import LogState
from services.infra.messaging.open_log import open_logs

# Checks that need a quiescent shop.
LEFT_OUT = {
    "I3": "whether all orders are finished",
    "I4": "whether none is PENDING",
    "I6": "whether none waits to be published",
    "I7": "whether the list is up to date",
    "I8": "whether all customers are notified, and no event is parked",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """Snapshots of the shop, in reading order: effects before their causes, so that checks hold under load too.

    An effect in an early snapshot has its cause in a later one. Inventory is last for the same reason: an order's final
    state is stored after its reservation's.

    files: names of the confirmations.
    consumers: the consumers' databases, by name.
    orders: the order databases of all servers.
    logs, heads: the event log of each, and its state.
    inventory: inventory's database.
    now: the order databases as they are at each query.
    """

    files: frozenset[str]
    consumers: Mapping[str, Reader]
    orders: Reader
    logs: Sequence[EventLog]
    heads: Sequence[LogState]
    inventory: Reader
    now: Reader

    @classmethod
    async def open(cls, target: VerifyTarget, stack: AsyncExitStack) -> "Views":
        """Open all snapshots in reading order, to be closed with the stack."""
        files = list_files(target.notifications_directory)
        consumers = {name: await stack.enter_async_context(snapshot(target.databases[name])) for name in CONSUMERS}
        orders = await stack.enter_async_context(snapshot(*target.order_dsns))
        logs = await open_logs(
            target.event_log_urls,
            telemetry=unobserved("verify"),
            stack=stack,
            allow_unsafe_sync=target.event_log_allow_unsafe_sync,
        )
        heads = [await log.state() for log in logs]
        return cls(
            files=files,
            consumers=consumers,
            orders=orders,
            logs=logs,
            heads=heads,
            inventory=await stack.enter_async_context(snapshot(target.databases["inventory"])),
            now=await stack.enter_async_context(reader(*target.order_dsns)),
        )

    def servers(self) -> Iterator[tuple[Reader, Reader, EventLog, LogState]]:
        """Yield each server of orders: its database, the same as it is at each query, its log, and the log's state."""
        pairs = zip(self.orders.connections, self.now.connections, self.logs, self.heads, strict=True)
        for orders, now, log, head in pairs:
            yield Reader([orders]), Reader([now]), log, head


async def verify(target: VerifyTarget) -> InvariantChecks:
    """Check every invariant. Raises OSError, asyncpg.PostgresError, MoveUnderWay, or a ServiceError of the log.

    In a shop that is not quiescent, only what holds at every moment is checked.
    """
    quiet = target.quiet
    async with AsyncExitStack() as stack:
        views = await Views.open(target, stack)
        orders, inventory, now = views.orders, views.inventory, views.now
        await check_no_move(orders)
        effects = Effects(
            consumers=views.consumers,
            orders=orders,
            folder=target.notifications_directory,
            files_before=views.files,
            quiet=quiet,
        )
        i1, i4 = await check_stock(inventory, quiet=quiet)
        tallies = (
            i1,
            await check_orders_once(orders),
            await check_completion(orders, quiet=quiet),
            i4,
            await Agreement(orders=orders, inventory=inventory, now=now).check(),
            await check_publication(views, quiet=quiet),
            await check_projections(views, quiet=quiet),
            await effects.check(),
        )
    checks = [tally.check() for tally in tallies]
    return InvariantChecks(tuple(checks if quiet else map(with_skipped, checks)))


def with_skipped(check: Check) -> Check:
    """Return the result with the checks that a shop under load skips."""
    skipped = "; ".join(filter(None, (LEFT_OUT.get(check.name, ""), check.skipped)))
    return replace(check, skipped=skipped)


async def check_orders_once(orders: Reader) -> Tally:
    """Check the idempotency keys, and that each order is where its keys are looked for."""
    i2 = await check_keys(orders)
    await check_placement(orders, i2)
    return i2


async def check_projections(views: Views, *, quiet: bool) -> Tally:
    """Check the orders' rows, the list of orders, and the consumers' cursors."""
    i7 = Tally("I7", I7)
    await check_histories(views.orders, i7)
    await check_summaries(views.consumers["order_read"], views.orders, i7, quiet=quiet)
    for number, (orders, _, _, head) in enumerate(views.servers()):
        if quiet or await is_whole(orders, head):
            for database, consumer in CONSUMERS.items():
                await check_cursor(cursor_name(consumer, number), views.consumers[database], head, i7, quiet=quiet)
        else:
            i7.skipped("the cursors in the log, which has lost events and is filled again")
    return i7


async def check_publication(views: Views, *, quiet: bool) -> Tally:
    """Check the event log of each server of orders."""
    i6 = Tally("I6", I6)
    for orders, now, log, head in views.servers():
        publication = Publication(orders=orders, now=now, everywhere=views.now, log=log, head=head, tally=i6)
        await publication.check(quiet=quiet)
    return i6
