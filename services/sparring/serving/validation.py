"""Requests that break the rules written in the contract are refused before any work is done for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import protovalidate
from google.protobuf.message import Message
from protovalidate import FieldPathElementPb

from sparring.serving.errors import InvalidRequest, Violation
from sparring.serving.interceptor import Call, Interceptor


class Validation(Interceptor):
    """Checks each unary request against its message's protovalidate rules."""

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        if call.request is not None:
            check(call.request)
        yield


def check(message: Message) -> None:
    """Refuse a message that breaks its rules.

    Raises:
        InvalidRequest: with each violation's field path, as in `sampling.temperature` or `targets[2].box.width`.
    """
    violations = protovalidate.collect_violations(message)
    if violations:
        raise InvalidRequest([_violation(violation) for violation in violations])


def _violation(violation: protovalidate.Violation) -> Violation:
    proto = violation.proto
    path = ".".join(_element(element) for element in proto.field.elements) if proto.field else ""
    return Violation(path, proto.message, proto.rule_id)


def _element(element: FieldPathElementPb) -> str:
    return element.field_name if element.subscript is None else f"{element.field_name}[{element.subscript.value}]"
