"""Evaluation of the diagnosis on recorded foreign systems: a table of its verdicts beside the correct ones.

python -m tests.strangers.judge FOLDER [NAME ...] prints a row for each recorded setting, and the shares that are right.
"""

import re
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from observability.analysis.comparison import Estimate
from observability.analysis.diagnosis import diagnose
from observability.analysis.observation import Observation
from observability.analysis.observation_folder import read_observation
from observability.analysis.verdict import Answer, Verdict
from tests.recorded.alterations import traces_alone
from tests.strangers.settings import NOTHING, Setting, Truth, read_settings

# The goal of the table, as shares of the settings: right in place and class; of the verdicts with high confidence.
LEAST_RIGHT = 0.8
LEAST_RIGHT_OF_SURE = 0.95


@dataclass(frozen=True, slots=True)
class Judgement:
    """One verdict on one setting.

    traces_only: whether the diagnosis saw nothing but traces.
    fixed_seconds: the median for the clients where the system's own fix is in place; None where that was not recorded.
    """

    setting: Setting
    traces_only: bool
    verdict: Verdict
    fixed_seconds: float | None

    @property
    def right_class(self) -> bool:
        """Whether the class is right; where nothing is to be named, whether nothing was."""
        found = self.verdict.bottleneck if self.verdict.answer is Answer.FOUND else NOTHING
        return found in self.setting.truth.classes

    @property
    def right_place(self) -> bool:
        """Whether service and operation are right."""
        return _is_place(self.verdict, self.setting.truth)

    @property
    def right(self) -> bool:
        """Whether class and place are right."""
        return self.right_class and self.right_place

    def cell(self) -> str:
        """Return what was said and whether it is right: class, place, neither, or right."""
        verdict = self.verdict
        if verdict.answer is not Answer.FOUND:
            said = str(verdict.answer)
        else:
            said = f"{verdict.bottleneck} {verdict.service} {verdict.share:.0%}, {verdict.confidence}"
        if self.right:
            return f"{said}: right"
        if verdict.answer is Answer.CANNOT_TELL:
            return said
        wrong = {(False, False): "WRONG", (True, False): "WRONG place", (False, True): "WRONG class"}
        return f"{said}: {wrong[self.right_class, self.right_place]}"

    def predicted(self) -> Estimate | None:
        """Return the median in seconds that the fix was predicted to give; None where it was not measured."""
        if self.verdict.answer is not Answer.FOUND or self.verdict.prediction is None or self.fixed_seconds is None:
            return None
        return self.verdict.prediction.after.get("p50")

    def gain(self) -> str:
        """Return the median in milliseconds before and after the fix, as predicted and as measured."""
        if (after := self.predicted()) is None:
            return ""
        assert self.verdict.prediction is not None
        assert self.fixed_seconds is not None
        before = self.verdict.prediction.before["p50"] * 1e3
        interval = f"{after.low * 1e3:.0f}-{after.high * 1e3:.0f}"
        return f"{before:.0f} -> {after.value * 1e3:.0f} ({interval}), measured {self.fixed_seconds * 1e3:.0f}"


HEAD = (
    "| setting | half | truth | traces alone | with metrics | p50 in ms, predicted (90 %), measured |",
    "| --- | --- | --- | --- | --- | --- |",
)


def main(folder: str, *names: str) -> int:
    """Print the table and return 1 when a goal is missed."""
    found = judge(Path(folder), [each for each in read_settings() if not names or each.name in names])
    sys.stdout.write("\n".join([*table(found), "", *summary(found), *calibration(found), ""]))
    return 0 if reaches_goals(found) else 1


def judge(folder: Path, settings: Sequence[Setting]) -> list[Judgement]:
    """Diagnose what was recorded of the settings, each with traces alone and with everything."""
    return [each for setting in settings if (folder / setting.name).exists() for each in _judged(folder, setting)]


def table(found: Sequence[Judgement]) -> Iterator[str]:
    """Yield the lines of a table with a row for each setting."""
    yield from HEAD
    for alone, full in zip(found[::2], found[1::2], strict=True):
        setting, truth = alone.setting, alone.setting.truth
        wanted = f"{' or '.join(truth.classes)} {truth.services[0] if truth.services else ''}".strip()
        half = "apart" if setting.kept_apart else "shown"
        yield f"| {setting.name} | {half} | {wanted} | {alone.cell()} | {full.cell()} | {full.gain()} |"


def summary(found: Sequence[Judgement]) -> Iterator[str]:
    """Yield a sentence for each half and each sort of data."""
    for apart in (False, True):
        for traces_only in (True, False):
            some = [each for each in found if (each.setting.kept_apart, each.traces_only) == (apart, traces_only)]
            if not some:
                continue
            sure = [each for each in some if each.verdict.answer is Answer.FOUND and each.verdict.confidence == "high"]
            yield (
                f"{'kept apart' if apart else 'shown'}, {'traces alone' if traces_only else 'everything'}: "
                f"class and place right in {sum(each.right for each in some)} of {len(some)}, "
                f"place in {sum(each.right_place for each in some)}, "
                f"nothing said in {sum(each.verdict.answer is not Answer.FOUND for each in some)}; "
                f"of {len(sure)} with high confidence right {sum(each.right for each in sure)}"
            )


def calibration(found: Sequence[Judgement]) -> Iterator[str]:
    """Yield a sentence about the predicted medians of right verdicts: their error, and how many intervals hold."""
    pairs = [
        (after, each.fixed_seconds)
        for each in found
        if each.right and not each.traces_only and each.fixed_seconds and (after := each.predicted()) is not None
    ]
    if pairs:
        error = statistics.median(abs(after.value / came - 1) for after, came in pairs)
        within = sum(after.low <= came <= after.high for after, came in pairs)
        yield f"{len(pairs)} predicted medians: median error {error:.0%}, {within} of the 90 % intervals hold"


def reaches_goals(found: Sequence[Judgement]) -> bool:
    """Say whether enough verdicts are right, and enough of those with high confidence."""
    sure = [each for each in found if each.verdict.answer is Answer.FOUND and each.verdict.confidence == "high"]
    return _share_right(found) >= LEAST_RIGHT and _share_right(sure) >= LEAST_RIGHT_OF_SURE


def _share_right(found: Sequence[Judgement]) -> float:
    return sum(each.right for each in found) / len(found) if found else 1.0


def _judged(folder: Path, setting: Setting) -> Iterator[Judgement]:
    observation = read_observation(folder / setting.name)
    fixed = _median(folder / setting.fixed_by) if setting.fixed_by else None
    views: tuple[tuple[bool, Observation], ...] = ((True, traces_alone(observation)), (False, observation))
    for traces_only, seen in views:
        yield Judgement(setting, traces_only, diagnose(seen), fixed)


def _is_place(verdict: Verdict, truth: Truth) -> bool:
    if verdict.answer is not Answer.FOUND:
        return NOTHING in truth.classes
    is_operation = not verdict.operation or re.search(truth.operation, verdict.operation) is not None
    return verdict.service in truth.services and is_operation


def _median(folder: Path) -> float | None:
    path = folder / "requests.json"
    return statistics.median(orjson.loads(path.read_bytes())["latencies_seconds"]) if path.exists() else None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
