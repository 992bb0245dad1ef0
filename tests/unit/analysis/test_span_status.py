"""Outcome of a span by current and older semantic conventions: failed, timed out, retried or redirected."""

from dataclasses import replace

import pytest

from observability.analysis.span_status import failed, gave_up, is_resend, was_redirected
from observability.analysis.spans import Attribute, Span, SpanStatus
from tests.unit.analysis.making import span


def with_attribute(name: str, value: Attribute, status: SpanStatus = SpanStatus.UNSET) -> Span:
    """Return a span with this outcome."""
    return replace(span("a"), status=status, attributes={name: value})


@pytest.mark.parametrize("code", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "unavailable"])
def test_a_retryable_status_is_a_failure(code: str) -> None:
    assert failed(with_attribute("rpc.response.status_code", code))


@pytest.mark.parametrize("code", ["OK", "NOT_FOUND", "FAILED_PRECONDITION", "INVALID_ARGUMENT"])
def test_a_rejection_is_no_failure_though_its_span_is_an_error(code: str) -> None:
    assert not failed(with_attribute("rpc.response.status_code", code, SpanStatus.ERROR))


@pytest.mark.parametrize(("number", "expected"), [(0, False), (14, True), (5, False), (4, True)])
def test_older_spans_have_the_number_of_a_grpc_status(number: int, expected: bool) -> None:
    assert failed(with_attribute("rpc.grpc.status_code", number)) is expected


@pytest.mark.parametrize("name", ["http.response.status_code", "http.status_code"])
@pytest.mark.parametrize(("status", "expected"), [(200, False), (302, False), (404, False), (429, True), (503, True)])
def test_http_server_errors_and_retryable_statuses_are_failures(name: str, status: int, expected: bool) -> None:
    assert failed(with_attribute(name, status)) is expected


@pytest.mark.parametrize(("status", "expected"), [(SpanStatus.UNSET, False), (SpanStatus.ERROR, True)])
def test_without_a_code_the_spans_status_counts(status: SpanStatus, expected: bool) -> None:
    assert failed(replace(span("a"), status=status)) is expected


@pytest.mark.parametrize("number", [17, -1])
def test_a_number_that_is_no_code_says_nothing(number: int) -> None:
    assert failed(with_attribute("rpc.grpc.status_code", number, SpanStatus.ERROR))


@pytest.mark.parametrize("code", ["CANCELLED", "DEADLINE_EXCEEDED"])
def test_a_timed_out_or_cancelled_call_gave_up(code: str) -> None:
    assert gave_up(with_attribute("rpc.response.status_code", code))


def test_a_rejected_call_did_not_give_up() -> None:
    assert not gave_up(with_attribute("rpc.response.status_code", "UNAVAILABLE", SpanStatus.ERROR))


@pytest.mark.parametrize("kind", ["TimeoutError", "CancelledError", "timeout", "java.net.SocketTimeoutException"])
def test_timed_out_and_cancelled_calls_gave_up(kind: str) -> None:
    assert gave_up(with_attribute("error.type", kind, SpanStatus.ERROR))


def test_another_error_is_no_giving_up() -> None:
    assert not gave_up(with_attribute("error.type", "ValueError", SpanStatus.ERROR))
    assert not gave_up(replace(span("a"), status=SpanStatus.ERROR))


@pytest.mark.parametrize("name", ["http.request.resend_count", "http.resend_count", "previous-rpc-attempts"])
def test_a_span_may_say_that_it_was_sent_before(name: str) -> None:
    assert is_resend(with_attribute(name, 2))
    assert not is_resend(with_attribute(name, 0))


@pytest.mark.parametrize(("texts", "expected"), [(["2"], True), (["0"], False), ([], False), (["two"], False)])
def test_a_calls_metadata_may_say_so_too(texts: list[Attribute], expected: bool) -> None:
    assert is_resend(with_attribute("rpc.request.metadata.grpc-previous-rpc-attempts", texts)) is expected


def test_a_span_that_says_nothing_was_sent_once() -> None:
    assert not is_resend(span("a"))


def test_a_redirect_status_is_a_redirection() -> None:
    assert was_redirected(with_attribute("http.response.status_code", 307))
    assert not was_redirected(with_attribute("http.response.status_code", 200))
