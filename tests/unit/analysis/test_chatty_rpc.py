"""Detector of chatty RPCs: what it reports, what not, and which class is named where several are there."""

from dataclasses import replace

import pytest

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.chatty_rpc import find_chatty_rpc
from observability.analysis.diagnosis import diagnose
from observability.analysis.spans import SpanStatus
from observability.analysis.trees import Node
from tests.unit.analysis.seeing import call, found, named, queries, query, request, saved_work, seen, serve, step


def asked(start: float, *children: Node, end: float = 5, way: float = 1) -> Node:
    """Return a call of `end` milliseconds, of which its way takes `way` there and as long back."""
    answer = serve("answer", start + way, start + end - way, *children, service="stock")
    return call("ask", start, start + end, answer)


def test_a_call_that_is_repeated_is_a_chatty_rpc() -> None:
    """Five calls of 5 ms become one."""
    [candidate] = found(find_chatty_rpc, seen(request(30, *(asked(5 * at) for at in range(5)))))
    assert named(candidate) == (Bottleneck.CHATTY_RPC, "shop", "answer")
    assert candidate.saving.work == pytest.approx([0.020])


def test_what_the_server_asks_of_others_stays() -> None:
    """Of each 5 ms, a statement takes 2."""
    calls = [asked(5 * at, query("SELECT item", 5 * at + 2, 5 * at + 4, service="stock")) for at in range(5)]
    assert saved_work(find_chatty_rpc, seen(request(30, *calls))) == pytest.approx([0.012])


def test_half_of_a_call_whose_inside_is_unknown_stays() -> None:
    calls = [call("ask", 5 * at, 5 * at + 5) for at in range(5)]
    assert saved_work(find_chatty_rpc, seen(request(30, *calls))) == pytest.approx([0.010])


def test_code_between_the_calls_is_saved_with_them() -> None:
    """Five calls of 5 ms with 1 ms between."""
    assert saved_work(find_chatty_rpc, seen(request(30, *(asked(6 * at) for at in range(5))))) == pytest.approx([0.024])


@pytest.mark.parametrize(
    ("why", "children"),
    [
        ("two in a row are how code is written", [asked(0), asked(5)]),
        ("they run side by side", [asked(at, end=15) for at in range(5)]),
        ("they are statements", queries("SELECT item", 5, each=5)),
        ("they are different calls", [call(f"ask {name}", 5 * at, 5 * at + 5) for at, name in enumerate("abcde")]),
        ("each has a parent of its own", [step(f"{at}", 5 * at, 5 * at + 5, asked(5 * at)) for at in range(5)]),
    ],
)
def test_no_chatty_rpc_where(why: str, children: list[Node]) -> None:
    assert found(find_chatty_rpc, seen(request(30, *children))) == [], why


def test_requests_that_were_cut_off_hide_no_repeats() -> None:
    """Half of the requests end at their deadline, after one of five calls; those that end well make all five."""
    whole = request(30, *(asked(5 * at) for at in range(5)))
    short = request(5, asked(0))
    cut = replace(short, span=replace(short.span, status=SpanStatus.ERROR, attributes={"error.type": "timeout"}))
    [candidate] = found(find_chatty_rpc, seen(*[whole] * 5, *[cut] * 7))
    assert named(candidate) == (Bottleneck.CHATTY_RPC, "shop", "answer")
    assert "5.0 times in sequence per request" in candidate.evidence[0]


def test_calls_that_other_requests_make_side_by_side_wait_for_their_turn() -> None:
    """Two requests of three find one of five workers free, and make their calls one after the other."""
    in_turn, at_once = request(30, *(asked(5 * at) for at in range(5))), request(30, *(asked(at) for at in range(5)))
    assert found(find_chatty_rpc, seen(*[in_turn, in_turn, at_once] * 10)) == []


def test_a_loop_whose_calls_clocks_make_overlap_once_is_a_loop() -> None:
    in_turn, moved = request(30, *(asked(5 * at) for at in range(5))), request(30, *(asked(4 * at) for at in range(5)))
    assert len(found(find_chatty_rpc, seen(*[in_turn] * 19, moved))) == 1


def test_attempts_at_one_call_are_no_chatty_rpc() -> None:
    attempts = [asked(5 * at) for at in range(5)]
    failed = [Node(replace(each.span, status=SpanStatus.ERROR), each.children) for each in attempts[:-1]]
    assert found(find_chatty_rpc, seen(request(30, *failed, attempts[-1]))) == []


def test_calls_off_the_critical_path_are_no_chatty_rpc() -> None:
    beside = step("beside", 0, 25, *(asked(5 * at) for at in range(5)))
    assert (
        found(find_chatty_rpc, seen(request(30, beside, call("long", 0, 30, serve("wait", 1, 29, service="mail")))))
        == []
    )


def test_a_long_way_that_is_taken_often_is_a_chatty_rpc() -> None:
    """Each call spends 20 ms on its way: one call for all gains more than a shorter way."""
    roots = [request(130, *(asked(25 * at, end=25, way=10) for at in range(5)))] * 30
    assert diagnose(seen(*roots)).bottleneck is Bottleneck.CHATTY_RPC


def test_a_long_way_that_is_taken_once_is_the_network() -> None:
    assert diagnose(seen(*[request(30, asked(0, end=25, way=10))] * 30)).bottleneck is Bottleneck.NETWORK_LATENCY


def test_calls_after_the_last_commit_are_a_side_effect_alone() -> None:
    calls = [call("send", 10 + 5 * at, 15 + 5 * at) for at in range(5)]
    verdict = diagnose(seen(*[request(40, query("COMMIT", 5, 10), *calls)] * 30))
    assert (verdict.bottleneck, verdict.also) == (Bottleneck.SYNC_SIDE_EFFECT, ())


def test_calls_that_wait_for_one_worker_are_a_serial_resource_alone() -> None:
    """Three requests at a time make four calls of 14 ms each, and one worker serves them in turns."""
    roots = []
    for number in range(40):
        first, turn = 200.0 * (number // 3), number % 3
        calls = [asked(first + 14 * (3 * at + turn), end=14) for at in range(4)]
        roots.append(serve("POST /things", first, first + 14 * (9 + turn) + 14, *calls))
    verdict = diagnose(seen(*roots))
    assert verdict.bottleneck is Bottleneck.SERIAL_RESOURCE
    assert "chatty_rpc in shop answer" not in verdict.also
