"""Coverage: how much of a time window was read from a live store of traces."""

from dataclasses import dataclass

# Below this share of the window, what was read may be unlike the rest.
LEAST_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was read of the traces in a time window.

    The window is read in slices, each in full or not at all, in an order that spreads them over the window.

    source: kind and address of the store.
    from_seconds, until_seconds: the window, since the Unix epoch.
    read_seconds: total length of the slices that were read in full.
    traces: number of traces in these slices.
    missing_traces: traces that the store listed in these slices but did not return.
    truncated_slices: slices as short as possible that still held more traces than the store returns at once.
    stopped_by: the limit that ended the reading early; empty when there was none.
    service, operation: the requests to which the traces belong; all when empty.
    """

    source: str
    from_seconds: float
    until_seconds: float
    read_seconds: float
    traces: int
    missing_traces: int = 0
    truncated_slices: int = 0
    stopped_by: str = ""
    service: str = ""
    operation: str = ""

    @property
    def share(self) -> float:
        """Share (0 to 1) of the window that was read in full, and of the traces that the store returned of it."""
        whole = self.until_seconds - self.from_seconds
        returned = self.traces / (self.traces + self.missing_traces) if self.traces else 0.0
        return min(1.0, self.read_seconds / whole) * returned if whole > 0 else 0.0

    @property
    def estimated_traces(self) -> int:
        """Number of traces in the whole window, if the rest of it is like what was read."""
        return round(self.traces / self.share) if self.share else 0

    @property
    def is_enough(self) -> bool:
        """Whether so much was read that it stands for the whole window."""
        return self.share >= LEAST_SHARE

    def sentence(self) -> str:
        """Return what was read, as one sentence."""
        of = "" if self.share >= 1 else f" of about {self.estimated_traces:,}"
        why = f"; stopped by {self.stopped_by}" if self.stopped_by else ""
        missing = f"; {self.missing_traces:,} could not be fetched" if self.missing_traces else ""
        busy = f"; {self.truncated_slices:,} slices held too many to be listed" if self.truncated_slices else ""
        return (
            f"read {self.traces:,}{of} traces, {self.share:.0%} of the window, from {self.source}{missing}{busy}{why}"
        )
