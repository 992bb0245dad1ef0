"""Changes of an observation that keep its bottleneck: other names, another time scale, fewer requests."""

import random
import re
import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fractions import Fraction

from observability.analysis.observation import Observation, SessionSample, TimedScrape
from observability.analysis.openmetrics import Labels, Scrape
from observability.analysis.spans import Span
from observability.analysis.trees import Trace, build_traces
from observability.analysis.verdict import Verdict

_WORD = re.compile(r"\b[A-Za-z_]\w*")
# Words that are no names of this system: SQL and HTTP in capitals, and PostgreSQL's own.
_STANDING_WORD = re.compile(r"[A-Z]+|pg_\w+")
# Attributes and labels of the semantic conventions, those of them whose values are words of the conventions too, and
# those that are times.
_CONVENTION = re.compile(r"(db|http|url|server|network|rpc|messaging|error)[._].*|le|state")
_CONVENTIONAL_VALUE = re.compile(r".*\.(system|operation)\.name|url\.scheme|error\.type|le|state")
_SECONDS = re.compile(r".*(wait_time|_seconds)")
# The prefix of our own metrics.
_PREFIX = re.compile(r"shop(?=_)")


class Names:
    """Consistent random replacements of all names of a system."""

    def __init__(self, seed: int) -> None:
        self._source = random.Random(seed)
        self._given: dict[str, str] = {}

    def rename(self, text: str) -> str:
        """Rename every word of a text."""
        return _WORD.sub(lambda match: self._renamed(match[0]), text)

    def rename_prefix(self, metric: str) -> str:
        """Rename what our own metrics begin with; no convention names them."""
        return _PREFIX.sub(lambda match: self._renamed(match[0]), metric)

    def rename_key(self, key: str) -> str:
        """Rename an attribute or a label, if it is our own."""
        return key if _CONVENTION.fullmatch(key) else self.rename(key)

    def rename_value(self, key: str, value: str) -> str:
        """Rename the text that an attribute or a label of this former key has."""
        return value if _CONVENTIONAL_VALUE.fullmatch(key) else self.rename(value)

    def restore(self, verdict: Verdict) -> Verdict:
        """Give a verdict about renamed things in their former words."""
        former = {given: word for word, given in self._given.items()}

        def back(text: str) -> str:
            return _WORD.sub(lambda match: former.get(match[0], match[0]), text)

        return replace(
            verdict,
            service=back(verdict.service),
            operation=back(verdict.operation),
            reasons=tuple(map(back, verdict.reasons)),
            also=tuple(map(back, verdict.also)),
            effects=tuple(
                replace(each, service=back(each.service), operation=back(each.operation)) for each in verdict.effects
            ),
            place=verdict.place
            and replace(
                verdict.place,
                name=back(verdict.place.name),
                service=back(verdict.place.service),
                operation=back(verdict.place.operation),
            ),
            time_table=tuple(
                replace(
                    each,
                    name=back(each.name),
                    service=back(each.service),
                    operation=back(each.operation),
                    peer=back(each.peer),
                )
                for each in verdict.time_table
            ),
            classes=tuple(
                replace(each, service=back(each.service), operation=back(each.operation)) for each in verdict.classes
            ),
        )

    def _renamed(self, word: str) -> str:
        if _STANDING_WORD.fullmatch(word):
            return word
        while word not in self._given:
            drawn = "".join(self._source.choices(string.ascii_lowercase, k=9))
            if drawn not in self._given.values():
                self._given[word] = drawn
        return self._given[word]


def renamed(observation: Observation, names: Names) -> Observation:
    """Rename services, spans, tables, statements, databases, pools, targets, processes and caches."""
    rename = names.rename
    return replace(
        observation,
        traces=_traces(observation.traces, lambda span: _renamed_span(span, names)),
        later_traces=_traces(observation.later_traces, lambda span: _renamed_span(span, names)),
        scrapes=tuple(_renamed_scrape(scrape, names) for scrape in observation.scrapes),
        sessions=tuple(_renamed_sessions(sample, names) for sample in observation.sessions),
        statements=tuple(
            replace(each, database=rename(each.database), query=rename(each.query)) for each in observation.statements
        ),
        tables=tuple(
            replace(each, database=rename(each.database), table=rename(each.table)) for each in observation.tables
        ),
        processes=tuple(replace(each, process=rename(each.process)) for each in observation.processes),
        caches=tuple(replace(each, cache=rename(each.cache)) for each in observation.caches),
    )


