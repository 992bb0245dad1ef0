"""Result of a run, in figures that can be printed, kept in a file and compared."""

import errno
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from observability.load.errors import LoadError
from observability.load.figures import Latencies, latencies
from observability.load.host_usage import HostUse
from observability.load.options import LoadOptions, LoopName
from observability.load.outcomes import OutcomeKind
from observability.load.recorder import RequestRecord
from observability.load.validity_checks import Gate, GateStatus, generator_failures

FORMAT = "plumbline-load/1"
STOPPED_EARLY = "stopped early"
_FAILED = frozenset({OutcomeKind.ERROR, OutcomeKind.TRANSPORT})


@dataclass(frozen=True, slots=True)
class LoadSummary:
    """The figures of a run: counts of orders, orders a second, and latencies in seconds from the intended send time.

    `throughput_per_second` counts all answers, `sold_per_second` the confirmed orders; `latency` is that of all orders.
    """

    scheduled: int
    sent: int
    confirmed: int
    pending: int
    rejected_by_reason: dict[str, int]
    errors_by_reason: dict[str, int]
    transport_errors_by_reason: dict[str, int]
    throughput_per_second: float
    sold_per_second: float
    latency: Latencies | None
    latency_by_outcome: dict[str, Latencies]
    send_lag: Latencies | None


@dataclass(frozen=True, slots=True)
class LoadResult:
    """A run: how it was made, each order's end (in order of ending), its gates, and what the machine did meanwhile."""

    loop: LoopName
    options: LoadOptions
    scheduled: int
    records: tuple[RequestRecord, ...]
    gates: tuple[Gate, ...]
    host: HostUse
    started_at_unix_seconds: float
    elapsed_seconds: float
    stop_signal: int | None

    @property
    def invalid_because(self) -> list[str]:
        """Why the figures must not be used: the failed gates and an early stop; empty for a valid run."""
        failed = [f"{gate.name}: {gate.sentence}" for gate in self.gates if gate.status is GateStatus.FAILED]
        return failed if self.stop_signal is None else [STOPPED_EARLY, *failed]

    @property
    def generator_valid(self) -> bool:
        """Whether the run went to its end and the generator was nowhere the limit, whatever the platform did."""
        return self.stop_signal is None and not generator_failures(self.gates)

    @property
    def failed(self) -> int:
        """How many orders got an error or no answer; one that was rejected got a correct answer."""
        return sum(record.outcome in _FAILED for record in self.records)

    @property
    def valid(self) -> bool:
        """Whether the figures can be used; gates that could not be checked do not count against it."""
        return not self.invalid_because

    def summary(self) -> LoadSummary:
        """Compute the run's figures. Orders without an answer count with the time until they were given up."""
        answered = sum(record.outcome is not OutcomeKind.TRANSPORT for record in self.records)
        kinds = Counter(record.outcome for record in self.records)
        return LoadSummary(
            scheduled=self.scheduled,
            sent=len(self.records),
            confirmed=kinds[OutcomeKind.CONFIRMED],
            pending=kinds[OutcomeKind.PENDING],
            rejected_by_reason=self._reasons(OutcomeKind.REJECTED),
            errors_by_reason=self._reasons(OutcomeKind.ERROR),
            transport_errors_by_reason=self._reasons(OutcomeKind.TRANSPORT),
            throughput_per_second=answered / self.elapsed_seconds,
            sold_per_second=kinds[OutcomeKind.CONFIRMED] / self.elapsed_seconds,
            latency=latencies(record.latency_seconds for record in self.records),
            latency_by_outcome={
                kind.value: found
                for kind in OutcomeKind
                if (found := latencies(record.latency_seconds for record in self._of(kind))) is not None
            },
            send_lag=latencies(record.sent_seconds - record.intended_seconds for record in self.records),
        )

    def to_json(self) -> bytes:
        """Encode the whole run: format, how it was made, validity, figures, and every request."""
        document = {
            "format": FORMAT,
            "loop": self.loop,
            "options": self.options,
            "started_at_unix_seconds": self.started_at_unix_seconds,
            "elapsed_seconds": self.elapsed_seconds,
            "valid": self.valid,
            "invalid_because": self.invalid_because,
            "gates": self.gates,
            "summary": self.summary(),
            "host": self.host,
            "requests": sorted(self.records, key=lambda record: record.index),
        }
        return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    def _of(self, kind: OutcomeKind) -> Iterable[RequestRecord]:
        return (record for record in self.records if record.outcome is kind)

    def _reasons(self, kind: OutcomeKind) -> dict[str, int]:
        return dict(Counter(record.reason for record in self._of(kind)).most_common())


def write_result(result: LoadResult, path: Path) -> None:
    """Write a run as JSON, whole or not at all. Raises LoadError when the file cannot be written."""
    with _writing(path) as partial:
        partial.write_bytes(result.to_json())
        partial.replace(path)


def check_writable(path: Path) -> None:
    """Raise LoadError now if `write_result` could not write there, rather than at the end of a long run."""
    with _writing(path) as partial:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        partial.touch()


@contextmanager
def _writing(path: Path) -> Iterator[Path]:
    """Give the path of a file beside `path` that is gone afterwards."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise LoadError(f"cannot write the result to {path}: {error.strerror or error}") from error
