"""Recognition of retried calls in a trace, and the time of the critical path that retries take."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from observability.analysis.clock_skew import repair
from observability.analysis.critical_path import PathSegment, Where, critical_path
from observability.analysis.retries import LogicalCall, logical_calls
from observability.analysis.spans import Attribute, SpanKind, SpanStatus
from observability.analysis.trees import Node
from tests.unit.analysis.making import client, node, random_tree, server

trees = st.randoms(use_true_random=False).map(random_tree)


# --- Which are one call -----------------------------------------------------------------------------------------------


def test_failed_attempts_and_the_next_one_are_one_call() -> None:
    root = node("root", 0, 30, _failed("a", 0, 4), _failed("b", 6, 10), _ok("c", 15, 20))
    assert _attempts(root) == [["a", "b", "c"]]


def test_a_call_that_went_well_is_not_tried_again() -> None:
    assert _attempts(node("root", 0, 30, _ok("a", 0, 4), _ok("b", 6, 10))) == []


def test_after_a_call_that_went_well_another_begins() -> None:
    root = node("root", 0, 30, _failed("a", 0, 2), _ok("b", 3, 5), _failed("c", 6, 8), _ok("d", 9, 10))
    assert _attempts(root) == [["a", "b"], ["c", "d"]]


def test_attempts_may_all_fail() -> None:
    assert _attempts(node("root", 0, 30, _failed("a", 0, 4), _failed("b", 6, 10))) == [["a", "b"]]


def test_an_answer_that_says_no_is_not_tried_again() -> None:
    no = _call("a", 0, 4, {"rpc.response.status_code": "NOT_FOUND"}, SpanStatus.ERROR)
    assert _attempts(node("root", 0, 30, no, _ok("b", 6, 10))) == []


def test_a_span_marked_as_resent_repeats_the_one_before() -> None:
    assert _attempts(node("root", 0, 30, _ok("a", 0, 4), _resent("b", 6, 10))) == [["a", "b"]]


def test_a_redirection_is_followed_and_not_repeated() -> None:
    elsewhere = _call("a", 0, 4, {"http.response.status_code": 302})
    assert _attempts(node("root", 0, 30, elsewhere, _resent("b", 6, 10))) == []


def test_calls_that_ask_for_something_else_are_others() -> None:
    one = _call("a", 0, 4, {"url.full": "http://there/1"}, SpanStatus.ERROR)
    other = _call("b", 6, 10, {"url.full": "http://there/2"})
    assert _attempts(node("root", 0, 30, one, other)) == []


def test_calls_of_another_name_kind_or_service_are_others() -> None:
    failed = _failed("a", 0, 4)
    others = [
        _alike("b", 6, 7, name="other"),
        _alike("c", 6, 7, kind=SpanKind.INTERNAL),
        _alike("d", 6, 7, service="other"),
    ]
    assert _attempts(node("root", 0, 30, failed, *others)) == []


def test_a_call_that_began_before_a_failure_is_no_retry() -> None:
    assert _attempts(node("root", 0, 30, _failed("a", 0, 4), _ok("b", 3, 10))) == []


def test_two_calls_at_once_have_attempts_of_their_own() -> None:
    root = node("root", 0, 30, _failed("a", 0, 4), _failed("b", 0, 5), _ok("c", 8, 10), _ok("d", 8, 12))
    assert _attempts(root) == [["a", "c"], ["b", "d"]]


def test_servers_of_one_client_span_are_attempts_if_one_failed() -> None:
    """A client that sends anew without a span of its own."""
    root = client("call", 0, 20, _failing("first", 2, 5), _served("second", 9, 15))
    assert _attempts(root) == [["first", "second"]]


def test_a_client_span_with_successful_servers_has_no_attempts() -> None:
    root = client("fetch pages", 0, 20, _served("first", 2, 5), _served("second", 9, 15))
    assert _attempts(root) == []


def test_a_resent_span_repeats_the_failed_one() -> None:
    went_well, failed = _ok("a", 0, 4), _failed("b", 6, 10)
    resent = _call("c", 12, 16, {"http.request.resend_count": 1})
    assert _attempts(node("root", 0, 30, went_well, failed, resent)) == [["b", "c"]]


def test_servers_of_two_services_are_no_attempts() -> None:
    proxy = server("serve", 2, 18, service="proxy")
    assert _attempts(client("call", 0, 20, proxy, server("serve", 5, 15, service="behind"))) == []


def test_consumers_repeat_nothing_that_is_waited_for() -> None:
    calls = [_alike("a", 0, 4, kind=SpanKind.CONSUMER), _alike("b", 6, 10, kind=SpanKind.CONSUMER)]
    failed = [Node(replace(each.span, status=SpanStatus.ERROR), ()) for each in calls]
    assert _attempts(node("root", 0, 30, *failed)) == []


# --- What they cost ---------------------------------------------------------------------------------------------------


def test_failed_attempts_are_wasted_and_gaps_are_back_off() -> None:
    [call] = _calls(node("root", 0, 30, _failed("a", 1, 4), _failed("b", 6, 10), _ok("c", 15, 20)))
    assert (call.wasted_nanoseconds, call.back_off_nanoseconds, call.lost_nanoseconds) == (3 + 4, 2 + 5, 14)


def test_calls_of_a_failed_attempt_are_wasted_with_it() -> None:
    [call] = _calls(node("root", 0, 30, _failed("a", 1, 9, _served("serve", 2, 8)), _ok("c", 15, 20)))
    assert call.wasted_nanoseconds == 8


def test_other_work_between_two_attempts_is_no_back_off() -> None:
    [call] = _calls(node("root", 0, 30, _failed("a", 1, 4), node("other", 5, 7), _ok("b", 10, 20)))
    assert call.back_off_nanoseconds == 1 + 3


def test_attempts_beside_something_longer_cost_nothing() -> None:
    beside = node("retrying", 1, 15, _failed("a", 1, 4), _ok("b", 10, 15))
    [call] = _calls(node("root", 0, 30, beside, node("longer", 0, 20)))
    assert call.lost_nanoseconds == 0


def test_two_calls_that_wait_at_once_wait_no_longer_than_one() -> None:
    root = node("root", 0, 30, _failed("a", 0, 4), _failed("b", 0, 5), _ok("c", 9, 14), _ok("d", 9, 20))
    assert [call.back_off_nanoseconds for call in _calls(root)] == [4, 0]


def test_gaps_between_servers_of_one_client_span_are_back_off() -> None:
    [call] = _calls(client("call", 0, 20, _failing("first", 2, 5), _served("second", 9, 15)))
    assert (call.wasted_nanoseconds, call.back_off_nanoseconds) == (3, 4)


def test_an_abandoned_attempt_is_wasted_until_the_last_begins() -> None:
    [call] = _calls(client("call", 0, 20, _failing("first", 2, 19), _served("second", 9, 15)))
    assert call.wasted_nanoseconds == 9 - 2


def test_retries_within_a_failed_attempt_are_wasted_with_it() -> None:
    outer = _failed("a", 0, 10, _failing("first", 1, 3), _served("second", 6, 9))
    calls = _calls(node("root", 0, 30, outer, _ok("b", 12, 20)))
    assert [(call.wasted_nanoseconds, call.back_off_nanoseconds) for call in calls] == [(10, 2), (0, 0)]


def test_a_call_is_named_by_its_attempts_or_their_client_span() -> None:
    [siblings] = _calls(node("root", 0, 30, _failed("a", 0, 4), _ok("b", 6, 10)))
    [within] = _calls(client("call", 0, 20, _failing("first", 2, 5), _served("second", 9, 15)))
    assert (siblings.call.name, within.call.name) == ("ask", "call")


# --- Any tree ---------------------------------------------------------------------------------------------------------


@given(trees)
def test_each_nanosecond_of_the_path_is_lost_to_one_call_at_most(root: Node) -> None:
    """Counted one by one: it is below an attempt that was not the last, or its caller's own between two attempts."""
    repaired = repair(root).root
    path = critical_path(repaired)
    calls = logical_calls(repaired, path)
    lost = sum(_is_lost(segment, at, calls) for segment in path for at in _nanoseconds(segment))
    assert sum(call.lost_nanoseconds for call in calls) == lost <= repaired.span.duration_nanoseconds


