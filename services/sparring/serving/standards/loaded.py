"""What a model of a standard answers by: the revisions of a reconciler, or nothing that would have to be loaded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from sparring.serving.errors import NotResident
from sparring.serving.reconciler import Phase, State


class Loaded(Protocol):
    """As a `Reconciler` has it."""

    ready: asyncio.Event

    @property
    def state(self) -> State: ...

    def bind(self, name: str, digest: str) -> AbstractContextManager[object]: ...


class Weightless:
    """A service without weights: ready from the start, under no revision."""

    state = State(Phase.READY, active=None, resident=(), target=None, error="")

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.ready.set()

    @contextmanager
    def bind(self, name: str, digest: str) -> Iterator[None]:
        """Raises: NotResident if a revision is named."""
        if name or digest:
            raise NotResident(f"revision {name or digest!r} is not loaded: this service was configured without weights")
        yield
