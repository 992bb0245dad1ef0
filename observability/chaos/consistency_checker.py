"""Consistency checker: compares all answers that customers got with each other and with the stored orders.

The claim of each answer, and the check that verifies it. Every other reason is an unexpected error.

- an order, or a rejection that names one: all checks of orders below;
- OVERLOADED: this call did not start: `check_not_begun`;
- CIRCUIT_OPEN: the same, and no earlier call with this request id did anything: `check_known_outcome_not_denied`;
- IDEMPOTENCY_IN_PROGRESS: another call with this request id is running: `check_in_progress_has_other_attempt`;
- ORDER_NOT_CANCELLABLE: the order was rejected: `check_final_state`;
- READ_MODEL_BEHIND: a replica may be behind: `check_reads_reach_their_token`;
- a list read with a consistency token: it is not older than the token: `check_lists_are_current`;
- DEADLINE_EXCEEDED, DEPENDENCY_UNAVAILABLE, INTERNAL, VERSION_CONFLICT: no claim. The request is repeated until its
  outcome is known: `check_outcomes_known`.
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

# States in which a later read may find an order.
LATER = {
    "PENDING": frozenset({"PENDING", "CONFIRMED", "REJECTED", "CANCELLED"}),
    "CONFIRMED": frozenset({"CONFIRMED", "CANCELLED"}),
    "REJECTED": frozenset({"REJECTED"}),
    "CANCELLED": frozenset({"CANCELLED"}),
}
ENDS = frozenset({"CONFIRMED", "REJECTED", "CANCELLED"})
# Final errors of a valid request.
EXPECTED_ERRORS = frozenset({"ORDER_NOT_CANCELLABLE"})

# Errors that claim that this call did not start, and the one that claims it of earlier calls with its id too.
NOT_BEGUN = frozenset({"OVERLOADED", "CIRCUIT_OPEN"})
NOTHING_DONE = "CIRCUIT_OPEN"
# Stored times and the customers' times come from different clocks.
CLOCK_SECONDS = 0.02

Orders = Mapping[str, StoredOrder]


def find_contradictions(exchanges: Sequence[RecordedExchange], stored: Iterable[StoredOrder]) -> list[str]:
    """Return a sentence for each contradiction; empty if there is none.

    `exchanges` are all attempts of the customers since the shop's first order, `stored` all of its orders.
    """
    orders = {order.order_id: order for order in stored}
    checks: tuple[Callable[[Sequence[RecordedExchange], Orders], Iterator[str]], ...] = (
        check_outcomes_known,
        check_no_unexpected_errors,
        check_one_order_per_request,
        check_orders_were_requested,
        check_orders_are_stored,
        check_answers_name_the_order,
        check_monotonic_reads,
        check_reads_reach_their_token,
        check_versions_agree,
        check_stable_response,
        check_final_state,
        check_cancellations_were_requested,
        check_not_begun,
        check_known_outcome_not_denied,
        check_in_progress_has_other_attempt,
        check_cancellation_is_kept,
        check_rejection_reasons,
    )
    return [sentence for check in checks for sentence in check(exchanges, orders)]


def check_outcomes_known(exchanges: Sequence[RecordedExchange], _orders: Orders) -> Iterator[str]:
    """Check that the outcome of each request became known."""
    outcomes: dict[str, bool] = defaultdict(bool)
    for exchange in exchanges:
        outcomes[exchange.request.request_id] |= exchange.answer.known
    yield from (f"request {key} was never answered" for key, known in outcomes.items() if not known)


def check_no_unexpected_errors(exchanges: Sequence[RecordedExchange], _orders: Orders) -> Iterator[str]:
    """Check that no request got a final error, since all are valid, except where its order was rejected."""
    for exchange in exchanges:
        answer = exchange.answer
        if answer.known and not answer.state and answer.reason not in EXPECTED_ERRORS:
            yield f"request {exchange.request.request_id} was answered with {answer.reason} by {exchange.api}"


def check_one_order_per_request(exchanges: Sequence[RecordedExchange], orders: Orders) -> Iterator[str]:
    """Check that each place request has one order over all attempts, and each order one place request."""
    of_request: dict[str, set[str]] = defaultdict(set)
    for exchange in exchanges:
        if isinstance(exchange.request, PlaceRequest) and exchange.answer.order_id:
            of_request[exchange.request.request_id].add(exchange.answer.order_id)
    for order in orders.values():
        for key in order.keys & of_request.keys():
            of_request[key].add(order.order_id)
    of_order: dict[str, set[str]] = defaultdict(set)
    for key, order_ids in of_request.items():
        if len(order_ids) > 1:
            yield f"request {key} has {len(order_ids)} orders: {', '.join(sorted(order_ids))}"
        for order_id in order_ids:
            of_order[order_id].add(key)
    for order_id, keys in of_order.items():
        if len(keys) > 1:
            yield f"order {order_id} belongs to {len(keys)} requests: {', '.join(sorted(keys))}"


def check_orders_were_requested(exchanges: Sequence[RecordedExchange], orders: Orders) -> Iterator[str]:
    """Check that every stored order was requested."""
    placed = {exchange.request.request_id for exchange in exchanges if isinstance(exchange.request, PlaceRequest)}
    for order in orders.values():
        if not order.keys & placed:
            yield f"order {order.order_id} belongs to no request"


def check_orders_are_stored(exchanges: Sequence[RecordedExchange], orders: Orders) -> Iterator[str]:
    """Check that every order named in an answer is stored, with the requested customer and lines."""
    requested = {each.request.request_id: each.request for each in exchanges if isinstance(each.request, PlaceRequest)}
    answered = {
        exchange.answer.order_id: exchange.request.request_id
        for exchange in exchanges
        if isinstance(exchange.request, PlaceRequest) and exchange.answer.order_id
    }
    for order_id, key in answered.items():
        request = requested[key]
        if order_id not in orders:
            yield f"order {order_id} of request {key} is lost"
        elif (orders[order_id].customer_id, orders[order_id].lines) != (request.customer_id, request.lines):
            yield f"order {order_id} differs from what request {key} asked for"


def check_answers_name_the_order(exchanges: Sequence[RecordedExchange], _orders: Orders) -> Iterator[str]:
    """Check that the answer to a cancellation or read names the requested order."""
    for exchange in exchanges:
        request, answered_id = exchange.request, exchange.answer.order_id
        if isinstance(request, CancelRequest | ReadRequest) and answered_id and answered_id != request.order_id:
            yield f"request {request.request_id} about order {request.order_id} was answered about {answered_id}"


def check_monotonic_reads(exchanges: Sequence[RecordedExchange], _orders: Orders) -> Iterator[str]:
    """Check that a request sent after an answer gets the same state as that answer, or a later one.

    Reads that a replica may answer are not meant: `check_reads_reach_their_token` says what they promise.
    """
    for order_id, of_order in by_order(exchanges).items():
        earlier = sorted(of_order, key=lambda exchange: exchange.answered_seconds)
        for later in of_order:
            if _may_be_older(later):
                continue
            for before in earlier:
                if before.answered_seconds >= later.sent_seconds:
                    break
                if later.answer.state not in LATER[before.answer.state] or _is_older(later.answer, before.answer):
                    yield (
                        f"order {order_id} was {_state_of(before)} at {before.answered_seconds:.3f} s"
                        f" and {_state_of(later)} in the answer to a request sent at {later.sent_seconds:.3f} s"
                    )


def check_reads_reach_their_token(exchanges: Sequence[RecordedExchange], _orders: Orders) -> Iterator[str]:
    """Check that a read with a token has at least the token's version, and is only behind where replicas are."""
    for exchange in exchanges:
        request, answer = exchange.request, exchange.answer
        if not isinstance(request, ReadRequest):
            continue
        if answer.version is not None and answer.version < request.seen_version:
            yield (
                f"order {request.order_id} was {_state_of(exchange)} in the answer to read {request.request_id},"
                f" whose token is of version {request.seen_version}"
            )
        if answer.reason == "READ_MODEL_BEHIND" and not (request.seen_version and request.may_be_older):
            yield f"read {request.request_id} was answered READ_MODEL_BEHIND, and no replica can be the reason"


