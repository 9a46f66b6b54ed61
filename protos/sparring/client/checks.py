"""Submit checks, follow them, and fetch what they found. Needs neither torch nor numpy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from types import TracebackType

import grpc

from sparring.client.channel import Endpoint
from sparring.client.errors import Refused, told
from sparring.v1 import checks_pb2, checks_pb2_grpc, sample_pb2

CHUNK_BYTES = 1 << 20
"""A larger sample travels in pieces of this size, so that no limit of a message between here and there matters."""
CALL_SECONDS = 60.0
UPLOAD_SECONDS = 3600.0
LONG = (grpc.StatusCode.DEADLINE_EXCEEDED,)
"""How a server ends a stream that has lasted for as long as it lets any: a check may take longer."""


class ChecksClient:
    """A blocking client; use it in a `with` block. Every method raises `Refused` where the service says no."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._metadata = endpoint.metadata
        self._channel = endpoint.open()
        self._checks = checks_pb2_grpc.ChecksStub(self._channel)

    def __enter__(self) -> ChecksClient:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._channel.close()

    def submit(self, spec: checks_pb2.CheckSpec, samples: Iterable[sample_pb2.Sample] = ()) -> checks_pb2.Check:
        """Begin a check of a dataset that the referee can read, or else of `samples`; harmless to do again."""
        with told():
            response = self._checks.Submit(parts(spec, samples), timeout=UPLOAD_SECONDS, metadata=self._metadata)
        return response.check

    def watch(self, check_id: str) -> Iterator[checks_pb2.Check]:
        """How far a check is, now and at every change, until it has ended."""
        request = checks_pb2.WatchRequest(check_id=check_id)
        while True:
            call = self._checks.Watch(request, metadata=self._metadata)
            try:
                with told():
                    for response in call:
                        yield response.check
                return
            except Refused as refusal:
                if refusal.code not in LONG:
                    raise
            finally:
                call.cancel()

    def report(self, check_id: str) -> str:
        """JSON by the schema `sparring.check/1`."""
        request = checks_pb2.GetReportRequest(check_id=check_id)
        with told():
            return self._checks.GetReport(request, timeout=CALL_SECONDS, metadata=self._metadata).report

    def mine(self) -> list[checks_pb2.Check]:
        """The caller's own checks, the newest first."""
        with told():
            response = self._checks.List(checks_pb2.ListRequest(), timeout=CALL_SECONDS, metadata=self._metadata)
        return [*response.checks]

    def cancel(self, check_id: str) -> checks_pb2.Check:
        """End a check."""
        request = checks_pb2.CancelRequest(check_id=check_id)
        with told():
            return self._checks.Cancel(request, timeout=CALL_SECONDS, metadata=self._metadata).check

    def delete(self, check_id: str) -> None:
        """Have a check that has ended forgotten."""
        request = checks_pb2.DeleteRequest(check_id=check_id)
        with told():
            self._checks.Delete(request, timeout=CALL_SECONDS, metadata=self._metadata)


class AioChecksClient:
    """The same for asyncio; use it in an `async with` block."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._metadata = endpoint.metadata
        self._channel = endpoint.open_aio()
        self._checks = checks_pb2_grpc.ChecksStub(self._channel)

    async def __aenter__(self) -> AioChecksClient:
        return self

    async def __aexit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._channel.close()

    async def submit(self, spec: checks_pb2.CheckSpec, samples: Iterable[sample_pb2.Sample] = ()) -> checks_pb2.Check:
        """Begin a check of a dataset that the referee can read, or else of `samples`; harmless to do again."""
        with told():
            response = await self._checks.Submit(parts(spec, samples), timeout=UPLOAD_SECONDS, metadata=self._metadata)
        return response.check

    async def watch(self, check_id: str) -> AsyncIterator[checks_pb2.Check]:
        """How far a check is, now and at every change, until it has ended."""
        request = checks_pb2.WatchRequest(check_id=check_id)
        while True:
            call = self._checks.Watch(request, metadata=self._metadata)
            try:
                with told():
                    async for response in call:
                        yield response.check
                return
            except Refused as refusal:
                if refusal.code not in LONG:
                    raise
            finally:
                call.cancel()

    async def report(self, check_id: str) -> str:
        """JSON by the schema `sparring.check/1`."""
        request = checks_pb2.GetReportRequest(check_id=check_id)
        with told():
            response = await self._checks.GetReport(request, timeout=CALL_SECONDS, metadata=self._metadata)
        return response.report

    async def mine(self) -> list[checks_pb2.Check]:
        """The caller's own checks, the newest first."""
        with told():
            response = await self._checks.List(checks_pb2.ListRequest(), timeout=CALL_SECONDS, metadata=self._metadata)
        return [*response.checks]

    async def cancel(self, check_id: str) -> checks_pb2.Check:
        """End a check."""
        request = checks_pb2.CancelRequest(check_id=check_id)
        with told():
            response = await self._checks.Cancel(request, timeout=CALL_SECONDS, metadata=self._metadata)
        return response.check

    async def delete(self, check_id: str) -> None:
        """Have a check that has ended forgotten."""
        request = checks_pb2.DeleteRequest(check_id=check_id)
        with told():
            await self._checks.Delete(request, timeout=CALL_SECONDS, metadata=self._metadata)


def parts(spec: checks_pb2.CheckSpec, samples: Iterable[sample_pb2.Sample]) -> Iterator[checks_pb2.SubmitRequest]:
    """The messages of a submission."""
    yield checks_pb2.SubmitRequest(spec=spec)
    for sample in samples:
        if sample.ByteSize() <= CHUNK_BYTES:
            yield checks_pb2.SubmitRequest(sample=sample)
        else:
            yield from _pieces(sample.SerializeToString())


def _pieces(data: bytes) -> Iterator[checks_pb2.SubmitRequest]:
    for start in range(0, len(data), CHUNK_BYTES):
        last = start + CHUNK_BYTES >= len(data)
        chunk = checks_pb2.SampleChunk(data=data[start : start + CHUNK_BYTES], last=last)
        yield checks_pb2.SubmitRequest(chunk=chunk)
