"""What a service refused, in Python's terms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status


@dataclass(eq=False)
class Refused(Exception):
    """A call that did not succeed.

    Attributes:
        code: the gRPC status.
        message: what was wrong, and where.
        fields: for INVALID_ARGUMENT, (path of the field, what is wrong with it).
        retry_seconds: when to try again, if the service said so.
    """

    code: grpc.StatusCode
    message: str
    fields: tuple[tuple[str, str], ...] = ()
    retry_seconds: float | None = None

    def __str__(self) -> str:
        where = "".join(f"\n  {path}: {description}" for path, description in self.fields)
        again = f" (try again in {self.retry_seconds:g} s)" if self.retry_seconds is not None else ""
        return f"{self.code.name}: {self.message}{again}{where}"


def refused(error: grpc.RpcError) -> Refused:
    """Read a failed call's status with its details."""
    status = rpc_status.from_call(error)
    fields: list[tuple[str, str]] = []
    retry: float | None = None
    for detail in status.details if status else ():
        request, info = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        if detail.Unpack(request):
            fields += [(violation.field, violation.description) for violation in request.field_violations]
        elif detail.Unpack(info):
            retry = info.retry_delay.ToTimedelta().total_seconds()
    return Refused(error.code(), error.details() or "", tuple(fields), retry)


@contextmanager
def told() -> Iterator[None]:
    """Have what a service refuses in the block raised as `Refused`."""
    try:
        yield
    except grpc.RpcError as error:
        raise refused(error) from error
