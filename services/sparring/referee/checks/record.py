"""A check as its journal has it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from google.protobuf.json_format import MessageToDict, ParseDict

from sparring.ledgers.entries import CheckEnded, CheckSubmitted, JournalEntry
from sparring.v1 import checks_pb2


@dataclass(frozen=True)
class CheckRecord:
    """What is known of a check.

    Attributes:
        check_id: also the name of its campaign in the ledger.
        owner: who submitted it; empty where anybody may call.
        spec: what was asked, last.
        uploaded: samples that came with it.
        digest: sha256 of these; empty without any.
        submitted: when it was, first.
        ended: how it ended; None if it has not, or is to go on.
    """

    check_id: str
    owner: str
    spec: checks_pb2.CheckSpec
    uploaded: int
    digest: str
    submitted: datetime
    ended: CheckEnded | None = None

    @property
    def uri(self) -> str:
        """What stands for the samples in the names of edits and in reports."""
        return f"uploads:{self.digest}" if self.uploaded else self.spec.dataset.uri

    @property
    def wanted(self) -> int:
        """Samples that are wanted; a dataset may have fewer."""
        return self.uploaded or self.spec.dataset.limit

    @property
    def settled(self) -> bool:
        """Whether nothing is left to be done."""
        return self.ended is not None and self.ended.ending == "finished" and not self.ended.missing

    def same_as(self, other: CheckRecord) -> bool:
        """Whether the two ask the same; what it may cost may be raised later."""
        return (without_cap(self.spec), self.digest) == (without_cap(other.spec), other.digest)


def without_cap(spec: checks_pb2.CheckSpec) -> checks_pb2.CheckSpec:
    copy = checks_pb2.CheckSpec()
    copy.CopyFrom(spec)
    copy.ClearField("max_calls")
    return copy


def to_entry(record: CheckRecord) -> CheckSubmitted:
    """The journal's entry for a submission."""
    return CheckSubmitted(
        check=record.check_id,
        owner=record.owner,
        spec=MessageToDict(record.spec, preserving_proto_field_name=True),
        uploaded=record.uploaded,
        digest=record.digest,
    )


def from_entries(entries: Iterable[JournalEntry]) -> CheckRecord | None:
    """The check of a journal; None if it is none."""
    first: CheckSubmitted | None = None
    latest: CheckSubmitted | None = None
    ended: CheckEnded | None = None
    for entry in entries:
        if isinstance(entry, CheckSubmitted):
            first, latest, ended = first or entry, entry, None
        elif isinstance(entry, CheckEnded):
            ended = entry
    if first is None or latest is None:
        return None
    spec = ParseDict(latest.spec, checks_pb2.CheckSpec())
    return CheckRecord(first.check, first.owner, spec, latest.uploaded, latest.digest, first.time, ended)
