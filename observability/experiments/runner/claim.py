"""Description of a trial's experiment and its expected verdict, as stored in the trial's folder."""

from dataclasses import dataclass

from observability.experiments.experiment import Experiment, ExperimentKind, Metric, Setting, Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The experiment as stored in a trial's folder, so that the folder can be read without the experiment's code."""

    kind: ExperimentKind
    hypothesis: str
    fix: str
    symptoms: tuple[str, ...]
    truth: Truth | None
    metric: Metric = Metric.LATENCY


def claim_of(experiment: Experiment, setting: Setting) -> Claim:
    """Return the claim of an experiment with its drawn parameters."""
    return Claim(
        kind=experiment.kind,
        hypothesis=experiment.hypothesis,
        fix=experiment.fix,
        symptoms=experiment.symptoms,
        truth=setting.truth,
        metric=experiment.metric,
    )
