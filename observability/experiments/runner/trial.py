"""Trial: runs one experiment, from calibration and diagnosis to paired runs and score; a restart resumes it."""

import hashlib
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import orjson

from observability.analysis.verdict import Verdict
from observability.experiments.experiment import Demand, Experiment, ExperimentKind, Setting, Variant
from observability.experiments.runner.artifacts import BlockRecord, Folder, Plan, Side, Sizes, verdict_from
from observability.experiments.runner.block import Block, Schedule, run_block
from observability.experiments.runner.calibration import LEAST_RATE_PER_SECOND, calibrate
from observability.experiments.runner.claim import claim_of
from observability.experiments.runner.diagnose_subprocess import diagnose_blindly
from observability.experiments.runner.errors import TrialError
from observability.experiments.runner.measurement import measure
from observability.experiments.runner.scoring import Score, score
from observability.experiments.runner.testbed import Testbed
from observability.load.capacity import Probe, measure_capacity
from observability.load.recorder import OnProgress

_SIDES: tuple[Side, Side] = ("before", "after")

Say = Callable[[str], None]


def silent(_what: object) -> None:
    """Ignore a progress message."""


def setting_of(experiment: Experiment, seed: int) -> Setting:
    """Return the parameters that a seed draws."""
    return experiment.draw(random.Random(f"{seed}:{experiment.name}"))


