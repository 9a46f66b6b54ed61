"""What becomes of a request that brought no answer: whether another may, and what is said if not."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import grpc

from sparring.client.errors import Refused

CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""Of a status that is none of these: FAILED_PRECONDITION below 500, UNAVAILABLE from there on."""
_SHOWN = 300
"""Characters of an endpoint's own words that are passed on."""


@dataclass(eq=False)
class Fault(Exception):
    """One request without an answer.

    Attributes:
        kind: a word for it, for counting.
        failure: what is said if it stays so.
        passing: whether the same request may succeed later.
    """

    kind: str
    failure: Refused
    passing: bool = False


def refused_by(status: int, text: str, retry_seconds: float | None) -> Fault:
    """The fault that an HTTP status other than 200 stands for."""
    passing = status in (408, 429) or 500 <= status < 600
    code = CODES.get(status, grpc.StatusCode.UNAVAILABLE if passing else grpc.StatusCode.FAILED_PRECONDITION)
    failure = Refused(code, f"HTTP {status}: {shown(text)}", retry_seconds=retry_seconds if passing else None)
    return Fault(f"http_{status}", failure, passing)


def redirected(status: int, location: str) -> Fault:
    """The fault of an endpoint that points elsewhere."""
    advice = "redirects are not followed; name that place in the target's URL, if it may be called"
    return barred("redirect", f"HTTP {status} points to {shown(location)}; {advice}")


def lost(kind: str, code: grpc.StatusCode, what: str) -> Fault:
    """The fault of a connection that broke or a reply that did not come."""
    return Fault(kind, Refused(code, what), passing=True)


def spoilt(kind: str, what: str) -> Fault:
    """The fault of a reply that is not what was asked for."""
    return Fault(kind, Refused(grpc.StatusCode.INTERNAL, f"it replied with {what}"))


def barred(kind: str, what: str) -> Fault:
    """The fault of a place that must not be called, or that is not who it says."""
    return Fault(kind, Refused(grpc.StatusCode.FAILED_PRECONDITION, what))


def shown(text: str) -> str:
    """An endpoint's own words: one line, printable, not too long."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text[: 4 * _SHOWN]).split())
    return f"{line[:_SHOWN]} ..." if len(line) > _SHOWN else line or "(no text)"


def retry_after(value: str, today: Callable[[], float]) -> float | None:
    """Seconds that a Retry-After asks for (RFC 9110, 10.2.3), as a number or as a date; None if it is neither."""
    try:
        seconds = float(value)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - today())
    except ValueError:
        return None
