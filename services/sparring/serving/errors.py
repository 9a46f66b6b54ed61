"""What can go wrong in a server.

ServingError
├── Unauthenticated      no credential, or one that nobody has
├── Forbidden            a known caller who may not do this
├── InvalidRequest       a request that breaks the contract's rules; names the fields
├── BadTensor            a tensor that is not what its header says, or not finite
├── TooLarge             one call that is, or asks for, more than is ever taken on
├── QueueFull            no room now; says when to come again
├── DeadlinePassed       the caller's time, or the server's, is over
├── CallerGone           the caller left before it had its answer
├── ShuttingDown         the server ends before the call did
├── UnknownPath          an HTTP method and path that mean nothing here
├── Unsupported          a part of a standard that this server leaves out
├── NotResident          a revision that is not loaded
├── WrongRole            a revision of the other side
├── DigestMismatch       a revision that is not the one the caller means
└── Relayed              another service gave no result; brings the status to be told
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import grpc


class ServingError(Exception):
    """Base of all errors that a server tells its callers about."""


class Unauthenticated(ServingError):
    """The caller did not say, or could not prove, who it is."""


class Forbidden(ServingError):
    """The caller is known and may not call this method."""


@dataclass(frozen=True)
class Violation:
    """One broken rule: path of the field, what is wrong, and the rule's id."""

    field: str
    message: str
    rule: str


class InvalidRequest(ServingError, ValueError):
    """A request that breaks rules of its message."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(f"{v.field or 'request'}: {v.message}" for v in violations))
        self.violations = tuple(violations)


class BadTensor(ServingError, ValueError):
    """A tensor whose bytes do not fit its header, that is too large, or that holds NaN or infinity."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


class TooLarge(ServingError, ValueError):
    """One call is larger than may ever be, or asks for more than may ever wait, so that trying again is no use."""


class QueueFull(ServingError):
    """There is no room now.

    Attributes:
        retry_seconds: when there probably will be.
    """

    def __init__(self, message: str, retry_seconds: float) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class DeadlinePassed(ServingError, TimeoutError):
    """The time for a call is over."""


class CallerGone(ServingError):
    """Nobody waits for the answer any more."""


class ShuttingDown(ServingError):
    """The time that calls in flight are given at the end is over."""


class UnknownPath(ServingError, LookupError):
    """Nothing is served at that path, or not by that method."""


class Unsupported(ServingError):
    """A part of a standard that this server leaves out on purpose."""


class NotResident(ServingError, LookupError):
    """A revision was asked for that is not loaded."""


class WrongRole(ServingError, ValueError):
    """An attacker was told to serve a defender's revision, or the other way round."""


class DigestMismatch(ServingError):
    """The revision of that name has another manifest than the caller means."""


class Relayed(ServingError):
    """Another service that a call depends on gave no result.

    Attributes:
        status: what our own caller is told.
        violations: what the other service objected to, if it said so.
        retry_seconds: when to try again, if it said so.
    """

    def __init__(
        self,
        message: str,
        status: grpc.StatusCode,
        violations: Iterable[Violation] = (),
        retry_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.violations, self.retry_seconds = status, tuple(violations), retry_seconds
