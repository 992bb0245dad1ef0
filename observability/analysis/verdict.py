"""Verdict: what a diagnosis says, as values that are printed, stored as JSON and drawn."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from observability.analysis.baseline import TimeChange
from observability.analysis.bottleneck import Bottleneck
from observability.analysis.comparison import Estimate
from observability.analysis.coverage import Coverage
from observability.analysis.effects import Effect
from observability.analysis.failures import Failure
from observability.analysis.readers.unread import Unread
from observability.analysis.time_table import Place, TimeRow
from observability.analysis.whatif import Prediction

# Raised when a field of the verdict is removed or changes its meaning; `verdict_schema` describes all fields.
SCHEMA_VERSION = 1
# The table's rows that are printed: of this share, and so many at most.
_LEAST_SHOWN = 0.02
_MOST_SHOWN = 10


class Answer(StrEnum):
    """The three possible answers of a diagnosis."""

    FOUND = "found"
    NONE = "none"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class ClassShare:
    """A class of bottleneck that applies somewhere.

    share: of the time of all requests, 0 to 1, that its fix would save; shares of several classes may overlap.
    worth_fixing: whether that is enough, and more than chance, to be named.
    """

    bottleneck: Bottleneck
    service: str
    operation: str
    share: Estimate
    worth_fixing: bool

    def sentence(self) -> str:
        """Return share, class and place, and whether its fix is worth it."""
        where = f"{self.operation} of {self.service}" if self.operation else self.service
        low, high = (f"{100 * bound:.0f}" for bound in (self.share.low, self.share.high))
        doubt = "" if self.worth_fixing else ", which may be chance"
        return f"{self.share.value:4.0%} ({low}-{high}%)  {self.bottleneck}: {where}{doubt}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The result of a diagnosis.

    bottleneck: the class that was found; None for another answer, and for a slowdown that no class explains.
    service, operation: where it is; the operation is empty for a whole service.
    share: of the requests' time, 0 to 1, that the fix would save.
    confidence: high, medium or low.
    reasons: the evidence, or why no bottleneck is named; with findings about retries and the objective.
    trace_ids: of requests that show the bottleneck.
    prediction: the predicted effect of the fix.
    requests: number of requests that were analysed.
    mean_seconds: their mean duration; 0 without requests.
    mean_after_fix_seconds: the same without the share that the fix saves, with a 90 % interval that includes the
        prediction's model error; None where nothing was found, or the gain is one of goodput.
    also: other bottlenecks that are worth a fix.
    effects: time to effect at each consumer, for which no answer waits.
    unread: what could not be read, by file and reason.
    coverage: how much was read from a live store; None when the traces come from elsewhere.
    place: where to look first, whatever the answer; None without requests.
    time_table: where the requests' time goes, the largest share first; the shares add up to 1.
    changes: what of the requests' time is not as in the baseline, the largest growth first; empty without a baseline.
    failures: operations that fail, or vanished since the baseline, the most frequent first.
    classes: the classes that account for some of that time, the largest share first.
    unexplained: share of the time, 0 to 1, that no class accounts for; ordinary work is in it, too.
    schema_version: of these fields.
    """

    answer: Answer
    bottleneck: Bottleneck | None = None
    service: str = ""
    operation: str = ""
    share: float = 0.0
    confidence: str = "low"
    reasons: tuple[str, ...] = ()
    trace_ids: tuple[str, ...] = ()
    prediction: Prediction | None = None
    requests: int = 0
    mean_seconds: float = 0.0
    mean_after_fix_seconds: Estimate | None = None
    also: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()
    unread: tuple[Unread, ...] = ()
    coverage: Coverage | None = None
    place: Place | None = None
    time_table: tuple[TimeRow, ...] = ()
    changes: tuple[TimeChange, ...] = ()
    failures: tuple[Failure, ...] = ()
    classes: tuple[ClassShare, ...] = ()
    unexplained: float = 1.0
    schema_version: int = SCHEMA_VERSION

    def sentence(self) -> str:
        """Return the verdict as one sentence."""
        match self.answer:
            case Answer.FOUND if self.bottleneck is Bottleneck.ERRORS and self.failures:
                return f"{self.bottleneck}: {self.failures[0].sentence()} (confidence {self.confidence})"
            case Answer.FOUND if self.bottleneck is None and self.place:
                slower = f"slower than the baseline: {self.place.name} accounts for"
                return f"{slower} {percent(self.place.share)} of the time (confidence {self.confidence})"
            case Answer.FOUND:
                where = f"{self.operation!r} of {self.service}" if self.operation else self.service
                return f"{self.bottleneck}: {where}{self._impact()} (confidence {self.confidence})"
            case Answer.NONE:
                return f"no bottleneck in {self.requests} requests (confidence {self.confidence}){self._most()}"
            case Answer.CANNOT_TELL:
                return f"cannot tell from {self.requests} requests{self._most()}"

    def _most(self) -> str:
        return f"; most time goes to {self.place.name}, {percent(self.place.share)}" if self.place else ""

    def what_classes_account_for(self) -> Iterator[str]:
        """Yield a sentence for each class that applies, and one for the time that no class accounts for."""
        yield from (each.sentence() for each in self.classes)
        if self.classes:
            yield f"{self.unexplained:4.0%}  no class; ordinary work is in it, too"

    def where_the_time_goes(self) -> Iterator[str]:
        """Yield a sentence for each large row of the table, and one for the rest."""
        shown = [row for row in self.time_table[:_MOST_SHOWN] if row.share.value >= _LEAST_SHOWN]
        yield from (row.sentence() for row in shown)
        if rest := self.time_table[len(shown) :]:
            left = sum(row.share.value for row in rest)
            yield f"{left:4.0%}  {len(rest)} more"

    def _impact(self) -> str:
        if (goodput := self.prediction.goodput if self.prediction else None) is not None:
            before, after = goodput.before.value, goodput.after.value
            if self.bottleneck is Bottleneck.CONSUMER_LAG:
                return f"; {after:.1f} messages a second arrive, and it consumes {before:.1f}"
            return f"; {before:.1f} requests a second get a useful answer, and {after:.1f} could"
        return f" takes {self.share:.0%} of the time of {self.requests} requests"


def percent(share: Estimate) -> str:
    """Write a share with its interval in per cent."""
    return f"{share.value:.0%} ({100 * share.low:.0f}-{100 * share.high:.0f}%)"
