"""Critical path of the cases that Jaeger UI and Uber's CRISP publish: what we say, and where they say something else.

The cases are built anew from their published tests: the same shapes of traces, with names and times of our own.
docs/decisions/0028 gives the rule behind each difference.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from observability.analysis.clock_skew import repair
from observability.analysis.critical_path import critical_path
from observability.analysis.spans import SpanKind
from observability.analysis.trees import Node
from tests.each import for_each
from tests.unit.analysis.making import client, node, server

Intervals = Mapping[str, list[tuple[int, int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One trace and the path through it.

    name: whose case it is, and what it is about.
    root: the trace.
    ours: when each span is on the path, by its name.
    theirs: the same as they have it, where it differs.
    """

    name: str
    root: Node
    ours: Intervals
    theirs: Intervals | None = None


JAEGER = (
    Case(
        name="Jaeger 1: two calls with pauses around them",
        root=node("order", 0, 90, node("stock", 15, 35), node("mail", 50, 70)),
        ours={"order": [(0, 15), (35, 50), (70, 90)], "stock": [(15, 35)], "mail": [(50, 70)]},
    ),
    Case(
        name="Jaeger 2: a call that overlaps the next, which ends last",
        root=node("order", 0, 90, client("stock", 10, 45), client("mail", 25, 60)),
        ours={"order": [(0, 10), (60, 90)], "stock": [(10, 25)], "mail": [(25, 60)]},
        theirs={"order": [(0, 25), (60, 90)], "mail": [(25, 60)]},
    ),
    Case(
        name="Jaeger 3: work that began after its caller had ended",
        root=node("order", 0, 40, node("mail", 60, 150)),
        ours={"order": [(0, 40)]},
    ),
    Case(
        name="Jaeger 3, by another service",
        root=node("order", 0, 40, node("mail", 60, 150, service="mail")),
        ours={"order": [(0, 40)]},
    ),
    Case(
        name="Jaeger 4: what is below such work",
        root=node("order", 0, 40, node("mail", 60, 150, node("render", 70, 90))),
        ours={"order": [(0, 40)]},
    ),
    Case(
        name="Jaeger 5: work that only follows from its cause",
        root=node("order", 0, 40, node("mail", 10, 25, kind=SpanKind.CONSUMER)),
        ours={"order": [(0, 40)]},
    ),
    Case(
        name="Jaeger 6: a call that outlasts its caller, and work below that began before it",
        root=node("order", 0, 40, node("stock", 20, 55, node("lock", 12, 30))),
        ours={"order": [(0, 20)], "lock": [(20, 30)], "stock": [(30, 40)]},
    ),
    Case(
        name="Jaeger 7: each call outlasts its caller",
        root=node("order", 0, 40, node("stock", 20, 55, node("lock", 28, 70))),
        ours={"order": [(0, 20)], "stock": [(20, 28)], "lock": [(28, 40)]},
    ),
    Case(
        name="Jaeger 8: a call around its caller",
        root=node("order", 10, 40, node("stock", 0, 55)),
        ours={"stock": [(10, 40)]},
    ),
    Case(
        name="Jaeger 9: work that ended before its caller began",
        root=node("order", 10, 40, node("stock", 0, 6)),
        ours={"order": [(10, 40)]},
    ),
    Case(
        name="Jaeger: a message that is sent, and received while its sender waits",
        root=node(
            "order",
            0,
            40,
            node("send", 10, 14, node("receive", 12, 30, kind=SpanKind.CONSUMER), kind=SpanKind.PRODUCER),
        ),
        ours={"order": [(0, 10), (14, 40)], "send": [(10, 14)]},
        theirs={"order": [(0, 40)]},
    ),
)