@given(trees)
def test_the_path_stays_as_it_is_whatever_was_tried_again(root: Node) -> None:
    """The segments add up to the root without statuses too."""
    repaired = repair(root).root
    assert [_times(each) for each in critical_path(repaired)] == [
        _times(each) for each in critical_path(_without_endings(repaired))
    ]


@given(trees)
def test_every_call_has_attempts_of_one_name_under_its_caller(root: Node) -> None:
    for call in _calls(repair(root).root):
        assert len(call.attempts) > 1
        assert set(map(id, call.attempts)) <= set(map(id, call.caller.children))
        assert len({(each.span.service, each.span.name, each.span.kind) for each in call.attempts}) == 1


@given(trees)
def test_no_span_is_an_attempt_at_two_calls(root: Node) -> None:
    ids = [attempt.span.span_id for call in _calls(repair(root).root) for attempt in call.attempts]
    assert len(ids) == len(set(ids))


def _calls(root: Node) -> tuple[LogicalCall, ...]:
    return logical_calls(root, critical_path(root))


def _attempts(root: Node) -> list[list[str]]:
    return [[each.span.span_id for each in call.attempts] for call in _calls(root)]


def _call(
    span_id: str,
    start: int,
    end: int,
    attributes: dict[str, Attribute],
    status: SpanStatus = SpanStatus.UNSET,
    *below: Node,
) -> Node:
    made = client(span_id, start, end, *below)
    return Node(replace(made.span, name="ask", attributes=attributes, status=status), made.children)


