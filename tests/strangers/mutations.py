"""Mutations of a recording: the same spans as other systems, exporters and clocks would record them.

python -m tests.strangers.mutations FOLDER ... prints for each recording and mutation whether the verdict was kept.
"""

import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from observability.analysis.diagnosis import diagnose
from observability.analysis.observation import Observation
from observability.analysis.observation_folder import read_observation
from observability.analysis.spans import Attribute, Span, SpanKind
from observability.analysis.trees import build_traces
from observability.analysis.verdict import Answer, Verdict

Change = Callable[[Sequence[Span], random.Random], Sequence[Span]]

_SECOND = 10**9
_MOST_CLOCK_OFFSET = 10 * _SECOND
_HEALTH_CHECKS_A_REQUEST = 5
_LOST_PARENTS = 0.05
_LOST_END = 0.3
_PARAMETER = re.compile(r"\$\d+|%s|\?")
_OLD_NAMES = {
    "db.system.name": "db.system",
    "db.query.text": "db.statement",
    "db.operation.name": "db.operation",
    "db.collection.name": "db.sql.table",
    "db.namespace": "db.name",
    "http.request.method": "http.method",
    "http.response.status_code": "http.status_code",
    "url.path": "http.target",
    "server.address": "net.peer.name",
    "server.port": "net.peer.port",
    "rpc.response.status_code": "rpc.grpc.status_code",
}


class Outcome(StrEnum):
    """Effect of a mutation on the verdict: the same class and service, none at all, or another."""

    KEPT = "kept"
    ABSTAINED = "abstained"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Trial:
    """One mutation of one recording, with both verdicts."""

    mutation: str
    before: Verdict
    after: Verdict

    @property
    def outcome(self) -> Outcome:
        """Return the effect on the verdict."""
        return outcome_of(self.before, self.after)

    def sentence(self) -> str:
        """Return the outcome as a line."""
        return f"{self.mutation:22} {self.outcome:10} {self.after.sentence()}"


def main(*folders: str) -> int:
    """Print every trial and the counts; return 1 if at least a twentieth of the verdicts changed to another one."""
    counts: Counter[Outcome] = Counter()
    for folder in folders:
        trials = try_mutations(read_observation(Path(folder)))
        sys.stdout.write(f"{folder}: {trials[0].before.sentence()}\n")
        sys.stdout.writelines(f"  {trial.sentence()}\n" for trial in trials)
        counts.update(trial.outcome for trial in trials)
    sys.stdout.write(f"{dict(counts)}\n")
    return int(counts[Outcome.OTHER] * 20 >= counts.total())


def try_mutations(observation: Observation, *, seed: int = 1) -> list[Trial]:
    """Diagnose an observation with each mutation of its spans."""
    before = diagnose(observation)
    return [
        Trial(name, before, diagnose(mutated(observation, change, seed=seed))) for name, change in MUTATIONS.items()
    ]


def outcome_of(before: Verdict, after: Verdict) -> Outcome:
    """Compare two verdicts; to name nothing any more is to say something else."""
    if _place(before) == _place(after):
        return Outcome.KEPT
    return Outcome.ABSTAINED if after.answer is Answer.CANNOT_TELL else Outcome.OTHER


def mutated(observation: Observation, change: Change, *, seed: int) -> Observation:
    """Return the observation with other spans; all else stays."""
    tops = (top for trace in observation.traces for top in (*trace.roots, *trace.orphans))
    spans = [node.span for top in tops for node in top.walk()]
    forest = build_traces(change(spans, random.Random(seed)))
    return replace(observation, traces=forest.traces, duplicate_spans=forest.duplicates)


def without_kinds(spans: Sequence[Span], source: random.Random) -> Sequence[Span]:
    """Remove the kind of every span, as older exporters do."""
    del source
    return [replace(span, kind=SpanKind.UNSPECIFIED) for span in spans]


def all_internal(spans: Sequence[Span], source: random.Random) -> Sequence[Span]:
    """Make every span INTERNAL, the default of the API."""
    del source
    return [replace(span, kind=SpanKind.INTERNAL) for span in spans]


def ids_in_names(spans: Sequence[Span], source: random.Random) -> Sequence[Span]:
    """Append an id to the name of every span that is no statement, as paths without a route have one."""
    return [span if _is_statement(span) else replace(span, name=f"{span.name}/{_id(source)}") for span in spans]


def literals_in_statements(spans: Sequence[Span], source: random.Random) -> Sequence[Span]:
    """Put values into statements, and name their spans by the whole statement."""
    return [_with_literals(span, source) if _is_statement(span) else span for span in spans]


def health_checks(spans: Sequence[Span], source: random.Random) -> Sequence[Span]:
    """Add short requests to a health check beside, five to a request."""
    roots = [span for span in spans if not span.parent_span_id]
    checks = (
        _request_beside(root, "GET /healthz", source, seconds=0.001)
        for root in roots
        for _ in range(_HEALTH_CHECKS_A_REQUEST)
    )
    return [*spans, *checks]


def long_polls(spans: Sequence[Span], source: random.Random) -> Sequence[Span]:
    """Add requests that wait half a minute for news, one to each three requests."""
    roots = [span for span in spans if not span.parent_span_id]
    return [*spans, *(_request_beside(root, "GET /events", source, seconds=30) for root in roots[::3])]


