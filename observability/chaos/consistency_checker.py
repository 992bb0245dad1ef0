"""The oracle: compares all that customers were told with each other and with what was kept.

What each answer claims, and the check that holds it to its word; a reason that is not here is refused wrongly.

- an order, or a rejection that names one: `one_order_a_request` to `wish_forgotten`, and `rejected_for_no_reason`;
- OVERLOADED: this call was not begun: `denied_untruly`;
- CIRCUIT_OPEN: that, and nothing was done under this request's id before: `denied_what_was_told`;
- IDEMPOTENCY_IN_PROGRESS: another call with this id is at work: `in_progress_alone`;
- ORDER_NOT_CANCELLABLE: the order was rejected: `ended_otherwise`;
- a list, to hold what the token says that it was asked for with: `listed_otherwise`;
- DEADLINE_EXCEEDED, DEPENDENCY_UNAVAILABLE, INTERNAL, VERSION_CONFLICT: nothing, so the request is repeated until
  `unknown_to_the_end` is content.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from observability.testbed.requests import (
    CancelRequest,
    Listing,
    PlaceRequest,
    ReadRequest,
    RecordedExchange,
    Response,
    StoredOrder,
)

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

# What says that this call was not begun, and of it what says that no other with its id was before.
DENIALS = frozenset({"OVERLOADED", "CIRCUIT_OPEN"})
NOTHING_KEPT = "CIRCUIT_OPEN"
# The stored times are by another clock than the customers'.
CLOCK_SECONDS = 0.02

Orders = Mapping[str, StoredOrder]


def contradictions(exchanges: Sequence[RecordedExchange], kept: Iterable[StoredOrder]) -> list[str]:
    """Return a sentence for each contradiction; an empty list is the answer to hope for.

    `exchanges` are all of the customers' attempts from the shop's first order on, `kept` all of its orders.
    """
    orders = {order.order_id: order for order in kept}
    checks: tuple[Callable[[Sequence[RecordedExchange], Orders], Iterator[str]], ...] = (
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
        denied_untruly,
        denied_what_was_told,
        in_progress_alone,
        wish_forgotten,
        rejected_for_no_reason,
    )
    return [sentence for check in checks for sentence in check(exchanges, orders)]


def unknown_to_the_end(exchanges: Sequence[RecordedExchange], _orders: Orders) -> Iterator[str]:
    """Each request is repeated until its outcome is known."""
    outcomes: dict[str, bool] = defaultdict(bool)
    for exchange in exchanges:
        outcomes[exchange.request.request_id] |= exchange.answer.known
    yield from (f"request {key} was never answered" for key, known in outcomes.items() if not known)


def refused_wrongly(exchanges: Sequence[RecordedExchange], _orders: Orders) -> Iterator[str]:
    """Nobody asks for anything that must be refused, unless its order was rejected."""
    for exchange in exchanges:
        answer = exchange.answer
        if answer.known and not answer.state and answer.reason not in EXPECTED_REFUSALS:
            yield f"request {exchange.request.request_id} was refused with {answer.reason} by {exchange.edge}"


def one_order_a_request(exchanges: Sequence[RecordedExchange], orders: Orders) -> Iterator[str]:
    """A placing has one order, whatever came of its attempts, and an order one placing."""
    told: dict[str, set[str]] = defaultdict(set)
    for exchange in exchanges:
        if isinstance(exchange.request, PlaceRequest) and exchange.answer.order_id:
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


def orders_from_nowhere(exchanges: Sequence[RecordedExchange], orders: Orders) -> Iterator[str]:
    """An order in the database was asked for."""
    placed = {exchange.request.request_id for exchange in exchanges if isinstance(exchange.request, PlaceRequest)}
    for order in orders.values():
        if not order.keys & placed:
            yield f"order {order.order_id} was placed by nobody"


def lost_or_changed(exchanges: Sequence[RecordedExchange], orders: Orders) -> Iterator[str]:
    """An order that a customer was told of is there, with that customer and those lines."""
    asked = {each.request.request_id: each.request for each in exchanges if isinstance(each.request, PlaceRequest)}
    told = {
        exchange.answer.order_id: exchange.request.request_id
        for exchange in exchanges
        if isinstance(exchange.request, PlaceRequest) and exchange.answer.order_id
    }
    for order_id, key in told.items():
        if order_id not in orders:
            yield f"order {order_id} of request {key} is lost"
        elif (orders[order_id].customer_id, orders[order_id].lines) != (asked[key].customer_id, asked[key].lines):
            yield f"order {order_id} is not what request {key} asked for"


def about_another_order(exchanges: Sequence[RecordedExchange], _orders: Orders) -> Iterator[str]:
    """Who asks about an order is told of that one."""
    for exchange in exchanges:
        request, told = exchange.request, exchange.answer.order_id
        if isinstance(request, CancelRequest | ReadRequest) and told and told != request.order_id:
            yield f"request {request.request_id} about order {request.order_id} was answered about {told}"


def backwards(exchanges: Sequence[RecordedExchange], _orders: Orders) -> Iterator[str]:
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


def told_otherwise(exchanges: Sequence[RecordedExchange], orders: Orders) -> Iterator[str]:
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


def ended_otherwise(exchanges: Sequence[RecordedExchange], orders: Orders) -> Iterator[str]:
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
        if exchange.answer.reason == "ORDER_NOT_CANCELLABLE" and isinstance(request, CancelRequest):
            found = orders.get(request.order_id)
            if found and found.state != "REJECTED":
                yield f"order {found.order_id} could not be cancelled as if rejected, and is {found.state}"


def cancelled_unasked(exchanges: Sequence[RecordedExchange], orders: Orders) -> Iterator[str]:
    """Only who is asked to cancels, and does so to the end."""
    asked = {exchange.request.order_id for exchange in exchanges if isinstance(exchange.request, CancelRequest)}
    for order in orders.values():
        if order.state == "CANCELLED" and order.order_id not in asked:
            yield f"order {order.order_id} was cancelled though nobody asked for it"


def denied_untruly(exchanges: Sequence[RecordedExchange], orders: Orders) -> Iterator[str]:
    """What is kept was begun by a call that did not say it was not begun."""
    begun: dict[str, float] = {}
    for exchange in exchanges:
        if exchange.answer.reason not in DENIALS:
            about = _about(exchange)
            begun[about] = min(begun.get(about, exchange.sent_seconds), exchange.sent_seconds)
    denied = {_about(exchange) for exchange in exchanges if exchange.answer.reason in DENIALS}
    for order in orders.values():
        stored = [(f"request {key}", key, order.stored_seconds) for key in order.keys]
        if order.cancel_stored_seconds is not None:
            stored.append((f"the cancellation of order {order.order_id}", order.order_id, order.cancel_stored_seconds))
        for name, about, seconds in stored:
            if about in denied and seconds + CLOCK_SECONDS < begun.get(about, float("inf")):
                yield f"{name} was kept at {seconds:.3f} s by a call that was told that it was not begun"


def denied_what_was_told(exchanges: Sequence[RecordedExchange], _orders: Orders) -> Iterator[str]:
    """Who was told what came of a request is not told later that nothing was done."""
    told: dict[str, RecordedExchange] = {}
    for exchange in sorted(exchanges, key=lambda each: each.answered_seconds):
        if exchange.answer.known and exchange.answer.state:
            told.setdefault(exchange.request.request_id, exchange)
    for exchange in exchanges:
        before = told.get(exchange.request.request_id)
        if before and exchange.answer.reason == NOTHING_KEPT and before.answered_seconds < exchange.sent_seconds:
            yield (
                f"request {exchange.request.request_id} was told at {before.answered_seconds:.3f} s that its order was"
                f" {_place(before)}, and that nothing was done when asked at {exchange.sent_seconds:.3f} s"
            )


def in_progress_alone(exchanges: Sequence[RecordedExchange], _orders: Orders) -> Iterator[str]:
    """A call that is told that another is at work had another before it or beside it."""
    attempts = Counter(exchange.request.request_id for exchange in exchanges)
    for exchange in exchanges:
        key = exchange.request.request_id
        if exchange.answer.reason == "IDEMPOTENCY_IN_PROGRESS" and attempts[key] == 1:
            yield f"request {key} was told that another is at work, and was the only one"


def wish_forgotten(exchanges: Sequence[RecordedExchange], orders: Orders) -> Iterator[str]:
    """A cancellation is answered with its wish; from then on every answer shows it, and it comes true."""
    wished: dict[str, RecordedExchange] = {}
    for exchange in sorted(exchanges, key=lambda each: each.answered_seconds):
        if _shows_wish(exchange.answer):
            wished.setdefault(exchange.answer.order_id, exchange)
        elif isinstance(exchange.request, CancelRequest) and exchange.answer.known and exchange.answer.state:
            yield f"request {exchange.request.request_id} was answered {_place(exchange)}, without its wish"
    for exchange in exchanges:
        first = wished.get(exchange.answer.order_id)
        is_later = first is not None and first.answered_seconds < exchange.sent_seconds
        if is_later and exchange.answer.state and not _shows_wish(exchange.answer):
            yield f"order {exchange.answer.order_id} was {_place(exchange)} without the wish that was told before"
    for order_id in wished.keys() & orders.keys():
        if orders[order_id].state != "CANCELLED":
            yield f"order {order_id} was told to be on its way to CANCELLED, and is {orders[order_id].state}"


def rejected_for_no_reason(_exchanges: Sequence[RecordedExchange], orders: Orders) -> Iterator[str]:
    """Why an order was rejected follows from what inventory kept of its reservation."""
    for order in orders.values():
        if order.state == "REJECTED" and order.detail not in order.reasons:
            allowed = " or ".join(sorted(order.reasons)) or "no rejection"
            yield f"order {order.order_id} was rejected for {order.detail}, and inventory knows of {allowed}"


def listed_otherwise(listings: Sequence[Listing]) -> Iterator[str]:
    """A list that is asked for with a token is no older than the answer that the token came with, or is refused."""
    for listing in listings:
        asked = f"the list of {listing.edge} with the token of order {listing.order_id}, {listing.answered_state},"
        if listing.reason == "INVALID_CONSISTENCY_TOKEN":
            yield f"{asked} was refused as if the token were made up"
        elif not listing.reason and listing.state not in LATER[listing.answered_state]:
            yield f"{asked} has it {listing.state or 'not at all'}"


def by_order(exchanges: Sequence[RecordedExchange]) -> dict[str, list[RecordedExchange]]:
    """Return the exchanges that told an order's state, by the order."""
    found: dict[str, list[RecordedExchange]] = defaultdict(list)
    for exchange in exchanges:
        if exchange.answer.known and exchange.answer.state:
            request = exchange.request
            asked_for = (
                request.order_id if isinstance(request, CancelRequest | ReadRequest) else exchange.answer.order_id
            )
            found[asked_for].append(exchange)
    return found


def _about(exchange: RecordedExchange) -> str:
    """Return what an attempt would have something stored about: a request for a placing, an order for its end."""
    request = exchange.request
    return request.order_id if isinstance(request, CancelRequest) else request.request_id


def _shows_wish(answer: Response) -> bool:
    return answer.cancellation_requested or answer.state == "CANCELLED"


def _is_older(answer: Response, other: Response) -> bool:
    # A rejection is told by an error, which carries no version.
    return answer.version is not None and other.version is not None and answer.version < other.version


def _place(exchange: RecordedExchange) -> str:
    version = exchange.answer.version
    return exchange.answer.state + ("" if version is None else f" v{version}")
