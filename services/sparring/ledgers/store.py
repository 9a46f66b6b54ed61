"""Files under one root, on a disk or in an object store: what the weights ledger needs of either.

A small file appears whole or not at all. An object store does that by itself; on a disk the file is written aside
and then linked or renamed into its place.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem


class Store:
    """The files under `root`, a folder or an fsspec URL. Paths are relative to it, with forward slashes."""

    def __init__(self, root: str) -> None:
        self._files, self._root = fsspec.core.url_to_fs(root)
        self._local = isinstance(self._files, LocalFileSystem)

    def where(self, path: str) -> str:
        """The file's address, for messages."""
        return str(self._files.unstrip_protocol(self._full(path)))

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}"

    def read(self, path: str) -> bytes:
        """Contents of a small file.

        Raises:
            FileNotFoundError: it is not there.
        """
        return cast(bytes, self._files.cat_file(self._full(path)))

    def exists(self, path: str) -> bool:
        return bool(self._files.exists(self._full(path)))

    def names(self, path: str) -> list[str]:
        """Names in a folder, sorted; none if it is not there."""
        try:
            return sorted(entry.rstrip("/").rpartition("/")[2] for entry in self._listed(path))
        except FileNotFoundError:
            return []

    def _listed(self, path: str) -> list[str]:
        self._files.invalidate_cache(self._full(path))
        return cast(list[str], self._files.ls(self._full(path), detail=False))

    def create(self, path: str, data: bytes) -> None:
        """Write a small file that must not be there yet; of several who try, one succeeds.

        Raises:
            FileExistsError: it is there.
        """
        if not self._local:
            self._files.pipe_file(self._full(path), data, mode="create")
            return
        with self._aside(path, data) as draft:
            os.link(draft, self._full(path))

    def replace(self, path: str, data: bytes) -> None:
        """Write a small file; readers see what was there before or all of this."""
        if not self._local:
            self._files.pipe_file(self._full(path), data)
            return
        with self._aside(path, data) as draft:
            os.replace(draft, self._full(path))

    @contextmanager
    def _aside(self, path: str, data: bytes) -> Iterator[Path]:
        place = Path(self._full(path))
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = place.parent / f".{place.name}-{uuid.uuid4().hex}"
        draft.write_bytes(data)
        try:
            yield draft
        finally:
            draft.unlink(missing_ok=True)

    @contextmanager
    def reading(self, path: str) -> Iterator[BinaryIO]:
        """A large file.

        Raises:
            FileNotFoundError: it is not there.
        """
        with self._files.open(self._full(path), "rb") as file:
            yield file

    @contextmanager
    def writing(self, path: str) -> Iterator[BinaryIO]:
        """A large file, made or overwritten; nobody may be looking at it yet."""
        full = self._full(path)
        self._files.makedirs(full.rpartition("/")[0], exist_ok=True)
        with self._files.open(full, "wb") as file:
            yield file

    def remove(self, path: str) -> None:
        """Delete a file, if it is there."""
        if self.exists(path):
            self._files.rm_file(self._full(path))