class Trial:
    """One experiment with one seed in one folder, where an interrupted trial is resumed."""

    def __init__(
        self,
        experiment: Experiment,
        *,
        testbed: Testbed,
        seed: int,
        sizes: Sizes,
        path: Path,
        environment: Mapping[str, str],
        say: Say = silent,
        on_progress: OnProgress = silent,
    ) -> None:
        self.experiment = experiment
        self.folder = Folder(path)
        self.setting = setting_of(experiment, seed)
        self._seed = seed
        self._sizes = sizes
        self._say = say
        self._on_progress = on_progress
        self._testbed = testbed
        self._environment = environment

    async def run(self) -> Score:
        """Run the trial. Raises TrialError, ObserverError, LocalError, LoadError; completed steps are kept."""
        verdict = await self.diagnose()
        plan = self._known_plan()
        assert plan is not None, "nothing is diagnosed without a plan"
        blocks, attempts = await self._blocks(plan)
        truth = self.setting.truth
        following = await self._diagnose_after_fix(plan) if truth and truth.also else None
        result = score(self.experiment, truth, verdict, blocks, attempts=attempts, following=following)
        if self.experiment.kind is ExperimentKind.MEASUREMENT:
            self._say(measure(blocks).sentence())
        self.folder.write("score.json", result)
        return result

    @property
    def verdict(self) -> Verdict:
        """The verdict of the diagnosis. Raises TrialError when there is none yet."""
        verdict = self.folder.read("diagnosis.json", Verdict)
        if verdict is None:
            raise TrialError(f"{self.folder.path} holds no diagnosis yet")
        return verdict

    async def diagnose(self) -> Verdict:
        """Observe and diagnose, without running the blocks. Raises as `run` does."""
        shutil.rmtree(self.folder.path / "running", ignore_errors=True)
        verdict = self.folder.read("diagnosis.json", Verdict)
        if verdict is None:
            plan = self._known_plan() or await self._plan()
            verdict = await self._ask(self.folder, await self._observe(plan, self.folder, self.setting.before))
            shutil.rmtree(self.folder.path / "running", ignore_errors=True)
        return verdict

    async def _diagnose_after_fix(self, plan: Plan) -> Verdict:
        """Observe and diagnose the platform with the fix, which leaves the smaller of two bottlenecks."""
        folder = self.folder.after_fix()
        verdict = folder.read("diagnosis.json", Verdict)
        if verdict is None:
            self._say("the same with the fix: which bottleneck is next?")
            verdict = await self._ask(folder, await self._observe(plan, folder, self.setting.after))
            shutil.rmtree(folder.path / "running", ignore_errors=True)
        return verdict

    def _known_plan(self) -> Plan | None:
        """Return the stored plan, None without one. Raises TrialError when other parameters would be drawn today."""
        plan = self.folder.read("plan.json", Plan)
        if plan is not None and plan.setting_sha256 != self._setting_sha256():
            raise TrialError(f"{self.folder.path} holds a trial with other parameters: start again with --fresh")
        return plan

    def _setting_sha256(self) -> str:
        return hashlib.sha256(repr(self.setting).encode()).hexdigest()

    async def _plan(self) -> Plan:
        """Calibrate the rate, draw the order of the blocks, and store the plan."""
        demand = self.setting.demand
        self._say(f"{self.experiment.name}: {self.setting.place}; measuring the cost of an order")
        rate = await self._rate(demand)
        source = random.Random(f"{self._seed}:{self.experiment.name}:sides")
        pairs = self._sizes.pairs * self.experiment.times_as_many_pairs
        warm_up_seconds = max(self._sizes.warm_up_seconds, self.experiment.warm_up_seconds)
        plan = Plan(
            experiment=self.experiment.name,
            seed=self._seed,
            place=self.setting.place,
            setting_sha256=self._setting_sha256(),
            sizes=replace(self._sizes, warm_up_seconds=warm_up_seconds),
            rate_per_second=rate,
            expected_utilisation=demand.utilisation,
            sides=tuple(_SIDES if source.random() < 0.5 else _SIDES[::-1] for _ in range(pairs)),
        )
        self.folder.write("claim.json", claim_of(self.experiment, self.setting))
        self.folder.write("environment.json", dict(self._environment))
        self.folder.write("plan.json", plan)
        return plan

    async def _rate(self, demand: Demand) -> float:
        """Return the rate of all blocks in orders a second. Raises TrialError when no rate is suitable."""
        if demand.rate_per_second is not None:
            return demand.rate_per_second
        share = self._sizes.share_of_capacity or (demand.utilisation if demand.of_capacity else None)
        if share is not None:
            return await self._rate_of_capacity(demand, share)
        return await calibrate(
            lambda schedule, seen: self._run(self.setting.before, schedule, observation=seen),
            demand,
            seed=self._seed,
            observation=self.folder.scratch(),
        )

    async def _rate_of_capacity(self, demand: Demand, share: float) -> float:
        if demand.utilisation > 1 or demand.looked_at is not None:
            raise TrialError(f"{self.experiment.name} has no rate that follows from the capacity: omit --glance")
        scratch = self.folder.scratch()
        scratch.mkdir(parents=True)
        async with self._testbed.serving(self.setting.before) as serving:
            probe = Probe(
                target=serving.edge,
                seed=self._seed,
                service_pids=serving.pids,
                cpu=serving.generator_cpu,
                lines=demand.lines,
            )
            capacity, _ = await measure_capacity(probe, folder=scratch)
        rate = round(share * capacity.sold_per_second, 2)
        self._say(f"with the bottleneck this machine sells about {capacity.sold_per_second:.1f} orders a second")
        if rate < LEAST_RATE_PER_SECOND:
            raise TrialError("this machine is too slow for an experiment now: free it of other work")
        return rate

    async def _observe(self, plan: Plan, folder: Folder, variant: Variant) -> Path:
        """Observe a variant of the platform; an invalid observation is repeated as often as a block."""
        if found := folder.observation():
            return found
        schedule = self._schedule(plan, plan.sizes.observe_seconds, self._seed)
        attempts = 1 + plan.sizes.reruns
        for attempt in range(1, 1 + attempts):
            self._say(f"observing at {plan.rate_per_second:.1f} orders a second")
            seen = folder.scratch()
            block = await self._run(variant, schedule, observation=seen)
            if not block.invalid_because or attempt == attempts:
                folder.write("observed.json", {"attempts": attempt, "invalid_because": block.invalid_because})
                return folder.keep_observation(seen)
            self._say(f"invalid: {'; '.join(block.invalid_because)}; once more")
        raise AssertionError("the last attempt is kept")

    async def _ask(self, folder: Folder, observation: Path) -> Verdict:
        """Diagnose an observation, and seal the verdict."""
        self._say("diagnosing, and sealing the prediction")
        verdict = verdict_from(orjson.loads(await diagnose_blindly(observation)))
        folder.seal_diagnosis(verdict)
        return verdict

    async def _blocks(self, plan: Plan) -> tuple[list[BlockRecord], int]:
        """Run the missing blocks; return all blocks, and the number of attempts."""
        records = []
        for pair, sides in enumerate(plan.sides, start=1):
            for side in sides:
                path = self.folder.block(pair, side).relative_to(self.folder.path)
                record = self.folder.read(str(path), BlockRecord)
                if record is None:
                    record = await self._block(plan, pair, side)
                    self.folder.write(str(path), record)
                records.append(record)
        return records, sum(record.attempt for record in records)

    async def _block(self, plan: Plan, pair: int, side: Side) -> BlockRecord:
        """Run one block, again while it is invalid. Raises TrialError."""
        seed = self._seed * 1_000 + pair
        schedule = self._schedule(plan, plan.sizes.block_seconds, seed)
        variant = self.setting.before if side == "before" else self.setting.after
        why = ""
        seal = self.folder.seal()
        earlier = self.folder.invalid_attempts(pair, side)
        attempts = earlier + 1 + plan.sizes.reruns
        for attempt in range(1 + earlier, 1 + attempts):
            self._say(f"pair {pair} of {len(plan.sides)}, {side} the fix")
            block = await self._run(variant, schedule)
            record = BlockRecord(pair=pair, side=side, seed=seed, seal=seal, attempt=attempt, block=block)
            if not block.invalid_because or (attempt == attempts and not plan.sizes.must_be_valid):
                return record
            why = "; ".join(block.invalid_because)
            self._say(f"invalid: {why}")
            self.folder.write(f"blocks/{pair:02}-{side}-invalid-{attempt}.json", record)
        raise TrialError(
            f"{1 + plan.sizes.reruns} attempts at one block were invalid ({why}): stop other work on this machine, "
            "and run the same command again; completed blocks are kept"
        )

    async def _run(self, variant: Variant, schedule: Schedule, *, observation: Path | None = None) -> Block:
        return await run_block(
            self._testbed,
            variant,
            schedule,
            observation=observation,
            own_time=self.experiment.own_time,
            metric=self.experiment.metric,
            consumer=self.experiment.consumer,
            on_progress=self._on_progress,
        )

    def _schedule(self, plan: Plan, seconds: float, seed: int) -> Schedule:
        return Schedule(
            rate_per_second=plan.rate_per_second,
            warm_up_seconds=plan.sizes.warm_up_seconds,
            duration_seconds=seconds,
            seed=seed,
            demand=self.setting.demand,
        )
