"""The weights ledger: immutable revisions, and which of them is released.

    CAMPAIGN/ROLE/NUMBER/claim.json      made first, by whoever publishes the number
    CAMPAIGN/ROLE/NUMBER/...             files in PEFT or Hugging Face layout
    CAMPAIGN/ROLE/NUMBER/manifest.json   made last: only now is there a revision
    CAMPAIGN/ROLE/NUMBER/expired.json    its tensors have been dropped
    CAMPAIGN/ROLE/release.json           the channel

Claim and manifest are exclusive creates. The claim keeps a second publisher's files apart from the first's, and a
number that was claimed and abandoned is never used again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from sparring.ledgers.errors import CorruptRevision, ExpiredRevision, RevisionExists, UnknownRevision
from sparring.ledgers.manifest import CLAIM, EXPIRED, MANIFEST, Draft, FileEntry, Manifest, Release, check_path
from sparring.ledgers.records import RevisionName
from sparring.ledgers.revision import Revision, Role
from sparring.ledgers.storage import Storage
from sparring.ledgers.store import Store

_CHUNK = 1 << 20
_DROPPING, _DROPPED = b'{"complete": false}', b'{"complete": true}'


def _copy(source: BinaryIO, target: BinaryIO, limit: int | None = None) -> FileEntry:
    """Copy a file, at most a chunk more than `limit` bytes of it, and say what was copied."""
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        target.write(chunk)
        digest.update(chunk)
        size += len(chunk)
        if limit is not None and size > limit:
            break
    return FileEntry(sha256=digest.hexdigest(), size=size)


class WeightsLedger:
    """The revisions under `root` (see `Storage`), which may be an fsspec URL."""

    def __init__(self, root: str | Path) -> None:
        self._store = Store(Storage(root=str(root)).weights)

    def next_number(self, campaign: str, role: Role) -> int:
        """The lowest number that nobody of this campaign and role has published, or begun to."""
        return max((int(number) for number in self._numbers(campaign, role)), default=-1) + 1

    def _numbers(self, campaign: str, role: Role) -> list[str]:
        folder = Revision(campaign, role, 0).name.rpartition("/")[0]
        return [name for name in self._store.names(folder) if name.isdecimal() and len(name) == 6]

    def publish(self, folder: Path, draft: Draft) -> Manifest:
        """Copy the files of `folder` into the ledger, then make them a revision.

        Raises:
            ForbiddenFile: a file that no revision may contain; nothing was written.
            FileNotFoundError: there are no tensors in it; nothing was written.
            RevisionExists: the number is taken, by a revision or by somebody's attempt at one.
        """
        paths = {check_path(file.relative_to(folder).as_posix()): file for file in _walk(folder)}
        if not any(path.endswith(".safetensors") for path in paths):
            raise FileNotFoundError(f"{folder}: there is no .safetensors file to publish as {draft.name}")
        self._create(draft.revision, CLAIM, json.dumps({"publisher": os.getpid()}).encode())
        files: dict[str, FileEntry] = {}
        for path, file in sorted(paths.items()):
            with file.open("rb") as source, self._store.writing(f"{draft.name}/{path}") as target:
                files[path] = _copy(source, target)
        manifest = Manifest(**dict(draft), files=files)
        self._create(draft.revision, MANIFEST, manifest.model_dump_json(indent=1).encode())
        return manifest

    def _create(self, revision: Revision, file: str, data: bytes) -> None:
        path = f"{revision.name}/{file}"
        try:
            self._store.create(path, data)
        except FileExistsError as error:
            where = self._store.where(path)
            raise RevisionExists(f"{revision.name} is taken ({where}); only one trainer may write a role") from error

    def manifest(self, name: RevisionName) -> Manifest:
        """The manifest of a revision.

        Raises:
            InvalidName: no revision could be called so.
            UnknownRevision: there is none.
            CorruptRevision: it does not read as one, or as that of another revision.
        """
        return self._parse(name, self._manifest_bytes(name))

    def _manifest_bytes(self, name: RevisionName) -> bytes:
        path = f"{Revision.parse(name).name}/{MANIFEST}"
        try:
            return self._store.read(path)
        except FileNotFoundError as error:
            raise UnknownRevision(f"revision {name} is unknown: there is no {self._store.where(path)}") from error

    def _parse(self, name: RevisionName, data: bytes) -> Manifest:
        where = self._store.where(f"{name}/{MANIFEST}")
        try:
            manifest = Manifest.model_validate_json(data)
        except ValidationError as error:
            raise CorruptRevision(f"{where}: {error}") from error
        if manifest.name != name:
            raise CorruptRevision(f"{where} is the manifest of {manifest.name}")
        return manifest

    def digest(self, name: RevisionName) -> str:
        """Lower-case hex sha256 of the manifest, which stands for every byte of the revision.

        Raises:
            InvalidName, UnknownRevision: as for `manifest`.
        """
        return hashlib.sha256(self._manifest_bytes(name)).hexdigest()

    def revisions(self, campaign: str, role: Role, *, after: int = -1) -> list[Manifest]:
        """Manifests with a number above `after`, lowest first. Numbers without a manifest are passed over."""
        numbers = [int(number) for number in self._numbers(campaign, role) if int(number) > after]
        names = [Revision(campaign, role, number).name for number in numbers]
        return [self.manifest(name) for name in names if self._store.exists(f"{name}/{MANIFEST}")]

    def lineage(self, name: RevisionName) -> Iterator[Manifest]:
        """The revision, its parent, and so on to the first.

        Raises:
            InvalidName, UnknownRevision, CorruptRevision: as for `manifest`, for any of them.
        """
        following: RevisionName | None = name
        while following is not None:
            manifest = self.manifest(following)
            yield manifest
            following = manifest.parent

    def fetch(self, name: RevisionName, digest: str | None, into: Path) -> Path:
        """Copy a revision into a folder of its own below `into`, checked on the way, and return that folder.

        The folder appears whole, and only if every byte is what the manifest says. One that was fetched before is
        returned as it is.

        Args:
            name: which.
            digest: what the manifest's sha256 must be; None takes the ledger's word for it.
            into: made if it is not there. Nobody else should be able to write to it.

        Raises:
            InvalidName, UnknownRevision: as for `manifest`.
            CorruptRevision: the manifest or a file is not what it should be; names it and both digests.
            ExpiredRevision: the tensors have been dropped.
        """
        data = self._manifest_bytes(name)
        actual = hashlib.sha256(data).hexdigest()
        if digest is not None and actual != digest:
            where = self._store.where(f"{name}/{MANIFEST}")
            raise CorruptRevision(f"{where} has sha256 {actual}, expected {digest}")
        target = into / f"{name.replace('/', '-')}-{actual[:12]}"
        if not target.exists():
            self._pull(self._parse(name, data), into, target)
        return target

    def _pull(self, manifest: Manifest, into: Path, target: Path) -> None:
        if self._store.exists(f"{manifest.name}/{EXPIRED}"):
            raise ExpiredRevision(f"the tensors of {manifest.name} have been dropped; its manifest is all there is")
        into.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".fetch-", dir=into))
        try:
            for path, entry in manifest.files.items():
                self._pull_file(f"{manifest.name}/{path}", entry, draft / path)
            try:
                draft.rename(target)
            except OSError:
                if not target.exists():
                    raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _pull_file(self, path: str, entry: FileEntry, target: Path) -> None:
        where = self._store.where(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._store.reading(path) as source, target.open("wb") as file:
                copied = _copy(source, file, entry.size)
        except FileNotFoundError as error:
            raise CorruptRevision(f"{where} is missing; its manifest says sha256 {entry.sha256}") from error
        if copied.size != entry.size:
            raise CorruptRevision(
                f"{where} has {'more' if copied.size > entry.size else 'less'} than {entry.size} bytes"
            )
        if copied.sha256 != entry.sha256:
            raise CorruptRevision(f"{where} has sha256 {copied.sha256}, its manifest says {entry.sha256}")

    def release(self, campaign: str, role: Role) -> Release | None:
        """What is released; None if nothing ever was."""
        try:
            return Release.model_validate_json(self._store.read(self._channel(campaign, role)))
        except FileNotFoundError:
            return None

    def set_release(self, campaign: str, role: Role, name: RevisionName) -> Release:
        """Point the channel at `name`; readers see the old revision or the new one.

        Raises:
            InvalidName, UnknownRevision: as for `manifest`.
        """
        release = Release(revision=name, digest=self.digest(name))
        self._store.replace(self._channel(campaign, role), release.model_dump_json(indent=1).encode())
        return release

    def _channel(self, campaign: str, role: Role) -> str:
        return Revision(campaign, role, 0).name.rpartition("/")[0] + "/release.json"

    def expire(
        self, campaign: str, role: Role, *, last: int, keep: Collection[RevisionName] = ()
    ) -> list[RevisionName]:
        """Drop the files of old revisions, and say of which. Manifests stay.

        Args:
            campaign, role: whose.
            last: this many of the newest are kept. The first (number 0) and the released one always are.
            keep: others to keep, such as all that were ever promoted.
        """
        released = self.release(campaign, role)
        kept = {*keep, Revision(campaign, role, 0).name, *([] if released is None else [released.revision])}
        manifests = self.revisions(campaign, role)
        old = manifests[: len(manifests) - last]
        return [manifest.name for manifest in old if manifest.name not in kept and self._drop(manifest)]

    def _drop(self, manifest: Manifest) -> bool:
        """Drop the files of one revision; False if that was done before. Nobody begins to fetch one meanwhile."""
        mark = f"{manifest.name}/{EXPIRED}"
        if self._store.exists(mark) and self._store.read(mark) == _DROPPED:
            return False
        self._store.replace(mark, _DROPPING)
        for path in manifest.files:
            self._store.remove(f"{manifest.name}/{path}")
        self._store.replace(mark, _DROPPED)
        return True


def _walk(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if not path.is_dir())
