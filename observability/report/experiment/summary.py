"""Summary of a trial's result, in one line or on half a page of Markdown."""

from observability.experiments.runner.artifacts import Folder
from observability.experiments.runner.goodput import MeasuredGoodput
from observability.experiments.runner.scoring import Score
from observability.report.experiment import words
from observability.report.experiment.blocks import block_rows
from observability.report.experiment.evidence import Evidence, Measured, read_evidence
from observability.report.pages import milliseconds

_MILLISECONDS = 1e3


def summary_line(name: str, result: Score) -> str:
    """Return whether the diagnosis was right, what was predicted, and what was measured."""
    said = "right" if result.right else f"WRONG: {result.why_wrong}"
    told = (
        goodput_text(result.goodput)
        if result.goodput
        else "; ".join(
            f"{each.quantile} {each.actual_before.value * _MILLISECONDS:.1f} ms, "
            f"predicted {each.predicted.value * _MILLISECONDS:.1f} "
            f"({each.predicted.low * _MILLISECONDS:.1f}-{each.predicted.high * _MILLISECONDS:.1f}, {each.result}), "
            f"measured {each.actual_after.value * _MILLISECONDS:.1f} "
            f"({each.actual_after.low * _MILLISECONDS:.1f}-{each.actual_after.high * _MILLISECONDS:.1f})"
            for each in result.forecasts
        )
    )
    following = "".join(f"; {sentence.rstrip('.')}" for sentence in words.following_sentences(result))
    failed = "".join(f"; not shown: {reason}" for reason in result.failed_because)
    invalid = f"; {result.invalid_blocks} blocks INVALID" if result.invalid_blocks else ""
    return f"{name}: {said}; {told}; {ratio_text(result)}{following}{failed}{invalid}"


def goodput_text(goodput: MeasuredGoodput) -> str:
    """Return how many orders a second were useful, what was predicted, and what was measured."""
    if goodput.forecast is None:
        told = "nothing predicted"
    else:
        predicted = goodput.forecast.predicted
        told = f"predicted {words.rate(predicted.value)} ({words.rate_bounds(predicted)}, {goodput.forecast.result})"
    return (
        f"{words.rate(goodput.before.value)} of {words.rate(goodput.offered_per_second)} orders a second "
        f"{'took effect' if goodput.consumed else 'in time'}, "
        f"{told}, measured {words.rate(goodput.after.value)} ({words.rate_bounds(goodput.after)})"
    )


def ratio_text(result: Score) -> str:
    """Return after / before of the primary metric, with its 90 % interval."""
    if result.goodput is not None:
        gained = result.goodput.ratio
        return f"goodput after / before {gained.value:.2f} ({gained.low:.2f}-{gained.high:.2f})"
    ratio = result.primary.ratio
    return f"p{result.primary.q * 100:g} after / before {ratio.value:.2f} ({ratio.low:.2f}-{ratio.high:.2f})"


def summarise_trial(folder: Folder) -> str:
    """Write a finished trial in Markdown. Raises NotFinished, and OSError for what may not be read."""
    return summarise(read_evidence(folder))


def summarise(evidence: Evidence) -> str:
    """Write it in Markdown: the same text from the same folder each time."""
    plan = evidence.plan
    parts = [
        f"# {words.title(evidence)}: {words.mark(evidence)}",
        words.headline(evidence),
        *_warnings(evidence),
        f"Drawn from the seed: {plan.place}.",
        "\n".join(f"- {reason}" for reason in evidence.verdict.reasons),
        _figures(evidence),
        words.ratios(evidence.score),
        _runs(evidence),
        _machine(evidence),
        "`report.html` in the trial's folder has the plots; all other files there are raw data.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _warnings(evidence: Evidence) -> list[str]:
    told = [f"This run does not show what the experiment claims: {reason}." for reason in evidence.score.failed_because]
    if used := evidence.used_though_invalid:
        told.append(f"{used} of {len(evidence.blocks)} blocks are INVALID: take the figures as a hint.")
    return told + [f"The seal is broken: {reason}." for reason in evidence.broken_seals]


def _figures(evidence: Evidence) -> str:
    if evidence.score.goodput is not None:
        return _goodput(evidence.score.goodput)
    head = (
        "| latency, ms (90 % interval) | before | predicted after | after | error | prediction | error if unchanged |"
    )
    rows = [_row(evidence, measured) for measured in evidence.measured]
    return "\n".join([head, "| --- | ---: | ---: | ---: | ---: | ---: | ---: |", *rows])


def _goodput(goodput: MeasuredGoodput) -> str:
    forecast = goodput.forecast
    cells = [
        words.rate(goodput.offered_per_second),
        f"{words.rate(goodput.before.value)} ({words.rate_bounds(goodput.before)})",
        f"{words.rate(forecast.predicted.value)} ({words.rate_bounds(forecast.predicted)})" if forecast else "none",
        f"{words.rate(goodput.after.value)} ({words.rate_bounds(goodput.after)})",
        words.error(forecast.error) if forecast else "",
        forecast.result.value if forecast else "",
        words.error(goodput.error_if_same),
    ]
    head = (
        "| orders a second (90 % interval) | in time before | predicted after | in time after | error "
        "| prediction | error if unchanged |"
    )
    return "\n".join([head, "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |", f"| {' | '.join(cells)} |"])


def _row(evidence: Evidence, measured: Measured) -> str:
    forecast = next((each for each in evidence.score.forecasts if each.quantile == measured.name), None)
    cells = [
        measured.name,
        f"{milliseconds(measured.before.value)} ({words.bounds(measured.before)})",
        f"{milliseconds(forecast.predicted.value)} ({words.bounds(forecast.predicted)})" if forecast else "none",
        f"{milliseconds(measured.after.value)} ({words.bounds(measured.after)})",
        words.error(forecast.error) if forecast else "",
        forecast.result.value if forecast else "",
        words.error(forecast.error_if_same) if forecast else "",
    ]
    return f"| {' | '.join(cells)} |"


def _runs(evidence: Evidence) -> str:
    plan = evidence.plan
    sentence = (
        f"{plan.rate_per_second:.2f} orders a second, seed {plan.seed}; {len(plan.sides)} pairs of blocks of "
        f"{plan.sizes.block_seconds:g} s; invalid: {words.invalid(evidence)}. The diagnosis was "
        f"sealed before them: SHA-256 {evidence.seal}."
    )
    invalid = [
        f"- pair {row.record.pair}, {row.record.side}, attempt {row.record.attempt}: INVALID, "
        f"{'used anyway' if row.counts else 'repeated'}: {row.invalid_because}"
        for row in block_rows(evidence)
        if row.invalid_because
    ]
    return "\n".join([sentence, *([""] if invalid else []), *invalid])


def _machine(evidence: Evidence) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in evidence.environment.items())
