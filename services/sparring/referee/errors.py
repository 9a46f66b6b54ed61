"""What is said when attacker or defender gives no result, so that whoever asked for the match can tell whether to ask
again.

What an opponent refuses for good is refused for good, what passes may be tried again, and what nobody but the opponent
can explain is INTERNAL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import grpc

from sparring.client.errors import Refused
from sparring.serving.errors import Relayed, Violation

TOLD = {
    code: code
    for code in (
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    )
} | {
    # Of a server that is going: its calls in flight are cut off.
    grpc.StatusCode.CANCELLED: grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.ABORTED: grpc.StatusCode.UNAVAILABLE,
    # It is the referee that is not let in; to pass this on would blame its caller's credential.
    grpc.StatusCode.UNAUTHENTICATED: grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.PERMISSION_DENIED: grpc.StatusCode.FAILED_PRECONDITION,
}
"""What the referee's caller is told, by what the opponent said; anything else is INTERNAL."""

_OVERSIZED = re.compile("message larger than max")
"""gRPC's own words for a message over a limit, which it tells by the code of a full queue."""


class OpponentError(Relayed):
    """Attacker, defender or target gave no result: it refused, was not there, took too long or sent nonsense.

    Attributes:
        who: `attacker`, `defender`, or `target` for a defender that is not ours.
        code: its own status; INTERNAL for nonsense.
    """

    def __init__(self, who: str, error: Refused, address: str = "") -> None:
        place = f"{who} at {address}" if address else who
        status = TOLD.get(error.code, grpc.StatusCode.INTERNAL)
        super().__init__(f"{place}: {error}{_advice(who, error)}", status, _violations(who, error), error.retry_seconds)
        self.who, self.code = who, error.code


def nonsense(who: str, what: str) -> OpponentError:
    """The error for a reply that is not what was asked for."""
    return OpponentError(who, Refused(grpc.StatusCode.INTERNAL, f"it replied with {what}"))


def plain(error: Refused) -> Refused:
    """The same, but a message that is too large is no full queue: trying again is no use."""
    oversized = error.code is grpc.StatusCode.RESOURCE_EXHAUSTED and _OVERSIZED.search(error.message)
    return replace(error, code=grpc.StatusCode.INVALID_ARGUMENT) if oversized else error


def _advice(who: str, error: Refused) -> str:
    locked = error.code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
    if not locked or who not in ("attacker", "defender"):
        return ""
    return f"; the referee shows what {who}.token_file and {who}.certificate of its configuration name"


def _violations(who: str, error: Refused) -> Iterator[Violation]:
    """What the opponent objected to; the opponent as a whole, if it named no field of bad input."""
    for field, description in error.fields:
        yield Violation(f"{who}.{field}" if field else who, description, f"{who}_refused")
    if not error.fields and error.code is grpc.StatusCode.INVALID_ARGUMENT:
        yield Violation(who, error.message, f"{who}_refused")
