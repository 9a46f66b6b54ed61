"""Takes in what is submitted: what is asked first, then the samples, which go into a file as they come."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from google.protobuf.message import DecodeError

from sparring.samples.uploads import frame
from sparring.serving.errors import InvalidRequest, TooLarge, Violation
from sparring.serving.validation import check
from sparring.v1 import checks_pb2, sample_pb2

_BESIDE_IMAGE = 1 << 20
"""Bytes that a sample may have besides its image."""


@dataclass(frozen=True)
class Received:
    """Samples that came: how many, and the lower-case hex sha256 over their records; empty without any."""

    count: int
    digest: str


async def receive_spec(requests: AsyncIterator[checks_pb2.SubmitRequest]) -> checks_pb2.CheckSpec:
    """The first message.

    Raises:
        InvalidRequest: it is something else, or breaks the contract's rules.
    """
    async for request in requests:
        check(request)
        if request.HasField("spec"):
            return request.spec
        break
    raise _wrong("spec", "the first message must bring it", "submit.spec")


async def receive_samples(
    requests: AsyncIterator[checks_pb2.SubmitRequest], file: Path, *, max_image_bytes: int, max_bytes: int
) -> Received:
    """The other messages, written to `file`.

    Args:
        requests: what is left of the stream.
        file: to be made.
        max_image_bytes: of one sample's image.
        max_bytes: of all samples together.

    Raises:
        InvalidRequest: a sample breaks the contract's rules, or something else was sent.
        TooLarge: a sample, or all of them.
    """
    with file.open("xb") as output:
        writer = _Writer(output, max_image_bytes + _BESIDE_IMAGE, max_bytes)
        async for request in requests:
            check(request)
            match request.WhichOneof("part"):
                case "sample":
                    writer.add(request.sample.SerializeToString())
                case "chunk":
                    writer.add_piece(request.chunk)
                case _:
                    raise _wrong("spec", "it was sent before", "submit.spec")
        return writer.finish()


class _Writer:
    """Writes samples, whole or in pieces, and keeps account of them."""

    def __init__(self, output: BinaryIO, max_sample_bytes: int, max_bytes: int) -> None:
        self._output, self._most, self._left = output, max_sample_bytes, max_bytes
        self._digest, self._count = hashlib.sha256(), 0
        self._pieces = bytearray()

    def add(self, message: bytes) -> None:
        if self._pieces:
            raise _wrong(self._place, "the sample before it lacks its last piece", "submit.chunk")
        if len(message) > self._most:
            raise TooLarge(f"{self._place} has more than the {self._most} bytes that a sample may have")
        self._left -= len(message)
        if self._left < 0:
            raise TooLarge(f"with {self._place} there are more bytes than a check may send; name a dataset instead")
        _check_sample(message, self._place)
        record = frame(message)
        self._output.write(record)
        self._digest.update(record)
        self._count += 1

    def add_piece(self, chunk: checks_pb2.SampleChunk) -> None:
        self._pieces += chunk.data
        if len(self._pieces) > self._most:
            raise TooLarge(f"{self._place} has more than the {self._most} bytes that a sample may have")
        if chunk.last:
            whole = bytes(self._pieces)
            self._pieces.clear()
            self.add(whole)

    def finish(self) -> Received:
        if self._pieces:
            raise _wrong(self._place, "its last piece is missing", "submit.chunk")
        return Received(self._count, self._digest.hexdigest() if self._count else "")

    @property
    def _place(self) -> str:
        return f"samples[{self._count}]"


def _check_sample(message: bytes, place: str) -> None:
    """Raises: InvalidRequest if it is no sample, or breaks the contract's rules; its fields are named from `place`."""
    try:
        sample = sample_pb2.Sample.FromString(message)
    except DecodeError as error:
        raise _wrong(place, f"these pieces make no Sample: {error}", "submit.chunk") from error
    try:
        check(sample)
    except InvalidRequest as error:
        named = [Violation(f"{place}.{v.field}".rstrip("."), v.message, v.rule) for v in error.violations]
        raise InvalidRequest(named) from error


def _wrong(field: str, message: str, rule: str) -> InvalidRequest:
    return InvalidRequest([Violation(field, message, rule)])
