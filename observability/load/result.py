"""Result of a run: its records, its figures, and their JSON file."""

import errno
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import orjson

from observability.analysis.quantiles import quantile
from observability.load.errors import LoadError
from observability.load.host_usage import HostUse
from observability.load.options import LoadOptions, LoopName
from observability.load.outcomes import OutcomeKind
from observability.load.recorder import RequestRecord
from observability.load.validity_checks import Gate, GateStatus, generator_failures
from services.infra.atomic_file import write_atomically

FORMAT = "plumbline-load/1"
STOPPED_EARLY = "stopped early"
# Half of the capacity leaves room for Poisson arrivals, large baskets, and other work of the machine.
SHARE_OF_CAPACITY = 0.5
_FAILED = frozenset({OutcomeKind.ERROR, OutcomeKind.TRANSPORT})


@dataclass(frozen=True, slots=True)
class Latencies:
    """Quantiles of latencies, in seconds."""

    count: int
    p50: float
    p95: float
    p99: float
    maximum: float


@dataclass(frozen=True, slots=True)
class LoadSummary:
    """The figures of a run; latencies are in seconds from the intended send time.

    scheduled: orders planned.
    sent: orders sent.
    confirmed: orders sold.
    pending: orders accepted, and answered before they were settled.
    rejected_by_reason: orders stored as rejected.
    errors_by_reason: error answers.
    transport_errors_by_reason: orders without an answer.
    throughput_per_second: answers of any kind a second.
    sold_per_second: confirmed orders a second.
    latency: of all orders; None without orders.
    latency_by_outcome: of the orders of each outcome.
    send_lag: from the intended to the actual send time.
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
    """A finished run.

    loop: open or closed.
    options: how it was run.
    scheduled: orders planned.
    records: the orders sent, in order of completion.
    gates: validity checks; empty for a closed loop or a stopped run.
    host: CPU use and waits of the machine.
    started_at_unix_seconds: start of the run.
    elapsed_seconds: from the start to the last answer.
    stop_signal: the signal that stopped the run early; None if it ran to its end.
    """

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
        """Reasons why the figures must not be used: failed gates and an early stop; empty for a valid run."""
        failed = [f"{gate.name}: {gate.sentence}" for gate in self.gates if gate.status is GateStatus.FAILED]
        return failed if self.stop_signal is None else [STOPPED_EARLY, *failed]

    @property
    def generator_valid(self) -> bool:
        """Whether the run went to its end and no gate of the generator failed; says nothing of the platform."""
        return self.stop_signal is None and not generator_failures(self.gates)

    @property
    def failed(self) -> int:
        """Number of orders with an error or no answer; a rejection is a correct answer."""
        return sum(record.outcome in _FAILED for record in self.records)

    @property
    def valid(self) -> bool:
        """Whether the figures can be used; a gate that was not checked does not make them invalid."""
        return not self.invalid_because

    def summary(self) -> LoadSummary:
        """Return the run's figures. The latency of an order without an answer is the time until it was given up."""
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
        """Return the whole run as JSON: options, validity, figures, and every request."""
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


def latencies(seconds: Iterable[float]) -> Latencies | None:
    """Return the quantiles of latencies in seconds; None if there are none."""
    ordered = sorted(seconds)
    if not ordered:
        return None
    p50, p95, p99 = (quantile(ordered, share) for share in (0.50, 0.95, 0.99))
    return Latencies(len(ordered), p50, p95, p99, ordered[-1])


def rounded_down(per_second: float) -> float:
    """Round a rate down to a whole number from 10 on, to one decimal below."""
    return float(int(per_second)) if per_second >= 10 else int(per_second * 10) / 10


def write_result(result: LoadResult, path: Path) -> None:
    """Write a run as JSON, atomically. Raises LoadError if the file cannot be written."""
    with _writing(path):
        write_atomically(path, result.to_json())


def check_writable(path: Path) -> None:
    """Raise LoadError if `write_result` could not write there, before a long run instead of after it."""
    with _writing(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path.parent):
            pass


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn an error of the file system into a LoadError."""
    try:
        yield
    except OSError as error:
        raise LoadError(f"cannot write the result to {path}: {error.strerror or error}") from error
