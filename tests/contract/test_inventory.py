"""The contract of inventory, in process and over gRPC."""

from uuid import uuid4

import asyncpg
import pytest

from services.inventory.api import (
    CheckAvailability,
    ConfirmReservation,
    Delivery,
    GetStock,
    OutOfStock,
    ReleaseReservation,
    Reservation,
    ReservationExpired,
    ReservationNotFound,
    ReservationState,
    ReservationStateConflict,
    ReservationVoided,
    ReservedLine,
    Restock,
    ReturnStock,
    Shortage,
    SkuNotFound,
    StockLevel,
    StockLine,
)
from services.kernel.errors import RequestIdReused
from tests.contract.shop import Shop, available, gbp, request_id, reserve, stock


async def confirm(shop: Shop, reservation: Reservation) -> Reservation:
    """Confirm a reservation."""
    return await shop.inventory.confirm_reservation(ConfirmReservation(request_id(), reservation.reservation_id))


async def test_a_restock_returns_the_new_levels(shop: Shop) -> None:
    """The levels come in the order of the request, prices included."""
    lines = (Delivery("B", 5, gbp(100)), Delivery("A", 7, gbp(250)))
    levels = await shop.inventory.restock(Restock(request_id(), lines))
    assert levels == (StockLevel("B", 5, 0, gbp(100)), StockLevel("A", 7, 0, gbp(250)))


async def test_a_repeated_restock_adds_nothing(shop: Shop) -> None:
    """The same request id brings the goods once."""
    restock = Restock(request_id(), (Delivery("A", 7, gbp(250)),))
    assert await shop.inventory.restock(restock) == await shop.inventory.restock(restock)
    assert await available(shop, "A") == 7


async def test_a_known_sku_keeps_its_price_without_a_new_one(shop: Shop) -> None:
    """A delivery without a price leaves the price alone."""
    await stock(shop, A=1)
    (level,) = await shop.inventory.restock(Restock(request_id(), (Delivery("A", 2),)))
    assert level == StockLevel("A", 3, 0, gbp(250))


async def test_a_new_sku_without_a_price_is_unknown(shop: Shop) -> None:
    """All or nothing: the known one is not delivered either."""
    await stock(shop, A=1)
    with pytest.raises(SkuNotFound) as caught:
        await shop.inventory.restock(Restock(request_id(), (Delivery("A", 2), Delivery("B", 2))))
    assert caught.value == SkuNotFound(("B",))
    assert await available(shop, "A") == 1


async def test_a_reservation_holds_all_its_lines_with_prices(shop: Shop) -> None:
    """Reserved units are not available, and stay on hand."""
    await stock(shop, A=5, B=5)
    command = reserve(A=2, B=5)
    reservation = await shop.inventory.reserve_stock(command)
    assert reservation.reservation_id == command.reservation_id
    assert reservation.state is ReservationState.PENDING
    assert reservation.lines == (ReservedLine("A", 2, gbp(250)), ReservedLine("B", 5, gbp(250)))
    assert reservation.expire_time is not None
    assert (reservation.expire_time - reservation.create_time).total_seconds() == 60
    levels = await shop.inventory.get_stock(GetStock(("B", "A")))
    assert levels == (StockLevel("B", 5, 5, gbp(250)), StockLevel("A", 5, 2, gbp(250)))


async def test_short_stock_reserves_nothing_and_names_every_short_sku(shop: Shop) -> None:
    """The error holds all shortages, with requested and available units."""
    await stock(shop, A=5, B=1, C=0)
    command = reserve(A=5, B=2, C=1)
    with pytest.raises(OutOfStock) as caught:
        await shop.inventory.reserve_stock(command)
    assert caught.value == OutOfStock(command.reservation_id, (Shortage("B", 2, 1), Shortage("C", 1, 0)))
    assert await available(shop, "A") == 5


