"""The journal of a campaign: what has been decided, in order, one JSON object a line.

An entry that `append` has returned from is on the disk. A crash can tear only the last line, which then never
counted: readers pass over it, and the next writer cuts it off. One process at a time may write.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from pydantic import TypeAdapter, ValidationError

from sparring.ledgers.entries import (
    CampaignFinished,
    CampaignStarted,
    CheckEnded,
    CheckFinished,
    CheckSubmitted,
    GateDecided,
    JournalEntry,
    Measures,
    PhaseFinished,
    PhaseStarted,
    Promoted,
    Share,
    SuiteExtended,
    Usage,
)
from sparring.ledgers.errors import CorruptJournal, JournalLocked
from sparring.ledgers.lock import exclusive
from sparring.ledgers.storage import Storage

_ENTRY: TypeAdapter[JournalEntry] = TypeAdapter(JournalEntry)


class Journal:
    """Reads the journal of `campaign` under `root` (see `Storage`), and writes it for whoever has the campaign's lock.

    Raises:
        InvalidName: no campaign may be called so.
    """

    def __init__(self, root: str | Path, campaign: str) -> None:
        self._folder = Storage(root=str(root)).campaign(campaign)
        self.path = self._folder / "journal.jsonl"

    def entries(self) -> Iterator[JournalEntry]:
        """Every entry so far, oldest first; none if the campaign has not begun.

        Raises:
            CorruptJournal: a whole line is no entry.
        """
        if not self.path.exists():
            return
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    return
                yield self._parse(line, number)

    def _parse(self, line: bytes, number: int) -> JournalEntry:
        try:
            return _ENTRY.validate_json(line)
        except ValidationError as error:
            raise CorruptJournal(f"{self.path}, line {number}: {error}") from error

    @contextmanager
    def writer(self) -> Iterator[JournalWriter]:
        """Hold the campaign for the time of the block. The lock falls with the process, however it ends.

        Raises:
            JournalLocked: another process holds it.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            try:
                stack.enter_context(exclusive(self._folder / "lock", wait=False))
            except BlockingIOError as error:
                raise JournalLocked(
                    f"{self._folder}: another process conducts this campaign; wait or stop it"
                ) from error
            file = stack.enter_context(self.path.open("a+b", buffering=0))
            _sync_folder(self._folder)
            yield JournalWriter(file)


class JournalWriter:
    """Appends to an open journal whose lock is held."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.seek(0)
        whole = file.read()
        self._end = whole.rfind(b"\n") + 1
        self._cut()

    def append(self, entry: JournalEntry) -> None:
        """Write one entry; when this returns, it survives.

        Raises:
            OSError: the disk refused; nothing was appended.
        """
        line = entry.model_dump_json().encode() + b"\n"
        try:
            written = self._file.write(line)
            if written != len(line):
                raise OSError(f"{self._file.name}: wrote {written} of {len(line)} bytes")
            os.fsync(self._file.fileno())
        except OSError:
            self._cut()
            raise
        self._end += len(line)

    def _cut(self) -> None:
        self._file.truncate(self._end)


def _sync_folder(folder: os.PathLike[str]) -> None:
    """Make a new name in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


__all__ = [
    "CampaignFinished",
    "CampaignStarted",
    "CheckEnded",
    "CheckFinished",
    "CheckSubmitted",
    "GateDecided",
    "Journal",
    "JournalEntry",
    "JournalWriter",
    "Measures",
    "PhaseFinished",
    "PhaseStarted",
    "Promoted",
    "Share",
    "SuiteExtended",
    "Usage",
]