def slowed(observation: Observation, factor: Fraction) -> Observation:
    """Multiply all times and durations, as if another clock had been looked at."""
    seen, by = observation.requests, float(factor)
    return replace(
        observation,
        traces=_traces(observation.traces, lambda span: _slowed_span(span, factor)),
        later_traces=_traces(observation.later_traces, lambda span: _slowed_span(span, factor)),
        scrapes=tuple(
            replace(each, at_seconds=each.at_seconds * by, scrape=_slowed_scrape(each.scrape, by))
            for each in observation.scrapes
        ),
        sessions=tuple(_slowed_sessions(sample, by) for sample in observation.sessions),
        statements=tuple(replace(each, total_seconds=each.total_seconds * by) for each in observation.statements),
        processes=tuple(
            replace(
                each,
                at_seconds=each.at_seconds * by,
                cpu_seconds=each.cpu_seconds * by,
                wait_seconds=None if each.wait_seconds is None else each.wait_seconds * by,
            )
            for each in observation.processes
        ),
        requests=seen
        and replace(
            seen,
            from_seconds=seen.from_seconds * by,
            until_seconds=seen.until_seconds * by,
            scheduled_rate_per_second=seen.scheduled_rate_per_second / by,
            latencies_seconds=tuple(each * by for each in seen.latencies_seconds),
            objective=seen.objective and replace(seen.objective, seconds=seen.objective.seconds * by),
        ),
    )


def with_other_targets(observation: Observation) -> Observation:
    """Call what was scraped by an address, which says nothing of its service."""
    targets = sorted({each.target for each in observation.scrapes}, reverse=True)
    return replace(
        observation,
        scrapes=tuple(
            replace(each, target=f"10.0.0.{targets.index(each.target)}:9090") for each in observation.scrapes
        ),
    )


def traces_alone(observation: Observation) -> Observation:
    """Keep nothing but the traces."""
    return replace(
        observation,
        scrapes=(),
        sessions=(),
        statements=(),
        tables=(),
        processes=(),
        caches=(),
        requests=None,
        malformed_lines=0,
    )


def _traces(traces: Iterable[Trace], change: Callable[[Span], Span]) -> tuple[Trace, ...]:
    tops = (top for trace in traces for top in (*trace.roots, *trace.orphans))
    return build_traces(change(node.span) for top in tops for node in top.walk()).traces


def _renamed_span(span: Span, names: Names) -> Span:
    return replace(
        span,
        name=names.rename(span.name),
        service=names.rename(span.service),
        attributes={
            names.rename_key(key): names.rename_value(key, value) if isinstance(value, str) else value
            for key, value in span.attributes.items()
        },
    )


def _renamed_scrape(scrape: TimedScrape, names: Names) -> TimedScrape:
    samples = {
        names.rename_prefix(metric): {
            tuple(sorted((names.rename_key(key), names.rename_value(key, value)) for key, value in labels)): value
            for labels, value in values.items()
        }
        for metric, values in scrape.scrape.samples.items()
    }
    return replace(scrape, target=names.rename(scrape.target), scrape=replace(scrape.scrape, samples=samples))


def _renamed_sessions(sample: SessionSample, names: Names) -> SessionSample:
    return replace(
        sample,
        sessions=tuple(
            replace(each, database=names.rename(each.database), query=names.rename(each.query))
            for each in sample.sessions
        ),
    )


def _slowed_span(span: Span, factor: Fraction) -> Span:
    return replace(
        span,
        start_nanoseconds=int(span.start_nanoseconds * factor),
        end_nanoseconds=int(span.end_nanoseconds * factor),
        attributes={
            key: value * float(factor) if isinstance(value, float) and _SECONDS.fullmatch(key) else value
            for key, value in span.attributes.items()
        },
    )


def _slowed_scrape(scrape: Scrape, by: float) -> Scrape:
    """Multiply sums and bounds of histograms, and counters and gauges, that are in seconds."""
    return replace(
        scrape, samples={metric: _slowed_values(metric, values, by) for metric, values in scrape.samples.items()}
    )


def _slowed_values(metric: str, values: Mapping[Labels, float], by: float) -> dict[Labels, float]:
    if metric.endswith("_seconds_bucket"):
        return {
            tuple((key, str(float(bound) * by) if key == "le" else bound) for key, bound in labels): count
            for labels, count in values.items()
        }
    in_seconds = metric.removesuffix("_sum").removesuffix("_total").endswith("_seconds")
    return {labels: value * by if in_seconds else value for labels, value in values.items()}


def _slowed_sessions(sample: SessionSample, by: float) -> SessionSample:
    return replace(
        sample,
        at_seconds=sample.at_seconds * by,
        sessions=tuple(replace(each, transaction_seconds=each.transaction_seconds * by) for each in sample.sessions),
    )