async def test_a_refusal_is_final_for_its_request(shop: Shop) -> None:
    """A repeat gets the first answer although there is stock now: all callers for one order must see one outcome."""
    await stock(shop, A=1)
    command = reserve(A=2)
    with pytest.raises(OutOfStock) as first:
        await shop.inventory.reserve_stock(command)
    await stock(shop, A=9)
    with pytest.raises(OutOfStock) as second:
        await shop.inventory.reserve_stock(command)
    assert second.value == first.value


async def test_unknown_skus_are_all_named(shop: Shop) -> None:
    """Unknown comes before short."""
    await stock(shop, A=1)
    command = reserve(X=1, A=2, Y=1)
    for _ in range(2):
        with pytest.raises(SkuNotFound) as caught:
            await shop.inventory.reserve_stock(command)
        assert caught.value == SkuNotFound(("X", "Y"))


async def test_a_repeated_reserve_holds_once(shop: Shop) -> None:
    """The repeat returns the same reservation."""
    await stock(shop, A=5)
    command = reserve(A=2)
    assert await shop.inventory.reserve_stock(command) == await shop.inventory.reserve_stock(command)
    assert await available(shop, "A") == 3


async def test_a_request_id_with_other_content_is_refused(shop: Shop) -> None:
    """The key belongs to the first content."""
    await stock(shop, A=5)
    command = reserve(A=2)
    await shop.inventory.reserve_stock(command)
    other = type(command)(command.request_id, command.reservation_id, (StockLine("A", 3),))
    with pytest.raises(RequestIdReused):
        await shop.inventory.reserve_stock(other)


async def test_a_reservation_id_is_used_once(shop: Shop) -> None:
    """Another request for the same reservation is refused."""
    await stock(shop, A=5)
    command = reserve(A=2)
    await shop.inventory.reserve_stock(command)
    with pytest.raises(RequestIdReused):
        await shop.inventory.reserve_stock(reserve(command.reservation_id, A=2))


async def test_confirming_sells(shop: Shop) -> None:
    """The units leave the shelf, once."""
    await stock(shop, A=5)
    reservation = await shop.inventory.reserve_stock(reserve(A=2))
    assert (await confirm(shop, reservation)).state is ReservationState.CONFIRMED
    assert (await confirm(shop, reservation)).state is ReservationState.CONFIRMED
    assert await shop.inventory.get_stock(GetStock(("A",))) == (StockLevel("A", 3, 0, gbp(250)),)


async def test_a_release_returns_the_stock(shop: Shop) -> None:
    """Once, however often it is repeated."""
    await stock(shop, A=5)
    reservation = await shop.inventory.reserve_stock(reserve(A=2))
    for _ in range(2):
        released = await shop.inventory.release_reservation(
            ReleaseReservation(request_id(), reservation.reservation_id)
        )
        assert released.state is ReservationState.RELEASED
    assert await available(shop, "A") == 5


async def test_a_release_before_the_reserve_voids_it(shop: Shop) -> None:
    """The late reserve fails and strands nothing."""
    await stock(shop, A=5)
    command = reserve(A=2)
    voided = await shop.inventory.release_reservation(ReleaseReservation(request_id(), command.reservation_id))
    assert voided.state is ReservationState.VOIDED
    with pytest.raises(ReservationVoided) as caught:
        await shop.inventory.reserve_stock(command)
    assert caught.value == ReservationVoided(command.reservation_id)
    assert await available(shop, "A") == 5


async def test_a_sold_reservation_is_returned_once(shop: Shop) -> None:
    """Returned goods are on the shelf again."""
    await stock(shop, A=5)
    reservation = await shop.inventory.reserve_stock(reserve(A=2))
    await confirm(shop, reservation)
    for _ in range(2):
        returned = await shop.inventory.return_stock(ReturnStock(request_id(), reservation.reservation_id))
        assert returned.state is ReservationState.RETURNED
    assert await shop.inventory.get_stock(GetStock(("A",))) == (StockLevel("A", 5, 0, gbp(250)),)


