"""What did a trial set out to show? The experiment in words, and the truth that the verdict is held against."""

from dataclasses import dataclass

from observability.experiments.experiment import Experiment, ExperimentKind, Metric, Setting, Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a trial's folder says of its experiment, so that it can be read without the experiment's code."""

    kind: ExperimentKind
    hypothesis: str
    fix: str
    symptoms: tuple[str, ...]
    truth: Truth | None
    metric: Metric = Metric.LATENCY


def claim_of(experiment: Experiment, setting: Setting) -> Claim:
    """Return the claim of an experiment as its seed drew it."""
    return Claim(
        kind=experiment.kind,
        hypothesis=experiment.hypothesis,
        fix=experiment.fix,
        symptoms=experiment.symptoms,
        truth=setting.truth,
        metric=experiment.metric,
    )
