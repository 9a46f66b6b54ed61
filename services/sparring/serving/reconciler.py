"""A service is told what it should serve and gets there on its own: pull, verify, load, activate, remove the rest.

Each load has a name of its own in the policy, so that nothing old can answer under a new revision's name. A request
is bound to a revision when it is admitted, and that revision stays loaded until the request has ended.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar

import structlog
from prometheus_client import CollectorRegistry

from sparring.ledgers.records import RevisionName
from sparring.ledgers.revision import Revision, Role
from sparring.ledgers.weights import WeightsLedger
from sparring.serving.config import WeightsConfig
from sparring.serving.errors import DigestMismatch, NotResident, WrongRole
from sparring.serving.weights_metrics import WeightsMetrics

BASE = RevisionName("base")
"""The weights that the policy was opened with."""

_log = structlog.get_logger(__name__)
T = TypeVar("T")


class Installs(Protocol):
    """The part of a policy that holds revisions. Both block; names are never used twice."""

    def install(self, name: str, folder: Path) -> None: ...

    def remove(self, name: str) -> None: ...


class Phase(Enum):
    """Where a service is on its way to its target."""

    READY = "ready"
    LOADING = "loading"
    FAILED = "failed"


@dataclass(frozen=True)
class Pin:
    """A revision and the sha256 of its manifest (lower-case hex); an empty digest takes whatever the ledger has."""

    name: RevisionName
    digest: str = ""


@dataclass(frozen=True)
class Bound:
    """What a request runs on. `handle` is the policy's name for it."""

    pin: Pin
    handle: str


@dataclass(frozen=True)
class State:
    """What `GetState` tells. `target` and `active` are None before the first."""

    phase: Phase
    active: Pin | None
    resident: tuple[Pin, ...]
    target: Pin | None
    error: str


@dataclass(frozen=True)
class _Target:
    active: Pin
    resident: tuple[Pin, ...]

    @property
    def pins(self) -> tuple[Pin, ...]:
        return (self.active, *self.resident)


@dataclass
class _Loaded:
    bound: Bound
    users: int = field(default=0)


class Reconciler:
    """Brings a policy to the revisions it should hold. Use it as an async context manager.

    Args:
        ledger: where revisions come from.
        policy: what holds them.
        role: of the revisions that the policy can hold.
        config: where they are pulled to, and whether the base is served before there is a target.
        registry: where it counts.
    """

    def __init__(
        self, ledger: WeightsLedger, policy: Installs, role: Role, config: WeightsConfig, registry: CollectorRegistry
    ) -> None:
        self._ledger, self._policy, self._role, self._config = ledger, policy, role, config
        self._metrics = WeightsMetrics(registry)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reconciler")
        self._loaded: dict[Pin, _Loaded] = {}
        self._offered: dict[RevisionName, Pin] = {}
        self._active: Pin | None = None
        self._target: _Target | None = None
        self._phase, self._error = Phase.LOADING, ""
        self._serials = itertools.count(1)
        self._wake = asyncio.Event()
        self.ready = asyncio.Event()
        """Set once something is served; never cleared, because the last active revision goes on being served."""
        if config.serve_base:
            base = Pin(BASE)
            self._loaded[base] = _Loaded(Bound(base, BASE))
            self._offer((base,))

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._serve(), name="reconciler")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        self._thread.shutdown(wait=False)

    @property
    def state(self) -> State:
        resident = tuple(pin for pin in self._offered.values() if pin != self._active)
        target = self._target.active if self._target else None
        return State(self._phase, self._active, resident, target, self._error)

    async def aim(self, active: Pin, resident: Sequence[Pin] = ()) -> None:
        """Set the target; the rest happens in the background, and a target that had failed is tried again.

        Raises:
            InvalidName, UnknownRevision: there is no such revision.
            WrongRole: it is of the other side.
            DigestMismatch: its manifest is not the one that is meant.
        """
        pins = await asyncio.to_thread(lambda: [self._resolve(pin) for pin in (active, *resident)])
        self._target = _Target(pins[0], tuple(pins[1:]))
        self._phase, self._error = Phase.LOADING, ""
        self._wake.set()

    def _resolve(self, pin: Pin) -> Pin:
        if Revision.parse(pin.name).role != self._role:
            raise WrongRole(f"revision {pin.name!r} is no {self._role}'s, and this service is one")
        digest = self._ledger.digest(pin.name)
        if pin.digest not in ("", digest):
            raise DigestMismatch(f"revision {pin.name!r} has manifest {digest}, not {pin.digest}")
        return Pin(pin.name, digest)

    @contextmanager
    def bind(self, name: str, digest: str) -> Iterator[Bound]:
        """Hold the named revision, or the active one if `name` is empty, for the time of the block.

        Raises:
            NotResident: it is not loaded.
            DigestMismatch: it is, with another manifest than `digest`.
        """
        loaded = self._loaded[self._find(name, digest)]
        loaded.users += 1
        try:
            yield loaded.bound
        finally:
            loaded.users -= 1
            if loaded.users == 0 and loaded.bound.pin not in self._offered.values():
                self._wake.set()

    def _find(self, name: str, digest: str) -> Pin:
        pin = self._offered.get(RevisionName(name)) if name else self._active
        if pin is None:
            offered = sorted(self._offered) or "none yet"
            raise NotResident(f"revision {name or '(active)'!r} is not loaded; loaded are: {offered}")
        if digest not in ("", pin.digest):
            raise DigestMismatch(f"revision {pin.name!r} has manifest {pin.digest}, not {digest}")
        return pin

    async def _serve(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._reconcile()
            except Exception as error:  # a boundary like an RPC's: whoever asks for the state gets the error
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._phase, self._error = Phase.FAILED, f"{type(error).__name__}: {error}"
        self._metrics.failed.inc()
        _log.exception("target not reached", target=self._target)

    async def _reconcile(self) -> None:
        """Load what the target lacks, then offer it all at once, then remove what is neither offered nor in use."""
        target = self._target
        if target is not None and self._phase is Phase.LOADING:
            for pin in target.pins:
                await self._load(pin)
                if self._target is not target:
                    return
            self._offer(target.pins)
            _log.info("target active", revision=target.active.name, digest=target.active.digest)
        await self._remove_unused()

    async def _load(self, pin: Pin) -> None:
        if pin in self._loaded:
            return
        handle = f"{pin.name}#{next(self._serials)}"
        with self._metrics.load.time():
            await self._in_thread(functools.partial(self._install, pin, handle))
        self._loaded[pin] = _Loaded(Bound(pin, handle))
        self._metrics.resident.set(len(self._loaded))

    def _install(self, pin: Pin, handle: str) -> None:
        with tempfile.TemporaryDirectory(prefix="revision-", dir=self._config.cache) as folder:
            self._policy.install(handle, self._ledger.fetch(pin.name, pin.digest, Path(folder) / "weights"))

    def _offer(self, pins: Sequence[Pin]) -> None:
        self._active, self._phase = pins[0], Phase.READY
        self._offered = {pin.name: pin for pin in pins}
        self._metrics.activate(self._active.name, self._active.digest)
        self.ready.set()

    async def _remove_unused(self) -> None:
        offered = set(self._offered.values())
        unused = [pin for pin, loaded in self._loaded.items() if pin not in offered and loaded.users == 0]
        for pin in unused:
            handle = self._loaded.pop(pin).bound.handle
            if handle != BASE:
                await self._in_thread(functools.partial(self._policy.remove, handle))
        self._metrics.resident.set(len(self._loaded))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
