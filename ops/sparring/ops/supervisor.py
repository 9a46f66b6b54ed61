"""Keeps local processes alive while a campaign runs, and lets none outlive it.

A process that dies is started again, later each time, until it has died too often in a row; then the campaign ends
with the last lines of its log. A server keeps the ports that it had at first, so that its callers find it again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar

import structlog
from pydantic import BaseModel, ConfigDict, Field

from sparring.ops.errors import ProcessFailed
from sparring.ops.process import Child, Command
from sparring.serving.addresses import Addresses
from sparring.serving.config import ServingConfig

_log = structlog.get_logger(__name__)
MISUSED = 2
"""Exit status of a command that was given a wrong configuration: starting it again would not help."""


class RestartConfig(BaseModel):
    """How often a process that died is started again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    most: int = Field(5, ge=0)
    """Deaths in a row that are forgiven."""
    first_seconds: float = Field(0.5, gt=0)
    """Wait before the first new start; it doubles with each."""
    healthy_seconds: float = Field(60, gt=0)
    """A process that lived this long has not died in a row with the one before."""
    start_seconds: float = Field(300, gt=0)
    """Time that a server has to listen, model loading included."""
    stop_seconds: float = Field(15, gt=0)
    """Time to end by itself, after which it is killed."""


class Patience:
    """Counts deaths in a row."""

    def __init__(self, config: RestartConfig) -> None:
        self._config = config
        self._deaths = 0

    def wait_seconds(self, lived_seconds: float) -> float | None:
        """How long to wait after one more death; None when that was one too many."""
        if lived_seconds >= self._config.healthy_seconds:
            self._deaths = 0
        self._deaths += 1
        if self._deaths > self._config.most:
            return None
        return float(self._config.first_seconds * 2 ** (self._deaths - 1))


async def keep(
    command: Command,
    config: RestartConfig,
    *,
    ends: bool = True,
    prepare: Callable[[], None] | None = None,
    attend: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Run a command until it exits with status 0, starting it again when it dies. Cancelling stops it.

    Args:
        command: what to run.
        config: how patiently.
        ends: whether status 0 means that it is done; a server is never done.
        prepare: called before each start.
        attend: called after each start, while the process is watched.

    Raises:
        ProcessFailed: it died too often, or said that it was misused.
    """
    patience = Patience(config)
    while True:
        if prepare is not None:
            prepare()
        began = time.monotonic()
        status = await _live(command, config, attend)
        if status == 0 and ends:
            return
        wait = None if status == MISUSED else patience.wait_seconds(time.monotonic() - began)
        if wait is None:
            raise command.failure(status)
        _log.warning("process died", process=command.name, status=status, again_in_seconds=wait)
        await asyncio.sleep(wait)


async def _live(command: Command, config: RestartConfig, attend: Callable[[], Awaitable[None]] | None) -> int:
    """One life of the process; returns its status."""
    child = await Child.start(command)
    tasks: set[asyncio.Future[object]] = {asyncio.ensure_future(child.wait())}
    if attend is not None:
        tasks.add(asyncio.ensure_future(attend()))
    try:
        while child.status is None:
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        return child.status
    finally:
        for task in tasks:
            task.cancel()
        await child.stop(config.stop_seconds)


class ServerConfig(Protocol):
    """What the configurations of all services have in common."""

    @property
    def serving(self) -> ServingConfig: ...

    def model_copy(self, *, update: dict[str, object]) -> Self: ...

    def model_dump_json(self, *, indent: int | None = None) -> str: ...


ConfigT = TypeVar("ConfigT", bound=ServerConfig)


class Server(Generic[ConfigT]):
    """A service that is kept alive.

    Args:
        command: starts it; it reads its configuration from `config_file`.
        config: with `serving.address_file` set.
        config_file: where its configuration is written before each start.
        restarts: how patiently it is kept.
        on_ready: called each time it listens.
    """

    def __init__(
        self,
        command: Command,
        config: ConfigT,
        config_file: Path,
        restarts: RestartConfig,
        on_ready: Callable[[Addresses], Awaitable[None]],
    ) -> None:
        if config.serving.address_file is None:
            raise ValueError(f"{command.name}: serving.address_file is not set")
        self._address_file = Path(config.serving.address_file)
        self._command, self._config, self._config_file = command, config, config_file
        self._restarts, self._on_ready = restarts, on_ready
        self._addresses: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()

    async def addresses(self) -> Addresses:
        """Where it listens; waits until it does for the first time. Later lives have the same addresses."""
        return await asyncio.shield(self._addresses)

    async def keep(self) -> None:
        """Keep it alive until cancelled.

        Raises:
            ProcessFailed: see `keep`; or it did not listen in time.
        """
        await keep(self._command, self._restarts, ends=False, prepare=self._prepare, attend=self._attend)

    def _prepare(self) -> None:
        self._address_file.unlink(missing_ok=True)
        self._config_file.parent.mkdir(parents=True, exist_ok=True)
        self._config_file.write_text(self._config.model_dump_json(indent=2))

    async def _attend(self) -> None:
        try:
            addresses = await asyncio.wait_for(self._listening(), self._restarts.start_seconds)
        except TimeoutError as error:
            raise ProcessFailed(
                f"{self._command.name} does not listen after {self._restarts.start_seconds:.0f} s; the end of "
                f"{self._command.log}:\n{self._command.tail()}"
            ) from error
        self._hold(addresses)
        await self._on_ready(addresses)

    async def _listening(self) -> Addresses:
        while True:
            with suppress(FileNotFoundError):
                return Addresses.read(self._address_file)
            await asyncio.sleep(0.05)

    def _hold(self, addresses: Addresses) -> None:
        """Ask for the same ports in later lives."""
        if self._addresses.done():
            return
        ports = {
            name: int(address.rpartition(":")[2])
            for name, address in (
                ("port", addresses.grpc),
                ("health_port", addresses.health),
                ("metrics_port", addresses.metrics),
            )
        }
        serving = self._config.serving.model_copy(update=dict(ports))
        self._config = self._config.model_copy(update={"serving": serving})
        self._addresses.set_result(addresses)
