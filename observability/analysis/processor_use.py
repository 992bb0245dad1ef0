"""Processor use of a process, a container or a machine, and how near it is to its limit."""

from dataclasses import dataclass
from enum import StrEnum

from observability.analysis.openmetrics import Labels

# From this utilisation on, a request spends more than twice as long waiting for the processor as it works.
BUSY = 0.70
# The usual threshold of alerts: a container that is stopped in a quarter of its periods delays most requests.
_THROTTLED = 0.25
# Counters are read a moment before or after their time, so that a full thread may read as slightly more than one.
ONE_THREAD = 1.05

# What limits a process whose code is taken to run in one thread at a time.
ONE_THREAD_LIMIT = "one thread"


class Scope(StrEnum):
    """What a processor use belongs to."""

    PROCESS = "process"
    CONTAINER = "container"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True)
class ProcessorUse:
    """Processor use while the observation lasted; amounts are processors, so 0.5 is half of one.

    owner: name of the process, or target of the scrape.
    labels: of its metrics, which tell replicas apart.
    used: mean use.
    others: mean use of other processes that share its only processor.
    limit: the most that it can use; None when unknown.
    limited_by: what sets this limit, for people.
    waited: mean number of threads that were ready to run and had to wait; None when unknown.
    stopped: share (0 to 1) of its quota's periods in which it used the quota up and was stopped.
    """

    owner: str
    scope: Scope
    labels: Labels
    used: float
    limit: float | None = None
    limited_by: str = ""
    others: float = 0.0
    waited: float | None = None
    stopped: float = 0.0

    @property
    def share(self) -> float | None:
        """The use of its limit, 0 to 1; None without a known limit."""
        return None if self.limit is None else min(1.0, (self.used + self.others) / self.limit)

    @property
    def waiting_share(self) -> float:
        """The measured share of their running time that threads waited for a processor, 0 to 1."""
        waited = self.waited or 0.0
        return waited / (waited + self.used) if waited else 0.0

    @property
    def fullness(self) -> float | None:
        """The use of its limit, 0 to 1, where being stopped by a quota counts as full; None when unknown."""
        return 1.0 if self.stopped >= _THROTTLED else self.share

    @property
    def is_full(self) -> bool:
        """Whether code waits more than twice as long for this processor as it works.

        The measured wait counts only if the limit is unknown: processes that were not observed cause waits, too.
        """
        return (self.waiting_share if self.fullness is None else self.fullness) >= BUSY

    def sentence(self) -> str:
        """Return the use in one sentence."""
        said = f"{self.owner or 'the ' + self.scope} uses {self.used:.2f}"
        said += f" of {self.limit:.2g} processors ({self.limited_by})" if self.limit is not None else " processors"
        said += f", others on it {self.others:.2f}" if self.others else ""
        said += f", and waits for one {self.waiting_share:.0%} of its running time" if self.waiting_share else ""
        return said + (f"; its quota stops it in {self.stopped:.0%} of the periods" if self.stopped else "")
