"""Recorded observations and their expected verdicts.

They come from trials with `--quick` and seed 1; hot_shard and synchronous_notification have seed 2. They were trimmed
with tests/recorded/trim.py.
"""

import tarfile
from dataclasses import dataclass
from pathlib import Path

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.verdict import Answer, Verdict

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Place:
    """The part of a verdict that does not depend on numbers: the answer, the class, the service and the operation."""

    answer: Answer
    bottleneck: Bottleneck | None = None
    service: str = ""
    operation: str = ""


RECORDED = {
    "blocking_call": Place(Answer.FOUND, Bottleneck.BLOCKING_CALL, "inventory"),
    "cold_cache": Place(Answer.FOUND, Bottleneck.COLD_CACHE, "inventory", "SELECT stock_ledger"),
    "healthy": Place(Answer.NONE),
    "hot_shard": Place(Answer.FOUND, Bottleneck.HOT_SHARD, "order", "127.0.0.1:37129/order"),
    "n_plus_one": Place(Answer.FOUND, Bottleneck.N_PLUS_ONE, "inventory", "SELECT items FOR UPDATE"),
    "pool_exhaustion": Place(Answer.FOUND, Bottleneck.POOL, "order"),
    "synchronous_notification": Place(Answer.FOUND, Bottleneck.SYNC_SIDE_EFFECT, "order", "send_confirmation"),
}


def place_of(verdict: Verdict) -> Place:
    """Return the verdict without its numbers."""
    return Place(verdict.answer, verdict.bottleneck, verdict.service, verdict.operation)


def archive_of(name: str) -> Path:
    """Return the archive of a recorded observation."""
    return _FOLDER / f"{name}.tar.xz"


def unpack(name: str, folder: Path) -> Path:
    """Unpack a recorded observation into a folder of its name; return the folder."""
    return unpack_archive(archive_of(name), folder / name)


def unpack_archive(path: Path, folder: Path) -> Path:
    """Unpack an archive into a folder; return the folder."""
    with tarfile.open(path) as archive:
        # Debian 12 has Python 3.11.2, whose tarfile knows no filters yet.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)
    return folder
