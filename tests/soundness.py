"""Invariant checks for a shop under test, by the product's own checker."""

from observability.invariants.snapshot_reader import snapshot
from observability.invariants.stock import check_stock
from observability.invariants.target import VerifyTarget
from observability.invariants.verification import verify
from tests.contract.shop import Shop
from tests.postgres import SHARD


def target_of(shop: Shop, *, quiet: bool = True) -> VerifyTarget:
    """Return the shop as something to verify."""
    logs = [shop.dsns[name] for name in ("event_log", *SHARD) if name.startswith("event_log") and name in shop.dsns]
    return VerifyTarget(databases=shop.dsns, event_log_url=logs[0], shard_event_log_urls=logs[1:], quiet=quiet)


async def violations(shop: Shop) -> list[str]:
    """Wait until the shop has no work left; return its violations. A sound shop has none."""
    await shop.settle()
    await shop.catch_up()
    return (await verify(target_of(shop))).sentences()


async def stock_violations(inventory_dsn: str) -> list[str]:
    """Return the violations of inventory alone, where reservations may be PENDING and belong to no order."""
    async with snapshot(inventory_dsn) as inventory:
        tallies = await check_stock(inventory, quiet=False)
    return [sentence for tally in tallies for sentence in tally.check().violations]
