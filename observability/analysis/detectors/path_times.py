"""Times of each span on the requests' critical paths."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from observability.analysis.requests import Request
from observability.analysis.trees import Node


class PathTimes:
    """The critical paths of requests, by span."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self._own: list[dict[str, list[tuple[int, int]]]] = []
        for request in requests:
            own: dict[str, list[tuple[int, int]]] = defaultdict(list)
            for segment in request.path:
                own[segment.node.span.span_id].append((segment.start_nanoseconds, segment.end_nanoseconds))
            self._own.append(own)

    def own(self, request: int, node: Node, start: int, end: int) -> int:
        """Return the nanoseconds between two moments that a request's path spends in a span itself, not below it."""
        segments = self._own[request].get(node.span.span_id, ())
        return sum(max(0, min(last, end) - max(first, start)) for first, last in segments)

    def below(self, request: int, tops: Iterable[Node], start: int, end: int) -> int:
        """Return the nanoseconds between two moments that a request's path spends in spans and their descendants."""
        return sum(self.own(request, node, start, end) for top in tops for node in top.walk())
