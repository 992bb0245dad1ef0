"""Suite of trials that run one after the other on one testbed: several experiments, or several seeds."""

import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

from observability.experiments.experiment import NOTHING_WRONG
from observability.experiments.registry import experiments, find_experiment
from observability.experiments.runner.accuracy import Answered
from observability.experiments.runner.artifacts import GLANCE, QUICK, Sizes
from observability.experiments.runner.errors import TrialSkipped
from observability.experiments.runner.ledger import Ledger
from observability.experiments.runner.scoring import Score, why_wrong
from observability.experiments.runner.testbed import Testbed
from observability.experiments.runner.trial import Say, Trial, setting_of, silent
from observability.testbed.errors import TestbedError
from observability.testbed.processor_limit import check_available


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteOptions:
    """The options of a suite: the output folder, the size of a trial, and whether each starts `fresh`."""

    output: Path
    sizes: Sizes
    fresh: bool = False

    def folder(self, name: str, seed: int) -> Path:
        """Return the folder of a trial, to be resumed if it exists; with `fresh`, a new folder beside it."""
        stem = f"{name}-{seed}" + {QUICK: "-quick", GLANCE: "-glance"}.get(self.sizes, "")
        path = self.output / stem
        number = 1
        while self.fresh and path.exists():
            number += 1
            path = self.output / f"{stem}-{number}"
        return path


@dataclass(frozen=True, slots=True)
class _Ground:
    """A testbed with so many servers of orders and replicas of each, and what hardware and versions it has."""

    shards: int
    replicas: int
    testbed: Testbed
    environment: Mapping[str, str]


class Suite:
    """Trials that share a testbed, whose start takes longer than a block; another number of servers needs another."""

    def __init__(self, options: SuiteOptions, *, say: Say) -> None:
        self._options = options
        self._say = say
        self._stack = AsyncExitStack()
        self._ground: _Ground | None = None

    @staticmethod
    @asynccontextmanager
    async def open(options: SuiteOptions, *, say: Say) -> AsyncIterator["Suite"]:
        """Open a suite for the `async with` block; a testbed starts when a trial needs it."""
        suite = Suite(options, say=say)
        try:
            yield suite
        finally:
            await suite._stack.aclose()

    async def run(self, name: str, seed: int) -> tuple[Trial, Score]:
        """Run one trial. Raises TrialError when it cannot be finished, LocalError, LoadError, TestbedError.

        TrialSkipped means that this machine cannot run it.
        """
        trial = await self._trial(name, seed)
        with self._noting(trial, seed, done="score.json") as note:
            score = await trial.run()
            note(f"WRONG: {score.why_wrong}" if score.why_wrong else "; ".join(("right", *score.failed_because)))
        return trial, score

    async def answer(self, name: str, seed: int) -> Answered:
        """Observe and diagnose one trial, without running its blocks."""
        trial = await self._trial(name, seed)
        truth = trial.setting.truth
        with self._noting(trial, seed, done="diagnosis.json") as note:
            verdict = await trial.diagnose()
            wrong = why_wrong(truth, verdict)
            note(f"WRONG: {wrong}" if wrong else "right")
        observation = trial.folder.observation()
        assert observation is not None, "what was diagnosed was observed"
        return Answered(name, seed, truth, verdict, wrong, observation)

    @contextmanager
    def _noting(self, trial: Trial, seed: int, *, done: str) -> Iterator[Callable[[str], None]]:
        """Record the start and the outcome of a trial in the ledger, unless its `done` file exists already."""
        if (trial.folder.path / done).exists():
            yield silent
            return
        ledger, told = Ledger(self._options.output), (trial.experiment.name, seed, trial.folder.path)
        ledger.write(*told)
        try:
            yield lambda outcome: ledger.write(*told, outcome)
        except Exception as error:
            ledger.write(*told, f"not finished: {error}")
            raise

    async def _trial(self, name: str, seed: int) -> Trial:
        experiment = find_experiment(name)
        setting = setting_of(experiment, seed)
        if setting.before.processor_limits:
            _check_limits()
        replicas = max(setting.before.replicas, setting.after.replicas)
        ground = await self._ground_with(setting.before.shards, replicas)
        return Trial(
            experiment,
            testbed=ground.testbed,
            environment=ground.environment,
            seed=seed,
            sizes=self._options.sizes,
            path=self._options.folder(name, seed),
            say=self._say,
        )

    async def _ground_with(self, shards: int, replicas: int) -> _Ground:
        """Return a testbed with so many servers of orders and replicas of each; one with other numbers ends."""
        if self._ground is None or (self._ground.shards, self._ground.replicas) != (shards, replicas):
            await self._stack.aclose()
            self._say("starting PostgreSQL, preparing the services, stocking the shop")
            folder = self._options.output / f".testbed-{secrets.token_hex(4)}"
            self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
            testbed = await self._stack.enter_async_context(Testbed.open(folder, shards=shards, replicas=replicas))
            self._ground = _Ground(shards, replicas, testbed, await testbed.describe_environment())
        return self._ground


def _check_limits() -> None:
    """Raise TrialSkipped if this machine cannot limit processors."""
    try:
        check_available()
    except TestbedError as error:
        raise TrialSkipped(str(error)) from error


def names() -> tuple[str, ...]:
    """Return the names of all experiments."""
    return tuple(experiments())


def asked(*, first: int, seeds: int, least_negatives: int) -> list[tuple[str, int]]:
    """Return the trials of a score: every experiment with each seed, then more without a bottleneck."""
    negatives = [name for name, each in experiments().items() if each.kind in NOTHING_WRONG]
    more = ((name, seed) for seed in count(first + seeds) for name in negatives)
    every = [(name, seed) for name in names() for seed in range(first, first + seeds)]
    return every + list(islice(more, max(0, least_negatives - seeds * len(negatives))))
