"""Connections to permitted addresses only.

What is checked is the address that is connected to, at the moment it is connected to: a name that resolved to one
address when it was looked at may resolve to another when it is used.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable

import httpcore2

from sparring.referee.targets.hosts import IpAddress, permitted


class ForbiddenAddress(Exception):
    """A host resolved to an address that it must not be called at."""


class GuardedNetwork(httpcore2.AsyncNetworkBackend):
    """Looks names up itself, and connects to none that resolves to a forbidden address.

    Args:
        private: whether names may resolve to private networks.
    """

    def __init__(self, *, private: bool) -> None:
        self._private, self._inner = private, httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address that answers.

        Raises:
            ForbiddenAddress: one of the host's addresses is not permitted.
            httpcore2.ConnectError, httpcore2.ConnectTimeout: there is no such host, or none of them answers.
        """
        failure: Exception = httpcore2.ConnectError(f"{host} has no address")
        for address in self._checked(host, await self._resolve(host, port)):
            try:
                return await self._inner.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _resolve(self, host: str, port: int) -> list[IpAddress]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore2.ConnectError(f"{host} can't be resolved: {error.strerror}") from error
        return [ipaddress.ip_address(entry[4][0]) for entry in found]

    def _checked(self, host: str, addresses: list[IpAddress]) -> list[IpAddress]:
        for address in addresses:
            if not permitted(host, address, private=self._private):
                raise ForbiddenAddress(f"{host} resolves to {address}, which must not be called")
        return addresses

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