def check_versions_agree(exchanges: Sequence[RecordedExchange], _orders: Orders) -> Iterator[str]:
    """Check that all answers with the same version of an order have the same content."""
    for order_id, of_order in by_order(exchanges).items():
        contents: dict[int, set[Response]] = defaultdict(set)
        for exchange in of_order:
            if exchange.answer.version is not None:
                contents[exchange.answer.version].add(exchange.answer)
        for version, found in contents.items():
            if len(found) > 1:
                yield f"order {order_id} has {len(found)} different contents at version {version}"


def check_stable_response(exchanges: Sequence[RecordedExchange], orders: Orders) -> Iterator[str]:
    """Check that all answers about an order have the same total or rejection details, and that these are stored."""
    for order_id, of_order in by_order(exchanges).items():
        details: dict[str, set[str]] = defaultdict(set)
        for exchange in of_order:
            details[exchange.answer.state].add(exchange.answer.detail)
        if order_id in orders:
            details[orders[order_id].state].add(orders[order_id].detail)
        for state, found in details.items():
            if len(found) > 1:
                yield f"order {order_id}, {state}, has {len(found)} different details: {' / '.join(sorted(found))}"


def check_final_state(exchanges: Sequence[RecordedExchange], orders: Orders) -> Iterator[str]:
    """Check that each order has a final state, and that it follows from all answers about the order."""
    for order in orders.values():
        if order.state not in ENDS:
            yield f"order {order.order_id} is {order.state} and was never finished"
    for order_id, of_order in by_order(exchanges).items():
        if order_id in orders:
            end = orders[order_id]
            for exchange in of_order:
                if end.state not in LATER[exchange.answer.state] or end.version < (exchange.answer.version or 0):
                    yield f"order {order_id} was {_state_of(exchange)} in an answer and is {end.state} v{end.version}"
    for exchange in exchanges:
        request = exchange.request
        if exchange.answer.reason == "ORDER_NOT_CANCELLABLE" and isinstance(request, CancelRequest):
            found = orders.get(request.order_id)
            if found and found.state != "REJECTED":
                yield f"order {found.order_id} was answered ORDER_NOT_CANCELLABLE, and is {found.state}"


