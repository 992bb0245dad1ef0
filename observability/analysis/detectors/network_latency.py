"""Network latency: are calls on their way for long, though neither end is busy?"""

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.critical_path import Where
from observability.analysis.detectors.candidate import UNHINDERED, Candidate
from observability.analysis.observation import Observation
from observability.analysis.quantiles import quantile
from observability.analysis.requests import Request, longest
from observability.analysis.spans import SpanKind
from observability.analysis.trees import Node
from observability.analysis.whatif import Saving

_NANOSECONDS = 1e9
# What a call is on its way between neighbours, both ends' event loops included.
NEAR_SECONDS = 0.001


def find_network_latency(_observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Calls that are on their way for long even when they are fastest: no queue at either end explains that."""
    edges: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for number, request in enumerate(requests):
        for node, on_the_way in _edges(request):
            served = next(child.span for child in node.children if child.span.kind is SpanKind.SERVER)
            edges[node.span.service, served.service].append((number, on_the_way))
    suspects = []
    for (caller, called), seen in edges.items():
        fastest = quantile(sorted(taken for _, taken in seen), UNHINDERED)
        saved = [0.0] * len(requests)
        for number, taken in seen:
            saved[number] += min(taken, max(0.0, fastest - NEAR_SECONDS))
        suspects.append(
            Candidate(
                bottleneck=Bottleneck.NETWORK_LATENCY,
                service=caller,
                operation=called,
                saving=Saving(work=(0.0,) * len(requests), wait=tuple(saved)),
                evidence=(
                    f"a call is on its way for {fmean(taken for _, taken in seen) * 1e3:.1f} ms",
                    f"the fastest tenth still is for up to {fastest * 1e3:.1f} ms, whatever else goes on",
                    f"{len(seen) / len(requests):.1f} such calls a request",
                ),
                trace_ids=longest(requests),
                predictor="retime: calls take no longer on their way than between neighbours",
            )
        )
    return suspects


def _edges(request: Request) -> list[tuple[Node, float]]:
    """Give the calls on the path that another service served, each with the seconds on its way there and back."""
    found: dict[int, tuple[Node, float]] = {}
    for segment in request.path:
        if segment.where is not Where.SELF:
            _, before = found.get(id(segment.node), (segment.node, 0.0))
            found[id(segment.node)] = (segment.node, before + segment.duration_nanoseconds / _NANOSECONDS)
    return list(found.values())
