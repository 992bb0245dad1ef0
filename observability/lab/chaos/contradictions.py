"""Did the shop contradict itself? Compares all that customers were told with each other and with what was kept."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from observability.lab.chaos.requests import Answer, Cancel, Exchange, KeptOrder, Place, Read

# Where an order may be when somebody looks later.
LATER = {
    "PENDING": frozenset({"PENDING", "CONFIRMED", "REJECTED", "CANCELLED"}),
    "CONFIRMED": frozenset({"CONFIRMED", "CANCELLED"}),
    "REJECTED": frozenset({"REJECTED"}),
    "CANCELLED": frozenset({"CANCELLED"}),
}
ENDS = frozenset({"CONFIRMED", "REJECTED", "CANCELLED"})
# Final refusals that a customer may hear who asks for nothing wrong; the first ones tell of a rejected order.
EXPECTED_REFUSALS = frozenset({"ORDER_NOT_CANCELLABLE"})

Orders = Mapping[str, KeptOrder]


def contradictions(exchanges: Sequence[Exchange], kept: Iterable[KeptOrder]) -> list[str]:
    """Return a sentence for each contradiction; an empty list is the answer to hope for.

    `exchanges` are all of the customers' attempts from the shop's first order on, `kept` all of its orders.
    """
    orders = {order.order_id: order for order in kept}
    checks: tuple[Callable[[Sequence[Exchange], Orders], Iterator[str]], ...] = (
        unknown_to_the_end,
        refused_wrongly,
        one_order_a_request,
        orders_from_nowhere,
        lost_or_changed,
        about_another_order,
        backwards,
        told_otherwise,
        ended_otherwise,
        cancelled_unasked,
    )
    return [sentence for check in checks for sentence in check(exchanges, orders)]


def unknown_to_the_end(exchanges: Sequence[Exchange], _orders: Orders) -> Iterator[str]:
    """Each request is repeated until its outcome is known."""
    outcomes: dict[str, bool] = defaultdict(bool)
    for exchange in exchanges:
        outcomes[exchange.request.request_id] |= exchange.answer.known
    yield from (f"request {key} was never answered" for key, known in outcomes.items() if not known)


def refused_wrongly(exchanges: Sequence[Exchange], _orders: Orders) -> Iterator[str]:
    """Nobody asks for anything that must be refused, unless its order was rejected."""
    for exchange in exchanges:
        answer = exchange.answer
        if answer.known and not answer.state and answer.reason not in EXPECTED_REFUSALS:
            yield f"request {exchange.request.request_id} was refused with {answer.reason} by {exchange.edge}"


def one_order_a_request(exchanges: Sequence[Exchange], orders: Orders) -> Iterator[str]:
    """A placing has one order, whatever came of its attempts, and an order one placing."""
    told: dict[str, set[str]] = defaultdict(set)
    for exchange in exchanges:
        if isinstance(exchange.request, Place) and exchange.answer.order_id:
            told[exchange.request.request_id].add(exchange.answer.order_id)
    for order in orders.values():
        for key in order.keys & told.keys():
            told[key].add(order.order_id)
    of_order: dict[str, set[str]] = defaultdict(set)
    for key, order_ids in told.items():
        if len(order_ids) > 1:
            yield f"request {key} has {len(order_ids)} orders: {', '.join(sorted(order_ids))}"
        for order_id in order_ids:
            of_order[order_id].add(key)
    for order_id, keys in of_order.items():
        if len(keys) > 1:
            yield f"order {order_id} belongs to {len(keys)} requests: {', '.join(sorted(keys))}"


def orders_from_nowhere(exchanges: Sequence[Exchange], orders: Orders) -> Iterator[str]:
    """An order in the database was asked for."""
    placed = {exchange.request.request_id for exchange in exchanges if isinstance(exchange.request, Place)}
    for order in orders.values():
        if not order.keys & placed:
            yield f"order {order.order_id} was placed by nobody"


def lost_or_changed(exchanges: Sequence[Exchange], orders: Orders) -> Iterator[str]:
    """An order that a customer was told of is there, with that customer and those lines."""
    asked = {each.request.request_id: each.request for each in exchanges if isinstance(each.request, Place)}
    told = {
        exchange.answer.order_id: exchange.request.request_id
        for exchange in exchanges
        if isinstance(exchange.request, Place) and exchange.answer.order_id
    }
    for order_id, key in told.items():
        if order_id not in orders:
            yield f"order {order_id} of request {key} is lost"
        elif (orders[order_id].customer_id, orders[order_id].lines) != (asked[key].customer_id, asked[key].lines):
            yield f"order {order_id} is not what request {key} asked for"


def about_another_order(exchanges: Sequence[Exchange], _orders: Orders) -> Iterator[str]:
    """Who asks about an order is told of that one."""
    for exchange in exchanges:
        request, told = exchange.request, exchange.answer.order_id
        if isinstance(request, Cancel | Read) and told and told != request.order_id:
            yield f"request {request.request_id} about order {request.order_id} was answered about {told}"


def backwards(exchanges: Sequence[Exchange], _orders: Orders) -> Iterator[str]:
    """Who asks after an answer has come gets the same state or a later one."""
    for order_id, told in by_order(exchanges).items():
        earlier = sorted(told, key=lambda exchange: exchange.answered_seconds)
        for later in told:
            for before in earlier:
                if before.answered_seconds >= later.sent_seconds:
                    break
                if later.answer.state not in LATER[before.answer.state] or _is_older(later.answer, before.answer):
                    yield (
                        f"order {order_id} was {_place(before)} at {before.answered_seconds:.3f} s"
                        f" and {_place(later)} when asked at {later.sent_seconds:.3f} s"
                    )


def told_otherwise(exchanges: Sequence[Exchange], orders: Orders) -> Iterator[str]:
    """A total and the reasons of a rejection are told alike each time, and kept so."""
    for order_id, told in by_order(exchanges).items():
        details: dict[str, set[str]] = defaultdict(set)
        for exchange in told:
            details[exchange.answer.state].add(exchange.answer.detail)
        if order_id in orders:
            details[orders[order_id].state].add(orders[order_id].detail)
        for state, found in details.items():
            if len(found) > 1:
                yield f"order {order_id}, {state}, was told of in {len(found)} ways: {' / '.join(sorted(found))}"


def ended_otherwise(exchanges: Sequence[Exchange], orders: Orders) -> Iterator[str]:
    """What is kept in the end follows from all that was told."""
    for order in orders.values():
        if order.state not in ENDS:
            yield f"order {order.order_id} is {order.state} for ever"
    for order_id, told in by_order(exchanges).items():
        if order_id in orders:
            end = orders[order_id]
            for exchange in told:
                if end.state not in LATER[exchange.answer.state] or end.version < (exchange.answer.version or 0):
                    yield f"order {order_id} was told to be {_place(exchange)} and is {end.state} v{end.version}"
    for exchange in exchanges:
        request = exchange.request
        if exchange.answer.reason == "ORDER_NOT_CANCELLABLE" and isinstance(request, Cancel):
            found = orders.get(request.order_id)
            if found and found.state != "REJECTED":
                yield f"order {found.order_id} could not be cancelled as if rejected, and is {found.state}"


def cancelled_unasked(exchanges: Sequence[Exchange], orders: Orders) -> Iterator[str]:
    """Only who is asked to cancels, and does so to the end."""
    asked = {exchange.request.order_id for exchange in exchanges if isinstance(exchange.request, Cancel)}
    for order in orders.values():
        if order.state == "CANCELLED" and order.order_id not in asked:
            yield f"order {order.order_id} was cancelled though nobody asked for it"


def by_order(exchanges: Sequence[Exchange]) -> dict[str, list[Exchange]]:
    """Return the exchanges that told an order's state, by the order."""
    found: dict[str, list[Exchange]] = defaultdict(list)
    for exchange in exchanges:
        if exchange.answer.known and exchange.answer.state:
            request = exchange.request
            asked_for = request.order_id if isinstance(request, Cancel | Read) else exchange.answer.order_id
            found[asked_for].append(exchange)
    return found


def _is_older(answer: Answer, other: Answer) -> bool:
    # A rejection is told by an error, which carries no version.
    return answer.version is not None and other.version is not None and answer.version < other.version


def _place(exchange: Exchange) -> str:
    version = exchange.answer.version
    return exchange.answer.state + ("" if version is None else f" v{version}")
