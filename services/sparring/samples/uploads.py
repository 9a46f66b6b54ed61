"""Samples that somebody sent: messages of the contract, one after the other in one file.

Each is preceded by its length, four bytes, the lowest first. They are read like any other dataset, so that a message
whose image can't be decoded is a row that is skipped and reported, not the end of everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from google.protobuf.message import DecodeError

from sparring.samples.reader import Asked, Reader
from sparring.v1 import sample_pb2

_LENGTH_BYTES = 4


def frame(message: bytes) -> bytes:
    """A serialised Sample as it stands in the file."""
    return len(message).to_bytes(_LENGTH_BYTES, "little") + message


def read_frames(file: BinaryIO) -> Iterator[bytes]:
    """The messages in a file; a torn last one is given out as far as it goes."""
    while head := file.read(_LENGTH_BYTES):
        yield file.read(int.from_bytes(head, "little"))


class Uploads(Reader[bytes]):
    """The messages of one file, which have passed the contract's rules."""

    def _rows(self) -> Iterator[tuple[str, bytes]]:
        with self.path.open("rb") as file:
            for number, message in enumerate(read_frames(file)):
                yield f"sample {number}", message

    def _ask(self, place: str, row: bytes) -> Asked:
        try:
            sample = sample_pb2.Sample.FromString(row)
        except DecodeError as error:
            raise self._bad(place, "syntax", error) from error
        targets = [(t.name, (t.box.x, t.box.y, t.box.width, t.box.height)) for t in sample.targets]
        return Asked(
            sample.image,
            sample.question,
            list(sample.options),
            sample.answer,
            targets,
            sample.category,
            tuple((group.name, group.value) for group in sample.groups),
            shuffle=not sample.unshuffled,
        )
