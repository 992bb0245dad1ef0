"""How do many trials go, one after the other, on one stand? All experiments, many seeds, or the same thing twice."""

import asyncio
import secrets
import shutil
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from observability.analysis.comparison import clopper_pearson, is_significant
from observability.analysis.diagnosis import Answer, Verdict
from observability.analysis.observation import read_observation
from observability.lab.experiments.catalogue import experiments, find_experiment
from observability.lab.experiments.experiment import Truth
from observability.lab.trial.baselines import largest_deviation, largest_path_growth, largest_self_time
from observability.lab.trial.machine import describe_machine
from observability.lab.trial.records import QUICK, Sizes
from observability.lab.trial.score import Score, why_wrong
from observability.lab.trial.stand import Stand
from observability.lab.trial.trial import Say, Trial

NOTHING = "none"
# Nothing is changed in it: what differs between its blocks is chance.
SAME_TWICE = "healthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesOptions:
    """Where the trials of a series lie, by experiment and seed, and how long each takes; `fresh` begins them anew."""

    output: Path
    sizes: Sizes
    fresh: bool = False

    def folder(self, name: str, seed: int) -> Path:
        """Return the folder of a trial; what is there already is gone on with, or left alone when it is to be fresh."""
        stem = f"{name}-{seed}" + ("-quick" if self.sizes == QUICK else "")
        path = self.output / stem
        number = 1
        while self.fresh and path.exists():
            number += 1
            path = self.output / f"{stem}-{number}"
        return path


@dataclass(frozen=True, slots=True)
class Answered:
    """What was said of one trial, and what is true; `wrong` says how they differ, and is empty when they do not."""

    experiment: str
    seed: int
    truth: Truth | None
    verdict: Verdict
    wrong: str
    observation: Path


class Series:
    """Trials on one stand, whose start costs more than a block."""

    def __init__(self, stand: Stand, options: SeriesOptions, *, environment: Mapping[str, str], say: Say) -> None:
        self._stand = stand
        self._environment = environment
        self._options = options
        self._say = say

    @staticmethod
    @asynccontextmanager
    async def open(options: SeriesOptions, *, say: Say) -> AsyncIterator["Series"]:
        """Open the stand for the time of a block. Raises TrialError, LocalError, LoadError."""
        folder = options.output / f".stand-{secrets.token_hex(4)}"
        environment = await asyncio.to_thread(describe_machine)
        say("starting PostgreSQL, preparing the services, stocking the shop")
        try:
            async with Stand.open(folder) as stand:
                yield Series(stand, options, environment=environment, say=say)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def run(self, name: str, seed: int) -> tuple[Trial, Score]:
        """Run one trial to its end."""
        trial = self._trial(name, seed)
        return trial, await trial.run()

    async def answer(self, name: str, seed: int) -> Answered:
        """Observe and diagnose one, without any block."""
        trial = self._trial(name, seed)
        verdict = await trial.diagnose()
        truth = trial.setting.truth
        observation = trial.folder.observation()
        assert observation is not None, "what was diagnosed was observed"
        return Answered(name, seed, truth, verdict, why_wrong(truth, verdict), observation)

    def _trial(self, name: str, seed: int) -> Trial:
        return Trial(
            find_experiment(name),
            stand=self._stand,
            environment=self._environment,
            seed=seed,
            sizes=self._options.sizes,
            path=self._options.folder(name, seed),
            say=self._say,
        )


def names() -> tuple[str, ...]:
    """Return the names of all experiments."""
    return tuple(experiments())


def confusion(answers: Sequence[Answered]) -> list[tuple[str, dict[str, int]]]:
    """Count, for each truth, what was named: rows of truths, with how often each name was given."""
    rows: dict[str, dict[str, int]] = {}
    for each in answers:
        truth = each.truth.bottleneck.value if each.truth else NOTHING
        named = each.verdict.bottleneck.value if each.verdict.bottleneck else each.verdict.answer.value
        if not each.wrong or each.verdict.answer is not Answer.FOUND or named != truth:
            counted = named
        else:
            counted = f"{named}, elsewhere"
        row = rows.setdefault(truth, {})
        row[counted] = row.get(counted, 0) + 1
    return sorted(rows.items())


def simpler_ways(answers: Sequence[Answered]) -> dict[str, str]:
    """Say of how many bottlenecks simpler ways would have named the place; of a class they know nothing.

    The healthy platform that two of them compare with is that of the same seed.
    """
    healthy = {each.seed: read_observation(each.observation) for each in answers if each.experiment == SAME_TWICE}
    asked = [each for each in answers if each.truth and each.seed in healthy]
    right = dict.fromkeys(("largest self time", "largest growth on the path", "most standard deviations"), 0)
    for each in asked:
        seen = read_observation(each.observation)
        named = (
            largest_self_time(seen),
            largest_path_growth(seen, healthy[each.seed]),
            largest_deviation(seen, healthy[each.seed]),
        )
        for way, place in zip(right, named, strict=True):
            right[way] += place is not None and is_the_place(each.truth, place)
    return {way: f"{count}/{len(asked)} places" for way, count in right.items()}


def is_the_place(truth: Truth | None, place: tuple[str, str]) -> bool:
    """Say whether a service and an operation are where the truth is."""
    service, operation = place
    return truth is not None and service == truth.service and truth.operation in {None, operation}


def share_wrong(answers: Sequence[Answered]) -> str:
    """Say how many were wrong, with a 95 % interval (Clopper-Pearson)."""
    wrong = sum(bool(each.wrong) for each in answers)
    low, high = clopper_pearson(wrong, len(answers))
    return f"{wrong}/{len(answers)} wrong (95 % {low:.0%}-{high:.0%})"


def is_good_enough(answers: Sequence[Answered]) -> bool:
    """Say whether at most one in ten is wrong, and each experiment right with at least two seeds of three."""
    wrong = sum(bool(each.wrong) for each in answers)
    by_experiment: dict[str, list[bool]] = defaultdict(list)
    for each in answers:
        by_experiment[each.experiment].append(not each.wrong)
    return wrong <= len(answers) / 10 and all(3 * sum(right) >= 2 * len(right) for right in by_experiment.values())


def significant(scores: Sequence[Score]) -> int:
    """Count the trials in which the primary metric, the ratio of p95, differs from 1 at 90 %."""
    return sum(is_significant(score.ratio_p95) for score in scores)