def check_cancellations_were_requested(exchanges: Sequence[RecordedExchange], orders: Orders) -> Iterator[str]:
    """Check that every cancelled order has a cancellation request."""
    requested = {exchange.request.order_id for exchange in exchanges if isinstance(exchange.request, CancelRequest)}
    for order in orders.values():
        if order.state == "CANCELLED" and order.order_id not in requested:
            yield f"order {order.order_id} was cancelled without a request"


def check_not_begun(exchanges: Sequence[RecordedExchange], orders: Orders) -> Iterator[str]:
    """Check that nothing was stored before the first attempt that does not claim to have done nothing."""
    begun: dict[str, float] = {}
    for exchange in exchanges:
        if exchange.answer.reason not in NOT_BEGUN:
            about = _about(exchange)
            begun[about] = min(begun.get(about, exchange.sent_seconds), exchange.sent_seconds)
    denied = {_about(exchange) for exchange in exchanges if exchange.answer.reason in NOT_BEGUN}
    for order in orders.values():
        stored = [(f"request {key}", key, order.stored_seconds) for key in order.keys]
        if order.cancel_stored_seconds is not None:
            stored.append((f"the cancellation of order {order.order_id}", order.order_id, order.cancel_stored_seconds))
        for name, about, seconds in stored:
            if about in denied and seconds + CLOCK_SECONDS < begun.get(about, float("inf")):
                yield f"{name} was stored at {seconds:.3f} s by a call whose answer says that it did not start"


def check_known_outcome_not_denied(exchanges: Sequence[RecordedExchange], _orders: Orders) -> Iterator[str]:
    """Check that no repeat claims that nothing was done after an answer has given the request's outcome."""
    known: dict[str, RecordedExchange] = {}
    for exchange in sorted(exchanges, key=lambda each: each.answered_seconds):
        if exchange.answer.known and exchange.answer.state:
            known.setdefault(exchange.request.request_id, exchange)
    for exchange in exchanges:
        before = known.get(exchange.request.request_id)
        if before and exchange.answer.reason == NOTHING_DONE and before.answered_seconds < exchange.sent_seconds:
            yield (
                f"request {exchange.request.request_id} was answered {_state_of(before)} at"
                f" {before.answered_seconds:.3f} s, and its repeat sent at {exchange.sent_seconds:.3f} s that nothing"
                " was done"
            )


