"""Detector of a missing index: a large table is scanned sequentially for a few rows."""

import re
from collections.abc import Sequence
from statistics import fmean, median

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.candidate import Candidate
from observability.analysis.detectors.database_calls import beyond, database_calls, durations
from observability.analysis.observation import Observation, TableUse
from observability.analysis.requests import Request, longest
from observability.analysis.whatif import Saving

# A sequential scan of so many rows is no sensible lookup.
MANY_ROWS = 5_000


def find_missing_index(observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Return a candidate for each table that is scanned repeatedly; the fix makes its statement as fast as others."""
    candidates = []
    for table in observation.tables:
        if not table.sequential_scans or table.sequential_rows_read / table.sequential_scans < MANY_ROWS:
            continue
        verbs = _verbs(observation, table)
        every = database_calls(requests, namespace=table.database)
        named = {key: spans for key, spans in every.items() if table.table in key[1].split()}
        doing = {key: spans for key, spans in every.items() if key[1].split(" ", 1)[0].upper() in verbs}
        calls = doing or named or every
        if not calls or table.sequential_scans < len(requests) / 2:
            continue
        (service, name), spans = max(calls.items(), key=lambda item: sum(durations(item[1])))
        others = [each for key, group in every.items() if key != (service, name) for each in durations(group)]
        usual = median(others) if others else 0.0
        read = table.sequential_rows_read / table.sequential_scans
        candidates.append(
            Candidate(
                bottleneck=Bottleneck.MISSING_INDEX,
                service=service,
                operation=name,
                saving=Saving(work=beyond(spans, usual, len(requests)), wait=(0.0,) * len(requests)),
                evidence=(
                    f"{table.table} is scanned sequentially {table.sequential_scans:,} times, {read:,.0f} rows each",
                    f"{name!r} takes {fmean(durations(spans)) * 1e3:.1f} ms, other statements {usual * 1e3:.2f} ms",
                ),
                trace_ids=longest(requests),
                predictor="retime: the statement takes as long as others of its database",
            )
        )
    return candidates


def _verbs(observation: Observation, table: TableUse) -> frozenset[str]:
    """Return the verbs of the statement that spends most time on a table; empty when no statement names the table."""
    word = re.compile(rf"\b{re.escape(table.table)}\b")
    naming = [each for each in observation.statements if each.database == table.database and word.search(each.query)]
    if not naming:
        return frozenset()
    slowest = max(naming, key=lambda each: each.total_seconds)
    found = frozenset(re.findall(r"\b(INSERT|UPDATE|DELETE|MERGE)\b", slowest.query.upper()))
    # SELECT ... FOR UPDATE is a SELECT.
    return found if found and not slowest.query.lstrip().upper().startswith("SELECT") else frozenset({"SELECT"})
