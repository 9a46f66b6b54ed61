"""The services of one folder, as supervised child processes of this one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

from sparring.ops.folder import RunFolder
from sparring.ops.process import Command, python
from sparring.ops.supervisor import RestartConfig, Server, ServerConfig
from sparring.serving.addresses import Addresses
from sparring.serving.config import ServingConfig

ConfigT = TypeVar("ConfigT", bound=ServerConfig)


class Keeps(Protocol):
    """A service of any configuration."""

    async def keep(self) -> None: ...


async def _nothing(addresses: Addresses) -> None:
    """A service that holds no weights needs to be told nothing."""


class Staff:
    """Starts the services of a folder, and keeps them.

    Args:
        folder: where their configurations, addresses and logs are.
        restarts: how patiently they are kept.
        environment: added to that of this process.
    """

    def __init__(self, folder: RunFolder, restarts: RestartConfig, environment: Mapping[str, str]) -> None:
        self._folder, self._restarts, self._environment = folder, restarts, environment

    def command(self, name: str, arguments: tuple[str, ...]) -> Command:
        """What runs a process of this name."""
        return Command(name, arguments, self._environment, self._folder.log(name))

    def serving(self, serving: ServingConfig, name: str) -> ServingConfig:
        """The same with the file that the service of this name writes its addresses to."""
        return serving.model_copy(update={"address_file": str(self._folder.address(name))})

    def server(
        self, name: str, config: ConfigT, ready: Callable[[Addresses], Awaitable[None]] = _nothing
    ) -> Server[ConfigT]:
        """The service of this name; `ready` is called each time it has started."""
        file = self._folder.config(name)
        command = self.command(name, python(f"sparring.{name}", "--config", str(file)))
        return Server(command, config, file, self._restarts, ready)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[Callable[[Keeps], None]]:
        """What has a service started, and kept to the end of the block.

        Raises:
            ProcessFailed: a service died for good.
        """
        async with asyncio.TaskGroup() as group:
            keepers: list[asyncio.Task[None]] = []
            try:
                yield lambda server: keepers.append(group.create_task(server.keep()))
            finally:
                for keeper in keepers:
                    keeper.cancel()
