"""What came of a trial, in a line?"""

from observability.lab.trial.score import Score
from observability.lab.trial.trial import Trial

_MILLISECONDS = 1e3


def summary_line(trial: Trial, result: Score) -> str:
    """Say whether it was right, what was predicted and what came."""
    said = "right" if result.right else f"WRONG: {result.why_wrong}"
    told = "; ".join(
        f"{each.quantile} {each.actual_before.value * _MILLISECONDS:.1f} ms, "
        f"predicted {each.predicted.value * _MILLISECONDS:.1f} "
        f"({each.predicted.low * _MILLISECONDS:.1f}-{each.predicted.high * _MILLISECONDS:.1f}), "
        f"measured {each.actual_after.value * _MILLISECONDS:.1f} "
        f"({each.actual_after.low * _MILLISECONDS:.1f}-{each.actual_after.high * _MILLISECONDS:.1f})"
        for each in result.forecasts
    )
    ratio = result.ratio_p95.ratio
    changed = f"p95 after / before {ratio.value:.2f} ({ratio.low:.2f}-{ratio.high:.2f})"
    failed = "".join(f"; FAILED: {reason}" for reason in result.failed_because)
    return f"{trial.experiment.name}: {said}; {told}; {changed}{failed}"