CRISP = (
    Case(
        name="CRISP: a chain of calls",
        root=node("order", 0, 100, node("stock", 10, 90, node("lock", 20, 70))),
        ours={"order": [(0, 10), (90, 100)], "stock": [(10, 20), (70, 90)], "lock": [(20, 70)]},
    ),
    Case(
        name="CRISP: a root alone",
        root=node("order", 7, 20),
        ours={"order": [(7, 20)]},
    ),
    Case(
        name="CRISP: one call after the other",
        root=node("order", 0, 800, client("stock", 0, 300), client("mail", 450, 800)),
        ours={"order": [(300, 450)], "stock": [(0, 300)], "mail": [(450, 800)]},
    ),
    Case(
        name="CRISP: calls back to back",
        root=node("order", 0, 300, client("a", 0, 100), client("b", 100, 200), client("c", 200, 300)),
        ours={"a": [(0, 100)], "b": [(100, 200)], "c": [(200, 300)]},
    ),
    Case(
        name="CRISP: the path within the last call comes before the call before it",
        root=node(
            "order",
            0,
            800,
            client("stock", 0, 300),
            node("pay", 400, 800, node("ask", 420, 600), node("note", 700, 790)),
        ),
        ours={
            "order": [(300, 400)],
            "stock": [(0, 300)],
            "pay": [(400, 420), (600, 700), (790, 800)],
            "ask": [(420, 600)],
            "note": [(700, 790)],
        },
    ),
    Case(
        name="CRISP: a long call that waits for two short ones",
        root=node("order", 0, 900, node("pay", 0, 900, node("ask", 90, 250), node("note", 500, 620))),
        ours={"pay": [(0, 90), (250, 500), (620, 900)], "ask": [(90, 250)], "note": [(500, 620)]},
    ),
    Case(
        name="CRISP: a call that clearly overlaps the next",
        root=node("order", 0, 1_000, client("stock", 0, 600), client("mail", 500, 1_000)),
        ours={"stock": [(0, 500)], "mail": [(500, 1_000)]},
        theirs={"order": [(0, 500)], "mail": [(500, 1_000)]},
    ),
    Case(
        name="CRISP: overlap of less than a hundredth of the caller's time",
        root=node("order", 0, 1_000, client("stock", 100, 505), client("mail", 500, 800)),
        ours={"order": [(0, 100), (800, 1_000)], "stock": [(100, 500)], "mail": [(500, 800)]},
        theirs={"order": [(0, 100), (800, 1_000)], "stock": [(100, 505)], "mail": [(500, 800)]},
    ),
    Case(
        name="CRISP: overlap of exactly a hundredth",
        root=node("order", 0, 1_000, client("stock", 0, 510), client("mail", 500, 1_000)),
        ours={"stock": [(0, 500)], "mail": [(500, 1_000)]},
        theirs={"order": [(0, 500)], "mail": [(500, 1_000)]},
    ),
    Case(
        name="CRISP: a third call within a small overlap",
        root=node("order", 0, 1_000, client("stock", 0, 505), client("mail", 500, 1_000), client("note", 502, 510)),
        ours={"stock": [(0, 500)], "mail": [(500, 1_000)]},
        theirs={"order": [(0, 500)], "mail": [(500, 1_000)]},
    ),
    Case(
        name="CRISP: two calls that end together",
        root=node(
            "order",
            0,
            1_000,
            client("pay", 500, 1_000, node("ask", 500, 700)),
            client("mail", 600, 1_000, node("render", 600, 800)),
        ),
        ours={"order": [(0, 500)], "ask": [(500, 700)], "pay": [(700, 1_000)]},
        theirs={"order": [(0, 600)], "render": [(600, 800)], "mail": [(800, 1_000)]},
    ),
    Case(
        name="CRISP: two calls at once, the second of which fails and ends last",
        root=node("order", 0, 100, node("pay", 10, 70, client("stock", 25, 45), client("mail", 30, 50))),
        ours={"order": [(0, 10), (70, 100)], "pay": [(10, 25), (50, 70)], "stock": [(25, 30)], "mail": [(30, 50)]},
        theirs={"order": [(0, 10), (70, 100)], "pay": [(10, 30), (50, 70)], "mail": [(30, 50)]},
    ),
    Case(
        name="CRISP: a call that outlasts its caller, which another part follows",
        root=node("order", 0, 1_000, node("pay", 0, 500, node("ask", 400, 700))),
        ours={"order": [(500, 1_000)], "pay": [(0, 400)], "ask": [(400, 500)]},
    ),
    Case(
        name="CRISP: a call that began before its caller",
        root=node("order", 100, 1_000, node("pay", 0, 300)),
        ours={"order": [(300, 1_000)], "pay": [(100, 300)]},
    ),
    Case(
        name="CRISP: work wholly after its caller",
        root=node("order", 0, 100, node("mail", 200, 300, node("render", 250, 260))),
        ours={"order": [(0, 100)]},
    ),
    Case(
        name="CRISP: a call within the time of another one",
        root=node("order", 0, 1_000, client("pay", 100, 900), client("stock", 200, 300)),
        ours={"order": [(0, 100), (900, 1_000)], "pay": [(100, 900)]},
    ),
    Case(
        name="CRISP: a call within the time of a function that records nothing below it",
        root=node("order", 0, 1_000, node("pay", 100, 900), client("stock", 200, 300)),
        ours={"order": [(0, 100), (900, 1_000)], "pay": [(100, 200), (300, 900)], "stock": [(200, 300)]},
        theirs={"order": [(0, 100), (900, 1_000)], "pay": [(100, 900)]},
    ),
    Case(
        name="CRISP: a server whose span begins before its client's",
        root=node("order", 0, 1_000, client("ask", 750, 950, server("serve", 745, 945))),
        ours={"order": [(0, 750), (950, 1_000)], "serve": [(750, 950)]},
        theirs={"order": [(0, 750), (950, 1_000)], "serve": [(750, 945)], "ask": [(945, 950)]},
    ),
    Case(
        name="CRISP: a server whose span is longer than its client's, and a call without length",
        root=node(
            "order",
            0,
            1_000,
            client("ask", 100, 600, server("serve", 105, 609, node("render", 550, 609, service="stock"))),
            node("note", 700, 700),
        ),
        ours={"order": [(0, 100), (600, 1_000)], "ask": [(100, 105)], "serve": [(105, 550)], "render": [(550, 600)]},
    ),
)


@for_each((*JAEGER, *CRISP), name=lambda case: case.name)
def test_critical_path_is_ours_or_theirs(case: Case) -> None:
    path = intervals_of(case.root)
    assert path == case.ours
    assert path != case.theirs


def test_each_of_their_traces_is_covered_once() -> None:
    for case in (*JAEGER, *CRISP):
        span = case.root.span
        covered = sorted(interval for intervals in case.ours.values() for interval in intervals)
        assert sum(end - start for start, end in covered) == span.duration_nanoseconds, case.name


def test_chain_of_their_depth_has_a_path() -> None:
    root = node("0", 0, 1)
    for depth in range(1, 15_000):
        root = node(str(depth), 0, 1, root)
    assert intervals_of(root) == {"0": [(0, 1)]}


def intervals_of(root: Node) -> dict[str, list[tuple[int, int]]]:
    """Return when each span is on the path of a trace, by name; intervals that touch are one."""
    found: dict[str, list[tuple[int, int]]] = {}
    for name, start, end in _segments(root):
        known = found.setdefault(name, [])
        if known and known[-1][1] == start:
            known[-1] = known[-1][0], end
        else:
            known.append((start, end))
    return found


def _segments(root: Node) -> Iterator[tuple[str, int, int]]:
    for segment in critical_path(repair(root).root):
        yield segment.node.span.name, segment.start_nanoseconds, segment.end_nanoseconds