def check_in_progress_has_other_attempt(exchanges: Sequence[RecordedExchange], _orders: Orders) -> Iterator[str]:
    """Check that a request answered IDEMPOTENCY_IN_PROGRESS had another attempt."""
    attempts = Counter(exchange.request.request_id for exchange in exchanges)
    for exchange in exchanges:
        key = exchange.request.request_id
        if exchange.answer.reason == "IDEMPOTENCY_IN_PROGRESS" and attempts[key] == 1:
            yield f"request {key} was answered IDEMPOTENCY_IN_PROGRESS, and had no other attempt"


def check_cancellation_is_kept(exchanges: Sequence[RecordedExchange], orders: Orders) -> Iterator[str]:
    """Check that a cancellation request, once answered, is in every later answer and leads to CANCELLED."""
    cancelled: dict[str, RecordedExchange] = {}
    for exchange in sorted(exchanges, key=lambda each: each.answered_seconds):
        if _shows_cancellation(exchange.answer):
            cancelled.setdefault(exchange.answer.order_id, exchange)
        elif isinstance(exchange.request, CancelRequest) and exchange.answer.known and exchange.answer.state:
            yield f"request {exchange.request.request_id} was answered {_state_of(exchange)}, without its cancellation"
    for exchange in exchanges:
        first = cancelled.get(exchange.answer.order_id)
        is_later = first is not None and first.answered_seconds < exchange.sent_seconds and not _may_be_older(exchange)
        if is_later and exchange.answer.state and not _shows_cancellation(exchange.answer):
            yield f"order {exchange.answer.order_id} was {_state_of(exchange)} without the cancellation answered before"
    for order_id in cancelled.keys() & orders.keys():
        if orders[order_id].state != "CANCELLED":
            yield f"order {order_id} had an accepted cancellation, and is {orders[order_id].state}"


def check_rejection_reasons(_exchanges: Sequence[RecordedExchange], orders: Orders) -> Iterator[str]:
    """Check that the rejection of each order follows from inventory's record of its reservation."""
    for order in orders.values():
        if order.state == "REJECTED" and order.detail not in order.reasons:
            allowed = " or ".join(sorted(order.reasons)) or "no rejection"
            yield f"order {order.order_id} was rejected for {order.detail}, and inventory has {allowed}"


def check_lists_are_current(listings: Sequence[Listing]) -> Iterator[str]:
    """Check that a list read with a token is not older than the token's answer, or fails as not current."""
    for listing in listings:
        subject = f"the list of {listing.api} with the token of order {listing.order_id}, {listing.answered_state},"
        if listing.reason == "INVALID_CONSISTENCY_TOKEN":
            yield f"{subject} failed as if the token were forged"
        elif not listing.reason and listing.state not in LATER[listing.answered_state]:
            yield f"{subject} has it {listing.state or 'not at all'}"


def by_order(exchanges: Sequence[RecordedExchange]) -> dict[str, list[RecordedExchange]]:
    """Return the exchanges whose answer has an order's state, by order."""
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
    """Return the key of what an attempt stores: the request id of a placement, the order id of a cancellation."""
    request = exchange.request
    return request.order_id if isinstance(request, CancelRequest) else request.request_id


def _shows_cancellation(answer: Response) -> bool:
    return answer.cancellation_requested or answer.state == "CANCELLED"


def _may_be_older(exchange: RecordedExchange) -> bool:
    return isinstance(exchange.request, ReadRequest) and exchange.request.may_be_older


def _is_older(answer: Response, other: Response) -> bool:
    # A rejection is an error answer, which has no version.
    return answer.version is not None and other.version is not None and answer.version < other.version


def _state_of(exchange: RecordedExchange) -> str:
    version = exchange.answer.version
    return exchange.answer.state + ("" if version is None else f" v{version}")