def missing_parents(spans: Sequence[Span], source: random.Random) -> Sequence[Span]:
    """Lose a twentieth of the spans that have both a parent and children."""
    parents = {(span.trace_id, span.parent_span_id) for span in spans}
    return [
        span
        for span in spans
        if not span.parent_span_id or (span.trace_id, span.span_id) not in parents or source.random() >= _LOST_PARENTS
    ]


def remote_parents(spans: Sequence[Span], source: random.Random) -> Sequence[Span]:
    """Give every root a parent in a system that sends no spans, such as a browser or a gateway."""
    return [span if span.parent_span_id else replace(span, parent_span_id=_id(source)) for span in spans]


def clock_offsets(spans: Sequence[Span], source: random.Random) -> Sequence[Span]:
    """Shift each service's clock by up to ten seconds either way."""
    services = sorted({span.service for span in spans})
    offsets = {service: source.randint(-_MOST_CLOCK_OFFSET, _MOST_CLOCK_OFFSET) for service in services}
    return [
        replace(
            span,
            start_nanoseconds=span.start_nanoseconds + offsets[span.service],
            end_nanoseconds=span.end_nanoseconds + offsets[span.service],
        )
        for span in spans
    ]


def duplicated(spans: Sequence[Span], source: random.Random) -> Sequence[Span]:
    """Send every span twice, as an exporter does that got no answer."""
    return source.sample([*spans, *spans], 2 * len(spans))


def truncated(spans: Sequence[Span], source: random.Random) -> Sequence[Span]:
    """Lose the spans that ended in the last three tenths of the time."""
    del source
    ends = sorted(span.end_nanoseconds for span in spans)
    last = ends[int((1 - _LOST_END) * len(ends))]
    return [span for span in spans if span.end_nanoseconds < last]


def old_conventions(spans: Sequence[Span], source: random.Random) -> Sequence[Span]:
    """Use the attribute names of the semantic conventions before they were stable."""
    del source
    return [
        replace(span, attributes={_OLD_NAMES.get(key, key): value for key, value in span.attributes.items()})
        for span in spans
    ]


def opentracing_tags(spans: Sequence[Span], source: random.Random) -> Sequence[Span]:
    """Tell kinds and statements by the tags of OpenTracing alone."""
    del source
    return [_with_tags(span) for span in spans]


def java_names(spans: Sequence[Span], source: random.Random) -> Sequence[Span]:
    """Name the spans of HTTP clients by the method alone, as agents do that know no route."""
    del source
    return [
        replace(span, name="POST") if span.kind is SpanKind.CLIENT and not _is_statement(span) else span
        for span in spans
    ]


def without_attributes(spans: Sequence[Span], source: random.Random) -> Sequence[Span]:
    """Remove what only libraries know: every attribute but those that tell a statement's system."""
    del source
    return [
        replace(span, attributes={key: value for key, value in span.attributes.items() if key.startswith("db.system")})
        for span in spans
    ]


MUTATIONS: dict[str, Change] = {
    change.__name__: change
    for change in (
        without_kinds,
        all_internal,
        ids_in_names,
        literals_in_statements,
        health_checks,
        long_polls,
        missing_parents,
        remote_parents,
        clock_offsets,
        duplicated,
        truncated,
        old_conventions,
        opentracing_tags,
        java_names,
        without_attributes,
    )
}


def _place(verdict: Verdict) -> tuple[Answer, str | None, str]:
    return verdict.answer, verdict.bottleneck, verdict.service


def _is_statement(span: Span) -> bool:
    return any(key.startswith(("db.", "sql.")) for key in span.attributes)


def _with_literals(span: Span, source: random.Random) -> Span:
    def filled(value: Attribute) -> Attribute:
        return _PARAMETER.sub(lambda _: _literal(source), value) if isinstance(value, str) else value

    is_text = {"db.query.text", "db.statement", "sql.query"}
    attributes = {key: filled(value) if key in is_text else value for key, value in span.attributes.items()}
    texts: Iterator[str] = (str(attributes[key]) for key in sorted(is_text) if key in attributes)
    return replace(span, attributes=attributes, name=next(texts, f"{span.name} WHERE id = {_literal(source)}"))


def _with_tags(span: Span) -> Span:
    tags: dict[str, Attribute] = {
        {"db.query.text": "db.statement", "db.system.name": "db.type"}.get(key, key): value
        for key, value in span.attributes.items()
        if key.startswith(("db.", "http."))
    }
    if span.kind in {SpanKind.SERVER, SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.CONSUMER}:
        tags["span.kind"] = span.kind.name.lower()
    return replace(span, kind=SpanKind.UNSPECIFIED, attributes=tags)


def _request_beside(root: Span, name: str, source: random.Random, *, seconds: float) -> Span:
    return replace(
        root,
        trace_id=_id(source, bits=128),
        span_id=_id(source),
        name=name,
        kind=SpanKind.SERVER,
        end_nanoseconds=root.start_nanoseconds + round(seconds * _SECOND),
        attributes={},
        links=(),
    )


def _literal(source: random.Random) -> str:
    return source.choice((str(source.randint(1, 10**6)), f"'{_id(source)}'"))


def _id(source: random.Random, *, bits: int = 64) -> str:
    return f"{source.getrandbits(bits):0{bits // 4}x}"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
