"""Detector of a hot row: database sessions wait for locks that other sessions hold."""

from collections.abc import Sequence
from statistics import fmean

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.candidate import Candidate
from observability.analysis.detectors.database_calls import beyond, database_calls, durations
from observability.analysis.observation import Observation
from observability.analysis.requests import Request, longest
from observability.analysis.resources import sampling_seconds, waiting_sessions
from observability.analysis.whatif import Saving


def find_hot_row(observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Return a candidate for each database with lock waits; the fix saves the statement's wait."""
    waiting = waiting_sessions(observation, "Lock")
    each = sampling_seconds(observation)
    candidates = []
    for database in {session.database for session in waiting}:
        calls = database_calls(requests, namespace=database)
        if not calls:
            continue
        # If the queue never empties, even the fastest tenth of the calls waits, so the fastest call is the floor. The
        # saving is bounded by the sampled lock waits.
        floors = {key: min(durations(spans)) for key, spans in calls.items()}
        saved = {key: beyond(spans, floors[key], len(requests)) for key, spans in calls.items()}
        (service, name), lost = max(saved.items(), key=lambda item: sum(item[1]))
        seen = sum(session.database == database for session in waiting)
        candidates.append(
            Candidate(
                bottleneck=Bottleneck.HOT_ROW,
                service=service,
                operation=name,
                saving=Saving(work=(0.0,) * len(requests), wait=_at_most(lost, seen * each)),
                evidence=(
                    f"sessions of {database} waited for locks {seen * each / len(requests) * 1e3:.1f} ms per request",
                    f"{name!r} takes {fmean(durations(calls[service, name])) * 1e3:.1f} ms on average",
                    f"its fastest execution takes {floors[service, name] * 1e3:.1f} ms",
                ),
                trace_ids=longest(requests),
                predictor="queueing: without the wait for the row",
                measured=True,
            )
        )
    return candidates


def _at_most(parts: Sequence[float], whole: float) -> tuple[float, ...]:
    """Return the parts, scaled down so that their sum is at most the whole."""
    share = min(1.0, whole / sum(parts)) if sum(parts) else 0.0
    return tuple(part * share for part in parts)
