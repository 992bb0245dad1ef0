"""Adds failing and vanished operations to a verdict, and names one of them if no bottleneck was found."""

from dataclasses import replace

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.failures import Failure, FailureKind
from observability.analysis.time_table import Place
from observability.analysis.verdict import Answer, Verdict


def with_errors(verdict: Verdict, failures: tuple[Failure, ...]) -> Verdict:
    """Return the verdict with what fails.

    A class of bottleneck that was found stays: requests fail because they are too slow more often than the other way
    round. Failing requests come before a slowdown without a class, and a slowdown before a vanished operation.
    """
    if not failures:
        return verdict
    first, said = failures[0], tuple(each.sentence() for each in failures)
    is_slower = verdict.answer is Answer.FOUND and first.kind is FailureKind.VANISHED
    if verdict.bottleneck is not None or is_slower:
        also = f"{Bottleneck.ERRORS} in {first.service} {first.operation}"
        return replace(verdict, failures=failures, reasons=(*verdict.reasons, *said), also=(*verdict.also, also))
    alone = len(failures) == 1 and first.kind is FailureKind.FAILING
    return replace(
        verdict,
        answer=Answer.FOUND,
        bottleneck=Bottleneck.ERRORS,
        service=first.service,
        operation=first.operation,
        share=0.0,
        confidence="high" if alone else "medium",
        reasons=(*said, *verdict.reasons),
        trace_ids=first.trace_ids,
        prediction=None,
        failures=failures,
        place=Place(f"{first.operation} of {first.service}", first.service, first.operation, first.share),
    )
