"""Exceptions become gRPC statuses by one registry; each room adds its own before it serves.

Every status carries `google.rpc.ErrorInfo` whose reason is the exception's class in capitals. Bad input adds
`BadRequest`, a full queue `RetryInfo`. What another service said is passed on by the status that the exception brings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from sparring.ledgers.errors import CorruptRevision, ExpiredRevision, InvalidName, UnknownRevision
from sparring.serving.errors import (
    BadTensor,
    CallerGone,
    DeadlinePassed,
    DigestMismatch,
    Forbidden,
    InvalidRequest,
    NotResident,
    QueueFull,
    Relayed,
    ShuttingDown,
    TooLarge,
    Unauthenticated,
    UnknownPath,
    Unsupported,
    Violation,
    WrongRole,
)

DOMAIN = "sparring"


@dataclass(frozen=True)
class Rule:
    """How one class of exceptions is told: the status code and, for bad input, the field that is to blame."""

    code: grpc.StatusCode
    field: str = ""


Rules = Mapping[type[Exception], Rule]

RULES: Rules = {
    Unauthenticated: Rule(grpc.StatusCode.UNAUTHENTICATED),
    Forbidden: Rule(grpc.StatusCode.PERMISSION_DENIED),
    InvalidRequest: Rule(grpc.StatusCode.INVALID_ARGUMENT),
    BadTensor: Rule(grpc.StatusCode.INVALID_ARGUMENT),
    TooLarge: Rule(grpc.StatusCode.INVALID_ARGUMENT),
    QueueFull: Rule(grpc.StatusCode.RESOURCE_EXHAUSTED),
    DeadlinePassed: Rule(grpc.StatusCode.DEADLINE_EXCEEDED),
    ShuttingDown: Rule(grpc.StatusCode.UNAVAILABLE),
    CallerGone: Rule(grpc.StatusCode.CANCELLED),
    UnknownPath: Rule(grpc.StatusCode.NOT_FOUND),
    Unsupported: Rule(grpc.StatusCode.UNIMPLEMENTED),
    NotResident: Rule(grpc.StatusCode.FAILED_PRECONDITION),
    DigestMismatch: Rule(grpc.StatusCode.FAILED_PRECONDITION),
    WrongRole: Rule(grpc.StatusCode.INVALID_ARGUMENT, "active.name"),
    InvalidName: Rule(grpc.StatusCode.INVALID_ARGUMENT, "active.name"),
    UnknownRevision: Rule(grpc.StatusCode.INVALID_ARGUMENT, "active.name"),
    CorruptRevision: Rule(grpc.StatusCode.FAILED_PRECONDITION),
    ExpiredRevision: Rule(grpc.StatusCode.FAILED_PRECONDITION),
}


@dataclass(frozen=True)
class Fault:
    """What a caller is told about an exception.

    Attributes:
        reason: the exception's class in capitals.
        violations: of bad input, which fields are to blame.
        retry_seconds: when to try again, if that is known.
        error_id: finds the traceback in the log; only an unforeseen exception has one.
    """

    code: grpc.StatusCode
    message: str
    reason: str
    violations: tuple[Violation, ...] = ()
    retry_seconds: float | None = None
    error_id: str = ""

    @property
    def status(self) -> Status:
        """The same for gRPC."""
        status = Status(code=self.code.value[0], message=self.message)
        for detail in self._details():
            status.details.add().Pack(detail)
        return status

    def _details(self) -> Iterator[Message]:
        metadata = {"error_id": self.error_id} if self.error_id else {}
        yield ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=metadata)
        if self.retry_seconds is not None:
            delay = Duration()
            delay.FromNanoseconds(round(self.retry_seconds * 1e9))
            yield RetryInfo(retry_delay=delay)
        if self.violations:
            yield BadRequest(field_violations=[_violation(v.field, v.message, v.rule) for v in self.violations])


def describe(error: Exception, rules: Rules) -> Fault:
    """What a caller is told about `error`. What no rule foresees is INTERNAL, without its text."""
    rule = _rule(error, rules)
    if rule is None:
        error_id = uuid4().hex
        message = f"internal error {error_id}; the server's log has its traceback"
        return Fault(grpc.StatusCode.INTERNAL, message, "INTERNAL", error_id=error_id)
    retry_seconds = error.retry_seconds if isinstance(error, QueueFull | Relayed) else None
    reason = _screaming(type(error).__name__)
    return Fault(rule.code, str(error), reason, tuple(_violations(error, rule)), retry_seconds)


def _rule(error: Exception, rules: Rules) -> Rule | None:
    if isinstance(error, Relayed):
        return Rule(error.status)
    return next((rules[cls] for cls in type(error).__mro__ if cls in rules), None)


def _violations(error: Exception, rule: Rule) -> Sequence[Violation]:
    if isinstance(error, InvalidRequest | Relayed):
        return error.violations
    if rule.code is not grpc.StatusCode.INVALID_ARGUMENT:
        return ()
    field = error.field if isinstance(error, BadTensor) else rule.field
    return (Violation(field, str(error), type(error).__name__),)


def _violation(field: str, description: str, reason: str) -> BadRequest.FieldViolation:
    return BadRequest.FieldViolation(field=field, description=description, reason=_screaming(reason))


def _screaming(name: str) -> str:
    """`QueueFull` and `uint32.gte_lte` as google.rpc wants reasons: `QUEUE_FULL`, `UINT32_GTE_LTE`."""
    return re.sub(r"[^A-Z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper())
