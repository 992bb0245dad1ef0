"""Detector of network latency: calls take long on the network, even when neither end is busy."""

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
# Time on the network between hosts of one site, including the event loops of both ends.
NEAR_SECONDS = 0.001


def find_network_latency(_observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Return a candidate for each caller and callee; the fix saves the network time of even the fastest calls.

    Even the fastest calls include that time, so no queue at either end explains it.
    """
    calls: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for number, request in enumerate(requests):
        for node, network_seconds in _network_calls(request):
            served = next(child.span for child in node.children if child.span.kind is SpanKind.SERVER)
            calls[node.span.service, served.service].append((number, network_seconds))
    candidates = []
    for (caller, called), seen in calls.items():
        fastest = quantile(sorted(taken for _, taken in seen), UNHINDERED)
        saved = [0.0] * len(requests)
        for number, taken in seen:
            saved[number] += min(taken, max(0.0, fastest - NEAR_SECONDS))
        candidates.append(
            Candidate(
                bottleneck=Bottleneck.NETWORK_LATENCY,
                service=caller,
                operation=called,
                saving=Saving(work=(0.0,) * len(requests), wait=tuple(saved)),
                evidence=(
                    f"a call spends {fmean(taken for _, taken in seen) * 1e3:.1f} ms on the network",
                    f"the fastest tenth of the calls spends up to {fastest * 1e3:.1f} ms there",
                    f"{len(seen) / len(requests):.1f} such calls per request",
                ),
                trace_ids=longest(requests),
                predictor="retime: calls spend as little on the network as within one site",
            )
        )
    return candidates


def _network_calls(request: Request) -> list[tuple[Node, float]]:
    """Return the calls on the path with a server span, each with its seconds on the network, there and back."""
    found: dict[int, tuple[Node, float]] = {}
    for segment in request.path:
        if segment.where is not Where.SELF:
            _, before = found.get(id(segment.node), (segment.node, 0.0))
            found[id(segment.node)] = (segment.node, before + segment.duration_nanoseconds / _NANOSECONDS)
    return list(found.values())
