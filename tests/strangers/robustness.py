"""Robustness of a verdict: other formats of the same run, a tenth of its traces, and one in a hundred.

python -m tests.strangers.robustness FOLDER ... prints a row for each recording.
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from observability.analysis.diagnosis import diagnose
from observability.analysis.observation import Observation
from observability.analysis.observation_folder import read_observation
from observability.analysis.verdict import Answer, Verdict
from tests.recorded.alterations import traces_alone
from tests.strangers.mutations import Outcome, outcome_of
from tests.unit.analysis.trace_writers import WRITERS, traces_of

FORMATS = ("otlp_lines", "jaeger_v1", "jaeger_v3", "tempo_batches", "zipkin")
TENTH, HUNDREDTH = 0.1, 0.01


def main(*folders: str) -> int:
    """Print for each recording whether its verdict is the same elsewhere, and return how many are not."""
    sys.stdout.write(f"| recording | verdict | {' | '.join(FORMATS)} | a tenth | 1 in 100 |\n")
    sys.stdout.write(f"| --- | --- |{' --- |' * (len(FORMATS) + 2)}\n")
    wrong = 0
    for folder in map(Path, folders):
        alone = traces_alone(read_observation(folder))
        whole = diagnose(_all_of(folder))
        forms = [outcome_of(whole, verdict) for verdict in _in_other_formats(folder)]
        samples = [outcome_of(diagnose(alone), diagnose(sampled(alone, share))) for share in (TENTH, HUNDREDTH)]
        wrong += sum(each is not Outcome.KEPT for each in forms) + samples.count(Outcome.OTHER)
        said = whole.bottleneck if whole.answer is Answer.FOUND else whole.answer
        sys.stdout.write(f"| {folder.name} | {said} {whole.service} | {' | '.join([*forms, *samples])} |\n")
    return wrong


def sampled(observation: Observation, share: float) -> Observation:
    """Keep this share of the traces, chosen by their ids as samplers at the head do."""
    return replace(
        observation,
        traces=tuple(trace for trace in observation.traces if _draw(trace.trace_id) < share),
        later_traces=tuple(trace for trace in observation.later_traces if _draw(trace.trace_id) < share),
    )


def _draw(trace_id: str) -> float:
    return int.from_bytes(sha256(trace_id.encode()).digest()[:4]) / 2**32


def _all_of(folder: Path) -> Observation:
    """Return the traces of a recording alone, those before and after the load included."""
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "traces.jsonl").write_bytes((folder / "traces.jsonl").read_bytes())
        return read_observation(Path(scratch))


def _in_other_formats(folder: Path) -> Iterator[Verdict]:
    traces = traces_of(folder / "traces.jsonl")
    for name in FORMATS:
        with tempfile.TemporaryDirectory() as scratch:
            (Path(scratch) / "traces").write_bytes(WRITERS[name](traces))
            yield diagnose(read_observation(Path(scratch)))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
