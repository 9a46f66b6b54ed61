"""Where checks are kept: a journal and, if samples were sent, a file of these, in a folder like any campaign's."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from sparring.ledgers.journal import Journal
from sparring.ledgers.storage import Storage
from sparring.referee.check import fingerprint
from sparring.referee.checks.record import CheckRecord, from_entries

_NAME = re.compile(r"check-[0-9a-f]{12}")


def name_of(owner: str, request_id: str) -> str:
    """A check's id: the same for the same request of the same caller."""
    return f"check-{fingerprint(owner, request_id)}"


class CheckStore:
    """The checks under one root.

    Args:
        storage: that root.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def names(self) -> list[str]:
        """Ids of all checks."""
        folders = (Path(self._storage.root) / "campaigns").glob("check-*")
        return sorted(folder.name for folder in folders if _NAME.fullmatch(folder.name))

    def read(self, check_id: str) -> CheckRecord | None:
        """What is known of a check; None if there is none of that id.

        Raises:
            CorruptJournal: see there.
        """
        return from_entries(self.journal(check_id).entries()) if _NAME.fullmatch(check_id) else None

    def journal(self, check_id: str) -> Journal:
        return Journal(self._storage.root, check_id)

    def samples(self, check_id: str) -> Path:
        """The file of the samples that were sent."""
        return self._storage.campaign(check_id) / "samples.binpb"

    @contextmanager
    def arriving(self, check_id: str) -> Iterator[Path]:
        """A file to receive samples in. What is still there at the end of the block is thrown away."""
        folder = self._storage.campaign(check_id)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"arriving-{uuid4().hex}"
        try:
            yield file
        finally:
            file.unlink(missing_ok=True)
            with suppress(OSError):  # it holds a check
                folder.rmdir()

    def keep(self, arrived: Path, check_id: str) -> None:
        """Make the samples that were received those of a check."""
        arrived.replace(self.samples(check_id))

    def remove(self, check_id: str) -> None:
        """Throw everything away but what is in the ledger."""
        shutil.rmtree(self._storage.campaign(check_id))