def _ok(span_id: str, start: int, end: int) -> Node:
    return _call(span_id, start, end, {})


def _failed(span_id: str, start: int, end: int, *below: Node) -> Node:
    return _call(span_id, start, end, {}, SpanStatus.ERROR, *below)


def _resent(span_id: str, start: int, end: int) -> Node:
    return _call(span_id, start, end, {"http.request.resend_count": 1})


def _served(span_id: str, start: int, end: int) -> Node:
    made = server(span_id, start, end)
    return Node(replace(made.span, name="serve"), ())


def _alike(
    span_id: str, start: int, end: int, *, name: str = "ask", kind: SpanKind = SpanKind.CLIENT, service: str = "shop"
) -> Node:
    return Node(replace(node(span_id, start, end, kind=kind, service=service).span, name=name), ())


def _nanoseconds(segment: PathSegment) -> range:
    return range(segment.start_nanoseconds, segment.end_nanoseconds)


def _is_lost(segment: PathSegment, at: int, calls: tuple[LogicalCall, ...]) -> bool:
    """Whether a nanosecond of the path goes to a failed attempt, the outermost one it is below, or to back-off."""
    own = segment.node.span.span_id
    for call in calls:
        if any(own == node.span.span_id for each in call.attempts[:-1] for node in each.walk()):
            return at < call.attempts[-1].span.start_nanoseconds
    return any(
        own == call.caller.span.span_id and former.span.end_nanoseconds <= at < latter.span.start_nanoseconds
        for call in calls
        for former, latter in zip(call.attempts, call.attempts[1:], strict=False)
    )


def _times(segment: PathSegment) -> tuple[str, Where, int, int]:
    return segment.node.span.span_id, segment.where, segment.start_nanoseconds, segment.end_nanoseconds


def _without_endings(root: Node) -> Node:
    return Node(replace(root.span, status=SpanStatus.UNSET, attributes={}), tuple(map(_without_endings, root.children)))


def _failing(span_id: str, start: int, end: int) -> Node:
    made = _served(span_id, start, end)
    return Node(replace(made.span, status=SpanStatus.ERROR), made.children)
