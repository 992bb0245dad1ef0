"""Hot row: do sessions wait for each other's locks?"""

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
    """Sessions that wait for each other's locks: what the statement that waits would take without."""
    waiting = waiting_sessions(observation, "Lock")
    each = sampling_seconds(observation)
    suspects = []
    for database in {session.database for session in waiting}:
        calls = database_calls(requests, namespace=database)
        if not calls:
            continue
        # Where the queue never empties even the fastest tenth waits. What the fastest call hides is bounded below, by
        # how long sessions were seen to wait.
        floors = {key: min(durations(spans)) for key, spans in calls.items()}
        saved = {key: beyond(spans, floors[key], len(requests)) for key, spans in calls.items()}
        (service, name), lost = max(saved.items(), key=lambda item: sum(item[1]))
        seen = sum(session.database == database for session in waiting)
        suspects.append(
            Candidate(
                bottleneck=Bottleneck.HOT_ROW,
                service=service,
                operation=name,
                saving=Saving(work=(0.0,) * len(requests), wait=_at_most(lost, seen * each)),
                evidence=(
                    f"sessions of {database} waited for locks {seen * each / len(requests) * 1e3:.1f} ms a request",
                    f"{name!r} takes {fmean(durations(calls[service, name])) * 1e3:.1f} ms",
                    f"the fastest of it takes {floors[service, name] * 1e3:.1f} ms",
                ),
                trace_ids=longest(requests),
                predictor="queueing: the wait for the row goes away",
            )
        )
    return suspects


def _at_most(parts: Sequence[float], whole: float) -> tuple[float, ...]:
    """Shrink all parts alike until they add up to no more than the whole."""
    share = min(1.0, whole / sum(parts)) if sum(parts) else 0.0
    return tuple(part * share for part in parts)
