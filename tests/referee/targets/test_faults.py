"""What becomes of a request that brought no answer."""

from __future__ import annotations

from email.utils import formatdate

import grpc
import pytest

from sparring.referee.targets.faults import refused_by, retry_after, shown

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("Mon, 99 Foo 2026 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after(value, lambda: NOW) == seconds


@pytest.mark.parametrize(
    ("status", "code", "passing"),
    [
        (400, "INVALID_ARGUMENT", False),
        (401, "UNAUTHENTICATED", False),
        (403, "PERMISSION_DENIED", False),
        (404, "NOT_FOUND", False),
        (408, "DEADLINE_EXCEEDED", True),
        (409, "FAILED_PRECONDITION", False),
        (413, "INVALID_ARGUMENT", False),
        (422, "INVALID_ARGUMENT", False),
        (429, "RESOURCE_EXHAUSTED", True),
        (500, "UNAVAILABLE", True),
        (503, "UNAVAILABLE", True),
        (504, "DEADLINE_EXCEEDED", True),
        (101, "FAILED_PRECONDITION", False),
    ],
)
def test_a_status_says_what_it_is_and_whether_it_may_pass(status: int, code: str, passing: bool) -> None:
    fault = refused_by(status, "no", 3.0)
    assert (fault.failure.code, fault.passing) == (grpc.StatusCode[code], passing)
    assert fault.failure.retry_seconds == (3.0 if passing else None)


def test_what_an_endpoint_says_is_shown_on_one_line_and_not_at_length() -> None:
    assert shown("a\r\nb\x1b[31m\tc") == "a b [31m c"
    assert shown(" \n") == "(no text)"
    assert len(shown("x" * 10_000)) < 400
