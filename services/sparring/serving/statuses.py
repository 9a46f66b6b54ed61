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
    DeadlinePassed,
    DigestMismatch,
    Forbidden,
    InvalidRequest,
    NotResident,
    QueueFull,
    Relayed,
    TooLarge,
    Unauthenticated,
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
    """A status to be sent. `error_id` finds the traceback in the log; only an unforeseen exception has one."""

    status: Status
    error_id: str = ""


def describe(error: Exception, rules: Rules) -> Fault:
    """The status that tells a caller about `error`. What no rule foresees is INTERNAL, without its text."""
    rule = _rule(error, rules)
    if rule is None:
        error_id = uuid4().hex
        info = ErrorInfo(reason="INTERNAL", domain=DOMAIN, metadata={"error_id": error_id})
        message = f"internal error {error_id}; the server's log has its traceback"
        return Fault(_status(grpc.StatusCode.INTERNAL, message, info), error_id)
    info = ErrorInfo(reason=_screaming(type(error).__name__), domain=DOMAIN)
    return Fault(_status(rule.code, str(error), info, *_details(error, rule)))


def _rule(error: Exception, rules: Rules) -> Rule | None:
    if isinstance(error, Relayed):
        return Rule(error.status)
    return next((rules[cls] for cls in type(error).__mro__ if cls in rules), None)


def _status(code: grpc.StatusCode, message: str, *details: Message) -> Status:
    status = Status(code=code.value[0], message=message)
    for detail in details:
        status.details.add().Pack(detail)
    return status


def _details(error: Exception, rule: Rule) -> Iterator[Message]:
    if isinstance(error, QueueFull | Relayed) and error.retry_seconds is not None:
        delay = Duration()
        delay.FromNanoseconds(round(error.retry_seconds * 1e9))
        yield RetryInfo(retry_delay=delay)
    if violations := _violations(error, rule):
        yield BadRequest(field_violations=[_violation(v.field, v.message, v.rule) for v in violations])


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
