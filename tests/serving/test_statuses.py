from __future__ import annotations

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo

from sparring.ledgers.errors import UnknownRevision
from sparring.serving import errors
from sparring.serving.statuses import RULES, Fault, Rule, describe


class Picky(ValueError):
    pass


class Pickier(Picky):
    pass


def details(fault: Fault) -> dict[str, object]:
    found = {}
    for packed in fault.status.details:
        for kind in (BadRequest, ErrorInfo, RetryInfo):
            message = kind()
            if packed.Unpack(message):
                found[kind.__name__] = message
    return found


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.Unauthenticated("x"), grpc.StatusCode.UNAUTHENTICATED),
        (errors.Forbidden("x"), grpc.StatusCode.PERMISSION_DENIED),
        (errors.QueueFull("x", 1), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (errors.TooLarge("x"), grpc.StatusCode.INVALID_ARGUMENT),
        (errors.DeadlinePassed("x"), grpc.StatusCode.DEADLINE_EXCEEDED),
        (errors.NotResident("x"), grpc.StatusCode.FAILED_PRECONDITION),
        (errors.DigestMismatch("x"), grpc.StatusCode.FAILED_PRECONDITION),
        (UnknownRevision("x"), grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
def test_each_error_has_its_code_and_says_what_it_is(error, code):
    fault = describe(error, RULES)
    assert (fault.status.code, fault.status.message, fault.error_id) == (code.value[0], "x", "")
    assert details(fault)["ErrorInfo"].domain == "sparring"


def test_every_error_of_the_room_has_a_rule():
    leaves = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, errors.ServingError)]
    assert [cls for cls in leaves if cls not in RULES] == [errors.ServingError, errors.Relayed]


def test_a_rooms_rule_holds_for_subclasses_and_names_the_field():
    fault = describe(Pickier("too small"), {**RULES, Picky: Rule(grpc.StatusCode.INVALID_ARGUMENT, "image")})
    assert details(fault)["ErrorInfo"].reason == "PICKIER"
    (violation,) = details(fault)["BadRequest"].field_violations
    assert (violation.field, violation.description, violation.reason) == ("image", "too small", "PICKIER")


def test_a_bad_tensor_names_its_field():
    (violation,) = details(describe(errors.BadTensor("a.b", "NaN"), RULES))["BadRequest"].field_violations
    assert violation.field == "a.b"


def test_a_full_queue_says_when_to_retry():
    info = details(describe(errors.QueueFull("x", 0.25), RULES))["RetryInfo"]
    assert info.retry_delay.ToNanoseconds() == 250_000_000


def test_what_another_service_said_is_passed_on():
    violation = errors.Violation("defender.image", "too large", "defender_refused")
    fault = describe(errors.Relayed("x", grpc.StatusCode.INVALID_ARGUMENT, [violation]), RULES)
    assert (fault.status.code, fault.status.message) == (grpc.StatusCode.INVALID_ARGUMENT.value[0], "x")
    (told,) = details(fault)["BadRequest"].field_violations
    assert (told.field, told.description, told.reason) == ("defender.image", "too large", "DEFENDER_REFUSED")
    full = details(describe(errors.Relayed("x", grpc.StatusCode.RESOURCE_EXHAUSTED, retry_seconds=0.5), RULES))
    assert full["RetryInfo"].retry_delay.ToNanoseconds() == 500_000_000
    assert details(describe(errors.Relayed("x", grpc.StatusCode.UNAVAILABLE), RULES)).keys() == {"ErrorInfo"}


def test_the_unforeseen_is_internal_and_tells_nothing_but_an_id():
    fault = describe(KeyError("the password"), RULES)
    assert fault.status.code == grpc.StatusCode.INTERNAL.value[0]
    assert "password" not in str(fault.status)
    assert details(fault)["ErrorInfo"].metadata["error_id"] == fault.error_id