async def test_a_sold_reservation_is_not_released(shop: Shop) -> None:
    """The error says where the reservation is."""
    await stock(shop, A=5)
    reservation = await shop.inventory.reserve_stock(reserve(A=2))
    await confirm(shop, reservation)
    with pytest.raises(ReservationStateConflict) as caught:
        await shop.inventory.release_reservation(ReleaseReservation(request_id(), reservation.reservation_id))
    assert caught.value == ReservationStateConflict(reservation.reservation_id, ReservationState.CONFIRMED)


async def test_a_released_reservation_is_not_sold(shop: Shop) -> None:
    """A reservation leaves PENDING once."""
    await stock(shop, A=5)
    reservation = await shop.inventory.reserve_stock(reserve(A=2))
    await shop.inventory.release_reservation(ReleaseReservation(request_id(), reservation.reservation_id))
    with pytest.raises(ReservationStateConflict) as caught:
        await confirm(shop, reservation)
    assert caught.value == ReservationStateConflict(reservation.reservation_id, ReservationState.RELEASED)


async def test_a_released_reservation_keeps_its_prices(shop: Shop) -> None:
    """So that a repeat of what reserved it finds why it made no sale."""
    await stock(shop, A=5)
    command = reserve(A=2)
    reservation = await shop.inventory.reserve_stock(command)
    await shop.inventory.release_reservation(ReleaseReservation(request_id(), reservation.reservation_id))
    repeated = await shop.inventory.reserve_stock(command)
    assert (repeated.state, repeated.lines) == (ReservationState.RELEASED, reservation.lines)
    assert await shop.inventory.get_stock(GetStock(("A",))) == (StockLevel("A", 5, 0, gbp(250)),)


async def test_an_expired_reservation_returns_its_stock_unsold(shop: Shop) -> None:
    """Expiry is by the inventory database's clock, and is kept although the call fails."""
    await stock(shop, A=5)
    reservation = await shop.inventory.reserve_stock(reserve(A=2))
    connection = await asyncpg.connect(shop.inventory_dsn)
    await connection.execute("UPDATE reservations SET expire_time = now() - interval '1 second'")
    await connection.close()
    for _ in range(2):
        with pytest.raises(ReservationExpired) as caught:
            await confirm(shop, reservation)
        assert caught.value == ReservationExpired(reservation.reservation_id)
    assert await available(shop, "A") == 5


async def test_an_unknown_reservation_is_not_found(shop: Shop) -> None:
    """Neither to confirm nor to return."""
    unknown = uuid4()
    with pytest.raises(ReservationNotFound) as caught:
        await shop.inventory.confirm_reservation(ConfirmReservation(request_id(), unknown))
    assert caught.value == ReservationNotFound(unknown)
    with pytest.raises(ReservationNotFound):
        await shop.inventory.return_stock(ReturnStock(request_id(), unknown))


async def test_availability_is_a_hint_that_reserves_nothing(shop: Shop) -> None:
    """It names what is short now."""
    await stock(shop, A=5, B=1)
    shortages = await shop.inventory.check_availability(CheckAvailability((StockLine("A", 5), StockLine("B", 2))))
    assert shortages == (Shortage("B", 2, 1),)
    assert await available(shop, "A") == 5


async def test_the_level_of_an_unknown_sku_is_not_found(shop: Shop) -> None:
    """Every unknown SKU is named."""
    with pytest.raises(SkuNotFound) as caught:
        await shop.inventory.get_stock(GetStock(("X", "Y")))
    assert caught.value == SkuNotFound(("X", "Y"))


async def test_the_largest_reservation_fits_the_wire(shop: Shop) -> None:
    """1,500 lines of the longest SKUs are delivered, reserved, and refused with all their shortages."""
    skus = [f"{index:04d}".ljust(64, "X") for index in range(1_500)]
    await stock(shop, **dict.fromkeys(skus, 1))
    assert len((await shop.inventory.reserve_stock(reserve(None, **dict.fromkeys(skus, 1)))).lines) == 1_500
    with pytest.raises(OutOfStock) as caught:
        await shop.inventory.reserve_stock(reserve(None, **dict.fromkeys(skus, 10_000)))
    assert caught.value.shortages == tuple(Shortage(sku, 10_000, 0) for sku in skus)
